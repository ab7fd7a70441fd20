//! A deletion or an end that comes while something is half-way: nothing may be left, whoever began it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::Podtui;

const STUBBORN: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n  terminationGracePeriodSeconds: 4\n  \
     containers:\n  - {name: c, image: localhost/toolbox, command: [sh, -c, 'while :; do sleep 1; done']}\n";

#[track_caller]
fn assert_nothing_runs(podtui: &Podtui, round: usize) {
    let left: Vec<_> = fs::read_dir(podtui.run().join("pods"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    assert!(left.is_empty(), "round {round}: {left:?}");
    if let Some(left) = podtui.eventually_clean() {
        panic!("round {round}: {left}");
    }
}

/// Each command but the first meets an engine that has just started and builds the sandbox again.
#[test]
fn a_deletion_that_meets_a_starting_engine_leaves_nothing() {
    require_root!();
    let podtui = Podtui::idle();
    for round in 0..6 {
        podtui.apply(STUBBORN);
        podtui.wait_running("x");
        podtui.ok(&["engine", "stop", "--stop-pods"]);
        podtui.ok(&["delete", "pod", "x", "--now"]);
        podtui.output(&["engine", "stop", "--stop-pods"]);
        assert_nothing_runs(&podtui, round);
    }
}

/// The deletion comes at every moment of a start.
#[test]
fn a_deletion_during_a_start_leaves_nothing() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(STUBBORN);
    podtui.wait_running("x");
    podtui.delete_all();
    for round in 0..25u64 {
        podtui.apply(STUBBORN);
        std::thread::sleep(Duration::from_millis(round));
        podtui.ok(&["delete", "pod", "x", "--now"]);
        assert_nothing_runs(&podtui, usize::try_from(round).unwrap());
    }
}

/// What a shim leaves that was killed before it had written anything: an empty directory, and groups with
/// a process in them.
#[test]
fn a_sandbox_without_a_record_is_removed() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(STUBBORN);
    podtui.wait_running("x");
    let pid = podtui.container_pid("x", "c");
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let path = groups
        .lines()
        .filter_map(|line| line.rsplit(':').next())
        .find(|path| path.contains("/podtui-"))
        .unwrap();
    let engine = path.trim_start_matches('/').split('/').next().unwrap();
    podtui.delete_all();
    podtui.ok(&["engine", "stop"]);

    let uid = "00000000-0000-4000-8000-000000000001";
    fs::create_dir(podtui.run().join("pods").join(uid)).unwrap();
    let mount = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"]
        .map(Path::new)
        .into_iter()
        .find(|mount| mount.join("cgroup.procs").exists())
        .unwrap();
    let group = mount
        .join(engine)
        .join("burstable")
        .join(format!("pod{uid}"));
    fs::create_dir_all(group.join("pause")).unwrap();
    let mut sleep = Command::new("sleep").arg("1000").spawn().unwrap();
    fs::write(group.join("pause/cgroup.procs"), sleep.id().to_string()).unwrap();

    podtui.serve();
    podtui.wait("the group to go", || (!group.exists()).then_some(()));
    assert!(!podtui.run().join("pods").join(uid).exists());
    let ended = sleep.wait().unwrap();
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&ended),
        Some(9)
    );
}

/// A command that meets an engine in the moment of its death finds or starts the next one.
#[test]
fn commands_outlive_a_killed_engine() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(STUBBORN);
    podtui.wait_running("x");
    podtui.kill_engine();
    for round in 0..10u64 {
        // The first command starts an engine; then it dies under the next ones.
        podtui.ok(&["get", "pods"]);
        let status = podtui.ok(&["engine", "status"]);
        let pid = status
            .lines()
            .find_map(|line| line.strip_prefix("PID:"))
            .and_then(|pid| pid.trim().parse().ok())
            .unwrap();
        let readers: Vec<_> = (0..8)
            .map(|_| {
                podtui
                    .command(&["get", "pod", "x", "-o", "name"])
                    .stdout(std::process::Stdio::piped())
                    .stderr(std::process::Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .collect();
        std::thread::sleep(Duration::from_millis(round));
        crate::support::kill(pid);
        for reader in readers {
            let output = reader.wait_with_output().unwrap();
            assert!(
                output.status.success(),
                "round {round}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            assert_eq!(output.stdout, b"pod/x\n");
        }
    }
    // All may have been answered before the last engine was quite dead. A deletion that meets it is not repeated by
    // itself, because nobody knows whether it took effect.
    podtui.wait("the deletion", || {
        let delete = podtui.output(&["delete", "pod", "x", "--now", "--ignore-not-found"]);
        delete.status.success().then_some(())
    });
    podtui.delete_all();
}
