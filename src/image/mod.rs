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
//! with hard links into the layers below it, or without entries for the directories of its files, holds copies of
//! what is there, so it is kept under its chain ID and
//! shared by images that have the same layers up to it. Layer archives are not kept once they are unpacked; how they were put
//! together is, so that `image save` gives an image with the same ID.
//!
//! Registries are spoken to in [`registry`], with the credentials of [`credentials`]; [`pull`] makes images of
//! what they send.
//!
//! Layers are directories and not EROFS images mounted from a file, measured on Linux 6.18 with mkfs.erofs 1.5 on
//! ext4: 5,000 small files are unpacked in 0.25 s where they have a block group of their own (`Store::open`) and
//! made an image of in 0.2 to 0.6 s; the first read takes 0.2 to 0.3 s from the directory and 0.5 to 1.8 s from the
//! mount. A layer of 386 MB in 2,495 files is read in 0.3 to 0.6 s against 1.9 to 2.5 s (1 s against 4 to 6 s when
//! nothing is cached), and its pages are held twice, for the image and for the files in it. Only removing it is
//! faster, 0.01 s against 0.5 to 2 s, which nobody waits for.
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
mod tag;
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
pub(crate) use pull::{Asker, PullPhase, PullProgress, PullRate};
pub(crate) use registry::{HostSettings, RegistrySettings, RegistrySource};
#[cfg(test)]
pub(crate) use usage::StoreUsage;
pub(crate) use usage::disk_bytes;
