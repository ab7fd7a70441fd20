//! Situations of `TestValidateVolumes`, `TestValidateKeyToPath`, `TestHugePagesIsolation`, `TestValidateVolumeMounts`,
//! `TestValidateSubpathMutuallyExclusive`, `TestValidateMountPropagation` and `TestAlphaValidateVolumeDevices`, as
//! far as the other tests do not have them.

use super::*;

fn named(name: &str, source: Value) -> Value {
    let mut volume = json!({ "name": name });
    json_patch::merge(&mut volume, &source);
    pod(json!({ "volumes": [volume] }))
}

fn of(source: Value) -> Value {
    named("v", source)
}

#[track_caller]
fn bad_source(source: Value, path: &str, expected: &str) {
    bad(of(source), &format!("spec.volumes[0].{path}"), expected);
}

#[test]
fn names_of_volumes() {
    for name in ["empty", "123", "empty-123", "123-empty", "a"] {
        good([named(name, json!({"emptyDir": {}}))]);
    }
    good([named(&"a".repeat(63), json!({"emptyDir": {}}))]);
    let long = "a".repeat(64);
    for (name, expected) in [
        ("", "Required value".to_owned()),
        (
            &long,
            format!("Invalid value: \"{long}\": must be no more than 63 bytes"),
        ),
        (
            "a.b.c",
            "Invalid value: \"a.b.c\": must not contain dots".to_owned(),
        ),
        (
            "Not a DNS label!",
            format!("Invalid value: \"Not a DNS label!\": {LABEL}"),
        ),
    ] {
        bad(
            named(name, json!({"emptyDir": {}})),
            "spec.volumes[0].name",
            &expected,
        );
    }
    // A subdomain that is too long for a label is told of both.
    let dotted = format!("{}.b", "a".repeat(63));
    check(
        named(&dotted, json!({"emptyDir": {}})),
        &[
            &format!(
                "spec.volumes[0].name: Invalid value: \"{dotted}\": must be no more than 63 bytes"
            ),
            &format!("spec.volumes[0].name: Invalid value: \"{dotted}\": must not contain dots"),
        ],
    );
}

#[test]
fn paths_of_the_machine() {
    for kind in [
        "",
        "DirectoryOrCreate",
        "Directory",
        "FileOrCreate",
        "File",
        "Socket",
        "CharDevice",
        "BlockDevice",
    ] {
        good([of(json!({"hostPath": {"path": "/mnt/path", "type": kind}}))]);
    }
    good([
        of(json!({"hostPath": {"path": "/"}})),
        // Not refused here: a relative path is the node's to judge.
        of(json!({"hostPath": {"path": "mnt/..path"}})),
        of(json!({"emptyDir": {"medium": "HugePages"}})),
        of(json!({"emptyDir": {"sizeLimit": "5"}})),
        of(json!({"emptyDir": {"medium": "Memory", "sizeLimit": "0"}})),
    ]);
    for path in ["/mnt/path/..", "..", "/.."] {
        bad_source(
            json!({"hostPath": {"path": path}}),
            "hostPath.path",
            &format!("Invalid value: \"{path}\": must not contain '..'"),
        );
    }
    bad_source(
        json!({"hostPath": {"path": "/x", "type": "invalid"}}),
        "hostPath.type",
        "Unsupported value: \"invalid\": supported values: \"\", \"BlockDevice\", \"CharDevice\", \"Directory\", \
         \"DirectoryOrCreate\", \"File\", \"FileOrCreate\", \"Socket\"",
    );
}

#[test]
fn more_than_one_source() {
    let only = "Forbidden: may not specify more than 1 volume type";
    for (second, path) in [
        (json!({"hostPath": {"path": "/x"}}), "hostPath"),
        (json!({"cephfs": {"monitors": []}}), "cephFS"),
        (json!({"downwardAPI": {}}), "downwarAPI"),
        (json!({"image": {}}), "image"),
        (json!({"csi": {"driver": ""}}), "csi"),
    ] {
        let mut source = json!({"emptyDir": {}});
        json_patch::merge(&mut source, &second);
        bad_source(source, path, only);
    }
}

/// What secrets and config maps become files of, in volumes of their own and in projected ones.
#[test]
fn keys_become_files() {
    let ways = [
        (
            "secret.items[0]",
            (|item: &Value| json!({"secret": {"secretName": "s", "items": [item]}}))
                as fn(&Value) -> Value,
        ),
        (
            "configMap.items[0]",
            |item| json!({"configMap": {"name": "c", "items": [item]}}),
        ),
        (
            "projected.sources[0].secret.items[0]",
            |item| json!({"projected": {"sources": [{"secret": {"name": "s", "items": [item]}}]}}),
        ),
        (
            "projected.sources[0].configMap.items[0]",
            |item| json!({"projected": {"sources": [{"configMap": {"name": "c", "items": [item]}}]}}),
        ),
    ];
    let mode = "must be a number between 0 and 0777 (octal), both inclusive";
    for (path, source) in ways {
        good(
            [
                json!({"key": "k", "path": "p"}),
                json!({"key": "k", "path": "p/p/p/p"}),
                json!({"key": "k", "path": "p/..p/p../p..p"}),
                json!({"key": "k", "path": "p", "mode": 0o644}),
                json!({"key": "k", "path": "p", "mode": 0}),
                json!({"key": "k", "path": "p", "mode": 0o777}),
            ]
            .map(|item| of(source(&item))),
        );
        let refuse = |item: Value, field: &str, expected: &str| {
            bad_source(source(&item), &format!("{path}.{field}"), expected);
        };
        refuse(json!({"key": "", "path": "p"}), "key", "Required value");
        refuse(json!({"key": "k", "path": ""}), "path", "Required value");
        for text in ["../p", "p/../p", "p/..", ".."] {
            refuse(
                json!({"key": "k", "path": text}),
                "path",
                &format!("Invalid value: \"{text}\": must not contain '..'"),
            );
        }
        refuse(
            json!({"key": "k", "path": "..p"}),
            "path",
            "Invalid value: \"..p\": must not start with '..'",
        );
        refuse(
            json!({"key": "k", "path": "/p"}),
            "path",
            "Invalid value: \"/p\": must be a relative path",
        );
        for bits in [0o1000, -1] {
            refuse(
                json!({"key": "k", "path": "p", "mode": bits}),
                "mode",
                &format!("Invalid value: {bits}: {mode}"),
            );
        }
    }
}

#[test]
fn modes_of_files() {
    for (name, source) in [
        ("secret", json!({"secretName": "s"})),
        ("configMap", json!({"name": "c"})),
        ("downwardAPI", json!({})),
        ("projected", json!({"sources": []})),
    ] {
        let with = |mode: i32| {
            let mut source = source.clone();
            source["defaultMode"] = json!(mode);
            json!({ name: source })
        };
        good([of(with(0o644)), of(with(0)), of(with(0o777))]);
        for mode in [0o1000, -1] {
            bad_source(
                with(mode),
                &format!("{name}.defaultMode"),
                &format!(
                    "Invalid value: {mode}: must be a number between 0 and 0777 (octal), both inclusive"
                ),
            );
        }
    }
    bad_source(json!({"secret": {}}), "secret.secretName", "Required value");
    bad_source(json!({"configMap": {}}), "configMap.name", "Required value");
}

#[test]
fn files_about_the_pod() {
    let file = |item: Value| json!({"downwardAPI": {"items": [item]}});
    let field = |path: &str, field: &str| {
        of(file(
            json!({"path": path, "fieldRef": {"fieldPath": field}}),
        ))
    };
    good([
        field("labels", "metadata.labels"),
        field("labels with subscript", "metadata.labels['key']"),
        field("a", "metadata.labels['test.example.com/key']"),
        field("annotations", "metadata.annotations"),
        field("b", "metadata.annotations['key']"),
        field("c", "metadata.annotations['TEST.EXAMPLE.COM/key']"),
        field("namespace", "metadata.namespace"),
        field("name", "metadata.name"),
        field("uid", "metadata.uid"),
        field("path/with/subdirs", "metadata.labels"),
        field("path/./withdot", "metadata.labels"),
        field("path/with/embedded..dotdot", "metadata.labels"),
        field("path/with/leading/..dotdot", "metadata.labels"),
    ]);
    for resource in [
        "limits.cpu",
        "requests.cpu",
        "limits.memory",
        "requests.memory",
        "limits.ephemeral-storage",
        "requests.hugepages-2Mi",
        "limits.hugepages-2Mi",
    ] {
        let reference = json!({"containerName": "web", "resource": resource});
        good([of(file(
            json!({"path": "p", "resourceFieldRef": reference, "mode": 0o644}),
        ))]);
    }
    let labels = json!({"fieldPath": "metadata.labels"});
    for (path, expected) in [
        ("", "Required value".to_owned()),
        (
            "/absolutepath",
            "Invalid value: \"/absolutepath\": must be a relative path".to_owned(),
        ),
        (
            "../../passwd",
            "Invalid value: \"../../passwd\": must not contain '..'".to_owned(),
        ),
        (
            "..badFileName",
            "Invalid value: \"..badFileName\": must not start with '..'".to_owned(),
        ),
        (
            "..badDirName/goodFileName",
            "Invalid value: \"..badDirName/goodFileName\": must not start with '..'".to_owned(),
        ),
    ] {
        bad_source(
            file(json!({"path": path, "fieldRef": labels})),
            "downwardAPI.path",
            &expected,
        );
    }
    for mode in [0o1000, -1] {
        bad_source(
            file(json!({"path": "p", "fieldRef": labels, "mode": mode})),
            "downwardAPI.mode",
            &format!(
                "Invalid value: {mode}: must be a number between 0 and 0777 (octal), both inclusive"
            ),
        );
    }
    bad_source(
        file(json!({"path": "p", "fieldRef": labels,
            "resourceFieldRef": {"containerName": "web", "resource": "requests.memory"}})),
        "downwardAPI",
        "Invalid value: \"resource\": fieldRef and resourceFieldRef can not be specified simultaneously",
    );
    bad_source(
        file(
            json!({"path": "p", "resourceFieldRef": {"containerName": "web", "resource": "limits.disk"}}),
        ),
        "downwardAPI.resourceFieldRef.resource",
        "Unsupported value: \"limits.disk\": supported values: \"limits.cpu\", \"limits.ephemeral-storage\", \"limits.memory\", \
         \"requests.cpu\", \"requests.ephemeral-storage\", \"requests.memory\"",
    );
}

#[test]
fn projected_sources() {
    let sources = |sources: Value| of(json!({"projected": {"sources": sources}}));
    good([
        sources(
            json!([{"secret": {"name": "foo"}}, {"configMap": {"name": "foo"}}, {"downwardAPI": {}},
            {"serviceAccountToken": {"path": "t", "expirationSeconds": 600}}]),
        ),
        sources(
            json!([{"serviceAccountToken": {"path": "t", "expirationSeconds": 4_294_967_296_i64}}]),
        ),
        sources(json!([])),
    ]);
    let path = "spec.volumes[0].projected";
    let one = "may not specify more than 1 volume type per source";
    check(
        sources(
            json!([{"secret": {"name": "foo"}}, {"secret": {"name": "foo"}, "downwardAPI": {}}]),
        ),
        &[&format!("{path}.sources[1]: Forbidden: {one}")],
    );
    check(
        sources(json!([{"secret": {"name": ""}}, {"secret": {"name": ""}, "downwardAPI": {}}])),
        &[
            &format!("{path}.sources[0].secret.name: Required value"),
            &format!("{path}.sources[1].secret.name: Required value"),
            &format!("{path}.sources[1]: Forbidden: {one}"),
        ],
    );
    let label = json!({"path": "p", "fieldRef": {"fieldPath": "metadata.labels"}});
    check(
        sources(
            json!([{"configMap": {"name": "", "items": [{"key": "k", "path": "p"}]}}, {"downwardAPI": {"items": [label]}}]),
        ),
        &[
            &format!("{path}.sources[0].configMap.name: Required value"),
            &format!("{path}: Invalid value: \"p\": conflicting duplicate paths"),
        ],
    );
    check(
        sources(
            json!([{"serviceAccountToken": {"path": "../t", "expirationSeconds": 4_294_967_297_i64}}]),
        ),
        &[
            &format!(
                "{path}.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 4294967297: may not specify a duration larger \
                 than 2^32 seconds"
            ),
            &format!("{path}.path: Invalid value: \"../t\": must not contain '..'"),
        ],
    );
}

#[test]
fn repositories_and_images() {
    for directory in ["target", ".", "..foo", ""] {
        good([of(
            json!({"gitRepo": {"repository": "my-repo", "revision": "hash", "directory": directory}}),
        )]);
    }
    for directory in ["../dots/bar", "dots/../bar"] {
        bad_source(
            json!({"gitRepo": {"repository": "foo", "directory": directory}}),
            "gitRepo.directory",
            &format!("Invalid value: \"{directory}\": must not contain '..'"),
        );
    }
    bad_source(
        json!({"gitRepo": {"repository": "foo", "directory": "/abstarget"}}),
        "gitRepo.directory",
        "Invalid value: \"/abstarget\": must be a relative path",
    );
    let image = |reference: &str, policy: &str| json!({"image": {"reference": reference, "pullPolicy": policy}});
    for policy in ["", "Always", "Never", "IfNotPresent"] {
        good([of(image("quay.io/my/artifact:v1", policy))]);
    }
    bad_source(
        image("", "IfNotPresent"),
        "image.reference",
        "Required value",
    );
    bad_source(
        image("quay.io/my/artifact:v1", "wrong"),
        "image.pullPolicy",
        "Unsupported value: \"wrong\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
    );
    bad(
        named("", image("quay.io/my/artifact:v1", "IfNotPresent")),
        "spec.volumes[0].name",
        "Required value",
    );
    good([of(json!({"persistentVolumeClaim": {"claimName": "c"}}))]);
    bad_source(
        json!({"persistentVolumeClaim": {"claimName": ""}}),
        "persistentVolumeClaim.claimName",
        "Required value",
    );
}

#[test]
fn huge_pages_go_with_others() {
    let of = |requests: Value, limits: Value| {
        container(json!({"resources": {"requests": requests, "limits": limits}}))
    };
    let both = |amounts: Value| of(amounts.clone(), amounts);
    good([
        both(json!({"cpu": "10", "memory": "10G", "hugepages-2Mi": "1Gi"})),
        both(json!({"cpu": "10", "memory": "10G", "hugepages-2Mi": "1Gi", "hugepages-1Gi": "2Gi"})),
        both(json!({"memory": "10G", "hugepages-2Mi": "1Gi"})),
    ]);
    let huge = json!({"hugepages-2Mi": "1Gi"});
    assert!(create(both(huge)).is_err());
    let less = of(
        json!({"cpu": "10", "memory": "10G", "hugepages-2Mi": "1Gi"}),
        json!({"cpu": "10", "memory": "10G", "hugepages-2Mi": "2Gi"}),
    );
    bad(
        less,
        "spec.containers[0].resources.requests",
        "Invalid value: \"1Gi\": must be equal to hugepages-2Mi limit of 2Gi",
    );
}

fn with_volumes(fields: Value) -> Value {
    let claim = |name: &str| json!({"name": name, "persistentVolumeClaim": {"claimName": name}});
    let template = json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10G"}}}});
    let mut value = container(fields);
    value["spec"]["volumes"] = json!([
        claim("abc"), claim("abc-123"), claim("xyz"), claim("uvw"),
        {"name": "123", "hostPath": {"path": "/foo/baz"}},
        {"name": "ephemeral", "ephemeral": {"volumeClaimTemplate": template}},
        {"name": "image-volume", "image": {"reference": "quay.io/my/artifact:v1"}},
    ]);
    value
}

#[test]
fn more_mounts() {
    let good_mount = |fields: Value| {
        good([with_volumes(json!({
            "volumeMounts": [fields],
            "volumeDevices": [{"name": "xyz", "devicePath": "/foofoo"}, {"name": "uvw", "devicePath": "/foofoo/share/test"}],
        }))]);
    };
    for (name, path, sub_path) in [
        ("abc", "/foo", None),
        ("123", "/bar", None),
        ("abc-123", "/baa", Some("")),
        ("abc-123", "/bab", Some("baz")),
        ("abc-123", "d:", Some("")),
        ("abc-123", "G:\\mount", None),
        ("abc-123", "/bac", Some(".baz")),
        ("abc-123", "/bad", Some("..baz")),
        ("ephemeral", "/foobar", None),
        ("image-volume", "/image-volume", None),
        // Since ImageVolume is on, a part of an image can be mounted, too.
        ("image-volume", "/image-volume", Some("dir")),
    ] {
        good_mount(json!({"name": name, "mountPath": path, "subPath": sub_path}));
    }
    for (readonly, recursive, propagation) in [
        (true, Some("Disabled"), None),
        (false, Some("Disabled"), None),
        (true, Some("IfPossible"), None),
        (true, Some("Enabled"), Some("None")),
        (true, None, Some("HostToContainer")),
    ] {
        good_mount(
            json!({"name": "123", "mountPath": "/rro", "readOnly": readonly,
            "recursiveReadOnly": recursive, "mountPropagation": propagation}),
        );
    }
    let list = "spec.containers[0].volumeMounts";
    let bad_mount = |fields: Value, path: &str, expected: &str| {
        bad(
            with_volumes(json!({"volumeMounts": [fields],
                "volumeDevices": [{"name": "xyz", "devicePath": "/mnt/exists"}]})),
            &format!("{list}{path}"),
            expected,
        );
    };
    for text in ["../baz", "baz/../bat", "./.."] {
        bad_mount(
            json!({"name": "abc", "mountPath": "/bar", "subPath": text}),
            ".subPath",
            &format!("Invalid value: \"{text}\": must not contain '..'"),
        );
    }
    bad_mount(
        json!({"name": "abc", "mountPath": "/bar", "subPath": "/baz"}),
        ".subPath",
        "Invalid value: \"/baz\": must be a relative path",
    );
    // Both lists tell of it.
    check(
        with_volumes(
            json!({"volumeMounts": [{"name": "uvw", "mountPath": "/mnt/exists"}],
            "volumeDevices": [{"name": "xyz", "devicePath": "/mnt/exists"}]}),
        ),
        &[
            &format!(
                "{list}[0].mountPath: Invalid value: \"/mnt/exists\": must not already exist as a path in volumeDevices"
            ),
            "spec.containers[0].volumeDevices[0].devicePath: Invalid value: \"/mnt/exists\": must not already exist as a path in \
             volumeMounts",
        ],
    );
    bad_mount(
        json!({"name": "123", "mountPath": "/rro-bad1", "recursiveReadOnly": "IfPossible"}),
        ".recursiveReadOnly",
        "Forbidden: may only be specified when readOnly is true",
    );
    let privileged = |value: Option<bool>, propagation: &str| {
        with_volumes(json!({"securityContext": {"privileged": value},
            "volumeMounts": [{"name": "123", "mountPath": "/foo", "mountPropagation": propagation}]}))
    };
    for value in [None, Some(false), Some(true)] {
        good([
            privileged(value, "None"),
            privileged(value, "HostToContainer"),
        ]);
    }
    good([privileged(Some(true), "Bidirectional")]);
    for value in [None, Some(false)] {
        bad(
            privileged(value, "Bidirectional"),
            &format!("{list}.mountPropagation"),
            "Forbidden: Bidirectional mount propagation is available only to privileged containers",
        );
    }
    bad(
        privileged(Some(true), "invalid"),
        &format!("{list}.mountPropagation"),
        "Unsupported value: \"invalid\": supported values: \"Bidirectional\", \"HostToContainer\", \"None\"",
    );
}

#[test]
fn more_devices() {
    let list = "spec.containers[0].volumeDevices";
    good([with_volumes(json!({
        "volumeDevices": [{"name": "abc", "devicePath": "/foo"}, {"name": "abc-123", "devicePath": "/usr/share/test"},
            {"name": "ephemeral", "devicePath": "/disk"}],
        "volumeMounts": [{"name": "xyz", "mountPath": "/foofoo"}, {"name": "uvw", "mountPath": "/foo/usr/share/test"}],
    }))]);
    // Nothing says that the path is absolute; the container finds it below its root.
    good([with_volumes(
        json!({"volumeDevices": [{"name": "abc-123", "devicePath": "baz"}]}),
    )]);
    let devices = |devices: Value| with_volumes(json!({ "volumeDevices": devices }));
    check(
        devices(json!([{"name": "", "devicePath": "/foo"}])),
        &[
            &format!("{list}[0].name: Required value"),
            &format!("{list}[0].name: Not found: \"\""),
        ],
    );
    for (value, path, expected) in [
        (
            json!([{"name": "abc", "devicePath": "/foo"}, {"name": "abc", "devicePath": "/foo/bar"}]),
            "[1].name",
            "Invalid value: \"abc\": must be unique",
        ),
        (
            json!([{"name": "not-found", "devicePath": "/usr/share/test"}]),
            "[0].name",
            "Not found: \"not-found\"",
        ),
        (
            json!([{"name": "123", "devicePath": "/usr/share/test"}]),
            "[0].name",
            "Invalid value: \"123\": can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode",
        ),
        (
            json!([{"name": "abc", "devicePath": ""}]),
            "[0].devicePath",
            "Required value",
        ),
        (
            json!([{"name": "abc", "devicePath": "/foo"}, {"name": "abc-123", "devicePath": "/foo"}]),
            "[1].devicePath",
            "Invalid value: \"/foo\": must be unique",
        ),
        (
            json!([{"name": "abc", "devicePath": "/baz/../"}]),
            "[0].devicePath",
            "Invalid value: \"/baz/../\": can not contain backsteps ('..')",
        ),
    ] {
        bad(devices(value), &format!("{list}{path}"), expected);
    }
}
