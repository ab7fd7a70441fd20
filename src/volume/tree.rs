use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{self as rfs, AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;

use super::VolumeError;
use super::walk::open_child;

/// Directories nested deeper are first moved up to the root of the tree, so that neither stack nor file
/// descriptors grow with what a container has nested.
const MAX_DEPTH: u32 = 48;

/// Removes `path` and everything below it. Symlinks are removed, never followed; a mount point inside
/// stops the removal with [`VolumeError::MountPoint`]. A missing path is fine.
pub(crate) fn remove_tree(path: &Path) -> Result<(), VolumeError> {
    match remove(path) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::XDEV | Errno::BUSY) => Err(VolumeError::MountPoint(path.to_owned())),
        Err(error) => Err(VolumeError::Io {
            operation: "remove",
            path: path.to_owned(),
            source: error.into(),
        }),
    }
}

/// The same for a path below `base`, on the way to which no link and no mount is passed: what is deleted for
/// good must be where its name says (CVE-2017-1002102).
pub(crate) fn remove_tree_beneath(base: &Path, path: &Path) -> Result<(), VolumeError> {
    let fail = |source: Errno| VolumeError::Io {
        operation: "remove",
        path: path.to_owned(),
        source: source.into(),
    };
    let below = path.strip_prefix(base).map_err(|_| fail(Errno::XDEV))?;
    let name = below.file_name().ok_or_else(|| fail(Errno::INVAL))?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut parent = rfs::open(base, flags, Mode::empty()).map_err(fail)?;
    let above = below.parent().filter(|above| !above.as_os_str().is_empty());
    if let Some(above) = above {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        parent = match rfs::openat2(&parent, above, flags, Mode::empty(), resolve) {
            Ok(found) => found,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(fail(error)),
        };
    }
    let held = PathBuf::from(format!("/proc/self/fd/{}", parent.as_raw_fd()));
    remove_tree(&held.join(name)).map_err(|error| match error {
        VolumeError::MountPoint(_) => VolumeError::MountPoint(path.to_owned()),
        VolumeError::Io {
            source, operation, ..
        } => VolumeError::Io {
            operation,
            path: path.to_owned(),
            source,
        },
        other => other,
    })
}

fn remove(path: &Path) -> Result<(), Errno> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let name = path.file_name().ok_or(Errno::INVAL)?;
    let parent = rfs::open(
        parent.unwrap_or(Path::new(".")),
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let name = CString::new(name.as_bytes()).map_err(|_| Errno::INVAL)?;
    match rfs::unlinkat(&parent, &name, AtFlags::empty()) {
        Err(Errno::ISDIR | Errno::PERM) => {}
        done => return done,
    }
    let top = open_child(parent.as_fd(), &name)?;
    let mut tree = Tree {
        top: top.as_fd(),
        moved: 0,
    };
    tree.clear(top.as_fd(), 0)?;
    rfs::unlinkat(&parent, &name, AtFlags::REMOVEDIR)
}

struct Tree<'a> {
    top: BorrowedFd<'a>,
    /// Directories moved up so far; names them.
    moved: u64,
}

impl Tree<'_> {
    /// Empties a directory. Entries that a directory stream skipped because it changed under it are found
    /// by the next pass.
    fn clear(&mut self, dir: BorrowedFd<'_>, depth: u32) -> Result<(), Errno> {
        loop {
            let mut entries = 0u64;
            for entry in Dir::read_from(dir)? {
                let entry = entry?;
                let name = entry.file_name();
                if matches!(name.to_bytes(), b"." | b"..") {
                    continue;
                }
                entries += 1;
                self.remove_entry(dir, name, entry.file_type(), depth)?;
            }
            if entries == 0 {
                return Ok(());
            }
        }
    }

    fn remove_entry(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &CStr,
        kind: FileType,
        depth: u32,
    ) -> Result<(), Errno> {
        if !matches!(kind, FileType::Directory | FileType::Unknown) {
            return gone(rfs::unlinkat(dir, name, AtFlags::empty()));
        }
        match rfs::unlinkat(dir, name, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            Err(Errno::NOTDIR) => return gone(rfs::unlinkat(dir, name, AtFlags::empty())),
            done => return gone(done),
        }
        if depth >= MAX_DEPTH {
            return self.move_up(dir, name);
        }
        let child = open_child(dir, name)?;
        self.clear(child.as_fd(), depth + 1)?;
        drop(child);
        gone(rfs::unlinkat(dir, name, AtFlags::REMOVEDIR))
    }

    fn move_up(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        loop {
            self.moved += 1;
            let target = format!(".removed-{}", self.moved);
            let target = OsStr::new(&target);
            match rfs::renameat_with(dir, name, self.top, target, RenameFlags::NOREPLACE) {
                Err(Errno::EXIST) => {}
                done => return done,
            }
        }
    }
}

fn gone(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_removed_and_their_targets_stay() {
        let dir = tempfile::tempdir().unwrap();
        let (victim, tree) = (dir.path().join("victim"), dir.path().join("tree"));
        std::fs::create_dir_all(victim.join("sub")).unwrap();
        std::fs::write(victim.join("sub/file"), "precious").unwrap();
        std::fs::create_dir_all(tree.join("a/b")).unwrap();
        symlink(&victim, tree.join("a/link")).unwrap();
        symlink("../../../victim/sub", tree.join("a/b/up")).unwrap();
        std::fs::hard_link(victim.join("sub/file"), tree.join("a/hard")).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
        assert_eq!(
            std::fs::read_to_string(victim.join("sub/file")).unwrap(),
            "precious"
        );
        symlink(&victim, &tree).unwrap();
        remove_tree(&tree).unwrap();
        assert!(tree.symlink_metadata().is_err() && victim.join("sub").exists());
        remove_tree(&tree).unwrap();
    }

    #[test]
    fn deep_and_wide_trees_go() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        std::fs::create_dir(&tree).unwrap();
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let mut fd = rfs::open(&tree, flags, Mode::empty()).unwrap();
        for _ in 0..300 {
            rfs::mkdirat(&fd, "d", Mode::from_raw_mode(0o755)).unwrap();
            rfs::mkdirat(&fd, ".removed-1", Mode::from_raw_mode(0o755)).unwrap();
            fd = rfs::openat(&fd, "d", flags, Mode::empty()).unwrap();
        }
        for number in 0..500 {
            std::fs::write(tree.join(format!("f{number}")), "").unwrap();
        }
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
    }

    /// A volume that is still mounted somewhere inside must survive. The mount is made in a mount
    /// namespace of its own, where this very test runs again.
    #[test]
    fn a_mount_inside_stops_the_removal() {
        const INSIDE: &str = "PODTUI_TEST_TREE_WITH_MOUNT";
        if let Some(tree) = std::env::var_os(INSIDE) {
            let error = remove_tree(Path::new(&tree)).unwrap_err();
            assert!(matches!(error, VolumeError::MountPoint(_)), "{error}");
            return;
        }
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: mounting needs root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let (tree, victim) = (dir.path().join("tree"), dir.path().join("victim"));
        std::fs::create_dir_all(tree.join("a/mnt")).unwrap();
        std::fs::create_dir(&victim).unwrap();
        std::fs::write(victim.join("file"), "precious").unwrap();
        let script = r#"mount --bind "$1" "$2" && exec "$3" --exact volume::tree::tests::a_mount_inside_stops_the_removal"#;
        let status = std::process::Command::new("unshare")
            .args(["--mount", "sh", "-c", script, "sh"])
            .args([&victim, &tree.join("a/mnt")])
            .arg(std::env::current_exe().unwrap())
            .env(INSIDE, &tree)
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
        assert_eq!(
            std::fs::read_to_string(victim.join("file")).unwrap(),
            "precious"
        );
        remove_tree(&tree).unwrap();
    }
}
