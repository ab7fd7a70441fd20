//! What `config.toml` sets for all pods, seen on the machine.

use std::fs;
use std::path::PathBuf;

use crate::support::Podtui;

fn configured(text: &str) -> Podtui {
    let podtui = Podtui::idle();
    let directory = podtui.path().join("config");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("config.toml"), text).unwrap();
    podtui.serve();
    podtui
}

fn pod(script: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec:\n  terminationGracePeriodSeconds: 0\n  containers:\n  \
         - {{name: c, image: localhost/toolbox, command: [bash, -c, '{script}']}}\n"
    )
}

/// The container writes 300 KB into files of 64 KiB, of which three are kept.
#[test]
fn logs_rotate_at_the_configured_size() {
    require_root!();
    let podtui = configured("[container_logs]\nmax_size = \"64Ki\"\nmax_files = 3\n");
    podtui.apply(&pod(
        "for i in $(seq 3000); do printf \"%0100d\\n\" $i; done; sleep 1000",
    ));
    podtui.wait_running("a");
    podtui.wait("the last line", || {
        let last = podtui.ok(&["logs", "a", "--tail=1"]);
        last.trim().ends_with("3000").then_some(())
    });
    let pods = podtui.state().join("logs/pods");
    let pod = fs::read_dir(&pods)
        .unwrap()
        .flatten()
        .next()
        .unwrap()
        .path();
    let sizes: Vec<(PathBuf, u64)> = fs::read_dir(pod.join("c"))
        .unwrap()
        .flatten()
        .map(|entry| (entry.path(), entry.metadata().unwrap().len()))
        .collect();
    assert_eq!(sizes.len(), 3, "{sizes:?}");
    // A turn of the reader may end beyond the limit, by less than what a pipe holds.
    let bound = (64 << 10) * 2;
    assert!(sizes.iter().all(|(_, size)| *size <= bound), "{sizes:?}");
    podtui.delete_all();
}

/// Also in every v1 tree; the outer groups go with the last pod.
#[test]
fn pods_stand_below_the_configured_group_and_limit() {
    require_root!();
    let root = format!("pttest{}", std::process::id());
    let podtui = configured(&format!(
        "[cgroup]\nroot = \"/{root}/inner\"\n[pods]\npids_limit = 40\n"
    ));
    podtui.apply(&pod("sleep 1000"));
    podtui.wait_running("a");
    let pid = podtui.container_pid("a", "c");
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let placed: Vec<&str> = groups
        .lines()
        .filter(|line| line.contains(&format!(":/{root}/inner/podtui-")))
        .collect();
    assert!(!placed.is_empty(), "{groups}");
    let path = placed[0].rsplit(':').next().unwrap();
    let group = path.trim_start_matches('/').rsplit_once('/').unwrap().0;
    let limit = [
        "/sys/fs/cgroup/pids",
        "/sys/fs/cgroup",
        "/sys/fs/cgroup/unified",
    ]
    .iter()
    .find_map(|mount| fs::read_to_string(format!("{mount}/{group}/pids.max")).ok());
    assert_eq!(limit.as_deref().map(str::trim), Some("40"));
    // 60 processes at once do not fit.
    let output = podtui.output(&[
        "exec",
        "a",
        "--",
        "bash",
        "-c",
        "for i in $(seq 60); do sleep 5 & done; wait",
    ]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("Resource temporarily unavailable"), "{text}");
    podtui.delete_all();
}

/// A mount that no peer sees cannot pass mounts on: that is refused in containerd's words, not ignored.
#[test]
fn bidirectional_needs_a_shared_mount() {
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
    let manifest = |name: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 0\n  containers:\n  \
             - name: c\n    image: localhost/toolbox\n    command: [sleep, '1000']\n    securityContext: {{privileged: true}}\n    \
             volumeMounts: [{{name: v, mountPath: /v, mountPropagation: Bidirectional}}]\n  \
             volumes: [{{name: v, hostPath: {{path: {}}}}}]\n",
            volume.display()
        )
    };
    mount(&["--make-private"]);
    podtui.apply(&manifest("private"));
    podtui.wait("the refusal", || {
        let events = podtui.ok(&["events"]);
        events
            .contains("but it is not a shared mount")
            .then_some(())
    });
    mount(&["--make-shared"]);
    podtui.apply(&manifest("shared"));
    podtui.wait_running("shared");
    podtui.ok(&[
        "exec",
        "shared",
        "--",
        "sh",
        "-c",
        "mkdir /v/in && mount -t tmpfs inner /v/in",
    ]);
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(
        table.contains(&format!("{}/in ", volume.display())),
        "{table}"
    );
    podtui.ok(&["exec", "shared", "--", "umount", "/v/in"]);
    podtui.ok(&["delete", "pods", "--all", "--now"]);
    let gone = std::process::Command::new("umount").arg(&volume).status();
    assert!(gone.unwrap().success());
    podtui.delete_all();
}

/// The kubelet's `clusterDNS` and `clusterDomain`; without them ClusterFirst is the machine's configuration.
#[test]
fn pods_ask_the_configured_name_servers() {
    require_root!();
    let podtui = configured(
        "[network]\ncluster_dns = [\"10.96.0.10\", \"fd00::a\"]\ncluster_domain = \"corp.example\"\n",
    );
    let manifest = |name: &str, spec: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 0\n  hostname: h\n  \
             subdomain: s\n{spec}  containers:\n  - {{name: c, image: localhost/toolbox, command: [sleep, '1000']}}\n"
        )
    };
    let resolv = |name: &str, spec: &str| {
        podtui.apply(&manifest(name, spec));
        podtui.wait_running(name);
        podtui.ok(&["exec", name, "--", "cat", "/etc/resolv.conf"])
    };
    let search = "search default.svc.corp.example svc.corp.example corp.example";
    let servers = "nameserver 10.96.0.10\nnameserver fd00::a\n";
    let plain = resolv("plain", "");
    assert!(plain.starts_with(search), "{plain}");
    assert!(plain.contains(servers), "{plain}");
    assert!(plain.ends_with("options ndots:5\n"), "{plain}");
    let hosts = podtui.ok(&["exec", "plain", "--", "cat", "/etc/hosts"]);
    assert!(
        hosts.contains("\th.s.default.svc.corp.example\th\n"),
        "{hosts}"
    );
    let asking = resolv(
        "asking",
        "  hostNetwork: true\n  dnsPolicy: ClusterFirstWithHostNet\n",
    );
    assert!(
        asking.starts_with(search) && asking.contains(servers),
        "{asking}"
    );
    let machine = fs::read_to_string("/etc/resolv.conf").unwrap();
    let host = resolv("host", "  hostNetwork: true\n");
    assert!(!host.contains(servers), "{host}");
    assert!(
        machine
            .lines()
            .filter(|line| line.starts_with("nameserver"))
            .all(|line| host.contains(line)),
        "{host}"
    );
}
