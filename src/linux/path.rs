//! Paths that are resolved beneath a root the caller holds (openat2(2)), so that no link and no `..` that
//! a container, an image or a volume planted can lead out of it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat2, readlinkat};
use rustix::io::Errno;

/// What to do with symbolic links on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    /// Follow them as a process whose `/` is the root would (`RESOLVE_IN_ROOT`).
    InRoot,
    /// A link anywhere in the path is an error (`ELOOP`).
    Refuse,
}

/// Links within one path before the answer is `ELOOP`, as the kernel counts them.
const MAX_LINKS: u32 = 40;
/// The kernel asks to try again when something was renamed during a walk.
const MAX_RETRIES: u32 = 128;

/// Opens `path` beneath `root` with close-on-exec. `path` may be absolute; it is then taken from `root`.
pub(crate) fn open(
    root: BorrowedFd<'_>,
    path: &Path,
    flags: OFlags,
    links: Links,
) -> io::Result<OwnedFd> {
    open_raw(root, path, flags, links).map_err(io::Error::from)
}

/// Opens an absolute path of the machine with close-on-exec; a link anywhere in it is an error (`ELOOP`).
pub(crate) fn open_straight(path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
    if !path.is_absolute() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    retry(|| openat2(CWD, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve))
        .map_err(io::Error::from)
}

fn retry(mut open: impl FnMut() -> Result<OwnedFd, Errno>) -> Result<OwnedFd, Errno> {
    for _ in 0..MAX_RETRIES {
        match open() {
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return result,
        }
    }
    Err(Errno::AGAIN)
}

fn open_raw(
    root: BorrowedFd<'_>,
    path: &Path,
    flags: OFlags,
    links: Links,
) -> Result<OwnedFd, Errno> {
    let resolve = match links {
        Links::InRoot => ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        Links::Refuse => {
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS
        }
    };
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    retry(|| openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve))
}

/// The directory `path` beneath `root`, made with `mode` (subject to the umask) where it is missing, with
/// every missing parent. The descriptor is `O_PATH`.
pub(crate) fn ensure_directory(
    root: BorrowedFd<'_>,
    path: &Path,
    mode: u32,
    links: Links,
) -> io::Result<OwnedFd> {
    let wanted = Wanted::Directory(Mode::from_raw_mode(mode));
    ensure(root, path, wanted, links, &mut { MAX_LINKS }).map_err(io::Error::from)
}

/// The regular file `path` beneath `root`, made empty with `mode` where it is missing, with every missing
/// parent (mode 0755). An existing object of any kind but a directory is accepted. The descriptor is
/// `O_PATH`.
pub(crate) fn ensure_file(
    root: BorrowedFd<'_>,
    path: &Path,
    mode: u32,
    links: Links,
) -> io::Result<OwnedFd> {
    let wanted = Wanted::File(Mode::from_raw_mode(mode));
    ensure(root, path, wanted, links, &mut { MAX_LINKS }).map_err(io::Error::from)
}

/// What stands at the end of a path, and the mode it is made with.
#[derive(Clone, Copy)]
enum Wanted {
    Directory(Mode),
    File(Mode),
}

impl Wanted {
    const fn flags(self) -> OFlags {
        match self {
            Self::Directory(_) => OFlags::PATH.union(OFlags::DIRECTORY),
            Self::File(_) => OFlags::PATH,
        }
    }

    /// `ISDIR` where a directory stands in the place of a file.
    fn checked(self, found: OwnedFd) -> Result<OwnedFd, Errno> {
        match self {
            Self::Directory(_) => Ok(found),
            Self::File(_) => match FileType::from_raw_mode(fstat(&found)?.st_mode) {
                FileType::Directory => Err(Errno::ISDIR),
                _ => Ok(found),
            },
        }
    }

    const fn parent(self) -> Self {
        match self {
            Self::Directory(_) => self,
            Self::File(_) => Self::Directory(Mode::from_raw_mode(0o755)),
        }
    }

    fn make(self, parent: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
        const NEW: OFlags = OFlags::CREATE
            .union(OFlags::EXCL)
            .union(OFlags::NOFOLLOW)
            .union(OFlags::WRONLY)
            .union(OFlags::CLOEXEC);
        match self {
            Self::Directory(mode) => mkdirat(parent, name, mode),
            Self::File(mode) => rustix::fs::openat(parent, name, NEW, mode).map(drop),
        }
    }
}

fn ensure(
    root: BorrowedFd<'_>,
    path: &Path,
    wanted: Wanted,
    links: Links,
    budget: &mut u32,
) -> Result<OwnedFd, Errno> {
    match open_raw(root, path, wanted.flags(), links) {
        Err(Errno::NOENT) => {}
        result => return wanted.checked(result?),
    }
    let (parent_path, name) = split(path).ok_or(Errno::NOENT)?;
    let parent = ensure(root, &parent_path, wanted.parent(), links, budget)?;
    match wanted.make(&parent, &name) {
        Ok(()) => {}
        Err(Errno::EXIST) => {
            // It was missing and exists: somebody was faster, or it is a link to nothing.
            if let Some(target) = dangling(parent.as_fd(), &parent_path, &name, links, budget)? {
                return ensure(root, &target, wanted, links, budget);
            }
        }
        Err(error) => return Err(error),
    }
    open_raw(
        parent.as_fd(),
        Path::new(&name),
        wanted.flags(),
        Links::Refuse,
    )
}

/// Opens `path` beneath `root`, following links as long as they stay beneath it; `EXDEV` when it leads out
/// (openat2(2), `RESOLVE_BENEATH`).
pub(crate) fn open_beneath(
    root: BorrowedFd<'_>,
    path: &Path,
    flags: OFlags,
) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    retry(|| openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve))
}

/// As [`open_beneath`] with `O_PATH`; what is missing is made: directories with the permission bits of the
/// root and its set-group-ID bit, from the deepest one that exists downwards, without following anything that
/// appears meanwhile.
pub(crate) fn ensure_beneath(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    match open_beneath(root, path, OFlags::PATH) {
        Err(Errno::NOENT) => {}
        result => return result,
    }
    let mode = Mode::from_raw_mode(fstat(root)?.st_mode & 0o2777);
    let parts: Vec<_> = path.iter().collect();
    let (mut dir, mut done) = (open_beneath(root, Path::new("."), OFlags::PATH)?, 0);
    for count in (1..parts.len()).rev() {
        let existing: PathBuf = parts[..count].iter().collect();
        match open_beneath(root, &existing, OFlags::PATH) {
            Ok(found) => {
                (dir, done) = (found, count);
                break;
            }
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
    }
    for name in &parts[done..] {
        match mkdirat(&dir, *name, mode) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        dir = rustix::fs::openat(&dir, *name, flags, Mode::empty())?;
        rustix::fs::fchmod(&dir, mode)?;
    }
    Ok(dir)
}

/// The path meant by the symbolic link `name` in `parent`, when it is one.
fn dangling(
    parent: BorrowedFd<'_>,
    parent_path: &Path,
    name: &OsStr,
    links: Links,
    budget: &mut u32,
) -> Result<Option<PathBuf>, Errno> {
    let target = match readlinkat(parent, name, Vec::new()) {
        Ok(target) => OsString::from_vec(target.into_bytes()),
        Err(Errno::INVAL) => return Ok(None),
        Err(error) => return Err(error),
    };
    *budget = budget.checked_sub(1).ok_or(Errno::LOOP)?;
    if links == Links::Refuse {
        return Err(Errno::LOOP);
    }
    // `join` drops the parent when the target is absolute; absolute means from the root here too.
    Ok(Some(parent_path.join(target)))
}

/// Parent and last name of a path. A path that ends in `..` or has no name cannot be created.
fn split(path: &Path) -> Option<(PathBuf, OsString)> {
    let mut components = path.components();
    match components.next_back()? {
        Component::Normal(name) if !name.as_bytes().contains(&0) => {
            Some((components.as_path().to_path_buf(), name.to_os_string()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;

    fn root() -> (tempfile::TempDir, OwnedFd) {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("root");
        fs::create_dir(&root).unwrap();
        let fd = File::open(&root).unwrap().into();
        (directory, fd)
    }

    #[test]
    fn links_stay_inside() {
        let (outer, fd) = root();
        let root = outer.path().join("root");
        fs::create_dir(outer.path().join("etc")).unwrap();
        symlink("../../../etc", root.join("up")).unwrap();
        symlink("/etc", root.join("absolute")).unwrap();
        ensure_directory(fd.as_fd(), Path::new("/up/a"), 0o755, Links::InRoot).unwrap();
        ensure_file(fd.as_fd(), Path::new("absolute/b/c"), 0o644, Links::InRoot).unwrap();
        assert!(root.join("etc/a").is_dir());
        assert!(root.join("etc/b/c").is_file());
        assert_eq!(fs::read_dir(outer.path().join("etc")).unwrap().count(), 0);
    }

    #[test]
    fn links_are_refused_on_request() {
        let (outer, fd) = root();
        symlink("elsewhere", outer.path().join("root/link")).unwrap();
        for result in [
            ensure_directory(fd.as_fd(), Path::new("link"), 0o755, Links::Refuse),
            ensure_directory(fd.as_fd(), Path::new("link/a"), 0o755, Links::Refuse),
            ensure_file(fd.as_fd(), Path::new("link"), 0o644, Links::Refuse),
        ] {
            let error = result.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(Errno::LOOP.raw_os_error()));
        }
    }

    #[test]
    fn a_straight_path_has_no_link_and_no_place_to_begin() {
        let (outer, _fd) = root();
        // The temporary directory itself may be reached through one.
        let outer = outer.path().canonicalize().unwrap();
        symlink("root", outer.join("link")).unwrap();
        assert!(open_straight(&outer.join("root"), OFlags::PATH).is_ok());
        let error = open_straight(&outer.join("link/x"), OFlags::PATH).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::LOOP.raw_os_error()));
        assert!(open_straight(Path::new("root"), OFlags::PATH).is_err());
    }

    #[test]
    fn a_circle_of_dangling_links_ends() {
        let (outer, fd) = root();
        symlink("b/x", outer.path().join("root/a")).unwrap();
        symlink("a/x", outer.path().join("root/b")).unwrap();
        assert!(ensure_directory(fd.as_fd(), Path::new("a"), 0o755, Links::InRoot).is_err());
    }

    #[test]
    fn what_exists_is_accepted_only_with_its_kind() {
        let (outer, fd) = root();
        fs::create_dir(outer.path().join("root/d")).unwrap();
        fs::write(outer.path().join("root/f"), "").unwrap();
        assert!(ensure_file(fd.as_fd(), Path::new("d"), 0o644, Links::InRoot).is_err());
        assert!(ensure_directory(fd.as_fd(), Path::new("f"), 0o755, Links::InRoot).is_err());
        ensure_file(fd.as_fd(), Path::new("f"), 0o644, Links::InRoot).unwrap();
        assert!(ensure_directory(fd.as_fd(), Path::new("x/../y"), 0o755, Links::InRoot).is_err());
    }
}
