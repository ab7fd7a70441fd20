//! One task per pod uid: the loop that makes the machine match the pod and the status match the machine.
//!
//! * `task` — the state and the loop: `Syncing → Terminating → Terminated`, one way.
//! * `sync` — one pass: observe, publish, plan, act. `start` (with `image`, `files` and `launch`) is its
//!   largest action.
//! * `admit` — what the node refuses before it begins anything, and what it makes go.
//! * `volumes` — what is mounted: ready before the sandbox, filled before the containers, kept up to date.
//! * `terminate` — the end, by deletion, by a terminal phase or because the engine stops its pods.
//! * `kill` — one container on its way out: preStop, its turn, stop signal, SIGKILL. `hooks` runs the
//!   handlers of both lifecycle hooks.
//! * `publish` — status writes, in the background and newest-wins, so that they never delay a start.
//! * `message` — termination messages. `probing` — which containers are probed, and from what state on.
//!
//! Inputs are the latest pod (a `watch`) and hints that something happened in the sandbox (a `Notify`);
//! the worker reads the state itself. A deletion cancels the pass that is under way: every verb of the
//! runtime may be dropped and is looked at again by the next observation.

mod admit;
mod files;
mod hooks;
mod image;
mod incidents;
mod kill;
mod launch;
mod message;
mod place;
mod preempt;
mod probing;
mod publish;
mod resize;
mod start;
mod sync;
mod task;
mod terminate;
mod volumes;

pub(super) use task::{Desired, Found, PodWorker};
