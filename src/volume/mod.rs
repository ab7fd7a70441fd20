//! Pod volumes become prepared directories and a list of plain mounts.
//!
//! Input: the Pod and the pod's directory below the state directory. Output: [`Prepared`], which knows
//! the source of every volume and lists the mounts of each container, parents first; [`Scratch`], the
//! directory of one container instance; and [`remove_tree`], which takes all of it away again.
//!
//! Invariants:
//! * Nothing below a volume is reached through a symlink that a container can have made: `subPath` is
//!   resolved beneath its volume (CVE-2017-1002101, CVE-2021-25741) and handed on as a path without
//!   links, which the shim opens without following any; removal works on directory handles and never
//!   crosses a mount (CVE-2017-1002102).
//! * The owner and the mode of an existing host path are never changed. A missing one is created through
//!   links of root or of podtui's own user only, because another link may have been planted there.
//! * What is made of objects (configMap, secret, downwardAPI, projected) is in memory only: [`contents`] says
//!   which files there should be, and the shim writes them into a tmpfs of its own mount namespace, where
//!   they vanish with the sandbox, whoever crashed. Config maps are no secrets, but they share the path.
//!
//! * The owner of what is in a persistent volume of type local is changed (`fsGroup`) on directory handles,
//!   without following a link and without leaving the file system.
//!
//! * A volume of mode Block is a device number and never opened here: the shim makes its node and lets the container
//!   use it.
//!
//! Volumes survive container restarts and new sandboxes; they go with the pod.
//!
//! Deliberately absent: mounting (the shim does it), binding of claims (the engine does it).

mod content;
mod empty_dir;
mod error;
mod host_path;
mod mounts;
mod objects;
mod ownership;
mod persistent;
mod prepare;
mod read;
mod scratch;
mod subpath;
mod tree;
mod usage;
mod walk;

pub(crate) use content::contents;
pub(crate) use empty_dir::empty_dir_path;
pub(crate) use error::VolumeError;
#[cfg(test)]
pub(crate) use objects::NoObjects;
pub(crate) use objects::{Claimed, Objects, Sources};
pub(crate) use prepare::{MemoryCeiling, Prepared, prepare};
pub(crate) use scratch::{Scratch, ensure_scratch, read_termination_log};
pub(crate) use tree::{remove_tree, remove_tree_beneath};
pub(crate) use usage::{Usage, usage_of};
