//! How much of the disk a tree takes that a container can change while it is looked at.

use std::collections::HashSet;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{self as rfs, AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::walk::{id, open_child};

/// A walk during which directories were moved is begun again this often.
const TRIES: u32 = 3;

/// What a tree takes of its disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Of the blocks, not of the lengths: a sparse file takes what was written.
    pub(crate) bytes: u64,
    pub(crate) inodes: u64,
}

impl Usage {
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            inodes: self.inodes.saturating_add(other.inodes),
        }
    }
}

/// Of `path` and everything below it on the same file system; nothing when it is not there. Links are not
/// followed, files with several names count once. One descriptor is open at a time, however deep the tree.
pub(crate) fn usage_of(path: &Path) -> io::Result<Usage> {
    let mut most = Usage::default();
    for _ in 0..TRIES {
        let mut walk = Walk::default();
        match walk.whole(path) {
            Err(Errno::NOENT) => return Ok(Usage::default()),
            Err(error) => return Err(error.into()),
            Ok(Walked::All) => return Ok(walk.usage),
            Ok(Walked::Moved) => {}
        }
        if walk.usage.bytes > most.bytes {
            most = walk.usage;
        }
    }
    Ok(most)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Walked {
    All,
    /// A directory was moved away under the walk, which lost its way back.
    Moved,
}

#[derive(Default)]
struct Walk {
    usage: Usage,
    /// Files with several names that were counted: device and inode.
    seen: HashSet<(u64, u64)>,
}

/// A directory on the way down.
struct Level {
    id: (u64, u64),
    /// Directories in it that are still to be visited.
    left: Vec<CString>,
}

impl Walk {
    fn whole(&mut self, path: &Path) -> Result<Walked, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut here = rfs::open(path, flags, Mode::empty())?;
        let mut levels = vec![self.enter(here.as_fd())?];
        while let Some(level) = levels.last_mut() {
            if let Some(name) = level.left.pop() {
                match open_child(here.as_fd(), &name) {
                    Ok(child) => {
                        levels.push(self.enter(child.as_fd())?);
                        here = child;
                    }
                    // Gone, no directory any more, or a mount point.
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => {}
                    Err(error) => return Err(error),
                }
                continue;
            }
            levels.pop();
            let Some(parent) = levels.last() else {
                break;
            };
            here = rfs::openat(&here, "..", flags, Mode::empty())?;
            if id(&rfs::fstat(&here)?) != parent.id {
                return Ok(Walked::Moved);
            }
        }
        Ok(Walked::All)
    }

    /// Counts a directory and its entries, without those below.
    fn enter(&mut self, directory: BorrowedFd<'_>) -> Result<Level, Errno> {
        let own = rfs::fstat(directory)?;
        self.count(&own);
        let mut left = Vec::new();
        for entry in Dir::read_from(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let found = match rfs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(found) => found,
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error),
            };
            if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
                left.push(name.to_owned());
            } else {
                self.count(&found);
            }
        }
        Ok(Level { id: id(&own), left })
    }

    fn count(&mut self, found: &Stat) {
        let is_directory = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
        if !is_directory && found.st_nlink > 1 && !self.seen.insert(id(found)) {
            return;
        }
        // stat(2): blocks of 512 bytes, whatever the file system's are.
        let bytes = u64::try_from(found.st_blocks).unwrap_or(0) * 512;
        self.usage = self.usage.and(Usage { bytes, inodes: 1 });
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_count_as_themselves_and_files_once() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, other) = (dir.path().join("tree"), dir.path().join("other"));
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::create_dir(&other).unwrap();
        fs::write(other.join("big"), vec![1; 1 << 20]).unwrap();
        fs::write(tree.join("a/file"), vec![1; 64 << 10]).unwrap();
        fs::hard_link(tree.join("a/file"), tree.join("a/b/again")).unwrap();
        symlink(&other, tree.join("a/b/away")).unwrap();
        let found = usage_of(&tree).unwrap();
        // Three directories, one file, one link.
        assert_eq!(found.inodes, 5);
        assert!((64 << 10..256 << 10).contains(&found.bytes), "{found:?}");
        assert_eq!(usage_of(&tree.join("nothing")).unwrap(), Usage::default());
        symlink(&other, dir.path().join("link")).unwrap();
        assert!(usage_of(&dir.path().join("link")).is_err());
    }

    #[test]
    fn depth_costs_no_descriptors() {
        let dir = tempfile::tempdir().unwrap();
        let mut path = dir.path().to_owned();
        for _ in 0..1500 {
            path.push("d");
        }
        fs::create_dir_all(&path).unwrap();
        assert_eq!(usage_of(dir.path()).unwrap().inodes, 1501);
    }
}
