use jiff::{SignedDuration, Timestamp};

use super::buffer::{LogBuffer, LogEntry, Origin};
use super::row_starts;
use crate::base::Uid;
use crate::model::ObjectKey;
use crate::tui::data::{ContainerFacts, PodFacts};
use crate::tui::sanitize::output_line;

/// Width of a container's name in merged logs.
const MAX_NAME: usize = 14;

/// The pod whose logs are shown. Another pod of the same name is another target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) struct Target {
    pub(in crate::tui) key: ObjectKey,
    pub(in crate::tui) uid: Uid,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) enum SourceState {
    /// The container has not started yet.
    Idle,
    Open,
    /// The stream ended; it is opened again when the container changes.
    Ended,
    Failed(String),
}

/// The stream of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) struct Source {
    pub(in crate::tui) name: String,
    pub(in crate::tui) state: SourceState,
    /// The container as it was last seen.
    seen: Option<ContainerFacts>,
    /// The stream ended although the container runs: open it again.
    is_broken: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Timestamps {
    Off,
    Short,
    Full,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Position {
    /// The newest line is the last in view.
    Follow,
    /// This line is the first in view.
    At(u64),
}

#[derive(Clone, Debug)]
pub(in crate::tui) struct LogPane {
    pub(in crate::tui) target: Option<Target>,
    /// Tells the messages of the present streams from those of earlier ones.
    pub(in crate::tui) generation: u64,
    pub(in crate::tui) sources: Vec<Source>,
    /// One container, or all merged.
    pub(in crate::tui) choice: Option<usize>,
    pub(in crate::tui) wrap: bool,
    pub(in crate::tui) timestamps: Timestamps,
    pub(in crate::tui) position: Position,
    /// Columns scrolled to the right, when lines are not wrapped.
    pub(in crate::tui) left: usize,
    /// What is searched for; empty is nothing.
    pub(in crate::tui) search: String,
    pub(in crate::tui) per_second: u64,
    received: u64,
    /// Since when this target is shown.
    opened: Option<Timestamp>,
    buffer: LogBuffer,
}

impl Default for LogPane {
    fn default() -> Self {
        Self {
            target: None,
            generation: 0,
            sources: Vec::new(),
            choice: None,
            wrap: true,
            timestamps: Timestamps::Short,
            position: Position::Follow,
            left: 0,
            search: String::new(),
            per_second: 0,
            received: 0,
            opened: None,
            buffer: LogBuffer::default(),
        }
    }
}

/// A stream to open: index and name of the container, and the line after which to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) struct Opening {
    pub(in crate::tui) source: usize,
    pub(in crate::tui) container: String,
    pub(in crate::tui) after: Option<Timestamp>,
    /// The last stream broke; leave it some time.
    pub(in crate::tui) is_retry: bool,
}

impl LogPane {
    /// Starts over with another pod, or with none. Display choices stay.
    pub(in crate::tui) fn retarget(
        &mut self,
        target: Option<Target>,
        facts: Option<&PodFacts>,
        now: Timestamp,
    ) {
        self.generation += 1;
        self.opened = Some(now);
        self.target = target;
        self.choice = None;
        self.position = Position::Follow;
        self.left = 0;
        self.per_second = 0;
        self.received = 0;
        self.buffer.clear();
        let containers = facts.map_or(&[][..], |facts| &facts.containers);
        let source = |container: &ContainerFacts| Source {
            name: container.name.clone(),
            state: SourceState::Idle,
            seen: None,
            is_broken: false,
        };
        self.sources = containers.iter().map(source).collect();
    }

    /// Compares the streams with the pod as it is now: marks what happened and says which streams to open.
    pub(in crate::tui) fn observe(&mut self, facts: &PodFacts) -> Vec<Opening> {
        let mut openings = Vec::new();
        let mut markers = Vec::new();
        for (index, source) in self.sources.iter_mut().enumerate() {
            let Some(now) = facts
                .containers
                .iter()
                .find(|known| known.name == source.name)
            else {
                continue;
            };
            let is_new = source.seen.as_ref() != Some(now);
            let can_open = source.state != SourceState::Open && now.has_output();
            if is_new {
                markers.extend(markers_between(index, source.seen.as_ref(), now));
                source.seen = Some(now.clone());
            }
            if can_open && (is_new || source.is_broken) {
                source.state = SourceState::Open;
                openings.push(Opening {
                    source: index,
                    container: now.name.clone(),
                    after: self.buffer.newest_of(index),
                    is_retry: std::mem::take(&mut source.is_broken),
                });
            }
        }
        if !markers.is_empty() {
            self.buffer.extend(markers);
        }
        openings
    }

    pub(in crate::tui) fn add(&mut self, batch: Vec<LogEntry>) {
        // What was written before the pane opened says nothing about how much is written now.
        let is_new = |entry: &&LogEntry| entry.at.is_none_or(|at| Some(at) >= self.opened);
        self.received += batch.iter().filter(is_new).count() as u64;
        self.buffer.extend(batch);
        if let Position::At(number) = self.position {
            self.position = Position::At(number.max(self.buffer.first_number()));
        }
    }

    /// The stream of a container is at its end. The next [`observe`](Self::observe) opens it again if the
    /// container runs.
    pub(in crate::tui) fn ended(&mut self, source: usize, problem: Option<String>) {
        if let Some(source) = self.sources.get_mut(source) {
            source.state = problem.map_or(SourceState::Ended, SourceState::Failed);
            source.is_broken = source.seen.as_ref().is_some_and(|seen| seen.is_running);
        }
    }

    /// Once per second.
    pub(in crate::tui) fn tick(&mut self) -> bool {
        let rate = std::mem::take(&mut self.received);
        std::mem::replace(&mut self.per_second, rate) != rate
    }

    pub(in crate::tui) fn dropped(&self) -> u64 {
        self.buffer.dropped()
    }

    pub(in crate::tui) fn is_merged(&self) -> bool {
        self.choice.is_none() && self.sources.len() > 1
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

    fn is_visible(&self, entry: &LogEntry) -> bool {
        self.choice.is_none_or(|choice| choice == entry.source)
    }

    /// Visible lines from `from` on, with their numbers.
    pub(in crate::tui) fn lines_from(&self, from: u64) -> impl Iterator<Item = (u64, &LogEntry)> {
        (from..self.buffer.end_number())
            .filter_map(|number| Some((number, self.buffer.get(number)?)))
            .filter(|(_, entry)| self.is_visible(entry))
    }

    fn lines_before(&self, before: u64) -> impl Iterator<Item = (u64, &LogEntry)> {
        (self.buffer.first_number()..before.min(self.buffer.end_number()))
            .rev()
            .filter_map(|number| Some((number, self.buffer.get(number)?)))
            .filter(|(_, entry)| self.is_visible(entry))
    }

    fn rows_of(&self, entry: &LogEntry, width: usize) -> usize {
        if !self.wrap {
            return 1;
        }
        row_starts(&entry.line.text, width - self.prefix_width(width)).len()
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
        let mut first = self.buffer.end_number();
        for (number, entry) in self.lines_before(self.buffer.end_number()) {
            if rows >= height {
                break;
            }
            rows += self.rows_of(entry, width);
            first = number;
        }
        (first, rows.saturating_sub(height))
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
                self.lines_from(self.buffer.first_number())
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
        let fits = end_first == self.buffer.first_number() && end_skip == 0;
        self.position = if (lines > 0 && is_past_end) || fits {
            Position::Follow
        } else {
            Position::At(target)
        };
    }

    pub(in crate::tui) fn scroll_to_top(&mut self, width: usize, height: usize) {
        self.position = Position::At(self.buffer.first_number());
        self.scroll(-1, width, height);
    }

    pub(in crate::tui) fn toggle_follow(&mut self, width: usize, height: usize) {
        self.position = match self.position {
            Position::Follow => Position::At(self.window(width, height).0),
            Position::At(_) => Position::Follow,
        };
    }

    /// Where the search text is in a line. Lower-case text finds any case.
    pub(in crate::tui) fn matches(&self, text: &str) -> Vec<std::ops::Range<usize>> {
        if self.search.is_empty() {
            return Vec::new();
        }
        let any_case = !self.search.contains(char::is_uppercase);
        // ASCII folding keeps byte offsets; other letters must match as they are.
        let (text, search) = if any_case {
            (text.to_ascii_lowercase(), self.search.to_ascii_lowercase())
        } else {
            (text.to_owned(), self.search.clone())
        };
        text.match_indices(&search)
            .map(|(start, found)| start..start + found.len())
            .collect()
    }

    /// Moves the view to the next line (or the one before) with the search text; false when there is none.
    pub(in crate::tui) fn find(&mut self, forward: bool, width: usize, height: usize) -> bool {
        let (first, _) = self.window(width, height);
        let is_match = |(_, entry): &(u64, &LogEntry)| !self.matches(&entry.line.text).is_empty();
        let found = if forward && self.position != Position::Follow {
            self.lines_from(first + 1).find(is_match)
        } else {
            let before = match self.position {
                Position::Follow => self.buffer.end_number(),
                Position::At(first) => first,
            };
            self.lines_before(before).find(is_match)
        };
        let found = found.map(|(number, _)| number);
        if let Some(number) = found {
            self.position = Position::At(number);
        }
        found.is_some()
    }
}

/// Where the end of a container stands among its lines. Times of a status have whole seconds, so the last
/// lines before the end are later than it says; the next start, if there was one, bounds them.
fn end_of_output(at: Timestamp, next_start: Option<Timestamp>) -> Timestamp {
    if at.subsec_nanosecond() != 0 {
        return at;
    }
    let last = at
        .checked_add(SignedDuration::from_millis(999))
        .unwrap_or(at);
    next_start
        .filter(|&start| start >= at)
        .map_or(last, |start| last.min(start))
}

fn markers_between(
    source: usize,
    before: Option<&ContainerFacts>,
    now: &ContainerFacts,
) -> Vec<LogEntry> {
    let marker = |at: Timestamp, text: String| LogEntry {
        at: Some(at),
        source,
        origin: Origin::Marker,
        line: output_line(text.as_bytes()),
    };
    let mut markers = Vec::new();
    let name = &now.name;
    if let Some(end) = now
        .ended
        .as_ref()
        .filter(|end| before.and_then(|before| before.ended.as_ref()) != Some(end))
    {
        let text = if end.reason == "OOMKilled" {
            let limit = now.memory_limit.and_then(|limit| u64::try_from(limit).ok());
            let limit = limit.map_or_else(String::new, |limit| {
                format!(", limit {}", crate::tui::columns::bytes(limit))
            });
            format!(
                "!OOM   {name} killed: out of memory{limit}, exit {}",
                end.exit_code
            )
        } else {
            format!("!EXIT  {name} {} exit {}", end.reason, end.exit_code)
        };
        markers.push(marker(end_of_output(end.at, now.started_at), text));
    }
    if let Some(at) = now
        .started_at
        .filter(|at| before.and_then(|before| before.started_at) != Some(*at))
    {
        let text = match now.restarts {
            0 => format!("!START {name}"),
            count => format!("!START {name} restart {count}"),
        };
        markers.push(marker(at, text));
    }
    markers
}
