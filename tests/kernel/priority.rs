//! Pods that are more important than others: their classes, whom they send away, and what the kernel hears of it.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::Podtui;

const CLASSES: &str = "apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: high}
value: 1000
description: For what matters.
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: patient}
value: 2000
preemptionPolicy: Never
";

fn node(podtui: &Podtui) -> Value {
    let nodes: Value = serde_json::from_str(&podtui.ok(&["get", "nodes", "-o", "json"])).unwrap();
    nodes["items"][0].clone()
}

/// A pod that asks for all CPUs of the node but a tenth of one, and takes two seconds to end.
fn greedy(podtui: &Podtui, name: &str, rest: &str) -> String {
    let cpus = node(podtui)["status"]["allocatable"]["cpu"]
        .as_str()
        .unwrap()
        .parse::<u32>()
        .unwrap();
    let cpu = cpus * 1000 - 100;
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 20\n  {rest}\n  containers:\n  - name: c\n    \
         image: localhost/toolbox\n    command: [bash, -c, 'trap \"sleep 2; exit 0\" TERM; while :; do sleep 0.1; done']\n    \
         resources: {{requests: {{cpu: {cpu}m}}}}\n"
    )
}

fn condition(pod: &Value, kind: &str) -> Option<Value> {
    let list = pod["status"]["conditions"].as_array()?;
    list.iter().find(|one| one["type"] == kind).cloned()
}

/// Some sandboxes of the machine itself keep CAP_SYS_RESOURCE for themselves.
fn may_lower_oom_scores() -> bool {
    let line = "echo -997 > /proc/self/oom_score_adj";
    let mut tried = Command::new("sh");
    tried.args(["-c", line]).stderr(Stdio::null());
    tried.status().unwrap().success()
}

#[test]
fn a_more_important_pod_has_the_room_of_a_less_important_one() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(CLASSES);
    podtui.apply(&greedy(&podtui, "low", ""));
    podtui.wait_running("low");
    podtui.apply(&greedy(&podtui, "patient", "priorityClassName: patient"));
    let told = |text: &str| {
        podtui.wait(text, || {
            let events = podtui.ok(&["events"]);
            events.contains(text).then_some(())
        });
    };
    told("preemption: not eligible due to preemptionPolicy=Never.");
    assert_eq!(
        podtui.pod("low")["metadata"]["deletionTimestamp"],
        Value::Null
    );
    podtui.ok(&["delete", "pod", "patient"]);
    podtui.apply(&greedy(&podtui, "high", "priorityClassName: high"));
    let going = podtui.wait("low to be on its way out", || {
        podtui
            .try_pod("low")
            .filter(|pod| pod["metadata"]["deletionTimestamp"].is_string())
    });
    assert_eq!(going["metadata"]["deletionGracePeriodSeconds"], 20);
    let disruption = condition(&going, "DisruptionTarget").unwrap();
    assert_eq!(disruption["reason"], "PreemptionByScheduler");
    assert_eq!(
        disruption["message"],
        "default-scheduler: preempting to accommodate a higher priority pod"
    );
    let name = node(&podtui)["metadata"]["name"].clone();
    let waiting = podtui.wait("high to be nominated", || {
        podtui
            .try_pod("high")
            .filter(|pod| pod["status"]["nominatedNodeName"] == name)
    });
    assert_eq!(waiting["status"]["phase"], "Pending");
    let high = podtui.wait_running("high");
    assert_eq!(high["spec"]["priority"], 1000);
    assert!(podtui.try_pod("low").is_none());
    told("FailedScheduling");
    let uid = high["metadata"]["uid"].as_str().unwrap();
    let name = name.as_str().unwrap();
    told(&format!("Preempted by pod {uid} on node {name}"));
    // Nobody goes for its like.
    podtui.apply(&greedy(&podtui, "twin", "priorityClassName: high"));
    told("1 No preemption victims found for incoming pod.");
    // One of the system comes before all, and is killed last.
    podtui.apply(&greedy(
        &podtui,
        "system",
        "priorityClassName: system-node-critical",
    ));
    podtui.wait_running("system");
    let pid = podtui.container_pid("system", "c");
    let score = fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap();
    if may_lower_oom_scores() {
        assert_eq!(score.trim(), "-997");
    } else {
        println!("skipped: nobody may lower an oom_score_adj here");
    }
    let described = podtui.ok(&["describe", "pod", "system"]);
    assert!(
        described.contains("Priority:             2000001000\n"),
        "{described}"
    );
    assert!(
        described.contains("Priority Class Name:  system-node-critical\n"),
        "{described}"
    );
    podtui.delete_all();
}

/// A critical pod that names its node does not wait for the scheduler: others fail for it.
#[test]
fn a_critical_pod_is_let_in() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(&greedy(&podtui, "low", ""));
    podtui.wait_running("low");
    let name = node(&podtui)["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    podtui.apply(&greedy(
        &podtui,
        "critical",
        &format!("priorityClassName: system-cluster-critical\n  nodeName: {name}"),
    ));
    podtui.wait_running("critical");
    let low = podtui.wait_phase("low", "Failed");
    assert_eq!(low["status"]["reason"], "Preempting");
    assert_eq!(
        low["status"]["message"],
        "Preempted in order to admit critical pod"
    );
    // It had the time that it asks for.
    let state = &low["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(state["exitCode"], 0, "{low}");
    podtui.delete_all();
}
