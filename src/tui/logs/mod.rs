//! The log pane: lines of all containers of one pod in a bounded ring, and what part of them is in view.
//!
//! Lines arrive safe to draw ([`super::sanitize`]) and in batches. They are kept in the order of their
//! timestamps, so that merged containers read as one story. What the ring drops is counted and shown.

mod buffer;
mod geometry;
mod pane;

pub(super) use buffer::{LogEntry, Origin};
pub(super) use geometry::row_starts;
pub(super) use pane::{LogPane, Opening, Position, SourceState, Target, Timestamps};
