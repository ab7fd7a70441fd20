//! AppArmor: the field, and the annotations that came before it (KEP-24, section version skew).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{AppArmorProfile, Container, Pod, PodSpec};

use super::field::Errors;
use crate::model::FieldError;
use crate::model::pod::every_container;

const KEY: &str = "container.apparmor.security.beta.kubernetes.io/";
const RUNTIME_DEFAULT: &str = "runtime/default";
const UNCONFINED: &str = "unconfined";
const LOCALHOST: &str = "localhost/";
/// `PATH_MAX` less the NUL byte.
const NAME_MAX: usize = 4095;

fn profile_of(container: &Container) -> Option<&AppArmorProfile> {
    let context = container.security_context.as_ref()?;
    context.app_armor_profile.as_ref()
}

/// What an annotation says, as the field says it; `None`: it is none of the known ones.
fn as_field(annotation: &str) -> Option<AppArmorProfile> {
    let profile = |type_: &str, name: Option<&str>| AppArmorProfile {
        type_: type_.to_owned(),
        localhost_profile: name.map(str::to_owned),
    };
    match annotation {
        RUNTIME_DEFAULT => Some(profile("RuntimeDefault", None)),
        UNCONFINED => Some(profile("Unconfined", None)),
        _ => {
            let name = annotation.strip_prefix(LOCALHOST)?;
            Some(profile("Localhost", Some(name)))
        }
    }
}

/// Containers that have only the annotation get the field. Returns what is to be said about it.
pub(super) fn take_annotations(pod: &mut Pod) -> Vec<String> {
    let given = pod.metadata.annotations.clone().unwrap_or_default();
    let Some(spec) = pod.spec.as_mut().filter(|_| has_any(&given)) else {
        return Vec::new();
    };
    let shared = spec
        .security_context
        .as_ref()
        .and_then(|context| context.app_armor_profile.clone());
    let init = spec.init_containers.iter_mut().flatten();
    let mut warnings = Vec::new();
    for container in init.chain(&mut spec.containers) {
        let key = format!("{KEY}{}", container.name);
        let Some(annotation) = given.get(&key).filter(|_| profile_of(container).is_none()) else {
            continue;
        };
        let field = as_field(annotation).filter(|field| {
            let mut errors = Errors::new();
            profile(&mut errors, "", Some(field));
            errors.is_empty()
        });
        let says_more = field != shared;
        if field.is_none() || says_more {
            warnings.push(format!(
                "metadata.annotations[{key}]: deprecated since v1.30; use the \"appArmorProfile\" field instead"
            ));
        }
        if let Some(field) = field.filter(|_| says_more) {
            let context = container.security_context.get_or_insert_default();
            context.app_armor_profile = Some(field);
        }
    }
    warnings
}

fn has_any(annotations: &BTreeMap<String, String>) -> bool {
    annotations.keys().any(|key| key.starts_with(KEY))
}

/// Annotations of containers that are there, in a known form, and in accord with the field.
pub(super) fn annotations(errors: &mut Errors, pod: &Pod, spec: &PodSpec) {
    for (key, value) in pod.metadata.annotations.iter().flatten() {
        let Some(name) = key.strip_prefix(KEY) else {
            continue;
        };
        let path = format!("metadata.annotations[{key}]");
        if !every_container(spec).any(|container| container.name == name) {
            let detail = "container not found";
            errors.push(FieldError::invalid_string(&path, name, detail));
        }
        if !value.is_empty() && as_field(value).is_none() {
            let detail = format!(
                "invalid AppArmor profile name: {}",
                FieldError::quoted(value)
            );
            errors.push(FieldError::invalid_string(&path, value, detail));
        }
    }
    let init = spec.init_containers.as_deref().unwrap_or_default();
    for (list, containers) in [("initContainers", init), ("containers", &spec.containers)] {
        for (index, container) in containers.iter().enumerate() {
            let path = format!("spec.{list}[{index}].securityContext.appArmorProfile");
            in_accord(errors, &path, pod, container);
        }
    }
}

fn in_accord(errors: &mut Errors, path: &str, pod: &Pod, container: &Container) {
    let given = pod.metadata.annotations.as_ref();
    let annotation = given.and_then(|given| given.get(&format!("{KEY}{}", container.name)));
    let (Some(annotation), Some(field)) = (annotation, profile_of(container)) else {
        return;
    };
    let told = as_field(annotation);
    if told.as_ref().is_none_or(|told| told.type_ != field.type_) {
        let detail = "apparmor type in annotation and field must match";
        errors.push(FieldError::forbidden(format!("{path}.type"), detail));
    } else if told.is_some_and(|told| told.localhost_profile != field.localhost_profile) {
        let detail = "apparmor profile in annotation and field must match";
        errors.push(FieldError::forbidden(
            format!("{path}.localhostProfile"),
            detail,
        ));
    }
}

/// A running container cannot change its profile.
pub(super) fn unchanged(errors: &mut Errors, old: &Pod, new: &Pod) {
    let empty = BTreeMap::new();
    let old = old.metadata.annotations.as_ref().unwrap_or(&empty);
    let new = new.metadata.annotations.as_ref().unwrap_or(&empty);
    let mut refuse = |key: &str, detail: &str| {
        errors.push(FieldError::forbidden(
            format!("metadata.annotations[{key}]"),
            detail,
        ));
    };
    for (key, value) in old.iter().filter(|(key, _)| key.starts_with(KEY)) {
        if new.get(key) != Some(value) {
            refuse(key, "may not remove or update AppArmor annotations");
        }
    }
    for key in new.keys().filter(|key| key.starts_with(KEY)) {
        if !old.contains_key(key) {
            refuse(key, "may not add AppArmor annotations");
        }
    }
}

/// The field, of a pod or of a container; `path` is its own.
pub(super) fn profile(errors: &mut Errors, path: &str, profile: Option<&AppArmorProfile>) {
    const TYPES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];
    let Some(profile) = profile else { return };
    let (type_path, name_path) = (format!("{path}.type"), format!("{path}.localhostProfile"));
    let name = profile.localhost_profile.as_deref();
    match (profile.type_.as_str(), name) {
        ("", _) => {
            let detail = "type is required when appArmorProfile is set";
            errors.push(FieldError::required(type_path, detail));
        }
        ("Localhost", None) => {
            let detail = "must be set when AppArmor type is Localhost";
            errors.push(FieldError::required(name_path, detail));
        }
        ("Localhost", Some(name)) => {
            if name.trim() != name {
                let detail = "must not be padded with whitespace";
                errors.push(FieldError::invalid_string(&name_path, name, detail));
            } else if name.is_empty() {
                let detail = "must be set when AppArmor type is Localhost";
                errors.push(FieldError::required(&name_path, detail));
            }
            if name.len() > NAME_MAX {
                errors.push(FieldError::too_long(name_path, NAME_MAX));
            }
        }
        ("RuntimeDefault" | "Unconfined", None) => {}
        ("RuntimeDefault" | "Unconfined", Some(name)) => {
            let detail = "can only be set when AppArmor type is Localhost";
            errors.push(FieldError::invalid_string(name_path, name, detail));
        }
        (other, _) => errors.push(FieldError::not_supported(type_path, other, &TYPES)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(annotation: &str, shared: Value, own: Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"annotations": {format!("{KEY}c"): annotation}},
            "spec": {
                "securityContext": {"appArmorProfile": shared},
                "containers": [{"name": "c", "securityContext": {"appArmorProfile": own}}],
            },
        }))
        .unwrap()
    }

    /// `expected`: type and name of the field afterwards, and the number of warnings.
    #[track_caller]
    fn check_taken(annotation: &str, shared: Value, own: Value, expected: (&str, usize)) {
        let mut pod = pod(annotation, shared, own);
        let warnings = take_annotations(&mut pod);
        let spec = pod.spec.unwrap();
        let field = profile_of(&spec.containers[0]).map(|field| {
            let name = field.localhost_profile.clone().unwrap_or_default();
            format!("{} {name}", field.type_).trim_end().to_owned()
        });
        let found = field.unwrap_or_default();
        assert_eq!((found.as_str(), warnings.len()), expected, "{warnings:?}");
    }

    #[test]
    fn annotations_become_fields() {
        let none = || Value::Null;
        check_taken("runtime/default", none(), none(), ("RuntimeDefault", 1));
        check_taken("unconfined", none(), none(), ("Unconfined", 1));
        check_taken("localhost/a b", none(), none(), ("Localhost a b", 1));
        check_taken("localhost/", none(), none(), ("", 1));
        check_taken("docker-default", none(), none(), ("", 1));
        // What the pod says already is not said again, and what the container says stays.
        let default = json!({"type": "RuntimeDefault"});
        check_taken("runtime/default", default.clone(), none(), ("", 0));
        check_taken("unconfined", default.clone(), none(), ("Unconfined", 1));
        check_taken("unconfined", none(), default, ("RuntimeDefault", 0));
    }

    #[track_caller]
    fn check_errors(annotation: &str, own: Value, expected: &[&str]) {
        let pod = pod(annotation, Value::Null, own);
        let mut errors = Errors::new();
        annotations(&mut errors, &pod, pod.spec.as_ref().unwrap());
        let found: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn annotation_and_field_agree() {
        const FIELD: &str = "spec.containers[0].securityContext.appArmorProfile";
        check_errors("runtime/default", json!({"type": "RuntimeDefault"}), &[]);
        check_errors("", Value::Null, &[]);
        check_errors(
            "docker-default",
            Value::Null,
            &[
                "metadata.annotations[container.apparmor.security.beta.kubernetes.io/c]: Invalid value: \"docker-default\": \
               invalid AppArmor profile name: \"docker-default\"",
            ],
        );
        check_errors(
            "unconfined",
            json!({"type": "RuntimeDefault"}),
            &[&format!(
                "{FIELD}.type: Forbidden: apparmor type in annotation and field must match"
            )],
        );
        check_errors(
            "localhost/a",
            json!({"type": "Localhost", "localhostProfile": "b"}),
            &[&format!(
                "{FIELD}.localhostProfile: Forbidden: apparmor profile in annotation and field must match"
            )],
        );
    }

    #[track_caller]
    fn check_profile(profile: Value, expected: &[&str]) {
        let mut errors = Errors::new();
        let profile: AppArmorProfile = serde_json::from_value(profile).unwrap();
        super::profile(&mut errors, "p", Some(&profile));
        let found: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn profiles() {
        let local = |name: &str| json!({"type": "Localhost", "localhostProfile": name});
        check_profile(local("/usr/bin/web"), &[]);
        check_profile(local("../odd"), &[]);
        check_profile(
            local(" a"),
            &["p.localhostProfile: Invalid value: \" a\": must not be padded with whitespace"],
        );
        check_profile(
            local(""),
            &["p.localhostProfile: Required value: must be set when AppArmor type is Localhost"],
        );
        check_profile(
            local(&"a".repeat(4096)),
            &["p.localhostProfile: Too long: may not be more than 4095 bytes"],
        );
        check_profile(
            json!({"type": "Unconfined", "localhostProfile": "a"}),
            &[
                "p.localhostProfile: Invalid value: \"a\": can only be set when AppArmor type is Localhost",
            ],
        );
    }

    #[track_caller]
    fn check_update(old: &str, new: &str, expected: &[&str]) {
        let with = |value: &str| {
            let mut pod = Pod::default();
            let map = [(format!("{KEY}c"), value.to_owned())];
            pod.metadata.annotations = (!value.is_empty()).then(|| map.into());
            pod
        };
        let mut errors = Errors::new();
        unchanged(&mut errors, &with(old), &with(new));
        let found: Vec<String> = errors.iter().map(|error| error.detail.clone()).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn annotations_do_not_change() {
        check_update("", "", &[]);
        check_update("unconfined", "unconfined", &[]);
        let changed = "may not remove or update AppArmor annotations";
        check_update("unconfined", "runtime/default", &[changed]);
        check_update("unconfined", "", &[changed]);
        check_update("", "unconfined", &["may not add AppArmor annotations"]);
    }
}
