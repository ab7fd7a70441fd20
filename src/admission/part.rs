//! Writes of one part of a pod: each takes only its part of what was sent and leaves the rest as it is.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    Container, EphemeralContainer, Pod, PodCondition, PodSpec, PodStatus, ResourceRequirements,
};
use serde_json::Value;

use super::field::{Errors, by_rule};
use super::volume::Volumes;
use super::{container, resources, update};
use crate::model::pod::{as_container, is_engine_condition, qos_class};
use crate::model::{FieldError, names};

/// `old` with the conditions that are not the engine's taken from `new`. The kubelet writes the rest of the
/// status again within moments; here it is not taken over in the first place, and the user is told.
pub(super) fn status(old: &Pod, new: &Pod) -> (Pod, Errors, Vec<String>) {
    let (was, wanted) = (
        old.status.clone().unwrap_or_default(),
        new.status.clone().unwrap_or_default(),
    );
    let mut errors = Errors::new();
    for (index, condition) in foreign(&wanted).enumerate() {
        let path = format!("status.conditions[{index}].Type");
        by_rule(&mut errors, &path, &condition.type_, names::qualified_name);
    }
    let own = was.conditions.iter().flatten();
    let own = own.filter(|condition| is_engine_condition(&condition.type_));
    let conditions: Vec<PodCondition> = foreign(&wanted).chain(own).cloned().collect();
    let mut pod = old.clone();
    let status = pod.status.get_or_insert_default();
    status.conditions = (!conditions.is_empty()).then_some(conditions);
    (pod, errors, not_taken(&was, &wanted))
}

fn foreign(status: &PodStatus) -> impl Iterator<Item = &PodCondition> {
    let all = status.conditions.iter().flatten();
    all.filter(|condition| !is_engine_condition(&condition.type_))
}

/// What was sent of the engine's own part and differs. A part that was left out asks for nothing.
fn not_taken(was: &PodStatus, wanted: &PodStatus) -> Vec<String> {
    let engine = |status: &PodStatus| {
        let mut status = status.clone();
        let own = status.conditions.iter_mut();
        own.for_each(|list| list.retain(|condition| is_engine_condition(&condition.type_)));
        serde_json::to_value(status).unwrap_or_default()
    };
    let (was, wanted) = (engine(was), engine(wanted));
    let fields = wanted.as_object().into_iter().flatten();
    fields
        .filter(|(field, value)| !is_empty(value) && was.get(field.as_str()) != Some(*value))
        .map(|(field, _)| {
            format!("status.{field}: written by the engine; the change is not taken over")
        })
        .collect()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Null => true,
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// `old` with the ephemeral containers of `new`: more may come, those that are there stay as they are.
pub(super) fn ephemeral_containers(old: &Pod, new: &Pod) -> (Pod, Errors) {
    let list = |pod: &Pod| -> Vec<EphemeralContainer> {
        let spec = pod.spec.as_ref();
        spec.and_then(|spec| spec.ephemeral_containers.clone())
            .unwrap_or_default()
    };
    let (were, wanted) = (list(old), list(new));
    let mut pod = old.clone();
    let mut errors = Errors::new();
    if let Some(spec) = &mut pod.spec {
        spec.ephemeral_containers = (!wanted.is_empty()).then(|| wanted.clone());
        each_ephemeral(&mut errors, spec, &wanted);
    }
    let path = "spec.ephemeralContainers";
    for was in &were {
        let detail = match wanted.iter().find(|wanted| wanted.name == was.name) {
            Some(wanted) if wanted == was => continue,
            Some(wanted) => {
                let difference = update::difference_of(path, was, wanted);
                format!(
                    "existing ephemeral containers \"{}\" may not be changed\n{difference}",
                    was.name
                )
            }
            None => format!(
                "existing ephemeral containers \"{}\" may not be removed\n",
                was.name
            ),
        };
        errors.push(FieldError::forbidden(path, detail));
    }
    (pod, errors)
}

fn each_ephemeral(errors: &mut Errors, spec: &PodSpec, list: &[EphemeralContainer]) {
    let volumes: Volumes<'_> = spec
        .volumes
        .iter()
        .flatten()
        .map(|volume| (volume.name.as_str(), volume))
        .collect();
    let others = || {
        spec.init_containers
            .iter()
            .flatten()
            .chain(&spec.containers)
    };
    let mut seen: BTreeSet<&str> = others().map(|other| other.name.as_str()).collect();
    for (index, one) in list.iter().enumerate() {
        let path = format!("spec.ephemeralContainers[{index}]");
        container::ephemeral(errors, &path, &as_container(one), spec, &volumes);
        if !one.name.is_empty() && !seen.insert(&one.name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), &one.name));
        }
        let target = one.target_container_name.as_deref().unwrap_or_default();
        if !target.is_empty() && !others().any(|other| other.name == target) {
            let path = format!("{path}.targetContainerName");
            errors.push(FieldError::not_found(path, target));
        }
        forbidden_for_ephemeral(errors, &path, one);
    }
}

fn forbidden_for_ephemeral(errors: &mut Errors, path: &str, one: &EphemeralContainer) {
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
            errors.push(not_for_ephemeral(format!("{path}.{field}")));
        }
    }
    for (index, mount) in one.volume_mounts.iter().flatten().enumerate() {
        for (value, field) in [
            (&mount.sub_path, "subPath"),
            (&mount.sub_path_expr, "subPathExpr"),
        ] {
            if value.as_deref().is_some_and(|value| !value.is_empty()) {
                let path = format!("{path}.volumeMounts[{index}].{field}");
                errors.push(not_for_ephemeral(path));
            }
        }
    }
}

fn not_for_ephemeral(path: String) -> FieldError {
    FieldError::forbidden(path, "cannot be set for an Ephemeral Container")
}

const RESIZABLE: [&str; 2] = ["cpu", "memory"];

/// `old` with the cpu and memory of `new`.
pub(super) fn resize(old: &Pod, new: &Pod) -> (Pod, Errors) {
    let (Some(was), Some(wanted)) = (&old.spec, &new.spec) else {
        let error = FieldError::forbidden("spec", "only cpu and memory resources are mutable");
        return (old.clone(), vec![error]);
    };
    if let Some(error) = counts_differ(was, wanted) {
        return (old.clone(), vec![error]);
    }
    let mut errors = Errors::new();
    if qos_class(was) != qos_class(wanted) {
        errors.push(FieldError::invalid_string(
            "spec",
            qos_class(wanted).as_str(),
            "Pod QOS Class may not change as a result of resizing",
        ));
    }
    let mut reached = was.clone();
    let lists = [
        (
            "spec.containers",
            &mut reached.containers,
            &wanted.containers,
        ),
        (
            "spec.initContainers",
            reached.init_containers.get_or_insert_default(),
            &wanted.init_containers.clone().unwrap_or_default(),
        ),
    ];
    for (path, list, wanted) in lists {
        for (index, (was, wanted)) in list.iter_mut().zip(wanted).enumerate() {
            let path = format!("{path}[{index}].resources");
            removals(
                &mut errors,
                &path,
                was.resources.as_ref(),
                wanted.resources.as_ref(),
            );
            was.resources = resized(was.resources.as_ref(), wanted.resources.as_ref());
            resources::container(&mut errors, &path, was);
        }
    }
    if was.init_containers.is_none() {
        reached.init_containers = None;
    }
    removals(
        &mut errors,
        "spec.resources",
        was.resources.as_ref(),
        wanted.resources.as_ref(),
    );
    reached.resources = resized(was.resources.as_ref(), wanted.resources.as_ref());
    resources::pod_level(&mut errors, &reached);
    if reached != *wanted {
        let difference = update::difference_of("spec", &reached, wanted);
        let detail = format!("only cpu and memory resources are mutable\n{difference}");
        errors.push(FieldError::forbidden("spec", detail));
    }
    let mut pod = old.clone();
    pod.spec = Some(reached);
    (pod, errors)
}

fn counts_differ(was: &PodSpec, wanted: &PodSpec) -> Option<FieldError> {
    let names = |list: &[Container]| -> Vec<String> {
        list.iter()
            .map(|container| container.name.clone())
            .collect()
    };
    let init = |spec: &PodSpec| names(spec.init_containers.as_deref().unwrap_or_default());
    let same = names(&was.containers) == names(&wanted.containers) && init(was) == init(wanted);
    (!same).then(|| {
        let detail = "containers may not be added or removed";
        FieldError::forbidden("spec", detail)
    })
}

fn removals(
    errors: &mut Errors,
    path: &str,
    was: Option<&ResourceRequirements>,
    wanted: Option<&ResourceRequirements>,
) {
    let Some(was) = was else { return };
    let lost = |was: &Option<super::resources::Quantities>,
                wanted: Option<&super::resources::Quantities>| {
        was.iter().flatten().any(|(name, _)| {
            RESIZABLE.contains(&name.as_str())
                && !wanted.is_some_and(|wanted| wanted.contains_key(name))
        })
    };
    if lost(
        &was.limits,
        wanted.and_then(|wanted| wanted.limits.as_ref()),
    ) {
        let path = format!("{path}.limits");
        errors.push(FieldError::forbidden(
            path,
            "resource limits cannot be removed",
        ));
    }
    if lost(
        &was.requests,
        wanted.and_then(|wanted| wanted.requests.as_ref()),
    ) {
        let path = format!("{path}.requests");
        errors.push(FieldError::forbidden(
            path,
            "resource requests cannot be removed",
        ));
    }
}

/// `was` with cpu and memory of `wanted`.
fn resized(
    was: Option<&ResourceRequirements>,
    wanted: Option<&ResourceRequirements>,
) -> Option<ResourceRequirements> {
    let mut reached = was.cloned();
    let wanted = wanted?;
    for (part, wanted) in [(true, &wanted.limits), (false, &wanted.requests)] {
        for (name, amount) in wanted.iter().flatten() {
            if RESIZABLE.contains(&name.as_str()) {
                let reached = reached.get_or_insert_default();
                let map = if part {
                    &mut reached.limits
                } else {
                    &mut reached.requests
                };
                map.get_or_insert_default()
                    .insert(name.clone(), amount.clone());
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests;
