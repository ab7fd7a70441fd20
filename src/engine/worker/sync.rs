use std::time::Duration;

use super::image::RETRY;
use super::start::Start;
use super::task::{End, PodWorker};
use crate::base::{ContainerId, chain};
use crate::engine::observe::{Phase, PodObservation};
use crate::engine::plan::{CrashLoop, PodAction, plan};
use crate::engine::recorder::Level;
use crate::engine::status::{Why, is_terminal};
use crate::runtime::RuntimeError;
use crate::wire::Cleanup;

impl PodWorker {
    /// One pass: look, tell, decide, act. Returns when to look again without being asked.
    pub(super) async fn sync(&mut self) -> Result<Option<Duration>, End> {
        self.observe().await;
        let look_again = self.take_resources();
        self.tell_resized();
        self.publish();
        if is_terminal(self.phase()) {
            return Err(End::Completion);
        }
        if self.is_held() && self.sandbox.is_none() {
            return Ok(None);
        }
        let now = self.machine.clock.now();
        let seen = self.observation();
        let plan = plan(
            &self.pod,
            &seen,
            &self.probes.snapshot(),
            &self.backoffs,
            now,
        );
        if plan.deadline_exceeded {
            let text = "Pod was active on the node longer than the specified deadline";
            self.event(Level::Normal, "DeadlineExceeded", text.to_owned());
            self.history.failed = Some(Why {
                reason: "DeadlineExceeded".to_owned(),
                message: text.to_owned(),
            });
            return Err(End::Completion);
        }
        if plan.actions.contains(&PodAction::Finish) {
            return Err(End::Completion);
        }
        let mut again = plan.requeue_after;
        if let Some(after) = look_again {
            again = Some(again.map_or(after, |other| other.min(after)));
        }
        let mut sooner = |after: Duration| {
            again = Some(again.map_or(after, |other| other.min(after)));
        };
        for crash_loop in plan.crash_loops.iter().filter(|wait| wait.shown) {
            self.tell_crash_loop(crash_loop);
        }
        let replaces = plan
            .actions
            .iter()
            .any(|action| matches!(action, PodAction::CreateSandbox { .. }));
        let mut starts = Vec::new();
        let mut blocked = false;
        for action in plan.actions {
            match action {
                PodAction::StartContainer { name, attempt, .. } => {
                    let ended_at = seen.instances.last_end(&name);
                    starts.push((name, Start::New { attempt, ended_at }));
                }
                PodAction::ResumeContainer { name, id } => {
                    starts.push((name, Start::Created { id }));
                }
                PodAction::Resize => {
                    // What cannot be resized now does not keep others from starting.
                    if let Err(after) = self.resize().await {
                        sooner(after);
                    }
                }
                action => {
                    if let Err(after) = self.act(action, replaces).await {
                        sooner(after);
                        // Without a sandbox, or with an old instance in the way, nothing can be started.
                        blocked = true;
                        break;
                    }
                }
            }
        }
        if !blocked && let Err(after) = self.refresh_contents().await {
            sooner(after);
            // A container must not see a volume that has not been filled.
            blocked = true;
        }
        if let Some(after) = self.until_renewal() {
            sooner(after);
        }
        if !blocked && let Some(after) = self.start_all(starts).await {
            sooner(after);
        }
        self.publish();
        // The sandbox may have been stopped just now, and with it the last that ran.
        if is_terminal(self.phase()) {
            return Err(End::Completion);
        }
        Ok(again)
    }

    /// Everything but starts. `Err`: when to try again.
    async fn act(&mut self, action: PodAction, replaces: bool) -> Result<(), Duration> {
        match action {
            PodAction::StopSandbox => {
                if replaces {
                    self.event(
                        Level::Normal,
                        "SandboxChanged",
                        "Pod sandbox changed, it will be killed and re-created.".to_owned(),
                    );
                }
                self.kill_all(None).await;
                self.drop_sandbox().await.map_err(|_| RETRY)?;
                self.publish();
                Ok(())
            }
            PodAction::CreateSandbox { .. } => self.create_sandbox().await,
            PodAction::RestartAll { triggers } => {
                self.restart_all(&triggers).await?;
                // The next pass begins anew.
                Err(Duration::ZERO)
            }
            PodAction::KillContainer {
                name,
                id,
                message,
                grace,
            } => {
                self.will_kill(&id, &message);
                self.named_event(&name, Level::Normal, "Killing", message);
                if let Err(text) = self.kill_one(&name, &id, grace).await {
                    let text = format!("error killing pod: {text}");
                    self.event(Level::Warning, "FailedKillPod", text);
                    return Err(RETRY);
                }
                Ok(())
            }
            PodAction::StartContainer { .. }
            | PodAction::Resize
            | PodAction::ResumeContainer { .. }
            | PodAction::Finish => Ok(()),
        }
    }

    fn tell_crash_loop(&mut self, crash_loop: &CrashLoop) {
        let name = &crash_loop.container;
        let place = format!(
            "{}_{}({})",
            self.pod.metadata.name.as_deref().unwrap_or_default(),
            self.pod.metadata.namespace.as_deref().unwrap_or_default(),
            self.uid
        );
        self.history.waiting.insert(
            name.clone(),
            Why {
                reason: "CrashLoopBackOff".to_owned(),
                message: format!(
                    "back-off {} restarting failed container={name} pod={place}",
                    go_duration(crash_loop.wait.delay)
                ),
            },
        );
        let id = self
            .observation()
            .instances
            .newest(name)
            .map(|instance| instance.id.clone());
        if id.is_some_and(|id| self.told.insert(id)) {
            self.named_event(
                name,
                Level::Warning,
                "BackOff",
                format!("Back-off restarting failed container {name} in pod {place}"),
            );
        }
    }

    /// Reads the state of the sandbox anew. A dead shim ends the sandbox here.
    pub(super) async fn observe(&mut self) {
        let Some(id) = self.sandbox.as_ref().map(|state| state.spec.id.clone()) else {
            return;
        };
        match self.machine.runtime.sandbox(&id).await {
            Ok(state) => {
                self.machine.board.note(&state.notes);
                self.sandbox = Some(state);
                self.read_messages().await;
            }
            Err(RuntimeError::UnknownSandbox(_) | RuntimeError::Unreachable { .. }) => {
                self.lose_sandbox().await;
            }
            Err(error) => {
                self.event(
                    Level::Warning,
                    "FailedPodSandBoxStatus",
                    format!("Unable to get pod sandbox status: {}", chain(&error)),
                );
            }
        }
    }

    /// The shim is dead: what it left is killed and cleaned up, its containers become history.
    async fn lose_sandbox(&mut self) {
        let Some(mut state) = self.sandbox.take() else {
            return;
        };
        let name = self.name();
        tracing::warn!(pod = name, sandbox = %state.spec.id, "the shim of the sandbox is gone");
        let what = Cleanup {
            directory: state.spec.directory.clone(),
            cgroup: state
                .spec
                .cgroup
                .iter()
                .map(|level| level.name.clone())
                .collect(),
            host_interface: state
                .spec
                .network
                .as_ref()
                .map(|network| network.host_interface.clone()),
            bridge: None,
        };
        match self.machine.runtime.clean_up(what).await {
            // What the shim wrote last may be newer than what it could tell.
            Ok(Some(record)) if record.spec.id == state.spec.id => state = *record,
            Ok(_) => {}
            Err(error) => self.event(
                Level::Warning,
                "FailedKillPod",
                format!("error killing pod: {}", chain(&error)),
            ),
        }
        self.machine.board.unroute(&state.spec.id);
        self.event(
            Level::Normal,
            "SandboxChanged",
            "Pod sandbox changed, it will be killed and re-created.".to_owned(),
        );
        self.past = PodObservation::new(Some(&state), &self.past).instances;
        self.past.outlive_sandbox(self.machine.clock.now());
    }

    /// Termination messages of containers that have ended since the last look.
    pub(super) async fn read_messages(&mut self) {
        let seen = PodObservation::new(self.sandbox.as_ref(), &self.past);
        let ended: Vec<(String, ContainerId, u32, i32)> = seen
            .instances
            .all()
            .filter(|(_, instance)| {
                matches!(&instance.phase, Phase::Exited(exit) if exit.started_at.is_some())
                    && !self.messages.contains_key(&instance.id)
                    && instance.current
            })
            .map(|(name, instance)| {
                let code = instance.exit_code().unwrap_or_default();
                (name.to_owned(), instance.id.clone(), instance.attempt, code)
            })
            .collect();
        for (name, id, attempt, code) in ended {
            let Some(container) = self.find_container(&name) else {
                continue;
            };
            let scratch = self.scratch(&name, attempt);
            let log = self.log_path(&name, attempt);
            let count = self
                .pod
                .spec
                .as_ref()
                .map_or(1, |spec| crate::model::pod::every_container(spec).count());
            let read = tokio::task::spawn_blocking(move || {
                super::message::termination_message(
                    &container,
                    count,
                    &scratch.termination_log,
                    &log,
                    code,
                )
            });
            self.messages.insert(id, read.await.unwrap_or_default());
        }
        // Only what can still be shown is remembered.
        let shown: Vec<&ContainerId> = seen.instances.all().map(|(_, one)| &one.id).collect();
        self.messages.retain(|id, _| shown.contains(&id));
        self.told.retain(|id| shown.contains(&id));
    }
}

/// Go's text of a duration in whole seconds: `10s`, `1m20s`, `5m0s`.
fn go_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (hours, minutes, seconds) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_in_go() {
        let texts = [10, 80, 300, 3661].map(|seconds| go_duration(Duration::from_secs(seconds)));
        assert_eq!(texts, ["10s", "1m20s", "5m0s", "1h1m1s"]);
    }
}
