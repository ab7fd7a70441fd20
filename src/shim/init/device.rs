//! `/dev` of a container: an own tmpfs, filled before it is attached, so that nothing an image has at
//! `/dev` is ever looked at (CVE-2025-31133, CVE-2026-41579).

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    CWD, FileType, Gid, Mode, OFlags, Uid, chownat, fstat, makedev, mkdirat, mknodat, openat,
    symlinkat,
};

use super::Plan;
use super::rootfs::{kernel_mount_point, open_host};
use crate::linux::mount::{self, Attributes, Context, Propagation};
use crate::linux::path::{self, Links};
use crate::shim::fault::{At, refuse};
use crate::wire::{BlockDevice, Fault, Stage};

pub(super) struct Devices {
    /// Our own null node, verified.
    pub(super) null: OwnedFd,
}

const NODES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

const LINKS: [(&str, &str); 6] = [
    ("pts/ptmx", "ptmx"),
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("/proc/kcore", "core"),
];

pub(super) fn mount_dev(plan: &Plan<'_>, root: BorrowedFd<'_>) -> Result<Devices, Fault> {
    let point = kernel_mount_point(root, "dev")?;
    let context = Context::open("tmpfs").at(Stage::Mount, "open tmpfs for /dev")?;
    let dev = context
        .set("mode", "755")
        .and_then(|()| context.set("size", "65536k"))
        .and_then(|()| context.mount(Attributes::NO_SUID.with(Attributes::NO_EXEC)))
        .at(Stage::Mount, "mount tmpfs for /dev")?;
    for (name, major, minor) in NODES {
        let number = makedev(major, minor);
        mknodat(
            &dev,
            name,
            FileType::CharacterDevice,
            Mode::from_raw_mode(0o666),
            number,
        )
        .at(Stage::Device, format_args!("make /dev/{name}"))?;
    }
    for (target, name) in LINKS {
        symlinkat(target, &dev, name).at(Stage::Device, format_args!("link /dev/{name}"))?;
    }
    for name in ["pts", "shm", "mqueue"] {
        mkdirat(&dev, name, Mode::from_raw_mode(0o755))
            .at(Stage::Device, format_args!("make /dev/{name}"))?;
    }
    if plan.spec.privileged {
        copy_host_nodes(&dev)?;
    }
    mount::attach(dev.as_fd(), point.as_fd()).at(Stage::Mount, "mount /dev")?;

    // Nobody else can reach this tmpfs yet.
    let attach = |mounted: std::io::Result<OwnedFd>, name: &str| {
        mounted
            .and_then(|mounted| mount::attach_at(mounted.as_fd(), dev.as_fd(), OsStr::new(name)))
            .at(Stage::Mount, format_args!("mount /dev/{name}"))
    };
    mount::attach_at(plan.devpts, dev.as_fd(), OsStr::new("pts"))
        .at(Stage::Mount, "mount /dev/pts")?;
    let shm = open_host(plan.shm, Links::Refuse).and_then(|fd| {
        let copied = mount::copy(fd.as_fd(), false)?;
        mount::change(
            copied.as_fd(),
            Attributes::NONE,
            Propagation::Private,
            false,
        )?;
        Ok(copied)
    });
    attach(shm, "shm")?;
    let queue = Context::open("mqueue").and_then(|context| {
        context.mount(
            Attributes::NO_SUID
                .with(Attributes::NO_DEV)
                .with(Attributes::NO_EXEC),
        )
    });
    attach(queue, "mqueue")?;
    if let Some(slave) = plan.terminal {
        console(dev.as_fd(), slave)?;
    }

    let null = path::open(dev.as_fd(), Path::new("null"), OFlags::PATH, Links::Refuse)
        .at(Stage::Device, "open /dev/null")?;
    check_null(null.as_fd())?;
    Ok(Devices { null })
}

/// `/dev/console` is the container's terminal, bound by its descriptor (CVE-2025-52565).
fn console(dev: BorrowedFd<'_>, slave: BorrowedFd<'_>) -> Result<(), Fault> {
    let point = path::ensure_file(dev, Path::new("console"), 0o620, Links::Refuse)
        .at(Stage::Terminal, "make /dev/console")?;
    mount::copy(slave, false)
        .and_then(|copied| mount::attach(copied.as_fd(), point.as_fd()))
        .at(Stage::Terminal, "mount /dev/console")
}

fn check_null(null: BorrowedFd<'_>) -> Result<(), Fault> {
    let stat = fstat(null).at(Stage::Device, "check /dev/null")?;
    let is_device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
    if is_device && stat.st_rdev == makedev(1, 3) {
        Ok(())
    } else {
        Err(refuse(Stage::Device, "/dev/null is not the null device"))
    }
}

/// The node of a volume, made in a directory that is opened beneath the root, once. Only in mounts
/// that end with the pod (`own`): elsewhere it would stay on the machine, or in a volume that others mount.
pub(super) fn block_node(
    plan: &Plan<'_>,
    root: BorrowedFd<'_>,
    wanted: &BlockDevice,
    own: &[BorrowedFd<'_>],
) -> Result<(), Fault> {
    let what = format!("make the device {}", wanted.path);
    let path = Path::new(&wanted.path);
    let Some(name) = path.file_name() else {
        return Err(refuse(Stage::Device, format!("{what}: it has no name")));
    };
    let parent = path.parent().unwrap_or(Path::new(""));
    let directory =
        path::ensure_directory(root, parent, 0o755, Links::InRoot).at(Stage::Device, &what)?;
    // mknodat wants a descriptor that is not O_PATH only on paper; reopening keeps to the manual.
    let directory = openat(
        &directory,
        ".",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .at(Stage::Device, &what)?;
    let id = mount::id(directory.as_fd()).at(Stage::Device, &what)?;
    if !own
        .iter()
        .any(|own| mount::id(*own).is_ok_and(|own| own == id))
    {
        return Err(refuse(
            Stage::Device,
            format!(
                "{what}: it would stay behind in the volume that is mounted there; choose a devicePath outside of volumeMounts"
            ),
        ));
    }
    let number = makedev(wanted.major, wanted.minor);
    let mode = Mode::from_raw_mode(wanted.mode & 0o777);
    match mknodat(&directory, name, FileType::BlockDevice, mode, number) {
        Ok(()) => {}
        // Two volumes of one device, at one path by way of a link.
        Err(rustix::io::Errno::EXIST) if is_node(&directory, name, number) => return Ok(()),
        Err(error) => return Err(error).at(Stage::Device, &what),
    }
    if plan.process.user_namespace.is_none() {
        chownat(
            &directory,
            name,
            Some(Uid::from_raw(wanted.uid)),
            Some(Gid::from_raw(wanted.gid)),
            rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
        )
        .at(Stage::Device, &what)?;
    }
    Ok(())
}

fn is_node(directory: &OwnedFd, name: &OsStr, number: rustix::fs::Dev) -> bool {
    rustix::fs::statat(directory, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::BlockDevice && stat.st_rdev == number
    })
}

/// A privileged container sees every device node of the machine, at the same place.
fn copy_host_nodes(dev: &OwnedFd) -> Result<(), Fault> {
    let mut pending = vec![PathBuf::new()];
    while let Some(directory) = pending.pop() {
        let host = Path::new("/dev").join(&directory);
        let Ok(entries) = std::fs::read_dir(&host) else {
            continue;
        };
        for entry in entries.flatten() {
            let relative = directory.join(entry.file_name());
            let Ok(stat) =
                rustix::fs::statat(CWD, entry.path(), rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
            else {
                continue;
            };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory if !is_own(&relative) => pending.push(relative),
                kind @ (FileType::CharacterDevice | FileType::BlockDevice)
                    if !is_own(&relative) =>
                {
                    copy_node(dev, &relative, kind, &stat)?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// What a container gets of its own even when it is privileged.
fn is_own(relative: &Path) -> bool {
    let Some(name) = relative.iter().next().and_then(OsStr::to_str) else {
        return false;
    };
    ["pts", "shm", "mqueue", "fd", "ptmx", "console"].contains(&name)
        || NODES.iter().any(|(own, _, _)| *own == name)
}

fn copy_node(
    dev: &OwnedFd,
    relative: &Path,
    kind: FileType,
    stat: &rustix::fs::Stat,
) -> Result<(), Fault> {
    let what = format!("make /dev/{}", relative.display());
    let parent = relative.parent().unwrap_or(Path::new(""));
    let directory = path::ensure_directory(dev.as_fd(), parent, 0o755, Links::Refuse)
        .at(Stage::Device, &what)?;
    // mknodat wants a descriptor that is not O_PATH only on paper; reopening keeps to the manual.
    let directory = openat(
        &directory,
        ".",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .at(Stage::Device, &what)?;
    let name = relative.file_name().unwrap_or_default();
    let mode = Mode::from_raw_mode(stat.st_mode & 0o777);
    match mknodat(&directory, name, kind, mode, stat.st_rdev) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(error).at(Stage::Device, &what),
    }
    chownat(
        &directory,
        name,
        Some(Uid::from_raw(stat.st_uid)),
        Some(Gid::from_raw(stat.st_gid)),
        rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
    )
    .at(Stage::Device, &what)
}
