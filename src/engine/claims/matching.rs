use k8s_openapi::api::core::v1::{
    PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::plan::{claim_ref, name_of};
use crate::model::selector::LabelSelector as Selector;
use crate::model::storage::{
    claim_class, claim_mode, refers_to, requested, storage, volume_class, volume_mode, volume_phase,
};

/// The volume the user means by a reference; else the one with the fewest modes, then the smallest, that is
/// free and satisfies the claim.
pub(super) fn best_match<'a>(
    claim: &PersistentVolumeClaim,
    volumes: impl Iterator<Item = &'a PersistentVolume> + Clone,
) -> Option<String> {
    let empty = PersistentVolumeClaimSpec::default();
    let spec = claim.spec.as_ref().unwrap_or(&empty);
    let fits = |volume: &&PersistentVolume| {
        let Some(own) = &volume.spec else {
            return false;
        };
        let modes = own.access_modes.as_deref().unwrap_or_default();
        let wanted = spec.access_modes.as_deref().unwrap_or_default();
        volume.metadata.deletion_timestamp.is_none()
            && wanted.iter().all(|mode| modes.contains(mode))
            && volume_mode(own) == claim_mode(spec)
            && storage(own.capacity.as_ref()) >= requested(spec)
    };
    let mut meant = volumes.clone().filter(fits);
    let meant =
        meant.find(|volume| claim_ref(volume).is_some_and(|reference| refers_to(reference, claim)));
    if let Some(volume) = meant {
        return volume.metadata.name.clone();
    }
    let is_free = |volume: &&PersistentVolume| {
        claim_ref(volume).is_none()
            && volume_phase(volume) == "Available"
            && volume_class(volume) == claim_class(claim)
            && selects(spec.selector.as_ref(), volume)
    };
    let size = |volume: &&PersistentVolume| {
        let own = volume.spec.clone().unwrap_or_default();
        let modes = own.access_modes.as_ref().map_or(0, Vec::len);
        (
            modes,
            storage(own.capacity.as_ref()),
            name_of(&volume.metadata),
        )
    };
    let best = volumes.filter(fits).filter(is_free).min_by_key(size)?;
    best.metadata.name.clone()
}

fn selects(selector: Option<&LabelSelector>, volume: &PersistentVolume) -> bool {
    let Some(selector) = selector else {
        return true;
    };
    let labels = volume.metadata.labels.as_ref();
    let mut pairs = selector.match_labels.iter().flatten();
    let equal = pairs.all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value));
    let requirements = selector.match_expressions.iter().flatten().map(|one| {
        let values = one.values.as_deref().unwrap_or_default();
        (one.key.as_str(), one.operator.as_str(), values)
    });
    equal && Selector::of(requirements).is_some_and(|selector| selector.matches(labels))
}

/// Why a free volume that the user has named for the claim is none for it.
pub(super) fn mismatch(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Option<String> {
    let empty = PersistentVolumeClaimSpec::default();
    let spec = claim.spec.as_ref().unwrap_or(&empty);
    let own = volume.spec.as_ref()?;
    let modes = own.access_modes.as_deref().unwrap_or_default();
    let wanted = spec.access_modes.as_deref().unwrap_or_default();
    if volume.metadata.deletion_timestamp.is_some() {
        let name = name_of(&volume.metadata);
        return Some(format!("the volume is marked for deletion \"{name}\""));
    }
    let text = if storage(own.capacity.as_ref()) < requested(spec) {
        "requested PV is too small"
    } else if volume_class(volume) != claim_class(claim) {
        "storageClassName does not match"
    } else if volume_mode(own) != claim_mode(spec) {
        "incompatible volumeMode"
    } else if !wanted.iter().all(|mode| modes.contains(mode)) {
        "incompatible accessMode"
    } else {
        return None;
    };
    Some(text.to_owned())
}
