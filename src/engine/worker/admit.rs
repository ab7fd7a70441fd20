//! The kubelet's own admission: what a node refuses before it begins anything of a pod.

use k8s_openapi::api::core::v1::{Pod, PodSpec};

use super::task::{End, PodWorker};
use crate::engine::apparmor::AppArmor;
use crate::engine::eviction::{EVICTED, Eviction, Pressures};
use crate::engine::recorder::Level;
use crate::engine::status::Why;
use crate::model::pod::{QosClass, all_containers, qos_class};
use crate::model::priority::is_critical;

/// Sysctls that are namespaced and cannot hurt anybody else (kubelet `sysctl.SafeSysctls`).
const SAFE_SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];
const MEMORY_TAINT: &str = "node.kubernetes.io/memory-pressure";

/// What the decision depends on beside the pod.
struct NodeState<'a> {
    unsafe_sysctls: &'a [String],
    pressures: Pressures,
    apparmor: bool,
}

impl PodWorker {
    /// Refuses a pod that was never begun. True: it is refused, and its status says why.
    pub(super) fn is_rejected(&mut self) -> bool {
        let begun = self.sandbox.is_some()
            || self
                .pod
                .status
                .as_ref()
                .is_some_and(|status| status.start_time.is_some());
        if begun || self.pod.metadata.deletion_timestamp.is_some() {
            return false;
        }
        let node = NodeState {
            unsafe_sysctls: &self.machine.limits.unsafe_sysctls,
            pressures: self.machine.evictions.pressures(),
            apparmor: AppArmor::is_enabled(),
        };
        let Some(why) = rejection(&self.pod, &node) else {
            return false;
        };
        self.event(Level::Warning, &why.reason, why.message.clone());
        self.history.failed = Some(Why {
            message: format!("Pod was rejected: {}", why.message),
            ..why
        });
        self.history.rejected = true;
        true
    }

    /// Takes an eviction over; the pod ends with its grace.
    pub(super) fn evicted(&mut self, eviction: Eviction) -> End {
        let Eviction {
            reason, message, ..
        } = eviction;
        tracing::info!(pod = self.name(), reason, message, "evicted");
        self.event(Level::Warning, reason, message.clone());
        self.history.disruption = eviction.disruption;
        self.history.failed = Some(Why {
            reason: reason.to_owned(),
            message,
        });
        self.eviction_grace = Some(eviction.grace);
        End::Completion
    }
}

/// The name of the container follows.
const APP_ARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";

fn rejection(pod: &Pod, node: &NodeState<'_>) -> Option<Why> {
    let spec = pod.spec.as_ref()?;
    let why = |reason: &str, message: String| Why {
        reason: reason.to_owned(),
        message,
    };
    pressure(spec, node.pressures)
        .map(|condition| why(EVICTED, format!("The node had condition: [{condition}]. ")))
        .or_else(|| {
            let name = forbidden_sysctl(spec, node.unsafe_sysctls)?;
            let text = format!("forbidden sysctl: \"{name}\" not allowlisted");
            Some(why("SysctlForbidden", text))
        })
        .or_else(|| foreign_system(pod, spec).map(|(reason, text)| why(reason, text.to_owned())))
        .or_else(|| {
            let nameless = nameless_profile(pod, spec);
            let text = if !node.apparmor && (nameless.is_some() || wants_apparmor(spec)) {
                "AppArmor is not enabled on the host".to_owned()
            } else {
                format!("invalid empty AppArmor profile name: {:?}", nameless?)
            };
            Some(why("AppArmor", format!("Cannot enforce AppArmor: {text}")))
        })
}

const OS_LABEL: &str = "kubernetes.io/os";
const OS: &str = "linux";

/// Reason and text when a pod is for another operating system (kubelet `lifecycle/predicate.go`). The label is
/// one of the pod itself; its node selector is a matter of placement.
fn foreign_system(pod: &Pod, spec: &PodSpec) -> Option<(&'static str, &'static str)> {
    let label = pod
        .metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(OS_LABEL));
    if label.is_some_and(|label| label != OS) {
        return Some((
            "PodOSSelectorNodeLabelDoesNotMatch",
            "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label",
        ));
    }
    let field = spec.os.as_ref().filter(|os| os.name != OS);
    field.map(|_| {
        (
            "PodOSNotSupported",
            "Failed to admit pod as the OS field doesn't match node OS",
        )
    })
}

/// The condition of the node that keeps this pod out.
fn pressure(spec: &PodSpec, pressures: Pressures) -> Option<&'static str> {
    if is_critical(spec) {
        return None;
    }
    if pressures.disk() {
        return Some("DiskPressure");
    }
    let tolerates = || {
        spec.tolerations.iter().flatten().any(|toleration| {
            let effect = toleration.effect.as_deref().unwrap_or_default();
            let key = toleration.key.as_deref().unwrap_or_default();
            let exists = toleration.operator.as_deref() == Some("Exists");
            let matches = if key.is_empty() {
                exists
            } else {
                key == MEMORY_TAINT
                    && (exists || toleration.value.as_deref().unwrap_or_default().is_empty())
            };
            matches && matches!(effect, "" | "NoSchedule")
        })
    };
    let refused = pressures.memory() && qos_class(spec) == QosClass::BestEffort && !tolerates();
    refused.then_some("MemoryPressure")
}

/// The first sysctl that is neither safe nor allowed, in the spelling of the pod.
fn forbidden_sysctl<'a>(spec: &'a PodSpec, allowed: &[String]) -> Option<&'a str> {
    let context = spec.security_context.as_ref()?;
    let is_allowed = |name: &str| {
        SAFE_SYSCTLS.contains(&name)
            || allowed.iter().any(|pattern| {
                let pattern = pattern.replace('/', ".");
                match pattern.strip_suffix('*') {
                    Some(start) => name.starts_with(start),
                    None => name == pattern,
                }
            })
    };
    let names = context.sysctls.iter().flatten().map(|sysctl| &*sysctl.name);
    names
        .into_iter()
        .find(|name| !is_allowed(&name.replace('/', ".")))
}

/// The annotation of a container that asks for a profile without saying which. The API takes it, the node does not.
fn nameless_profile<'a>(pod: &'a Pod, spec: &PodSpec) -> Option<&'a str> {
    let annotations = pod.metadata.annotations.as_ref()?;
    let without_field = all_containers(spec).filter(|container| {
        let context = container.security_context.as_ref();
        context.is_none_or(|context| context.app_armor_profile.is_none())
    });
    let mut values = without_field.filter_map(|container| {
        let key = format!("{APP_ARMOR_ANNOTATION}{}", container.name);
        annotations.get(&key).map(String::as_str)
    });
    values.find(|value| {
        let name = value.strip_prefix("localhost/");
        name.is_some_and(|name| name.trim().is_empty())
    })
}

/// Any profile but `Unconfined`, for the pod or for one of its containers.
fn wants_apparmor(spec: &PodSpec) -> bool {
    let shared = spec
        .security_context
        .as_ref()
        .and_then(|context| context.app_armor_profile.as_ref());
    let own = all_containers(spec).filter_map(|container| {
        let context = container.security_context.as_ref()?;
        context.app_armor_profile.as_ref()
    });
    shared
        .into_iter()
        .chain(own)
        .any(|profile| profile.type_ != "Unconfined")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(spec: Value, allowed: &[&str], expected: &str) {
        check_on(spec, allowed, false, expected);
    }

    #[track_caller]
    fn check_on(spec: Value, allowed: &[&str], apparmor: bool, expected: &str) {
        let pod: Pod = serde_json::from_value(json!({ "spec": spec })).unwrap();
        let allowed: Vec<String> = allowed.iter().map(|&name| name.to_owned()).collect();
        let node = NodeState {
            unsafe_sysctls: &allowed,
            pressures: Pressures::default(),
            apparmor,
        };
        let found = rejection(&pod, &node).map(|why| format!("{}: {}", why.reason, why.message));
        assert_eq!(found.unwrap_or_default(), expected);
    }

    fn sysctl(name: &str) -> Value {
        json!({"containers": [], "securityContext": {"sysctls": [
            {"name": "net.ipv4.tcp_syncookies", "value": "1"}, {"name": name, "value": "1"}]}})
    }

    #[test]
    fn sysctls_are_safe_or_allowed() {
        check(sysctl("kernel.shm_rmid_forced"), &[], "");
        check(sysctl("net/ipv4/tcp_rmem"), &[], "");
        check(
            sysctl("kernel/msgmax"),
            &["net.*"],
            "SysctlForbidden: forbidden sysctl: \"kernel/msgmax\" not allowlisted",
        );
        check(sysctl("kernel.msgmax"), &["kernel.msg*"], "");
        check(sysctl("net.core.somaxconn"), &["net/core/somaxconn"], "");
        check(
            sysctl("net.core.somaxconn2"),
            &["net.core.somaxconn"],
            "SysctlForbidden: forbidden sysctl: \"net.core.somaxconn2\" not allowlisted",
        );
    }

    #[test]
    fn pods_of_another_system() {
        let spec = |name: &str| json!({"containers": [], "os": {"name": name}});
        check(spec("linux"), &[], "");
        check(
            spec("windows"),
            &[],
            "PodOSNotSupported: Failed to admit pod as the OS field doesn't match node OS",
        );
        let label = |value: &str| -> Option<&str> {
            let pod: Pod = serde_json::from_value(json!({
                "metadata": {"labels": {"kubernetes.io/os": value}}, "spec": spec("windows")}))
            .unwrap();
            let found = foreign_system(&pod, pod.spec.as_ref().unwrap());
            found.map(|(reason, _)| reason)
        };
        assert_eq!(label("linux"), Some("PodOSNotSupported"));
        assert_eq!(label("windows"), Some("PodOSSelectorNodeLabelDoesNotMatch"));
    }

    #[test]
    fn a_profile_that_cannot_be_enforced() {
        let spec = |type_: &str| json!({"containers": [{"name": "c", "securityContext": {"appArmorProfile": {"type": type_}}}]});
        let text = "AppArmor: Cannot enforce AppArmor: AppArmor is not enabled on the host";
        check(spec("RuntimeDefault"), &[], text);
        check(spec("Unconfined"), &[], "");
        check_on(spec("RuntimeDefault"), &[], true, "");
        check_on(spec("Localhost"), &[], true, "");
    }

    #[test]
    fn a_profile_without_a_name() {
        let check = |value: &str, field: Option<&str>, apparmor: bool, expected: &str| {
            let context = field.map(|type_| json!({"appArmorProfile": {"type": type_}}));
            let pod: Pod = serde_json::from_value(json!({
                "metadata": {"annotations": {format!("{APP_ARMOR_ANNOTATION}c"): value}},
                "spec": {"containers": [{"name": "c", "securityContext": context}]},
            }))
            .unwrap();
            let node = NodeState {
                unsafe_sysctls: &[],
                pressures: Pressures::default(),
                apparmor,
            };
            let found = rejection(&pod, &node).map(|why| why.message);
            assert_eq!(found.unwrap_or_default(), expected, "{value} {field:?}");
        };
        let nameless =
            "Cannot enforce AppArmor: invalid empty AppArmor profile name: \"localhost/\"";
        check("localhost/", None, true, nameless);
        let off = "Cannot enforce AppArmor: AppArmor is not enabled on the host";
        check("localhost/", None, false, off);
        check("localhost/foo", None, true, "");
        check("runtime/default", None, true, "");
        // The field goes before the annotation.
        check("localhost/", Some("RuntimeDefault"), true, "");
        check("localhost/", Some("Unconfined"), false, "");
    }

    #[track_caller]
    fn check_pressure(spec: Value, memory: bool, disk: bool, expected: Option<&str>) {
        let spec: PodSpec = serde_json::from_value(spec).unwrap();
        let pressures = Pressures::fixed(memory, disk);
        assert_eq!(pressure(&spec, pressures), expected);
    }

    #[test]
    fn under_pressure() {
        let best_effort = json!({"containers": [{"name": "c"}]});
        let burstable =
            json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]});
        check_pressure(best_effort.clone(), false, false, None);
        check_pressure(best_effort.clone(), true, false, Some("MemoryPressure"));
        check_pressure(burstable.clone(), true, false, None);
        check_pressure(burstable, false, true, Some("DiskPressure"));
        let mut critical = best_effort.clone();
        critical["priority"] = json!(2_000_000_000);
        check_pressure(critical, true, true, None);
        let mut tolerant = best_effort;
        tolerant["tolerations"] =
            json!([{"key": MEMORY_TAINT, "operator": "Exists", "effect": "NoSchedule"}]);
        check_pressure(tolerant, true, false, None);
    }
}
