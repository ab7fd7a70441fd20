//! The container runtime as the engine sees it: the verbs of the CRI over [`crate::wire`] types.
//!
//! * [`ContainerRuntime`] — the trait. Every verb is idempotent; it knows containers and sandboxes, never a
//!   Pod, a restart policy or an image name.
//! * `ShimRuntime` — the real one: an async client of one shim process per sandbox. It starts shims,
//!   adopts those it finds in the run directory, and cleans up after dead ones; it makes no system call
//!   on namespaces, mounts or cgroups itself.
//! * `FakeRuntime` — the same behaviour from memory, for tests of the engine.
//!
//! Deliberately absent: policy of any kind. A lost event costs the engine latency (it relists), never
//! correctness.

mod api;

pub(crate) use api::{ContainerRuntime, Discovered, RuntimeError, RuntimeEvent};
