//! `grpc.health.v1.Health/Check` over HTTP/2 without TLS, by hand: one message of one field each way.

use std::io;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::connect::{NoConnection, connect};
use super::{Attempt, Outcome};
use crate::probe::PodNet;
use crate::runtime::ContainerRuntime;

/// A refused connection is tried again until the time is over, after this wait (gRPC connection back-off,
/// `baseDelay`).
const RETRY: Duration = Duration::from_secs(1);
/// A health answer has a few bytes.
const ANSWER_LIMIT: usize = 4 << 10;

const UNIMPLEMENTED: u32 = 12;
const DEADLINE_EXCEEDED: u32 = 4;
/// google.golang.org/grpc/codes, by number.
const CODES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GrpcCheck {
    pub(in crate::probe) port: u16,
    pub(in crate::probe) service: String,
    pub(in crate::probe) user_agent: &'static str,
}

/// How a call ended: `HealthCheckResponse.ServingStatus`, or code and message of the failed call.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Serving(u64),
    Failed { code: u32, message: String },
}

impl GrpcCheck {
    pub(super) async fn attempt(
        &self,
        runtime: &dyn ContainerRuntime,
        net: &PodNet,
        timeout: Duration,
    ) -> Attempt {
        let deadline = Instant::now() + timeout;
        let authority = net.address.map_or_else(String::new, |address| {
            std::net::SocketAddr::new(address, self.port).to_string()
        });
        let connected = self.connect(runtime, net, deadline);
        let connection = match tokio::time::timeout_at(deadline, connected).await {
            Err(_) => {
                return Ok(Outcome::Failure(format!(
                    "timeout: failed to connect service \"{authority}\" within {}s: context deadline exceeded",
                    timeout.as_secs()
                )));
            }
            Ok(Err(text)) => return Err(text),
            Ok(Ok(connection)) => connection,
        };
        let Connection { sender, driver } = connection;
        let called = self.call(sender, &authority, timeout);
        let answer = tokio::time::timeout_at(deadline, called).await;
        driver.abort();
        Ok(judge(answer.ok(), timeout))
    }

    /// A connection whose other side speaks HTTP/2. `Err`: no attempt could be made.
    async fn connect(
        &self,
        runtime: &dyn ContainerRuntime,
        net: &PodNet,
        deadline: Instant,
    ) -> Result<Connection, String> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match connect(runtime, net, None, self.port, left).await {
                Ok(stream) => {
                    let opened = async { Connection::open(TcpStream::from_std(stream)?).await };
                    if let Ok(connection) = opened.await {
                        return Ok(connection);
                    }
                }
                Err(NoConnection::Broken(text)) => return Err(text),
                Err(NoConnection::Refused(_) | NoConnection::TimedOut(_)) => {}
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn call(
        &self,
        sender: h2::client::SendRequest<Bytes>,
        authority: &str,
        timeout: Duration,
    ) -> Answer {
        match self.exchange(sender, authority, timeout).await {
            Ok(answer) => answer,
            Err(error) => Answer::Failed {
                code: 14,
                message: format!("error reading from server: {error}"),
            },
        }
    }

    async fn exchange(
        &self,
        sender: h2::client::SendRequest<Bytes>,
        authority: &str,
        timeout: Duration,
    ) -> Result<Answer, h2::Error> {
        let request = Request::post(format!("http://{authority}/grpc.health.v1.Health/Check"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("user-agent", self.user_agent)
            .header("grpc-timeout", format!("{}m", timeout.as_millis()))
            .body(());
        let Ok(request) = request else {
            return Ok(Answer::Failed {
                code: 13,
                message: "malformed address".to_owned(),
            });
        };
        let mut sender = sender.ready().await?;
        let (response, mut stream) = sender.send_request(request, false)?;
        stream.send_data(encode(&self.service), true)?;
        let response = response.await?;
        if let Some(answer) = status_of(response.headers()) {
            return Ok(answer);
        }
        if response.status() != StatusCode::OK {
            return Ok(of_http(response.status()));
        }
        let mut body = response.into_body();
        let mut received = BytesMut::new();
        while let Some(data) = body.data().await {
            let data = data?;
            body.flow_control().release_capacity(data.len())?;
            if received.len() + data.len() > ANSWER_LIMIT {
                return Ok(Answer::Failed {
                    code: 8,
                    message: "the answer is too long".to_owned(),
                });
            }
            received.extend_from_slice(&data);
        }
        if let Some(trailers) = body.trailers().await?
            && let Some(answer) = status_of(&trailers)
        {
            return Ok(answer);
        }
        Ok(decode(&received).map_or_else(
            || Answer::Failed {
                code: 13,
                message: "the answer is no HealthCheckResponse".to_owned(),
            },
            Answer::Serving,
        ))
    }
}

struct Connection {
    sender: h2::client::SendRequest<Bytes>,
    driver: tokio::task::AbortHandle,
}

impl Connection {
    async fn open(stream: TcpStream) -> io::Result<Self> {
        let (sender, mut connection) = h2::client::handshake(stream)
            .await
            .map_err(io::Error::other)?;
        let mut pings = connection.ping_pong();
        let driver = tokio::spawn(async move {
            // What goes wrong is told to the stream of the call.
            let _ = connection.await;
        })
        .abort_handle();
        let own = Self { sender, driver };
        // The other side speaks HTTP/2 when it answers; gRPC, too, waits for its settings.
        if let Some(pings) = &mut pings
            && let Err(error) = pings.ping(h2::Ping::opaque()).await
        {
            own.driver.abort();
            return Err(io::Error::other(error));
        }
        Ok(own)
    }
}

fn judge(answer: Option<Answer>, timeout: Duration) -> Outcome {
    let timed_out = || {
        Outcome::Failure(format!(
            "timeout: health rpc did not complete within {}s",
            timeout.as_secs()
        ))
    };
    match answer {
        None => timed_out(),
        Some(Answer::Serving(1)) => Outcome::Success,
        Some(Answer::Serving(status)) => {
            let name = match status {
                0 => "UNKNOWN".to_owned(),
                2 => "NOT_SERVING".to_owned(),
                3 => "SERVICE_UNKNOWN".to_owned(),
                other => other.to_string(),
            };
            Outcome::Failure(format!("service unhealthy (responded with {name:?})"))
        }
        Some(Answer::Failed {
            code: DEADLINE_EXCEEDED,
            ..
        }) => timed_out(),
        Some(Answer::Failed {
            code: UNIMPLEMENTED,
            message,
        }) => Outcome::Failure(format!(
            "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {message}"
        )),
        Some(Answer::Failed { code, message }) => {
            let name = usize::try_from(code)
                .ok()
                .and_then(|code| CODES.get(code))
                .map_or_else(|| format!("Code({code})"), |name| (*name).to_owned());
            Outcome::Failure(format!(
                "error: health rpc probe failed: rpc error: code = {name} desc = {message}"
            ))
        }
    }
}

/// A `HealthCheckRequest` in its frame: flag, length, field 1.
fn encode(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(0x0a);
        let mut length = service.len();
        while length >= 0x80 {
            message.put_u8(u8::try_from(length & 0x7f).unwrap_or(0) | 0x80);
            length >>= 7;
        }
        message.put_u8(u8::try_from(length).unwrap_or(0));
        message.put_slice(service.as_bytes());
    }
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(&message);
    frame.freeze()
}

/// `ServingStatus` of a framed `HealthCheckResponse`; other fields are passed over.
fn decode(frame: &[u8]) -> Option<u64> {
    let (header, message) = frame.split_at_checked(5)?;
    let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
    if header[0] != 0 || usize::try_from(length).ok()? != message.len() {
        return None;
    }
    let mut rest = message;
    // proto3 does not send a field that has its default.
    let mut status = 0;
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        match key & 7 {
            0 => {
                let value = varint(&mut rest)?;
                if key >> 3 == 1 {
                    status = value;
                }
            }
            1 => rest = rest.get(8..)?,
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                rest = rest.get(length..)?;
            }
            5 => rest = rest.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// The end of a call as its headers or trailers tell it; `None` for success and when they do not.
fn status_of(headers: &HeaderMap) -> Option<Answer> {
    let code = headers.get("grpc-status")?.to_str().ok()?.parse().ok()?;
    if code == 0 {
        return None;
    }
    let message = headers
        .get("grpc-message")
        .map(|value| unescape(value.as_bytes()));
    Some(Answer::Failed {
        code,
        message: message.unwrap_or_default(),
    })
}

/// Percent encoding as gRPC uses it in `grpc-message`.
fn unescape(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        let escaped = tail
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An HTTP server that is no gRPC server (gRPC `http-grpc-status-mapping`).
fn of_http(status: StatusCode) -> Answer {
    let code = match status.as_u16() {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => UNIMPLEMENTED,
        429 | 502..=504 => 14,
        _ => 2,
    };
    Answer::Failed {
        code,
        message: format!(
            "unexpected HTTP status code received from server: {} ({})",
            status.as_u16(),
            status.canonical_reason().unwrap_or_default()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        assert_eq!(&encode("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&encode("ab")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        let long = encode(&"x".repeat(200));
        assert_eq!(&long[..8], [0, 0, 0, 0, 203, 0x0a, 0xc8, 1]);
    }

    #[track_caller]
    fn check_answer(message: &[u8], expected: Option<u64>) {
        let mut frame = vec![0, 0, 0, 0, u8::try_from(message.len()).unwrap()];
        frame.extend_from_slice(message);
        assert_eq!(decode(&frame), expected, "{message:?}");
    }

    #[test]
    fn answers() {
        check_answer(&[], Some(0));
        check_answer(&[8, 1], Some(1));
        check_answer(&[8, 2], Some(2));
        check_answer(&[0x12, 2, 9, 9, 8, 1], Some(1));
        check_answer(&[0x15, 1, 2, 3, 4, 8, 3], Some(3));
        check_answer(&[8], None);
        check_answer(&[0x12, 9, 1], None);
        check_answer(&[0x0b], None);
        assert_eq!(decode(&[0, 0, 0, 0, 3, 8, 1]), None);
        assert_eq!(decode(&[1, 0, 0, 0, 2, 8, 1]), None);
        assert_eq!(decode(b""), None);
    }

    #[track_caller]
    fn check_text(answer: Option<Answer>, expected: &str) {
        let outcome = judge(answer, Duration::from_secs(2));
        assert_eq!(outcome, Outcome::Failure(expected.to_owned()));
    }

    #[test]
    fn texts() {
        let failed = |code, message: &str| {
            Some(Answer::Failed {
                code,
                message: message.to_owned(),
            })
        };
        assert_eq!(
            judge(Some(Answer::Serving(1)), Duration::ZERO),
            Outcome::Success
        );
        check_text(
            Some(Answer::Serving(2)),
            "service unhealthy (responded with \"NOT_SERVING\")",
        );
        check_text(
            Some(Answer::Serving(3)),
            "service unhealthy (responded with \"SERVICE_UNKNOWN\")",
        );
        check_text(None, "timeout: health rpc did not complete within 2s");
        check_text(
            failed(4, "x"),
            "timeout: health rpc did not complete within 2s",
        );
        check_text(
            failed(5, "unknown service"),
            "error: health rpc probe failed: rpc error: code = NotFound desc = unknown service",
        );
        check_text(
            failed(12, "unknown service grpc.health.v1.Health"),
            "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): unknown service grpc.health.v1.Health",
        );
    }

    #[test]
    fn statuses_come_in_headers() {
        let mut headers = HeaderMap::new();
        assert_eq!(status_of(&headers), None);
        headers.insert("grpc-status", "0".parse().unwrap());
        assert_eq!(status_of(&headers), None);
        headers.insert("grpc-status", "5".parse().unwrap());
        headers.insert("grpc-message", "no %22x%22 100%".parse().unwrap());
        assert_eq!(
            status_of(&headers),
            Some(Answer::Failed {
                code: 5,
                message: "no \"x\" 100%".to_owned()
            })
        );
    }
}
