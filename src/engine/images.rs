//! Images as the engine keeps them: who uses which, what can go, and what goes by itself when the disk fills.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Pod};

use super::machine::Machine;
use super::recorder::Level;
use super::status::is_terminal;
use crate::base::chain;
use crate::image::{ImageError, ImageRecord, disk_bytes};
use crate::model::pod::every_container;

/// The kubelet's period (`ImageGCPeriod`).
const PERIOD: Duration = Duration::from_secs(300);

/// When images go by themselves (kubelet `imageGCHighThresholdPercent` and its neighbours).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ImageGc {
    /// Percent of the disk at which removal starts; 100 = never.
    pub(crate) high: u8,
    /// Percent at which it ends.
    pub(crate) low: u8,
    /// Younger images stay (`imageMinimumGCAge`).
    pub(crate) minimum_age: Duration,
    /// Unused for longer than this, an image goes whatever the disk says (`imageMaximumGCAge`).
    pub(crate) maximum_age: Option<Duration>,
}

impl Default for ImageGc {
    fn default() -> Self {
        Self {
            high: 85,
            low: 80,
            minimum_age: Duration::from_secs(120),
            maximum_age: None,
        }
    }
}

/// Bytes of one kind below the state directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DiskUsage {
    pub(crate) kind: &'static str,
    pub(crate) total: usize,
    pub(crate) active: usize,
    pub(crate) size: u64,
    pub(crate) reclaimable: u64,
}

/// What a prune has removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pruned {
    /// Names and IDs.
    pub(crate) images: Vec<String>,
    /// Bytes on the disk.
    pub(crate) freed: u64,
}

impl Machine {
    /// `namespace/name` of the pods that have a container or a volume of an image, or are going to, by the
    /// image's ID.
    pub(super) async fn image_users(
        &self,
        images: &[ImageRecord],
    ) -> BTreeMap<String, BTreeSet<String>> {
        let mut users: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (_, entry) in self.board.pods() {
            let pod = format!("{}/{}", entry.namespace, entry.name);
            for image in images.iter().filter(|image| {
                entry.containers.iter().any(|container| {
                    container.image_id == image.id
                        || image.repo_digests.contains(&container.image_id)
                        || image.names.contains(&container.image)
                })
            }) {
                users
                    .entry(image.id.clone())
                    .or_default()
                    .insert(pod.clone());
            }
        }
        let (pods, _) = self.store.list::<Pod>(None);
        for pod in pods {
            let status = pod.status.as_ref();
            if is_terminal(status.and_then(|status| status.phase.as_deref())) {
                continue;
            }
            let meta = &pod.metadata;
            let name = format!(
                "{}/{}",
                meta.namespace.as_deref().unwrap_or_default(),
                meta.name.as_deref().unwrap_or_default()
            );
            let spec = pod.spec.as_ref();
            let containers = spec.into_iter().flat_map(every_container);
            let volumes = spec
                .into_iter()
                .flat_map(|spec| spec.volumes.iter().flatten());
            let sources = volumes.filter_map(|volume| volume.image.as_ref());
            let wanted = containers
                .filter_map(|container| container.image.clone())
                .chain(sources.filter_map(|source| source.reference.clone()));
            for wanted in wanted {
                if let Ok(Some(id)) = self.images.known(&wanted) {
                    users.entry(id).or_default().insert(name.clone());
                }
            }
        }
        users
    }

    /// Removes what no pod uses: images without a name, with `all` every image; and downloads that broke off.
    pub(super) async fn prune(&self, all: bool) -> Result<Pruned, ImageError> {
        let images = self.images.list().await?;
        let users = self.image_users(&images).await;
        let doomed: Vec<String> = images
            .iter()
            .filter(|image| !users.contains_key(&image.id))
            .filter(|image| all || image.names.is_empty())
            .map(|image| image.id.clone())
            .collect();
        let before = self.images.usage().await?;
        let mut pruned = Pruned::default();
        for id in doomed {
            pruned
                .images
                .extend(self.images.remove(&id, true, &[]).await?);
        }
        pruned.freed = self.images.remove_partial().await?;
        let after = self.images.usage().await?;
        pruned.freed += before.images.saturating_sub(after.images);
        Ok(pruned)
    }

    /// Every byte below the state directory, by what it is for.
    pub(super) async fn disk_usage(&self) -> Result<Vec<DiskUsage>, ImageError> {
        let images = self.images.list().await?;
        let users = self.image_users(&images).await;
        let idle = images.iter().filter(|image| !users.contains_key(&image.id));
        // Layers that a used image shares with an idle one stay.
        let used: BTreeSet<&String> = images
            .iter()
            .filter(|image| users.contains_key(&image.id))
            .flat_map(|image| &image.diff_ids)
            .collect();
        let reclaimable: BTreeMap<&String, u64> = idle
            .flat_map(|image| image.diff_ids.iter().zip(image.layer_sizes.iter().copied()))
            .filter(|(diff_id, _)| !used.contains(diff_id))
            .collect();
        let store = self.images.usage().await?;
        let mut rows = vec![
            DiskUsage {
                kind: "Images",
                total: images.len(),
                active: users.len(),
                size: store.images,
                reclaimable: reclaimable.values().sum(),
            },
            DiskUsage {
                kind: "Partial downloads",
                total: store.partial_count,
                active: 0,
                size: store.partial,
                reclaimable: store.partial_idle,
            },
        ];
        let state = self.directories.state.clone();
        let parts = [
            ("Pod volumes and files", self.directories.pods()),
            ("Container logs", self.directories.logs()),
            ("Objects", state.join("objects")),
        ];
        let measured = tokio::task::spawn_blocking(move || {
            let mut rows = Vec::new();
            for (kind, path) in parts {
                let total = std::fs::read_dir(&path).map_or(0, Iterator::count);
                rows.push((kind, total, disk_bytes(&path)?));
            }
            Ok::<_, std::io::Error>((rows, disk_bytes(&state)?))
        })
        .await;
        let (parts, whole) =
            measured
                .unwrap_or_else(|error| Err(error.into()))
                .map_err(|source| ImageError::Io {
                    operation: "measure",
                    path: self.directories.state.clone(),
                    source,
                })?;
        rows.extend(parts.into_iter().map(|(kind, total, size)| DiskUsage {
            kind,
            total,
            active: total,
            size,
            reclaimable: 0,
        }));
        let known: u64 = rows.iter().map(|row| row.size).sum();
        rows.push(DiskUsage {
            kind: "Indexes and own log",
            total: 1,
            active: 1,
            size: whole.saturating_sub(known),
            reclaimable: 0,
        });
        Ok(rows)
    }
}

/// What the collector knows of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    first: Timestamp,
    last_used: Timestamp,
}

/// One image that could go.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate {
    id: String,
    size: u64,
    seen: Seen,
}

/// Which images go, longest unused first, and how many of the wanted bytes that frees.
fn plan_gc(
    mut candidates: Vec<Candidate>,
    gc: ImageGc,
    (used, capacity): (u64, u64),
    now: Timestamp,
) -> (Vec<String>, Option<(u64, u64)>) {
    candidates.sort_by_key(|image| (image.seen.last_used, image.seen.first));
    let age = |since: Timestamp| Duration::try_from(now.duration_since(since)).unwrap_or_default();
    let mut doomed = Vec::new();
    let mut freed = 0;
    candidates.retain(|image| {
        let old = gc
            .maximum_age
            .is_some_and(|most| age(image.seen.last_used) > most);
        if old {
            doomed.push(image.id.clone());
            freed += image.size;
        }
        !old
    });
    let percent = |part: u8| capacity / 100 * u64::from(part);
    if gc.high >= 100 || capacity == 0 || used.saturating_sub(freed) < percent(gc.high) {
        return (doomed, None);
    }
    let wanted = used.saturating_sub(percent(gc.low));
    for image in candidates {
        if freed >= wanted {
            break;
        }
        if age(image.seen.first) < gc.minimum_age {
            continue;
        }
        freed += image.size;
        doomed.push(image.id);
    }
    let short = (freed < wanted).then_some((wanted, freed));
    (doomed, short)
}

/// Reason of the event that nothing more can be removed.
const DISK_IS_FULL: &str = "FreeDiskSpaceFailed";

/// There is such an event of this node; they are kept for an hour.
fn was_told(machine: &Machine) -> bool {
    let (events, _) = machine.store.list::<Event>(None);
    events.iter().any(|event| {
        event.reason.as_deref() == Some(DISK_IS_FULL)
            && event.involved_object.name.as_deref() == Some(&machine.node.name)
    })
}

/// Looks at the disk every five minutes, as long as the engine lives.
pub(super) async fn collect_images(machine: Arc<Machine>, gc: ImageGc) {
    let mut known: BTreeMap<String, Seen> = BTreeMap::new();
    // What an earlier engine has told is not told again only because another one begins.
    let mut is_told = was_told(&machine);
    loop {
        let collected = collect(&machine, gc, &mut known, is_told).await;
        is_told = false;
        if let Err(error) = collected {
            let text = chain(&error);
            tracing::warn!(error = text, "image garbage collection");
            machine
                .recorder
                .node(&machine.node.name, Level::Warning, "ImageGCFailed", text);
        }
        tokio::time::sleep(PERIOD).await;
    }
}

async fn collect(
    machine: &Machine,
    gc: ImageGc,
    known: &mut BTreeMap<String, Seen>,
    is_told: bool,
) -> Result<(), ImageError> {
    let now = machine.clock.now();
    let images = machine.images.list().await?;
    let users = machine.image_users(&images).await;
    known.retain(|id, _| images.iter().any(|image| image.id == *id));
    let mut candidates = Vec::new();
    for image in &images {
        let seen = known.entry(image.id.clone()).or_insert(Seen {
            first: now,
            last_used: now,
        });
        if users.contains_key(&image.id) {
            seen.last_used = now;
        } else {
            candidates.push(Candidate {
                id: image.id.clone(),
                size: image.size,
                seen: *seen,
            });
        }
    }
    let disk = machine.images.disk().await?;
    let (doomed, short) = plan_gc(candidates, gc, disk, now);
    for id in doomed {
        tracing::info!(image = id, "removing an unused image");
        machine.images.remove(&id, true, &[]).await?;
    }
    if let Some((wanted, freed)) = short {
        let freed = freed + machine.images.remove_partial().await?;
        if freed < wanted && !is_told {
            let text = format!(
                "Failed to garbage collect required amount of images. Attempted to free {wanted} bytes, but only found {freed} bytes eligible to free."
            );
            machine
                .recorder
                .node(&machine.node.name, Level::Warning, DISK_IS_FULL, text);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn image(id: &str, size: u64, first: i64, last_used: i64) -> Candidate {
        Candidate {
            id: id.to_owned(),
            size,
            seen: Seen {
                first: at(first),
                last_used: at(last_used),
            },
        }
    }

    #[track_caller]
    fn check(used: u64, maximum_age: Option<u64>, expected: &str, short: bool) {
        let gc = ImageGc {
            maximum_age: maximum_age.map(Duration::from_secs),
            ..ImageGc::default()
        };
        let images = vec![
            image("young", 10, 950, 100),
            image("recent", 3, 0, 900),
            image("old", 3, 0, 200),
            image("older", 3, 0, 100),
        ];
        let (doomed, missing) = plan_gc(images, gc, (used, 100), at(1000));
        assert_eq!(doomed.join(" "), expected);
        assert_eq!(missing.is_some(), short);
    }

    #[test]
    fn the_longest_unused_go_until_there_is_room() {
        check(84, None, "", false);
        check(85, None, "older old", false);
        check(86, None, "older old", false);
        check(87, None, "older old recent", false);
        check(99, None, "older old recent", true);
    }

    #[test]
    fn age_alone_is_enough() {
        check(10, Some(850), "older young", false);
        check(10, Some(50), "older young old recent", false);
        check(10, Some(2000), "", false);
    }
}
