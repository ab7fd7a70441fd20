//! Objects as rows: what `kubectl get` asks of an API server, so that every client shows the same columns
//! (Kubernetes API concepts, "Receiving resources as Tables").

use axum::response::Response;
use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::query::Query;
use super::reply::{self, ListMeta};
use crate::model::{ApiError, Kind, Object, Reason, ResourceVersion};
use crate::printer::{cells, headers as column_names};

const GROUP: &str = "meta.k8s.io";

/// What a client wants to read objects as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Whole,
    /// `PartialObjectMetadata` in this version: name, labels and all else in `metadata`.
    Metadata(&'static str),
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
            Some(Served::Metadata(version)) => Ok(Self::Metadata(version)),
            Some(Served::Table(version)) => Ok(Self::Table(Table {
                version,
                include: Include::wanted(query)?,
            })),
            None => Err(ApiError::new(
                Reason::NotAcceptable,
                "only the following media types are accepted: application/json, \
                 application/json;as=Table;g=meta.k8s.io;v=v1, \
                 application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1, \
                 application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
            )),
        }
    }
}

impl Form {
    pub(super) fn one(self, object: &Object) -> Response {
        match self {
            Self::Whole => reply::object(StatusCode::OK, object),
            Self::Metadata(version) => reply::document(metadata_of(object, version)),
            Self::Table(table) => {
                reply::document(table.of(object.kind(), std::slice::from_ref(object), None))
            }
        }
    }

    pub(super) fn list(self, kind: Kind, items: &[Object], meta: &ListMeta) -> Response {
        match self {
            Self::Whole => reply::list(kind, items, meta),
            Self::Metadata(version) => {
                let items: Vec<Value> = items
                    .iter()
                    .map(|object| metadata_of(object, version))
                    .collect();
                reply::document(json!({
                    "kind": "PartialObjectMetadataList",
                    "apiVersion": api_version(version),
                    "metadata": meta.to_value(),
                    "items": items,
                }))
            }
            Self::Table(table) => reply::document(table.of(kind, items, Some(meta))),
        }
    }
}

fn api_version(version: &str) -> String {
    format!("{GROUP}/{version}")
}

pub(super) fn metadata_of(object: &Object, version: &str) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": api_version(version),
        "metadata": object.meta(),
    })
}

/// A clause of `Accept` that is understood.
enum Served {
    Whole,
    Metadata(&'static str),
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
        let version = match (kind, group, version) {
            ("", _, _) => return Some(Self::Whole),
            (_, GROUP, "v1") => "v1",
            (_, GROUP, "v1beta1") => "v1beta1",
            _ => return None,
        };
        match kind {
            "Table" => Some(Self::Table(version)),
            "PartialObjectMetadata" | "PartialObjectMetadataList" => Some(Self::Metadata(version)),
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
    pub(super) fn of(self, kind: Kind, items: &[Object], meta: Option<&ListMeta>) -> Value {
        let rows = items.iter().map(|object| self.row(object)).collect();
        let meta = meta.map_or_else(|| json!({}), ListMeta::to_value);
        self.document(columns(kind), rows, meta)
    }

    /// The object of one event of a watch. Only the first tells the columns.
    pub(super) fn of_event(self, object: &Object, is_first: bool) -> Value {
        let columns = if is_first {
            columns(object.kind())
        } else {
            Vec::new()
        };
        self.document(columns, vec![self.row(object)], json!({}))
    }

    /// What a bookmark carries: a version and no row.
    pub(super) fn bookmark(self, version: ResourceVersion) -> Value {
        self.document(Vec::new(), Vec::new(), ListMeta::of(version).to_value())
    }

    fn document(self, columns: Vec<Value>, rows: Vec<Value>, metadata: Value) -> Value {
        json!({
            "kind": "Table",
            "apiVersion": api_version(self.version),
            "metadata": metadata,
            "columnDefinitions": columns,
            "rows": rows,
        })
    }

    fn row(self, object: &Object) -> Value {
        let mut row = json!({"cells": cells(object, true, Timestamp::now())});
        let carried = match self.include {
            Include::Nothing => None,
            Include::Metadata => Some(metadata_of(object, self.version)),
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
            Ok(Form::Metadata(_)) => Some("metadata"),
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
            Some("metadata"),
        );
        check(
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,\
             application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
            Some("metadata"),
        );
        check(
            "application/json;as=Something;g=meta.k8s.io;v=v1,application/json",
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
