//! PersistentVolumes and claims.

use super::*;
use crate::admission::refuse_growth;

pub(super) fn volume(spec: Value) -> Value {
    let mut value = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"},
        "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/data"}}});
    json_patch::merge(&mut value["spec"], &spec);
    value
}

pub(super) fn claim(spec: Value) -> Value {
    let mut value = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c", "namespace": "default"},
        "spec": {"resources": {"requests": {"storage": "1Gi"}}, "accessModes": ["ReadWriteOnce"]}});
    json_patch::merge(&mut value["spec"], &spec);
    value
}

#[test]
fn what_is_not_said_is_filled_in() {
    let made = created(volume(json!({"persistentVolumeReclaimPolicy": ""})));
    assert_eq!(
        made["metadata"]["finalizers"],
        json!(["kubernetes.io/pv-protection"])
    );
    assert_eq!(made["spec"]["persistentVolumeReclaimPolicy"], "Retain");
    assert_eq!(made["spec"]["volumeMode"], "Filesystem");
    assert_eq!(
        made["spec"]["hostPath"],
        json!({"path": "/data", "type": ""})
    );
    assert_eq!(made["status"], json!({"phase": "Pending"}));
    let source = json!({"kind": "PersistentVolumeClaim", "name": "x"});
    let made = created(claim(json!({"dataSource": source})));
    assert_eq!(
        made["metadata"]["finalizers"],
        json!(["kubernetes.io/pvc-protection"])
    );
    assert_eq!(made["spec"]["volumeMode"], "Filesystem");
    assert_eq!(made["spec"]["dataSourceRef"], source);
    assert_eq!(made["spec"]["storageClassName"], Value::Null);
    assert_eq!(made["status"], json!({"phase": "Pending"}));
}

const MODES: &str = "supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"";

#[test]
fn volumes() {
    check(volume(json!({})), &[]);
    check(
        volume(json!({"capacity": null, "accessModes": null, "hostPath": null})),
        &[
            "spec.accessModes: Required value",
            "spec.capacity: Required value",
            "spec.capacity: Unsupported value: null: supported values: \"storage\"",
            "spec: Required value: must specify a volume type",
        ],
    );
    check(
        volume(
            json!({"accessModes": ["RWO", "ReadWriteOncePod", "ReadOnlyMany"], "capacity": {"storage": "0", "cpu": "1"},
            "persistentVolumeReclaimPolicy": "Keep", "storageClassName": "A", "volumeMode": "Disk", "volumeAttributesClassName": ""}),
        ),
        &[
            &format!("spec.accessModes: Unsupported value: \"RWO\": {MODES}"),
            "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes",
            "spec.capacity: Unsupported value: {\"cpu\":\"1\",\"storage\":\"0\"}: supported values: \"storage\"",
            "spec.capacity[storage]: Invalid value: \"0\": must be greater than zero",
            "spec.persistentVolumeReclaimPolicy: Unsupported value: \"Keep\": supported values: \"Delete\", \"Recycle\", \"Retain\"",
            &format!(
                "spec.storageClassName: Invalid value: \"A\": {}",
                crate::model::names::dns_subdomain("A")[0]
            ),
            "spec.volumeMode: Unsupported value: \"Disk\": supported values: \"Block\", \"Filesystem\"",
            "spec.volumeAttributesClassName: Required value: an empty string is disallowed",
            "spec.csi: Required value: has to be specified when using volumeAttributesClassName",
        ],
    );
    check(
        volume(
            json!({"hostPath": {"path": "/"}, "persistentVolumeReclaimPolicy": "Recycle", "nfs": {"server": "s", "path": "p"}}),
        ),
        &[
            "spec.nfs: Forbidden: may not specify more than 1 volume type",
            "spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'",
        ],
    );
}

#[test]
fn local_volumes_are_somewhere() {
    let local = |path: &str, affinity: Value| {
        volume(json!({"hostPath": null, "local": {"path": path}, "nodeAffinity": affinity}))
    };
    check(
        local("/a/../b", Value::Null),
        &[
            "spec.local.path: Invalid value: \"/a/../b\": must not contain '..'",
            "spec.nodeAffinity: Required value: Local volume requires node affinity",
        ],
    );
    check(
        local("", json!({})),
        &[
            "spec.nodeAffinity.required: Required value: must specify required node constraints",
            "spec.local.path: Required value",
        ],
    );
    check(
        local("/a", json!({"required": {"nodeSelectorTerms": []}})),
        &[
            "spec.nodeAffinity.required.nodeSelectorTerms: Required value: must have at least one node selector term",
        ],
    );
    let here = json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["here"]}]}]}});
    check(local("/a", here), &[]);
}

#[test]
fn claims() {
    check(claim(json!({})), &[]);
    check(
        claim(json!({"accessModes": [], "resources": null, "storageClassName": ""})),
        &[
            "spec.accessModes: Required value: at least 1 access mode is required",
            "spec.resources[storage]: Required value",
        ],
    );
    check(
        claim(
            json!({"accessModes": ["ReadWriteOncePod", "ReadWriteOnce", "x"], "resources": {"requests": {"storage": "-1"}}, "volumeMode": "y",
            "selector": {"matchExpressions": [{"key": "a", "operator": "In"}]}, "dataSource": {"kind": "Pod", "name": ""}}),
        ),
        &[
            "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
            &format!("spec.accessModes: Unsupported value: \"x\": {MODES}"),
            "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes",
            "spec.resources[storage]: Invalid value: \"-1\": must be greater than zero",
            "spec.volumeMode: Unsupported value: \"y\": supported values: \"Block\", \"Filesystem\"",
            "spec.dataSource.name: Required value",
            "spec.dataSource: Invalid value: \"Pod\": must be 'PersistentVolumeClaim' when referencing the default apiGroup",
            "spec.dataSourceRef.name: Required value",
            "spec.dataSourceRef: Invalid value: \"Pod\": must be 'PersistentVolumeClaim' when referencing the default apiGroup",
        ],
    );
}

/// What becomes of a change to an object as it was stored; `bound` is the capacity of a claim that is.
#[track_caller]
pub(super) fn check_change(before: Value, bound: Option<&str>, change: Value, expected: &[&str]) {
    let mut old = created(before);
    if let Some(capacity) = bound {
        old["status"] = json!({"phase": "Bound", "capacity": {"storage": capacity}});
        old["spec"]["volumeName"] = json!("v");
    }
    let mut new = old.clone();
    json_patch::merge(&mut new, &change);
    let admitted = admit_update(&object(old), object(new), &context());
    let errors: Vec<String> = match admitted {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(errors, expected);
}

#[test]
fn the_source_of_a_volume_stays() {
    let change = |spec: Value, expected: &[&str]| {
        check_change(volume(json!({})), None, json!({ "spec": spec }), expected);
    };
    change(
        json!({"capacity": {"storage": "2Gi"}, "claimRef": {"name": "c", "namespace": "n"}, "persistentVolumeReclaimPolicy": "Delete"}),
        &[],
    );
    change(
        json!({"hostPath": {"path": "/other"}}),
        &[
            "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation\n\
           - spec.hostPath.path: \"/data\"\n+ spec.hostPath.path: \"/other\"\n",
        ],
    );
    change(
        json!({"volumeMode": "Block"}),
        &["volumeMode: Invalid value: \"Block\": field is immutable"],
    );
    let here = json!({"required": {"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["here"]}]}]}});
    change(json!({"nodeAffinity": here}), &[]);
}

#[test]
fn the_spec_of_a_claim_stays() {
    let only = "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n";
    let change = |bound: Option<&str>, spec: Value, expected: &[&str]| {
        check_change(claim(json!({})), bound, json!({ "spec": spec }), expected);
    };
    change(
        None,
        json!({"volumeName": "v", "storageClassName": "x"}),
        &[],
    );
    change(
        Some("1Gi"),
        json!({"volumeName": "w"}),
        &[&format!(
            "{only}- spec.volumeName: \"v\"\n+ spec.volumeName: \"w\"\n"
        )],
    );
    let size = |size: &str| json!({"resources": {"requests": {"storage": size}}});
    change(
        None,
        size("2Gi"),
        &[&format!(
            "{only}- spec.resources.requests.storage: \"1Gi\"\n+ spec.resources.requests.storage: \"2Gi\"\n"
        )],
    );
    change(Some("1Gi"), size("2Gi"), &[]);
    change(
        Some("1Gi"),
        size("500Mi"),
        &["spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"],
    );
    change(
        None,
        json!({"volumeMode": "Block"}),
        &[
            &format!("{only}- spec.volumeMode: \"Filesystem\"\n+ spec.volumeMode: \"Block\"\n"),
            "volumeMode: Invalid value: \"Block\": field is immutable",
        ],
    );
}

#[test]
fn only_what_was_provisioned_can_grow() {
    let sized = |size: &str, phase: &str| {
        let mut value = claim(json!({"resources": {"requests": {"storage": size}}}));
        value["status"] = json!({"phase": phase});
        object(value)
    };
    let refusal =
        |from: &str, to: &str, phase: &str| refuse_growth(&sized(from, phase), &sized(to, phase));
    assert_eq!(refusal("1Gi", "1Gi", "Bound"), None);
    assert_eq!(
        refusal("1Gi", "2Gi", "Bound"),
        Some(
            "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"
        )
    );
    assert_eq!(
        refusal("1Gi", "2Gi", "Pending"),
        Some("Only bound persistent volume claims can be expanded")
    );
}

#[test]
fn a_pod_may_bring_its_claim() {
    let with = |source: Value| pod(json!({"volumes": [{"name": "d", "ephemeral": source}]}));
    check(
        with(json!({})),
        &["spec.volumes[0].ephemeral.volumeClaimTemplate: Required value"],
    );
    let template = |meta: Value| {
        with(json!({"volumeClaimTemplate": {"metadata": meta,
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}}))
    };
    check(template(json!({"labels": {"a": "b"}})), &[]);
    check(
        template(json!({"name": "x", "finalizers": ["a/b"]})),
        &[
            "spec.volumes[0].ephemeral.volumeClaimTemplate.metadata.name: Forbidden: cannot be set",
            "spec.volumes[0].ephemeral.volumeClaimTemplate.metadata.finalizers: Forbidden: cannot be set",
        ],
    );
    check(
        with(json!({"volumeClaimTemplate": {"spec": {}}})),
        &[
            "spec.volumes[0].ephemeral.volumeClaimTemplate.spec.accessModes: Required value: at least 1 access mode is required",
            "spec.volumes[0].ephemeral.volumeClaimTemplate.spec.resources[storage]: Required value",
        ],
    );
}

#[test]
fn sources_of_other_machines() {
    let with = |name: &str, source: Value| pod(json!({"volumes": [{"name": "v", (name): source}]}));
    let bad = |name: &str, source: Value, expected: &[&str]| {
        let expected: Vec<String> = expected
            .iter()
            .map(|error| format!("spec.volumes[0].{error}"))
            .collect();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        check(with(name, source), &expected);
    };
    bad(
        "iscsi",
        json!({"targetPortal": "", "iqn": "x", "lun": 256}),
        &[
            "iscsi.targetPortal: Required value",
            "iscsi.iqn: Invalid value: \"x\": must be valid format starting with iqn, eui, or naa",
            "iscsi.lun: Invalid value: 256: must be between 0 and 255, inclusive",
        ],
    );
    bad(
        "fc",
        json!({}),
        &["fc.targetWWNs: Required value: must specify either targetWWNs or wwids, but not both"],
    );
    bad(
        "fc",
        json!({"targetWWNs": ["a"]}),
        &["fc.lun: Required value: lun is required if targetWWNs is specified"],
    );
    bad(
        "azureDisk",
        json!({"diskName": "", "diskURI": "", "kind": "x"}),
        &[
            "azureDisk.diskName: Required value",
            "azureDisk.diskURI: Required value",
            "azureDisk.kind: Unsupported value: \"x\": supported values: \"Dedicated\", \"Managed\", \"Shared\"",
            "azureDisk.diskURI: Unsupported value: \"\": supported values: \"https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd\"",
        ],
    );
    bad(
        "rbd",
        json!({"monitors": [], "image": ""}),
        &["rbd.monitors: Required value", "rbd.image: Required value"],
    );
    bad(
        "cephfs",
        json!({"monitors": []}),
        &["cephfs.monitors: Required value"],
    );
    bad(
        "azureFile",
        json!({"secretName": "", "shareName": "x"}),
        &["azureFile.secretName: Required value"],
    );
    bad(
        "gcePersistentDisk",
        json!({"pdName": "", "partition": 256}),
        &[
            "gcePersistentDisk.pdName: Required value",
            "gcePersistentDisk.partition: Invalid value: 256: must be between 0 and 255, inclusive",
        ],
    );
    bad(
        "flocker",
        json!({}),
        &["flocker: Required value: one of datasetName and datasetUUID is required"],
    );
    bad(
        "nfs",
        json!({"server": "", "path": "x"}),
        &[
            "nfs.server: Required value",
            "nfs.path: Invalid value: \"x\": must be an absolute path",
        ],
    );
    bad(
        "csi",
        json!({"driver": ""}),
        &[
            "csi.driver: Required value",
            &format!(
                "csi.driver: Invalid value: \"\": {}",
                crate::model::names::dns_subdomain("")[0]
            ),
        ],
    );
    check(
        with(
            "iscsi",
            json!({"targetPortal": "t", "iqn": "iqn.2001-04.com.example:x", "lun": 0}),
        ),
        &[],
    );
}

#[test]
fn huge_pages_come_whole() {
    let with = |name: &str, amount: &str| {
        container(json!({"resources": {"limits": {"cpu": "1", (name): amount}}}))
    };
    check(with("hugepages-2Mi", "4Mi"), &[]);
    let not = |name: &str, amount: &str| {
        let error = |part: &str| {
            format!(
                "spec.containers[0].resources.{part}[{name}]: Invalid value: \"{amount}\": {amount} is not positive integer multiple of {name}"
            )
        };
        check(with(name, amount), &[&error("limits"), &error("requests")]);
    };
    not("hugepages-2Mi", "3Mi");
    not("hugepages-1Gi", "512Mi");
    not("hugepages-big", "1Gi");
}

#[test]
fn what_is_taken_with_a_word() {
    let warned = |value: Value, expected: &[&str]| {
        assert_eq!(create(value).unwrap().1, expected);
    };
    warned(volume(json!({})), &[]);
    warned(
        volume(
            json!({"persistentVolumeReclaimPolicy": "Recycle", "capacity": {"storage": "1500m"}}),
        ),
        &[
            "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use \
             dynamic provisioning.",
            "spec.capacity[storage]: fractional byte value \"1500m\" is invalid, must be an integer",
        ],
    );
    warned(
        volume(
            json!({"hostPath": null, "nfs": {"server": "s", "path": "/x"}, "volumeMode": "Block"}),
        ),
        &[
            "spec.nfs: not supported yet: this type of volume cannot be prepared, so a pod that uses it is held (FailedMount)",
        ],
    );
    warned(
        claim(json!({"resources": {"requests": {"storage": "1500m"}}})),
        &[
            "spec.resources.requests[storage]: fractional byte value \"1500m\" is invalid, must be an integer",
        ],
    );
}
