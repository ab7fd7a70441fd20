use std::collections::VecDeque;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::time::Instant;

use crate::client::{ListOptions, WatchEvent};
use crate::model::selector::{FieldSelector, LabelSelector};
use crate::model::{ApiError, Kind, Object, ResourceVersion};
use crate::store::{Change, Gone, Store, Watcher};

/// About as often as the API server sends one.
const BOOKMARK_AFTER: Duration = Duration::from_secs(60);

/// Which objects of a kind a list or a watch is about.
pub(super) struct Selection {
    namespace: Option<String>,
    labels: LabelSelector,
    fields: FieldSelector,
}

impl Selection {
    pub(super) fn parse(kind: Kind, options: &ListOptions) -> Result<Self, ApiError> {
        let namespace = options.namespace.clone().filter(|_| kind.is_namespaced());
        let labels = LabelSelector::parse(&options.label_selector);
        let fields = FieldSelector::parse(kind, &options.field_selector);
        Ok(Self {
            namespace,
            labels: labels.map_err(|error| ApiError::bad_request(error.to_string()))?,
            fields: fields.map_err(|error| ApiError::bad_request(error.to_string()))?,
        })
    }

    pub(super) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    pub(super) fn matches(&self, object: &Object) -> bool {
        let namespace = self.namespace.as_deref();
        namespace.is_none_or(|namespace| object.namespace() == namespace)
            && self.labels.matches(object.meta().labels.as_ref())
            && self.fields.matches(object)
    }

    /// What a change means to somebody who sees only the selection.
    fn translate(&self, change: Change) -> Option<WatchEvent> {
        let was = change
            .previous
            .as_ref()
            .is_some_and(|object| self.matches(object));
        let is = !change.deleted && self.matches(&change.object);
        match (was, is) {
            (false, true) => Some(WatchEvent::Added(change.object)),
            (true, true) => Some(WatchEvent::Modified(change.object)),
            (true, false) if change.deleted => Some(WatchEvent::Deleted(change.object)),
            // As it was when it was last selected, but with the version of the change.
            (true, false) => change.previous.map(|mut object| {
                object.meta_mut().resource_version = Some(change.version.to_string());
                WatchEvent::Deleted(object)
            }),
            (false, false) => None,
        }
    }
}

/// With `from` 0 the present objects come first, as `Added`.
pub(super) fn watch(
    store: &Store,
    kind: Kind,
    options: &ListOptions,
    from: ResourceVersion,
) -> Result<BoxStream<'static, Result<WatchEvent, ApiError>>, ApiError> {
    let selection = Selection::parse(kind, options)?;
    let mut initial = VecDeque::new();
    let mut start = from;
    if from == ResourceVersion::default() {
        let (objects, version) = store.list_objects(kind, selection.namespace());
        let selected = objects
            .into_iter()
            .filter(|object| selection.matches(object));
        initial.extend(selected.map(WatchEvent::Added));
        start = version;
    }
    let watcher = store
        .watch(kind, start)
        .map_err(|Gone| expired(store, start))?;
    let follower = Follower {
        store: store.clone(),
        watcher,
        selection,
        initial,
        start,
        bookmark_at: Instant::now() + BOOKMARK_AFTER,
    };
    Ok(stream::unfold(Some(follower), |follower| async {
        let mut follower = follower?;
        match follower.next().await {
            Ok(event) => Some((Ok(event), Some(follower))),
            Err(Gone) => Some((Err(expired(&follower.store, follower.start)), None)),
        }
    })
    .boxed())
}

fn expired(store: &Store, from: ResourceVersion) -> ApiError {
    ApiError::expired(format!(
        "too old resource version: {from} ({})",
        store.resource_version()
    ))
}

struct Follower {
    store: Store,
    watcher: Watcher,
    selection: Selection,
    initial: VecDeque<WatchEvent>,
    start: ResourceVersion,
    bookmark_at: Instant,
}

impl Follower {
    async fn next(&mut self) -> Result<WatchEvent, Gone> {
        if let Some(event) = self.initial.pop_front() {
            return Ok(event);
        }
        loop {
            let change = tokio::select! {
                // Cancel-safe: see the watcher.
                change = self.watcher.next_change() => change?,
                () = tokio::time::sleep_until(self.bookmark_at) => {
                    self.bookmark_at = Instant::now() + BOOKMARK_AFTER;
                    match self.watcher.bookmark()? {
                        Some(version) => return Ok(WatchEvent::Bookmark(version)),
                        None => continue,
                    }
                }
            };
            if let Some(event) = self.selection.translate(change) {
                return Ok(event);
            }
        }
    }
}
