use futures_util::StreamExt;
use serde_json::{Value, json};

use super::fixture::{Fixture, config_map, pod};
use super::{
    Client, DeleteOptions, FieldValidation, ListOptions, Patch, Preconditions, WatchEvent,
    WriteOptions,
};
use crate::model::{ApiError, Kind, Object, ObjectKey, Reason, ResourceVersion};

fn with(mut manifest: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    manifest.pointer_mut(parent).unwrap()[key] = value;
    manifest
}

#[track_caller]
fn check_refused<T: std::fmt::Debug>(result: Result<T, ApiError>, reason: Reason, message: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.reason, reason, "{error}");
    assert!(error.message.contains(message), "{error}");
}

fn options(validation: FieldValidation) -> WriteOptions {
    WriteOptions {
        field_validation: validation,
        ..WriteOptions::default()
    }
}

fn dry_run() -> WriteOptions {
    WriteOptions {
        dry_run: true,
        ..WriteOptions::default()
    }
}

#[tokio::test]
async fn create_answers_as_the_api_does() {
    let fixture = Fixture::new();
    let client = &fixture.client;
    let create = |manifest| client.create(manifest, WriteOptions::default());

    let created = fixture.create(pod("web")).await;
    assert_eq!(created.meta().generation, Some(1));
    check_refused(
        create(pod("web")).await,
        Reason::AlreadyExists,
        "pods \"web\" already exists",
    );
    let elsewhere = with(pod("web"), "/metadata/namespace", json!("nowhere"));
    check_refused(
        create(elsewhere).await,
        Reason::NotFound,
        "namespaces \"nowhere\" not found",
    );
    let versioned = with(pod("v"), "/metadata/resourceVersion", json!("7"));
    check_refused(
        create(versioned).await,
        Reason::BadRequest,
        "resourceVersion should not be set",
    );
    check_refused(
        create(pod("Bad_Name")).await,
        Reason::Invalid,
        "Pod \"Bad_Name\" is invalid: metadata.name: Invalid value: \"Bad_Name\"",
    );
}

/// There are no RuntimeClasses: a pod that wants one does not run without it.
#[tokio::test]
async fn pods_of_a_runtime_class_are_refused() {
    let fixture = Fixture::new();
    let wants = |field: &str, value| with(pod("p"), &format!("/spec/{field}"), value);
    let check = async |manifest: serde_json::Value, reason: Reason, expected: &str| {
        for options in [WriteOptions::default(), dry_run()] {
            let refused = fixture.client.create(manifest.clone(), options).await;
            check_refused(refused, reason, expected);
        }
    };
    check(
        wants("runtimeClassName", json!("gvisor")),
        Reason::Forbidden,
        "pods \"p\" is forbidden: pod rejected: RuntimeClass \"gvisor\" not found",
    )
    .await;
    // Looked up before the pod is validated …
    let invalid = with(
        wants("runtimeClassName", json!("gvisor")),
        "/spec/containers",
        json!([]),
    );
    check(
        invalid,
        Reason::Forbidden,
        "RuntimeClass \"gvisor\" not found",
    )
    .await;
    check(
        wants("runtimeClassName", json!("")),
        Reason::Invalid,
        "spec.runtimeClassName",
    )
    .await;
    // … and its overhead compared afterwards.
    let overhead = wants("overhead", json!({"cpu": "100m"}));
    check(
        overhead.clone(),
        Reason::Forbidden,
        "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
    )
    .await;
    let invalid = with(overhead, "/spec/containers", json!([]));
    check(invalid, Reason::Invalid, "spec.containers: Required value").await;
}

#[tokio::test]
async fn unknown_fields_are_refused_warned_about_or_dropped() {
    let fixture = Fixture::new();
    let manifest = |name: &str| with(config_map(name, "v"), "/colour", json!("red"));
    let create =
        |name: &str, validation| fixture.client.create(manifest(name), options(validation));

    check_refused(
        create("a", FieldValidation::Strict).await,
        Reason::BadRequest,
        "strict decoding error: unknown field \"colour\"",
    );
    let written = create("a", FieldValidation::Warn).await.unwrap();
    assert_eq!(written.warnings, ["unknown field \"colour\""]);
    let written = create("b", FieldValidation::Ignore).await.unwrap();
    assert_eq!(written.warnings, Vec::<String>::new());
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let fixture = Fixture::new();
    let version = fixture.store.resource_version();
    let written = fixture.client.create(pod("web"), dry_run()).await.unwrap();
    assert_eq!(written.object.name(), "web");
    assert_eq!(fixture.store.resource_version(), version);

    let created = fixture.create(pod("web")).await;
    check_refused(
        fixture.client.create(pod("web"), dry_run()).await,
        Reason::AlreadyExists,
        "already exists",
    );
    let delete = DeleteOptions {
        dry_run: true,
        ..DeleteOptions::default()
    };
    fixture.client.delete(&created.key(), delete).await.unwrap();
    assert_eq!(fixture.client.get(&created.key()).await, Ok(created));
}

#[tokio::test]
async fn replace_respects_versions_and_uids() {
    let fixture = Fixture::new();
    let client = &fixture.client;
    let replace = |manifest| client.replace(manifest, WriteOptions::default());

    check_refused(
        replace(config_map("c", "1")).await,
        Reason::NotFound,
        "configmaps \"c\" not found",
    );
    let first = fixture.create(config_map("c", "1")).await;
    let second = replace(config_map("c", "2")).await.unwrap().object;
    assert!(second.resource_version() > first.resource_version());
    assert_eq!(second.uid(), first.uid());

    check_refused(
        replace(first.to_value()).await,
        Reason::Conflict,
        "the object has been modified",
    );
    let other = with(config_map("c", "3"), "/metadata/uid", json!("another"));
    check_refused(
        replace(other).await,
        Reason::Conflict,
        "UID in precondition",
    );
    assert_eq!(replace(second.to_value()).await.unwrap().object, second);
}

#[tokio::test]
async fn patches_change_the_latest_object() {
    let fixture = Fixture::new();
    let created = fixture.create(config_map("c", "1")).await;
    let key = created.key();
    let patch = |patch| fixture.client.patch(&key, patch, WriteOptions::default());
    let data = |object: &Object| object.to_value()["data"].clone();

    let merged = patch(Patch::Merge(json!({"data": {"key": "2", "more": "x"}})))
        .await
        .unwrap();
    assert_eq!(data(&merged.object), json!({"key": "2", "more": "x"}));
    let patched = patch(Patch::Json(json!([{"op": "remove", "path": "/data/more"}])))
        .await
        .unwrap();
    assert_eq!(data(&patched.object), json!({"key": "2"}));
    let strategic = patch(Patch::Strategic(json!({"data": {"s": "y"}})))
        .await
        .unwrap();
    assert_eq!(data(&strategic.object), json!({"key": "2", "s": "y"}));

    let stale = json!({"metadata": {"resourceVersion": "1"}});
    check_refused(
        patch(Patch::Merge(stale)).await,
        Reason::Conflict,
        "has been modified",
    );
    let renamed = json!({"metadata": {"name": "d"}});
    check_refused(
        patch(Patch::Merge(renamed)).await,
        Reason::BadRequest,
        "must not change",
    );
    let failing = json!([{"op": "test", "path": "/data/key", "value": "no"}]);
    check_refused(
        patch(Patch::Json(failing)).await,
        Reason::Invalid,
        "rejected our request",
    );
    let unknown = json!({"colour": "red"});
    check_refused(
        patch(Patch::Merge(unknown)).await,
        Reason::BadRequest,
        "unknown field",
    );
}

#[tokio::test]
async fn concurrent_patches_without_a_version_all_happen() {
    let fixture = Fixture::new();
    let created = fixture.create(config_map("c", "1")).await;
    let key = created.key();
    let patches = (0..4).map(|index| {
        let patch = Patch::Merge(json!({"data": {format!("k{index}"): "v"}}));
        let client = fixture.client.clone();
        let key = key.clone();
        tokio::spawn(async move { client.patch(&key, patch, WriteOptions::default()).await })
    });
    for patch in futures_util::future::join_all(patches).await {
        patch.unwrap().unwrap();
    }
    let object = fixture.client.get(&key).await.unwrap();
    assert_eq!(object.to_value()["data"].as_object().unwrap().len(), 5);
}

#[tokio::test]
async fn a_running_pod_is_marked_and_a_finished_one_removed() {
    let fixture = Fixture::new();
    let created = fixture.create(pod("web")).await;
    fixture.run(&created).await;
    let key = created.key();
    let delete = |options| fixture.client.delete(&key, options);

    let wrong = DeleteOptions {
        preconditions: Preconditions {
            uid: Some(crate::base::Uid::random()),
            resource_version: None,
        },
        ..DeleteOptions::default()
    };
    check_refused(delete(wrong).await, Reason::Conflict, "UID in precondition");

    let marked = delete(DeleteOptions::default()).await.unwrap();
    assert!(marked.meta().deletion_timestamp.is_some());
    assert_eq!(marked.meta().deletion_grace_period_seconds, Some(30));
    assert_eq!(marked.meta().generation, Some(2));
    let again = delete(DeleteOptions::default()).await.unwrap();
    assert_eq!(again, marked);

    fixture.set_phase(&key, "Succeeded").await;
    delete(DeleteOptions::default()).await.unwrap();
    check_refused(
        delete(DeleteOptions::default()).await,
        Reason::NotFound,
        "pods \"web\" not found",
    );
}

#[tokio::test]
async fn a_namespace_takes_its_contents_along() {
    let fixture = Fixture::new();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}});
    let namespace = fixture.create(namespace).await;
    let inside = |manifest| with(manifest, "/metadata/namespace", json!("team"));
    let web = fixture.create(inside(pod("web"))).await;
    fixture.create(inside(config_map("c", "v"))).await;
    fixture.run(&web).await;

    let marked = fixture
        .client
        .delete(&namespace.key(), DeleteOptions::default())
        .await
        .unwrap();
    assert_eq!(marked.to_value()["status"]["phase"], "Terminating");
    let late = fixture
        .client
        .create(inside(config_map("late", "v")), WriteOptions::default());
    check_refused(late.await, Reason::Forbidden, "it is being terminated");

    let everything = ListOptions::default();
    let mut events = fixture
        .client
        .watch(
            Kind::Namespace,
            everything,
            fixture.store.resource_version(),
        )
        .await
        .unwrap();
    fixture
        .status
        .remove_pod(&web.key(), &web.uid())
        .await
        .unwrap();
    let Some(Ok(WatchEvent::Deleted(gone))) = events.next().await else {
        panic!("the namespace was not removed")
    };
    assert_eq!(gone.name(), "team");
    let (left, _) = fixture.store.list_objects(Kind::ConfigMap, Some("team"));
    assert_eq!(left, []);
}

fn class(name: &str, value: i32, is_default: bool) -> Value {
    json!({
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value,
        "globalDefault": is_default,
    })
}

#[tokio::test]
async fn classes_give_new_pods_their_priority() {
    let fixture = Fixture::new();
    let client = &fixture.client;
    let create = |manifest| client.create(manifest, WriteOptions::default());
    let of_class = |name: &str| with(pod(name), "/spec/priorityClassName", json!(name));
    let priority = |object: &Object| object.to_value()["spec"]["priority"].as_i64().unwrap();

    let first = fixture.create(pod("first")).await;
    assert_eq!(priority(&first), 0);
    let node = fixture.create(of_class("system-node-critical")).await;
    assert_eq!(priority(&node), 2_000_001_000);
    check_refused(
        create(of_class("high")).await,
        Reason::Forbidden,
        "pods \"high\" is forbidden: no PriorityClass with name high was found",
    );
    fixture.create(class("high", 1000, true)).await;
    assert_eq!(priority(&fixture.create(of_class("high")).await), 1000);
    let by_default = fixture.create(pod("by-default")).await;
    assert_eq!(priority(&by_default), 1000);
    assert_eq!(by_default.to_value()["spec"]["priorityClassName"], "high");
    let second = "priorityclasses.scheduling.k8s.io \"low\" is forbidden: PriorityClass high is already marked as default. Only one \
                  default can exist";
    check_refused(
        create(class("low", -1, true)).await,
        Reason::Forbidden,
        second,
    );
    fixture.create(class("low", -1, false)).await;
    let mark = Patch::Merge(json!({"globalDefault": true}));
    let low = ObjectKey::new(Kind::PriorityClass, "", "low");
    let marked = client.patch(&low, mark.clone(), WriteOptions::default());
    check_refused(marked.await, Reason::Forbidden, second);
    // What a class says later is nothing to the pods that have been made.
    let high = ObjectKey::new(Kind::PriorityClass, "", "high");
    let delete =
        |key: ObjectKey| async move { client.delete(&key, DeleteOptions::default()).await };
    delete(high).await.unwrap();
    client
        .patch(&low, mark, WriteOptions::default())
        .await
        .unwrap();
    assert_eq!(
        fixture.store.get_object(&by_default.key()),
        Some(by_default)
    );
    assert_eq!(priority(&fixture.create(pod("last")).await), -1);
    check_refused(
        delete(ObjectKey::new(
            Kind::PriorityClass,
            "",
            "system-node-critical",
        ))
        .await,
        Reason::Forbidden,
        "this is a system priority class and cannot be deleted",
    );
}

#[tokio::test]
async fn permanent_namespaces_stay() {
    let fixture = Fixture::new();
    let key = ObjectKey::new(Kind::Namespace, "", "default");
    check_refused(
        fixture.client.delete(&key, DeleteOptions::default()).await,
        Reason::Forbidden,
        "this namespace may not be deleted",
    );
}

#[tokio::test]
async fn lists_are_selected() {
    let fixture = Fixture::new();
    for name in ["a", "b"] {
        let created = fixture.create(pod(name)).await;
        if name == "b" {
            fixture.run(&created).await;
        }
    }
    let names = |labels: &str, fields: &str| {
        let options = ListOptions {
            namespace: Some("default".to_owned()),
            label_selector: labels.to_owned(),
            field_selector: fields.to_owned(),
        };
        let client = fixture.client.clone();
        async move {
            let list = client.list(Kind::Pod, options).await?;
            let names: Vec<String> = list.items.iter().map(|o| o.name().to_owned()).collect();
            Ok::<_, ApiError>(names.join(" "))
        }
    };
    assert_eq!(names("", "").await.unwrap(), "a b");
    assert_eq!(names("app=a", "").await.unwrap(), "a");
    assert_eq!(names("", "status.phase=Running").await.unwrap(), "b");
    assert_eq!(names("app!=a", "metadata.name=a").await.unwrap(), "");
    check_refused(
        names("app in", "").await,
        Reason::BadRequest,
        "unable to parse requirement",
    );
    assert!(names("", "spec.colour=red").await.is_err());
}

/// What a watch delivers, as text.
async fn next(
    events: &mut (impl futures_util::Stream<Item = Result<WatchEvent, ApiError>> + Unpin),
) -> String {
    match events.next().await {
        Some(Ok(WatchEvent::Added(object))) => format!("+{}", object.name()),
        Some(Ok(WatchEvent::Modified(object))) => format!("~{}", object.name()),
        Some(Ok(WatchEvent::Deleted(object))) => format!("-{}", object.name()),
        Some(Ok(WatchEvent::Bookmark(version))) => format!("={version}"),
        Some(Err(error)) => error.reason.as_str().to_owned(),
        None => "end".to_owned(),
    }
}

#[tokio::test]
async fn a_watch_translates_entering_and_leaving_its_selection() {
    let fixture = Fixture::new();
    fixture.create(pod("old")).await;
    let options = ListOptions {
        field_selector: "status.phase=Running".to_owned(),
        ..ListOptions::default()
    };
    let from = fixture.store.resource_version();
    let client = &fixture.client;
    let mut events = client.watch(Kind::Pod, options, from).await.unwrap();
    let web = fixture.create(pod("web")).await;
    fixture.run(&web).await;
    let label = Patch::Merge(json!({"metadata": {"labels": {"x": "y"}}}));
    client
        .patch(&web.key(), label, WriteOptions::default())
        .await
        .unwrap();
    fixture.set_phase(&web.key(), "Succeeded").await;
    client
        .delete(&web.key(), DeleteOptions::default())
        .await
        .unwrap();
    for expected in ["+web", "~web", "-web"] {
        assert_eq!(next(&mut events).await, expected);
    }
}

#[tokio::test]
async fn a_watch_from_zero_begins_with_what_is_there() {
    let fixture = Fixture::new();
    fixture.create(pod("a")).await;
    fixture.create(pod("b")).await;
    let everything = ListOptions::default();
    let zero = ResourceVersion::default();
    let watch = fixture.client.watch(Kind::Pod, everything, zero);
    let mut events = watch.await.unwrap();
    fixture.create(pod("c")).await;
    for expected in ["+a", "+b", "+c"] {
        assert_eq!(next(&mut events).await, expected);
    }
}

#[tokio::test]
async fn an_overtaken_watch_expires() {
    let fixture = Fixture::with_history(2);
    let from = fixture.store.resource_version();
    let everything = ListOptions::default;
    let watch = |from| fixture.client.watch(Kind::ConfigMap, everything(), from);
    let mut events = watch(from).await.unwrap();
    for index in 0..3 {
        fixture.create(config_map(&format!("c{index}"), "v")).await;
    }
    assert_eq!(next(&mut events).await, "Expired");
    assert_eq!(next(&mut events).await, "end");
    check_refused(
        watch(from).await.map(|_| ()),
        Reason::Expired,
        "too old resource version",
    );
}

#[tokio::test(start_paused = true)]
async fn a_quiet_watch_gets_bookmarks() {
    let fixture = Fixture::new();
    let from = fixture.store.resource_version();
    let watch = fixture
        .client
        .watch(Kind::Pod, ListOptions::default(), from);
    let mut events = watch.await.unwrap();
    fixture.create(config_map("c", "v")).await;
    let version = fixture.store.resource_version();
    assert_eq!(next(&mut events).await, format!("={version}"));
}
