use k8s_openapi::api::core::v1::{LocalVolumeSource, PersistentVolume, PersistentVolumeSpec};

use crate::admission::field::{Errors, by_rule, no_backsteps, text};
use crate::admission::{foreign, scheduling, volume};
use crate::model::quantity::ParsedQuantity;
use crate::model::storage::{FILESYSTEM, ONE_POD, STORAGE, source_names};
use crate::model::{FieldError, names};

const ACCESS_MODES: [&str; 4] = [
    "ReadOnlyMany",
    "ReadWriteMany",
    "ReadWriteOnce",
    "ReadWriteOncePod",
];
const RECLAIM_POLICIES: [&str; 3] = ["Delete", "Recycle", "Retain"];
const VOLUME_MODES: [&str; 2] = ["Block", FILESYSTEM];
const MANY_SOURCES: &str = "may not specify more than 1 volume type";

pub(in crate::admission) fn volume(volume: &PersistentVolume) -> Errors {
    let mut errors = Errors::new();
    let empty = PersistentVolumeSpec::default();
    let spec = volume.spec.as_ref().unwrap_or(&empty);
    let modes = spec.access_modes.as_deref().unwrap_or_default();
    if modes.is_empty() {
        errors.push(FieldError::required("spec.accessModes", ""));
    }
    access_modes(&mut errors, "spec.accessModes", modes);
    capacity(&mut errors, spec);
    let policy = text(&spec.persistent_volume_reclaim_policy);
    if !policy.is_empty() && !RECLAIM_POLICIES.contains(&policy) {
        let path = "spec.persistentVolumeReclaimPolicy";
        errors.push(FieldError::not_supported(path, policy, &RECLAIM_POLICIES));
    }
    node_affinity(&mut errors, spec);
    let name = text(&volume.metadata.name);
    sources(&mut errors, name, spec);
    if let Some(class) = spec
        .storage_class_name
        .as_deref()
        .filter(|class| !class.is_empty())
    {
        by_rule(
            &mut errors,
            "spec.storageClassName",
            class,
            names::dns_subdomain,
        );
    }
    volume_mode(&mut errors, "spec.volumeMode", spec.volume_mode.as_ref());
    if let Some(class) = &spec.volume_attributes_class_name {
        let path = "spec.volumeAttributesClassName";
        if class.is_empty() {
            let detail = "an empty string is disallowed";
            errors.push(FieldError::required(path, detail));
        } else {
            by_rule(&mut errors, path, class, names::dns_subdomain);
        }
        if spec.csi.is_none() {
            let detail = "has to be specified when using volumeAttributesClassName";
            errors.push(FieldError::required("spec.csi", detail));
        }
    }
    errors
}

pub(super) fn access_modes(errors: &mut Errors, path: &str, modes: &[String]) {
    for mode in modes
        .iter()
        .filter(|mode| !ACCESS_MODES.contains(&mode.as_str()))
    {
        errors.push(FieldError::not_supported(path, mode, &ACCESS_MODES));
    }
    let one_pod = modes.iter().any(|mode| mode == ONE_POD);
    let others = modes
        .iter()
        .any(|mode| mode != ONE_POD && ACCESS_MODES.contains(&mode.as_str()));
    if one_pod && others {
        let detail = "may not use ReadWriteOncePod with other access modes";
        errors.push(FieldError::forbidden(path, detail));
    }
}

pub(super) fn volume_mode(errors: &mut Errors, path: &str, mode: Option<&String>) {
    if let Some(mode) = mode.filter(|mode| !VOLUME_MODES.contains(&mode.as_str())) {
        errors.push(FieldError::not_supported(path, mode, &VOLUME_MODES));
    }
}

fn capacity(errors: &mut Errors, spec: &PersistentVolumeSpec) {
    let path = "spec.capacity";
    let amounts = spec.capacity.clone().unwrap_or_default();
    if amounts.is_empty() {
        errors.push(FieldError::required(path, ""));
    }
    if !amounts.contains_key(STORAGE) || amounts.len() > 1 {
        let value = match &spec.capacity {
            Some(amounts) => serde_json::to_string(amounts).unwrap_or_default(),
            None => "null".to_owned(),
        };
        errors.push(FieldError::value_not_supported(path, value, &[STORAGE]));
    }
    for (name, quantity) in &amounts {
        let path = format!("{path}[{name}]");
        let amount = ParsedQuantity::of(quantity);
        if amount.is_negative() {
            let detail = "must be a valid resource quantity";
            errors.push(FieldError::invalid(path.clone(), amount.value(), detail));
        }
        positive(errors, path, &quantity.0, amount);
    }
}

pub(super) fn positive(errors: &mut Errors, path: String, value: &str, amount: ParsedQuantity) {
    if amount <= ParsedQuantity::ZERO {
        let detail = "must be greater than zero";
        errors.push(FieldError::invalid_string(path, value, detail));
    }
}

fn node_affinity(errors: &mut Errors, spec: &PersistentVolumeSpec) {
    let Some(affinity) = &spec.node_affinity else {
        return;
    };
    let path = "spec.nodeAffinity.required";
    match &affinity.required {
        Some(selector) => scheduling::node_selector(errors, path, selector),
        None => {
            let detail = "must specify required node constraints";
            errors.push(FieldError::required(path, detail));
        }
    }
}

/// Every source after the first is one too many; the API looks into the first only, but for one kind that it
/// forgets to count.
fn sources(errors: &mut Errors, volume: &str, spec: &PersistentVolumeSpec) {
    let names = source_names(spec);
    for (index, name) in names.iter().enumerate() {
        if index > 0 && *name != "flexVolume" {
            // The path of one of them is written otherwise than its field.
            let name = if *name == "cephfs" { "cephFS" } else { name };
            let path = format!("spec.{name}");
            errors.push(FieldError::forbidden(path, MANY_SOURCES));
        } else {
            source(errors, volume, name, spec);
        }
    }
    if names.is_empty() {
        let detail = "must specify a volume type";
        errors.push(FieldError::required("spec", detail));
    }
    let recycled = text(&spec.persistent_volume_reclaim_policy) == "Recycle";
    let root = spec
        .host_path
        .as_ref()
        .is_some_and(|source| is_root(&source.path));
    if recycled && root {
        let detail = "may not be 'recycle' for a hostPath mount of '/'";
        errors.push(FieldError::forbidden(
            "spec.persistentVolumeReclaimPolicy",
            detail,
        ));
    }
}

/// The path leads to `/` when each step back takes a step before it away.
fn is_root(path: &str) -> bool {
    let mut depth = 0_usize;
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => depth = depth.saturating_sub(1),
            _ => depth += 1,
        }
    }
    path.starts_with('/') && depth == 0
}

fn source(errors: &mut Errors, volume: &str, name: &str, spec: &PersistentVolumeSpec) {
    match name {
        "hostPath" => {
            if let Some(source) = &spec.host_path {
                volume::host_path(errors, "spec.hostPath", source);
            }
        }
        "local" => {
            if let Some(source) = &spec.local {
                local(errors, source);
            }
            if spec.node_affinity.is_none() {
                let detail = "Local volume requires node affinity";
                errors.push(FieldError::required("spec.nodeAffinity", detail));
            }
        }
        _ => {
            let fields = serde_json::to_value(spec).unwrap_or_default();
            let place = foreign::Place::Persistent(volume);
            // The API calls this one by an older name.
            let path = match name {
                "gcePersistentDisk" => "spec.persistentDisk".to_owned(),
                _ => format!("spec.{name}"),
            };
            foreign::source(errors, &path, place, name, &fields[name]);
        }
    }
}

fn local(errors: &mut Errors, source: &LocalVolumeSource) {
    let path = "spec.local.path";
    if source.path.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else {
        no_backsteps(errors, path, &source.path);
    }
}
