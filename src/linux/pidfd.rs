//! Signals to and exits of processes that are named by a pidfd (pidfd_open(2)) and never by number.

#![expect(unsafe_code, reason = "system calls without a safe wrapper")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use super::signal::Signal;
use crate::base::Pid;

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Code(i32),
    Signal(i32),
}

/// The process of this number: a child that has not been reaped, or the number may be another's.
pub(crate) fn open(pid: Pid) -> io::Result<OwnedFd> {
    let pid = rustix::process::Pid::from_raw(pid.as_raw()).ok_or(io::ErrorKind::InvalidInput)?;
    let opened = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty());
    opened.map_err(io::Error::from)
}

/// Sends a signal. A process that has ended but was not reaped accepts every signal without effect;
/// `Ok(false)` when it has been reaped.
pub(crate) fn send(pidfd: BorrowedFd<'_>, signal: Signal) -> io::Result<bool> {
    // SAFETY: pidfd_send_signal(2) with a null siginfo reads no memory of this process.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal.as_raw(),
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    if result == 0 {
        return Ok(true);
    }
    match io::Error::last_os_error() {
        gone if gone.raw_os_error() == Some(libc::ESRCH) => Ok(false),
        error => Err(error),
    }
}

/// Sends a signal to the process group that the process behind `pidfd` leads, and to that process alone
/// where the kernel cannot do this (`PIDFD_SIGNAL_PROCESS_GROUP`, Linux 6.9).
pub(crate) fn send_to_group(pidfd: BorrowedFd<'_>, signal: Signal) -> io::Result<bool> {
    const PROCESS_GROUP: libc::c_uint = 1 << 2;
    // SAFETY: pidfd_send_signal(2) with a null siginfo reads no memory of this process.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal.as_raw(),
            std::ptr::null::<libc::siginfo_t>(),
            PROCESS_GROUP,
        )
    };
    if result == 0 {
        return Ok(true);
    }
    // ESRCH: the process has not begun its session yet, or nobody is left in its group.
    send(pidfd, signal)
}

/// Reaps any child that has ended. Its number may belong to another process as soon as one is made.
pub(crate) fn reap_next() -> io::Result<Option<(Pid, Exit)>> {
    wait(libc::P_ALL, 0, libc::WEXITED | libc::WNOHANG)
}

/// Waits until the child behind `pidfd` ends and reaps it.
pub(crate) fn reap_blocking(pidfd: BorrowedFd<'_>) -> io::Result<Option<Exit>> {
    let id = libc::id_t::try_from(pidfd.as_raw_fd()).map_err(io::Error::other)?;
    let info = wait(libc::P_PIDFD, id, libc::WEXITED)?;
    Ok(info.map(|(_, exit)| exit))
}

/// The same for a child that nobody else reaps, so that its number is its own.
pub(crate) fn reap_child(pid: Pid) -> io::Result<Option<Exit>> {
    let id = libc::id_t::try_from(pid.as_raw()).map_err(io::Error::other)?;
    let info = wait(libc::P_PID, id, libc::WEXITED)?;
    Ok(info.map(|(_, exit)| exit))
}

fn wait(kind: libc::idtype_t, id: libc::id_t, options: i32) -> io::Result<Option<(Pid, Exit)>> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    loop {
        // SAFETY: `info` is valid for the write of one siginfo_t and outlives the call.
        let result = unsafe { libc::waitid(kind, id, info.as_mut_ptr(), options) };
        if result == 0 {
            break;
        }
        match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => {}
            error if error.raw_os_error() == Some(libc::ECHILD) => return Ok(None),
            error => return Err(error),
        }
    }
    // SAFETY: a siginfo_t of zero bytes is valid, and waitid(2) wrote a valid one over it or nothing.
    let info = unsafe { info.assume_init() };
    // SAFETY: waitid(2) fills the SIGCHLD members; with nothing to report they are the zeroes from above.
    let pid = unsafe { info.si_pid() };
    if pid == 0 {
        return Ok(None);
    }
    // SAFETY: as above.
    let status = unsafe { info.si_status() };
    let exit = if info.si_code == libc::CLD_EXITED {
        Exit::Code(status)
    } else {
        Exit::Signal(status)
    };
    Ok(Some((Pid::new(pid), exit)))
}
