use jiff::{SignedDuration, Timestamp};

use super::buffer::LogEntry;
use super::pane::{LogPane, Opening, Position, SourceState};
use crate::base::Incident;
use crate::tui::data::PodFacts;

/// Lines of two containers arrive this much out of order at most, usually.
const STREAM_DELAY: SignedDuration = SignedDuration::from_millis(50);

impl LogPane {
    /// Compares the streams with the pod as it is now: marks what happened and says which streams to open.
    pub(in crate::tui) fn observe(&mut self, facts: &PodFacts, now: Timestamp) -> Vec<Opening> {
        let mut openings = Vec::new();
        let mut is_marked = self.markers.observe_spec(facts, now);
        for index in 0..self.sources.len() {
            let is_visible = self.is_visible_source(index);
            let source = &mut self.sources[index];
            let Some(now) = facts
                .containers
                .iter()
                .find(|known| known.name == source.name)
            else {
                continue;
            };
            let is_new = source.seen.as_ref() != Some(now);
            if is_new {
                is_marked |= self.markers.observe(index, source.seen.as_ref(), now);
                source.seen = Some(now.clone());
            }
            let can_open = self.reads.is_live
                && is_visible
                && source.state != SourceState::Open
                && now.has_output();
            if can_open && (is_new || source.is_broken) {
                let is_retry = matches!(source.state, SourceState::Failed(_) | SourceState::Ended)
                    && std::mem::take(&mut source.is_broken);
                source.is_broken = false;
                source.state = SourceState::Open;
                openings.push(Opening {
                    source: index,
                    container: now.name.clone(),
                    after: source.newest,
                    filter: self.filter.clone(),
                    is_retry,
                });
            }
        }
        if is_marked {
            self.markers.place(&mut self.window, self.position);
        }
        openings
    }

    /// What the events of the pod say: their times and texts.
    pub(in crate::tui) fn observe_events<'a>(
        &mut self,
        events: impl Iterator<Item = (Timestamp, &'a str)>,
    ) {
        self.events_are_known = true;
        let mut is_marked = false;
        for (at, text) in events {
            is_marked |= self.markers.observe_event(at, text);
        }
        if is_marked {
            self.markers.place(&mut self.window, self.position);
        }
    }

    /// What the story of the pod says of kills for lack of memory: peak, limit and victim.
    pub(in crate::tui) fn observe_incidents(&mut self, incidents: &[Incident]) {
        let mut is_marked = false;
        for incident in incidents.iter().filter(|one| one.oom_kills > 0) {
            let place = self
                .sources
                .iter()
                .position(|one| one.name == incident.container);
            let told = place.and_then(|source| self.markers.observe_kill(source, incident));
            let Some((before, now)) = told else { continue };
            match before {
                Some(before) => self.window.buffer.replace(&before, now),
                None => is_marked = true,
            }
        }
        if is_marked {
            self.markers.place(&mut self.window, self.position);
        }
    }

    /// Whether the streams of earlier generations are to be closed now.
    pub(in crate::tui) fn take_stale(&mut self) -> bool {
        std::mem::take(&mut self.reads.is_stale)
    }

    pub(in crate::tui) fn add(&mut self, batch: Vec<LogEntry>) {
        // What was written before the pane opened says nothing about how much is written now.
        let is_new = |entry: &&LogEntry| entry.at.is_none_or(|at| Some(at) >= self.opened);
        self.received += batch.iter().filter(is_new).count() as u64;
        self.reads.is_refilling = false;
        self.note_lines(&batch);
        let mut batch = batch;
        if let Some(older) = self.window.older {
            // Late lines of a slow stream: their time is not in memory any more, they are read back with it.
            batch.retain(|entry| entry.at.is_none_or(|at| at > older));
        }
        if let Position::At(first) = self.position
            && self.window.buffer.would_lose(first, batch.len())
        {
            return self.leave_to_the_files(&batch);
        }
        self.window.buffer.append(batch);
        if let Some(removed) = self.window.buffer.trim_front() {
            self.window.older = Some(removed);
            self.markers.forget_outside(&self.window);
        }
        self.keep_position();
    }

    /// Somebody reads old lines while so many come that these would be pushed out: the ring stays where it is.
    fn leave_to_the_files(&mut self, batch: &[LogEntry]) {
        let last = self.window.buffer.entries().rev();
        let last = last.filter_map(|entry| entry.at).next();
        let first = batch.iter().filter_map(|entry| entry.at).min();
        // A stream may be a little behind the others: their last lines are read again with its.
        let overlap = last.and_then(|at| at.checked_sub(STREAM_DELAY).ok());
        let newer = overlap.filter(|at| Some(*at) > self.time_in_view());
        let newer = newer.or_else(|| last?.checked_add(SignedDuration::from_nanos(1)).ok());
        let newer = newer.or(first);
        if let Some(newer) = newer {
            self.window.buffer.cut_back(newer);
        }
        self.window.newer = newer;
        self.note_gaps();
        self.markers.place(&mut self.window, self.position);
        self.close_streams();
    }

    fn note_lines(&mut self, batch: &[LogEntry]) {
        for entry in batch {
            if let Some(source) = self.sources.get_mut(entry.source) {
                source.newest = source.newest.max(entry.at);
            }
        }
    }

    /// Lines of a stream that the filter has hidden, and the last of them.
    pub(in crate::tui) fn add_hidden(
        &mut self,
        source: usize,
        lines: u64,
        newest: Option<Timestamp>,
    ) {
        self.hidden += lines;
        if newest.is_none_or(|at| Some(at) >= self.opened) {
            self.received += lines;
        }
        if let Some(source) = self.sources.get_mut(source) {
            source.newest = source.newest.max(newest);
        }
    }

    /// A stream that could not keep up goes on here: everything before is in the files.
    pub(in crate::tui) fn skipped(&mut self, from: Timestamp) {
        self.is_skipping = true;
        self.skipped_at_tick = true;
        if self.position != Position::Follow {
            // Nobody follows: what is in view stays, the rest is read when it is wanted.
            let last = self
                .window
                .buffer
                .entries()
                .rev()
                .find_map(|entry| entry.at);
            let behind = last.and_then(|at| at.checked_add(SignedDuration::from_nanos(1)).ok());
            self.window.newer = behind.or(Some(from));
            self.note_gaps();
            return self.close_streams();
        }
        let Ok(until) = from.checked_sub(SignedDuration::from_nanos(1)) else {
            return;
        };
        self.reads.is_refilling = true;
        self.window.buffer.cut_front(until);
        self.window.older = Some(until);
        self.markers.forget_outside(&self.window);
    }

    /// The stream of a container is at its end. The next [`observe`](Self::observe) opens it again if the
    /// container runs.
    pub(in crate::tui) fn ended(&mut self, source: usize, problem: Option<String>) {
        if let Some(source) = self.sources.get_mut(source) {
            source.state = problem.map_or(SourceState::Ended, SourceState::Failed);
            source.is_broken = source.seen.as_ref().is_some_and(|seen| seen.is_running);
        }
    }
}
