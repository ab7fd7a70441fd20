use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};
use tokio::task::JoinSet;

use super::files::{FileWork, next_log, post_start_marks, remove_directory};
use super::image::{NotNow, RETRY};
use super::launch::{Launch, Launched, NewInstance, StartTurn};
use super::task::PodWorker;
use crate::base::{ContainerId, SandboxId, chain};
use crate::engine::observe::Instance;
use crate::engine::recorder::Level;
use crate::engine::restart::backoff_key;
use crate::engine::status::is_terminal;
use crate::engine::translate::{
    ContainerInputs, SandboxInputs, TranslateError, container_spec, qos_totals, sandbox_spec,
};
use crate::image::ImageRecord;
use crate::model::pod::{find_ephemeral, qos_class};
use crate::network::Hostname;
use crate::runtime::RuntimeError;
use crate::volume::Scratch;
use crate::wire::{ContainerSpec, Stage};

/// How a container gets its instance.
pub(super) enum Start {
    New {
        attempt: Option<u32>,
        /// The end of the last run that was over when the start was planned: what the back-off counts.
        ended_at: Option<Timestamp>,
    },
    Created {
        id: ContainerId,
    },
}

/// Why there is no sandbox: the kubelet makes the cgroup of a pod itself, before it asks the runtime.
enum NotBuilt {
    Cgroup(String),
    Other(String),
}

impl NotBuilt {
    fn of(error: &RuntimeError) -> Self {
        let text = chain(error);
        match error {
            RuntimeError::Fault(fault) if fault.stage == Stage::Cgroup => Self::Cgroup(text),
            _ => Self::Other(text),
        }
    }
}

impl PodWorker {
    pub(super) fn logs(&self) -> PathBuf {
        let meta = &self.pod.metadata;
        self.machine.directories.pod_logs(
            meta.namespace.as_deref().unwrap_or_default(),
            meta.name.as_deref().unwrap_or_default(),
            &self.uid,
        )
    }

    pub(super) fn scratch(&self, container: &str, attempt: u32) -> Scratch {
        Scratch::of(&self.machine.directories.pod(&self.uid), container, attempt)
    }

    pub(super) fn log_path(&self, container: &str, attempt: u32) -> PathBuf {
        self.logs().join(container).join(format!("{attempt}.log"))
    }

    fn hostname(&self) -> Result<Hostname, String> {
        let machine = &self.machine;
        Hostname::of(&self.pod, &machine.node.name, &machine.limits.dns.domain)
            .map_err(|error| chain(&error))
    }

    fn host_network(&self) -> bool {
        self.pod
            .spec
            .as_ref()
            .and_then(|spec| spec.host_network)
            .unwrap_or(false)
    }

    /// Volumes first, then address and sandbox. `Err`: when to try again.
    pub(super) async fn create_sandbox(&mut self) -> Result<(), Duration> {
        self.ensure_directory().await?;
        self.ensure_volumes().await?;
        let failed = |worker: &Self, text: String| {
            worker.no_sandbox(
                "FailedCreatePodSandBox",
                "Failed to create pod sandbox",
                &text,
            )
        };
        let hostname = self.hostname().map_err(|text| failed(self, text))?;
        let network = if self.host_network() {
            None
        } else {
            let plan = self.machine.network.reserve(&self.uid);
            Some(plan.map_err(|error| failed(self, chain(&error)))?)
        };
        let spec = self.pod.spec.clone().unwrap_or_default();
        let user = if spec.host_users == Some(false) {
            let ids = self.machine.ids.reserve(&self.uid);
            Some(
                ids.ok_or_else(|| failed(self, "no ids are left for a user namespace".to_owned()))?,
            )
        } else {
            None
        };
        let (living, _) = self.machine.store.list::<Pod>(None);
        let totals = qos_totals(
            living
                .iter()
                .filter(|pod| {
                    let phase = pod
                        .status
                        .as_ref()
                        .and_then(|status| status.phase.as_deref());
                    !is_terminal(phase)
                })
                .filter_map(|pod| pod.spec.as_ref()),
        );
        let id = SandboxId::random();
        let cgroup_root = self.machine.cgroup_root();
        let wanted = sandbox_spec(SandboxInputs {
            pod: &self.pod,
            id: id.clone(),
            attempt: self.next_sandbox,
            directory: self.machine.directories.sandbox(&self.uid),
            hostname: hostname.kernel,
            network,
            cgroup_root: &cgroup_root,
            qos: qos_class(&spec),
            totals,
            pids_limit: self.machine.limits.pod_pids,
            huge_pages: self.machine.node.limited_huge_pages(),
            user,
        });
        self.next_sandbox = self.next_sandbox.saturating_add(1);
        // Routed before it exists: no event of it is missed, and nobody takes it for the last one.
        self.machine.board.route(&id, &self.hint);
        let warm_up = self.warm_up(wanted.network.as_ref().map(|plan| plan.address.addr()));
        let runtime = Arc::clone(&self.machine.runtime);
        let building = tokio::spawn(async move { runtime.run_pod_sandbox(wanted).await });
        self.building = Some((id, building));
        let (built, ()) = tokio::join!(self.take_built(), warm_up);
        match built {
            Ok(()) => {
                self.publish();
                Ok(())
            }
            Err(NotBuilt::Cgroup(text)) => {
                let what = "unable to ensure pod container exists";
                Err(self.no_sandbox("FailedCreatePodContainer", what, &text))
            }
            Err(NotBuilt::Other(text)) => Err(failed(self, text)),
        }
    }

    /// Tells why there is no sandbox, and when to try again.
    fn no_sandbox(&self, reason: &str, what: &str, text: &str) -> Duration {
        let hint = self.machine.node.powerless.as_deref();
        let hint = hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        let message = format!("{what}: {text}{hint}");
        self.event(Level::Warning, reason, message);
        RETRY
    }

    /// Where everything of the pod is. `Err`: when to try again.
    async fn ensure_directory(&self) -> Result<(), Duration> {
        let path = self.machine.directories.pod(&self.uid);
        let made = tokio::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(&path)
            .await;
        made.map_err(|error| {
            let text = format!(
                "error making pod data directories: {}: {error}",
                path.display()
            );
            self.event(Level::Warning, "Failed", text);
            RETRY
        })
    }

    /// Waits for the sandbox that is being built, if any, and takes it over. Cancel-safe.
    async fn take_built(&mut self) -> Result<(), NotBuilt> {
        let Some((id, building)) = &mut self.building else {
            return Ok(());
        };
        let built = match building.await {
            Ok(built) => built.map_err(|error| NotBuilt::of(&error)),
            Err(error) => Err(NotBuilt::Other(error.to_string())),
        };
        let id = id.clone();
        self.building = None;
        match built {
            Ok(state) => {
                self.machine.board.note(&state.notes);
                self.sandbox = Some(state);
                Ok(())
            }
            Err(why) => {
                self.machine.board.unroute(&id);
                Err(why)
            }
        }
    }

    /// Waits for what a dropped pass left under way, so that all there is of the pod is known.
    pub(super) async fn settle(&mut self) {
        if let Err(NotBuilt::Cgroup(text) | NotBuilt::Other(text)) = self.take_built().await {
            tracing::info!(pod = self.name(), text, "no sandbox was made");
        }
        self.work.close();
        self.work.wait().await;
        self.work.reopen();
    }

    /// Makes the files of the containers while the sandbox is being built. Each start ensures its files
    /// again, so a failure here shows there; on a slow disk this takes most of a start off its path.
    fn warm_up(&self, address: Option<Ipv4Addr>) -> impl Future<Output = ()> + use<> {
        let tracker = self.work.clone();
        let mut work = Vec::new();
        if let (Some(prepared), Ok(hostname)) = (&self.volumes.prepared, self.hostname()) {
            let addresses: Vec<IpAddr> = match address {
                Some(address) => vec![address.into()],
                None => self.addresses(),
            };
            let seen = self.observation();
            for container in self.first_starts() {
                let newest = seen.instances.newest(&container.name);
                let logs = self.logs().join(&container.name);
                work.push(FileWork {
                    images: BTreeMap::new(),
                    machine: Arc::clone(&self.machine),
                    pod: self.pod.clone(),
                    container: container.clone(),
                    attempt: newest.map_or_else(
                        || next_log(&logs),
                        |instance| instance.attempt.saturating_add(1),
                    ),
                    prepared: Arc::clone(prepared),
                    addresses: addresses.clone(),
                    hostname: hostname.clone(),
                    pod_directory: self.machine.directories.pod(&self.uid),
                    log_directory: logs,
                });
            }
        }
        async move {
            let done = tracker.spawn_blocking(move || {
                for container in &work {
                    if let Err(error) = container.run() {
                        tracing::debug!(%error, "files could not be made ahead");
                    }
                }
            });
            if let Err(error) = done.await {
                tracing::warn!(%error, "making files ahead was cut short");
            }
        }
    }

    /// What a new sandbox starts with. The others must not be looked at yet: their mounts may lead to what
    /// the init containers will have made.
    fn first_starts(&self) -> Vec<&Container> {
        let Some(spec) = &self.pod.spec else {
            return Vec::new();
        };
        match spec.init_containers.iter().flatten().next() {
            Some(first) => vec![first],
            None => spec.containers.iter().collect(),
        }
    }

    /// Starts these containers in this order, but without waiting for one before the next is begun: each
    /// is prepared in its turn, and what the shim does for one goes on beside the preparation of the next.
    /// A pull waits until what was begun has been told, and a postStart hook runs alone.
    /// Returns when to try again those that failed.
    pub(super) async fn start_all(&mut self, starts: Vec<(String, Start)>) -> Option<Duration> {
        let mut launches = JoinSet::new();
        let mut last_turn = None;
        let mut again: Option<Duration> = None;
        for (name, how) in starts {
            let Some(container) = self.find_container(&name) else {
                continue;
            };
            let hooked = container
                .lifecycle
                .as_ref()
                .is_some_and(|lifecycle| lifecycle.post_start.is_some());
            if !launches.is_empty() && (hooked || !self.is_present(&container).await) {
                again = sooner(again, self.finish_launches(&mut launches).await);
            }
            match self.prepare_start(&container, how).await {
                Ok(mut launch) => {
                    launch.turn = StartTurn::next(&mut last_turn);
                    if hooked {
                        self.starting.insert(launch.id().clone());
                    }
                    launches.spawn(launch.run());
                    if hooked {
                        again = sooner(again, self.finish_launches(&mut launches).await);
                    }
                }
                Err(not_now) => {
                    again = sooner(again, Some(not_now.retry_after));
                    self.not_started(&name, not_now);
                }
            }
        }
        sooner(again, self.finish_launches(&mut launches).await)
    }

    async fn finish_launches(&mut self, launches: &mut JoinSet<Launched>) -> Option<Duration> {
        let mut again = None;
        while let Some(launched) = launches.join_next().await {
            match launched {
                Ok((name, id, Ok(()))) => {
                    self.starting.remove(&id);
                    self.history.waiting.remove(&name);
                }
                Ok((name, id, Err(not_now))) => {
                    self.starting.remove(&id);
                    again = sooner(again, Some(not_now.retry_after));
                    self.not_started(&name, not_now);
                }
                Err(error) => tracing::warn!(%error, "starting a container was cut short"),
            }
        }
        self.observe().await;
        self.publish();
        again
    }

    fn not_started(&mut self, name: &str, not_now: NotNow) {
        let why = not_now.why;
        tracing::info!(
            pod = self.name(),
            container = name,
            reason = why.reason,
            text = why.message,
            "container not started"
        );
        self.history.waiting.insert(name.to_owned(), why);
        self.publish();
    }

    async fn is_present(&self, container: &Container) -> bool {
        let name = container.image.as_deref().unwrap_or_default();
        matches!(self.machine.images.status(name).await, Ok(Some(_)))
    }

    async fn prepare_start(&mut self, container: &Container, how: Start) -> Result<Launch, NotNow> {
        let instance = match how {
            Start::Created { id } if self.starting.contains(&id) => NewInstance::Started(id),
            Start::Created { id } => NewInstance::Created(id),
            Start::New { attempt, ended_at } => {
                self.new_instance(container, attempt, ended_at).await?
            }
        };
        let marks = post_start_marks(&self.machine.directories.pod(&self.uid));
        Ok(Launch {
            machine: Arc::clone(&self.machine),
            pod: Arc::new(self.pod.clone()),
            container: container.clone(),
            post_start_mark: marks.join(instance.id().to_string()),
            grace: self.grace(),
            net: self.pod_net(&self.observation()),
            instance,
            turn: StartTurn::default(),
        })
    }

    async fn new_instance(
        &mut self,
        container: &Container,
        attempt: Option<u32>,
        ended_at: Option<Timestamp>,
    ) -> Result<NewInstance, NotNow> {
        let name = &container.name;
        if let Some(ended_at) = ended_at {
            let now = self.machine.clock.now();
            self.backoffs.step(backoff_key(container), ended_at, now);
        }
        let image = self.ensure_image(container).await?;
        let attempt = attempt.unwrap_or_else(|| next_log(&self.logs().join(name)));
        let images = self.ensure_image_volumes(container).await?;
        let spec = self
            .container_spec(container, attempt, &image, images)
            .await?;
        let Some(sandbox) = self.sandbox.as_ref().map(|state| state.spec.id.clone()) else {
            return Err(NotNow::new(
                "CreateContainerError",
                "the pod has no sandbox",
                RETRY,
            ));
        };
        self.forget_old(name, attempt);
        Ok(NewInstance::Wanted(sandbox, Box::new(spec)))
    }

    async fn container_spec(
        &mut self,
        container: &Container,
        attempt: u32,
        image: &ImageRecord,
        images: BTreeMap<String, Vec<PathBuf>>,
    ) -> Result<ContainerSpec, NotNow> {
        let refuse = |worker: &Self, error: TranslateError| {
            let text = error.to_string();
            worker.failed(container, &text);
            NotNow::new(error.reason(), text, RETRY)
        };
        let prepared = self
            .ensure_volumes()
            .await
            .map_err(|after| NotNow::new("ContainerCreating", "", after))?;
        let hostname = self
            .hostname()
            .map_err(|text| refuse(self, TranslateError::Config(text)))?;
        let pid_of = self.target_of(&container.name);
        let pid_of = pid_of.map_err(|error| refuse(self, error))?;
        let work = FileWork {
            images,
            machine: Arc::clone(&self.machine),
            pod: self.pod.clone(),
            container: container.clone(),
            attempt,
            prepared,
            addresses: self.addresses(),
            hostname: hostname.clone(),
            pod_directory: self.machine.directories.pod(&self.uid),
            log_directory: self.logs().join(&container.name),
        };
        let made = self
            .work
            .spawn_blocking(move || work.run())
            .await
            .unwrap_or_else(|error| Err(TranslateError::Create(error.to_string())));
        let made = made.map_err(|error| refuse(self, error))?;
        for (reason, message) in made.warnings {
            self.event(Level::Warning, reason, message);
        }
        let spec = self.pod.spec.clone().unwrap_or_default();
        container_spec(ContainerInputs {
            pod: &self.pod,
            container,
            id: ContainerId::random(),
            attempt,
            pid_of,
            image,
            variables: &made.variables,
            hostname: &hostname.kernel,
            qos: qos_class(&spec),
            node_memory: self.machine.node.memory,
            cpus: self.machine.node.cpus,
            huge_pages: self.machine.node.limited_huge_pages(),
            mounts: made.mounts,
            devices: made.devices,
            scratch: self.scratch(&container.name, attempt),
            log_path: self.log_path(&container.name, attempt),
            limits: &self.machine.limits,
            seccomp: made.seccomp,
            apparmor: made.apparmor,
        })
        .map_err(|error| refuse(self, error))
    }

    /// The instance that an ephemeral container looks into.
    fn target_of(&self, name: &str) -> Result<Option<ContainerId>, TranslateError> {
        let spec = self.pod.spec.as_ref();
        let target = spec
            .and_then(|spec| find_ephemeral(spec, name))
            .and_then(|ephemeral| ephemeral.target_container_name.as_deref())
            .filter(|target| !target.is_empty());
        let Some(target) = target else {
            return Ok(None);
        };
        let seen = self.observation();
        match seen.instances.newest(target) {
            Some(instance) if instance.is_running() => Ok(Some(instance.id.clone())),
            _ => Err(TranslateError::Config(format!(
                "unable to find target container {target}"
            ))),
        }
    }

    fn addresses(&self) -> Vec<IpAddr> {
        if self.host_network() {
            return self
                .machine
                .node
                .addresses
                .iter()
                .filter_map(|address| address.parse().ok())
                .collect();
        }
        self.sandbox
            .as_ref()
            .and_then(|state| state.address)
            .map(IpAddr::from)
            .into_iter()
            .collect()
    }

    /// The runtime keeps the newest two instances of a container; what is older goes, behind our back.
    fn forget_old(&self, name: &str, newest: u32) {
        let Some(oldest_kept) = newest.checked_sub(1) else {
            return;
        };
        let old: Vec<(ContainerId, u32)> = self
            .sandbox
            .iter()
            .flat_map(|state| &state.containers)
            .filter_map(Instance::from_runtime)
            .filter(|(other, instance)| other == name && instance.attempt < oldest_kept)
            .map(|(_, instance)| (instance.id, instance.attempt))
            .collect();
        for (id, attempt) in old {
            let runtime = Arc::clone(&self.machine.runtime);
            let scratch = self.scratch(name, attempt);
            self.work.spawn(async move {
                if let Err(error) = runtime.remove_container(&id).await {
                    tracing::warn!(container = %id, error = chain(&error), "an old instance could not be removed");
                    return;
                }
                remove_directory(scratch.directory).await;
                remove_directory(scratch.termination_log).await;
            });
        }
    }
}

fn sooner(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
