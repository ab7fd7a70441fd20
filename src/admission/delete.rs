use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::Admitted;
use super::admit::time;
use crate::model::{Object, pod};

/// What a delete request does to an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum DeletePlan {
    /// The object goes at once; whatever still runs is killed by whoever watches.
    Remove,
    /// The object stays with this deletion time until its owner has cleaned up.
    Mark(Admitted<Object>),
    /// Deletion is already under way and this request does not hurry it.
    Unchanged,
}

/// Decides a delete request. `grace` is the requested period in seconds; `None` takes the pod's own.
///
/// Only pods terminate gracefully. A pod that no node has taken, or that has finished, goes at once; a negative
/// period becomes one second; a later request can only shorten the period (registry `BeforeDelete`).
pub(crate) fn plan_delete(object: &Object, grace: Option<i64>, now: Timestamp) -> DeletePlan {
    let deleting = object.meta().deletion_timestamp.is_some();
    let held = is_held(object);
    let grace = match object {
        Object::Pod(pod) if !pod::is_terminal(pod) && pod::node_name(pod).is_some() => {
            let own = pod
                .spec
                .as_ref()
                .and_then(|spec| spec.termination_grace_period_seconds);
            let grace = grace.or(own).unwrap_or(pod::DEFAULT_GRACE_SECONDS);
            if grace < 0 { 1 } else { grace }
        }
        _ => 0,
    };
    if grace == 0 && !held {
        return DeletePlan::Remove;
    }
    if deleting {
        shorten(object, grace, now)
    } else {
        mark(object, grace, now)
    }
}

/// Somebody has to clean up before the object may go: a finalizer, or for a namespace its contents.
fn is_held(object: &Object) -> bool {
    let held =
        |finalizers: &Option<Vec<String>>| finalizers.as_ref().is_some_and(|list| !list.is_empty());
    let contents = match object {
        Object::Namespace(namespace) => namespace
            .spec
            .as_ref()
            .is_some_and(|spec| held(&spec.finalizers)),
        _ => false,
    };
    contents || held(&object.meta().finalizers)
}

fn mark(object: &Object, grace: i64, now: Timestamp) -> DeletePlan {
    let mut object = object.clone();
    if let Object::Namespace(namespace) = &mut object {
        Arc::make_mut(namespace)
            .status
            .get_or_insert_default()
            .phase = Some("Terminating".to_owned());
    }
    let meta = object.meta_mut();
    meta.deletion_timestamp = Some(time(after(now, grace)));
    meta.deletion_grace_period_seconds = Some(grace);
    // A generation of zero means that none was ever counted.
    meta.generation = meta.generation.map(|generation| generation + 1);
    DeletePlan::Mark(Admitted::new(object))
}

fn shorten(object: &Object, grace: i64, now: Timestamp) -> DeletePlan {
    let meta = object.meta();
    let current = meta.deletion_grace_period_seconds.unwrap_or(0);
    if grace >= current {
        return DeletePlan::Unchanged;
    }
    let begun = meta
        .deletion_timestamp
        .as_ref()
        .map_or(now, |end| after(end.0, -current));
    let end = after(begun, grace);
    // A period that would already be over leaves one second, so that the stop is still an orderly one.
    let (grace, end) = if grace > 0 && end < now {
        (1, after(now, 1))
    } else {
        (grace, end)
    };
    let mut object = object.clone();
    let meta = object.meta_mut();
    meta.deletion_timestamp = Some(time(end));
    meta.deletion_grace_period_seconds = Some(grace);
    DeletePlan::Mark(Admitted::new(object))
}

fn after(start: Timestamp, seconds: i64) -> Timestamp {
    start
        .checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::Kind;

    const NOW: i64 = 1_000_000;

    fn pod(change: impl FnOnce(&mut Value)) -> Object {
        let mut value = json!({
            "metadata": {"name": "p", "namespace": "default", "generation": 1},
            "spec": {"containers": [], "nodeName": "here", "terminationGracePeriodSeconds": 20},
            "status": {"phase": "Running"},
        });
        change(&mut value);
        Object::from_value(Kind::Pod, value).unwrap()
    }

    fn plan(object: &Object, grace: Option<i64>, second: i64) -> DeletePlan {
        plan_delete(object, grace, Timestamp::from_second(second).unwrap())
    }

    /// `remove`, `unchanged` or `mark <grace> <seconds from NOW> <generation>`.
    #[track_caller]
    fn check(object: &Object, grace: Option<i64>, second: i64, expected: &str) {
        let text = match plan(object, grace, second) {
            DeletePlan::Remove => "remove".to_owned(),
            DeletePlan::Unchanged => "unchanged".to_owned(),
            DeletePlan::Mark(object) => {
                let meta = object.get().meta();
                let end = meta.deletion_timestamp.as_ref().unwrap().0.as_second() - NOW;
                let grace = meta.deletion_grace_period_seconds.unwrap();
                format!("mark {grace} {end} {}", meta.generation.unwrap())
            }
        };
        assert_eq!(text, expected);
    }

    #[test]
    fn first_request() {
        check(&pod(|_| {}), None, NOW, "mark 20 20 2");
        check(&pod(|_| {}), Some(5), NOW, "mark 5 5 2");
        check(&pod(|_| {}), Some(-7), NOW, "mark 1 1 2");
        check(&pod(|_| {}), Some(0), NOW, "remove");
        check(
            &pod(|pod| pod["spec"]["nodeName"] = json!("")),
            None,
            NOW,
            "remove",
        );
        check(
            &pod(|pod| pod["status"]["phase"] = json!("Failed")),
            Some(9),
            NOW,
            "remove",
        );
        check(
            &pod(|pod| pod["spec"]["terminationGracePeriodSeconds"] = json!(null)),
            None,
            NOW,
            "mark 30 30 2",
        );
        let held = pod(|pod| {
            pod["status"]["phase"] = json!("Succeeded");
            pod["metadata"]["finalizers"] = json!(["a/b"]);
        });
        check(&held, None, NOW, "mark 0 0 2");
        let map = Object::from_value(Kind::ConfigMap, json!({"metadata": {"name": "c"}})).unwrap();
        check(&map, Some(30), NOW, "remove");
    }

    #[test]
    fn later_requests_only_shorten() {
        let DeletePlan::Mark(marked) = plan(&pod(|_| {}), None, NOW) else {
            panic!("a running pod is marked")
        };
        let marked = marked.into_inner();
        check(&marked, None, NOW + 1, "unchanged");
        check(&marked, Some(40), NOW + 1, "unchanged");
        check(&marked, Some(10), NOW + 1, "mark 10 10 2");
        check(&marked, Some(3), NOW + 15, "mark 1 16 2");
        check(&marked, Some(0), NOW + 15, "remove");
    }
}
