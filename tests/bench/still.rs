//! What a screen costs while nothing happens and how soon it shows something, beside its peers with as many containers.
//!
//! The engine, as the service of podman, is a process of its own: what is measured is what looks on.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::api::{self, Engine};
use crate::glass::{Glass, Size};
use crate::peers::{self, Podman};
use crate::table::{Table, milliseconds, spread};
use crate::{SLEEP, pod};

const SIZE: Size = Size {
    columns: 110,
    rows: 40,
};
const CONTAINERS: usize = 20;
/// What their names begin with; not everyone has room for all of them.
const NAME: &str = "still";
const LAUNCHES: usize = 10;
const SETTLED: Duration = Duration::from_secs(5);
const STILL: Duration = Duration::from_secs(20);

pub fn rows(table: &mut Table, scratch: &Path) {
    std::fs::create_dir_all(scratch).expect("a directory");
    let names: Vec<String> = (0..CONTAINERS)
        .map(|index| format!("{NAME}{index}"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    {
        let engine = Engine::start(scratch);
        for name in &names {
            engine.create(&pod(name, NAME, 1, SLEEP));
        }
        engine.wait_running(&names);
        let text = observe(&|| engine.screen(), NAME);
        table.words(&format!("podtui, {CONTAINERS} pods running"), &text);
        engine.delete_and_wait(&names);
    }
    let programs = ["oxker", "lazydocker"].map(|program| (program, peers::is_installed(program)));
    for (program, _) in programs.iter().filter(|(_, is_installed)| !is_installed) {
        println!("{program}: not installed; no figure");
    }
    println!("k9s: wants a whole cluster to look at; no figure");
    if programs.iter().all(|(_, is_installed)| !is_installed) {
        return;
    }
    let _floor = peers::Floor::build(scratch);
    let Some(podman) = Podman::find(scratch) else {
        return;
    };
    let Some(service) = podman.serve(&names) else {
        println!("podman: its service does not answer; no figures of peers");
        return;
    };
    for (program, _) in programs.iter().filter(|(_, is_installed)| *is_installed) {
        let command = || {
            // lazydocker opens /dev/tty, so the terminal has to be its own; setsid becomes the program.
            let mut command = Command::new("setsid");
            command.args(["--ctty", program]);
            command.env("DOCKER_HOST", service.address());
            // Files of their own do not become those of the user.
            command.env("HOME", scratch).env("XDG_CONFIG_HOME", scratch);
            command
        };
        let text = observe(&command, NAME);
        table.words(
            &format!("{program}, {CONTAINERS} containers of podman"),
            &text,
        );
    }
}

/// Launches it some times until it shows something and until it shows containers, and then looks on.
fn observe(command: &dyn Fn() -> Command, name: &str) -> String {
    let (mut first, mut listed) = (Vec::new(), Vec::new());
    let mut launch = || {
        let begin = Instant::now();
        let mut glass = Glass::open(command(), SIZE);
        glass.until("anything", |glass| !glass.text().trim().is_empty());
        first.push(begin.elapsed());
        glass.until("its list", |glass| glass.text().contains(name));
        listed.push(begin.elapsed());
        glass
    };
    for _ in 1..LAUNCHES {
        launch();
    }
    let mut glass = launch();
    glass.watch(SETTLED);
    let cpu = api::cpu_milliseconds(glass.pid());
    let draws = glass.watch_draws(STILL);
    let cpu = (api::cpu_milliseconds(glass.pid()) - cpu) as f64 / 10.0 / STILL.as_secs_f64();
    let [_, first, first_p90] = spread(&first).map(milliseconds);
    let [_, listed, listed_p90] = spread(&listed).map(milliseconds);
    format!(
        "first frame {first} / {first_p90} ms p50 / p90, list {listed} / {listed_p90} ms (n = {LAUNCHES}); \
         {} s untouched: {cpu:.2} % of a core, {} draws, {} of them changed nothing, {} bytes; {:.1} MB PSS",
        STILL.as_secs(),
        draws.all,
        draws.of_nothing,
        draws.bytes,
        api::smaps(glass.pid(), "Pss:") as f64 / 1024.0,
    )
}
