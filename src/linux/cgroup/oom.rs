#![expect(unsafe_code, reason = "system calls without a safe wrapper")]

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::error::CgroupError;
use super::files;

/// A descriptor that becomes readable when a group runs out of memory, and the counter of kills.
///
/// On v2 it is readable after the kill was counted (or for another event of `memory.events`, which
/// changes no count). On v1 the eventfd fires when the group is found out of memory, *before* a process
/// is killed, and once more when the group is removed: read [`Self::kills`] again some milliseconds
/// after an event, and once more when a process of the group has died.
#[derive(Debug)]
pub(crate) struct OomWatch {
    descriptor: OwnedFd,
    counter: PathBuf,
}

impl OomWatch {
    pub(super) fn v2(directory: &Path) -> Result<Self, CgroupError> {
        let counter = directory.join("memory.events");
        let fail = |source| CgroupError::Watch {
            path: counter.clone(),
            source,
        };
        let name =
            CString::new(counter.as_os_str().as_bytes()).map_err(|error| fail(error.into()))?;
        // SAFETY: inotify_init1 takes plain flags.
        let raw = unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) };
        let descriptor = owned(raw).map_err(fail)?;
        let raw = descriptor.as_raw_fd();
        // SAFETY: the name is a C string that outlives the call.
        let watch = unsafe { libc::inotify_add_watch(raw, name.as_ptr(), libc::IN_MODIFY) };
        if watch < 0 {
            return Err(fail(io::Error::last_os_error()));
        }
        Ok(Self {
            descriptor,
            counter,
        })
    }

    pub(super) fn v1(directory: &Path) -> Result<Self, CgroupError> {
        let counter = directory.join("memory.oom_control");
        let fail = |source| CgroupError::Watch {
            path: counter.clone(),
            source,
        };
        // SAFETY: eventfd takes plain numbers.
        let raw = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        let descriptor = owned(raw).map_err(fail)?;
        let control: File = OpenOptions::new().read(true).open(&counter).map_err(fail)?;
        // The kernel keeps its own reference to the file, so ours may be closed (memcg v1, memory.rst 9).
        files::write(
            &directory.join("cgroup.event_control"),
            &format!("{} {}", descriptor.as_raw_fd(), control.as_raw_fd()),
        )?;
        Ok(Self {
            descriptor,
            counter,
        })
    }

    /// Forgets the events so far, so that the descriptor is readable only for later ones.
    pub(crate) fn drain(&self) {
        let mut buffer = [0u8; 4096];
        loop {
            match nix::unistd::read(&self.descriptor, &mut buffer) {
                Ok(1..) => {}
                // EAGAIN: nothing left. Any other error is answered by reading the counter anyway.
                Ok(0) | Err(_) => return,
            }
        }
    }

    /// Processes of the group killed for lack of memory since it was made; 0 once the group is gone or
    /// where the kernel does not count (v1 before Linux 4.13).
    pub(crate) fn kills(&self) -> Result<u64, CgroupError> {
        match files::read_key(&self.counter, "oom_kill") {
            Ok(count) => Ok(count.unwrap_or(0)),
            Err(CgroupError::Read { source, .. }) if files::is_missing(&source) => Ok(0),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

fn owned(raw: i32) -> io::Result<OwnedFd> {
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was made by the call just before and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}
