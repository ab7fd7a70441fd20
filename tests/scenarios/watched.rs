//! 08 and 18: probes, with the times of their files.

use std::time::{Duration, Instant};

use crate::stage::Stage;
use crate::support::status;

#[test]
fn scenario_08_half_a_minute_of_health() {
    require_debian!();
    let stage = Stage::start();
    stage.apply_file("08-liveness-exec.yaml");
    let name = "test-liveness-exec";
    let pod = stage.wait_running(name);
    let begin = Instant::now();
    assert_eq!(status(&pod, "liveness")["restartCount"], 0);
    // Thirty seconds healthy, three failures five seconds apart, thirty seconds for sh, which ignores SIGTERM.
    let mut healthy_for = None;
    while begin.elapsed() < Duration::from_secs(100) {
        let pod = stage.pod(name);
        let row = stage.row(name);
        assert_eq!(row[2], "Running", "{row:?}");
        let events = stage.events_of(name, "default");
        if events.iter().any(|event| event.starts_with("Unhealthy")) {
            healthy_for.get_or_insert(begin.elapsed());
        }
        if status(&pod, "liveness")["restartCount"] == 1 {
            break;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    let healthy_for = healthy_for.expect("the probe fails at last");
    assert!(healthy_for >= Duration::from_secs(28), "{healthy_for:?}");
    assert_eq!(stage.row(name)[3], "1");
    let told = stage.ok(&["describe", "pod", name]);
    for text in [
        "Liveness probe failed: cat: can't open '/tmp/healthy': No such file or directory",
        "Container liveness failed liveness probe, will be restarted",
        "(x3 over",
    ] {
        assert!(told.contains(text), "{told}");
    }
    stage.delete_all();
}

#[test]
fn scenario_18_waits_for_its_node_and_is_probed_over_http() {
    require_debian!();
    let stage = Stage::start();
    let refused = stage.refused(&["apply", "-f", &crate::stage::path("18-manual-pod.yaml")]);
    assert!(
        refused.contains("namespaces \"custom-namespace\" not found"),
        "{refused}"
    );
    stage.ok(&["create", "namespace", "custom-namespace"]);
    assert_eq!(
        stage.apply_file("18-manual-pod.yaml"),
        "pod/kubia-manual created\n"
    );
    let unfit = "FailedScheduling 0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. no new claims to \
                 deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
    let events = || stage.events_of("kubia-manual", "custom-namespace");
    stage.wait("FailedScheduling", || {
        events().iter().any(|event| event == unfit).then_some(())
    });
    let get = |output: &str| {
        stage.ok(&[
            "get",
            "pod",
            "kubia-manual",
            "-n",
            "custom-namespace",
            "-o",
            output,
        ])
    };
    assert_eq!(get("jsonpath={.status.phase}|{.spec.nodeName}"), "Pending|");
    let condition = get("jsonpath={.status.conditions[?(@.type==\"PodScheduled\")].reason}");
    assert_eq!(condition, "Unschedulable");
    let node = stage.ok(&["get", "nodes", "-o", "name"]);
    stage.ok(&["label", node.trim(), "labelKey=labelValue"]);
    stage.wait("kubia-manual to run", || {
        let running = get("jsonpath={.status.containerStatuses[0].state.running.startedAt}");
        (!running.is_empty()).then_some(())
    });
    assert!(events().iter().any(|event| {
        event.starts_with("Scheduled Successfully assigned custom-namespace/kubia-manual to ")
    }));
    // The first probe comes after fifteen seconds; its page is the file with the hostname.
    std::thread::sleep(Duration::from_secs(20));
    let address = get("jsonpath={.status.podIP}");
    let page = crate::stage::http(&format!("{address}:8080"), "/hostname");
    assert_eq!(page.as_deref(), Some("kubia-manual\n"));
    assert_eq!(
        get("jsonpath={.status.containerStatuses[0].restartCount}"),
        "0"
    );
    assert!(
        !events().iter().any(|event| event.starts_with("Unhealthy")),
        "{:?}",
        events()
    );
    // Labels decide when a pod is placed, not afterwards.
    stage.ok(&["label", node.trim(), "labelKey-"]);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(get("jsonpath={.status.phase}"), "Running");
    stage.delete_all();
}
