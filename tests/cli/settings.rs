//! The configuration, and what an engine takes over from whoever starts it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Output};

use crate::support::Podtui;

fn configure(podtui: &Podtui, file: &str, text: &str) {
    let path = podtui.path().join("config").join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn text(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    format!("{out}{}", String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_mistake_in_the_configuration_stops_only_engines_from_starting() {
    let podtui = Podtui::idle();
    configure(&podtui, "config.toml", "[images]\ngc_low_threshold = 99\n");
    let place =
        "config/config.toml:2:1: images.gc_low_threshold is 99: it must be below gc_high_threshold";
    let refused = podtui.refused(&["get", "pods"]);
    assert!(refused.contains(place), "{refused}");
    assert!(refused.contains("none can be started"), "{refused}");
    assert!(podtui.refused(&["serve"]).contains(place));
    let asked = podtui.refused(&["engine", "status"]);
    assert!(
        asked.contains("no engine is running") && asked.contains(place),
        "{asked}"
    );
    podtui.ok(&["version"]);
    podtui.ok(&["completion", "bash"]);
    podtui.ok(&["explain", "pod"]);
    let doctor = podtui.output(&["doctor"]);
    assert!(!doctor.status.success());
    let doctor = text(&doctor);
    assert!(
        doctor.contains(place) && doctor.contains("overlayfs"),
        "{doctor}"
    );

    // With an engine that runs everything works, and the mistake is told.
    configure(&podtui, "config.toml", "");
    podtui.serve();
    configure(&podtui, "config.toml", "run_dir = \"/nonsense\"\n[images\n");
    let listed = podtui.output(&["get", "pods"]);
    assert!(listed.status.success(), "{}", text(&listed));
    let listed = text(&listed);
    assert!(
        listed.contains("Warning: ") && listed.contains("config.toml:2:"),
        "{listed}"
    );
    assert!(podtui.ok(&["engine", "stop"]).contains("engine stopped"));
}

#[test]
fn doctor_tells_mistakes_of_the_screen() {
    let podtui = Podtui::idle();
    configure(&podtui, "keys.toml", "[list]\ndelte = \"x\"\n");
    configure(&podtui, "themes/mine.toml", "a = 1\nb\n");
    configure(&podtui, "config.toml", "[screen]\ntheme = \"none\"\n");
    let doctor = text(&podtui.output(&["doctor"]));
    for part in [
        "config/keys.toml:2:1: there is no command \"delte\"",
        "config/themes/mine.toml:2:2:",
        "config/config.toml: [screen] theme: there is no theme \"none\"",
    ] {
        assert!(doctor.contains(part), "{part} is missing in:\n{doctor}");
    }
}

/// A command with this umask and a secret in its environment starts the engine.
fn start_with_umask(podtui: &Podtui, umask: &str) {
    let command = podtui.command(&["get", "pods"]);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "umask $0; exec \"$@\"", umask])
        .arg(command.get_program())
        .args(command.get_args())
        .env("MY_SECRET", "hunter2")
        .env("no_proxy", "localhost");
    for (name, value) in command.get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn an_engine_does_not_depend_on_who_starts_it() {
    for umask in ["0777", "0077", "0"] {
        let podtui = Podtui::idle();
        start_with_umask(&podtui, umask);
        let mode = |path: &str| fs::metadata(podtui.path().join(path)).unwrap().mode() & 0o7777;
        for private in ["run", "state", "state/objects", "state/log"] {
            assert_eq!(mode(private), 0o700, "{private} under umask {umask}");
        }
        let status = podtui.ok(&["engine", "status"]);
        let pid = status
            .lines()
            .find_map(|line| line.strip_prefix("PID:"))
            .unwrap();
        let process = fs::read_to_string(format!("/proc/{}/status", pid.trim())).unwrap();
        assert!(process.contains("Umask:\t0022"), "{process}");
        let environment = fs::read(format!("/proc/{}/environ", pid.trim())).unwrap();
        let environment = String::from_utf8_lossy(&environment).replace('\0', "\n");
        assert!(environment.contains("PATH=") && environment.contains("no_proxy=localhost"));
        assert!(!environment.contains("hunter2"), "{environment}");
        podtui.ok(&["engine", "stop"]);
    }
}
