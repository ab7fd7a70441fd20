use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use jiff::Timestamp;

use crate::client::{Client, LogOptions};
use crate::model::ApiError;
use crate::tui::logs::{LogEntry, Origin, Target};
use crate::tui::sanitize::output_line_within;

pub(super) type LogText = BoxStream<'static, Result<Bytes, ApiError>>;

/// Opens the log of one container, each line with its time.
pub(super) async fn open(
    client: &Arc<dyn Client>,
    target: &Target,
    container: &str,
    options: LogOptions,
) -> Result<LogText, ApiError> {
    let options = LogOptions {
        container: Some(container.to_owned()),
        timestamps: true,
        ..options
    };
    let namespace = target.key.namespace.as_deref().unwrap_or_default();
    client.logs(namespace, &target.key.name, options).await
}

/// Cuts the text of a log into lines that are safe to draw.
pub(super) struct Lines {
    source: usize,
    /// Bytes of one line that are kept; how many more there were is said in the line.
    longest: usize,
    pending: BytesMut,
    /// Bytes of the pending line that were not kept.
    left_out: usize,
    /// Time of the line before, for lines that have none.
    last: Option<Timestamp>,
}

impl Lines {
    pub(super) fn new(source: usize, longest: usize) -> Self {
        Self {
            source,
            longest,
            pending: BytesMut::new(),
            left_out: 0,
            last: None,
        }
    }

    pub(super) fn take(&mut self, chunk: &[u8], mut each: impl FnMut(LogEntry)) {
        let mut rest = chunk;
        while let Some(length) = memchr::memchr(b'\n', rest) {
            let line = &rest[..length];
            if self.pending.is_empty() {
                each(self.entry(line));
            } else {
                self.keep(line);
                each(self.pending_entry());
            }
            rest = &rest[length + 1..];
        }
        self.keep(rest);
    }

    /// The text has ended: what is left is a line.
    pub(super) fn finish(&mut self) -> Option<LogEntry> {
        (!self.pending.is_empty()).then(|| self.pending_entry())
    }

    fn pending_entry(&mut self) -> LogEntry {
        let line = self.pending.split();
        self.entry(&line)
    }

    fn keep(&mut self, bytes: &[u8]) {
        // Room for the time in front.
        let room = (self.longest + 64).saturating_sub(self.pending.len());
        let kept = bytes.len().min(room);
        self.pending.extend_from_slice(&bytes[..kept]);
        self.left_out += bytes.len() - kept;
    }

    /// A line as the API serves it: RFC 3339 with nanoseconds, a space, the text.
    fn entry(&mut self, line: &[u8]) -> LogEntry {
        let space = line.iter().take(40).position(|&byte| byte == b' ');
        let stamp = space.and_then(|space| {
            let text = std::str::from_utf8(&line[..space]).ok()?;
            Some((space, text.parse::<Timestamp>().ok()?))
        });
        let text = match stamp {
            Some((space, at)) => {
                self.last = Some(at);
                &line[space + 1..]
            }
            None => line,
        };
        LogEntry {
            at: self.last,
            source: self.source,
            origin: Origin::Output,
            line: output_line_within(text, self.longest, std::mem::take(&mut self.left_out)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(longest: usize, chunks: &[&str]) -> Vec<String> {
        let mut lines = Lines::new(0, longest);
        let mut found = Vec::new();
        for chunk in chunks {
            lines.take(chunk.as_bytes(), |entry| found.push(entry));
        }
        found.extend(lines.finish());
        let text = |entry: &LogEntry| {
            let at = entry.at.map(|at| at.to_string()).unwrap_or_default();
            format!("{at}|{}", entry.line.text)
        };
        found.iter().map(text).collect()
    }

    #[test]
    fn lines_are_whole_however_they_are_cut() {
        let at = "2026-01-02T03:04:05Z";
        assert_eq!(
            lines(
                100,
                &[
                    "2026-01-02T03:0",
                    "4:05Z fir",
                    "st\nno stamp\n2026-01-02T03:04:05Z last"
                ]
            ),
            [
                format!("{at}|first"),
                format!("{at}|no stamp"),
                format!("{at}|last")
            ]
        );
    }

    #[test]
    fn what_is_cut_is_counted() {
        let long = format!("2026-01-02T03:04:05Z {}\n", "x".repeat(1000));
        let expected = format!("2026-01-02T03:04:05Z|{}… [990 more bytes]", "x".repeat(10));
        assert_eq!(lines(10, &[&long]), [expected.as_str()]);
        let pieces: Vec<&str> = long
            .as_bytes()
            .chunks(7)
            .map(|part| std::str::from_utf8(part).unwrap())
            .collect();
        assert_eq!(lines(10, &pieces), [expected.as_str()]);
    }
}
