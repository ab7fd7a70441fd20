use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

/// How often files are looked at where inotify(7) cannot be had: `max_user_instances` is 128 by default.
const POLL_AFTER: Duration = Duration::from_millis(250);

/// Tells that something in a directory may have changed.
pub(super) enum Changes {
    Notified(AsyncFd<OwnedFd>),
    Polled,
}

impl Changes {
    pub(super) fn of(directory: &Path) -> Self {
        Self::notified(directory).map_or(Self::Polled, Self::Notified)
    }

    fn notified(directory: &Path) -> io::Result<AsyncFd<OwnedFd>> {
        let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let changes = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVE;
        inotify::add_watch(&fd, directory, changes)?;
        #[expect(
            deprecated,
            reason = "the unsafe `register` excludes types whose number changes; an OwnedFd is none of them"
        )]
        AsyncFd::new(fd)
    }

    /// Returns at once when something has changed since the last call returned. Cancel-safe.
    pub(super) async fn wait(&mut self) {
        let Self::Notified(fd) = self else {
            return tokio::time::sleep(POLL_AFTER).await;
        };
        let Ok(mut ready) = fd.readable().await else {
            *self = Self::Polled;
            return;
        };
        // What happened does not matter, only that it did: the reader looks at the files.
        let mut events = [0; 4096];
        while let Ok(1..) = rustix::io::read(ready.get_inner(), &mut events) {}
        match rustix::io::read(ready.get_inner(), &mut events) {
            Ok(_) | Err(Errno::AGAIN) => ready.clear_ready(),
            Err(_) => *self = Self::Polled,
        }
    }
}
