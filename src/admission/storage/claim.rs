use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec};

use super::volume::{access_modes, positive, volume_mode};
use crate::admission::field::{Errors, by_rule, required, text};
use crate::admission::preset::label_selector;
use crate::model::quantity::ParsedQuantity;
use crate::model::storage::STORAGE;
use crate::model::{FieldError, names};

pub(in crate::admission) fn claim(claim: &PersistentVolumeClaim) -> Errors {
    let mut errors = Errors::new();
    let empty = PersistentVolumeClaimSpec::default();
    claim_spec(&mut errors, "spec", claim.spec.as_ref().unwrap_or(&empty));
    errors
}

pub(super) fn claim_spec(errors: &mut Errors, path: &str, spec: &PersistentVolumeClaimSpec) {
    let modes_path = format!("{path}.accessModes");
    let modes = spec.access_modes.as_deref().unwrap_or_default();
    if modes.is_empty() {
        let detail = "at least 1 access mode is required";
        errors.push(FieldError::required(modes_path.clone(), detail));
    }
    if let Some(selector) = &spec.selector {
        label_selector(errors, &format!("{path}.selector"), selector);
    }
    access_modes(errors, &modes_path, modes);
    claim_amount(errors, &format!("{path}.resources[{STORAGE}]"), spec);
    if let Some(class) = spec
        .storage_class_name
        .as_deref()
        .filter(|class| !class.is_empty())
    {
        let path = format!("{path}.storageClassName");
        by_rule(errors, &path, class, names::dns_subdomain);
    }
    volume_mode(
        errors,
        &format!("{path}.volumeMode"),
        spec.volume_mode.as_ref(),
    );
    claim_sources(errors, path, spec);
    let class = text(&spec.volume_attributes_class_name);
    if !class.is_empty() {
        let path = format!("{path}.volumeAttributesClassName");
        by_rule(errors, &path, class, names::dns_subdomain);
    }
}

fn claim_amount(errors: &mut Errors, path: &str, spec: &PersistentVolumeClaimSpec) {
    let requests = spec
        .resources
        .as_ref()
        .and_then(|resources| resources.requests.as_ref());
    match requests.and_then(|requests| requests.get(STORAGE)) {
        None => errors.push(FieldError::required(path, "")),
        Some(quantity) => {
            let amount = ParsedQuantity::of(quantity);
            positive(errors, path.to_owned(), &quantity.0, amount);
        }
    }
}

fn claim_sources(errors: &mut Errors, path: &str, spec: &PersistentVolumeClaimSpec) {
    let of = |errors: &mut Errors, path: &str, group: &str, kind: &str, name: &str| {
        required(errors, format!("{path}.name"), name);
        required(errors, format!("{path}.kind"), kind);
        if group.is_empty() && kind != "PersistentVolumeClaim" {
            let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
            errors.push(FieldError::invalid_string(path, kind, detail));
        }
        if !group.is_empty() {
            by_rule(
                errors,
                &format!("{path}.apiGroup"),
                group,
                names::dns_subdomain,
            );
        }
    };
    if let Some(source) = &spec.data_source {
        let path = format!("{path}.dataSource");
        of(
            errors,
            &path,
            text(&source.api_group),
            &source.kind,
            &source.name,
        );
    }
    let Some(source) = &spec.data_source_ref else {
        return;
    };
    let reference = format!("{path}.dataSourceRef");
    of(
        errors,
        &reference,
        text(&source.api_group),
        &source.kind,
        &source.name,
    );
    let namespace = text(&source.namespace);
    if !namespace.is_empty() {
        let path = format!("{reference}.namespace");
        by_rule(errors, &path, namespace, names::dns_label);
    }
    let Some(other) = &spec.data_source else {
        return;
    };
    let equal = other.api_group == source.api_group
        && other.kind == source.kind
        && other.name == source.name;
    let detail = if !namespace.is_empty() {
        "may not be specified when dataSourceRef.namespace is specified"
    } else if !equal {
        "must match dataSourceRef"
    } else {
        return;
    };
    // The value is the path of the other field, as in the API.
    let value = format!("{path}.dataSource");
    errors.push(FieldError::invalid_string(path, &value, detail));
}
