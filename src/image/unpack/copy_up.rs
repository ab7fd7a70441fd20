use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    self as rfs, AtFlags, FileType, Gid, Mode, OFlags, SeekFrom as Seeking, Stat, Uid, XattrFlags,
};
use rustix::io::Errno;

use super::entry::TarError;
use super::lower::{Found, HERE, Lower, borrowed, directories};
use super::tree::{DIRECTORY, Piece, ignore_unsupported, is_kept_xattr, times};

/// An attribute's largest value (xattr(7), `XATTR_SIZE_MAX`) and the longest list of names.
const XATTR_MAX: usize = 64 * 1024;

/// An object of a layer below that a hard link leads to.
#[derive(Debug)]
pub(super) struct Source<'a> {
    pub(super) path: &'a Path,
    pub(super) layer: usize,
    pub(super) parent: OwnedFd,
    pub(super) stat: Stat,
}

impl Lower {
    /// Copies an object up into this layer, with all the names it still has, as a hard link to it needs it:
    /// link(2) on overlayfs does the same. The directories above come along with their owner, mode and time.
    /// Returns the directory of this layer that now holds it.
    pub(super) fn copy_up(
        &mut self,
        root: BorrowedFd<'_>,
        source: &Source<'_>,
        directory_times: &mut BTreeMap<PathBuf, (i64, u32)>,
        progress: &mut dyn FnMut(Piece) -> Result<(), TarError>,
    ) -> Result<OwnedFd, TarError> {
        let shown = source.path.as_os_str().as_bytes();
        let fail = |operation| move |error: io::Error| TarError::write(shown, operation, error);
        let name = source.path.file_name().unwrap_or_default();
        // Blocks of 512 bytes (stat(2)); a file with holes takes less than its length.
        let blocks = u64::try_from(source.stat.st_blocks).unwrap_or(u64::MAX);
        let length = u64::try_from(source.stat.st_size).unwrap_or(u64::MAX);
        progress(Piece::Copied(blocks.saturating_mul(512).min(length)))?;
        self.used = true;
        let others = self.other_names(root, source).map_err(fail("look for"))?;
        let parent = self
            .ensure_parent(root, source.path, directory_times)
            .map_err(fail("copy the directory of"))?;
        copy(source, name, parent.as_fd()).map_err(fail("copy from a layer below"))?;
        let made = rfs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| fail("stat")(error.into()))?;
        self.copies.insert(source.path.to_owned(), made.st_ino);
        for other in others {
            let place = self
                .ensure_parent(root, &other, directory_times)
                .map_err(fail("copy the directory of"))?;
            let second = other.file_name().unwrap_or_default();
            rfs::linkat(&parent, name, &place, second, AtFlags::empty())
                .map_err(|error| fail("link a copy of")(error.into()))?;
            self.copies.insert(other, made.st_ino);
        }
        Ok(parent)
    }

    /// The names beside `source.path` under which the object can still be seen.
    fn other_names(
        &mut self,
        root: BorrowedFd<'_>,
        source: &Source<'_>,
    ) -> io::Result<Vec<PathBuf>> {
        if source.stat.st_nlink < 2 {
            return Ok(Vec::new());
        }
        let mut names = self.names_of(source.layer, source.stat.st_ino)?;
        names.retain(|name| name != source.path);
        let mut seen = Vec::new();
        for name in names {
            if let Found::Object { layer, stat, .. } = self.find(root, &name)?
                && (layer, stat.st_ino) == (source.layer, source.stat.st_ino)
            {
                seen.push(name);
            }
        }
        Ok(seen)
    }

    /// The directory of `path` in this layer, where it is missing made like the one below.
    fn ensure_parent(
        &mut self,
        root: BorrowedFd<'_>,
        path: &Path,
        directory_times: &mut BTreeMap<PathBuf, (i64, u32)>,
    ) -> io::Result<OwnedFd> {
        let parent = path.parent().unwrap_or(Path::new(""));
        self.copy_directory(root, parent, directory_times)
    }

    /// A directory of this layer like the one below, and those above it.
    pub(super) fn copy_directory(
        &mut self,
        root: BorrowedFd<'_>,
        path: &Path,
        directory_times: &mut BTreeMap<PathBuf, (i64, u32)>,
    ) -> io::Result<OwnedFd> {
        let mut here = root.try_clone_to_owned()?;
        let mut held: Vec<(usize, OwnedFd)> = Vec::new();
        let mut place = PathBuf::new();
        let mut copies = Vec::new();
        for name in path {
            let found = match held.is_empty() {
                true => directories(&self.pile(root), name)?,
                false => directories(&borrowed(&held), name)?,
            };
            place.push(name);
            let (number, top) = found.first().ok_or(Errno::NOENT)?;
            if *number != HERE {
                let stat = rfs::fstat(top)?;
                rfs::mkdirat(&here, name, Mode::from_raw_mode(0o700))?;
                let made = rfs::openat(&here, name, DIRECTORY, Mode::empty())?;
                let (from, to) = (magic(top.as_fd()).join("."), magic(made.as_fd()).join("."));
                copy_metadata(&from, &stat, &to, true)?;
                copies.push((place.clone(), rfs::fstat(&made)?.st_ino));
                directory_times.insert(place.clone(), modified(&stat));
            }
            here = rfs::openat(&here, name, DIRECTORY, Mode::empty())?;
            held = found;
        }
        self.copies.extend(copies);
        Ok(here)
    }
}

/// The object alone, with all that stat(2) and its attributes tell.
fn copy(source: &Source<'_>, name: &OsStr, to: BorrowedFd<'_>) -> io::Result<()> {
    let stat = &source.stat;
    let kind = FileType::from_raw_mode(stat.st_mode);
    match kind {
        FileType::RegularFile => copy_content(source, name, to)?,
        FileType::Symlink => {
            let target = rfs::readlinkat(&source.parent, name, Vec::new())?;
            rfs::symlinkat(target.as_c_str(), to, name)?;
        }
        _ => rfs::mknodat(to, name, kind, Mode::from_raw_mode(0o600), stat.st_rdev)?,
    }
    let from = magic(source.parent.as_fd()).join(name);
    copy_metadata(
        &from,
        stat,
        &magic(to).join(name),
        kind != FileType::Symlink,
    )?;
    let times = times(modified(stat));
    Ok(rfs::utimensat(to, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Holes stay holes.
fn copy_content(source: &Source<'_>, name: &OsStr, to: BorrowedFd<'_>) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut from = File::from(rfs::openat(&source.parent, name, flags, Mode::empty())?);
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o600);
    let mut into = File::from(rfs::openat(to, name, flags, mode)?);
    if rfs::ioctl_ficlone(&into, &from).is_ok() {
        return Ok(());
    }
    let length = u64::try_from(source.stat.st_size).unwrap_or_default();
    into.set_len(length)?;
    let mut at = 0;
    loop {
        let start = match rfs::seek(&from, Seeking::Data(at)) {
            Err(Errno::NXIO) => return Ok(()),
            other => other?,
        };
        let end = rfs::seek(&from, Seeking::Hole(start))?;
        from.seek(SeekFrom::Start(start))?;
        into.seek(SeekFrom::Start(start))?;
        let wanted = end.saturating_sub(start);
        // copy_file_range(2) where the file system has it.
        if io::copy(&mut (&from).take(wanted), &mut into)? != wanted {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        at = end;
    }
}

/// Owner first, because chown(2) clears set-user-ID bits and file capabilities. Both paths lead through
/// handles and end in a name that is not followed.
fn copy_metadata(from: &Path, stat: &Stat, to: &Path, has_mode: bool) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    rfs::chownat(
        rfs::CWD,
        to,
        Some(uid),
        Some(gid),
        AtFlags::SYMLINK_NOFOLLOW,
    )?;
    if has_mode {
        let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
        rfs::chmodat(rfs::CWD, to, mode, AtFlags::empty())?;
    }
    for (name, value) in xattrs(from)? {
        let name = OsStr::from_bytes(&name);
        ignore_unsupported(rfs::lsetxattr(to, name, &value, XattrFlags::empty()))?;
    }
    Ok(())
}

fn xattrs(from: &Path) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut names = vec![0; XATTR_MAX];
    let length = match rfs::llistxattr(from, &mut names) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let kept = names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| is_kept_xattr(name));
    kept.map(|name| {
        let mut value = vec![0; XATTR_MAX];
        let length = rfs::lgetxattr(from, OsStr::from_bytes(name), &mut value)?;
        value.truncate(length);
        Ok((name.to_vec(), value))
    })
    .collect()
}

/// The magic link of a handle: the only thing that is followed is the handle itself.
fn magic(handle: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd()))
}

fn modified(stat: &Stat) -> (i64, u32) {
    let nanoseconds = u32::try_from(stat.st_mtime_nsec).unwrap_or_default();
    (stat.st_mtime, nanoseconds)
}
