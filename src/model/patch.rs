//! The three patch formats of the API, and the patch that `apply` sends.
//!
//! A strategic merge patch treats some lists as maps: their elements are matched by a merge key instead of being
//! replaced as a whole. The keys are those of the `patchMergeKey` tags of the Kubernetes types.

use serde_json::{Map, Value, json};

use super::Kind;

#[derive(Debug, thiserror::Error)]
pub(crate) enum PatchError {
    #[error("the patch is not a list of JSON patch operations")]
    NotJsonPatch(#[source] serde_json::Error),
    #[error("the server rejected our request due to an error in our request: {0}")]
    Json(#[source] json_patch::PatchError),
    #[error("{path}: map: {element} does not contain declared merge key: {key}")]
    MissingMergeKey {
        path: String,
        element: String,
        key: &'static str,
    },
    #[error("{path}: unknown patch type found: {directive}")]
    UnknownDirective { path: String, directive: String },
    #[error("{path}: a {expected} was expected in the patch")]
    WrongType {
        path: String,
        expected: &'static str,
    },
}

/// RFC 6902.
pub(crate) fn apply_json(target: &Value, patch: &Value) -> Result<Value, PatchError> {
    let operations: json_patch::Patch =
        serde_json::from_value(patch.clone()).map_err(PatchError::NotJsonPatch)?;
    let mut result = target.clone();
    json_patch::patch(&mut result, &operations).map_err(PatchError::Json)?;
    Ok(result)
}

/// RFC 7386.
pub(crate) fn apply_merge(target: &Value, patch: &Value) -> Value {
    let mut result = target.clone();
    json_patch::merge(&mut result, patch);
    result
}

/// How a list takes part in a strategic merge.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ListRule {
    Atomic,
    /// Elements are objects, matched by this field.
    ByKey(&'static str),
    /// Elements are plain values; the list is a set.
    Set,
}

/// `path` holds field names only, list positions left out.
fn list_rule(kind: Kind, path: &[String]) -> ListRule {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["metadata", "ownerReferences"] => return ListRule::ByKey("uid"),
        ["metadata", "finalizers"] => return ListRule::Set,
        ["status", "conditions"] => return ListRule::ByKey("type"),
        _ => {}
    }
    match (kind, path.as_slice()) {
        (Kind::Pod, ["spec", rest @ ..]) => pod_list_rule(rest),
        (Kind::Pod, ["status", "podIPs" | "hostIPs"]) => ListRule::ByKey("ip"),
        (Kind::Pod, ["status", "resourceClaimStatuses"]) => ListRule::ByKey("name"),
        (Kind::Node, ["status", "addresses"]) => ListRule::ByKey("type"),
        (Kind::Node, ["spec", "podCIDRs"]) => ListRule::Set,
        _ => ListRule::Atomic,
    }
}

fn pod_list_rule(path: &[&str]) -> ListRule {
    match path {
        ["containers" | "initContainers" | "ephemeralContainers"]
        | ["volumes" | "imagePullSecrets" | "schedulingGates" | "resourceClaims"] => {
            ListRule::ByKey("name")
        }
        ["hostAliases"] => ListRule::ByKey("ip"),
        ["topologySpreadConstraints"] => ListRule::ByKey("topologyKey"),
        [
            "containers" | "initContainers" | "ephemeralContainers",
            field,
        ] => match *field {
            "ports" => ListRule::ByKey("containerPort"),
            "env" => ListRule::ByKey("name"),
            "volumeMounts" => ListRule::ByKey("mountPath"),
            "volumeDevices" => ListRule::ByKey("devicePath"),
            _ => ListRule::Atomic,
        },
        _ => ListRule::Atomic,
    }
}

/// Maps whose fields exclude each other: a patch names the fields that stay (`$retainKeys`).
fn retains_keys(kind: Kind, path: &[String]) -> bool {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    kind == Kind::Pod && matches!(path.as_slice(), ["spec", "volumes" | "resourceClaims"])
}

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const SET_ELEMENT_ORDER: &str = "$setElementOrder/";
const DELETE_FROM_PRIMITIVE_LIST: &str = "$deleteFromPrimitiveList/";

/// Kubernetes strategic merge patch.
pub(crate) fn apply_strategic(
    kind: Kind,
    target: &Value,
    patch: &Value,
) -> Result<Value, PatchError> {
    let (Value::Object(target), Value::Object(patch)) = (target, patch) else {
        return Err(PatchError::WrongType {
            path: "(root)".to_owned(),
            expected: "map",
        });
    };
    let mut merger = Merger {
        kind,
        path: Vec::new(),
    };
    let merged = merger.map(Some(target), patch)?;
    Ok(Value::Object(merged.unwrap_or_default()))
}

struct Merger {
    kind: Kind,
    path: Vec<String>,
}

impl Merger {
    fn place(&self) -> String {
        if self.path.is_empty() {
            "(root)".to_owned()
        } else {
            self.path.join(".")
        }
    }

    /// `None` when the patch deletes the map.
    fn map(
        &mut self,
        target: Option<&Map<String, Value>>,
        patch: &Map<String, Value>,
    ) -> Result<Option<Map<String, Value>>, PatchError> {
        let empty = Map::new();
        let mut result = target.unwrap_or(&empty).clone();
        match patch.get(PATCH).map(|value| value.as_str().unwrap_or("")) {
            None | Some("merge") => {}
            Some("delete") => return Ok(None),
            Some("replace") => {
                let mut replacement = patch.clone();
                replacement.shift_remove(PATCH);
                return Ok(Some(replacement));
            }
            Some(other) => {
                return Err(PatchError::UnknownDirective {
                    path: self.place(),
                    directive: other.to_owned(),
                });
            }
        }
        if let Some(keep) = patch.get(RETAIN_KEYS) {
            let keep: Vec<&str> = keep.as_array().map_or_else(Vec::new, |keep| {
                keep.iter().filter_map(Value::as_str).collect()
            });
            result.retain(|key, _| keep.contains(&key.as_str()));
        }
        self.fields(&mut result, patch)?;
        Ok(Some(result))
    }

    fn fields(
        &mut self,
        result: &mut Map<String, Value>,
        patch: &Map<String, Value>,
    ) -> Result<(), PatchError> {
        for (key, change) in patch {
            if let Some(field) = key.strip_prefix(DELETE_FROM_PRIMITIVE_LIST) {
                let gone = change.as_array().cloned().unwrap_or_default();
                if let Some(Value::Array(items)) = result.get_mut(field) {
                    items.retain(|item| !gone.contains(item));
                }
                continue;
            }
            if let Some(field) = key.strip_prefix(SET_ELEMENT_ORDER) {
                // Order alone may change; with changes the list itself handles it.
                if !patch.contains_key(field)
                    && let Some(Value::Array(items)) = result.get(field)
                {
                    let items = self.ordered(field, items.clone(), items, change);
                    result.insert(field.to_owned(), Value::Array(items));
                }
                continue;
            }
            if key.starts_with('$') {
                continue;
            }
            self.path.push(key.clone());
            let order = patch.get(&format!("{SET_ELEMENT_ORDER}{key}"));
            let merged = self.value(result.get(key), change, order);
            self.path.pop();
            match merged? {
                Some(value) => {
                    result.insert(key.clone(), value);
                }
                None => {
                    result.shift_remove(key);
                }
            }
        }
        Ok(())
    }

    fn value(
        &mut self,
        target: Option<&Value>,
        change: &Value,
        order: Option<&Value>,
    ) -> Result<Option<Value>, PatchError> {
        match change {
            Value::Null => Ok(None),
            Value::Object(change) => {
                let target = target.and_then(Value::as_object);
                Ok(self.map(target, change)?.map(Value::Object))
            }
            Value::Array(change) => {
                let target = target.and_then(Value::as_array);
                self.list(target.map_or(&[], Vec::as_slice), change, order)
                    .map(|list| Some(Value::Array(list)))
            }
            scalar => Ok(Some(scalar.clone())),
        }
    }

    fn list(
        &mut self,
        target: &[Value],
        change: &[Value],
        order: Option<&Value>,
    ) -> Result<Vec<Value>, PatchError> {
        let key = match list_rule(self.kind, &self.path) {
            ListRule::Atomic => return Ok(change.to_vec()),
            ListRule::Set => {
                let mut result = target.to_vec();
                for item in change {
                    if !result.contains(item) {
                        result.push(item.clone());
                    }
                }
                return Ok(result);
            }
            ListRule::ByKey(key) => key,
        };
        let replaces = |item: &Value| item.get(PATCH).is_some_and(|value| value == "replace");
        let bare = |item: &Value| item.as_object().is_some_and(|map| map.len() == 1);
        if change.iter().any(|item| replaces(item) && bare(item)) {
            let rest = change.iter().filter(|item| !(replaces(item) && bare(item)));
            return Ok(rest.cloned().collect());
        }
        let mut result = target.to_vec();
        for item in change {
            self.element(&mut result, item, key)?;
        }
        let field = self.path.last().cloned().unwrap_or_default();
        Ok(match order {
            Some(order) => {
                let parent = self.path.len() - 1;
                let path = self.path.split_off(parent);
                let ordered = self.ordered(&field, result, target, order);
                self.path.extend(path);
                ordered
            }
            None => result,
        })
    }

    fn element(
        &mut self,
        result: &mut Vec<Value>,
        change: &Value,
        key: &'static str,
    ) -> Result<(), PatchError> {
        let Some(map) = change.as_object() else {
            return Err(PatchError::WrongType {
                path: self.place(),
                expected: "list of maps",
            });
        };
        let Some(name) = map.get(key) else {
            return Err(PatchError::MissingMergeKey {
                path: self.place(),
                element: change.to_string(),
                key,
            });
        };
        let position = result.iter().position(|item| item.get(key) == Some(name));
        let old = position.and_then(|position| result[position].as_object());
        match (self.map(old, map)?, position) {
            (Some(new), Some(position)) => result[position] = Value::Object(new),
            (Some(new), None) => result.push(Value::Object(new)),
            (None, _) => result.retain(|item| item.get(key) != Some(name)),
        }
        Ok(())
    }

    /// Elements named by the patch come in the patch's order; the others keep their place before the element
    /// that they preceded on the server.
    fn ordered(
        &self,
        field: &str,
        items: Vec<Value>,
        before: &[Value],
        order: &Value,
    ) -> Vec<Value> {
        let mut path = self.path.clone();
        path.push(field.to_owned());
        let key = match list_rule(self.kind, &path) {
            ListRule::Atomic => return items,
            ListRule::ByKey(key) => Some(key),
            ListRule::Set => None,
        };
        let identity = |item: &Value| match key {
            Some(key) => item.get(key).cloned().unwrap_or_default(),
            None => item.clone(),
        };
        let order: Vec<Value> = order
            .as_array()
            .map_or_else(Vec::new, |order| order.iter().map(&identity).collect());
        let before: Vec<Value> = before.iter().map(&identity).collect();
        let rank = |item: &Value| order.iter().position(|known| *known == identity(item));
        let server_rank = |item: &Value| before.iter().position(|known| *known == identity(item));
        let (mut named, others): (Vec<Value>, Vec<Value>) =
            items.into_iter().partition(|item| rank(item).is_some());
        named.sort_by_key(|item| rank(item));
        let mut result = Vec::new();
        let mut others = others.into_iter().peekable();
        for item in named {
            while others.peek().is_some_and(|other| {
                matches!((server_rank(other), server_rank(&item)), (Some(other), Some(item)) if other < item)
            }) {
                result.extend(others.next());
            }
            result.push(item);
        }
        result.extend(others);
        result
    }
}

/// The strategic merge patch of `apply`: what the last applied manifest had and the new one lacks is deleted,
/// what the new one has and the live object has not is added or changed; everything else stays. The result
/// is an empty map when there is nothing to do.
pub(crate) fn three_way(kind: Kind, last_applied: &Value, live: &Value, new: &Value) -> Value {
    let empty = Map::new();
    let map = |value: &Value| value.as_object().cloned().unwrap_or_else(|| empty.clone());
    let mut differ = Differ {
        kind,
        path: Vec::new(),
    };
    Value::Object(differ.map(&map(last_applied), &map(live), &map(new)))
}

struct Differ {
    kind: Kind,
    path: Vec<String>,
}

impl Differ {
    fn map(
        &mut self,
        last: &Map<String, Value>,
        live: &Map<String, Value>,
        new: &Map<String, Value>,
    ) -> Map<String, Value> {
        let mut patch = Map::new();
        for (key, wanted) in new {
            self.path.push(key.clone());
            self.field(&mut patch, key, last.get(key), live.get(key), wanted);
            self.path.pop();
        }
        for key in last.keys() {
            if !new.contains_key(key) && live.contains_key(key) {
                patch.insert(key.clone(), Value::Null);
            }
        }
        patch
    }

    fn field(
        &mut self,
        patch: &mut Map<String, Value>,
        key: &str,
        last: Option<&Value>,
        live: Option<&Value>,
        wanted: &Value,
    ) {
        match (live, wanted) {
            (None, Value::Null) => {}
            (None, wanted) => {
                patch.insert(key.to_owned(), wanted.clone());
            }
            (Some(Value::Object(live)), Value::Object(wanted)) => {
                let empty = Map::new();
                let last = last.and_then(Value::as_object).unwrap_or(&empty);
                let inner = self.map(last, live, wanted);
                if !inner.is_empty() {
                    patch.insert(key.to_owned(), Value::Object(inner));
                }
            }
            (Some(Value::Array(live)), Value::Array(wanted)) => {
                let last = last
                    .and_then(Value::as_array)
                    .map_or(&[][..], Vec::as_slice);
                self.list(patch, key, last, live, wanted);
            }
            (Some(live), wanted) if live == wanted => {}
            (Some(_), wanted) => {
                patch.insert(key.to_owned(), wanted.clone());
            }
        }
    }

    fn list(
        &mut self,
        patch: &mut Map<String, Value>,
        name: &str,
        last: &[Value],
        live: &[Value],
        wanted: &[Value],
    ) {
        match list_rule(self.kind, &self.path) {
            ListRule::Atomic => {
                if live != wanted {
                    patch.insert(name.to_owned(), Value::Array(wanted.to_vec()));
                }
            }
            ListRule::Set => {
                let missing: Vec<Value> = wanted
                    .iter()
                    .filter(|item| !live.contains(item))
                    .cloned()
                    .collect();
                let gone: Vec<Value> = last
                    .iter()
                    .filter(|item| !wanted.contains(item) && live.contains(item))
                    .cloned()
                    .collect();
                if !gone.is_empty() {
                    patch.insert(
                        format!("{DELETE_FROM_PRIMITIVE_LIST}{name}"),
                        Value::Array(gone),
                    );
                }
                if !missing.is_empty() {
                    patch.insert(name.to_owned(), Value::Array(missing));
                }
            }
            ListRule::ByKey(key) => self.keyed(patch, name, key, last, live, wanted),
        }
    }

    fn keyed(
        &mut self,
        patch: &mut Map<String, Value>,
        name: &str,
        key: &'static str,
        last: &[Value],
        live: &[Value],
        wanted: &[Value],
    ) {
        let identity = |item: &Value| item.get(key).cloned().unwrap_or_default();
        let names: Vec<Value> = wanted.iter().map(identity).collect();
        let doubled = names
            .iter()
            .enumerate()
            .any(|(index, name)| name.is_null() || names[..index].contains(name));
        if doubled {
            // The merge key does not identify the elements (two ports with one number and different
            // protocols): only the list as a whole can be sent.
            if live != wanted {
                let mut items = vec![json!({ PATCH: "replace" })];
                items.extend(wanted.iter().cloned());
                patch.insert(name.to_owned(), Value::Array(items));
            }
            return;
        }
        let find = |list: &[Value], name: &Value| {
            let mut items = list.iter();
            items
                .find(|item| identity(item) == *name)
                .and_then(Value::as_object)
                .cloned()
        };
        let mut changes = Vec::new();
        for item in wanted {
            let name = identity(item);
            let (Some(old), Some(new)) = (find(live, &name), item.as_object()) else {
                changes.push(item.clone());
                continue;
            };
            let mut inner = self.map(&find(last, &name).unwrap_or_default(), &old, new);
            if !inner.is_empty() {
                inner.insert(key.to_owned(), name);
                if retains_keys(self.kind, &self.path) {
                    let keys: Vec<Value> = new.keys().cloned().map(Value::String).collect();
                    inner.insert(RETAIN_KEYS.to_owned(), Value::Array(keys));
                }
                changes.push(Value::Object(inner));
            }
        }
        for item in last {
            let name = identity(item);
            if !names.contains(&name) && find(live, &name).is_some() {
                changes.push(json!({ key: name, PATCH: "delete" }));
            }
        }
        let live_order: Vec<Value> = live
            .iter()
            .map(identity)
            .filter(|name| names.contains(name))
            .collect();
        let order_differs = live_order
            .iter()
            .ne(names.iter().filter(|name| live_order.contains(name)));
        if !changes.is_empty() || order_differs {
            let order: Vec<Value> = names.iter().map(|name| json!({ key: name })).collect();
            patch.insert(format!("{SET_ELEMENT_ORDER}{name}"), Value::Array(order));
        }
        if !changes.is_empty() {
            patch.insert(name.to_owned(), Value::Array(changes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(target: Value, patch: Value, expected: Value) {
        let actual = apply_strategic(Kind::Pod, &target, &patch).unwrap();
        assert_eq!(actual, expected);
    }

    fn containers(list: Value) -> Value {
        json!({"spec": {"containers": list}})
    }

    #[test]
    fn strategic_merge() {
        check(
            containers(json!([{"name": "a", "image": "x"}, {"name": "b", "image": "y"}])),
            containers(json!([{"name": "b", "image": "z"}, {"name": "c", "image": "w"}])),
            containers(
                json!([{"name": "a", "image": "x"}, {"name": "b", "image": "z"}, {"name": "c", "image": "w"}]),
            ),
        );
        check(
            containers(
                json!([{"name": "a", "env": [{"name": "X", "value": "1"}], "args": ["a", "b"]}]),
            ),
            containers(json!([{"name": "a", "env": [{"name": "Y", "value": "2"}], "args": ["c"]}])),
            containers(
                json!([{"name": "a", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}], "args": ["c"]}]),
            ),
        );
        check(
            containers(json!([{"name": "a"}, {"name": "b"}])),
            containers(json!([{"name": "a", "$patch": "delete"}])),
            containers(json!([{"name": "b"}])),
        );
        check(
            containers(json!([{"name": "a"}, {"name": "b"}])),
            containers(json!([{"$patch": "replace"}, {"name": "c"}])),
            containers(json!([{"name": "c"}])),
        );
        check(
            json!({"metadata": {"labels": {"a": "1", "b": "2"}}}),
            json!({"metadata": {"labels": {"a": null, "c": "3"}}}),
            json!({"metadata": {"labels": {"b": "2", "c": "3"}}}),
        );
        check(
            json!({"metadata": {"labels": {"a": "1"}}}),
            json!({"metadata": {"labels": {"$patch": "replace", "c": "3"}}}),
            json!({"metadata": {"labels": {"c": "3"}}}),
        );
        check(
            json!({"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}),
            json!({"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/x"}, "$retainKeys": ["name", "hostPath"]}]}}),
            json!({"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]}}),
        );
        check(
            containers(json!([{"name": "server"}, {"name": "a"}, {"name": "b"}])),
            json!({"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}, {"name": "c"}],
                   "containers": [{"name": "c"}]}}),
            containers(json!([{"name": "server"}, {"name": "b"}, {"name": "a"}, {"name": "c"}])),
        );
        check(
            json!({"metadata": {"finalizers": ["a", "b"]}}),
            json!({"metadata": {"finalizers": ["c"], "$deleteFromPrimitiveList/finalizers": ["a"]}}),
            json!({"metadata": {"finalizers": ["b", "c"]}}),
        );
        check(
            json!({"spec": {"tolerations": [{"key": "a"}]}}),
            json!({"spec": {"tolerations": [{"key": "b"}]}}),
            json!({"spec": {"tolerations": [{"key": "b"}]}}),
        );
    }

    #[test]
    fn strategic_merge_refusals() {
        let error = |patch: Value| {
            apply_strategic(Kind::Pod, &json!({}), &patch)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            error(containers(json!([{"image": "x"}]))),
            "spec.containers: map: {\"image\":\"x\"} does not contain declared merge key: name"
        );
        assert_eq!(
            error(json!({"metadata": {"$patch": "remove"}})),
            "metadata: unknown patch type found: remove"
        );
    }

    #[track_caller]
    fn check_apply(last: Value, live: Value, new: Value, patch: Value, result: Value) {
        let actual = three_way(Kind::Pod, &last, &live, &new);
        assert_eq!(actual, patch);
        assert_eq!(apply_strategic(Kind::Pod, &live, &actual).unwrap(), result);
    }

    #[test]
    fn apply_deletes_changes_and_keeps() {
        check_apply(
            json!({"metadata": {"labels": {"a": "1", "b": "2"}}}),
            json!({"metadata": {"labels": {"a": "1", "b": "2", "server": "x"}, "uid": "u"}}),
            json!({"metadata": {"labels": {"a": "9"}}}),
            json!({"metadata": {"labels": {"a": "9", "b": null}}}),
            json!({"metadata": {"labels": {"a": "9", "server": "x"}, "uid": "u"}}),
        );
        let live = json!({"spec": {"containers": [
            {"name": "a", "image": "x", "imagePullPolicy": "Always"},
            {"name": "b", "image": "y", "imagePullPolicy": "Always"},
        ]}});
        check_apply(
            containers(json!([{"name": "a", "image": "x"}, {"name": "b", "image": "y"}])),
            live.clone(),
            containers(json!([{"name": "a", "image": "x"}, {"name": "b", "image": "y"}])),
            json!({}),
            live.clone(),
        );
        check_apply(
            containers(json!([{"name": "a", "image": "x"}, {"name": "b", "image": "y"}])),
            live,
            containers(json!([{"name": "a", "image": "z"}])),
            json!({"spec": {
                "$setElementOrder/containers": [{"name": "a"}],
                "containers": [{"image": "z", "name": "a"}, {"name": "b", "$patch": "delete"}],
            }}),
            containers(json!([{"name": "a", "image": "z", "imagePullPolicy": "Always"}])),
        );
    }

    #[test]
    fn other_patch_formats() {
        let target = json!({"a": [1, 2], "b": "x"});
        let patch =
            json!([{"op": "replace", "path": "/a/0", "value": 9}, {"op": "remove", "path": "/b"}]);
        assert_eq!(apply_json(&target, &patch).unwrap(), json!({"a": [9, 2]}));
        assert!(apply_json(&target, &json!([{"op": "remove", "path": "/c"}])).is_err());
        assert!(apply_json(&target, &json!({"op": "remove"})).is_err());
        assert_eq!(
            apply_merge(&target, &json!({"a": [3], "b": null})),
            json!({"a": [3]})
        );
    }
}
