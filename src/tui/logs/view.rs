use super::buffer::LogEntry;
use super::pane::{LogPane, Position, Timestamps};
use super::row_starts;
use super::shape::{Shape, ShapeStyles, shown};

/// Width of a container's name in merged logs.
const MAX_NAME: usize = 14;

impl LogPane {
    pub(in crate::tui) fn is_merged(&self) -> bool {
        self.choice.is_none() && self.sources.len() > 1
    }

    /// There is more to say than the title has room for.
    pub(in crate::tui) fn has_state(&self) -> bool {
        self.sources.len() > 1
            || self.filter.is_some()
            || self.is_previous
            || self.selection.is_some()
            || self.shape != Shape::Raw
            || !self.search.is_empty()
    }

    /// Columns of a container's name in front of each line; 0 when it is not shown.
    pub(in crate::tui) fn name_width(&self) -> usize {
        if !self.is_merged() {
            return 0;
        }
        let longest = self.sources.iter().map(|source| source.name.len()).max();
        longest.unwrap_or(0).min(MAX_NAME)
    }

    /// Columns in front of the text; 0 where they would leave no room for it.
    pub(in crate::tui) fn prefix_width(&self, width: usize) -> usize {
        let time = match self.timestamps {
            Timestamps::Off => 0,
            Timestamps::Short => 9,
            Timestamps::Full => 25,
        };
        let name = match self.name_width() {
            0 => 0,
            name => name + 1,
        };
        let prefix = time + name;
        if prefix + 10 > width { 0 } else { prefix }
    }

    /// Visible lines from `from` on, with their numbers.
    pub(in crate::tui) fn lines_from(&self, from: u64) -> impl Iterator<Item = (u64, &LogEntry)> {
        let buffer = &self.window.buffer;
        (from.max(buffer.first_number())..buffer.end_number())
            .filter_map(|number| Some((number, buffer.get(number)?)))
            .filter(|(_, entry)| self.is_visible(entry))
    }

    pub(super) fn lines_before(&self, before: u64) -> impl Iterator<Item = (u64, &LogEntry)> {
        let buffer = &self.window.buffer;
        (buffer.first_number()..before.min(buffer.end_number()))
            .rev()
            .filter_map(|number| Some((number, buffer.get(number)?)))
            .filter(|(_, entry)| self.is_visible(entry))
    }

    pub(super) fn rows_of(&self, entry: &LogEntry, width: usize) -> usize {
        if !self.wrap {
            return 1;
        }
        let line = shown(entry, self.shape, ShapeStyles::default());
        row_starts(&line.text, width - self.prefix_width(width)).len()
    }

    /// The first line in view and how many of its rows are above the view.
    pub(in crate::tui) fn window(&self, width: usize, height: usize) -> (u64, usize) {
        match self.position {
            Position::At(number) => (number, 0),
            Position::Follow => self.window_at_end(width, height),
        }
    }

    fn window_at_end(&self, width: usize, height: usize) -> (u64, usize) {
        let mut rows = 0;
        let mut first = self.window.buffer.end_number();
        for (number, entry) in self.lines_before(self.window.buffer.end_number()) {
            if rows >= height {
                break;
            }
            rows += self.rows_of(entry, width);
            first = number;
        }
        (first, rows.saturating_sub(height))
    }

    /// Rows of the lines in memory, as far as they matter for a view of this height.
    pub(super) fn rows_at_end(&self, width: usize, height: usize) -> usize {
        let mut rows = 0;
        for (_, entry) in self.lines_before(u64::MAX) {
            if rows >= height {
                break;
            }
            rows += self.rows_of(entry, width);
        }
        rows
    }

    /// Moves the view by lines; at the end it follows again.
    pub(in crate::tui) fn scroll(&mut self, lines: isize, width: usize, height: usize) {
        let (end_first, end_skip) = self.window_at_end(width, height);
        let (first, _) = self.window(width, height);
        let target = if lines < 0 {
            let mut before = self.lines_before(first);
            let target = before
                .nth(lines.unsigned_abs() - 1)
                .map(|(number, _)| number);
            target.unwrap_or_else(|| {
                self.lines_from(self.window.buffer.first_number())
                    .next()
                    .map_or(first, |(number, _)| number)
            })
        } else {
            let mut after = self.lines_from(first);
            after
                .nth(lines.unsigned_abs())
                .map_or(u64::MAX, |(number, _)| number)
        };
        let is_past_end = target > end_first || (target == end_first && end_skip == 0);
        let fits = end_first == self.window.buffer.first_number() && end_skip == 0;
        // In the past the end of what is in memory is not the end.
        let follows = (lines > 0 && is_past_end) || fits;
        self.position = match follows {
            true if self.window.newer.is_none() && self.reads.wanted.is_none() => Position::Follow,
            true => Position::At(end_first.max(first)),
            false => Position::At(target),
        };
    }

    /// The newest lines, and what comes.
    pub(in crate::tui) fn follow(&mut self) {
        self.selection = None;
        if self.window.newer.is_some() {
            self.reload();
        } else {
            self.position = Position::Follow;
        }
    }

    pub(in crate::tui) fn toggle_follow(&mut self, width: usize, height: usize) {
        match self.position {
            Position::Follow => self.position = Position::At(self.window(width, height).0),
            Position::At(_) => self.follow(),
        }
    }

    /// Where the search text is in a line. Lower-case text finds any case.
    pub(in crate::tui) fn matches(&self, text: &str) -> Vec<std::ops::Range<usize>> {
        let pattern = self.pattern.as_ref();
        pattern.map_or_else(Vec::new, |pattern| pattern.ranges(text))
    }

    /// Moves the view to the next line (or the one before) with the search text, in memory or by a search of
    /// the files; false when there is none.
    pub(in crate::tui) fn find(&mut self, forward: bool, width: usize, height: usize) -> bool {
        let Some(pattern) = self.pattern.clone() else {
            return false;
        };
        let (first, _) = self.window(width, height);
        let is_match = |(_, entry): &(u64, &LogEntry)| pattern.is_match(&entry.line.text);
        let found = if forward && self.position != Position::Follow {
            self.lines_from(first + 1).find(is_match)
        } else {
            let before = match self.position {
                Position::Follow => self.window.buffer.end_number(),
                Position::At(first) => first,
            };
            self.lines_before(before).find(is_match)
        };
        let found = found.map(|(number, _)| number);
        if let Some(number) = found {
            self.position = Position::At(number);
            return true;
        }
        let is_forward = forward && self.position != Position::Follow;
        self.find_in_files(pattern, is_forward)
    }
}
