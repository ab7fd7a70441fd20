use std::fmt;

use crate::base::quoted;

/// One thing wrong with one field, in the shape of `field.Error` of the Kubernetes API
/// (apimachinery `pkg/util/validation/field`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldError {
    /// `spec.containers[0].name`, `metadata.labels[bad key]`.
    pub(crate) path: String,
    pub(crate) problem: FieldProblem,
    /// What is wanted, in the words of the API; may be empty.
    pub(crate) detail: String,
}

/// Values are held as they are rendered: strings quoted, numbers and booleans bare, structures as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FieldProblem {
    Required,
    Invalid {
        value: String,
    },
    /// The detail is built from `supported`.
    NotSupported {
        value: String,
        supported: Vec<String>,
    },
    Duplicate {
        value: String,
    },
    NotFound {
        value: String,
    },
    Forbidden,
    /// The detail says how many.
    TooLong,
    TooMany {
        count: usize,
    },
}

impl FieldError {
    pub(crate) fn required(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            problem: FieldProblem::Required,
            detail: detail.into(),
        }
    }

    /// `value` must already be rendered; use [`quoted`](Self::quoted) for strings.
    pub(crate) fn invalid(
        path: impl Into<String>,
        value: impl fmt::Display,
        detail: impl Into<String>,
    ) -> Self {
        let problem = FieldProblem::Invalid {
            value: value.to_string(),
        };
        Self {
            path: path.into(),
            problem,
            detail: detail.into(),
        }
    }

    pub(crate) fn invalid_string(
        path: impl Into<String>,
        value: &str,
        detail: impl Into<String>,
    ) -> Self {
        Self::invalid(path, Self::quoted(value), detail)
    }

    pub(crate) fn not_supported(path: impl Into<String>, value: &str, supported: &[&str]) -> Self {
        let supported = supported.iter().map(|&word| word.to_owned()).collect();
        let problem = FieldProblem::NotSupported {
            value: Self::quoted(value),
            supported,
        };
        Self {
            path: path.into(),
            problem,
            detail: String::new(),
        }
    }

    /// As [`not_supported`](Self::not_supported) for a value that is rendered already.
    pub(crate) fn value_not_supported(
        path: impl Into<String>,
        value: String,
        supported: &[&str],
    ) -> Self {
        let supported = supported.iter().map(|&word| word.to_owned()).collect();
        Self {
            path: path.into(),
            problem: FieldProblem::NotSupported { value, supported },
            detail: String::new(),
        }
    }

    pub(crate) fn duplicate(path: impl Into<String>, value: &str) -> Self {
        let problem = FieldProblem::Duplicate {
            value: Self::quoted(value),
        };
        Self {
            path: path.into(),
            problem,
            detail: String::new(),
        }
    }

    pub(crate) fn not_found(path: impl Into<String>, value: &str) -> Self {
        let problem = FieldProblem::NotFound {
            value: Self::quoted(value),
        };
        Self {
            path: path.into(),
            problem,
            detail: String::new(),
        }
    }

    pub(crate) fn forbidden(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            problem: FieldProblem::Forbidden,
            detail: detail.into(),
        }
    }

    pub(crate) fn too_long(path: impl Into<String>, max_bytes: usize) -> Self {
        let detail = format!("may not be more than {max_bytes} bytes");
        Self {
            path: path.into(),
            problem: FieldProblem::TooLong,
            detail,
        }
    }

    pub(crate) fn too_many(path: impl Into<String>, count: usize, most: usize) -> Self {
        Self {
            path: path.into(),
            problem: FieldProblem::TooMany { count },
            detail: format!("must have at most {most} items"),
        }
    }

    /// A string as Go's `%q` renders it.
    pub(crate) fn quoted(value: &str) -> String {
        quoted(value)
    }

    /// The `reason` of a `StatusCause`.
    pub(crate) const fn cause(&self) -> &'static str {
        match self.problem {
            FieldProblem::Required => "FieldValueRequired",
            FieldProblem::Invalid { .. } => "FieldValueInvalid",
            FieldProblem::NotSupported { .. } => "FieldValueNotSupported",
            FieldProblem::Duplicate { .. } => "FieldValueDuplicate",
            FieldProblem::NotFound { .. } => "FieldValueNotFound",
            FieldProblem::Forbidden => "FieldValueForbidden",
            FieldProblem::TooLong => "FieldValueTooLong",
            FieldProblem::TooMany { .. } => "FieldValueTooMany",
        }
    }

    /// The error without its path, e.g. `Required value: must specify a handler type`.
    pub(crate) fn body(&self) -> String {
        let head = match &self.problem {
            FieldProblem::Required => "Required value".to_owned(),
            FieldProblem::Invalid { value } => {
                format!("Invalid value: {value}")
            }
            FieldProblem::NotSupported { value, supported } => {
                let supported: Vec<String> =
                    supported.iter().map(|word| format!("\"{word}\"")).collect();
                return format!(
                    "Unsupported value: {value}: supported values: {}",
                    supported.join(", ")
                );
            }
            FieldProblem::Duplicate { value } => format!("Duplicate value: {value}"),
            FieldProblem::NotFound { value } => format!("Not found: {value}"),
            FieldProblem::Forbidden => "Forbidden".to_owned(),
            FieldProblem::TooLong => "Too long".to_owned(),
            FieldProblem::TooMany { count } => format!("Too many: {count}"),
        };
        if self.detail.is_empty() {
            head
        } else {
            format!("{head}: {}", self.detail)
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.body())
    }
}
