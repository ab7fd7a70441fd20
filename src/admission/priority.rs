//! Classes of priority, and what one means for a new pod (admission plugin `Priority`).

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use k8s_openapi::api::scheduling::v1::PriorityClass;

use super::field::{Errors, one_of, text};
use crate::model::FieldError;
use crate::model::priority::{
    HIGHEST_OF_USERS, PREEMPT, PREEMPTION_POLICIES, SYSTEM_PREFIX, system_classes,
};

pub(super) fn class(class: &PriorityClass) -> Errors {
    let mut errors = Errors::new();
    let value = class.value.unwrap_or(0);
    if text(&class.metadata.name).starts_with(SYSTEM_PREFIX) {
        if let Some(why) = unknown_to_the_system(class) {
            let detail = format!(
                "priority class names with '{SYSTEM_PREFIX}' prefix are reserved for system use only. error: {why}"
            );
            errors.push(FieldError::forbidden("metadata.name", detail));
        }
    } else if value > HIGHEST_OF_USERS {
        let detail =
            format!("maximum allowed value of a user defined priority is {HIGHEST_OF_USERS}");
        errors.push(FieldError::forbidden("value", detail));
    }
    if class.preemption_policy.is_some() {
        let policy = text(&class.preemption_policy);
        one_of(
            &mut errors,
            "preemptionPolicy",
            policy,
            &PREEMPTION_POLICIES,
        );
    }
    errors
}

/// Why a class is none of the two of the system, whose description and labels are free.
fn unknown_to_the_system(class: &PriorityClass) -> Option<String> {
    let name = text(&class.metadata.name);
    let known = system_classes();
    let known = known
        .iter()
        .find(|known| text(&known.metadata.name) == name);
    let Some(known) = known else {
        return Some(format!("{name} is not a known system priority class"));
    };
    let value = known.value.unwrap_or(0);
    if class.value.unwrap_or(0) != value {
        Some(format!("value of {name} PriorityClass must be {value}"))
    } else if class.global_default == Some(true) {
        Some(format!(
            "globalDefault of {name} PriorityClass must be false"
        ))
    } else {
        None
    }
}

/// The name is guarded with the metadata.
pub(super) fn class_update(old: &PriorityClass, new: &PriorityClass) -> Errors {
    let mut errors = Errors::new();
    if old.value.unwrap_or(0) != new.value.unwrap_or(0) {
        let detail = "may not be changed in an update.";
        errors.push(FieldError::forbidden("value", detail));
    }
    if old.preemption_policy != new.preemption_policy {
        errors.push(FieldError::invalid_string(
            "preemptionPolicy",
            text(&new.preemption_policy),
            "field is immutable",
        ));
    }
    errors
}

/// Why this class may not be the default one, of which there is one. `classes` are those there are; a class may
/// replace itself.
pub(crate) fn refuse_default(
    class: &PriorityClass,
    classes: &[Arc<PriorityClass>],
) -> Option<String> {
    if class.global_default != Some(true) {
        return None;
    }
    let other = default_class(classes)?;
    let name = text(&other.metadata.name);
    (name != text(&class.metadata.name)).then(|| {
        format!("PriorityClass {name} is already marked as default. Only one default can exist")
    })
}

/// The least of them, should there be several after all.
fn default_class(classes: &[Arc<PriorityClass>]) -> Option<&Arc<PriorityClass>> {
    let defaults = classes.iter();
    defaults
        .filter(|class| class.global_default == Some(true))
        .min_by_key(|class| class.value)
}

/// Gives a new pod the priority of its class, or of the default one; `Err` is why it is refused. What it says itself
/// must be just that.
pub(crate) fn use_priority(pod: &mut Pod, classes: &[Arc<PriorityClass>]) -> Result<(), String> {
    let Some(spec) = &mut pod.spec else {
        return Ok(());
    };
    let name = text(&spec.priority_class_name);
    let class = if name.is_empty() {
        default_class(classes)
    } else {
        let mut classes = classes.iter();
        let found = classes.find(|class| class.metadata.name.as_deref() == Some(name));
        Some(found.ok_or_else(|| format!("no PriorityClass with name {name} was found"))?)
    };
    let value = class.and_then(|class| class.value).unwrap_or(0);
    let policy = class.and_then(|class| class.preemption_policy.as_deref());
    let policy = policy.unwrap_or(PREEMPT);
    if let Some(own) = spec.priority.filter(|own| *own != value) {
        return Err(refused("integer value of priority", own, value));
    }
    if let Some(own) = spec.preemption_policy.as_deref()
        && !own.is_empty()
        && own != policy
    {
        return Err(refused("string value of PreemptionPolicy", own, policy));
    }
    if let Some(class) = class {
        spec.priority_class_name.clone_from(&class.metadata.name);
    }
    spec.priority = Some(value);
    spec.preemption_policy = Some(policy.to_owned());
    Ok(())
}

fn refused<T: std::fmt::Display>(what: &str, own: T, computed: T) -> String {
    format!(
        "the {what} ({own}) must not be provided in pod spec; priority admission controller computed {computed} from the given \
         PriorityClass name"
    )
}

/// What a pod was given stays when a change says nothing of it.
pub(super) fn keep(old: &PodSpec, new: &mut PodSpec) {
    if new.priority.is_none() {
        new.priority = old.priority;
    }
    if text(&new.preemption_policy).is_empty() {
        new.preemption_policy.clone_from(&old.preemption_policy);
    }
}
