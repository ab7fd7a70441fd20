use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::NetworkError;
use crate::wire::{Mount, MountSource, Propagation};

/// Contents of the files that podtui manages in every container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EtcFiles {
    pub(crate) hosts: String,
    /// Kernel host name without newline.
    pub(crate) hostname: String,
    pub(crate) resolv_conf: String,
}

/// Brings the pod's `hosts`, `hostname` and `resolv.conf` in `directory` to this content and returns
/// their mounts: hosts always writable, the others read-only when the root is. A file over which the
/// container mounts something of its own (`container_mounts`) is left out.
///
/// A file that already has its content is not touched. One that has not — a container may have changed
/// its hosts — is replaced by a new inode, so a container that is running keeps what it has.
pub(crate) fn ensure_etc_files(
    directory: &Path,
    files: &EtcFiles,
    container_mounts: &[Mount],
    read_only_root: bool,
) -> Result<Vec<Mount>, NetworkError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(directory)
        .map_err(|source| NetworkError::Write {
            path: directory.to_owned(),
            source,
        })?;
    let hostname = format!("{}\n", files.hostname);
    let wanted = [
        ("hosts", files.hosts.as_str(), false),
        ("hostname", hostname.as_str(), read_only_root),
        ("resolv.conf", files.resolv_conf.as_str(), read_only_root),
    ];
    let mut mounts = Vec::with_capacity(wanted.len());
    for (name, text, readonly) in wanted {
        let destination = format!("/etc/{name}");
        if container_mounts
            .iter()
            .any(|mount| same_path(&mount.destination, &destination))
        {
            continue;
        }
        let path = directory.join(name);
        ensure_file(&path, text.as_bytes()).map_err(|source| NetworkError::Write {
            path: path.clone(),
            source,
        })?;
        mounts.push(bind(path, destination, readonly));
    }
    Ok(mounts)
}

fn bind(path: PathBuf, destination: String, readonly: bool) -> Mount {
    Mount {
        source: MountSource::Bind {
            path,
            follow_symlinks: false,
        },
        destination,
        readonly,
        recursive_readonly: false,
        propagation: Propagation::Private,
    }
}

fn same_path(left: &str, right: &str) -> bool {
    let parts = |path: &str| -> Vec<String> {
        path.split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .map(str::to_owned)
            .collect()
    };
    parts(left) == parts(right)
}

fn ensure_file(path: &Path, content: &[u8]) -> std::io::Result<()> {
    match create(path, content) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        done => return done,
    }
    if has_content(path, content)? {
        return Ok(());
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = path.with_file_name(name);
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    create(&temporary, content)?;
    std::fs::rename(&temporary, path)
}

/// A file torn by a crash in here has another content and is replaced by the next call.
fn create(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(path)?;
    file.write_all(content)?;
    // The umask of the engine must not hide the file from a container's other users.
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

/// Reads no more than needed: a container can have made its hosts file arbitrarily long.
fn has_content(path: &Path, content: &[u8]) -> std::io::Result<bool> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits())
        .expect("open flags fit into an int");
    let file: File = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    let expected = u64::try_from(content.len()).unwrap_or(u64::MAX);
    if file.metadata()?.len() != expected {
        return Ok(false);
    }
    let mut found = Vec::with_capacity(content.len());
    file.take(expected + 1).read_to_end(&mut found)?;
    Ok(found == content)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn files(hosts: &str) -> EtcFiles {
        EtcFiles {
            hosts: hosts.to_owned(),
            hostname: "web".to_owned(),
            resolv_conf: "nameserver 1.1.1.1\n".to_owned(),
        }
    }

    fn destinations(mounts: &[Mount]) -> Vec<(&str, bool)> {
        mounts
            .iter()
            .map(|mount| (mount.destination.as_str(), mount.readonly))
            .collect()
    }

    #[test]
    fn files_are_written_once_and_replaced_when_changed() {
        let state = tempfile::tempdir().unwrap();
        let dir = state.path().join("pods/u/etc");
        let mounts = ensure_etc_files(&dir, &files("a\n"), &[], true).unwrap();
        assert_eq!(
            destinations(&mounts),
            [
                ("/etc/hosts", false),
                ("/etc/hostname", true),
                ("/etc/resolv.conf", true)
            ]
        );
        assert_eq!(
            std::fs::read_to_string(dir.join("hostname")).unwrap(),
            "web\n"
        );
        let hosts = dir.join("hosts");
        let first = std::fs::metadata(&hosts).unwrap();
        assert_eq!(first.mode() & 0o7777, 0o644);
        ensure_etc_files(&dir, &files("a\n"), &[], false).unwrap();
        assert_eq!(std::fs::metadata(&hosts).unwrap().ino(), first.ino());

        std::fs::write(&hosts, "b\n").unwrap();
        let held = File::open(&hosts).unwrap();
        ensure_etc_files(&dir, &files("a\n"), &[], false).unwrap();
        assert_eq!(std::fs::read_to_string(&hosts).unwrap(), "a\n");
        assert_eq!(held.metadata().unwrap().ino(), first.ino());
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 3);
    }

    #[test]
    fn a_mount_of_the_user_wins() {
        let state = tempfile::tempdir().unwrap();
        let own = bind(
            PathBuf::from("/x"),
            "//etc/./resolv.conf/".to_owned(),
            false,
        );
        let mounts = ensure_etc_files(state.path(), &files(""), &[own], false).unwrap();
        assert_eq!(
            destinations(&mounts),
            [("/etc/hosts", false), ("/etc/hostname", false)]
        );
        assert!(!state.path().join("resolv.conf").exists());
    }
}
