//! Images from registries, on the built binary: Debian's docker-registry on loopback filled by skopeo and umoci,
//! and a registry of our own that misbehaves on demand.
//!
//! Where the attack and fault cases on images are tried, by their numbers in the code and here: 14, 32, 33 and
//! 34 in `claims`; 17 to 22 in `hostile` (`layers`) and in `src/image/unpack/tests.rs`; 23 and 24 in `hostile`
//! (`manifests`) and `src/image/tests.rs`; 25 in `hostile` (`places_…`, `credentials_…`); 26 in
//! `src/image/reference.rs` and `digest.rs`; 27 in `src/manifest/tests.rs`; 43 in `tests/kernel/hostile_images.rs`.

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
mod claims;
mod hostile;
mod housekeeping;
mod nasty;
mod private;
mod proxies;
mod pulls;
mod saving;
mod space;
