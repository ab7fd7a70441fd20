//! An engine of its own directories and a minimal Kubernetes API client over its socket: what is timed is
//! the engine, not a client library.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(120);
const PODS: &str = "/api/v1/namespaces/default/pods";

pub struct Engine {
    child: Child,
    state: PathBuf,
    run: PathBuf,
    connection: RefCell<Connection>,
}

/// The engine closes connections that are silent for 30 s, and some peers take longer than that.
struct Connection {
    stream: BufReader<UnixStream>,
    used: Instant,
}

const FRESH: Duration = Duration::from_secs(20);

impl Engine {
    pub fn start(scratch: &Path) -> Self {
        // The default is 110, less than some rows have.
        Self::start_with(scratch, "[node]\nmax_pods = 1000\n")
    }

    pub fn start_with(scratch: &Path, configuration: &str) -> Self {
        let (state, run) = (scratch.join("state"), scratch.join("run"));
        let config = scratch.join("config");
        fs::create_dir(&config).expect("a directory");
        fs::write(config.join("config.toml"), configuration).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_podtui"));
        command
            .arg("serve")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command.env("PODTUI_CONFIG_DIR", &config);
        directories(&mut command, &state, &run);
        let child = command.spawn().expect("the engine starts");
        let socket = run.join("api.sock");
        let begin = Instant::now();
        let stream = loop {
            match UnixStream::connect(&socket) {
                Ok(stream) => break stream,
                Err(error) => assert!(begin.elapsed() < PATIENCE, "{}: {error}", socket.display()),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        Self {
            child,
            state,
            run,
            connection: RefCell::new(Connection {
                stream: BufReader::new(stream),
                used: Instant::now(),
            }),
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn cli(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_podtui"));
        directories(&mut command, &self.state, &self.run);
        command.stdin(Stdio::null());
        command
    }

    /// A screen of this engine, which goes on without it.
    pub fn screen(&self) -> Command {
        let mut command = self.cli();
        command.args(["--on-exit", "keep"]);
        command
    }

    fn request(&self, method: &str, path: &str, body: &str) -> Value {
        let mut connection = self.connection.borrow_mut();
        if connection.used.elapsed() > FRESH {
            let stream =
                UnixStream::connect(self.run.join("api.sock")).expect("the socket answers");
            connection.stream = BufReader::new(stream);
        }
        connection.used = Instant::now();
        let stream = &mut connection.stream;
        write_request(stream.get_mut(), method, path, body);
        let (code, length) = read_head(stream);
        let mut answer = vec![0; length.expect("answers carry their length")];
        stream.read_exact(&mut answer).expect("the whole answer");
        let value: Value = serde_json::from_slice(&answer).expect("answers are JSON");
        assert!(code < 400, "{method} {path}: HTTP {code}: {value}");
        value
    }

    pub fn create(&self, manifest: &Value) {
        self.request("POST", PODS, &manifest.to_string());
    }

    /// Creates an object of the default namespace, or replaces the one of this name.
    pub fn put(&self, plural: &str, name: &str, object: &Value, replaces: bool) {
        let collection = format!("/api/v1/namespaces/default/{plural}");
        let (method, path) = if replaces {
            ("PUT", format!("{collection}/{name}"))
        } else {
            ("POST", collection)
        };
        self.request(method, &path, &object.to_string());
    }

    /// Pid of a process of each of these pods that are not pauses, by pod.
    pub fn container_pids(&self, names: &[&str]) -> Vec<u32> {
        let uids: Vec<String> = names
            .iter()
            .map(|name| {
                let pod = self.get(name);
                let uid = pod["metadata"]["uid"].as_str().expect("a uid");
                format!("pod{uid}/")
            })
            .collect();
        let mut found = vec![None; names.len()];
        for pid in processes() {
            let group = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
            let Some(index) = uids.iter().position(|uid| group.contains(uid)) else {
                continue;
            };
            let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if !command.starts_with(b"/pause") {
                found[index].get_or_insert(pid);
            }
        }
        let found = found.into_iter().map(|pid| pid.expect("a process"));
        found.collect()
    }

    /// A file with these objects, one document each.
    pub fn manifest(&self, objects: &[Value]) -> PathBuf {
        let path = self.state.with_file_name("manifest.yaml");
        let documents: Vec<String> = objects.iter().map(Value::to_string).collect();
        fs::write(&path, documents.join("\n---\n")).expect("a manifest");
        path
    }

    pub fn spawn_apply(&self, manifest: &Path) -> Child {
        self.cli()
            .arg("apply")
            .arg("-f")
            .arg(manifest)
            .stdout(Stdio::null())
            .spawn()
            .expect("podtui starts")
    }

    pub fn delete(&self, name: &str) {
        self.request(
            "DELETE",
            &format!("{PODS}/{name}"),
            r#"{"gracePeriodSeconds":0}"#,
        );
    }

    fn get(&self, name: &str) -> Value {
        self.request("GET", &format!("{PODS}/{name}"), "")
    }

    /// A watch over all pods that starts now.
    pub fn watch(&self) -> Watch {
        let list = self.request("GET", PODS, "");
        let version = list["metadata"]["resourceVersion"]
            .as_str()
            .expect("lists carry a version")
            .to_owned();
        let mut stream =
            UnixStream::connect(self.run.join("api.sock")).expect("the socket answers");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a timeout can be set");
        write_request(
            &mut stream,
            "GET",
            &format!("{PODS}?watch=true&resourceVersion={version}"),
            "",
        );
        let mut stream = BufReader::new(stream);
        let (code, _) = read_head(&mut stream);
        assert_eq!(code, 200, "the watch is accepted");
        Watch {
            stream,
            line: Vec::new(),
        }
    }

    pub fn wait_running(&self, names: &[&str]) {
        let begin = Instant::now();
        while !names.iter().all(|name| all_running(&self.get(name))) {
            assert!(
                begin.elapsed() < PATIENCE,
                "not running: {names:?}: {}",
                self.get(names[0])
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn delete_and_wait(&self, names: &[&str]) {
        let mut watch = self.watch();
        for name in names {
            self.delete(name);
        }
        watch.until_deleted(names);
        self.wait_empty();
    }

    /// Nothing of any pod is left in the run directory.
    pub fn wait_empty(&self) {
        let begin = Instant::now();
        while self.pod_directories() > 0 {
            assert!(begin.elapsed() < PATIENCE, "left in {}", self.run.display());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn pod_directories(&self) -> usize {
        fs::read_dir(self.run.join("pods")).map_or(0, Iterator::count)
    }

    /// Deleted from the API and nothing left of it in the run directory (no shim, no sandbox).
    pub fn wait_gone_from_machine(&self, name: &str, watch: &mut Watch) {
        watch.until_deleted(&[name]);
        let begin = Instant::now();
        while self.pod_directories() > 0 {
            assert!(
                begin.elapsed() < PATIENCE,
                "{name} left something in {}",
                self.run.display()
            );
            std::thread::yield_now();
        }
    }

    pub fn timed_cli(&self, arguments: &[&str]) -> Duration {
        let mut command = self.cli();
        command.args(arguments).stdout(Stdio::null());
        let begin = Instant::now();
        let status = command.status().expect("podtui starts");
        let time = begin.elapsed();
        assert!(status.success(), "podtui {arguments:?}: {status}");
        time
    }

    /// Reads the whole log through the command line; the time and the bytes it gave.
    pub fn timed_logs(&self, name: &str) -> (Duration, usize) {
        timed_output(self.cli().args(["logs", name]))
    }

    /// From the first byte in the log to the last.
    pub fn time_until_logged(&self, name: &str, bytes: usize) -> Duration {
        let directory = loop {
            let found = fs::read_dir(self.state.join("logs/pods"))
                .ok()
                .and_then(|entries| {
                    entries.flatten().find(|entry| {
                        entry
                            .file_name()
                            .to_string_lossy()
                            .contains(&format!("_{name}_"))
                    })
                });
            if let Some(entry) = found {
                break entry.path().join("c0");
            }
            std::thread::yield_now();
        };
        time_until_grown(name, bytes, || {
            let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
            entries
                .filter_map(|entry| entry.metadata().ok())
                .map(|metadata| metadata.len())
                .sum()
        })
    }

    /// Pid of the first process of the pod's only container, found as its cgroup leaf says.
    pub fn container_pid(&self, name: &str) -> u32 {
        let uid = self.get(name)["metadata"]["uid"]
            .as_str()
            .expect("a uid")
            .to_owned();
        let needle = format!("pod{uid}/");
        processes()
            .into_iter()
            .find(|&pid| {
                let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
                let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                cgroup.contains(&needle) && !command.starts_with(b"/pause")
            })
            .expect("the container has a process")
    }

    /// The shims and pauses of this engine, and the template that its shims are forked from.
    pub fn helper_processes(&self) -> Vec<u32> {
        let mut found: Vec<u32> = processes()
            .into_iter()
            .filter(|&pid| parent(pid) == Some(self.pid()))
            .collect();
        for entry in fs::read_dir(self.run.join("pods"))
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
            let pids = ["shim_pid", "pause_pid"]
                .into_iter()
                .filter_map(|key| state[key].as_u64());
            found.extend(pids.filter_map(|pid| u32::try_from(pid).ok()));
        }
        let spawners: Vec<u32> = processes()
            .into_iter()
            .filter(|&pid| parent(pid).is_some_and(|parent| found.contains(&parent)))
            .filter(|pid| {
                let name = fs::read_to_string(format!("/proc/{pid}/comm"));
                name.is_ok_and(|name| name.trim() == "podtui-spawner")
            })
            .collect();
        found.extend(spawners);
        found
    }

    /// CPU of `podtui` on a tmux screen of 80x24, in percent of a core, and the time to its first frame.
    pub fn screen_cpu(&self, time: Duration) -> Option<(f64, Duration)> {
        let socket = self.run.join("tmux");
        let tmux = |arguments: &[&str]| {
            let mut command = Command::new("tmux");
            command
                .arg("-S")
                .arg(&socket)
                .args(arguments)
                .stderr(Stdio::null());
            command
                .output()
                .ok()
                .filter(|output| output.status.success())
        };
        let line = format!(
            "exec {} --on-exit keep --state-dir {} --run-dir {}",
            env!("CARGO_BIN_EXE_podtui"),
            self.state.display(),
            self.run.display()
        );
        let begin = Instant::now();
        tmux(&["new-session", "-d", "-x", "80", "-y", "24", &line])?;
        let first_frame = loop {
            let text = tmux(&["capture-pane", "-p"])?.stdout;
            if text.windows(5).any(|window| window == b"READY") {
                break begin.elapsed();
            }
            assert!(begin.elapsed() < PATIENCE, "the screen stays empty");
        };
        std::thread::sleep(Duration::from_secs(4));
        let pid: u32 = String::from_utf8_lossy(&tmux(&["list-panes", "-F", "#{pane_pid}"])?.stdout)
            .trim()
            .parse()
            .ok()?;
        let before = cpu_milliseconds(pid);
        std::thread::sleep(time);
        let used = cpu_milliseconds(pid) - before;
        tmux(&["kill-server"]);
        Some((used as f64 / 10.0 / time.as_secs_f64(), first_frame))
    }

    /// Counts system calls of the engine, its helpers and the containers while `work` runs.
    pub fn count_calls(&self, scratch: &Path, work: impl FnOnce()) -> Option<String> {
        let log = scratch.join("strace");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-s", "0"]);
        strace
            .arg("-o")
            .arg(&log)
            .arg("-p")
            .arg(self.pid().to_string());
        for pid in self.helper_processes() {
            strace.arg("-p").arg(pid.to_string());
        }
        let mut tracer = strace.stderr(Stdio::null()).spawn().ok()?;
        std::thread::sleep(Duration::from_millis(800));
        work();
        std::thread::sleep(Duration::from_millis(300));
        // strace detaches and flushes on SIGINT.
        let _ = Command::new("kill")
            .args(["-INT", &tracer.id().to_string()])
            .status();
        let _ = tracer.wait();
        let text = fs::read_to_string(&log).ok()?;
        // "<pid> name(" begins a call, "<pid> <... name resumed>" only ends it.
        let calls: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split_once(' ')?.1.trim_start().split_once('('))
            .map(|(name, _)| name)
            .filter(|name| {
                name.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            })
            .collect();
        let count = |names: &[&str]| calls.iter().filter(|name| names.contains(name)).count();
        Some(format!(
            "{} execve, {} fsync, {} openat, {} system calls (engine, shim, containers)",
            count(&["execve", "execveat"]),
            count(&["fsync", "fdatasync"]),
            count(&["openat", "openat2"]),
            calls.len(),
        ))
    }
}

/// From the first byte of a log to the last.
pub fn time_until_grown(name: &str, bytes: usize, size: impl Fn() -> u64) -> Duration {
    let patience = Instant::now();
    while size() == 0 {
        assert!(patience.elapsed() < PATIENCE, "{name} logs nothing");
    }
    let begin = Instant::now();
    // Every line carries a prefix, so the files end larger than the text; stop when they stop growing.
    let mut last = (size(), Instant::now());
    loop {
        let now = size();
        if now != last.0 {
            last = (now, Instant::now());
        } else if now >= bytes as u64 && last.1.elapsed() > Duration::from_millis(100) {
            return last.1 - begin;
        }
        assert!(
            patience.elapsed() < PATIENCE,
            "{name} stopped at {now} bytes"
        );
    }
}

/// Runs a command to its end; the time and the bytes it wrote to its standard output.
pub fn timed_output(command: &mut Command) -> (Duration, usize) {
    let begin = Instant::now();
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut output = child.stdout.take().expect("a pipe");
    let (mut buffer, mut got) = (vec![0; 1 << 20], 0);
    loop {
        match output.read(&mut buffer).expect("the pipe can be read") {
            0 => break,
            count => got += count,
        }
    }
    let time = begin.elapsed();
    let status = child.wait().expect("the command ends");
    assert!(status.success(), "{command:?}: {status}");
    (time, got)
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.cli().args(["engine", "stop", "--stop-pods"]).status();
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(20) {
            if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
    }
}

/// A line-by-line reader of watch events.
pub struct Watch {
    stream: BufReader<UnixStream>,
    line: Vec<u8>,
}

impl Watch {
    fn next(&mut self) -> Value {
        loop {
            self.line.clear();
            self.stream
                .read_until(b'\n', &mut self.line)
                .expect("the watch goes on");
            assert!(!self.line.is_empty(), "the watch was closed");
            // Chunk sizes stand on lines of their own; every event is one JSON object on one line.
            if self.line.starts_with(b"{") {
                return serde_json::from_slice(&self.line).expect("events are JSON");
            }
        }
    }

    fn until(&mut self, names: &[&str], reached: impl Fn(&Value) -> bool) {
        let mut left: Vec<&str> = names.to_vec();
        while !left.is_empty() {
            let event = self.next();
            if reached(&event) {
                left.retain(|name| event["object"]["metadata"]["name"] != **name);
            }
        }
    }

    pub fn until_running(&mut self, names: &[&str]) {
        self.until(names, |event| all_running(&event["object"]));
    }

    pub fn until_deleted(&mut self, names: &[&str]) {
        self.until(names, |event| event["type"] == "DELETED");
    }

    pub fn until_restarted(&mut self, name: &str) {
        self.until(&[name], |event| {
            let status = &event["object"]["status"]["containerStatuses"][0];
            status["restartCount"] == 1 && status["state"]["running"].is_object()
        });
    }
}

fn all_running(pod: &Value) -> bool {
    let wanted = pod["spec"]["containers"].as_array().map_or(0, Vec::len);
    let running = pod["status"]["containerStatuses"]
        .as_array()
        .map_or(0, |statuses| {
            statuses
                .iter()
                .filter(|status| status["state"]["running"].is_object())
                .count()
        });
    wanted > 0 && wanted == running
}

fn directories(command: &mut Command, state: &Path, run: &Path) {
    command
        .arg("--state-dir")
        .arg(state)
        .arg("--run-dir")
        .arg(run)
        // Not the user's own, which may say anything.
        .arg("--config-dir")
        .arg(state.with_file_name("config"));
}

fn write_request(stream: &mut UnixStream, method: &str, path: &str, body: &str) {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: podtui\r\nAccept: application/json\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream
        .write_all(request.as_bytes())
        .expect("the engine reads requests");
}

fn read_head(stream: &mut BufReader<UnixStream>) -> (u16, Option<usize>) {
    let (mut code, mut length, mut line) = (0, None, String::new());
    loop {
        line.clear();
        assert!(
            stream.read_line(&mut line).expect("an answer") > 0,
            "the engine closed the connection"
        );
        let text = line.trim_end().to_ascii_lowercase();
        if let Some(status) = text.strip_prefix("http/1.1 ") {
            code = status[..3].parse().expect("a status code");
        } else if let Some(value) = text.strip_prefix("content-length:") {
            length = value.trim().parse().ok();
        } else if text.is_empty() {
            return (code, length);
        }
    }
}

pub fn kill(pid: u32) {
    let killed = Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(
        killed.is_ok_and(|status| status.success()),
        "kill -9 {pid} failed"
    );
}

fn processes() -> Vec<u32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

fn stat_field(pid: u32, index: usize) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command in parentheses may hold blanks; field 3 of proc_pid_stat(5) follows the last one.
    stat.rsplit_once(") ")?
        .1
        .split(' ')
        .nth(index - 3)?
        .parse()
        .ok()
}

fn parent(pid: u32) -> Option<u32> {
    stat_field(pid, 4).and_then(|pid| u32::try_from(pid).ok())
}

/// User and system time so far; ticks are 10 ms on Linux (USER_HZ 100).
pub fn cpu_milliseconds(pid: u32) -> u64 {
    (stat_field(pid, 14).unwrap_or(0) + stat_field(pid, 15).unwrap_or(0)) * 10
}

/// The same of its children that have ended and were waited for.
pub fn reaped_milliseconds(pid: u32) -> u64 {
    (stat_field(pid, 16).unwrap_or(0) + stat_field(pid, 17).unwrap_or(0)) * 10
}

/// Voluntary switches by thread: how often each went to sleep again after waking. Threads come and go, so two
/// readings are compared thread by thread.
pub fn context_switches(pids: &[u32]) -> HashMap<PathBuf, u64> {
    pids.iter()
        .flat_map(|pid| {
            fs::read_dir(format!("/proc/{pid}/task"))
                .into_iter()
                .flatten()
                .flatten()
        })
        .filter_map(|thread| {
            let status = fs::read_to_string(thread.path().join("status")).ok()?;
            let count = status
                .lines()
                .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
            Some((thread.path(), count.trim().parse().ok()?))
        })
        .collect()
}

/// Switches of the threads of `pids` since `before`.
pub fn switches_since(before: &HashMap<PathBuf, u64>, pids: &[u32]) -> u64 {
    let now = context_switches(pids);
    now.iter()
        .map(|(thread, count)| count.saturating_sub(before.get(thread).copied().unwrap_or(0)))
        .sum()
}

/// One sum of smaps_rollup, in KiB.
pub fn smaps(pid: u32, field: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    text.lines()
        .find_map(|line| {
            line.strip_prefix(field)?
                .trim()
                .strip_suffix(" kB")?
                .trim()
                .parse()
                .ok()
        })
        .unwrap_or(0)
}
