use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::duration::{age, human_duration};
use super::pod::{pod_summary, readiness_gates};
use super::storage;
use crate::model::{Kind, Object};

/// The column names of a kind; `wide` adds the columns of `-o wide` where kubectl has them.
pub(crate) fn headers(kind: Kind, wide: bool) -> Vec<&'static str> {
    let (normal, extra): (&[&str], &[&str]) = match kind {
        Kind::Pod => (
            &["NAME", "READY", "STATUS", "RESTARTS", "AGE"],
            &["IP", "NODE", "NOMINATED NODE", "READINESS GATES"],
        ),
        Kind::ConfigMap => (&["NAME", "DATA", "AGE"], &[]),
        Kind::Secret => (&["NAME", "TYPE", "DATA", "AGE"], &[]),
        Kind::ServiceAccount => (&["NAME", "AGE"], &[]),
        Kind::PodPreset => (&["NAME", "CREATED AT"], &[]),
        Kind::Event if wide => (
            &[
                "LAST SEEN",
                "TYPE",
                "REASON",
                "OBJECT",
                "SUBOBJECT",
                "SOURCE",
                "MESSAGE",
                "FIRST SEEN",
                "COUNT",
                "NAME",
            ],
            &[],
        ),
        Kind::Event => (&["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"], &[]),
        Kind::Node => (
            &["NAME", "STATUS", "ROLES", "AGE", "VERSION"],
            &[
                "INTERNAL-IP",
                "EXTERNAL-IP",
                "OS-IMAGE",
                "KERNEL-VERSION",
                "CONTAINER-RUNTIME",
            ],
        ),
        Kind::Namespace => (&["NAME", "STATUS", "AGE"], &[]),
        Kind::PriorityClass => (
            &["NAME", "VALUE", "GLOBAL-DEFAULT", "AGE", "PREEMPTIONPOLICY"],
            &[],
        ),
        Kind::PersistentVolume => (
            &[
                "NAME",
                "CAPACITY",
                "ACCESS MODES",
                "RECLAIM POLICY",
                "STATUS",
                "CLAIM",
                "STORAGECLASS",
                "VOLUMEATTRIBUTESCLASS",
                "REASON",
                "AGE",
            ],
            &["VOLUMEMODE"],
        ),
        Kind::PersistentVolumeClaim => (
            &[
                "NAME",
                "STATUS",
                "VOLUME",
                "CAPACITY",
                "ACCESS MODES",
                "STORAGECLASS",
                "VOLUMEATTRIBUTESCLASS",
                "AGE",
            ],
            &["VOLUMEMODE"],
        ),
    };
    let extra = if wide { extra } else { &[] };
    normal.iter().chain(extra).copied().collect()
}

/// The cells of one object under [`headers`].
pub(crate) fn cells(object: &Object, wide: bool, now: Timestamp) -> Vec<String> {
    let name = object.name().to_owned();
    let meta_age = || age(now, object.meta().creation_timestamp.as_ref());
    match object {
        Object::Pod(pod) => pod_cells(pod, wide, now),
        Object::ConfigMap(map) => {
            let count = map.data.as_ref().map_or(0, BTreeMap::len)
                + map.binary_data.as_ref().map_or(0, BTreeMap::len);
            vec![name, count.to_string(), meta_age()]
        }
        Object::Secret(secret) => {
            let count = secret.data.as_ref().map_or(0, BTreeMap::len);
            let kind = secret.type_.clone().unwrap_or_default();
            vec![name, kind, count.to_string(), meta_age()]
        }
        Object::ServiceAccount(_) => vec![name, meta_age()],
        Object::PodPreset(preset) => vec![name, created_at(&preset.metadata)],
        Object::Event(event) => event_cells(event, wide, now),
        Object::Node(node) => node_cells(node, wide, now),
        Object::Namespace(namespace) => {
            let phase = namespace
                .status
                .as_ref()
                .and_then(|status| status.phase.clone());
            vec![name, phase.unwrap_or_default(), meta_age()]
        }
        Object::PersistentVolume(volume) => storage::volume_cells(volume, wide, now),
        Object::PersistentVolumeClaim(claim) => storage::claim_cells(claim, wide, now),
        Object::PriorityClass(class) => vec![
            name,
            class.value.unwrap_or(0).to_string(),
            class.global_default.unwrap_or(false).to_string(),
            meta_age(),
            class.preemption_policy.clone().unwrap_or_default(),
        ],
    }
}

/// The column of kinds that have no table of their own.
fn created_at(meta: &ObjectMeta) -> String {
    let created = meta.creation_timestamp.as_ref();
    created.map_or_else(|| "<unknown>".to_owned(), |time| time.0.to_string())
}

/// `a=b,c=d`, or `<none>`: the LABELS column.
pub(crate) fn label_text(meta: &ObjectMeta) -> String {
    let labels = meta.labels.iter().flatten();
    let pairs: Vec<String> = labels
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    if pairs.is_empty() {
        return "<none>".to_owned();
    }
    pairs.join(",")
}

fn or_none(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty())
        .unwrap_or("<none>")
        .to_owned()
}

fn pod_cells(pod: &Pod, wide: bool, now: Timestamp) -> Vec<String> {
    let summary = pod_summary(pod);
    let mut cells = vec![
        pod.metadata.name.clone().unwrap_or_default(),
        summary.ready_text(),
        summary.status.clone(),
        summary.restarts_text(now),
        age(now, pod.metadata.creation_timestamp.as_ref()),
    ];
    if wide {
        let status = pod.status.as_ref();
        let address = status
            .and_then(|status| status.pod_ips.as_ref()?.first())
            .map(|address| address.ip.as_str())
            .or_else(|| status?.pod_ip.as_deref());
        cells.push(or_none(address));
        cells.push(or_none(
            pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()),
        ));
        cells.push(or_none(
            status.and_then(|status| status.nominated_node_name.as_deref()),
        ));
        cells.push(readiness_gates(pod));
    }
    cells
}

/// When an event was last seen: its last timestamp, else the time it was reported with.
pub(crate) fn event_time(event: &Event) -> Option<Timestamp> {
    let series = event
        .series
        .as_ref()
        .and_then(|series| series.last_observed_time.as_ref());
    series
        .map(|time| time.0)
        .or_else(|| event.last_timestamp.as_ref().map(|time| time.0))
        .or_else(|| first_seen(event))
}

/// When an event was seen for the first time.
pub(crate) fn first_seen(event: &Event) -> Option<Timestamp> {
    let first = event.first_timestamp.as_ref().map(|time| time.0);
    first.or_else(|| event.event_time.as_ref().map(|time| time.0))
}

pub(super) fn since(now: Timestamp, at: Option<Timestamp>) -> String {
    at.map_or_else(
        || "<unknown>".to_owned(),
        |at| human_duration(now.duration_since(at)),
    )
}

/// How often an event was seen.
pub(crate) fn event_count(event: &Event) -> i32 {
    let series = event.series.as_ref().and_then(|series| series.count);
    series.or(event.count).unwrap_or(1).max(1)
}

fn event_cells(event: &Event, wide: bool, now: Timestamp) -> Vec<String> {
    let involved = &event.involved_object;
    let kind = involved.kind.as_deref().unwrap_or_default().to_lowercase();
    let object = match involved.name.as_deref() {
        Some(name) if !name.is_empty() => format!("{kind}/{name}"),
        _ => kind,
    };
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let mut cells = vec![
        since(now, event_time(event)),
        text(&event.type_),
        text(&event.reason),
        object,
    ];
    if wide {
        cells.push(text(&involved.field_path));
        cells.push(event_source(event));
    }
    cells.push(text(&event.message).trim().to_owned());
    if wide {
        cells.push(since(now, first_seen(event)));
        cells.push(event_count(event).to_string());
        cells.push(text(&event.metadata.name));
    }
    cells
}

fn event_source(event: &Event) -> String {
    let source = event.source.as_ref();
    let part = |text: Option<&String>| text.filter(|text| !text.is_empty()).cloned();
    let component = part(source.and_then(|source| source.component.as_ref()))
        .or_else(|| part(event.reporting_component.as_ref()))
        .unwrap_or_default();
    let host = part(source.and_then(|source| source.host.as_ref()))
        .or_else(|| part(event.reporting_instance.as_ref()));
    host.map_or(component.clone(), |host| format!("{component}, {host}"))
}

/// `Ready`, `NotReady` or `Unknown`, with `,SchedulingDisabled` on a cordoned node.
pub(super) fn node_status(node: &Node) -> String {
    let conditions = node
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    let ready = conditions
        .iter()
        .find(|condition| condition.type_ == "Ready");
    let mut status = match ready {
        Some(condition) if condition.status == "True" => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true) {
        status.push_str(",SchedulingDisabled");
    }
    status
}

/// From `node-role.kubernetes.io/<role>` labels.
pub(super) fn node_roles(node: &Node) -> String {
    let labels = node.metadata.labels.iter().flatten();
    let roles: Vec<&str> = labels
        .filter_map(
            |(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
                Some(role) => Some(role),
                None if key == "kubernetes.io/role" => Some(value.as_str()),
                None => None,
            },
        )
        .filter(|role| !role.is_empty())
        .collect();
    or_none(Some(&roles.join(",")))
}

fn node_cells(node: &Node, wide: bool, now: Timestamp) -> Vec<String> {
    let info = node
        .status
        .as_ref()
        .and_then(|status| status.node_info.as_ref());
    let mut cells = vec![
        node.metadata.name.clone().unwrap_or_default(),
        node_status(node),
        node_roles(node),
        age(now, node.metadata.creation_timestamp.as_ref()),
        info.map(|info| info.kubelet_version.clone())
            .unwrap_or_default(),
    ];
    if wide {
        let addresses = node
            .status
            .as_ref()
            .and_then(|status| status.addresses.as_deref())
            .unwrap_or_default();
        let address = |wanted: &str| {
            let found = addresses.iter().find(|address| address.type_ == wanted);
            or_none(found.map(|address| address.address.as_str()))
        };
        let unknown = |text: Option<&str>| {
            text.filter(|text| !text.is_empty())
                .unwrap_or("<unknown>")
                .to_owned()
        };
        cells.push(address("InternalIP"));
        cells.push(address("ExternalIP"));
        cells.push(unknown(info.map(|info| info.os_image.as_str())));
        cells.push(unknown(info.map(|info| info.kernel_version.as_str())));
        cells.push(unknown(
            info.map(|info| info.container_runtime_version.as_str()),
        ));
    }
    cells
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(kind: Kind, wide: bool, object: Value, expected: &[&str]) {
        let object = Object::from_value(kind, object).unwrap();
        let now = "2026-01-01T00:10:00Z".parse().unwrap();
        let cells = cells(&object, wide, now);
        assert_eq!(cells, expected);
        assert_eq!(cells.len(), headers(kind, wide).len());
    }

    #[test]
    fn every_kind_has_its_columns() {
        let created = "2026-01-01T00:00:00Z";
        check(
            Kind::Pod,
            true,
            json!({"metadata": {"name": "web", "creationTimestamp": created}, "spec": {"containers": [{"name": "c"}], "nodeName": "n",
                   "readinessGates": [{"conditionType": "g"}]}, "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.2"}]}}),
            &[
                "web", "0/1", "Running", "0", "10m", "10.0.0.2", "n", "<none>", "0/1",
            ],
        );
        check(
            Kind::ConfigMap,
            false,
            json!({"metadata": {"name": "c", "creationTimestamp": created}, "data": {"a": "1"}, "binaryData": {"b": "AA=="}}),
            &["c", "2", "10m"],
        );
        check(
            Kind::Secret,
            false,
            json!({"metadata": {"name": "s"}, "type": "Opaque"}),
            &["s", "Opaque", "0", "<unknown>"],
        );
        check(
            Kind::Namespace,
            true,
            json!({"metadata": {"name": "default", "creationTimestamp": created}, "status": {"phase": "Active"}}),
            &["default", "Active", "10m"],
        );
        check(
            Kind::Node,
            true,
            json!({"metadata": {"name": "n", "creationTimestamp": created, "labels": {"node-role.kubernetes.io/control-plane": ""}},
                   "spec": {"unschedulable": true},
                   "status": {"conditions": [{"type": "Ready", "status": "True"}], "addresses": [{"type": "InternalIP", "address": "10.1.1.1"}],
                              "nodeInfo": {"kubeletVersion": "v1.36.2", "kernelVersion": "6.1"}}}),
            &[
                "n",
                "Ready,SchedulingDisabled",
                "control-plane",
                "10m",
                "v1.36.2",
                "10.1.1.1",
                "<none>",
                "<unknown>",
                "6.1",
                "<unknown>",
            ],
        );
    }

    #[test]
    fn events_show_when_and_to_whom() {
        let event = json!({"metadata": {"name": "web.1"}, "involvedObject": {"kind": "Pod", "name": "web", "fieldPath": "spec.containers{c}"},
            "type": "Warning", "reason": "BackOff", "message": " Back-off \n", "count": 4, "source": {"component": "kubelet", "host": "n"},
            "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:09:00Z"});
        check(
            Kind::Event,
            false,
            event.clone(),
            &["60s", "Warning", "BackOff", "pod/web", "Back-off"],
        );
        check(
            Kind::Event,
            true,
            event,
            &[
                "60s",
                "Warning",
                "BackOff",
                "pod/web",
                "spec.containers{c}",
                "kubelet, n",
                "Back-off",
                "10m",
                "4",
                "web.1",
            ],
        );
    }

    #[test]
    fn priority_classes() {
        check(
            Kind::PriorityClass,
            true,
            json!({"metadata": {"name": "high", "creationTimestamp": "2026-01-01T00:00:00Z"}, "value": -5, "globalDefault": true,
                   "preemptionPolicy": "Never"}),
            &["high", "-5", "true", "10m", "Never"],
        );
    }

    #[test]
    fn volumes_and_claims() {
        let created = "2026-01-01T00:00:00Z";
        let volume = |change: Value| {
            let mut value = json!({"metadata": {"name": "v", "creationTimestamp": created},
                "spec": {"capacity": {"storage": "5Gi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain",
                         "storageClassName": "fast", "volumeMode": "Filesystem", "claimRef": {"namespace": "ns", "name": "c"}},
                "status": {"phase": "Bound"}});
            json_patch::merge(&mut value, &change);
            value
        };
        check(
            Kind::PersistentVolume,
            true,
            volume(json!({})),
            &[
                "v",
                "5Gi",
                "RWO,RWX",
                "Retain",
                "Bound",
                "ns/c",
                "fast",
                "<unset>",
                "",
                "10m",
                "Filesystem",
            ],
        );
        let leaving =
            json!({"metadata": {"deletionTimestamp": created}, "spec": {"claimRef": null}});
        check(
            Kind::PersistentVolume,
            false,
            volume(leaving),
            &[
                "v",
                "5Gi",
                "RWO,RWX",
                "Retain",
                "Terminating",
                "",
                "fast",
                "<unset>",
                "",
                "10m",
            ],
        );
        let claim = |spec: Value| {
            json!({"metadata": {"name": "c", "creationTimestamp": created}, "spec": spec,
                "status": {"phase": "Bound", "capacity": {"storage": "5Gi"}, "accessModes": ["ReadWriteOncePod"]}})
        };
        check(
            Kind::PersistentVolumeClaim,
            true,
            claim(json!({"volumeName": "v", "volumeMode": "Block"})),
            &[
                "c", "Bound", "v", "5Gi", "RWOP", "", "<unset>", "10m", "Block",
            ],
        );
        // What a claim has is not shown before it names a volume.
        check(
            Kind::PersistentVolumeClaim,
            false,
            claim(json!({})),
            &["c", "Bound", "", "", "", "", "<unset>", "10m"],
        );
    }
}
