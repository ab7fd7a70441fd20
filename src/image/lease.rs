use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::chain::LayerId;
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

/// Keeps a layer until dropped, whether it turns out to depend on what is below it or not. The last lease of
/// a layer that no image came to name takes the layer with it, so dropping it may block, and nobody may drop
/// one while holding the write lock.
#[derive(Debug)]
pub(super) struct Lease {
    store: Arc<Store>,
    id: LayerId,
}

impl Lease {
    pub(super) fn take(store: &Arc<Store>, id: &LayerId) -> Self {
        let lease = Self {
            store: Arc::clone(store),
            id: id.clone(),
        };
        let mut held = lease.lock();
        for key in lease.keys() {
            held.entry(key.clone()).or_default().count += 1;
        }
        drop(held);
        lease
    }

    /// The layer is complete.
    pub(super) fn fulfil(&self, layer: StoredLayer) {
        let mut held = self.lock();
        if let Some(held) = held.get_mut(layer.key()) {
            held.layer = Some(layer);
        }
    }

    /// What another holder of a lease has unpacked.
    pub(super) fn layer(&self) -> Option<StoredLayer> {
        let held = self.lock();
        let mut layers = self
            .keys()
            .into_iter()
            .filter_map(|key| held.get(key)?.layer.clone());
        layers.find(|layer| layer.is(&self.id))
    }

    /// The same twice for the lowest layer.
    const fn keys(&self) -> [&Digest; 2] {
        [&self.id.diff_id, &self.id.chain]
    }

    /// Lets go; the keys that nobody holds any more.
    fn release(&self) -> Vec<&Digest> {
        let mut held = self.lock();
        let mut free = Vec::new();
        for key in self.keys() {
            let Some(one) = held.get_mut(key) else {
                continue;
            };
            one.count -= 1;
            if one.count == 0 {
                held.remove(key);
                free.push(key);
            }
        }
        free
    }

    fn is_unneeded(&self, key: &Digest) -> bool {
        let named = || self.store.named_layer(|layer| layer.key() == key);
        self.store.layer_path(key).is_dir() && matches!(named(), Ok(None))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Digest, Held>> {
        let leases = &self.store.leases;
        leases.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.release().into_iter().any(|key| self.is_unneeded(key)) {
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
