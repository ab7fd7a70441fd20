//! What a running pod looks like from outside.

use std::fs;

use crate::support::{Podtui, namespace, status};

const TWO: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: two}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: a
    image: localhost/toolbox:latest
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "exec sleep 1000000"]
  - name: b
    image: localhost/toolbox:latest
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "mkdir -p /www; echo hello from b > /www/index.html; exec busybox httpd -f -p 8080 -h /www"]
"#;

#[test]
fn containers_share_what_pause_holds_and_nothing_else() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(TWO);
    podtui.wait_running("two");
    let (pause, a, b) = (
        podtui.pause_pid("two"),
        podtui.container_pid("two", "a"),
        podtui.container_pid("two", "b"),
    );
    for shared in ["net", "ipc", "uts"] {
        assert_eq!(
            namespace(a, shared),
            namespace(pause, shared),
            "{shared} of a"
        );
        assert_eq!(
            namespace(b, shared),
            namespace(pause, shared),
            "{shared} of b"
        );
        assert_ne!(
            namespace(a, shared),
            namespace(std::process::id(), shared),
            "{shared} is the machine's"
        );
    }
    for own in ["mnt", "pid", "cgroup"] {
        assert_ne!(namespace(a, own), namespace(b, own), "{own}");
        assert_ne!(
            namespace(a, own),
            namespace(std::process::id(), own),
            "{own} is the machine's"
        );
    }
    for private in ["mnt", "pid"] {
        assert_ne!(
            namespace(a, private),
            namespace(pause, private),
            "{private} is pause's"
        );
    }
    assert_eq!(
        fs::read_to_string(format!("/proc/{pause}/cmdline"))
            .unwrap()
            .trim_end_matches('\0'),
        "/pause"
    );
    let rollup = fs::read_to_string(format!("/proc/{pause}/smaps_rollup")).unwrap();
    let private: u64 = rollup
        .lines()
        .filter(|line| line.starts_with("Private_"))
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        .sum();
    assert!(private < 64, "pause holds {private} KiB of private memory");
    let answer = podtui.wait("b to serve", || {
        let output = podtui.output(&[
            "exec",
            "two",
            "-c",
            "a",
            "--",
            "wget",
            "-qO-",
            "localhost:8080",
        ]);
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    });
    assert_eq!(answer, "hello from b\n");
    podtui.delete_all();
}

#[test]
fn pods_and_the_machine_reach_each_other_by_address() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(TWO);
    podtui.apply(&TWO.replace("name: two", "name: other"));
    podtui.wait_running("two");
    podtui.wait_running("other");
    let address = podtui.pod("two")["status"]["podIP"]
        .as_str()
        .expect("an address")
        .to_owned();
    let url = format!("http://{address}:8080/");
    let answer = podtui.wait("two to answer its neighbour", || {
        let output = podtui.output(&["exec", "other", "-c", "a", "--", "wget", "-qO-", &url]);
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    });
    assert_eq!(answer, "hello from b\n");
    let stream = std::net::TcpStream::connect(format!("{address}:8080"));
    assert!(
        stream.is_ok(),
        "the machine cannot reach {address}: {stream:?}"
    );
    let hosts = podtui.ok(&["exec", "two", "-c", "a", "--", "cat", "/etc/hosts"]);
    assert!(
        hosts.starts_with("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n"),
        "{hosts}"
    );
    assert!(hosts.contains(&format!("{address}\ttwo\n")), "{hosts}");
    podtui.delete_all();
}

#[test]
fn host_namespaces_are_the_machines() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: host}
spec:
  hostNetwork: true
  hostPID: true
  hostIPC: true
  terminationGracePeriodSeconds: 0
  containers:
  - {name: a, image: localhost/toolbox, imagePullPolicy: IfNotPresent, command: [sleep, "1000000"]}
"#,
    );
    podtui.wait_running("host");
    let a = podtui.container_pid("host", "a");
    for name in ["net", "ipc", "uts", "pid"] {
        assert_eq!(
            namespace(a, name),
            namespace(std::process::id(), name),
            "{name}"
        );
    }
    assert_ne!(namespace(a, "mnt"), namespace(std::process::id(), "mnt"));
    podtui.delete_all();
}

#[test]
fn a_shared_process_namespace_shows_pause_as_pid_1() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(&TWO.replace("spec:", "spec:\n  shareProcessNamespace: true"));
    podtui.wait_running("two");
    let first = podtui.ok(&["exec", "two", "-c", "a", "--", "cat", "/proc/1/cmdline"]);
    assert_eq!(first.trim_end_matches('\0'), "/pause");
    let (a, b) = (
        podtui.container_pid("two", "a"),
        podtui.container_pid("two", "b"),
    );
    assert_eq!(namespace(a, "pid"), namespace(b, "pid"));
    podtui.delete_all();
}

#[test]
fn limits_stand_in_the_cgroup() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: limits}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: a
    image: localhost/toolbox
    imagePullPolicy: IfNotPresent
    command: [sleep, "1000000"]
    resources: {limits: {cpu: 500m, memory: 64Mi}}
"#,
    );
    let pod = podtui.wait_running("limits");
    assert_eq!(pod["status"]["qosClass"], "Guaranteed");
    let pid = podtui.container_pid("limits", "a");
    let read = |controller: &str, v1: &str, v2: &str| -> String {
        let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        let named = cgroups.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?);
            controllers
                .split(',')
                .any(|name| name == controller)
                .then(|| path.to_owned())
        });
        let unified = || {
            cgroups
                .lines()
                .find_map(|line| line.strip_prefix("0::"))
                .expect("a v2 path")
                .to_owned()
        };
        let path = match named {
            Some(path) => format!("/sys/fs/cgroup/{controller}{path}/{v1}"),
            None => format!("/sys/fs/cgroup{}/{v2}", unified()),
        };
        fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{path}: {error}"))
            .trim()
            .to_owned()
    };
    assert_eq!(
        read("memory", "memory.limit_in_bytes", "memory.max"),
        (64 << 20).to_string()
    );
    assert!(
        ["50000", "50000 100000"].contains(&read("cpu", "cpu.cfs_quota_us", "cpu.max").as_str())
    );
    assert!(["512", "59"].contains(&read("cpu", "cpu.shares", "cpu.weight").as_str()));
    assert_eq!(status(&pod, "a")["restartCount"], 0);
    podtui.delete_all();
}

#[test]
fn two_engines_run_pods_of_the_same_name_side_by_side() {
    require_root!();
    let (one, two) = (Podtui::start(), Podtui::start());
    for podtui in [&one, &two] {
        podtui.apply(TWO);
    }
    for podtui in [&one, &two] {
        podtui.wait_running("two");
    }
    let (first, second) = (one.container_pid("two", "a"), two.container_pid("two", "a"));
    assert_ne!(namespace(first, "net"), namespace(second, "net"));
    let address = |podtui: &Podtui| {
        podtui.pod("two")["status"]["podIP"]
            .as_str()
            .map(str::to_owned)
    };
    assert_ne!(
        address(&one),
        address(&two),
        "both engines gave the same address"
    );
    one.delete_all();
    assert!(
        fs::metadata(format!("/proc/{second}")).is_ok(),
        "deleting in one engine killed the other's pod"
    );
    two.delete_all();
}
