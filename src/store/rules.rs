//! What a write means, decided on the present state and without side effects.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Pod, PodCondition, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use rand::RngExt;

use super::state::State;
use super::task::Write;
use super::{Change, StoreError};
use crate::admission::{DeletePlan, plan_delete};
use crate::base::Uid;
use crate::model::pod::{DISRUPTION, is_engine_condition};
use crate::model::{Object, ObjectKey, Resource, ResourceVersion};

/// The characters of generated names: no vowels and no digits that look like them, so that no words arise
/// (apimachinery `pkg/util/rand`).
const NAME_CHARACTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const NAME_SUFFIX: usize = 5;
/// `maxGeneratedNameLength` of apiserver `pkg/storage/names`: 63 less the suffix.
const NAME_BASE: usize = 58;

/// What is to be done for a write.
pub(super) enum Decision {
    Write(Change),
    /// The object is like that already.
    Nothing(Object),
}

pub(super) fn decide(state: &State, write: Write, now: Timestamp) -> Result<Decision, StoreError> {
    let version = ResourceVersion(state.version().0 + 1);
    match write {
        Write::Create(object) => create(state, object, version, now),
        Write::Update(object) => update(state, object, version),
        Write::Status(object) => update_status(state, &object, version),
        Write::Whole(object) => update_whole(state, object, version),
        Write::Remove {
            key,
            uid,
            version: expected,
        } => remove(state, &key, uid.as_ref(), expected, version),
        Write::PodStatus { key, uid, status } => change_pod(state, &key, &uid, version, |pod| {
            let before = pod.status.take().unwrap_or_default();
            pod.status = Some(with_foreign_conditions(*status, before));
        }),
        Write::Bind {
            key,
            uid,
            node_name,
        } => change_pod(state, &key, &uid, version, |pod| {
            let spec = pod.spec.get_or_insert_default();
            if spec.node_name.as_deref().unwrap_or_default().is_empty() {
                spec.node_name = Some(node_name);
            }
        }),
        Write::DisruptPod {
            key,
            uid,
            condition,
            grace_seconds,
        } => {
            let decided = (*condition, grace_seconds);
            disrupt_pod(state, &key, &uid, decided, version, now)
        }
        Write::RemovePod { key, uid } => remove_pod(state, &key, &uid, version),
        Write::Put(object) => put(state, object, version, now),
    }
}

fn create(
    state: &State,
    mut object: Object,
    version: ResourceVersion,
    now: Timestamp,
) -> Result<Decision, StoreError> {
    if object.name().is_empty()
        && let Some(prefix) = object.meta().generate_name.clone()
    {
        let name = generate_name(state, &object, &prefix);
        object.meta_mut().name = Some(name);
    }
    let key = object.key();
    if state.get(&key).is_some() {
        return Err(StoreError::AlreadyExists(key));
    }
    let has_generation = has_generation(&object);
    let meta = object.meta_mut();
    meta.uid = Some(Uid::random().as_str().to_owned());
    meta.creation_timestamp = Some(Time(whole_second(now)));
    meta.generation = has_generation.then_some(1);
    meta.deletion_timestamp = None;
    meta.deletion_grace_period_seconds = None;
    meta.resource_version = Some(version.to_string());
    Ok(Decision::Write(Change {
        version,
        previous: None,
        object,
        deleted: false,
    }))
}

/// The object as it is, provided the writer has seen exactly that.
fn precondition<'a>(state: &'a State, object: &Object) -> Result<&'a Object, StoreError> {
    let key = object.key();
    let current = state.existing(&key)?;
    if !object.uid().as_str().is_empty() {
        check_uid(&key, current, &object.uid())?;
    }
    let seen = object.meta().resource_version.as_deref();
    if seen.is_some_and(|seen| !seen.is_empty())
        && object.resource_version() != current.resource_version()
    {
        return Err(StoreError::Conflict(key));
    }
    Ok(current)
}

fn update_status(
    state: &State,
    object: &Object,
    version: ResourceVersion,
) -> Result<Decision, StoreError> {
    let mut changed = precondition(state, object)?.clone();
    let current = changed.clone();
    keep_status(&mut changed, object);
    Ok(replace(&current, changed, version))
}

/// The engine computed its status from conditions it saw a moment ago; those of others may be newer.
fn with_foreign_conditions(mut status: PodStatus, before: PodStatus) -> PodStatus {
    let own = status.conditions.take().into_iter().flatten();
    let own = own.filter(|condition| is_engine_condition(&condition.type_));
    let own: Vec<PodCondition> = own.collect();
    // A disruption is never taken back, whoever wrote it.
    let is_disrupted = own.iter().any(|condition| condition.type_ == DISRUPTION);
    let foreign = before.conditions.into_iter().flatten();
    let foreign = foreign.filter(|condition| {
        !is_engine_condition(&condition.type_) || condition.type_ == DISRUPTION && !is_disrupted
    });
    status.conditions = Some(foreign.chain(own).collect());
    status
}

fn update(
    state: &State,
    mut object: Object,
    version: ResourceVersion,
) -> Result<Decision, StoreError> {
    let current = precondition(state, &object)?;
    keep_status(&mut object, current);
    let before = current.meta();
    let meta = object.meta_mut();
    meta.uid.clone_from(&before.uid);
    meta.creation_timestamp
        .clone_from(&before.creation_timestamp);
    meta.generation = before.generation;
    if let Some(deletion) = &mut meta.deletion_timestamp {
        deletion.0 = whole_second(deletion.0);
    }
    if differs_in_spec(&object, current) {
        let generation = before.generation.map(|generation| generation + 1);
        object.meta_mut().generation = generation;
    }
    Ok(finish_or_replace(current, object, version))
}

/// The write of a controller, which owns spec and status alike.
fn update_whole(
    state: &State,
    object: Object,
    version: ResourceVersion,
) -> Result<Decision, StoreError> {
    let current = precondition(state, &object)?;
    Ok(finish_or_replace(current, object, version))
}

fn finish_or_replace(current: &Object, object: Object, version: ResourceVersion) -> Decision {
    if is_finished(&object) {
        return Decision::Write(Change {
            version,
            previous: Some(current.clone()),
            object: with_version(object, version),
            deleted: true,
        });
    }
    replace(current, object, version)
}

/// A deleted object goes when its last finalizer does and nothing is left to wait for. A pod waits for its
/// containers as long as its grace period is not 0, a namespace for its contents.
fn is_finished(object: &Object) -> bool {
    let meta = object.meta();
    let any = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    let waits = match object {
        Object::Pod(_) => meta.deletion_grace_period_seconds != Some(0),
        Object::Namespace(namespace) => namespace
            .spec
            .as_ref()
            .is_some_and(|spec| any(&spec.finalizers)),
        Object::ConfigMap(_)
        | Object::Secret(_)
        | Object::ServiceAccount(_)
        | Object::PodPreset(_)
        | Object::Event(_)
        | Object::Node(_)
        | Object::PersistentVolume(_)
        | Object::PersistentVolumeClaim(_)
        | Object::PriorityClass(_) => false,
    };
    meta.deletion_timestamp.is_some() && !any(&meta.finalizers) && !waits
}

fn with_version(mut object: Object, version: ResourceVersion) -> Object {
    object.meta_mut().resource_version = Some(version.to_string());
    object
}

/// The write that turns `current` into `object`, unless they are equal but for the version.
fn replace(current: &Object, mut object: Object, version: ResourceVersion) -> Decision {
    object
        .meta_mut()
        .resource_version
        .clone_from(&current.meta().resource_version);
    if object == *current {
        return Decision::Nothing(object);
    }
    Decision::Write(Change {
        version,
        previous: Some(current.clone()),
        object: with_version(object, version),
        deleted: false,
    })
}

fn remove(
    state: &State,
    key: &ObjectKey,
    uid: Option<&Uid>,
    expected: Option<ResourceVersion>,
    version: ResourceVersion,
) -> Result<Decision, StoreError> {
    let current = state.existing(key)?;
    if let Some(uid) = uid {
        check_uid(key, current, uid)?;
    }
    if expected.is_some_and(|expected| expected != current.resource_version()) {
        return Err(StoreError::Conflict(key.clone()));
    }
    Ok(Decision::Write(deletion(current, version)))
}

fn deletion(current: &Object, version: ResourceVersion) -> Change {
    Change {
        version,
        previous: Some(current.clone()),
        object: with_version(current.clone(), version),
        deleted: true,
    }
}

fn disrupt_pod(
    state: &State,
    key: &ObjectKey,
    uid: &Uid,
    (condition, grace_seconds): (PodCondition, Option<i64>),
    version: ResourceVersion,
    now: Timestamp,
) -> Result<Decision, StoreError> {
    let current = state.existing(key)?;
    check_uid(key, current, uid)?;
    if current.meta().deletion_timestamp.is_some() {
        return Ok(Decision::Nothing(current.clone()));
    }
    let deleted = match plan_delete(current, grace_seconds, now) {
        DeletePlan::Unchanged => return Ok(Decision::Nothing(current.clone())),
        DeletePlan::Remove => return Ok(Decision::Write(deletion(current, version))),
        DeletePlan::Mark(deleted) => deleted.into_inner(),
    };
    let pod = Pod::from_object(&deleted).ok_or_else(|| StoreError::NotFound(key.clone()))?;
    let mut pod = Pod::clone(pod);
    let status = pod.status.get_or_insert_default();
    let conditions = status.conditions.get_or_insert_default();
    conditions.retain(|known| known.type_ != condition.type_);
    conditions.push(condition);
    Ok(replace(current, Arc::new(pod).into_object(), version))
}

fn remove_pod(
    state: &State,
    key: &ObjectKey,
    uid: &Uid,
    version: ResourceVersion,
) -> Result<Decision, StoreError> {
    let current = state.existing(key)?;
    check_uid(key, current, uid)?;
    let finalizers = current.meta().finalizers.as_deref().unwrap_or_default();
    if finalizers.is_empty() {
        return Ok(Decision::Write(deletion(current, version)));
    }
    change_pod(state, key, uid, version, |pod| {
        pod.metadata.deletion_grace_period_seconds = Some(0);
    })
}

fn change_pod(
    state: &State,
    key: &ObjectKey,
    uid: &Uid,
    version: ResourceVersion,
    change: impl FnOnce(&mut Pod),
) -> Result<Decision, StoreError> {
    let current = state.existing(key)?;
    check_uid(key, current, uid)?;
    let pod = Pod::from_object(current).ok_or_else(|| StoreError::NotFound(key.clone()))?;
    let mut pod = Pod::clone(pod);
    change(&mut pod);
    Ok(replace(current, Arc::new(pod).into_object(), version))
}

fn put(
    state: &State,
    mut object: Object,
    version: ResourceVersion,
    now: Timestamp,
) -> Result<Decision, StoreError> {
    let Some(current) = state.get(&object.key()) else {
        return create(state, object, version, now);
    };
    let before = current.meta();
    let meta = object.meta_mut();
    meta.uid.clone_from(&before.uid);
    meta.creation_timestamp
        .clone_from(&before.creation_timestamp);
    meta.generation = before.generation;
    Ok(replace(current, object, version))
}

/// The instant an event was last seen, by whichever of its fields is filled in.
pub(super) fn last_seen(event: &Event) -> Option<Timestamp> {
    let series = event
        .series
        .as_ref()
        .and_then(|series| series.last_observed_time.as_ref())
        .map(|time| time.0);
    [
        series,
        event.last_timestamp.as_ref().map(|time| time.0),
        event.event_time.as_ref().map(|time| time.0),
        event
            .metadata
            .creation_timestamp
            .as_ref()
            .map(|time| time.0),
    ]
    .into_iter()
    .flatten()
    .next()
}

fn check_uid(key: &ObjectKey, current: &Object, expected: &Uid) -> Result<(), StoreError> {
    let found = current.uid();
    if found == *expected {
        return Ok(());
    }
    Err(StoreError::OtherUid {
        key: key.clone(),
        expected: expected.clone(),
        found,
    })
}

/// ConfigMaps, Secrets, Events, Nodes, Namespaces, volumes and claims have no generation in Kubernetes.
fn has_generation(object: &Object) -> bool {
    match object {
        Object::Pod(_) | Object::PodPreset(_) | Object::PriorityClass(_) => true,
        Object::ConfigMap(_)
        | Object::Secret(_)
        | Object::ServiceAccount(_)
        | Object::Event(_)
        | Object::Node(_)
        | Object::Namespace(_)
        | Object::PersistentVolume(_)
        | Object::PersistentVolumeClaim(_) => false,
    }
}

/// The status may have been written since the writer read the object, so it always comes from `current`.
fn keep_status(object: &mut Object, current: &Object) {
    match (object, current) {
        (Object::Pod(new), Object::Pod(old)) if new.status != old.status => {
            Arc::make_mut(new).status.clone_from(&old.status);
        }
        (Object::Node(new), Object::Node(old)) if new.status != old.status => {
            Arc::make_mut(new).status.clone_from(&old.status);
        }
        (Object::PersistentVolume(new), Object::PersistentVolume(old))
            if new.status != old.status =>
        {
            Arc::make_mut(new).status.clone_from(&old.status);
        }
        (Object::PersistentVolumeClaim(new), Object::PersistentVolumeClaim(old))
            if new.status != old.status =>
        {
            Arc::make_mut(new).status.clone_from(&old.status);
        }
        _ => {}
    }
}

/// The start of a deletion counts, too (apiserver `pkg/registry/rest`, `BeforeDelete`).
fn differs_in_spec(new: &Object, old: &Object) -> bool {
    let deletion = |meta: &ObjectMeta| meta.deletion_timestamp.is_some();
    if deletion(new.meta()) != deletion(old.meta()) {
        return true;
    }
    match (new, old) {
        (Object::Pod(new), Object::Pod(old)) => new.spec != old.spec,
        (Object::PodPreset(new), Object::PodPreset(old)) => new.spec != old.spec,
        _ => false,
    }
}

fn generate_name(state: &State, object: &Object, prefix: &str) -> String {
    let mut end = prefix.len().min(NAME_BASE);
    while !prefix.is_char_boundary(end) {
        end -= 1;
    }
    let mut random = rand::rng();
    loop {
        let mut name = prefix[..end].to_owned();
        for _ in 0..NAME_SUFFIX {
            let index = random.random_range(0..NAME_CHARACTERS.len());
            name.push(char::from(NAME_CHARACTERS[index]));
        }
        let key = ObjectKey::new(object.kind(), object.namespace(), &name);
        if state.get(&key).is_none() {
            return name;
        }
    }
}

/// API times have whole seconds; keeping more in memory would make an object differ from its own JSON.
fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
