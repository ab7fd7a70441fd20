//! The volumes of a pod: made ready before its sandbox, filled before its containers, and kept as the objects
//! they are made of change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::task::PodWorker;
use crate::base::{BackoffSequence, SandboxId, chain};
use crate::engine::recorder::Level;
use crate::engine::resize::wanted_of_pod;
use crate::runtime::RuntimeError;
use crate::volume::{MemoryCeiling, Prepared, Sources, VolumeError, contents, prepare};

/// Retries of volume set-up (kubelet `exponentialbackoff`).
const RETRY: BackoffSequence =
    BackoffSequence::new(Duration::from_millis(500), Duration::from_secs(122));
/// After this time without success the pod is told which volumes it waits for (kubelet
/// `podAttachAndMountTimeout`).
const PATIENCE: Duration = Duration::from_secs(123);

/// What a worker remembers of the volumes of its pod.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    pub(super) prepared: Option<Arc<Prepared>>,
    failures: u32,
    /// Since when volumes cannot be mounted, or were last complained of.
    waiting_since: Option<Timestamp>,
    /// Versions of the contents that the sandbox has.
    written: Option<(SandboxId, BTreeMap<String, String>)>,
    /// Why the content of a volume could not be brought up to date; told once.
    stale: BTreeMap<String, String>,
}

impl PodWorker {
    pub(super) async fn ensure_volumes(&mut self) -> Result<Arc<Prepared>, Duration> {
        if let Some(prepared) = &self.volumes.prepared {
            return Ok(Arc::clone(prepared));
        }
        let pod = self.pod.clone();
        let machine = Arc::clone(&self.machine);
        let directory = machine.directories.pod(&self.uid);
        let ceiling = MemoryCeiling(memory_ceiling(&pod, machine.node.allocatable().memory));
        let done = tokio::task::spawn_blocking(move || {
            let sources = Sources {
                objects: &*machine,
                allocatable: machine.node.allocatable(),
            };
            prepare(&pod, &directory, ceiling, &sources)
        });
        match done.await {
            Ok(Ok(prepared)) => {
                self.tell_resolved(&prepared);
                let prepared = Arc::new(prepared);
                self.volumes.prepared = Some(Arc::clone(&prepared));
                self.volumes.failures = 0;
                self.volumes.waiting_since = None;
                Ok(prepared)
            }
            Ok(Err(errors)) => Err(self.not_mounted(&errors)),
            Err(error) => {
                tracing::error!(%error, "preparing volumes was cut short");
                Err(RETRY.delay(0))
            }
        }
    }

    fn tell_resolved(&self, prepared: &Prepared) {
        for (volume, path, target) in prepared.resolved_host_paths() {
            let text = format!(
                "hostPath of volume \"{volume}\" leads through a symlink: {} is {}",
                path.display(),
                target.display()
            );
            self.event(Level::Normal, "HostPathResolved", text);
        }
    }

    /// Tells what is in the way. When to try again, unless an object changes before.
    fn not_mounted(&mut self, errors: &[VolumeError]) -> Duration {
        let unmounted: Vec<&str> = errors.iter().filter_map(VolumeError::volume).collect();
        let (claims, others): (Vec<&VolumeError>, Vec<&VolumeError>) = errors
            .iter()
            .partition(|error| matches!(error, VolumeError::Claim { .. }));
        if !claims.is_empty() {
            let unprocessed: Vec<&str> = claims.iter().filter_map(|error| error.volume()).collect();
            let texts: Vec<String> = claims.iter().map(|error| chain(*error)).collect();
            let text = format!(
                "Unable to attach or mount volumes: unmounted volumes=[{}], unattached volumes=[], failed to \
                 process volumes=[{}]: {}",
                unmounted.join(" "),
                unprocessed.join(" "),
                texts.join("; ")
            );
            self.event(Level::Warning, "FailedMount", text);
        }
        for error in others {
            let is_device = matches!(error, VolumeError::NoDevice { .. });
            let reason = if is_device {
                "FailedMapVolume"
            } else {
                "FailedMount"
            };
            self.event(Level::Warning, reason, chain(error));
        }
        let now = self.machine.clock.now();
        let since = *self.volumes.waiting_since.get_or_insert(now);
        let waited = Duration::try_from(now.duration_since(since)).unwrap_or_default();
        if waited >= PATIENCE {
            self.volumes.waiting_since = Some(now);
            let text = format!(
                "Unable to attach or mount volumes: unmounted volumes=[{}], unattached volumes=[], failed to \
                 process volumes=[]: context deadline exceeded",
                unmounted.join(" ")
            );
            self.event(Level::Warning, "FailedMount", text);
        }
        let after = RETRY.delay(self.volumes.failures);
        self.volumes.failures = self.volumes.failures.saturating_add(1);
        after
    }

    /// Brings the files of volumes to what their objects say now. A volume that was filled before keeps what
    /// it has when that fails; one that was not holds the containers up. `Err`: when to try again.
    pub(super) async fn refresh_contents(&mut self) -> Result<(), Duration> {
        let Some(sandbox) = self.sandbox.as_ref().map(|state| state.spec.id.clone()) else {
            return Ok(());
        };
        let found = contents(
            &self.pod,
            &Sources {
                objects: &*self.machine,
                allocatable: self.machine.node.allocatable(),
            },
        );
        let mut written = match self.volumes.written.take() {
            Some((id, written)) if id == sandbox => written,
            _ => BTreeMap::new(),
        };
        let mut again = None;
        for (volume, content) in found {
            let result = match content {
                Ok(content) if written.get(&volume) == Some(&content.version) => Ok(()),
                Ok(content) => {
                    let version = content.version.clone();
                    let done = self.machine.runtime.write_volume(&sandbox, content).await;
                    done.map(|()| {
                        tracing::debug!(pod = %self.uid, volume, "volume written");
                        written.insert(volume.clone(), version);
                    })
                    .map_err(|error| self.write_failed(&volume, &error))
                }
                Err(error) => Err(chain(&error)),
            };
            match result {
                Ok(()) => {
                    self.volumes.stale.remove(&volume);
                }
                Err(text) => {
                    let told = self.volumes.stale.insert(volume.clone(), text.clone());
                    if told.as_ref() != Some(&text) {
                        self.event(Level::Warning, "FailedMount", text);
                    }
                    if !written.contains_key(&volume) {
                        again = Some(RETRY.delay(self.volumes.failures));
                    }
                }
            }
        }
        self.volumes.written = Some((sandbox, written));
        match again {
            Some(after) => {
                self.volumes.failures = self.volumes.failures.saturating_add(1);
                Err(after)
            }
            None => {
                self.volumes.failures = 0;
                Ok(())
            }
        }
    }

    /// How long until a token in the volumes of the pod has to be renewed.
    pub(super) fn until_renewal(&self) -> Option<Duration> {
        let at = self.machine.tokens.next_renewal(&self.uid)?;
        let left = at.duration_since(self.machine.clock.now());
        Some(Duration::try_from(left).unwrap_or_default())
    }

    fn write_failed(&self, volume: &str, error: &RuntimeError) -> String {
        format!(
            "MountVolume.SetUp failed for volume \"{volume}\" : {}",
            chain(error)
        )
    }
}

/// The smaller of what the pod may use and what the machine has for pods (kubelet `calculateEmptyDirMemorySize`).
fn memory_ceiling(pod: &Pod, allocatable: i64) -> Option<u64> {
    let limit = wanted_of_pod(pod.spec.as_ref()?).memory_limit;
    let ceiling = limit.map_or(allocatable, |limit| limit.min(allocatable));
    u64::try_from(ceiling).ok().filter(|ceiling| *ceiling > 0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const MIB: u64 = 1 << 20;

    #[track_caller]
    fn check(spec: Value, expected_mib: u64) {
        let pod = serde_json::from_value(json!({"spec": spec})).unwrap();
        let allocatable = i64::try_from(1000 * MIB).unwrap();
        let found = memory_ceiling(&pod, allocatable).map(|bytes| bytes / MIB);
        assert_eq!(found, Some(expected_mib), "{spec}");
    }

    #[test]
    fn memory_volumes_are_bounded_by_the_pod() {
        let limit = |amount: &str| json!({"limits": {"memory": amount}});
        let of = |name: &str, amount: &str| json!({"name": name, "resources": limit(amount)});
        check(json!({"containers": [{"name": "a"}]}), 1000);
        check(
            json!({"containers": [of("a", "30Mi"), of("b", "12Mi")]}),
            42,
        );
        check(
            json!({"containers": [of("a", "30Mi"), {"name": "b"}]}),
            1000,
        );
        check(json!({"containers": [of("a", "9Gi")]}), 1000);
        // Regular init containers run before the others, not beside them.
        check(
            json!({"containers": [of("a", "32Mi")], "initContainers": [of("i", "64Mi")]}),
            64,
        );
        check(
            json!({"containers": [{"name": "a"}, of("b", "50Mi")], "resources": limit("200Mi")}),
            200,
        );
    }
}
