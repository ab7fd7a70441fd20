use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::entries::{self, Entry, Operation};
use super::set::{Set, Step};
use super::typed::{self, Node, TypedError};
use crate::model::applied::{LAST_APPLIED, compact};
use crate::model::fields::Type;
use crate::model::{ApiError, Cause, Kind, Reason, Subresource};

/// The manager whose fields may be what client-side apply wrote (kubectl's own).
const KUBECTL: &str = "kubectl";
/// Owner of what was there before.
const BEFORE: &str = "before-first-apply";

/// Who writes, what and when.
pub(crate) struct Writer<'a> {
    pub(crate) manager: &'a str,
    pub(crate) part: Option<Subresource>,
    pub(crate) now: Timestamp,
}

/// `live` with the fields of `manifest`, those that this manager applied before and does not any more taken away, and
/// its managers. `live` is `None` where there is no object yet. Other managers lose fields only by `force`.
pub(crate) fn apply(
    kind: Kind,
    live: Option<&Value>,
    manifest: &Value,
    writer: &Writer<'_>,
    force: bool,
) -> Result<Value, ApiError> {
    if Type::named(kind.as_str()).is_none() {
        let message = format!(
            "server-side apply is not supported for {}; apply without --server-side",
            kind.qualified_plural()
        );
        return Err(ApiError::new(Reason::UnsupportedMediaType, message));
    }
    let node = Node::of_kind(kind.as_str());
    let manifest = wanted(manifest, writer.part)?;
    typed::check(node, &manifest, "").map_err(|error| not_typed(kind, &manifest, &error))?;
    let nothing = json!({});
    let before = live.unwrap_or(&nothing);
    let mut entries = Entry::all(before);
    if live.is_some() && entries.is_empty() {
        let there = typed::compare(node, &nothing, before).changed;
        entries.push(Entry::new(
            BEFORE,
            kind,
            None,
            writer.now,
            stripped(there, None),
        ));
    }
    let set = stripped(typed::fields(node, &manifest), writer.part);
    let mine = entries
        .iter()
        .position(|entry| entry.is_of(writer, Operation::Apply));
    let last = mine.map(|index| entries.remove(index));
    let mut merged = typed::merge(node, before, &manifest);
    if let Some(last) = &last {
        let mut owned = set.clone();
        entries.iter().for_each(|entry| owned.unite(&entry.set));
        typed::prune(node, &mut merged, &last.set, &owned);
    }
    let differences = typed::compare(node, before, &merged);
    let conflicts = conflicts(&entries, &stripped(differences.changed, writer.part));
    if !force && !conflicts.is_empty() {
        let conflicts = not_allowed(node, before, writer, conflicts.clone());
        if !conflicts.is_empty() {
            return Err(refusal(&entries, &conflicts));
        }
    }
    for (index, taken) in conflicts {
        entries[index].set = entries[index].set.difference(&taken);
    }
    for entry in &mut entries {
        entry.set = entry.set.difference(&differences.removed);
    }
    if writer.manager == KUBECTL {
        keep_annotation(before, &manifest, &mut merged);
    }
    let mut own = Entry::new(writer.manager, kind, writer.part, writer.now, set);
    own.operation = Operation::Apply;
    if let Some(last) = last.filter(|last| last.set == own.set && merged == *before) {
        own.time = last.time;
    }
    entries.push(own);
    Entry::write_all(entries, &mut merged);
    Ok(merged)
}

/// `metadata.managedFields` after a write that was no apply, or `None` where nothing is written down.
/// `new` may bring its own, as clients do that rewrite them; one empty entry asks to forget all.
pub(crate) fn after_update(
    kind: Kind,
    old: &Value,
    new: &Value,
    writer: &Writer<'_>,
) -> Option<Value> {
    if Entry::is_reset(new) {
        return Some(json!([]));
    }
    let mut entries = Entry::all(new);
    if entries.is_empty() {
        entries = Entry::all(old);
    }
    if entries.is_empty() {
        return None;
    }
    let differences = typed::compare(Node::of_kind(kind.as_str()), old, new);
    let changed = stripped(differences.changed, writer.part);
    let removed = stripped(differences.removed, writer.part);
    if !changed.is_empty() || !removed.is_empty() {
        let mine = entries
            .iter()
            .position(|entry| entry.is_of(writer, Operation::Update));
        let mut own = mine.map_or_else(
            || {
                Entry::new(
                    writer.manager,
                    kind,
                    writer.part,
                    writer.now,
                    Set::default(),
                )
            },
            |index| entries.remove(index),
        );
        for entry in &mut entries {
            entry.set = entry.set.difference(&changed).difference(&removed);
        }
        own.set.unite(&changed);
        own.set = own.set.difference(&removed);
        own.time = Some(writer.now);
        entries.push(own);
        entries = entries::capped(entries);
    }
    Some(Entry::to_values(entries))
}

/// The manifest without what cannot be applied: nulls, which say nothing, and the other half of the object.
fn wanted(manifest: &Value, part: Option<Subresource>) -> Result<Value, ApiError> {
    let mut manifest = without_nulls(manifest);
    let managed = manifest.pointer("/metadata/managedFields");
    if managed
        .and_then(Value::as_array)
        .is_some_and(|all| !all.is_empty())
    {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    if let Value::Object(fields) = &mut manifest {
        match part {
            None | Some(Subresource::EphemeralContainers | Subresource::Resize) => {
                fields.shift_remove("status");
            }
            Some(Subresource::Status) => {
                fields.shift_remove("spec");
            }
        }
    }
    Ok(manifest)
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(_, value)| !value.is_null());
            let kept = kept.map(|(name, value)| (name.clone(), without_nulls(value)));
            Value::Object(kept.collect::<Map<_, _>>())
        }
        Value::Array(list) => Value::Array(list.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}

fn not_typed(kind: Kind, manifest: &Value, error: &TypedError) -> ApiError {
    let text = |pointer: &str| {
        let found = manifest.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_default().to_owned()
    };
    ApiError::bad_request(format!(
        "failed to create typed patch object ({}/{}; {}, Kind={}): {error}",
        text("/metadata/namespace"),
        text("/metadata/name"),
        kind.api_version(),
        kind.as_str()
    ))
}

/// What nobody manages: identity, and what only the server writes.
fn stripped(mut set: Set, part: Option<Subresource>) -> Set {
    let status = Step::Field("status".to_owned());
    if part == Some(Subresource::Status) {
        let mut only = Set::default();
        if set.has_member(&status) {
            only.insert(status.clone());
        }
        if let Some(below) = set.below(&status) {
            only.put(status, below.clone());
        }
        return only;
    }
    for name in ["metadata", "spec"] {
        set.remove_member(&Step::Field(name.to_owned()));
    }
    let server = json!({
        "f:apiVersion": {}, "f:kind": {}, "f:status": {},
        "f:metadata": {
            "f:name": {}, "f:namespace": {}, "f:creationTimestamp": {}, "f:selfLink": {}, "f:uid": {},
            "f:generation": {}, "f:managedFields": {}, "f:resourceVersion": {},
        },
    });
    let server = Set::from_fields(&server).expect("it is written right above");
    set.without(&server)
}

/// The fields of other managers among those that change, by the position of their manager.
fn conflicts(entries: &[Entry], changed: &Set) -> Vec<(usize, Set)> {
    let taken = entries.iter().map(|entry| entry.set.intersection(changed));
    let taken = taken.enumerate().filter(|(_, taken)| !taken.is_empty());
    taken.collect()
}

/// Conflicts that remain when what client-side apply wrote, and nobody changed since, is not in the way of
/// kubectl (`lastAppliedManager` of apimachinery).
fn not_allowed(
    node: Node<'_>,
    live: &Value,
    writer: &Writer<'_>,
    conflicts: Vec<(usize, Set)>,
) -> Vec<(usize, Set)> {
    let last = live
        .pointer("/metadata/annotations")
        .and_then(|annotations| annotations.get(LAST_APPLIED))
        .and_then(Value::as_str)
        .and_then(|text| serde_json::from_str::<Value>(text).ok());
    let Some(last) = last.filter(|_| writer.manager == KUBECTL) else {
        return conflicts;
    };
    let since = typed::compare(node, &last, live);
    let allowed = typed::fields(node, &last)
        .difference(&since.changed)
        .difference(&since.removed);
    let left = conflicts
        .into_iter()
        .map(|(index, taken)| (index, taken.difference(&allowed)));
    left.filter(|(_, taken)| !taken.is_empty()).collect()
}

/// An object that was applied by the client stays one: the next client-side apply finds what is applied now.
fn keep_annotation(live: &Value, manifest: &Value, merged: &mut Value) {
    let annotations = live.pointer("/metadata/annotations");
    let was_applied = annotations.is_some_and(|all| all.get(LAST_APPLIED).is_some());
    if was_applied && let Some(all) = merged.pointer_mut("/metadata/annotations") {
        all[LAST_APPLIED] = json!(compact(manifest));
    }
}

/// The API server's words (`NewConflictError` of apimachinery).
fn refusal(entries: &[Entry], conflicts: &[(usize, Set)]) -> ApiError {
    let mut causes = Vec::new();
    let mut parts = Vec::new();
    for (index, taken) in conflicts {
        let manager = entries[*index].shown();
        let paths = taken.paths();
        parts.push(format!("conflicts with {manager}:"));
        for path in paths {
            parts.push(format!("- {path}"));
            causes.push(Cause {
                reason: "FieldManagerConflict".to_owned(),
                message: format!("conflict with {manager}"),
                field: path,
            });
        }
    }
    let message = match causes.as_slice() {
        [one] => format!(
            "Apply failed with 1 conflict: {}: {}",
            one.message, one.field
        ),
        many => format!(
            "Apply failed with {} conflicts: {}",
            many.len(),
            parts.join("\n")
        ),
    };
    let mut error = ApiError::new(Reason::Conflict, message);
    error.causes = causes;
    error
}
