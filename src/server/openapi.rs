//! What clients look up before they write and to explain: which fields there are, and that a patch may ask for
//! validation and a dry run (`/openapi/v3`, Kubernetes API concepts, "OpenAPI V3").

use axum::Json;
use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use serde_json::{Map, Value, json};

use super::reply::{Answer, document as answer, no_such_resource};
use super::router::{PRESETS, SCHEDULING, Shared};
use crate::manifest::{Field, Schema};
use crate::model::Kind;

const CORE: &str = "api/v1";

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/openapi/v3", get(async || Json(index())))
        .route(
            "/openapi/v3/{*path}",
            get(async |Path(path): Path<String>| -> Answer {
                document(&path).map(answer).ok_or_else(no_such_resource)
            }),
        )
}

fn group_paths() -> [&'static str; 3] {
    let [presets, scheduling] = [PRESETS, SCHEDULING].map(|path| path.trim_start_matches('/'));
    [CORE, presets, scheduling]
}

fn path_of(kind: Kind) -> String {
    match kind.group() {
        "" => CORE.to_owned(),
        _ => format!("apis/{}", kind.api_version()),
    }
}

fn index() -> Value {
    let paths: Map<String, Value> = group_paths()
        .into_iter()
        .map(|path| {
            let address = json!({"serverRelativeURL": format!("/openapi/v3/{path}")});
            (path.to_owned(), address)
        })
        .collect();
    json!({"paths": paths})
}

/// The document of one group and version.
fn document(path: &str) -> Option<Value> {
    let group_path = group_paths().into_iter().find(|known| *known == path)?;
    let kinds = || {
        Kind::ALL
            .into_iter()
            .filter(|kind| path_of(*kind) == group_path)
    };
    let mut paths = Map::new();
    for kind in kinds() {
        let scope = if kind.is_namespaced() {
            "/namespaces/{namespace}"
        } else {
            ""
        };
        let collection = format!("/{group_path}{scope}/{}", kind.plural());
        paths.insert(format!("{collection}/{{name}}"), item(kind));
        paths.insert(
            collection,
            json!({"post": operation(kind, "post", &WRITES)}),
        );
    }
    let schema = Schema::built_in();
    let mut schemas: Map<String, Value> = schema
        .types()
        .map(|name| (component(name), type_of(&schema, name)))
        .collect();
    for kind in kinds() {
        if let Some(described) = schemas.get_mut(&component(kind.as_str())) {
            described["description"] = json!(Schema::about(kind));
            described["x-kubernetes-group-version-kind"] = json!([group_version_kind(kind)]);
        }
    }
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "podtui", "version": env!("CARGO_PKG_VERSION")},
        "paths": paths,
        "components": {"schemas": schemas},
    }))
}

/// Query parameters of every write.
const WRITES: [(&str, &str); 2] = [
    ("dryRun", "All: everything but keeping the result"),
    (
        "fieldValidation",
        "Unknown and repeated fields: Ignore, Warn or Strict",
    ),
];

fn item(kind: Kind) -> Value {
    json!({
        "get": operation(kind, "get", &[]),
        "put": operation(kind, "put", &WRITES),
        "patch": operation(kind, "patch", &WRITES),
        "delete": operation(kind, "delete", &WRITES[..1]),
    })
}

fn operation(kind: Kind, action: &str, parameters: &[(&str, &str)]) -> Value {
    let parameters: Vec<Value> = parameters
        .iter()
        .map(|(name, about)| {
            json!({
                "name": name,
                "in": "query",
                "description": about,
                "schema": {"type": "string", "uniqueItems": true},
            })
        })
        .collect();
    let content = json!({"application/json": {"schema": reference(kind.as_str())}});
    json!({
        "parameters": parameters,
        "responses": {"200": {"description": "OK", "content": content}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": group_version_kind(kind),
    })
}

fn group_version_kind(kind: Kind) -> Value {
    let version = kind.api_version().rsplit('/').next();
    json!({"group": kind.group(), "version": version, "kind": kind.as_str()})
}

/// The name of a type among the components.
fn component(type_name: &str) -> String {
    format!("io.k8s.api.core.v1.{type_name}")
}

fn reference(type_name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{}", component(type_name))})
}

fn type_of(schema: &Schema, name: &str) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (field, about) in schema.fields(name) {
        properties.insert(field.to_owned(), property(schema, name, field, about));
        if about.is_required {
            required.push(field);
        }
    }
    json!({"type": "object", "properties": properties, "required": required})
}

fn property(schema: &Schema, owner: &str, name: &str, field: &Field) -> Value {
    let mut property = value(schema, &field.type_name);
    let values = schema.values(owner, name);
    if field.type_name == "string" && !values.is_empty() {
        property["enum"] = json!(values);
    }
    // A reference has no room for a description of its own.
    if property.get("$ref").is_some() {
        property = json!({"allOf": [property]});
    }
    property["description"] = json!(field.doc);
    property
}

fn value(schema: &Schema, type_name: &str) -> Value {
    if let Some(inner) = type_name.strip_prefix("[]") {
        return json!({"type": "array", "items": value(schema, inner)});
    }
    if let Some(inner) = type_name.strip_prefix("map[string]") {
        return json!({"type": "object", "additionalProperties": value(schema, inner)});
    }
    if schema.fields(type_name).next().is_some() {
        return reference(type_name);
    }
    match type_name {
        "integer" | "boolean" | "number" | "object" => json!({"type": type_name}),
        "IntOrString" => json!({"type": "string", "format": "int-or-string"}),
        "Time" | "MicroTime" => json!({"type": "string", "format": "date-time"}),
        "ByteString" => json!({"type": "string", "format": "byte"}),
        "FieldsV1" => json!({"type": "object"}),
        _ => json!({"type": "string"}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_patch_that_may_be_validated() {
        let documents: Vec<Value> = group_paths().into_iter().filter_map(document).collect();
        for kind in Kind::ALL {
            let found = documents.iter().any(|document| {
                document["paths"].as_object().unwrap().values().any(|path| {
                    let patch = &path["patch"];
                    let parameters = patch["parameters"].as_array();
                    patch["x-kubernetes-group-version-kind"] == group_version_kind(kind)
                        && parameters.is_some_and(|all| {
                            ["dryRun", "fieldValidation"]
                                .iter()
                                .all(|name| all.iter().any(|one| one["name"] == *name))
                        })
                })
            });
            assert!(found, "{kind:?}");
        }
        assert!(document("apis/apps/v1").is_none());
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn references<'a>(value: &'a Value, into: &mut Vec<&'a str>) {
            match value {
                Value::Object(map) => {
                    if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
                        into.push(reference);
                    }
                    map.values().for_each(|value| references(value, into));
                }
                Value::Array(items) => items.iter().for_each(|value| references(value, into)),
                _ => {}
            }
        }
        for path in group_paths() {
            let document = document(path).unwrap();
            let mut all = Vec::new();
            references(&document, &mut all);
            assert!(!all.is_empty());
            for reference in all {
                let pointer = reference.trim_start_matches('#');
                assert!(document.pointer(pointer).is_some(), "{reference}");
            }
        }
    }
}
