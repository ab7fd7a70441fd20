//! Processes: clone3(2) for a process that is known to have one thread.

#![expect(unsafe_code, reason = "system calls without a safe wrapper")]

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::pidfd::{self, Exit};
use super::{proc, signal};
use crate::base::Pid;

/// Proof that the calling process had one thread when it was made. A child forked from it may therefore
/// use the allocator and every other lock, none of which can be held by a thread that does not exist in
/// the child.
#[derive(Debug)]
pub(crate) struct SingleThreaded(());

impl SingleThreaded {
    /// Asks the kernel: a directory has one link for each subdirectory besides its own two, and the
    /// subdirectories of `/proc/self/task` are the threads (proc(5)).
    pub(crate) fn check() -> io::Result<Self> {
        let links = std::fs::metadata("/proc/self/task")?.nlink();
        if links == 3 {
            Ok(Self(()))
        } else {
            Err(io::Error::other(format!(
                "refusing to fork a process with {} threads",
                links.saturating_sub(2)
            )))
        }
    }
}

/// Namespaces, as the `CLONE_NEW*` bits of clone(2), unshare(2) and setns(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Namespaces(i32);

impl Namespaces {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const MOUNT: Self = Self(libc::CLONE_NEWNS);
    pub(crate) const PID: Self = Self(libc::CLONE_NEWPID);
    pub(crate) const NETWORK: Self = Self(libc::CLONE_NEWNET);
    pub(crate) const IPC: Self = Self(libc::CLONE_NEWIPC);
    pub(crate) const UTS: Self = Self(libc::CLONE_NEWUTS);
    pub(crate) const CGROUP: Self = Self(libc::CLONE_NEWCGROUP);
    pub(crate) const USER: Self = Self(libc::CLONE_NEWUSER);

    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn with_if(self, condition: bool, other: Self) -> Self {
        if condition { self.with(other) } else { self }
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) const fn bits(self) -> i32 {
        self.0
    }
}

/// A child that has not been reaped. The pidfd names it without the danger of a reused number.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: Pid,
    pub(crate) pidfd: OwnedFd,
}

/// `struct clone_args` of clone3(2), version 2.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const CLONE_PIDFD: u64 = 0x1000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Runs `child` in a new process, in new `namespaces`, born in the version 2 `cgroup` when one is given.
/// What `child` returns is the exit status; a panic in it is 70 (`EX_SOFTWARE`). Destructors of the
/// parent's values do not run in the child, and it ends with `_exit`.
pub(crate) fn spawn(
    _witness: &SingleThreaded,
    namespaces: Namespaces,
    cgroup: Option<BorrowedFd<'_>>,
    child: impl FnOnce() -> u8,
) -> io::Result<Child> {
    let mut pidfd: i32 = -1;
    let mut arguments = CloneArgs {
        flags: CLONE_PIDFD | u64::from(namespaces.bits().cast_unsigned()),
        pidfd: (&raw mut pidfd).addr() as u64,
        exit_signal: u64::from(libc::SIGCHLD.cast_unsigned()),
        ..CloneArgs::default()
    };
    if let Some(cgroup) = cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = u64::from(cgroup.as_raw_fd().cast_unsigned());
    }
    // SAFETY: without CLONE_VM the child gets a copy of this address space and continues here on the same
    // stack; the witness says that no other thread exists whose locks it could inherit. The structure
    // outlives the call and the kernel writes only `pidfd`, an i32 that outlives it too.
    let result =
        unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<CloneArgs>()) };
    if result == 0 {
        let code = catch_unwind(AssertUnwindSafe(child)).unwrap_or(70);
        exit_now(code);
    }
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel stored a new descriptor here (CLONE_PIDFD) that nobody else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    let pid = i32::try_from(result).map_err(io::Error::other)?;
    Ok(Child {
        pid: Pid::new(pid),
        pidfd,
    })
}

/// The caller returns from here in a child, born in the pid namespace that was entered for children. What called
/// waits for it and ends as it ends, without a descriptor and deaf to all signals but SIGKILL, which takes the child
/// with it. Only for a child of [`spawn`]. fork(2) and not clone3(2), which filters of containers do not know.
pub(crate) fn go_on_in_child() -> io::Result<()> {
    signal::block_all()?;
    // SAFETY: a child of `spawn` has one thread, so its own child finds no lock that nobody releases.
    match unsafe { libc::fork() } {
        0 => {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
            signal::unblock_all()
        }
        pid if pid > 0 => end_as(Pid::new(pid)),
        _ => Err(io::Error::last_os_error()),
    }
}

fn end_as(child: Pid) -> ! {
    let _ = proc::close_from(0);
    match pidfd::reap_child(child) {
        Ok(Some(Exit::Code(code))) => exit_now(u8::try_from(code).unwrap_or(u8::MAX)),
        Ok(Some(Exit::Signal(number))) => {
            signal::end_by(number);
            exit_now(u8::try_from(128 + number).unwrap_or(u8::MAX))
        }
        Ok(None) | Err(_) => exit_now(u8::MAX),
    }
}

/// Ends the process at once: no destructor, no exit handler, no flush.
pub(crate) fn exit_now(code: u8) -> ! {
    // SAFETY: _exit(2) has no precondition.
    unsafe { libc::_exit(i32::from(code)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_threads_is_refused() {
        // The test harness itself runs tests on threads, so this process has at least two.
        std::thread::scope(|scope| {
            scope.spawn(|| assert!(SingleThreaded::check().is_err()));
        });
    }
}
