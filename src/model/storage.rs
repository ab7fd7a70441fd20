//! Persistent volumes, their claims and the pods that use them: names, classes, modes and who belongs to whom
//! (kubernetes-semantics §8.6).

use k8s_openapi::api::core::v1::{
    NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, ObjectReference, PersistentVolume,
    PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeSpec, Pod, Volume,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use std::collections::BTreeMap;

use super::quantity::ParsedQuantity;
use super::selector::LabelSelector;

/// Keeps a volume while a claim is bound to it.
pub(crate) const VOLUME_FINALIZER: &str = "kubernetes.io/pv-protection";
/// Keeps a claim while pods use it.
pub(crate) const CLAIM_FINALIZER: &str = "kubernetes.io/pvc-protection";
pub(crate) const ONE_POD: &str = "ReadWriteOncePod";
pub(crate) const FILESYSTEM: &str = "Filesystem";
/// The amount that volumes have and claims want.
pub(crate) const STORAGE: &str = "storage";

/// Where the class stood before it had a field; it still wins over the field.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

type Amounts = BTreeMap<String, Quantity>;

fn class<'a>(annotations: Option<&'a BTreeMap<String, String>>, field: Option<&'a str>) -> &'a str {
    let annotation = annotations.and_then(|annotations| annotations.get(CLASS_ANNOTATION));
    annotation.map(String::as_str).or(field).unwrap_or_default()
}

/// Empty for a volume without a class.
pub(crate) fn volume_class(volume: &PersistentVolume) -> &str {
    let field = volume
        .spec
        .as_ref()
        .and_then(|spec| spec.storage_class_name.as_deref());
    class(volume.metadata.annotations.as_ref(), field)
}

/// Empty for a claim without a class, which is the same as the class "": there is no default one.
pub(crate) fn claim_class(claim: &PersistentVolumeClaim) -> &str {
    let field = claim
        .spec
        .as_ref()
        .and_then(|spec| spec.storage_class_name.as_deref());
    class(claim.metadata.annotations.as_ref(), field)
}

pub(crate) fn claim_phase(claim: &PersistentVolumeClaim) -> &str {
    let status = claim.status.as_ref();
    status
        .and_then(|status| status.phase.as_deref())
        .unwrap_or("Pending")
}

pub(crate) fn volume_phase(volume: &PersistentVolume) -> &str {
    let status = volume.status.as_ref();
    status
        .and_then(|status| status.phase.as_deref())
        .unwrap_or("Pending")
}

/// Zero when it is not said.
pub(crate) fn storage(amounts: Option<&Amounts>) -> ParsedQuantity {
    let amount = amounts.and_then(|amounts| amounts.get(STORAGE));
    amount.map_or(ParsedQuantity::ZERO, ParsedQuantity::of)
}

/// What the claim asks for.
pub(crate) fn requested(spec: &PersistentVolumeClaimSpec) -> ParsedQuantity {
    let resources = spec.resources.as_ref();
    storage(resources.and_then(|resources| resources.requests.as_ref()))
}

pub(crate) fn claim_mode(spec: &PersistentVolumeClaimSpec) -> &str {
    spec.volume_mode.as_deref().unwrap_or(FILESYSTEM)
}

pub(crate) fn volume_mode(spec: &PersistentVolumeSpec) -> &str {
    spec.volume_mode.as_deref().unwrap_or(FILESYSTEM)
}

/// `RWO,ROX`: each mode once, in the order of the API.
pub(crate) fn access_modes(modes: Option<&Vec<String>>) -> String {
    let known = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        (ONE_POD, "RWOP"),
    ];
    let has = |wanted: &str| modes.is_some_and(|modes| modes.iter().any(|mode| mode == wanted));
    let short: Vec<&str> = known
        .into_iter()
        .filter(|(mode, _)| has(mode))
        .map(|(_, short)| short)
        .collect();
    short.join(",")
}

/// The claim is this one: equal names, and equal uids if the reference names one.
pub(crate) fn refers_to(reference: &ObjectReference, claim: &PersistentVolumeClaim) -> bool {
    let meta = &claim.metadata;
    let uid = reference.uid.as_deref().unwrap_or_default();
    reference.name == meta.name
        && reference.namespace == meta.namespace
        && (uid.is_empty() || meta.uid.as_deref() == Some(uid))
}

/// The name of the claim that a volume of the pod uses, if it is one that does.
pub(crate) fn claim_name(pod: &Pod, volume: &Volume) -> Option<String> {
    if let Some(source) = &volume.persistent_volume_claim {
        return Some(source.claim_name.clone());
    }
    volume.ephemeral.as_ref().map(|_| {
        let pod = pod.metadata.name.as_deref().unwrap_or_default();
        format!("{pod}-{}", volume.name)
    })
}

/// The volumes of the pod that use claims, each with the name of its claim.
pub(crate) fn claims_of(pod: &Pod) -> impl Iterator<Item = (&Volume, String)> {
    let spec = pod.spec.iter();
    spec.flat_map(|spec| spec.volumes.iter().flatten())
        .filter_map(|volume| Some((volume, claim_name(pod, volume)?)))
}

/// The pod names the claim, or the claim was made for it.
pub(crate) fn uses_claim(pod: &Pod, claim: &PersistentVolumeClaim) -> bool {
    if pod.metadata.namespace != claim.metadata.namespace {
        return false;
    }
    let name = claim.metadata.name.as_deref();
    claims_of(pod).any(|(volume, used)| {
        let is_meant = volume.ephemeral.is_none() || is_owned_by(claim, pod);
        Some(used.as_str()) == name && is_meant
    })
}

/// The claim was made for this very pod.
pub(crate) fn is_owned_by(claim: &PersistentVolumeClaim, pod: &Pod) -> bool {
    let owners = claim.metadata.owner_references.iter().flatten();
    let mut controllers = owners.filter(|owner| owner.controller == Some(true));
    controllers.any(|owner| pod.metadata.uid.as_deref() == Some(owner.uid.as_str()))
}

/// Why a claim of the name cannot be the one of an ephemeral volume (`VolumeIsForPod`).
pub(crate) fn not_made_for(claim: &PersistentVolumeClaim, pod: &Pod) -> Option<String> {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    (!is_owned_by(claim, pod)).then(|| {
        format!(
            "PVC {}/{} was not created for pod {}/{} (pod is not owner)",
            text(&claim.metadata.namespace),
            text(&claim.metadata.name),
            text(&pod.metadata.namespace),
            text(&pod.metadata.name)
        )
    })
}

/// A node of these labels and this name is one of those selected. An empty term selects nothing.
pub(crate) fn selects_node(
    selector: &NodeSelector,
    labels: Option<&BTreeMap<String, String>>,
    name: &str,
) -> bool {
    let mut terms = selector.node_selector_terms.iter();
    terms.any(|term| term_selects(term, labels, name))
}

/// As [`selects_node`], for one term.
pub(crate) fn term_selects(
    term: &NodeSelectorTerm,
    labels: Option<&BTreeMap<String, String>>,
    name: &str,
) -> bool {
    let selector = |list: &Option<Vec<NodeSelectorRequirement>>| {
        LabelSelector::of(list.iter().flatten().map(|one| {
            let values = one.values.as_deref().unwrap_or_default();
            (one.key.as_str(), one.operator.as_str(), values)
        }))
    };
    let is_empty = |list: &Option<Vec<NodeSelectorRequirement>>| list.iter().flatten().count() == 0;
    if is_empty(&term.match_expressions) && is_empty(&term.match_fields) {
        return false;
    }
    let fields = [("metadata.name".to_owned(), name.to_owned())].into();
    selector(&term.match_expressions).is_some_and(|selector| selector.matches(labels))
        && selector(&term.match_fields).is_some_and(|selector| selector.matches(Some(&fields)))
}

/// The sources of the volume that are set, as they are written in a manifest, in the order of the API.
pub(crate) fn source_names(spec: &PersistentVolumeSpec) -> Vec<&'static str> {
    let sources = [
        (spec.host_path.is_some(), "hostPath"),
        (spec.gce_persistent_disk.is_some(), "gcePersistentDisk"),
        (
            spec.aws_elastic_block_store.is_some(),
            "awsElasticBlockStore",
        ),
        (spec.glusterfs.is_some(), "glusterfs"),
        (spec.flocker.is_some(), "flocker"),
        (spec.nfs.is_some(), "nfs"),
        (spec.rbd.is_some(), "rbd"),
        (spec.quobyte.is_some(), "quobyte"),
        (spec.cephfs.is_some(), "cephfs"),
        (spec.iscsi.is_some(), "iscsi"),
        (spec.cinder.is_some(), "cinder"),
        (spec.fc.is_some(), "fc"),
        (spec.flex_volume.is_some(), "flexVolume"),
        (spec.azure_file.is_some(), "azureFile"),
        (spec.vsphere_volume.is_some(), "vsphereVolume"),
        (
            spec.photon_persistent_disk.is_some(),
            "photonPersistentDisk",
        ),
        (spec.portworx_volume.is_some(), "portworxVolume"),
        (spec.azure_disk.is_some(), "azureDisk"),
        (spec.scale_io.is_some(), "scaleIO"),
        (spec.local.is_some(), "local"),
        (spec.storageos.is_some(), "storageos"),
        (spec.csi.is_some(), "csi"),
    ];
    let set = sources.into_iter().filter(|(is_set, _)| *is_set);
    set.map(|(_, name)| name).collect()
}
