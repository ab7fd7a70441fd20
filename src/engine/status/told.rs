//! What was told before and is not to be seen any more: at least the situations of the kubelet's table for
//! `convertToAPIContainerStatuses`, derived from the rules.

use serde_json::{Value, json};

use super::super::fixtures::{Box, Was, at, container, observation, pod, sidecar};
use super::super::observe::Instances;
use super::*;

/// What was told of a container, in one word: `r` it runs, `w` it waits, a number it ended with this code.
fn told_state(word: &str) -> Value {
    match word {
        "" => json!({}),
        "r" => json!({"running": {}}),
        "w" => json!({"waiting": {"reason": "ContainerCreating"}}),
        code => {
            let code: i32 = code.parse().unwrap();
            json!({"terminated": {"exitCode": code, "reason": "Error", "containerID": "podtui://old"}})
        }
    }
}

/// `state/lastState #restarts`.
fn short(status: &ContainerStatus) -> String {
    let state = serde_json::to_value(&status.state).unwrap();
    let last = serde_json::to_value(&status.last_state).unwrap();
    let one = |state: &Value| {
        if let Some(waiting) = state.get("waiting") {
            return format!("waits {}", waiting["reason"].as_str().unwrap_or_default());
        }
        if let Some(end) = state.get("terminated") {
            return format!("{} {}", end["reason"].as_str().unwrap(), end["exitCode"]);
        }
        state.get("running").map_or("", |_| "runs").to_owned()
    };
    format!("{}/{} #{}", one(&state), one(&last), status.restart_count)
}

struct Given<'a> {
    /// `state lastState restarts` as they were told.
    told: (&'a str, &'a str, i32),
    seen: &'a [Was],
    is_deleted: bool,
}

#[track_caller]
fn check(given: &Given<'_>, expected: &str) -> ContainerStatus {
    let mut pod = pod("Always", vec![], &["a"]);
    if given.is_deleted {
        pod.metadata.deletion_timestamp = Some(time(at(90)));
    }
    let (state, last, restarts) = given.told;
    let told = json!({"containerStatuses": [{
        "name": "a", "image": "told", "imageID": "told-id", "ready": true, "containerID": "podtui://old",
        "restartCount": restarts, "state": told_state(state), "lastState": told_state(last),
    }]});
    pod.status = Some(serde_json::from_value(told).unwrap());
    let seen = observation(Box::Ready, &[("a", given.seen)]);
    let history = History::default();
    let status = pod_status(&pod, &seen, &Probes::default(), &history, at(100));
    let mut found = status.container_statuses.unwrap();
    assert_eq!(
        short(&found[0]),
        expected,
        "{:?} {:?}",
        given.told,
        given.seen
    );
    found.remove(0)
}

#[test]
fn of_what_is_gone_the_end_is_inferred() {
    let gone = |told, is_deleted| Given {
        told,
        seen: &[],
        is_deleted,
    };
    let waits = "waits ContainerCreating";
    let status = check(
        &gone(("r", "", 0), true),
        &format!("{waits}/ContainerStatusUnknown 137 #0"),
    );
    let end = status.last_state.unwrap().terminated.unwrap();
    assert_eq!(
        end.message.as_deref(),
        Some(
            "The container could not be located when the pod was deleted.  The container used to be Running"
        )
    );
    assert_eq!((end.container_id, end.finished_at), (None, None));
    check(
        &gone(("r", "", 0), false),
        &format!("{waits}/ContainerStatusUnknown 137 #1"),
    );
    // It had ended before: that end is known and stays.
    check(&gone(("r", "3", 4), false), &format!("{waits}/Error 3 #4"));
    check(&gone(("w", "", 0), false), &format!("{waits}/ #0"));
    check(&gone(("w", "3", 4), false), &format!("{waits}/Error 3 #4"));
    // An end that was told is kept with all that belongs to it.
    let status = check(&gone(("-1", "", 5), false), "Error -1/ #5");
    assert_eq!(
        (status.image.as_str(), status.image_id.as_str()),
        ("told", "told-id")
    );
    assert_eq!(status.container_id.as_deref(), Some("podtui://old"));
    check(&gone(("0", "7", 2), false), "Error 0/Error 7 #2");
}

#[test]
fn numbers_and_ends_that_were_told_are_not_lost() {
    let seen = |told, seen| Given {
        told,
        seen,
        is_deleted: false,
    };
    check(&seen(("-1", "", 5), &[Was::Running]), "runs/Error -1 #6");
    check(&seen(("r", "3", 6), &[Was::Running]), "runs/Error 3 #6");
    check(&seen(("w", "3", 6), &[Was::Running]), "runs/Error 3 #6");
    check(&seen(("w", "3", 6), &[Was::Created]), "waits /Error 3 #6");
    check(&seen(("r", "", 1), &[Was::Exited(0, 9)]), "Completed 0/ #1");
    check(
        &seen(("1", "", 0), &[Was::Running, Was::Exited(2, 9)]),
        "runs/Error 2 #1",
    );
}

/// One container asked for a restart of all: what the others and it show until they run again.
#[test]
fn what_was_removed_waits_for_the_restart_of_all() {
    let anew = |told, seen| Given {
        told,
        seen,
        is_deleted: false,
    };
    let waits = "waits RestartingAllContainers/RestartingAllContainers 137";
    let status = check(
        &anew(("r", "", 0), &[Was::Removed(143, 99)]),
        &format!("{waits} #1"),
    );
    let message = Some("The container is removed because RestartAllContainers in place");
    let waiting = status.state.unwrap().waiting.unwrap();
    assert_eq!(waiting.message.as_deref(), message);
    let end = status.last_state.unwrap().terminated.unwrap();
    assert_eq!(end.message.as_deref(), message);
    // Also of those that had ended by themselves.
    check(
        &anew(("42", "", 0), &[Was::Removed(42, 99)]),
        &format!("{waits} #1"),
    );
    check(
        &anew(("0", "", 1), &[Was::Removed(0, 99), Was::Exited(1, 9)]),
        &format!("{waits} #2"),
    );
    // They run again, and end.
    let runs = &[Was::Running, Was::Removed(143, 99)];
    check(
        &anew(("w", "", 1), runs),
        "runs/RestartingAllContainers 137 #1",
    );
    check(
        &anew(("r", "", 1), &[Was::Exited(0, 99), Was::Removed(143, 50)]),
        "Completed 0/RestartingAllContainers 137 #1",
    );
    check(
        &anew(("r", "", 1), &[Was::Exited(1, 99), Was::Removed(143, 50)]),
        "Error 1/RestartingAllContainers 137 #1",
    );
    // Not removed yet.
    check(&anew(("r", "", 0), &[Was::Running]), "runs/ #0");
    check(&anew(("r", "", 0), &[Was::Exited(42, 99)]), "Error 42/ #0");
}

/// An engine that starts between the removal and the restart goes on with the same numbers.
#[test]
fn a_removal_is_read_back() {
    let check = |list: &[Was], expected: &[(u32, bool)]| {
        let pod = pod("Never", vec![], &["a"]);
        let seen = observation(Box::Ready, &[("a", list)]);
        let history = History::default();
        let status = pod_status(&pod, &seen, &Probes::default(), &history, at(100));
        let read = Instances::from_status(&status);
        let found: Vec<_> = read
            .of("a")
            .iter()
            .map(|one| (one.attempt, one.removed))
            .collect();
        assert_eq!(found, expected, "{list:?}");
    };
    check(&[Was::Removed(143, 9)], &[(0, true)]);
    check(&[Was::Removed(143, 9), Was::Exited(1, 9)], &[(1, true)]);
    check(
        &[Was::Running, Was::Removed(143, 9)],
        &[(1, false), (0, true)],
    );
    check(&[Was::Exited(1, 9)], &[(0, false)]);
}

/// States of an init container `i`, a sidecar `s` and the application `a`.
#[track_caller]
fn check_init(containers: &[(&str, &[Was])], expected: &str) -> ContainerStatus {
    let pod = pod("Always", vec![container("i"), sidecar("s")], &["a"]);
    let seen = observation(Box::Ready, containers);
    let history = History::default();
    let status = pod_status(&pod, &seen, &Probes::default(), &history, at(100));
    let mut init = status.init_container_statuses.unwrap();
    let found: Vec<String> = init.iter().map(short).collect();
    assert_eq!(found.join(", "), expected, "{containers:?}");
    init.remove(0)
}

#[test]
fn an_init_container_that_nobody_remembers_has_ended_well() {
    let waits = "waits PodInitializing/ #0";
    let inferred = format!("Completed 0/ #0, {waits}");
    check_init(&[], &format!("{waits}, {waits}"));
    for begun in [
        Was::Created,
        Was::Running,
        Was::Exited(1, 9),
        Was::Earlier(1, 9),
    ] {
        let status = check_init(&[("a", &[begun])], &inferred);
        assert!(status.ready);
        let end = status.state.unwrap().terminated.unwrap();
        assert_eq!(
            end.message.as_deref(),
            Some(
                "Unable to get init container status from container runtime and pod has been initialized, treat it as exited normally"
            )
        );
        assert_eq!(
            (end.started_at, end.finished_at, end.container_id),
            (None, None, None)
        );
    }
    // Nothing is known of the application, or it was removed to begin anew.
    let nothing = format!("{waits}, {waits}");
    check_init(&[("a", &[Was::Lost(9)])], &nothing);
    check_init(&[("a", &[Was::Removed(1, 9)])], &nothing);
    // What is known is not inferred.
    check_init(
        &[("i", &[Was::Exited(3, 9)]), ("a", &[Was::Running])],
        &format!("Error 3/ #0, {waits}"),
    );
}

#[test]
fn an_inferred_end_survives_a_start_of_the_engine() {
    let mut pod = pod("Always", vec![container("i")], &["a"]);
    let seen = observation(Box::Ready, &[("a", &[Was::Running])]);
    let (probes, history) = (Probes::default(), History::default());
    let first = pod_status(&pod, &seen, &probes, &history, at(100));
    let mut read = Instances::from_status(&first);
    read.outlive_sandbox(at(110));
    pod.status = Some(first.clone());
    let seen = PodObservation {
        sandbox: seen.sandbox,
        instances: read,
    };
    let second = pod_status(&pod, &seen, &probes, &history, at(120));
    let (first, second) = [first, second]
        .map(|one| one.init_container_statuses.unwrap())
        .into();
    assert_eq!(short(&first[0]), short(&second[0]));
    let end = second[0].state.clone().unwrap().terminated.unwrap();
    assert_eq!((end.finished_at, end.container_id), (None, None));
}
