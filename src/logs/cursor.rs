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
/// The prefix of a line is shorter.
const LONGEST_PREFIX: u64 = 64;
/// `2026-01-02T03:04:05.000000006Z`, as podtui writes it.
const TIME_LENGTH: usize = 30;

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
    /// Lines before `since` may still come.
    skipping: bool,
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
            skipping: query.since.is_some(),
            left: query.limit_bytes,
            buffer: vec![0; CHUNK],
            query,
        };
        cursor.file = match cursor.query.tail_lines {
            Some(lines) => cursor.open_tail(lines)?,
            None => cursor.open_first()?,
        };
        Ok(cursor)
    }

    /// Reads on, through rotated files, until there is text to show or nothing more to read.
    pub(super) fn step(&mut self) -> io::Result<Step> {
        if self.left == Some(0) {
            return Ok(Step::Full);
        }
        loop {
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
        let Ok(line) = read_line(raw, self.skipping) else {
            // Not ours, but somebody may want to see it.
            text.extend_from_slice(raw);
            text.push(b'\n');
            return;
        };
        if self.skipping {
            if line
                .at
                .zip(self.query.since)
                .is_some_and(|(at, since)| at < since)
            {
                return;
            }
            self.skipping = false;
        }
        let open = &mut self.open_lines[usize::from(line.stream == Stream::Stderr)];
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
            // It was the oldest and has been removed; go on with what is the oldest now.
            None => 0,
        };
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
        self.file = Some(open);
        Ok(true)
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
            let (start, found) = tail_start(&open.file, wanted)?;
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

/// Where the last `wanted` lines of output begin, and how many there are from there on. Lines of the file that
/// are pieces of one line of output count once; what has no line feed yet does not count.
fn tail_start(file: &File, wanted: u64) -> io::Result<(u64, u64)> {
    let mut block_start = file.metadata()?.len();
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
        let size = (end - begin).min(LONGEST_PREFIX);
        let mut prefix = vec![0; usize::try_from(size).unwrap_or(0)];
        file.read_exact_at(&mut prefix, begin)?;
        if read_line(&prefix, false).is_ok_and(|line| line.tag == Tag::Partial) {
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
    /// Only when it was asked for: reading it costs more than all the rest.
    at: Option<Timestamp>,
    time: &'a [u8],
    stream: Stream,
    tag: Tag,
    text: &'a [u8],
}

fn read_line(raw: &[u8], with_time: bool) -> Result<Shown<'_>, FormatError> {
    if !with_time && let Some(line) = read_quickly(raw) {
        return Ok(line);
    }
    let Line {
        at,
        stream,
        tag,
        text,
    } = parse(raw)?;
    let end = memchr::memchr(b' ', raw).unwrap_or(raw.len());
    Ok(Shown {
        at: Some(at),
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
        at: None,
        time,
        stream,
        tag,
        text,
    })
}
