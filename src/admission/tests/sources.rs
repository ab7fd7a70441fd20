//! Sources of other machines and clouds in pods and in persistent volumes: situations of `TestValidateVolumes`,
//! `TestValidateNFSVolumeSource`, `TestValidateGlusterfs…`, `TestValidateCSIVolumeSource` and
//! `TestValidateCSIPersistentVolumeSource`.

use super::storage::volume;
use super::*;

fn in_pod(name: &str, source: &Value) -> Value {
    pod(json!({"volumes": [{"name": "v", (name): source}]}))
}

fn in_volume(name: &str, source: &Value) -> Value {
    volume(json!({"hostPath": null, (name): source}))
}

/// Refused in both with the same words.
#[track_caller]
fn bad_in_both(name: &str, source: Value, path: &str, expected: &str) {
    bad(
        in_pod(name, &source),
        &format!("spec.volumes[0].{path}"),
        expected,
    );
    bad(in_volume(name, &source), &format!("spec.{path}"), expected);
}

#[test]
fn good_ones() {
    for (name, source) in [
        (
            "gcePersistentDisk",
            json!({"pdName": "my-PD", "fsType": "ext4", "partition": 1, "readOnly": false}),
        ),
        (
            "awsElasticBlockStore",
            json!({"volumeID": "my-PD", "fsType": "ext4", "partition": 1}),
        ),
        ("nfs", json!({"server": "my-server", "path": "/tmp"})),
        ("glusterfs", json!({"endpoints": "host1", "path": "path"})),
        (
            "flocker",
            json!({"datasetUUID": "d846b09d-223d-43df-ab5b-d6db2206a0e4"}),
        ),
        ("flocker", json!({"datasetName": "datasetName"})),
        (
            "rbd",
            json!({"monitors": ["foo"], "image": "bar", "fsType": "ext4"}),
        ),
        (
            "cinder",
            json!({"volumeID": "29ea5088-4f60-4757-962e-dba678767887", "fsType": "ext4"}),
        ),
        ("cephfs", json!({"monitors": ["foo"]})),
        ("fc", json!({"targetWWNs": ["some_wwn"], "lun": 1})),
        ("fc", json!({"wwids": ["some_wwid"]})),
        (
            "flexVolume",
            json!({"driver": "kubernetes.io/blue", "options": {"a": "b", "example.com/c": "d"}}),
        ),
        (
            "azureFile",
            json!({"secretName": "key", "shareName": "share"}),
        ),
        (
            "quobyte",
            json!({"registry": "registry:7861", "volume": "volume", "tenant": "ThisIsSomeTenantUUID"}),
        ),
        (
            "quobyte",
            json!({"registry": "a:1,[::1]:2", "volume": "volume", "tenant": ""}),
        ),
        (
            "azureDisk",
            json!({"diskName": "foo", "diskURI": "https://blob/vhds/bar.vhd"}),
        ),
        (
            "azureDisk",
            json!({"diskName": "foo", "diskURI": "/subscriptions/x", "kind": "Managed"}),
        ),
        (
            "scaleIO",
            json!({"gateway": "http://abcd/efg", "system": "test-system", "volumeName": "test-vol-1"}),
        ),
        ("vsphereVolume", json!({"volumePath": "p"})),
        ("photonPersistentDisk", json!({"pdID": "p"})),
        ("portworxVolume", json!({"volumeID": "p"})),
        ("storageos", json!({"volumeName": "a"})),
    ] {
        let mut persistent = source.clone();
        if name == "scaleIO" {
            persistent["secretRef"] = json!({"name": "s", "namespace": "n"});
        }
        let mut own = source;
        if name == "scaleIO" {
            own["secretRef"] = json!({"name": "s"});
        }
        good([in_pod(name, &own), in_volume(name, &persistent)]);
    }
}

#[test]
fn bad_ones() {
    for (name, source, path, expected) in [
        (
            "nfs",
            json!({"server": "", "path": "/tmp"}),
            "nfs.server",
            "Required value",
        ),
        (
            "nfs",
            json!({"server": "my-server", "path": "tmp"}),
            "nfs.path",
            "Invalid value: \"tmp\": must be an absolute path",
        ),
        (
            "glusterfs",
            json!({"endpoints": "", "path": "path"}),
            "glusterfs.endpoints",
            "Required value",
        ),
        (
            "glusterfs",
            json!({"endpoints": "host", "path": ""}),
            "glusterfs.path",
            "Required value",
        ),
        (
            "flocker",
            json!({"datasetName": "datasetName", "datasetUUID": "d846b09d"}),
            "flocker",
            "Invalid value: \"resource\": datasetName and datasetUUID can not be specified simultaneously",
        ),
        (
            "flocker",
            json!({"datasetName": "foo/bar"}),
            "flocker.datasetName",
            "Invalid value: \"foo/bar\": must not contain '/'",
        ),
        (
            "rbd",
            json!({"monitors": [], "image": "bar"}),
            "rbd.monitors",
            "Required value",
        ),
        (
            "rbd",
            json!({"monitors": ["foo"], "image": ""}),
            "rbd.image",
            "Required value",
        ),
        (
            "cephfs",
            json!({"monitors": []}),
            "cephfs.monitors",
            "Required value",
        ),
        (
            "cinder",
            json!({"volumeID": ""}),
            "cinder.volumeID",
            "Required value",
        ),
        (
            "fc",
            json!({"targetWWNs": [], "lun": 1, "wwids": []}),
            "fc.targetWWNs",
            "Required value: must specify either targetWWNs or wwids, but not both",
        ),
        (
            "fc",
            json!({"targetWWNs": ["some_wwn"], "lun": 1, "wwids": ["some_wwid"]}),
            "fc.targetWWNs",
            "Invalid value: [\"some_wwn\"]: targetWWNs and wwids can not be specified simultaneously",
        ),
        (
            "fc",
            json!({"targetWWNs": ["wwn"]}),
            "fc.lun",
            "Required value: lun is required if targetWWNs is specified",
        ),
        (
            "fc",
            json!({"targetWWNs": ["wwn"], "lun": 256}),
            "fc.lun",
            "Invalid value: 256: must be between 0 and 255, inclusive",
        ),
        (
            "flexVolume",
            json!({"driver": "d", "options": {"Foo.KUBERNETES.io/x": "y"}}),
            "flexVolume.options[Foo.KUBERNETES.io/x]",
            "Invalid value: \"Foo.KUBERNETES.io/x\": kubernetes.io and k8s.io namespaces are reserved",
        ),
        (
            "flexVolume",
            json!({"driver": "d", "options": {"k8s.io": "y"}}),
            "flexVolume.options[k8s.io]",
            "Invalid value: \"k8s.io\": kubernetes.io and k8s.io namespaces are reserved",
        ),
        (
            "azureFile",
            json!({"secretName": "", "shareName": "share"}),
            "azureFile.secretName",
            "Required value",
        ),
        (
            "azureFile",
            json!({"secretName": "name", "shareName": ""}),
            "azureFile.shareName",
            "Required value",
        ),
        (
            "quobyte",
            json!({"registry": "", "volume": "/test"}),
            "quobyte.registry",
            "Required value: must be a host:port pair or multiple pairs separated by commas",
        ),
        (
            "quobyte",
            json!({"registry": "registry7861", "volume": "/test"}),
            "quobyte.registry",
            "Invalid value: \"registry7861\": must be a host:port pair or multiple pairs separated by commas",
        ),
        (
            "quobyte",
            json!({"registry": "registry:7861,reg2", "volume": "/test"}),
            "quobyte.registry",
            "Invalid value: \"registry:7861,reg2\": must be a host:port pair or multiple pairs separated by commas",
        ),
        (
            "quobyte",
            json!({"registry": "registry:7861", "volume": ""}),
            "quobyte.volume",
            "Required value",
        ),
        (
            "quobyte",
            json!({"registry": "registry:7861", "volume": "/test", "tenant": "x".repeat(65)}),
            "quobyte.tenant",
            "Required value: must be a UUID and may not exceed a length of 64 characters",
        ),
        (
            "azureDisk",
            json!({"diskName": "", "diskURI": "https://blob/vhds/bar.vhd"}),
            "azureDisk.diskName",
            "Required value",
        ),
        (
            "azureDisk",
            json!({"diskName": "d", "diskURI": "https://x", "cachingMode": "Twice"}),
            "azureDisk.cachingMode",
            "Unsupported value: \"Twice\": supported values: \"None\", \"ReadOnly\", \"ReadWrite\"",
        ),
        (
            "azureDisk",
            json!({"diskName": "d", "diskURI": "https://x", "kind": "Managed"}),
            "azureDisk.diskURI",
            "Unsupported value: \"https://x\": supported values: \"/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/\
             microsoft.compute/disks/{disk-id}\"",
        ),
        (
            "storageos",
            json!({"volumeName": "A"}),
            "storageos.volumeName",
            &format!("Invalid value: \"A\": {LABEL}"),
        ),
        (
            "storageos",
            json!({"volumeName": "a", "volumeNamespace": "b.c"}),
            "storageos.volumeNamespace",
            "Invalid value: \"b.c\": must not contain dots",
        ),
    ] {
        bad_in_both(name, source, path, expected);
    }
    let scale = |gateway: &str, system: &str, name: &str| json!({"gateway": gateway, "system": system, "volumeName": name, "secretRef": {"name": "s"}});
    for (source, field) in [
        (scale("g", "s", ""), "volumeName"),
        (scale("", "s", "v"), "gateway"),
        (scale("g", "", "v"), "system"),
    ] {
        let path = format!("scaleIO.{field}");
        bad_in_both("scaleIO", source, &path, "Required value");
    }
    let disk = json!({"pdName": "", "partition": 1});
    bad(
        in_pod("gcePersistentDisk", &disk),
        "spec.volumes[0].gcePersistentDisk.pdName",
        "Required value",
    );
    bad(
        in_volume("gcePersistentDisk", &disk),
        "spec.persistentDisk.pdName",
        "Required value",
    );
}

#[test]
fn only_persistent_volumes_say_where() {
    let refuse = |name: &str, source: Value, path: &str, expected: &str| {
        bad(in_volume(name, &source), &format!("spec.{path}"), expected);
    };
    refuse(
        "glusterfs",
        json!({"endpoints": "e", "path": "/tmp", "endpointsNamespace": ""}),
        "glusterfs.endpointsNamespace",
        "Invalid value: \"\": if the endpointnamespace is set, it must be a valid namespace name",
    );
    refuse(
        "glusterfs",
        json!({"endpoints": "e", "path": "/tmp", "endpointsNamespace": "A"}),
        "glusterfs.endpointsNamespace",
        &format!("Invalid value: \"A\": {LABEL}"),
    );
    refuse(
        "azureFile",
        json!({"secretName": "s", "shareName": "s", "secretNamespace": ""}),
        "azureFile.secretNamespace",
        "Required value",
    );
    for name in ["cinder", "storageos"] {
        let source = json!({"volumeID": "v", "volumeName": "v", "secretRef": {"name": "s"}});
        let mut own = source.as_object().cloned().unwrap();
        own.shift_remove(if name == "cinder" {
            "volumeName"
        } else {
            "volumeID"
        });
        let source = Value::Object(own);
        good([in_pod(name, &source)]);
        if name == "cinder" {
            refuse(
                name,
                source,
                &format!("{name}.secretRef.namespace"),
                "Required value",
            );
        }
    }
}

#[test]
fn qualified_names_of_iscsi() {
    let disk = |fields: Value| {
        let mut disk =
            json!({"targetPortal": "127.0.0.1", "iqn": "iqn.2015-02.example.com:test", "lun": 1});
        json_patch::merge(&mut disk, &fields);
        disk
    };
    for name in [
        "iqn.2015-02.example.com:test",
        "eui.0123456789ABCDEF",
        "naa.62004567BA64678D0123456789ABCDEF",
    ] {
        let source = disk(json!({ "iqn": name }));
        good([in_pod("iscsi", &source), in_volume("iscsi", &source)]);
        let source = disk(json!({ "initiatorName": name }));
        good([in_pod("iscsi", &source), in_volume("iscsi", &source)]);
    }
    for name in [
        "iqn.2015-02.example.com:test;ls;",
        "iqn.2015-02.example.com",
        "iqn.15-02.example.com:test",
        "iqn.2015-02.:x",
        "eui.0123456789ABCDEFGHIJ",
        "naa.62004567BA_4-78D.123456789ABCDEF",
    ] {
        bad_in_both(
            "iscsi",
            disk(json!({ "iqn": name })),
            "iscsi.iqn",
            &format!("Invalid value: \"{name}\": must be valid format"),
        );
        bad_in_both(
            "iscsi",
            disk(json!({ "initiatorName": name })),
            "iscsi.initiatorname",
            &format!("Invalid value: \"{name}\": must be valid format"),
        );
    }
    let other = "2015-02.example.com:init";
    for (field, path) in [("iqn", "iqn"), ("initiatorName", "initiatorname")] {
        let source = disk(json!({ field: other }));
        bad(
            in_pod("iscsi", &source),
            &format!("spec.volumes[0].iscsi.{path}"),
            &format!(
                "Invalid value: \"{other}\": must be valid format starting with iqn, eui, or naa"
            ),
        );
        bad(
            in_volume("iscsi", &source),
            &format!("spec.iscsi.{path}"),
            &format!("Invalid value: \"{other}\": must be valid format"),
        );
    }
    for (fields, path) in [
        (json!({"targetPortal": ""}), "iscsi.targetPortal"),
        (json!({"iqn": ""}), "iscsi.iqn"),
        (json!({"chapAuthDiscovery": true}), "iscsi.secretRef"),
        (json!({"chapAuthSession": true}), "iscsi.secretRef"),
    ] {
        bad_in_both("iscsi", disk(fields), path, "Required value");
    }
    let long = "p".repeat(63);
    let fields = json!({"targetPortal": long, "initiatorName": "iqn.2015-02.example.com:init"});
    good([in_pod("iscsi", &disk(fields.clone()))]);
    bad(
        in_volume("iscsi", &disk(fields)),
        "spec.iscsi.targetportal",
        &format!(
            "Invalid value: \"{long}\": Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if \
             iscsi.initiatorName is specified."
        ),
    );
}

#[test]
fn drivers_of_csi() {
    let driver = |name: &str| json!({"driver": name, "volumeHandle": "test-123"});
    let own = |name: &str| json!({ "driver": name });
    let longest = "g".repeat(63);
    for name in [
        "test-driver",
        "comgooglestoragecsigcepd",
        "io.kubernetes.storage.csi.flex",
        "io-kubernetes-storage-csi-flex",
        "2io.kubernetes.storage-csi.flex",
        "io.kubernetes.storage-csi.flex2",
        "Upper.Case",
        "a",
        &longest,
    ] {
        good([in_pod("csi", &own(name)), in_volume("csi", &driver(name))]);
    }
    let rule = crate::model::names::dns_subdomain("_")[0].clone();
    for name in [
        "io_kubernetes_storage_csi_flex",
        "io.kubernetes.storage_csi.flex",
        "io.kubernetes-storage.csi_flex",
        "_comgooglestoragecsigcepd",
        "comgooglestoragecsigcepd/",
        "com/google/storage/csi~gcepd",
    ] {
        let expected = format!("Invalid value: \"{name}\": {rule}");
        bad(
            in_pod("csi", &own(name)),
            "spec.volumes[0].csi.driver",
            &expected,
        );
        bad(
            in_volume("csi", &driver(name)),
            "spec.csi.driver",
            &expected,
        );
    }
    let long = "g".repeat(65);
    bad(
        in_pod("csi", &own(&long)),
        "spec.volumes[0].csi.driver",
        "Too long: may not be more than 63 bytes",
    );
    bad(
        in_volume("csi", &json!({"driver": "d", "volumeHandle": ""})),
        "spec.csi.volumeHandle",
        "Required value",
    );
}

#[test]
fn secrets_of_csi() {
    let with = |field: &str, secret: Value| {
        in_volume(
            "csi",
            &json!({"driver": "d", "volumeHandle": "h", (field): secret}),
        )
    };
    let rule = crate::model::names::dns_subdomain(&"g".repeat(255))[0].clone();
    for field in [
        "controllerExpandSecretRef",
        "controllerPublishSecretRef",
        "nodePublishSecretRef",
        "nodeExpandSecretRef",
    ] {
        for name in ["foobar", &"g".repeat(63), &"g".repeat(65), "a.b"] {
            good([with(field, json!({"name": name, "namespace": "default"}))]);
        }
        let path = format!("spec.csi.{field}");
        bad(
            with(field, json!({"namespace": "default"})),
            &format!("{path}.name"),
            "Required value",
        );
        bad(
            with(field, json!({"name": "foobar"})),
            &format!("{path}.namespace"),
            "Required value",
        );
        let long = "g".repeat(255);
        let errors =
            create(with(field, json!({"name": long, "namespace": "default"}))).unwrap_err();
        assert_eq!(
            errors[0].to_string(),
            format!("{path}.name: Invalid value: \"{long}\": {rule}")
        );
    }
    // The API looks at every secret but this.
    good([with("nodeStageSecretRef", json!({}))]);
    let own = |name: &str| {
        in_pod(
            "csi",
            &json!({"driver": "d", "nodePublishSecretRef": {"name": name}}),
        )
    };
    good([own("foobar")]);
    bad(
        own(""),
        "spec.volumes[0].csi.nodePublishSecretRef.name",
        "Required value",
    );
}
