//! The queue of pods in trouble, newest first.

use std::sync::Arc;

use jiff::Timestamp;

use super::data::{Collections, Health, Row};
use crate::model::{Kind, ObjectKey};

/// Pods that are bad, or of which something says why they are not well.
pub(super) fn queue(collections: &Collections) -> Vec<Arc<Row>> {
    let needs_attention = |row: &&Arc<Row>| {
        let is_explained = row.pod.as_ref().is_some_and(|facts| facts.why.is_some());
        row.health == Health::Bad || (is_explained && row.health != Health::Done)
    };
    let mut rows: Vec<Arc<Row>> = collections
        .rows(Kind::Pod)
        .filter(needs_attention)
        .cloned()
        .collect();
    // Those whose beginning is not known come last; equal ones in the order of their names.
    rows.sort_by_key(|row| std::cmp::Reverse(since(row)));
    rows
}

/// Since when a pod is in trouble.
pub(super) fn since(row: &Row) -> Option<Timestamp> {
    row.pod
        .as_ref()
        .and_then(|facts| facts.trouble_since)
        .or_else(|| row.since())
}

/// The one behind `current` in the queue, around its end; the first when that is not in it.
pub(super) fn next(
    queue: &[Arc<Row>],
    current: Option<&ObjectKey>,
    forward: bool,
) -> Option<ObjectKey> {
    let place = current.and_then(|current| queue.iter().position(|row| row.key == *current));
    let next = match place {
        None => 0,
        Some(place) if forward => (place + 1) % queue.len(),
        Some(place) => (place + queue.len() - 1) % queue.len(),
    };
    queue.get(next).map(|row| row.key.clone())
}
