//! Who a container runs as, what that lets it do, and which settings of the kernel a pod may change.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use serde_json::Value;

use crate::support::{Podtui, status};

fn pod(name: &str, pod_level: &str, container: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 0\n  {pod_level}\n  containers:\n  \
         - name: c\n    image: localhost/toolbox\n    command: [sleep, '1000000']\n    {container}\n"
    )
}

/// Output and error of a script in the container.
fn sh(podtui: &Podtui, pod: &str, script: &str) -> String {
    let output = podtui.output(&["exec", pod, "-c", "c", "--", "bash", "-c", script]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    text.trim().to_owned()
}

/// A line of the first process's `/proc/PID/status`.
fn field(podtui: &Podtui, pod: &str, name: &str) -> String {
    let pid = podtui.container_pid(pod, "c");
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in {text}"));
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Added capabilities of an ordinary user stay in the bounding set: neither effective nor ambient.
#[test]
fn an_ordinary_user_has_no_capability_that_was_added() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(&pod(
        "a",
        "securityContext: {runAsUser: 1000, runAsGroup: 1000}",
        "securityContext: {capabilities: {add: [NET_ADMIN, SYS_ADMIN]}}",
    ));
    podtui.wait_running("a");
    let added: u64 = 1 << 12 | 1 << 21;
    let bounding = u64::from_str_radix(&field(&podtui, "a", "CapBnd:"), 16).unwrap();
    assert_eq!(bounding & added, added, "{bounding:x}");
    for set in ["CapEff:", "CapPrm:", "CapInh:", "CapAmb:"] {
        assert_eq!(field(&podtui, "a", set), "0000000000000000", "{set}");
    }
    let tried = sh(&podtui, "a", "touch /tmp/f && chown 0 /tmp/f");
    assert!(tried.contains("Operation not permitted"), "{tried}");
    podtui.delete_all();
}

/// A setuid program makes root of a user, unless `allowPrivilegeEscalation: false`.
#[test]
fn setuid_means_nothing_without_privilege_escalation() {
    require_root!();
    let podtui = Podtui::start();
    let script = |name: &str, allowed: bool| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 0\n  \
             volumes: [{{name: v, emptyDir: {{}}}}]\n  initContainers:\n  - name: i\n    image: localhost/toolbox\n    \
             command: [bash, -c, 'cp $(type -p id) /v/id && chmod 4755 /v/id']\n    volumeMounts: [{{name: v, mountPath: /v}}]\n  \
             containers:\n  - name: c\n    image: localhost/toolbox\n    command: [sleep, '1000000']\n    \
             securityContext: {{runAsUser: 1000, allowPrivilegeEscalation: {allowed}}}\n    volumeMounts: [{{name: v, mountPath: /v}}]\n"
        )
    };
    podtui.apply(&script("may", true));
    podtui.apply(&script("maynot", false));
    podtui.wait_running("may");
    podtui.wait_running("maynot");
    assert_eq!(field(&podtui, "maynot", "NoNewPrivs:"), "1");
    assert_eq!(field(&podtui, "may", "NoNewPrivs:"), "0");
    assert_eq!(sh(&podtui, "may", "/v/id -u"), "0");
    assert_eq!(sh(&podtui, "maynot", "/v/id -u"), "1000");
    podtui.delete_all();
}

/// The groups of a process are what the pod says, and with `Merge` those of the image's group file; a file
/// that is closed to one of them (mode 0707) stays closed (CVE-2022-36109).
#[test]
fn groups_follow_the_policy() {
    require_root!();
    let podtui = Podtui::start();
    let etc = podtui.path().join("etc");
    fs::create_dir(&etc).unwrap();
    fs::write(
        etc.join("passwd"),
        "root:x:0:0::/:/bin/sh\nweb:x:1000:1000::/:/bin/sh\n",
    )
    .unwrap();
    fs::write(
        etc.join("group"),
        "root:x:0:\nweb:x:1000:\nextra:x:50000:web\n",
    )
    .unwrap();
    for group in [4000, 50000] {
        let closed = etc.join(format!("closed-to-{group}"));
        fs::write(&closed, "open to others").unwrap();
        std::os::unix::fs::chown(&closed, Some(0), Some(group)).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o707)).unwrap();
    }
    let manifest = |name: &str, policy: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 0\n  \
             securityContext: {{runAsUser: 1000, runAsGroup: 3000, fsGroup: 2000, supplementalGroups: [4000]{policy}}}\n  \
             volumes: [{{name: f, hostPath: {{path: {}}}}}, {{name: v, emptyDir: {{}}}}]\n  containers:\n  - name: c\n    \
             image: localhost/toolbox\n    command: [sleep, '1000000']\n    volumeMounts:\n    \
             - {{name: f, mountPath: /etc/passwd, subPath: passwd}}\n    - {{name: f, mountPath: /etc/group, subPath: group}}\n    \
             - {{name: v, mountPath: /v}}\n    - {{name: f, mountPath: /f}}\n",
            etc.display()
        )
    };
    podtui.apply(&manifest("merge", ""));
    podtui.apply(&manifest("strict", ", supplementalGroupsPolicy: Strict"));
    let merge = podtui.wait_running("merge");
    let strict = podtui.wait_running("strict");
    let groups = |pod: &Value| -> Vec<u64> {
        let list = status(pod, "c")["user"]["linux"]["supplementalGroups"].clone();
        let mut list: Vec<u64> = serde_json::from_value(list).unwrap();
        list.sort_unstable();
        list
    };
    assert_eq!(groups(&merge), [2000, 3000, 4000, 50000]);
    assert_eq!(groups(&strict), [2000, 3000, 4000]);
    assert_eq!(field(&podtui, "strict", "Groups:"), "2000 3000 4000");
    assert_eq!(sh(&podtui, "strict", "id -G"), "3000 2000 4000");
    // New files of the volume belong to fsGroup.
    assert_eq!(
        sh(&podtui, "merge", "touch /v/f && stat -c %g /v/f"),
        "2000"
    );
    let closed = |name: &str| {
        sh(
            &podtui,
            name,
            "cat /f/closed-to-4000; cat /f/closed-to-50000",
        )
    };
    let (both, one) = (closed("merge"), closed("strict"));
    assert_eq!(both.matches("Permission denied").count(), 2, "{both}");
    assert_eq!(one.matches("Permission denied").count(), 1, "{one}");
    assert!(one.contains("open to others"), "{one}");
    podtui.delete_all();
}

/// Safe ones are set in the pod alone; others only where the machine's owner allowed them.
#[test]
fn sysctls_are_refused_unless_safe_or_allowed() {
    require_root!();
    let podtui = Podtui::idle();
    let directory = podtui.path().join("config");
    fs::create_dir_all(&directory).unwrap();
    fs::write(
        directory.join("config.toml"),
        "[pods]\nallowed_unsafe_sysctls = [\"kernel.msg*\"]\n",
    )
    .unwrap();
    podtui.serve();
    let sysctls = |list: &str| format!("securityContext: {{sysctls: [{list}]}}");
    podtui.apply(&pod(
        "fine",
        &sysctls("{name: kernel.shm_rmid_forced, value: '1'}, {name: net/ipv4/ip_local_port_range, value: '4000 4999'}, {name: kernel.msgmax, value: '65536'}"),
        "",
    ));
    podtui.apply(&pod(
        "not",
        &sysctls("{name: net.core.somaxconn, value: '9'}"),
        "",
    ));
    podtui.wait_running("fine");
    let host = fs::read_to_string("/proc/sys/kernel/msgmax").unwrap();
    assert_eq!(sh(&podtui, "fine", "cat /proc/sys/kernel/msgmax"), "65536");
    assert_ne!(host.trim(), "65536");
    assert_eq!(
        sh(&podtui, "fine", "cat /proc/sys/kernel/shm_rmid_forced"),
        "1"
    );
    let range = sh(
        &podtui,
        "fine",
        "cat /proc/sys/net/ipv4/ip_local_port_range",
    );
    assert_eq!(
        range.split_whitespace().collect::<Vec<_>>(),
        ["4000", "4999"]
    );
    let refused = podtui.wait_phase("not", "Failed");
    assert_eq!(refused["status"]["reason"], "SysctlForbidden");
    assert_eq!(
        refused["status"]["message"],
        "Pod was rejected: forbidden sysctl: \"net.core.somaxconn\" not allowlisted"
    );
    assert!(podtui.ok(&["get", "pods"]).contains("SysctlForbidden"));
    // It stays refused, and is not begun by the next engine.
    podtui.serve_again();
    let again = podtui.pod("not");
    assert_eq!(again["status"], refused["status"]);
    podtui.delete_all();
}

/// A profile that the kernel cannot enforce is not the same as none.
#[test]
fn apparmor_is_refused_where_there_is_none() {
    require_root!();
    if fs::read_to_string("/sys/module/apparmor/parameters/enabled")
        .is_ok_and(|on| on.starts_with('Y'))
    {
        println!("skipped: the kernel enforces AppArmor");
        return;
    }
    let podtui = Podtui::start();
    podtui.apply(&pod(
        "a",
        "",
        "securityContext: {appArmorProfile: {type: RuntimeDefault}}",
    ));
    let refused = podtui.wait_phase("a", "Failed");
    assert_eq!(refused["status"]["reason"], "AppArmor");
    assert_eq!(
        refused["status"]["message"],
        "Pod was rejected: Cannot enforce AppArmor: AppArmor is not enabled on the host"
    );
    podtui.apply(&pod(
        "b",
        "",
        "securityContext: {appArmorProfile: {type: Unconfined}}",
    ));
    podtui.wait_running("b");
    podtui.delete_all();
}

/// Rules of a file below the state directory, in the format of Docker; with and without no_new_privs.
#[test]
fn a_seccomp_profile_of_the_user() {
    require_root!();
    let podtui = Podtui::start();
    let directory = podtui.state().join("seccomp/profiles");
    fs::create_dir_all(&directory).unwrap();
    let profile = |name: &str, text: &str| fs::write(directory.join(name), text).unwrap();
    profile(
        "no-mkdir.json",
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 110},
            {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]},
            {"names": ["unlink", "unlinkat"], "action": "SCMP_ACT_ERRNO", "excludes": {"caps": ["CAP_CHOWN"]}}]}"#,
    );
    profile("broken.json", r#"{"defaultAction": "ALLOW"}"#);
    // Nothing but what follows the filter: execve, and then what the program does.
    profile(
        "nothing.json",
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["execve", "exit_group"], "action": "SCMP_ACT_ALLOW"}]}"#,
    );
    let context = |file: &str, more: &str| {
        format!(
            "securityContext: {{seccompProfile: {{type: Localhost, localhostProfile: profiles/{file}}}{more}}}"
        )
    };
    podtui.apply(&pod("own", "", &context("no-mkdir.json", "")));
    podtui.apply(&pod(
        "nnp",
        &context("no-mkdir.json", ""),
        "securityContext: {allowPrivilegeEscalation: false}",
    ));
    podtui.apply(&pod("missing", "", &context("missing.json", "")));
    podtui.apply(&pod("broken", "", &context("broken.json", "")));
    for name in ["own", "nnp"] {
        podtui.wait_running(name);
        assert_eq!(field(&podtui, name, "Seccomp:"), "2");
        let text = sh(
            &podtui,
            name,
            "mkdir /tmp/x; touch /tmp/y && rm /tmp/y && echo removed",
        );
        assert!(text.contains("Connection timed out"), "{text}");
        assert!(text.contains("removed"), "{text}");
        let text = sh(&podtui, name, "exec 3<>/dev/tcp/127.0.0.1/1 || echo failed");
        assert!(text.contains("Operation not permitted"), "{text}");
    }
    let waiting = |name: &str| {
        podtui.wait(&format!("{name} to be refused"), || {
            let pod = podtui.try_pod(name)?;
            let waiting = status(&pod, "c")["state"]["waiting"].clone();
            (waiting["reason"] == "CreateContainerError")
                .then(|| waiting["message"].as_str().unwrap_or_default().to_owned())
        })
    };
    let path = |file: &str| directory.join(file).display().to_string();
    assert_eq!(
        waiting("missing"),
        format!(
            "cannot load seccomp profile \"{}\": No such file or directory (os error 2)",
            path("missing.json")
        )
    );
    assert_eq!(
        waiting("broken"),
        format!(
            "cannot load seccomp profile \"{}\": defaultAction: action \"ALLOW\" is not supported",
            path("broken.json")
        )
    );
    assert!(podtui.container_pids("missing", "c").is_empty());
    let never = "restartPolicy: Never";
    podtui.apply(&pod(
        "nothing",
        never,
        &context("nothing.json", ", allowPrivilegeEscalation: false"),
    ));
    // The program was executed, and could do nothing.
    let pod = podtui.wait_phase("nothing", "Failed");
    let end = &status(&pod, "c")["state"]["terminated"];
    assert_ne!(end["reason"], "StartError", "{end}");
    podtui.delete_all();
}

/// fsGroup is for volumes that podtui owns: a read-only host path keeps its owners, and the pod runs.
#[test]
fn the_group_of_a_read_only_host_path_stays() {
    require_root!();
    let podtui = Podtui::start();
    let volume = podtui.path().join("volume");
    fs::create_dir(&volume).unwrap();
    let mount = |arguments: &[&str]| {
        let done = std::process::Command::new("mount")
            .args(arguments)
            .arg(&volume)
            .status();
        assert!(done.unwrap().success(), "mount {arguments:?}");
    };
    mount(&["-t", "tmpfs", "podtui-test"]);
    fs::write(volume.join("file"), "x").unwrap();
    mount(&["-o", "remount,ro"]);
    let before = fs::metadata(volume.join("file")).unwrap();
    podtui.apply(&format!(
        "{}    volumeMounts: [{{name: v, mountPath: /v}}]\n  volumes: [{{name: v, hostPath: {{path: {}}}}}]\n",
        pod("a", "securityContext: {fsGroup: 2000, runAsUser: 1000}", ""),
        volume.display()
    ));
    podtui.wait_running("a");
    let text = sh(
        &podtui,
        "a",
        "stat -c %g /v/file; touch /v/new || echo refused",
    );
    let after = fs::metadata(volume.join("file")).unwrap();
    podtui.ok(&["delete", "pod", "a", "--now"]);
    let done = std::process::Command::new("umount").arg(&volume).status();
    assert!(done.unwrap().success());
    assert!(
        text.contains("Read-only file system") && text.contains("refused"),
        "{text}"
    );
    assert_eq!((before.gid(), before.mode()), (after.gid(), after.mode()));
    assert!(text.starts_with('0'), "{text}");
    podtui.delete_all();
}
