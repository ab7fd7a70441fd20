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

/// Rows of what nobody may write into a status.
struct StatusRow<'a> {
    /// Merged into the spec of the pod.
    spec: Value,
    was: Value,
    wanted: Value,
    expected: &'a [&'a str],
}

#[track_caller]
fn check_status(row: &StatusRow<'_>) {
    let mut value = pod();
    json_patch::merge(&mut value["spec"], &row.spec);
    value["status"] = row.was.clone();
    let mut old = decode::decode(value).unwrap().object;
    super::super::defaults::apply(&mut old);
    let mut wanted = old.to_value();
    wanted["status"] = row.wanted.clone();
    let new = decode::decode(wanted).unwrap().object;
    let errors = admit_part(&old, new, Subresource::Status)
        .err()
        .unwrap_or_default();
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        errors, row.expected,
        "{} {} {}",
        row.spec, row.was, row.wanted
    );
}

fn state(list: &str, name: &str, state: &str) -> Value {
    let state = match state {
        "waits" => json!({"waiting": {"reason": "PodInitializing"}}),
        "runs" => json!({"running": {}}),
        code => {
            json!({"terminated": {"exitCode": code.parse::<i32>().unwrap(), "reason": "Completed"}})
        }
    };
    json!({list: [{
        "name": name, "image": "x", "imageID": "", "ready": false, "restartCount": 0, "state": state,
    }]})
}

const AGAIN: &str = "may not be transitioned to non-terminated state";

#[test]
fn what_has_ended_goes_on_only_where_its_policy_says_so() {
    let check = |spec: Value, list: &str, name: &str, from: &str, to: &str, allowed: bool| {
        let error = format!("status.{list}[0].state: Forbidden: {AGAIN}");
        let refusal: Vec<&str> = (!allowed).then_some(error.as_str()).into_iter().collect();
        check_status(&StatusRow {
            spec,
            was: state(list, name, from),
            wanted: state(list, name, to),
            expected: &refusal,
        });
    };
    let (app, init, ephemeral) = (
        "containerStatuses",
        "initContainerStatuses",
        "ephemeralContainerStatuses",
    );
    for policy in ["Always", "OnFailure", "Never"] {
        let spec = || json!({"restartPolicy": policy});
        let by_code = |code: &str| policy == "Always" || policy == "OnFailure" && code != "0";
        for code in ["0", "1"] {
            for next in ["runs", "waits"] {
                check(spec(), app, "c", code, next, by_code(code));
                check(spec(), init, "i", code, next, by_code(code));
                // Ephemeral containers never run again.
                check(spec(), ephemeral, "e", code, next, false);
            }
            check(spec(), app, "c", code, "0", true);
        }
        for list in [(app, "c"), (init, "i"), (ephemeral, "e")] {
            check(spec(), list.0, list.1, "waits", "runs", true);
            check(spec(), list.0, list.1, "runs", "0", true);
        }
        // A sidecar always may.
        let sidecar = json!({"restartPolicy": policy, "initContainers": [
            {"name": "i", "image": "x", "restartPolicy": "Always"},
        ]});
        check(sidecar, init, "i", "0", "runs", true);
    }
    // What the container says itself goes before the pod.
    let own = |policy: &str, rules: Value| {
        json!({"restartPolicy": "Never", "containers": [
            {"name": "c", "image": "x", "restartPolicy": policy, "restartPolicyRules": rules},
        ]})
    };
    let rule =
        |action: &str| json!([{"action": action, "exitCodes": {"operator": "In", "values": [42]}}]);
    check(own("Always", json!([])), app, "c", "0", "runs", true);
    check(own("OnFailure", json!([])), app, "c", "1", "runs", true);
    check(own("OnFailure", json!([])), app, "c", "0", "runs", false);
    check(own("Never", rule("Restart")), app, "c", "42", "runs", true);
    check(own("Never", rule("Restart")), app, "c", "1", "runs", false);
    // Everything may be begun anew.
    let all = || own("Never", rule("RestartAllContainers"));
    check(all(), app, "c", "0", "waits", true);
    check(all(), init, "i", "0", "waits", true);
    // One that is gone is no transition.
    check_status(&StatusRow {
        spec: json!({"restartPolicy": "Never"}),
        was: state(app, "c", "0"),
        wanted: json!({}),
        expected: &[],
    });
}

#[test]
fn the_status_of_a_pod_keeps_its_class_and_its_form() {
    let check = |spec: Value, was: Value, wanted: Value, expected: &[&str]| {
        check_status(&StatusRow {
            spec,
            was,
            wanted,
            expected,
        });
    };
    let none = || json!({});
    let class = |class: &str| json!({"qosClass": class});
    check(none(), class("Burstable"), class("Burstable"), &[]);
    check(none(), class("Burstable"), none(), &[]);
    check(
        none(),
        class("Guaranteed"),
        class("Burstable"),
        &["status.qosClass: Invalid value: \"Burstable\": field is immutable"],
    );
    // Nobody has told it yet.
    check(none(), none(), class("Burstable"), &[]);
    check(
        none(),
        none(),
        class("BestEffort"),
        &["status.qosClass: Invalid value: \"BestEffort\": field is immutable"],
    );

    let nominated = |name: &str| json!({"nominatedNodeName": name});
    check(none(), none(), nominated("node1"), &[]);
    check(none(), nominated("node1"), none(), &[]);
    check(none(), nominated("node2"), nominated("node1"), &[]);
    check(none(), nominated("Node1"), nominated("Node1"), &[]);
    check(
        none(),
        none(),
        nominated("Node1"),
        &[
            "status.nominatedNodeName: Invalid value: \"Node1\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
             characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        ],
    );

    let claim = |name: &str, of: Value| json!({"name": name, "resourceClaimName": of});
    let claims = |list: Value| json!({"resourceClaimStatuses": list});
    let spec = || json!({"resourceClaims": [{"name": "my-claim", "resourceClaimName": "x"}, {"name": "other", "resourceClaimName": "y"}]});
    check(
        spec(),
        none(),
        claims(json!([
            claim("my-claim", json!("foo-1")),
            claim("other", Value::Null)
        ])),
        &[],
    );
    check(
        none(),
        none(),
        claims(json!([claim("no-such-claim", json!("my-claim"))])),
        &[
            "status.resourceClaimStatuses[0].name: Invalid value: \"no-such-claim\": must match the name of an entry in `spec.resourceClaims`",
        ],
    );
    check(
        spec(),
        none(),
        claims(json!([
            claim("other", Value::Null),
            claim("other", Value::Null)
        ])),
        &["status.resourceClaimStatuses[1].name: Duplicate value: \"other\""],
    );
    check(
        spec(),
        none(),
        claims(json!([claim("other", json!("%$!#"))])),
        &[
            "status.resourceClaimStatuses[0].name: Invalid value: \"%$!#\": a lowercase RFC 1123 subdomain must consist of lower case \
             alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for \
             validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        ],
    );
}

#[test]
fn addresses_in_a_status() {
    let check = |was: &[&str], wanted: &[&str], expected: &[&str]| {
        let list =
            |ips: &[&str]| -> Vec<Value> { ips.iter().map(|ip| json!({"ip": ip})).collect() };
        check_status(&StatusRow {
            spec: json!({}),
            was: json!({"podIPs": list(was)}),
            wanted: json!({"podIPs": list(wanted)}),
            expected,
        });
    };
    let words = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
    let bad = format!("status.podIPs[0]: Invalid value: \"bad\": {words}");
    check(&[], &["10.0.0.1"], &[]);
    check(&[], &["10.0.0.1", "fd00::1"], &[]);
    check(&[], &["fd00::1", "10.0.0.1"], &[]);
    check(&[], &["bad"], &[&bad]);
    check(&["bad"], &["bad"], &[]);
    let many = |ips: &str| {
        format!(
            "status.podIPs: Invalid value: {ips}: may specify no more than one IP for each IP family"
        )
    };
    check(
        &[],
        &["10.0.0.1", "10.0.0.2"],
        &[&many("[{\"ip\":\"10.0.0.1\"},{\"ip\":\"10.0.0.2\"}]")],
    );
    check(
        &[],
        &["10.0.0.1", "fd00::1", "fd00::2"],
        &[&many(
            "[{\"ip\":\"10.0.0.1\"},{\"ip\":\"fd00::1\"},{\"ip\":\"fd00::2\"}]",
        )],
    );
    let host = |ip: &str, ips: Value, expected: &[&str]| {
        check_status(&StatusRow {
            spec: json!({}),
            was: json!({}),
            wanted: json!({"hostIP": ip, "hostIPs": ips}),
            expected,
        });
    };
    host("10.0.0.1", json!([{"ip": "10.0.0.1"}]), &[]);
    host("10.0.0.1", json!([]), &[]);
    host(
        "10.0.0.1",
        json!([{"ip": "10.0.0.2"}]),
        &["status.hostIPs[0].ip: Invalid value: \"10.0.0.2\": must be equal to `hostIP`"],
    );
}
