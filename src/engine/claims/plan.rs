use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    EphemeralVolumeSource, ObjectReference, PersistentVolume, PersistentVolumeClaim,
    PersistentVolumeClaimSpec, PersistentVolumeSpec, Pod,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    LabelSelector, ObjectMeta, OwnerReference, Time,
};

use crate::engine::recorder::Level;
use crate::model::pod::is_deleting;
use crate::model::selector::LabelSelector as Selector;
use crate::model::storage::{
    CLAIM_FINALIZER, VOLUME_FINALIZER, claim_class, claim_mode, claim_phase, claims_of, refers_to,
    requested, storage, uses_claim, volume_class, volume_mode, volume_phase,
};
use crate::model::{ObjectKey, Resource};

/// The engine has chosen the partner, not the user.
const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
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

type ClaimKey = (String, String);

struct Pass {
    volumes: BTreeMap<String, PersistentVolume>,
    claims: BTreeMap<ClaimKey, PersistentVolumeClaim>,
    pods: Vec<Arc<Pod>>,
    now: Timestamp,
    plan: Plan,
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

fn name_of(meta: &ObjectMeta) -> String {
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

fn has_annotation(meta: &ObjectMeta, key: &str) -> bool {
    let annotations = meta.annotations.as_ref();
    annotations.is_some_and(|annotations| annotations.contains_key(key))
}

fn annotate(meta: &mut ObjectMeta, key: &str) {
    let annotations = meta.annotations.get_or_insert_default();
    annotations
        .entry(key.to_owned())
        .or_insert_with(|| YES.to_owned());
}

fn has_finalizer(meta: &ObjectMeta, wanted: &str) -> bool {
    meta.finalizers.iter().flatten().any(|name| name == wanted)
}

fn remove_finalizer(meta: &mut ObjectMeta, unwanted: &str) {
    if let Some(finalizers) = &mut meta.finalizers {
        finalizers.retain(|name| name != unwanted);
    }
}

impl Pass {
    fn tell(&mut self, about: ObjectReference, level: Level, reason: &'static str, message: &str) {
        self.plan.told.push(Told {
            about,
            level,
            reason,
            message: message.to_owned(),
        });
    }

    /// Claims of the ephemeral volumes of pods that are to live.
    fn make_ephemeral(&mut self) {
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
    fn collect_garbage(&mut self, living: &BTreeSet<String>) {
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

    fn protect(&mut self) {
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

    fn claim(&mut self, key: &ClaimKey) {
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

    fn set_volume(&mut self, name: &str, phase: &str, message: &str) {
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

    fn volume(&mut self, name: &str) {
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

    /// Nothing that is used any more is kept.
    fn let_go(&mut self) {
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

fn claim_ref(volume: &PersistentVolume) -> Option<&ObjectReference> {
    volume
        .spec
        .as_ref()
        .and_then(|spec| spec.claim_ref.as_ref())
}

/// A pod that has a node uses what it names, even when it has ended: it may be looked at. What was made for it
/// is used until it is gone.
fn is_in_use(pod: &Pod, claim: &PersistentVolumeClaim) -> bool {
    crate::model::pod::node_name(pod).is_some() && uses_claim(pod, claim)
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

/// The volume the user means by a reference; else the one with the fewest modes, then the smallest, that is
/// free and satisfies the claim.
fn best_match<'a>(
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
fn mismatch(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Option<String> {
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
