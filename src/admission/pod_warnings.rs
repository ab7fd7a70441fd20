//! What the API server warns about in a pod, in its order and words.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{
    Affinity, Container, ContainerPort, NodeSelectorTerm, Pod, PodSpec, Volume,
};

use super::field::{containers_with_paths, text};
use super::overlaps;
use super::scheduling::pod_terms;
use super::warnings::fractional;
use crate::base::quoted;
use crate::model::names;
use crate::model::restarts::{RESTARTED_AT, is_readable};
use crate::model::storage::STORAGE;

/// Labels of nodes that have another name by now.
const OLD_LABELS: [(&str, &str); 8] = [
    (
        "beta.kubernetes.io/arch",
        "deprecated since v1.14; use \"kubernetes.io/arch\" instead",
    ),
    (
        "beta.kubernetes.io/os",
        "deprecated since v1.14; use \"kubernetes.io/os\" instead",
    ),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    (
        "failure-domain.beta.kubernetes.io/zone",
        "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead",
    ),
    (
        "beta.kubernetes.io/instance-type",
        "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead",
    ),
    ("app.kubernetes.io/created-by", "deprecated since v1.9"),
    (
        "scheduler.alpha.kubernetes.io/preferAvoidPods",
        "deprecated since v1.22; use Taints and Tolerations instead",
    ),
    (
        "node-role.kubernetes.io/master",
        "use \"node-role.kubernetes.io/control-plane\" instead",
    ),
];
/// Annotations without any effect.
const OLD_ANNOTATIONS: [(&str, &str); 3] = [
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    (
        "security.alpha.kubernetes.io/sysctls",
        "non-functional in v1.11+; use the \"sysctls\" field instead",
    ),
    (
        "security.alpha.kubernetes.io/unsafe-sysctls",
        "non-functional in v1.11+; use the \"sysctls\" field instead",
    ),
];
const SECCOMP_OF_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_OF_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const SECCOMP_GONE: &str = "non-functional in v1.27+; use the \"seccompProfile\" field instead";
const NO_SELECTOR: &str = "a null labelSelector results in matching no pod";

type Warnings = Vec<String>;

pub(super) fn of(pod: &Pod, warnings: &mut Warnings) {
    of_metadata(pod, warnings);
    let Some(spec) = &pod.spec else { return };
    old_node_labels(spec, warnings);
    spreading(spec, warnings);
    for (key, message) in OLD_ANNOTATIONS {
        if is_annotated(pod, key) {
            warnings.push(format!("metadata.annotations[{key}]: {message}"));
        }
    }
    for (index, volume) in spec.volumes.iter().flatten().enumerate() {
        of_volume(&format!("spec.volumes[{index}]"), volume, warnings);
    }
    for volume in spec.volumes.iter().flatten() {
        overlaps::of(volume, warnings);
    }
    repeated_names(spec, warnings);
    for name in ["memory", "ephemeral-storage"] {
        fractional("spec.overhead", name, spec.overhead.as_ref(), warnings);
    }
    let context = spec.security_context.as_ref();
    let has_profile = context.is_some_and(|context| context.seccomp_profile.is_some());
    if !has_profile && is_annotated(pod, SECCOMP_OF_POD) {
        warnings.push(format!(
            "metadata.annotations[{SECCOMP_OF_POD}]: {SECCOMP_GONE}"
        ));
    }
    for (path, container) in containers_with_paths(spec) {
        of_container(pod, &path, &container, warnings);
    }
    ports(spec, warnings);
    let grace = spec.termination_grace_period_seconds;
    if grace.is_some_and(|seconds| seconds < 0) {
        warnings.push(
            "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"
                .to_owned(),
        );
    }
    if let Some(affinity) = &spec.affinity {
        missing_selectors(affinity, warnings);
    }
}

fn is_annotated(pod: &Pod, key: &str) -> bool {
    let annotations = pod.metadata.annotations.as_ref();
    annotations.is_some_and(|all| all.contains_key(key))
}

fn of_metadata(pod: &Pod, warnings: &mut Warnings) {
    let problems = names::dns_label(text(&pod.metadata.name));
    if !problems.is_empty() {
        warnings.push(format!(
            "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [{}]",
            problems.join(" ")
        ));
    }
    let annotations = pod.metadata.annotations.as_ref();
    if let Some(value) = annotations
        .and_then(|all| all.get(RESTARTED_AT))
        .filter(|value| !is_readable(value))
    {
        warnings.push(format!(
            "metadata.annotations[{RESTARTED_AT}]: {value} is neither an instant (2026-01-02T03:04:05Z) nor an \
             object of instants by container: nothing is restarted", value = quoted(value)
        ));
    }
}

fn old_label(key: &str) -> Option<&'static str> {
    let known = OLD_LABELS.iter().find(|(label, _)| *label == key);
    known.map(|(_, message)| *message)
}

fn old_node_labels(spec: &PodSpec, warnings: &mut Warnings) {
    for (key, _) in spec.node_selector.iter().flatten() {
        if let Some(message) = old_label(key) {
            warnings.push(format!("spec.nodeSelector[{key}]: {message}"));
        }
    }
    let affinity = spec.affinity.as_ref();
    let Some(node) = affinity.and_then(|affinity| affinity.node_affinity.as_ref()) else {
        return;
    };
    let path = "spec.affinity.nodeAffinity";
    let required = node
        .required_during_scheduling_ignored_during_execution
        .iter();
    let terms = required.flat_map(|selector| &selector.node_selector_terms);
    for (index, term) in terms.enumerate() {
        let path = format!(
            "{path}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[{index}]"
        );
        of_term(&path, term, false, warnings);
    }
    let preferred = &node.preferred_during_scheduling_ignored_during_execution;
    for (index, term) in preferred.iter().flatten().enumerate() {
        let path =
            format!("{path}.preferredDuringSchedulingIgnoredDuringExecution[{index}].preference");
        of_term(&path, &term.preference, true, warnings);
    }
}

/// Values that no label can have are refused elsewhere where the term is required.
fn of_term(path: &str, term: &NodeSelectorTerm, with_values: bool, warnings: &mut Warnings) {
    for (index, requirement) in term.match_expressions.iter().flatten().enumerate() {
        let path = format!("{path}.matchExpressions[{index}]");
        let key = &requirement.key;
        if let Some(message) = old_label(key) {
            warnings.push(format!("{path}.key: {key} is {message}"));
        }
        let values = requirement.values.iter().flatten().enumerate();
        for (index, value) in values.filter(|_| with_values) {
            let problems = names::label_value(value).into_iter();
            warnings.extend(
                problems.map(|problem| {
                    format!("{path}.values[{index}]: {value} is invalid, {problem}")
                }),
            );
        }
    }
}

fn spreading(spec: &PodSpec, warnings: &mut Warnings) {
    let constraints = spec.topology_spread_constraints.iter().flatten();
    for (index, constraint) in constraints.enumerate() {
        let path = format!("spec.topologySpreadConstraints[{index}]");
        let key = &constraint.topology_key;
        if let Some(message) = old_label(key) {
            warnings.push(format!("{path}.topologyKey: {key} is {message}"));
        }
        if constraint.label_selector.is_none() {
            warnings.push(format!("{path}.labelSelector: {NO_SELECTOR}"));
        }
    }
}

fn of_volume(path: &str, volume: &Volume, warnings: &mut Warnings) {
    for (is_set, field, since) in [
        (
            volume.photon_persistent_disk.is_some(),
            "photonPersistentDisk",
            "v1.11, non-functional in v1.16+",
        ),
        (volume.git_repo.is_some(), "gitRepo", "v1.11"),
        (
            volume.scale_io.is_some(),
            "scaleIO",
            "v1.16, non-functional in v1.22+",
        ),
        (
            volume.flocker.is_some(),
            "flocker",
            "v1.22, non-functional in v1.25+",
        ),
        (
            volume.storageos.is_some(),
            "storageOS",
            "v1.22, non-functional in v1.25+",
        ),
        (
            volume.quobyte.is_some(),
            "quobyte",
            "v1.22, non-functional in v1.25+",
        ),
        (
            volume.glusterfs.is_some(),
            "glusterfs",
            "v1.25, non-functional in v1.26+",
        ),
        (
            volume.cephfs.is_some(),
            "cephfs",
            "v1.28, non-functional in v1.31+",
        ),
        (
            volume.rbd.is_some(),
            "rbd",
            "v1.28, non-functional in v1.31+",
        ),
    ] {
        if is_set {
            warnings.push(format!("{path}.{field}: deprecated in {since}"));
        }
    }
    let ephemeral = volume.ephemeral.as_ref();
    let template = ephemeral.and_then(|source| source.volume_claim_template.as_ref());
    let resources = template.and_then(|template| template.spec.resources.as_ref());
    let requests = resources.and_then(|resources| resources.requests.as_ref());
    let path = format!("{path}.ephemeral.volumeClaimTemplate.spec.resources.requests");
    fractional(&path, STORAGE, requests, warnings);
}

fn repeated_names(spec: &PodSpec, warnings: &mut Warnings) {
    let mut known = BTreeSet::new();
    for (index, alias) in spec.host_aliases.iter().flatten().enumerate() {
        if !known.insert(&alias.ip) {
            let ip = &alias.ip;
            warnings.push(format!(
                "spec.hostAliases[{index}].ip: duplicate ip {ip}",
                ip = quoted(ip)
            ));
        }
    }
    let secrets = || spec.image_pull_secrets.iter().flatten().enumerate();
    let mut known = BTreeSet::new();
    for (index, secret) in secrets() {
        if !known.insert(&secret.name) {
            let name = &secret.name;
            warnings.push(format!(
                "spec.imagePullSecrets[{index}].name: duplicate name {name}",
                name = quoted(name)
            ));
        }
    }
    for (index, _) in secrets().filter(|(_, secret)| secret.name.is_empty()) {
        warnings.push(format!(
            "spec.imagePullSecrets[{index}].name: invalid empty name \"\""
        ));
    }
}

fn of_container(pod: &Pod, path: &str, container: &Container, warnings: &mut Warnings) {
    let context = container.security_context.as_ref();
    let has_profile = context.is_some_and(|context| context.seccomp_profile.is_some());
    let key = format!("{SECCOMP_OF_CONTAINER}{}", container.name);
    if !has_profile && is_annotated(pod, &key) {
        warnings.push(format!("metadata.annotations[{key}]: {SECCOMP_GONE}"));
    }
    if let Some(resources) = &container.resources {
        for name in ["memory", "ephemeral-storage"] {
            for (part, map) in [
                ("limits", &resources.limits),
                ("requests", &resources.requests),
            ] {
                let path = format!("{path}.resources.{part}");
                fractional(&path, name, map.as_ref(), warnings);
            }
        }
    }
    let mut known = BTreeSet::new();
    for (index, variable) in container.env.iter().flatten().enumerate() {
        let name = &variable.name;
        if known.insert(name) {
            continue;
        }
        // One that goes on where the one before ended is meant so.
        let reference = format!("$({name})");
        let value = text(&variable.value);
        let goes_on = value.contains(&reference) && value != reference;
        if variable.value_from.is_some() || !goes_on {
            warnings.push(format!(
                "{path}.env[{index}]: hides previous definition of {name}, which may be dropped when using apply", name = quoted(name)
            ));
        }
    }
}

/// Ports that several entries name, over all containers.
fn ports(spec: &PodSpec, warnings: &mut Warnings) {
    let mut known: BTreeMap<(i32, String), Vec<(String, ContainerPort)>> = BTreeMap::new();
    for (path, container) in containers_with_paths(spec) {
        for (index, port) in container.ports.iter().flatten().enumerate() {
            let path = format!("{path}.ports[{index}]");
            if !text(&port.host_ip).is_empty() && port.host_port.unwrap_or(0) == 0 {
                warnings.push(format!(
                    "{path}: hostIP set without hostPort: {{Name:{} HostPort:0 ContainerPort:{} Protocol:{} HostIP:{}}}",
                    text(&port.name),
                    port.container_port,
                    text(&port.protocol),
                    text(&port.host_ip),
                ));
            }
            let key = (port.container_port, text(&port.protocol).to_owned());
            let others = known.entry(key).or_default();
            for (other_path, other) in others.iter() {
                if let Some(what) = conflict(port, other) {
                    warnings.push(format!("{path}: {what} port definition with {other_path}"));
                }
            }
            others.push((path, port.clone()));
        }
    }
}

/// Of two entries with the same port of the container and protocol.
fn conflict(one: &ContainerPort, other: &ContainerPort) -> Option<&'static str> {
    let hosts = (one.host_port.unwrap_or(0), other.host_port.unwrap_or(0));
    let addresses = (text(&one.host_ip), text(&other.host_ip));
    if hosts.0 == hosts.1 && addresses.0 == addresses.1 {
        Some("duplicate")
    } else if hosts.0 == 0 || hosts.1 == 0 {
        Some("overlapping")
    } else if hosts.0 == hosts.1 && (addresses.0.is_empty() != addresses.1.is_empty()) {
        Some("dangerously ambiguous")
    } else {
        None
    }
}

/// Terms without a selector: they match no pod.
fn missing_selectors(affinity: &Affinity, warnings: &mut Warnings) {
    for (name, required, preferred) in pod_terms(affinity) {
        let path = format!("spec.affinity.{name}");
        for (index, term) in required.iter().flatten().enumerate() {
            if term.label_selector.is_none() {
                warnings.push(format!(
                    "{path}.requiredDuringSchedulingIgnoredDuringExecution[{index}].labelSelector: {NO_SELECTOR}"
                ));
            }
        }
        for (index, term) in preferred.iter().flatten().enumerate() {
            if term.pod_affinity_term.label_selector.is_none() {
                warnings.push(format!(
                    "{path}.preferredDuringSchedulingIgnoredDuringExecution[{index}].podAffinityTerm.labelSelector: {NO_SELECTOR}"
                ));
            }
        }
    }
}
