use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use bytes::Bytes;
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

/// Where requests go.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    path: PathBuf,
}

impl Connector {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
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
    /// the error it describes.
    pub(super) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, ApiError> {
        let stream = self
            .connect()
            .await
            .map_err(|error| unavailable(&chain(&error)))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| unavailable(&chain(&error)))?;
        // Ends when the answer has been read or dropped, or was upgraded.
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                debug!(error = chain(&error), "a connection to the engine broke");
            }
        });
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| unavailable(&chain(&error)))?;
        let status = response.status();
        if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(response);
        }
        let body = read(response.into_body()).await.unwrap_or_default();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Err(ApiError::from_status(status.as_u16(), &body))
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

async fn read(body: Incoming) -> Result<Bytes, ApiError> {
    let body = body.collect().await;
    Ok(body.map_err(|error| broken(&chain(&error)))?.to_bytes())
}

pub(super) async fn read_json(response: Response<Incoming>) -> Result<Value, ApiError> {
    let body = read(response.into_body()).await?;
    serde_json::from_slice(&body).map_err(|error| broken(&error.to_string()))
}

/// The connection ended in the middle of an answer, or the answer makes no sense.
pub(super) fn broken(text: &str) -> ApiError {
    ApiError::internal(format!("the answer of the engine is broken: {text}"))
}
