use std::time::Duration;

use super::connect::{NoConnection, connect};
use super::{Attempt, Outcome};
use crate::probe::PodNet;
use crate::runtime::ContainerRuntime;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TcpCheck {
    pub(in crate::probe) host: Option<String>,
    pub(in crate::probe) port: u16,
}

impl TcpCheck {
    /// Success is a connection; it is closed at once.
    pub(super) async fn attempt(
        &self,
        runtime: &dyn ContainerRuntime,
        net: &PodNet,
        timeout: Duration,
    ) -> Attempt {
        match connect(runtime, net, self.host.as_deref(), self.port, timeout).await {
            Ok(_) => Ok(Outcome::Success),
            Err(NoConnection::Refused(text) | NoConnection::TimedOut(text)) => {
                Ok(Outcome::Failure(text))
            }
            Err(NoConnection::Broken(text)) => Err(text),
        }
    }
}
