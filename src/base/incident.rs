use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Pid;

/// The end of one run of a container, or a kill for lack of memory that a container survived. Names and messages
/// are words of the container: hostile input.
///
/// It is on disk and in the API. Fields are only ever added, with a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Incident {
    pub(crate) container: String,
    pub(crate) kind: IncidentKind,
    pub(crate) at: Timestamp,
    /// Number of runs before this one.
    pub(crate) attempt: u32,
    pub(crate) started_at: Option<Timestamp>,
    /// `None` while it runs, and when nobody saw the end.
    pub(crate) exit_code: Option<i32>,
    pub(crate) signal: Option<i32>,
    /// As in the status: `OOMKilled`, `Error`, `Completed` …
    pub(crate) reason: String,
    /// Why it was killed, when that was done on purpose: a failed probe, a changed definition.
    pub(crate) cause: Option<String>,
    /// Termination message, or why it could not be started.
    pub(crate) message: Option<String>,
    /// Highest use of memory, bytes; 0 where the kernel does not tell.
    pub(crate) memory_peak: u64,
    /// Bytes.
    pub(crate) memory_limit: Option<i64>,
    /// Processes of this run killed for lack of memory so far.
    pub(crate) oom_kills: u64,
    /// The last of them, as far as it is known.
    pub(crate) victim: Option<Victim>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum IncidentKind {
    Ended,
    /// A process was killed and the container goes on.
    OutOfMemory,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Victim {
    /// On the machine.
    pub(crate) pid: Pid,
    pub(crate) name: String,
    /// The first process of the container, not a child.
    pub(crate) is_main: bool,
}
