//! What users and their scripts read when a pod is wrong, letter by letter as Kubernetes v1.36 writes it. What they
//! read of pods that live and fail is in `events`.

use super::*;
use crate::admission::{Context, admit_create, admit_update};
use crate::model::ApiError;

/// The functions of pkg/apis/core/validation/validation.go that write the texts.
struct Refusal {
    source: &'static str,
    spec: Value,
    text: &'static str,
}

fn object(spec: &Value) -> Object {
    let value = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "namespace": "default"}, "spec": spec,
    });
    Object::from_value(Kind::Pod, value).unwrap()
}

const CONTEXT: Context = Context {
    now: Timestamp::UNIX_EPOCH,
};

/// A pod named `p` with this spec is refused with exactly this message.
#[track_caller]
fn check_refused(refusal: &Refusal) {
    let errors = admit_create(object(&refusal.spec), &CONTEXT).unwrap_err();
    let answer = ApiError::invalid(Kind::Pod, "p", &errors);
    let expected = format!("Pod \"p\" is invalid: {}", refusal.text);
    assert_eq!(
        answer.to_status()["message"],
        expected,
        "{}",
        refusal.source
    );
}

/// One container with these fields.
fn one(fields: Value) -> Value {
    let mut container = json!({"name": "a", "image": "x"});
    json_patch::merge(&mut container, &fields);
    json!({ "containers": [container] })
}

/// One container, and these fields of the pod.
fn pod(fields: Value) -> Value {
    let mut spec = one(json!({}));
    json_patch::merge(&mut spec, &fields);
    spec
}

fn live(probe: Value) -> Value {
    one(json!({ "livenessProbe": probe }))
}

const fn row(source: &'static str, spec: Value, text: &'static str) -> Refusal {
    Refusal { source, spec, text }
}

#[rustfmt::skip]
fn refusals() -> Vec<Refusal> {
    let exec = json!({"command": ["a"]});
    vec![
        row("validateContainers", json!({"containers": []}), "spec.containers: Required value"),
        row("validateContainers", json!({"containers": [{"name": "a", "image": "x"}, {"name": "a"}]}),
            "[spec.containers[1].image: Required value, spec.containers[1].name: Duplicate value: \"a\"]"),
        row("validateContainerCommon", json!({"containers": [{"name": "A", "image": "x"}]}),
            "spec.containers[0].name: Invalid value: \"A\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"),
        row("validateRestartPolicy", pod(json!({"restartPolicy": "Sometimes"})),
            "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\""),
        row("validatePullPolicy", one(json!({"imagePullPolicy": "Sometimes"})),
            "spec.containers[0].imagePullPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"IfNotPresent\", \"Never\""),
        row("validateHandler", live(json!({})), "spec.containers[0].livenessProbe: Required value: must specify a handler type"),
        row("validateHandler", live(json!({"exec": exec, "tcpSocket": {"port": 1}})),
            "spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type"),
        row("validateLivenessProbe", live(json!({"exec": exec, "successThreshold": 3})),
            "spec.containers[0].livenessProbe.successThreshold: Invalid value: 3: must be 1"),
        row("validateProbe", live(json!({"exec": exec, "periodSeconds": -1})),
            "spec.containers[0].livenessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0"),
        row("validateExecAction", live(json!({"exec": {}})), "spec.containers[0].livenessProbe.exec.command: Required value"),
        row("ValidatePortNumOrName", live(json!({"tcpSocket": {"port": 70000}})),
            "spec.containers[0].livenessProbe.tcpSocket.port: Invalid value: 70000: must be between 1 and 65535, inclusive"),
        row("validateReadinessProbe", one(json!({"readinessProbe": {"exec": exec, "terminationGracePeriodSeconds": 5}})),
            "spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 5: must not be set for readinessProbes"),
        row("ValidateVolumeMounts", one(json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]})),
            "spec.containers[0].volumeMounts[0].name: Not found: \"v\""),
        row("ValidateContainerResourceRequirements", one(json!({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}})),
            "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1"),
        row("validateContainerPorts", one(json!({"ports": [{"containerPort": 0}]})),
            "spec.containers[0].ports[0].containerPort: Required value"),
        row("validateSleepAction", one(json!({"lifecycle": {"preStop": {"sleep": {"seconds": 31}}}})),
            "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)"),
        row("validateEnvVarValueFrom", one(json!({"env": [{"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]})),
            "spec.containers[0].env[0].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty"),
        row("validatePodDNSConfig", pod(json!({"dnsPolicy": "None"})),
            "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"),
        row("ValidateTolerations", pod(json!({"tolerations": [{"operator": "Equal", "value": "x"}]})),
            "spec.tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty, which means \"match all values and all keys\""),
        row("validateHostNetwork", pod(json!({"hostNetwork": true, "containers": [{"name": "a", "image": "x", "ports": [{"containerPort": 80, "hostPort": 81}]}]})),
            "spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is true"),
        row("ValidatePodSpec", pod(json!({"activeDeadlineSeconds": 0})),
            "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"),
        row("ValidatePodSecurityContext", pod(json!({"hostPID": true, "shareProcessNamespace": true})),
            "spec.securityContext.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot both be enabled"),
        row("validateInitContainers", pod(json!({"initContainers": [{"name": "i", "image": "x", "livenessProbe": {"exec": exec}}]})),
            "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always"),
        row("ValidateVolumes", pod(json!({"volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/x"}}]})),
            "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"),
    ]
}

#[test]
fn refusals_of_new_pods() {
    let rows = refusals();
    assert!(rows.len() >= 20);
    for row in &rows {
        check_refused(row);
    }
}

/// ValidatePodUpdate.
#[test]
fn refusals_of_changes() {
    let check = |old: Value, new: Value, expected: &str| {
        let (old, _) = admit_create(object(&old), &CONTEXT).unwrap();
        let errors = admit_update(&old.into_inner(), object(&new), &CONTEXT).unwrap_err();
        let answer = ApiError::invalid(Kind::Pod, "p", &errors);
        let status = answer.to_status();
        let message = status["message"].as_str().unwrap();
        let expected = format!("Pod \"p\" is invalid: {expected}");
        assert!(message.starts_with(&expected), "{message}");
    };
    check(
        one(json!({})),
        one(json!({"command": ["b"]})),
        "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n",
    );
    check(
        one(json!({})),
        json!({"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "x"}]}),
        "spec.containers: Forbidden: pod updates may not add or remove containers",
    );
    check(
        pod(json!({"activeDeadlineSeconds": 5})),
        pod(json!({"activeDeadlineSeconds": 6})),
        "spec.activeDeadlineSeconds: Invalid value: 6: must be less than or equal to previous value",
    );
}
