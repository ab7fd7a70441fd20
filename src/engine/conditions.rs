//! The conditions of a pod that the kubelet owns.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, PodCondition, PodSpec};

use super::observe::SandboxView;
use super::resize::Resizing;
use super::restart::{Role, containers};
use super::status::{FAILED, SUCCEEDED, has_started, time};
use crate::model::pod::{DISRUPTION, RESIZE_IN_PROGRESS, RESIZE_PENDING, is_engine_condition};

/// A restart of all containers is under way.
pub(super) const RESTARTING_ALL: &str = "AllContainersRestarting";

/// A probe of a running container fails: present while one does. Not of Kubernetes, which tells the number of
/// failures in a row nowhere.
pub(super) const PROBE_FAILING: &str = "podtui.dev/ProbeFailing";

pub(super) struct Inputs<'a> {
    pub(super) spec: &'a PodSpec,
    pub(super) init: &'a [ContainerStatus],
    pub(super) app: &'a [ContainerStatus],
    pub(super) phase: &'a str,
    /// The phase it is on its way to: a terminal one is not published while something still runs.
    pub(super) target: &'a str,
    pub(super) sandbox: Option<&'a SandboxView>,
    pub(super) restarting_all: bool,
    /// `main: liveness probe failing 2/3`, one text per probe.
    pub(super) failing_probes: &'a [String],
    pub(super) resize: &'a Resizing,
    /// A resize was taken on and is not done.
    pub(super) is_resizing: bool,
    pub(super) generation: Option<i64>,
}

/// True, or false with reason and message (either may be empty).
struct Verdict {
    holds: bool,
    reason: String,
    message: String,
}

impl Verdict {
    fn yes() -> Self {
        Self {
            holds: true,
            reason: String::new(),
            message: String::new(),
        }
    }

    fn no(reason: &str, message: String) -> Self {
        Self {
            holds: false,
            reason: reason.to_owned(),
            message,
        }
    }
}

/// Foreign conditions of `old` stay first and untouched, the owned ones follow in the kubelet's order.
pub(super) fn of(inputs: &Inputs<'_>, old: &[PodCondition], now: Timestamp) -> Vec<PodCondition> {
    let containers_ready = containers_ready(inputs);
    let verdicts = [
        (
            "PodReadyToStartContainers",
            Verdict {
                holds: inputs.sandbox.is_some_and(|sandbox| {
                    sandbox.ready && (sandbox.host_network || sandbox.address.is_some())
                }),
                ..Verdict::yes()
            },
        ),
        ("Initialized", initialized(inputs)),
        ("Ready", ready(inputs, &containers_ready, old)),
        ("ContainersReady", containers_ready),
        ("PodScheduled", Verdict::yes()),
    ];
    let mut conditions: Vec<PodCondition> = old
        .iter()
        .filter(|condition| condition.type_ == DISRUPTION || !is_engine_condition(&condition.type_))
        .cloned()
        .collect();
    for (kind, verdict) in resize(inputs) {
        let before = old.iter().find(|condition| condition.type_ == kind);
        conditions.push(condition(kind, verdict, inputs.generation, before, now));
    }
    for (kind, verdict) in verdicts {
        let before = old.iter().find(|condition| condition.type_ == kind);
        conditions.push(condition(kind, verdict, inputs.generation, before, now));
    }
    // Told from the first such restart on.
    let before = old
        .iter()
        .find(|condition| condition.type_ == RESTARTING_ALL);
    if inputs.restarting_all || before.is_some() {
        let verdict = restarting_all(inputs);
        let told = condition(RESTARTING_ALL, verdict, inputs.generation, before, now);
        conditions.push(told);
    }
    if !inputs.failing_probes.is_empty() {
        let before = old
            .iter()
            .find(|condition| condition.type_ == PROBE_FAILING);
        let verdict = Verdict {
            holds: true,
            reason: "ProbeFailing".to_owned(),
            message: inputs.failing_probes.join(", "),
        };
        let told = condition(PROBE_FAILING, verdict, inputs.generation, before, now);
        conditions.push(told);
    }
    conditions
}

/// The node ended this pod, not its owner.
pub(super) fn add_disruption(
    conditions: &mut Vec<PodCondition>,
    message: &str,
    generation: Option<i64>,
    now: Timestamp,
) {
    if conditions.iter().any(|known| known.type_ == DISRUPTION) {
        return;
    }
    let verdict = Verdict {
        holds: true,
        reason: "TerminationByKubelet".to_owned(),
        message: message.to_owned(),
    };
    conditions.push(condition(DISRUPTION, verdict, generation, None, now));
}

fn condition(
    kind: &str,
    verdict: Verdict,
    generation: Option<i64>,
    before: Option<&PodCondition>,
    now: Timestamp,
) -> PodCondition {
    let status = if verdict.holds { "True" } else { "False" };
    let text = |text: String| (!text.is_empty()).then_some(text);
    PodCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: text(verdict.reason),
        message: text(verdict.message),
        last_probe_time: None,
        last_transition_time: before
            .filter(|before| before.status == status)
            .and_then(|before| before.last_transition_time.clone())
            .or_else(|| Some(time(now))),
        observed_generation: generation,
    }
}

/// Both are there only while they hold.
fn resize(inputs: &Inputs<'_>) -> Vec<(&'static str, Verdict)> {
    let holds = |reason: &str, message: &str| Verdict {
        holds: true,
        reason: reason.to_owned(),
        message: message.to_owned(),
    };
    let mut told = Vec::new();
    if finished(inputs.phase).is_some() {
        return told;
    }
    if let Some(why) = &inputs.resize.pending {
        told.push((RESIZE_PENDING, holds(&why.reason, &why.message)));
    }
    if inputs.is_resizing {
        let verdict = match &inputs.resize.error {
            Some(error) => holds("Error", error),
            None => Verdict::yes(),
        };
        told.push((RESIZE_IN_PROGRESS, verdict));
    }
    told
}

fn finished(phase: &str) -> Option<Verdict> {
    match phase {
        SUCCEEDED => Some(Verdict::no("PodCompleted", String::new())),
        FAILED => Some(Verdict::no("PodFailed", String::new())),
        _ => None,
    }
}

fn restarting_all(inputs: &Inputs<'_>) -> Verdict {
    if inputs.restarting_all {
        return Verdict {
            holds: true,
            reason: "RestartAllContainersStarted".to_owned(),
            message: "container exited with restart policy rule".to_owned(),
        };
    }
    finished(inputs.phase).unwrap_or_else(|| Verdict::no("", String::new()))
}

/// `a b`-style lists joined as the kubelet does: unknown before the others.
fn incomplete(reason: &str, unknown: &[&str], known: &[&str], word: &str) -> Option<Verdict> {
    let part = |word: &str, names: &[&str]| {
        (!names.is_empty()).then(|| format!("containers with {word} status: [{}]", names.join(" ")))
    };
    let parts: Vec<String> = [part("unknown", unknown), part(word, known)]
        .into_iter()
        .flatten()
        .collect();
    (!parts.is_empty()).then(|| Verdict::no(reason, parts.join(", ")))
}

fn containers_ready(inputs: &Inputs<'_>) -> Verdict {
    if let Some(verdict) = finished(inputs.phase).or_else(|| finished(inputs.target)) {
        return verdict;
    }
    let mut unknown = Vec::new();
    let mut unready = Vec::new();
    for (container, role) in containers(inputs.spec) {
        let list = match role {
            Role::Init | Role::Ephemeral => continue,
            Role::Sidecar => inputs.init,
            Role::App => inputs.app,
        };
        match list.iter().find(|status| status.name == container.name) {
            None => unknown.push(container.name.as_str()),
            Some(status) if !status.ready => unready.push(container.name.as_str()),
            Some(_) => {}
        }
    }
    incomplete("ContainersNotReady", &unknown, &unready, "unready").unwrap_or_else(Verdict::yes)
}

fn ready(inputs: &Inputs<'_>, containers_ready: &Verdict, old: &[PodCondition]) -> Verdict {
    if !containers_ready.holds {
        return Verdict::no(&containers_ready.reason, containers_ready.message.clone());
    }
    let problems: Vec<String> = inputs
        .spec
        .readiness_gates
        .iter()
        .flatten()
        .filter_map(|gate| {
            let name = &gate.condition_type;
            match old.iter().find(|condition| condition.type_ == *name) {
                None => Some(format!(
                    "corresponding condition of pod readiness gate \"{name}\" does not exist."
                )),
                Some(condition) if condition.status != "True" => Some(format!(
                    "the status of pod readiness gate \"{name}\" is not \"True\", but {}",
                    condition.status
                )),
                Some(_) => None,
            }
        })
        .collect();
    if problems.is_empty() {
        Verdict::yes()
    } else {
        Verdict::no("ReadinessGatesNotReady", problems.join(", "))
    }
}

fn initialized(inputs: &Inputs<'_>) -> Verdict {
    if inputs.phase == SUCCEEDED {
        return Verdict {
            reason: "PodCompleted".to_owned(),
            ..Verdict::yes()
        };
    }
    if inputs.app.iter().any(has_started) {
        return Verdict::yes();
    }
    let mut unknown = Vec::new();
    let mut waiting = Vec::new();
    for (container, role) in containers(inputs.spec) {
        let status = inputs
            .init
            .iter()
            .find(|status| status.name == container.name);
        let done = match (role, status) {
            (Role::App | Role::Ephemeral, _) => continue,
            (_, None) => {
                unknown.push(container.name.as_str());
                continue;
            }
            (Role::Sidecar, Some(status)) => status.started == Some(true),
            (Role::Init, Some(status)) => status.ready,
        };
        if !done {
            waiting.push(container.name.as_str());
        }
    }
    incomplete("ContainersNotInitialized", &unknown, &waiting, "incomplete")
        .unwrap_or_else(Verdict::yes)
}
