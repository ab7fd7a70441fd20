use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PersistentVolume, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::field::text;
use crate::model::quantity::ParsedQuantity;
use crate::model::restarts::{RESTARTED_AT, is_readable};
use crate::model::storage::{STORAGE, source_names};
use crate::model::{Object, names, pod, unsupported};

/// What is accepted and still worth a word: what the API server warns about, and fields that are not carried
/// out yet.
pub(super) fn of(object: &Object) -> Vec<String> {
    let mut warnings = Vec::new();
    match object {
        Object::Pod(pod) => {
            of_pod(pod, &mut warnings);
            warnings.extend(unsupported(pod).iter().map(ToString::to_string));
        }
        Object::PersistentVolume(volume) => of_volume(volume, &mut warnings),
        Object::PersistentVolumeClaim(claim) => {
            let spec = claim.spec.as_ref();
            let resources = spec.and_then(|spec| spec.resources.as_ref());
            let requests = resources.and_then(|resources| resources.requests.as_ref());
            fractional("spec.resources.requests", STORAGE, requests, &mut warnings);
        }
        Object::ConfigMap(_)
        | Object::Secret(_)
        | Object::ServiceAccount(_)
        | Object::PodPreset(_)
        | Object::Event(_)
        | Object::Node(_)
        | Object::Namespace(_) => {}
    }
    warnings
}

fn of_volume(volume: &PersistentVolume, warnings: &mut Vec<String>) {
    let Some(spec) = &volume.spec else { return };
    if text(&spec.persistent_volume_reclaim_policy) == "Recycle" {
        warnings.push(
            "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended \
             approach is to use dynamic provisioning."
                .to_owned(),
        );
    }
    fractional("spec.capacity", STORAGE, spec.capacity.as_ref(), warnings);
    for name in source_names(spec) {
        if !matches!(name, "hostPath" | "local") {
            warnings.push(format!(
                "spec.{name}: not supported yet: this type of volume cannot be prepared, so a pod that uses it is held \
                 (FailedMount)"
            ));
        }
    }
}

fn fractional(
    path: &str,
    name: &str,
    amounts: Option<&BTreeMap<String, Quantity>>,
    warnings: &mut Vec<String>,
) {
    let Some(quantity) = amounts.and_then(|amounts| amounts.get(name)) else {
        return;
    };
    if ParsedQuantity::of(quantity).is_fractional() {
        let value = &quantity.0;
        warnings.push(format!(
            "{path}[{name}]: fractional byte value {value:?} is invalid, must be an integer"
        ));
    }
}

fn of_pod(pod: &Pod, warnings: &mut Vec<String>) {
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
            "metadata.annotations[{RESTARTED_AT}]: {value:?} is neither an instant (2026-01-02T03:04:05Z) nor an \
             object of instants by container: nothing is restarted"
        ));
    }
    let Some(spec) = &pod.spec else { return };
    if spec
        .termination_grace_period_seconds
        .is_some_and(|seconds| seconds < 0)
    {
        warnings.push(
            "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"
                .to_owned(),
        );
    }
    for (index, secret) in spec.image_pull_secrets.iter().flatten().enumerate() {
        if secret.name.is_empty() {
            warnings.push(format!(
                "spec.imagePullSecrets[{index}].name: invalid empty name \"\""
            ));
        }
    }
    for (list, containers) in [
        ("initContainers", pod::init_containers(spec)),
        ("containers", spec.containers.as_slice()),
    ] {
        for (index, container) in containers.iter().enumerate() {
            of_container(&format!("spec.{list}[{index}]"), container, warnings);
        }
    }
}

fn of_container(path: &str, container: &Container, warnings: &mut Vec<String>) {
    let mut names = Vec::new();
    for (index, variable) in container.env.iter().flatten().enumerate() {
        if names.contains(&&variable.name) {
            let name = &variable.name;
            warnings.push(format!(
                "{path}.env[{index}]: hides previous definition of {name:?}, which may be dropped when using apply"
            ));
        }
        names.push(&variable.name);
    }
    let mut ports = BTreeMap::new();
    for (index, port) in container.ports.iter().flatten().enumerate() {
        let identity = (
            port.container_port,
            text(&port.protocol),
            port.host_port.unwrap_or(0),
            text(&port.host_ip),
        );
        match ports.get(&identity) {
            Some(first) => warnings.push(format!(
                "{path}.ports[{index}]: duplicate port definition with {path}.ports[{first}]"
            )),
            None => {
                ports.insert(identity, index);
            }
        }
    }
    let Some(resources) = &container.resources else {
        return;
    };
    for (part, map) in [
        ("limits", &resources.limits),
        ("requests", &resources.requests),
    ] {
        for name in ["ephemeral-storage", "memory"] {
            let path = format!("{path}.resources.{part}");
            fractional(&path, name, map.as_ref(), warnings);
        }
    }
}
