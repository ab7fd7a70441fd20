//! Terminals inside the screen, with the real engine and a real terminal around it.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use super::support::{self, PATIENCE, Podtui};
use super::{RESIZED, Terminal, row_of};

const APP: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: app}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: localhost/toolbox:latest
    command: [sh, -c, 'n=0; while true; do n=$((n+1)); echo tick $n; sleep 0.2; done']
---
apiVersion: v1
kind: Pod
metadata: {name: hog}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: localhost/toolbox:latest
    command: [sh, -c, 'sleep 1; tail /dev/zero']
    resources: {limits: {memory: 16Mi}}
";

/// The highest N of `tick N`.
fn ticks(text: &str) -> u32 {
    let numbers = text.split("tick ").skip(1);
    let number = |rest: &str| rest.split([' ', '\n']).next()?.parse().ok();
    numbers.filter_map(number).max().unwrap_or(0)
}

fn restarts(text: &str) -> u32 {
    let row = row_of(text, "hog").unwrap_or_default();
    let column = row
        .trim_start_matches(['▶', '>', ' '])
        .split_whitespace()
        .nth(3);
    column.and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[test]
fn logs_a_shell_and_the_list_at_the_same_time() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(APP);
    podtui.wait_running("app");
    for (columns, rows, size) in [(80, 24, "12 80"), (200, 50, "28 200")] {
        let Some(terminal) = Terminal::open(&podtui, columns, rows) else {
            return;
        };
        terminal.wait("the pods", |text| {
            row_of(text, "hog").is_some() && ticks(text) > 0
        });
        terminal.press(&["g", "s"]);
        terminal.wait("the shell", |text| {
            text.contains("TERM app/main") && text.contains("ctrl-c: ")
        });
        // The first command of all knows the size.
        terminal.type_text("stty size; echo answer-$((6 * 7))");
        terminal.press(&["Enter"]);
        let before = terminal.wait("its answer", |text| text.contains("answer-42"));
        assert!(before.contains(size), "{before}");
        terminal.wait("everything to go on", |text| {
            let is_oom = row_of(text, "hog")
                .is_some_and(|row| row.contains("OOMKilled") || row.contains("CrashLoop"));
            ticks(text) > ticks(&before)
                && restarts(text) > 0
                && is_oom
                && text.contains("answer-42")
        });
        // Every key goes to the program: q does not quit, and ctrl-c interrupts what runs in the shell.
        terminal.type_text("q() { echo from-q; }; q");
        terminal.press(&["Enter"]);
        terminal.wait("a function called q", |text| text.contains("\nfrom-q"));
        terminal.type_text("echo asleep; cat");
        terminal.press(&["Enter"]);
        terminal.wait("the program to run", |text| text.contains("\nasleep"));
        // What cat gives back shows that it has the terminal.
        terminal.type_text("awake");
        terminal.press(&["Enter"]);
        let is_twice = |text: &str| text.matches("\nawake").count() == 2;
        terminal.wait("its answer", is_twice);
        terminal.press(&["C-c"]);
        terminal.wait("the interrupt to show", |text| text.contains("^C"));
        terminal.type_text("echo interrupted-$?");
        terminal.press(&["Enter"]);
        terminal.wait("the interrupt", |text| text.contains("\ninterrupted-1"));
        // Another size reaches the program.
        terminal.resize(100, 40);
        std::thread::sleep(RESIZED);
        terminal.type_text("clear; stty size");
        terminal.press(&["Enter"]);
        terminal.wait("the new size", |text| text.contains(" 100\n"));
        terminal.type_text("exit 3");
        terminal.press(&["Enter"]);
        terminal.wait("its exit code", |text| text.contains("exited 3"));
        terminal.press(&["Enter"]);
        terminal.wait("the list to have the keys", |text| text.contains("NORMAL"));
        terminal.press(&["q"]);
        terminal.wait("the end", |text| text.contains("left with 0"));
    }
    podtui.delete_all();
}

/// The program inside of the shell script that is the terminal's process.
pub(super) fn child_of(terminal: &Terminal<'_>) -> u32 {
    let pane = terminal.tmux(&["display-message", "-p", "#{pane_pid}"]);
    let pane = pane.trim();
    let children = fs::read_to_string(format!("/proc/{pane}/task/{pane}/children")).unwrap();
    let pid = children.split_whitespace().next().expect("podtui runs");
    pid.parse().unwrap()
}

pub(super) fn signal(pid: u32, name: &str) {
    let status = Command::new("kill")
        .args([name, &pid.to_string()])
        .status()
        .unwrap();
    assert!(status.success(), "kill {name} {pid}");
}

/// The modes that are on after these bytes were written to a terminal.
fn modes_left_on(written: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(written);
    let modes = [
        "1049", "1000", "1002", "1003", "1004", "1006", "2004", "2026",
    ];
    let is_on = |mode: &&str| {
        let last = |letter| text.rfind(&format!("\x1b[?{mode}{letter}"));
        last('h') > last('l')
    };
    modes.into_iter().filter(is_on).map(str::to_owned).collect()
}

#[test]
fn signals_leave_a_usable_terminal() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(APP);
    podtui.wait_running("app");
    for name in ["-TERM", "-HUP", "-INT"] {
        let Some(terminal) = Terminal::open(&podtui, 80, 24) else {
            return;
        };
        let written = podtui.path().join(format!("written{name}"));
        terminal.tmux(&["pipe-pane", "-O", &format!("cat > {}", written.display())]);
        terminal.wait("the pods", |text| row_of(text, "app").is_some());
        terminal.press(&["g", "s"]);
        terminal.wait("the shell", |text| text.contains("TERM app/main"));
        // A program that changes all it can.
        terminal.type_text(
            r"printf '\033[?1049h\033[?1003h\033[?2004h\033[?25l\033[5 q'; echo chan''ged",
        );
        terminal.press(&["Enter"]);
        terminal.wait("the modes", |text| text.contains("changed"));
        let pid = child_of(&terminal);
        signal(pid, "-TSTP");
        terminal.wait("the terminal back while stopped", |_| {
            terminal.modes() == "0 1"
        });
        signal(pid, "-CONT");
        terminal.wait("the screen again", |text| text.contains("TERM app/main"));
        assert_eq!(terminal.modes().split(' ').next(), Some("1"));
        signal(pid, name);
        let text = terminal.wait("the end", |text| {
            text.contains("left with") && text.contains("icanon")
        });
        for mode in ["-icanon", "-echo ", "-isig", "-opost"] {
            assert!(
                !text.contains(mode),
                "{name}: {mode} was not undone: {text}"
            );
        }
        assert!(text.starts_with("before\n"), "{name}: {text}");
        assert_eq!(terminal.modes(), "0 1", "{name}");
        let begin = Instant::now();
        loop {
            let bytes = fs::read(&written).unwrap_or_default();
            let left = modes_left_on(&bytes);
            if left.is_empty()
                && bytes
                    .windows(6)
                    .any(|six| six == b"\x1b[0 q\x1b" || six.starts_with(b"\x1b[0 q"))
            {
                break;
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "{name}: on after the end: {left:?}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(!support::is_alive(pid));
    }
    podtui.delete_all();
}
