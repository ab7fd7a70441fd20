//! Pods as a whole: `TestValidatePodSpec` and `TestValidatePod`.

use super::*;

#[test]
fn pods() {
    good([
        pod(json!({})),
        pod(json!({"restartPolicy": "OnFailure", "dnsPolicy": "Default"})),
        pod(json!({"activeDeadlineSeconds": 1})),
        pod(json!({"activeDeadlineSeconds": 2_147_483_647})),
        pod(
            json!({"hostNetwork": true, "containers": [{"name": "web", "image": "x", "ports": [{"containerPort": 8080, "hostPort": 8080}]}]}),
        ),
        pod(
            json!({"hostAliases": [{"ip": "12.34.56.78", "hostnames": ["host1", "host2.b"]}, {"ip": "2001:db8::1", "hostnames": ["c"]}]}),
        ),
        pod(json!({"hostname": "a", "subdomain": "b", "setHostnameAsFQDN": true})),
        pod(json!({"nodeName": "foobar", "nodeSelector": {"key": "value"}})),
        pod(json!({"shareProcessNamespace": true, "hostIPC": true})),
        pod(json!({"hostPID": true, "hostNetwork": true, "hostIPC": true})),
        pod(json!({"terminationGracePeriodSeconds": 0})),
        pod(json!({"terminationGracePeriodSeconds": -5})),
        pod(json!({"enableServiceLinks": false, "automountServiceAccountToken": false})),
        pod(json!({"readinessGates": [{"conditionType": "example.com/ready"}]})),
        pod(json!({"imagePullSecrets": [{"name": "a"}]})),
        pod(json!({"os": {"name": "linux"}})),
        pod(
            json!({"securityContext": {"runAsUser": 0, "runAsGroup": 2_147_483_647, "fsGroup": 65534, "supplementalGroups": [0, 1]}}),
        ),
        pod(
            json!({"securityContext": {"fsGroupChangePolicy": "OnRootMismatch", "supplementalGroupsPolicy": "Strict"}}),
        ),
        pod(json!({"hostUsers": false})),
        pod(json!({"hostUsers": true, "hostPID": true})),
    ]);
    let refuse = |fields: Value, path: &str, expected: &str| {
        bad(pod(fields), &format!("spec.{path}"), expected)
    };
    refuse(
        json!({"activeDeadlineSeconds": 2_147_483_648_i64}),
        "activeDeadlineSeconds",
        "Invalid value: 2147483648: must be between 1 and 2147483647, inclusive",
    );
    refuse(
        json!({"activeDeadlineSeconds": -1}),
        "activeDeadlineSeconds",
        "Invalid value: -1: must be between 1 and 2147483647, inclusive",
    );
    for field in ["runAsUser", "runAsGroup", "fsGroup"] {
        for value in [-1_i64, 2_147_483_648] {
            refuse(
                json!({"securityContext": { field: value }}),
                &format!("securityContext.{field}"),
                &format!("Invalid value: {value}: {ID}"),
            );
        }
    }
    refuse(
        json!({"securityContext": {"supplementalGroups": [1, -1]}}),
        "securityContext.supplementalGroups[1]",
        &format!("Invalid value: -1: {ID}"),
    );
    refuse(
        json!({"securityContext": {"supplementalGroupsPolicy": "x"}}),
        "securityContext.supplementalGroupsPolicy",
        "Unsupported value: \"x\": supported values: \"Merge\", \"Strict\"",
    );
    refuse(
        json!({"securityContext": {"fsGroupChangePolicy": "x"}}),
        "securityContext.fsGroupChangePolicy",
        "Unsupported value: \"x\": supported values: \"Always\", \"OnRootMismatch\"",
    );
    refuse(
        json!({"subdomain": "A.b"}),
        "subdomain",
        &format!("Invalid value: \"A.b\": {LABEL}"),
    );
    refuse(
        json!({"readinessGates": [{"conditionType": "invalid/contype/^"}]}),
        "readinessGates[0].conditionType",
        "Invalid value: \"invalid/contype/^\": a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end \
         with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
         '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
    );
    refuse(
        json!({"preemptionPolicy": "x"}),
        "preemptionPolicy",
        "Unsupported value: \"x\": supported values: \"PreemptLowerPriority\", \"Never\"",
    );
    refuse(
        json!({"os": {"name": "plan9"}}),
        "os",
        "Unsupported value: \"plan9\": supported values: \"linux\", \"windows\"",
    );
    refuse(
        json!({"hostUsers": false, "hostIPC": true}),
        "HostIPC",
        "Forbidden: when `hostUsers` is false",
    );
    refuse(
        json!({"volumes": [{"name": "a", "emptyDir": {}}, {"name": "a", "emptyDir": {}}]}),
        "volumes[1].name",
        "Duplicate value: \"a\"",
    );
    refuse(
        json!({"volumes": [{"name": "a.b", "emptyDir": {}}]}),
        "volumes[0].name",
        "Invalid value: \"a.b\": must not contain dots",
    );
    refuse(
        json!({"volumes": [{"name": "a", "emptyDir": {"sizeLimit": "-1"}}]}),
        "volumes[0].emptyDir.sizeLimit",
        "Forbidden: SizeLimit field must be a valid resource quantity",
    );
    refuse(
        json!({"volumes": [{"name": "a", "hostPath": {"path": "/a/../b"}}]}),
        "volumes[0].hostPath.path",
        "Invalid value: \"/a/../b\": must not contain '..'",
    );
}

#[test]
fn pod_level_errors() {
    check(
        pod(json!({"restartPolicy": "x", "dnsPolicy": "y"})),
        &[
            "spec.restartPolicy: Unsupported value: \"x\": supported values: \"Always\", \"OnFailure\", \"Never\"",
            "spec.dnsPolicy: Unsupported value: \"y\": supported values: \"ClusterFirstWithHostNet\", \"ClusterFirst\", \"Default\", \"None\"",
        ],
    );
    check(
        pod(
            json!({"hostNetwork": true, "containers": [{"name": "web", "image": "x", "ports": [{"containerPort": 80, "hostPort": 81}]}]}),
        ),
        &[
            "spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is true",
        ],
    );
    check(
        pod(json!({"dnsPolicy": "None"})),
        &["spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"],
    );
    check(
        pod(json!({"shareProcessNamespace": true, "hostPID": true})),
        &[
            "spec.securityContext.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot both be enabled",
        ],
    );
    check(
        pod(json!({"hostUsers": false, "hostPID": true, "hostNetwork": true})),
        &[
            "spec.hostNetwork: Forbidden: when `hostUsers` is false",
            "spec.HostPID: Forbidden: when `hostUsers` is false",
        ],
    );
    check(
        pod(json!({"activeDeadlineSeconds": 0, "hostname": "A"})),
        &[
            "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
            &format!("spec.hostname: Invalid value: \"A\": {LABEL}"),
        ],
    );
    check(
        pod(json!({"tolerations": [
            {"operator": "Equal", "value": "x"}, {"key": "a", "operator": "Exists", "value": "x"}, {"key": "a", "tolerationSeconds": 5},
        ]})),
        &[
            "spec.tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty, which means \"match all values and \
             all keys\"",
            "spec.tolerations[1].operator: Invalid value: \"x\": value must be empty when `operator` \
             is 'Exists'",
            "spec.tolerations[2].effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set",
        ],
    );
    check(
        pod(json!({"hostAliases": [{"ip": "10.0.0.256", "hostnames": ["a_b"]}]})),
        &[
            "spec.hostAliases[0].ip: Invalid value: \"10.0.0.256\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
            "spec.hostAliases[0].hostnames[0]: Invalid value: \"a_b\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
             characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        ],
    );
    check(
        pod(json!({"ephemeralContainers": [{"name": "x", "image": "y"}]})),
        &["spec.ephemeralContainers: Forbidden: cannot be set on create"],
    );
}
