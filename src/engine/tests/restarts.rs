//! Restarts that a person asks for.

use std::collections::BTreeMap;

use super::super::fixtures::{Box, Was, at, container, observation, pod, sidecar};
use super::super::plan::{PodAction, plan};
use super::super::restart::{Backoffs, backoff_key};
use crate::model::restarts::RESTARTED_AT;
use crate::probe::Probes;

/// What is done at second 100 with a pod whose restart is asked for, and after how many seconds it is looked at again.
#[track_caller]
fn check(
    policy: &str,
    asked: &str,
    containers: &[(&str, &[Was])],
    expected: &str,
    again: Option<u64>,
) {
    let mut pod = pod(policy, vec![sidecar("s")], &["a", "b"]);
    pod.metadata.annotations = Some(BTreeMap::from([(
        RESTARTED_AT.to_owned(),
        asked.to_owned(),
    )]));
    let mut backoffs = Backoffs::default();
    // The last end of `a` has earned a long wait.
    for second in 60..70 {
        backoffs.step(backoff_key(&container("a")), at(second), at(second));
    }
    let seen = observation(Box::Ready, containers);
    let plan = plan(&pod, &seen, &Probes::default(), &backoffs, at(100));
    let words: Vec<String> = plan.actions.iter().filter_map(word).collect();
    assert_eq!(words.join(" "), expected, "{asked} {containers:?}");
    assert_eq!(plan.requeue_after.map(|after| after.as_secs()), again);
}

fn word(action: &PodAction) -> Option<String> {
    match action {
        PodAction::KillContainer { name, grace, .. } => {
            assert_eq!(*grace, None, "the grace period of the pod");
            Some(format!("kill:{name}"))
        }
        PodAction::StartContainer { name, .. } => Some(format!("start:{name}")),
        _ => None,
    }
}

#[test]
fn what_began_before_the_wish_is_followed_by_a_new_instance() {
    let all: &[(&str, &[Was])] = &[
        ("s", &[Was::Running]),
        ("a", &[Was::Running]),
        ("b", &[Was::Running]),
    ];
    let every = "kill:s kill:a kill:b start:s start:a start:b";
    check("Always", &at(90).to_string(), all, every, None);
    check("Never", &at(90).to_string(), all, every, None);
    // They run since second 1.
    check("Always", &at(1).to_string(), all, "", None);
    check("Always", &at(103).to_string(), all, "", Some(3));
    let one = format!(r#"{{"b": "{}"}}"#, at(90));
    check("Always", &one, all, "kill:b start:b", None);
    check("Always", "whenever", all, "", None);
}

#[test]
fn a_wish_ends_the_wait_for_a_restart() {
    let crashed: &[(&str, &[Was])] = &[
        ("s", &[Was::Running]),
        ("a", &[Was::Exited(1, 95)]),
        ("b", &[Was::Running]),
    ];
    check("Always", &at(1).to_string(), crashed, "", Some(295));
    let one = format!(r#"{{"a": "{}"}}"#, at(99));
    check("Always", &one, crashed, "start:a", None);
    // The engine died after the end of `a` and before its start: the wish is still there.
    check("Never", &one, crashed, "start:a", None);
    let before = format!(r#"{{"a": "{}"}}"#, at(94));
    check("Never", &before, crashed, "", None);
}
