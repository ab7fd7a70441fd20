use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    self as rfs, AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;

use super::copy_up::Source;
use super::entry::{Entry, Kind, TarError, shown};
use super::lower::{Found, HERE, Lower};
use super::sparse::Segment;
use crate::linux::path::{self, Links};
use crate::linux::writeback;

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Names that aufs kept for itself (`.wh..wh.plnk`, `.wh..wh.aufs`); old images carry them and every
/// engine passes over them.
const AUFS_PRIVATE: &[u8] = b".wh..wh.";
/// Fewer zeros than a page of the disk are written as they are, bytes.
const HOLE_MIN: usize = 4096;
/// Files of this many bytes begin their way to the disk at once, beside the unpacking: the flush in the end took
/// a fifth of the time of a whole image, with both processors idle. Smaller ones are better written together.
const WRITEBACK_MIN: u64 = 128 * 1024;
pub(super) const OPAQUE_XATTR: &str = "trusted.overlay.opaque";
pub(super) const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// What became of some bytes of an archive.
#[derive(Clone, Copy, Debug)]
pub(super) enum Piece {
    Data(u64),
    /// Not written: a hole reads the same.
    Zeros(u64),
    /// Of a layer below, not of the archive.
    Copied(u64),
}

/// A file that is being filled.
struct FileContent<'a> {
    file: std::fs::File,
    entry: &'a Entry,
}

impl FileContent<'_> {
    fn fill(
        &mut self,
        piece: Segment,
        source: &mut impl Read,
        buffer: &mut [u8],
        progress: &mut dyn FnMut(Piece) -> Result<(), TarError>,
    ) -> Result<(), TarError> {
        let write = |error| TarError::write(&self.entry.name, "write", error);
        let mut at = piece.offset;
        let end = piece.offset + piece.length;
        while at < end {
            let wanted = usize::try_from(end - at).unwrap_or(usize::MAX);
            let wanted = wanted.min(buffer.len());
            let length = match source.read(&mut buffer[..wanted]) {
                Ok(0) => return Err(TarError::Read(ErrorKind::UnexpectedEof.into())),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(TarError::Read(error)),
            };
            let count = u64::try_from(length).unwrap_or(u64::MAX);
            if length >= HOLE_MIN && is_zero(&buffer[..length]) {
                progress(Piece::Zeros(count))?;
            } else {
                progress(Piece::Data(count))?;
                self.file
                    .write_all_at(&buffer[..length], at)
                    .map_err(write)?;
            }
            at += count;
        }
        Ok(())
    }

    /// The length is set in the end: a file may end with a hole.
    fn finish(self) -> Result<std::fs::File, TarError> {
        let length = self.entry.length();
        let write = |error| TarError::write(&self.entry.name, "set the length of", error);
        if self.file.metadata().map_err(write)?.len() != length {
            self.file.set_len(length).map_err(write)?;
        }
        if length >= WRITEBACK_MIN {
            // Only speed depends on it; a file system that cannot do it is flushed in the end all the same.
            let _ = writeback::start(self.file.as_fd());
        }
        Ok(self.file)
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    // Most content is told by its first bytes.
    bytes.first() == Some(&0) && bytes.iter().all(|byte| *byte == 0)
}

/// Makes the entries of one layer beneath its root.
///
/// A parent is opened with links kept inside the root (`RESOLVE_IN_ROOT`), the last component is never
/// followed: what stands in its place goes away first (CVE-2021-32760, CVE-2014-6407).
pub(super) struct LayerWriter<'a> {
    root: BorrowedFd<'a>,
    /// The parent of the entry before; archives list directories one after the other.
    parent: Option<(PathBuf, OwnedFd)>,
    /// Times of directories, set when nothing more is made inside them.
    directory_times: BTreeMap<PathBuf, (i64, u32)>,
    lower: Lower,
}

impl<'a> LayerWriter<'a> {
    pub(super) const fn new(root: BorrowedFd<'a>, lower: Lower) -> Self {
        Self {
            root,
            parent: None,
            directory_times: BTreeMap::new(),
            lower,
        }
    }

    /// A regular file with the content that `source` holds. `progress` hears of every piece. `false` when it
    /// was a whiteout, whose content nobody reads.
    pub(super) fn file(
        &mut self,
        entry: &Entry,
        source: &mut impl Read,
        buffer: &mut [u8],
        progress: &mut dyn FnMut(Piece) -> Result<(), TarError>,
    ) -> Result<bool, TarError> {
        let path = entry.path()?;
        let Some(name) = path.file_name() else {
            return Err(TarError::entry(
                &entry.name,
                "the root of a layer must be a directory",
            ));
        };
        if self.whiteout(entry, &path, name)? {
            return Ok(false);
        }
        self.open_parent(entry, &path)?;
        self.lower.copies.remove(&path);
        self.clear_place(entry, name, false)?;
        let fail = |operation, error: Errno| TarError::write(&entry.name, operation, error);
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rfs::openat(self.parent()?, name, flags, Mode::from_raw_mode(0o600))
            .map_err(|error| fail("create", error))?;
        let mut content = FileContent {
            file: std::fs::File::from(file),
            entry,
        };
        for piece in entry.pieces() {
            content.fill(piece, source, buffer, progress)?;
        }
        let file = content.finish()?;
        set_metadata(entry, file.as_fd())?;
        rfs::futimens(&file, &times(entry.mtime))
            .map_err(|error| fail("set the time of", error))?;
        Ok(true)
    }

    /// Any entry without content. `progress` hears of what a hard link brings into the layer.
    pub(super) fn other(
        &mut self,
        entry: &Entry,
        progress: &mut dyn FnMut(Piece) -> Result<(), TarError>,
    ) -> Result<(), TarError> {
        let path = entry.path()?;
        let Some(name) = path.file_name() else {
            return self.root_entry(entry);
        };
        if name.as_bytes().starts_with(WHITEOUT) {
            return Err(TarError::entry(
                &entry.name,
                "a whiteout must be an empty file",
            ));
        }
        self.open_parent(entry, &path)?;
        self.lower.copies.remove(&path);
        match entry.kind {
            Kind::Directory => self.directory(entry, &path, name),
            Kind::Symlink => self.symlink(entry, name),
            Kind::HardLink => self.hard_link(entry, &path, name, progress),
            Kind::Character | Kind::Block | Kind::Fifo => self.node(entry, name),
            Kind::File => Err(TarError::entry(
                &entry.name,
                "a file was handled as something else",
            )),
        }
    }

    /// Sets the times of directories, deepest first. `true` when the layer is another one on
    /// other layers.
    pub(super) fn finish(self) -> Result<bool, TarError> {
        for (path, mtime) in self.directory_times.iter().rev() {
            let name = path.as_os_str().as_bytes();
            let set = path::open(self.root, path, DIRECTORY, Links::Refuse)
                .and_then(|dir| Ok(rfs::futimens(&dir, &times(*mtime))?));
            match set {
                Ok(()) => {}
                // A later entry put something else in its place.
                Err(error)
                    if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
                        || error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {}
                Err(error) => return Err(TarError::write(name, "set the time of", error)),
            }
        }
        Ok(self.lower.used)
    }

    fn root_entry(&mut self, entry: &Entry) -> Result<(), TarError> {
        if entry.kind != Kind::Directory {
            return Err(TarError::entry(
                &entry.name,
                "the root of a layer must be a directory",
            ));
        }
        set_metadata(entry, self.root)?;
        self.directory_times.insert(PathBuf::from("."), entry.mtime);
        Ok(())
    }

    fn directory(&mut self, entry: &Entry, path: &Path, name: &OsStr) -> Result<(), TarError> {
        let fail = |operation, error: Errno| TarError::write(&entry.name, operation, error);
        let hides_lower = self.clear_place(entry, name, true)?;
        match rfs::mkdirat(self.parent()?, name, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(fail("create", error)),
        }
        let dir = rfs::openat(self.parent()?, name, DIRECTORY, Mode::empty())
            .map_err(|error| fail("open", error))?;
        set_metadata(entry, dir.as_fd())?;
        if hides_lower {
            set_opaque(entry, dir.as_fd())?;
        }
        self.directory_times.insert(path.to_owned(), entry.mtime);
        Ok(())
    }

    fn symlink(&mut self, entry: &Entry, name: &OsStr) -> Result<(), TarError> {
        if entry.link.is_empty() || entry.link.contains(&0) {
            return Err(TarError::entry(&entry.name, "malformed symlink target"));
        }
        self.clear_place(entry, name, false)?;
        let target = OsStr::from_bytes(&entry.link);
        rfs::symlinkat(target, self.parent()?, name)
            .map_err(|error| TarError::write(&entry.name, "create", error))?;
        self.set_metadata_at(entry, name, false)
    }

    fn hard_link(
        &mut self,
        entry: &Entry,
        path: &Path,
        name: &OsStr,
        progress: &mut dyn FnMut(Piece) -> Result<(), TarError>,
    ) -> Result<(), TarError> {
        let target = entry.link_path()?;
        if target == path {
            return Err(TarError::entry(&entry.name, "hard link to itself"));
        }
        let Some(target_name) = target.file_name() else {
            return Err(TarError::entry(&entry.name, "hard link to the root"));
        };
        if target_name.as_bytes().starts_with(WHITEOUT) {
            return Err(TarError::entry(&entry.name, "hard link to a whiteout"));
        }
        let from = match self.link_target(&target, target_name) {
            Some(from) => from,
            None => self.link_target_below(entry, &target, progress)?,
        };
        self.clear_place(entry, name, false)?;
        rfs::linkat(&from, target_name, self.parent()?, name, AtFlags::empty())
            .map_err(|error| TarError::write(&entry.name, "hard link", error))
    }

    /// The directory of the target, when that is an object of this layer.
    fn link_target(&self, target: &Path, name: &OsStr) -> Option<OwnedFd> {
        let parent = target.parent().unwrap_or(Path::new(""));
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let from = path::open(self.root, parent, flags, Links::Refuse).ok()?;
        let stat = rfs::statat(&from, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        (!is_directory && !is_whiteout(&stat)).then_some(from)
    }

    /// The same for an object that a layer below has: it is copied into this one first, so that both names
    /// lead to one inode.
    fn link_target_below(
        &mut self,
        entry: &Entry,
        target: &Path,
        progress: &mut dyn FnMut(Piece) -> Result<(), TarError>,
    ) -> Result<OwnedFd, TarError> {
        let refused = |reason: &str| {
            let target = shown(&entry.link);
            TarError::entry(&entry.name, format!("hard link to {reason}: \"{target}\""))
        };
        let found = self.lower.find(self.root, target).map_err(|error| {
            TarError::write(&entry.name, "look for the target of the hard link", error)
        })?;
        match found {
            Found::Object {
                layer: HERE,
                parent,
                ..
            } => Ok(parent),
            Found::Object {
                layer,
                parent,
                stat,
            } => {
                let source = Source {
                    path: target,
                    layer,
                    parent,
                    stat,
                };
                let times = &mut self.directory_times;
                self.lower.copy_up(self.root, &source, times, progress)
            }
            Found::Directory => Err(refused("a directory")),
            Found::Blocked => Err(refused("something behind a link or a file")),
            Found::Nothing => Err(refused("something that is not there")),
            Found::Unknown => Err(TarError::NeedsBelow),
        }
    }

    fn node(&mut self, entry: &Entry, name: &OsStr) -> Result<(), TarError> {
        let kind = match entry.kind {
            Kind::Character => FileType::CharacterDevice,
            Kind::Block => FileType::BlockDevice,
            _ => FileType::Fifo,
        };
        let (major, minor) = entry.device;
        if kind == FileType::CharacterDevice && (major, minor) == (0, 0) {
            // To overlayfs it would be a whiteout that no whiteout entry announced.
            return Err(TarError::entry(&entry.name, "character device 0:0"));
        }
        self.clear_place(entry, name, false)?;
        let device = rfs::makedev(major, minor);
        rfs::mknodat(
            self.parent()?,
            name,
            kind,
            Mode::from_raw_mode(0o600),
            device,
        )
        .map_err(|error| TarError::write(&entry.name, "create", error))?;
        self.set_metadata_at(entry, name, true)
    }

    /// Owner, mode and time by name: `parent` is held and the entry was just made in it.
    fn set_metadata_at(&self, entry: &Entry, name: &OsStr, has_mode: bool) -> Result<(), TarError> {
        let fail = |operation, error: Errno| TarError::write(&entry.name, operation, error);
        let parent = self.parent()?;
        let (uid, gid) = owner(entry)?;
        rfs::chownat(
            parent,
            name,
            Some(uid),
            Some(gid),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .map_err(|error| fail("change the owner of", error))?;
        if has_mode {
            let mode = Mode::from_raw_mode(entry.mode & 0o7777);
            rfs::chmodat(parent, name, mode, AtFlags::empty())
                .map_err(|error| fail("change the mode of", error))?;
        }
        for (xattr, value) in kept_xattrs(entry) {
            let place = PathBuf::from(format!("/proc/self/fd/{}", parent.as_raw_fd())).join(name);
            ignore_unsupported(rfs::lsetxattr(&place, xattr, value, XattrFlags::empty()))
                .map_err(|error| fail("set an extended attribute of", error))?;
        }
        rfs::utimensat(parent, name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| fail("set the time of", error))
    }

    /// Handles the names that mean "not here" (OCI image-spec layer.md, "Whiteouts"). `true` when this
    /// was one.
    fn whiteout(&mut self, entry: &Entry, path: &Path, name: &OsStr) -> Result<bool, TarError> {
        let name = name.as_bytes();
        if !name.starts_with(WHITEOUT) {
            return Ok(false);
        }
        if name != OPAQUE && name.starts_with(AUFS_PRIVATE) {
            return Ok(true);
        }
        self.open_parent(entry, path)?;
        if name == OPAQUE {
            let Some(parent) = path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty())
            else {
                // overlayfs does not look for the mark on the root of a layer.
                let reason = "an opaque root is not supported";
                return Err(TarError::entry(&entry.name, reason));
            };
            let dir = path::open(self.root, parent, DIRECTORY, Links::InRoot)
                .map_err(|error| TarError::write(&entry.name, "open", error))?;
            set_opaque(entry, dir.as_fd())?;
            self.forget_copies(entry, parent, true)?;
            return Ok(true);
        }
        let target = &name[WHITEOUT.len()..];
        if matches!(target, b"" | b"." | b"..") {
            return Err(TarError::entry(
                &entry.name,
                "whiteout of nothing, \".\" or \"..\"",
            ));
        }
        let target = OsStr::from_bytes(target);
        self.forget_copies(entry, &path.with_file_name(target), false)?;
        self.hide(entry, target)?;
        Ok(true)
    }

    fn forget_copies(&mut self, entry: &Entry, path: &Path, inside: bool) -> Result<(), TarError> {
        let forgotten = self.lower.forget(self.root, path, inside);
        forgotten.map_err(|error| TarError::write(&entry.name, "hide a copy", error))
    }

    /// Hides what lower layers have under this name. An object of this layer stays; a directory must then
    /// not show what lies below it.
    fn hide(&mut self, entry: &Entry, target: &OsStr) -> Result<(), TarError> {
        let fail = |operation, error: Errno| TarError::write(&entry.name, operation, error);
        let parent = self.parent()?;
        match rfs::statat(parent, target, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                let dir = rfs::openat(parent, target, DIRECTORY, Mode::empty())
                    .map_err(|error| fail("open", error))?;
                set_opaque(entry, dir.as_fd())
            }
            Ok(_) => Ok(()),
            Err(Errno::NOENT) => {
                let mode = Mode::empty();
                rfs::mknodat(
                    parent,
                    target,
                    FileType::CharacterDevice,
                    mode,
                    rfs::makedev(0, 0),
                )
                .map_err(|error| fail("create the whiteout", error))
            }
            Err(error) => Err(fail("stat", error)),
        }
    }

    /// Removes what an earlier entry of this layer put where `name` goes, except a directory when a
    /// directory comes (`keep_directory`). `true` when that hid what lower layers have there: a whiteout, or
    /// anything else that was no directory (a directory in its place must not show them again).
    fn clear_place(
        &mut self,
        entry: &Entry,
        name: &OsStr,
        keep_directory: bool,
    ) -> Result<bool, TarError> {
        let fail = |operation, error: Errno| TarError::write(&entry.name, operation, error);
        let parent = self.parent()?;
        let stat = match rfs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(false),
            other => other.map_err(|error| fail("stat", error))?,
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            rfs::unlinkat(parent, name, AtFlags::empty())
                .map_err(|error| fail("replace", error))?;
            return Ok(true);
        }
        if keep_directory {
            return Ok(false);
        }
        // The magic link leads to the handle itself, so no name above `name` is looked up again.
        let place = PathBuf::from(format!("/proc/self/fd/{}", parent.as_raw_fd())).join(name);
        std::fs::remove_dir_all(place)
            .map_err(|error| TarError::write(&entry.name, "replace", error))?;
        self.directory_times
            .retain(|path, _| path.as_path() != entry_path(entry));
        Ok(false)
    }

    /// Opens (or keeps) the parent of `path`, and makes it where the archive only implies it.
    fn open_parent(&mut self, entry: &Entry, path: &Path) -> Result<(), TarError> {
        let parent = path.parent().unwrap_or(Path::new(""));
        if parent
            .iter()
            .any(|part| part.as_bytes().starts_with(WHITEOUT))
        {
            return Err(TarError::entry(&entry.name, "inside a whiteout"));
        }
        // Any change of a directory's entries can change what a path means; the handle stays right,
        // because it names the directory itself.
        if self
            .parent
            .as_ref()
            .is_some_and(|(known, _)| known == parent)
        {
            return Ok(());
        }
        let place = if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        };
        let fail = |error| TarError::write(&entry.name, "open the directory of", error);
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let fd = match path::open(self.root, place, flags, Links::InRoot) {
            Ok(fd) => fd,
            Err(error) if error.kind() == ErrorKind::NotADirectory => {
                self.reopen_whiteouts(place).map_err(fail)?;
                self.implied_directory(entry, place)?
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.implied_directory(entry, place)?
            }
            Err(error) => return Err(fail(error)),
        };
        self.parent = Some((parent.to_owned(), fd));
        Ok(())
    }

    /// Makes directories that have no entry of their own: those that layers below have stay as they are there
    /// (containerd and umoci have it so; otherwise a `/tmp` of mode 1777 would become 0755 by a file in it), others
    /// are 0755 and root's whatever the umask is.
    fn implied_directory(&mut self, entry: &Entry, path: &Path) -> Result<OwnedFd, TarError> {
        let fail = |error| TarError::write(&entry.name, "make the directory of", error);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let mut prefixes: Vec<&Path> = path.ancestors().collect();
        prefixes.reverse();
        for prefix in prefixes {
            if prefix.as_os_str().is_empty()
                || path::open(self.root, prefix, flags, Links::InRoot).is_ok()
            {
                continue;
            }
            match self.lower.find(self.root, prefix).map_err(fail)? {
                Found::Unknown => return Err(TarError::NeedsBelow),
                Found::Directory => {
                    self.lower.used = true;
                    let times = &mut self.directory_times;
                    let copied = self.lower.copy_directory(self.root, prefix, times);
                    copied.map_err(fail)?;
                }
                Found::Nothing | Found::Object { .. } | Found::Blocked => {
                    // On other layers it could be one of theirs.
                    self.lower.used = true;
                    let made = path::ensure_directory(self.root, prefix, 0o755, Links::InRoot)
                        .and_then(|_| path::open(self.root, prefix, flags, Links::InRoot))
                        .map_err(fail)?;
                    rfs::fchmod(&made, Mode::from_raw_mode(0o755))
                        .map_err(|error| fail(error.into()))?;
                }
            }
        }
        path::open(self.root, path, flags, Links::InRoot).map_err(fail)
    }

    /// A whiteout came before entries inside the directory it hides: it becomes an opaque directory.
    fn reopen_whiteouts(&self, path: &Path) -> std::io::Result<()> {
        let mut prefix = PathBuf::new();
        for name in path {
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            let place = if prefix.as_os_str().is_empty() {
                Path::new(".")
            } else {
                &prefix
            };
            let parent = path::open(self.root, place, flags, Links::InRoot)?;
            prefix.push(name);
            match rfs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if is_whiteout(&stat) => {
                    rfs::unlinkat(&parent, name, AtFlags::empty())?;
                    rfs::mkdirat(&parent, name, Mode::from_raw_mode(0o755))?;
                    let dir = rfs::openat(&parent, name, DIRECTORY, Mode::empty())?;
                    rfs::fsetxattr(&dir, OPAQUE_XATTR, b"y", XattrFlags::empty())?;
                }
                Ok(_) => {}
                Err(Errno::NOENT) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn parent(&self) -> Result<&OwnedFd, TarError> {
        self.parent
            .as_ref()
            .map(|(_, fd)| fd)
            .ok_or_else(|| TarError::Limit("no directory is open".to_owned()))
    }
}

fn entry_path(entry: &Entry) -> PathBuf {
    entry.path().unwrap_or_default()
}

pub(super) fn is_whiteout(stat: &rfs::Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && stat.st_rdev == rfs::makedev(0, 0)
}

fn owner(entry: &Entry) -> Result<(Uid, Gid), TarError> {
    // chown(2) reads all ones as "leave it".
    if entry.uid == u32::MAX || entry.gid == u32::MAX {
        return Err(TarError::entry(&entry.name, "user or group 4294967295"));
    }
    Ok((Uid::from_raw(entry.uid), Gid::from_raw(entry.gid)))
}

/// Owner first, because chown(2) clears set-user-ID bits and file capabilities.
fn set_metadata(entry: &Entry, fd: BorrowedFd<'_>) -> Result<(), TarError> {
    let fail = |operation, error: Errno| TarError::write(&entry.name, operation, error);
    let (uid, gid) = owner(entry)?;
    rfs::fchown(fd, Some(uid), Some(gid)).map_err(|error| fail("change the owner of", error))?;
    let mode = Mode::from_raw_mode(entry.mode & 0o7777);
    rfs::fchmod(fd, mode).map_err(|error| fail("change the mode of", error))?;
    for (name, value) in kept_xattrs(entry) {
        ignore_unsupported(rfs::fsetxattr(fd, name, value, XattrFlags::empty()))
            .map_err(|error| fail("set an extended attribute of", error))?;
    }
    Ok(())
}

/// File capabilities, ACLs and user attributes. What steers overlayfs (`trusted.*`, `user.overlay.*`) is
/// never taken from an image, and labels of a security module belong to the machine that made them.
fn kept_xattrs(entry: &Entry) -> impl Iterator<Item = (&OsStr, &[u8])> {
    entry.xattrs.iter().filter_map(|(name, value)| {
        let keep = is_kept_xattr(name) && !name.contains(&0);
        keep.then(|| (OsStr::from_bytes(name), value.as_slice()))
    })
}

pub(super) fn is_kept_xattr(name: &[u8]) -> bool {
    name == b"security.capability"
        || name.starts_with(b"system.posix_acl_")
        || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
}

pub(super) fn ignore_unsupported(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        // A file system without attributes (tmpfs before 6.6 has no user.*), or a kind of file that may
        // not carry them (xattr(7)).
        Err(Errno::NOTSUP | Errno::PERM) => Ok(()),
        other => other,
    }
}

fn set_opaque(entry: &Entry, dir: BorrowedFd<'_>) -> Result<(), TarError> {
    rfs::fsetxattr(dir, OPAQUE_XATTR, b"y", XattrFlags::empty())
        .map_err(|error| TarError::write(&entry.name, "mark as opaque", error))
}

pub(super) fn times((seconds, nanoseconds): (i64, u32)) -> Timestamps {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: i64::from(nanoseconds),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}
