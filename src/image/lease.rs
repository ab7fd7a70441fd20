use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::digest::Digest;
use super::store::{Store, StoredLayer};

/// Layers that somebody needs before an image names them. In memory: after a crash nobody needs them.
#[derive(Debug, Default)]
pub(super) struct Leases {
    held: Mutex<BTreeMap<Digest, Held>>,
}

#[derive(Debug, Default)]
struct Held {
    count: usize,
    /// Known once the layer is unpacked.
    layer: Option<StoredLayer>,
}

impl Leases {
    /// Runs `work` while nobody can lease or let go.
    pub(super) fn with_all<T>(
        &self,
        work: impl FnOnce(&mut dyn Iterator<Item = &Digest>) -> T,
    ) -> T {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut held.keys())
    }
}

/// Keeps the layer of a diff id until dropped. The last lease of a layer that no image came to name takes
/// the layer with it, so dropping it may
/// block, and nobody may drop one while holding the write lock.
#[derive(Debug)]
pub(super) struct Lease {
    store: Arc<Store>,
    diff_id: Digest,
}

impl Lease {
    pub(super) fn take(store: &Arc<Store>, diff_id: &Digest) -> Self {
        let mut held = store
            .leases
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        held.entry(diff_id.clone()).or_default().count += 1;
        Self {
            store: Arc::clone(store),
            diff_id: diff_id.clone(),
        }
    }

    /// The layer is complete.
    pub(super) fn fulfil(&self, layer: StoredLayer) {
        let mut held = self.lock();
        if let Some(held) = held.get_mut(&self.diff_id) {
            held.layer = Some(layer);
        }
    }

    /// What another holder of a lease has unpacked.
    pub(super) fn layer(&self) -> Option<StoredLayer> {
        self.lock().get(&self.diff_id)?.layer.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Digest, Held>> {
        let leases = &self.store.leases;
        leases.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut held = self.lock();
        let Some(one) = held.get_mut(&self.diff_id) else {
            return;
        };
        one.count -= 1;
        if one.count > 0 {
            return;
        }
        held.remove(&self.diff_id);
        drop(held);
        if !matches!(self.store.known_layer(&self.diff_id), Ok(None)) {
            return;
        }
        let removed = self
            .store
            .lock()
            .and_then(|lock| self.store.remove_unused(&lock));
        if let Err(error) = removed {
            let error = crate::base::chain(&error);
            tracing::warn!(
                error,
                "layers of an unfinished image stay until the next start"
            );
        }
    }
}
