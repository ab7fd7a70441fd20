//! `view`: the model drawn into a frame. Nothing here changes the model.

mod canvas;
mod describe;
mod editor;
mod events;
mod header;
mod hints;
mod inspector;
mod list;
mod logs;
mod overlays;
mod spec;
mod terminal;
mod view;

pub(super) use header::clock_text;
pub(super) use inspector::tab_at;
pub(super) use list::hash_visible;
pub(super) use view::view;
