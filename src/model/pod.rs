//! Questions about one pod that several rooms ask.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Container, ContainerStatus, EphemeralContainer, Pod, PodSpec, ResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::quantity::ParsedQuantity;

/// Default of `spec.terminationGracePeriodSeconds`.
pub(crate) const DEFAULT_GRACE_SECONDS: i64 = 30;

/// `status.qosClass`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QosClass {
    Guaranteed,
    Burstable,
    BestEffort,
}

impl QosClass {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        }
    }
}

/// Init containers in declared order.
pub(crate) fn init_containers(spec: &PodSpec) -> &[Container] {
    spec.init_containers.as_deref().unwrap_or_default()
}

/// Init containers (sidecars included), then app containers; ephemeral ones are of another type.
pub(crate) fn all_containers(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    init_containers(spec).iter().chain(&spec.containers)
}

/// An app or init container by name.
pub(crate) fn find_container<'a>(spec: &'a PodSpec, name: &str) -> Option<&'a Container> {
    all_containers(spec).find(|container| container.name == name)
}

/// Every container: [`all_containers`] and then the ephemeral ones.
pub(crate) fn every_container(spec: &PodSpec) -> impl Iterator<Item = Cow<'_, Container>> {
    let ephemeral = spec.ephemeral_containers.iter().flatten();
    all_containers(spec)
        .map(Cow::Borrowed)
        .chain(ephemeral.map(|container| Cow::Owned(as_container(container))))
}

/// A container of any kind by name.
pub(crate) fn find_any_container<'a>(spec: &'a PodSpec, name: &str) -> Option<Cow<'a, Container>> {
    every_container(spec).find(|container| container.name == name)
}

/// An ephemeral container by name.
pub(crate) fn find_ephemeral<'a>(spec: &'a PodSpec, name: &str) -> Option<&'a EphemeralContainer> {
    let mut list = spec.ephemeral_containers.iter().flatten();
    list.find(|container| container.name == name)
}

/// The same fields in the type of the other containers, without the target.
pub(crate) fn as_container(ephemeral: &EphemeralContainer) -> Container {
    let ephemeral = ephemeral.clone();
    Container {
        args: ephemeral.args,
        command: ephemeral.command,
        env: ephemeral.env,
        env_from: ephemeral.env_from,
        image: ephemeral.image,
        image_pull_policy: ephemeral.image_pull_policy,
        lifecycle: ephemeral.lifecycle,
        liveness_probe: ephemeral.liveness_probe,
        name: ephemeral.name,
        ports: ephemeral.ports,
        readiness_probe: ephemeral.readiness_probe,
        resize_policy: ephemeral.resize_policy,
        resources: ephemeral.resources,
        restart_policy: ephemeral.restart_policy,
        restart_policy_rules: ephemeral.restart_policy_rules,
        security_context: ephemeral.security_context,
        startup_probe: ephemeral.startup_probe,
        stdin: ephemeral.stdin,
        stdin_once: ephemeral.stdin_once,
        termination_message_path: ephemeral.termination_message_path,
        termination_message_policy: ephemeral.termination_message_policy,
        tty: ephemeral.tty,
        volume_devices: ephemeral.volume_devices,
        volume_mounts: ephemeral.volume_mounts,
        working_dir: ephemeral.working_dir,
    }
}

/// The way back.
pub(crate) fn as_ephemeral(container: Container, target: Option<String>) -> EphemeralContainer {
    EphemeralContainer {
        args: container.args,
        command: container.command,
        env: container.env,
        env_from: container.env_from,
        image: container.image,
        image_pull_policy: container.image_pull_policy,
        lifecycle: container.lifecycle,
        liveness_probe: container.liveness_probe,
        name: container.name,
        ports: container.ports,
        readiness_probe: container.readiness_probe,
        resize_policy: container.resize_policy,
        resources: container.resources,
        restart_policy: container.restart_policy,
        restart_policy_rules: container.restart_policy_rules,
        security_context: container.security_context,
        startup_probe: container.startup_probe,
        stdin: container.stdin,
        stdin_once: container.stdin_once,
        target_container_name: target,
        termination_message_path: container.termination_message_path,
        termination_message_policy: container.termination_message_policy,
        tty: container.tty,
        volume_devices: container.volume_devices,
        volume_mounts: container.volume_mounts,
        working_dir: container.working_dir,
    }
}

/// `PodResizePending`: a resize waits, or can never be.
pub(crate) const RESIZE_PENDING: &str = "PodResizePending";
/// `PodResizeInProgress`: a resize was taken on and is not done.
pub(crate) const RESIZE_IN_PROGRESS: &str = "PodResizeInProgress";
/// Somebody other than its owner ends the pod.
pub(crate) const DISRUPTION: &str = "DisruptionTarget";

/// Conditions that the engine writes. All others belong to somebody else and are kept as they are.
pub(crate) fn is_engine_condition(type_: &str) -> bool {
    matches!(
        type_,
        RESIZE_PENDING
            | RESIZE_IN_PROGRESS
            | "PodReadyToStartContainers"
            | "podtui.dev/ProbeFailing"
            | "Initialized"
            | "Ready"
            | "ContainersReady"
            | "PodScheduled"
            | "AllContainersRestarting"
            | DISRUPTION
    )
}

/// An init container that keeps running beside the app containers (`restartPolicy: Always`). Only meaningful
/// for an entry of `initContainers`.
pub(crate) fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

pub(crate) fn container_status<'a>(pod: &'a Pod, name: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let find = |list: &'a Option<Vec<ContainerStatus>>| {
        list.iter().flatten().find(|status| status.name == name)
    };
    find(&status.container_statuses)
        .or_else(|| find(&status.init_container_statuses))
        .or_else(|| find(&status.ephemeral_container_statuses))
}

/// Empty before a status was written.
pub(crate) fn phase(pod: &Pod) -> &str {
    let status = pod.status.as_ref();
    status
        .and_then(|status| status.phase.as_deref())
        .unwrap_or_default()
}

/// Succeeded or Failed: nothing of the pod runs or will run again.
pub(crate) fn is_terminal(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Deletion was asked for; the object is still there.
pub(crate) fn is_deleting(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// `None` while the pod has no node.
pub(crate) fn node_name(pod: &Pod) -> Option<&str> {
    let name = pod.spec.as_ref()?.node_name.as_deref()?;
    (!name.is_empty()).then_some(name)
}

/// Seconds between the stop signal and the kill, as things stand now.
pub(crate) fn grace_period_seconds(pod: &Pod) -> i64 {
    let spec = pod.spec.as_ref();
    pod.metadata
        .deletion_grace_period_seconds
        .or_else(|| spec.and_then(|spec| spec.termination_grace_period_seconds))
        .unwrap_or(DEFAULT_GRACE_SECONDS)
}

/// For tests; the rooms that decide on conditions have their own, richer look at them.
#[cfg(test)]
pub(crate) fn is_condition_true(
    status: &k8s_openapi::api::core::v1::PodStatus,
    type_: &str,
) -> bool {
    let mut conditions = status.conditions.iter().flatten();
    conditions.any(|condition| condition.type_ == type_ && condition.status == "True")
}

type Quantities = BTreeMap<String, Quantity>;
/// Resource name → amount.
pub(crate) type Totals = BTreeMap<String, ParsedQuantity>;

fn requests(resources: &ResourceRequirements) -> Option<&Quantities> {
    resources.requests.as_ref()
}

fn limits(resources: &ResourceRequirements) -> Option<&Quantities> {
    resources.limits.as_ref()
}

/// One request of a container, zero when absent.
pub(crate) fn container_request(container: &Container, resource: &str) -> ParsedQuantity {
    let map = container.resources.as_ref().and_then(requests);
    map.and_then(|map| map.get(resource))
        .map_or(ParsedQuantity::ZERO, ParsedQuantity::of)
}

/// One limit of a container; an absent or zero limit is none.
pub(crate) fn container_limit(container: &Container, resource: &str) -> Option<ParsedQuantity> {
    let map = container.resources.as_ref().and_then(limits);
    map.and_then(|map| map.get(resource))
        .map(ParsedQuantity::of)
        .filter(|limit| !limit.is_zero())
}

/// Requests of the whole pod: the larger of what runs together and what initialisation needs, plus overhead;
/// pod-level requests win for the resources they name.
pub(crate) fn pod_requests(spec: &PodSpec) -> Totals {
    let mut totals = aggregate(spec, requests);
    pod_level(spec, requests, &mut totals);
    for (name, overhead) in spec.overhead.iter().flatten() {
        add(&mut totals, name, ParsedQuantity::of(overhead));
    }
    totals
}

/// Limits of the whole pod. A resource is listed when any container limits it, so whether the sum bounds the
/// pod is for the caller to see (a container without limit makes it meaningless).
pub(crate) fn pod_limits(spec: &PodSpec) -> Totals {
    let mut totals = aggregate(spec, limits);
    pod_level(spec, limits, &mut totals);
    for (name, overhead) in spec.overhead.iter().flatten() {
        if totals.get(name).is_some_and(|limit| !limit.is_zero()) {
            add(&mut totals, name, ParsedQuantity::of(overhead));
        }
    }
    totals
}

/// True when every container, init containers included, or the pod itself limits this resource: then the sum
/// of limits is a limit of the pod.
pub(crate) fn is_limited(spec: &PodSpec, resource: &str) -> bool {
    let pod_level = spec.resources.as_ref().and_then(limits);
    pod_level.is_some_and(|limits| limits.contains_key(resource))
        || all_containers(spec).all(|container| container_limit(container, resource).is_some())
}

fn add(totals: &mut Totals, name: &str, amount: ParsedQuantity) {
    let total = totals
        .entry(name.to_owned())
        .or_insert(ParsedQuantity::ZERO);
    *total = total.add(amount);
}

fn add_all(totals: &mut Totals, amounts: Option<&Quantities>) {
    for (name, amount) in amounts.into_iter().flatten() {
        add(totals, name, ParsedQuantity::of(amount));
    }
}

fn raise(totals: &mut Totals, other: &Totals) {
    for (name, amount) in other {
        let total = totals.entry(name.clone()).or_insert(*amount);
        *total = (*total).max(*amount);
    }
}

type Part = fn(&ResourceRequirements) -> Option<&Quantities>;

fn aggregate(spec: &PodSpec, part: Part) -> Totals {
    let of = |container: &'_ Container| container.resources.as_ref().and_then(part).cloned();
    let mut together = Totals::new();
    for container in &spec.containers {
        add_all(&mut together, of(container).as_ref());
    }
    let mut sidecars = Totals::new();
    let mut initialisation = Totals::new();
    for container in init_containers(spec) {
        if is_sidecar(container) {
            add_all(&mut together, of(container).as_ref());
            add_all(&mut sidecars, of(container).as_ref());
            raise(&mut initialisation, &sidecars);
        } else {
            let mut step = sidecars.clone();
            add_all(&mut step, of(container).as_ref());
            raise(&mut initialisation, &step);
        }
    }
    raise(&mut together, &initialisation);
    together
}

fn pod_level(spec: &PodSpec, part: Part, totals: &mut Totals) {
    for (name, amount) in spec.resources.as_ref().and_then(part).into_iter().flatten() {
        totals.insert(name.clone(), ParsedQuantity::of(amount));
    }
}

/// Quality of service. The spec must have been defaulted, so that requests follow limits.
pub(crate) fn qos_class(spec: &PodSpec) -> QosClass {
    let blocks: Vec<Option<&ResourceRequirements>> = match &spec.resources {
        Some(resources) if resources.requests.is_some() || resources.limits.is_some() => {
            vec![Some(resources)]
        }
        _ => all_containers(spec)
            .map(|container| container.resources.as_ref())
            .collect(),
    };
    let mut all_requests = Totals::new();
    let mut all_limits = Totals::new();
    let mut each_limited = true;
    for resources in blocks {
        let counted = |map: Option<&Quantities>| -> Totals {
            let known = map.into_iter().flatten();
            known
                .filter(|(name, _)| matches!(name.as_str(), "cpu" | "memory"))
                .map(|(name, amount)| (name.clone(), ParsedQuantity::of(amount)))
                .filter(|(_, amount)| *amount > ParsedQuantity::ZERO)
                .collect()
        };
        let limited = counted(resources.and_then(limits));
        each_limited &= limited.len() == 2;
        for (name, amount) in limited {
            add(&mut all_limits, &name, amount);
        }
        for (name, amount) in counted(resources.and_then(requests)) {
            add(&mut all_requests, &name, amount);
        }
    }
    if all_requests.is_empty() && all_limits.is_empty() {
        QosClass::BestEffort
    } else if each_limited && all_requests == all_limits {
        QosClass::Guaranteed
    } else {
        QosClass::Burstable
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec(value: Value) -> PodSpec {
        serde_json::from_value(value).unwrap()
    }

    fn with_resources(list: &[Value]) -> PodSpec {
        let containers: Vec<Value> = list
            .iter()
            .map(|resources| json!({"name": "c", "resources": resources}))
            .collect();
        spec(json!({ "containers": containers }))
    }

    #[track_caller]
    fn check_qos(list: &[Value], expected: QosClass) {
        assert_eq!(qos_class(&with_resources(list)), expected);
    }

    #[test]
    fn quality_of_service() {
        let both = json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}});
        let less = json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}});
        check_qos(&[json!({})], QosClass::BestEffort);
        check_qos(&[json!({"requests": {"cpu": "0"}})], QosClass::BestEffort);
        check_qos(
            &[json!({"limits": {"ephemeral-storage": "1Gi"}})],
            QosClass::BestEffort,
        );
        check_qos(std::slice::from_ref(&both), QosClass::Guaranteed);
        check_qos(&[both.clone(), both.clone()], QosClass::Guaranteed);
        check_qos(&[both.clone(), json!({})], QosClass::Burstable);
        check_qos(&[less], QosClass::Burstable);
        check_qos(
            &[json!({"limits": {"cpu": "1"}, "requests": {"cpu": "1"}})],
            QosClass::Burstable,
        );
        let mut init = with_resources(std::slice::from_ref(&both));
        init.init_containers = Some(vec![Container::default()]);
        assert_eq!(qos_class(&init), QosClass::Burstable);
        let mut pod_level = with_resources(&[json!({})]);
        pod_level.resources = serde_json::from_value(both).unwrap();
        assert_eq!(qos_class(&pod_level), QosClass::Guaranteed);
    }

    #[test]
    fn totals_follow_init_containers_sidecars_and_overhead() {
        let cpu = |amount: &str| json!({"requests": {"cpu": amount}});
        let spec = spec(json!({
            "containers": [{"name": "a", "resources": cpu("100m")}, {"name": "b", "resources": cpu("200m")}],
            "initContainers": [
                {"name": "first", "resources": cpu("150m")},
                {"name": "side", "restartPolicy": "Always", "resources": cpu("100m")},
                {"name": "second", "resources": cpu("500m")},
            ],
            "overhead": {"cpu": "10m"},
        }));
        assert_eq!(pod_requests(&spec)["cpu"].to_string(), "610m");
        assert!(pod_limits(&spec).is_empty());
        assert!(!is_limited(&spec, "cpu"));
    }
}
