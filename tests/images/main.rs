//! Images from registries, on the built binary: Debian's docker-registry on loopback filled by skopeo and umoci,
//! and a registry of our own that misbehaves on demand.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test program may panic and speaks to its reader"
)]

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

#[macro_use]
mod registry;
mod fake;

mod breaking;
mod hostile;
mod housekeeping;
mod nasty;
mod private;
mod pulls;
mod saving;
