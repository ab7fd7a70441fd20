//! The files of volumes whose content the engine sends, replaced as a whole so that a reader sees all of the
//! old ones or all of the new ones (kubelet `pkg/volume/util/atomic_writer.go`):
//!
//! ```text
//! ..2026_01_02_15_04_05.123456789/   the files
//! ..data -> ..2026_01_02_15_04_05.123456789
//! key    -> ..data/key
//! ```
//!
//! Everything is done on directory handles, in a fresh directory, and nothing that is there already is ever
//! opened for writing (CVE-2025-9566).

use std::collections::BTreeSet;
use std::ffi::{CStr, OsStr};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use jiff::Timestamp;
use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, Uid, chownat, fchmod, fchown, mkdirat, openat,
    readlinkat, renameat, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use crate::wire::{VolumeContent, VolumeFile};

const DATA: &str = "..data";
const NEW_DATA: &str = "..data_tmp";
/// Longest path and name, bytes (kubelet `maxPathLength`, `maxFileNameLength`).
const PATH_MAX: usize = 4096;
const NAME_MAX: usize = 255;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Makes these the files of the volume at `root`.
pub(super) fn write(root: BorrowedFd<'_>, content: &VolumeContent) -> io::Result<()> {
    content.files.iter().try_for_each(check)?;
    let group = content.fs_group;
    if let Some(group) = group {
        fchown(root, None, Some(Gid::from_raw(group)))?;
        fchmod(root, Mode::from_raw_mode(0o3777))?;
    }
    let name = new_directory(root)?;
    let written = fill(root, &name, content).and_then(|()| publish(root, &name, content));
    if written.is_err() {
        // The error says what went wrong; what cannot be removed goes with the pod.
        let _ = remove_directory(root, OsStr::new(&name));
    }
    written
}

fn check(file: &VolumeFile) -> io::Result<()> {
    let refuse = |why: &str| Err(io::Error::other(format!("file {:?}: {why}", file.path)));
    if file.path.is_empty() || file.path.len() > PATH_MAX {
        return refuse("the path is empty or too long");
    }
    if file.path.starts_with("..") {
        return refuse("names beginning with \"..\" belong to the volume itself");
    }
    for part in Path::new(&file.path).components() {
        match part {
            Component::Normal(name) if name.len() <= NAME_MAX => {}
            Component::Normal(_) => return refuse("a name in the path is too long"),
            _ => return refuse("not a relative path without \"..\""),
        }
    }
    Ok(())
}

fn new_directory(root: BorrowedFd<'_>) -> io::Result<String> {
    let now = Timestamp::now();
    let second = now.strftime("%Y_%m_%d_%H_%M_%S");
    let mut number = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
    loop {
        let name = format!("..{second}.{number:09}");
        match mkdirat(root, &name, Mode::from_raw_mode(0o755)) {
            Ok(()) => return Ok(name),
            Err(Errno::EXIST) => number = number.wrapping_add(1),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Neither mode nor owner may depend on the umask of this process.
fn own(fd: BorrowedFd<'_>, mode: u32, owner: Option<u32>, group: Option<u32>) -> io::Result<()> {
    if owner.is_some() || group.is_some() {
        fchown(fd, owner.map(Uid::from_raw), group.map(Gid::from_raw))?;
    }
    Ok(fchmod(fd, Mode::from_raw_mode(mode))?)
}

fn directory_mode(group: Option<u32>) -> u32 {
    if group.is_some() {
        0o2755 | 0o550
    } else {
        0o755
    }
}

fn fill(root: BorrowedFd<'_>, name: &str, content: &VolumeContent) -> io::Result<()> {
    let group = content.fs_group;
    let top = openat(root, name, DIRECTORY, Mode::empty())?;
    own(top.as_fd(), directory_mode(group), None, group)?;
    for file in &content.files {
        write_file(top.as_fd(), file, group).map_err(|error| {
            io::Error::new(error.kind(), format!("file {:?}: {error}", file.path))
        })?;
    }
    Ok(())
}

fn write_file(top: BorrowedFd<'_>, file: &VolumeFile, group: Option<u32>) -> io::Result<()> {
    let path = Path::new(&file.path);
    let mut parent: Option<OwnedFd> = None;
    for part in path.parent().into_iter().flat_map(Path::components) {
        let at = parent.as_ref().map_or(top, AsFd::as_fd);
        match mkdirat(at, part.as_os_str(), Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let made = openat(at, part.as_os_str(), DIRECTORY, Mode::empty())?;
        own(made.as_fd(), directory_mode(group), None, group)?;
        parent = Some(made);
    }
    let name = path.file_name().ok_or(Errno::INVAL)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let at = parent.as_ref().map_or(top, AsFd::as_fd);
    let fd = openat(at, name, flags, Mode::from_raw_mode(0o600))?;
    let mut made = std::fs::File::from(fd);
    made.write_all(&file.data)?;
    let mode = file.mode & 0o777 | if group.is_some() { 0o440 } else { 0 };
    own(made.as_fd(), mode, file.owner, group)
}

/// Shows the new directory: links of new names first, then the switch, then what nobody needs any more.
fn publish(root: BorrowedFd<'_>, name: &str, content: &VolumeContent) -> io::Result<()> {
    let old = match readlinkat(root, DATA, Vec::new()) {
        Ok(target) => Some(target),
        Err(Errno::NOENT) => None,
        Err(error) => return Err(error.into()),
    };
    let wanted: BTreeSet<&OsStr> = content
        .files
        .iter()
        .filter_map(|file| Path::new(&file.path).iter().next())
        .collect();
    for entry in &wanted {
        let target = Path::new(DATA).join(entry);
        match symlinkat(&target, root, *entry) {
            Ok(()) => {
                if let Some(group) = content.fs_group {
                    let group = Some(Gid::from_raw(group));
                    chownat(root, *entry, None, group, AtFlags::SYMLINK_NOFOLLOW)?;
                }
            }
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    match unlinkat(root, NEW_DATA, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    symlinkat(name, root, NEW_DATA)?;
    renameat(root, NEW_DATA, root, DATA)?;
    // From here on the new files are in use, whatever becomes of the rest.
    for entry in names(root)? {
        let entry = OsStr::from_bytes(entry.to_bytes());
        let kept = entry.as_bytes().starts_with(b"..") || wanted.contains(entry);
        if !kept {
            let _ = unlinkat(root, entry, AtFlags::empty());
        }
    }
    if let Some(old) = old {
        let _ = remove_directory(root, OsStr::from_bytes(old.as_bytes()));
    }
    Ok(())
}

fn names(dir: impl AsFd) -> io::Result<Vec<std::ffi::CString>> {
    let is_entry = |name: &CStr| !matches!(name.to_bytes(), b"." | b"..");
    let mut found = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        if is_entry(entry.file_name()) {
            found.push(entry.file_name().to_owned());
        }
    }
    Ok(found)
}

/// Removes one of our own directories; it holds nothing but what [`fill`] made, so it is not deep.
fn remove_directory(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    let directory = openat(parent, name, DIRECTORY, Mode::empty())?;
    for entry in names(&directory)? {
        let entry = OsStr::from_bytes(entry.to_bytes());
        let stat = statat(&directory, entry, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            remove_directory(directory.as_fd(), entry)?;
        } else {
            unlinkat(&directory, entry, AtFlags::empty())?;
        }
    }
    Ok(unlinkat(parent, name, AtFlags::REMOVEDIR)?)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    fn file(path: &str, mode: u32, data: &str) -> VolumeFile {
        VolumeFile {
            path: path.to_owned(),
            mode,
            owner: None,
            data: data.into(),
        }
    }

    fn written(root: &Path, files: Vec<VolumeFile>, fs_group: Option<u32>) -> io::Result<()> {
        let content = VolumeContent {
            key: "v".to_owned(),
            version: "1".to_owned(),
            fs_group,
            files,
        };
        write(File::open(root).unwrap().as_fd(), &content)
    }

    fn listed(root: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(root)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.starts_with("..2"))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn files_are_replaced_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let first = vec![
            file("key", 0o400, "1"),
            file("sub/deep/key", 0o644, "2"),
            file("gone", 0o644, "3"),
        ];
        written(root, first, None).unwrap();
        assert_eq!(listed(root), ["..data", "gone", "key", "sub"]);
        assert_eq!(fs::read_to_string(root.join("sub/deep/key")).unwrap(), "2");
        assert_eq!(
            fs::read_link(root.join("key")).unwrap(),
            Path::new("..data/key")
        );
        assert_eq!(root.join("key").metadata().unwrap().mode() & 0o7777, 0o400);
        assert_eq!(
            root.join("sub/deep").metadata().unwrap().mode() & 0o7777,
            0o755
        );
        let before = fs::read_link(root.join("..data")).unwrap();
        let open = File::open(root.join("key")).unwrap();
        written(
            root,
            vec![file("key", 0o644, "new"), file("more", 0o644, "")],
            None,
        )
        .unwrap();
        assert_eq!(listed(root), ["..data", "key", "more"]);
        assert_eq!(fs::read_to_string(root.join("key")).unwrap(), "new");
        assert!(!root.join(&before).exists());
        assert_eq!(
            fs::read_dir(root).unwrap().count(),
            4,
            "one directory of data"
        );
        assert_eq!(io::read_to_string(open).unwrap(), "1");
        written(root, Vec::new(), None).unwrap();
        assert_eq!(listed(root), ["..data"]);
    }

    #[test]
    fn the_group_may_read_and_enter() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let group = root.metadata().unwrap().gid();
        written(root, vec![file("a/key", 0o400, "x")], Some(group)).unwrap();
        let mode = |path: &str| root.join(path).metadata().unwrap().mode() & 0o7777;
        assert_eq!(mode("a/key"), 0o440);
        assert_eq!(mode("a"), 0o2755);
        assert_eq!(mode("..data"), 0o2755);
        assert_eq!(mode(""), 0o3777);
    }

    /// CVE-2025-9566: what was planted under the names of keys is neither followed nor written to.
    #[test]
    fn planted_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (root, victim) = (dir.path().join("v"), dir.path().join("victim"));
        fs::create_dir(&root).unwrap();
        fs::write(&victim, "precious").unwrap();
        written(&root, vec![file("key", 0o644, "1")], None).unwrap();
        fs::remove_file(root.join("key")).unwrap();
        symlink(&victim, root.join("key")).unwrap();
        symlink(&victim, root.join("..data_tmp")).unwrap();
        written(&root, vec![file("key", 0o644, "2")], None).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(fs::read_to_string(root.join("..data/key")).unwrap(), "2");
    }

    #[test]
    fn paths_stay_inside() {
        let dir = tempfile::tempdir().unwrap();
        let long = format!("a/{}", "x".repeat(256));
        for path in ["", "..x", "../x", "a/../../x", "/etc/x", "a/b/..", &long] {
            assert!(
                written(dir.path(), vec![file(path, 0o644, "")], None).is_err(),
                "{path}"
            );
        }
        let both = vec![file("a", 0o644, ""), file("a/b", 0o644, "")];
        assert!(written(dir.path(), both, None).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
