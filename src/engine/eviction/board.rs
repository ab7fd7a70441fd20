use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::Pressures;
use crate::base::Uid;

pub(in crate::engine) const EVICTED: &str = "Evicted";
/// What goes for a critical pod.
pub(in crate::engine) const PREEMPTING: &str = "Preempting";

/// Why a pod has to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Eviction {
    /// For the status and the event: `Evicted`, or `Preempting`.
    pub(in crate::engine) reason: &'static str,
    pub(in crate::engine) message: String,
    /// Between the stop signal and the kill.
    pub(in crate::engine) grace: Duration,
    /// What the condition `DisruptionTarget` says; `None`: the pod did something that it may not.
    pub(in crate::engine) disruption: Option<String>,
}

/// Where evictions are told and heard of.
#[derive(Debug, Default)]
pub(in crate::engine) struct Evictions {
    pods: Mutex<HashMap<Uid, watch::Sender<Option<Eviction>>>>,
    pressures: Mutex<Pressures>,
}

impl Evictions {
    fn pods(&self) -> MutexGuard<'_, HashMap<Uid, watch::Sender<Option<Eviction>>>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ear of this pod's worker. Pods without one have ended.
    pub(in crate::engine) fn listen(&self, pod: &Uid) -> watch::Receiver<Option<Eviction>> {
        let sender = watch::Sender::new(None);
        let receiver = sender.subscribe();
        let mut pods = self.pods();
        pods.retain(|_, worker| worker.receiver_count() > 0);
        pods.insert(pod.clone(), sender);
        receiver
    }

    /// Whether there is a worker that hears it and has not been told before.
    pub(in crate::engine) fn evict(&self, pod: &Uid, eviction: Eviction) -> bool {
        let pods = self.pods();
        let Some(worker) = pods.get(pod).filter(|worker| worker.receiver_count() > 0) else {
            return false;
        };
        worker.send_if_modified(|told| {
            let first = told.is_none();
            if first {
                *told = Some(eviction);
            }
            first
        })
    }

    pub(in crate::engine) fn is_told(&self, pod: &Uid) -> bool {
        let pods = self.pods();
        pods.get(pod).is_none_or(|worker| worker.borrow().is_some())
    }

    /// What the machine runs short of, as seen last.
    pub(in crate::engine) fn pressures(&self) -> Pressures {
        *self
            .pressures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::engine) fn set_pressures(&self, pressures: Pressures) {
        *self
            .pressures
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = pressures;
    }
}
