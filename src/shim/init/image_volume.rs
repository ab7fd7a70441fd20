//! Volumes that an image declares (`VOLUME`): a directory of the container's own for each, outside of its overlay,
//! with what the image has at that path copied into it, as containerd's CRI makes them. They stay writable when
//! the root is read-only, and go with the container.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags,
    chownat, fchmod, fchown, fgetxattr, flistxattr, fsetxattr, fstat, futimens, linkat, mkdirat,
    mknodat, openat, readlinkat, statat, symlinkat, utimensat,
};
use rustix::io::Errno;

use crate::linux::mount;
use crate::linux::path::{self, Links};
use crate::shim::fault::At;
use crate::wire::{Fault, Stage};

/// Below the container's scratch directory, beside the overlay's own; a number follows.
const DIRECTORY: &str = "volumes";
/// An attribute's largest value and the longest list of names (xattr(7)).
const XATTR_MAX: usize = 64 << 10;
/// Deeper trees are refused; every level holds two descriptors.
const DEPTH_MAX: usize = 200;

const BELOW: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK);

/// One that is filled and waits for its place.
pub(super) struct Volume {
    destination: String,
    directory: OwnedFd,
}

/// Makes and fills the directories. `root` is the image as it is, before anything is mounted in it: its links are
/// followed inside of it only. `owner` gets those that the image does not have.
pub(super) fn prepare(
    paths: &[String],
    root: BorrowedFd<'_>,
    scratch: BorrowedFd<'_>,
    owner: u32,
) -> Result<Vec<Volume>, Fault> {
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    let make = |name: &str, at: BorrowedFd<'_>| -> io::Result<OwnedFd> {
        mkdirat(at, name, Mode::from_raw_mode(0o755))?;
        Ok(openat(at, name, BELOW, Mode::empty())?)
    };
    // One that is there is half of what an earlier try made; it goes with the rest.
    let mut tries = (0..100).map(|number| format!("{DIRECTORY}{number}"));
    let parent = tries
        .by_ref()
        .map(|name| make(&name, scratch))
        .find(|made| !matches!(made, Err(error) if error.kind() == io::ErrorKind::AlreadyExists))
        .unwrap_or_else(|| Err(io::ErrorKind::AlreadyExists.into()))
        .at(Stage::Rootfs, "make a directory for volumes")?;
    let mut volumes = Vec::new();
    for (number, destination) in paths.iter().enumerate() {
        let what = format!("make the image's volume {destination}");
        let directory = make(&number.to_string(), parent.as_fd()).at(Stage::Rootfs, &what)?;
        fill(destination, root, directory.as_fd(), owner).at(Stage::Rootfs, &what)?;
        volumes.push(Volume {
            destination: destination.clone(),
            directory,
        });
    }
    Ok(volumes)
}

impl Volume {
    /// How deep its place is: parents are mounted before children.
    pub(super) fn depth(&self) -> usize {
        depth(&self.destination)
    }

    pub(super) fn destination(&self) -> &str {
        &self.destination
    }

    /// A mount of it that stands nowhere yet.
    pub(super) fn mount(&self) -> io::Result<OwnedFd> {
        mount::copy(self.directory.as_fd(), false)
    }
}

pub(super) fn depth(path: &str) -> usize {
    path.split('/').filter(|part| !part.is_empty()).count()
}

fn fill(destination: &str, root: BorrowedFd<'_>, to: BorrowedFd<'_>, owner: u32) -> io::Result<()> {
    let from = match path::open(root, Path::new(destination), OFlags::RDONLY, Links::InRoot) {
        Ok(from) => from,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(fchown(
                to,
                Some(Uid::from_raw(owner)),
                Some(Gid::from_raw(owner)),
            )?);
        }
        Err(error) => return Err(error),
    };
    let stat = fstat(&from)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Err(io::Error::from(io::ErrorKind::NotADirectory));
    }
    let mut copier = Copier {
        top: to,
        linked: BTreeMap::new(),
    };
    copier.directory(from.as_fd(), to, &stat, "", 0)
}

struct Copier<'a> {
    /// The root of the copy.
    top: BorrowedFd<'a>,
    /// Where the first name of a file with several was copied to, by inode.
    linked: BTreeMap<(u64, u64), CString>,
}

impl Copier<'_> {
    /// `path` is that of the directory below the volume, for hard links.
    fn directory(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        stat: &Stat,
        path: &str,
        depth: usize,
    ) -> io::Result<()> {
        if depth > DEPTH_MAX {
            return Err(io::Error::other("directories are nested too deep"));
        }
        for entry in Dir::read_from(from)? {
            let entry = entry?;
            let name = entry.file_name();
            if name != c"." && name != c".." {
                self.entry(from, to, name, path, depth)?;
            }
        }
        finish(from, to, stat)
    }

    fn entry(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &CStr,
        path: &str,
        depth: usize,
    ) -> io::Result<()> {
        let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        // A name that is no UTF-8 only loses its links.
        let path = name.to_str().map(|name| format!("{path}{name}")).ok();
        if kind != FileType::Directory
            && stat.st_nlink > 1
            && let Some(first) = self.linked.get(&(stat.st_dev, stat.st_ino))
        {
            return Ok(linkat(self.top, first, to, name, AtFlags::empty())?);
        }
        match kind {
            FileType::Directory => {
                mkdirat(to, name, Mode::from_raw_mode(0o700))?;
                let from = openat(from, name, BELOW | OFlags::DIRECTORY, Mode::empty())?;
                let to = openat(to, name, BELOW | OFlags::DIRECTORY, Mode::empty())?;
                let path = path.map_or_else(String::new, |path| path + "/");
                return self.directory(from.as_fd(), to.as_fd(), &stat, &path, depth + 1);
            }
            FileType::RegularFile => {
                let mut from = File::from(openat(from, name, BELOW, Mode::empty())?);
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let mut to = File::from(openat(to, name, flags, Mode::from_raw_mode(0o600))?);
                io::copy(&mut from, &mut to)?;
                finish(from.as_fd(), to.as_fd(), &stat)?;
            }
            FileType::Symlink => {
                let target = readlinkat(from, name, Vec::new())?;
                symlinkat(target.as_c_str(), to, name)?;
                own(to, name, &stat)?;
            }
            FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Fifo
            | FileType::Socket => {
                let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
                mknodat(to, name, kind, mode, stat.st_rdev)?;
                own(to, name, &stat)?;
            }
            FileType::Unknown => return Err(io::Error::other("a file of an unknown type")),
        }
        if stat.st_nlink > 1
            && let Some(path) = path.and_then(|path| CString::new(path).ok())
        {
            self.linked.insert((stat.st_dev, stat.st_ino), path);
        }
        Ok(())
    }
}

/// Owner, attributes, mode and time, in this order: a change of the owner takes set-user-ID and capabilities away.
fn finish(from: BorrowedFd<'_>, to: BorrowedFd<'_>, stat: &Stat) -> io::Result<()> {
    fchown(
        to,
        Some(Uid::from_raw(stat.st_uid)),
        Some(Gid::from_raw(stat.st_gid)),
    )?;
    copy_attributes(from, to)?;
    fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    Ok(futimens(to, &times(stat))?)
}

fn own(to: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> io::Result<()> {
    let (user, group) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    chownat(to, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(utimensat(
        to,
        name,
        &times(stat),
        AtFlags::SYMLINK_NOFOLLOW,
    )?)
}

fn times(stat: &Stat) -> Timestamps {
    let time = |seconds, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or(0),
    };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}

/// Those of overlayfs itself belong to the layer; what the file system of the copy cannot hold is left out, as
/// containerd does.
fn copy_attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let mut names = vec![0; XATTR_MAX];
    let length = match flistxattr(from, &mut names[..]) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for name in names[..length].split_inclusive(|byte| *byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else {
            continue;
        };
        if name.to_bytes().starts_with(b"trusted.overlay.") {
            continue;
        }
        let mut value = vec![0; XATTR_MAX];
        let length = fgetxattr(from, name, &mut value[..])?;
        match fsetxattr(to, name, &value[..length], XattrFlags::empty()) {
            Ok(()) | Err(Errno::NOTSUP | Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;

    fn open(path: &Path) -> OwnedFd {
        File::open(path).unwrap().into()
    }

    #[test]
    fn a_volume_has_what_the_image_has() {
        let directory = tempfile::tempdir().unwrap();
        let (root, scratch) = (directory.path().join("root"), directory.path().join("s"));
        std::fs::create_dir_all(root.join("data/in")).unwrap();
        std::fs::create_dir(&scratch).unwrap();
        std::fs::write(root.join("data/in/a"), "text").unwrap();
        std::fs::set_permissions(
            root.join("data/in/a"),
            std::fs::Permissions::from_mode(0o4755),
        )
        .unwrap();
        std::fs::hard_link(root.join("data/in/a"), root.join("data/b")).unwrap();
        symlink("../../etc", root.join("data/out")).unwrap();
        std::fs::set_permissions(root.join("data"), std::fs::Permissions::from_mode(0o1777))
            .unwrap();
        // The image's own link leads to the volume, but never out of the image.
        symlink("../../../data", root.join("link")).unwrap();
        let paths = ["/link".to_owned(), "/not/there".to_owned()];
        let me = std::fs::metadata(&root).unwrap().uid();
        let volumes = prepare(&paths, open(&root).as_fd(), open(&scratch).as_fd(), me).unwrap();
        assert_eq!(
            volumes.iter().map(Volume::depth).collect::<Vec<_>>(),
            [1, 2]
        );
        let made = scratch.join("volumes0/0");
        let mode = |path: &Path| path.symlink_metadata().unwrap().mode() & 0o7777;
        assert_eq!(mode(&made), 0o1777);
        assert_eq!(mode(&made.join("in/a")), 0o4755);
        assert_eq!(std::fs::read_to_string(made.join("b")).unwrap(), "text");
        let inode = |name: &str| made.join(name).metadata().unwrap().ino();
        assert_eq!(inode("b"), inode("in/a"));
        assert_eq!(
            std::fs::read_link(made.join("out")).unwrap(),
            Path::new("../../etc")
        );
        let time = |path: &Path| path.metadata().unwrap().modified().unwrap();
        assert_eq!(time(&made.join("b")), time(&root.join("data/b")));
        assert_eq!(mode(&scratch.join("volumes0/1")), 0o755);

        std::fs::write(root.join("file"), "").unwrap();
        let file = ["/file".to_owned()];
        let fault = prepare(&file, open(&root).as_fd(), open(&scratch).as_fd(), me);
        let message = fault.err().unwrap().message;
        assert!(
            message.contains("make the image's volume /file"),
            "{message}"
        );
    }
}
