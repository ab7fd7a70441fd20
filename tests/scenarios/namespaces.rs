//! 01 to 05: containers that share a volume, names and namespaces, and hooks.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::stage::{Stage, http};
use crate::support::terminal::Terminal;
use crate::support::{namespace, status};

/// Removes what a manifest makes on the machine itself.
struct HostDirectory(&'static Path);

impl Drop for HostDirectory {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.0.join("index.html"));
        let _ = fs::remove_dir(self.0);
    }
}

#[test]
fn scenario_01_what_the_second_writes_the_first_serves() {
    require_debian!();
    let data = Path::new("/data");
    if data.exists() {
        println!("skipped: the manifest writes to /data, which this machine has already");
        return;
    }
    let _cleanup = HostDirectory(data);
    let stage = Stage::start();
    assert_eq!(
        stage.apply_file("01-two-containers.yaml"),
        "pod/two-containers created\n"
    );
    let pod = stage.wait("both containers", || {
        stage.try_pod("two-containers").filter(|pod| {
            status(pod, "debian-container")["state"]["terminated"]["reason"] == "Completed"
                && status(pod, "nginx-container")["state"]["running"].is_object()
        })
    });
    stage.learn_names();
    let address = pod["status"]["podIP"].as_str().unwrap();
    let hello = "Hello from the debian container\n";
    let page = stage.wait("the page", || http(&format!("{address}:80"), "/"));
    assert_eq!(page, hello);
    assert_eq!(fs::read_to_string(data.join("index.html")).unwrap(), hello);
    let row = stage.row("two-containers");
    assert_eq!(row[1..4], ["1/2", "NotReady", "0"], "{row:?}");
    stage.delete_all();
    assert!(
        data.join("index.html").exists(),
        "a host path outlives the pod"
    );
}

#[test]
fn scenario_02_aliases_in_the_hosts_file() {
    require_debian!();
    let stage = Stage::start();
    stage.apply_file("02-host-aliases.yaml");
    let pod = stage.wait_phase("hostaliases-pod", "Succeeded");
    let address = pod["status"]["podIP"].as_str().unwrap();
    assert_eq!(
        stage.ok(&["logs", "hostaliases-pod"]),
        format!(
            "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
             fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n\
             {address}\thostaliases-pod\n\n# Entries added by HostAliases.\n10.1.2.3\tfoo.remote\tbar.remote\n"
        )
    );
    assert_eq!(stage.row("hostaliases-pod")[1..3], ["0/1", "Completed"]);
    stage.delete_all();
}

#[test]
fn scenario_03_the_processes_of_the_pod_in_an_attached_shell() {
    require_debian!();
    let stage = Stage::start();
    stage.apply_file("03-share-process-namespace.yaml");
    stage.wait_running("nginx");
    let attach = stage.command(&["attach", "-it", "nginx", "-c", "shell"]);
    let mut terminal = Terminal::spawn(attach, 24, 80);
    let seen = |terminal: &mut Terminal, text: &str| {
        let text = text.as_bytes().to_owned();
        terminal.read_until(Duration::from_secs(20), move |seen| {
            seen.windows(text.len()).any(|part| part == text)
        })
    };
    terminal.write(b"\r");
    assert!(
        seen(&mut terminal, "# "),
        "{}",
        String::from_utf8_lossy(&terminal.seen)
    );
    terminal.write(b"ps ax; echo end-of-$((40 + 2))\r");
    assert!(
        seen(&mut terminal, "end-of-42"),
        "{}",
        String::from_utf8_lossy(&terminal.seen)
    );
    let screen = String::from_utf8_lossy(&terminal.seen).into_owned();
    let process = |pid: Option<&str>, name: &str| {
        screen.lines().any(|line| {
            let first = line.split_whitespace().next();
            line.contains(name) && pid.is_none_or(|pid| first == Some(pid))
        })
    };
    assert!(process(Some("1"), "/pause"), "{screen}");
    assert!(process(None, "nginx: master process"), "{screen}");
    assert!(process(None, "nginx: worker process"), "{screen}");
    // Leaving by the keys leaves the shell running.
    terminal.write(b"\x10\x11");
    drop(terminal);
    let pod = stage.pod("nginx");
    assert!(status(&pod, "shell")["state"]["running"].is_object());
    stage.delete_all();
}

#[test]
fn scenario_04_everything_is_the_hosts() {
    require_debian!();
    if TcpListener::bind("0.0.0.0:80").is_err() {
        println!("skipped: nginx of the manifest needs port 80 of the machine, which is taken");
        return;
    }
    let stage = Stage::start();
    stage.apply_file("04-host-namespaces.yaml");
    let pod = stage.wait_running("nginx-host");
    let own = std::process::id();
    for container in ["nginx", "shell"] {
        let pid = stage.container_pid("nginx-host", container);
        for kind in ["net", "ipc", "pid"] {
            assert_eq!(
                namespace(pid, kind),
                namespace(own, kind),
                "{container} {kind}"
            );
        }
        assert_ne!(namespace(pid, "mnt"), namespace(own, "mnt"));
    }
    let shown = stage.inside("nginx-host", "shell", "ps");
    let engine = format!("{}", stage.engine_pid());
    assert!(
        shown
            .lines()
            .any(|line| line.split_whitespace().next() == Some(&engine)),
        "the engine is not among\n{shown}"
    );
    let page = stage.wait("nginx on the host", || http("127.0.0.1:80", "/"));
    assert_eq!(page, "Welcome to nginx!\n");
    assert_eq!(pod["status"]["podIP"], pod["status"]["hostIP"]);
    stage.delete_all();
    assert!(http("127.0.0.1:80", "/").is_none(), "nginx is still there");
}

#[test]
fn scenario_05_hooks_after_the_start_and_before_the_end() {
    require_debian!();
    let stage = Stage::start();
    stage.apply_file("05-lifecycle.yaml");
    let name = "lifecycle-demo";
    stage.wait_running(name);
    let container = "lifecycle-demo-container";
    assert_eq!(
        stage.inside(name, container, "cat /usr/share/message"),
        "Hello from the postStart handler\n"
    );
    // What the log says last: nginx -s quit sends SIGQUIT, as podtui itself does only after the hook.
    let follow = stage.command(&["logs", "-f", name]);
    let mut follow = follow_to_pipe(follow);
    let begin = std::time::Instant::now();
    stage.ok(&["delete", "pod", name]);
    assert!(
        begin.elapsed() < Duration::from_secs(15),
        "{:?}",
        begin.elapsed()
    );
    let log = read_to_end(&mut follow);
    assert!(
        log.contains("(SIGQUIT) received") && log.contains("gracefully shutting down"),
        "{log}"
    );
    let signalled_by = log.lines().find(|line| line.contains("(SIGQUIT) received"));
    // From a process of the container, not from outside of its namespace.
    assert!(
        signalled_by.is_some_and(|line| !line.contains("received from 0,")),
        "{log}"
    );
    let events = stage.events_of(name, "default");
    assert!(
        events.contains(&"Killing Stopping container lifecycle-demo-container".to_owned()),
        "{events:?}"
    );
    assert!(
        !events.iter().any(|event| event.starts_with("FailedP")),
        "{events:?}"
    );
    stage.delete_all();
}

fn follow_to_pipe(mut command: std::process::Command) -> std::process::Child {
    command
        .stdout(Stdio::piped())
        .spawn()
        .expect("podtui starts")
}

fn read_to_end(child: &mut std::process::Child) -> String {
    let mut text = String::new();
    let mut stdout = child.stdout.take().expect("piped");
    std::io::Read::read_to_string(&mut stdout, &mut text).expect("text");
    child.wait().expect("it ends");
    text
}
