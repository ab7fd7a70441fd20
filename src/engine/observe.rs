//! What a worker sees of its pod: the sandbox and the newest instances of every container, whichever
//! sandbox they lived in.

use std::collections::{BTreeMap, HashSet};
use std::net::Ipv4Addr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, PodStatus};

use crate::base::{ContainerId, SandboxId};
use crate::wire::{
    ContainerPhase, ContainerState, EffectiveUser, ExitRecord, MemoryRecord, Namespace,
    ResourceLimits, SandboxPhase, SandboxState,
};

pub(super) mod label {
    pub(in crate::engine) const POD_NAME: &str = "io.kubernetes.pod.name";
    pub(in crate::engine) const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
    pub(in crate::engine) const POD_UID: &str = "io.kubernetes.pod.uid";
    pub(in crate::engine) const CONTAINER_NAME: &str = "io.kubernetes.container.name";
    pub(in crate::engine) const SANDBOX_ATTEMPT: &str = "podtui.dev/sandbox-attempt";
    pub(in crate::engine) const ATTEMPT: &str = "podtui.dev/attempt";
    pub(in crate::engine) const HASH: &str = "podtui.dev/hash";
    pub(in crate::engine) const IMAGE: &str = "podtui.dev/image";
    pub(in crate::engine) const IMAGE_ID: &str = "podtui.dev/image-id";
}

/// How container IDs look in a status: `<runtime>://<id>`.
pub(super) const ID_PREFIX: &str = "podtui://";

#[derive(Clone, Debug, PartialEq)]
pub(super) struct SandboxView {
    pub(super) id: SandboxId,
    pub(super) attempt: u32,
    pub(super) ready: bool,
    pub(super) host_network: bool,
    pub(super) address: Option<Ipv4Addr>,
    /// Of the pod's own cgroup.
    pub(super) limits: Option<ResourceLimits>,
}

/// One run of one container.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Instance {
    pub(super) id: ContainerId,
    /// Number of runs before this one.
    pub(super) attempt: u32,
    /// It lives in the present sandbox, not in an earlier one.
    pub(super) current: bool,
    pub(super) image: String,
    pub(super) image_id: String,
    /// Of name and image; empty when unknown (read back from a status).
    pub(super) hash: String,
    pub(super) phase: Phase,
    /// Of its cgroup; `None` when unknown (read back from a status).
    pub(super) limits: Option<ResourceLimits>,
    pub(super) user: Option<EffectiveUser>,
    /// Termination message.
    pub(super) message: Option<String>,
    /// It runs, but its postStart hook has not come back: not told as running, not yet started.
    pub(super) starting: bool,
    /// It went with all others for a restart of all containers: it counts for the number of restarts and for
    /// `lastState`, and for nothing else.
    pub(super) removed: bool,
    pub(super) memory: MemoryRecord,
    /// Bytes; `None` without a limit, and when it is unknown (read back from a status).
    pub(super) memory_limit: Option<i64>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Phase {
    Created,
    Running {
        started_at: Timestamp,
    },
    Exited(ExitRecord),
    /// It was running when it was last seen and is gone; nobody knows how it ended.
    Lost {
        started_at: Option<Timestamp>,
        noticed_at: Timestamp,
    },
}

/// Exit code reported for an end that nobody saw (kubelet `ContainerStatusUnknown`).
pub(super) const LOST_EXIT_CODE: i32 = 137;

impl Instance {
    pub(super) fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running { .. })
    }

    pub(super) fn running_since(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Running { started_at } => Some(started_at),
            Phase::Created | Phase::Exited(_) | Phase::Lost { .. } => None,
        }
    }

    /// When this run began, if it did.
    pub(super) fn began_at(&self) -> Option<Timestamp> {
        match &self.phase {
            Phase::Created => None,
            Phase::Running { started_at } => Some(*started_at),
            Phase::Exited(exit) => exit.started_at.or(Some(exit.finished_at)),
            Phase::Lost { started_at, .. } => *started_at,
        }
    }

    pub(super) fn exit_code(&self) -> Option<i32> {
        match &self.phase {
            Phase::Created | Phase::Running { .. } => None,
            Phase::Exited(exit) => Some(exit.code),
            Phase::Lost { .. } => Some(LOST_EXIT_CODE),
        }
    }

    pub(super) fn finished_at(&self) -> Option<Timestamp> {
        match &self.phase {
            Phase::Created | Phase::Running { .. } => None,
            Phase::Exited(exit) => Some(exit.finished_at),
            Phase::Lost { noticed_at, .. } => Some(*noticed_at),
        }
    }

    /// `None` for a container that does not carry the engine's labels.
    pub(super) fn from_runtime(container: &ContainerState) -> Option<(String, Self)> {
        let labels = &container.spec.labels;
        let text = |key: &str| labels.get(key).cloned().unwrap_or_default();
        let name = labels.get(label::CONTAINER_NAME)?.clone();
        let phase = match &container.phase {
            ContainerPhase::Created => Phase::Created,
            ContainerPhase::Running { started_at, .. } => Phase::Running {
                started_at: *started_at,
            },
            ContainerPhase::Exited(exit) => Phase::Exited(exit.clone()),
        };
        Some((
            name,
            Self {
                id: container.spec.id.clone(),
                attempt: labels.get(label::ATTEMPT)?.parse().ok()?,
                current: true,
                image: text(label::IMAGE),
                image_id: text(label::IMAGE_ID),
                hash: text(label::HASH),
                phase,
                limits: Some(container.spec.limits.clone()),
                user: container.user.clone(),
                message: None,
                starting: false,
                removed: false,
                memory: container.memory.clone(),
                memory_limit: container.spec.limits.memory_limit,
            },
        ))
    }
}

/// The newest two instances of each container, newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Instances(BTreeMap<String, Vec<Instance>>);

impl Instances {
    pub(super) fn of(&self, container: &str) -> &[Instance] {
        self.0.get(container).map_or(&[], Vec::as_slice)
    }

    pub(super) fn newest(&self, container: &str) -> Option<&Instance> {
        self.of(container).first()
    }

    /// When the newest run that is over and counts for the back-off ended.
    pub(super) fn last_end(&self, container: &str) -> Option<Timestamp> {
        self.of(container)
            .iter()
            .filter(|instance| !instance.removed)
            .find_map(Instance::finished_at)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &Instance)> {
        self.0.iter().flat_map(|(name, instances)| {
            instances
                .iter()
                .map(move |instance| (name.as_str(), instance))
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.values().all(Vec::is_empty)
    }

    /// Adds an instance or replaces what is known of it.
    pub(super) fn put(&mut self, name: String, instance: Instance) {
        let list = self.0.entry(name).or_default();
        list.retain(|known| known.attempt != instance.attempt);
        list.push(instance);
        list.sort_by_key(|instance| std::cmp::Reverse(instance.attempt));
        list.truncate(2);
    }

    /// Without these instances.
    pub(super) fn forget(&mut self, gone: impl Fn(&Instance) -> bool) {
        for list in self.0.values_mut() {
            list.retain(|instance| !gone(instance));
        }
    }

    pub(super) fn set_message(&mut self, id: &ContainerId, message: &str) {
        for instance in self.0.values_mut().flatten() {
            if instance.id == *id && !message.is_empty() {
                instance.message = Some(message.to_owned());
            }
        }
    }

    pub(super) fn set_starting(&mut self, ids: &HashSet<ContainerId>) {
        for instance in self.0.values_mut().flatten() {
            instance.starting = instance.is_running() && ids.contains(&instance.id);
        }
    }

    /// All containers are removed to begin anew.
    pub(super) fn remove_all(&mut self) {
        for instance in self.0.values_mut().flatten() {
            if instance.current {
                instance.current = false;
                instance.removed = true;
            }
        }
    }

    /// The sandbox is gone with its shim: what looked alive has ended and nobody saw how.
    pub(super) fn outlive_sandbox(&mut self, now: Timestamp) {
        for list in self.0.values_mut() {
            // A created instance never ran: there is no end to tell of.
            list.retain(|instance| instance.phase != Phase::Created);
            for instance in list {
                instance.current = false;
                if let Phase::Running { started_at } = instance.phase {
                    instance.phase = Phase::Lost {
                        started_at: Some(started_at),
                        noticed_at: now,
                    };
                }
            }
        }
    }

    /// What a published status tells of earlier instances. Used after a start of the engine that found
    /// no sandbox of the pod.
    pub(super) fn from_status(status: &PodStatus) -> Self {
        let mut instances = Self::default();
        let statuses = status
            .init_container_statuses
            .iter()
            .chain(&status.container_statuses)
            .chain(&status.ephemeral_container_statuses)
            .flatten();
        for status in statuses {
            for instance in instances_of(status) {
                instances.put(status.name.clone(), instance);
            }
        }
        instances
    }
}

fn instances_of(status: &ContainerStatus) -> Vec<Instance> {
    let count = u32::try_from(status.restart_count).unwrap_or(0);
    let strip = |id: &str| ContainerId::new(id.strip_prefix(ID_PREFIX).unwrap_or(id));
    let make = |attempt, id: Option<&str>, phase, message| Instance {
        id: strip(id.unwrap_or_default()),
        attempt,
        current: false,
        image: status.image.clone(),
        image_id: status.image_id.clone(),
        hash: String::new(),
        phase,
        limits: None,
        user: None,
        message,
        starting: false,
        removed: false,
        memory: MemoryRecord::default(),
        memory_limit: None,
    };
    let state = status.state.clone().unwrap_or_default();
    let last = status
        .last_state
        .clone()
        .and_then(|last| last.terminated)
        .map(|end| (exit_of(&end), end));
    let mut found = Vec::new();
    if let Some(running) = state.running {
        let started_at = running.started_at.map_or(Timestamp::UNIX_EPOCH, |at| at.0);
        found.push(make(
            count,
            status.container_id.as_deref(),
            Phase::Running { started_at },
            None,
        ));
    } else if let Some(end) = state.terminated {
        found.push(make(
            count,
            end.container_id.as_deref(),
            exit_of(&end),
            end.message,
        ));
    }
    if let Some((phase, end)) = last {
        // While a container waits for its restart, its last run still carries the present count; only a removal
        // counts at once.
        let is_removed = end.reason.as_deref() == Some(super::status::RESTARTING_ALL);
        let waits = found.is_empty() && !is_removed;
        let attempt = if waits {
            Some(count)
        } else {
            count.checked_sub(1)
        };
        if let Some(attempt) = attempt {
            let mut last = make(attempt, end.container_id.as_deref(), phase, end.message);
            last.removed = is_removed;
            found.push(last);
        }
    }
    found
}

fn exit_of(end: &k8s_openapi::api::core::v1::ContainerStateTerminated) -> Phase {
    let started_at = end.started_at.as_ref().map(|at| at.0);
    let finished_at = end
        .finished_at
        .as_ref()
        .map_or(Timestamp::UNIX_EPOCH, |at| at.0);
    if end.reason.as_deref() == Some(super::status::LOST) {
        return Phase::Lost {
            started_at,
            noticed_at: finished_at,
        };
    }
    let never_ran = end.reason.as_deref() == Some(super::status::START_ERROR);
    Phase::Exited(ExitRecord {
        code: end.exit_code,
        signal: end.signal,
        started_at,
        finished_at,
        oom_killed: end.reason.as_deref() == Some(super::status::OOM_KILLED),
        start_error: never_ran.then(|| end.message.clone().unwrap_or_default()),
    })
}

/// Everything `plan` and `status` may know of the machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct PodObservation {
    pub(super) sandbox: Option<SandboxView>,
    pub(super) instances: Instances,
}

impl PodObservation {
    /// `past` are the instances of earlier sandboxes.
    pub(super) fn new(sandbox: Option<&SandboxState>, past: &Instances) -> Self {
        let mut instances = past.clone();
        for container in sandbox.iter().flat_map(|state| &state.containers) {
            if let Some((name, instance)) = Instance::from_runtime(container) {
                instances.put(name, instance);
            }
        }
        Self {
            sandbox: sandbox.map(view),
            instances,
        }
    }

    pub(super) fn any_running(&self) -> bool {
        self.instances
            .all()
            .any(|(_, instance)| instance.is_running())
    }
}

fn view(state: &SandboxState) -> SandboxView {
    SandboxView {
        id: state.spec.id.clone(),
        attempt: state
            .spec
            .labels
            .get(label::SANDBOX_ATTEMPT)
            .and_then(|text| text.parse().ok())
            .unwrap_or_default(),
        ready: state.phase == SandboxPhase::Ready,
        host_network: state.spec.namespaces.network == Namespace::Host,
        address: state.address,
        limits: state
            .spec
            .cgroup
            .last()
            .and_then(|level| level.limits.clone()),
    }
}
