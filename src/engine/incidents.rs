//! The story of a pod's containers beyond what a status can hold: a status tells one end per container, this
//! the last hundred of the pod. Pure but for [`load`] and [`save`]; workers feed it, the API tells it.
//!
//! File: JSON `{"version": 1, "incidents": […]}`, oldest first. A reader of version 1 ignores fields it does not
//! know; another version, or a file that cannot be read, is left unread: the story then begins anew.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::observe::{Instance, Instances, Phase};
use super::status::end_reason;
use crate::base::{ContainerId, Incident, IncidentKind, Victim};

/// Incidents remembered per pod. A container in a crash loop makes one in five minutes.
const KEPT: usize = 100;
const VERSION: u32 = 1;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Incidents {
    kept: VecDeque<Incident>,
    /// Ends that are among the kept ones, or were.
    ended: BTreeMap<(String, u32), ()>,
    /// Kills told of by container and run.
    kills: BTreeMap<(String, u32), u64>,
}

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    incidents: &'a VecDeque<Incident>,
}

#[derive(Deserialize)]
struct Read {
    version: u32,
    incidents: VecDeque<Incident>,
}

/// What a look at the instances brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    pub(super) is_changed: bool,
    /// Incidents in which processes were killed for lack of memory since the last look.
    pub(super) out_of_memory: Vec<Incident>,
}

impl Incidents {
    pub(super) fn new(known: impl IntoIterator<Item = Incident>) -> Self {
        let mut incidents = Self::default();
        for incident in known {
            incidents.push(incident);
        }
        incidents
    }

    pub(super) fn all(&self) -> Vec<Incident> {
        self.kept.iter().cloned().collect()
    }

    /// Takes what happened since the last look. `causes`: why an instance was killed on purpose.
    pub(super) fn observe(
        &mut self,
        instances: &Instances,
        causes: &HashMap<ContainerId, String>,
        now: jiff::Timestamp,
    ) -> News {
        let mut news = News::default();
        let mut found: Vec<Incident> = instances
            .all()
            .filter_map(|(name, instance)| {
                incident(name, instance, causes.get(&instance.id).cloned(), now)
            })
            .filter(|incident| self.is_news(incident))
            .collect();
        found.sort_by_key(|incident| incident.at);
        for incident in found {
            let key = (incident.container.clone(), incident.attempt);
            if incident.oom_kills > self.kills.get(&key).copied().unwrap_or(0) {
                news.out_of_memory.push(incident.clone());
            }
            self.push(incident);
            news.is_changed = true;
        }
        news
    }

    fn is_news(&self, incident: &Incident) -> bool {
        let key = (incident.container.clone(), incident.attempt);
        match incident.kind {
            IncidentKind::Ended => !self.ended.contains_key(&key),
            IncidentKind::OutOfMemory => {
                incident.oom_kills > self.kills.get(&key).copied().unwrap_or(0)
            }
        }
    }

    fn push(&mut self, incident: Incident) {
        let key = (incident.container.clone(), incident.attempt);
        if incident.kind == IncidentKind::Ended {
            self.ended.insert(key.clone(), ());
            self.forget_what_ended_it(&incident);
        }
        if incident.oom_kills > 0 {
            self.kills.insert(key, incident.oom_kills);
        }
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(incident);
        // Only the newest runs can be seen again.
        while self.ended.len() > 4 * KEPT {
            self.ended.pop_first();
        }
        while self.kills.len() > 4 * KEPT {
            self.kills.pop_first();
        }
    }
}

impl Incidents {
    /// The kill was told of before the end that it brought; the end tells it all.
    fn forget_what_ended_it(&mut self, end: &Incident) {
        let is_same = |other: &Incident| {
            other.kind == IncidentKind::OutOfMemory
                && other.container == end.container
                && other.attempt == end.attempt
                && other.oom_kills == end.oom_kills
        };
        let survived = |other: &Incident| {
            let victim = other.victim.as_ref();
            victim.is_some_and(|victim| !victim.is_main)
        };
        if end.reason == super::status::OOM_KILLED {
            self.kept.retain(|other| !is_same(other) || survived(other));
        }
    }
}

/// `None` for an instance of which there is nothing to tell.
fn incident(
    name: &str,
    instance: &Instance,
    cause: Option<String>,
    now: jiff::Timestamp,
) -> Option<Incident> {
    let memory = &instance.memory;
    let (kind, at) = match &instance.phase {
        Phase::Created => return None,
        Phase::Running { .. } if memory.kills == 0 => return None,
        Phase::Running { .. } => (IncidentKind::OutOfMemory, now),
        Phase::Exited(exit) => (IncidentKind::Ended, exit.finished_at),
        Phase::Lost { noticed_at, .. } => (IncidentKind::Ended, *noticed_at),
    };
    let (exit_code, signal, start_error) = match &instance.phase {
        Phase::Exited(exit) => (Some(exit.code), exit.signal, exit.start_error.clone()),
        Phase::Created | Phase::Running { .. } | Phase::Lost { .. } => (None, None, None),
    };
    Some(Incident {
        container: name.to_owned(),
        kind,
        at,
        attempt: instance.attempt,
        started_at: instance.began_at().filter(|_| start_error.is_none()),
        exit_code,
        signal,
        reason: end_reason(instance).to_owned(),
        cause,
        message: start_error.or_else(|| instance.message.clone()),
        memory_peak: memory.peak,
        memory_limit: instance.memory_limit,
        oom_kills: memory.kills,
        victim: memory.victim.as_ref().map(|victim| Victim {
            pid: victim.pid,
            name: victim.name.clone(),
            is_main: victim.is_main,
        }),
    })
}

/// What an earlier engine wrote; nothing when there is no file or none that can be read.
pub(super) fn load(path: &Path) -> Incidents {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Incidents::default(),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the story of a pod cannot be read");
            return Incidents::default();
        }
    };
    match serde_json::from_slice::<Read>(&text) {
        Ok(read) if read.version == VERSION => Incidents::new(read.incidents),
        Ok(read) => {
            tracing::warn!(path = %path.display(), version = read.version, "the story of a pod is of another version");
            Incidents::default()
        }
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the story of a pod is damaged");
            Incidents::default()
        }
    }
}

/// In place of what was there, whole or not at all. The directory is not made: without it there is no pod.
pub(super) fn save(path: &Path, incidents: &Incidents) -> io::Result<()> {
    let written = Written {
        version: VERSION,
        incidents: &incidents.kept,
    };
    let temporary = path.with_extension("new");
    fs::write(&temporary, serde_json::to_vec(&written)?)?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{Box, Was, at, instance, observation};
    use super::*;
    use crate::wire::{MemoryRecord, OomVictim};

    fn look(incidents: &mut Incidents, instances: &Instances) -> News {
        incidents.observe(instances, &HashMap::new(), at(50))
    }

    #[test]
    fn every_end_is_told_once_and_kills_as_they_grow() {
        let mut incidents = Incidents::default();
        let seen = observation(
            Box::Ready,
            &[
                ("a", &[Was::Running, Was::Exited(1, 9)]),
                ("b", &[Was::Running]),
            ],
        );
        assert!(look(&mut incidents, &seen.instances).is_changed);
        assert_eq!(look(&mut incidents, &seen.instances), News::default());
        let all = incidents.all();
        assert_eq!(all.len(), 1);
        assert_eq!(
            (all[0].container.as_str(), all[0].exit_code, all[0].at),
            ("a", Some(1), at(9))
        );

        let mut hungry = instance("b", 0, Was::Running);
        hungry.memory = MemoryRecord {
            peak: 64 << 20,
            kills: 2,
            victim: Some(OomVictim {
                pid: crate::base::Pid::new(77),
                name: "sh".to_owned(),
                is_main: false,
            }),
        };
        let mut instances = Instances::default();
        instances.put("b".to_owned(), hungry.clone());
        let news = look(&mut incidents, &instances);
        assert_eq!(news.out_of_memory.len(), 1);
        assert_eq!(news.out_of_memory[0].kind, IncidentKind::OutOfMemory);
        assert_eq!(news.out_of_memory[0].at, at(50));
        assert_eq!(look(&mut incidents, &instances), News::default());
        // The end of that run is news, its kills are not.
        hungry.phase = instance("b", 0, Was::Exited(1, 60)).phase;
        instances.put("b".to_owned(), hungry);
        let news = look(&mut incidents, &instances);
        assert!(news.is_changed && news.out_of_memory.is_empty());
    }

    #[test]
    fn a_kill_that_ends_the_run_is_told_once() {
        let mut incidents = Incidents::default();
        let mut hungry = instance("b", 0, Was::Running);
        hungry.memory.kills = 1;
        let mut instances = Instances::default();
        instances.put("b".to_owned(), hungry.clone());
        assert_eq!(look(&mut incidents, &instances).out_of_memory.len(), 1);
        hungry.phase = instance("b", 0, Was::OutOfMemory(137, 60)).phase;
        instances.put("b".to_owned(), hungry);
        assert!(look(&mut incidents, &instances).is_changed);
        let kinds: Vec<IncidentKind> = incidents.all().iter().map(|one| one.kind).collect();
        assert_eq!(kinds, [IncidentKind::Ended]);
    }

    #[test]
    fn the_story_outlives_an_engine_and_is_bounded() {
        let mut incidents = Incidents::default();
        for attempt in 0..150 {
            let mut instances = Instances::default();
            let ended = instance("a", attempt, Was::Exited(1, i64::from(attempt)));
            instances.put("a".to_owned(), ended);
            look(&mut incidents, &instances);
        }
        assert_eq!(incidents.all().len(), 100);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("incidents.json");
        assert_eq!(load(&path), Incidents::default());
        save(&path, &incidents).unwrap();
        let loaded = load(&path);
        assert_eq!(loaded.all(), incidents.all());
        // What is known already is not told again.
        let mut instances = Instances::default();
        instances.put("a".to_owned(), instance("a", 149, Was::Exited(1, 149)));
        let mut loaded = loaded;
        assert!(!look(&mut loaded, &instances).is_changed);
        fs::write(&path, "{\"version\": 9, \"incidents\": []}").unwrap();
        assert_eq!(load(&path), Incidents::default());
        fs::write(&path, "half a fi").unwrap();
        assert_eq!(load(&path), Incidents::default());
    }
}
