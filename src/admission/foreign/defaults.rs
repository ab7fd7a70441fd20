use k8s_openapi::api::core::v1::{PersistentVolumeSpec, Volume};

use crate::admission::defaults::fill;

const ISCSI_INTERFACE: &str = "default";
const RBD: [&str; 3] = ["rbd", "admin", "/etc/ceph/keyring"];
const SCALE_IO: [&str; 2] = ["ThinProvisioned", "xfs"];

/// What the API fills into sources of pods (`+default` of staging/src/k8s.io/api/core/v1/types.go).
pub(in crate::admission) fn default_pod(volume: &mut Volume) {
    if let Some(source) = &mut volume.iscsi {
        fill(&mut source.iscsi_interface, ISCSI_INTERFACE);
    }
    if let Some(source) = &mut volume.rbd {
        fill(&mut source.pool, RBD[0]);
        fill(&mut source.user, RBD[1]);
        fill(&mut source.keyring, RBD[2]);
    }
    if let Some(source) = &mut volume.scale_io {
        fill(&mut source.storage_mode, SCALE_IO[0]);
        fill(&mut source.fs_type, SCALE_IO[1]);
    }
    if let Some(source) = &mut volume.azure_disk {
        default_azure(source);
    }
}

/// The same for persistent volumes.
pub(in crate::admission) fn default_persistent(spec: &mut PersistentVolumeSpec) {
    if let Some(source) = &mut spec.iscsi {
        fill(&mut source.iscsi_interface, ISCSI_INTERFACE);
    }
    if let Some(source) = &mut spec.rbd {
        fill(&mut source.pool, RBD[0]);
        fill(&mut source.user, RBD[1]);
        fill(&mut source.keyring, RBD[2]);
    }
    if let Some(source) = &mut spec.scale_io {
        fill(&mut source.storage_mode, SCALE_IO[0]);
        fill(&mut source.fs_type, SCALE_IO[1]);
    }
    if let Some(source) = &mut spec.azure_disk {
        default_azure(source);
    }
}

fn default_azure(source: &mut k8s_openapi::api::core::v1::AzureDiskVolumeSource) {
    source
        .caching_mode
        .get_or_insert_with(|| "ReadWrite".to_owned());
    source.fs_type.get_or_insert_with(|| "ext4".to_owned());
    source.kind.get_or_insert_with(|| "Shared".to_owned());
    source.read_only.get_or_insert(false);
}
