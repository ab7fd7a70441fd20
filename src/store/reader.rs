use std::sync::Arc;

use tokio::sync::watch;

use super::state::Shared;
use super::{Gone, Watcher};
use crate::model::{Kind, Object, ObjectKey, Resource, ResourceVersion};

/// Reads and watches. Cloning is cheap; every clone sees the same store.
#[derive(Clone)]
pub(crate) struct Store {
    pub(super) shared: Arc<Shared>,
}

impl Store {
    /// `namespace` is ignored for kinds that have none.
    pub(crate) fn get<T: Resource>(&self, namespace: &str, name: &str) -> Option<Arc<T>> {
        let key = ObjectKey::new(T::KIND, namespace, name);
        self.shared
            .read()
            .get(&key)
            .and_then(T::from_object)
            .cloned()
    }

    /// One consistent view, ordered by namespace and name; a watch from its version misses nothing.
    pub(crate) fn list<T: Resource>(
        &self,
        namespace: Option<&str>,
    ) -> (Vec<Arc<T>>, ResourceVersion) {
        let state = self.shared.read();
        let objects = state
            .list(T::KIND, namespace)
            .filter_map(T::from_object)
            .cloned()
            .collect();
        (objects, state.version())
    }

    pub(crate) fn get_object(&self, key: &ObjectKey) -> Option<Object> {
        self.shared.read().get(key).cloned()
    }

    /// Like [`list`](Self::list), for a kind chosen at run time.
    pub(crate) fn list_objects(
        &self,
        kind: Kind,
        namespace: Option<&str>,
    ) -> (Vec<Object>, ResourceVersion) {
        let state = self.shared.read();
        (
            state.list(kind, namespace).cloned().collect(),
            state.version(),
        )
    }

    /// Everything after `from`.
    pub(crate) fn watch(&self, kind: Kind, from: ResourceVersion) -> Result<Watcher, Gone> {
        self.shared.read().check_watchable(kind, from)?;
        Ok(Watcher::new(Arc::clone(&self.shared), kind, from))
    }

    /// Why the newest state is in memory only, while that is so; `None` in good times.
    pub(crate) fn unsaved(&self) -> watch::Receiver<Option<String>> {
        self.shared.unsaved.subscribe()
    }

    pub(crate) fn resource_version(&self) -> ResourceVersion {
        self.shared.read().version()
    }
}
