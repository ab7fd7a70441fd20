use clap::Args;
use k8s_openapi::api::core::v1::Pod;

use super::target::{Target, TargetArgs, usable_tty};
use crate::base::SessionEnd;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::session::{Outcome, SessionMode, pump, terminal_size};
use crate::client::ExecOptions;
use crate::model::pod::{find_any_container, find_ephemeral};

#[derive(Debug, Args)]
pub(crate) struct AttachArgs {
    #[command(flatten)]
    target: TargetArgs,
}

/// One attached session, for `attach` and `run -i`.
pub(super) struct Attachment<'a> {
    pub(super) namespace: &'a str,
    pub(super) pod: &'a Pod,
    pub(super) container: &'a str,
    pub(super) stdin: bool,
    pub(super) tty: bool,
    pub(super) quiet: bool,
}

pub(crate) async fn attach(context: &mut Context, args: AttachArgs) -> Result<(), Failure> {
    let Target {
        namespace,
        pod,
        container,
    } = args.target.find(context, "attach").await?;
    let attachment = Attachment {
        namespace: &namespace,
        pod: &pod,
        container: &container,
        stdin: args.target.stdin,
        tty: args.target.tty,
        quiet: args.target.quiet,
    };
    session(context, &attachment).await
}

pub(super) async fn session(
    context: &mut Context,
    attachment: &Attachment<'_>,
) -> Result<(), Failure> {
    let name = attachment.pod.metadata.name.as_deref().unwrap_or_default();
    let container_tty = container_tty(attachment.pod, attachment.container);
    let mut wanted = attachment.tty;
    if wanted && !container_tty {
        context.console.note(&format!(
            "error: Unable to use a TTY - container {} did not allocate one",
            attachment.container
        ));
        wanted = false;
    }
    let tty = usable_tty(context, wanted, attachment.stdin);
    let interactive = attachment.stdin && tty;
    if interactive && !attachment.quiet {
        context.console.note(
            "All commands and output from this session will be recorded in container logs, including credentials and \
             sensitive information passed through the command prompt.",
        );
        context
            .console
            .note("If you don't see a command prompt, try pressing enter.");
    }
    let options = ExecOptions {
        container: Some(attachment.container.to_owned()),
        command: Vec::new(),
        stdin: attachment.stdin,
        stdout: true,
        stderr: !container_tty,
        tty,
        size: if tty { terminal_size() } else { None },
    };
    let client = context.client().await?;
    let stream = client.attach(attachment.namespace, name, options).await?;
    let mode = SessionMode {
        tty,
        stdin: attachment.stdin,
        detachable: tty,
    };
    let outcome = pump(&mut context.console, stream, mode).await?;
    match outcome {
        Outcome::Ended(SessionEnd::Failed(message)) => Err(Failure::local(message)),
        // The code of the main process is the pod's matter, not this session's.
        Outcome::Ended(SessionEnd::Exited(_) | SessionEnd::Closed) | Outcome::Detached => {
            // As in kubectl: only a container that comes back can be attached to again.
            let comes_back = restart_policy(attachment.pod) == "Always";
            if interactive && comes_back && !attachment.quiet {
                let again = format!("'podtui attach {name} -c {} -i -t'", attachment.container);
                let spec = attachment.pod.spec.as_ref();
                let line = match spec.and_then(|spec| find_ephemeral(spec, attachment.container)) {
                    Some(_) => format!(
                        "Session ended, the ephemeral container will not be restarted but may be reattached using \
                         {again} if it is still running"
                    ),
                    None => format!(
                        "Session ended, resume using {again} command when the pod is running"
                    ),
                };
                context.console.note(&line);
            }
            Ok(())
        }
    }
}

fn restart_policy(pod: &Pod) -> &str {
    let policy = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.restart_policy.as_deref());
    policy.unwrap_or("Always")
}

fn container_tty(pod: &Pod, name: &str) -> bool {
    let found = pod.spec.as_ref();
    let found = found.and_then(|spec| find_any_container(spec, name));
    found.is_some_and(|container| container.tty == Some(true))
}
