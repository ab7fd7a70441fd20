use std::path::PathBuf;

use tracing_appender::non_blocking::WorkerGuard;
use tracing_appender::rolling::{InitError, RollingFileAppender, Rotation};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use super::panic;
use crate::config::Settings;

/// Name of the newest log file: `podtui.<date>.log`, and a symbolic link of this name leads to it.
pub(crate) const LOG_FILE: &str = "podtui.log";
const MAX_LOG_FILES: usize = 7;

/// Keeps the writer thread alive; dropping it writes out what is still queued.
#[must_use = "dropping the guard ends the log"]
pub(crate) struct Guard {
    _worker: WorkerGuard,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum TelemetryError {
    #[error("cannot create log directory {path}", path = path.display())]
    Directory {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot open a log file in {path}", path = path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: InitError,
    },
    #[error("log level {level:?} is not understood; write e.g. info or podtui::engine=debug")]
    Level {
        level: String,
        #[source]
        source: ParseError,
    },
    #[error("a log has been started in this process already")]
    AlreadyStarted(#[source] tracing::subscriber::SetGlobalDefaultError),
}

/// Starts the log of this process and installs the panic hook.
pub(crate) fn start(settings: &Settings) -> Result<Guard, TelemetryError> {
    let directory = settings.log_dir();
    // The appender prints to standard error when the directory is missing, so it is made first.
    std::fs::create_dir_all(&directory).map_err(|source| TelemetryError::Directory {
        path: directory.clone(),
        source,
    })?;
    let filter =
        EnvFilter::try_new(&settings.log_level).map_err(|source| TelemetryError::Level {
            level: settings.log_level.clone(),
            source,
        })?;
    let appender = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("podtui")
        .filename_suffix("log")
        .latest_symlink(LOG_FILE)
        .max_log_files(MAX_LOG_FILES)
        .build(&directory)
        .map_err(|source| TelemetryError::Open {
            path: directory,
            source,
        })?;
    let (writer, worker) = tracing_appender::non_blocking(appender);
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(false)
        .finish();
    tracing::subscriber::set_global_default(subscriber).map_err(TelemetryError::AlreadyStarted)?;
    panic::install();
    Ok(Guard { _worker: worker })
}
