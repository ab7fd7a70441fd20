//! The template process that forks shims.
//!
//! Starting this program anew for each pod costs an exec, the relocation of its data and a private copy of
//! the pages that relocation wrote. A fork of a process that has done that shares them all.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::pipe::{PipeFlags, pipe_with};

use super::fault::{At, refuse};
use super::main::{answer, build, serve};
use super::template::Template;
use crate::linux::clone::{self, Namespaces, SingleThreaded};
use crate::linux::{proc, signal};
use crate::wire::{FactoryAnswer, FactoryRequest, Fault, SandboxSpec, ShimAnswer, Stage};

/// Longest line that is accepted.
const MAX_LINE: usize = 16 << 20;

/// A shim that has not answered yet.
struct Pending {
    id: u64,
    answers: File,
    received: Vec<u8>,
}

pub(super) fn run() -> ExitCode {
    // Nobody waits for the shims here: the kernel reaps them when they end (sigaction(2), SIGCHLD).
    if signal::ignore_children().is_err() || proc::make_undumpable().is_err() {
        return ExitCode::FAILURE;
    }
    let _ = proc::set_name(c"podtui-factory");
    match Template::new().map(|template| serve_requests(&template)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        // The engine starts shims of its own then, which tell what is wrong.
        Ok(Err(_)) | Err(_) => ExitCode::FAILURE,
    }
}

fn serve_requests(template: &Template) -> io::Result<()> {
    let mut pending: Vec<Pending> = Vec::new();
    let mut input = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let stdin = io::stdin();
        let mut polled = vec![PollFd::new(&stdin, PollFlags::IN)];
        polled.extend(
            pending
                .iter()
                .map(|shim| PollFd::new(&shim.answers, PollFlags::IN)),
        );
        match poll(&mut polled, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let ready: Vec<bool> = polled.iter().map(|one| !one.revents().is_empty()).collect();
        drop(polled);
        let answered = ready[1..].iter().rev();
        for (index, ready) in (0..pending.len()).rev().zip(answered) {
            if *ready && pending[index].receive(&mut buffer)? {
                pending.swap_remove(index).finish()?;
            }
        }
        if !ready[0] {
            continue;
        }
        // Not through `Stdin`, whose buffer poll(2) cannot see.
        let length = rustix::io::read(&stdin, &mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        input.extend_from_slice(&buffer[..length]);
        while let Some(end) = memchr::memchr(b'\n', &input) {
            let line: Vec<u8> = input.drain(..=end).collect();
            pending.extend(request(&line, template)?);
        }
        if input.len() > MAX_LINE {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

fn request(line: &[u8], template: &Template) -> io::Result<Option<Pending>> {
    let FactoryRequest { id, spec } = match serde_json::from_slice(line) {
        Ok(request) => request,
        Err(error) => {
            let fault = refuse(Stage::Request, format!("read the request: {error}"));
            // Only an engine that is broken gets here; 0 is an id it does not use.
            return tell(0, ShimAnswer::Fault(fault)).map(|()| None);
        }
    };
    match fork(*spec, template) {
        Ok(answers) => Ok(Some(Pending {
            id,
            answers: answers.into(),
            received: Vec::new(),
        })),
        Err(fault) => tell(id, ShimAnswer::Fault(fault)).map(|()| None),
    }
}

fn fork(spec: SandboxSpec, template: &Template) -> Result<OwnedFd, Fault> {
    let witness = SingleThreaded::check().at(Stage::Clone, "look for threads")?;
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).at(Stage::Clone, "make a pipe")?;
    proc::set_nonblocking(reader.as_fd()).at(Stage::Clone, "make a pipe")?;
    let mut spec = Some(spec);
    clone::spawn(&witness, Namespaces::NONE, None, || {
        let Some(spec) = spec.take() else { return 1 };
        become_child(spec, template, &writer)
    })
    .at(Stage::Clone, "fork a shim")?;
    Ok(reader)
}

/// Runs in the child. The template's descriptors would keep its pipes open after its death, so only the
/// way to answer, the program of pause and `/dev/null` stay.
fn become_child(spec: SandboxSpec, template: &Template, writer: &OwnedFd) -> u8 {
    let kept = [
        writer.as_fd(),
        template.pause.as_fd(),
        template.null.as_fd(),
    ];
    let Ok([answers, pause, null]) = proc::keep_only(kept) else {
        return 1;
    };
    let mut answers = File::from(answers);
    let _ = proc::silence();
    match build(spec, template.with(pause, null)) {
        Ok(shim) => {
            serve(shim, &mut Closing(Some(answers)));
            0
        }
        Err(fault) => {
            answer(&mut answers, &ShimAnswer::Fault(fault));
            1
        }
    }
}

/// A pipe that is closed when its one line has been flushed, so that the template hears the end.
struct Closing(Option<File>);

impl Write for Closing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Some(file) => file.write(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0 = None;
        Ok(())
    }
}

impl Pending {
    /// `true` at the end.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        match self.answers.read(buffer) {
            Ok(0) => Ok(true),
            Ok(length) => {
                self.received.extend_from_slice(&buffer[..length]);
                Ok(false)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn finish(self) -> io::Result<()> {
        let told = serde_json::from_slice(&self.received).unwrap_or_else(|_| {
            ShimAnswer::Fault(refuse(
                Stage::Clone,
                "the shim died while it built the sandbox",
            ))
        });
        tell(self.id, told)
    }
}

fn tell(id: u64, answer: ShimAnswer) -> io::Result<()> {
    let mut line = serde_json::to_vec(&FactoryAnswer { id, answer })?;
    line.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(&line)?;
    stdout.flush()
}
