use std::collections::BTreeMap;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::{Container, Pod};
use sha2::{Digest, Sha256};

use super::super::machine::NodeLimits;
use super::super::observe::label;
use super::{command, env, resources, security};
use crate::base::ContainerId;
use crate::image::ImageRecord;
use crate::model::pod::QosClass;
use crate::volume::Scratch;
use crate::wire::{
    BlockDevice, ContainerSpec, Mount, ResourceLimits, Rlimit, RootFs, SeccompProfile,
};

const TERMINATION_LOG: &str = "/dev/termination-log";

/// A container that cannot be made from this manifest, in the kubelet's two classes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::engine) enum TranslateError {
    /// `CreateContainerConfigError`
    #[error("{0}")]
    Config(String),
    /// `CreateContainerError`
    #[error("{0}")]
    Create(String),
}

impl TranslateError {
    pub(in crate::engine) fn reason(&self) -> &'static str {
        match self {
            Self::Config(_) => "CreateContainerConfigError",
            Self::Create(_) => "CreateContainerError",
        }
    }
}

/// What has been looked up for one instance.
pub(in crate::engine) struct ContainerInputs<'a> {
    pub(in crate::engine) pod: &'a Pod,
    pub(in crate::engine) container: &'a Container,
    pub(in crate::engine) id: ContainerId,
    pub(in crate::engine) attempt: u32,
    /// The running instance whose pid namespace it joins.
    pub(in crate::engine) pid_of: Option<ContainerId>,
    pub(in crate::engine) image: &'a ImageRecord,
    pub(in crate::engine) variables: &'a env::Variables,
    /// Kernel host name of the sandbox.
    pub(in crate::engine) hostname: &'a str,
    pub(in crate::engine) qos: QosClass,
    /// Memory of the machine, bytes.
    pub(in crate::engine) node_memory: i64,
    pub(in crate::engine) cpus: usize,
    /// Sizes of the huge pages of the machine, bytes.
    pub(in crate::engine) huge_pages: Vec<u64>,
    /// Volumes and the files below `/etc`.
    pub(in crate::engine) mounts: Vec<Mount>,
    pub(in crate::engine) devices: Vec<BlockDevice>,
    pub(in crate::engine) scratch: Scratch,
    pub(in crate::engine) log_path: PathBuf,
    pub(in crate::engine) limits: &'a NodeLimits,
    /// Read from the container's `localhostProfile`.
    pub(in crate::engine) seccomp: Option<SeccompProfile>,
    /// The profile that was found for it.
    pub(in crate::engine) apparmor: Option<String>,
}

/// Changes exactly when the container must be replaced (kubelet: name and image only).
pub(in crate::engine) fn container_hash(container: &Container) -> String {
    let digest = Sha256::new()
        .chain_update(&container.name)
        .chain_update([0])
        .chain_update(container.image.as_deref().unwrap_or_default())
        .finalize();
    digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The signal that asks this container to end: the manifest's, else the image's.
pub(in crate::engine) fn stop_signal(container: &Container, image: &ImageRecord) -> String {
    let own = container
        .lifecycle
        .as_ref()
        .and_then(|lifecycle| lifecycle.stop_signal.clone());
    [own, image.config.stop_signal.clone()]
        .into_iter()
        .flatten()
        .find(|signal| !signal.is_empty())
        .unwrap_or_else(|| "SIGTERM".to_owned())
}

/// The name by which the image is shown in a status.
fn image_name(container: &Container, image: &ImageRecord) -> String {
    let wanted = container.image.as_deref().unwrap_or_default();
    image
        .names
        .iter()
        .find(|name| {
            name.as_str() == wanted
                || name.ends_with(&format!("/{wanted}"))
                || name.ends_with(&format!("/{wanted}:latest"))
        })
        .or_else(|| image.names.first())
        .cloned()
        .unwrap_or_else(|| wanted.to_owned())
}

fn image_id(image: &ImageRecord) -> String {
    image.repo_digests.first().unwrap_or(&image.id).clone()
}

pub(in crate::engine) fn container_spec(
    inputs: ContainerInputs<'_>,
) -> Result<ContainerSpec, TranslateError> {
    let (pod, container, image) = (inputs.pod, inputs.container, inputs.image);
    let empty = k8s_openapi::api::core::v1::PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&empty);
    let user = security::user(pod, spec, container, &image.config)?;
    let variables = inputs.variables;
    let argv = command::argv(container, &image.config, variables.values());
    if argv.is_empty() {
        return Err(TranslateError::Create("no command specified".to_owned()));
    }
    let context = container.security_context.as_ref();
    let cwd = [
        container.working_dir.as_deref(),
        Some(&image.config.working_dir),
    ]
    .into_iter()
    .flatten()
    .find(|directory| !directory.is_empty())
    .unwrap_or("/");
    if !cwd.starts_with('/') {
        return Err(TranslateError::Create(format!(
            "working directory \"{cwd}\" is not absolute"
        )));
    }
    let mounts = mounts(container, inputs.mounts, &inputs.scratch);
    Ok(ContainerSpec {
        labels: labels(pod, container, image, inputs.attempt),
        cgroup_leaf: container.name.clone(),
        pid_of: inputs.pid_of,
        limits: ResourceLimits {
            huge_pages: resources::huge_page_limits(spec, container, &inputs.huge_pages),
            ..resources::container_limits(spec, container)
        },
        oom_score_adj: resources::oom_score(spec, container, inputs.qos, inputs.node_memory),
        env: env::environment(container, &image.config, inputs.hostname, variables),
        argv,
        cwd: cwd.to_owned(),
        user,
        rootfs: RootFs {
            layers: image.layers.clone(),
            scratch: inputs.scratch.directory,
            readonly: context
                .and_then(|context| context.read_only_root_filesystem)
                .unwrap_or(false),
        },
        image_volumes: image_volumes(&image.config.volumes, &mounts),
        mounts,
        devices: inputs.devices,
        masked_paths: security::masked_paths(container, inputs.cpus),
        readonly_paths: security::readonly_paths(container),
        privileged: security::is_privileged(container),
        capabilities: security::capabilities(container)?,
        no_new_privileges: security::no_new_privileges(container),
        seccomp: security::seccomp(spec, container, inputs.seccomp)?,
        apparmor: inputs.apparmor,
        // A core dump of a container would land wherever the host's core_pattern says.
        rlimits: vec![Rlimit {
            name: "RLIMIT_CORE".to_owned(),
            soft: 0,
            hard: 0,
        }],
        tty: container.tty.unwrap_or(false),
        stdin: container.stdin.unwrap_or(false),
        stdin_once: container.stdin_once.unwrap_or(false),
        log_path: inputs.log_path,
        log_max_size: inputs.limits.log_max_size,
        log_max_files: inputs.limits.log_max_files,
        stop_signal: stop_signal(container, image),
        id: inputs.id,
    })
}

/// Expands a `subPathExpr`: here an undefined or empty variable is an error.
pub(in crate::engine) fn expand_sub_path(
    variables: &env::Variables,
    text: &str,
) -> Result<String, String> {
    command::expand_strictly(text, variables.values())
}

fn labels(
    pod: &Pod,
    container: &Container,
    image: &ImageRecord,
    attempt: u32,
) -> BTreeMap<String, String> {
    let mut labels = pod_labels(pod);
    labels.extend(
        [
            (label::CONTAINER_NAME, container.name.clone()),
            (label::ATTEMPT, attempt.to_string()),
            (label::HASH, container_hash(container)),
            (label::IMAGE, image_name(container, image)),
            (label::IMAGE_ID, image_id(image)),
        ]
        .map(|(key, value)| (key.to_owned(), value)),
    );
    labels
}

pub(super) fn pod_labels(pod: &Pod) -> BTreeMap<String, String> {
    let meta = &pod.metadata;
    [
        (label::POD_NAME, &meta.name),
        (label::POD_NAMESPACE, &meta.namespace),
        (label::POD_UID, &meta.uid),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.clone().unwrap_or_default()))
    .collect()
}

/// Those on which nothing is mounted, as containerd compares them: by their paths alone.
fn image_volumes(declared: &[String], mounts: &[Mount]) -> Vec<String> {
    fn steps(path: &str) -> impl Iterator<Item = &str> {
        path.split('/')
            .filter(|step| !step.is_empty() && *step != ".")
    }
    let is_covered = |volume: &&String| {
        let mut mounts = mounts.iter();
        mounts.any(|mount| steps(&mount.destination).eq(steps(volume)))
    };
    declared
        .iter()
        .filter(|volume| !is_covered(volume))
        .cloned()
        .collect()
}

/// Parents before children, so that one mount never hides another.
fn mounts(container: &Container, mut mounts: Vec<Mount>, scratch: &Scratch) -> Vec<Mount> {
    let path = container
        .termination_message_path
        .as_deref()
        .filter(|path| !path.is_empty())
        .unwrap_or(TERMINATION_LOG);
    mounts.push(scratch.termination_mount(path));
    mounts.sort_by_key(|mount| {
        mount
            .destination
            .split('/')
            .filter(|part| !part.is_empty())
            .count()
    });
    mounts
}
