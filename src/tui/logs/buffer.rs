use std::collections::VecDeque;

use jiff::Timestamp;

use crate::tui::sanitize::SafeLine;

const MAX_LINES: usize = 20_000;
const MAX_BYTES: usize = 16 << 20;

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
    fn weight(&self) -> usize {
        size_of::<Self>() + self.line.text.len() + size_of_val(&*self.line.styles)
    }
}

/// A ring of the newest lines. A line has a number that it keeps while the ring moves on.
#[derive(Clone, Debug, Default)]
pub(super) struct LogBuffer {
    entries: VecDeque<LogEntry>,
    dropped: u64,
    bytes: usize,
}

impl LogBuffer {
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Adds a batch. Lines without a timestamp belong behind what is there.
    pub(super) fn extend(&mut self, batch: Vec<LogEntry>) {
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
        while self.entries.len() > MAX_LINES || self.bytes > MAX_BYTES {
            let Some(oldest) = self.entries.pop_front() else {
                break;
            };
            self.bytes -= oldest.weight();
            self.dropped += 1;
        }
    }

    /// Index of the first line from which on all are younger than `earliest`.
    fn first_after(&self, earliest: Timestamp) -> usize {
        let is_younger = |entry: &&LogEntry| entry.at.is_none_or(|at| at > earliest);
        self.entries.len() - self.entries.iter().rev().take_while(is_younger).count()
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn first_number(&self) -> u64 {
        self.dropped
    }

    pub(super) fn end_number(&self) -> u64 {
        self.dropped + self.entries.len() as u64
    }

    pub(super) fn get(&self, number: u64) -> Option<&LogEntry> {
        let index = usize::try_from(number.checked_sub(self.dropped)?).ok()?;
        self.entries.get(index)
    }

    /// The newest timestamp of a container's own output.
    pub(super) fn newest_of(&self, source: usize) -> Option<Timestamp> {
        let mut entries = self.entries.iter().rev();
        entries
            .find(|entry| entry.source == source && entry.origin == Origin::Output)
            .and_then(|entry| entry.at)
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
        buffer
            .entries
            .iter()
            .map(|entry| &*entry.line.text)
            .collect()
    }

    #[test]
    fn streams_are_merged_by_time() {
        let mut buffer = LogBuffer::default();
        buffer.extend(vec![entry(1, "a1"), entry(4, "a4"), entry(6, "a6")]);
        buffer.extend(vec![entry(2, "b2"), entry(4, "b4"), entry(5, "b5")]);
        buffer.extend(vec![entry(7, "a7")]);
        assert_eq!(texts(&buffer), ["a1", "b2", "a4", "b4", "b5", "a6", "a7"]);
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let mut buffer = LogBuffer::default();
        let line = |number: usize| entry(i64::try_from(number).unwrap(), &format!("{number}"));
        for chunk in 0..30 {
            buffer.extend((0..1000).map(|index| line(chunk * 1000 + index)).collect());
        }
        assert_eq!((buffer.len(), buffer.dropped()), (MAX_LINES, 10_000));
        assert_eq!(&*buffer.get(10_000).unwrap().line.text, "10000");
        assert_eq!(buffer.get(9_999), None);
        assert_eq!(buffer.end_number(), 30_000);
    }

    #[test]
    fn long_lines_are_bounded_by_bytes() {
        let mut buffer = LogBuffer::default();
        let text = "x".repeat(16 * 1024);
        for second in 0..2000 {
            buffer.extend(vec![entry(second, &text)]);
        }
        assert!(buffer.bytes <= MAX_BYTES);
        assert_eq!(buffer.len() as u64 + buffer.dropped(), 2000);
    }
}
