use clap::{Args, Subcommand};

use super::create_objects::{
    ConfigMapArgs, NamespaceArgs, SecretArgs, ServiceAccountArgs, config_map, namespace, secret,
    service_account,
};
use super::write::{DryRun, WriteArgs, local_object};
use crate::cli::context::Context;
use crate::cli::failure::{Failure, finish};
use crate::cli::files::{FileArgs, Manifest, Validate, load_for};
use crate::model::ObjectKey;
use crate::model::applied::with_applied;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    files: FileArgs,
    #[command(flatten)]
    write: WriteArgs,
    /// What unknown fields are: errors (strict), warnings (warn) or nothing (ignore)
    #[arg(long, value_enum, default_value = "strict", num_args = 0..=1, default_missing_value = "strict", require_equals = true)]
    validate: Validate,
    /// Keep the manifest in the annotation that apply needs
    #[arg(long)]
    save_config: bool,
    #[command(subcommand)]
    kind: Option<CreateKind>,
}

#[derive(Debug, Subcommand)]
enum CreateKind {
    /// Create a config map from literals, files and env files
    #[command(name = "configmap", visible_alias = "cm")]
    ConfigMap(ConfigMapArgs),
    /// Create a secret
    Secret(SecretArgs),
    /// Create a namespace
    #[command(visible_alias = "ns")]
    Namespace(NamespaceArgs),
    /// Create a service account
    #[command(name = "serviceaccount", visible_alias = "sa")]
    ServiceAccount(ServiceAccountArgs),
}

pub(crate) async fn create(context: &mut Context, args: CreateArgs) -> Result<(), Failure> {
    match args.kind {
        Some(CreateKind::ConfigMap(map)) => config_map(context, map).await,
        Some(CreateKind::Secret(kind)) => secret(context, kind).await,
        Some(CreateKind::Namespace(name)) => namespace(context, name).await,
        Some(CreateKind::ServiceAccount(name)) => service_account(context, name).await,
        None => create_files(context, args).await,
    }
}

async fn create_files(context: &mut Context, args: CreateArgs) -> Result<(), Failure> {
    let manifests = load_for(
        "create",
        &args.files,
        args.validate,
        context.given_namespace.as_deref(),
        &mut context.console,
    )?;
    let mut failures = Vec::new();
    for manifest in &manifests {
        let value = if args.save_config {
            with_applied(&manifest.value, manifest.document.text())
        } else {
            manifest.value.clone()
        };
        if args.write.dry_run == DryRun::Client {
            let object = local_object(&manifest.key, &value)?;
            args.write.report(
                &mut context.console,
                &manifest.key,
                "created",
                Some(&object),
            )?;
            continue;
        }
        let client = context.client().await?;
        match client
            .create(
                Manifest::without_version(&value),
                args.write.options(args.validate),
            )
            .await
        {
            Ok(written) => {
                context.console.warnings(&written.warnings);
                // generateName is resolved by the server.
                let key: ObjectKey = written.object.key();
                args.write
                    .report(&mut context.console, &key, "created", Some(&written.object))?;
            }
            Err(error) => failures.push(manifest.failure("creating", &error)),
        }
    }
    finish(&mut context.console, &failures)
}
