//! The CRI log format and the reader that follows it.
//!
//! * [`format`] — pure: the line codec, names of rotated files. The shim writes with it.

pub(crate) mod format;
