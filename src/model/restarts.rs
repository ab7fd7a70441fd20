//! Restarts of containers in place, as they are asked for: by an annotation of the pod, so that the wish goes the
//! way of every change, survives an engine that dies, and is carried out exactly once.
//!
//! The value is an instant, for every container (`2026-01-02T03:04:05Z`), or a JSON object of instants by container
//! (`{"main": "2026-01-02T03:04:05Z"}`, `"*"` for all others). An instance that began before its instant is ended in
//! order and followed by a new one. Kubernetes has no verb for this; `kubectl rollout restart` does the same with an
//! annotation of a pod template.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, ContainerRestartRule, Pod};
use serde_json::{Value, json};

pub(crate) const RESTARTED_AT: &str = "podtui.dev/restarted-at";

/// Every container that is not named.
const ALL: &str = "*";

/// The rule of a container that decides what follows an end with this code: the first that matches.
pub(crate) fn matching_rule(
    container: &Container,
    exit_code: i32,
) -> Option<&ContainerRestartRule> {
    let mut rules = container.restart_policy_rules.iter().flatten();
    rules.find(|rule| {
        rule.exit_codes.as_ref().is_some_and(|codes| {
            let listed = codes.values.iter().flatten().any(|code| *code == exit_code);
            match codes.operator.as_str() {
                "In" => listed,
                "NotIn" => !listed,
                _ => false,
            }
        })
    })
}

/// What the annotation says; a value that cannot be read asks for nothing.
fn asked(pod: &Pod) -> BTreeMap<String, Timestamp> {
    let annotations = pod.metadata.annotations.as_ref();
    let text = annotations.and_then(|all| all.get(RESTARTED_AT));
    text.and_then(|text| read(text)).unwrap_or_default()
}

fn read(text: &str) -> Option<BTreeMap<String, Timestamp>> {
    match text.trim().parse() {
        Ok(at) => Some(BTreeMap::from([(ALL.to_owned(), at)])),
        Err(_) => serde_json::from_str(text).ok(),
    }
}

/// Whether a value of the annotation means anything.
pub(crate) fn is_readable(text: &str) -> bool {
    read(text).is_some()
}

/// When the running instance of this container has to make room for a new one. Whole seconds: that is how precisely
/// a status tells when an instance began.
pub(crate) fn asked_at(pod: &Pod, container: &str) -> Option<Timestamp> {
    let asked = asked(pod);
    let at = asked.get(container).max(asked.get(ALL))?;
    Some(whole_second(*at))
}

/// The merge patch that asks for a restart of one container, or of all.
pub(crate) fn restart_patch(pod: &Pod, container: Option<&str>, now: Timestamp) -> Value {
    let now = whole_second(now);
    let value = match container {
        None => now.to_string(),
        Some(name) => {
            let mut asked = asked(pod);
            asked.insert(name.to_owned(), now);
            json!(asked).to_string()
        }
    };
    json!({"metadata": {"annotations": {RESTARTED_AT: value}}})
}

/// The next full second, or the instant itself when it is one.
fn whole_second(at: Timestamp) -> Timestamp {
    let floor = Timestamp::from_second(at.as_second()).unwrap_or(at);
    if floor == at {
        return at;
    }
    floor
        .checked_add(SignedDuration::from_secs(1))
        .unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(annotation: Option<&str>) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.annotations =
            annotation.map(|text| BTreeMap::from([(RESTARTED_AT.to_owned(), text.to_owned())]));
        pod
    }

    #[track_caller]
    fn check(annotation: Option<&str>, container: &str, expected: Option<&str>) {
        let found = asked_at(&pod(annotation), container).map(|at| at.to_string());
        assert_eq!(found.as_deref(), expected, "{annotation:?} {container}");
    }

    #[test]
    fn what_is_asked_for() {
        check(None, "main", None);
        check(Some("soon"), "main", None);
        let all = Some("2026-01-02T03:04:05Z");
        check(all, "main", all);
        check(Some("2026-01-02T03:04:04.2Z"), "main", all);
        let one = Some(r#"{"main": "2026-01-02T03:04:05Z", "*": "2026-01-01T00:00:00Z"}"#);
        check(one, "main", all);
        check(one, "other", Some("2026-01-01T00:00:00Z"));
        check(Some(r#"{"main": "x"}"#), "main", None);
    }

    #[test]
    fn a_wish_for_one_keeps_those_for_others() {
        let now = "2026-01-02T03:04:05.9Z".parse().unwrap();
        let value = |patch: Value| {
            let value = &patch["metadata"]["annotations"][RESTARTED_AT];
            value.as_str().unwrap().to_owned()
        };
        let first = value(restart_patch(&pod(None), Some("a"), now));
        assert_eq!(first, r#"{"a":"2026-01-02T03:04:06Z"}"#);
        let second = value(restart_patch(&pod(Some(&first)), Some("b"), now));
        check(Some(&second), "a", Some("2026-01-02T03:04:06Z"));
        check(Some(&second), "b", Some("2026-01-02T03:04:06Z"));
        let all = value(restart_patch(&pod(Some(&second)), None, now));
        assert_eq!(all, "2026-01-02T03:04:06Z");
    }
}
