//! In-place resize: which cpu and memory a pod has been given, whether it may have others, and how far its
//! cgroups are. Pure. A resize is taken on as a whole or not at all; what was taken on and differs from the
//! limits that the runtime holds is under way.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::json;

use super::observe::{Instance, PodObservation};
use super::status::Why;
use super::translate::{container_limits, limits_of_pod};
use crate::model::Resource;
use crate::model::downward::Allocatable;
use crate::model::pod::{
    QosClass, RESIZE_PENDING, all_containers, container_status, pod_requests, qos_class,
};
use crate::model::priority::pod_priority;
use crate::model::quantity::ParsedQuantity;
use crate::wire::ResourceLimits;

/// What a worker knows of the resize of its pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Resizing {
    /// Why the wanted resources are not taken on: `Deferred` or `Infeasible`.
    pub(super) pending: Option<Why>,
    /// A resize was taken on and its end has not been told.
    pub(super) under_way: bool,
    /// Why the last step of it failed.
    pub(super) error: Option<String>,
}

/// The resources of every container and of the pod as a whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Allocation {
    pod: Option<ResourceRequirements>,
    containers: BTreeMap<String, Option<ResourceRequirements>>,
}

impl Allocation {
    pub(super) fn of(spec: &PodSpec) -> Self {
        let one = |container: &Container| (container.name.clone(), container.resources.clone());
        Self {
            pod: spec.resources.clone(),
            containers: all_containers(spec).map(one).collect(),
        }
    }

    pub(super) fn apply(&self, spec: &mut PodSpec) {
        spec.resources.clone_from(&self.pod);
        let init = spec.init_containers.iter_mut().flatten();
        for container in init.chain(&mut spec.containers) {
            if let Some(resources) = self.containers.get(&container.name) {
                container.resources.clone_from(resources);
            }
        }
    }
}

/// The pod with the resources it has been given, as far as its status tells: a resize that waits, or that
/// nobody has looked at yet, is not in effect.
pub(super) fn allocated(pod: &Pod) -> Pod {
    let mut pod = pod.clone();
    let Some(status) = &pod.status else {
        return pod;
    };
    let mut conditions = status.conditions.iter().flatten();
    let waits = conditions.any(|condition| condition.type_ == RESIZE_PENDING);
    let seen = status.observed_generation;
    if !waits && (seen.is_none() || seen == pod.metadata.generation) {
        return pod;
    }
    let Some(spec) = &pod.spec else {
        return pod;
    };
    let mut given = Allocation::of(spec);
    if status.resources.is_some() {
        given.pod.clone_from(&status.resources);
    }
    for (name, resources) in &mut given.containers {
        if let Some(told) = container_status(&pod, name).and_then(|status| status.resources.clone())
        {
            *resources = Some(told);
        }
    }
    if let Some(spec) = &mut pod.spec {
        given.apply(spec);
    }
    pod
}

/// Whether a pod that has `given` may have `wanted`, beside the requests of all others. Only what grows
/// needs room.
pub(super) fn decide(
    given: &PodSpec,
    wanted: &PodSpec,
    others: &[PodSpec],
    room: Allocatable,
) -> Result<(), Why> {
    let amount = |spec: &PodSpec, name: &str| {
        let total = pod_requests(spec);
        total.get(name).map_or(0, |amount| value(name, *amount))
    };
    let grows = |name: &str| amount(wanted, name) > amount(given, name);
    let capacity = [("memory", room.memory), ("cpu", room.cpu_milli)];
    for (name, capacity) in capacity.into_iter().filter(|(name, _)| grows(name)) {
        let requested = amount(wanted, name);
        if requested > capacity {
            return Err(Why {
                reason: "Infeasible".to_owned(),
                message: format!(
                    "Node didn't have enough capacity: {name}, requested: {requested}, capacity: {capacity}"
                ),
            });
        }
    }
    for (name, capacity) in capacity.into_iter().rev().filter(|(name, _)| grows(name)) {
        let requested = amount(wanted, name);
        let used = others.iter().map(|other| amount(other, name));
        let used = used.fold(0, i64::saturating_add);
        if requested.saturating_add(used) > capacity {
            return Err(Why {
                reason: "Deferred".to_owned(),
                message: format!(
                    "Node didn't have enough resource: {name}, requested: {requested}, used: {used}, capacity: {capacity}"
                ),
            });
        }
    }
    Ok(())
}

/// What everybody else has, or will have before this pod may grow: resizes that wait and are more important are taken
/// on first where they fit (kubelet `sortPendingResizes`). `own` has the wanted spec, `given` is what it has now.
pub(super) fn others_first(
    pods: &[Arc<Pod>],
    own: &Pod,
    given: &PodSpec,
    room: Allocatable,
) -> Vec<PodSpec> {
    let others = pods.iter().filter(|pod| pod.uid() != own.uid());
    let mut others: Vec<(&Arc<Pod>, PodSpec)> = others
        .filter_map(|pod| Some((pod, allocated(pod).spec?)))
        .collect();
    let limit = rank(own, given);
    let mut ahead: Vec<usize> = (0..others.len())
        .filter(|&index| waits_since(others[index].0).is_some())
        .filter(|&index| rank(others[index].0, &others[index].1) < limit)
        .collect();
    ahead.sort_by_key(|&index| rank(others[index].0, &others[index].1));
    for index in ahead {
        let Some(wanted) = others[index].0.spec.clone() else {
            continue;
        };
        let mut rest: Vec<PodSpec> = vec![given.clone()];
        let beside = others.iter().enumerate().filter(|(at, _)| *at != index);
        rest.extend(beside.map(|(_, (_, spec))| spec.clone()));
        if decide(&others[index].1, &wanted, &rest, room).is_ok() {
            others[index].1 = wanted;
        }
    }
    others.into_iter().map(|(_, spec)| spec).collect()
}

/// When the resize of the pod was put off.
fn waits_since(pod: &Pod) -> Option<Timestamp> {
    let status = pod.status.as_ref()?;
    let mut conditions = status.conditions.iter().flatten();
    let waits = conditions
        .find(|one| one.type_ == RESIZE_PENDING && one.reason.as_deref() == Some("Deferred"))?;
    Some(waits.last_transition_time.as_ref()?.0)
}

/// The first to be retried: what does not grow, then the higher priority, the better class, the longest wait.
fn rank(pod: &Pod, given: &PodSpec) -> (bool, Reverse<i32>, u8, Timestamp) {
    let wanted = pod.spec.as_ref();
    let total = |spec: &PodSpec, name: &str| {
        let total = pod_requests(spec);
        total.get(name).map_or(0, |amount| value(name, *amount))
    };
    let grows = |name: &str| wanted.is_some_and(|spec| total(spec, name) > total(given, name));
    let class = match wanted.map(qos_class) {
        Some(QosClass::Guaranteed) => 0,
        Some(QosClass::Burstable) => 1,
        Some(QosClass::BestEffort) | None => 2,
    };
    let since = waits_since(pod).unwrap_or(Timestamp::MAX);
    let grows = grows("cpu") || grows("memory");
    (grows, Reverse(pod_priority(pod)), class, since)
}

/// Thousandths of a CPU, bytes of memory.
fn value(name: &str, amount: ParsedQuantity) -> i64 {
    if name == "cpu" {
        amount.milli_value()
    } else {
        amount.value()
    }
}

/// The two resources, in the order in which they are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Memory,
    Cpu,
}

impl Part {
    pub(super) const ALL: [Self; 2] = [Self::Memory, Self::Cpu];

    const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
        }
    }

    pub(super) fn differs(self, a: &ResourceLimits, b: &ResourceLimits) -> bool {
        match self {
            Self::Memory => a.memory_limit != b.memory_limit,
            Self::Cpu => {
                (a.cpu_shares, a.cpu_weight, a.cpu_quota)
                    != (b.cpu_shares, b.cpu_weight, b.cpu_quota)
            }
        }
    }

    /// `base` with this part of `from`.
    pub(super) fn taken(self, base: &ResourceLimits, from: &ResourceLimits) -> ResourceLimits {
        let mut limits = base.clone();
        match self {
            Self::Memory => {
                limits.memory_limit = from.memory_limit;
                limits.swap_limit = from.swap_limit;
            }
            Self::Cpu => {
                limits.cpu_shares = from.cpu_shares;
                limits.cpu_weight = from.cpu_weight;
                limits.cpu_quota = from.cpu_quota;
                limits.cpu_period = from.cpu_period;
            }
        }
        limits
    }
}

/// What leaves room for both. A limit that one of them does not have is left as it is.
pub(super) fn looser(a: &ResourceLimits, b: &ResourceLimits) -> ResourceLimits {
    fn larger<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
        Some(a?.max(b?))
    }
    ResourceLimits {
        cpu_shares: larger(a.cpu_shares, b.cpu_shares),
        cpu_weight: larger(a.cpu_weight, b.cpu_weight),
        cpu_quota: larger(a.cpu_quota, b.cpu_quota),
        cpu_period: larger(a.cpu_period, b.cpu_period),
        memory_limit: larger(a.memory_limit, b.memory_limit),
        swap_limit: larger(a.swap_limit, b.swap_limit),
        ..b.clone()
    }
}

fn parts_behind(spec: &PodSpec, container: &Container, instance: &Instance) -> Vec<Part> {
    let Some(actual) = instance.limits.as_ref().filter(|_| instance.is_running()) else {
        return Vec::new();
    };
    let wanted = container_limits(spec, container);
    let parts = Part::ALL.into_iter();
    parts.filter(|part| part.differs(actual, &wanted)).collect()
}

/// Whether this running instance gets its new resources only by beginning anew (`resizePolicy`).
pub(super) fn needs_restart(spec: &PodSpec, container: &Container, instance: &Instance) -> bool {
    parts_behind(spec, container, instance)
        .into_iter()
        .any(|part| {
            container.resize_policy.iter().flatten().any(|policy| {
                policy.resource_name == part.name() && policy.restart_policy == "RestartContainer"
            })
        })
}

/// The pod's own limits, where they are not those of its spec.
pub(super) fn pod_is_behind(spec: &PodSpec, seen: &PodObservation) -> bool {
    let sandbox = seen.sandbox.as_ref().filter(|sandbox| sandbox.ready);
    let Some(actual) = sandbox.and_then(|sandbox| sandbox.limits.as_ref()) else {
        return false;
    };
    let wanted = wanted_of_pod(spec);
    Part::ALL
        .into_iter()
        .any(|part| part.differs(actual, &wanted))
}

pub(super) fn wanted_of_pod(spec: &PodSpec) -> ResourceLimits {
    limits_of_pod(spec, qos_class(spec) == QosClass::BestEffort)
}

/// Whether anything that runs has other limits than it should.
pub(super) fn is_behind(spec: &PodSpec, seen: &PodObservation) -> bool {
    pod_is_behind(spec, seen)
        || all_containers(spec).any(|container| {
            let newest = seen.instances.newest(&container.name);
            newest.is_some_and(|instance| !parts_behind(spec, container, instance).is_empty())
        })
}

/// The resources in effect: what was given, with what the cgroup says where that still differs.
pub(super) fn in_effect(
    spec: &PodSpec,
    container: &Container,
    instance: Option<&Instance>,
) -> Option<ResourceRequirements> {
    let mut resources = container.resources.clone();
    let (Some(told), Some(instance)) = (&mut resources, instance) else {
        return resources;
    };
    let Some(actual) = &instance.limits else {
        return resources;
    };
    let set = |list: &mut Option<BTreeMap<String, Quantity>>, name: &str, text: Option<String>| {
        if let (Some(known), Some(text)) = (list.as_mut().and_then(|list| list.get_mut(name)), text)
        {
            *known = Quantity(text);
        }
    };
    for part in parts_behind(spec, container, instance) {
        match part {
            Part::Memory => {
                let limit = actual
                    .memory_limit
                    .and_then(|bytes| u64::try_from(bytes).ok());
                let limit = limit.map(|bytes| ParsedQuantity::of_bytes(bytes).to_string());
                set(&mut told.limits, "memory", limit);
            }
            Part::Cpu => {
                let period = actual
                    .cpu_period
                    .and_then(|period| i64::try_from(period).ok());
                let milli = actual.cpu_quota.zip(period.filter(|period| *period > 0));
                let milli = milli.map(|(quota, period)| format!("{}m", quota * 1000 / period));
                set(&mut told.limits, "cpu", milli);
                // Rounded up, as the shares were rounded down.
                let milli = actual
                    .cpu_shares
                    .map(|shares| (shares * 1000).div_ceil(1024));
                set(
                    &mut told.requests,
                    "cpu",
                    milli.map(|milli| format!("{milli}m")),
                );
            }
        }
    }
    resources
}

/// What events say of a resize.
pub(super) fn details(spec: &PodSpec, generation: Option<i64>, error: Option<&str>) -> String {
    let list = |containers: &[Container]| -> Vec<serde_json::Value> {
        containers
            .iter()
            .map(|container| json!({"name": container.name, "resources": container.resources}))
            .collect()
    };
    let mut details = serde_json::Map::new();
    if let Some(init) = &spec.init_containers {
        details.insert("initContainers".to_owned(), json!(list(init)));
    }
    details.insert("containers".to_owned(), json!(list(&spec.containers)));
    details.insert("generation".to_owned(), json!(generation));
    if let Some(error) = error {
        details.insert("error".to_owned(), json!(error));
    }
    serde_json::Value::Object(details).to_string()
}

#[cfg(test)]
mod tests;
