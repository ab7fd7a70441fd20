use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Pod, Volume};
use serde_json::Value;

use super::error::SetUpError;
use super::{VolumeError, empty_dir, host_path};

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
    Memory { size: Option<u64> },
}

/// The volumes of one pod, ready to be mounted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prepared {
    pub(super) volumes: BTreeMap<String, VolumeSource>,
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
                VolumeSource::Host { .. } | VolumeSource::Own(_) | VolumeSource::Memory { .. } => {
                    None
                }
            })
            .collect()
    }
}

/// Makes every volume of the pod ready below `pod_dir` (`…/pods/<uid>`). Idempotent: what a volume holds
/// stays. Blocking file work.
pub(crate) fn prepare(
    pod: &Pod,
    pod_dir: &Path,
    ceiling: MemoryCeiling,
) -> Result<Prepared, VolumeError> {
    let Some(spec) = &pod.spec else {
        return Ok(Prepared::default());
    };
    let fs_group = spec
        .security_context
        .as_ref()
        .and_then(|context| context.fs_group)
        .and_then(|group| u32::try_from(group).ok());
    let mut volumes = BTreeMap::new();
    for volume in spec.volumes.iter().flatten() {
        let source = prepare_one(volume, pod_dir, ceiling, fs_group).map_err(|reason| {
            VolumeError::SetUp {
                volume: volume.name.clone(),
                reason,
            }
        })?;
        volumes.insert(volume.name.clone(), source);
    }
    Ok(Prepared { volumes })
}

fn prepare_one(
    volume: &Volume,
    pod_dir: &Path,
    ceiling: MemoryCeiling,
    fs_group: Option<u32>,
) -> Result<VolumeSource, SetUpError> {
    if let Some(source) = &volume.empty_dir {
        return empty_dir::prepare(&volume.name, source, pod_dir, ceiling, fs_group);
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

    #[test]
    fn volumes_that_do_not_exist_yet_are_refused_by_name() {
        let pod: Pod = serde_json::from_value(json!({"spec": {"containers": [],
            "volumes": [{"name": "v", "configMap": {"name": "x"}}]}}))
        .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let error = prepare(&pod, dir.path(), MemoryCeiling(None)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "MountVolume.SetUp failed for volume \"v\" : volume type configMap is not supported by this version \
             of podtui"
        );
    }
}
