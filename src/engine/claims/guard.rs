use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::plan::Pass;
use crate::model::storage::{CLAIM_FINALIZER, VOLUME_FINALIZER, uses_claim, volume_phase};

impl Pass {
    /// Neither goes while it is used.
    pub(super) fn protect(&mut self) {
        let claims = self.claims.values_mut();
        let claims = claims.map(|claim| (&mut claim.metadata, CLAIM_FINALIZER));
        let volumes = self.volumes.values_mut();
        let volumes = volumes.map(|volume| (&mut volume.metadata, VOLUME_FINALIZER));
        for (meta, finalizer) in claims.chain(volumes) {
            if meta.deletion_timestamp.is_none() && !has_finalizer(meta, finalizer) {
                let finalizers = meta.finalizers.get_or_insert_default();
                finalizers.push(finalizer.to_owned());
            }
        }
    }

    /// Nothing that is used any more is kept.
    pub(super) fn let_go(&mut self) {
        for claim in self.claims.values_mut() {
            let is_used = self.pods.iter().any(|pod| is_in_use(pod, claim));
            if claim.metadata.deletion_timestamp.is_some() && !is_used {
                remove_finalizer(&mut claim.metadata, CLAIM_FINALIZER);
            }
        }
        for volume in self.volumes.values_mut() {
            if volume.metadata.deletion_timestamp.is_some() && volume_phase(volume) != "Bound" {
                remove_finalizer(&mut volume.metadata, VOLUME_FINALIZER);
            }
        }
    }
}

fn has_finalizer(meta: &ObjectMeta, wanted: &str) -> bool {
    meta.finalizers.iter().flatten().any(|name| name == wanted)
}

fn remove_finalizer(meta: &mut ObjectMeta, unwanted: &str) {
    if let Some(finalizers) = &mut meta.finalizers {
        finalizers.retain(|name| name != unwanted);
    }
}

/// A pod that has a node uses what it names, even when it has ended: it may be looked at. What was made for it
/// is used until it is gone.
fn is_in_use(pod: &Pod, claim: &PersistentVolumeClaim) -> bool {
    crate::model::pod::node_name(pod).is_some() && uses_claim(pod, claim)
}
