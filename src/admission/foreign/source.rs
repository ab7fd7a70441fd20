use serde_json::Value;

use super::csi::csi;
use super::iscsi::iscsi;
use crate::admission::field::{Errors, by_rule, required};
use crate::model::{FieldError, names};

/// Sources that are checked by [`source`], as they are called in messages of pods.
pub(in crate::admission) const FOREIGN: [&str; 20] = [
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephFS",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "storageos",
    "csi",
];

/// Where the source stands; some rules differ.
#[derive(Clone, Copy, Debug)]
pub(in crate::admission) enum Place<'a> {
    Pod,
    /// In the persistent volume of this name.
    Persistent(&'a str),
}

pub(super) fn text<'a>(fields: &'a Value, name: &str) -> &'a str {
    fields[name].as_str().unwrap_or_default()
}

fn is_empty(fields: &Value, name: &str) -> bool {
    fields[name].as_array().is_none_or(Vec::is_empty)
}

/// `name` as in a manifest, `fields` its JSON.
pub(in crate::admission) fn source(
    errors: &mut Errors,
    path: &str,
    place: Place<'_>,
    name: &str,
    fields: &Value,
) {
    // Fields of text that must not be empty, in the order of the API.
    let wanted: &[&str] = match name {
        "gcePersistentDisk" => &["pdName"],
        "awsElasticBlockStore" | "portworxVolume" | "cinder" => &["volumeID"],
        "glusterfs" => &["endpoints", "path"],
        "nfs" => &["server", "path"],
        "flexVolume" => &["driver"],
        "azureFile" => &["secretName", "shareName"],
        "vsphereVolume" => &["volumePath"],
        "photonPersistentDisk" => &["pdID"],
        "azureDisk" => &["diskName", "diskURI"],
        "scaleIO" => &["gateway", "system", "volumeName"],
        _ => &[],
    };
    match name {
        "rbd" | "cephfs" if is_empty(fields, "monitors") => {
            errors.push(FieldError::required(format!("{path}.monitors"), ""));
        }
        _ => {}
    }
    for field in wanted {
        required(errors, format!("{path}.{field}"), text(fields, field));
    }
    match name {
        "gcePersistentDisk" | "awsElasticBlockStore" => in_byte(errors, path, "partition", fields),
        "nfs" if !text(fields, "path").starts_with('/') => {
            let detail = "must be an absolute path";
            let value = text(fields, "path");
            errors.push(FieldError::invalid_string(
                format!("{path}.path"),
                value,
                detail,
            ));
        }
        "iscsi" => iscsi(errors, path, place, fields),
        "rbd" => required(errors, format!("{path}.image"), text(fields, "image")),
        "flocker" => flocker(errors, path, fields),
        "fc" => fibre_channel(errors, path, fields),
        "azureDisk" => azure_disk(errors, path, fields),
        "azureFile" => azure_file(errors, path, fields),
        "quobyte" => quobyte(errors, path, fields),
        "glusterfs" => glusterfs(errors, path, fields),
        "flexVolume" => flex_volume(errors, path, fields),
        "cinder" => secret(errors, path, place, fields),
        "storageos" => storage_os(errors, path, place, fields),
        "csi" => csi(errors, path, place, fields),
        _ => {}
    }
}

/// Partitions and logical units.
pub(super) fn in_byte(errors: &mut Errors, path: &str, field: &str, fields: &Value) {
    let number = fields[field].as_i64();
    if let Some(number) = number.filter(|number| !(0..=255).contains(number)) {
        let detail = "must be between 0 and 255, inclusive";
        let path = format!("{path}.{field}");
        errors.push(FieldError::invalid(path, number, detail));
    }
}

/// The name of a secret, and in persistent volumes its namespace.
fn secret(errors: &mut Errors, path: &str, place: Place<'_>, fields: &Value) {
    let secret = &fields["secretRef"];
    if secret.is_null() {
        return;
    }
    let path = format!("{path}.secretRef");
    required(errors, format!("{path}.name"), text(secret, "name"));
    if let Place::Persistent(_) = place {
        let namespace = text(secret, "namespace");
        required(errors, format!("{path}.namespace"), namespace);
    }
}

fn storage_os(errors: &mut Errors, path: &str, place: Place<'_>, fields: &Value) {
    let (name, namespace) = (text(fields, "volumeName"), text(fields, "volumeNamespace"));
    required(errors, format!("{path}.volumeName"), name);
    for (field, value) in [("volumeName", name), ("volumeNamespace", namespace)] {
        if !value.is_empty() {
            by_rule(errors, &format!("{path}.{field}"), value, names::dns_label);
        }
    }
    secret(errors, path, place, fields);
}

/// Only persistent volumes can name the namespace of the endpoints.
fn glusterfs(errors: &mut Errors, path: &str, fields: &Value) {
    let Some(namespace) = fields["endpointsNamespace"].as_str() else {
        return;
    };
    let path = format!("{path}.endpointsNamespace");
    if namespace.is_empty() {
        let detail = "if the endpointnamespace is set, it must be a valid namespace name";
        errors.push(FieldError::invalid_string(path, namespace, detail));
    } else {
        by_rule(errors, &path, namespace, names::dns_label);
    }
}

fn flex_volume(errors: &mut Errors, path: &str, fields: &Value) {
    for key in fields["options"]
        .as_object()
        .into_iter()
        .flat_map(|options| options.keys())
    {
        let namespace = key.split_once('/').map_or(key.as_str(), |(first, _)| first);
        let whole = format!(".{}", namespace.to_lowercase());
        if whole.ends_with(".kubernetes.io") || whole.ends_with(".k8s.io") {
            let path = format!("{path}.options[{key}]");
            let detail = "kubernetes.io and k8s.io namespaces are reserved";
            errors.push(FieldError::invalid_string(path, key, detail));
        }
    }
}

/// Only persistent volumes can name the namespace of the secret.
fn azure_file(errors: &mut Errors, path: &str, fields: &Value) {
    if fields["secretNamespace"] == "" {
        let path = format!("{path}.secretNamespace");
        errors.push(FieldError::required(path, ""));
    }
}

fn flocker(errors: &mut Errors, path: &str, fields: &Value) {
    let (name, uuid) = (text(fields, "datasetName"), text(fields, "datasetUUID"));
    if name.is_empty() && uuid.is_empty() {
        let detail = "one of datasetName and datasetUUID is required";
        errors.push(FieldError::required(path, detail));
    }
    if !name.is_empty() && !uuid.is_empty() {
        let detail = "datasetName and datasetUUID can not be specified simultaneously";
        errors.push(FieldError::invalid_string(path, "resource", detail));
    }
    if name.contains('/') {
        let detail = "must not contain '/'";
        errors.push(FieldError::invalid_string(
            format!("{path}.datasetName"),
            name,
            detail,
        ));
    }
}

fn fibre_channel(errors: &mut Errors, path: &str, fields: &Value) {
    let (targets, ids) = (!is_empty(fields, "targetWWNs"), !is_empty(fields, "wwids"));
    if !targets && !ids {
        let detail = "must specify either targetWWNs or wwids, but not both";
        errors.push(FieldError::required(format!("{path}.targetWWNs"), detail));
    }
    if targets && ids {
        let detail = "targetWWNs and wwids can not be specified simultaneously";
        let value = serde_json::to_string(&fields["targetWWNs"]).unwrap_or_default();
        errors.push(FieldError::invalid(
            format!("{path}.targetWWNs"),
            value,
            detail,
        ));
    }
    if !targets {
        return;
    }
    if fields["lun"].is_null() {
        let detail = "lun is required if targetWWNs is specified";
        errors.push(FieldError::required(format!("{path}.lun"), detail));
    }
    in_byte(errors, path, "lun", fields);
}

fn azure_disk(errors: &mut Errors, path: &str, fields: &Value) {
    let caching = ["None", "ReadOnly", "ReadWrite"];
    let kinds = ["Dedicated", "Managed", "Shared"];
    for (field, supported) in [("cachingMode", &caching), ("kind", &kinds)] {
        if let Some(value) = fields[field].as_str()
            && !supported.contains(&value)
        {
            errors.push(FieldError::not_supported(
                format!("{path}.{field}"),
                value,
                supported,
            ));
        }
    }
    let managed = "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}";
    let blob = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd";
    let (start, form) = match fields["kind"].as_str() {
        None => return,
        Some("Managed") => ("/subscriptions/", managed),
        Some(_) => ("https://", blob),
    };
    let address = text(fields, "diskURI");
    if !address.starts_with(start) {
        let path = format!("{path}.diskURI");
        errors.push(FieldError::not_supported(path, address, &[form]));
    }
}

/// `host:port`, and an address in brackets when it has colons of its own.
fn is_address(text: &str) -> bool {
    match text.rsplit_once(':') {
        Some((host, _)) if host.starts_with('[') => host.ends_with(']'),
        Some((host, _)) => !host.contains(':'),
        None => false,
    }
}

fn quobyte(errors: &mut Errors, path: &str, fields: &Value) {
    let registry = text(fields, "registry");
    let pairs = "must be a host:port pair or multiple pairs separated by commas";
    let place = format!("{path}.registry");
    if registry.is_empty() {
        errors.push(FieldError::required(place, pairs));
    } else if text(fields, "tenant").len() >= 65 {
        let detail = "must be a UUID and may not exceed a length of 64 characters";
        errors.push(FieldError::required(format!("{path}.tenant"), detail));
    } else {
        for _ in registry.split(',').filter(|pair| !is_address(pair)) {
            errors.push(FieldError::invalid_string(place.clone(), registry, pairs));
        }
    }
    required(errors, format!("{path}.volume"), text(fields, "volume"));
}
