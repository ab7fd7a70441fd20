use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

#[derive(Debug, thiserror::Error)]
pub(crate) enum BindError {
    #[error("another engine answers on {}", .0.display())]
    InUse(PathBuf),
    #[error("{} exists and is not a socket of ours; remove it", .0.display())]
    Foreign(PathBuf),
    #[error("the path {} is too long for a socket; choose a shorter run directory", .0.display())]
    TooLong(PathBuf),
    #[error("make the socket {}", path.display())]
    Make {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Longest path of a socket: `sun_path` less the final NUL (unix(7)).
const LONGEST_PATH: usize = 107;

/// Makes the socket with mode 0600 in a directory with mode 0700. A socket that a dead process of the same
/// user left behind is replaced; anything else in its place is an error. Callers that may race hold the
/// lock of the state directory.
pub(super) fn bind(path: &Path) -> Result<UnixListener, BindError> {
    if path.as_os_str().len() > LONGEST_PATH {
        return Err(BindError::TooLong(path.to_owned()));
    }
    let failed = |source| BindError::Make {
        path: path.to_owned(),
        source,
    };
    if let Some(directory) = path.parent() {
        make_private(directory).map_err(failed)?;
    }
    remove_stale(path)?;
    let listener = UnixListener::bind(path).map_err(failed)?;
    // The directory keeps everybody out between the two calls.
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

fn make_private(directory: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    fs::set_permissions(directory, Permissions::from_mode(0o700))
}

fn remove_stale(path: &Path) -> Result<(), BindError> {
    let failed = |source| BindError::Make {
        path: path.to_owned(),
        source,
    };
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        found => found.map_err(failed)?,
    };
    let ours = found.uid() == rustix::process::geteuid().as_raw();
    if !found.file_type().is_socket() || !ours {
        return Err(BindError::Foreign(path.to_owned()));
    }
    match BlockingStream::connect(path) {
        Ok(_) => Err(BindError::InUse(path.to_owned())),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        // A full queue of connections: somebody is listening.
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            Err(BindError::InUse(path.to_owned()))
        }
        Err(source) => Err(failed(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn replaces_only_a_dead_socket() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run").join("api.sock");
        let first = bind(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        assert!(matches!(bind(&path), Err(BindError::InUse(_))));
        drop(first);
        let second = bind(&path).unwrap();
        drop(second);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        assert!(matches!(bind(&path), Err(BindError::Foreign(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        let long = directory.path().join("x".repeat(120));
        assert!(matches!(bind(&long), Err(BindError::TooLong(_))));
    }
}
