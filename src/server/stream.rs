//! What goes one way only, over a WebSocket: watches and logs for clients that cannot read a long answer piece by
//! piece, such as those in a browser.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;

use super::upgrade::Socket;

/// How long the client may take to answer the close frame.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// How the pieces of a stream are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// UTF-8, one message for each piece; what is none is cut out.
    Text,
    Binary,
    Base64,
}

impl Told {
    pub(super) const BINARY: &str = "binary.k8s.io";
    pub(super) const BASE64: &str = "base64.binary.k8s.io";

    /// By the subprotocol agreed upon (`wsstream` of apiserver).
    pub(super) fn by(protocol: Option<&str>) -> Self {
        match protocol {
            Some(Self::BASE64) => Self::Base64,
            _ => Self::Binary,
        }
    }

    fn message(self, piece: Bytes) -> Message {
        match self {
            Self::Text => Message::Text(
                String::from_utf8_lossy(piece.trim_ascii_end())
                    .as_ref()
                    .into(),
            ),
            Self::Binary => Message::Binary(piece),
            Self::Base64 => Message::Text(STANDARD.encode(piece).into()),
        }
    }
}

/// Sends everything, then closes. Ends early when the client is gone.
pub(super) async fn tell(socket: Socket, mut pieces: BoxStream<'static, Bytes>, told: Told) {
    let (mut sink, mut stream) = socket.split();
    let all = async {
        while let Some(piece) = pieces.next().await {
            if sink.send(told.message(piece)).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        // Dropping it half-way is fine: nobody is there any more.
        () = all => {}
        // Cancel-safe: what a client says here means nothing, but for its end.
        () = async { while let Some(Ok(_)) = stream.next().await {} } => return,
    }
    let farewell = async {
        let _ = sink.send(Message::Close(None)).await;
        while let Some(Ok(_)) = stream.next().await {}
    };
    let _ = tokio::time::timeout(CLOSE_WAIT, farewell).await;
}
