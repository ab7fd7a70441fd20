//! The system-call filter of containers: the profile `RuntimeDefault`, and profiles of the user.
//!
//! Input: the capabilities the container is granted. Output: a classic BPF program (seccomp(2)), which
//! the container's init installs right before it runs the container's command.
//!
//! What the program answers:
//! * a system call on the list, or unlocked by a granted capability: allowed, some only with certain
//!   arguments (`clone` without new namespaces, `personality` without changing the address space,
//!   `socket` but not of AF_VSOCK, `ioctl` but not TIOCSTI and TIOCLINUX);
//! * one that is known and not on the list: EPERM;
//! * `clone3` without CAP_SYS_ADMIN, whose flags a filter cannot see, and every number that this build
//!   does not know: ENOSYS, so that C libraries fall back to what they used before;
//! * x32 calls on x86_64: ENOSYS, as from a kernel without x32;
//! * calls of another architecture (32-bit programs): the process is killed with SIGSYS. 32-bit programs
//!   therefore do not run under this profile; they need `seccompProfile: Unconfined`.
//!
//! The decision is a balanced search over ranges of numbers with the same answer, because the kernel
//! runs a filter once per number when it is installed, and a list of 400 comparisons made that a
//! measurable part of a container's start.
//!
//! `custom` compiles the rules of a profile from a file (`Localhost`) with the same search.
//!
//! Deliberately absent: user notification, filters for 32-bit programs.

mod custom;
mod install;
mod profile;
mod program;

#[cfg(test)]
mod tests;

pub(crate) use custom::{Action, Argument, Comparison, Profile, Rule, compile};
pub(crate) use install::{SeccompError, install};
pub(crate) use program::{Program, compile_default};
