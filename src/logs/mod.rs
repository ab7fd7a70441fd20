//! The CRI log format and the reader that follows it.
//!
//! * [`format`] — pure: the line codec, names of rotated files. The shim writes with it.
//! * [`reader`] — async: one log with its rotated files as a stream of text, from any point, followed if asked.
//!
//! The writer only appends whole lines and renames full files; the reader relies on nothing else, so both
//! sides may be of different versions. A line whose end has not been written yet is not shown.

mod change;
mod cursor;
pub(crate) mod format;
pub(crate) mod reader;
