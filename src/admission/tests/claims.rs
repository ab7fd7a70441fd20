//! Situations of `TestValidatePersistentVolumeClaim`, `TestValidateEphemeralVolume`, `TestPVCVolumeMode`,
//! `TestAlphaVolumeSnapshotDataSource` and `TestValidatePersistentVolumeClaimUpdate`.

use super::storage::{check_change, claim};
use super::*;
use crate::model::names::dns_subdomain;

/// The same claim as one that a pod brings.
fn brought(claim: &Value) -> Value {
    let mut meta = claim["metadata"].clone();
    let fields = meta.as_object_mut().unwrap();
    fields.shift_remove("name");
    fields.shift_remove("namespace");
    let template = json!({"metadata": meta, "spec": claim["spec"]});
    pod(json!({"volumes": [{"name": "foo", "ephemeral": {"volumeClaimTemplate": template}}]}))
}

/// Good alone and with a pod.
#[track_caller]
fn good_both(claim: Value) {
    good([brought(&claim), claim]);
}

#[track_caller]
fn bad_both(claim: Value, path: &str, expected: &str) {
    let below = format!("spec.volumes[0].ephemeral.volumeClaimTemplate.{path}");
    bad(brought(&claim), &below, expected);
    bad(claim, path, expected);
}

#[test]
fn more_claims() {
    let exists = json!({"matchExpressions": [{"key": "key2", "operator": "Exists"}]});
    good_both(claim(
        json!({"selector": exists, "accessModes": ["ReadWriteOnce", "ReadOnlyMany"],
        "resources": {"requests": {"storage": "10G"}}, "storageClassName": "valid", "volumeMode": "Filesystem"}),
    ));
    for mode in ["Block", "Filesystem"] {
        good_both(claim(json!({"volumeMode": mode})));
    }
    good_both(claim(json!({"accessModes": ["ReadWriteOncePod"]})));
    good_both(claim(json!({"volumeAttributesClassName": ""})));
    let mut labelled = claim(json!({}));
    labelled["metadata"]["labels"] = json!({"apps.kubernetes.io/name": "test"});
    labelled["metadata"]["annotations"] = json!({"foo": "any thing"});
    good_both(labelled.clone());
    labelled["metadata"]["labels"] = json!({"hello-world": "hyphen not allowed"});
    bad_both(
        labelled,
        "metadata.labels[hello-world]",
        &format!("Invalid value: \"hyphen not allowed\": {LABEL_VALUE}"),
    );
    let modes = "supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"";
    let class = format!("Invalid value: \"-invalid-\": {}", dns_subdomain("-")[0]);
    for (spec, path, expected) in [
        (
            json!({"accessModes": ["ReadWriteOncePod", "ReadWriteMany"]}),
            "accessModes",
            "Forbidden: may not use ReadWriteOncePod with other access modes",
        ),
        (
            json!({"accessModes": ["fakemode"]}),
            "accessModes",
            &format!("Unsupported value: \"fakemode\": {modes}"),
        ),
        (
            json!({"accessModes": []}),
            "accessModes",
            "Required value: at least 1 access mode is required",
        ),
        (
            json!({"resources": null}),
            "resources[storage]",
            "Required value",
        ),
        (
            json!({"resources": {"requests": {"storage": null, "memory": "10G"}}}),
            "resources[storage]",
            "Required value",
        ),
        (
            json!({"resources": {"requests": {"storage": "-10G"}}}),
            "resources[storage]",
            "Invalid value: \"-10G\": must be greater than zero",
        ),
        (
            json!({"resources": {"requests": {"storage": "0"}}}),
            "resources[storage]",
            "Invalid value: \"0\": must be greater than zero",
        ),
        (
            json!({"selector": {"matchExpressions": [{"key": "key2", "operator": "InvalidOp", "values": ["value1", "value2"]}]}}),
            "selector.matchExpressions[0].operator",
            "Invalid value: \"InvalidOp\": not a valid selector operator",
        ),
        (
            json!({"storageClassName": "-invalid-"}),
            "storageClassName",
            &class,
        ),
        (
            json!({"volumeAttributesClassName": "-invalid-"}),
            "volumeAttributesClassName",
            &class,
        ),
        (
            json!({"volumeMode": "fakeVolumeMode"}),
            "volumeMode",
            "Unsupported value: \"fakeVolumeMode\": supported values: \"Block\", \"Filesystem\"",
        ),
        (
            json!({"volumeMode": ""}),
            "volumeMode",
            "Unsupported value: \"\": supported values: \"Block\", \"Filesystem\"",
        ),
    ] {
        bad_both(claim(spec), &format!("spec.{path}"), expected);
    }
}

#[test]
fn names_of_claims() {
    let without = |field: &str| {
        let mut value = claim(json!({}));
        value["metadata"][field] = Value::Null;
        value
    };
    bad(
        without("name"),
        "metadata.name",
        "Required value: name or generateName is required",
    );
    let mut generated = without("name");
    generated["metadata"]["generateName"] = json!("pvc-");
    good([generated]);
    // A pod's claim gets all of this from its pod.
    let owner = json!([{"apiVersion": "v1", "kind": "pod", "name": "foo", "uid": "ac051fac-2ead-46d9-b8b4-4e0fbeb7455d"}]);
    for (field, value, shown) in [
        ("generateName", json!("pvc-"), "generateName"),
        ("uid", json!("ac051fac"), "uID"),
        ("resourceVersion", json!("1"), "resourceVersion"),
        ("generation", json!(100), "generation"),
        (
            "creationTimestamp",
            json!("2026-01-01T00:00:00Z"),
            "creationTimestamp",
        ),
        (
            "deletionGracePeriodSeconds",
            json!(10),
            "deletionGracePeriodSeconds",
        ),
        ("ownerReferences", owner, "ownerReferences"),
        ("finalizers", json!(["example.com/foo"]), "finalizers"),
        (
            "managedFields",
            json!([{"manager": "foo", "operation": "Apply"}]),
            "managedFields",
        ),
    ] {
        let mut own = claim(json!({}));
        own["metadata"][field] = value;
        bad(
            brought(&own),
            &format!("spec.volumes[0].ephemeral.volumeClaimTemplate.metadata.{shown}"),
            "Forbidden: cannot be set",
        );
        good([own]);
    }
}

#[test]
fn sources_of_claims() {
    let snapshot = |name: &str, kind: &str, group: &str| json!({"apiGroup": group, "kind": kind, "name": name});
    let from = |source: Value| claim(json!({ "dataSource": source }));
    good([
        from(snapshot(
            "test_snapshot",
            "VolumeSnapshot",
            "snapshot.storage.k8s.io",
        )),
        from(json!({"kind": "PersistentVolumeClaim", "name": "pvc1"})),
    ]);
    // What the one field says, the other says, too.
    for (source, error) in [
        (
            snapshot("", "VolumeSnapshot", "snapshot.storage.k8s.io"),
            "name: Required value",
        ),
        (
            snapshot("test_snapshot", "", "snapshot.storage.k8s.io"),
            "kind: Required value",
        ),
    ] {
        check(
            from(source),
            &[
                &format!("spec.dataSource.{error}"),
                &format!("spec.dataSourceRef.{error}"),
            ],
        );
    }
    let group = format!(
        "apiGroup: Invalid value: \"^invalid\": {}",
        dns_subdomain("^")[0]
    );
    for field in ["dataSource", "dataSourceRef"] {
        check(
            claim(json!({ field: snapshot("foo1", "Foo", "^invalid") })),
            &[
                &format!("spec.dataSource.{group}"),
                &format!("spec.dataSourceRef.{group}"),
            ],
        );
    }
    let source = |name: &str| json!({"kind": "PersistentVolumeClaim", "name": name});
    let mut reference = source("pvc2");
    let both = |reference: &Value| {
        claim(json!({"dataSource": source("pvc1"), "dataSourceRef": reference}))
    };
    bad(
        both(&reference),
        "spec",
        "Invalid value: \"spec.dataSource\": must match dataSourceRef",
    );
    reference["namespace"] = json!("other");
    bad(
        both(&reference),
        "spec",
        "Invalid value: \"spec.dataSource\": may not be specified when dataSourceRef.namespace is specified",
    );
    bad(
        claim(
            json!({"dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "p", "namespace": "a.b"}}),
        ),
        "spec.dataSourceRef.namespace",
        "Invalid value: \"a.b\": must not contain dots",
    );
}

const BETA: &str = "volume.beta.kubernetes.io/storage-class";

/// The class by annotation and by field before and after.
type Class<'a> = (Option<&'a str>, Option<&'a str>);

#[track_caller]
fn change_class(before: Class<'_>, after: Class<'_>, expected: &[&str]) {
    let with = |(annotation, field): Class<'_>| {
        let mut value = claim(json!({ "storageClassName": field }));
        if let Some(annotation) = annotation {
            value["metadata"]["annotations"] = json!({(BETA): annotation});
        }
        value
    };
    let old = created(with(before));
    let mut new = old.clone();
    let wanted = with(after);
    new["metadata"]["annotations"] = wanted["metadata"]["annotations"].clone();
    new["spec"]["storageClassName"] = wanted["spec"]["storageClassName"].clone();
    let errors = admit_update(&object(old), object(new), &context())
        .err()
        .unwrap_or_default();
    let errors: Vec<String> = errors
        .iter()
        .map(|error| error.to_string().lines().next().unwrap().to_owned())
        .collect();
    assert_eq!(errors, expected, "{before:?} to {after:?}");
}

#[test]
fn classes_of_claims() {
    let spec = "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
    let annotation = |value: &str| {
        format!("metadata.annotations[{BETA}]: Invalid value: \"{value}\": field is immutable")
    };
    let (fast, fast2) = (Some("fast"), Some("fast2"));
    change_class((fast, None), (fast2, None), &[&annotation("fast2")]);
    // The annotation becomes the field, and may stay or go.
    change_class((fast, None), (None, fast), &[]);
    change_class((fast, None), (fast, fast), &[]);
    change_class((fast, None), (None, fast2), &[&annotation(""), spec]);
    change_class((fast, None), (fast, fast2), &[spec]);
    change_class((fast, None), (fast2, fast), &[&annotation("fast2")]);
    change_class((fast, fast), (None, fast2), &[&annotation(""), spec]);
    // Who has no class gets one, once.
    change_class((None, None), (None, fast), &[]);
    change_class((None, fast), (None, fast2), &[spec]);
    change_class((None, fast), (None, None), &[spec]);
    change_class((None, fast), (fast, None), &[&annotation("fast"), spec]);
    // The class "" is none to be changed, either.
    change_class((None, Some("")), (None, fast), &[spec]);
}

#[test]
fn sizes_of_claims() {
    let size = |size: &str| json!({"spec": {"resources": {"requests": {"storage": size}}}});
    let wide = || {
        claim(
            json!({"accessModes": ["ReadWriteOnce", "ReadOnlyMany"], "resources": {"requests": {"storage": "15G"}}}),
        )
    };
    let status =
        "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity";
    check_change(wide(), Some("10G"), size("20G"), &[]);
    // A growth that failed can be taken back, but not below what there is.
    check_change(wide(), Some("10G"), size("13G"), &[]);
    check_change(wide(), Some("10G"), size("10G"), &[status]);
    check_change(wide(), Some("10G"), size("3G"), &[status]);
    let only = "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n";
    check_change(
        wide(),
        None,
        size("12G"),
        &[&format!(
            "{only}- spec.resources.requests.storage: \"15G\"\n+ spec.resources.requests.storage: \"12G\"\n"
        )],
    );
    check_change(
        wide(),
        Some("15G"),
        json!({"spec": {"accessModes": ["ReadWriteOnce"]}}),
        &[&format!(
            "{only}- spec.accessModes: [\"ReadWriteOnce\",\"ReadOnlyMany\"]\n+ spec.accessModes: [\"ReadWriteOnce\"]\n"
        )],
    );
    check_change(
        wide(),
        Some("15G"),
        json!({"metadata": {"annotations": {"description": "updated"}}}),
        &[],
    );
    check_change(
        claim(json!({"accessModes": ["ReadWriteOncePod"]})),
        Some("1Gi"),
        json!({"metadata": {"annotations": {"description": "added"}}}),
        &[],
    );
}

#[test]
fn attributes_of_claims() {
    let only = "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n";
    let field = "spec.volumeAttributesClassName";
    let with = |class: Option<&str>| claim(json!({ "volumeAttributesClassName": class }));
    let become_of = |class: Option<&str>| json!({"spec": {"volumeAttributesClassName": class}});
    let bound = Some("1Gi");
    for before in [None, Some(""), Some("vac1")] {
        check_change(with(before), bound, become_of(Some("vac2")), &[]);
    }
    check_change(
        with(Some("vac1")),
        bound,
        become_of(None),
        &[
            &format!("{only}- {field}: \"vac1\"\n"),
            &format!("{field}: Forbidden: update from non-nil value to nil is forbidden"),
        ],
    );
    check_change(
        with(Some("vac1")),
        bound,
        become_of(Some("")),
        &[&format!(
            "{field}: Forbidden: update from non-nil value to an empty string is forbidden"
        )],
    );
    check_change(
        with(Some("vac1")),
        None,
        become_of(Some("vac2")),
        &[&format!("{only}- {field}: \"vac1\"\n+ {field}: \"vac2\"\n")],
    );
}

/// What was taken once is not held against other changes.
#[test]
fn odd_claims_that_are_known() {
    let keeps = |spec: Value| {
        let mut old = created(claim(json!({})));
        json_patch::merge(&mut old["spec"], &spec);
        let mut new = old.clone();
        new["metadata"]["labels"] = json!({"a": "b"});
        let admitted = admit_update(&object(old), object(new), &context());
        assert!(admitted.is_ok(), "{spec}: {:?}", admitted.err());
    };
    let odd = json!({"apiGroup": "^invalid", "kind": "Foo", "name": "foo"});
    keeps(json!({"dataSource": odd, "dataSourceRef": odd}));
    keeps(
        json!({"selector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["-1"]}]}}),
    );
}
