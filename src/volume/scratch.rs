use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::VolumeError;
use crate::wire::{Mount, MountSource, Propagation};

/// Most that is taken over from a termination message, bytes (kubernetes-semantics §10.6).
const MESSAGE_LIMIT: u64 = 4096;

/// The directory of one container instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scratch {
    /// Receives the overlay's `upper` and `work` ([`crate::wire::RootFs::scratch`]).
    pub(crate) directory: PathBuf,
    /// What the container writes to its `terminationMessagePath`.
    pub(crate) termination_log: PathBuf,
}

impl Scratch {
    /// The termination log stands beside the directory, because the root of the container is mounted over
    /// that and hides what is in it.
    pub(crate) fn of(pod_dir: &Path, container: &str, attempt: u32) -> Self {
        let parent = pod_dir.join("containers").join(container);
        Self {
            directory: parent.join(attempt.to_string()),
            termination_log: parent.join(format!("{attempt}.termination-log")),
        }
    }

    /// `path` is the container's `terminationMessagePath`.
    pub(crate) fn termination_mount(&self, path: &str) -> Mount {
        Mount {
            source: MountSource::Bind {
                path: self.termination_log.clone(),
                follow_symlinks: false,
            },
            destination: path.to_owned(),
            readonly: false,
            recursive_readonly: false,
            propagation: Propagation::Private,
        }
    }
}

/// Makes `<pod_dir>/containers/<container>/<attempt>` and beside it an empty termination log that every
/// user of the container can write. Idempotent.
pub(crate) fn ensure_scratch(
    pod_dir: &Path,
    container: &str,
    attempt: u32,
) -> Result<Scratch, VolumeError> {
    let scratch = Scratch::of(pod_dir, container, attempt);
    let fail = |operation, path: &Path| {
        let path = path.to_owned();
        move |source| VolumeError::Io {
            operation,
            path,
            source,
        }
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&scratch.directory)
        .map_err(fail("create", &scratch.directory))?;
    let termination_log = &scratch.termination_log;
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o666)
        .open(termination_log);
    match made {
        // The umask must not take away what other users of the container need.
        Ok(file) => file
            .set_permissions(std::fs::Permissions::from_mode(0o666))
            .map_err(fail("change the mode of", termination_log))?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(fail("create", termination_log)(error)),
    }
    Ok(scratch)
}

/// The end of the termination message, as far as it counts (kubelet `tail.ReadAtMost`); empty when there is none.
/// The file is the container's: it is read bounded and without following links.
pub(crate) fn read_termination_log(path: &Path) -> Result<Vec<u8>, VolumeError> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).expect("open flags fit into an int");
    let mut message = Vec::new();
    let read = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .and_then(|mut file| {
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(MESSAGE_LIMIT)))?;
            file.take(MESSAGE_LIMIT).read_to_end(&mut message)
        });
    match read {
        Ok(_) => Ok(message),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(VolumeError::Io {
            operation: "read",
            path: path.to_owned(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn the_message_is_bounded_and_the_log_open_to_all() {
        let dir = tempfile::tempdir().unwrap();
        let scratch = ensure_scratch(dir.path(), "web", 3).unwrap();
        assert_eq!(scratch.directory, dir.path().join("containers/web/3"));
        assert_eq!(
            scratch.termination_log.metadata().unwrap().mode() & 0o777,
            0o666
        );
        assert_eq!(read_termination_log(&scratch.termination_log).unwrap(), b"");
        let long = format!("{}{}", "x".repeat(5000), "y".repeat(4000));
        std::fs::write(&scratch.termination_log, long).unwrap();
        assert_eq!(ensure_scratch(dir.path(), "web", 3).unwrap(), scratch);
        let expected = format!("{}{}", "x".repeat(96), "y".repeat(4000));
        assert_eq!(
            read_termination_log(&scratch.termination_log).unwrap(),
            expected.as_bytes()
        );
        assert_eq!(read_termination_log(&dir.path().join("none")).unwrap(), b"");
        std::fs::remove_file(&scratch.termination_log).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &scratch.termination_log).unwrap();
        assert!(read_termination_log(&scratch.termination_log).is_err());
    }
}
