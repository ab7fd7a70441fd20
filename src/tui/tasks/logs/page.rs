use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;

use super::lines::{Lines, LogText, open};
use crate::base::Clock;
use crate::client::{Client, LogOptions};
use crate::tui::logs::{LogEntry, LogPage, LogRead, ReadFrom, Seek};
use crate::tui::msg::Msg;
use crate::tui::sanitize::{MAX_LINE_BYTES, plain};

/// Moving through the list reads nothing of what is only passed.
const SETTLE: Duration = Duration::from_millis(60);
/// Bytes of the lines of one container in one page.
const MAX_BYTES: usize = 4 << 20;
/// Lines looked at in one go when only some of them are wanted.
const RAW_LINES: usize = 20_000;
/// Hidden lines are counted in runs of this many, each with the time of its first line.
const RUN: u64 = 64;
const STEP: SignedDuration = SignedDuration::from_nanos(1);

/// Reads one page and sends it.
pub(in crate::tui) async fn read_logs(
    client: Arc<dyn Client>,
    read: LogRead,
    messages: mpsc::Sender<Msg>,
) {
    if read.seek == Seek::End {
        tokio::time::sleep(SETTLE).await;
    }
    let id = read.id;
    let pages = Pages {
        client,
        read,
        longest: MAX_LINE_BYTES,
        until: Clock::system().now(),
    };
    let page = Box::new(pages.read().await);
    // The screen may be gone.
    let _ = messages.send(Msg::LogPage { id, page }).await;
}

pub(super) struct Pages {
    pub(super) client: Arc<dyn Client>,
    pub(super) read: LogRead,
    /// Bytes of a line that are kept.
    pub(super) longest: usize,
    /// Nothing younger is read: a log may grow faster than it can be read.
    pub(super) until: Timestamp,
}

/// What one container adds to a page.
#[derive(Default)]
struct Part {
    source: usize,
    entries: VecDeque<LogEntry>,
    bytes: usize,
    /// Where reading stopped; `None` = there is nothing more.
    bound: Option<Timestamp>,
    hidden: Vec<(Timestamp, u64)>,
    newest: Option<Timestamp>,
    problem: Option<String>,
}

/// What is read on one way through a log.
struct Way<'a> {
    from: Option<Timestamp>,
    lines: usize,
    is_wanted: &'a (dyn Fn(&LogEntry) -> bool + Sync),
    /// Not every line is wanted.
    is_filtered: bool,
}

impl Part {
    fn of(from: &ReadFrom) -> Self {
        Self {
            source: from.source,
            ..Self::default()
        }
    }

    fn hide(&mut self, at: Option<Timestamp>) {
        match (self.hidden.last_mut(), at) {
            (Some((_, count)), _) if *count < RUN => *count += 1,
            (_, Some(at)) => self.hidden.push((at, 1)),
            (Some((_, count)), None) => *count += 1,
            (None, None) => self.hidden.push((Timestamp::UNIX_EPOCH, 1)),
        }
    }
}

impl Pages {
    async fn read(&self) -> LogPage {
        let read = &self.read;
        match &read.seek {
            Seek::End | Seek::Back => self.back(read.from).await,
            Seek::Start | Seek::Forward => self.forward(read.from).await,
            Seek::Around(at) => self.around(*at).await,
            Seek::Find { pattern, forward } => {
                let is_match = |entry: &LogEntry| {
                    entry.passes(read.filter.as_ref()) && pattern.is_match(&entry.line.text)
                };
                let way = Way {
                    from: read.from,
                    lines: 1,
                    is_wanted: &is_match,
                    is_filtered: true,
                };
                let found = if *forward {
                    let parts =
                        join_all(read.sources.iter().map(|from| self.part_after(from, &way)));
                    let firsts = parts.await.into_iter().filter_map(|mut part| {
                        let entry = part.entries.pop_front()?;
                        Some((entry.at?, part.source))
                    });
                    firsts.min()
                } else {
                    let parts =
                        join_all(read.sources.iter().map(|from| self.part_before(from, &way)));
                    let lasts = parts.await.into_iter().filter_map(|mut part| {
                        let entry = part.entries.pop_back()?;
                        Some((entry.at?, part.source))
                    });
                    lasts.max()
                };
                let Some((at, source)) = found else {
                    return LogPage::default();
                };
                LogPage {
                    found: Some((at, source)),
                    ..self.around(at).await
                }
            }
        }
    }

    /// The lines before and behind an instant (which is among those before).
    async fn around(&self, at: Timestamp) -> LogPage {
        let (before, after) = (
            self.back(Some(at)).await,
            self.forward(at.checked_add(STEP).ok()).await,
        );
        let mut page = LogPage {
            older: before.older,
            newer: after.newer,
            hidden: before.hidden + after.hidden,
            entries: before.entries,
            newest: before.newest,
            found: None,
            problems: before.problems,
        };
        page.entries.extend(after.entries);
        page.newest.extend(after.newest);
        page.problems.extend(after.problems);
        page
    }

    fn way<'a>(
        &self,
        from: Option<Timestamp>,
        is_wanted: &'a (dyn Fn(&LogEntry) -> bool + Sync),
    ) -> Way<'a> {
        Way {
            from,
            lines: self.read.lines,
            is_wanted,
            is_filtered: self.read.filter.is_some(),
        }
    }

    /// The last lines up to `from`.
    async fn back(&self, from: Option<Timestamp>) -> LogPage {
        let passes = |entry: &LogEntry| entry.passes(self.read.filter.as_ref());
        let way = self.way(from, &passes);
        let parts = join_all(
            self.read
                .sources
                .iter()
                .map(|from| self.part_before(from, &way)),
        )
        .await;
        let older = parts.iter().filter_map(|part| part.bound).max();
        let mut page = merge(parts, |at| older.is_none_or(|older| at > older));
        page.older = older;
        page
    }

    /// The first lines from `from` on.
    pub(super) async fn forward(&self, from: Option<Timestamp>) -> LogPage {
        let passes = |entry: &LogEntry| entry.passes(self.read.filter.as_ref());
        let way = self.way(from, &passes);
        let parts = join_all(
            self.read
                .sources
                .iter()
                .map(|from| self.part_after(from, &way)),
        )
        .await;
        let newer = parts.iter().filter_map(|part| part.bound).min();
        let mut page = merge(parts, |at| newer.is_none_or(|newer| at < newer));
        page.newer = newer;
        page
    }

    /// The newest instance, then the one before it.
    async fn part_before(&self, from: &ReadFrom, way: &Way<'_>) -> Part {
        let mut part = Part::of(from);
        let mut until = way.from.or(Some(self.until));
        let instances: &[bool] = if self.read.previous {
            &[true]
        } else {
            &[false, true]
        };
        for &previous in instances {
            loop {
                let raw = if way.is_filtered {
                    RAW_LINES
                } else {
                    way.lines.saturating_sub(part.entries.len()).max(1)
                };
                let options = LogOptions {
                    previous,
                    until,
                    tail_lines: Some(raw as u64),
                    ..LogOptions::default()
                };
                let stream =
                    match open(&self.client, &self.read.target, &from.container, options).await {
                        Ok(stream) => stream,
                        // Most containers have no instance before.
                        Err(_) if previous && !self.read.previous => break,
                        Err(error) => {
                            part.problem = Some(plain(&error.to_string()));
                            return part;
                        }
                    };
                let chunk = self.collect(stream, from.source, way).await;
                let has_more = chunk.count >= raw;
                part.newest = part.newest.max(chunk.part.newest);
                part.problem = chunk.part.problem;
                part.hidden.extend(chunk.part.hidden);
                part.bytes += chunk.part.bytes;
                let mut entries = chunk.part.entries;
                entries.append(&mut part.entries);
                part.entries = entries;
                let bound = chunk.part.bound;
                until = bound
                    .or_else(|| chunk.first?.checked_sub(STEP).ok())
                    .or(until);
                let is_enough = part.entries.len() >= way.lines || part.bytes > MAX_BYTES;
                if bound.is_some() || (has_more && is_enough) || part.problem.is_some() {
                    part.bound = until;
                    return part;
                }
                // Without a time there is no place to go on from.
                if !has_more || chunk.first.is_none() {
                    break;
                }
            }
        }
        part
    }

    /// A text to its end, the newest lines of it if they are too many.
    async fn collect(&self, mut stream: LogText, source: usize, way: &Way<'_>) -> Chunk {
        let mut lines = Lines::new(source, self.longest);
        let mut chunk = Chunk::default();
        while let Some(bytes) = stream.next().await {
            match bytes {
                Ok(bytes) => lines.take(&bytes, |entry| chunk.push(entry, way)),
                Err(error) => {
                    chunk.part.problem = Some(plain(&error.to_string()));
                    break;
                }
            }
        }
        if let Some(entry) = lines.finish() {
            chunk.push(entry, way);
        }
        chunk
    }

    /// The instance before the newest, then the newest.
    async fn part_after(&self, from: &ReadFrom, way: &Way<'_>) -> Part {
        let mut part = Part::of(from);
        let instances: &[bool] = if self.read.previous {
            &[true]
        } else {
            &[true, false]
        };
        for &previous in instances {
            let since = part.newest.and_then(|at| at.checked_add(STEP).ok());
            let options = LogOptions {
                previous,
                since: since.max(way.from),
                until: Some(self.until),
                ..LogOptions::default()
            };
            let mut stream =
                match open(&self.client, &self.read.target, &from.container, options).await {
                    Ok(stream) => stream,
                    Err(_) if previous && !self.read.previous => continue,
                    Err(error) => {
                        part.problem = Some(plain(&error.to_string()));
                        return part;
                    }
                };
            let mut lines = Lines::new(from.source, self.longest);
            while let Some(bytes) = stream.next().await {
                match bytes {
                    Ok(bytes) => lines.take(&bytes, |entry| part.push_after(entry, way)),
                    Err(error) => {
                        part.problem = Some(plain(&error.to_string()));
                        return part;
                    }
                }
                if part.bound.is_some() {
                    return part;
                }
            }
            if let Some(entry) = lines.finish() {
                part.push_after(entry, way);
            }
            if part.bound.is_some() {
                return part;
            }
        }
        part
    }
}

impl Part {
    fn push_after(&mut self, entry: LogEntry, way: &Way<'_>) {
        // `since` may have the precision of seconds.
        if self.bound.is_some() || (entry.at.is_some() && entry.at < way.from) {
            return;
        }
        let is_enough = self.entries.len() >= way.lines || self.bytes > MAX_BYTES;
        if is_enough && entry.at > self.newest {
            self.bound = entry.at;
            return;
        }
        self.newest = self.newest.max(entry.at);
        if (way.is_wanted)(&entry) {
            self.bytes += entry.weight();
            self.entries.push_back(entry);
        } else {
            self.hide(entry.at);
        }
    }
}

/// One reading backwards.
#[derive(Default)]
struct Chunk {
    part: Part,
    /// Lines that were read, wanted or not.
    count: usize,
    /// The time of the first of them.
    first: Option<Timestamp>,
}

impl Chunk {
    fn push(&mut self, entry: LogEntry, way: &Way<'_>) {
        self.count += 1;
        self.first = self.first.or(entry.at);
        self.part.newest = self.part.newest.max(entry.at);
        if !(way.is_wanted)(&entry) {
            self.part.hide(entry.at);
            return;
        }
        self.part.bytes += entry.weight();
        self.part.entries.push_back(entry);
        while self.part.bytes > MAX_BYTES && self.part.entries.len() > 1 {
            if let Some(oldest) = self.part.entries.pop_front() {
                self.part.bytes -= oldest.weight();
                self.part.bound = oldest.at.or(self.part.bound);
            }
        }
    }
}

/// The parts as one, in the order of time: only what lies between the ends of all of them.
fn merge(parts: Vec<Part>, is_inside: impl Fn(Timestamp) -> bool) -> LogPage {
    let mut page = LogPage::default();
    for part in parts {
        page.newest.extend(part.newest.map(|at| (part.source, at)));
        page.problems.extend(part.problem);
        let runs = part.hidden.iter().filter(|(at, _)| is_inside(*at));
        page.hidden += runs.map(|(_, count)| count).sum::<u64>();
        let inside = |entry: &LogEntry| entry.at.is_none_or(&is_inside);
        page.entries.extend(part.entries.into_iter().filter(inside));
    }
    page.entries.sort_by_key(|entry| entry.at);
    page
}
