use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::tui::sanitize::drawable;

/// A rectangle of the frame. Drawing outside of it is cut off, never a panic.
pub(in crate::tui) struct Canvas<'a> {
    buffer: &'a mut Buffer,
    pub(in crate::tui) area: Rect,
}

impl<'a> Canvas<'a> {
    pub(in crate::tui) fn new(buffer: &'a mut Buffer, area: Rect) -> Self {
        let area = area.intersection(buffer.area);
        Self { buffer, area }
    }

    pub(in crate::tui) fn part(&mut self, area: Rect) -> Canvas<'_> {
        Canvas::new(self.buffer, area.intersection(self.area))
    }

    pub(in crate::tui) fn width(&self) -> usize {
        self.area.width.into()
    }

    pub(in crate::tui) fn height(&self) -> usize {
        self.area.height.into()
    }

    /// Draws text at a column and row of this canvas; returns the column behind it.
    pub(in crate::tui) fn put(
        &mut self,
        column: usize,
        row: usize,
        text: &str,
        style: Style,
    ) -> usize {
        let text = drawable(text);
        if row < self.height() && column < self.width() {
            let x = self.area.x + u16::try_from(column).unwrap_or(u16::MAX);
            let y = self.area.y + u16::try_from(row).unwrap_or(u16::MAX);
            self.buffer
                .set_stringn(x, y, &text, self.width() - column, style);
        }
        column + text.width()
    }

    /// Like [`put`](Self::put), but ends at `end` with an ellipsis when the text is longer.
    pub(in crate::tui) fn put_cut(
        &mut self,
        column: usize,
        row: usize,
        end: usize,
        text: &str,
        style: Style,
        ellipsis: char,
    ) -> usize {
        let end = end.min(self.width());
        let text = cut(text, end.saturating_sub(column), ellipsis);
        self.put(column, row, &text, style)
    }

    /// Text whose last column is `end - 1`.
    pub(in crate::tui) fn put_right(&mut self, end: usize, row: usize, text: &str, style: Style) {
        self.put(end.saturating_sub(text.width()), row, text, style);
    }

    /// Changes the style of a row without changing its text.
    pub(in crate::tui) fn style_row(&mut self, row: usize, style: Style) {
        if row < self.height() {
            let y = self.area.y + u16::try_from(row).unwrap_or(u16::MAX);
            self.buffer.set_style(
                Rect {
                    y,
                    height: 1,
                    ..self.area
                },
                style,
            );
        }
    }

    /// Changes the style of columns `from..to` of a row without changing their text.
    pub(super) fn style_columns(&mut self, row: usize, from: usize, to: usize, style: Style) {
        let to = to.min(self.width());
        if row < self.height() && from < to {
            let offset = |cells: usize| u16::try_from(cells).unwrap_or(u16::MAX);
            let area = Rect {
                x: self.area.x + offset(from),
                y: self.area.y + offset(row),
                width: offset(to - from),
                height: 1,
            };
            self.buffer.set_style(area, style);
        }
    }

    pub(in crate::tui) fn fill(&mut self, style: Style) {
        for y in self.area.top()..self.area.bottom() {
            for x in self.area.left()..self.area.right() {
                let cell = &mut self.buffer[(x, y)];
                cell.reset();
                cell.set_style(style);
            }
        }
    }

    pub(in crate::tui) fn rule(&mut self, row: usize, glyph: char, style: Style) {
        let text: String = std::iter::repeat_n(glyph, self.width()).collect();
        self.put(0, row, &text, style);
    }
}

/// At most `width` columns of `text`; what is cut leaves an ellipsis.
pub(super) fn cut(text: &str, width: usize, ellipsis: char) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for character in text.chars() {
        let columns = character.width().unwrap_or(0);
        if used + columns + 1 > width {
            break;
        }
        used += columns;
        kept.push(character);
    }
    if width > 0 {
        kept.push(ellipsis);
    }
    kept
}

/// The text behind the first `columns` columns.
pub(super) fn skip_columns(text: &str, columns: usize) -> usize {
    let mut used = 0;
    for (offset, character) in text.char_indices() {
        if used >= columns {
            return offset;
        }
        used += character.width().unwrap_or(0);
    }
    text.len()
}
