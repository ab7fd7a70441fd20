use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::base::{ContainerId, SandboxId, SessionStream};
use crate::wire::{
    AttachSpec, CgroupLevel, Cleanup, ContainerSpec, Event, ExecSpec, ExitRecord, Fault,
    ResourceLimits, SandboxProcesses, SandboxSpec, SandboxState, SandboxStats, VolumeContent,
};

/// What the runtime finds in its run directory.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Discovered {
    /// A living shim answered.
    Alive(Box<SandboxState>),
    /// The shim is gone; this is what it left on disk. Every process of the pod has been killed and its
    /// cgroups removed before this is returned. Containers that were running are still shown as running
    /// here: their exit is not known.
    Dead(Box<SandboxState>),
    /// The directory holds nothing readable; the text says what was wrong. It has been cleaned up as far
    /// as its name allows.
    Unreadable { directory: PathBuf, reason: String },
}

/// Something happened in a sandbox. A hint: the receiver reads the latest state, it never acts on the
/// payload alone.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RuntimeEvent {
    Sandbox {
        sandbox: SandboxId,
        event: Event,
    },
    /// The connection to the shim broke; the shim may be dead.
    ShimLost {
        sandbox: SandboxId,
    },
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExecResult {
    /// The first [`EXEC_OUTPUT_LIMIT`] bytes of standard output and error as they came; the rest is read
    /// and dropped.
    pub(crate) output: Vec<u8>,
    /// `None`: it did not end in time and was killed.
    pub(crate) exit_code: Option<i32>,
}

/// Bytes of output kept of a command (kubelet `maxReadLength` of exec probes).
pub(crate) const EXEC_OUTPUT_LIMIT: usize = 10 << 10;

#[derive(Debug, thiserror::Error)]
pub(crate) enum RuntimeError {
    #[error("sandbox {0} is not known")]
    UnknownSandbox(SandboxId),
    #[error("container {0} is not known")]
    UnknownContainer(ContainerId),
    /// The shim refused or failed; the stage says where.
    #[error("{0}")]
    Fault(Fault),
    #[error("starting the shim failed")]
    SpawnShim(#[source] std::io::Error),
    #[error("the shim of sandbox {sandbox} is not reachable")]
    Unreachable {
        sandbox: SandboxId,
        #[source]
        source: std::io::Error,
    },
    #[error("the shim of sandbox {sandbox} speaks protocol {theirs}, this podtui {ours}")]
    Protocol {
        sandbox: SandboxId,
        theirs: u32,
        ours: u32,
    },
    /// The connection was refused, or nobody answered.
    #[error("dial tcp {address}")]
    Dial {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    /// A command could not be run to its end.
    #[error("{0}")]
    Exec(String),
    #[error("{operation} of {path} failed")]
    File {
        operation: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

/// The verbs of the CRI (`runtime.v1.RuntimeService`) that podtui needs.
///
/// All verbs are idempotent and may be repeated after an error. All are cancel-safe in the sense that
/// dropping the future leaves the operation either not begun or going on to its end in the shim; `list`
/// tells which.
#[async_trait]
pub(crate) trait ContainerRuntime: Send + Sync + 'static {
    /// Looks through the run directory: adopts living shims, cleans up after dead ones. Called once at
    /// start, before any other verb.
    async fn discover(&self) -> Result<Vec<Discovered>, RuntimeError>;

    /// Starts a shim that builds the sandbox; returns when pause runs and the network is up.
    async fn run_pod_sandbox(&self, spec: SandboxSpec) -> Result<SandboxState, RuntimeError>;
    /// Kills all containers and pause, in that order.
    async fn stop_pod_sandbox(&self, sandbox: &SandboxId) -> Result<(), RuntimeError>;
    /// Removes everything the sandbox holds on the machine, the shim included. `bridge` names a bridge
    /// to remove if this was its last user.
    async fn remove_pod_sandbox(
        &self,
        sandbox: &SandboxId,
        bridge: Option<String>,
    ) -> Result<(), RuntimeError>;
    /// Undoes what is left of a sandbox whose shim is dead. Returns the last record of that shim, if it
    /// left one.
    async fn clean_up(&self, what: Cleanup) -> Result<Option<Box<SandboxState>>, RuntimeError>;

    /// Makes these the files of a memory volume of the sandbox.
    async fn write_volume(
        &self,
        sandbox: &SandboxId,
        content: VolumeContent,
    ) -> Result<(), RuntimeError>;

    async fn create_container(
        &self,
        sandbox: &SandboxId,
        spec: ContainerSpec,
    ) -> Result<(), RuntimeError>;
    /// Returns after exec succeeded. After an error the container's state is exited, code 128.
    async fn start_container(&self, container: &ContainerId) -> Result<(), RuntimeError>;
    /// Returns when the container is gone.
    async fn stop_container(
        &self,
        container: &ContainerId,
        signal: Option<String>,
        grace: Duration,
    ) -> Result<ExitRecord, RuntimeError>;
    async fn remove_container(&self, container: &ContainerId) -> Result<(), RuntimeError>;
    async fn update_limits(
        &self,
        container: &ContainerId,
        limits: ResourceLimits,
    ) -> Result<(), RuntimeError>;
    /// New limits for the groups above the containers; the levels are those of the sandbox's creation.
    async fn update_cgroups(
        &self,
        sandbox: &SandboxId,
        cgroup: Vec<CgroupLevel>,
    ) -> Result<(), RuntimeError>;

    /// The state of one sandbox with its containers. [`RuntimeError::UnknownSandbox`] when there is none,
    /// [`RuntimeError::Unreachable`] when its shim is dead.
    async fn sandbox(&self, sandbox: &SandboxId) -> Result<SandboxState, RuntimeError>;
    async fn stats(&self, sandbox: &SandboxId) -> Result<SandboxStats, RuntimeError>;
    /// The processes of the pod, taken from its cgroups.
    async fn processes(&self, sandbox: &SandboxId) -> Result<SandboxProcesses, RuntimeError>;

    async fn exec(&self, spec: ExecSpec) -> Result<SessionStream, RuntimeError>;
    async fn attach(&self, spec: AttachSpec) -> Result<SessionStream, RuntimeError>;
    /// Runs a command to its end, without input or terminal (CRI `ExecSync`). After `timeout`, and when the
    /// future is dropped, the command and its process group are killed.
    async fn exec_sync(
        &self,
        container: &ContainerId,
        command: Vec<String>,
        timeout: Option<Duration>,
    ) -> Result<ExecResult, RuntimeError>;
    /// Connects to `address` from inside the sandbox's network. The stream does not block, and nobody waits for it yet.
    /// [`RuntimeError::Dial`] when nobody answers there; the caller bounds the time.
    async fn dial(
        &self,
        sandbox: &SandboxId,
        address: SocketAddr,
    ) -> Result<TcpStream, RuntimeError>;

    /// Events of all sandboxes. There is one receiver: a second call closes the first.
    fn events(&self) -> mpsc::Receiver<RuntimeEvent>;
}
