//! The container runtime as the engine sees it: the verbs of the CRI over [`crate::wire`] types.
//!
//! * [`ContainerRuntime`] — the trait. Every verb is idempotent; it knows containers and sandboxes, never a
//!   Pod, a restart policy or an image name.
//! * [`ShimRuntime`] — the real one: an async client of one shim process per sandbox. It starts shims
//!   (`launcher`), talks to them (`connection`, `session`, `dial`), adopts those it finds in the run directory
//!   (`discover`), and cleans up after dead ones; it makes no system call on namespaces, mounts or cgroups
//!   itself.
//! * `FakeRuntime` — the same behaviour from memory, for tests of the engine.
//!
//! A shim is started either by the factory (one long-lived `__shim --factory` that forks a shim per
//! request) or, when that is not there, as a process of its own; both speak the same JSON.
//! Creating a sandbox and removing the bridge exclude each other, because a new pod may be about to use
//! the bridge that an old one leaves.
//!
//! Deliberately absent: policy of any kind. A lost event costs the engine latency (it relists), never
//! correctness.

mod api;
mod connection;
mod dial;
mod discover;
#[cfg(test)]
mod fake;
mod launcher;
mod session;
mod shim;

pub(crate) use api::{
    ContainerRuntime, Discovered, EXEC_OUTPUT_LIMIT, ExecResult, RuntimeError, RuntimeEvent,
};
#[cfg(test)]
pub(crate) use fake::{Behaviour, FakeRuntime};
pub(crate) use launcher::ShimProgram;
pub(crate) use shim::ShimRuntime;
