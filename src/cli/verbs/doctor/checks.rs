use std::path::Path;

use super::finding::Finding;
use super::machine::Machine;
use crate::cli::context::Mistakes;

/// capabilities(7)
const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_SYS_RESOURCE: u32 = 24;

/// The oldest kernel with every call that is used unconditionally: mount_setattr(2) came with 5.12.
const MINIMUM_KERNEL: (u32, u32) = (5, 12);

pub(super) fn all(machine: &Machine) -> Vec<Finding> {
    let mut findings = vec![kernel(machine), user(machine)];
    findings.extend(cgroups(machine));
    findings.push(namespaces(machine));
    findings.push(overlay(machine));
    findings.extend(capabilities(machine));
    findings.push(seccomp(machine));
    findings.push(apparmor(machine));
    findings.extend(network(machine));
    findings.push(user_namespaces(machine));
    findings
}

pub(super) fn configuration(mistakes: &Mistakes) -> Vec<Finding> {
    const SUBJECT: &str = "configuration";
    let engine = mistakes.engine.iter().map(|mistake| {
        let mend = "mend that line; an engine that runs keeps what it has read";
        Finding::missing(SUBJECT, mistake, mend)
    });
    let screen = mistakes.screen.iter().map(|mistake| {
        let mend = "mend that line; the screen goes on without it";
        Finding::limited(SUBJECT, mistake, mend)
    });
    engine.chain(screen).collect()
}

fn kernel(machine: &Machine) -> Finding {
    let Some(release) = machine.release() else {
        return Finding::missing("kernel", "/proc is not readable", "mount /proc");
    };
    let mut parts = release
        .split(['.', '-'])
        .map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    let (major, minor) = MINIMUM_KERNEL;
    if version < MINIMUM_KERNEL {
        return Finding::missing(
            "kernel",
            release,
            format!("Linux {major}.{minor} or newer is needed (mount_setattr)"),
        );
    }
    Finding::ok("kernel", release)
}

fn user(machine: &Machine) -> Finding {
    match machine.effective_uid() {
        Some(0) if machine.has_capability(CAP_SYS_ADMIN) => Finding::ok("user", "root"),
        Some(0) => Finding::missing(
            "user",
            "root without CAP_SYS_ADMIN",
            "podtui runs in a container that may not mount; start that container privileged, or use the machine itself",
        ),
        Some(uid) => Finding::missing(
            "user",
            format!("user {uid}"),
            "run the engine as root: sudo podtui",
        ),
        None => Finding::missing("user", "/proc/self/status is not readable", "mount /proc"),
    }
}

fn cgroups(machine: &Machine) -> Vec<Finding> {
    const WANTED: [&str; 3] = ["cpu", "memory", "pids"];

    let mounts = machine.mounts();
    let unified = mounts.iter().find(|mount| mount.kind == "cgroup2");
    let v1: Vec<&str> = mounts
        .iter()
        .filter(|mount| mount.kind == "cgroup")
        .flat_map(|mount| mount.options.split(','))
        .collect();
    let v2_text = unified
        .and_then(|mount| machine.read(&mount.point.join("cgroup.controllers").to_string_lossy()))
        .unwrap_or_default();
    let v2: Vec<&str> = v2_text.split_whitespace().collect();
    let version = match (
        unified.is_some(),
        v1.iter().any(|name| WANTED.contains(name)),
    ) {
        (false, false) => {
            return vec![Finding::missing(
                "cgroup",
                "no cgroup file system is mounted",
                "mount -t cgroup2 none /sys/fs/cgroup",
            )];
        }
        (true, false) => "v2",
        (false, true) => "v1",
        (true, true) => "hybrid (v1 and v2)",
    };
    let mut findings = vec![Finding::ok("cgroup", version)];
    let missing: Vec<&str> = WANTED
        .into_iter()
        .filter(|name| !v1.contains(name) && !v2.contains(name))
        .collect();
    findings.push(if missing.is_empty() {
        Finding::ok("controllers", WANTED.join(" "))
    } else {
        let list = missing.join(" ");
        Finding::limited(
            "controllers",
            format!("{list} not available: such limits of pods have no effect"),
            format!(
                "kernel command line: cgroup_enable={}",
                missing.join(" cgroup_enable=")
            ),
        )
    });
    if !v1.contains(&"hugetlb") && !v2.contains(&"hugetlb") && machine.has_huge_pages() {
        findings.push(Finding::limited(
            "huge pages",
            "there are some, but no hugetlb controller: such limits of pods have no effect",
            "use a kernel with CONFIG_CGROUP_HUGETLB",
        ));
    }
    if version == "v1" {
        findings.push(Finding::limited(
            "cgroup kill",
            "cgroup v1 has no cgroup.kill and no memory.oom.group",
            "boot with systemd.unified_cgroup_hierarchy=1 for cgroup v2",
        ));
    }
    findings
}

fn namespaces(machine: &Machine) -> Finding {
    const WANTED: [&str; 6] = ["mnt", "pid", "net", "ipc", "uts", "cgroup"];

    let missing: Vec<&str> = WANTED
        .into_iter()
        .filter(|name| !machine.exists(&format!("/proc/self/ns/{name}")))
        .collect();
    if missing.is_empty() {
        return Finding::ok("namespaces", WANTED.join(" "));
    }
    Finding::missing(
        "namespaces",
        format!("{} not in this kernel", missing.join(" ")),
        "use a kernel with CONFIG_NAMESPACES",
    )
}

fn overlay(machine: &Machine) -> Finding {
    let known = machine.read("/proc/filesystems").unwrap_or_default();
    if known
        .lines()
        .any(|line| line.split_whitespace().last() == Some("overlay"))
    {
        return Finding::ok("overlayfs", "in the kernel");
    }
    if machine.has_module("overlay", "ovl_fill_super") {
        return Finding::ok("overlayfs", "loadable module");
    }
    Finding::missing(
        "overlayfs",
        "not in this kernel",
        "use a kernel with CONFIG_OVERLAY_FS",
    )
}

fn capabilities(machine: &Machine) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !machine.has_capability(CAP_NET_ADMIN) {
        findings.push(Finding::missing(
            "CAP_NET_ADMIN",
            "not held: pod networks cannot be made",
            "run the engine as root with all capabilities; pods with hostNetwork still work",
        ));
    }
    findings.push(if machine.has_capability(CAP_SYS_RESOURCE) {
        Finding::ok("CAP_SYS_RESOURCE", "held")
    } else {
        Finding::limited(
            "CAP_SYS_RESOURCE",
            "not held: oom_score_adj cannot be lowered, hard limits cannot be raised",
            "run the engine as root with all capabilities",
        )
    });
    findings
}

fn seccomp(machine: &Machine) -> Finding {
    if machine.exists("/proc/sys/kernel/seccomp/actions_avail") {
        return Finding::ok("seccomp", "filters available");
    }
    Finding::limited(
        "seccomp",
        "no filters in this kernel: containers run without the default profile",
        "use a kernel with CONFIG_SECCOMP_FILTER",
    )
}

/// A machine without it, like one with another security module, is no trouble.
fn apparmor(machine: &Machine) -> Finding {
    let subject = "AppArmor";
    let enabled = machine.read("/sys/module/apparmor/parameters/enabled");
    if enabled.is_none_or(|text| !text.starts_with('Y')) {
        return Finding::ok(
            subject,
            "not in use: containers run without it, pods that ask for a profile are refused",
        );
    }
    if !machine.exists("/sys/kernel/security/apparmor") {
        return Finding::limited(
            subject,
            "in use, but securityfs is not mounted: as if it were not",
            "mount -t securityfs securityfs /sys/kernel/security",
        );
    }
    match machine.program("apparmor_parser") {
        Some(_) => Finding::ok(subject, "containers get the profile podtui-default"),
        None => Finding::limited(
            subject,
            "apparmor_parser is not installed: containers run without a profile, and RuntimeDefault cannot be had",
            "install apparmor",
        ),
    }
}

fn network(machine: &Machine) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, function) in [("bridge", "br_add_if"), ("veth", "veth_newlink")] {
        findings.push(if machine.has_module(name, function) {
            Finding::ok(name, "available")
        } else {
            Finding::limited(
                name,
                "not in this kernel: pod networks cannot be made",
                format!("modprobe {name}"),
            )
        });
    }
    findings.push(match machine.program("nft") {
        Some(path) => Finding::ok("nft", path.display().to_string()),
        None => Finding::limited(
            "nft",
            "not installed: host ports and Services will not work",
            "install nftables",
        ),
    });
    findings.push(if machine.exists("/dev/net/tun") {
        Finding::ok("/dev/net/tun", "present")
    } else {
        Finding::limited(
            "/dev/net/tun",
            "not present: networks of ordinary users will not work",
            "modprobe tun",
        )
    });
    findings
}

fn user_namespaces(machine: &Machine) -> Finding {
    let subject = "user namespaces";
    if !machine.exists("/proc/self/ns/user")
        || machine.number("/proc/sys/user/max_user_namespaces") == Some(0)
    {
        return Finding::limited(
            subject,
            "switched off",
            "sysctl user.max_user_namespaces=15000",
        );
    }
    if machine.number("/proc/sys/kernel/unprivileged_userns_clone") == Some(0) {
        return Finding::limited(
            subject,
            "for root only",
            "sysctl kernel.unprivileged_userns_clone=1",
        );
    }
    if machine.number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == Some(1) {
        return Finding::limited(
            subject,
            "restricted by AppArmor",
            "sysctl kernel.apparmor_restrict_unprivileged_userns=0",
        );
    }
    Finding::ok(subject, "also for ordinary users")
}

/// Shims and exit records live in the run directory; it must not survive a reboot.
pub(super) fn run_directory(machine: &Machine, run_dir: &Path) -> Finding {
    let place = run_dir.display();
    match machine.file_system(run_dir).as_deref() {
        Some("tmpfs" | "ramfs") => Finding::ok("run directory", format!("{place} (tmpfs)")),
        other => Finding::limited(
            "run directory",
            format!(
                "{place} is on {}",
                other.unwrap_or("an unknown file system")
            ),
            "choose a directory on tmpfs with --run-dir",
        ),
    }
}

/// `refusal`: why nothing can be written there, in the words of the system.
pub(super) fn state_directory(
    free: Option<u64>,
    refusal: Option<&str>,
    state_dir: &Path,
) -> Finding {
    const LITTLE: u64 = 1 << 30;

    let place = state_dir.display();
    if let Some(refusal) = refusal {
        return Finding::missing(
            "state directory",
            format!("{place} cannot be written: {refusal}"),
            "make it writable (chown, chmod; mount -o remount,rw), or choose another place with --state-dir",
        );
    }
    match free {
        Some(free) if free >= LITTLE => Finding::ok(
            "state directory",
            format!("{place}, {} MiB free", free >> 20),
        ),
        Some(free) => Finding::limited(
            "state directory",
            format!("{place}, only {} MiB free", free >> 20),
            "make room, or choose another place with --state-dir",
        ),
        None => Finding::limited(
            "state directory",
            format!("{place}: free space is unknown"),
            "",
        ),
    }
}

/// The clock of a machine that lost it stands in the past; ages and certificates would be wrong.
pub(super) fn clock(now_seconds: i64, program_seconds: Option<i64>) -> Finding {
    match program_seconds {
        Some(built) if now_seconds < built => Finding::limited(
            "clock",
            "stands before the time this program was installed",
            "set the clock (timedatectl set-ntp true)",
        ),
        _ => Finding::ok("clock", "plausible"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::finding::Level;
    use super::*;

    /// A machine with everything; tests take things away.
    fn machine() -> (tempfile::TempDir, Machine) {
        let directory = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("proc/sys/kernel/osrelease", "6.1.0-42-amd64\n");
        write(
            "proc/self/status",
            "Name:\tx\nUid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\n",
        );
        write(
            "proc/self/mountinfo",
            "22 1 0:20 / / rw - ext4 /dev/vda rw\n23 22 0:21 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n24 22 0:22 / /run rw - tmpfs tmpfs rw\n",
        );
        write(
            "sys/fs/cgroup/cgroup.controllers",
            "cpuset cpu io memory pids\n",
        );
        for name in ["mnt", "pid", "net", "ipc", "uts", "cgroup", "user"] {
            write(&format!("proc/self/ns/{name}"), "");
        }
        write("proc/filesystems", "nodev\ttmpfs\nnodev\toverlay\n");
        write("proc/sys/kernel/seccomp/actions_avail", "kill errno");
        write("sys/module/bridge/x", "");
        write(
            "lib/modules/6.1.0-42-amd64/modules.builtin",
            "kernel/drivers/net/veth.ko\n",
        );
        write("usr/sbin/nft", "");
        write("dev/net/tun", "");
        write("proc/sys/user/max_user_namespaces", "100");
        let machine = Machine::at(directory.path());
        (directory, machine)
    }

    fn troubles(machine: &Machine) -> Vec<(&'static str, Level)> {
        let findings = all(machine)
            .into_iter()
            .filter(|finding| finding.level != Level::Ok);
        findings
            .map(|finding| (finding.subject, finding.level))
            .collect()
    }

    #[test]
    fn a_complete_machine_has_no_troubles() {
        let (_directory, machine) = machine();
        assert_eq!(troubles(&machine), []);
        assert_eq!(
            run_directory(&machine, Path::new("/run/podtui")).level,
            Level::Ok
        );
        assert_eq!(
            run_directory(&machine, Path::new("/var/run")).found,
            "/var/run is on ext4"
        );
    }

    #[test]
    fn what_is_missing_is_found() {
        let (directory, machine) = machine();
        let write = |path: &str, text: &str| fs::write(directory.path().join(path), text).unwrap();
        write("proc/sys/kernel/osrelease", "4.19.0");
        write(
            "proc/self/status",
            "Uid:\t1000\t1000\t1000\t1000\nCapEff:\t0\n",
        );
        write("sys/fs/cgroup/cgroup.controllers", "cpu pids");
        write("proc/filesystems", "nodev\ttmpfs\n");
        write("proc/sys/user/max_user_namespaces", "0");
        let expected = [
            ("kernel", Level::Missing),
            ("user", Level::Missing),
            ("controllers", Level::Limited),
            ("overlayfs", Level::Missing),
            ("CAP_NET_ADMIN", Level::Missing),
            ("CAP_SYS_RESOURCE", Level::Limited),
            // Its list of built-in modules belongs to the other kernel.
            ("veth", Level::Limited),
            ("user namespaces", Level::Limited),
        ];
        assert_eq!(troubles(&machine), expected);
    }

    #[test]
    fn huge_pages_need_a_controller() {
        let (directory, machine) = machine();
        let pool = directory
            .path()
            .join("sys/kernel/mm/hugepages/hugepages-2048kB");
        fs::create_dir_all(&pool).unwrap();
        fs::write(pool.join("nr_hugepages"), "0\n").unwrap();
        assert_eq!(troubles(&machine), []);
        fs::write(pool.join("nr_hugepages"), "4\n").unwrap();
        assert_eq!(troubles(&machine), [("huge pages", Level::Limited)]);
        let file = directory.path().join("sys/fs/cgroup/cgroup.controllers");
        fs::write(file, "cpu memory pids hugetlb\n").unwrap();
        assert_eq!(troubles(&machine), []);
    }

    #[test]
    fn profiles_need_a_parser_and_securityfs() {
        let (directory, machine) = machine();
        let make = |path: &str, text: &str| {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert_eq!(troubles(&machine), []);
        make("sys/module/apparmor/parameters/enabled", "Y\n");
        assert!(apparmor(&machine).found.contains("securityfs"));
        make("sys/kernel/security/apparmor/profiles", "");
        assert!(apparmor(&machine).found.contains("apparmor_parser"));
        assert_eq!(troubles(&machine), [("AppArmor", Level::Limited)]);
        make("usr/sbin/apparmor_parser", "");
        assert_eq!(troubles(&machine), []);
    }

    #[test]
    fn cgroup_v1_is_enough() {
        let (directory, machine) = machine();
        let text = "23 22 0:21 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n24 22 0:22 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
                    25 22 0:23 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n";
        fs::write(directory.path().join("proc/self/mountinfo"), text).unwrap();
        assert_eq!(troubles(&machine), [("cgroup kill", Level::Limited)]);
    }

    #[test]
    fn a_state_directory_has_to_be_writable() {
        let place = Path::new("/var/lib/podtui");
        let found = state_directory(Some(1 << 40), Some("Read-only file system"), place);
        assert_eq!(found.level, Level::Missing);
        assert_eq!(
            found.found,
            "/var/lib/podtui cannot be written: Read-only file system"
        );
        assert!(found.mend.contains("--state-dir"));
        let found = state_directory(Some(1 << 20), None, place);
        assert_eq!(found.level, Level::Limited);
        let found = state_directory(Some(1 << 40), None, place);
        assert_eq!(found.level, Level::Ok);
    }
}
