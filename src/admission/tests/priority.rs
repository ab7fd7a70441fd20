//! Classes and the priorities of pods: Kubernetes' own tables (`pkg/apis/scheduling/validation`,
//! `plugin/pkg/admission/priority`), derived from the rules.

use std::sync::Arc;

use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::api::scheduling::v1::PriorityClass;

use super::rules::SUBDOMAIN;
use super::*;
use crate::admission::{refuse_default, use_priority};

fn class(name: &str, change: Value) -> Value {
    let mut class = json!({
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
        "metadata": {"name": name}, "value": 100,
    });
    json_patch::merge(&mut class, &change);
    class
}

#[test]
fn classes() {
    let node = "system-node-critical";
    check(class("tier1", json!({})), &[]);
    check(
        class(
            "tier1",
            json!({"value": 200, "description": "For the best."}),
        ),
        &[],
    );
    check(class("tier1", json!({"value": -2_147_483_648_i64})), &[]);
    check(class("tier1", json!({"value": 1_000_000_000})), &[]);
    check(class(node, json!({"value": 2_000_001_000})), &[]);
    check(
        class("tier1", json!({"metadata": {"namespace": "foo"}})),
        &["metadata.namespace: Forbidden: not allowed on this type"],
    );
    check(
        class("tier&1", json!({})),
        &[&format!(
            "metadata.name: Invalid value: \"tier&1\": {SUBDOMAIN}"
        )],
    );
    let reserved = "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error:";
    check(
        class(node, json!({"value": 0})),
        &[&format!(
            "{reserved} value of system-node-critical PriorityClass must be 2000001000"
        )],
    );
    check(
        class(node, json!({"value": 2_000_001_000, "globalDefault": true})),
        &[&format!(
            "{reserved} globalDefault of system-node-critical PriorityClass must be false"
        )],
    );
    check(
        class("system-something", json!({"value": 2_000_001_000})),
        &[&format!(
            "{reserved} system-something is not a known system priority class"
        )],
    );
    check(
        class(
            "tier1",
            json!({"value": 1_000_000_001, "preemptionPolicy": "Maybe"}),
        ),
        &[
            "value: Forbidden: maximum allowed value of a user defined priority is 1000000000",
            "preemptionPolicy: Unsupported value: \"Maybe\": supported values: \"PreemptLowerPriority\", \"Never\"",
        ],
    );
}

#[test]
fn a_class_has_defaults() {
    let made = created(class("tier1", json!({"value": null})));
    assert_eq!(made["value"], 0);
    assert_eq!(made["preemptionPolicy"], "PreemptLowerPriority");
    assert_eq!(made["metadata"]["generation"], 1);
}

#[test]
fn changes_of_a_class() {
    let (old, _) = create(class("tier1", json!({"preemptionPolicy": "Never"}))).unwrap();
    let old = old.into_inner();
    let change = |change: Value| {
        let mut new = old.to_value();
        json_patch::merge(&mut new, &change);
        match admit_update(&old, object(new), &context()) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.iter().map(ToString::to_string).collect(),
        }
    };
    let none: Vec<String> = Vec::new();
    assert_eq!(change(json!({})), none);
    assert_eq!(change(json!({"description": "another"})), none);
    assert_eq!(change(json!({"globalDefault": true})), none);
    for value in [json!(101), Value::Null] {
        let expected = ["value: Forbidden: may not be changed in an update."];
        assert_eq!(change(json!({ "value": value })), expected);
    }
    assert_eq!(
        change(json!({"preemptionPolicy": "PreemptLowerPriority"})),
        ["preemptionPolicy: Invalid value: \"PreemptLowerPriority\": field is immutable"]
    );
}

/// Name, value, whether it is the default, and its policy.
type Class = (&'static str, i32, bool, &'static str);

const DEFAULT1: Class = ("default1", 1000, true, "");
const DEFAULT2: Class = ("default2", 2000, true, "");
const PLAIN: Class = ("nondefault1", 2000, false, "");
const SYSTEM: Class = ("system-cluster-critical", 2_000_000_000, true, "");
const MEEK: Class = ("meek", 2000, true, "Never");
const BOLD: Class = ("bold", 2000, true, "PreemptLowerPriority");

fn made((name, value, is_default, policy): Class) -> Arc<PriorityClass> {
    let mut class = PriorityClass {
        value: Some(value),
        global_default: Some(is_default),
        preemption_policy: (!policy.is_empty()).then(|| policy.to_owned()),
        ..PriorityClass::default()
    };
    class.metadata.name = Some(name.to_owned());
    Arc::new(class)
}

/// `expected` is the class, the priority and the policy that the pod has then, or why it is refused.
#[track_caller]
fn check_pod(classes: &[Class], spec: Value, expected: Result<(&str, i32, &str), &str>) {
    let classes: Vec<_> = classes.iter().copied().map(made).collect();
    let Object::Pod(pod) = object(pod(spec)) else {
        panic!("a pod was made")
    };
    let mut pod = Arc::unwrap_or_clone(pod);
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let of = |spec: &PodSpec| {
        let class = text(&spec.priority_class_name);
        (class, spec.priority.unwrap(), text(&spec.preemption_policy))
    };
    let found = use_priority(&mut pod, &classes).map(|()| of(pod.spec.as_ref().unwrap()));
    let expected = expected
        .map(|(class, priority, policy)| (class.to_owned(), priority, policy.to_owned()))
        .map_err(str::to_owned);
    assert_eq!(found, expected);
}

#[test]
fn what_a_class_means_for_a_pod() {
    const LOWER: &str = "PreemptLowerPriority";
    let named = |name: &str| json!({ "priorityClassName": name });
    check_pod(
        &[DEFAULT1, PLAIN],
        named("default1"),
        Ok(("default1", 1000, LOWER)),
    );
    check_pod(&[DEFAULT1], json!({}), Ok(("default1", 1000, LOWER)));
    check_pod(&[], json!({}), Ok(("", 0, LOWER)));
    check_pod(&[PLAIN], json!({}), Ok(("", 0, LOWER)));
    let critical = Ok(("system-cluster-critical", 2_000_000_000, LOWER));
    check_pod(&[SYSTEM], named("system-cluster-critical"), critical);
    let unknown = Err("no PriorityClass with name non-existing was found");
    check_pod(&[DEFAULT1, PLAIN], named("non-existing"), unknown);
    // The least of several defaults, which a race can leave.
    check_pod(
        &[DEFAULT2, DEFAULT1],
        json!({}),
        Ok(("default1", 1000, LOWER)),
    );
    // A number that is the right one may be said.
    check_pod(&[PLAIN], json!({"priority": 0}), Ok(("", 0, LOWER)));
    check_pod(
        &[DEFAULT2],
        json!({"priority": 2000}),
        Ok(("default2", 2000, LOWER)),
    );
    let both = json!({"priorityClassName": "system-cluster-critical", "priority": 2_000_000_000});
    check_pod(&[SYSTEM], both, critical);
    let wrong = "the integer value of priority (1000) must not be provided in pod spec; priority admission controller computed 0 from \
                 the given PriorityClass name";
    check_pod(&[], json!({"priority": 1000}), Err(wrong));
    let wrong = "the integer value of priority (5) must not be provided in pod spec; priority admission controller computed 1000 from \
                 the given PriorityClass name";
    let own = json!({"priority": 5, "priorityClassName": "default1"});
    check_pod(&[DEFAULT1], own, Err(wrong));
    // So may a policy.
    check_pod(
        &[MEEK],
        json!({"priority": 2000}),
        Ok(("meek", 2000, "Never")),
    );
    check_pod(
        &[BOLD],
        json!({"preemptionPolicy": LOWER}),
        Ok(("bold", 2000, LOWER)),
    );
    let wrong = "the string value of PreemptionPolicy (Never) must not be provided in pod spec; priority admission controller computed \
                 PreemptLowerPriority from the given PriorityClass name";
    check_pod(&[BOLD], json!({"preemptionPolicy": "Never"}), Err(wrong));
    check_pod(&[], json!({"preemptionPolicy": "Never"}), Err(wrong));
}

#[test]
fn one_class_is_the_default() {
    let refused = |class: Class, classes: &[Class]| {
        let classes: Vec<_> = classes.iter().copied().map(made).collect();
        refuse_default(&made(class), &classes)
    };
    assert_eq!(refused(DEFAULT1, &[]), None);
    assert_eq!(refused(PLAIN, &[DEFAULT1]), None);
    assert_eq!(refused(DEFAULT1, &[DEFAULT1, PLAIN]), None);
    assert_eq!(
        refused(DEFAULT2, &[DEFAULT1]).unwrap(),
        "PriorityClass default1 is already marked as default. Only one default can exist"
    );
}

#[test]
fn a_pod_keeps_its_priority() {
    let mut value =
        pod(json!({"priorityClassName": "gone", "priority": 7, "preemptionPolicy": "Never"}));
    let (old, _) = create(value.clone()).unwrap();
    let old = old.into_inner();
    let spec = value["spec"].as_object_mut().unwrap();
    spec.remove("priority");
    spec.remove("preemptionPolicy");
    let (new, _) = admit_update(&old, object(value.clone()), &context()).unwrap();
    assert_eq!(new.get().to_value()["spec"], old.to_value()["spec"]);
    value["spec"]["priority"] = json!(8);
    let errors = admit_update(&old, object(value), &context()).unwrap_err();
    assert!(
        errors[0].to_string().contains("+ spec.priority: 8"),
        "{errors:?}"
    );
}
