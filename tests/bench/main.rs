//! `cargo bench`: what podtui costs beside `podman kube play` and beside a C program that makes only the
//! system calls needed (`floor.c`), all in one run on one machine.
//!
//! Nothing here asserts a time: the output is a table of min, p50 and p90 with the ratio to the peer.
//! Peers that are not installed are named and left out. Needs root. Arguments select rows by substring.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test program may panic and speaks to its reader"
)]

mod api;
mod peers;
mod table;

use std::path::Path;
use std::time::{Duration, Instant};

use api::Engine;
use table::Table;

fn main() {
    let filters: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let wanted = |row: &str| {
        filters.is_empty() || filters.iter().any(|filter| row.contains(filter.as_str()))
    };
    let scratch = tempfile::Builder::new()
        .prefix("ptb")
        .tempdir_in("/tmp")
        .expect("a scratch directory");
    let mut table = Table::new();
    let floor = peers::Floor::build(scratch.path());
    let podman = peers::Podman::find(scratch.path());
    let engine = Engine::start(scratch.path());

    // The first pod assembles the toolbox image and warms every cache; it is not measured.
    engine.create(&pod("warm", "warm", 1, SLEEP));
    engine.wait_running(&["warm"]);
    engine.delete_and_wait(&["warm"]);

    if wanted("start") {
        start(&mut table, &engine, floor.as_ref(), podman.as_ref());
    }
    for count in [10usize, 100] {
        if wanted(&format!("many{count}")) {
            many(&mut table, &engine, podman.as_ref(), count);
        }
    }
    if wanted("exec") {
        exec(&mut table, &engine, floor.as_ref(), podman.as_ref());
    }
    if wanted("replace") {
        replace(&mut table, &engine, floor.as_ref());
    }
    for line in [64usize, 1024] {
        if wanted(&format!("logs{line}")) {
            logs(&mut table, &engine, floor.as_ref(), line);
        }
    }
    if wanted("memory") {
        memory(&mut table, &engine);
    }
    if wanted("idle") {
        idle(&mut table, &engine);
    }
    if wanted("calls") {
        calls(&mut table, &engine, scratch.path());
    }
    drop(engine);
    table.print();
}

/// Ends at once on SIGTERM: a process that ignores it would measure the two seconds that Kubernetes grants even
/// with grace 0, not the engine.
const SLEEP: &str = "trap exit TERM; sleep 1000000 & wait";
/// What the shell above needs to have set its trap after its container is reported as running.
const SETTLED: Duration = Duration::from_millis(300);

/// A pod with `containers` containers that all run `script`; grace 0 so that deletion measures the engine.
fn pod(name: &str, label: &str, containers: usize, script: &str) -> serde_json::Value {
    let containers: Vec<serde_json::Value> = (0..containers)
        .map(|index| {
            serde_json::json!({
                "name": format!("c{index}"),
                "image": "localhost/toolbox:latest",
                "imagePullPolicy": "IfNotPresent",
                "command": ["sh", "-c", script],
            })
        })
        .collect();
    serde_json::json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"bench": label}},
        "spec": {"containers": containers, "terminationGracePeriodSeconds": 0},
    })
}

fn start(
    table: &mut Table,
    engine: &Engine,
    floor: Option<&peers::Floor>,
    podman: Option<&peers::Podman>,
) {
    let (mut starts, mut deletes) = (Vec::new(), Vec::new());
    for round in 0..30 {
        let name = format!("start{round}");
        let manifest = pod(&name, "start", 2, SLEEP);
        let mut watch = engine.watch();
        let begin = Instant::now();
        engine.create(&manifest);
        watch.until_running(&[&name]);
        starts.push(begin.elapsed());
        std::thread::sleep(SETTLED);
        let begin = Instant::now();
        engine.delete(&name);
        engine.wait_gone_from_machine(&name, &mut watch);
        deletes.push(begin.elapsed());
    }
    let floor = floor.map(|floor| floor.run(&["pod", floor.rootfs(), "20"]));
    table.row(
        "apply → 2 containers running",
        &starts,
        "floor",
        floor.as_deref(),
    );
    if let Some(podman) = podman {
        let (plays, downs) = podman.play_rounds(5);
        table.row("  the same", &starts, "podman kube play", Some(&plays));
        table.row(
            "delete, grace 0 → all gone",
            &deletes,
            "podman kube down",
            Some(&downs),
        );
    } else {
        table.row("delete, grace 0 → all gone", &deletes, "", None);
    }
}

fn many(table: &mut Table, engine: &Engine, podman: Option<&peers::Podman>, count: usize) {
    let rounds = if count > 10 { 2 } else { 5 };
    let (mut starts, mut deletes) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let names: Vec<String> = (0..count)
            .map(|index| format!("many{round}-{index}"))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut watch = engine.watch();
        let begin = Instant::now();
        for name in &names {
            engine.create(&pod(name, "many", 2, SLEEP));
        }
        watch.until_running(&names);
        starts.push(begin.elapsed());
        std::thread::sleep(SETTLED);
        let begin = Instant::now();
        for name in &names {
            engine.delete(name);
        }
        watch.until_deleted(&names);
        deletes.push(begin.elapsed());
    }
    let peer = podman
        .filter(|_| count <= 10)
        .map(|podman| vec![podman.play_many(count)]);
    table.row(
        &format!("{count} pods x 2 at once, all running"),
        &starts,
        "podman kube play",
        peer.as_deref(),
    );
    table.row(&format!("{count} pods x 2, delete all"), &deletes, "", None);
}

fn exec(
    table: &mut Table,
    engine: &Engine,
    floor: Option<&peers::Floor>,
    podman: Option<&peers::Podman>,
) {
    engine.create(&pod("exec", "exec", 1, SLEEP));
    engine.wait_running(&["exec"]);
    let times: Vec<Duration> = (0..50)
        .map(|_| engine.timed_cli(&["exec", "exec", "--", "true"]))
        .collect();
    engine.delete_and_wait(&["exec"]);
    let floor = floor.map(|floor| floor.run(&["exec", floor.rootfs(), "50"]));
    table.row(
        "exec true (command line)",
        &times,
        "floor",
        floor.as_deref(),
    );
    if let Some(podman) = podman {
        table.row(
            "  the same",
            &times,
            "podman exec",
            Some(&podman.exec_rounds(10)),
        );
    }
}

fn replace(table: &mut Table, engine: &Engine, floor: Option<&peers::Floor>) {
    let mut times = Vec::new();
    // The first restart has no back-off, so every round wants a fresh pod.
    for round in 0..20 {
        let name = format!("replace{round}");
        let mut watch = engine.watch();
        engine.create(&pod(&name, "replace", 1, SLEEP));
        watch.until_running(&[&name]);
        let pid = engine.container_pid(&name);
        let begin = Instant::now();
        api::kill(pid);
        watch.until_restarted(&name);
        times.push(begin.elapsed());
        engine.delete_and_wait(&[&name]);
    }
    let floor = floor.map(|floor| floor.run(&["restart", floor.rootfs(), "20"]));
    table.row(
        "SIGKILL → replacement running",
        &times,
        "floor",
        floor.as_deref(),
    );
}

fn logs(table: &mut Table, engine: &Engine, floor: Option<&peers::Floor>, line: usize) {
    // Whole lines of both lengths, and with its prefixes all of it fits the files that rotation keeps
    // (5 x 10 MiB), so it can be read back whole.
    let bytes = 24_576_000usize;
    let script = format!(
        "yes {} | head -c {bytes}; exec sleep 1000000",
        "x".repeat(line - 1)
    );
    let (mut written, mut read) = (Vec::new(), Vec::new());
    for round in 0..5 {
        let name = format!("logs{line}-{round}");
        engine.create(&pod(&name, "logs", 1, &script));
        written.push(engine.time_until_logged(&name, bytes));
        let (time, got) = engine.timed_logs(&name);
        assert_eq!(
            got, bytes,
            "`podtui logs` returned other bytes than were written"
        );
        read.push(time);
        engine.delete_and_wait(&[&name]);
    }
    let floor = floor.map(|floor| {
        (0..5)
            .flat_map(|_| floor.run(&["log", &line.to_string(), &bytes.to_string()]))
            .collect::<Vec<_>>()
    });
    table.throughput(
        &format!("log {line} B lines, written"),
        bytes,
        &written,
        floor.as_deref(),
    );
    table.throughput(
        &format!("log {line} B lines, read by `logs`"),
        bytes,
        &read,
        None,
    );
}

fn memory(table: &mut Table, engine: &Engine) {
    let names: Vec<String> = (0..20).map(|index| format!("memory{index}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for name in &names {
        engine.create(&pod(name, "memory", 2, SLEEP));
    }
    engine.wait_running(&names);
    let helpers = engine.helper_processes();
    let pss: u64 = helpers.iter().map(|&pid| api::smaps(pid, "Pss:")).sum();
    let rss: u64 = helpers.iter().map(|&pid| api::smaps(pid, "Rss:")).sum();
    table.plain(
        "helper memory per idle 2-container pod",
        &format!(
            "{:.0} KiB PSS, {:.0} KiB RSS ({} processes of 20 pods)",
            pss as f64 / 20.0,
            rss as f64 / 20.0,
            helpers.len()
        ),
    );
    table.plain(
        "engine memory with 20 pods",
        &format!("{} KiB PSS", api::smaps(engine.pid(), "Pss:")),
    );
    engine.delete_and_wait(&names);
}

fn idle(table: &mut Table, engine: &Engine) {
    let names: Vec<String> = (0..20).map(|index| format!("idle{index}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for name in &names {
        engine.create(&pod(name, "idle", 2, SLEEP));
    }
    engine.wait_running(&names);
    std::thread::sleep(Duration::from_secs(3));
    let helpers = engine.helper_processes();
    let engine_only = [engine.pid()];
    let cpu = api::cpu_milliseconds(engine.pid());
    let (engine_before, helpers_before) = (
        api::context_switches(&engine_only),
        api::context_switches(&helpers),
    );
    std::thread::sleep(Duration::from_secs(20));
    table.plain(
        "engine, 20 idle pods, 20 s",
        &format!(
            "{:.2} % of a core, {:.2} wake-ups/s; shims and pauses {:.2} wake-ups/s",
            (api::cpu_milliseconds(engine.pid()) - cpu) as f64 / 200.0,
            api::switches_since(&engine_before, &engine_only) as f64 / 20.0,
            api::switches_since(&helpers_before, &helpers) as f64 / 20.0,
        ),
    );
    if let Some((cpu, first_frame)) = engine.screen_cpu(Duration::from_secs(20)) {
        table.plain(
            "screen, 20 idle pods, 20 s",
            &format!("{cpu:.2} % of a core; first frame after {first_frame:?}"),
        );
    } else {
        println!("screen: tmux is not installed, left out");
    }
    engine.delete_and_wait(&names);
}

fn calls(table: &mut Table, engine: &Engine, scratch: &Path) {
    match engine.count_calls(scratch, || {
        let mut watch = engine.watch();
        engine.create(&pod("calls", "calls", 2, SLEEP));
        watch.until_running(&["calls"]);
    }) {
        Some(counts) => table.plain("system calls of one 2-container pod start", &counts),
        None => println!("calls: strace is not installed, left out"),
    }
    engine.delete_and_wait(&["calls"]);
}
