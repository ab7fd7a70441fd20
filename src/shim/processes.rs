//! The processes of the pod: what is in the cgroups of pause and of the containers.

use std::collections::HashSet;
use std::path::Path;

use jiff::Timestamp;

use super::server::Shim;
use crate::base::{ContainerId, Pid};
use crate::linux::cgroup::Cgroup;
use crate::linux::process;
use crate::wire::{Namespace, NetworkStats, SandboxProcess, SandboxProcesses};

/// Processes told in one answer; more are only counted. Reading one takes some ten microseconds, and this one
/// thread also moves the output of the containers.
const MAX_PROCESSES: usize = 512;

const PROC: &str = "/proc";

impl Shim {
    /// Read anew for everybody who asks: nothing is collected while nobody does.
    pub(super) fn processes(&self) -> SandboxProcesses {
        let mut found = SandboxProcesses {
            at: Timestamp::now(),
            total: 0,
            processes: Vec::new(),
        };
        if let Some(pause) = &self.sandbox.pause {
            found.add(None, &[pause.pid]);
        }
        for container in &self.containers {
            let Some(running) = &container.running else {
                continue;
            };
            let pids = with_zombies(&running.cgroup);
            found.add(Some(&container.state.spec.id), &pids);
        }
        found
    }

    /// `None` in the machine's network, and once pause is gone.
    pub(super) fn network_stats(&self) -> Option<NetworkStats> {
        let is_own = self.sandbox.spec.namespaces.network == Namespace::Sandbox;
        let pause = self.sandbox.pause.as_ref().filter(|_| is_own)?;
        let (received, sent) = process::network_bytes(Path::new(PROC), pause.pid).ok()?;
        Some(NetworkStats { received, sent })
    }
}

impl SandboxProcesses {
    fn add(&mut self, container: Option<&ContainerId>, pids: &[Pid]) {
        for &pid in pids {
            // One that has ended since the list was read is no process any more.
            let read = || process::read(Path::new(PROC), pid).ok();
            if self.processes.len() < MAX_PROCESSES {
                let Some(process) = read() else { continue };
                self.processes.push(SandboxProcess {
                    container: container.cloned(),
                    process,
                });
            }
            self.total += 1;
        }
    }
}

/// What the group lists, in the order of pids, and the zombies among their children: those are in no list of a
/// group any more (cgroup-v2.rst, "Processes").
fn with_zombies(cgroup: &Cgroup) -> Vec<Pid> {
    // A group that vanishes at this moment holds nothing.
    let mut pids = cgroup.processes().unwrap_or_default();
    // A pid of 0 is a process that cannot be named from here.
    pids.retain(|pid| pid.as_raw() > 0);
    let known: HashSet<Pid> = pids.iter().copied().collect();
    let children = pids
        .iter()
        .take(MAX_PROCESSES)
        .flat_map(|&pid| process::children(Path::new(PROC), pid));
    let is_zombie =
        |pid: &Pid| process::read(Path::new(PROC), *pid).is_ok_and(|found| found.state == 'Z');
    let zombies: Vec<Pid> = children
        .filter(|child| !known.contains(child))
        .take(MAX_PROCESSES)
        .filter(is_zombie)
        .collect();
    pids.extend(zombies);
    pids
}
