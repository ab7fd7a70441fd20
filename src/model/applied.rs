//! What `apply` remembers on the object: the manifest applied last, as data and as the text it was.

use serde_json::{Value, json};

use super::Object;
use super::patch::three_way;

/// kubectl's annotation: compact JSON of the manifest. The next apply deletes what stands in it and no longer
/// in the manifest.
pub(crate) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// podtui's own annotation: the manifest as it was written, so that its comments and its order survive an edit.
pub(crate) const APPLIED_TEXT: &str = "podtui.dev/applied-manifest";

/// The API takes 256 KiB of annotations per object. The text must not be what makes an object too large that
/// kubectl could apply: both forms together stay below this, otherwise the text is not kept.
const ANNOTATIONS_MAX: usize = 192 << 10;

fn annotation<'a>(object: &'a Object, name: &str) -> Option<&'a str> {
    let annotations = object.meta().annotations.as_ref()?;
    annotations.get(name).map(String::as_str)
}

/// The manifest applied last, or `None` for an object that was never applied.
pub(crate) fn last_applied(object: &Object) -> Option<Value> {
    serde_json::from_str(annotation(object, LAST_APPLIED)?).ok()
}

/// True also when the annotation is there and cannot be read.
pub(crate) fn was_applied(object: &Object) -> bool {
    annotation(object, LAST_APPLIED).is_some()
}

/// The text of the manifest applied last.
pub(crate) fn applied_text(object: &Object) -> Option<&str> {
    annotation(object, APPLIED_TEXT)
}

/// The manifest as the annotation keeps it: compact JSON with sorted keys and a newline, without the
/// annotations of this file.
pub(in crate::model) fn compact(manifest: &Value) -> String {
    let mut plain = manifest.clone();
    for name in [LAST_APPLIED, APPLIED_TEXT] {
        if let Some(annotations) = annotations_mut(&mut plain) {
            annotations.shift_remove(name);
        }
    }
    format!("{}\n", sorted(plain))
}

/// Made when there are none; `None` only for a manifest that is no object.
fn annotations_mut(manifest: &mut Value) -> Option<&mut serde_json::Map<String, Value>> {
    let metadata = manifest
        .as_object_mut()?
        .entry("metadata")
        .or_insert_with(|| json!({}));
    if !metadata.is_object() {
        *metadata = json!({});
    }
    let annotations = metadata
        .as_object_mut()?
        .entry("annotations")
        .or_insert_with(|| json!({}));
    if !annotations.is_object() {
        *annotations = json!({});
    }
    annotations.as_object_mut()
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> = map.into_iter().collect();
            entries.sort_by(|(one, _), (other, _)| one.cmp(other));
            let entries = entries.into_iter();
            Value::Object(entries.map(|(key, value)| (key, sorted(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

/// The manifest with itself in its annotations, as `apply` creates it. `text` is what it was read from.
pub(crate) fn with_applied(manifest: &Value, text: Option<&str>) -> Value {
    let data = compact(manifest);
    let mut annotated = manifest.clone();
    if let Some(annotations) = annotations_mut(&mut annotated) {
        annotations.shift_remove(APPLIED_TEXT);
        // Clients hide the other annotation of a secret, but do not know this one.
        let is_secret = manifest.get("kind").and_then(Value::as_str) == Some("Secret");
        let fits = |text: &&str| !is_secret && text.len() + data.len() <= ANNOTATIONS_MAX;
        if let Some(text) = text.filter(fits) {
            annotations.insert(APPLIED_TEXT.to_owned(), text.into());
        }
        annotations.insert(LAST_APPLIED.to_owned(), data.into());
    }
    annotated
}

/// The strategic merge patch that brings `live` to the manifest: fields that are in `last` (what was applied, or
/// what an edit began with) and not in the manifest any more go, fields that others set stay. An empty map when
/// there is nothing to do.
pub(crate) fn apply_patch(
    last: &Value,
    live: &Object,
    manifest: &Value,
    text: Option<&str>,
) -> Value {
    let mut wanted = with_applied(manifest, text);
    if let Some(annotations) = annotations_mut(&mut wanted)
        && !annotations.contains_key(APPLIED_TEXT)
        && applied_text(live).is_some()
    {
        // The text of another manifest would be worse than none.
        annotations.insert(APPLIED_TEXT.to_owned(), Value::Null);
    }
    three_way(live.kind(), last, &live.to_value(), &wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;

    fn manifest(image: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "p", "namespace": "default"},
            "spec": {"containers": [{"name": "c", "image": image}]},
        })
    }

    fn object(value: Value) -> Object {
        Object::from_value(Kind::Pod, value).unwrap()
    }

    #[test]
    fn text_and_data_are_kept_and_read_back() {
        let live = object(with_applied(&manifest("a"), Some("# mine\nkind: Pod\n")));
        assert_eq!(applied_text(&live), Some("# mine\nkind: Pod\n"));
        let mut plain = manifest("a");
        plain["metadata"]["annotations"] = json!({});
        assert_eq!(last_applied(&live), Some(plain));
        let same = apply_patch(
            &last_applied(&live).unwrap(),
            &live,
            &manifest("a"),
            Some("# mine\nkind: Pod\n"),
        );
        assert_eq!(same, json!({}));
    }

    #[test]
    fn a_text_that_is_not_kept_any_more_goes() {
        let live = object(with_applied(&manifest("a"), Some("text")));
        let patch = apply_patch(&last_applied(&live).unwrap(), &live, &manifest("b"), None);
        assert_eq!(patch["metadata"]["annotations"][APPLIED_TEXT], Value::Null);
        assert!(
            patch["metadata"]["annotations"]
                .as_object()
                .unwrap()
                .contains_key(APPLIED_TEXT)
        );
        assert_eq!(patch["spec"]["containers"][0]["image"], "b");
    }

    #[test]
    fn a_text_too_large_for_annotations_is_not_kept() {
        let text = "#".repeat(ANNOTATIONS_MAX);
        let live = object(with_applied(&manifest("a"), Some(&text)));
        assert_eq!(applied_text(&live), None);
        assert!(last_applied(&live).is_some());
    }
}
