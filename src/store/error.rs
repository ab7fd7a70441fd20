use std::io;
use std::path::PathBuf;

use crate::base::Uid;
use crate::model::{FieldError, ObjectKey};

#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("{0} not found")]
    NotFound(ObjectKey),
    #[error("{0} already exists")]
    AlreadyExists(ObjectKey),
    /// The object is newer than the writer believed.
    #[error("{0} has been modified")]
    Conflict(ObjectKey),
    /// The name belongs to another object by now.
    #[error("{key} has uid {found}, not {expected}")]
    OtherUid {
        key: ObjectKey,
        expected: Uid,
        found: Uid,
    },
    /// What the engine wanted to create for a user's object is no valid object.
    #[error("{key} is invalid: {}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Refused {
        key: ObjectKey,
        errors: Vec<FieldError>,
    },
    #[error("create the object directory {}", path.display())]
    Directory {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Nothing was changed, neither in memory nor on disk.
    #[error("no space left for {}; nothing was changed. Free some space and try again", path.display())]
    NoSpace {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Nothing was changed, neither in memory nor on disk.
    #[error("append to {}; nothing was changed", path.display())]
    Append {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The write is in effect, but a power failure may undo it.
    #[error("sync {}; the change is in effect, but may be lost if the machine stops now", path.display())]
    Sync {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Written by a podtui that knows more than this one.
    #[error(
        "{} has format version {version}; this podtui reads up to {}", path.display(), supported
    )]
    NewerFormat {
        path: PathBuf,
        version: u64,
        supported: u64,
    },
    #[error("the store has been closed")]
    Closed,
}

/// The history asked for is no longer (or not yet) known; list again and watch from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too old resource version")]
pub(crate) struct Gone;
