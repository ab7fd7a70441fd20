//! Policies and rules of restarts, and what init containers may not have: `TestValidateRestartPolicy`,
//! `TestValidateInitContainers`.

use super::probes::probe;
use super::*;

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
