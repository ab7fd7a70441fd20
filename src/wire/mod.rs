//! What both sides of the process border share: the engine's `runtime` room on one side, the `shim` on
//! the other.
//!
//! * [`SandboxSpec`] and [`ContainerSpec`] say everything a shim needs; it never sees a Pod.
//! * [`Request`], [`Reply`], [`Event`] are the messages; [`frame`] is their framing on a stream socket.
//! * [`SandboxState`] and [`ContainerState`] are what a shim reports and what it leaves on disk.
//!
//! Versions: [`PROTOCOL`] is exchanged in `Hello`. A shim outlives the engine that started it, so an
//! engine must speak to shims of every earlier protocol that it still lists in [`OLDEST_PROTOCOL`];
//! an older or newer one is refused with both numbers and the pod is reported, never guessed.
//! New fields are added with `#[serde(default)]` (old writer, new reader) and unknown fields are ignored
//! (new writer, old reader); a change that fits neither raises the protocol.
//!
//! Deliberately absent: policy (restart, probes, images), Kubernetes types, sockets.

mod container;
pub(crate) mod frame;
mod message;
mod sandbox;
mod seccomp;
mod startup;
mod state;
mod volume;

pub(crate) use container::{
    BlockDevice, CapabilitySets, ContainerSpec, ContainerUser, Mount, MountSource, Propagation,
    ResourceLimits, Rlimit, RootFs,
};
pub(crate) use message::{
    AttachSpec, ContainerStats, Event, EventKind, ExecSpec, Fault, Hello, MOST_SOCKETS,
    NetworkStats, Reply, Request, RunSpec, SandboxProcess, SandboxProcesses, SandboxStats, Stage,
    ToEngine, ToShim,
};
pub(crate) use sandbox::{
    BridgePlan, CgroupLevel, Cleanup, IdRange, Namespace, NetworkPlan, PidNamespace,
    SandboxNamespaces, SandboxSpec,
};
pub(crate) use seccomp::{
    Seccomp, SeccompAction, SeccompArgument, SeccompComparison, SeccompProfile, SeccompRule,
};
pub(crate) use startup::{FactoryAnswer, FactoryRequest, ShimAnswer};
pub(crate) use state::{
    ContainerPhase, ContainerState, EffectiveUser, ExitRecord, MemoryRecord, OomVictim,
    SandboxPhase, SandboxState,
};
pub(crate) use volume::{VolumeContent, VolumeFile};

/// The protocol this build speaks. 2: [`Request::Processes`] and requests that change a running container or
/// sandbox in place. 3: [`Request::Run`] and [`Request::GiveUp`].
pub(crate) const PROTOCOL: u32 = 3;
/// The oldest shim protocol this build can adopt.
pub(crate) const OLDEST_PROTOCOL: u32 = 1;
