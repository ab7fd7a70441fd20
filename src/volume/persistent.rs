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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolume, Secret};
    use serde_json::{Value, json};

    use super::*;
    use crate::model::downward::Allocatable;
    use crate::volume::{Claimed, MemoryCeiling, Objects, Prepared};

    /// Every claim is bound to this volume.
    struct Bound(Arc<PersistentVolume>);

    impl Objects for Bound {
        fn config_map(&self, _namespace: &str, _name: &str) -> Option<Arc<ConfigMap>> {
            None
        }

        fn secret(&self, _namespace: &str, _name: &str) -> Option<Arc<Secret>> {
            None
        }

        fn claimed(&self, _pod: &Pod, _volume: &Volume) -> Result<Claimed, String> {
            Ok(Claimed {
                volume: Arc::clone(&self.0),
                is_shared: false,
            })
        }

        fn token(&self, _pod: &Pod, _audience: &str, _seconds: i64) -> Result<String, String> {
            Err("there are no tokens".to_owned())
        }
    }

    fn prepared(volume: Value, container: Value) -> Result<Prepared, String> {
        let mut container = container;
        container["name"] = json!("c");
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "ns"},
            "spec": {"containers": [container], "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]},
        }))
        .unwrap();
        let volume = json!({"metadata": {"name": "disk"}, "spec": volume});
        let sources = Sources {
            objects: &Bound(Arc::new(serde_json::from_value(volume).unwrap())),
            allocatable: Allocatable::default(),
        };
        let directory = tempfile::tempdir().unwrap();
        crate::volume::prepare(&pod, directory.path(), MemoryCeiling(None), &sources)
            .map_err(|errors| errors[0].to_string())
    }

    #[track_caller]
    fn refused(volume: Value, container: Value, expected: &str) {
        assert_eq!(prepared(volume, container).unwrap_err(), expected);
    }

    #[test]
    fn each_mode_has_its_use() {
        let mounts = || json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]});
        let devices = || json!({"volumeDevices": [{"name": "v", "devicePath": "/dev/v"}]});
        refused(
            json!({"hostPath": {"path": "/"}, "volumeMode": "Block"}),
            mounts(),
            "error processing PVC ns/c: volume v has volumeMode Block, but is specified in volumeMounts",
        );
        for mode in [json!("Filesystem"), Value::Null] {
            refused(
                json!({"hostPath": {"path": "/"}, "volumeMode": mode}),
                devices(),
                "error processing PVC ns/c: volume v has volumeMode Filesystem, but is specified in volumeDevices",
            );
            let good = prepared(
                json!({"hostPath": {"path": "/"}, "volumeMode": mode}),
                mounts(),
            );
            assert!(good.is_ok(), "{good:?}");
        }
    }

    #[test]
    fn a_device_is_one() {
        let block = |source: Value| {
            let mut volume = json!({"volumeMode": "Block"});
            json_patch::merge(&mut volume, &source);
            volume
        };
        let devices = || json!({"volumeDevices": [{"name": "v", "devicePath": "/dev/v"}]});
        let failed =
            |reason: &str| format!("MapVolume.SetUpDevice failed for volume \"disk\" : {reason}");
        refused(
            block(json!({"local": {"path": "/"}})),
            devices(),
            &failed("path \"/\" is not a block device"),
        );
        refused(
            block(json!({"local": {"path": "/dev/null"}})),
            devices(),
            &failed("path \"/dev/null\" is not a block device"),
        );
        refused(
            block(json!({"local": {"path": "dev/sda"}})),
            devices(),
            &failed("path \"dev/sda\" is not absolute"),
        );
        refused(
            block(json!({"local": {"path": "/nowhere"}})),
            devices(),
            &failed("stat /nowhere: No such file or directory (os error 2)"),
        );
        // Nothing is made in its place.
        refused(
            block(json!({"hostPath": {"path": "/nowhere", "type": "DirectoryOrCreate"}})),
            devices(),
            &failed("hostPath type check failed: /nowhere is not a block device"),
        );
        refused(
            block(json!({"nfs": {"server": "s", "path": "/"}})),
            devices(),
            &failed("volume type nfs is not supported by this version of podtui"),
        );
    }
}
