use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use super::buffer::{LogEntry, Origin};
use super::pane::{Position, Window};
use crate::tui::data::{ContainerFacts, PodFacts};
use crate::tui::sanitize::output_line;

/// Markers kept for scrolling back; the oldest go.
const MAX_MARKERS: usize = 500;
/// The source of what is said of the whole pod.
const POD: usize = usize::MAX;

/// What happened to the pod while its log was shown (and the last end and start before), as lines between the
/// lines of its containers.
#[derive(Clone, Debug, Default)]
pub(super) struct Markers {
    all: VecDeque<Marker>,
    spec: Option<(i64, Vec<(String, String)>)>,
}

#[derive(Clone, Debug)]
struct Marker {
    entry: LogEntry,
    is_placed: bool,
}

impl Markers {
    /// Notes what happened to a container; false when nothing did.
    pub(super) fn observe(
        &mut self,
        source: usize,
        before: Option<&ContainerFacts>,
        now: &ContainerFacts,
    ) -> bool {
        let entries = markers_between(source, before, now);
        let is_marked = !entries.is_empty();
        entries.into_iter().for_each(|entry| self.push(entry));
        is_marked
    }

    /// Notes a change of the spec since the last look.
    pub(super) fn observe_spec(&mut self, facts: &PodFacts, now: Timestamp) -> bool {
        let Some(generation) = facts.generation else {
            return false;
        };
        if self
            .spec
            .as_ref()
            .is_some_and(|(seen, _)| *seen == generation)
        {
            return false;
        }
        let image = |container: &ContainerFacts| (container.name.clone(), container.image.clone());
        let images: Vec<(String, String)> = facts.containers.iter().map(image).collect();
        let Some((seen, before)) = self.spec.replace((generation, images.clone())) else {
            return false;
        };
        let changed = images.iter().zip(&before).filter(|(now, old)| now != old);
        let mut words: Vec<String> = changed
            .map(|((name, now), (_, old))| format!("image of {name}: {old} -> {now}"))
            .collect();
        if words.is_empty() {
            // A deletion counts as a change of the spec; nothing else of a pod that goes is worth a line.
            if facts.is_deleting {
                return false;
            }
            words.push("the spec was changed".to_owned());
        }
        let text = format!(
            "!SPEC  {} (generation {seen} -> {generation})",
            words.join(", ")
        );
        self.push(marker(POD, now, &text));
        true
    }

    /// Notes what the events of the pod tell of changes of its spec; false when it is known.
    pub(super) fn observe_event(&mut self, at: Timestamp, text: &str) -> bool {
        let entry = marker(POD, end_of_output(at, None), &format!("!SPEC  {text}"));
        let is_new = !self.all.iter().any(|known| known.entry == entry);
        if is_new {
            self.push(entry);
        }
        is_new
    }

    fn push(&mut self, entry: LogEntry) {
        self.all.push_back(Marker {
            entry,
            is_placed: false,
        });
        if self.all.len() > MAX_MARKERS {
            self.all.pop_front();
        }
    }

    /// Puts those into the window that belong into it and are not there. The first line in view stays.
    pub(super) fn place(&mut self, window: &mut Window, position: Position) {
        self.forget_outside(window);
        let kept = match position {
            Position::Follow => 0,
            Position::At(number) => number,
        };
        for marker in &mut self.all {
            let is_inside = marker.entry.at.is_some_and(|at| window.holds(at));
            if is_inside && !marker.is_placed {
                window.buffer.insert(marker.entry.clone(), kept);
                marker.is_placed = true;
            }
        }
    }

    /// The same for a window that has none yet.
    pub(super) fn place_anew(&mut self, window: &mut Window) {
        for marker in &mut self.all {
            marker.is_placed = false;
        }
        self.place(window, Position::Follow);
    }

    /// Those the window has left behind.
    pub(super) fn forget_outside(&mut self, window: &Window) {
        for marker in &mut self.all {
            marker.is_placed &= marker.entry.at.is_some_and(|at| window.holds(at));
        }
    }
}

fn marker(source: usize, at: Timestamp, text: &str) -> LogEntry {
    LogEntry {
        at: Some(at),
        source,
        origin: Origin::Marker,
        line: output_line(text.as_bytes()),
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
        markers.push(marker(source, end_of_output(end.at, now.started_at), &text));
    }
    if let Some(at) = now
        .started_at
        .filter(|at| before.and_then(|before| before.started_at) != Some(*at))
    {
        let text = match now.restarts {
            0 => format!("!START {name}"),
            count => format!("!START {name} restart {count}"),
        };
        markers.push(marker(source, at, &text));
    }
    markers
}
