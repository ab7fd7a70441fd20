use axum::body::Body;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;

use super::protobuf;
use crate::base::chain;
use crate::manifest;
use crate::model::{ApiError, Reason};

pub(super) const JSON: &str = "application/json";
pub(super) const YAML: &str = "application/yaml";
pub(super) const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// `MaxRequestBodyBytes` of the API server.
const LIMIT: usize = 3 << 20;

/// The whole body; nothing beyond the limit is ever held in memory.
pub(super) async fn read(body: Body) -> Result<Vec<u8>, ApiError> {
    match Limited::new(body, LIMIT).collect().await {
        Ok(collected) => Ok(collected.to_bytes().to_vec()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(ApiError::new(
            Reason::TooLarge,
            format!("Request entity too large: limit is {LIMIT}"),
        )),
        Err(error) => Err(ApiError::bad_request(format!(
            "cannot read the request body: {error}"
        ))),
    }
}

/// One object, in JSON, YAML or protobuf; other representations are refused by name.
pub(super) async fn read_object(headers: &HeaderMap, body: Body) -> Result<Value, ApiError> {
    let content_type = content_type(headers);
    let parse = match content_type {
        "" | "*/*" | JSON => parse,
        YAML => parse_yaml,
        PROTOBUF => parse_protobuf,
        other => return Err(unsupported(other, &[JSON, YAML, PROTOBUF])),
    };
    parse(&read(body).await?)
}

/// As [`read_object`]; `Null` for an empty body.
pub(super) async fn read_if_any(headers: &HeaderMap, body: Body) -> Result<Value, ApiError> {
    let bytes = read(body).await?;
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    read_object(headers, Body::from(bytes)).await
}

/// One YAML document, which is one object.
pub(super) fn parse_yaml(bytes: &[u8]) -> Result<Value, ApiError> {
    let refused = |why: &str| ApiError::bad_request(format!("error decoding YAML: {why}"));
    let text = std::str::from_utf8(bytes).map_err(|error| refused(&error.to_string()))?;
    let mut loaded = manifest::load(text, "body");
    let mut errors = loaded.diagnostics.iter();
    if let Some(error) = errors.find(|one| one.severity == manifest::Severity::Error) {
        return Err(refused(&error.to_string()));
    }
    match (loaded.documents.pop(), loaded.documents.is_empty()) {
        (Some(document), true) => Ok(document.value),
        (None, _) => Err(refused("there is no object")),
        (Some(_), false) => Err(refused("there is more than one object")),
    }
}

fn parse_protobuf(bytes: &[u8]) -> Result<Value, ApiError> {
    protobuf::decode(bytes).map_err(|error| ApiError::bad_request(chain(&error)))
}

pub(super) fn parse(bytes: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| {
        ApiError::bad_request(format!(
            "the object provided is unrecognized (must be of type JSON): {error}"
        ))
    })
}

/// Fills in `apiVersion` and `kind` where they were left out and refuses others.
pub(super) fn expect(document: &mut Value, api_version: &str, kind: &str) -> Result<(), ApiError> {
    let Some(fields) = document.as_object_mut() else {
        return Err(ApiError::bad_request("the body must be one object"));
    };
    for (field, expected) in [("apiVersion", api_version), ("kind", kind)] {
        match fields.get(field).and_then(Value::as_str) {
            None | Some("") => {
                fields.insert(field.to_owned(), expected.into());
            }
            Some(found) if found != expected => {
                return Err(ApiError::bad_request(format!(
                    "{field} in the data ({found}) does not match the expected {field} ({expected})"
                )));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Without parameters such as `charset`.
pub(super) fn content_type(headers: &HeaderMap) -> &str {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default()
        .trim()
}

pub(super) fn unsupported(content_type: &str, supported: &[&str]) -> ApiError {
    ApiError::new(
        Reason::UnsupportedMediaType,
        format!(
            "the body of the request was in an unknown format ({content_type}) - accepted media types include: {}",
            supported.join(", ")
        ),
    )
}
