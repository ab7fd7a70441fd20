//! However the screen ends, the terminal is a terminal again.

use std::process::Command;
use std::time::{Duration, Instant};

use super::support::{self, PATIENCE, Podtui};
use super::{SAMPLE, Terminal};

/// What is run in the terminal, found from outside as a child of its shell.
fn screen_pid(terminal: &Terminal<'_>) -> String {
    let shell = terminal.tmux(&["display-message", "-p", "#{pane_pid}"]);
    let output = Command::new("pgrep")
        .args(["-P", shell.trim(), "podtui"])
        .output()
        .expect("pgrep runs");
    let pid = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert!(!pid.is_empty(), "no screen below the shell {shell}");
    pid
}

fn watchers(screen: &str) -> usize {
    let output = Command::new("pgrep")
        .args(["-P", screen, "-f", "__watch"])
        .output();
    let output = output.expect("pgrep runs");
    String::from_utf8_lossy(&output.stdout).lines().count()
}

#[track_caller]
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn stty(terminal: &Terminal<'_>) -> String {
    let tty = terminal.tmux(&["display-message", "-p", "#{pane_tty}"]);
    let output = Command::new("stty").args(["-a", "-F", tty.trim()]).output();
    String::from_utf8_lossy(&output.expect("stty runs").stdout).into_owned()
}

fn is_sane(terminal: &Terminal<'_>) -> bool {
    let modes = stty(terminal);
    let words: Vec<&str> = modes.split([' ', ';', '\n']).collect();
    ["icanon", "echo", "isig", "opost", "icrnl"]
        .iter()
        .all(|mode| words.contains(mode))
        && terminal.modes() == "0 1"
        && terminal
            .tmux(&["display-message", "-p", "#{mouse_any_flag}"])
            .trim()
            == "0"
}

/// The screen of a served engine with one pod, watched; returns its pid.
fn watched_screen(terminal: &Terminal<'_>) -> String {
    terminal.wait("the pod", |text| {
        super::row_of(text, "sample").is_some_and(|row| row.contains("Running"))
    });
    let screen = screen_pid(terminal);
    wait_until("the watcher", || watchers(&screen) == 1);
    assert!(!is_sane(terminal), "the screen has not taken the terminal");
    screen
}

fn served() -> Podtui {
    let podtui = Podtui::idle();
    podtui.serve();
    podtui.apply(&std::fs::read_to_string(SAMPLE).unwrap());
    podtui.wait_running("sample");
    podtui
}

#[track_caller]
fn check(how: &str, before: &[&str]) {
    let podtui = served();
    let Some(terminal) = Terminal::open(&podtui, 80, 24) else {
        return;
    };
    let screen = watched_screen(&terminal);
    let watcher = Command::new("pgrep")
        .args(["-P", &screen, "-f", "__watch"])
        .output()
        .unwrap();
    let watcher: u32 = String::from_utf8_lossy(&watcher.stdout)
        .trim()
        .parse()
        .unwrap();
    terminal.press(before);
    let killed = Command::new("kill").args([how, &screen]).status().unwrap();
    assert!(killed.success());
    // A shell that is faster than the watcher writes its words on the screen that goes away.
    let command = || terminal.tmux(&["display-message", "-p", "#{pane_current_command}"]);
    wait_until("the last command of the shell", || {
        command().trim() == "sleep"
    });
    if how == "-KILL" {
        terminal.wait("the watcher's word", |text| {
            text.contains("the screen was killed; the pods go on.")
        });
    } else {
        terminal.wait("the shell", |text| text.contains("left with 0"));
    }
    wait_until("a sane terminal", || is_sane(&terminal));
    wait_until("the end of the watcher", || !support::is_alive(watcher));
    // Nothing of this concerns the pods.
    podtui.wait_running("sample");
    podtui.delete_all();
}

#[test]
fn killed() {
    require_root!();
    check("-KILL", &[]);
}

#[test]
fn killed_within_a_prompt() {
    require_root!();
    check("-KILL", &["/", "x"]);
}

#[test]
fn terminated() {
    require_root!();
    check("-TERM", &[]);
}

#[test]
fn hung_up() {
    require_root!();
    check("-HUP", &[]);
}

#[test]
fn a_crash_leaves_terminal_and_pods_alone() {
    require_root!();
    let podtui = Podtui::idle();
    // Room for a backtrace, should the environment ask for one.
    let Some(terminal) = Terminal::open(&podtui, 160, 120) else {
        return;
    };
    terminal.wait("an empty list", |text| text.contains("no pods"));
    // This screen owns the engine of the pod.
    podtui.apply(&std::fs::read_to_string(SAMPLE).unwrap());
    podtui.wait_running("sample");
    let watched = watched_screen(&terminal);
    terminal.type_text(":debug-panic");
    terminal.press(&["Enter"]);
    let text = terminal.wait("the shell", |text| text.contains("left with"));
    assert!(text.contains("left with 101"), "{text}");
    assert!(text.contains("the user has asked for a crash"), "{text}");
    let unwrapped = text.replace('\n', "");
    assert!(unwrapped.contains("/podtui.log"), "{text}");
    wait_until("a sane terminal", || is_sane(&terminal));
    assert_eq!(watchers(&watched), 0);
    let log = std::fs::read_to_string(podtui.state().join("log/podtui.log")).unwrap();
    assert!(log.contains("the user has asked for a crash"), "{log}");
    podtui.wait_running("sample");
    podtui.delete_all();
    podtui.ok(&["engine", "stop"]);
}
