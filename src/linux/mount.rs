//! The descriptor-based mount interface (fsopen(2), fsmount(2), open_tree(2), move_mount(2),
//! mount_setattr(2)): a mount is configured while detached and attached once, to a directory that is held
//! open, so no path is looked up between the check and the mount.

#![expect(unsafe_code, reason = "system calls without a safe wrapper")]

use std::ffi::{CString, OsStr};
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount,
    fsopen, mount_change, move_mount, open_tree, unmount,
};

/// Properties of one mount (mount_setattr(2)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes(u64);

impl Attributes {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const READ_ONLY: Self = Self(0x1);
    pub(crate) const NO_SUID: Self = Self(0x2);
    pub(crate) const NO_DEV: Self = Self(0x4);
    pub(crate) const NO_EXEC: Self = Self(0x8);

    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn flags(self) -> MountAttrFlags {
        MountAttrFlags::from_bits_retain(u32::try_from(self.0).unwrap_or(0))
    }
}

/// A file system that is being configured.
#[derive(Debug)]
pub(crate) struct Context {
    fd: OwnedFd,
}

impl Context {
    /// `kind` as in `/proc/filesystems`.
    pub(crate) fn open(kind: &str) -> io::Result<Self> {
        let fd = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
        Ok(Self { fd })
    }

    pub(crate) fn set(&self, key: &str, value: impl rustix::path::Arg) -> io::Result<()> {
        fsconfig_set_string(self.fd.as_fd(), key, value).map_err(io::Error::from)
    }

    pub(crate) fn flag(&self, key: &str) -> io::Result<()> {
        fsconfig_set_flag(self.fd.as_fd(), key).map_err(io::Error::from)
    }

    /// Makes the file system and returns its root as a detached mount.
    pub(crate) fn mount(&self, attributes: Attributes) -> io::Result<OwnedFd> {
        fsconfig_create(self.fd.as_fd())?;
        fsmount(
            self.fd.as_fd(),
            FsMountFlags::FSMOUNT_CLOEXEC,
            attributes.flags(),
        )
        .map_err(io::Error::from)
    }

    /// What the file system said about its configuration; the kernel keeps the last few lines and an
    /// error number alone often does not tell which option it meant.
    pub(crate) fn complaint(&self) -> Option<String> {
        let mut buffer = [0u8; 512];
        let length = rustix::io::read(&self.fd, &mut buffer).ok()?;
        let text = String::from_utf8_lossy(&buffer[..length]);
        let text = text.trim().trim_start_matches("e ").to_owned();
        (!text.is_empty()).then_some(text)
    }
}

/// mount(2) of a file system of this kind on `place`, for what a [`Context`] cannot be told.
pub(crate) fn with_options(kind: &str, place: &Path, options: &str) -> io::Result<()> {
    let options = CString::new(options)?;
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount(kind, place, kind, flags, options.as_c_str()).map_err(io::Error::from)
}

/// Attaches a detached mount on top of `target`.
pub(crate) fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    move_mount(
        mount,
        "",
        target,
        "",
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH,
    )
    .map_err(io::Error::from)
}

/// Attaches a detached mount on top of `name` in `directory`, a name that nobody else can change. A link is
/// not followed.
pub(crate) fn attach_at(
    mount: BorrowedFd<'_>,
    directory: BorrowedFd<'_>,
    name: &OsStr,
) -> io::Result<()> {
    move_mount(
        mount,
        "",
        directory,
        name,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
    .map_err(io::Error::from)
}

/// As [`copy`], not recursive, for a path that only the machine's administrator can change.
pub(crate) fn copy_path(path: &Path) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
    open_tree(rustix::fs::CWD, path, flags).map_err(io::Error::from)
}

/// A detached copy of the mount at the object behind `fd` (what `mount --bind` would attach).
pub(crate) fn copy(fd: BorrowedFd<'_>, recursive: bool) -> io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(fd, "", flags).map_err(io::Error::from)
}

/// `struct mount_attr` of mount_setattr(2), version 0.
#[repr(C)]
#[derive(Default)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// How mount events travel between a mount and its copies (mount_namespaces(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Propagation {
    Unchanged,
    Private,
    Slave,
}

impl Propagation {
    const fn bits(self) -> u64 {
        match self {
            Self::Unchanged => 0,
            Self::Private => 1 << 18,
            Self::Slave => 1 << 19,
        }
    }
}

/// MOUNT_ATTR_IDMAP.
const ID_MAPPED: u64 = 0x0010_0000;

/// Shows the files of a detached mount with the owners that the map of this user namespace makes of those on
/// the disk: what belongs to 0 there belongs to whoever is 0 inside. The file system has to know how.
pub(crate) fn map_ids(mount: BorrowedFd<'_>, user_namespace: BorrowedFd<'_>) -> io::Result<()> {
    let arguments = MountAttr {
        attr_set: ID_MAPPED,
        userns_fd: u64::from(user_namespace.as_raw_fd().cast_unsigned()),
        ..MountAttr::default()
    };
    set_attributes(mount, arguments, libc::AT_EMPTY_PATH)
}

/// Adds `attributes` to the mount behind `mount`, atomically, and to all below it when `recursive`.
pub(crate) fn change(
    mount: BorrowedFd<'_>,
    attributes: Attributes,
    propagation: Propagation,
    recursive: bool,
) -> io::Result<()> {
    if attributes == Attributes::NONE && propagation == Propagation::Unchanged {
        return Ok(());
    }
    let arguments = MountAttr {
        attr_set: attributes.0,
        propagation: propagation.bits(),
        ..MountAttr::default()
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    set_attributes(mount, arguments, flags)
}

fn set_attributes(mount: BorrowedFd<'_>, mut arguments: MountAttr, flags: i32) -> io::Result<()> {
    // SAFETY: the path is a C string constant, the structure outlives the call and its size is given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw mut arguments,
            size_of::<MountAttr>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Makes every mount of this process's mount namespace a slave of what it was copied from: mounts of the
/// machine keep arriving and leaving, nothing travels back.
pub(crate) fn make_all_slaves() -> io::Result<()> {
    mount_change(
        "/",
        MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC,
    )
    .map_err(io::Error::from)
}

/// Makes `root`, a mount point, the root of this process's mount namespace and detaches the old one with
/// everything below it. The working directory is the new root afterwards.
///
/// Old and new root share one path for a moment, which saves a directory for the old one
/// (pivot_root(2), "pivot_root(".", ".")").
pub(crate) fn pivot(root: BorrowedFd<'_>) -> io::Result<()> {
    rustix::process::fchdir(root)?;
    rustix::process::pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    rustix::process::chdir("/")?;
    Ok(())
}

/// Makes `root` the root and working directory of this process alone.
pub(crate) fn change_root(root: BorrowedFd<'_>) -> io::Result<()> {
    rustix::process::fchdir(root)?;
    rustix::process::chroot(".")?;
    Ok(())
}

/// Detaches whatever is mounted at `path`; `Ok` when nothing is.
pub(crate) fn detach(path: &Path) -> io::Result<()> {
    match unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
        Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The mount that `fd` is on, when no mount made below it would be seen elsewhere: it is in no peer group
/// (mount_namespaces(7), "shared:" of proc_pid_mountinfo(5)). `None`: it is shared. Looks at the mount
/// namespace of the caller.
pub(crate) fn unshared_mount(fd: BorrowedFd<'_>) -> io::Result<Option<PathBuf>> {
    let id = id(fd)?;
    let table = std::fs::read_to_string("/proc/self/mountinfo")?;
    Ok(unshared(&table, id))
}

/// The number of the mount that the object behind `fd` was reached by (statx(2), `STATX_MNT_ID`, Linux 5.8).
pub(crate) fn id(fd: BorrowedFd<'_>) -> io::Result<u64> {
    let found = rustix::fs::statx(
        fd,
        "",
        rustix::fs::AtFlags::EMPTY_PATH,
        rustix::fs::StatxFlags::MNT_ID,
    )?;
    Ok(found.stx_mnt_id)
}

fn unshared(table: &str, id: u64) -> Option<PathBuf> {
    table.lines().find_map(|line| {
        let mut fields = line.split(' ');
        if fields.next()?.parse() != Ok(id) {
            return None;
        }
        let point = fields.nth(3)?;
        // Optional fields stand between the options and a hyphen.
        let shared = fields
            .skip(1)
            .take_while(|field| *field != "-")
            .any(|field| field.starts_with("shared:"));
        (!shared).then(|| PathBuf::from(point))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peer_groups_are_read_from_the_table() {
        let table = "21 1 0:5 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
                     22 21 0:6 / /p rw - tmpfs tmpfs rw\n\
                     23 21 0:7 / /s rw master:1 - tmpfs shared:9 rw\n\
                     24 21 0:7 / /b rw master:1 shared:3 - tmpfs tmpfs rw\n";
        let found = [21, 22, 23, 24].map(|id| unshared(table, id));
        let path = |path: &str| Some(PathBuf::from(path));
        assert_eq!(found, [None, path("/p"), path("/s"), None]);
    }
}
