//! Who restarts, and when.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, PodSpec};

use crate::base::BackoffSequence;
use crate::model::restarts::matching_rule;

/// Restart back-off and image pull back-off share the kubelet's constants
/// (`MaxContainerBackOff`, `baseBackoffPeriod`).
const SEQUENCE: BackoffSequence =
    BackoffSequence::new(Duration::from_secs(10), Duration::from_secs(300));
/// A run this much longer than the last step makes the next exit the first one again.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RestartPolicy {
    Always,
    OnFailure,
    Never,
}

impl RestartPolicy {
    fn parse(text: &str) -> Self {
        match text {
            "Never" => Self::Never,
            "OnFailure" => Self::OnFailure,
            _ => Self::Always,
        }
    }

    fn of_pod(spec: &PodSpec) -> Self {
        spec.restart_policy
            .as_deref()
            .map_or(Self::Always, Self::parse)
    }

    fn restarts(self, exit_code: i32) -> bool {
        match self {
            Self::Always => true,
            Self::OnFailure => exit_code != 0,
            Self::Never => false,
        }
    }
}

/// The part a container plays in its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Runs to completion before the application starts.
    Init,
    /// Init container with `restartPolicy: Always`.
    Sidecar,
    App,
    /// Added to the running pod, never begun a second time, and of no account for anything else.
    Ephemeral,
}

/// Role of an entry of `spec.initContainers`.
pub(super) fn init_role(container: &Container) -> Role {
    if container.restart_policy.as_deref() == Some("Always") {
        Role::Sidecar
    } else {
        Role::Init
    }
}

/// All containers of the pod but the ephemeral ones, with their roles: init containers first, each list in spec order.
pub(super) fn containers(spec: &PodSpec) -> impl Iterator<Item = (&Container, Role)> {
    spec.init_containers
        .iter()
        .flatten()
        .map(|container| (container, init_role(container)))
        .chain(
            spec.containers
                .iter()
                .map(|container| (container, Role::App)),
        )
}

/// The policy that holds when no rule matches: the container's own, else the pod's. Init containers end
/// with success, so `Always` means `OnFailure` for them.
pub(super) fn effective_policy(spec: &PodSpec, container: &Container, role: Role) -> RestartPolicy {
    let policy = container
        .restart_policy
        .as_deref()
        .map_or_else(|| RestartPolicy::of_pod(spec), RestartPolicy::parse);
    match role {
        Role::Init if policy == RestartPolicy::Always => RestartPolicy::OnFailure,
        Role::Init | Role::App => policy,
        Role::Sidecar => RestartPolicy::Always,
        Role::Ephemeral => RestartPolicy::Never,
    }
}

/// What the end of a container asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterExit {
    Ends,
    Restarts,
    /// Every container of the pod begins anew, init containers included.
    RestartsAll,
}

/// Rules come first, the first match decides; then the policy that holds.
pub(super) fn after_exit(
    spec: &PodSpec,
    container: &Container,
    role: Role,
    exit_code: i32,
) -> AfterExit {
    let matched = matching_rule(container, exit_code);
    match matched.map(|rule| rule.action.as_str()) {
        Some("RestartAllContainers") => AfterExit::RestartsAll,
        Some(_) => AfterExit::Restarts,
        None if effective_policy(spec, container, role).restarts(exit_code) => AfterExit::Restarts,
        None => AfterExit::Ends,
    }
}

/// Whether a container that ended with this code runs again, alone or with all others.
pub(super) fn restarts_after(
    spec: &PodSpec,
    container: &Container,
    role: Role,
    exit_code: i32,
) -> bool {
    after_exit(spec, container, role, exit_code) != AfterExit::Ends
}

/// Whether any container of the pod may run a second time, by its own policy, a rule or the pod's.
pub(super) fn may_restart(spec: &PodSpec) -> bool {
    containers(spec).any(|(container, role)| {
        role != Role::Sidecar
            && (effective_policy(spec, container, role) != RestartPolicy::Never
                || container
                    .restart_policy_rules
                    .as_ref()
                    .is_some_and(|rules| !rules.is_empty()))
    })
}

/// Back-off state of one pod: which key has taken how many steps, and when the last one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Backoffs {
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    step: u32,
    stepped_at: Timestamp,
}

/// How long to stay away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    pub(super) delay: Duration,
    pub(super) until: Timestamp,
}

impl Backoffs {
    /// The wait that an event at `since` (the end of the last run) still causes at `now`.
    pub(super) fn wait_since(&self, key: &str, since: Timestamp, now: Timestamp) -> Option<Wait> {
        let entry = self.entries.get(key)?;
        if entry.is_forgotten(since) {
            return None;
        }
        let delay = SEQUENCE.delay(entry.step);
        let until = since.checked_add(delay).unwrap_or(Timestamp::MAX);
        (now < until).then_some(Wait { delay, until })
    }

    /// The wait counted from the last step: used for image pulls, where the failure itself is the step.
    pub(super) fn wait_since_step(&self, key: &str, now: Timestamp) -> Option<Wait> {
        let entry = self.entries.get(key)?;
        self.wait_since(key, entry.stepped_at, now)
    }

    /// Records an attempt after an event at `since`. The first attempt is free: it only arms the delay.
    pub(super) fn step(&mut self, key: String, since: Timestamp, now: Timestamp) {
        let step = match self.entries.get(&key) {
            Some(entry) if !entry.is_forgotten(since) => entry.step.saturating_add(1),
            _ => 0,
        };
        self.entries.insert(
            key,
            Entry {
                step,
                stepped_at: now,
            },
        );
    }

    /// Takes up where an earlier engine was: the present run began at `began` after this many restarts.
    pub(super) fn resume(&mut self, key: String, restarts: u32, began: Timestamp) {
        if let Some(step) = restarts.checked_sub(1) {
            let stepped_at = began;
            self.entries.insert(key, Entry { step, stepped_at });
        }
    }

    pub(super) fn forget(&mut self, key: &str) {
        self.entries.remove(key);
    }
}

impl Entry {
    fn is_forgotten(self, since: Timestamp) -> bool {
        Duration::try_from(since.duration_since(self.stepped_at))
            .is_ok_and(|passed| passed > FORGOTTEN_AFTER)
    }
}

/// Names the restart back-off of a container: another image or other resources start from zero.
pub(super) fn backoff_key(container: &Container) -> String {
    let resources = container
        .resources
        .as_ref()
        .and_then(|resources| serde_json::to_string(resources).ok())
        .unwrap_or_default();
    format!(
        "{}|{}|{resources}",
        container.name,
        container.image.as_deref().unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{ContainerRestartRule, ContainerRestartRuleOnExitCodes};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[track_caller]
    fn check_policy(
        pod: &str,
        container: Option<&str>,
        role: Role,
        exit_code: i32,
        expected: bool,
    ) {
        let spec = PodSpec {
            restart_policy: Some(pod.to_owned()),
            ..PodSpec::default()
        };
        let container = Container {
            restart_policy: container.map(str::to_owned),
            ..Container::default()
        };
        assert_eq!(
            restarts_after(&spec, &container, role, exit_code),
            expected,
            "{pod} {container:?} {role:?} {exit_code}"
        );
    }

    #[test]
    fn policies() {
        check_policy("Always", None, Role::App, 0, true);
        check_policy("Always", None, Role::App, 1, true);
        check_policy("OnFailure", None, Role::App, 0, false);
        check_policy("OnFailure", None, Role::App, 137, true);
        check_policy("Never", None, Role::App, 0, false);
        check_policy("Never", None, Role::App, 1, false);
        check_policy("Never", Some("Always"), Role::App, 0, true);
        check_policy("Always", Some("Never"), Role::App, 1, false);
        check_policy("Always", None, Role::Init, 0, false);
        check_policy("Always", None, Role::Init, 1, true);
        check_policy("Never", None, Role::Init, 1, false);
        check_policy("Never", Some("Always"), Role::Sidecar, 0, true);
    }

    #[track_caller]
    fn check_rule(operator: &str, values: &[i32], exit_code: i32, expected: bool) {
        let container = Container {
            restart_policy: Some("Never".to_owned()),
            restart_policy_rules: Some(vec![ContainerRestartRule {
                action: "Restart".to_owned(),
                exit_codes: Some(ContainerRestartRuleOnExitCodes {
                    operator: operator.to_owned(),
                    values: Some(values.to_vec()),
                }),
            }]),
            ..Container::default()
        };
        assert_eq!(
            restarts_after(&PodSpec::default(), &container, Role::App, exit_code),
            expected
        );
    }

    #[test]
    fn the_first_matching_rule_decides() {
        let rule = |action: &str, code: i32| ContainerRestartRule {
            action: action.to_owned(),
            exit_codes: Some(ContainerRestartRuleOnExitCodes {
                operator: "In".to_owned(),
                values: Some(vec![code]),
            }),
        };
        let container = Container {
            restart_policy: Some("Never".to_owned()),
            restart_policy_rules: Some(vec![
                rule("RestartAllContainers", 42),
                rule("Restart", 42),
                rule("Restart", 43),
                rule("RestartAllContainers", 43),
            ]),
            ..Container::default()
        };
        let after = |code| after_exit(&PodSpec::default(), &container, Role::App, code);
        assert_eq!(
            [after(42), after(43), after(1), after(0)],
            [
                AfterExit::RestartsAll,
                AfterExit::Restarts,
                AfterExit::Ends,
                AfterExit::Ends
            ]
        );
    }

    #[test]
    fn rules_come_before_the_policy() {
        check_rule("In", &[42, 43], 42, true);
        check_rule("In", &[42, 43], 1, false);
        check_rule("NotIn", &[42], 42, false);
        check_rule("NotIn", &[42], 1, true);
    }

    /// A container that crashes at once, restarted as soon as it is allowed to.
    #[test]
    fn delays_double_from_a_free_first_restart() {
        let mut backoffs = Backoffs::default();
        let mut now = at(1000);
        let mut delays = Vec::new();
        for _ in 0..9 {
            let finished = now;
            let wait = backoffs.wait_since("c", finished, now);
            delays.push(wait.map_or(0, |wait| wait.delay.as_secs()));
            now = wait.map_or(now, |wait| wait.until);
            assert_eq!(backoffs.wait_since("c", finished, now), None);
            backoffs.step("c".to_owned(), finished, now);
        }
        assert_eq!(delays, [0, 10, 20, 40, 80, 160, 300, 300, 300]);
    }

    #[track_caller]
    fn check_after_run(run: i64, expected: u64) {
        let mut backoffs = Backoffs::default();
        backoffs.step("c".to_owned(), at(0), at(0));
        backoffs.step("c".to_owned(), at(10), at(20));
        let finished = at(20 + run);
        let delay = backoffs
            .wait_since("c", finished, finished)
            .map_or(0, |wait| wait.delay.as_secs());
        assert_eq!(delay, expected);
    }

    #[test]
    fn a_run_of_more_than_ten_minutes_resets() {
        check_after_run(1, 20);
        check_after_run(600, 20);
        check_after_run(601, 0);
    }

    #[test]
    fn the_delay_counts_from_the_end_of_the_run() {
        let mut backoffs = Backoffs::default();
        backoffs.step("c".to_owned(), at(0), at(0));
        let wait = backoffs.wait_since("c", at(100), at(104)).unwrap();
        assert_eq!((wait.delay.as_secs(), wait.until), (10, at(110)));
        assert_eq!(backoffs.wait_since("c", at(100), at(110)), None);
    }

    #[test]
    fn the_next_engine_goes_on_with_the_sequence() {
        let mut backoffs = Backoffs::default();
        backoffs.resume("first".to_owned(), 0, at(0));
        backoffs.resume("third".to_owned(), 2, at(0));
        backoffs.resume("long".to_owned(), 2, at(-1000));
        let delay = |key| {
            backoffs
                .wait_since(key, at(5), at(5))
                .map_or(0, |wait| wait.delay.as_secs())
        };
        assert_eq!((delay("first"), delay("third"), delay("long")), (0, 20, 0));
    }

    #[test]
    fn image_and_resources_are_part_of_the_key() {
        let one = Container {
            name: "c".to_owned(),
            image: Some("a".to_owned()),
            ..Container::default()
        };
        let mut other = one.clone();
        other.image = Some("b".to_owned());
        assert_ne!(backoff_key(&one), backoff_key(&other));
        assert_eq!(backoff_key(&one), backoff_key(&one.clone()));
    }
}
