//! The engine dies during each step of a pod's life; the pod must come to what an undisturbed run gives.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::support::{Podtui, status};

/// Where the containers write down what they do.
fn journal(podtui: &Podtui) -> PathBuf {
    let directory = podtui.path().join("shared");
    fs::create_dir_all(&directory).expect("a directory");
    directory.join("journal")
}

fn read(journal: &Path) -> Vec<String> {
    fs::read_to_string(journal)
        .unwrap_or_default()
        .lines()
        .map(str::to_owned)
        .collect()
}

fn container(name: &str, script: &str, more: &str) -> String {
    format!(
        "  - {{name: {name}, image: localhost/toolbox, imagePullPolicy: IfNotPresent, command: [sh, -c, '{script}'], volumeMounts: [{{name: v, mountPath: /v}}]{more}}}\n"
    )
}

/// `main` runs until it is asked to end, beside a sidecar, after two init containers of half a second.
fn pod(podtui: &Podtui, lifecycle: &str) -> String {
    let shared = journal(podtui);
    let shared = shared.parent().expect("a directory").display();
    let stays = |name: &str| {
        format!(
            "echo {name} >> /v/journal; trap \"echo end-{name} >> /v/journal; exit 0\" TERM; while :; do sleep 0.05; done"
        )
    };
    let once =
        |name: &str| format!("echo {name} >> /v/journal; sleep 0.5; echo end-{name} >> /v/journal");
    [
        format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: steps}}\nspec:\n  terminationGracePeriodSeconds: 20\n  volumes: [{{name: v, hostPath: {{path: {shared}, type: Directory}}}}]\n  initContainers:\n"),
        container("one", &once("one"), ""),
        container("side", &stays("side"), ", restartPolicy: Always"),
        container("two", &once("two"), ""),
        "  containers:\n".to_owned(),
        container("main", &stays("main"), &format!(", lifecycle: {lifecycle}")),
    ]
    .concat()
}

/// An undisturbed start leaves this.
const STARTED: [&str; 6] = ["one", "end-one", "side", "two", "end-two", "main"];

#[track_caller]
fn wait_line(podtui: &Podtui, line: &str) {
    let journal = journal(podtui);
    podtui.wait(line, || {
        read(&journal)
            .iter()
            .any(|found| found == line)
            .then_some(())
    });
}

fn restart_counts(pod: &Value) -> Vec<i64> {
    ["initContainerStatuses", "containerStatuses"]
        .iter()
        .flat_map(|list| pod["status"][list].as_array().into_iter().flatten())
        .filter_map(|status| status["restartCount"].as_i64())
        .collect()
}

fn die_and_come_back(podtui: &Podtui, dead_for: Duration) {
    podtui.kill_engine();
    std::thread::sleep(dead_for);
    podtui.serve();
}

/// The engine dies when this line appears, for so long; nothing of it shows in the end.
#[track_caller]
fn check_start(line: &str, dead_for: Duration) {
    let podtui = Podtui::start();
    podtui.apply(&pod(&podtui, "{}"));
    wait_line(&podtui, line);
    die_and_come_back(&podtui, dead_for);
    let running = podtui.wait_running("steps");
    wait_line(&podtui, "main");
    assert_eq!(read(&journal(&podtui)), STARTED, "killed at {line}");
    assert_eq!(restart_counts(&running), [0, 0, 0, 0], "killed at {line}");
    assert_eq!(running["status"]["phase"], "Running");
    podtui.delete_all();
}

#[test]
fn killed_while_an_init_container_runs() {
    require_root!();
    check_start("one", Duration::ZERO);
    check_start("two", Duration::ZERO);
}

#[test]
fn killed_between_init_containers_and_the_application() {
    require_root!();
    // The init container ends while there is no engine.
    check_start("one", Duration::from_secs(1));
    check_start("two", Duration::from_secs(1));
}

#[test]
fn killed_during_post_start() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(&pod(
        &podtui,
        "{postStart: {exec: {command: [sh, -c, \"echo hook >> /v/journal; while [ ! -e /v/go ]; do sleep 0.05; done; echo end-hook >> /v/journal\"]}}}",
    ));
    wait_line(&podtui, "hook");
    die_and_come_back(&podtui, Duration::ZERO);
    let journal = journal(&podtui);
    podtui.wait("the hook to run again", || {
        let begun = read(&journal).iter().filter(|line| *line == "hook").count();
        (begun == 2).then_some(())
    });
    let waits = podtui.pod("steps");
    assert_eq!(
        status(&waits, "main")["state"]["waiting"]["reason"],
        "PodInitializing"
    );
    fs::write(journal.with_file_name("go"), "").expect("written");
    let running = podtui.wait_running("steps");
    assert!(read(&journal).iter().any(|line| line == "end-hook"));
    assert_eq!(restart_counts(&running), [0, 0, 0, 0]);
    // What was seen to its end is not run a third time.
    die_and_come_back(&podtui, Duration::ZERO);
    podtui.wait_running("steps");
    let begun = read(&journal).iter().filter(|line| *line == "hook").count();
    assert_eq!(begun, 2);
    podtui.delete_all();
}

#[test]
fn killed_during_pre_stop_and_during_the_stop() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(&pod(
        &podtui,
        "{preStop: {exec: {command: [sh, -c, \"echo pre >> /v/journal; sleep 1; echo end-pre >> /v/journal\"]}}}",
    ));
    podtui.wait_running("steps");
    wait_line(&podtui, "main");
    podtui.ok(&["delete", "pod", "steps", "--wait=false"]);
    wait_line(&podtui, "pre");
    die_and_come_back(&podtui, Duration::ZERO);
    wait_line(&podtui, "end-main");
    die_and_come_back(&podtui, Duration::ZERO);
    podtui.wait("the pod to be gone", || {
        podtui.try_pod("steps").is_none().then_some(())
    });
    let lines = read(&journal(&podtui));
    let place = |line: &str| lines.iter().position(|found| found == line);
    assert!(place("end-pre").is_some(), "{lines:?}");
    assert!(place("end-pre") < place("end-main"), "{lines:?}");
    assert_eq!(
        lines.last().map(String::as_str),
        Some("end-side"),
        "{lines:?}"
    );
    podtui.delete_all();
}

#[test]
fn killed_during_back_off() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: crash}\nspec:\n  containers:\n  - {name: c, image: localhost/toolbox, imagePullPolicy: IfNotPresent, command: [sh, -c, 'exit 3']}\n",
    );
    let waits = |podtui: &Podtui| {
        podtui.try_pod("crash").filter(|pod| {
            status(pod, "c")["restartCount"] == 1
                && status(pod, "c")["state"]["waiting"]["reason"] == "CrashLoopBackOff"
        })
    };
    let before = podtui.wait("the back-off", || waits(&podtui));
    let finished = |pod: &Value| -> Timestamp {
        let text = status(pod, "c")["lastState"]["terminated"]["finishedAt"].as_str();
        text.and_then(|text| text.parse().ok()).expect("a time")
    };
    die_and_come_back(&podtui, Duration::from_secs(1));
    let after = podtui.wait("the same back-off", || waits(&podtui));
    assert_eq!(finished(&after), finished(&before));
    let next = podtui.wait("the next run", || {
        podtui
            .try_pod("crash")
            .filter(|pod| status(pod, "c")["restartCount"] == 2)
    });
    let state = &status(&next, "c")["state"];
    let last = &status(&next, "c")["lastState"];
    let began = [&state["running"], &state["terminated"], &last["terminated"]]
        .iter()
        .find_map(|run| run["startedAt"].as_str())
        .and_then(|text| text.parse::<Timestamp>().ok())
        .expect("a time");
    let waited = began.duration_since(finished(&before)).as_secs();
    assert!((9..=14).contains(&waited), "waited {waited} s");
    podtui.delete_all();
}

/// A pod of one container `c` that shares a directory with the test.
fn single(podtui: &Podtui, script: &str, more: &str) -> String {
    let shared = journal(podtui);
    let shared = shared.parent().expect("a directory").display();
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: single}}\nspec:\n  terminationGracePeriodSeconds: 20\n  volumes: [{{name: v, hostPath: {{path: {shared}, type: Directory}}}}]\n  containers:\n{}",
        container("c", script, more)
    )
}

fn wait_restarted(podtui: &Podtui) -> Value {
    podtui.wait("the restart", || {
        podtui.try_pod("single").filter(|pod| {
            status(pod, "c")["restartCount"] == 1
                && status(pod, "c")["state"]["running"].is_object()
        })
    })
}

const SICK: &str = "rm -f /v/sick; echo run >> /v/journal; trap \"sleep 0.5; echo end >> /v/journal; exit 0\" TERM; while :; do sleep 0.05; done";

/// The engine dies at this step of a kill for a failed probe; the container is restarted once, in the right order.
#[track_caller]
fn check_probe_failure(line: &str, dead_for: Duration) {
    let podtui = Podtui::start();
    podtui.apply(&single(
        &podtui,
        SICK,
        ", livenessProbe: {exec: {command: [test, \"!\", -e, /v/sick]}, periodSeconds: 1, failureThreshold: 2}, lifecycle: {preStop: {exec: {command: [sh, -c, \"echo pre >> /v/journal; sleep 0.5; echo end-pre >> /v/journal\"]}}}",
    ));
    podtui.wait_running("single");
    wait_line(&podtui, "run");
    let journal = journal(&podtui);
    fs::write(journal.with_file_name("sick"), "").expect("written");
    if line == "sick" {
        // Between the first failure and the second.
        podtui.wait("a failure", || {
            let told = podtui.ok(&["describe", "pod", "single"]);
            told.contains("Liveness probe failed").then_some(())
        });
    } else {
        wait_line(&podtui, line);
    }
    die_and_come_back(&podtui, dead_for);
    let pod = wait_restarted(&podtui);
    podtui.wait("the second run", || {
        let runs = read(&journal).iter().filter(|line| *line == "run").count();
        (runs == 2).then_some(())
    });
    let lines = read(&journal);
    let place = |line: &str| lines.iter().position(|found| found == line);
    // A hook that was cut off may run a second time.
    assert!(place("end-pre").is_some(), "killed at {line}: {lines:?}");
    assert!(
        place("end-pre") < place("end"),
        "killed at {line}: {lines:?}"
    );
    assert_eq!(lines.last().map(String::as_str), Some("run"), "{lines:?}");
    let ends = lines.iter().filter(|line| *line == "end").count();
    assert_eq!(ends, 1, "killed at {line}: {lines:?}");
    let last = &status(&pod, "c")["lastState"]["terminated"];
    assert_eq!(last["exitCode"], 0, "{last}");
    assert_eq!(pod["status"]["phase"], "Running");
    podtui.delete_all();
}

#[test]
fn killed_between_two_failures_of_a_probe() {
    require_root!();
    check_probe_failure("sick", Duration::ZERO);
}

#[test]
fn killed_during_the_hook_of_a_failed_probe() {
    require_root!();
    check_probe_failure("pre", Duration::ZERO);
    check_probe_failure("pre", Duration::from_secs(1));
}

#[test]
fn killed_during_the_stop_for_a_failed_probe() {
    require_root!();
    check_probe_failure("end-pre", Duration::ZERO);
    check_probe_failure("end", Duration::ZERO);
}

/// A container that fails once and then stays.
const ONCE: &str = "echo run >> /v/journal; if [ -e /v/again ]; then trap \"exit 0\" TERM; while :; do sleep 0.05; done; fi; touch /v/again; sleep 0.5; echo out >> /v/journal; exit 3";

#[track_caller]
fn check_restart(line: &str, dead_for: Duration) {
    let podtui = Podtui::start();
    podtui.apply(&single(&podtui, ONCE, ""));
    wait_line(&podtui, line);
    die_and_come_back(&podtui, dead_for);
    let pod = wait_restarted(&podtui);
    let journal = journal(&podtui);
    podtui.wait("the second run", || {
        (read(&journal) == ["run", "out", "run"]).then_some(())
    });
    let last = &status(&pod, "c")["lastState"]["terminated"];
    assert_eq!(
        (&last["exitCode"], &last["reason"]),
        (&3.into(), &"Error".into()),
        "killed at {line}"
    );
    // It has been restarted once, and is not restarted by the next engine.
    die_and_come_back(&podtui, Duration::ZERO);
    let later = podtui.wait_running("single");
    assert_eq!(status(&later, "c")["restartCount"], 1);
    podtui.delete_all();
}

#[test]
fn killed_around_a_restart() {
    require_root!();
    check_restart("run", Duration::ZERO);
    // It ends while there is no engine.
    check_restart("run", Duration::from_secs(1));
    check_restart("out", Duration::ZERO);
}
