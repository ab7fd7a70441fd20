//! Annotations of pods that the API knows.

use k8s_openapi::api::core::v1::{AppArmorProfile, Pod, PodSpec, SeccompProfile};

use super::field::{Errors, containers_with_paths, descending, text};
use crate::base::quoted;
use crate::model::FieldError;

pub(super) const MIRROR: &str = "kubernetes.io/config.mirror";
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
const SECCOMP_OF_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_OF_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
const LOCALHOST: &str = "localhost/";
const RUNTIME_DEFAULT: &str = "runtime/default";
const UNCONFINED: &str = "unconfined";

fn given<'a>(pod: &'a Pod, key: &str) -> Option<&'a String> {
    pod.metadata.annotations.as_ref()?.get(key)
}

fn at(key: &str) -> String {
    format!("metadata.annotations[{key}]")
}

/// Key and value of all annotations whose key begins so, and the rest of the key.
fn prefixed<'a>(
    pod: &'a Pod,
    prefix: &'static str,
) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
    let all = pod.metadata.annotations.iter().flatten();
    all.filter_map(move |(key, value)| {
        let rest = key.strip_prefix(prefix)?;
        Some((key.as_str(), value.as_str(), rest))
    })
}

pub(super) fn validate(errors: &mut Errors, pod: &Pod, spec: &PodSpec) {
    if let Some(value) = given(pod, MIRROR).filter(|_| text(&spec.node_name).is_empty()) {
        let detail = "must set spec.nodeName if mirror pod annotation is set";
        errors.push(FieldError::invalid_string(at(MIRROR), value, detail));
    }
    if let Some(value) = given(pod, DELETION_COST).filter(|value| !is_cost(value)) {
        let detail = "must be a 32bit integer";
        errors.push(FieldError::invalid_string(at(DELETION_COST), value, detail));
    }
    // Here the API writes the key as if it were a field.
    let path = |key: &str| format!("metadata.annotations.{key}");
    if let Some(value) = given(pod, SECCOMP_OF_POD) {
        seccomp(errors, &path(SECCOMP_OF_POD), value);
    }
    for (key, value, _) in prefixed(pod, SECCOMP_OF_CONTAINER) {
        seccomp(errors, &path(key), value);
    }
    app_armor(errors, pod, spec);
}

/// Neither a plus sign nor leading zeros.
fn is_cost(value: &str) -> bool {
    value
        .parse::<i32>()
        .is_ok_and(|cost| cost.to_string() == value)
}

fn seccomp(errors: &mut Errors, path: &str, value: &str) {
    if [RUNTIME_DEFAULT, "docker/default", UNCONFINED].contains(&value) {
        return;
    }
    match value.strip_prefix(LOCALHOST) {
        Some(local) => descending(errors, path, local),
        None => {
            let detail = "must be a valid seccomp profile";
            errors.push(FieldError::invalid_string(path, value, detail));
        }
    }
}

fn app_armor(errors: &mut Errors, pod: &Pod, spec: &PodSpec) {
    for (key, value, container) in prefixed(pod, APP_ARMOR) {
        let mut all = containers_with_paths(spec);
        if !all.any(|(_, other)| other.name == container) {
            let detail = "container not found";
            errors.push(FieldError::invalid_string(at(key), container, detail));
        }
        let is_known = ["", RUNTIME_DEFAULT, UNCONFINED].contains(&value);
        if !is_known && !value.starts_with(LOCALHOST) {
            let detail = format!(
                "invalid AppArmor profile name: {value}",
                value = quoted(value)
            );
            errors.push(FieldError::invalid_string(at(key), value, detail));
        }
    }
}

/// A new pod whose containers have an AppArmor profile in an annotation has it in the field; returns what its user
/// should hear of that (pod strategy, `applyAppArmorVersionSkew`).
pub(super) fn take_app_armor(pod: &mut Pod) -> Vec<String> {
    let annotations = pod.metadata.annotations.clone().unwrap_or_default();
    let Some(spec) = &mut pod.spec else {
        return Vec::new();
    };
    if spec.os.as_ref().is_some_and(|os| os.name == "windows") {
        return Vec::new();
    }
    let of_pod = spec.security_context.as_ref();
    let of_pod = of_pod.and_then(|context| context.app_armor_profile.clone());
    let mut warnings = Vec::new();
    let init = spec.init_containers.iter_mut().flatten();
    for container in init.chain(&mut spec.containers) {
        let key = format!("{APP_ARMOR}{}", container.name);
        let context = container.security_context.as_ref();
        let has_own = context.is_some_and(|context| context.app_armor_profile.is_some());
        let Some(value) = annotations.get(&key).filter(|_| !has_own) else {
            continue;
        };
        let profile = app_armor_profile(value);
        if profile.is_some() && profile == of_pod {
            continue;
        }
        if profile.is_some() {
            let context = container.security_context.get_or_insert_default();
            context.app_armor_profile = profile;
        }
        let message = "deprecated since v1.30; use the \"appArmorProfile\" field instead";
        warnings.push(format!("{}: {message}", at(&key)));
    }
    warnings
}

fn app_armor_profile(value: &str) -> Option<AppArmorProfile> {
    let (type_, local) = match value {
        UNCONFINED => ("Unconfined", None),
        RUNTIME_DEFAULT => ("RuntimeDefault", None),
        _ => {
            let name = value.strip_prefix(LOCALHOST)?;
            // One without a name is let in, and no node takes it.
            (
                "Localhost",
                Some((!name.is_empty()).then(|| name.to_owned())?),
            )
        }
    };
    Some(AppArmorProfile {
        type_: type_.to_owned(),
        localhost_profile: local,
    })
}

/// A new pod whose annotation says another thing than its field.
pub(super) fn match_fields(errors: &mut Errors, pod: &Pod, spec: &PodSpec) {
    let of_pod = spec.security_context.as_ref();
    let profile = of_pod.and_then(|context| context.seccomp_profile.as_ref());
    if let (Some(profile), Some(value)) = (profile, given(pod, SECCOMP_OF_POD)) {
        same_seccomp(errors, "spec.securityContext", profile, value);
    }
    for (path, container) in containers_with_paths(spec) {
        let context = container.security_context.as_ref();
        let profile = context.and_then(|context| context.seccomp_profile.as_ref());
        let value = given(pod, &format!("{SECCOMP_OF_CONTAINER}{}", container.name));
        if let (Some(profile), Some(value)) = (profile, value) {
            same_seccomp(errors, &format!("{path}.securityContext"), profile, value);
        }
    }
    if spec.os.as_ref().is_some_and(|os| os.name == "windows") {
        return;
    }
    let of_pod = of_pod.and_then(|context| context.app_armor_profile.as_ref());
    for (path, container) in containers_with_paths(spec) {
        let context = container.security_context.as_ref();
        let own = context.and_then(|context| context.app_armor_profile.as_ref());
        let value = given(pod, &format!("{APP_ARMOR}{}", container.name));
        if let (Some(profile), Some(value)) = (own.or(of_pod), value) {
            same_app_armor(errors, &format!("{path}.securityContext"), profile, value);
        }
    }
}

fn same_seccomp(errors: &mut Errors, path: &str, profile: &SeccompProfile, value: &str) {
    let defaults = [RUNTIME_DEFAULT, "docker/default"];
    let local = profile.localhost_profile.as_deref();
    let wrong = wrong_part(&profile.type_, local, value, &defaults);
    if let Some((field, what)) = wrong {
        let path = format!("{path}.seccompProfile.{field}");
        let detail = format!("seccomp {what} in annotation and field must match");
        errors.push(FieldError::forbidden(path, detail));
    }
}

fn same_app_armor(errors: &mut Errors, path: &str, profile: &AppArmorProfile, value: &str) {
    let local = profile.localhost_profile.as_deref();
    let wrong = wrong_part(&profile.type_, local, value, &[RUNTIME_DEFAULT]);
    if let Some((field, what)) = wrong {
        let path = format!("{path}.appArmorProfile.{field}");
        let detail = format!("apparmor {what} in annotation and field must match");
        errors.push(FieldError::forbidden(path, detail));
    }
}

/// The field that differs from the annotation, and what it is called.
fn wrong_part(
    type_: &str,
    local: Option<&str>,
    value: &str,
    defaults: &[&str],
) -> Option<(&'static str, &'static str)> {
    let wrong_type = Some(("type", "type"));
    match type_ {
        "Unconfined" if value != UNCONFINED => wrong_type,
        "RuntimeDefault" if !defaults.contains(&value) => wrong_type,
        "Localhost" => match value.strip_prefix(LOCALHOST) {
            None => wrong_type,
            name if name == local => None,
            Some(_) => Some(("localhostProfile", "profile")),
        },
        _ => None,
    }
}

/// What may not change in them.
pub(super) fn update(errors: &mut Errors, old: &Pod, new: &Pod) {
    let is_fixed = |key: &str| key == MIRROR || key.starts_with(APP_ARMOR);
    let what = |key: &str| match key {
        MIRROR => "mirror pod annotation",
        _ => "AppArmor annotations",
    };
    let keys = |pod: &Pod| -> Vec<String> {
        let all = pod.metadata.annotations.iter().flatten();
        let keys = all.map(|(key, _)| key).filter(|key| is_fixed(key));
        keys.cloned().collect()
    };
    for key in keys(old) {
        if given(old, &key) != given(new, &key) {
            let detail = format!("may not remove or update {}", what(&key));
            errors.push(FieldError::forbidden(at(&key), detail));
        }
    }
    for key in keys(new) {
        if given(old, &key).is_none() {
            let detail = format!("may not add {}", what(&key));
            errors.push(FieldError::forbidden(at(&key), detail));
        }
    }
}
