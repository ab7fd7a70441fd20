use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodSpec};

use super::image::RETRY;
use super::task::{Desired, PodWorker};
use crate::base::{ContainerId, SandboxId, chain};
use crate::engine::recorder::Level;
use crate::engine::resize::{
    Allocation, Part, allocated, decide, details, is_behind, looser, others_first, wanted_of_pod,
};
use crate::engine::status::is_terminal;
use crate::engine::translate::{container_limits, qos_limits, qos_totals};
use crate::model::Resource;
use crate::model::pod::{all_containers, node_name, qos_class};
use crate::runtime::RuntimeError;
use crate::wire::{CgroupLevel, ResourceLimits};

/// A resize that waits is looked at again this often: others may have gone.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

impl PodWorker {
    /// Takes on the resources that are wanted now, or notes why not. Returns when to look again.
    pub(super) fn take_resources(&mut self) -> Option<Duration> {
        let desired = match &*self.desired.borrow() {
            Desired::Pod(pod) => Arc::clone(pod),
            Desired::Removed | Desired::ShutDown { .. } => return None,
        };
        let (wanted, given) = (desired.spec.as_ref()?, self.pod.spec.clone()?);
        let allocation = Allocation::of(wanted);
        if allocation == Allocation::of(&given) {
            self.history.resize.pending = None;
            return None;
        }
        let room = self.machine.node.allocatable();
        let generation = desired.metadata.generation;
        let others = others_first(&self.placed(), &desired, &given, room);
        match decide(&given, wanted, &others, room) {
            Ok(()) => {
                if let Some(spec) = &mut self.pod.spec {
                    allocation.apply(spec);
                    self.machine.placements.resized(&self.uid, spec);
                }
                self.history.resize.pending = None;
                self.history.resize.error = None;
                if self.sandbox.is_some() {
                    self.history.resize.under_way = true;
                    let details = details(wanted, generation, None);
                    let text = format!("Pod resize started: {details}");
                    self.event(Level::Normal, "ResizeStarted", text);
                }
                None
            }
            Err(why) => {
                let after = (why.reason == "Deferred").then_some(LOOK_AGAIN);
                if self.history.resize.pending.as_ref() != Some(&why) {
                    let details = details(wanted, generation, Some(&why.message));
                    let reason = format!("Resize{}", why.reason);
                    let text = format!("Pod resize {}: {details}", why.reason);
                    self.event(Level::Warning, &reason, text);
                    self.history.resize.pending = Some(why);
                }
                after
            }
        }
    }

    /// The pods that take something of the node.
    fn placed(&self) -> Vec<Arc<Pod>> {
        let (mut pods, _) = self.machine.store.list::<Pod>(None);
        pods.retain(|pod| {
            let status = pod.status.as_ref();
            let phase = status.and_then(|status| status.phase.as_deref());
            // What has no place yet takes none.
            node_name(pod).is_some() && !is_terminal(phase)
        });
        pods
    }

    /// What the other pods have been given.
    fn others(&self) -> Vec<PodSpec> {
        let pods = self.placed();
        let others = pods.iter().filter(|pod| pod.uid() != self.uid);
        others.filter_map(|pod| allocated(pod).spec).collect()
    }

    /// Says that a resize is done, once everything that runs has its limits.
    pub(super) fn tell_resized(&mut self) {
        let Some(spec) = &self.pod.spec else { return };
        if !self.history.resize.under_way || is_behind(spec, &self.observation()) {
            return;
        }
        let text = details(spec, self.pod.metadata.generation, None);
        let text = format!("Pod resize completed: {text}");
        self.event(Level::Normal, "ResizeCompleted", text);
        self.history.resize.under_way = false;
        self.history.resize.error = None;
    }

    /// Gives the cgroups of the pod and of its containers the limits of the spec, each resource from the
    /// outside inwards as it grows and from the inside outwards as it shrinks. `Err`: when to try again.
    pub(super) async fn resize(&mut self) -> Result<(), Duration> {
        let result = self.write_limits().await;
        self.observe().await;
        match result {
            Ok(()) => {
                self.history.resize.error = None;
                self.tell_resized();
                self.publish();
                Ok(())
            }
            Err(text) => {
                if self.history.resize.error.as_ref() != Some(&text) {
                    let spec = self.pod.spec.clone().unwrap_or_default();
                    let details = details(&spec, self.pod.metadata.generation, Some(&text));
                    let line = format!("Pod resize error: {details}");
                    self.event(Level::Warning, "ResizeError", line);
                    self.history.resize.error = Some(text);
                }
                self.publish();
                Err(RETRY)
            }
        }
    }

    async fn write_limits(&self) -> Result<(), String> {
        let (Some(state), Some(spec)) = (&self.sandbox, &self.pod.spec) else {
            return Ok(());
        };
        let sandbox = state.spec.id.clone();
        let mut cgroup = state.spec.cgroup.clone();
        let Some(mut now) = cgroup.last().and_then(|level| level.limits.clone()) else {
            return Ok(());
        };
        let wanted = wanted_of_pod(spec);
        if let [.., qos, _] = cgroup.as_mut_slice() {
            let mut all = self.others();
            all.push(spec.clone());
            qos.limits = Some(qos_limits(qos_class(spec), qos_totals(all.iter())));
        }
        let mut running = self.running_limits(spec);
        for part in Part::ALL {
            let room = part.taken(&now, &looser(&now, &wanted));
            self.set_pod_limits(&sandbox, &mut cgroup, room).await?;
            for (name, id, limits) in &mut running {
                let Some(container) = all_containers(spec).find(|one| one.name == *name) else {
                    continue;
                };
                let next = part.taken(limits, &container_limits(spec, container));
                if part.differs(limits, &next) {
                    self.set_limits(&sandbox, name, id, limits, &next).await?;
                    *limits = next;
                }
            }
            now = part.taken(&now, &wanted);
            self.set_pod_limits(&sandbox, &mut cgroup, now.clone())
                .await?;
        }
        Ok(())
    }

    fn running_limits(&self, spec: &PodSpec) -> Vec<(String, ContainerId, ResourceLimits)> {
        let seen = self.observation();
        all_containers(spec)
            .filter_map(|container| {
                let newest = seen.instances.newest(&container.name)?;
                let limits = newest.limits.clone().filter(|_| newest.is_running())?;
                Some((container.name.clone(), newest.id.clone(), limits))
            })
            .collect()
    }

    async fn set_pod_limits(
        &self,
        sandbox: &SandboxId,
        cgroup: &mut [CgroupLevel],
        limits: ResourceLimits,
    ) -> Result<(), String> {
        if let Some(pod) = cgroup.last_mut() {
            pod.limits = Some(limits);
        }
        let runtime = &self.machine.runtime;
        let done = runtime.update_cgroups(sandbox, cgroup.to_vec()).await;
        done.map_err(|error| chain(&error))
    }

    async fn set_limits(
        &self,
        sandbox: &SandboxId,
        name: &str,
        id: &ContainerId,
        now: &ResourceLimits,
        next: &ResourceLimits,
    ) -> Result<(), String> {
        let runtime = &self.machine.runtime;
        // The kernel would kill to get below the limit.
        if let Some(limit) = next
            .memory_limit
            .filter(|_| next.memory_limit != now.memory_limit)
        {
            let stats = runtime.stats(sandbox).await;
            let stats = stats.map_err(|error| chain(&error))?;
            let own = stats.containers.iter().find(|stats| stats.container == *id);
            let used = own.map_or(0, |stats| stats.memory_working_set);
            if u64::try_from(limit).is_ok_and(|limit| limit < used) {
                return Err(format!(
                    "attempting to set container \"{name}\" memory limit ({limit}) below current usage ({used})"
                ));
            }
        }
        match runtime.update_limits(id, next.clone()).await {
            // One that is gone needs none.
            Ok(()) | Err(RuntimeError::UnknownContainer(_)) => Ok(()),
            Err(error) => Err(chain(&error)),
        }
    }
}
