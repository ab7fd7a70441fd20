//! `cargo bench`: what podtui costs beside `podman kube play` and beside a C program that makes only the
//! system calls needed (`floor.c`), all in one run on one machine.
//!
//! Nothing here asserts a time: the output is the table of README.md. Peers that are not installed are named
//! and left out. Needs root. Arguments select groups of rows by substring: `cargo bench -- start calls`;
//! `cargo bench -- screen` is about the screen (`screen.rs`), beside tmux.
//!
//! Who starts what: one pod is a POST on an open connection against one `podman kube play`; several pods are
//! one `podtui apply -f` of a file with all of them, the start of that command included, against as many
//! `podman kube play` at the same time, which is faster than one of them with all pods.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test program may panic and speaks to its reader"
)]

mod api;
mod cluster;
mod glass;
mod images;
mod peers;
mod screen;
mod still;
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
    if ENGINE_ROWS.iter().any(|row| wanted(row)) {
        engine_rows(&mut table, scratch.path(), &wanted);
    }
    screen::rows(&mut table, scratch.path(), &wanted);
    table.print();
}

const ENGINE_ROWS: [&str; 13] = [
    "start", "many10", "many100", "exec", "replace", "logs64", "logs1024", "memory", "idle",
    "probes", "crowd", "images", "calls",
];

fn engine_rows(table: &mut Table, scratch: &Path, wanted: &dyn Fn(&str) -> bool) {
    let floor = peers::Floor::build(scratch);
    let podman = peers::Podman::find(scratch);
    let engine = Engine::start(scratch);

    // The first pod assembles the toolbox image and warms every cache; it is not measured.
    engine.create(&pod("warm", "warm", 1, SLEEP));
    engine.wait_running(&["warm"]);
    engine.delete_and_wait(&["warm"]);

    if wanted("start") {
        start(table, &engine, floor.as_ref(), podman.as_ref());
    }
    for count in [10usize, 100] {
        if wanted(&format!("many{count}")) {
            many(table, &engine, podman.as_ref(), count);
        }
    }
    if wanted("exec") {
        exec(table, &engine, floor.as_ref(), podman.as_ref());
    }
    if wanted("replace") {
        replace(table, &engine, floor.as_ref());
    }
    for line in [64usize, 1024] {
        if wanted(&format!("logs{line}")) {
            logs(table, &engine, floor.as_ref(), podman.as_ref(), line);
        }
    }
    if wanted("memory") {
        memory(table, &engine);
    }
    if wanted("idle") {
        idle(table, &engine);
    }
    if wanted("probes") {
        probes(table, &engine, floor.as_ref());
    }
    if wanted("crowd") {
        crowd(table, &engine);
    }
    if wanted("images") {
        images::images(table, podman.as_ref(), scratch);
    }
    if wanted("calls") {
        calls(table, &engine, scratch);
    }
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
    let (mut starts, mut deletes, mut floors) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..30 {
        // In turns, so that both meet the same neighbours.
        floors.extend(floor.map(|floor| floor.run(&["pod", floor.rootfs(), "2"])));
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
    let floors = floors.concat();
    let (plays, downs) = podman.map(|podman| podman.play_rounds(5)).unzip();
    table.row(
        "POST of a pod → both its containers running",
        &starts,
        Some(&floors),
        plays.as_deref(),
    );
    table.row(
        "delete with grace 0 → nothing left",
        &deletes,
        None,
        downs.as_deref(),
    );
}

fn many(table: &mut Table, engine: &Engine, podman: Option<&peers::Podman>, count: usize) {
    let rounds = if count > 10 { 3 } else { 10 };
    let (mut starts, mut deletes) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let names: Vec<String> = (0..count)
            .map(|index| format!("many{round}-{index}"))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let pods: Vec<_> = names
            .iter()
            .map(|name| pod(name, "many", 2, SLEEP))
            .collect();
        let manifest = engine.manifest(&pods);
        let mut watch = engine.watch();
        let begin = Instant::now();
        let mut apply = engine.spawn_apply(&manifest);
        watch.until_running(&names);
        starts.push(begin.elapsed());
        let applied = apply.wait().expect("apply ends");
        assert!(applied.success(), "podtui apply: {applied}");
        std::thread::sleep(SETTLED);
        let begin = Instant::now();
        for name in &names {
            engine.delete(name);
        }
        watch.until_deleted(&names);
        deletes.push(begin.elapsed());
        engine.wait_empty();
    }
    let peer = podman
        .filter(|_| count <= 10)
        .map(|podman| vec![podman.play_many(count)]);
    table.row(
        &format!("`apply -f` of {count} pods of 2 containers → all running"),
        &starts,
        None,
        peer.as_deref(),
    );
    table.row(
        &format!("delete of {count} pods with grace 0"),
        &deletes,
        None,
        None,
    );
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
    let peer = podman.map(|podman| podman.exec_rounds(10));
    table.row(
        "`podtui exec` of `true`, whole command",
        &times,
        floor.as_deref(),
        peer.as_deref(),
    );
    let version: Vec<Duration> = (0..50).map(|_| engine.timed_cli(&["--version"])).collect();
    table.row("of that, `podtui --version`", &version, None, None);
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
        "SIGKILL of a container → replacement running",
        &times,
        floor.as_deref(),
        None,
    );
}

fn logs(
    table: &mut Table,
    engine: &Engine,
    floor: Option<&peers::Floor>,
    podman: Option<&peers::Podman>,
    line: usize,
) {
    // Whole lines of both lengths, and with its prefixes all of it fits the files that rotation keeps
    // (5 x 10 MiB), so it can be read back whole.
    let bytes = 24_576_000usize;
    let script = peers::writer(line, bytes);
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
    let peer = podman
        .map(|podman| podman.log_rounds(line, bytes, 2))
        .unzip();
    table.throughput(
        &format!("log written, {line} B lines"),
        bytes,
        &written,
        floor.as_deref(),
        peer.0.as_deref(),
    );
    table.throughput(
        &format!("log read by `logs`, {line} B lines"),
        bytes,
        &read,
        None,
        peer.1.as_deref(),
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
        "shim and pause of an idle pod",
        &format!(
            "{:.0} KiB PSS, {:.0} KiB RSS ({} processes, 20 pods)",
            pss as f64 / 20.0,
            rss as f64 / 20.0,
            helpers.len()
        ),
    );
    table.plain(
        "engine with 20 pods",
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
        "engine with 20 idle pods, over 20 s",
        &format!(
            "{:.2} % of a core, {:.2} wake-ups/s; shims and pauses {:.2} wake-ups/s",
            (api::cpu_milliseconds(engine.pid()) - cpu) as f64 / 200.0,
            api::switches_since(&engine_before, &engine_only) as f64 / 20.0,
            api::switches_since(&helpers_before, &helpers) as f64 / 20.0,
        ),
    );
    if let Some((cpu, first_frame)) = engine.screen_cpu(Duration::from_secs(20)) {
        table.plain(
            "screen with 20 idle pods, over 20 s",
            &format!(
                "{cpu:.2} % of a core; first frame after {} ms",
                first_frame.as_millis()
            ),
        );
    } else {
        println!("screen: tmux is not installed, left out");
    }
    engine.delete_and_wait(&names);
}

/// 100 probes per second, of containers that always answer: 10 pods of 5 containers, liveness and readiness
/// each second; the HTTP server answers with a few bytes, as health checks do. What runs inside the containers, the
/// server and the probed commands, is not counted, but told apart for commands: a process is the shim's until it
/// executes, yet the kernel counts all its life as one.
fn probes(table: &mut Table, engine: &Engine, floor: Option<&peers::Floor>) {
    let tcp =
        serde_json::json!({"tcpSocket": {"port": 8080}, "periodSeconds": 1, "timeoutSeconds": 5});
    let http = serde_json::json!({"httpGet": {"port": 8080, "path": "/hostname"}, "periodSeconds": 1, "timeoutSeconds": 5});
    let exec =
        serde_json::json!({"exec": {"command": ["true"]}, "periodSeconds": 1, "timeoutSeconds": 5});
    for (kind, probe) in [("tcpSocket", tcp), ("httpGet", http), ("exec", exec)] {
        let names: Vec<String> = (0..10).map(|index| format!("probed{index}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for name in &names {
            let mut manifest = pod(name, "probed", 5, SLEEP);
            manifest["spec"]["volumes"] = serde_json::json!([{"name": "b", "hostPath": {"path": "/bin/busybox", "type": "File"}}]);
            let containers = manifest["spec"]["containers"].as_array_mut();
            let containers = containers.expect("the manifest has containers");
            containers[0]["command"] =
                serde_json::json!(["/busybox", "httpd", "-f", "-p", "8080", "-h", "/etc"]);
            containers[0]["volumeMounts"] =
                serde_json::json!([{"name": "b", "mountPath": "/busybox"}]);
            for container in containers {
                container["livenessProbe"] = probe.clone();
                container["readinessProbe"] = probe.clone();
            }
            engine.create(&manifest);
        }
        engine.wait_running(&names);
        std::thread::sleep(Duration::from_secs(5));
        let mut pids = engine.helper_processes();
        pids.push(engine.pid());
        let used = |pids: &[u32]| -> u64 { pids.iter().copied().map(api::cpu_milliseconds).sum() };
        let reaped =
            |pids: &[u32]| -> u64 { pids.iter().copied().map(api::reaped_milliseconds).sum() };
        let (all, own) = (used(&pids), api::cpu_milliseconds(engine.pid()));
        let commands = reaped(&pids);
        std::thread::sleep(Duration::from_secs(20));
        let percent = |milliseconds: u64| milliseconds as f64 / 200.0;
        let all = percent(used(&pids) - all);
        let own = percent(api::cpu_milliseconds(engine.pid()) - own);
        let commands = percent(reaped(&pids) - commands);
        let floor = floor.map(|floor| {
            let pid = engine.container_pids(&names[..1])[0].to_string();
            let times = floor.run(&["probe", kind, &pid, "1000"]);
            // A hundred times so many microseconds in a second, in percent.
            [times[0], times[1]].map(|time| time.as_secs_f64() * 1e4)
        });
        let with = |percent: f64| match kind {
            "exec" => format!(", {percent:.2} % with what is executed"),
            _ => String::new(),
        };
        table.beside_floor(
            &format!("100 {kind} probes per second, 20 s"),
            &format!(
                "{all:.2} % of a core, {own:.2} % of it the engine, the rest the shims{}",
                with(all + commands)
            ),
            &floor.map_or_else(String::new, |[own, all]| format!("{own:.2} %{}", with(all))),
        );
        engine.delete_and_wait(&names);
    }
}

/// How many pods the row `crowd` has; fewer for a try.
const CROWD: &str = "PODTUI_BENCH_CROWD";

/// Pods with probes, hooks and mounted secrets: what they cost while nothing happens, and how long a change of
/// the ConfigMap that all of them mount needs to reach the last of them.
fn crowd(table: &mut Table, engine: &Engine) {
    let count: usize = std::env::var(CROWD).map_or(200, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{CROWD} is a number"))
    });
    let names: Vec<String> = (0..count).map(|index| format!("crowd{index}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let shared = |value: &str| serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shared"}, "data": {"key": value}});
    engine.put("configmaps", "shared", &shared("first"), false);
    for name in &names {
        let secret = serde_json::json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"password": name}});
        engine.put("secrets", name, &secret, false);
        let mut manifest = pod(name, "crowd", 1, SLEEP);
        manifest["spec"]["volumes"] = serde_json::json!([
            {"name": "secret", "secret": {"secretName": name}}, {"name": "shared", "configMap": {"name": "shared"}},
        ]);
        let container = &mut manifest["spec"]["containers"][0];
        container["volumeMounts"] = serde_json::json!([
            {"name": "secret", "mountPath": "/etc/secret"}, {"name": "shared", "mountPath": "/etc/shared"},
        ]);
        // The times are those of a manifest that names none: every ten seconds.
        let check = serde_json::json!({"exec": {"command": ["cat", "/etc/secret/password"]}});
        container["livenessProbe"] = check.clone();
        container["readinessProbe"] = check.clone();
        container["startupProbe"] = check;
        container["lifecycle"] = serde_json::json!({
            "postStart": {"exec": {"command": ["true"]}}, "preStop": {"exec": {"command": ["true"]}},
        });
        engine.create(&manifest);
    }
    engine.wait_running(&names);
    std::thread::sleep(Duration::from_secs(15));
    let mut pids = engine.helper_processes();
    pids.push(engine.pid());
    let used = |pids: &[u32]| -> u64 { pids.iter().copied().map(api::cpu_milliseconds).sum() };
    let (all, own) = (used(&pids), api::cpu_milliseconds(engine.pid()));
    let seconds = 30;
    std::thread::sleep(Duration::from_secs(seconds));
    let percent = |milliseconds: u64| milliseconds as f64 / 10.0 / seconds as f64;
    table.plain(
        &format!("{count} pods with probes, hooks and secrets, {seconds} s"),
        &format!(
            "{:.2} % of a core, {:.2} % of it the engine, the rest the shims",
            percent(used(&pids) - all),
            percent(api::cpu_milliseconds(engine.pid()) - own),
        ),
    );
    let mounts: Vec<String> = engine
        .container_pids(&names)
        .iter()
        .map(|pid| format!("/proc/{pid}/root/etc/shared/key"))
        .collect();
    let mut times = Vec::new();
    for round in 0..5 {
        let value = format!("round {round}");
        let begin = std::time::Instant::now();
        engine.put("configmaps", "shared", &shared(&value), true);
        for mount in &mounts {
            while std::fs::read_to_string(mount).ok().as_deref() != Some(value.as_str()) {
                assert!(
                    begin.elapsed() < Duration::from_secs(60),
                    "{mount} stays old"
                );
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        times.push(begin.elapsed());
        std::thread::sleep(Duration::from_secs(1));
    }
    table.row(
        &format!("change of a ConfigMap in all of {count} mounts"),
        &times,
        None,
        None,
    );
    engine.delete_and_wait(&names);
}

fn calls(table: &mut Table, engine: &Engine, scratch: &Path) {
    match engine.count_calls(scratch, || {
        let mut watch = engine.watch();
        engine.create(&pod("calls", "calls", 2, SLEEP));
        watch.until_running(&["calls"]);
    }) {
        Some(counts) => table.plain("one pod start of 2 containers", &counts),
        None => println!("calls: strace is not installed, left out"),
    }
    engine.delete_and_wait(&["calls"]);
}
