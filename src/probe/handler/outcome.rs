use std::time::Duration;

use super::exec;
use super::grpc::GrpcCheck;
use super::http::HttpRequest;
use super::tcp::TcpCheck;
use crate::base::ContainerId;
use crate::probe::PodNet;
use crate::runtime::ContainerRuntime;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    /// Counts as success; the text goes into an event of its own.
    Warning(String),
    Failure(String),
}

/// `Err`: neither success nor failure, the attempt could not be made.
pub(crate) type Attempt = Result<Outcome, String>;

/// What a probe does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Exec(Vec<String>),
    Http(HttpRequest),
    Tcp(TcpCheck),
    Grpc(GrpcCheck),
}

impl Action {
    pub(in crate::probe) async fn attempt(
        &self,
        runtime: &dyn ContainerRuntime,
        container: &ContainerId,
        net: &PodNet,
        timeout: Duration,
    ) -> Attempt {
        match self {
            Self::Exec(command) => exec::attempt(runtime, container, command, timeout).await,
            Self::Http(request) => request.attempt(runtime, net, timeout).await,
            Self::Tcp(check) => check.attempt(runtime, net, timeout).await,
            Self::Grpc(check) => check.attempt(runtime, net, timeout).await,
        }
    }
}
