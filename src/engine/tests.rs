//! Scenarios of the whole engine over a runtime in memory, on paused time: a store on disk, real files of
//! pods, no namespaces.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    EngineApi, EngineHandle, NodeLimits, Parts, SoftThresholds, Thresholds, path_hash, start,
};
use crate::admission::Admitted;
use crate::base::Clock;
use crate::image::{
    Asker, ImageConfig, ImageError, ImageRecord, ImageService, PullOutcome, PullProgress,
    PullSecret, StoreUsage,
};
use crate::model::{Kind, Object, ObjectKey};
use crate::network::{Allocator, ClusterDns};
use crate::runtime::{Behaviour, ContainerRuntime, FakeRuntime};
use crate::store::{Opened, Settings, SpecWriter, Store, open_with};

mod events;
mod placement;
mod probes;
mod restarts;
mod texts;

const START: i64 = 1_800_000_000;

/// Knows every image but those named `absent…`; its registry has `remote` only.
struct FakeImages;

fn image(name: &str) -> ImageRecord {
    ImageRecord {
        id: format!("sha256:{name}"),
        names: vec![name.to_owned()],
        repo_digests: Vec::new(),
        layers: vec!["/layer".into()],
        diff_ids: Vec::new(),
        size: 1,
        created: None,
        config: ImageConfig {
            cmd: vec!["sleep".to_owned()],
            ..ImageConfig::default()
        },
        raw_config: Value::Null,
        history: Value::Null,
        layer_sizes: Vec::new(),
    }
}

#[async_trait]
impl ImageService for FakeImages {
    async fn status(&self, reference: &str) -> Result<Option<ImageRecord>, ImageError> {
        if reference.starts_with("UPPER") {
            return Err(ImageError::InvalidName {
                reference: reference.to_owned(),
                reason: "repository name must be lowercase".to_owned(),
            });
        }
        let is_here = !reference.starts_with("absent") && reference != "remote";
        Ok(is_here.then(|| image(reference)))
    }

    async fn may_use(
        &self,
        reference: &str,
        _image: &ImageRecord,
        secrets: &[PullSecret],
    ) -> Result<bool, ImageError> {
        Ok(!reference.starts_with("private") || !secrets.is_empty())
    }

    async fn pull(
        &self,
        reference: &str,
        _secrets: &[PullSecret],
        _asker: Asker,
    ) -> Result<PullOutcome, ImageError> {
        if reference != "remote" {
            return Err(ImageError::NotFound(reference.to_owned()));
        }
        Ok(PullOutcome {
            name: reference.to_owned(),
            image: image(reference),
            took: Duration::from_millis(1200),
            with_waiting: Duration::from_millis(1500),
        })
    }

    fn pulls(&self) -> Vec<PullProgress> {
        Vec::new()
    }

    fn known(&self, reference: &str) -> Result<Option<String>, ImageError> {
        Ok(["used", "idle"]
            .contains(&reference)
            .then(|| image(reference).id))
    }

    async fn usage(&self) -> Result<StoreUsage, ImageError> {
        Ok(StoreUsage::default())
    }

    async fn disk(&self) -> Result<(u64, u64), ImageError> {
        Ok((0, 100))
    }

    async fn remove_partial(&self) -> Result<u64, ImageError> {
        Ok(0)
    }

    async fn list(&self) -> Result<Vec<ImageRecord>, ImageError> {
        Ok(vec![image("used"), image("idle")])
    }

    async fn import(&self, _tar: &Path, name: &str) -> Result<ImageRecord, ImageError> {
        Ok(image(name))
    }

    async fn tag(&self, _image: &str, name: &str) -> Result<Vec<String>, ImageError> {
        Ok(vec![name.to_owned()])
    }

    async fn load_from_daemon(
        &self,
        _socket: &Path,
        _name: &str,
    ) -> Result<Vec<String>, ImageError> {
        Ok(Vec::new())
    }
    async fn save(
        &self,
        _names: &[String],
    ) -> Result<BoxStream<'static, Result<Bytes, ImageError>>, ImageError> {
        Ok(futures_util::stream::empty().boxed())
    }
    async fn load(&self, _path: &Path) -> Result<Vec<String>, ImageError> {
        Ok(Vec::new())
    }

    async fn untag(&self, name: &str) -> Result<Vec<String>, ImageError> {
        Ok(vec![name.to_owned()])
    }

    async fn check_login(
        &self,
        _registry: &str,
        _login: &crate::base::Login,
    ) -> Result<(), ImageError> {
        Ok(())
    }

    async fn remove(
        &self,
        name: &str,
        _force: bool,
        users: &[String],
    ) -> Result<Vec<String>, ImageError> {
        if users.is_empty() {
            return Ok(vec![name.to_owned()]);
        }
        Err(ImageError::InUse {
            name: name.to_owned(),
            users: users.join(", "),
        })
    }
}

struct World {
    directory: TempDir,
    clock: Clock,
    fake: FakeRuntime,
    engine: EngineHandle,
    store: Store,
    spec: SpecWriter,
}

async fn boot(
    directory: &TempDir,
    clock: &Clock,
    fake: &FakeRuntime,
) -> (EngineHandle, Store, SpecWriter) {
    let state_dir = directory.path().join("state");
    std::fs::create_dir_all(&state_dir).unwrap();
    let Opened {
        store,
        spec,
        status,
        damage,
    } = open_with(
        &state_dir.join("objects"),
        Settings {
            clock: clock.clone(),
            ..Settings::default()
        },
    )
    .unwrap();
    let run_dir = directory.path().join("run");
    let engine = start(Parts {
        network: Allocator::new(Some("10.199.0.0/24".parse().unwrap()), path_hash(&run_dir))
            .unwrap(),
        limits: NodeLimits {
            log_max_size: 10 << 20,
            log_max_files: 5,
            max_pods: 110,
            pod_pids: None,
            unsafe_sysctls: Vec::new(),
            dns: ClusterDns {
                domain: "cluster.local".to_owned(),
                servers: Vec::new(),
            },
            eviction: Thresholds::NEVER,
            soft_eviction: SoftThresholds::default(),
            cgroup_root: Vec::new(),
        },
        state_dir,
        run_dir,
        node_name: "node".to_owned(),
        runtime: Arc::new(fake.clone()),
        images: Arc::new(FakeImages),
        image_gc: crate::engine::ImageGc::default(),
        clock: clock.clone(),
        store: store.clone(),
        status,
        damage,
    })
    .await
    .unwrap();
    (engine, store, spec)
}

impl World {
    async fn new() -> Self {
        let clock = Clock::tokio_from(Timestamp::from_second(START).unwrap());
        let directory = tempfile::tempdir().unwrap();
        let fake = FakeRuntime::new(clock.clone());
        let (engine, store, spec) = boot(&directory, &clock, &fake).await;
        Self {
            directory,
            clock,
            fake,
            engine,
            store,
            spec,
        }
    }

    /// The engine ends, its pods run on, and another one starts.
    async fn restart(self) -> Self {
        self.engine.shut_down(false).await;
        let Self {
            directory,
            clock,
            fake,
            ..
        } = self;
        // The writer of the first store ends when its last handle is gone.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (engine, store, spec) = boot(&directory, &clock, &fake).await;
        Self {
            directory,
            clock,
            fake,
            engine,
            store,
            spec,
        }
    }

    fn now(&self) -> i64 {
        self.clock.now().as_second() - START
    }

    async fn apply(&self, spec: Value) -> Pod {
        self.apply_named("p", spec).await
    }

    async fn apply_named(&self, name: &str, spec: Value) -> Pod {
        let value = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "default"},
            "spec": spec,
        });
        let object = Object::from_value(Kind::Pod, value).unwrap();
        let created = self.spec.create(Admitted::for_test(object)).await.unwrap();
        Pod::clone(&Self::cast(&created))
    }

    fn cast(object: &Object) -> Arc<Pod> {
        match object {
            Object::Pod(pod) => Arc::clone(pod),
            other => panic!("{other:?}"),
        }
    }

    fn pod(&self) -> Option<Arc<Pod>> {
        self.store.get::<Pod>("default", "p")
    }

    /// Waits, at most two simulated hours, until the pod looks like this.
    #[track_caller]
    fn until(&self, what: &str, holds: impl Fn(&Pod) -> bool) -> impl Future<Output = Arc<Pod>> {
        let caller = std::panic::Location::caller();
        async move {
            for _ in 0..72_000 {
                if let Some(pod) = self.pod().filter(|pod| holds(pod)) {
                    return pod;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            panic!(
                "{caller}: never {what}: {:#?}",
                self.pod().map(|pod| pod.status.clone())
            );
        }
    }

    async fn until_gone(&self) {
        for _ in 0..72_000 {
            if self.pod().is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the pod was never removed");
    }

    /// Marks the pod as the API server does.
    async fn delete(&self, grace: i64) {
        let mut pod = Pod::clone(&self.pod().unwrap());
        pod.metadata.deletion_timestamp = Some(super::status::time(self.clock.now()));
        pod.metadata.deletion_grace_period_seconds = Some(grace);
        let object = Object::Pod(Arc::new(pod));
        self.spec.update(Admitted::for_test(object)).await.unwrap();
    }

    async fn events(&self) -> Vec<(String, String)> {
        // The recorder writes behind the worker's back.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let (events, _) = self.store.list::<Event>(None);
        let mut seen: Vec<(i64, (String, String))> = events
            .iter()
            .filter(|event| event.involved_object.kind.as_deref() != Some("Node"))
            .map(|event| {
                let name = event.metadata.name.clone().unwrap();
                let order = i128::from_str_radix(name.rsplit('.').next().unwrap(), 16).unwrap();
                (
                    i64::try_from(order).unwrap(),
                    (
                        event.reason.clone().unwrap(),
                        event.message.clone().unwrap(),
                    ),
                )
            })
            .collect();
        seen.sort();
        seen.into_iter().map(|(_, event)| event).collect()
    }

    async fn reasons(&self) -> Vec<String> {
        let events = self.events().await;
        events.into_iter().map(|(reason, _)| reason).collect()
    }

    fn leftovers(&self) -> Vec<String> {
        ["state/pods", "state/logs/pods"]
            .into_iter()
            .flat_map(|path| std::fs::read_dir(self.directory.path().join(path)))
            .flatten()
            .flatten()
            .map(|entry| entry.path().display().to_string())
            .collect()
    }
}

fn containers(names: &[&str]) -> Vec<Value> {
    names
        .iter()
        .map(|name| json!({"name": name, "image": "localhost/toolbox", "imagePullPolicy": "IfNotPresent"}))
        .collect()
}

fn status<'a>(pod: &'a Pod, name: &str) -> &'a ContainerStatus {
    crate::model::pod::container_status(pod, name).unwrap()
}

fn phase(pod: &Pod) -> &str {
    crate::model::pod::phase(pod)
}

fn waits(pod: &Pod, name: &str) -> Option<String> {
    let state = status(pod, name).state.clone()?;
    state.waiting?.reason
}

fn last_end(pod: &Pod, name: &str) -> Option<(String, i32)> {
    let end = status(pod, name).last_state.clone()?.terminated?;
    Some((end.reason?, end.exit_code))
}

fn runs(pod: &Pod, name: &str) -> bool {
    status(pod, name)
        .state
        .as_ref()
        .is_some_and(|state| state.running.is_some())
}

fn ready(pod: &Pod) -> bool {
    pod.status
        .as_ref()
        .is_some_and(|status| crate::model::pod::is_condition_true(status, "Ready"))
}

#[tokio::test(start_paused = true)]
async fn two_containers_come_up_and_go_away() {
    let world = World::new().await;
    world
        .apply(json!({"containers": containers(&["a", "b"])}))
        .await;
    let pod = world.until("ready", ready).await;
    assert_eq!(phase(&pod), "Running");
    let status = pod.status.as_ref().unwrap();
    assert_eq!(
        pod.spec.as_ref().unwrap().node_name.as_deref(),
        Some("node")
    );
    assert_eq!(status.pod_ip.as_deref(), Some("10.199.0.2"));
    assert_eq!(status.qos_class.as_deref(), Some("BestEffort"));
    // Containers are begun one after the other and come up beside each other.
    assert_eq!(
        world.reasons().await,
        [
            "Scheduled",
            "Pulled",
            "Pulled",
            "Created",
            "Started",
            "Created",
            "Started"
        ]
    );
    assert_eq!(world.fake.calls(), ["sandbox p", "create a", "create b"]);

    world.delete(30).await;
    world.until_gone().await;
    assert_eq!(world.fake.sandbox_count(), 0);
    assert_eq!(world.leftovers(), Vec::<String>::new());
    let events = world.events().await;
    let killing: Vec<&str> = events
        .iter()
        .filter(|(reason, _)| reason == "Killing")
        .map(|(_, message)| message.as_str())
        .collect();
    assert_eq!(killing.len(), 2);
    assert!(killing.contains(&"Stopping container a"));
    assert_eq!(world.fake.calls().last().unwrap(), "remove p");
}

#[tokio::test(start_paused = true)]
async fn a_crashing_container_is_restarted_after_0_10_20_40_seconds() {
    let world = World::new().await;
    world.fake.script(
        "a",
        &[Behaviour::Exits {
            after: Duration::from_secs(1),
            code: 3,
        }],
    );
    world.apply(json!({"containers": containers(&["a"])})).await;
    let began = Arc::new(Mutex::new(Vec::new()));
    for restarts in 0..5 {
        world
            .until("restarted", |pod| {
                status(pod, "a").restart_count == restarts && runs(pod, "a")
            })
            .await;
        began.lock().unwrap().push(world.now());
        world
            .until("shown as Error", |pod| {
                status(pod, "a")
                    .state
                    .as_ref()
                    .and_then(|state| state.terminated.as_ref())
                    .is_some_and(|end| end.reason.as_deref() == Some("Error"))
                    || status(pod, "a").restart_count > restarts
            })
            .await;
    }
    let began = began.lock().unwrap().clone();
    let gaps: Vec<i64> = began.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // One second of running, then the delay.
    assert_eq!(gaps, [1, 11, 21, 41]);

    let pod = world
        .until("in back-off", |pod| {
            waits(pod, "a").as_deref() == Some("CrashLoopBackOff")
        })
        .await;
    assert_eq!(phase(&pod), "Running");
    assert_eq!(last_end(&pod, "a"), Some(("Error".to_owned(), 3)));
    let uid = pod.metadata.uid.clone().unwrap();
    let message = status(&pod, "a")
        .state
        .clone()
        .unwrap()
        .waiting
        .unwrap()
        .message;
    assert_eq!(
        message.unwrap(),
        format!("back-off 1m20s restarting failed container=a pod=p_default({uid})")
    );
    let (events, _) = world.store.list::<Event>(None);
    let counts: HashMap<String, i32> = events
        .iter()
        .filter_map(|event| Some((event.reason.clone()?, event.count?)))
        .collect();
    assert_eq!(counts["Started"], 5);
    assert_eq!(counts["BackOff"], 4);
}

#[tokio::test(start_paused = true)]
async fn a_deaf_container_is_killed_after_its_grace_period() {
    let world = World::new().await;
    world.fake.script("a", &[Behaviour::Ignores]);
    world
        .apply(json!({"containers": containers(&["a", "b"]), "terminationGracePeriodSeconds": 30}))
        .await;
    world.until("ready", ready).await;
    let asked = world.now();
    world.delete(30).await;
    let pod = world.until("b stopped", |pod| !runs(pod, "b")).await;
    assert_eq!(phase(&pod), "Running");
    world.until_gone().await;
    assert_eq!(world.now() - asked, 30);
}

#[tokio::test(start_paused = true)]
async fn a_second_deletion_shortens_the_wait() {
    let world = World::new().await;
    world.fake.script("a", &[Behaviour::Ignores]);
    world.apply(json!({"containers": containers(&["a"])})).await;
    world.until("ready", ready).await;
    let asked = world.now();
    world.delete(30).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.delete(1).await;
    world.until_gone().await;
    // The window is never shorter than two seconds.
    assert_eq!(world.now() - asked, 7);
    assert_eq!(
        world.fake.calls()[2..4],
        ["stop a 30s".to_owned(), "stop a 2s".to_owned()]
    );
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_removed_by_force_takes_its_containers_along() {
    let world = World::new().await;
    world.apply(json!({"containers": containers(&["a"])})).await;
    world.until("ready", ready).await;
    let key = ObjectKey::pod("default", "p");
    world.spec.remove(&key, None, None).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.fake.sandbox_count(), 0);
    assert_eq!(world.leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn images_that_are_not_here() {
    let world = World::new().await;
    world
        .apply(json!({"containers": [
            {"name": "a", "image": "absent", "imagePullPolicy": "Never"},
            {"name": "b", "image": "absent-too", "imagePullPolicy": "IfNotPresent"},
            {"name": "c", "image": "UPPER", "imagePullPolicy": "IfNotPresent"},
            {"name": "d", "image": "localhost/here:latest", "imagePullPolicy": "Always"},
            {"name": "e", "image": "here:latest", "imagePullPolicy": "Always"},
        ]}))
        .await;
    let pod = world
        .until("told", |pod| {
            waits(pod, "e").as_deref() == Some("ErrImagePull") && runs(pod, "d")
        })
        .await;
    assert_eq!(phase(&pod), "Pending");
    assert_eq!(waits(&pod, "a").as_deref(), Some("ErrImageNeverPull"));
    assert_eq!(waits(&pod, "b").as_deref(), Some("ErrImagePull"));
    assert_eq!(waits(&pod, "c").as_deref(), Some("InvalidImageName"));
    world
        .until("in pull back-off", |pod| {
            waits(pod, "b").as_deref() == Some("ImagePullBackOff")
        })
        .await;
    let backed_off = world.now();
    world
        .until("pulled again", |pod| {
            waits(pod, "b").as_deref() == Some("ErrImagePull")
        })
        .await;
    assert_eq!(world.now() - backed_off, 9);
    let events = world.events().await;
    let has = |reason: &str, message: &str| {
        assert!(
            events.contains(&(reason.to_owned(), message.to_owned())),
            "{reason} {message}: {events:#?}"
        );
    };
    has(
        "ErrImageNeverPull",
        "Container image \"absent\" is not present with pull policy of Never",
    );
    has("Failed", "Error: ErrImageNeverPull");
    has("Pulling", "Pulling image \"absent-too\"");
    has("Failed", "Error: ErrImagePull");
    has("BackOff", "Back-off pulling image \"absent-too\"");
    has("Failed", "Error: ImagePullBackOff");
    has(
        "InspectFailed",
        "Failed to apply default image tag \"UPPER\": couldn't parse image name \"UPPER\": invalid reference format: repository name must be lowercase",
    );
    world.delete(0).await;
    world.until_gone().await;
}

#[tokio::test(start_paused = true)]
async fn failures_to_create_and_to_start() {
    let world = World::new().await;
    world.fake.refuse_sandboxes(1);
    world
        .fake
        .script("a", &[Behaviour::FailsToCreate, Behaviour::Runs]);
    world.fake.script("b", &[Behaviour::FailsToStart]);
    world
        .apply(json!({"containers": containers(&["a", "b"])}))
        .await;
    let pod = world
        .until("tried", |pod| {
            waits(pod, "b").as_deref() == Some("RunContainerError")
        })
        .await;
    assert_eq!(waits(&pod, "a").as_deref(), Some("CreateContainerError"));
    assert_eq!(last_end(&pod, "b"), Some(("StartError".to_owned(), 128)));
    world
        .until("better", |pod| {
            runs(pod, "a") && waits(pod, "b").as_deref() == Some("CrashLoopBackOff")
        })
        .await;
    let events = world.events().await;
    for expected in [
        "Failed to create pod sandbox: creating the bridge failed",
        "Error: mounting /nope failed",
        "Error: exec: \"nope\": not found",
    ] {
        assert!(
            events.iter().any(|(_, message)| message == expected),
            "{expected}: {events:#?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_pause_makes_a_new_sandbox() {
    let world = World::new().await;
    world
        .apply(json!({"containers": containers(&["a", "b"])}))
        .await;
    world.until("ready", ready).await;
    let old = world.fake.only_sandbox().spec.id;
    world.fake.kill_pause();
    let pod = world
        .until("up again", |pod| {
            ready(pod) && status(pod, "a").restart_count == 1 && status(pod, "b").restart_count == 1
        })
        .await;
    assert_ne!(world.fake.only_sandbox().spec.id, old);
    assert_eq!(last_end(&pod, "a"), Some(("Error".to_owned(), 143)));
    assert!(world.reasons().await.contains(&"SandboxChanged".to_owned()));
    let labels = world.fake.only_sandbox().spec.labels;
    assert_eq!(labels["podtui.dev/sandbox-attempt"], "1");
}

#[tokio::test(start_paused = true)]
async fn a_dead_shim_leaves_an_unknown_end() {
    let world = World::new().await;
    world.apply(json!({"containers": containers(&["a"])})).await;
    world.until("ready", ready).await;
    world.fake.kill_shims(true);
    let pod = world
        .until("up again", |pod| {
            status(pod, "a").restart_count == 1 && runs(pod, "a")
        })
        .await;
    assert_eq!(
        last_end(&pod, "a"),
        Some(("ContainerStatusUnknown".to_owned(), 137))
    );
}

#[tokio::test(start_paused = true)]
async fn the_next_engine_adopts_what_runs() {
    let world = World::new().await;
    world.fake.script(
        "b",
        &[
            Behaviour::Exits {
                after: Duration::from_secs(1),
                code: 1,
            },
            Behaviour::Runs,
        ],
    );
    world
        .apply(json!({"containers": containers(&["a", "b"])}))
        .await;
    let before = world
        .until("b runs again", |pod| {
            ready(pod) && status(pod, "b").restart_count == 1
        })
        .await;
    let calls = world.fake.calls();
    let sandbox = world.fake.only_sandbox();
    let world = world.restart().await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    let after = world.until("ready", ready).await;
    assert_eq!(world.fake.calls(), calls);
    assert_eq!(world.fake.only_sandbox(), sandbox);
    assert_eq!(
        before.status.as_ref().unwrap().container_statuses,
        after.status.as_ref().unwrap().container_statuses
    );
    assert_eq!(
        before.status.as_ref().unwrap().pod_ip,
        after.status.as_ref().unwrap().pod_ip
    );

    // What ends while no engine is there is dealt with by the next one.
    let world = {
        world.engine.shut_down(false).await;
        world.fake.end("a", 9);
        world.restart().await
    };
    let pod = world
        .until("a runs again", |pod| {
            status(pod, "a").restart_count == 1 && runs(pod, "a")
        })
        .await;
    assert_eq!(last_end(&pod, "a"), Some(("Error".to_owned(), 9)));
    assert_eq!(status(&pod, "b").restart_count, 1);
}

#[tokio::test(start_paused = true)]
async fn shims_that_died_without_an_engine_are_replaced() {
    let world = World::new().await;
    world.apply(json!({"containers": containers(&["a"])})).await;
    world.until("ready", ready).await;
    world.engine.shut_down(false).await;
    world.fake.kill_shims(false);
    let world = world.restart().await;
    let pod = world
        .until("up again", |pod| {
            status(pod, "a").restart_count == 1 && runs(pod, "a")
        })
        .await;
    assert_eq!(
        last_end(&pod, "a"),
        Some(("ContainerStatusUnknown".to_owned(), 137))
    );
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_whose_pod_was_removed_meanwhile_goes() {
    let world = World::new().await;
    world.apply(json!({"containers": containers(&["a"])})).await;
    world.until("ready", ready).await;
    world.engine.shut_down(false).await;
    let key = ObjectKey::pod("default", "p");
    world.spec.remove(&key, None, None).await.unwrap();
    let world = world.restart().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.fake.sandbox_count(), 0);
    assert_eq!(world.leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_ends_keeps_its_status_and_nothing_else() {
    let world = World::new().await;
    let ends = |code| {
        [Behaviour::Exits {
            after: Duration::from_secs(1),
            code,
        }]
    };
    world.fake.script("a", &ends(0));
    world.fake.script("b", &ends(4));
    world
        .apply(json!({"containers": containers(&["a", "b"]), "restartPolicy": "Never"}))
        .await;
    let pod = world.until("ended", |pod| phase(pod) == "Failed").await;
    assert!(!ready(&pod));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.fake.sandbox_count(), 0);
    // Logs stay with the object.
    let left = world.leftovers();
    assert!(
        left.len() == 1 && left[0].contains("logs/pods/default_p_"),
        "{left:?}"
    );
    let world = world.restart().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.pod().unwrap().status, pod.status);
    assert_eq!(world.fake.sandbox_count(), 0);
    let key = ObjectKey::pod("default", "p");
    world.spec.remove(&key, None, None).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn the_active_deadline_ends_a_pod() {
    let world = World::new().await;
    world
        .apply(json!({"containers": containers(&["a"]), "activeDeadlineSeconds": 20}))
        .await;
    world.until("ready", ready).await;
    let pod = world.until("failed", |pod| phase(pod) == "Failed").await;
    assert!((20..=21).contains(&world.now()), "{}", world.now());
    assert_eq!(
        pod.status.as_ref().unwrap().reason.as_deref(),
        Some("DeadlineExceeded")
    );
    assert!(
        world
            .reasons()
            .await
            .contains(&"DeadlineExceeded".to_owned())
    );
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.fake.sandbox_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_changed_image_restarts_one_container_in_place() {
    let world = World::new().await;
    world
        .apply(json!({"containers": containers(&["a", "b"])}))
        .await;
    world.until("ready", ready).await;
    let sandbox = world.fake.only_sandbox().spec.id;
    let mut pod = Pod::clone(&world.pod().unwrap());
    pod.spec.as_mut().unwrap().containers[0].image = Some("localhost/other".to_owned());
    let object = Object::Pod(Arc::new(pod));
    world.spec.update(Admitted::for_test(object)).await.unwrap();
    let pod = world
        .until("changed", |pod| {
            status(pod, "a").image == "localhost/other" && ready(pod)
        })
        .await;
    assert_eq!(status(&pod, "a").restart_count, 1);
    assert_eq!(status(&pod, "b").restart_count, 0);
    assert_eq!(world.fake.only_sandbox().spec.id, sandbox);
    let events = world.events().await;
    assert!(events.contains(&(
        "Killing".to_owned(),
        "Container a definition changed, will be restarted".to_owned()
    )));
}

#[tokio::test(start_paused = true)]
async fn stopping_the_engine_with_its_pods_lets_the_next_one_start_them_again() {
    let world = World::new().await;
    world.apply(json!({"containers": containers(&["a"])})).await;
    world.until("ready", ready).await;
    world.engine.shut_down(true).await;
    assert_eq!(world.fake.sandbox_count(), 0);
    assert!(world.pod().is_some());
    let world = world.restart().await;
    world
        .until("up again", |pod| {
            ready(pod) && status(pod, "a").restart_count == 1
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn usage_and_images() {
    let world = World::new().await;
    world
        .apply(json!({"containers": [{"name": "a", "image": "used", "imagePullPolicy": "Never"}]}))
        .await;
    world.until("ready", ready).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    for _ in 0..2 {
        let usage = world.engine.usage().await;
        assert_eq!(usage.len(), 1);
        assert_eq!(usage[0].containers.len(), 1);
        assert_eq!(usage[0].containers[0].cpu_nanocores, 500_000_000);
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    let images = world.engine.images().await.unwrap();
    let users: Vec<(&str, usize)> = images
        .iter()
        .map(|image| (image.names[0].as_str(), image.used_by.len()))
        .collect();
    assert_eq!(users, [("used", 1), ("idle", 0)]);
    let refused = world.engine.remove_image("used", false).await.unwrap_err();
    assert_eq!(refused.to_string(), "image \"used\" is used by default/p");
    assert!(world.fake.discover().await.is_ok());
}
