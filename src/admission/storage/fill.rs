use k8s_openapi::api::core::v1::{
    PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimSpec, TypedLocalObjectReference,
    TypedObjectReference,
};

use crate::admission::defaults::fill;
use crate::admission::field::text;
use crate::admission::foreign;
use crate::model::Object;
use crate::model::storage::{CLAIM_FINALIZER, FILESYSTEM, VOLUME_FINALIZER};

/// New volumes and claims cannot go while they are used (admission plugin StorageObjectInUseProtection).
pub(in crate::admission) fn protect(object: &mut Object) {
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
        | Object::Namespace(_)
        | Object::PriorityClass(_) => return,
    };
    let finalizers = object.meta_mut().finalizers.get_or_insert_default();
    if !finalizers.iter().any(|known| known == finalizer) {
        finalizers.push(finalizer.to_owned());
    }
}

pub(in crate::admission) fn default_volume(volume: &mut PersistentVolume) {
    if let Some(spec) = &mut volume.spec {
        fill(&mut spec.persistent_volume_reclaim_policy, "Retain");
        spec.volume_mode
            .get_or_insert_with(|| FILESYSTEM.to_owned());
        if let Some(source) = &mut spec.host_path {
            source.type_.get_or_insert_default();
        }
        foreign::default_persistent(spec);
    }
    let status = volume.status.get_or_insert_default();
    fill(&mut status.phase, "Pending");
}

pub(in crate::admission) fn default_claim(claim: &mut PersistentVolumeClaim) {
    if let Some(spec) = &mut claim.spec {
        default_claim_spec(spec);
        data_sources(spec);
    }
    let status = claim.status.get_or_insert_default();
    fill(&mut status.phase, "Pending");
}

pub(in crate::admission) fn default_claim_spec(spec: &mut PersistentVolumeClaimSpec) {
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
