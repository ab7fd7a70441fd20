use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{EphemeralVolumeSource, PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};

use super::plan::{ClaimKey, Pass, name_of};
use crate::model::pod::is_deleting;
use crate::model::storage::claims_of;

impl Pass {
    /// Claims of the ephemeral volumes of pods that are to live.
    pub(super) fn make_ephemeral(&mut self) {
        let mut made = Vec::new();
        for pod in self.pods.iter().filter(|pod| !is_deleting(pod)) {
            for (volume, name) in claims_of(pod) {
                let namespace = pod.metadata.namespace.clone().unwrap_or_default();
                let key = (namespace, name);
                if let Some(source) = &volume.ephemeral
                    && !self.claims.contains_key(&key)
                {
                    made.extend(ephemeral_claim(pod, key, source));
                }
            }
        }
        self.plan.create = made;
    }

    /// What belongs to pods goes when the last of them has gone.
    pub(super) fn collect_garbage(&mut self, living: &BTreeSet<String>) {
        for claim in self.claims.values_mut() {
            let owners = claim
                .metadata
                .owner_references
                .as_deref()
                .unwrap_or_default();
            let orphaned = !owners.is_empty()
                && owners.iter().all(|owner| {
                    owner.kind == "Pod" && owner.api_version == "v1" && !living.contains(&owner.uid)
                });
            if orphaned && claim.metadata.deletion_timestamp.is_none() {
                claim.metadata.deletion_timestamp = Some(Time(self.now));
                claim.metadata.deletion_grace_period_seconds = Some(0);
            }
        }
    }
}

fn ephemeral_claim(
    pod: &Pod,
    (namespace, name): ClaimKey,
    source: &EphemeralVolumeSource,
) -> Option<PersistentVolumeClaim> {
    let template = source.volume_claim_template.as_ref()?;
    let meta = template.metadata.clone().unwrap_or_default();
    let owner = OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        name: name_of(&pod.metadata),
        uid: pod.metadata.uid.clone()?,
        controller: Some(true),
        block_owner_deletion: Some(true),
    };
    Some(PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(namespace),
            labels: meta.labels,
            annotations: meta.annotations,
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(template.spec.clone()),
        status: None,
    })
}
