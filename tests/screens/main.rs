//! The screen as a person sees it: the built program in a real terminal (tmux), read back as text.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test program may panic and speaks to its reader"
)]

#[path = "../support/mod.rs"]
#[macro_use]
mod support;
mod endings;
mod outside;
mod terminals;

use std::fs;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::{PATIENCE, Podtui};

static TERMINALS: AtomicUsize = AtomicUsize::new(0);

/// A terminal with a shell script in it. It outlives podtui, so that what podtui leaves behind can be seen.
struct Terminal<'a> {
    podtui: &'a Podtui,
    socket: String,
}

impl<'a> Terminal<'a> {
    /// `None`, saying so, where there is no tmux.
    fn open(podtui: &'a Podtui, columns: u16, rows: u16) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            println!("skipped: the screen is tested inside tmux, which is not installed");
            return None;
        }
        // A server that was told to end may still be there.
        let number = TERMINALS.fetch_add(1, Ordering::Relaxed);
        let socket = podtui.path().join(format!("tmux{number}"));
        let socket = socket.display().to_string();
        let terminal = Self { podtui, socket };
        let script = format!(
            "echo before; {}; echo left with $?; stty -a; exec sleep 1000",
            support::BINARY
        );
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let directory = |name: &str, path: std::path::PathBuf| format!("{name}={}", path.display());
        terminal.tmux(&[
            "new-session",
            "-d",
            "-x",
            &columns,
            "-y",
            &rows,
            "-e",
            &directory("PODTUI_STATE_DIR", podtui.state()),
            "-e",
            &directory("PODTUI_RUN_DIR", podtui.run()),
            "-e",
            &directory("PODTUI_CONFIG_DIR", podtui.path().join("config")),
            "-e",
            &directory("EDITOR", podtui.path().join("editor")),
            "-e",
            "KUBE_EDITOR=",
            "sh",
            "-c",
            &script,
        ]);
        Some(terminal)
    }

    #[track_caller]
    fn tmux(&self, arguments: &[&str]) -> String {
        let output = self.try_tmux(arguments);
        assert!(
            output.status.success(),
            "tmux {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn try_tmux(&self, arguments: &[&str]) -> Output {
        // No configuration of the person who runs the tests.
        Command::new("tmux")
            .args(["-S", &self.socket, "-f", "/dev/null"])
            .args(arguments)
            .output()
            .expect("tmux starts")
    }

    fn text(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Keys by their tmux names.
    fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    fn type_text(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
    }

    fn resize(&self, columns: u16, rows: u16) {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        self.tmux(&["resize-window", "-x", &columns, "-y", &rows]);
    }

    /// Whether the alternate screen is shown, `1` or `0`, and the same for the cursor.
    fn modes(&self) -> String {
        let text = self.tmux(&["display-message", "-p", "#{alternate_on} #{cursor_flag}"]);
        text.trim().to_owned()
    }

    /// Polls until the screen satisfies `is_there`; panics with the screen when it never does.
    #[track_caller]
    fn wait(&self, what: &str, is_there: impl Fn(&str) -> bool) -> String {
        let begin = Instant::now();
        loop {
            let text = self.text();
            if is_there(&text) {
                return text;
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "waited {PATIENCE:?} for {what} on\n{text}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "{}",
                self.try_tmux(&["capture-pane", "-p"]).stdout.escape_ascii()
            );
        }
        self.podtui.learn_names();
        self.try_tmux(&["kill-server"]);
    }
}

fn row_of(text: &str, name: &str) -> Option<String> {
    let row = text.lines().find(|line| {
        line.get(3..).is_some() && line.trim_start_matches(['▶', '>', ' ']).starts_with(name)
    })?;
    Some(row.to_owned())
}

/// tmux tells a program of a new size at most four times a second.
const RESIZED: Duration = Duration::from_millis(300);

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/sample-pod.yaml");

#[test]
fn the_sample_pod_from_the_first_frame_to_a_clean_terminal() {
    require_root!();
    let podtui = Podtui::idle();
    let Some(terminal) = Terminal::open(&podtui, 80, 24) else {
        return;
    };
    // The frame is there before the engine knows anything: what follows `before` is a whole screen.
    let first = terminal.wait("the first frame", |text| {
        !text.trim().is_empty() && !text.starts_with("before")
    });
    assert!(first.starts_with("podtui local ns:default"), "{first}");
    assert_eq!(terminal.modes().split(' ').next(), Some("1"));

    terminal.wait("an empty list", |text| text.contains("no pods"));
    terminal.type_text("nfile");
    terminal.press(&["Enter"]);
    terminal.wait("the prompt", |text| text.contains("create from file:"));
    terminal.press(&["C-u"]);
    terminal.type_text(SAMPLE);
    terminal.press(&["Enter"]);
    terminal.wait("the sample pod to run", |text| {
        row_of(text, "sample").is_some_and(|row| row.contains("2/2") && row.contains("Running"))
    });
    podtui.learn_names();
    let count = |text: &str| {
        let lines = text
            .lines()
            .filter_map(|line| line.split("worker: line ").nth(1));
        lines
            .filter_map(|rest| rest.split(' ').next()?.parse::<u64>().ok())
            .max()
    };
    let text = terminal.wait("the first line of the log", |text| count(text).is_some());
    let before = count(&text);
    terminal.wait("the log to go on", |text| count(text) > before);

    terminal.press(&["q"]);
    terminal.wait("the question", |text| {
        text.contains("Stop") && text.contains("Keep")
    });
    terminal.press(&["s"]);
    let text = terminal.wait("the end", |text| {
        text.contains("left with") && text.contains("icanon")
    });
    assert!(text.contains("left with 0"), "{text}");
    assert!(
        text.starts_with("before\n"),
        "what was there is there again: {text}"
    );
    for mode in ["-icanon", "-echo ", "-isig", "-opost"] {
        assert!(!text.contains(mode), "{mode} was not undone: {text}");
    }
    assert_eq!(terminal.modes(), "0 1");
    // Stopped pods are not forgotten: the next engine runs them again.
    podtui.serve();
    podtui.wait_running("sample");
    podtui.delete_all();
}

const OOM: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: hog}
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: localhost/toolbox:latest
    command: [sh, -c, 'until [ -e /gate/open ]; do sleep 0.05; done; tail /dev/zero']
    resources: {limits: {memory: 16Mi}}
    volumeMounts: [{name: gate, mountPath: /gate}]
  volumes: [{name: gate, hostPath: {path: GATE}}]
";

#[test]
fn an_oom_kill_is_on_the_screen_within_a_second() {
    require_root!();
    let podtui = Podtui::start();
    let gate = podtui.path().join("gate");
    fs::create_dir(&gate).unwrap();
    podtui.apply(&OOM.replace("GATE", &gate.display().to_string()));
    podtui.wait_running("hog");
    let Some(terminal) = Terminal::open(&podtui, 80, 24) else {
        return;
    };
    terminal.wait("the pod", |text| {
        row_of(text, "hog").is_some_and(|row| row.contains("Running"))
    });
    let pid = podtui.container_pid("hog", "main");
    fs::write(gate.join("open"), "").unwrap();
    let begin = Instant::now();
    while support::is_alive(pid) {
        assert!(
            begin.elapsed() < PATIENCE,
            "the kernel kills no process over its limit"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
    let killed = Instant::now();
    let text = terminal.wait("OOMKilled", |text| {
        row_of(text, "hog").is_some_and(|row| row.contains("OOMKilled"))
    });
    let delay = killed.elapsed();
    println!(
        "shown {} ms after the death of the container",
        delay.as_millis()
    );
    // One second is the aim; the rest is for a machine that runs other tests.
    assert!(delay < Duration::from_millis(2500), "{delay:?}\n{text}");
    assert!(text.contains("exit 137"), "{text}");
    let pod = podtui.pod("hog");
    let ended = &support::status(&pod, "main")["state"]["terminated"];
    assert_eq!(
        (&ended["reason"], &ended["exitCode"]),
        (&"OOMKilled".into(), &137.into())
    );
}

#[test]
fn no_size_is_too_small() {
    let podtui = Podtui::idle();
    require_root!();
    podtui.serve();
    podtui.apply(&fs::read_to_string(SAMPLE).unwrap());
    podtui.wait_running("sample");
    let Some(terminal) = Terminal::open(&podtui, 80, 24) else {
        return;
    };
    let is_whole = |text: &str| {
        let width = text.lines().next().map_or(0, |line| line.chars().count());
        width > 70 && text.contains("sample") && text.contains("Running")
    };
    terminal.wait("the screen", is_whole);
    for key in ["/", "?", ":", "D", "n"] {
        terminal.press(&[key]);
        for (columns, rows) in [(20, 5), (1, 1), (200, 50)] {
            terminal.resize(columns, rows);
            std::thread::sleep(RESIZED);
            let text = terminal.text();
            assert!(!text.contains("left with"), "{columns}x{rows}: {text}");
        }
        terminal.press(&["Escape"]);
    }
    terminal.resize(20, 5);
    terminal.wait("the pod in 20x5", |text| {
        text.contains("sample") && text.starts_with("podtui") && text.contains("? help")
    });
    terminal.resize(80, 24);
    std::thread::sleep(RESIZED);
    terminal.wait("the screen again", is_whole);
    terminal.press(&["q"]);
    terminal.wait("the end", |text| text.contains("left with 0"));
    assert_eq!(terminal.modes(), "0 1");
}
