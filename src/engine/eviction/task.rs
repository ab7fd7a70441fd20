use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodSpec};

use super::board::{EVICTED, Eviction};
use super::condition_taints::with_condition_taints;
use super::local::{self, LocalUsage, has_limits, violation};
use super::node::{
    Candidate, ContainerShare, Observed, Reading, Shortage, Signal, first_to_go, grace, memory,
    message, shortages,
};
use crate::base::{ContainerId, Uid, chain};
use crate::engine::machine::{Machine, NodeLimits};
use crate::engine::node::{now_is, pressure_conditions};
use crate::engine::recorder::Level;
use crate::engine::status::is_terminal;
use crate::model::Resource;
use crate::model::pod::{all_containers, container_request, pod_requests};
use crate::model::priority::priority;
use crate::model::quantity::ParsedQuantity;
use crate::volume::{Usage, empty_dir_path, usage_of};

/// The kubelet's `monitoringInterval`.
const PERIOD: Duration = Duration::from_secs(10);
/// Grace of a pod that has to go at once (`immediateEvictionGracePeriodSeconds`).
const AT_ONCE: Duration = Duration::from_secs(1);

/// Looks around as long as the engine lives.
pub(in crate::engine) async fn keep_room(machine: Arc<Machine>) {
    let mut observed = Observed::default();
    loop {
        // The facts of the node are told at once, not only after the first period.
        if !evict_over_limits(&machine).await {
            relieve_node(&machine, &mut observed).await;
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// The pods whose worker can still hear of an eviction.
fn living(machine: &Machine) -> Vec<Arc<Pod>> {
    let (mut pods, _) = machine.store.list::<Pod>(None);
    pods.retain(|pod| {
        let phase = pod
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref());
        !is_terminal(phase) && !machine.evictions.is_told(&pod.uid())
    });
    pods
}

/// Whether any pod had to go.
async fn evict_over_limits(machine: &Arc<Machine>) -> bool {
    let mut limited = living(machine);
    limited.retain(|pod| pod.spec.as_ref().is_some_and(has_limits));
    let mut evicted = false;
    for pod in limited {
        let Some(used) = local_usage(machine, &pod).await else {
            continue;
        };
        let Some(message) = pod.spec.as_ref().and_then(|spec| violation(spec, &used)) else {
            continue;
        };
        let eviction = Eviction {
            reason: EVICTED,
            message,
            grace: AT_ONCE,
            disruption: None,
        };
        evicted |= machine.evictions.evict(&pod.uid(), eviction);
    }
    evicted
}

/// `None` when it cannot be told, which is logged.
async fn local_usage(machine: &Arc<Machine>, pod: &Arc<Pod>) -> Option<LocalUsage> {
    let uid = pod.uid();
    let directory = machine.directories.pod(&uid);
    let meta = &pod.metadata;
    let logs = machine.directories.pod_logs(
        meta.namespace.as_deref().unwrap_or_default(),
        meta.name.as_deref().unwrap_or_default(),
        &uid,
    );
    let spec = pod.spec.clone()?;
    let measured = tokio::task::spawn_blocking(move || measure(&spec, &directory, &logs)).await;
    match measured {
        Ok(Ok(used)) => Some(used),
        Ok(Err(error)) => {
            tracing::warn!(pod = %uid, %error, "its use of the disk cannot be measured");
            None
        }
        Err(error) => {
            tracing::warn!(%error, "measuring a pod was cut short");
            None
        }
    }
}

fn measure(spec: &PodSpec, directory: &Path, logs: &Path) -> std::io::Result<LocalUsage> {
    let mut used = LocalUsage::default();
    for volume in spec.volumes.iter().flatten() {
        let Some(source) = &volume.empty_dir else {
            continue;
        };
        if source.medium.as_deref().unwrap_or_default().is_empty() {
            let usage = usage_of(&empty_dir_path(directory, &volume.name))?;
            used.volumes.insert(volume.name.clone(), usage);
        }
    }
    for container in all_containers(spec) {
        let name = &container.name;
        let layers = usage_of(&directory.join("containers").join(name))?;
        let logs = usage_of(&logs.join(name))?;
        used.containers.insert(name.clone(), layers.and(logs));
    }
    Ok(used)
}

/// Looks at what the machine has left, tells the node, and has one pod go when there is too little.
async fn relieve_node(machine: &Arc<Machine>, observed: &mut Observed) {
    let met = shortages_now(&machine.directories.state, &machine.limits);
    let now = machine.clock.now();
    let mut short = observed.due(&met, now);
    let before = machine.evictions.pressures();
    // A soft threshold counts from the beginning.
    let after = before.after(&met, now);
    machine.evictions.set_pressures(after);
    if (before.memory(), before.disk()) != (after.memory(), after.disk()) {
        tell_node(machine).await;
    }
    let Some(first) = short.first().copied() else {
        return;
    };
    machine.recorder.node(
        &machine.node.name,
        Level::Warning,
        "EvictionThresholdMet",
        format!("Attempting to reclaim {}", first.signal.resource()),
    );
    if first.signal != Signal::Memory {
        reclaim_images(machine).await;
        let left = shortages_now(&machine.directories.state, &machine.limits);
        let is_left = |shortage: &Shortage| left.iter().find(|other| other.is_same(shortage));
        short = short.iter().filter_map(is_left).copied().collect();
    }
    let Some(shortage) = short.first() else {
        return;
    };
    let candidates = candidates(machine, shortage.signal).await;
    if let Some(pod) = first_to_go(&candidates) {
        let message = message(shortage, pod);
        let eviction = Eviction {
            reason: EVICTED,
            disruption: Some(message.clone()),
            message,
            grace: grace(shortage, pod, machine.limits.soft_eviction.max_pod_grace),
        };
        machine.evictions.evict(&pod.pod, eviction);
    }
}

/// Thresholds that the machine meets now; `state` is where the disk is looked at.
pub(in crate::engine) fn shortages_now(state: &Path, limits: &NodeLimits) -> Vec<Shortage> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let disk = rustix::fs::statvfs(state).ok();
    let nodefs = disk.as_ref().map(|disk| Reading {
        available: disk.f_bavail.saturating_mul(disk.f_frsize),
        capacity: disk.f_blocks.saturating_mul(disk.f_frsize),
    });
    // Some file systems have no fixed number of inodes and say 0 (statvfs(3)).
    let inodes = disk.filter(|disk| disk.f_files > 0).map(|disk| Reading {
        available: disk.f_favail,
        capacity: disk.f_files,
    });
    let (hard, soft) = (limits.eviction, limits.soft_eviction);
    shortages(hard, soft, memory(&meminfo), nodefs, inodes)
}

async fn reclaim_images(machine: &Arc<Machine>) {
    match machine.prune(true).await {
        Ok(pruned) => {
            tracing::info!(images = ?pruned.images, bytes = pruned.freed, "unused images removed: the disk is full");
        }
        Err(error) => tracing::warn!(error = chain(&error), "unused images cannot be removed"),
    }
}

/// Brings the conditions of the node to what is known now.
async fn tell_node(machine: &Arc<Machine>) {
    let pressures = machine.evictions.pressures();
    let Some(node) = machine
        .store
        .get::<k8s_openapi::api::core::v1::Node>("", &machine.node.name)
    else {
        return;
    };
    let now = machine.clock.now();
    let (node, changes) = pressure_conditions(&node, pressures, now);
    let node = with_condition_taints(&node, now).unwrap_or(node);
    for reason in changes {
        machine.recorder.node(
            &machine.node.name,
            Level::Normal,
            reason,
            now_is(&machine.node.name, reason),
        );
    }
    if let Err(error) = machine.status.put_node(node).await {
        tracing::warn!(error = chain(&error), "the node could not be told");
    }
}

async fn candidates(machine: &Arc<Machine>, signal: Signal) -> Vec<Candidate> {
    let mut list = Vec::new();
    for pod in living(machine) {
        let Some(spec) = &pod.spec else { continue };
        let uid = pod.uid();
        let shares = match signal {
            Signal::Memory => memory_shares(machine, &uid, spec).await,
            Signal::Nodefs | Signal::Inodes => disk_shares(machine, &pod, signal).await,
        };
        let requests = pod_requests(spec);
        let request = match signal {
            Signal::Memory | Signal::Nodefs => requests.get(signal.resource()),
            Signal::Inodes => None,
        };
        let (used, containers) = match shares {
            Some((used, containers)) => (Some(used), containers),
            None => (None, Vec::new()),
        };
        list.push(Candidate {
            pod: uid,
            priority: priority(spec),
            grace: Duration::from_secs(
                (spec.termination_grace_period_seconds)
                    .and_then(|seconds| u64::try_from(seconds).ok())
                    .unwrap_or(0),
            ),
            used,
            request: request.map_or(0, |request| bytes(*request)),
            containers,
        });
    }
    list
}

fn bytes(quantity: ParsedQuantity) -> u64 {
    u64::try_from(quantity.value()).unwrap_or(0)
}

async fn memory_shares(
    machine: &Machine,
    pod: &Uid,
    spec: &PodSpec,
) -> Option<(u64, Vec<ContainerShare>)> {
    let entry = machine.board.pod(pod)?;
    // What has no sandbox uses nothing.
    let Some(sandbox) = &entry.sandbox else {
        return Some((0, Vec::new()));
    };
    let stats = machine.runtime.stats(sandbox).await.ok()?;
    let used_by = |id: &ContainerId| {
        let mut readings = stats.containers.iter();
        readings
            .find(|reading| reading.container == *id)
            .map_or(0, |reading| reading.memory_working_set)
    };
    let shares: Vec<ContainerShare> = entry
        .containers
        .iter()
        .filter(|container| container.started_at.is_some())
        .map(|container| ContainerShare {
            name: container.name.clone(),
            used: used_by(&container.id),
            request: request_of(spec, &container.name, "memory"),
        })
        .collect();
    Some((shares.iter().map(|share| share.used).sum(), shares))
}

async fn disk_shares(
    machine: &Arc<Machine>,
    pod: &Arc<Pod>,
    signal: Signal,
) -> Option<(u64, Vec<ContainerShare>)> {
    let used = local_usage(machine, pod).await?;
    let spec = pod.spec.as_ref()?;
    let amount = |usage: Usage| match signal {
        Signal::Inodes => usage.inodes,
        Signal::Memory | Signal::Nodefs => usage.bytes,
    };
    let shares = used
        .containers
        .iter()
        .map(|(name, usage)| ContainerShare {
            name: name.clone(),
            used: amount(*usage),
            request: match signal {
                Signal::Inodes => 0,
                Signal::Memory | Signal::Nodefs => request_of(spec, name, local::RESOURCE),
            },
        })
        .collect();
    Some((amount(used.total()), shares))
}

fn request_of(spec: &PodSpec, name: &str, resource: &str) -> u64 {
    crate::model::pod::find_container(spec, name)
        .map_or(0, |container| bytes(container_request(container, resource)))
}
