//! The only writer of Events: texts come in, correlated Event objects go to the store.
//!
//! Correlation is the kubelet's: a spam filter per object, aggregation of similar messages, counting of
//! equal ones. The scheduler's events are of the newer kind (`events.k8s.io`): repeated ones are a series, and
//! nothing is filtered. Both are pure (`Correlator`); the task around it only writes.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSeries, EventSource, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time};
use tokio::sync::mpsc;

use crate::base::{Clock, chain};
use crate::model::pod::find_ephemeral;
use crate::store::StatusWriter;

/// Events are kept this long (`--event-ttl` of the API server).
const RETENTION: Duration = Duration::from_secs(3600);
const PRUNE_EVERY: Duration = Duration::from_secs(600);
/// Texts that wait to be written. A worker never waits for the recorder; more than this at once is a storm
/// that the spam filter would cut anyway.
const QUEUE: usize = 4096;

const BURST: f64 = 25.0;
const REFILL_SECONDS: f64 = 300.0;
const SIMILAR: usize = 10;
const SIMILAR_WITHIN: Duration = Duration::from_secs(600);
const CACHE: usize = 4096;
/// A series that was silent for longer is over (client-go `events.finishTime`).
const SERIES_ENDS: Duration = Duration::from_secs(360);
const MESSAGE_LIMIT: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Level {
    Normal,
    Warning,
}

impl Level {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Happening {
    pub(super) at: Timestamp,
    /// `kubelet`, `default-scheduler` or `persistentvolume-controller`.
    pub(super) component: &'static str,
    pub(super) object: ObjectReference,
    pub(super) level: Level,
    pub(super) reason: String,
    pub(super) message: String,
}

#[derive(Clone)]
pub(super) struct Recorder {
    queue: mpsc::Sender<Happening>,
    clock: Clock,
}

/// `fieldPath` of an event about one container.
pub(super) fn field_path(pod: &Pod, container: &str) -> String {
    let is_init = pod
        .spec
        .iter()
        .flat_map(|spec| spec.init_containers.iter().flatten())
        .any(|init| init.name == container);
    let is_ephemeral = || {
        pod.spec
            .as_ref()
            .is_some_and(|spec| find_ephemeral(spec, container).is_some())
    };
    let list = if is_init {
        "initContainers"
    } else if is_ephemeral() {
        "ephemeralContainers"
    } else {
        "containers"
    };
    format!("spec.{list}{{{container}}}")
}

impl Recorder {
    /// Starts the task that writes. It ends when the last recorder is dropped.
    pub(super) fn start(status: Arc<StatusWriter>, node: String, clock: Clock) -> Self {
        let (queue, happenings) = mpsc::channel(QUEUE);
        let recorder = Self {
            queue,
            clock: clock.clone(),
        };
        tokio::spawn(write(status, node, clock, happenings));
        recorder
    }

    pub(super) fn pod(
        &self,
        component: &'static str,
        pod: &Pod,
        container: Option<&str>,
        level: Level,
        reason: &str,
        message: String,
    ) {
        let meta = &pod.metadata;
        self.record(Happening {
            at: self.clock.now(),
            component,
            object: ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                namespace: meta.namespace.clone(),
                name: meta.name.clone(),
                uid: meta.uid.clone(),
                resource_version: meta.resource_version.clone(),
                field_path: container.map(|container| field_path(pod, container)),
            },
            level,
            reason: reason.to_owned(),
            message,
        });
    }

    /// Something about an object that is no pod.
    pub(super) fn object(
        &self,
        component: &'static str,
        object: ObjectReference,
        level: Level,
        reason: &str,
        message: String,
    ) {
        self.record(Happening {
            at: self.clock.now(),
            component,
            object,
            level,
            reason: reason.to_owned(),
            message,
        });
    }

    /// Something about the node itself; `name` is also its uid, as in the kubelet's events.
    pub(super) fn node(&self, name: &str, level: Level, reason: &str, message: String) {
        self.record(Happening {
            at: self.clock.now(),
            component: KUBELET,
            object: ObjectReference {
                kind: Some("Node".to_owned()),
                name: Some(name.to_owned()),
                uid: Some(name.to_owned()),
                ..ObjectReference::default()
            },
            level,
            reason: reason.to_owned(),
            message,
        });
    }

    fn record(&self, happening: Happening) {
        if let Err(error) = self.queue.try_send(happening) {
            tracing::warn!(%error, "an event was dropped");
        }
    }
}

async fn write(
    status: Arc<StatusWriter>,
    node: String,
    clock: Clock,
    mut happenings: mpsc::Receiver<Happening>,
) {
    let mut correlator = Correlator::new(node);
    let mut prune = tokio::time::interval(PRUNE_EVERY);
    prune.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        // `recv` and `tick` lose nothing when they are dropped.
        tokio::select! {
            happening = happenings.recv() => {
                let Some(happening) = happening else { return };
                let Some(event) = correlator.correlate(happening) else { continue };
                if let Err(error) = status.put_event(event).await {
                    tracing::warn!(error = chain(&error), "an event could not be written");
                }
            }
            _ = prune.tick() => {
                let before = clock.now().checked_sub(RETENTION).unwrap_or(Timestamp::MIN);
                if let Err(error) = status.prune_events(before).await {
                    tracing::warn!(error = chain(&error), "old events could not be removed");
                }
            }
        }
    }
}

/// A map that forgets what was not used for longest.
struct Recent<K, V> {
    entries: HashMap<K, (Timestamp, V)>,
}

impl<K: Hash + Eq + Clone, V> Recent<K, V> {
    fn new() -> Self {
        Self {
            entries: HashMap::new(),
        }
    }

    fn entry(&mut self, key: K, now: Timestamp, new: impl FnOnce() -> V) -> &mut V {
        if self.entries.len() >= CACHE && !self.entries.contains_key(&key) {
            let oldest = self
                .entries
                .iter()
                .min_by_key(|(_, (used, _))| *used)
                .map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                self.entries.remove(&oldest);
            }
        }
        let (used, value) = self.entries.entry(key).or_insert_with(|| (now, new()));
        *used = now;
        value
    }
}

/// Object without the fields that differ between events of one pod.
type ObjectId = (
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
);

#[derive(Clone, PartialEq, Eq, Hash)]
struct SpamKey {
    component: &'static str,
    object: ObjectId,
    level: Level,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct SimilarKey {
    spam: SpamKey,
    reason: String,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct EqualKey {
    similar: SimilarKey,
    field_path: Option<String>,
    /// Empty for the combined event.
    message: String,
}

struct Bucket {
    tokens: f64,
    filled_at: Timestamp,
}

#[derive(Default)]
struct Similar {
    messages: BTreeSet<String>,
    last_at: Option<Timestamp>,
}

struct Written {
    name: String,
    first_at: Timestamp,
    last_at: Timestamp,
    count: i32,
}

impl Written {
    fn new(name: String, now: Timestamp) -> Self {
        Self {
            name,
            first_at: now,
            last_at: now,
            count: 0,
        }
    }
}

/// Decides which Event object a happening becomes, or that it is dropped.
pub(super) struct Correlator {
    node: String,
    buckets: Recent<SpamKey, Bucket>,
    similar: Recent<SimilarKey, Similar>,
    written: Recent<EqualKey, Written>,
    last_nanos: i128,
}

impl Correlator {
    pub(super) fn new(node: String) -> Self {
        Self {
            node,
            buckets: Recent::new(),
            similar: Recent::new(),
            written: Recent::new(),
            last_nanos: 0,
        }
    }

    pub(super) fn correlate(&mut self, mut happening: Happening) -> Option<Event> {
        let now = happening.at;
        truncate(&mut happening.message);
        let object = &happening.object;
        let spam = SpamKey {
            component: happening.component,
            object: (
                object.kind.clone(),
                object.namespace.clone(),
                object.name.clone(),
                object.uid.clone(),
            ),
            level: happening.level,
        };
        let similar = SimilarKey {
            spam: spam.clone(),
            reason: happening.reason.clone(),
        };
        let is_series = happening.component == SCHEDULER;
        let combined = !is_series && self.is_one_of_many(&similar, &happening.message, now);
        let key = EqualKey {
            similar,
            field_path: object.field_path.clone().filter(|_| !combined),
            message: if combined {
                String::new()
            } else {
                happening.message.clone()
            },
        };
        if combined {
            happening.message = format!("(combined from similar events): {}", happening.message);
            truncate(&mut happening.message);
        }
        let name = self.new_name(object.name.as_deref().unwrap_or_default(), now);
        let new = Written::new(name, now);
        let written = self
            .written
            .entry(key, now, || Written::new(new.name.clone(), now));
        if is_series && passed(written.last_at, now) > SERIES_ENDS {
            *written = new;
        }
        written.count = written.count.saturating_add(1);
        written.last_at = now;
        if is_series {
            return Some(in_series(&self.node, &happening, written));
        }
        let event = counted(&self.node, &happening, written);
        self.takes_token(spam, now).then_some(event)
    }

    /// Names end with the time in nanoseconds; two happenings of one instant get two names.
    fn new_name(&mut self, involved: &str, now: Timestamp) -> String {
        self.last_nanos = now.as_nanosecond().max(self.last_nanos + 1);
        format!("{involved}.{:x}", self.last_nanos)
    }

    fn is_one_of_many(&mut self, key: &SimilarKey, message: &str, now: Timestamp) -> bool {
        let similar = self.similar.entry(key.clone(), now, Similar::default);
        let recent = similar
            .last_at
            .is_some_and(|last| passed(last, now) <= SIMILAR_WITHIN);
        if !recent {
            similar.messages.clear();
        }
        similar.last_at = Some(now);
        // Those that were told by themselves are counted by themselves, also when there are many others.
        if similar.messages.contains(message) {
            return false;
        }
        let is_many = similar.messages.len() >= SIMILAR;
        if !is_many {
            similar.messages.insert(message.to_owned());
        }
        is_many
    }

    fn takes_token(&mut self, key: SpamKey, now: Timestamp) -> bool {
        let bucket = self.buckets.entry(key, now, || Bucket {
            tokens: BURST,
            filled_at: now,
        });
        let refill = passed(bucket.filled_at, now).as_secs_f64() / REFILL_SECONDS;
        bucket.tokens = (bucket.tokens + refill).min(BURST);
        bucket.filled_at = now;
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }
}

fn passed(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or(Duration::ZERO)
}

fn truncate(message: &mut String) {
    let mut end = MESSAGE_LIMIT.min(message.len());
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message.truncate(end);
}

/// What events of both kinds have.
fn base(happening: &Happening, written: &Written) -> Event {
    // Events of objects without a namespace live in `default`.
    let namespace = happening
        .object
        .namespace
        .clone()
        .filter(|namespace| !namespace.is_empty())
        .unwrap_or_else(|| "default".to_owned());
    Event {
        metadata: ObjectMeta {
            name: Some(written.name.clone()),
            namespace: Some(namespace),
            ..ObjectMeta::default()
        },
        involved_object: happening.object.clone(),
        reason: Some(happening.reason.clone()),
        message: Some(happening.message.clone()),
        type_: Some(happening.level.as_str().to_owned()),
        reporting_component: Some(happening.component.to_owned()),
        ..Event::default()
    }
}

fn counted(node: &str, happening: &Happening, written: &Written) -> Event {
    Event {
        source: Some(EventSource {
            component: Some(happening.component.to_owned()),
            host: (happening.component == KUBELET).then(|| node.to_owned()),
        }),
        reporting_instance: Some(node.to_owned()),
        first_timestamp: Some(Time(written.first_at)),
        last_timestamp: Some(Time(happening.at)),
        count: Some(written.count),
        ..base(happening, written)
    }
}

/// An event of `events.k8s.io` as the core API shows it: the second of its kind opens the series.
fn in_series(node: &str, happening: &Happening, written: &Written) -> Event {
    let action = match happening.reason.as_str() {
        "Scheduled" => "Binding",
        "Preempted" => "Preempting",
        _ => "Scheduling",
    };
    Event {
        source: Some(EventSource::default()),
        reporting_instance: Some(format!("{}-{node}", happening.component)),
        action: Some(action.to_owned()),
        event_time: Some(MicroTime(written.first_at)),
        series: (written.count > 1).then_some(EventSeries {
            count: Some(written.count),
            last_observed_time: Some(MicroTime(written.last_at)),
        }),
        ..base(happening, written)
    }
}

pub(super) const KUBELET: &str = "kubelet";
pub(super) const SCHEDULER: &str = "default-scheduler";
/// The controller that deletes pods from tainted nodes.
pub(super) const TAINT_EVICTION: &str = "taint-eviction-controller";
pub(super) const VOLUME_CONTROLLER: &str = "persistentvolume-controller";

#[cfg(test)]
mod tests {
    use super::super::fixtures::at;
    use super::*;

    fn happening(second: i64, reason: &str, message: &str) -> Happening {
        Happening {
            at: at(second),
            component: KUBELET,
            object: ObjectReference {
                kind: Some("Pod".to_owned()),
                namespace: Some("n".to_owned()),
                name: Some("p".to_owned()),
                uid: Some("u".to_owned()),
                ..ObjectReference::default()
            },
            level: Level::Warning,
            reason: reason.to_owned(),
            message: message.to_owned(),
        }
    }

    #[test]
    fn equal_events_are_counted() {
        let mut correlator = Correlator::new("node".to_owned());
        let first = correlator.correlate(happening(10, "BackOff", "m")).unwrap();
        let second = correlator.correlate(happening(30, "BackOff", "m")).unwrap();
        let other = correlator.correlate(happening(30, "BackOff", "x")).unwrap();
        assert_eq!(first.metadata.name, second.metadata.name);
        assert_ne!(first.metadata.name, other.metadata.name);
        assert_eq!(
            (first.count, second.count, other.count),
            (Some(1), Some(2), Some(1))
        );
        assert_eq!(second.first_timestamp, Some(Time(at(10))));
        assert_eq!(second.last_timestamp, Some(Time(at(30))));
        assert_eq!(first.metadata.name.unwrap(), "p.2540be400");
    }

    #[test]
    fn containers_are_counted_apart() {
        let mut correlator = Correlator::new("node".to_owned());
        let mut one = happening(10, "Created", "Container created");
        one.object.field_path = Some("spec.containers{a}".to_owned());
        let mut two = one.clone();
        two.object.field_path = Some("spec.containers{b}".to_owned());
        correlator.correlate(one).unwrap();
        assert_eq!(correlator.correlate(two).unwrap().count, Some(1));
    }

    #[test]
    fn more_than_ten_similar_messages_are_combined() {
        let mut correlator = Correlator::new("node".to_owned());
        let mut last = Event::default();
        for number in 0..12 {
            last = correlator
                .correlate(happening(10 + number, "Failed", &format!("m{number}")))
                .unwrap();
            let combined = last
                .message
                .as_deref()
                .unwrap()
                .starts_with("(combined from similar events): m");
            assert_eq!(combined, number >= 10);
        }
        assert_eq!(last.count, Some(2));
        // After ten quiet minutes they are told apart again.
        let later = correlator
            .correlate(happening(10_000, "Failed", "again"))
            .unwrap();
        assert_eq!(later.message.as_deref(), Some("again"));
    }

    #[test]
    fn a_storm_is_cut_and_the_bucket_refills() {
        let mut correlator = Correlator::new("node".to_owned());
        let passed = (0..100)
            .filter(|_| {
                correlator
                    .correlate(happening(10, "BackOff", "m"))
                    .is_some()
            })
            .count();
        assert_eq!(passed, 25);
        assert!(
            correlator
                .correlate(happening(200, "BackOff", "m"))
                .is_none()
        );
        let next = correlator
            .correlate(happening(310, "BackOff", "m"))
            .unwrap();
        // What was not written is still counted.
        assert_eq!(next.count, Some(102));
        // Another object is not concerned.
        let mut other = happening(310, "BackOff", "m");
        other.object.uid = Some("v".to_owned());
        assert!(correlator.correlate(other).is_some());
    }

    #[test]
    fn a_bucket_is_of_one_source_one_object_and_one_type() {
        let mut correlator = Correlator::new("node".to_owned());
        for _ in 0..25 {
            let told = correlator.correlate(happening(10, "BackOff", "m"));
            assert!(told.is_some());
        }
        let mut passes = |change: fn(&mut Happening)| {
            let mut next = happening(10, "BackOff", "m");
            change(&mut next);
            correlator.correlate(next).is_some()
        };
        // Another reason, message or container drinks from the same.
        assert!(!passes(|next| next.reason = "Failed".to_owned()));
        assert!(!passes(|next| next.message = "n".to_owned()));
        assert!(!passes(|next| {
            next.object.field_path = Some("spec.containers{b}".to_owned());
        }));
        assert!(passes(|next| next.level = Level::Normal));
        assert!(passes(|next| next.component = SCHEDULER));
        assert!(passes(|next| next.object.name = Some("q".to_owned())));
        assert!(passes(|next| next.object.namespace = Some("m".to_owned())));
    }

    /// After ten different messages of one reason, `next` comes `after` seconds later: is it combined?
    #[track_caller]
    fn check_similar(after: i64, change: fn(&mut Happening), expected: bool) {
        let mut correlator = Correlator::new("node".to_owned());
        for number in 0..10 {
            let message = format!("m{number}");
            correlator.correlate(happening(10, "Failed", &message));
        }
        let mut next = happening(10 + after, "Failed", "other");
        change(&mut next);
        let message = correlator.correlate(next).unwrap().message.unwrap();
        assert_eq!(
            message.starts_with("(combined from similar events): "),
            expected
        );
    }

    #[test]
    fn similar_is_the_same_reason_of_the_same_source_about_the_same_object() {
        check_similar(1, |_| {}, true);
        check_similar(600, |_| {}, true);
        check_similar(601, |_| {}, false);
        // A message that is known does not make them more.
        check_similar(1, |next| next.message = "m3".to_owned(), false);
        let container = |next: &mut Happening| {
            next.object.field_path = Some("spec.containers{b}".to_owned());
        };
        check_similar(1, container, true);
        check_similar(1, |next| next.reason = "BackOff".to_owned(), false);
        check_similar(1, |next| next.level = Level::Normal, false);
        check_similar(1, |next| next.component = SCHEDULER, false);
        check_similar(1, |next| next.object.uid = Some("v".to_owned()), false);
    }

    #[test]
    fn of_many_similar_messages_the_known_ones_stay_apart() {
        let mut correlator = Correlator::new("node".to_owned());
        let mut tell = |number: i32| {
            let message = format!("m{number}");
            let event = correlator.correlate(happening(10, "Failed", &message));
            let event = event.unwrap();
            let combined = event.message.unwrap().starts_with("(combined from");
            (combined, event.count.unwrap())
        };
        for number in 0..10 {
            assert_eq!(tell(number), (false, 1));
        }
        assert_eq!(tell(10), (true, 1));
        assert_eq!(tell(3), (false, 2));
        assert_eq!(tell(11), (true, 2));
        assert_eq!(tell(10), (true, 3));
    }

    #[test]
    fn the_scheduler_tells_in_series() {
        let mut correlator = Correlator::new("node".to_owned());
        let mut tell = |second: i64, message: &str| {
            let mut next = happening(second, "FailedScheduling", message);
            next.component = SCHEDULER;
            correlator.correlate(next).unwrap()
        };
        let first = tell(10, "m");
        let time = |event: &Event| event.event_time.clone().map(|time| time.0);
        assert_eq!(first.series, None);
        assert_eq!(time(&first), Some(at(10)));
        assert_eq!(
            (
                first.first_timestamp.clone(),
                first.last_timestamp.clone(),
                first.count
            ),
            (None, None, None)
        );
        assert_eq!(first.source, Some(EventSource::default()));
        assert_eq!(
            first.reporting_component.as_deref(),
            Some("default-scheduler")
        );
        assert_eq!(
            first.reporting_instance.as_deref(),
            Some("default-scheduler-node")
        );
        assert_eq!(first.action.as_deref(), Some("Scheduling"));

        let second = tell(20, "m");
        let series = |event: &Event| {
            let series = event.series.clone()?;
            Some((series.count?, series.last_observed_time?.0))
        };
        assert_eq!(second.metadata.name, first.metadata.name);
        assert_eq!(time(&second), Some(at(10)));
        assert_eq!(series(&second), Some((2, at(20))));
        assert_eq!(series(&tell(380, "m")), Some((3, at(380))));
        assert_eq!(series(&tell(381, "other")), None);
        // Six minutes of silence end it.
        let late = tell(741, "m");
        assert_eq!((series(&late), time(&late)), (None, Some(at(741))));
        assert_ne!(late.metadata.name, first.metadata.name);
        // No spam filter, nothing combined.
        for number in 0..40 {
            let event = tell(742, &number.to_string());
            assert_eq!(event.message, Some(number.to_string()));
        }
        let mut bound = happening(750, "Scheduled", "m");
        bound.component = SCHEDULER;
        let bound = Correlator::new("node".to_owned()).correlate(bound).unwrap();
        assert_eq!(bound.action.as_deref(), Some("Binding"));
    }

    #[test]
    fn who_was_not_heard_of_for_longest_is_forgotten() {
        let mut correlator = Correlator::new("node".to_owned());
        let mut count = |second: i64, name: &str| {
            let mut next = happening(second, "BackOff", "m");
            next.object.name = Some(name.to_owned());
            correlator.correlate(next).unwrap().count
        };
        assert_eq!(count(1, "p"), Some(1));
        assert_eq!(count(2, "p"), Some(2));
        for number in 0..CACHE {
            count(3, &number.to_string());
        }
        assert_eq!(count(4, "p"), Some(1));
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let mut correlator = Correlator::new("node".to_owned());
        let event = correlator
            .correlate(happening(10, "Failed", &format!("a{}", "ü".repeat(1000))))
            .unwrap();
        assert_eq!(event.message.unwrap().len(), 1023);
    }
}
