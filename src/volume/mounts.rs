use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, VolumeDevice, VolumeMount};

use super::prepare::VolumeSource;
use super::{Prepared, VolumeError, subpath};
use crate::wire::{BlockDevice, Mount, MountSource, Propagation};

impl Prepared {
    /// The volume mounts of this container, parents before children. `expand` replaces `$(NAME)` in a
    /// `subPathExpr` with the container's variables, or says which is missing. `images`: the layers of the
    /// image volumes, topmost first. Blocking file work.
    pub(crate) fn mounts_for(
        &self,
        container: &Container,
        images: &BTreeMap<String, Vec<PathBuf>>,
        expand: &dyn Fn(&str) -> Result<String, String>,
    ) -> Result<Vec<Mount>, VolumeError> {
        let mut mounts = Vec::new();
        for wanted in container.volume_mounts.iter().flatten() {
            let source =
                self.volumes
                    .get(&wanted.name)
                    .ok_or_else(|| VolumeError::UnknownVolume {
                        volume: wanted.name.clone(),
                        container: container.name.clone(),
                    })?;
            let source = self
                .source_of(wanted, source, images, expand)
                .map_err(|reason| VolumeError::SubPath {
                    volume: wanted.name.clone(),
                    container: container.name.clone(),
                    reason,
                })?;
            let mut mount = mount(wanted, source);
            mount.readonly |= self.read_only.contains(&wanted.name);
            // What the engine writes is nobody else's to change.
            mount.readonly |= matches!(
                self.volumes.get(&wanted.name),
                Some(VolumeSource::Written | VolumeSource::Image)
            );
            mounts.push(mount);
        }
        mounts.sort_by_key(|mount| depth(&mount.destination));
        Ok(mounts)
    }

    /// The devices of this container. `Err`: one of them is no device.
    pub(crate) fn devices_for(
        &self,
        container: &Container,
    ) -> Result<Vec<BlockDevice>, VolumeError> {
        let wanted = container.volume_devices.iter().flatten();
        let device = |wanted: &VolumeDevice| {
            let Some(VolumeSource::Device(device)) = self.volumes.get(&wanted.name) else {
                return Err(VolumeError::UnknownVolume {
                    volume: wanted.name.clone(),
                    container: container.name.clone(),
                });
            };
            Ok(BlockDevice {
                path: wanted.device_path.clone(),
                writable: device.writable && !self.read_only.contains(&wanted.name),
                ..device.clone()
            })
        };
        wanted.map(device).collect()
    }

    fn source_of(
        &self,
        wanted: &VolumeMount,
        source: &VolumeSource,
        images: &BTreeMap<String, Vec<PathBuf>>,
        expand: &dyn Fn(&str) -> Result<String, String>,
    ) -> Result<MountSource, String> {
        let sub_path = match (&wanted.sub_path, &wanted.sub_path_expr) {
            (_, Some(text)) if !text.is_empty() => expand(text)?,
            (Some(text), _) => text.clone(),
            _ => String::new(),
        };
        let within = |path: &Path, follow_root: bool| {
            subpath::resolve(path, follow_root, &sub_path).map_err(|error| error.to_string())
        };
        // Beneath a volume in memory only the shim can look.
        let checked = || {
            let path = subpath::checked(&sub_path).map_err(|error| error.to_string())?;
            Ok::<_, String>(path.to_string_lossy().into_owned())
        };
        Ok(match source {
            VolumeSource::Memory { size, group } => MountSource::SharedTmpfs {
                key: wanted.name.clone(),
                size: *size,
                mode: if group.is_some() { 0o2777 } else { 0o777 },
                group: *group,
                huge_page: None,
                sub_path: checked()?,
            },
            VolumeSource::Huge { page, size, group } => MountSource::SharedTmpfs {
                key: wanted.name.clone(),
                size: *size,
                mode: if group.is_some() { 0o2777 } else { 0o777 },
                group: *group,
                huge_page: Some(*page),
                sub_path: checked()?,
            },
            // Made and owned by whoever wrote the files; this is for the unlikely volume without any.
            VolumeSource::Written => MountSource::SharedTmpfs {
                key: wanted.name.clone(),
                size: None,
                mode: 0o1777,
                group: None,
                huge_page: None,
                sub_path: checked()?,
            },
            VolumeSource::Image => MountSource::Image {
                layers: images
                    .get(&wanted.name)
                    .cloned()
                    .ok_or("the image of the volume is not there")?,
                sub_path: checked()?,
            },
            VolumeSource::Device(_) => return Err("it is a device, not a directory".to_owned()),
            VolumeSource::Own(path) if sub_path.is_empty() => bind(path, false),
            VolumeSource::Host { path, .. } if sub_path.is_empty() => bind(path, true),
            VolumeSource::Own(path) => bind(&within(path, false)?, false),
            VolumeSource::Host { path, .. } => bind(&within(path, true)?, false),
        })
    }
}

fn bind(path: &Path, follow_symlinks: bool) -> MountSource {
    MountSource::Bind {
        path: path.to_owned(),
        follow_symlinks,
    }
}

fn mount(wanted: &VolumeMount, source: MountSource) -> Mount {
    let readonly = wanted.read_only == Some(true);
    let destination = if wanted.mount_path.starts_with('/') {
        wanted.mount_path.clone()
    } else {
        format!("/{}", wanted.mount_path)
    };
    Mount {
        source,
        destination,
        readonly,
        // IfPossible is always possible: mount_setattr(2) is older than every kernel podtui runs on.
        recursive_readonly: readonly
            && matches!(
                wanted.recursive_read_only.as_deref(),
                Some("Enabled" | "IfPossible")
            ),
        propagation: match wanted.mount_propagation.as_deref() {
            Some("HostToContainer") => Propagation::HostToContainer,
            Some("Bidirectional") => Propagation::Bidirectional,
            _ => Propagation::Private,
        },
    }
}

fn depth(path: &str) -> usize {
    path.split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .count()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::{Value, json};

    use super::*;
    use crate::model::downward::Allocatable;
    use crate::volume::{MemoryCeiling, NoObjects, Sources, prepare};

    fn mounts(volumes: Value, mounts: Value, dir: &Path) -> Result<Vec<Mount>, VolumeError> {
        let pod: Pod = serde_json::from_value(json!({"spec": {
            "containers": [{"name": "c", "volumeMounts": mounts}], "volumes": volumes}}))
        .unwrap();
        let sources = Sources {
            objects: &NoObjects,
            allocatable: Allocatable::default(),
        };
        let prepared = prepare(&pod, dir, MemoryCeiling(None), &sources)
            .map_err(|mut errors| errors.remove(0))?;
        prepared.mounts_for(
            &pod.spec.unwrap().containers[0],
            &BTreeMap::new(),
            &|text| Ok(text.replace("$(N)", "sub")),
        )
    }

    #[test]
    fn mounts_are_plain_and_sorted() {
        let dir = tempfile::tempdir().unwrap();
        let host = dir.path().join("host");
        std::fs::create_dir(&host).unwrap();
        let found = mounts(
            json!([{"name": "d", "emptyDir": {}}, {"name": "m", "emptyDir": {"medium": "Memory"}},
                {"name": "h", "hostPath": {"path": host}}]),
            json!([{"name": "m", "mountPath": "/a/b/c"}, {"name": "d", "mountPath": "data"},
                {"name": "h", "mountPath": "/a/b", "readOnly": true, "recursiveReadOnly": "Enabled",
                 "mountPropagation": "HostToContainer"},
                {"name": "d", "mountPath": "/a/b/d/e", "subPathExpr": "$(N)"}]),
            dir.path(),
        )
        .unwrap();
        let destinations: Vec<&str> = found
            .iter()
            .map(|mount| mount.destination.as_str())
            .collect();
        assert_eq!(destinations, ["/data", "/a/b", "/a/b/c", "/a/b/d/e"]);
        assert_eq!(found[1].source, bind(&host, true));
        assert!(found[1].readonly && found[1].recursive_readonly);
        assert_eq!(found[1].propagation, Propagation::HostToContainer);
        assert!(
            matches!(&found[2].source, MountSource::SharedTmpfs { key, mode: 0o777, .. } if key == "m")
        );
        let volume: PathBuf = dir
            .path()
            .canonicalize()
            .unwrap()
            .join("volumes/kubernetes.io~empty-dir/d");
        assert_eq!(found[3].source, bind(&volume.join("sub"), false));
    }

    #[test]
    fn a_link_out_of_the_volume_is_a_sub_path_error() {
        let dir = tempfile::tempdir().unwrap();
        let volume = dir.path().join("volumes/kubernetes.io~empty-dir/d");
        std::fs::create_dir_all(&volume).unwrap();
        std::os::unix::fs::symlink("/etc", volume.join("x")).unwrap();
        let error = mounts(
            json!([{"name": "d", "emptyDir": {}}]),
            json!([{"name": "d", "mountPath": "/d", "subPath": "x/ssl"}]),
            dir.path(),
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "failed to prepare subPath for volumeMount \"d\" of container \"c\": subPath \"x/ssl\" leads out of \
             its volume through a symlink"
        );
    }

    #[test]
    fn devices_are_as_the_claim_is() {
        let disk = BlockDevice {
            path: String::new(),
            major: 7,
            minor: 3,
            mode: 0o660,
            uid: 0,
            gid: 6,
            writable: true,
        };
        let container: Container = serde_json::from_value(json!({"name": "c", "volumeDevices": [
            {"name": "d", "devicePath": "/dev/xvda"}, {"name": "r", "devicePath": "disks/b"}]}))
        .unwrap();
        let source = || VolumeSource::Device(disk.clone());
        let mut prepared = Prepared {
            volumes: [("d".to_owned(), source()), ("r".to_owned(), source())].into(),
            read_only: ["r".to_owned()].into(),
        };
        let found = prepared.devices_for(&container).unwrap();
        let at = |path: &str, writable: bool| BlockDevice {
            path: path.to_owned(),
            writable,
            ..disk.clone()
        };
        assert_eq!(found, [at("/dev/xvda", true), at("disks/b", false)]);
        prepared.volumes.remove("r");
        let error = prepared.devices_for(&container).unwrap_err();
        assert_eq!(
            error.to_string(),
            "volume \"r\" of container \"c\" is not defined by the pod"
        );
    }
}
