//! Writes of one part of a pod: each takes only its part of what was sent and leaves the rest as it is.

use k8s_openapi::api::core::v1::{EphemeralContainer, Pod, PodCondition, PodStatus};
use serde_json::Value;

use super::annotations::MIRROR;
use super::field::{Errors, by_rule};
use super::{pod, update};
use crate::model::pod::is_engine_condition;

mod status;
use crate::model::{FieldError, names};

/// `old` with the conditions that are not the engine's taken from `new`. The kubelet writes the rest of the
/// status again within moments; here it is not taken over in the first place, and the user is told.
pub(super) fn status(old: &Pod, new: &Pod) -> (Pod, Errors, Vec<String>) {
    let (was, wanted) = (
        old.status.clone().unwrap_or_default(),
        new.status.clone().unwrap_or_default(),
    );
    let mut errors = Errors::new();
    for (index, condition) in wanted.conditions.iter().flatten().enumerate() {
        let path = format!("status.conditions[{index}]");
        if let Some(generation) = condition.observed_generation.filter(|number| *number < 0) {
            let path = format!("{path}.observedGeneration");
            let detail = "must be a non-negative integer";
            errors.push(FieldError::invalid(path, generation, detail));
        }
        if !is_engine_condition(&condition.type_) {
            let path = format!("{path}.Type");
            by_rule(&mut errors, &path, &condition.type_, names::qualified_name);
        }
    }
    status::changes(&mut errors, old, &was, &wanted);
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
    if let Some(spec) = &mut pod.spec {
        spec.ephemeral_containers = (!wanted.is_empty()).then(|| wanted.clone());
    }
    let annotations = old.metadata.annotations.as_ref();
    if annotations.is_some_and(|all| all.contains_key(MIRROR)) {
        let detail = "static pods do not support ephemeral containers";
        return (pod, vec![FieldError::forbidden("", detail)]);
    }
    let mut errors = pod::introduced(old, &pod);
    only_added(&mut errors, &were, &wanted);
    (pod, errors)
}

fn only_added(errors: &mut Errors, were: &[EphemeralContainer], wanted: &[EphemeralContainer]) {
    let path = "spec.ephemeralContainers";
    for was in were {
        let name = &was.name;
        let detail = match wanted.iter().find(|wanted| wanted.name == *name) {
            Some(wanted) if wanted == was => continue,
            Some(wanted) => {
                let difference = update::difference_of(path, was, wanted);
                format!("existing ephemeral containers \"{name}\" may not be changed\n{difference}")
            }
            None => format!("existing ephemeral containers \"{name}\" may not be removed\n"),
        };
        errors.push(FieldError::forbidden(path, detail));
    }
}

#[cfg(test)]
mod tests;
