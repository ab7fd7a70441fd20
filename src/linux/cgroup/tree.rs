//! One mounted cgroup tree, and what is done to a directory and everything below it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use super::error::CgroupError;
use super::files;
use crate::base::Pid;

/// A v1 tree with its controllers, or the cgroup2 tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tree {
    pub(super) mount: PathBuf,
    /// Names as in /proc/cgroups; for cgroup2 those of `cgroup.controllers` at its root.
    pub(super) controllers: Vec<String>,
    pub(super) unified: bool,
}

impl Tree {
    pub(super) fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|name| name == controller)
    }
}

/// The sub-directories (child groups) of a group; empty when it is gone.
fn children(directory: &Path) -> Result<Vec<PathBuf>, CgroupError> {
    let fail = |source| CgroupError::Read {
        path: directory.to_owned(),
        source,
    };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if files::is_missing(&error) => return Ok(Vec::new()),
        Err(error) => return Err(fail(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if files::is_missing(&error) => break,
            Err(error) => return Err(fail(error)),
        };
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// The group and all groups below it, parents first.
pub(super) fn descendants(directory: &Path) -> Result<Vec<PathBuf>, CgroupError> {
    let mut all = vec![directory.to_owned()];
    let mut next = 0;
    while let Some(group) = all.get(next).cloned() {
        all.extend(children(&group)?);
        next += 1;
    }
    Ok(all)
}

/// Processes of the group and of every group below it.
pub(super) fn processes(directory: &Path) -> Result<Vec<Pid>, CgroupError> {
    let mut pids = Vec::new();
    for group in descendants(directory)? {
        pids.extend(files::processes(&group)?);
    }
    Ok(pids)
}

/// Sends SIGKILL to every process of the group and below; true when there was none.
pub(super) fn signal_all(directory: &Path) -> Result<bool, CgroupError> {
    let pids = processes(directory)?;
    for pid in &pids {
        // A pid of 0 is a process of another pid namespace, which cannot be named from here.
        if pid.as_raw() <= 0 {
            continue;
        }
        match kill(nix::unistd::Pid::from_raw(pid.as_raw()), Signal::SIGKILL) {
            Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
            Err(errno) => {
                return Err(CgroupError::Signal {
                    path: directory.to_owned(),
                    pid: *pid,
                    source: errno.into(),
                });
            }
        }
    }
    Ok(pids.is_empty())
}

/// How a group that is not empty is treated by [`remove`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum IfBusy {
    /// Leave it, as others use it.
    Leave,
    /// Try again for a moment: its last process may be on its way out.
    Retry,
}

/// Removes one group. A missing one is fine. Returns whether it is gone.
pub(super) fn remove(directory: &Path, busy: IfBusy) -> Result<bool, CgroupError> {
    let deadline = Instant::now() + Duration::from_millis(500);
    let mut pause = Duration::from_micros(200);
    loop {
        match fs::remove_dir(directory) {
            Ok(()) => return Ok(true),
            Err(error) if files::is_missing(&error) => return Ok(true),
            Err(error) if matches!(error.raw_os_error(), Some(libc::EBUSY | libc::ENOTEMPTY)) => {
                if busy == IfBusy::Leave {
                    return Ok(false);
                }
                if Instant::now() >= deadline {
                    return Err(failed_removal(directory, error));
                }
            }
            Err(error) => return Err(failed_removal(directory, error)),
        }
        // There is no event for "the last task has left" that v1 offers; a process is counted until
        // it has been reaped far enough, which takes well under a millisecond.
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

fn failed_removal(directory: &Path, source: io::Error) -> CgroupError {
    CgroupError::Remove {
        path: directory.to_owned(),
        source,
    }
}

/// Removes every group below `directory`, and itself, deepest first.
pub(super) fn remove_all(directory: &Path) -> Result<(), CgroupError> {
    for group in descendants(directory)?.iter().rev() {
        remove(group, IfBusy::Retry)?;
    }
    Ok(())
}
