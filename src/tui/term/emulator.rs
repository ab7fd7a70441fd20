//! What the panes need of a terminal emulator.

use std::fmt;

use ratatui::style::Style;

use crate::base::TerminalSize;

/// Turns the output of a program into a grid of cells. Pure: no clock, no files, no tasks.
///
/// Columns and rows count from the top left of the visible part. Nothing an emulator hands out holds a
/// control character, whatever it was fed.
pub(super) trait Emulator: fmt::Debug + Send {
    /// Output of the program, in pieces of any length. Returns what the program wants besides text.
    fn feed(&mut self, bytes: &[u8]) -> Vec<Report>;
    /// A synchronised update (mode 2026) holds the output back; it must not do so for long.
    fn is_held(&self) -> bool;
    /// Shows what a synchronised update held back.
    fn release(&mut self) -> Vec<Report>;

    fn size(&self) -> TerminalSize;
    /// Lines are wrapped anew.
    fn resize(&mut self, size: TerminalSize);
    fn modes(&self) -> Modes;
    /// `None` when the program hides it or it is scrolled out of sight.
    fn cursor(&self) -> Option<Cursor>;
    /// Calls `draw(column, row, symbol, style)` for every visible cell; the second half of a wide glyph
    /// has no call of its own.
    fn cells(&self, draw: &mut dyn FnMut(u16, u16, &str, Style));
    /// The address behind a cell, `http` or `https` only.
    fn link_at(&self, column: u16, row: u16) -> Option<String>;

    /// Lines above the visible part, now and at most.
    fn scrolled(&self) -> (usize, usize);
    /// Positive goes back in time.
    fn scroll(&mut self, lines: isize);
    /// In this mode a cursor of its own walks over everything that is kept.
    fn browse(&mut self, is_on: bool);
    fn is_browsing(&self) -> bool;
    fn walk(&mut self, motion: Motion);
    /// The next match becomes the selection; false when there is none.
    fn search(&mut self, text: &str, forward: bool) -> bool;
    /// Starts a selection at the browsing cursor, or ends it.
    fn toggle_selection(&mut self, lines: bool);
    fn select_from(&mut self, column: u16, row: u16);
    fn select_to(&mut self, column: u16, row: u16);
    fn clear_selection(&mut self);
    fn selected_text(&self) -> Option<String>;
}

/// What a program asks for with control sequences; texts are safe to draw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// Answers to its questions (DA, DSR, OSC 10…), to be written to its input.
    Answer(Vec<u8>),
    /// Empty resets it.
    Title(String),
    /// Put this into the clipboard of the user.
    Clipboard(String),
    Notification(String),
    Bell,
}

/// Modes that decide how input is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Modes {
    /// DECCKM: arrows are `ESC O A`.
    pub(super) application_cursor: bool,
    /// DECKPAM. The outer terminal reports the keypad as digits, so that nothing depends on it but tests.
    pub(super) application_keypad: bool,
    pub(super) bracketed_paste: bool,
    pub(super) focus_events: bool,
    pub(super) alternate_screen: bool,
    /// Mode 1007: the wheel is arrow keys on the alternate screen.
    pub(super) alternate_scroll: bool,
    pub(super) mouse: MouseMode,
    pub(super) mouse_encoding: MouseEncoding,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum MouseMode {
    #[default]
    Off,
    /// 1000
    Buttons,
    /// 1002
    Drags,
    /// 1003
    Motion,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum MouseEncoding {
    #[default]
    Bytes,
    /// 1005
    Utf8,
    /// 1006
    Sgr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) struct Cursor {
    pub(in crate::tui) column: u16,
    pub(in crate::tui) row: u16,
    pub(super) shape: CursorShape,
}

/// DECSCUSR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tui) enum CursorShape {
    /// As the user has set it.
    #[default]
    Default,
    Block,
    Underline,
    Bar,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Motion {
    Left,
    Right,
    Word,
    WordBack,
    LineStart,
    LineEnd,
    /// Negative goes up.
    Lines(isize),
}
