//! An engine of its own directories for one test, driven through the command line like a user would.
//!
//! Dropping a [`Podtui`] deletes its pods, stops its engine and fails the test if anything of it is left on
//! the machine: processes, mounts, cgroups, links, sockets.
#![allow(
    dead_code,
    reason = "every test binary uses another part of the harness"
)]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub const BINARY: &str = env!("CARGO_BIN_EXE_podtui");
/// How long a test waits for something that must happen; never the thing measured.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Ends the test, saying so, where the machine does not let it run.
#[allow(unused_macros, reason = "not every test binary runs pods")]
macro_rules! require_root {
    () => {
        if !crate::support::is_root() {
            println!("skipped: running pods needs root");
            return;
        }
    };
}

#[macro_use]
pub mod image;
pub mod terminal;

pub fn is_root() -> bool {
    fs::read_to_string("/proc/self/status")
        .is_ok_and(|status| status.lines().any(|line| line.starts_with("Uid:\t0\t0")))
}

pub struct Podtui {
    root: TempDir,
    /// Names on the machine that belong to this engine, learnt from its sandboxes.
    seen: RefCell<Seen>,
    engine: RefCell<Option<Child>>,
}

#[derive(Default)]
struct Seen {
    cgroups: BTreeSet<String>,
    links: BTreeSet<String>,
}

impl Podtui {
    /// Starts `podtui serve` on fresh directories and waits for its socket.
    pub fn start() -> Self {
        let podtui = Self::idle();
        podtui.serve();
        podtui
    }

    /// Fresh directories, no engine.
    pub fn idle() -> Self {
        let root = tempfile::Builder::new()
            .prefix("ptt")
            .tempdir_in("/tmp")
            .expect("a directory in /tmp");
        Self {
            root,
            seen: RefCell::default(),
            engine: RefCell::new(None),
        }
    }

    pub fn path(&self) -> &Path {
        self.root.path()
    }

    pub fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    pub fn run(&self) -> PathBuf {
        self.path().join("run")
    }

    pub fn serve(&self) {
        let log = fs::File::create(self.path().join("serve.log")).expect("serve.log");
        let child = self
            .command(&["serve"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("podtui starts");
        *self.engine.borrow_mut() = Some(child);
        self.wait("the engine's socket", || {
            std::os::unix::net::UnixStream::connect(self.run().join("api.sock")).ok()
        });
    }

    pub fn engine_pid(&self) -> u32 {
        self.engine
            .borrow()
            .as_ref()
            .expect("the engine was started")
            .id()
    }

    /// SIGKILL to the engine, reaped.
    pub fn kill_engine(&self) {
        let mut child = self
            .engine
            .borrow_mut()
            .take()
            .expect("the engine was started");
        child.kill().expect("the engine can be killed");
        child.wait().expect("the engine can be reaped");
    }

    /// Ends the engine in order and starts the next one on the same directories.
    pub fn serve_again(&self) {
        self.ok(&["engine", "stop"]);
        let mut child = self
            .engine
            .borrow_mut()
            .take()
            .expect("the engine was started");
        child.wait().expect("the engine can be reaped");
        self.serve();
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command
            .args(arguments)
            .env("PODTUI_STATE_DIR", self.state())
            .env("PODTUI_RUN_DIR", self.run())
            .env("PODTUI_CONFIG_DIR", self.path().join("config"))
            .stdin(Stdio::null());
        command
    }

    pub fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("podtui starts")
    }

    /// Standard output of a command that must succeed.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert!(
            output.status.success(),
            "podtui {arguments:?}: {}\n{}{}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
            fs::read_to_string(self.path().join("serve.log")).unwrap_or_default()
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Standard error of a command that must fail.
    #[track_caller]
    pub fn refused(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert!(!output.status.success(), "podtui {arguments:?} succeeded");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    pub fn apply_output(&self, manifest: &str) -> Output {
        let mut child = self
            .command(&["apply", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("podtui starts");
        child
            .stdin
            .take()
            .expect("piped")
            .write_all(manifest.as_bytes())
            .expect("podtui reads its input");
        child.wait_with_output().expect("podtui ends")
    }

    #[track_caller]
    pub fn apply(&self, manifest: &str) {
        let output = self.apply_output(manifest);
        assert!(
            output.status.success(),
            "apply: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    pub fn try_pod(&self, name: &str) -> Option<Value> {
        let output = self.output(&["get", "pod", name, "-o", "json"]);
        output
            .status
            .success()
            .then(|| serde_json::from_slice(&output.stdout).expect("-o json prints JSON"))
    }

    #[track_caller]
    pub fn pod(&self, name: &str) -> Value {
        self.try_pod(name)
            .unwrap_or_else(|| panic!("there is no pod {name}"))
    }

    /// Polls until `probe` answers; panics with the name of what was waited for.
    #[track_caller]
    pub fn wait<T>(&self, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
        let begin = Instant::now();
        loop {
            if let Some(found) = probe() {
                return found;
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "waited {PATIENCE:?} for {what}\n{}\n{}",
                String::from_utf8_lossy(&self.output(&["get", "pods", "-A", "-o", "wide"]).stdout),
                String::from_utf8_lossy(&self.output(&["events", "-A"]).stdout),
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until every container of the pod runs.
    #[track_caller]
    pub fn wait_running(&self, name: &str) -> Value {
        let pod = self.wait(&format!("{name} to run"), || {
            self.try_pod(name).filter(|pod| {
                let wanted = pod["spec"]["containers"].as_array().map_or(0, Vec::len);
                let running = statuses(pod)
                    .filter(|status| status["state"]["running"].is_object())
                    .count();
                wanted == running
            })
        });
        self.learn_names();
        pod
    }

    /// Waits until the first container has been started, running or over.
    #[track_caller]
    pub fn wait_running_or_over(&self, name: &str) -> Value {
        let pod = self.wait(&format!("{name} to start"), || {
            self.try_pod(name).filter(|pod| {
                statuses(pod).any(|status| {
                    status["state"]["running"].is_object()
                        || status["state"]["terminated"].is_object()
                })
            })
        });
        self.learn_names();
        pod
    }

    #[track_caller]
    pub fn wait_phase(&self, name: &str, phase: &str) -> Value {
        self.wait(&format!("{name} to be {phase}"), || {
            self.try_pod(name)
                .filter(|pod| pod["status"]["phase"] == phase)
        })
    }

    /// Remembers cgroup and link names of all living sandboxes, for the leak check.
    pub fn learn_names(&self) {
        let mut seen = self.seen.borrow_mut();
        for entry in fs::read_dir(self.run().join("pods"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let Ok(text) = fs::read_to_string(entry.path().join("state.json")) else {
                continue;
            };
            let Ok(state) = serde_json::from_str::<Value>(&text) else {
                continue;
            };
            let text = |pointer: &str| {
                state
                    .pointer(pointer)
                    .and_then(Value::as_str)
                    .map(str::to_owned)
            };
            seen.cgroups.extend(
                find_key(&state, "cgroup")
                    .and_then(|levels| levels[0]["name"].as_str().map(str::to_owned)),
            );
            seen.links.extend(text("/spec/network/bridge/name"));
            seen.links.extend(text("/spec/network/host_interface"));
        }
    }

    /// Pids of one container of a pod, first process first.
    pub fn container_pids(&self, pod: &str, container: &str) -> Vec<u32> {
        let uid = self.pod(pod)["metadata"]["uid"]
            .as_str()
            .expect("a uid")
            .to_owned();
        let needle = format!("/pod{uid}/{container}");
        let mut pids: Vec<u32> = processes()
            .into_iter()
            .filter(|&pid| {
                let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
                cgroup.lines().any(|line| {
                    line.split_once(&needle).is_some_and(|(_, rest)| {
                        rest.is_empty() || !rest.starts_with(|c: char| c.is_alphabetic())
                    })
                })
            })
            .collect();
        pids.sort_unstable();
        pids
    }

    #[track_caller]
    pub fn container_pid(&self, pod: &str, container: &str) -> u32 {
        self.wait(&format!("a process of {pod}/{container}"), || {
            self.container_pids(pod, container).first().copied()
        })
    }

    /// The pause process of a pod.
    #[track_caller]
    pub fn pause_pid(&self, pod: &str) -> u32 {
        self.sandbox_state(pod)["pause_pid"]
            .as_u64()
            .and_then(|pid| u32::try_from(pid).ok())
            .expect("pause runs")
    }

    #[track_caller]
    pub fn shim_pid(&self, pod: &str) -> u32 {
        self.sandbox_state(pod)["shim_pid"]
            .as_u64()
            .and_then(|pid| u32::try_from(pid).ok())
            .expect("a shim runs")
    }

    fn sandbox_state(&self, pod: &str) -> Value {
        let uid = self.pod(pod)["metadata"]["uid"]
            .as_str()
            .expect("a uid")
            .to_owned();
        let path = self.run().join("pods").join(uid).join("state.json");
        let text =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let state: Value = serde_json::from_str(&text).expect("state files are JSON");
        if state.get("pause_pid").is_some() {
            state
        } else {
            state["state"].clone()
        }
    }

    /// Deletes everything at once and checks that nothing is left.
    #[track_caller]
    pub fn delete_all(&self) {
        self.learn_names();
        self.ok(&[
            "delete",
            "pods",
            "--all",
            "-A",
            "--grace-period=0",
            "--force",
        ]);
        self.wait("all pods to be gone", || {
            let left = fs::read_dir(self.run().join("pods")).map_or(0, Iterator::count);
            (left == 0).then_some(())
        });
        if let Some(left) = self.eventually_clean() {
            panic!("left on the machine: {left}");
        }
    }

    /// `None` when nothing of this engine's pods is left, else what is.
    pub fn eventually_clean(&self) -> Option<String> {
        let begin = Instant::now();
        loop {
            let left = self.leftovers();
            if left.is_empty() {
                return None;
            }
            if begin.elapsed() > Duration::from_secs(10) {
                return Some(left.join("\n"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn leftovers(&self) -> Vec<String> {
        let seen = self.seen.borrow();
        let mut left = Vec::new();
        let here = self.path().to_string_lossy().into_owned();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        left.extend(
            mounts
                .lines()
                .filter(|line| line.contains(&here))
                .map(|line| format!("mount {line}")),
        );
        for root in &seen.cgroups {
            for base in cgroup_mounts() {
                if base.join(root).exists() {
                    left.push(format!("cgroup {}", base.join(root).display()));
                }
            }
            for pid in processes() {
                let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
                if cgroup.contains(&format!("/{root}/")) && is_alive(pid) {
                    let command =
                        fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                    left.push(format!("process {pid} {}", command.replace('\0', " ")));
                }
            }
        }
        for link in &seen.links {
            if Path::new("/sys/class/net").join(link).exists() {
                left.push(format!("link {link}"));
            }
        }
        let pods = fs::read_dir(self.state().join("pods"))
            .into_iter()
            .flatten()
            .flatten();
        left.extend(pods.map(|entry| format!("directory {}", entry.path().display())));
        left
    }
}

impl Drop for Podtui {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "{}",
                fs::read_to_string(self.path().join("serve.log")).unwrap_or_default()
            );
            if let Ok(entries) = fs::read_dir(self.state().join("log")) {
                for entry in entries.flatten() {
                    let text = fs::read_to_string(entry.path()).unwrap_or_default();
                    let tail: Vec<&str> = text.lines().rev().take(60).collect();
                    eprintln!("--- {}", entry.path().display());
                    tail.iter().rev().for_each(|line| eprintln!("{line}"));
                }
            }
        }
        self.learn_names();
        if self.run().join("api.sock").exists() {
            self.output(&[
                "delete",
                "pods",
                "--all",
                "-A",
                "--grace-period=0",
                "--force",
            ]);
            self.output(&["engine", "stop", "--stop-pods"]);
        }
        if let Some(mut child) = self.engine.borrow_mut().take() {
            let begin = Instant::now();
            while child.try_wait().is_ok_and(|status| status.is_none()) {
                if begin.elapsed() > Duration::from_secs(15) {
                    let _ = child.kill();
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        let left = self.eventually_clean();
        if !std::thread::panicking() {
            assert!(
                left.is_none(),
                "left on the machine: {}",
                left.unwrap_or_default()
            );
        }
    }
}

fn find_key<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) => map
            .get(key)
            .or_else(|| map.values().find_map(|inner| find_key(inner, key))),
        _ => None,
    }
}

fn cgroup_mounts() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts
        .lines()
        .filter(|line| line.contains(" - cgroup ") || line.contains(" - cgroup2 "))
        .filter_map(|line| line.split(' ').nth(4).map(PathBuf::from))
        .collect()
}

pub fn processes() -> Vec<u32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

pub fn statuses(pod: &Value) -> impl Iterator<Item = &Value> {
    pod["status"]["containerStatuses"]
        .as_array()
        .into_iter()
        .flatten()
}

pub fn status<'a>(pod: &'a Value, container: &str) -> &'a Value {
    statuses(pod)
        .find(|status| status["name"] == container)
        .unwrap_or(&Value::Null)
}

/// Inode of `/proc/PID/ns/NAME`, as the kernel writes it (`net:[4026532000]`).
#[track_caller]
pub fn namespace(pid: u32, name: &str) -> String {
    let path = format!("/proc/{pid}/ns/{name}");
    fs::read_link(&path)
        .unwrap_or_else(|error| panic!("{path}: {error}"))
        .to_string_lossy()
        .into_owned()
}

/// False also for a zombie: who reaps it is a matter of the machine's init when its shim is dead.
pub fn is_alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| !rest.starts_with('Z'))
    })
}

/// SIGKILL by pid, for processes that this test's engine started.
#[track_caller]
pub fn kill(pid: u32) {
    let killed = Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(
        killed.is_ok_and(|status| status.success()),
        "kill -9 {pid} failed"
    );
}
