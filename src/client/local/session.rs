use std::borrow::Cow;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, Pod};

use super::Local;
use super::errors::engine_error;
use crate::base::SessionStream;
use crate::client::{ExecOptions, PortStream, SessionVerb};
use crate::engine::{AttachRequest, ExecRequest};
use crate::model::{ApiError, Resource, pod as pods};

pub(super) async fn exec(
    local: &Local,
    namespace: &str,
    name: &str,
    options: ExecOptions,
) -> Result<SessionStream, ApiError> {
    let pod = check(local, SessionVerb::Exec, namespace, name, &options)?;
    let container = choose(&pod, options.container.as_deref())?;
    let request = ExecRequest {
        argv: options.command,
        tty: options.tty,
        stdin: options.stdin,
        size: options.size,
    };
    local
        .engine
        .exec(&pod.uid(), &container.name, request)
        .await
        .map_err(engine_error)
}

pub(super) async fn attach(
    local: &Local,
    namespace: &str,
    name: &str,
    options: ExecOptions,
) -> Result<SessionStream, ApiError> {
    let pod = check(local, SessionVerb::Attach, namespace, name, &options)?;
    let container = choose(&pod, options.container.as_deref())?;
    let request = AttachRequest {
        // A container without stdin has nothing to type into.
        stdin: options.stdin && container.stdin == Some(true),
        stdout: options.stdout,
        stderr: options.stderr,
        size: options.size,
    };
    local
        .engine
        .attach(&pod.uid(), &container.name, request)
        .await
        .map_err(engine_error)
}

/// A connection to a port in the network of a pod that runs.
pub(super) async fn port_forward(
    local: &Local,
    namespace: &str,
    name: &str,
    port: u16,
) -> Result<Box<dyn PortStream>, ApiError> {
    let pod = local.pod(namespace, name)?;
    let phase = pods::phase(&pod);
    if phase != "Running" {
        return Err(ApiError::bad_request(format!(
            "unable to forward port because pod is not running. Current status={phase}"
        )));
    }
    let stream = local.engine.dial(&pod.uid(), port).await;
    Ok(Box::new(stream.map_err(engine_error)?))
}

/// What can be refused before anything is started. Returns the pod.
pub(super) fn check(
    local: &Local,
    verb: SessionVerb,
    namespace: &str,
    name: &str,
    options: &ExecOptions,
) -> Result<Arc<Pod>, ApiError> {
    let pod = local.pod(namespace, name)?;
    if pods::is_terminal(&pod) {
        let what = match verb {
            SessionVerb::Exec => "exec into",
            SessionVerb::Attach => "attach",
        };
        return Err(ApiError::bad_request(format!(
            "cannot {what} a container in a completed pod; current phase is {}",
            pods::phase(&pod)
        )));
    }
    if verb == SessionVerb::Exec && options.command.is_empty() {
        return Err(ApiError::bad_request(
            "you must specify at least one command for the container",
        ));
    }
    check_streams(options)?;
    choose(&pod, options.container.as_deref())?;
    Ok(pod)
}

/// `ValidatePodExecOptions` of the API server.
fn check_streams(options: &ExecOptions) -> Result<(), ApiError> {
    if options.stdin || options.stdout || options.stderr {
        return Ok(());
    }
    Err(ApiError::bad_request(
        "you must specify at least 1 of stdin, stdout, stderr",
    ))
}

/// The container named, or the only one. Guessing among several is the front end's business, as it is kubectl's.
pub(super) fn choose<'a>(pod: &'a Pod, name: Option<&str>) -> Result<Cow<'a, Container>, ApiError> {
    let pod_name = pod.metadata.name.as_deref().unwrap_or_default();
    let unknown = |name: &str| {
        ApiError::bad_request(format!("container {name} is not valid for pod {pod_name}"))
    };
    let spec = pod.spec.as_ref().ok_or_else(|| unknown(""))?;
    if let Some(name) = name.filter(|name| !name.is_empty()) {
        return pods::find_any_container(spec, name).ok_or_else(|| unknown(name));
    }
    let names = |containers: &[Container]| {
        let names: Vec<&str> = containers.iter().map(|c| c.name.as_str()).collect();
        names.join(" ")
    };
    let inits = pods::init_containers(spec);
    match (spec.containers.as_slice(), inits) {
        ([only], _) => Ok(Cow::Borrowed(only)),
        (several, []) => Err(ApiError::bad_request(format!(
            "a container name must be specified for pod {pod_name}, choose one of: [{}]",
            names(several)
        ))),
        (several, inits) => Err(ApiError::bad_request(format!(
            "a container name must be specified for pod {pod_name}, choose one of: [{}] or one of the init \
             containers: [{}]",
            names(several),
            names(inits)
        ))),
    }
}
