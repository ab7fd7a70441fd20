use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use super::buffer::{LogEntry, Origin};
use super::pane::{Position, Window};
use crate::base::Incident;
use crate::tui::data::{ContainerFacts, PodFacts, memory_words, victim_words};
use crate::tui::sanitize::output_line;

/// Markers kept for scrolling back; the oldest go.
const MAX_MARKERS: usize = 500;
/// How the marker of a kill for lack of memory begins.
const KILL: &str = "!OOM";
const START: &str = "!START";
/// The source of what is said of the whole pod.
const POD: usize = usize::MAX;

/// What happened to the pod while its log was shown (and the last end and start before), as lines between the
/// lines of its containers.
#[derive(Clone, Debug, Default)]
pub(super) struct Markers {
    all: VecDeque<Marker>,
    spec: Option<(i64, Seen)>,
}

/// What of a spec is told of when it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    /// Name, image and memory limit of each container.
    containers: Vec<(String, String, Option<i64>)>,
    /// Of all containers together, millicores.
    cpu: [Option<i64>; 2],
    /// Request of memory, bytes.
    memory_request: Option<i64>,
}

impl Seen {
    fn of(facts: &PodFacts) -> Self {
        let container = |container: &ContainerFacts| {
            let (name, image) = (container.name.clone(), container.image.clone());
            (name, image, container.memory_limit)
        };
        Self {
            containers: facts.containers.iter().map(container).collect(),
            cpu: [facts.cpu_limit, facts.cpu_request],
            memory_request: facts.memory_request,
        }
    }

    /// Each change in words; none for what is not looked at here.
    fn changes_since(&self, before: &Self) -> Vec<String> {
        let mut words = Vec::new();
        let positive = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
        let told = |value: Option<i64>, format: fn(u64) -> String| {
            positive(value).map_or_else(|| "none".to_owned(), format)
        };
        let bytes: fn(u64) -> String = crate::tui::columns::bytes;
        let millicores: fn(u64) -> String = crate::tui::columns::millicores;
        for (now, old) in self.containers.iter().zip(&before.containers) {
            if now.1 != old.1 {
                words.push(format!("image of {}: {} -> {}", now.0, old.1, now.1));
            }
            if now.2 != old.2 {
                let (old, limit) = (told(old.2, bytes), told(now.2, bytes));
                words.push(format!("memory limit of {}: {old} -> {limit}", now.0));
            }
        }
        let amounts = [
            ("cpu limit", self.cpu[0], before.cpu[0], millicores),
            ("cpu request", self.cpu[1], before.cpu[1], millicores),
            (
                "memory request",
                self.memory_request,
                before.memory_request,
                bytes,
            ),
        ];
        for (what, now, old, format) in amounts {
            if now != old {
                words.push(format!(
                    "{what}: {} -> {}",
                    told(old, format),
                    told(now, format)
                ));
            }
        }
        words
    }
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
        let mut entries = markers_between(source, before, now);
        // The story may have told of a kill, in more words, before the status does.
        entries.retain(|entry| !(is_kill(entry) && self.kill_at(source, entry.at, None).is_some()));
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
        let is = Seen::of(facts);
        let Some((seen, before)) = self.spec.replace((generation, is.clone())) else {
            return false;
        };
        let mut words = is.changes_since(&before);
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

    /// Notes what is known of a kill for lack of memory: more than the status of its container tells, in the place of
    /// what that has told. `Some` when a line changed, with what it was before if it stood there already.
    pub(super) fn observe_kill(
        &mut self,
        source: usize,
        incident: &Incident,
    ) -> Option<(Option<LogEntry>, LogEntry)> {
        let at = self.before_next_start(source, incident.at);
        let entry = marker(source, at, &kill_text(incident));
        let run = format!("(#{})", incident.attempt + 1);
        let Some(known) = self.kill_at(source, Some(incident.at), Some(&run)) else {
            self.push(entry.clone());
            return Some((None, entry));
        };
        // It stays where the end of the container has put it.
        let entry = LogEntry {
            at: known.entry.at,
            ..entry
        };
        if known.entry == entry {
            return None;
        }
        let before = std::mem::replace(&mut known.entry, entry.clone());
        Some((Some(before), entry))
    }

    /// The kill of a container that is told of already: a status knows whole seconds only, and nothing of runs.
    fn kill_at(
        &mut self,
        source: usize,
        at: Option<Timestamp>,
        run: Option<&str>,
    ) -> Option<&mut Marker> {
        let second = at.map(second_of);
        self.all.iter_mut().find(|known| {
            let text = &known.entry.line.text;
            let is_same_run = run.is_none_or(|run| !text.contains("(#") || text.ends_with(run));
            known.entry.source == source
                && known.entry.at.map(second_of) == second
                && is_kill(&known.entry)
                && is_same_run
        })
    }

    /// Starts have whole seconds, so the one after an end may seem to be before it.
    fn before_next_start(&self, source: usize, end: Timestamp) -> Timestamp {
        let mut starts = self.all.iter().filter_map(|known| {
            let text = &known.entry.line.text;
            let is_start = known.entry.source == source && text.starts_with(START);
            known.entry.at.filter(|_| is_start)
        });
        let start = starts.find(|at| at.as_second() == end.as_second() && *at <= end);
        let before = start.and_then(|at| at.checked_sub(SignedDuration::from_nanos(1)).ok());
        before.unwrap_or_else(|| end_of_output(end, None))
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

/// An end is put in front of a start of the same second by one nanosecond.
fn second_of(at: Timestamp) -> i64 {
    at.checked_add(SignedDuration::from_nanos(1))
        .unwrap_or(at)
        .as_second()
}

fn is_kill(entry: &LogEntry) -> bool {
    entry.line.text.starts_with(KILL)
}

/// `!OOM   main: memory peak 511.9Mi of 512Mi, killed: main process, pid 4711, exit 137 (#7)`.
fn kill_text(incident: &Incident) -> String {
    let (memory, victim) = (memory_words(incident), victim_words(incident));
    let name = &incident.container;
    let run = incident.attempt + 1;
    match incident.exit_code {
        Some(code) => format!("{KILL}   {name}: {memory}, {victim}, exit {code} (#{run})"),
        None => format!("{KILL}   {name}: {memory}, {victim}; it runs on (#{run})"),
    }
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
                "{KILL}   {name} killed: out of memory{limit}, exit {}",
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
            0 => format!("{START} {name}"),
            count => format!("{START} {name} restart {count}"),
        };
        markers.push(marker(source, at, &text));
    }
    markers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::data::End;
    use crate::tui::testing::{incident, now};

    #[test]
    fn a_kill_is_marked_once_whoever_tells_of_it_first() {
        let end = now() + SignedDuration::from_millis(200);
        let facts = |is_over: bool| ContainerFacts {
            name: "main".to_owned(),
            image: "i".to_owned(),
            restarts: i32::from(is_over),
            started_at: Some(now()),
            is_running: true,
            ended: is_over.then(|| End {
                at: now(),
                exit_code: 137,
                reason: "OOMKilled".to_owned(),
            }),
            memory_limit: Some(16 << 20),
        };
        let mut killed = incident("main", 0, 137);
        (killed.at, killed.oom_kills) = (end, 1);
        for story_is_first in [true, false] {
            let mut markers = Markers::default();
            markers.observe(0, None, &facts(false));
            if story_is_first {
                markers.observe_kill(0, &killed);
            }
            markers.observe(0, Some(&facts(false)), &facts(true));
            markers.observe_kill(0, &killed);
            let kills: Vec<_> = markers.all.iter().map(|one| &one.entry).collect();
            let kills: Vec<_> = kills.into_iter().filter(|entry| is_kill(entry)).collect();
            assert_eq!(kills.len(), 1, "{story_is_first}: {kills:?}");
            assert!(kills[0].line.text.contains("(#1)"), "{kills:?}");
            // The start behind it has the same second.
            assert!(kills[0].at <= Some(now()), "{kills:?}");
        }
    }
}
