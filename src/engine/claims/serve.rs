use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod, Volume};

use super::look::{is_bound, is_for_one_pod, volume_name};
use crate::engine::machine::Machine;
use crate::model::Resource;
use crate::model::pod::is_terminal;
use crate::model::storage::{claim_name, claims_of, not_made_for, refers_to};
use crate::volume::Claimed;

impl Machine {
    /// What the kubelet finds behind a volume with a claim, or its words for why it finds nothing.
    pub(in crate::engine) fn claimed(&self, pod: &Pod, volume: &Volume) -> Result<Claimed, String> {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let name = claim_name(pod, volume).unwrap_or_default();
        let claim = self
            .store
            .get::<PersistentVolumeClaim>(namespace, &name)
            .ok_or_else(|| {
                format!("failed to fetch PVC from API server: persistentvolumeclaims \"{name}\" not found")
            })?;
        if let (true, Some(why)) = (volume.ephemeral.is_some(), not_made_for(&claim, pod)) {
            return Err(why);
        }
        if claim.metadata.deletion_timestamp.is_some() {
            return Err("PVC is being deleted".to_owned());
        }
        if !is_bound(&claim) {
            return Err("PVC is not bound".to_owned());
        }
        let found = self
            .store
            .get::<PersistentVolume>("", volume_name(&claim))
            .ok_or_else(|| {
                let name = volume_name(&claim);
                format!(
                    "failed to get PV {name} from PV lister: persistentvolume \"{name}\" not found"
                )
            })?;
        let reference = found.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
        if !reference.is_some_and(|reference| refers_to(reference, &claim)) {
            return Err(format!(
                "PV {} is not bound to this PVC",
                found.metadata.name.as_deref().unwrap_or_default()
            ));
        }
        let is_shared = self.is_used_by_others(pod, &name);
        if is_shared && is_for_one_pod(&claim) {
            return Err(
                "volume uses the ReadWriteOncePod access mode and is already in use by another pod"
                    .to_owned(),
            );
        }
        Ok(Claimed {
            volume: found,
            is_shared,
        })
    }

    /// Another pod that was accepted here and has not ended uses the claim.
    fn is_used_by_others(&self, pod: &Pod, claim: &str) -> bool {
        let (pods, _) = self.store.list::<Pod>(pod.metadata.namespace.as_deref());
        pods.iter().any(|other| {
            let status = other.status.as_ref();
            other.uid() != pod.uid()
                && status.is_some_and(|status| status.start_time.is_some())
                && !is_terminal(other)
                && claims_of(other).any(|(_, name)| name == claim)
        })
    }
}
