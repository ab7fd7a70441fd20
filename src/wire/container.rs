use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::seccomp::Seccomp;
use crate::base::ContainerId;

/// Everything a shim needs to make and start one container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ContainerSpec {
    pub(crate) id: ContainerId,
    /// Opaque to the shim, returned in [`super::ContainerState`].
    pub(crate) labels: BTreeMap<String, String>,
    /// Name of the leaf below the pod's cgroup; unique among the live instances of the sandbox.
    pub(crate) cgroup_leaf: String,
    pub(crate) limits: ResourceLimits,
    pub(crate) oom_score_adj: i32,
    /// Where every container has a pid namespace of its own: be born in that of this running container.
    #[serde(default)]
    pub(crate) pid_of: Option<ContainerId>,

    pub(crate) argv: Vec<String>,
    /// `NAME=value`, complete but for `HOME`, which the shim adds from the container's passwd file when
    /// it is not here.
    pub(crate) env: Vec<String>,
    /// Absolute; created when missing (mode 0755, owned by the container's user as runc does).
    pub(crate) cwd: String,
    pub(crate) user: ContainerUser,

    pub(crate) rootfs: RootFs,
    /// Applied in this order, after `/proc`, `/sys`, `/dev`; parents before children.
    pub(crate) mounts: Vec<Mount>,
    /// Volumes the image declares and nothing is mounted on, absolute; each becomes a directory of this instance
    /// with what the image has there. A shim that does not know them starts the container without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) image_volumes: Vec<String>,
    /// Made after the mounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) devices: Vec<BlockDevice>,
    /// Paths inside the container that are covered (masked) or made read-only; missing ones are skipped.
    pub(crate) masked_paths: Vec<String>,
    pub(crate) readonly_paths: Vec<String>,
    /// All devices of the machine, `/sys` writable, host cgroup namespace (`privileged: true`).
    pub(crate) privileged: bool,

    pub(crate) capabilities: CapabilitySets,
    pub(crate) no_new_privileges: bool,
    pub(crate) seccomp: Seccomp,
    /// Name of a loaded AppArmor profile, for the first process and for exec sessions; `None`: unconfined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) apparmor: Option<String>,
    pub(crate) rlimits: Vec<Rlimit>,

    pub(crate) tty: bool,
    pub(crate) stdin: bool,
    /// Close the container's standard input when the first attached client that wrote to it leaves.
    pub(crate) stdin_once: bool,

    /// The CRI log file of this instance; its directory exists. Rotated files stand beside it.
    pub(crate) log_path: PathBuf,
    pub(crate) log_max_size: u64,
    pub(crate) log_max_files: u32,

    /// Signal name (`SIGTERM`) used by a stop request that names none.
    pub(crate) stop_signal: String,
}

/// Who the container runs as. Names are looked up by the shim in the passwd and group files of the
/// container's root, opened beneath it, never through name services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContainerUser {
    /// `USER` of the image or `runAsUser`: empty, `name`, `uid`, `name:group`, `uid:gid`.
    pub(crate) user: String,
    /// `runAsGroup`.
    pub(crate) group: Option<u32>,
    /// fsGroup and supplementalGroups.
    pub(crate) additional_groups: Vec<u32>,
    /// Also take the groups that list the user in the container's `/etc/group` (policy `Merge`).
    pub(crate) merge_image_groups: bool,
    /// `runAsNonRoot`: refuse to start (stage [`super::Stage::User`]) when the resolved uid is 0.
    pub(crate) must_not_be_root: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RootFs {
    /// Extracted layers, topmost first. At least one.
    pub(crate) layers: Vec<PathBuf>,
    /// An existing empty directory that receives `upper` and `work`; it belongs to this instance.
    pub(crate) scratch: PathBuf,
    pub(crate) readonly: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mount {
    pub(crate) source: MountSource,
    /// Path inside the container, resolved beneath its root with symlinks kept inside
    /// (`RESOLVE_IN_ROOT`, openat2(2)); a missing mount point is created.
    pub(crate) destination: String,
    pub(crate) readonly: bool,
    /// Read-only for every mount below as well (`mount_setattr(2)` with `AT_RECURSIVE`).
    pub(crate) recursive_readonly: bool,
    pub(crate) propagation: Propagation,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MountSource {
    /// A file or directory of the machine. `follow_symlinks` is true only for paths the user named
    /// (hostPath); files prepared by podtui are opened without following links.
    Bind {
        path: PathBuf,
        follow_symlinks: bool,
    },
    /// A tmpfs made once for the sandbox and shared by every container that names the same `key`
    /// (emptyDir with medium Memory, volumes of [`super::VolumeContent`]). It lives in the shim's mount
    /// namespace and dies with the sandbox.
    SharedTmpfs {
        key: String,
        size: Option<u64>,
        mode: u32,
        /// Owner of the root directory.
        #[serde(default)]
        group: Option<u32>,
        /// A hugetlbfs of pages of so many bytes instead.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        huge_page: Option<u64>,
        /// What of it is mounted, resolved beneath it; empty for all. A missing directory is made with the
        /// permission bits of the root.
        #[serde(default)]
        sub_path: String,
    },
    /// The files of an image, read-only and without anything executable (image volume).
    Image {
        /// Extracted layers, topmost first. At least one.
        layers: Vec<PathBuf>,
        /// What of it is mounted, resolved beneath it; empty for all.
        sub_path: String,
    },
}

/// A block device of the machine, as a node in the container and a right to use it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BlockDevice {
    /// Path inside the container, resolved as [`Mount::destination`].
    pub(crate) path: String,
    pub(crate) major: u32,
    pub(crate) minor: u32,
    /// Permission bits and owner of the node on the machine.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Only read otherwise.
    pub(crate) writable: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Propagation {
    Private,
    HostToContainer,
    Bidirectional,
}

/// Capability masks, bit N = capability number N (capabilities(7)). Inheritable and ambient stay empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CapabilitySets {
    pub(crate) bounding: u64,
    /// Permitted and effective of a process that runs as uid 0; any other uid gets none.
    pub(crate) effective: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rlimit {
    /// As in getrlimit(2), e.g. `RLIMIT_CORE`.
    pub(crate) name: String,
    pub(crate) soft: u64,
    pub(crate) hard: u64,
}

/// Values for one cgroup, in the units of both cgroup versions so that the writer only copies. `None`
/// leaves the kernel's value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ResourceLimits {
    /// v1 `cpu.shares`.
    pub(crate) cpu_shares: Option<u64>,
    /// v2 `cpu.weight`.
    pub(crate) cpu_weight: Option<u64>,
    /// Microseconds per period; `Some(-1)` writes "no quota" explicitly.
    pub(crate) cpu_quota: Option<i64>,
    pub(crate) cpu_period: Option<u64>,
    /// Bytes; `Some(-1)` writes "no limit" explicitly.
    pub(crate) memory_limit: Option<i64>,
    /// v2 `memory.swap.max` in bytes; v1 `memory.memsw.limit_in_bytes` becomes limit + swap.
    pub(crate) swap_limit: Option<i64>,
    /// v2 `memory.oom.group`.
    pub(crate) oom_group: bool,
    /// `Some(-1)` writes `max`.
    pub(crate) pids_limit: Option<i64>,
    /// Bytes that huge pages may take, by page size in bytes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) huge_pages: BTreeMap<u64, u64>,
}
