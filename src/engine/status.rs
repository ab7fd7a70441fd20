//! The status of a pod, computed from its spec and from what was observed. Pure: the oracle is the
//! kubelet's `generateAPIPodStatus`, `getPhase` and `convertToAPIContainerStatuses`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated,
    ContainerStateWaiting, ContainerStatus, ContainerUser, HostIP, LinuxContainerUser, Pod, PodIP,
    PodSpec, PodStatus, VolumeMountStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::conditions;
use super::observe::{ID_PREFIX, Instance, LOST_EXIT_CODE, Phase, PodObservation, Removed};
use super::plan::{restarts_all, will_start};
use super::resize::{Resizing, in_effect, is_behind, pod_is_behind};
use super::restart::{Role, containers, init_role, restarts_after};
use crate::base::Victim;
use crate::model::pod::{as_container, container_status as told_before};
use crate::probe::Probes;
use crate::wire::ExitRecord;

pub(super) const LOST: &str = "ContainerStatusUnknown";
pub(super) const LOST_MESSAGE: &str =
    "The container could not be located when the pod was terminated";
pub(super) const OOM_KILLED: &str = "OOMKilled";
pub(super) const START_ERROR: &str = "StartError";
pub(super) const RESTARTING_ALL: &str = "RestartingAllContainers";
/// Why a container waits that has never run.
pub(super) const INITIAL_REASONS: [&str; 2] = ["ContainerCreating", "PodInitializing"];

pub(super) const PENDING: &str = "Pending";
pub(super) const RUNNING: &str = "Running";
pub(super) const SUCCEEDED: &str = "Succeeded";
pub(super) const FAILED: &str = "Failed";

/// `reason` and `message` of a waiting container or of a whole pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Why {
    pub(super) reason: String,
    pub(super) message: String,
}

/// What the worker knows beside the machine.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// Why a container that should run does not: the last start error or its back-off.
    pub(super) waiting: BTreeMap<String, Why>,
    /// The whole pod failed for this reason (`DeadlineExceeded`, rejection at admission).
    pub(super) failed: Option<Why>,
    /// The node refused it before anything of it was begun.
    pub(super) rejected: bool,
    /// The machine ran short and the pod had to go, for this reason.
    pub(super) disruption: Option<String>,
    /// Other cpu and memory for the running pod.
    pub(super) resize: Resizing,
    /// Termination has finished: nothing of the pod runs or will run.
    pub(super) terminated: bool,
    /// The pod was being stopped when its containers ended (deletion or terminal phase).
    pub(super) host_addresses: Vec<String>,
    pub(super) qos_class: String,
    pub(super) started_at: Option<Timestamp>,
}

pub(super) fn is_terminal(phase: Option<&str>) -> bool {
    matches!(phase, Some(SUCCEEDED | FAILED))
}

/// Status timestamps have the resolution that the Kubernetes API writes: seconds.
pub(super) fn time(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

/// `pod.status` is the status published before; foreign conditions and transition times come from it.
pub(super) fn pod_status(
    pod: &Pod,
    observation: &PodObservation,
    probes: &Probes,
    history: &History,
    now: Timestamp,
) -> PodStatus {
    let empty = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&empty);
    let old = pod.status.clone().unwrap_or_default();
    let mut init = statuses(
        pod,
        spec.init_containers.as_deref().unwrap_or_default(),
        true,
        observation,
        probes,
        history,
    );
    let mut app = statuses(pod, &spec.containers, false, observation, probes, history);
    let ephemeral = ephemeral_statuses(pod, spec, observation, probes, history);
    if history.terminated {
        mark_unknown_ends(spec, &mut init, &mut app);
    }

    let mut computed = phase(spec, &init, &app, history.terminated);
    if history.terminated && !is_terminal(Some(computed)) {
        // It ended before it was initialized.
        computed = FAILED;
    }
    let mut why = None;
    if let Some(failed) = &history.failed {
        computed = FAILED;
        why = Some(failed.clone());
    }
    let target = computed;
    // Terminal phases never go back, and are not told while something may still run.
    if is_terminal(old.phase.as_deref()) {
        computed = if old.phase.as_deref() == Some(FAILED) {
            FAILED
        } else {
            SUCCEEDED
        };
    } else if is_terminal(Some(computed)) && observation.any_running() {
        computed =
            old.phase.as_deref().map_or(
                PENDING,
                |phase| {
                    if phase == RUNNING { RUNNING } else { PENDING }
                },
            );
        why = None;
    }
    if why.is_none() && old.phase.as_deref() == Some(computed) {
        why = old.reason.clone().map(|reason| Why {
            reason,
            message: old.message.clone().unwrap_or_default(),
        });
    }

    let generation = pod.metadata.generation;
    let mut old_conditions = old.conditions.clone().unwrap_or_default();
    if let Some(message) = &history.disruption {
        conditions::add_disruption(&mut old_conditions, message, generation, now);
    }
    let mut conditions = conditions::of(
        &conditions::Inputs {
            spec,
            init: &init,
            app: &app,
            phase: computed,
            target,
            sandbox: observation.sandbox.as_ref(),
            restarting_all: restarts_all(pod, observation),
            failing_probes: &failing_probes(observation, probes),
            resize: &history.resize,
            is_resizing: !history.terminated
                && (history.resize.under_way || is_behind(spec, observation)),
            generation,
        },
        &old_conditions,
        now,
    );
    // It was placed on the node, and that is all there is to tell.
    let rejected =
        history.rejected || is_terminal(old.phase.as_deref()) && old.container_statuses.is_none();
    if rejected {
        conditions.retain(|condition| condition.type_ == "PodScheduled");
    }

    let host_network = spec.host_network.unwrap_or(false);
    let address = observation
        .sandbox
        .as_ref()
        .filter(|sandbox| sandbox.ready)
        .and_then(|sandbox| {
            if host_network {
                history.host_addresses.first().cloned()
            } else {
                sandbox.address.map(|address| address.to_string())
            }
        })
        .or_else(|| old.pod_ip.clone());

    // What the pod as a whole was given, and what is in effect of it.
    let given = spec.resources.as_ref().filter(|_| !rejected);
    let resources = match (given, &old.resources) {
        (Some(_), Some(before)) if pod_is_behind(spec, observation) => Some(before.clone()),
        (given, _) => given.cloned(),
    };

    PodStatus {
        phase: Some(computed.to_owned()),
        reason: why.as_ref().map(|why| why.reason.clone()),
        message: why
            .map(|why| why.message)
            .filter(|message| !message.is_empty()),
        conditions: Some(conditions),
        container_statuses: (!rejected).then(|| sorted_by_name(app)),
        init_container_statuses: (!rejected && !init.is_empty()).then_some(init),
        ephemeral_container_statuses: (!rejected && !ephemeral.is_empty()).then_some(ephemeral),
        host_ip: history.host_addresses.first().cloned(),
        host_ips: Some(
            history
                .host_addresses
                .iter()
                .map(|ip| HostIP { ip: ip.clone() })
                .collect(),
        ),
        pod_ips: address.as_ref().map(|ip| vec![PodIP { ip: ip.clone() }]),
        pod_ip: address,
        start_time: old.start_time.or_else(|| history.started_at.map(time)),
        qos_class: Some(history.qos_class.clone()),
        observed_generation: generation,
        allocated_resources: given.and_then(|given| given.requests.clone()),
        resources,
        ..PodStatus::default()
    }
}

/// The pod is finished, but some of its containers never told an end. What was never begun because the
/// initialisation did not come that far stays as it is (kubelet `TerminatePod`).
fn mark_unknown_ends(spec: &PodSpec, init: &mut [ContainerStatus], app: &mut [ContainerStatus]) {
    let moved = |status: &ContainerStatus| {
        last_end(status).is_some()
            || status
                .state
                .as_ref()
                .is_some_and(|state| state.waiting.is_none())
    };
    let initialized = init.is_empty()
        || app.iter().any(moved)
        || spec
            .init_containers
            .iter()
            .flatten()
            .zip(init.iter())
            .last()
            .is_some_and(|(container, status)| match init_role(container) {
                Role::Sidecar => status.started == Some(true),
                Role::Init | Role::App | Role::Ephemeral => status.ready,
            });
    let begun = init
        .iter()
        .rposition(moved)
        .map_or(1, |last| last + 1)
        .min(init.len());
    let ended = if initialized { app } else { &mut [] };
    for status in init[..begun].iter_mut().chain(ended) {
        let state = status.state.take().unwrap_or_default();
        status.state = Some(if state.terminated.is_some() {
            state
        } else {
            status.ready = false;
            status.started = Some(false);
            terminated(lost(
                state
                    .running
                    .and_then(|running| running.started_at)
                    .map(|time| time.0),
                None,
            ))
        });
    }
}

fn sorted_by_name(mut statuses: Vec<ContainerStatus>) -> Vec<ContainerStatus> {
    statuses.sort_by(|a, b| a.name.cmp(&b.name));
    statuses
}

fn ephemeral_statuses(
    pod: &Pod,
    spec: &PodSpec,
    observation: &PodObservation,
    probes: &Probes,
    history: &History,
) -> Vec<ContainerStatus> {
    let list = spec.ephemeral_containers.iter().flatten();
    list.map(|ephemeral| {
        let container = as_container(ephemeral);
        let role = Role::Ephemeral;
        container_status(pod, &container, role, observation, probes, history)
    })
    .collect()
}

fn statuses(
    pod: &Pod,
    list: &[Container],
    init: bool,
    observation: &PodObservation,
    probes: &Probes,
    history: &History,
) -> Vec<ContainerStatus> {
    list.iter()
        .map(|container| {
            let role = if init {
                init_role(container)
            } else {
                Role::App
            };
            container_status(pod, container, role, observation, probes, history)
        })
        .collect()
}

fn container_status(
    pod: &Pod,
    container: &Container,
    role: Role,
    observation: &PodObservation,
    probes: &Probes,
    history: &History,
) -> ContainerStatus {
    let name = &container.name;
    let instances = observation.instances.of(name);
    let newest = instances.first();
    let mut state = match newest {
        Some(instance) if !instance.starting && instance.removed == Removed::No => {
            state_of(instance)
        }
        Some(_) | None => waiting(initial_reason(pod), ""),
    };
    let before = match newest {
        Some(instance) if instance.removed != Removed::No => newest,
        _ => instances.get(1),
    };
    let mut last_state = before
        .map(state_of)
        .filter(|state| state.terminated.is_some());
    if !history.terminated
        && history.failed.is_none()
        && let Some(why) = history.waiting.get(name)
        && state.running.is_none()
        && will_start(pod, observation, name)
    {
        if state.terminated.is_some() {
            last_state = Some(state);
        }
        state = waiting(&why.reason, &why.message);
    }

    // What was told of a container that nothing is left of (kubelet `convertToAPIContainerStatuses`).
    let forgotten = newest.is_none().then(|| told_before(pod, name)).flatten();
    if last_state.is_none() {
        last_state = forgotten.and_then(|before| before.last_state.clone());
    }

    let running = state.running.is_some();
    let id = newest.map(|instance| &instance.id);
    let started = running && id.is_some_and(|id| probes.is_started(container, id));
    let ready = running && id.is_some_and(|id| probes.is_ready(container, id));
    let succeeded = state
        .terminated
        .as_ref()
        .is_some_and(|end| end.exit_code == 0);
    ContainerStatus {
        name: name.clone(),
        ready: match role {
            Role::Init => succeeded,
            Role::Sidecar | Role::App => ready,
            Role::Ephemeral => false,
        },
        started: (role != Role::Ephemeral).then_some(started),
        restart_count: newest.map_or_else(
            || forgotten.map_or(0, |before| before.restart_count),
            |instance| i32::try_from(instance.attempt).unwrap_or(i32::MAX),
        ),
        image: newest
            .map(|instance| instance.image.clone())
            .filter(|image| !image.is_empty())
            .unwrap_or_else(|| container.image.clone().unwrap_or_default()),
        image_id: newest
            .map(|instance| instance.image_id.clone())
            .unwrap_or_default(),
        container_id: newest.map(container_id).filter(|id| id != ID_PREFIX),
        user: newest
            .and_then(|instance| instance.user.as_ref())
            .map(|user| ContainerUser {
                linux: Some(LinuxContainerUser {
                    uid: i64::from(user.uid),
                    gid: i64::from(user.gid),
                    supplemental_groups: Some(
                        user.supplementary_groups
                            .iter()
                            .copied()
                            .map(i64::from)
                            .collect(),
                    ),
                }),
            }),
        resources: pod
            .spec
            .as_ref()
            .and_then(|spec| in_effect(spec, container, newest.filter(|one| one.is_running()))),
        allocated_resources: container
            .resources
            .as_ref()
            .and_then(|resources| resources.requests.clone()),
        volume_mounts: volume_mounts(container),
        state: Some(state),
        last_state,
        ..ContainerStatus::default()
    }
}

/// What is mounted, from the first status on; of a read-only mount also how far it goes (the runtime can do both).
fn volume_mounts(container: &Container) -> Option<Vec<VolumeMountStatus>> {
    let mounts = container.volume_mounts.as_ref()?;
    let told = mounts.iter().map(|mount| {
        let is_read_only = mount.read_only == Some(true);
        let all = matches!(
            mount.recursive_read_only.as_deref(),
            Some("Enabled" | "IfPossible")
        );
        let how_far = if all { "Enabled" } else { "Disabled" };
        VolumeMountStatus {
            name: mount.name.clone(),
            mount_path: mount.mount_path.clone(),
            read_only: is_read_only.then_some(true),
            recursive_read_only: is_read_only.then(|| how_far.to_owned()),
            ..VolumeMountStatus::default()
        }
    });
    Some(told.collect()).filter(|told: &Vec<_>| !told.is_empty())
}

fn container_id(instance: &Instance) -> String {
    format!("{ID_PREFIX}{}", instance.id)
}

fn initial_reason(pod: &Pod) -> &'static str {
    let has_init = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.init_containers.as_ref())
        .is_some_and(|list| !list.is_empty());
    INITIAL_REASONS[usize::from(has_init)]
}

fn waiting(reason: &str, message: &str) -> ContainerState {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    ContainerState {
        waiting: Some(ContainerStateWaiting {
            reason: text(reason),
            message: text(message),
        }),
        ..ContainerState::default()
    }
}

fn terminated(end: ContainerStateTerminated) -> ContainerState {
    ContainerState {
        terminated: Some(end),
        ..ContainerState::default()
    }
}

fn state_of(instance: &Instance) -> ContainerState {
    match &instance.phase {
        Phase::Exited(exit) if instance.removed == Removed::Killed => {
            terminated(ContainerStateTerminated {
                container_id: Some(container_id(instance)),
                exit_code: LOST_EXIT_CODE,
                reason: Some(RESTARTING_ALL.to_owned()),
                ..end_of(exit, instance)
            })
        }
        Phase::Created => waiting("", ""),
        Phase::Running { started_at } => ContainerState {
            running: Some(ContainerStateRunning {
                started_at: Some(time(*started_at)),
            }),
            ..ContainerState::default()
        },
        Phase::Exited(exit) => terminated(ContainerStateTerminated {
            container_id: Some(container_id(instance)),
            ..end_of(exit, instance)
        }),
        Phase::Lost {
            started_at,
            noticed_at,
        } => terminated(ContainerStateTerminated {
            container_id: Some(container_id(instance)),
            ..lost(*started_at, Some(*noticed_at))
        }),
    }
}

fn lost(started_at: Option<Timestamp>, finished_at: Option<Timestamp>) -> ContainerStateTerminated {
    ContainerStateTerminated {
        exit_code: LOST_EXIT_CODE,
        reason: Some(LOST.to_owned()),
        message: Some(LOST_MESSAGE.to_owned()),
        started_at: started_at.map(time),
        finished_at: finished_at.map(time),
        ..ContainerStateTerminated::default()
    }
}

/// What the probes of running containers say that are on their way to a failure.
fn failing_probes(observation: &PodObservation, probes: &Probes) -> Vec<String> {
    let running = observation.instances.all();
    running
        .filter(|(_, instance)| instance.current && instance.is_running())
        .flat_map(|(name, instance)| {
            probes.failing(&instance.id).map(move |(kind, failing)| {
                let title = kind.title().to_lowercase();
                let (failures, threshold) = (failing.failures, failing.threshold);
                format!("{name}: {title} probe failing {failures}/{threshold}")
            })
        })
        .collect()
}

/// Why a run is over, in the word of the status; empty while it is not.
pub(super) const fn end_reason(instance: &Instance) -> &'static str {
    match &instance.phase {
        Phase::Created | Phase::Running { .. } => "",
        Phase::Lost { .. } => LOST,
        Phase::Exited(exit) => exit_reason(exit),
    }
}

const fn exit_reason(exit: &ExitRecord) -> &'static str {
    if exit.start_error.is_some() {
        START_ERROR
    } else if exit.oom_killed && exit.code == 137 {
        OOM_KILLED
    } else if exit.code == 0 {
        "Completed"
    } else {
        "Error"
    }
}

/// `peak 63.9Mi, limit 64Mi; killed child sh (pid 77)`.
pub(super) fn oom_words(peak: u64, limit: Option<i64>, victim: Option<&Victim>) -> String {
    let limit = limit.and_then(|limit| u64::try_from(limit).ok());
    let mut numbers: Vec<String> = Vec::new();
    if peak > 0 {
        numbers.push(format!("peak {}", binary(peak)));
    }
    numbers.extend(limit.map(|limit| format!("limit {}", binary(limit))));
    let who = match victim {
        Some(victim) if victim.is_main => format!("killed the main process (pid {})", victim.pid),
        Some(victim) => format!("killed child {} (pid {})", victim.name, victim.pid),
        None => "killed a process".to_owned(),
    };
    if numbers.is_empty() {
        return who;
    }
    format!("{}; {who}", numbers.join(", "))
}

/// Bytes as quantities are written, with at most one decimal.
fn binary(bytes: u64) -> String {
    let (unit, suffix) = match bytes {
        0..1_048_576 => (1 << 10, "Ki"),
        1_048_576..1_073_741_824 => (1 << 20, "Mi"),
        _ => (1 << 30, "Gi"),
    };
    match (bytes / unit, bytes % unit * 10 / unit) {
        (whole, 0) => format!("{whole}{suffix}"),
        (whole, tenth) => format!("{whole}.{tenth}{suffix}"),
    }
}

fn end_of(exit: &ExitRecord, instance: &Instance) -> ContainerStateTerminated {
    let message = instance.message.clone();
    let message = message.filter(|message| !message.is_empty());
    // The runtime reports a start error as code 128, and startedAt as the epoch (containerd does too).
    ContainerStateTerminated {
        exit_code: exit.code,
        reason: Some(exit_reason(exit).to_owned()),
        message: exit.start_error.clone().or(message),
        started_at: Some(time(exit.started_at.unwrap_or(Timestamp::UNIX_EPOCH))),
        finished_at: Some(time(exit.finished_at)),
        ..ContainerStateTerminated::default()
    }
}

/// What the last known end of a container was. A container that was killed to begin anew will run, whatever
/// its policy says.
fn last_end(status: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    status
        .last_state
        .as_ref()
        .and_then(|last| last.terminated.as_ref())
        .filter(|end| end.reason.as_deref() != Some(RESTARTING_ALL))
}

#[derive(Default)]
struct Counts {
    pending_init: u32,
    pending_sidecar: u32,
    failed_init_final: u32,
    unknown: u32,
    waiting: u32,
    running: u32,
    stopped: u32,
    succeeded: u32,
    stopped_final: u32,
}

/// The phase. `is_terminal`: the worker has finished terminating, nothing restarts any more.
pub(super) fn phase(
    spec: &PodSpec,
    init: &[ContainerStatus],
    app: &[ContainerStatus],
    is_terminal: bool,
) -> &'static str {
    let mut counts = Counts::default();
    for (container, role) in containers(spec) {
        let list = if role == Role::App { app } else { init };
        let status = list.iter().find(|status| status.name == container.name);
        match role {
            Role::Init => count_init(&mut counts, spec, container, status),
            Role::Sidecar => count_sidecar(&mut counts, status),
            Role::App => count_app(&mut counts, spec, container, status),
            Role::Ephemeral => {}
        }
    }
    let initialized = app.iter().any(has_started);
    if counts.failed_init_final > 0 {
        return FAILED;
    }
    if counts.pending_init > 0 || (counts.pending_sidecar > 0 && !initialized) {
        return PENDING;
    }
    if counts.waiting > 0 {
        return PENDING;
    }
    if counts.running > 0 && counts.unknown == 0 {
        return RUNNING;
    }
    if counts.running == 0 && counts.stopped > 0 && counts.unknown == 0 {
        if is_terminal {
            return if counts.stopped == counts.succeeded {
                SUCCEEDED
            } else {
                FAILED
            };
        }
        if counts.stopped != counts.stopped_final {
            return RUNNING;
        }
        return if counts.stopped == counts.succeeded {
            SUCCEEDED
        } else {
            FAILED
        };
    }
    PENDING
}

pub(super) fn has_started(status: &ContainerStatus) -> bool {
    status
        .state
        .as_ref()
        .is_some_and(|state| state.running.is_some() || state.terminated.is_some())
        || last_end(status).is_some()
}

fn count_init(
    counts: &mut Counts,
    spec: &PodSpec,
    container: &Container,
    status: Option<&ContainerStatus>,
) {
    let failed = |counts: &mut Counts, code: i32| {
        if code != 0 && !restarts_after(spec, container, Role::Init, code) {
            counts.failed_init_final += 1;
        }
    };
    let Some(state) = status.and_then(|status| status.state.as_ref()) else {
        counts.pending_init += 1;
        return;
    };
    if let Some(end) = &state.terminated {
        failed(counts, end.exit_code);
    } else if state.waiting.is_some()
        && let Some(end) = status.and_then(last_end)
    {
        failed(counts, end.exit_code);
    } else {
        counts.pending_init += 1;
    }
}

fn count_sidecar(counts: &mut Counts, status: Option<&ContainerStatus>) {
    let Some(status) = status else {
        counts.unknown += 1;
        return;
    };
    let state = status.state.as_ref();
    if state.is_some_and(|state| state.running.is_some()) {
        counts.running += 1;
        if status.started != Some(true) {
            counts.pending_sidecar += 1;
        }
    } else if state.is_none_or(|state| state.terminated.is_none()) && last_end(status).is_none() {
        counts.pending_sidecar += 1;
        counts.waiting += 1;
    }
}

fn count_app(
    counts: &mut Counts,
    spec: &PodSpec,
    container: &Container,
    status: Option<&ContainerStatus>,
) {
    let Some(status) = status else {
        counts.unknown += 1;
        return;
    };
    let state = status.state.as_ref();
    if state.is_some_and(|state| state.running.is_some()) {
        counts.running += 1;
        return;
    }
    let present = state.and_then(|state| state.terminated.as_ref());
    match present.or_else(|| last_end(status)) {
        Some(end) => {
            counts.stopped += 1;
            if present.is_some() && end.exit_code == 0 {
                counts.succeeded += 1;
            }
            if !restarts_after(spec, container, Role::App, end.exit_code) {
                counts.stopped_final += 1;
            }
        }
        None => counts.waiting += 1,
    }
}

#[cfg(test)]
mod cases;
#[cfg(test)]
mod tests;
