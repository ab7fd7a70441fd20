//! The only place that turns a Pod into wire specs. Pure but for nothing: everything that was looked up
//! (image, address, prepared volumes) comes in as an argument.
//!
//! * `command` — `$(VAR)` expansion and the command matrix; `env` — the variables of a container.
//! * `resources` — cgroup values, cgroup levels, OOM score.
//! * `security` — user, capabilities, masks, seccomp.
//! * `container`, `sandbox` — the two specs.

mod command;
mod container;
mod env;
mod resources;
mod sandbox;
mod security;

pub(super) use container::{
    ContainerInputs, TranslateError, container_hash, container_spec, expand_sub_path,
};
pub(super) use resources::qos_totals;
pub(super) use sandbox::{SandboxInputs, sandbox_spec};
