//! The only place that turns a Pod into wire specs. Everything that was looked up (image, address, prepared
//! volumes, objects) comes in as an argument; nothing but a `fileKeyRef` reads a file.
//!
//! * `command` — `$(VAR)` expansion and the command matrix; `env`, `env_file` — the variables of a container.
//! * `resources` — cgroup values, cgroup levels, OOM score.
//! * `security` — user, capabilities, masks, seccomp, AppArmor; `seccomp` reads the profiles of users.
//! * `container`, `sandbox` — the two specs.

mod command;
mod container;
mod env;
mod env_file;
mod resources;
mod sandbox;
mod seccomp;
mod security;

pub(super) use container::{
    ContainerInputs, TranslateError, container_hash, container_spec, expand_sub_path,
};
pub(super) use env::{EnvInputs, Variables, variables};
pub(super) use resources::{container_limits, limits_of_pod, qos_limits, qos_totals};
pub(super) use sandbox::{SandboxInputs, sandbox_spec};
pub(super) use seccomp::{ProfileContext, load_error, parse_profile};
pub(super) use security::{capabilities, confinement, localhost_profile};
