//! The command line as a user of kubectl expects it.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test program may panic and speaks to its reader"
)]

#[path = "../support/mod.rs"]
mod support;

mod kubectl;
mod refusals;
mod settings;
mod verbs;
