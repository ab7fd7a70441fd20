//! Control groups of both versions behind one set of types.
//!
//! * [`Hierarchy`] is where groups live: one cgroup2 tree, or a set of v1 trees (one per controller),
//!   or v1 trees beside a cgroup2 tree without controllers (hybrid). It is found at run time below a
//!   root directory that the caller names.
//! * [`Cgroup`] is one group in every tree of a hierarchy.
//! * [`OomWatch`] tells of OOM kills in a group.
//!
//! States of a group: made ([`Hierarchy::create_leaf`]), populated ([`Cgroup::add`], or clone3(2) with
//! [`Cgroup::unified_dir`] followed by [`Cgroup::join_v1`]), killed, removed. Every verb may be repeated.
//!
//! Notes: a controller that the machine does not offer is no error; what it would have limited comes
//! back as a line of text for the user.
//!
//! v1 trees used: cpu, cpuacct, memory, devices, hugetlb, pids, and freezer where no cgroup2
//! tree offers `cgroup.kill`. The others (blkio, net_cls, net_prio, perf_event, rdma, misc and named
//! ones) limit nothing here, and every tree costs a directory and a migration per container.
//!
//! Deliberately absent: names of quality-of-service classes, pods, the translation of resources into
//! [`Limits`], waiting for events.
//!
//! See Documentation/admin-guide/cgroup-v1/ and cgroup-v2.rst of the kernel.

mod devices;
mod error;
mod files;
mod group;
mod hierarchy;
mod limits;
mod oom;
mod tree;
mod v1;
mod v2;

#[cfg(test)]
mod tests;

pub(crate) use devices::{DEFAULT_DEVICES, DeviceRule, block_device};
pub(crate) use error::CgroupError;
pub(crate) use group::Cgroup;
pub(crate) use hierarchy::{Hierarchy, Version};
pub(crate) use limits::{Level, Limits};
pub(crate) use oom::OomWatch;
