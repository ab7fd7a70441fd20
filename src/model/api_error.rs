use std::fmt;

use serde_json::{Value, json};

use super::{FieldError, Kind};

/// `reason` of a `metav1.Status`, with the HTTP code that belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    BadRequest,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    AlreadyExists,
    Conflict,
    Expired,
    TooLarge,
    UnsupportedMediaType,
    Invalid,
    TooManyRequests,
    InternalError,
    NotImplemented,
    ServiceUnavailable,
    Timeout,
}

impl Reason {
    const ALL: [Self; 16] = [
        Self::BadRequest,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::NotAcceptable,
        Self::AlreadyExists,
        Self::Conflict,
        Self::Expired,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::Invalid,
        Self::TooManyRequests,
        Self::InternalError,
        Self::NotImplemented,
        Self::ServiceUnavailable,
        Self::Timeout,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "BadRequest",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "NotFound",
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::NotAcceptable => "NotAcceptable",
            Self::AlreadyExists => "AlreadyExists",
            Self::Conflict => "Conflict",
            Self::Expired => "Expired",
            Self::TooLarge => "RequestEntityTooLarge",
            Self::UnsupportedMediaType => "UnsupportedMediaType",
            Self::Invalid => "Invalid",
            Self::TooManyRequests => "TooManyRequests",
            Self::InternalError => "InternalError",
            Self::NotImplemented => "NotImplemented",
            Self::ServiceUnavailable => "ServiceUnavailable",
            Self::Timeout => "Timeout",
        }
    }

    pub(crate) const fn http_code(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::NotAcceptable => 406,
            Self::AlreadyExists | Self::Conflict => 409,
            Self::Expired => 410,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Invalid => 422,
            Self::TooManyRequests => 429,
            Self::InternalError => 500,
            Self::NotImplemented => 501,
            Self::ServiceUnavailable => 503,
            Self::Timeout => 504,
        }
    }
}

/// One entry of `details.causes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) field: String,
}

/// A refusal of the API, convertible to and from a `metav1.Status` document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) struct ApiError {
    pub(crate) reason: Reason,
    pub(crate) message: String,
    /// Kind (or resource) and name of the object concerned, as in `details`.
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) causes: Vec<Cause>,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// `Pod `, `PodPreset.settings.k8s.io `: how messages name the kind of an invalid object.
fn kind_and_group(kind: Kind) -> String {
    match kind.group() {
        "" => format!("{} ", kind.as_str()),
        group => format!("{}.{group} ", kind.as_str()),
    }
}

impl ApiError {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            kind: String::new(),
            name: String::new(),
            causes: Vec::new(),
        }
    }

    fn about(mut self, kind: &str, name: &str) -> Self {
        self.kind = kind.to_owned();
        self.name = name.to_owned();
        self
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(Reason::BadRequest, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(
            Reason::InternalError,
            format!("Internal error occurred: {}", message.into()),
        )
    }

    pub(crate) fn not_found(kind: Kind, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", kind.qualified_plural());
        Self::new(Reason::NotFound, message).about(kind.plural(), name)
    }

    pub(crate) fn already_exists(kind: Kind, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", kind.qualified_plural());
        Self::new(Reason::AlreadyExists, message).about(kind.plural(), name)
    }

    pub(crate) fn conflict(kind: Kind, name: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} \"{name}\": the object has been modified; please apply your changes to \
             the latest version and try again",
            kind.qualified_plural()
        );
        Self::new(Reason::Conflict, message).about(kind.plural(), name)
    }

    pub(crate) fn forbidden(kind: Kind, name: &str, why: &str) -> Self {
        let message = format!("{} \"{name}\" is forbidden: {why}", kind.qualified_plural());
        Self::new(Reason::Forbidden, message).about(kind.plural(), name)
    }

    /// A watch or a list continuation that is older than the history kept (HTTP 410).
    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(Reason::Expired, message)
    }

    /// All errors of one object; duplicates are dropped, order is kept.
    pub(crate) fn invalid(kind: Kind, name: &str, errors: &[FieldError]) -> Self {
        Self::invalid_as(&kind_and_group(kind), kind.as_str(), name, errors)
    }

    /// The same of what is asked and is no stored object: `PodLogOptions`.
    pub(crate) fn invalid_options(kind: &str, name: &str, errors: &[FieldError]) -> Self {
        Self::invalid_as(&format!("{kind} "), kind, name, errors)
    }

    fn invalid_as(shown: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let mut texts: Vec<String> = Vec::new();
        for error in errors {
            let text = error.to_string();
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        let list = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let mut status = Self::new(
            Reason::Invalid,
            format!("{shown}\"{name}\" is invalid: {list}"),
        )
        .about(kind, name);
        status.causes = errors
            .iter()
            .map(|error| Cause {
                reason: error.cause().to_owned(),
                message: error.body(),
                field: error.path.clone(),
            })
            .collect();
        status
    }

    pub(crate) fn to_status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason.as_str(),
            "code": self.reason.http_code(),
        });
        if !self.kind.is_empty() || !self.causes.is_empty() {
            let causes: Vec<Value> = self
                .causes
                .iter()
                .map(|cause| json!({"reason": cause.reason, "message": cause.message, "field": cause.field}))
                .collect();
            status["details"] = json!({"name": self.name, "kind": self.kind, "causes": causes});
        }
        status
    }

    /// Reads a `Status` document; anything else becomes an internal error that quotes the HTTP code.
    pub(crate) fn from_status(http_code: u16, body: &Value) -> Self {
        let text = |pointer: &str| {
            body.pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let reason = text("/reason");
        let reason = Reason::ALL
            .into_iter()
            .find(|known| known.as_str() == reason)
            .or_else(|| {
                Reason::ALL
                    .into_iter()
                    .find(|known| known.http_code() == http_code)
            });
        let causes = body
            .pointer("/details/causes")
            .and_then(Value::as_array)
            .map_or_else(Vec::new, |causes| {
                let field =
                    |cause: &Value, key: &str| cause[key].as_str().unwrap_or_default().to_owned();
                causes
                    .iter()
                    .map(|cause| Cause {
                        reason: field(cause, "reason"),
                        message: field(cause, "message"),
                        field: field(cause, "field"),
                    })
                    .collect()
            });
        let message = match text("/message") {
            empty if empty.is_empty() => {
                format!("the server answered with HTTP status {http_code}")
            }
            message => message,
        };
        Self {
            reason: reason.unwrap_or(Reason::InternalError),
            message,
            kind: text("/details/kind"),
            name: text("/details/name"),
            causes,
        }
    }
}
