use super::super::fixtures::{Box, Was, observation};
use super::*;

fn spec(list: &[(&str, &str)]) -> PodSpec {
    let containers: Vec<_> = list
        .iter()
        .enumerate()
        .map(|(index, (cpu, memory))| {
            json!({
                "name": format!("c{index}"), "image": "x",
                "resources": {"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": cpu, "memory": memory}},
                "resizePolicy": [
                    {"resourceName": "cpu", "restartPolicy": "NotRequired"},
                    {"resourceName": "memory", "restartPolicy": "RestartContainer"},
                ],
            })
        })
        .collect();
    serde_json::from_value(json!({ "containers": containers })).unwrap()
}

const ROOM: Allocatable = Allocatable {
    cpu_milli: 4000,
    memory: 1 << 30,
    ephemeral_storage: 0,
};

#[track_caller]
fn check(given: (&str, &str), wanted: (&str, &str), other: (&str, &str), expected: Option<&str>) {
    let (given, wanted, other) = (spec(&[given]), spec(&[wanted]), spec(&[other]));
    let why = decide(&given, &wanted, &[other], ROOM).err();
    let why = why.map(|why| format!("{}: {}", why.reason, why.message));
    assert_eq!(why.as_deref(), expected);
}

#[test]
fn what_a_node_has_room_for() {
    let small = ("1", "128Mi");
    check(small, ("2", "256Mi"), small, None);
    check(
        small,
        ("5", "128Mi"),
        small,
        Some("Infeasible: Node didn't have enough capacity: cpu, requested: 5000, capacity: 4000"),
    );
    // Memory is looked at first.
    check(
        small,
        ("5", "2Gi"),
        small,
        Some(
            "Infeasible: Node didn't have enough capacity: memory, requested: 2147483648, capacity: 1073741824",
        ),
    );
    check(
        small,
        ("2", "128Mi"),
        ("3", "1Mi"),
        Some(
            "Deferred: Node didn't have enough resource: cpu, requested: 2000, used: 3000, capacity: 4000",
        ),
    );
    check(
        small,
        ("1", "512Mi"),
        ("1", "768Mi"),
        Some(
            "Deferred: Node didn't have enough resource: memory, requested: 536870912, used: 805306368, capacity: 1073741824",
        ),
    );
    // What shrinks needs no room, however full the node is.
    check(small, ("500m", "128Mi"), ("9", "9Gi"), None);
    check(("9", "9Gi"), ("8", "8Gi"), ("9", "9Gi"), None);
}

/// The one container of `wanted` as it runs with the limits of `actual`.
fn running(actual: &PodSpec) -> PodObservation {
    let mut seen = observation(Box::Ready, &[("c0", &[Was::Running])]);
    let mut instance = seen.instances.newest("c0").unwrap().clone();
    instance.limits = Some(container_limits(actual, &actual.containers[0]));
    seen.instances.put("c0".to_owned(), instance);
    seen.sandbox.as_mut().unwrap().limits = Some(wanted_of_pod(actual));
    seen
}

#[track_caller]
fn check_effect(actual: (&str, &str), wanted: (&str, &str), restart: bool, expected: [&str; 3]) {
    let (actual, wanted) = (spec(&[actual]), spec(&[wanted]));
    let seen = running(&actual);
    let instance = seen.instances.newest("c0").unwrap();
    let container = &wanted.containers[0];
    assert_eq!(is_behind(&wanted, &seen), actual != wanted);
    assert_eq!(needs_restart(&wanted, container, instance), restart);
    let told = in_effect(&wanted, container, Some(instance)).unwrap();
    let (requests, limits) = (told.requests.unwrap(), told.limits.unwrap());
    let told = [&requests["cpu"].0, &limits["cpu"].0, &limits["memory"].0];
    assert_eq!(told, expected);
}

#[test]
fn what_is_in_effect() {
    let base = ("500m", "64Mi");
    check_effect(base, base, false, ["500m", "500m", "64Mi"]);
    check_effect(base, ("1", "64Mi"), false, ["500m", "500m", "64Mi"]);
    check_effect(base, ("500m", "128Mi"), true, ["500m", "500m", "64Mi"]);
    check_effect(("100m", "64Mi"), base, false, ["100m", "100m", "64Mi"]);
}

#[test]
fn one_resource_at_a_time_and_room_for_both() {
    let (small, large) = (spec(&[("500m", "64Mi")]), spec(&[("1", "32Mi")]));
    let (small, large) = (wanted_of_pod(&small), wanted_of_pod(&large));
    let room = looser(&small, &large);
    assert_eq!(room.memory_limit, small.memory_limit);
    assert_eq!(room.cpu_quota, large.cpu_quota);
    let step = Part::Memory.taken(&small, &large);
    assert_eq!(step.memory_limit, large.memory_limit);
    assert_eq!(step.cpu_quota, small.cpu_quota);
    assert!(!Part::Memory.differs(&step, &large) && Part::Cpu.differs(&step, &large));
    // No limit on one side: the limit of the moment stays until the end.
    let none = ResourceLimits::default();
    assert_eq!(looser(&small, &none).memory_limit, None);
}

#[test]
fn a_resize_that_waits_is_not_in_effect() {
    let wanted = spec(&[("2", "64Mi")]);
    let told = spec(&[("1", "64Mi")]).containers[0].resources.clone();
    let pod = |conditions: serde_json::Value, observed: i64| -> Pod {
        let status = json!({
            "conditions": conditions, "observedGeneration": observed,
            "containerStatuses": [{
                "name": "c0", "image": "x", "imageID": "", "ready": true, "restartCount": 0, "resources": told,
            }],
        });
        let pod = json!({"metadata": {"generation": 2}, "spec": wanted, "status": status});
        serde_json::from_value(pod).unwrap()
    };
    let cpu = |pod: &Pod| pod_requests(allocated(pod).spec.as_ref().unwrap())["cpu"].to_string();
    assert_eq!(cpu(&pod(json!([]), 2)), "2");
    assert_eq!(cpu(&pod(json!([]), 1)), "1");
    let pending = json!([{"type": RESIZE_PENDING, "status": "True"}]);
    assert_eq!(cpu(&pod(pending, 2)), "1");
}

#[test]
fn events_carry_what_was_asked_for() {
    let text = details(&spec(&[("1", "64Mi")]), Some(3), Some("no"));
    assert_eq!(
        text,
        "{\"containers\":[{\"name\":\"c0\",\"resources\":{\"limits\":{\"cpu\":\"1\",\"memory\":\"64Mi\"},\"requests\":{\"cpu\":\"1\",\"memory\":\"64Mi\"}}}],\"generation\":3,\"error\":\"no\"}"
    );
}

/// A pod that has so many thousandths of a CPU, wants others and waits for them since then.
fn waiting(name: &str, priority: i32, (has, wants): (u32, u32), since: Option<i64>) -> Arc<Pod> {
    let one = |cpu: u32| json!({"requests": {"cpu": format!("{cpu}m")}});
    let pending = since.map(|second| {
        json!([{"type": RESIZE_PENDING, "status": "True", "reason": "Deferred",
            "lastTransitionTime": Timestamp::from_second(second).unwrap().to_string()}])
    });
    let value = json!({
        "metadata": {"name": name, "uid": name, "generation": 2},
        "spec": {"priority": priority, "nodeName": "n", "containers": [{"name": "c", "resources": one(wants)}]},
        "status": {"observedGeneration": 2, "conditions": pending, "containerStatuses": [
            {"name": "c", "ready": true, "restartCount": 0, "image": "", "imageID": "", "resources": one(has)}]},
    });
    Arc::new(serde_json::from_value(value).unwrap())
}

/// What the others have when it is this pod's turn, in thousandths of the four CPUs.
#[track_caller]
fn check_turn(own: &Arc<Pod>, has: u32, others: &[Arc<Pod>], expected: &[i64]) {
    let given = waiting("own", 0, (has, has), None);
    let given = given.spec.as_ref().unwrap();
    let all: Vec<Arc<Pod>> = others.iter().chain([own]).cloned().collect();
    let found = others_first(&all, own, given, ROOM);
    let cpus = found
        .iter()
        .map(|spec| pod_requests(spec)["cpu"].milli_value());
    assert_eq!(cpus.collect::<Vec<_>>(), expected);
}

#[test]
fn the_most_important_resize_is_taken_on_first() {
    let own = waiting("own", 5, (1000, 2000), Some(10));
    let others = |list: &[Arc<Pod>], expected: &[i64]| check_turn(&own, 1000, list, expected);
    let high = |wants| waiting("high", 9, (500, wants), Some(20));
    others(&[high(1500)], &[1500]);
    // What does not fit is not waited for.
    others(&[high(3500)], &[500]);
    others(&[waiting("low", 1, (500, 1500), Some(1))], &[500]);
    // Of equals the one that waits longer.
    others(&[waiting("old", 5, (500, 1500), Some(5))], &[1500]);
    others(&[waiting("new", 5, (500, 1500), Some(15))], &[500]);
    // What asks for less comes before all; what is not asked for is not done.
    others(&[waiting("less", 0, (500, 100), Some(90))], &[100]);
    others(&[waiting("idle", 9, (500, 500), None)], &[500]);
    // One after the other, while there is room.
    let second = waiting("second", 8, (500, 1500), Some(1));
    others(&[second.clone(), high(2400)], &[500, 2400]);
    others(&[second, high(1400)], &[1500, 1400]);
}
