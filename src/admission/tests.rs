use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Admitted, Context, admit_create, admit_update};
use crate::manifest;
use crate::model::{FieldError, Kind, Object, decode};

mod affinity;
mod annotations;
mod claims;
mod containers;
mod data;
mod defaulted;
mod defaults;
mod environment;
mod manifests;
mod metadata;
mod mounts;
mod objects;
mod persistent;
mod pods;
mod ports;
mod priority;
mod probes;
mod resize;
mod resources;
mod restarts;
mod rules;
mod scheduling;
mod security;
mod sources;
mod storage;
mod updates;
mod volumes;
mod warnings;

const NOW: i64 = 1_700_000_000;

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an \
     alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
     alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
     '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

const NAME_PART: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character \
     (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

fn context() -> Context {
    Context {
        now: Timestamp::from_second(NOW).unwrap(),
    }
}

fn object(value: Value) -> Object {
    decode::decode(value).unwrap().object
}

fn create(value: Value) -> Result<(Admitted<Object>, Vec<String>), Vec<FieldError>> {
    admit_create(object(value), &context())
}

fn created(value: Value) -> Value {
    create(value).unwrap().0.get().to_value()
}

/// A good pod, changed by a merge patch of its spec.
fn pod(change: Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {"containers": [{"name": "web", "image": "nginx"}]},
    });
    json_patch::merge(&mut pod["spec"], &change);
    pod
}

/// A good pod whose first container has more fields.
fn container(fields: Value) -> Value {
    let mut container = json!({"name": "web", "image": "nginx"});
    json_patch::merge(&mut container, &fields);
    pod(json!({ "containers": [container] }))
}

fn data(kind: &str, fields: Value) -> Value {
    let mut value = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "d", "namespace": "default"}});
    json_patch::merge(&mut value, &fields);
    value
}

#[track_caller]
fn check(value: Value, expected: &[&str]) {
    let errors = match create(value) {
        Ok(_) => Vec::new(),
        Err(errors) => errors,
    };
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors, expected);
}

/// Fields of a manifest, as they are written in one.
fn fields(text: &str) -> Value {
    let text = format!("apiVersion: v1\nkind: Pod\nfields: {text}\n");
    let loaded = manifest::load(&text, "row");
    assert!(loaded.diagnostics.is_empty(), "{text}");
    loaded.documents[0].value["fields"].clone()
}

/// What is said of one row of a table.
type Row<'a> = (&'a str, &'a [&'a str]);

/// Each row: fields of a manifest, which `make` completes to an object, and its errors, whose path is below `at`.
#[track_caller]
fn check_rows(make: fn(Value) -> Value, at: &str, rows: &[Row<'_>]) {
    for (text, expected) in rows {
        let errors = create(make(fields(text))).err().unwrap_or_default();
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let expected: Vec<String> = expected.iter().map(|text| format!("{at}{text}")).collect();
        assert_eq!(errors, expected, "{text}");
    }
}

/// Each is accepted.
#[track_caller]
pub(super) fn good(values: impl IntoIterator<Item = Value>) {
    for value in values {
        let shown = value.to_string();
        let errors = create(value).err().unwrap_or_default();
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors, [""; 0], "{shown}");
    }
}

/// Refused with one error, whose text below `path` this is.
#[track_caller]
pub(super) fn bad(value: Value, path: &str, expected: &str) {
    let shown = value.to_string();
    let errors = create(value).err().unwrap_or_default();
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors, [format!("{path}: {expected}")], "{shown}");
}

fn in_container(path: &str) -> String {
    format!("spec.containers[0].{path}")
}

#[track_caller]
fn bad_container(fields: Value, path: &str, expected: &str) {
    bad(container(fields), &in_container(path), expected);
}

const RANGE: &str = "must be between 1 and 65535, inclusive";

const ID: &str = "must be between 0 and 2147483647, inclusive";

const NEGATIVE: &str = "must be greater than or equal to 0";

/// Of a created pod, at `pointer` below its spec.
#[track_caller]
pub(super) fn becomes(value: Value, pointer: &str, expected: Value) {
    let made = created(value);
    let found = made["spec"].pointer(pointer).cloned().unwrap_or_default();
    assert_eq!(found, expected, "{pointer} of {}", made["spec"]);
}
