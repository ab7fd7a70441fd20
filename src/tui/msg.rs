//! Everything that can happen to the screen, as one closed enum. [`super::update`] is the only reader.

use crossterm::event::{KeyEvent, MouseEvent};
use jiff::Timestamp;

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::data::{Row, RowEvent};
use super::images::Images;
use super::logs::{LogEntry, LogPage, Target};
use super::personal::PersonalFiles;
use super::term::SessionId;
use super::views::SessionRead;
use crate::base::{Incident, SessionEnd};
use crate::client::{EngineInfo, PodMetrics, PodProcesses};
use crate::model::{Kind, Object, ObjectKey};

#[derive(Clone, Debug)]
pub(super) enum Msg {
    Key(KeyEvent),
    Mouse(MouseEvent),
    /// Bracketed paste.
    Paste(String),
    Resize {
        columns: u16,
        rows: u16,
    },
    /// The process was told to end (SIGTERM, SIGHUP, SIGINT) or the terminal is gone.
    Terminate,
    /// SIGTSTP.
    Suspend,
    /// SIGCONT: somebody else may have used the terminal.
    Resumed,
    /// Once per second.
    Tick(Timestamp),
    Connected(Box<EngineInfo>),
    ConnectFailed(String),
    Watch {
        kind: Kind,
        generation: u64,
        news: WatchNews,
    },
    Logs {
        generation: u64,
        source: usize,
        news: LogNews,
    },
    /// A part of the logs was read from the files.
    LogPage {
        id: u64,
        page: Box<LogPage>,
    },
    /// The terminal of the user has the focus, or has lost it.
    Focus(bool),
    Tty {
        id: SessionId,
        news: TtyNews,
    },
    /// A part of a reading of many pods; the rest comes at once.
    MetricsPart(Vec<PodMetrics>),
    Metrics(Result<Vec<PodMetrics>, String>),
    Processes(Target, Result<PodProcesses, String>),
    Story(Target, Result<Vec<Incident>, String>),
    /// The files of the configuration directory changed.
    Personal(Box<PersonalFiles>),
    /// Images and pulls, while their list is open.
    Images(Box<Images>),
    /// The views that earlier screens kept.
    Session(Box<SessionRead>),
    /// Their changes are not seen any more; the text says why.
    PersonalUnwatched(String),
    Reply(Reply),
}

impl Msg {
    /// Somebody sits there and waits for what comes of it.
    pub(super) const fn is_from_user(&self) -> bool {
        matches!(
            self,
            Self::Key(_) | Self::Mouse(_) | Self::Paste(_) | Self::Resize { .. } | Self::Focus(_)
        )
    }
}

#[derive(Clone, Debug)]
pub(super) enum WatchNews {
    /// The whole collection, at the start and after a watch was lost.
    Listed(Vec<Arc<Row>>),
    /// The rest of a long first list, part by part.
    More(Vec<Arc<Row>>),
    Changes(Vec<RowEvent>),
    /// It is being set up again; the text says why.
    Lost(String),
}

#[derive(Clone, Debug)]
pub(super) enum LogNews {
    Lines(Vec<LogEntry>),
    /// So many lines did not pass the filter; the time of the last one that was read.
    Hidden {
        lines: u64,
        newest: Option<Timestamp>,
    },
    /// The stream was too fast: it goes on with the line of this time, those before are in the files.
    Skipped(Timestamp),
    /// With the reason when it did not end in order.
    Ended(Option<String>),
}

#[derive(Clone, Debug)]
pub(super) enum TtyNews {
    /// The program runs; its name.
    Started(String),
    Output(TtyChunk),
    /// Input was lost: the program does not read.
    InputFull,
    /// The synchronised update with this number has had its time.
    Release(u64),
    Ended(SessionEnd),
}

/// Output of a program. While the message lives its permit is taken: a session has few of them, so a flood of
/// one neither grows memory nor stands in the way of others.
#[derive(Clone, Debug)]
pub(super) struct TtyChunk {
    pub(super) bytes: Bytes,
    _permit: Option<Arc<OwnedSemaphorePermit>>,
}

impl TtyChunk {
    pub(super) fn new(bytes: Bytes, permit: Option<OwnedSemaphorePermit>) -> Self {
        Self {
            bytes,
            _permit: permit.map(Arc::new),
        }
    }
}

/// The answer to one [`super::effect::Effect`].
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Deleted(ObjectKey, Result<(), String>),
    Restarted(String, Result<(), String>),
    /// What was created, and every problem with place and reason.
    Created {
        path: String,
        created: Vec<Object>,
        warnings: Vec<String>,
        problems: Vec<String>,
    },
    /// Paths that start with `typed`, directories with a slash at the end.
    Paths {
        typed: String,
        found: Vec<String>,
    },
    Editor(super::editor::EditorReply),
    /// The last lines of a container's log, safe to draw.
    Excerpt {
        container: String,
        lines: Result<Vec<String>, String>,
    },
    /// What was done to images in words, or why it was not.
    Images(Result<String, String>),
    /// A file was written, or was not.
    Saved(String, Result<(), String>),
    /// Lines of logs were written to a file, or were not.
    LogSaved(String, Result<u64, String>),
}
