use serde_json::{Value, json};

use crate::admission::admit_part;
use crate::model::{Object, Subresource, decode, patch::apply_merge};

fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "namespace": "default", "uid": "u", "generation": 3, "labels": {"a": "b"}},
        "spec": {
            "restartPolicy": "Always",
            "containers": [{"name": "c", "image": "x", "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}}],
            "initContainers": [{"name": "i", "image": "x"}],
            "ephemeralContainers": [{"name": "e", "image": "x"}],
            "volumes": [{"name": "v", "emptyDir": {}}],
        },
        "status": {
            "phase": "Running",
            "conditions": [{"type": "gate", "status": "False"}, {"type": "Ready", "status": "True"}],
        },
    })
}

/// The pod as it is stored.
fn stored() -> Object {
    let mut object = decode::decode(pod()).unwrap().object;
    super::super::defaults::apply(&mut object);
    object
}

fn write(part: Subresource, change: Value) -> Result<(Value, Vec<String>), Vec<String>> {
    let old = stored();
    let new = decode::decode(apply_merge(&old.to_value(), &change)).unwrap();
    match admit_part(&old, new.object, part) {
        Ok((object, warnings)) => Ok((object.into_inner().to_value(), warnings)),
        Err(errors) => Err(errors.iter().map(ToString::to_string).collect()),
    }
}

#[track_caller]
fn refused(part: Subresource, change: Value, expected: &[&str]) {
    assert_eq!(write(part, change).unwrap_err(), expected);
}

#[test]
fn the_status_takes_conditions_that_are_not_the_engines() {
    let change = json!({
        "metadata": {"labels": {"a": "other"}},
        "spec": {"activeDeadlineSeconds": 5},
        "status": {"phase": "Failed", "podIP": "1.2.3.4", "conditions": [
            {"type": "example.com/gate", "status": "True"}, {"type": "Ready", "status": "False"},
        ]},
    });
    let (written, warnings) = write(Subresource::Status, change).unwrap();
    let mut expected = stored().to_value();
    expected["status"]["conditions"] = json!([
        {"type": "example.com/gate", "status": "True"}, {"type": "Ready", "status": "True"},
    ]);
    assert_eq!(written, expected);
    let told = |field: &str| {
        format!("status.{field}: written by the engine; the change is not taken over")
    };
    assert_eq!(warnings, ["conditions", "phase", "podIP"].map(told));
    refused(
        Subresource::Status,
        json!({"status": {"conditions": [{"type": "/", "status": "True"}]}}),
        &[
            "status.conditions[0].Type: Invalid value: \"/\": prefix part must be non-empty",
            "status.conditions[0].Type: Invalid value: \"/\": name part must be non-empty",
            "status.conditions[0].Type: Invalid value: \"/\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ],
    );
}

fn ephemeral(list: Value) -> Value {
    json!({"spec": {"ephemeralContainers": list}})
}

#[test]
fn ephemeral_containers_are_only_added() {
    let part = Subresource::EphemeralContainers;
    let mut change = ephemeral(json!([
        {"name": "e", "image": "x"},
        {"name": "f", "image": "y:1", "targetContainerName": "c", "stdin": true},
    ]));
    change["spec"]["activeDeadlineSeconds"] = json!(5);
    let (written, _) = write(part, change).unwrap();
    let mut expected = stored().to_value();
    expected["metadata"]["generation"] = json!(4);
    let added = json!({
        "name": "f", "image": "y:1", "targetContainerName": "c", "stdin": true, "resources": {},
        "imagePullPolicy": "IfNotPresent", "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    });
    let list = expected["spec"]["ephemeralContainers"].as_array_mut();
    list.unwrap().push(added);
    assert_eq!(written, expected);

    let path = "spec.ephemeralContainers";
    refused(
        part,
        ephemeral(json!([])),
        &[
            "spec.ephemeralContainers: Forbidden: existing ephemeral containers \"e\" may not be removed\n",
        ],
    );
    refused(
        part,
        ephemeral(json!([{"name": "e", "image": "z", "imagePullPolicy": "Always"}])),
        &[
            "spec.ephemeralContainers: Forbidden: existing ephemeral containers \"e\" may not be changed\n\
           - spec.ephemeralContainers.image: \"x\"\n+ spec.ephemeralContainers.image: \"z\"\n",
        ],
    );
    let added = |more: Value| {
        let mut one = json!({"name": "f", "image": "y"});
        json_patch::merge(&mut one, &more);
        ephemeral(json!([{"name": "e", "image": "x"}, one]))
    };
    let at = |rest: &str| format!("{path}[1].{rest}");
    let not = "Forbidden: cannot be set for an Ephemeral Container";
    for (more, expected) in [
        (json!({"name": "c"}), at("name: Duplicate value: \"c\"")),
        (json!({"name": null}), at("name: Required value")),
        (json!({"image": null}), at("image: Required value")),
        (
            json!({"targetContainerName": "x"}),
            at("targetContainerName: Not found: \"x\""),
        ),
        (
            json!({"ports": [{"containerPort": 1}]}),
            at(&format!("ports: {not}")),
        ),
        (
            json!({"livenessProbe": {"exec": {"command": ["a"]}}}),
            at(&format!("livenessProbe: {not}")),
        ),
        (
            json!({"lifecycle": {"preStop": {"exec": {"command": ["a"]}}}}),
            at(&format!("lifecycle: {not}")),
        ),
        (
            json!({"volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "s"}]}),
            at(&format!("volumeMounts[0].subPath: {not}")),
        ),
    ] {
        refused(part, added(more), &[&expected]);
    }
    let resources = json!({"resources": {"requests": {"cpu": "1"}}});
    refused(part, added(resources), &[&at(&format!("resources: {not}"))]);
}

fn container(change: Value) -> Value {
    let mut one = stored().to_value()["spec"]["containers"][0].clone();
    json_patch::merge(&mut one, &change);
    json!({"spec": {"containers": [one]}})
}

#[test]
fn a_resize_takes_cpu_and_memory() {
    let part = Subresource::Resize;
    let change =
        container(json!({"resources": {"requests": {"cpu": "200m"}, "limits": {"memory": "1Gi"}}}));
    let (written, _) = write(part, change).unwrap();
    let mut expected = stored().to_value();
    expected["metadata"]["generation"] = json!(4);
    let resources = &mut expected["spec"]["containers"][0]["resources"];
    resources["requests"]["cpu"] = json!("200m");
    resources["limits"]["memory"] = json!("1Gi");
    assert_eq!(written, expected);

    let mut init =
        json!({"spec": {"initContainers": stored().to_value()["spec"]["initContainers"]}});
    init["spec"]["initContainers"][0]["resources"] = json!({"requests": {"cpu": "1"}});
    init["spec"]["initContainers"][0]["resizePolicy"] = Value::Null;
    let diff = "only cpu and memory resources are mutable\n";
    // The policy that comes with the first request is the one that held before.
    let (written, _) = write(part, init.clone()).unwrap();
    assert_eq!(
        written["spec"]["initContainers"][0]["resizePolicy"],
        json!([{"resourceName": "cpu", "restartPolicy": "NotRequired"}])
    );
    let restart = json!([{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]);
    init["spec"]["initContainers"][0]["resizePolicy"] = restart;
    let errors = write(part, init).unwrap_err();
    let only =
        "spec.initContainers[0]: Forbidden: only cpu and memory resources for init or sidecar";
    assert!(errors[1].starts_with(only), "{errors:?}");
    refused(
        part,
        container(json!({"image": "z"})),
        &[&format!(
            "spec: Forbidden: {diff}- spec.containers[0].image: \"x\"\n+ spec.containers[0].image: \"z\"\n"
        )],
    );
    refused(
        part,
        container(json!({"resources": {"limits": {"cpu": "50m"}}})),
        &[
            "spec.containers[0].resources.requests: Invalid value: \"100m\": must be less than or equal to cpu limit of 50m",
        ],
    );
    refused(
        part,
        json!({"spec": {"containers": [{"name": "d", "image": "x"}]}}),
        &[
            "spec: Invalid value: \"Burstable\": Pod QOS Class may not change as a result of resizing",
            "spec.containers[0].name: Forbidden: containers may not be renamed or reordered on resize",
        ],
    );
}
