//! A port of a pod over a WebSocket: channel 0 carries the connection, channel 1 why it failed. Each begins with
//! the number of the port (kubelet `portforward/websocket.go`).

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio_tungstenite::tungstenite::protocol::Message;

use super::connection::{Connector, broken};
use super::session::{Socket, upgrade};
use super::url::Url;
use crate::client::{PortStream, channel};
use crate::model::{ApiError, ObjectKey};

const DATA: u8 = 0;
const ERROR: u8 = 1;
/// Bytes that wait for their reader on either side.
const BUFFER: usize = 64 << 10;

/// Returns when the server has taken the connection up. That nobody listens in the pod shows as its end.
pub(super) async fn open(
    connector: &Connector,
    namespace: &str,
    pod: &str,
    port: u16,
) -> Result<Box<dyn PortStream>, ApiError> {
    let url = Url::object(&ObjectKey::pod(namespace, pod))
        .segment("portforward")
        .query("ports", &port.to_string());
    let socket = upgrade(connector, url, channel::PROTOCOL_V4).await?;
    let (mut sink, mut stream) = socket.split();
    expect_ports(&mut stream).await?;
    let (near, far) = duplex(BUFFER);
    tokio::spawn(async move {
        let (mut from_user, mut to_user) = split(far);
        tokio::select! {
            // Dropping the other half-way is fine: a channel cannot be half closed.
            () = send(&mut from_user, &mut sink) => {}
            () = receive(&mut stream, &mut to_user) => {}
        }
        let _ = to_user.shutdown().await;
        let _ = sink.send(Message::Close(None)).await;
    });
    Ok(Box::new(near))
}

/// Reads the numbers that both channels begin with.
async fn expect_ports(stream: &mut SplitStream<Socket>) -> Result<(), ApiError> {
    let mut numbers = 0;
    while numbers < 2 {
        match stream.next().await {
            Some(Ok(Message::Binary(_))) => numbers += 1,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            _ => return Err(broken("it closed the forwarded port at once")),
        }
    }
    Ok(())
}

async fn send(from_user: &mut ReadHalf<DuplexStream>, sink: &mut SplitSink<Socket, Message>) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(count @ 1..) = from_user.read(&mut buffer).await {
        let frame = channel::frame(DATA, &buffer[..count]);
        if sink.send(Message::Binary(frame)).await.is_err() {
            return;
        }
    }
}

async fn receive(stream: &mut SplitStream<Socket>, to_user: &mut WriteHalf<DuplexStream>) {
    while let Some(Ok(message)) = stream.next().await {
        let Message::Binary(mut data) = message else {
            continue;
        };
        if data.is_empty() {
            continue;
        }
        let payload = data.split_off(1);
        match data[0] {
            DATA if to_user.write_all(&payload).await.is_ok() => {}
            DATA | ERROR => return,
            _ => {}
        }
    }
}
