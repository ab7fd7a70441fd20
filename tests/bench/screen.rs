//! What the screen costs: output of a shell in a container beside tmux, a flood of log lines, ten thousand pods.
//!
//! Every program stands behind the same [`Glass`]. Keys are timed from the write into the terminal to the
//! emulator showing what they paint, so the times hold the pseudo terminal, the scheduler and the emulator.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api;
use crate::cluster::Cluster;
use crate::glass::{Glass, Size};
use crate::still;
use crate::table::Table;

const SIZE: Size = Size {
    columns: 110,
    rows: 40,
};
/// As a key repeats that is held down.
const BETWEEN_KEYS: Duration = Duration::from_millis(33);

pub fn rows(table: &mut Table, scratch: &Path, wanted: &dyn Fn(&str) -> bool) {
    if wanted("screen-cat") {
        cat(table, &scratch.join("screen-cat"));
    }
    if wanted("screen-logs") {
        logs(table, &scratch.join("screen-logs"));
    }
    if wanted("screen-pods") {
        pods(table, &scratch.join("screen-pods"));
    }
    if wanted("screen-still") {
        still::rows(table, &scratch.join("screen-still"));
    }
}

/// Directories of their own and the screen that owns their engine.
struct Place {
    root: PathBuf,
}

impl Place {
    fn new(root: &Path) -> Self {
        fs::create_dir_all(root.join("data")).expect("a directory");
        Self {
            root: root.to_owned(),
        }
    }

    fn data(&self, name: &str) -> PathBuf {
        self.root.join("data").join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_podtui"));
        for (flag, name) in [
            ("--state-dir", "state"),
            ("--run-dir", "run"),
            ("--config-dir", "config"),
        ] {
            command.arg(flag).arg(self.root.join(name));
        }
        command.args(arguments).stdin(Stdio::null());
        command
    }

    fn screen(&self) -> Glass {
        let glass_command = self.command(&["--on-exit", "stop"]);
        let mut screen = Glass::open(glass_command, SIZE);
        screen.until("a list", |glass| {
            let list = glass.row(1) + &glass.row(2);
            list.contains("NAME")
                && !list.contains("starting the engine")
                && !list.contains("reading pods")
        });
        screen
    }

    fn apply(&self, manifest: &Value) {
        let mut apply = self
            .command(&["apply", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("podtui starts");
        let mut input = apply.stdin.take().expect("a pipe");
        input
            .write_all(manifest.to_string().as_bytes())
            .expect("podtui reads");
        drop(input);
        assert!(apply.wait().expect("podtui ends").success(), "apply");
    }

    fn delete(&self, pod: &str) {
        let mut delete = self.command(&["delete", "pod", pod, "--grace-period=0"]);
        let deleted = delete.stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(deleted.is_ok_and(|status| status.success()), "delete {pod}");
    }

    /// One container with `data` of this place as `/data`.
    fn pod(&self, name: &str, fields: &Value) -> Value {
        let mut container = json!({
            "name": "main", "image": "localhost/toolbox:latest", "imagePullPolicy": "IfNotPresent",
            "volumeMounts": [{"name": "data", "mountPath": "/data", "readOnly": true}],
        });
        for (key, value) in fields.as_object().expect("fields") {
            container[key] = value.clone();
        }
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [container],
                "volumes": [{"name": "data", "hostPath": {"path": self.root.join("data")}}],
            },
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The stand-in for an engine has no pods and does not stop: to wait for that takes a minute.
        if !self.root.join("run/pods").exists() {
            return;
        }
        // The screen was ended without a word, and its engine with it: the next one takes over what is left and ends it.
        for arguments in [&["get", "pods"][..], &["engine", "stop", "--stop-pods"]] {
            let mut command = self.command(arguments);
            // What cannot be ended is not what is measured.
            let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }
}

fn is_running(glass: &Glass, name: &str) -> bool {
    let mut rows = (0..usize::from(SIZE.rows)).map(|row| glass.row(row));
    rows.any(|row| row.contains(name) && row.contains("1/1") && row.contains("Running"))
}

const BYTES: usize = 100_000_000;
const CAT_ROUNDS: usize = 5;

/// Text as programs write it: lines of different lengths, some of them with colours, a few wide letters.
fn make_text(path: &Path) {
    let mut text = Vec::with_capacity(BYTES + 200);
    let mut number = 0_u32;
    while text.len() < BYTES {
        number += 1;
        let line = match number % 8 {
            0 => format!(
                "\x1b[1;31merror\x1b[0m {number:>8} connection to \x1b[36m10.88.0.{}\x1b[0m refused\n",
                number % 256
            ),
            1 => format!("{number:>8} short\n"),
            2 => format!("{number:>8} grüße 世界 from a place where letters are wide\n"),
            _ => format!(
                "{number:>8} GET /api/v1/items/{} 200 12ms user=somebody agent=curl/8.5.0\n",
                number % 977
            ),
        };
        text.extend_from_slice(line.as_bytes());
    }
    fs::write(path, text).expect("the bytes are written");
}

/// The time until everything a `cat` wrote has been taken in and what follows it is on the screen.
fn timed_cat(glass: &mut Glass, path: &str, round: usize) -> Duration {
    let end = format!("end-{}", 42 + round);
    // The sum is on the screen only when the shell has come to it, not when it was typed.
    glass.press(&format!("cat {path}; echo; echo end-$((42+{round}))\r"));
    glass.until("the end of the output", |glass| glass.text().contains(&end))
}

fn tmux(place: &Place) -> Option<Glass> {
    Command::new("tmux")
        .arg("-V")
        .stdout(Stdio::null())
        .status()
        .ok()?;
    let mut command = Command::new("tmux");
    command.arg("-S").arg(place.root.join("tmux"));
    command.args(["-f", "/dev/null", "new-session", "sh"]);
    let mut glass = Glass::open(command, SIZE);
    glass.until("a status line", |glass| glass.last_row().contains("0:sh"));
    Some(glass)
}

fn end_tmux(place: &Place) {
    let mut kill = Command::new("tmux");
    kill.arg("-S")
        .arg(place.root.join("tmux"))
        .arg("kill-server");
    // Nothing to end where there is no tmux.
    let _ = kill.stderr(Stdio::null()).status();
}

fn cat(table: &mut Table, root: &Path) {
    let place = Place::new(root);
    make_text(&place.data("bytes"));
    let path = place.data("bytes").display().to_string();
    let mut screen = place.screen();
    let shell = json!({"command": ["sh"], "tty": true, "stdin": true});
    place.apply(&place.pod("cat", &shell));
    screen.until("the pod to run", |glass| is_running(glass, "cat"));
    // A shell: who only looks on (attach) must not hold a container up and may miss output.
    screen.press("s");
    screen.until("a terminal", |glass| glass.last_row().contains("TERM"));
    screen.press("\x1dz");
    screen.watch(Duration::from_millis(500));
    let mut peer = tmux(&place);
    let mut bare = Glass::open(Command::new("sh"), SIZE);
    let (mut own, mut others, mut floors) = (Vec::new(), Vec::new(), Vec::new());
    // In turns, so that all meet the same neighbours.
    for round in 0..CAT_ROUNDS {
        own.push(timed_cat(&mut screen, "/data/bytes", round));
        others.extend(peer.as_mut().map(|glass| timed_cat(glass, &path, round)));
        floors.push(timed_cat(&mut bare, &path, round));
    }
    table.screen(
        "`cat` of 100 MB in a shell in a container, until shown",
        &own,
        &others,
        "tmux",
    );
    table.screen(
        "the same, straight into the emulator that measures",
        &floors,
        &[],
        "",
    );

    // What is written must not keep what is typed waiting.
    let forever = |path: &str| format!("while :; do cat {path}; done\r");
    screen.press(&forever("/data/bytes"));
    screen.press("\x1d\t");
    screen.until("the list to have the keys", |glass| {
        glass.last_row().contains("NORMAL")
    });
    screen.press(":");
    screen.until("the palette", |glass| glass.last_row().contains("INPUT"));
    let own = screen.type_keys(300, BETWEEN_KEYS);
    let mut others = Vec::new();
    if let Some(glass) = &mut peer {
        glass.press(&forever(&path));
        // What comes together is a paste to tmux, not keys of its own.
        for key in ["\x02", ":"] {
            glass.watch(Duration::from_millis(300));
            glass.press(key);
        }
        glass.until("the prompt", |glass| glass.last_row().trim_end() == ":");
        others = glass.type_keys(300, BETWEEN_KEYS);
    }
    table.keys(
        "key to paint while a `cat` never ends",
        &own,
        &others,
        "tmux",
    );
    drop(peer);
    end_tmux(&place);
    drop(screen);
}

/// The largest number of a followed line on the screen.
fn newest_line(glass: &Glass) -> usize {
    let text = glass.text();
    let numbers = text.split("line ").skip(1);
    let numbers = numbers.filter_map(|rest| rest.split(' ').next()?.parse().ok());
    numbers.max().unwrap_or(0)
}

/// Lines of one pod: so many that all of them fit the files that rotation keeps.
const LINES: usize = 400_000;
const BATCH: usize = 10_000;
const LOG_ROUNDS: usize = 4;

fn logs(table: &mut Table, root: &Path) {
    let place = Place::new(root);
    // A batch every 40 ms or so: a little more than 200,000 lines per second where the machine keeps up.
    let script = format!(
        "until [ -e /data/$ROUND ]; do sleep 0.02; done; i=0; while [ $i -lt {LINES} ]; do n=$((i+{BATCH})); \
         seq -f 'line %.0f of a program that has a lot to say' $((i+1)) $n; \
         i=$n; sleep 0.035; done; exec sleep 1000000"
    );
    let mut screen = place.screen();
    let (mut keys, mut rates, mut counts) = (Vec::new(), Vec::new(), Vec::new());
    let mut skipped = 0;
    for round in 0..LOG_ROUNDS {
        let name = format!("logs{round}");
        let env = json!([{"name": "ROUND", "value": name}]);
        place.apply(&place.pod(&name, &json!({"command": ["sh", "-c", script], "env": env})));
        screen.until("the pod to run", |glass| is_running(glass, &name));
        screen.until("its log", |glass| glass.text().contains("!START main"));
        screen.press(":");
        screen.until("the palette", |glass| glass.last_row().contains("INPUT"));
        fs::write(place.data(&name), "").expect("the gate opens");
        let begin = Instant::now();
        let last = format!("line {LINES} of");
        let mut has_skipped = false;
        // The choices of the palette hide what is below them.
        while newest_line(&screen) + usize::from(SIZE.rows) < LINES {
            keys.extend(screen.type_keys(20, BETWEEN_KEYS));
            has_skipped |= screen.text().contains("newest only");
            let is_late = begin.elapsed() > Duration::from_secs(120);
            assert!(!is_late, "{}", screen.text());
        }
        rates.push(LINES as f64 / begin.elapsed().as_secs_f64());
        skipped += usize::from(has_skipped);
        // What is not in memory is in the files: scrolling back ends at the first line.
        screen.press("\x1b");
        screen.watch(Duration::from_millis(300));
        screen.press("\t");
        screen.watch(Duration::from_millis(300));
        screen.press("g");
        screen.until("the first line", |glass| glass.text().contains("line 1 of"));
        screen.press("G");
        screen.until("the last line", |glass| glass.text().contains(&last));
        screen.press("\x1b");
        let mut logs = place.command(&["logs", &name]);
        let output = logs.output().expect("podtui starts").stdout;
        counts.push(output.iter().filter(|byte| **byte == b'\n').count());
        place.delete(&name);
        screen.until("it to go", |glass| !glass.text().contains(&name));
    }
    let what = "key to paint while a log is followed at this rate";
    table.keys(what, &keys, &[], "");
    let slowest = rates.iter().copied().fold(f64::INFINITY, f64::min);
    let complete = counts.iter().filter(|count| **count == LINES).count();
    table.words(
        &format!("{LINES} log lines followed, {LOG_ROUNDS} times"),
        &format!(
            "{slowest:.0} lines/s at least; first and last line reached and {LINES} counted {complete} times; \
             `newest only` said {skipped} times",
        ),
    );
}

const PODS: usize = 10_000;

fn pods(table: &mut Table, root: &Path) {
    let memory = |glass: &Glass| {
        let status =
            fs::read_to_string(format!("/proc/{}/status", glass.pid())).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
        (api::smaps(glass.pid(), "Pss:"), peak.unwrap_or(0_u64))
    };
    let base = {
        let place = Place::new(&root.join("none"));
        let _cluster = Cluster::open(&place.root.join("state"), &place.root.join("run"), 0);
        let mut screen = place.screen();
        screen.watch(Duration::from_secs(3));
        memory(&screen)
    };
    let place = Place::new(&root.join("many"));
    let cluster = Cluster::open(&place.root.join("state"), &place.root.join("run"), PODS);
    let begin = Instant::now();
    let mut screen = place.screen();
    screen.until("all pods", |glass| {
        glass.row(0).contains(&format!("pods {PODS}"))
    });
    table.words(
        &format!("{PODS} pods, from launch until they are listed"),
        &format!("{} ms", begin.elapsed().as_millis()),
    );
    screen.watch(Duration::from_secs(5));
    for rate in [0, 2000] {
        cluster.change(rate);
        screen.watch(Duration::from_secs(2));
        let state = match rate {
            0 => "at rest".to_owned(),
            rate => format!("{rate} of them changing per second"),
        };
        let [moves, sorts, filters] = pod_keys(&mut screen);
        table.keys(&format!("{PODS} pods {state}: moving"), &moves, &[], "");
        table.keys(&format!("{PODS} pods {state}: sorting"), &sorts, &[], "");
        table.keys(
            &format!("{PODS} pods {state}: filtering"),
            &filters,
            &[],
            "",
        );
        let cpu = api::cpu_milliseconds(screen.pid());
        screen.watch(Duration::from_secs(10));
        let used = (api::cpu_milliseconds(screen.pid()) - cpu) as f64 / 100.0;
        table.words(
            &format!("{PODS} pods {state}: the screen alone"),
            &format!("{used:.1} % of a core"),
        );
    }
    let full = memory(&screen);
    table.words(
        &format!("{PODS} pods: memory above an empty screen"),
        &format!(
            "{:.1} MB PSS ({:.1} MB empty), {:.1} MB at most",
            (full.0 - base.0) as f64 / 1024.0,
            base.0 as f64 / 1024.0,
            full.1.saturating_sub(base.1) as f64 / 1024.0
        ),
    );
}

fn selected_row(glass: &Glass) -> String {
    let mut rows = (0..usize::from(SIZE.rows)).map(|row| glass.row(row));
    rows.find(|row| row.starts_with('▶')).unwrap_or_default()
}

/// Times of moving, of sorting, and of typing and clearing a filter.
fn pod_keys(screen: &mut Glass) -> [Vec<Duration>; 3] {
    let mut times = [const { Vec::new() }; 3];
    let name = |glass: &Glass| selected_row(glass).split(' ').next().map(str::to_owned);
    for key in ["j"; 200]
        .into_iter()
        .chain(["G", "g", "\x04", "\x04", "\x15", "G", "k", "k", "g"])
    {
        let before = name(screen);
        times[0].push(screen.key(key, |glass| name(glass) != before));
        screen.watch(BETWEEN_KEYS);
    }
    for key in ["C", "C", "M", "R", "S", "A", "N", "N", "N"].repeat(20) {
        let heading = screen.row(1);
        times[1].push(screen.key(key, |glass| glass.row(1) != heading));
        screen.watch(BETWEEN_KEYS);
    }
    for filter in [
        "service-07",
        "-lapp=service-07",
        "!service-1",
        "~sv99",
        "/-0[0-9]{3}9/",
        "!crash",
    ] {
        screen.key("/", |glass| glass.last_row().contains("INPUT"));
        for length in 1..=filter.len() {
            let typed = &filter[..length];
            // The heading says what is filtered and how many are left.
            let shown = format!("/{typed} (");
            let is_painted = |glass: &Glass| {
                let heading = glass.row(1);
                glass.last_row().contains(typed)
                    && (heading.contains(&shown) || heading.contains("filter:"))
            };
            times[2].push(screen.key(&filter[length - 1..length], is_painted));
            screen.watch(BETWEEN_KEYS);
        }
        screen.press("\r");
        screen.watch(BETWEEN_KEYS);
        times[2].push(screen.key("\x1b", |glass| !glass.row(1).contains(" (")));
        screen.watch(Duration::from_millis(100));
    }
    times
}
