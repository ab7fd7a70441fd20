use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Event, Namespace, NamespaceSpec, NamespaceStatus, PodCondition, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::warn;

use super::backlog::{self, Backlog};
use super::handle::WriterHandle;
use super::journal::{Journal, SnapshotJob};
use super::rules::{Decision, decide, last_seen};
use super::state::{Shared, State};
use super::{Change, SpecWriter, StatusWriter, Store, StoreError};
use crate::base::{Clock, Uid, chain};
use crate::model::priority::system_classes;
use crate::model::{Kind, Object, ObjectKey, Resource, ResourceVersion};

/// Writers wait when this many requests are queued.
const QUEUE: usize = 256;
/// How often a journal that took nothing is tried again.
const RETRY: Duration = Duration::from_secs(2);
/// Namespaces that exist from the beginning.
const NAMESPACES: [&str; 2] = ["default", "kube-system"];

/// The capabilities of a store that was just opened.
pub(crate) struct Opened {
    pub(crate) store: Store,
    pub(crate) spec: SpecWriter,
    pub(crate) status: StatusWriter,
    /// What of the files could not be read and was left out.
    pub(crate) damage: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) clock: Clock,
    /// How many changes of each kind are kept for watchers.
    pub(crate) history: usize,
    /// Bytes of journal that are not worth a snapshot.
    pub(crate) compact_at: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            clock: Clock::system(),
            history: 1024,
            compact_at: 4 << 20,
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
    /// The status of an object, by others than the engine.
    Status(Object),
    /// Spec and status at once, by the engine.
    Whole(Object),
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
    DisruptPod {
        key: ObjectKey,
        uid: Uid,
        condition: Box<PodCondition>,
        /// `None` takes the pod's own.
        grace_seconds: Option<i64>,
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
    let (journal, mut replayed) = Journal::open(directory)?;
    let damage = std::mem::take(&mut replayed.damage);
    let state = State::new(replayed.objects, replayed.version, settings.history);
    let shared = Arc::new(Shared::new(state));
    let (sender, requests) = mpsc::channel(QUEUE);
    let mut task = WriterTask {
        shared: Arc::clone(&shared),
        clock: settings.clock,
        compact_at: settings.compact_at,
        next_compaction: settings.compact_at,
        journal,
        backlog: Backlog::default(),
        waiting: Vec::new(),
        syncing: None,
        compacting: None,
        may_shrink: true,
        is_full: false,
        shrink_at: None,
    };
    // Before anything is written: a snapshot that failed for lack of space may have left a full disk behind.
    if task.journal.len() >= task.next_compaction {
        task.compact_now();
    }
    task.create_first()?;
    task.journal.start_sync().run()?;
    tokio::spawn(task.run(requests));
    Ok(Opened {
        store: Store { shared },
        spec: SpecWriter(WriterHandle::new(sender.clone())),
        status: StatusWriter(WriterHandle::new(sender)),
        damage,
    })
}

/// An answer that is held back until the disk has its write.
struct Held {
    object: Object,
    reply: Reply,
}

/// One sync for all writes that were waiting when it began.
struct Syncing {
    held: Vec<Held>,
    job: JoinHandle<Result<(), StoreError>>,
}

/// The only code that changes the state: decide, append to the journal, publish; the answer to a durable
/// write waits for the disk, its watchers do not.
struct WriterTask {
    shared: Arc<Shared>,
    clock: Clock,
    journal: Journal,
    backlog: Backlog,
    compact_at: u64,
    next_compaction: u64,
    waiting: Vec<Held>,
    syncing: Option<Syncing>,
    compacting: Option<JoinHandle<Result<u64, StoreError>>>,
    /// Objects may have gone since the last snapshot was tried, so that the next may be smaller.
    may_shrink: bool,
    /// The disk refused the last record or snapshot for lack of space.
    is_full: bool,
    /// When a snapshot is tried though the journals are not long: objects have gone from a full disk.
    shrink_at: Option<Instant>,
}

impl WriterTask {
    async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut open = true;
        while open || self.syncing.is_some() || self.compacting.is_some() {
            tokio::select! {
                // Cancel-safe: a request is taken only when the arm wins.
                request = requests.recv(), if open => match request {
                    Some(request) => self.handle(request),
                    None => open = false,
                },
                // Cancel-safe: the handle is only borrowed, the job goes on.
                result = joined(self.syncing.as_mut().map(|syncing| &mut syncing.job)) => self.synced(result),
                // Cancel-safe for the same reason.
                result = joined(self.compacting.as_mut()) => self.compacted(result),
                () = tokio::time::sleep(RETRY), if open && self.is_unsaved() => {
                    // Told already; the next try comes.
                    let _ = self.flush();
                }
                // Cancel-safe: the moment stays where it is.
                () = until(self.shrink_at), if open => {
                    self.shrink_at = None;
                    self.next_compaction = 0;
                }
            }
            self.start_sync();
            self.start_compaction();
        }
    }

    fn handle(&mut self, request: Request) {
        // A requester that has gone away does not want its answer any more; the write stands.
        match request {
            Request::Write {
                write,
                durable,
                reply,
            } => match self.write(write, durable) {
                Ok(object) if durable && self.has_unsynced() => {
                    self.waiting.push(Held { object, reply });
                }
                result => {
                    let _ = reply.send(result);
                }
            },
            Request::PruneEvents { before, reply } => {
                let _ = reply.send(self.prune_events(before));
            }
        }
    }

    fn write(&mut self, write: Write, durable: bool) -> Result<Object, StoreError> {
        let decision = decide(&self.shared.read(), write, self.clock.now())?;
        match decision {
            Decision::Nothing(object) => Ok(object),
            Decision::Write(change) => {
                self.record(&change, durable)?;
                let object = change.object.clone();
                self.shared.publish(change);
                Ok(object)
            }
        }
    }

    /// Into the journal, or into the backlog where that may be.
    fn record(&mut self, change: &Change, durable: bool) -> Result<(), StoreError> {
        if change.deleted {
            self.object_goes();
        }
        let mut written = self.flush().and_then(|()| self.journal.append(change));
        if matches!(written, Err(StoreError::NoSpace { .. })) && self.make_room() {
            written = self.flush().and_then(|()| self.journal.append(change));
        }
        let Err(error) = written else { return Ok(()) };
        self.is_full |= matches!(error, StoreError::NoSpace { .. });
        let ends = change.deleted || change.object.meta().deletion_timestamp.is_some();
        if durable && !ends {
            return Err(error);
        }
        if self.backlog.is_empty() {
            warn!(error = chain(&error), "the store goes on in memory");
        }
        self.backlog.push(change.clone());
        let text = backlog::told(&error);
        self.shared.unsaved.send_if_modified(|told| {
            let news = told.is_none();
            told.get_or_insert(text);
            news
        });
        Ok(())
    }

    /// Several usually go at once, so what they leave behind is cleaned up a little later.
    fn object_goes(&mut self) {
        self.may_shrink = true;
        if self.is_full && self.shrink_at.is_none() {
            self.shrink_at = Some(Instant::now() + RETRY);
        }
    }

    /// Replaces the journals by a snapshot at once, where that can be worth it.
    fn make_room(&mut self) -> bool {
        self.may_shrink && self.compacting.is_none() && self.compact_now()
    }

    fn is_unsaved(&self) -> bool {
        self.shared.unsaved.borrow().is_some()
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let journal = &mut self.journal;
        self.backlog.flush(|change| journal.append(change))?;
        if self.is_unsaved() {
            warn!("the store's journal is complete again");
            self.shared.unsaved.send_replace(None);
        }
        Ok(())
    }

    fn has_unsynced(&self) -> bool {
        self.journal.is_dirty() || self.syncing.is_some()
    }

    fn start_sync(&mut self) {
        if self.syncing.is_some() || self.waiting.is_empty() {
            return;
        }
        let job = self.journal.start_sync();
        self.syncing = Some(Syncing {
            held: std::mem::take(&mut self.waiting),
            job: tokio::task::spawn_blocking(move || job.run()),
        });
    }

    fn synced(&mut self, result: Result<(), StoreError>) {
        let held = self
            .syncing
            .take()
            .map_or_else(Vec::new, |syncing| syncing.held);
        let Err(error) = result else {
            for Held { object, reply } in held {
                let _ = reply.send(Ok(object));
            }
            return;
        };
        warn!(
            error = chain(&error),
            "the store's journal did not reach the disk"
        );
        // After a failed fsync the kernel may have dropped the pages (fsync(2)); a snapshot in a new file
        // writes all of them again.
        self.next_compaction = 0;
        for Held { reply, .. } in held {
            let _ = reply.send(Err(again(&error, &self.journal.path())));
        }
    }

    fn start_compaction(&mut self) {
        if self.compacting.is_some() || self.journal.len() < self.next_compaction {
            return;
        }
        match self.snapshot() {
            Ok(job) => {
                self.compacting = Some(tokio::task::spawn_blocking(move || job.run()));
            }
            Err(error) => self.compacted(Err(error)),
        }
    }

    /// Blocks until the snapshot is on the disk; false when it could not be made.
    fn compact_now(&mut self) -> bool {
        let result = self.snapshot().and_then(|job| job.run());
        let is_done = result.is_ok();
        self.compacted(result);
        is_done
    }

    fn snapshot(&mut self) -> Result<SnapshotJob, StoreError> {
        self.may_shrink = false;
        let state = self.shared.read();
        self.journal
            .rotate(state.version(), state.objects().cloned().collect())
    }

    fn compacted(&mut self, result: Result<u64, StoreError>) {
        self.compacting = None;
        match result {
            Ok(size) => {
                self.journal.rotated();
                self.is_full = false;
                self.shrink_at = None;
                self.next_compaction = self.compact_at.max(size.saturating_mul(2));
            }
            Err(error) => {
                self.is_full |= matches!(error, StoreError::NoSpace { .. });
                if self.is_full && self.may_shrink {
                    self.object_goes();
                }
                warn!(
                    error = chain(&error),
                    "cannot compact the store; its journal grows"
                );
                self.next_compaction = self.journal.len().saturating_add(self.compact_at);
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
            let write = Write::Remove {
                key: key.clone(),
                uid: None,
                version: None,
            };
            self.write(write, false)?;
        }
        Ok(old.len())
    }

    fn create_first(&mut self) -> Result<(), StoreError> {
        for name in NAMESPACES {
            match self.write(Write::Create(namespace(name)), false) {
                Ok(_) | Err(StoreError::AlreadyExists(_)) => {}
                Err(error) => return Err(error),
            }
        }
        for class in system_classes() {
            let class = Object::PriorityClass(Arc::new(class));
            match self.write(Write::Create(class), false) {
                Ok(_) | Err(StoreError::AlreadyExists(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The result of a job; never ready when there is none.
async fn joined<T>(job: Option<&mut JoinHandle<Result<T, StoreError>>>) -> Result<T, StoreError> {
    match job {
        // The job was cancelled (the runtime ends) or panicked: nobody will do it.
        Some(job) => job.await.unwrap_or(Err(StoreError::Closed)),
        None => std::future::pending().await,
    }
}

/// Never, where there is no moment.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The same failure for the next of several waiting writers.
fn again(error: &StoreError, path: &Path) -> StoreError {
    match error {
        StoreError::Sync { path, source } => StoreError::Sync {
            path: path.clone(),
            source: copy(source),
        },
        _ => StoreError::Sync {
            path: path.to_owned(),
            source: io::Error::other(chain(error)),
        },
    }
}

fn copy(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(
        || io::Error::new(error.kind(), error.to_string()),
        io::Error::from_raw_os_error,
    )
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
