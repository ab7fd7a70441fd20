use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod, PodCondition, PodStatus};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use super::files::marked_post_starts;
use super::incidents::Story;
use super::probing::{probe_workers, running};
use super::publish::Publisher;
use super::volumes::Volumes;
use crate::base::{ContainerId, SandboxId, Uid};
use crate::engine::eviction::Eviction;
use crate::engine::machine::Machine;
use crate::engine::observe::{Instances, PodObservation};
use crate::engine::recorder::{KUBELET, Level, SCHEDULER};
use crate::engine::references::references;
use crate::engine::resize::{Allocation, Resizing, allocated};
use crate::engine::restart::{Backoffs, backoff_key};
use crate::engine::status::{History, Why, is_terminal, pod_status};
use crate::model::pod::{
    DISRUPTION, RESIZE_IN_PROGRESS, RESIZE_PENDING, all_containers, find_any_container,
    is_engine_condition, node_name, qos_class,
};
use crate::model::{Object, Resource, Support, unsupported};
use crate::probe::ProbeWorkers;
use crate::runtime::RuntimeError;
use crate::wire::SandboxState;

/// A worker with nothing to do looks at its sandbox this often, in case an event was lost.
const RELIST: Duration = Duration::from_secs(300);

/// What the pod should be.
#[derive(Clone, Debug)]
pub(in crate::engine) enum Desired {
    Pod(Arc<Pod>),
    /// The object is gone from the store: whatever still runs must go.
    Removed,
    /// The engine ends. `stop`: the containers end with it, else they run on.
    ShutDown {
        stop: bool,
    },
}

/// What the runtime found of this pod at start.
#[derive(Debug)]
pub(in crate::engine) enum Found {
    Nothing,
    Alive(Box<SandboxState>),
    /// Its shim is dead; everything has been killed.
    Dead(Box<SandboxState>),
}

/// Why a worker stops syncing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// A deletion was asked for, or the object is gone already.
    Deletion,
    /// The pod ends by itself: terminal phase, deadline, or nothing that can run again.
    Completion,
    /// The engine ends and stops its pods.
    ShutDown,
    /// The engine ends and leaves everything running.
    Leave,
}

pub(in crate::engine) struct PodWorker {
    pub(super) machine: Arc<Machine>,
    pub(super) uid: Uid,
    /// The latest desired pod, with the status published last.
    pub(super) pod: Pod,
    pub(super) desired: watch::Receiver<Desired>,
    pub(super) hint: Arc<Notify>,
    pub(super) publisher: Option<Publisher>,

    pub(super) sandbox: Option<SandboxState>,
    /// A sandbox that is being built. In a task of its own, because nothing else would tell of it when a
    /// deletion drops the pass that wanted it.
    pub(super) building: Option<(SandboxId, JoinHandle<Result<SandboxState, RuntimeError>>)>,
    /// Blocking work on the pod's files; it goes on when the pass that began it is dropped.
    pub(super) work: TaskTracker,
    /// Number of the next sandbox; 0 for the first.
    pub(super) next_sandbox: u32,
    /// Instances of earlier sandboxes.
    pub(super) past: Instances,
    pub(super) messages: HashMap<ContainerId, String>,
    pub(super) history: History,
    pub(super) backoffs: Backoffs,
    pub(super) pull_backoffs: Backoffs,
    pub(super) pull_errors: BTreeMap<String, String>,
    /// Running instances whose postStart hook has not come back.
    pub(super) starting: HashSet<ContainerId>,
    pub(super) volumes: Volumes,
    /// Ends whose back-off has been told already.
    pub(super) told: HashSet<ContainerId>,
    pub(super) probes: ProbeWorkers,
    /// Instances that ran before this engine did; their probes go on from what the status says.
    pub(super) adopted: HashSet<ContainerId>,
    eviction: watch::Receiver<Option<Eviction>>,
    /// Grace of the eviction that ends this pod.
    pub(super) eviction_grace: Option<Duration>,
    pub(super) story: Story,
    /// Why instances are killed on purpose.
    pub(super) causes: HashMap<ContainerId, String>,
}

impl PodWorker {
    pub(in crate::engine) fn new(
        machine: Arc<Machine>,
        pod: Arc<Pod>,
        desired: watch::Receiver<Desired>,
        hint: Arc<Notify>,
        found: Found,
    ) -> Self {
        let uid = pod.uid();
        let now = machine.clock.now();
        let mut past = pod
            .status
            .as_ref()
            .map(Instances::from_status)
            .unwrap_or_default();
        past.outlive_sandbox(now);
        let mut sandbox = None;
        match found {
            Found::Nothing => {}
            Found::Alive(state) => sandbox = Some(*state),
            Found::Dead(state) => {
                past = PodObservation::new(Some(&state), &past).instances;
                past.outlive_sandbox(now);
                sandbox = Some(*state);
            }
        }
        let seen = PodObservation::new(sandbox.as_ref(), &past);
        let mut backoffs = Backoffs::default();
        for container in pod.spec.iter().flat_map(all_containers) {
            let newest = seen.instances.newest(&container.name);
            if let Some((newest, began)) = newest.and_then(|one| Some((one, one.began_at()?))) {
                backoffs.resume(backoff_key(container), newest.attempt, began);
            }
        }
        let next_sandbox = seen
            .sandbox
            .as_ref()
            .map_or(0, |sandbox| sandbox.attempt.saturating_add(1));
        let history = History {
            host_addresses: machine.node.addresses.clone(),
            qos_class: pod
                .spec
                .as_ref()
                .map(|spec| qos_class(spec).as_str().to_owned())
                .unwrap_or_default(),
            started_at: Some(now),
            resize: resizing(&pod),
            ..History::default()
        };
        let logs = machine.directories.pod_logs(
            pod.metadata.namespace.as_deref().unwrap_or_default(),
            pod.metadata.name.as_deref().unwrap_or_default(),
            &uid,
        );
        let story = Story::open(logs);
        machine.board.tell(&uid, story.all());
        Self {
            starting: marked_post_starts(&machine.directories.pod(&uid)),
            uid,
            pod: allocated(&pod),
            desired,
            hint: Arc::clone(&hint),
            publisher: None,
            sandbox,
            building: None,
            work: TaskTracker::new(),
            next_sandbox,
            past,
            messages: HashMap::new(),
            history,
            backoffs,
            pull_backoffs: Backoffs::default(),
            pull_errors: BTreeMap::new(),
            volumes: Volumes::default(),
            told: HashSet::new(),
            probes: probe_workers(&machine, &pod, &hint),
            adopted: running(&seen),
            eviction: machine.evictions.listen(&pod.uid()),
            eviction_grace: None,
            story,
            causes: HashMap::new(),
            machine,
        }
    }

    /// Runs until nothing of the pod is left, or the engine ends.
    pub(in crate::engine) async fn run(mut self) {
        let span_pod = self.name();
        tracing::debug!(pod = span_pod, "worker starts");
        let end = if is_terminal(self.phase()) {
            End::Completion
        } else {
            match self.find_place().await {
                Some(end) => end,
                None => {
                    self.accept();
                    if self.is_rejected() {
                        End::Completion
                    } else {
                        self.syncing().await
                    }
                }
            }
        };
        self.settle().await;
        match end {
            End::Leave => {}
            End::ShutDown => self.shut_down().await,
            End::Completion => {
                self.complete().await;
                self.machine.placements.release(&self.uid);
                if self.until_removed().await {
                    self.remove_object().await;
                }
            }
            End::Deletion => {
                // Tells that the deletion has been seen.
                self.publish();
                self.delete().await;
                self.remove_object().await;
            }
        }
        self.machine.placements.release(&self.uid);
        self.machine.board.unwant(&self.uid);
        self.machine.tokens.forget(&self.uid);
        self.settle().await;
        self.machine.board.forget_story(&self.uid);
        if let Some(publisher) = self.publisher.take() {
            publisher.finish().await;
        }
        tracing::debug!(pod = span_pod, ?end, "worker ends");
    }

    pub(super) fn name(&self) -> String {
        format!(
            "{}/{}",
            self.pod.metadata.namespace.as_deref().unwrap_or_default(),
            self.pod.metadata.name.as_deref().unwrap_or_default()
        )
    }

    pub(super) fn phase(&self) -> Option<&str> {
        self.pod.status.as_ref()?.phase.as_deref()
    }

    /// The pod has its place: it is bound to the one node, and told what it asks for in vain.
    pub(super) fn accept(&mut self) {
        let node = self.machine.node.name.clone();
        let bind = node_name(&self.pod).is_none();
        if bind {
            self.history.started_at = Some(self.machine.clock.now());
            self.machine.recorder.pod(
                SCHEDULER,
                &self.pod,
                None,
                Level::Normal,
                "Scheduled",
                format!("Successfully assigned {} to {node}", self.name()),
            );
            for field in unsupported(&self.pod) {
                self.event(Level::Warning, "UnsupportedField", field.to_string());
            }
        }
        self.publisher = Some(Publisher::start(
            Arc::clone(&self.machine.status),
            self.pod.key(),
            self.uid.clone(),
            bind.then_some(node),
        ));
        self.want_objects();
        if let Some(sandbox) = &self.sandbox {
            self.machine.board.route(&sandbox.spec.id, &self.hint);
        }
    }

    /// Changes of the objects that the pod refers to wake this worker.
    fn want_objects(&self) {
        let board = &self.machine.board;
        board.want(&self.uid, references(&self.pod), &self.hint);
    }

    /// A pod with a field that must not be ignored is held: it stays as it is and nothing starts.
    pub(super) fn is_held(&self) -> bool {
        unsupported(&self.pod)
            .iter()
            .any(|field| field.support == Support::Blocks)
    }

    async fn syncing(&mut self) -> End {
        loop {
            if let Some(end) = self.take_desired() {
                return end;
            }
            let mut signal = self.desired.clone();
            let mut eviction = self.eviction.clone();
            // Dropping a pass half-way is fine: what it began goes on, and `settle` waits for that.
            let after = tokio::select! {
                biased;
                () = wait_for_end(&mut signal) => continue,
                eviction = wait_for_eviction(&mut eviction) => return self.evicted(eviction),
                result = self.sync() => match result {
                    Ok(after) => after,
                    Err(end) => return end,
                },
            };
            let after = after.unwrap_or(RELIST).min(RELIST);
            // Three only say "look again", the eviction stays told; none of them loses anything when dropped.
            tokio::select! {
                changed = self.desired.changed() => if changed.is_err() {
                    return End::Leave;
                },
                () = self.hint.notified() => {}
                eviction = wait_for_eviction(&mut eviction) => return self.evicted(eviction),
                () = tokio::time::sleep(after) => {}
            }
        }
    }

    /// Takes over the latest pod, keeping our own status; `Some` when it asks for the end.
    pub(super) fn take_desired(&mut self) -> Option<End> {
        let latest = self.desired.borrow_and_update().clone();
        match latest {
            Desired::Removed => Some(End::Deletion),
            Desired::ShutDown { stop: true } => Some(End::ShutDown),
            Desired::ShutDown { stop: false } => Some(End::Leave),
            Desired::Pod(pod) => {
                let status = with_others_conditions(self.pod.status.take(), &pod);
                let before = self.pod.spec.take();
                if self.pod.metadata.labels != pod.metadata.labels {
                    self.machine.placements.changed();
                }
                self.pod = Pod::clone(&pod);
                // Other resources must be taken on first.
                if let (Some(before), Some(spec)) = (&before, &mut self.pod.spec) {
                    Allocation::of(before).apply(spec);
                }
                let same_spec = self.pod.spec == before;
                self.pod.status = status;
                if !same_spec {
                    self.want_objects();
                }
                if self.pod.metadata.deletion_timestamp.is_some() {
                    return Some(End::Deletion);
                }
                None
            }
        }
    }

    /// Waits in a terminal phase. True when the object is to be removed by this worker, false when the
    /// engine ends.
    async fn until_removed(&mut self) -> bool {
        loop {
            match self.take_desired() {
                Some(End::Deletion) => return true,
                Some(End::ShutDown | End::Leave) => return false,
                Some(End::Completion) | None => {}
            }
            if self.desired.changed().await.is_err() {
                return false;
            }
        }
    }

    pub(super) fn observation(&self) -> PodObservation {
        let mut seen = PodObservation::new(self.sandbox.as_ref(), &self.past);
        for (id, message) in &self.messages {
            seen.instances.set_message(id, message);
        }
        seen.instances.set_starting(&self.starting);
        seen
    }

    /// Computes the status and hands it to the publisher.
    pub(super) fn publish(&mut self) {
        let seen = self.observation();
        self.publish_seen(&seen);
    }

    /// The same for what will be seen in a moment.
    pub(super) fn publish_seen(&mut self, seen: &PodObservation) {
        let meta = &self.pod.metadata;
        self.machine.board.show(
            &self.uid,
            meta.namespace.as_deref().unwrap_or_default(),
            meta.name.as_deref().unwrap_or_default(),
            seen,
        );
        self.tell_incidents(seen);
        self.ensure_probes(seen);
        let now = self.machine.clock.now();
        let status = pod_status(&self.pod, seen, &self.verdicts(), &self.history, now);
        if self.pod.status.as_ref() == Some(&status) {
            return;
        }
        self.pod.status = Some(status);
        if let (Some(publisher), Some(status)) = (&self.publisher, &self.pod.status) {
            publisher.publish(status);
        }
    }

    pub(super) fn event(&self, level: Level, reason: &str, message: String) {
        self.machine
            .recorder
            .pod(KUBELET, &self.pod, None, level, reason, message);
    }

    pub(super) fn container_event(
        &self,
        container: &Container,
        level: Level,
        reason: &str,
        message: String,
    ) {
        self.named_event(&container.name, level, reason, message);
    }

    pub(super) fn named_event(&self, container: &str, level: Level, reason: &str, message: String) {
        self.machine
            .recorder
            .pod(KUBELET, &self.pod, Some(container), level, reason, message);
    }

    pub(super) fn find_container(&self, name: &str) -> Option<Container> {
        let spec = self.pod.spec.as_ref()?;
        find_any_container(spec, name).map(Cow::into_owned)
    }

    /// The object as the store has it, if it is still this pod.
    pub(super) fn is_stored(&self) -> bool {
        self.machine
            .store
            .get_object(&self.pod.key())
            .as_ref()
            .is_some_and(|object| Object::uid(object) == self.uid)
    }
}

/// Where the resize of an adopted pod stood.
fn resizing(pod: &Pod) -> Resizing {
    let conditions = pod.status.iter().flat_map(|status| &status.conditions);
    let mut told = conditions.flatten();
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let waits = told.clone().find(|one| one.type_ == RESIZE_PENDING);
    Resizing {
        // Told by the engine before; told again only when it is another reason.
        pending: waits.map(|waits| Why {
            reason: text(&waits.reason),
            message: text(&waits.message),
        }),
        under_way: told.any(|condition| condition.type_ == RESIZE_IN_PROGRESS),
        ..Resizing::default()
    }
}

/// Our own status with the conditions that others have set meanwhile, readiness gates' for example.
fn with_others_conditions(status: Option<PodStatus>, latest: &Pod) -> Option<PodStatus> {
    let mut status = status?;
    let conditions = latest.status.as_ref()?.conditions.iter().flatten();
    let own = status.conditions.take().into_iter().flatten();
    let own = own.filter(|condition| is_engine_condition(&condition.type_));
    let own: Vec<PodCondition> = own.collect();
    // Whoever disrupts a pod says so first, the worker of the pod or another part of the engine.
    let is_disrupted = own.iter().any(|condition| condition.type_ == DISRUPTION);
    let others = conditions.filter(|condition| {
        !is_engine_condition(&condition.type_) || condition.type_ == DISRUPTION && !is_disrupted
    });
    status.conditions = Some(others.cloned().chain(own).collect());
    Some(status)
}

/// Ends when the latest desired state asks for the end of the pod or of the engine.
async fn wait_for_end(desired: &mut watch::Receiver<Desired>) {
    let ends = |desired: &Desired| match desired {
        Desired::Pod(pod) => pod.metadata.deletion_timestamp.is_some(),
        Desired::Removed | Desired::ShutDown { .. } => true,
    };
    if desired.wait_for(ends).await.is_err() {
        // The supervisor is gone without a word; the caller sees it as well.
        std::future::pending::<()>().await;
    }
}

/// Ends when the pod has to go.
async fn wait_for_eviction(eviction: &mut watch::Receiver<Option<Eviction>>) -> Eviction {
    let told = eviction.wait_for(Option::is_some).await;
    if let Some(eviction) = told.ok().and_then(|told| told.clone()) {
        return eviction;
    }
    // Another worker listens for this pod now.
    std::future::pending().await
}
