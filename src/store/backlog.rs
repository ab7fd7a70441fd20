use super::{Change, StoreError};
use crate::base::chain;

/// Changes that are in effect but not in the journal, because it took nothing when they came: at most one
/// per object, in the order in which they have to be written.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    change: Change,
    /// The journal knows nothing of this object.
    is_new: bool,
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// An older change of the same object need not be written any more.
    pub(super) fn push(&mut self, change: Change) {
        let key = change.object.key();
        let older = self
            .waiting
            .iter()
            .position(|waiting| waiting.change.object.key() == key);
        let is_new = match older {
            Some(index) => self.waiting.remove(index).is_new,
            None => change.previous.is_none(),
        };
        if !(change.deleted && is_new) {
            self.waiting.push(Waiting { change, is_new });
        }
    }

    /// Writes what waits. What could not be written goes on waiting.
    pub(super) fn flush(
        &mut self,
        mut append: impl FnMut(&Change) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut written = 0;
        let result = self
            .waiting
            .iter()
            .try_for_each(|waiting| append(&waiting.change).map(|()| written += 1));
        self.waiting.drain(..written);
        result
    }
}

/// What a user is told while there is a backlog.
pub(super) fn told(error: &StoreError) -> String {
    format!(
        "what happens is kept in memory only and would be lost with podtui: {}",
        chain(error)
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k8s_openapi::api::core::v1::ConfigMap;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::*;
    use crate::model::{Object, ResourceVersion};

    fn change(name: &str, version: u64, is_new: bool, deleted: bool) -> Change {
        let object = Object::ConfigMap(Arc::new(ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            ..ConfigMap::default()
        }));
        Change {
            version: ResourceVersion(version),
            previous: (!is_new).then(|| object.clone()),
            object,
            deleted,
        }
    }

    #[track_caller]
    fn check(changes: &[(&str, bool, bool)], expected: &[(&str, u64)]) {
        let mut backlog = Backlog::default();
        for (version, (name, is_new, deleted)) in (1..).zip(changes) {
            backlog.push(change(name, version, *is_new, *deleted));
        }
        let mut written = Vec::new();
        let append = |change: &Change| {
            written.push((change.object.name().to_owned(), change.version.0));
            Ok(())
        };
        backlog.flush(append).unwrap();
        let expected: Vec<(String, u64)> = expected
            .iter()
            .map(|(name, version)| ((*name).to_owned(), *version))
            .collect();
        assert_eq!(written, expected);
        assert!(backlog.is_empty());
    }

    #[test]
    fn the_last_change_of_each_object_is_written() {
        check(
            &[("a", true, false), ("b", false, false), ("a", false, false)],
            &[("b", 2), ("a", 3)],
        );
        // An object of which the journal never heard need not be deleted there.
        check(
            &[
                ("a", true, false),
                ("b", false, false),
                ("a", false, true),
                ("b", false, true),
            ],
            &[("b", 4)],
        );
        // Deleted and made anew.
        check(&[("a", false, true), ("a", true, false)], &[("a", 2)]);
    }

    #[test]
    fn what_was_not_written_waits_on() {
        let mut backlog = Backlog::default();
        for (version, name) in (1..).zip(["a", "b", "c"]) {
            backlog.push(change(name, version, true, false));
        }
        let mut room = 1;
        let refused = backlog.flush(|_| {
            room -= 1;
            if room < 0 {
                Err(StoreError::Closed)
            } else {
                Ok(())
            }
        });
        assert!(refused.is_err());
        let mut left = Vec::new();
        backlog
            .flush(|change| {
                left.push(change.version.0);
                Ok(())
            })
            .unwrap();
        assert_eq!(left, [2, 3]);
    }
}
