use std::collections::HashSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::Notify;

use super::task::PodWorker;
use crate::base::ContainerId;
use crate::engine::machine::Machine;
use crate::engine::observe::{ID_PREFIX, PodObservation};
use crate::engine::recorder::{KUBELET, Level};
use crate::engine::restart::{Role, containers};
use crate::model::pod::container_status;
use crate::probe::{Kept, PodNet, ProbeEvent, ProbeWorkers, Probed, Probes};

/// The probes of a pod, which none of its containers has yet.
pub(super) fn probe_workers(machine: &Arc<Machine>, pod: &Pod, hint: &Arc<Notify>) -> ProbeWorkers {
    let recorder = machine.recorder.clone();
    // Events name the pod by what never changes of it.
    let pod = pod.clone();
    let tell = move |event: ProbeEvent| {
        recorder.pod(
            KUBELET,
            &pod,
            Some(&event.container),
            Level::Warning,
            event.reason,
            event.message,
        );
    };
    ProbeWorkers::new(
        Arc::clone(&machine.runtime),
        machine.clock.clone(),
        Arc::clone(hint),
        tell,
    )
}

/// What runs already when this engine sees the pod for the first time.
pub(super) fn running(seen: &PodObservation) -> HashSet<ContainerId> {
    let all = seen.instances.all();
    all.filter(|(_, instance)| instance.current && instance.is_running())
        .map(|(_, instance)| instance.id.clone())
        .collect()
}

impl PodWorker {
    /// Probes what runs and nothing else. Regular init containers have no probes.
    pub(super) fn ensure_probes(&mut self, seen: &PodObservation) {
        let Some(spec) = &self.pod.spec else { return };
        let probed: Vec<Probed<'_>> = containers(spec)
            .filter(|(_, role)| *role != Role::Init)
            .filter_map(|(container, _)| {
                let instance = seen.instances.newest(&container.name)?;
                // While its postStart hook runs, a container does not count as running.
                let counts = instance.current && !instance.starting;
                let started_at = instance.running_since().filter(|_| counts)?;
                let is_adopted = self.adopted.contains(&instance.id);
                Some(Probed {
                    container,
                    id: &instance.id,
                    started_at,
                    kept: is_adopted.then(|| self.kept(&container.name, &instance.id)),
                })
            })
            .collect();
        let net = self.pod_net(seen);
        self.probes.ensure(&probed, net.as_ref());
    }

    /// Where probes and hooks reach the pod; `None` without a sandbox.
    pub(super) fn pod_net(&self, seen: &PodObservation) -> Option<PodNet> {
        seen.sandbox.as_ref().map(|sandbox| PodNet {
            sandbox: sandbox.id.clone(),
            address: if sandbox.host_network {
                let own = self.machine.node.addresses.first();
                own.and_then(|address| address.parse().ok())
            } else {
                sandbox.address.map(Into::into)
            },
            host_network: sandbox.host_network,
        })
    }

    /// What the status that an earlier engine published says of this instance.
    fn kept(&self, name: &str, id: &ContainerId) -> Kept {
        let status = container_status(&self.pod, name);
        let same = status.filter(|status| {
            let own = status.container_id.as_deref();
            own.and_then(|own| own.strip_prefix(ID_PREFIX)) == Some(id.to_string().as_str())
        });
        Kept {
            started: same.is_some_and(|status| status.started == Some(true)),
            ready: same.is_some_and(|status| status.ready),
        }
    }

    pub(super) fn verdicts(&self) -> Probes {
        self.probes.snapshot()
    }
}
