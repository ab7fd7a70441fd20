use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::{Request, Uri};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::door::Door;
use super::router::router;
use crate::base::chain;
use crate::client::Client;

/// Header block of a request, bytes.
const HEADER_BYTES: usize = 64 << 10;
/// Header fields of a request.
const HEADERS: usize = 100;
/// A client that connects has to send its request header in this time.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long answers that are under way may take once the server ends.
const FAREWELL: Duration = Duration::from_secs(2);
/// Pause after a failed accept: the usual reason is that all file descriptors are in use (accept(2), EMFILE),
/// and trying again at once would only burn CPU.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown`, every connection as a task of `connections`, so that its owner sees how many there
/// are; then answers under way are given a moment and streams end.
pub(crate) async fn serve(
    mut door: Door,
    client: Arc<dyn Client>,
    shutdown: CancellationToken,
    connections: TaskTracker,
) {
    let router = router(client, shutdown.clone());
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            // Cancel-safe: a connection is taken only when the arm wins.
            accepted = door.accept() => match accepted {
                Ok(stream) => {
                    if let Err(error) = check_peer(&stream) {
                        warn!(%error, "refused a connection to the API socket");
                        continue;
                    }
                    let service = TowerToHyperService::new(router.clone());
                    connections.spawn(connection(stream, service, shutdown.clone()));
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection to the API socket");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(door);
    connections.close();
    connections.wait().await;
}

/// The directory of the socket keeps others out already; this holds even if its mode was changed.
fn check_peer(stream: &UnixStream) -> io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    let own = rustix::process::geteuid().as_raw();
    if uid == own || uid == 0 {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!("the peer has uid {uid}, only {own} and 0 are served"),
    ))
}

/// `/version/` is `/version`, as it is at an API server. `None`: it has no slash at its end.
fn without_slash(uri: &Uri) -> Option<Uri> {
    let path = uri
        .path()
        .strip_suffix('/')
        .filter(|path| !path.is_empty())?;
    let query = uri
        .query()
        .map_or_else(String::new, |query| format!("?{query}"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{path}{query}").parse().ok()?);
    Uri::from_parts(parts).ok()
}

async fn connection(
    stream: UnixStream,
    service: TowerToHyperService<Router>,
    shutdown: CancellationToken,
) {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES)
        .max_headers(HEADERS);
    let service = service_fn(move |mut request: Request<Incoming>| {
        if let Some(plain) = without_slash(request.uri()) {
            *request.uri_mut() = plain;
        }
        service.call(request)
    });
    let connection = builder
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(FAREWELL, connection).await {
                Ok(result) => result,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = result {
        debug!(error = chain(&error), "an API connection broke");
    }
}
