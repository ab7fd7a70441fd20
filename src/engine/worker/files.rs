use std::collections::BTreeMap;
use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, Pod};
use rustix::fs::{Mode, OFlags};

use crate::base::{ContainerId, chain};
use crate::engine::machine::Machine;
use crate::engine::node::architecture;
use crate::engine::translate::{
    EnvInputs, ProfileContext, TranslateError, Variables, capabilities, confinement,
    expand_sub_path, load_error, localhost_profile, parse_profile, variables,
};
use crate::network::{
    EtcFiles, Hostname, ensure_etc_files, hosts_file, node_resolv_conf, resolv_conf,
};
use crate::volume::{Prepared, ensure_scratch, remove_tree};
use crate::wire::{BlockDevice, Mount, SeccompProfile};

/// Most that a seccomp profile may have, bytes.
const PROFILE_LIMIT: u64 = 1 << 20;

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
    pub(super) devices: Vec<BlockDevice>,
    pub(super) warnings: Vec<(&'static str, String)>,
    /// Of the container's `localhostProfile`.
    pub(super) seccomp: Option<SeccompProfile>,
    /// Its AppArmor profile, loaded.
    pub(super) apparmor: Option<String>,
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
        let devices = self.prepared.devices_for(&self.container);
        let devices = devices.map_err(|error| TranslateError::Config(chain(&error)))?;
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
        let resolv = resolv_conf(&self.pod, &node_resolv, &self.machine.limits.dns);
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
        let asks_for_cluster_dns = self
            .pod
            .spec
            .as_ref()
            .and_then(|spec| spec.dns_policy.as_deref())
            == Some("ClusterFirstWithHostNet");
        let warnings = resolv
            .warnings
            .into_iter()
            // Most pods have their policy by default: of those it would only be noise.
            .filter(|warning| warning.reason != "MissingClusterDNS" || asks_for_cluster_dns)
            .map(|warning| (warning.reason, warning.message))
            .collect();
        Ok(Made {
            variables,
            mounts,
            devices,
            warnings,
            seccomp: self.seccomp_profile()?,
            apparmor: self.apparmor_profile()?,
        })
    }

    fn apparmor_profile(&self) -> Result<Option<String>, TranslateError> {
        let empty = k8s_openapi::api::core::v1::PodSpec::default();
        let wanted = confinement(self.pod.spec.as_ref().unwrap_or(&empty), &self.container);
        let found = self.machine.apparmor.resolve(wanted);
        // In the words in which containerd tells it.
        found.map_err(|error| {
            TranslateError::Create(format!(
                "failed to get container spec opts: failed to generate apparmor spec opts: {}",
                chain(&error)
            ))
        })
    }

    /// Reads the container's own profile. The directory is the administrator's; the manifest only names a
    /// file in it, without `..` (admission has seen to that).
    fn seccomp_profile(&self) -> Result<Option<SeccompProfile>, TranslateError> {
        let wanted = self.pod.spec.as_ref();
        let wanted = wanted.and_then(|spec| localhost_profile(spec, &self.container));
        let Some(name) = wanted else {
            return Ok(None);
        };
        if name.is_empty() {
            // The API takes it; the text is the kubelet's.
            let text = "localhostProfile must be set if seccompProfile type is Localhost.";
            return Err(TranslateError::Create(text.to_owned()));
        }
        let path = self.machine.directories.seccomp().join(name);
        let fail = |reason: String| TranslateError::Create(load_error(&path, &reason));
        let text = read_regular(&path).map_err(|error| fail(error.to_string()))?;
        let context = ProfileContext {
            capabilities: capabilities(&self.container)?.bounding,
            kernel: &self.machine.node.kernel,
            architecture: architecture(),
        };
        parse_profile(&text, &context).map(Some).map_err(fail)
    }
}

/// A file that the administrator put there; anything but a file of reasonable size is a mistake.
fn read_regular(path: &Path) -> std::io::Result<Vec<u8>> {
    // Not blocking: a pipe in place of the file must not hold anybody up.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    let mut text = Vec::new();
    file.take(PROFILE_LIMIT + 1).read_to_end(&mut text)?;
    if text.len() as u64 > PROFILE_LIMIT {
        return Err(std::io::Error::other(format!(
            "it is longer than {PROFILE_LIMIT} bytes"
        )));
    }
    Ok(text)
}
