use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::accounts;
use super::api::{
    AttachRequest, ContainerUsage, EngineApi, EngineError, EngineStatus, ExecRequest, ImageView,
    PodProcessView, PodProcessesView, PodUsage, PullLayerView, PullView,
};
use super::apparmor::AppArmor;
use super::authority::Authority;
use super::cordon::tell_cordons;
use super::eviction::{
    Evictions, Pressures, evict, keep_away, keep_room, shortages_now, with_condition_taints,
};
use super::forward;
use super::id_ranges::IdRanges;
use super::images::{DiskUsage, ImageGc, Pruned, collect_images};
use super::machine::{
    Board, ContainerEntry, Directories, Machine, NodeLimits, PodEntry, path_hash,
};
use super::node::{
    NodeFacts, beginnings, node_object, now_is, pressure_conditions, rebooted, successor,
};
use super::node_usage::{
    CpuTime, NodeUsage, rate, uptime_nanoseconds, used_nanoseconds, working_set,
};
use super::placement::Placements;
use super::recorder::{Level, Recorder};
use super::supervisor::{ShutDown, Supervisor};
use super::tokens::{IssuedToken, TokenOrder, Tokens};
use crate::base::{Clock, ContainerId, Incident, Login, SessionStream, Uid, chain};
use crate::image::{Asker, ImageService, PullPhase, PullProgress, PullSecret};
use crate::model::ObjectKey;
use crate::network::Allocator;
use crate::runtime::{ContainerRuntime, RuntimeError};
use crate::store::{StatusWriter, Store};
use crate::wire::{AttachSpec, ContainerStats, ExecSpec, Stage};

/// Two readings closer than this give the same answer.
const USAGE_EVERY: Duration = Duration::from_secs(1);

/// Everything an engine is made of.
pub(crate) struct Parts {
    pub(crate) state_dir: PathBuf,
    pub(crate) run_dir: PathBuf,
    /// Name of the Node object, usually the machine's host name.
    pub(crate) node_name: String,
    pub(crate) runtime: Arc<dyn ContainerRuntime>,
    pub(crate) images: Arc<dyn ImageService>,
    pub(crate) image_gc: ImageGc,
    pub(crate) network: Allocator,
    pub(crate) limits: NodeLimits,
    pub(crate) clock: Clock,
    pub(crate) store: Store,
    pub(crate) status: StatusWriter,
    /// What was found damaged and mended or left out before the engine began.
    pub(crate) damage: Vec<String>,
}

/// The front of a running engine. Dropping it ends nothing; [`EngineApi::shut_down`] does.
pub(crate) struct EngineHandle {
    machine: Arc<Machine>,
    shut_down: mpsc::Sender<ShutDown>,
    readings: Mutex<Readings>,
}

#[derive(Default)]
struct Readings {
    taken_at: Option<Timestamp>,
    usage: Vec<PodUsage>,
    node: Option<CpuTime>,
    /// Time and total CPU nanoseconds of the reading before.
    before: HashMap<ContainerId, (Timestamp, u64)>,
}

/// Adopts what runs already and starts to work. Returns when everything that was found has been looked at.
pub(crate) async fn start(parts: Parts) -> Result<EngineHandle, EngineError> {
    let status = Arc::new(parts.status);
    let node = NodeFacts::read(parts.node_name, &parts.state_dir);
    let recorder = Recorder::start(Arc::clone(&status), node.name.clone(), parts.clock.clone());
    let now = parts.clock.now();
    let known = parts.store.get("", &node.name);
    for (reason, text) in beginnings(&node.name, known.is_none()) {
        recorder.node(&node.name, Level::Normal, reason, text);
    }
    if let Some(boot) = known.as_deref().and_then(rebooted) {
        // The kubelet's words.
        let text = format!("Node {} has been rebooted, boot id: {boot}", node.name);
        recorder.node(&node.name, Level::Warning, "Rebooted", text);
    }
    let pressures =
        Pressures::default().after(&shortages_now(&parts.state_dir, &parts.limits), now);
    let object = node_object(&node, parts.limits.max_pods, now);
    let object = successor(object, known.as_deref());
    let (object, changes) = pressure_conditions(&object, pressures, now);
    for reason in changes {
        let text = now_is(&node.name, reason);
        recorder.node(&node.name, Level::Normal, reason, text);
    }
    let object = with_condition_taints(&object, now).unwrap_or(object);
    status.put_node(object).await.map_err(internal)?;
    let evictions = Evictions::default();
    evictions.set_pressures(pressures);
    let authority = Authority::open(&parts.state_dir.join("pki")).map_err(internal)?;
    let tokens = Tokens::new(authority);
    let ids = IdRanges::new(path_hash(&parts.run_dir), Path::new("/etc"));
    let machine = Arc::new(Machine {
        runtime: parts.runtime,
        images: parts.images,
        network: parts.network,
        clock: parts.clock,
        store: parts.store,
        status,
        recorder,
        directories: Directories {
            state: parts.state_dir,
            run: parts.run_dir,
        },
        limits: parts.limits,
        node,
        tokens,
        board: Board::default(),
        evictions,
        placements: Placements::default(),
        ids,
        apparmor: AppArmor::default(),
        removals: TaskTracker::new(),
        started_at: now,
    });
    machine.board.note(machine.node.powerless.as_slice());
    machine.board.note(&parts.damage);
    for text in parts.damage {
        machine
            .recorder
            .node(&machine.node.name, Level::Warning, "StateDamaged", text);
    }
    accounts::ensure_all(&machine).await;
    let (shut_down, requests) = mpsc::channel(1);
    let supervisor = Supervisor::new(Arc::clone(&machine), requests)
        .await
        .map_err(internal)?;
    let collecting = tokio::spawn(collect_images(Arc::clone(&machine), parts.image_gc));
    let keeping_room = tokio::spawn(keep_room(Arc::clone(&machine)));
    let keeping_away = tokio::spawn(keep_away(Arc::clone(&machine)));
    let telling = tokio::spawn(tell_cordons(Arc::clone(&machine)));
    tokio::spawn(async move {
        supervisor.run().await;
        collecting.abort();
        keeping_room.abort();
        keeping_away.abort();
        telling.abort();
    });
    Ok(EngineHandle {
        machine,
        shut_down,
        readings: Mutex::default(),
    })
}

fn internal(error: impl std::error::Error + 'static) -> EngineError {
    EngineError::Internal(chain(&error))
}

fn session_error(error: RuntimeError, container: &str) -> EngineError {
    match error {
        RuntimeError::UnknownContainer(_) | RuntimeError::UnknownSandbox(_) => {
            not_running(container)
        }
        RuntimeError::Fault(fault) if fault.stage == Stage::Request => {
            EngineError::NotRunning(fault.message)
        }
        error => internal(error),
    }
}

/// The kubelet's words.
fn not_running(container: &str) -> EngineError {
    EngineError::NotRunning(format!(
        "unable to upgrade connection: container not found (\"{container}\")"
    ))
}

impl EngineHandle {
    /// Returns when the engine has ended, whoever asked it to.
    pub(crate) async fn ended(&self) {
        self.shut_down.closed().await;
    }

    fn running(&self, pod: &Uid, container: &str) -> Result<ContainerEntry, EngineError> {
        let entry = self
            .machine
            .board
            .pod(pod)
            .ok_or_else(|| not_running(container))?;
        entry
            .containers
            .into_iter()
            .find(|entry| entry.name == container && entry.started_at.is_some())
            .ok_or_else(|| not_running(container))
    }

    async fn read_usage(
        &self,
        before: &mut HashMap<ContainerId, (Timestamp, u64)>,
    ) -> Vec<PodUsage> {
        let mut usage = Vec::new();
        let mut present = HashMap::new();
        let now = self.machine.clock.now();
        for (uid, entry) in self.machine.board.pods() {
            let Some(sandbox) = &entry.sandbox else {
                continue;
            };
            let stats = match self.machine.runtime.stats(sandbox).await {
                Ok(stats) => stats,
                Err(error) => {
                    tracing::debug!(pod = %uid, error = chain(&error), "no usage");
                    continue;
                }
            };
            let mut containers: Vec<ContainerUsage> = stats
                .containers
                .iter()
                .filter_map(|reading| container_usage(&entry, reading, before))
                .collect();
            for reading in stats.containers {
                present.insert(reading.container, (reading.at, reading.cpu_nanoseconds));
            }
            containers.sort_by(|a, b| a.name.cmp(&b.name));
            usage.push(PodUsage {
                pod: uid,
                namespace: entry.namespace,
                name: entry.name,
                at: now,
                containers,
                network: stats
                    .network
                    .map(|counted| (counted.received, counted.sent)),
            });
        }
        *before = present;
        usage.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        usage
    }
}

/// The first reading of a container gives its average since it started.
fn container_usage(
    entry: &PodEntry,
    reading: &ContainerStats,
    before: &HashMap<ContainerId, (Timestamp, u64)>,
) -> Option<ContainerUsage> {
    let container = entry
        .containers
        .iter()
        .find(|container| container.id == reading.container)?;
    let started_at = container.started_at?;
    let (since, used) = before
        .get(&reading.container)
        .copied()
        .unwrap_or((started_at, 0));
    let passed = Duration::try_from(reading.at.duration_since(since)).unwrap_or(Duration::ZERO);
    let used = reading.cpu_nanoseconds.saturating_sub(used);
    let rate = u128::from(used) * 1_000_000_000 / passed.as_nanos().max(1);
    Some(ContainerUsage {
        name: container.name.clone(),
        cpu_nanocores: if passed.is_zero() {
            0
        } else {
            u64::try_from(rate).unwrap_or(u64::MAX)
        },
        memory_bytes: reading.memory_working_set,
        processes: reading.processes,
    })
}

#[async_trait]
impl EngineApi for EngineHandle {
    async fn exec(
        &self,
        pod: &Uid,
        container: &str,
        request: ExecRequest,
    ) -> Result<SessionStream, EngineError> {
        if request.argv.is_empty() {
            return Err(EngineError::BadRequest(
                "you must specify at least one command for the container".to_owned(),
            ));
        }
        let running = self.running(pod, container)?;
        let spec = ExecSpec {
            container: running.id,
            argv: request.argv,
            env: if request.tty {
                vec!["TERM=xterm".to_owned()]
            } else {
                Vec::new()
            },
            tty: request.tty,
            stdin: request.stdin,
            size: request.size,
            kill_with_client: false,
        };
        self.machine
            .runtime
            .exec(spec)
            .await
            .map_err(|error| session_error(error, container))
    }

    async fn attach(
        &self,
        pod: &Uid,
        container: &str,
        request: AttachRequest,
    ) -> Result<SessionStream, EngineError> {
        let running = self.running(pod, container)?;
        let spec = AttachSpec {
            container: running.id,
            stdin: request.stdin,
            stdout: request.stdout,
            stderr: request.stderr,
            size: request.size,
        };
        self.machine
            .runtime
            .attach(spec)
            .await
            .map_err(|error| session_error(error, container))
    }

    async fn usage(&self) -> Vec<PodUsage> {
        // Held while reading: two who ask at once get one reading.
        let mut readings = self.readings.lock().await;
        let now = self.machine.clock.now();
        let fresh = readings.taken_at.is_some_and(|taken| {
            Duration::try_from(now.duration_since(taken)).is_ok_and(|age| age < USAGE_EVERY)
        });
        if !fresh {
            let mut before = std::mem::take(&mut readings.before);
            readings.usage = self.read_usage(&mut before).await;
            readings.before = before;
            readings.taken_at = Some(now);
        }
        readings.usage.clone()
    }

    async fn processes(&self, pod: &Uid) -> Result<PodProcessesView, EngineError> {
        let entry = self.machine.board.pod(pod);
        let (Some(sandbox), containers) = entry.map_or((None, Vec::new()), |entry| {
            (entry.sandbox, entry.containers)
        }) else {
            return Err(EngineError::NotRunning(
                "nothing of the pod runs".to_owned(),
            ));
        };
        let found = match self.machine.runtime.processes(&sandbox).await {
            Ok(found) => found,
            Err(RuntimeError::UnknownSandbox(_)) => {
                return Err(EngineError::NotRunning(
                    "nothing of the pod runs".to_owned(),
                ));
            }
            Err(RuntimeError::Fault(fault)) if fault.stage == Stage::Request => {
                return Err(EngineError::NotRunning(fault.message));
            }
            Err(error) => return Err(internal(error)),
        };
        let name_of = |id: ContainerId| {
            let known = containers.iter().find(|container| container.id == id);
            known.map_or_else(|| id.to_string(), |container| container.name.clone())
        };
        Ok(PodProcessesView {
            at: found.at,
            total: found.total,
            processes: found
                .processes
                .into_iter()
                .map(|one| PodProcessView {
                    container: one.container.map(name_of),
                    process: one.process,
                })
                .collect(),
        })
    }

    async fn node_usage(&self) -> Result<NodeUsage, EngineError> {
        let file = |path: &str| {
            let text = std::fs::read_to_string(path);
            text.map_err(|error| EngineError::Internal(format!("read {path}: {error}")))
        };
        let unreadable = |path: &str| EngineError::Internal(format!("{path} is not as expected"));
        let mut readings = self.readings.lock().await;
        let now = CpuTime {
            at: self.machine.clock.now(),
            used_nanoseconds: used_nanoseconds(&file("/proc/stat")?)
                .ok_or_else(|| unreadable("/proc/stat"))?,
        };
        let uptime = uptime_nanoseconds(&file("/proc/uptime")?);
        let memory = working_set(&file("/proc/meminfo")?);
        let before = readings.node.replace(now);
        Ok(NodeUsage {
            name: self.machine.node.name.clone(),
            at: now.at,
            cpu_nanocores: rate(before, now, uptime),
            memory_bytes: memory.ok_or_else(|| unreadable("/proc/meminfo"))?,
        })
    }

    async fn dial(&self, pod: &Uid, port: u16) -> Result<TcpStream, EngineError> {
        forward::dial(&self.machine, pod, port).await
    }

    async fn evict(
        &self,
        key: &ObjectKey,
        uid: &Uid,
        grace_seconds: Option<i64>,
    ) -> Result<(), EngineError> {
        evict(&self.machine, key, uid, grace_seconds)
            .await
            .map_err(internal)
    }

    fn issue_token(&self, order: TokenOrder) -> Result<IssuedToken, EngineError> {
        let issued = self.machine.tokens.issue(order, self.machine.clock.now());
        issued.map_err(|text| EngineError::Internal(text.to_owned()))
    }

    fn incidents(&self, pod: &Uid) -> Vec<Incident> {
        self.machine.board.story(pod)
    }

    fn log_directory(&self, namespace: &str, pod: &str, uid: &Uid, container: &str) -> PathBuf {
        self.machine
            .directories
            .pod_logs(namespace, pod, uid)
            .join(container)
    }

    async fn images(&self) -> Result<Vec<ImageView>, EngineError> {
        let images = self.machine.images.list().await.map_err(internal)?;
        let mut users = self.machine.image_users(&images).await;
        Ok(images
            .into_iter()
            .map(|image| ImageView {
                used_by: users.remove(&image.id).into_iter().flatten().collect(),
                names: image.names,
                id: image.id,
                created: image.created,
                size: image.size,
                layers: image.diff_ids,
                config: image.raw_config,
                repo_digests: image.repo_digests,
                layer_sizes: image.layer_sizes,
                history: image.history,
            })
            .collect())
    }

    async fn prune_images(&self, all: bool) -> Result<Pruned, EngineError> {
        self.machine.prune(all).await.map_err(bad_image)
    }

    async fn disk_usage(&self) -> Result<Vec<DiskUsage>, EngineError> {
        self.machine.disk_usage().await.map_err(bad_image)
    }

    async fn import_image(&self, tar: &Path, name: &str) -> Result<Vec<String>, EngineError> {
        let image = self.machine.images.import(tar, name).await;
        image.map(|image| image.names).map_err(bad_image)
    }

    async fn tag_image(&self, image: &str, name: &str) -> Result<Vec<String>, EngineError> {
        let names = self.machine.images.tag(image, name).await;
        names.map_err(bad_image)
    }

    async fn load_from_daemon(
        &self,
        socket: &Path,
        name: &str,
    ) -> Result<Vec<String>, EngineError> {
        let loaded = self.machine.images.load_from_daemon(socket, name).await;
        loaded.map_err(bad_image)
    }

    async fn save_images(
        &self,
        names: &[String],
    ) -> Result<BoxStream<'static, Result<Bytes, EngineError>>, EngineError> {
        let archive = self.machine.images.save(names).await.map_err(bad_image)?;
        Ok(archive.map(|part| part.map_err(bad_image)).boxed())
    }

    async fn load_images(&self, path: &Path) -> Result<Vec<String>, EngineError> {
        self.machine.images.load(path).await.map_err(bad_image)
    }

    async fn pull_image(
        &self,
        name: &str,
        login: Option<&Login>,
    ) -> Result<Vec<String>, EngineError> {
        let secret = login.map(|login| PullSecret::of_user(name, login));
        let secrets: Vec<PullSecret> = secret.transpose().map_err(bad_image)?.into_iter().collect();
        let pulled = self.machine.images.pull(name, &secrets, Asker::User).await;
        pulled.map(|pulled| vec![pulled.name]).map_err(bad_image)
    }

    async fn untag_image(&self, name: &str) -> Result<Vec<String>, EngineError> {
        self.machine.images.untag(name).await.map_err(bad_image)
    }

    async fn check_login(&self, registry: &str, login: &Login) -> Result<(), EngineError> {
        let checked = self.machine.images.check_login(registry, login).await;
        checked.map_err(bad_image)
    }

    fn pulls(&self) -> Vec<PullView> {
        self.machine
            .images
            .pulls()
            .into_iter()
            .map(pull_view)
            .collect()
    }

    async fn remove_image(&self, name: &str, force: bool) -> Result<Vec<String>, EngineError> {
        let image = self.machine.images.status(name).await.map_err(bad_image)?;
        let users: Vec<String> = match image {
            Some(image) => {
                let id = image.id.clone();
                let mut users = self.machine.image_users(&[image]).await;
                users.remove(&id).into_iter().flatten().collect()
            }
            None => Vec::new(),
        };
        self.machine
            .images
            .remove(name, force, &users)
            .await
            .map_err(bad_image)
    }

    fn status(&self) -> EngineStatus {
        EngineStatus {
            started_at: self.machine.started_at,
            state_dir: self.machine.directories.state.clone(),
            run_dir: self.machine.directories.run.clone(),
            cgroup: self.machine.node.cgroup.clone(),
            notes: self
                .machine
                .store
                .unsaved()
                .borrow()
                .iter()
                .cloned()
                .chain(self.machine.board.notes())
                .collect(),
            pod_pids_limit: (self.machine.limits.pod_pids)
                .and_then(|limit| u64::try_from(limit).ok()),
        }
    }

    async fn shut_down(&self, stop_pods: bool) {
        let (done, ended) = oneshot::channel();
        // A supervisor that is gone already has nothing left to do.
        if self
            .shut_down
            .send(ShutDown { stop_pods, done })
            .await
            .is_ok()
        {
            let _ = ended.await;
        }
    }
}

fn pull_view(progress: PullProgress) -> PullView {
    let layers = progress.layers.into_iter().map(|layer| PullLayerView {
        digest: layer.digest,
        size: layer.size,
        fetched: layer.fetched,
        done: layer.done,
    });
    PullView {
        image: progress.image,
        started_at: progress.started_at,
        phase: match progress.phase {
            PullPhase::Waiting => "Waiting",
            PullPhase::Resolving => "Resolving",
            PullPhase::Fetching => "Fetching",
            PullPhase::Finishing => "Finishing",
        },
        layers: layers.collect(),
    }
}

fn bad_image(error: crate::image::ImageError) -> EngineError {
    use crate::image::ImageError;
    match error {
        ImageError::NotFound(name) => EngineError::NotFound(format!("image \"{name}\"")),
        error @ (ImageError::InvalidName { .. }
        | ImageError::Registry(_)
        | ImageError::EveryPlace { .. }
        | ImageError::DiskFull { .. }
        | ImageError::InUse { .. }
        | ImageError::SeveralNames { .. }
        | ImageError::Toolbox
        | ImageError::NoRecipe { .. }
        | ImageError::BadArchive { .. }) => EngineError::BadRequest(chain(&error)),
        ImageError::Shared(error) => EngineError::BadRequest(chain(&*error)),
        error @ (ImageError::Io { .. } | ImageError::Interrupted | ImageError::TooManyPulls) => {
            internal(error)
        }
    }
}
