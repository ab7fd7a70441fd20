//! The container that `exec` and `attach` go into, and what they ask of the terminal.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use k8s_openapi::api::core::v1::Pod;

use super::containers::{choose, get_pod, phase};
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::follow::parse_duration;
use crate::cli::resources::parse_pod;

#[derive(Debug, Args)]
pub(super) struct TargetArgs {
    /// POD or pod/POD
    pod: String,
    /// Container; the first one when left out
    #[arg(short = 'c', long, value_name = "NAME")]
    container: Option<String>,
    /// Pass standard input on
    #[arg(short = 'i', long)]
    pub(super) stdin: bool,
    /// Standard input is a terminal
    #[arg(short = 't', long)]
    pub(super) tty: bool,
    /// Print only what the container prints
    #[arg(short = 'q', long)]
    pub(super) quiet: bool,
    /// Accepted for kubectl's sake; a pod is not waited for
    #[arg(long, default_value = "1m", value_parser = parse_duration, hide = true)]
    pod_running_timeout: Duration,
}

pub(super) struct Target {
    pub(super) namespace: String,
    pub(super) pod: Arc<Pod>,
    pub(super) container: String,
}

impl TargetArgs {
    /// The pod, which must not have ended, and the container that is meant. `what` names the deed in the error.
    pub(super) async fn find(&self, context: &mut Context, what: &str) -> Result<Target, Failure> {
        let name = parse_pod(&self.pod)?;
        let namespace = context.namespace();
        let client = context.client().await?;
        let pod = get_pod(&*client, &namespace, &name).await?;
        let phase = phase(&pod);
        if matches!(phase, "Succeeded" | "Failed") {
            return Err(Failure::local(format!(
                "cannot {what} a container in a completed pod; current phase is {phase}"
            )));
        }
        let container = choose(&mut context.console, &pod, self.container.as_deref())?;
        Ok(Target {
            namespace,
            pod,
            container,
        })
    }
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
