use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Namespace, NamespaceSpec, NamespaceStatus, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::sync::{mpsc, oneshot};

use super::handle::WriterHandle;
use super::rules::{Decision, decide, last_seen};
use super::state::{Shared, State};
use super::{SpecWriter, StatusWriter, Store, StoreError};
use crate::base::{Clock, Uid};
use crate::model::{Kind, Object, ObjectKey, Resource, ResourceVersion};

/// Writers wait when this many requests are queued.
const QUEUE: usize = 256;
/// Namespaces that exist from the beginning.
const NAMESPACES: [&str; 2] = ["default", "kube-system"];

/// The capabilities of a store that was just opened.
pub(crate) struct Opened {
    pub(crate) store: Store,
    pub(crate) spec: SpecWriter,
    pub(crate) status: StatusWriter,
}

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) clock: Clock,
    /// How many changes of each kind are kept for watchers.
    pub(crate) history: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            clock: Clock::system(),
            history: 1024,
        }
    }
}

pub(super) type Reply = oneshot::Sender<Result<Object, StoreError>>;

pub(super) enum Request {
    Write {
        write: Write,
        /// Answer only when the disk has it.
        durable: bool,
        reply: Reply,
    },
    PruneEvents {
        before: Timestamp,
        reply: oneshot::Sender<Result<usize, StoreError>>,
    },
}

pub(super) enum Write {
    Create(Object),
    Update(Object),
    Remove {
        key: ObjectKey,
        uid: Option<Uid>,
        version: Option<ResourceVersion>,
    },
    PodStatus {
        key: ObjectKey,
        uid: Uid,
        status: Box<PodStatus>,
    },
    Bind {
        key: ObjectKey,
        uid: Uid,
        node_name: String,
    },
    RemovePod {
        key: ObjectKey,
        uid: Uid,
    },
    /// Create or replace, status included.
    Put(Object),
}

/// Opens the store kept in `directory` (made when it is missing) and starts its writer task on the current
/// tokio runtime. The task ends when all writers are dropped.
pub(crate) fn open(directory: &Path) -> Result<Opened, StoreError> {
    open_with(directory, Settings::default())
}

pub(crate) fn open_with(directory: &Path, settings: Settings) -> Result<Opened, StoreError> {
    std::fs::create_dir_all(directory).map_err(|source| StoreError::Directory {
        path: directory.to_owned(),
        source,
    })?;
    let state = State::new(
        BTreeMap::new(),
        ResourceVersion::default(),
        settings.history,
    );
    let shared = Arc::new(Shared::new(state));
    let (sender, requests) = mpsc::channel(QUEUE);
    let mut task = WriterTask {
        shared: Arc::clone(&shared),
        clock: settings.clock,
        requests,
    };
    task.create_namespaces()?;
    tokio::spawn(task.run());
    Ok(Opened {
        store: Store { shared },
        spec: SpecWriter(WriterHandle::new(sender.clone())),
        status: StatusWriter(WriterHandle::new(sender)),
    })
}

/// The only code that changes the state.
struct WriterTask {
    shared: Arc<Shared>,
    clock: Clock,
    requests: mpsc::Receiver<Request>,
}

impl WriterTask {
    async fn run(mut self) {
        while let Some(request) = self.requests.recv().await {
            self.handle(request);
        }
    }

    fn handle(&mut self, request: Request) {
        // A requester that has gone away does not want its answer any more; the write stands.
        match request {
            Request::Write { write, reply, .. } => {
                let _ = reply.send(self.write(write));
            }
            Request::PruneEvents { before, reply } => {
                let _ = reply.send(self.prune_events(before));
            }
        }
    }

    fn write(&mut self, write: Write) -> Result<Object, StoreError> {
        let decision = decide(&self.shared.read(), write, self.clock.now())?;
        match decision {
            Decision::Nothing(object) => Ok(object),
            Decision::Write(change) => {
                let object = change.object.clone();
                self.shared.publish(change);
                Ok(object)
            }
        }
    }

    fn prune_events(&mut self, before: Timestamp) -> Result<usize, StoreError> {
        let old: Vec<ObjectKey> = self
            .shared
            .read()
            .list(Kind::Event, None)
            .filter_map(Event::from_object)
            .filter(|event| last_seen(event).is_some_and(|seen| seen < before))
            .map(|event| event.key())
            .collect();
        for key in &old {
            self.write(Write::Remove {
                key: key.clone(),
                uid: None,
                version: None,
            })?;
        }
        Ok(old.len())
    }

    fn create_namespaces(&mut self) -> Result<(), StoreError> {
        for name in NAMESPACES {
            match self.write(Write::Create(namespace(name))) {
                Ok(_) | Err(StoreError::AlreadyExists(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn namespace(name: &str) -> Object {
    let label = ("kubernetes.io/metadata.name".to_owned(), name.to_owned());
    Object::Namespace(Arc::new(Namespace {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(BTreeMap::from([label])),
            ..ObjectMeta::default()
        },
        spec: Some(NamespaceSpec {
            finalizers: Some(vec!["kubernetes".to_owned()]),
        }),
        status: Some(NamespaceStatus {
            phase: Some("Active".to_owned()),
            conditions: None,
        }),
    }))
}
