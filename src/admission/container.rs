use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, PodSpec};

use super::field::{Errors, one_of, port, required, required_by_rule, text};
use super::volume::Volumes;
use super::{claims, env, ephemeral, probe, resources, restart, security, volume};
use crate::model::{FieldError, names, pod};

/// What the checks of one container need to know about its pod.
pub(super) struct Pod<'a> {
    volumes: &'a Volumes<'a>,
    claims: claims::Names<'a>,
    restart_policy: &'a str,
    host_users: bool,
    grace: i64,
}

impl<'a> Pod<'a> {
    fn of(spec: &'a PodSpec, volumes: &'a Volumes<'a>) -> Self {
        Self {
            volumes,
            claims: claims::names(spec),
            restart_policy: text(&spec.restart_policy),
            host_users: spec.host_users != Some(false),
            grace: spec
                .termination_grace_period_seconds
                .unwrap_or(pod::DEFAULT_GRACE_SECONDS),
        }
    }
}

pub(super) fn containers(errors: &mut Errors, spec: &PodSpec, volumes: &Volumes<'_>) {
    let pod = Pod::of(spec, volumes);
    app_containers(errors, spec, &pod);
    init_containers(errors, spec, &pod);
    ephemeral::containers(errors, spec, &pod);
}

fn app_containers(errors: &mut Errors, spec: &PodSpec, pod: &Pod<'_>) {
    let path = "spec.containers";
    if spec.containers.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let mut seen = BTreeSet::new();
    for (index, container) in spec.containers.iter().enumerate() {
        let path = format!("{path}[{index}]");
        common(errors, &path, container, pod);
        if !seen.insert(&container.name) {
            errors.push(FieldError::duplicate(
                format!("{path}.name"),
                &container.name,
            ));
        }
        probe::hooks_and_probes(errors, &path, container, pod.grace);
        restart::policy_and_rules(errors, &path, container);
    }
    host_port_conflicts(errors, path, &spec.containers);
}

fn init_containers(errors: &mut Errors, spec: &PodSpec, pod: &Pod<'_>) {
    let mut seen: BTreeSet<&str> = spec
        .containers
        .iter()
        .map(|container| &*container.name)
        .collect();
    for (index, container) in pod::init_containers(spec).iter().enumerate() {
        let path = format!("spec.initContainers[{index}]");
        common(errors, &path, container, pod);
        restart::policy_and_rules(errors, &path, container);
        if !container.name.is_empty() && !seen.insert(&container.name) {
            errors.push(FieldError::duplicate(
                format!("{path}.name"),
                &container.name,
            ));
        }
        host_port_conflicts(
            errors,
            "spec.initContainers",
            std::slice::from_ref(container),
        );
        if pod::is_sidecar(container) {
            probe::hooks_and_probes(errors, &path, container, pod.grace);
        } else {
            probe::none_allowed(errors, &path, container);
            no_restart_for_resources(errors, &path, container);
        }
    }
}

/// What runs to its end is not begun again because it is given more.
fn no_restart_for_resources(errors: &mut Errors, path: &str, container: &Container) {
    let policies = container.resize_policy.iter().flatten().enumerate();
    let restarts = policies.filter(|(_, policy)| policy.restart_policy == "RestartContainer");
    for (index, policy) in restarts {
        errors.push(FieldError::invalid_string(
            format!("{path}.resizePolicy[{index}].restartPolicy"),
            &policy.restart_policy,
            "must not be set to 'RestartContainer' for non-sidecar initContainers",
        ));
    }
}

/// What holds for containers of every kind.
pub(super) fn common(errors: &mut Errors, path: &str, container: &Container, pod: &Pod<'_>) {
    required_by_rule(
        errors,
        &format!("{path}.name"),
        &container.name,
        names::dns_label,
    );
    required(errors, format!("{path}.image"), text(&container.image));
    one_of(
        errors,
        &format!("{path}.terminationMessagePolicy"),
        text(&container.termination_message_policy),
        &["File", "FallbackToLogsOnError"],
    );
    ports(errors, &format!("{path}.ports"), container);
    env::env(errors, &format!("{path}.env"), container);
    env::env_from(errors, &format!("{path}.envFrom"), container);
    volume::mounts(
        errors,
        &format!("{path}.volumeMounts"),
        container,
        pod.volumes,
    );
    volume::devices(
        errors,
        &format!("{path}.volumeDevices"),
        container,
        pod.volumes,
    );
    let policy = text(&container.image_pull_policy);
    pull_policy(errors, &format!("{path}.imagePullPolicy"), policy);
    resources::container(errors, &format!("{path}.resources"), container, &pod.claims);
    resources::resize_policy(
        errors,
        &format!("{path}.resizePolicy"),
        container,
        pod.restart_policy,
    );
    if let Some(context) = &container.security_context {
        security::container(
            errors,
            &format!("{path}.securityContext"),
            context,
            pod.host_users,
        );
    }
}

pub(super) fn untrimmed(errors: &mut Errors, path: &str, image: &str) {
    if image != image.trim() {
        let detail = "must not have leading or trailing whitespace";
        errors.push(FieldError::invalid_string(path, image, detail));
    }
}

/// What the API asks of the containers of pods, and not of those of templates: after everything else.
pub(super) fn of_pods_only(errors: &mut Errors, spec: &PodSpec) {
    let lists = [
        ("spec.containers", spec.containers.as_slice()),
        ("spec.initContainers", pod::init_containers(spec)),
    ];
    for (path, list) in lists {
        for (index, container) in list.iter().enumerate() {
            let path = format!("{path}[{index}].image");
            untrimmed(errors, &path, text(&container.image));
        }
    }
}

pub(super) fn pull_policy(errors: &mut Errors, path: &str, policy: &str) {
    one_of(errors, path, policy, &["Always", "IfNotPresent", "Never"]);
}

fn ports(errors: &mut Errors, path: &str, container: &Container) {
    let mut seen = BTreeSet::new();
    for (index, entry) in container.ports.iter().flatten().enumerate() {
        let path = format!("{path}[{index}]");
        let name = text(&entry.name);
        if !name.is_empty() {
            let name_path = format!("{path}.name");
            let problems = names::port_name(name);
            if problems.is_empty() && !seen.insert(name) {
                errors.push(FieldError::duplicate(name_path.clone(), name));
            }
            for problem in problems {
                errors.push(FieldError::invalid_string(name_path.clone(), name, problem));
            }
        }
        let port_path = format!("{path}.containerPort");
        if entry.container_port == 0 {
            errors.push(FieldError::required(port_path, ""));
        } else {
            port(errors, &port_path, i64::from(entry.container_port));
        }
        if let Some(host) = entry.host_port.filter(|host| *host != 0) {
            port(errors, &format!("{path}.hostPort"), i64::from(host));
        }
        let protocol = text(&entry.protocol);
        one_of(
            errors,
            &format!("{path}.protocol"),
            protocol,
            &["SCTP", "TCP", "UDP"],
        );
    }
}

fn host_port_conflicts(errors: &mut Errors, path: &str, containers: &[Container]) {
    let mut taken = BTreeSet::new();
    for (container_index, container) in containers.iter().enumerate() {
        for (index, port) in container.ports.iter().flatten().enumerate() {
            let host = port.host_port.unwrap_or(0);
            if host == 0 {
                continue;
            }
            let key = format!("{}/{}/{host}", text(&port.protocol), text(&port.host_ip));
            if taken.contains(&key) {
                let path = format!("{path}[{container_index}].ports[{index}].hostPort");
                errors.push(FieldError::duplicate(path, &key));
            }
            taken.insert(key);
        }
    }
}

/// With `hostNetwork` a port of the container is one of the host.
pub(super) fn host_network_ports(errors: &mut Errors, spec: &PodSpec) {
    if spec.host_network != Some(true) {
        return;
    }
    for (container_index, container) in spec.containers.iter().enumerate() {
        for (index, port) in container.ports.iter().flatten().enumerate() {
            let host = port.host_port.unwrap_or(0);
            if host != port.container_port {
                errors.push(FieldError::invalid(
                    format!("spec.containers[{container_index}].ports[{index}].hostPort"),
                    host,
                    "must match `containerPort` when `hostNetwork` is true",
                ));
            }
        }
    }
}
