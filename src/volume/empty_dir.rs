use std::collections::BTreeSet;
use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, Pod};

use super::error::SetUpError;
use super::prepare::{MemoryCeiling, VolumeSource};
use crate::model::pod::all_containers;
use crate::model::quantity::ParsedQuantity;

const HUGE_PAGES: &str = "HugePages";
const PLUGIN: &str = "kubernetes.io~empty-dir";

/// Where an `emptyDir` on disk is.
pub(crate) fn empty_dir_path(pod_dir: &Path, volume: &str) -> PathBuf {
    pod_dir.join("volumes").join(PLUGIN).join(volume)
}

pub(super) fn prepare(
    name: &str,
    source: &EmptyDirVolumeSource,
    pod_dir: &Path,
    ceiling: MemoryCeiling,
    fs_group: Option<u32>,
) -> Result<VolumeSource, SetUpError> {
    match source.medium.as_deref().unwrap_or_default() {
        "" => directory(name, pod_dir, fs_group),
        "Memory" => Ok(VolumeSource::Memory {
            size: memory_size(source, ceiling),
            group: fs_group,
        }),
        other => Err(SetUpError::UnsupportedMedium(other.to_owned())),
    }
}

/// Size of the pages that a volume of medium HugePages is made of, bytes; `None` for every other medium. Without
/// a size the medium takes that of the pod's resources, which must name one only.
pub(super) fn huge_page(
    pod: &Pod,
    source: &EmptyDirVolumeSource,
) -> Result<Option<u64>, SetUpError> {
    let medium = source.medium.as_deref().unwrap_or_default();
    let Some(rest) = medium.strip_prefix(HUGE_PAGES) else {
        return Ok(None);
    };
    let unknown = || SetUpError::UnsupportedMedium(medium.to_owned());
    if let Some(size) = rest.strip_prefix('-') {
        let page = ParsedQuantity::huge_page(&format!("hugepages-{size}"));
        return page.map(Some).ok_or_else(unknown);
    }
    if !rest.is_empty() {
        return Err(unknown());
    }
    let spec = pod.spec.iter();
    let requests = spec.flat_map(all_containers).filter_map(|container| {
        let resources = container.resources.as_ref()?;
        resources.requests.as_ref()
    });
    let pages: BTreeSet<u64> = requests
        .flat_map(|requests| requests.keys())
        .filter_map(|name| ParsedQuantity::huge_page(name))
        .collect();
    match pages.len() {
        1 => Ok(pages.first().copied()),
        0 => Err(SetUpError::NoPageSize),
        _ => Err(SetUpError::ManyPageSizes),
    }
}

pub(super) fn huge(
    source: &EmptyDirVolumeSource,
    page: u64,
    fs_group: Option<u32>,
) -> VolumeSource {
    VolumeSource::Huge {
        page,
        size: memory_size(source, MemoryCeiling(None)),
        group: fs_group,
    }
}

/// Every user of the pod may write; with fsGroup files made inside belong to that group.
fn directory(
    name: &str,
    pod_dir: &Path,
    fs_group: Option<u32>,
) -> Result<VolumeSource, SetUpError> {
    let path = empty_dir_path(pod_dir, name);
    let fail = |operation| {
        let path = path.clone();
        move |source| SetUpError::Io {
            operation,
            path,
            source,
        }
    };
    if path.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        return Ok(VolumeSource::Own(path));
    }
    let create = |mode, recursive, path: &Path| {
        DirBuilder::new()
            .mode(mode)
            .recursive(recursive)
            .create(path)
    };
    let parent = path.parent().unwrap_or(pod_dir);
    create(0o750, true, parent).map_err(fail("create the parent of"))?;
    create(0o777, false, &path).map_err(fail("create"))?;
    if let Some(group) = fs_group {
        chown(&path, None, Some(group)).map_err(fail("change the group of"))?;
    }
    let mode = if fs_group.is_some() { 0o2777 } else { 0o777 };
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))
        .map_err(fail("change the mode of"))?;
    Ok(VolumeSource::Own(path))
}

/// The smaller of `sizeLimit` (0 means none) and what the pod may use at all.
fn memory_size(source: &EmptyDirVolumeSource, ceiling: MemoryCeiling) -> Option<u64> {
    let limit = source
        .size_limit
        .as_ref()
        .and_then(|quantity| u64::try_from(ParsedQuantity::of(quantity).value()).ok())
        .filter(|size| *size > 0);
    limit.into_iter().chain(ceiling.0).min()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use serde_json::json;

    fn prepared(
        source: serde_json::Value,
        dir: &Path,
        group: Option<u32>,
    ) -> Result<VolumeSource, SetUpError> {
        let source = serde_json::from_value(source).unwrap();
        prepare("v", &source, dir, MemoryCeiling(Some(1 << 20)), group)
    }

    #[test]
    fn a_directory_is_open_to_all_and_keeps_its_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("volumes/kubernetes.io~empty-dir/v");
        let made = prepared(json!({}), dir.path(), None).unwrap();
        assert_eq!(made, VolumeSource::Own(path.clone()));
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o777);
        std::fs::write(path.join("kept"), "x").unwrap();
        prepared(json!({}), dir.path(), None).unwrap();
        assert!(path.join("kept").exists());
    }

    #[test]
    fn fs_group_owns_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let own_group = dir.path().metadata().unwrap().gid();
        prepared(json!({}), dir.path(), Some(own_group)).unwrap();
        let found = dir
            .path()
            .join("volumes/kubernetes.io~empty-dir/v")
            .metadata()
            .unwrap();
        assert_eq!((found.gid(), found.mode() & 0o7777), (own_group, 0o2777));
    }

    #[track_caller]
    fn check_size(source: serde_json::Value, size: u64) {
        let found = prepared(source, Path::new("/nonexistent"), None).unwrap();
        let expected = VolumeSource::Memory {
            size: Some(size),
            group: None,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn memory_takes_the_smaller_limit() {
        check_size(json!({"medium": "Memory"}), 1 << 20);
        check_size(json!({"medium": "Memory", "sizeLimit": "64Ki"}), 64 << 10);
        check_size(json!({"medium": "Memory", "sizeLimit": "1Gi"}), 1 << 20);
        check_size(json!({"medium": "Memory", "sizeLimit": "0"}), 1 << 20);
    }

    #[test]
    fn huge_pages_by_medium_or_by_request() {
        let page = |medium: &str, requests: serde_json::Value| {
            let pod = json!({"spec": {"containers": [{"name": "c", "resources": {"requests": requests}}]}});
            let pod = serde_json::from_value(pod).unwrap();
            let source = serde_json::from_value(json!({"medium": medium})).unwrap();
            huge_page(&pod, &source).map_err(|error| error.to_string())
        };
        let one = || json!({"hugepages-2Mi": "4Mi"});
        let two = json!({"hugepages-2Mi": "4Mi", "hugepages-1Gi": "1Gi"});
        assert_eq!(page("Memory", one()), Ok(None));
        assert_eq!(page("HugePages-1Gi", one()), Ok(Some(1 << 30)));
        assert_eq!(page("HugePages", one()), Ok(Some(2 << 20)));
        assert!(
            page("HugePages", two)
                .unwrap_err()
                .contains("more than one")
        );
        assert!(
            page("HugePages", json!({}))
                .unwrap_err()
                .contains("no huge pages")
        );
        assert!(page("HugePages-x", one()).is_err() && page("HugePagesX", one()).is_err());
    }
}
