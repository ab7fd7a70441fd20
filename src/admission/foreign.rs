//! Volume sources of other machines and clouds. Nothing here carries them out, but what is wrong with them is
//! told as on a cluster, in pods and in persistent volumes alike.

use serde_json::Value;

use super::field::{Errors, required};
use crate::model::FieldError;

/// Sources that are checked by [`source`].
pub(super) const FOREIGN: [&str; 20] = [
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

const ISCSI_FORMS: [&str; 3] = ["iqn", "eui", "naa"];

fn text<'a>(fields: &'a Value, name: &str) -> &'a str {
    fields[name].as_str().unwrap_or_default()
}

fn is_empty(fields: &Value, name: &str) -> bool {
    fields[name].as_array().is_none_or(Vec::is_empty)
}

/// `name` as in a manifest, `fields` its JSON.
pub(super) fn source(errors: &mut Errors, path: &str, name: &str, fields: &Value) {
    // Fields of text that must not be empty, in the order of the API.
    let wanted: &[&str] = match name {
        "gcePersistentDisk" => &["pdName"],
        "awsElasticBlockStore" | "portworxVolume" | "cinder" => &["volumeID"],
        "glusterfs" => &["endpoints", "path"],
        "nfs" => &["server", "path"],
        "iscsi" => &["targetPortal", "iqn"],
        "flexVolume" | "csi" => &["driver"],
        "azureFile" => &["secretName", "shareName"],
        "vsphereVolume" => &["volumePath"],
        "photonPersistentDisk" => &["pdID"],
        "azureDisk" => &["diskName", "diskURI"],
        "scaleIO" => &["gateway", "system", "volumeName"],
        "quobyte" => &["registry"],
        "storageos" => &["volumeName"],
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
        "gcePersistentDisk" | "awsElasticBlockStore" => partition(errors, path, fields),
        "nfs" if !text(fields, "path").starts_with('/') => {
            let detail = "must be an absolute path";
            let value = text(fields, "path");
            errors.push(FieldError::invalid_string(
                format!("{path}.path"),
                value,
                detail,
            ));
        }
        "iscsi" => iscsi(errors, path, fields),
        "rbd" => required(errors, format!("{path}.image"), text(fields, "image")),
        "flocker" => flocker(errors, path, fields),
        "fc" => fibre_channel(errors, path, fields),
        "azureDisk" => azure_disk(errors, path, fields),
        "quobyte" => quobyte(errors, path, fields),
        // Only that of a persistent volume has one.
        "csi" if !fields["volumeHandle"].is_null() => {
            let handle = text(fields, "volumeHandle");
            required(errors, format!("{path}.volumeHandle"), handle);
        }
        _ => {}
    }
}

fn partition(errors: &mut Errors, path: &str, fields: &Value) {
    if let Some(number) = fields["partition"]
        .as_i64()
        .filter(|number| !(0..=255).contains(number))
    {
        let detail = "must be between 0 and 255, inclusive";
        errors.push(FieldError::invalid(
            format!("{path}.partition"),
            number,
            detail,
        ));
    }
}

fn iscsi(errors: &mut Errors, path: &str, fields: &Value) {
    let name = text(fields, "iqn");
    let known = ISCSI_FORMS.iter().any(|form| name.starts_with(form));
    if !name.is_empty() && !known {
        let detail = "must be valid format starting with iqn, eui, or naa";
        errors.push(FieldError::invalid_string(
            format!("{path}.iqn"),
            name,
            detail,
        ));
    }
    if let Some(number) = fields["lun"]
        .as_i64()
        .filter(|number| !(0..=255).contains(number))
    {
        let detail = "must be between 0 and 255, inclusive";
        errors.push(FieldError::invalid(format!("{path}.lun"), number, detail));
    }
    let checks = ["chapAuthDiscovery", "chapAuthSession"];
    let asks = checks
        .iter()
        .any(|field| fields[*field] == Value::Bool(true));
    if asks && fields["secretRef"].is_null() {
        errors.push(FieldError::required(format!("{path}.secretRef"), ""));
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
    match fields["lun"].as_i64() {
        None => {
            let detail = "lun is required if targetWWNs is specified";
            errors.push(FieldError::required(format!("{path}.lun"), detail));
        }
        Some(number) if !(0..=255).contains(&number) => {
            let detail = "must be between 0 and 255, inclusive";
            errors.push(FieldError::invalid(format!("{path}.lun"), number, detail));
        }
        Some(_) => {}
    }
}

fn azure_disk(errors: &mut Errors, path: &str, fields: &Value) {
    let caching = ["None", "ReadOnly", "ReadWrite"];
    let kinds = ["Dedicated", "Managed", "Shared"];
    for (field, supported) in [("cachingMode", &caching), ("kind", &kinds)] {
        let value = text(fields, field);
        if !value.is_empty() && !supported.contains(&value) {
            errors.push(FieldError::not_supported(
                format!("{path}.{field}"),
                value,
                supported,
            ));
        }
    }
}

fn quobyte(errors: &mut Errors, path: &str, fields: &Value) {
    let registry = text(fields, "registry");
    let (volume, tenant) = (text(fields, "volume"), text(fields, "tenant"));
    let is_address = |part: &str| part.rsplit_once(':').is_some();
    if !registry.is_empty() && !registry.split(',').all(is_address) {
        let detail = "must be a host:port pair or multiple pairs separated by commas";
        errors.push(FieldError::invalid_string(
            format!("{path}.registry"),
            registry,
            detail,
        ));
    }
    if tenant.len() >= 65 {
        let detail = "must be a UUID and may not exceed a length of 64 characters";
        errors.push(FieldError::required(format!("{path}.tenant"), detail));
    }
    required(errors, format!("{path}.volume"), volume);
}
