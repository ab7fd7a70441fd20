use jiff::Timestamp;
use serde_json::{Value, json};

use super::Writer;
use super::set::Set;
use crate::model::{Kind, Subresource};

/// More managers that wrote without applying are one (`DefaultMaxUpdateManagers`).
const MOST_UPDATERS: usize = 10;
const ANCIENT: &str = "ancient-changes";

/// How a manager came to its fields. In the order in which they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

/// One entry of `metadata.managedFields`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    manager: String,
    pub(super) operation: Operation,
    api_version: String,
    subresource: String,
    pub(super) time: Option<Timestamp>,
    pub(super) set: Set,
}

fn managed_fields(object: &Value) -> &[Value] {
    object
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

impl Entry {
    pub(super) fn new(
        manager: &str,
        kind: Kind,
        part: Option<Subresource>,
        now: Timestamp,
        set: Set,
    ) -> Self {
        Self {
            manager: manager.to_owned(),
            operation: Operation::Update,
            api_version: kind.api_version().to_owned(),
            subresource: part.map_or_else(String::new, |part| part.as_str().to_owned()),
            time: Some(now),
            set,
        }
    }

    /// Those of an object. When one cannot be read there are none, as at the API server.
    pub(super) fn all(object: &Value) -> Vec<Self> {
        let entries = managed_fields(object).iter().map(Self::parse);
        entries.collect::<Option<_>>().unwrap_or_default()
    }

    /// One entry with nothing in it.
    pub(super) fn is_reset(object: &Value) -> bool {
        match managed_fields(object) {
            [one] => one
                .as_object()
                .is_some_and(|fields| fields.values().all(|value| *value == "" || value.is_null())),
            _ => false,
        }
    }

    fn parse(value: &Value) -> Option<Self> {
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        Some(Self {
            manager: text("manager"),
            operation: match text("operation").as_str() {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => return None,
            },
            api_version: text("apiVersion"),
            subresource: text("subresource"),
            time: text("time").parse().ok(),
            set: Set::from_fields(&value["fieldsV1"])?,
        })
    }

    fn to_value(&self) -> Value {
        let mut value = json!({
            "manager": self.manager,
            "operation": match self.operation {
                Operation::Apply => "Apply",
                Operation::Update => "Update",
            },
            "apiVersion": self.api_version,
            "fieldsType": "FieldsV1",
            "fieldsV1": self.set.to_fields(),
        });
        if let Some(time) = self.time {
            value["time"] = json!(format!("{time:.0}"));
        }
        if !self.subresource.is_empty() {
            value["subresource"] = json!(self.subresource);
        }
        value
    }

    pub(super) fn to_values(mut entries: Vec<Self>) -> Value {
        entries.retain(|entry| !entry.set.is_empty());
        entries.sort_by(|one, other| {
            let key = |entry: &Self| (entry.operation, entry.time, entry.manager.clone());
            key(one).cmp(&key(other))
        });
        entries.iter().map(Self::to_value).collect()
    }

    pub(super) fn write_all(entries: Vec<Self>, object: &mut Value) {
        let entries = Self::to_values(entries);
        object["metadata"]["managedFields"] = entries;
    }

    pub(super) fn is_of(&self, writer: &Writer<'_>, operation: Operation) -> bool {
        let part = writer.part.map_or("", Subresource::as_str);
        self.manager == writer.manager && self.operation == operation && self.subresource == part
    }

    /// As conflicts name it.
    pub(super) fn shown(&self) -> String {
        let mut shown = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            shown.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if self.operation == Operation::Update {
            shown.push_str(&format!(" using {}", self.api_version));
        }
        shown
    }
}

/// The oldest of too many managers become one.
pub(super) fn capped(entries: Vec<Entry>) -> Vec<Entry> {
    let (mut updaters, mut rest): (Vec<Entry>, Vec<Entry>) = entries
        .into_iter()
        .filter(|entry| !entry.set.is_empty())
        .partition(|entry| entry.operation == Operation::Update && entry.subresource.is_empty());
    if updaters.len() > MOST_UPDATERS {
        updaters.sort_by_key(|entry| entry.time);
        let newest = updaters.split_off(updaters.len() - MOST_UPDATERS + 1);
        let mut ancient = updaters.swap_remove(0);
        ANCIENT.clone_into(&mut ancient.manager);
        updaters
            .iter()
            .for_each(|entry| ancient.set.unite(&entry.set));
        rest.push(ancient);
        updaters = newest;
    }
    rest.extend(updaters);
    rest
}
