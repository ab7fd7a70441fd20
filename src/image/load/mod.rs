//! `image load`: OCI layouts (directory or tar) and docker archives.
//!
//! * [`source`] opens members by name, in a directory or in a (compressed) tar, without ever following a
//!   name out of it.
//! * [`resolve`] follows an index to the manifest of this machine.
//! * [`daemon`] fetches the archive of an image that docker has.
//! * [`oci`] and [`docker`] find the images of this platform and the names they bring.
//!
//! Order of work for every image: sizes, then digests, then the configuration, then layer by layer into its
//! place, and the index last. An archive creates only the names it carries; nothing else in it has effects.

mod daemon;
mod docker;
mod oci;
mod resolve;
mod source;
mod work;

pub(super) use daemon::export;
pub(super) use work::load;
