use std::future::poll_fn;
use std::io::{self, Read};
use std::pin::pin;
use std::sync::Once;
use std::thread;

use bytes::Bytes;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::Sender;

use super::console::Console;
use super::failure::Failure;
use crate::base::{SessionEnd, SessionOutput, SessionStream, TerminalSize};

/// How the user's side of a session behaves.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SessionMode {
    /// The terminal is in raw mode and its size is passed on.
    pub(super) tty: bool,
    pub(super) stdin: bool,
    /// Ctrl-P Ctrl-Q leaves the session.
    pub(super) detachable: bool,
}

/// How a session ended, seen from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Ended(SessionEnd),
    Detached,
}

/// The size of the terminal of this process, if it has one.
pub(super) fn terminal_size() -> Option<TerminalSize> {
    let (columns, rows) = crossterm::terminal::size().ok()?;
    Some(TerminalSize { columns, rows })
}

/// Raw mode of the terminal, undone when dropped, by a panic, and by the signals that end a session.
struct RawMode;

impl RawMode {
    fn enter() -> Result<Self, Failure> {
        static RESTORE_ON_PANIC: Once = Once::new();
        RESTORE_ON_PANIC.call_once(|| {
            let previous = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                let _ = crossterm::terminal::disable_raw_mode();
                previous(info);
            }));
        });
        crossterm::terminal::enable_raw_mode()
            .map_err(|error| Failure::local(format!("Unable to use a TTY - {error}")))?;
        Ok(Self)
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let _ = crossterm::terminal::disable_raw_mode();
    }
}

/// Signals that matter while the terminal is raw.
struct Signals {
    resize: Signal,
    /// With the exit codes a shell shows for them.
    ends: [(Signal, u8); 3],
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            resize: signal(SignalKind::window_change())?,
            ends: [
                (signal(SignalKind::terminate())?, 128 + 15),
                (signal(SignalKind::hangup())?, 128 + 1),
                (signal(SignalKind::interrupt())?, 128 + 2),
            ],
        })
    }

    /// Cancel safe: receiving from a signal is.
    async fn end(ends: &mut [(Signal, u8); 3]) -> u8 {
        poll_fn(|context| {
            for (signal, code) in ends.iter_mut() {
                if signal.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*code);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

/// Carries bytes between the user and a session until the session ends or the user detaches.
///
/// Output is written as it comes, byte for byte; a slow reader of ours slows the session down, because
/// nothing is taken from it while a write blocks.
pub(super) async fn pump(
    console: &mut Console,
    stream: SessionStream,
    mode: SessionMode,
) -> Result<Outcome, Failure> {
    let SessionStream {
        stdin,
        mut output,
        resize,
    } = stream;
    let failed = |error: io::Error| Failure::local(format!("cannot handle signals: {error}"));
    let mut signals = if mode.tty {
        Some(Signals::new().map_err(failed)?)
    } else {
        None
    };
    let _raw = if mode.tty {
        Some(RawMode::enter()?)
    } else {
        None
    };
    let (detached_tx, mut detached_rx) = tokio::sync::mpsc::channel::<()>(1);
    if let (true, Some(to)) = (mode.stdin, stdin)
        && let Some(input) = console.take_input()
    {
        let detached = mode.detachable.then_some(detached_tx.clone());
        // Reading a terminal or pipe cannot be cancelled; the thread ends with the process.
        thread::spawn(move || forward(input, &to, detached.as_ref()));
    }
    loop {
        tokio::select! {
            // Cancel safe: a message is either taken or stays in the channel.
            message = output.recv() => match message {
                Some(SessionOutput::Stdout(bytes)) => console.write(&bytes)?,
                Some(SessionOutput::Stderr(bytes)) => console.write_err(&bytes),
                Some(SessionOutput::End(end)) => return Ok(Outcome::Ended(end)),
                None => return Ok(Outcome::Ended(SessionEnd::Failed("the connection to the engine was lost".to_owned()))),
            },
            // Cancel safe: as above.
            Some(()) = detached_rx.recv() => return Ok(Outcome::Detached),
            // Cancel safe: signals that are not taken now are taken by the next turn.
            event = next_signal(&mut signals) => match event {
                SignalEvent::Resize => {
                    if let Some(size) = terminal_size() {
                        // A full channel means that a newer size is on its way to be read anyhow.
                        let _ = resize.try_send(size);
                    }
                }
                SignalEvent::End(code) => return Err(Failure::Exit(code)),
            },
        }
    }
}

enum SignalEvent {
    Resize,
    End(u8),
}

async fn next_signal(signals: &mut Option<Signals>) -> SignalEvent {
    let Some(signals) = signals else {
        return std::future::pending().await;
    };
    let Signals { resize, ends } = signals;
    let end = pin!(Signals::end(ends));
    tokio::select! {
        // Both are cancel safe: receiving from a signal is.
        _ = resize.recv() => SignalEvent::Resize,
        code = end => SignalEvent::End(code),
    }
}

/// Reads until the end of input, an error, a closed session or the detach keys.
fn forward(mut input: Box<dyn Read + Send>, to: &Sender<Bytes>, detached: Option<&Sender<()>>) {
    let mut buffer = vec![0; 32 << 10];
    let mut keys = DetachKeys::default();
    loop {
        let count = match input.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let bytes = &buffer[..count];
        let Some(detached) = detached else {
            if to.blocking_send(Bytes::copy_from_slice(bytes)).is_err() {
                return;
            }
            continue;
        };
        let (pass, leave) = keys.filter(bytes);
        if !pass.is_empty() && to.blocking_send(Bytes::from(pass)).is_err() {
            return;
        }
        if leave {
            let _ = detached.blocking_send(());
            return;
        }
    }
}

/// Finds Ctrl-P Ctrl-Q; a lone Ctrl-P passes as soon as another key shows that it was meant.
#[derive(Debug, Default)]
struct DetachKeys {
    pending: bool,
}

impl DetachKeys {
    fn filter(&mut self, bytes: &[u8]) -> (Vec<u8>, bool) {
        const CTRL_P: u8 = 0x10;
        const CTRL_Q: u8 = 0x11;
        let mut pass = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            if std::mem::take(&mut self.pending) {
                if byte == CTRL_Q {
                    return (pass, true);
                }
                pass.push(CTRL_P);
            }
            if byte == CTRL_P {
                self.pending = true;
            } else {
                pass.push(byte);
            }
        }
        (pass, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detach_keys_are_found_across_reads() {
        let mut keys = DetachKeys::default();
        assert_eq!(keys.filter(b"ab\x10"), (b"ab".to_vec(), false));
        assert_eq!(keys.filter(b"c"), (b"\x10c".to_vec(), false));
        assert_eq!(keys.filter(b"\x10\x10"), (b"\x10".to_vec(), false));
        assert_eq!(keys.filter(b"\x11rest"), (Vec::new(), true));
    }
}
