//! What all workers share: the rooms below, the directories, the facts of the node, and the board on which
//! each worker shows what it sees.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use super::apparmor::AppArmor;
use super::eviction::{Evictions, SoftThresholds, Thresholds};
use super::id_ranges::IdRanges;
use super::node::NodeFacts;
use super::observe::PodObservation;
use super::placement::Placements;
use super::recorder::Recorder;
use super::tokens::Tokens;
use crate::base::{Clock, ContainerId, Incident, SandboxId, Uid};
use crate::image::ImageService;
use crate::model::{Kind, ObjectKey};
use crate::network::{Allocator, ClusterDns};
use crate::runtime::ContainerRuntime;
use crate::store::{StatusWriter, Store};

pub(super) struct Machine {
    pub(super) runtime: Arc<dyn ContainerRuntime>,
    pub(super) images: Arc<dyn ImageService>,
    pub(super) network: Allocator,
    pub(super) clock: Clock,
    pub(super) store: Store,
    pub(super) status: Arc<StatusWriter>,
    pub(super) recorder: Recorder,
    pub(super) directories: Directories,
    pub(super) limits: NodeLimits,
    pub(super) node: NodeFacts,
    pub(super) tokens: Tokens,
    pub(super) board: Board,
    pub(super) evictions: Evictions,
    pub(super) placements: Placements,
    pub(super) ids: IdRanges,
    pub(super) apparmor: AppArmor,
    /// Removals that nobody waits for before the engine ends.
    pub(super) removals: TaskTracker,
    pub(super) started_at: Timestamp,
}

/// What the kubelet's configuration sets for all pods of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeLimits {
    /// `containerLogMaxSize`, bytes.
    pub(crate) log_max_size: u64,
    /// `containerLogMaxFiles`.
    pub(crate) log_max_files: u32,
    /// `maxPods`.
    pub(crate) max_pods: u32,
    /// `podPidsLimit`; `None` = no limit.
    pub(crate) pod_pids: Option<i64>,
    /// `cgroupRoot`: groups above those of this engine, outermost first.
    pub(crate) cgroup_root: Vec<String>,
    /// `allowedUnsafeSysctls`: names, or beginnings that end with `*`.
    pub(crate) unsafe_sysctls: Vec<String>,
    /// `clusterDNS` and `clusterDomain`.
    pub(crate) dns: ClusterDns,
    /// `evictionHard`.
    pub(crate) eviction: Thresholds,
    /// `evictionSoft`.
    pub(crate) soft_eviction: SoftThresholds,
}

/// Where the files of pods are.
pub(super) struct Directories {
    pub(super) state: PathBuf,
    pub(super) run: PathBuf,
}

impl Directories {
    /// Seccomp profiles that pods can name (`localhostProfile`), as the kubelet's directory `seccomp`.
    pub(super) fn seccomp(&self) -> PathBuf {
        self.state.join("seccomp")
    }

    pub(super) fn pods(&self) -> PathBuf {
        self.state.join("pods")
    }

    pub(super) fn pod(&self, uid: &Uid) -> PathBuf {
        self.pods().join(uid.as_str())
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.state.join("logs/pods")
    }

    pub(super) fn pod_logs(&self, namespace: &str, pod: &str, uid: &Uid) -> PathBuf {
        self.logs().join(format!("{namespace}_{pod}_{uid}"))
    }

    pub(super) fn sandbox(&self, uid: &Uid) -> PathBuf {
        self.run.join("pods").join(uid.as_str())
    }

    /// Name of the cgroup that holds all of this engine: derived from the run directory, so that two
    /// engines of one machine never share a group.
    fn cgroup(&self) -> String {
        format!("podtui-{:08x}", path_hash(&self.run))
    }
}

impl Machine {
    /// The levels above those of the QoS classes, outermost first.
    pub(super) fn cgroup_root(&self) -> Vec<String> {
        let mut levels = self.limits.cgroup_root.clone();
        levels.push(self.directories.cgroup());
        levels
    }
}

/// A short name for a directory: the first 32 bits of the SHA-256 of its path.
pub(crate) fn path_hash(path: &Path) -> u32 {
    use sha2::{Digest, Sha256};
    use std::os::unix::ffi::OsStrExt;
    let digest = Sha256::digest(path.as_os_str().as_bytes());
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}

/// What is known of the pods that exist on the machine, for those who ask the engine: exec, usage, images.
#[derive(Default)]
pub(super) struct Board {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    pods: HashMap<Uid, PodEntry>,
    routes: HashMap<SandboxId, Arc<Notify>>,
    notes: BTreeSet<String>,
    /// Workers to wake when an object changes.
    wants: HashMap<ObjectKey, HashMap<Uid, Arc<Notify>>>,
    stories: HashMap<Uid, Vec<Incident>>,
}

#[derive(Clone, Debug)]
pub(super) struct PodEntry {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) sandbox: Option<SandboxId>,
    pub(super) containers: Vec<ContainerEntry>,
}

#[derive(Clone, Debug)]
pub(super) struct ContainerEntry {
    pub(super) name: String,
    pub(super) id: ContainerId,
    pub(super) image: String,
    pub(super) image_id: String,
    /// `None` unless it runs.
    pub(super) started_at: Option<Timestamp>,
}

impl Inner {
    fn unwant(&mut self, uid: &Uid) {
        self.wants.retain(|_, workers| {
            workers.remove(uid);
            !workers.is_empty()
        });
    }
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn show(&self, uid: &Uid, namespace: &str, name: &str, seen: &PodObservation) {
        let containers = seen
            .instances
            .all()
            .filter(|(_, instance)| instance.current)
            .map(|(name, instance)| ContainerEntry {
                name: name.to_owned(),
                id: instance.id.clone(),
                image: instance.image.clone(),
                image_id: instance.image_id.clone(),
                started_at: instance.running_since(),
            })
            .collect();
        let entry = PodEntry {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            sandbox: seen.sandbox.as_ref().map(|sandbox| sandbox.id.clone()),
            containers,
        };
        self.lock().pods.insert(uid.clone(), entry);
    }

    pub(super) fn take_down(&self, uid: &Uid) {
        self.lock().pods.remove(uid);
    }

    /// What happened to the containers of a pod.
    pub(super) fn tell(&self, uid: &Uid, story: Vec<Incident>) {
        self.lock().stories.insert(uid.clone(), story);
    }

    pub(super) fn story(&self, uid: &Uid) -> Vec<Incident> {
        self.lock().stories.get(uid).cloned().unwrap_or_default()
    }

    pub(super) fn forget_story(&self, uid: &Uid) {
        self.lock().stories.remove(uid);
    }

    pub(super) fn pod(&self, uid: &Uid) -> Option<PodEntry> {
        self.lock().pods.get(uid).cloned()
    }

    pub(super) fn pods(&self) -> Vec<(Uid, PodEntry)> {
        let inner = self.lock();
        inner
            .pods
            .iter()
            .map(|(uid, entry)| (uid.clone(), entry.clone()))
            .collect()
    }

    /// Events of this sandbox wake this worker from now on.
    pub(super) fn route(&self, sandbox: &SandboxId, worker: &Arc<Notify>) {
        self.lock()
            .routes
            .insert(sandbox.clone(), Arc::clone(worker));
    }

    pub(super) fn unroute(&self, sandbox: &SandboxId) {
        self.lock().routes.remove(sandbox);
    }

    pub(super) fn wake(&self, sandbox: &SandboxId) {
        if let Some(worker) = self.lock().routes.get(sandbox) {
            worker.notify_one();
        }
    }

    /// Changes of these objects wake this worker from now on, and those of no others.
    pub(super) fn want(&self, uid: &Uid, objects: BTreeSet<ObjectKey>, worker: &Arc<Notify>) {
        let mut inner = self.lock();
        inner.unwant(uid);
        for key in objects {
            let workers = inner.wants.entry(key).or_default();
            workers.insert(uid.clone(), Arc::clone(worker));
        }
    }

    pub(super) fn unwant(&self, uid: &Uid) {
        self.lock().unwant(uid);
    }

    pub(super) fn object_changed(&self, key: &ObjectKey) {
        for worker in self.lock().wants.get(key).into_iter().flatten() {
            worker.1.notify_one();
        }
    }

    /// Any object of this kind may have changed.
    pub(super) fn objects_changed(&self, kind: Kind) {
        let inner = self.lock();
        let concerned = inner.wants.iter().filter(|(key, _)| key.kind == kind);
        for worker in concerned.flat_map(|(_, workers)| workers.values()) {
            worker.notify_one();
        }
    }

    /// Counts from before a sandbox is created until it has been removed.
    pub(super) fn has_sandboxes(&self) -> bool {
        !self.lock().routes.is_empty()
    }

    pub(super) fn note(&self, notes: &[String]) {
        if !notes.is_empty() {
            self.lock().notes.extend(notes.iter().cloned());
        }
    }

    pub(super) fn notes(&self) -> Vec<String> {
        self.lock().notes.iter().cloned().collect()
    }
}
