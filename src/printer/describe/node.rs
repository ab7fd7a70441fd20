use k8s_openapi::api::core::v1::{Node, NodeSpec, NodeStatus};

use super::allocation::allocation;
use super::common::{annotations, labels, quantities};
use super::events::events;
use super::others::Related;
use super::text::{Text, clean};
use crate::printer::duration::Moment;
use crate::printer::rows::node_roles;

pub(super) fn describe_node(node: &Node, related: &Related, moment: &Moment) -> String {
    let (no_spec, no_status) = (NodeSpec::default(), NodeStatus::default());
    let spec = node.spec.as_ref().unwrap_or(&no_spec);
    let status = node.status.as_ref().unwrap_or(&no_status);
    let mut text = Text::default();
    text.pair("Name", node.metadata.name.as_deref().unwrap_or_default());
    text.pair("Roles", node_roles(node));
    labels(&mut text, "Labels", node.metadata.labels.as_ref());
    annotations(&mut text, node.metadata.annotations.as_ref());
    text.pair(
        "CreationTimestamp",
        moment.point(node.metadata.creation_timestamp.as_ref()),
    );
    taints(&mut text, spec);
    text.pair("Unschedulable", spec.unschedulable.unwrap_or(false));
    conditions(&mut text, status, moment);
    text.line(0, format_args!("Addresses:"));
    for address in status.addresses.iter().flatten() {
        text.line(1, format_args!("{}:\t{}", address.type_, address.address));
    }
    quantities(&mut text, 0, "Capacity", status.capacity.as_ref());
    quantities(&mut text, 0, "Allocatable", status.allocatable.as_ref());
    system_info(&mut text, status);
    if let Some(range) = &spec.pod_cidr {
        text.pair("PodCIDR", range);
    }
    if let Some(ranges) = &spec.pod_cidrs {
        text.pair("PodCIDRs", ranges.join(","));
    }
    allocation(&mut text, status, &related.pods, moment);
    events(&mut text, related, moment);
    text.finish()
}

fn taints(text: &mut Text, spec: &NodeSpec) {
    let mut title = "Taints:";
    for taint in spec.taints.iter().flatten() {
        let value = match taint.value.as_deref() {
            Some(value) if !value.is_empty() => format!("={value}"),
            _ => String::new(),
        };
        text.line(
            0,
            format_args!("{title}\t{}{value}:{}", taint.key, taint.effect),
        );
        title = "";
    }
    if !title.is_empty() {
        text.line(0, format_args!("{title}\t<none>"));
    }
}

fn conditions(text: &mut Text, status: &NodeStatus, moment: &Moment) {
    let conditions = status.conditions.as_deref().unwrap_or_default();
    if conditions.is_empty() {
        return;
    }
    text.line(0, format_args!("Conditions:"));
    text.line(
        1,
        format_args!("Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage"),
    );
    text.line(
        1,
        format_args!("----\t------\t-----------------\t------------------\t------\t-------"),
    );
    for condition in conditions {
        text.line(
            1,
            format_args!(
                "{} \t{} \t{} \t{} \t{} \t{} ",
                condition.type_,
                condition.status,
                moment.point(condition.last_heartbeat_time.as_ref()),
                moment.point(condition.last_transition_time.as_ref()),
                condition.reason.as_deref().unwrap_or_default(),
                clean(condition.message.as_deref().unwrap_or_default()),
            ),
        );
    }
}

fn system_info(text: &mut Text, status: &NodeStatus) {
    let Some(info) = &status.node_info else {
        return;
    };
    text.line(0, format_args!("System Info:"));
    for (name, value) in [
        ("Machine ID", &info.machine_id),
        ("System UUID", &info.system_uuid),
        ("Boot ID", &info.boot_id),
        ("Kernel Version", &info.kernel_version),
        ("OS Image", &info.os_image),
        ("Operating System", &info.operating_system),
        ("Architecture", &info.architecture),
        ("Container Runtime Version", &info.container_runtime_version),
        ("Kubelet Version", &info.kubelet_version),
    ] {
        text.line(1, format_args!("{name}:\t{value}"));
    }
}
