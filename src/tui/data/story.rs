use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Event;

use super::Row;
use crate::base::{Incident, IncidentKind};
use crate::printer::{event_count, event_time};
use crate::tui::logs::Target;
use crate::tui::sanitize::plain;

/// An end so soon after a kill was brought by it. Times of ends may be cut to whole seconds.
const ENDS_WITHIN: SignedDuration = SignedDuration::from_secs(2);

/// One line of the story: what happened, to which container, and what is known about the cause. Safe to draw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) struct Chapter {
    pub(in crate::tui) at: Timestamp,
    pub(in crate::tui) container: String,
    pub(in crate::tui) what: String,
    pub(in crate::tui) details: String,
    pub(in crate::tui) is_bad: bool,
}

/// What happened to the containers of one pod.
#[derive(Clone, Debug, Default)]
pub(in crate::tui) struct Story {
    target: Option<Target>,
    /// Oldest first.
    incidents: Vec<Incident>,
    /// Why it cannot be read, safe to draw.
    pub(in crate::tui) problem: Option<String>,
}

impl Story {
    pub(in crate::tui) fn retarget(&mut self, target: Option<&Target>) {
        if self.target.as_ref() != target {
            *self = Self {
                target: target.cloned(),
                ..Self::default()
            };
        }
    }

    /// False when it is about another pod.
    pub(in crate::tui) fn update(
        &mut self,
        target: &Target,
        told: Result<Vec<Incident>, String>,
    ) -> bool {
        if self.target.as_ref() != Some(target) {
            return false;
        }
        match told {
            Ok(incidents) => {
                self.incidents = incidents;
                self.problem = None;
            }
            Err(problem) => self.problem = Some(plain(&problem)),
        }
        true
    }

    /// What is known of this pod, oldest first.
    pub(in crate::tui) fn incidents_of(&self, target: &Target) -> &[Incident] {
        let is_it = self.target.as_ref() == Some(target);
        if is_it { &self.incidents } else { &[] }
    }

    /// The story with the failed probes that its events tell, newest first.
    pub(in crate::tui) fn chapters<'a>(
        &self,
        events: impl Iterator<Item = &'a Row>,
    ) -> Vec<Chapter> {
        let probes = events.filter_map(probe_failure);
        let told = self
            .incidents
            .iter()
            .filter(|one| !self.is_told_by_end(one));
        let mut chapters: Vec<Chapter> = told.map(chapter).chain(probes).collect();
        chapters.sort_by_key(|chapter| std::cmp::Reverse(chapter.at));
        chapters
    }

    /// A kill that ended the container: the end, which comes with it, tells of the same kills.
    fn is_told_by_end(&self, kill: &Incident) -> bool {
        let ends_by_it = |end: &Incident| {
            end.kind == IncidentKind::Ended
                && (&end.container, end.attempt) == (&kill.container, kill.attempt)
                && end.oom_kills == kill.oom_kills
                && end.at.duration_since(kill.at).abs() <= ENDS_WITHIN
        };
        kill.kind == IncidentKind::OutOfMemory && self.incidents.iter().any(ends_by_it)
    }
}

fn chapter(incident: &Incident) -> Chapter {
    let mut details: Vec<String> = Vec::new();
    let what = match incident.kind {
        IncidentKind::OutOfMemory => "OOM kill, runs on".to_owned(),
        IncidentKind::Ended => ended(incident),
    };
    if let Some(lived) = incident
        .started_at
        .filter(|_| incident.kind == IncidentKind::Ended)
    {
        let lived = incident.at.duration_since(lived);
        // A clock that was set meanwhile makes no time to tell.
        if !lived.is_negative() {
            details.push(format!("ran {}", crate::printer::human_duration(lived)));
        }
    }
    details.extend(incident.cause.as_deref().map(plain));
    if incident.oom_kills > 0 {
        details.push(memory_words(incident));
        details.push(victim_words(incident));
    }
    let message = incident.message.as_deref().map(plain).unwrap_or_default();
    if !message.is_empty() {
        details.push(message);
    }
    if incident.oom_kills == 0 && incident.memory_peak > 0 {
        details.push(memory_words(incident));
    }
    Chapter {
        at: incident.at,
        container: plain(&incident.container),
        what,
        details: details.join(", "),
        is_bad: incident.exit_code != Some(0),
    }
}

fn ended(incident: &Incident) -> String {
    let reason = plain(&incident.reason);
    let run = incident.attempt + 1;
    match incident.exit_code {
        Some(code) => format!("#{run} {reason}, exit {code}"),
        None => format!("#{run} {reason}"),
    }
}

/// With one decimal: a peak just below its limit must not look like much less.
fn bytes(bytes: u64) -> String {
    let (unit, suffix) = match bytes {
        0..1_048_576 => (1 << 10, "Ki"),
        1_048_576..1_073_741_824 => (1 << 20, "Mi"),
        _ => (1 << 30, "Gi"),
    };
    match (bytes / unit, bytes % unit * 10 / unit) {
        (whole, 0) => format!("{whole}{suffix}"),
        (whole, tenth) => format!("{whole}.{tenth}{suffix}"),
    }
}

/// `memory peak 511.9Mi of 512Mi`.
pub(in crate::tui) fn memory_words(incident: &Incident) -> String {
    let limit = incident
        .memory_limit
        .and_then(|limit| u64::try_from(limit).ok());
    match (incident.memory_peak, limit) {
        (0, Some(limit)) => format!("memory limit {}", bytes(limit)),
        (0, None) => "no memory limit".to_owned(),
        (peak, Some(limit)) => format!("memory peak {} of {}", bytes(peak), bytes(limit)),
        (peak, None) => format!("memory peak {}", bytes(peak)),
    }
}

/// `killed: child stress, pid 4711`.
pub(in crate::tui) fn victim_words(incident: &Incident) -> String {
    match &incident.victim {
        Some(victim) if victim.is_main => format!("killed: main process, pid {}", victim.pid),
        Some(victim) => format!("killed: child {}, pid {}", plain(&victim.name), victim.pid),
        // SIGKILL ended the container itself while a kill was counted.
        None if incident.signal == Some(9) => "killed: main process".to_owned(),
        None => "killed: a child".to_owned(),
    }
}

/// The container that an event is about: `main` of `spec.containers{main}`.
pub(in crate::tui) fn container_of(event: &Event) -> Option<&str> {
    let path = event.involved_object.field_path.as_deref()?;
    path.split_once('{')?.1.strip_suffix('}')
}

fn probe_failure(row: &Row) -> Option<Chapter> {
    let event = row.event()?;
    if event.reason.as_deref() != Some("Unhealthy") {
        return None;
    }
    let count = event_count(event);
    let container = container_of(event).unwrap_or_default();
    let message = plain(event.message.as_deref().unwrap_or_default());
    let (what, details) = match message.split_once(": ") {
        Some((what, details)) => (what.to_owned(), details.to_owned()),
        None => (message, String::new()),
    };
    Some(Chapter {
        at: event_time(event)?,
        container: plain(container),
        what: if count > 1 {
            format!("{what} x{count}")
        } else {
            what
        },
        details,
        is_bad: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Pid, Victim};
    use crate::tui::testing::{incident, now};

    #[track_caller]
    fn check(incident: &Incident, what: &str, details: &str) {
        let told = chapter(incident);
        assert_eq!((told.what.as_str(), told.details.as_str()), (what, details));
    }

    #[test]
    fn incidents_in_words() {
        let mut one = incident("main", 7, 137);
        one.signal = Some(9);
        one.reason = "OOMKilled".to_owned();
        one.oom_kills = 1;
        one.memory_peak = 511 << 20;
        one.memory_limit = Some(512 << 20);
        check(
            &one,
            "#8 OOMKilled, exit 137",
            "ran 8s, memory peak 511Mi of 512Mi, killed: main process",
        );
        one.kind = IncidentKind::OutOfMemory;
        one.exit_code = None;
        one.signal = None;
        one.victim = Some(Victim {
            pid: Pid::new(77),
            name: "s\u{1b}h".to_owned(),
            is_main: false,
        });
        let told = chapter(&one);
        assert_eq!(told.what, "OOM kill, runs on");
        assert!(
            told.details
                .starts_with("memory peak 511Mi of 512Mi, killed: child s")
        );
        assert!(!told.details.contains('\u{1b}'));

        let mut killed = incident("main", 0, 143);
        killed.cause = Some("Container main failed liveness probe, will be restarted".to_owned());
        check(
            &killed,
            "#1 Error, exit 143",
            "ran 8s, Container main failed liveness probe, will be restarted",
        );
        let mut lost = incident("main", 1, 0);
        lost.exit_code = None;
        lost.reason = "ContainerStatusUnknown".to_owned();
        lost.started_at = None;
        check(&lost, "#2 ContainerStatusUnknown", "");
    }

    #[test]
    fn the_newest_stands_first() {
        let mut story = Story::default();
        let target = Target {
            key: crate::model::ObjectKey::pod("default", "p"),
            uid: crate::base::Uid::new("u"),
        };
        let mut late = incident("main", 1, 1);
        late.at = now() + jiff::SignedDuration::from_secs(5);
        assert!(!story.update(&target, Ok(Vec::new())));
        story.retarget(Some(&target));
        assert!(story.update(&target, Ok(vec![incident("main", 0, 1), late])));
        let runs: Vec<String> = story
            .chapters(std::iter::empty())
            .into_iter()
            .map(|chapter| chapter.what)
            .collect();
        assert_eq!(runs, ["#2 Error, exit 1", "#1 Error, exit 1"]);
    }
}
