//! kill -9 of each of our processes while a pod logs a thousand numbered lines a second: what is left must
//! be what an undisturbed run gives, or an honest restart.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test program may panic and speaks to its reader"
)]

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

mod halfway;
mod lifecycle;
mod run_directory;
mod torn;

use std::time::Duration;

use support::{Podtui, kill, status};

/// Logs `1`, `2`, `3` … at about 1,000 lines a second.
const COUNTER: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: counter}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: localhost/toolbox
    imagePullPolicy: IfNotPresent
    command:
    - bash
    - -c
    - 'i=0; while :; do for n in {1..100}; do i=$((i+1)); echo $i; done; sleep 0.1; done'
"#;

fn lines(podtui: &Podtui, arguments: &[&str]) -> Vec<u64> {
    let mut all = vec!["logs", "counter"];
    all.extend(arguments);
    podtui
        .ok(&all)
        .lines()
        .map(|line| {
            line.parse()
                .unwrap_or_else(|_| panic!("{line:?} is no number"))
        })
        .collect()
}

#[track_caller]
fn assert_unbroken(numbers: &[u64]) {
    for (index, &number) in numbers.iter().enumerate() {
        assert_eq!(
            number,
            index as u64 + 1,
            "line {} is missing or doubled",
            index + 1
        );
    }
}

fn wait_lines(podtui: &Podtui, at_least: usize) {
    podtui.wait(&format!("{at_least} lines"), || {
        (lines(podtui, &[]).len() >= at_least).then_some(())
    });
}

#[test]
fn the_engine_is_killed() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(COUNTER);
    let before = podtui.wait_running("counter");
    wait_lines(&podtui, 500);
    for _ in 0..3 {
        let pid = podtui.container_pid("counter", "c");
        podtui.kill_engine();
        std::thread::sleep(Duration::from_millis(500));
        assert!(support::is_alive(pid), "the container died with the engine");
        podtui.serve();
        let after = podtui.wait_running("counter");
        assert_eq!(podtui.container_pid("counter", "c"), pid);
        for field in ["restartCount", "state", "containerID", "lastState"] {
            assert_eq!(
                status(&after, "c")[field],
                status(&before, "c")[field],
                "{field}"
            );
        }
        assert_eq!(after["status"]["podIP"], before["status"]["podIP"]);
    }
    let so_far = lines(&podtui, &[]).len();
    wait_lines(&podtui, so_far + 500);
    let numbers = lines(&podtui, &[]);
    assert_unbroken(&numbers);
    podtui.delete_all();
}

#[test]
fn the_container_is_killed() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(COUNTER);
    podtui.wait_running("counter");
    wait_lines(&podtui, 1000);
    kill(podtui.container_pid("counter", "c"));
    let pod = podtui.wait("the restart", || {
        podtui.try_pod("counter").filter(|pod| {
            status(pod, "c")["restartCount"] == 1
                && status(pod, "c")["state"]["running"].is_object()
        })
    });
    let last = &status(&pod, "c")["lastState"]["terminated"];
    assert_eq!(
        (&last["exitCode"], &last["reason"]),
        (&137.into(), &"Error".into())
    );
    wait_lines(&podtui, 500);
    assert_unbroken(&lines(&podtui, &[]));
    let first = lines(&podtui, &["-p"]);
    assert!(first.len() >= 1000);
    assert_unbroken(&first);
    podtui.delete_all();
}

#[test]
fn pause_is_killed() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(COUNTER);
    podtui.wait_running("counter");
    let pid = podtui.container_pid("counter", "c");
    kill(podtui.pause_pid("counter"));
    podtui.wait("a new sandbox", || {
        let pod = podtui.try_pod("counter")?;
        (status(&pod, "c")["restartCount"] == 1
            && status(&pod, "c")["state"]["running"].is_object())
        .then_some(())
    });
    assert_ne!(podtui.container_pid("counter", "c"), pid);
    let events = podtui.ok(&["events"]);
    assert!(
        events.contains("Pod sandbox changed, it will be killed and re-created."),
        "{events}"
    );
    assert_unbroken(&lines(&podtui, &[]));
    podtui.delete_all();
}

#[test]
fn the_shim_is_killed() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(COUNTER);
    podtui.wait_running("counter");
    let pid = podtui.container_pid("counter", "c");
    kill(podtui.shim_pid("counter"));
    let pod = podtui.wait("a new sandbox", || {
        podtui.try_pod("counter").filter(|pod| {
            status(pod, "c")["restartCount"] == 1
                && status(pod, "c")["state"]["running"].is_object()
        })
    });
    assert!(!support::is_alive(pid), "the old container still runs");
    let last = &status(&pod, "c")["lastState"]["terminated"];
    assert_eq!(
        (&last["exitCode"], &last["reason"]),
        (&137.into(), &"ContainerStatusUnknown".into()),
        "{last}"
    );
    podtui.delete_all();
}

#[test]
fn engine_and_shim_are_killed_together() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(COUNTER);
    podtui.wait_running("counter");
    let (pid, shim) = (
        podtui.container_pid("counter", "c"),
        podtui.shim_pid("counter"),
    );
    podtui.kill_engine();
    kill(shim);
    podtui.serve();
    podtui.wait("the pod to run again", || {
        let pod = podtui.try_pod("counter")?;
        (status(&pod, "c")["restartCount"] == 1
            && status(&pod, "c")["state"]["running"].is_object())
        .then_some(())
    });
    assert!(!support::is_alive(pid), "the old container still runs");
    podtui.delete_all();
}

#[test]
fn a_container_that_ends_while_no_engine_runs_keeps_its_exit_code() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(
        &COUNTER
            .replace("'i=0; while :; do for n in {1..100}; do i=$((i+1)); echo $i; done; sleep 0.1; done'", "'sleep 2; exit 9'")
            .replace("spec:", "spec:\n  restartPolicy: Never"),
    );
    podtui.wait_running("counter");
    podtui.kill_engine();
    std::thread::sleep(Duration::from_secs(3));
    podtui.serve();
    let pod = podtui.wait_phase("counter", "Failed");
    assert_eq!(status(&pod, "c")["state"]["terminated"]["exitCode"], 9);
    podtui.delete_all();
}

/// The engine dies at many moments of starts and deletions; the next one must converge.
#[test]
fn the_engine_is_killed_at_any_moment() {
    require_root!();
    let podtui = Podtui::start();
    for delay in [0, 2, 4, 6, 8, 12, 16, 24, 40] {
        let mut apply = podtui.command(&["apply", "-f", "-"]);
        apply
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        let mut child = apply.spawn().expect("podtui starts");
        std::io::Write::write_all(&mut child.stdin.take().expect("piped"), COUNTER.as_bytes())
            .expect("written");
        std::thread::sleep(Duration::from_millis(delay));
        podtui.kill_engine();
        let _ = child.wait();
        podtui.serve();
        podtui.apply(COUNTER);
        podtui.wait_running("counter");
        let mut delete = podtui
            .command(&["delete", "pod", "counter", "--wait=false"])
            .spawn()
            .expect("podtui starts");
        std::thread::sleep(Duration::from_millis(delay));
        podtui.kill_engine();
        let _ = delete.wait();
        podtui.serve();
        podtui.output(&["delete", "pod", "counter", "--ignore-not-found"]);
        podtui.delete_all();
    }
}
