//! `view`: the model drawn into a frame. Nothing here changes the model.

mod attention;
mod canvas;
mod chart;
mod describe;
mod editor;
mod events;
mod header;
mod hints;
mod inspector;
mod list;
mod logs;
mod metrics;
mod overlays;
mod processes;
mod spec;
mod terminal;
mod view;

pub(super) use canvas::Canvas;
pub(super) use events::rows as event_rows;
pub(super) use header::clock_text;
pub(super) use inspector::tab_at;
pub(super) use list::hash_visible;
pub(super) use view::view;
