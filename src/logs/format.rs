//! The log line format of the CRI: `<RFC 3339 with nanoseconds> stdout|stderr F|P <text>`, one per line.
//! `P` marks a piece that continues in the next line of the same stream; a reader joins the pieces.
//! See kubernetes/design-proposals-archive, "CRI: log management for container stdout/stderr streams".

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Longest text of one line of the file; a longer line of output becomes several pieces.
pub(crate) const MAX_TEXT: usize = 16 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    /// The end of a line of output.
    Full,
    /// More of the same line follows.
    Partial,
}

/// One line of a log file, without its line feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) at: Timestamp,
    pub(crate) stream: Stream,
    pub(crate) tag: Tag,
    /// Bytes as the container wrote them; they need not be UTF-8.
    pub(crate) text: &'a [u8],
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormatError {
    #[error("no timestamp at the beginning of the line")]
    Timestamp,
    #[error("the stream is neither stdout nor stderr")]
    Stream,
    #[error("the tag is neither F nor P")]
    Tag,
}

/// Reads a line without its line feed.
pub(crate) fn parse(line: &[u8]) -> Result<Line<'_>, FormatError> {
    let mut fields = line.splitn(4, |byte| *byte == b' ');
    let at = fields
        .next()
        .and_then(|field| std::str::from_utf8(field).ok())
        .and_then(|field| field.parse().ok())
        .ok_or(FormatError::Timestamp)?;
    let stream = match fields.next() {
        Some(b"stdout") => Stream::Stdout,
        Some(b"stderr") => Stream::Stderr,
        _ => return Err(FormatError::Stream),
    };
    // The field may carry more tags behind colons; the first is the one that is defined.
    let tag = match fields
        .next()
        .and_then(|field| field.split(|b| *b == b':').next())
    {
        Some(b"F") => Tag::Full,
        Some(b"P") => Tag::Partial,
        _ => return Err(FormatError::Tag),
    };
    Ok(Line {
        at,
        stream,
        tag,
        text: fields.next().unwrap_or_default(),
    })
}

/// Turns the output of one stream into lines of the file. Whatever the output contains is text: only a
/// line feed ends a line, and every line begins with our own prefix, so a container cannot write one.
#[derive(Debug)]
pub(crate) struct Encoder {
    stream: Stream,
    /// The beginning of a line whose end has not come, at most [`MAX_TEXT`] bytes.
    unfinished: Vec<u8>,
}

impl Encoder {
    pub(crate) const fn new(stream: Stream) -> Self {
        Self {
            stream,
            unfinished: Vec::new(),
        }
    }

    /// Appends the lines that `output`, read at `now`, completes to `file`.
    pub(crate) fn encode(
        &mut self,
        output: &[u8],
        now: Timestamp,
        stamps: &mut Stamps,
        file: &mut Vec<u8>,
    ) {
        stamps.begin(now);
        let mut rest = output;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let line = &rest[..end];
            rest = &rest[end + 1..];
            // A terminal ends its lines with both; containerd drops the carriage return as well.
            if line.is_empty() && self.unfinished.last() == Some(&b'\r') {
                self.unfinished.pop();
            }
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if self.unfinished.is_empty() {
                self.put_line(stamps, line, file);
            } else {
                self.extend(stamps, line, file);
                put(stamps, self.stream, Tag::Full, &self.unfinished, file);
                self.unfinished.clear();
            }
        }
        self.extend(stamps, rest, file);
    }

    /// The output has ended: what is left stays without the line feed that never came, as containerd leaves it.
    pub(crate) fn finish(&mut self, now: Timestamp, stamps: &mut Stamps, file: &mut Vec<u8>) {
        if !self.unfinished.is_empty() {
            stamps.begin(now);
            put(stamps, self.stream, Tag::Partial, &self.unfinished, file);
        }
        self.unfinished = Vec::new();
    }

    /// Adds to the unfinished line, writing pieces as it grows too long.
    fn extend(&mut self, stamps: &mut Stamps, mut more: &[u8], file: &mut Vec<u8>) {
        while self.unfinished.len() + more.len() > MAX_TEXT {
            let (fits, rest) = more.split_at(MAX_TEXT - self.unfinished.len());
            self.unfinished.extend_from_slice(fits);
            put(stamps, self.stream, Tag::Partial, &self.unfinished, file);
            self.unfinished.clear();
            more = rest;
        }
        self.unfinished.extend_from_slice(more);
    }

    fn put_line(&self, stamps: &mut Stamps, mut line: &[u8], file: &mut Vec<u8>) {
        while line.len() > MAX_TEXT {
            let (piece, rest) = line.split_at(MAX_TEXT);
            put(stamps, self.stream, Tag::Partial, piece, file);
            line = rest;
        }
        put(stamps, self.stream, Tag::Full, line, file);
    }
}

fn put(stamps: &mut Stamps, stream: Stream, tag: Tag, text: &[u8], file: &mut Vec<u8>) {
    let time = stamps.take();
    file.reserve(time.len() + text.len() + 11);
    file.extend_from_slice(&time);
    file.extend_from_slice(match (stream, tag) {
        (Stream::Stdout, Tag::Full) => b" stdout F ",
        (Stream::Stdout, Tag::Partial) => b" stdout P ",
        (Stream::Stderr, Tag::Full) => b" stderr F ",
        (Stream::Stderr, Tag::Partial) => b" stderr P ",
    });
    file.extend_from_slice(text);
    file.push(b'\n');
}

/// The times of the lines of one log. Lines that were read at once differ by a nanosecond, so that a time is
/// the place of one line: readers go on from it, forwards and backwards, without a gap and without a
/// repetition.
#[derive(Debug, Default)]
pub(crate) struct Stamps {
    /// RFC 3339 with nine digits of the second: the next line's time.
    text: Vec<u8>,
    /// The time `text` began with, and how often it has been counted up since.
    begun: Option<(Timestamp, i64)>,
}

impl Stamps {
    /// A clock that is set back by more than this sets the lines back too: their times stay true.
    const STEP: SignedDuration = SignedDuration::from_secs(1);

    fn begin(&mut self, now: Timestamp) {
        let free = self.begun.and_then(|(from, count)| {
            let free = from.checked_add(SignedDuration::from_nanos(count)).ok()?;
            (free > now && free.duration_since(now) < Self::STEP).then_some(free)
        });
        // The text shows the next free time already.
        if free.is_none() {
            self.text = format!("{now:.9}").into_bytes();
            self.begun = Some((now, 0));
        }
    }

    /// The time of the next line. Lines are many and formatting a time is dear, so its digits are counted up.
    fn take(&mut self) -> StampText {
        let time = StampText::of(&self.text);
        if let Some((from, count)) = &mut self.begun {
            *count += 1;
            if !count_up(&mut self.text) {
                let next = from.checked_add(SignedDuration::from_nanos(*count));
                self.text = format!("{:.9}", next.unwrap_or(*from)).into_bytes();
            }
        }
        time
    }
}

/// A time as text, `Z` at its end, however long its year is.
struct StampText {
    bytes: [u8; 40],
    length: usize,
}

impl StampText {
    fn of(text: &[u8]) -> Self {
        let mut bytes = [0; 40];
        let length = text.len().min(bytes.len());
        bytes[..length].copy_from_slice(&text[..length]);
        Self { bytes, length }
    }
}

impl std::ops::Deref for StampText {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Adds a nanosecond; false when that is beyond the second.
fn count_up(text: &mut [u8]) -> bool {
    let Some((_, digits)) = text
        .split_last_mut()
        .and_then(|(_, text)| text.split_at_mut_checked(text.len().checked_sub(9)?))
    else {
        return false;
    };
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return true;
        }
        *digit = b'0';
    }
    false
}

/// The name a full log file gets: `<name>.<date>-<time>.<nanoseconds>` in UTC. Names of one log file sort
/// by age. (The kubelet's names end with the seconds; it looks only every 10 s and cannot meet itself.)
pub(crate) fn rotated_path(path: &Path, now: Timestamp) -> PathBuf {
    let time = now.to_zoned(TimeZone::UTC);
    let mut name = path.as_os_str().to_owned();
    name.push(time.strftime(".%Y%m%d-%H%M%S.%9f").to_string());
    name.into()
}

/// The rotated files of the log file `path`, oldest first.
pub(crate) fn rotated_files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|n| n.to_str()))
    else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let is_rotated = entry
            .file_name()
            .to_str()
            .and_then(|other| other.strip_prefix(name)?.strip_prefix('.'))
            .is_some_and(is_time);
        if is_rotated {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// `20260102-150405`, perhaps with a fraction.
fn is_time(text: &str) -> bool {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    seconds.len() == 15
        && seconds
            .split_once('-')
            .is_some_and(|(date, time)| date.len() == 8 && digits(date) && digits(time))
        && digits(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-02T03:04:05.000000006Z";

    fn encode(chunks: &[&[u8]]) -> Vec<(Tag, Vec<u8>)> {
        let now: Timestamp = NOW.parse().unwrap();
        let mut encoder = Encoder::new(Stream::Stderr);
        let mut stamps = Stamps::default();
        let mut file = Vec::new();
        for chunk in chunks {
            encoder.encode(chunk, now, &mut stamps, &mut file);
        }
        encoder.finish(now, &mut stamps, &mut file);
        let mut expected = now;
        assert!(file.is_empty() || file.ends_with(b"\n"));
        file.strip_suffix(b"\n")
            .map(|lines| lines.split(|byte| *byte == b'\n'))
            .into_iter()
            .flatten()
            .map(|line| {
                let line = parse(line).unwrap();
                assert_eq!((line.at, line.stream), (expected, Stream::Stderr));
                expected += SignedDuration::from_nanos(1);
                (line.tag, line.text.to_vec())
            })
            .collect()
    }

    #[track_caller]
    fn check(chunks: &[&[u8]], expected: &[(Tag, &[u8])]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(tag, text)| (*tag, text.to_vec()))
            .collect();
        assert_eq!(encode(chunks), expected);
    }

    #[test]
    fn lines_are_cut_at_line_feeds_only() {
        check(&[], &[]);
        check(
            &[b"a\n\nb"],
            &[(Tag::Full, b"a"), (Tag::Full, b""), (Tag::Partial, b"b")],
        );
        check(
            &[b"a", b"b", b"\nc\n"],
            &[(Tag::Full, b"ab"), (Tag::Full, b"c")],
        );
        check(
            &[b"a\r\nb\r", b"\nc", b"\r\n\r\n"],
            &[
                (Tag::Full, b"a"),
                (Tag::Full, b"b"),
                (Tag::Full, b"c"),
                (Tag::Full, b""),
            ],
        );
        check(
            &[b"x\r2026 stdout F y\0\xff\n"],
            &[(Tag::Full, b"x\r2026 stdout F y\0\xff")],
        );
    }

    #[test]
    fn long_lines_become_pieces_however_they_arrive() {
        let line = vec![b'x'; MAX_TEXT * 2 + 5];
        let mut ended = line.clone();
        ended.push(b'\n');
        let piece: &[u8] = &line[..MAX_TEXT];
        let expected: [(Tag, &[u8]); 3] = [
            (Tag::Partial, piece),
            (Tag::Partial, piece),
            (Tag::Full, b"xxxxx"),
        ];
        check(&[&ended], &expected);
        let mut unended = expected;
        unended[2].0 = Tag::Partial;
        check(&[&line], &unended);
        let chunks: Vec<&[u8]> = ended.chunks(777).collect();
        check(&chunks, &expected);
        check(&[piece, b"\n"], &[(Tag::Full, piece)]);
    }

    #[test]
    fn every_line_has_a_time_of_its_own() {
        let mut encoders = [Encoder::new(Stream::Stdout), Encoder::new(Stream::Stderr)];
        let mut stamps = Stamps::default();
        let mut file = Vec::new();
        for (stream, now) in [
            (0, "2026-01-02T03:04:05.999999998Z"),
            // Read within the same nanosecond, and by a clock that runs back a little.
            (1, "2026-01-02T03:04:05.999999998Z"),
            (0, "2026-01-02T03:04:05.9Z"),
            (1, "2026-01-02T03:04:07Z"),
            // The clock is set.
            (0, "2026-01-02T02:00:00Z"),
        ] {
            encoders[stream].encode(b"a\nb\n", now.parse().unwrap(), &mut stamps, &mut file);
        }
        let text = String::from_utf8(file).unwrap();
        let times: Vec<&str> = text.lines().map(|line| &line[11..30]).collect();
        assert_eq!(
            times,
            [
                "03:04:05.999999998Z",
                "03:04:05.999999999Z",
                "03:04:06.000000000Z",
                "03:04:06.000000001Z",
                "03:04:06.000000002Z",
                "03:04:06.000000003Z",
                "03:04:07.000000000Z",
                "03:04:07.000000001Z",
                "02:00:00.000000000Z",
                "02:00:00.000000001Z",
            ]
        );
    }

    #[test]
    fn broken_lines_are_told_apart() {
        assert_eq!(parse(b""), Err(FormatError::Timestamp));
        assert_eq!(parse(b"nonsense stdout F a"), Err(FormatError::Timestamp));
        let line = |rest: &str| format!("{NOW} {rest}").into_bytes();
        assert_eq!(parse(&line("other F a")), Err(FormatError::Stream));
        assert_eq!(parse(&line("stdout X a")), Err(FormatError::Tag));
        assert_eq!(parse(&line("stdout P:x a b")).unwrap().text, b"a b");
        assert_eq!(parse(&line("stdout F")).unwrap().text, b"");
    }

    #[test]
    fn rotated_files_are_found_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("0.log");
        let old = directory.path().join("0.log.20250102-030405");
        let new = rotated_path(&path, NOW.parse().unwrap());
        assert!(
            new.to_str()
                .unwrap()
                .ends_with("/0.log.20260102-030405.000000006")
        );
        for file in [&path, &new, &old, &directory.path().join("0.log.gz")] {
            std::fs::write(file, "").unwrap();
        }
        std::fs::write(directory.path().join("10.log.20250102-030405"), "").unwrap();
        assert_eq!(rotated_files(&path).unwrap(), [old, new]);
    }
}
