use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Writer, after_update, apply};
use crate::model::applied::LAST_APPLIED;
use crate::model::{ApiError, Cause, Kind, Reason, Subresource};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

const fn writer(manager: &str, second: i64) -> Writer<'_> {
    Writer {
        manager,
        part: None,
        now: Timestamp::constant(second, 0),
    }
}

fn config_map(data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "n"}, "data": data})
}

fn pod(containers: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n"},
        "spec": {"containers": containers},
    })
}

/// Manager and operation of all entries, with their fields.
fn managers(object: &Value) -> Vec<(String, Value)> {
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap().to_owned();
    entries
        .iter()
        .map(|entry| {
            let who = format!("{} {}", text(entry, "manager"), text(entry, "operation"));
            (who, entry["fieldsV1"].clone())
        })
        .collect()
}

fn applied(kind: Kind, live: Option<&Value>, manifest: &Value, who: &str, second: i64) -> Value {
    apply(kind, live, manifest, &writer(who, second), false).unwrap()
}

#[track_caller]
fn check_refused(
    kind: Kind,
    live: &Value,
    manifest: &Value,
    who: &str,
    expected: &str,
) -> ApiError {
    let error = apply(kind, Some(live), manifest, &writer(who, 9), false).unwrap_err();
    assert_eq!(error.message, expected);
    error
}

#[test]
fn a_new_object_belongs_to_its_applier() {
    let manifest = config_map(&json!({"a": "1", "b": "2"}));
    let made = applied(Kind::ConfigMap, None, &manifest, "one", 1);
    assert_eq!(made["data"], json!({"a": "1", "b": "2"}));
    assert_eq!(
        made["metadata"]["managedFields"],
        json!([{
            "manager": "one", "operation": "Apply", "apiVersion": "v1", "time": "1970-01-01T00:00:01Z",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:a": {}, "f:b": {}}},
        }])
    );
    // The same again changes nothing, not even the time.
    let again = applied(Kind::ConfigMap, Some(&made), &manifest, "one", 5);
    assert_eq!(again, made);
}

#[test]
fn what_is_not_applied_any_more_goes_unless_others_have_it() {
    let both = config_map(&json!({"a": "1", "b": "2"}));
    let live = applied(Kind::ConfigMap, None, &both, "one", 1);
    let shared = applied(
        Kind::ConfigMap,
        Some(&live),
        &config_map(&json!({"b": "2", "c": "3"})),
        "two",
        2,
    );
    assert_eq!(shared["data"], json!({"a": "1", "b": "2", "c": "3"}));
    let less = applied(
        Kind::ConfigMap,
        Some(&shared),
        &config_map(&json!({})),
        "one",
        3,
    );
    assert_eq!(less["data"], json!({"b": "2", "c": "3"}));
    assert_eq!(
        managers(&less),
        [
            (
                "two Apply".to_owned(),
                json!({"f:data": {"f:b": {}, "f:c": {}}})
            ),
            ("one Apply".to_owned(), json!({"f:data": {}})),
        ]
    );
}

#[test]
fn conflicts_are_told_in_the_words_of_the_api() {
    let live = applied(
        Kind::ConfigMap,
        None,
        &config_map(&json!({"a": "1", "b": "2"})),
        "one",
        1,
    );
    let other = config_map(&json!({"a": "9"}));
    let error = check_refused(
        Kind::ConfigMap,
        &live,
        &other,
        "two",
        "Apply failed with 1 conflict: conflict with \"one\": .data.a",
    );
    assert_eq!(error.reason, Reason::Conflict);
    let cause = Cause {
        reason: "FieldManagerConflict".to_owned(),
        message: "conflict with \"one\"".to_owned(),
        field: ".data.a".to_owned(),
    };
    assert_eq!(error.causes, [cause]);
    check_refused(
        Kind::ConfigMap,
        &live,
        &config_map(&json!({"a": "9", "b": "9"})),
        "two",
        "Apply failed with 2 conflicts: conflicts with \"one\":\n- .data.a\n- .data.b",
    );
    let forced = apply(
        Kind::ConfigMap,
        Some(&live),
        &other,
        &writer("two", 2),
        true,
    )
    .unwrap();
    assert_eq!(forced["data"], json!({"a": "9", "b": "2"}));
    assert_eq!(
        managers(&forced),
        [
            ("one Apply".to_owned(), json!({"f:data": {"f:b": {}}})),
            ("two Apply".to_owned(), json!({"f:data": {"f:a": {}}})),
        ]
    );
}

#[test]
fn an_object_without_managers_belongs_to_nobody_yet() {
    let live = config_map(&json!({"a": "1"}));
    assert_eq!(
        after_update(
            Kind::ConfigMap,
            &live,
            &config_map(&json!({"a": "2"})),
            &writer("x", 1)
        ),
        None
    );
    check_refused(
        Kind::ConfigMap,
        &live,
        &config_map(&json!({"a": "2"})),
        "one",
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.a",
    );
    let same = applied(Kind::ConfigMap, Some(&live), &live, "one", 1);
    assert_eq!(
        managers(&same),
        [
            ("one Apply".to_owned(), json!({"f:data": {"f:a": {}}})),
            (
                "before-first-apply Update".to_owned(),
                json!({"f:data": {".": {}, "f:a": {}}})
            ),
        ]
    );
}

#[test]
fn kubectl_takes_over_what_its_client_side_applied() {
    let mut live = config_map(&json!({"a": "1", "b": "2"}));
    let last = config_map(&json!({"a": "1"})).to_string();
    live["metadata"]["annotations"] = json!({LAST_APPLIED: last});
    let wanted = config_map(&json!({"a": "5"}));
    check_refused(
        Kind::ConfigMap,
        &live,
        &wanted,
        "other",
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.a",
    );
    let taken = applied(Kind::ConfigMap, Some(&live), &wanted, "kubectl", 1);
    assert_eq!(taken["data"], json!({"a": "5", "b": "2"}));
    let annotation = taken["metadata"]["annotations"][LAST_APPLIED]
        .as_str()
        .unwrap();
    assert!(annotation.contains("\"a\":\"5\""), "{annotation}");
    // Somebody else changed it since.
    live["data"]["a"] = json!("3");
    check_refused(
        Kind::ConfigMap,
        &live,
        &wanted,
        "kubectl",
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.a",
    );
}

#[test]
fn other_writes_take_what_they_change() {
    let live = applied(
        Kind::ConfigMap,
        None,
        &config_map(&json!({"a": "1", "b": "2", "c": "3"})),
        "one",
        1,
    );
    let mut changed = live.clone();
    changed["data"] = json!({"a": "9", "b": "2", "d": "4"});
    let written = after_update(Kind::ConfigMap, &live, &changed, &writer("edit", 2)).unwrap();
    changed["metadata"]["managedFields"] = written;
    assert_eq!(
        managers(&changed),
        [
            ("one Apply".to_owned(), json!({"f:data": {"f:b": {}}})),
            (
                "edit Update".to_owned(),
                json!({"f:data": {"f:a": {}, "f:d": {}}})
            ),
        ]
    );
    check_refused(
        Kind::ConfigMap,
        &changed,
        &config_map(&json!({"a": "1", "b": "2"})),
        "one",
        "Apply failed with 1 conflict: conflict with \"edit\" using v1: .data.a",
    );
    // Nothing changed: nobody's time does.
    let same = after_update(Kind::ConfigMap, &changed, &changed, &writer("edit", 7)).unwrap();
    assert_eq!(same, changed["metadata"]["managedFields"]);
    let mut reset = changed.clone();
    reset["metadata"]["managedFields"] = json!([{}]);
    let none = after_update(Kind::ConfigMap, &changed, &reset, &writer("edit", 7));
    assert_eq!(none, Some(json!([])));
}

#[test]
fn lists_are_merged_by_their_keys() {
    let live = pod(&json!([
        {"name": "a", "image": "i:1", "terminationMessagePath": "/dev/termination-log",
            "ports": [{"containerPort": 80, "protocol": "TCP"}],
            "env": [{"name": "A", "value": "1"}]},
        {"name": "sidecar", "image": "s"},
    ]));
    let mut live = live;
    live["metadata"]["managedFields"] = json!([{
        "manager": "one", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {".": {}, "f:name": {}, "f:image": {},
            "f:env": {"k:{\"name\":\"A\"}": {".": {}, "f:name": {}, "f:value": {}}}}}}},
    }]);
    let wanted = pod(&json!([
        {"name": "a", "image": "i:2", "env": [{"name": "B", "value": "2"}], "command": ["x", "y"],
            "ports": [{"containerPort": 80, "name": "web"}, {"containerPort": 80, "protocol": "UDP"}]},
    ]));
    let merged = applied(Kind::Pod, Some(&live), &wanted, "one", 2);
    assert_eq!(
        merged["spec"]["containers"],
        json!([
            {"name": "a", "image": "i:2", "terminationMessagePath": "/dev/termination-log",
                "ports": [{"containerPort": 80, "protocol": "TCP", "name": "web"}, {"containerPort": 80, "protocol": "UDP"}],
                "env": [{"name": "B", "value": "2"}], "command": ["x", "y"]},
            {"name": "sidecar", "image": "s"},
        ])
    );
    let (_, fields) = &managers(&merged)[0];
    let container = &fields["f:spec"]["f:containers"]["k:{\"name\":\"a\"}"];
    // A list without keys is one field.
    assert_eq!(container["f:command"], json!({}));
    let port = "k:{\"containerPort\":80,\"protocol\":\"UDP\"}";
    assert_eq!(
        container["f:ports"][port],
        json!({".": {}, "f:containerPort": {}, "f:protocol": {}})
    );
    check_refused(
        Kind::Pod,
        &merged,
        &pod(&json!([{"name": "a", "image": "i:3"}])),
        "two",
        "Apply failed with 1 conflict: conflict with \"one\": .spec.containers[name=\"a\"].image",
    );
    check_refused(
        Kind::Pod,
        &merged,
        &pod(&json!([{"image": "i:3"}])),
        "one",
        "failed to create typed patch object (n/p; v1, Kind=Pod): .spec.containers: element 0: associative list with \
         keys has an element that omits key field \"name\" (and doesn't have default value)",
    );
    check_refused(
        Kind::Pod,
        &merged,
        &pod(&json!([{"name": "a"}, {"name": "a"}])),
        "one",
        "failed to create typed patch object (n/p; v1, Kind=Pod): .spec.containers: duplicate entries for key [name=\"a\"]",
    );
}

#[test]
fn the_order_is_that_of_the_applier() {
    let live = pod(&json!([{"name": "a"}, {"name": "x"}, {"name": "b"}, {"name": "c"}]));
    let wanted = pod(&json!([{"name": "c"}, {"name": "n"}, {"name": "a"}, {"name": "b"}]));
    let merged = applied(Kind::Pod, Some(&live), &wanted, "one", 1);
    let names: Vec<&str> = merged["spec"]["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|container| container["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["c", "n", "a", "x", "b"]);
}

#[test]
fn identity_and_status_are_nobodys() {
    let mut manifest = pod(&json!([{"name": "a", "image": "i"}]));
    manifest["metadata"]["creationTimestamp"] = Value::Null;
    manifest["metadata"]["uid"] = json!("u");
    manifest["metadata"]["labels"] = json!({"l": "1"});
    manifest["status"] = json!({"phase": "Failed"});
    let made = applied(Kind::Pod, None, &manifest, "one", 1);
    assert!(made.get("status").is_none());
    let (_, fields) = &managers(&made)[0];
    assert_eq!(fields["f:metadata"], json!({"f:labels": {"f:l": {}}}));
    assert!(fields.get("f:status").is_none());
    let status = Writer {
        part: Some(Subresource::Status),
        ..writer("gate", 2)
    };
    manifest["metadata"].as_object_mut().unwrap().remove("uid");
    manifest["status"] = json!({"conditions": [{"type": "x/y", "status": "True"}]});
    let told = apply(Kind::Pod, Some(&made), &manifest, &status, false).unwrap();
    let entry = &told["metadata"]["managedFields"][1];
    assert_eq!(entry["subresource"], "status");
    assert_eq!(
        entry["fieldsV1"],
        json!({"f:status": {"f:conditions": {"k:{\"type\":\"x/y\"}": {".": {}, "f:type": {}, "f:status": {}}}}})
    );
}

#[test]
fn managers_brought_along_are_refused_and_too_many_become_one() {
    let mut manifest = config_map(&json!({"a": "1"}));
    manifest["metadata"]["managedFields"] = json!([{"manager": "x"}]);
    let refused = apply(Kind::ConfigMap, None, &manifest, &writer("one", 1), false);
    assert_eq!(
        refused.unwrap_err().message,
        "metadata.managedFields must be nil"
    );
    let mut live = applied(
        Kind::ConfigMap,
        None,
        &config_map(&json!({"a": "0"})),
        "one",
        1,
    );
    for number in 0_i64..12 {
        let mut next = live.clone();
        next["data"][format!("k{number}")] = json!("v");
        let name = format!("m{number}");
        let writer = writer(&name, 10 + number);
        let managed = after_update(Kind::ConfigMap, &live, &next, &writer).unwrap();
        next["metadata"]["managedFields"] = managed;
        live = next;
    }
    let names: Vec<String> = managers(&live).into_iter().map(|(who, _)| who).collect();
    assert_eq!(names.len(), 11, "{names:?}");
    assert_eq!(names[1], "ancient-changes Update");
    assert_eq!(names[10], "m11 Update");
    let fields = &managers(&live)[1].1["f:data"];
    assert_eq!(*fields, json!({"f:k0": {}, "f:k1": {}, "f:k2": {}}));
    assert_eq!(at(11), writer("x", 11).now);
}
