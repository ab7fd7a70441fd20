//! Pseudo-terminals of a devpts instance that the caller holds (pts(4), ioctl_tty(2)).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::base::TerminalSize;

/// Both ends of a new terminal. The slave is taken from the master by `TIOCGPTPEER`, never opened by a
/// path, so nothing the container puts under `/dev/pts` can stand in for it (CVE-2025-52565).
#[derive(Debug)]
pub(crate) struct Terminal {
    pub(crate) master: OwnedFd,
    pub(crate) slave: OwnedFd,
}

/// Makes a terminal in the devpts instance whose root directory is `devpts`. The master is non-blocking.
pub(crate) fn open(devpts: BorrowedFd<'_>, size: Option<TerminalSize>) -> io::Result<Terminal> {
    let master = openat(
        devpts,
        "ptmx",
        OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NONBLOCK,
        Mode::empty(),
    )?;
    unlockpt(&master)?;
    let slave = ioctl_tiocgptpeer(
        &master,
        OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC,
    )?;
    if let Some(size) = size {
        resize(master.as_fd(), size)?;
    }
    Ok(Terminal { master, slave })
}

/// A terminal in the devpts instance of this process. The master is non-blocking.
pub(crate) fn open_own(size: TerminalSize) -> io::Result<Terminal> {
    let master =
        rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    unlockpt(&master)?;
    let flags = rustix::fs::fcntl_getfl(&master)?;
    rustix::fs::fcntl_setfl(&master, flags | OFlags::NONBLOCK)?;
    let slave = ioctl_tiocgptpeer(
        &master,
        OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC,
    )?;
    resize(master.as_fd(), size)?;
    Ok(Terminal { master, slave })
}

/// Sets the size; the foreground process group gets SIGWINCH.
pub(crate) fn resize(master: BorrowedFd<'_>, size: TerminalSize) -> io::Result<()> {
    tcsetwinsize(
        master,
        Winsize {
            ws_col: size.columns,
            ws_row: size.rows,
            ws_xpixel: 0,
            ws_ypixel: 0,
        },
    )
    .map_err(io::Error::from)
}

/// Makes `slave` the controlling terminal of this process, which must be a session leader without one.
pub(crate) fn make_controlling(slave: BorrowedFd<'_>) -> io::Result<()> {
    rustix::process::ioctl_tiocsctty(slave).map_err(io::Error::from)
}
