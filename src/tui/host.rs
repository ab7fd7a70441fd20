//! Programs of this machine, as far as the screen needs them.

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
