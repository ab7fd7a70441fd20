//! Probes and hooks: `TestValidateProbe`, `TestValidateHandler` and `TestValidateLifecycle`.

use super::*;

pub(super) fn probe(fields: Value) -> Value {
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
