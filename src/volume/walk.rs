//! What the walks through trees share that others change meanwhile.

use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{self as rfs, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

/// Device and inode: what a file is, whatever it is called.
pub(super) fn id(found: &Stat) -> (u64, u64) {
    (found.st_dev, found.st_ino)
}

/// A directory in this one that is no link. Fails with EXDEV at a mount point (openat2(2), `RESOLVE_NO_XDEV`).
pub(super) fn open_child(directory: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    rfs::openat2(
        directory,
        name,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH,
    )
}
