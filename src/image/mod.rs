//! Images: references, the content-addressed blob store, unpacked layers and the assembled toolbox.
//!
//! Input: tar streams, OCI layouts, docker archives, the host's own binaries. Output: [`ImageRecord`] — the
//! unpacked layer directories and the image configuration. Everything that comes from an archive is hostile:
//! extraction happens beneath a directory handle, digests and sizes are verified before anything is visible,
//! and labels or annotations of an image never steer podtui.
//!
//! [`LocalImages`] is the store on this machine. Changes happen under a file lock and become visible with the
//! rename of `index.json`; a layer is complete from the moment it has its name. What a crash leaves behind
//! is removed by the next open. Layer archives are not kept once they are unpacked.
//!
//! Deliberately absent: mounting (the shim does it), pull policy (the engine decides), credentials for now.

mod api;
mod config;
mod decompress;
mod digest;
mod import;
mod load;
mod local;
mod reference;
mod remove;
mod repair;
mod store;
#[cfg(test)]
mod tests;
mod toolbox;
mod unpack;

pub(crate) use api::{ImageConfig, ImageError, ImageRecord, ImageService};
pub(crate) use local::LocalImages;
