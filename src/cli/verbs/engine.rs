use std::fmt::Write as _;
use std::pin::pin;
use std::time::Duration;

use clap::{Args, Subcommand};
use tokio::time::{Instant, timeout};

use super::containers::phase;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::client::{Client, ListOptions};
use crate::config::lock_holder;
use crate::model::{Kind, Object};
use crate::printer::human_duration;

#[derive(Debug, Args)]
pub(crate) struct EngineArgs {
    #[command(subcommand)]
    verb: EngineVerb,
}

#[derive(Debug, Subcommand)]
enum EngineVerb {
    /// Say whether an engine runs, and where it keeps its things
    Status,
    /// End the engine; pods go on running unless told otherwise
    Stop {
        /// Stop all pods, too
        #[arg(long)]
        stop_pods: bool,
    },
}

pub(crate) async fn engine(context: &mut Context, args: EngineArgs) -> Result<(), Failure> {
    match args.verb {
        EngineVerb::Status => status(context).await,
        EngineVerb::Stop { stop_pods } => stop(context, stop_pods).await,
    }
}

async fn status(context: &mut Context) -> Result<(), Failure> {
    let client = context.client().await?;
    let info = client.engine_info().await?;
    let up = human_duration(context.console.moment().now.duration_since(info.started_at));
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        writeln!(text, "{:<12} {value}", format!("{name}:"))
            .expect("writing to a String cannot fail");
    };
    line("Version", info.version);
    line("PID", info.pid.to_string());
    line("Running for", up);
    line("State", info.state_dir.display().to_string());
    line("Run", info.run_dir.display().to_string());
    line("Socket", context.settings.socket().display().to_string());
    line("Cgroup", info.cgroup);
    line("Pods", info.pods.to_string());
    for note in info.notes {
        line("Note", note);
    }
    context.console.print(&text)
}

async fn stop(context: &mut Context, stop_pods: bool) -> Result<(), Failure> {
    const PATIENCE: Duration = Duration::from_secs(60);
    const SILENCE: Duration = Duration::from_secs(1);

    let client = context.client().await?;
    let info = client.engine_info().await?;
    let pods = info.pods;
    let grace = if stop_pods {
        longest_grace(&*client).await?
    } else {
        Duration::ZERO
    };
    let begin = Instant::now();
    let mut stopping = pin!(client.stop_engine(stop_pods));
    // The engine answers when its pods have ended.
    match timeout(SILENCE, &mut stopping).await {
        Ok(result) => result?,
        Err(_) => {
            context.console.note(&format!(
                "Waiting for the containers to end; what ignores SIGTERM is killed after its grace period ({} s at most).",
                grace.as_secs()
            ));
            stopping.await?;
        }
    }
    let deadline = begin + PATIENCE + grace;
    // Gone when its socket does not answer any more and its directory is free for another.
    let holds = || lock_holder(&info.state_dir) == Some(info.pid);
    while client.engine_info().await.is_ok() || holds() {
        if Instant::now() >= deadline {
            return Err(Failure::local(format!(
                "the engine has not ended within {} s; its log is in {}",
                begin.elapsed().as_secs(),
                context.settings.log_dir().display()
            )));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let rest = match (stop_pods, pods) {
        (_, 0) => String::new(),
        (true, 1) => ", 1 pod stopped".to_owned(),
        (false, 1) => ", 1 pod goes on running".to_owned(),
        (true, pods) => format!(", {pods} pods stopped"),
        (false, pods) => format!(", {pods} pods go on running"),
    };
    context.console.print(&format!("engine stopped{rest}\n"))
}

/// The longest grace period of a pod that is not through yet.
async fn longest_grace(client: &dyn Client) -> Result<Duration, Failure> {
    let pods = client.list(Kind::Pod, ListOptions::default()).await?;
    let grace = pods.items.iter().filter_map(|object| {
        let Object::Pod(pod) = object else {
            return None;
        };
        let seconds = pod.spec.as_ref()?.termination_grace_period_seconds;
        let is_through = matches!(phase(pod), "Succeeded" | "Failed");
        (!is_through).then(|| Duration::from_secs(seconds.unwrap_or(30).try_into().unwrap_or(0)))
    });
    Ok(grace.max().unwrap_or_default())
}
