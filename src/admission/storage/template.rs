use k8s_openapi::api::core::v1::{EphemeralVolumeSource, PersistentVolumeClaimTemplate};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::claim::claim_spec;
use crate::admission::field::Errors;
use crate::admission::metadata;
use crate::base::quoted;
use crate::model::{FieldError, names};

/// The claim that a pod brings with a volume of its own. `pod` is empty where the name is not known yet.
pub(in crate::admission) fn ephemeral(
    errors: &mut Errors,
    path: &str,
    source: &EphemeralVolumeSource,
) {
    let path = format!("{path}.volumeClaimTemplate");
    match &source.volume_claim_template {
        None => errors.push(FieldError::required(path, "")),
        Some(template) => template_of(errors, &path, template),
    }
}

fn template_of(errors: &mut Errors, path: &str, template: &PersistentVolumeClaimTemplate) {
    if let Some(meta) = &template.metadata {
        template_metadata(errors, &format!("{path}.metadata"), meta);
    }
    claim_spec(errors, &format!("{path}.spec"), &template.spec);
}

/// Labels and annotations only; the claim gets everything else from its pod.
fn template_metadata(errors: &mut Errors, path: &str, meta: &ObjectMeta) {
    metadata::annotations(&format!("{path}.annotations"), meta, errors);
    metadata::labels(&format!("{path}.labels"), meta, errors);
    let Ok(Value::Object(fields)) = serde_json::to_value(meta) else {
        return;
    };
    let order = [
        "name",
        "generateName",
        "namespace",
        "selfLink",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "ownerReferences",
        "finalizers",
        "managedFields",
    ];
    for name in order.into_iter().filter(|name| fields.contains_key(*name)) {
        // The API writes the name of its own field with a small first letter.
        let name = if name == "uid" { "uID" } else { name };
        errors.push(FieldError::forbidden(
            format!("{path}.{name}"),
            "cannot be set",
        ));
    }
}

/// The volume a pod's template makes is called after both.
pub(in crate::admission) fn ephemeral_name(
    errors: &mut Errors,
    path: &str,
    pod: &str,
    volume: &str,
) {
    if pod.is_empty() || volume.is_empty() {
        return;
    }
    let name = format!("{pod}-{volume}");
    for problem in names::dns_subdomain(&name) {
        let detail = format!("PVC name {name}: {problem}", name = quoted(&name));
        errors.push(FieldError::invalid_string(
            format!("{path}.name"),
            volume,
            detail,
        ));
    }
}
