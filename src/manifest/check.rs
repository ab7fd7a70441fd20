use super::{Diagnostic, Document};
use crate::model::decode;

/// Decodes a document and reports a wrong type or every unknown field with its place. What defaults and
/// validation find needs admission; [`Document::error`] gives such an error its place.
pub(crate) fn check(document: &Document) -> Vec<Diagnostic> {
    match decode::decode(document.value.clone()) {
        Ok(decoded) => decoded
            .unknown_fields
            .iter()
            .map(|path| document.error(path, format!("unknown field \"{path}\"")))
            .collect(),
        Err(error) => vec![document.error(error.path(), error.to_string())],
    }
}
