//! Terminals inside the screen: shells in containers and attached containers.
//!
//! * [`session`] — one terminal: its emulator, its connection as an id, what its program may do outside.
//! * [`terminals`] — all of them, of which one is shown in the region under list and inspector.
//! * [`emulator`] — what is needed of an emulator; [`vt`] is it, made of `alacritty_terminal`.
//! * [`filter`], [`handler`], [`osc`] — the way of a program's output into the emulator. Programs in
//!   containers are hostile until proven otherwise: strings are cut out and judged, questions are answered
//!   here and never relayed, nothing a program writes reaches the outer terminal but cells.
//! * [`input`] — keys, pastes and the mouse on their way to the program; [`typed`] — as a recording keeps them.
//! * [`display`] — an emulator to look at, for recordings.
//!
//! Everything here is part of the pure core: bytes come in as messages, what should be written comes out as
//! effects (`tasks::terminal` carries them). Links (OSC 8) are not relayed either: a click on one shows where
//! it leads. Deliberately absent: images (sixel, iTerm, kitty), the keyboard protocol of kitty, pixel sizes.

mod display;
mod emulator;
mod filter;
mod handler;
mod input;
mod osc;
mod session;
mod terminals;
#[cfg(test)]
mod tests;
mod typed;
mod vt;

pub(super) use display::Display;
pub(super) use emulator::{CursorShape, Motion};
pub(super) use session::{Outcome, Purpose, Session, SessionId, State};
pub(super) use terminals::{MAX_SESSIONS, Terminals};
pub(super) use typed::{KeyNames, key_text, mouse_text};
