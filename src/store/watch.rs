use std::sync::Arc;

use tokio::sync::watch;

use super::Gone;
use super::state::Shared;
use crate::model::{Kind, Object, ResourceVersion};

/// One write, as the history keeps it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) version: ResourceVersion,
    /// The object before the write; `None` when the write created it.
    pub(crate) previous: Option<Object>,
    /// The object after the write; for a deletion the last state, with the version of the deletion.
    pub(crate) object: Object,
    pub(crate) deleted: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum WatchEvent {
    Added(Object),
    Modified(Object),
    /// The last state of the object.
    Deleted(Object),
}

impl From<Change> for WatchEvent {
    fn from(change: Change) -> Self {
        match (change.deleted, change.previous) {
            (true, _) => Self::Deleted(change.object),
            (false, None) => Self::Added(change.object),
            (false, Some(_)) => Self::Modified(change.object),
        }
    }
}

/// Reads the changes of one kind in order. It holds no place in the history: one that is too slow gets
/// [`Gone`] and has to list again.
pub(crate) struct Watcher {
    shared: Arc<Shared>,
    kind: Kind,
    after: ResourceVersion,
    changed: watch::Receiver<ResourceVersion>,
}

impl Watcher {
    pub(super) fn new(shared: Arc<Shared>, kind: Kind, after: ResourceVersion) -> Self {
        let changed = shared.subscribe(kind);
        Self {
            shared,
            kind,
            after,
            changed,
        }
    }

    /// Cancel-safe: a change is taken only when it is returned.
    pub(crate) async fn next(&mut self) -> Result<WatchEvent, Gone> {
        self.next_change().await.map(WatchEvent::from)
    }

    /// Like [`next`](Self::next), with the state before the write. Cancel-safe.
    pub(crate) async fn next_change(&mut self) -> Result<Change, Gone> {
        loop {
            self.changed.mark_unchanged();
            if let Some(change) = self.try_next_change()? {
                return Ok(change);
            }
            if self.changed.changed().await.is_err() {
                return Err(Gone);
            }
        }
    }

    /// What is there already, without waiting.
    pub(crate) fn try_next_change(&mut self) -> Result<Option<Change>, Gone> {
        let change = self
            .shared
            .read()
            .next_change(self.kind, self.after)?
            .cloned();
        if let Some(change) = &change {
            self.after = change.version;
        }
        Ok(change)
    }

    /// Moves a watcher that has delivered everything of its kind up to the present version of the store, so
    /// that its user can resume from there. `None` while changes wait.
    pub(crate) fn bookmark(&mut self) -> Result<Option<ResourceVersion>, Gone> {
        let state = self.shared.read();
        if state.next_change(self.kind, self.after)?.is_some() {
            return Ok(None);
        }
        self.after = state.version();
        Ok(Some(self.after))
    }
}
