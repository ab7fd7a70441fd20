//! What a change of an object would do, field by field, before anything is sent.
//!
//! The rules are those of the API (which fields of a pod may change) and of the kubelet (image and name are the
//! only fields whose change restarts a container).

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::admission::{Context, admit_create};
use crate::model::{Object, pod};

/// One step of a path. Elements of lists keep their `name`, because the same element may stand elsewhere in a
/// text than in the object.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Item { index: usize, name: Option<String> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) struct Path(Vec<Step>);

impl Path {
    fn key(&self, key: &str) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Key(key.to_owned()));
        Self(steps)
    }

    fn item(&self, index: usize, name: Option<&str>) -> Self {
        let mut steps = self.0.clone();
        let name = name.map(str::to_owned);
        steps.push(Step::Item { index, name });
        Self(steps)
    }

    /// `spec.containers[0].image`, with the positions that the elements have in `value`.
    pub(in crate::tui) fn within(&self, value: &Value) -> String {
        let mut text = String::new();
        let mut place = Some(value);
        for step in &self.0 {
            match step {
                Step::Key(key) => {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(key);
                    place = place.and_then(|value| value.get(key));
                }
                Step::Item { index, name } => {
                    let items = place.and_then(Value::as_array);
                    let named = name.as_ref().and_then(|name| {
                        items?.iter().position(|item| name_of(item) == Some(name))
                    });
                    let index = named.unwrap_or(*index);
                    text.push_str(&format!("[{index}]"));
                    place = items.and_then(|items| items.get(index));
                }
            }
        }
        text
    }

    /// Without the list elements: the rules are about fields.
    fn keys(&self) -> Vec<&str> {
        self.0
            .iter()
            .filter_map(|step| match step {
                Step::Key(key) => Some(key.as_str()),
                Step::Item { .. } => None,
            })
            .collect()
    }

    fn item_name(&self) -> Option<&str> {
        self.0.iter().find_map(|step| match step {
            Step::Item { name, .. } => name.as_deref(),
            Step::Key(_) => None,
        })
    }
}

/// What becomes of the running object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Outcome {
    /// Takes effect without disturbing anything.
    InPlace,
    /// Takes effect, and this has to be said about it.
    InPlaceBut(&'static str),
    /// The container of this name is stopped and started.
    Restarts(String),
    /// The API will not have it, for this reason.
    Refused(&'static str),
}

impl Outcome {
    /// `restarts main`, `in place`, `refused: immutable`.
    pub(in crate::tui) fn words(&self) -> String {
        match self {
            Self::InPlace => "in place".to_owned(),
            Self::InPlaceBut(what) => format!("in place, {what}"),
            Self::Restarts(container) => format!("restarts {container}"),
            Self::Refused(why) => format!("refused: {why}"),
        }
    }
}

/// One difference between the object as it is and as it would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) struct Change {
    pub(in crate::tui) path: Path,
    /// Null when it was not there, or will not be there.
    pub(in crate::tui) old: Value,
    pub(in crate::tui) new: Value,
    pub(in crate::tui) outcome: Outcome,
}

const IMMUTABLE: &str = "immutable";
const NO_CONTAINERS: &str = "containers cannot be added or removed";
const FOR_NEW_STARTS: &str = "for environment variables at the next start";
const NEXT_INIT: &str = "used when the init containers run again";
const FINISHED: &str = "the pod has finished";

/// Every difference that matters. `new` is what the API would store: an object merged with the edited text;
/// defaults need not be set.
pub(in crate::tui) fn changes(old: &Object, new: &Object, now: jiff::Timestamp) -> Vec<Change> {
    let (before, after) = (comparable(old, now), comparable(new, now));
    let mut found = Vec::new();
    compare(&Path(Vec::new()), &before, &after, &mut found);
    found
        .into_iter()
        .map(|(path, old_value, new_value)| {
            let outcome = outcome(old, new, &path, &old_value, &new_value);
            Change {
                path,
                old: old_value,
                new: new_value,
                outcome,
            }
        })
        .collect()
}

/// With defaults, without what the server owns and without the annotations that `apply` keeps for itself.
fn comparable(object: &Object, now: jiff::Timestamp) -> Value {
    let admitted = admit_create(object.clone(), &Context { now });
    let object = admitted.map_or_else(|_| object.clone(), |(admitted, _)| admitted.into_inner());
    super::source::without_server_parts(object.to_value())
}

fn name_of(item: &Value) -> Option<&str> {
    item.get("name").and_then(Value::as_str)
}

fn compare(path: &Path, old: &Value, new: &Value, found: &mut Vec<(Path, Value, Value)>) {
    match (old, new) {
        (old, new) if old == new => {}
        (Value::Object(old), Value::Object(new)) => {
            let null = Value::Null;
            for (key, value) in old {
                compare(&path.key(key), value, new.get(key).unwrap_or(&null), found);
            }
            for (key, value) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
                compare(&path.key(key), &null, value, found);
            }
        }
        (Value::Array(old_items), Value::Array(new_items))
            if [old_items, new_items]
                .iter()
                .all(|items| items.iter().all(Value::is_object)) =>
        {
            compare_items(path, old_items, new_items, found);
        }
        // A map that appears or goes is told by its entries, so that each has its own line.
        (Value::Null, Value::Object(map)) if is_told_by_entries(path, map) => {
            compare(path, &Value::Object(Map::new()), new, found);
        }
        (Value::Object(map), Value::Null) if is_told_by_entries(path, map) => {
            compare(path, old, &Value::Object(Map::new()), found);
        }
        (old, new) => found.push((path.clone(), old.clone(), new.clone())),
    }
}

fn is_told_by_entries(path: &Path, map: &Map<String, Value>) -> bool {
    let is_metadata = path.0.first() == Some(&Step::Key("metadata".to_owned()));
    let is_data = path.0.len() == 1;
    !map.is_empty() && (is_metadata || is_data)
}

/// Elements with names are matched by them, others by their place.
fn compare_items(path: &Path, old: &[Value], new: &[Value], found: &mut Vec<(Path, Value, Value)>) {
    let null = Value::Null;
    let twin = |items: &[Value], index: usize, item: &Value| match name_of(item) {
        Some(name) => items.iter().position(|other| name_of(other) == Some(name)),
        None => (index < items.len() && name_of(&items[index]).is_none()).then_some(index),
    };
    for (index, item) in old.iter().enumerate() {
        match twin(new, index, item) {
            Some(other) => compare(&path.item(other, name_of(item)), item, &new[other], found),
            None => found.push((path.item(index, name_of(item)), item.clone(), null.clone())),
        }
    }
    for (index, item) in new.iter().enumerate() {
        if twin(old, index, item).is_none() {
            found.push((path.item(index, name_of(item)), null.clone(), item.clone()));
        }
    }
}

fn outcome(old: &Object, new: &Object, path: &Path, was: &Value, will: &Value) -> Outcome {
    let keys = path.keys();
    match (keys.as_slice(), old) {
        (["metadata", "name" | "namespace" | "uid" | "generateName"], _)
        | (["kind" | "apiVersion"], _) => Outcome::Refused(IMMUTABLE),
        (["metadata", ..], _) => Outcome::InPlace,
        (["spec", rest @ ..], Object::Pod(pod)) => pod_outcome(pod, rest, path, was, will),
        (["immutable"], Object::ConfigMap(_) | Object::Secret(_)) if *was == Value::Bool(true) => {
            Outcome::Refused(IMMUTABLE)
        }
        (["data" | "binaryData" | "stringData", ..], Object::ConfigMap(_) | Object::Secret(_)) => {
            if is_frozen(old) {
                return Outcome::Refused(IMMUTABLE);
            }
            Outcome::InPlaceBut(FOR_NEW_STARTS)
        }
        (["type"], Object::Secret(_)) => Outcome::Refused(IMMUTABLE),
        _ if old.kind() != new.kind() => Outcome::Refused(IMMUTABLE),
        _ => Outcome::InPlace,
    }
}

fn is_frozen(object: &Object) -> bool {
    match object {
        Object::ConfigMap(map) => map.immutable == Some(true),
        Object::Secret(secret) => secret.immutable == Some(true),
        _ => false,
    }
}

fn pod_outcome(
    pod: &Arc<k8s_openapi::api::core::v1::Pod>,
    keys: &[&str],
    path: &Path,
    was: &Value,
    will: &Value,
) -> Outcome {
    match keys {
        // A whole container came or went.
        ["containers" | "initContainers"] => Outcome::Refused(NO_CONTAINERS),
        ["containers" | "initContainers", "image"] if pod::is_terminal(pod) => {
            Outcome::InPlaceBut(FINISHED)
        }
        ["containers", "image"] => restarts(path),
        ["initContainers", "image"] => {
            let name = path.item_name().unwrap_or_default();
            let spec = pod.spec.as_ref();
            let container = spec.and_then(|spec| pod::find_container(spec, name));
            if container.is_some_and(pod::is_sidecar) {
                restarts(path)
            } else {
                Outcome::InPlaceBut(NEXT_INIT)
            }
        }
        ["activeDeadlineSeconds"] => match (was.as_i64(), will.as_i64()) {
            (_, None) => Outcome::Refused("a deadline cannot be removed"),
            (Some(was), Some(will)) if will > was => {
                Outcome::Refused("a deadline can only be lowered")
            }
            _ => Outcome::InPlace,
        },
        ["terminationGracePeriodSeconds"] => {
            if was.as_i64().is_some_and(|was| was < 0) && will.as_i64() == Some(1) {
                Outcome::InPlace
            } else {
                Outcome::Refused(IMMUTABLE)
            }
        }
        ["tolerations", rest @ ..] => match (rest, was) {
            ([], Value::Null) | (["tolerationSeconds"], _) => Outcome::InPlace,
            _ => Outcome::Refused("tolerations can only be added"),
        },
        ["schedulingGates"] if will.is_null() => Outcome::InPlace,
        _ => Outcome::Refused(IMMUTABLE),
    }
}

fn restarts(path: &Path) -> Outcome {
    Outcome::Restarts(path.item_name().unwrap_or_default().to_owned())
}

/// The whole edit in one line: `restarts main, 2 in place, 1 refused`.
pub(in crate::tui) fn summary(changes: &[Change], recreate: bool) -> String {
    if changes.is_empty() {
        return "nothing changes in the object".to_owned();
    }
    let mut parts: Vec<String> = Vec::new();
    let (mut in_place, mut refused) = (0, 0);
    for change in changes {
        match &change.outcome {
            Outcome::InPlace | Outcome::InPlaceBut(_) => in_place += 1,
            Outcome::Refused(_) => refused += 1,
            restart @ Outcome::Restarts(_) => {
                if !parts.contains(&restart.words()) {
                    parts.push(restart.words());
                }
            }
        }
    }
    if refused > 0 && recreate {
        return format!(
            "recreates the pod: {refused} of {} changes need it",
            changes.len()
        );
    }
    if in_place > 0 {
        parts.push(format!("{in_place} in place"));
    }
    if refused > 0 {
        parts.push(format!("{refused} refused"));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admission::admit_update;
    use crate::model::Kind;

    fn now() -> jiff::Timestamp {
        "2026-01-02T03:00:00Z".parse().unwrap()
    }

    fn pod_value() -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "p", "namespace": "default", "uid": "u", "labels": {"a": "1"}},
            "spec": {
                "activeDeadlineSeconds": 100,
                "tolerations": [{"key": "k", "operator": "Exists"}],
                "initContainers": [
                    {"name": "setup", "image": "i:1"},
                    {"name": "proxy", "image": "i:1", "restartPolicy": "Always"},
                ],
                "containers": [
                    {"name": "main", "image": "i:1", "env": [{"name": "A", "value": "1"}], "command": ["a"]},
                    {"name": "side", "image": "i:1"},
                ],
            },
            "status": {"phase": "Running"},
        })
    }

    fn stored(kind: Kind, value: Value) -> Object {
        let status = value.get("status").cloned();
        let object = Object::from_value(kind, value).unwrap();
        let admitted = admit_create(object, &Context { now: now() }).unwrap().0;
        let mut value = admitted.into_inner().to_value();
        if let Some(status) = status {
            value["status"] = status;
        }
        Object::from_value(kind, value).unwrap()
    }

    /// `edits` are JSON pointers of the raw pod with their new values. The words must be those expected, and
    /// the API must refuse exactly what is called refused.
    #[track_caller]
    fn check_kind(kind: Kind, value: Value, edits: &[(&str, Value)], expected: &[(&str, &str)]) {
        let old = stored(kind, value);
        let mut edited = old.to_value();
        for (pointer, new) in edits {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            let parent = edited.pointer_mut(parent).unwrap();
            match parent {
                Value::Array(items) if new.is_null() => {
                    items.remove(key.parse().unwrap());
                }
                Value::Array(items) if key == "-" => items.push(new.clone()),
                Value::Object(map) if new.is_null() => {
                    map.shift_remove(key);
                }
                parent => match key.parse::<usize>() {
                    Ok(index) => parent[index] = new.clone(),
                    Err(_) => parent[key] = new.clone(),
                },
            }
        }
        let new = Object::from_value(kind, edited).unwrap();
        let changes = changes(&old, &new, now());
        let found: Vec<(String, String)> = changes
            .iter()
            .map(|change| (change.path.within(&new.to_value()), change.outcome.words()))
            .collect();
        let expected: Vec<(String, String)> = expected
            .iter()
            .map(|(path, words)| ((*path).to_owned(), (*words).to_owned()))
            .collect();
        assert_eq!(found, expected);
        let is_refused = changes
            .iter()
            .any(|change| matches!(change.outcome, Outcome::Refused(_)));
        let answer = admit_update(&old, new, &Context { now: now() });
        assert_eq!(answer.is_err(), is_refused, "{answer:?}");
    }

    #[track_caller]
    fn check(edits: &[(&str, Value)], expected: &[(&str, &str)]) {
        check_kind(Kind::Pod, pod_value(), edits, expected);
    }

    #[test]
    fn changes_of_a_pod_by_the_update_rules() {
        check(&[], &[]);
        check(
            &[("/spec/containers/0/image", json!("i:2"))],
            &[("spec.containers[0].image", "restarts main")],
        );
        check(
            &[("/spec/initContainers/1/image", json!("i:2"))],
            &[("spec.initContainers[1].image", "restarts proxy")],
        );
        check(
            &[("/spec/initContainers/0/image", json!("i:2"))],
            &[(
                "spec.initContainers[0].image",
                "in place, used when the init containers run again",
            )],
        );
        check(
            &[
                ("/metadata/labels/a", json!("2")),
                ("/metadata/labels/b", json!("3")),
            ],
            &[
                ("metadata.labels.a", "in place"),
                ("metadata.labels.b", "in place"),
            ],
        );
        check(
            &[("/metadata/annotations", json!({"x": "y"}))],
            &[("metadata.annotations.x", "in place")],
        );
        check(
            &[("/spec/activeDeadlineSeconds", json!(50))],
            &[("spec.activeDeadlineSeconds", "in place")],
        );
        check(
            &[("/spec/activeDeadlineSeconds", json!(150))],
            &[(
                "spec.activeDeadlineSeconds",
                "refused: a deadline can only be lowered",
            )],
        );
        check(
            &[("/spec/activeDeadlineSeconds", Value::Null)],
            &[(
                "spec.activeDeadlineSeconds",
                "refused: a deadline cannot be removed",
            )],
        );
        check(
            &[(
                "/spec/tolerations/-",
                json!({"key": "z", "operator": "Exists"}),
            )],
            &[("spec.tolerations[3]", "in place")],
        );
        check(
            &[("/spec/tolerations/0/key", json!("z"))],
            &[(
                "spec.tolerations[0].key",
                "refused: tolerations can only be added",
            )],
        );
        check(
            &[("/spec/containers/0/env/0/value", json!("2"))],
            &[("spec.containers[0].env[0].value", "refused: immutable")],
        );
        check(
            &[("/spec/containers/0/command", json!(["b", "c"]))],
            &[("spec.containers[0].command", "refused: immutable")],
        );
        check(
            &[(
                "/spec/containers/0/resources",
                json!({"limits": {"memory": "1Gi"}}),
            )],
            &[
                ("spec.containers[0].resources.limits", "refused: immutable"),
                (
                    "spec.containers[0].resources.requests",
                    "refused: immutable",
                ),
                // Its default follows from the resources.
                ("spec.containers[0].resizePolicy", "refused: immutable"),
            ],
        );
        check(
            &[("/spec/containers/1", Value::Null)],
            &[(
                "spec.containers[1]",
                "refused: containers cannot be added or removed",
            )],
        );
        check(
            &[("/spec/containers/-", json!({"name": "new", "image": "i"}))],
            &[(
                "spec.containers[2]",
                "refused: containers cannot be added or removed",
            )],
        );
        check(
            &[("/spec/restartPolicy", json!("Never"))],
            &[("spec.restartPolicy", "refused: immutable")],
        );
        check(
            &[("/spec/terminationGracePeriodSeconds", json!(5))],
            &[("spec.terminationGracePeriodSeconds", "refused: immutable")],
        );
        check(
            &[("/metadata/name", json!("q"))],
            &[("metadata.name", "refused: immutable")],
        );
        check(
            &[
                ("/spec/containers/0/image", json!("i:2")),
                ("/spec/containers/1/image", json!("i:3")),
                ("/metadata/labels/a", Value::Null),
            ],
            &[
                ("metadata.labels.a", "in place"),
                ("spec.containers[0].image", "restarts main"),
                ("spec.containers[1].image", "restarts side"),
            ],
        );
    }

    #[test]
    fn gates_finished_pods_and_negative_grace() {
        let mut gated = pod_value();
        gated["spec"]["schedulingGates"] = json!([{"name": "wait"}]);
        check_kind(
            Kind::Pod,
            gated,
            &[("/spec/schedulingGates", Value::Null)],
            &[("spec.schedulingGates", "in place")],
        );
        let mut finished = pod_value();
        finished["status"]["phase"] = json!("Succeeded");
        check_kind(
            Kind::Pod,
            finished,
            &[("/spec/containers/0/image", json!("i:2"))],
            &[("spec.containers[0].image", "in place, the pod has finished")],
        );
    }

    #[test]
    fn changes_of_config_maps_and_secrets() {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "c", "namespace": "default"}, "data": {"a": "1"}});
        let words = "in place, for environment variables at the next start";
        check_kind(
            Kind::ConfigMap,
            map.clone(),
            &[("/data/a", json!("2")), ("/data/b", json!("x"))],
            &[("data.a", words), ("data.b", words)],
        );
        let mut frozen = map;
        frozen["immutable"] = json!(true);
        check_kind(
            Kind::ConfigMap,
            frozen,
            &[("/data/a", json!("2"))],
            &[("data.a", "refused: immutable")],
        );
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": "s", "namespace": "default"}, "data": {"a": "MQ=="}});
        check_kind(
            Kind::Secret,
            secret,
            &[("/type", json!("mine"))],
            &[("type", "refused: immutable")],
        );
    }

    #[test]
    fn summaries() {
        let old = stored(Kind::Pod, pod_value());
        let mut new = old.to_value();
        new["spec"]["containers"][0]["image"] = json!("i:2");
        new["metadata"]["labels"]["a"] = json!("2");
        new["spec"]["restartPolicy"] = json!("Never");
        let new = Object::from_value(Kind::Pod, new).unwrap();
        let changes = changes(&old, &new, now());
        assert_eq!(
            summary(&changes, false),
            "restarts main, 1 in place, 1 refused"
        );
        assert_eq!(
            summary(&changes, true),
            "recreates the pod: 1 of 3 changes need it"
        );
        assert_eq!(summary(&[], false), "nothing changes in the object");
    }
}
