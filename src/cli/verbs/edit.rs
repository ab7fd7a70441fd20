//! `edit`: the live object in the user's editor, as kubectl does it.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use crate::cli::context::Context;
use crate::cli::failure::{Failure, finish};
use crate::cli::files::{FileArgs, Validate, load};
use crate::cli::resources::{Target, parse_subresource, parse_targets};
use crate::client::{Client, Patch, WriteOptions};
use crate::manifest;
use crate::model::decode;
use crate::model::patch::three_way;
use crate::model::{ApiError, Object, ObjectKey, Reason, Subresource};

#[derive(Debug, Args)]
pub(crate) struct EditArgs {
    /// KIND NAME… or KIND/NAME…; several are edited one after the other
    #[arg(value_name = "KIND NAME")]
    words: Vec<String>,
    #[command(flatten)]
    files: FileArgs,
    /// The form of the text
    #[arg(
        short = 'o',
        long,
        value_enum,
        default_value = "yaml",
        value_name = "FORMAT"
    )]
    output: Form,
    /// What unknown fields are: errors (strict), warnings (warn) or nothing (ignore)
    #[arg(long, value_enum, default_value = "strict", num_args = 0..=1, default_missing_value = "strict", require_equals = true)]
    validate: Validate,
    /// Edit only this part: status, resize or ephemeralcontainers
    #[arg(long, value_name = "PART", value_parser = parse_subresource)]
    subresource: Option<Subresource>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    Yaml,
    Json,
}

/// Opens every object in `$KUBE_EDITOR`, `$EDITOR` or `vi` and sends what was changed.
pub(crate) async fn edit(context: &mut Context, args: EditArgs) -> Result<(), Failure> {
    let keys = keys(context, &args)?;
    let client = context.client().await?;
    let mut failures = Vec::new();
    for key in &keys {
        match edit_one(context, &*client, key, &args).await {
            Ok(()) => {}
            Err(failure @ Failure::Output(_)) => return Err(failure),
            Err(failure) => failures.push(failure),
        }
    }
    finish(&mut context.console, &failures)
}

fn keys(context: &mut Context, args: &EditArgs) -> Result<Vec<ObjectKey>, Failure> {
    if !args.files.files.is_empty() {
        if !args.words.is_empty() {
            return Err(Failure::local(
                "when files are given as arguments, names are not",
            ));
        }
        let given = context.given_namespace.clone();
        let manifests = load(
            &args.files,
            Validate::Ignore,
            given.as_deref(),
            &mut context.console,
        )?;
        return Ok(manifests.into_iter().map(|manifest| manifest.key).collect());
    }
    if args.words.is_empty() {
        return Err(Failure::local(
            "must specify KIND NAME, KIND/NAME or -f FILE",
        ));
    }
    let namespace = context.namespace();
    let targets = parse_targets(&args.words)?.into_iter();
    targets
        .map(|target| match target {
            Target::Name(kind, name) => Ok(ObjectKey::new(kind, &namespace, &name)),
            Target::Kind(kind) => Err(Failure::local(format!(
                "say which {} to edit: podtui edit {} NAME",
                kind.singular(),
                kind.singular()
            ))),
        })
        .collect()
}

const HEADER: &str = "# Please edit the object below. Lines beginning with a '#' will be ignored,\n\
    # and an empty file will abort the edit. If an error occurs while saving this file will be\n\
    # reopened with the relevant failures.\n#\n";

/// What to do with a file that comes back from the editor.
#[derive(Debug, PartialEq)]
enum Returned {
    NoChanges,
    Empty,
    /// The same text that was refused before.
    StillWrong,
    /// Reopen, with this reason.
    Unusable(String),
    Edited(Value),
}

/// `opened` is the text that the editor was given, `refused` whether it held a refused edit.
fn judge(original: &Value, opened: &str, returned: &str, refused: bool) -> Returned {
    let own = |text: &str| -> String {
        let lines = text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'));
        lines
            .map(|line| format!("{}\n", line.trim_end_matches('\r')))
            .collect()
    };
    let (before, after) = (own(opened), own(returned));
    if after.trim().is_empty() {
        return Returned::Empty;
    }
    if before == after {
        return if refused {
            Returned::StillWrong
        } else {
            Returned::NoChanges
        };
    }
    let mut loaded = manifest::load(returned, "");
    if let Some(problem) = loaded.diagnostics.first() {
        let text = format!(
            "The edited file had a syntax error: line {}: {}",
            problem.line, problem.message
        );
        return Returned::Unusable(text);
    }
    if loaded.documents.len() != 1 {
        return Returned::Unusable("The edited file must hold exactly one object".to_owned());
    }
    let edited = loaded.documents.remove(0).value;
    let identity = |value: &Value| {
        [
            "/apiVersion",
            "/kind",
            "/metadata/name",
            "/metadata/namespace",
        ]
        .map(|pointer| value.pointer(pointer).cloned())
    };
    if identity(&edited) != identity(original) {
        return Returned::Unusable(
            "At least one of apiVersion, kind and name was changed".to_owned(),
        );
    }
    if edited == *original {
        return Returned::NoChanges;
    }
    Returned::Edited(edited)
}

async fn edit_one(
    context: &mut Context,
    client: &dyn Client,
    key: &ObjectKey,
    args: &EditArgs,
) -> Result<(), Failure> {
    let live = client.get(key).await?;
    let original = live.to_value();
    let body = match args.output {
        Form::Yaml => manifest::to_yaml(&original),
        Form::Json => format!(
            "{}\n",
            serde_json::to_string_pretty(&original).unwrap_or_default()
        ),
    };
    let file = TemporaryFile::create(args.output)?;
    let mut text = format!("{HEADER}{body}");
    let mut refused = false;
    loop {
        file.write(&text)?;
        run_editor(file.path())?;
        let returned = file.read()?;
        let reasons = match judge(&original, &text, &returned, refused) {
            Returned::NoChanges => {
                context.console.note("Edit cancelled, no changes made.");
                return Ok(());
            }
            Returned::Empty => {
                context
                    .console
                    .note("Edit cancelled, saved file was empty.");
                return Ok(());
            }
            Returned::StillWrong => {
                let failure = Failure::local("Edit cancelled, no valid changes were saved.");
                return Err(preserve(context, file, failure));
            }
            Returned::Unusable(reason) => vec![reason],
            Returned::Edited(edited) => {
                match send(context, client, &live, &original, &edited, args).await {
                    Ok(()) => return context.console.print(&format!("{key} edited\n")),
                    Err(error) if error.reason == Reason::NotFound => {
                        let text = format!(
                            "{} \"{}\" could not be found on the server",
                            key.kind.qualified_plural(),
                            key.name
                        );
                        return Err(preserve(context, file, Failure::local(text)));
                    }
                    // Nothing in the text would make these better.
                    Err(error) if !is_about_the_text(error.reason) => {
                        return Err(preserve(context, file, error.into()));
                    }
                    Err(error) => {
                        let invalid = format!(
                            "error: {} \"{}\" is invalid",
                            key.kind.qualified_plural(),
                            key.name
                        );
                        context.console.note(&invalid);
                        reasons(key, &error)
                    }
                }
            }
        };
        refused = true;
        text = reopened(&reasons, &returned);
    }
}

const fn is_about_the_text(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Invalid
            | Reason::BadRequest
            | Reason::Conflict
            | Reason::Forbidden
            | Reason::TooLarge
    )
}

fn reasons(key: &ObjectKey, error: &ApiError) -> Vec<String> {
    let mut lines = vec![format!(
        "{} \"{}\" was not valid:",
        key.kind.qualified_plural(),
        key.name
    )];
    if error.causes.is_empty() {
        lines.push(format!("* {}", error.message));
    }
    for cause in &error.causes {
        lines.push(format!("* {}: {}", cause.field, cause.message));
    }
    lines
}

/// The edited text under a new header that says what is wrong with it.
fn reopened(reasons: &[String], returned: &str) -> String {
    let mut text = HEADER.to_owned();
    for line in reasons.iter().flat_map(|reason| reason.lines()) {
        text.push_str(&format!("# {line}\n"));
    }
    text.push_str("#\n");
    // The header of the last round is at the top; comments further down are the user's.
    let body = returned.lines().skip_while(|line| line.starts_with('#'));
    text.extend(body.map(|line| format!("{line}\n")));
    text
}

async fn send(
    context: &mut Context,
    client: &dyn Client,
    live: &Object,
    original: &Value,
    edited: &Value,
    args: &EditArgs,
) -> Result<(), ApiError> {
    let wrong = |error: &dyn std::fmt::Display| ApiError::bad_request(error.to_string());
    let decoded = decode::decode(edited.clone()).map_err(|error| wrong(&error))?;
    if let (Validate::Strict, Some(error)) = (args.validate, decoded.strict_error()) {
        return Err(ApiError::bad_request(error));
    }
    let patch = three_way(live.kind(), original, original, edited);
    let options = WriteOptions {
        dry_run: false,
        field_validation: args.validate.on_server(),
        subresource: args.subresource,
        ..WriteOptions::default()
    };
    let written = client
        .patch(&live.key(), Patch::Strategic(patch), options)
        .await?;
    context.console.warnings(&written.warnings);
    Ok(())
}

/// The file stays, and the user hears where.
fn preserve(context: &mut Context, file: TemporaryFile, failure: Failure) -> Failure {
    let path = file.keep();
    context.console.note(&format!(
        "A copy of your changes has been stored to \"{}\"",
        path.display()
    ));
    failure
}

fn run_editor(path: &Path) -> Result<(), Failure> {
    let variable = |name: &str| {
        std::env::var(name)
            .ok()
            .filter(|value| !value.trim().is_empty())
    };
    let editor = variable("KUBE_EDITOR").or_else(|| variable("EDITOR"));
    let editor = editor.unwrap_or_else(|| "vi".to_owned());
    // Through a shell: the variable may hold arguments.
    let status = std::process::Command::new("/bin/sh")
        .args(["-c", &format!("{editor} \"$1\""), "sh"])
        .arg(path)
        .status()
        .map_err(|error| {
            Failure::local(format!("unable to launch the editor \"{editor}\": {error}"))
        })?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::local(format!(
        "there was a problem with the editor \"{editor}\": {status}"
    )))
}

/// Readable for nobody else (it may be a secret); removed unless it is kept.
struct TemporaryFile {
    path: PathBuf,
}

impl TemporaryFile {
    fn create(form: Form) -> Result<Self, Failure> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let extension = match form {
            Form::Yaml => "yaml",
            Form::Json => "json",
        };
        let random = crate::base::Uid::random();
        let number = random.as_str().split('-').next().unwrap_or_default();
        let path = std::env::temp_dir().join(format!("podtui-edit-{number}.{extension}"));
        let mut options = std::fs::OpenOptions::new();
        // `create_new` follows no link that somebody put there.
        let created = options.write(true).create_new(true).mode(0o600).open(&path);
        created.map_err(|error| failed(&path, &error))?;
        Ok(Self { path })
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn write(&self, text: &str) -> Result<(), Failure> {
        let mut options = std::fs::OpenOptions::new();
        let opened = options
            .write(true)
            .truncate(true)
            .create(true)
            .open(&self.path);
        let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| failed(&self.path, &error))
    }

    fn read(&self) -> Result<String, Failure> {
        std::fs::read_to_string(&self.path).map_err(|error| failed(&self.path, &error))
    }

    fn keep(mut self) -> PathBuf {
        std::mem::take(&mut self.path)
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            // It may be gone already; there is nothing else to do about it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::local(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn original() -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "d"}, "data": {"a": "1"}})
    }

    #[track_caller]
    fn check(change: impl Fn(&str) -> String, refused: bool, expected: Returned) {
        let opened = format!("{HEADER}{}", manifest::to_yaml(&original()));
        assert_eq!(
            judge(&original(), &opened, &change(&opened), refused),
            expected
        );
    }

    #[test]
    fn what_comes_back() {
        check(str::to_owned, false, Returned::NoChanges);
        check(str::to_owned, true, Returned::StillWrong);
        check(|text| format!("# more\n{text}"), false, Returned::NoChanges);
        check(|_| "# nothing\n\n".to_owned(), false, Returned::Empty);
        check(
            |text| text.replace("a: ", "'a': "),
            false,
            Returned::NoChanges,
        );
        let mut edited = original();
        edited["data"]["a"] = json!("2");
        check(
            |text| text.replace("\"1\"", "\"2\""),
            false,
            Returned::Edited(edited),
        );
        let identity = "At least one of apiVersion, kind and name was changed";
        check(
            |text| text.replace("name: c", "name: x"),
            false,
            Returned::Unusable(identity.to_owned()),
        );
        let unusable = |text: &str| judge(&original(), "", text, false);
        assert!(
            matches!(unusable("a: [\n"), Returned::Unusable(text) if text.contains("syntax error: line"))
        );
        assert!(
            matches!(unusable("a: 1\n---\nb: 2\n"), Returned::Unusable(text) if text.contains("exactly one"))
        );
    }

    #[test]
    fn a_reopened_file_has_one_header() {
        let once = reopened(&["first".to_owned()], &format!("{HEADER}a: 1\n# mine\n"));
        let twice = reopened(&["second\nline".to_owned()], &once);
        assert_eq!(
            twice,
            format!("{HEADER}# second\n# line\n#\na: 1\n# mine\n")
        );
    }
}
