use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::client::Written;
use crate::model::{ApiError, Kind, Object, Reason, ResourceVersion};

/// A refusal on its way out, as a `Status`.
#[derive(Debug)]
pub(super) struct Failure(pub(super) ApiError);

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let code = self.0.reason.http_code();
        let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (code, Json(self.0.to_status())).into_response()
    }
}

pub(super) type Answer = Result<Response, Failure>;

/// What the API server says about a path it does not have.
pub(super) fn no_such_resource() -> Failure {
    ApiError::new(
        Reason::NotFound,
        "the server could not find the requested resource",
    )
    .into()
}

pub(super) fn no_such_method() -> Failure {
    ApiError::new(
        Reason::MethodNotAllowed,
        "the server does not allow this method on the requested resource",
    )
    .into()
}

pub(super) fn object(code: StatusCode, object: &Object) -> Response {
    (code, Json(object.to_value())).into_response()
}

/// A document that is no object of the store.
pub(super) fn document(document: Value) -> Response {
    Json(document).into_response()
}

pub(super) fn written(code: StatusCode, written: &Written) -> Response {
    let mut response = object(code, &written.object);
    for value in warnings(&written.warnings) {
        response.headers_mut().append(header::WARNING, value);
    }
    response
}

/// `ListMeta` of the API: where a watch that follows starts, and how to go on where a limit ended the list.
pub(super) struct ListMeta {
    pub(super) version: ResourceVersion,
    pub(super) next: Option<String>,
    /// Objects that come after; told where the server knows.
    pub(super) remaining: Option<usize>,
}

impl ListMeta {
    pub(super) const fn of(version: ResourceVersion) -> Self {
        Self {
            version,
            next: None,
            remaining: None,
        }
    }

    pub(super) fn to_value(&self) -> Value {
        let mut meta = json!({"resourceVersion": self.version.to_string()});
        if let Some(next) = &self.next {
            meta["continue"] = json!(next);
        }
        if let Some(remaining) = self.remaining {
            meta["remainingItemCount"] = json!(remaining);
        }
        meta
    }
}

pub(super) fn list(kind: Kind, items: &[Object], meta: &ListMeta) -> Response {
    let items: Vec<Value> = items.iter().map(Object::to_value).collect();
    document(json!({
        "kind": format!("{}List", kind.as_str()),
        "apiVersion": kind.api_version(),
        "metadata": meta.to_value(),
        "items": items,
    }))
}

pub(super) fn created(code: StatusCode, document: Value) -> Response {
    (code, Json(document)).into_response()
}

/// What the API says of an action that leaves nothing to show.
pub(super) fn success(code: StatusCode) -> Response {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"});
    (code, Json(status)).into_response()
}

/// Warnings beyond this number are counted, not sent: clients limit the header fields of a response.
const WARNINGS: usize = 40;
/// Longer ones are cut.
const WARNING_CHARACTERS: usize = 512;

/// `299 - "text"` (RFC 7234 §5.5, as the API server uses it).
fn warnings(texts: &[String]) -> impl Iterator<Item = HeaderValue> {
    let more = texts.len().saturating_sub(WARNINGS);
    let summary = (more > 0).then(|| format!("{more} more warnings"));
    texts
        .iter()
        .take(WARNINGS)
        .cloned()
        .chain(summary)
        .filter_map(|text| {
            let mut quoted = String::from("299 - \"");
            for character in text.chars().take(WARNING_CHARACTERS) {
                match character {
                    '"' | '\\' => quoted.extend(['\\', character]),
                    control if control.is_control() => quoted.push(' '),
                    other => quoted.push(other),
                }
            }
            quoted.push('"');
            HeaderValue::from_bytes(quoted.as_bytes()).ok()
        })
}
