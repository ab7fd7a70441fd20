use std::time::Duration;

use clap::{ArgAction, Args};
use tokio::time::Instant;

use super::write::DryRun;
use crate::base::Uid;
use crate::cli::context::Context;
use crate::cli::failure::{Failure, finish};
use crate::cli::files::{FileArgs, Validate, load};
use crate::cli::follow::{Waited, parse_duration, wait_gone};
use crate::cli::resources::{SelectorArgs, Target, check_selection, find, parse_targets};
use crate::client::{DeleteOptions, Preconditions};
use crate::model::{ObjectKey, Reason};

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// KIND NAME…, KIND/NAME…, or KIND with -l or --all
    #[arg(value_name = "KIND NAME")]
    words: Vec<String>,
    #[command(flatten)]
    files: FileArgs,
    #[command(flatten)]
    selector: SelectorArgs,
    /// Delete all objects of the kinds in the namespace
    #[arg(long)]
    all: bool,
    /// Seconds the processes get to end; negative = the pod's own
    #[arg(long, default_value_t = -1, allow_negative_numbers = true, value_name = "SECONDS")]
    grace_period: i64,
    /// Do not wait for the processes: kill at once
    #[arg(long)]
    force: bool,
    /// Give the processes 1 second
    #[arg(long)]
    now: bool,
    /// An object that does not exist is no error
    #[arg(long)]
    ignore_not_found: bool,
    /// Return only when the objects are gone
    #[arg(long, default_value_t = true, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = ArgAction::Set)]
    wait: bool,
    /// How long to wait; 0 = as long as it takes
    #[arg(long, default_value = "0s", value_parser = parse_duration)]
    timeout: Duration,
    /// Change nothing
    #[arg(long, value_enum, default_value = "none", num_args = 0..=1, default_missing_value = "client", require_equals = true)]
    dry_run: DryRun,
    /// Print KIND/NAME only (-o name)
    #[arg(short = 'o', long, value_parser = ["name"])]
    output: Option<String>,
}

/// The grace period to ask for, as kubectl derives it from its flags; `None` = the pod's own.
fn grace(args: &DeleteArgs) -> Result<Option<i64>, Failure> {
    if args.now && args.grace_period != -1 {
        return Err(Failure::local(
            "--now and --grace-period cannot be specified together",
        ));
    }
    let given = if args.now { 1 } else { args.grace_period };
    if args.force && given > 0 {
        return Err(Failure::local(
            "--force and --grace-period greater than 0 cannot be specified together",
        ));
    }
    Ok(match given {
        // Zero would remove the object without waiting for the processes; only --force may do that.
        0 if !args.force => Some(1),
        negative if negative < 0 => args.force.then_some(0),
        seconds => Some(seconds),
    })
}

const FORCE_WARNING: &str = "Immediate deletion does not wait for confirmation that the running resource has been terminated. \
                             The resource may continue to run on the cluster indefinitely.";

pub(crate) async fn delete(context: &mut Context, args: DeleteArgs) -> Result<(), Failure> {
    let grace_period_seconds = grace(&args)?;
    let (keys, mut failures) = select(context, &args).await?;
    if args.force {
        context.console.warnings(&[FORCE_WARNING.to_owned()]);
    }
    if keys.is_empty() && failures.is_empty() {
        context.console.note("No resources found");
        return Ok(());
    }
    let client = context.client().await?;
    let mut deleted: Vec<(ObjectKey, Uid)> = Vec::new();
    for key in keys {
        if args.dry_run == DryRun::Client {
            match client.get(&key).await {
                Ok(_) => report(context, &args, &key)?,
                Err(error) if args.ignore_not_found && error.reason == Reason::NotFound => {}
                Err(error) => failures.push(error.into()),
            }
            continue;
        }
        let options = DeleteOptions {
            grace_period_seconds,
            preconditions: Preconditions::default(),
            dry_run: args.dry_run == DryRun::Server,
        };
        match client.delete(&key, options).await {
            Ok(object) => {
                report(context, &args, &key)?;
                deleted.push((key, object.uid()));
            }
            Err(error) if args.ignore_not_found && error.reason == Reason::NotFound => {}
            Err(error) => failures.push(error.into()),
        }
    }
    if args.wait && args.dry_run == DryRun::None {
        let deadline = (!args.timeout.is_zero()).then(|| Instant::now() + args.timeout);
        for (key, uid) in &deleted {
            match wait_gone(&*client, key, uid, deadline).await? {
                Waited::Met(()) => {}
                Waited::TimedOut => failures.push(Failure::local(format!(
                    "timed out waiting for the condition on {}/{}",
                    key.kind.qualified_plural(),
                    key.name
                ))),
            }
        }
    }
    finish(&mut context.console, &failures)
}

async fn select(
    context: &mut Context,
    args: &DeleteArgs,
) -> Result<(Vec<ObjectKey>, Vec<Failure>), Failure> {
    if !args.files.files.is_empty() {
        if !args.words.is_empty() {
            return Err(Failure::local(
                "when paths, URLs, or stdin is provided as input, you may not specify resource arguments as well",
            ));
        }
        let namespace = context.given_namespace.clone();
        let manifests = load(
            &args.files,
            Validate::Ignore,
            namespace.as_deref(),
            &mut context.console,
        )?;
        return Ok((
            manifests.into_iter().map(|manifest| manifest.key).collect(),
            Vec::new(),
        ));
    }
    let targets = parse_targets(&args.words)?;
    check_selection(&targets, &args.selector)?;
    let named = targets
        .iter()
        .any(|target| matches!(target, Target::Name(..)));
    if named && args.all {
        return Err(Failure::local(
            "name cannot be provided when --all is specified",
        ));
    }
    if !named && !args.all && !args.selector.is_given() {
        return Err(Failure::local(
            "resource(s) were provided, but no name was specified",
        ));
    }
    let namespace = context.namespace();
    if named {
        let keys = targets.into_iter().filter_map(|target| match target {
            Target::Name(kind, name) => Some(ObjectKey::new(kind, &namespace, &name)),
            Target::Kind(_) => None,
        });
        return Ok((keys.collect(), Vec::new()));
    }
    let client = context.client().await?;
    let found = find(&*client, &targets, &args.selector, &namespace).await?;
    Ok((
        found
            .objects
            .iter()
            .map(crate::model::Object::key)
            .collect(),
        found.failures,
    ))
}

fn report(context: &mut Context, args: &DeleteArgs, key: &ObjectKey) -> Result<(), Failure> {
    if args.output.is_some() {
        return context.console.print(&format!("{key}\n"));
    }
    let force = if args.force { "force " } else { "" };
    let place = key
        .namespace
        .as_ref()
        .map_or_else(String::new, |namespace| {
            format!(" from {namespace} namespace")
        });
    let suffix = match args.dry_run {
        DryRun::None => "",
        DryRun::Client => " (dry run)",
        DryRun::Server => " (server dry run)",
    };
    let (kind, name) = (key.kind.qualified_singular(), &key.name);
    context.console.print(&format!(
        "{kind} \"{name}\" {force}deleted{place}{suffix}\n"
    ))
}
