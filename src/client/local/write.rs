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
    Ok(Written { object, warnings })
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
    update(local, &key, options, |_| {
        Ok((object.clone(), warnings.clone()))
    })
    .await
}

pub(super) async fn patch(
    local: &Local,
    key: &ObjectKey,
    patch: &Patch,
    options: &WriteOptions,
) -> Result<Written, ApiError> {
    update(local, key, options, |current| {
        let patched = apply(key, &current.to_value(), patch)?;
        let (object, warnings) = read(patched, options.field_validation)?;
        if object.key() != *key {
            return Err(ApiError::bad_request(format!(
                "a patch must not change kind, namespace or name of {key}"
            )));
        }
        Ok((object, warnings))
    })
    .await
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
            return Ok(Written { object, warnings });
        }
        let written = match options.subresource {
            Some(Subresource::Status) => local.spec.update_status(admitted).await,
            Some(Subresource::EphemeralContainers | Subresource::Resize) | None => {
                local.spec.update(admitted).await
            }
        };
        match written {
            Ok(object) => return Ok(Written { object, warnings }),
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
