use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::write::{DryRun, WriteArgs};
use crate::cli::context::Context;
use crate::cli::failure::{Failure, finish};
use crate::cli::files::{FileArgs, Validate, load};
use crate::cli::resources::{Target, parse_subresource, parse_targets};
use crate::client::{Client, Patch};
use crate::manifest;
use crate::model::patch::{apply_json, apply_merge, apply_strategic};
use crate::model::{ApiError, Object, ObjectKey, Subresource};

#[derive(Debug, Args)]
pub(crate) struct PatchArgs {
    /// KIND NAME or KIND/NAME
    #[arg(value_name = "KIND NAME")]
    words: Vec<String>,
    #[command(flatten)]
    files: FileArgs,
    /// The patch, as JSON or YAML
    #[arg(short = 'p', long, value_name = "PATCH")]
    patch: Option<String>,
    /// A file with the patch
    #[arg(long, value_name = "FILE", conflicts_with = "patch")]
    patch_file: Option<PathBuf>,
    /// How the patch is meant
    #[arg(
        long = "type",
        value_enum,
        default_value = "strategic",
        value_name = "TYPE"
    )]
    form: Form,
    /// Write only this part: status, resize or ephemeralcontainers
    #[arg(long, value_name = "PART", value_parser = parse_subresource)]
    subresource: Option<Subresource>,
    #[command(flatten)]
    write: WriteArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Json,
    Merge,
    Strategic,
}

impl Form {
    fn of(self, patch: Value) -> Patch {
        match self {
            Self::Json => Patch::Json(patch),
            Self::Merge => Patch::Merge(patch),
            Self::Strategic => Patch::Strategic(patch),
        }
    }
}

pub(crate) async fn patch(context: &mut Context, args: PatchArgs) -> Result<(), Failure> {
    let patch = args.form.of(read_patch(&args)?);
    let keys = keys(context, &args)?;
    let client = context.client().await?;
    let mut failures = Vec::new();
    for key in &keys {
        match patch_one(context, &*client, key, &patch, &args).await {
            Ok(()) => {}
            Err(failure @ Failure::Output(_)) => return Err(failure),
            Err(failure) => failures.push(failure),
        }
    }
    finish(&mut context.console, &failures)
}

fn read_patch(args: &PatchArgs) -> Result<Value, Failure> {
    let text = match (&args.patch, &args.patch_file) {
        (Some(text), _) if !text.is_empty() => text.clone(),
        (_, Some(path)) => std::fs::read_to_string(path)
            .map_err(|error| Failure::local(format!("{}: {error}", path.display())))?,
        _ => {
            return Err(Failure::local(
                "must specify --patch or --patch-file containing the contents of the patch",
            ));
        }
    };
    if let Ok(value) = serde_json::from_str(&text) {
        return Ok(value);
    }
    let mut loaded = manifest::load(&text, "");
    if let Some(problem) = loaded.diagnostics.first() {
        return Err(Failure::local(format!(
            "unable to parse the patch: line {}: {}",
            problem.line, problem.message
        )));
    }
    if loaded.documents.len() != 1 {
        return Err(Failure::local("the patch must be exactly one document"));
    }
    Ok(loaded.documents.remove(0).value)
}

fn keys(context: &mut Context, args: &PatchArgs) -> Result<Vec<ObjectKey>, Failure> {
    if !args.files.files.is_empty() {
        let given = context.given_namespace.clone();
        let console = &mut context.console;
        let manifests = load(&args.files, Validate::Ignore, given.as_deref(), console)?;
        return Ok(manifests.into_iter().map(|manifest| manifest.key).collect());
    }
    let namespace = context.namespace();
    let targets = parse_targets(&args.words)?.into_iter();
    targets
        .map(|target| match target {
            Target::Name(kind, name) => Ok(ObjectKey::new(kind, &namespace, &name)),
            Target::Kind(_) => Err(Failure::local(
                "resource(s) were provided, but no name was specified",
            )),
        })
        .collect()
}

async fn patch_one(
    context: &mut Context,
    client: &dyn Client,
    key: &ObjectKey,
    patch: &Patch,
    args: &PatchArgs,
) -> Result<(), Failure> {
    let live = client.get(key).await?;
    let patched = if args.write.dry_run == DryRun::Client {
        applied_here(key, &live, patch)?
    } else {
        let mut options = args.write.options(Validate::Strict);
        options.subresource = args.subresource;
        let written = client.patch(key, patch.clone(), options).await?;
        context.console.warnings(&written.warnings);
        written.object
    };
    let done = if patched.to_value() == live.to_value() {
        "patched (no change)"
    } else {
        "patched"
    };
    args.write
        .report(&mut context.console, key, done, Some(&patched))
}

fn applied_here(key: &ObjectKey, live: &Object, patch: &Patch) -> Result<Object, Failure> {
    let wrong = |error: &dyn std::fmt::Display| ApiError::bad_request(error.to_string());
    let live = live.to_value();
    let value = match patch {
        Patch::Json(patch) => apply_json(&live, patch).map_err(|error| wrong(&error))?,
        Patch::Merge(patch) => apply_merge(&live, patch),
        Patch::Strategic(patch) => {
            apply_strategic(key.kind, &live, patch).map_err(|error| wrong(&error))?
        }
        // Its merge is the server's.
        Patch::Apply { .. } => return Err(wrong(&"apply needs --dry-run=server").into()),
    };
    super::write::local_object(key, &value)
}
