//! The process that holds a pod's namespaces open: a static program of about a kilobyte, compiled from
//! `pause.rs` by `build.rs` in this directory and carried inside this binary.
//!
//! It shows as `/pause` when started with that as its first argument (its thread name is then set to
//! `pause` by itself), waits, reaps what is left to it when it is PID 1 of a shared pid namespace, and
//! exits with 0 on SIGTERM or SIGINT.

mod binary;

pub(in crate::linux) use binary::seal;
pub(crate) use binary::{PauseError, sealed};
