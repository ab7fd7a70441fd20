use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Admitted, Context, admit_create, admit_update};
use crate::manifest;
use crate::model::{ApiError, FieldError, Kind, Object, decode};

mod affinity;
mod annotations;
mod cases;
mod claims;
mod containers;
mod data;
mod defaulted;
mod persistent;
mod priority;
mod resize;
mod resources;
mod rules;
mod scheduling;
mod security;
mod sources;
mod storage;
mod updates;
mod volumes;
mod warnings;

const NOW: i64 = 1_700_000_000;

fn context() -> Context {
    Context {
        now: Timestamp::from_second(NOW).unwrap(),
    }
}

fn object(value: Value) -> Object {
    decode::decode(value).unwrap().object
}

fn create(value: Value) -> Result<(Admitted<Object>, Vec<String>), Vec<FieldError>> {
    admit_create(object(value), &context())
}

fn created(value: Value) -> Value {
    create(value).unwrap().0.get().to_value()
}

/// A good pod, changed by a merge patch of its spec.
fn pod(change: Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {"containers": [{"name": "web", "image": "nginx"}]},
    });
    json_patch::merge(&mut pod["spec"], &change);
    pod
}

/// A good pod whose first container has more fields.
fn container(fields: Value) -> Value {
    let mut container = json!({"name": "web", "image": "nginx"});
    json_patch::merge(&mut container, &fields);
    pod(json!({ "containers": [container] }))
}

#[track_caller]
fn check(value: Value, expected: &[&str]) {
    let errors = match create(value) {
        Ok(_) => Vec::new(),
        Err(errors) => errors,
    };
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors, expected);
}

/// Fields of a manifest, as they are written in one.
fn fields(text: &str) -> Value {
    let text = format!("apiVersion: v1\nkind: Pod\nfields: {text}\n");
    let loaded = manifest::load(&text, "row");
    assert!(loaded.diagnostics.is_empty(), "{text}");
    loaded.documents[0].value["fields"].clone()
}

/// What is said of one row of a table.
type Row<'a> = (&'a str, &'a [&'a str]);

/// Each row: fields of a manifest, which `make` completes to an object, and its errors, whose path is below `at`.
#[track_caller]
fn check_rows(make: fn(Value) -> Value, at: &str, rows: &[Row<'_>]) {
    for (text, expected) in rows {
        let errors = create(make(fields(text))).err().unwrap_or_default();
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let expected: Vec<String> = expected.iter().map(|text| format!("{at}{text}")).collect();
        assert_eq!(errors, expected, "{text}");
    }
}

#[test]
fn defaults_of_a_pod() {
    let value = created(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "namespace": "default", "uid": "chosen", "resourceVersion": "7"},
        "spec": {
            "restartPolicy": "",
            "containers": [{
                "name": "web", "image": "nginx",
                "ports": [{"containerPort": 80}],
                "resources": {"limits": {"cpu": "0.5", "memory": "1024Mi"}},
                "livenessProbe": {"httpGet": {"port": 80}},
                "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            }],
            "volumes": [
                {"name": "a"}, {"name": "b", "hostPath": {"path": "/x"}}, {"name": "c", "configMap": {"name": "m"}},
                {"name": "d", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
            ],
        },
        "status": {"phase": "Running"},
    }));
    let metadata = &value["metadata"];
    assert_eq!(metadata["creationTimestamp"], "2023-11-14T22:13:20Z");
    assert_eq!(metadata["generation"], 1);
    assert_ne!(metadata["uid"], "chosen");
    assert_eq!(metadata["uid"].as_str().unwrap().len(), 36);
    assert_eq!(metadata.get("resourceVersion"), None);
    assert_eq!(
        value["status"],
        json!({"phase": "Pending", "qosClass": "Guaranteed"})
    );
    let tolerate = |key: &str| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
    let expected = json!({
        "containers": [{
            "name": "web", "image": "nginx", "imagePullPolicy": "Always",
            "env": [{"name": "A", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}],
            "livenessProbe": {
                "httpGet": {"path": "/", "port": 80, "scheme": "HTTP"},
                "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
            },
            "ports": [{"containerPort": 80, "protocol": "TCP"}],
            "resizePolicy": [
                {"resourceName": "cpu", "restartPolicy": "NotRequired"},
                {"resourceName": "memory", "restartPolicy": "NotRequired"},
            ],
            "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}},
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
        }],
        "dnsPolicy": "ClusterFirst", "enableServiceLinks": true, "preemptionPolicy": "PreemptLowerPriority", "priority": 0,
        "restartPolicy": "Always", "schedulerName": "default-scheduler", "securityContext": {},
        "serviceAccount": "default", "serviceAccountName": "default", "terminationGracePeriodSeconds": 30,
        "tolerations": [tolerate("node.kubernetes.io/not-ready"), tolerate("node.kubernetes.io/unreachable")],
        "volumes": [
            {"name": "a", "emptyDir": {}}, {"name": "b", "hostPath": {"path": "/x", "type": ""}},
            {"name": "c", "configMap": {"name": "m", "defaultMode": 420}},
            {"name": "d", "projected": {"defaultMode": 420, "sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}]}},
        ],
    });
    assert_eq!(value["spec"], expected);
}

#[track_caller]
fn check_pull_policy(image: &str, expected: &str) {
    let value = created(container(json!({ "image": image })));
    assert_eq!(
        value["spec"]["containers"][0]["imagePullPolicy"], expected,
        "{image}"
    );
}

#[test]
fn default_pull_policy() {
    check_pull_policy("nginx", "Always");
    check_pull_policy("nginx:latest", "Always");
    check_pull_policy("nginx:1.27", "IfNotPresent");
    check_pull_policy("host:5000/nginx", "Always");
    check_pull_policy("host:5000/nginx:1", "IfNotPresent");
    check_pull_policy("nginx@sha256:abc", "IfNotPresent");
    check_pull_policy("nginx:latest@sha256:abc", "Always");
}

#[test]
fn host_network_publishes_every_port() {
    let value = created(pod(json!({
        "hostNetwork": true,
        "containers": [{"name": "web", "image": "nginx", "ports": [{"containerPort": 81}]}],
    })));
    assert_eq!(value["spec"]["containers"][0]["ports"][0]["hostPort"], 81);
}

#[test]
fn names_are_generated() {
    let mut value = pod(json!({}));
    value["metadata"] = json!({"generateName": "job-", "namespace": "default"});
    let first = created(value.clone())["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    let second = created(value)["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(first.starts_with("job-") && first.len() == 9, "{first}");
    assert_ne!(first, second);
}

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an \
     alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
     alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
     '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

const NAME_PART: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character \
     (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

#[test]
fn metadata_errors() {
    let with = |metadata: Value| {
        let mut value = pod(json!({}));
        value["metadata"] = metadata;
        value
    };
    check(
        with(json!({"namespace": "default"})),
        &["metadata.name: Required value: name or generateName is required"],
    );
    check(
        with(json!({"name": "A", "namespace": "b.c"})),
        &[
            "metadata.name: Invalid value: \"A\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
             and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            "metadata.namespace: Invalid value: \"b.c\": must not contain dots",
        ],
    );
    check(
        with(
            json!({"name": "a", "namespace": "default", "labels": {"ok": "a b"}, "annotations": {"big": "x".repeat(262_144)}}),
        ),
        &[
            "metadata.labels[ok]: Invalid value: \"a b\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
             '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation \
             is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            "metadata.annotations: Too long: may not be more than 262144 bytes",
        ],
    );
    check(
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x", "namespace": "y"}}),
        &["metadata.namespace: Forbidden: not allowed on this type"],
    );
}

#[test]
fn container_errors() {
    check(
        pod(json!({"containers": []})),
        &["spec.containers: Required value"],
    );
    check(
        pod(json!({"containers": null})),
        &["spec.containers: Required value"],
    );
    check(
        pod(json!({"containers": [{}]})),
        &[
            "spec.containers[0].name: Required value",
            "spec.containers[0].image: Required value",
        ],
    );
    check(
        pod(json!({"containers": [{"name": "a", "image": "x"}, {"name": "a", "image": " x"}]})),
        &[
            "spec.containers[1].name: Duplicate value: \"a\"",
            "spec.containers[1].image: Invalid value: \" x\": must not have leading or trailing whitespace",
        ],
    );
    check(
        pod(json!({"initContainers": [{"name": "web", "image": "x", "livenessProbe": {}}]})),
        &[
            "spec.initContainers[0].name: Duplicate value: \"web\"",
            "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
        ],
    );
    check(
        container(json!({"name": "Web"})),
        &[&format!(
            "spec.containers[0].name: Invalid value: \"Web\": {LABEL}"
        )],
    );
    check(
        container(json!({"imagePullPolicy": "Sometimes", "terminationMessagePolicy": "x"})),
        &[
            "spec.containers[0].terminationMessagePolicy: Unsupported value: \"x\": supported values: \"File\", \"FallbackToLogsOnError\"",
            "spec.containers[0].imagePullPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
        ],
    );
    check(
        container(json!({"ports": [
            {"containerPort": 0, "name": "a--b"}, {"containerPort": 70000, "hostPort": -1, "protocol": "ICMP"},
            {"containerPort": 80, "hostPort": 80}, {"containerPort": 81, "hostPort": 80},
        ]})),
        &[
            "spec.containers[0].ports[0].name: Invalid value: \"a--b\": must not contain consecutive hyphens",
            "spec.containers[0].ports[0].containerPort: Required value",
            "spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            "spec.containers[0].ports[1].hostPort: Invalid value: -1: must be between 1 and 65535, inclusive",
            "spec.containers[0].ports[1].protocol: Unsupported value: \"ICMP\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
            "spec.containers[0].ports[3].hostPort: Duplicate value: \"TCP//80\"",
        ],
    );
}

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

#[test]
fn resource_errors() {
    let resources = |resources: Value| container(json!({ "resources": resources }));
    check(
        resources(json!({"limits": {"cpu": "1"}, "requests": {"cpu": "2"}})),
        &[
            "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
        ],
    );
    check(
        resources(
            json!({"limits": {"cpu": "1", "hugepages-2Mi": "4Mi"}, "requests": {"hugepages-2Mi": "2Mi"}}),
        ),
        &[
            "spec.containers[0].resources.requests: Invalid value: \"2Mi\": must be equal to hugepages-2Mi limit of 4Mi",
        ],
    );
    check(
        resources(json!({"requests": {"example.com/foo": "1"}})),
        &[
            "spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources",
        ],
    );
    check(
        resources(json!({"limits": {"hugepages-2Mi": "4Mi"}})),
        &["spec.containers[0].resources: Forbidden: HugePages require cpu or memory"],
    );
    check(
        resources(json!({"requests": {"cpu": "-1", "storage": "1", "gpu": "1"}})),
        &[
            "spec.containers[0].resources.requests[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
            "spec.containers[0].resources.requests[gpu]: Invalid value: \"gpu\": must be a standard resource type or fully qualified",
            "spec.containers[0].resources.requests[gpu]: Invalid value: \"gpu\": must be a standard resource for containers",
            "spec.containers[0].resources.requests[storage]: Invalid value: \"storage\": must be a standard resource for containers",
        ],
    );
    check(
        pod(
            json!({"resources": {"requests": {"cpu": "500m"}}, "containers": [
            {"name": "web", "image": "x", "resources": {"requests": {"cpu": "1"}}}]}),
        ),
        &[
            "spec.resources.requests[cpu]: Invalid value: \"500m\": must be greater than or equal to aggregate container requests of 1",
        ],
    );
}

#[test]
fn probe_and_hook_errors() {
    check(
        container(json!({
            "livenessProbe": {"exec": {}, "tcpSocket": {"port": 1}, "successThreshold": 2},
            "readinessProbe": {"periodSeconds": -1},
            "startupProbe": {"httpGet": {"port": "a b"}},
            "lifecycle": {"preStop": {"sleep": {"seconds": 31}}},
        })),
        &[
            "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)",
            "spec.containers[0].livenessProbe.exec.command: Required value",
            "spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
            "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
            "spec.containers[0].readinessProbe: Required value: must specify a handler type",
            "spec.containers[0].readinessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
            "spec.containers[0].startupProbe.httpGet.port: Invalid value: \"a b\": must contain only alpha-numeric characters (a-z, 0-9), and \
             hyphens (-)",
        ],
    );
    check(
        container(json!({"lifecycle": {"preStop": {"sleep": {"seconds": 30}}}})),
        &[],
    );
}

#[test]
fn restart_rules() {
    let rule =
        |codes: serde_json::Value, action: &str| json!({"action": action, "exitCodes": codes});
    let fine = rule(
        json!({"operator": "In", "values": [42]}),
        "RestartAllContainers",
    );
    check(
        container(json!({"restartPolicy": "Never", "restartPolicyRules": [fine]})),
        &[],
    );
    check(
        pod(json!({"initContainers": [{"name": "i", "image": "x", "restartPolicy": "OnFailure"}]})),
        &[],
    );
    let policies = "supported values: \"Always\", \"Never\", \"OnFailure\"";
    check(
        container(json!({"restartPolicy": "Sometimes"})),
        &[&format!(
            "spec.containers[0].restartPolicy: Unsupported value: \"Sometimes\": {policies}"
        )],
    );
    let many: Vec<i32> = (0..256).collect();
    check(
        container(json!({"restartPolicyRules": [
            rule(json!({"operator": "Near", "values": [1]}), "Stop"),
            rule(json!({"operator": "In", "values": many}), ""),
            {"action": "Restart"},
        ]})),
        &[
            "spec.containers[0].restartPolicy: Required value: must specify restartPolicy when restart rules are used",
            "spec.containers[0].restartPolicyRules[0].action: Unsupported value: \"Stop\": supported values: \"Restart\", \"RestartAllContainers\"",
            "spec.containers[0].restartPolicyRules[0].exitCodes.operator: Unsupported value: \"Near\": supported values: \"In\", \"NotIn\"",
            "spec.containers[0].restartPolicyRules[1].action: Unsupported value: \"\": supported values: \"Restart\", \"RestartAllContainers\"",
            "spec.containers[0].restartPolicyRules[1].exitCodes.values: Too many: 256: must have at most 255 items",
            "spec.containers[0].restartPolicyRules[2].exitCodes: Required value: must be specified",
        ],
    );
    let fine = rule(json!({"operator": "In", "values": [42]}), "Restart");
    check(
        container(json!({"restartPolicy": "Never", "restartPolicyRules": vec![fine; 21]})),
        &["spec.containers[0].restartPolicyRules: Too many: 21: must have at most 20 items"],
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

#[test]
fn security_errors() {
    check(
        container(
            json!({"securityContext": {"runAsUser": -1, "privileged": true, "allowPrivilegeEscalation": false}}),
        ),
        &[
            "spec.containers[0].securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
            "spec.containers[0].securityContext: Invalid value: {\"allowPrivilegeEscalation\":false,\"privileged\":true,\"runAsUser\":-1}: cannot set \
             `allowPrivilegeEscalation` to false and `privileged` to true",
        ],
    );
    check(
        container(
            json!({"securityContext": {"procMount": "Unmasked", "seccompProfile": {"type": "Localhost"}}}),
        ),
        &[
            "spec.containers[0].securityContext.procMount: Invalid value: \"Unmasked\": `hostUsers` must be false to use `Unmasked`",
            "spec.containers[0].securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost",
        ],
    );
    check(
        pod(json!({"hostNetwork": true, "securityContext": {"sysctls": [
            {"name": "net.ipv4.tcp_syncookies", "value": "1"}, {"name": "Bad", "value": "1"}, {"name": "kernel.sem", "value": "1"}, {"name": "kernel.sem", "value": "1"}]}})),
        &[
            "spec.securityContext.sysctls[0].name: Invalid value: \"net.ipv4.tcp_syncookies\": may not be specified when 'hostNetwork' is true",
            "spec.securityContext.sysctls[1].name: Invalid value: \"Bad\": must have at most 253 characters and match regex \
             ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
            "spec.securityContext.sysctls[3].name: Duplicate value: \"kernel.sem\"",
        ],
    );
}

fn data(kind: &str, fields: Value) -> Value {
    let mut value = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "d", "namespace": "default"}});
    json_patch::merge(&mut value, &fields);
    value
}

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

/// Updates the good pod (bound to a node) by a merge patch of the whole object.
fn update(change: &Value) -> Result<Value, Vec<String>> {
    let mut old = created(pod(json!({"activeDeadlineSeconds": 100})));
    old["spec"]["nodeName"] = json!("here");
    old["status"]["phase"] = json!("Running");
    old["metadata"]["resourceVersion"] = json!("5");
    let mut new = old.clone();
    json_patch::merge(&mut new, change);
    let old = Object::from_value(Kind::Pod, old).unwrap();
    match admit_update(&old, object(new), &context()) {
        Ok((admitted, _)) => Ok(admitted.into_inner().to_value()),
        Err(errors) => Err(errors.iter().map(ToString::to_string).collect()),
    }
}

#[track_caller]
fn check_update(change: Value, expected: &[&str]) {
    assert_eq!(
        update(&change).map(|_| ()).err().unwrap_or_default(),
        expected
    );
}

#[test]
fn updates_of_a_pod() {
    let image = update(&json!({"spec": {"containers": [{"name": "web", "image": "nginx:2", "imagePullPolicy": "Always",
        "resources": {}, "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}]}}))
    .unwrap();
    assert_eq!(image["metadata"]["generation"], 2);
    assert_eq!(image["spec"]["containers"][0]["image"], "nginx:2");
    let labels = update(&json!({"metadata": {"labels": {"a": "b"}}, "status": {"phase": "Failed"}, "spec": {"nodeName": null}})).unwrap();
    assert_eq!(labels["metadata"]["generation"], 1);
    assert_eq!(labels["metadata"]["resourceVersion"], "5");
    assert_eq!(labels["status"]["phase"], "Running");
    assert_eq!(labels["spec"]["nodeName"], "here");
    check_update(json!({"spec": {"activeDeadlineSeconds": 50}}), &[]);
    check_update(
        json!({"spec": {"activeDeadlineSeconds": 200}}),
        &[
            "spec.activeDeadlineSeconds: Invalid value: 200: must be less than or equal to previous value",
        ],
    );
    check_update(
        json!({"spec": {"activeDeadlineSeconds": null}}),
        &[
            "spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value",
        ],
    );
    check_update(
        json!({"spec": {"containers": []}}),
        &[
            "spec.containers: Required value",
            "spec.containers: Forbidden: pod updates may not add or remove containers",
        ],
    );
    check_update(
        json!({"spec": {"restartPolicy": "Never", "hostname": "x"}}),
        &[
            "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,\
           `spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),\
           `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n\
           - spec.restartPolicy: \"Always\"\n+ spec.restartPolicy: \"Never\"\n+ spec.hostname: \"x\"\n",
        ],
    );
    check_update(
        json!({"spec": {"tolerations": [{"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}]}}),
        &[
            "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds",
        ],
    );
    check_update(
        json!({"metadata": {"uid": "other"}}),
        &["metadata.uid: Invalid value: \"other\": field is immutable"],
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

#[test]
fn warnings() {
    let mut value = pod(json!({
        "terminationGracePeriodSeconds": -1,
        "containers": [{"name": "web", "image": "x",
            "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}],
            "resources": {"limits": {"memory": "100m"}},
        }],
        "subdomain": "other",
    }));
    value["metadata"]["name"] = json!("a.b");
    value["metadata"]["annotations"] = json!({"podtui.dev/restarted-at": "soon"});
    let (_, warnings) = create(value).unwrap();
    assert_eq!(
        warnings,
        [
            "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]",
            "metadata.annotations[podtui.dev/restarted-at]: \"soon\" is neither an instant (2026-01-02T03:04:05Z) nor an object of instants by container: nothing is restarted",
            "spec.containers[0].resources.limits[memory]: fractional byte value \"100m\" is invalid, must be an integer",
            "spec.containers[0].resources.requests[memory]: fractional byte value \"100m\" is invalid, must be an integer",
            "spec.containers[0].env[1]: hides previous definition of \"A\", which may be dropped when using apply",
            "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
            "spec.subdomain: not supported yet: there is no DNS record for it",
        ]
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

fn fixtures(directory: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let entries = std::fs::read_dir(&root).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "yaml")
    });
    files.sort();
    assert!(!files.is_empty(), "{} has manifests", root.display());
    files
}

/// Everything there is to say about a file on its way into the store, one line each.
fn judge(text: &str, name: &str) -> Vec<String> {
    let result = manifest::load(text, name);
    let mut lines: Vec<String> = result.diagnostics.iter().map(ToString::to_string).collect();
    for document in &result.documents {
        let found = manifest::check(document);
        if !found.is_empty() {
            lines.extend(found.iter().map(ToString::to_string));
            continue;
        }
        let mut object = object(document.value.clone());
        if object.namespace().is_empty() && object.kind().is_namespaced() {
            object.meta_mut().namespace = Some("default".to_owned());
        }
        if let Err(errors) = admit_create(object, &context()) {
            let errors = errors.iter();
            lines.extend(
                errors.map(|error| document.error(&error.path, error.to_string()).to_string()),
            );
        }
    }
    lines
}

#[track_caller]
fn check_broken(name: &str, expected: &[&str]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/manifests/broken")
        .join(name);
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(judge(&text, name), expected);
}

#[test]
fn broken_manifests_are_refused_with_place_and_reason() {
    check_broken(
        "bad-indent.yaml",
        &["bad-indent.yaml:9:13: invalid YAML: mapping values are not allowed in this context"],
    );
    check_broken(
        "unknown-field.yaml",
        &["unknown-field.yaml:9:5: unknown field \"spec.containers[0].imgae\""],
    );
    check_broken(
        "wrong-type.yaml",
        &[
            "wrong-type.yaml:9:5: Pod in version \"v1\" cannot be handled as a Pod: json: cannot unmarshal string into Go struct field \
           Container.spec.containers.ports of type []v1.ContainerPort",
        ],
    );
    check_broken(
        "two-errors.yaml",
        &[
            &format!(
                "two-errors.yaml:8:5: spec.containers[0].name: Invalid value: \"Web_Server\": {LABEL}"
            ),
            "two-errors.yaml:6:3: spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"",
        ],
    );
    check_broken(
        "duplicate-name.yaml",
        &["duplicate-name.yaml:9:5: spec.containers[1].name: Duplicate value: \"web\""],
    );
    check_broken(
        "bad-quantity.yaml",
        &[
            "bad-quantity.yaml:11:9: Pod in version \"v1\" cannot be handled as a Pod: quantities must match the regular expression \
           '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ],
    );
    check_broken(
        "missing-image.yaml",
        &["missing-image.yaml:7:5: spec.containers[0].image: Required value"],
    );
    check_broken(
        "tab.yaml",
        &["tab.yaml:6:1: found a tab character in the indentation; YAML is indented with blanks"],
    );
    check_broken(
        "empty.yaml",
        &["empty.yaml:1:1: there is no object in this file"],
    );
}

#[test]
fn assets_are_good_and_need_nothing_that_is_missing() {
    for path in fixtures("assets") {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(judge(&text, name), [""; 0]);
        for document in manifest::load(&text, name).documents {
            let mut object = object(document.value);
            object.meta_mut().namespace = Some("default".to_owned());
            let (_, warnings) = admit_create(object, &context()).unwrap();
            assert_eq!(warnings, [""; 0], "{name}");
        }
    }
}

/// The scenarios that use only kinds podtui has are accepted; the others are refused by the name of the kind.
#[test]
fn scenarios() {
    let mut refused = Vec::new();
    let files = fixtures("tests/fixtures/manifests/scenarios");
    assert_eq!(files.len(), 20);
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        refused.extend(judge(&text, name));
    }
    let none = |place: &str, kind: &str, version: &str| {
        format!(
            "{place}: no matches for kind \"{kind}\" in version \"{version}\" (podtui does not have this kind yet)"
        )
    };
    assert_eq!(
        refused,
        [none(
            "17-replication-controller.yaml:2:1",
            "ReplicationController",
            "v1"
        ),]
    );
}

#[test]
fn errors_of_one_object_make_one_status() {
    let errors = create(pod(
        json!({"containers": [{"name": "a", "image": "x"}, {"name": "a"}]}),
    ))
    .unwrap_err();
    let status = ApiError::invalid(Kind::Pod, "p", &errors);
    assert_eq!(
        status.message,
        "Pod \"p\" is invalid: [spec.containers[1].image: Required value, spec.containers[1].name: Duplicate value: \"a\"]"
    );
}
