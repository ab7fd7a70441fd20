use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::expand_home;
use crate::client::{Client, WriteOptions, Written};
use crate::manifest::{Diagnostic, Document, Severity, check, load};
use crate::model::applied::with_applied;
use crate::model::{ApiError, Kind};
use crate::tui::msg::Reply;

/// Manifests larger than this are a mistake.
const MAX_BYTES: u64 = 16 << 20;

/// Creates every object of a file, or of the manifests of a directory. If any document cannot be read,
/// nothing is created at all.
pub(in crate::tui) async fn create(
    client: Arc<dyn Client>,
    path: String,
    namespace: String,
) -> Reply {
    let (mut created, mut warnings) = (Vec::new(), Vec::new());
    let place = expand_home(&path);
    let read = tokio::task::spawn_blocking(move || read_all(&place)).await;
    let (documents, mut problems) =
        read.unwrap_or_else(|error| (Vec::new(), vec![error.to_string()]));
    if problems.is_empty() {
        for document in &documents {
            match create_one(&*client, document, &namespace).await {
                Ok(written) => {
                    created.push(written.object);
                    warnings.extend(written.warnings);
                }
                Err(errors) => problems.extend(errors),
            }
        }
    }
    Reply::Created {
        path,
        created,
        warnings,
        problems,
    }
}

async fn create_one(
    client: &dyn Client,
    document: &Document,
    namespace: &str,
) -> Result<Written, Vec<String>> {
    let mut value = document.value.clone();
    let text = |pointer: &str| {
        value
            .pointer(pointer)
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
    };
    let kind = Kind::from_manifest(text("/apiVersion"), text("/kind"));
    let has_namespace = !text("/metadata/namespace").is_empty();
    if kind.is_some_and(Kind::is_namespaced)
        && !has_namespace
        && let Some(metadata) = value
            .get_mut("metadata")
            .and_then(serde_json::Value::as_object_mut)
    {
        metadata.insert("namespace".to_owned(), namespace.into());
    }
    // As with `apply`, so that a later one knows what was taken out of the file.
    let value = with_applied(&value, document.text());
    client
        .create(value, WriteOptions::default())
        .await
        .map_err(|error| located(document, &error))
}

/// The refusal of the API with the line of every field it names.
fn located(document: &Document, error: &ApiError) -> Vec<String> {
    if error.causes.is_empty() {
        return vec![format!("{}: {error}", document.source)];
    }
    let cause = |cause: &crate::model::Cause| {
        let place = document.position(&cause.field);
        let place = place.map_or_else(String::new, |(line, column)| format!(":{line}:{column}"));
        format!(
            "{}{place}: {}: {}",
            document.source, cause.field, cause.message
        )
    };
    error.causes.iter().map(cause).collect()
}

fn read_all(path: &Path) -> (Vec<Document>, Vec<String>) {
    let mut documents = Vec::new();
    let mut problems = Vec::new();
    let files = match manifests(path) {
        Ok(files) => files,
        Err(problem) => return (documents, vec![problem]),
    };
    for file in files {
        match read(&file) {
            Ok(text) => {
                let loaded = load(&text, &file.display().to_string());
                let found = loaded.documents.iter().flat_map(check).collect::<Vec<_>>();
                let is_error = |diagnostic: &&Diagnostic| diagnostic.severity == Severity::Error;
                problems.extend(
                    loaded
                        .diagnostics
                        .iter()
                        .chain(&found)
                        .filter(is_error)
                        .map(Diagnostic::to_string),
                );
                documents.extend(loaded.documents);
            }
            Err(problem) => problems.push(problem),
        }
    }
    if documents.is_empty() && problems.is_empty() {
        problems.push(format!("{}: there is no object in it", path.display()));
    }
    (documents, problems)
}

fn manifests(path: &Path) -> Result<Vec<PathBuf>, String> {
    let describe = |error: std::io::Error| format!("{}: {error}", path.display());
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files: Vec<PathBuf> = std::fs::read_dir(path)
        .map_err(describe)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let extension = path.extension().and_then(|extension| extension.to_str());
            matches!(extension, Some("yaml" | "yml" | "json"))
        })
        .collect();
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<String, String> {
    let describe = |error: std::io::Error| format!("{}: {error}", path.display());
    let metadata = std::fs::metadata(path).map_err(describe)?;
    // A pipe or a device could block or never end.
    if !metadata.is_file() {
        return Err(format!("{}: it is not a regular file", path.display()));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(describe)?;
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(describe)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!(
            "{}: it is larger than {} MiB",
            path.display(),
            MAX_BYTES >> 20
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        format!("{}: it is not UTF-8 text (byte {valid})", path.display())
    })
}
