use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Pod, Volume};
use serde_json::Value;

use super::error::SetUpError;
use super::{Sources, VolumeError, content, empty_dir, host_path, persistent};
use crate::wire::BlockDevice;

/// Most memory an `emptyDir` of medium Memory may take: the smaller of the pod's memory limit and the
/// node's allocatable memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MemoryCeiling(pub(crate) Option<u64>);

/// Where the content of one volume is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum VolumeSource {
    /// A directory that podtui made; opened without following links.
    Own(PathBuf),
    /// A path of the machine, and where it leads once its links are followed.
    Host { path: PathBuf, resolved: PathBuf },
    /// A tmpfs of the sandbox.
    Memory {
        size: Option<u64>,
        group: Option<u32>,
    },
    /// A hugetlbfs of the sandbox.
    Huge {
        page: u64,
        size: Option<u64>,
        group: Option<u32>,
    },
    /// A tmpfs of the sandbox with files that the engine writes; see [`super::contents`].
    Written,
    /// The files of an image, which is pulled before the containers that use it.
    Image,
    /// A block device, which containers get as such; without its path.
    Device(BlockDevice),
}

/// The volumes of one pod, ready to be mounted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prepared {
    pub(super) volumes: BTreeMap<String, VolumeSource>,
    /// Volumes that nobody may write to, whatever the mounts say.
    pub(super) read_only: BTreeSet<String>,
}

impl Prepared {
    /// Volumes of type hostPath whose path leads elsewhere through symlinks: name, path, target. For the
    /// eyes of the user.
    pub(crate) fn resolved_host_paths(&self) -> Vec<(&str, &Path, &Path)> {
        self.volumes
            .iter()
            .filter_map(|(name, source)| match source {
                VolumeSource::Host { path, resolved } if path != resolved => {
                    Some((name.as_str(), path.as_path(), resolved.as_path()))
                }
                VolumeSource::Host { .. }
                | VolumeSource::Own(_)
                | VolumeSource::Memory { .. }
                | VolumeSource::Huge { .. }
                | VolumeSource::Written
                | VolumeSource::Image
                | VolumeSource::Device(_) => None,
            })
            .collect()
    }
}

/// Makes every volume of the pod ready below `pod_dir` (`…/pods/<uid>`), or says of each that cannot be
/// made why. Idempotent: what a volume holds stays. Blocking file work.
pub(crate) fn prepare(
    pod: &Pod,
    pod_dir: &Path,
    ceiling: MemoryCeiling,
    sources: &Sources<'_>,
) -> Result<Prepared, Vec<VolumeError>> {
    let mut volumes = BTreeMap::new();
    let mut read_only = BTreeSet::new();
    let mut failures = Vec::new();
    for volume in pod
        .spec
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten())
    {
        let prepared = if persistent::is_claim(volume) {
            if persistent::is_read_only(volume) {
                read_only.insert(volume.name.clone());
            }
            persistent::prepare(pod, volume, sources)
        } else {
            prepare_one(pod, volume, pod_dir, ceiling, sources).map_err(|reason| {
                VolumeError::SetUp {
                    volume: volume.name.clone(),
                    reason,
                }
            })
        };
        match prepared {
            Ok(source) => {
                volumes.insert(volume.name.clone(), source);
            }
            Err(error) => failures.push(error),
        }
    }
    if failures.is_empty() {
        Ok(Prepared { volumes, read_only })
    } else {
        Err(failures)
    }
}

fn prepare_one(
    pod: &Pod,
    volume: &Volume,
    pod_dir: &Path,
    ceiling: MemoryCeiling,
    sources: &Sources<'_>,
) -> Result<VolumeSource, SetUpError> {
    let fs_group = content::fs_group(pod);
    if content::is_written(volume) {
        // Written once there is a sandbox; that it can be made is known before.
        content::content(pod, volume, sources)?;
        return Ok(VolumeSource::Written);
    }
    if volume.image.is_some() {
        return Ok(VolumeSource::Image);
    }
    if let Some(source) = &volume.empty_dir {
        return match empty_dir::huge_page(pod, source)? {
            Some(page) => Ok(empty_dir::huge(source, page, fs_group)),
            None => empty_dir::prepare(&volume.name, source, pod_dir, ceiling, fs_group),
        };
    }
    if let Some(source) = &volume.host_path {
        let (path, resolved) = host_path::prepare(source)?;
        return Ok(VolumeSource::Host { path, resolved });
    }
    Err(other_type(volume).map_or(SetUpError::NoSource, SetUpError::UnsupportedType))
}

/// The field of the volume that is set, as it is written in a manifest.
fn other_type(volume: &Volume) -> Option<String> {
    match serde_json::to_value(volume) {
        Ok(Value::Object(fields)) => fields
            .into_iter()
            .map(|(name, _)| name)
            .find(|name| name != "name"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::downward::Allocatable;
    use crate::volume::objects::NoObjects;

    #[test]
    fn every_volume_that_fails_is_told() {
        let pod: Pod = serde_json::from_value(json!({"spec": {"containers": [],
            "volumes": [{"name": "v", "configMap": {"name": "x"}}, {"name": "e", "emptyDir": {}},
                {"name": "n", "nfs": {"server": "s", "path": "/"}}]}}))
        .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let sources = Sources {
            objects: &NoObjects,
            allocatable: Allocatable::default(),
        };
        let errors = prepare(&pod, dir.path(), MemoryCeiling(None), &sources).unwrap_err();
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "MountVolume.SetUp failed for volume \"v\" : configmap \"x\" not found",
                "MountVolume.SetUp failed for volume \"n\" : volume type nfs is not supported by this version of \
                 podtui",
            ]
        );
    }
}
