use k8s_openapi::api::core::v1::{Container, ContainerState};

use super::super::fixtures::{Box, Was, at, container, instance, observation, pod, sidecar};
use super::super::observe::Instance;
use super::container::{state_of, volume_mounts};
use super::*;
use crate::base::Victim;
use crate::model::pod::as_ephemeral;

fn why(reason: &str) -> Why {
    Why {
        reason: reason.to_owned(),
        message: format!("{reason} message"),
    }
}

/// `state/lastState` of a container, short.
fn short(status: &ContainerStatus) -> String {
    let one = |state: Option<&ContainerState>| -> String {
        let Some(state) = state else {
            return String::new();
        };
        if let Some(waiting) = &state.waiting {
            return format!("waiting:{}", waiting.reason.clone().unwrap_or_default());
        }
        if let Some(end) = &state.terminated {
            let reason = end.reason.clone().unwrap_or_default();
            return format!("{reason}:{}", end.exit_code);
        }
        "running".to_owned()
    };
    format!(
        "{}/{} #{}",
        one(status.state.as_ref()),
        one(status.last_state.as_ref()),
        status.restart_count
    )
}

#[track_caller]
fn check_container(policy: &str, list: &[Was], waiting: Option<&str>, ended: bool, expected: &str) {
    let pod = pod(policy, vec![], &["a"]);
    let history = History {
        waiting: waiting
            .map(|reason| ("a".to_owned(), why(reason)))
            .into_iter()
            .collect(),
        terminated: ended,
        ..History::default()
    };
    let seen = observation(Box::Ready, &[("a", list)]);
    let status = pod_status(&pod, &seen, &Probes::default(), &history, at(100));
    assert_eq!(
        short(&status.container_statuses.unwrap()[0]),
        expected,
        "{policy} {list:?} {waiting:?}"
    );
}

#[test]
fn container_states() {
    let first = &[Was::Exited(1, 90)];
    check_container("Always", &[], None, false, "waiting:ContainerCreating/ #0");
    check_container(
        "Always",
        &[],
        Some("ErrImagePull"),
        false,
        "waiting:ErrImagePull/ #0",
    );
    check_container("Always", &[Was::Created], None, false, "waiting:/ #0");
    check_container(
        "Always",
        &[Was::Starting, Was::Exited(1, 9)],
        None,
        false,
        "waiting:ContainerCreating/Error:1 #1",
    );
    check_container("Always", &[Was::Running], None, false, "running/ #0");
    check_container(
        "Always",
        &[Was::Running],
        Some("CrashLoopBackOff"),
        false,
        "running/ #0",
    );
    check_container("Always", first, None, false, "Error:1/ #0");
    check_container(
        "Always",
        first,
        Some("CrashLoopBackOff"),
        false,
        "waiting:CrashLoopBackOff/Error:1 #0",
    );
    check_container(
        "Never",
        first,
        Some("CrashLoopBackOff"),
        false,
        "Error:1/ #0",
    );
    check_container(
        "OnFailure",
        &[Was::Exited(0, 9)],
        Some("CrashLoopBackOff"),
        false,
        "Completed:0/ #0",
    );
    check_container(
        "Always",
        &[Was::Exited(2, 95), Was::Exited(1, 90)],
        Some("CrashLoopBackOff"),
        false,
        "waiting:CrashLoopBackOff/Error:2 #1",
    );
    check_container(
        "Always",
        &[Was::Running, Was::Exited(0, 9)],
        None,
        false,
        "running/Completed:0 #1",
    );
    check_container(
        "Always",
        &[Was::OutOfMemory(137, 9)],
        None,
        false,
        "OOMKilled:137/ #0",
    );
    check_container(
        "Always",
        &[Was::OutOfMemory(0, 9)],
        None,
        false,
        "Completed:0/ #0",
    );
    check_container(
        "Always",
        &[Was::OutOfMemory(1, 9)],
        None,
        false,
        "Error:1/ #0",
    );
    check_container(
        "Always",
        &[Was::Failed(9)],
        None,
        false,
        "StartError:128/ #0",
    );
    check_container(
        "Always",
        &[Was::Failed(9)],
        Some("RunContainerError"),
        false,
        "waiting:RunContainerError/StartError:128 #0",
    );
    check_container(
        "Always",
        &[Was::Lost(9)],
        None,
        false,
        "ContainerStatusUnknown:137/ #0",
    );
    check_container("Always", &[], None, true, "ContainerStatusUnknown:137/ #0");
    check_container(
        "Always",
        &[Was::Running],
        None,
        true,
        "ContainerStatusUnknown:137/ #0",
    );
    check_container(
        "Always",
        first,
        Some("CrashLoopBackOff"),
        true,
        "Error:1/ #0",
    );
}

/// `i,s/a` states of a pod with init container `i`, sidecar `s` and application `a` that is over.
#[track_caller]
fn check_over(containers: &[(&str, &[Was])], expected: &str) {
    let pod = pod("Always", vec![container("i"), sidecar("s")], &["a"]);
    let history = History {
        terminated: true,
        ..History::default()
    };
    let seen = observation(Box::None, containers);
    let status = pod_status(&pod, &seen, &Probes::default(), &history, at(100));
    let words = |list: &[ContainerStatus]| -> Vec<String> {
        let reason = |status: &ContainerStatus| {
            let state = status.state.clone().unwrap();
            state
                .terminated
                .and_then(|end| end.reason)
                .or(state.waiting.and_then(|waiting| waiting.reason))
                .unwrap()
        };
        list.iter().map(reason).collect()
    };
    let found = format!(
        "{} {}/{}",
        status.phase.unwrap(),
        words(&status.init_container_statuses.unwrap()).join(","),
        words(&status.container_statuses.unwrap()).join(",")
    );
    assert_eq!(found, expected, "{containers:?}");
}

#[test]
fn only_what_was_begun_ends_unknown() {
    let ok: &[Was] = &[Was::Exited(0, 9)];
    let bad: &[Was] = &[Was::Exited(3, 9)];
    let never = "PodInitializing";
    let lost = "ContainerStatusUnknown";
    check_over(&[], &format!("Failed {lost},{never}/{never}"));
    check_over(&[("i", bad)], &format!("Failed Error,{never}/{never}"));
    check_over(&[("i", ok)], &format!("Failed Completed,{never}/{never}"));
    check_over(
        &[("i", ok), ("s", &[Was::Lost(9)])],
        &format!("Failed Completed,{lost}/{never}"),
    );
    check_over(
        &[("i", ok), ("s", bad)],
        &format!("Failed Completed,Error/{never}"),
    );
    check_over(
        &[("i", ok), ("s", ok), ("a", ok)],
        "Succeeded Completed,Completed/Completed",
    );
    check_over(
        &[("i", ok), ("s", bad), ("a", ok)],
        "Succeeded Completed,Error/Completed",
    );
    // Nobody remembers the init container, but the application was begun.
    check_over(&[("s", ok), ("a", bad)], "Failed Completed,Completed/Error");
    check_over(&[("a", bad)], &format!("Failed Completed,{never}/Error"));
}

#[track_caller]
fn check_phase(
    policy: &str,
    init: Vec<Container>,
    containers: &[(&str, &[Was])],
    waiting: &[&str],
    ended: bool,
    expected: &str,
) {
    let pod = pod(policy, init, &["a", "b"]);
    let history = History {
        waiting: waiting
            .iter()
            .map(|&name| (name.to_owned(), why("CrashLoopBackOff")))
            .collect(),
        terminated: ended,
        ..History::default()
    };
    let seen = observation(Box::Ready, containers);
    let status = pod_status(&pod, &seen, &Probes::default(), &history, at(100));
    assert_eq!(
        status.phase.as_deref(),
        Some(expected),
        "{policy} {containers:?} waiting {waiting:?} ended {ended}"
    );
}

const RUN: &[Was] = &[Was::Running];
const OK: &[Was] = &[Was::Exited(0, 90)];
const BAD: &[Was] = &[Was::Exited(1, 90)];

#[test]
fn phases_of_app_containers() {
    let check = |policy: &str, list: &[(&str, &[Was])], waiting: &[&str], expected: &str| {
        check_phase(policy, vec![], list, waiting, false, expected);
    };
    check("Always", &[], &[], PENDING);
    check("Always", &[("a", RUN)], &[], PENDING);
    check(
        "Always",
        &[("a", RUN), ("b", &[Was::Created])],
        &[],
        PENDING,
    );
    check("Always", &[("a", RUN), ("b", RUN)], &[], RUNNING);
    check("Always", &[("a", RUN), ("b", BAD)], &[], RUNNING);
    check("Always", &[("a", OK), ("b", BAD)], &[], RUNNING);
    check("Always", &[("a", BAD), ("b", BAD)], &["a", "b"], RUNNING);
    check("Always", &[("a", OK), ("b", OK)], &[], RUNNING);
    check("OnFailure", &[("a", OK), ("b", OK)], &[], SUCCEEDED);
    check("OnFailure", &[("a", OK), ("b", RUN)], &[], RUNNING);
    check("OnFailure", &[("a", OK), ("b", BAD)], &[], RUNNING);
    check("OnFailure", &[("a", OK), ("b", BAD)], &["b"], RUNNING);
    check("Never", &[("a", OK), ("b", OK)], &[], SUCCEEDED);
    check("Never", &[("a", OK), ("b", BAD)], &[], FAILED);
    check("Never", &[("a", BAD), ("b", RUN)], &[], RUNNING);
    check("Never", &[("a", BAD)], &[], PENDING);
    check("Never", &[("a", OK), ("b", &[Was::Lost(9)])], &[], FAILED);
}

#[test]
fn phases_at_the_end_of_a_deletion() {
    let check = |list: &[(&str, &[Was])], expected: &str| {
        check_phase("Always", vec![], list, &[], true, expected);
    };
    check(&[("a", OK), ("b", OK)], SUCCEEDED);
    check(&[("a", OK), ("b", BAD)], FAILED);
    check(&[("a", OK)], FAILED);
    check(&[], FAILED);
}

#[test]
fn phases_with_init_containers() {
    let check = |policy: &str, list: &[(&str, &[Was])], expected: &str| {
        check_phase(
            policy,
            vec![sidecar("s"), container("i")],
            list,
            &[],
            false,
            expected,
        );
    };
    check("Always", &[], PENDING);
    check("Always", &[("s", RUN), ("i", RUN)], PENDING);
    check("Always", &[("s", RUN), ("i", BAD)], PENDING);
    check("Never", &[("s", RUN), ("i", BAD)], PENDING);
    check("Never", &[("s", OK), ("i", BAD)], FAILED);
    check("Always", &[("s", RUN), ("i", OK)], PENDING);
    check(
        "Always",
        &[("s", RUN), ("i", OK), ("a", RUN), ("b", RUN)],
        RUNNING,
    );
    // A sidecar that ended does not count; its exit code never decides.
    check(
        "Always",
        &[("s", BAD), ("i", OK), ("a", RUN), ("b", RUN)],
        RUNNING,
    );
    check(
        "Never",
        &[("s", BAD), ("i", OK), ("a", OK), ("b", OK)],
        SUCCEEDED,
    );
}

#[test]
fn a_terminal_phase_waits_for_the_last_container_and_never_goes_back() {
    let mut deadline = pod("Always", vec![], &["a"]);
    deadline.status = Some(PodStatus {
        phase: Some(RUNNING.to_owned()),
        ..PodStatus::default()
    });
    let history = History {
        failed: Some(why("DeadlineExceeded")),
        ..History::default()
    };
    let running = observation(Box::Ready, &[("a", RUN)]);
    let status = pod_status(&deadline, &running, &Probes::default(), &history, at(100));
    assert_eq!(
        (status.phase.as_deref(), status.reason),
        (Some(RUNNING), None)
    );
    assert_eq!(
        condition(status.conditions.as_deref(), "Ready"),
        "False PodFailed"
    );

    let ended = observation(Box::None, &[("a", BAD)]);
    let status = pod_status(&deadline, &ended, &Probes::default(), &history, at(100));
    assert_eq!(status.phase.as_deref(), Some(FAILED));
    assert_eq!(status.reason.as_deref(), Some("DeadlineExceeded"));

    // Reason and message stay while the phase does not change, whatever is seen.
    deadline.status = Some(status);
    let status = pod_status(
        &deadline,
        &running,
        &Probes::default(),
        &History::default(),
        at(200),
    );
    assert_eq!(status.phase.as_deref(), Some(FAILED));
    assert_eq!(status.reason.as_deref(), Some("DeadlineExceeded"));
    assert_eq!(status.message.as_deref(), Some("DeadlineExceeded message"));
}

fn condition(list: Option<&[k8s_openapi::api::core::v1::PodCondition]>, kind: &str) -> String {
    let found = list
        .unwrap_or_default()
        .iter()
        .find(|condition| condition.type_ == kind)
        .unwrap();
    [
        Some(found.status.clone()),
        found.reason.clone(),
        found.message.clone(),
    ]
    .into_iter()
    .flatten()
    .collect::<Vec<_>>()
    .join(" ")
}

#[track_caller]
fn check_conditions(
    init: Vec<Container>,
    sandbox: Box,
    containers: &[(&str, &[Was])],
    expected: [&str; 4],
) {
    let pod = pod("Never", init, &["b", "a"]);
    let seen = observation(sandbox, containers);
    let status = pod_status(
        &pod,
        &seen,
        &Probes::default(),
        &History::default(),
        at(100),
    );
    let list = status.conditions.as_deref();
    let found = [
        "PodReadyToStartContainers",
        "Initialized",
        "Ready",
        "ContainersReady",
    ]
    .map(|kind| condition(list, kind));
    assert_eq!(found, expected.map(str::to_owned), "{containers:?}");
    assert_eq!(condition(list, "PodScheduled"), "True");
}

#[test]
fn memory_that_ran_out_is_told_in_words() {
    let victim = |is_main| Victim {
        pid: crate::base::Pid::new(77),
        name: "sh".to_owned(),
        is_main,
    };
    let words = oom_words(66_977_792, Some(64 << 20), Some(&victim(false)));
    assert_eq!(words, "peak 63.8Mi, limit 64Mi; killed child sh (pid 77)");
    let words = oom_words(0, None, Some(&victim(true)));
    assert_eq!(words, "killed the main process (pid 77)");
    assert_eq!(
        oom_words(512 << 10, None, None),
        "peak 512Ki; killed a process"
    );

    let mut ended = instance("a", 0, Was::OutOfMemory(137, 9));
    ended.memory.kills = 1;
    ended.memory.peak = 3 << 30;
    let told = |instance: &Instance| state_of(instance).terminated.unwrap().message;
    // The status has the container's own words only; the event tells of the memory.
    assert_eq!(told(&ended), None);
    ended.message = Some("bye".to_owned());
    assert_eq!(told(&ended).as_deref(), Some("bye"));
}

#[test]
fn a_failing_probe_is_a_condition_while_it_fails() {
    use crate::probe::{Failing, ProbeKind};
    let pod = pod("Always", Vec::new(), &["a"]);
    let seen = observation(Box::Ready, &[("a", &[Was::Running])]);
    let mut probes = Probes::default();
    let told = |probes: &Probes| {
        let status = pod_status(&pod, &seen, probes, &History::default(), at(50));
        let conditions = status.conditions.unwrap_or_default();
        let failing = conditions
            .into_iter()
            .find(|condition| condition.type_ == conditions::PROBE_FAILING);
        failing.map(|condition| (condition.status, condition.message.unwrap()))
    };
    assert_eq!(told(&probes), None);
    let id = crate::base::ContainerId::new("a-0");
    let failing = Failing {
        failures: 2,
        threshold: 3,
    };
    probes.set_failing(&id, ProbeKind::Liveness, Some(failing));
    assert_eq!(
        told(&probes),
        Some((
            "True".to_owned(),
            "a: liveness probe failing 2/3".to_owned()
        ))
    );
    probes.set_failing(&id, ProbeKind::Liveness, None);
    assert_eq!(told(&probes), None);
}

#[test]
fn conditions() {
    let unready =
        |names: &str| format!("False ContainersNotReady containers with unready status: [{names}]");
    check_conditions(
        vec![],
        Box::None,
        &[],
        ["False", "True", &unready("b a"), &unready("b a")],
    );
    check_conditions(
        vec![],
        Box::Ready,
        &[("a", RUN)],
        ["True", "True", &unready("b"), &unready("b")],
    );
    check_conditions(
        vec![],
        Box::Ready,
        &[("a", RUN), ("b", RUN)],
        ["True", "True", "True", "True"],
    );
    check_conditions(
        vec![],
        Box::None,
        &[("a", OK), ("b", OK)],
        [
            "False",
            "True PodCompleted",
            "False PodCompleted",
            "False PodCompleted",
        ],
    );
    check_conditions(
        vec![],
        Box::None,
        &[("a", OK), ("b", BAD)],
        ["False", "True", "False PodFailed", "False PodFailed"],
    );
    check_conditions(
        vec![container("i"), sidecar("s")],
        Box::Ready,
        &[],
        [
            "True",
            "False ContainersNotInitialized containers with incomplete status: [i s]",
            &unready("s b a"),
            &unready("s b a"),
        ],
    );
    check_conditions(
        vec![container("i"), sidecar("s")],
        Box::Ready,
        &[("i", OK), ("s", RUN), ("a", RUN), ("b", RUN)],
        ["True", "True", "True", "True"],
    );
}

#[test]
fn transition_times_move_only_with_the_status() {
    let mut pod = pod("Always", vec![], &["a"]);
    let first = pod_status(
        &pod,
        &observation(Box::None, &[]),
        &Probes::default(),
        &History::default(),
        at(10),
    );
    pod.status = Some(first);
    let seen = observation(Box::Ready, &[("a", RUN)]);
    let second = pod_status(&pod, &seen, &Probes::default(), &History::default(), at(20));
    let moved = |kind: &str| {
        second
            .conditions
            .iter()
            .flatten()
            .find(|condition| condition.type_ == kind)
            .and_then(|condition| condition.last_transition_time.clone())
            .unwrap()
            .0
            .as_second()
    };
    assert_eq!((moved("PodScheduled"), moved("Ready")), (10, 20));
}

#[test]
fn statuses_are_sorted_by_name_and_survive_a_round_trip() {
    let pod = pod("Always", vec![], &["b", "a"]);
    let seen = observation(
        Box::Ready,
        &[
            ("a", &[Was::Running, Was::Exited(3, 50)]),
            ("b", &[Was::Exited(1, 90)]),
        ],
    );
    let history = History {
        waiting: [("b".to_owned(), why("CrashLoopBackOff"))].into(),
        ..History::default()
    };
    let status = pod_status(&pod, &seen, &Probes::default(), &history, at(100));
    let names: Vec<_> = status
        .container_statuses
        .iter()
        .flatten()
        .map(|status| status.name.as_str())
        .collect();
    assert_eq!(names, ["a", "b"]);

    let mut read = super::super::observe::Instances::from_status(&status);
    read.outlive_sandbox(at(100));
    let found: Vec<_> = read
        .all()
        .map(|(name, instance)| (name, instance.attempt, instance.exit_code()))
        .collect();
    assert_eq!(
        found,
        [("a", 1, Some(137)), ("a", 0, Some(3)), ("b", 0, Some(1))]
    );
}

#[test]
fn ephemeral_containers_are_told_and_of_no_account() {
    let mut pod = pod("Never", vec![], &["a"]);
    let list = ["e", "f"].map(|name| as_ephemeral(container(name), None));
    pod.spec.as_mut().unwrap().ephemeral_containers = Some(list.to_vec());
    let history = History {
        waiting: [("f".to_owned(), why("ErrImagePull"))].into(),
        ..History::default()
    };
    let seen = observation(
        Box::Ready,
        &[("a", &[Was::Running]), ("e", &[Was::Exited(3, 90)])],
    );
    let status = pod_status(&pod, &seen, &Probes::default(), &history, at(100));
    assert_eq!(status.phase.as_deref(), Some("Running"));
    let told = status.ephemeral_container_statuses.unwrap();
    assert_eq!(
        told.iter().map(short).collect::<Vec<_>>(),
        ["Error:3/ #0", "waiting:ErrImagePull/ #0"]
    );
    assert!(
        told.iter()
            .all(|status| !status.ready && status.started.is_none())
    );
    let conditions = status.conditions.unwrap();
    let ready = conditions
        .iter()
        .find(|condition| condition.type_ == "Ready");
    assert_eq!(ready.unwrap().status, "True");
}

#[test]
fn mounts_are_told_with_what_became_of_them() {
    let check = |mount: serde_json::Value, expected: serde_json::Value| {
        let mut container = container("a");
        container.volume_mounts = Some(vec![serde_json::from_value(mount).unwrap()]);
        let told = serde_json::to_value(volume_mounts(&container)).unwrap();
        assert_eq!(told[0], expected);
    };
    let mount = |fields: serde_json::Value| {
        let mut mount = serde_json::json!({"name": "v", "mountPath": "/v"});
        json_patch::merge(&mut mount, &fields);
        mount
    };
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let plain = mount(json("{}"));
    check(plain.clone(), plain.clone());
    check(
        mount(json(r#"{"subPath": "x", "mountPropagation": "None"}"#)),
        plain.clone(),
    );
    check(mount(json(r#"{"readOnly": false}"#)), plain);
    let read_only =
        |how_far: &str| mount(serde_json::json!({"readOnly": true, "recursiveReadOnly": how_far}));
    check(mount(json(r#"{"readOnly": true}"#)), read_only("Disabled"));
    check(read_only("Disabled"), read_only("Disabled"));
    check(read_only("Enabled"), read_only("Enabled"));
    check(read_only("IfPossible"), read_only("Enabled"));
    assert_eq!(volume_mounts(&container("a")), None);
}

#[test]
fn the_resources_of_the_pod_are_told() {
    let resources = |cpu: &str| -> k8s_openapi::api::core::v1::ResourceRequirements {
        let list = serde_json::json!({"requests": {"cpu": cpu}, "limits": {"cpu": cpu}});
        serde_json::from_value(list).unwrap()
    };
    let mut pod = pod("Always", vec![], &["a"]);
    let told = |pod: &Pod| {
        let seen = observation(Box::Ready, &[("a", &[Was::Running])]);
        pod_status(pod, &seen, &Probes::default(), &History::default(), at(100))
    };
    let status = told(&pod);
    assert!(status.resources.is_none() && status.allocated_resources.is_none());
    pod.spec.as_mut().unwrap().resources = Some(resources("1"));
    let status = told(&pod);
    assert_eq!(status.resources, Some(resources("1")));
    assert_eq!(status.allocated_resources, resources("1").requests);
    // A pod that nobody was let in tells nothing.
    let rejected = History {
        rejected: true,
        ..History::default()
    };
    let seen = observation(Box::None, &[]);
    let status = pod_status(&pod, &seen, &Probes::default(), &rejected, at(100));
    assert_eq!(status.resources, None);
}
