use serde_json::Value;

use super::console::Console;
use super::files::Validate;
use crate::manifest::Document;
use crate::model::Kind;
use crate::model::decode::{self, DecodeError};

/// `file:line:column` of a field, or of its nearest written parent.
pub(super) fn place(document: &Document, path: &str) -> String {
    match document.position(path) {
        Some((line, column)) => format!("{}:{line}:{column}", document.source),
        None => document.source.clone(),
    }
}

/// Every wrong type and every unknown field of a document, unless `validate` lets unknown fields pass.
pub(super) fn check(
    document: &Document,
    kind: Kind,
    validate: Validate,
    console: &mut Console,
) -> Result<(), String> {
    let (wrong, unknown) = decode_errors(document);
    let unknown_text = |path: &String| format!("unknown field \"{path}\"");
    let unknown_line = |path: &String| format!("{}: {}", place(document, path), unknown_text(path));
    let refused_unknown = match validate {
        Validate::Strict => unknown.as_slice(),
        Validate::Warn => {
            for path in &unknown {
                console.note(&format!("Warning: {}", unknown_line(path)));
            }
            &[]
        }
        Validate::Ignore => &[],
    };
    if wrong.is_empty() && refused_unknown.is_empty() {
        return Ok(());
    }
    let headline = if let Some((path, problem)) = first_of_kubectl(&wrong) {
        wrong_type_text(&document.source, kind, path, problem)
    } else {
        let list: Vec<String> = refused_unknown.iter().map(unknown_text).collect();
        let problem = format!("strict decoding error: {}", list.join(", "));
        refused_text(&document.source, kind, &problem)
    };
    let mut lines = vec![headline];
    lines.extend(
        wrong
            .iter()
            .map(|(path, problem)| format!("{}: {path}: {problem}", place(document, path))),
    );
    lines.extend(refused_unknown.iter().map(unknown_line));
    Err(lines.join("\n"))
}

/// The one wrong type that kubectl prints: it sends fields in the order of their names, and decoders keep the
/// first mistake and, because of it, name no unknown fields. Mistakes in metadata are found before sending.
fn first_of_kubectl(wrong: &[(String, String)]) -> Option<&(String, String)> {
    let is_sent = |path: &str| !is_metadata(path);
    wrong.iter().min_by(|(left, _), (right, _)| {
        is_sent(left)
            .cmp(&is_sent(right))
            .then_with(|| steps(left).cmp(&steps(right)))
    })
}

fn is_metadata(path: &str) -> bool {
    path == "metadata" || path.starts_with("metadata.")
}

/// The steps of `spec.containers[10].name`, so that indices compare as numbers.
fn steps(path: &str) -> Vec<(usize, &str)> {
    path.split(['.', '['])
        .map(
            |step| match step.strip_suffix(']').map(str::parse::<usize>) {
                Some(Ok(index)) => (index, ""),
                _ => (0, step),
            },
        )
        .collect()
}

fn wrong_type_text(source: &str, kind: Kind, path: &str, problem: &str) -> String {
    if is_metadata(path) {
        // The client reads the metadata of any kind by a type of its own.
        let whole = format!("Go struct field {}.metadata ", kind.as_str());
        let problem = problem.replace(&whole, "Go struct field metadataOnlyObject.metadata ");
        return format!("error: unable to decode \"{source}\": {problem}");
    }
    refused_text(source, kind, problem)
}

fn refused_text(source: &str, kind: Kind, problem: &str) -> String {
    let (name, version) = (kind.as_str(), kind.version());
    format!(
        "Error from server (BadRequest): error when creating \"{source}\": {name} in version \"{version}\" cannot be handled as a \
         {name}: {problem}"
    )
}

/// Wrong types as path and problem, and paths of unknown fields. A decoder stops at the first wrong type,
/// so what it stumbled over is taken out and the rest is decoded again.
fn decode_errors(document: &Document) -> (Vec<(String, String)>, Vec<String>) {
    const ENOUGH: usize = 50;

    let mut value = document.value.clone();
    let mut wrong = Vec::new();
    loop {
        let error = match decode::decode(value.clone()) {
            Ok(decoded) => return (wrong, decoded.unknown_fields),
            Err(error) => error,
        };
        let path = error.path().to_owned();
        let problem = match error {
            DecodeError::WrongType { problem, .. } => problem,
            other => other.to_string(),
        };
        let removed = take_out(&mut value, &path);
        wrong.push((path, problem));
        if !removed || wrong.len() >= ENOUGH {
            return (wrong, Vec::new());
        }
    }
}

/// Removes the field at a path such as `spec.containers[0].command`; an element of a list becomes null, so
/// that its neighbours keep their numbers. `false` when there is nothing to take out.
fn take_out(value: &mut Value, path: &str) -> bool {
    let path = path.replace('[', ".[");
    let mut steps = path.split('.').filter(|step| !step.is_empty()).peekable();
    let mut current = value;
    while let Some(step) = steps.next() {
        let key = step
            .strip_prefix('[')
            .and_then(|step| step.strip_suffix(']'));
        let index = key.and_then(|key| key.parse::<usize>().ok());
        let key = key.unwrap_or(step);
        if steps.peek().is_none()
            && let Some(fields) = current.as_object_mut()
        {
            // Null would not do: the values of a map (limits, data) must not be null.
            return fields.shift_remove(key).is_some();
        }
        let next = match index {
            Some(index) => current.get_mut(index),
            None => current.get_mut(key),
        };
        let Some(next) = next else { return false };
        current = next;
    }
    !std::mem::take(current).is_null()
}

/// Why a document has no kind that exists here, in kubectl's words and with its place.
pub(super) fn kind_text(document: &Document, error: &DecodeError) -> String {
    let source = &document.source;
    let place = place(document, error.path());
    match error {
        DecodeError::UnknownKind { .. } => {
            let text = |pointer: &str| {
                document
                    .value
                    .pointer(pointer)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
            };
            let (name, namespace) = (text("/metadata/name"), text("/metadata/namespace"));
            format!(
                "error: resource mapping not found for name: \"{name}\" namespace: \"{namespace}\" from \"{source}\": {error}\n\
                 ensure CRDs are installed first\n{place}: {error}"
            )
        }
        _ => format!(
            "error: error validating \"{source}\": {error}; if you choose to ignore these errors, turn validation off with \
             --validate=false\n{place}: {error}"
        ),
    }
}
