use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::files::remove_directory;
use super::kill::{Kill, Turn, turns};
use super::task::{Desired, PodWorker};
use super::volumes::Volumes;
use crate::base::{ContainerId, chain};
use crate::engine::observe::PodObservation;
use crate::engine::recorder::Level;
use crate::engine::restart::backoff_key;
use crate::model::Resource;
use crate::model::pod::{all_containers, grace_period_seconds, init_containers};
use crate::runtime::RuntimeError;

/// Wait between two tries to get rid of something that resists.
const RESISTS: Duration = Duration::from_secs(2);

/// An eviction that takes longer than this, or one and a half times its grace, is told (kubelet `killPodNow`).
const LEAST_PATIENCE: Duration = Duration::from_secs(10);

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

impl PodWorker {
    /// The grace period of a kill now, in whole seconds as the pod or its deletion says.
    pub(super) fn grace(&self) -> Duration {
        let of = |pod: &Pod| {
            let seconds = grace_period_seconds(pod);
            // A deletion leaves a second at least (kubelet `calculateEffectiveGracePeriod`).
            let least = i64::from(pod.metadata.deletion_timestamp.is_some() || seconds < 0);
            seconds.max(least).unsigned_abs()
        };
        Duration::from_secs(match &*self.desired.borrow() {
            Desired::Removed => 1,
            Desired::Pod(pod) => of(pod),
            Desired::ShutDown { .. } => of(&self.pod),
        })
    }

    /// The grace period of a kill that brings its own, in seconds; that of a deletion comes first.
    fn grace_or(&self, own: Option<i64>) -> Duration {
        match (own, &*self.desired.borrow()) {
            (Some(seconds), Desired::Pod(pod)) if pod.metadata.deletion_timestamp.is_none() => {
                Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
            }
            _ => self.grace(),
        }
    }

    /// Stops every running container, all at once. A deletion that shortens the grace period meanwhile
    /// shortens the wait. `grace` overrules the pod's; `None` is the usual one.
    pub(super) async fn kill_all(&mut self, grace: Option<Duration>) {
        self.observe().await;
        let seen = self.observation();
        let running: Vec<(String, ContainerId)> = seen
            .instances
            .all()
            .filter(|(_, instance)| instance.current && instance.is_running())
            .map(|(name, instance)| (name.to_owned(), instance.id.clone()))
            .collect();
        if running.is_empty() {
            return;
        }
        self.probes.terminate();
        let names: Vec<&str> = running.iter().map(|(name, _)| name.as_str()).collect();
        let spec = self.pod.spec.clone().unwrap_or_default();
        let mut turns = turns(&spec, &names);
        let window = watch::Sender::new(grace.unwrap_or_else(|| self.grace()));
        let mut kills = JoinSet::new();
        for (name, id) in running {
            let text = format!("Stopping container {name}");
            self.named_event(&name, Level::Normal, "Killing", text);
            let (gone, turn) = turns.remove(&name).unwrap_or_default();
            let kill = self.kill(name, id, window.subscribe(), turn);
            kills.spawn(async move {
                let killed = kill.run().await;
                gone.send_replace(true);
                killed
            });
        }
        self.finish_kills(kills, &window).await;
    }

    /// Stops one container as the plan says.
    pub(super) async fn kill_one(
        &mut self,
        name: &str,
        id: &ContainerId,
        grace: Option<i64>,
    ) -> Result<(), String> {
        let window = watch::Sender::new(self.grace_or(grace));
        let kill = self.kill(
            name.to_owned(),
            id.clone(),
            window.subscribe(),
            Turn::default(),
        );
        let killed = kill.run().await;
        self.observe().await;
        killed
    }

    fn kill(
        &self,
        name: String,
        id: ContainerId,
        grace: watch::Receiver<Duration>,
        turn: Turn,
    ) -> Kill {
        Kill {
            machine: Arc::clone(&self.machine),
            pod: Arc::new(self.pod.clone()),
            container: self.find_container(&name),
            name,
            id,
            net: self.pod_net(&self.observation()),
            grace,
            turn,
        }
    }

    async fn finish_kills(
        &mut self,
        mut kills: JoinSet<Result<(), String>>,
        window: &watch::Sender<Duration>,
    ) {
        let mut patience = self.eviction_grace.map(|grace| {
            let most = grace.saturating_mul(3) / 2;
            Instant::now() + most.max(LEAST_PATIENCE)
        });
        loop {
            let mut desired = self.desired.clone();
            desired.mark_unchanged();
            let shorter = self.grace();
            window.send_if_modified(|grace| {
                let shortens = shorter < *grace;
                *grace = shorter.min(*grace);
                shortens
            });
            // `join_next` and `changed` lose nothing when they are dropped, the others are only clocks and hints.
            tokio::select! {
                done = kills.join_next() => match done {
                    None => return,
                    Some(Ok(Ok(()))) => {
                        self.observe().await;
                        self.publish();
                    }
                    Some(Ok(Err(text))) => {
                        self.event(Level::Warning, "FailedKillPod", format!("error killing pod: {text}"));
                    }
                    Some(Err(error)) => tracing::warn!(%error, "stopping a container was cut short"),
                },
                () = until(patience) => {
                    patience = None;
                    let text = "Container runtime did not kill the pod within specified grace period.";
                    self.event(Level::Warning, "ExceededGracePeriod", text.to_owned());
                }
                // Readiness goes on being probed.
                () = self.hint.notified() => self.publish(),
                Ok(()) = desired.changed() => {}
            }
        }
    }

    /// Kills and removes every container and keeps the sandbox: application containers first, those that
    /// asked for it last, so that an engine that starts in between knows what to go on with. Without
    /// preStop hooks and without back-off.
    pub(super) async fn restart_all(&mut self, triggers: &[String]) -> Result<(), Duration> {
        self.kill_all(Some(Duration::ZERO)).await;
        let mut seen = self.observation();
        if seen.any_running() {
            return Err(RESISTS);
        }
        let mut doomed: Vec<(String, ContainerId, u32)> = seen
            .instances
            .all()
            .filter(|(_, instance)| instance.current)
            .map(|(name, instance)| (name.to_owned(), instance.id.clone(), instance.attempt))
            .collect();
        let spec = self.pod.spec.clone().unwrap_or_default();
        let is_init = |name: &str| init_containers(&spec).iter().any(|one| one.name == name);
        doomed.sort_by_key(|(name, _, _)| (triggers.contains(name), is_init(name)));
        seen.instances.remove_all();
        self.past = seen.instances.clone();
        // What the shim knows goes with the containers: it must be in the store first.
        self.publish_seen(&seen);
        if let Some(publisher) = &self.publisher {
            publisher.flush().await;
        }
        for (name, id, attempt) in doomed {
            if let Err(error) = self.machine.runtime.remove_container(&id).await {
                let text = format!("error killing pod: {}", chain(&error));
                self.event(Level::Warning, "FailedKillPod", text);
                return Err(RESISTS);
            }
            let scratch = self.scratch(&name, attempt);
            remove_directory(scratch.directory).await;
            remove_directory(scratch.termination_log).await;
        }
        for container in all_containers(&spec) {
            self.backoffs.forget(&backoff_key(container));
        }
        self.history.waiting.clear();
        self.observe().await;
        self.publish();
        Ok(())
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
        self.kill_all(self.eviction_grace).await;
        while self.sandbox.is_some() {
            if self.drop_sandbox().await.is_err() {
                tokio::time::sleep(RESISTS).await;
                self.observe().await;
            }
        }
        self.machine.network.release(&self.uid);
        self.machine.ids.release(&self.uid);
        self.machine.remove_bridge_later();
        self.volumes = Volumes::default();
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
        self.settle().await;
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
