//! Rules that few manifests break; where the path of an error is odd, it is the API's own.

use super::*;

fn with_metadata(change: Value) -> Value {
    let mut value = pod(json!({}));
    json_patch::merge(&mut value["metadata"], &change);
    value
}

#[test]
fn owners_and_finalizers() {
    let owner = |name: &str| json!({"apiVersion": "v1", "kind": "Pod", "name": name, "uid": "u", "controller": true});
    check(
        with_metadata(
            json!({"ownerReferences": [{"apiVersion": "", "kind": "", "name": "", "uid": ""}]}),
        ),
        &[
            "metadata.ownerReferences.apiVersion: Invalid value: \"\": version must not be empty",
            "metadata.ownerReferences.kind: Invalid value: \"\": must not be empty",
            "metadata.ownerReferences.name: Invalid value: \"\": must not be empty",
            "metadata.ownerReferences.uid: Invalid value: \"\": must not be empty",
        ],
    );
    let errors = create(with_metadata(
        json!({"ownerReferences": [owner("a"), owner("b")]}),
    ));
    let errors = errors.unwrap_err();
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0].to_string().ends_with(
            "Only one reference can have Controller set to true. Found \"true\" in references for Pod/a and Pod/b"
        ),
        "{}",
        errors[0]
    );
    check(
        with_metadata(json!({"finalizers": ["orphan", "foregroundDeletion", "mine", "a b"]})),
        &[
            &format!("metadata.finalizers: Invalid value: \"a b\": {NAME_PART}"),
            "metadata.finalizers: Invalid value: [\"orphan\",\"foregroundDeletion\",\"mine\",\"a b\"]: finalizer orphan and foregroundDeletion \
             cannot be both set",
            "metadata.finalizers[2]: Invalid value: \"mine\": name is neither a standard finalizer name nor is it fully qualified",
            "metadata.finalizers[3]: Invalid value: \"a b\": name is neither a standard finalizer name nor is it fully qualified",
        ],
    );
    check(
        with_metadata(json!({"finalizers": ["example.com/mine", "kubernetes"]})),
        &[],
    );
}

#[test]
fn annotations_that_the_api_knows() {
    let cost = "controller.kubernetes.io/pod-deletion-cost";
    let with_cost = |value: &str| with_metadata(json!({"annotations": {(cost): value}}));
    for value in ["10", "-10", "0"] {
        check(with_cost(value), &[]);
    }
    for value in ["+10", "010", "a", "2147483648"] {
        let expected = format!(
            "metadata.annotations[{cost}]: Invalid value: \"{value}\": must be a 32bit integer"
        );
        check(with_cost(value), &[&expected]);
    }
    check(
        with_metadata(json!({"annotations": {"kubernetes.io/config.mirror": "x"}})),
        &[
            "metadata.annotations[kubernetes.io/config.mirror]: Invalid value: \"x\": must set spec.nodeName if mirror pod annotation is set",
        ],
    );
}

#[test]
fn references_in_variables() {
    let from = |source: Value| container(json!({"env": [{"name": "A", "valueFrom": source}]}));
    let path = "spec.containers[0].env[0].valueFrom";
    check(
        from(json!({"configMapKeyRef": {"name": "A", "key": "k"}})),
        &[&format!(
            "{path}.configMapKeyRef.name: Invalid value: \"A\": {SUBDOMAIN}"
        )],
    );
    check(
        from(json!({"secretKeyRef": {"name": "", "key": ""}})),
        &[
            &format!("{path}.secretKeyRef.name: Invalid value: \"\": {SUBDOMAIN}"),
            &format!("{path}.secretKeyRef.key: Required value"),
        ],
    );
    check(
        from(json!({"fieldRef": {"apiVersion": "v2", "fieldPath": "metadata.name"}})),
        &[&format!(
            "{path}.fieldRef.fieldPath: Invalid value: \"metadata.name\": error converting fieldPath: unsupported pod version: v2"
        )],
    );
    check(
        from(json!({"fieldRef": {"fieldPath": "metadata.name['x']"}})),
        &[&format!(
            "{path}.fieldRef.fieldPath: Invalid value: \"metadata.name['x']\": error converting fieldPath: field label does not support \
             subscript: metadata.name['x']"
        )],
    );
    check(
        from(json!({"fieldRef": {"fieldPath": "metadata.labels['a b']"}})),
        &[&format!(
            "{path}.fieldRef: Invalid value: \"a b\": {NAME_PART}"
        )],
    );
    check(
        from(json!({"fieldRef": {"fieldPath": "metadata.annotations['Example.com/Key']"}})),
        &[],
    );
    check(
        from(json!({"resourceFieldRef": {"resource": "limits.memory", "divisor": "2Mi"}})),
        &[&format!(
            "{path}.resourceFieldRef.divisor: Invalid value: \"limits.memory\": only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, \
             1Ti, 1Pi, 1Ei are supported with the memory resource"
        )],
    );
    check(
        container(
            json!({"envFrom": [{"configMapRef": {"name": ""}}, {"secretRef": {"name": "A"}}, {"secretRef": {"name": "a-"}}]}),
        ),
        &[
            "spec.containers[0].envFrom[0].configMapRef.name: Required value",
            &format!(
                "spec.containers[0].envFrom[1].secretRef.name: Invalid value: \"A\": {SUBDOMAIN}"
            ),
        ],
    );
}

pub(super) const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end \
     with an alphanumeric character (e.g. 'example.com', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

#[test]
fn sources_of_volumes() {
    let volume = |source: Value| {
        let mut volume = json!({"name": "v"});
        json_patch::merge(&mut volume, &source);
        pod(json!({"volumes": [volume]}))
    };
    check(
        volume(json!({"hostPath": {"path": "", "type": "Dir"}})),
        &["spec.volumes[0].hostPath.path: Required value"],
    );
    check(
        volume(json!({"downwardAPI": {"items": [
            {"path": "", "fieldRef": {"fieldPath": "spec.nodeName"}},
            {"path": "../x"},
            {"path": "y", "resourceFieldRef": {"resource": "limits.cpu"}, "mode": 512},
        ]}})),
        &[
            "spec.volumes[0].downwardAPI.path: Required value",
            "spec.volumes[0].downwardAPI.fieldRef.fieldPath: Unsupported value: \"spec.nodeName\": supported values: \"metadata.annotations\", \
             \"metadata.labels\", \"metadata.name\", \"metadata.namespace\", \"metadata.uid\"",
            "spec.volumes[0].downwardAPI.path: Invalid value: \"../x\": must not contain '..'",
            "spec.volumes[0].downwardAPI: Required value: one of fieldRef and resourceFieldRef is required",
            "spec.volumes[0].downwardAPI.resourceFieldRef.containerName: Required value",
            "spec.volumes[0].downwardAPI.mode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive",
        ],
    );
    check(
        volume(json!({"projected": {"sources": [
            {"secret": {"name": "a"}, "configMap": {"name": "b"}}, {"serviceAccountToken": {"path": ""}}, {},
        ]}})),
        &[
            "spec.volumes[0].projected.sources[0]: Forbidden: may not specify more than 1 volume type per source",
            "spec.volumes[0].projected.path: Required value",
        ],
    );
    check(
        volume(json!({"nfs": {"server": "", "path": "x"}})),
        &[
            "spec.volumes[0].nfs.server: Required value",
            "spec.volumes[0].nfs.path: Invalid value: \"x\": must be an absolute path",
        ],
    );
    check(
        volume(json!({"gitRepo": {"repository": "", "directory": "/x"}})),
        &[
            "spec.volumes[0].gitRepo.repository: Required value",
            "spec.volumes[0].gitRepo.directory: Invalid value: \"/x\": must be a relative path",
        ],
    );
}

#[test]
fn devices_and_directories() {
    check(
        pod(json!({
            "volumes": [
                {"name": "disk", "persistentVolumeClaim": {"claimName": "c"}}, {"name": "other", "persistentVolumeClaim": {"claimName": "d"}},
                {"name": "dir", "emptyDir": {}},
            ],
            "containers": [{"name": "web", "image": "x",
                "volumeMounts": [{"name": "disk", "mountPath": "/m"}, {"name": "dir", "mountPath": "/dev/a"}],
                "volumeDevices": [
                    {"name": "disk", "devicePath": "/dev/a"}, {"name": "dir", "devicePath": ""}, {"name": "gone", "devicePath": "/../b"},
                    {"name": "other", "devicePath": "/dev/a"},
                ]}],
        })),
        &[
            "spec.containers[0].volumeMounts[0].name: Invalid value: \"disk\": must not already exist in volumeDevices",
            "spec.containers[0].volumeMounts[1].name: Invalid value: \"dir\": must not already exist in volumeDevices",
            "spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/dev/a\": must not already exist as a path in volumeDevices",
            "spec.containers[0].volumeDevices[0].name: Invalid value: \"disk\": must not already exist in volumeMounts",
            "spec.containers[0].volumeDevices[0].devicePath: Invalid value: \"/dev/a\": must not already exist as a path in volumeMounts",
            "spec.containers[0].volumeDevices[1].name: Invalid value: \"dir\": can only use volume source type of PersistentVolumeClaim or \
             Ephemeral for block mode",
            "spec.containers[0].volumeDevices[1].devicePath: Required value",
            "spec.containers[0].volumeDevices[1].name: Invalid value: \"dir\": must not already exist in volumeMounts",
            "spec.containers[0].volumeDevices[2].name: Not found: \"gone\"",
            "spec.containers[0].volumeDevices[2].devicePath: Invalid value: \"/../b\": can not contain backsteps ('..')",
            "spec.containers[0].volumeDevices[3].devicePath: Invalid value: \"/dev/a\": must be unique",
            "spec.containers[0].volumeDevices[3].devicePath: Invalid value: \"/dev/a\": must not already exist as a path in volumeMounts",
        ],
    );
}

#[test]
fn resources_of_the_pod_and_resizing() {
    check(
        pod(json!({
            "resources": {"limits": {"memory": "1Gi"}, "claims": [{"name": "x"}]},
            "containers": [{"name": "web", "image": "x", "resources": {"limits": {"memory": "2Gi"}, "requests": {"memory": "1Mi"}}}],
        })),
        &[
            "spec.resources.claims: Forbidden: claims may not be set for Resources at pod-level",
            "spec.resources.claims[0]: Not found: \"x\": must be one of the names in pod.spec.resourceClaims which is empty",
            "spec.resources.containers[0][memory].limits: Invalid value: \"2Gi\": must be less than or equal to pod limits of 1Gi",
        ],
    );
    check(
        pod(json!({"overhead": {"cpu": "-1", "gpu": "1"}})),
        &[
            "spec.overhead.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
            "spec.overhead.limits[gpu]: Invalid value: \"gpu\": must be a standard resource type or fully qualified",
            "spec.overhead.limits[gpu]: Invalid value: \"gpu\": must be a standard resource for containers",
        ],
    );
    check(
        pod(json!({
            "restartPolicy": "Never",
            "containers": [{"name": "web", "image": "x", "resizePolicy": [
                {"resourceName": "cpu", "restartPolicy": "RestartContainer"}, {"resourceName": "cpu", "restartPolicy": "NotRequired"},
                {"resourceName": "disk", "restartPolicy": "Maybe"},
            ]}],
        })),
        &[
            "spec.containers[0].resizePolicy: Invalid value: \"RestartContainer\": must be 'NotRequired' when pod `restartPolicy` is 'Never'",
            "spec.containers[0].resizePolicy[1]: Duplicate value: \"cpu\"",
            "spec.containers[0].resizePolicy: Unsupported value: \"disk\": supported values: \"cpu\", \"memory\"",
            "spec.containers[0].resizePolicy: Unsupported value: \"Maybe\": supported values: \"NotRequired\", \"RestartContainer\"",
            "spec.containers[0].resizePolicy: Invalid value: \"Maybe\": must be 'NotRequired' when pod `restartPolicy` is 'Never'",
        ],
    );
}

#[test]
fn affinity_and_spreading() {
    let terms = |terms: Value| {
        pod(
            json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}}),
        )
    };
    let path = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
    check(
        terms(json!([])),
        &[&format!(
            "{path}: Required value: must have at least one node selector term"
        )],
    );
    check(
        terms(json!([{
            "matchExpressions": [{"key": "a", "operator": "In", "values": ["b c"]}, {"key": "a", "operator": "Near"}],
            "matchFields": [
                {"key": "metadata.name", "operator": "In", "values": ["A", "b"]}, {"key": "metadata.uid", "operator": "Exists"},
                {"key": "metadata.name", "operator": "NotIn", "values": ["A"]},
            ],
        }])),
        &[
            &format!(
                "{path}[0].matchExpressions[0].values[0]: Invalid value: \"b c\": {LABEL_VALUE}"
            ),
            &format!(
                "{path}[0].matchExpressions[1].operator: Invalid value: \"Near\": not a valid selector operator"
            ),
            &format!(
                "{path}[0].matchFields[0].values: Required value: must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
            ),
            &format!("{path}[0].matchFields[0].values[0]: Invalid value: \"A\": {SUBDOMAIN}"),
            &format!(
                "{path}[0].matchFields[1].operator: Invalid value: \"Exists\": not a valid selector operator"
            ),
            &format!(
                "{path}[0].matchFields[1].key: Invalid value: \"metadata.uid\": not a valid field selector key"
            ),
            &format!("{path}[0].matchFields[2].values[0]: Invalid value: \"A\": {SUBDOMAIN}"),
        ],
    );
    let path = "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0]";
    check(
        pod(
            json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "", "namespaces": ["A"], "labelSelector": {"matchLabels": {"a b": "c"}}},
            ]}}}),
        ),
        &[
            &format!("{path}.labelSelector.matchLabels: Invalid value: \"a b\": {NAME_PART}"),
            &format!("{path}.namespace: Invalid value: \"A\": {LABEL}"),
            &format!("{path}.topologyKey: Required value: can not be empty"),
            &format!("{path}.topologyKey: Invalid value: \"\": name part must be non-empty"),
            &format!("{path}.topologyKey: Invalid value: \"\": {NAME_PART}"),
        ],
    );
    let spread = |when: &str| json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": when, "minDomains": 0});
    let mut second = spread("ScheduleAnyway");
    second["nodeTaintsPolicy"] = json!("Maybe");
    check(
        pod(
            json!({"topologySpreadConstraints": [spread("DoNotSchedule"), spread("DoNotSchedule"), second]}),
        ),
        &[
            "spec.topologySpreadConstraints[0].{topologyKey, whenUnsatisfiable}: Duplicate value: \"{zone, DoNotSchedule}\"",
            "spec.topologySpreadConstraints[0].minDomains: Invalid value: 0: must be greater than zero",
            "spec.topologySpreadConstraints[1].minDomains: Invalid value: 0: must be greater than zero",
            "spec.topologySpreadConstraints[2].minDomains: Invalid value: 0: must be greater than zero",
            "spec.topologySpreadConstraints[2].minDomains: Invalid value: 0: can only use minDomains if whenUnsatisfiable=DoNotSchedule, not \
             ScheduleAnyway",
            "spec.topologySpreadConstraints[2].nodeTaintsPolicy: Unsupported value: \"Maybe\": supported values: \"Honor\", \"Ignore\"",
        ],
    );
}

#[test]
fn fields_of_another_system() {
    check(
        pod(
            json!({"os": {"name": "linux"}, "securityContext": {"windowsOptions": {}},
            "containers": [{"name": "web", "image": "x", "securityContext": {"windowsOptions": {}}}]}),
        ),
        &[
            "spec.securityContext.windowsOptions: Forbidden: windows options cannot be set for a linux pod",
            "spec.containers[0].securityContext.windowsOptions: Forbidden: windows options cannot be set for a linux pod",
        ],
    );
    check(
        pod(
            json!({"os": {"name": "windows"}, "hostPID": true, "hostIPC": false, "securityContext": {"fsGroup": 1, "runAsUser": 1},
            "initContainers": [{"name": "i", "image": "x", "securityContext": {"privileged": false}}]}),
        ),
        &[
            "spec.hostPID: Forbidden: cannot be set for a windows pod",
            "spec.securityContext.fsGroup: Forbidden: cannot be set for a windows pod",
            "spec.securityContext.runAsUser: Forbidden: cannot be set for a windows pod",
            "spec.initContainers[0].securityContext.privileged: Forbidden: cannot be set for a windows pod",
        ],
    );
    check(
        pod(json!({"os": {"name": "plan9"}})),
        &["spec.os: Unsupported value: \"plan9\": supported values: \"linux\", \"windows\""],
    );
}

#[test]
fn gates() {
    let gated = pod(json!({"schedulingGates": [{"name": "a"}], "nodeName": "here"}));
    check(
        gated,
        &["spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared"],
    );
    let mut old = created(pod(
        json!({"schedulingGates": [{"name": "a"}], "nodeSelector": {"x": "y"}}),
    ));
    old["metadata"]["resourceVersion"] = json!("5");
    let errors = |spec: Value| {
        let mut new = old.clone();
        json_patch::merge(&mut new["spec"], &spec);
        let old = Object::from_value(Kind::Pod, old.clone()).unwrap();
        let result = admit_update(&old, object(new), &context());
        let errors = result.err().unwrap_or_default();
        errors.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(errors(json!({"schedulingGates": null})), [""; 0]);
    assert_eq!(errors(json!({"nodeSelector": {"z": "1"}})), [""; 0]);
    assert_eq!(
        errors(json!({"schedulingGates": [{"name": "b"}]})),
        [
            "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'b'"
        ]
    );
    assert_eq!(
        errors(json!({"nodeSelector": {"x": "z"}})),
        [
            "spec.nodeSelector: Invalid value: {\"x\":\"z\"}: only additions to spec.nodeSelector are allowed (no mutations or deletions)"
        ]
    );
}

#[test]
fn events_and_their_objects() {
    let event = |fields: Value| {
        let mut event = data("Event", json!({"involvedObject": {"namespace": "default"}}));
        json_patch::merge(&mut event, &fields);
        event
    };
    check(event(json!({})), &[]);
    check(event(json!({"involvedObject": {"namespace": null}})), &[]);
    check(
        event(json!({"involvedObject": {"namespace": "other"}})),
        &["involvedObject.namespace: Invalid value: \"other\": does not match event.namespace"],
    );
    let new = json!({"eventTime": "2026-01-01T00:00:00.000000Z"});
    check(
        event(new),
        &[
            "reportingController: Required value",
            "reportingController: Invalid value: \"\": name part must be non-empty",
            &format!("reportingController: Invalid value: \"\": {NAME_PART}"),
            "reportingInstance: Required value",
            "action: Required value",
            "reason: Required value",
        ],
    );
    check(
        event(
            json!({"eventTime": "2026-01-01T00:00:00.000000Z", "reportingComponent": "example.com/x", "reportingInstance": "i",
            "action": "a".repeat(129), "reason": "r", "message": "m".repeat(1025)}),
        ),
        &[
            "action: Invalid value: \"\": can have at most 128 characters",
            "message: Invalid value: \"\": can have at most 1024 characters",
        ],
    );
}

#[test]
fn finalizers_of_namespaces() {
    let namespace = |finalizer: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}, "spec": {"finalizers": [finalizer]}});
    check(namespace("kubernetes"), &[]);
    check(namespace("example.com/keep"), &[]);
    check(
        namespace("mine"),
        &[
            "spec.finalizers: Invalid value: \"mine\": name is neither a standard finalizer name nor is it fully qualified",
        ],
    );
}
