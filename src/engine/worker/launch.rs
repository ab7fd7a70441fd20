use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, LifecycleHandler, Pod};
use tokio::sync::{oneshot, watch};

use super::hooks::Hook;
use super::image::{NotNow, RETRY};
use super::kill::{Kill, Turn};
use crate::base::{ContainerId, SandboxId, chain};
use crate::engine::machine::Machine;
use crate::engine::plan::END_SHOWN_FOR;
use crate::engine::recorder::{KUBELET, Level};
use crate::probe::PodNet;
use crate::runtime::RuntimeError;
use crate::wire::{ContainerSpec, Stage};

pub(super) enum NewInstance {
    /// Started by an earlier engine that did not see the end of the postStart hook.
    Started(ContainerId),
    Created(ContainerId),
    Wanted(SandboxId, Box<ContainerSpec>),
}

/// One container on its way through the runtime.
pub(super) struct Launch {
    pub(super) machine: Arc<Machine>,
    pub(super) pod: Arc<Pod>,
    pub(super) container: Container,
    pub(super) instance: NewInstance,
    /// Exists while the postStart hook has not come back: the next engine runs it again then.
    pub(super) post_start_mark: PathBuf,
    pub(super) grace: Duration,
    pub(super) net: Option<PodNet>,
    pub(super) turn: StartTurn,
}

/// Containers are created side by side and started one after the other.
#[derive(Default)]
pub(super) struct StartTurn {
    /// Closed when the container before has been started, or will not be.
    after: Option<oneshot::Receiver<()>>,
    /// Dropped when this one has been.
    done: Option<oneshot::Sender<()>>,
}

impl StartTurn {
    /// The turn after `last`, which becomes this one.
    pub(super) fn next(last: &mut Option<oneshot::Receiver<()>>) -> Self {
        let (done, follows) = oneshot::channel();
        Self {
            after: last.replace(follows),
            done: Some(done),
        }
    }

    async fn come(&mut self) {
        if let Some(after) = self.after.take() {
            // Nothing is ever sent: the end of the channel is the word.
            let _ = after.await;
        }
    }

    fn pass(&mut self) {
        self.done = None;
    }
}

pub(super) type Launched = (String, ContainerId, Result<(), NotNow>);

impl NewInstance {
    pub(super) fn id(&self) -> &ContainerId {
        match self {
            Self::Started(id) | Self::Created(id) => id,
            Self::Wanted(_, spec) => &spec.id,
        }
    }
}

impl Launch {
    pub(super) fn id(&self) -> &ContainerId {
        self.instance.id()
    }

    pub(super) async fn run(mut self) -> Launched {
        let mut turn = std::mem::take(&mut self.turn);
        let started = self.create_and_start(&mut turn).await;
        turn.pass();
        let result = match started {
            Ok(id) => self.post_start(id).await,
            Err(error) => Err(error),
        };
        (self.container.name.clone(), self.id().clone(), result)
    }

    async fn create_and_start(&self, turn: &mut StartTurn) -> Result<ContainerId, NotNow> {
        let runtime = &self.machine.runtime;
        let id = match &self.instance {
            NewInstance::Started(id) => return Ok(id.clone()),
            NewInstance::Created(id) => id.clone(),
            NewInstance::Wanted(sandbox, spec) => {
                let id = spec.id.clone();
                if let Err(error) = runtime
                    .create_container(sandbox, ContainerSpec::clone(spec))
                    .await
                {
                    let reason = match &error {
                        RuntimeError::Fault(fault) if fault.stage == Stage::SubPath => {
                            "CreateContainerConfigError"
                        }
                        _ => "CreateContainerError",
                    };
                    return Err(self.refused(reason, &error));
                }
                self.tell(Level::Normal, "Created", "Container created".to_owned());
                id
            }
        };
        if self.hook().is_some() {
            self.mark().await?;
        }
        turn.come().await;
        if let Err(error) = runtime.start_container(&id).await {
            return Err(self.refused("RunContainerError", &error));
        }
        self.tell(Level::Normal, "Started", "Container started".to_owned());
        Ok(id)
    }

    fn hook(&self) -> Option<&LifecycleHandler> {
        self.container.lifecycle.as_ref()?.post_start.as_ref()
    }

    async fn mark(&self) -> Result<(), NotNow> {
        let path = &self.post_start_mark;
        let made = match path.parent() {
            Some(directory) => tokio::fs::create_dir_all(directory).await,
            None => Ok(()),
        };
        let written = match made {
            Ok(()) => tokio::fs::write(path, []).await,
            error => error,
        };
        written.map_err(|error| {
            let text = format!("failed to create {}: {error}", path.display());
            self.tell(Level::Warning, "Failed", format!("Error: {text}"));
            NotNow::new("CreateContainerError", text, RETRY)
        })
    }

    /// Runs the postStart hook beside the container. A container whose hook failed is killed.
    async fn post_start(&self, id: ContainerId) -> Result<(), NotNow> {
        let Some(handler) = self.hook().cloned() else {
            return Ok(());
        };
        let hook = Hook {
            machine: Arc::clone(&self.machine),
            pod: Arc::clone(&self.pod),
            container: self.container.clone(),
            id: id.clone(),
            net: self.net.clone(),
            handler,
        };
        let result = match hook.run().await {
            Ok(()) => Ok(()),
            Err(text) => {
                self.kill_failed(id).await?;
                Err(NotNow::new("PostStartHookError", text, END_SHOWN_FOR))
            }
        };
        if let Err(error) = tokio::fs::remove_file(&self.post_start_mark).await {
            tracing::warn!(path = %self.post_start_mark.display(), %error, "cannot be removed");
        }
        result
    }

    async fn kill_failed(&self, id: ContainerId) -> Result<(), NotNow> {
        let failed = "FailedPostStartHook";
        self.tell(Level::Warning, failed, "PostStartHook failed".to_owned());
        self.tell(Level::Normal, "Killing", failed.to_owned());
        let window = watch::Sender::new(self.grace);
        let kill = Kill {
            machine: Arc::clone(&self.machine),
            pod: Arc::clone(&self.pod),
            container: Some(self.container.clone()),
            name: self.container.name.clone(),
            id,
            net: self.net.clone(),
            grace: window.subscribe(),
            turn: Turn::default(),
        };
        kill.run().await.map_err(|text| {
            let message = format!("error killing pod: {text}");
            self.tell(Level::Warning, "FailedKillPod", message);
            NotNow::new("PostStartHookError", text, RETRY)
        })
    }

    fn refused(&self, reason: &str, error: &RuntimeError) -> NotNow {
        let text = chain(error);
        self.tell(Level::Warning, "Failed", format!("Error: {text}"));
        NotNow::new(reason, text, RETRY)
    }

    fn tell(&self, level: Level, reason: &str, message: String) {
        self.machine.recorder.pod(
            KUBELET,
            &self.pod,
            Some(&self.container.name),
            level,
            reason,
            message,
        );
    }
}
