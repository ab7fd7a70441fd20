//! What `/proc` tells of other processes (proc_pid_stat(5), proc_pid_status(5)).
//!
//! Everything a process can choose itself (name, arguments) comes out as lossy UTF-8 of bounded length and is
//! otherwise as it was: hostile input.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use nix::unistd::{SysconfVar, sysconf};

use crate::base::{Pid, ProcessInfo};

/// Bytes of a command line that are read.
const MAX_COMMAND: u64 = 1024;
/// Threads of one process whose children are looked for.
const MAX_THREADS: usize = 64;

/// Reads one process below `proc` (`/proc`). A process that is gone is an error of kind `NotFound`, or ESRCH
/// when it went while it was read.
pub(crate) fn read(proc: &Path, pid: Pid) -> io::Result<ProcessInfo> {
    let directory = proc.join(pid.to_string());
    let stat = fs::read(directory.join("stat"))?;
    let status = fs::read(directory.join("status"))?;
    let stat = Stat::parse(&String::from_utf8_lossy(&stat))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "stat is not as documented"))?;
    let status = String::from_utf8_lossy(&status);
    let last =
        |key: &str| status_field(&status, key).and_then(|text| text.split_whitespace().last());
    Ok(ProcessInfo {
        pid,
        parent: Pid::new(stat.parent),
        inner_pid: last("NSpid:")
            .and_then(|text| text.parse().ok())
            .map_or(pid, Pid::new),
        started_ticks: stat.started_ticks,
        // Real, effective, saved, file system.
        user: status_field(&status, "Uid:")
            .and_then(|text| text.split_whitespace().nth(1)?.parse().ok())
            .unwrap_or_default(),
        name: stat.name,
        command: command(&directory.join("cmdline")),
        state: stat.state,
        threads: stat.threads,
        cpu_nanoseconds: stat.cpu_ticks.saturating_mul(nanoseconds_per_tick()),
        memory_bytes: stat.resident_pages.saturating_mul(page_size()),
        descriptors: descriptors(&directory.join("fd")),
    })
}

/// The children of all threads of a process; empty when it is gone or the kernel does not tell.
pub(crate) fn children(proc: &Path, pid: Pid) -> Vec<Pid> {
    let tasks = fs::read_dir(proc.join(pid.to_string()).join("task"));
    let Ok(tasks) = tasks else { return Vec::new() };
    let mut found = Vec::new();
    for task in tasks.flatten().take(MAX_THREADS) {
        let text = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        found.extend(
            text.split_whitespace()
                .filter_map(|pid| pid.parse().ok().map(Pid::new)),
        );
    }
    found
}

/// Bytes received and sent over the interfaces of the network namespace of a process, without loopback.
pub(crate) fn network_bytes(proc: &Path, pid: Pid) -> io::Result<(u64, u64)> {
    let text = fs::read_to_string(proc.join(pid.to_string()).join("net/dev"))?;
    let mut total = (0u64, 0u64);
    for line in text.lines().skip(2) {
        let Some((name, counters)) = line.split_once(':') else {
            continue;
        };
        if name.trim() == "lo" {
            continue;
        }
        // Eight counters of what was received, then eight of what was sent; bytes come first in both.
        let counter = |index: usize| -> u64 {
            let mut all = counters.split_whitespace();
            all.nth(index)
                .and_then(|text| text.parse().ok())
                .unwrap_or(0)
        };
        total.0 = total.0.saturating_add(counter(0));
        total.1 = total.1.saturating_add(counter(8));
    }
    Ok(total)
}

struct Stat {
    name: String,
    state: char,
    parent: i32,
    cpu_ticks: u64,
    threads: u64,
    started_ticks: u64,
    resident_pages: u64,
}

impl Stat {
    /// `pid (name) state ppid …`; the name may hold anything, parentheses too, so its end is the last one.
    fn parse(text: &str) -> Option<Self> {
        let (head, tail) = text.rsplit_once(')')?;
        let (_, name) = head.split_once('(')?;
        let fields: Vec<&str> = tail.split_whitespace().collect();
        // Field 3 of the manual page is the first here.
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self {
            name: name.to_owned(),
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            cpu_ticks: number(14)?.saturating_add(number(15)?),
            threads: number(20)?,
            started_ticks: number(22)?,
            resident_pages: number(24)?,
        })
    }
}

fn status_field<'a>(status: &'a str, key: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(key))
}

/// Empty for a zombie, a kernel thread and a process that is gone.
fn command(path: &Path) -> String {
    let mut bytes = Vec::new();
    let Ok(file) = fs::File::open(path) else {
        return String::new();
    };
    if file.take(MAX_COMMAND).read_to_end(&mut bytes).is_err() {
        return String::new();
    }
    let end = bytes
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last + 1);
    for byte in &mut bytes[..end] {
        if *byte == 0 {
            *byte = b' ';
        }
    }
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// Since Linux 6.2 the size of the directory is their number; before they are counted.
fn descriptors(directory: &Path) -> Option<u64> {
    let size = fs::metadata(directory).ok()?.len();
    if size > 0 {
        return Some(size);
    }
    u64::try_from(fs::read_dir(directory).ok()?.count()).ok()
}

fn nanoseconds_per_tick() -> u64 {
    let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten();
    let ticks = ticks.and_then(|ticks| u64::try_from(ticks).ok());
    1_000_000_000 / ticks.filter(|&ticks| ticks > 0).unwrap_or(100)
}

fn page_size() -> u64 {
    let size = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|size| u64::try_from(size).ok())
        .unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_pass_for_other_fields() {
        let rest = "0 0 0 -1 0 0 0 0 0 150 50 0 0 20 0 3 0 777 0 42 0";
        let stat = Stat::parse(&format!("9 (a) R 1 (b) S 4 {rest}")).unwrap();
        assert_eq!(stat.name, "a) R 1 (b");
        assert_eq!((stat.state, stat.parent), ('S', 4));
        assert_eq!((stat.cpu_ticks, stat.threads), (200, 3));
        assert_eq!((stat.started_ticks, stat.resident_pages), (777, 42));
        assert!(Stat::parse("9 (a").is_none());
        assert!(Stat::parse("9 (a) S 4 0").is_none());
    }

    #[test]
    fn this_process_is_found() {
        let own = Pid::new(i32::try_from(std::process::id()).unwrap());
        let found = read(Path::new("/proc"), own).unwrap();
        assert_eq!(found.pid, own);
        assert!(found.threads >= 1 && found.memory_bytes > 0);
        assert!(found.descriptors.unwrap() >= 3);
        let gone = read(Path::new("/proc"), Pid::new(i32::MAX)).unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn network_counters_leave_out_loopback() {
        let proc = tempfile::tempdir().unwrap();
        fs::create_dir_all(proc.path().join("7/net")).unwrap();
        fs::write(
            proc.path().join("7/net/dev"),
            "Inter-| Receive | Transmit\n face |bytes\n    lo: 900 1 0 0 0 0 0 0 900 1 0 0 0 0 0 0\n\
             \x20 eth0: 100 1 0 0 0 0 0 0 40 1 0 0 0 0 0 0\n  eth1:5 1 0 0 0 0 0 0 2 1 0 0 0 0 0 0\n",
        )
        .unwrap();
        assert_eq!(network_bytes(proc.path(), Pid::new(7)).unwrap(), (105, 42));
    }

    #[test]
    fn a_command_line_is_one_line_of_bounded_length() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cmdline");
        fs::write(&path, b"sh\0-c\0a b\0\0").unwrap();
        assert_eq!(command(&path), "sh -c a b");
        fs::write(&path, vec![b'x'; 5000]).unwrap();
        assert_eq!(command(&path).len(), 1024);
        fs::write(&path, b"").unwrap();
        assert_eq!(command(&path), "");
    }
}
