//! Probes on the real kernel: what they run and reach, and what follows from it.

use std::process::Command;

use crate::support::image::Rootfs;
use crate::support::{Podtui, status};

const SCENARIO: &str = include_str!("../fixtures/manifests/scenarios/08-liveness-exec.yaml");

fn events(podtui: &Podtui, pod: &str) -> String {
    podtui.ok(&["describe", "pod", pod])
}

fn restarts(podtui: &Podtui, pod: &str, container: &str) -> u64 {
    let pod = podtui.pod(pod);
    status(&pod, container)["restartCount"]
        .as_u64()
        .unwrap_or_default()
}

fn is_ready(podtui: &Podtui, pod: &str, container: &str) -> bool {
    status(&podtui.pod(pod), container)["ready"] == true
}

fn toolbox(name: &str, script: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 1\n  containers:\n  - name: c\n    image: localhost/toolbox\n    command: [sh, -c, '{script}']\n{more}"
    )
}

/// The manifest as it is handed out, with its times of 30 and 5 seconds made shorter.
#[test]
fn scenario_08_a_missing_file_restarts_the_container() {
    require_images!();
    let podtui = Podtui::start();
    let rootfs = Rootfs::new()
        .directory("tmp")
        .link("bin/touch", "busybox")
        .link("bin/rm", "busybox");
    rootfs.import_as(&podtui, "docker.io/library/busybox:latest");
    let manifest = SCENARIO
        .replace(
            "image: busybox",
            "image: busybox\n    imagePullPolicy: IfNotPresent",
        )
        .replace("sleep 30", "sleep 6")
        .replace("initialDelaySeconds: 5", "initialDelaySeconds: 2")
        .replace("periodSeconds: 5", "periodSeconds: 1")
        .replace("spec:\n", "spec:\n  terminationGracePeriodSeconds: 1\n");
    assert!(manifest.contains("sleep 6;") && manifest.contains("periodSeconds: 1"));
    podtui.apply(&manifest);
    podtui.wait_running("test-liveness-exec");
    std::thread::sleep(std::time::Duration::from_secs(4));
    assert_eq!(restarts(&podtui, "test-liveness-exec", "liveness"), 0);
    podtui.wait("the restart", || {
        let table = podtui.ok(&["get", "pods"]);
        assert!(
            !table.contains("Error") && !table.contains("Crash"),
            "{table}"
        );
        (restarts(&podtui, "test-liveness-exec", "liveness") == 1).then_some(())
    });
    let told = events(&podtui, "test-liveness-exec");
    for text in [
        "Liveness probe failed: cat: can't open '/tmp/healthy': No such file or directory",
        "Container liveness failed liveness probe, will be restarted",
    ] {
        assert!(told.contains(text), "{told}");
    }
    let line = told.lines().find(|line| line.contains("Unhealthy"));
    assert!(line.is_some_and(|line| line.contains("(x3 over")), "{told}");
}

#[test]
fn http_and_tcp_reach_the_pod_from_inside() {
    require_images!();
    let podtui = Podtui::start();
    let rootfs = Rootfs::new()
        .directory("www")
        .directory("tmp")
        .link("bin/httpd", "busybox");
    rootfs.import_as(&podtui, "localhost/web:1");
    podtui.apply(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  terminationGracePeriodSeconds: 1\n  containers:\n  - name: c\n    image: localhost/web:1\n    command: [httpd, -f, -p, '8080', -h, /www]\n    ports: [{name: http, containerPort: 8080}]\n    startupProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}\n    readinessProbe: {httpGet: {port: http, path: /ok}, periodSeconds: 1, failureThreshold: 1}\n",
    );
    podtui.wait_running("web");
    podtui.wait("the startup probe", || {
        (status(&podtui.pod("web"), "c")["started"] == true).then_some(())
    });
    podtui.wait("a failed probe", || {
        events(&podtui, "web")
            .contains("Readiness probe failed: HTTP probe failed with statuscode: 404")
            .then_some(())
    });
    assert!(!is_ready(&podtui, "web", "c"));
    podtui.ok(&["exec", "web", "--", "sh", "-c", "echo yes > /www/ok"]);
    podtui.wait("readiness", || is_ready(&podtui, "web", "c").then_some(()));
    assert_eq!(restarts(&podtui, "web", "c"), 0);

    // The next engine keeps readiness.
    podtui.kill_engine();
    podtui.serve();
    assert!(is_ready(&podtui, "web", "c"));
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert!(is_ready(&podtui, "web", "c"));
}

#[test]
fn a_command_that_is_too_slow_is_killed_with_its_group() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(&toolbox(
        "slow",
        "while :; do sleep 0.2; done",
        "    readinessProbe: {exec: {command: [sh, -c, 'sleep 4242; true']}, periodSeconds: 1, timeoutSeconds: 1}\n",
    ));
    podtui.wait_running("slow");
    podtui.wait("the end of its time", || {
        events(&podtui, "slow")
            .contains("Readiness probe failed: command timed out: \"sh -c sleep 4242; true\" timed out after 1s")
            .then_some(())
    });
    assert!(!is_ready(&podtui, "slow", "c"));
    // One attempt may be under way at any time, never two.
    std::thread::sleep(std::time::Duration::from_secs(3));
    let listed = Command::new("pgrep").args(["-f", "sleep 4242"]).output();
    let listed = listed.expect("pgrep").stdout;
    let count = String::from_utf8_lossy(&listed).lines().count();
    assert!(count <= 2, "{count} processes are left of the attempts");
}

#[test]
fn what_a_command_wrote_and_why_it_could_not_run_is_told() {
    require_root!();
    let podtui = Podtui::start();
    // Both outputs in turns, and more than a pipe holds.
    podtui.apply(&toolbox(
        "talks",
        "while :; do sleep 0.2; done",
        "    readinessProbe: {exec: {command: [sh, -c, 'echo one; echo two >&2; echo three; seq 100000; exit 3']}, periodSeconds: 1, timeoutSeconds: 20}\n",
    ));
    podtui.apply(&toolbox(
        "missing",
        "while :; do sleep 0.2; done",
        "    readinessProbe: {exec: {command: [no-such-program]}, periodSeconds: 1}\n",
    ));
    podtui.apply(&toolbox(
        "quiet",
        "while :; do sleep 0.2; done",
        "    readinessProbe: {exec: {command: [sh, -c, 'exec >&- 2>&-; sleep 0.3; exit 4']}, periodSeconds: 1}\n",
    ));
    podtui.wait("what was written", || {
        podtui
            .ok(&["get", "events", "-o", "json"])
            .contains(r"Readiness probe failed: one\ntwo\nthree\n1\n2\n")
            .then_some(())
    });
    podtui.wait("why it could not run", || {
        events(&podtui, "missing")
            .contains("executable file not found in $PATH")
            .then_some(())
    });
    // Its outputs end before it does.
    podtui.wait("the end of a silent command", || {
        events(&podtui, "quiet")
            .contains("Readiness probe failed")
            .then_some(())
    });
    for pod in ["talks", "missing", "quiet"] {
        podtui.wait_running(pod);
        assert!(!is_ready(&podtui, pod, "c"), "{pod}");
        assert_eq!(restarts(&podtui, pod, "c"), 0, "{pod}");
    }
}
