use std::collections::VecDeque;

use jiff::Timestamp;

use crate::tui::sanitize::SafeLine;

const MAX_LINES: usize = 20_000;
const MAX_BYTES: usize = 16 << 20;
/// Numbers count down from here for lines that are read back.
const FIRST: u64 = 1 << 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Origin {
    Output,
    /// A line of podtui itself: a restart, an OOM kill, a stream that broke.
    Marker,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) struct LogEntry {
    pub(in crate::tui) at: Option<Timestamp>,
    /// Index of the container in the pane's sources.
    pub(in crate::tui) source: usize,
    pub(in crate::tui) origin: Origin,
    pub(in crate::tui) line: SafeLine,
}

impl LogEntry {
    pub(in crate::tui) fn weight(&self) -> usize {
        size_of::<Self>() + self.line.text.len() + size_of_val(&*self.line.styles)
    }
}

/// One stretch of a log, bounded in lines and bytes. A line has a number that it keeps while lines come and go
/// at both ends.
#[derive(Clone, Debug)]
pub(super) struct LogBuffer {
    entries: VecDeque<LogEntry>,
    /// Number of the first entry.
    first: u64,
    bytes: usize,
}

impl Default for LogBuffer {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            first: FIRST,
            bytes: 0,
        }
    }
}

impl LogBuffer {
    /// Adds a batch at the end. Lines without a timestamp belong behind what is there.
    pub(super) fn append(&mut self, batch: Vec<LogEntry>) {
        let earliest = batch.iter().filter_map(|entry| entry.at).min();
        let from = earliest.map_or(self.entries.len(), |earliest| self.first_after(earliest));
        for entry in batch {
            self.bytes += entry.weight();
            self.entries.push_back(entry);
        }
        // Streams are nearly in order, so this is almost always nothing or a few lines at the end.
        if !self
            .entries
            .range(from..)
            .is_sorted_by_key(|entry| entry.at)
        {
            self.entries.make_contiguous()[from..].sort_by_key(|entry| entry.at);
        }
    }

    /// Adds lines that are all older than what is there, oldest first.
    pub(super) fn prepend(&mut self, batch: Vec<LogEntry>) {
        for entry in batch.into_iter().rev() {
            self.bytes += entry.weight();
            self.entries.push_front(entry);
            self.first -= 1;
        }
    }

    /// Adds one line at its time; the line with the number `kept` keeps that number.
    pub(super) fn insert(&mut self, entry: LogEntry, kept: u64) {
        let index = entry
            .at
            .map_or(self.entries.len(), |at| self.first_after(at));
        self.bytes += entry.weight();
        let is_above = self.first + index as u64 <= kept;
        self.entries.insert(index, entry);
        if is_above {
            self.first -= 1;
        }
    }

    /// Puts `now` in the place of a line of the same time, if it is there.
    pub(super) fn replace(&mut self, before: &LogEntry, now: LogEntry) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| *entry == before) {
            self.bytes = self.bytes - entry.weight() + now.weight();
            *entry = now;
        }
    }

    /// Removes the oldest lines until the rest fits, and with them all of the same instant. That instant.
    pub(super) fn trim_front(&mut self) -> Option<Timestamp> {
        let mut last = None;
        while self.is_too_big() {
            last = self.pop_front().or(last);
        }
        self.cut_front(last?);
        last
    }

    /// The same at the other end.
    pub(super) fn trim_back(&mut self) -> Option<Timestamp> {
        let mut last = None;
        while self.is_too_big() {
            last = self.pop_back().or(last);
        }
        self.cut_back(last?);
        last
    }

    /// Removes everything up to this instant.
    pub(super) fn cut_front(&mut self, until: Timestamp) {
        let is_old = |entry: &LogEntry| entry.at.is_none_or(|at| at <= until);
        while self.entries.front().is_some_and(is_old) {
            self.pop_front();
        }
    }

    /// Removes everything from this instant on.
    pub(super) fn cut_back(&mut self, from: Timestamp) {
        let is_young = |entry: &LogEntry| entry.at.is_some_and(|at| at >= from);
        while self.entries.back().is_some_and(is_young) {
            self.pop_back();
        }
    }

    fn is_too_big(&self) -> bool {
        self.entries.len() > MAX_LINES || (self.bytes > MAX_BYTES && self.entries.len() > 1)
    }

    fn pop_front(&mut self) -> Option<Timestamp> {
        let entry = self.entries.pop_front()?;
        self.bytes -= entry.weight();
        self.first += 1;
        entry.at
    }

    fn pop_back(&mut self) -> Option<Timestamp> {
        let entry = self.entries.pop_back()?;
        self.bytes -= entry.weight();
        entry.at
    }

    pub(super) fn retain(&mut self, wanted: impl Fn(&LogEntry) -> bool) {
        self.entries.retain(wanted);
        self.bytes = self.entries.iter().map(LogEntry::weight).sum();
    }

    /// Would adding this many lines push the line with this number out?
    pub(super) fn would_lose(&self, number: u64, more: usize) -> bool {
        let room = MAX_LINES.saturating_sub(self.entries.len());
        let index = number.saturating_sub(self.first);
        // By bytes the answer is known only afterwards; half of the room is kept for what comes.
        let is_heavy = self.bytes > MAX_BYTES / 2 && index < self.entries.len() as u64 / 2;
        more.saturating_sub(room) as u64 > index || is_heavy
    }

    /// Index of the first line from which on all are younger than `earliest`.
    fn first_after(&self, earliest: Timestamp) -> usize {
        let is_younger = |entry: &&LogEntry| entry.at.is_none_or(|at| at > earliest);
        self.entries.len() - self.entries.iter().rev().take_while(is_younger).count()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn first_number(&self) -> u64 {
        self.first
    }

    pub(super) fn end_number(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    pub(super) fn get(&self, number: u64) -> Option<&LogEntry> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.entries.get(index)
    }

    pub(super) fn entries(&self) -> impl DoubleEndedIterator<Item = &LogEntry> {
        self.entries.iter()
    }

    /// Number of the first line that is not older than `at`.
    pub(super) fn number_at(&self, at: Timestamp) -> u64 {
        let is_older = |entry: &LogEntry| entry.at.is_none_or(|time| time < at);
        self.first + self.entries.partition_point(is_older) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(second: i64, text: &str) -> LogEntry {
        LogEntry {
            at: Some(Timestamp::from_second(second).unwrap()),
            source: 0,
            origin: Origin::Output,
            line: crate::tui::sanitize::output_line(text.as_bytes()),
        }
    }

    fn texts(buffer: &LogBuffer) -> Vec<&str> {
        buffer.entries().map(|entry| &*entry.line.text).collect()
    }

    #[test]
    fn streams_are_merged_by_time() {
        let mut buffer = LogBuffer::default();
        buffer.append(vec![entry(1, "a1"), entry(4, "a4"), entry(6, "a6")]);
        buffer.append(vec![entry(2, "b2"), entry(4, "b4"), entry(5, "b5")]);
        buffer.append(vec![entry(7, "a7")]);
        assert_eq!(texts(&buffer), ["a1", "b2", "a4", "b4", "b5", "a6", "a7"]);
    }

    #[test]
    fn the_oldest_go_and_numbers_stay() {
        let mut buffer = LogBuffer::default();
        let line = |number: usize| entry(i64::try_from(number).unwrap(), &format!("{number}"));
        let mut gone = None;
        for chunk in 0..30 {
            buffer.append((0..1000).map(|index| line(chunk * 1000 + index)).collect());
            gone = buffer.trim_front().or(gone);
        }
        assert_eq!((buffer.len(), gone), (MAX_LINES, line(9_999).at));
        let number = buffer.number_at(line(10_000).at.unwrap());
        assert_eq!(&*buffer.get(number).unwrap().line.text, "10000");
        assert_eq!(buffer.get(number - 1), None);

        buffer.prepend((9_000..10_000).map(line).collect());
        assert_eq!(buffer.trim_back(), line(29_000).at);
        assert_eq!(&*buffer.get(number).unwrap().line.text, "10000");
        assert_eq!(buffer.len(), MAX_LINES);
    }

    #[test]
    fn lines_of_one_instant_go_together() {
        let mut buffer = LogBuffer::default();
        let mut lines: Vec<LogEntry> = (0..50).map(|_| entry(1, "same")).collect();
        lines.extend((0..MAX_LINES - 10).map(|_| entry(2, "x")));
        buffer.append(lines);
        assert_eq!(buffer.trim_front(), entry(1, "").at);
        assert_eq!(buffer.len(), MAX_LINES - 10);
    }

    #[test]
    fn a_line_in_between_moves_no_line_in_view() {
        let mut buffer = LogBuffer::default();
        buffer.append(vec![entry(1, "a"), entry(3, "b"), entry(5, "c")]);
        let kept = buffer.number_at(entry(3, "").at.unwrap());
        for second in [2, 4] {
            buffer.insert(entry(second, "!"), kept);
            assert_eq!(&*buffer.get(kept).unwrap().line.text, "b");
        }
        assert_eq!(texts(&buffer), ["a", "!", "b", "!", "c"]);
    }

    #[test]
    fn long_lines_are_bounded_by_bytes() {
        let mut buffer = LogBuffer::default();
        let text = "x".repeat(16 * 1024);
        for second in 0..2000 {
            buffer.append(vec![entry(second, &text)]);
            buffer.trim_front();
        }
        assert!(buffer.bytes <= MAX_BYTES);
    }
}
