use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::task::PodWorker;
use crate::base::{ContainerId, Incident, chain};
use crate::engine::incidents::{Incidents, load, save};
use crate::engine::observe::PodObservation;
use crate::engine::recorder::Level;
use crate::engine::status::oom_words;

/// The story of the pod, and its file.
pub(super) struct Story {
    incidents: Incidents,
    path: PathBuf,
    /// Number of the last version; writes of older ones that come late are left out.
    version: u64,
    written: Arc<Mutex<u64>>,
}

impl Story {
    /// Beside the logs of the pod: they stay as long as its object does.
    pub(super) fn open(logs: PathBuf) -> Self {
        let path = logs.join("incidents.json");
        Self {
            incidents: load(&path),
            path,
            version: 0,
            written: Arc::default(),
        }
    }

    pub(super) fn all(&self) -> Vec<Incident> {
        self.incidents.all()
    }
}

impl PodWorker {
    /// The instance will be killed for this reason.
    pub(super) fn will_kill(&mut self, id: &ContainerId, message: &str) {
        self.causes.insert(id.clone(), message.to_owned());
    }

    /// Takes over what happened to the containers since the last look.
    pub(super) fn tell_incidents(&mut self, seen: &PodObservation) {
        let now = self.machine.clock.now();
        let news = self
            .story
            .incidents
            .observe(&seen.instances, &self.causes, now);
        if !news.is_changed {
            return;
        }
        for incident in &news.out_of_memory {
            let text = oom_words(
                incident.memory_peak,
                incident.memory_limit,
                incident.victim.as_ref(),
            );
            let text = format!("Container {} is out of memory: {text}", incident.container);
            self.named_event(&incident.container, Level::Warning, "OOMKilling", text);
        }
        let known: Vec<&ContainerId> = seen.instances.all().map(|(_, one)| &one.id).collect();
        self.causes.retain(|id, _| known.contains(&id));
        self.machine.board.tell(&self.uid, self.story.all());
        self.save_story();
    }

    fn save_story(&mut self) {
        self.story.version += 1;
        let (version, written) = (self.story.version, Arc::clone(&self.story.written));
        let (path, incidents) = (self.story.path.clone(), self.story.incidents.clone());
        self.work.spawn_blocking(move || {
            // Held while writing: two writes of one file must not meet.
            let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
            if *written >= version {
                return;
            }
            *written = version;
            match save(&path, &incidents) {
                Ok(()) => {}
                // The pod, or its logs, went away meanwhile.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::warn!(path = %path.display(), error = chain(&error), "the story of a pod cannot be saved");
                }
            }
        });
    }
}
