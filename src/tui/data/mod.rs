//! What the screen knows of the objects: the newest copy of each from its watch, what is derived from it for
//! display, and usage. Everything textual is made safe to draw here, where it enters.

mod collection;
mod facts;
mod kept;
mod labels;
mod metrics;
mod packed;
mod processes;
mod story;

pub(super) use collection::{Change, Collections, Health, Liveness, Row, RowEvent};
#[cfg(test)]
pub(super) use facts::End;
pub(super) use facts::{ContainerFacts, PodFacts};
pub(super) use metrics::{Metrics, Sample, Span, Usage};
pub(super) use processes::{ProcessRow, Processes};
pub(super) use story::{Chapter, Story, container_of, memory_words, victim_words};
