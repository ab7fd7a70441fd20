//! What to do next for one pod. Pure: the oracle is the kubelet's `computePodActions`.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};

use super::observe::{Instance, Phase, PodObservation};
use super::restart::{
    Backoffs, RestartPolicy, Role, Wait, backoff_key, containers, init_role, restarts_after,
};
use super::translate::container_hash;
use crate::base::ContainerId;

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
    },
    /// Make a new instance and start it.
    StartContainer {
        name: String,
        role: Role,
        /// `None`: no earlier instance is known; the log directory tells.
        attempt: Option<u32>,
    },
    /// Start an instance that was created but never started.
    ResumeContainer {
        name: String,
        id: ContainerId,
    },
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
    backoffs: &Backoffs,
    now: Timestamp,
) -> PodPlan {
    let mut planner = Planner {
        pod,
        observation,
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

struct Planner<'a> {
    pod: &'a Pod,
    observation: &'a PodObservation,
    backoffs: &'a Backoffs,
    now: Timestamp,
    plan: PodPlan,
}

impl Planner<'_> {
    fn spec(&self) -> &k8s_openapi::api::core::v1::PodSpec {
        // Admission refuses a pod without spec.
        static EMPTY: std::sync::LazyLock<k8s_openapi::api::core::v1::PodSpec> =
            std::sync::LazyLock::new(Default::default);
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
        let spec = self.pod.spec.clone().unwrap_or_default();
        if let Some(attempt) = self.new_sandbox_attempt() {
            self.compute_without_sandbox(attempt);
            return;
        }
        if !self.compute_init(spec.init_containers.as_deref().unwrap_or_default()) {
            return;
        }
        let mut kept = 0;
        for container in &spec.containers {
            kept += usize::from(self.compute_app(container));
        }
        if kept == 0 && self.plan.actions.is_empty() && self.plan.crash_loops.is_empty() {
            self.plan.actions.push(PodAction::StopSandbox);
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
        let spec = self.pod.spec.clone().unwrap_or_default();
        let stop_first = self.observation.sandbox.is_some();
        if stop_first {
            self.plan.actions.push(PodAction::StopSandbox);
        }
        let policy = RestartPolicy::of_pod(&spec);
        let ran_before = !self.observation.instances.is_empty();
        let to_start: Vec<&Container> = spec
            .containers
            .iter()
            .filter(|container| {
                let succeeded = self
                    .observation
                    .instances
                    .newest(&container.name)
                    .and_then(Instance::exit_code)
                    == Some(0);
                !(policy == RestartPolicy::OnFailure && succeeded)
            })
            .collect();
        let app_ran = spec
            .containers
            .iter()
            .any(|container| self.observation.instances.newest(&container.name).is_some());
        if (policy == RestartPolicy::Never && ran_before) || (to_start.is_empty() && app_ran) {
            self.plan.actions.push(PodAction::Finish);
            return;
        }
        let mut starts = Vec::new();
        match spec.init_containers.iter().flatten().next() {
            // A new sandbox runs the whole init sequence again.
            Some(first) => starts.push((first, init_role(first))),
            None => starts.extend(to_start.into_iter().map(|container| (container, Role::App))),
        }
        self.plan.actions.push(PodAction::CreateSandbox { attempt });
        for (container, role) in starts {
            self.start(container, role);
        }
    }

    /// Returns whether the application may run.
    fn compute_init(&mut self, init: &[Container]) -> bool {
        let spec_containers = self.spec().containers.clone();
        let initialized = spec_containers.iter().any(|container| {
            self.observation
                .instances
                .newest(&container.name)
                .is_some_and(|instance| instance.current)
        });
        for container in init {
            let role = init_role(container);
            let newest = self
                .observation
                .instances
                .newest(&container.name)
                .filter(|instance| instance.current)
                .cloned();
            match (role, newest) {
                (Role::Sidecar, Some(instance)) if instance.is_running() => {
                    if self.has_changed(container, &instance) {
                        self.kill(
                            container,
                            &instance,
                            format!("Init container {} definition changed", container.name),
                        );
                        self.start(container, role);
                    }
                }
                (Role::Sidecar, _) => {
                    self.start(container, role);
                    if !initialized {
                        return false;
                    }
                }
                (Role::Init | Role::App, _) if initialized => {}
                (Role::Init | Role::App, Some(instance)) => match instance.exit_code() {
                    Some(0) => {}
                    Some(code) => {
                        if restarts_after(self.spec(), container, role, code) {
                            self.start(container, role);
                        } else {
                            self.plan.actions.push(PodAction::StopSandbox);
                        }
                        return false;
                    }
                    None => {
                        if instance.phase == Phase::Created {
                            self.start(container, role);
                        }
                        return false;
                    }
                },
                (Role::Init | Role::App, None) => {
                    self.start(container, role);
                    return false;
                }
            }
        }
        true
    }

    /// Returns whether the container runs on as it is.
    fn compute_app(&mut self, container: &Container) -> bool {
        let Some(instance) = self.observation.instances.newest(&container.name).cloned() else {
            self.start(container, Role::App);
            return false;
        };
        match instance.phase {
            Phase::Running { .. } => {
                if self.has_changed(container, &instance) {
                    self.kill(
                        container,
                        &instance,
                        format!(
                            "Container {} definition changed, will be restarted",
                            container.name
                        ),
                    );
                    self.start(container, Role::App);
                    return false;
                }
                true
            }
            Phase::Created => {
                self.start(container, Role::App);
                false
            }
            Phase::Exited(_) | Phase::Lost { .. } => {
                let code = instance.exit_code().unwrap_or_default();
                if restarts_after(self.spec(), container, Role::App, code) {
                    self.start(container, Role::App);
                }
                false
            }
        }
    }

    fn has_changed(&self, container: &Container, instance: &Instance) -> bool {
        !instance.hash.is_empty() && instance.hash != container_hash(container)
    }

    fn kill(&mut self, container: &Container, instance: &Instance, message: String) {
        self.plan.actions.push(PodAction::KillContainer {
            name: container.name.clone(),
            id: instance.id.clone(),
            message,
        });
    }

    /// Starts the container now, or notes for how long its back-off forbids it.
    fn start(&mut self, container: &Container, role: Role) {
        let newest = self.observation.instances.newest(&container.name);
        if let Some(created) = newest.filter(|instance| {
            instance.phase == Phase::Created && instance.current && !self.replaces_sandbox()
        }) {
            let id = created.id.clone();
            self.plan.actions.push(PodAction::ResumeContainer {
                name: container.name.clone(),
                id,
            });
            return;
        }
        let attempt = newest.map(|instance| instance.attempt.saturating_add(1));
        if let Some(finished_at) = newest.and_then(Instance::finished_at) {
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

    fn replaces_sandbox(&self) -> bool {
        self.plan
            .actions
            .iter()
            .any(|action| matches!(action, PodAction::CreateSandbox { .. }))
    }
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
        return false;
    };
    match observation.instances.newest(name) {
        None => true,
        Some(instance) => match instance.exit_code() {
            None => instance.phase == Phase::Created,
            Some(code) => restarts_after(spec, container, role, code),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{Box, Was, at, container, observation, pod, sidecar};
    use super::super::restart::backoff_key;
    use super::*;

    /// One action as one word, for tables.
    fn word(action: &PodAction) -> String {
        match action {
            PodAction::StopSandbox => "stop".to_owned(),
            PodAction::CreateSandbox { attempt } => format!("sandbox#{attempt}"),
            PodAction::KillContainer { name, .. } => format!("kill:{name}"),
            PodAction::StartContainer { name, attempt, .. } => match attempt {
                Some(attempt) => format!("start:{name}#{attempt}"),
                None => format!("start:{name}"),
            },
            PodAction::ResumeContainer { id, .. } => format!("resume:{id}"),
            PodAction::Finish => "finish".to_owned(),
        }
    }

    fn words(plan: &PodPlan) -> String {
        let mut words: Vec<String> = plan.actions.iter().map(word).collect();
        words.extend(
            plan.crash_loops
                .iter()
                .map(|wait| format!("wait:{}", wait.container)),
        );
        words.join(" ")
    }

    #[track_caller]
    fn check(pod: &Pod, sandbox: Box, containers: &[(&str, &[Was])], expected: &str) {
        let observation = observation(sandbox, containers);
        let plan = plan(pod, &observation, &Backoffs::default(), at(100));
        assert_eq!(words(&plan), expected, "{sandbox:?} {containers:?}");
    }

    #[test]
    fn app_containers() {
        let always = pod("Always", vec![], &["a", "b"]);
        let on_failure = pod("OnFailure", vec![], &["a", "b"]);
        let never = pod("Never", vec![], &["a", "b"]);
        let running: &[Was] = &[Was::Running];
        let ok: &[Was] = &[Was::Exited(0, 90)];
        let bad: &[Was] = &[Was::Exited(1, 90)];
        check(&always, Box::None, &[], "sandbox#0 start:a start:b");
        check(&always, Box::Ready, &[], "start:a start:b");
        check(&always, Box::Ready, &[("a", running)], "start:b");
        check(&always, Box::Ready, &[("a", running), ("b", running)], "");
        check(
            &always,
            Box::Ready,
            &[("a", ok), ("b", running)],
            "start:a#1",
        );
        check(
            &always,
            Box::Ready,
            &[("a", bad), ("b", bad)],
            "start:a#1 start:b#1",
        );
        check(&on_failure, Box::Ready, &[("a", ok), ("b", running)], "");
        check(
            &on_failure,
            Box::Ready,
            &[("a", bad), ("b", running)],
            "start:a#1",
        );
        check(&on_failure, Box::Ready, &[("a", ok), ("b", ok)], "stop");
        check(&never, Box::Ready, &[("a", bad), ("b", running)], "");
        check(&never, Box::Ready, &[("a", bad), ("b", ok)], "stop");
        check(&never, Box::Ready, &[("a", running)], "start:b");
        check(
            &always,
            Box::Ready,
            &[("a", &[Was::Created]), ("b", running)],
            "resume:a-0",
        );
        check(
            &always,
            Box::Ready,
            &[("a", &[Was::Failed(90)]), ("b", running)],
            "start:a#1",
        );
    }

    #[test]
    fn a_dead_sandbox_is_replaced() {
        let always = pod("Always", vec![], &["a", "b"]);
        let on_failure = pod("OnFailure", vec![], &["a", "b"]);
        let never = pod("Never", vec![], &["a", "b"]);
        let running: &[Was] = &[Was::Running];
        let ok: &[Was] = &[Was::Exited(0, 90)];
        let lost: &[Was] = &[Was::Lost(99)];
        let both = "stop sandbox#4 start:a#1 start:b#1";
        check(
            &always,
            Box::NotReady,
            &[("a", running), ("b", running)],
            both,
        );
        check(&always, Box::NotReady, &[("a", ok), ("b", running)], both);
        check(
            &always,
            Box::NotReady,
            &[],
            "stop sandbox#4 start:a start:b",
        );
        check(
            &on_failure,
            Box::NotReady,
            &[("a", ok), ("b", running)],
            "stop sandbox#4 start:b#1",
        );
        check(
            &on_failure,
            Box::NotReady,
            &[("a", ok), ("b", ok)],
            "stop finish",
        );
        check(&on_failure, Box::None, &[("a", ok), ("b", ok)], "finish");
        check(
            &never,
            Box::NotReady,
            &[("a", running), ("b", running)],
            "stop finish",
        );
        check(&never, Box::NotReady, &[], "stop sandbox#4 start:a start:b");
        check(&never, Box::None, &[("a", lost)], "finish");
        check(
            &always,
            Box::None,
            &[("a", lost), ("b", lost)],
            "sandbox#0 start:a#1 start:b#1",
        );
    }

    #[test]
    fn a_sandbox_without_its_network_is_replaced() {
        let mut host = pod("Always", vec![], &["a"]);
        host.spec.as_mut().unwrap().host_network = Some(true);
        check(
            &host,
            Box::Ready,
            &[("a", &[Was::Running])],
            "stop sandbox#4 start:a#1",
        );
        let plain = pod("Always", vec![], &["a"]);
        let mut seen = observation(Box::Ready, &[("a", &[Was::Running])]);
        seen.sandbox.as_mut().unwrap().address = None;
        let plan = plan(&plain, &seen, &Backoffs::default(), at(100));
        assert_eq!(words(&plan), "stop sandbox#4 start:a#1");
    }

    #[test]
    fn a_changed_image_restarts_in_place_whatever_the_policy() {
        for policy in ["Always", "OnFailure", "Never"] {
            let mut changed = pod(policy, vec![], &["a", "b"]);
            changed.spec.as_mut().unwrap().containers[0].image = Some("other".to_owned());
            let seen = observation(
                Box::Ready,
                &[("a", &[Was::Running]), ("b", &[Was::Running])],
            );
            let plan = plan(&changed, &seen, &Backoffs::default(), at(100));
            assert_eq!(words(&plan), "kill:a start:a#1");
            assert!(matches!(
                &plan.actions[0],
                PodAction::KillContainer { message, .. }
                    if message == "Container a definition changed, will be restarted"
            ));
        }
    }

    #[test]
    fn init_containers_run_in_order() {
        let always = pod("Always", vec![container("i"), container("j")], &["a"]);
        let never = pod("Never", vec![container("i")], &["a"]);
        let ok: &[Was] = &[Was::Exited(0, 90)];
        let bad: &[Was] = &[Was::Exited(1, 90)];
        let running: &[Was] = &[Was::Running];
        check(&always, Box::None, &[], "sandbox#0 start:i");
        check(&always, Box::Ready, &[], "start:i");
        check(&always, Box::Ready, &[("i", running)], "");
        check(&always, Box::Ready, &[("i", bad)], "start:i#1");
        check(&always, Box::Ready, &[("i", ok)], "start:j");
        check(&always, Box::Ready, &[("i", ok), ("j", ok)], "start:a");
        check(
            &always,
            Box::Ready,
            &[("i", ok), ("j", ok), ("a", running)],
            "",
        );
        check(&never, Box::Ready, &[("i", bad)], "stop");
        // A new sandbox runs them again, although they ended well before.
        let done: &[Was] = &[Was::Earlier(0, 50)];
        check(
            &always,
            Box::NotReady,
            &[("i", ok), ("j", ok), ("a", running)],
            "stop sandbox#4 start:i#1",
        );
        check(
            &always,
            Box::Ready,
            &[("i", ok), ("j", done), ("a", done)],
            "start:j#1",
        );
    }

    #[test]
    fn sidecars_stay_up() {
        let pod = pod("Never", vec![sidecar("s"), container("i")], &["a"]);
        let ok: &[Was] = &[Was::Exited(0, 90)];
        let running: &[Was] = &[Was::Running];
        check(&pod, Box::Ready, &[], "start:s");
        check(&pod, Box::Ready, &[("s", ok)], "start:s#1");
        check(&pod, Box::Ready, &[("s", running)], "start:i");
        check(&pod, Box::Ready, &[("s", running), ("i", ok)], "start:a");
        check(
            &pod,
            Box::Ready,
            &[("s", ok), ("i", ok), ("a", running)],
            "start:s#1",
        );
    }

    #[track_caller]
    fn check_wait(now: i64, expected: &str, requeue: Option<u64>) {
        let pod = pod("Always", vec![], &["a"]);
        let mut backoffs = Backoffs::default();
        backoffs.step(backoff_key(&container("a")), at(80), at(80));
        let seen = observation(
            Box::Ready,
            &[("a", &[Was::Exited(1, 90), Was::Exited(1, 80)])],
        );
        let plan = plan(&pod, &seen, &backoffs, at(now));
        assert_eq!(
            (
                words(&plan).as_str(),
                plan.requeue_after.map(|after| after.as_secs())
            ),
            (expected, requeue),
            "at {now}"
        );
        let shown: Vec<bool> = plan.crash_loops.iter().map(|wait| wait.shown).collect();
        assert_eq!(shown, vec![now >= 91; plan.crash_loops.len()]);
    }

    #[test]
    fn back_off_counts_from_the_end() {
        check_wait(90, "wait:a", Some(1));
        check_wait(91, "wait:a", Some(9));
        check_wait(99, "wait:a", Some(1));
        check_wait(100, "start:a#2", None);
    }

    #[track_caller]
    fn check_deadline(now: i64, exceeded: bool, requeue: Option<u64>) {
        let mut pod = pod("Always", vec![], &["a"]);
        pod.spec.as_mut().unwrap().active_deadline_seconds = Some(30);
        pod.status = Some(k8s_openapi::api::core::v1::PodStatus {
            start_time: Some(super::super::status::time(at(50))),
            ..Default::default()
        });
        let seen = observation(Box::Ready, &[("a", &[Was::Running])]);
        let plan = plan(&pod, &seen, &Backoffs::default(), at(now));
        assert_eq!(
            (
                plan.deadline_exceeded,
                plan.requeue_after.map(|after| after.as_secs())
            ),
            (exceeded, requeue)
        );
    }

    #[test]
    fn active_deadline() {
        check_deadline(60, false, Some(20));
        check_deadline(79, false, Some(1));
        check_deadline(80, true, None);
        check_deadline(200, true, None);
    }
}
