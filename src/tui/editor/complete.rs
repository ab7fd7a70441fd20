//! What could be written at the cursor: fields and values by the schema, names by what exists.
//!
//! The place is found by indentation alone, because a text that is being typed is seldom valid YAML.

use super::buffer::content_column;
use super::diagnose::Surroundings;
use super::highlight::key_end;
use crate::manifest::{Field, Schema};
use crate::model::Kind;

/// The place of the cursor in the structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) struct Place {
    pub(in crate::tui) kind: String,
    /// Names of the fields around it, from outside.
    pub(in crate::tui) path: Vec<String>,
    pub(in crate::tui) part: Part,
    /// Columns in front of the key.
    indent: usize,
    /// The other keys of the same map.
    siblings: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Part {
    /// A key of which this is typed.
    Key(String),
    /// The value of this key, of which this is typed.
    Value(String, String),
}

/// Something that can be inserted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) struct Candidate {
    pub(in crate::tui) label: String,
    /// Its type and a line about it.
    pub(in crate::tui) note: String,
    /// Takes the place of what is typed.
    pub(in crate::tui) insert: String,
}

/// A line taken apart.
struct Line<'a> {
    /// Column of the last dash of list items in front of the content.
    dash: Option<usize>,
    column: usize,
    key: Option<&'a str>,
    value: &'a str,
}

impl<'a> Line<'a> {
    /// `None` for blank lines and comments.
    fn read(text: &'a str) -> Option<Self> {
        let column = content_column(text);
        let content = text[column..].trim_end();
        let is_lone_dash = content == "-";
        if (content.is_empty() && !text.trim_start().starts_with('-')) || content.starts_with('#') {
            return None;
        }
        let dash = if is_lone_dash {
            Some(column)
        } else {
            text[..column].rfind('-')
        };
        let key = key_end(content);
        let unquoted = |key: &'a str| key.trim_matches(['"', '\'']);
        Some(Self {
            dash,
            column: if is_lone_dash { column + 2 } else { column },
            key: key.map(|end| unquoted(&content[..end])),
            value: key.map_or("", |end| content[end + 1..].trim()),
        })
    }

    /// Fields may stand below it.
    fn opens(&self) -> bool {
        let value = self.value;
        value.is_empty()
            || value.starts_with('#')
            || (value.starts_with(['&', '!']) && !value.contains(' '))
    }
}

/// `None` inside of text that has no fields: block scalars, flow collections, comments.
pub(in crate::tui) fn place(lines: &[String], row: usize, before: &str) -> Option<Place> {
    let column = content_column(before);
    let content = &before[column..];
    if content.starts_with(['#', '{', '[', '"', '\'', '|', '>', '-']) {
        return None;
    }
    let part = match key_end(content) {
        Some(end) => {
            let value = &content[end + 1..];
            let typed = value.trim_start();
            if typed.starts_with(['{', '[', '|', '>', '#', '&', '"', '\''])
                || typed.contains(' ')
                || value.is_empty()
            {
                return None;
            }
            Part::Value(content[..end].to_owned(), typed.to_owned())
        }
        None if content.chars().all(|symbol| symbol.is_ascii_alphanumeric()) => {
            Part::Key(content.to_owned())
        }
        None => return None,
    };
    let dash = before[..column].rfind('-');
    let mut siblings = Vec::new();
    let path = parents(lines, row, (dash, column), &mut siblings)?;
    add_siblings_below(lines, row, column, &mut siblings);
    Some(Place {
        kind: kind(lines, row)?,
        path,
        part,
        indent: column,
        siblings,
    })
}

/// The keys around a line, from outside; `None` when it belongs to a text or to something without fields.
fn parents(
    lines: &[String],
    row: usize,
    (dash, column): (Option<usize>, usize),
    siblings: &mut Vec<String>,
) -> Option<Vec<String>> {
    let mut path = Vec::new();
    // A parent's key is left of `limit`, or at it below a dash.
    let (mut limit, mut at_limit) = dash.map_or((column, false), |dash| (dash, true));
    let mut in_own_map = dash.is_none();
    for text in lines[..row.min(lines.len())].iter().rev() {
        if text.starts_with("---") || text.starts_with("...") {
            break;
        }
        let Some(line) = Line::read(text) else {
            continue;
        };
        if !at_limit && line.column == limit {
            if in_own_map {
                siblings.extend(line.key.map(str::to_owned));
            }
            if let Some(dash) = line.dash {
                (limit, at_limit, in_own_map) = (dash, true, false);
            }
            continue;
        }
        let is_parent = line.column < limit || (at_limit && line.column == limit);
        if !is_parent {
            continue;
        }
        let key = line.key?;
        if !line.opens() {
            return None;
        }
        path.push(key.to_owned());
        (limit, at_limit) = line.dash.map_or((line.column, false), |dash| (dash, true));
        in_own_map = false;
        if limit == 0 && !at_limit {
            break;
        }
    }
    path.reverse();
    Some(path)
}

fn add_siblings_below(lines: &[String], row: usize, column: usize, siblings: &mut Vec<String>) {
    for text in lines.iter().skip(row + 1) {
        let Some(line) = Line::read(text) else {
            continue;
        };
        if line.column < column
            || line.dash.is_some_and(|dash| dash < column)
            || text.starts_with("---")
        {
            break;
        }
        if line.column == column {
            siblings.extend(line.key.map(str::to_owned));
        }
    }
}

/// The kind of the document around a line.
fn kind(lines: &[String], row: usize) -> Option<String> {
    let is_end = |text: &&String| !text.starts_with("---");
    let above = lines[..row.min(lines.len())]
        .iter()
        .rev()
        .take_while(is_end);
    let below = lines.iter().skip(row).take_while(is_end);
    above
        .chain(below)
        .find_map(|text| text.strip_prefix("kind:"))
        .map(|kind| kind.split('#').next().unwrap_or_default().trim().to_owned())
}

impl Place {
    /// What could stand here, the best first; nothing when what is typed is all there is.
    pub(in crate::tui) fn candidates(
        &self,
        schema: &Schema,
        around: &Surroundings,
    ) -> Vec<Candidate> {
        let found = match &self.part {
            Part::Key(typed) => self.keys(schema, typed),
            Part::Value(key, typed) => self.values(schema, around, key, typed),
        };
        match found.as_slice() {
            [only] if only.label == self.typed() => Vec::new(),
            _ => found,
        }
    }

    pub(in crate::tui) fn typed(&self) -> &str {
        match &self.part {
            Part::Key(typed) | Part::Value(_, typed) => typed,
        }
    }

    /// The field at the cursor, with its name.
    pub(in crate::tui) fn field<'s>(&self, schema: &'s Schema) -> Option<(String, &'s Field)> {
        let name = match &self.part {
            Part::Key(name) | Part::Value(name, _) => name,
        };
        let owner = schema.type_at(&self.kind, &self.path)?;
        Some((name.clone(), schema.field(owner, name)?))
    }

    fn keys(&self, schema: &Schema, typed: &str) -> Vec<Candidate> {
        let Some(owner) = schema.type_at(&self.kind, &self.path) else {
            return Vec::new();
        };
        // The server alone writes the status and its part of the metadata.
        const NOT_WRITTEN: [&str; 8] = [
            "status",
            "managedFields",
            "uid",
            "resourceVersion",
            "creationTimestamp",
            "generation",
            "selfLink",
            "deletionTimestamp",
        ];
        let typed = typed.to_ascii_lowercase();
        let fits = |name: &str| {
            let is_new = !self.siblings.iter().any(|sibling| sibling == name);
            is_new && !NOT_WRITTEN.contains(&name) && name.to_ascii_lowercase().contains(&typed)
        };
        let mut found: Vec<(&str, &Field)> = schema
            .fields(owner)
            .filter(|(name, _)| fits(name))
            .collect();
        found.sort_by_key(|(name, field)| {
            (
                !name.to_ascii_lowercase().starts_with(&typed),
                !field.is_required,
                *name,
            )
        });
        let candidate = |(name, field): (&str, &Field)| Candidate {
            label: name.to_owned(),
            note: note(field),
            insert: self.written(name, field),
        };
        found.into_iter().map(candidate).collect()
    }

    /// `image: `, or the key with the beginning of what stands below it.
    fn written(&self, name: &str, field: &Field) -> String {
        let pad = " ".repeat(self.indent);
        let type_name = field.type_name.as_str();
        if type_name.starts_with("[]") {
            format!("{name}:\n{pad}- ")
        } else if type_name.starts_with("map[")
            || type_name.starts_with(|first: char| first.is_ascii_uppercase())
                && !is_scalar(type_name)
        {
            format!("{name}:\n{pad}  ")
        } else {
            format!("{name}: ")
        }
    }

    fn values(
        &self,
        schema: &Schema,
        around: &Surroundings,
        key: &str,
        typed: &str,
    ) -> Vec<Candidate> {
        let mut labels: Vec<String> = Vec::new();
        let parent = self.path.last().map(String::as_str);
        match (parent, key) {
            (None, "kind") => labels.extend(Kind::ALL.map(|kind| kind.as_str().to_owned())),
            (None, "apiVersion") => {
                labels.extend(Kind::ALL.map(|kind| kind.api_version().to_owned()));
                labels.sort();
                labels.dedup();
                labels.reverse();
            }
            (Some("configMap" | "configMapRef" | "configMapKeyRef"), "name") => {
                labels.extend(
                    around
                        .config_maps
                        .iter()
                        .flat_map(|names| names.0.keys().cloned()),
                );
            }
            (Some("secretRef" | "secretKeyRef" | "imagePullSecrets"), "name")
            | (Some("secret"), "secretName") => {
                labels.extend(
                    around
                        .secrets
                        .iter()
                        .flat_map(|names| names.0.keys().cloned()),
                );
            }
            _ => {
                if let Some(owner) = schema.type_at(&self.kind, &self.path) {
                    labels.extend(
                        schema
                            .values(owner, key)
                            .iter()
                            .map(|value| (*value).to_owned()),
                    );
                }
            }
        }
        let doc = self
            .field(schema)
            .map(|(_, field)| field.doc.clone())
            .unwrap_or_default();
        let lower = typed.to_ascii_lowercase();
        labels
            .into_iter()
            .filter(|label| label.to_ascii_lowercase().starts_with(&lower))
            .map(|label| Candidate {
                insert: label.clone(),
                label,
                note: doc.clone(),
            })
            .collect()
    }
}

fn is_scalar(type_name: &str) -> bool {
    matches!(
        type_name,
        "Quantity" | "IntOrString" | "Time" | "MicroTime" | "ByteString"
    )
}

/// `[]Container, required: List of containers belonging to the pod`.
pub(in crate::tui) fn note(field: &Field) -> String {
    let required = if field.is_required { ", required" } else { "" };
    format!("{}{required}: {}", field.type_name, field.doc)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::diagnose::Names;
    use super::*;

    fn around() -> Surroundings {
        let names = |name: &str| Some(Names(BTreeMap::from([(name.to_owned(), BTreeSet::new())])));
        Surroundings {
            subject: None,
            live: None,
            base: serde_json::Value::Null,
            namespace: "default".to_owned(),
            config_maps: names("settings"),
            secrets: names("login"),
            now: "2026-01-02T03:00:00Z".parse().unwrap(),
        }
    }

    /// `^` is the cursor.
    fn candidates(text: &str) -> Option<(Vec<String>, Vec<Candidate>)> {
        let at = text.find('^').unwrap();
        let row = text[..at].matches('\n').count();
        let before = text[..at].rsplit('\n').next().unwrap();
        let lines: Vec<String> = text
            .replace('^', "")
            .split('\n')
            .map(str::to_owned)
            .collect();
        let place = place(&lines, row, before)?;
        let found = place.candidates(&Schema::built_in(), &around());
        Some((place.path, found))
    }

    #[track_caller]
    fn check(text: &str, path: &str, labels: &[&str]) {
        let (found_path, found) = candidates(text).unwrap();
        assert_eq!(found_path.join("."), path, "{text}");
        let found: Vec<&str> = found
            .iter()
            .map(|one| one.label.as_str())
            .take(labels.len().max(1))
            .collect();
        assert_eq!(found, labels, "{text}");
    }

    const POD: &str = "apiVersion: v1\nkind: Pod\nspec:\n";

    #[test]
    fn fields_by_place() {
        check("kind: Pod\nsp^", "", &["spec"]);
        check(
            &format!("{POD}  hostN^"),
            "spec",
            &["hostNetwork", "hostname", "hostnameOverride"],
        );
        check(
            &format!("{POD}  containers:\n  - name: a\n    imageP^"),
            "spec.containers",
            &["imagePullPolicy"],
        );
        check(
            &format!("{POD}  containers:\n    - name: a\n      imageP^"),
            "spec.containers",
            &["imagePullPolicy"],
        );
        check(
            &format!("{POD}  containers:\n  - imageP^"),
            "spec.containers",
            &["imagePullPolicy"],
        );
        check(
            &format!(
                "{POD}  containers:\n  - name: a\n    env:\n    - name: A\n  - name: b\n    livenessProbe:\n      httpG^"
            ),
            "spec.containers.livenessProbe",
            &["httpGet"],
        );
        check(
            &format!("{POD}  containers:\n  - name: a\n    args:\n    - |\n      text\n    wor^"),
            "spec.containers",
            &["workingDir"],
        );
        check(
            &format!("{POD}  containers: []\n  volumes:\n  - name: v\n    empt^\nstatus: x"),
            "spec.volumes",
            &["emptyDir"],
        );
    }

    #[test]
    fn what_is_there_is_not_offered_again() {
        check(
            &format!("{POD}  containers:\n  - nam^\n    image: x"),
            "spec.containers",
            &["name"],
        );
        check(
            &format!("{POD}  containers:\n  - name: a\n    nam^"),
            "spec.containers",
            &[],
        );
        check(
            &format!("{POD}  hostname^\n  x: 1"),
            "spec",
            &["hostname", "hostnameOverride"],
        );
        check(&format!("{POD}  dnsP^\n  dnsPolicy: None"), "spec", &[]);
        check("kind: Pod\nstat^", "", &[]);
    }

    #[test]
    fn values() {
        check(
            &format!("{POD}  restartPolicy: ^"),
            "spec",
            &["Always", "OnFailure", "Never"],
        );
        check(
            &format!("{POD}  restartPolicy: on^"),
            "spec",
            &["OnFailure"],
        );
        check(&format!("{POD}  hostNetwork: t^"), "spec", &["true"]);
        check("kind: ^", "", &["Pod", "ConfigMap", "Secret"]);
        check(
            &format!("{POD}  containers:\n  - envFrom:\n    - configMapRef:\n        name: ^"),
            "spec.containers.envFrom.configMapRef",
            &["settings"],
        );
        check(&format!("{POD}  restartPolicy: Never^"), "spec", &[]);
    }

    #[test]
    fn no_place_in_text_and_flow() {
        for text in [
            "  # restart^",
            "  a: {b^",
            "  a: |\n    restart^",
            "  containers:\n  - command: [x^",
            "  restartPolicy:^",
        ] {
            assert_eq!(candidates(&format!("{POD}{text}")), None, "{text}");
        }
        assert_eq!(candidates("sp^"), None);
    }

    #[test]
    fn keys_bring_the_beginning_of_what_follows() {
        let insert = |text: &str| candidates(text).unwrap().1.remove(0).insert;
        assert_eq!(insert(&format!("{POD}  hostna^")), "hostname: ");
        assert_eq!(insert(&format!("{POD}  contai^")), "containers:\n  - ");
        assert_eq!(
            insert(&format!("{POD}  securityC^")),
            "securityContext:\n    "
        );
        assert_eq!(
            insert(&format!("{POD}  containers:\n  - resou^")),
            "resources:\n      "
        );
        assert_eq!(insert(&format!("{POD}  nodeSel^")), "nodeSelector:\n    ");
    }
}
