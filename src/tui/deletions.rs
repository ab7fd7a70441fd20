//! Deletions that were decided on and can still be taken back.
//!
//! The screen waits a few seconds before it asks the engine. Whoever leaves podtui meanwhile is asked what becomes of
//! them; where nobody can be asked (a signal, a lost terminal), what was confirmed is carried out before podtui ends.

use jiff::{SignedDuration, Timestamp};

use crate::base::Uid;
use crate::client::{DeleteOptions, Preconditions};
use crate::model::ObjectKey;

use super::effect::Effect;

/// How long a deletion can be taken back. The clock of the screen moves once per second, so it may be one less.
const GRACE: SignedDuration = SignedDuration::from_secs(6);
/// What is promised, and shown at first.
const SHOWN: i64 = 5;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Deletion {
    /// Another object that has taken the name by then is left alone.
    objects: Vec<(ObjectKey, Option<Uid>)>,
    /// Seconds the containers get; `None`: each object's own.
    grace: Option<i64>,
    due: Timestamp,
    /// The objects were marked; they are again when it is taken back.
    were_marked: bool,
}

/// What was taken back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TakenBack {
    pub(super) words: String,
    /// To be marked again.
    pub(super) marks: Vec<ObjectKey>,
}

impl Deletion {
    fn effects(self) -> impl Iterator<Item = Effect> {
        let grace_period_seconds = self.grace;
        self.objects
            .into_iter()
            .map(move |(key, uid)| Effect::Delete {
                key,
                options: DeleteOptions {
                    grace_period_seconds,
                    preconditions: Preconditions {
                        uid,
                        resource_version: None,
                    },
                    dry_run: false,
                },
            })
    }

    fn words(&self) -> String {
        match self.objects.as_slice() {
            [(key, _)] => format!("{} {}", key.kind.singular(), key.name),
            many => {
                let plural = many.first().map_or("objects", |(key, _)| key.kind.plural());
                format!("{} {plural}", many.len())
            }
        }
    }

    fn seconds(&self, now: Timestamp) -> i64 {
        self.due.duration_since(now).as_secs().clamp(1, SHOWN)
    }
}

/// The last decision stands at the end.
#[derive(Clone, Debug, Default)]
pub(super) struct Deletions {
    waiting: Vec<Deletion>,
}

impl Deletions {
    pub(super) fn add(
        &mut self,
        objects: Vec<(ObjectKey, Option<Uid>)>,
        grace: Option<i64>,
        were_marked: bool,
        now: Timestamp,
    ) {
        let due = now.checked_add(GRACE).unwrap_or(now);
        self.waiting.push(Deletion {
            objects,
            grace,
            due,
            were_marked,
        });
    }

    /// Takes the last decision back; says which.
    pub(super) fn take_back(&mut self) -> Option<TakenBack> {
        let deletion = self.waiting.pop()?;
        let words = deletion.words();
        let objects = deletion.objects.into_iter();
        let marks = objects.filter(|_| deletion.were_marked);
        Some(TakenBack {
            words,
            marks: marks.map(|(key, _)| key).collect(),
        })
    }

    pub(super) fn take_all_back(&mut self) {
        self.waiting.clear();
    }

    /// What cannot be taken back any more, and so does not wait: a kill of what terminates already.
    pub(super) fn at_once(objects: Vec<(ObjectKey, Option<Uid>)>, now: Timestamp) -> Vec<Effect> {
        let deletion = Deletion {
            objects,
            grace: Some(0),
            due: now,
            were_marked: false,
        };
        deletion.effects().collect()
    }

    /// Those whose time has come.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<Effect> {
        let (due, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|deletion| deletion.due <= now);
        self.waiting = waiting;
        due.into_iter().flat_map(Deletion::effects).collect()
    }

    pub(super) fn all_now(&mut self) -> Vec<Effect> {
        let all = std::mem::take(&mut self.waiting);
        all.into_iter().flat_map(Deletion::effects).collect()
    }

    /// Seconds until this object goes.
    pub(super) fn seconds_of(&self, key: &ObjectKey, now: Timestamp) -> Option<i64> {
        let concerns =
            |deletion: &&Deletion| deletion.objects.iter().any(|(object, _)| object == key);
        let found = self.waiting.iter().find(concerns)?;
        Some(found.seconds(now))
    }

    /// What `u` would take back, and how long it can: `pod web in 4 s`.
    pub(super) fn words(&self, now: Timestamp) -> Option<String> {
        let last = self.waiting.last()?;
        let more = match self.waiting.len() {
            1 => String::new(),
            many => format!(" (+{} more)", many - 1),
        };
        Some(format!(
            "deleting {} in {} s{more}",
            last.words(),
            last.seconds(now)
        ))
    }

    /// All of them, for the question whether to leave.
    pub(super) fn names(&self) -> Vec<String> {
        self.waiting.iter().map(Deletion::words).collect()
    }
}
