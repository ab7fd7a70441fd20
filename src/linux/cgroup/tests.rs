//! Trees made of plain files for detection, and this machine's own cgroups for the rest. A test that
//! may not write to them says so and passes as skipped.

use std::fs;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::*;
use crate::base::Pid;

const ROOT: &str = "/sys/fs/cgroup";
const MIB: i64 = 1 << 20;

fn touch(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[track_caller]
fn check_detect(files: &[(&str, &str)], expected: Option<(Version, &[&str])>) {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        touch(&root.path().join(name), text);
    }
    let found = Hierarchy::detect(root.path());
    match expected {
        Some((version, controllers)) => {
            let found = found.unwrap();
            assert_eq!(found.version(), version);
            assert_eq!(found.controllers(), controllers);
        }
        None => assert!(matches!(found, Err(CgroupError::NotMounted(_)))),
    }
}

#[test]
fn versions_are_told_apart_by_what_is_mounted() {
    check_detect(
        &[("cgroup.controllers", "cpuset cpu io memory hugetlb pids\n")],
        Some((
            Version::V2,
            &["cpu", "cpuset", "hugetlb", "io", "memory", "pids"],
        )),
    );
    check_detect(
        &[
            ("cpu,cpuacct/cgroup.procs", ""),
            ("memory/cgroup.procs", ""),
            ("freezer/cgroup.procs", ""),
            ("net_cls,net_prio/cgroup.procs", ""),
            ("systemd/cgroup.procs", ""),
        ],
        Some((Version::V1, &["cpu", "cpuacct", "freezer", "memory"])),
    );
    check_detect(
        &[
            ("memory/cgroup.procs", ""),
            ("pids/cgroup.procs", ""),
            ("unified/cgroup.procs", ""),
            ("unified/cgroup.controllers", "\n"),
        ],
        Some((Version::Hybrid, &["memory", "pids"])),
    );
    check_detect(
        &[
            ("unified/cgroup.procs", ""),
            ("unified/cgroup.controllers", "memory\n"),
        ],
        Some((Version::V2, &["memory"])),
    );
    check_detect(&[("memory/something", "")], None);
    check_detect(&[("tasks.txt", "")], None);
}

#[test]
fn names_that_are_no_single_directory_are_refused() {
    let root = tempfile::tempdir().unwrap();
    touch(&root.path().join("cgroup.controllers"), "");
    let hierarchy = Hierarchy::detect(root.path()).unwrap();
    for name in [
        "",
        ".",
        "..",
        "a/b",
        "cgroup.procs",
        "a\nb",
        &"x".repeat(256),
    ] {
        let level = Level { name, limits: None };
        assert!(
            matches!(hierarchy.ensure(&[level]), Err(CgroupError::Name(_))),
            "{name:?}"
        );
        assert!(
            matches!(hierarchy.kill_tree(&[name]), Err(CgroupError::Name(_))),
            "{name:?}"
        );
    }
    assert!(matches!(
        hierarchy.kill_tree(&[]),
        Err(CgroupError::Name(_))
    ));
}

/// The groups of one test; whatever a failed test leaves is killed and removed.
struct Fixture {
    hierarchy: Hierarchy,
    top: String,
}

impl Fixture {
    fn new(name: &str) -> Option<Self> {
        let hierarchy = Hierarchy::detect(Path::new(ROOT)).ok()?;
        Self::with(hierarchy, name)
    }

    /// Only the v1 trees of a hybrid machine.
    fn legacy(name: &str) -> Option<Self> {
        let mut mounts = hierarchy::mounts(Path::new(ROOT)).ok()?;
        mounts.retain(|mount| !mount.join("cgroup.controllers").exists());
        let hierarchy = Hierarchy::from_mounts(Path::new(ROOT), mounts).ok()?;
        assert_eq!(hierarchy.version(), Version::V1);
        Self::with(hierarchy, name)
    }

    fn with(hierarchy: Hierarchy, name: &str) -> Option<Self> {
        let top = format!("podtui-test-{name}-{}", std::process::id());
        let fixture = Self { hierarchy, top };
        match fixture.hierarchy.ensure(&fixture.levels(None)) {
            Ok(notes) => {
                for note in notes {
                    let _ = writeln!(std::io::stderr(), "note: {note}");
                }
                Some(fixture)
            }
            Err(error) => {
                let error = crate::base::chain(&error);
                let _ = writeln!(std::io::stderr(), "skipped: {error}");
                None
            }
        }
    }

    fn levels<'a>(&'a self, limits: Option<&'a Limits>) -> [Level<'a>; 2] {
        [
            Level {
                name: &self.top,
                limits: None,
            },
            Level {
                name: "pod",
                limits,
            },
        ]
    }

    fn names(&self) -> [&str; 2] {
        [&self.top, "pod"]
    }

    fn leaf(&self, name: &str, limits: &Limits) -> Cgroup {
        let (group, notes) = self
            .hierarchy
            .create_leaf(&self.names(), name, limits)
            .unwrap();
        assert_eq!(notes, Vec::<String>::new());
        group
    }

    fn mounts(&self) -> Vec<std::path::PathBuf> {
        let trees = self.hierarchy.trees().iter();
        trees.map(|tree| tree.mount.clone()).collect()
    }

    /// The value of the first of these files that exists in the group, in any tree.
    #[track_caller]
    fn value(&self, group: &Cgroup, v1: &str, v2: &str) -> String {
        let file = if self.hierarchy.version() == Version::V2 {
            v2
        } else {
            v1
        };
        let mut paths = self
            .mounts()
            .into_iter()
            .map(|mount| mount.join(group.path()).join(file));
        let path = paths.find(|path| path.exists()).unwrap();
        fs::read_to_string(path).unwrap().trim().to_owned()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let killed = self.hierarchy.kill_tree(&[&self.top]);
        if !std::thread::panicking() {
            killed.unwrap();
            for mount in self.mounts() {
                assert!(!mount.join(&self.top).exists());
            }
        }
    }
}

/// A shell that waits for a line on its standard input before it runs the script.
fn shell(group: &Cgroup, script: &str) -> Child {
    let child = Command::new("sh")
        .args(["-c", &format!("read go; {script}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    group.add(pid_of(&child)).unwrap();
    child
}

fn pid_of(child: &Child) -> Pid {
    Pid::new(i32::try_from(child.id()).unwrap())
}

fn go(child: &mut Child) {
    child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn limits_are_written_and_changed_in_both_directions() {
    let Some(fixture) = Fixture::new("limits") else {
        return;
    };
    let limits = Limits {
        cpu_shares: Some(512),
        cpu_weight: Some(20),
        cpu_quota: Some(50_000),
        cpu_period: Some(100_000),
        memory_limit: Some(64 * MIB),
        swap_limit: Some(0),
        oom_group: true,
        pids_limit: Some(100),
        huge_pages: [(2 << 20, 0)].into(),
    };
    let group = fixture.leaf("limits", &limits);
    let memory = |group: &Cgroup| fixture.value(group, "memory.limit_in_bytes", "memory.max");
    assert_eq!(memory(&group), (64 * MIB).to_string());
    assert_eq!(fixture.value(&group, "pids.max", "pids.max"), "100");
    assert_eq!(
        fixture
            .value(&group, "cpu.cfs_quota_us", "cpu.max")
            .split(' ')
            .next(),
        Some("50000")
    );
    assert_eq!(
        fixture.value(&group, "cpu.shares", "cpu.weight"),
        match fixture.hierarchy.version() {
            Version::V2 => "20",
            _ => "512",
        }
    );
    for mebibytes in [128, 32, 256, 16] {
        let change = Limits {
            memory_limit: Some(mebibytes * MIB),
            swap_limit: Some(0),
            ..Limits::default()
        };
        assert_eq!(group.apply(&change).unwrap(), Vec::<String>::new());
        assert_eq!(memory(&group), (mebibytes * MIB).to_string());
    }
    let none = Limits {
        memory_limit: Some(-1),
        swap_limit: Some(-1),
        cpu_quota: Some(-1),
        pids_limit: Some(-1),
        ..Limits::default()
    };
    group.apply(&none).unwrap();
    assert_eq!(fixture.value(&group, "pids.max", "pids.max"), "max");
    assert!(["max", "9223372036854771712"].contains(&memory(&group).as_str()));
    assert!(
        ["-1", "max 100000"].contains(
            &fixture
                .value(&group, "cpu.cfs_quota_us", "cpu.max")
                .as_str()
        )
    );
    // The pod's own level, and again without any change.
    let pod = Limits {
        memory_limit: Some(512 * MIB),
        ..Limits::default()
    };
    for _ in 0..2 {
        fixture
            .hierarchy
            .ensure(&fixture.levels(Some(&pod)))
            .unwrap();
    }
    let pod = fixture.hierarchy.open(&fixture.names()).unwrap();
    assert_eq!(memory(&pod), (512 * MIB).to_string());
    group.remove().unwrap();
    group.remove().unwrap();
}

#[test]
fn a_group_counts_kills_and_goes_away() {
    let Some(fixture) = Fixture::new("kill") else {
        return;
    };
    let group = fixture.leaf("a", &Limits::default());
    assert_eq!(
        group.unified_dir().is_some(),
        fixture.hierarchy.version() != Version::V1
    );
    let mut child = shell(&group, "sleep 1000 & sleep 1000 & while :; do :; done");
    go(&mut child);
    wait_until("three processes", || group.processes().unwrap().len() == 3);
    wait_until("some processor time", || {
        group.stats().unwrap().cpu_ns > 1_000_000
    });
    let stats = group.stats().unwrap();
    assert_eq!(stats.processes, 3);
    assert!(stats.memory_working_set > 0, "{stats:?}");
    assert!(group.processes().unwrap().contains(&pid_of(&child)));
    group.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    wait_until("an empty group", || group.processes().unwrap().is_empty());
    group.remove().unwrap();
    // Outer levels are removed only when they are empty.
    let other = fixture.leaf("b", &Limits::default());
    fixture
        .hierarchy
        .remove(&[&fixture.top, "pod", "a"])
        .unwrap();
    assert!(other.stats().is_ok());
}

#[test]
fn kill_tree_finds_what_forks_and_what_hides_below() {
    check_kill_tree(Fixture::new("tree"));
}

#[test]
fn kill_tree_works_by_the_freezer_without_cgroup2() {
    check_kill_tree(Fixture::legacy("freezer"));
}

#[track_caller]
fn check_kill_tree(fixture: Option<Fixture>) {
    let Some(fixture) = fixture else {
        return;
    };
    let group = fixture.leaf(
        "a",
        &Limits {
            // Far above what lives at once: a shell that cannot fork ends by itself.
            pids_limit: Some(1000),
            ..Limits::default()
        },
    );
    let mut forking = shell(&group, "while :; do sleep 0.01 & done");
    go(&mut forking);
    let below =
        fixture
            .hierarchy
            .create_leaf(&[&fixture.top, "pod", "a"], "hidden", &Limits::default());
    // A cgroup2 group that holds processes may not pass on controllers; the directory is there all the same.
    if let Ok((below, _)) = below {
        below.add(pid_of(&forking)).unwrap();
    }
    wait_until("some processes", || group.processes().unwrap().len() > 5);
    fixture.hierarchy.kill_tree(&fixture.names()).unwrap();
    assert_eq!(forking.wait().unwrap().signal(), Some(9));
    for mount in fixture.mounts() {
        assert!(!mount.join(&fixture.top).join("pod").exists());
    }
    fixture.hierarchy.kill_tree(&fixture.names()).unwrap();
    fixture.hierarchy.remove(&fixture.names()).unwrap();
}

#[test]
fn a_child_killed_for_memory_is_seen_while_the_main_process_lives() {
    let Some(fixture) = Fixture::new("oom") else {
        return;
    };
    let group = fixture.leaf(
        "a",
        &Limits {
            memory_limit: Some(24 * MIB),
            swap_limit: Some(0),
            ..Limits::default()
        },
    );
    let watch = group.watch_oom().unwrap();
    assert_eq!(watch.kills().unwrap(), 0);
    // tail keeps the unfinished line in memory; the shell lives on.
    let mut child = shell(
        &group,
        "head -c 200m /dev/zero | tail -n 1 | wc -c; echo survived; read end",
    );
    go(&mut child);
    let started = Instant::now();
    while watch.kills().unwrap() == 0 {
        let mut descriptors = [PollFd::new(watch.as_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut descriptors, PollTimeout::from(10_000u16)).unwrap();
        assert_eq!(ready, 1, "no event for a kill");
        watch.drain();
        // v1 tells before the kill.
        std::thread::sleep(Duration::from_millis(1));
        assert!(started.elapsed() < Duration::from_secs(20));
        if fixture.hierarchy.version() != Version::V2 {
            wait_until("the kill that the event announced", || {
                watch.kills().unwrap() > 0
            });
        }
    }
    assert!(watch.kills().unwrap() >= 1);
    assert!(child.try_wait().unwrap().is_none());
    go(&mut child);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("survived"));
    assert!(group.stats().unwrap().memory_peak <= 24 * 1024 * 1024);
    group.remove().unwrap();
    assert_eq!(watch.kills().unwrap(), 0);
}

#[test]
fn devices_outside_the_list_are_denied() {
    let Some(fixture) = Fixture::new("devices") else {
        return;
    };
    let group = fixture.leaf("a", &Limits::default());
    let notes = group.restrict_devices(&DEFAULT_DEVICES).unwrap();
    if !notes.is_empty() {
        let _ = writeln!(std::io::stderr(), "skipped: {notes:?}");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let node = directory.path().join("kmsg").display().to_string();
    // Making a node is allowed, opening that of the kernel's log is not.
    let script = format!(
        "mknod {node} c 1 11 || echo no mknod
         (: < {node}) && echo opened
         (: < /dev/null) && (head -c 1 /dev/urandom >/dev/null) && echo null"
    );
    let mut child = shell(&group, &script);
    go(&mut child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "null\n");
}

/// Pods come and go: the levels above them vanish and appear under everybody's hands.
#[test]
fn levels_are_made_while_others_remove_them() {
    let Some(fixture) = Fixture::new("race") else {
        return;
    };
    let limits = Limits {
        cpu_shares: Some(300),
        cpu_weight: Some(30),
        ..Limits::default()
    };
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let (fixture, limits) = (&fixture, &limits);
            scope.spawn(move || {
                let pod = format!("pod{worker}");
                let names = [fixture.top.as_str(), "shared", "inner", pod.as_str()];
                let levels = names.map(|name| Level {
                    name,
                    limits: (name == "shared").then_some(limits),
                });
                for _ in 0..100 {
                    fixture.hierarchy.ensure(&levels).unwrap();
                    let (group, _) = fixture
                        .hierarchy
                        .create_leaf(&names, "c", &Limits::default())
                        .unwrap();
                    group.remove().unwrap();
                    fixture.hierarchy.remove(&names).unwrap();
                }
            });
        }
    });
}

/// Huge pages are limited by page size where the kernel has the files, and a limit that nobody enforces is told.
#[test]
fn huge_pages_are_limited_by_their_size() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    for name in [
        "hugetlb.2MB.max",
        "hugetlb.2MB.rsvd.max",
        "hugetlb.64KB.max",
    ] {
        std::fs::write(file(name), "").unwrap();
    }
    let limits = Limits {
        huge_pages: [(64 << 10, 0), (2 << 20, 4 << 20), (1 << 30, 1 << 30)].into(),
        ..Limits::default()
    };
    let notes = super::v2::apply(directory.path(), &limits).unwrap();
    let value = |name: &str| std::fs::read_to_string(file(name)).unwrap();
    assert_eq!(value("hugetlb.2MB.max"), (4 << 20).to_string());
    assert_eq!(value("hugetlb.64KB.max"), "0");
    assert_eq!(value("hugetlb.2MB.rsvd.max"), (4 << 20).to_string());
    let [note] = notes.as_slice() else {
        panic!("{notes:?}")
    };
    assert!(
        note.contains("limit of huge pages 1073741824 is not enforced"),
        "{note}"
    );
    std::fs::write(file("hugetlb.2MB.limit_in_bytes"), "").unwrap();
    let tree = super::tree::Tree {
        mount: directory.path().to_owned(),
        controllers: vec!["hugetlb".to_owned()],
        unified: false,
    };
    super::v1::apply(&tree, directory.path(), &limits).unwrap();
    assert_eq!(value("hugetlb.2MB.limit_in_bytes"), (4 << 20).to_string());
    assert_eq!(
        super::v1::missing(&[], &limits),
        ["limit of huge pages is not enforced: no cgroup tree for hugetlb"]
    );
}

/// Beside v1 trees the controllers of the cgroup2 tree are left alone until huge pages are to be limited there.
#[test]
fn a_hybrid_machine_limits_huge_pages_in_its_cgroup2_tree() {
    let root = tempfile::tempdir().unwrap();
    let file = |name: &str| root.path().join(name);
    touch(&file("memory/cgroup.procs"), "");
    for group in ["unified", "unified/a", "unified/a/b"] {
        touch(&file(&format!("{group}/cgroup.procs")), "");
        touch(&file(&format!("{group}/cgroup.controllers")), "hugetlb\n");
        touch(&file(&format!("{group}/cgroup.subtree_control")), "");
    }
    touch(&file("unified/a/b/hugetlb.2MB.max"), "max");
    let hierarchy = Hierarchy::detect(root.path()).unwrap();
    assert_eq!(hierarchy.version(), Version::Hybrid);
    let ensure = |pages: &[(u64, u64)]| {
        let limits = Limits {
            huge_pages: pages.iter().copied().collect(),
            ..Limits::default()
        };
        let level = |name, limits| Level { name, limits };
        hierarchy
            .ensure(&[level("a", None), level("b", Some(&limits))])
            .unwrap()
    };
    let value = |name: &str| fs::read_to_string(file(name)).unwrap();
    assert_eq!(ensure(&[]), [] as [&str; 0]);
    assert_eq!(value("unified/cgroup.subtree_control"), "");
    assert_eq!(ensure(&[(2 << 20, 6 << 20)]), [] as [&str; 0]);
    for group in ["unified", "unified/a", "unified/a/b"] {
        assert_eq!(
            value(&format!("{group}/cgroup.subtree_control")),
            "+hugetlb"
        );
    }
    assert_eq!(value("unified/a/b/hugetlb.2MB.max"), (6 << 20).to_string());
    let [note] = &ensure(&[(1 << 30, 1 << 30)])[..] else {
        panic!("nobody limits pages of 1 GiB")
    };
    assert!(note.contains("hugetlb.1GB.max"), "{note}");
}
