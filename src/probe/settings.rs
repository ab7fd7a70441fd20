//! A probe of the API, resolved: defaults applied, ports looked up.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::handler::Action;
use super::handler::grpc::GrpcCheck;
use super::handler::http::HttpRequest;
use super::handler::tcp::TcpCheck;
use super::probes::ProbeKind;
use super::state::Thresholds;
use crate::base::SandboxId;
use crate::model::expand;

/// Where a pod can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodNet {
    pub(crate) sandbox: SandboxId,
    /// The pod's address; with the host's network that of the node.
    pub(crate) address: Option<IpAddr>,
    /// The pod lives in the machine's network, so nothing has to be dialled from inside.
    pub(crate) host_network: bool,
}

/// Everything about one probe but what it is tried on.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) kind: ProbeKind,
    pub(super) initial_delay: Duration,
    pub(super) period: Duration,
    pub(super) timeout: Duration,
    pub(super) thresholds: Thresholds,
    /// `Err`: why no attempt can be made at all (an unknown port name).
    pub(super) action: Result<Action, String>,
}

/// The user agent of probes (kubelet `kube-probe/<major>.<minor>`).
const USER_AGENT: &str = "kube-probe/1.36";

impl Settings {
    pub(super) fn of(kind: ProbeKind, container: &Container) -> Option<Self> {
        let probe = kind.of(container)?;
        let seconds = |value: Option<i32>, default: u64| {
            let value = value.and_then(|value| u64::try_from(value).ok());
            Duration::from_secs(value.filter(|value| *value > 0).unwrap_or(default))
        };
        let count = |value: Option<i32>, default: u32| {
            let value = value.and_then(|value| u32::try_from(value).ok());
            value.filter(|value| *value > 0).unwrap_or(default)
        };
        Some(Self {
            kind,
            initial_delay: seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds, 10),
            timeout: seconds(probe.timeout_seconds, 1),
            thresholds: Thresholds {
                success: count(probe.success_threshold, 1),
                failure: count(probe.failure_threshold, 3),
            },
            action: action_of(probe, container),
        })
    }
}

fn action_of(probe: &Probe, container: &Container) -> Result<Action, String> {
    if let Some(exec) = &probe.exec {
        let statics = static_variables(container);
        let command = exec.command.iter().flatten();
        return Ok(Action::Exec(
            command.map(|word| expand(word, &statics)).collect(),
        ));
    }
    if let Some(get) = &probe.http_get {
        return HttpRequest::of(get, container, USER_AGENT).map(Action::Http);
    }
    if let Some(tcp) = &probe.tcp_socket {
        return Ok(Action::Tcp(TcpCheck {
            host: tcp.host.clone().filter(|host| !host.is_empty()),
            port: resolve_port(&tcp.port, container)?,
        }));
    }
    if let Some(grpc) = &probe.grpc {
        return Ok(Action::Grpc(GrpcCheck {
            port: resolve_port(&IntOrString::Int(grpc.port), container)?,
            service: grpc.service.clone().unwrap_or_default(),
            user_agent: USER_AGENT,
        }));
    }
    Err("missing probe handler".to_owned())
}

/// Values as they are written in `env`; a variable from elsewhere counts as empty
/// (kubelet `ExpandContainerCommandOnlyStatic`).
fn static_variables(container: &Container) -> BTreeMap<String, String> {
    let variables = container.env.iter().flatten();
    variables
        .map(|variable| {
            let value = variable.value.clone().unwrap_or_default();
            (variable.name.clone(), value)
        })
        .collect()
}

/// The number behind a port: itself, that of the container's port of this name, or a number in a string
/// (kubelet `probe.ResolveContainerPort`).
pub(crate) fn resolve_port(port: &IntOrString, container: &Container) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => {
            let named = container.ports.iter().flatten();
            let mut named = named.filter(|port| port.name.as_deref() == Some(name));
            match named.next() {
                Some(port) => port.container_port,
                None => name
                    .parse()
                    .map_err(|_| format!("strconv.Atoi: parsing \"{name}\": invalid syntax"))?,
            }
        }
    };
    u16::try_from(number)
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| format!("invalid port number: {number}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn container() -> Container {
        serde_json::from_value(json!({
            "name": "c",
            "env": [
                {"name": "FILE", "value": "/tmp/$(OTHER)"},
                {"name": "FROM", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            ],
            "ports": [{"name": "web", "containerPort": 8080}, {"containerPort": 9090}],
            "livenessProbe": {"exec": {"command": ["cat", "$(FILE)", "$(FROM)", "$$(FILE)", "$(NONE)"]}},
            "readinessProbe": {
                "httpGet": {"port": "web"}, "initialDelaySeconds": 3, "periodSeconds": 7,
                "timeoutSeconds": 2, "successThreshold": 4, "failureThreshold": 5,
            },
            "startupProbe": {"grpc": {"port": 50}, "periodSeconds": 0, "timeoutSeconds": 0},
        }))
        .unwrap()
    }

    #[test]
    fn defaults_and_values() {
        let liveness = Settings::of(ProbeKind::Liveness, &container()).unwrap();
        let s = Duration::from_secs;
        assert_eq!(
            (liveness.initial_delay, liveness.period, liveness.timeout),
            (s(0), s(10), s(1))
        );
        assert_eq!(
            (liveness.thresholds.success, liveness.thresholds.failure),
            (1, 3)
        );
        let readiness = Settings::of(ProbeKind::Readiness, &container()).unwrap();
        assert_eq!(
            (readiness.initial_delay, readiness.period, readiness.timeout),
            (s(3), s(7), s(2))
        );
        assert_eq!(
            (readiness.thresholds.success, readiness.thresholds.failure),
            (4, 5)
        );
        let startup = Settings::of(ProbeKind::Startup, &container()).unwrap();
        assert_eq!((startup.period, startup.timeout), (s(10), s(1)));
        assert!(Settings::of(ProbeKind::Startup, &Container::default()).is_none());
    }

    #[test]
    fn commands_see_static_variables_only() {
        let liveness = Settings::of(ProbeKind::Liveness, &container()).unwrap();
        let Ok(Action::Exec(command)) = liveness.action else {
            panic!("{:?}", liveness.action)
        };
        assert_eq!(command, ["cat", "/tmp/$(OTHER)", "", "$(FILE)", "$(NONE)"]);
    }

    #[track_caller]
    fn check_port(port: IntOrString, expected: Result<u16, &str>) {
        let found = resolve_port(&port, &container());
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    #[test]
    fn ports_by_number_and_name() {
        let name = |name: &str| IntOrString::String(name.to_owned());
        check_port(IntOrString::Int(80), Ok(80));
        check_port(name("web"), Ok(8080));
        check_port(name("9000"), Ok(9000));
        check_port(
            name("nope"),
            Err("strconv.Atoi: parsing \"nope\": invalid syntax"),
        );
        check_port(IntOrString::Int(0), Err("invalid port number: 0"));
        check_port(IntOrString::Int(65536), Err("invalid port number: 65536"));
        check_port(name("-1"), Err("invalid port number: -1"));
    }
}
