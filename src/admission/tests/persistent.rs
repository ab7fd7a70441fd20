//! Situations of `TestValidatePersistentVolumes`, `TestValidatePersistentVolumeSpec`, `TestValidateLocalVolumes`,
//! `TestPVVolumeMode`, `TestValidatePersistentVolumeSourceUpdate`, `TestValidateVolumeNodeAffinityUpdate`,
//! `TestAlphaPVVolumeModeUpdate` and `TestValidatePeristentVolumeAttributesClassUpdate`.

use super::storage::{check_change, volume};
use super::*;
use crate::model::names::dns_subdomain;

fn affinity(terms: &[&[(&str, &str)]]) -> Value {
    let terms: Vec<Value> = terms
        .iter()
        .map(|term| {
            let expressions = term
                .iter()
                .map(|(key, value)| json!({"key": key, "operator": "In", "values": [value]}));
            json!({"matchExpressions": expressions.collect::<Vec<_>>()})
        })
        .collect();
    json!({"required": {"nodeSelectorTerms": terms}})
}

#[test]
fn more_volumes() {
    for capacity in ["10G", "10Gi", "10"] {
        good([volume(json!({"capacity": {"storage": capacity}}))]);
    }
    for policy in ["Retain", "Delete", "Recycle"] {
        good([volume(json!({"persistentVolumeReclaimPolicy": policy}))]);
    }
    for mode in ["Block", "Filesystem"] {
        good([volume(json!({"volumeMode": mode}))]);
    }
    let attributed = json!({"hostPath": null, "csi": {"driver": "test-driver", "volumeHandle": "test-123"}, "volumeAttributesClassName": "valid"});
    good([
        volume(json!({"storageClassName": "valid"})),
        volume(json!({"accessModes": ["ReadWriteOncePod"]})),
        volume(json!({"accessModes": ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany"]})),
        volume(json!({"nodeAffinity": affinity(&[&[("foo", "bar")]])})),
        volume(json!({"mountOptions": ["soft", "read-write"]})),
        volume(attributed),
    ]);
    let modes = "supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"";
    let storage = |name: &str| format!("Invalid value: \"{name}\": {}", dns_subdomain(name)[0]);
    for (spec, path, expected) in [
        (
            json!({"accessModes": ["fakemode"]}),
            "accessModes",
            format!("Unsupported value: \"fakemode\": {modes}"),
        ),
        (
            json!({"accessModes": ["ReadWriteOncePod", "ReadWriteMany"]}),
            "accessModes",
            "Forbidden: may not use ReadWriteOncePod with other access modes".to_owned(),
        ),
        (
            json!({"accessModes": []}),
            "accessModes",
            "Required value".to_owned(),
        ),
        (
            json!({"persistentVolumeReclaimPolicy": "fakeReclaimPolicy"}),
            "persistentVolumeReclaimPolicy",
            "Unsupported value: \"fakeReclaimPolicy\": supported values: \"Delete\", \"Recycle\", \"Retain\"".to_owned(),
        ),
        (
            json!({"volumeMode": ""}),
            "volumeMode",
            "Unsupported value: \"\": supported values: \"Block\", \"Filesystem\"".to_owned(),
        ),
        (
            json!({"capacity": {"storage": "0"}}),
            "capacity[storage]",
            "Invalid value: \"0\": must be greater than zero".to_owned(),
        ),
        (
            json!({"storageClassName": "-invalid-"}),
            "storageClassName",
            storage("-invalid-"),
        ),
        (
            json!({"hostPath": {"path": "/foo/.."}}),
            "hostPath.path",
            "Invalid value: \"/foo/..\": must not contain '..'".to_owned(),
        ),
        (
            json!({"hostPath": {"path": "/./"}, "persistentVolumeReclaimPolicy": "Recycle"}),
            "persistentVolumeReclaimPolicy",
            "Forbidden: may not be 'recycle' for a hostPath mount of '/'".to_owned(),
        ),
        (
            json!({"nodeAffinity": {}}),
            "nodeAffinity.required",
            "Required value: must specify required node constraints".to_owned(),
        ),
        (
            json!({"nfs": {"server": "s", "path": "/p"}}),
            "nfs",
            "Forbidden: may not specify more than 1 volume type".to_owned(),
        ),
        (
            json!({"cephfs": {"monitors": ["m"]}}),
            "cephFS",
            "Forbidden: may not specify more than 1 volume type".to_owned(),
        ),
        (
            json!({"volumeAttributesClassName": "valid"}),
            "csi",
            "Required value: has to be specified when using volumeAttributesClassName".to_owned(),
        ),
        (
            json!({"nodeAffinity": affinity(&[&[("foo", "-1")]])}),
            "nodeAffinity.required.nodeSelectorTerms[0].matchExpressions[0].values[0]",
            format!("Invalid value: \"-1\": {LABEL_VALUE}"),
        ),
    ] {
        bad(volume(spec), &format!("spec.{path}"), &expected);
    }
    // The API forgets to count this one.
    good([volume(json!({"flexVolume": {"driver": "d"}}))]);
    let mut value = volume(json!({}));
    value["metadata"]["namespace"] = json!("unexpected");
    bad(
        value,
        "metadata.namespace",
        "Forbidden: not allowed on this type",
    );
    let keyless = json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [{"operator": "In", "values": ["x"]}]}]}});
    assert!(create(volume(json!({"nodeAffinity": keyless}))).is_err());
    // A step back leads to the root, too, and is one of its own.
    check(
        volume(json!({"hostPath": {"path": "/a/.."}, "persistentVolumeReclaimPolicy": "Recycle"})),
        &[
            "spec.hostPath.path: Invalid value: \"/a/..\": must not contain '..'",
            "spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'",
        ],
    );
}

#[test]
fn places_of_local_volumes() {
    let local = |path: &str, place: Value| {
        volume(json!({"hostPath": null, "local": {"path": path}, "nodeAffinity": place}))
    };
    let here = || affinity(&[&[("foo", "bar")]]);
    good([local("/foo", here()), local("foo", here())]);
    bad(
        local("/foo", Value::Null),
        "spec.nodeAffinity",
        "Required value: Local volume requires node affinity",
    );
    bad(local("", here()), "spec.local.path", "Required value");
    bad(
        local("/foo/..", here()),
        "spec.local.path",
        "Invalid value: \"/foo/..\": must not contain '..'",
    );
}

fn with_csi(fields: &Value) -> Value {
    let mut source = json!({"driver": "come.google.gcepd", "volumeHandle": "foobar"});
    json_patch::merge(&mut source, fields);
    volume(json!({"hostPath": null, "storageClassName": "gp2", "csi": source}))
}

/// One secret may be added to a source that never changes otherwise.
#[test]
fn secrets_that_come_later() {
    let reference = |name: &str| json!({"name": name, "namespace": "default"});
    let change = |before: Value, field: &str, after: Value, is_good: bool| {
        let old = created(with_csi(&json!({ field: before })));
        let mut new = old.clone();
        new["spec"]["csi"][field] = after;
        let errors = admit_update(&object(old), object(new), &context())
            .err()
            .unwrap_or_default();
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let forbidden = "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation";
        match texts.as_slice() {
            [] => assert!(is_good, "{field}"),
            [one] => assert!(!is_good && one.starts_with(forbidden), "{field}: {one}"),
            more => panic!("{field}: {more:?}"),
        }
    };
    let expand = "controllerExpandSecretRef";
    for name in ["expansion-secret", "key-name", "key-name.example.com"] {
        change(Value::Null, expand, reference(name), true);
    }
    change(reference("a"), expand, reference("b"), false);
    change(reference("a"), expand, reference("a.b"), false);
    change(reference("a"), expand, Value::Null, false);
    for field in [
        "controllerPublishSecretRef",
        "nodePublishSecretRef",
        "nodeStageSecretRef",
    ] {
        change(Value::Null, field, reference("a"), false);
        change(reference("a"), field, reference("a.b"), false);
        change(reference("a"), field, reference("a"), true);
        change(reference("a.b"), field, reference("a.b"), true);
    }
    for secret in [
        json!({}),
        json!({"namespace": "default"}),
        json!({"name": "x"}),
    ] {
        change(secret.clone(), "nodeStageSecretRef", secret, true);
    }
    let old = created(volume(json!({})));
    let mut new = old.clone();
    new["spec"]["hostPath"] = Value::Null;
    new["spec"]["flexVolume"] = json!({"driver": "kubernetes.io/blue"});
    assert!(admit_update(&object(old), object(new), &context()).is_err());
}

#[test]
fn modes_of_volumes_stay() {
    let modes = [Some("Block"), Some("Filesystem")];
    for before in modes {
        for after in modes {
            let value = json!(after).to_string();
            let expected = format!("volumeMode: Invalid value: {value}: field is immutable");
            let expected: &[&str] = if before == after { &[] } else { &[&expected] };
            check_change(
                volume(json!({"volumeMode": before})),
                None,
                json!({"spec": {"volumeMode": after}}),
                expected,
            );
        }
    }
}

#[test]
fn classes_of_attributes() {
    let nil =
        "spec.volumeAttributesClassName: Forbidden: update from non-nil value to nil is forbidden";
    let empty = "spec.volumeAttributesClassName: Required value: an empty string is disallowed";
    let cases: [(Option<&str>, Option<&str>, &[&str]); 7] = [
        (None, None, &[]),
        (Some("foo"), Some("foo"), &[]),
        (Some("foo"), Some("bar"), &[]),
        (None, Some("foo"), &[]),
        (None, Some(""), &[empty]),
        (Some("foo"), None, &[nil]),
        (Some("foo"), Some(""), &[empty]),
    ];
    for (before, after, expected) in cases {
        let mut old = with_csi(&json!({}));
        old["spec"]["volumeAttributesClassName"] = json!(before);
        check_change(
            old,
            None,
            json!({"spec": {"volumeAttributesClassName": after}}),
            expected,
        );
    }
}

const OLD_AND_NEW: [(&str, &str); 5] = [
    (
        "failure-domain.beta.kubernetes.io/zone",
        "topology.kubernetes.io/zone",
    ),
    (
        "failure-domain.beta.kubernetes.io/region",
        "topology.kubernetes.io/region",
    ),
    ("beta.kubernetes.io/os", "kubernetes.io/os"),
    ("beta.kubernetes.io/arch", "kubernetes.io/arch"),
    (
        "beta.kubernetes.io/instance-type",
        "node.kubernetes.io/instance-type",
    ),
];

#[track_caller]
fn move_volume(before: Value, after: Value, is_good: bool) {
    let old = created(volume(json!({ "nodeAffinity": before })));
    let mut new = old.clone();
    new["spec"]["nodeAffinity"] = after;
    let errors = admit_update(&object(old), object(new.clone()), &context())
        .err()
        .unwrap_or_default();
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let shown = new["spec"]["nodeAffinity"].to_string();
    match errors.as_slice() {
        [] => assert!(is_good, "{shown}"),
        [one] => assert!(
            !is_good
                && one.starts_with("nodeAffinity: Invalid value: ")
                && one.ends_with(": field is immutable"),
            "{shown}: {one}"
        ),
        more => panic!("{shown}: {more:?}"),
    }
}

#[test]
fn a_volume_stays_where_it_is() {
    let foo = || affinity(&[&[("foo", "bar")]]);
    move_volume(Value::Null, Value::Null, true);
    move_volume(Value::Null, foo(), true);
    move_volume(foo(), foo(), true);
    move_volume(foo(), affinity(&[&[("foo", "bar2")]]), false);
    move_volume(foo(), affinity(&[&[("foo2", "bar")]]), false);
    move_volume(foo(), Value::Null, false);
    for (old, new) in OLD_AND_NEW {
        let with = |key: &str| affinity(&[&[(key, "bar")]]);
        move_volume(with(old), with(old), true);
        move_volume(with(old), with(new), true);
        move_volume(with(old), with("foo"), false);
        move_volume(with(new), with(old), false);
        move_volume(with(old), affinity(&[&[(new, "bar2")]]), false);
    }
    let [zone, region, os, arch, kind] = OLD_AND_NEW;
    let before: &[&[(&str, &str)]] = &[
        &[("foo", "bar")],
        &[(zone.0, "bar"), (region.0, "bar")],
        &[(os.0, "bar"), (arch.0, "bar"), (kind.0, "bar")],
    ];
    move_volume(
        affinity(before),
        affinity(&[
            &[("foo", "bar")],
            &[(zone.1, "bar"), (region.0, "bar")],
            &[(os.0, "bar"), (arch.1, "bar"), (kind.1, "bar")],
        ]),
        true,
    );
    move_volume(
        affinity(before),
        affinity(&[
            &[("foo", "bar")],
            &[(zone.1, "bar"), (region.1, "bar")],
            &[(os.1, "bar"), (arch.1, "bar"), (kind.1, "bar")],
        ]),
        true,
    );
    move_volume(
        affinity(&[&[("foo", "bar")], &[(zone.0, "bar"), (region.0, "bar")]]),
        affinity(&[&[("foo", "bar")], &[(zone.0, "bar"), ("foo", "bar")]]),
        false,
    );
    move_volume(
        affinity(&[&[(zone.1, "bar"), (zone.0, "bar"), (os.1, "bar")]]),
        affinity(&[&[(zone.0, "bar"), (zone.0, "bar"), (os.1, "bar")]]),
        false,
    );
    move_volume(
        affinity(&[&[(zone.0, "bar"), (zone.1, "bar")]]),
        affinity(&[&[(zone.1, "bar"), (zone.0, "bar2")]]),
        false,
    );
    // Neither more terms nor more in one of them.
    move_volume(
        affinity(&[&[(zone.0, "bar")]]),
        affinity(&[&[(zone.1, "bar"), (region.0, "bar")]]),
        false,
    );
    move_volume(
        affinity(&[&[(zone.0, "bar")]]),
        affinity(&[&[(zone.1, "bar")], &[(arch.1, "bar")]]),
        false,
    );
}

/// What an older podtui may have stored does not keep a volume from other changes.
#[test]
fn odd_places_that_are_known() {
    let (old, new) = OLD_AND_NEW[4];
    let mut before = created(volume(json!({})));
    before["spec"]["nodeAffinity"] = affinity(&[&[(old, "-1")]]);
    let mut after = before.clone();
    after["spec"]["nodeAffinity"] = affinity(&[&[(new, "-1")]]);
    let admitted = admit_update(&object(before), object(after), &context());
    assert_eq!(admitted.map(|(_, warnings)| warnings), Ok(Vec::new()));
}
