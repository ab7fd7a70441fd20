use clap::Args;

use super::target::{Target, TargetArgs, usable_tty};
use crate::base::SessionEnd;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::session::{Outcome, SessionMode, pump, terminal_size};
use crate::client::ExecOptions;

#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    #[command(flatten)]
    target: TargetArgs,
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
    let Target {
        namespace,
        pod,
        container,
    } = args.target.find(context, "exec into").await?;
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let stdin = args.target.stdin;
    let tty = usable_tty(context, args.target.tty, stdin);
    let options = ExecOptions {
        container: Some(container),
        command: args.command,
        stdin,
        stdout: true,
        // A terminal has one stream for both.
        stderr: !tty,
        tty,
        size: if tty { terminal_size() } else { None },
    };
    let client = context.client().await?;
    let stream = client.exec(&namespace, name, options).await?;
    let mode = SessionMode {
        tty,
        stdin,
        detachable: false,
    };
    let outcome = pump(&mut context.console, stream, mode).await?;
    exit(context, outcome)
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
