//! What users and their scripts read, letter by letter as Kubernetes v1.36 writes it: events of pods that
//! live and fail, and refusals of pods that are wrong.

use super::*;
use crate::admission::{Context, admit_create};
use crate::model::ApiError;

fn checked(command: &str, kind: &str) -> Value {
    let mut container = containers(&["c"]).remove(0);
    container[kind] =
        json!({"exec": {"command": [command]}, "periodSeconds": 1, "failureThreshold": 2});
    json!({"containers": [container]})
}

#[track_caller]
fn assert_told(events: &[(String, String)], uid: &str, expected: &[(&str, &str)]) {
    for (reason, message) in expected {
        let message = message.replace("UID", uid);
        assert!(
            events.contains(&((*reason).to_owned(), message.clone())),
            "{reason} {message:?} is not among {events:#?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn events_of_a_life() {
    let world = World::new().await;
    world.fake.answer("check", "broken\n", 3, Duration::ZERO);
    let pod = world.apply(checked("check", "livenessProbe")).await;
    world
        .until("restarted", |pod| status(pod, "c").restart_count == 1)
        .await;
    world.fake.answer("check", "", 0, Duration::ZERO);
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.delete(30).await;
    world.until_gone().await;
    let expected = [
        ("Scheduled", "Successfully assigned default/p to node"),
        (
            "Pulled",
            "Container image \"localhost/toolbox\" already present on machine and can be accessed by the pod",
        ),
        ("Created", "Container created"),
        ("Started", "Container started"),
        ("Unhealthy", "Liveness probe failed: broken\n"),
        (
            "Killing",
            "Container c failed liveness probe, will be restarted",
        ),
        ("Killing", "Stopping container c"),
    ];
    let uid = pod.metadata.uid.unwrap();
    assert_told(&world.events().await, &uid, &expected);
}

#[tokio::test(start_paused = true)]
async fn events_of_failures() {
    let world = World::new().await;
    let exits = Behaviour::Exits {
        after: Duration::from_secs(1),
        code: 1,
    };
    world.fake.script("c", &[exits]);
    let mut spec = checked("slow", "startupProbe");
    spec["containers"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "d", "image": "absent", "imagePullPolicy": "Never"}));
    spec["containers"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "e", "image": "absent", "imagePullPolicy": "IfNotPresent"}));
    spec["containers"].as_array_mut().unwrap().push(
        json!({"name": "f", "image": "here", "imagePullPolicy": "IfNotPresent",
            "readinessProbe": {"httpGet": {"port": "web"}, "periodSeconds": 600}}),
    );
    let pod = world.apply(spec).await;
    world
        .until("in back-off", |pod| {
            waits(pod, "c").as_deref() == Some("CrashLoopBackOff")
        })
        .await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    let expected = [
        (
            "BackOff",
            "Back-off restarting failed container c in pod p_default(UID)",
        ),
        (
            "ErrImageNeverPull",
            "Container image \"absent\" is not present with pull policy of Never",
        ),
        ("Failed", "Error: ErrImageNeverPull"),
        ("Pulling", "Pulling image \"absent\""),
        ("Failed", "Error: ErrImagePull"),
        ("BackOff", "Back-off pulling image \"absent\""),
        ("Failed", "Error: ImagePullBackOff"),
        (
            "Unhealthy",
            "Readiness probe errored and resulted in unknown state: strconv.Atoi: parsing \"web\": invalid syntax",
        ),
    ];
    let uid = pod.metadata.uid.unwrap();
    assert_told(&world.events().await, &uid, &expected);
}

/// A pod named `p` with this spec is refused with exactly this message.
#[track_caller]
fn check_refused(spec: Value, expected: &str) {
    let value = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "namespace": "default"}, "spec": spec,
    });
    let object = Object::from_value(Kind::Pod, value).unwrap();
    let context = Context {
        now: Timestamp::UNIX_EPOCH,
    };
    let errors = admit_create(object, &context).unwrap_err();
    let refusal = ApiError::invalid(Kind::Pod, "p", &errors);
    assert_eq!(refusal.to_status()["message"], expected);
}

#[test]
fn refusals() {
    let one = |fields: Value| {
        let mut container = json!({"name": "a", "image": "x"});
        json_patch::merge(&mut container, &fields);
        json!({ "containers": [container] })
    };
    let invalid = |text: &str| format!("Pod \"p\" is invalid: {text}");
    check_refused(
        json!({"containers": []}),
        &invalid("spec.containers: Required value"),
    );
    check_refused(
        json!({"containers": [{"name": "a", "image": "x"}, {"name": "a"}]}),
        &invalid(
            "[spec.containers[1].image: Required value, spec.containers[1].name: Duplicate value: \"a\"]",
        ),
    );
    let mut spec = one(json!({}));
    spec["restartPolicy"] = json!("Sometimes");
    check_refused(
        spec,
        &invalid(
            "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"",
        ),
    );
    for (probe, text) in [
        (
            json!({}),
            "spec.containers[0].livenessProbe: Required value: must specify a handler type",
        ),
        (
            json!({"exec": {"command": ["a"]}, "tcpSocket": {"port": 1}}),
            "spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
        ),
        (
            json!({"exec": {"command": ["a"]}, "successThreshold": 3}),
            "spec.containers[0].livenessProbe.successThreshold: Invalid value: 3: must be 1",
        ),
        (
            json!({"exec": {"command": ["a"]}, "periodSeconds": -1}),
            "spec.containers[0].livenessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            json!({"exec": {}}),
            "spec.containers[0].livenessProbe.exec.command: Required value",
        ),
        (
            json!({"tcpSocket": {"port": 70000}}),
            "spec.containers[0].livenessProbe.tcpSocket.port: Invalid value: 70000: must be between 1 and 65535, inclusive",
        ),
    ] {
        check_refused(one(json!({ "livenessProbe": probe })), &invalid(text));
    }
    check_refused(
        one(
            json!({"readinessProbe": {"exec": {"command": ["a"]}, "terminationGracePeriodSeconds": 5}}),
        ),
        &invalid(
            "spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 5: must not be set for readinessProbes",
        ),
    );
    check_refused(
        one(json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]})),
        &invalid("spec.containers[0].volumeMounts[0].name: Not found: \"v\""),
    );
    check_refused(
        one(json!({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}})),
        &invalid(
            "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
        ),
    );
    check_refused(
        one(json!({"ports": [{"containerPort": 0}]})),
        &invalid("spec.containers[0].ports[0].containerPort: Required value"),
    );
    check_refused(
        one(json!({"lifecycle": {"preStop": {"sleep": {"seconds": 31}}}})),
        &invalid(
            "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)",
        ),
    );
}
