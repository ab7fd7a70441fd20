use jiff::{SignedDuration, Timestamp};

use super::buffer::{LogEntry, Origin};
use super::pane::{LogPane, Position, SourceState, Target, Window};
use super::pattern::Pattern;
use crate::tui::data::ContainerFacts;

/// Lines of one reading.
const PAGE: usize = 4000;
/// One nanosecond: the next line there can be.
const STEP: SignedDuration = SignedDuration::from_nanos(1);

/// What part of the log to read from the files.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::tui) enum Seek {
    /// The newest lines.
    End,
    Start,
    /// What comes before the lines in memory, or behind them.
    Back,
    Forward,
    /// The lines around this instant.
    Around(Timestamp),
    /// The lines around the next match.
    Find {
        pattern: Pattern,
        forward: bool,
    },
}

/// One reading of the logs of several containers.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::tui) struct LogRead {
    pub(in crate::tui) id: u64,
    pub(in crate::tui) target: Target,
    pub(in crate::tui) sources: Vec<ReadFrom>,
    pub(in crate::tui) seek: Seek,
    /// Up to here back, from here on forward.
    pub(in crate::tui) from: Option<Timestamp>,
    pub(in crate::tui) filter: Option<Pattern>,
    /// The instance before the newest, and it alone.
    pub(in crate::tui) previous: bool,
    pub(in crate::tui) lines: usize,
}

/// A container whose log is read, by its index in the pane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) struct ReadFrom {
    pub(in crate::tui) source: usize,
    pub(in crate::tui) container: String,
}

/// A stretch of the merged log without holes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::tui) struct LogPage {
    /// In the order of their times.
    pub(in crate::tui) entries: Vec<LogEntry>,
    /// Lines up to this instant were not read; `None` = there are none.
    pub(in crate::tui) older: Option<Timestamp>,
    /// Lines from this instant on were not read; `None` = this was the end.
    pub(in crate::tui) newer: Option<Timestamp>,
    /// Lines the filter has hidden.
    pub(in crate::tui) hidden: u64,
    /// The newest line of each container, hidden or not.
    pub(in crate::tui) newest: Vec<(usize, Timestamp)>,
    /// The match, for a search that found one.
    pub(in crate::tui) found: Option<(Timestamp, usize)>,
    pub(in crate::tui) problems: Vec<String>,
}

impl LogEntry {
    pub(in crate::tui) fn passes(&self, filter: Option<&Pattern>) -> bool {
        self.origin == Origin::Marker
            || filter.is_none_or(|filter| filter.is_match(&self.line.text))
    }

    pub(super) fn is_output_of(&self, source: usize) -> bool {
        self.source == source && self.origin == Origin::Output
    }
}

impl LogPane {
    /// Reads the newest lines and follows them. What is shown stays until they are there.
    pub(in crate::tui) fn reload(&mut self) {
        self.position = Position::Follow;
        self.selection = None;
        self.want(Seek::End);
    }

    pub(super) fn reload_here(&mut self) {
        match self.time_in_view() {
            Some(at) => self.reload_around(at),
            None => self.reload(),
        }
    }

    pub(super) fn reload_around(&mut self, at: Timestamp) {
        self.want(Seek::Around(at));
    }

    /// Only so many lines at the end, then what comes.
    pub(in crate::tui) fn tail(&mut self, lines: usize) {
        self.reads.tail = Some(lines);
        self.reload();
    }

    /// From the first line of the files.
    pub(in crate::tui) fn go_to_start(&mut self) {
        if self.window.older.is_some() {
            self.want(Seek::Start);
        }
        self.position = Position::At(self.window.buffer.first_number());
    }

    pub(in crate::tui) fn go_to_time(&mut self, at: Timestamp) {
        self.want(Seek::Around(at));
    }

    /// Stops a search through the files; false when there is none.
    pub(in crate::tui) fn stop_search(&mut self) -> bool {
        let is_search = matches!(self.reads.running, Some(Seek::Find { .. }));
        if is_search {
            self.reads.last += 1;
            self.reads.running = None;
        }
        is_search
    }

    /// Goes on in the files with a search that found nothing in memory; false when there is nothing more.
    pub(super) fn find_in_files(&mut self, pattern: Pattern, forward: bool) -> bool {
        let has_more = if forward {
            self.window.newer.is_some()
        } else {
            self.window.older.is_some()
        };
        if has_more {
            self.want(Seek::Find { pattern, forward });
        }
        has_more
    }

    fn want(&mut self, seek: Seek) {
        let replaces = !matches!(seek, Seek::Find { .. });
        if replaces {
            // Streams and readings of what is about to be replaced would add to it.
            self.close_streams();
            self.reads.last += 1;
            self.reads.running = None;
        }
        self.reads.wanted = Some(seek);
    }

    /// What is to be read now, for a view of this size.
    pub(in crate::tui) fn plan_read(&mut self, width: usize, height: usize) -> Option<LogRead> {
        let target = self.target.clone()?;
        let seek = match self.reads.wanted.take() {
            Some(seek) => seek,
            None if self.reads.running.is_some() => return None,
            None => self.missing_part(width, height)?,
        };
        let sources = self.readable_sources();
        self.reads.last += 1;
        if sources.is_empty() {
            // Nothing has been written yet, or everything is muted.
            self.reads.running = None;
            if matches!(seek, Seek::End | Seek::Start | Seek::Around(_)) {
                self.replace(LogPage::default(), &seek);
            }
            return None;
        }
        let from = match &seek {
            Seek::Back | Seek::Find { forward: false, .. } => self.window.older,
            Seek::Forward | Seek::Find { forward: true, .. } => self.window.newer,
            Seek::Around(at) => Some(*at),
            Seek::End | Seek::Start => None,
        };
        let lines = match (&seek, self.reads.tail) {
            (Seek::End, Some(lines)) => lines,
            _ => PAGE,
        };
        self.reads.running = Some(seek.clone());
        self.reads.from = from;
        Some(LogRead {
            id: self.reads.last,
            target,
            sources,
            seek,
            from,
            filter: self.filter.clone(),
            previous: self.is_previous,
            lines,
        })
    }

    /// Everything, for a file.
    pub(in crate::tui) fn whole(&self) -> Option<LogRead> {
        Some(LogRead {
            id: 0,
            target: self.target.clone()?,
            sources: self.readable_sources(),
            seek: Seek::Start,
            from: None,
            filter: self.filter.clone(),
            previous: self.is_previous,
            lines: PAGE,
        })
    }

    fn readable_sources(&self) -> Vec<ReadFrom> {
        let has_output = |index: usize| {
            let seen = self.sources[index].seen.as_ref();
            seen.is_some_and(ContainerFacts::has_output)
        };
        (0..self.sources.len())
            .filter(|&index| self.is_visible_source(index) && has_output(index))
            .map(|source| ReadFrom {
                source,
                container: self.sources[source].name.clone(),
            })
            .collect()
    }

    /// The view, and a page around it, should be in memory.
    fn missing_part(&self, width: usize, height: usize) -> Option<Seek> {
        if height == 0 || self.reads.has_failed || self.reads.is_refilling {
            return None;
        }
        let (first, _) = self.window(width, height);
        let is_bounded = self.reads.tail.is_some() && self.position == Position::Follow;
        if self.window.older.is_some() && !is_bounded {
            let margin = match self.position {
                // What follows needs no more than what is shown.
                Position::Follow => 1,
                Position::At(_) => height,
            };
            let is_short =
                self.position != Position::Follow || self.rows_at_end(width, height) < height;
            if is_short && self.lines_before(first).take(margin).count() < margin {
                return Some(Seek::Back);
            }
        }
        if self.window.newer.is_some() {
            let wanted = 2 * height;
            if self.lines_from(first).take(wanted).count() < wanted {
                return Some(Seek::Forward);
            }
        }
        None
    }

    /// An answer. The text is worth a word to the user.
    pub(in crate::tui) fn take_page(&mut self, id: u64, page: LogPage) -> Option<String> {
        if id != self.reads.last {
            return None;
        }
        let seek = self.reads.running.take()?;
        let problem = page.problems.first().cloned();
        match seek {
            Seek::Back | Seek::Forward if problem.is_some() => self.reads.has_failed = true,
            Seek::Back if self.reads.from == self.window.older => self.add_older(page),
            Seek::Forward if self.reads.from == self.window.newer => self.add_newer(page),
            // The window has moved meanwhile; what is missing now is read anew.
            Seek::Back | Seek::Forward => {}
            Seek::End | Seek::Start | Seek::Around(_) => {
                if self.is_previous && page.entries.is_empty() && problem.is_some() {
                    self.is_previous = false;
                    self.reload();
                    return problem;
                }
                self.replace(page, &seek);
            }
            Seek::Find { pattern, forward } => {
                let Some((at, source)) = page.found else {
                    let (word, end) = if forward {
                        ("next", "last")
                    } else {
                        ("earlier", "first")
                    };
                    return Some(format!(
                        "no {word} match of {:?} up to the {end} line of the files",
                        pattern.text()
                    ));
                };
                self.close_streams();
                self.replace(page, &Seek::Around(at));
                let is_it = |(_, entry): &(u64, &LogEntry)| {
                    entry.at == Some(at) && entry.is_output_of(source)
                };
                let number = self.lines_from(0).find(is_it).map(|(number, _)| number);
                if let Some(number) = number {
                    self.position = Position::At(number);
                }
            }
        }
        problem
    }

    fn add_older(&mut self, page: LogPage) {
        self.hidden += page.hidden;
        self.note_gaps();
        self.window.buffer.prepend(page.entries);
        self.window.older = page.older;
        if self.position == Position::Follow {
            let removed = self.window.buffer.trim_front();
            self.window.older = removed.or(self.window.older);
        } else if let Some(removed) = self.window.buffer.trim_back() {
            self.window.newer = Some(removed);
            self.close_streams();
        }
        self.markers.place(&mut self.window, self.position);
    }

    fn add_newer(&mut self, page: LogPage) {
        self.hidden += page.hidden;
        self.note_gaps();
        self.window.buffer.append(page.entries);
        self.window.newer = page.newer;
        if let Some(removed) = self.window.buffer.trim_front() {
            self.window.older = Some(removed);
        }
        self.note_newest(&page.newest);
        self.markers.place(&mut self.window, self.position);
        self.keep_position();
        if self.window.newer.is_none() {
            self.go_live();
        }
    }

    fn replace(&mut self, page: LogPage, seek: &Seek) {
        self.window = Window {
            older: page.older,
            newer: page.newer,
            ..Window::default()
        };
        self.hidden = page.hidden;
        self.window.buffer.append(page.entries);
        if self.window.buffer.trim_front().is_some() {
            self.window.older = self.window.buffer.entries().find_map(|entry| entry.at);
            self.window.older = self.window.older.and_then(|at| at.checked_sub(STEP).ok());
        }
        for index in 0..self.sources.len() {
            let is_visible = self.is_visible_source(index);
            let source = &mut self.sources[index];
            source.has_gap = !is_visible;
            source.newest = source.newest.filter(|_| !is_visible);
        }
        self.note_newest(&page.newest);
        self.markers.place_anew(&mut self.window);
        self.position = match seek {
            Seek::Start => Position::At(self.window.buffer.first_number()),
            Seek::Around(at) => match self.window.buffer.number_at(*at) {
                number if number < self.window.buffer.end_number() => Position::At(number),
                _ => Position::Follow,
            },
            Seek::End | Seek::Back | Seek::Forward | Seek::Find { .. } => Position::Follow,
        };
        if self.window.newer.is_none() {
            self.go_live();
        }
    }

    fn note_newest(&mut self, newest: &[(usize, Timestamp)]) {
        for &(source, at) in newest {
            if let Some(source) = self.sources.get_mut(source) {
                source.newest = source.newest.max(Some(at));
            }
        }
    }

    pub(super) fn keep_position(&mut self) {
        if let Position::At(number) = self.position {
            self.position = Position::At(number.max(self.window.buffer.first_number()));
        }
    }

    fn go_live(&mut self) {
        self.reads.is_live = !self.is_previous;
        self.restart_streams();
    }

    /// The streams that run are closed, those of the containers in view opened again behind the last line.
    pub(super) fn restart_streams(&mut self) {
        self.generation += 1;
        self.reads.is_stale = true;
        for source in &mut self.sources {
            if !matches!(source.state, SourceState::Failed(_)) {
                source.state = SourceState::Idle;
            }
            source.is_broken = true;
        }
    }

    pub(super) fn close_streams(&mut self) {
        self.reads.is_refilling = false;
        self.reads.is_live = false;
        self.restart_streams();
    }
}
