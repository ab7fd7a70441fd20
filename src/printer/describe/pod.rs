use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, PodStatus};

use super::common::{annotations, labels, resources, selector_text, tolerations};
use super::container::containers;
use super::events::events;
use super::others::Related;
use super::text::{Text, clean};
use super::volume::volumes;
use crate::model::pod::as_container;
use crate::printer::duration::{Moment, human_duration};

pub(super) fn describe_pod(pod: &Pod, related: &Related, moment: &Moment) -> String {
    let (no_spec, no_status) = (PodSpec::default(), PodStatus::default());
    let spec = pod.spec.as_ref().unwrap_or(&no_spec);
    let status = pod.status.as_ref().unwrap_or(&no_status);
    let mut text = Text::default();
    identity(&mut text, pod, spec, status, moment);
    state(&mut text, pod, spec, status, moment);
    addresses(&mut text, pod, status);
    if let Some(requirements) = &spec.resources {
        text.line(0, format_args!("Resources:"));
        resources(&mut text, 1, Some(requirements));
    }
    all_containers(&mut text, pod, spec, status, moment);
    conditions(&mut text, spec, status);
    volumes(&mut text, spec.volumes.as_deref().unwrap_or_default());
    text.pair("QoS Class", status.qos_class.as_deref().unwrap_or_default());
    labels(&mut text, "Node-Selectors", spec.node_selector.as_ref());
    tolerations(&mut text, spec.tolerations.as_deref().unwrap_or_default());
    topology(&mut text, spec);
    events(&mut text, related, moment);
    text.finish()
}

fn filled(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

fn identity(text: &mut Text, pod: &Pod, spec: &PodSpec, status: &PodStatus, moment: &Moment) {
    text.pair("Name", pod.metadata.name.as_deref().unwrap_or_default());
    text.pair(
        "Namespace",
        pod.metadata.namespace.as_deref().unwrap_or_default(),
    );
    if let Some(priority) = spec.priority {
        text.pair("Priority", priority);
    }
    if let Some(class) = filled(&spec.priority_class_name) {
        text.pair("Priority Class Name", class);
    }
    if let Some(class) = filled(&spec.runtime_class_name) {
        text.pair("Runtime Class Name", class);
    }
    if let Some(account) = filled(&spec.service_account_name) {
        text.pair("Service Account", account);
    }
    match filled(&spec.node_name) {
        Some(node) => {
            let address = status.host_ip.as_deref().unwrap_or_default();
            text.pair("Node", format_args!("{node}/{address}"));
        }
        None => text.pair("Node", "<none>"),
    }
    if let Some(start) = &status.start_time {
        text.pair("Start Time", moment.rfc1123z(start.0));
    }
    labels(text, "Labels", pod.metadata.labels.as_ref());
    annotations(text, pod.metadata.annotations.as_ref());
}

fn state(text: &mut Text, pod: &Pod, spec: &PodSpec, status: &PodStatus, moment: &Moment) {
    let phase = status.phase.as_deref().unwrap_or_default();
    match &pod.metadata.deletion_timestamp {
        Some(deleted) if !matches!(phase, "Failed" | "Succeeded") => {
            let lasts = human_duration(moment.now.duration_since(deleted.0));
            text.pair("Status", format_args!("Terminating (lasts {lasts})"));
            let grace = pod
                .metadata
                .deletion_grace_period_seconds
                .unwrap_or_default();
            text.pair("Termination Grace Period", format_args!("{grace}s"));
        }
        _ => text.pair("Status", phase),
    }
    if let Some(reason) = filled(&status.reason) {
        text.pair("Reason", clean(reason));
    }
    if let Some(message) = filled(&status.message) {
        text.pair("Message", clean(message));
    }
    let profile = spec
        .security_context
        .as_ref()
        .and_then(|context| context.seccomp_profile.as_ref());
    if let Some(profile) = profile {
        text.pair("SeccompProfile", &profile.type_);
        if let Some(path) = &profile.localhost_profile {
            text.pair("LocalhostProfile", clean(path));
        }
    }
}

fn addresses(text: &mut Text, pod: &Pod, status: &PodStatus) {
    text.pair("IP", status.pod_ip.as_deref().unwrap_or_default());
    let addresses = status.pod_ips.as_deref().unwrap_or_default();
    if addresses.is_empty() {
        text.pair("IPs", "<none>");
    } else {
        text.line(0, format_args!("IPs:"));
        for address in addresses {
            text.line(1, format_args!("IP:\t{}", address.ip));
        }
    }
    let owners = pod.metadata.owner_references.iter().flatten();
    if let Some(owner) = owners
        .into_iter()
        .find(|owner| owner.controller == Some(true))
    {
        text.pair(
            "Controlled By",
            format_args!("{}/{}", owner.kind, owner.name),
        );
    }
    if let Some(node) = filled(&status.nominated_node_name) {
        text.pair("NominatedNodeName", node);
    }
}

fn all_containers(text: &mut Text, pod: &Pod, spec: &PodSpec, status: &PodStatus, moment: &Moment) {
    let statuses = status
        .init_container_statuses
        .as_deref()
        .unwrap_or_default();
    let init = spec.init_containers.as_deref().unwrap_or_default();
    if !init.is_empty() {
        containers(text, "Init Containers", init, statuses, pod, moment);
    }
    let statuses = status.container_statuses.as_deref().unwrap_or_default();
    containers(text, "Containers", &spec.containers, statuses, pod, moment);
    let ephemeral: Vec<Container> = spec
        .ephemeral_containers
        .iter()
        .flatten()
        .map(as_container)
        .collect();
    if !ephemeral.is_empty() {
        let statuses = status
            .ephemeral_container_statuses
            .as_deref()
            .unwrap_or_default();
        containers(
            text,
            "Ephemeral Containers",
            &ephemeral,
            statuses,
            pod,
            moment,
        );
    }
}

fn conditions(text: &mut Text, spec: &PodSpec, status: &PodStatus) {
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let gates = spec.readiness_gates.as_deref().unwrap_or_default();
    if !gates.is_empty() {
        text.line(0, format_args!("Readiness Gates:"));
        text.line(1, format_args!("Type\tStatus"));
    }
    for gate in gates {
        let found = conditions
            .iter()
            .find(|condition| condition.type_ == gate.condition_type);
        let value = found.map_or("<none>", |condition| condition.status.as_str());
        // The blanks before tab and line end are kubectl's.
        text.line(1, format_args!("{} \t{value} ", gate.condition_type));
    }
    if !conditions.is_empty() {
        text.line(0, format_args!("Conditions:"));
        text.line(1, format_args!("Type\tStatus"));
    }
    for condition in conditions {
        text.line(
            1,
            format_args!("{} \t{} ", condition.type_, condition.status),
        );
    }
}

fn topology(text: &mut Text, spec: &PodSpec) {
    let mut sorted: Vec<_> = spec.topology_spread_constraints.iter().flatten().collect();
    sorted.sort_by(|one, other| one.topology_key.cmp(&other.topology_key));
    let mut title = "Topology Spread Constraints:";
    for constraint in sorted {
        text.line(
            0,
            format_args!(
                "{title}\t{}:{} when max skew {} is exceeded{}",
                constraint.topology_key,
                constraint.when_unsatisfiable,
                constraint.max_skew,
                constraint
                    .label_selector
                    .as_ref()
                    .map_or_else(String::new, |selector| format!(
                        " for selector {}",
                        selector_text(selector)
                    ))
            ),
        );
        title = "";
    }
}
