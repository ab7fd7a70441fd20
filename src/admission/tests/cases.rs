//! Situations of Kubernetes' own validation tables (`TestValidatePod`, `TestValidateProbe`, `TestValidateEnv`,
//! `TestValidateVolumeMounts`, `TestValidateTolerations`, `TestValidatePodUpdate` and their kin), derived from the
//! rules, as far as the other tests do not have them: what is accepted, and what is refused in which words.

use super::*;

/// Each is accepted.
#[track_caller]
pub(super) fn good(values: impl IntoIterator<Item = Value>) {
    for value in values {
        let shown = value.to_string();
        let errors = create(value).err().unwrap_or_default();
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors, [""; 0], "{shown}");
    }
}

/// Refused with one error, whose text below `path` this is.
#[track_caller]
pub(super) fn bad(value: Value, path: &str, expected: &str) {
    let shown = value.to_string();
    let errors = create(value).err().unwrap_or_default();
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors, [format!("{path}: {expected}")], "{shown}");
}

fn in_container(path: &str) -> String {
    format!("spec.containers[0].{path}")
}

#[track_caller]
fn bad_container(fields: Value, path: &str, expected: &str) {
    bad(container(fields), &in_container(path), expected);
}

const RANGE: &str = "must be between 1 and 65535, inclusive";
const ID: &str = "must be between 0 and 2147483647, inclusive";
const NEGATIVE: &str = "must be greater than or equal to 0";

#[test]
fn ports() {
    let port = |fields: Value| {
        let mut port = json!({"containerPort": 80});
        json_patch::merge(&mut port, &fields);
        container(json!({ "ports": [port] }))
    };
    good(
        [
            json!({"name": "abc", "hostPort": 80, "protocol": "TCP"}),
            json!({"name": "abc-123", "protocol": "UDP"}),
            json!({"name": "123-abc", "protocol": "SCTP"}),
            json!({"containerPort": 65535, "hostPort": 65535}),
            json!({"hostPort": 80, "hostIP": "10.0.0.1"}),
            json!({}),
        ]
        .map(port),
    );
    good([container(json!({"ports": [
        {"containerPort": 80, "hostPort": 80, "protocol": "TCP"}, {"containerPort": 80, "hostPort": 80, "protocol": "UDP"},
        {"containerPort": 80, "hostPort": 80, "hostIP": "10.0.0.1"}, {"containerPort": 80}, {"containerPort": 80},
    ]}))]);
    let path = in_container("ports[0]");
    let bad_port = |fields: Value, below: &str, expected: &str| {
        bad(port(fields), &format!("{path}.{below}"), expected)
    };
    bad_port(
        json!({"name": "a-name-of-16-byt"}),
        "name",
        "Invalid value: \"a-name-of-16-byt\": must be no more than 15 bytes",
    );
    bad_port(
        json!({"name": "a.b.c"}),
        "name",
        "Invalid value: \"a.b.c\": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
    );
    bad_port(
        json!({"name": "80"}),
        "name",
        "Invalid value: \"80\": must contain at least one letter (a-z)",
    );
    bad_port(
        json!({"name": "abc-"}),
        "name",
        "Invalid value: \"abc-\": must not begin or end with a hyphen",
    );
    bad_port(
        json!({"containerPort": 65536}),
        "containerPort",
        &format!("Invalid value: 65536: {RANGE}"),
    );
    bad_port(
        json!({"containerPort": -1}),
        "containerPort",
        &format!("Invalid value: -1: {RANGE}"),
    );
    bad_port(
        json!({"hostPort": 65536}),
        "hostPort",
        &format!("Invalid value: 65536: {RANGE}"),
    );
    bad_port(
        json!({"protocol": "tcp"}),
        "protocol",
        "Unsupported value: \"tcp\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
    );
    bad_container(
        json!({"ports": [{"name": "abc", "containerPort": 80}, {"name": "abc", "containerPort": 81}]}),
        "ports[1].name",
        "Duplicate value: \"abc\"",
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

fn probe(fields: Value) -> Value {
    let mut probe = json!({"exec": {"command": ["echo"]}});
    json_patch::merge(&mut probe, &fields);
    probe
}

#[test]
fn probes() {
    let kinds = ["livenessProbe", "readinessProbe", "startupProbe"];
    for kind in kinds {
        good([
            container(json!({ kind: probe(json!({})) })),
            container(
                json!({ kind: probe(json!({"timeoutSeconds": 0, "periodSeconds": 0, "failureThreshold": 0, "successThreshold": 0})) }),
            ),
            container(json!({ kind: probe(json!({"initialDelaySeconds": 0})) })),
        ]);
        for field in [
            "initialDelaySeconds",
            "timeoutSeconds",
            "periodSeconds",
            "failureThreshold",
        ] {
            bad_container(
                json!({ kind: probe(json!({ field: -1 })) }),
                &format!("{kind}.{field}"),
                &format!("Invalid value: -1: {NEGATIVE}"),
            );
        }
    }
    good([container(
        json!({"readinessProbe": probe(json!({"successThreshold": 5}))}),
    )]);
    for kind in ["livenessProbe", "startupProbe"] {
        bad_container(
            json!({ kind: probe(json!({"successThreshold": 2})) }),
            &format!("{kind}.successThreshold"),
            "Invalid value: 2: must be 1",
        );
        good([container(
            json!({ kind: probe(json!({"terminationGracePeriodSeconds": 10})) }),
        )]);
        for seconds in [0, -1] {
            bad_container(
                json!({ kind: probe(json!({"terminationGracePeriodSeconds": seconds})) }),
                &format!("{kind}.terminationGracePeriodSeconds"),
                &format!("Invalid value: {seconds}: must be greater than 0"),
            );
        }
    }
    bad_container(
        json!({"readinessProbe": probe(json!({"terminationGracePeriodSeconds": 10}))}),
        "readinessProbe.terminationGracePeriodSeconds",
        "Invalid value: 10: must not be set for readinessProbes",
    );
}

#[test]
fn handlers() {
    let live = |handler: Value| container(json!({ "livenessProbe": handler }));
    let get = |fields: Value| {
        let mut get = json!({"path": "/", "port": 1});
        json_patch::merge(&mut get, &fields);
        live(json!({ "httpGet": get }))
    };
    good([
        live(json!({"exec": {"command": ["echo"]}})),
        get(json!({})),
        get(json!({"path": "/foo", "port": 65535, "host": "host", "scheme": "HTTP"})),
        get(json!({"port": "port"})),
        get(json!({"scheme": "HTTPS"})),
        get(json!({"httpHeaders": [{"name": "Host", "value": "foo.example.com"}]})),
        get(
            json!({"httpHeaders": [{"name": "X-Forwarded-For", "value": "1.2.3.4"}, {"name": "X-Forwarded-For", "value": "5.6.7.8"}]}),
        ),
        live(json!({"tcpSocket": {"port": 1, "host": "a"}})),
        live(json!({"tcpSocket": {"port": "name"}})),
        live(json!({"grpc": {"port": 5000}})),
        live(json!({"grpc": {"port": 5000, "service": "a.b/C"}})),
    ]);
    let path = in_container("livenessProbe");
    let bad_get = |fields: Value, below: &str, expected: &str| {
        bad(get(fields), &format!("{path}.httpGet.{below}"), expected)
    };
    bad_get(
        json!({"port": 0}),
        "port",
        &format!("Invalid value: 0: {RANGE}"),
    );
    bad_get(
        json!({"port": 65536}),
        "port",
        &format!("Invalid value: 65536: {RANGE}"),
    );
    bad_get(
        json!({"scheme": "SPDY"}),
        "scheme",
        "Unsupported value: \"SPDY\": supported values: \"HTTP\", \"HTTPS\"",
    );
    bad_get(
        json!({"httpHeaders": [{"name": "X_Forwarded_For:", "value": "foo"}]}),
        "httpHeaders",
        "Invalid value: \"X_Forwarded_For:\": a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used \
         for validation is '[-A-Za-z0-9]+')",
    );
    bad_container(
        json!({"livenessProbe": {"tcpSocket": {"port": 0}}}),
        "livenessProbe.tcpSocket.port",
        &format!("Invalid value: 0: {RANGE}"),
    );
    bad_container(
        json!({"livenessProbe": {"grpc": {"port": 0}}}),
        "livenessProbe.grpc.port",
        &format!("Invalid value: 0: {RANGE}"),
    );
    bad_container(
        json!({"livenessProbe": {"grpc": {"port": 65536}}}),
        "livenessProbe.grpc.port",
        &format!("Invalid value: 65536: {RANGE}"),
    );
}

#[test]
fn hooks() {
    let hook = |handler: Value| container(json!({"lifecycle": {"preStop": handler}}));
    good([
        hook(json!({"exec": {"command": ["ls", "-l"]}})),
        hook(json!({"httpGet": {"port": "a", "path": "/"}})),
        hook(json!({"tcpSocket": {"port": 1}})),
        hook(json!({"sleep": {"seconds": 0}})),
        hook(json!({"sleep": {"seconds": 30}})),
        container(json!({"lifecycle": {"postStart": {"sleep": {"seconds": 5}}}})),
        container(json!({"lifecycle": {}})),
    ]);
    let path = in_container("lifecycle.preStop");
    bad(
        hook(json!({})),
        &path,
        "Required value: must specify a handler type",
    );
    bad(
        hook(json!({"exec": {}})),
        &format!("{path}.exec.command"),
        "Required value",
    );
    bad(
        hook(json!({"sleep": {"seconds": -1}})),
        &format!("{path}.sleep"),
        "Invalid value: -1: must be non-negative and less than terminationGracePeriodSeconds (30)",
    );
    bad(
        hook(json!({"exec": {"command": ["a"]}, "sleep": {"seconds": 1}})),
        &format!("{path}.sleep"),
        "Forbidden: may not specify more than 1 handler type",
    );
    let mut short = hook(json!({"sleep": {"seconds": 6}}));
    short["spec"]["terminationGracePeriodSeconds"] = json!(5);
    bad(
        short,
        &format!("{path}.sleep"),
        "Invalid value: 6: must be non-negative and less than terminationGracePeriodSeconds (5)",
    );
}

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
fn tolerations() {
    let toleration = |fields: Value| pod(json!({ "tolerations": [fields] }));
    good([
        json!({"key": "foo", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}),
        json!({"key": "foo", "operator": "Equal", "value": "bar", "effect": "NoSchedule"}),
        json!({"key": "foo", "value": "bar"}),
        json!({"operator": "Exists"}),
        json!({"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}),
        json!({"key": "foo", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": -2}),
        json!({"key": "foo", "operator": "Exists", "effect": "PreferNoSchedule"}),
        json!({"key": "foo", "operator": "Equal", "value": "", "effect": "NoExecute", "tolerationSeconds": 0}),
    ]
    .map(toleration));
    let refuse = |fields: Value, path: &str, expected: &str| {
        bad(
            toleration(fields),
            &format!("spec.tolerations[0].{path}"),
            expected,
        )
    };
    refuse(
        json!({"key": "nospecchars^=@", "operator": "Equal", "value": "bar"}),
        "key",
        &format!("Invalid value: \"nospecchars^=@\": {NAME_PART}"),
    );
    refuse(
        json!({"key": "foo", "operator": "In", "value": "bar"}),
        "operator",
        "Unsupported value: \"In\": supported values: \"Equal\", \"Exists\"",
    );
    refuse(
        json!({"key": "foo", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 60}),
        "effect",
        "Invalid value: \"NoSchedule\": effect must be 'NoExecute' when `tolerationSeconds` is set",
    );
    refuse(
        json!({"key": "foo", "operator": "Exists", "effect": "Never"}),
        "effect",
        "Unsupported value: \"Never\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\"",
    );
}

#[test]
fn init_containers() {
    let init = |fields: Value| {
        let mut one = json!({"name": "i", "image": "x"});
        json_patch::merge(&mut one, &fields);
        pod(json!({ "initContainers": [one] }))
    };
    let always = |fields: Value| {
        let mut fields = fields;
        fields["restartPolicy"] = json!("Always");
        init(fields)
    };
    good([
        init(json!({"ports": [{"name": "a", "containerPort": 80}]})),
        always(
            json!({"livenessProbe": probe(json!({})), "readinessProbe": probe(json!({})), "startupProbe": probe(json!({}))}),
        ),
        always(
            json!({"lifecycle": {"preStop": {"exec": {"command": ["a"]}}, "postStart": {"sleep": {"seconds": 1}}}}),
        ),
    ]);
    let forbidden = "Forbidden: may not be set for init containers without restartPolicy=Always";
    for field in ["livenessProbe", "readinessProbe", "startupProbe"] {
        bad(
            init(json!({ field: probe(json!({})) })),
            &format!("spec.initContainers[0].{field}"),
            forbidden,
        );
    }
    bad(
        init(json!({"lifecycle": {"preStop": {"exec": {"command": ["a"]}}}})),
        "spec.initContainers[0].lifecycle",
        forbidden,
    );
    bad(
        always(json!({"livenessProbe": probe(json!({"successThreshold": 2}))})),
        "spec.initContainers[0].livenessProbe.successThreshold",
        "Invalid value: 2: must be 1",
    );
    bad(
        init(json!({"restartPolicy": "Sometimes"})),
        "spec.initContainers[0].restartPolicy",
        "Unsupported value: \"Sometimes\": supported values: \"Always\", \"Never\", \"OnFailure\"",
    );
    bad(
        init(json!({"name": "web"})),
        "spec.initContainers[0].name",
        "Duplicate value: \"web\"",
    );
}

#[test]
fn more_changes_of_a_pod() {
    let list = |image: &str| {
        json!({"containers": [{"name": "web", "image": image, "imagePullPolicy": "Always",
        "resources": {}, "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}]})
    };
    check_update(json!({ "spec": list("nginx:3") }), &[]);
    check_update(
        json!({ "spec": list("") }),
        &["spec.containers[0].image: Required value"],
    );
    check_update(
        json!({ "spec": list(" x") }),
        &[
            "spec.containers[0].image: Invalid value: \" x\": must not have leading or trailing whitespace",
        ],
    );
    check_update(
        json!({"spec": {"activeDeadlineSeconds": 0}}),
        &[
            "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
        ],
    );
    check_update(
        json!({"metadata": {"annotations": {"a": "b"}, "finalizers": ["example.com/x"]}}),
        &[],
    );
    check_update(
        json!({"metadata": {"name": "other"}}),
        &["metadata.name: Invalid value: \"other\": field is immutable"],
    );
    check_update(
        json!({"spec": {"schedulingGates": [{"name": "a"}]}}),
        &[
            "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'a'",
        ],
    );
}

/// Of a created pod, at `pointer` below its spec.
#[track_caller]
pub(super) fn becomes(value: Value, pointer: &str, expected: Value) {
    let made = created(value);
    let found = made["spec"].pointer(pointer).cloned().unwrap_or_default();
    assert_eq!(found, expected, "{pointer} of {}", made["spec"]);
}

#[test]
fn default_requests() {
    let of = |limits: Value, requests: Value| {
        container(json!({"resources": {"limits": limits, "requests": requests}}))
    };
    let at = "/containers/0/resources/requests";
    becomes(
        of(json!({"cpu": "100m", "memory": "100Mi"}), json!({})),
        at,
        json!({"cpu": "100m", "memory": "100Mi"}),
    );
    becomes(
        of(json!({"cpu": "1", "memory": "2Gi"}), json!({"cpu": "500m"})),
        at,
        json!({"cpu": "500m", "memory": "2Gi"}),
    );
    becomes(
        of(json!({"cpu": "1"}), json!({"memory": "1Gi"})),
        at,
        json!({"memory": "1Gi", "cpu": "1"}),
    );
    becomes(
        of(json!({"ephemeral-storage": "2Gi"}), json!({})),
        at,
        json!({"ephemeral-storage": "2Gi"}),
    );
    becomes(
        of(json!({"example.com/foo": "3"}), json!({})),
        at,
        json!({"example.com/foo": "3"}),
    );
    becomes(
        of(json!({"cpu": "1"}), json!({"cpu": "0"})),
        at,
        json!({"cpu": "0"}),
    );
    becomes(
        container(json!({"resources": {"requests": {"cpu": "1"}}})),
        "/containers/0/resources/limits",
        Value::Null,
    );
    let init = json!({"initContainers": [{"name": "i", "image": "x", "resources": {"limits": {"cpu": "2"}}}]});
    becomes(
        pod(init),
        "/initContainers/0/resources/requests",
        json!({"cpu": "2"}),
    );
}

#[test]
fn default_requests_of_the_pod() {
    let of = |own: Value, containers: &[Value]| {
        let containers = containers.iter().enumerate().map(|(index, resources)| {
            json!({"name": format!("c{index}"), "image": "x", "resources": resources})
        });
        pod(json!({"resources": own, "containers": containers.collect::<Vec<_>>()}))
    };
    let at = "/resources/requests";
    let limits = || json!({"limits": {"cpu": "4", "memory": "4Gi"}});
    // Nobody asks for anything: the limits.
    becomes(
        of(limits(), &[json!({})]),
        at,
        json!({"cpu": "4", "memory": "4Gi"}),
    );
    let one = json!({"requests": {"cpu": "1"}});
    let other = json!({"requests": {"cpu": "500m"}});
    becomes(
        of(limits(), &[one.clone(), json!({})]),
        at,
        json!({"cpu": "1", "memory": "4Gi"}),
    );
    becomes(
        of(limits(), &[one.clone(), other]),
        at,
        json!({"cpu": "1500m", "memory": "4Gi"}),
    );
    // The requests that follow from limits of containers count as well.
    let bounded = json!({"limits": {"memory": "1Gi"}});
    becomes(
        of(limits(), &[one.clone(), bounded]),
        at,
        json!({"cpu": "1", "memory": "1Gi"}),
    );
    let given = json!({"limits": {"cpu": "4"}, "requests": {"cpu": "3"}});
    becomes(
        of(given, std::slice::from_ref(&one)),
        at,
        json!({"cpu": "3"}),
    );
    becomes(
        of(
            json!({"limits": {"cpu": "4"}}),
            &[json!({"requests": {"memory": "1Gi"}})],
        ),
        at,
        json!({"memory": "1Gi", "cpu": "4"}),
    );
    // Without limits of the pod its requests are as they are.
    becomes(
        of(json!({"requests": {"memory": "1Gi"}}), &[one]),
        at,
        json!({"memory": "1Gi"}),
    );
    let mut value = of(limits(), &[json!({"requests": {"cpu": "1"}})]);
    value["spec"]["initContainers"] =
        json!([{"name": "i", "image": "x", "resources": {"requests": {"cpu": "3"}}}]);
    becomes(value, at, json!({"cpu": "3", "memory": "4Gi"}));
}

#[test]
fn more_defaults() {
    let live = |probe: Value| container(json!({ "livenessProbe": probe }));
    let at = "/containers/0/livenessProbe";
    let numbers = |handler: (&str, Value)| json!({handler.0: handler.1, "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3});
    becomes(
        live(json!({"grpc": {"port": 1}})),
        at,
        numbers(("grpc", json!({"port": 1, "service": ""}))),
    );
    becomes(
        live(
            json!({"exec": {"command": ["a"]}, "timeoutSeconds": 0, "periodSeconds": 0, "successThreshold": 0, "failureThreshold": 0}),
        ),
        at,
        numbers(("exec", json!({"command": ["a"]}))),
    );
    let get = "/containers/0/lifecycle/preStop/httpGet";
    becomes(
        container(json!({"lifecycle": {"preStop": {"httpGet": {"port": 1}}}})),
        get,
        json!({"port": 1, "path": "/", "scheme": "HTTP"}),
    );
    let port = |fields: Value| {
        pod(
            json!({"hostNetwork": true, "containers": [{"name": "web", "image": "x", "ports": [fields]}]}),
        )
    };
    becomes(
        port(json!({"containerPort": 80})),
        "/containers/0/ports/0/hostPort",
        json!(80),
    );
    let volume = |source: Value| {
        let mut volume = json!({"name": "v"});
        json_patch::merge(&mut volume, &source);
        pod(json!({ "volumes": [volume] }))
    };
    becomes(
        volume(json!({"secret": {"secretName": "s"}})),
        "/volumes/0/secret/defaultMode",
        json!(420),
    );
    becomes(
        volume(json!({"secret": {"secretName": "s", "defaultMode": 0}})),
        "/volumes/0/secret/defaultMode",
        json!(0),
    );
    becomes(
        volume(json!({"downwardAPI": {}})),
        "/volumes/0/downwardAPI/defaultMode",
        json!(420),
    );
    becomes(
        volume(
            json!({"downwardAPI": {"items": [{"path": "a", "fieldRef": {"fieldPath": "metadata.name"}}]}}),
        ),
        "/volumes/0/downwardAPI/items/0/fieldRef/apiVersion",
        json!("v1"),
    );
    becomes(volume(json!({})), "/volumes/0/emptyDir", json!({}));
    becomes(
        volume(json!({"hostPath": {"path": "/x", "type": "File"}})),
        "/volumes/0/hostPath/type",
        json!("File"),
    );
    becomes(
        pod(json!({"terminationGracePeriodSeconds": 0})),
        "/terminationGracePeriodSeconds",
        json!(0),
    );
    becomes(
        pod(json!({"enableServiceLinks": false})),
        "/enableServiceLinks",
        json!(false),
    );
    becomes(
        pod(json!({"schedulerName": "mine"})),
        "/schedulerName",
        json!("mine"),
    );
    becomes(
        pod(json!({"serviceAccount": "old"})),
        "/serviceAccountName",
        json!("old"),
    );
    becomes(
        container(json!({"terminationMessagePolicy": "FallbackToLogsOnError"})),
        "/containers/0/terminationMessagePolicy",
        json!("FallbackToLogsOnError"),
    );
}
