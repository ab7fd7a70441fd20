//! The way from an HTTP request to a WebSocket (RFC 6455 §4.2).

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tracing::debug;

use super::reply::Failure;
use crate::base::chain;
use crate::model::{ApiError, Reason};

const LARGEST_MESSAGE: usize = 1 << 20;

pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// What a request has to say about a change of protocol.
pub(super) struct Upgrade {
    pub(super) headers: HeaderMap,
    on: Option<OnUpgrade>,
}

impl<S: Sync> FromRequestParts<S> for Upgrade {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self {
            headers: parts.headers.clone(),
            on: parts.extensions.remove::<OnUpgrade>(),
        })
    }
}

impl Upgrade {
    /// Whether the client wants a WebSocket.
    pub(super) fn is_wanted(&self) -> bool {
        has_token(&self.headers, &header::UPGRADE, "websocket")
    }

    /// Accepts with the first of these subprotocols that the client speaks.
    pub(super) fn with_one_of(self, protocols: &[&'static str]) -> Result<Handshake, Failure> {
        let protocol = self.protocol(protocols);
        let Some(protocol) = protocol else {
            return Err(ApiError::new(
                Reason::Forbidden,
                format!(
                    "none of the WebSocket subprotocols asked for is supported; use {}",
                    protocols.join(" or ")
                ),
            )
            .into());
        };
        self.handshake(Some(protocol))
    }

    /// Accepts; the subprotocol is one of these, or none.
    pub(super) fn with_any_of(self, protocols: &[&'static str]) -> Result<Handshake, Failure> {
        let protocol = self.protocol(protocols);
        self.handshake(protocol)
    }

    fn protocol(&self, protocols: &[&'static str]) -> Option<&'static str> {
        let name = header::SEC_WEBSOCKET_PROTOCOL;
        let mut known = protocols.iter().copied();
        known.find(|protocol| has_token(&self.headers, &name, protocol))
    }

    fn handshake(self, protocol: Option<&'static str>) -> Result<Handshake, Failure> {
        let key = self.headers.get(header::SEC_WEBSOCKET_KEY);
        let (Some(key), Some(on)) = (key, self.on) else {
            return Err(ApiError::bad_request("Sec-WebSocket-Key is missing").into());
        };
        Ok(Handshake {
            accept_key: derive_accept_key(key.as_bytes()),
            protocol,
            on,
        })
    }
}

/// A request that asks properly for a WebSocket.
pub(super) struct Handshake {
    accept_key: String,
    pub(super) protocol: Option<&'static str>,
    on: OnUpgrade,
}

impl Handshake {
    /// The answer that makes the connection a WebSocket, which `run` then has to itself.
    pub(super) fn accept<F>(self, run: impl FnOnce(Socket) -> F + Send + 'static) -> Response
    where
        F: Future<Output = ()> + Send,
    {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let fields = [
            (header::CONNECTION, Some("upgrade")),
            (header::UPGRADE, Some("websocket")),
            (header::SEC_WEBSOCKET_ACCEPT, Some(self.accept_key.as_str())),
            (header::SEC_WEBSOCKET_PROTOCOL, self.protocol),
        ];
        for (name, value) in fields {
            let Some(value) = value else { continue };
            let value = value.parse().expect("tokens and base64 are header values");
            response.headers_mut().insert(name, value);
        }
        let on = self.on;
        tokio::spawn(async move {
            match on.await {
                Ok(upgraded) => run(socket(upgraded).await).await,
                Err(error) => debug!(error = chain(&error), "a session was not upgraded"),
            }
        });
        response
    }
}

async fn socket(upgraded: Upgraded) -> Socket {
    let config = WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .write_buffer_size(0)
        .max_message_size(Some(LARGEST_MESSAGE))
        .max_frame_size(Some(LARGEST_MESSAGE));
    WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await
}

/// Comma-separated tokens, in any case, over all fields of this name.
fn has_token(headers: &HeaderMap, name: &header::HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|found| found.trim().eq_ignore_ascii_case(token))
}
