use crate::base::chain;
use crate::engine::EngineError;
use crate::model::{ApiError, Kind, Object, Reason};
use crate::store::StoreError;

/// What the API says about a failed write.
pub(super) fn store_error(error: &StoreError) -> ApiError {
    match error {
        StoreError::NotFound(key) => ApiError::not_found(key.kind, &key.name),
        StoreError::AlreadyExists(key) => ApiError::already_exists(key.kind, &key.name),
        StoreError::Conflict(key) => ApiError::conflict(key.kind, &key.name),
        StoreError::OtherUid {
            key,
            expected,
            found,
        } => uid_conflict(key.kind, &key.name, expected.as_str(), found.as_str()),
        StoreError::Refused { key, errors } => ApiError::invalid(key.kind, &key.name, errors),
        StoreError::Closed => ApiError::new(Reason::ServiceUnavailable, "the engine is stopping"),
        StoreError::Directory { .. }
        | StoreError::NoSpace { .. }
        | StoreError::Append { .. }
        | StoreError::Sync { .. }
        | StoreError::Read { .. }
        | StoreError::NewerFormat { .. } => ApiError::internal(chain(error)),
    }
}

pub(super) fn uid_conflict(kind: Kind, name: &str, expected: &str, found: &str) -> ApiError {
    precondition(
        kind,
        name,
        &format!("UID in precondition: {expected}, UID in object meta: {found}"),
    )
}

pub(super) fn version_conflict(object: &Object, expected: &str) -> ApiError {
    let found = object.resource_version();
    precondition(
        object.kind(),
        object.name(),
        &format!(
            "ResourceVersion in precondition: {expected}, ResourceVersion in object meta: {found}"
        ),
    )
}

/// `storage.NewInvalidObjError` as the API server renders it.
fn precondition(kind: Kind, name: &str, what: &str) -> ApiError {
    let mut error = ApiError::conflict(kind, name);
    error.message = format!(
        "Operation cannot be fulfilled on {} \"{name}\": Precondition failed: {what}",
        kind.qualified_plural()
    );
    error
}

pub(super) fn engine_error(error: EngineError) -> ApiError {
    match error {
        EngineError::NotRunning(text) | EngineError::BadRequest(text) => {
            ApiError::bad_request(text)
        }
        EngineError::NotFound(what) => ApiError::new(Reason::NotFound, format!("{what} not found")),
        EngineError::Internal(text) => ApiError::internal(text),
    }
}
