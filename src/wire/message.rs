use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::container::{ContainerSpec, ResourceLimits};
use super::sandbox::CgroupLevel;
use super::state::{EffectiveUser, ExitRecord, SandboxState};
use super::volume::VolumeContent;
use crate::base::{ContainerId, Pid, ProcessInfo, TerminalSize};

/// Sockets that one [`Request::Socket`] may ask for.
pub(crate) const MOST_SOCKETS: usize = 8;

/// First frame of either side on every connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) protocol: u32,
}

/// Control frames, engine → shim. `id` is chosen by the engine and comes back in the reply; requests of
/// one connection are handled in order, but replies to slow ones (stop) may overtake each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ToShim {
    pub(crate) id: u64,
    pub(crate) request: Request,
}

/// Control frames, shim → engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum ToEngine {
    Reply {
        id: u64,
        reply: Reply,
    },
    /// Only on connections that sent [`Request::Subscribe`].
    Event(Event),
}

/// Every request is idempotent: repeating one that already took effect answers as the first time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Send events from now on over this connection; answered with [`Reply::State`], so that state and
    /// event stream have no gap between them.
    Subscribe,
    State,
    /// Makes the container's cgroup, root and process up to the point of exec.
    Create(Box<ContainerSpec>),
    /// Lets a created container run. Answered after exec succeeded or failed.
    Start(ContainerId),
    /// Signal PID 1, wait `grace_milliseconds`, then SIGKILL to the whole cgroup. Answered when the
    /// container is gone. A second stop can only shorten the wait.
    Stop {
        container: ContainerId,
        signal: Option<String>,
        grace_milliseconds: u64,
    },
    /// One signal to PID 1 of the container.
    Signal {
        container: ContainerId,
        signal: String,
    },
    /// Forget an exited or created container: its cgroup, mounts and record go away.
    Remove(ContainerId),
    UpdateLimits {
        container: ContainerId,
        limits: ResourceLimits,
    },
    /// New limits for the levels of the sandbox's cgroup path, which are named as at its creation. Since
    /// protocol 2.
    UpdateCgroups(Vec<CgroupLevel>),
    Stats,
    /// The processes in the cgroups of the pod. Since protocol 2.
    Processes,
    /// Makes these the files of a memory volume of the sandbox, all at once; the volume is made when it is
    /// not there.
    WriteVolume(Box<VolumeContent>),
    /// Turns this connection into a session stream (see [`super::frame`]).
    Exec(Box<ExecSpec>),
    /// Runs a command to its end; answered then. Since protocol 3.
    Run(RunSpec),
    /// Kills what the [`Request::Run`] of this number on this connection runs, with its process group, and answers
    /// it no more. Since protocol 3.
    GiveUp {
        run: u64,
    },
    /// Turns this connection into a session stream.
    Attach(AttachSpec),
    /// TCP sockets made in the network namespace of the sandbox, not connected yet. Their descriptors come
    /// with the frame of [`Reply::Socket`] (SCM_RIGHTS, unix(7)); the connection is for nothing else.
    Socket {
        ipv6: bool,
        /// How many, up to [`MOST_SOCKETS`]; 0 is one, and a shim that does not know this sends one.
        #[serde(default)]
        count: u8,
    },
    /// Kill every container and pause. The shim stays to answer for their exit records.
    StopSandbox,
    /// After StopSandbox: remove cgroups, links and files, answer, and exit.
    /// `bridge` names the bridge to remove if this was its last port.
    RemoveSandbox {
        bridge: Option<String>,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Reply {
    Done,
    State(Box<SandboxState>),
    Created,
    Started {
        pid: Pid,
        started_at: Timestamp,
        user: EffectiveUser,
    },
    Stopped(ExitRecord),
    Stats(SandboxStats),
    Processes(SandboxProcesses),
    /// The session runs; raw session frames follow on this connection.
    SessionStarted,
    /// The descriptors travel beside this frame.
    Socket,
    /// What became of a [`Request::Run`].
    Ran {
        code: i32,
        /// The beginning of what it wrote to both outputs, at most [`RunSpec::output_limit`] bytes of it.
        output: String,
    },
    Fault(Fault),
}

/// A refusal or failure, told in a way that a program can branch on and a person can read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fault {
    pub(crate) stage: Stage,
    /// errno(3) of the failing call; 0 when no system call failed.
    pub(crate) errno: i32,
    /// Lower case, names the path or key concerned.
    pub(crate) message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

/// The step of sandbox or container creation that failed. Sent over the error pipe between fork and exec
/// as its number, so the order of variants is part of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Stage {
    /// The request does not fit the state (unknown container, sandbox not ready).
    Request,
    Cgroup,
    Clone,
    Namespaces,
    Network,
    Sysctl,
    Rootfs,
    Mount,
    Device,
    PivotRoot,
    WorkingDirectory,
    Rlimit,
    User,
    Capabilities,
    Seccomp,
    Terminal,
    Log,
    Exec,
    State,
    /// A `subPath` that does not exist or leads out of its volume.
    SubPath,
    /// The AppArmor profile.
    AppArmor,
}

/// Numbered from 1 per shim; a gap tells the engine to ask for the whole state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) sequence: u64,
    pub(crate) at: Timestamp,
    pub(crate) kind: EventKind,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum EventKind {
    Started {
        container: ContainerId,
    },
    Exited {
        container: ContainerId,
        exit: ExitRecord,
    },
    /// `kills` = processes of this container killed by the OOM killer so far (memory.events `oom_kill`).
    OutOfMemory {
        container: ContainerId,
        kills: u64,
    },
    /// Pause is gone; the sandbox is not ready any more.
    SandboxExited,
    /// Something happened that the user must hear of (log write failed, bytes dropped for an attached
    /// client …).
    Note {
        container: Option<ContainerId>,
        text: String,
    },
}

/// A process to run inside a running container, with the container's user, groups, capabilities, seccomp
/// profile and cgroup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExecSpec {
    pub(crate) container: ContainerId,
    pub(crate) argv: Vec<String>,
    /// Added to the container's environment.
    pub(crate) env: Vec<String>,
    pub(crate) tty: bool,
    pub(crate) stdin: bool,
    /// With `tty`: the size set before the process starts.
    pub(crate) size: Option<TerminalSize>,
    /// When the client closes this connection before the end, the process and its group get SIGKILL.
    /// Without it they only lose their streams.
    #[serde(default)]
    pub(crate) kill_with_client: bool,
}

/// As an [`ExecSpec`] without input, terminal and client: it is only asked how it ends. It is killed, with its
/// group, when the connection on which it was asked for ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunSpec {
    pub(crate) container: ContainerId,
    pub(crate) argv: Vec<String>,
    /// Bytes of its output to keep; the rest is read and dropped.
    pub(crate) output_limit: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AttachSpec {
    pub(crate) container: ContainerId,
    pub(crate) stdin: bool,
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
    pub(crate) size: Option<TerminalSize>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SandboxStats {
    pub(crate) containers: Vec<ContainerStats>,
    /// `None` for a sandbox in the machine's network, whose counters say nothing about the pod.
    #[serde(default)]
    pub(crate) network: Option<NetworkStats>,
}

/// Bytes through the interfaces of the sandbox, without loopback.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NetworkStats {
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SandboxProcesses {
    pub(crate) at: Timestamp,
    /// Processes there are; `processes` may hold fewer.
    pub(crate) total: u64,
    pub(crate) processes: Vec<SandboxProcess>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SandboxProcess {
    /// `None` for pause.
    pub(crate) container: Option<ContainerId>,
    pub(crate) process: ProcessInfo,
}

/// One reading of a container's cgroup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContainerStats {
    pub(crate) container: ContainerId,
    pub(crate) at: Timestamp,
    /// Total CPU time used, nanoseconds.
    pub(crate) cpu_nanoseconds: u64,
    /// Usage minus inactive file pages, bytes: what `kubectl top` prints.
    pub(crate) memory_working_set: u64,
    /// Highest usage seen, bytes (0 where the kernel does not tell).
    pub(crate) memory_peak: u64,
    pub(crate) processes: u64,
}
