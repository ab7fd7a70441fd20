//! The built binary on the real kernel, looked at from outside: namespaces, cgroups, mounts, links.

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

mod isolation;
mod lifecycle;
mod sandbox;
