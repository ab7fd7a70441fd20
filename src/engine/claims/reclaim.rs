use std::path::{Component, Path, PathBuf};

use k8s_openapi::api::core::v1::PersistentVolumeSpec;

use super::plan::{
    BOUND_BY_CONTROLLER, ClaimKey, DELETABLE, Pass, about, claim_ref, has_annotation,
};
use crate::engine::recorder::Level;
use crate::model::Resource;
use crate::model::storage::{claims_of, volume_phase};

impl Pass {
    pub(super) fn volume(&mut self, name: &str) {
        let Some(volume) = self.volumes.get(name) else {
            return;
        };
        let Some(reference) = claim_ref(volume).cloned() else {
            self.set_volume(name, "Available", "");
            return;
        };
        let uid = reference.uid.clone().unwrap_or_default();
        if uid.is_empty() {
            self.set_volume(name, "Available", "");
            return;
        }
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let key = (text(&reference.namespace), text(&reference.name));
        let claim = self.claims.get(&key);
        let claim = claim.filter(|claim| claim.metadata.uid.as_deref() == Some(uid.as_str()));
        let Some(claim) = claim else {
            if !matches!(volume_phase(volume), "Released" | "Failed") {
                self.set_volume(name, "Released", "");
            }
            self.reclaim(name, &key);
            return;
        };
        let bound_to = claim
            .spec
            .as_ref()
            .and_then(|spec| spec.volume_name.clone())
            .unwrap_or_default();
        if bound_to == name {
            self.set_volume(name, "Bound", "");
        } else if !bound_to.is_empty() {
            self.unbind(name);
        }
    }

    /// The claim went with another volume.
    fn unbind(&mut self, name: &str) {
        if let Some(volume) = self.volumes.get_mut(name) {
            let by_engine = has_annotation(&volume.metadata, BOUND_BY_CONTROLLER);
            if let Some(annotations) = &mut volume.metadata.annotations {
                annotations.remove(BOUND_BY_CONTROLLER);
            }
            if let Some(spec) = &mut volume.spec {
                if by_engine {
                    spec.claim_ref = None;
                } else if let Some(reference) = &mut spec.claim_ref {
                    // The user wanted this claim; it may come back.
                    reference.uid = None;
                }
            }
        }
        self.set_volume(name, "Available", "");
    }

    fn reclaim(&mut self, name: &str, key: &ClaimKey) {
        let Some(volume) = self.volumes.get(name) else {
            return;
        };
        let spec = volume.spec.as_ref();
        let policy = spec.and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
        match policy.unwrap_or("Retain") {
            "Retain" => {}
            "Recycle" => {
                let text = "No recycler plugin found for the volume!";
                self.fail(name, "VolumeFailedRecycle", text);
            }
            "Delete" if self.is_named_by_pods(key) => self.plan.waits = true,
            "Delete" => match deletable(name, spec) {
                Ok(path) if volume.metadata.deletion_timestamp.is_none() => {
                    // Tried again for as long as it fails.
                    self.plan.waits = true;
                    self.plan.delete.push((volume.clone(), path));
                }
                Ok(_) => {}
                Err(text) => self.fail(name, "VolumeFailedDelete", &text),
            },
            _ => {
                let text = "Volume has unrecognized PersistentVolumeReclaimPolicy";
                self.fail(name, "VolumeUnknownReclaimPolicy", text);
            }
        }
    }

    /// A claim can be forced away under its pods; their data must not be.
    fn is_named_by_pods(&self, (namespace, name): &ClaimKey) -> bool {
        self.pods.iter().any(|pod| {
            pod.metadata.namespace.as_ref() == Some(namespace)
                && claims_of(pod).any(|(_, used)| used == *name)
        })
    }

    fn fail(&mut self, name: &str, reason: &'static str, text: &str) {
        let Some(volume) = self.volumes.get(name) else {
            return;
        };
        if volume_phase(volume) != "Failed" {
            let about = about(&volume.key(), &volume.metadata);
            self.set_volume(name, "Failed", text);
            self.tell(about, Level::Warning, reason, text);
        }
    }
}

/// Only directories below `/tmp` are ever deleted. A cluster looks for `/tmp/` anywhere in the path; that is
/// not followed, because `/srv/tmp/x` is no temporary directory of the machine.
fn deletable(name: &str, spec: Option<&PersistentVolumeSpec>) -> Result<PathBuf, String> {
    let Some(source) = spec.and_then(|spec| spec.host_path.as_ref()) else {
        return Err(format!(
            "error getting deleter volume plugin for volume \"{name}\": no deletable volume plugin matched"
        ));
    };
    let path = Path::new(&source.path);
    let below = path.strip_prefix(DELETABLE).ok();
    let plain = below.is_some_and(|below| {
        let mut parts = below.components();
        below.components().next().is_some()
            && parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
    });
    if plain {
        return Ok(path.to_owned());
    }
    Err(format!(
        "host_path deleter only supports /tmp/.+ but received provided {}",
        source.path
    ))
}
