use super::{Diagnostic, Document, Severity};
use crate::model::decode;

/// Decodes a document and reports every wrong type and unknown field with its place.
pub(crate) fn check(document: &Document) -> Vec<Diagnostic> {
    let report = |path: &str, message: String| {
        let (line, column) = document.position(path).unwrap_or_default();
        Diagnostic {
            source: document.source.clone(),
            line,
            column,
            severity: Severity::Error,
            path: path.to_owned(),
            message,
        }
    };
    match decode::decode(document.value.clone()) {
        Ok(decoded) => {
            let unknown = decoded.unknown_fields.iter();
            unknown
                .map(|path| report(path, format!("unknown field \"{path}\"")))
                .collect()
        }
        Err(error) => vec![report(error.path(), error.to_string())],
    }
}
