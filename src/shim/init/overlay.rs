//! The layers of the image below a writable directory.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Gid, Mode, Uid, chownat, mkdirat};

use super::rootfs::open_host;
use crate::linux::mount::{self, Attributes, Context, Propagation};
use crate::linux::path::Links;
use crate::shim::fault::At;
use crate::wire::{Fault, RootFs, Stage};

/// A layer comes from an image: what its extended attributes say about other paths is not believed.
const DISTRUST: [(&str, &str); 2] = [("metacopy", "off"), ("redirect_dir", "nofollow")];

const WHAT: &str = "mount the overlay of the image's layers";

/// The layers below `upper` in the scratch directory, which is made, as a detached mount.
/// Its root belongs to `owner`.
pub(super) fn mount(rootfs: &RootFs, owner: u32) -> Result<OwnedFd, Fault> {
    let scratch = open_host(&rootfs.scratch, Links::Refuse).at(
        Stage::Rootfs,
        format_args!("open {}", rootfs.scratch.display()),
    )?;
    for name in ["upper", "work"] {
        match mkdirat(&scratch, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => {
                return Err(error).at(
                    Stage::Rootfs,
                    format_args!("make {}/{name}", rootfs.scratch.display()),
                );
            }
        }
    }
    if owner != 0 {
        let (user, group) = (Uid::from_raw(owner), Gid::from_raw(owner));
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        chownat(&scratch, "upper", Some(user), Some(group), flags).at(
            Stage::Rootfs,
            format_args!("give {}/upper away", rootfs.scratch.display()),
        )?;
    }
    let context = Context::open("overlay").at(Stage::Rootfs, "open overlay")?;
    one_by_one(&context, rootfs).or_else(|fault| match context.complaint() {
        // Before Linux 6.7 there is no `lowerdir+`. Whether that is noticed when it is set or only when
        // the file system is made, and whether the context says so, differs.
        None if fault.errno == libc::EINVAL => at_once(rootfs),
        Some(text) if text.contains("lowerdir+") => at_once(rootfs),
        Some(text) => Err(Fault {
            message: format!("{}: {text}", fault.message),
            ..fault
        }),
        None => Err(fault),
    })
}

/// The layers of an image volume as a detached mount that nobody can write to or execute from.
pub(super) fn read_only(layers: &[PathBuf]) -> Result<OwnedFd, Fault> {
    let attributes = Attributes::READ_ONLY
        .with(Attributes::NO_EXEC)
        .with(Attributes::NO_SUID)
        .with(Attributes::NO_DEV);
    // Overlay wants two layers at least when none of them can be written.
    if let [only] = layers {
        let copied = mount::copy(hold(only)?.as_fd(), false).at(Stage::Mount, WHAT)?;
        mount::change(copied.as_fd(), attributes, Propagation::Private, false)
            .at(Stage::Mount, WHAT)?;
        return Ok(copied);
    }
    let context = Context::open("overlay").at(Stage::Mount, "open overlay")?;
    for (key, value) in DISTRUST {
        context
            .set(key, value)
            .at(Stage::Mount, format_args!("overlay option {key}={value}"))?;
    }
    let held = layers
        .iter()
        .map(|layer| hold(layer))
        .collect::<Result<Vec<_>, _>>()?;
    let names: Vec<String> = held.iter().map(by_descriptor).collect();
    let mut set = names
        .iter()
        .try_for_each(|layer| context.set("lowerdir+", layer.as_str()));
    if set.is_err() {
        // Linux before 6.7; one value then has to hold all layers, which is enough for 14 of them.
        set = context.set("lowerdir", names.join(":"));
    }
    set.at(Stage::Mount, "overlay layers of an image volume")?;
    context.mount(attributes).at(Stage::Mount, WHAT)
}

fn one_by_one(context: &Context, rootfs: &RootFs) -> Result<OwnedFd, Fault> {
    for (key, value) in DISTRUST {
        context
            .set(key, value)
            .at(Stage::Rootfs, format_args!("overlay option {key}={value}"))?;
    }
    // The writable layer is lost with the container anyway: nothing has to be synced when it goes.
    // Kernels before 5.10 do not know this and only lose time.
    let _ = context.flag("volatile");
    let (layers, held) = short_paths(&rootfs.layers)?;
    for layer in &layers {
        context
            .set("lowerdir+", layer.as_os_str().as_bytes())
            .at(Stage::Rootfs, "overlay layers")?;
    }
    let scratch = [rootfs.scratch.join("upper"), rootfs.scratch.join("work")];
    let (scratch, also_held) = short_paths(&scratch)?;
    for (key, path) in ["upperdir", "workdir"].into_iter().zip(&scratch) {
        context.set(key, path.as_os_str().as_bytes()).at(
            Stage::Rootfs,
            format_args!("overlay {key} {}", path.display()),
        )?;
    }
    let root = context.mount(Attributes::NONE).at(Stage::Rootfs, WHAT);
    drop((held, also_held));
    root
}

/// The same through mount(2), which takes a page of options where fsconfig(2) takes 255 bytes for all
/// layers together. Each is named by its descriptor: that is short enough for 200 layers and needs no
/// escapes for ':' and ','.
fn at_once(rootfs: &RootFs) -> Result<OwnedFd, Fault> {
    let held = rootfs
        .layers
        .iter()
        .map(|layer| hold(layer))
        .collect::<Result<Vec<_>, _>>()?;
    let layers: Vec<String> = held.iter().map(by_descriptor).collect();
    let (upper, work) = (
        hold(&rootfs.scratch.join("upper"))?,
        hold(&rootfs.scratch.join("work"))?,
    );
    let distrust = DISTRUST.map(|(key, value)| format!("{key}={value}"));
    let options = format!(
        "{},lowerdir={},upperdir={},workdir={}",
        distrust.join(","),
        layers.join(":"),
        by_descriptor(&upper),
        by_descriptor(&work)
    );
    // Without a place it cannot be made; it is detached again below.
    let place = &rootfs.scratch;
    mount::with_options("overlay", place, &format!("volatile,{options}"))
        .or_else(|_| mount::with_options("overlay", place, &options))
        .at(Stage::Rootfs, WHAT)?;
    let root = open_host(place, Links::Refuse).and_then(|fd| mount::copy(fd.as_fd(), false));
    mount::detach(place).at(Stage::Rootfs, WHAT)?;
    root.at(Stage::Rootfs, WHAT)
}

/// The kernel takes at most 255 bytes as one value (fsconfig(2)); a longer path is named through its
/// descriptor, which has to stay open until the mount is made.
fn short_paths(paths: &[PathBuf]) -> Result<(Vec<PathBuf>, Vec<OwnedFd>), Fault> {
    let mut held = Vec::new();
    let mut short = Vec::new();
    for path in paths {
        if path.as_os_str().len() < 200 {
            short.push(path.clone());
        } else {
            let fd = hold(path)?;
            short.push(by_descriptor(&fd).into());
            held.push(fd);
        }
    }
    Ok((short, held))
}

fn hold(path: &Path) -> Result<OwnedFd, Fault> {
    open_host(path, Links::Refuse).at(Stage::Rootfs, format_args!("open {}", path.display()))
}

fn by_descriptor(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}
