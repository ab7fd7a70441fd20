use clap::Args;
use serde_json::{Value, json};

use super::write::{DryRun, WriteArgs, local_object};
use crate::cli::context::Context;
use crate::cli::failure::{Failure, finish};
use crate::cli::files::{FileArgs, Manifest, Validate, load_for};
use crate::client::{Client, Patch};
use crate::model::applied::{LAST_APPLIED, apply_patch, last_applied, was_applied, with_applied};
use crate::model::{Object, Reason};

#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    files: FileArgs,
    #[command(flatten)]
    write: WriteArgs,
    /// What unknown fields are: errors (strict), warnings (warn) or nothing (ignore)
    #[arg(long, value_enum, default_value = "strict", num_args = 0..=1, default_missing_value = "strict", require_equals = true)]
    validate: Validate,
}

/// Creates or patches every object of the files. All files are read and decoded before the first write.
pub(crate) async fn apply(context: &mut Context, args: ApplyArgs) -> Result<(), Failure> {
    let manifests = load_for(
        "apply",
        &args.files,
        args.validate,
        context.given_namespace.as_deref(),
        &mut context.console,
    )?;
    for manifest in &manifests {
        check_name(manifest)?;
    }
    let client = context.client().await?;
    let mut failures = Vec::new();
    for manifest in &manifests {
        if let Err(failure) = apply_one(context, &*client, &args, manifest).await {
            if matches!(failure, Failure::Output(_)) {
                return Err(failure);
            }
            failures.push(failure);
        }
    }
    finish(&mut context.console, &failures)
}

fn check_name(manifest: &Manifest) -> Result<(), Failure> {
    let generate = manifest
        .value
        .pointer("/metadata/generateName")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let name = manifest.key.name.as_str();
    if name.is_empty() && !generate.is_empty() {
        return Err(Failure::local(format!(
            "from {generate}: cannot use generate name with apply"
        )));
    }
    match path_problem(name) {
        None => Ok(()),
        Some(problem) => Err(Failure::local(format!(
            "error when {} \"{}\": {problem}",
            manifest.looking_up(),
            manifest.document.source
        ))),
    }
}

/// Why no request can be made about an object of this name: it would be another path.
fn path_problem(name: &str) -> Option<String> {
    let problems: Vec<String> = match name {
        "" => return Some("resource name may not be empty".to_owned()),
        "." | ".." => vec![format!("may not be '{name}'")],
        _ => ['/', '%']
            .into_iter()
            .filter(|&bad| name.contains(bad))
            .map(|bad| format!("may not contain '{bad}'"))
            .collect(),
    };
    (!problems.is_empty())
        .then(|| format!("invalid resource name \"{name}\": [{}]", problems.join(" ")))
}

async fn apply_one(
    context: &mut Context,
    client: &dyn Client,
    args: &ApplyArgs,
    manifest: &Manifest,
) -> Result<(), Failure> {
    let wanted = with_applied(&manifest.value, manifest.document.text());
    match client.get(&manifest.key).await {
        Ok(live) => change(context, client, args, manifest, &wanted, &live).await,
        Err(error) if error.reason == Reason::NotFound => {
            if args.write.dry_run == DryRun::Client {
                let object = local_object(&manifest.key, &wanted)?;
                return args.write.report(
                    &mut context.console,
                    &manifest.key,
                    "created",
                    Some(&object),
                );
            }
            let written = client
                .create(
                    Manifest::without_version(&wanted),
                    args.write.options(args.validate),
                )
                .await
                .map_err(|error| manifest.failure("creating", &error))?;
            context.console.warnings(&written.warnings);
            args.write.report(
                &mut context.console,
                &manifest.key,
                "created",
                Some(&written.object),
            )
        }
        Err(error) => Err(manifest.failure(&manifest.looking_up(), &error)),
    }
}

async fn change(
    context: &mut Context,
    client: &dyn Client,
    args: &ApplyArgs,
    manifest: &Manifest,
    wanted: &Value,
    live: &Object,
) -> Result<(), Failure> {
    if !was_applied(live) {
        context.console.warnings(&[format!(
            "resource {}/{} is missing the {LAST_APPLIED} annotation which is required by podtui apply. podtui apply should \
             only be used on resources created declaratively by either podtui create --save-config or podtui apply. The \
             missing annotation will be patched automatically.",
            manifest.kind.qualified_plural(),
            manifest.key.name
        )]);
    }
    let patch = apply_patch(
        &last_applied(live).unwrap_or_else(|| json!({})),
        live,
        &manifest.value,
        manifest.document.text(),
    );
    let console = &mut context.console;
    if patch.as_object().is_none_or(serde_json::Map::is_empty) {
        return args
            .write
            .report(console, &manifest.key, "unchanged", Some(live));
    }
    if args.write.dry_run == DryRun::Client {
        let object = local_object(&manifest.key, wanted)?;
        return args
            .write
            .report(console, &manifest.key, "configured", Some(&object));
    }
    let written = client
        .patch(
            &manifest.key,
            Patch::Strategic(patch),
            args.write.options(args.validate),
        )
        .await
        .map_err(|error| manifest.failure("applying patch to", &error))?;
    console.warnings(&written.warnings);
    let same = written.object.resource_version() == live.resource_version()
        && args.write.dry_run == DryRun::None;
    let done = if same { "unchanged" } else { "configured" };
    args.write
        .report(console, &manifest.key, done, Some(&written.object))
}
