use std::time::Duration;

use clap::{Args, ValueEnum};
use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::attach::{Attachment, session};
use super::containers::phase;
use super::write::{DryRun, WriteArgs, local_object};
use crate::base::Uid;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::files::Validate;
use crate::cli::follow::{Waited, parse_duration, wait_for, wait_gone};
use crate::client::{Client, DeleteOptions, LogOptions};
use crate::model::{Kind, Object, ObjectKey, Reason};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Restart {
    #[default]
    #[value(name = "Always")]
    Always,
    #[value(name = "OnFailure")]
    OnFailure,
    #[value(name = "Never")]
    Never,
}

impl Restart {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::OnFailure => "OnFailure",
            Self::Never => "Never",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum PullPolicy {
    #[value(name = "Always")]
    Always,
    #[value(name = "IfNotPresent")]
    IfNotPresent,
    #[value(name = "Never")]
    Never,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of kubectl run")]
pub(crate) struct RunArgs {
    /// Name of the pod
    name: String,
    #[arg(long)]
    image: String,
    /// Environment: KEY=VALUE
    #[arg(short = 'e', long, value_name = "KEY=VALUE")]
    env: Vec<String>,
    /// Port the container listens on
    #[arg(long)]
    port: Option<u16>,
    /// Labels: KEY=VALUE,… (default run=NAME)
    #[arg(short = 'l', long, value_delimiter = ',', value_name = "KEY=VALUE")]
    labels: Vec<String>,
    /// Annotations: KEY=VALUE
    #[arg(long, value_name = "KEY=VALUE")]
    annotations: Vec<String>,
    #[arg(long, value_enum, default_value = "Always")]
    restart: Restart,
    #[arg(long, value_enum)]
    image_pull_policy: Option<PullPolicy>,
    /// Merge this JSON over the generated pod
    #[arg(long, value_name = "JSON")]
    overrides: Option<String>,
    /// Keep standard input open, and attach
    #[arg(short = 'i', long)]
    stdin: bool,
    /// Give the container a terminal
    #[arg(short = 't', long)]
    tty: bool,
    /// Wait for the pod and attach to it
    #[arg(long)]
    attach: bool,
    /// Delete the pod when the attached session ends
    #[arg(long)]
    rm: bool,
    /// Print only what the container prints
    #[arg(short = 'q', long)]
    quiet: bool,
    #[arg(long)]
    privileged: bool,
    /// The arguments are the command, not its arguments
    #[arg(long)]
    command: bool,
    /// How long to wait until the pod runs
    #[arg(long, default_value = "1m", value_parser = parse_duration)]
    pod_running_timeout: Duration,
    #[command(flatten)]
    write: WriteArgs,
    /// Arguments (or the command with --command), after --
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGS"
    )]
    arguments: Vec<String>,
}

impl RunArgs {
    const fn attached(&self) -> bool {
        self.attach || self.stdin || self.tty
    }
}

pub(super) fn pairs(texts: &[String], what: &str) -> Result<Map<String, Value>, Failure> {
    texts
        .iter()
        .map(|text| {
            let (key, value) = text.split_once('=').ok_or_else(|| {
                Failure::local(format!("invalid {what}: {text}, expected KEY=VALUE"))
            })?;
            Ok((key.to_owned(), Value::String(value.to_owned())))
        })
        .collect()
}

/// The grammar of image names (distribution/reference); what the name stands for is the engine's business.
pub(super) fn is_image_name(text: &str) -> bool {
    const GRAMMAR: &str = concat!(
        r"^(?:(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+:[0-9]+|\[[0-9a-fA-F:]+\])(?::[0-9]+)?/)?",
        r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*",
        r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@[a-z0-9]+:[0-9a-fA-F]{32,})?$",
    );
    regex::Regex::new(GRAMMAR).is_ok_and(|grammar| grammar.is_match(text))
}

fn manifest(args: &RunArgs, namespace: &str) -> Result<Value, Failure> {
    let mut container = json!({"image": args.image, "name": args.name, "resources": {}});
    if !args.arguments.is_empty() {
        let field = if args.command { "command" } else { "args" };
        container[field] = json!(args.arguments);
    }
    if !args.env.is_empty() {
        let env: Vec<Value> = pairs(&args.env, "env")?
            .into_iter()
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect();
        container["env"] = Value::Array(env);
    }
    if let Some(port) = args.port {
        container["ports"] = json!([{"containerPort": port}]);
    }
    if let Some(policy) = args.image_pull_policy {
        container["imagePullPolicy"] = json!(format!("{policy:?}"));
    }
    if args.stdin {
        container["stdin"] = json!(true);
        container["stdinOnce"] = json!(true);
    }
    if args.tty {
        container["tty"] = json!(true);
    }
    if args.privileged {
        container["securityContext"] = json!({"privileged": true});
    }
    let labels = if args.labels.is_empty() {
        Map::from_iter([("run".to_owned(), json!(args.name))])
    } else {
        pairs(&args.labels, "label")?
    };
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"labels": labels, "name": args.name, "namespace": namespace},
        "spec": {"containers": [container], "dnsPolicy": "ClusterFirst", "restartPolicy": args.restart.as_str()},
    });
    if !args.annotations.is_empty() {
        pod["metadata"]["annotations"] = Value::Object(pairs(&args.annotations, "annotation")?);
    }
    if let Some(overrides) = &args.overrides {
        let overrides: Value = serde_json::from_str(overrides)
            .map_err(|error| Failure::local(format!("invalid --overrides: {error}")))?;
        pod = crate::model::patch::apply_merge(&pod, &overrides);
    }
    Ok(pod)
}

pub(crate) async fn run(context: &mut Context, args: RunArgs) -> Result<(), Failure> {
    if args.tty && !args.stdin {
        return Err(Failure::local(
            "-i/--stdin is required for containers with -t/--tty=true",
        ));
    }
    if args.rm && !args.attached() {
        return Err(Failure::local(
            "--rm should only be used for attached containers",
        ));
    }
    if !is_image_name(&args.image) {
        return Err(Failure::local(format!(
            "Invalid image name \"{}\": invalid reference format",
            args.image
        )));
    }
    let namespace = context.namespace();
    let value = manifest(&args, &namespace)?;
    let key = ObjectKey::pod(&namespace, &args.name);
    if args.write.dry_run == DryRun::Client {
        let mut value = value;
        // As kubectl prints it: the namespace of the moment is no part of what may be applied anywhere.
        if context.given_namespace.is_none()
            && let Some(metadata) = value["metadata"].as_object_mut()
        {
            metadata.shift_remove("namespace");
        }
        let object = local_object(&key, &value)?;
        return args
            .write
            .report(&mut context.console, &key, "created", Some(&object));
    }
    let client = context.client().await?;
    let written = client
        .create(value, args.write.options(Validate::Strict))
        .await?;
    context.console.warnings(&written.warnings);
    if args.write.dry_run == DryRun::Server || !args.attached() {
        return args
            .write
            .report(&mut context.console, &key, "created", Some(&written.object));
    }
    let result = attached(context, &*client, &args, &key).await;
    if args.rm {
        remove(context, &*client, &key, &written.object.uid()).await?;
    }
    result
}

/// Waits for the pod, connects, and ends with the exit code of its container where that is final.
async fn attached(
    context: &mut Context,
    client: &dyn Client,
    args: &RunArgs,
    key: &ObjectKey,
) -> Result<(), Failure> {
    let deadline = Instant::now() + args.pod_running_timeout;
    let started = wait_for(client, key, Some(deadline), |object| match object {
        None => Err(crate::model::ApiError::not_found(Kind::Pod, &key.name).into()),
        Some(Object::Pod(pod)) if has_started(pod, &args.name) => Ok(Some(pod.clone())),
        Some(_) => Ok(None),
    })
    .await?;
    let Waited::Met(pod) = started else {
        return Err(Failure::local(format!(
            "timed out waiting for the condition on pods/{}",
            key.name
        )));
    };
    let namespace = key.namespace.as_deref().unwrap_or_default();
    if phase(&pod) == "Running" && terminated(&pod, &args.name).is_none() {
        let attachment = Attachment {
            namespace,
            pod: &pod,
            container: &args.name,
            stdin: args.stdin,
            tty: args.tty,
            quiet: args.quiet,
        };
        match session(context, &attachment).await {
            // It ended before the session was open: what it had to say is in its log.
            Err(Failure::Api(error))
                if matches!(error.reason, Reason::BadRequest | Reason::NotFound) =>
            {
                print_log(context, client, namespace, args).await?;
            }
            other => other?,
        }
    } else {
        print_log(context, client, namespace, args).await?;
    }
    if args.restart == Restart::Always {
        return Ok(());
    }
    let ended = wait_for(client, key, None, |object| match object {
        None => Ok(Some((0, String::new()))),
        Some(Object::Pod(pod)) if matches!(phase(pod), "Succeeded" | "Failed") => {
            Ok(Some(ending(pod, &args.name)))
        }
        Some(_) => Ok(None),
    })
    .await?;
    match ended {
        Waited::Met((0, _)) | Waited::TimedOut => Ok(()),
        Waited::Met((code, reason)) => {
            context.console.note(&format!(
                "pod {namespace}/{} terminated ({reason})",
                key.name
            ));
            Err(Failure::Exit(u8::try_from(code).unwrap_or(u8::MAX)))
        }
    }
}

/// Exit code and reason of a container whose pod has ended.
fn ending(pod: &Pod, container: &str) -> (i32, String) {
    match terminated(pod, container) {
        Some(terminated) => (
            terminated.exit_code,
            terminated.reason.clone().unwrap_or_default(),
        ),
        // The pod failed before its container ran (evicted, deadline exceeded).
        None => {
            let reason = pod.status.as_ref().and_then(|status| status.reason.clone());
            (1, reason.unwrap_or_else(|| phase(pod).to_owned()))
        }
    }
}

fn status<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStatus> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    statuses.iter().find(|status| status.name == container)
}

fn terminated<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStateTerminated> {
    status(pod, container)?.state.as_ref()?.terminated.as_ref()
}

/// Running, or over already.
fn has_started(pod: &Pod, container: &str) -> bool {
    let running = status(pod, container)
        .and_then(|status| status.state.as_ref())
        .is_some_and(|state| state.running.is_some() || state.terminated.is_some());
    running || matches!(phase(pod), "Succeeded" | "Failed")
}

async fn print_log(
    context: &mut Context,
    client: &dyn Client,
    namespace: &str,
    args: &RunArgs,
) -> Result<(), Failure> {
    let options = LogOptions {
        container: Some(args.name.clone()),
        ..LogOptions::default()
    };
    let mut chunks = client.logs(namespace, &args.name, options).await?;
    while let Some(chunk) = chunks.next().await {
        context.console.write(&chunk?)?;
    }
    Ok(())
}

async fn remove(
    context: &mut Context,
    client: &dyn Client,
    key: &ObjectKey,
    uid: &Uid,
) -> Result<(), Failure> {
    match client.delete(key, DeleteOptions::default()).await {
        Ok(_) => {
            wait_gone(client, key, uid, None).await?;
            let namespace = key.namespace.as_deref().unwrap_or_default();
            context.console.note(&format!(
                "pod \"{}\" deleted from {namespace} namespace",
                key.name
            ));
            Ok(())
        }
        Err(error) if error.reason == Reason::NotFound => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::is_image_name;

    #[track_caller]
    fn check(text: &str, expected: bool) {
        assert_eq!(is_image_name(text), expected, "{text}");
    }

    #[test]
    fn image_names_follow_the_grammar() {
        let digest = "0".repeat(64);
        check("nginx", true);
        check("localhost/toolbox:latest", true);
        check("Registry.Example:5000/a/b_c.d:V1", true);
        check("registry:5000/a", true);
        check(&format!("quay.io/x/y@sha256:{digest}"), true);
        check("[::1]:5000/x", true);
        check("Nginx", false);
        check("a b", false);
        check("", false);
        check("x:", false);
        check("/x", false);
    }
}
