//! Tokens of service accounts on request (`registry/core/serviceaccount/storage/token.go`).

use k8s_openapi::api::core::v1::{Pod, Secret, ServiceAccount};

use super::Local;
use super::errors::engine_error;
use crate::base::Uid;
use crate::client::{BoundObject, IssuedToken, TokenWanted};
use crate::engine::{TokenBinding, TokenOrder};
use crate::model::{ApiError, Kind, Reason, Resource};

pub(super) fn create(
    local: &Local,
    namespace: &str,
    name: &str,
    wanted: TokenWanted,
) -> Result<IssuedToken, ApiError> {
    let account = local
        .store
        .get::<ServiceAccount>(namespace, name)
        .ok_or_else(|| ApiError::not_found(Kind::ServiceAccount, name))?;
    let binding = match &wanted.bound {
        Some(bound) => Some(binding(local, namespace, name, bound)?),
        None => None,
    };
    let order = TokenOrder {
        namespace: namespace.to_owned(),
        account: name.to_owned(),
        account_uid: account.uid(),
        audiences: wanted.audiences,
        seconds: wanted.seconds,
        binding,
    };
    let issued = local.engine.issue_token(order).map_err(engine_error)?;
    Ok(IssuedToken {
        token: issued.token,
        audiences: issued.audiences,
        at: issued.at,
        expires_at: issued.expires_at,
    })
}

/// The object that a token ends with, as it is now.
fn binding(
    local: &Local,
    namespace: &str,
    account: &str,
    bound: &BoundObject,
) -> Result<TokenBinding, ApiError> {
    let uid = match bound.kind.as_str() {
        "Pod" => {
            let pod = local.pod(namespace, &bound.name)?;
            if account_of(&pod) != account {
                return Err(ApiError::bad_request(format!(
                    "cannot bind token for serviceaccount {account:?} to pod running with different serviceaccount name."
                )));
            }
            pod.uid()
        }
        "Secret" => {
            let secret = local.store.get::<Secret>(namespace, &bound.name);
            let secret = secret.ok_or_else(|| ApiError::not_found(Kind::Secret, &bound.name))?;
            secret.uid()
        }
        other => {
            return Err(ApiError::bad_request(format!(
                "cannot bind token to object of type {other:?}; podtui binds to Pod and Secret"
            )));
        }
    };
    check_uid(bound, &uid)?;
    Ok(TokenBinding {
        kind: bound.kind.clone(),
        name: bound.name.clone(),
        uid,
    })
}

fn account_of(pod: &Pod) -> &str {
    let spec = pod.spec.as_ref();
    let name = spec.and_then(|spec| spec.service_account_name.as_deref());
    name.filter(|name| !name.is_empty()).unwrap_or("default")
}

fn check_uid(bound: &BoundObject, found: &Uid) -> Result<(), ApiError> {
    match &bound.uid {
        Some(wanted) if wanted != found => Err(ApiError::new(
            Reason::Conflict,
            format!(
                "the UID in the bound object reference ({wanted}) does not match the UID in record. The object might \
                 have been deleted and then recreated"
            ),
        )),
        _ => Ok(()),
    }
}
