//! Ports, and what is wrong with a container as such: `TestValidateContainerPorts`.

use super::*;

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
