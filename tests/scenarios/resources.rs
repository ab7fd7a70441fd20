//! 13 and 14: requests and limits in the groups of the kernel, and the end of what grows past them.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::stage::Stage;
use crate::support::status;

/// One file of the cgroup of a container (`levels` 0) or of the groups above it, whatever the version.
fn group_file(
    stage: &Stage,
    pod: &str,
    container: &str,
    levels: usize,
    v1: (&str, &str),
    v2: &str,
) -> String {
    let pid = stage.container_pid(pod, container);
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let (controller, v1_file) = v1;
    let line = groups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let controllers = parts.nth(1)?;
        let path = parts.next()?;
        controllers
            .split(',')
            .any(|one| one == controller)
            .then_some(path)
    });
    let unified = groups.lines().find_map(|line| line.strip_prefix("0::"));
    let (path, file, mount) = match line {
        Some(path) => {
            let mount = mounts.lines().find(|line| {
                line.split_once(" - cgroup ").is_some_and(|(_, rest)| {
                    rest.split([' ', ',']).any(|option| option == controller)
                })
            });
            (path, v1_file, mount)
        }
        None => {
            let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "));
            (unified.unwrap(), v2, mount)
        }
    };
    let mount = mount.and_then(|line| line.split(' ').nth(4)).unwrap();
    let mut group = std::path::PathBuf::from(format!("{mount}{path}"));
    for _ in 0..levels {
        group.pop();
    }
    let file = group.join(file);
    let text = std::fs::read_to_string(&file);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.trim().to_owned()
}

#[test]
fn scenario_13_requests_and_limits_of_two_containers() {
    require_debian!();
    let stage = Stage::start();
    stage.apply_file("13-resources.yaml");
    let pod = stage.wait_running("frontend");
    assert_eq!(pod["status"]["qosClass"], "Burstable");
    let memory = ("memory", "memory.limit_in_bytes");
    let shares = ("cpu", "cpu.shares");
    let is_v1 = group_file(&stage, "frontend", "app", 0, shares, "cpu.weight") == "256";
    for container in ["app", "log-aggregator"] {
        let file = |v1, v2| group_file(&stage, "frontend", container, 0, v1, v2);
        assert_eq!(file(memory, "memory.max"), (128 << 20).to_string());
        assert_eq!(file(shares, "cpu.weight"), if is_v1 { "256" } else { "35" });
        let quota = file(("cpu", "cpu.cfs_quota_us"), "cpu.max");
        assert!(quota == "50000" || quota == "50000 100000", "{quota}");
    }
    // Both together: half a core and 128Mi asked for, one core and 256Mi at most.
    let file = |v1, v2| group_file(&stage, "frontend", "app", 1, v1, v2);
    assert_eq!(file(memory, "memory.max"), (256 << 20).to_string());
    assert_eq!(file(shares, "cpu.weight"), if is_v1 { "512" } else { "20" });
    let quota = file(("cpu", "cpu.cfs_quota_us"), "cpu.max");
    assert!(quota == "100000" || quota == "100000 100000", "{quota}");
    stage.delete_all();
}

fn ended(stage: &Stage) -> Option<Value> {
    let pod = stage.pod("simmemleak");
    let container = status(&pod, "simmemleak");
    let ends = [
        &container["state"]["terminated"],
        &container["lastState"]["terminated"],
    ];
    ends.into_iter().find(|end| end.is_object()).cloned()
}

#[test]
fn scenario_14_memory_without_end() {
    require_debian!();
    let stage = Stage::start();
    stage.apply_file("14-oom.yaml");
    let end = stage.wait("the first end", || ended(&stage));
    let seen_at = jiff::Timestamp::now();
    stage.learn_names();
    assert_eq!(end["reason"], "OOMKilled");
    assert_eq!(end["exitCode"], 137);
    let finished_at: jiff::Timestamp = end["finishedAt"].as_str().unwrap().parse().unwrap();
    // The time has whole seconds, so up to one of them is the time's own.
    let late = seen_at.duration_since(finished_at);
    assert!(late.as_millis() < 2000, "seen after {late:?}");
    // The first restart is immediate, the next ones wait longer and longer.
    let begin = Instant::now();
    stage.wait("the back-off", || {
        let pod = stage.pod("simmemleak");
        let container = status(&pod, "simmemleak");
        (container["state"]["waiting"]["reason"] == "CrashLoopBackOff").then_some(())
    });
    let pod = stage.pod("simmemleak");
    let container = status(&pod, "simmemleak");
    assert_eq!(container["lastState"]["terminated"]["reason"], "OOMKilled");
    assert_eq!(container["restartCount"], 1);
    assert!(begin.elapsed() < Duration::from_secs(30));
    let row = stage.row("simmemleak");
    assert_eq!(row[1..4], ["0/1", "CrashLoopBackOff", "1"], "{row:?}");
    stage.wait("the next attempt", || {
        (status(&stage.pod("simmemleak"), "simmemleak")["restartCount"] == 2).then_some(())
    });
    let events = stage.events_of("simmemleak", "default");
    assert!(
        events.iter().any(|event| event.starts_with(
            "BackOff Back-off restarting failed container simmemleak in pod simmemleak_default("
        )),
        "{events:?}"
    );
    stage.delete_all();
}
