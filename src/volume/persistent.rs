use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{
    Container, HostPathVolumeSource, PersistentVolumeSpec, Pod, Volume,
};

use super::error::SetUpError;
use super::prepare::VolumeSource;
use super::{Sources, VolumeError, content, host_path, ownership};
use crate::model::pod::every_container;
use crate::model::storage::{FILESYSTEM, claim_name, source_names, volume_mode};
use crate::wire::BlockDevice;

pub(super) const fn is_claim(volume: &Volume) -> bool {
    volume.persistent_volume_claim.is_some() || volume.ephemeral.is_some()
}

/// The pod wants the whole volume like that.
pub(super) fn is_read_only(volume: &Volume) -> bool {
    let source = volume.persistent_volume_claim.as_ref();
    source.is_some_and(|source| source.read_only == Some(true))
}

/// Makes the persistent volume behind a claim ready: host paths as those of pods, local volumes where they are.
pub(super) fn prepare(
    pod: &Pod,
    volume: &Volume,
    sources: &Sources<'_>,
) -> Result<VolumeSource, VolumeError> {
    let unprocessed = |reason: String| {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let claim = claim_name(pod, volume).unwrap_or_default();
        VolumeError::Claim {
            volume: volume.name.clone(),
            claim: format!("{namespace}/{claim}"),
            reason,
        }
    };
    let claimed = sources.objects.claimed(pod, volume).map_err(&unprocessed)?;
    let name = claimed.volume.metadata.name.clone().unwrap_or_default();
    let empty = PersistentVolumeSpec::default();
    let spec = claimed.volume.spec.as_ref().unwrap_or(&empty);
    let mode = volume_mode(spec);
    let wrong = match mode {
        FILESYSTEM if is_used(pod, |container| names_device(container, &volume.name)) => {
            Some("volumeDevices")
        }
        FILESYSTEM => None,
        _ if is_used(pod, |container| names_mount(container, &volume.name)) => Some("volumeMounts"),
        _ => None,
    };
    if let Some(list) = wrong {
        let volume = &volume.name;
        return Err(unprocessed(format!(
            "volume {volume} has volumeMode {mode}, but is specified in {list}"
        )));
    }
    if mode != FILESYSTEM {
        let device = device(spec).map_err(|reason| VolumeError::NoDevice {
            volume: volume.name.clone(),
            name: name.clone(),
            reason,
        })?;
        return Ok(VolumeSource::Device(device));
    }
    let fail = |reason: SetUpError| VolumeError::Persistent {
        volume: volume.name.clone(),
        name: name.clone(),
        reason,
    };
    if let Some(source) = &spec.host_path {
        let (path, resolved) = host_path::prepare(source).map_err(|error| fail(error.into()))?;
        return Ok(VolumeSource::Host { path, resolved });
    }
    let Some(source) = &spec.local else {
        let kind = source_names(spec).first().copied().unwrap_or_default();
        return Err(fail(SetUpError::UnsupportedType(kind.to_owned())));
    };
    let no_mounter = |reason: String| VolumeError::NoMounter {
        volume: volume.name.clone(),
        name: name.clone(),
        reason,
    };
    let (path, resolved) = local(&source.path).map_err(no_mounter)?;
    // Whoever has it first decides; the others find it as it is.
    if let Some(group) = content::fs_group(pod)
        && !is_read_only(volume)
        && !claimed.is_shared
    {
        let only_on_mismatch = changes_on_mismatch_only(pod);
        ownership::give_to_group(&resolved, group, only_on_mismatch).map_err(|source| {
            fail(SetUpError::Io {
                operation: "give to the group of the pod",
                path: path.clone(),
                source,
            })
        })?;
    }
    Ok(VolumeSource::Host { path, resolved })
}

fn is_used(pod: &Pod, by: impl Fn(&Container) -> bool) -> bool {
    let mut specs = pod.spec.iter();
    specs.any(|spec| every_container(spec).any(|container| by(&container)))
}

fn names_device(container: &Container, volume: &str) -> bool {
    let mut devices = container.volume_devices.iter().flatten();
    devices.any(|device| device.name == volume)
}

fn names_mount(container: &Container, volume: &str) -> bool {
    let mut mounts = container.volume_mounts.iter().flatten();
    mounts.any(|mount| mount.name == volume)
}

/// The device behind a volume of mode Block. Host paths work as local ones do, though a cluster takes local ones
/// only.
fn device(spec: &PersistentVolumeSpec) -> Result<BlockDevice, SetUpError> {
    let path = match (&spec.local, &spec.host_path) {
        (Some(source), _) => PathBuf::from(&source.path),
        (None, Some(source)) => {
            host_path::prepare(&HostPathVolumeSource {
                path: source.path.clone(),
                // Nothing is made where a device should be.
                type_: Some("BlockDevice".to_owned()),
            })?
            .0
        }
        (None, None) => {
            let kind = source_names(spec).first().copied().unwrap_or_default();
            return Err(SetUpError::UnsupportedType(kind.to_owned()));
        }
    };
    if !path.is_absolute() {
        return Err(SetUpError::Relative(path));
    }
    let found = std::fs::metadata(&path).map_err(|source| SetUpError::Io {
        operation: "stat",
        path: path.clone(),
        source,
    })?;
    if !found.file_type().is_block_device() {
        return Err(SetUpError::NotBlockDevice(path));
    }
    Ok(BlockDevice {
        path: String::new(),
        major: rustix::fs::major(found.rdev()),
        minor: rustix::fs::minor(found.rdev()),
        mode: found.mode() & 0o777,
        uid: found.uid(),
        gid: found.gid(),
        writable: true,
    })
}

fn changes_on_mismatch_only(pod: &Pod) -> bool {
    let context = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.security_context.as_ref());
    let policy = context.and_then(|context| context.fs_group_change_policy.as_deref());
    policy == Some("OnRootMismatch")
}

/// The place of a local volume must be there, and be a directory.
fn local(text: &str) -> Result<(PathBuf, PathBuf), String> {
    let path = Path::new(text);
    if !path.is_absolute() {
        return Err(format!("path \"{text}\" is not absolute"));
    }
    let resolved = match path.canonicalize() {
        Ok(resolved) => resolved,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(format!("path \"{text}\" does not exist"));
        }
        Err(error) => return Err(format!("path \"{text}\": {error}")),
    };
    if !resolved.is_dir() {
        return Err(format!(
            "path \"{text}\" is no directory; podtui does not mount block devices, mount it and name the directory"
        ));
    }
    Ok((path.to_owned(), resolved))
}
