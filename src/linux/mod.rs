//! Safe wrappers of kernel interfaces: the only room with `unsafe`.
//!
//! Inputs are plain values, borrowed descriptors and paths (roots such as `/sys/fs/cgroup` are
//! parameters); outputs are owned descriptors and plain values. One error enum per part; its variants
//! name the operation and the object.
//!
//! Invariants: every descriptor made here is close-on-exec and owned; every `unsafe` block holds one
//! operation and says why it is sound; nothing waits without a bound unless its documentation says so;
//! nothing starts a thread, because the shim forks.
//!
//! Deliberately absent: policy, Kubernetes types, the wire protocol, logging.

pub(crate) mod apparmor;
pub(crate) mod caps;
pub(crate) mod cgroup;
pub(crate) mod clone;
pub(crate) mod kmsg;
pub(crate) mod mount;
pub(crate) mod netlink;
pub(crate) mod ns;
pub(crate) mod path;
pub(crate) mod pause;
pub(crate) mod pidfd;
pub(crate) mod proc;
pub(crate) mod process;
pub(crate) mod pty;
pub(crate) mod seccomp;
pub(crate) mod signal;
pub(crate) mod spawner;
pub(crate) mod userns;
pub(crate) mod writeback;

#[cfg(test)]
pub(crate) mod fork_test;
