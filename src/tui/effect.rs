//! What [`super::update`] asks the world to do. [`super::app`] runs it and answers with [`super::msg::Msg`].

use crate::client::DeleteOptions;
use crate::model::{Kind, ObjectKey};

use super::logs::{Opening, Target};

#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Read usage every two seconds, or stop.
    PollMetrics(Option<MetricsScope>),
    Create {
        path: String,
        namespace: String,
    },
    Delete {
        key: ObjectKey,
        options: DeleteOptions,
    },
    /// Complete the path of a file.
    ListPaths(String),
    /// Write what is on the screen to a file.
    Screenshot(String),
    /// Write the recording of messages to a file.
    SaveRecord(String),
    Redraw,
    Suspend,
    /// Take the terminal again and draw everything.
    Reenter,
    Exit(ExitChoice),
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
