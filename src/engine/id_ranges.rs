//! Which ids of the machine belong to pods with a user namespace of their own (`hostUsers: false`).

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::base::Uid;
use crate::wire::IdRange;

/// Ids of one pod; a range begins with a multiple of it.
const LENGTH: u32 = 1 << 16;
/// Ranges of one engine: more than the pods of a node.
const WINDOW: u32 = 128;
/// Windows of all engines; the first range of all is the machine's own.
const WINDOWS: u32 = (1 << 16) / WINDOW - 1;

/// Hands out ranges that no two pods share.
#[derive(Debug)]
pub(super) struct IdRanges {
    /// Number of the first range of this engine.
    first: u32,
    /// Ids that others may use: `/etc/subuid` and `/etc/subgid`.
    taken: Vec<(u32, u32)>,
    pods: Mutex<HashMap<Uid, u32>>,
}

impl IdRanges {
    /// `hash` keeps the engines of a machine apart.
    pub(super) fn new(hash: u32, etc: &Path) -> Self {
        let taken = ["subuid", "subgid"].iter().flat_map(|name| {
            let text = std::fs::read_to_string(etc.join(name)).unwrap_or_default();
            delegated(&text)
        });
        Self {
            first: (hash % WINDOWS + 1) * WINDOW,
            taken: taken.collect(),
            pods: Mutex::default(),
        }
    }

    /// The range of this pod, the same one until it is released; `None` when there are no more.
    pub(super) fn reserve(&self, pod: &Uid) -> Option<IdRange> {
        let mut pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = pods.get(pod) {
            return Some(range(*number));
        }
        let number = (self.first..self.first + WINDOW).find(|number| {
            let ids = range(*number);
            let overlaps = |(start, count): &(u32, u32)| {
                *start < ids.start.saturating_add(LENGTH)
                    && ids.start < start.saturating_add(*count)
            };
            !pods.values().any(|other| other == number) && !self.taken.iter().any(overlaps)
        })?;
        pods.insert(pod.clone(), number);
        Some(range(number))
    }

    /// A pod that runs already keeps what it has.
    pub(super) fn adopt(&self, pod: &Uid, ids: IdRange) {
        let mut pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        pods.insert(pod.clone(), ids.start / LENGTH);
    }

    pub(super) fn release(&self, pod: &Uid) {
        let mut pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        pods.remove(pod);
    }
}

fn range(number: u32) -> IdRange {
    IdRange {
        start: number * LENGTH,
        length: LENGTH,
    }
}

/// First id and count of each line of subuid(5).
fn delegated(text: &str) -> Vec<(u32, u32)> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.trim().split(':').skip(1);
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(subuid: &str) -> IdRanges {
        let etc = tempfile::tempdir().unwrap();
        std::fs::write(etc.path().join("subuid"), subuid).unwrap();
        IdRanges::new(0, etc.path())
    }

    fn uid(name: &str) -> Uid {
        Uid::new(name.to_owned())
    }

    #[test]
    fn ranges_are_apart_kept_and_given_back() {
        let ranges = ranges("");
        let start = |name: &str| ranges.reserve(&uid(name)).unwrap().start;
        let first = WINDOW * LENGTH;
        assert_eq!(
            [start("a"), start("b"), start("a")],
            [first, first + LENGTH, first]
        );
        ranges.release(&uid("a"));
        assert_eq!(start("c"), first);
        ranges.adopt(&uid("d"), range(WINDOW + 2));
        assert_eq!(start("e"), first + 3 * LENGTH);
        for number in 0..WINDOW {
            ranges.reserve(&uid(&format!("x{number}")));
        }
        assert_eq!(ranges.reserve(&uid("last")), None);
    }

    #[test]
    fn ids_of_others_are_left_alone() {
        let first = WINDOW * LENGTH;
        let ranges = ranges(&format!("# x\nuser:{}:65536\nodd\n", first + LENGTH - 1));
        assert_eq!(ranges.reserve(&uid("a")).unwrap().start, first + 2 * LENGTH);
    }

    #[test]
    fn no_window_leaves_the_numbers_there_are() {
        let last = IdRanges::new(WINDOWS - 1, Path::new("/nonexistent"));
        let end = u64::from(last.first + WINDOW) * u64::from(LENGTH);
        assert!(end <= 1 << 32);
    }
}
