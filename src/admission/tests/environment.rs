//! Variables of containers: `TestValidateEnv`, `TestValidateEnvFrom` and what is wrong in many places at once.

use super::*;

#[test]
fn environment_errors() {
    let env = |variable: Value| container(json!({ "env": [variable] }));
    check(
        env(json!({"name": "A=B"})),
        &[
            "spec.containers[0].env[0].name: Invalid value: \"A=B\": a valid environment variable name must consist only of printable ASCII \
           characters other than '='",
        ],
    );
    check(
        env(
            json!({"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}),
        ),
        &[
            "spec.containers[0].env[0].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
        ],
    );
    check(
        env(json!({"name": "A", "valueFrom": {}})),
        &[
            "spec.containers[0].env[0].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, \
           `secretKeyRef` or `fileKeyRef`",
        ],
    );
    check(
        env(
            json!({"name": "A", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "k"}, "secretKeyRef": {"name": "a", "key": "k"}}}),
        ),
        &[
            "spec.containers[0].env[0].valueFrom: Invalid value: \"\": may not have more than one field specified at a time",
        ],
    );
    let field =
        |path: &str| env(json!({"name": "A", "valueFrom": {"fieldRef": {"fieldPath": path}}}));
    check(field("metadata.labels['a/b']"), &[]);
    check(
        field("metadata.labels"),
        &[
            "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: \"metadata.labels\": supported values: \"metadata.name\", \
           \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \
           \"status.podIP\", \"status.podIPs\"",
        ],
    );
    check(
        field("spec.image"),
        &[
            "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"spec.image\": error converting fieldPath: field label not \
           supported: spec.image",
        ],
    );
    check(
        env(
            json!({"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "2"}}}),
        ),
        &[
            "spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor: Invalid value: \"limits.cpu\": only divisor's values 1m and 1 are supported with \
           the cpu resource",
        ],
    );
    check(
        container(json!({"envFrom": [{"prefix": "A="}]})),
        &[
            "spec.containers[0].envFrom[0].prefix: Invalid value: \"A=\": a valid environment variable name must consist only of printable ASCII \
             characters other than '='",
            "spec.containers[0].envFrom: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`",
        ],
    );
}

#[test]
fn variables() {
    let env = |variable: Value| container(json!({ "env": [variable] }));
    good(
        [
            "abc",
            "ABC",
            "AbC_123",
            "abc_def.ghi",
            "1ABC",
            "a-b",
            "a b",
            "!#$%&'()*+,/:;<>?@[]^`{|}~",
        ]
        .map(|name| env(json!({"name": name, "value": "v"}))),
    );
    let field =
        |path: &str| env(json!({"name": "A", "valueFrom": {"fieldRef": {"fieldPath": path}}}));
    good(
        [
            "metadata.annotations['key']",
            "metadata.labels['key']",
            "metadata.name",
            "metadata.namespace",
            "metadata.uid",
            "spec.nodeName",
            "spec.serviceAccountName",
            "status.hostIP",
            "status.hostIPs",
            "status.podIP",
            "status.podIPs",
        ]
        .map(field),
    );
    for path in ["metadata.annotations", "status.phase"] {
        bad(
            field(path),
            &in_container("env[0].valueFrom.fieldRef.fieldPath"),
            &format!(
                "Unsupported value: \"{path}\": supported values: \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \
                 \"spec.nodeName\", \"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \"status.podIPs\""
            ),
        );
    }
    bad(
        field(""),
        &in_container("env[0].valueFrom.fieldRef.fieldPath"),
        "Required value",
    );
    for path in ["metadata.whoops", "metadata.labels[]"] {
        bad(
            field(path),
            &in_container("env[0].valueFrom.fieldRef.fieldPath"),
            &format!(
                "Invalid value: \"{path}\": error converting fieldPath: field label not supported: {path}"
            ),
        );
    }
    let resource = |name: &str| {
        env(json!({"name": "A", "valueFrom": {"resourceFieldRef": {"resource": name}}}))
    };
    good(
        [
            "limits.cpu",
            "limits.memory",
            "limits.ephemeral-storage",
            "requests.cpu",
            "requests.memory",
            "requests.ephemeral-storage",
            "requests.hugepages-2Mi",
            "limits.hugepages-1Gi",
        ]
        .map(resource),
    );
    good([
        env(
            json!({"name": "A", "valueFrom": {"secretKeyRef": {"name": "some-secret", "key": "secret-key"}}}),
        ),
        env(
            json!({"name": "A", "valueFrom": {"configMapKeyRef": {"name": "some-config-map", "key": "some-key"}}}),
        ),
        env(json!({"name": "A", "value": ""})),
    ]);
    bad(
        env(json!({"name": ""})),
        &in_container("env[0].name"),
        "Required value",
    );
    bad(
        env(json!({"name": "A", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "k k"}}})),
        &in_container("env[0].valueFrom.configMapKeyRef.key"),
        "Invalid value: \"k k\": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  \
         or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
    );
    let from = |sources: Value| container(json!({ "envFrom": sources }));
    good([
        from(json!([{"configMapRef": {"name": "abc"}}])),
        from(json!([{"prefix": "pre_", "configMapRef": {"name": "abc"}}])),
        from(json!([{"prefix": "a.b", "secretRef": {"name": "abc"}}])),
        from(json!([{"prefix": "1a b", "secretRef": {"name": "abc", "optional": true}}])),
    ]);
    bad(
        from(json!([{"configMapRef": {"name": "abc"}, "secretRef": {"name": "abc"}}])),
        &in_container("envFrom"),
        "Invalid value: \"\": may not have more than one field specified at a time",
    );
}
