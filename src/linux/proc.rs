//! Attributes of the calling process that a container's first process or a shim needs, and execve(2).

#![expect(unsafe_code, reason = "system calls without a safe wrapper")]

use std::ffi::{CStr, CString};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;

use rustix::fs::OFlags;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{Gid, Uid};

use crate::base::Pid;

/// Leads a new session without a terminal. A process that already leads one keeps it.
pub(crate) fn new_session() -> io::Result<()> {
    match rustix::process::setsid() {
        Ok(_) | Err(rustix::io::Errno::PERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Orphans among the descendants of this process become its children (PR_SET_CHILD_SUBREAPER, prctl(2)).
pub(crate) fn become_subreaper() -> io::Result<()> {
    // Any pid but 0 means "yes"; rustix asks for one.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(io::Error::from)
}

/// No core dump, no ptrace by the same user, `/proc/PID` owned by root (PR_SET_DUMPABLE, prctl(2)). It is
/// inherited by fork and ends with execve.
pub(crate) fn make_undumpable() -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(io::Error::from)
}

/// The name in `/proc/PID/comm`.
pub(crate) fn set_name(name: &CStr) -> io::Result<()> {
    rustix::thread::set_name(name).map_err(io::Error::from)
}

/// Sets the file mode creation mask and returns the old one.
pub(crate) fn set_umask(mask: u32) -> u32 {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask)).as_raw_mode()
}

/// Closes every descriptor from `first` on.
pub(crate) fn close_from(first: RawFd) -> io::Result<()> {
    close_range(first, 0)
}

/// Closes every descriptor but the standard streams and `kept`.
pub(crate) fn close_all_but(kept: BorrowedFd<'_>) -> io::Result<()> {
    let kept = kept.as_raw_fd().cast_unsigned();
    for (first, last) in [
        (3, kept.saturating_sub(1)),
        (kept.saturating_add(1), libc::c_uint::MAX),
    ] {
        // SAFETY: the caller is about to execute a program and uses no other descriptor any more.
        let result = unsafe { libc::syscall(libc::SYS_close_range, first.max(3), last, 0) };
        if first <= last && result < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Marks every descriptor from `first` on to be closed by execve.
pub(crate) fn close_from_on_exec(first: RawFd) -> io::Result<()> {
    close_range(first, libc::CLOSE_RANGE_CLOEXEC)
}

fn close_range(first: RawFd, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: the callers are the start of a process, before it owns any descriptor above standard error,
    // and the moment before execve, where the descriptors are only marked.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first.cast_unsigned(),
            u32::MAX,
            flags,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Makes `from` also known as standard input (0), output (1) or error (2).
pub(crate) fn redirect(from: BorrowedFd<'_>, to: RawFd) -> io::Result<()> {
    if from.as_raw_fd() == to {
        rustix::io::fcntl_setfd(from, rustix::io::FdFlags::empty())?;
        return Ok(());
    }
    // SAFETY: dup2(2) on a standard descriptor number; no owner in this process closes those.
    let result = unsafe { libc::dup2(from.as_raw_fd(), to) };
    if result == to {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Moves `kept` to the numbers after the standard ones and closes all others. The owners of the others, and
/// of `kept`, must never be dropped: this is for a forked child that does not return to its parent's code.
pub(crate) fn keep_only<const N: usize>(kept: [BorrowedFd<'_>; N]) -> io::Result<[OwnedFd; N]> {
    let count = RawFd::try_from(N).map_err(io::Error::other)?;
    // Out of the way first, so that none is overwritten before it has been moved.
    let mut copies = Vec::with_capacity(N);
    for fd in kept {
        copies.push(rustix::io::fcntl_dupfd_cloexec(fd, 3 + count)?);
    }
    for (copy, to) in copies.iter().zip(3..) {
        redirect(copy.as_fd(), to)?;
    }
    std::mem::forget(copies);
    close_from(3 + count)?;
    let mut to = 2;
    let moved = [(); N].map(|()| {
        to += 1;
        // SAFETY: it was just made by dup2(2); its former owner, if any, is never dropped.
        unsafe { <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(to) }
    });
    for fd in &moved {
        rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC)?;
    }
    Ok(moved)
}

/// Connects standard input, output and error to `/dev/null`.
pub(crate) fn silence() -> io::Result<()> {
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    for number in 0..=2 {
        redirect(null.as_fd(), number)?;
    }
    Ok(())
}

/// Writes `oom_score_adj` of this process (proc_pid_oom_score_adj(5)). Lowering it below what it was set
/// to by a privileged process needs CAP_SYS_RESOURCE.
pub(crate) fn set_oom_score_adj(value: i32) -> io::Result<()> {
    write_oom_score_adj("/proc/self/oom_score_adj", value)
}

/// The same for a child.
pub(crate) fn set_oom_score_adj_of(pid: crate::base::Pid, value: i32) -> io::Result<()> {
    write_oom_score_adj(&format!("/proc/{pid}/oom_score_adj"), value)
}

fn write_oom_score_adj(path: &str, value: i32) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .open(path)?
        .write_all(value.to_string().as_bytes())
}

/// A fresh session keyring, so that keys of the machine and of other containers cannot be read
/// (keyrings(7)). Kernels without keyrings have nothing to protect.
pub(crate) fn new_session_keyring() -> io::Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;
    // SAFETY: a null name asks for an anonymous keyring; no memory is read.
    let result = unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            KEYCTL_JOIN_SESSION_KEYRING,
            std::ptr::null::<libc::c_char>(),
        )
    };
    if result >= 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        absent if absent.raw_os_error() == Some(libc::ENOSYS) => Ok(()),
        error => Err(error),
    }
}

/// Irrevocably: execve grants no privilege (no_new_privs, prctl(2)).
pub(crate) fn set_no_new_privileges() -> io::Result<()> {
    rustix::thread::set_no_new_privs(true).map_err(io::Error::from)
}

/// Becomes `uid`, `gid` and exactly these supplementary groups. For a uid other than 0 the kernel clears
/// the permitted, effective and ambient capabilities (capabilities(7)). Single-threaded processes only.
pub(crate) fn become_user(uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
    let list: Vec<Gid> = groups.iter().map(|group| Gid::from_raw(*group)).collect();
    rustix::thread::set_thread_groups(&list)?;
    let gid = Gid::from_raw(gid);
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    let uid = Uid::from_raw(uid);
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}

/// A resource of getrlimit(2) by its name there (`RLIMIT_CORE`).
pub(crate) fn resource(name: &str) -> Option<u32> {
    RESOURCES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, number)| *number)
}

const RESOURCES: [(&str, u32); 16] = [
    ("RLIMIT_CPU", 0),
    ("RLIMIT_FSIZE", 1),
    ("RLIMIT_DATA", 2),
    ("RLIMIT_STACK", 3),
    ("RLIMIT_CORE", 4),
    ("RLIMIT_RSS", 5),
    ("RLIMIT_NPROC", 6),
    ("RLIMIT_NOFILE", 7),
    ("RLIMIT_MEMLOCK", 8),
    ("RLIMIT_AS", 9),
    ("RLIMIT_LOCKS", 10),
    ("RLIMIT_SIGPENDING", 11),
    ("RLIMIT_MSGQUEUE", 12),
    ("RLIMIT_NICE", 13),
    ("RLIMIT_RTPRIO", 14),
    ("RLIMIT_RTTIME", 15),
];

/// Sets a limit of this process. Raising the hard limit needs CAP_SYS_RESOURCE.
pub(crate) fn set_rlimit(resource: u32, soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit64 {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: pid 0 is this process; the new limit outlives the call and the old one is not asked for.
    let result = unsafe {
        libc::syscall(
            libc::SYS_prlimit64,
            0,
            resource,
            &raw const limit,
            std::ptr::null_mut::<libc::rlimit64>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// The working directory as the kernel tells it. A directory outside the root of this process reads
/// `(unreachable)/…` (getcwd(2)), which the caller must check (CVE-2024-21626).
pub(crate) fn working_directory() -> io::Result<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    let path = rustix::process::getcwd(Vec::new())?;
    Ok(std::ffi::OsString::from_vec(path.into_bytes()).into())
}

/// C strings and the null-terminated array of pointers to them that execve(2) wants.
#[derive(Debug)]
pub(crate) struct CStringArray {
    strings: Vec<CString>,
    pointers: Vec<*const libc::c_char>,
}

impl CStringArray {
    pub(crate) fn new(strings: Vec<CString>) -> Self {
        let pointers = strings
            .iter()
            .map(|string| string.as_ptr())
            .chain(std::iter::once(std::ptr::null()))
            .collect();
        Self { strings, pointers }
    }

    pub(crate) fn strings(&self) -> &[CString] {
        &self.strings
    }

    /// Adds one string at the end.
    pub(crate) fn push(&mut self, string: CString) {
        // The heap buffer of a CString does not move when the CString does.
        let last = self.pointers.len() - 1;
        self.pointers[last] = string.as_ptr();
        self.pointers.push(std::ptr::null());
        self.strings.push(string);
    }
}

/// Replaces this process. Returns only when that failed.
pub(crate) fn execute(
    program: &CStr,
    arguments: &CStringArray,
    environment: &CStringArray,
) -> io::Error {
    // SAFETY: all three point to null-terminated data that outlives the call, the arrays end with null.
    unsafe {
        libc::execve(
            program.as_ptr(),
            arguments.pointers.as_ptr(),
            environment.pointers.as_ptr(),
        )
    };
    io::Error::last_os_error()
}

/// As [`execute`], for the program behind a descriptor (execveat(2) with AT_EMPTY_PATH).
pub(crate) fn execute_fd(
    program: BorrowedFd<'_>,
    arguments: &CStringArray,
    environment: &CStringArray,
) -> io::Error {
    // SAFETY: as in `execute`; the empty path is a C string constant.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program.as_raw_fd(),
            c"".as_ptr(),
            arguments.pointers.as_ptr(),
            environment.pointers.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    io::Error::last_os_error()
}

/// The number of this process in its own pid namespace.
pub(crate) fn own_pid() -> Pid {
    Pid::new(rustix::process::getpid().as_raw_nonzero().get())
}

/// Asks for a pipe whose buffer holds `size` bytes; the kernel may refuse above `pipe-max-size`.
pub(crate) fn set_pipe_size(pipe: BorrowedFd<'_>, size: usize) -> io::Result<()> {
    rustix::pipe::fcntl_setpipe_size(pipe, size)
        .map(|_| ())
        .map_err(io::Error::from)
}

/// Switches `O_NONBLOCK` of the open file description behind `fd`.
pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(fd)?;
    rustix::fs::fcntl_setfl(fd, flags | OFlags::NONBLOCK).map_err(io::Error::from)
}
