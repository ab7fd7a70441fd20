//! Objects as people read them: table rows, `describe` texts, durations, JSONPath and custom columns.
//!
//! Everything here is a pure function of an object and of [`Moment`] (now and the time zone); the command
//! line and the screen show the same text because both ask this room. The oracle is kubectl: column
//! widths, the STATUS algorithm, the order of `describe` and the wording are its, to the letter, so that
//! scripts which read kubectl's output read podtui's as well.
//!
//! * [`pod_summary`] — READY, STATUS, RESTARTS of a pod; [`headers`] and [`cells`] — a table row of any kind.
//! * [`Table`] — rows under headers, aligned as kubectl aligns them.
//! * [`describe`] — the long text of one object with its events.
//! * [`size_text`] — sizes of images and of what else lies on the disk, on the command line and on the screen.
//! * [`JsonPath`], [`CustomColumns`] — what the user asks for himself.
//!
//! Strings of objects are input from outside (labels, messages of containers): table cells are cut at the
//! first line break and control characters are made visible, so no cell can reach the terminal's parser.
//!
//! Deliberately absent: YAML (room `manifest` writes it), colours, files, the clock.

mod align;
mod custom_columns;
mod describe;
mod duration;
mod jsonpath;
mod pod;
mod rows;
mod size;
mod storage;
mod table;

pub(crate) use custom_columns::CustomColumns;
pub(crate) use describe::{Related, describe, event_interval};
pub(crate) use duration::{Moment, human_duration};
pub(crate) use jsonpath::JsonPath;
pub(crate) use pod::{PodSummary, pod_summary};
pub(crate) use rows::{cells, event_count, event_time, first_seen, headers, label_text};
pub(crate) use size::size_text;
pub(crate) use table::{Table, inert, is_bidi_control, visible};
