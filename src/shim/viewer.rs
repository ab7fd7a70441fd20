//! Attached viewers: they see what a container writes and never hold it up.
//!
//! A viewer that does not keep up loses output, and so that it does not take what it sees for all there was, its
//! own stream says at the place of the gap how many bytes are missing, as soon as it reads again.

use std::io;

use super::connection::{Connection, Role};
use super::reactor::{Key, Reactor};
use crate::wire::frame::Kind;

/// What a viewer may have waiting before it loses output.
const MAX_WAITING: usize = 1 << 20;
/// It gets output again when so much is left; one long gap is better to read than many short ones.
const CAUGHT_UP: usize = MAX_WAITING / 2;

/// A viewer of a container.
#[derive(Debug)]
pub(super) struct Attach {
    pub(super) container: Key,
    /// The container has a terminal: both of its outputs are one.
    pub(super) terminal: bool,
    pub(super) stdin: bool,
    pub(super) outputs: [bool; 2],
    /// This viewer has written to the container's standard input.
    pub(super) wrote: bool,
    /// Bytes it did not get because it reads too slowly.
    pub(super) dropped: u64,
    /// Those of them that it was not told about.
    pub(super) untold: u64,
}

impl Attach {
    fn wants(&self, stream: u8) -> bool {
        self.outputs[usize::from(stream.min(1))] || self.terminal && self.outputs[1]
    }

    /// What is said about the bytes that are missing, and where. An escape sequence that was cut off is ended first.
    fn gap(&mut self) -> Option<(Kind, String)> {
        let missing = std::mem::take(&mut self.untold);
        if missing == 0 {
            return None;
        }
        let text = format!(
            "[podtui: {missing} bytes of output are missing here, they came faster than they were read]"
        );
        Some(if self.terminal {
            let kind = if self.outputs[0] {
                Kind::Stdout
            } else {
                Kind::Stderr
            };
            (kind, format!("\x1b\\\r\n{text}\r\n"))
        } else if self.outputs[1] {
            (Kind::Stderr, format!("\n{text}\n"))
        } else {
            (Kind::Stdout, format!("\n{text}\n"))
        })
    }
}

/// What came of a piece of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// Sent, or not meant for this client.
    Fine,
    /// The first loss of this viewer.
    FirstLoss,
    /// The connection cannot be written to.
    Broken,
}

/// Shows a piece of output to one client, if it is a viewer of that stream.
pub(super) fn show(
    client: &mut Connection,
    (container, stream): (Key, u8),
    bytes: &[u8],
    reactor: &Reactor,
) -> Shown {
    let waiting = client.waiting();
    let Role::Attach(attach) = &mut client.role else {
        return Shown::Fine;
    };
    if attach.container != container || !attach.wants(stream) {
        return Shown::Fine;
    }
    let limit = if attach.untold == 0 {
        MAX_WAITING
    } else {
        CAUGHT_UP
    };
    if waiting + bytes.len() > limit {
        let is_first = attach.dropped == 0;
        attach.dropped += bytes.len() as u64;
        attach.untold += bytes.len() as u64;
        return if is_first {
            Shown::FirstLoss
        } else {
            Shown::Fine
        };
    }
    let kind = if stream == 0 {
        Kind::Stdout
    } else {
        Kind::Stderr
    };
    let sent = tell_gap(client, reactor).and_then(|()| client.send_bytes(kind, bytes, reactor));
    sent.map_or(Shown::Broken, |()| Shown::Fine)
}

/// The viewer has read: it is told of a gap even if nothing comes behind it.
pub(super) fn has_read(client: &mut Connection, reactor: &Reactor) -> io::Result<()> {
    if client.waiting() <= CAUGHT_UP {
        tell_gap(client, reactor)
    } else {
        Ok(())
    }
}

/// Also before the last frame of a session, whatever waits.
pub(super) fn tell_gap(client: &mut Connection, reactor: &Reactor) -> io::Result<()> {
    let Role::Attach(attach) = &mut client.role else {
        return Ok(());
    };
    match attach.gap() {
        Some((kind, text)) => client.send_bytes(kind, text.as_bytes(), reactor),
        None => Ok(()),
    }
}
