use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Pod, PodSpec, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use proptest::prelude::*;
use tempfile::TempDir;

use super::{Gone, Opened, Settings, StoreError, WatchEvent, Watcher, open, open_with};
use crate::admission::Admitted;
use crate::base::Uid;
use crate::model::{Kind, Object, ObjectKey, ResourceVersion};

fn meta(name: &str) -> ObjectMeta {
    ObjectMeta {
        namespace: Some("default".to_owned()),
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    }
}

fn pod(name: &str) -> Object {
    Object::Pod(Arc::new(Pod {
        metadata: meta(name),
        spec: Some(PodSpec::default()),
        status: None,
    }))
}

fn config_map(name: &str, value: &str) -> Object {
    Object::ConfigMap(Arc::new(ConfigMap {
        metadata: meta(name),
        data: Some(BTreeMap::from([("key".to_owned(), value.to_owned())])),
        ..ConfigMap::default()
    }))
}

fn admitted(object: Object) -> Admitted<Object> {
    Admitted::for_test(object)
}

fn phase(phase: &str) -> PodStatus {
    PodStatus {
        phase: Some(phase.to_owned()),
        ..PodStatus::default()
    }
}

async fn opened() -> (TempDir, Opened) {
    let directory = tempfile::tempdir().unwrap();
    let opened = open(directory.path()).unwrap();
    (directory, opened)
}

#[tokio::test]
async fn a_new_store_has_the_initial_objects() {
    let (_directory, opened) = opened().await;
    let (classes, _) = opened.store.list_objects(Kind::PriorityClass, None);
    let names: Vec<&str> = classes.iter().map(Object::name).collect();
    assert_eq!(names, ["system-cluster-critical", "system-node-critical"]);
    let (namespaces, _) = opened.store.list::<Namespace>(None);
    let names: Vec<_> = namespaces
        .iter()
        .map(|ns| ns.metadata.name.clone().unwrap())
        .collect();
    assert_eq!(names, ["default", "kube-system"]);
}

#[tokio::test]
async fn create_assigns_identity_and_refuses_a_second_of_the_name() {
    let (_directory, Opened { spec, store, .. }) = opened().await;
    let created = spec.create(admitted(pod("web"))).await.unwrap();
    assert_eq!(created.meta().generation, Some(1));
    assert!(created.meta().creation_timestamp.is_some());
    assert!(!created.uid().as_str().is_empty());
    assert_eq!(created.resource_version(), store.resource_version());
    assert_eq!(store.get_object(&created.key()), Some(created));
    let refused = spec.create(admitted(pod("web"))).await;
    assert!(matches!(refused, Err(StoreError::AlreadyExists(_))));
}

#[tokio::test]
async fn generated_names_follow_the_alphabet() {
    let (_directory, Opened { spec, .. }) = opened().await;
    let mut object = pod("");
    object.meta_mut().name = None;
    object.meta_mut().generate_name = Some("job-".to_owned());
    let created = spec.create(admitted(object)).await.unwrap();
    let suffix = created.name().strip_prefix("job-").unwrap();
    assert_eq!(suffix.len(), 5);
    assert!(
        suffix
            .chars()
            .all(|c| "bcdfghjklmnpqrstvwxz2456789".contains(c))
    );
}

#[tokio::test]
async fn update_keeps_identity_and_status_and_counts_generations() {
    let (
        _directory,
        Opened {
            spec,
            status,
            store,
            ..
        },
    ) = opened().await;
    let created = spec.create(admitted(pod("web"))).await.unwrap();
    let key = created.key();
    status
        .pod_status(&key, &created.uid(), phase("Running"))
        .await
        .unwrap();

    let stale = spec.update(admitted(created.clone())).await;
    assert!(matches!(stale, Err(StoreError::Conflict(_))));

    let mut labelled = store.get_object(&key).unwrap();
    labelled.meta_mut().labels = Some(BTreeMap::from([("a".to_owned(), "b".to_owned())]));
    let labelled = spec.update(admitted(labelled)).await.unwrap();
    assert_eq!(labelled.meta().generation, Some(1));

    let mut changed = pod("web");
    let Object::Pod(inner) = &mut changed else {
        unreachable!()
    };
    Arc::make_mut(inner).spec.as_mut().unwrap().node_name = Some("n".to_owned());
    let changed = spec.update(admitted(changed)).await.unwrap();
    assert_eq!(changed.meta().generation, Some(2));
    assert_eq!(changed.uid(), created.uid());
    let stored = store.get::<Pod>("default", "web").unwrap();
    assert_eq!(
        stored.status.as_ref().unwrap().phase.as_deref(),
        Some("Running")
    );

    let again = spec.update(admitted(changed.clone())).await.unwrap();
    assert_eq!(again.resource_version(), changed.resource_version());
}

#[tokio::test]
async fn status_is_refused_for_another_uid() {
    let (_directory, Opened { spec, status, .. }) = opened().await;
    let created = spec.create(admitted(pod("web"))).await.unwrap();
    let refused = status
        .pod_status(&created.key(), &Uid::random(), phase("Failed"))
        .await;
    assert!(matches!(refused, Err(StoreError::OtherUid { .. })));
    status
        .remove_pod(&created.key(), &Uid::random())
        .await
        .unwrap();
    spec.remove(&created.key(), Some(&created.uid()), None)
        .await
        .unwrap();
}

#[tokio::test]
async fn bind_sets_the_node_once() {
    let (_directory, Opened { spec, status, .. }) = opened().await;
    let created = spec.create(admitted(pod("web"))).await.unwrap();
    let key = created.key();
    for node in ["first", "second"] {
        let bound = status.bind(&key, &created.uid(), node).await.unwrap();
        assert_eq!(
            bound.spec.as_ref().unwrap().node_name.as_deref(),
            Some("first")
        );
    }
}

#[tokio::test]
async fn a_pod_with_finalizers_stays_until_they_are_gone() {
    let (
        _directory,
        Opened {
            spec,
            status,
            store,
            ..
        },
    ) = opened().await;
    let mut object = pod("web");
    object.meta_mut().finalizers = Some(vec!["example.com/hold".to_owned()]);
    let created = spec.create(admitted(object)).await.unwrap();
    let key = created.key();
    let mut deleted = created.clone();
    deleted.meta_mut().deletion_timestamp = Some(Time(Timestamp::now()));
    deleted.meta_mut().deletion_grace_period_seconds = Some(30);
    spec.update(admitted(deleted)).await.unwrap();
    status.remove_pod(&key, &created.uid()).await.unwrap();
    let mut held = store.get_object(&key).unwrap();
    assert_eq!(held.meta().deletion_grace_period_seconds, Some(0));
    held.meta_mut().finalizers = None;
    spec.update(admitted(held)).await.unwrap();
    assert_eq!(store.get_object(&key), None);
}

#[tokio::test]
async fn old_events_are_pruned() {
    let (_directory, Opened { status, store, .. }) = opened().await;
    let now = Timestamp::from_second(10_000).unwrap();
    for (name, age) in [("old", 4000), ("new", 10)] {
        let seen = Timestamp::from_second(10_000 - age).unwrap();
        let event = Event {
            metadata: meta(name),
            last_timestamp: Some(Time(seen)),
            ..Event::default()
        };
        status.put_event(event.clone()).await.unwrap();
        status.put_event(event).await.unwrap();
    }
    let before = Timestamp::from_second(now.as_second() - 3600).unwrap();
    assert_eq!(status.prune_events(before).await.unwrap(), 1);
    let (events, _) = store.list::<Event>(None);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].metadata.name.as_deref(), Some("new"));
}

#[tokio::test]
async fn watch_delivers_each_change_of_its_kind_once() {
    let (_directory, Opened { spec, store, .. }) = opened().await;
    let mut watcher = store.watch(Kind::Pod, store.resource_version()).unwrap();
    let created = spec.create(admitted(pod("web"))).await.unwrap();
    spec.create(admitted(config_map("cm", "v"))).await.unwrap();
    spec.remove(&created.key(), None, None).await.unwrap();
    assert_eq!(watcher.next().await, Ok(WatchEvent::Added(created.clone())));
    let Ok(WatchEvent::Deleted(last)) = watcher.next().await else {
        panic!("no deletion")
    };
    assert_eq!(last.resource_version(), store.resource_version());
    assert_eq!(watcher.try_next_change(), Ok(None));
    assert_eq!(watcher.bookmark(), Ok(Some(store.resource_version())));
}

#[tokio::test]
async fn a_waiting_watcher_is_woken() {
    let (_directory, Opened { spec, store, .. }) = opened().await;
    let mut watcher = store.watch(Kind::Pod, store.resource_version()).unwrap();
    let waiting = tokio::spawn(async move { watcher.next().await });
    tokio::task::yield_now().await;
    let created = spec.create(admitted(pod("web"))).await.unwrap();
    assert_eq!(waiting.await.unwrap(), Ok(WatchEvent::Added(created)));
}

#[tokio::test]
async fn a_watcher_that_is_overtaken_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings {
        history: 3,
        ..Settings::default()
    };
    let Opened { spec, store, .. } = open_with(directory.path(), settings).unwrap();
    let start = store.resource_version();
    let mut slow = store.watch(Kind::ConfigMap, start).unwrap();
    for index in 0..4 {
        spec.create(admitted(config_map(&format!("c{index}"), "v")))
            .await
            .unwrap();
    }
    assert_eq!(slow.next().await, Err(Gone));
    assert!(store.watch(Kind::ConfigMap, start).is_err());
    assert!(store.watch(Kind::Pod, start).is_ok());
    let future = ResourceVersion(store.resource_version().0 + 1);
    assert!(store.watch(Kind::Pod, future).is_err());
}

/// A file system of this size, or `None` where the test may not mount one.
struct SmallDisk(TempDir);

impl SmallDisk {
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    fn mount(kibibytes: u32) -> Option<Self> {
        use rustix::mount::{MountFlags, mount};
        let directory = tempfile::tempdir().unwrap();
        let options = std::ffi::CString::new(format!("size={kibibytes}k")).unwrap();
        match mount(
            "tmpfs",
            directory.path(),
            "tmpfs",
            MountFlags::empty(),
            Some(options.as_c_str()),
        ) {
            Ok(()) => Some(Self(directory)),
            Err(error) => {
                eprintln!("skipped: cannot mount a tmpfs: {error}");
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.0.path(), rustix::mount::UnmountFlags::DETACH);
    }
}

#[tokio::test]
async fn a_full_disk_refuses_writes_whole_and_recovers() {
    let Some(disk) = SmallDisk::mount(256) else {
        return;
    };
    let directory = disk.0.path().join("objects");
    let Opened {
        spec,
        store,
        status,
        ..
    } = open(&directory).unwrap();
    let kept = spec.create(admitted(pod("kept"))).await.unwrap();
    let gone = spec.create(admitted(pod("gone"))).await.unwrap();
    let ballast = disk.0.path().join("ballast");
    // Ends with an error when nothing is left, which is the point.
    let _ = std::fs::write(&ballast, vec![0u8; 1 << 20]);
    let big = "x".repeat(20_000);
    let mut refused = 0;
    for index in 0..3 {
        let version = store.resource_version();
        match spec
            .create(admitted(config_map(&format!("c{index}"), &big)))
            .await
        {
            Err(StoreError::NoSpace { .. }) => refused += 1,
            other => panic!("expected no space, got {other:?}"),
        }
        assert_eq!(store.resource_version(), version);
    }
    assert_eq!(refused, 3);
    assert!(store.get::<ConfigMap>("default", "c0").is_none());
    assert_eq!(*store.unsaved().borrow(), None);

    // What the engine sees goes on, and so does a deletion.
    let mut seen = phase("Running");
    seen.message = Some(big.clone());
    status
        .pod_status(&kept.key(), &kept.uid(), seen)
        .await
        .unwrap();
    let told = store.unsaved().borrow().clone().unwrap();
    assert!(told.contains("no space left for"), "{told}");
    spec.remove(&gone.key(), None, None).await.unwrap();
    assert!(store.get_object(&gone.key()).is_none());
    // A user's wish must not overtake it in the journal.
    spec.create(admitted(config_map("small", "x")))
        .await
        .unwrap_err();

    std::fs::remove_file(&ballast).unwrap();
    tokio::time::timeout(
        std::time::Duration::from_secs(10),
        store.unsaved().wait_for(Option::is_none),
    )
    .await
    .expect("the journal is tried again")
    .unwrap();
    spec.create(admitted(config_map("after", &big)))
        .await
        .unwrap();
    let (expected, _) = store.list_objects(Kind::Pod, None);
    let reopened = open(&directory).unwrap();
    assert_eq!(reopened.store.list_objects(Kind::Pod, None).0, expected);
    assert!(
        reopened
            .store
            .get::<ConfigMap>("default", "after")
            .is_some()
    );
    assert!(reopened.store.get::<ConfigMap>("default", "c0").is_none());
}

#[tokio::test]
async fn objects_outlive_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path()).unwrap();
    let created = first.spec.create(admitted(pod("web"))).await.unwrap();
    let second = open(directory.path()).unwrap();
    assert_eq!(
        second.store.get_object(&created.key()),
        Some(created.clone())
    );
    let version = second.store.resource_version();
    assert_eq!(version, first.store.resource_version());
    assert!(second.store.watch(Kind::Pod, version).is_ok());
    assert!(
        second
            .store
            .watch(Kind::Pod, ResourceVersion(version.0 - 1))
            .is_err()
    );
}

#[derive(Clone, Debug)]
enum Step {
    Create(u8),
    Update(u8, u8),
    Remove(u8),
    Status(u8, u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..5u8).prop_map(Step::Create),
        (0..5u8, 0..3u8).prop_map(|(name, value)| Step::Update(name, value)),
        (0..5u8).prop_map(Step::Remove),
        (0..5u8, 0..3u8).prop_map(|(name, value)| Step::Status(name, value)),
    ];
    prop::collection::vec(step, 0..60)
}

async fn apply(opened: &Opened, step: Step) {
    let Opened {
        store,
        spec,
        status,
        ..
    } = opened;
    let key = |name: u8| ObjectKey::pod("default", &format!("p{name}"));
    // Refusals (absent, existing) are part of the history that is tried; they must change nothing.
    match step {
        Step::Create(name) => {
            let _ = spec.create(admitted(pod(&key(name).name))).await;
        }
        Step::Update(name, value) => {
            let mut object = pod(&key(name).name);
            let labels = BTreeMap::from([("v".to_owned(), value.to_string())]);
            object.meta_mut().labels = Some(labels);
            let _ = spec.update(admitted(object)).await;
        }
        Step::Remove(name) => {
            let _ = spec.remove(&key(name), None, None).await;
        }
        Step::Status(name, value) => {
            if let Some(object) = store.get_object(&key(name)) {
                let status_now = phase(&value.to_string());
                let _ = status
                    .pod_status(&key(name), &object.uid(), status_now)
                    .await;
            }
        }
    }
}

fn files(directory: &TempDir) -> Vec<String> {
    let entries = std::fs::read_dir(directory.path()).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A disk without room for the first snapshot: what is written into it fails, and the attempt removes it.
fn no_room_for_a_snapshot(directory: &TempDir) {
    std::os::unix::fs::symlink("/dev/full", directory.path().join("snapshot-1.tmp")).unwrap();
}

/// Fills a store until its first snapshot has failed; returns the names of what is in it.
async fn filled_up(opened: &Opened, directory: &TempDir) -> Vec<String> {
    no_room_for_a_snapshot(directory);
    let names: Vec<String> = (0..4).map(|index| format!("big{index}")).collect();
    for name in &names {
        let object = config_map(name, &"x".repeat(1000));
        opened.spec.create(admitted(object)).await.unwrap();
    }
    while directory.path().join("snapshot-1.tmp").is_symlink() {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    assert_eq!(files(directory), ["journal-0.jsonl", "journal-1.jsonl"]);
    names
}

fn small() -> Settings {
    Settings {
        compact_at: 4000,
        ..Settings::default()
    }
}

async fn delete_all(opened: &Opened, names: &[String]) {
    for name in names {
        let key = config_map(name, "").key();
        opened.spec.remove(&key, None, None).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn deleting_on_a_full_disk_frees_space() {
    let directory = tempfile::tempdir().unwrap();
    let opened = open_with(directory.path(), small()).unwrap();
    let names = filled_up(&opened, &directory).await;
    delete_all(&opened, &names).await;
    while files(&directory) != ["journal-2.jsonl", "snapshot-2.jsonl"] {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    drop(opened);
    let kept = open(directory.path()).unwrap().store;
    assert!(kept.list_objects(Kind::ConfigMap, None).0.is_empty());
}

#[tokio::test]
async fn the_next_start_counts_every_journal() {
    let directory = tempfile::tempdir().unwrap();
    let opened = open_with(directory.path(), small()).unwrap();
    let names = filled_up(&opened, &directory).await;
    delete_all(&opened, &names[1..]).await;
    let before = opened.store.list_objects(Kind::ConfigMap, None);
    drop(opened);
    // One that fails again loses nothing either.
    std::os::unix::fs::symlink("/dev/full", directory.path().join("snapshot-2.tmp")).unwrap();
    let opened = open_with(directory.path(), small()).unwrap();
    assert_eq!(opened.store.list_objects(Kind::ConfigMap, None), before);
    drop(opened);
    let opened = open_with(directory.path(), small()).unwrap();
    assert_eq!(opened.store.list_objects(Kind::ConfigMap, None), before);
    assert_eq!(files(&directory), ["journal-2.jsonl", "snapshot-2.jsonl"]);
}

/// Builds the state a watcher knows and refuses a history that contradicts itself.
fn replay(known: &mut BTreeMap<ObjectKey, Object>, watcher: &mut Watcher) {
    let mut last = ResourceVersion::default();
    while let Some(change) = watcher.try_next_change().unwrap() {
        assert!(change.version > last, "versions grow");
        last = change.version;
        assert_eq!(change.object.resource_version(), change.version);
        let key = change.object.key();
        let before = if change.deleted {
            known.remove(&key)
        } else {
            known.insert(key, change.object)
        };
        assert_eq!(before, change.previous);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// List + watch from any point of the history end in the same state as the store has, also after a restart.
    #[test]
    fn watchers_see_a_consistent_history(steps in steps(), list_at in 0usize..60) {
        let directory = tempfile::tempdir().unwrap();
        let before = current_thread().block_on(async {
            // Small enough for several snapshots on the way.
            let settings = Settings { compact_at: 2000, ..Settings::default() };
            let opened = open_with(directory.path(), settings).unwrap();
            let mut watcher = None;
            for (index, step) in steps.into_iter().enumerate() {
                if index == list_at {
                    let (objects, version) = opened.store.list_objects(Kind::Pod, None);
                    let known: BTreeMap<_, _> =
                        objects.into_iter().map(|object| (object.key(), object)).collect();
                    watcher = Some((known, opened.store.watch(Kind::Pod, version).unwrap()));
                }
                apply(&opened, step).await;
            }
            let (objects, version) = opened.store.list_objects(Kind::Pod, None);
            if let Some((mut known, mut watcher)) = watcher {
                replay(&mut known, &mut watcher);
                let known: Vec<Object> = known.into_values().collect();
                prop_assert_eq!(&known, &objects);
            }
            Ok((objects, version))
        })?;
        // The first runtime is gone and with it all work of the first store.
        let after = current_thread().block_on(async {
            open(directory.path()).unwrap().store.list_objects(Kind::Pod, None)
        });
        prop_assert_eq!(after, before);
    }
}

fn current_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}
