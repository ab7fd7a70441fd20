use std::collections::{BTreeMap, VecDeque};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::watch;

use super::watch::Change;
use super::{Gone, StoreError};
use crate::model::{Kind, Object, ObjectKey, ResourceVersion};

/// What readers and the writer task share. Only the task changes it, and only after the journal took the
/// record.
pub(super) struct Shared {
    state: RwLock<State>,
    /// Told the newest version of its kind after every change.
    changed: BTreeMap<Kind, watch::Sender<ResourceVersion>>,
    /// Why what is in memory is not on the disk, while that is so.
    pub(super) unsaved: watch::Sender<Option<String>>,
}

impl Shared {
    pub(super) fn new(state: State) -> Self {
        let changed = Kind::ALL
            .into_iter()
            .map(|kind| (kind, watch::Sender::new(state.version)))
            .collect();
        Self {
            state: RwLock::new(state),
            changed,
            unsaved: watch::Sender::new(None),
        }
    }

    /// Never held across an await point; the writer holds its side only to swap pointers.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, State> {
        // No code that holds this lock can leave the state half-changed by a panic.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn publish(&self, change: Change) {
        let kind = change.object.kind();
        let version = change.version;
        self.state
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .apply(change);
        if let Some(sender) = self.changed.get(&kind) {
            sender.send_replace(version);
        }
    }

    pub(super) fn subscribe(&self, kind: Kind) -> watch::Receiver<ResourceVersion> {
        self.changed
            .get(&kind)
            .expect("there is a sender for every kind")
            .subscribe()
    }
}

/// All objects and the recent history of each kind.
pub(super) struct State {
    objects: BTreeMap<ObjectKey, Object>,
    version: ResourceVersion,
    rings: BTreeMap<Kind, Ring>,
}

impl State {
    /// History starts at `version`: what happened before is not known to watchers.
    pub(super) fn new(
        objects: BTreeMap<ObjectKey, Object>,
        version: ResourceVersion,
        ring_capacity: usize,
    ) -> Self {
        let rings = Kind::ALL
            .into_iter()
            .map(|kind| (kind, Ring::new(version, ring_capacity)))
            .collect();
        Self {
            objects,
            version,
            rings,
        }
    }

    pub(super) fn version(&self) -> ResourceVersion {
        self.version
    }

    pub(super) fn get(&self, key: &ObjectKey) -> Option<&Object> {
        self.objects.get(key)
    }

    pub(super) fn existing(&self, key: &ObjectKey) -> Result<&Object, StoreError> {
        self.get(key)
            .ok_or_else(|| StoreError::NotFound(key.clone()))
    }

    /// Ordered by namespace, then name.
    pub(super) fn list(
        &self,
        kind: Kind,
        namespace: Option<&str>,
    ) -> impl Iterator<Item = &Object> {
        let first = ObjectKey {
            kind,
            namespace: namespace.map(str::to_owned),
            name: String::new(),
        };
        let namespace = namespace.map(str::to_owned);
        self.objects
            .range(first..)
            .take_while(move |(key, _)| {
                key.kind == kind && (namespace.is_none() || key.namespace == namespace)
            })
            .map(|(_, object)| object)
    }

    pub(super) fn objects(&self) -> impl Iterator<Item = &Object> {
        self.objects.values()
    }

    fn apply(&mut self, change: Change) {
        let key = change.object.key();
        self.version = change.version;
        if change.deleted {
            self.objects.remove(&key);
        } else {
            self.objects.insert(key, change.object.clone());
        }
        if let Some(ring) = self.rings.get_mut(&change.object.kind()) {
            ring.push(change);
        }
    }

    /// `Gone` also for a version of the future: it comes from another store.
    pub(super) fn check_watchable(&self, kind: Kind, from: ResourceVersion) -> Result<(), Gone> {
        if from > self.version {
            return Err(Gone);
        }
        self.next_change(kind, from).map(|_| ())
    }

    pub(super) fn next_change(
        &self,
        kind: Kind,
        after: ResourceVersion,
    ) -> Result<Option<&Change>, Gone> {
        self.rings.get(&kind).ok_or(Gone)?.after(after)
    }
}

/// The latest changes of one kind.
struct Ring {
    /// The newest version that is no longer held.
    forgotten: ResourceVersion,
    changes: VecDeque<Change>,
    capacity: usize,
}

impl Ring {
    fn new(start: ResourceVersion, capacity: usize) -> Self {
        Self {
            forgotten: start,
            changes: VecDeque::new(),
            capacity: capacity.max(1),
        }
    }

    fn push(&mut self, change: Change) {
        if self.changes.len() == self.capacity
            && let Some(oldest) = self.changes.pop_front()
        {
            self.forgotten = oldest.version;
        }
        self.changes.push_back(change);
    }

    fn after(&self, version: ResourceVersion) -> Result<Option<&Change>, Gone> {
        if version < self.forgotten {
            return Err(Gone);
        }
        let index = self
            .changes
            .partition_point(|change| change.version <= version);
        Ok(self.changes.get(index))
    }
}
