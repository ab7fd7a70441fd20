use std::cmp::Ordering;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::format::{FormatError, Line, Stream, Tag, parse, rotated_files};
use super::reader::LogQuery;

/// Bytes taken from a file at once.
const CHUNK: usize = 256 << 10;
/// Bytes taken at once when looking for the beginning of the last lines.
const BLOCK: usize = 64 << 10;
/// Our lines are at most a prefix and 16 KiB. What grows beyond this without a line feed is shown as it is,
/// so that no file can make the reader hold more.
const LONGEST_LINE: usize = 1 << 20;
/// Lines of the file as podtui writes them are shorter.
const LONGEST_PIECE: u64 = 17 << 10;
/// The prefix of a line is shorter.
const LONGEST_PREFIX: u64 = 64;
/// `2026-01-02T03:04:05.000000006Z`, as podtui writes it.
const TIME_LENGTH: usize = 30;

/// Stands where output is missing because files were rotated away before they were read.
pub(super) const OVERTAKEN: &str = "podtui: the log was rotated away faster than it was read; output before this line may be missing";

/// A place in a log and what is needed to go on from there. All of it blocks.
pub(super) struct Cursor {
    path: PathBuf,
    query: LogQuery,
    /// `None` until the log has a file.
    file: Option<OpenFile>,
    /// The beginning of a line of the file whose end has not been read.
    unfinished: Vec<u8>,
    /// Streams in the middle of a line of output.
    open_lines: [bool; 2],
    since: Option<Bound>,
    until: Option<Bound>,
    /// Streams in the middle of a line that began before `since`.
    skipped_lines: [bool; 2],
    /// A line after `until` was met; only the ends of lines that had begun may still come.
    is_past_end: bool,
    /// Files were removed before they were read.
    is_overtaken: bool,
    left: Option<u64>,
    buffer: Vec<u8>,
}

struct OpenFile {
    file: File,
    inode: u64,
}

pub(super) enum Step {
    Text(Vec<u8>),
    /// Nothing more at present.
    End,
    /// As much as was asked for.
    Full,
}

impl Cursor {
    pub(super) fn open(path: &Path, query: LogQuery) -> io::Result<Self> {
        let mut cursor = Self {
            path: path.to_owned(),
            file: None,
            unfinished: Vec::new(),
            open_lines: [false; 2],
            since: query.since.map(Bound::new),
            until: query.until.map(Bound::new),
            skipped_lines: [false; 2],
            is_past_end: false,
            is_overtaken: false,
            left: query.limit_bytes,
            buffer: vec![0; CHUNK],
            query,
        };
        cursor.file = match cursor.query.tail_lines {
            Some(lines) => cursor.open_tail(lines)?,
            None => cursor.open_since()?,
        };
        Ok(cursor)
    }

    /// Reads on, through rotated files, until there is text to show or nothing more to read.
    pub(super) fn step(&mut self) -> io::Result<Step> {
        loop {
            if self.left == Some(0) || (self.is_past_end && self.open_lines == [false; 2]) {
                return Ok(Step::Full);
            }
            let count = match &mut self.file {
                Some(open) => open.file.read(&mut self.buffer)?,
                None => 0,
            };
            if count == 0 {
                if self.advance()? {
                    continue;
                }
                return Ok(Step::End);
            }
            let text = self.take(count);
            if !text.is_empty() {
                return Ok(Step::Text(text));
            }
        }
    }

    /// Turns newly read bytes into text.
    fn take(&mut self, count: usize) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.unfinished.len() + count);
        let buffer = std::mem::take(&mut self.buffer);
        let mut rest = &buffer[..count];
        if !self.unfinished.is_empty()
            && let Some(end) = memchr::memchr(b'\n', rest)
        {
            let mut line = std::mem::take(&mut self.unfinished);
            line.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            self.show(&line, &mut text);
        }
        if self.unfinished.is_empty() {
            while let Some(end) = memchr::memchr(b'\n', rest) {
                self.show(&rest[..end], &mut text);
                rest = &rest[end + 1..];
            }
        }
        self.unfinished.extend_from_slice(rest);
        if self.unfinished.len() > LONGEST_LINE {
            text.append(&mut self.unfinished);
        }
        self.buffer = buffer;
        if let Some(left) = &mut self.left {
            let most = usize::try_from(*left).unwrap_or(usize::MAX);
            text.truncate(most);
            *left -= u64::try_from(text.len()).unwrap_or(*left);
        }
        text
    }

    fn show(&mut self, raw: &[u8], text: &mut Vec<u8>) {
        let Ok(line) = read_line(raw) else {
            // Not ours, but somebody may want to see it.
            if !self.is_past_end {
                text.extend_from_slice(raw);
                text.push(b'\n');
            }
            return;
        };
        let stream = usize::from(line.stream == Stream::Stderr);
        if !self.is_wanted(&line, stream) {
            return;
        }
        let open = &mut self.open_lines[stream];
        if std::mem::take(&mut self.is_overtaken) {
            if self.query.timestamps {
                text.extend_from_slice(line.time);
                text.push(b' ');
            }
            text.extend_from_slice(OVERTAKEN.as_bytes());
            text.push(b'\n');
        }
        if self.query.timestamps && !*open {
            text.extend_from_slice(line.time);
            text.push(b' ');
        }
        text.extend_from_slice(line.text);
        *open = line.tag == Tag::Partial;
        if !*open {
            text.push(b'\n');
        }
    }

    /// Whether a line of the file is between the times that are asked for. A line of output belongs where it
    /// began, with all its pieces.
    fn is_wanted(&mut self, line: &Shown<'_>, stream: usize) -> bool {
        if self.open_lines[stream] {
            return true;
        }
        if self.is_past_end {
            return false;
        }
        if let Some(since) = &self.since {
            let is_early = since.of_line(line.time) == Some(Ordering::Less);
            if is_early || self.skipped_lines[stream] {
                self.skipped_lines[stream] = line.tag == Tag::Partial;
                return false;
            }
            if self.skipped_lines == [false; 2] {
                self.since = None;
            }
        }
        let until = self.until.as_ref();
        self.is_past_end =
            until.is_some_and(|until| until.of_line(line.time) == Some(Ordering::Greater));
        !self.is_past_end
    }

    /// Goes to the next file of the log; false when this is the newest one.
    fn advance(&mut self) -> io::Result<bool> {
        let Some(current) = &mut self.file else {
            self.file = self.open_first()?;
            return Ok(self.file.is_some());
        };
        let files = log_files(&self.path)?;
        let inodes: Vec<Option<u64>> = files
            .iter()
            .map(|file| std::fs::symlink_metadata(file).ok().map(|meta| meta.ino()))
            .collect();
        let place = inodes
            .iter()
            .position(|inode| *inode == Some(current.inode));
        let next = match place {
            Some(place) if place + 1 == files.len() => return Ok(false),
            Some(place) => place + 1,
            // It has been removed; go on with what is the oldest now.
            None => 0,
        };
        let is_gone = place.is_none() && !files.is_empty();
        // The writer has left this file, but it may have done so after our last read.
        let mut rest = [0; 1];
        let position = current.file.stream_position()?;
        if current.file.read_at(&mut rest, position)? > 0 {
            return Ok(true);
        }
        let Some(next) = files.get(next) else {
            return Ok(false);
        };
        let Some(open) = open_file(next)? else {
            // Renamed between the listing and now, or not created yet after a rename: look again later.
            return Ok(false);
        };
        self.unfinished.clear();
        self.is_overtaken |= is_gone;
        self.file = Some(open);
        Ok(true)
    }

    /// The file and a place in it before which nothing is asked for.
    fn open_since(&self) -> io::Result<Option<OpenFile>> {
        let Some(since) = &self.since else {
            return self.open_first();
        };
        let is_early = |line: &[u8]| since.of_line(line).map(|order| order == Ordering::Less);
        for path in log_files(&self.path)?.iter().rev() {
            let Some(mut open) = open_file(path)? else {
                continue;
            };
            let length = open.file.metadata()?.len();
            let start = boundary(&open.file, length, is_early)?;
            if start > 0 {
                // Pieces of a line that began here are told from others by their beginning.
                let near = match start.checked_sub(2 * LONGEST_PIECE) {
                    Some(near) => next_line(&open.file, near, start)?.unwrap_or(start),
                    None => 0,
                };
                open.file.seek(SeekFrom::Start(near))?;
                return Ok(Some(open));
            }
        }
        self.open_first()
    }

    fn open_first(&self) -> io::Result<Option<OpenFile>> {
        for path in log_files(&self.path)? {
            if let Some(open) = open_file(&path)? {
                return Ok(Some(open));
            }
        }
        Ok(None)
    }

    /// The file and the place in it where the last `lines` lines begin.
    fn open_tail(&self, lines: u64) -> io::Result<Option<OpenFile>> {
        let mut wanted = lines;
        let mut oldest = None;
        for path in log_files(&self.path)?.iter().rev() {
            let Some(mut open) = open_file(path)? else {
                continue;
            };
            let length = open.file.metadata()?.len();
            let end = match &self.until {
                Some(until) => boundary(&open.file, length, |line| {
                    until.of_line(line).map(|order| order != Ordering::Greater)
                })?,
                None => length,
            };
            let (start, found) = tail_start(&open.file, end, wanted)?;
            open.file.seek(SeekFrom::Start(start))?;
            if found >= wanted {
                return Ok(Some(open));
            }
            wanted -= found;
            oldest = Some(open);
        }
        Ok(oldest)
    }
}

/// Rotated files from the oldest on, then the one that is written.
fn log_files(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = match rotated_files(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        files => files?,
    };
    files.push(path.to_owned());
    Ok(files)
}

/// `None` when it is not there. The directory belongs to podtui alone, and the shim makes log files itself; a
/// link in their place is not followed all the same (CVE-2026-53489).
fn open_file(path: &Path) -> io::Result<Option<OpenFile>> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
        Ok(fd) => {
            let file = File::from(fd);
            let meta = file.metadata()?;
            if !meta.is_file() {
                let text = format!("{} is no regular file", path.display());
                return Err(io::Error::new(ErrorKind::InvalidData, text));
            }
            Ok(Some(OpenFile {
                file,
                inode: meta.ino(),
            }))
        }
    }
}

/// An instant that the times of lines are compared with: as text, where both have the form podtui writes,
/// because reading a time costs more than all the rest.
struct Bound {
    at: Timestamp,
    text: String,
}

impl Bound {
    fn new(at: Timestamp) -> Self {
        Self {
            at,
            text: format!("{at:.9}"),
        }
    }

    /// How the time in front of a line compares with this one; `None` when there is none.
    fn of_line(&self, raw: &[u8]) -> Option<Ordering> {
        let own_form = |text: &[u8]| text.len() >= TIME_LENGTH && text[TIME_LENGTH - 1] == b'Z';
        if own_form(raw) && self.text.len() == TIME_LENGTH && raw[10] == b'T' {
            return Some(raw[..TIME_LENGTH].cmp(self.text.as_bytes()));
        }
        let end = memchr::memchr(b' ', raw).unwrap_or(raw.len());
        let at: Timestamp = std::str::from_utf8(&raw[..end]).ok()?.parse().ok()?;
        Some(at.cmp(&self.at))
    }
}

/// Where the first line begins that `is_early` says no of; times only grow within a file. Lines without a time
/// belong to the one before.
fn boundary(file: &File, length: u64, is_early: impl Fn(&[u8]) -> Option<bool>) -> io::Result<u64> {
    // Lines that begin before `low` are early, those from `high` on are not.
    let (mut low, mut high) = (0, length);
    while high - low > BLOCK as u64 {
        let middle = low + (high - low) / 2;
        let Some((begin, early)) = first_time(file, middle, high, &is_early)? else {
            break;
        };
        if early {
            low = begin;
        } else {
            high = begin;
        }
    }
    let mut at = low;
    while let Some(end) = next_line(file, at, high)? {
        let line = prefix_of(file, at, end)?;
        if is_early(&line) == Some(false) {
            return Ok(at);
        }
        at = end;
    }
    // What is left has no line feed yet, or is the line at `high`.
    let rest = prefix_of(file, at, high)?;
    Ok(if is_early(&rest) == Some(false) {
        at
    } else {
        high
    })
}

/// The first line with a time that begins in this range (not the one `from` may be in the middle of).
fn first_time(
    file: &File,
    from: u64,
    to: u64,
    is_early: &impl Fn(&[u8]) -> Option<bool>,
) -> io::Result<Option<(u64, bool)>> {
    let mut at = from;
    while let Some(begin) = next_line(file, at, to)?.filter(|begin| *begin < to) {
        if let Some(early) = is_early(&prefix_of(file, begin, to)?) {
            return Ok(Some((begin, early)));
        }
        at = begin;
    }
    Ok(None)
}

/// Where the line after the one at `from` begins, if its line feed is before `to`.
fn next_line(file: &File, from: u64, to: u64) -> io::Result<Option<u64>> {
    let mut at = from;
    let mut block = [0; 4096];
    while at < to {
        let size = usize::try_from(to - at).map_or(block.len(), |rest| rest.min(block.len()));
        file.read_exact_at(&mut block[..size], at)?;
        if let Some(feed) = memchr::memchr(b'\n', &block[..size]) {
            return Ok(Some(at + feed as u64 + 1));
        }
        at += size as u64;
    }
    Ok(None)
}

/// The bytes of a line that hold its time.
fn prefix_of(file: &File, begin: u64, end: u64) -> io::Result<Vec<u8>> {
    let size = (end - begin).min(LONGEST_PREFIX);
    let mut prefix = vec![0; usize::try_from(size).unwrap_or(0)];
    file.read_exact_at(&mut prefix, begin)?;
    Ok(prefix)
}

/// Where the last `wanted` lines of output begin before `end`, and how many there are from there on. Lines of the file that
/// are pieces of one line of output count once, with or without a line feed at their end.
fn tail_start(file: &File, end: u64, wanted: u64) -> io::Result<(u64, u64)> {
    let mut block_start = end;
    let mut tail = Tail {
        start: block_start,
        found: 0,
        wanted,
    };
    let mut line_end = None;
    let mut block = vec![0; BLOCK];
    while block_start > 0 {
        let size = block_start.min(BLOCK as u64);
        block_start -= size;
        let bytes = &mut block[..usize::try_from(size).unwrap_or(BLOCK)];
        file.read_exact_at(bytes, block_start)?;
        for index in memchr::memrchr_iter(b'\n', bytes) {
            let feed = block_start + index as u64;
            match line_end.replace(feed) {
                Some(end) if tail.add(file, feed + 1, end)? => return Ok((tail.start, tail.found)),
                Some(_) => {}
                None => tail.start = feed + 1,
            }
        }
    }
    if let Some(end) = line_end
        && tail.add(file, 0, end)?
    {
        return Ok((tail.start, tail.found));
    }
    Ok((0, tail.found))
}

struct Tail {
    /// The beginning of the line of the file that was added last.
    start: u64,
    found: u64,
    wanted: u64,
}

impl Tail {
    /// Takes the line of the file between these places; true when it is one too many.
    fn add(&mut self, file: &File, begin: u64, end: u64) -> io::Result<bool> {
        let prefix = prefix_of(file, begin, end)?;
        let is_piece = read_line(&prefix).is_ok_and(|line| line.tag == Tag::Partial);
        if is_piece && self.found > 0 {
            self.start = begin;
            return Ok(false);
        }
        if self.found == self.wanted {
            return Ok(true);
        }
        self.found += 1;
        self.start = begin;
        Ok(false)
    }
}

struct Shown<'a> {
    time: &'a [u8],
    stream: Stream,
    tag: Tag,
    text: &'a [u8],
}

fn read_line(raw: &[u8]) -> Result<Shown<'_>, FormatError> {
    if let Some(line) = read_quickly(raw) {
        return Ok(line);
    }
    let Line {
        stream, tag, text, ..
    } = parse(raw)?;
    let end = memchr::memchr(b' ', raw).unwrap_or(raw.len());
    Ok(Shown {
        time: &raw[..end],
        stream,
        tag,
        text,
    })
}

/// Lines as podtui writes them have all fields at fixed places.
fn read_quickly(raw: &[u8]) -> Option<Shown<'_>> {
    let (time, rest) = raw.split_at_checked(TIME_LENGTH)?;
    let (fields, text) = rest.split_at_checked(10)?;
    let (stream, tag) = match fields {
        b" stdout F " => (Stream::Stdout, Tag::Full),
        b" stdout P " => (Stream::Stdout, Tag::Partial),
        b" stderr F " => (Stream::Stderr, Tag::Full),
        b" stderr P " => (Stream::Stderr, Tag::Partial),
        _ => return None,
    };
    (time[TIME_LENGTH - 1] == b'Z').then_some(Shown {
        time,
        stream,
        tag,
        text,
    })
}
