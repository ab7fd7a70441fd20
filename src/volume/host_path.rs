use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::FileType;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Component, Path, PathBuf};

use k8s_openapi::api::core::v1::HostPathVolumeSource;
use rustix::fs::{self as rfs, AtFlags, FileType as RawType, Mode, OFlags};
use rustix::io::Errno;

/// As the kernel (path_resolution(7)).
const MAX_LINKS: usize = 40;

#[derive(Debug, thiserror::Error)]
pub(crate) enum HostPathError {
    /// Kubelet's words.
    #[error("hostPath type check failed: {path} is not a {expected}")]
    WrongType {
        path: PathBuf,
        expected: &'static str,
    },
    #[error("{0} is an invalid volume type")]
    UnknownType(String),
    #[error("hostPath {0} must be an absolute path")]
    Relative(PathBuf),
    /// Creating below somebody else's link would let them choose where root creates things.
    #[error(
        "hostPath {path} does not exist and is not created, because {link} on the way is a symlink of user {owner}"
    )]
    ForeignLink {
        path: PathBuf,
        link: PathBuf,
        owner: u32,
    },
    #[error("{operation} {path}: {source}")]
    Io {
        operation: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Create {
    Directory,
    File,
}

/// Checks or creates what the volume names (kubernetes-semantics §8.3). Returns the path and where it
/// leads.
pub(super) fn prepare(source: &HostPathVolumeSource) -> Result<(PathBuf, PathBuf), HostPathError> {
    let path = PathBuf::from(&source.path);
    if !path.is_absolute() {
        return Err(HostPathError::Relative(path));
    }
    let kind = source.type_.as_deref().unwrap_or_default();
    let create = match kind {
        "" | "DirectoryOrCreate" => Some(Create::Directory),
        "FileOrCreate" => Some(Create::File),
        _ => None,
    };
    let found = match std::fs::metadata(&path) {
        Ok(found) => Some(found.file_type()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        // As kubelet's checker: what cannot be looked at is not of the type.
        Err(source) if kind.is_empty() => {
            return Err(HostPathError::Io {
                operation: "stat",
                path,
                source,
            });
        }
        Err(_) => None,
    };
    match (found, create) {
        (None, Some(what)) => create_path(&path, what)?,
        (found, _) => check_type(&path, kind, found)?,
    }
    let resolved = path.canonicalize().map_err(|source| HostPathError::Io {
        operation: "resolve",
        path: path.clone(),
        source,
    })?;
    Ok((path, resolved))
}

fn check_type(path: &Path, kind: &str, found: Option<FileType>) -> Result<(), HostPathError> {
    type Test = fn(&FileType) -> bool;
    let (expected, test): (&'static str, Test) = match kind {
        "" => return Ok(()),
        "DirectoryOrCreate" | "Directory" => ("directory", FileType::is_dir),
        "FileOrCreate" | "File" => ("file", FileType::is_file),
        "Socket" => ("socket file", FileType::is_socket),
        "CharDevice" => ("character device", FileType::is_char_device),
        "BlockDevice" => ("block device", FileType::is_block_device),
        other => return Err(HostPathError::UnknownType(other.to_owned())),
    };
    if found.is_some_and(|kind| test(&kind)) {
        return Ok(());
    }
    Err(HostPathError::WrongType {
        path: path.to_owned(),
        expected,
    })
}

/// A step of a path that is still to be walked.
enum Step {
    Root,
    Parent,
    Name(OsString),
}

fn steps(path: &Path) -> impl DoubleEndedIterator<Item = Step> + '_ {
    path.components().filter_map(|part| match part {
        Component::RootDir => Some(Step::Root),
        Component::ParentDir => Some(Step::Parent),
        Component::Normal(name) => Some(Step::Name(name.to_owned())),
        Component::CurDir | Component::Prefix(_) => None,
    })
}

/// Walks the path on directory handles and creates what is missing: directories 0755, for a file only
/// the last component, 0644.
fn create_path(path: &Path, what: Create) -> Result<(), HostPathError> {
    let fail = |operation: &'static str| {
        move |error: Errno| HostPathError::Io {
            operation,
            path: path.to_owned(),
            source: error.into(),
        }
    };
    let open_root = || {
        rfs::open(
            "/",
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
    };
    let mut todo: VecDeque<Step> = steps(path).collect();
    let mut dir = open_root().map_err(fail("open the root of"))?;
    let mut links = 0;
    while let Some(step) = todo.pop_front() {
        let name = match step {
            Step::Root => {
                dir = open_root().map_err(fail("open the root of"))?;
                continue;
            }
            Step::Parent => OsString::from(".."),
            Step::Name(name) => name,
        };
        let stat = match rfs::statat(&dir, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) if what == Create::File && todo.is_empty() => {
                return create_file(&dir, &name).map_err(fail("create"));
            }
            Err(Errno::NOENT) if what == Create::Directory => {
                dir = create_directory(&dir, &name).map_err(fail("create"))?;
                continue;
            }
            Err(error) => return Err(fail("create")(error)),
        };
        if RawType::from_raw_mode(stat.st_mode) != RawType::Symlink {
            dir = open_directory(&dir, &name).map_err(fail("create"))?;
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(fail("create")(Errno::LOOP));
        }
        if stat.st_uid != 0 && stat.st_uid != rustix::process::geteuid().as_raw() {
            return Err(HostPathError::ForeignLink {
                path: path.to_owned(),
                link: path_of(&dir).join(&name),
                owner: stat.st_uid,
            });
        }
        let target = rfs::readlinkat(&dir, &name, Vec::new()).map_err(fail("read a link of"))?;
        let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
        for step in steps(&target).rev() {
            todo.push_front(step);
        }
    }
    Ok(())
}

fn open_directory(dir: impl AsFd, name: &OsString) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rfs::openat(dir, name, flags, Mode::empty())
}

fn create_directory(dir: &OwnedFd, name: &OsString) -> Result<OwnedFd, Errno> {
    let mode = Mode::from_raw_mode(0o755);
    match rfs::mkdirat(dir, name, mode) {
        Ok(()) => {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let made = rfs::openat(dir, name, flags, Mode::empty())?;
            // The mode must not depend on the umask podtui was started with.
            rfs::fchmod(&made, mode)?;
            Ok(made)
        }
        // Somebody else was faster; whatever it is, opening tells.
        Err(Errno::EXIST) => open_directory(dir, name),
        Err(error) => Err(error),
    }
}

fn create_file(dir: &OwnedFd, name: &OsString) -> Result<(), Errno> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o644);
    match rfs::openat(dir, name, flags, mode) {
        Ok(file) => rfs::fchmod(&file, mode),
        Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Where an open directory is, for messages.
fn path_of(dir: &OwnedFd) -> PathBuf {
    use std::os::fd::AsRawFd;
    std::fs::read_link(format!("/proc/self/fd/{}", dir.as_raw_fd())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    fn run(path: &Path, kind: &str) -> Result<PathBuf, String> {
        prepare(&HostPathVolumeSource {
            path: path.to_str().unwrap().to_owned(),
            type_: Some(kind.to_owned()),
        })
        .map(|(_, resolved)| resolved)
        .map_err(|error| error.to_string())
    }

    #[test]
    fn types_are_checked_in_kubelets_words() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
        let check = |path: &Path, kind: &str, expected: Option<&str>| {
            let wanted = expected.map(|what| {
                format!(
                    "hostPath type check failed: {} is not a {what}",
                    path.display()
                )
            });
            assert_eq!(run(path, kind).err(), wanted, "{kind}");
        };
        check(dir.path(), "Directory", None);
        check(dir.path(), "", None);
        check(&file, "", None);
        check(&file, "File", None);
        check(&file, "FileOrCreate", None);
        check(&dir.path().join("socket"), "Socket", None);
        check(Path::new("/dev/null"), "CharDevice", None);
        check(&file, "Directory", Some("directory"));
        check(&file, "DirectoryOrCreate", Some("directory"));
        check(dir.path(), "File", Some("file"));
        check(dir.path(), "FileOrCreate", Some("file"));
        check(&file, "Socket", Some("socket file"));
        check(&file, "CharDevice", Some("character device"));
        check(&file, "BlockDevice", Some("block device"));
        check(&dir.path().join("missing"), "Directory", Some("directory"));
        assert_eq!(
            run(&file, "Nonsense").unwrap_err(),
            "Nonsense is an invalid volume type"
        );
        assert!(!dir.path().join("missing").exists());
    }

    #[test]
    fn missing_paths_are_created() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &str| dir.path().join(path).metadata().unwrap().mode() & 0o777;
        run(&dir.path().join("a/b"), "DirectoryOrCreate").unwrap();
        run(&dir.path().join("c/d"), "").unwrap();
        run(&dir.path().join("a/f"), "FileOrCreate").unwrap();
        assert_eq!(
            (mode("a/b"), mode("c/d"), mode("a/f")),
            (0o755, 0o755, 0o644)
        );
        assert!(run(&dir.path().join("x/f"), "FileOrCreate").is_err());
        assert!(!dir.path().join("x").exists());
    }

    #[test]
    fn own_links_are_followed_and_planted_ones_are_not() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("real")).unwrap();
        symlink("real", dir.path().join("link")).unwrap();
        symlink(dir.path().join("real"), dir.path().join("absolute")).unwrap();
        let real = dir.path().canonicalize().unwrap().join("real");
        let made = run(&dir.path().join("link/new"), "DirectoryOrCreate").unwrap();
        assert_eq!(made, real.join("new"));
        let made = run(&dir.path().join("absolute/more"), "DirectoryOrCreate").unwrap();
        assert_eq!(made, real.join("more"));
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: a link of another user needs root");
            return;
        }
        std::os::unix::fs::lchown(dir.path().join("link"), Some(12345), None).unwrap();
        let error = run(&dir.path().join("link/planted"), "DirectoryOrCreate").unwrap_err();
        assert!(error.contains("is a symlink of user 12345"), "{error}");
        assert!(!real.join("planted").exists());
    }
}
