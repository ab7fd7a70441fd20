use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{EphemeralContainer, PodSpec, ResourceRequirements};

use super::container::{Pod, common, untrimmed};
use super::field::{Errors, text};
use crate::model::FieldError;
use crate::model::pod::as_container;

/// The ephemeral containers of a pod: as others are, and without what outlives them.
pub(super) fn containers(errors: &mut Errors, spec: &PodSpec, pod: &Pod<'_>) {
    let others = || {
        let init = spec.init_containers.iter().flatten();
        init.chain(&spec.containers)
    };
    let mut seen: BTreeSet<&str> = others().map(|other| other.name.as_str()).collect();
    let list = spec.ephemeral_containers.iter().flatten();
    for (index, one) in list.enumerate() {
        let path = format!("spec.ephemeralContainers[{index}]");
        common(errors, &path, &as_container(one), pod);
        untrimmed(errors, &format!("{path}.image"), text(&one.image));
        if !seen.insert(&one.name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), &one.name));
        }
        let target = text(&one.target_container_name);
        if !target.is_empty() && !others().any(|other| other.name == target) {
            let path = format!("{path}.targetContainerName");
            errors.push(FieldError::not_found(path, target));
        }
        forbidden(errors, &path, one);
    }
}

fn forbidden(errors: &mut Errors, path: &str, one: &EphemeralContainer) {
    let given = |list: Option<usize>| list.is_some_and(|length| length > 0);
    let bare = ResourceRequirements::default();
    for (is_set, field) in [
        (given(one.ports.as_ref().map(Vec::len)), "ports"),
        (
            one.resources
                .as_ref()
                .is_some_and(|resources| *resources != bare),
            "resources",
        ),
        (
            given(one.resize_policy.as_ref().map(Vec::len)),
            "resizePolicy",
        ),
        (one.restart_policy.is_some(), "restartPolicy"),
        (
            given(one.restart_policy_rules.as_ref().map(Vec::len)),
            "restartPolicyRules",
        ),
        (one.liveness_probe.is_some(), "livenessProbe"),
        (one.readiness_probe.is_some(), "readinessProbe"),
        (one.startup_probe.is_some(), "startupProbe"),
        (one.lifecycle.is_some(), "lifecycle"),
    ] {
        if is_set {
            errors.push(refusal(format!("{path}.{field}")));
        }
    }
    for (index, mount) in one.volume_mounts.iter().flatten().enumerate() {
        for (value, field) in [
            (&mount.sub_path, "subPath"),
            (&mount.sub_path_expr, "subPathExpr"),
        ] {
            if value.as_deref().is_some_and(|value| !value.is_empty()) {
                let path = format!("{path}.volumeMounts[{index}].{field}");
                errors.push(refusal(path));
            }
        }
    }
}

fn refusal(path: String) -> FieldError {
    FieldError::forbidden(path, "cannot be set for an Ephemeral Container")
}
