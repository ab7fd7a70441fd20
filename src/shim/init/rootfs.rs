//! The container's file tree: the image's layers, kernel file systems, the spec's mounts, masks.
//!
//! Every mount point is opened beneath the root and the mount is attached to that descriptor. Nothing of
//! the container runs yet, but a sibling may share volumes with it and swap a directory for a link at any
//! moment (CVE-2021-30465), so no path is looked up twice.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, fstatfs, mkdirat, openat};

use super::Plan;
use super::device::{self, Devices};
use super::image_volume::{self, Volume};
use super::overlay;
use crate::linux::mount::{self, Attributes, Context, Propagation};
use crate::linux::path::{self, Links};
use crate::linux::userns;
use crate::shim::fault::{At, refuse};
use crate::wire::{self, ContainerSpec, Fault, MountSource, Stage};

/// `PROC_SUPER_MAGIC` and `SYSFS_MAGIC`, statfs(2).
const PROC_MAGIC: u64 = 0x9fa0;

const NO_NODES: Attributes = Attributes::NO_SUID
    .with(Attributes::NO_DEV)
    .with(Attributes::NO_EXEC);

/// Builds the tree in this process's mount namespace, makes it the root, and returns a descriptor of it.
pub(super) fn build(plan: &Plan<'_>) -> Result<OwnedFd, Fault> {
    if let Some(namespace) = plan.process.user_namespace {
        map_layers(plan.spec, namespace)?;
    }
    let root = overlay::mount(&plan.spec.rootfs, plan.first_id)?;
    let scratch = &plan.spec.rootfs.scratch;
    let place = open_host(scratch, Links::Refuse)
        .at(Stage::Rootfs, format_args!("open {}", scratch.display()))?;
    // What stands beside the overlay's own directories is reached by this once the root hides them.
    let below = place
        .try_clone()
        .at(Stage::Rootfs, "keep the scratch directory")?;
    mount::attach(root.as_fd(), place.as_fd()).at(
        Stage::Rootfs,
        format_args!("mount the root on {}", scratch.display()),
    )?;
    drop(place);
    let volumes = image_volume::prepare(
        &plan.spec.image_volumes,
        root.as_fd(),
        below.as_fd(),
        plan.first_id,
    )?;
    if plan.process.user_namespace.is_some() {
        // Mount points and devices that are made from here on belong to the root of the pod.
        userns::make_files_as(plan.first_id).at(Stage::User, "make files as the pod's root")?;
    }

    proc(root.as_fd())?;
    let devices = device::mount_dev(plan, root.as_fd())?;
    sys(plan, root.as_fd())?;
    let mut own = vec![root.as_fd(), devices.null.as_fd()];
    let mut memory = Vec::new();
    let mut volumes = parents_first(volumes).into_iter().peekable();
    for (number, wanted) in plan.spec.mounts.iter().enumerate() {
        let depth = image_volume::depth(&wanted.destination);
        while let Some(volume) = volumes.next_if(|volume| volume.depth() <= depth) {
            of_image(&volume, root.as_fd())?;
        }
        let propagating = plan.propagating.get(number).and_then(Option::as_ref);
        let mounted = volume(plan, root.as_fd(), wanted, propagating)?;
        if matches!(wanted.source, MountSource::SharedTmpfs { .. }) {
            memory.push(mounted);
        }
    }
    volumes.try_for_each(|volume| of_image(&volume, root.as_fd()))?;
    own.extend(memory.iter().map(AsFd::as_fd));
    for wanted in &plan.spec.devices {
        device::block_node(plan, root.as_fd(), wanted, &own)?;
    }
    drop(memory);
    mask(plan, root.as_fd(), &devices)?;
    make_read_only(plan, root.as_fd())?;
    if plan.spec.rootfs.readonly {
        mount::change(
            root.as_fd(),
            Attributes::READ_ONLY,
            Propagation::Unchanged,
            false,
        )
        .at(Stage::Rootfs, "make the root read-only")?;
    }
    mount::pivot(root.as_fd()).at(Stage::PivotRoot, "change the root")?;
    Ok(root)
}

fn parents_first(mut volumes: Vec<Volume>) -> Vec<Volume> {
    volumes.sort_by_key(Volume::depth);
    volumes
}

/// The ids of such a volume are those of the root beside it, so it is not mapped.
fn of_image(volume: &Volume, root: BorrowedFd<'_>) -> Result<(), Fault> {
    let what = format!("mount the image's volume {}", volume.destination());
    let destination = Path::new(volume.destination());
    let point =
        path::ensure_directory(root, destination, 0o755, Links::InRoot).at(Stage::Mount, &what)?;
    check_destination(root, point.as_fd(), &what)?;
    let mounted = volume.mount().at(Stage::Mount, &what)?;
    mount::change(
        mounted.as_fd(),
        Attributes::NONE,
        Propagation::Private,
        false,
    )
    .at(Stage::Mount, &what)?;
    mount::attach(mounted.as_fd(), point.as_fd()).at(Stage::Mount, &what)
}

/// Shows the layers of all images with the owners that they have inside, at the places where they are. Only
/// this mount namespace sees it. Overlay has no id maps of its own; its layers may.
fn map_layers(spec: &ContainerSpec, namespace: BorrowedFd<'_>) -> Result<(), Fault> {
    let mut layers: BTreeSet<&PathBuf> = spec.rootfs.layers.iter().collect();
    for wanted in &spec.mounts {
        match &wanted.source {
            MountSource::Image { layers: more, .. } => layers.extend(more),
            MountSource::Bind { .. } | MountSource::SharedTmpfs { .. } => {}
        }
    }
    for layer in layers {
        let mapped = open_host(layer, Links::Refuse).and_then(|place| {
            let copied = mount::copy(place.as_fd(), false)?;
            mount::map_ids(copied.as_fd(), namespace)?;
            mount::attach(copied.as_fd(), place.as_fd())
        });
        mapped.at(
            Stage::Rootfs,
            format_args!("map the ids of {}", layer.display()),
        )?;
    }
    Ok(())
}

/// A path of the machine.
pub(in crate::shim) fn open_host(path: &Path, links: Links) -> std::io::Result<OwnedFd> {
    match links {
        Links::InRoot => openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .map_err(std::io::Error::from),
        Links::Refuse => path::open_straight(path, OFlags::PATH),
    }
}

/// The mount point of a kernel file system. A link there is the image's attempt to have it mounted
/// elsewhere (CVE-2019-19921, CVE-2023-27561).
pub(super) fn kernel_mount_point(root: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Fault> {
    path::ensure_directory(root, Path::new(name), 0o755, Links::Refuse)
        .at(Stage::Mount, format_args!("mount point /{name}"))
}

fn proc(root: BorrowedFd<'_>) -> Result<(), Fault> {
    let point = kernel_mount_point(root, "proc")?;
    let made = Context::open("proc").and_then(|context| context.mount(NO_NODES));
    attach(made, &point, "/proc")
}

fn sys(plan: &Plan<'_>, root: BorrowedFd<'_>) -> Result<(), Fault> {
    let point = kernel_mount_point(root, "sys")?;
    let (access, attributes) = if plan.spec.privileged {
        (Attributes::NONE, NO_NODES)
    } else {
        (Attributes::READ_ONLY, NO_NODES.with(Attributes::READ_ONLY))
    };
    let made = Context::open("sysfs").and_then(|context| context.mount(attributes));
    attach(made, &point, "/sys")?;
    cgroups(plan, root, access)
}

/// The container's own group in every tree of the machine, at the places where the machine has them; the
/// whole trees for a privileged container, which stays in the machine's cgroup namespace.
fn cgroups(plan: &Plan<'_>, root: BorrowedFd<'_>, access: Attributes) -> Result<(), Fault> {
    const PLACE: &str = "sys/fs/cgroup";
    let Ok(point) = path::open(
        root,
        Path::new(PLACE),
        OFlags::PATH | OFlags::DIRECTORY,
        Links::Refuse,
    ) else {
        // A kernel without control groups has no such directory in sysfs.
        return Ok(());
    };
    let attributes = NO_NODES.with(access);
    let host = Path::new(super::CGROUP_ROOT);
    if plan.spec.privileged {
        let copied = open_host(host, Links::InRoot).and_then(|fd| mount::copy(fd.as_fd(), true));
        return attach(copied, &point, "/sys/fs/cgroup");
    }
    if plan.cgroup_is_unified {
        let own = host.join(plan.cgroup.path());
        return attach(bind(&own, attributes), &point, "/sys/fs/cgroup");
    }
    let context = Context::open("tmpfs").at(Stage::Mount, "open tmpfs")?;
    let tmpfs = context
        .set("mode", "755")
        .and_then(|()| context.set("size", "4k"))
        .and_then(|()| context.mount(NO_NODES))
        .at(Stage::Mount, "mount tmpfs for /sys/fs/cgroup")?;
    mount::attach(tmpfs.as_fd(), point.as_fd()).at(Stage::Mount, "mount /sys/fs/cgroup")?;
    for entry in std::fs::read_dir(host).at(Stage::Mount, "list /sys/fs/cgroup")? {
        let entry = entry.at(Stage::Mount, "list /sys/fs/cgroup")?;
        let name = entry.file_name();
        let kind = entry.file_type().at(Stage::Mount, "list /sys/fs/cgroup")?;
        if kind.is_symlink() {
            // `cpu -> cpu,cpuacct` where controllers share a tree.
            let target = std::fs::read_link(entry.path())
                .at(Stage::Mount, "read a link in /sys/fs/cgroup")?;
            rustix::fs::symlinkat(&target, &tmpfs, &name)
                .at(Stage::Mount, "link in /sys/fs/cgroup")?;
            continue;
        }
        let own = entry.path().join(plan.cgroup.path());
        let Ok(mounted) = bind(&own, attributes) else {
            // A tree the container has no group in limits nothing.
            continue;
        };
        mkdirat(&tmpfs, &name, Mode::from_raw_mode(0o755))
            .at(Stage::Mount, "mount point in /sys/fs/cgroup")?;
        mount::attach_at(mounted.as_fd(), tmpfs.as_fd(), &name)
            .at(Stage::Mount, "mount a group in /sys/fs/cgroup")?;
    }
    mount::change(tmpfs.as_fd(), access, Propagation::Unchanged, false)
        .at(Stage::Mount, "make /sys/fs/cgroup read-only")
}

/// A directory of the machine's control groups.
fn bind(source: &Path, attributes: Attributes) -> std::io::Result<OwnedFd> {
    let copied = mount::copy_path(source)?;
    mount::change(copied.as_fd(), attributes, Propagation::Private, false)?;
    Ok(copied)
}

pub(super) fn attach(
    mounted: std::io::Result<OwnedFd>,
    point: &OwnedFd,
    name: &str,
) -> Result<(), Fault> {
    mounted
        .and_then(|mounted| mount::attach(mounted.as_fd(), point.as_fd()))
        .at(Stage::Mount, format_args!("mount {name}"))
}

fn volume(
    plan: &Plan<'_>,
    root: BorrowedFd<'_>,
    wanted: &wire::Mount,
    propagating: Option<&OwnedFd>,
) -> Result<OwnedFd, Fault> {
    let (source, links) = match &wanted.source {
        MountSource::Image { layers, .. } => {
            (layers.first().cloned().unwrap_or_default(), Links::Refuse)
        }
        MountSource::Bind {
            path,
            follow_symlinks,
        } => {
            let links = if *follow_symlinks {
                Links::InRoot
            } else {
                Links::Refuse
            };
            (path.clone(), links)
        }
        MountSource::SharedTmpfs { key, .. } => (plan.shared_tmpfs(key), Links::Refuse),
    };
    let what = format!("mount {} on {}", source.display(), wanted.destination);
    let copied = match (propagating, &wanted.source) {
        (_, MountSource::Image { layers, sub_path }) => image(layers, sub_path),
        (Some(copied), _) => copied.try_clone(),
        (None, _) => open_host(&source, links)
            .and_then(|fd| beneath(fd, &wanted.source))
            .and_then(|fd| mount::copy(fd.as_fd(), true)),
    }
    .at(Stage::Mount, &what)?;
    let is_directory = is_directory(copied.as_fd()).at(Stage::Mount, &what)?;

    let propagation = match wanted.propagation {
        wire::Propagation::Private => Propagation::Private,
        wire::Propagation::HostToContainer => Propagation::Slave,
        wire::Propagation::Bidirectional => Propagation::Unchanged,
    };
    mount::change(copied.as_fd(), Attributes::NONE, propagation, true).at(Stage::Mount, &what)?;
    if wanted.readonly || wanted.recursive_readonly {
        mount::change(
            copied.as_fd(),
            Attributes::READ_ONLY,
            Propagation::Unchanged,
            wanted.recursive_readonly,
        )
        .at(Stage::Mount, &what)?;
    }

    if let (Some(namespace), MountSource::Bind { .. } | MountSource::SharedTmpfs { .. }) =
        (plan.process.user_namespace, &wanted.source)
    {
        mount::map_ids(copied.as_fd(), namespace).at(
            Stage::Mount,
            format_args!("{what}: map its ids, which not every file system can"),
        )?;
    }

    let destination = Path::new(&wanted.destination);
    let point = if is_directory {
        path::ensure_directory(root, destination, 0o755, Links::InRoot)
    } else {
        path::ensure_file(root, destination, 0o644, Links::InRoot)
    }
    .at(Stage::Mount, &what)?;
    check_destination(root, point.as_fd(), &what)?;
    mount::attach(copied.as_fd(), point.as_fd()).at(Stage::Mount, &what)?;
    Ok(copied)
}

/// The `subPath` of a memory volume, looked up at the last moment and mounted through its descriptor: a
/// sibling that swaps it for a link out of the volume makes this fail (CVE-2021-25741).
fn beneath(volume: OwnedFd, source: &MountSource) -> std::io::Result<OwnedFd> {
    match source {
        MountSource::SharedTmpfs { sub_path, .. } if !sub_path.is_empty() => Ok(
            path::open_beneath(volume.as_fd(), Path::new(sub_path), OFlags::PATH)?,
        ),
        MountSource::SharedTmpfs { .. } | MountSource::Bind { .. } | MountSource::Image { .. } => {
            Ok(volume)
        }
    }
}

/// The files of an image, or those below a directory of it, as a detached mount.
pub(in crate::shim) fn image(layers: &[PathBuf], sub_path: &str) -> std::io::Result<OwnedFd> {
    let whole = overlay::read_only(layers).map_err(|fault| std::io::Error::other(fault.message))?;
    if sub_path.is_empty() {
        return Ok(whole);
    }
    let part = path::open_beneath(whole.as_fd(), Path::new(sub_path), OFlags::PATH)?;
    mount::copy(part.as_fd(), false)
}

/// Whatever way the path took, it must not end on the root itself or inside `/proc` (CVE-2019-16884,
/// CVE-2025-52881: writes meant for procfs would go to a file of the container's choice).
fn check_destination(root: BorrowedFd<'_>, point: BorrowedFd<'_>, what: &str) -> Result<(), Fault> {
    let magic = fstatfs(point)
        .at(Stage::Mount, what)?
        .f_type
        .cast_unsigned();
    if magic == PROC_MAGIC {
        return Err(refuse(Stage::Mount, format!("{what}: it is inside /proc")));
    }
    let (own, top) = (
        fstat(point).at(Stage::Mount, what)?,
        fstat(root).at(Stage::Mount, what)?,
    );
    if own.st_dev == top.st_dev && own.st_ino == top.st_ino {
        return Err(refuse(Stage::Mount, format!("{what}: it is the root")));
    }
    Ok(())
}

fn is_directory(fd: BorrowedFd<'_>) -> rustix::io::Result<bool> {
    Ok(FileType::from_raw_mode(fstat(fd)?.st_mode) == FileType::Directory)
}

/// Opens a path to be covered; `None` when there is none.
fn open_existing(root: BorrowedFd<'_>, path: &str) -> Result<Option<OwnedFd>, Fault> {
    match path::open(root, Path::new(path), OFlags::PATH, Links::InRoot) {
        Ok(fd) => Ok(Some(fd)),
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error).at(Stage::Mount, format_args!("open {path}")),
    }
}

/// Files are covered with our own `/dev/null`, directories with one empty read-only tmpfs that all of
/// them share.
fn mask(plan: &Plan<'_>, root: BorrowedFd<'_>, devices: &Devices) -> Result<(), Fault> {
    let mut empty: Option<OwnedFd> = None;
    for path in &plan.spec.masked_paths {
        let Some(point) = open_existing(root, path)? else {
            continue;
        };
        let what = format!("mask {path}");
        if !is_directory(point.as_fd()).at(Stage::Mount, &what)? {
            let null = mount::copy(devices.null.as_fd(), false).at(Stage::Mount, &what)?;
            mount::attach(null.as_fd(), point.as_fd()).at(Stage::Mount, &what)?;
            continue;
        }
        let cover = match &empty {
            Some(first) => mount::copy(first.as_fd(), false).at(Stage::Mount, &what)?,
            None => Context::open("tmpfs")
                .and_then(|context| {
                    context.set("size", "0")?;
                    context.set("nr_inodes", "1")?;
                    context.mount(NO_NODES.with(Attributes::READ_ONLY))
                })
                .at(Stage::Mount, &what)?,
        };
        mount::attach(cover.as_fd(), point.as_fd()).at(Stage::Mount, &what)?;
        empty.get_or_insert(cover);
    }
    Ok(())
}

fn make_read_only(plan: &Plan<'_>, root: BorrowedFd<'_>) -> Result<(), Fault> {
    for path in &plan.spec.readonly_paths {
        let Some(point) = open_existing(root, path)? else {
            continue;
        };
        let what = format!("make {path} read-only");
        let copied = mount::copy(point.as_fd(), true).at(Stage::Mount, &what)?;
        mount::change(
            copied.as_fd(),
            Attributes::READ_ONLY,
            Propagation::Unchanged,
            true,
        )
        .at(Stage::Mount, &what)?;
        mount::attach(copied.as_fd(), point.as_fd()).at(Stage::Mount, &what)?;
    }
    Ok(())
}
