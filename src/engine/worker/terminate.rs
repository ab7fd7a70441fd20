use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::files::remove_directory;
use super::task::{Desired, PodWorker};
use crate::base::{ContainerId, chain};
use crate::engine::observe::PodObservation;
use crate::engine::recorder::Level;
use crate::model::Resource;
use crate::model::pod::grace_period_seconds;
use crate::runtime::RuntimeError;

/// However short the grace period, a container has this long to end by itself
/// (kubelet `minimumGracePeriodInSeconds`).
const MINIMUM_GRACE: Duration = Duration::from_secs(2);
/// Wait between two tries to get rid of something that resists.
const RESISTS: Duration = Duration::from_secs(2);

impl PodWorker {
    /// The grace period of a kill now, in whole seconds as the pod or its deletion says.
    pub(super) fn grace(&self) -> Duration {
        let seconds = match &*self.desired.borrow() {
            Desired::Removed => 0,
            Desired::Pod(pod) => grace_period_seconds(pod),
            Desired::ShutDown { .. } => grace_period_seconds(&self.pod),
        };
        Duration::from_secs(u64::try_from(seconds).unwrap_or(0)).max(MINIMUM_GRACE)
    }

    /// Stops every running container, all at once. A deletion that shortens the grace period meanwhile
    /// shortens the wait. `message` of the Killing events; `None` is the usual text.
    pub(super) async fn kill_all(&mut self, message: Option<&str>) {
        self.observe().await;
        let seen = self.observation();
        let mut running: HashMap<ContainerId, String> = HashMap::new();
        for (name, instance) in seen.instances.all() {
            if instance.current && instance.is_running() {
                running.insert(instance.id.clone(), name.to_owned());
            }
        }
        if running.is_empty() {
            return;
        }
        let mut grace = self.grace();
        let mut stops = JoinSet::new();
        for (id, name) in &running {
            let text = message.map_or_else(|| format!("Stopping container {name}"), str::to_owned);
            self.named_event(name, Level::Normal, "Killing", text);
            self.stop(&mut stops, id.clone(), grace);
        }
        loop {
            let mut desired = self.desired.clone();
            desired.mark_unchanged();
            // `join_next` and `changed` lose nothing when they are dropped.
            tokio::select! {
                done = stops.join_next() => match done {
                    None => return,
                    Some(Ok((id, Ok(())))) => {
                        running.remove(&id);
                        self.observe().await;
                        self.publish();
                    }
                    Some(Ok((_, Err(text)))) => {
                        self.event(Level::Warning, "FailedKillPod", format!("error killing pod: {text}"));
                    }
                    Some(Err(error)) => tracing::warn!(%error, "stopping a container was cut short"),
                },
                Ok(()) = desired.changed() => {
                    let shorter = self.grace();
                    if shorter < grace {
                        grace = shorter;
                        for id in running.keys() {
                            self.stop(&mut stops, id.clone(), grace);
                        }
                    }
                }
            }
        }
    }

    fn stop(
        &self,
        stops: &mut JoinSet<(ContainerId, Result<(), String>)>,
        id: ContainerId,
        grace: Duration,
    ) {
        let runtime = Arc::clone(&self.machine.runtime);
        stops.spawn(async move {
            let result = match runtime.stop_container(&id, None, grace).await {
                // Gone is gone, whoever did it.
                Ok(_)
                | Err(RuntimeError::UnknownContainer(_) | RuntimeError::UnknownSandbox(_)) => {
                    Ok(())
                }
                Err(error) => Err(chain(&error)),
            };
            (id, result)
        });
    }

    /// Stops and removes the sandbox; what its containers were becomes history.
    pub(super) async fn drop_sandbox(&mut self) -> Result<(), RuntimeError> {
        let Some(id) = self.sandbox.as_ref().map(|state| state.spec.id.clone()) else {
            return Ok(());
        };
        let stopped = self.machine.runtime.stop_pod_sandbox(&id).await;
        // The ends of containers that died with the sandbox; a dead shim ends the matter here.
        self.observe().await;
        if self.sandbox.is_none() {
            return Ok(());
        }
        // The records of the shim go with it: what they say must be in the store first.
        self.publish();
        if let Some(publisher) = &self.publisher {
            publisher.flush().await;
        }
        if let Err(error) = stopped.and(self.machine.runtime.remove_pod_sandbox(&id, None).await) {
            self.event(
                Level::Warning,
                "FailedKillPod",
                format!("error killing pod: {}", chain(&error)),
            );
            return Err(error);
        }
        self.machine.board.unroute(&id);
        if let Some(state) = self.sandbox.take() {
            self.past = PodObservation::new(Some(&state), &self.past).instances;
            self.past.outlive_sandbox(self.machine.clock.now());
        }
        Ok(())
    }

    /// Containers, sandbox, address, volumes: nothing of the pod is left on the machine but its logs.
    async fn tear_down(&mut self) {
        self.kill_all(None).await;
        while self.sandbox.is_some() {
            if self.drop_sandbox().await.is_err() {
                tokio::time::sleep(RESISTS).await;
                self.observe().await;
            }
        }
        self.machine.network.release(&self.uid);
        self.machine.remove_bridge_later();
        self.prepared = None;
        remove_directory(self.machine.directories.pod(&self.uid)).await;
    }

    /// The pod has ended by itself: everything goes, the object stays with its final status.
    pub(super) async fn complete(&mut self) {
        // The status says already that the pod is ending, while its last containers still run.
        self.publish();
        self.tear_down().await;
        self.history.terminated = true;
        self.publish();
    }

    /// The pod is deleted: everything goes, the final status is written, and then the object may go.
    pub(super) async fn delete(&mut self) {
        self.tear_down().await;
        self.history.terminated = true;
        self.publish();
    }

    /// The last step of a deletion.
    pub(super) async fn remove_object(&mut self) {
        if let Some(publisher) = self.publisher.take() {
            publisher.finish().await;
        }
        remove_directory(self.logs()).await;
        self.machine.board.take_down(&self.uid);
        if !self.is_stored() {
            return;
        }
        let key = self.pod.key();
        if let Err(error) = self.machine.status.remove_pod(&key, &self.uid).await {
            tracing::error!(
                pod = self.name(),
                error = chain(&error),
                "a deleted pod could not be removed"
            );
        }
    }

    /// The engine ends and takes its pods along; the objects stay.
    pub(super) async fn shut_down(&mut self) {
        self.kill_all(None).await;
        if self.drop_sandbox().await.is_ok() {
            self.machine.network.release(&self.uid);
        }
        self.publish();
    }
}
