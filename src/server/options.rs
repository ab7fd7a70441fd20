//! What a request says about how to write and to delete.

use axum::body::Body;
use http::{HeaderMap, header};
use serde_json::Value;

use super::body;
use super::query::Query;
use crate::base::Uid;
use crate::client::{DeleteOptions, FieldValidation, Preconditions, WriteOptions};
use crate::model::{ApiError, FieldError};

pub(super) fn write_options(query: &Query) -> Result<WriteOptions, ApiError> {
    let field_validation = match query.text("fieldValidation") {
        // The default of the API server; kubectl always says what it wants.
        None | Some("Warn") => FieldValidation::Warn,
        Some("Strict") => FieldValidation::Strict,
        Some("Ignore") => FieldValidation::Ignore,
        Some(other) => {
            return Err(ApiError::bad_request(format!(
                "fieldValidation: Unsupported value: {other:?}: supported values: \"Ignore\", \"Strict\", \"Warn\""
            )));
        }
    };
    let field_manager = query.text("fieldManager").unwrap_or_default();
    if field_manager.len() > MANAGER_MAX {
        let error = FieldError::too_long("fieldManager", MANAGER_MAX);
        return Err(patch_options(&error));
    }
    Ok(WriteOptions {
        dry_run: is_dry_run(query.all("dryRun"))?,
        field_validation,
        subresource: None,
        field_manager: field_manager.to_owned(),
    })
}

/// Longer names of managers are refused or cut (`validation.FieldManagerMaxLength`).
const MANAGER_MAX: usize = 128;

/// Who names no manager is known by the beginning of his `User-Agent`, as at the API server.
pub(super) fn name_manager(options: &mut WriteOptions, headers: &HeaderMap) {
    let agent = headers
        .get(header::USER_AGENT)
        .and_then(|agent| agent.to_str().ok());
    if options.field_manager.is_empty()
        && let Some(agent) = agent
    {
        let name = agent.split('/').next().unwrap_or_default();
        options.field_manager = name.chars().take(MANAGER_MAX).collect();
    }
}

/// What an apply has to say (`ValidatePatchOptions`).
pub(super) fn check_apply(query: &Query) -> Result<(), ApiError> {
    if query.text("fieldManager").is_some() {
        return Ok(());
    }
    let error = FieldError::required("fieldManager", "is required for apply patch");
    Err(patch_options(&error))
}

/// What another patch must not say.
pub(super) fn check_change(query: &Query) -> Result<(), ApiError> {
    if !query.flag("force") {
        return Ok(());
    }
    let error = FieldError::forbidden("force", "may not be specified for non-apply patch");
    Err(patch_options(&error))
}

fn patch_options(error: &FieldError) -> ApiError {
    ApiError::invalid_options("PatchOptions.meta.k8s.io", "", std::slice::from_ref(error))
}

fn is_dry_run<'a>(values: impl Iterator<Item = &'a str>) -> Result<bool, ApiError> {
    let mut dry_run = false;
    for value in values {
        match value {
            "All" => dry_run = true,
            "" => {}
            other => {
                return Err(ApiError::bad_request(format!(
                    "dryRun: Unsupported value: {other:?}: supported values: \"All\""
                )));
            }
        }
    }
    Ok(dry_run)
}

/// `DeleteOptions` come in the body, in the query, or in both with the body ahead.
pub(super) async fn delete_options(
    query: &Query,
    headers: &HeaderMap,
    body: Body,
) -> Result<DeleteOptions, ApiError> {
    let body = body::read_if_any(headers, body).await?;
    delete_options_of(query, &body)
}

/// The same of a document that is read already, where it is a part of another.
pub(super) fn delete_options_of(query: &Query, body: &Value) -> Result<DeleteOptions, ApiError> {
    let text = |pointer: &str| {
        body.pointer(pointer)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let resource_version = text("/preconditions/resourceVersion")
        .map(|text| {
            text.parse().map_err(|_| {
                ApiError::bad_request(format!("invalid resourceVersion {text:?} in preconditions"))
            })
        })
        .transpose()?;
    let in_body = body
        .get("dryRun")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let dry_run = is_dry_run(in_body.filter_map(Value::as_str).chain(query.all("dryRun")))?;
    let grace_period_seconds = match body.get("gracePeriodSeconds").and_then(Value::as_i64) {
        Some(seconds) => Some(seconds),
        None => query.number("gracePeriodSeconds")?,
    };
    Ok(DeleteOptions {
        grace_period_seconds,
        preconditions: Preconditions {
            uid: text("/preconditions/uid").map(Uid::new),
            resource_version,
        },
        dry_run,
    })
}
