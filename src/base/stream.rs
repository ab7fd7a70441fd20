use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// Columns and rows of a terminal, in characters (`TIOCSWINSZ`, ioctl_tty(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TerminalSize {
    pub(crate) columns: u16,
    pub(crate) rows: u16,
}

/// What an exec or attach session sends to its user. `End` comes once and is the last message; a
/// receiver that closes without it has lost the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SessionOutput {
    Stdout(Bytes),
    Stderr(Bytes),
    End(SessionEnd),
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SessionEnd {
    /// The process exited with this code; death by signal N is 128 + N.
    Exited(i32),
    /// The attached container stopped, or the stream was closed without an exit code of its own.
    Closed,
    /// The session could not be started or broke; the text is meant for the user.
    Failed(String),
}

/// The three channels of one interactive session (exec or attach), already connected.
///
/// Dropping `stdin` closes the standard input of the process. Dropping the whole value ends the session:
/// an exec'd process gets SIGHUP (with a terminal) or broken pipes; an attached container goes on.
/// All channels are bounded, so a slow reader slows the writer down and never grows memory.
#[derive(Debug)]
pub(crate) struct SessionStream {
    /// `None` when the session was opened without standard input.
    pub(crate) stdin: Option<mpsc::Sender<Bytes>>,
    pub(crate) output: mpsc::Receiver<SessionOutput>,
    /// Terminal sizes; ignored by the other side when the session has no terminal.
    pub(crate) resize: mpsc::Sender<TerminalSize>,
}
