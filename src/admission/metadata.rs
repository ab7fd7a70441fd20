use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Context;
use super::admit::{fresh_uid, time};
use crate::base::Uid;
use crate::model::{FieldError, Kind, Object, names};

/// Sum of keys and values of all annotations, bytes.
const ANNOTATIONS_MAX: usize = 256 * 1024;
const GENERATED_SUFFIX: usize = 5;

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// Fills in what the server owns.
pub(super) fn prepare_create(meta: &mut ObjectMeta, context: &Context) {
    meta.uid = Some(fresh_uid());
    meta.creation_timestamp = Some(time(context.now));
    meta.generation = Some(1);
    meta.deletion_timestamp = None;
    meta.deletion_grace_period_seconds = None;
    meta.resource_version = None;
    meta.self_link = None;
    let prefix = meta.generate_name.as_deref().unwrap_or_default();
    if meta.name.as_deref().unwrap_or_default().is_empty() && !prefix.is_empty() {
        meta.name = Some(generated(prefix));
    }
}

/// The alphabet has no vowels and no digits that look like them, so that no words come out (`util/rand`).
fn generated(prefix: &str) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let random = Uid::random();
    let bytes = random.as_str().bytes().filter(u8::is_ascii_hexdigit);
    let digits: Vec<u32> = bytes
        .filter_map(|byte| char::from(byte).to_digit(16))
        .collect();
    let mut end = prefix.len().min(names::LABEL_MAX - GENERATED_SUFFIX);
    while !prefix.is_char_boundary(end) {
        end -= 1;
    }
    let mut name = prefix[..end].to_owned();
    for pair in digits.chunks(4).take(GENERATED_SUFFIX) {
        let number = pair.iter().fold(0, |number, digit| number * 16 + digit);
        let index = usize::try_from(number).unwrap_or(0) % ALPHABET.len();
        name.push(char::from(ALPHABET[index]));
    }
    name
}

/// Keeps what the server owns; fields that a client left out are taken from the old object.
pub(super) fn prepare_update(old: &ObjectMeta, new: &mut ObjectMeta) {
    if new.uid.is_none() {
        new.uid.clone_from(&old.uid);
    }
    if new.creation_timestamp.is_none() {
        new.creation_timestamp.clone_from(&old.creation_timestamp);
    }
    new.generation = old.generation;
    new.deletion_timestamp.clone_from(&old.deletion_timestamp);
    new.deletion_grace_period_seconds = old.deletion_grace_period_seconds;
    new.self_link.clone_from(&old.self_link);
}

pub(super) fn validate(object: &Object) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let meta = object.meta();
    let name = meta.name.as_deref().unwrap_or_default();
    let rule = name_rule(object.kind());
    if let Some(prefix) = meta
        .generate_name
        .as_deref()
        .filter(|prefix| !prefix.is_empty())
    {
        // The generated part follows, so a prefix may end in a dash or dot.
        let trimmed = format!("{}a", prefix.trim_end_matches(['-', '.']));
        for problem in rule(&trimmed) {
            errors.push(FieldError::invalid_string(
                "metadata.generateName",
                prefix,
                problem,
            ));
        }
    }
    if name.is_empty() {
        errors.push(FieldError::required(
            "metadata.name",
            "name or generateName is required",
        ));
    } else {
        for problem in rule(name) {
            errors.push(FieldError::invalid_string("metadata.name", name, problem));
        }
    }
    namespace(object, &mut errors);
    labels("metadata.labels", meta, &mut errors);
    annotations("metadata.annotations", meta, &mut errors);
    owners(meta, &mut errors);
    finalizers(meta, &mut errors);
    errors
}

fn finalizers(meta: &ObjectMeta, errors: &mut Vec<FieldError>) {
    let path = "metadata.finalizers";
    let all = meta.finalizers.as_deref().unwrap_or_default();
    for finalizer in all {
        for problem in names::qualified_name(finalizer) {
            errors.push(FieldError::invalid_string(path, finalizer, problem));
        }
    }
    let has = |wanted: &str| all.iter().any(|finalizer| finalizer == wanted);
    if has(ORPHAN) && has(FOREGROUND) {
        let value = serde_json::to_string(all).unwrap_or_default();
        let detail = format!("finalizer {ORPHAN} and {FOREGROUND} cannot be both set");
        errors.push(FieldError::invalid(path, value, detail));
    }
    for (index, finalizer) in all.iter().enumerate() {
        let is_standard = [ORPHAN, FOREGROUND, "kubernetes"].contains(&finalizer.as_str());
        if !is_standard && !finalizer.contains('/') {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            let path = format!("{path}[{index}]");
            errors.push(FieldError::invalid_string(path, finalizer, detail));
        }
    }
}

fn name_rule(kind: Kind) -> fn(&str) -> Vec<String> {
    match kind {
        Kind::Namespace => names::dns_label,
        Kind::Pod
        | Kind::ConfigMap
        | Kind::Secret
        | Kind::ServiceAccount
        | Kind::PodPreset
        | Kind::Event
        | Kind::Node
        | Kind::PersistentVolume
        | Kind::PersistentVolumeClaim
        | Kind::PriorityClass => names::dns_subdomain,
    }
}

fn namespace(object: &Object, errors: &mut Vec<FieldError>) {
    let path = "metadata.namespace";
    let namespace = object.namespace();
    if !object.kind().is_namespaced() {
        if !namespace.is_empty() {
            errors.push(FieldError::forbidden(path, "not allowed on this type"));
        }
    } else if namespace.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else {
        for problem in names::dns_label(namespace) {
            errors.push(FieldError::invalid_string(path, namespace, problem));
        }
    }
}

pub(super) fn labels(path: &str, meta: &ObjectMeta, errors: &mut Vec<FieldError>) {
    for (key, value) in meta.labels.iter().flatten() {
        for problem in names::qualified_name(key) {
            errors.push(FieldError::invalid_string(path, key, problem));
        }
        for problem in names::label_value(value) {
            errors.push(FieldError::invalid_string(
                format!("{path}[{key}]"),
                value,
                problem,
            ));
        }
    }
}

pub(super) fn annotations(path: &str, meta: &ObjectMeta, errors: &mut Vec<FieldError>) {
    let mut size = 0;
    for (key, value) in meta.annotations.iter().flatten() {
        for problem in names::qualified_name(&key.to_lowercase()) {
            errors.push(FieldError::invalid_string(path, key, problem));
        }
        size += key.len() + value.len();
    }
    if size > ANNOTATIONS_MAX {
        errors.push(FieldError::too_long(path, ANNOTATIONS_MAX));
    }
}

/// The API reports owners at the list, without the index.
fn owners(meta: &ObjectMeta, errors: &mut Vec<FieldError>) {
    let path = "metadata.ownerReferences";
    let all = meta.owner_references.as_deref().unwrap_or_default();
    let mut controller: Option<String> = None;
    for owner in all {
        let mut required = |field: &str, value: &str, detail: &str| {
            if value.is_empty() {
                let path = format!("{path}.{field}");
                errors.push(FieldError::invalid_string(path, value, detail));
            }
        };
        required(
            "apiVersion",
            &owner.api_version,
            "version must not be empty",
        );
        required("kind", &owner.kind, "must not be empty");
        required("name", &owner.name, "must not be empty");
        required("uid", &owner.uid, "must not be empty");
        if owner.api_version == "v1" && owner.kind == "Event" {
            let value = serde_json::to_string(owner).unwrap_or_default();
            let detail = "/v1, Kind=Event is disallowed from being an owner";
            errors.push(FieldError::invalid(path, value, detail));
        }
        if owner.controller != Some(true) {
            continue;
        }
        let name = format!("{}/{}", owner.kind, owner.name);
        match &controller {
            None => controller = Some(name),
            Some(first) => {
                let value = serde_json::to_string(all).unwrap_or_default();
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {name}"
                );
                errors.push(FieldError::invalid(path, value, detail));
            }
        }
    }
}
