//! The situations that the kubelet's own tables have for `computePodActions`, derived from the rules
//! (kubernetes-semantics §3) and not yet in `tests`.
//!
//! One of theirs cannot come up: a container in a state that the runtime cannot tell. Here it runs, has ended, or is
//! lost, and what is lost counts as ended with 137.

use k8s_openapi::api::core::v1::Probe;
use serde_json::json;

use super::super::fixtures::{Box, Was, at, container, observation, pod, sidecar};
use super::super::translate::container_limits;
use super::tests::{check, words};
use super::*;
use crate::model::pod::as_ephemeral;
use crate::probe::Verdict;

const RUN: &[Was] = &[Was::Running];
const MADE: &[Was] = &[Was::Created];
const OK: &[Was] = &[Was::Exited(0, 90)];
const BAD: &[Was] = &[Was::Exited(1, 90)];
const KILLED: &[Was] = &[Was::Exited(137, 90)];
const LOST: &[Was] = &[Was::Lost(90)];

fn app(policy: &str) -> Pod {
    pod(policy, vec![], &["a", "b", "c"])
}

#[test]
fn applications() {
    for policy in ["Always", "OnFailure", "Never"] {
        let pod = app(policy);
        let steady = [("a", RUN), ("b", RUN), ("c", RUN)];
        check(&pod, Box::Ready, &steady, "");
        check(&pod, Box::None, &[], "sandbox#0 start:a start:b start:c");
        let all = "stop sandbox#4 start:a start:b start:c";
        check(&pod, Box::NotReady, &[], all);
        let made = [("a", RUN), ("b", MADE), ("c", RUN)];
        check(&pod, Box::Ready, &made, "resume:b-0");
    }
    let two_ended = |was| [("a", was), ("b", was), ("c", RUN)];
    check(
        &app("Always"),
        Box::Ready,
        &two_ended(OK),
        "start:a#1 start:b#1",
    );
    check(
        &app("Always"),
        Box::Ready,
        &two_ended(BAD),
        "start:a#1 start:b#1",
    );
    check(
        &app("OnFailure"),
        Box::Ready,
        &two_ended(BAD),
        "start:a#1 start:b#1",
    );
    check(&app("OnFailure"), Box::Ready, &two_ended(OK), "");
    check(&app("Never"), Box::Ready, &two_ended(OK), "");
    check(&app("Never"), Box::Ready, &two_ended(BAD), "");
    check(&app("Never"), Box::Ready, &two_ended(LOST), "");
    check(
        &app("OnFailure"),
        Box::Ready,
        &two_ended(LOST),
        "start:a#1 start:b#1",
    );
}

#[test]
fn applications_without_a_sandbox() {
    let all = |was| [("a", was), ("b", was), ("c", was)];
    let anew = "stop sandbox#4 start:a#1 start:b#1 start:c#1";
    check(&app("Always"), Box::NotReady, &all(RUN), anew);
    check(&app("Always"), Box::NotReady, &all(OK), anew);
    check(&app("OnFailure"), Box::NotReady, &all(RUN), anew);
    check(&app("OnFailure"), Box::NotReady, &all(BAD), anew);
    check(&app("OnFailure"), Box::NotReady, &all(OK), "stop finish");
    check(&app("Never"), Box::NotReady, &all(OK), "stop finish");
    check(&app("Never"), Box::NotReady, &all(BAD), "stop finish");
    check(&app("Never"), Box::None, &all(OK), "finish");
    let mixed = [("a", OK), ("b", RUN), ("c", BAD)];
    let but_one = "stop sandbox#4 start:b#1 start:c#1";
    check(&app("OnFailure"), Box::NotReady, &mixed, but_one);
    check(&app("Always"), Box::NotReady, &mixed, anew);
}

fn three(policy: &str) -> Pod {
    pod(
        policy,
        ["i", "j", "k"].map(container).to_vec(),
        &["a", "b", "c"],
    )
}

fn init<'a>(i: &'a [Was], j: &'a [Was], k: &'a [Was]) -> [(&'a str, &'a [Was]); 3] {
    [("i", i), ("j", j), ("k", k)]
}

#[test]
fn three_init_containers() {
    for policy in ["Always", "OnFailure", "Never"] {
        let pod = three(policy);
        check(
            &pod,
            Box::Ready,
            &init(OK, OK, OK),
            "start:a start:b start:c",
        );
        check(&pod, Box::Ready, &[], "start:i");
        check(&pod, Box::Ready, &init(OK, OK, RUN), "");
        check(&pod, Box::Ready, &init(OK, OK, MADE), "resume:k-0");
        // Those before the one that runs are not asked for.
        check(&pod, Box::Ready, &[("k", RUN)], "");
        check(&pod, Box::NotReady, &[], "stop sandbox#4 start:i");
    }
    for policy in ["Always", "OnFailure"] {
        check(&three(policy), Box::Ready, &init(OK, OK, BAD), "start:k#1");
        check(
            &three(policy),
            Box::Ready,
            &init(OK, OK, KILLED),
            "start:k#1",
        );
    }
    check(&three("Never"), Box::Ready, &init(OK, OK, KILLED), "stop");
    for policy in ["Always", "OnFailure"] {
        let anew = "stop sandbox#4 start:i#1";
        check(&three(policy), Box::NotReady, &init(OK, OK, OK), anew);
        check(&three(policy), Box::NotReady, &init(OK, OK, KILLED), anew);
    }
    check(
        &three("Never"),
        Box::NotReady,
        &init(OK, OK, KILLED),
        "stop finish",
    );
    check(
        &three("Never"),
        Box::NotReady,
        &init(OK, OK, OK),
        "stop finish",
    );
}

/// Three sidecars; the second and the third have a liveness and a startup probe.
fn sidecars(policy: &str) -> Pod {
    let mut list = ["r", "s", "t"].map(sidecar);
    for one in &mut list[1..] {
        one.liveness_probe = Some(Probe::default());
        one.startup_probe = Some(Probe::default());
    }
    pod(policy, list.to_vec(), &["a", "b", "c"])
}

/// Probes of `s-0` and `t-0`: both have started and are well, unless this says otherwise.
#[track_caller]
fn check_sidecars(
    pod: &Pod,
    sandbox: Box,
    containers: &[(&str, &[Was])],
    verdicts: &[(&str, ProbeKind, Verdict)],
    expected: &str,
) {
    let mut probes = Probes::default();
    for id in ["s-0", "t-0"] {
        probes.set(&ContainerId::new(id), ProbeKind::Startup, Verdict::Success);
        probes.set(&ContainerId::new(id), ProbeKind::Liveness, Verdict::Success);
    }
    for (id, kind, verdict) in verdicts {
        probes.set(&ContainerId::new(*id), *kind, *verdict);
    }
    let seen = observation(sandbox, containers);
    let plan = plan(pod, &seen, &probes, &Backoffs::default(), at(100));
    assert_eq!(words(&plan), expected, "{containers:?} {verdicts:?}");
}

fn side<'a>(r: &'a [Was], s: &'a [Was], t: &'a [Was]) -> [(&'a str, &'a [Was]); 3] {
    [("r", r), ("s", s), ("t", t)]
}

const APPS: &str = "start:a start:b start:c";

#[test]
fn three_sidecars() {
    let check = |list: &[(&str, &[Was])], expected: &str| {
        for policy in ["Always", "OnFailure", "Never"] {
            check_sidecars(&sidecars(policy), Box::Ready, list, &[], expected);
        }
    };
    check(&side(RUN, RUN, RUN), APPS);
    check(&[], "start:r");
    check(&side(RUN, RUN, MADE), "resume:t-0");
    check(&[("r", RUN)], "start:s");
    check(&[("r", RUN), ("s", RUN)], "start:t");
    check(&side(OK, RUN, BAD), "start:r#1 start:t#1");
    check(&side(OK, RUN, RUN), &format!("start:r#1 {APPS}"));
    check(&side(RUN, RUN, KILLED), "start:t#1");
    // Nothing is known of those before the last: they are begun beside the application.
    check(&[("t", RUN)], &format!("start:r start:s {APPS}"));
    let beside = [
        ("r", RUN),
        ("s", RUN),
        ("t", KILLED),
        ("a", RUN),
        ("b", RUN),
        ("c", RUN),
    ];
    check(&beside, "start:t#1");
    let all_over = [
        ("r", RUN),
        ("s", RUN),
        ("t", RUN),
        ("a", OK),
        ("b", OK),
        ("c", OK),
    ];
    for policy in ["OnFailure", "Never"] {
        check_sidecars(&sidecars(policy), Box::Ready, &all_over, &[], "stop");
    }
}

#[test]
fn probes_of_sidecars() {
    let always = sidecars("Always");
    let all = side(RUN, RUN, RUN);
    let first_two = [("r", RUN), ("s", RUN)];
    let check = |list: &[(&str, &[Was])], id, kind, verdict, expected: &str| {
        check_sidecars(&always, Box::Ready, list, &[(id, kind, verdict)], expected);
    };
    let (live, start) = (ProbeKind::Liveness, ProbeKind::Startup);
    // Liveness is not waited for.
    check(&first_two, "s-0", live, Verdict::Unknown, "start:t");
    check(&first_two, "s-0", live, Verdict::Success, "start:t");
    // The startup probe is.
    check(&first_two, "s-0", start, Verdict::Unknown, "");
    check(&first_two, "s-0", start, Verdict::Success, "start:t");
    let anew = format!("kill:t start:t#1 {APPS}");
    check(&all, "t-0", live, Verdict::Failure, &anew);
    check(&all, "t-0", start, Verdict::Failure, "kill:t start:t#1");
    let mut changed = always.clone();
    let list = changed.spec.as_mut().unwrap().init_containers.as_mut();
    list.unwrap()[2].image = Some("other".to_owned());
    check_sidecars(&changed, Box::Ready, &all, &[], &anew);
}

#[test]
fn sidecars_without_a_sandbox() {
    let failed = side(RUN, RUN, KILLED);
    for policy in ["Always", "OnFailure"] {
        let anew = "stop sandbox#4 start:r#1";
        check_sidecars(&sidecars(policy), Box::NotReady, &failed, &[], anew);
    }
    let never = sidecars("Never");
    check_sidecars(&never, Box::NotReady, &failed, &[], "stop finish");
    check_sidecars(&never, Box::NotReady, &[], &[], "stop sandbox#4 start:r");
}

#[test]
fn ephemeral_containers() {
    let with = |policy: &str, names: &[&str]| {
        let mut pod = pod(policy, vec![container("i")], &["a", "b", "c"]);
        let list = names.iter().map(|name| as_ephemeral(container(name), None));
        pod.spec.as_mut().unwrap().ephemeral_containers = Some(list.collect());
        pod
    };
    let apps = [("a", RUN), ("b", RUN), ("c", RUN), ("i", OK)];
    let and = |was| [&apps[..], &[("e", was)]].concat();
    let one = with("Always", &["e"]);
    check(&one, Box::Ready, &and(RUN), "");
    check(&one, Box::Ready, &apps, "start:e");
    check(
        &with("Always", &["e", "f"]),
        Box::Ready,
        &and(RUN),
        "start:f",
    );
    check(&one, Box::Ready, &and(BAD), "");
    check(&with("Never", &["e"]), Box::Ready, &and(LOST), "");
    check(&one, Box::Ready, &[("i", RUN)], "start:e");
    let anew = "stop sandbox#4 start:i#1";
    check(&one, Box::NotReady, &and(RUN), anew);
    let failed = [("i", KILLED), ("e", RUN)];
    check(&with("OnFailure", &["e"]), Box::NotReady, &failed, anew);
    let over = [("a", OK), ("b", OK), ("c", OK), ("i", OK), ("e", RUN)];
    check(&with("Never", &["e"]), Box::Ready, &over, "stop");
}

/// Container `b` runs with a cpu and 200Mi as limits.
#[track_caller]
fn check_resize(cpu: &str, memory: &str, policies: [&str; 2], expected: &str) {
    let with = |cpu: &str, memory: &str| {
        let mut pod = app("Always");
        let container = &mut pod.spec.as_mut().unwrap().containers[1];
        let amounts = json!({"limits": {"cpu": cpu, "memory": memory}, "requests": {"cpu": cpu, "memory": memory}});
        container.resources = serde_json::from_value(amounts).unwrap();
        let policies = json!([
            {"resourceName": "cpu", "restartPolicy": policies[0]},
            {"resourceName": "memory", "restartPolicy": policies[1]},
        ]);
        container.resize_policy = serde_json::from_value(policies).unwrap();
        pod
    };
    let given = with("1", "200Mi").spec.unwrap();
    let mut seen = observation(Box::Ready, &[("a", RUN), ("b", RUN), ("c", RUN)]);
    for container in &given.containers {
        let mut instance = seen.instances.newest(&container.name).unwrap().clone();
        instance.limits = Some(container_limits(&given, container));
        seen.instances.put(container.name.clone(), instance);
    }
    let (probes, backoffs) = (Probes::default(), Backoffs::default());
    let plan = plan(&with(cpu, memory), &seen, &probes, &backoffs, at(100));
    assert_eq!(words(&plan), expected, "{cpu} {memory} {policies:?}");
}

#[test]
fn resizes() {
    let (stays, anew) = ("NotRequired", "RestartContainer");
    check_resize("1", "200Mi", [stays, stays], "");
    check_resize("1", "200Mi", [anew, anew], "");
    check_resize("2", "100Mi", [stays, stays], "resize");
    check_resize("2", "200Mi", [stays, stays], "resize");
    check_resize("1", "100Mi", [stays, stays], "resize");
    check_resize("2", "100Mi", [anew, stays], "kill:b start:b#1");
    check_resize("2", "100Mi", [stays, anew], "kill:b start:b#1");
    check_resize("1", "100Mi", [anew, stays], "resize");
    check_resize("2", "200Mi", [stays, anew], "resize");
    check_resize("2", "200Mi", [anew, stays], "kill:b start:b#1");
    check_resize("1", "100Mi", [stays, anew], "kill:b start:b#1");
}

/// The rules of a container and its own policy, where the pod's says something else.
#[test]
fn containers_with_a_policy_of_their_own() {
    let check_own = |policy: &str, own: serde_json::Value, was: &[Was], expected: &str| {
        let mut pod = app(policy);
        let container = &mut pod.spec.as_mut().unwrap().containers[1];
        let mut value = serde_json::to_value(&*container).unwrap();
        json_patch::merge(&mut value, &own);
        *container = serde_json::from_value(value).unwrap();
        check(
            &pod,
            Box::Ready,
            &[("a", RUN), ("b", was), ("c", RUN)],
            expected,
        );
    };
    let rule = |action: &str, operator: &str| {
        json!({"restartPolicy": "Never", "restartPolicyRules":
            [{"action": action, "exitCodes": {"operator": operator, "values": [1]}}]})
    };
    let anew = "start:b#1";
    check_own("Always", json!({"restartPolicy": "Never"}), BAD, "");
    check_own("Always", json!({"restartPolicy": "OnFailure"}), OK, "");
    check_own("Always", json!({"restartPolicy": "OnFailure"}), BAD, anew);
    check_own("Never", json!({"restartPolicy": "Always"}), OK, anew);
    check_own("Never", json!({"restartPolicy": "OnFailure"}), BAD, anew);
    check_own("Never", json!({"restartPolicy": "OnFailure"}), OK, "");
    check_own("Always", rule("Restart", "In"), BAD, anew);
    check_own("Always", rule("Restart", "In"), KILLED, "");
    check_own("Always", rule("Restart", "NotIn"), BAD, "");
    check_own("Always", rule("Restart", "NotIn"), KILLED, anew);
    check_own("Always", rule("RestartAllContainers", "In"), BAD, "all:b");
    check_own("Always", rule("RestartAllContainers", "In"), OK, "");
}
