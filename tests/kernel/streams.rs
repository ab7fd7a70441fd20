//! Hostile bytes and hostile readers: terminals, logs, exec sessions.

use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::terminal::Terminal;
use crate::support::{Podtui, is_alive, kill, status};

fn pod(name: &str, container: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: Never\n  terminationGracePeriodSeconds: 0\n  containers:\n  - name: c\n    image: localhost/toolbox\n    imagePullPolicy: IfNotPresent\n{container}"
    )
}

/// Memory of a process that is its own (not its program's), in KiB.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB"))
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

/// Directory of the logs of the pod's container `c`.
fn log_directory(podtui: &Podtui, pod: &str) -> PathBuf {
    let uid = podtui.pod(pod)["metadata"]["uid"]
        .as_str()
        .expect("a uid")
        .to_owned();
    podtui
        .state()
        .join(format!("logs/pods/default_{pod}_{uid}/c"))
}

/// What may not reach a terminal from an object: controls other than line ends and tabs, bidirectional
/// overrides (CVE-2021-42574) and characters without width.
fn hostile(character: char) -> bool {
    match character {
        '\n' | '\r' | '\t' => false,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' => true,
        '\u{61c}' | '\u{feff}' => true,
        _ => character.is_control(),
    }
}

/// JSON in which everything that YAML does not take as it is stands as an escape.
fn ascii(value: &serde_json::Value) -> String {
    let escape = |c: char| {
        if c.is_ascii() && c != '\u{7f}' {
            c.to_string()
        } else {
            format!("\\u{:04x}", u32::from(c))
        }
    };
    value.to_string().chars().map(escape).collect()
}

/// 28 (CVE-2021-25743): whatever an object says, a terminal that shows it gets text only.
#[test]
fn objects_cannot_speak_to_the_terminal() {
    require_root!();
    let podtui = Podtui::start();
    let evil = "a\u{1b}]52;c;cm0gLXJmCg==\u{7}b\u{1b}[2J\u{1b}]0;owned\u{1b}\\c\u{9b}31md\u{7f}e\u{8}f\u{202e}g\u{2066}h\u{200b}i\u{200f}j\u{feff}k\u{1b}[201~l";
    let script = "printf %s \"$EVIL\" > /dev/termination-log; exit 3";
    let object = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "evil", "annotations": {"example.com/evil": evil}},
        "spec": {
            "restartPolicy": "Never",
            "containers": [
                {"name": "c", "image": "localhost/toolbox", "imagePullPolicy": "IfNotPresent",
                 "command": ["sh", "-c", script], "env": [{"name": "EVIL", "value": evil}], "args": [evil]},
                {"name": "d", "image": "localhost/toolbox", "imagePullPolicy": "IfNotPresent",
                 "command": [format!("/{evil}")], "workingDir": format!("/{evil}")},
            ],
        },
    });
    podtui.apply(&ascii(&object));
    podtui.apply(&ascii(
        &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "evil"}, "data": {"key": evil}}),
    ));
    podtui.wait_phase("evil", "Failed");
    podtui.wait("the events of both containers", || {
        podtui.ok(&["events"]).contains("Failed").then_some(())
    });
    let mut found = Vec::new();
    let mut check = |arguments: &[&str]| {
        let shown =
            Terminal::spawn(podtui.command(arguments), 50, 200).output(Duration::from_secs(10));
        let bad: String = shown.chars().filter(|c| hostile(*c)).collect();
        if !bad.is_empty() {
            found.push(format!(
                "podtui {arguments:?} printed {bad:?} in:\n{shown:?}"
            ));
        }
        assert!(!shown.is_empty(), "podtui {arguments:?} printed nothing");
        shown
    };
    check(&["get", "pods", "-o", "wide"]);
    check(&["get", "pods", "--show-labels"]);
    check(&["get", "events"]);
    check(&["events"]);
    let described = check(&["describe", "pod", "evil"]);
    assert!(
        described.contains("^[[2J"),
        "the bytes are not shown in a visible form:\n{described}"
    );
    check(&["describe", "configmap", "evil"]);
    check(&["get", "pod", "evil", "-o", "yaml"]);
    check(&["get", "pod", "evil", "-o", "json"]);
    check(&[
        "get",
        "pod",
        "evil",
        "-o",
        "jsonpath={.metadata.annotations}",
    ]);
    check(&[
        "get",
        "pod",
        "evil",
        "-o",
        "jsonpath={.metadata.annotations.example\\.com/evil}",
    ]);
    check(&[
        "get",
        "pod",
        "evil",
        "-o",
        "custom-columns=A:.metadata.annotations",
    ]);
    check(&["get", "configmap", "evil", "-o", "yaml"]);
    check(&["get", "pod", evil]);
    check(&["logs", "evil", "-c", evil]);
    check(&["exec", "evil", "-c", "c", "--", evil]);
    assert!(found.is_empty(), "{}", found.join("\n"));
    podtui.delete_all();
}

/// 28: a log on a terminal may have colours and nothing else.
#[test]
fn logs_cannot_speak_to_the_terminal() {
    require_root!();
    let podtui = Podtui::start();
    let script = r"printf '\033]52;c;cm0=\007one\033[2J\033[6n\033[31mred\033[0m\033P1$r\033\\\033[200~x\033[201~\302\2335ntwo\b\177\n'";
    podtui.apply(&pod(
        "noise",
        &format!("    command: [sh, -c, {}]\n", json!(script)),
    ));
    podtui.wait_phase("noise", "Succeeded");
    for arguments in [
        &["logs", "noise"][..],
        &["logs", "-f", "noise"],
        &["logs", "--prefix", "noise"],
    ] {
        let shown =
            Terminal::spawn(podtui.command(arguments), 50, 200).output(Duration::from_secs(10));
        let plain = shown.replace("\u{1b}[31m", "").replace("\u{1b}[0m", "");
        assert!(plain.contains("one") && plain.contains("two"), "{shown:?}");
        assert!(!plain.chars().any(hostile), "{shown:?}");
    }
    podtui.delete_all();
}

/// 31 (CVE-2026-53489): a log that was replaced by a link is neither written nor read through.
#[test]
fn logs_are_not_followed_through_links() {
    require_root!();
    let podtui = Podtui::start();
    let victim = podtui.path().join("victim");
    fs::write(
        &victim,
        "2026-01-01T00:00:00.000000000Z stdout F secret of the machine\n",
    )
    .unwrap();
    let before = fs::read(&victim).unwrap();
    podtui.apply(
        &pod(
            "linked",
            "    command: [sh, -c, 'echo hello; exec sleep 1000000']\n",
        )
        .replace("restartPolicy: Never", "restartPolicy: Always"),
    );
    podtui.wait_running("linked");
    let directory = log_directory(&podtui, "linked");
    std::os::unix::fs::symlink(&victim, directory.join("1.log")).unwrap();
    kill(podtui.container_pid("linked", "c"));
    podtui.wait("the restart, or its refusal", || {
        let pod = podtui.try_pod("linked")?;
        let state = status(&pod, "c").clone();
        (state["restartCount"] == 1
            || state["state"]["waiting"]["reason"]
                .as_str()
                .is_some_and(|reason| reason.contains("Error")))
        .then_some(())
    });
    std::thread::sleep(Duration::from_millis(300));
    assert!(
        fs::read(&victim).unwrap() == before,
        "the log was written through a link"
    );
    let logs = podtui.output(&["logs", "linked"]);
    assert!(!String::from_utf8_lossy(&logs.stdout).contains("secret of the machine"));
    fs::remove_file(directory.join("0.log")).unwrap();
    std::os::unix::fs::symlink(&victim, directory.join("0.log")).unwrap();
    for arguments in [&["logs", "linked"][..], &["logs", "-p", "linked"]] {
        let logs = podtui.output(arguments);
        assert!(!String::from_utf8_lossy(&logs.stdout).contains("secret of the machine"));
    }
    podtui.delete_all();
    assert!(
        fs::read(&victim).unwrap() == before,
        "deleting the pod removed or changed the target"
    );
}

/// 29: a gigantic line, kept within the memory of fixed buffers and back in one piece.
#[test]
fn a_line_without_end_needs_no_memory() {
    const MEBIBYTES: usize = 48;
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(&pod(
        "line",
        &format!(
            "    command: [sh, -c, 'sleep 1; head -c {MEBIBYTES}M /dev/zero | tr \"\\0\" y']\n"
        ),
    ));
    podtui.wait_running_or_over("line");
    let (shim, before) = (podtui.shim_pid("line"), resident(podtui.engine_pid()));
    podtui.wait("the line", || {
        let pod = podtui.try_pod("line")?;
        assert!(
            resident(shim) < 16 << 10,
            "the shim holds {} KiB",
            resident(shim)
        );
        (pod["status"]["phase"] == "Succeeded").then_some(())
    });
    let mut child = podtui
        .command(&["logs", "line"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let (mut total, mut chunk, mut last) = (0, vec![0; 1 << 20], Vec::new());
    loop {
        let count = stdout.read(&mut chunk).unwrap();
        if count == 0 {
            break;
        }
        total += count;
        last = chunk[..count].to_vec();
    }
    assert!(child.wait().unwrap().success());
    // The container wrote no line feed; kubectl prints none either.
    let text = last.strip_suffix(b"\n").unwrap_or(&last);
    assert!(text.iter().all(|byte| *byte == b'y'));
    assert!(
        (MEBIBYTES << 20..=(MEBIBYTES << 20) + 1).contains(&total),
        "{total} bytes"
    );
    let after = resident(podtui.engine_pid());
    assert!(
        after < before + (32 << 10),
        "the engine grew from {before} to {after} KiB"
    );
    podtui.delete_all();
}

/// 30 (CVE-2022-1708, CVE-2022-31030): a client that does not read stops the process, not the engine.
#[test]
fn an_exec_flood_without_a_reader_is_held_back() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(&pod("flood", "    command: [sleep, '1000000']\n"));
    podtui.wait_running("flood");
    podtui.ok(&["exec", "flood", "--", "true"]);
    let (engine, shim) = (podtui.engine_pid(), podtui.shim_pid("flood"));
    let before = (resident(engine), resident(shim));
    let mut clients: Vec<_> = (0..3)
        .map(|_| {
            podtui
                .command(&["exec", "flood", "--", "sh", "-c", "exec yes"])
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(3) {
        let now = (resident(engine), resident(shim));
        assert!(
            now.0 < before.0 + (24 << 10) && now.1 < before.1 + (8 << 10),
            "engine and shim grew from {before:?} to {now:?} KiB"
        );
        let asked = Instant::now();
        podtui.ok(&["exec", "flood", "--", "true"]);
        assert!(
            asked.elapsed() < Duration::from_secs(1),
            "{:?}",
            asked.elapsed()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    let count = podtui.container_pids("flood", "c").len();
    assert!(count >= 4, "the floods do not run: {count} processes");
    for client in &mut clients {
        client.kill().unwrap();
        client.wait().unwrap();
    }
    podtui.wait("the floods to end with their clients", || {
        (podtui.container_pids("flood", "c").len() == 1).then_some(())
    });
    podtui.delete_all();
}

/// 46: a reader that stops, of an attach or of a log, does not stop the container or its log.
#[test]
fn a_stopped_reader_does_not_stall_the_container() {
    require_root!();
    let podtui = Podtui::start();
    for (name, extra) in [("plain", ""), ("tty", "    tty: true\n    stdin: true\n")] {
        let script =
            "i=0; while :; do i=$((i+1)); echo \"line $i of a log that nobody reads\"; done";
        // A fifth of a core is as much as this machine owes it.
        podtui.apply(&pod(
            name,
            &format!("{extra}    command: [bash, -c, '{script}']\n    resources: {{limits: {{cpu: 200m}}}}\n"),
        ));
        podtui.wait_running(name);
        let mut readers: Vec<_> = [
            &["attach", name][..],
            &["attach", name],
            &["logs", "-f", name],
        ]
        .into_iter()
        .map(|arguments| {
            podtui
                .command(arguments)
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
        std::thread::sleep(Duration::from_millis(1500));
        let count = || {
            let directory = log_directory(&podtui, name);
            let sizes = fs::read_dir(directory)
                .unwrap()
                .map(|entry| entry.unwrap().metadata().unwrap().len());
            sizes.sum::<u64>()
        };
        let engine = resident(podtui.engine_pid());
        let mut sizes = vec![count()];
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(500));
            sizes.push(count());
        }
        assert!(
            sizes.windows(2).all(|pair| pair[1] > pair[0]),
            "{name}: the log stands still: {sizes:?}"
        );
        let now = resident(podtui.engine_pid());
        assert!(
            now < engine + (16 << 10),
            "{name}: the engine grew from {engine} to {now} KiB"
        );
        // Another reader sees all of it.
        let live = podtui.ok(&["logs", "--tail=1", name]);
        assert!(live.starts_with("line "), "{live}");
        for reader in &mut readers {
            reader.kill().unwrap();
            reader.wait().unwrap();
        }
        podtui.ok(&["delete", "pod", name, "--grace-period=0", "--force"]);
    }
    podtui.delete_all();
}

/// The N of `[podtui: N bytes of output are missing here, …]`, added up, and what is left without these lines.
fn gaps(text: &str) -> (usize, String) {
    let (mut missing, mut rest) = (0, String::new());
    let mut parts = text.split("[podtui: ");
    rest.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (told, behind) = part.split_once("read]").expect("the whole sentence");
        missing += told
            .split(' ')
            .next()
            .unwrap()
            .parse::<usize>()
            .expect("a number");
        rest.push_str(behind);
    }
    (missing, rest)
}

/// A viewer that falls behind is told, at the place of the gap, how much it has not seen.
#[test]
fn an_attached_viewer_hears_of_what_it_missed() {
    require_root!();
    let podtui = Podtui::start();
    // Beyond all the buffers between the container and a viewer.
    const LINES: usize = 2_000_000;
    let digits: usize = (1..=LINES).map(|line| line.to_string().len() + 1).sum();
    for (name, extra, newline) in [("plain", "", 1), ("tty", "    tty: true\n", 2)] {
        let script = format!("read x; seq 1 {LINES}; echo END; sleep 1000000");
        podtui.apply(&pod(
            name,
            &format!("{extra}    stdin: true\n    command: [sh, -c, '{script}']\n"),
        ));
        podtui.wait_running(name);
        let mut viewer = podtui
            .command(&["attach", "-i", name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = viewer.stdin.take().unwrap();
        stdin.write_all(b"\n").unwrap();
        podtui.wait("the container to have written everything", || {
            podtui
                .ok(&["logs", "--tail=1", name])
                .starts_with("END")
                .then_some(())
        });
        // Only now it begins to read.
        let mut streams = [
            Box::new(viewer.stdout.take().unwrap()) as Box<dyn Read + Send>,
            Box::new(viewer.stderr.take().unwrap()),
        ]
        .into_iter()
        .map(|mut stream| {
            let seen = Arc::new(Mutex::new(Vec::new()));
            let filled = Arc::clone(&seen);
            let reader = std::thread::spawn(move || {
                let mut chunk = [0; 65536];
                while let Ok(count @ 1..) = stream.read(&mut chunk) {
                    filled.lock().unwrap().extend_from_slice(&chunk[..count]);
                }
            });
            (seen, reader)
        })
        .collect::<Vec<_>>();
        let echo = if newline == 2 { "\r\n".len() } else { 0 };
        let total = digits + LINES * (newline - 1) + "END".len() + newline + echo;
        let text = |index: usize| -> String {
            String::from_utf8_lossy(&streams[index].0.lock().unwrap()).into_owned()
        };
        podtui.wait("everything to be seen or told", || {
            let (in_output, output) = gaps(&text(0));
            let (beside, _) = gaps(&text(1));
            let missing = in_output + beside;
            // Each gap of a terminal is a line of its own, behind the end of a broken sequence.
            let framing = output.matches("\x1b\\\r\n\r\n").count() * 6;
            let seen = output.len() - framing;
            assert_eq!(in_output > 0, newline == 2 && missing > 0);
            (missing > 0 && seen + missing == total).then_some(())
        });
        viewer.kill().unwrap();
        viewer.wait().unwrap();
        for (_, reader) in streams.drain(..) {
            reader.join().unwrap();
        }
        podtui.ok(&["delete", "pod", name, "--grace-period=0", "--force"]);
    }
    podtui.delete_all();
}

/// 46: nothing can be typed into a terminal from inside, and the size of the client's is passed on as it is.
#[test]
fn terminals_take_no_orders_from_inside() {
    require_root!();
    let podtui = Podtui::start();
    // The machine's own programs, read-only: the toolbox has nothing that makes arbitrary ioctls.
    let mounts: String = ["/usr", "/lib", "/lib64", "/bin"]
        .iter()
        .enumerate()
        .map(|(number, path)| format!("{{name: v{number}, mountPath: {path}, readOnly: true}}, "))
        .collect();
    let volumes: String = ["/usr", "/lib", "/lib64", "/bin"]
        .iter()
        .enumerate()
        .map(|(number, path)| format!("{{name: v{number}, hostPath: {{path: {path}}}}}, "))
        .collect();
    podtui.apply(&format!(
        "{}    volumeMounts: [{mounts}]\n  volumes: [{volumes}]\n",
        pod(
            "tty",
            "    command: [sleep, '1000000']\n    tty: true\n    stdin: true\n"
        )
    ));
    podtui.wait_running("tty");
    let script = r#"
        for my $request (0x5412, 0x541c) { my $x = "x"; print "request $request ", (defined(ioctl(STDIN, $request, $x)) ? "done" : "refused: $!"), "\n"; }
        open(my $tty, "+<", "/dev/tty") or print "no tty: $!\n"; my $y = "y";
        print "tty ", (defined(ioctl($tty, 0x5412, $y)) ? "done" : "refused: $!"), "\n";
        open(my $console, "+<", "/dev/console") or print "no console: $!\n";
        print "console ", (defined(ioctl($console, 0x5412, $y)) ? "done" : "refused: $!"), "\n";
        system("stty size"); print "the end\n";
    "#;
    let mut terminal = Terminal::spawn(
        podtui.command(&["exec", "-it", "tty", "--", "perl", "-e", script]),
        65535,
        65535,
    );
    let done = terminal.read_until(Duration::from_secs(15), |seen| {
        seen.windows(7).any(|part| part == b"the end")
    });
    let shown = String::from_utf8_lossy(&terminal.seen).into_owned();
    assert!(done, "{shown}");
    assert_eq!(shown.matches("refused").count(), 4, "{shown}");
    assert!(shown.contains("65535 65535"), "{shown}");
    drop(terminal);
    // A terminal that vanishes with its client leaves no process behind.
    let mut terminal = Terminal::spawn(podtui.command(&["exec", "-it", "tty", "--", "cat"]), 0, 0);
    let session = podtui.wait("cat", || {
        podtui.container_pids("tty", "c").into_iter().find(|pid| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == "cat\n")
        })
    });
    // What is typed before the client has made the terminal raw is thrown away with the old mode.
    let typed = |seen: &[u8]| seen.windows(5).filter(|part| part == b"typed").count() >= 2;
    let begin = Instant::now();
    while !terminal.read_until(Duration::from_millis(300), typed) {
        assert!(
            begin.elapsed() < Duration::from_secs(10),
            "{:?}",
            String::from_utf8_lossy(&terminal.seen)
        );
        terminal.write(b"typed\r");
    }
    drop(terminal);
    podtui.wait("cat to end with its terminal", || {
        (!is_alive(session)).then_some(())
    });
    podtui.delete_all();
}
