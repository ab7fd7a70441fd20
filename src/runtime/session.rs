//! Sessions: a connection of its own that carries the streams of one exec or attach.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::mpsc;

use super::connection::{FrameReader, send};
use super::{EXEC_OUTPUT_LIMIT, ExecResult, RuntimeError};
use crate::base::{SessionEnd, SessionOutput, SessionStream, TerminalSize};
use crate::wire::frame::{self, Kind};
use crate::wire::{Reply, Request, ToEngine, ToShim};

/// Chunks in flight per direction; with frames of at most 64 KiB this bounds memory per session.
const CHUNKS: usize = 16;
/// Largest frame of standard input that is sent at once.
const LARGEST_INPUT: usize = 64 << 10;

/// Sends the request that turns this connection into a session and starts its two pumps.
pub(super) async fn open(
    mut reader: FrameReader,
    mut write: OwnedWriteHalf,
    request: Request,
    wants_stdin: bool,
    unreachable: impl Fn(std::io::Error) -> RuntimeError,
) -> Result<SessionStream, RuntimeError> {
    send(&mut write, &ToShim { id: 1, request })
        .await
        .map_err(&unreachable)?;
    match reader.next().await.map_err(&unreachable)? {
        Some((Kind::Control, payload)) => begun(&payload, &unreachable)?,
        _ => return Err(unreachable(std::io::ErrorKind::UnexpectedEof.into())),
    }
    let (stdin, stdin_rx) = mpsc::channel(CHUNKS);
    let (resize, resize_rx) = mpsc::channel(1);
    let (output_tx, output) = mpsc::channel(CHUNKS);
    let input = tokio::spawn(pump_input(
        write,
        wants_stdin.then_some(stdin_rx),
        resize_rx,
    ));
    tokio::spawn(pump_output(reader, output_tx, input.abort_handle()));
    Ok(SessionStream {
        stdin: wants_stdin.then_some(stdin),
        output,
        resize,
    })
}

/// Reads a session of a shim that knows no [`Request::Run`] to its end and keeps the beginning of its output. Dropping the connection, as the end of
/// `timeout` does, kills a process that is to end with its client.
pub(super) async fn run_to_end(
    connected: impl Future<Output = Result<FrameReader<UnixStream>, RuntimeError>>,
    timeout: Option<Duration>,
    unreachable: impl Fn(std::io::Error) -> RuntimeError,
) -> Result<ExecResult, RuntimeError> {
    let mut kept = Vec::new();
    let run = async {
        let mut reader = connected.await?;
        while let Some((kind, payload)) = reader.next().await.map_err(&unreachable)? {
            match kind {
                Kind::Stdout | Kind::Stderr => {
                    let room = EXEC_OUTPUT_LIMIT - kept.len();
                    kept.extend_from_slice(&payload[..room.min(payload.len())]);
                }
                Kind::Control => begun(&payload, &unreachable)?,
                Kind::End => match serde_json::from_slice(&payload) {
                    Ok(SessionEnd::Exited(code)) => return Ok(Some(code)),
                    Ok(SessionEnd::Failed(text)) => return Err(RuntimeError::Exec(text)),
                    Ok(SessionEnd::Closed) => break,
                    Err(error) => {
                        let text = format!("the end of the session cannot be read: {error}");
                        return Err(RuntimeError::Exec(text));
                    }
                },
                Kind::Stdin | Kind::Resize => {}
            }
        }
        let text = "the session ended without an exit code";
        Err(RuntimeError::Exec(text.to_owned()))
    };
    let ended = match timeout {
        None => run.await,
        Some(timeout) => tokio::time::timeout(timeout, run).await.unwrap_or(Ok(None)),
    };
    Ok(ExecResult {
        exit_code: ended?,
        output: kept,
    })
}

/// The answer to the request for a session.
fn begun(
    payload: &[u8],
    unreachable: impl Fn(std::io::Error) -> RuntimeError,
) -> Result<(), RuntimeError> {
    match serde_json::from_slice(payload).map_err(|error| unreachable(error.into()))? {
        ToEngine::Reply {
            reply: Reply::SessionStarted,
            ..
        } => Ok(()),
        ToEngine::Reply {
            reply: Reply::Fault(fault),
            ..
        } => Err(RuntimeError::Fault(fault)),
        ToEngine::Reply { .. } | ToEngine::Event(_) => {
            Err(unreachable(std::io::ErrorKind::InvalidData.into()))
        }
    }
}

async fn pump_input(
    mut write: OwnedWriteHalf,
    mut stdin: Option<mpsc::Receiver<Bytes>>,
    mut resize: mpsc::Receiver<TerminalSize>,
) {
    let mut frames = Vec::new();
    let mut sizes_open = true;
    while stdin.is_some() || sizes_open {
        frames.clear();
        // Both arms are cancel-safe: `recv` takes a message only when it returns it.
        let put = tokio::select! {
            chunk = receive(&mut stdin), if stdin.is_some() => {
                if let Some(chunk) = chunk {
                    chunk
                        .chunks(LARGEST_INPUT)
                        .try_for_each(|part| frame::put(&mut frames, Kind::Stdin, part))
                } else {
                    stdin = None;
                    frame::put(&mut frames, Kind::Stdin, &[])
                }
            }
            size = resize.recv(), if sizes_open => {
                if let Some(size) = size {
                    frame::put_json(&mut frames, Kind::Resize, &size)
                } else {
                    sizes_open = false;
                    Ok(())
                }
            }
        };
        if put.is_err() || write.write_all(&frames).await.is_err() {
            return;
        }
    }
    // Dropping the half would shut the socket down, which the shim takes for the end of the session; the
    // output pump ends this task when the session is over.
    std::future::pending::<()>().await;
}

async fn receive(stdin: &mut Option<mpsc::Receiver<Bytes>>) -> Option<Bytes> {
    match stdin {
        Some(stdin) => stdin.recv().await,
        None => std::future::pending().await,
    }
}

async fn pump_output(
    mut reader: FrameReader,
    output: mpsc::Sender<SessionOutput>,
    input: tokio::task::AbortHandle,
) {
    loop {
        // `next` keeps what it has read, `closed` has no state: both are cancel-safe.
        let frame = tokio::select! {
            frame = reader.next() => frame,
            () = output.closed() => break,
        };
        let message = match frame {
            Ok(Some((Kind::Stdout, bytes))) => SessionOutput::Stdout(bytes),
            Ok(Some((Kind::Stderr, bytes))) => SessionOutput::Stderr(bytes),
            Ok(Some((Kind::End, payload))) => {
                let end = serde_json::from_slice(&payload).unwrap_or_else(|error| {
                    SessionEnd::Failed(format!("the end of the session cannot be read: {error}"))
                });
                let _ = output.send(SessionOutput::End(end)).await;
                break;
            }
            Ok(Some((Kind::Control | Kind::Stdin | Kind::Resize, _))) => continue,
            Ok(None) | Err(_) => break,
        };
        if output.send(message).await.is_err() {
            break;
        }
    }
    input.abort();
}
