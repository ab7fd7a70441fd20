use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::ImageError;
use super::pull::PullProgress;
use super::store::{Store, entries, io_error};

/// Bytes on the disk below the image store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoreUsage {
    /// Layers with their recipes, and configurations.
    pub(crate) images: u64,
    /// Downloads that are not complete: how many, bytes, and bytes of those that no pull is working on.
    pub(crate) partial_count: usize,
    pub(crate) partial: u64,
    pub(crate) partial_idle: u64,
}

/// Bytes that everything below `path` takes on the disk, the directories themselves included, a file with
/// several names once. What vanishes meanwhile counts nothing. Links are not followed.
pub(crate) fn disk_bytes(path: &Path) -> std::io::Result<u64> {
    let mut seen = HashSet::new();
    let mut waiting = vec![path.to_owned()];
    let mut total = 0;
    while let Some(path) = waiting.pop() {
        let found = match fs::symlink_metadata(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if found.nlink() > 1 && !found.is_dir() && !seen.insert((found.dev(), found.ino())) {
            continue;
        }
        // stat(2): blocks of 512 bytes, whatever the file system's are.
        total += found.blocks() * 512;
        if found.is_dir() {
            match fs::read_dir(&path) {
                Ok(list) => {
                    for entry in list {
                        waiting.push(entry?.path());
                    }
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(total)
}

pub(super) fn usage(store: &Store, pulls: &[PullProgress]) -> Result<StoreUsage, ImageError> {
    let mut usage = StoreUsage::default();
    for name in ["layers", "recipes", "blobs"] {
        let path = store.root().join(name);
        usage.images += disk_bytes(&path).map_err(io_error("measure", &path))?;
    }
    let directory = store.root().join("partial");
    for path in entries(&directory)? {
        let bytes = disk_bytes(&path).map_err(io_error("measure", &path))?;
        usage.partial_count += 1;
        usage.partial += bytes;
        if !is_wanted(&path, pulls) {
            usage.partial_idle += bytes;
        }
    }
    Ok(usage)
}

/// Removes the downloads that no pull is working on; returns the bytes they took.
pub(super) fn remove_partial(store: &Store, pulls: &[PullProgress]) -> Result<u64, ImageError> {
    let mut freed = 0;
    for path in entries(&store.root().join("partial"))? {
        if is_wanted(&path, pulls) {
            continue;
        }
        freed += disk_bytes(&path).map_err(io_error("measure", &path))?;
        fs::remove_file(&path).map_err(io_error("remove", &path))?;
    }
    Ok(freed)
}

fn is_wanted(path: &Path, pulls: &[PullProgress]) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    pulls.iter().flat_map(|pull| &pull.layers).any(|layer| {
        let digest = layer.digest.replace(':', "-");
        !layer.done && name == Some(digest.as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_as_du_counts_them() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs::create_dir_all(path.join("a/b")).unwrap();
        fs::write(path.join("a/file"), vec![1; 50_000]).unwrap();
        fs::hard_link(path.join("a/file"), path.join("a/b/again")).unwrap();
        std::os::unix::fs::symlink("/usr", path.join("a/link")).unwrap();
        let sparse = fs::File::create(path.join("sparse")).unwrap();
        sparse.set_len(1 << 30).unwrap();
        let du = std::process::Command::new("du")
            .args(["-s", "-B1"])
            .arg(path)
            .output()
            .unwrap();
        let du = String::from_utf8(du.stdout).unwrap();
        let expected: u64 = du.split_whitespace().next().unwrap().parse().unwrap();
        assert_eq!(disk_bytes(path).unwrap(), expected);
        assert_eq!(disk_bytes(&path.join("absent")).unwrap(), 0);
    }
}
