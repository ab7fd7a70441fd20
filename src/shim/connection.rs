//! One client of the socket: buffers, frames, and what it is there for.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bytes::{Bytes, BytesMut};
use rustix::io::Errno;
use rustix::net::{
    RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recv, send, sendmsg,
};
use serde::Serialize;

use super::reactor::{Interest, Key, Reactor, Token};
use super::viewer::Attach;
use crate::wire::MOST_SOCKETS;
use crate::wire::frame::{self, FrameError, Kind};

/// What a connection without back-pressure may have waiting before it is closed: replies and events.
const MAX_CONTROL: usize = 4 << 20;

#[derive(Debug)]
pub(super) enum Role {
    /// The first frame has to be `Hello`.
    Greeting,
    Control {
        subscribed: bool,
    },
    /// An exec session was asked for and its process has not executed yet.
    ExecStarting,
    Exec(Key),
    Attach(Attach),
    /// Nothing is read any more; what is left is sent.
    Closing,
}

#[derive(Debug)]
pub(super) struct Connection {
    key: Key,
    socket: OwnedFd,
    received: BytesMut,
    sending: Vec<u8>,
    sent: usize,
    interest: Interest,
    /// Nothing is read while what was read cannot be passed on.
    paused: bool,
    pub(super) role: Role,
}

impl Connection {
    pub(super) fn new(key: Key, socket: OwnedFd, reactor: &Reactor) -> io::Result<Self> {
        reactor.add(socket.as_fd(), Token::Connection(key), Interest::READ)?;
        Ok(Self {
            key,
            socket,
            received: BytesMut::new(),
            sending: Vec::new(),
            sent: 0,
            interest: Interest::READ,
            paused: false,
            role: Role::Greeting,
        })
    }

    /// Before it is dropped.
    pub(super) fn unwatch(&self, reactor: &Reactor) {
        reactor.remove(self.socket.as_fd());
    }

    /// Reads once; `false` when the other side has closed.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        match recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
            Ok((0, _)) => Ok(false),
            Ok((length, _)) => {
                self.received.extend_from_slice(&buffer[..length]);
                Ok(true)
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// The next whole frame, unless the connection is paused.
    pub(super) fn next_frame(&mut self) -> Result<Option<(Kind, Bytes)>, FrameError> {
        if self.paused || matches!(self.role, Role::Closing) {
            return Ok(None);
        }
        frame::take(&mut self.received)
    }

    pub(super) const fn is_paused(&self) -> bool {
        self.paused
    }

    pub(super) fn set_paused(&mut self, paused: bool, reactor: &Reactor) -> io::Result<()> {
        self.paused = paused;
        self.update(reactor)
    }

    pub(super) fn waiting(&self) -> usize {
        self.sending.len() - self.sent
    }

    /// Whether the client has sent more than was taken: an answer will follow, and what waits goes with it.
    pub(super) fn has_sent_more(&self) -> bool {
        !self.received.is_empty()
    }

    /// As [`Self::send_message`], but it may wait for the next thing that is sent.
    pub(super) fn put_message<T: Serialize>(&mut self, message: &T) -> io::Result<()> {
        frame::put_json(&mut self.sending, Kind::Control, message).map_err(io::Error::other)
    }

    /// A control frame. An error means that the client does not read and is to be dropped.
    pub(super) fn send_message<T: Serialize>(
        &mut self,
        message: &T,
        reactor: &Reactor,
    ) -> io::Result<()> {
        if self.waiting() > MAX_CONTROL {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.send_json(Kind::Control, message, reactor)
    }

    pub(super) fn send_json<T: Serialize>(
        &mut self,
        kind: Kind,
        message: &T,
        reactor: &Reactor,
    ) -> io::Result<()> {
        frame::put_json(&mut self.sending, kind, message).map_err(io::Error::other)?;
        self.flush(reactor)
    }

    /// A control frame with descriptors beside it, [`MOST_SOCKETS`] at most, at once or not at all: a client that is
    /// behind with reading is in error.
    pub(super) fn send_descriptors<T: Serialize>(
        &mut self,
        message: &T,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        if self.waiting() > 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut bytes = Vec::with_capacity(64);
        frame::put_json(&mut bytes, Kind::Control, message).map_err(io::Error::other)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_SOCKETS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let sent = sendmsg(
            &self.socket,
            &[IoSlice::new(&bytes)],
            &mut ancillary,
            SendFlags::NOSIGNAL,
        )?;
        if sent < bytes.len() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        Ok(())
    }

    pub(super) fn send_bytes(
        &mut self,
        kind: Kind,
        bytes: &[u8],
        reactor: &Reactor,
    ) -> io::Result<()> {
        frame::put(&mut self.sending, kind, bytes).map_err(io::Error::other)?;
        self.flush(reactor)
    }

    /// Sends what the socket takes now and waits for room when something is left.
    pub(super) fn flush(&mut self, reactor: &Reactor) -> io::Result<()> {
        while self.sent < self.sending.len() {
            match send(
                &self.socket,
                &self.sending[self.sent..],
                SendFlags::NOSIGNAL,
            ) {
                Ok(length) => self.sent += length,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if self.sent == self.sending.len() {
            self.sending.clear();
            self.sending.shrink_to(1 << 16);
            self.sent = 0;
        } else if self.sent > 1 << 18 {
            self.sending.drain(..self.sent);
            self.sent = 0;
        }
        self.update(reactor)
    }

    fn update(&mut self, reactor: &Reactor) -> io::Result<()> {
        let wanted = Interest {
            read: !self.paused && !matches!(self.role, Role::Closing),
            write: self.waiting() > 0,
        };
        if wanted != self.interest {
            reactor.change(self.socket.as_fd(), Token::Connection(self.key), wanted)?;
            self.interest = wanted;
        }
        Ok(())
    }

    /// Whether everything has been said.
    pub(super) fn is_finished(&self) -> bool {
        matches!(self.role, Role::Closing) && self.waiting() == 0
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
