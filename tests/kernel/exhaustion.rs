//! Containers that take all they can get, and processes that do not want to end.

use std::fs;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Podtui, is_alive, status, statuses};

fn pod(name: &str, container: &str, rest: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: Never\n  terminationGracePeriodSeconds: 0\n  containers:\n  - name: c\n    image: localhost/toolbox\n    imagePullPolicy: IfNotPresent\n{container}{rest}"
    )
}

/// The engine answers a command about another pod within a second.
#[track_caller]
fn assert_responsive(podtui: &Podtui) {
    let begin = Instant::now();
    podtui.ok(&["get", "pods"]);
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(1), "the engine took {took:?}");
}

fn sh(podtui: &Podtui, pod: &str, script: &str) -> String {
    let output = podtui.output(&["exec", pod, "--", "sh", "-c", script]);
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// 45: a fork bomb stays within the memory and CPU of its container and goes as one with the pod.
#[test]
fn a_fork_bomb_stays_in_its_container() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(&pod("other", "    command: [sleep, '1000000']\n", ""));
    podtui.apply(&pod(
        "bomb",
        "    command: [sh, -c, 'while :; do (while :; do sleep 1000 & done) & sleep 0.05; done 2>/dev/null']\n    resources: {limits: {memory: 48Mi, cpu: 300m}}\n",
        "",
    ));
    podtui.wait_running("other");
    podtui.wait_running_or_over("bomb");
    let begin = Instant::now();
    let mut most = 0;
    while begin.elapsed() < Duration::from_secs(4) {
        assert_responsive(&podtui);
        let pids = podtui.container_pids("bomb", "c").len();
        most = most.max(pids);
        assert!(pids < 4000, "{pids} processes with 48 MiB");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(most > 20, "the bomb did not go off: {most} processes");
    assert_eq!(
        podtui.ok(&["exec", "other", "--", "echo", "alive"]),
        "alive\n"
    );
    let begin = Instant::now();
    podtui.ok(&["delete", "pod", "bomb", "--grace-period=0", "--force"]);
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
    podtui.delete_all();
}

/// 45: memory, file systems and descriptors end at their limits, inside.
#[test]
fn what_is_filled_is_full_inside_only() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(&pod(
        "full",
        "    command: [sleep, '1000000']\n    volumeMounts: [{name: m, mountPath: /m}]\n    resources: {limits: {memory: 256Mi}}\n",
        "  volumes: [{name: m, emptyDir: {medium: Memory, sizeLimit: 4Mi}}]\n",
    ));
    podtui.wait_running("full");
    let fill = |path: &str| {
        sh(
            &podtui,
            "full",
            &format!(
                "head -c 100M /dev/zero > {path} 2>/dev/null || echo refused; stat -c %s {path}; rm {path}"
            ),
        )
    };
    assert_eq!(fill("/m/file"), format!("refused\n{}\n", 4 << 20));
    let shm = fill("/dev/shm/file");
    assert_eq!(shm, format!("refused\n{}\n", 64 << 20));
    assert!(fill("/dev/file").starts_with("refused\n"));
    assert!(fill("/sys/fs/cgroup/file").starts_with("refused\n"));
    assert_responsive(&podtui);
    // Every descriptor that one process may have, and then one more.
    let fds = sh(
        &podtui,
        "full",
        "ulimit -n 64; bash -c 'i=0; while exec {fd}</dev/null; do i=$((i+1)); done 2>/dev/null; echo $i opened' 2>&1 || true",
    );
    assert!(!fds.contains("signal"), "{fds}");
    assert_responsive(&podtui);
    assert_eq!(status(&podtui.pod("full"), "c")["restartCount"], 0);
    podtui.delete_all();
}

/// Open files of a process.
fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// The soft limit alone, so that it can be raised again without any right.
fn limit_descriptors(pid: u32, limit: usize) {
    let status = Command::new("prlimit")
        .args([format!("--pid={pid}"), format!("--nofile={limit}:")])
        .status()
        .expect("prlimit(1)");
    assert!(status.success(), "prlimit of {pid}");
}

/// 45: an engine and a shim that have no descriptor left harm no container, say what is missing and recover;
/// nothing stays open.
#[test]
fn engine_and_shim_outlive_the_lack_of_descriptors() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(&pod("other", "    command: [sleep, '1000000']\n", ""));
    podtui.wait_running("other");
    podtui.ok(&["exec", "other", "--", "true"]);
    let container = podtui.container_pid("other", "c");

    let engine = podtui.engine_pid();
    let before = descriptors(engine);
    limit_descriptors(engine, before + 20);
    let socket = podtui.run().join("api.sock");
    let clients: Vec<UnixStream> = (0..200)
        .filter_map(|_| UnixStream::connect(&socket).ok())
        .collect();
    assert!(clients.len() > 100, "{} clients", clients.len());
    podtui.wait("every descriptor to be taken", || {
        (descriptors(engine) >= before + 20).then_some(())
    });
    assert!(is_alive(container), "the container felt it");
    drop(clients);
    podtui.wait("the engine to answer again", || {
        podtui
            .output(&["get", "pods"])
            .status
            .success()
            .then_some(())
    });
    limit_descriptors(engine, 20_000);
    podtui.apply(&pod("after", "    command: [sleep, '1000000']\n", ""));
    podtui.wait_running("after");
    podtui.ok(&["delete", "pod", "after", "--grace-period=0", "--force"]);
    podtui.wait("the engine to close what it had opened", || {
        (descriptors(engine) <= before + 10).then_some(())
    });

    let shim = podtui.shim_pid("other");
    let before = descriptors(shim);
    limit_descriptors(shim, before + 3);
    let refused = podtui.output(&["exec", "other", "--", "true"]);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success(), "with three descriptors");
    assert!(text.contains("too many open files"), "{text}");
    assert!(is_alive(container), "the container felt it");
    limit_descriptors(shim, 20_000);
    for _ in 0..20 {
        podtui.ok(&["exec", "other", "--", "true"]);
    }
    podtui.wait("the shim to close what it had opened", || {
        (descriptors(shim) <= before).then_some(())
    });
    assert_eq!(podtui.container_pid("other", "c"), container);
    assert_eq!(status(&podtui.pod("other"), "c")["restartCount"], 0);
    podtui.delete_all();
}

/// 45: a process over the limit is killed, its neighbour in the next container is not.
#[test]
fn a_memory_balloon_bursts_alone() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(&pod(
        "balloon",
        "    command: [sh, -c, 'tail /dev/zero & wait; exec tail /dev/zero']\n    resources: {limits: {memory: 24Mi}}\n",
        "  - {name: d, image: localhost/toolbox, imagePullPolicy: IfNotPresent, command: [sleep, '1000000'], resources: {limits: {memory: 24Mi}}}\n",
    ));
    let pod = podtui.wait("the balloon to burst", || {
        podtui
            .try_pod("balloon")
            .filter(|pod| status(pod, "c")["state"]["terminated"].is_object())
    });
    assert_eq!(
        status(&pod, "c")["state"]["terminated"]["reason"],
        "OOMKilled"
    );
    assert_eq!(status(&pod, "c")["state"]["terminated"]["exitCode"], 137);
    assert!(status(&pod, "d")["state"]["running"].is_object(), "{pod}");
    assert_responsive(&podtui);
    podtui.delete_all();
}

/// 47: orphans, zombies, sessions of their own and deaf processes all go with their pod.
#[test]
fn processes_that_hide_go_with_the_pod() {
    require_root!();
    let podtui = Podtui::start();
    let hide = "trap \"\" TERM INT HUP QUIT; \
        (setsid sh -c \"trap \\\"\\\" TERM HUP; (setsid sleep 1000001 &) ; (sleep 0 &) ; exec sleep 1000002\" &) ; \
        (sh -c \"kill -STOP \\$\\$\" &) ; while :; do sleep 1000003; done";
    for name in ["own", "shared"] {
        let rest = if name == "shared" {
            "  shareProcessNamespace: true\n"
        } else {
            ""
        };
        podtui.apply(&pod(
            name,
            &format!("    command: [sh, -c, '{hide}']\n"),
            rest,
        ));
        podtui.wait_running(name);
        podtui.ok(&[
            "exec",
            name,
            "--",
            "sh",
            "-c",
            "(setsid sleep 1000004 >/dev/null 2>&1 </dev/null &); exit 0",
        ]);
    }
    std::thread::sleep(Duration::from_millis(500));
    let pids: Vec<u32> = ["own", "shared"]
        .iter()
        .flat_map(|name| podtui.container_pids(name, "c"))
        .collect();
    assert!(pids.len() >= 10, "{pids:?}");
    // With a shared namespace pause is their reaper: nothing stays a zombie.
    let zombies = || {
        podtui
            .container_pids("shared", "c")
            .into_iter()
            .filter(|pid| {
                fs::read_to_string(format!("/proc/{pid}/stat"))
                    .is_ok_and(|stat| stat.contains(") Z "))
            })
            .count()
    };
    podtui.wait("pause to reap", || (zombies() == 0).then_some(()));
    for name in ["own", "shared"] {
        let begin = Instant::now();
        podtui.ok(&["delete", "pod", name, "--grace-period=1"]);
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(6), "{name} took {took:?}");
    }
    for pid in pids {
        assert!(!is_alive(pid), "{pid} survived its pod");
    }
    podtui.delete_all();
}

/// 47: a hundred containers that end before anybody can look, each with its own exit code.
#[test]
fn no_exit_code_is_ever_lost() {
    const PODS: usize = 10;
    const EACH: usize = 10;
    require_root!();
    let podtui = Podtui::start();
    let mut manifest = String::new();
    for number in 0..PODS {
        manifest.push_str(&format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: quick{number}}}\nspec:\n  restartPolicy: Never\n  containers:\n"
        ));
        for container in 0..EACH {
            let code = number * EACH + container;
            manifest.push_str(&format!(
                "  - {{name: c{container}, image: localhost/toolbox, imagePullPolicy: IfNotPresent, command: [sh, -c, 'exit {code}']}}\n"
            ));
        }
    }
    podtui.apply(&manifest);
    for number in 0..PODS {
        let pod = podtui.wait_phase(&format!("quick{number}"), "Failed");
        for container in 0..EACH {
            let state = &status(&pod, &format!("c{container}"))["state"]["terminated"];
            let code = number * EACH + container;
            assert_eq!(state["exitCode"], code, "{pod}");
            assert_eq!(
                state["reason"],
                if code == 0 { "Completed" } else { "Error" }
            );
            for time in ["startedAt", "finishedAt"] {
                assert!(
                    state[time]
                        .as_str()
                        .is_some_and(|time| !time.starts_with("1970")),
                    "{state}"
                );
            }
        }
        assert!(statuses(&pod).all(|status| status["restartCount"] == 0));
    }
    podtui.delete_all();
}

/// 47: the first process ends with an odd code, or while its children go on.
#[test]
fn every_way_to_die_is_told_as_it_was() {
    require_root!();
    let podtui = Podtui::start();
    let cases = [
        ("orphans", "(setsid sleep 1000000 &) ; exit 5", 5),
        ("codes", "exit 255", 255),
        ("segv", "sh -c \"kill -SEGV \\$\\$\"; exit $?", 139),
        ("usr1", "sh -c \"kill -USR1 \\$\\$\"; exit $?", 138),
    ];
    for (name, script, _) in cases {
        podtui.apply(&pod(
            name,
            &format!("    command: [sh, -c, '{script}']\n"),
            "",
        ));
    }
    for (name, _, code) in cases {
        let pod = podtui.wait_phase(name, "Failed");
        assert_eq!(
            status(&pod, "c")["state"]["terminated"]["exitCode"],
            code,
            "{name}"
        );
        podtui.wait(&format!("{name} to have no process left"), || {
            podtui.container_pids(name, "c").is_empty().then_some(())
        });
    }
    podtui.delete_all();
}
