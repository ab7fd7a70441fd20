//! Probes that speak TLS and gRPC, to servers of this test: a pod in the network of the machine is probed at the
//! machine's address, and a `host` is connected from the machine.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::support::{Podtui, status};

/// `ServingStatus` of grpc.health.v1.
const SERVING: u16 = 1;
const NOT_SERVING: u16 = 2;

/// What the servers answer, and what they were asked.
#[derive(Default)]
struct Answers {
    http: AtomicU16,
    grpc: AtomicU16,
    asked: Mutex<Vec<String>>,
}

impl Answers {
    fn note(&self, text: String) {
        self.asked.lock().expect("no panic").push(text);
    }

    fn asked(&self, what: &str) -> Option<String> {
        let asked = self.asked.lock().expect("no panic");
        asked.iter().find(|one| one.contains(what)).cloned()
    }
}

struct Servers {
    answers: Arc<Answers>,
    tls: u16,
    grpc: u16,
    /// Ends them when dropped.
    _runtime: tokio::runtime::Runtime,
}

fn servers() -> Servers {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let answers = Arc::new(Answers::default());
    let bind = |runtime: &tokio::runtime::Runtime| {
        let any = SocketAddr::from(([0, 0, 0, 0], 0));
        runtime.block_on(TcpListener::bind(any)).expect("a port")
    };
    let port = |listener: &TcpListener| listener.local_addr().expect("an address").port();
    let (tls, grpc) = (bind(&runtime), bind(&runtime));
    let ports = (port(&tls), port(&grpc));
    let shared = Arc::clone(&answers);
    runtime.spawn(async move {
        let acceptor = acceptor();
        while let Ok((stream, _)) = tls.accept().await {
            tokio::spawn(answer_https(acceptor.clone(), stream, Arc::clone(&shared)));
        }
    });
    let shared = Arc::clone(&answers);
    runtime.spawn(async move {
        while let Ok((stream, _)) = grpc.accept().await {
            tokio::spawn(answer_grpc(stream, Arc::clone(&shared)));
        }
    });
    Servers {
        answers,
        tls: ports.0,
        grpc: ports.1,
        _runtime: runtime,
    }
}

/// With a certificate that nobody has signed, for a name that nobody asks for.
fn acceptor() -> TlsAcceptor {
    let made = rcgen::generate_simple_self_signed(vec!["elsewhere.invalid".to_owned()]);
    let made = made.expect("a certificate");
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = tokio_rustls::rustls::crypto::ring::default_provider();
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .expect("the usual versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], PrivateKeyDer::Pkcs8(key));
    TlsAcceptor::from(Arc::new(config.expect("key and certificate fit")))
}

/// A client that leaves in the middle is its own business.
async fn answer_https(acceptor: TlsAcceptor, stream: TcpStream, answers: Arc<Answers>) {
    let Ok(mut stream) = acceptor.accept(stream).await else {
        return;
    };
    let mut request = Vec::new();
    let mut bytes = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut bytes).await {
            Ok(length) if length > 0 => request.extend_from_slice(&bytes[..length]),
            _ => return,
        }
    }
    answers.note(String::from_utf8_lossy(&request).to_lowercase());
    let code = answers.http.load(Ordering::SeqCst);
    let answer = format!("HTTP/1.1 {code} Told\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

async fn answer_grpc(stream: TcpStream, answers: Arc<Answers>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return;
    };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let (head, mut body) = request.into_parts();
        let answers = Arc::clone(&answers);
        tokio::spawn(async move {
            let mut sent = Vec::new();
            while let Some(Ok(chunk)) = body.data().await {
                let _ = body.flow_control().release_capacity(chunk.len());
                sent.extend_from_slice(&chunk);
            }
            // One byte of flags, four of length, field 1 with the name of the service.
            let service = String::from_utf8_lossy(sent.get(7..).unwrap_or_default()).into_owned();
            answers.note(format!("{} of {service}", head.uri.path()));
            let response = http::Response::builder()
                .header("content-type", "application/grpc")
                .body(())
                .expect("a response");
            let Ok(mut stream) = respond.send_response(response, false) else {
                return;
            };
            let verdict = u8::try_from(answers.grpc.load(Ordering::SeqCst)).unwrap_or(0);
            let message = Bytes::from(vec![0, 0, 0, 0, 2, 8, verdict]);
            let _ = stream.send_data(message, false);
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
            let _ = stream.send_trailers(trailers);
        });
    }
}

fn manifest(name: &str, network: &str, probes: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 1\n{network}  containers:\n  - name: c\n    image: localhost/toolbox\n    imagePullPolicy: IfNotPresent\n    command: [sh, -c, 'trap \"exit 0\" TERM; while :; do sleep 0.1; done']\n{probes}"
    )
}

fn is_ready(podtui: &Podtui, name: &str) -> bool {
    status(&podtui.pod(name), "c")["ready"] == true
}

#[test]
fn a_pod_in_the_network_of_the_machine_is_probed_there() {
    require_root!();
    let servers = servers();
    let answers = &servers.answers;
    answers.http.store(200, Ordering::SeqCst);
    answers.grpc.store(NOT_SERVING, Ordering::SeqCst);
    let (tls, grpc) = (servers.tls, servers.grpc);
    let podtui = Podtui::start();
    podtui.apply(&manifest(
        "host",
        "  hostNetwork: true\n",
        &format!(
            "    startupProbe: {{tcpSocket: {{port: {tls}}}, periodSeconds: 1}}\n    livenessProbe: {{httpGet: {{scheme: HTTPS, port: {tls}, path: /live}}, periodSeconds: 1, failureThreshold: 1}}\n    readinessProbe: {{grpc: {{port: {grpc}, service: shop}}, periodSeconds: 1, failureThreshold: 1}}\n"
        ),
    ));
    podtui.wait_running("host");
    let told = |text: &str| {
        podtui.wait(text, || {
            let told = podtui.ok(&["describe", "pod", "host"]);
            told.contains(text).then_some(())
        });
    };
    told("Readiness probe failed: service unhealthy (responded with \"NOT_SERVING\")");
    assert!(!is_ready(&podtui, "host"));
    answers.grpc.store(SERVING, Ordering::SeqCst);
    podtui.wait("readiness", || is_ready(&podtui, "host").then_some(()));
    assert_eq!(
        answers.asked("Check").as_deref(),
        Some("/grpc.health.v1.Health/Check of shop")
    );
    let request = podtui.wait("a request over TLS", || answers.asked("get /live"));
    assert!(request.contains("user-agent: kube-probe/1.36"), "{request}");
    let pod = podtui.pod("host");
    let node = pod["status"]["podIP"].as_str().expect("an address");
    assert!(
        request.contains(&format!("host: {node}:{tls}")),
        "{request}"
    );
    answers.http.store(503, Ordering::SeqCst);
    told("Liveness probe failed: HTTP probe failed with statuscode: 503");
    told("Container c failed liveness probe, will be restarted");
    answers.http.store(200, Ordering::SeqCst);
    podtui.wait("the restart", || {
        let pod = podtui.try_pod("host")?;
        (status(&pod, "c")["restartCount"].as_u64() >= Some(1) && is_ready(&podtui, "host"))
            .then_some(())
    });
    podtui.delete_all();
}

#[test]
fn another_host_is_asked_from_the_machine() {
    require_root!();
    let servers = servers();
    servers.answers.http.store(404, Ordering::SeqCst);
    let tls = servers.tls;
    let podtui = Podtui::start();
    podtui.apply(&manifest(
        "guest",
        "",
        &format!(
            "    readinessProbe: {{httpGet: {{scheme: HTTPS, host: 127.0.0.1, port: {tls}, path: /there, httpHeaders: [{{name: X-Asked, value: by-guest}}]}}, periodSeconds: 1, failureThreshold: 1}}\n"
        ),
    ));
    podtui.wait_running("guest");
    podtui.wait("the failure", || {
        let told = podtui.ok(&["describe", "pod", "guest"]);
        let text = "Readiness probe failed: HTTP probe failed with statuscode: 404";
        told.contains(text).then_some(())
    });
    servers.answers.http.store(204, Ordering::SeqCst);
    podtui.wait("readiness", || is_ready(&podtui, "guest").then_some(()));
    let request = servers.answers.asked("get /there").expect("it was asked");
    assert!(request.contains("x-asked: by-guest"), "{request}");
    podtui.delete_all();
}
