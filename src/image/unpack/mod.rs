//! From a tar stream to the directory of one layer, in the form overlayfs expects.
//!
//! * [`TarReader`] walks the entries: ustar, GNU long names, PAX records, every length bounded.
//! * [`LayerWriter`] makes one entry after the other beneath a directory handle.
//! * [`lower`] looks into the layers below and [`copy_up`] copies from there: a hard link may lead to a file
//!   of another layer, and a directory without an entry of its own is the one below. Such a layer has a copy of
//!   the file under all its names, or of the directory alone, so it depends on what it lies on.
//! * [`recipe`] keeps what of the archive is not on the disk, so that the archive can be made again.
//! * [`ahead`] decompresses in a thread of its own; [`unpack_layer`] joins them with the limits that stop decompression bombs.
//!
//! Invariant: nothing outside the directory is created, changed or linked, whatever the archive holds.
//! An entry that is not understood is an error that names it; nothing is left out silently.

mod ahead;
mod archive;
mod copy_up;
mod entry;
mod layer;
mod limits;
mod lower;
mod recipe;
mod sparse;
#[cfg(test)]
pub(super) mod tests;
mod tree;

pub(super) use archive::TarReader;
pub(super) use entry::{Kind, TarError};
pub(super) use layer::{Unpacked, unpack_layer};
pub(super) use limits::Limits;
pub(super) use recipe::{ArchiveReader, archive_length};
