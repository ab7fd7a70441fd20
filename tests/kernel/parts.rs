//! What is written of a pod beside its spec: conditions of others, ephemeral containers, a resize.

use std::time::Duration;

use serde_json::Value;

use crate::support::{Podtui, is_alive, namespace, status};

const POLITE: &str = "trap \"exit 0\" TERM; while :; do sleep 0.05; done";

fn pod(name: &str, spec: &str, container: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 0\n{spec}  containers:\n  - name: c\n    image: localhost/toolbox\n    imagePullPolicy: IfNotPresent\n    command: [sh, -c, '{POLITE}']\n{container}"
    )
}

fn condition<'a>(pod: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = pod["status"]["conditions"].as_array()?;
    conditions
        .iter()
        .find(|condition| condition["type"] == kind)
}

#[test]
fn a_readiness_gate_is_opened_through_the_status() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(&pod(
        "gated",
        "  readinessGates: [{conditionType: example.com/gate}]\n",
        "",
    ));
    let waits = podtui.wait("its containers", || {
        let pod = podtui.try_pod("gated")?;
        (condition(&pod, "ContainersReady")?["status"] == "True").then_some(pod)
    });
    let ready = condition(&waits, "Ready").expect("a Ready condition");
    assert_eq!(
        (&ready["status"], &ready["reason"], &ready["message"]),
        (
            &"False".into(),
            &"ReadinessGatesNotReady".into(),
            &"corresponding condition of pod readiness gate \"example.com/gate\" does not exist."
                .into()
        )
    );
    let set = |value: &str| {
        let patch = format!(
            "{{\"status\":{{\"conditions\":[{{\"type\":\"example.com/gate\",\"status\":\"{value}\"}}]}}}}"
        );
        podtui.ok(&[
            "patch",
            "pod",
            "gated",
            "--subresource=status",
            "-p",
            &patch,
        ])
    };
    assert_eq!(set("True"), "pod/gated patched\n");
    podtui.ok(&[
        "wait",
        "pod/gated",
        "--for=condition=Ready",
        "--timeout=20s",
    ]);
    // The engine keeps what is not its own, after a restart as well.
    podtui.serve_again();
    podtui.ok(&[
        "wait",
        "pod/gated",
        "--for=condition=Ready",
        "--timeout=20s",
    ]);
    assert_eq!(set("False"), "pod/gated patched\n");
    podtui.ok(&[
        "wait",
        "pod/gated",
        "--for=condition=Ready=False",
        "--timeout=20s",
    ]);
    let shut = podtui.pod("gated");
    assert_eq!(
        condition(&shut, "Ready").expect("a condition")["message"],
        "the status of pod readiness gate \"example.com/gate\" is not \"True\", but False"
    );
    assert_eq!(shut["status"]["phase"], "Running");
    podtui.delete_all();
}

#[test]
fn an_ephemeral_container_looks_into_its_target() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(&pod("app", "", ""));
    podtui.wait_running("app");
    let target = podtui.container_pid("app", "c");
    let image = "--image=localhost/toolbox";
    podtui.ok(&[
        "debug",
        "app",
        image,
        "--image-pull-policy=IfNotPresent",
        "-c",
        "look",
        "--target=c",
        "--",
        "sh",
        "-c",
        "ps ax; exec sleep 1000",
    ]);
    let running = podtui.wait("the ephemeral container", || {
        let pod = podtui.try_pod("app")?;
        let found = pod["status"]["ephemeralContainerStatuses"][0].clone();
        (!found["state"]["running"].is_null()).then_some(pod)
    });
    assert_eq!(running["status"]["containerStatuses"][0]["ready"], true);
    let helper = podtui.container_pid("app", "look");
    for shared in ["pid", "net", "ipc", "uts"] {
        assert_eq!(
            namespace(helper, shared),
            namespace(target, shared),
            "{shared}"
        );
    }
    assert_ne!(namespace(helper, "mnt"), namespace(target, "mnt"));
    let log = podtui.wait("its log", || {
        let text = podtui.ok(&["logs", "app", "-c", "look"]);
        text.contains("ps ax").then_some(text)
    });
    assert!(log.contains("trap \"exit 0\" TERM"), "{log}");
    // It ends and stays ended; nobody else is concerned. The command may end with the container it kills.
    podtui.output(&[
        "exec",
        "app",
        "-c",
        "look",
        "--",
        "sh",
        "-c",
        "pkill -9 -f '^sleep 1000$'; true",
    ]);
    let ended = podtui.wait("its end", || {
        let pod = podtui.try_pod("app")?;
        let found = pod["status"]["ephemeralContainerStatuses"][0].clone();
        (found["state"]["terminated"]["exitCode"] == 137).then_some(pod)
    });
    assert_eq!(status(&ended, "c")["restartCount"], 0);
    assert!(is_alive(target));
    podtui.serve_again();
    std::thread::sleep(Duration::from_secs(1));
    let later = podtui.pod("app");
    let found = &later["status"]["ephemeralContainerStatuses"];
    assert_eq!(found[0]["state"]["terminated"]["exitCode"], 137, "{later}");
    let missing = podtui.refused(&["debug", "app", image, "--target=nobody", "--", "true"]);
    assert!(
        missing.contains("spec.ephemeralContainers[1].targetContainerName: Not found: \"nobody\""),
        "{missing}"
    );
    // Attached before it has said anything: what is written earlier is not shown again, as with kubectl.
    let said = podtui.ok(&[
        "debug",
        "app",
        image,
        "--image-pull-policy=IfNotPresent",
        "-q",
        "--attach",
        "--",
        "sh",
        "-c",
        "sleep 2; echo hello",
    ]);
    assert_eq!(said, "hello\n");
    podtui.delete_all();
}

#[test]
fn a_copy_of_a_pod_is_changed_for_debugging() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(&pod(
        "app",
        "",
        "    livenessProbe: {exec: {command: [\"true\"]}}\n",
    ));
    podtui.wait_running("app");
    podtui.ok(&["label", "pod", "app", "app=web"]);
    podtui.ok(&[
        "debug",
        "app",
        "--copy-to=twin",
        "-c",
        "c",
        "--set-image=*=localhost/toolbox:latest",
        "--",
        "sleep",
        "1000",
    ]);
    let twin = podtui.wait_running("twin");
    let spec = &twin["spec"];
    assert_eq!(spec["shareProcessNamespace"], true);
    assert_eq!(
        spec["containers"][0]["command"],
        serde_json::json!(["sleep", "1000"])
    );
    assert!(spec["containers"][0]["livenessProbe"].is_null());
    assert!(twin["metadata"]["labels"].is_null(), "{twin}");
    podtui.delete_all();
}

/// A file of the innermost cgroup of this process, whichever version holds the controller.
fn cgroup_file(pid: u32, up: usize, v1: (&str, &str), v2: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("a cgroup");
    let line = |wanted: &str| {
        text.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let controllers = fields.next()?;
            let path = fields.next()?;
            controllers
                .split(',')
                .any(|name| name == wanted)
                .then(|| path.to_owned())
        })
    };
    let (directory, file) = match line(v1.0) {
        Some(path) => (format!("/sys/fs/cgroup/{}{path}", v1.0), v1.1),
        None => (format!("/sys/fs/cgroup{}", line("").expect("a path")), v2),
    };
    let directory = format!("{directory}{}", "/..".repeat(up));
    let path = format!("{directory}/{file}");
    std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{path}: {error}"))
        .trim()
        .to_owned()
}

fn memory_limit(pid: u32, up: usize) -> String {
    cgroup_file(pid, up, ("memory", "memory.limit_in_bytes"), "memory.max")
}

fn quota(pid: u32, up: usize) -> String {
    let text = cgroup_file(pid, up, ("cpu", "cpu.cfs_quota_us"), "cpu.max");
    text.split(' ').next().unwrap_or_default().to_owned()
}

#[test]
fn a_running_pod_is_resized() {
    require_root!();
    let podtui = Podtui::start();
    let resources =
        "    resources: {requests: {cpu: 100m, memory: 32Mi}, limits: {cpu: 200m, memory: 64Mi}}\n";
    podtui.apply(&pod("web", "", resources));
    podtui.wait_running("web");
    let pid = podtui.container_pid("web", "c");
    assert_eq!(
        (quota(pid, 0), memory_limit(pid, 0)),
        ("20000".into(), "67108864".into())
    );
    let patch = |resources: &str| {
        let patch = format!(
            "{{\"spec\":{{\"containers\":[{{\"name\":\"c\",\"resources\":{resources}}}]}}}}"
        );
        podtui
            .command(&["patch", "pod", "web", "--subresource=resize", "-p", &patch])
            .output()
            .expect("podtui runs")
    };
    let wait_for = |what: &str, path: &str, value: &str| {
        podtui.wait(what, || {
            let pod = podtui.try_pod("web")?;
            (pod.pointer(path)? == value).then_some(pod)
        })
    };
    let limit = "/status/containerStatuses/0/resources/limits/memory";
    let done = patch(
        "{\"requests\":{\"cpu\":\"200m\"},\"limits\":{\"cpu\":\"300m\",\"memory\":\"128Mi\"}}",
    );
    assert_eq!(String::from_utf8_lossy(&done.stdout), "pod/web patched\n");
    let grown = wait_for("the larger limit", limit, "128Mi");
    podtui.wait("the files", || {
        let wanted = ("30000".to_owned(), "134217728".to_owned());
        ((quota(pid, 0), memory_limit(pid, 0)) == wanted).then_some(())
    });
    assert_eq!(
        (quota(pid, 1), memory_limit(pid, 1)),
        ("30000".into(), "134217728".into())
    );
    assert_eq!(status(&grown, "c")["allocatedResources"]["cpu"], "200m");
    let events = podtui.wait("the events", || {
        let events = podtui.ok(&["events"]);
        events.contains("ResizeCompleted").then_some(events)
    });
    assert!(
        events.contains("Pod resize started: {\"containers\":"),
        "{events}"
    );
    // Back down, while the pod goes on.
    patch("{\"limits\":{\"memory\":\"48Mi\"}}");
    wait_for("the smaller limit", limit, "48Mi");
    podtui.wait("the file", || {
        (memory_limit(pid, 1) == "50331648").then_some(())
    });
    // Less than is in use is refused and tried again; then the next wish counts.
    patch("{\"requests\":{\"memory\":\"4Ki\"},\"limits\":{\"memory\":\"4Ki\"}}");
    let refused = podtui.wait("the refusal", || {
        let pod = podtui.try_pod("web")?;
        (condition(&pod, "PodResizeInProgress")?["reason"] == "Error").then_some(pod)
    });
    let text =
        condition(&refused, "PodResizeInProgress").expect("it is there")["message"].to_string();
    assert!(
        text.contains(
            "attempting to set container \\\"c\\\" memory limit (4096) below current usage ("
        ),
        "{text}"
    );
    // More than the machine has is not taken on.
    patch(
        "{\"requests\":{\"cpu\":\"5000\",\"memory\":\"32Mi\"},\"limits\":{\"cpu\":\"5000\",\"memory\":\"64Mi\"}}",
    );
    let pending = podtui.wait("Infeasible", || {
        let pod = podtui.try_pod("web")?;
        (condition(&pod, "PodResizePending")?["reason"] == "Infeasible").then_some(pod)
    });
    assert_eq!(status(&pending, "c")["resources"]["limits"]["cpu"], "300m");
    podtui.serve_again();
    patch("{\"requests\":{\"cpu\":\"100m\"},\"limits\":{\"cpu\":\"400m\"}}");
    podtui.wait("the end of it", || {
        let pod = podtui.try_pod("web")?;
        let over = condition(&pod, "PodResizePending").is_none()
            && condition(&pod, "PodResizeInProgress").is_none();
        over.then_some(())
    });
    assert_eq!(
        (quota(pid, 0), memory_limit(pid, 0)),
        ("40000".into(), "67108864".into())
    );
    let last = podtui.pod("web");
    assert_eq!(status(&last, "c")["restartCount"], 0);
    let qos = patch("{\"requests\":{\"cpu\":\"400m\",\"memory\":\"64Mi\"}}");
    assert_eq!(
        String::from_utf8_lossy(&qos.stderr),
        "The Pod \"web\" is invalid: spec: Invalid value: \"Burstable\": Pod QOS Class may not change as a result of resizing\n"
    );
    podtui.delete_all();
}

#[test]
fn a_resize_that_needs_it_restarts_its_container() {
    require_root!();
    let podtui = Podtui::start();
    let policy = "    resizePolicy: [{resourceName: memory, restartPolicy: RestartContainer}]\n    resources: {limits: {memory: 64Mi}}\n";
    podtui.apply(&pod("web", "", policy));
    podtui.wait_running("web");
    podtui.ok(&[
        "patch", "pod", "web", "--subresource=resize", "--type=json", "-p",
        "[{\"op\":\"replace\",\"path\":\"/spec/containers/0/resources/limits/memory\",\"value\":\"96Mi\"}]",
    ]);
    let again = podtui.wait("the restart", || {
        let pod = podtui.try_pod("web")?;
        let one = status(&pod, "c").clone();
        (one["restartCount"] == 1 && !one["state"]["running"].is_null()).then_some(pod)
    });
    assert_eq!(status(&again, "c")["resources"]["limits"]["memory"], "96Mi");
    assert_eq!(
        memory_limit(podtui.container_pid("web", "c"), 0),
        "100663296"
    );
    let events = podtui.ok(&["events"]);
    assert!(
        events.contains("Container c resize requires restart"),
        "{events}"
    );
    podtui.delete_all();
}
