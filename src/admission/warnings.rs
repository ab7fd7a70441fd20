use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Namespace, PersistentVolume};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::field::text;
use super::pod_warnings;
use crate::base::quoted;
use crate::model::quantity::ParsedQuantity;
use crate::model::storage::{STORAGE, source_names};
use crate::model::{Object, unsupported};

/// What is accepted and still worth a word: what the API server warns about, and fields that are not carried
/// out yet.
pub(super) fn of(object: &Object) -> Vec<String> {
    let mut warnings = Vec::new();
    match object {
        Object::Pod(pod) => {
            pod_warnings::of(pod, &mut warnings);
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
        | Object::PriorityClass(_) => {}
        Object::Namespace(namespace) => of_namespace(namespace, &mut warnings),
    }
    warnings
}

/// Labels that ask the API server to refuse pods. podtui runs what its user writes and refuses none for its
/// privileges; the labels must not look as if it did (Kubernetes documentation, "Pod Security Admission").
fn of_namespace(namespace: &Namespace, warnings: &mut Vec<String>) {
    let labels = namespace.metadata.labels.iter().flatten();
    for (key, level) in labels {
        let mode = key.strip_prefix("pod-security.kubernetes.io/");
        if matches!(mode, Some("enforce" | "audit" | "warn")) && level != "privileged" {
            warnings.push(format!(
                "metadata.labels[{key}]: not supported: pods are not measured by the Pod Security Standards here, \
                 \"{level}\" refuses none"
            ));
        }
    }
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

/// An amount of bytes that is none.
pub(super) fn fractional(
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
            "{path}[{name}]: fractional byte value {value} is invalid, must be an integer",
            value = quoted(value)
        ));
    }
}
