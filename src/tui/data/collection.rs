use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use unicode_width::UnicodeWidthStr;

use super::PodFacts;
use super::kept::Kept;
use super::labels::Labels;
use crate::client::WatchEvent;
use crate::model::{Kind, Object, ObjectKey, ResourceVersion};
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
    version: ResourceVersion,
    created: Option<Timestamp>,
    labels: Labels,
    /// Only for pods.
    pub(in crate::tui) pod: Option<PodFacts>,
}

impl Row {
    pub(in crate::tui) fn of(object: Object) -> Self {
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
        let labels = Labels::of(object.meta().labels.as_ref());
        Self {
            widths: [key.name.width(), namespace.width(), status.width()],
            version: object.resource_version(),
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

    pub(in crate::tui) fn labels(&self) -> &Labels {
        &self.labels
    }

    pub(in crate::tui) fn event(&self) -> Option<&Event> {
        self.object.event()
    }

    /// For the AGE column and sorting by it; events count from when they were last seen.
    pub(in crate::tui) fn since(&self) -> Option<Timestamp> {
        self.created
    }
}

/// One step of a watch, worked out for the list by the task that watches.
#[derive(Clone, Debug)]
pub(in crate::tui) enum RowEvent {
    Put(Arc<Row>),
    /// With the version of its end.
    Gone(ObjectKey, ResourceVersion),
}

impl RowEvent {
    /// `None` for what changes no row.
    pub(in crate::tui) fn of(event: WatchEvent) -> Option<Self> {
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                Some(Self::Put(Arc::new(Row::of(object))))
            }
            WatchEvent::Deleted(object) => {
                Some(Self::Gone(object.key(), object.resource_version()))
            }
            WatchEvent::Bookmark(_) => None,
        }
    }
}

/// What became of one row; nothing when it is neither before nor after.
#[derive(Clone, Debug, Default)]
pub(in crate::tui) struct Change {
    pub(in crate::tui) before: Option<Arc<Row>>,
    pub(in crate::tui) after: Option<Arc<Row>>,
}

impl Change {
    /// The row when it got into trouble by this.
    pub(in crate::tui) fn fallen(&self) -> Option<&Arc<Row>> {
        let is_bad = |row: &&Arc<Row>| row.health == Health::Bad;
        let was_bad = self.before.as_ref().filter(is_bad).is_some();
        self.after.as_ref().filter(is_bad).filter(|_| !was_bad)
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

/// A row, found by the key that is in it.
#[derive(Clone, Debug)]
struct Keyed(Arc<Row>);

impl Borrow<ObjectKey> for Keyed {
    fn borrow(&self) -> &ObjectKey {
        &self.0.key
    }
}

impl Ord for Keyed {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.key.cmp(&other.0.key)
    }
}

impl PartialOrd for Keyed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Keyed {
    fn eq(&self, other: &Self) -> bool {
        self.0.key == other.0.key
    }
}

impl Eq for Keyed {}

/// All objects of one kind in one namespace (or all), as told by one watch.
#[derive(Clone, Debug)]
pub(in crate::tui) struct Collection {
    /// Tells the messages of this watch from those of an earlier one of the same kind.
    pub(in crate::tui) generation: u64,
    pub(in crate::tui) namespace: Option<String>,
    pub(in crate::tui) liveness: Liveness,
    rows: BTreeSet<Keyed>,
    /// The newest version that the watch has told of.
    seen: ResourceVersion,
    /// Rows by their health.
    counts: [usize; 5],
}

impl Collection {
    pub(in crate::tui) fn new(generation: u64, namespace: Option<String>) -> Self {
        Self {
            generation,
            namespace,
            liveness: Liveness::Loading,
            rows: BTreeSet::new(),
            seen: ResourceVersion::default(),
            counts: [0; 5],
        }
    }

    pub(in crate::tui) fn reset(&mut self, rows: Vec<Arc<Row>>) {
        self.rows.clear();
        self.counts = [0; 5];
        self.seen = ResourceVersion::default();
        self.extend(rows);
        self.liveness = Liveness::Live;
    }

    pub(in crate::tui) fn extend(&mut self, rows: Vec<Arc<Row>>) {
        for row in rows {
            self.seen = self.seen.max(row.version);
            self.insert(row);
        }
    }

    /// What a write of this screen was answered with: so that nothing is edited, or taken back, that is older than
    /// what one has written oneself. A watch that has come as far knows better, of its deletion for example.
    pub(in crate::tui) fn wrote(&mut self, object: Object) {
        let is_inside = self
            .namespace
            .as_ref()
            .is_none_or(|namespace| namespace == object.namespace());
        let is_ahead = object.resource_version() > self.seen;
        if is_inside && is_ahead && self.liveness == Liveness::Live {
            self.insert(Arc::new(Row::of(object)));
        }
    }

    pub(in crate::tui) fn apply(&mut self, event: RowEvent) -> Change {
        self.liveness = Liveness::Live;
        match event {
            RowEvent::Put(row) => {
                self.seen = self.seen.max(row.version);
                self.insert(row)
            }
            RowEvent::Gone(key, version) => {
                self.seen = self.seen.max(version);
                let before = self.rows.take(&key).map(|keyed| keyed.0);
                if let Some(row) = &before {
                    self.counts[row.health as usize] -= 1;
                }
                Change {
                    before,
                    after: None,
                }
            }
        }
    }

    /// What is older than the row, which a write may have brought up to date before the watch, changes nothing.
    fn insert(&mut self, row: Arc<Row>) -> Change {
        let known = self.get(&row.key);
        if known.is_some_and(|known| known.version > row.version) {
            return Change::default();
        }
        self.counts[row.health as usize] += 1;
        let before = self.rows.replace(Keyed(Arc::clone(&row)));
        let before = before.map(|keyed| keyed.0);
        if let Some(old) = &before {
            self.counts[old.health as usize] -= 1;
        }
        Change {
            before,
            after: Some(row),
        }
    }

    pub(in crate::tui) fn get(&self, key: &ObjectKey) -> Option<&Arc<Row>> {
        self.rows.get(key).map(|keyed| &keyed.0)
    }

    pub(in crate::tui) fn count(&self, health: Health) -> usize {
        self.counts[health as usize]
    }

    pub(in crate::tui) fn rows(&self) -> impl ExactSizeIterator<Item = &Arc<Row>> {
        self.rows.iter().map(|keyed| &keyed.0)
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

    /// See [`Collection::wrote`].
    pub(in crate::tui) fn wrote(&mut self, object: Object) {
        if let Some(collection) = self.by_kind.get_mut(&object.kind()) {
            collection.wrote(object);
        }
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
    pub(in crate::tui) fn events_about(&self, subject: &Row) -> Vec<&Arc<Row>> {
        let uid = subject.object.uid();
        let about = |row: &&Arc<Row>| {
            let Some(event) = row.event() else {
                return false;
            };
            let involved = &event.involved_object;
            match involved.uid.as_deref() {
                Some(known) if !known.is_empty() => known == uid.as_str(),
                _ => {
                    involved.kind.as_deref() == Some(subject.key.kind.as_str())
                        && involved.name.as_deref() == Some(&*subject.key.name)
                        && involved.namespace.as_deref().unwrap_or_default() == subject.namespace()
                }
            }
        };
        let mut rows: Vec<&Arc<Row>> = self.rows(Kind::Event).filter(about).collect();
        rows.sort_by_key(|row| row.since());
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::testing::pod_json;

    fn pod(version: u64, label: &str) -> Object {
        let mut value = pod_json("web", serde_json::json!({"phase": "Running"}));
        value["metadata"]["resourceVersion"] = version.to_string().into();
        value["metadata"]["labels"] = serde_json::json!({"v": label});
        Object::from_value(Kind::Pod, value).unwrap()
    }

    fn row(object: Object) -> Arc<Row> {
        Arc::new(Row::of(object))
    }

    #[track_caller]
    fn check(collection: &Collection, expected: Option<&str>) {
        let shown = collection.rows().next();
        assert_eq!(shown.map(|row| row.labels().get("v").unwrap()), expected);
        assert_eq!(
            collection.counts.iter().sum::<usize>(),
            collection.rows().len()
        );
    }

    #[test]
    fn a_write_is_known_before_the_watch_tells_of_it() {
        let mut collection = Collection::new(1, None);
        collection.wrote(pod(9, "before the list"));
        check(&collection, None);
        collection.reset(vec![row(pod(7, "listed"))]);
        collection.wrote(pod(9, "written"));
        check(&collection, Some("written"));
        // What happened in between comes late; what the watch tells then is the same, and what follows counts.
        collection.apply(RowEvent::of(WatchEvent::Modified(pod(8, "between"))).unwrap());
        check(&collection, Some("written"));
        collection.apply(RowEvent::of(WatchEvent::Modified(pod(9, "told"))).unwrap());
        check(&collection, Some("told"));
        collection.apply(RowEvent::of(WatchEvent::Modified(pod(10, "later"))).unwrap());
        check(&collection, Some("later"));
    }

    #[test]
    fn an_answer_that_comes_late_changes_nothing() {
        let mut collection = Collection::new(1, None);
        collection.reset(vec![row(pod(7, "listed"))]);
        collection.apply(RowEvent::of(WatchEvent::Modified(pod(10, "later"))).unwrap());
        collection.wrote(pod(9, "written"));
        check(&collection, Some("later"));
        collection.apply(RowEvent::of(WatchEvent::Deleted(pod(11, "gone"))).unwrap());
        collection.wrote(pod(9, "written"));
        check(&collection, None);
        // Another namespace than the one that is watched.
        let mut collection = Collection::new(1, Some("elsewhere".to_owned()));
        collection.reset(Vec::new());
        collection.wrote(pod(9, "written"));
        check(&collection, None);
    }
}
