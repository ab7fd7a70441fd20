//! The manifests that podtui is measured by, each applied from its file as it is: through the command line, on
//! the real kernel, with images made from Debian packages behind a mirror of docker.io on loopback.

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
#[path = "../images/registry.rs"]
#[allow(dead_code, reason = "most of it is for the tests of images")]
mod registry;

#[macro_use]
mod debian;
mod stage;

mod configuration;
mod namespaces;
mod placement;
mod resources;
mod watched;
