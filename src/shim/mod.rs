//! The re-executed process that owns one pod's sandbox: namespaces, cgroups, containers, terminals, log
//! files and exit records. One process per pod, one thread, no async runtime, no logger.
//!
//! Entry: [`run`], called by `main` for `podtui __shim` before any thread exists.
//!
//! * `__shim` — one [`SandboxSpec`](crate::wire::SandboxSpec) on standard input, one
//!   [`ShimAnswer`](crate::wire::ShimAnswer) on standard output; then the shim serves
//!   `<directory>/shim.sock` until the sandbox is removed.
//! * `__shim --factory` — a template that forks a shim for each line of standard input. The shims share
//!   its relocated pages and pay no exec; it ends with its standard input, they do not.
//! * `__shim --cleanup` — undoes what a dead shim left behind.
//!
//! Processes and states:
//!
//! ```text
//! sandbox    Ready ── pause exits, or StopSandbox ──▶ NotReady ── RemoveSandbox ──▶ (shim exits)
//! container  Created ──▶ starting ──▶ Running ──▶ draining ──▶ Exited ──▶ (removed)
//!                            └── fault ───────────────────────────┘
//! ```
//!
//! `Create` only checks and remembers; `Start` does the work, because the engine sends both at once and a
//! process that waits before exec would be one more state to undo. A start is told when the child's report
//! pipe ends, so several containers start at the same time.
//!
//! A command that is only asked how it ends (`Run`, for probes) is made by the spawner
//! ([`crate::linux::spawner`]), a small process beside the shim that the second such command starts. What cannot be
//! ordered of it, or fails before it is executed, is forked as every session is, which then tells why.
//!
//! Invariants:
//! * Every child is known by its pidfd from clone3(2), or by the slot it shares with the spawner, and reaped only here;
//!   orphans of containers come to this subreaper and are reaped too.
//! * The record of an exit is in `state.json` before anybody is told of it, and output is complete in the
//!   log before that.
//! * Nothing a container or client does makes the loop wait or its memory grow: pipes are read in bounded
//!   turns, viewers lose output beyond their buffer (counted, told), exec sessions stop being read.
//! * All mounts of the pod are in this process's mount namespace or in one of a container, never in the
//!   machine's; they vanish with the processes.
//! * What a failed step has built is undone before the fault is reported.
//!
//! Deliberately absent: restart policy, probes, images, addresses, Kubernetes types.

mod cleanup;
mod commands;
mod connection;
mod container;
mod factory;
mod fault;
mod init;
mod lifecycle;
mod log_file;
mod main;
mod memory;
mod processes;
mod reactor;
mod request;
mod sandbox;
mod server;
mod session;
mod state_dir;
mod streams;
mod template;
mod viewer;
mod volume;

pub(crate) use main::run;
