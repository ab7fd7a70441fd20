//! Images: references, the content-addressed blob store, unpacked layers and the assembled toolbox.
//!
//! Input: tar streams, OCI layouts, docker archives, the host's own binaries. Output: [`ImageRecord`] — the
//! unpacked layer directories and the image configuration. Everything that comes from an archive is hostile:
//! extraction happens beneath a directory handle, digests and sizes are verified before anything is visible,
//! and labels or annotations of an image never steer podtui.
//!
//! Deliberately absent: mounting (the shim does it), pull policy (the engine decides), credentials for now.

mod api;
mod decompress;
mod digest;
mod reference;
mod unpack;

pub(crate) use api::{ImageConfig, ImageError, ImageRecord, ImageService};
