//! Connections to the ports of a pod, made in its network (kubernetes-semantics §9.6).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;

use super::EngineError;
use super::machine::Machine;
use crate::base::{Uid, chain};
use crate::runtime::RuntimeError;

/// Nobody is further away than loopback; whoever does not answer there in this time never will.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection to `localhost:port` as the pod sees it, over IPv4 or else over IPv6.
pub(super) async fn dial(
    machine: &Machine,
    pod: &Uid,
    port: u16,
) -> Result<TcpStream, EngineError> {
    let entry = machine.board.pod(pod);
    let Some(sandbox) = entry.and_then(|entry| entry.sandbox) else {
        return Err(EngineError::NotRunning(
            "unable to forward port because pod is not running".to_owned(),
        ));
    };
    let mut refusals = Vec::new();
    let addresses = [
        ("IPv4", IpAddr::V4(Ipv4Addr::LOCALHOST)),
        ("IPv6", IpAddr::V6(Ipv6Addr::LOCALHOST)),
    ];
    for (family, address) in addresses {
        let address = SocketAddr::new(address, port);
        let dialled = tokio::time::timeout(PATIENCE, machine.runtime.dial(&sandbox, address));
        match dialled.await {
            Ok(Ok(stream)) => {
                return TcpStream::from_std(stream)
                    .map_err(|error| EngineError::Internal(chain(&error)));
            }
            Ok(Err(RuntimeError::Dial { source, .. })) => {
                refusals.push(format!("{family}: {source}"));
            }
            Ok(Err(error)) => refusals.push(format!("{family}: {}", chain(&error))),
            Err(_) => refusals.push(format!("{family}: no answer")),
        }
    }
    Err(EngineError::NotRunning(format!(
        "error forwarding port {port} to pod {pod}: failed to connect to localhost:{port} inside the network of the \
         pod, {}",
        refusals.join(", ")
    )))
}
