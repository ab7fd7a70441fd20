use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::console::Console;
use super::diagnose::{check, kind_text, place};
use super::failure::{Failure, api_error_text};
use crate::client::FieldValidation;
use crate::manifest::{self, Document, Severity};
use crate::model::decode;
use crate::model::{ApiError, Kind, ObjectKey, Reason};

/// `-f FILE|DIR|-`, repeatable, and `-R`.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct FileArgs {
    /// File, directory, or - for standard input; may be given several times
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// Process directories recursively
    #[arg(short = 'R', long)]
    pub(super) recursive: bool,
}

/// `--validate`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Validate {
    /// Unknown and duplicate fields are errors
    #[default]
    #[value(alias = "true")]
    Strict,
    /// Unknown fields are warned about
    Warn,
    /// Unknown fields are dropped
    #[value(alias = "false")]
    Ignore,
}

impl Validate {
    pub(super) const fn on_server(self) -> FieldValidation {
        match self {
            Self::Strict => FieldValidation::Strict,
            Self::Warn => FieldValidation::Warn,
            Self::Ignore => FieldValidation::Ignore,
        }
    }
}

/// One object of the files, with its kind known and its namespace filled in.
pub(super) struct Manifest {
    pub(super) document: Document,
    pub(super) kind: Kind,
    /// The document's value with `metadata.namespace` set where the kind has one.
    pub(super) value: Value,
    pub(super) key: ObjectKey,
}

impl Manifest {
    fn place(&self, path: &str) -> String {
        place(&self.document, path)
    }

    /// An error of the server about this object: kubectl's text, then a `file:line:column` line per field.
    pub(super) fn failure(&self, doing: &str, error: &ApiError) -> Failure {
        let places = self.places(error);
        let one_of_many = format!(
            "Error from server ({}): error when {doing} \"{}\": {}",
            error.reason.as_str(),
            self.document.source,
            error.message
        );
        let alone = match error.reason {
            Reason::Invalid if !error.causes.is_empty() => api_error_text(error),
            _ => one_of_many.clone(),
        };
        Failure::Refused {
            alone: alone + &places,
            one_of_many: one_of_many + &places,
        }
    }

    /// What kubectl says it did when the object could not be looked up; the file's name follows.
    pub(super) fn looking_up(&self) -> String {
        let kind = self.kind;
        let (group, version) = (kind.group(), kind.version());
        format!(
            "retrieving current configuration of:\n\
             Resource: \"{group}/{version}, Resource={}\", GroupVersionKind: \"{group}/{version}, Kind={}\"\n\
             Name: \"{}\", Namespace: \"{}\"\n\
             from server for:",
            kind.plural(),
            kind.as_str(),
            self.key.name,
            self.key.namespace.as_deref().unwrap_or_default()
        )
    }

    /// What to create: the version that an export carries is nobody's business then, as in kubectl.
    pub(super) fn without_version(value: &Value) -> Value {
        let mut value = value.clone();
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.shift_remove("resourceVersion");
        }
        value
    }

    /// A line of its own for each field that the error is about.
    fn places(&self, error: &ApiError) -> String {
        let source = &self.document.source;
        let mut text = String::new();
        if error.causes.is_empty() && matches!(error.reason, Reason::Invalid | Reason::BadRequest) {
            write!(text, "\n{}: {}", self.place("metadata.name"), error.message)
                .expect("writing to a String cannot fail");
        }
        let mut lines: Vec<String> = Vec::new();
        for cause in error.causes.iter().filter(|cause| !cause.field.is_empty()) {
            let changed = changed_fields(&cause.message);
            if changed.is_empty() {
                lines.push(format!(
                    "{}: {}: {}",
                    self.place(&cause.field),
                    cause.field,
                    cause.message
                ));
            }
            lines.extend(changed.iter().map(|field| {
                format!(
                    "{}: {field}: cannot be changed while the object exists; `podtui replace --force -f {source}` deletes and \
                     recreates it",
                    self.place(field)
                )
            }));
        }
        let mut said: Vec<&String> = Vec::new();
        for line in &lines {
            if !said.contains(&line) {
                write!(text, "\n{line}").expect("writing to a String cannot fail");
                said.push(line);
            }
        }
        text
    }
}

/// The fields in the difference that a refused update carries: `- spec.x: "old"` and `+ spec.x: "new"`.
fn changed_fields(message: &str) -> Vec<&str> {
    let mut fields = Vec::new();
    for line in message.lines().skip(1) {
        let change = line.strip_prefix("- ").or_else(|| line.strip_prefix("+ "));
        if let Some((field, _)) = change.and_then(|change| change.split_once(": "))
            && !fields.contains(&field)
        {
            fields.push(field);
        }
    }
    fields
}

/// As [`load`], for a verb that has nothing to do without an object.
pub(super) fn load_for(
    verb: &str,
    args: &FileArgs,
    validate: Validate,
    given_namespace: Option<&str>,
    console: &mut Console,
) -> Result<Vec<Manifest>, Failure> {
    let manifests = load_any(args, validate, given_namespace, console)?;
    if manifests.is_empty() {
        return Err(Failure::local(format!("no objects passed to {verb}")));
    }
    Ok(manifests)
}

/// Reads and decodes all objects of the files. Every mistake of every file is reported at once; nothing
/// is returned unless all of them can be used.
pub(super) fn load(
    args: &FileArgs,
    validate: Validate,
    given_namespace: Option<&str>,
    console: &mut Console,
) -> Result<Vec<Manifest>, Failure> {
    let manifests = load_any(args, validate, given_namespace, console)?;
    if manifests.is_empty() {
        return Err(Failure::local("no objects found in the given files"));
    }
    Ok(manifests)
}

fn load_any(
    args: &FileArgs,
    validate: Validate,
    given_namespace: Option<&str>,
    console: &mut Console,
) -> Result<Vec<Manifest>, Failure> {
    if args.files.is_empty() {
        return Err(Failure::local("must specify -f FILE"));
    }
    let mut manifests = Vec::new();
    let mut problems: Vec<String> = Vec::new();
    let mut files = Vec::new();
    for file in &args.files {
        match expand(file, args.recursive) {
            Ok(found) => files.extend(found),
            Err(failure) => problems.push(failure.text()),
        }
    }
    for file in files {
        let (name, text) = match read(&file, console) {
            Ok(content) => content,
            Err(failure) => {
                problems.push(failure.text());
                continue;
            }
        };
        let result = manifest::load(&text, &name);
        for diagnostic in &result.diagnostics {
            match diagnostic.severity {
                Severity::Error => {
                    problems.push(format!("error: error parsing {name}: {diagnostic}"))
                }
                Severity::Warning => console.note(&format!("Warning: {diagnostic}")),
            }
        }
        for document in result.documents {
            match accept(document, validate, given_namespace, console) {
                Ok(manifest) => manifests.push(manifest),
                Err(problem) => problems.push(problem),
            }
        }
    }
    if !problems.is_empty() {
        return Err(Failure::Text(problems.join("\n")));
    }
    Ok(manifests)
}

/// The files behind one `-f`.
fn expand(path: &Path, recursive: bool) -> Result<Vec<PathBuf>, Failure> {
    if path == Path::new("-") {
        return Ok(vec![path.to_owned()]);
    }
    let text = path.display().to_string();
    if text.starts_with("http://") || text.starts_with("https://") {
        return Err(Failure::local(format!(
            "{text}: URLs are not supported yet; download the file and pass it, or pipe it to -f -"
        )));
    }
    let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Failure::local(format!("the path \"{text}\" does not exist"))
        }
        _ => Failure::local(format!("the path \"{text}\" cannot be accessed: {error}")),
    })?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    list(path, recursive, &mut files)?;
    if files.is_empty() {
        return Err(Failure::local(format!(
            "error reading [{text}]: recognized file extensions are [.json .yaml .yml]"
        )));
    }
    Ok(files)
}

fn list(directory: &Path, recursive: bool, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::local(format!(
            "cannot read directory {}: {error}",
            directory.display()
        ))
    };
    let mut entries = std::fs::read_dir(directory)
        .map_err(failed)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        // `-f .` names files as `kubectl` does, without `./`.
        let path = entry.path();
        let path = path
            .strip_prefix(".")
            .map_or_else(|_| path.clone(), Path::to_owned);
        // Symbolic links to files are followed, links to directories are not: they could form a circle.
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            if recursive {
                list(&path, recursive, files)?;
            }
            continue;
        }
        let extension = path.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("yaml" | "yml" | "json")) && path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

/// Larger files are refused before they are read into memory.
const MAX_BYTES: u64 = 64 << 20;

fn read(path: &Path, console: &mut Console) -> Result<(String, String), Failure> {
    let name = path.display().to_string();
    let failed = |error: std::io::Error| Failure::local(format!("cannot read {name}: {error}"));
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        let input = console.take_input().ok_or_else(|| {
            Failure::local("standard input cannot be used for multiple arguments")
        })?;
        input
            .take(MAX_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
    } else {
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(MAX_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
    }
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_BYTES {
        return Err(Failure::local(format!(
            "{name} is larger than {} MiB",
            MAX_BYTES >> 20
        )));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.split(|&byte| byte == b'\n').count();
        Failure::local(format!(
            "error parsing {name}: {name}:{line}:1: this line is not UTF-8 text"
        ))
    })?;
    Ok((name, text))
}

fn accept(
    document: Document,
    validate: Validate,
    given_namespace: Option<&str>,
    console: &mut Console,
) -> Result<Manifest, String> {
    let kind = decode::kind_of(&document.value).map_err(|error| kind_text(&document, &error))?;
    check(&document, kind, validate, console)?;
    let mut value = document.value.clone();
    let name = value
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let written = value
        .pointer("/metadata/namespace")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    if kind.is_namespaced() {
        if let Some(given) = given_namespace
            && !written.is_empty()
            && written != given
        {
            return Err(format!(
                "error: the namespace from the provided object \"{written}\" does not match the namespace \"{given}\". You \
                 must pass '--namespace={written}' to perform this operation.\n{}: metadata.namespace",
                place(&document, "metadata.namespace")
            ));
        }
        let namespace = match (written.is_empty(), given_namespace) {
            (false, _) => written.as_str(),
            (true, Some(given)) => given,
            (true, None) => "default",
        };
        if !value.get("metadata").is_some_and(Value::is_object) {
            value["metadata"] = json!({});
        }
        value["metadata"]["namespace"] = Value::String(namespace.to_owned());
    }
    let namespace = value
        .pointer("/metadata/namespace")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let key = ObjectKey::new(kind, namespace, &name);
    Ok(Manifest {
        document,
        kind,
        value,
        key,
    })
}
