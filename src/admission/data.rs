use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Secret};
use serde_json::Value;
use std::collections::BTreeMap;

use super::field::{Errors, by_rule, text};
use crate::model::{FieldError, names};

/// Sum of the values of one object, bytes.
const DATA_MAX: usize = 1024 * 1024;
const SERVICE_ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
const IMMUTABLE: &str = "field is immutable when `immutable` is set";

pub(super) fn config_map(map: &ConfigMap) -> Errors {
    let mut errors = Errors::new();
    let (texts, bytes) = (map.data.as_ref(), map.binary_data.as_ref());
    let mut size = 0;
    for (key, value) in texts.into_iter().flatten() {
        let twice = bytes.is_some_and(|bytes| bytes.contains_key(key));
        self::key(&mut errors, "data", key, twice.then_some("binaryData"));
        size += value.len();
    }
    for (key, value) in bytes.into_iter().flatten() {
        let twice = texts.is_some_and(|texts| texts.contains_key(key));
        self::key(&mut errors, "binaryData", key, twice.then_some("data"));
        size += value.0.len();
    }
    if size > DATA_MAX {
        errors.push(FieldError::too_long("data", DATA_MAX));
    }
    errors
}

fn key(errors: &mut Errors, field: &str, key: &str, twin: Option<&str>) {
    let path = format!("{field}[{key}]");
    for problem in names::config_key(key) {
        errors.push(FieldError::invalid_string(path.clone(), key, problem));
    }
    if let Some(twin) = twin {
        let detail = format!("duplicate of key present in {twin}");
        errors.push(FieldError::invalid_string(path, key, detail));
    }
}

pub(super) fn secret(secret: &Secret) -> Errors {
    let mut errors = Errors::new();
    let empty = BTreeMap::new();
    let data = secret.data.as_ref().unwrap_or(&empty);
    for name in data.keys() {
        key(&mut errors, "data", name, None);
    }
    if data.values().map(|value| value.0.len()).sum::<usize>() > DATA_MAX {
        errors.push(FieldError::too_long("data", DATA_MAX));
    }
    by_type(&mut errors, secret, data);
    errors
}

/// `spec.finalizers`; the API reports them at the list.
pub(super) fn namespace(namespace: &Namespace) -> Errors {
    let mut errors = Errors::new();
    let path = "spec.finalizers";
    let spec = namespace.spec.as_ref();
    let finalizers = spec.and_then(|spec| spec.finalizers.as_ref());
    for name in finalizers.into_iter().flatten() {
        by_rule(&mut errors, path, name, names::qualified_name);
        let standard = ["kubernetes", "orphan", "foregroundDeletion"];
        if !name.contains('/') && !standard.contains(&name.as_str()) {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(FieldError::invalid_string(path, name, detail));
        }
    }
    errors
}

/// Longest reason, action and name of who reports, characters; and longest message.
const EVENT_WORD_MAX: usize = 128;
const EVENT_MESSAGE_MAX: usize = 1024;

/// Old events must agree with the namespace of their object; those with a time of their own say more.
pub(super) fn event(event: &Event) -> Errors {
    let mut errors = Errors::new();
    let own = text(&event.metadata.namespace);
    let involved = text(&event.involved_object.namespace);
    let is_new = event.event_time.is_some();
    let agrees = match (involved.is_empty(), is_new) {
        (false, false) => own == involved,
        (true, false) => matches!(own, "" | "default"),
        (true, true) => matches!(own, "default" | "kube-system"),
        (false, true) => true,
    };
    if !agrees {
        let detail = "does not match event.namespace";
        let path = "involvedObject.namespace";
        errors.push(FieldError::invalid_string(path, involved, detail));
    }
    if !is_new {
        return errors;
    }
    let reporter = text(&event.reporting_component);
    if reporter.is_empty() {
        errors.push(FieldError::required("reportingController", ""));
    }
    by_rule(
        &mut errors,
        "reportingController",
        reporter,
        names::qualified_name,
    );
    for (path, value, most, is_required) in [
        (
            "reportingInstance",
            text(&event.reporting_instance),
            EVENT_WORD_MAX,
            true,
        ),
        ("action", text(&event.action), EVENT_WORD_MAX, true),
        ("reason", text(&event.reason), EVENT_WORD_MAX, true),
        ("message", text(&event.message), EVENT_MESSAGE_MAX, false),
    ] {
        if is_required && value.is_empty() {
            errors.push(FieldError::required(path, ""));
        }
        if value.len() > most {
            let detail = format!("can have at most {most} characters");
            errors.push(FieldError::invalid_string(path, "", detail));
        }
    }
    errors
}

fn by_type(errors: &mut Errors, secret: &Secret, data: &BTreeMap<String, ByteString>) {
    let mut need = |keys: &[&str]| {
        for key in keys.iter().filter(|key| !data.contains_key(**key)) {
            errors.push(FieldError::required(format!("data[{key}]"), ""));
        }
    };
    match text(&secret.type_) {
        "kubernetes.io/dockercfg" => {
            need(&[".dockercfg"]);
            json(errors, data, ".dockercfg");
        }
        "kubernetes.io/dockerconfigjson" => {
            need(&[".dockerconfigjson"]);
            json(errors, data, ".dockerconfigjson");
        }
        "kubernetes.io/basic-auth"
            if !data.contains_key("username") && !data.contains_key("password") =>
        {
            need(&["username", "password"]);
        }
        "kubernetes.io/ssh-auth" => need(&["ssh-privatekey"]),
        "kubernetes.io/tls" => need(&["tls.crt", "tls.key"]),
        "kubernetes.io/service-account-token" => {
            let annotations = secret.metadata.annotations.as_ref();
            let name = annotations.and_then(|map| map.get(SERVICE_ACCOUNT_NAME));
            if name.is_none_or(String::is_empty) {
                let path = format!("metadata.annotations[{SERVICE_ACCOUNT_NAME}]");
                errors.push(FieldError::required(path, ""));
            }
        }
        _ => {}
    }
}

/// The value must be a JSON object, or `null`, as Go reads it into a map.
fn json(errors: &mut Errors, data: &BTreeMap<String, ByteString>, key: &str) {
    let Some(value) = data.get(key) else { return };
    let kind = match serde_json::from_slice::<Value>(&value.0) {
        Ok(Value::Object(_) | Value::Null) => return,
        Ok(Value::Array(_)) => Ok("array"),
        Ok(Value::String(_)) => Ok("string"),
        Ok(Value::Number(_)) => Ok("number"),
        Ok(Value::Bool(_)) => Ok("bool"),
        Err(error) => Err(error.to_string()),
    };
    let detail = kind.map_or_else(
        |error| error,
        |kind| {
            format!("json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}")
        },
    );
    errors.push(FieldError::invalid_string(
        format!("data[{key}]"),
        "<secret contents redacted>",
        detail,
    ));
}

pub(super) fn config_map_update(old: &ConfigMap, new: &ConfigMap) -> Errors {
    let mut errors = Errors::new();
    if old.immutable == Some(true) {
        let changed = [
            (new.immutable != Some(true), "immutable"),
            (old.data != new.data, "data"),
            (old.binary_data != new.binary_data, "binaryData"),
        ];
        forbid(&mut errors, &changed);
    }
    errors
}

pub(super) fn secret_update(old: &Secret, new: &Secret) -> Errors {
    let mut errors = Errors::new();
    if old.type_ != new.type_ {
        let type_ = text(&new.type_);
        errors.push(FieldError::invalid_string(
            "type",
            type_,
            "field is immutable",
        ));
    }
    if old.immutable == Some(true) {
        let changed = [
            (new.immutable != Some(true), "immutable"),
            (old.data != new.data, "data"),
        ];
        forbid(&mut errors, &changed);
    }
    errors
}

fn forbid(errors: &mut Errors, changed: &[(bool, &str)]) {
    for (_, field) in changed.iter().filter(|(changed, _)| *changed) {
        errors.push(FieldError::forbidden(*field, IMMUTABLE));
    }
}
