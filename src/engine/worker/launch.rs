use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use super::image::{NotNow, RETRY};
use crate::base::{ContainerId, SandboxId, chain};
use crate::engine::machine::Machine;
use crate::engine::recorder::{KUBELET, Level};
use crate::runtime::RuntimeError;
use crate::wire::ContainerSpec;

pub(super) enum NewInstance {
    Created(ContainerId),
    Wanted(SandboxId, Box<ContainerSpec>),
}

/// One container on its way through the runtime.
pub(super) struct Launch {
    pub(super) machine: Arc<Machine>,
    pub(super) pod: Pod,
    pub(super) container: String,
    pub(super) instance: NewInstance,
}

pub(super) type Launched = (String, Result<(), NotNow>);

impl Launch {
    pub(super) async fn run(self) -> Launched {
        let result = self.create_and_start().await;
        (self.container, result)
    }

    async fn create_and_start(&self) -> Result<(), NotNow> {
        let runtime = &self.machine.runtime;
        let id = match &self.instance {
            NewInstance::Created(id) => id.clone(),
            NewInstance::Wanted(sandbox, spec) => {
                let id = spec.id.clone();
                if let Err(error) = runtime
                    .create_container(sandbox, ContainerSpec::clone(spec))
                    .await
                {
                    return Err(self.refused("CreateContainerError", &error));
                }
                self.tell(Level::Normal, "Created", "Container created".to_owned());
                id
            }
        };
        if let Err(error) = runtime.start_container(&id).await {
            return Err(self.refused("RunContainerError", &error));
        }
        self.tell(Level::Normal, "Started", "Container started".to_owned());
        Ok(())
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
            Some(&self.container),
            level,
            reason,
            message,
        );
    }
}
