//! exec and attach over a WebSocket.

use std::collections::VecDeque;
use std::time::Duration;

use axum::extract::{Path, State};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_util::sync::CancellationToken;

use super::query::Query;
use super::reply::{Answer, Failure};
use super::router::{Shared, key};
use super::upgrade::{Handshake, Socket, Upgrade};
use crate::base::{SessionEnd, SessionOutput, SessionStream, TerminalSize};
use crate::client::{ExecOptions, SessionVerb, channel};
use crate::model::pod::container_status;
use crate::model::{ApiError, Kind, Object, ObjectKey};

/// Input that the process does not read yet. When it is used up, the connection is read no further.
const INPUT_BACKLOG: usize = 1 << 20;
/// A vanished client is noticed by the failure of a ping.
pub(super) const PING_AFTER: Duration = Duration::from_secs(15);
/// How long the client may take to answer the close frame.
pub(super) const CLOSE_WAIT: Duration = Duration::from_secs(2);

pub(super) async fn exec(
    State(shared): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
    query: Query,
    upgrade: Upgrade,
) -> Answer {
    open(
        &shared,
        SessionVerb::Exec,
        &namespace,
        &name,
        &query,
        upgrade,
    )
    .await
}

pub(super) async fn attach(
    State(shared): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
    query: Query,
    upgrade: Upgrade,
) -> Answer {
    open(
        &shared,
        SessionVerb::Attach,
        &namespace,
        &name,
        &query,
        upgrade,
    )
    .await
}

/// A wrong request is answered in HTTP. What fails in the container is told inside the session, as the kubelet
/// does: clients take a refused upgrade for a server without WebSockets.
async fn open(
    shared: &Shared,
    verb: SessionVerb,
    namespace: &str,
    name: &str,
    query: &Query,
    upgrade: Upgrade,
) -> Answer {
    key(Kind::Pod, namespace, name)?;
    let options = exec_options(query)?;
    shared
        .client
        .check_session(verb, namespace, name, &options)?;
    let handshake = match handshake(upgrade) {
        Ok(handshake) => handshake,
        // A client that comes back in another way after a refusal is told that refusal.
        Err(failure) => {
            let why = why_not(shared, namespace, name, options.container.as_deref()).await;
            return Err(why.map_or(failure, Failure::from));
        }
    };
    let session = match verb {
        SessionVerb::Exec => shared.client.exec(namespace, name, options).await,
        SessionVerb::Attach => shared.client.attach(namespace, name, options).await,
    };
    let session = match session {
        Ok(session) => session,
        Err(error) if error.reason.http_code() < 500 => return Err(error.into()),
        Err(error) => failed(error.message),
    };
    let shutdown = shared.shutdown.clone();
    Ok(handshake.accept(move |socket| run(socket, session, shutdown)))
}

/// What refuses a session with a container that does not run, by the status of the pod.
async fn why_not(
    shared: &Shared,
    namespace: &str,
    name: &str,
    container: Option<&str>,
) -> Option<ApiError> {
    let object = shared
        .client
        .get(&ObjectKey::pod(namespace, name))
        .await
        .ok()?;
    let Object::Pod(pod) = object else {
        return None;
    };
    let spec = pod.spec.as_ref()?;
    let first = || {
        spec.containers
            .first()
            .map(|container| container.name.as_str())
    };
    let container = container.or_else(first)?;
    let state = container_status(&pod, container).and_then(|status| status.state.as_ref());
    let runs = state.is_some_and(|state| state.running.is_some());
    (!runs).then(|| {
        ApiError::bad_request(format!(
            "unable to upgrade connection: container not found (\"{container}\")"
        ))
    })
}

/// A session that tells why there is none.
fn failed(message: String) -> SessionStream {
    let (output_tx, output) = mpsc::channel(1);
    let (resize, _) = mpsc::channel(1);
    output_tx
        .try_send(SessionOutput::End(SessionEnd::Failed(message)))
        .expect("a new queue has room for one message");
    SessionStream {
        stdin: None,
        output,
        resize,
    }
}

fn exec_options(query: &Query) -> Result<ExecOptions, ApiError> {
    let (columns, rows) = (
        query.number(channel::COLUMNS)?,
        query.number(channel::ROWS)?,
    );
    let size = columns.zip(rows);
    Ok(ExecOptions {
        container: query.text("container").map(str::to_owned),
        command: query.all("command").map(str::to_owned).collect(),
        stdin: query.flag("stdin"),
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        tty: query.flag("tty"),
        size: size.map(|(columns, rows)| TerminalSize { columns, rows }),
    })
}

/// The handshake of a session, or why there is none.
fn handshake(upgrade: Upgrade) -> Result<Handshake, Failure> {
    if !upgrade.is_wanted() {
        return Err(ApiError::bad_request(
            "unable to upgrade: podtui streams over WebSocket only (subprotocols v5.channel.k8s.io and \
             v4.channel.k8s.io; kubectl 1.29 or newer)",
        )
        .into());
    }
    upgrade.with_one_of(&[channel::PROTOCOL_V5, channel::PROTOCOL_V4])
}

async fn run(socket: Socket, session: SessionStream, shutdown: CancellationToken) {
    let SessionStream {
        stdin,
        output,
        resize,
    } = session;
    let (mut sink, mut stream) = socket.split();
    let finished = tokio::select! {
        // Dropping either half half-way is fine: the session ends in all three cases.
        finished = write_output(&mut sink, output) => finished,
        () = read_input(&mut stream, stdin, resize) => false,
        () = shutdown.cancelled() => false,
    };
    let code = if finished {
        CloseCode::Normal
    } else {
        CloseCode::Away
    };
    let close = Message::Close(Some(CloseFrame {
        code,
        reason: "".into(),
    }));
    // The client may be gone; then there is nobody to say goodbye to.
    let farewell = async {
        let _ = sink.send(close).await;
        while let Some(Ok(_)) = stream.next().await {}
    };
    let _ = tokio::time::timeout(CLOSE_WAIT, farewell).await;
}

/// True when the session came to its own end.
async fn write_output(
    sink: &mut SplitSink<Socket, Message>,
    mut output: mpsc::Receiver<SessionOutput>,
) -> bool {
    loop {
        let message = tokio::select! {
            // Cancel-safe: a message is taken only when the arm wins.
            output = output.recv() => match output {
                Some(SessionOutput::Stdout(data)) => channel::frame(channel::STDOUT, &data),
                Some(SessionOutput::Stderr(data)) => channel::frame(channel::STDERR, &data),
                Some(SessionOutput::End(end)) => return send_end(sink, &end).await,
                None => {
                    let lost = SessionEnd::Failed("the connection to the container was lost".to_owned());
                    return send_end(sink, &lost).await;
                }
            },
            () = tokio::time::sleep(PING_AFTER) => {
                if sink.send(Message::Ping(Bytes::new())).await.is_err() {
                    return false;
                }
                continue;
            }
        };
        if sink.send(Message::Binary(message)).await.is_err() {
            return false;
        }
    }
}

async fn send_end(sink: &mut SplitSink<Socket, Message>, end: &SessionEnd) -> bool {
    let status = channel::end_status(end).to_string();
    let frame = channel::frame(channel::ERROR, status.as_bytes());
    sink.send(Message::Binary(frame)).await.is_ok()
}

/// Returns when the client is gone. Input that the process does not take at once is queued up to a limit, so
/// that the end of the connection is noticed meanwhile.
async fn read_input(
    stream: &mut SplitStream<Socket>,
    mut stdin: Option<mpsc::Sender<Bytes>>,
    resize: mpsc::Sender<TerminalSize>,
) {
    let mut backlog = Backlog::default();
    loop {
        let message = tokio::select! {
            // Cancel-safe: a message is taken only when the arm wins.
            message = stream.next(), if backlog.has_room() => message,
            // Cancel-safe: it only waits. This is the one sender, so the room stays.
            open = has_room(stdin.as_ref()), if !backlog.is_empty() => {
                if !open || !pass_on(&mut backlog, stdin.as_ref()) {
                    // The process has closed its input: what is left has no reader.
                    backlog.clear();
                    stdin = None;
                }
                if backlog.is_done() {
                    stdin = None;
                }
                continue;
            }
        };
        match message {
            Some(Ok(Message::Binary(data))) => {
                on_frame(data, &mut stdin, &mut backlog, &resize);
            }
            // Some clients send text as text.
            Some(Ok(Message::Text(text))) => {
                on_frame(text.into(), &mut stdin, &mut backlog, &resize);
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Close(_)) | Err(_)) | None => return,
        }
    }
}

fn on_frame(
    mut data: Bytes,
    stdin: &mut Option<mpsc::Sender<Bytes>>,
    backlog: &mut Backlog,
    resize: &mpsc::Sender<TerminalSize>,
) {
    if data.is_empty() {
        return;
    }
    let payload = data.split_off(1);
    match data[0] {
        channel::STDIN if stdin.is_some() && !payload.is_empty() => backlog.push(payload),
        channel::RESIZE => {
            if let Some(size) = channel::parse_resize(&payload) {
                // A size that finds the queue full is followed by a newer one while somebody drags the window.
                let _ = resize.try_send(size);
            }
        }
        channel::CLOSE if payload.first() == Some(&channel::STDIN) => {
            backlog.ended = true;
            if backlog.is_empty() {
                *stdin = None;
            }
        }
        _ => {}
    }
}

/// Waits until the queue to the process takes something; false when nobody reads it any more.
async fn has_room(stdin: Option<&mpsc::Sender<Bytes>>) -> bool {
    match stdin {
        Some(stdin) => stdin.reserve().await.is_ok(),
        None => false,
    }
}

fn pass_on(backlog: &mut Backlog, stdin: Option<&mpsc::Sender<Bytes>>) -> bool {
    match (backlog.pop(), stdin) {
        (Some(data), Some(stdin)) => stdin.try_send(data).is_ok(),
        _ => false,
    }
}

/// Input on its way to the process.
#[derive(Default)]
struct Backlog {
    queue: VecDeque<Bytes>,
    bytes: usize,
    /// Nothing comes after what is queued.
    ended: bool,
}

impl Backlog {
    fn push(&mut self, data: Bytes) {
        if !self.ended {
            self.bytes += data.len();
            self.queue.push_back(data);
        }
    }

    fn pop(&mut self) -> Option<Bytes> {
        let data = self.queue.pop_front()?;
        self.bytes -= data.len();
        Some(data)
    }

    fn clear(&mut self) {
        self.queue.clear();
        self.bytes = 0;
    }

    fn has_room(&self) -> bool {
        self.bytes < INPUT_BACKLOG
    }

    fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    fn is_done(&self) -> bool {
        self.ended && self.queue.is_empty()
    }
}
