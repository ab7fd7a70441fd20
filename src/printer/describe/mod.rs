//! `describe`: the long text of one object, in the order, indentation and wording of kubectl.

mod allocation;
mod common;
mod container;
mod events;
mod node;
mod others;
mod pod;
mod storage;
mod text;
mod volume;

pub(crate) use events::interval as event_interval;
pub(crate) use others::{Related, describe};
