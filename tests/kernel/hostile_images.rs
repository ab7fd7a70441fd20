//! Images whose root file system tries to lead the engine somewhere else. In every test a directory beside
//! the engine's own is the victim: whatever the image says, it stays as it was.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::{Value, json};

use crate::support::image::{Rootfs, text};
use crate::support::{Podtui, status};

const SLEEP: &str = "    command: [sleep, '1000000']\n";

/// A pod of one container of `localhost/IMAGE` that is not started twice.
fn pod(image: &str, container: &str, rest: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {image}}}\nspec:\n  restartPolicy: Never\n  terminationGracePeriodSeconds: 0\n  containers:\n  - name: c\n    image: localhost/{image}\n    imagePullPolicy: Never\n{container}{rest}"
    )
}

/// A directory of the machine that no container may touch.
struct Victim {
    path: PathBuf,
    before: BTreeMap<PathBuf, String>,
}

impl Victim {
    fn new(podtui: &Podtui) -> Self {
        let path = podtui.path().join("victim");
        fs::create_dir_all(path.join("inner")).expect("a directory");
        fs::write(path.join("file"), "untouched\n").expect("a file");
        // Mount points that an attacker would like to be used.
        fs::write(path.join("null"), "").expect("a file");
        fs::create_dir(path.join("pts")).expect("a directory");
        let before = listing(&path);
        Self { path, before }
    }

    fn text(&self) -> &str {
        text(&self.path)
    }

    fn sub(&self, name: &str) -> String {
        format!("{}/{name}", self.text())
    }

    #[track_caller]
    fn check(&self, what: &str) {
        assert_eq!(listing(&self.path), self.before, "{what}");
    }
}

/// Owner, mode, times and content of everything below a directory, without following links.
fn listing(path: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in walkdir::WalkDir::new(path) {
        let entry = entry.expect("readable");
        let meta = fs::symlink_metadata(entry.path()).expect("stat");
        let content = if meta.is_file() {
            fs::read_to_string(entry.path()).expect("text")
        } else {
            String::new()
        };
        let facts = format!(
            "{:o} {}:{} {} {} {content}",
            meta.mode(),
            meta.uid(),
            meta.gid(),
            meta.ctime(),
            meta.ctime_nsec()
        );
        found.insert(entry.into_path(), facts);
    }
    found
}

/// Waits until the container runs or is refused; the terminated or waiting state in the second case.
fn outcome(podtui: &Podtui, name: &str) -> Result<(), Value> {
    podtui.learn_names();
    podtui.wait(&format!("{name} to start or to be refused"), || {
        podtui.learn_names();
        let pod = podtui.try_pod(name)?;
        let state = &status(&pod, "c")["state"];
        if state["running"].is_object() {
            return Some(Ok(()));
        }
        let waiting = state["waiting"]["reason"].as_str().unwrap_or_default();
        (state["terminated"].is_object() || waiting.contains("Error")).then(|| Err(state.clone()))
    })
}

#[track_caller]
fn refused(podtui: &Podtui, name: &str) -> String {
    match outcome(podtui, name) {
        Ok(()) => panic!("{name} runs"),
        Err(state) => state.to_string(),
    }
}

#[track_caller]
fn runs(podtui: &Podtui, name: &str) {
    if let Err(state) = outcome(podtui, name) {
        panic!("{name} does not run: {state}");
    }
}

fn sh(podtui: &Podtui, pod: &str, script: &str) -> String {
    let output = podtui.output(&["exec", pod, "--", "sh", "-c", script]);
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// 4 (CVE-2025-31133), 5 (CVE-2025-52565): what the image has in `/dev` is neither the source of a mask nor
/// the target of the console.
#[test]
fn links_in_dev_are_never_looked_at() {
    require_images!();
    let podtui = Podtui::start();
    let victim = Victim::new(&podtui);
    Rootfs::new()
        .directory("dev")
        .link("dev/null", &victim.sub("null"))
        .link("dev/console", &victim.sub("file"))
        .link("dev/pts", &victim.sub("pts"))
        .link("dev/shm", &victim.sub("inner"))
        .link("dev/mqueue", &victim.sub("inner"))
        .link("dev/ptmx", &victim.sub("file"))
        .link("dev/termination-log", &victim.sub("file"))
        .import(&podtui, "dev-links");
    podtui.apply(&pod(
        "dev-links",
        &format!("    tty: true\n    stdin: true\n{SLEEP}"),
        "",
    ));
    runs(&podtui, "dev-links");
    let seen = sh(
        &podtui,
        "dev-links",
        "stat -c '%F %t:%T' /dev/null; stat -c '%F %t' /dev/console; \
         for file in kcore keys timer_list latency_stats sched_debug; do \
           test -e /proc/$file && echo masked $(stat -c '%t:%T' /proc/$file) $(cat /proc/$file); done; \
         readlink /dev/null; echo x > /dev/null; echo y > /dev/console; test -f /dev/shm/x && echo leak; ls /dev/pts",
    );
    assert!(seen.contains("character special file 1:3\n"), "{seen}");
    assert!(
        seen.contains("character special file 88\n"),
        "the console is no pts: {seen}"
    );
    let masked: Vec<&str> = seen
        .lines()
        .filter(|line| line.starts_with("masked"))
        .collect();
    assert!(!masked.is_empty(), "{seen}");
    assert!(
        masked.iter().all(|line| *line == "masked 1:3"),
        "{masked:?}"
    );
    assert!(!seen.contains("leak") && !seen.contains("victim"), "{seen}");
    victim.check("links in /dev");
    podtui.delete_all();
    victim.check("links in /dev, after the pod");
}

/// 6 (CVE-2019-19921, CVE-2023-27561, CVE-2025-52881), 7 (CVE-2026-41579): a kernel file system is not
/// mounted through a link of the image.
#[test]
fn linked_kernel_directories_are_refused() {
    require_images!();
    let podtui = Podtui::start();
    let victim = Victim::new(&podtui);
    let up = format!("../../../../../../../..{}", victim.text());
    let cases = [
        ("proc-abs", Rootfs::new().link("proc", victim.text())),
        ("proc-up", Rootfs::new().link("proc", &up)),
        (
            "proc-in",
            Rootfs::new().directory("tmp").link("proc", "tmp"),
        ),
        ("proc-file", Rootfs::new().file("proc", b"")),
        ("sys-abs", Rootfs::new().link("sys", victim.text())),
        ("sys-fifo", Rootfs::new().fifo("sys")),
        ("dev-abs", Rootfs::new().link("dev", victim.text())),
        ("dev-up", Rootfs::new().link("dev", &up)),
        ("dev-loop", Rootfs::new().link("dev", "dev")),
    ];
    let names = cases.each_ref().map(|(name, _)| *name);
    for (name, rootfs) in cases {
        rootfs.import(&podtui, name);
        podtui.apply(&pod(name, SLEEP, ""));
    }
    for name in names {
        let state = refused(&podtui, name);
        let kind = &name[..name.find('-').expect("a dash")];
        assert!(
            state.contains(&format!("/{kind}")),
            "{name} is refused for another reason: {state}"
        );
        victim.check(name);
    }
    podtui.delete_all();
}

/// 6: a volume is not mounted over `/proc`, below it or onto the root, also not through a link of the image;
/// a link to a path of the machine leads to a place inside the container.
#[test]
fn volumes_are_mounted_beneath_the_root_only() {
    require_images!();
    let podtui = Podtui::start();
    let victim = Victim::new(&podtui);
    let volume =
        |path: &str| format!("{SLEEP}    volumeMounts: [{{name: v, mountPath: {path}}}]\n");
    let rest = "  volumes: [{name: v, emptyDir: {}}]\n";
    for (name, target) in [
        ("to-proc", "/proc"),
        ("to-sysctl", "/proc/sys/kernel"),
        ("to-self", "/proc/self/attr"),
        ("to-root", "/"),
        ("to-dots", "../../.."),
        ("to-cwd", "/proc/self/cwd"),
    ] {
        Rootfs::new().link("data", target).import(&podtui, name);
        podtui.apply(&pod(name, &volume("/data"), rest));
        refused(&podtui, name);
    }
    Rootfs::new()
        .link("data", victim.text())
        .link("deep", &format!("../../../..{}", victim.sub("new/path")))
        .import(&podtui, "to-host");
    podtui.apply(&pod(
        "to-host",
        &format!("{SLEEP}    volumeMounts: [{{name: v, mountPath: /data}}, {{name: v, mountPath: /deep/x}}]\n"),
        rest,
    ));
    runs(&podtui, "to-host");
    let seen = sh(
        &podtui,
        "to-host",
        &format!("echo written > /data/inside; cat {}", victim.sub("inside")),
    );
    assert_eq!(seen, "written\n");
    victim.check("volumes over links to the machine");
    podtui.delete_all();
    victim.check("volumes over links to the machine, after the pod");
}

/// 9 (CVE-2026-55686, CVE-2024-5154): a WORKDIR and the files in `/etc` are made beneath the root, whatever
/// links lead there.
#[test]
fn helper_files_are_made_beneath_the_root_only() {
    require_images!();
    let podtui = Podtui::start();
    let victim = Victim::new(&podtui);
    let config = |directory: &str| json!({"WorkingDir": directory, "User": "1234:1234"});
    Rootfs::new().link("work", victim.text()).load(
        &podtui,
        "workdir",
        config("/work/made/by/image"),
    );
    Rootfs::new()
        .link("work", &format!("../../../../..{}", victim.text()))
        .load(&podtui, "workdir-up", config("/work/../work/made"));
    Rootfs::new()
        .directory("etc")
        .link("etc/mtab", &victim.sub("file"))
        .link("etc/hosts", &victim.sub("inner/hosts"))
        .link("etc/hostname", &victim.sub("made"))
        .link(
            "etc/resolv.conf",
            &format!("../../../../..{}", victim.sub("file")),
        )
        .load(&podtui, "etc-links", json!({}));
    Rootfs::new()
        .link("etc", victim.text())
        .load(&podtui, "etc-link", json!({}));
    for name in ["workdir", "workdir-up", "etc-links", "etc-link"] {
        podtui.apply(&pod(name, SLEEP, ""));
    }
    for name in ["workdir", "workdir-up", "etc-links", "etc-link"] {
        // Whether it runs is another matter; it must not come out of its root.
        let _ = outcome(&podtui, name);
        victim.check(name);
    }
    runs(&podtui, "workdir");
    assert_eq!(
        sh(&podtui, "workdir", "readlink /proc/self/cwd; stat -c %u ."),
        format!("{}\n1234\n", victim.sub("made/by/image"))
    );
    runs(&podtui, "etc-links");
    let hosts = sh(&podtui, "etc-links", "cat /etc/hosts");
    assert!(
        hosts.starts_with("# Kubernetes-managed hosts file."),
        "{hosts}"
    );
    podtui.delete_all();
    victim.check("files in /etc, after the pods");
}

/// 2 (CVE-2024-21626): a WORKDIR of the image that leads through `/proc` or out of the root.
#[test]
fn an_image_cannot_choose_a_working_directory_outside() {
    require_images!();
    let podtui = Podtui::start();
    for (name, directory, link) in [
        ("fd", "/proc/self/fd/7", "x"),
        ("fd-up", "/proc/self/fd/8/../../../..", "x"),
        ("linked", "/w", "/proc/self/fd/7"),
        ("magic", "/w", "/proc/self/cwd"),
        ("pause", "/w", "/proc/1/root"),
    ] {
        Rootfs::new()
            .link("w", link)
            .load(&podtui, name, json!({"WorkingDir": directory}));
        podtui.apply(&pod(name, SLEEP, ""));
        let state = refused(&podtui, name);
        assert!(state.contains("cwd"), "{name}: {state}");
    }
    podtui.delete_all();
}

/// 9, 43 (CVE-2024-9676, CVE-2025-4437): account files that block, never end or lead elsewhere hold nothing up.
#[test]
fn hostile_account_files_are_refused_at_once() {
    require_images!();
    let podtui = Podtui::start();
    let victim = Victim::new(&podtui);
    fs::write(victim.path.join("file"), "who:x:0:0::/:/bin/sh\n").expect("written");
    let victim = Victim {
        before: listing(&victim.path),
        ..victim
    };
    let etc = || Rootfs::new().directory("etc");
    for (name, rootfs) in [
        ("fifo", etc().fifo("etc/passwd")),
        ("group-fifo", etc().fifo("etc/group")),
        ("huge", etc().file("etc/passwd", &vec![b'a'; 2 << 20])),
        ("linked", etc().link("etc/passwd", &victim.sub("file"))),
        ("device", etc().link("etc/passwd", "/dev/zero")),
        ("directory", etc().directory("etc/passwd")),
    ] {
        let begin = Instant::now();
        rootfs.load(&podtui, name, json!({"User": "who"}));
        podtui.apply(&pod(name, SLEEP, ""));
        refused(&podtui, name);
        assert!(
            begin.elapsed() < Duration::from_secs(5),
            "{name}: {:?}",
            begin.elapsed()
        );
    }
    // A link that stays inside is an ordinary one, wherever it says it leads.
    etc()
        .directory("usr")
        .file("usr/accounts", b"who:x:7:7::/:/bin/sh\n")
        .link("etc/passwd", "/../../usr/accounts")
        .load(&podtui, "inside", json!({"User": "who"}));
    podtui.apply(&pod("inside", SLEEP, ""));
    runs(&podtui, "inside");
    let pid = podtui.container_pid("inside", "c");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    assert!(status.contains("Uid:\t7\t7\t7\t7"), "{status}");
    victim.check("account files");
    podtui.delete_all();
}

/// 8 (CVE-2021-30465): somebody who shares a volume swaps mount points for links while containers start.
/// The swapper is the test itself, which is faster than a sibling container and writes to the same directory.
#[test]
fn swapped_mount_points_lead_nowhere() {
    const PLACES: usize = 8;
    const CONTAINERS: usize = 5;
    require_images!();
    let podtui = Podtui::start();
    let victim = Victim::new(&podtui);
    let shared = podtui.path().join("shared");
    for place in 0..PLACES {
        fs::create_dir_all(shared.join(format!("d{place}"))).expect("a directory");
        let target = match place % 4 {
            0 => victim.text().to_owned(),
            1 => format!("../../../../../../../..{}", victim.text()),
            2 => "/proc/1/root".to_owned(),
            _ => "/".to_owned(),
        };
        std::os::unix::fs::symlink(target, shared.join(format!("l{place}"))).expect("a link");
    }
    Rootfs::new().import(&podtui, "race");
    let mounts: String = (0..PLACES)
        .map(|place| format!(", {{name: w, mountPath: /v/d{place}/made/in{place}}}"))
        .collect();
    let containers: String = (0..CONTAINERS)
        .map(|number| {
            format!(
                "  - name: c{number}\n    image: localhost/race\n    imagePullPolicy: Never\n    command: ['true']\n    volumeMounts: [{{name: v, mountPath: /v}}{mounts}]\n"
            )
        })
        .collect();
    let stop = AtomicBool::new(false);
    let mut starts = 0;
    let mut swaps = 0u64;
    std::thread::scope(|scope| {
        let swapper = scope.spawn(|| {
            let mut count = 0u64;
            let exchange = |place: usize| {
                let name = |letter: char| shared.join(format!("{letter}{place}"));
                renameat_with(CWD, name('d'), CWD, name('l'), RenameFlags::EXCHANGE)
            };
            while !stop.load(Ordering::Relaxed) {
                for place in 0..PLACES {
                    count += u64::from(exchange(place).is_ok());
                }
                // Half a core is enough: others use this machine, too.
                if count.is_multiple_of(64) {
                    std::thread::sleep(Duration::from_micros(200));
                }
            }
            count
        });
        let begin = Instant::now();
        for round in 0.. {
            let name = format!("race{round}");
            podtui.apply(&format!(
                "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: Never\n  terminationGracePeriodSeconds: 0\n  containers:\n{containers}  volumes:\n  - {{name: v, hostPath: {{path: {shared}}}}}\n  - {{name: w, emptyDir: {{}}}}\n",
                shared = text(&shared)
            ));
            podtui.wait(&format!("{name} to end"), || {
                podtui.learn_names();
                let pod = podtui.try_pod(&name)?;
                let ended = (0..CONTAINERS).all(|number| {
                    let state = status(&pod, &format!("c{number}"))["state"].clone();
                    state["terminated"].is_object()
                        || state["waiting"]["reason"]
                            .as_str()
                            .is_some_and(|reason| reason.contains("Error"))
                });
                ended.then_some(())
            });
            podtui.ok(&["delete", "pod", &name, "--grace-period=0", "--force"]);
            starts += CONTAINERS;
            if begin.elapsed() > Duration::from_secs(8) {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
        swaps = swapper.join().expect("no panic");
    });
    println!("{starts} container starts with {PLACES} mounts each against {swaps} swaps");
    assert!(swaps > 1000, "the swapper did not run");
    victim.check("swapped mount points");
    podtui.delete_all();
    victim.check("swapped mount points, after the pods");
}
