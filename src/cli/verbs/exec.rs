use std::time::Duration;

use clap::Args;

use super::containers::{choose, get_pod, phase};
use crate::base::SessionEnd;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::follow::parse_duration;
use crate::cli::resources::parse_pod;
use crate::cli::session::{Outcome, SessionMode, pump, terminal_size};
use crate::client::ExecOptions;

#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// POD or pod/POD
    pod: String,
    /// Container; the first one when left out
    #[arg(short = 'c', long, value_name = "NAME")]
    container: Option<String>,
    /// Pass standard input on
    #[arg(short = 'i', long)]
    stdin: bool,
    /// Standard input is a terminal
    #[arg(short = 't', long)]
    tty: bool,
    /// Print only what the command prints
    #[arg(short = 'q', long)]
    quiet: bool,
    /// Accepted for kubectl's sake; a pod is not waited for
    #[arg(long, default_value = "1m", value_parser = parse_duration, hide = true)]
    pod_running_timeout: Duration,
    /// The command and its arguments, after --
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    command: Vec<String>,
}

pub(crate) async fn exec(context: &mut Context, args: ExecArgs) -> Result<(), Failure> {
    if args.command.is_empty() {
        return Err(Failure::local(
            "you must specify at least one command for the container",
        ));
    }
    let name = parse_pod(&args.pod)?;
    let namespace = context.namespace();
    let client = context.client().await?;
    let pod = get_pod(&*client, &namespace, &name).await?;
    let phase = phase(&pod);
    if matches!(phase, "Succeeded" | "Failed") {
        return Err(Failure::local(format!(
            "cannot exec into a container in a completed pod; current phase is {phase}"
        )));
    }
    let container = choose(&mut context.console, &pod, args.container.as_deref())?;
    let tty = usable_tty(context, args.tty, args.stdin);
    let options = ExecOptions {
        container: Some(container),
        command: args.command,
        stdin: args.stdin,
        stdout: true,
        // A terminal has one stream for both.
        stderr: !tty,
        tty,
        size: if tty { terminal_size() } else { None },
    };
    let stream = client.exec(&namespace, &name, options).await?;
    let mode = SessionMode {
        tty,
        stdin: args.stdin,
        detachable: false,
    };
    let outcome = pump(&mut context.console, stream, mode).await?;
    exit(context, outcome)
}

/// `-t` without a terminal on our side is told and given up, as kubectl does.
pub(super) fn usable_tty(context: &mut Context, wanted: bool, stdin: bool) -> bool {
    if wanted && (!stdin || !context.console.input_is_terminal) {
        context
            .console
            .note("Unable to use a TTY - input is not a terminal or the right kind of file");
        return false;
    }
    wanted
}

fn exit(context: &mut Context, outcome: Outcome) -> Result<(), Failure> {
    match outcome {
        Outcome::Ended(SessionEnd::Exited(0) | SessionEnd::Closed) | Outcome::Detached => Ok(()),
        Outcome::Ended(SessionEnd::Exited(code)) => {
            context
                .console
                .note(&format!("command terminated with exit code {code}"));
            // Codes of processes fit into a byte; anything else is still a failure.
            Err(Failure::Exit(u8::try_from(code).unwrap_or(u8::MAX)))
        }
        Outcome::Ended(SessionEnd::Failed(message)) => Err(Failure::local(message)),
    }
}
