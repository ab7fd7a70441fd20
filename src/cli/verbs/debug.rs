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
    pub(super) profile: Profile,
    /// What follows -- are arguments, not the command
    #[arg(long)]
    pub(super) arguments_only: bool,
    /// Debug in a copy of the pod with this name
    #[arg(long, value_name = "POD")]
    pub(super) copy_to: Option<String>,
    /// With --copy-to: delete the original
    #[arg(long)]
    pub(super) replace: bool,
    /// With --copy-to: keep the copy on the node of the original
    #[arg(long)]
    pub(super) same_node: bool,
    /// With --copy-to: all containers see each other's processes; the default, unless the pod says otherwise
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub(super) share_processes: Option<bool>,
    /// With --copy-to: other images, CONTAINER=IMAGE,…; * stands for all
    #[arg(long, value_delimiter = ',', value_name = "CONTAINER=IMAGE")]
    pub(super) set_image: Vec<String>,
    /// With --copy-to: the labels stay
    #[arg(long, hide_short_help = true)]
    pub(super) keep_labels: bool,
    /// With --copy-to: the annotations stay
    #[arg(long, hide_short_help = true)]
    pub(super) keep_annotations: bool,
    /// With --copy-to: liveness probes stay
    #[arg(long, hide_short_help = true)]
    pub(super) keep_liveness: bool,
    /// With --copy-to: readiness probes stay
    #[arg(long, hide_short_help = true)]
    pub(super) keep_readiness: bool,
    /// With --copy-to: startup probes stay
    #[arg(long, hide_short_help = true)]
    pub(super) keep_startup: bool,
    /// With --copy-to: init containers run; false leaves them out
    #[arg(long, default_value = "true", num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set, hide_short_help = true)]
    pub(super) keep_init_containers: bool,
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
pub(super) enum Profile {
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
    pub(super) fn security_context(self) -> Option<Value> {
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
    if args.profile == Profile::Legacy {
        context.console.note(
            "--profile=legacy is deprecated and planned to be removed in v1.39. It is recommended to specify other \
             profile, for example \"--profile=general\".",
        );
    }
    let pod = get_pod(&*client, &namespace, &name).await?;
    let container = container_name(context, &args, &pod)?;
    warn_of_user(context, &args, &pod, container.as_deref());
    let key = match &container {
        Some(container) if args.copy_to.is_none() => {
            add_ephemeral(context, &*client, &args, &pod, container).await?
        }
        container => copied(context, &*client, &args, &pod, container.as_deref()).await?,
    };
    match container {
        Some(container) if args.attach.unwrap_or(args.stdin) => {
            attached(context, &*client, &args, &key, &container).await
        }
        _ => Ok(()),
    }
}

/// Capabilities mean nothing to a user who is not root.
fn warn_of_user(context: &mut Context, args: &DebugArgs, pod: &Pod, container: Option<&str>) {
    let shared = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.security_context.as_ref());
    let is_user = shared.is_some_and(|shared| shared.run_as_user.is_some_and(|user| user != 0));
    let grants = match args.profile {
        Profile::General | Profile::Netadmin | Profile::Sysadmin => true,
        Profile::Baseline | Profile::Restricted | Profile::Legacy => false,
    };
    if is_user && grants && container.is_some() {
        context.console.note(
            "Warning: Non-root user is configured for the entire target Pod, and some capabilities granted by debug \
             profile may not work. Please consider using \"--custom\" with a custom profile that specifies \
             \"securityContext.runAsUser: 0\".",
        );
    }
}

/// In the order and the words of kubectl (pkg/cmd/debug, `Validate`).
fn check(args: &DebugArgs) -> Result<(), Failure> {
    match refusal(args) {
        Some(text) => Err(Failure::local(text)),
        None => Ok(()),
    }
}

fn refusal(args: &DebugArgs) -> Option<String> {
    let image = args.image.as_deref().unwrap_or_default();
    let (no_image, no_name) = (image.is_empty(), args.container.is_none());
    let text = if args.attach == Some(true) && no_image && no_name {
        "you must specify --container or create a new container using --image in order to attach."
    } else if args.copy_to.is_some()
        && no_image
        && args.set_image.is_empty()
        && args.command.is_empty()
    {
        "you must specify --image, --set-image or command arguments."
    } else if args.copy_to.is_some() && no_image && no_name && !args.command.is_empty() {
        "you must specify an existing container or a new image when specifying args."
    } else if args.copy_to.is_some() {
        ""
    } else if args.replace {
        "--replace may only be used with --copy-to."
    } else if args.same_node {
        "--same-node may only be used with --copy-to."
    } else if !args.set_image.is_empty() {
        "--set-image may only be used with --copy-to."
    } else if no_image {
        "you must specify --image when not using --copy-to."
    } else {
        ""
    };
    if !text.is_empty() {
        return Some(text.to_owned());
    }
    if !no_image && !is_image_name(image) {
        return Some(format!(
            "invalid image name \"{image}\": invalid reference format"
        ));
    }
    let mut pairs = args
        .set_image
        .iter()
        .filter_map(|pair| pair.split_once('='));
    if let Some((name, image)) = pairs.find(|(_, image)| !is_image_name(image)) {
        return Some(format!(
            "invalid image name \"{image}\" for container \"{name}\": invalid reference format"
        ));
    }
    let text = if args.copy_to.is_some() && args.target.is_some() {
        "--target is incompatible with --copy-to. Use --share-processes instead."
    } else if args.tty && !args.stdin {
        "-i/--stdin is required for containers with -t/--tty=true"
    } else {
        return None;
    };
    Some(text.to_owned())
}

/// The given name, else a new one; none for a copy that gets other images only.
fn container_name(
    context: &mut Context,
    args: &DebugArgs,
    pod: &Pod,
) -> Result<Option<String>, Failure> {
    if args.container.is_some() || args.image.is_none() {
        return Ok(args.container.clone());
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
        let line = format!("Defaulting debug container name to {name}.\n");
        context.console.print(&line)?;
    }
    Ok(Some(name))
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
            context.console.print(&format!(
                "Targeting container \"{target}\". If you don't see processes from this container it may be because the \
                 container runtime doesn't support this feature.\n"
            ))?;
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: DebugArgs,
    }

    #[track_caller]
    fn check(line: &str, expected: &str) {
        let words = ["debug"].into_iter().chain(line.split(' '));
        let args = Line::try_parse_from(words).unwrap().args;
        assert_eq!(refusal(&args).unwrap_or_default(), expected, "{line}");
    }

    #[test]
    fn what_kubectl_refuses() {
        check("p --image=busybox", "");
        check("p -it --image=busybox --target=c", "");
        check("p", "you must specify --image when not using --copy-to.");
        check(
            "p --image=x --replace",
            "--replace may only be used with --copy-to.",
        );
        check(
            "p --image=x --same-node",
            "--same-node may only be used with --copy-to.",
        );
        check(
            "p --image=x --set-image=a=b",
            "--set-image may only be used with --copy-to.",
        );
        check(
            "p --copy-to=q",
            "you must specify --image, --set-image or command arguments.",
        );
        check(
            "p --copy-to=q -- sh",
            "you must specify an existing container or a new image when specifying args.",
        );
        check("p --copy-to=q -c c -- sh", "");
        check("p --copy-to=q --set-image=*=x", "");
        check(
            "p --copy-to=q --set-image=a=B:",
            "invalid image name \"B:\" for container \"a\": invalid reference format",
        );
        check(
            "p --image=B:",
            "invalid image name \"B:\": invalid reference format",
        );
        check(
            "p --copy-to=q --image=x --target=c",
            "--target is incompatible with --copy-to. Use --share-processes instead.",
        );
        check(
            "p --image=x -t",
            "-i/--stdin is required for containers with -t/--tty=true",
        );
        check(
            "p --attach --copy-to=q --set-image=a=b",
            "you must specify --container or create a new container using --image in order to attach.",
        );
    }
}
