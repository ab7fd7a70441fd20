//! `debug`: an ephemeral container in a running pod, or a copy of the pod to try things on.

use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::{ContainerState, Pod};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::attach::{Attachment, session};
use super::containers::{get_pod, phase};
use super::debug_copy::copied;
use super::run_pod::{PullPolicy, is_image_name, pairs};
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::files::Validate;
use crate::cli::follow::{Waited, parse_duration, wait_for};
use crate::cli::resources::parse_pod;
use crate::client::{Client, LogOptions, Patch, WriteOptions};
use crate::model::pod::{container_status, every_container};
use crate::model::{ApiError, Kind, Object, ObjectKey, Reason, Subresource};

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of kubectl debug")]
pub(crate) struct DebugArgs {
    /// POD or pod/POD
    pub(super) pod: String,
    /// Image of the debugging container
    #[arg(long)]
    pub(super) image: Option<String>,
    /// Name of the debugging container
    #[arg(short = 'c', long, value_name = "NAME")]
    pub(super) container: Option<String>,
    /// Look into the processes of this container
    #[arg(long, value_name = "CONTAINER")]
    target: Option<String>,
    /// Keep standard input open, and attach
    #[arg(short = 'i', long)]
    pub(super) stdin: bool,
    /// Give the container a terminal
    #[arg(short = 't', long)]
    pub(super) tty: bool,
    /// Wait for the container and attach to it; follows -i when left out
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    attach: Option<bool>,
    /// Print only what the container prints
    #[arg(short = 'q', long)]
    pub(super) quiet: bool,
    /// Environment: KEY=VALUE
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) env: Vec<String>,
    #[arg(long, value_enum)]
    pub(super) image_pull_policy: Option<PullPolicy>,
    /// What the container may do
    #[arg(long, value_enum, default_value = "general")]
    profile: Profile,
    /// What follows -- are arguments, not the command
    #[arg(long)]
    pub(super) arguments_only: bool,
    /// Debug in a copy of the pod with this name
    #[arg(long, value_name = "POD")]
    pub(super) copy_to: Option<String>,
    /// With --copy-to: delete the original
    #[arg(long, requires = "copy_to")]
    pub(super) replace: bool,
    /// With --copy-to: keep the copy on the node of the original
    #[arg(long, requires = "copy_to")]
    pub(super) same_node: bool,
    /// With --copy-to: all containers see each other's processes
    #[arg(long, requires = "copy_to", default_value = "true", num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set)]
    pub(super) share_processes: bool,
    /// With --copy-to: other images, CONTAINER=IMAGE,…; * stands for all
    #[arg(
        long,
        requires = "copy_to",
        value_delimiter = ',',
        value_name = "CONTAINER=IMAGE"
    )]
    pub(super) set_image: Vec<String>,
    /// How long to wait until the container runs
    #[arg(long, default_value = "1m", value_parser = parse_duration, hide_short_help = true)]
    pod_running_timeout: Duration,
    /// The command and its arguments, after --
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    pub(super) command: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Profile {
    /// May trace processes
    General,
    /// Nothing beyond the defaults
    Baseline,
    /// Not root, no capabilities
    Restricted,
    /// May change the network
    Netadmin,
    /// Everything
    Sysadmin,
    /// As before there were profiles
    Legacy,
}

impl Profile {
    fn security_context(self) -> Option<Value> {
        let may = |names: &[&str]| Some(json!({"capabilities": {"add": names}}));
        match self {
            Self::General => may(&["SYS_PTRACE"]),
            Self::Netadmin => may(&["NET_ADMIN", "NET_RAW"]),
            Self::Sysadmin => Some(json!({"privileged": true})),
            Self::Restricted => Some(json!({
                "allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"]},
                "runAsNonRoot": true,
                "seccompProfile": {"type": "RuntimeDefault"},
            })),
            Self::Baseline | Self::Legacy => None,
        }
    }
}

pub(crate) async fn debug(context: &mut Context, args: DebugArgs) -> Result<(), Failure> {
    check(&args)?;
    let name = parse_pod(&args.pod)?;
    let namespace = context.namespace();
    let client = context.client().await?;
    let pod = get_pod(&*client, &namespace, &name).await?;
    let container = container_name(context, &args, &pod);
    let key = if args.copy_to.is_some() {
        copied(context, &*client, &args, &pod, &container).await?
    } else {
        add_ephemeral(context, &*client, &args, &pod, &container).await?
    };
    if args.attach.unwrap_or(args.stdin) {
        return attached(context, &*client, &args, &key, &container).await;
    }
    Ok(())
}

fn check(args: &DebugArgs) -> Result<(), Failure> {
    let image = args.image.as_deref().unwrap_or_default();
    if args.copy_to.is_none() && image.is_empty() {
        return Err(Failure::local(
            "--image is required when not using --copy-to",
        ));
    }
    if args.copy_to.is_some()
        && image.is_empty()
        && args.set_image.is_empty()
        && args.command.is_empty()
    {
        return Err(Failure::local(
            "you must specify --image, --set-image or command arguments.",
        ));
    }
    if !image.is_empty() && !is_image_name(image) {
        return Err(Failure::local(format!(
            "invalid image name \"{image}\": invalid reference format"
        )));
    }
    if args.tty && !args.stdin {
        return Err(Failure::local(
            "-i/--stdin is required for containers with -t/--tty=true",
        ));
    }
    if args.copy_to.is_some() && args.target.is_some() {
        return Err(Failure::local(
            "--target is incompatible with --copy-to. Use --share-processes instead.",
        ));
    }
    Ok(())
}

/// The given name, for a copy without a new image the first container, else a new one.
fn container_name(context: &mut Context, args: &DebugArgs, pod: &Pod) -> String {
    if let Some(name) = &args.container {
        return name.clone();
    }
    if args.image.is_none()
        && let Some(first) = pod.spec.iter().flat_map(|spec| &spec.containers).next()
    {
        return first.name.clone();
    }
    let taken = |name: &str| {
        let mut all = pod.spec.iter().flat_map(every_container);
        all.any(|container| container.name == name)
    };
    let name = loop {
        let name = format!("debugger-{}", suffix());
        if !taken(&name) {
            break name;
        }
    };
    if !args.quiet {
        let line = format!("Defaulting debug container name to {name}.");
        context.console.note(&line);
    }
    name
}

/// Five characters of those that generated names are made of.
fn suffix() -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let uid = crate::base::Uid::random();
    let digits: Vec<usize> = uid
        .as_str()
        .chars()
        .filter_map(|character| character.to_digit(16))
        .filter_map(|digit| usize::try_from(digit).ok())
        .collect();
    digits
        .chunks(4)
        .take(5)
        .map(|chunk| chunk.iter().fold(0, |number, digit| number * 16 + digit))
        .map(|number| char::from(ALPHABET[number % ALPHABET.len()]))
        .collect()
}

/// The debugging container as its flags say.
pub(super) fn debugger(args: &DebugArgs, name: &str) -> Result<Value, Failure> {
    let mut container = json!({
        "name": name,
        "image": args.image,
        "terminationMessagePolicy": "File",
    });
    if let Some(policy) = args.image_pull_policy {
        container["imagePullPolicy"] = json!(format!("{policy:?}"));
    }
    if !args.env.is_empty() {
        let env = pairs(&args.env, "env")?.into_iter();
        container["env"] = env
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect();
    }
    if !args.command.is_empty() {
        let field = if args.arguments_only {
            "args"
        } else {
            "command"
        };
        container[field] = json!(args.command);
    }
    for (wanted, field) in [(args.stdin, "stdin"), (args.tty, "tty")] {
        if wanted {
            container[field] = json!(true);
        }
    }
    if let Some(security) = args.profile.security_context() {
        container["securityContext"] = security;
    }
    Ok(container)
}

async fn add_ephemeral(
    context: &mut Context,
    client: &dyn Client,
    args: &DebugArgs,
    pod: &Pod,
    name: &str,
) -> Result<ObjectKey, Failure> {
    let mut container = debugger(args, name)?;
    if let Some(target) = &args.target {
        container["targetContainerName"] = json!(target);
        if !args.quiet {
            context.console.note(&format!(
                "Targeting container \"{target}\". If you don't see processes from this container it may be because the \
                 container runtime doesn't support this feature."
            ));
        }
    }
    let meta = &pod.metadata;
    let key = ObjectKey::pod(
        meta.namespace.as_deref().unwrap_or_default(),
        meta.name.as_deref().unwrap_or_default(),
    );
    let patch = json!({"spec": {"ephemeralContainers": [container]}});
    let options = WriteOptions {
        field_validation: Validate::Strict.on_server(),
        subresource: Some(Subresource::EphemeralContainers),
        ..WriteOptions::default()
    };
    let written = client.patch(&key, Patch::Strategic(patch), options).await?;
    context.console.warnings(&written.warnings);
    Ok(key)
}

/// Waits for the container and connects; of one that is over already the log is shown.
async fn attached(
    context: &mut Context,
    client: &dyn Client,
    args: &DebugArgs,
    key: &ObjectKey,
    container: &str,
) -> Result<(), Failure> {
    let pod = until_started(context, client, args, key, container).await?;
    let runs = state(&pod, container).is_some_and(|state| state.running.is_some());
    let namespace = key.namespace.as_deref().unwrap_or_default();
    if !runs {
        return print_log(context, client, key, container).await;
    }
    let attachment = Attachment {
        namespace,
        pod: &pod,
        container,
        stdin: args.stdin,
        tty: args.tty,
        quiet: args.quiet,
    };
    match session(context, &attachment).await {
        // It ended before the session was open: what it had to say is in its log.
        Err(Failure::Api(error))
            if matches!(error.reason, Reason::BadRequest | Reason::NotFound) =>
        {
            print_log(context, client, key, container).await
        }
        other => other,
    }
}

async fn until_started(
    context: &mut Context,
    client: &dyn Client,
    args: &DebugArgs,
    key: &ObjectKey,
    container: &str,
) -> Result<Arc<Pod>, Failure> {
    let deadline = Instant::now() + args.pod_running_timeout;
    let mut told = String::new();
    let started = wait_for(client, key, Some(deadline), |object| {
        let pod = match object {
            None => return Err(ApiError::not_found(Kind::Pod, &key.name).into()),
            Some(Object::Pod(pod)) => pod,
            Some(_) => return Ok(None),
        };
        let state = state(pod, container);
        let begun =
            state.is_some_and(|state| state.running.is_some() || state.terminated.is_some());
        if begun || matches!(phase(pod), "Succeeded" | "Failed") {
            return Ok(Some(Arc::clone(pod)));
        }
        let waiting = state.and_then(|state| state.waiting.as_ref());
        let why = waiting.and_then(|waiting| waiting.message.clone());
        if let Some(why) = why.filter(|why| *why != told) {
            let line = format!("Warning: container {container}: {why}");
            context.console.note(&line);
            told = why;
        }
        Ok(None)
    })
    .await?;
    match started {
        Waited::Met(pod) => Ok(pod),
        Waited::TimedOut => Err(Failure::local(format!(
            "timed out waiting for the condition on pods/{}",
            key.name
        ))),
    }
}

fn state<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerState> {
    container_status(pod, container)?.state.as_ref()
}

async fn print_log(
    context: &mut Context,
    client: &dyn Client,
    key: &ObjectKey,
    container: &str,
) -> Result<(), Failure> {
    let options = LogOptions {
        container: Some(container.to_owned()),
        ..LogOptions::default()
    };
    let namespace = key.namespace.as_deref().unwrap_or_default();
    let mut chunks = client.logs(namespace, &key.name, options).await?;
    while let Some(chunk) = chunks.next().await {
        context.console.write(&chunk?)?;
    }
    Ok(())
}
