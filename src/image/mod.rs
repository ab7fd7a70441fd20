//! Images: references, the content-addressed blob store, unpacked layers and the assembled toolbox.
//!
//! Input: tar streams, OCI layouts, docker archives, the host's own binaries. Output: [`ImageRecord`] — the
//! unpacked layer directories and the image configuration. Everything that comes from an archive is hostile:
//! extraction happens beneath a directory handle, digests and sizes are verified before anything is visible,
//! and labels or annotations of an image never steer podtui.
//!
//! [`LocalImages`] is the store on this machine. Changes happen under a file lock and become visible with the
//! rename of `index.json`; a layer is complete from the moment it has its name. What a crash leaves behind
//! is removed by the next open. A layer is kept under its diff ID and shared by all images that have it; one
//! with hard links into the layers below it holds copies of their files, so it is kept under its chain ID and
//! shared by images that have the same layers up to it. Layer archives are not kept once they are unpacked; how they were put
//! together is, so that `image save` gives an image with the same ID.
//!
//! Registries are spoken to in [`registry`], with the credentials of [`credentials`]; [`pull`] makes images of
//! what they send.
//!
//! Deliberately absent: mounting (the shim does it), pull policy and its back-off (the engine decides).

mod api;
mod chain;
mod config;
mod credentials;
mod decompress;
mod digest;
mod document;
mod import;
mod lease;
mod load;
mod local;
mod pull;
mod reference;
mod registry;
mod remove;
mod repair;
mod save;
mod store;
#[cfg(test)]
mod tests;
mod toolbox;
mod unpack;
mod usage;

pub(crate) use api::{ImageConfig, ImageError, ImageRecord, ImageService};
pub(crate) use credentials::{CredentialFiles, PullSecret, PullSecretKind};
pub(crate) use local::{ImageSettings, LocalImages};
#[cfg(test)]
pub(crate) use pull::PullOutcome;
pub(crate) use pull::{PullPhase, PullProgress};
pub(crate) use registry::{HostSettings, RegistrySettings};
#[cfg(test)]
pub(crate) use usage::StoreUsage;
pub(crate) use usage::disk_bytes;
