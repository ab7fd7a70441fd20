//! Objects as trees of fields: which of them there are, which differ, and what comes of two (structured-merge-diff
//! `typed`).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::set::{Set, Step};
use crate::model::fields::{Field, Merge, Shape, Type};

/// How a value is taken apart.
#[derive(Clone, Copy)]
pub(super) enum Node<'a> {
    /// Not at all.
    Leaf,
    /// Fields by name.
    Struct(&'a Type),
    /// Entries by name, which are all of one type.
    Map(&'a str),
    /// Elements by these fields of them.
    Keyed(&'a str, &'a [String]),
    /// Elements by their value.
    Set,
}

impl<'a> Node<'a> {
    pub(super) fn of_kind(kind: &str) -> Self {
        Type::named(kind).map_or(Self::Leaf, Node::Struct)
    }

    fn of_type(name: &'a str) -> Self {
        Type::named(name).map_or(Self::Leaf, Node::Struct)
    }

    fn of_field(field: &'a Field) -> Self {
        match (&field.merge, field.shape) {
            (Merge::Atomic, _) => Self::Leaf,
            (Merge::Set, _) => Self::Set,
            (Merge::Keyed(keys), _) => Self::Keyed(&field.type_name, keys),
            (Merge::Natural, Shape::One) => Self::of_type(&field.type_name),
            (Merge::Natural, Shape::Map) => Self::Map(&field.type_name),
            (Merge::Natural, Shape::List) => Self::Leaf,
        }
    }

    /// What an entry of a map of this node is.
    fn entry(self, name: &str) -> Node<'a> {
        match self {
            Self::Struct(fields) => fields.field(name).map_or(Self::Leaf, Node::of_field),
            Self::Map(type_name) => Self::of_type(type_name),
            Self::Leaf | Self::Keyed(..) | Self::Set => Self::Leaf,
        }
    }

    /// Whether an entry itself belongs to who sets something in it: those that no type declares do.
    const fn owns_entries(self) -> bool {
        !matches!(self, Self::Struct(_))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TypedError {
    #[error(
        "{path}: element {index}: associative list with keys has an element that omits key field \"{key}\" (and doesn't \
         have default value)"
    )]
    NoKey {
        path: String,
        index: usize,
        key: String,
    },
    #[error("{path}: duplicate entries for key {step}")]
    Duplicate { path: String, step: String },
}

/// The step to an element of a list of maps. The one key with a default is the protocol of a port.
fn key_step(element: &Value, keys: &[String]) -> Result<Step, String> {
    let mut found = BTreeMap::new();
    for key in keys {
        let value = match element.get(key) {
            Some(value) if !value.is_null() => value.to_string(),
            _ if key == "protocol" => json!("TCP").to_string(),
            _ => return Err(key.clone()),
        };
        found.insert(key.clone(), value);
    }
    Ok(Step::Key(found))
}

/// The elements of a list with their steps; `None` where they cannot be told apart, which makes it one value.
fn elements<'v>(node: Node<'_>, list: &'v [Value]) -> Option<Vec<(Step, &'v Value)>> {
    let mut found: Vec<(Step, &Value)> = Vec::with_capacity(list.len());
    for element in list {
        let step = match node {
            Node::Keyed(_, keys) => key_step(element, keys).ok()?,
            Node::Set => Step::Value(element.to_string()),
            Node::Leaf | Node::Struct(_) | Node::Map(_) => return None,
        };
        if found.iter().any(|(known, _)| *known == step) {
            return None;
        }
        found.push((step, element));
    }
    Some(found)
}

/// What one element of the list is.
fn element_node<'a>(node: Node<'a>) -> Node<'a> {
    match node {
        Node::Keyed(type_name, _) => Node::of_type(type_name),
        Node::Leaf | Node::Struct(_) | Node::Map(_) | Node::Set => Node::Leaf,
    }
}

/// Refuses lists whose elements cannot be told apart, in what somebody wants to apply.
pub(super) fn check(node: Node<'_>, value: &Value, path: &str) -> Result<(), TypedError> {
    match (node, value) {
        (Node::Struct(_) | Node::Map(_), Value::Object(map)) => {
            for (name, value) in map {
                check(node.entry(name), value, &format!("{path}.{name}"))?;
            }
        }
        (Node::Keyed(_, keys), Value::Array(list)) => {
            let mut steps = Vec::new();
            for (index, element) in list.iter().enumerate() {
                let step = key_step(element, keys).map_err(|key| TypedError::NoKey {
                    path: path.to_owned(),
                    index,
                    key,
                })?;
                check(element_node(node), element, &format!("{path}{step}"))?;
                if steps.contains(&step) {
                    return Err(TypedError::Duplicate {
                        path: path.to_owned(),
                        step: step.to_string(),
                    });
                }
                steps.push(step);
            }
        }
        _ => {}
    }
    Ok(())
}

/// Every field of a value.
pub(super) fn fields(node: Node<'_>, value: &Value) -> Set {
    let mut set = Set::default();
    match (node, value) {
        (Node::Struct(_) | Node::Map(_), Value::Object(map)) => {
            for (name, value) in map {
                let step = Step::Field(name.clone());
                let inner = node.entry(name);
                let is_empty = value.as_object().is_some_and(Map::is_empty);
                if node.owns_entries() || is_empty || is_whole(inner, value) {
                    set.insert(step.clone());
                }
                set.put(step, fields(inner, value));
            }
        }
        (Node::Keyed(..) | Node::Set, Value::Array(list)) => {
            for (step, element) in elements(node, list).unwrap_or_default() {
                set.insert(step.clone());
                set.put(step, fields(element_node(node), element));
            }
        }
        _ => {}
    }
    set
}

/// A value that has one owner.
fn is_whole(node: Node<'_>, value: &Value) -> bool {
    match (node, value) {
        (Node::Struct(_) | Node::Map(_), Value::Object(_)) => false,
        (Node::Keyed(..) | Node::Set, Value::Array(list)) => elements(node, list).is_none(),
        _ => true,
    }
}

/// What differs between two values.
#[derive(Debug, Default)]
pub(super) struct Differences {
    /// New or with another value.
    pub(super) changed: Set,
    pub(super) removed: Set,
}

pub(super) fn compare(node: Node<'_>, old: &Value, new: &Value) -> Differences {
    let mut differences = Differences::default();
    match (node, old, new) {
        (Node::Struct(_) | Node::Map(_), Value::Object(old), Value::Object(new)) => {
            let names = old
                .keys()
                .chain(new.keys().filter(|name| !old.contains_key(*name)));
            for name in names {
                let step = Step::Field(name.clone());
                differences.of(step, node.entry(name), old.get(name), new.get(name));
            }
        }
        (Node::Keyed(..) | Node::Set, Value::Array(old), Value::Array(new)) => {
            let (Some(old), Some(new)) = (elements(node, old), elements(node, new)) else {
                return differences;
            };
            let find = |list: &[(Step, &Value)], step: &Step| {
                let found = list.iter().find(|(known, _)| known == step);
                found.map(|(_, value)| (*value).clone())
            };
            let added = new.iter().filter(|(step, _)| find(&old, step).is_none());
            for (step, _) in old.iter().chain(added) {
                let (before, after) = (find(&old, step), find(&new, step));
                differences.of(
                    step.clone(),
                    element_node(node),
                    before.as_ref(),
                    after.as_ref(),
                );
            }
        }
        _ => {}
    }
    differences
}

impl Differences {
    fn of(&mut self, step: Step, node: Node<'_>, old: Option<&Value>, new: Option<&Value>) {
        let old = old.filter(|value| !value.is_null());
        let new = new.filter(|value| !value.is_null());
        match (old, new) {
            (None, None) => {}
            (None, Some(value)) => {
                self.changed.insert(step.clone());
                self.changed.put(step, fields_with_nodes(node, value));
            }
            (Some(value), None) => {
                self.removed.insert(step.clone());
                self.removed.put(step, fields_with_nodes(node, value));
            }
            (Some(old), Some(new)) if is_whole(node, old) || is_whole(node, new) => {
                if old != new {
                    self.changed.insert(step);
                }
            }
            (Some(old), Some(new)) => {
                let inner = compare(node, old, new);
                self.changed.put(step.clone(), inner.changed);
                self.removed.put(step, inner.removed);
            }
        }
    }
}

/// As [`fields`], with every map and list on the way: all of it came or went.
fn fields_with_nodes(node: Node<'_>, value: &Value) -> Set {
    let mut set = Set::default();
    match (node, value) {
        (Node::Struct(_) | Node::Map(_), Value::Object(map)) => {
            for (name, value) in map.iter().filter(|(_, value)| !value.is_null()) {
                let step = Step::Field(name.clone());
                set.insert(step.clone());
                set.put(step, fields_with_nodes(node.entry(name), value));
            }
        }
        (Node::Keyed(..) | Node::Set, Value::Array(list)) => {
            for (step, element) in elements(node, list).unwrap_or_default() {
                set.insert(step.clone());
                set.put(step, fields_with_nodes(element_node(node), element));
            }
        }
        _ => {}
    }
    set
}

/// `live` with what is applied over it.
pub(super) fn merge(node: Node<'_>, live: &Value, applied: &Value) -> Value {
    match (node, live, applied) {
        (Node::Struct(_) | Node::Map(_), Value::Object(live), Value::Object(applied)) => {
            let mut merged = live.clone();
            for (name, value) in applied {
                let value = match live.get(name) {
                    Some(live) => merge(node.entry(name), live, value),
                    None => value.clone(),
                };
                merged.insert(name.clone(), value);
            }
            Value::Object(merged)
        }
        (Node::Keyed(..) | Node::Set, Value::Array(old), Value::Array(new)) => {
            match (elements(node, old), elements(node, new)) {
                (Some(old), Some(new)) => Value::Array(merge_lists(node, &old, &new)),
                _ => applied.clone(),
            }
        }
        _ => applied.clone(),
    }
}

/// Elements that only `old` has stay where they are among the others, which come in the order of `new`.
fn merge_lists(node: Node<'_>, old: &[(Step, &Value)], new: &[(Step, &Value)]) -> Vec<Value> {
    let merged = |(step, value): &(Step, &Value)| {
        let before = old.iter().find(|(known, _)| known == step);
        before.map_or_else(
            || (*value).clone(),
            |(_, before)| merge(element_node(node), before, value),
        )
    };
    let mut result = Vec::new();
    let mut rest = new.iter();
    let mut done: Vec<&Step> = Vec::new();
    for (step, value) in old {
        if !new.iter().any(|(known, _)| known == step) {
            result.push((*value).clone());
            continue;
        }
        while !done.contains(&step) {
            let Some(next) = rest.next() else { break };
            done.push(&next.0);
            result.push(merged(next));
        }
    }
    result.extend(rest.map(merged));
    result
}

/// Takes from `value` what `last` has and nobody owns any more.
pub(super) fn prune(node: Node<'_>, value: &mut Value, last: &Set, owned: &Set) {
    for step in last.steps() {
        if !owned.touches(step) {
            remove(node, value, step);
            continue;
        }
        let nothing = Set::default();
        let (Some(last), owned) = (last.below(step), owned.below(step).unwrap_or(&nothing)) else {
            continue;
        };
        if let Some((node, inner)) = find(node, value, step) {
            prune(node, inner, last, owned);
        }
    }
}

fn remove(node: Node<'_>, value: &mut Value, step: &Step) {
    match (step, value) {
        (Step::Field(name), Value::Object(map)) => {
            map.shift_remove(name);
        }
        (Step::Key(_) | Step::Value(_), Value::Array(list)) => {
            let index = elements(node, list)
                .and_then(|list| list.iter().position(|(known, _)| known == step));
            if let Some(index) = index {
                list.remove(index);
            }
        }
        _ => {}
    }
}

fn find<'v, 'a>(
    node: Node<'a>,
    value: &'v mut Value,
    step: &Step,
) -> Option<(Node<'a>, &'v mut Value)> {
    match (step, value) {
        (Step::Field(name), Value::Object(map)) => {
            map.get_mut(name).map(|value| (node.entry(name), value))
        }
        (Step::Key(_), Value::Array(list)) => {
            let index = elements(node, list)?
                .iter()
                .position(|(known, _)| known == step)?;
            list.get_mut(index).map(|value| (element_node(node), value))
        }
        _ => None,
    }
}
