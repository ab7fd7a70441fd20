//! The life of a child between clone and exec.
//!
//! A child is a copy of the shim, which has one thread, so it may use everything; it still uses prepared
//! data where it can, because every page it writes is a page to copy. It reports through
//! [`report::Reporter`], ends by exec or `_exit`, and never returns into the shim's code.
//!
//! * [`container`] — the first process of a container, in new mount and (mostly) pid namespaces: joins the
//!   sandbox's namespaces and its cgroup, builds the root ([`rootfs`], [`overlay`],
//!   [`device`], [`image_volume`]), looks up its user ([`user`]), gives up privileges and executes ([`program`]).
//! * [`session`] — an exec session: joins all namespaces of a running container, then the same end. [`order`] is
//!   the same as a list of system calls, for commands that are only asked how they end.
//! * [`pause`] — sets host name and sysctls in the new namespaces, leaves every file system behind, and
//!   becomes pause.
//!
//! With a user namespace of the pod's own (`hostUsers: false`) pause owns it, and with it network, ipc and host
//! name. A child builds the root with the power of the machine, on mounts that show the ids of the pod, and
//! enters the namespace last; its mounts are then copied into one that the pod's root owns, where they are
//! locked. The pid namespace of a container stays the machine's, so /proc cannot be mounted anew inside.
//!
//! Order matters and is the security of it: groups and keyring first, user lookup after the root is the
//! container's own, working directory after that, privileges last, descriptors closed at the very end.

mod device;
mod image_volume;
mod main;
mod order;
mod overlay;
mod program;
mod report;
mod rootfs;
mod user;

pub(super) use main::{Pause, Plan, Process, Session, container, empty_root, pause, session};
pub(super) use order::{descriptors, order, owner};
pub(super) use program::{c_string, path_of};
pub(super) use report::{Reports, Told, channel};
pub(super) use rootfs::{image, open_host};

/// Where the kernel's control groups are mounted on every system.
pub(super) const CGROUP_ROOT: &str = "/sys/fs/cgroup";
