//! podtui's own log: `tracing` into a daily rolling file below the state directory, and a panic hook.
//!
//! Nothing of this ever writes to standard output or standard error: the screen owns the terminal, and
//! the output of commands belongs to scripts. [`start`] returns a guard that must live as long as the
//! process, because dropping it flushes the writer thread. The shim never calls this (a thread is started).

mod panic;
mod subscriber;

pub(crate) use subscriber::{LOG_FILE, start};
