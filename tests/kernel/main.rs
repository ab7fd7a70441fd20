//! The built binary on the real kernel, looked at from outside: namespaces, cgroups, mounts, links.

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

mod claims;
mod clients;
mod configuration;
mod copying;
mod doors;
mod eviction;
mod exhaustion;
mod hooks;
mod hostile_images;
mod identity;
mod image_volumes;
mod init;
mod inspection;
mod isolation;
mod lifecycle;
mod parts;
mod priority;
mod probe_commands;
mod probes;
mod remote_probes;
mod sandbox;
mod settings;
mod streams;
mod user_namespace;
mod volumes;
