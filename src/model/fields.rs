//! The fields of API types as the wire and server-side apply see them: number in protobuf, type, and how a list
//! or map is merged.
//!
//! `assets/kubernetes-wire.json` has them from the API types of Kubernetes 1.36 (the `protobuf` tags and the markers
//! `+listType`, `+listMapKey`, `+mapType` and `+structType`).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

const ASSET: &str = include_str!("../../assets/kubernetes-wire.json");

static TYPES: LazyLock<BTreeMap<String, Type>> =
    LazyLock::new(|| serde_json::from_str(ASSET).expect("a test parses the embedded table"));

/// Field name → field. The name of a field whose own fields stand in its owner in JSON begins with `~`.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Type(BTreeMap<String, Field>);

#[derive(Debug, Deserialize)]
#[serde(from = "Row")]
pub(crate) struct Field {
    pub(crate) number: u32,
    pub(crate) shape: Shape,
    /// Protobuf type of the field, of its elements or of its values: `string`, `int64`, `Container`.
    pub(crate) type_name: String,
    /// Absent and zero are different.
    pub(crate) is_pointer: bool,
    pub(crate) merge: Merge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    One,
    List,
    /// With text as keys.
    Map,
}

/// What server-side apply does with the value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Merge {
    /// Scalars have one owner; fields of structures and entries of maps each have theirs.
    Natural,
    /// One owner for all of it.
    Atomic,
    /// A list of scalars without order, each with its owner.
    Set,
    /// A list of maps that are told apart by these fields.
    Keyed(Vec<String>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Row {
    Marked(u32, String, String),
    Plain(u32, String),
}

impl From<Row> for Field {
    fn from(row: Row) -> Self {
        let (number, text, marker) = match row {
            Row::Marked(number, text, marker) => (number, text, Some(marker)),
            Row::Plain(number, text) => (number, text, None),
        };
        let (is_pointer, rest) = match text.strip_prefix('*') {
            Some(rest) => (true, rest),
            None => (false, text.as_str()),
        };
        let (shape, type_name) = if let Some(inner) = rest.strip_prefix("[]") {
            (Shape::List, inner)
        } else if let Some(inner) = rest.strip_prefix("map[string]") {
            (Shape::Map, inner)
        } else {
            (Shape::One, rest)
        };
        let merge = match marker.as_deref() {
            Some("atomic") => Merge::Atomic,
            Some("set") => Merge::Set,
            Some(keys) => Merge::Keyed(keys.split(',').map(str::to_owned).collect()),
            // A list that says nothing is replaced as a whole.
            None if shape == Shape::List => Merge::Atomic,
            None => Merge::Natural,
        };
        Self {
            number,
            shape,
            type_name: type_name.to_owned(),
            is_pointer,
            merge,
        }
    }
}

impl Type {
    /// `None` for scalars, for types with a JSON form of their own (`Quantity`, `Time`), and what is not known.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        TYPES.get(name)
    }

    /// By its JSON name, in this type or in one whose fields stand in it.
    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        self.0.get(name).or_else(|| {
            let inlined = self.0.iter().filter(|(name, _)| name.starts_with('~'));
            inlined
                .filter_map(|(_, field)| Self::named(&field.type_name))
                .find_map(|inner| inner.field(name))
        })
    }

    /// By its number. `None` as the name of a field whose own fields stand in this type.
    pub(crate) fn numbered(&self, number: u32) -> Option<(Option<&str>, &Field)> {
        let found = self.0.iter().find(|(_, field)| field.number == number);
        found.map(|(name, field)| ((!name.starts_with('~')).then_some(name.as_str()), field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;

    #[test]
    fn every_type_that_is_named_is_there() {
        const SCALARS: [&str; 10] = [
            "string",
            "bytes",
            "bool",
            "int32",
            "int64",
            "Time",
            "MicroTime",
            "Quantity",
            "IntOrString",
            "FieldsV1",
        ];
        for (owner, fields) in TYPES.iter() {
            for (name, field) in &fields.0 {
                let inner = field.type_name.as_str();
                assert!(
                    SCALARS.contains(&inner) || TYPES.contains_key(inner),
                    "{owner}.{name}: {inner}"
                );
                if let Merge::Keyed(keys) = &field.merge {
                    let element = Type::named(inner).expect("a list of maps");
                    for key in keys {
                        assert!(element.field(key).is_some(), "{owner}.{name}: {key}");
                    }
                }
            }
        }
        for kind in Kind::ALL {
            let is_known = Type::named(kind.as_str()).is_some();
            assert_eq!(is_known, kind != Kind::PodPreset, "{kind:?}");
        }
    }

    #[track_caller]
    fn check(owner: &str, name: &str, number: u32, shape: Shape, merge: &Merge) {
        let field = Type::named(owner).unwrap().field(name).unwrap();
        assert_eq!(field.number, number);
        assert_eq!((field.shape, &field.merge), (shape, merge));
    }

    #[test]
    fn fields_of_pods() {
        let keyed =
            |keys: &[&str]| Merge::Keyed(keys.iter().map(|key| (*key).to_owned()).collect());
        let natural = Merge::Natural;
        check("Pod", "spec", 2, Shape::One, &natural);
        check("PodSpec", "containers", 2, Shape::List, &keyed(&["name"]));
        check("Container", "command", 3, Shape::List, &Merge::Atomic);
        let ports = keyed(&["containerPort", "protocol"]);
        check("Container", "ports", 6, Shape::List, &ports);
        check("PodSpec", "nodeSelector", 7, Shape::Map, &Merge::Atomic);
        check("ObjectMeta", "labels", 11, Shape::Map, &natural);
        check("ObjectMeta", "finalizers", 14, Shape::List, &Merge::Set);
        // The sources of a volume stand beside its name.
        check("Volume", "emptyDir", 2, Shape::One, &natural);
        check("EphemeralContainer", "image", 2, Shape::One, &natural);
    }
}
