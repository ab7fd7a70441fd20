//! `hostUsers: false`: root of the pod is nobody outside, and files look as ever inside.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use serde_json::Value;

use crate::support::{Podtui, namespace, status};

fn manifest(name: &str, host: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  hostUsers: false\n  terminationGracePeriodSeconds: 0\n  \
         securityContext: {{fsGroup: 2000, sysctls: [{{name: net.ipv4.ip_local_port_range, value: '4000 4999'}}, {{name: kernel.shm_rmid_forced, value: '1'}}]}}\n  \
         volumes: [{{name: v, emptyDir: {{}}}}, {{name: m, emptyDir: {{medium: Memory}}}}, {{name: h, hostPath: {{path: {host}}}}}, \
         {{name: s, secret: {{secretName: s, defaultMode: 256}}}}]\n  containers:\n  \
         - name: c\n    image: localhost/toolbox\n    command: [bash, -c, 'sleep 1000000 & wait']\n    stdin: true\n    tty: true\n    \
         securityContext: {{procMount: Unmasked}}\n    \
         volumeMounts: [{{name: v, mountPath: /data/v}}, {{name: m, mountPath: /m}}, {{name: h, mountPath: /h}}, {{name: s, mountPath: /s}}]\n  \
         - name: user\n    image: localhost/toolbox\n    command: [sleep, '1000000']\n    securityContext: {{runAsUser: 1000, runAsGroup: 3000}}\n    \
         volumeMounts: [{{name: v, mountPath: /data/v}}]\n"
    )
}

fn sh(podtui: &Podtui, pod: &str, container: &str, script: &str) -> String {
    let output = podtui.output(&["exec", pod, "-c", container, "--", "bash", "-c", script]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    text.trim().to_owned()
}

/// First user id outside and number of ids of a process.
fn id_map(pid: u32, map: &str) -> (u32, u32) {
    let text = fs::read_to_string(format!("/proc/{pid}/{map}")).unwrap();
    let fields: Vec<u32> = text
        .split_whitespace()
        .map(|word| word.parse().unwrap())
        .collect();
    let [0, start, length] = fields[..] else {
        panic!("{text}");
    };
    (start, length)
}

fn uid_of(pid: u32) -> u32 {
    fs::metadata(format!("/proc/{pid}")).unwrap().uid()
}

#[test]
fn root_of_the_pod_is_nobody_outside() {
    require_root!();
    let podtui = Podtui::start();
    let host = podtui.path().join("host");
    fs::create_dir(&host).unwrap();
    fs::write(host.join("root"), "x").unwrap();
    fs::write(host.join("theirs"), "x").unwrap();
    fs::set_permissions(host.join("root"), fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::chown(host.join("theirs"), Some(1234), Some(1234)).unwrap();
    podtui.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {key: geheim}\n");
    let host_path = host.display().to_string();
    podtui.apply(&manifest("a", &host_path));
    podtui.apply(&manifest("b", &host_path));
    let pod: Value = podtui.wait_running("a");
    podtui.wait_running("b");

    // Two pods share no id, the containers of one share all of them, and so does pause.
    let (a, b) = (
        podtui.container_pid("a", "c"),
        podtui.container_pid("b", "c"),
    );
    let (start, length) = id_map(a, "uid_map");
    assert_eq!((start % 65536, length), (0, 65536));
    assert!(start >= 65536);
    assert_eq!(id_map(a, "gid_map"), (start, 65536));
    assert!(id_map(b, "uid_map").0.abs_diff(start) >= 65536);
    let user = podtui.container_pid("a", "user");
    let pause = podtui.pause_pid("a");
    assert_eq!(namespace(a, "user"), namespace(user, "user"));
    assert_eq!(namespace(a, "user"), namespace(pause, "user"));
    assert_ne!(namespace(a, "user"), namespace(std::process::id(), "user"));
    assert_eq!(
        [uid_of(a), uid_of(user), uid_of(pause)],
        [start, start + 1000, start]
    );
    assert_eq!(status(&pod, "user")["user"]["linux"]["uid"], 1000);

    let inside = |script: &str| sh(&podtui, "a", "c", script);
    let check = |script: &str, expected: &str| assert_eq!(inside(script), expected, "{script}");
    // The image, what was made for the mounts, and the volumes belong to whom they belong.
    check(
        "id -u; stat -c %u:%g / /etc /data /data/v /m /h/root /h/theirs",
        "0\n0:0\n0:0\n0:0\n0:2000\n0:2000\n0:0\n1234:1234",
    );
    check(
        "touch /new /data/new /h/new && echo x >> /h/root && stat -c %u /new /data/new /h/new",
        "0\n0\n0",
    );
    check("cat /s/key", "geheim");
    assert_eq!(
        sh(
            &podtui,
            "a",
            "user",
            "id -u; id -g; touch /data/v/f && stat -c %u:%g /data/v/f"
        ),
        "1000\n3000\n1000:2000"
    );
    assert_eq!(fs::metadata(host.join("new")).unwrap().uid(), 0);
    check("chown 70000 /new 2>&1 | grep -c Invalid", "1");
    // It is root of its own network and names, and of nothing else.
    check(
        "cat /proc/sys/kernel/shm_rmid_forced; hostname; : > /dev/null && echo fine",
        "1\na\nfine",
    );
    let refused =
        inside("echo 1 > /proc/sys/kernel/panic; mknod /tmp/null c 1 3; kill -0 1 && echo own");
    assert!(
        refused.contains("Permission denied") || refused.contains("Read-only"),
        "{refused}"
    );
    assert!(
        refused.contains("Operation not permitted") && refused.contains("own"),
        "{refused}"
    );
    // procMount: Unmasked.
    let mounts = fs::read_to_string(format!("/proc/{a}/mountinfo")).unwrap();
    assert!(
        !mounts.contains(" /sys/firmware ") && !mounts.contains(" /proc/sys "),
        "{mounts}"
    );
    let masked = fs::read_to_string(format!("/proc/{user}/mountinfo")).unwrap();
    assert!(
        masked.contains(" /sys/firmware ") && masked.contains(" /proc/sys "),
        "{masked}"
    );
    // Terminals of exec sessions work.
    check("test -t 0 || echo none", "none");

    // The ids outlive the engine and the container.
    podtui.serve_again();
    sh(&podtui, "a", "c", "kill -9 -1");
    podtui.wait("the container to run again", || {
        let pod = podtui.try_pod("a")?;
        let status = status(&pod, "c");
        (status["restartCount"] == 1 && !status["state"]["running"].is_null()).then_some(())
    });
    assert_eq!(id_map(podtui.container_pid("a", "c"), "uid_map").0, start);
    check("stat -c %u:%g /data/v/f /", "1000:2000\n0:0");
    podtui.delete_all();
}

/// With a shared process namespace pause is in it too, and belongs to the pod's root.
#[test]
fn with_a_shared_process_namespace() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  hostUsers: false\n  shareProcessNamespace: true\n  \
         terminationGracePeriodSeconds: 0\n  containers: [{name: c, image: localhost/toolbox, command: [sleep, '1000000']}]\n",
    );
    podtui.wait_running("a");
    let pause = podtui.pause_pid("a");
    assert_eq!(
        namespace(podtui.container_pid("a", "c"), "pid"),
        namespace(pause, "pid")
    );
    assert_eq!(
        sh(
            &podtui,
            "a",
            "c",
            "cat /proc/1/cmdline | tr '\\0' ' '; stat -c %u /proc/1"
        ),
        "/pause 0"
    );
    podtui.delete_all();
}

/// A user that the namespace does not have is told, not run as somebody else.
#[test]
fn a_user_beyond_the_range_is_refused() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  hostUsers: false\n  restartPolicy: Never\n  \
         containers: [{name: c, image: localhost/toolbox, command: [sleep, '1'], securityContext: {runAsUser: 65536}}]\n",
    );
    let pod = podtui.wait_phase("a", "Failed");
    let end = &status(&pod, "c")["state"]["terminated"];
    assert_eq!(end["reason"], "StartError", "{end}");
    assert!(
        end["message"]
            .as_str()
            .unwrap()
            .contains("id 65536 is not in the pod's user namespace"),
        "{end}"
    );
    podtui.delete_all();
}
