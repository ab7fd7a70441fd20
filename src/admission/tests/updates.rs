//! What may change in a pod: Kubernetes' own table `TestValidatePodUpdate`, derived from the rules.

use super::*;

/// A pod as it is stored, with what is given of its spec.
fn stored(spec: Value) -> Value {
    let mut value = created(pod(spec));
    value["metadata"]["resourceVersion"] = json!("5");
    value
}

/// Each row: the spec before, a merge patch of it, and the errors; of the list of what may change only its beginning.
#[track_caller]
pub(super) fn check_changes(rows: &[(&str, &str, &[&str])]) {
    for (before, change, expected) in rows {
        let old = stored(fields(before));
        let mut new = old.clone();
        json_patch::merge(&mut new["spec"], &fields(change));
        let old = Object::from_value(Kind::Pod, old).unwrap();
        let errors = admit_update(&old, object(new), &context())
            .err()
            .unwrap_or_default();
        let text = |error: &FieldError| {
            let text = error.to_string();
            let cut = text.find(" may not change fields other than ");
            cut.map_or(text.clone(), |end| text[..end].to_owned())
        };
        let errors: Vec<String> = errors.iter().map(text).collect();
        assert_eq!(errors, *expected, "{before} {change}");
    }
}

pub(super) const OTHER: &str = "spec: Forbidden: pod updates";

#[test]
fn fields_that_stay() {
    check_changes(&[
        ("{}", "{}", &[]),
        (
            "{}",
            "{containers: [{name: web, image: 'x:2', imagePullPolicy: Always, resources: {}, terminationMessagePath: \
              /dev/termination-log, terminationMessagePolicy: File}]}",
            &[],
        ),
        (
            "{}",
            "{containers: [{name: a, image: x}, {name: b, image: x}]}",
            &["spec.containers: Forbidden: pod updates may not add or remove containers"],
        ),
        (
            "{initContainers: [{name: a, image: x}, {name: b, image: x}]}",
            "{initContainers: [{name: a, image: x}]}",
            &["spec.initContainers: Forbidden: pod updates may not add or remove containers"],
        ),
        (
            "{initContainers: [{name: a, image: 'x:1'}]}",
            "{initContainers: [{name: a, image: '', imagePullPolicy: IfNotPresent}]}",
            &["spec.initContainers[0].image: Required value"],
        ),
        (
            "{}",
            "{ephemeralContainers: [{name: e, image: x}]}",
            &[OTHER],
        ),
        (
            "{containers: [{name: web, image: nginx, resources: {limits: {cpu: 100m}}}]}",
            "{containers: [{name: web, image: nginx, resources: {limits: {cpu: 200m}}}]}",
            &[OTHER],
        ),
        (
            "{}",
            "{securityContext: {fsGroupChangePolicy: Always}}",
            &[OTHER],
        ),
        ("{}", "{resources: {limits: {cpu: 1}}}", &[OTHER]),
        ("{}", "{nodeName: here}", &[OTHER]),
        (
            "{terminationGracePeriodSeconds: -1}",
            "{terminationGracePeriodSeconds: 1}",
            &[],
        ),
        (
            "{terminationGracePeriodSeconds: -1}",
            "{terminationGracePeriodSeconds: 0}",
            &[OTHER],
        ),
        (
            "{terminationGracePeriodSeconds: 5}",
            "{terminationGracePeriodSeconds: 1}",
            &[OTHER],
        ),
        // The changed pod must be right in itself too.
        (
            "{os: {name: linux}, securityContext: {seLinuxOptions: {role: r}}}",
            "{os: {name: windows}}",
            &[
                "spec.securityContext.seLinuxOptions: Forbidden: cannot be set for a windows pod",
                OTHER,
            ],
        ),
        (
            "{}",
            "{os: {name: plan9}}",
            &[
                "spec.os: Unsupported value: \"plan9\": supported values: \"linux\", \"windows\"",
                OTHER,
            ],
        ),
        (
            "{containers: [{name: web, image: nginx, restartPolicy: Never}]}",
            "{containers: [{name: web, image: nginx, restartPolicy: Sometimes}]}",
            &[
                "spec.containers[0].restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"Never\", \"OnFailure\"",
                OTHER,
            ],
        ),
    ]);
}

#[test]
fn deadlines() {
    let at = |text: &str| format!("spec.activeDeadlineSeconds: Invalid value: {text}");
    let least = |number: &str| {
        at(&format!(
            "{number}: must be between 1 and 2147483647, inclusive"
        ))
    };
    let range = |number: &str| {
        at(&format!(
            "{number}: must be between 0 and 2147483647, inclusive"
        ))
    };
    check_changes(&[
        ("{}", "{activeDeadlineSeconds: 30}", &[]),
        (
            "{activeDeadlineSeconds: 30}",
            "{activeDeadlineSeconds: 30}",
            &[],
        ),
        (
            "{activeDeadlineSeconds: 31}",
            "{activeDeadlineSeconds: 30}",
            &[],
        ),
        (
            "{activeDeadlineSeconds: 30}",
            "{activeDeadlineSeconds: 31}",
            &[&at("31: must be less than or equal to previous value")],
        ),
        (
            "{}",
            "{activeDeadlineSeconds: -30}",
            &[&least("-30"), &range("-30")],
        ),
        (
            "{activeDeadlineSeconds: 30}",
            "{activeDeadlineSeconds: -30}",
            &[&least("-30"), &range("-30")],
        ),
        (
            "{activeDeadlineSeconds: 30}",
            "{activeDeadlineSeconds: 0}",
            &[&least("0")],
        ),
        ("{}", "{activeDeadlineSeconds: 0}", &[&least("0")]),
        (
            "{activeDeadlineSeconds: 30}",
            "{activeDeadlineSeconds: null}",
            &[&at(
                "null: must not update from a positive integer to nil value",
            )],
        ),
    ]);
}

#[test]
fn tolerations_are_only_added() {
    let kept = "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds";
    let one = |more: &str| {
        format!("{{tolerations: [{{key: a, operator: Equal, effect: NoExecute, {more}}}]}}")
    };
    let two = |effect: &str| {
        format!(
            "{{tolerations: [{{key: a, operator: Equal, effect: NoExecute, value: b, tolerationSeconds: 20}}, \
             {{key: c, value: d, effect: {effect}, tolerationSeconds: 30}}, \
             {{key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 300}}, \
             {{key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 300}}]}}"
        )
    };
    let first = one("value: b, tolerationSeconds: 10");
    check_changes(&[
        (&first, &one("value: c, tolerationSeconds: 10"), &[kept]),
        (&first, &one("value: c"), &[kept]),
        (&first, "{tolerations: []}", &[kept]),
        (&first, &two("NoExecute"), &[]),
        (
            &first,
            &two("NoSchedule"),
            &[
                "spec.tolerations[1].effect: Invalid value: \"NoSchedule\": effect must be 'NoExecute' when `tolerationSeconds` is set",
            ],
        ),
    ]);
}

#[test]
fn gates_are_only_removed() {
    let new = |name: &str| {
        format!(
            "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate '{name}'"
        )
    };
    let selector = "spec.nodeSelector: Invalid value: ";
    let only = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
    let gated = "{schedulingGates: [{name: g}], nodeSelector: {a: b}}";
    check_changes(&[
        ("{}", "{schedulingGates: [{name: g}]}", &[&new("g")]),
        (
            "{schedulingGates: [{name: g}]}",
            "{schedulingGates: [{name: h}]}",
            &[&new("h")],
        ),
        (
            "{schedulingGates: [{name: g}, {name: h}]}",
            "{schedulingGates: [{name: i}]}",
            &[&new("i")],
        ),
        (
            "{schedulingGates: [{name: g}, {name: h}]}",
            "{schedulingGates: [{name: h}]}",
            &[],
        ),
        (
            "{schedulingGates: [{name: g}]}",
            "{schedulingGates: null}",
            &[],
        ),
        (gated, "{nodeSelector: {c: d}}", &[]),
        (gated, "{nodeSelector: {c: d}, schedulingGates: null}", &[]),
        (
            gated,
            "{nodeSelector: {a: null}}",
            &[&format!("{selector}{{}}: {only}")],
        ),
        (
            gated,
            "{nodeSelector: {a: c}}",
            &[&format!("{selector}{{\"a\":\"c\"}}: {only}")],
        ),
        ("{nodeSelector: {a: b}}", "{nodeSelector: {c: d}}", &[OTHER]),
        ("{nodeSelector: {a: b}}", "{nodeSelector: null}", &[OTHER]),
    ]);
}

#[test]
fn annotations_that_stay() {
    let mirror = "kubernetes.io/config.mirror";
    let armor = "container.apparmor.security.beta.kubernetes.io/web";
    let change = |before: Value, after: Value| {
        let mut old = stored(json!({"nodeName": "here"}));
        let mut new = old.clone();
        old["metadata"]["annotations"] = before;
        new["metadata"]["annotations"] = after;
        let old = Object::from_value(Kind::Pod, old).unwrap();
        let errors = admit_update(&old, object(new), &context())
            .err()
            .unwrap_or_default();
        errors.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let at =
        |key: &str, text: &str| format!("metadata.annotations[{key}]: Forbidden: may not {text}");
    let kept = "remove or update mirror pod annotation";
    assert_eq!(
        change(json!({}), json!({(mirror): ""})),
        [at(mirror, "add mirror pod annotation")]
    );
    assert_eq!(change(json!({(mirror): ""}), json!({})), [at(mirror, kept)]);
    assert_eq!(
        change(json!({(mirror): "a"}), json!({(mirror): "b"})),
        [at(mirror, kept)]
    );
    assert_eq!(
        change(json!({}), json!({(armor): "unconfined"})),
        [at(armor, "add AppArmor annotations")]
    );
    assert_eq!(
        change(
            json!({(armor): "unconfined"}),
            json!({(armor): "runtime/default"})
        ),
        [at(armor, "remove or update AppArmor annotations")]
    );
    assert_eq!(
        change(
            json!({(armor): "unconfined", "a": "b"}),
            json!({(armor): "unconfined", "a": "c"})
        ),
        [""; 0]
    );
}

#[test]
fn what_was_let_in_once_can_still_be_changed() {
    let mut old = stored(json!({"initContainers": [{"name": "i", "image": "x:1"}]}));
    old["spec"]["initContainers"][0]["resizePolicy"] =
        json!([{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]);
    let mut new = old.clone();
    new["spec"]["initContainers"][0]["image"] = json!("x:2");
    let old = Object::from_value(Kind::Pod, old).unwrap();
    assert!(admit_update(&old, object(new), &context()).is_ok());
}

/// Updates the good pod (bound to a node) by a merge patch of the whole object.
fn update(change: &Value) -> Result<Value, Vec<String>> {
    let mut old = created(pod(json!({"activeDeadlineSeconds": 100})));
    old["spec"]["nodeName"] = json!("here");
    old["status"]["phase"] = json!("Running");
    old["metadata"]["resourceVersion"] = json!("5");
    let mut new = old.clone();
    json_patch::merge(&mut new, change);
    let old = Object::from_value(Kind::Pod, old).unwrap();
    match admit_update(&old, object(new), &context()) {
        Ok((admitted, _)) => Ok(admitted.into_inner().to_value()),
        Err(errors) => Err(errors.iter().map(ToString::to_string).collect()),
    }
}

#[track_caller]
fn check_update(change: Value, expected: &[&str]) {
    assert_eq!(
        update(&change).map(|_| ()).err().unwrap_or_default(),
        expected
    );
}

#[test]
fn updates_of_a_pod() {
    let image = update(&json!({"spec": {"containers": [{"name": "web", "image": "nginx:2", "imagePullPolicy": "Always",
        "resources": {}, "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}]}}))
    .unwrap();
    assert_eq!(image["metadata"]["generation"], 2);
    assert_eq!(image["spec"]["containers"][0]["image"], "nginx:2");
    let labels = update(&json!({"metadata": {"labels": {"a": "b"}}, "status": {"phase": "Failed"}, "spec": {"nodeName": null}})).unwrap();
    assert_eq!(labels["metadata"]["generation"], 1);
    assert_eq!(labels["metadata"]["resourceVersion"], "5");
    assert_eq!(labels["status"]["phase"], "Running");
    assert_eq!(labels["spec"]["nodeName"], "here");
    check_update(json!({"spec": {"activeDeadlineSeconds": 50}}), &[]);
    check_update(
        json!({"spec": {"activeDeadlineSeconds": 200}}),
        &[
            "spec.activeDeadlineSeconds: Invalid value: 200: must be less than or equal to previous value",
        ],
    );
    check_update(
        json!({"spec": {"activeDeadlineSeconds": null}}),
        &[
            "spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value",
        ],
    );
    check_update(
        json!({"spec": {"containers": []}}),
        &[
            "spec.containers: Required value",
            "spec.containers: Forbidden: pod updates may not add or remove containers",
        ],
    );
    check_update(
        json!({"spec": {"restartPolicy": "Never", "hostname": "x"}}),
        &[
            "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,\
           `spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),\
           `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n\
           - spec.restartPolicy: \"Always\"\n+ spec.restartPolicy: \"Never\"\n+ spec.hostname: \"x\"\n",
        ],
    );
    check_update(
        json!({"spec": {"tolerations": [{"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}]}}),
        &[
            "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds",
        ],
    );
    check_update(
        json!({"metadata": {"uid": "other"}}),
        &["metadata.uid: Invalid value: \"other\": field is immutable"],
    );
}

#[test]
fn more_changes_of_a_pod() {
    let list = |image: &str| {
        json!({"containers": [{"name": "web", "image": image, "imagePullPolicy": "Always",
        "resources": {}, "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}]})
    };
    check_update(json!({ "spec": list("nginx:3") }), &[]);
    check_update(
        json!({ "spec": list("") }),
        &["spec.containers[0].image: Required value"],
    );
    check_update(
        json!({ "spec": list(" x") }),
        &[
            "spec.containers[0].image: Invalid value: \" x\": must not have leading or trailing whitespace",
        ],
    );
    check_update(
        json!({"spec": {"activeDeadlineSeconds": 0}}),
        &[
            "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
        ],
    );
    check_update(
        json!({"metadata": {"annotations": {"a": "b"}, "finalizers": ["example.com/x"]}}),
        &[],
    );
    check_update(
        json!({"metadata": {"name": "other"}}),
        &["metadata.name: Invalid value: \"other\": field is immutable"],
    );
    check_update(
        json!({"spec": {"schedulingGates": [{"name": "a"}]}}),
        &[
            "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'a'",
        ],
    );
}
