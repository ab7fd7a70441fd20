use jiff::Timestamp;

use super::buffer::{LogBuffer, LogEntry, Origin};
use super::history::Seek;
use super::markers::Markers;
use super::pattern::Pattern;
use super::select::Selection;
use super::shape::Shape;
use crate::base::Uid;
use crate::model::ObjectKey;
use crate::tui::data::{ContainerFacts, PodFacts};

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

/// The log of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) struct Source {
    pub(in crate::tui) name: String,
    pub(in crate::tui) state: SourceState,
    pub(in crate::tui) is_muted: bool,
    /// The container as it was last seen.
    pub(super) seen: Option<ContainerFacts>,
    /// The stream ended although the container runs: open it again.
    pub(super) is_broken: bool,
    /// The last line that was read of it, shown or hidden.
    pub(super) newest: Option<Timestamp>,
    /// Its lines are not all in the ring: they came while it was muted.
    pub(super) has_gap: bool,
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

/// The stretch of the log that is in memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    pub(super) buffer: LogBuffer,
    /// Lines up to this instant are in the files alone; `None` = there are none.
    pub(super) older: Option<Timestamp>,
    /// Lines from this instant on are in the files alone; `None` = it reaches up to the present.
    pub(super) newer: Option<Timestamp>,
}

/// What was in memory when the filter was set: it may hold lines of instances whose files are gone.
#[derive(Clone, Debug)]
pub(super) struct Unfiltered {
    window: Window,
    /// Up to where each container had been read.
    newest: Vec<Option<Timestamp>>,
}

#[derive(Clone, Debug)]
pub(in crate::tui) struct LogPane {
    pub(in crate::tui) target: Option<Target>,
    /// Tells the messages of the present streams from those of earlier ones.
    pub(in crate::tui) generation: u64,
    pub(in crate::tui) sources: Vec<Source>,
    /// One container alone, or all that are not muted.
    pub(in crate::tui) choice: Option<usize>,
    /// The container that mute and solo are about.
    pub(in crate::tui) current: usize,
    pub(in crate::tui) wrap: bool,
    pub(in crate::tui) timestamps: Timestamps,
    pub(in crate::tui) shape: Shape,
    pub(in crate::tui) position: Position,
    /// Columns scrolled to the right, when lines are not wrapped.
    pub(in crate::tui) left: usize,
    /// What is searched for; empty is nothing.
    pub(in crate::tui) search: String,
    pub(super) pattern: Option<Pattern>,
    /// Only lines with this are read.
    pub(in crate::tui) filter: Option<Pattern>,
    /// Lines the filter has hidden among those that were read.
    pub(in crate::tui) hidden: u64,
    pub(in crate::tui) selection: Option<Selection>,
    /// The line where a mouse button went down.
    pub(in crate::tui) pressed: Option<u64>,
    /// The instance before is shown instead of the newest.
    pub(in crate::tui) is_previous: bool,
    pub(in crate::tui) per_second: u64,
    /// More is written than can be followed: only the newest lines are shown.
    pub(in crate::tui) is_skipping: bool,
    pub(super) skipped_at_tick: bool,
    pub(super) received: u64,
    /// Since when this target is shown.
    pub(super) opened: Option<Timestamp>,
    pub(super) window: Window,
    pub(super) unfiltered: Option<Box<Unfiltered>>,
    pub(super) markers: Markers,
    /// No event of the pod has come since they were looked at.
    pub(in crate::tui) events_are_known: bool,
    pub(super) reads: Reads,
}

/// What is being read from the files.
#[derive(Clone, Debug, Default)]
pub(super) struct Reads {
    /// Number of the last one; answers to others are late.
    pub(super) last: u64,
    pub(super) running: Option<Seek>,
    /// To be read next, in place of what runs.
    pub(super) wanted: Option<Seek>,
    /// The end of the window that is being continued; a page for another end does not fit any more.
    pub(super) from: Option<Timestamp>,
    /// A stream has moved on; its lines come next.
    pub(super) is_refilling: bool,
    /// The last reading failed; tried again after a second.
    pub(super) has_failed: bool,
    /// The streams are open or to be opened.
    pub(super) is_live: bool,
    /// The streams that run are to be closed.
    pub(super) is_stale: bool,
    /// Lines read at the opening.
    pub(super) tail: Option<usize>,
}

impl Default for LogPane {
    fn default() -> Self {
        Self {
            target: None,
            generation: 0,
            sources: Vec::new(),
            choice: None,
            current: 0,
            wrap: true,
            timestamps: Timestamps::Short,
            shape: Shape::Raw,
            position: Position::Follow,
            left: 0,
            search: String::new(),
            pattern: None,
            filter: None,
            hidden: 0,
            selection: None,
            pressed: None,
            is_previous: false,
            per_second: 0,
            is_skipping: false,
            skipped_at_tick: false,
            received: 0,
            opened: None,
            window: Window::default(),
            unfiltered: None,
            markers: Markers::default(),
            events_are_known: false,
            reads: Reads::default(),
        }
    }
}

/// A stream to open: index and name of the container, and the line after which to go on.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::tui) struct Opening {
    pub(in crate::tui) source: usize,
    pub(in crate::tui) container: String,
    pub(in crate::tui) after: Option<Timestamp>,
    pub(in crate::tui) filter: Option<Pattern>,
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
        self.opened = Some(now);
        self.target = target;
        self.choice = None;
        self.current = 0;
        self.left = 0;
        self.filter = None;
        self.unfiltered = None;
        self.is_previous = false;
        self.markers = Markers::default();
        self.events_are_known = false;
        let containers = facts.map_or(&[][..], |facts| &facts.containers);
        let source = |container: &ContainerFacts| Source {
            name: container.name.clone(),
            state: SourceState::Idle,
            is_muted: false,
            seen: None,
            is_broken: false,
            newest: None,
            has_gap: false,
        };
        self.sources = containers.iter().map(source).collect();
        self.reads.tail = None;
        self.window = Window::default();
        self.reload();
    }

    /// Once per second.
    pub(in crate::tui) fn tick(&mut self) -> bool {
        self.reads.has_failed = false;
        let rate = std::mem::take(&mut self.received);
        let skips = std::mem::take(&mut self.skipped_at_tick);
        let is_changed = self.is_skipping != skips || self.per_second != rate;
        self.is_skipping = skips;
        self.per_second = rate;
        is_changed
    }

    pub(in crate::tui) fn is_visible_source(&self, source: usize) -> bool {
        match (self.choice, self.sources.get(source)) {
            // What is said of the pod.
            (_, None) => true,
            (Some(choice), _) => choice == source,
            (None, Some(known)) => !known.is_muted,
        }
    }

    pub(super) fn is_visible(&self, entry: &LogEntry) -> bool {
        self.is_visible_source(entry.source)
    }

    /// Chooses the next or previous container for mute and solo.
    pub(in crate::tui) fn step_container(&mut self, forward: bool) {
        let count = self.sources.len().max(1);
        let step = if forward { 1 } else { count - 1 };
        self.current = (self.current + step) % count;
    }

    pub(in crate::tui) fn toggle_mute(&mut self) {
        let before = self.visible_sources();
        if let Some(source) = self.sources.get_mut(self.current) {
            source.is_muted ^= true;
            self.choice = None;
            self.visibility_changed(&before);
        }
    }

    pub(in crate::tui) fn toggle_solo(&mut self) {
        let before = self.visible_sources();
        let current = (self.current < self.sources.len()).then_some(self.current);
        self.choice = current.filter(|_| self.choice != current);
        self.visibility_changed(&before);
    }

    /// One container alone, or all.
    pub(in crate::tui) fn choose(&mut self, choice: Option<usize>) {
        let before = self.visible_sources();
        self.choice = choice;
        if let Some(choice) = choice {
            self.current = choice;
        } else {
            for source in &mut self.sources {
                source.is_muted = false;
            }
        }
        self.visibility_changed(&before);
    }

    fn visible_sources(&self) -> Vec<bool> {
        (0..self.sources.len())
            .map(|source| self.is_visible_source(source))
            .collect()
    }

    /// Streams of hidden containers are closed. One that comes back goes on where it was, unless what is in
    /// memory has moved without it.
    fn visibility_changed(&mut self, before: &[bool]) {
        self.selection = None;
        let after = self.visible_sources();
        let is_live = self.reads.is_live;
        let misses = |((source, was_visible), is_visible): ((&Source, &bool), &bool)| {
            *is_visible && !*was_visible && (source.has_gap || !is_live)
        };
        let mut changes = self.sources.iter().zip(before).zip(&after);
        if changes.any(misses) {
            self.reload_here();
        } else {
            self.restart_streams();
        }
    }

    /// The window moves: what hidden containers say is not in it.
    pub(super) fn note_gaps(&mut self) {
        let visible = self.visible_sources();
        for (source, is_visible) in self.sources.iter_mut().zip(visible) {
            source.has_gap |= !is_visible;
        }
    }

    /// Shows the instance before, or the newest again.
    pub(in crate::tui) fn toggle_previous(&mut self) {
        self.is_previous ^= true;
        self.unfiltered = None;
        self.reload();
    }

    /// Reads only lines with this from now on. Where the view is stays in view.
    pub(in crate::tui) fn set_filter(&mut self, filter: Option<Pattern>) {
        if filter == self.filter {
            return;
        }
        self.hidden = 0;
        self.selection = None;
        let here = self.time_in_view();
        let saved = self.unfiltered.take().map_or_else(
            || Unfiltered {
                window: std::mem::take(&mut self.window),
                newest: self.sources.iter().map(|source| source.newest).collect(),
            },
            |saved| *saved,
        );
        self.filter = filter;
        for (source, newest) in self.sources.iter_mut().zip(&saved.newest) {
            source.newest = *newest;
        }
        if self.filter.is_some() {
            self.window = saved.window.clone();
            self.unfiltered = Some(Box::new(saved));
        } else {
            self.window = saved.window;
        }
        let filter = self.filter.as_ref();
        let buffer = &mut self.window.buffer;
        buffer.retain(|entry| entry.origin == Origin::Output);
        let all = buffer.len();
        buffer.retain(|entry| entry.passes(filter));
        self.hidden = (all - buffer.len()) as u64;
        self.markers.place_anew(&mut self.window);
        match here {
            Some(at) if !self.window.holds(at) => self.reload_around(at),
            Some(at) => {
                let number = self.window.buffer.number_at(at);
                self.position = Position::At(number);
                self.resume();
            }
            None if self.window.newer.is_some() || self.is_previous => self.reload(),
            None => {
                self.position = Position::Follow;
                self.resume();
            }
        }
    }

    /// After the window was replaced: its streams go on if it reaches up to the present.
    fn resume(&mut self) {
        self.reads.last += 1;
        self.reads.running = None;
        self.reads.is_live = self.window.newer.is_none() && !self.is_previous;
        self.restart_streams();
    }

    pub(in crate::tui) fn set_search(&mut self, text: &str) {
        text.clone_into(&mut self.search);
        self.pattern = Pattern::search(text);
    }

    /// The instant of the first line in view; `None` while following.
    pub(super) fn time_in_view(&self) -> Option<Timestamp> {
        match self.position {
            Position::Follow => None,
            Position::At(number) => self.lines_from(number).find_map(|(_, entry)| entry.at),
        }
    }

    pub(in crate::tui) fn is_live(&self) -> bool {
        self.reads.is_live
    }

    /// What is being read, in words.
    pub(in crate::tui) fn reading(&self) -> Option<&'static str> {
        match self.reads.running.as_ref()? {
            Seek::Find { .. } => Some("searching"),
            Seek::End | Seek::Start | Seek::Back | Seek::Forward | Seek::Around(_) => {
                Some("reading")
            }
        }
    }
}

impl Window {
    pub(super) fn holds(&self, at: Timestamp) -> bool {
        self.older.is_none_or(|older| at > older) && self.newer.is_none_or(|newer| at < newer)
    }
}
