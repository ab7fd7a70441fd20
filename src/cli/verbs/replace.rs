use clap::Args;

use super::write::{DryRun, WriteArgs, local_object};
use crate::cli::context::Context;
use crate::cli::failure::{Failure, finish};
use crate::cli::files::{FileArgs, Manifest, Validate, load_for};
use crate::cli::follow::wait_gone;
use crate::cli::resources::parse_subresource;
use crate::client::{Client, DeleteOptions, Written};
use crate::model::{ApiError, Reason, Subresource};

#[derive(Debug, Args)]
pub(crate) struct ReplaceArgs {
    #[command(flatten)]
    files: FileArgs,
    #[command(flatten)]
    write: WriteArgs,
    /// What unknown fields are: errors (strict), warnings (warn) or nothing (ignore)
    #[arg(long, value_enum, default_value = "strict", num_args = 0..=1, default_missing_value = "strict", require_equals = true)]
    validate: Validate,
    /// Delete the object and create it anew
    #[arg(long)]
    force: bool,
    /// Replace only this part: status, resize or ephemeralcontainers
    #[arg(long, value_name = "PART", value_parser = parse_subresource, conflicts_with = "force")]
    subresource: Option<Subresource>,
}

pub(crate) async fn replace(context: &mut Context, args: ReplaceArgs) -> Result<(), Failure> {
    let manifests = load_for(
        "replace",
        &args.files,
        args.validate,
        context.given_namespace.as_deref(),
        &mut context.console,
    )?;
    let mut failures = Vec::new();
    for manifest in &manifests {
        if args.write.dry_run == DryRun::Client {
            let object = local_object(&manifest.key, &manifest.value)?;
            args.write.report(
                &mut context.console,
                &manifest.key,
                "replaced",
                Some(&object),
            )?;
            continue;
        }
        let client = context.client().await?;
        let result = if args.force {
            recreate(context, &*client, &args, manifest).await?
        } else {
            let mut options = args.write.options(args.validate);
            options.subresource = args.subresource;
            client.replace(manifest.value.clone(), options).await
        };
        match result {
            Ok(written) => {
                context.console.warnings(&written.warnings);
                args.write.report(
                    &mut context.console,
                    &manifest.key,
                    "replaced",
                    Some(&written.object),
                )?;
            }
            Err(error) => failures.push(manifest.failure("replacing", &error)),
        }
    }
    finish(&mut context.console, &failures)
}

/// The server is asked whether it would take the new object before the old one is deleted.
async fn recreate(
    context: &mut Context,
    client: &dyn Client,
    args: &ReplaceArgs,
    manifest: &Manifest,
) -> Result<Result<Written, ApiError>, Failure> {
    let mut trial = args.write.options(args.validate);
    trial.dry_run = true;
    let value = Manifest::without_version(&manifest.value);
    if let Err(error) = client.create(value.clone(), trial).await
        && error.reason != Reason::AlreadyExists
    {
        return Ok(Err(error));
    }
    if args.write.dry_run == DryRun::None {
        match client.get(&manifest.key).await {
            Ok(object) => {
                let options = DeleteOptions {
                    grace_period_seconds: Some(0),
                    ..DeleteOptions::default()
                };
                client.delete(&manifest.key, options).await?;
                wait_gone(client, &manifest.key, &object.uid(), None).await?;
                let place = manifest
                    .key
                    .namespace
                    .as_ref()
                    .map_or_else(String::new, |namespace| {
                        format!(" from {namespace} namespace")
                    });
                let line = format!(
                    "{} \"{}\" deleted{place}\n",
                    manifest.kind.qualified_singular(),
                    manifest.key.name
                );
                context.console.print(&line)?;
            }
            Err(error) if error.reason == Reason::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(client
        .create(value, args.write.options(args.validate))
        .await)
}
