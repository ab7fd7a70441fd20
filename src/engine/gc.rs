//! What is left on the machine of pods that no longer exist in the store. Looked for once, at start: while
//! an engine runs, each worker removes what is its pod's.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::machine::Machine;
use crate::base::{Uid, chain};
use crate::runtime::RuntimeError;
use crate::volume::remove_tree;
use crate::wire::{Cleanup, SandboxState};

fn children(directory: &Path) -> Vec<(String, PathBuf)> {
    std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
        .collect()
}

/// Directories of pods that are not in `known`. Pod directories are named by uid, log directories end
/// with it.
fn orphans(machine: &Machine, known: &HashSet<Uid>) -> Vec<PathBuf> {
    let pods = children(&machine.directories.pods());
    let logs = children(&machine.directories.logs());
    let uid_of_log = |name: &str| Uid::new(name.rsplit('_').next().unwrap_or_default());
    pods.into_iter()
        .filter(|(name, _)| !known.contains(&Uid::new(name.clone())))
        .chain(
            logs.into_iter()
                .filter(|(name, _)| !known.contains(&uid_of_log(name))),
        )
        .map(|(_, path)| path)
        .collect()
}

pub(super) async fn remove_orphan_files(machine: Arc<Machine>, known: HashSet<Uid>) {
    let done = tokio::task::spawn_blocking(move || {
        for path in orphans(&machine, &known) {
            tracing::info!(path = %path.display(), "removing what is left of a deleted pod");
            if let Err(error) = remove_tree(&path) {
                tracing::warn!(path = %path.display(), error = chain(&error), "cannot be removed");
            }
        }
    });
    if let Err(error) = done.await {
        tracing::warn!(%error, "looking for files of deleted pods was cut short");
    }
}

/// Where control groups are mounted on every system: the cgroup2 tree itself, or a directory of trees.
const CGROUPS: &str = "/sys/fs/cgroup";

/// The groups of pods below `levels` in any tree of `root`, by uid: path from the outermost level.
fn pod_groups(root: &Path, levels: &[String]) -> BTreeMap<Uid, Vec<String>> {
    let below: PathBuf = levels.iter().collect();
    let trees = children(root).into_iter().map(|(_, path)| path);
    let mut found = BTreeMap::new();
    for tree in trees.chain([root.to_owned()]) {
        for (class, path) in children(&tree.join(&below)) {
            for (name, _) in children(&path) {
                if let Some(uid) = name.strip_prefix("pod") {
                    let mut group = levels.to_vec();
                    group.extend([class.clone(), name.clone()]);
                    found.insert(Uid::new(uid.to_owned()), group);
                }
            }
        }
    }
    found
}

/// Kills and removes what stands in a group of a pod without a living shim: a shim that was killed while
/// it built the sandbox has left no record of it. Before any worker starts, so nothing new is met.
pub(super) async fn remove_stray_groups(machine: &Machine, living: &HashSet<Uid>) {
    for (uid, cgroup) in pod_groups(Path::new(CGROUPS), &machine.cgroup_root()) {
        if living.contains(&uid) {
            continue;
        }
        tracing::warn!(pod = %uid, ?cgroup, "removing a sandbox that left no record");
        let what = Cleanup {
            directory: machine.directories.sandbox(&uid),
            cgroup,
            host_interface: Some(machine.network.host_interface(&uid)),
            bridge: None,
        };
        if let Err(error) = machine.runtime.clean_up(what).await {
            tracing::warn!(pod = %uid, error = chain(&error), "it could not be removed");
        }
    }
}

/// Stops and removes a living sandbox whose pod is gone.
pub(super) async fn remove_orphan_sandbox(machine: Arc<Machine>, state: SandboxState) {
    let id = &state.spec.id;
    tracing::info!(sandbox = %id, labels = ?state.spec.labels, "removing the sandbox of a deleted pod");
    match machine.runtime.remove_pod_sandbox(id, None).await {
        Ok(()) | Err(RuntimeError::UnknownSandbox(_)) => {
            machine.remove_bridge_later();
        }
        Err(error) => {
            tracing::warn!(sandbox = %id, error = chain(&error), "an orphaned sandbox could not be removed");
        }
    }
}

/// How long a bridge without pods stays: pods often come and go in quick succession.
const BRIDGE_LINGERS: Duration = Duration::from_millis(200);
const BRIDGE_TRIES: u32 = 20;
const BRIDGE_RETRY: Duration = Duration::from_millis(100);

impl Machine {
    /// Call after a sandbox has been removed.
    pub(super) fn remove_bridge_later(self: &Arc<Self>) {
        if self.board.has_sandboxes() {
            return;
        }
        let machine = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(BRIDGE_LINGERS).await;
            machine.remove_bridge().await;
        });
    }

    /// Removes the bridge unless a pod uses it. The interfaces of pods that have just gone vanish from it
    /// with their namespaces, which the kernel does when it finds the time; until then it has ports and
    /// stays, so this looks again for a while.
    pub(super) async fn remove_bridge(&self) {
        let bridge = self.network.bridge();
        let shown = Path::new("/sys/class/net").join(&bridge);
        for _ in 0..BRIDGE_TRIES {
            if self.board.has_sandboxes() || !shown.exists() {
                return;
            }
            let what = Cleanup {
                // No sandbox has this name; there is nothing but the bridge to clean up.
                directory: self.directories.sandbox(&Uid::new("no-pod")),
                cgroup: Vec::new(),
                host_interface: None,
                bridge: Some(bridge.clone()),
            };
            if let Err(error) = self.runtime.clean_up(what).await {
                tracing::warn!(
                    bridge,
                    error = chain(&error),
                    "the bridge could not be removed"
                );
                return;
            }
            tokio::time::sleep(BRIDGE_RETRY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_pods_are_found_in_every_tree() {
        let root = tempfile::tempdir().unwrap();
        for path in [
            "cpu/outer/podtui-1/besteffort/pod7",
            "memory/outer/podtui-1/besteffort/pod7/pause",
            "pids/outer/podtui-1/burstable/pod8",
            "outer/podtui-1/guaranteed/pod9",
            "cpu/outer/podtui-2/besteffort/pod1",
            "cpu/podtui-1/besteffort/pod2",
            "cpu/outer/podtui-1/besteffort/other",
        ] {
            std::fs::create_dir_all(root.path().join(path)).unwrap();
        }
        let levels = ["outer", "podtui-1"].map(str::to_owned);
        let found: Vec<String> = pod_groups(root.path(), &levels)
            .into_iter()
            .map(|(uid, group)| format!("{uid} {}", group.join("/")))
            .collect();
        assert_eq!(
            found,
            [
                "7 outer/podtui-1/besteffort/pod7",
                "8 outer/podtui-1/burstable/pod8",
                "9 outer/podtui-1/guaranteed/pod9",
            ]
        );
    }
}
