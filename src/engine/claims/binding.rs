use k8s_openapi::api::core::v1::PersistentVolumeSpec;

use super::matching::{best_match, mismatch};
use super::plan::{
    BIND_COMPLETED, BOUND_BY_CONTROLLER, ClaimKey, Pass, about, annotate, claim_ref, has_annotation,
};
use crate::engine::recorder::Level;
use crate::model::Resource;
use crate::model::storage::{claim_class, claim_phase, refers_to};

impl Pass {
    pub(super) fn claim(&mut self, key: &ClaimKey) {
        let Some(claim) = self.claims.get(key) else {
            return;
        };
        let volume = claim
            .spec
            .as_ref()
            .and_then(|spec| spec.volume_name.clone())
            .unwrap_or_default();
        if has_annotation(&claim.metadata, BIND_COMPLETED) {
            self.bound_claim(key, &volume);
        } else if claim.metadata.deletion_timestamp.is_none() {
            self.unbound_claim(key, &volume);
        }
    }

    fn bound_claim(&mut self, key: &ClaimKey, volume: &str) {
        let Some(claim) = self.claims.get(key) else {
            return;
        };
        let lost = if volume.is_empty() {
            Some((
                "ClaimLost",
                "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!",
            ))
        } else {
            match self.volumes.get(volume).map(claim_ref) {
                None => Some((
                    "ClaimLost",
                    "Bound claim has lost its PersistentVolume. Data on the volume is lost!",
                )),
                Some(Some(reference)) if reference.uid != claim.metadata.uid => Some((
                    "ClaimMisbound",
                    "Two claims are bound to the same volume, this one is bound incorrectly",
                )),
                Some(_) => None,
            }
        };
        let Some((reason, message)) = lost else {
            self.bind(volume, key);
            return;
        };
        if claim_phase(claim) != "Lost" {
            let about = about(&claim.key(), &claim.metadata);
            self.set_claim(key, "Lost", None);
            self.tell(about, Level::Warning, reason, message);
        }
    }

    fn unbound_claim(&mut self, key: &ClaimKey, volume: &str) {
        let Some(claim) = self.claims.get(key) else {
            return;
        };
        let me = about(&claim.key(), &claim.metadata);
        if volume.is_empty() {
            if let Some(best) = best_match(claim, self.volumes.values()) {
                self.bind(&best, key);
                return;
            }
            self.plan.waits = true;
            let class = claim_class(claim);
            if class.is_empty() {
                let text =
                    "no persistent volumes available for this claim and no storage class is set";
                self.tell(me, Level::Normal, "FailedBinding", text);
            } else {
                let text = format!("storageclass.storage.k8s.io \"{class}\" not found");
                self.tell(me, Level::Warning, "ProvisioningFailed", &text);
            }
            self.set_claim(key, "Pending", None);
            return;
        }
        let found = self.volumes.get(volume);
        let Some(found) = found else {
            self.set_claim(key, "Pending", None);
            return;
        };
        let trouble = match claim_ref(found) {
            Some(reference) if refers_to(reference, claim) => None,
            Some(_) => Some((
                "FailedBinding",
                format!("volume \"{volume}\" already bound to a different claim."),
            )),
            None => mismatch(found, claim).map(|why| {
                let text = format!("Cannot bind to requested volume \"{volume}\": {why}");
                ("VolumeMismatch", text)
            }),
        };
        match trouble {
            None => self.bind(volume, key),
            Some((reason, text)) => {
                self.plan.waits = true;
                self.set_claim(key, "Pending", None);
                self.tell(me, Level::Warning, reason, &text);
            }
        }
    }

    /// Makes both belong to each other; nothing changes when they do already.
    fn bind(&mut self, name: &str, key: &ClaimKey) {
        let (Some(volume), Some(claim)) = (self.volumes.get_mut(name), self.claims.get_mut(key))
        else {
            return;
        };
        let by_user = claim_ref(volume).is_some_and(|reference| refers_to(reference, claim));
        let is_whole =
            claim_ref(volume).is_some_and(|reference| reference.uid == claim.metadata.uid);
        if !by_user || !is_whole {
            let spec = volume.spec.get_or_insert_default();
            spec.claim_ref = Some(about(&claim.key(), &claim.metadata));
        }
        if !by_user {
            annotate(&mut volume.metadata, BOUND_BY_CONTROLLER);
        }
        let spec = claim.spec.get_or_insert_default();
        if spec.volume_name.as_deref() != Some(name) {
            spec.volume_name = Some(name.to_owned());
            annotate(&mut claim.metadata, BOUND_BY_CONTROLLER);
        }
        annotate(&mut claim.metadata, BIND_COMPLETED);
        let spec = volume.spec.clone().unwrap_or_default();
        self.set_volume(name, "Bound", "");
        self.set_claim(key, "Bound", Some(&spec));
    }

    /// Modes and capacity are those of the volume.
    fn set_claim(&mut self, key: &ClaimKey, phase: &str, volume: Option<&PersistentVolumeSpec>) {
        if let Some(claim) = self.claims.get_mut(key) {
            let status = claim.status.get_or_insert_default();
            status.phase = Some(phase.to_owned());
            status.access_modes = volume.and_then(|volume| volume.access_modes.clone());
            status.capacity = volume.and_then(|volume| volume.capacity.clone());
        }
    }
}
