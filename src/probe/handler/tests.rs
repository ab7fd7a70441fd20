//! Attempts against servers on the loopback device, whose answers are written byte by byte.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Container;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

use super::grpc::GrpcCheck;
use super::http::HttpRequest;
use super::tcp::TcpCheck;
use super::{Attempt, Outcome};
use crate::base::{Clock, SandboxId};
use crate::probe::PodNet;
use crate::runtime::FakeRuntime;

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(300);

fn runtime() -> FakeRuntime {
    FakeRuntime::new(Clock::tokio_from(Timestamp::UNIX_EPOCH))
}

fn net() -> PodNet {
    PodNet {
        sandbox: SandboxId::new("s"),
        address: Some(HOME),
        host_network: false,
    }
}

/// Answers each connection in turn with one of `answers`, and tells what was asked. `PORT` in an answer
/// becomes the port of the server. An answer of `…` never comes.
async fn serve(answers: &[&str]) -> (u16, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind((HOME, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answers: Vec<String> = answers
        .iter()
        .map(|answer| answer.replace("PORT", &port.to_string()))
        .collect();
    let (asked, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut buffer = [0; 4096];
                match stream.read(&mut buffer).await {
                    Ok(0) | Err(_) => break,
                    Ok(length) => request.extend_from_slice(&buffer[..length]),
                }
                if request.first() == Some(&0x16) {
                    break;
                }
            }
            let _ = asked.send(String::from_utf8_lossy(&request).into_owned());
            if answer == "…" {
                std::future::pending::<()>().await;
            }
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (port, requests)
}

fn request(get: Value) -> HttpRequest {
    let get = serde_json::from_value(get).unwrap();
    HttpRequest::of(&get, &Container::default(), "kube-probe/1.36").unwrap()
}

async fn attempt(get: Value, timeout: Duration) -> Attempt {
    request(get).attempt(&runtime(), &net(), timeout).await
}

/// One answer to a plain probe; `expected` empty is success, `!…` a warning, else the failure.
async fn check(answer: &str, expected: &str) {
    let (port, _requests) = serve(&[answer]).await;
    let outcome = attempt(json!({"port": port, "path": "/x"}), LONG).await;
    let url = format!("Get \"http://127.0.0.1:{port}/x\": ");
    let expected = match expected.strip_prefix('!') {
        Some(text) => Outcome::Warning(text.to_owned()),
        None if expected.is_empty() => Outcome::Success,
        None => Outcome::Failure(expected.replace("GET", &url)),
    };
    assert_eq!(outcome, Ok(expected), "{answer}");
}

#[tokio::test]
async fn statuses() {
    check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "").await;
    check("HTTP/1.0 204 No Content\r\n\r\n", "").await;
    let failed = "HTTP probe failed with statuscode: ";
    check(
        "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
        &format!("{failed}500"),
    )
    .await;
    check(
        "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
        &format!("{failed}404"),
    )
    .await;
    let elsewhere = "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/meta\r\nContent-Length: 4\r\n\r\nmove";
    check(
        elsewhere,
        "!Probe terminated redirects, Response body: move",
    )
    .await;
    check(
        "HTTP/1.1 304 Not Modified\r\n\r\n",
        "!Probe terminated redirects, Response body: ",
    )
    .await;
    check("", "GETEOF").await;
}

#[tokio::test]
async fn a_redirect_on_the_same_host_is_followed() {
    let (port, mut requests) = serve(&[
        "HTTP/1.1 301 M\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 307 M\r\nLocation: http://127.0.0.1:PORT/c?d\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ])
    .await;
    let outcome = attempt(json!({"port": port, "path": "/a"}), LONG).await;
    assert_eq!(outcome, Ok(Outcome::Success));
    for path in ["/a", "/b", "/c?d"] {
        let request = requests.recv().await.unwrap();
        assert!(
            request.starts_with(&format!("GET {path} HTTP/1.1\r\n")),
            "{request}"
        );
    }
}

#[tokio::test]
async fn redirects_end_after_ten() {
    let again = "HTTP/1.1 302 F\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n";
    let (port, _requests) = serve(&[again; 12]).await;
    let outcome = attempt(json!({"port": port}), LONG).await;
    let text = "Get \"/again\": stopped after 10 redirects";
    assert_eq!(outcome, Ok(Outcome::Failure(text.to_owned())));
}

/// The header lines of the one request, without those of every request.
async fn headers(given: Value) -> Vec<String> {
    let (port, mut requests) = serve(&["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]).await;
    let outcome = attempt(json!({"port": port, "httpHeaders": given}), LONG).await;
    assert_eq!(outcome, Ok(Outcome::Success));
    let request = requests.recv().await.unwrap();
    let lines = request.lines().skip(1).filter(|line| !line.is_empty());
    let mut lines: Vec<String> = lines
        .map(|line| line.replace(&port.to_string(), "PORT"))
        .collect();
    // Equal names keep their order, others have none.
    lines.sort_by_key(|line| line.split(':').next().map(str::to_owned));
    lines
}

#[tokio::test]
async fn headers_of_a_probe() {
    let header = |name: &str, value: &str| json!({"name": name, "value": value});
    assert_eq!(
        headers(json!([])).await,
        [
            "Accept: */*",
            "Connection: close",
            "Host: 127.0.0.1:PORT",
            "User-Agent: kube-probe/1.36",
        ]
    );
    assert_eq!(
        headers(json!([
            header("Host", "web.example"),
            header("user-agent", "me"),
            header("Accept", ""),
            header("X-A", "1"),
            header("x-a", "2"),
        ]))
        .await,
        [
            "Connection: close",
            "Host: web.example",
            "User-Agent: me",
            "X-A: 1",
            "X-A: 2",
        ]
    );
    assert_eq!(
        headers(json!([header("User-Agent", "")])).await,
        ["Accept: */*", "Connection: close", "Host: 127.0.0.1:PORT"]
    );
}

#[tokio::test]
async fn ten_kibibytes_of_a_body_are_enough() {
    // The body never ends: whoever wants more than it needs waits in vain.
    let long = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n{}",
        "x".repeat(20 << 10)
    );
    let listener = TcpListener::bind((HOME, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(long.as_bytes()).await.unwrap();
        std::future::pending::<()>().await;
    });
    let outcome = attempt(json!({"port": port}), LONG).await;
    assert_eq!(outcome, Ok(Outcome::Success));
}

#[tokio::test]
async fn times_run_out() {
    let (port, _requests) = serve(&["…"]).await;
    let outcome = attempt(json!({"port": port}), SHORT).await;
    let text = format!(
        "Get \"http://127.0.0.1:{port}/\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
    );
    assert_eq!(outcome, Ok(Outcome::Failure(text)));
    let listener = TcpListener::bind((HOME, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx";
        stream.write_all(cut).await.unwrap();
        std::future::pending::<()>().await;
    });
    let outcome = attempt(json!({"port": port}), SHORT).await;
    let text =
        "context deadline exceeded (Client.Timeout or context cancellation while reading body)";
    assert_eq!(outcome, Err(text.to_owned()));
}

#[tokio::test]
async fn https_meets_a_plain_server() {
    let (port, _requests) = serve(&["HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n"]).await;
    let outcome = attempt(json!({"port": port, "scheme": "HTTPS"}), LONG).await;
    let text = format!(
        "Get \"https://127.0.0.1:{port}/\": http: server gave HTTP response to HTTPS client"
    );
    assert_eq!(outcome, Ok(Outcome::Failure(text)));
}

/// An HTTPS server that answers once and closes without `close_notify`.
async fn serve_abruptly(answer: &'static str) -> u16 {
    let made = rcgen::generate_simple_self_signed(vec!["x.invalid".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((HOME, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.unwrap();
        let mut buffer = [0; 4096];
        assert!(stream.read(&mut buffer).await.unwrap() > 0);
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        // The connection is closed; the session is not.
    });
    port
}

#[tokio::test]
async fn an_https_server_may_close_without_a_word() {
    let answers = [
        ("HTTP/1.0 200 OK\r\n\r\nfine", Ok(Outcome::Success)),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfine",
            Err("unexpected EOF".to_owned()),
        ),
    ];
    for (answer, expected) in answers {
        let port = serve_abruptly(answer).await;
        let outcome = attempt(json!({"port": port, "scheme": "HTTPS"}), LONG).await;
        assert_eq!(outcome, expected, "{answer}");
    }
}

/// A port where nobody listens.
async fn closed_port() -> u16 {
    let listener = TcpListener::bind((HOME, 0)).await.unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test]
async fn refused_connections() {
    let port = closed_port().await;
    let refused = format!("dial tcp 127.0.0.1:{port}: connect: connection refused");
    let check = TcpCheck { host: None, port };
    let outcome = check.attempt(&runtime(), &net(), LONG).await;
    assert_eq!(outcome, Ok(Outcome::Failure(refused.clone())));
    let outcome = attempt(json!({"port": port}), LONG).await;
    let text = format!("Get \"http://127.0.0.1:{port}/\": {refused}");
    assert_eq!(outcome, Ok(Outcome::Failure(text)));
    let grpc = GrpcCheck {
        port,
        service: String::new(),
        user_agent: "kube-probe/1.36",
    };
    let second = Duration::from_secs(1);
    let outcome = grpc.attempt(&runtime(), &net(), second).await;
    let text = format!(
        "timeout: failed to connect service \"127.0.0.1:{port}\" within 1s: context deadline exceeded"
    );
    assert_eq!(outcome, Ok(Outcome::Failure(text)));
}

#[tokio::test]
async fn an_open_port_is_enough_for_tcp() {
    let listener = TcpListener::bind((HOME, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in [None, Some("127.0.0.1"), Some("localhost")] {
        let check = TcpCheck {
            host: host.map(str::to_owned),
            port,
        };
        let outcome = check.attempt(&runtime(), &net(), LONG).await;
        assert_eq!(outcome, Ok(Outcome::Success), "{host:?}");
    }
    let nowhere = TcpCheck {
        host: Some("no.such.host.invalid".to_owned()),
        port,
    };
    let outcome = nowhere.attempt(&runtime(), &net(), LONG).await;
    let text = "dial tcp: lookup no.such.host.invalid: no such host";
    assert_eq!(outcome, Ok(Outcome::Failure(text.to_owned())));
}

/// A health server that answers once with this message and these trailers.
async fn health(message: &'static [u8], trailers: &[(&'static str, &'static str)]) -> u16 {
    let listener = TcpListener::bind((HOME, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let trailers: http::HeaderMap = trailers
        .iter()
        .map(|(name, value)| {
            let name = http::HeaderName::from_static(name);
            (name, http::HeaderValue::from_static(value))
        })
        .collect();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
            assert_eq!(request.headers()["content-type"], "application/grpc");
            let answer = http::Response::builder().header("content-type", "application/grpc");
            let mut stream = respond
                .send_response(answer.body(()).unwrap(), false)
                .unwrap();
            if !message.is_empty() {
                stream.send_data(message.into(), false).unwrap();
            }
            stream.send_trailers(trailers.clone()).unwrap();
        }
    });
    port
}

#[tokio::test]
async fn health_over_grpc() {
    let unhealthy = "service unhealthy (responded with \"NOT_SERVING\")";
    let unknown =
        "error: health rpc probe failed: rpc error: code = NotFound desc = unknown service";
    let missing = "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): unknown service grpc.health.v1.Health";
    let none: &[u8] = b"";
    for (message, trailers, expected) in [
        (
            &b"\0\0\0\0\x02\x08\x01"[..],
            [("grpc-status", "0"), ("x", "y")],
            "",
        ),
        (
            b"\0\0\0\0\x02\x08\x02",
            [("grpc-status", "0"), ("x", "y")],
            unhealthy,
        ),
        (
            none,
            [("grpc-status", "5"), ("grpc-message", "unknown service")],
            unknown,
        ),
        (
            none,
            [
                ("grpc-status", "12"),
                ("grpc-message", "unknown service grpc.health.v1.Health"),
            ],
            missing,
        ),
    ] {
        let check = GrpcCheck {
            port: health(message, &trailers).await,
            service: "s".to_owned(),
            user_agent: "kube-probe/1.36",
        };
        let outcome = check.attempt(&runtime(), &net(), LONG).await;
        let expected = if expected.is_empty() {
            Outcome::Success
        } else {
            Outcome::Failure(expected.to_owned())
        };
        assert_eq!(outcome, Ok(expected));
    }
}
