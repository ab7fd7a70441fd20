//! The kernel's log (dmesg(1), Documentation/ABI/testing/dev-kmsg), read for one thing: whom the kernel killed
//! for lack of memory. No other interface tells that.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::base::Pid;

/// Records read at most; the ring of a usual machine holds some thousand.
const MAX_RECORDS: usize = 100_000;

/// A process that was killed. The name is its own choice: hostile input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Killed {
    pub(crate) pid: Pid,
    pub(crate) name: String,
    /// Number of the record in the log; it only grows.
    pub(crate) sequence: u64,
}

/// The last process of the group `cgroup` (a path below the mount point), or of a group below it, that was
/// killed for lack of memory and told of behind record `after`. `None` also when the log cannot be read
/// (`kernel.dmesg_restrict`, a container) and when the kernel left it out of there: it limits how often it tells.
pub(crate) fn last_oom_kill(log: &Path, cgroup: &Path, after: u64) -> Option<Killed> {
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(log)
        .ok()?;
    let cgroup = format!("/{}", cgroup.to_str()?.trim_matches('/'));
    let mut found = None;
    for _ in 0..MAX_RECORDS {
        match record(&mut file) {
            Next::Record(text) => found = oom_kill(&text, &cgroup).or(found),
            Next::Skipped => {}
            Next::End => break,
        }
    }
    found.filter(|killed| killed.sequence > after)
}

enum Next {
    Record(String),
    /// It was overwritten before it could be read, or was too long.
    Skipped,
    End,
}

/// One read(2) gives one record.
fn record(file: &mut File) -> Next {
    let mut buffer = [0; 8192];
    match file.read(&mut buffer) {
        Ok(0) => Next::End,
        Ok(length) => Next::Record(String::from_utf8_lossy(&buffer[..length]).into_owned()),
        Err(error) if error.kind() == ErrorKind::Interrupted => Next::Skipped,
        Err(error) if matches!(error.raw_os_error(), Some(libc::EPIPE | libc::EINVAL)) => {
            Next::Skipped
        }
        Err(_) => Next::End,
    }
}

/// `…oom-kill:constraint=…,task_memcg=/GROUP,task=NAME,pid=PID,uid=UID` (mm/oom_kill.c, dump_oom_victim).
/// The kernel puts the group in front of the name, and pid and uid behind it, so a name cannot forge either.
fn oom_kill(record: &str, cgroup: &str) -> Option<Killed> {
    // `priority,sequence,microseconds,flags…;text`
    let (head, text) = record.split_once(';')?;
    let sequence = head.split(',').nth(1)?.parse().ok()?;
    let line = text.lines().next()?;
    let line = line.strip_prefix("oom-kill:")?;
    let (_, victim) = line.split_once(",task_memcg=")?;
    let below = victim.strip_prefix(cgroup)?;
    let (group, task) = below.split_once(",task=")?;
    if !group.is_empty() && !group.starts_with('/') {
        return None;
    }
    let (task, _) = task.rsplit_once(",uid=")?;
    let (name, pid) = task.rsplit_once(",pid=")?;
    Some(Killed {
        pid: Pid::new(pid.parse().ok()?),
        name: name.to_owned(),
        sequence,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(i32, &str)>) {
        let found = oom_kill(text, "/podtui-1/pod/main");
        let found = found.map(|killed| (killed.pid.as_raw(), killed.name));
        assert_eq!(found, expected.map(|(pid, name)| (pid, name.to_owned())));
    }

    #[test]
    fn the_victim_is_read_and_cannot_be_forged() {
        let head = "6,1,2,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,\
                    oom_memcg=/podtui-1/pod/main";
        let line = |rest: &str| format!("{head},{rest}\n SUBSYSTEM=x\n");
        check(
            &line("task_memcg=/podtui-1/pod/main,task=sh,pid=12,uid=0"),
            Some((12, "sh")),
        );
        check(
            &line("task_memcg=/podtui-1/pod/main/below,task=sh,pid=12,uid=0"),
            Some((12, "sh")),
        );
        check(
            &line("task_memcg=/podtui-1/pod/main,task=a,pid=1,uid=0,pid=12,uid=5"),
            Some((12, "a,pid=1,uid=0")),
        );
        check(
            &line("task_memcg=/podtui-1/pod/main2,task=sh,pid=12,uid=0"),
            None,
        );
        check(&line("task_memcg=/other,task=sh,pid=12,uid=0"), None);
        check(
            "6,1,2,-;usb: task_memcg=/podtui-1/pod/main,task=sh,pid=1,uid=0",
            None,
        );
        check("nothing", None);
    }

    #[test]
    fn a_log_that_cannot_be_read_names_nobody() {
        let found = last_oom_kill(Path::new("/nowhere/kmsg"), Path::new("a"), 0);
        assert_eq!(found, None);
    }
}
