use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod};

use super::field::text;
use crate::model::quantity::ParsedQuantity;
use crate::model::restarts::{RESTARTED_AT, is_readable};
use crate::model::{Object, names, pod, unsupported};

/// What is accepted and still worth a word: what the API server warns about, and fields that are not carried
/// out yet.
pub(super) fn of(object: &Object) -> Vec<String> {
    let Object::Pod(pod) = object else {
        return Vec::new();
    };
    let mut warnings = Vec::new();
    of_pod(pod, &mut warnings);
    warnings.extend(unsupported(pod).iter().map(ToString::to_string));
    warnings
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
            let Some(quantity) = map.as_ref().and_then(|map| map.get(name)) else {
                continue;
            };
            if ParsedQuantity::of(quantity).is_fractional() {
                let value = &quantity.0;
                warnings.push(format!(
                    "{path}.resources.{part}[{name}]: fractional byte value {value:?} is invalid, must be an integer"
                ));
            }
        }
    }
}
