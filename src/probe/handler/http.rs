//! One HTTP GET as the kubelet makes it, for probes and for lifecycle hooks.

use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, USER_AGENT,
};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::connect::{NoConnection, connect, errno_text};
use super::eager::Eager;
use super::tls;
use super::url::Url;
use super::{Attempt, Outcome};
use crate::base::chain;
use crate::probe::PodNet;
use crate::probe::settings::resolve_port;
use crate::runtime::ContainerRuntime;

/// Bytes of a body that are read (kubelet `maxRespBodyLength`).
const BODY_LIMIT: usize = 10 << 10;
const REDIRECTS: usize = 10;
const TIMED_OUT: &str = "(Client.Timeout exceeded while awaiting headers)";

/// An `httpGet` with its port resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HttpRequest {
    https: bool,
    /// `None`: the pod itself.
    host: Option<String>,
    port: u16,
    path: String,
    headers: Vec<(String, String)>,
    user_agent: &'static str,
}

/// The last answer, redirects followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HttpResponse {
    pub(crate) status: u16,
    /// Its first 10 KiB.
    pub(crate) body: String,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HttpError {
    /// The server did not do what it should; the text is Go's.
    Failed(String),
    /// It answered an HTTPS request without TLS.
    PlainAnswer(String),
    /// The answer began and could not be read to its end.
    Body(String),
    /// The attempt could not be made.
    Broken(String),
}

impl HttpError {
    pub(crate) fn into_text(self) -> String {
        match self {
            Self::Failed(text)
            | Self::PlainAnswer(text)
            | Self::Body(text)
            | Self::Broken(text) => text,
        }
    }
}

impl HttpRequest {
    /// `Err`: the port cannot be resolved.
    pub(crate) fn of(
        get: &HTTPGetAction,
        container: &Container,
        user_agent: &'static str,
    ) -> Result<Self, String> {
        let headers = get.http_headers.iter().flatten();
        Ok(Self {
            https: get
                .scheme
                .as_deref()
                .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https")),
            host: get.host.clone().filter(|host| !host.is_empty()),
            port: resolve_port(&get.port, container)?,
            path: get.path.clone().unwrap_or_default(),
            headers: headers
                .map(|header| (header.name.clone(), header.value.clone()))
                .collect(),
            user_agent,
        })
    }

    /// The same request without TLS.
    pub(crate) fn in_plain(&self) -> Self {
        Self {
            https: false,
            ..self.clone()
        }
    }

    /// `host:port` as texts name it.
    pub(crate) fn authority(&self, net: &PodNet) -> String {
        self.url(net).authority()
    }

    fn url(&self, net: &PodNet) -> Url {
        let pod = || net.address.map(|address| address.to_string());
        let host = self.host.clone().or_else(pod).unwrap_or_default();
        Url::of_probe(self.https, &host, self.port, &self.path)
    }

    /// A probe: 200…399 is success, but what is left of a redirect to elsewhere is only a warning.
    pub(super) async fn attempt(
        &self,
        runtime: &dyn ContainerRuntime,
        net: &PodNet,
        timeout: Duration,
    ) -> Attempt {
        match self.send(runtime, net, timeout).await {
            Ok(answer) => Ok(judge(&answer)),
            Err(HttpError::Failed(text) | HttpError::PlainAnswer(text)) => {
                Ok(Outcome::Failure(text))
            }
            Err(HttpError::Body(text) | HttpError::Broken(text)) => Err(text),
        }
    }

    /// Sends the request and follows redirects on the same host. `timeout` bounds everything together.
    pub(crate) async fn send(
        &self,
        runtime: &dyn ContainerRuntime,
        net: &PodNet,
        timeout: Duration,
    ) -> Result<HttpResponse, HttpError> {
        let deadline = Instant::now() + timeout;
        let mut url = self.url(net);
        let failed = |url: &dyn std::fmt::Display, text: &str| {
            HttpError::Failed(format!("Get \"{url}\": {text}"))
        };
        let mut headers = self.headers().map_err(|text| failed(&url, &text))?;
        let origin = url.host.clone();
        let mut hops = 0;
        loop {
            let exchange = Exchange {
                runtime,
                net,
                // A redirect on the same host leads to the same place.
                host: self.host.as_deref(),
                url: &url,
                deadline,
            };
            let answer = exchange.run(headers.clone()).await?;
            let Some(location) = answer.location else {
                return Ok(answer.response);
            };
            let next = url
                .join(&location)
                .map_err(|text| failed(&location, &text))?;
            if next.host != origin {
                return Ok(answer.response);
            }
            hops += 1;
            if hops >= REDIRECTS {
                return Err(failed(&location, "stopped after 10 redirects"));
            }
            let absolute = location.contains("://") || location.starts_with("//");
            if absolute {
                headers.remove(HOST);
            }
            url = next;
        }
    }

    /// User agent and `Accept` unless the probe sets them; setting one to nothing removes it.
    fn headers(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let parsed = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| format!("net/http: invalid header field name {name:?}"))?;
            let value = HeaderValue::from_str(value)
                .map_err(|_| format!("net/http: invalid header field value for {name:?}"))?;
            headers.append(parsed, value);
        }
        let defaults = [
            (USER_AGENT, HeaderValue::from_static(self.user_agent)),
            (ACCEPT, HeaderValue::from_static("*/*")),
        ];
        for (name, default) in defaults {
            match headers.get(&name) {
                None => {
                    headers.insert(name, default);
                }
                Some(value) if value.is_empty() => {
                    headers.remove(name);
                }
                Some(_) => {}
            }
        }
        if headers.get(HOST).is_some_and(HeaderValue::is_empty) {
            headers.remove(HOST);
        }
        Ok(headers)
    }
}

fn judge(answer: &HttpResponse) -> Outcome {
    match answer.status {
        200..=299 => Outcome::Success,
        300..=399 => Outcome::Warning(format!(
            "Probe terminated redirects, Response body: {}",
            answer.body
        )),
        status => Outcome::Failure(format!("HTTP probe failed with statuscode: {status}")),
    }
}

struct Answer {
    response: HttpResponse,
    /// Where a redirect leads.
    location: Option<String>,
}

/// One request on one connection.
struct Exchange<'a> {
    runtime: &'a dyn ContainerRuntime,
    net: &'a PodNet,
    host: Option<&'a str>,
    url: &'a Url,
    deadline: Instant,
}

impl Exchange<'_> {
    fn failed(&self, text: impl std::fmt::Display) -> HttpError {
        HttpError::Failed(format!("Get \"{}\": {text}", self.url))
    }

    fn timed_out(&self) -> HttpError {
        self.failed(format_args!("context deadline exceeded {TIMED_OUT}"))
    }

    async fn run(&self, headers: HeaderMap) -> Result<Answer, HttpError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let port = self.url.port_number();
        let stream = connect(self.runtime, self.net, self.host, port, left)
            .await
            .map_err(|error| match error {
                NoConnection::Refused(text) => self.failed(text),
                NoConnection::TimedOut(text) => self.failed(format_args!("{text} {TIMED_OUT}")),
                NoConnection::Broken(text) => HttpError::Broken(text),
            })?;
        let stream = Eager::new(stream).map_err(|error| HttpError::Broken(chain(&error)))?;
        if !self.url.https {
            return self.exchange(stream, headers).await;
        }
        let shaken = tls::handshake(&self.url.host, stream);
        match tokio::time::timeout_at(self.deadline, shaken).await {
            Err(_) => Err(self.timed_out()),
            Ok(Ok(stream)) => self.exchange(stream, headers).await,
            Ok(Err(error)) if tls::is_plain_answer(&error) => {
                let text = "http: server gave HTTP response to HTTPS client";
                Err(HttpError::PlainAnswer(format!(
                    "Get \"{}\": {text}",
                    self.url
                )))
            }
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err(self.failed("EOF"))
            }
            Ok(Err(error)) => Err(self.failed(errno_text(&error))),
        }
    }

    async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        headers: HeaderMap,
    ) -> Result<Answer, HttpError> {
        let (mut sender, connection) = http1::Builder::new()
            .title_case_headers(true)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.failed(go_text(&error)))?;
        let mut connection = Driven(Some(pin!(connection)));
        let talk = connection.during(sender.send_request(self.request(headers)));
        let answer = tokio::time::timeout_at(self.deadline, talk)
            .await
            .map_err(|_| self.timed_out())?
            .map_err(|error| self.failed(go_text(&error)))?;
        let status = answer.status().as_u16();
        let location = answer
            .headers()
            .get(LOCATION)
            .filter(|_| matches!(status, 301 | 302 | 303 | 307 | 308))
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let mut body = answer.into_body();
        let mut kept = Vec::new();
        // The body of a redirect that is followed is of no interest, yet whether it is followed is not
        // known here.
        while kept.len() < BODY_LIMIT {
            let frame = connection.during(body.frame());
            let frame = tokio::time::timeout_at(self.deadline, frame).await;
            match frame {
                Err(_) => {
                    let text = "(Client.Timeout or context cancellation while reading body)";
                    return Err(HttpError::Body(format!("context deadline exceeded {text}")));
                }
                Ok(None) => break,
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        let room = BODY_LIMIT - kept.len();
                        kept.extend_from_slice(&data[..room.min(data.len())]);
                    }
                }
                Ok(Some(Err(error))) => return Err(HttpError::Body(body_text(&error))),
            }
        }
        Ok(Answer {
            response: HttpResponse {
                status,
                body: String::from_utf8_lossy(&kept).into_owned(),
            },
            location,
        })
    }

    fn request(&self, mut headers: HeaderMap) -> http::Request<Empty<Bytes>> {
        let mut request = http::Request::new(Empty::new());
        // `Url` escapes what a request line cannot carry.
        if let Ok(uri) = self.url.path.parse() {
            *request.uri_mut() = uri;
        }
        let own = HeaderValue::from_str(&self.url.authority()).ok();
        let host = headers.remove(HOST).or(own);
        let mut all = HeaderMap::with_capacity(headers.len() + 2);
        if let Some(host) = host {
            all.insert(HOST, host);
        }
        all.extend(headers);
        all.insert(CONNECTION, HeaderValue::from_static("close"));
        *request.headers_mut() = all;
        request
    }
}

/// A connection that goes on while something is awaited that comes over it; a task of its own would have to be
/// made and woken for every probe. `None` once it has ended.
struct Driven<'a, C>(Option<Pin<&'a mut C>>);

impl<C: Future> Driven<'_, C> {
    async fn during<T>(&mut self, what: impl Future<Output = T>) -> T {
        let mut what = pin!(what);
        std::future::poll_fn(|context| {
            // It is asked before, as a request has to be handed over first, and after, for what has come.
            if let Poll::Ready(done) = what.as_mut().poll(context) {
                return Poll::Ready(done);
            }
            if let Some(connection) = &mut self.0
                && connection.as_mut().poll(context).is_ready()
            {
                // What went wrong is told to whoever waits.
                self.0 = None;
            }
            what.as_mut().poll(context)
        })
        .await
    }
}

fn io_source(error: &hyper::Error) -> Option<&std::io::Error> {
    std::error::Error::source(error)?.downcast_ref()
}

/// What Go says when an exchange breaks before the headers are there.
fn go_text(error: &hyper::Error) -> String {
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return "EOF".to_owned();
    }
    match io_source(error) {
        Some(source) if source.kind() == std::io::ErrorKind::UnexpectedEof => "EOF".to_owned(),
        Some(source) => format!("read tcp: {}", errno_text(source)),
        None if error.is_parse() => {
            format!("net/http: HTTP/1.x transport connection broken: {error}")
        }
        None => error.to_string(),
    }
}

fn body_text(error: &hyper::Error) -> String {
    match io_source(error) {
        Some(source) if source.kind() != std::io::ErrorKind::UnexpectedEof => {
            format!("read tcp: {}", errno_text(source))
        }
        _ => "unexpected EOF".to_owned(),
    }
}
