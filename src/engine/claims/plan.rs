use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ObjectReference, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use crate::engine::recorder::Level;
use crate::model::ObjectKey;
use crate::model::storage::volume_phase;

/// The engine has chosen the partner, not the user.
pub(super) const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
/// The claim was bound once; if it loses its volume it is lost.
pub(super) const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
const YES: &str = "yes";
/// What the engine may delete of the machine lies below this (kubelet `hostPathDeleter`).
pub(super) const DELETABLE: &str = "/tmp";

/// Something to say about an object.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Told {
    pub(super) about: ObjectReference,
    pub(super) level: Level,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// Everything the pass needs to know. Pods were listed last: an owner that is missing here is gone.
#[derive(Clone, Debug, Default)]
pub(super) struct World {
    pub(super) volumes: Vec<PersistentVolume>,
    pub(super) claims: Vec<PersistentVolumeClaim>,
    /// Those that use claims.
    pub(super) pods: Vec<Arc<Pod>>,
    /// The uids of all pods.
    pub(super) living: BTreeSet<String>,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) create: Vec<PersistentVolumeClaim>,
    pub(super) volumes: Vec<PersistentVolume>,
    pub(super) claims: Vec<PersistentVolumeClaim>,
    pub(super) told: Vec<Told>,
    /// Released volumes whose content is to be deleted, with the path of it.
    pub(super) delete: Vec<(PersistentVolume, PathBuf)>,
    /// Something waits, and is told of again from time to time.
    pub(super) waits: bool,
}

/// Namespace and name.
pub(super) type ClaimKey = (String, String);

/// The pass on its way: the objects as they will be, and what came of it so far.
pub(super) struct Pass {
    pub(super) volumes: BTreeMap<String, PersistentVolume>,
    pub(super) claims: BTreeMap<ClaimKey, PersistentVolumeClaim>,
    pub(super) pods: Vec<Arc<Pod>>,
    pub(super) now: Timestamp,
    pub(super) plan: Plan,
}

pub(super) fn plan(world: &World, now: Timestamp) -> Plan {
    let volumes = world.volumes.iter();
    let claims = world.claims.iter();
    let mut pass = Pass {
        volumes: volumes
            .map(|volume| (name_of(&volume.metadata), volume.clone()))
            .collect(),
        claims: claims
            .map(|claim| (claim_key(&claim.metadata), claim.clone()))
            .collect(),
        pods: world.pods.clone(),
        now: Timestamp::from_second(now.as_second()).unwrap_or(now),
        plan: Plan::default(),
    };
    pass.make_ephemeral();
    pass.collect_garbage(&world.living);
    pass.protect();
    for key in by_age(&pass.claims) {
        pass.claim(&key);
    }
    for name in pass.volumes.keys().cloned().collect::<Vec<_>>() {
        pass.volume(&name);
    }
    pass.let_go();
    pass.finish(world)
}

/// The older first, so that who came first is served first.
fn by_age(claims: &BTreeMap<ClaimKey, PersistentVolumeClaim>) -> Vec<ClaimKey> {
    let mut keys: Vec<(Option<Timestamp>, ClaimKey)> = claims
        .iter()
        .map(|(key, claim)| {
            let created = claim.metadata.creation_timestamp.as_ref();
            (created.map(|time| time.0), key.clone())
        })
        .collect();
    keys.sort();
    keys.into_iter().map(|(_, key)| key).collect()
}

pub(super) fn name_of(meta: &ObjectMeta) -> String {
    meta.name.clone().unwrap_or_default()
}

fn claim_key(meta: &ObjectMeta) -> ClaimKey {
    (meta.namespace.clone().unwrap_or_default(), name_of(meta))
}

pub(super) fn about(key: &ObjectKey, meta: &ObjectMeta) -> ObjectReference {
    ObjectReference {
        api_version: Some(key.kind.api_version().to_owned()),
        kind: Some(key.kind.as_str().to_owned()),
        namespace: key.namespace.clone(),
        name: Some(key.name.clone()),
        uid: meta.uid.clone(),
        resource_version: meta.resource_version.clone(),
        field_path: None,
    }
}

pub(super) fn has_annotation(meta: &ObjectMeta, key: &str) -> bool {
    let annotations = meta.annotations.as_ref();
    annotations.is_some_and(|annotations| annotations.contains_key(key))
}

pub(super) fn annotate(meta: &mut ObjectMeta, key: &str) {
    let annotations = meta.annotations.get_or_insert_default();
    annotations
        .entry(key.to_owned())
        .or_insert_with(|| YES.to_owned());
}

impl Pass {
    pub(super) fn tell(
        &mut self,
        about: ObjectReference,
        level: Level,
        reason: &'static str,
        message: &str,
    ) {
        self.plan.told.push(Told {
            about,
            level,
            reason,
            message: message.to_owned(),
        });
    }

    pub(super) fn set_volume(&mut self, name: &str, phase: &str, message: &str) {
        let Some(volume) = self.volumes.get_mut(name) else {
            return;
        };
        if volume_phase(volume) == phase {
            return;
        }
        let status = volume.status.get_or_insert_default();
        status.phase = Some(phase.to_owned());
        status.message = (!message.is_empty()).then(|| message.to_owned());
        status.last_phase_transition_time = Some(Time(self.now));
    }

    fn finish(mut self, world: &World) -> Plan {
        let before = world.volumes.iter();
        for old in before {
            if let Some(new) = self.volumes.remove(&name_of(&old.metadata))
                && new != *old
            {
                self.plan.volumes.push(new);
            }
        }
        for old in &world.claims {
            if let Some(new) = self.claims.remove(&claim_key(&old.metadata))
                && new != *old
            {
                self.plan.claims.push(new);
            }
        }
        self.plan
    }
}

pub(super) fn claim_ref(volume: &PersistentVolume) -> Option<&ObjectReference> {
    volume
        .spec
        .as_ref()
        .and_then(|spec| spec.claim_ref.as_ref())
}
