//! Connections to a pod, and the texts of Go's `net` package when there is none.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::base::chain;
use crate::probe::PodNet;
use crate::runtime::{ContainerRuntime, RuntimeError};

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum NoConnection {
    /// Nobody answers there; the text is what the event shows.
    Refused(String),
    TimedOut(String),
    /// The attempt could not be made (the sandbox is gone, the shim does not answer).
    Broken(String),
}

/// `host`: as the probe names it; `None` is the pod itself. The stream does not block.
pub(super) async fn connect(
    runtime: &dyn ContainerRuntime,
    net: &PodNet,
    host: Option<&str>,
    port: u16,
    timeout: Duration,
) -> Result<TcpStream, NoConnection> {
    let address = match host {
        None => net
            .address
            .ok_or_else(|| NoConnection::Broken("the pod has no address".to_owned()))?,
        Some(host) => resolve(host, timeout).await?,
    };
    let address = SocketAddr::new(address, port);
    let stream = async {
        if host.is_none() && !net.host_network {
            return runtime.dial(&net.sandbox, address).await;
        }
        let connected = tokio::net::TcpStream::connect(address).await;
        connected
            .and_then(tokio::net::TcpStream::into_std)
            .map_err(|source| RuntimeError::Dial { address, source })
    };
    match tokio::time::timeout(timeout, stream).await {
        Err(_) => Err(NoConnection::TimedOut(format!(
            "dial tcp {address}: i/o timeout"
        ))),
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(RuntimeError::Dial { address, source })) => Err(NoConnection::Refused(format!(
            "dial tcp {address}: connect: {}",
            errno_text(&source)
        ))),
        Ok(Err(error)) => Err(NoConnection::Broken(chain(&error))),
    }
}

/// Names are those of the machine.
async fn resolve(host: &str, timeout: Duration) -> Result<IpAddr, NoConnection> {
    if let Ok(address) = host.trim_matches(['[', ']']).parse() {
        return Ok(address);
    }
    match tokio::time::timeout(timeout, tokio::net::lookup_host((host, 0))).await {
        Err(_) => Err(NoConnection::TimedOut(format!(
            "dial tcp: lookup {host}: i/o timeout"
        ))),
        Ok(Ok(mut found)) => found
            .next()
            .map(|address| address.ip())
            .ok_or_else(|| NoConnection::Refused(format!("dial tcp: lookup {host}: no such host"))),
        Ok(Err(_)) => Err(NoConnection::Refused(format!(
            "dial tcp: lookup {host}: no such host"
        ))),
    }
}

/// The text of an error number as Go writes it: lower case, without the number.
pub(super) fn errno_text(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text
        .split_once(" (os error")
        .map_or(text.as_str(), |(text, _)| text);
    text.to_lowercase()
}
