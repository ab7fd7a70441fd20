use super::pane::{LogPane, Position};
use super::shape::{ShapeStyles, shown};

/// What the clipboard of a terminal is given at most.
const MAX_COPY: usize = 1 << 20;

/// Marked lines, by their numbers; the mark grows and shrinks at the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) struct Selection {
    pub(in crate::tui) anchor: u64,
    pub(in crate::tui) cursor: u64,
}

impl Selection {
    pub(in crate::tui) fn contains(&self, number: u64) -> bool {
        let (low, high) = (self.anchor.min(self.cursor), self.anchor.max(self.cursor));
        (low..=high).contains(&number)
    }
}

impl LogPane {
    /// Begins to mark lines at the lowest one in view, or stops.
    pub(in crate::tui) fn toggle_selection(&mut self, width: usize, height: usize) {
        if self.selection.take().is_some() {
            return;
        }
        self.hold(width, height);
        if let Some(number) = self.last_in_view(width, height) {
            self.select(number, false);
        }
    }

    /// Lines that come must not move what is being marked.
    pub(in crate::tui) fn hold(&mut self, width: usize, height: usize) {
        let (first, _) = self.window(width, height);
        self.position = Position::At(first);
    }

    /// Marks this line alone, or everything from the first mark to it.
    pub(in crate::tui) fn select(&mut self, number: u64, extend: bool) {
        let anchor = self
            .selection
            .filter(|_| extend)
            .map_or(number, |selection| selection.anchor);
        self.selection = Some(Selection {
            anchor,
            cursor: number,
        });
    }

    /// Moves the end of the mark by lines; the view follows.
    pub(in crate::tui) fn move_selection(&mut self, lines: isize, width: usize, height: usize) {
        let Some(selection) = self.selection else {
            return;
        };
        let steps = lines.unsigned_abs();
        let moved = if lines < 0 {
            let mut before = self.lines_before(selection.cursor);
            before.by_ref().take(steps).last()
        } else {
            self.lines_from(selection.cursor + 1).take(steps).last()
        };
        let Some(number) = moved.map(|(number, _)| number) else {
            return;
        };
        self.select(number, true);
        let (first, _) = self.window(width, height);
        if number < first {
            self.position = Position::At(number);
            return;
        }
        while self
            .last_in_view(width, height)
            .is_some_and(|last| last < number)
        {
            let (first, _) = self.window(width, height);
            let next = self.lines_from(first + 1).next();
            match next.map(|(number, _)| number) {
                Some(next) if next <= number => self.position = Position::At(next),
                _ => break,
            }
        }
    }

    /// The number of the line at a row of the view.
    pub(in crate::tui) fn line_at(&self, row: usize, width: usize, height: usize) -> Option<u64> {
        let (first, skip) = self.window(width, height);
        let mut rows = 0;
        for (number, entry) in self.lines_from(first) {
            rows += self.rows_of(entry, width);
            if rows > row + skip {
                return Some(number);
            }
        }
        None
    }

    fn last_in_view(&self, width: usize, height: usize) -> Option<u64> {
        let (first, skip) = self.window(width, height);
        let mut rows = 0;
        let mut last = None;
        for (number, entry) in self.lines_from(first) {
            rows += self.rows_of(entry, width);
            if rows > height + skip && last.is_some() {
                break;
            }
            last = Some(number);
            if rows >= height + skip {
                break;
            }
        }
        last
    }

    pub(in crate::tui) fn selected_lines(&self) -> usize {
        let Some(selection) = self.selection else {
            return 0;
        };
        let low = selection.anchor.min(selection.cursor);
        self.lines_from(low)
            .take_while(|(number, _)| selection.contains(*number))
            .count()
    }

    /// The marked lines as they are shown, without time and name.
    pub(in crate::tui) fn selected_text(&self) -> Result<String, String> {
        let Some(selection) = self.selection else {
            return Ok(String::new());
        };
        let low = selection.anchor.min(selection.cursor);
        let mut text = String::new();
        for (number, entry) in self.lines_from(low) {
            if !selection.contains(number) {
                break;
            }
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&shown(entry, self.shape, ShapeStyles::default()).text);
            if text.len() > MAX_COPY {
                return Err("more than 1 MiB is marked: W saves the log to a file".to_owned());
            }
        }
        Ok(text)
    }
}
