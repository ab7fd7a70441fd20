//! How important pods are: the number that a pod has, the classes that users name instead, and what follows from
//! the largest numbers (kubernetes-semantics §12.2).

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Lower ones may have to go.
pub(crate) const PREEMPT: &str = "PreemptLowerPriority";
pub(crate) const NEVER: &str = "Never";
/// In the order of messages.
pub(crate) const PREEMPTION_POLICIES: [&str; 2] = [PREEMPT, NEVER];

/// Only classes of the system begin with it.
pub(crate) const SYSTEM_PREFIX: &str = "system-";
pub(crate) const HIGHEST_OF_USERS: i32 = 1_000_000_000;
/// From here on a pod is critical.
pub(crate) const CRITICAL: i32 = 2_000_000_000;
/// `system-node-critical`.
pub(crate) const NODE_CRITICAL: i32 = CRITICAL + 1000;

/// The classes that exist from the start.
pub(crate) fn system_classes() -> [PriorityClass; 2] {
    let class = |name: &str, value: i32, description: &str| PriorityClass {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        value: Some(value),
        description: Some(description.to_owned()),
        preemption_policy: Some(PREEMPT.to_owned()),
        global_default: None,
    };
    [
        class(
            "system-node-critical",
            NODE_CRITICAL,
            "Used for system critical pods that must not be moved from their current node.",
        ),
        class(
            "system-cluster-critical",
            CRITICAL,
            "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
        ),
    ]
}

/// 0 where nothing is said.
pub(crate) fn priority(spec: &PodSpec) -> i32 {
    spec.priority.unwrap_or(0)
}

pub(crate) fn pod_priority(pod: &Pod) -> i32 {
    pod.spec.as_ref().map_or(0, priority)
}

/// Such pods are let in and stay where others would not.
pub(crate) fn is_critical(spec: &PodSpec) -> bool {
    priority(spec) >= CRITICAL
}

/// The pod waits for its room, whoever is less important.
pub(crate) fn never_preempts(spec: &PodSpec) -> bool {
    spec.preemption_policy.as_deref() == Some(NEVER)
}
