//! The screen: list above, inspector below (or beside it), short-lived overlays on top.
//!
//! * [`model`], [`update`], [`panes`] are a pure core: `update(&mut Model, Msg) -> Vec<Effect>` and
//!   `view(&Model, &mut Frame)`. No clock, no files, no tasks: every screen is tested as text.
//! * [`app`] is the loop around it: one bounded channel of [`msg::Msg`] in, [`effect::Effect`]s out to
//!   [`tasks`], which talk to an `Arc<dyn Client>` and answer with more messages. What should be watched,
//!   streamed and polled is derived from the model after every message (`update::sync`).
//! * A frame is drawn only when something visible may have changed, at most 60 times a second ([`pace`]), as one write
//!   inside synchronised output; a frame equal to the last one writes nothing ([`terminal`]).
//! * Text of containers and objects is made safe where it enters ([`sanitize`], [`data`], `tasks::logs`).
//! * Shells and attached containers run in terminals inside of the screen; their emulator is part of the
//!   model ([`term`]). `$EDITOR` does, too; it is a program of this machine ([`HostPrograms`]).
//! * Keys are a table ([`keymap`]); hints and help are made from it. Colours are a theme ([`theme`]).
//!
//! * [`actions`] is what can be done with an object, with the command lines that do the same; [`deletions`] are those
//!   that can still be taken back.
//! * Processes of a pod are read only while their tab is on the screen; the story of its containers when its tab
//!   is, and again after something happened ([`data`], `update::sync`). [`attention`] is the queue of pods in
//!   trouble, [`alerts`] calls for attention outside of the screen.
//! * [`cast`] records what is drawn, [`replay`] plays that, [`screenshot`] writes it down once, [`record`] keeps what happened in short.
//! * [`editor`] is the Spec editor: text, diagnostics, completion, review, apply and undo.
//!
//! The first frame is drawn before the engine is asked anything: the client arrives later, through a future.
//! Deliberately absent: system calls, knowledge of the engine, printing.

mod actions;
mod alerts;
mod app;
mod attention;
mod cast;
mod columns;
mod data;
mod deletions;
mod editor;
mod effect;
mod expression;
mod filter;
mod host;
mod images;
mod inspector;
mod keymap;
mod layout;
mod line_edit;
mod list;
mod logs;
mod look;
mod model;
mod msg;
mod notices;
mod order;
mod overlay;
mod pace;
mod panes;
mod personal;
mod record;
mod replay;
mod sanitize;
mod screenshot;
mod settings;
mod tasks;
mod term;
mod terminal;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod text_search;
mod theme;
mod update;
mod views;

pub(crate) use app::run;
pub(crate) use effect::ExitChoice;
pub(crate) use host::{HostPrograms, TerminalKeeper};
pub(crate) use personal::personal_problems;
pub(crate) use replay::replay;
pub(crate) use settings::TuiSettings;
pub(crate) use terminal::GIVE_BACK;
