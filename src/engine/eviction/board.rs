use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::Pressures;
use crate::base::Uid;

/// Why a pod has to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Eviction {
    /// For the status and the event.
    pub(in crate::engine) message: String,
    /// Between the stop signal and the kill.
    pub(in crate::engine) grace: Duration,
    /// The machine ran short, the pod did nothing that it may not (condition `DisruptionTarget`).
    pub(in crate::engine) disruption: bool,
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
    pub(super) fn evict(&self, pod: &Uid, eviction: Eviction) -> bool {
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

    pub(super) fn is_told(&self, pod: &Uid) -> bool {
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

    pub(super) fn set_pressures(&self, pressures: Pressures) {
        *self
            .pressures
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = pressures;
    }
}
