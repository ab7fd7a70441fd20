use std::str::FromStr;

use serde_json::{Value, json};

use super::failure::Failure;
use crate::manifest;
use crate::model::{Kind, Object};
use crate::printer::{CustomColumns, JsonPath, Moment, Table, cells, headers, label_text};

/// `-o`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Format {
    #[default]
    Table,
    Wide,
    Yaml,
    Json,
    Name,
    JsonPath(JsonPath),
    CustomColumns(CustomColumns),
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = |file: &str| {
            std::fs::read_to_string(file)
                .map_err(|error| format!("error reading template {file}, {error}"))
        };
        let json_path = |template: &str| {
            if template.is_empty() {
                return Err("template format specified but no template given".to_owned());
            }
            JsonPath::parse(template)
                .map(Self::JsonPath)
                .map_err(|error| format!("error parsing jsonpath {template}, {error}"))
        };
        let columns = |text: &str| {
            CustomColumns::parse(text)
                .map(Self::CustomColumns)
                .map_err(|error| crate::base::chain(&error))
        };
        match text.split_once('=') {
            Some(("jsonpath", template)) => return json_path(template),
            Some(("jsonpath-file", file)) => return json_path(read(file)?.trim_end_matches('\n')),
            Some(("custom-columns", spec)) => return columns(spec),
            Some(("custom-columns-file", file)) => {
                return columns(&columns_from_file(&read(file)?));
            }
            _ => {}
        }
        match text {
            "" => Ok(Self::Table),
            "wide" => Ok(Self::Wide),
            "yaml" => Ok(Self::Yaml),
            "json" => Ok(Self::Json),
            "name" => Ok(Self::Name),
            "jsonpath" => json_path(""),
            "custom-columns" => columns(""),
            _ => Err(format!(
                "unable to match a printer suitable for the output format \"{text}\", allowed formats are: \
                 custom-columns,custom-columns-file,json,jsonpath,jsonpath-file,name,wide,yaml"
            )),
        }
    }
}

/// Two lines: headers and paths, separated by blanks.
fn columns_from_file(text: &str) -> String {
    let mut lines = text.lines();
    let headers = lines.next().unwrap_or_default().split_whitespace();
    let paths = lines.next().unwrap_or_default().split_whitespace();
    let pairs: Vec<String> = headers
        .zip(paths)
        .map(|(header, path)| format!("{header}:{path}"))
        .collect();
    pairs.join(",")
}

impl Format {
    pub(super) const fn is_table(&self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
}

/// How tables look beside the objects themselves.
#[derive(Clone, Debug, Default)]
pub(super) struct TableStyle {
    pub(super) wide: bool,
    pub(super) with_namespace: bool,
    /// Names as `pod/web`.
    pub(super) with_kind: bool,
    pub(super) show_labels: bool,
    /// `-L`: these labels become columns.
    pub(super) label_columns: Vec<String>,
    pub(super) no_headers: bool,
}

impl TableStyle {
    fn table(&self, kind: Kind) -> Table {
        let mut names: Vec<String> = headers(kind, self.wide)
            .into_iter()
            .map(str::to_owned)
            .collect();
        if self.with_namespace && kind.is_namespaced() {
            names.insert(0, "NAMESPACE".to_owned());
        }
        for column in &self.label_columns {
            names.push(column.rsplit('/').next().unwrap_or(column).to_owned());
        }
        if self.show_labels {
            names.push("LABELS".to_owned());
        }
        Table::new(names)
    }

    fn row(&self, object: &Object, moment: &Moment) -> Vec<String> {
        let mut row = cells(object, self.wide, moment.now);
        let kind = object.kind();
        if self.with_kind {
            let name_column = headers(kind, self.wide)
                .iter()
                .position(|header| *header == "NAME");
            if let Some(name) = name_column.and_then(|column| row.get_mut(column)) {
                *name = format!("{}/{name}", kind.qualified_singular());
            }
        }
        if self.with_namespace && kind.is_namespaced() {
            row.insert(0, object.namespace().to_owned());
        }
        let labels = object.meta().labels.as_ref();
        for column in &self.label_columns {
            row.push(
                labels
                    .and_then(|labels| labels.get(column))
                    .cloned()
                    .unwrap_or_default(),
            );
        }
        if self.show_labels {
            row.push(label_text(object.meta()));
        }
        row
    }

    /// One table per run of objects of one kind, an empty line between them.
    pub(super) fn render(&self, objects: &[Object], moment: &Moment) -> String {
        let groups = objects.chunk_by(|one, other| one.kind() == other.kind());
        let blocks: Vec<String> = groups
            .map(|group| self.rows(group, moment, &mut Vec::new(), !self.no_headers))
            .collect();
        blocks.join("\n")
    }

    /// One table of objects of one kind, no column narrower than in `widths`.
    pub(super) fn rows(
        &self,
        objects: &[Object],
        moment: &Moment,
        widths: &mut Vec<usize>,
        with_headers: bool,
    ) -> String {
        let Some(first) = objects.first() else {
            return String::new();
        };
        let mut table = self.table(first.kind());
        for object in objects {
            table.push(self.row(object, moment));
        }
        table.render_under(with_headers, widths)
    }
}

/// The text of objects in a format that is no table. `single` prints the object itself, otherwise a List.
pub(super) fn render(format: &Format, objects: &[Object], single: bool) -> Result<String, Failure> {
    let document = || match objects {
        [one] if single => one.to_value(),
        _ => {
            let items: Vec<Value> = objects.iter().map(Object::to_value).collect();
            json!({"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}})
        }
    };
    match format {
        Format::Table | Format::Wide => Ok(String::new()),
        Format::Yaml => Ok(manifest::to_yaml(&document())),
        Format::Json => pretty_json(&document()),
        Format::Name => Ok(objects
            .iter()
            .map(|object| format!("{}\n", object.key()))
            .collect()),
        Format::JsonPath(path) => path.render(&document()).map_err(|error| {
            Failure::local(format!(
                "error executing jsonpath: Error executing template: {error}"
            ))
        }),
        Format::CustomColumns(columns) => columns_of(columns, objects, true),
    }
}

/// The text of objects in columns of the user's own.
pub(super) fn columns_of(
    columns: &CustomColumns,
    objects: &[Object],
    with_headers: bool,
) -> Result<String, Failure> {
    let mut table = columns.table();
    for object in objects {
        let row = columns.cells(&object.to_value());
        table.push(row.map_err(|error| Failure::local(error.to_string()))?);
    }
    Ok(table.render(with_headers))
}

/// JSON as kubectl indents it: four blanks, a newline at the end.
fn pretty_json(value: &Value) -> Result<String, Failure> {
    use serde::Serialize as _;

    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    let written = value.serialize(&mut serializer);
    written.map_err(|error| Failure::local(format!("cannot write JSON: {error}")))?;
    bytes.push(b'\n');
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// `--sort-by`: orders objects by the value a path finds in them; numbers as numbers, objects without the
/// field first.
pub(super) fn sort(objects: &mut [Object], path: &str) -> Result<(), Failure> {
    let parsed =
        JsonPath::parse_relaxed(path).map_err(|error| Failure::local(error.to_string()))?;
    let mut keyed: Vec<(Option<Value>, Object)> = Vec::with_capacity(objects.len());
    for object in objects.iter() {
        let found = parsed
            .find(&object.to_value())
            .map_err(|error| Failure::local(error.to_string()))?;
        keyed.push((found.into_iter().next(), object.clone()));
    }
    keyed.sort_by(|(one, _), (other, _)| match (one, other) {
        (Some(Value::Number(one)), Some(Value::Number(other))) => one
            .as_f64()
            .unwrap_or(0.0)
            .total_cmp(&other.as_f64().unwrap_or(0.0)),
        (Some(Value::String(one)), Some(Value::String(other))) => one.cmp(other),
        (one, other) => {
            let text = |value: &Option<Value>| value.as_ref().map(ToString::to_string);
            text(one).cmp(&text(other))
        }
    });
    for (slot, (_, object)) in objects.iter_mut().zip(keyed) {
        *slot = object;
    }
    Ok(())
}
