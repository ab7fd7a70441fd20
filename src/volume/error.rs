use std::path::PathBuf;

use super::host_path::HostPathError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum VolumeError {
    /// The text of a `FailedMount` event, together with its source; the blank before the colon is
    /// kubelet's.
    #[error("MountVolume.SetUp failed for volume \"{volume}\" : {reason}")]
    SetUp { volume: String, reason: SetUpError },
    /// The volume of a claim, by the name of the persistent volume.
    #[error("MountVolume.SetUp failed for volume \"{name}\" : {reason}")]
    Persistent {
        volume: String,
        name: String,
        reason: SetUpError,
    },
    /// The place of a local volume is not there.
    #[error("MountVolume.NewMounter initialization failed for volume \"{name}\" : {reason}")]
    NoMounter {
        volume: String,
        name: String,
        reason: String,
    },
    /// The device of a volume that is to be used as one; the text of a `FailedMapVolume` event.
    #[error("MapVolume.SetUpDevice failed for volume \"{name}\" : {reason}")]
    NoDevice {
        volume: String,
        name: String,
        reason: SetUpError,
    },
    /// A claim that nothing can be mounted of yet.
    #[error("error processing PVC {claim}: {reason}")]
    Claim {
        volume: String,
        /// Namespace and name.
        claim: String,
        reason: String,
    },
    /// A container mounts what the pod does not define; admission refuses such pods.
    #[error("volume \"{volume}\" of container \"{container}\" is not defined by the pod")]
    UnknownVolume { volume: String, container: String },
    /// Makes a `CreateContainerConfigError`.
    #[error(
        "failed to prepare subPath for volumeMount \"{volume}\" of container \"{container}\": {reason}"
    )]
    SubPath {
        volume: String,
        container: String,
        reason: String,
    },
    /// A file that a variable is taken from.
    #[error("failed to read file \"{path}\" of volume \"{volume}\": {reason}")]
    ReadFile {
        volume: String,
        path: String,
        reason: String,
    },
    #[error("{operation} {path}")]
    Io {
        operation: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// Something is mounted inside a tree that should be removed; unmounting is not this room's work and
    /// removing through it would destroy what is mounted there.
    #[error("{0} is a mount point: it is not removed")]
    MountPoint(PathBuf),
}

impl VolumeError {
    /// The volume concerned, where it is one.
    pub(crate) fn volume(&self) -> Option<&str> {
        match self {
            Self::SetUp { volume, .. }
            | Self::Persistent { volume, .. }
            | Self::NoMounter { volume, .. }
            | Self::NoDevice { volume, .. }
            | Self::Claim { volume, .. }
            | Self::UnknownVolume { volume, .. }
            | Self::SubPath { volume, .. }
            | Self::ReadFile { volume, .. } => Some(volume),
            Self::Io { .. } | Self::MountPoint(_) => None,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum SetUpError {
    #[error("volume type {0} is not supported by this version of podtui")]
    UnsupportedType(String),
    #[error("emptyDir medium \"{0}\" is not supported by this version of podtui")]
    UnsupportedMedium(String),
    #[error("configmap \"{0}\" not found")]
    NoConfigMap(String),
    #[error("secret \"{0}\" not found")]
    NoSecret(String),
    #[error("configmap references non-existent config key: {0}")]
    NoConfigKey(String),
    #[error("references non-existent secret key: {0}")]
    NoSecretKey(String),
    #[error("failed to fetch token: {0}")]
    Token(String),
    #[error("{0}")]
    DownwardApi(String),
    /// Of several sources of one volume; the texts, joined.
    #[error("[{0}]")]
    Several(String),
    #[error("the files of the volume have {size} bytes, more than a volume can hold (10 MiB)")]
    TooLarge { size: usize },
    #[error("medium HugePages: the containers of the pod request no huge pages")]
    NoPageSize,
    #[error(
        "medium HugePages: the containers of the pod request more than one size of huge pages; name one, as in HugePages-2Mi"
    )]
    ManyPageSizes,
    #[error("volume has no source")]
    NoSource,
    #[error("path \"{0}\" is not absolute")]
    Relative(PathBuf),
    #[error("path \"{0}\" is not a block device")]
    NotBlockDevice(PathBuf),
    #[error(transparent)]
    HostPath(#[from] HostPathError),
    #[error("{operation} {path}: {source}")]
    Io {
        operation: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
}
