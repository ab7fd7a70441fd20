use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use serde_json::{Value, json};

use super::plan::{Plan, World, plan};
use crate::model::storage::{claim_phase, volume_phase};

fn merged(mut base: Value, change: Value) -> Value {
    json_patch::merge(&mut base, &change);
    base
}

fn volume(name: &str, size: &str, change: Value) -> PersistentVolume {
    let base = json!({
        "metadata": {"name": name, "uid": format!("uid-{name}"), "finalizers": ["kubernetes.io/pv-protection"]},
        "spec": {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/data"},
                 "persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem"},
        "status": {"phase": "Available"},
    });
    serde_json::from_value(merged(base, change)).unwrap()
}

fn claim(name: &str, size: &str, change: Value) -> PersistentVolumeClaim {
    let base = json!({
        "metadata": {"name": name, "namespace": "ns", "uid": format!("uid-{name}"), "finalizers": ["kubernetes.io/pvc-protection"]},
        "spec": {"resources": {"requests": {"storage": size}}, "accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem"},
        "status": {"phase": "Pending"},
    });
    serde_json::from_value(merged(base, change)).unwrap()
}

fn pod(name: &str, change: Value) -> Arc<Pod> {
    let base = json!({
        "metadata": {"name": name, "namespace": "ns", "uid": format!("uid-{name}")},
        "spec": {"containers": [], "nodeName": "here"},
    });
    serde_json::from_value(merged(base, change)).unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_second(1_000_000).unwrap()
}

fn world(
    volumes: Vec<PersistentVolume>,
    claims: Vec<PersistentVolumeClaim>,
    pods: Vec<Arc<Pod>>,
) -> World {
    World {
        living: pods
            .iter()
            .filter_map(|pod| pod.metadata.uid.clone())
            .collect(),
        volumes,
        claims,
        pods,
    }
}

/// The world after the plan, as the writes leave it.
fn after(mut world: World, plan: &Plan) -> World {
    for new in &plan.volumes {
        for old in &mut world.volumes {
            if old.metadata.name == new.metadata.name {
                old.clone_from(new);
            }
        }
    }
    for new in &plan.claims {
        for old in &mut world.claims {
            if old.metadata.name == new.metadata.name {
                old.clone_from(new);
            }
        }
    }
    world
}

/// What is said of objects after as many passes as it takes: `name phase partner` of all volumes and claims,
/// and the reasons and texts told by the last pass.
#[track_caller]
fn check(start: World, expected: &[&str], told: &[&str]) {
    let mut world = start;
    let mut last = plan(&world, now());
    for _ in 0..5 {
        let changed = !last.volumes.is_empty() || !last.claims.is_empty();
        if !changed {
            break;
        }
        world = after(world, &last);
        let told = std::mem::take(&mut last.told);
        last = plan(&world, now());
        if last.told.is_empty() {
            last.told = told;
        }
    }
    assert_eq!(
        (&last.volumes[..], &last.claims[..]),
        (&[][..], &[][..]),
        "it comes to rest"
    );
    let name = |name: &Option<String>| name.clone().unwrap_or_default();
    let volumes = world.volumes.iter().map(|volume| {
        let claim = volume
            .spec
            .as_ref()
            .and_then(|spec| spec.claim_ref.as_ref());
        let claim = claim.map(|claim| format!(" {}@{}", name(&claim.name), name(&claim.uid)));
        format!(
            "{} {}{}",
            name(&volume.metadata.name),
            volume_phase(volume),
            claim.unwrap_or_default()
        )
    });
    let claims = world.claims.iter().map(|claim| {
        let volume = claim
            .spec
            .as_ref()
            .and_then(|spec| spec.volume_name.clone());
        let volume = volume.map(|volume| format!(" {volume}"));
        format!(
            "{} {}{}",
            name(&claim.metadata.name),
            claim_phase(claim),
            volume.unwrap_or_default()
        )
    });
    let found: Vec<String> = volumes.chain(claims).collect();
    assert_eq!(found, expected);
    let found: Vec<String> = last
        .told
        .iter()
        .map(|told| format!("{:?} {}: {}", told.level, told.reason, told.message))
        .collect();
    assert_eq!(found, told);
}

const NOTHING_FITS: &str = "Normal FailedBinding: no persistent volumes available for this claim and no storage class is set";

#[test]
fn the_smallest_that_fits_is_bound() {
    check(
        world(
            vec![
                volume("big", "10Gi", json!({})),
                volume("fit", "2Gi", json!({})),
                volume(
                    "many",
                    "1Gi",
                    json!({"spec": {"accessModes": ["ReadWriteOnce", "ReadOnlyMany"]}}),
                ),
                volume("small", "1Gi", json!({})),
            ],
            vec![claim("c", "1500Mi", json!({}))],
            vec![],
        ),
        &[
            "big Available",
            "fit Bound c@uid-c",
            "many Available",
            "small Available",
            "c Bound fit",
        ],
        &[],
    );
    // Fewer modes win over a smaller size.
    check(
        world(
            vec![
                volume(
                    "many",
                    "1Gi",
                    json!({"spec": {"accessModes": ["ReadWriteOnce", "ReadOnlyMany"]}}),
                ),
                volume("one", "5Gi", json!({})),
            ],
            vec![claim("c", "1Gi", json!({}))],
            vec![],
        ),
        &["many Available", "one Bound c@uid-c", "c Bound one"],
        &[],
    );
}

#[test]
fn what_does_not_fit_waits() {
    let alone = |volume_change: Value, claim_change: Value, told: &str| {
        check(
            world(
                vec![volume("v", "1Gi", volume_change)],
                vec![claim("c", "1Gi", claim_change)],
                vec![],
            ),
            &["v Available", "c Pending"],
            &[told],
        );
    };
    alone(
        json!({"spec": {"capacity": {"storage": "1023Mi"}}}),
        json!({}),
        NOTHING_FITS,
    );
    alone(
        json!({}),
        json!({"spec": {"accessModes": ["ReadWriteMany"]}}),
        NOTHING_FITS,
    );
    alone(
        json!({"spec": {"storageClassName": "fast"}}),
        json!({}),
        NOTHING_FITS,
    );
    alone(
        json!({"spec": {"storageClassName": "fast"}}),
        json!({"spec": {"storageClassName": ""}}),
        NOTHING_FITS,
    );
    alone(
        json!({"spec": {"volumeMode": "Block"}}),
        json!({}),
        NOTHING_FITS,
    );
    alone(
        json!({"metadata": {"labels": {"disk": "hdd"}}}),
        json!({"spec": {"selector": {"matchLabels": {"disk": "ssd"}}}}),
        NOTHING_FITS,
    );
    alone(
        json!({}),
        json!({"spec": {"storageClassName": "fast"}}),
        "Warning ProvisioningFailed: storageclass.storage.k8s.io \"fast\" not found",
    );
}

#[test]
fn classes_and_labels_match_exactly() {
    check(
        world(
            vec![
                volume(
                    "none",
                    "1Gi",
                    json!({"metadata": {"labels": {"disk": "ssd"}}}),
                ),
                volume(
                    "fast",
                    "1Gi",
                    json!({"spec": {"storageClassName": "fast"}, "metadata": {"labels": {"disk": "hdd"}}}),
                ),
                volume(
                    "other",
                    "1Gi",
                    json!({"spec": {"storageClassName": "fast"}, "metadata": {"labels": {"disk": "ssd"}}}),
                ),
            ],
            vec![claim(
                "c",
                "1Gi",
                json!({"spec": {"storageClassName": "fast", "selector": {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}}}),
            )],
            vec![],
        ),
        &[
            "none Available",
            "fast Available",
            "other Bound c@uid-c",
            "c Bound other",
        ],
        &[],
    );
}

#[test]
fn a_volume_is_given_once() {
    let older = json!({"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}});
    let newer = json!({"metadata": {"creationTimestamp": "2026-01-02T00:00:00Z"}});
    check(
        world(
            vec![volume("v", "1Gi", json!({}))],
            vec![claim("a", "1Gi", newer), claim("b", "1Gi", older)],
            vec![],
        ),
        &["v Bound b@uid-b", "a Pending", "b Bound v"],
        &[NOTHING_FITS],
    );
}

#[test]
fn both_sides_may_choose_before() {
    // The claim names the volume, although another is smaller.
    check(
        world(
            vec![
                volume("big", "9Gi", json!({})),
                volume("small", "1Gi", json!({})),
            ],
            vec![claim("c", "1Gi", json!({"spec": {"volumeName": "big"}}))],
            vec![],
        ),
        &["big Bound c@uid-c", "small Available", "c Bound big"],
        &[],
    );
    // The volume names the claim.
    let meant = json!({"spec": {"claimRef": {"namespace": "ns", "name": "c"}}});
    check(
        world(
            vec![
                volume("big", "9Gi", meant.clone()),
                volume("small", "1Gi", json!({})),
            ],
            vec![claim("c", "1Gi", json!({})), claim("d", "1Gi", json!({}))],
            vec![],
        ),
        &[
            "big Bound c@uid-c",
            "small Bound d@uid-d",
            "c Bound big",
            "d Bound small",
        ],
        &[],
    );
    check(
        world(
            vec![volume("v", "1Gi", meant)],
            vec![claim("d", "1Gi", json!({"spec": {"volumeName": "v"}}))],
            vec![],
        ),
        &["v Available c@", "d Pending v"],
        &["Warning FailedBinding: volume \"v\" already bound to a different claim."],
    );
    let wrong = |change: Value, why: &str| {
        check(
            world(
                vec![volume("v", "1Gi", change)],
                vec![claim("c", "1Gi", json!({"spec": {"volumeName": "v"}}))],
                vec![],
            ),
            &["v Available", "c Pending v"],
            &[&format!(
                "Warning VolumeMismatch: Cannot bind to requested volume \"v\": {why}"
            )],
        );
    };
    wrong(
        json!({"spec": {"capacity": {"storage": "1Mi"}}}),
        "requested PV is too small",
    );
    wrong(
        json!({"spec": {"storageClassName": "x"}}),
        "storageClassName does not match",
    );
    wrong(
        json!({"spec": {"volumeMode": "Block"}}),
        "incompatible volumeMode",
    );
    wrong(
        json!({"spec": {"accessModes": ["ReadOnlyMany"]}}),
        "incompatible accessMode",
    );
}

/// `v` and `c` that belong to each other.
fn bound() -> (PersistentVolume, PersistentVolumeClaim) {
    let start = world(
        vec![volume("v", "1Gi", json!({}))],
        vec![claim("c", "1Gi", json!({}))],
        vec![],
    );
    let plan = plan(&start, now());
    let mut end = after(start, &plan);
    (end.volumes.remove(0), end.claims.remove(0))
}

#[test]
fn both_are_annotated_and_the_claim_has_the_capacity() {
    let (volume, claim) = bound();
    let yes = |keys: &[&str]| {
        let keys = keys.iter();
        Some(
            keys.map(|key| ((*key).to_owned(), "yes".to_owned()))
                .collect(),
        )
    };
    assert_eq!(
        volume.metadata.annotations,
        yes(&["pv.kubernetes.io/bound-by-controller"])
    );
    let both = [
        "pv.kubernetes.io/bind-completed",
        "pv.kubernetes.io/bound-by-controller",
    ];
    assert_eq!(claim.metadata.annotations, yes(&both));
    let status = claim.status.unwrap();
    assert_eq!(status.capacity.unwrap()["storage"].0, "1Gi");
    assert_eq!(status.access_modes.unwrap(), ["ReadWriteOnce"]);
    let reference = volume.spec.unwrap().claim_ref.unwrap();
    assert_eq!(reference.kind.as_deref(), Some("PersistentVolumeClaim"));
    assert_eq!(reference.namespace.as_deref(), Some("ns"));
}

#[test]
fn half_a_binding_is_completed() {
    let (volume, _) = bound();
    check(
        world(vec![volume], vec![claim("c", "1Gi", json!({}))], vec![]),
        &["v Bound c@uid-c", "c Bound v"],
        &[],
    );
    let (_, bound_claim) = bound();
    check(
        world(
            vec![self::volume("v", "1Gi", json!({}))],
            vec![bound_claim],
            vec![],
        ),
        &["v Bound c@uid-c", "c Bound v"],
        &[],
    );
}

#[test]
fn what_is_lost_is_told() {
    let (_, claim) = bound();
    check(
        world(vec![], vec![claim.clone()], vec![]),
        &["c Lost v"],
        &[
            "Warning ClaimLost: Bound claim has lost its PersistentVolume. Data on the volume is lost!",
        ],
    );
    let mut volume = bound().0;
    let reference = volume.spec.as_mut().unwrap().claim_ref.as_mut().unwrap();
    reference.uid = Some("another".to_owned());
    check(
        world(vec![volume], vec![claim], vec![]),
        &["v Released c@another", "c Lost v"],
        &[
            "Warning ClaimMisbound: Two claims are bound to the same volume, this one is bound incorrectly",
        ],
    );
}

/// A volume whose claim is gone.
fn orphan(policy: &str, source: Value) -> World {
    let (volume, _) = bound();
    let value = serde_json::to_value(volume).unwrap();
    let value = merged(
        value,
        json!({"spec": {"persistentVolumeReclaimPolicy": policy}}),
    );
    let value = merged(value, json!({ "spec": source }));
    world(vec![serde_json::from_value(value).unwrap()], vec![], vec![])
}

#[test]
fn released_volumes_by_their_policy() {
    check(orphan("Retain", json!({})), &["v Released c@uid-c"], &[]);
    check(
        orphan("Recycle", json!({})),
        &["v Failed c@uid-c"],
        &["Warning VolumeFailedRecycle: No recycler plugin found for the volume!"],
    );
    let delete = |source: Value, text: &str| {
        let told = format!("Warning VolumeFailedDelete: {text}");
        check(orphan("Delete", source), &["v Failed c@uid-c"], &[&told]);
    };
    for path in ["/data", "/tmp", "/tmp/", "/tmp/../data", "/srv/tmp/x"] {
        delete(
            json!({"hostPath": {"path": path}}),
            &format!("host_path deleter only supports /tmp/.+ but received provided {path}"),
        );
    }
    delete(
        json!({"hostPath": null, "local": {"path": "/tmp/x"}}),
        "error getting deleter volume plugin for volume \"v\": no deletable volume plugin matched",
    );
    let mut world = orphan("Delete", json!({"hostPath": {"path": "/tmp/x/y"}}));
    let path = std::path::Path::new("/tmp/x/y");
    assert_eq!(plan(&world, now()).delete[0].1, path);
    // Whoever forced the claim away has not taken it from its pods.
    world.pods = vec![pod(
        "p",
        json!({"spec": {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "c"}}]}}),
    )];
    assert!(plan(&world, now()).delete.is_empty());
}

#[test]
fn the_same_name_is_not_the_same_claim() {
    let (volume, _) = bound();
    let later = claim("c", "1Gi", json!({"metadata": {"uid": "later"}}));
    check(
        world(vec![volume], vec![later], vec![]),
        &["v Released c@uid-c", "c Pending"],
        &[NOTHING_FITS],
    );
}

#[test]
fn a_claim_that_went_elsewhere_gives_back() {
    let (volume, _) = bound();
    let (mut other, mut claim) = bound();
    other.metadata.name = Some("w".to_owned());
    claim.spec.as_mut().unwrap().volume_name = Some("w".to_owned());
    check(
        world(vec![volume, other], vec![claim], vec![]),
        &["v Available", "w Bound c@uid-c", "c Bound w"],
        &[],
    );
}

#[test]
fn what_is_used_stays_until_it_is_not() {
    let (volume, mut claim) = bound();
    claim.metadata.deletion_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now()));
    let user = |change: Value| {
        let base = json!({"spec": {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "c"}}]}});
        pod("p", merged(base, change))
    };
    let kept = |pods: Vec<Arc<Pod>>| {
        let plan = plan(
            &world(vec![volume.clone()], vec![claim.clone()], pods),
            now(),
        );
        plan.claims.is_empty()
    };
    assert!(kept(vec![user(json!({}))]));
    assert!(kept(vec![user(json!({"status": {"phase": "Succeeded"}}))]));
    assert!(!kept(vec![user(json!({"spec": {"nodeName": ""}}))]));
    assert!(!kept(vec![user(
        json!({"metadata": {"namespace": "other"}})
    )]));
    assert!(!kept(vec![]));
    let mut leaving = volume.clone();
    leaving
        .metadata
        .deletion_timestamp
        .clone_from(&claim.metadata.deletion_timestamp);
    let plan_of = |claims: Vec<PersistentVolumeClaim>| {
        plan(&world(vec![leaving.clone()], claims, vec![]), now())
    };
    assert!(plan_of(vec![bound().1]).volumes.is_empty());
    let freed = plan_of(vec![]);
    assert_eq!(
        freed.volumes[0].metadata.finalizers.as_deref(),
        Some(&[][..])
    );
}

#[test]
fn ephemeral_claims_live_with_their_pod() {
    let template = json!({"spec": {"volumes": [{"name": "d", "ephemeral": {"volumeClaimTemplate": {
        "metadata": {"labels": {"a": "b"}}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}}}]}});
    let owner = pod("p", template);
    let made = plan(&world(vec![], vec![], vec![Arc::clone(&owner)]), now()).create;
    let [claim] = made.as_slice() else {
        panic!("one claim: {made:?}")
    };
    assert_eq!(claim.metadata.name.as_deref(), Some("p-d"));
    assert_eq!(claim.metadata.labels.as_ref().unwrap()["a"], "b");
    let reference = &claim.metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!(
        (reference.uid.as_str(), reference.controller),
        ("uid-p", Some(true))
    );
    let mut claim = claim.clone();
    claim.metadata.uid = Some("made".to_owned());
    let with_owner = plan(&world(vec![], vec![claim.clone()], vec![owner]), now());
    assert!(with_owner.create.is_empty());
    let deleted = |plan: &Plan| {
        plan.claims
            .iter()
            .any(|claim| claim.metadata.deletion_timestamp.is_some())
    };
    assert!(!deleted(&with_owner));
    let without = plan(&world(vec![], vec![claim.clone()], vec![]), now());
    assert!(deleted(&without));
    // A pod of the name that came later is not the owner.
    let later = pod("p", json!({"metadata": {"uid": "later"}}));
    assert!(deleted(&plan(
        &world(vec![], vec![claim], vec![later]),
        now()
    )));
}
