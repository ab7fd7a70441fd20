//! What [`super::update`] asks the world to do. [`super::app`] runs it and answers with [`super::msg::Msg`].

use crate::client::DeleteOptions;
use crate::model::{Kind, ObjectKey};

use super::logs::{LogRead, Opening, Target};
use super::term::{CursorShape, Purpose, SessionId};
use super::views::SessionChange;
use crate::base::TerminalSize;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Effect {
    /// List and follow a kind; takes the place of the watch of the same kind.
    Watch {
        kind: Kind,
        generation: u64,
        namespace: Option<String>,
    },
    Unwatch(Kind),
    /// End the log streams of earlier generations.
    CloseLogs,
    OpenLogs {
        generation: u64,
        target: Target,
        opening: Opening,
    },
    /// Read a part of the logs from the files; takes the place of a reading that has not ended.
    ReadLogs(Box<LogRead>),
    /// Write logs to a new file.
    SaveLogs {
        path: String,
        read: Box<LogRead>,
    },
    /// Read usage every two seconds, or stop.
    PollMetrics(Option<MetricsScope>),
    /// Read the processes of a pod every two seconds, or stop.
    PollProcesses(Option<Target>),
    /// What happened to the containers of a pod.
    ReadStory(Target),
    /// The end of a container's log: of the instance before the running one, or of the last one.
    ReadExcerpt {
        target: Target,
        container: String,
        previous: bool,
    },
    Alert(super::alerts::Alert),
    Create {
        path: String,
        namespace: String,
    },
    Delete {
        key: ObjectKey,
        options: DeleteOptions,
    },
    /// Ask the engine for a restart in place.
    Restart {
        key: ObjectKey,
        /// For messages.
        what: String,
        patch: serde_json::Value,
    },
    Editor(super::editor::EditorEffect),
    /// Complete the path of a file.
    ListPaths(String),
    /// Write what is on the screen to a file.
    Screenshot(String),
    /// Write the recording of messages to a file.
    SaveRecord(String),
    /// Read images and pulls every second, or stop.
    PollImages(bool),
    /// Write the views into their file, after a pause.
    KeepSession(Box<SessionChange>),
    OpenTerminal(Box<OpenTerminal>),
    /// Write to the program of a terminal.
    SendTty {
        id: SessionId,
        bytes: Vec<u8>,
    },
    ResizeTty {
        id: SessionId,
        size: TerminalSize,
    },
    /// A synchronised update began; it ends in a moment even if the program forgets to.
    ReleaseTtySoon {
        id: SessionId,
        hold: u64,
    },
    CloseTerminal(SessionId),
    /// Put text into the clipboard of the user.
    Copy(String),
    CursorShape(CursorShape),
    /// Clicks, wheel and drags come to podtui, or stay with the terminal of the user.
    Mouse(bool),
    /// Every motion of the mouse is reported (mode 1003), or only drags again.
    MouseMotion(bool),
    Redraw,
    Suspend,
    Image(ImageWork),
    /// A bug, on purpose.
    Panic,
    /// Take the terminal again and draw everything.
    Reenter,
    Exit(ExitChoice),
}

impl Effect {
    /// Something outside of the screen would be another afterwards: what `--readonly` is a promise against.
    pub(super) const fn changes_something(&self) -> bool {
        use super::editor::EditorEffect;
        matches!(
            self,
            Self::Create { .. }
                | Self::Delete { .. }
                | Self::Restart { .. }
                | Self::OpenTerminal(_)
                | Self::Image(_)
                | Self::SendTty { .. }
                | Self::Editor(EditorEffect::Apply(_) | EditorEffect::External(_))
                | Self::Exit(ExitChoice::Stop)
        )
    }
}

/// What is done to the images of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ImageWork {
    Pull(String),
    /// By name or ID; refused while a pod uses it.
    Remove(String),
    /// Unnamed ones that no pod uses, or all that no pod uses.
    Prune {
        all: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OpenTerminal {
    pub(super) id: SessionId,
    pub(super) target: Target,
    pub(super) container: String,
    pub(super) purpose: Purpose,
    /// What the program finds when it starts.
    pub(super) size: TerminalSize,
}

/// `None` = all namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MetricsScope(pub(super) Option<String>);

/// What becomes of the engine and its pods after the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitChoice {
    Keep,
    Stop,
}
