use std::collections::BTreeMap;
use std::collections::HashSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, Pod};

use crate::base::{ContainerId, chain};
use crate::engine::machine::Machine;
use crate::engine::translate::{EnvInputs, TranslateError, Variables, expand_sub_path, variables};
use crate::network::{
    ClusterDns, EtcFiles, Hostname, ensure_etc_files, hosts_file, node_resolv_conf, resolv_conf,
};
use crate::volume::{Prepared, ensure_scratch, remove_tree};
use crate::wire::Mount;

pub(super) const CLUSTER_DOMAIN: &str = "cluster.local";

/// The attempt after the newest log file: what is left when neither status nor sandbox is.
pub(super) fn next_log(directory: &Path) -> u32 {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return 0;
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            name.to_str()?.strip_suffix(".log")?.parse::<u32>().ok()
        })
        .max()
        .map_or(0, |newest| newest.saturating_add(1))
}

/// Where a file stands for each container instance whose postStart hook has not come back.
pub(super) fn post_start_marks(pod_directory: &Path) -> PathBuf {
    pod_directory.join("post-start")
}

/// The instances whose postStart hook was under way when the last engine ended.
pub(super) fn marked_post_starts(pod_directory: &Path) -> HashSet<ContainerId> {
    let entries = std::fs::read_dir(post_start_marks(pod_directory));
    entries
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some(ContainerId::new(entry.file_name().into_string().ok()?)))
        .collect()
}

pub(super) async fn remove_directory(path: PathBuf) {
    let shown = path.display().to_string();
    match tokio::task::spawn_blocking(move || remove_tree(&path)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(path = shown, error = chain(&error), "cannot be removed");
        }
        Err(error) => tracing::warn!(path = shown, %error, "cannot be removed"),
    }
}

/// All blocking file work of one container start, in one go.
pub(super) struct FileWork {
    /// Layers of the image volumes that the container mounts.
    pub(super) images: BTreeMap<String, Vec<PathBuf>>,
    pub(super) machine: Arc<Machine>,
    pub(super) pod: Pod,
    pub(super) container: Container,
    pub(super) attempt: u32,
    pub(super) prepared: Arc<Prepared>,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) hostname: Hostname,
    pub(super) pod_directory: PathBuf,
    pub(super) log_directory: PathBuf,
}

pub(super) struct Made {
    pub(super) variables: Variables,
    pub(super) mounts: Vec<Mount>,
    pub(super) warnings: Vec<(&'static str, String)>,
}

impl FileWork {
    pub(super) fn run(&self) -> Result<Made, TranslateError> {
        let create = |text: String| TranslateError::Create(text);
        let node = &self.machine.node;
        let variables = variables(&EnvInputs {
            pod: &self.pod,
            container: &self.container,
            objects: &*self.machine,
            allocatable: node.allocatable(),
            pod_addresses: &self.addresses,
            node_name: &node.name,
            host_addresses: &node.addresses,
            volumes: &self.prepared,
        })?;
        let mut mounts = self
            .prepared
            .mounts_for(&self.container, &self.images, &|text| {
                expand_sub_path(&variables, text)
            })
            .map_err(|error| TranslateError::Config(chain(&error)))?;
        ensure_scratch(&self.pod_directory, &self.container.name, self.attempt)
            .map_err(|error| create(chain(&error)))?;
        std::fs::DirBuilder::new()
            .recursive(true)
            .create(&self.log_directory)
            .map_err(|error| {
                create(format!(
                    "failed to create {}: {error}",
                    self.log_directory.display()
                ))
            })?;
        let root = Path::new("/");
        let node_resolv = node_resolv_conf(root).map_err(|error| create(chain(&error)))?;
        let cluster = ClusterDns {
            domain: CLUSTER_DOMAIN.to_owned(),
            servers: Vec::new(),
        };
        let resolv = resolv_conf(&self.pod, &node_resolv, &cluster);
        // The hosts file of the machine matters with hostNetwork only; without one it is empty.
        let node_hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
        let etc = EtcFiles {
            hosts: hosts_file(&self.pod, &self.hostname, &self.addresses, &node_hosts),
            hostname: self.hostname.kernel.clone(),
            resolv_conf: resolv.text,
        };
        let read_only_root = self
            .container
            .security_context
            .as_ref()
            .and_then(|context| context.read_only_root_filesystem)
            .unwrap_or(false);
        let own = ensure_etc_files(
            &self.pod_directory.join("etc"),
            &etc,
            &mounts,
            read_only_root,
        )
        .map_err(|error| create(chain(&error)))?;
        mounts.extend(own);
        let warnings = resolv
            .warnings
            .into_iter()
            // No pod has a cluster DNS yet, so this would only be noise on every pod.
            .filter(|warning| warning.reason != "MissingClusterDNS")
            .map(|warning| (warning.reason, warning.message))
            .collect();
        Ok(Made {
            variables,
            mounts,
            warnings,
        })
    }
}
