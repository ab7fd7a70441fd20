use k8s_openapi::api::core::v1::{
    Container, ContainerPort, ContainerState, ContainerStatus, EnvVar, Pod, PodSpec, Probe,
    ResourceFieldSelector, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::common::resources;
use super::text::{Text, clean};
use crate::model::downward::{Allocatable, resource_field};
use crate::printer::duration::Moment;

pub(super) fn containers(
    text: &mut Text,
    title: &str,
    specs: &[Container],
    statuses: &[ContainerStatus],
    pod: &Pod,
    moment: &Moment,
) {
    let none = if specs.is_empty() { " <none>" } else { "" };
    text.line(0, format_args!("{title}:{none}"));
    for spec in specs {
        let status = statuses.iter().find(|status| status.name == spec.name);
        basics(text, spec, status);
        arguments(text, "Command", spec.command.as_deref());
        arguments(text, "Args", spec.args.as_deref());
        if let Some(status) = status {
            states(text, status, moment);
        }
        resources(text, 2, spec.resources.as_ref());
        for (name, probe) in [
            ("Liveness", &spec.liveness_probe),
            ("Readiness", &spec.readiness_probe),
            ("Startup", &spec.startup_probe),
        ] {
            if let Some(probe) = probe {
                text.line(2, format_args!("{name}:\t{}", probe_text(probe)));
            }
        }
        environment(text, spec, pod);
        mounts(text, spec);
    }
}

fn basics(text: &mut Text, spec: &Container, status: Option<&ContainerStatus>) {
    text.line(1, format_args!("{}:", spec.name));
    if let Some(status) = status {
        let id = status.container_id.as_deref().unwrap_or_default();
        text.line(2, format_args!("Container ID:\t{id}"));
    }
    text.line(
        2,
        format_args!(
            "Image:\t{}",
            clean(spec.image.as_deref().unwrap_or_default())
        ),
    );
    if let Some(status) = status {
        text.line(2, format_args!("Image ID:\t{}", status.image_id));
    }
    let ports = spec.ports.as_deref().unwrap_or_default();
    port_line(text, "Port", ports, |port| port.container_port);
    port_line(text, "Host Port", ports, |port| {
        port.host_port.unwrap_or_default()
    });
    let profile = spec
        .security_context
        .as_ref()
        .and_then(|context| context.seccomp_profile.as_ref());
    if let Some(profile) = profile {
        text.line(2, format_args!("SeccompProfile:\t{}", profile.type_));
        if let Some(path) = &profile.localhost_profile {
            text.line(3, format_args!("LocalhostProfile:\t{}", clean(path)));
        }
    }
}

fn port_line(
    text: &mut Text,
    title: &str,
    ports: &[ContainerPort],
    number: fn(&ContainerPort) -> i32,
) {
    let list: Vec<String> = ports
        .iter()
        .map(|port| {
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            let base = format!("{}/{protocol}", number(port));
            match port.name.as_deref() {
                Some(name) if !name.is_empty() => format!("{base} ({name})"),
                _ => base,
            }
        })
        .collect();
    match list.as_slice() {
        [] => text.line(2, format_args!("{title}:\t<none>")),
        [one] => text.line(2, format_args!("{title}:\t{one}")),
        many => text.line(2, format_args!("{title}s:\t{}", many.join(", "))),
    }
}

fn arguments(text: &mut Text, title: &str, arguments: Option<&[String]>) {
    let Some(arguments) = arguments.filter(|arguments| !arguments.is_empty()) else {
        return;
    };
    text.line(2, format_args!("{title}:"));
    for argument in arguments {
        for line in argument.split('\n') {
            text.line(3, format_args!("{}", clean(line)));
        }
    }
}

fn states(text: &mut Text, status: &ContainerStatus, moment: &Moment) {
    state(text, "State", status.state.as_ref(), moment);
    let last = status.last_state.as_ref();
    if last.is_some_and(|last| last.terminated.is_some()) {
        state(text, "Last State", last, moment);
    }
    let ready = if status.ready { "True" } else { "False" };
    text.line(2, format_args!("Ready:\t{ready}"));
    text.line(2, format_args!("Restart Count:\t{}", status.restart_count));
}

fn state(text: &mut Text, title: &str, state: Option<&ContainerState>, moment: &Moment) {
    let filled = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
    if let Some(running) = state.and_then(|state| state.running.as_ref()) {
        text.line(2, format_args!("{title}:\tRunning"));
        text.line(
            3,
            format_args!("Started:\t{}", moment.point(running.started_at.as_ref())),
        );
    } else if let Some(waiting) = state.and_then(|state| state.waiting.as_ref()) {
        text.line(2, format_args!("{title}:\tWaiting"));
        if let Some(reason) = filled(&waiting.reason) {
            text.line(3, format_args!("Reason:\t{}", clean(&reason)));
        }
    } else if let Some(terminated) = state.and_then(|state| state.terminated.as_ref()) {
        text.line(2, format_args!("{title}:\tTerminated"));
        if let Some(reason) = filled(&terminated.reason) {
            text.line(3, format_args!("Reason:\t{}", clean(&reason)));
        }
        if let Some(message) = filled(&terminated.message) {
            text.line(3, format_args!("Message:\t{}", clean(&message)));
        }
        text.line(3, format_args!("Exit Code:\t{}", terminated.exit_code));
        if let Some(signal) = terminated.signal.filter(|signal| *signal > 0) {
            text.line(3, format_args!("Signal:\t{signal}"));
        }
        text.line(
            3,
            format_args!("Started:\t{}", moment.point(terminated.started_at.as_ref())),
        );
        text.line(
            3,
            format_args!(
                "Finished:\t{}",
                moment.point(terminated.finished_at.as_ref())
            ),
        );
    } else {
        text.line(2, format_args!("{title}:\tWaiting"));
    }
}

/// One line for a probe, defaults filled in where the object has none yet.
pub(super) fn probe_text(probe: &Probe) -> String {
    let numbers = format!(
        "delay={}s timeout={}s period={}s #success={} #failure={}",
        probe.initial_delay_seconds.unwrap_or(0),
        probe.timeout_seconds.unwrap_or(0),
        probe.period_seconds.unwrap_or(0),
        probe.success_threshold.unwrap_or(0),
        probe.failure_threshold.unwrap_or(0),
    );
    let port_text = |port: &IntOrString| match port {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(name) => name.clone(),
    };
    let handler = if let Some(exec) = &probe.exec {
        let command = exec.command.as_deref().unwrap_or_default().join(" ");
        format!("exec [{}]", clean(&command))
    } else if let Some(get) = &probe.http_get {
        let scheme = get.scheme.as_deref().unwrap_or("HTTP").to_lowercase();
        let host = match get.host.as_deref().unwrap_or_default() {
            // net.JoinHostPort puts addresses with colons into brackets.
            host if host.contains(':') => format!("[{host}]"),
            host => host.to_owned(),
        };
        let path = get.path.as_deref().unwrap_or_default();
        let slash = if path.is_empty() || path.starts_with('/') {
            ""
        } else {
            "/"
        };
        format!(
            "http-get {scheme}://{host}:{}{slash}{path}",
            port_text(&get.port)
        )
    } else if let Some(socket) = &probe.tcp_socket {
        let host = socket.host.as_deref().unwrap_or_default();
        format!("tcp-socket {host}:{}", port_text(&socket.port))
    } else if let Some(grpc) = &probe.grpc {
        let service = grpc.service.as_deref().unwrap_or_default();
        format!("grpc <pod>:{} {service}", grpc.port)
    } else {
        "unknown".to_owned()
    };
    format!("{handler} {numbers}")
}

fn environment(text: &mut Text, spec: &Container, pod: &Pod) {
    let sources = spec.env_from.as_deref().unwrap_or_default();
    if !sources.is_empty() {
        text.line(2, format_args!("Environment Variables from:"));
    }
    for source in sources {
        let (kind, name, optional) = if let Some(map) = &source.config_map_ref {
            ("ConfigMap", map.name.as_str(), map.optional)
        } else if let Some(secret) = &source.secret_ref {
            ("Secret", secret.name.as_str(), secret.optional)
        } else {
            ("", "", None)
        };
        let prefix = match source.prefix.as_deref() {
            Some(prefix) if !prefix.is_empty() => format!(" with prefix '{}'", clean(prefix)),
            _ => String::new(),
        };
        let optional = optional.unwrap_or(false);
        text.line(
            3,
            format_args!("{name}\t{kind}{prefix}\tOptional: {optional}"),
        );
    }
    let variables = spec.env.as_deref().unwrap_or_default();
    let none = if variables.is_empty() { "\t<none>" } else { "" };
    text.line(2, format_args!("Environment:{none}"));
    for variable in variables {
        env_variable(text, variable, spec, pod);
    }
}

fn env_variable(text: &mut Text, variable: &EnvVar, spec: &Container, pod: &Pod) {
    let name = clean(&variable.name);
    let Some(from) = &variable.value_from else {
        let mut title = format!("{name}:");
        for line in variable.value.as_deref().unwrap_or_default().split('\n') {
            text.line(3, format_args!("{title}\t{}", clean(line)));
            title.clear();
        }
        return;
    };
    if let Some(field) = &from.field_ref {
        let version = field.api_version.as_deref().unwrap_or("v1");
        let value = pod_field(pod, &field.field_path);
        text.line(
            3,
            format_args!(
                "{name}:\t{} ({version}:{})",
                clean(&value),
                field.field_path
            ),
        );
    } else if let Some(resource) = &from.resource_field_ref {
        let value = container_resource(spec, resource);
        text.line(3, format_args!("{name}:\t{value} ({})", resource.resource));
    } else if let Some(key) = &from.secret_key_ref {
        let optional = key.optional.unwrap_or(false);
        text.line(
            3,
            format_args!(
                "{name}:\t<set to the key '{}' in secret '{}'>\tOptional: {optional}",
                key.key, key.name
            ),
        );
    } else if let Some(key) = &from.config_map_key_ref {
        let optional = key.optional.unwrap_or(false);
        text.line(
            3,
            format_args!(
                "{name}:\t<set to the key '{}' of config map '{}'>\tOptional: {optional}",
                key.key, key.name
            ),
        );
    } else if let Some(key) = &from.file_key_ref {
        let optional = key.optional.unwrap_or(false);
        text.line(
            3,
            format_args!(
                "{name}:\t<set to the key '{}' in file '{}' of volume '{}'>\tOptional: {optional}",
                key.key, key.path, key.volume_name
            ),
        );
    }
}

/// The value of a downward API field as far as the object shows it; empty when it is not known yet.
fn pod_field(pod: &Pod, path: &str) -> String {
    let map_entry = |prefix: &str, map: &Option<std::collections::BTreeMap<String, String>>| {
        let key = path.strip_prefix(prefix)?.strip_suffix("']")?;
        map.as_ref()?.get(key).cloned()
    };
    let (meta, spec, status) = (&pod.metadata, pod.spec.as_ref(), pod.status.as_ref());
    let value = match path {
        "metadata.name" => meta.name.clone(),
        "metadata.namespace" => meta.namespace.clone(),
        "metadata.uid" => meta.uid.clone(),
        "spec.nodeName" => spec.and_then(|spec| spec.node_name.clone()),
        "spec.serviceAccountName" => spec.and_then(|spec| spec.service_account_name.clone()),
        "status.hostIP" => status.and_then(|status| status.host_ip.clone()),
        "status.podIP" => status.and_then(|status| status.pod_ip.clone()),
        _ => map_entry("metadata.labels['", &meta.labels)
            .or_else(|| map_entry("metadata.annotations['", &meta.annotations)),
    };
    value.unwrap_or_default()
}

/// What the variable becomes; of a limit that the container does not have, only whose it is.
fn container_resource(spec: &Container, selector: &ResourceFieldSelector) -> String {
    // kubectl looks into this container, whichever one the selector names.
    let own = ResourceFieldSelector {
        container_name: None,
        ..selector.clone()
    };
    let (pod, node) = (PodSpec::default(), Allocatable::default());
    let value = resource_field(&pod, Some(spec), &own, node);
    let value = value.unwrap_or_default();
    match selector.resource.as_str() {
        "limits.cpu" | "limits.memory" if value == "0" => "node allocatable".to_owned(),
        _ => value,
    }
}

fn mounts(text: &mut Text, spec: &Container) {
    let mut mounts: Vec<&VolumeMount> = spec.volume_mounts.iter().flatten().collect();
    mounts.sort_by(|one, other| one.mount_path.cmp(&other.mount_path));
    let none = if mounts.is_empty() { "\t<none>" } else { "" };
    text.line(2, format_args!("Mounts:{none}"));
    for mount in mounts {
        let access = if mount.read_only == Some(true) {
            "ro"
        } else {
            "rw"
        };
        let path = match mount.sub_path.as_deref() {
            Some(path) if !path.is_empty() => format!(",path={path:?}"),
            _ => String::new(),
        };
        text.line(
            3,
            format_args!(
                "{} from {} ({access}{path})",
                clean(&mount.mount_path),
                mount.name
            ),
        );
    }
    let devices = spec.volume_devices.as_deref().unwrap_or_default();
    if !devices.is_empty() {
        text.line(2, format_args!("Devices:"));
    }
    for device in devices {
        text.line(
            3,
            format_args!("{} from {}", clean(&device.device_path), device.name),
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(selector: serde_json::Value, expected: &str) {
        let spec = json!({"name": "c", "resources": {
            "limits": {"cpu": "500m", "memory": "64Mi"}, "requests": {"cpu": "100m"},
        }});
        let spec: Container = serde_json::from_value(spec).unwrap();
        let selector = serde_json::from_value(selector).unwrap();
        assert_eq!(container_resource(&spec, &selector), expected);
    }

    #[test]
    fn resources_are_counted_in_divisors() {
        check(json!({"resource": "limits.cpu"}), "1");
        check(json!({"resource": "limits.cpu", "divisor": "1m"}), "500");
        check(json!({"resource": "limits.memory"}), "67108864");
        check(json!({"resource": "limits.memory", "divisor": "1Mi"}), "64");
        check(
            json!({"resource": "limits.memory", "divisor": "1Mi", "containerName": "d"}),
            "64",
        );
        check(json!({"resource": "requests.cpu", "divisor": "1m"}), "100");
        check(json!({"resource": "requests.memory"}), "0");
        check(json!({"resource": "limits.ephemeral-storage"}), "0");
        let bare: Container = serde_json::from_value(json!({"name": "c"})).unwrap();
        for resource in ["limits.cpu", "limits.memory"] {
            let selector = serde_json::from_value(json!({"resource": resource})).unwrap();
            assert_eq!(container_resource(&bare, &selector), "node allocatable");
        }
    }
}
