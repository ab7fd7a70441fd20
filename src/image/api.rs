use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use serde_json::Value;

use super::credentials::PullSecret;
use super::pull::{Asker, PullOutcome, PullProgress};
use super::registry::RegistryError;
use super::usage::StoreUsage;
use crate::base::Login;

/// An image that is unpacked and ready to be mounted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ImageRecord {
    /// Digest of the configuration, `sha256:…`.
    pub(crate) id: String,
    /// Normalised names, e.g. `docker.io/library/nginx:latest`.
    pub(crate) names: Vec<String>,
    /// Digest of the manifest as `name@sha256:…` where one is known; what `imageID` of a status shows.
    pub(crate) repo_digests: Vec<String>,
    /// Extracted layer directories, topmost first.
    pub(crate) layers: Vec<PathBuf>,
    /// diff ids (`sha256:…`), lowest first.
    pub(crate) diff_ids: Vec<String>,
    /// Unpacked bytes.
    pub(crate) size: u64,
    /// Unpacked bytes of each layer, lowest first.
    pub(crate) layer_sizes: Vec<u64>,
    pub(crate) created: Option<Timestamp>,
    pub(crate) config: ImageConfig,
    /// The whole `config` object as it stands in the image, for display only.
    pub(crate) raw_config: Value,
    /// The `history` list of the image, for display only.
    pub(crate) history: Value,
}

/// The part of an OCI image configuration that a container start honours
/// (OCI image-spec `config.md`, "Properties").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ImageConfig {
    pub(crate) entrypoint: Vec<String>,
    pub(crate) cmd: Vec<String>,
    /// Only well-formed `NAME=value` entries; others have been dropped.
    pub(crate) env: Vec<String>,
    pub(crate) working_dir: String,
    pub(crate) user: String,
    pub(crate) stop_signal: Option<String>,
    /// `VOLUME`: absolute paths without `.` and `..`, sorted.
    pub(crate) volumes: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageError {
    #[error("couldn't parse image name \"{reference}\": invalid reference format: {reason}")]
    InvalidName { reference: String, reason: String },
    #[error("image \"{0}\" is not present")]
    NotFound(String),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Neither a mirror nor the registry itself has it.
    #[error("{last} ({mirrors})")]
    EveryPlace {
        last: Box<RegistryError>,
        mirrors: String,
    },
    /// The failure of a pull that several have waited for.
    #[error(transparent)]
    Shared(Arc<Self>),
    #[error(
        "image \"{image}\" cannot be saved: its layer {layer} was unpacked by an older podtui, which kept no record of its archive; remove the image and get it again"
    )]
    NoRecipe { image: String, layer: String },
    #[error("the work was interrupted")]
    Interrupted,
    /// The kubelet's words.
    #[error("pull QPS exceeded")]
    TooManyPulls,
    #[error(
        "no space left on the disk of {path} for {what}: `podtui system df` shows what is there, `podtui image prune --all` removes unused images"
    )]
    DiskFull { path: PathBuf, what: String },
    #[error("image \"{name}\" is used by {users}")]
    InUse { name: String, users: String },
    #[error(
        "image \"{id}\" has several names ({names}): remove the names you mean, or all of it with --force"
    )]
    SeveralNames { id: String, names: String },
    #[error(
        "localhost/toolbox:latest is podtui's own image, which it puts together from this machine; give yours another name"
    )]
    Toolbox,
    /// The archive is malformed, dangerous or does not match its digests.
    #[error("{archive}: {reason}")]
    BadArchive { archive: String, reason: String },
    #[error("{operation} {path}")]
    Io {
        operation: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

/// The local image store.
#[async_trait]
pub(crate) trait ImageService: Send + Sync + 'static {
    /// The image by any name a manifest may use, or by ID. `localhost/toolbox:latest` is assembled on the
    /// first call that asks for it. `Ok(None)` when it is not here.
    async fn status(&self, reference: &str) -> Result<Option<ImageRecord>, ImageError>;
    /// Whether a pod with these secrets may use an image that is here: one that could be pulled only with a
    /// secret opens only to those who have it too.
    async fn may_use(
        &self,
        reference: &str,
        image: &ImageRecord,
        secrets: &[PullSecret],
    ) -> Result<bool, ImageError>;
    /// Fetches it from its registry, or finds that what is here is what the registry has. Whoever asks for a
    /// pull that is under way waits for that one; dropping the future of the last one who waits cancels it.
    async fn pull(
        &self,
        reference: &str,
        secrets: &[PullSecret],
        asker: Asker,
    ) -> Result<PullOutcome, ImageError>;
    /// The pulls under way.
    fn pulls(&self) -> Vec<PullProgress>;
    /// ID of an image by any name, if it is here. Never assembles anything, never waits.
    fn known(&self, reference: &str) -> Result<Option<String>, ImageError>;
    async fn usage(&self) -> Result<StoreUsage, ImageError>;
    /// Bytes used and bytes altogether of the disk that holds the images; what is reserved for root counts as
    /// used, as df(1) has it.
    async fn disk(&self) -> Result<(u64, u64), ImageError>;
    /// Removes downloads that broke off and that no pull goes on with; returns the bytes they took.
    async fn remove_partial(&self) -> Result<u64, ImageError>;
    async fn list(&self) -> Result<Vec<ImageRecord>, ImageError>;
    /// A root file system as (compressed) tar becomes a one-layer image.
    async fn import(&self, tar: &Path, name: &str) -> Result<ImageRecord, ImageError>;
    /// Gives an image, by any of its names or its ID, one more name; returns it in full.
    async fn tag(&self, image: &str, name: &str) -> Result<Vec<String>, ImageError>;
    /// Takes one name away, or all of an image given by ID; the image stays. Returns the names.
    async fn untag(&self, name: &str) -> Result<Vec<String>, ImageError>;
    /// Asks a registry (`host[:port]`) whether it takes the login.
    async fn check_login(&self, registry: &str, login: &Login) -> Result<(), ImageError>;
    /// OCI layout (directory or archive) or docker archive; returns the names now present.
    async fn load(&self, path: &Path) -> Result<Vec<String>, ImageError>;
    /// An image of the docker daemon that listens on `socket`; returns the names now present.
    async fn load_from_daemon(&self, socket: &Path, name: &str) -> Result<Vec<String>, ImageError>;
    /// The images as one archive, an OCI layout and a docker archive at once. They keep their IDs; those
    /// given by name keep that name.
    async fn save(
        &self,
        names: &[String],
    ) -> Result<BoxStream<'static, Result<Bytes, ImageError>>, ImageError>;
    /// Removes a name, and the image with its unshared layers when that was the last one. `users` are the
    /// pods that use it; unless empty or `force`, the removal is refused.
    async fn remove(
        &self,
        name: &str,
        force: bool,
        users: &[String],
    ) -> Result<Vec<String>, ImageError>;
}
