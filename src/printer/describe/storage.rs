use std::fmt::Display;

use k8s_openapi::api::core::v1::{
    NodeSelectorRequirement, PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimSpec,
    PersistentVolumeSpec, VolumeNodeAffinity,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::common::{annotations, labels};
use super::events::events;
use super::others::Related;
use super::text::{Text, clean};
use crate::model::storage::{
    access_modes, claim_class, claim_phase, source_names, volume_class, volume_phase,
};
use crate::printer::duration::{Moment, human_duration};
use crate::printer::storage::{capacity_text, claim_size};

pub(super) fn describe_persistent_volume(
    volume: &PersistentVolume,
    related: &Related,
    moment: &Moment,
) -> String {
    let empty = PersistentVolumeSpec::default();
    let spec = volume.spec.as_ref().unwrap_or(&empty);
    let meta = &volume.metadata;
    let mut text = Text::default();
    text.pair("Name", meta.name.as_deref().unwrap_or_default());
    labels(&mut text, "Labels", meta.labels.as_ref());
    annotations(&mut text, meta.annotations.as_ref());
    text.pair("Finalizers", finalizers(meta));
    text.pair("StorageClass", clean(volume_class(volume)));
    status(&mut text, meta, volume_phase(volume), moment);
    let claim = spec.claim_ref.as_ref().map(|claim| {
        let part = |field: &Option<String>| field.clone().unwrap_or_default();
        format!("{}/{}", part(&claim.namespace), part(&claim.name))
    });
    text.pair("Claim", clean(&claim.unwrap_or_default()));
    let policy = spec.persistent_volume_reclaim_policy.as_deref();
    text.pair("Reclaim Policy", policy.unwrap_or_default());
    text.pair("Access Modes", access_modes(spec.access_modes.as_ref()));
    if let Some(mode) = &spec.volume_mode {
        text.pair("VolumeMode", mode);
    }
    text.pair("Capacity", capacity_text(spec.capacity.as_ref()));
    node_affinity(&mut text, spec.node_affinity.as_ref());
    let message = volume
        .status
        .as_ref()
        .and_then(|status| status.message.as_deref());
    text.pair("Message", clean(message.unwrap_or_default()));
    text.line(0, format_args!("Source:"));
    source(&mut text, spec);
    events(&mut text, related, moment);
    text.finish()
}

/// As Go prints a list of words.
fn finalizers(meta: &ObjectMeta) -> String {
    let names = meta.finalizers.as_deref().unwrap_or_default();
    format!("[{}]", clean(&names.join(" ")))
}

fn status(text: &mut Text, meta: &ObjectMeta, phase: &str, moment: &Moment) {
    match &meta.deletion_timestamp {
        Some(Time(since)) => {
            let lasts = human_duration(moment.now.duration_since(*since));
            text.pair("Status", format_args!("Terminating (lasts {lasts})"));
        }
        None => text.pair("Status", phase),
    }
}

fn node_affinity(text: &mut Text, affinity: Option<&VolumeNodeAffinity>) {
    let Some(required) = affinity.and_then(|affinity| affinity.required.as_ref()) else {
        text.pair("Node Affinity", "<none>");
        return;
    };
    text.pair("Node Affinity", "");
    if required.node_selector_terms.is_empty() {
        text.line(1, format_args!("Required Terms:\t<none>"));
        return;
    }
    text.line(1, format_args!("Required Terms:\t"));
    for (index, term) in required.node_selector_terms.iter().enumerate() {
        let mut title = format!("Term {index}:");
        for requirement in term.match_expressions.iter().flatten() {
            text.line(2, format_args!("{title}\t{}", expression(requirement)));
            title.clear();
        }
        if !title.is_empty() {
            text.line(2, format_args!("{title}\t<none>"));
        }
    }
}

fn expression(requirement: &NodeSelectorRequirement) -> String {
    let operator = requirement.operator.to_lowercase();
    let text = format!("{} {operator}", requirement.key);
    match requirement.values.as_deref() {
        Some(values) if !values.is_empty() => clean(&format!("{text} [{}]", values.join(", "))),
        _ => clean(&text),
    }
}

fn source(text: &mut Text, spec: &PersistentVolumeSpec) {
    let mut field = |name: &str, value: &dyn Display| {
        text.line(2, format_args!("{name}:\t{}", clean(&value.to_string())));
    };
    if let Some(host) = &spec.host_path {
        field("Type", &"HostPath (bare host directory volume)");
        field("Path", &host.path);
        field("HostPathType", &host.type_.as_deref().unwrap_or("<none>"));
    } else if let Some(local) = &spec.local {
        let kind = "LocalVolume (a persistent volume backed by local storage on a node)";
        field("Type", &kind);
        field("Path", &local.path);
    } else if let Some(name) = source_names(spec).first() {
        // What cannot be mounted here is shown by its name only.
        field("Type", name);
    } else {
        text.line(1, format_args!("<unknown>"));
    }
}

pub(super) fn describe_claim(
    claim: &PersistentVolumeClaim,
    related: &Related,
    moment: &Moment,
) -> String {
    let empty = PersistentVolumeClaimSpec::default();
    let spec = claim.spec.as_ref().unwrap_or(&empty);
    let meta = &claim.metadata;
    let mut text = Text::default();
    text.pair("Name", meta.name.as_deref().unwrap_or_default());
    text.pair("Namespace", meta.namespace.as_deref().unwrap_or_default());
    text.pair("StorageClass", clean(claim_class(claim)));
    status(&mut text, meta, claim_phase(claim), moment);
    text.pair(
        "Volume",
        clean(spec.volume_name.as_deref().unwrap_or_default()),
    );
    labels(&mut text, "Labels", meta.labels.as_ref());
    annotations(&mut text, meta.annotations.as_ref());
    text.pair("Finalizers", finalizers(meta));
    let (capacity, modes) = claim_size(claim);
    text.pair("Capacity", capacity);
    text.pair("Access Modes", modes);
    if let Some(mode) = &spec.volume_mode {
        text.pair("VolumeMode", mode);
    }
    if let Some(source) = &spec.data_source {
        text.line(0, format_args!("DataSource:"));
        if let Some(group) = &source.api_group {
            text.line(1, format_args!("APIGroup:\t{}", clean(group)));
        }
        text.line(1, format_args!("Kind:\t{}", clean(&source.kind)));
        text.line(1, format_args!("Name:\t{}", clean(&source.name)));
    }
    used_by(&mut text, related);
    events(&mut text, related, moment);
    text.finish()
}

fn used_by(text: &mut Text, related: &Related) {
    let mut title = "Used By:";
    for pod in &related.pods {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        text.line(0, format_args!("{title}\t{name}"));
        title = "";
    }
    if !title.is_empty() {
        text.line(0, format_args!("{title}\t<none>"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::tz::TimeZone;
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(found: &str, expected: &[&str]) {
        let lines: Vec<&str> = found.lines().map(str::trim_end).collect();
        assert_eq!(lines, expected);
    }

    fn moment() -> Moment {
        Moment::new("2026-01-01T00:10:00Z".parse().unwrap(), TimeZone::UTC)
    }

    #[test]
    fn a_volume_as_kubectl_shows_it() {
        let volume = |change: Value| {
            let mut value = json!({"metadata": {"name": "v", "finalizers": ["kubernetes.io/pv-protection"]},
                "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain",
                         "volumeMode": "Filesystem", "hostPath": {"path": "/data", "type": ""}},
                "status": {"phase": "Available"}});
            json_patch::merge(&mut value, &change);
            serde_json::from_value::<PersistentVolume>(value).unwrap()
        };
        let text = describe_persistent_volume(&volume(json!({})), &Related::default(), &moment());
        check(
            &text,
            &[
                "Name:            v",
                "Labels:          <none>",
                "Annotations:     <none>",
                "Finalizers:      [kubernetes.io/pv-protection]",
                "StorageClass:",
                "Status:          Available",
                "Claim:",
                "Reclaim Policy:  Retain",
                "Access Modes:    RWO",
                "VolumeMode:      Filesystem",
                "Capacity:        1Gi",
                "Node Affinity:   <none>",
                "Message:",
                "Source:",
                "    Type:          HostPath (bare host directory volume)",
                "    Path:          /data",
                "    HostPathType:",
                "Events:            <none>",
            ],
        );
        let local = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:09:00Z"}, "spec": {"hostPath": null, "local": {"path": "/disk"}, "nodeAffinity": {"required":
            {"nodeSelectorTerms": [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["a", "b"]}]}]}}}});
        let text = describe_persistent_volume(&volume(local), &Related::default(), &moment());
        for line in [
            "Terminating (lasts 60s)",
            "Required Terms:",
            "kubernetes.io/hostname in [a, b]",
            "LocalVolume (a persistent volume backed by local storage on a node)",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }

    #[test]
    fn a_claim_and_who_uses_it() {
        let claim = json!({"metadata": {"name": "c", "namespace": "ns", "finalizers": ["a/b", "c/d"]},
            "spec": {"volumeName": "v", "volumeMode": "Filesystem", "storageClassName": "fast"},
            "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}});
        let pod = |name: &str| {
            Arc::new(serde_json::from_value(json!({"metadata": {"name": name}})).unwrap())
        };
        let related = Related {
            pods: vec![pod("a"), pod("b")],
            ..Related::default()
        };
        let text = describe_claim(&serde_json::from_value(claim).unwrap(), &related, &moment());
        check(
            &text,
            &[
                "Name:          c",
                "Namespace:     ns",
                "StorageClass:  fast",
                "Status:        Bound",
                "Volume:        v",
                "Labels:        <none>",
                "Annotations:   <none>",
                "Finalizers:    [a/b c/d]",
                "Capacity:      1Gi",
                "Access Modes:  RWO",
                "VolumeMode:    Filesystem",
                "Used By:       a",
                "               b",
                "Events:        <none>",
            ],
        );
    }
}
