//! ConfigMaps, Secrets, namespaces and presets: the rules in one place, with what may not change.

use super::*;

#[test]
fn config_maps_and_secrets() {
    check(
        data(
            "ConfigMap",
            json!({"data": {"a b": "x", "k": "y"}, "binaryData": {"k": "eQ=="}}),
        ),
        &[
            "data[a b]: Invalid value: \"a b\": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
             'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
            "data[k]: Invalid value: \"k\": duplicate of key present in binaryData",
            "binaryData[k]: Invalid value: \"k\": duplicate of key present in data",
        ],
    );
    check(
        data("ConfigMap", json!({"data": {"a": "x".repeat(1_048_577)}})),
        &["data: Too long: may not be more than 1048576 bytes"],
    );
    let secret = |type_: &str| data("Secret", json!({ "type": type_ }));
    check(
        secret("kubernetes.io/tls"),
        &[
            "data[tls.crt]: Required value",
            "data[tls.key]: Required value",
        ],
    );
    check(
        secret("kubernetes.io/dockerconfigjson"),
        &["data[.dockerconfigjson]: Required value"],
    );
    check(
        secret("kubernetes.io/basic-auth"),
        &[
            "data[username]: Required value",
            "data[password]: Required value",
        ],
    );
    check(
        secret("kubernetes.io/ssh-auth"),
        &["data[ssh-privatekey]: Required value"],
    );
    check(
        secret("kubernetes.io/service-account-token"),
        &["metadata.annotations[kubernetes.io/service-account.name]: Required value"],
    );
    check(secret("mine"), &[]);
    let value = created(data(
        "Secret",
        json!({"data": {"a": "eA==", "b": "eA=="}, "stringData": {"b": "y", "c": "z"}}),
    ));
    assert_eq!(
        value["data"],
        json!({"a": "eA==", "b": "eQ==", "c": "eg=="})
    );
    assert_eq!(value["type"], "Opaque");
    assert_eq!(value.get("stringData"), None);
}

#[test]
fn namespaces() {
    let value =
        created(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}}));
    assert_eq!(value["status"]["phase"], "Active");
    assert_eq!(
        value["metadata"]["labels"]["kubernetes.io/metadata.name"],
        "team"
    );
}

#[test]
fn immutable_data() {
    let errors = |kind: Kind, old: Value, change: Value| {
        let old = created(data(kind.as_str(), old));
        let mut new = old.clone();
        json_patch::merge(&mut new, &change);
        let old = Object::from_value(kind, old).unwrap();
        let result = admit_update(&old, object(new), &context());
        let errors = result.err().unwrap_or_default();
        errors.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        errors(
            Kind::ConfigMap,
            json!({"immutable": true, "data": {"a": "b"}}),
            json!({"immutable": false, "data": {"a": "c"}})
        ),
        [
            "immutable: Forbidden: field is immutable when `immutable` is set",
            "data: Forbidden: field is immutable when `immutable` is set",
        ]
    );
    assert_eq!(
        errors(Kind::Secret, json!({"type": "a"}), json!({"type": "b"})),
        ["type: Invalid value: \"b\": field is immutable"]
    );
    assert_eq!(
        errors(
            Kind::ConfigMap,
            json!({"data": {"a": "b"}}),
            json!({"data": {"a": "c"}})
        ),
        [""; 0]
    );
}

fn preset(spec: Value) -> Value {
    let mut value = json!({
        "apiVersion": "settings.k8s.io/v1alpha1", "kind": "PodPreset",
        "metadata": {"name": "db", "namespace": "default"},
    });
    value["spec"] = spec;
    value
}

#[test]
fn presets() {
    let value = created(preset(json!({
        "selector": {},
        "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "volumes": [{"name": "a"}, {"name": "m", "configMap": {"name": "m"}}],
        "volumeMounts": [{"name": "a", "mountPath": "/a"}],
    })));
    let field = &value["spec"]["env"][0]["valueFrom"]["fieldRef"];
    assert_eq!(field["apiVersion"], "v1");
    assert_eq!(value["spec"]["volumes"][0]["emptyDir"], json!({}));
    assert_eq!(value["spec"]["volumes"][1]["configMap"]["defaultMode"], 420);
    check(
        preset(json!({
            "volumes": [{"name": "a", "emptyDir": {}}],
            "volumeMounts": [{"name": "a", "mountPath": "/a", "mountPropagation": "Bidirectional"}],
        })),
        &[],
    );
    let nothing =
        "spec.volumes.env.envFrom.volumeMounts: Required value: must specify at least one";
    check(preset(json!({})), &[nothing]);
    check(preset(Value::Null), &[nothing]);
    check(
        preset(json!({
            "selector": {"matchLabels": {"a": "b c"}, "matchExpressions": [
                {"key": "a", "operator": "In"}, {"key": "a", "operator": "Exists", "values": ["b"]}, {"key": "", "operator": "Near"},
            ]},
            "env": [{"name": "A="}],
            "envFrom": [{}],
            "volumes": [{"name": "v", "hostPath": {"path": ""}}],
            "volumeMounts": [{"name": "v", "mountPath": "/v"}, {"name": "v", "mountPath": ""}],
        })),
        &[
            &format!("spec.selector.matchLabels[a]: Invalid value: \"b c\": {LABEL_VALUE}"),
            "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
            "spec.selector.matchExpressions[1].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            "spec.selector.matchExpressions[2].operator: Invalid value: \"Near\": not a valid selector operator",
            "spec.selector.matchExpressions[2].key: Invalid value: \"\": name part must be non-empty",
            &format!("spec.selector.matchExpressions[2].key: Invalid value: \"\": {NAME_PART}"),
            "spec.volumes[0].hostPath.path: Required value",
            "spec.env[0].name: Invalid value: \"A=\": a valid environment variable name must consist only of printable ASCII characters other than '='",
            "spec.envFrom: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`",
            "spec.volumeMounts[0].name: Not found: \"v\"",
            "spec.volumeMounts[1].name: Not found: \"v\"",
            "spec.volumeMounts[1].mountPath: Required value",
        ],
    );
}
