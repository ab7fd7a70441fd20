use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    Node, NodeSelector, PersistentVolume, PersistentVolumeClaim, Pod,
};

use super::plan::BIND_COMPLETED;
use crate::model::storage::{ONE_POD, claim_phase, claims_of, not_made_for, selects_node};
use crate::model::{Kind, ObjectKey, Resource};
use crate::store::Store;

/// What the claims of a pod ask of the node.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::engine) struct Needs {
    /// Claims that one pod may use at a time.
    pub(in crate::engine) one_pod: BTreeSet<ObjectKey>,
    /// A claim is bound to a volume that is gone.
    pub(in crate::engine) lacks_volume: bool,
    /// Which nodes have the volumes.
    nodes: Vec<NodeSelector>,
}

impl Needs {
    pub(in crate::engine) fn is_reachable_from(&self, node: &Node) -> bool {
        let name = node.metadata.name.as_deref().unwrap_or_default();
        let labels = node.metadata.labels.as_ref();
        let mut nodes = self.nodes.iter();
        nodes.all(|selector| selects_node(selector, labels, name))
    }
}

fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or_default()
}

/// The scheduler's look at the claims of a pod before it looks at any node; `Err`: its words for why there is
/// no use in that.
pub(in crate::engine) fn look(store: &Store, pod: &Pod) -> Result<Needs, String> {
    let mut needs = Needs::default();
    let mut claims = Vec::new();
    for (volume, name) in claims_of(pod) {
        let claim = store.get::<PersistentVolumeClaim>(namespace(pod), &name);
        let ephemeral = volume.ephemeral.is_some();
        let Some(claim) = claim else {
            return Err(if ephemeral {
                format!(
                    "waiting for ephemeral volume controller to create the persistentvolumeclaim \"{name}\""
                )
            } else {
                format!("persistentvolumeclaim \"{name}\" not found")
            });
        };
        claims.push((claim, ephemeral));
    }
    for (claim, ephemeral) in &claims {
        let name = claim.metadata.name.as_deref().unwrap_or_default();
        let volume = volume_name(claim);
        if claim_phase(claim) == "Lost" {
            return Err(format!(
                "persistentvolumeclaim \"{name}\" bound to non-existent persistentvolume \"{volume}\""
            ));
        }
        if claim.metadata.deletion_timestamp.is_some() {
            return Err(format!("persistentvolumeclaim \"{name}\" is being deleted"));
        }
        if let (true, Some(why)) = (*ephemeral, not_made_for(claim, pod)) {
            return Err(why);
        }
    }
    if !claims.iter().all(|(claim, _)| is_bound(claim)) {
        return Err("pod has unbound immediate PersistentVolumeClaims".to_owned());
    }
    for (claim, _) in &claims {
        if is_for_one_pod(claim) {
            needs.one_pod.insert(claim.key());
        }
        let Some(volume) = store.get::<PersistentVolume>("", volume_name(claim)) else {
            needs.lacks_volume = true;
            continue;
        };
        let affinity = volume
            .spec
            .as_ref()
            .and_then(|spec| spec.node_affinity.clone());
        needs
            .nodes
            .extend(affinity.and_then(|affinity| affinity.required));
    }
    Ok(needs)
}

pub(super) fn volume_name(claim: &PersistentVolumeClaim) -> &str {
    let spec = claim.spec.as_ref();
    spec.and_then(|spec| spec.volume_name.as_deref())
        .unwrap_or_default()
}

pub(super) fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    let annotations = claim.metadata.annotations.as_ref();
    !volume_name(claim).is_empty()
        && annotations.is_some_and(|annotations| annotations.contains_key(BIND_COMPLETED))
}

pub(super) fn is_for_one_pod(claim: &PersistentVolumeClaim) -> bool {
    let modes = claim
        .spec
        .iter()
        .flat_map(|spec| spec.access_modes.iter().flatten());
    modes.into_iter().any(|mode| mode == ONE_POD)
}

/// The claims that the pod has for itself alone.
pub(in crate::engine) fn exclusive(store: &Store, pod: &Pod) -> BTreeSet<ObjectKey> {
    claims_of(pod)
        .filter_map(|(_, name)| store.get::<PersistentVolumeClaim>(namespace(pod), &name))
        .filter(|claim| is_for_one_pod(claim))
        .map(|claim| claim.key())
        .collect()
}

/// Whose changes may let the pod go on.
pub(in crate::engine) fn wanted(store: &Store, pod: &Pod) -> BTreeSet<ObjectKey> {
    let mut keys = BTreeSet::new();
    for (_, name) in claims_of(pod) {
        let key = ObjectKey::new(Kind::PersistentVolumeClaim, namespace(pod), &name);
        if let Some(claim) = store.get::<PersistentVolumeClaim>(namespace(pod), &name) {
            let volume = volume_name(&claim);
            if !volume.is_empty() {
                keys.insert(ObjectKey::new(Kind::PersistentVolume, "", volume));
            }
        }
        keys.insert(key);
    }
    keys
}
