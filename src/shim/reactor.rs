//! Waiting for descriptors: epoll(7) with typed tokens.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

/// A thing with descriptors: a connection, a container, an exec session. Numbers are never reused, so an
/// event for something that has gone finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key(u32);

/// Whose descriptor is ready, and which of its descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Listener,
    ChildSignals,
    Connection(Key),
    /// Reports of a child before exec.
    Reports(Key),
    OutOfMemory(Key),
    /// Output stream 0 or 1 of a container or session.
    Output(Key, u8),
    /// Standard input of a container or session.
    Input(Key),
    Spawner,
}

impl Token {
    fn encode(self) -> u64 {
        let (kind, key) = match self {
            Self::Listener => (0, 0),
            Self::ChildSignals => (1, 0),
            Self::Connection(key) => (2, key.0),
            Self::Reports(key) => (3, key.0),
            Self::OutOfMemory(key) => (4, key.0),
            Self::Output(key, stream) => (5 + u64::from(stream.min(1)), key.0),
            Self::Input(key) => (7, key.0),
            Self::Spawner => (8, 0),
        };
        kind << 32 | u64::from(key)
    }

    fn decode(data: u64) -> Option<Self> {
        let key = Key(u32::try_from(data & u64::from(u32::MAX)).ok()?);
        match data >> 32 {
            0 => Some(Self::Listener),
            1 => Some(Self::ChildSignals),
            2 => Some(Self::Connection(key)),
            3 => Some(Self::Reports(key)),
            4 => Some(Self::OutOfMemory(key)),
            5 => Some(Self::Output(key, 0)),
            6 => Some(Self::Output(key, 1)),
            7 => Some(Self::Input(key)),
            8 => Some(Self::Spawner),
            _ => None,
        }
    }
}

/// What to wait for. A closed other end is always told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Interest {
    pub(super) read: bool,
    pub(super) write: bool,
}

impl Interest {
    pub(super) const READ: Self = Self {
        read: true,
        write: false,
    };
    pub(super) const WRITE: Self = Self {
        read: false,
        write: true,
    };

    fn flags(self) -> epoll::EventFlags {
        let mut flags = epoll::EventFlags::empty();
        flags.set(epoll::EventFlags::IN, self.read);
        flags.set(epoll::EventFlags::OUT, self.write);
        flags
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Ready {
    pub(super) token: Token,
    /// The other end is gone altogether (`EPOLLHUP`, `EPOLLERR`).
    pub(super) hung_up: bool,
    pub(super) readable: bool,
}

pub(super) struct Reactor {
    epoll: OwnedFd,
    next_key: u32,
    events: Vec<epoll::Event>,
}

impl Reactor {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            next_key: 1,
            events: Vec::with_capacity(64),
        })
    }

    pub(super) fn new_key(&mut self) -> Key {
        let key = Key(self.next_key);
        self.next_key += 1;
        key
    }

    pub(super) fn add(
        &self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        let data = epoll::EventData::new_u64(token.encode());
        epoll::add(self.epoll.as_fd(), fd, data, interest.flags()).map_err(io::Error::from)
    }

    pub(super) fn change(
        &self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        let data = epoll::EventData::new_u64(token.encode());
        epoll::modify(self.epoll.as_fd(), fd, data, interest.flags()).map_err(io::Error::from)
    }

    /// Stops waiting for a descriptor. Needed before every close: a child that has not executed its program
    /// yet holds a copy of it, and as long as any copy is open epoll(7) goes on telling of a closed
    /// descriptor, which nobody can take back any more.
    pub(super) fn remove(&self, fd: BorrowedFd<'_>) {
        // It fails only when the descriptor was never added.
        let _ = epoll::delete(self.epoll.as_fd(), fd);
    }

    /// Waits until something is ready or `deadline` has come; without one, as long as it takes.
    pub(super) fn wait(&mut self, deadline: Option<Instant>) -> io::Result<Vec<Ready>> {
        let timeout = deadline.map(|deadline| timespec(deadline - Instant::now().min(deadline)));
        self.ready(timeout.as_ref())
    }

    /// What is ready already.
    pub(super) fn poll(&mut self) -> io::Result<Vec<Ready>> {
        self.ready(Some(&Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        }))
    }

    fn ready(&mut self, timeout: Option<&Timespec>) -> io::Result<Vec<Ready>> {
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), timeout) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = self.events.iter().filter_map(|event| {
            let flags = event.flags;
            Some(Ready {
                token: Token::decode(event.data.u64())?,
                hung_up: flags.intersects(epoll::EventFlags::HUP | epoll::EventFlags::ERR),
                readable: flags.contains(epoll::EventFlags::IN),
            })
        });
        Ok(ready.collect())
    }
}

/// Rounded up to a millisecond, so that a deadline has passed when the wait is over.
fn timespec(duration: Duration) -> Timespec {
    let milliseconds = duration.as_millis().saturating_add(1).min(i32::MAX as u128);
    let milliseconds = i64::try_from(milliseconds).unwrap_or(i64::MAX);
    Timespec {
        tv_sec: milliseconds / 1000,
        tv_nsec: milliseconds % 1000 * 1_000_000,
    }
}

#[cfg(test)]
mod tests {
    use rustix::pipe::pipe;

    use super::*;

    #[test]
    fn a_removed_descriptor_is_silent_though_a_copy_is_open() {
        let mut reactor = Reactor::new().unwrap();
        let key = reactor.new_key();
        let (reader, writer) = pipe().unwrap();
        reactor
            .add(reader.as_fd(), Token::Reports(key), Interest::READ)
            .unwrap();
        let copy = reader.try_clone().unwrap();
        drop(writer);
        assert_eq!(reactor.poll().unwrap().len(), 1);
        reactor.remove(reader.as_fd());
        drop(reader);
        assert_eq!(reactor.poll().unwrap().len(), 0);
        drop(copy);
    }

    #[test]
    fn tokens_survive_the_kernel() {
        let key = Key(u32::MAX);
        for token in [
            Token::Listener,
            Token::ChildSignals,
            Token::Connection(key),
            Token::Reports(key),
            Token::OutOfMemory(key),
            Token::Output(key, 0),
            Token::Output(key, 1),
            Token::Input(key),
        ] {
            assert_eq!(Token::decode(token.encode()), Some(token));
        }
    }
}
