//! 50: files that are torn, disks that are full, engines that race.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Podtui, is_alive, status};

fn sleeper(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 0\n  containers:\n  - name: c\n    image: localhost/toolbox\n    imagePullPolicy: IfNotPresent\n    command: [sleep, '1000000']\n"
    )
}

fn map(name: &str, size: usize) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{key: {}}}\n",
        "v".repeat(size)
    )
}

fn journals(podtui: &Podtui) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(podtui.state().join("objects"))
        .expect("the store")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with("journal-"))
        })
        .collect();
    files.sort();
    files
}

/// An engine that must not start: what it says on standard error.
#[track_caller]
fn must_not_start(podtui: &Podtui) -> String {
    let begin = Instant::now();
    let mut child = podtui
        .command(&["serve"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("podtui starts");
    while child.try_wait().expect("ours").is_none() {
        if begin.elapsed() > Duration::from_secs(10) {
            child.kill().expect("ours");
            child.wait().expect("ours");
            panic!("the engine runs");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().expect("ours");
    assert!(
        !output.status.success(),
        "the engine ended without an error"
    );
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A record that was half written when the power went is dropped; what was acknowledged before it stays.
#[test]
fn a_torn_journal_loses_only_its_torn_record() {
    let podtui = Podtui::start();
    podtui.apply(&map("one", 10));
    podtui.apply(&map("two", 10));
    podtui.kill_engine();
    let journal = journals(&podtui).pop().expect("a journal");
    let whole = fs::read(&journal).expect("readable");
    let last = whole[..whole.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .expect("two records")
        + 1;
    for cut in [last + 1, last + (whole.len() - last) / 2, whole.len() - 2] {
        fs::write(&journal, &whole[..cut]).expect("written");
        podtui.serve();
        assert_eq!(
            podtui.ok(&["get", "configmap", "one", "-o", "name"]),
            "configmap/one\n"
        );
        podtui.apply(&map("three", 10));
        podtui.kill_engine();
        podtui.serve();
        assert_eq!(
            podtui.ok(&["get", "configmap", "three", "-o", "name"]),
            "configmap/three\n"
        );
        podtui.kill_engine();
        for extra in journals(&podtui)
            .into_iter()
            .filter(|path| *path != journal)
        {
            fs::remove_file(extra).expect("removed");
        }
    }
    // Zeros, as some file systems leave them behind a crash.
    let mut zeros = whole.clone();
    zeros.extend_from_slice(&[0; 4096]);
    fs::write(&journal, &zeros).expect("written");
    podtui.serve();
    for name in ["one", "two"] {
        podtui.ok(&["get", "configmap", name]);
    }
    podtui.kill_engine();
    // Damage of whole records is not a crash: the file is kept beside, and what can be read is served.
    let middle = last / 2;
    for place in [middle, last + 20] {
        let mut damaged = whole.clone();
        damaged[place..place + 8].copy_from_slice(b"\xff\0{{{\"[[");
        fs::write(&journal, &damaged).expect("written");
        podtui.serve();
        let name = if place == middle { "two" } else { "one" };
        podtui.ok(&["get", "configmap", name]);
        let kept = journal.with_extension("damaged");
        assert!(
            fs::read(&kept).expect("kept") == damaged,
            "the damaged file was not kept"
        );
        fs::remove_file(kept).expect("removed");
        podtui.kill_engine();
    }
    fs::write(&journal, &whole).expect("written");
    podtui.serve();
    podtui.ok(&["get", "configmap", "two"]);
}

/// State of a sandbox that cannot be read: the pod comes back to life or is honestly replaced, once.
#[test]
fn garbled_sandbox_state_is_replaced() {
    require_root!();
    let podtui = Podtui::start();
    for name in ["empty", "garbled", "cut", "alien"] {
        podtui.apply(&sleeper(name));
        podtui.wait_running(name);
    }
    let path = |name: &str| {
        let uid = podtui.pod(name)["metadata"]["uid"]
            .as_str()
            .expect("a uid")
            .to_owned();
        podtui.run().join("pods").join(uid).join("state.json")
    };
    let names = ["empty", "garbled", "cut", "alien"];
    let paths = names.map(path);
    let old = names.map(|name| podtui.container_pid(name, "c"));
    podtui.kill_engine();
    let whole = fs::read(&paths[2]).expect("readable");
    for (path, bytes) in paths.iter().zip([
        &b""[..],
        &[0xff; 300],
        &whole[..whole.len() / 2],
        br#"{"version": 4294967295, "pause_pid": 1, "shim_pid": 1}"#,
    ]) {
        fs::write(path, bytes).expect("written");
    }
    podtui.serve();
    for (name, old) in names.into_iter().zip(old) {
        let running = podtui.wait(&format!("{name} to run again"), || {
            let pods = podtui.container_pids(name, "c");
            let pod = podtui.try_pod(name)?;
            (pods.len() == 1 && status(&pod, "c")["state"]["running"].is_object()).then(|| pods[0])
        });
        assert!(running == old || !is_alive(old), "{name} runs twice");
    }
    podtui.delete_all();
}

/// The index of the images: cut, damaged, then it and its backup at once. The engine mends it and says so.
#[test]
fn a_garbled_image_index_is_mended_and_told() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(&sleeper("first"));
    podtui.wait_running("first");
    podtui.ok(&["delete", "pod", "first", "--grace-period=0", "--force"]);
    let index = podtui.state().join("images/index.json");
    let backup = podtui.state().join("images/index.backup.json");
    for (round, damage) in [&b""[..], b"{\"version\":", b"\xff\xfe\0"]
        .into_iter()
        .enumerate()
    {
        podtui.kill_engine();
        fs::write(&index, damage).expect("written");
        if round == 2 {
            fs::write(&backup, damage).expect("written");
        }
        podtui.serve();
        let told = podtui.ok(&["engine", "status"]);
        assert!(
            told.contains("index.json was damaged") && told.contains("index.json.damaged"),
            "{told}"
        );
        podtui.wait("the event", || {
            podtui
                .ok(&["events", "-A"])
                .contains("StateDamaged")
                .then_some(())
        });
        let name = format!("again{round}");
        podtui.apply(&sleeper(&name));
        podtui.wait_running(&name);
    }
    podtui.delete_all();
}

/// Two engines, and ten commands that each would start one: there is one engine per state directory.
#[test]
fn engines_that_race_for_one_directory_are_one() {
    require_root!();
    let podtui = Podtui::start();
    podtui.apply(&sleeper("a"));
    podtui.wait_running("a");
    let pid = podtui.container_pid("a", "c");
    let text = must_not_start(&podtui);
    assert!(text.contains("engine"), "{text}");
    // Another run directory does not make it another engine.
    let output = Command::new(crate::support::BINARY)
        .args([
            "serve",
            "--state-dir",
            podtui.state().to_str().expect("UTF-8"),
            "--run-dir",
            podtui.path().join("other").to_str().expect("UTF-8"),
        ])
        .stdin(Stdio::null())
        .output()
        .expect("podtui starts");
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("state"), "{text}");
    podtui.kill_engine();
    let commands: Vec<_> = (0..10)
        .map(|_| {
            podtui
                .command(&["get", "pods", "-o", "name"])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("podtui starts")
        })
        .collect();
    for command in commands {
        let output = command.wait_with_output().expect("podtui ends");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "pod/a\n",
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    assert_eq!(podtui.container_pid("a", "c"), pid);
    let needle = podtui.path().display().to_string();
    let engines = || {
        crate::support::processes()
            .into_iter()
            .filter(|pid| {
                let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
                String::from_utf8_lossy(&command).contains("serve")
                    && (String::from_utf8_lossy(&environment).contains(&needle)
                        || String::from_utf8_lossy(&command).contains(&needle))
            })
            .count()
    };
    podtui.wait("all engines but one to end", || {
        (engines() == 1).then_some(())
    });
    // And that one is the one that answers.
    assert_eq!(
        podtui.ok(&["get", "pods", "-o", "name"]),
        "pod/a
"
    );
    podtui.delete_all();
}

/// A small file system as state directory, gone again however the test ends.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: PathBuf) -> Self {
        fs::create_dir_all(&path).expect("a directory");
        let disk = Self(path);
        disk.option("size=1g,mode=700", &["-t", "tmpfs", "podtui-test"]);
        disk
    }

    fn option(&self, option: &str, rest: &[&str]) {
        let mut command = Command::new("mount");
        let mounted = command
            .args(["-o", option])
            .args(rest)
            .arg(&self.0)
            .status();
        assert!(
            mounted.is_ok_and(|status| status.success()),
            "mount -o {option}"
        );
    }

    /// Makes the disk as small as what is on it, then takes what is left of the last pages.
    fn fill(&self) {
        let used = rustix::fs::statvfs(&self.0).expect("statvfs");
        let bytes = (used.f_blocks - used.f_bfree + 4) * used.f_frsize;
        self.option(&format!("remount,size={bytes}"), &[]);
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.0.join("filler"))
            .expect("the filler opens");
        for size in [4096, 1] {
            while file.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    fn free(&self) {
        self.option("remount,size=1g", &[]);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the log of the engine may still be open. Nothing of it stays when that ends.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A full disk refuses writes with the reason, applies nothing by half, and running pods go on.
#[test]
fn a_full_disk_is_said_and_survived() {
    require_root!();
    let podtui = Podtui::idle();
    let disk = SmallDisk::mount(podtui.state());
    podtui.serve();
    podtui.apply(&sleeper("logger").replace(
        "[sleep, '1000000']",
        "[bash, -c, 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done']",
    ));
    podtui.wait_running("logger");
    let pid = podtui.container_pid("logger", "c");
    podtui.apply(&map("before", 10));
    disk.fill();
    for round in 0..3 {
        let begin = Instant::now();
        let output = podtui.apply_output(&map(&format!("refused{round}"), 100_000));
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "a full disk took the object");
        assert!(
            text.contains("No space left on device") || text.contains("no space left"),
            "{text}"
        );
        assert!(begin.elapsed() < Duration::from_secs(5));
    }
    let output = podtui.apply_output(&format!("{}---\n{}", sleeper("held"), map("held", 100_000)));
    println!(
        "a pod on a full disk: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let names = podtui.ok(&["get", "configmaps", "-o", "name"]);
    assert_eq!(
        names, "configmap/before\nconfigmap/kube-root-ca.crt\n",
        "half of a refused write is there"
    );
    assert!(is_alive(pid), "the container died of a full disk");
    assert_eq!(status(&podtui.pod("logger"), "c")["restartCount"], 0);
    podtui.ok(&["exec", "logger", "--", "true"]);
    // A pod is refused with the way out. What happens is still seen, and said to be unsaved.
    let output = podtui.apply_output(&sleeper("big").replace(
        "name: big",
        &format!("name: big, annotations: {{a: {}}}", "y".repeat(50_000)),
    ));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && text.contains("Free some space and try again"),
        "{text}"
    );
    crate::support::kill(pid);
    podtui.wait("the restart to be seen", || {
        let pod = podtui.try_pod("logger")?;
        let status = status(&pod, "c");
        (status["restartCount"] == 1 && status["state"]["running"].is_object()).then_some(())
    });
    podtui.wait("the full disk to be told", || {
        let told = podtui.ok(&["engine", "status"]);
        let event = podtui.ok(&["events", "-A"]);
        (told.contains("kept in memory only") && event.contains("StateNotSaved")).then_some(())
    });
    disk.free();
    podtui.wait("everything to be saved", || {
        let event = podtui.ok(&["events", "-A"]);
        event
            .contains("everything is on the disk again")
            .then_some(())
    });
    assert!(!podtui.ok(&["engine", "status"]).contains("in memory only"));
    let pid = podtui.container_pid("logger", "c");
    disk.fill();
    // An engine that dies now comes back.
    podtui.kill_engine();
    disk.free();
    podtui.serve();
    assert_eq!(
        podtui.ok(&["get", "configmaps", "-o", "name"]),
        "configmap/before\nconfigmap/kube-root-ca.crt\n"
    );
    assert_eq!(podtui.container_pid("logger", "c"), pid);
    assert_eq!(status(&podtui.pod("logger"), "c")["restartCount"], 1);
    podtui.apply(&map("after", 100_000));
    // The log goes on, in whole lines.
    let count = || podtui.ok(&["logs", "logger", "--tail=1"]);
    let line = count();
    podtui.wait("the log to go on", || (count() != line).then_some(()));
    for line in podtui.ok(&["logs", "logger"]).lines() {
        assert!(line.parse::<u64>().is_ok(), "{line:?} is half a line");
    }
    podtui.ok(&["delete", "pods", "--all", "--grace-period=0", "--force"]);
    // An engine is started on a full disk and says so, or serves what there is.
    podtui.ok(&["engine", "stop", "--stop-pods"]);
    podtui.wait("the engine to end", || {
        (!podtui.run().join("api.sock").exists()).then_some(())
    });
    disk.fill();
    let begin = Instant::now();
    let output = podtui.output(&["get", "configmaps", "-o", "name"]);
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "{:?}",
        begin.elapsed()
    );
    if output.status.success() {
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "configmap/after\nconfigmap/before\nconfigmap/kube-root-ca.crt\n"
        );
    } else {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.to_lowercase().contains("no space left"), "{text}");
    }
    podtui.output(&["engine", "stop", "--stop-pods"]);
    disk.free();
}
