use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::Instant;
use tracing::{info, warn};

use super::bind::{BindError, bind};
use crate::base::chain;

/// Whoever removes a directory does it file by file; a new socket in the middle of that would be in the way.
const SETTLE: Duration = Duration::from_millis(300);
/// How often the socket is tried again where it could not be made.
const AGAIN: Duration = Duration::from_secs(5);

/// The listening socket of the API, which stands where clients look for it: when it, or the run directory, was
/// removed or moved by somebody, it is made again. The kernel tells of that (inotify(7)), nothing is polled; where
/// inotify cannot be had a lost socket stays lost.
pub(crate) struct Door {
    path: PathBuf,
    listener: UnixListener,
    /// Device and inode of the socket file.
    place: Option<(u64, u64)>,
    watch: Option<AsyncFd<OwnedFd>>,
    /// Something happened beside the socket; then is the time to see whether it still stands.
    look_at: Option<Instant>,
}

impl Door {
    /// As [`bind`].
    pub(crate) fn open(path: &Path) -> Result<Self, BindError> {
        let listener = bind(path)?;
        Ok(Self {
            path: path.to_owned(),
            listener,
            place: place(path),
            watch: watch(path),
            look_at: None,
        })
    }

    /// The next connection. Cancel-safe.
    pub(super) async fn accept(&mut self) -> io::Result<UnixStream> {
        loop {
            tokio::select! {
                // Cancel-safe: a connection is taken only when the arm wins.
                accepted = self.listener.accept() => return accepted.map(|(stream, _)| stream),
                // Cancel-safe: what is read and forgotten is no more than that something happened.
                () = disturbed(&mut self.watch) => {
                    self.look_at.get_or_insert_with(|| Instant::now() + SETTLE);
                }
                // Cancel-safe: the moment stays where it is.
                () = until(self.look_at) => self.stand_again(),
            }
        }
    }

    fn stand_again(&mut self) {
        let was_tried = self.place.is_none();
        self.look_at = None;
        if !was_tried && self.place == place(&self.path) {
            // The watch may have been that of a directory which is elsewhere now.
            self.watch = watch(&self.path);
            return;
        }
        match Self::open(&self.path) {
            Ok(door) => {
                info!(socket = %self.path.display(), "the API socket was gone and stands again");
                *self = door;
            }
            Err(error) => {
                if !was_tried {
                    warn!(
                        error = chain(&error),
                        "the API socket is gone and cannot be made again; trying on"
                    );
                }
                self.place = None;
                self.look_at = Some(Instant::now() + AGAIN);
            }
        }
    }
}

fn place(path: &Path) -> Option<(u64, u64)> {
    let found = fs::symlink_metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

/// Tells when an entry of the socket's directory, or the directory itself, is removed or moved.
fn watch(path: &Path) -> Option<AsyncFd<OwnedFd>> {
    let gone = WatchFlags::DELETE
        | WatchFlags::MOVE
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF
        | WatchFlags::ONLYDIR;
    let watched = || {
        let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        inotify::add_watch(&fd, path.parent().unwrap_or(path), gone)?;
        #[expect(
            deprecated,
            reason = "the unsafe `register` excludes types whose number changes; an OwnedFd is none of them"
        )]
        AsyncFd::new(fd)
    };
    watched()
        .inspect_err(|error: &io::Error| {
            warn!(%error, "nobody will tell when the API socket is removed");
        })
        .ok()
}

/// Returns when something was removed or moved since the last call.
async fn disturbed(watch: &mut Option<AsyncFd<OwnedFd>>) {
    let Some(fd) = watch else {
        return std::future::pending().await;
    };
    let mut events = [0; 4096];
    if let Ok(mut ready) = fd.readable().await {
        while let Ok(1..) = rustix::io::read(ready.get_inner(), &mut events) {}
        match rustix::io::read(ready.get_inner(), &mut events) {
            Ok(_) | Err(Errno::AGAIN) => return ready.clear_ready(),
            Err(_) => {}
        }
    }
    *watch = None;
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Accepts connections until the end of the test.
    fn opened(path: &Path) {
        let mut door = Door::open(path).unwrap();
        tokio::spawn(async move {
            loop {
                door.accept().await.unwrap();
            }
        });
    }

    async fn answers(path: &Path) {
        let limit = Duration::from_secs(30);
        let connect = async {
            while UnixStream::connect(path).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(limit, connect)
            .await
            .expect("it answers");
    }

    #[tokio::test]
    async fn the_socket_stands_again_when_its_directory_was_moved_or_removed() {
        let root = tempfile::tempdir().unwrap();
        let run = root.path().join("run");
        let path = run.join("api.sock");
        opened(&path);
        answers(&path).await;
        fs::rename(&run, root.path().join("run.gone")).unwrap();
        assert!(UnixStream::connect(&path).await.is_err());
        answers(&path).await;
        fs::remove_dir_all(&run).unwrap();
        answers(&path).await;
        fs::remove_file(&path).unwrap();
        answers(&path).await;
    }

    #[tokio::test]
    async fn what_is_in_the_way_is_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let run = root.path().join("run");
        let path = run.join("api.sock");
        let mut door = Door::open(&path).unwrap();
        fs::remove_dir_all(&run).unwrap();
        fs::write(&run, "precious").unwrap();
        door.stand_again();
        assert!(door.look_at.is_some());
        assert_eq!(fs::read_to_string(&run).unwrap(), "precious");
        fs::remove_file(&run).unwrap();
        door.stand_again();
        UnixStream::connect(&path).await.unwrap();
        assert!(door.watch.is_some() && door.look_at.is_none());
    }
}
