//! Which text the editor opens for an object.
//!
//! The text that was applied last, when there is one: its comments, its order and what it leaves to defaults are
//! the user's. Where the object says something else by now (`label`, a patch), that value is put into the text at
//! its place. Without such a text it is the manifest applied last, and else the object itself without what the
//! server owns.

use serde_json::{Value, json};

use crate::admission::{Context, admit_create};
use crate::manifest::{Document, Severity, check, load, to_yaml};
use crate::model::applied::{APPLIED_TEXT, LAST_APPLIED, applied_text, last_applied};
use crate::model::patch::three_way;
use crate::model::restarts::RESTARTED_AT;
use crate::model::{Object, decode};

/// What to edit, and what the person should know about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) struct Opened {
    pub(in crate::tui) text: String,
    pub(in crate::tui) note: Option<String>,
}

pub(in crate::tui) fn open(object: &Object, now: jiff::Timestamp) -> Opened {
    let plain = |text: String| Opened { text, note: None };
    if let Some(text) = applied_text(object) {
        return match with_drift(object, text, now) {
            Some((text, 0)) => plain(text),
            Some((text, count)) => Opened {
                text,
                note: Some(format!(
                    "{count} values changed since this text was applied; they are in it now"
                )),
            },
            None => Opened {
                text: own_text(object),
                note: Some(
                    "the object differs too much from the text that was applied; this is the object".to_owned(),
                ),
            },
        };
    }
    let manifest = last_applied(object).map(|mut manifest| {
        if let Some(metadata) = manifest.get_mut("metadata").and_then(Value::as_object_mut)
            && metadata.get("annotations") == Some(&json!({}))
        {
            metadata.shift_remove("annotations");
        }
        to_yaml(&manifest)
    });
    match manifest.and_then(|text| with_drift(object, &text, now)) {
        Some((text, _)) => plain(text),
        None => plain(own_text(object)),
    }
}

/// The object as a manifest.
fn own_text(object: &Object) -> String {
    to_yaml(&without_server_parts(object.to_value()))
}

/// Without status, server-owned metadata and the annotations that `apply` keeps for itself.
pub(in crate::tui) fn without_server_parts(mut value: Value) -> Value {
    const OWNED: [&str; 8] = [
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generation",
        "managedFields",
        "resourceVersion",
        "selfLink",
        "uid",
    ];
    if let Some(map) = value.as_object_mut() {
        map.shift_remove("status");
    }
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        for name in OWNED {
            metadata.shift_remove(name);
        }
        if let Some(annotations) = metadata
            .get_mut("annotations")
            .and_then(Value::as_object_mut)
        {
            annotations.shift_remove(LAST_APPLIED);
            annotations.shift_remove(APPLIED_TEXT);
            annotations.shift_remove(RESTARTED_AT);
            if annotations.is_empty() {
                metadata.shift_remove("annotations");
            }
        }
    }
    if let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut) {
        // Set when the pod is bound to its node; a manifest that names one would skip the scheduler.
        spec.shift_remove("nodeName");
    }
    value
}

/// The text with the values that the object has by now, and how many were put in. `None` when the text cannot be
/// read, or the two differ in more than values.
fn with_drift(object: &Object, text: &str, now: jiff::Timestamp) -> Option<(String, usize)> {
    let live = without_server_parts(object.to_value());
    let document = only_document(text)?;
    let typed = normalized(&document, object, now)?;
    let mut changes = Vec::new();
    differences("", &document.value, &typed, &live, &mut changes);
    if changes.is_empty() {
        return is_settled(object, &typed, &live).then(|| (text.to_owned(), 0));
    }
    let spliced = document.spliced(&changes)?;
    let document = only_document(&spliced)?;
    let typed = normalized(&document, object, now)?;
    is_settled(object, &typed, &live).then_some((spliced, changes.len()))
}

/// Applying the text would change nothing.
fn is_settled(object: &Object, typed: &Value, live: &Value) -> bool {
    let patch = three_way(object.kind(), &json!({}), live, typed);
    patch.as_object().is_some_and(serde_json::Map::is_empty)
}

fn only_document(text: &str) -> Option<Document> {
    let mut loaded = load(text, "");
    let is_error = |severity: Severity| severity == Severity::Error;
    let is_clean = !loaded
        .diagnostics
        .iter()
        .any(|found| is_error(found.severity))
        && !loaded
            .documents
            .iter()
            .flat_map(check)
            .any(|found| is_error(found.severity));
    (is_clean && loaded.documents.len() == 1).then(|| loaded.documents.remove(0))
}

/// What the API would store for the text: canonical quantities, defaults.
fn normalized(document: &Document, object: &Object, now: jiff::Timestamp) -> Option<Value> {
    let mut decoded = decode::decode(document.value.clone()).ok()?.object;
    if decoded.kind().is_namespaced() && decoded.namespace().is_empty() {
        decoded.meta_mut().namespace = Some(object.namespace().to_owned());
    }
    let admitted = admit_create(decoded, &Context { now }).ok()?.0.into_inner();
    (admitted.key() == object.key()).then(|| without_server_parts(admitted.to_value()))
}

/// Scalars of the text whose value in the object is another. `typed` is the text as the API reads it.
fn differences(
    path: &str,
    text: &Value,
    typed: &Value,
    live: &Value,
    changes: &mut Vec<(String, Value)>,
) {
    match text {
        Value::Object(map) => {
            for (key, inner) in map {
                if let (Some(typed), Some(live)) = (typed.get(key), live.get(key)) {
                    let dot = if path.is_empty() { "" } else { "." };
                    differences(&format!("{path}{dot}{key}"), inner, typed, live, changes);
                }
            }
        }
        Value::Array(items) => {
            let (Some(typed), Some(live)) = (typed.as_array(), live.as_array()) else {
                return;
            };
            for (index, (inner, typed)) in items.iter().zip(typed).enumerate() {
                let name = typed.get("name");
                let twin = match name {
                    Some(name) => live.iter().find(|item| item.get("name") == Some(name)),
                    None => live.get(index),
                };
                if let Some(live) = twin {
                    differences(&format!("{path}[{index}]"), inner, typed, live, changes);
                }
            }
        }
        _ if typed != live && !live.is_object() && !live.is_array() => {
            changes.push((path.to_owned(), live.clone()));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;
    use crate::model::applied::with_applied;

    const TEXT: &str = "# my pod\nkind: Pod\napiVersion: v1\nmetadata:\n  name: p   # short\nspec:\n  containers:\n  \
        - name: c\n    image: i:1 # pinned\n    resources: {limits: {cpu: 0.5}}\n";

    fn now() -> jiff::Timestamp {
        "2026-01-02T03:00:00Z".parse().unwrap()
    }

    fn applied(text: &str) -> Value {
        let mut value = load(text, "").documents[0].value.clone();
        value["metadata"]["namespace"] = json!("default");
        let annotated = with_applied(&value, Some(text));
        let object = decode::decode(annotated).unwrap().object;
        let object = admit_create(object, &Context { now: now() })
            .unwrap()
            .0
            .into_inner();
        object.to_value()
    }

    #[track_caller]
    fn check_open(value: Value, text: &str, note: Option<&str>) {
        let opened = open(&Object::from_value(Kind::Pod, value).unwrap(), now());
        assert_eq!(opened.text, text);
        let found = opened.note.unwrap_or_default();
        assert_eq!(note.is_some(), !found.is_empty(), "{found}");
        assert!(found.contains(note.unwrap_or_default()), "{found}");
    }

    #[test]
    fn the_applied_text_comes_back_as_it_was() {
        check_open(applied(TEXT), TEXT, None);
    }

    #[test]
    fn values_that_changed_since_are_in_the_text() {
        let mut value = applied(TEXT);
        value["spec"]["containers"][0]["image"] = json!("i:2");
        value["metadata"]["labels"] = json!({"added": "later"});
        check_open(value, &TEXT.replace("i:1", "i:2"), Some("1 values changed"));
    }

    #[test]
    fn a_text_that_does_not_fit_any_more_is_not_shown() {
        let mut value = applied(TEXT);
        value["spec"]["containers"][0]["name"] = json!("other");
        let object = Object::from_value(Kind::Pod, value).unwrap();
        let opened = open(&object, now());
        assert!(opened.note.unwrap().contains("differs too much"));
        assert!(opened.text.contains("name: other") && !opened.text.contains("last-applied"));
    }

    #[test]
    fn without_any_text_it_is_the_object_as_a_manifest() {
        let value = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "p", "namespace": "default", "uid": "u", "resourceVersion": "7"},
            "spec": {"nodeName": "here", "containers": [{"name": "c", "image": "i"}]},
            "status": {"phase": "Running"},
        });
        let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  namespace: default\nspec:\n  containers:\n  - image: \
            i\n    name: c\n";
        check_open(value, text, None);
    }
}
