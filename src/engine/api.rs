use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use serde_json::Value;
use tokio::net::TcpStream;

use super::images::{DiskUsage, Pruned};
use super::node_usage::NodeUsage;
use super::tokens::{IssuedToken, TokenOrder};
use crate::base::{Incident, Login, ProcessInfo, SessionStream, TerminalSize, Uid};
use crate::model::ObjectKey;

#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// The pod or container does not run; the text is kubectl's.
    #[error("{0}")]
    NotRunning(String),
    #[error("{0} not found")]
    NotFound(String),
    #[error("{0}")]
    BadRequest(String),
    /// Something below failed; the text is the whole chain.
    #[error("{0}")]
    Internal(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExecRequest {
    pub(crate) argv: Vec<String>,
    pub(crate) tty: bool,
    pub(crate) stdin: bool,
    pub(crate) size: Option<TerminalSize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AttachRequest {
    pub(crate) stdin: bool,
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
    pub(crate) size: Option<TerminalSize>,
}

/// Usage of the running containers of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodUsage {
    pub(crate) pod: Uid,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) at: Timestamp,
    pub(crate) containers: Vec<ContainerUsage>,
    /// Bytes received and sent since the sandbox was made; `None` in the network of the machine.
    pub(crate) network: Option<(u64, u64)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContainerUsage {
    pub(crate) name: String,
    /// Average since the reading before, billionths of a CPU.
    pub(crate) cpu_nanocores: u64,
    /// Working set, bytes.
    pub(crate) memory_bytes: u64,
    pub(crate) processes: u64,
}

/// The processes of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodProcessesView {
    pub(crate) at: Timestamp,
    /// Processes there are; `processes` may hold fewer.
    pub(crate) total: u64,
    pub(crate) processes: Vec<PodProcessView>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodProcessView {
    /// `None` for pause.
    pub(crate) container: Option<String>,
    pub(crate) process: ProcessInfo,
}

/// An image for display.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ImageView {
    pub(crate) names: Vec<String>,
    pub(crate) id: String,
    pub(crate) created: Option<Timestamp>,
    /// Unpacked bytes.
    pub(crate) size: u64,
    /// diff ids, lowest first.
    pub(crate) layers: Vec<String>,
    /// `namespace/name` of the pods that use it.
    pub(crate) used_by: Vec<String>,
    pub(crate) config: Value,
    /// `name@sha256:…` of the manifests it was pulled by.
    pub(crate) repo_digests: Vec<String>,
    /// Unpacked bytes of each layer, lowest first.
    pub(crate) layer_sizes: Vec<u64>,
    pub(crate) history: Value,
}

/// A pull under way, for display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PullView {
    /// Normalised name.
    pub(crate) image: String,
    pub(crate) started_at: Timestamp,
    /// `Waiting`, `Resolving`, `Fetching` or `Finishing`.
    pub(crate) phase: &'static str,
    /// Lowest first; empty until the manifest is known.
    pub(crate) layers: Vec<PullLayerView>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PullLayerView {
    pub(crate) digest: String,
    /// Compressed bytes: all of them, and those that are here.
    pub(crate) size: u64,
    pub(crate) fetched: u64,
    /// Unpacked as well.
    pub(crate) done: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EngineStatus {
    pub(crate) started_at: Timestamp,
    pub(crate) state_dir: PathBuf,
    pub(crate) run_dir: PathBuf,
    /// `v2`, `v1` or `hybrid`.
    pub(crate) cgroup: String,
    /// What works only in part on this machine.
    pub(crate) notes: Vec<String>,
    /// Processes and threads each pod may have.
    pub(crate) pod_pids_limit: Option<u64>,
}

/// What the clients of a running engine may ask of it beside reading and writing the store.
#[async_trait]
pub(crate) trait EngineApi: Send + Sync + 'static {
    async fn exec(
        &self,
        pod: &Uid,
        container: &str,
        request: ExecRequest,
    ) -> Result<SessionStream, EngineError>;
    async fn attach(
        &self,
        pod: &Uid,
        container: &str,
        request: AttachRequest,
    ) -> Result<SessionStream, EngineError>;
    /// Readings of all pods; taken when asked, at most once per second.
    async fn usage(&self) -> Vec<PodUsage>;
    /// Read anew with every call.
    async fn processes(&self, pod: &Uid) -> Result<PodProcessesView, EngineError>;
    /// What the whole machine uses, as an average since the question before.
    async fn node_usage(&self) -> Result<NodeUsage, EngineError>;
    /// A connection to `localhost:port` in the network of the pod.
    async fn dial(&self, pod: &Uid, port: u16) -> Result<TcpStream, EngineError>;
    /// Deletes a pod, which its conditions then tell as an eviction. `grace_seconds`: `None` takes the pod's own.
    async fn evict(
        &self,
        key: &ObjectKey,
        uid: &Uid,
        grace_seconds: Option<i64>,
    ) -> Result<(), EngineError>;
    fn issue_token(&self, order: TokenOrder) -> Result<IssuedToken, EngineError>;
    /// What happened to the containers of a pod, oldest first.
    fn incidents(&self, pod: &Uid) -> Vec<Incident>;
    /// The directory with the CRI log files `N.log` of one container (it may not exist yet).
    fn log_directory(&self, namespace: &str, pod: &str, uid: &Uid, container: &str) -> PathBuf;

    async fn images(&self) -> Result<Vec<ImageView>, EngineError>;
    async fn import_image(&self, tar: &Path, name: &str) -> Result<Vec<String>, EngineError>;
    /// One more name for an image; returns it in full.
    async fn tag_image(&self, image: &str, name: &str) -> Result<Vec<String>, EngineError>;
    async fn load_from_daemon(&self, socket: &Path, name: &str)
    -> Result<Vec<String>, EngineError>;
    /// As one archive. A name that is not here is an error before the first byte.
    async fn save_images(
        &self,
        names: &[String],
    ) -> Result<BoxStream<'static, Result<Bytes, EngineError>>, EngineError>;
    async fn load_images(&self, path: &Path) -> Result<Vec<String>, EngineError>;
    /// With the login, or the credentials of the engine's own user. Returns the normalised name; dropping the future
    /// cancels the pull unless a pod waits for it as well.
    async fn pull_image(
        &self,
        name: &str,
        login: Option<&Login>,
    ) -> Result<Vec<String>, EngineError>;
    /// Takes names away and leaves the image; returns the names.
    async fn untag_image(&self, name: &str) -> Result<Vec<String>, EngineError>;
    /// Asks a registry whether it takes the login.
    async fn check_login(&self, registry: &str, login: &Login) -> Result<(), EngineError>;
    fn pulls(&self) -> Vec<PullView>;
    /// Removes what no pod uses: unnamed images, with `all` every image; and downloads that broke off.
    async fn prune_images(&self, all: bool) -> Result<Pruned, EngineError>;
    /// Every byte below the state directory.
    async fn disk_usage(&self) -> Result<Vec<DiskUsage>, EngineError>;
    async fn remove_image(&self, name: &str, force: bool) -> Result<Vec<String>, EngineError>;

    fn status(&self) -> EngineStatus;
    /// Ends the engine. With `stop_pods` every pod's containers are stopped first (the objects stay in
    /// the store and start again with the next engine); without, they go on running.
    async fn shut_down(&self, stop_pods: bool);
}
