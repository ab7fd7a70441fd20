use std::sync::Arc;

use serde_json::Value;
use tracing::warn;

use super::Local;
use super::errors::{store_error, uid_conflict};
use super::{accounts, namespaces, priority, runtime_classes};
use crate::admission::{
    Admitted, Context, admit_create, admit_part, admit_update, refuse_growth, use_presets,
};
use crate::client::{FieldValidation, Patch, WriteOptions, Written};
use crate::model::decode::decode;
use crate::model::managed::{self, Writer};
use crate::model::{
    ApiError, Object, ObjectKey, PodPreset, Reason, Subresource, patch as patching,
};
use crate::store::StoreError;

/// How often a write is tried again on a newer version when its user named none. The API server has the
/// same number (`MaxRetryWhenPatchConflicts`).
const ATTEMPTS: usize = 5;

pub(super) async fn create(
    local: &Local,
    manifest: Value,
    options: &WriteOptions,
) -> Result<Written, ApiError> {
    let (mut object, mut warnings) = read(manifest, options.field_validation)?;
    default_namespace(&mut object);
    let (kind, name) = (object.kind(), object.name().to_owned());
    if !object
        .meta()
        .resource_version
        .as_deref()
        .unwrap_or_default()
        .is_empty()
    {
        return Err(ApiError::bad_request(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    namespaces::check_accepts(local, &object)?;
    warnings.extend(apply_presets(local, &mut object));
    accounts::apply(local, &mut object, options.dry_run).await?;
    priority::apply(local, &mut object)?;
    runtime_classes::check_known(&object)?;
    let (admitted, more) = admit_create(object, &context(local))
        .map_err(|errors| ApiError::invalid(kind, &name, &errors))?;
    runtime_classes::check_overhead(admitted.get())?;
    warnings.extend(more);
    priority::check_class(local, admitted.get())?;
    let object = if options.dry_run {
        let object = admitted.into_inner();
        if local.store.get_object(&object.key()).is_some() {
            return Err(ApiError::already_exists(kind, object.name()));
        }
        object
    } else {
        let created = local.spec.create(admitted).await;
        created.map_err(|error| store_error(&error))?
    };
    Ok(Written {
        object,
        warnings,
        is_new: true,
    })
}

/// What the presets of its namespace give to a new pod; returns what they would have, but for a conflict.
fn apply_presets(local: &Local, object: &mut Object) -> Vec<String> {
    let Object::Pod(pod) = object else {
        return Vec::new();
    };
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    let (presets, _) = local.store.list::<PodPreset>(Some(&namespace));
    if presets.is_empty() {
        return Vec::new();
    }
    let conflicts = use_presets(Arc::make_mut(pod), &presets);
    for conflict in &conflicts {
        warn!(pod = %object.key(), conflict, "presets are not applied");
    }
    conflicts
}

pub(super) async fn replace(
    local: &Local,
    manifest: Value,
    options: &WriteOptions,
) -> Result<Written, ApiError> {
    let (mut object, warnings) = read(manifest, options.field_validation)?;
    default_namespace(&mut object);
    let key = object.key();
    update(local, &key, options, |current| {
        let object = managed_by(local, options, current, object.clone())?;
        Ok((object, warnings.clone()))
    })
    .await
}

pub(super) async fn patch(
    local: &Local,
    key: &ObjectKey,
    patch: &Patch,
    options: &WriteOptions,
) -> Result<Written, ApiError> {
    if let Patch::Apply { manifest, force } = patch {
        return apply_fields(local, key, manifest, *force, options).await;
    }
    update(local, key, options, |current| {
        let patched = apply(key, &current.to_value(), patch)?;
        let (object, warnings) = patched_object(key, patched, options)?;
        let object = managed_by(local, options, current, object)?;
        Ok((object, warnings))
    })
    .await
}

fn patched_object(
    key: &ObjectKey,
    patched: Value,
    options: &WriteOptions,
) -> Result<(Object, Vec<String>), ApiError> {
    let (object, warnings) = read(patched, options.field_validation)?;
    if object.key() != *key {
        return Err(ApiError::bad_request(format!(
            "a patch must not change kind, namespace or name of {key}"
        )));
    }
    Ok((object, warnings))
}

/// Server-side apply: the object is made when there is none.
async fn apply_fields(
    local: &Local,
    key: &ObjectKey,
    manifest: &Value,
    force: bool,
    options: &WriteOptions,
) -> Result<Written, ApiError> {
    for _ in 0..ATTEMPTS {
        let applied = |live: Option<&Value>| {
            let writer = writer(local, options);
            managed::apply(key.kind, live, manifest, &writer, force)
        };
        let is_there = local.store.get_object(key).is_some();
        let written = if is_there {
            let change = |current: &Object| {
                let merged = applied(Some(&current.to_value()))?;
                patched_object(key, merged, options)
            };
            update(local, key, options, change).await
        } else if options.subresource.is_some() {
            return Err(ApiError::not_found(key.kind, &key.name));
        } else {
            create(local, applied(None)?, options).await
        };
        match written {
            // Somebody removed or made it in between.
            Err(error) if is_there && error.reason == Reason::NotFound => {}
            Err(error) if !is_there && error.reason == Reason::AlreadyExists => {}
            written => return written,
        }
    }
    Err(ApiError::conflict(key.kind, &key.name))
}

/// Who writes, as the object remembers it. The front ends of podtui do not name themselves.
fn writer<'a>(local: &Local, options: &'a WriteOptions) -> Writer<'a> {
    let manager = match options.field_manager.as_str() {
        "" => "podtui",
        manager => manager,
    };
    Writer {
        manager,
        part: options.subresource,
        now: local.clock.now(),
    }
}

/// `object` with its managers after this write.
fn managed_by(
    local: &Local,
    options: &WriteOptions,
    current: &Object,
    mut object: Object,
) -> Result<Object, ApiError> {
    let is_managed = |object: &Object| object.meta().managed_fields.is_some();
    if !is_managed(current) && !is_managed(&object) {
        return Ok(object);
    }
    let writer = writer(local, options);
    let (old, new) = (current.to_value(), object.to_value());
    let managed = managed::after_update(object.kind(), &old, &new, &writer);
    let managed = managed.map(serde_json::from_value).transpose();
    object.meta_mut().managed_fields =
        managed.map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(object)
}

fn changed(object: Object, warnings: Vec<String>) -> Written {
    Written {
        object,
        warnings,
        is_new: false,
    }
}

fn apply(key: &ObjectKey, current: &Value, patch: &Patch) -> Result<Value, ApiError> {
    let refused = |error: patching::PatchError| {
        let text = crate::base::chain(&error);
        ApiError::new(
            Reason::Invalid,
            format!("the server rejected our request due to an error in our request: {text}"),
        )
    };
    match patch {
        Patch::Json(patch) => patching::apply_json(current, patch).map_err(refused),
        Patch::Merge(patch) => Ok(patching::apply_merge(current, patch)),
        Patch::Strategic(patch) => {
            patching::apply_strategic(key.kind, current, patch).map_err(refused)
        }
        // It is no change of one JSON document alone, and has its own way here.
        Patch::Apply { .. } => Err(ApiError::internal("an apply is merged by its managers")),
    }
}

/// Reads, changes, writes; again from the start when somebody else wrote in between. When the user named a
/// version, the second round refuses it.
async fn update(
    local: &Local,
    key: &ObjectKey,
    options: &WriteOptions,
    change: impl Fn(&Object) -> Result<(Object, Vec<String>), ApiError>,
) -> Result<Written, ApiError> {
    for attempt in 1..=ATTEMPTS {
        let current = local.object(key)?;
        let (object, mut warnings) = change(&current)?;
        check_preconditions(&current, &object)?;
        let (admitted, more) = admit(local, &current, object, options.subresource)?;
        warnings.extend(more);
        if options.dry_run {
            let object = admitted.into_inner();
            return Ok(changed(object, warnings));
        }
        let written = match options.subresource {
            Some(Subresource::Status) => local.spec.update_status(admitted).await,
            Some(Subresource::EphemeralContainers | Subresource::Resize) | None => {
                local.spec.update(admitted).await
            }
        };
        match written {
            Ok(object) => return Ok(changed(object, warnings)),
            Err(StoreError::Conflict(_)) if attempt < ATTEMPTS => {}
            Err(error) => return Err(store_error(&error)),
        }
    }
    Err(ApiError::conflict(key.kind, &key.name))
}

/// Admits `object` as the successor of exactly `current`.
fn admit(
    local: &Local,
    current: &Object,
    mut object: Object,
    part: Option<Subresource>,
) -> Result<(Admitted<Object>, Vec<String>), ApiError> {
    let version = current.meta().resource_version.clone();
    object.meta_mut().resource_version = version;
    let wanted = object.clone();
    let admission = match part {
        Some(part) => admit_part(current, object, part),
        None => admit_update(current, object, &context(local)),
    };
    let admitted =
        admission.map_err(|errors| ApiError::invalid(current.kind(), current.name(), &errors))?;
    priority::check_class(local, admitted.0.get())?;
    match refuse_growth(current, &wanted) {
        Some(why) => Err(ApiError::forbidden(current.kind(), current.name(), why)),
        None => Ok(admitted),
    }
}

/// Uid and version are preconditions when they are given. A patched object has those of `current` unless the
/// patch sets others.
fn check_preconditions(current: &Object, wanted: &Object) -> Result<(), ApiError> {
    let uid = wanted.uid();
    if !uid.as_str().is_empty() && uid != current.uid() {
        let (kind, name) = (current.kind(), current.name());
        return Err(uid_conflict(
            kind,
            name,
            uid.as_str(),
            current.uid().as_str(),
        ));
    }
    let version = wanted.meta().resource_version.as_deref();
    match version.unwrap_or_default() {
        "" => Ok(()),
        text if current.meta().resource_version.as_deref() == Some(text) => Ok(()),
        _ => Err(ApiError::conflict(current.kind(), current.name())),
    }
}

pub(super) fn context(local: &Local) -> Context {
    Context {
        now: local.clock.now(),
    }
}

fn default_namespace(object: &mut Object) {
    if object.kind().is_namespaced() && object.namespace().is_empty() {
        object.meta_mut().namespace = Some("default".to_owned());
    }
}

/// The typed object and the warnings about its fields.
fn read(manifest: Value, validation: FieldValidation) -> Result<(Object, Vec<String>), ApiError> {
    let decoded = decode(manifest).map_err(|error| ApiError::bad_request(error.to_string()))?;
    let warnings = match validation {
        FieldValidation::Strict => match decoded.strict_error() {
            Some(error) => return Err(ApiError::bad_request(error)),
            None => Vec::new(),
        },
        FieldValidation::Warn => decoded
            .unknown_fields
            .iter()
            .map(|path| format!("unknown field \"{path}\""))
            .collect(),
        FieldValidation::Ignore => Vec::new(),
    };
    Ok((decoded.object, warnings))
}
