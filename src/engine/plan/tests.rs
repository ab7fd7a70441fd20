use super::super::fixtures::{Box, Was, at, container, observation, pod, sidecar};
use super::super::restart::backoff_key;
use super::super::translate::container_limits;
use super::*;
use crate::model::pod::as_ephemeral;
use k8s_openapi::api::core::v1::{
    ContainerRestartRule, ContainerRestartRuleOnExitCodes, PodCondition, PodStatus,
};

/// One action as one word, for tables.
fn word(action: &PodAction) -> String {
    match action {
        PodAction::StopSandbox => "stop".to_owned(),
        PodAction::CreateSandbox { attempt } => format!("sandbox#{attempt}"),
        PodAction::KillContainer { name, .. } => format!("kill:{name}"),
        PodAction::StartContainer { name, attempt, .. } => match attempt {
            Some(attempt) => format!("start:{name}#{attempt}"),
            None => format!("start:{name}"),
        },
        PodAction::ResumeContainer { id, .. } => format!("resume:{id}"),
        PodAction::RestartAll { triggers } => format!("all:{}", triggers.join(",")),
        PodAction::Resize => "resize".to_owned(),
        PodAction::Finish => "finish".to_owned(),
    }
}

pub(super) fn words(plan: &PodPlan) -> String {
    let mut words: Vec<String> = plan.actions.iter().map(word).collect();
    words.extend(
        plan.crash_loops
            .iter()
            .map(|wait| format!("wait:{}", wait.container)),
    );
    words.join(" ")
}

#[track_caller]
pub(super) fn check(pod: &Pod, sandbox: Box, containers: &[(&str, &[Was])], expected: &str) {
    let observation = observation(sandbox, containers);
    let plan = plan(
        pod,
        &observation,
        &Probes::default(),
        &Backoffs::default(),
        at(100),
    );
    assert_eq!(words(&plan), expected, "{sandbox:?} {containers:?}");
}

#[test]
fn app_containers() {
    let always = pod("Always", vec![], &["a", "b"]);
    let on_failure = pod("OnFailure", vec![], &["a", "b"]);
    let never = pod("Never", vec![], &["a", "b"]);
    let running: &[Was] = &[Was::Running];
    let ok: &[Was] = &[Was::Exited(0, 90)];
    let bad: &[Was] = &[Was::Exited(1, 90)];
    check(&always, Box::None, &[], "sandbox#0 start:a start:b");
    check(&always, Box::Ready, &[], "start:a start:b");
    check(&always, Box::Ready, &[("a", running)], "start:b");
    check(&always, Box::Ready, &[("a", running), ("b", running)], "");
    check(
        &always,
        Box::Ready,
        &[("a", ok), ("b", running)],
        "start:a#1",
    );
    check(
        &always,
        Box::Ready,
        &[("a", bad), ("b", bad)],
        "start:a#1 start:b#1",
    );
    check(&on_failure, Box::Ready, &[("a", ok), ("b", running)], "");
    check(
        &on_failure,
        Box::Ready,
        &[("a", bad), ("b", running)],
        "start:a#1",
    );
    check(&on_failure, Box::Ready, &[("a", ok), ("b", ok)], "stop");
    check(&never, Box::Ready, &[("a", bad), ("b", running)], "");
    check(&never, Box::Ready, &[("a", bad), ("b", ok)], "stop");
    check(&never, Box::Ready, &[("a", running)], "start:b");
    check(
        &always,
        Box::Ready,
        &[("a", &[Was::Created]), ("b", running)],
        "resume:a-0",
    );
    check(
        &always,
        Box::Ready,
        &[("a", &[Was::Starting]), ("b", running)],
        "resume:a-0",
    );
    check(
        &always,
        Box::Ready,
        &[("a", &[Was::Failed(90)]), ("b", running)],
        "start:a#1",
    );
}

#[test]
fn a_dead_sandbox_is_replaced() {
    let always = pod("Always", vec![], &["a", "b"]);
    let on_failure = pod("OnFailure", vec![], &["a", "b"]);
    let never = pod("Never", vec![], &["a", "b"]);
    let running: &[Was] = &[Was::Running];
    let ok: &[Was] = &[Was::Exited(0, 90)];
    let lost: &[Was] = &[Was::Lost(99)];
    let both = "stop sandbox#4 start:a#1 start:b#1";
    check(
        &always,
        Box::NotReady,
        &[("a", running), ("b", running)],
        both,
    );
    check(&always, Box::NotReady, &[("a", ok), ("b", running)], both);
    check(
        &always,
        Box::NotReady,
        &[],
        "stop sandbox#4 start:a start:b",
    );
    check(
        &on_failure,
        Box::NotReady,
        &[("a", ok), ("b", running)],
        "stop sandbox#4 start:b#1",
    );
    check(
        &on_failure,
        Box::NotReady,
        &[("a", ok), ("b", ok)],
        "stop finish",
    );
    check(&on_failure, Box::None, &[("a", ok), ("b", ok)], "finish");
    check(
        &never,
        Box::NotReady,
        &[("a", running), ("b", running)],
        "stop finish",
    );
    check(&never, Box::NotReady, &[], "stop sandbox#4 start:a start:b");
    check(&never, Box::None, &[("a", lost)], "finish");
    check(
        &always,
        Box::None,
        &[("a", lost), ("b", lost)],
        "sandbox#0 start:a#1 start:b#1",
    );
}

#[test]
fn a_sandbox_without_its_network_is_replaced() {
    let mut host = pod("Always", vec![], &["a"]);
    host.spec.as_mut().unwrap().host_network = Some(true);
    check(
        &host,
        Box::Ready,
        &[("a", &[Was::Running])],
        "stop sandbox#4 start:a#1",
    );
    let plain = pod("Always", vec![], &["a"]);
    let mut seen = observation(Box::Ready, &[("a", &[Was::Running])]);
    seen.sandbox.as_mut().unwrap().address = None;
    let plan = plan(
        &plain,
        &seen,
        &Probes::default(),
        &Backoffs::default(),
        at(100),
    );
    assert_eq!(words(&plan), "stop sandbox#4 start:a#1");
}

#[test]
fn a_changed_image_restarts_in_place_whatever_the_policy() {
    for policy in ["Always", "OnFailure", "Never"] {
        let mut changed = pod(policy, vec![], &["a", "b"]);
        changed.spec.as_mut().unwrap().containers[0].image = Some("other".to_owned());
        let seen = observation(
            Box::Ready,
            &[("a", &[Was::Running]), ("b", &[Was::Running])],
        );
        let plan = plan(
            &changed,
            &seen,
            &Probes::default(),
            &Backoffs::default(),
            at(100),
        );
        assert_eq!(words(&plan), "kill:a start:a#1");
        assert!(matches!(
            &plan.actions[0],
            PodAction::KillContainer { message, .. }
                if message == "Container a definition changed, will be restarted"
        ));
    }
}

#[test]
fn init_containers_run_in_order() {
    let always = pod("Always", vec![container("i"), container("j")], &["a"]);
    let never = pod("Never", vec![container("i")], &["a"]);
    let ok: &[Was] = &[Was::Exited(0, 90)];
    let bad: &[Was] = &[Was::Exited(1, 90)];
    let running: &[Was] = &[Was::Running];
    check(&always, Box::None, &[], "sandbox#0 start:i");
    check(&always, Box::Ready, &[], "start:i");
    check(&always, Box::Ready, &[("i", running)], "");
    check(&always, Box::Ready, &[("i", bad)], "start:i#1");
    check(&always, Box::Ready, &[("i", ok)], "start:j");
    check(&always, Box::Ready, &[("i", ok), ("j", ok)], "start:a");
    check(
        &always,
        Box::Ready,
        &[("i", ok), ("j", ok), ("a", running)],
        "",
    );
    check(&never, Box::Ready, &[("i", bad)], "stop");
    // A new sandbox runs them again, although they ended well before.
    let done: &[Was] = &[Was::Earlier(0, 50)];
    check(
        &always,
        Box::NotReady,
        &[("i", ok), ("j", ok), ("a", running)],
        "stop sandbox#4 start:i#1",
    );
    check(
        &always,
        Box::Ready,
        &[("i", ok), ("j", done), ("a", done)],
        "start:j#1",
    );
}

#[test]
fn an_init_sequence_that_is_over_is_not_looked_at_again() {
    let mut changed = pod("Always", vec![container("i"), sidecar("s")], &["a"]);
    changed
        .spec
        .as_mut()
        .unwrap()
        .init_containers
        .as_mut()
        .unwrap()[0]
        .image = Some("other".to_owned());
    let ok: &[Was] = &[Was::Exited(0, 90)];
    let bad: &[Was] = &[Was::Exited(1, 90)];
    let running: &[Was] = &[Was::Running];
    for init in [ok, bad, running, &[]] {
        check(
            &changed,
            Box::Ready,
            &[("i", init), ("s", running), ("a", running)],
            "",
        );
    }
    // While it runs, a changed image means nothing either.
    check(&changed, Box::Ready, &[("i", running)], "");
    // An application container that has ended shows as well that the sequence was over.
    check(
        &changed,
        Box::Ready,
        &[("i", bad), ("s", running), ("a", bad)],
        "start:a#1",
    );
}

#[test]
fn a_failed_init_container_follows_its_policy() {
    let bad: &[Was] = &[Was::Exited(1, 90)];
    let started: &[Was] = &[Was::Failed(90)];
    let lost: &[Was] = &[Was::Exited(137, 90)];
    for (pod_policy, own, expected) in [
        ("Always", None, "start:i#1"),
        ("OnFailure", None, "start:i#1"),
        ("Never", None, "stop"),
        ("Never", Some("OnFailure"), "start:i#1"),
        ("Always", Some("Never"), "stop"),
        ("OnFailure", Some("Never"), "stop"),
    ] {
        let mut init = container("i");
        init.restart_policy = own.map(str::to_owned);
        let pod = pod(pod_policy, vec![init, container("j")], &["a"]);
        for was in [bad, started, lost] {
            check(&pod, Box::Ready, &[("i", was)], expected);
        }
    }
    let with_sidecar = pod("Never", vec![sidecar("s"), container("i")], &["a"]);
    check(
        &with_sidecar,
        Box::Ready,
        &[("s", &[Was::Running]), ("i", bad)],
        "stop",
    );
}

#[test]
fn sidecars_stay_up() {
    let pod = pod("Never", vec![sidecar("s"), container("i")], &["a"]);
    let ok: &[Was] = &[Was::Exited(0, 90)];
    let running: &[Was] = &[Was::Running];
    check(&pod, Box::Ready, &[], "start:s");
    check(&pod, Box::Ready, &[("s", &[Was::Created])], "resume:s-0");
    check(&pod, Box::Ready, &[("s", &[Was::Starting])], "resume:s-0");
    check(&pod, Box::Ready, &[("s", ok)], "start:s#1");
    check(&pod, Box::Ready, &[("s", running)], "start:i");
    check(&pod, Box::Ready, &[("s", running), ("i", running)], "");
    check(&pod, Box::Ready, &[("s", running), ("i", ok)], "start:a");
    check(
        &pod,
        Box::Ready,
        &[("s", ok), ("i", ok), ("a", running)],
        "start:s#1",
    );
    // It was started once, so the sequence goes on while it is restarted.
    check(&pod, Box::Ready, &[("s", ok), ("i", running)], "start:s#1");
    check(
        &pod,
        Box::Ready,
        &[("s", ok), ("i", ok)],
        "start:s#1 start:a",
    );
}

#[test]
fn sidecars_do_not_keep_a_pod_alive() {
    let ok: &[Was] = &[Was::Exited(0, 90)];
    let bad: &[Was] = &[Was::Exited(1, 90)];
    let running: &[Was] = &[Was::Running];
    for (policy, sidecar_was, app, expected) in [
        ("Never", running, ok, "stop"),
        ("Never", running, bad, "stop"),
        ("Never", bad, ok, "stop"),
        ("OnFailure", bad, ok, "stop"),
        ("OnFailure", bad, bad, "start:s#1 start:a#1"),
        ("Always", running, ok, "start:a#1"),
    ] {
        let pod = pod(policy, vec![sidecar("s")], &["a"]);
        check(
            &pod,
            Box::Ready,
            &[("s", sidecar_was), ("a", app)],
            expected,
        );
    }
}

#[test]
fn a_changed_sidecar_is_restarted_in_place() {
    let mut changed = pod("Never", vec![sidecar("s")], &["a"]);
    changed
        .spec
        .as_mut()
        .unwrap()
        .init_containers
        .as_mut()
        .unwrap()[0]
        .image = Some("other".to_owned());
    let seen = observation(
        Box::Ready,
        &[("s", &[Was::Running]), ("a", &[Was::Running])],
    );
    let plan = plan(
        &changed,
        &seen,
        &Probes::default(),
        &Backoffs::default(),
        at(100),
    );
    assert_eq!(words(&plan), "kill:s start:s#1");
    assert!(matches!(
        &plan.actions[0],
        PodAction::KillContainer { message, .. } if message == "Init container s definition changed"
    ));
}

#[test]
fn a_rule_restarts_all_containers() {
    let mut pod = pod("Never", vec![container("i"), sidecar("s")], &["a", "b"]);
    let rule = ContainerRestartRule {
        action: "RestartAllContainers".to_owned(),
        exit_codes: Some(ContainerRestartRuleOnExitCodes {
            operator: "In".to_owned(),
            values: Some(vec![42]),
        }),
    };
    let spec = pod.spec.as_mut().unwrap();
    spec.containers[1].restart_policy_rules = Some(vec![rule]);
    let ok: &[Was] = &[Was::Exited(0, 99)];
    let bad: &[Was] = &[Was::Exited(42, 99)];
    let running: &[Was] = &[Was::Running];
    let (gone, killed): (&[Was], &[Was]) = (&[Was::Removed(42, 99)], &[Was::Removed(143, 99)]);
    check(
        &pod,
        Box::Ready,
        &[("i", ok), ("s", running), ("a", ok), ("b", bad)],
        "all:b",
    );
    check(
        &pod,
        Box::Ready,
        &[
            ("i", ok),
            ("s", running),
            ("a", running),
            ("b", &[Was::Exited(1, 99)]),
        ],
        "",
    );
    // Everything is removed: from the first init container on, at once, whatever the policy.
    let over: &[Was] = &[Was::Removed(0, 99)];
    check(
        &pod,
        Box::Ready,
        &[("i", over), ("s", killed), ("a", over), ("b", gone)],
        "start:i#1",
    );
    check(
        &pod,
        Box::Ready,
        &[("i", ok), ("s", running), ("a", over), ("b", gone)],
        "start:a#1 start:b#1",
    );
    // Once begun it is carried to its end, also when the one that asked is gone already.
    pod.status = Some(PodStatus {
        conditions: Some(vec![PodCondition {
            type_: RESTARTING_ALL.to_owned(),
            status: "True".to_owned(),
            ..PodCondition::default()
        }]),
        ..PodStatus::default()
    });
    check(
        &pod,
        Box::Ready,
        &[("i", ok), ("s", running), ("a", over), ("b", gone)],
        "all:",
    );
    pod.metadata.deletion_timestamp = Some(super::super::status::time(at(1)));
    check(
        &pod,
        Box::Ready,
        &[("s", running), ("a", running), ("b", running)],
        "",
    );
}

#[test]
fn a_new_sandbox_starts_only_what_may_run_again() {
    let ok: &[Was] = &[Was::Exited(0, 90)];
    let bad: &[Was] = &[Was::Exited(1, 90)];
    let running: &[Was] = &[Was::Running];
    let mut own = pod("Always", vec![], &["a", "b"]);
    own.spec.as_mut().unwrap().containers[0].restart_policy = Some("Never".to_owned());
    check(
        &own,
        Box::NotReady,
        &[("a", bad), ("b", running)],
        "stop sandbox#4 start:b#1",
    );
    let mut rescued = pod("Never", vec![], &["a", "b"]);
    rescued.spec.as_mut().unwrap().containers[1].restart_policy = Some("OnFailure".to_owned());
    check(
        &rescued,
        Box::NotReady,
        &[("a", bad), ("b", running)],
        "stop sandbox#4 start:b#1",
    );
    check(
        &rescued,
        Box::NotReady,
        &[("a", bad), ("b", ok)],
        "stop finish",
    );
}

/// `a` runs and its probe has failed; expected: the plan, the Killing text and its grace period.
#[track_caller]
fn check_failed(policy: &str, kind: ProbeKind, expected: &str, text: &str, grace: Option<i64>) {
    use crate::probe::Verdict;
    let mut pod = pod(policy, vec![], &["a", "b"]);
    let probe = k8s_openapi::api::core::v1::Probe {
        termination_grace_period_seconds: grace,
        ..Default::default()
    };
    let spec = pod.spec.as_mut().unwrap();
    spec.containers[0].liveness_probe = Some(probe.clone());
    spec.containers[0].startup_probe = Some(probe);
    let running: &[Was] = &[Was::Running];
    let seen = observation(Box::Ready, &[("a", running), ("b", running)]);
    let mut probes = Probes::default();
    probes.set(&ContainerId::new("a-0"), kind, Verdict::Failure);
    let plan = plan(&pod, &seen, &probes, &Backoffs::default(), at(100));
    assert_eq!(words(&plan), expected, "{policy} {kind:?}");
    let killed = plan.actions.iter().find_map(|action| match action {
        PodAction::KillContainer { message, grace, .. } => Some((message.as_str(), *grace)),
        _ => None,
    });
    let wanted = (!text.is_empty()).then_some((text, grace));
    assert_eq!(killed, wanted, "{policy} {kind:?}");
}

#[test]
fn a_failed_probe_kills() {
    let restarted = "Container a failed liveness probe, will be restarted";
    let (live, start) = (ProbeKind::Liveness, ProbeKind::Startup);
    check_failed("Always", live, "kill:a start:a#1", restarted, None);
    check_failed("Always", live, "kill:a start:a#1", restarted, Some(5));
    check_failed("OnFailure", live, "kill:a start:a#1", restarted, None);
    let only_killed = "Container a failed liveness probe";
    check_failed("Never", live, "kill:a", only_killed, None);
    let restarted = "Container a failed startup probe, will be restarted";
    check_failed("Always", start, "kill:a start:a#1", restarted, Some(1));
    let only_killed = "Container a failed startup probe";
    check_failed("Never", start, "kill:a", only_killed, None);
    check_failed("Always", ProbeKind::Readiness, "", "", None);
}

#[test]
fn sidecars_are_probed_too() {
    use crate::probe::Verdict;
    let mut pod = pod("Never", vec![sidecar("s"), container("i")], &["a"]);
    let probe = Some(k8s_openapi::api::core::v1::Probe::default());
    pod.spec.as_mut().unwrap().init_containers.as_mut().unwrap()[0].startup_probe = probe;
    let seen = observation(Box::Ready, &[("s", &[Was::Running])]);
    let mut probes = Probes::default();
    let mut check = |verdict, expected: &str| {
        probes.set(&ContainerId::new("s-0"), ProbeKind::Startup, verdict);
        let plan = plan(&pod, &seen, &probes, &Backoffs::default(), at(100));
        assert_eq!(words(&plan), expected, "{verdict:?}");
        plan.actions.into_iter().next()
    };
    check(Verdict::Unknown, "");
    check(Verdict::Success, "start:i");
    let killed = check(Verdict::Failure, "kill:s start:s#1");
    assert!(matches!(
        killed,
        Some(PodAction::KillContainer { message, .. })
            if message == "Init container s failed startup probe"
    ));
}

/// A container that is killed for its probe pays for the end before.
#[test]
fn a_kill_pays_the_back_off_of_the_end_before() {
    let mut pod = pod("Always", vec![], &["a"]);
    let probe = Some(k8s_openapi::api::core::v1::Probe::default());
    pod.spec.as_mut().unwrap().containers[0].liveness_probe = probe;
    let mut backoffs = Backoffs::default();
    backoffs.step(backoff_key(&container("a")), at(80), at(80));
    let seen = observation(Box::Ready, &[("a", &[Was::Running, Was::Exited(1, 95)])]);
    let mut probes = Probes::default();
    let verdict = crate::probe::Verdict::Failure;
    probes.set(&ContainerId::new("a-1"), ProbeKind::Liveness, verdict);
    for (now, expected) in [(100, "kill:a wait:a"), (105, "kill:a start:a#2")] {
        let plan = plan(&pod, &seen, &probes, &backoffs, at(now));
        assert_eq!(words(&plan), expected, "at {now}");
    }
}

#[track_caller]
fn check_wait(now: i64, expected: &str, requeue: Option<u64>) {
    let pod = pod("Always", vec![], &["a"]);
    let mut backoffs = Backoffs::default();
    backoffs.step(backoff_key(&container("a")), at(80), at(80));
    let seen = observation(
        Box::Ready,
        &[("a", &[Was::Exited(1, 90), Was::Exited(1, 80)])],
    );
    let plan = plan(&pod, &seen, &Probes::default(), &backoffs, at(now));
    assert_eq!(
        (
            words(&plan).as_str(),
            plan.requeue_after.map(|after| after.as_secs())
        ),
        (expected, requeue),
        "at {now}"
    );
    let shown: Vec<bool> = plan.crash_loops.iter().map(|wait| wait.shown).collect();
    assert_eq!(shown, vec![now >= 91; plan.crash_loops.len()]);
}

#[test]
fn back_off_counts_from_the_end() {
    check_wait(90, "wait:a", Some(1));
    check_wait(91, "wait:a", Some(9));
    check_wait(99, "wait:a", Some(1));
    check_wait(100, "start:a#2", None);
}

#[track_caller]
fn check_deadline(now: i64, exceeded: bool, requeue: Option<u64>) {
    let mut pod = pod("Always", vec![], &["a"]);
    pod.spec.as_mut().unwrap().active_deadline_seconds = Some(30);
    pod.status = Some(k8s_openapi::api::core::v1::PodStatus {
        start_time: Some(super::super::status::time(at(50))),
        ..Default::default()
    });
    let seen = observation(Box::Ready, &[("a", &[Was::Running])]);
    let plan = plan(
        &pod,
        &seen,
        &Probes::default(),
        &Backoffs::default(),
        at(now),
    );
    assert_eq!(
        (
            plan.deadline_exceeded,
            plan.requeue_after.map(|after| after.as_secs())
        ),
        (exceeded, requeue)
    );
}

#[test]
fn active_deadline() {
    check_deadline(60, false, Some(20));
    check_deadline(79, false, Some(1));
    check_deadline(80, true, None);
    check_deadline(200, true, None);
}

#[test]
fn ephemeral_containers_start_at_once_and_only_once() {
    let ephemeral = |policy, init: Vec<_>| {
        let mut pod = pod(policy, init, &["a"]);
        let list = ["e", "f"].map(|name| as_ephemeral(container(name), None));
        pod.spec.as_mut().unwrap().ephemeral_containers = Some(list.to_vec());
        pod
    };
    let always = ephemeral("Always", vec![]);
    let running: &[Was] = &[Was::Running];
    let ended: &[Was] = &[Was::Exited(1, 90)];
    // A new sandbox begins without them.
    check(&always, Box::None, &[], "sandbox#0 start:a");
    check(&always, Box::Ready, &[], "start:e start:f start:a");
    check(
        &always,
        Box::Ready,
        &[("a", running), ("e", ended)],
        "start:f",
    );
    check(
        &always,
        Box::Ready,
        &[("a", running), ("e", &[Was::Failed(90)]), ("f", running)],
        "",
    );
    check(
        &always,
        Box::Ready,
        &[("a", running), ("e", &[Was::Created]), ("f", running)],
        "resume:e-0",
    );
    // One of an earlier sandbox has had its run.
    check(
        &always,
        Box::Ready,
        &[
            ("a", running),
            ("e", &[Was::Earlier(1, 50)]),
            ("f", running),
        ],
        "",
    );
    // The init sequence is not waited for.
    let init = ephemeral("Always", vec![container("i")]);
    check(&init, Box::Ready, &[("i", running)], "start:e start:f");
    // They do not keep a pod alive.
    let never = ephemeral("Never", vec![]);
    check(
        &never,
        Box::Ready,
        &[("a", ended), ("e", running), ("f", ended)],
        "stop",
    );
}

#[test]
fn a_resize_writes_limits_or_restarts() {
    let resources = |cpu: &str, memory: &str| -> k8s_openapi::api::core::v1::ResourceRequirements {
        let amounts = serde_json::json!({"cpu": cpu, "memory": memory});
        serde_json::from_value(serde_json::json!({"requests": amounts, "limits": amounts})).unwrap()
    };
    let pod = |cpu: &str, memory: &str| {
        let mut pod = pod("Always", vec![], &["a", "b"]);
        let spec = pod.spec.as_mut().unwrap();
        for container in &mut spec.containers {
            container.resources = Some(resources(cpu, memory));
            container.resize_policy = serde_json::from_value(serde_json::json!([
                {"resourceName": "memory", "restartPolicy": "RestartContainer"},
            ]))
            .unwrap();
        }
        pod
    };
    let check = |wanted: Pod, list: &[(&str, &[Was])], expected: &str| {
        let actual = pod("1", "64Mi").spec.unwrap();
        let mut seen = observation(Box::Ready, list);
        for container in &actual.containers {
            if let Some(instance) = seen.instances.newest(&container.name) {
                let mut instance = instance.clone();
                instance.limits = Some(container_limits(&actual, container));
                seen.instances.put(container.name.clone(), instance);
            }
        }
        let (probes, backoffs) = (Probes::default(), Backoffs::default());
        let plan = super::plan(&wanted, &seen, &probes, &backoffs, at(100));
        assert_eq!(words(&plan), expected);
        plan
    };
    let running: &[Was] = &[Was::Running];
    let both = [("a", running), ("b", running)];
    check(pod("1", "64Mi"), &both, "");
    check(pod("2", "64Mi"), &both, "resize");
    let plan = check(pod("1", "32Mi"), &both, "kill:a kill:b start:a#1 start:b#1");
    assert!(matches!(
        &plan.actions[0],
        PodAction::KillContainer { message, .. } if message == "Container a resize requires restart"
    ));
    // One that does not run has nothing to be changed.
    let one_ended: &[(&str, &[Was])] = &[("a", running), ("b", &[Was::Exited(0, 90)])];
    check(pod("2", "64Mi"), one_ended, "resize start:b#1");
}
