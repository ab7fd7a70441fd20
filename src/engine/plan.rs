//! What to do next for one pod. Pure: the oracle is the kubelet's `computePodActions`.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};

use super::conditions::RESTARTING_ALL;
use super::observe::{Instance, LOST_EXIT_CODE, Phase, PodObservation};
use super::resize::{is_behind, needs_restart};
use super::restart::{
    AfterExit, Backoffs, RestartPolicy, Role, Wait, after_exit, backoff_key, containers,
    effective_policy, init_role, may_restart, restarts_after,
};
use super::translate::container_hash;
use crate::base::ContainerId;
use crate::model::pod::{as_container, find_ephemeral};
use crate::model::restarts::asked_at;
use crate::probe::{ProbeKind, Probes};

/// An ended container shows how it ended for this long before it shows its back-off, so that a person
/// (and a watch) sees `Error` before `CrashLoopBackOff`; it is the kubelet's relist period.
pub(super) const END_SHOWN_FOR: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PodAction {
    /// Kill every container and the sandbox. Followed by `CreateSandbox` when the pod goes on.
    StopSandbox,
    CreateSandbox {
        attempt: u32,
    },
    KillContainer {
        name: String,
        id: ContainerId,
        message: String,
        /// Seconds; `None` is the grace period of the pod.
        grace: Option<i64>,
    },
    /// Make a new instance and start it.
    StartContainer {
        name: String,
        role: Role,
        /// `None`: no earlier instance is known; the log directory tells.
        attempt: Option<u32>,
    },
    /// Go on with an instance that was created and never started, or whose postStart hook was cut off.
    ResumeContainer {
        name: String,
        id: ContainerId,
    },
    /// Kill and remove every container; all begin anew in the same sandbox. Those that asked for it go last.
    RestartAll {
        triggers: Vec<String>,
    },
    /// Give what runs the limits of the spec.
    Resize,
    /// Nothing more can run although no phase says so yet: end the pod.
    Finish,
}

/// A container that would run if its back-off were over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CrashLoop {
    pub(super) container: String,
    pub(super) wait: Wait,
    /// The end has been shown long enough; the back-off is what the status says now.
    pub(super) shown: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PodPlan {
    pub(super) actions: Vec<PodAction>,
    pub(super) crash_loops: Vec<CrashLoop>,
    /// Look again after this time even if nothing happens.
    pub(super) requeue_after: Option<Duration>,
    /// `activeDeadlineSeconds` has passed: the pod fails.
    pub(super) deadline_exceeded: bool,
}

pub(super) fn plan(
    pod: &Pod,
    observation: &PodObservation,
    probes: &Probes,
    backoffs: &Backoffs,
    now: Timestamp,
) -> PodPlan {
    let mut planner = Planner {
        pod,
        observation,
        probes,
        backoffs,
        now,
        plan: PodPlan::default(),
    };
    if planner.check_deadline() {
        planner.plan.deadline_exceeded = true;
        return planner.plan;
    }
    planner.compute();
    planner.plan
}

/// What one pass does to the containers of a pod that has its sandbox.
#[derive(Default)]
struct Work<'a> {
    kills: Vec<PodAction>,
    starts: Vec<(&'a Container, Role)>,
}

impl Work<'_> {
    fn is_empty(&self) -> bool {
        self.kills.is_empty() && self.starts.is_empty()
    }
}

/// Where the init sequence stands.
enum InitSequence<'a> {
    /// A container failed that is not restarted: the pod has failed.
    Failed,
    Runs(Work<'a>),
    /// The application may run; the work is that of sidecars.
    Over(Work<'a>),
}

enum InitState {
    Failed,
    Wait,
    /// The next one may be begun.
    Done,
}

fn kill(container: &Container, instance: &Instance, message: String) -> PodAction {
    PodAction::KillContainer {
        name: container.name.clone(),
        id: instance.id.clone(),
        message,
        grace: None,
    }
}

fn resized(container: &Container) -> String {
    format!("Container {} resize requires restart", container.name)
}

struct Planner<'a> {
    pod: &'a Pod,
    observation: &'a PodObservation,
    probes: &'a Probes,
    backoffs: &'a Backoffs,
    now: Timestamp,
    plan: PodPlan,
}

impl<'a> Planner<'a> {
    fn spec(&self) -> &'a PodSpec {
        // Admission refuses a pod without spec.
        static EMPTY: std::sync::LazyLock<PodSpec> = std::sync::LazyLock::new(Default::default);
        self.pod.spec.as_ref().unwrap_or(&EMPTY)
    }

    fn requeue_at(&mut self, at: Timestamp) {
        let after = Duration::try_from(at.duration_since(self.now)).unwrap_or(Duration::ZERO);
        let after = after.max(Duration::from_millis(1));
        self.plan.requeue_after = Some(
            self.plan
                .requeue_after
                .map_or(after, |other| other.min(after)),
        );
    }

    fn check_deadline(&mut self) -> bool {
        let Some(seconds) = self.spec().active_deadline_seconds else {
            return false;
        };
        let started = self
            .pod
            .status
            .as_ref()
            .and_then(|status| status.start_time.as_ref())
            .map_or(self.now, |time| time.0);
        let deadline = started
            .checked_add(jiff::SignedDuration::from_secs(seconds))
            .unwrap_or(Timestamp::MAX);
        if deadline <= self.now {
            return true;
        }
        self.requeue_at(deadline);
        false
    }

    fn compute(&mut self) {
        let spec = self.spec();
        if let Some(attempt) = self.new_sandbox_attempt() {
            self.compute_without_sandbox(attempt);
            return;
        }
        if restarts_all(self.pod, self.observation) {
            let triggers = restart_triggers(spec, self.observation);
            self.plan.actions.push(PodAction::RestartAll { triggers });
            return;
        }
        self.await_asked_restarts();
        let init = match self.compute_init() {
            InitSequence::Failed => {
                self.plan.actions.push(PodAction::StopSandbox);
                return;
            }
            InitSequence::Runs(work) => {
                self.start_ephemeral();
                self.carry_out(work);
                return;
            }
            InitSequence::Over(work) => work,
        };
        let mut kept = 0;
        let mut app = Work::default();
        for container in &spec.containers {
            kept += usize::from(self.compute_app(container, &mut app));
        }
        if kept == 0 && app.is_empty() {
            // Nothing of the application runs or will run: sidecars do not keep the pod alive.
            self.plan.actions.push(PodAction::StopSandbox);
            return;
        }
        self.start_ephemeral();
        self.carry_out(Work {
            kills: [init.kills, app.kills].concat(),
            starts: [init.starts, app.starts].concat(),
        });
    }

    /// Ephemeral containers wait for nothing, and none is begun a second time.
    fn start_ephemeral(&mut self) {
        for ephemeral in self.spec().ephemeral_containers.iter().flatten() {
            let newest = self.observation.instances.newest(&ephemeral.name);
            let is_begun = newest
                .is_some_and(|instance| instance.phase != Phase::Created || !instance.current);
            if !is_begun {
                self.start(&as_container(ephemeral), Role::Ephemeral);
            }
        }
    }

    /// What is killed now gets its limits with its next instance.
    fn resize(&mut self) {
        let spec = self.spec();
        let dying = |instance: &Instance| self.kills(&instance.id);
        let mut runs = self.observation.clone();
        runs.instances.forget(dying);
        if is_behind(spec, &runs) {
            self.plan.actions.push(PodAction::Resize);
        }
    }

    /// Kills come first; init containers are begun before application containers.
    fn carry_out(&mut self, work: Work<'_>) {
        self.plan.actions.extend(work.kills);
        self.resize();
        for (container, role) in work.starts {
            self.start(container, role);
        }
    }

    /// `Some` when the pod needs another sandbox than the one it has.
    fn new_sandbox_attempt(&self) -> Option<u32> {
        let host_network = self.spec().host_network.unwrap_or(false);
        match &self.observation.sandbox {
            None => Some(0),
            Some(sandbox)
                if !sandbox.ready
                    || sandbox.host_network != host_network
                    || (!host_network && sandbox.address.is_none()) =>
            {
                Some(sandbox.attempt.saturating_add(1))
            }
            Some(_) => None,
        }
    }

    fn compute_without_sandbox(&mut self, attempt: u32) {
        let spec = self.spec();
        if self.observation.sandbox.is_some() {
            self.plan.actions.push(PodAction::StopSandbox);
        }
        let ran_before = !self.observation.instances.is_empty();
        let app_ran = spec
            .containers
            .iter()
            .any(|container| self.newest(container).is_some());
        let to_start: Vec<&Container> = spec
            .containers
            .iter()
            .filter(|container| self.runs_in_new_sandbox(container))
            .collect();
        if (!may_restart(spec) && ran_before) || (to_start.is_empty() && app_ran) {
            self.plan.actions.push(PodAction::Finish);
            return;
        }
        self.plan.actions.push(PodAction::CreateSandbox { attempt });
        match spec.init_containers.iter().flatten().next() {
            // A new sandbox runs the whole init sequence again.
            Some(first) => self.start(first, init_role(first)),
            None => {
                for container in to_start {
                    self.start(container, Role::App);
                }
            }
        }
    }

    /// What is still running dies with the old sandbox, by SIGKILL.
    fn runs_in_new_sandbox(&self, container: &Container) -> bool {
        self.newest(container).is_none_or(|instance| {
            instance.phase == Phase::Created
                || restarts_after(
                    self.spec(),
                    container,
                    Role::App,
                    instance.exit_code().unwrap_or(LOST_EXIT_CODE),
                )
        })
    }

    fn newest(&self, container: &Container) -> Option<&'a Instance> {
        let newest = self.observation.instances.newest(&container.name);
        newest.filter(|instance| !instance.removed)
    }

    /// The newest instance in the present sandbox: earlier ones say nothing about initialisation.
    fn current(&self, container: &Container) -> Option<&'a Instance> {
        self.newest(container).filter(|instance| instance.current)
    }

    /// Looks at the init containers from the last to the first: the last one that was begun tells how far the
    /// sequence has come, and those before it matter only if they are sidecars.
    fn compute_init(&self) -> InitSequence<'a> {
        let spec = self.spec();
        let list = spec.init_containers.as_deref().unwrap_or_default();
        let mut over = list.is_empty()
            || spec
                .containers
                .iter()
                .any(|container| self.current(container).is_some());
        let mut begun = over;
        let mut work = Work::default();
        for (index, container) in list.iter().enumerate().rev() {
            let role = init_role(container);
            let Some(instance) = self.current(container) else {
                if begun && role == Role::Sidecar {
                    work.starts.push((container, role));
                }
                continue;
            };
            if begun && role != Role::Sidecar {
                continue;
            }
            let done = match self.compute_init_container(container, role, instance, &mut work) {
                InitState::Failed => return InitSequence::Failed,
                InitState::Done => true,
                InitState::Wait => false,
            };
            if done && !begun {
                match list.get(index + 1) {
                    Some(next) => work.starts.push((next, init_role(next))),
                    None => over = true,
                }
            }
            begun = true;
        }
        if !begun && let Some(first) = list.first() {
            work.starts.push((first, init_role(first)));
        }
        work.starts.reverse();
        if over {
            InitSequence::Over(work)
        } else {
            InitSequence::Runs(work)
        }
    }

    fn compute_init_container(
        &self,
        container: &'a Container,
        role: Role,
        instance: &Instance,
        work: &mut Work<'a>,
    ) -> InitState {
        match (role, &instance.phase) {
            (_, Phase::Created) => {
                work.starts.push((container, role));
                InitState::Wait
            }
            (_, Phase::Running { .. }) if instance.starting => {
                work.starts.push((container, role));
                InitState::Wait
            }
            (Role::Sidecar, Phase::Running { .. }) => {
                if self.has_changed(container, instance) {
                    let text = format!("Init container {} definition changed", container.name);
                    work.kills.push(kill(container, instance, text));
                    work.starts.push((container, role));
                } else if self.is_restart_asked(container, instance) {
                    work.kills
                        .push(kill(container, instance, restart_text(container)));
                    work.starts.push((container, role));
                } else if !self.kill_if_probe_failed(container, role, instance, work)
                    && needs_restart(self.spec(), container, instance)
                {
                    work.kills
                        .push(kill(container, instance, resized(container)));
                    work.starts.push((container, role));
                } else if !self.probes.is_started(container, &instance.id) {
                    return InitState::Wait;
                }
                InitState::Done
            }
            (_, Phase::Running { .. }) => InitState::Wait,
            (Role::Sidecar, Phase::Exited(_) | Phase::Lost { .. }) => {
                work.starts.push((container, role));
                InitState::Wait
            }
            (_, Phase::Exited(_) | Phase::Lost { .. }) => {
                let code = instance.exit_code().unwrap_or_default();
                if code == 0 {
                    InitState::Done
                } else if restarts_after(self.spec(), container, role, code) {
                    work.starts.push((container, role));
                    InitState::Wait
                } else {
                    InitState::Failed
                }
            }
        }
    }

    /// Returns whether the container runs on as it is.
    fn compute_app(&self, container: &'a Container, work: &mut Work<'a>) -> bool {
        let Some(instance) = self.newest(container) else {
            work.starts.push((container, Role::App));
            return false;
        };
        match instance.phase {
            Phase::Running { .. } => {
                if self.has_changed(container, instance) {
                    let text = format!(
                        "Container {} definition changed, will be restarted",
                        container.name
                    );
                    work.kills.push(kill(container, instance, text));
                    work.starts.push((container, Role::App));
                    return false;
                }
                if self.is_restart_asked(container, instance) {
                    work.kills
                        .push(kill(container, instance, restart_text(container)));
                    work.starts.push((container, Role::App));
                    return false;
                }
                if self.kill_if_probe_failed(container, Role::App, instance, work) {
                    return false;
                }
                if needs_restart(self.spec(), container, instance) {
                    work.kills
                        .push(kill(container, instance, resized(container)));
                    work.starts.push((container, Role::App));
                    return false;
                }
                if instance.starting {
                    work.starts.push((container, Role::App));
                }
                true
            }
            Phase::Created => {
                work.starts.push((container, Role::App));
                false
            }
            Phase::Exited(_) | Phase::Lost { .. } => {
                let code = instance.exit_code().unwrap_or_default();
                // A restart that was asked for goes on when the engine died between the end and the start.
                if restarts_after(self.spec(), container, Role::App, code)
                    || self.is_restart_asked(container, instance)
                {
                    work.starts.push((container, Role::App));
                }
                false
            }
        }
    }

    /// Kills a container whose liveness or startup probe has failed, and starts it again where an ordinary
    /// failure would. An end with code 0 counts as failure here, while it is under way; once it is over,
    /// its code decides as that of any end, as with the kubelet.
    fn kill_if_probe_failed(
        &self,
        container: &'a Container,
        role: Role,
        instance: &Instance,
        work: &mut Work<'a>,
    ) -> bool {
        let (name, probe) = match self.probes.failed(&instance.id) {
            None | Some(ProbeKind::Readiness) => return false,
            Some(ProbeKind::Liveness) => ("liveness", &container.liveness_probe),
            Some(ProbeKind::Startup) => ("startup", &container.startup_probe),
        };
        let restarts = effective_policy(self.spec(), container, role) != RestartPolicy::Never;
        let message = match role {
            Role::App if restarts => format!(
                "Container {} failed {name} probe, will be restarted",
                container.name
            ),
            Role::App | Role::Ephemeral => {
                format!("Container {} failed {name} probe", container.name)
            }
            Role::Sidecar | Role::Init => {
                format!("Init container {} failed {name} probe", container.name)
            }
        };
        work.kills.push(PodAction::KillContainer {
            name: container.name.clone(),
            id: instance.id.clone(),
            message,
            grace: probe
                .as_ref()
                .and_then(|probe| probe.termination_grace_period_seconds),
        });
        if restarts {
            work.starts.push((container, role));
        }
        true
    }

    fn has_changed(&self, container: &Container, instance: &Instance) -> bool {
        !instance.hash.is_empty() && instance.hash != container_hash(container)
    }

    /// Whether a restart was asked for after this instance began.
    fn is_restart_asked(&self, container: &Container, instance: &Instance) -> bool {
        let asked = asked_at(self.pod, &container.name).filter(|at| *at <= self.now);
        let began = instance.began_at();
        asked.zip(began).is_some_and(|(asked, began)| began < asked)
    }

    /// A restart may be asked for ahead of its time, be it only by the rest of a second.
    fn await_asked_restarts(&mut self) {
        for (container, _) in containers(self.spec()) {
            if let Some(at) = asked_at(self.pod, &container.name).filter(|at| *at > self.now) {
                self.requeue_at(at);
            }
        }
    }

    /// Starts the container now, or notes for how long its back-off forbids it.
    fn start(&mut self, container: &Container, role: Role) {
        let newest = self.observation.instances.newest(&container.name);
        if let Some(created) = newest.filter(|instance| {
            (instance.phase == Phase::Created || instance.starting)
                && instance.current
                && !self.replaces_sandbox()
                && !self.kills(&instance.id)
        }) {
            let id = created.id.clone();
            self.plan.actions.push(PodAction::ResumeContainer {
                name: container.name.clone(),
                id,
            });
            return;
        }
        let attempt = newest.map(|instance| instance.attempt.saturating_add(1));
        // Whoever asks for a restart does not want to wait.
        let is_asked = newest.is_some_and(|instance| self.is_restart_asked(container, instance));
        // A container that is killed now waits for what its last end but one has cost, as with the kubelet.
        let last_end = self.observation.instances.last_end(&container.name);
        if let Some(finished_at) = last_end.filter(|_| !is_asked) {
            let key = backoff_key(container);
            if let Some(wait) = self.backoffs.wait_since(&key, finished_at, self.now) {
                let shown_at = finished_at
                    .checked_add(END_SHOWN_FOR)
                    .unwrap_or(Timestamp::MAX);
                let shown = shown_at <= self.now;
                self.requeue_at(if shown { wait.until } else { shown_at });
                self.plan.crash_loops.push(CrashLoop {
                    container: container.name.clone(),
                    wait,
                    shown,
                });
                return;
            }
        }
        self.plan.actions.push(PodAction::StartContainer {
            name: container.name.clone(),
            role,
            attempt,
        });
    }

    fn kills(&self, instance: &ContainerId) -> bool {
        self.plan
            .actions
            .iter()
            .any(|action| matches!(action, PodAction::KillContainer { id, .. } if id == instance))
    }

    fn replaces_sandbox(&self) -> bool {
        self.plan
            .actions
            .iter()
            .any(|action| matches!(action, PodAction::CreateSandbox { .. }))
    }
}

fn restart_text(container: &Container) -> String {
    format!("Container {} is restarted on request", container.name)
}

/// The containers that ended with a code for which everything begins anew.
fn restart_triggers(spec: &PodSpec, observation: &PodObservation) -> Vec<String> {
    containers(spec)
        .filter(|(container, role)| {
            observation
                .instances
                .newest(&container.name)
                .filter(|instance| instance.current)
                .and_then(Instance::exit_code)
                .is_some_and(|code| {
                    after_exit(spec, container, *role, code) == AfterExit::RestartsAll
                })
        })
        .map(|(container, _)| container.name.clone())
        .collect()
}

/// Whether a restart of all containers is asked for or under way: it is over when the last container of the
/// old round has been removed.
pub(super) fn restarts_all(pod: &Pod, observation: &PodObservation) -> bool {
    let Some(spec) = &pod.spec else { return false };
    if pod.metadata.deletion_timestamp.is_some() {
        return false;
    }
    let begun = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten())
        .any(|condition| condition.type_ == RESTARTING_ALL && condition.status == "True");
    let mut all = observation.instances.all();
    (begun && all.any(|(_, instance)| instance.current))
        || !restart_triggers(spec, observation).is_empty()
}

/// Whether this container will get another instance without anybody asking: what the kubelet calls
/// `ShouldContainerBeRestarted`.
pub(super) fn will_start(pod: &Pod, observation: &PodObservation, name: &str) -> bool {
    let Some(spec) = &pod.spec else { return false };
    if pod.metadata.deletion_timestamp.is_some() {
        return false;
    }
    let Some((container, role)) = containers(spec).find(|(container, _)| container.name == name)
    else {
        return find_ephemeral(spec, name).is_some()
            && observation.instances.newest(name).is_none();
    };
    match observation.instances.newest(name) {
        None => true,
        Some(instance) if instance.removed => true,
        Some(instance) => match instance.exit_code() {
            None => instance.phase == Phase::Created,
            Some(code) => restarts_after(spec, container, role, code),
        },
    }
}

#[cfg(test)]
mod cases;
#[cfg(test)]
mod tests;
