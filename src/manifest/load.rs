use super::document::Places;
use super::{Diagnostic, Document, Severity, yaml};

/// What a text holds: the objects that could be read, and what is wrong with the rest.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LoadResult {
    pub(crate) documents: Vec<Document>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

pub(crate) fn load(text: &str, source: &str) -> LoadResult {
    match yaml::read(text) {
        Ok(values) => {
            let documents = values.into_iter().map(|value| Document {
                value,
                source: source.to_owned(),
                places: Places::default(),
            });
            LoadResult {
                documents: documents.collect(),
                diagnostics: Vec::new(),
            }
        }
        Err(message) => LoadResult {
            documents: Vec::new(),
            diagnostics: vec![Diagnostic {
                source: source.to_owned(),
                line: 0,
                column: 0,
                severity: Severity::Error,
                path: String::new(),
                message,
            }],
        },
    }
}
