use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    NodeSelectorTerm, PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimSpec,
    PersistentVolumeSpec, VolumeNodeAffinity,
};
use serde_json::Value;

use super::{claim, volume};
use crate::admission::field::{Errors, text};
use crate::admission::update::difference_of;
use crate::model::storage::{STORAGE, claim_phase, requested, storage};
use crate::model::{FieldError, Object};

const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// Labels of nodes by their old and their lasting names; a volume may go from the one to the other.
const RENAMED: [(&str, &str); 5] = [
    (
        "failure-domain.beta.kubernetes.io/zone",
        "topology.kubernetes.io/zone",
    ),
    (
        "failure-domain.beta.kubernetes.io/region",
        "topology.kubernetes.io/region",
    ),
    ("beta.kubernetes.io/os", "kubernetes.io/os"),
    ("beta.kubernetes.io/arch", "kubernetes.io/arch"),
    (
        "beta.kubernetes.io/instance-type",
        "node.kubernetes.io/instance-type",
    ),
];

pub(in crate::admission) fn volume_update(
    old: &PersistentVolume,
    new: &PersistentVolume,
) -> Errors {
    let mut errors = volume(new);
    let is_value = |error: &FieldError| {
        error.path.starts_with("spec.nodeAffinity.") && error.path.contains(".values[")
    };
    // What was taken once stays where it is.
    if volume(old).iter().any(is_value) {
        errors.retain(|error| !is_value(error));
    }
    let empty = PersistentVolumeSpec::default();
    let (old, new) = (
        old.spec.as_ref().unwrap_or(&empty),
        new.spec.as_ref().unwrap_or(&empty),
    );
    let (before, mut after) = (source_of(old), source_of(new));
    // A secret for growing may be added later.
    let secret = "controllerExpandSecretRef";
    if before["csi"].is_object()
        && before["csi"][secret].is_null()
        && let Some(fields) = after["csi"].as_object_mut()
    {
        fields.shift_remove(secret);
    }
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
    if let Some(before) = &old.node_affinity
        && !new
            .node_affinity
            .as_ref()
            .is_some_and(|after| is_same_place(before, after))
    {
        let value = serde_json::to_string(&new.node_affinity).unwrap_or_default();
        let detail = "field is immutable";
        errors.push(FieldError::invalid("nodeAffinity", value, detail));
    }
    let path = "spec.volumeAttributesClassName";
    if old.volume_attributes_class_name.is_some() && new.volume_attributes_class_name.is_none() {
        let detail = "update from non-nil value to nil is forbidden";
        errors.push(FieldError::forbidden(path, detail));
    }
    errors
}

/// Equal but for labels that are called by their lasting names now.
fn is_same_place(old: &VolumeNodeAffinity, new: &VolumeNodeAffinity) -> bool {
    let mut renamed = old.clone();
    let terms = |affinity: &VolumeNodeAffinity| -> Vec<NodeSelectorTerm> {
        let required = affinity.required.as_ref();
        required.map_or_else(Vec::new, |one| one.node_selector_terms.clone())
    };
    let wanted = terms(new);
    let own = renamed.required.iter_mut();
    let own = own.flat_map(|required| &mut required.node_selector_terms);
    for (own, wanted) in own.zip(&wanted) {
        let own = own.match_expressions.iter_mut().flatten();
        for (own, wanted) in own.zip(wanted.match_expressions.iter().flatten()) {
            if RENAMED.contains(&(own.key.as_str(), wanted.key.as_str())) {
                own.key.clone_from(&wanted.key);
            }
        }
    }
    renamed == *new
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

/// The class of a claim by its old annotation and by its field.
struct Class<'a> {
    annotation: Option<&'a str>,
    field: Option<&'a str>,
}

impl<'a> Class<'a> {
    fn of(claim: &'a PersistentVolumeClaim) -> Self {
        let annotations: Option<&BTreeMap<String, String>> = claim.metadata.annotations.as_ref();
        let annotation = annotations.and_then(|annotations| annotations.get(CLASS_ANNOTATION));
        let spec = claim.spec.as_ref();
        Self {
            annotation: annotation.map(String::as_str),
            field: spec.and_then(|spec| spec.storage_class_name.as_deref()),
        }
    }

    /// The annotation becomes the field: it may go, but not become another.
    fn moves_to(&self, new: &Self) -> bool {
        self.annotation.is_some()
            && self.field.is_none()
            && new.field == self.annotation
            && new
                .annotation
                .is_none_or(|class| self.annotation == Some(class))
    }

    /// A claim without a class gets one.
    fn is_given(&self, new: &Self) -> bool {
        self.field.is_none()
            && new
                .field
                .is_some_and(|class| self.annotation.is_none_or(|known| known == class))
    }
}

pub(in crate::admission) fn claim_update(
    old: &PersistentVolumeClaim,
    new: &PersistentVolumeClaim,
) -> Errors {
    let mut errors = claim(new);
    forgive(&mut errors, old);
    let (before, after) = (Class::of(old), Class::of(new));
    let moves = before.moves_to(&after);
    if !moves && before.annotation.unwrap_or_default() != after.annotation.unwrap_or_default() {
        let path = format!("metadata.annotations[{CLASS_ANNOTATION}]");
        let value = after.annotation.unwrap_or_default();
        errors.push(FieldError::invalid_string(
            path,
            value,
            "field is immutable",
        ));
    }
    let may_have_class = moves || before.is_given(&after);
    let is_bound = claim_phase(old) == "Bound";
    let empty = PersistentVolumeClaimSpec::default();
    let status = old.status.as_ref();
    let present = storage(status.and_then(|status| status.capacity.as_ref()));
    let (old, new) = (
        old.spec.as_ref().unwrap_or(&empty),
        new.spec.as_ref().unwrap_or(&empty),
    );
    let mut allowed = with_allowed_changes(old, new, is_bound);
    if may_have_class {
        allowed
            .storage_class_name
            .clone_from(&new.storage_class_name);
    }
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
    attributes_class(&mut errors, old, new);
    errors
}

/// What a claim was once taken with does not keep it from other changes.
fn forgive(errors: &mut Errors, old: &PersistentVolumeClaim) {
    let spec = old.spec.as_ref();
    let groups = [
        spec.and_then(|spec| spec.data_source.as_ref()?.api_group.as_ref()),
        spec.and_then(|spec| spec.data_source_ref.as_ref()?.api_group.as_ref()),
    ];
    if groups.iter().any(Option::is_some) {
        errors.retain(|error| !error.path.ends_with(".apiGroup"));
    }
    let of_selector = |error: &FieldError| error.path.starts_with("spec.selector.");
    if claim(old).iter().any(of_selector) {
        errors.retain(|error| !(of_selector(error) && error.path.contains(".values[")));
    }
}

fn attributes_class(
    errors: &mut Errors,
    old: &PersistentVolumeClaimSpec,
    new: &PersistentVolumeClaimSpec,
) {
    let (before, after) = (
        &old.volume_attributes_class_name,
        &new.volume_attributes_class_name,
    );
    if before.is_none() || before == after {
        return;
    }
    let detail = match after.as_deref() {
        None => "update from non-nil value to nil is forbidden",
        Some("") => "update from non-nil value to an empty string is forbidden",
        Some(_) => return,
    };
    let path = "spec.volumeAttributesClassName";
    errors.push(FieldError::forbidden(path, detail));
}

/// The old spec with every change taken over that may be made; the class is for the caller to see.
fn with_allowed_changes(
    old: &PersistentVolumeClaimSpec,
    new: &PersistentVolumeClaimSpec,
    is_bound: bool,
) -> PersistentVolumeClaimSpec {
    let mut spec = old.clone();
    if text(&old.volume_name).is_empty() {
        spec.volume_name.clone_from(&new.volume_name);
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
