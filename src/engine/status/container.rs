//! The status of one container: the kubelet's `convertToAPIContainerStatuses`.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated,
    ContainerStateWaiting, ContainerStatus, ContainerUser, LinuxContainerUser, Pod,
    VolumeMountStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{History, LOST, LOST_MESSAGE, OOM_KILLED, RESTARTING_ALL, START_ERROR, time};
use crate::engine::observe::{ID_PREFIX, Instance, LOST_EXIT_CODE, Phase, PodObservation};
use crate::engine::plan::will_start;
use crate::engine::resize::in_effect;
use crate::engine::restart::Role;
use crate::model::pod::container_status as told_before;
use crate::probe::Probes;
use crate::wire::ExitRecord;

/// Why a container waits that has never run; the second one where there are init containers.
const INITIAL_REASONS: [&str; 2] = ["ContainerCreating", "PodInitializing"];
const COMPLETED: &str = "Completed";
const VANISHED_MESSAGE: &str = "The container could not be located when the pod was deleted.  The container used to be Running";
const INFERRED_MESSAGE: &str = "Unable to get init container status from container runtime and pod has been initialized, treat it as exited normally";
const REMOVED_MESSAGE: &str = "The container is removed because RestartAllContainers in place";

pub(super) fn container_status(
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
    let told = told_before(pod, name);
    let (mut state, mut last_state, restart_count) = match (newest, told) {
        (Some(newest), told) => seen(pod, newest, instances.get(1), told),
        (None, Some(told)) => unseen(pod, told),
        (None, None) => (waiting(initial_reason(pod), ""), None, 0),
    };
    let is_lost_init = role == Role::Init && newest.is_none() && state.waiting.is_some();
    if is_lost_init && has_begun_applications(pod, observation) {
        state = terminated(inferred());
    }
    if !history.terminated
        && history.failed.is_none()
        && let Some(why) = history.waiting.get(name)
        && state.running.is_none()
        && !is_inferred(&state)
        && will_start(pod, observation, name)
    {
        if state.terminated.is_some() {
            last_state = Some(state);
        }
        state = waiting(&why.reason, &why.message);
    }

    // Of an end that was told everything stays as it was told.
    let kept = told.filter(|told| newest.is_none() && end_of_state(told.state.as_ref()).is_some());
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
        restart_count,
        image: newest
            .map(|instance| instance.image.clone())
            .or_else(|| kept.map(|told| told.image.clone()))
            .filter(|image| !image.is_empty())
            .unwrap_or_else(|| container.image.clone().unwrap_or_default()),
        image_id: newest
            .map(|instance| instance.image_id.clone())
            .or_else(|| kept.map(|told| told.image_id.clone()))
            .unwrap_or_default(),
        container_id: newest
            .and_then(id_of)
            .or_else(|| kept.and_then(|told| told.container_id.clone())),
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
pub(super) fn volume_mounts(container: &Container) -> Option<Vec<VolumeMountStatus>> {
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

/// `None` for a run that was read back from a status without an ID.
fn id_of(instance: &Instance) -> Option<String> {
    Some(format!("{ID_PREFIX}{}", instance.id)).filter(|id| id != ID_PREFIX)
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

pub(super) fn terminated(end: ContainerStateTerminated) -> ContainerState {
    ContainerState {
        terminated: Some(end),
        ..ContainerState::default()
    }
}

/// State, last state and number of restarts of what was seen on the machine. Neither a told number nor a told end
/// is lost where the machine does not know it.
fn seen(
    pod: &Pod,
    newest: &Instance,
    before: Option<&Instance>,
    told: Option<&ContainerStatus>,
) -> (ContainerState, Option<ContainerState>, i32) {
    let count = |attempts: u32| i32::try_from(attempts).unwrap_or(i32::MAX);
    if newest.removed {
        // It counts as restarted from its removal on.
        let state = waiting(RESTARTING_ALL, REMOVED_MESSAGE);
        let restarts = count(newest.attempt.saturating_add(1));
        return (state, Some(terminated(removed())), restarts);
    }
    let state = if newest.starting {
        waiting(initial_reason(pod), "")
    } else {
        state_of(newest)
    };
    let last = before.map(|before| {
        if before.removed {
            terminated(removed())
        } else {
            state_of(before)
        }
    });
    let last = last.filter(|state| state.terminated.is_some());
    let Some(told) = told else {
        return (state, last, count(newest.attempt));
    };
    let is_other = told.container_id != id_of(newest);
    let told_end = told
        .state
        .clone()
        .filter(|state| state.terminated.is_some());
    let begun_anew = is_other && told_end.is_some() && state.running.is_some();
    let at_least = told.restart_count.saturating_add(i32::from(begun_anew));
    let told_last = told_end
        .filter(|_| is_other)
        .or_else(|| told.last_state.clone());
    let last = last.or(told_last);
    (state, last, count(newest.attempt).max(at_least))
}

/// The same of a container that nothing is left of: an end that was told stays the state, of what was told to run
/// the end is inferred.
fn unseen(pod: &Pod, told: &ContainerStatus) -> (ContainerState, Option<ContainerState>, i32) {
    let last = told.last_state.clone();
    if end_of_state(told.state.as_ref()).is_some() {
        return (
            told.state.clone().unwrap_or_default(),
            last,
            told.restart_count,
        );
    }
    let state = waiting(initial_reason(pod), "");
    let has_run = told
        .state
        .as_ref()
        .is_some_and(|state| state.running.is_some());
    if !has_run || end_of_state(last.as_ref()).is_some() {
        return (state, last, told.restart_count);
    }
    let last = ContainerStateTerminated {
        message: Some(VANISHED_MESSAGE.to_owned()),
        ..lost(None, None)
    };
    // Without a deletion it will be restarted.
    let restarts = i32::from(pod.metadata.deletion_timestamp.is_none());
    (
        state,
        Some(terminated(last)),
        told.restart_count.saturating_add(restarts),
    )
}

fn end_of_state(state: Option<&ContainerState>) -> Option<&ContainerStateTerminated> {
    state.and_then(|state| state.terminated.as_ref())
}

/// Whether the initialisation must be over: an application container was made.
fn has_begun_applications(pod: &Pod, observation: &PodObservation) -> bool {
    let applications = pod.spec.iter().flat_map(|spec| &spec.containers);
    let newest = applications.filter_map(|one| observation.instances.newest(&one.name));
    newest
        .filter(|instance| !instance.removed)
        .any(|instance| match instance.phase {
            Phase::Created | Phase::Running { .. } | Phase::Exited(_) => true,
            Phase::Lost { .. } => false,
        })
}

/// The end of an init container that nobody remembers, in a pod that got past it.
fn inferred() -> ContainerStateTerminated {
    ContainerStateTerminated {
        exit_code: 0,
        reason: Some(COMPLETED.to_owned()),
        message: Some(INFERRED_MESSAGE.to_owned()),
        ..ContainerStateTerminated::default()
    }
}

fn is_inferred(state: &ContainerState) -> bool {
    end_of_state(Some(state)).is_some_and(|end| *end == inferred())
}

/// The end of whatever was removed for a restart of all containers, also if it had ended by itself.
fn removed() -> ContainerStateTerminated {
    ContainerStateTerminated {
        exit_code: LOST_EXIT_CODE,
        reason: Some(RESTARTING_ALL.to_owned()),
        message: Some(REMOVED_MESSAGE.to_owned()),
        ..ContainerStateTerminated::default()
    }
}

pub(super) fn state_of(instance: &Instance) -> ContainerState {
    match &instance.phase {
        Phase::Created => waiting("", ""),
        Phase::Running { started_at } => ContainerState {
            running: Some(ContainerStateRunning {
                started_at: Some(time(*started_at)),
            }),
            ..ContainerState::default()
        },
        Phase::Exited(exit) => terminated(ContainerStateTerminated {
            container_id: id_of(instance),
            ..end_of(exit, instance)
        }),
        Phase::Lost {
            started_at,
            noticed_at,
        } => terminated(ContainerStateTerminated {
            container_id: id_of(instance),
            ..lost(*started_at, Some(*noticed_at))
        }),
    }
}

pub(super) fn lost(
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
) -> ContainerStateTerminated {
    ContainerStateTerminated {
        exit_code: LOST_EXIT_CODE,
        reason: Some(LOST.to_owned()),
        message: Some(LOST_MESSAGE.to_owned()),
        started_at: started_at.map(time),
        finished_at: finished_at.and_then(known),
        ..ContainerStateTerminated::default()
    }
}

/// An end that was read back from a status without a time has none.
fn known(at: Timestamp) -> Option<Time> {
    Some(time(at)).filter(|time| time.0 != Timestamp::UNIX_EPOCH)
}

/// Why a run is over, in the word of the status; empty while it is not.
pub(in crate::engine) const fn end_reason(instance: &Instance) -> &'static str {
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
        COMPLETED
    } else {
        "Error"
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
        finished_at: known(exit.finished_at),
        ..ContainerStateTerminated::default()
    }
}
