//! `diff`: what `apply` would change, as the server sees it, shown by diff(1) or `KUBECTL_EXTERNAL_DIFF`.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use serde_json::Value;

use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::files::{FileArgs, Manifest, Validate, load};
use crate::client::{Client, Patch, WriteOptions};
use crate::manifest;
use crate::model::applied::{APPLIED_TEXT, LAST_APPLIED, apply_patch, last_applied};
use crate::model::{Kind, Object, Reason};

/// kubectl's: 1 says that there are differences.
const TROUBLE: u8 = 2;

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    files: FileArgs,
}

pub(crate) async fn diff(context: &mut Context, args: DiffArgs) -> Result<(), Failure> {
    match show(context, &args).await {
        Ok(0) => Ok(()),
        Ok(code) => Err(Failure::Exit(code)),
        Err(failure @ Failure::Output(_)) => Err(failure),
        Err(failure) => {
            failure.report(&mut context.console);
            Err(Failure::Exit(TROUBLE))
        }
    }
}

/// The exit code of the program that shows the difference.
async fn show(context: &mut Context, args: &DiffArgs) -> Result<u8, Failure> {
    let namespace = context.given_namespace.clone();
    let manifests = load(
        &args.files,
        Validate::Strict,
        namespace.as_deref(),
        &mut context.console,
    )?;
    let client = context.client().await?;
    let versions = Versions::new()?;
    for manifest in &manifests {
        let (mut live, mut merged) = both(&*client, manifest).await?;
        if manifest.kind == Kind::Secret {
            mask(&mut live, &mut merged);
        }
        let key = &manifest.key;
        let (group, version) = match manifest.kind.api_version().rsplit_once('/') {
            Some((group, version)) => (format!("{group}."), version),
            None => (String::new(), manifest.kind.api_version()),
        };
        let name = format!(
            "{group}{version}.{}.{}.{}",
            manifest.kind.as_str(),
            key.namespace.as_deref().unwrap_or_default(),
            key.name
        );
        versions.write("LIVE", &name, live.as_ref())?;
        versions.write("MERGED", &name, merged.as_ref())?;
    }
    versions.compare(context)
}

/// The object as it is, if it is, and as it would be.
async fn both(
    client: &dyn Client,
    manifest: &Manifest,
) -> Result<(Option<Value>, Option<Value>), Failure> {
    let options = WriteOptions {
        dry_run: true,
        field_validation: Validate::Strict.on_server(),
        ..WriteOptions::default()
    };
    let live = match client.get(&manifest.key).await {
        Ok(live) => Some(live),
        Err(error) if error.reason == Reason::NotFound => None,
        Err(error) => return Err(manifest.failure("retrieving current configuration of", &error)),
    };
    let Some(live) = live else {
        let written = client.create(manifest.value.clone(), options).await;
        let written = written.map_err(|error| manifest.failure("creating", &error))?;
        return Ok((None, Some(plain(&written.object))));
    };
    let mut patch = apply_patch(
        &last_applied(&live).unwrap_or_else(|| Value::Object(serde_json::Map::new())),
        &live,
        &manifest.value,
        manifest.document.text(),
    );
    // What apply notes for itself is no difference.
    forget_notes(&mut patch);
    if patch.as_object().is_none_or(serde_json::Map::is_empty) {
        return Ok((Some(plain(&live)), Some(plain(&live))));
    }
    let written = client
        .patch(&manifest.key, Patch::Strategic(patch), options)
        .await
        .map_err(|error| manifest.failure("applying patch to", &error))?;
    Ok((Some(plain(&live)), Some(plain(&written.object))))
}

fn forget_notes(patch: &mut Value) {
    let Some(meta) = patch
        .pointer_mut("/metadata")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    if let Some(annotations) = meta.get_mut("annotations").and_then(Value::as_object_mut) {
        for note in [LAST_APPLIED, APPLIED_TEXT] {
            annotations.shift_remove(note);
        }
        if annotations.is_empty() {
            meta.shift_remove("annotations");
        }
    }
    if meta.is_empty()
        && let Some(patch) = patch.as_object_mut()
    {
        patch.shift_remove("metadata");
    }
}

fn plain(object: &Object) -> Value {
    let mut value = object.to_value();
    if let Some(meta) = value
        .pointer_mut("/metadata")
        .and_then(Value::as_object_mut)
    {
        meta.shift_remove("managedFields");
    }
    value
}

/// Values of secrets show only whether they differ.
fn mask(live: &mut Option<Value>, merged: &mut Option<Value>) {
    const SAME: &str = "***";
    fn data(value: &mut Option<Value>) -> Option<&mut serde_json::Map<String, Value>> {
        value.as_mut()?.pointer_mut("/data")?.as_object_mut()
    }
    let others = data(merged).cloned().unwrap_or_default();
    let before = data(live).cloned().unwrap_or_default();
    if let Some(data) = data(live) {
        for (key, value) in data.iter_mut() {
            let differs = others.get(key).is_some_and(|other| other != value);
            *value = Value::from(if differs { "*** (before)" } else { SAME });
        }
    }
    if let Some(data) = data(merged) {
        for (key, value) in data.iter_mut() {
            let differs = before.get(key).is_some_and(|other| other != value);
            *value = Value::from(if differs { "*** (after)" } else { SAME });
        }
    }
    // The annotation of apply holds the values once more.
    for object in [live, merged] {
        let annotations = object
            .as_mut()
            .and_then(|object| object.pointer_mut("/metadata/annotations"))
            .and_then(Value::as_object_mut)
            .map(|annotations| annotations.iter_mut());
        for (name, value) in annotations.into_iter().flatten() {
            if [LAST_APPLIED, APPLIED_TEXT].contains(&name.as_str()) {
                *value = Value::from(SAME);
            }
        }
    }
}

/// Two directories of the same files, gone when dropped.
struct Versions {
    directory: PathBuf,
}

impl Versions {
    fn new() -> Result<Self, Failure> {
        let directory = std::env::temp_dir().join(format!("podtui-diff-{}", std::process::id()));
        let make = |path: &Path| {
            let made = std::fs::DirBuilder::new().mode(0o700).create(path);
            made.map_err(|error| cannot("make", path, &error))
        };
        make(&directory)?;
        // From here on it is ours to remove.
        let versions = Self { directory };
        for side in ["LIVE", "MERGED"] {
            make(&versions.directory.join(side))?;
        }
        Ok(versions)
    }

    fn write(&self, side: &str, name: &str, value: Option<&Value>) -> Result<(), Failure> {
        let path = self.directory.join(side).join(name);
        // What is not there yet is null, as kubectl has it.
        let text = manifest::to_yaml(value.unwrap_or(&Value::Null));
        std::fs::write(&path, text).map_err(|error| cannot("write", &path, &error))
    }

    /// Runs the program; what it prints is the output.
    fn compare(&self, context: &mut Context) -> Result<u8, Failure> {
        let own = std::env::var("KUBECTL_EXTERNAL_DIFF").unwrap_or_default();
        let mut words = own.split_whitespace();
        let program = words.next().unwrap_or("diff");
        let mut command = Command::new(program);
        if program == "diff" && own.trim().is_empty() {
            command.args(["-u", "-N"]);
        }
        let output = command
            .args(words)
            .args(["LIVE", "MERGED"].map(|side| self.directory.join(side)))
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| {
                Failure::local(format!(
                    "cannot run {program}: {error}; install diffutils, or name another program in KUBECTL_EXTERNAL_DIFF"
                ))
            })?;
        context
            .console
            .print(&String::from_utf8_lossy(&output.stdout))?;
        Ok(output
            .status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(TROUBLE))
    }
}

impl Drop for Versions {
    fn drop(&mut self) {
        // In the directory for temporary files it does no harm.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::local(format!("cannot {what} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let mut live = Some(json!({"data": {"a": "eA==", "b": "eQ==", "gone": "eg=="}}));
        let mut merged = Some(json!({"data": {"a": "eA==", "b": "enp6", "new": "eg=="}}));
        mask(&mut live, &mut merged);
        assert_eq!(
            live,
            Some(json!({"data": {"a": "***", "b": "*** (before)", "gone": "***"}}))
        );
        assert_eq!(
            merged,
            Some(json!({"data": {"a": "***", "b": "*** (after)", "new": "***"}}))
        );
        let mut none = None;
        mask(&mut none, &mut merged);
        assert_eq!(merged.unwrap()["data"]["b"], "***");
    }
}
