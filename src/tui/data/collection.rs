use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use unicode_width::UnicodeWidthStr;

use super::PodFacts;
use super::kept::Kept;
use crate::client::WatchEvent;
use crate::model::{Kind, Object, ObjectKey};
use crate::printer::event_time;

/// How good a thing is, for counting and colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::tui) enum Health {
    Bad,
    Wait,
    Ok,
    Done,
    /// Kinds that are neither good nor bad.
    Neutral,
}

/// One object with what is derived from it.
#[derive(Clone, Debug)]
pub(in crate::tui) struct Row {
    pub(in crate::tui) key: ObjectKey,
    pub(in crate::tui) object: Kept,
    pub(in crate::tui) health: Health,
    /// Columns of what is not cut short: name, namespace and status.
    pub(in crate::tui) widths: [usize; 3],
    created: Option<Timestamp>,
    labels: Option<BTreeMap<String, String>>,
    /// Only for pods.
    pub(in crate::tui) pod: Option<PodFacts>,
}

impl Row {
    fn of(object: Object) -> Self {
        let pod = match &object {
            Object::Pod(pod) => Some(PodFacts::of(pod)),
            _ => None,
        };
        let health = match (&pod, &object) {
            (Some(facts), _) => facts.health,
            (None, Object::Event(event)) if event.type_.as_deref() == Some("Warning") => {
                Health::Wait
            }
            _ => Health::Neutral,
        };
        let key = object.key();
        let namespace = key.namespace.as_deref().unwrap_or_default();
        let status = pod
            .as_ref()
            .map_or("", |facts| facts.summary.status.as_str());
        let created = match &object {
            Object::Event(event) => event_time(event),
            other => other.meta().creation_timestamp.as_ref().map(|time| time.0),
        };
        let labels = object.meta().labels.clone();
        Self {
            widths: [key.name.width(), namespace.width(), status.width()],
            key,
            object: Kept::of(object),
            health,
            created,
            labels,
            pod,
        }
    }

    pub(in crate::tui) fn namespace(&self) -> &str {
        self.key.namespace.as_deref().unwrap_or_default()
    }

    pub(in crate::tui) fn labels(&self) -> Option<&BTreeMap<String, String>> {
        self.labels.as_ref()
    }

    pub(in crate::tui) fn event(&self) -> Option<&Event> {
        match &self.object {
            Kept::Whole(Object::Event(event)) => Some(&**event),
            Kept::Whole(_) | Kept::Text { .. } => None,
        }
    }

    /// For the AGE column and sorting by it; events count from when they were last seen.
    pub(in crate::tui) fn since(&self) -> Option<Timestamp> {
        self.created
    }
}

/// How current a collection is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::tui) enum Liveness {
    /// No list has arrived yet.
    #[default]
    Loading,
    Live,
    /// The watch broke and is being set up again; what is shown may be old.
    Broken(String),
}

/// All objects of one kind in one namespace (or all), as told by one watch.
#[derive(Clone, Debug)]
pub(in crate::tui) struct Collection {
    /// Tells the messages of this watch from those of an earlier one of the same kind.
    pub(in crate::tui) generation: u64,
    pub(in crate::tui) namespace: Option<String>,
    pub(in crate::tui) liveness: Liveness,
    rows: BTreeMap<ObjectKey, Arc<Row>>,
    /// Rows by their health.
    counts: [usize; 5],
}

impl Collection {
    pub(in crate::tui) fn new(generation: u64, namespace: Option<String>) -> Self {
        Self {
            generation,
            namespace,
            liveness: Liveness::Loading,
            rows: BTreeMap::new(),
            counts: [0; 5],
        }
    }

    pub(in crate::tui) fn reset(&mut self, objects: Vec<Object>) {
        self.rows.clear();
        self.counts = [0; 5];
        self.extend(objects);
        self.liveness = Liveness::Live;
    }

    pub(in crate::tui) fn extend(&mut self, objects: Vec<Object>) {
        for object in objects {
            self.insert(object);
        }
    }

    /// Returns the pod that got into trouble by this, if one did.
    pub(in crate::tui) fn apply(&mut self, event: WatchEvent) -> Option<Arc<Row>> {
        self.liveness = Liveness::Live;
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => self.insert(object),
            WatchEvent::Deleted(object) => {
                if let Some(row) = self.rows.remove(&object.key()) {
                    self.counts[row.health as usize] -= 1;
                }
                None
            }
            WatchEvent::Bookmark(_) => None,
        }
    }

    /// Returns the row when it got into trouble by this.
    fn insert(&mut self, object: Object) -> Option<Arc<Row>> {
        let row = Arc::new(Row::of(object));
        self.counts[row.health as usize] += 1;
        let before = self.rows.insert(row.key.clone(), Arc::clone(&row));
        if let Some(old) = &before {
            self.counts[old.health as usize] -= 1;
        }
        let was_bad = before.is_some_and(|before| before.health == Health::Bad);
        (row.health == Health::Bad && !was_bad).then_some(row)
    }

    pub(in crate::tui) fn count(&self, health: Health) -> usize {
        self.counts[health as usize]
    }

    pub(in crate::tui) fn rows(&self) -> impl ExactSizeIterator<Item = &Arc<Row>> {
        self.rows.values()
    }
}

/// One [`Collection`] per watched kind.
#[derive(Clone, Debug, Default)]
pub(in crate::tui) struct Collections {
    by_kind: BTreeMap<Kind, Collection>,
    last_generation: u64,
}

impl Collections {
    pub(in crate::tui) fn get(&self, kind: Kind) -> Option<&Collection> {
        self.by_kind.get(&kind)
    }

    /// The collection that the message of this watch is meant for, unless that watch was replaced.
    pub(in crate::tui) fn of_watch(
        &mut self,
        kind: Kind,
        generation: u64,
    ) -> Option<&mut Collection> {
        self.by_kind
            .get_mut(&kind)
            .filter(|collection| collection.generation == generation)
    }

    pub(in crate::tui) fn kinds(&self) -> Vec<Kind> {
        self.by_kind.keys().copied().collect()
    }

    /// Starts an empty collection in place of the former one and returns its generation.
    pub(in crate::tui) fn open(&mut self, kind: Kind, namespace: Option<String>) -> u64 {
        self.last_generation += 1;
        let collection = Collection::new(self.last_generation, namespace);
        self.by_kind.insert(kind, collection);
        self.last_generation
    }

    pub(in crate::tui) fn close(&mut self, kind: Kind) {
        self.by_kind.remove(&kind);
    }

    pub(in crate::tui) fn rows(&self, kind: Kind) -> impl Iterator<Item = &Arc<Row>> {
        self.get(kind).into_iter().flat_map(Collection::rows)
    }

    /// Events about one object, oldest first.
    pub(in crate::tui) fn events_about(&self, object: &Object) -> Vec<&Arc<Row>> {
        let uid = object.uid();
        let about = |row: &&Arc<Row>| match &*row.object {
            Object::Event(event) => {
                let involved = &event.involved_object;
                match involved.uid.as_deref() {
                    Some(known) if !known.is_empty() => known == uid.as_str(),
                    _ => {
                        involved.kind.as_deref() == Some(object.kind().as_str())
                            && involved.name.as_deref() == Some(object.name())
                            && involved.namespace.as_deref().unwrap_or_default()
                                == object.namespace()
                    }
                }
            }
            _ => false,
        };
        let mut rows: Vec<&Arc<Row>> = self.rows(Kind::Event).filter(about).collect();
        rows.sort_by_key(|row| row.since());
        rows
    }
}
