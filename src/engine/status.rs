//! The status of a pod, computed from its spec and from what was observed. Pure: the oracle is the
//! kubelet's `generateAPIPodStatus`, `getPhase` and `convertToAPIContainerStatuses`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerStatus, HostIP, Pod, PodIP, PodSpec, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::conditions;
use super::observe::PodObservation;
use super::plan::restarts_all;
use super::resize::{Resizing, is_behind, pod_is_behind};
use super::restart::{Role, init_role};
use crate::model::pod::as_container;
use crate::probe::Probes;

mod container;
mod memory;
mod phase;

pub(super) use container::end_reason;
use container::{container_status, lost, terminated};
pub(super) use memory::oom_words;
pub(super) use phase::has_started;
use phase::{last_end, phase};

pub(super) const LOST: &str = "ContainerStatusUnknown";
pub(super) const LOST_MESSAGE: &str =
    "The container could not be located when the pod was terminated";
pub(super) const OOM_KILLED: &str = "OOMKilled";
pub(super) const START_ERROR: &str = "StartError";
pub(super) const RESTARTING_ALL: &str = "RestartingAllContainers";

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
    let restarting_all = restarts_all(pod, observation);
    if restarting_all && !history.terminated && is_terminal(Some(computed)) {
        // What has ended, or was killed, on the way will run again, whatever its policy says.
        computed = if app.iter().any(has_started) {
            RUNNING
        } else {
            PENDING
        };
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
            restarting_all,
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
                Role::Init | Role::App | Role::Ephemeral => has_ended_well(status),
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

/// Now or before.
fn has_ended_well(status: &ContainerStatus) -> bool {
    let states = status.state.iter().chain(&status.last_state);
    let mut ends = states.filter_map(|state| state.terminated.as_ref());
    ends.any(|end| end.exit_code == 0)
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

#[cfg(test)]
mod cases;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod told;
