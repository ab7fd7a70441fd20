//! What probes do to a pod: kills, restarts, readiness, and what survives a restart of the engine.

use super::*;

const CHECK: &str = "check";

/// One container `a` with this kind of probe, which runs the command `check`.
fn probed(kind: &str, probe: Value) -> Value {
    let mut container = containers(&["a"]).remove(0);
    let mut probe = probe;
    probe["exec"] = json!({"command": [CHECK]});
    container[kind] = probe;
    json!({"containers": [container], "terminationGracePeriodSeconds": 7})
}

async fn messages(world: &World, reason: &str) -> Vec<String> {
    let events = world.events().await;
    let of = events.into_iter().filter(|(known, _)| known == reason);
    of.map(|(_, message)| message).collect()
}

fn restarts(pod: &Pod) -> i32 {
    status(pod, "a").restart_count
}

fn started(pod: &Pod) -> bool {
    status(pod, "a").started == Some(true)
}

#[tokio::test(start_paused = true)]
async fn three_failures_of_liveness_kill_and_restart() {
    let world = World::new().await;
    world
        .apply(probed(
            "livenessProbe",
            json!({"periodSeconds": 5, "initialDelaySeconds": 5}),
        ))
        .await;
    let pod = world.until("ready", ready).await;
    assert!(started(&pod));
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(restarts(&world.pod().unwrap()), 0);
    assert_eq!(messages(&world, "Unhealthy").await, Vec::<String>::new());

    world.fake.answer(CHECK, "cat: nope\n", 1, Duration::ZERO);
    let since = world.now();
    world
        .until("restarted", |pod| restarts(pod) == 1 && runs(pod, "a"))
        .await;
    let took = world.now() - since;
    assert!((10..=16).contains(&took), "{took}");
    let events = world.events().await;
    let told =
        |reason: &str, message: &str| events.contains(&(reason.to_owned(), message.to_owned()));
    assert!(
        told("Unhealthy", "Liveness probe failed: cat: nope\n"),
        "{events:?}"
    );
    assert!(told(
        "Killing",
        "Container a failed liveness probe, will be restarted"
    ));
    assert!(world.fake.calls().contains(&"stop a 7s".to_owned()));
    let (events, _) = world.store.list::<Event>(None);
    let unhealthy = events
        .iter()
        .find(|event| event.reason.as_deref() == Some("Unhealthy"));
    let unhealthy = unhealthy.unwrap();
    assert_eq!(unhealthy.count, Some(3));
    assert_eq!(
        unhealthy.involved_object.field_path.as_deref(),
        Some("spec.containers{a}")
    );

    // The next instance starts with a clean slate.
    world.fake.answer(CHECK, "", 0, Duration::ZERO);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(restarts(&world.pod().unwrap()), 1);
}

#[tokio::test(start_paused = true)]
async fn a_policy_of_never_kills_without_a_restart() {
    let world = World::new().await;
    world.fake.answer(CHECK, "", 1, Duration::ZERO);
    let mut spec = probed(
        "livenessProbe",
        json!({"periodSeconds": 1, "failureThreshold": 1, "terminationGracePeriodSeconds": 3}),
    );
    spec["restartPolicy"] = json!("Never");
    world.apply(spec).await;
    let pod = world.until("over", |pod| phase(pod) == "Failed").await;
    assert_eq!(restarts(&pod), 0);
    let killing = messages(&world, "Killing").await;
    assert_eq!(killing, ["Container a failed liveness probe"]);
    assert!(world.fake.calls().contains(&"stop a 3s".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn readiness_comes_and_goes() {
    let world = World::new().await;
    world.fake.answer(CHECK, "no", 1, Duration::ZERO);
    world
        .apply(probed(
            "readinessProbe",
            json!({"periodSeconds": 2, "successThreshold": 2, "failureThreshold": 2}),
        ))
        .await;
    let pod = world.until("running", |pod| runs(pod, "a")).await;
    assert!(!ready(&pod) && started(&pod));
    let conditions = pod.status.as_ref().unwrap().conditions.clone().unwrap();
    let condition = conditions
        .iter()
        .find(|one| one.type_ == "ContainersReady")
        .unwrap();
    assert_eq!(condition.reason.as_deref(), Some("ContainersNotReady"));
    assert_eq!(
        condition.message.as_deref(),
        Some("containers with unready status: [a]")
    );
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(!ready(&world.pod().unwrap()));
    world.fake.answer(CHECK, "", 0, Duration::ZERO);
    world.until("ready", ready).await;
    world.fake.answer(CHECK, "no", 1, Duration::ZERO);
    world.until("unready", |pod| !ready(pod)).await;
    assert_eq!(restarts(&world.pod().unwrap()), 0);
    assert_eq!(messages(&world, "Killing").await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_startup_probe_holds_the_others_back() {
    let world = World::new().await;
    world.fake.answer(CHECK, "", 1, Duration::ZERO);
    world.fake.answer("live", "dead", 1, Duration::ZERO);
    let mut spec = probed(
        "startupProbe",
        json!({"periodSeconds": 3, "failureThreshold": 30}),
    );
    spec["containers"][0]["livenessProbe"] =
        json!({"exec": {"command": ["live"]}, "failureThreshold": 1});
    spec["containers"][0]["readinessProbe"] = json!({"exec": {"command": ["true"]}});
    world.apply(spec).await;
    world.until("running", |pod| runs(pod, "a")).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let pod = world.pod().unwrap();
    assert!(!started(&pod) && !ready(&pod) && restarts(&pod) == 0);
    assert!(!world.fake.calls().contains(&"exec a live".to_owned()));

    world.fake.answer(CHECK, "", 0, Duration::ZERO);
    world
        .until("killed by liveness", |pod| restarts(pod) > 0)
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_startup_probe_that_never_succeeds_kills() {
    let world = World::new().await;
    world.fake.answer(CHECK, "", 1, Duration::ZERO);
    world
        .apply(probed(
            "startupProbe",
            json!({"periodSeconds": 2, "failureThreshold": 4}),
        ))
        .await;
    world.until("restarted", |pod| restarts(pod) == 1).await;
    let now = world.now();
    assert!((6..=8).contains(&now), "{now}");
    let killing = messages(&world, "Killing").await;
    assert_eq!(
        killing,
        ["Container a failed startup probe, will be restarted"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_command_that_takes_too_long_has_failed() {
    let world = World::new().await;
    world.fake.answer(CHECK, "", 0, Duration::from_secs(60));
    world
        .apply(probed(
            "livenessProbe",
            json!({"periodSeconds": 5, "timeoutSeconds": 2}),
        ))
        .await;
    world.until("restarted", |pod| restarts(pod) == 1).await;
    assert_eq!(
        messages(&world, "Unhealthy").await,
        ["Liveness probe failed: command timed out: \"check\" timed out after 2s"]
    );
}

#[tokio::test(start_paused = true)]
async fn readiness_survives_a_restart_of_the_engine() {
    let world = World::new().await;
    let spec = probed("readinessProbe", json!({"periodSeconds": 600}));
    world.apply(spec).await;
    world.until("ready", ready).await;
    let world = world.restart().await;
    // No attempt has been made yet, and none has failed.
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(ready(&world.pod().unwrap()));
    }
    world.fake.answer(CHECK, "", 1, Duration::ZERO);
    world.until("unready", |pod| !ready(pod)).await;
}

#[tokio::test(start_paused = true)]
async fn termination_ends_liveness_and_keeps_readiness() {
    let world = World::new().await;
    world.fake.script("a", &[Behaviour::Ignores]);
    let mut spec = probed(
        "livenessProbe",
        json!({"periodSeconds": 1, "failureThreshold": 1}),
    );
    spec["containers"][0]["readinessProbe"] =
        json!({"exec": {"command": ["ready"]}, "periodSeconds": 1, "failureThreshold": 1});
    world.apply(spec).await;
    world.until("ready", ready).await;
    world.delete(60).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    world.fake.answer(CHECK, "", 1, Duration::ZERO);
    assert!(ready(&world.pod().unwrap()));
    world.fake.answer("ready", "", 1, Duration::ZERO);
    let pod = world.until("unready", |pod| !ready(pod)).await;
    assert!(runs(&pod, "a") && restarts(&pod) == 0);
    world.until_gone().await;
    let unhealthy = messages(&world, "Unhealthy").await;
    assert_eq!(unhealthy, ["Readiness probe failed: "]);
}
