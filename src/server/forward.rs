//! Ports of pods over a WebSocket (`v4.channel.k8s.io`): two channels for each port asked for, the first for the
//! connection, the second for what went wrong. Both begin with the number of the port (kubelet
//! `portforward/websocket.go`).

use std::sync::Arc;

use axum::extract::{Path, State};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, WriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::query::Query;
use super::reply::Answer;
use super::router::{Shared, key};
use super::session::{CLOSE_WAIT, PING_AFTER};
use super::upgrade::{Socket, Upgrade};
use crate::client::{Client, PortStream, channel};
use crate::model::{ApiError, FieldError, Kind, Object};

/// Each port has two of the 256 channels.
const MOST_PORTS: usize = 127;
/// Messages under way in each direction of one port.
const QUEUE: usize = 16;
/// Bytes of one message.
const PIECE: usize = 16 << 10;

/// Where the connections of one client go.
struct Target {
    client: Arc<dyn Client>,
    namespace: String,
    pod: String,
}

pub(super) async fn port_forward(
    State(shared): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
    query: Query,
    upgrade: Upgrade,
) -> Answer {
    let key = key(Kind::Pod, &namespace, &name)?;
    check_runs(&shared.client.get(&key).await?)?;
    if !upgrade.is_wanted() {
        return Err(ApiError::bad_request(
            "unable to upgrade: podtui forwards ports over WebSocket only (subprotocol v4.channel.k8s.io)",
        )
        .into());
    }
    let ports = ports(&query, &name)?;
    let handshake = upgrade.with_one_of(&[channel::PROTOCOL_V4])?;
    let target = Target {
        client: Arc::clone(&shared.client),
        namespace,
        pod: name,
    };
    let shutdown = shared.shutdown.clone();
    Ok(handshake.accept(move |socket| async move {
        tokio::select! {
            // Dropping it half-way is fine: all of its connections end.
            () = run(socket, target, ports) => {}
            () = shutdown.cancelled() => {}
        }
    }))
}

fn check_runs(object: &Object) -> Result<(), ApiError> {
    let Object::Pod(pod) = object else {
        return Ok(());
    };
    match crate::model::pod::phase(pod) {
        "Running" => Ok(()),
        phase => Err(ApiError::bad_request(format!(
            "unable to forward port because pod is not running. Current status={phase}"
        ))),
    }
}

/// `ports` may repeat, and each may name several (`ports=80,443`).
fn ports(query: &Query, pod: &str) -> Result<Vec<u16>, ApiError> {
    let texts = query.all("ports").flat_map(|list| list.split(','));
    let mut ports = Vec::new();
    for text in texts.filter(|text| !text.is_empty()) {
        match text.parse() {
            Ok(port @ 1..) => ports.push(port),
            _ => {
                let detail = "must be between 1 and 65535, inclusive";
                let error = FieldError::invalid_string("ports", text, detail);
                return Err(ApiError::invalid_options(
                    "PodPortForwardOptions",
                    pod,
                    &[error],
                ));
            }
        }
    }
    match ports.len() {
        0 => Err(ApiError::bad_request(
            "query parameter \"ports\" is required",
        )),
        1..=MOST_PORTS => Ok(ports),
        _ => Err(ApiError::bad_request(format!(
            "at most {MOST_PORTS} ports can be forwarded at once"
        ))),
    }
}

async fn run(socket: Socket, target: Target, ports: Vec<u16>) {
    let (mut sink, mut stream) = socket.split();
    let (frames_tx, mut frames) = mpsc::channel(QUEUE);
    let target = Arc::new(target);
    let mut connections = JoinSet::new();
    let mut inputs = Vec::new();
    for (index, port) in ports.into_iter().enumerate() {
        let (input_tx, input) = mpsc::channel(QUEUE);
        inputs.push(Some(input_tx));
        let channel = u8::try_from(index * 2).expect("their number was checked");
        let (target, frames_tx) = (Arc::clone(&target), frames_tx.clone());
        connections.spawn(async move { connect(&target, port, channel, input, frames_tx).await });
    }
    // The frames end with the last connection.
    drop(frames_tx);
    tokio::select! {
        // Dropping the other half-way is fine: the client is gone, or nothing is left to be told.
        () = write(&mut sink, &mut frames) => {}
        () = read(&mut stream, &mut inputs) => {}
    }
    connections.shutdown().await;
    let close = Message::Close(Some(CloseFrame {
        code: CloseCode::Normal,
        reason: "".into(),
    }));
    let farewell = async {
        let _ = sink.send(close).await;
        while let Some(Ok(_)) = stream.next().await {}
    };
    let _ = tokio::time::timeout(CLOSE_WAIT, farewell).await;
}

async fn write(sink: &mut SplitSink<Socket, Message>, frames: &mut mpsc::Receiver<Bytes>) {
    loop {
        let message = tokio::select! {
            // Cancel-safe: a frame is taken only when the arm wins.
            frame = frames.recv() => match frame {
                Some(frame) => Message::Binary(frame),
                None => return,
            },
            () = tokio::time::sleep(PING_AFTER) => Message::Ping(Bytes::new()),
        };
        if sink.send(message).await.is_err() {
            return;
        }
    }
}

/// A port whose process does not read holds up the others of the same client, as it does at the kubelet.
async fn read(stream: &mut SplitStream<Socket>, inputs: &mut [Option<mpsc::Sender<Bytes>>]) {
    while let Some(Ok(message)) = stream.next().await {
        let mut data = match message {
            Message::Binary(data) => data,
            Message::Text(text) => text.into(),
            Message::Close(_) => return,
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
        };
        if data.is_empty() {
            continue;
        }
        let payload = data.split_off(1);
        // What comes on a channel for errors says nothing.
        let input = inputs
            .get_mut(usize::from(data[0] / 2))
            .filter(|_| data[0] % 2 == 0);
        if let Some(input) = input
            && let Some(sender) = input
            && sender.send(payload).await.is_err()
        {
            *input = None;
        }
    }
}

/// One port from its beginning to its end.
async fn connect(
    target: &Target,
    port: u16,
    channel: u8,
    input: mpsc::Receiver<Bytes>,
    frames: mpsc::Sender<Bytes>,
) {
    let number = port.to_le_bytes();
    for channel in [channel, channel + 1] {
        if frames.send(channel::frame(channel, &number)).await.is_err() {
            return;
        }
    }
    let (client, namespace) = (&target.client, &target.namespace);
    let stream = client.port_forward(namespace, &target.pod, port).await;
    let failure = match stream {
        Ok(stream) => carry(stream, channel, input, &frames).await.err(),
        Err(error) => Some(error.message),
    };
    if let Some(failure) = failure {
        // The client may be gone; then there is nobody to tell.
        let _ = frames
            .send(channel::frame(channel + 1, failure.as_bytes()))
            .await;
    }
}

/// Carries bytes both ways until the pod closes the connection or the client is gone.
async fn carry(
    stream: Box<dyn PortStream>,
    channel: u8,
    input: mpsc::Receiver<Bytes>,
    frames: &mpsc::Sender<Bytes>,
) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("error copying from the pod: {error}");
    let (mut from_pod, to_pod) = tokio::io::split(stream);
    let output = async {
        let mut buffer = vec![0; PIECE];
        loop {
            let count = from_pod.read(&mut buffer).await.map_err(failed)?;
            let frame = channel::frame(channel, &buffer[..count]);
            if count == 0 || frames.send(frame).await.is_err() {
                return Ok(());
            }
        }
    };
    tokio::select! {
        // Dropping the input half-way is fine: nobody reads it any more.
        ended = output => ended,
        () = feed(to_pod, input) => Ok(()),
    }
}

/// Never returns while the pod may have something to say: the end of the input is not the end of the connection.
async fn feed(mut to_pod: WriteHalf<Box<dyn PortStream>>, mut input: mpsc::Receiver<Bytes>) {
    while let Some(data) = input.recv().await {
        if to_pod.write_all(&data).await.is_err() {
            break;
        }
    }
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, expected: Result<&[u16], &str>) {
        let found = ports(&Query::parse(query).unwrap(), "web");
        let found = found.map_err(|error| error.message);
        assert_eq!(found.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn ports_are_listed_or_repeated() {
        check("ports=80", Ok(&[80]));
        check("ports=80&ports=443,8080", Ok(&[80, 443, 8080]));
        check("", Err("query parameter \"ports\" is required"));
        let invalid = |port: &str| {
            format!(
                "PodPortForwardOptions \"web\" is invalid: ports: Invalid value: \"{port}\": \
                 must be between 1 and 65535, inclusive"
            )
        };
        for port in ["0", "65536", "http"] {
            check(&format!("ports={port}"), Err(&invalid(port)));
        }
    }
}
