use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;
use tracing::debug;

use super::url::Url;
use crate::base::chain;
use crate::model::{ApiError, Reason};

#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// No socket, or nobody behind it.
    #[error("no engine answers on {}", .0.display())]
    NotRunning(PathBuf),
    #[error("connect to {}", path.display())]
    Connect {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Makes sure that an engine runs; the error says why none does.
pub(crate) type Revive = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// How long an engine that went away is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(20);

/// Where requests go.
#[derive(Clone)]
pub(super) struct Connector {
    path: PathBuf,
    /// Called when the engine has gone away; without it that is an error at once.
    revive: Option<Revive>,
}

/// A request that got no answer.
enum Unanswered {
    /// The engine never saw it.
    NotSent(String),
    /// It may have been carried out.
    Unknown(String),
}

impl Connector {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            revive: None,
        }
    }

    pub(super) fn revived_by(self, revive: Revive) -> Self {
        Self {
            revive: Some(revive),
            ..self
        }
    }

    pub(super) async fn connect(&self) -> Result<UnixStream, ConnectError> {
        UnixStream::connect(&self.path)
            .await
            .map_err(|source| match source.kind() {
                ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                    ConnectError::NotRunning(self.path.clone())
                }
                _ => ConnectError::Connect {
                    path: self.path.clone(),
                    source,
                },
            })
    }

    /// Sends a request and returns the answer once its header is there. An answer that is no success becomes
    /// the error it describes. A request that the engine cannot have carried out, or that only reads, is
    /// sent again when the engine went away.
    pub(super) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, ApiError> {
        let begin = Instant::now();
        let repeatable =
            request.method() == Method::GET && !request.headers().contains_key(header::UPGRADE);
        let response = loop {
            let text = match self.try_send(request.clone()).await {
                Ok(response) => break response,
                Err(Unanswered::NotSent(text)) => text,
                Err(Unanswered::Unknown(text)) if repeatable => text,
                Err(Unanswered::Unknown(text)) => {
                    return Err(unavailable(&format!(
                        "{text}; it went away before it answered, so look whether the request took effect"
                    )));
                }
            };
            let Some(revive) = self.revive.as_ref().filter(|_| begin.elapsed() < PATIENCE) else {
                return Err(unavailable(&text));
            };
            debug!(text, "the engine went away: looking for the next one");
            revive().await.map_err(|error| unavailable(&error))?;
            tokio::time::sleep(AGAIN).await;
        };
        let status = response.status();
        if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(response);
        }
        let body = read(response.into_body()).await.unwrap_or_default();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Err(ApiError::from_status(status.as_u16(), &body))
    }

    async fn try_send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Unanswered> {
        let stream = self
            .connect()
            .await
            .map_err(|error| Unanswered::NotSent(chain(&error)))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Unanswered::NotSent(chain(&error)))?;
        // Ends when the answer has been read or dropped, or was upgraded.
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                debug!(error = chain(&error), "a connection to the engine broke");
            }
        });
        sender
            .send_request(request)
            .await
            .map_err(|error| Unanswered::Unknown(chain(&error)))
    }

    pub(super) async fn get(&self, url: Url) -> Result<Response<Incoming>, ApiError> {
        self.send(request(Method::GET, url, "", Bytes::new())).await
    }

    pub(super) async fn get_json(&self, url: Url) -> Result<Value, ApiError> {
        read_json(self.get(url).await?).await
    }
}

fn unavailable(text: &str) -> ApiError {
    ApiError::new(
        Reason::ServiceUnavailable,
        format!("the engine does not answer: {text}"),
    )
}

pub(super) fn request(
    method: Method,
    url: Url,
    content_type: &'static str,
    body: Bytes,
) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = url
        .into_text()
        .parse()
        .expect("escaped segments make a path");
    let headers = request.headers_mut();
    headers.insert(header::HOST, header::HeaderValue::from_static("localhost"));
    headers.insert(
        header::USER_AGENT,
        header::HeaderValue::from_static(concat!("podtui/", env!("CARGO_PKG_VERSION"))),
    );
    if !content_type.is_empty() {
        headers.insert(
            header::CONTENT_TYPE,
            header::HeaderValue::from_static(content_type),
        );
    }
    request
}

pub(super) fn json_request(method: Method, url: Url, body: &Value) -> Request<Full<Bytes>> {
    request(
        method,
        url,
        "application/json",
        Bytes::from(body.to_string()),
    )
}

pub(super) async fn read(body: Incoming) -> Result<Bytes, ApiError> {
    let body = body.collect().await;
    Ok(body.map_err(|error| lost(&error))?.to_bytes())
}

pub(super) async fn read_json(response: Response<Incoming>) -> Result<Value, ApiError> {
    let body = read(response.into_body()).await?;
    serde_json::from_slice(&body).map_err(|error| broken(&error.to_string()))
}

/// The connection ended in the middle of an answer: the engine was killed, as a rule. How the protocol sees that
/// tells nobody anything.
pub(super) fn lost(error: &hyper::Error) -> ApiError {
    debug!(error = chain(error), "an answer of the engine broke off");
    ApiError::new(
        Reason::ServiceUnavailable,
        "the connection to the engine was lost".to_owned(),
    )
}

/// The answer makes no sense.
pub(super) fn broken(text: &str) -> ApiError {
    ApiError::internal(format!("the answer of the engine is broken: {text}"))
}
