//! What a child tells the shim between fork and exec: JSON lines over a close-on-exec pipe. End of file
//! after [`Report::Identity`] means that exec succeeded.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::pipe::{PipeFlags, pipe_with};
use serde::{Deserialize, Serialize};

use crate::wire::{EffectiveUser, Fault};

/// Longest message of a fault, so that a report always fits into the pipe and the child never waits.
const MAX_MESSAGE: usize = 4096;
/// More than a child that was not taken over ever writes.
const MAX_REPORT: u64 = 1 << 16;

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::shim) enum Report {
    /// Everything but exec is done.
    Identity {
        user: EffectiveUser,
        home: String,
    },
    /// Something that this machine refused and that does not stop the start.
    Note(String),
    Fault(Fault),
}

/// The child's end.
#[derive(Debug)]
pub(in crate::shim) struct Reporter(File);

impl Reporter {
    pub(in crate::shim) fn note(&mut self, text: String) {
        self.send(&Report::Note(text));
    }

    pub(in crate::shim) fn identity(&mut self, user: &EffectiveUser, home: &str) {
        self.send(&Report::Identity {
            user: user.clone(),
            home: home.to_owned(),
        });
    }

    pub(in crate::shim) fn fault(&mut self, mut fault: Fault) {
        let mut end = fault.message.len().min(MAX_MESSAGE);
        while !fault.message.is_char_boundary(end) {
            end -= 1;
        }
        fault.message.truncate(end);
        self.send(&Report::Fault(fault));
    }

    fn send(&mut self, report: &Report) {
        if let Ok(mut line) = serde_json::to_vec(report) {
            line.push(b'\n');
            // Nobody is left to tell when the shim is gone.
            let _ = self.0.write_all(&line);
        }
    }
}

impl AsFd for Reporter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The shim's end.
#[derive(Debug)]
pub(in crate::shim) struct Reports {
    pipe: File,
    received: Vec<u8>,
}

/// What a child told until it executed its program or gave up.
#[derive(Debug, Default)]
pub(in crate::shim) struct Told {
    pub(in crate::shim) identity: Option<(EffectiveUser, String)>,
    pub(in crate::shim) notes: Vec<String>,
    pub(in crate::shim) fault: Option<Fault>,
}

impl Reports {
    /// Takes what is there; `true` at end of file.
    pub(in crate::shim) fn receive(&mut self) -> io::Result<bool> {
        loop {
            let room = MAX_REPORT.saturating_sub(self.received.len() as u64);
            if room == 0 {
                return Ok(true);
            }
            // Room for a usual report, or it would be read in small pieces.
            self.received.reserve(1024);
            match (&mut self.pipe).take(room).read_to_end(&mut self.received) {
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for end of file.
    pub(in crate::shim) fn receive_all(&mut self) -> io::Result<()> {
        while !self.receive()? {
            let mut poll = [rustix::event::PollFd::new(
                &self.pipe,
                rustix::event::PollFlags::IN,
            )];
            rustix::event::poll(&mut poll, None)?;
        }
        Ok(())
    }

    pub(in crate::shim) fn told(&self) -> Told {
        let mut told = Told::default();
        for line in self.received.split(|byte| *byte == b'\n') {
            match serde_json::from_slice(line) {
                Ok(Report::Identity { user, home }) => told.identity = Some((user, home)),
                Ok(Report::Note(text)) => told.notes.push(text),
                Ok(Report::Fault(fault)) => told.fault = Some(fault),
                Err(_) => {}
            }
        }
        told
    }
}

impl AsFd for Reports {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// A new pair; reading never blocks.
pub(in crate::shim) fn channel() -> io::Result<(Reports, Reporter)> {
    let (reader, writer): (OwnedFd, OwnedFd) = pipe_with(PipeFlags::CLOEXEC)?;
    crate::linux::proc::set_nonblocking(reader.as_fd())?;
    Ok((
        Reports {
            pipe: reader.into(),
            received: Vec::new(),
        },
        Reporter(writer.into()),
    ))
}
