//! `fsGroup` of volumes that exist before the pod (kubernetes-semantics §8.7).

use std::collections::HashSet;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{self as rfs, AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::walk::{id, open_child};

const FILE: u32 = 0o660;
/// And the group may enter, and hands itself on.
const DIRECTORY: u32 = 0o2770;
/// Directories that were moved under the walk are looked for again this often.
const TRIES: u32 = 3;

/// Gives everything below `root` to the group: readable and writable for it, directories also searchable and
/// handing the group on. Links are given, not followed; other file systems below are left alone. With
/// `only_on_mismatch` nothing is done when the root is like that already.
pub(super) fn give_to_group(root: &Path, group: u32, only_on_mismatch: bool) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let top = rfs::open(root, flags, Mode::empty())?;
    if only_on_mismatch && is_right(&rfs::fstat(&top)?, group) {
        return Ok(());
    }
    for _ in 0..TRIES {
        if Walk::new(group).whole(top.as_fd())? {
            return Ok(());
        }
    }
    Err(io::Error::other("directories were moved meanwhile"))
}

fn is_right(found: &Stat, group: u32) -> bool {
    found.st_gid == group && found.st_mode & DIRECTORY == DIRECTORY
}

/// A directory on the way down.
struct Level {
    id: (u64, u64),
    /// Directories in it that are still to be visited.
    left: Vec<CString>,
}

/// One descriptor is open at a time, however deep the tree.
struct Walk {
    group: Gid,
    /// A directory that comes up twice was moved; once is enough.
    seen: HashSet<(u64, u64)>,
}

impl Walk {
    fn new(group: u32) -> Self {
        Self {
            group: Gid::from_raw(group),
            seen: HashSet::new(),
        }
    }

    /// False when a directory was moved away under the walk, which lost its way back.
    fn whole(&mut self, top: BorrowedFd<'_>) -> Result<bool, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut here = rfs::openat(top, ".", flags, Mode::empty())?;
        let mut levels = vec![self.enter(here.as_fd())?];
        while let Some(level) = levels.last_mut() {
            if let Some(name) = level.left.pop() {
                match open_child(here.as_fd(), &name) {
                    Ok(child) => {
                        if self.seen.insert(id(&rfs::fstat(&child)?)) {
                            levels.push(self.enter(child.as_fd())?);
                            here = child;
                        }
                    }
                    // Gone, no directory any more, or a mount point.
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => {}
                    Err(error) => return Err(error),
                }
                continue;
            }
            self.give_directory(here.as_fd())?;
            levels.pop();
            let Some(parent) = levels.last() else { break };
            here = rfs::openat(&here, "..", flags, Mode::empty())?;
            if id(&rfs::fstat(&here)?) != parent.id {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Gives the entries of a directory that are none themselves.
    fn enter(&self, directory: BorrowedFd<'_>) -> Result<Level, Errno> {
        let own = rfs::fstat(directory)?;
        let mut left = Vec::new();
        for entry in Dir::read_from(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            match self.entry(directory, name) {
                Ok(true) => left.push(name.to_owned()),
                Ok(false) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Level { id: id(&own), left })
    }

    /// When everything in it is done: the root of the volume is the sign that all of it is.
    fn give_directory(&self, directory: BorrowedFd<'_>) -> Result<(), Errno> {
        let mode = rfs::fstat(directory)?.st_mode & 0o7777;
        rfs::fchown(directory, None, Some(self.group))?;
        rfs::fchmod(directory, Mode::from_raw_mode(mode | DIRECTORY))
    }

    /// True for a directory, which is entered later.
    fn entry(&self, directory: BorrowedFd<'_>, name: &std::ffi::CStr) -> Result<bool, Errno> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rfs::openat(directory, name, flags, Mode::empty())?;
        let found = rfs::fstat(&file)?;
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory => return Ok(true),
            kind => {
                rfs::chownat(&file, "", None, Some(self.group), AtFlags::EMPTY_PATH)?;
                if kind != FileType::Symlink {
                    // The handle is of the very file that was looked at (open(2), O_PATH).
                    let held = format!("/proc/self/fd/{}", file.as_raw_fd());
                    rfs::chmod(held, Mode::from_raw_mode((found.st_mode & 0o7777) | FILE))?;
                }
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn owned(path: &Path) -> (u32, u32) {
        let found = path.symlink_metadata().unwrap();
        (found.gid(), found.mode() & 0o7777)
    }

    #[test]
    fn all_is_given_and_nothing_outside() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: giving files to another group needs root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let (root, outside) = (dir.path().join("v"), dir.path().join("outside"));
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/b/file"), "x").unwrap();
        fs::write(&outside, "x").unwrap();
        for (path, mode) in [("a/b/file", 0o600), ("a", 0o700), ("a/b", 0o700)] {
            fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode)).unwrap();
        }
        symlink(&outside, root.join("a/link")).unwrap();
        let before = owned(&outside);
        give_to_group(&root, 4321, false).unwrap();
        assert_eq!(owned(&root.join("a/b/file")), (4321, 0o660));
        assert_eq!(owned(&root.join("a/b")), (4321, 0o2770));
        assert_eq!(owned(&root).0, 4321);
        assert_eq!(owned(&root.join("a/link")).0, 4321);
        assert_eq!(owned(&outside), before);
        // The root is right, so a new file stays as it is unless all are to be given.
        fs::write(root.join("late"), "x").unwrap();
        std::os::unix::fs::chown(root.join("late"), None, Some(1)).unwrap();
        give_to_group(&root, 4321, true).unwrap();
        assert_eq!(owned(&root.join("late")).0, 1);
        give_to_group(&root, 4322, true).unwrap();
        assert_eq!(owned(&root.join("late")).0, 4322);
    }
}
