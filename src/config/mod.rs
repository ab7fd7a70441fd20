//! Where podtui keeps its things and how it is to behave: one validated [`Settings`].
//!
//! Sources, strongest first: command line flags ([`Overrides`]), environment variables (`PODTUI_STATE_DIR`,
//! `PODTUI_RUN_DIR`, `PODTUI_CONFIG_DIR`, `PODTUI_LOG`), `config.toml` in the configuration directory, and
//! defaults that depend on whether the user is root. The configuration directory itself can only come from
//! a flag, the environment or the default.
//!
//! `config.toml` refuses unknown keys and reports the line and column of every mistake. Keys:
//! `state_dir`, `run_dir`, `log_level`, `on_exit`, `[node] name`, `[network] pod_range, cluster_dns,
//! cluster_domain`, `[container_logs] max_size, max_files`, `[cgroup] root`, `[pods] pids_limit, allowed_unsafe_sysctls`,
//! `[eviction] memory_available, nodefs_available, nodefs_inodes_free`, `[screen] theme`, `[images] parallel_pulls, registry_pull_qps, registry_burst,
//! gc_high_threshold, gc_low_threshold, gc_minimum_age_seconds, gc_maximum_age_seconds`,
//! `[registries."HOST"] mirrors, plain_http, insecure, ca_file`.
//!
//! A mistake in the file keeps an engine from starting and nothing else: [`Settings::load`] tells it beside what is
//! still understood (the directories), so that a command which needs no new engine does its work.
//!
//! A state directory belongs to the process that holds the lock in it ([`lock_holder`]).
//!
//! Loading reads files and creates nothing; [`Settings::ensure_directories`] makes the directories, mode
//! 0700. Deliberately absent: key bindings and themes (`tui` reads them from [`Settings::config_dir`]); the
//! `[screen]` table is checked here and read by `tui`, which follows its changes.

mod directories;
mod eviction;
mod file;
mod images;
mod lock;
mod mistake;
mod settings;

pub(crate) use eviction::{SoftThreshold, Threshold};
pub(crate) use images::Registry;
pub(crate) use lock::{lock_file, lock_holder, sign_lock};
pub(crate) use mistake::line_and_column;
pub(crate) use settings::{ConfigError, Loaded, OnExit, Overrides, Settings};
