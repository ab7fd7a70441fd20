use axum::body::Body;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;

use crate::model::{ApiError, Reason};

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

/// A JSON document; other representations are refused by name.
pub(super) async fn read_json(headers: &HeaderMap, body: Body) -> Result<Value, ApiError> {
    let content_type = content_type(headers);
    if !matches!(content_type, "" | "application/json" | "*/*") {
        return Err(unsupported(content_type, &["application/json"]));
    }
    parse(&read(body).await?)
}

pub(super) fn parse(bytes: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| {
        ApiError::bad_request(format!(
            "the object provided is unrecognized (must be of type JSON): {error}"
        ))
    })
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
