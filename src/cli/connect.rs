use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::environment;
use crate::base::chain;
use crate::client::{Client, Remote};
use crate::config::{ConfigError, Settings, lock_holder};

/// How a command gets its client. Called at most once, and only by verbs that need an engine.
pub(crate) struct Connector(Box<dyn Fn() -> Connecting + Send>);

type Connecting = BoxFuture<'static, Result<Arc<dyn Client>, ConnectError>>;

impl Connector {
    pub(crate) fn new<F>(connect: F) -> Self
    where
        F: Fn() -> Connecting + Send + 'static,
    {
        Self(Box::new(connect))
    }

    pub(super) async fn connect(&self) -> Result<Arc<dyn Client>, ConnectError> {
        (self.0)().await
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("no engine is running ({socket} does not answer)", socket = socket.display())]
    NoEngine { socket: PathBuf },
    /// It runs with another run directory, or its socket was removed.
    #[error(
        "the engine with pid {pid} owns {state_dir} and does not answer on {socket}; `kill {pid}` ends it, its pods go on \
         and the next engine takes them over",
        state_dir = state_dir.display(), socket = socket.display()
    )]
    Unreachable {
        pid: u32,
        state_dir: PathBuf,
        socket: PathBuf,
    },
    #[error("no engine is running, and none can be started before config.toml is mended")]
    Configuration(#[source] Arc<ConfigError>),
    #[error("cannot find the podtui executable to start an engine")]
    Executable(#[source] std::io::Error),
    #[error("cannot start {program} serve", program = program.display())]
    Spawn {
        program: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the engine did not start: {output}")]
    Ended { output: String },
    #[error("the engine did not answer on {socket} within {seconds} s; end of its log:\n{log}", socket = socket.display())]
    TimedOut {
        socket: PathBuf,
        seconds: u64,
        log: String,
    },
}

/// How long a started engine may take until its socket answers.
const START_TIMEOUT: Duration = Duration::from_secs(15);
/// How long the socket is still tried after the started process has ended: another command may have
/// started an engine at the same moment, and ours then gave way to its lock.
const LOST_RACE: Duration = Duration::from_secs(1);

/// Connects to the engine that owns the run directory, if there is one.
pub(crate) async fn find_engine(settings: &Settings) -> Result<Arc<dyn Client>, ConnectError> {
    let found = find(settings).await;
    let remote = found.map_err(|error| match lock_holder(&settings.state_dir) {
        Some(pid) => ConnectError::Unreachable {
            pid,
            state_dir: settings.state_dir.clone(),
            socket: settings.socket(),
        },
        None => error,
    })?;
    Ok(Arc::new(remote))
}

async fn find(settings: &Settings) -> Result<Remote, ConnectError> {
    let socket = settings.socket();
    match Remote::connect(&socket).await {
        Ok(remote) => Ok(remote),
        Err(error) => {
            tracing::debug!(socket = %socket.display(), "no engine: {error}");
            Err(ConnectError::NoEngine { socket })
        }
    }
}

/// Connects to the engine of these settings and starts one in the background when there is none, which is
/// said once through `announce`.
///
/// Should that engine die, the next request that may be repeated finds or starts another one.
pub(crate) async fn find_or_start_engine(
    settings: &Settings,
    announce: impl FnOnce(&str),
) -> Result<Arc<dyn Client>, ConnectError> {
    let remote = find_or_start(settings, announce).await?;
    let settings = settings.clone();
    let revive = move || -> BoxFuture<'static, Result<(), String>> {
        let settings = settings.clone();
        Box::pin(async move {
            let found = find_or_start(&settings, |_| ()).await;
            found.map(|_| ()).map_err(|error| chain(&error))
        })
    };
    Ok(Arc::new(remote.revived_by(Arc::new(revive))))
}

async fn find_or_start(
    settings: &Settings,
    announce: impl FnOnce(&str),
) -> Result<Remote, ConnectError> {
    if let Ok(remote) = find(settings).await {
        return Ok(remote);
    }
    // A pipe, so that what it says before its log is open is not lost.
    let mut engine = spawn_engine(settings, Stdio::piped())?;
    let mut deadline = Instant::now() + START_TIMEOUT;
    let mut pause = Duration::from_millis(1);
    let mut ended = false;
    loop {
        if let Ok(remote) = find(settings).await {
            // Where ours has given way to another there is nothing to say.
            if !ended {
                announce(&format!(
                    "Started an engine in the background (state in {}).",
                    settings.state_dir.display()
                ));
            }
            return Ok(remote);
        }
        if !ended
            && engine
                .try_wait()
                .is_ok_and(|status| status.is_some_and(|status| !status.success()))
        {
            ended = true;
            deadline = Instant::now() + LOST_RACE;
        }
        if Instant::now() >= deadline {
            break;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(25));
    }
    if ended {
        return Err(ConnectError::Ended {
            output: output_of(engine, settings),
        });
    }
    Err(ConnectError::TimedOut {
        socket: settings.socket(),
        seconds: START_TIMEOUT.as_secs(),
        log: log_tail(&settings.log_dir()),
    })
}

/// Starts `podtui serve` on the same directories. It leaves our session and terminal by itself
/// (`--background`), and knows of our environment what an engine has a use for.
pub(crate) fn spawn_engine(settings: &Settings, stderr: Stdio) -> Result<Child, ConnectError> {
    let program = std::env::current_exe().map_err(ConnectError::Executable)?;
    let child = Command::new(&program)
        .args(["serve", "--background", "--state-dir"])
        .arg(&settings.state_dir)
        .arg("--run-dir")
        .arg(&settings.run_dir)
        .arg("--config-dir")
        .arg(&settings.config_dir)
        .arg("--log-level")
        .arg(&settings.log_level)
        .env_clear()
        .envs(std::env::vars_os().filter(|(name, _)| environment::is_kept(name)))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn();
    child.map_err(|source| ConnectError::Spawn { program, source })
}

/// What a process that has ended wrote to standard error, or the end of the log when it wrote nothing.
fn output_of(mut engine: Child, settings: &Settings) -> String {
    let mut bytes = Vec::new();
    if let Some(pipe) = engine.stderr.take() {
        // Bounded: a descendant may still hold the pipe open, but then it has no reason to write to it.
        let _ = pipe.take(16 << 10).read_to_end(&mut bytes);
    }
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    let text = text
        .strip_prefix("error: ")
        .map(str::to_owned)
        .unwrap_or(text);
    if text.is_empty() {
        log_tail(&settings.log_dir())
    } else {
        text
    }
}

/// The last lines of podtui's own log.
fn log_tail(directory: &Path) -> String {
    const LINES: usize = 12;
    let path = directory.join("podtui.log");
    match std::fs::read(&path) {
        Ok(bytes) => {
            let start = bytes.len().saturating_sub(64 << 10);
            let text = String::from_utf8_lossy(&bytes[start..]).into_owned();
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(LINES)..].join("\n")
        }
        Err(error) => format!("{}: {error}", path.display()),
    }
}
