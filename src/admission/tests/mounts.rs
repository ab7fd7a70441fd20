//! Volumes and where containers see them: `TestValidateVolumeMounts` and the first rules of volumes.

use super::*;

#[test]
fn mounts() {
    let mount = |fields: Value| {
        let mut mount = json!({"name": "v", "mountPath": "/foo"});
        json_patch::merge(&mut mount, &fields);
        let mut value = container(json!({ "volumeMounts": [mount] }));
        value["spec"]["volumes"] = json!([{"name": "v", "emptyDir": {}}]);
        value
    };
    good([
        json!({}),
        json!({"mountPath": "foo/bar"}),
        json!({"mountPath": "c:/foo"}),
        json!({"subPath": "baz"}),
        json!({"subPath": "baz/quux"}),
        json!({"subPath": "..a/b..c"}),
        json!({"subPathExpr": "$(POD)/a"}),
        json!({"mountPropagation": "None"}),
        json!({"mountPropagation": "HostToContainer"}),
        json!({"readOnly": true, "recursiveReadOnly": "Enabled"}),
        json!({"readOnly": true, "recursiveReadOnly": "IfPossible", "mountPropagation": "None"}),
        json!({"recursiveReadOnly": "Disabled"}),
    ]
    .map(mount));
    let path = in_container("volumeMounts[0]");
    check(
        mount(json!({"name": ""})),
        &[
            &format!("{path}.name: Required value"),
            &format!("{path}.name: Not found: \"\""),
        ],
    );
    bad(
        mount(json!({"name": "w"})),
        &format!("{path}.name"),
        "Not found: \"w\"",
    );
    bad(
        mount(json!({"mountPath": ""})),
        &format!("{path}.mountPath"),
        "Required value",
    );
    let sub = in_container("volumeMounts");
    for text in ["..", "../baz", "baz/../quux", "baz/.."] {
        bad(
            mount(json!({ "subPath": text })),
            &format!("{sub}.subPath"),
            &format!("Invalid value: \"{text}\": must not contain '..'"),
        );
        bad(
            mount(json!({ "subPathExpr": text })),
            &format!("{sub}.subPathExpr"),
            &format!("Invalid value: \"{text}\": must not contain '..'"),
        );
    }
    bad(
        mount(json!({"subPathExpr": "/baz"})),
        &format!("{sub}.subPathExpr"),
        "Invalid value: \"/baz\": must be a relative path",
    );
    bad(
        mount(json!({"subPath": "a", "subPathExpr": "b"})),
        &format!("{path}.subPathExpr"),
        "Invalid value: \"b\": subPathExpr and subPath are mutually exclusive",
    );
    bad(
        mount(json!({"mountPropagation": "Sideways"})),
        &format!("{sub}.mountPropagation"),
        "Unsupported value: \"Sideways\": supported values: \"Bidirectional\", \"HostToContainer\", \"None\"",
    );
    bad(
        mount(json!({"mountPropagation": "Bidirectional"})),
        &format!("{sub}.mountPropagation"),
        "Forbidden: Bidirectional mount propagation is available only to privileged containers",
    );
    let mut privileged = mount(json!({"mountPropagation": "Bidirectional"}));
    privileged["spec"]["containers"][0]["securityContext"] = json!({"privileged": true});
    good([privileged]);
    let only = format!("{sub}.recursiveReadOnly");
    bad(
        mount(json!({"recursiveReadOnly": "Enabled"})),
        &only,
        "Forbidden: may only be specified when readOnly is true",
    );
    bad(
        mount(
            json!({"readOnly": true, "recursiveReadOnly": "Enabled", "mountPropagation": "HostToContainer"}),
        ),
        &only,
        "Forbidden: may only be specified when mountPropagation is None or not specified",
    );
    bad(
        mount(json!({"readOnly": true, "recursiveReadOnly": "Whatever"})),
        &only,
        "Unsupported value: \"Whatever\": supported values: \"Disabled\", \"Enabled\", \"IfPossible\"",
    );
}

#[test]
fn volume_errors() {
    check(
        pod(json!({"volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/x"}}]})),
        &["spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"],
    );
    check(
        pod(json!({
            "volumes": [{"name": "v", "hostPath": {"path": "/a/../b", "type": "Dir"}}, {"name": "w", "configMap": {"defaultMode": 512}}],
            "containers": [{"name": "web", "image": "x", "volumeMounts": [
                {"name": "v", "mountPath": "/x"}, {"name": "x", "mountPath": "/x", "subPath": "/x"}, {"name": "w"},
            ]}],
        })),
        &[
            "spec.volumes[0].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'",
            "spec.volumes[0].hostPath.type: Unsupported value: \"Dir\": supported values: \"\", \"BlockDevice\", \"CharDevice\", \"Directory\", \
             \"DirectoryOrCreate\", \"File\", \"FileOrCreate\", \"Socket\"",
            "spec.volumes[1].configMap.name: Required value",
            "spec.volumes[1].configMap.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive",
            "spec.containers[0].volumeMounts[0].name: Not found: \"v\"",
            "spec.containers[0].volumeMounts[1].name: Not found: \"x\"",
            "spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/x\": must be unique",
            "spec.containers[0].volumeMounts.subPath: Invalid value: \"/x\": must be a relative path",
            "spec.containers[0].volumeMounts[2].name: Not found: \"w\"",
            "spec.containers[0].volumeMounts[2].mountPath: Required value",
        ],
    );
    check(
        pod(
            json!({"volumes": [{"name": "v", "emptyDir": {}}, {"name": "v", "emptyDir": {}}, {"emptyDir": {}}]}),
        ),
        &[
            "spec.volumes[1].name: Duplicate value: \"v\"",
            "spec.volumes[2].name: Required value",
        ],
    );
    check(
        pod(json!({
            "volumes": [{"name": "v", "emptyDir": {}}],
            "containers": [{"name": "web", "image": "x", "volumeMounts": [{"name": "v", "mountPath": "/x", "mountPropagation": "Bidirectional"}]}],
        })),
        &[
            "spec.containers[0].volumeMounts.mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers",
        ],
    );
    check(
        pod(json!({"volumes": [{"name": "v", "projected": {"sources": [
            {"secret": {"name": "a", "items": [{"key": "k", "path": "p"}]}},
            {"configMap": {"name": "b", "items": [{"key": "k", "path": "p"}, {"key": "k", "path": "..x"}]}},
            {"serviceAccountToken": {"path": "t", "expirationSeconds": 60}},
        ]}}]})),
        &[
            "spec.volumes[0].projected: Invalid value: \"b\": conflicting duplicate paths",
            "spec.volumes[0].projected.sources[1].configMap.items[1].path: Invalid value: \"..x\": must not start with '..'",
            "spec.volumes[0].projected.sources[2].serviceAccountToken.expirationSeconds: Invalid value: 60: may not specify a duration less than \
             10 minutes",
        ],
    );
}
