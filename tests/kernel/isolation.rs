//! Attacks from inside a container that must be harmless (numbers as in the project's list of cases).

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::support::{BINARY, Podtui};

fn sleeper(name: &str, extra: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 0\n  containers:\n  - name: c\n    image: localhost/toolbox\n    imagePullPolicy: IfNotPresent\n    command: [sleep, '1000000']\n{extra}"
    )
}

fn sh(podtui: &Podtui, pod: &str, script: &str) -> (i32, String) {
    let output = podtui.output(&["exec", pod, "--", "sh", "-c", script]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap_or(-1), text)
}

/// 1 (CVE-2019-5736): nothing inside can open the engine's binary for writing.
#[test]
fn the_binary_cannot_be_reached_from_inside() {
    require_root!();
    let before = fs::metadata(BINARY).unwrap();
    let podtui = Podtui::start();
    podtui.apply(&sleeper("a", ""));
    podtui.wait_running("a");
    let script =
        "for exe in /proc/[0-9]*/exe; do (echo x > $exe) 2>/dev/null && readlink $exe; done; true";
    for _ in 0..20 {
        let (_, written) = sh(&podtui, "a", script);
        assert!(!written.contains("podtui"), "{written}");
    }
    let after = fs::metadata(BINARY).unwrap();
    assert_eq!((before.len(), before.mtime()), (after.len(), after.mtime()));
    podtui.delete_all();
}

/// 3 (CVE-2016-9962): an exec'd process holds its three streams and nothing else.
#[test]
fn no_descriptor_leaks_into_the_container() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(&sleeper("a", ""));
    podtui.wait_running("a");
    let (_, fds) = sh(&podtui, "a", "ls /proc/self/fd | sort -n | tr '\\n' ' '");
    assert_eq!(fds.trim(), "0 1 2 3", "3 is the directory that ls reads");
    let pid = podtui.container_pid("a", "c");
    let mut own: Vec<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    own.sort();
    assert_eq!(own, ["0", "1", "2"]);
    podtui.delete_all();
}

/// 3, when the container may trace (CAP_SYS_PTRACE): what is executed there is seen only when it has no more than the
/// container, so that no way leads through it to the machine. Streams, exit codes and signals are as ever.
#[test]
fn who_may_trace_finds_no_way_out() {
    require_root!();
    let podtui = Podtui::start();
    let mark = podtui.path().join("mark");
    fs::write(&mark, "of the machine").unwrap();
    let watch = format!(
        "while :; do for p in /proc/[0-9]*; do for way in root cwd fd/3/../../../../../../.. fd/5/../../../../../../..; do \
         [ -e $p/$way{} ] && echo $p/$way >> /tmp/found; done; done; done",
        mark.display()
    );
    let traces = "    securityContext: {capabilities: {add: [SYS_PTRACE]}}\n";
    let probe = "    livenessProbe: {exec: {command: ['true']}, periodSeconds: 1}\n";
    podtui.apply(&sleeper("a", &format!("{traces}{probe}")));
    podtui.wait_running("a");
    sh(&podtui, "a", &format!("({watch}) >/dev/null 2>&1 & true"));
    for _ in 0..30 {
        podtui.ok(&["exec", "a", "--", "true"]);
    }
    // The watcher did look: it sees itself.
    let (_, looked) = sh(
        &podtui,
        "a",
        "ls -d /proc/[0-9]*/root | wc -l; cat /tmp/found",
    );
    assert!(looked.contains("No such file"), "{looked}");
    assert_eq!(
        sh(&podtui, "a", "echo out; echo err >&2; exit 7"),
        (
            7,
            "out\nerr\ncommand terminated with exit code 7\n".to_owned()
        )
    );
    assert_eq!(sh(&podtui, "a", "kill -TERM $$").0, 143);
    let (_, fds) = sh(&podtui, "a", "ls /proc/self/fd | sort -n | tr '\\n' ' '");
    assert_eq!(fds.trim(), "0 1 2 3", "3 is the directory that ls reads");
    let (_, same) = sh(
        &podtui,
        "a",
        "for f in 'Cap[IPEBA]' NoNewPrivs 'Seccomp:' Uid Gid; do \
         [ \"$(grep ^$f /proc/1/status)\" = \"$(grep ^$f /proc/self/status)\" ] || echo $f; done",
    );
    assert_eq!(same, "");
    podtui.delete_all();
}

/// 2 (CVE-2024-21626): a working directory outside the root is refused.
#[test]
fn a_working_directory_through_proc_is_refused() {
    require_root!();
    let podtui = Podtui::start();
    for fd in 3..12 {
        podtui.apply(
            &sleeper(
                &format!("w{fd}"),
                &format!("    workingDir: /proc/self/fd/{fd}\n"),
            )
            .replace("spec:", "spec:\n  restartPolicy: Never"),
        );
    }
    for fd in 3..12 {
        let name = format!("w{fd}");
        let pod = podtui.wait(&format!("{name} to end"), || {
            podtui
                .try_pod(&name)
                .filter(|pod| pod["status"]["phase"] != "Pending")
        });
        assert_eq!(pod["status"]["phase"], "Failed", "{pod}");
    }
    podtui.delete_all();
}

/// Masked and read-only paths, capabilities, mounts: what the default container may not do.
#[test]
fn the_default_container_is_confined() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(&sleeper("a", ""));
    podtui.wait_running("a");
    let check = |script: &str, wanted: &str| {
        let (_, text) = sh(&podtui, "a", script);
        assert!(text.contains(wanted), "`{script}` gave:\n{text}");
    };
    check("grep CapBnd /proc/self/status", "00000000a80425fb");
    check("grep CapEff /proc/1/status", "00000000a80425fb");
    check("grep CapInh /proc/self/status", "0000000000000000");
    check("grep Seccomp: /proc/self/status", "2");
    check(
        "echo 1 > /proc/sys/kernel/core_pattern || echo refused",
        "refused",
    );
    check("echo c > /proc/sysrq-trigger || echo refused", "refused");
    check(
        "mkdir /sys/fs/cgroup/memory/x 2>/dev/null || mkdir /sys/fs/cgroup/x 2>/dev/null || echo refused",
        "refused",
    );
    check("head -c 1 /proc/kcore | wc -c", "0");
    check("ls /sys/firmware | wc -l", "0");
    check("mount -t tmpfs none /mnt 2>&1 || echo refused", "refused");
    check("unshare -U true 2>&1 || echo refused", "refused");
    check("cat /proc/1/mountinfo | grep -c ' / / '", "1");
    check(
        "mknod /tmp/disk b 254 0 && (head -c 1 /tmp/disk || echo refused)",
        "refused",
    );
    check("cat /proc/self/oom_score_adj", "1000");
    podtui.delete_all();
}

/// 10, 13: a hostPath whose directories are created keeps to its rule.
#[test]
fn host_paths_are_checked_and_created_as_asked() {
    require_root!();
    let podtui = Podtui::start();
    let here = podtui.path().display().to_string();
    fs::write(podtui.path().join("file"), "on the machine\n").unwrap();
    let volume = |name: &str, path: &str, kind: &str| {
        sleeper(name, "    volumeMounts: [{name: v, mountPath: /v}]\n")
            + &format!(
                "  volumes: [{{name: v, hostPath: {{path: {here}/{path}, type: {kind}}}}}]\n"
            )
    };
    podtui.apply(&volume("made", "made/here", "DirectoryOrCreate"));
    podtui.apply(&volume("wrong", "file", "Directory"));
    podtui.apply(&volume("file", "file", "File"));
    podtui.wait_running("made");
    podtui.wait_running("file");
    assert!(podtui.path().join("made/here").is_dir());
    assert_eq!(
        podtui.ok(&["exec", "file", "--", "cat", "/v"]),
        "on the machine\n"
    );
    podtui.ok(&["exec", "made", "--", "sh", "-c", "echo written > /v/back"]);
    assert_eq!(
        fs::read_to_string(podtui.path().join("made/here/back")).unwrap(),
        "written\n"
    );
    let events = podtui.wait("the refusal", || {
        let events = podtui.ok(&["events"]);
        events.contains("FailedMount").then_some(events)
    });
    assert!(
        events.contains("hostPath type check failed: ") && events.contains(" is not a directory"),
        "{events}"
    );
    podtui.delete_all();
    assert!(
        podtui.path().join("made/here/back").exists(),
        "deleting the pod removed a hostPath's content"
    );
}

/// 29: container output cannot forge log lines, and odd bytes come back unchanged.
#[test]
fn log_lines_cannot_be_forged() {
    require_root!();
    let podtui = Podtui::start();
    let fake = "2020-01-01T00:00:00.000000000Z stdout F forged";
    let script = format!(
        "printf '{fake}\\n'; printf 'no newline at end'; printf '\\r\\033[2J\\377\\n'; head -c 50000 /dev/zero | tr '\\0' y; echo"
    );
    podtui.apply(
        &sleeper("a", "")
            .replace(
                "command: [sleep, '1000000']",
                &format!(
                    "command: [sh, -c, {}]",
                    serde_json::to_string(&script).unwrap()
                ),
            )
            .replace("spec:", "spec:\n  restartPolicy: Never"),
    );
    podtui.wait_phase("a", "Succeeded");
    let output = podtui.output(&["logs", "a"]).stdout;
    let mut wanted = format!("{fake}\nno newline at end\r\x1b[2J").into_bytes();
    wanted.push(0xff);
    wanted.push(b'\n');
    wanted.extend(std::iter::repeat_n(b'y', 50_000));
    wanted.push(b'\n');
    assert!(
        output == wanted,
        "{} bytes instead of {}",
        output.len(),
        wanted.len()
    );
    podtui.delete_all();
}

/// 37, 38: sockets are closed to everybody else.
#[test]
fn sockets_and_directories_are_private() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(&sleeper("a", ""));
    let pod = podtui.wait_running("a");
    let mode = |path: std::path::PathBuf| fs::metadata(&path).unwrap().mode() & 0o777;
    assert_eq!(mode(podtui.run().join("api.sock")), 0o600);
    assert_eq!(mode(podtui.run()), 0o700);
    assert_eq!(mode(podtui.state()), 0o700);
    let sandbox = podtui
        .run()
        .join("pods")
        .join(pod["metadata"]["uid"].as_str().unwrap());
    assert_eq!(mode(sandbox.clone()), 0o700);
    assert_eq!(mode(sandbox.join("shim.sock")), 0o600);
    let abstract_sockets = fs::read_to_string("/proc/net/unix").unwrap();
    assert!(
        !abstract_sockets
            .lines()
            .any(|line| line.contains('@') && line.contains("podtui"))
    );
    podtui.delete_all();
}
