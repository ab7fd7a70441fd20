use std::net::Ipv4Addr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::container::ContainerSpec;
use super::sandbox::SandboxSpec;
use crate::base::Pid;

/// What a shim knows of its sandbox, as answered to `State` and as written to `state.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SandboxState {
    pub(crate) spec: SandboxSpec,
    pub(crate) phase: SandboxPhase,
    pub(crate) created_at: Timestamp,
    pub(crate) shim_pid: Pid,
    /// Pid of pause; `None` once it has been reaped.
    pub(crate) pause_pid: Option<Pid>,
    pub(crate) address: Option<Ipv4Addr>,
    /// Every container that has been created and not removed, oldest first.
    pub(crate) containers: Vec<ContainerState>,
    /// Things that worked only in part on this machine, for the user ("oom_score_adj -998 refused: …").
    pub(crate) notes: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SandboxPhase {
    Ready,
    /// Pause has exited or was stopped; nothing can be started any more.
    NotReady,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ContainerState {
    pub(crate) spec: ContainerSpec,
    pub(crate) phase: ContainerPhase,
    pub(crate) created_at: Timestamp,
    /// The identity found for [`ContainerSpec::user`]; known once started.
    pub(crate) user: Option<EffectiveUser>,
    pub(crate) notes: Vec<String>,
    #[serde(default)]
    pub(crate) memory: MemoryRecord,
}

/// What is known of the memory of one run of a container: when the kernel kills for lack of it, and at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemoryRecord {
    /// Highest usage seen, bytes; 0 where the kernel does not tell.
    pub(crate) peak: u64,
    /// Processes killed for lack of memory so far (memory.events `oom_kill`).
    pub(crate) kills: u64,
    /// The last of them; `None` when nobody was killed or the kernel's log cannot be read.
    pub(crate) victim: Option<OomVictim>,
}

/// The name is what the process called itself: hostile input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OomVictim {
    /// On the machine.
    pub(crate) pid: Pid,
    pub(crate) name: String,
    /// It was the first process of the container, not a child.
    pub(crate) is_main: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ContainerPhase {
    Created,
    Running { pid: Pid, started_at: Timestamp },
    Exited(ExitRecord),
}

/// The end of a container instance. It is on disk before anybody is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExitRecord {
    /// Exit status; 128 + N after death by signal N; 128 when it never started.
    pub(crate) code: i32,
    pub(crate) signal: Option<i32>,
    /// `None` when the process was never executed.
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) finished_at: Timestamp,
    /// The kernel killed a process of this container's cgroup for lack of memory.
    pub(crate) oom_killed: bool,
    /// Why it could not be started, for humans; only when it was never executed.
    pub(crate) start_error: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EffectiveUser {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) supplementary_groups: Vec<u32>,
}
