use serde::{Deserialize, Serialize};

use super::Pid;

/// One process as the kernel tells of it. Name and command are the process's own words: hostile input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProcessInfo {
    /// On the machine.
    pub(crate) pid: Pid,
    pub(crate) parent: Pid,
    /// In the innermost pid namespace: what the container itself calls it.
    pub(crate) inner_pid: Pid,
    /// Clock ticks after boot. With the pid it names one process for ever.
    pub(crate) started_ticks: u64,
    pub(crate) user: u32,
    /// At most 15 bytes (`comm`).
    pub(crate) name: String,
    /// The arguments, separated by spaces; empty for a zombie.
    pub(crate) command: String,
    /// The letter of proc_pid_stat(5): `R`, `S`, `D`, `Z`, `T` …
    pub(crate) state: char,
    pub(crate) threads: u64,
    /// Processor time used so far.
    pub(crate) cpu_nanoseconds: u64,
    /// Resident memory.
    pub(crate) memory_bytes: u64,
    /// Open file descriptors; `None` where the kernel does not let them be counted.
    pub(crate) descriptors: Option<u64>,
}
