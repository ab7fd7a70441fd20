use std::path::PathBuf;

use k8s_openapi::api::core::v1::{Pod, PodSpec};

use super::super::observe::label;
use super::container::pod_labels;
use super::resources::{
    QosTotals, SANDBOX_OOM_SCORE, limits_of_pod, pod_huge_page_limits, qos_limits,
};
use crate::base::SandboxId;
use crate::model::pod::QosClass;
use crate::wire::{
    CgroupLevel, IdRange, Namespace, NetworkPlan, PidNamespace, SandboxNamespaces, SandboxSpec,
};

/// Shared memory of a pod: what container runtimes have always given.
const SHM_SIZE: u64 = 64 << 20;

/// What has been looked up for one sandbox.
pub(in crate::engine) struct SandboxInputs<'a> {
    pub(in crate::engine) pod: &'a Pod,
    pub(in crate::engine) id: SandboxId,
    pub(in crate::engine) attempt: u32,
    /// Below the run directory.
    pub(in crate::engine) directory: PathBuf,
    pub(in crate::engine) hostname: String,
    /// `None` with the host's network.
    pub(in crate::engine) network: Option<NetworkPlan>,
    /// Names of the cgroups above those of the QoS classes.
    pub(in crate::engine) cgroup_root: &'a [String],
    pub(in crate::engine) qos: QosClass,
    pub(in crate::engine) totals: QosTotals,
    /// Of the whole pod.
    pub(in crate::engine) pids_limit: Option<i64>,
    /// Sizes of the huge pages that are limited, bytes.
    pub(in crate::engine) huge_pages: Vec<u64>,
    /// With `hostUsers: false`.
    pub(in crate::engine) user: Option<IdRange>,
}

pub(in crate::engine) fn sandbox_spec(inputs: SandboxInputs<'_>) -> SandboxSpec {
    let empty = PodSpec::default();
    let spec = inputs.pod.spec.as_ref().unwrap_or(&empty);
    let uid = inputs.pod.metadata.uid.as_deref().unwrap_or_default();
    let host = |field: Option<bool>| {
        if field == Some(true) {
            Namespace::Host
        } else {
            Namespace::Sandbox
        }
    };
    let pid = if spec.host_pid == Some(true) {
        PidNamespace::Host
    } else if spec.share_process_namespace == Some(true) {
        PidNamespace::Sandbox
    } else {
        PidNamespace::Container
    };
    let mut labels = pod_labels(inputs.pod);
    labels.insert(
        label::SANDBOX_ATTEMPT.to_owned(),
        inputs.attempt.to_string(),
    );
    let cgroup = cgroup(&inputs, spec, uid);
    SandboxSpec {
        id: inputs.id,
        labels,
        directory: inputs.directory,
        hostname: inputs.hostname,
        namespaces: SandboxNamespaces {
            network: host(spec.host_network),
            ipc: host(spec.host_ipc),
            uts: host(spec.host_network),
            pid,
        },
        network: inputs.network,
        cgroup,
        sysctls: sysctls(spec),
        shm_size: SHM_SIZE,
        oom_score_adj: SANDBOX_OOM_SCORE,
        user: inputs.user,
    }
}

/// From the outside inwards; the levels of the root belong to nobody, so they keep the limits they have.
fn cgroup(inputs: &SandboxInputs<'_>, spec: &PodSpec, uid: &str) -> Vec<CgroupLevel> {
    let mut pod = limits_of_pod(spec, inputs.qos == QosClass::BestEffort);
    pod.pids_limit = inputs.pids_limit;
    pod.huge_pages = pod_huge_page_limits(spec, &inputs.huge_pages);
    let own = [
        CgroupLevel {
            name: inputs.qos.as_str().to_ascii_lowercase(),
            limits: Some(qos_limits(inputs.qos, inputs.totals)),
        },
        CgroupLevel {
            name: format!("pod{uid}"),
            limits: Some(pod),
        },
    ];
    let root = inputs.cgroup_root.iter().map(|name| CgroupLevel {
        name: name.clone(),
        limits: None,
    });
    root.chain(own).collect()
}

/// The runtime's defaults (containerd `enable_unprivileged_ports`, `enable_unprivileged_icmp`), then the
/// pod's own.
fn sysctls(spec: &PodSpec) -> Vec<(String, String)> {
    let mut list = Vec::new();
    if spec.host_network != Some(true) {
        list.push((
            "net.ipv4.ip_unprivileged_port_start".to_owned(),
            "0".to_owned(),
        ));
        // In a user namespace there are no other groups, and only those may be named.
        let groups = if spec.host_users == Some(false) {
            "0 65535"
        } else {
            "0 2147483647"
        };
        list.push(("net.ipv4.ping_group_range".to_owned(), groups.to_owned()));
    }
    let own = spec
        .security_context
        .as_ref()
        .and_then(|context| context.sysctls.as_ref());
    for sysctl in own.into_iter().flatten() {
        let name = sysctl.name.replace('/', ".");
        list.retain(|(known, _)| *known != name);
        list.push((name, sysctl.value.clone()));
    }
    list
}
