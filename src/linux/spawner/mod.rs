//! A small process that starts commands in containers for the shim: a static program of two kilobytes, compiled from
//! `spawner.rs` by pause's `build.rs` and carried inside this binary.
//!
//! A fork of the shim copies the page tables of all its memory, writes to copies of it on the way to exec, and gives
//! all of that back there: of a command that only answers whether a container is well this was a third. The spawner
//! has a handful of pages. An [`Order`] is a list of system calls with the memory their arguments point to, composed by
//! the shim and carried out by the child as it stands, so that nothing is searched, allocated or decided between
//! fork and exec. The order comes as one message, with its descriptors beside it, to an address that the shim knows.
//!
//! The child is made with CLONE_PARENT: it is the shim's, which reaps it. Its number, and how far it came, stands in
//! a page that both share ([`Started`]); nobody is woken to be told.
//!
//! Not vfork(2), which would copy nothing at all: a process of the container could stop the child and with it the
//! shim, and a kill of the whole group for lack of memory (`memory.oom.group`) ends every process that shares the
//! memory of one in the group.
//!
//! The spawner is outside of all namespaces and groups of containers, is not dumpable, runs from a sealed file, and
//! ends when the shim closes its socket or dies.

mod handle;
mod image;
#[expect(dead_code, reason = "the spawner compiles it too and uses the rest")]
mod order;

pub(crate) use handle::{Progress, Spawner, Started};
pub(crate) use image::{Image, Order};
