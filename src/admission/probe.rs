use k8s_openapi::api::core::v1::{
    Container, ExecAction, HTTPGetAction, Lifecycle, LifecycleHandler, Probe, SleepAction,
    TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::field::{Errors, by_rule, non_negative, one_of, port, required};
use crate::model::{FieldError, names};

/// The handlers of a probe or a hook. At most one may be set.
#[derive(Default)]
struct Handlers<'a> {
    exec: Option<&'a ExecAction>,
    http_get: Option<&'a HTTPGetAction>,
    tcp_socket: Option<&'a TCPSocketAction>,
    grpc_port: Option<i32>,
    sleep: Option<&'a SleepAction>,
}

/// Hooks and probes; `grace` is the termination grace period of the pod.
pub(super) fn hooks_and_probes(errors: &mut Errors, path: &str, container: &Container, grace: i64) {
    if let Some(lifecycle) = &container.lifecycle {
        let path = format!("{path}.lifecycle");
        self::lifecycle(errors, &path, lifecycle, grace);
    }
    if let Some(probe) = &container.liveness_probe {
        once_is_enough(errors, &format!("{path}.livenessProbe"), probe);
    }
    if let Some(probe) = &container.readiness_probe {
        let path = format!("{path}.readinessProbe");
        self::probe(errors, &path, probe);
        if let Some(seconds) = probe.termination_grace_period_seconds {
            errors.push(FieldError::invalid(
                format!("{path}.terminationGracePeriodSeconds"),
                seconds,
                "must not be set for readinessProbes",
            ));
        }
    }
    if let Some(probe) = &container.startup_probe {
        once_is_enough(errors, &format!("{path}.startupProbe"), probe);
    }
}

/// What init containers that are no sidecars cannot have.
pub(super) fn none_allowed(errors: &mut Errors, path: &str, container: &Container) {
    let fields = [
        (container.lifecycle.is_some(), "lifecycle"),
        (container.liveness_probe.is_some(), "livenessProbe"),
        (container.readiness_probe.is_some(), "readinessProbe"),
        (container.startup_probe.is_some(), "startupProbe"),
    ];
    for (_, field) in fields.into_iter().filter(|(is_set, _)| *is_set) {
        let detail = "may not be set for init containers without restartPolicy=Always";
        errors.push(FieldError::forbidden(format!("{path}.{field}"), detail));
    }
}

fn lifecycle(errors: &mut Errors, path: &str, lifecycle: &Lifecycle, grace: i64) {
    let hooks = [
        ("postStart", &lifecycle.post_start),
        ("preStop", &lifecycle.pre_stop),
    ];
    for (name, hook) in hooks {
        if let Some(hook) = hook {
            handlers(errors, &format!("{path}.{name}"), &of_hook(hook), grace);
        }
    }
}

fn of_hook(hook: &LifecycleHandler) -> Handlers<'_> {
    Handlers {
        exec: hook.exec.as_ref(),
        http_get: hook.http_get.as_ref(),
        tcp_socket: hook.tcp_socket.as_ref(),
        grpc_port: None,
        sleep: hook.sleep.as_ref(),
    }
}

fn once_is_enough(errors: &mut Errors, path: &str, probe: &Probe) {
    self::probe(errors, path, probe);
    if let Some(threshold) = probe.success_threshold.filter(|threshold| *threshold != 1) {
        let path = format!("{path}.successThreshold");
        errors.push(FieldError::invalid(path, threshold, "must be 1"));
    }
}

fn probe(errors: &mut Errors, path: &str, probe: &Probe) {
    let of_probe = Handlers {
        exec: probe.exec.as_ref(),
        http_get: probe.http_get.as_ref(),
        tcp_socket: probe.tcp_socket.as_ref(),
        grpc_port: probe.grpc.as_ref().map(|grpc| grpc.port),
        sleep: None,
    };
    handlers(errors, path, &of_probe, 0);
    for (field, value) in [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ] {
        non_negative(errors, format!("{path}.{field}"), value);
    }
    let grace = probe.termination_grace_period_seconds;
    if let Some(seconds) = grace.filter(|seconds| *seconds <= 0) {
        let path = format!("{path}.terminationGracePeriodSeconds");
        errors.push(FieldError::invalid(path, seconds, "must be greater than 0"));
    }
}

fn handlers(errors: &mut Errors, path: &str, handlers: &Handlers<'_>, grace: i64) {
    let mut count = 0;
    let mut first = |errors: &mut Errors, field: &str| {
        count += 1;
        if count > 1 {
            let detail = "may not specify more than 1 handler type";
            errors.push(FieldError::forbidden(format!("{path}.{field}"), detail));
        }
        count == 1
    };
    if let Some(exec) = handlers.exec
        && first(errors, "exec")
        && exec.command.as_ref().is_none_or(Vec::is_empty)
    {
        errors.push(FieldError::required(format!("{path}.exec.command"), ""));
    }
    if let Some(http) = handlers.http_get
        && first(errors, "httpGet")
    {
        http_get(errors, &format!("{path}.httpGet"), http);
    }
    if let Some(tcp) = handlers.tcp_socket
        && first(errors, "tcpSocket")
    {
        port_or_name(errors, &format!("{path}.tcpSocket.port"), &tcp.port);
    }
    if let Some(number) = handlers.grpc_port
        && first(errors, "grpc")
    {
        port(errors, &format!("{path}.grpc.port"), i64::from(number));
    }
    if let Some(sleep) = handlers.sleep
        && first(errors, "sleep")
        && !(0..=grace).contains(&sleep.seconds)
    {
        let detail =
            format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        errors.push(FieldError::invalid(
            format!("{path}.sleep"),
            sleep.seconds,
            detail,
        ));
    }
    if count == 0 {
        errors.push(FieldError::required(path, "must specify a handler type"));
    }
}

fn http_get(errors: &mut Errors, path: &str, http: &HTTPGetAction) {
    required(
        errors,
        format!("{path}.path"),
        super::field::text(&http.path),
    );
    port_or_name(errors, &format!("{path}.port"), &http.port);
    let scheme = super::field::text(&http.scheme);
    one_of(
        errors,
        &format!("{path}.scheme"),
        scheme,
        &["HTTP", "HTTPS"],
    );
    let token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    for header in http.http_headers.iter().flatten() {
        if header.name.is_empty() || !header.name.bytes().all(token) {
            errors.push(FieldError::invalid_string(
                format!("{path}.httpHeaders"),
                &header.name,
                "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is \
                 '[-A-Za-z0-9]+')",
            ));
        }
    }
}

fn port_or_name(errors: &mut Errors, path: &str, value: &IntOrString) {
    match value {
        IntOrString::Int(number) => port(errors, path, i64::from(*number)),
        IntOrString::String(name) => by_rule(errors, path, name, names::port_name),
    }
}
