//! Pods that have to go: over their share of the disk, or because the machine runs short.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::support::Podtui;

fn configured(text: &str) -> Podtui {
    let podtui = Podtui::idle();
    let directory = podtui.path().join("config");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("config.toml"), text).unwrap();
    podtui.serve();
    podtui
}

fn pod(name: &str, container: &str, rest: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 60\n  containers:\n  - name: c\n    \
         image: localhost/toolbox\n    {container}\n{rest}"
    )
}

fn write(path: &str) -> String {
    format!(
        "command: [bash, -c, 'trap \"\" TERM; head -c 3000000 /dev/zero > {path}; while :; do sleep 1; done']"
    )
}

fn condition(object: &Value, kind: &str) -> Option<Value> {
    let list = object["status"]["conditions"].as_array()?;
    list.iter().find(|one| one["type"] == kind).cloned()
}

#[track_caller]
fn check_evicted(podtui: &Podtui, name: &str, message: &str) -> Value {
    let pod = podtui.wait(&format!("{name} to be evicted"), || {
        podtui
            .try_pod(name)
            .filter(|pod| pod["status"]["phase"] == "Failed")
    });
    assert_eq!(pod["status"]["reason"], "Evicted", "{pod}");
    assert_eq!(pod["status"]["message"], message, "{pod}");
    let events = podtui.ok(&["get", "events", "-o", "json"]);
    let events: Value = serde_json::from_str(&events).unwrap();
    let told = events["items"].as_array().unwrap().iter().any(|event| {
        event["involvedObject"]["name"] == name
            && event["reason"] == "Evicted"
            && event["type"] == "Warning"
            && event["message"] == message
    });
    assert!(told, "{events}");
    pod
}

/// Volume, pod and container, in the kubelet's words. The pods ignore the stop signal and have a minute to
/// end: an eviction leaves them one second.
#[test]
fn more_disk_than_allowed_ends_a_pod() {
    require_root!();
    let podtui = Podtui::start();
    let volumes = "    volumeMounts: [{name: v, mountPath: /v}]\n  volumes: [{name: v, emptyDir: {sizeLimit: 1Mi}}]\n";
    let limit =
        |amount: &str| format!("    resources: {{limits: {{ephemeral-storage: {amount}}}}}\n");
    podtui.apply(&pod("volume", &write("/v/file"), volumes));
    podtui.apply(&pod("whole", &write("/var/tmp/file"), &limit("2Mi")));
    let two = format!(
        "{}  - {{name: d, image: localhost/toolbox, command: [sleep, '1000'], resources: {{limits: {{ephemeral-storage: 9Mi}}}}}}\n",
        limit("2Mi")
    );
    podtui.apply(&pod("one", &write("/var/tmp/file"), &two));
    podtui.apply(&pod(
        "logs",
        "command: [bash, -c, 'head -c 3000000 /dev/zero | base64; sleep 1000']",
        &two,
    ));
    podtui.apply(&pod("modest", "command: [sleep, '1000']", &limit("2Mi")));
    let started = std::time::Instant::now();
    let pod = check_evicted(
        &podtui,
        "volume",
        "Usage of EmptyDir volume \"v\" exceeds the limit \"1Mi\". ",
    );
    assert_eq!(condition(&pod, "DisruptionTarget"), None);
    check_evicted(
        &podtui,
        "whole",
        "Pod ephemeral local storage usage exceeds the total limit of containers 2Mi. ",
    );
    let over = "Container c exceeded its local ephemeral storage limit \"2Mi\". ";
    check_evicted(&podtui, "one", over);
    check_evicted(&podtui, "logs", over);
    assert!(started.elapsed() < Duration::from_secs(40));
    assert_eq!(podtui.pod("modest")["status"]["phase"], "Running");
    // What ran is gone, the objects stay.
    assert!(podtui.container_pids("volume", "c").is_empty());
    podtui.delete_all();
}

fn node(podtui: &Podtui) -> Value {
    let nodes: Value = serde_json::from_str(&podtui.ok(&["get", "nodes", "-o", "json"])).unwrap();
    nodes["items"][0].clone()
}

/// The node is under this pressure, in its conditions and its taints.
fn wait_pressure(podtui: &Podtui, kind: &str, taint: &str) {
    podtui.wait("the node to tell", || {
        let node = node(podtui);
        let pressure = condition(&node, kind)?;
        let taints = node["spec"]["taints"].as_array()?;
        let tainted = taints
            .iter()
            .any(|one| one["key"] == taint && one["effect"] == "NoSchedule");
        (pressure["status"] == "True" && tainted).then_some(())
    });
}

/// The scheduler leaves the pod waiting, for the node's taint.
#[track_caller]
fn check_left_waiting(podtui: &Podtui, name: &str) {
    let text = "0/1 nodes are available: 1 node(s) had untolerated taint(s). no new claims to deallocate, preemption: 0/1 nodes are \
                available: 1 Preemption is not helpful for scheduling.";
    let pod = podtui.wait(&format!("{name} to be left waiting"), || {
        let pod = podtui.try_pod(name)?;
        let placed = condition(&pod, "PodScheduled")?;
        (placed["status"] == "False").then_some((pod, placed))
    });
    let (pod, placed) = pod;
    assert_eq!(pod["status"]["phase"], "Pending");
    assert_eq!(placed["message"], text);
    podtui.wait("it to be told", || {
        podtui.ok(&["events"]).contains(text).then_some(())
    });
}

const MEMORY_TAINT: &str = "node.kubernetes.io/memory-pressure";
const DISK_TAINT: &str = "node.kubernetes.io/disk-pressure";

/// A machine that has less than it should: who does not tolerate its taint waits, who comes without the scheduler and
/// asked for nothing is refused, who uses more than it asked for goes, one at a time, and the node tells.
#[test]
fn a_machine_without_memory_makes_room() {
    require_root!();
    let podtui = configured("[eviction]\nmemory_available = \"100000Gi\"\n");
    wait_pressure(&podtui, "MemoryPressure", MEMORY_TAINT);
    let pressure = condition(&node(&podtui), "MemoryPressure").unwrap();
    assert_eq!(pressure["reason"], "KubeletHasInsufficientMemory");
    let described = podtui.ok(&["describe", "nodes"]);
    assert!(
        described.contains("node.kubernetes.io/memory-pressure:NoSchedule"),
        "{described}"
    );
    let sleep = "command: [sleep, '1000']";
    podtui.apply(&pod("waits", sleep, ""));
    check_left_waiting(&podtui, "waits");
    let name = node(&podtui)["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    podtui.apply(&pod("nothing", sleep, &format!("  nodeName: {name}\n")));
    let pod_of_nothing = podtui.wait_phase("nothing", "Failed");
    let status = &pod_of_nothing["status"];
    assert_eq!(status["reason"], "Evicted");
    assert_eq!(
        status["message"],
        "Pod was rejected: The node had condition: [MemoryPressure]. "
    );
    assert!(status["containerStatuses"].is_null(), "{status}");
    let tolerant = format!(
        "    resources: {{requests: {{memory: 1Ki}}}}\n  tolerations: [{{key: {MEMORY_TAINT}, operator: Exists}}]\n"
    );
    podtui.apply(&pod("greedy", sleep, &tolerant));
    let greedy = podtui.wait("greedy to go", || {
        podtui
            .try_pod("greedy")
            .filter(|pod| pod["status"]["phase"] == "Failed")
    });
    let message = greedy["status"]["message"].as_str().unwrap();
    assert!(
        message.starts_with(
            "The node was low on resource: memory. Threshold quantity: 100000Gi, available: "
        ),
        "{message}"
    );
    let disruption = condition(&greedy, "DisruptionTarget").unwrap();
    assert_eq!(disruption["reason"], "TerminationByKubelet");
    assert_eq!(disruption["message"], message);
    let events = podtui.ok(&["get", "events", "-A"]);
    for text in [
        "EvictionThresholdMet",
        "Attempting to reclaim memory",
        "Starting kubelet.",
        "NodeHasInsufficientMemory",
        "NodeHasNoDiskPressure",
        "NodeHasSufficientPID",
        "NodeReady",
    ] {
        assert!(events.contains(text), "{text} is not in {events}");
    }
    // The taint goes with the condition, and the pod comes.
    fs::write(podtui.path().join("config/config.toml"), "").unwrap();
    podtui.serve_again();
    podtui.wait_running("waits");
    assert_eq!(node(&podtui)["spec"]["taints"], Value::Null);
    podtui.delete_all();
}

/// A full disk takes nobody.
#[test]
fn a_full_disk_takes_no_pods() {
    require_root!();
    let podtui = configured("[eviction]\nnodefs_available = \"99%\"\n");
    wait_pressure(&podtui, "DiskPressure", DISK_TAINT);
    let request = "    resources: {requests: {memory: 1Mi}}\n";
    let sleep = "command: [sleep, '1000']";
    podtui.apply(&pod("p", sleep, request));
    check_left_waiting(&podtui, "p");
    // Who tolerates the taint is placed, and the kubelet does not let it in.
    let tolerant = format!("{request}  tolerations: [{{key: {DISK_TAINT}, operator: Exists}}]\n");
    podtui.apply(&pod("tolerant", sleep, &tolerant));
    let tolerant = podtui.wait_phase("tolerant", "Failed");
    assert_eq!(
        tolerant["status"]["message"],
        "Pod was rejected: The node had condition: [DiskPressure]. "
    );
    podtui.delete_all();
}

/// A taint with effect NoExecute ends who does not tolerate it, gracefully and with the controller's words; who
/// tolerates it for a time goes after that, unless the taint goes first.
#[test]
fn a_tainted_node_sends_pods_away() {
    require_root!();
    let podtui = Podtui::start();
    let node: Value = serde_json::from_str(&podtui.ok(&["get", "nodes", "-o", "json"])).unwrap();
    let node = node["items"][0]["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    let taint = |taints: &str| {
        let patch = format!("{{\"spec\":{{\"taints\":{taints}}}}}");
        podtui.ok(&["patch", "node", &node, "--type", "merge", "-p", &patch]);
    };
    let tolerates = |more: &str| {
        format!("  tolerations: [{{key: flood, operator: Exists, effect: NoExecute{more}}}]\n")
    };
    // Says what it was told before it goes.
    let orderly =
        "command: [bash, -c, 'trap \"sleep 1; exit 0\" TERM; while :; do sleep 0.1; done']";
    podtui.apply(&pod("plain", orderly, ""));
    podtui.apply(&pod("soon", orderly, &tolerates(", tolerationSeconds: 3")));
    podtui.apply(&pod(
        "later",
        orderly,
        &tolerates(", tolerationSeconds: 3600"),
    ));
    podtui.apply(&pod("always", orderly, &tolerates("")));
    for name in ["plain", "soon", "later", "always"] {
        podtui.wait_running(name);
    }
    let told = |pod: &str, text: &str| {
        let events = podtui.ok(&["get", "events", "-o", "json"]);
        let events: Value = serde_json::from_str(&events).unwrap();
        events["items"].as_array().unwrap().iter().any(|event| {
            event["reason"] == "TaintManagerEviction"
                && event["type"] == "Normal"
                && event["source"]["component"] == "taint-eviction-controller"
                && event["message"] == format!("{text} Pod default/{pod}")
        })
    };
    taint("[{\"key\":\"flood\",\"effect\":\"NoExecute\"}]");
    let going = podtui.wait("plain to be on its way out", || {
        podtui
            .try_pod("plain")
            .filter(|pod| pod["metadata"]["deletionTimestamp"].is_string())
    });
    assert_eq!(going["metadata"]["deletionGracePeriodSeconds"], 60);
    let condition = condition(&going, "DisruptionTarget").unwrap();
    assert_eq!(condition["status"], "True");
    assert_eq!(condition["reason"], "DeletionByTaintManager");
    assert_eq!(
        condition["message"],
        "Taint manager: deleting due to NoExecute taint"
    );
    podtui.wait("plain to be gone", || {
        podtui.try_pod("plain").is_none().then_some(())
    });
    podtui.wait("soon to be gone", || {
        podtui.try_pod("soon").is_none().then_some(())
    });
    for name in ["plain", "soon"] {
        podtui.wait("the deletion to be told", || {
            told(name, "Marking for deletion").then_some(())
        });
    }
    // Who would come now waits.
    podtui.apply(&pod("new", orderly, ""));
    podtui.wait("the taint to be told", || {
        let events = podtui.ok(&["events"]);
        events
            .contains("node(s) had untolerated taint(s)")
            .then_some(())
    });
    taint("null");
    podtui.wait("the deletion of later to be called off", || {
        told("later", "Cancelling deletion of").then_some(())
    });
    podtui.wait_running("new");
    for name in ["later", "always"] {
        let stayed = podtui.pod(name);
        assert_eq!(stayed["metadata"]["deletionTimestamp"], Value::Null);
        assert_eq!(stayed["status"]["phase"], "Running");
    }
    podtui.delete_all();
}

/// A soft threshold is told at once; a pod goes when it was met for its grace, with the grace of the configuration.
#[test]
fn a_soft_threshold_waits_before_somebody_goes() {
    require_root!();
    let podtui = configured(
        "[eviction]\nmax_pod_grace_seconds = 2\n[eviction.soft]\nmemory_available = {below = \"100000Gi\", grace_seconds = 5}\n",
    );
    podtui.wait("the node to tell", || {
        let node: Value =
            serde_json::from_str(&podtui.ok(&["get", "nodes", "-o", "json"])).unwrap();
        let pressure = condition(&node["items"][0], "MemoryPressure")?;
        (pressure["status"] == "True").then_some(())
    });
    // Who began before the first look is there when the time is over.
    assert!(
        !podtui
            .ok(&["get", "events", "-A"])
            .contains("EvictionThresholdMet")
    );
    let request = format!(
        "    resources: {{requests: {{memory: 1Ki}}}}\n  tolerations: [{{key: {MEMORY_TAINT}, operator: Exists}}]\n"
    );
    let stubborn = "command: [bash, -c, 'trap \"\" TERM; while :; do sleep 0.1; done']";
    podtui.apply(&pod("greedy", stubborn, &request));
    let greedy = podtui.wait("greedy to go", || {
        podtui
            .try_pod("greedy")
            .filter(|pod| pod["status"]["phase"] == "Failed")
    });
    let message = greedy["status"]["message"].as_str().unwrap();
    assert!(
        message.starts_with(
            "The node was low on resource: memory. Threshold quantity: 100000Gi, available: "
        ),
        "{message}"
    );
    let state = &greedy["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(state["exitCode"], 137, "{greedy}");
    podtui.delete_all();
}
