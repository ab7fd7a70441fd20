//! Objects as rows: what `kubectl get` asks of an API server, so that every client shows the same columns
//! (Kubernetes API concepts, "Receiving resources as Tables").

use http::{HeaderMap, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::query::Query;
use crate::model::{ApiError, Kind, Object, Reason, ResourceVersion};
use crate::printer::{cells, headers as column_names};

const GROUP: &str = "meta.k8s.io";

/// What a client wants to read objects as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Whole,
    Table(Table),
}

/// A version of `Table`, and what its rows carry beside their cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Table {
    version: &'static str,
    include: Include,
}

/// `includeObject` of a request for tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Include {
    Nothing,
    Metadata,
    Object,
}

impl Form {
    /// The first clause of `Accept` that can be served; whole objects when there is no such header.
    pub(super) fn wanted(headers: &HeaderMap, query: &Query) -> Result<Self, ApiError> {
        let mut clauses = headers
            .get_all(header::ACCEPT)
            .into_iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .peekable();
        if clauses.peek().is_none() {
            return Ok(Self::Whole);
        }
        let served = clauses.find_map(|clause| Served::of(clause.trim()));
        match served {
            Some(Served::Whole) => Ok(Self::Whole),
            Some(Served::Table(version)) => Ok(Self::Table(Table {
                version,
                include: Include::wanted(query)?,
            })),
            None => Err(ApiError::new(
                Reason::NotAcceptable,
                "only the following media types are accepted: application/json, \
                 application/json;as=Table;g=meta.k8s.io;v=v1",
            )),
        }
    }
}

/// A clause of `Accept` that is understood.
enum Served {
    Whole,
    Table(&'static str),
}

impl Served {
    fn of(clause: &str) -> Option<Self> {
        let mut parts = clause.split(';').map(str::trim);
        if !matches!(
            parts.next()?,
            "application/json" | "application/*" | "*/*" | ""
        ) {
            return None;
        }
        let (mut kind, mut group, mut version) = ("", "", "");
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name {
                "as" => kind = value,
                "g" => group = value,
                "v" => version = value,
                // `q`, `charset`, `stream=watch`: what is sent is the same.
                _ => {}
            }
        }
        match (kind, group, version) {
            ("", _, _) => Some(Self::Whole),
            ("Table", GROUP, "v1") => Some(Self::Table("v1")),
            ("Table", GROUP, "v1beta1") => Some(Self::Table("v1beta1")),
            _ => None,
        }
    }
}

impl Include {
    fn wanted(query: &Query) -> Result<Self, ApiError> {
        match query.text("includeObject") {
            None | Some("" | "Metadata") => Ok(Self::Metadata),
            Some("None") => Ok(Self::Nothing),
            Some("Object") => Ok(Self::Object),
            Some(other) => Err(ApiError::bad_request(format!(
                "includeObject: Unsupported value: {other:?}: supported values: \"Metadata\", \"None\", \"Object\""
            ))),
        }
    }
}

impl Table {
    /// One answer of a list, or of a read of one object.
    pub(super) fn of(
        self,
        kind: Kind,
        items: &[Object],
        version: Option<ResourceVersion>,
    ) -> Value {
        let rows = items.iter().map(|object| self.row(object)).collect();
        self.document(columns(kind), rows, version)
    }

    /// The object of one event of a watch. Only the first tells the columns.
    pub(super) fn of_event(self, object: &Object, is_first: bool) -> Value {
        let columns = if is_first {
            columns(object.kind())
        } else {
            Vec::new()
        };
        self.document(columns, vec![self.row(object)], None)
    }

    /// What a bookmark carries: a version and no row.
    pub(super) fn bookmark(self, version: ResourceVersion) -> Value {
        self.document(Vec::new(), Vec::new(), Some(version))
    }

    fn document(
        self,
        columns: Vec<Value>,
        rows: Vec<Value>,
        version: Option<ResourceVersion>,
    ) -> Value {
        let metadata = version.map_or_else(
            || json!({}),
            |version| json!({"resourceVersion": version.to_string()}),
        );
        json!({
            "kind": "Table",
            "apiVersion": self.api_version(),
            "metadata": metadata,
            "columnDefinitions": columns,
            "rows": rows,
        })
    }

    fn api_version(self) -> String {
        format!("{GROUP}/{}", self.version)
    }

    fn row(self, object: &Object) -> Value {
        let mut row = json!({"cells": cells(object, true, Timestamp::now())});
        let carried = match self.include {
            Include::Nothing => None,
            Include::Metadata => Some(json!({
                "kind": "PartialObjectMetadata",
                "apiVersion": self.api_version(),
                "metadata": object.meta(),
            })),
            Include::Object => Some(object.to_value()),
        };
        if let Some(carried) = carried {
            row["object"] = carried;
        }
        if let Some(condition) = completed(object) {
            row["conditions"] = json!([condition]);
        }
        row
    }
}

fn columns(kind: Kind) -> Vec<Value> {
    let always = column_names(kind, false);
    let columns = column_names(kind, true).into_iter().map(|name| {
        // Wide columns are those that clients leave out unless they are asked for them.
        let priority = i32::from(!always.contains(&name));
        let format = if name == "NAME" { "name" } else { "" };
        json!({
            "name": title(name),
            "type": "string",
            "format": format,
            "description": "",
            "priority": priority,
        })
    });
    columns.collect()
}

/// `NOMINATED NODE` → `Nominated Node`; clients make capitals of it again. `IP` stays.
fn title(name: &str) -> String {
    let mut title = String::with_capacity(name.len());
    for (index, word) in name.split(' ').enumerate() {
        if index > 0 {
            title.push(' ');
        }
        let kept = if word.len() > 2 { 1 } else { word.len() };
        title.push_str(&word[..kept]);
        title.push_str(&word[kept..].to_ascii_lowercase());
    }
    title
}

/// Rows of pods that have ended are marked, so that clients can leave them out.
fn completed(object: &Object) -> Option<Value> {
    let Object::Pod(pod) = object else {
        return None;
    };
    let (reason, message) = match pod.status.as_ref()?.phase.as_deref()? {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(json!({"type": "Completed", "status": "True", "reason": reason, "message": message}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accept: &str, expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        let form = Form::wanted(&headers, &Query::default());
        let version = match form {
            Ok(Form::Table(table)) => Some(table.version),
            Ok(Form::Whole) => Some(""),
            Err(error) => {
                assert_eq!(error.reason, Reason::NotAcceptable);
                None
            }
        };
        assert_eq!(version, expected, "{accept}");
    }

    #[test]
    fn the_first_clause_that_can_be_served_counts() {
        check(
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
            Some("v1"),
        );
        check(
            "application/json;as=Table;v=v1beta1;g=meta.k8s.io",
            Some("v1beta1"),
        );
        check(
            "application/json;as=Table;v=v2;g=meta.k8s.io, application/json",
            Some(""),
        );
        check("application/vnd.kubernetes.protobuf, */*", Some(""));
        check("application/json;stream=watch", Some(""));
        check(
            "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json",
            Some(""),
        );
        check("application/vnd.kubernetes.protobuf", None);
        check("text/html", None);
    }

    #[test]
    fn names_of_columns() {
        for (name, expected) in [
            ("NAME", "Name"),
            ("IP", "IP"),
            ("NOMINATED NODE", "Nominated Node"),
            ("OS-IMAGE", "Os-image"),
        ] {
            assert_eq!(title(name), expected);
        }
    }
}
