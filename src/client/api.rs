use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::base::{Incident, Login, ProcessInfo, SessionStream, TerminalSize, Uid};
use crate::model::{ApiError, Kind, Object, ObjectKey, ResourceVersion, Subresource};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WriteOptions {
    /// Run admission and answer as if written, change nothing.
    pub(crate) dry_run: bool,
    /// Unknown and duplicate fields: refuse (default), warn, or drop.
    pub(crate) field_validation: FieldValidation,
    /// Write only this part; `None` writes the object. Has no meaning for a create.
    pub(crate) subresource: Option<Subresource>,
    /// Whose fields they are after the write (`metadata.managedFields`).
    pub(crate) field_manager: String,
}

/// Query parameter `fieldValidation` of the Kubernetes API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    #[default]
    Strict,
    Warn,
    Ignore,
}

/// An accepted write and what the server had to say about it (HTTP `Warning` headers).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Written {
    pub(crate) object: Object,
    pub(crate) warnings: Vec<String>,
    /// There was no such object before.
    pub(crate) is_new: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Patch {
    /// RFC 6902.
    Json(Value),
    /// RFC 7386.
    Merge(Value),
    /// Kubernetes strategic merge patch.
    Strategic(Value),
    /// Server-side apply: the fields of this object that somebody has an opinion about. It is made when there is
    /// none. `force` takes fields from their managers.
    Apply { manifest: Value, force: bool },
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Preconditions {
    pub(crate) uid: Option<Uid>,
    pub(crate) resource_version: Option<ResourceVersion>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DeleteOptions {
    /// Seconds; `None` takes the pod's own.
    pub(crate) grace_period_seconds: Option<i64>,
    pub(crate) preconditions: Preconditions,
    pub(crate) dry_run: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ListOptions {
    /// `None` = all namespaces.
    pub(crate) namespace: Option<String>,
    /// As typed after `-l`; parsed and applied by the server side.
    pub(crate) label_selector: String,
    pub(crate) field_selector: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ObjectList {
    pub(crate) items: Vec<Object>,
    /// Where a watch that follows this list starts.
    pub(crate) resource_version: ResourceVersion,
}

/// One step of [`Client::list_in_parts`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ListPart {
    Objects(Vec<Object>),
    /// The end, and where a watch that follows this list starts.
    Version(ResourceVersion),
}

/// One step of a watch. After an `Expired` error the watcher must list again.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum WatchEvent {
    Added(Object),
    Modified(Object),
    Deleted(Object),
    Bookmark(ResourceVersion),
}

/// Parameters of the `log` subresource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogOptions {
    /// `None` is allowed only for pods with one container.
    pub(crate) container: Option<String>,
    pub(crate) follow: bool,
    pub(crate) previous: bool,
    pub(crate) timestamps: bool,
    pub(crate) tail_lines: Option<u64>,
    pub(crate) since: Option<Timestamp>,
    /// No line that began later. `tail_lines` then counts back from there. Not part of the Kubernetes API.
    pub(crate) until: Option<Timestamp>,
    pub(crate) limit_bytes: Option<u64>,
}

/// What a session goes to: a new process of a container, or its main process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionVerb {
    Exec,
    Attach,
}

/// Parameters of the `exec` and `attach` subresources (`command` is empty for attach).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExecOptions {
    pub(crate) container: Option<String>,
    pub(crate) command: Vec<String>,
    pub(crate) stdin: bool,
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
    pub(crate) tty: bool,
    pub(crate) size: Option<TerminalSize>,
}

/// A token of a service account that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenWanted {
    /// None of them means the API server.
    pub(crate) audiences: Vec<String>,
    pub(crate) seconds: i64,
    pub(crate) bound: Option<BoundObject>,
}

/// The object that a token ends with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BoundObject {
    /// `Pod` or `Secret`.
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) uid: Option<Uid>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IssuedToken {
    pub(crate) token: String,
    pub(crate) audiences: Vec<String>,
    pub(crate) at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

/// Usage of the machine, as served under `metrics.k8s.io`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeMetrics {
    pub(crate) name: String,
    pub(crate) at: Timestamp,
    /// Average use since the previous reading, in billionths of a CPU.
    pub(crate) cpu_nanocores: u64,
    /// Working set, bytes.
    pub(crate) memory_bytes: u64,
}

/// A connection to a port of a pod.
pub(crate) trait PortStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> PortStream for T {}

/// Usage of one pod, as served under `metrics.k8s.io`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodMetrics {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) at: Timestamp,
    pub(crate) containers: Vec<ContainerMetrics>,
    /// Processes and threads; `None` where the server does not tell.
    pub(crate) processes: Option<u64>,
    /// Bytes since the pod got its network; `None` where the server does not tell, and in the machine's network.
    pub(crate) network: Option<NetworkBytes>,
}

/// Annotations of `PodMetrics` objects: what `metrics.k8s.io` has no field for.
pub(crate) const PROCESSES_ANNOTATION: &str = "podtui.dev/processes";
pub(crate) const RECEIVED_ANNOTATION: &str = "podtui.dev/network-received-bytes";
pub(crate) const SENT_ANNOTATION: &str = "podtui.dev/network-sent-bytes";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NetworkBytes {
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

/// The processes of a pod at one instant, as served under `engine.podtui.dev`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodProcesses {
    pub(crate) at: Timestamp,
    /// Processes there are; `processes` may hold fewer.
    pub(crate) total: u64,
    pub(crate) processes: Vec<PodProcess>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodProcess {
    /// `None` for pause, which holds the sandbox.
    pub(crate) container: Option<String>,
    pub(crate) process: ProcessInfo,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContainerMetrics {
    pub(crate) name: String,
    /// Average use since the previous reading, in billionths of a CPU.
    pub(crate) cpu_nanocores: u64,
    /// Working set, bytes.
    pub(crate) memory_bytes: u64,
}

/// An image of the local store, as served under `images.podtui.dev`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ImageSummary {
    /// Normalised names, e.g. `docker.io/library/nginx:latest`; empty for an untagged image.
    pub(crate) names: Vec<String>,
    /// Digest of the image configuration (`sha256:…`): the image ID.
    pub(crate) id: String,
    pub(crate) created: Option<Timestamp>,
    /// Unpacked size, bytes.
    pub(crate) size: u64,
    pub(crate) layers: Vec<String>,
    /// Pods (`namespace/name`) that use it.
    pub(crate) used_by: Vec<String>,
    /// The `config` object of the OCI image configuration.
    pub(crate) config: Value,
    /// `name@sha256:…` of the manifests it was pulled by.
    #[serde(default)]
    pub(crate) repo_digests: Vec<String>,
    /// Unpacked bytes of each layer, in the order of `layers`.
    #[serde(default)]
    pub(crate) layer_sizes: Vec<u64>,
    /// `history` of the OCI image configuration.
    #[serde(default)]
    pub(crate) history: Value,
}

/// Bytes of one kind below the state directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DiskUsageRow {
    pub(crate) kind: String,
    pub(crate) total: usize,
    pub(crate) active: usize,
    pub(crate) size: u64,
    /// What a prune of everything would free.
    pub(crate) reclaimable: u64,
}

/// What a prune has removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PruneReport {
    /// Names and IDs.
    pub(crate) images: Vec<String>,
    /// Bytes on the disk.
    pub(crate) freed: u64,
}

/// A pull under way, as served under `images.podtui.dev`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ImagePull {
    /// Normalised name.
    pub(crate) image: String,
    pub(crate) started_at: Timestamp,
    /// `Waiting` (for its turn), `Resolving`, `Fetching` or `Finishing`.
    pub(crate) phase: String,
    /// Lowest first; empty until the manifest is known.
    pub(crate) layers: Vec<ImagePullLayer>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ImagePullLayer {
    pub(crate) digest: String,
    /// Compressed bytes: all of them, and those that are here.
    pub(crate) size: u64,
    pub(crate) fetched: u64,
    /// Unpacked and verified.
    pub(crate) done: bool,
}

/// Where a new image comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum ImageSource {
    /// A root file system as (compressed) tar.
    Import { path: PathBuf, name: String },
    /// An OCI layout directory or archive, or a docker archive; it brings its names.
    Load { path: PathBuf },
    /// A docker daemon of this machine.
    DockerDaemon { socket: PathBuf, name: String },
    /// A registry; with a login of the user's own, or what the engine's user has logged in to.
    Pull {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        login: Option<Login>,
    },
    /// An image that is here, under one more name. Engines before this variant refuse it.
    Tag { image: String, name: String },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EngineInfo {
    pub(crate) version: String,
    pub(crate) pid: u32,
    pub(crate) started_at: Timestamp,
    pub(crate) state_dir: PathBuf,
    pub(crate) run_dir: PathBuf,
    pub(crate) cgroup: String,
    pub(crate) pods: usize,
    /// What this machine lacks, in words (same as `podtui doctor`, short form).
    pub(crate) notes: Vec<String>,
    /// Processes and threads each pod may have; `None` = no limit. Engines before this field tell nothing.
    #[serde(default)]
    pub(crate) pod_pids_limit: Option<u64>,
}

/// Every operation a front end can ask for. Errors are [`ApiError`], whichever side of a socket they rose on.
#[async_trait]
pub(crate) trait Client: Send + Sync + 'static {
    /// `manifest` is one whole object as JSON, its kind taken from `apiVersion` and `kind`, its namespace
    /// defaulted by the caller.
    async fn create(&self, manifest: Value, options: WriteOptions) -> Result<Written, ApiError>;
    /// Full update; a `resourceVersion` in it is a precondition.
    async fn replace(&self, manifest: Value, options: WriteOptions) -> Result<Written, ApiError>;
    async fn patch(
        &self,
        key: &ObjectKey,
        patch: Patch,
        options: WriteOptions,
    ) -> Result<Written, ApiError>;
    /// The object as it is after the call: gone, or with its `deletionTimestamp`.
    async fn delete(&self, key: &ObjectKey, options: DeleteOptions) -> Result<Object, ApiError>;
    async fn get(&self, key: &ObjectKey) -> Result<Object, ApiError>;
    async fn list(&self, kind: Kind, options: ListOptions) -> Result<ObjectList, ApiError>;
    /// As [`Client::list`], for lists that are too long to be held whole. Objects of the engine in this process are
    /// shared with it, so there is nothing to be saved.
    async fn list_in_parts(
        &self,
        kind: Kind,
        options: ListOptions,
    ) -> Result<BoxStream<'static, Result<ListPart, ApiError>>, ApiError> {
        let list = self.list(kind, options).await?;
        let parts = [
            ListPart::Objects(list.items),
            ListPart::Version(list.resource_version),
        ];
        Ok(stream::iter(parts.map(Ok)).boxed())
    }
    /// Starts after `from`. Objects that leave the selection come as `Deleted`.
    async fn watch(
        &self,
        kind: Kind,
        options: ListOptions,
        from: ResourceVersion,
    ) -> Result<BoxStream<'static, Result<WatchEvent, ApiError>>, ApiError>;

    /// Raw log text as the API serves it: lines, each with its timestamp in front if asked for.
    async fn logs(
        &self,
        namespace: &str,
        pod: &str,
        options: LogOptions,
    ) -> Result<BoxStream<'static, Result<Bytes, ApiError>>, ApiError>;
    async fn exec(
        &self,
        namespace: &str,
        pod: &str,
        options: ExecOptions,
    ) -> Result<SessionStream, ApiError>;
    async fn attach(
        &self,
        namespace: &str,
        pod: &str,
        options: ExecOptions,
    ) -> Result<SessionStream, ApiError>;

    /// Refuses what [`Client::exec`] or [`Client::attach`] would refuse before anything is started, for a server
    /// that has to answer before it opens a stream. Clients without a server on top of them check nothing here.
    fn check_session(
        &self,
        _verb: SessionVerb,
        _namespace: &str,
        _pod: &str,
        _options: &ExecOptions,
    ) -> Result<(), ApiError> {
        Ok(())
    }

    /// Deletes a pod as `kubectl drain` does: its conditions tell that it was evicted.
    async fn evict(&self, pod: &ObjectKey, options: DeleteOptions) -> Result<(), ApiError>;
    async fn create_token(
        &self,
        namespace: &str,
        account: &str,
        wanted: TokenWanted,
    ) -> Result<IssuedToken, ApiError>;
    /// Connects to `localhost:port` in the network of a pod.
    async fn port_forward(
        &self,
        namespace: &str,
        pod: &str,
        port: u16,
    ) -> Result<Box<dyn PortStream>, ApiError>;

    async fn node_metrics(&self) -> Result<NodeMetrics, ApiError>;
    async fn pod_metrics(&self, namespace: Option<&str>) -> Result<Vec<PodMetrics>, ApiError>;
    /// Read from the cgroups of the pod with every call.
    async fn pod_processes(&self, namespace: &str, pod: &str) -> Result<PodProcesses, ApiError>;
    /// What happened to the containers of a pod, oldest first.
    async fn pod_incidents(&self, namespace: &str, pod: &str) -> Result<Vec<Incident>, ApiError>;

    async fn images(&self) -> Result<Vec<ImageSummary>, ApiError>;
    /// Returns the names the image now has.
    async fn add_image(&self, source: ImageSource) -> Result<Vec<String>, ApiError>;
    /// The images as one archive for `image load`, docker, podman or containerd.
    async fn save_images(
        &self,
        names: &[String],
    ) -> Result<BoxStream<'static, Result<Bytes, ApiError>>, ApiError>;
    /// Pulls under way, in the order in which they were asked for.
    async fn image_pulls(&self) -> Result<Vec<ImagePull>, ApiError>;
    /// Removes what no pod uses: unnamed images, with `all` every image; and downloads that broke off.
    async fn prune_images(&self, all: bool) -> Result<PruneReport, ApiError>;
    /// Every byte below the state directory, by what it is for.
    async fn disk_usage(&self) -> Result<Vec<DiskUsageRow>, ApiError>;
    /// By name or ID. Returns what was removed: names and IDs, for printing.
    async fn remove_image(&self, name: &str, force: bool) -> Result<Vec<String>, ApiError>;
    /// Takes one name away, or all of an image given by ID; the image stays. Returns the names.
    async fn untag_image(&self, name: &str) -> Result<Vec<String>, ApiError>;
    /// Asks a registry (`host[:port]`) whether it takes the login.
    async fn check_login(&self, registry: &str, login: &Login) -> Result<(), ApiError>;

    async fn engine_info(&self) -> Result<EngineInfo, ApiError>;
    /// Asks the engine to end; pods go on running unless `stop_pods`.
    async fn stop_engine(&self, stop_pods: bool) -> Result<(), ApiError>;
}
