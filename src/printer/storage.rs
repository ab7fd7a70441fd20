//! Rows of persistent volumes and claims.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::duration::age;
use crate::model::storage::{
    STORAGE, access_modes, claim_class, claim_phase, volume_class, volume_phase,
};

const UNSET: &str = "<unset>";

/// `0` when it is not said, as a quantity that was never set prints.
pub(super) fn capacity_text(amounts: Option<&BTreeMap<String, Quantity>>) -> String {
    let amount = amounts.and_then(|amounts| amounts.get(STORAGE));
    amount.map_or_else(|| "0".to_owned(), |amount| amount.0.clone())
}

fn or_unset(text: Option<&String>) -> String {
    text.cloned().unwrap_or_else(|| UNSET.to_owned())
}

pub(super) fn volume_cells(volume: &PersistentVolume, wide: bool, now: Timestamp) -> Vec<String> {
    let (meta, spec, status) = (
        &volume.metadata,
        volume.spec.as_ref(),
        volume.status.as_ref(),
    );
    let phase = match meta.deletion_timestamp {
        Some(_) => "Terminating",
        None => volume_phase(volume),
    };
    let claim = spec.and_then(|spec| spec.claim_ref.as_ref()).map(|claim| {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        format!("{}/{}", text(&claim.namespace), text(&claim.name))
    });
    let mut cells = vec![
        meta.name.clone().unwrap_or_default(),
        capacity_text(spec.and_then(|spec| spec.capacity.as_ref())),
        access_modes(spec.and_then(|spec| spec.access_modes.as_ref())),
        spec.and_then(|spec| spec.persistent_volume_reclaim_policy.clone())
            .unwrap_or_default(),
        phase.to_owned(),
        claim.unwrap_or_default(),
        volume_class(volume).to_owned(),
        or_unset(spec.and_then(|spec| spec.volume_attributes_class_name.as_ref())),
        status
            .and_then(|status| status.reason.clone())
            .unwrap_or_default(),
        age(now, meta.creation_timestamp.as_ref()),
    ];
    if wide {
        cells.push(or_unset(spec.and_then(|spec| spec.volume_mode.as_ref())));
    }
    cells
}

pub(super) fn claim_cells(
    claim: &PersistentVolumeClaim,
    wide: bool,
    now: Timestamp,
) -> Vec<String> {
    let (meta, spec) = (&claim.metadata, claim.spec.as_ref());
    let phase = match meta.deletion_timestamp {
        Some(_) => "Terminating",
        None => claim_phase(claim),
    };
    let volume = spec
        .and_then(|spec| spec.volume_name.clone())
        .unwrap_or_default();
    let (capacity, modes) = claim_size(claim);
    let mut cells = vec![
        meta.name.clone().unwrap_or_default(),
        phase.to_owned(),
        volume,
        capacity,
        modes,
        claim_class(claim).to_owned(),
        or_unset(spec.and_then(|spec| spec.volume_attributes_class_name.as_ref())),
        age(now, meta.creation_timestamp.as_ref()),
    ];
    if wide {
        cells.push(or_unset(spec.and_then(|spec| spec.volume_mode.as_ref())));
    }
    cells
}

/// Capacity and access modes of the volume, empty while the claim has none.
pub(super) fn claim_size(claim: &PersistentVolumeClaim) -> (String, String) {
    let name = claim
        .spec
        .as_ref()
        .and_then(|spec| spec.volume_name.as_deref());
    if name.unwrap_or_default().is_empty() {
        return (String::new(), String::new());
    }
    let status = claim.status.as_ref();
    (
        capacity_text(status.and_then(|status| status.capacity.as_ref())),
        access_modes(status.and_then(|status| status.access_modes.as_ref())),
    )
}
