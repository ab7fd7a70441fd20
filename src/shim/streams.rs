//! Standard streams of a process: pipes or a terminal, made before the fork.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use super::fault::At;
use super::reactor::{Interest, Key, Reactor, Token};
use crate::base::TerminalSize;
use crate::linux::{proc, pty};
use crate::wire::{Fault, Stage};

/// So much may wait in the kernel while the shim does something else.
const PIPE_SIZE: usize = 1 << 20;

/// The ends that the process gets; closed in the shim after the fork.
#[derive(Debug)]
pub(super) struct ChildEnds {
    stdin: OwnedFd,
    outputs: Outputs,
}

#[derive(Debug)]
enum Outputs {
    /// Standard input is a terminal, which is all three.
    Terminal,
    /// Both are this pipe.
    One(OwnedFd),
    Two([OwnedFd; 2]),
}

impl ChildEnds {
    pub(super) fn stdin(&self) -> BorrowedFd<'_> {
        self.stdin.as_fd()
    }

    pub(super) fn output(&self, number: usize) -> BorrowedFd<'_> {
        match &self.outputs {
            Outputs::Two(outputs) => outputs[number.min(1)].as_fd(),
            Outputs::One(output) => output.as_fd(),
            Outputs::Terminal => self.stdin.as_fd(),
        }
    }

    pub(super) fn terminal(&self) -> Option<BorrowedFd<'_>> {
        matches!(self.outputs, Outputs::Terminal).then(|| self.stdin.as_fd())
    }
}

/// The ends that the shim keeps.
#[derive(Debug, Default)]
pub(super) struct Streams {
    pub(super) outputs: [Option<OwnedFd>; 2],
    pub(super) input: Option<Input>,
    /// The master, for its size.
    pub(super) terminal: Option<OwnedFd>,
}

/// Makes the streams. `devpts` is the instance that a terminal is to be in, `null` what is read without input.
pub(super) fn make(
    devpts: BorrowedFd<'_>,
    null: BorrowedFd<'_>,
    terminal: bool,
    stdin: bool,
    size: Option<TerminalSize>,
) -> Result<(Streams, ChildEnds), Fault> {
    if terminal {
        make_terminal(devpts, stdin, size).at(Stage::Terminal, "make a terminal")
    } else {
        make_pipes(null, stdin).at(Stage::Exec, "make the standard streams")
    }
}

fn make_terminal(
    devpts: BorrowedFd<'_>,
    stdin: bool,
    size: Option<TerminalSize>,
) -> io::Result<(Streams, ChildEnds)> {
    let pair = pty::open(devpts, size)?;
    // Its own descriptor, because epoll(7) knows a descriptor only once.
    let input = stdin.then(|| pair.master.try_clone()).transpose()?;
    let output = pair.master.try_clone()?;
    let streams = Streams {
        outputs: [Some(output), None],
        input: input.map(|fd| Input::new(fd, true)),
        terminal: Some(pair.master),
    };
    let ends = ChildEnds {
        stdin: pair.slave,
        outputs: Outputs::Terminal,
    };
    Ok((streams, ends))
}

fn make_pipes(null: BorrowedFd<'_>, stdin: bool) -> io::Result<(Streams, ChildEnds)> {
    let (ours, theirs) = if stdin {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        proc::set_nonblocking(writer.as_fd())?;
        (Some(Input::new(writer, false)), reader)
    } else {
        (None, null.try_clone_to_owned()?)
    };
    let output = || -> io::Result<(OwnedFd, OwnedFd)> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        proc::set_nonblocking(reader.as_fd())?;
        // Refused above the machine's pipe-user-pages-soft; the default size works too.
        let _ = proc::set_pipe_size(reader.as_fd(), PIPE_SIZE);
        Ok((reader, writer))
    };
    let (stdout, child_stdout) = output()?;
    let (stderr, child_stderr) = output()?;
    let streams = Streams {
        outputs: [Some(stdout), Some(stderr)],
        input: ours,
        terminal: None,
    };
    let ends = ChildEnds {
        stdin: theirs,
        outputs: Outputs::Two([child_stdout, child_stderr]),
    };
    Ok((streams, ends))
}

/// No input, and one pipe of the usual size for both outputs: for a process that is only asked how it ends.
pub(super) fn make_brief(null: BorrowedFd<'_>) -> Result<(Streams, ChildEnds), Fault> {
    let make = || -> io::Result<_> {
        let (streams, writer) = one_output()?;
        let ends = ChildEnds {
            stdin: null.try_clone_to_owned()?,
            outputs: Outputs::One(writer),
        };
        Ok((streams, ends))
    };
    make().at(Stage::Exec, "make the standard streams")
}

/// As [`make_brief`], for a process that has an input already: the end that it writes to.
pub(super) fn make_output() -> Result<(Streams, OwnedFd), Fault> {
    one_output().at(Stage::Exec, "make the standard streams")
}

fn one_output() -> io::Result<(Streams, OwnedFd)> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    // A new description has no other flags that could be lost.
    rustix::fs::fcntl_setfl(&reader, rustix::fs::OFlags::NONBLOCK)?;
    let streams = Streams {
        outputs: [Some(reader), None],
        ..Streams::default()
    };
    Ok((streams, writer))
}

/// What reading an output once gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Got {
    Bytes(usize),
    Nothing,
    End,
}

impl Streams {
    /// Starts waiting for output.
    pub(super) fn watch_outputs(&self, key: Key, reactor: &Reactor) -> io::Result<()> {
        for (number, output) in (0..).zip(&self.outputs) {
            if let Some(fd) = output {
                reactor.add(fd.as_fd(), Token::Output(key, number), Interest::READ)?;
            }
        }
        Ok(())
    }

    pub(super) fn unwatch_outputs(&self, reactor: &Reactor) {
        for fd in self.outputs.iter().flatten() {
            reactor.remove(fd.as_fd());
        }
    }

    pub(super) fn close_input(&mut self, reactor: &Reactor) {
        if let Some(input) = self.input.take() {
            input.unwatch(reactor);
        }
    }

    /// Hangs up.
    pub(super) fn close(&mut self, reactor: &Reactor) {
        self.unwatch_outputs(reactor);
        self.close_input(reactor);
        *self = Self::default();
    }

    pub(super) fn has_output(&self) -> bool {
        self.outputs.iter().any(Option::is_some)
    }

    /// Reads an output once. At its end, and after an error, it is closed.
    pub(super) fn read(&mut self, number: u8, buffer: &mut [u8], reactor: &Reactor) -> Got {
        let slot = &mut self.outputs[usize::from(number.min(1))];
        let Some(fd) = slot else {
            return Got::End;
        };
        match rustix::io::read(&*fd, &mut *buffer) {
            Ok(length @ 1..) => Got::Bytes(length),
            Err(Errno::AGAIN | Errno::INTR) => Got::Nothing,
            // A terminal whose last slave is closed answers EIO (pty(7)).
            Ok(0) | Err(_) => {
                reactor.remove(fd.as_fd());
                *slot = None;
                Got::End
            }
        }
    }

    pub(super) fn resize(&self, size: TerminalSize) {
        if let Some(terminal) = &self.terminal {
            // It fails only for a terminal that has gone.
            let _ = pty::resize(terminal.as_fd(), size);
        }
    }
}

/// Standard input of a process and the bytes it has not taken yet.
#[derive(Debug)]
pub(super) struct Input {
    fd: OwnedFd,
    pending: Vec<u8>,
    close_when_empty: bool,
    watched: bool,
    terminal: bool,
}

/// How much an input has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    All,
    /// The rest waits; the source must wait too.
    Part,
    /// Nobody reads any more; the input is to be dropped.
    Closed,
}

impl Input {
    fn new(fd: OwnedFd, terminal: bool) -> Self {
        Self {
            fd,
            pending: Vec::new(),
            close_when_empty: false,
            watched: false,
            terminal,
        }
    }

    fn unwatch(&self, reactor: &Reactor) {
        if self.watched {
            reactor.remove(self.fd.as_fd());
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8], key: Key, reactor: &Reactor) -> Taken {
        self.pending.extend_from_slice(bytes);
        self.flush(key, reactor)
    }

    /// Closes the input when everything is written. A terminal has no end of its own: whoever types into
    /// it sends the character that means one.
    pub(super) fn finish(&mut self, key: Key, reactor: &Reactor) -> Taken {
        self.close_when_empty = !self.terminal;
        self.flush(key, reactor)
    }

    pub(super) fn flush(&mut self, key: Key, reactor: &Reactor) -> Taken {
        let mut done = 0;
        while done < self.pending.len() {
            match rustix::io::write(&self.fd, &self.pending[done..]) {
                Ok(length) => done += length,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(_) => {
                    self.unwatch(reactor);
                    return Taken::Closed;
                }
            }
        }
        self.pending.drain(..done);
        let blocked = !self.pending.is_empty();
        if blocked != self.watched {
            if blocked {
                let added = reactor.add(self.fd.as_fd(), Token::Input(key), Interest::WRITE);
                if added.is_err() {
                    return Taken::Closed;
                }
            } else {
                reactor.remove(self.fd.as_fd());
            }
            self.watched = blocked;
        }
        match (blocked, self.close_when_empty) {
            (true, _) => Taken::Part,
            (false, true) => Taken::Closed,
            (false, false) => Taken::All,
        }
    }
}
