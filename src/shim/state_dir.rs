//! The files of a shim in its sandbox's directory.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{
    AtFlags, CWD, FlockOperation, Mode, OFlags, RenameFlags, openat, renameat_with, unlinkat,
};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with,
};

use crate::linux::proc;
use crate::wire::SandboxState;

const SOCKET: &str = "shim.sock";
const STATE: &str = "state.json";
const OTHER_STATE: &str = "state.json.new";
/// Mount points in the shim's own mount namespace; empty directories for everybody else.
const SHM: &str = "shm";
const TMPFS: &str = "tmpfs";
/// Connections that wait to be accepted.
const BACKLOG: i32 = 64;
const CLAIM_TRIES: u32 = 100;
const CLAIM_AGAIN: Duration = Duration::from_millis(2);

#[derive(Debug)]
pub(super) struct StateDir {
    path: PathBuf,
    fd: OwnedFd,
}

impl StateDir {
    /// The directory exists and is not a link.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let fd = openat(
            CWD,
            path,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        Ok(Self {
            path: path.to_owned(),
            fd,
        })
    }

    /// Locks the directory for the life of this process, so that an engine sees that there is a shim before
    /// its socket is there. An engine that looks holds a lock for a moment.
    pub(super) fn claim(&self) -> io::Result<()> {
        let mut tries = 0;
        loop {
            match rustix::fs::flock(&self.fd, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) if tries < CLAIM_TRIES => tries += 1,
                other => return Ok(other?),
            }
            std::thread::sleep(CLAIM_AGAIN);
        }
    }

    pub(super) fn shm(&self) -> PathBuf {
        self.path.join(SHM)
    }

    pub(super) fn tmpfs(&self) -> PathBuf {
        self.path.join(TMPFS)
    }

    /// Replaces the state on disk as a whole: a reader sees the old one or the new one.
    ///
    /// Two files change places (`RENAME_EXCHANGE`, rename(2)) instead of a new one replacing the old,
    /// because making and deleting an inode costs up to a millisecond on some file systems and this
    /// stands between the end of a container and the news of it. Nothing is synced: what this protects
    /// against is the death of the shim, and after a reboot there is no sandbox.
    pub(super) fn write(&self, state: &SandboxState) -> io::Result<()> {
        let bytes = serde_json::to_vec(state).map_err(io::Error::other)?;
        let file: File = openat(
            &self.fd,
            OTHER_STATE,
            OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::from_raw_mode(0o600),
        )?
        .into();
        file.write_all_at(&bytes, 0)?;
        file.set_len(bytes.len() as u64)?;
        match renameat_with(
            &self.fd,
            OTHER_STATE,
            &self.fd,
            STATE,
            RenameFlags::EXCHANGE,
        ) {
            Ok(()) => Ok(()),
            // The first time there is nothing to exchange with; some file systems cannot.
            Err(Errno::NOENT | Errno::INVAL | Errno::NOSYS) => {
                rustix::fs::renameat(&self.fd, OTHER_STATE, &self.fd, STATE)
                    .map_err(io::Error::from)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes and opens the socket, mode 0600. It is named through the descriptor of the directory,
    /// because its real path may be longer than a socket address can hold (108 bytes, unix(7)).
    pub(super) fn listen(&self) -> io::Result<OwnedFd> {
        let socket = socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )?;
        self.unlink(SOCKET)?;
        let path = format!("/proc/self/fd/{}/{SOCKET}", self.fd.as_raw_fd());
        let address = SocketAddrUnix::new(path)?;
        let mask = proc::set_umask(0o177);
        let bound = bind(&socket, &address);
        proc::set_umask(mask);
        bound?;
        listen(&socket, BACKLOG)?;
        Ok(socket)
    }

    /// No engine finds this shim any more: somebody has removed the directory, as a clean-up does that takes
    /// the shim for dead, or has moved it, alone or with the whole run directory.
    pub(super) fn is_gone(&self) -> bool {
        let place = |stat: rustix::fs::Stat| (stat.st_dev, stat.st_ino);
        let Ok(own) = rustix::fs::fstat(&self.fd) else {
            return false;
        };
        match rustix::fs::lstat(&self.path) {
            Ok(found) => place(found) != place(own),
            Err(error) => matches!(error, Errno::NOENT | Errno::NOTDIR),
        }
    }

    /// An entry of the directory, wherever that has been moved to.
    fn entry(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.fd.as_raw_fd()))
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes everything of ours, and the directory when nothing else is in it.
    pub(super) fn remove(&self) -> io::Result<()> {
        for directory in [SHM, TMPFS] {
            // A memory volume is a mount of this shim's namespace; outside it is not there any more.
            if let Ok(entries) = std::fs::read_dir(self.entry(directory)) {
                for entry in entries.flatten() {
                    let _ = crate::linux::mount::detach(&entry.path());
                    let _ = std::fs::remove_dir(entry.path());
                }
            }
            crate::linux::mount::detach(&self.entry(directory))?;
            match unlinkat(&self.fd, directory, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        for name in [SOCKET, OTHER_STATE, STATE] {
            self.unlink(name)?;
        }
        match std::fs::remove_dir(&self.path) {
            Err(error)
                if !matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty
                ) =>
            {
                Err(error)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_was_moved_or_replaced_is_gone() {
        let root = tempfile::tempdir().unwrap();
        let (run, aside) = (root.path().join("run"), root.path().join("run.gone"));
        let path = run.join("pods/uid");
        std::fs::create_dir_all(&path).unwrap();
        let directory = StateDir::open(&path).unwrap();
        assert!(!directory.is_gone());
        std::fs::rename(&run, &aside).unwrap();
        assert!(directory.is_gone());
        std::fs::create_dir_all(&path).unwrap();
        assert!(directory.is_gone(), "another one stands there");
        std::fs::remove_dir_all(&run).unwrap();
        std::fs::rename(&aside, &run).unwrap();
        assert!(!directory.is_gone());
        std::fs::remove_dir_all(&run).unwrap();
        assert!(directory.is_gone());
    }

    #[test]
    fn files_are_removed_wherever_the_directory_was_moved() {
        let root = tempfile::tempdir().unwrap();
        let (path, aside) = (root.path().join("uid"), root.path().join("aside"));
        std::fs::create_dir(&path).unwrap();
        let directory = StateDir::open(&path).unwrap();
        std::fs::create_dir_all(path.join(TMPFS).join("volume")).unwrap();
        std::fs::write(path.join(STATE), "{}").unwrap();
        std::fs::rename(&path, &aside).unwrap();
        directory.remove().unwrap();
        assert_eq!(std::fs::read_dir(&aside).unwrap().count(), 0);
    }
}
