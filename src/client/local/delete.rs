use super::Local;
use super::errors::{engine_error, store_error, uid_conflict, version_conflict};
use super::{namespaces, priority};
use crate::admission::{DeletePlan, plan_delete};
use crate::client::{DeleteOptions, Preconditions};
use crate::model::{ApiError, Kind, Object, ObjectKey, Resource, pod as pods};
use crate::store::StoreError;

/// Decides on the latest state and tries again when that was overtaken: a deletion is meant for whatever
/// the object is now, unless the user named a version.
pub(super) async fn delete(
    local: &Local,
    key: &ObjectKey,
    options: &DeleteOptions,
) -> Result<Object, ApiError> {
    if key.kind == Kind::Namespace {
        namespaces::check_deletable(&key.name)?;
    }
    if key.kind == Kind::PriorityClass {
        priority::check_deletable(&key.name)?;
    }
    if key.kind == Kind::Node {
        local.object(key)?;
        let why = "this machine is the only node, and nothing would register it again";
        return Err(ApiError::forbidden(Kind::Node, &key.name, why));
    }
    loop {
        let current = local.object(key)?;
        check_preconditions(&current, &options.preconditions)?;
        let plan = plan_delete(&current, options.grace_period_seconds, local.clock.now());
        if options.dry_run {
            return Ok(match plan {
                DeletePlan::Mark(object) => object.into_inner(),
                DeletePlan::Remove | DeletePlan::Unchanged => current,
            });
        }
        let written = match plan {
            DeletePlan::Unchanged => return Ok(current),
            DeletePlan::Mark(object) => {
                let marked = local.spec.update(object).await;
                if let (Ok(object), Kind::Namespace) = (&marked, key.kind) {
                    namespaces::finish(local, object);
                }
                marked
            }
            DeletePlan::Remove => {
                let version = current.resource_version();
                local
                    .spec
                    .remove(key, Some(&current.uid()), Some(version))
                    .await
            }
        };
        match written {
            Ok(object) => return Ok(object),
            Err(StoreError::Conflict(_) | StoreError::OtherUid { .. }) => {}
            Err(error) => return Err(store_error(&error)),
        }
    }
}

/// As a deletion, which the conditions of the pod then tell as an eviction. A pod that does not run, or goes
/// already, is just deleted.
pub(super) async fn evict(
    local: &Local,
    key: &ObjectKey,
    options: &DeleteOptions,
) -> Result<(), ApiError> {
    let pod = local.pod(key.namespace.as_deref().unwrap_or_default(), &key.name)?;
    let ends = pods::is_terminal(&pod)
        || pods::phase(&pod) == "Pending"
        || pod.metadata.deletion_timestamp.is_some();
    if ends || options.dry_run {
        return delete(local, key, options).await.map(drop);
    }
    check_preconditions(&pod.clone().into_object(), &options.preconditions)?;
    let grace = options.grace_period_seconds;
    let uid = pod.uid();
    let evicted = local.engine.evict(key, &uid, grace);
    evicted.await.map_err(engine_error)
}

fn check_preconditions(current: &Object, wanted: &Preconditions) -> Result<(), ApiError> {
    if let Some(uid) = &wanted.uid
        && *uid != current.uid()
    {
        let (kind, name) = (current.kind(), current.name());
        return Err(uid_conflict(
            kind,
            name,
            uid.as_str(),
            current.uid().as_str(),
        ));
    }
    match wanted.resource_version {
        Some(version) if version != current.resource_version() => {
            Err(version_conflict(current, &version.to_string()))
        }
        _ => Ok(()),
    }
}
