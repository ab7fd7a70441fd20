use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{self as rfs, Mode, OFlags};
use rustix::io::Errno;

use crate::linux::path::ensure_beneath;

/// The place of `sub_path` inside the volume at `root`, free of symlinks; a missing directory is made
/// with the permission bits of the volume's root. Symlinks inside the volume are followed as long as
/// they stay in it.
///
/// Whoever mounts the result must open it without following links: a container that swaps a component
/// after this call then makes the open fail and gains nothing (CVE-2021-25741).
pub(super) fn resolve(
    root: &Path,
    follow_root: bool,
    sub_path: &str,
) -> Result<PathBuf, SubPathError> {
    let relative = checked(sub_path)?;
    let mut flags = OFlags::PATH | OFlags::CLOEXEC;
    if !follow_root {
        flags |= OFlags::NOFOLLOW;
    }
    let volume = rfs::open(root, flags, Mode::empty()).map_err(|error| fail(root, error))?;
    if relative.as_os_str().is_empty() {
        return path_of(&volume);
    }
    match ensure_beneath(volume.as_fd(), &relative) {
        Ok(target) => path_of(&target),
        Err(Errno::XDEV) => Err(SubPathError::Escapes(sub_path.to_owned())),
        Err(error) => Err(fail(&root.join(&relative), error)),
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum SubPathError {
    #[error("subPath \"{0}\" must be a relative path without \"..\"")]
    Malformed(String),
    #[error("subPath \"{0}\" leads out of its volume through a symlink")]
    Escapes(String),
    #[error("open {path}: {source}")]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
}

fn fail(path: &Path, error: Errno) -> SubPathError {
    SubPathError::Io {
        path: path.to_owned(),
        source: error.into(),
    }
}

/// Admission has refused these; an expanded `subPathExpr` comes here unchecked.
pub(super) fn checked(sub_path: &str) -> Result<PathBuf, SubPathError> {
    let mut clean = PathBuf::new();
    for part in Path::new(sub_path).components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(SubPathError::Malformed(sub_path.to_owned()));
            }
        }
    }
    if sub_path.contains('\0') {
        return Err(SubPathError::Malformed(sub_path.to_owned()));
    }
    Ok(clean)
}

fn path_of(fd: &OwnedFd) -> Result<PathBuf, SubPathError> {
    let link = PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()));
    std::fs::read_link(&link).map_err(|source| SubPathError::Io { path: link, source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    #[test]
    fn resolves_and_creates_inside_the_volume_only() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        let root = base.join("v");
        std::fs::create_dir_all(root.join("real")).unwrap();
        std::fs::create_dir(base.join("outside")).unwrap();
        std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o770)).unwrap();
        std::fs::write(root.join("file"), "").unwrap();
        symlink("real", root.join("inner")).unwrap();
        symlink("../outside", root.join("up")).unwrap();
        symlink("/etc", root.join("absolute")).unwrap();
        let run = |sub: &str| resolve(&root, false, sub).map_err(|error| error.to_string());
        assert_eq!(run("real").unwrap(), root.join("real"));
        assert_eq!(run("./inner//").unwrap(), root.join("real"));
        assert_eq!(run("file").unwrap(), root.join("file"));
        assert_eq!(run("").unwrap(), root);
        assert_eq!(run("inner/a/b").unwrap(), root.join("real/a/b"));
        assert_eq!(
            root.join("real/a/b").metadata().unwrap().mode() & 0o777,
            0o770
        );
        for escape in [
            "up",
            "absolute",
            "up/new",
            "absolute/new",
            "real/../../outside",
            "/etc",
        ] {
            let error = run(escape).unwrap_err();
            assert!(
                error.contains("leads out of") || error.contains("relative path"),
                "{escape}: {error}"
            );
        }
        assert_eq!(base.join("outside").read_dir().unwrap().count(), 0);
    }
}
