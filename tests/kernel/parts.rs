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
    // It ends and stays ended; nobody else is concerned.
    podtui.ok(&[
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
    // Attached from the start, the exit of a short one shows its log.
    let said = podtui.ok(&[
        "debug",
        "app",
        image,
        "--image-pull-policy=IfNotPresent",
        "-q",
        "--attach",
        "--",
        "echo",
        "hello",
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
