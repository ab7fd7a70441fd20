use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::plan::{DELETABLE, Plan, Told, World, plan};
use crate::base::{Uid, chain};
use crate::engine::machine::Machine;
use crate::engine::recorder::{Level, VOLUME_CONTROLLER};
use crate::model::storage::claims_of;
use crate::model::{Kind, Object, Resource};
use crate::store::{Change, StoreError};
use crate::volume::remove_tree_beneath;

/// What waits is told of again after this (controller manager `--pvclaimbinder-sync-period`).
const RESYNC: Duration = Duration::from_secs(15);
const AGAIN: Duration = Duration::from_millis(100);

/// What was told last about each object, and when.
type Memory = HashMap<Uid, (String, Timestamp)>;

/// Binds volumes and claims for as long as the engine runs, which aborts it.
pub(in crate::engine) async fn keep(machine: Arc<Machine>) {
    let mut memory = Memory::new();
    loop {
        let from = machine.store.resource_version();
        let mut waits = pass(&machine, &mut memory).await;
        let watch = |kind| machine.store.watch(kind, from);
        if let (Ok(mut volumes), Ok(mut claims), Ok(mut pods)) = (
            watch(Kind::PersistentVolume),
            watch(Kind::PersistentVolumeClaim),
            watch(Kind::Pod),
        ) {
            loop {
                // All arms are cancel-safe: a change is taken only when it is returned.
                let changed = tokio::select! {
                    change = volumes.next_change() => change.map(|_| true),
                    change = claims.next_change() => change.map(|_| true),
                    change = pods.next_change() => change.map(|change| concerns_claims(&change)),
                    () = tokio::time::sleep(RESYNC), if waits => Ok(true),
                };
                match changed {
                    Ok(true) => waits = pass(&machine, &mut memory).await,
                    Ok(false) => {}
                    Err(_) => break,
                }
            }
        }
        // Some changes were missed, or the store is closing.
        tokio::time::sleep(AGAIN).await;
    }
}

fn concerns_claims(change: &Change) -> bool {
    match &change.object {
        Object::Pod(pod) => claims_of(pod).next().is_some(),
        _ => false,
    }
}

/// Returns whether something waits.
async fn pass(machine: &Arc<Machine>, memory: &mut Memory) -> bool {
    let store = &machine.store;
    let claims = store.list::<PersistentVolumeClaim>(None).0;
    let volumes = store.list::<PersistentVolume>(None).0;
    let pods = store.list::<Pod>(None).0;
    let world = World {
        volumes: volumes.iter().map(|volume| (**volume).clone()).collect(),
        claims: claims.iter().map(|claim| (**claim).clone()).collect(),
        living: pods
            .iter()
            .filter_map(|pod| pod.metadata.uid.clone())
            .collect(),
        pods: pods
            .into_iter()
            .filter(|pod| claims_of(pod).next().is_some())
            .collect(),
    };
    let now = machine.clock.now();
    let plan = plan(&world, now);
    memory.retain(|uid, _| world_has(&world, uid));
    let waits = plan.waits;
    carry_out(machine, plan, memory, now).await;
    waits
}

fn world_has(world: &World, uid: &Uid) -> bool {
    let volumes = world.volumes.iter().map(Resource::uid);
    let claims = world.claims.iter().map(Resource::uid);
    volumes.chain(claims).any(|known| known == *uid)
}

async fn carry_out(machine: &Arc<Machine>, plan: Plan, memory: &mut Memory, now: Timestamp) {
    for claim in plan.create {
        match machine.status.create_claim(claim, now).await {
            Ok(_) | Err(StoreError::AlreadyExists(_)) => {}
            Err(error) => tracing::warn!(error = chain(&error), "no claim for an ephemeral volume"),
        }
    }
    // Volumes first: a claim that is bound has its volume.
    for volume in plan.volumes {
        if !write(machine, Arc::new(volume).into_object()).await {
            return;
        }
    }
    for claim in plan.claims {
        if !write(machine, Arc::new(claim).into_object()).await {
            return;
        }
    }
    for told in plan.told {
        tell(machine, told, memory, now);
    }
    for (volume, path) in plan.delete {
        delete(machine, volume, &path).await;
    }
}

/// False when somebody was faster, who will have us look again.
async fn write(machine: &Machine, object: Object) -> bool {
    match machine.status.replace(object).await {
        Ok(_) => true,
        Err(StoreError::Conflict(_) | StoreError::NotFound(_) | StoreError::OtherUid { .. }) => {
            false
        }
        Err(error) => {
            tracing::warn!(error = chain(&error), "a volume or claim was not written");
            false
        }
    }
}

/// What is told again and again is told at the pace of the controller.
fn tell(machine: &Machine, told: Told, memory: &mut Memory, now: Timestamp) {
    let uid = Uid::new(told.about.uid.clone().unwrap_or_default());
    if let Some((message, at)) = memory.get(&uid) {
        let passed = Duration::try_from(now.duration_since(*at)).unwrap_or_default();
        if *message == told.message && passed < RESYNC {
            return;
        }
    }
    memory.insert(uid, (told.message.clone(), now));
    let Told {
        about,
        level,
        reason,
        message,
    } = told;
    machine
        .recorder
        .object(VOLUME_CONTROLLER, about, level, reason, message);
}

/// Deletes what a released volume holds, and then the volume.
async fn delete(machine: &Arc<Machine>, mut volume: PersistentVolume, path: &Path) {
    // The pass may have changed it meanwhile.
    let name = volume.metadata.name.clone().unwrap_or_default();
    let Some(now_there) = machine.store.get::<PersistentVolume>("", &name) else {
        return;
    };
    if now_there.metadata.uid != volume.metadata.uid || now_there.spec != volume.spec {
        return;
    }
    volume.clone_from(&now_there);
    let target = path.to_owned();
    let done =
        tokio::task::spawn_blocking(move || remove_tree_beneath(Path::new(DELETABLE), &target));
    let done = match done.await {
        Ok(done) => done.map_err(|error| chain(&error)),
        Err(error) => Err(error.to_string()),
    };
    let status = volume.status.get_or_insert_default();
    let at = Timestamp::from_second(machine.clock.now().as_second()).unwrap_or_default();
    match done {
        Ok(()) => {
            tracing::info!(volume = name, path = %path.display(), "the content of a released volume is deleted");
            volume.metadata.deletion_timestamp = Some(Time(at));
            volume.metadata.deletion_grace_period_seconds = Some(0);
        }
        Err(text) if status.phase.as_deref() == Some("Failed") => {
            tracing::debug!(volume = name, text, "still not deleted");
            return;
        }
        Err(text) => {
            status.phase = Some("Failed".to_owned());
            status.message = Some(text.clone());
            status.last_phase_transition_time = Some(Time(at));
            let about = super::plan::about(&volume.key(), &volume.metadata);
            machine.recorder.object(
                VOLUME_CONTROLLER,
                about,
                Level::Warning,
                "VolumeFailedDelete",
                text,
            );
        }
    }
    write(machine, Arc::new(volume).into_object()).await;
}
