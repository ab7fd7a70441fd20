//! Programs of this machine in terminals of their own: what the screen runs `$EDITOR` in.
//!
//! A terminal of its own needs a process that leaves the session and takes the terminal before the program starts.
//! The threaded process may not do that between fork and exec, so it starts itself again as `podtui __tty UMASK PROGRAM…`,
//! which is one thread, does it, and becomes the program.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::base::{SessionEnd, SessionOutput, SessionStream, TerminalSize};
use crate::linux::{proc, pty};
use crate::tui::HostPrograms;

pub(crate) const TTY: &str = "__tty";

/// One read of output.
const CHUNK: usize = 16 << 10;
/// Messages on their way.
const QUEUE: usize = 4;
/// What is left in the terminal when the program has ended is read so long; somebody else may hold it open.
const DRAIN: Duration = Duration::from_millis(200);
/// So long a program may take to end after its terminal is gone, before it is killed.
const HANG_UP: Duration = Duration::from_secs(3);

/// Of the terminal podtui itself runs in; a program that believed them would speak to another one than it has.
const NOT_ITS_TERMINAL: [&str; 10] = [
    "TMUX",
    "TMUX_PANE",
    "STY",
    "LINES",
    "COLUMNS",
    "TERM_PROGRAM",
    "TERM_PROGRAM_VERSION",
    "VTE_VERSION",
    "KITTY_WINDOW_ID",
    "WINDOWID",
];

pub(crate) struct Programs {
    /// The user's, which theirs are to have; podtui has its own.
    pub(super) umask: u32,
}

impl HostPrograms for Programs {
    fn start(&self, argv: &[OsString], size: TerminalSize) -> io::Result<SessionStream> {
        let terminal = pty::open_own(size)?;
        let end = || terminal.slave.try_clone().map(Stdio::from);
        let mut command = tokio::process::Command::new("/proc/self/exe");
        command
            .arg(TTY)
            .arg(format!("{:o}", self.umask))
            .args(argv)
            .env("TERM", terminal_name())
            .env("COLORTERM", "truecolor")
            .stdin(end()?)
            .stdout(end()?)
            .stderr(end()?);
        for variable in NOT_ITS_TERMINAL {
            command.env_remove(variable);
        }
        let child = command.spawn()?;
        drop(command);
        drop(terminal.slave);
        #[expect(
            deprecated,
            reason = "the other way is unsafe, for types that can lose their descriptor; an OwnedFd keeps it"
        )]
        let master = AsyncFd::new(terminal.master)?;
        let master = Arc::new(master);
        let hang_up = CancellationToken::new();
        let (stdin, stdin_rx) = mpsc::channel(QUEUE);
        let (output_tx, output) = mpsc::channel(QUEUE);
        let (resize, resize_rx) = mpsc::channel(QUEUE);
        let writer = write(Arc::clone(&master), stdin_rx, resize_rx, hang_up.clone());
        tokio::spawn(writer);
        tokio::spawn(read(master, child, output_tx, hang_up));
        Ok(SessionStream {
            stdin: Some(stdin),
            output,
            resize,
        })
    }
}

/// What the terminal panes understand, where this machine has a description of it.
fn terminal_name() -> &'static str {
    let places = ["/usr/share/terminfo", "/lib/terminfo", "/etc/terminfo"];
    let has = |place: &&str| {
        std::path::Path::new(place)
            .join("x/xterm-256color")
            .exists()
    };
    if places.iter().any(has) {
        "xterm-256color"
    } else {
        "xterm"
    }
}

/// Until there is no more input, which hangs up, or nobody reads it.
async fn write(
    master: Arc<AsyncFd<OwnedFd>>,
    mut input: mpsc::Receiver<Bytes>,
    mut sizes: mpsc::Receiver<TerminalSize>,
    hang_up: CancellationToken,
) {
    let _hang_up = hang_up.clone().drop_guard();
    loop {
        // `recv` is cancel safe; what was received is written to its end, unless the program has ended.
        let bytes = tokio::select! {
            () = hang_up.cancelled() => return,
            Some(size) = sizes.recv() => {
                let _ = pty::resize(master.get_ref().as_fd(), size);
                continue;
            }
            bytes = input.recv() => match bytes {
                Some(bytes) => bytes,
                None => return,
            },
        };
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let written = tokio::select! {
                () = hang_up.cancelled() => return,
                written = master.async_io(Interest::WRITABLE, |fd| Ok(rustix::io::write(fd, rest)?)) => written,
            };
            match written {
                Ok(count) => rest = &rest[count..],
                Err(_) => return,
            }
        }
    }
}

async fn read(
    master: Arc<AsyncFd<OwnedFd>>,
    mut child: Child,
    output: mpsc::Sender<SessionOutput>,
    hang_up: CancellationToken,
) {
    let mut exit: Option<ExitStatus> = None;
    let mut buffer = vec![0; CHUNK];
    let drained = tokio::time::sleep(Duration::ZERO);
    tokio::pin!(drained);
    loop {
        // Every arm is cancel safe: `async_io` reads at once or not at all, and `wait` may be asked again.
        tokio::select! {
            () = hang_up.cancelled() => break,
            count = master.async_io(Interest::READABLE, |fd| Ok(rustix::io::read(fd, &mut buffer[..])?)) => match count {
                Ok(count @ 1..) => {
                    let bytes = Bytes::copy_from_slice(&buffer[..count]);
                    tokio::select! {
                        () = hang_up.cancelled() => break,
                        sent = output.send(SessionOutput::Stdout(bytes)) => if sent.is_err() { break },
                    }
                }
                // EIO: nobody has the other side open any more (pty(7)).
                Ok(0) | Err(_) => break,
            },
            status = child.wait(), if exit.is_none() => {
                match status {
                    Ok(status) => exit = Some(status),
                    Err(_) => break,
                }
                drained.as_mut().reset(tokio::time::Instant::now() + DRAIN);
            }
            () = &mut drained, if exit.is_some() => break,
        }
    }
    hang_up.cancel();
    // The last owner but the writer, which ends as well: the program gets SIGHUP.
    drop(master);
    let end = match exit {
        Some(status) => ended(status),
        None => match tokio::time::timeout(HANG_UP, child.wait()).await {
            Ok(Ok(status)) => ended(status),
            Ok(Err(error)) => SessionEnd::Failed(error.to_string()),
            Err(_) => {
                // It can always be killed: it is not reaped yet.
                let _ = child.kill().await;
                SessionEnd::Closed
            }
        },
    };
    // Nobody may listen any more.
    let _ = output.send(SessionOutput::End(end)).await;
}

fn ended(status: ExitStatus) -> SessionEnd {
    let signal = || 128 + status.signal().unwrap_or(0);
    SessionEnd::Exited(status.code().unwrap_or_else(signal))
}

/// `podtui __tty PROGRAM ARGUMENT…`: a session of its own on the terminal that is standard input, and the program in
/// it. Called by `main` before any thread exists. Returns only when the program cannot be started.
pub(crate) fn become_program(mut words: impl Iterator<Item = OsString>) -> ExitCode {
    let umask = words.next();
    let umask = umask
        .as_deref()
        .and_then(OsStr::to_str)
        .and_then(|text| u32::from_str_radix(text, 8).ok());
    let (Some(umask), Some(program)) = (umask, words.next()) else {
        return ExitCode::from(2);
    };
    proc::set_umask(umask);
    let error = match take_terminal() {
        // It also undoes what the runtime did to SIGPIPE.
        Ok(()) => Command::new(&program).args(words).exec(),
        Err(error) => error,
    };
    let text = format!("{}: {error}\r\n", OsStr::display(&program));
    let _ = io::stderr().write_all(text.as_bytes());
    ExitCode::from(127)
}

fn take_terminal() -> io::Result<()> {
    rustix::process::setsid()?;
    pty::make_controlling(io::stdin().as_fd())
}
