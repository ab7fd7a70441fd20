//! Owns one worker per pod uid: starts them, tells them what is desired, wakes them on events.
//!
//! It never waits for a worker or for the runtime in its loop, so events are always taken off at once.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodCondition};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::accounts;
use super::claims;
use super::gc::{remove_orphan_files, remove_orphan_sandbox, remove_stray_groups};
use super::machine::Machine;
use super::observe::label;
use super::recorder::Level;
use super::references;
use super::worker::{Desired, Found, PodWorker};
use crate::base::Uid;
use crate::model::pod::{is_engine_condition, is_terminal, node_name};
use crate::model::priority::pod_priority;
use crate::model::{Kind, Resource};
use crate::runtime::{Discovered, RuntimeError, RuntimeEvent};
use crate::store::{WatchEvent, Watcher};
use crate::wire::{EventKind, SandboxState};

/// A worker that is asked to leave does so at once unless it is in the middle of a kill; the kill goes on
/// in the shim, and the next engine takes it up.
const LEAVE: Duration = Duration::from_secs(1);
/// The last of a pod whose object is gone: nobody could see what is left of it until the next engine
/// starts, so its worker finishes. Two seconds for the kill, the rest for what resists.
const FINISH: Duration = Duration::from_secs(10);

/// Asks the supervisor to end; answered when it has.
pub(super) struct ShutDown {
    pub(super) stop_pods: bool,
    pub(super) done: oneshot::Sender<()>,
}

struct Worker {
    desired: watch::Sender<Desired>,
    task: JoinHandle<()>,
}

pub(super) struct Supervisor {
    machine: Arc<Machine>,
    workers: HashMap<Uid, Worker>,
    /// What was found at start and not yet handed to a worker.
    found: HashMap<Uid, Found>,
    events: mpsc::Receiver<RuntimeEvent>,
    /// As told last.
    is_unsaved: bool,
    shut_down: mpsc::Receiver<ShutDown>,
}

impl Supervisor {
    /// Looks through the run directory before any other use of the runtime.
    pub(super) async fn new(
        machine: Arc<Machine>,
        shut_down: mpsc::Receiver<ShutDown>,
    ) -> Result<Self, RuntimeError> {
        // Subscribed first, so that what happens to an adopted sandbox from now on is seen.
        let events = machine.runtime.events();
        let mut found = HashMap::new();
        for discovered in machine.runtime.discover().await? {
            match discovered {
                Discovered::Alive(state) => {
                    found.insert(uid_of(&state), Found::Alive(state));
                }
                Discovered::Dead(state) => {
                    found.insert(uid_of(&state), Found::Dead(state));
                }
                Discovered::Unreadable { directory, reason } => {
                    tracing::warn!(directory = %directory.display(), reason, "cannot be adopted");
                }
            }
        }
        let living = found
            .iter()
            .filter(|(_, found)| matches!(found, Found::Alive(_)))
            .map(|(uid, _)| uid.clone())
            .collect();
        remove_stray_groups(&machine, &living).await;
        Ok(Self {
            machine,
            workers: HashMap::new(),
            found,
            events,
            is_unsaved: false,
            shut_down,
        })
    }

    /// Runs until the engine is shut down.
    pub(super) async fn run(mut self) {
        // Ends with this function, whichever way that ends.
        let mut followers = JoinSet::new();
        followers.spawn(accounts::keep(Arc::clone(&self.machine)));
        followers.spawn(claims::keep(Arc::clone(&self.machine)));
        for kind in references::KINDS {
            let from = self.machine.store.resource_version();
            followers.spawn(references::follow(Arc::clone(&self.machine), kind, from));
        }
        let mut watcher = self.relist(true);
        let mut unsaved = self.machine.store.unsaved();
        // The store may have been unable to write before anybody looked.
        unsaved.mark_changed();
        loop {
            // All arms are cancel-safe: each takes a message only when it returns it.
            tokio::select! {
                event = watcher.next() => match event {
                    Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => {
                        if let Some(pod) = Pod::from_object(&object) {
                            self.desire(pod);
                        }
                    }
                    Ok(WatchEvent::Deleted(object)) => self.removed(&object.uid()),
                    Err(_) => watcher = self.relist(false),
                },
                Some(event) = self.events.recv() => self.wake(event),
                Ok(()) = unsaved.changed() => {
                    let why = unsaved.borrow_and_update().clone();
                    self.tell_unsaved(why);
                }
                Some(request) = self.shut_down.recv() => {
                    self.end(request.stop_pods).await;
                    let _ = request.done.send(());
                    return;
                }
            }
        }
    }

    fn tell_unsaved(&mut self, why: Option<String>) {
        let was = std::mem::replace(&mut self.is_unsaved, why.is_some());
        let (level, reason, text) = match why {
            Some(why) => (Level::Warning, "StateNotSaved", why),
            None if was => (
                Level::Normal,
                "StateSaved",
                "everything is on the disk again".to_owned(),
            ),
            None => return,
        };
        let machine = &self.machine;
        machine
            .recorder
            .node(&machine.node.name, level, reason, text);
    }

    /// Brings the workers to what the store has now, and watches from there.
    fn relist(&mut self, first: bool) -> Watcher {
        loop {
            let (pods, version) = self.machine.store.list::<Pod>(None);
            let known: HashSet<Uid> = pods.iter().map(|pod| pod.uid()).collect();
            if first {
                self.remove_orphans(&known);
                self.hold_places(&pods);
            }
            for pod in by_importance(&pods) {
                self.desire(pod);
            }
            self.remove_all_but(&known);
            // The history may have moved on meanwhile; the next list is newer.
            if let Ok(watcher) = self.machine.store.watch(Kind::Pod, version) {
                return watcher;
            }
        }
    }

    /// Before any pod without a place looks for one.
    fn hold_places(&self, pods: &[Arc<Pod>]) {
        for pod in pods {
            let accepted = pod
                .status
                .as_ref()
                .is_some_and(|status| status.start_time.is_some());
            if let (Some(spec), Some(_), true, false) =
                (&pod.spec, node_name(pod), accepted, is_terminal(pod))
            {
                let exclusive = claims::exclusive(&self.machine.store, pod);
                self.machine.placements.hold(&pod.uid(), spec, exclusive);
            }
        }
    }

    fn remove_orphans(&mut self, known: &HashSet<Uid>) {
        let orphans: Vec<Uid> = self
            .found
            .keys()
            .filter(|uid| !known.contains(uid))
            .cloned()
            .collect();
        for (uid, found) in &self.found {
            if let Found::Alive(state) = found
                && known.contains(uid)
            {
                self.adopt_address(uid, state);
            }
        }
        for uid in orphans {
            if let Some(Found::Alive(state)) = self.found.remove(&uid) {
                self.machine
                    .removals
                    .spawn(remove_orphan_sandbox(Arc::clone(&self.machine), *state));
            }
        }
        if self.found.is_empty() {
            self.machine.remove_bridge_later();
        }
        self.machine.removals.spawn(remove_orphan_files(
            Arc::clone(&self.machine),
            known.clone(),
        ));
    }

    fn adopt_address(&self, uid: &Uid, state: &SandboxState) {
        if let (Some(address), Some(_)) = (state.address, &state.spec.network) {
            self.machine.network.adopt(uid, address);
        }
        if let Some(ids) = state.spec.user {
            self.machine.ids.adopt(uid, ids);
        }
    }

    fn desire(&mut self, pod: &Arc<Pod>) {
        let uid = pod.uid();
        if let Some(worker) = self.workers.get(&uid) {
            worker.desired.send_if_modified(|desired| {
                let changed = match desired {
                    Desired::Pod(old) => asks_for_more(old, pod),
                    Desired::Removed | Desired::ShutDown { .. } => false,
                };
                if changed {
                    *desired = Desired::Pod(Arc::clone(pod));
                }
                changed
            });
            return;
        }
        self.workers.retain(|_, worker| !worker.task.is_finished());
        let (desired, receiver) = watch::channel(Desired::Pod(Arc::clone(pod)));
        let hint = Arc::new(Notify::new());
        if node_name(pod).is_none() && !is_terminal(pod) {
            self.machine.placements.expect(pod, &hint);
        }
        let found = self.found.remove(&uid).unwrap_or(Found::Nothing);
        let worker = PodWorker::new(
            Arc::clone(&self.machine),
            Arc::clone(pod),
            receiver,
            hint,
            found,
        );
        let task = tokio::spawn(worker.run());
        self.workers.insert(uid, Worker { desired, task });
    }

    fn remove_all_but(&self, known: &HashSet<Uid>) {
        for uid in self.workers.keys().filter(|uid| !known.contains(*uid)) {
            self.removed(uid);
        }
    }

    fn removed(&self, uid: &Uid) {
        if let Some(worker) = self.workers.get(uid) {
            worker.desired.send_replace(Desired::Removed);
        }
    }

    fn wake(&self, event: RuntimeEvent) {
        let sandbox = match event {
            RuntimeEvent::Sandbox { sandbox, event } => {
                if let EventKind::Note { container, text } = event.kind {
                    tracing::warn!(%sandbox, ?container, text, "a shim reports");
                    self.machine.board.note(&[text]);
                    return;
                }
                sandbox
            }
            RuntimeEvent::ShimLost { sandbox } => sandbox,
        };
        self.machine.board.wake(&sandbox);
    }

    async fn end(&mut self, stop_pods: bool) {
        // A deletion may still wait in the watch.
        let (pods, _) = self.machine.store.list::<Pod>(None);
        self.remove_all_but(&pods.iter().map(|pod| pod.uid()).collect());
        let mut leaving = Vec::new();
        for (uid, worker) in self.workers.drain() {
            let mut patience = (!stop_pods).then_some(LEAVE);
            worker.desired.send_if_modified(|desired| {
                if matches!(desired, Desired::Removed) {
                    patience = patience.map(|_| FINISH);
                    return false;
                }
                *desired = Desired::ShutDown { stop: stop_pods };
                true
            });
            leaving.push((uid, worker, patience));
        }
        for (uid, mut worker, patience) in leaving {
            let ended = match patience {
                Some(patience) => tokio::time::timeout(patience, &mut worker.task).await.ok(),
                None => Some((&mut worker.task).await),
            };
            match ended {
                Some(Ok(())) => {}
                Some(Err(error)) => tracing::error!(pod = %uid, %error, "a worker ended badly"),
                None => worker.task.abort(),
            }
        }
        let removals = &self.machine.removals;
        removals.close();
        if tokio::time::timeout(FINISH, removals.wait()).await.is_err() {
            tracing::warn!(
                "what is left of deleted pods is not all removed yet; the next start goes on"
            );
        }
        self.machine.remove_bridge().await;
    }
}

/// The queue of those who look for a place after a start: by priority, and then by age.
fn by_importance(pods: &[Arc<Pod>]) -> Vec<&Arc<Pod>> {
    let mut sorted: Vec<&Arc<Pod>> = pods.iter().collect();
    let age = |pod: &Pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    sorted.sort_by_key(|pod| (Reverse(pod_priority(pod)), age(pod)));
    sorted
}

fn uid_of(state: &SandboxState) -> Uid {
    Uid::new(
        state
            .spec
            .labels
            .get(label::POD_UID)
            .cloned()
            .unwrap_or_default(),
    )
}

/// Conditions that the engine does not write itself.
fn others_conditions(pod: &Pod) -> impl Iterator<Item = &PodCondition> {
    let conditions = pod.status.iter().flat_map(|status| &status.conditions);
    let all = conditions.flatten();
    all.filter(|condition| !is_engine_condition(&condition.type_))
}

/// Whether the new object differs in what a worker acts on; its own status writes come back through the
/// watch and must not wake it.
fn asks_for_more(old: &Pod, new: &Pod) -> bool {
    old.spec != new.spec
        || old.metadata.generation != new.metadata.generation
        || old.metadata.deletion_timestamp != new.metadata.deletion_timestamp
        || old.metadata.deletion_grace_period_seconds != new.metadata.deletion_grace_period_seconds
        || old.metadata.labels != new.metadata.labels
        || old.metadata.annotations != new.metadata.annotations
        || !others_conditions(old).eq(others_conditions(new))
}
