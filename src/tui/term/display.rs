use ratatui::style::Style;

use super::emulator::Emulator;
use super::vt::Vt;
use crate::base::TerminalSize;

/// A screen that is only looked at: what it is fed is shown, and nothing of it is answered, copied or told on.
#[derive(Debug)]
pub(in crate::tui) struct Display(Vt);

impl Display {
    pub(in crate::tui) fn new(size: TerminalSize) -> Self {
        Self(Vt::with_history(size, false, 0))
    }

    /// Whole pieces: a synchronised update that is still open is shown as far as it is.
    pub(in crate::tui) fn feed(&mut self, bytes: &[u8]) {
        self.0.feed(bytes);
        self.0.release();
    }

    pub(in crate::tui) fn resize(&mut self, size: TerminalSize) {
        self.0.resize(size);
    }

    pub(in crate::tui) fn size(&self) -> TerminalSize {
        self.0.size()
    }

    /// As [`Emulator::cells`].
    pub(in crate::tui) fn cells(&self, draw: &mut dyn FnMut(u16, u16, &str, Style)) {
        self.0.cells(draw);
    }

    /// Column and row, unless it is hidden.
    pub(in crate::tui) fn cursor(&self) -> Option<(u16, u16)> {
        self.0.cursor().map(|cursor| (cursor.column, cursor.row))
    }
}
