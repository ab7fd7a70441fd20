//! The log pane: lines of all containers of one pod in a bounded ring, and what part of them is in view.
//!
//! Lines arrive safe to draw ([`super::sanitize`]) and in batches. They are kept in the order of their
//! timestamps, so that merged containers read as one story.
//!
//! * [`pane`] — the state, [`stream`] — what is read live, [`history`] — what is read back from the log files.
//! * The ring is one stretch of the whole log, without holes ([`buffer`]): what it says nothing of lies before
//!   or behind it, on the disk, and is read from there when one scrolls, searches or jumps that far. While it
//!   reaches up to the present the streams are open; a ring that was moved into the past has none, so that
//!   reading there costs nothing however much is written.
//! * A filter is applied where lines are read, so that rare lines fill the ring; what it hides is counted.
//! * A reader that cannot keep up leaves lines to the files and goes on with the newest: the last state wins.

mod buffer;
mod geometry;
mod history;
mod markers;
mod pane;
mod pattern;
mod select;
mod shape;
mod stream;
mod view;
mod when;

pub(super) use buffer::{LogEntry, Origin};
pub(super) use geometry::{row_starts, wrapped};
pub(super) use history::{LogPage, LogRead, ReadFrom, Seek};
pub(super) use pane::{LogPane, Opening, Position, SourceState, Target, Timestamps};
pub(super) use pattern::Pattern;
pub(super) use shape::{Shape, ShapeStyles, shown};
pub(super) use when::{Range, parse_range};
