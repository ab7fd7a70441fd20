//! Pods that wait for a place on the node, and those that are turned away.

use super::*;
use k8s_openapi::api::core::v1::Node;

fn asking(cpu: &str) -> Value {
    let mut container = containers(&["a"]).remove(0);
    container["resources"] = json!({"requests": {"cpu": cpu}});
    json!({"containers": [container], "terminationGracePeriodSeconds": 1})
}

fn scheduled(pod: &Pod) -> Option<(String, String)> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let condition = conditions.iter().find(|one| one.type_ == "PodScheduled")?;
    let reason = condition.reason.clone().unwrap_or_default();
    Some((condition.status.clone(), reason))
}

fn says(pod: &Pod, status: &str, reason: &str) -> bool {
    scheduled(pod) == Some((status.to_owned(), reason.to_owned()))
}

fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

#[tokio::test(start_paused = true)]
async fn a_pod_waits_for_the_labels_it_wants() {
    let world = World::new().await;
    let mut spec = asking("10m");
    spec["nodeSelector"] = json!({"disk": "ssd"});
    world.apply(spec).await;
    let pod = world
        .until("waits", |pod| says(pod, "False", "Unschedulable"))
        .await;
    let status = pod.status.as_ref().unwrap();
    assert_eq!((phase(&pod), node_of(&pod)), ("Pending", None));
    assert!(status.container_statuses.is_none() && status.start_time.is_none());
    assert_eq!(world.reasons().await, ["FailedScheduling"]);
    let (nodes, _) = world.store.list::<Node>(None);
    let mut node = Node::clone(&nodes[0]);
    let labels = node.metadata.labels.get_or_insert_default();
    labels.insert("disk".to_owned(), "ssd".to_owned());
    let node = Object::Node(Arc::new(node));
    world.spec.update(Admitted::for_test(node)).await.unwrap();
    let before = world.now();
    let pod = world.until("runs", |pod| runs(pod, "a")).await;
    assert!(world.now() - before < 5, "the change of the node wakes it");
    assert!(says(&pod, "True", "") && node_of(&pod).is_some());
    // It keeps its place, and the node its label, when the next engine starts.
    let world = world.restart().await;
    let (nodes, _) = world.store.list::<Node>(None);
    assert_eq!(nodes[0].metadata.labels.as_ref().unwrap()["disk"], "ssd");
    let again = world.until("runs on", |pod| runs(pod, "a")).await;
    assert_eq!(status_time(&again), status_time(&pod));
    world.engine.shut_down(true).await;
}

fn status_time(pod: &Pod) -> Option<Timestamp> {
    Some(pod.status.as_ref()?.start_time.as_ref()?.0)
}

#[tokio::test(start_paused = true)]
async fn gates_and_foreign_schedulers_hold_a_pod() {
    let world = World::new().await;
    let mut spec = asking("10m");
    spec["schedulingGates"] = json!([{"name": "a"}, {"name": "b"}]);
    spec["schedulerName"] = json!("mine");
    world.apply(spec).await;
    let pod = world
        .until("is gated", |pod| says(pod, "False", "SchedulingGated"))
        .await;
    let update = |pod: &Pod, change: fn(&mut k8s_openapi::api::core::v1::PodSpec)| {
        let mut pod = pod.clone();
        change(pod.spec.as_mut().unwrap());
        Object::Pod(Arc::new(pod))
    };
    let open = update(&pod, |spec| spec.scheduling_gates = None);
    world.spec.update(Admitted::for_test(open)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(400)).await;
    let pod = world.pod().unwrap();
    assert_eq!((phase(&pod), node_of(&pod)), ("Pending", None));
    // Somebody else has bound it.
    let (nodes, _) = world.store.list::<Node>(None);
    let mut bound = Pod::clone(&pod);
    bound.spec.as_mut().unwrap().node_name = nodes[0].metadata.name.clone();
    let bound = Object::Pod(Arc::new(bound));
    world.spec.update(Admitted::for_test(bound)).await.unwrap();
    world.until("runs", |pod| runs(pod, "a")).await;
    assert!(!world.reasons().await.contains(&"Scheduled".to_owned()));
    world.engine.shut_down(true).await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_names_the_node_is_turned_away_there() {
    let world = World::new().await;
    let (nodes, _) = world.store.list::<Node>(None);
    let mut spec = asking("100000");
    spec["nodeName"] = json!(nodes[0].metadata.name);
    world.apply(spec).await;
    let pod = world.until("fails", |pod| phase(pod) == "Failed").await;
    let status = pod.status.clone().unwrap();
    assert_eq!(status.reason.as_deref(), Some("OutOfcpu"));
    let message = status.message.unwrap();
    assert!(
        message.starts_with("Pod was rejected: Node didn't have enough resource: cpu, requested: 100000000, used: 0, capacity: "),
        "{message}"
    );
    assert!(status.container_statuses.is_none());
    assert_eq!(world.reasons().await, ["OutOfcpu"]);
    world.delete(0).await;
    world.until_gone().await;
    assert!(world.leftovers().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_pod_of_another_node_is_left_alone() {
    let world = World::new().await;
    let mut spec = asking("1m");
    spec["nodeName"] = json!("elsewhere");
    world.apply(spec).await;
    tokio::time::sleep(Duration::from_secs(400)).await;
    let pod = world.pod().unwrap();
    assert!(
        pod.status
            .as_ref()
            .is_none_or(|status| status.container_statuses.is_none())
    );
    world.delete(0).await;
    world.until_gone().await;
}

/// A pod that wants to be with others waits for them, and one that wants to be alone until they are gone.
#[tokio::test(start_paused = true)]
async fn company_is_waited_for() {
    let world = World::new().await;
    let term = json!({"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "web"}}});
    let wanted =
        |kind: &str| json!({kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}});
    let mut spec = asking("10m");
    spec["affinity"] = wanted("podAffinity");
    world.apply(spec).await;
    let unfit = |pod: &Pod| says(pod, "False", "Unschedulable");
    world.until("waits", unfit).await;
    let events = world.events().await;
    assert_eq!(
        events.last().unwrap().1,
        "0/1 nodes are available: 1 node(s) didn't match pod affinity rules. no new claims to deallocate, preemption: \
         0/1 nodes are available: 1 Preemption is not helpful for scheduling."
    );
    let other = world.apply_named("web", asking("10m")).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.until("still waits", unfit).await;
    // It becomes what was waited for.
    let stored = world.store.get::<Pod>("default", "web").unwrap();
    assert_eq!(stored.metadata.uid, other.metadata.uid);
    let mut labelled = Pod::clone(&stored);
    labelled.metadata.labels = Some([("app".to_owned(), "web".to_owned())].into());
    let labelled = Object::Pod(Arc::new(labelled));
    world
        .spec
        .update(Admitted::for_test(labelled))
        .await
        .unwrap();
    let before = world.now();
    world.until("runs", |pod| phase(pod) == "Running").await;
    assert!(world.now() - before < 5, "its neighbour wakes it");
    world.delete(0).await;
    world.until_gone().await;

    let mut spec = asking("10m");
    spec["affinity"] = wanted("podAntiAffinity");
    world.apply(spec).await;
    world.until("waits", unfit).await;
    let key = ObjectKey::pod("default", "web");
    let web = world.store.get::<Pod>("default", "web").unwrap();
    let mut leaving = Pod::clone(&web);
    leaving.metadata.deletion_timestamp = Some(super::super::status::time(world.clock.now()));
    leaving.metadata.deletion_grace_period_seconds = Some(1);
    let leaving = Object::Pod(Arc::new(leaving));
    world
        .spec
        .update(Admitted::for_test(leaving))
        .await
        .unwrap();
    world.until("runs", |pod| phase(pod) == "Running").await;
    assert!(world.store.get_object(&key).is_none());
    world.engine.shut_down(true).await;
}
