use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use super::container::ResourceLimits;
use crate::base::SandboxId;

/// Everything a shim needs to build one pod sandbox. It arrives as one JSON document on the standard
/// input of the new shim.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SandboxSpec {
    pub(crate) id: SandboxId,
    /// Opaque to the shim, returned in [`super::SandboxState`]: how the engine finds its pod again.
    pub(crate) labels: BTreeMap<String, String>,
    /// The directory of this sandbox below the run directory; the engine has created it, mode 0700.
    /// The shim puts `shim.sock` and its state files here.
    pub(crate) directory: PathBuf,
    /// Kernel host name of the sandbox; ignored when the UTS namespace is the host's.
    pub(crate) hostname: String,
    pub(crate) namespaces: SandboxNamespaces,
    /// `None` with the host's network namespace.
    pub(crate) network: Option<NetworkPlan>,
    /// From the root downwards, e.g. `podtui-1a2b3c4d`, `burstable`, `pod<uid>`; joined below every
    /// controller's mount. Containers and pause get leaves below the last one. Levels are created when
    /// missing and removed, innermost first, when they are empty.
    pub(crate) cgroup: Vec<CgroupLevel>,
    /// Namespaced sysctls as dotted name and value, written inside the sandbox's namespaces.
    pub(crate) sysctls: Vec<(String, String)>,
    /// Size of the pod's shared `/dev/shm`, in bytes.
    pub(crate) shm_size: u64,
    /// `oom_score_adj` of pause (proc_pid_oom_score_adj(5)).
    pub(crate) oom_score_adj: i32,
    /// The user namespace of the pod (`hostUsers: false`); `None`: the machine's.
    #[serde(default)]
    pub(crate) user: Option<IdRange>,
}

/// Users and groups from 0 on inside are those from `start` on outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IdRange {
    pub(crate) start: u32,
    pub(crate) length: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Namespace {
    /// A namespace of the sandbox, held open by pause.
    Sandbox,
    /// The namespace of the machine (`hostNetwork`, `hostIPC`).
    Host,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PidNamespace {
    /// Every container has its own; its first process is PID 1.
    Container,
    /// One for the pod; pause is PID 1 (`shareProcessNamespace`).
    Sandbox,
    /// The machine's (`hostPID`).
    Host,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SandboxNamespaces {
    pub(crate) network: Namespace,
    pub(crate) ipc: Namespace,
    pub(crate) uts: Namespace,
    pub(crate) pid: PidNamespace,
}

/// One level of the cgroup path. `limits` is written only by whoever creates the level or when given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CgroupLevel {
    pub(crate) name: String,
    pub(crate) limits: Option<ResourceLimits>,
}

/// A plain list of links, addresses and routes; the shim applies it and knows nothing of ranges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NetworkPlan {
    pub(crate) bridge: BridgePlan,
    /// Name of the veth end that stays on the host (≤ 15 bytes, IFNAMSIZ) and is enslaved to the bridge.
    pub(crate) host_interface: String,
    /// Name of the end inside the sandbox, usually `eth0`.
    pub(crate) sandbox_interface: String,
    /// Address and prefix length inside the sandbox.
    pub(crate) address: Ipv4Net,
    pub(crate) gateway: Ipv4Addr,
    pub(crate) mtu: u32,
}

/// The bridge is created when missing, by whichever shim comes first, and removed by whoever is told to
/// in [`Cleanup`] once it has no port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BridgePlan {
    pub(crate) name: String,
    pub(crate) address: Ipv4Net,
}

/// What `__shim --cleanup` undoes for a sandbox whose shim is gone: it kills everything left in the pod's
/// cgroup, removes cgroups, stale sockets and — if told — the bridge. Every step is idempotent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cleanup {
    pub(crate) directory: PathBuf,
    /// Names of the levels as in [`SandboxSpec::cgroup`]; empty when only the bridge is meant.
    pub(crate) cgroup: Vec<String>,
    pub(crate) host_interface: Option<String>,
    /// Remove this bridge if it has no port left.
    pub(crate) bridge: Option<String>,
}
