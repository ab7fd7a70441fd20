//! What is set where nothing is said: `TestSetDefaults…` of pods and of their requests.

use super::*;

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
