//! Entering and leaving namespaces (setns(2), unshare(2)) and the few settings that belong to one.

#![expect(unsafe_code, reason = "system calls without a safe wrapper")]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::clone::Namespaces;

/// Moves this process into the `namespaces` of the process behind `pidfd`. A pid namespace is entered
/// only by children made afterwards.
pub(crate) fn enter(pidfd: BorrowedFd<'_>, namespaces: Namespaces) -> io::Result<()> {
    if namespaces.is_empty() {
        return Ok(());
    }
    // SAFETY: setns(2) takes a descriptor and flags; it touches no memory of this process.
    let result = unsafe { libc::setns(pidfd.as_raw_fd(), namespaces.bits()) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Moves this process into new namespaces.
pub(crate) fn unshare(namespaces: Namespaces) -> io::Result<()> {
    // SAFETY: unshare(2) with CLONE_NEW* flags only changes what kernel objects the process refers to.
    let result = unsafe { libc::unshare(namespaces.bits()) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// A way back into the network namespace that the process is in now.
#[derive(Debug)]
pub(crate) struct OwnNetwork(OwnedFd);

impl OwnNetwork {
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self(File::open("/proc/self/ns/net")?.into()))
    }

    /// Runs `work` inside the network namespace of the process behind `pidfd` and comes back.
    pub(crate) fn visit<T>(
        &self,
        pidfd: BorrowedFd<'_>,
        work: impl FnOnce() -> T,
    ) -> io::Result<T> {
        enter(pidfd, Namespaces::NETWORK)?;
        let result = work();
        enter(self.0.as_fd(), Namespaces::NETWORK)?;
        Ok(result)
    }
}

/// A way back into the pid namespace that children of this process are normally born in.
#[derive(Debug)]
pub(crate) struct OwnPid(OwnedFd);

impl OwnPid {
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self(File::open("/proc/self/ns/pid")?.into()))
    }

    /// Runs `spawn` while children are born in the pid namespace of the process behind `pidfd`.
    pub(crate) fn children_in<T>(
        &self,
        pidfd: BorrowedFd<'_>,
        spawn: impl FnOnce() -> T,
    ) -> io::Result<T> {
        enter(pidfd, Namespaces::PID)?;
        let result = spawn();
        enter(self.0.as_fd(), Namespaces::PID)?;
        Ok(result)
    }
}

/// The network namespace of a process, to be named in a netlink message.
pub(crate) fn network_of(pid: crate::base::Pid) -> io::Result<OwnedFd> {
    Ok(File::open(format!("/proc/{pid}/ns/net"))?.into())
}

/// Sets the kernel's host name of the UTS namespace this process is in.
pub(crate) fn set_hostname(name: &str) -> io::Result<()> {
    nix::unistd::sethostname(name).map_err(io::Error::from)
}
