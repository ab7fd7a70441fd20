//! Programs of this machine, as far as the screen needs them, and what outlives it.

use std::ffi::OsString;
use std::io;

use crate::base::{SessionStream, TerminalSize};

/// Starts programs of this machine in terminals of their own; for those of containers there is `Client`.
pub(crate) trait HostPrograms: Send + Sync {
    /// `argv` holds the program and its arguments. Its terminal has this size, and standard error is the same as
    /// standard output. Dropping `stdin` hangs the terminal up; `End` comes when the program is gone.
    ///
    /// # Errors
    /// There is no terminal to be had, or no process.
    fn start(&self, argv: &[OsString], size: TerminalSize) -> io::Result<SessionStream>;
}

/// Gives the terminal back should the screen die without doing it (SIGKILL, out of memory).
pub(crate) trait TerminalKeeper: Send {
    /// The terminal is taken next; it is to come back as it is now.
    fn take(&mut self);
    /// From now on somebody waits for the death of this process. Called when the first frame is drawn, because it
    /// costs a process.
    ///
    /// # Errors
    /// There is no process to be had.
    fn watch(&mut self) -> io::Result<()>;
    /// The terminal was given back; until it is taken again there is nothing to do.
    fn give(&mut self);
}
