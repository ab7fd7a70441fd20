//! Reading the run directory: which sandboxes live, which left only their records.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{RuntimeError, ShimRuntime};
use crate::base::SandboxId;
use crate::runtime::Discovered;
use crate::wire::{Cleanup, Namespace, SandboxState};

const PODS: &str = "pods";
const STATE: &str = "state.json";
/// How long a living shim may take to answer a new engine.
const PATIENCE: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(5);

/// What undoes a sandbox whose shim cannot do it any more.
pub(super) fn cleanup_of(state: &SandboxState, bridge: Option<String>) -> Cleanup {
    Cleanup {
        directory: state.spec.directory.clone(),
        cgroup: state
            .spec
            .cgroup
            .iter()
            .map(|level| level.name.clone())
            .collect(),
        host_interface: state
            .spec
            .network
            .as_ref()
            .filter(|_| state.spec.namespaces.network == Namespace::Sandbox)
            .map(|network| network.host_interface.clone()),
        bridge,
    }
}

/// The record that the shim of this directory keeps.
pub(super) fn read_state(directory: &Path) -> Result<SandboxState, String> {
    let path = directory.join(STATE);
    let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", path.display()))
}

fn directories(run_dir: &Path) -> Result<Vec<PathBuf>, RuntimeError> {
    let path = run_dir.join(PODS);
    let failed = |source| RuntimeError::File {
        operation: "listing",
        path: path.clone(),
        source,
    };
    let entries = match std::fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a shim holds this directory: it locks it while it lives (flock(2)), so also before it can be
/// connected to.
fn is_held(directory: &Path) -> bool {
    File::open(directory).is_ok_and(|file| {
        matches!(
            file.try_lock_shared(),
            Err(std::fs::TryLockError::WouldBlock)
        )
    })
}

impl ShimRuntime {
    /// An engine may die while a shim builds its sandbox; that shim is waited for. A shim that does not
    /// answer at all must not keep the engine from starting.
    async fn adopt_patiently(
        &self,
        id: &SandboxId,
        directory: &Path,
    ) -> Result<SandboxState, String> {
        let begin = Instant::now();
        loop {
            let adopted = tokio::time::timeout(PATIENCE, self.adopt(id, directory)).await;
            let error = match adopted {
                Ok(Ok(state)) => return Ok(state),
                Ok(Err(error)) => error,
                Err(_) => return Err(format!("no answer within {} s", PATIENCE.as_secs())),
            };
            let may_come = matches!(error, RuntimeError::Unreachable { .. }) && is_held(directory);
            if !may_come || begin.elapsed() >= PATIENCE {
                return Err(crate::base::chain(&error));
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    pub(super) async fn look_through(&self) -> Result<Vec<Discovered>, RuntimeError> {
        let mut found = Vec::new();
        for directory in directories(&self.run_dir)? {
            found.push(self.look_at(directory).await);
        }
        Ok(found)
    }

    async fn look_at(&self, directory: PathBuf) -> Discovered {
        let record = read_state(&directory);
        let id = record.as_ref().map_or_else(
            |_| SandboxId::new(directory.display().to_string()),
            |state| state.spec.id.clone(),
        );
        match self.adopt_patiently(&id, &directory).await {
            Ok(state) => return Discovered::Alive(Box::new(state)),
            Err(why) => {
                tracing::info!(directory = %directory.display(), why, "no living shim");
            }
        }
        // The shim may have written since.
        let record = read_state(&directory);
        let what = record.as_ref().map_or_else(
            |_| Cleanup {
                directory: directory.clone(),
                cgroup: Vec::new(),
                host_interface: None,
                bridge: None,
            },
            |state| cleanup_of(state, None),
        );
        if let Err(error) = self.clean(what).await {
            let reason = format!("cleaning up failed: {}", crate::base::chain(&error));
            tracing::warn!(directory = %directory.display(), reason);
        }
        match record {
            Ok(state) => Discovered::Dead(Box::new(state)),
            Err(reason) => Discovered::Unreadable { directory, reason },
        }
    }
}
