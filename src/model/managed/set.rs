//! Sets of fields, as `fieldsV1` writes them (structured-merge-diff `fieldpath`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value, json};

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Field(String),
    /// An element of a list of maps: its keys, as JSON that sorts the same everywhere.
    Key(BTreeMap<String, String>),
    /// An element of a set: its JSON.
    Value(String),
    /// A position. Nothing here is owned by position; other servers may have written it.
    Index(u64),
}

impl Step {
    fn to_text(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(keys) => {
                let keys: Vec<String> = keys
                    .iter()
                    .map(|(name, value)| format!("{}:{value}", json!(name)))
                    .collect();
                format!("k:{{{}}}", keys.join(","))
            }
            Self::Value(value) => format!("v:{value}"),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "f" => Some(Self::Field(rest.to_owned())),
            "k" => {
                let keys: BTreeMap<String, Value> = serde_json::from_str(rest).ok()?;
                let keys = keys
                    .into_iter()
                    .map(|(name, value)| (name, value.to_string()));
                Some(Self::Key(keys.collect()))
            }
            "v" => {
                let value: Value = serde_json::from_str(rest).ok()?;
                Some(Self::Value(value.to_string()))
            }
            "i" => rest.parse().ok().map(Self::Index),
            _ => None,
        }
    }
}

/// `.spec`, `[name="c"]`, `[="x"]`, as conflicts name them.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(keys) => {
                let keys: Vec<String> = keys
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                write!(f, "[{}]", keys.join(","))
            }
            Self::Value(value) => write!(f, "[={value}]"),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// A set of paths, as a tree. A node without members and without children does not exist but as the empty set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Set {
    /// Steps that end a path of the set.
    members: BTreeSet<Step>,
    children: BTreeMap<Step, Set>,
}

impl Set {
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.is_empty()
    }

    pub(super) fn insert(&mut self, step: Step) {
        self.members.insert(step);
    }

    /// Puts a set below a step.
    pub(super) fn put(&mut self, step: Step, below: Set) {
        if !below.is_empty() {
            self.children.entry(step).or_default().unite(&below);
        }
    }

    pub(super) fn remove_member(&mut self, step: &Step) {
        self.members.remove(step);
    }

    pub(super) fn has_member(&self, step: &Step) -> bool {
        self.members.contains(step)
    }

    /// Whether the set has a path that ends with this step or goes on from it.
    pub(super) fn touches(&self, step: &Step) -> bool {
        self.members.contains(step) || self.children.contains_key(step)
    }

    pub(super) fn below(&self, step: &Step) -> Option<&Set> {
        self.children.get(step)
    }

    /// Every step of this node, once.
    pub(super) fn steps(&self) -> BTreeSet<&Step> {
        self.members.iter().chain(self.children.keys()).collect()
    }

    pub(super) fn unite(&mut self, other: &Set) {
        self.members.extend(other.members.iter().cloned());
        for (step, below) in &other.children {
            self.children.entry(step.clone()).or_default().unite(below);
        }
    }

    pub(super) fn intersection(&self, other: &Set) -> Set {
        let members = self.members.intersection(&other.members).cloned().collect();
        let common = self.children.iter().filter_map(|(step, below)| {
            let both = below.intersection(other.children.get(step)?);
            (!both.is_empty()).then(|| (step.clone(), both))
        });
        Set {
            members,
            children: common.collect(),
        }
    }

    pub(super) fn difference(&self, other: &Set) -> Set {
        let members = self.members.difference(&other.members).cloned().collect();
        let left = self.children.iter().filter_map(|(step, below)| {
            let left = match other.children.get(step) {
                Some(other) => below.difference(other),
                None => below.clone(),
            };
            (!left.is_empty()).then(|| (step.clone(), left))
        });
        Set {
            members,
            children: left.collect(),
        }
    }

    /// Without these paths and all that is below them.
    pub(super) fn without(&self, other: &Set) -> Set {
        let kept = |step: &&Step| !other.members.contains(*step);
        let children = self
            .children
            .iter()
            .filter(|(step, _)| kept(step))
            .filter_map(|(step, below)| {
                let left = match other.children.get(step) {
                    Some(other) => below.without(other),
                    None => below.clone(),
                };
                (!left.is_empty()).then(|| (step.clone(), left))
            });
        Set {
            members: self.members.iter().filter(kept).cloned().collect(),
            children: children.collect(),
        }
    }

    /// The paths as conflicts name them, in order.
    pub(super) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect("", &mut paths);
        paths
    }

    fn collect(&self, prefix: &str, into: &mut Vec<String>) {
        for step in self.steps() {
            let path = format!("{prefix}{step}");
            if self.members.contains(step) {
                into.push(path.clone());
            }
            if let Some(below) = self.children.get(step) {
                below.collect(&path, into);
            }
        }
    }

    pub(super) fn to_fields(&self) -> Value {
        let mut fields = Map::new();
        for step in self.steps() {
            let mut below = Map::new();
            if let Some(children) = self.children.get(step) {
                if self.members.contains(step) {
                    below.insert(".".to_owned(), json!({}));
                }
                if let Value::Object(inner) = children.to_fields() {
                    below.extend(inner);
                }
            }
            fields.insert(step.to_text(), Value::Object(below));
        }
        Value::Object(fields)
    }

    /// `None` for what is no set of fields.
    pub(super) fn from_fields(fields: &Value) -> Option<Self> {
        let mut set = Self::default();
        for (name, below) in fields.as_object()? {
            if name == "." {
                continue;
            }
            let step = Step::parse(name)?;
            let map = below.as_object()?;
            if map.is_empty() || map.contains_key(".") {
                set.members.insert(step.clone());
            }
            set.put(step, Self::from_fields(below)?);
        }
        Some(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(fields: &Value) -> Set {
        Set::from_fields(fields).unwrap()
    }

    #[test]
    fn fields_are_written_as_they_were_read() {
        let fields = json!({
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}, "f:finalizers": {"v:\"x\"": {}}},
            "f:spec": {"f:containers": {
                "k:{\"name\":\"c\"}": {".": {}, "f:image": {},
                    "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}},
            }},
        });
        let set = set(&fields);
        assert_eq!(set.to_fields(), fields);
        assert_eq!(
            set.paths(),
            [
                ".metadata.finalizers[=\"x\"]",
                ".metadata.labels",
                ".metadata.labels.app",
                ".spec.containers[name=\"c\"]",
                ".spec.containers[name=\"c\"].image",
                ".spec.containers[name=\"c\"].ports[containerPort=80,protocol=\"TCP\"]",
                ".spec.containers[name=\"c\"].ports[containerPort=80,protocol=\"TCP\"].containerPort",
            ]
        );
        for broken in [
            json!({"x:y": {}}),
            json!({"f:a": 1}),
            json!([]),
            json!({"k:{": {}}),
        ] {
            assert!(Set::from_fields(&broken).is_none(), "{broken}");
        }
    }

    #[test]
    fn sets_are_united_and_taken_from_each_other() {
        let one = set(&json!({"f:a": {".": {}, "f:b": {}, "f:c": {}}, "f:d": {}}));
        let other = set(&json!({"f:a": {"f:b": {}}, "f:e": {}}));
        assert_eq!(
            one.intersection(&other).to_fields(),
            json!({"f:a": {"f:b": {}}})
        );
        assert_eq!(
            one.difference(&other).to_fields(),
            json!({"f:a": {".": {}, "f:c": {}}, "f:d": {}})
        );
        let mut both = one.clone();
        both.unite(&other);
        assert_eq!(
            both.to_fields(),
            json!({"f:a": {".": {}, "f:b": {}, "f:c": {}}, "f:d": {}, "f:e": {}})
        );
        // A path that is taken takes what is below it.
        let whole = set(&json!({"f:a": {}}));
        assert_eq!(one.without(&whole).to_fields(), json!({"f:d": {}}));
        assert!(one.difference(&one).is_empty());
    }
}
