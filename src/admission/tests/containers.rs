//! Containers of every kind: what Kubernetes' own tables ask of `validateContainers`, `validateInitContainers`,
//! `validateEphemeralContainers`, `validateContainerRestartPolicy` and `dropContainerStopSignals`.

use super::*;

const AT: &str = "spec.containers[0].";
const INIT: &str = "spec.initContainers[0].";

fn init(mut fields: Value) -> Value {
    let mut one = json!({"name": "i", "image": "x"});
    json_patch::merge(&mut one, &std::mem::take(&mut fields));
    pod(json!({ "initContainers": [one] }))
}

fn sidecar(mut fields: Value) -> Value {
    fields["restartPolicy"] = json!("Always");
    init(fields)
}

#[test]
fn one_container() {
    check_rows(
        container,
        AT,
        &[
            ("{terminationMessagePolicy: FallbackToLogsOnError}", &[]),
            ("{terminationMessagePolicy: ''}", &[]),
            (
                "{terminationMessagePolicy: Unknown}",
                &[
                    "terminationMessagePolicy: Unsupported value: \"Unknown\": supported values: \"File\", \"FallbackToLogsOnError\"",
                ],
            ),
            (
                "{name: a.b.c}",
                &["name: Invalid value: \"a.b.c\": must not contain dots"],
            ),
            ("{name: ''}", &["name: Required value"]),
            ("{image: ''}", &["image: Required value"]),
            (
                "{image: ' '}",
                &["image: Invalid value: \" \": must not have leading or trailing whitespace"],
            ),
            (
                "{image: ' a b '}",
                &["image: Invalid value: \" a b \": must not have leading or trailing whitespace"],
            ),
            (
                "{imagePullPolicy: PullThreeTimes}",
                &[
                    "imagePullPolicy: Unsupported value: \"PullThreeTimes\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
                ],
            ),
            (
                "{resizePolicy: [{resourceName: memory, restartPolicy: RestartContainer}]}",
                &[],
            ),
            (
                "{resizePolicy: [{resourceName: memory, restartPolicy: ''}, {resourceName: '', restartPolicy: NotRequired}]}",
                &[
                    "resizePolicy: Required value",
                    "resizePolicy: Required value",
                ],
            ),
            (
                "{ports: [{containerPort: 80, hostPort: 80, protocol: TCP}, {containerPort: 80, hostPort: 80, protocol: UDP}]}",
                &[],
            ),
            (
                "{ports: [{containerPort: 81, hostPort: 80}, {containerPort: 82, hostPort: 80}]}",
                &["ports[1].hostPort: Duplicate value: \"TCP//80\""],
            ),
        ],
    );
}

#[test]
fn rules_of_restarting() {
    let actions = "supported values: \"Restart\", \"RestartAllContainers\"";
    let policies = "supported values: \"Always\", \"Never\", \"OnFailure\"";
    let action = format!("restartPolicyRules[0].action: Unsupported value: \"\": {actions}");
    let policy = format!("restartPolicy: Unsupported value: \"\": {policies}");
    let rows: &[Row<'_>] = &[
        ("{restartPolicy: Always}", &[]),
        ("{restartPolicy: Never}", &[]),
        ("{restartPolicy: ''}", &[&policy]),
        (
            "{restartPolicy: Never, restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [1]}}]}",
            &[],
        ),
        (
            "{restartPolicy: Never, restartPolicyRules: [{action: RestartAllContainers, exitCodes: {operator: NotIn, values: [1]}}]}",
            &[],
        ),
        (
            "{restartPolicy: Never, restartPolicyRules: [{action: '', exitCodes: {operator: '', values: [1]}}]}",
            &[
                &action,
                "restartPolicyRules[0].exitCodes.operator: Unsupported value: \"\": supported values: \"In\", \"NotIn\"",
            ],
        ),
        (
            "{restartPolicyRules: [{action: Restart}]}",
            &[
                "restartPolicy: Required value: must specify restartPolicy when restart rules are used",
                "restartPolicyRules[0].exitCodes: Required value: must be specified",
            ],
        ),
    ];
    check_rows(container, AT, rows);
    check_rows(init, INIT, rows);
    check_rows(
        sidecar,
        INIT,
        &[
            (
                "{restartPolicyRules: [{action: RestartAllContainers, exitCodes: {operator: In, values: [1]}}]}",
                &[],
            ),
            (
                "{restartPolicyRules: [{action: '', exitCodes: {operator: In}}]}",
                &[&action],
            ),
        ],
    );
    // They are told of behind the probes of a container, and before those of an init container.
    check_rows(
        container,
        AT,
        &[(
            "{restartPolicy: '', livenessProbe: {exec: {command: [a]}, successThreshold: 2}}",
            &[
                "livenessProbe.successThreshold: Invalid value: 2: must be 1",
                &policy,
            ],
        )],
    );
}

#[test]
fn hooks_of_containers() {
    let rows: &[Row<'_>] = &[
        ("{lifecycle: {preStop: {exec: {command: [ls, -l]}}}}", &[]),
        (
            "{lifecycle: {preStop: {exec: {}}}}",
            &["lifecycle.preStop.exec.command: Required value"],
        ),
        ("{lifecycle: {postStart: {httpGet: {port: 80}}}}", &[]),
        (
            "{lifecycle: {preStop: {httpGet: {path: /, port: 0}}}}",
            &[
                "lifecycle.preStop.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive",
            ],
        ),
        (
            "{lifecycle: {preStop: {httpGet: {port: 80, scheme: FTP}}}}",
            &[
                "lifecycle.preStop.httpGet.scheme: Unsupported value: \"FTP\": supported values: \"HTTP\", \"HTTPS\"",
            ],
        ),
        (
            "{lifecycle: {preStop: {tcpSocket: {port: 0}}}}",
            &[
                "lifecycle.preStop.tcpSocket.port: Invalid value: 0: must be between 1 and 65535, inclusive",
            ],
        ),
        (
            "{lifecycle: {preStop: {}}}",
            &["lifecycle.preStop: Required value: must specify a handler type"],
        ),
        (
            "{lifecycle: {preStop: {exec: {command: [a]}, sleep: {seconds: 1}}}}",
            &["lifecycle.preStop.sleep: Forbidden: may not specify more than 1 handler type"],
        ),
        ("{lifecycle: {preStop: {sleep: {seconds: 0}}}}", &[]),
        (
            "{lifecycle: {preStop: {sleep: {seconds: -1}}}}",
            &[
                "lifecycle.preStop.sleep: Invalid value: -1: must be non-negative and less than terminationGracePeriodSeconds (30)",
            ],
        ),
        (
            "{readinessProbe: {tcpSocket: {port: 80}, terminationGracePeriodSeconds: 10}}",
            &[
                "readinessProbe.terminationGracePeriodSeconds: Invalid value: 10: must not be set for readinessProbes",
            ],
        ),
        (
            "{startupProbe: {tcpSocket: {port: 80}, successThreshold: 2}}",
            &["startupProbe.successThreshold: Invalid value: 2: must be 1"],
        ),
        (
            "{readinessProbe: {tcpSocket: {port: 80}, initialDelaySeconds: -1, timeoutSeconds: -1, periodSeconds: -1, \
              successThreshold: -1, failureThreshold: -1, terminationGracePeriodSeconds: -1}}",
            &[
                "readinessProbe.initialDelaySeconds: Invalid value: -1: must be greater than or equal to 0",
                "readinessProbe.timeoutSeconds: Invalid value: -1: must be greater than or equal to 0",
                "readinessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
                "readinessProbe.successThreshold: Invalid value: -1: must be greater than or equal to 0",
                "readinessProbe.failureThreshold: Invalid value: -1: must be greater than or equal to 0",
                "readinessProbe.terminationGracePeriodSeconds: Invalid value: -1: must be greater than 0",
                "readinessProbe.terminationGracePeriodSeconds: Invalid value: -1: must not be set for readinessProbes",
            ],
        ),
    ];
    check_rows(container, AT, rows);
    check_rows(sidecar, INIT, rows);
    // What is not allowed at all is not looked into.
    check_rows(
        init,
        INIT,
        &[(
            "{startupProbe: {tcpSocket: {port: 80}, periodSeconds: -1}}",
            &[
                "startupProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
            ],
        )],
    );
}

/// The feature is off: what is written has no stop signal, unless it was there before.
#[test]
fn stop_signals_are_dropped() {
    let told = |path: &str| {
        format!(
            "{path}.lifecycle.stopSignal: dropped: the feature ContainerStopSignals is off in this version of Kubernetes; the signal of the \
             image is sent"
        )
    };
    let with = |lifecycle: Value| {
        pod(json!({
            "os": {"name": "linux"},
            "initContainers": [{"name": "s", "image": "x", "restartPolicy": "Always", "lifecycle": lifecycle}],
            "containers": [{"name": "c", "image": "x", "lifecycle": lifecycle}],
        }))
    };
    let hook = json!({"exec": {"command": ["true"]}});
    for (lifecycle, left) in [
        (json!({"stopSignal": "SIGUSR1"}), Value::Null),
        // Not even looked at.
        (json!({"stopSignal": "TERM"}), Value::Null),
        (
            json!({"stopSignal": "SIGUSR1", "preStop": hook}),
            json!({"preStop": hook}),
        ),
    ] {
        let (admitted, warnings) = create(with(lifecycle)).unwrap();
        let value = admitted.into_inner().to_value();
        for list in ["containers", "initContainers"] {
            assert_eq!(value["spec"][list][0]["lifecycle"], left, "{list}");
        }
        let expected = ["spec.initContainers[0]", "spec.containers[0]"].map(told);
        assert_eq!(warnings, expected);
    }
    let (_, warnings) = create(with(json!({"preStop": hook}))).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");

    // A pod that has one keeps it.
    let mut had = object(with(json!({"stopSignal": "SIGUSR1"})));
    crate::admission::defaults::apply(&mut had);
    let mut wanted = had.to_value();
    wanted["metadata"]["labels"] = json!({"a": "b"});
    let (admitted, warnings) = admit_update(&had, object(wanted), &context()).unwrap();
    let value = admitted.into_inner().to_value();
    assert_eq!(
        value["spec"]["containers"][0]["lifecycle"]["stopSignal"],
        "SIGUSR1"
    );
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn init_containers_and_resizing() {
    check_rows(
        init,
        INIT,
        &[
            (
                "{resizePolicy: [{resourceName: cpu, restartPolicy: NotRequired}]}",
                &[],
            ),
            (
                "{resizePolicy: [{resourceName: cpu, restartPolicy: RestartContainer}]}",
                &[
                    "resizePolicy[0].restartPolicy: Invalid value: \"RestartContainer\": must not be set to 'RestartContainer' for \
                     non-sidecar initContainers",
                ],
            ),
            ("{name: web}", &["name: Duplicate value: \"web\""]),
            ("{name: ''}", &["name: Required value"]),
        ],
    );
    check_rows(
        sidecar,
        INIT,
        &[(
            "{resizePolicy: [{resourceName: cpu, restartPolicy: RestartContainer}]}",
            &[],
        )],
    );
}

/// A pod with one ephemeral container: it cannot be created with one, and it is told what is wrong besides.
fn ephemeral(mut fields: Value) -> Value {
    let mut one = json!({"name": "e", "image": "x"});
    json_patch::merge(&mut one, &std::mem::take(&mut fields));
    pod(json!({
        "volumes": [{"name": "v", "emptyDir": {}}], "initContainers": [{"name": "i", "image": "x"}],
        "ephemeralContainers": [one],
    }))
}

#[track_caller]
fn check_ephemeral(rows: &[Row<'_>]) {
    for (text, expected) in rows {
        let errors = create(ephemeral(fields(text))).unwrap_err();
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let below = expected.iter();
        let mut all: Vec<String> = below
            .map(|text| format!("spec.ephemeralContainers[0].{text}"))
            .collect();
        all.push("spec.ephemeralContainers: Forbidden: cannot be set on create".to_owned());
        assert_eq!(errors, all, "{text}");
    }
}

#[test]
fn ephemeral_containers() {
    let not = |field: &str| format!("{field}: Forbidden: cannot be set for an Ephemeral Container");
    let fine = "{targetContainerName: web, command: [sh], args: [a], workingDir: /, env: [{name: A, value: b}], \
                envFrom: [{configMapRef: {name: m, optional: true}}], volumeMounts: [{name: v, mountPath: /v}], stdin: true, \
                stdinOnce: true, tty: true, securityContext: {capabilities: {add: [SYS_ADMIN]}}}";
    check_ephemeral(&[
        (fine, &[]),
        ("{name: web}", &["name: Duplicate value: \"web\""]),
        ("{name: i}", &["name: Duplicate value: \"i\""]),
        (
            "{name: '', image: '', imagePullPolicy: PullThreeTimes}",
            &[
                "name: Required value",
                "image: Required value",
                "imagePullPolicy: Unsupported value: \"PullThreeTimes\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
            ],
        ),
        (
            "{image: ' x'}",
            &["image: Invalid value: \" x\": must not have leading or trailing whitespace"],
        ),
        (
            "{targetContainerName: e}",
            &["targetContainerName: Not found: \"e\""],
        ),
        (
            "{lifecycle: {preStop: {exec: {command: []}}}}",
            &[&not("lifecycle")],
        ),
        (
            "{readinessProbe: {tcpSocket: {port: 80}}}",
            &[&not("readinessProbe")],
        ),
        (
            "{startupProbe: {tcpSocket: {port: 80}}}",
            &[&not("startupProbe")],
        ),
        ("{resources: {limits: {cpu: 10}}}", &[&not("resources")]),
        (
            "{resizePolicy: [{resourceName: cpu, restartPolicy: NotRequired}]}",
            &[&not("resizePolicy")],
        ),
        ("{restartPolicy: ''}", &[&not("restartPolicy")]),
        ("{restartPolicy: Always}", &[&not("restartPolicy")]),
        (
            "{volumeMounts: [{name: v, mountPath: /v}, {name: v, mountPath: /w, subPathExpr: $(A)}]}",
            &[&not("volumeMounts[1].subPathExpr")],
        ),
        // What is forbidden as a whole may be wrong in itself too.
        (
            "{ports: [{containerPort: 0}]}",
            &["ports[0].containerPort: Required value", &not("ports")],
        ),
    ]);
}
