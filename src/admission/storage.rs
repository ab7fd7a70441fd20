//! PersistentVolumes and their claims: defaults, validation and what may change.

use k8s_openapi::api::core::v1::{
    EphemeralVolumeSource, LocalVolumeSource, PersistentVolume, PersistentVolumeClaim,
    PersistentVolumeClaimSpec, PersistentVolumeClaimTemplate, PersistentVolumeSpec,
    TypedLocalObjectReference, TypedObjectReference,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::defaults::fill;
use super::field::{Errors, by_rule, no_backsteps, required, text};
use super::preset::label_selector;
use super::update::difference_of;
use super::{foreign, metadata, scheduling, volume};
use crate::model::quantity::ParsedQuantity;
use crate::model::storage::{
    CLAIM_FINALIZER, FILESYSTEM, ONE_POD, STORAGE, VOLUME_FINALIZER, claim_phase, requested,
    storage,
};
use crate::model::{FieldError, Object, names};

const ACCESS_MODES: [&str; 4] = [
    "ReadOnlyMany",
    "ReadWriteMany",
    "ReadWriteOnce",
    "ReadWriteOncePod",
];
const RECLAIM_POLICIES: [&str; 3] = ["Delete", "Recycle", "Retain"];
const VOLUME_MODES: [&str; 2] = ["Block", FILESYSTEM];
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
const MANY_SOURCES: &str = "may not specify more than 1 volume type";

/// New volumes and claims cannot go while they are used (admission plugin StorageObjectInUseProtection).
pub(super) fn protect(object: &mut Object) {
    let finalizer = match object {
        Object::PersistentVolume(_) => VOLUME_FINALIZER,
        Object::PersistentVolumeClaim(_) => CLAIM_FINALIZER,
        Object::Pod(_)
        | Object::ConfigMap(_)
        | Object::Secret(_)
        | Object::ServiceAccount(_)
        | Object::PodPreset(_)
        | Object::Event(_)
        | Object::Node(_)
        | Object::Namespace(_) => return,
    };
    let finalizers = object.meta_mut().finalizers.get_or_insert_default();
    if !finalizers.iter().any(|known| known == finalizer) {
        finalizers.push(finalizer.to_owned());
    }
}

pub(super) fn default_volume(volume: &mut PersistentVolume) {
    if let Some(spec) = &mut volume.spec {
        fill(&mut spec.persistent_volume_reclaim_policy, "Retain");
        spec.volume_mode
            .get_or_insert_with(|| FILESYSTEM.to_owned());
        if let Some(source) = &mut spec.host_path {
            source.type_.get_or_insert_default();
        }
    }
    let status = volume.status.get_or_insert_default();
    fill(&mut status.phase, "Pending");
}

pub(super) fn default_claim(claim: &mut PersistentVolumeClaim) {
    if let Some(spec) = &mut claim.spec {
        default_claim_spec(spec);
        data_sources(spec);
    }
    let status = claim.status.get_or_insert_default();
    fill(&mut status.phase, "Pending");
}

pub(super) fn default_claim_spec(spec: &mut PersistentVolumeClaimSpec) {
    spec.volume_mode
        .get_or_insert_with(|| FILESYSTEM.to_owned());
}

/// The older and the newer field say the same (registry `NormalizeDataSources`).
fn data_sources(spec: &mut PersistentVolumeClaimSpec) {
    match (&spec.data_source, &spec.data_source_ref) {
        (Some(source), None) => {
            spec.data_source_ref = Some(TypedObjectReference {
                api_group: source.api_group.clone(),
                kind: source.kind.clone(),
                name: source.name.clone(),
                namespace: None,
            });
        }
        (None, Some(source)) if text(&source.namespace).is_empty() => {
            spec.data_source = Some(TypedLocalObjectReference {
                api_group: source.api_group.clone(),
                kind: source.kind.clone(),
                name: source.name.clone(),
            });
        }
        _ => {}
    }
}

pub(super) fn volume(volume: &PersistentVolume) -> Errors {
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
    sources(&mut errors, spec);
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

fn access_modes(errors: &mut Errors, path: &str, modes: &[String]) {
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

fn volume_mode(errors: &mut Errors, path: &str, mode: Option<&String>) {
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

fn positive(errors: &mut Errors, path: String, value: &str, amount: ParsedQuantity) {
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

/// Every source after the first is one too many; the API looks into the first only.
fn sources(errors: &mut Errors, spec: &PersistentVolumeSpec) {
    let path = "spec";
    let names = crate::model::storage::source_names(spec);
    match names.first() {
        None => {}
        Some(&"hostPath") => {
            if let Some(source) = &spec.host_path {
                volume::host_path(errors, "spec.hostPath", source);
            }
        }
        Some(&"local") => {
            if let Some(source) = &spec.local {
                local(errors, source);
            }
            if spec.node_affinity.is_none() {
                let detail = "Local volume requires node affinity";
                errors.push(FieldError::required("spec.nodeAffinity", detail));
            }
        }
        Some(name) => {
            let fields = serde_json::to_value(spec).unwrap_or_default();
            foreign::source(errors, &format!("{path}.{name}"), name, &fields[*name]);
        }
    }
    for name in names.iter().skip(1) {
        errors.push(FieldError::forbidden(
            format!("{path}.{name}"),
            MANY_SOURCES,
        ));
    }
    if names.is_empty() {
        errors.push(FieldError::required(path, "must specify a volume type"));
    }
    let recycled = text(&spec.persistent_volume_reclaim_policy) == "Recycle";
    let is_root = |path: &str| path.split('/').all(|part| part.is_empty() || part == ".");
    let root = spec
        .host_path
        .as_ref()
        .is_some_and(|source| source.path.starts_with('/') && is_root(&source.path));
    if recycled && root {
        let detail = "may not be 'recycle' for a hostPath mount of '/'";
        errors.push(FieldError::forbidden(
            "spec.persistentVolumeReclaimPolicy",
            detail,
        ));
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

pub(super) fn claim(claim: &PersistentVolumeClaim) -> Errors {
    let mut errors = Errors::new();
    let empty = PersistentVolumeClaimSpec::default();
    claim_spec(&mut errors, "spec", claim.spec.as_ref().unwrap_or(&empty));
    errors
}

fn claim_spec(errors: &mut Errors, path: &str, spec: &PersistentVolumeClaimSpec) {
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

/// The claim that a pod brings with a volume of its own. `pod` is empty where the name is not known yet.
pub(super) fn ephemeral(errors: &mut Errors, path: &str, source: &EphemeralVolumeSource) {
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
pub(super) fn ephemeral_name(errors: &mut Errors, path: &str, pod: &str, volume: &str) {
    if pod.is_empty() || volume.is_empty() {
        return;
    }
    let name = format!("{pod}-{volume}");
    for problem in names::dns_subdomain(&name) {
        let detail = format!("PVC name {name:?}: {problem}");
        errors.push(FieldError::invalid_string(
            format!("{path}.name"),
            volume,
            detail,
        ));
    }
}

pub(super) fn volume_update(old: &PersistentVolume, new: &PersistentVolume) -> Errors {
    let mut errors = volume(new);
    let empty = PersistentVolumeSpec::default();
    let (old, new) = (
        old.spec.as_ref().unwrap_or(&empty),
        new.spec.as_ref().unwrap_or(&empty),
    );
    let (before, after) = (source_of(old), source_of(new));
    if before != after {
        let path = "spec.persistentvolumesource";
        let difference = difference_of("spec", &before, &after);
        let detail = format!("{path} is immutable after creation\n{difference}");
        errors.push(FieldError::forbidden(path, detail));
    }
    immutable(
        &mut errors,
        "volumeMode",
        &old.volume_mode,
        &new.volume_mode,
    );
    if old.node_affinity.is_some() {
        immutable(
            &mut errors,
            "nodeAffinity",
            &old.node_affinity,
            &new.node_affinity,
        );
    }
    let path = "spec.volumeAttributesClassName";
    if old.volume_attributes_class_name.is_some() && new.volume_attributes_class_name.is_none() {
        let detail = "update from non-nil value to nil is forbidden";
        errors.push(FieldError::forbidden(path, detail));
    }
    errors
}

/// The fields of the spec that are its source.
fn source_of(spec: &PersistentVolumeSpec) -> Value {
    let mut fields = serde_json::to_value(spec).unwrap_or_default();
    if let Value::Object(fields) = &mut fields {
        for other in [
            "accessModes",
            "capacity",
            "claimRef",
            "mountOptions",
            "nodeAffinity",
            "persistentVolumeReclaimPolicy",
            "storageClassName",
            "volumeAttributesClassName",
            "volumeMode",
        ] {
            fields.shift_remove(other);
        }
    }
    fields
}

fn immutable<T: PartialEq + serde::Serialize>(errors: &mut Errors, path: &str, old: &T, new: &T) {
    if old != new {
        let value = serde_json::to_string(new).unwrap_or_default();
        errors.push(FieldError::invalid(path, value, "field is immutable"));
    }
}

const CLAIM_ONLY: &str = "spec is immutable after creation except resources.requests and \
                          volumeAttributesClassName for bound claims";

pub(super) fn claim_update(old: &PersistentVolumeClaim, new: &PersistentVolumeClaim) -> Errors {
    let mut errors = claim(new);
    let class = |claim: &PersistentVolumeClaim| {
        let annotations = claim.metadata.annotations.as_ref();
        annotations.and_then(|annotations| annotations.get(CLASS_ANNOTATION).cloned())
    };
    if class(old) != class(new) {
        let path = format!("metadata.annotations[{CLASS_ANNOTATION}]");
        let value = class(new).unwrap_or_default();
        errors.push(FieldError::invalid_string(
            path,
            &value,
            "field is immutable",
        ));
    }
    let is_bound = claim_phase(old) == "Bound";
    let empty = PersistentVolumeClaimSpec::default();
    let status = old.status.as_ref();
    let present = storage(status.and_then(|status| status.capacity.as_ref()));
    let (old, new) = (
        old.spec.as_ref().unwrap_or(&empty),
        new.spec.as_ref().unwrap_or(&empty),
    );
    let allowed = with_allowed_changes(old, new, is_bound);
    if allowed != *new {
        let difference = difference_of("spec", &allowed, new);
        let detail = format!("{CLAIM_ONLY}\n{difference}");
        errors.push(FieldError::forbidden("spec", detail));
    }
    if requested(new) < requested(old) && requested(new) <= present {
        let path = "spec.resources.requests.storage";
        let detail = "field can not be less than status.capacity";
        errors.push(FieldError::forbidden(path, detail));
    }
    immutable(
        &mut errors,
        "volumeMode",
        &old.volume_mode,
        &new.volume_mode,
    );
    if old.volume_attributes_class_name.is_some() {
        let path = "spec.volumeAttributesClassName";
        let detail = match new.volume_attributes_class_name.as_deref() {
            None => "update from non-nil value to nil is forbidden",
            Some("") => "update from non-nil value to an empty string is forbidden",
            Some(_) => return errors,
        };
        errors.push(FieldError::forbidden(path, detail));
    }
    errors
}

/// The old spec with every change taken over that may be made.
fn with_allowed_changes(
    old: &PersistentVolumeClaimSpec,
    new: &PersistentVolumeClaimSpec,
    is_bound: bool,
) -> PersistentVolumeClaimSpec {
    let mut spec = old.clone();
    if text(&old.volume_name).is_empty() {
        spec.volume_name.clone_from(&new.volume_name);
    }
    if old.storage_class_name.is_none() {
        spec.storage_class_name.clone_from(&new.storage_class_name);
    }
    if is_bound {
        let wanted = new
            .resources
            .as_ref()
            .and_then(|resources| resources.requests.as_ref()?.get(STORAGE));
        let requests = spec
            .resources
            .as_mut()
            .and_then(|resources| resources.requests.as_mut());
        if let (Some(wanted), Some(requests)) = (wanted, requests) {
            requests.insert(STORAGE.to_owned(), wanted.clone());
        }
        if new.volume_attributes_class_name.is_some() {
            spec.volume_attributes_class_name
                .clone_from(&new.volume_attributes_class_name);
        }
    }
    // What is wrong with this has an error of its own, too.
    spec
}

/// Why a claim cannot grow (admission plugin PersistentVolumeClaimResize): volumes that nobody provisioned
/// cannot.
pub(crate) fn refuse_growth(old: &Object, new: &Object) -> Option<&'static str> {
    let (Object::PersistentVolumeClaim(old), Object::PersistentVolumeClaim(new)) = (old, new)
    else {
        return None;
    };
    let wanted = |claim: &PersistentVolumeClaim| claim.spec.as_ref().map(requested);
    if wanted(new) <= wanted(old) {
        return None;
    }
    Some(if claim_phase(old) == "Bound" {
        "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"
    } else {
        "Only bound persistent volume claims can be expanded"
    })
}
