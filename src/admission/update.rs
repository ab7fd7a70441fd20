use std::fmt::Write as _;

use k8s_openapi::api::core::v1::{Pod, PodSpec, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::Serialize;
use serde_json::Value;

use super::field::Errors;
use super::{affinity, annotations, pod};
use crate::model::FieldError;

const ONLY: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,\
     `spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),\
     `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

pub(super) fn metadata(old: &ObjectMeta, new: &ObjectMeta) -> Errors {
    let mut errors = Errors::new();
    if old.deletion_timestamp.is_some() {
        new_finalizers(&mut errors, old, new);
    }
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    for (field, old, new) in [
        ("name", text(&old.name), text(&new.name)),
        ("namespace", text(&old.namespace), text(&new.namespace)),
        ("uid", text(&old.uid), text(&new.uid)),
    ] {
        if old != new {
            let path = format!("metadata.{field}");
            errors.push(FieldError::invalid_string(path, &new, "field is immutable"));
        }
    }
    if old.creation_timestamp != new.creation_timestamp {
        let time = |time: &Time| FieldError::quoted(&time.0.to_string());
        let value = new
            .creation_timestamp
            .as_ref()
            .map_or_else(|| "null".to_owned(), time);
        let path = "metadata.creationTimestamp";
        errors.push(FieldError::invalid(path, value, "field is immutable"));
    }
    errors
}

fn new_finalizers(errors: &mut Errors, old: &ObjectMeta, new: &ObjectMeta) {
    let known = old.finalizers.as_deref().unwrap_or_default();
    let added = new.finalizers.iter().flatten();
    let mut added: Vec<&String> = added.filter(|name| !known.contains(name)).collect();
    added.sort();
    if added.is_empty() {
        return;
    }
    let list: Vec<String> = added.iter().map(|name| FieldError::quoted(name)).collect();
    let detail = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
        list.join(", ")
    );
    errors.push(FieldError::forbidden("metadata.finalizers", detail));
}

/// What may change in a pod: annotations but a few, images, the deadline downwards, more tolerations, fewer gates
/// and, while there are gates, what node it wants.
pub(super) fn pod(old: &Pod, new: &Pod) -> Errors {
    let mut errors = pod::introduced(old, new);
    annotations::update(&mut errors, old, new);
    let (Some(old), Some(new)) = (&old.spec, &new.spec) else {
        if old.spec != new.spec {
            errors.push(FieldError::forbidden("spec", ONLY));
        }
        return errors;
    };
    let init = |spec: &PodSpec| spec.init_containers.as_ref().map_or(0, Vec::len);
    for (path, old, new) in [
        (
            "spec.containers",
            old.containers.len(),
            new.containers.len(),
        ),
        ("spec.initContainers", init(old), init(new)),
    ] {
        // Nothing further can be compared then.
        if old != new {
            let detail = "pod updates may not add or remove containers";
            errors.push(FieldError::forbidden(path, detail));
            return errors;
        }
    }
    let deadlines = (old.active_deadline_seconds, new.active_deadline_seconds);
    if !deadline(&mut errors, deadlines.0, deadlines.1) {
        return errors;
    }
    tolerations(&mut errors, old, new);
    gates(&mut errors, old, new);
    if is_gated(old) {
        node_selector(&mut errors, old, new);
        affinity::changes(&mut errors, old, new);
    }
    let allowed = with_allowed_changes(old, new);
    if allowed != *new {
        let difference = difference_of("spec", &allowed, new);
        errors.push(FieldError::forbidden(
            "spec",
            format!("{ONLY}\n{difference}"),
        ));
    }
    errors
}

/// False when nothing further is looked at.
fn deadline(errors: &mut Errors, old: Option<i64>, new: Option<i64>) -> bool {
    let path = "spec.activeDeadlineSeconds";
    let error = match (old, new) {
        (_, Some(new)) if !(0..=i64::from(i32::MAX)).contains(&new) => {
            FieldError::invalid(path, new, "must be between 0 and 2147483647, inclusive")
        }
        (Some(old), Some(new)) if new > old => {
            let detail = "must be less than or equal to previous value";
            FieldError::invalid(path, new, detail)
        }
        (Some(_), None) => {
            let detail = "must not update from a positive integer to nil value";
            errors.push(FieldError::invalid(path, "null", detail));
            return true;
        }
        _ => return true,
    };
    errors.push(error);
    false
}

/// Every old toleration must still be there; only its `tolerationSeconds` may differ.
fn tolerations(errors: &mut Errors, old: &PodSpec, new: &PodSpec) {
    let without_seconds = |toleration: &Toleration| Toleration {
        toleration_seconds: None,
        ..toleration.clone()
    };
    let kept: Vec<Toleration> = new
        .tolerations
        .iter()
        .flatten()
        .map(without_seconds)
        .collect();
    let mut old = old.tolerations.iter().flatten().map(without_seconds);
    if !old.all(|toleration| kept.contains(&toleration)) {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        errors.push(FieldError::forbidden("spec.tolerations", detail));
    }
}

/// The old spec with every change taken over that may be made.
fn with_allowed_changes(old: &PodSpec, new: &PodSpec) -> PodSpec {
    let mut spec = old.clone();
    for (old, new) in spec.containers.iter_mut().zip(&new.containers) {
        old.image.clone_from(&new.image);
    }
    let init = spec.init_containers.iter_mut().flatten();
    for (old, new) in init.zip(new.init_containers.iter().flatten()) {
        old.image.clone_from(&new.image);
    }
    spec.active_deadline_seconds = new.active_deadline_seconds;
    spec.tolerations.clone_from(&new.tolerations);
    let negative = old
        .termination_grace_period_seconds
        .is_some_and(|seconds| seconds < 0);
    if negative && new.termination_grace_period_seconds == Some(1) {
        spec.termination_grace_period_seconds = Some(1);
    }
    // What is wrong with these has been told already.
    spec.scheduling_gates.clone_from(&new.scheduling_gates);
    if is_gated(old) {
        spec.node_selector.clone_from(&new.node_selector);
        affinity::take(&mut spec, new);
    }
    spec
}

fn is_gated(spec: &PodSpec) -> bool {
    spec.scheduling_gates
        .as_ref()
        .is_some_and(|gates| !gates.is_empty())
}

fn gates(errors: &mut Errors, old: &PodSpec, new: &PodSpec) {
    let known = old.scheduling_gates.as_deref().unwrap_or_default();
    for (index, gate) in new.scheduling_gates.iter().flatten().enumerate() {
        if !known.contains(gate) {
            let path = format!("spec.schedulingGates[{index}].name");
            let name = &gate.name;
            let detail =
                format!("only deletion is allowed, but found new scheduling gate '{name}'");
            errors.push(FieldError::forbidden(path, detail));
        }
    }
}

/// A gated pod may be told more of the node it wants, never less.
fn node_selector(errors: &mut Errors, old: &PodSpec, new: &PodSpec) {
    let pairs = new.node_selector.as_ref();
    let kept =
        |(key, value): (&String, &String)| pairs.and_then(|pairs| pairs.get(key)) == Some(value);
    if !old.node_selector.iter().flatten().all(kept) {
        errors.push(FieldError::invalid(
            "spec.nodeSelector",
            serde_json::to_string(&pairs).unwrap_or_default(),
            "only additions to spec.nodeSelector are allowed (no mutations or deletions)",
        ));
    }
}

/// One line per place: `- path: old`, `+ path: new`.
pub(super) fn difference_of<T: Serialize>(path: &str, old: &T, new: &T) -> String {
    let value = |part: &T| serde_json::to_value(part).unwrap_or_default();
    let mut lines = String::new();
    compare(path, &value(old), &value(new), &mut lines);
    lines
}

fn compare(path: &str, old: &Value, new: &Value, lines: &mut String) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in old {
                let other = new.get(key).unwrap_or(&Value::Null);
                compare(&format!("{path}.{key}"), value, other, lines);
            }
            for (key, value) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
                compare(&format!("{path}.{key}"), &Value::Null, value, lines);
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                compare(&format!("{path}[{index}]"), old, new, lines);
            }
        }
        (old, new) if old == new => {}
        (old, new) => {
            for (sign, value) in [('-', old), ('+', new)] {
                if !value.is_null() {
                    writeln!(lines, "{sign} {path}: {value}")
                        .expect("writing to a string does not fail");
                }
            }
        }
    }
}
