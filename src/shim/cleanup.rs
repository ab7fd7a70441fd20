//! What `__shim --cleanup` does for a sandbox whose shim is dead.

use std::io;
use std::path::Path;

use super::fault::At;
use super::init;
use super::sandbox::{remove_cgroups, remove_links};
use super::state_dir::StateDir;
use crate::linux::cgroup::Hierarchy;
use crate::linux::netlink::Netlink;
use crate::wire::{Cleanup, Fault, Stage};

/// Every step is done even if an earlier one failed; the first failure is told.
pub(super) fn run(what: &Cleanup) -> Result<(), Fault> {
    let levels: Vec<&str> = what.cgroup.iter().map(String::as_str).collect();
    let processes = Hierarchy::detect(Path::new(init::CGROUP_ROOT))
        .at(Stage::Cgroup, "find the control groups")
        .and_then(|hierarchy| remove_cgroups(&hierarchy, &levels));
    let links = remove_interface(what)
        .and_then(|()| remove_links(what.host_interface.as_deref(), what.bridge.as_deref()));
    let files = match StateDir::open(&what.directory) {
        Ok(directory) => directory.remove(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
    .at(
        Stage::State,
        format_args!("remove {}", what.directory.display()),
    );
    processes.and(links).and(files)
}

/// Here nobody waits for the 10 to 30 ms this takes, and it must not depend on a namespace that
/// something else may still hold.
fn remove_interface(what: &Cleanup) -> Result<(), Fault> {
    match &what.host_interface {
        Some(interface) => Netlink::open()
            .and_then(|mut netlink| netlink.delete_link(interface))
            .at(Stage::Network, format_args!("remove {interface}")),
        None => Ok(()),
    }
}
