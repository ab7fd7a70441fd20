//! What is done with an object by a path of its own: eviction of a pod, a token of a service account.

use axum::body::Body;
use axum::extract::{Path, State};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::body;
use super::options::{delete_options_of, write_options};
use super::query::Query;
use super::reply::{self, Answer};
use super::router::{Shared, key};
use crate::base::Uid;
use crate::client::{BoundObject, TokenWanted};
use crate::model::{ApiError, FieldError, Kind};

pub(super) const EVICTION: (&str, &str) = ("policy/v1", "Eviction");
pub(super) const TOKEN: (&str, &str) = ("authentication.k8s.io/v1", "TokenRequest");

/// Seconds a token may live (`ValidateTokenRequest`).
const SHORTEST: i64 = 600;
const LONGEST: i64 = 1 << 32;
const USUAL: i64 = 3600;

/// Deletes a pod and says in its conditions that it was evicted. There are no disruption budgets that could
/// refuse it.
pub(super) async fn evict(
    State(shared): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
    query: Query,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let key = key(Kind::Pod, &namespace, &name)?;
    let mut eviction = body::read_object(&headers, body).await?;
    body::expect(&mut eviction, EVICTION.0, EVICTION.1)?;
    let named = eviction.pointer("/metadata/name").and_then(Value::as_str);
    if let Some(other) = named.filter(|named| *named != name) {
        return Err(ApiError::bad_request(format!(
            "name in URL does not match name in Eviction object: {name} {other}"
        ))
        .into());
    }
    let options = delete_options_of(&query, &eviction["deleteOptions"])?;
    shared.client.evict(&key, options).await?;
    Ok(reply::success(StatusCode::CREATED))
}

/// `kubectl create token`.
pub(super) async fn create_token(
    State(shared): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
    query: Query,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    key(Kind::ServiceAccount, &namespace, &name)?;
    let mut request = body::read_object(&headers, body).await?;
    body::expect(&mut request, TOKEN.0, TOKEN.1)?;
    let dry_run = write_options(&query)?.dry_run;
    let wanted = token_wanted(&request["spec"])?;
    let seconds = wanted.seconds;
    let issued = shared
        .client
        .create_token(&namespace, &name, wanted)
        .await?;
    request["metadata"] = json!({
        "name": name,
        "namespace": namespace,
        "creationTimestamp": format!("{:.0}", issued.at),
    });
    request["spec"]["audiences"] = json!(issued.audiences);
    request["spec"]["expirationSeconds"] = json!(seconds);
    // A dry run shows everything but the token.
    let token = if dry_run { "" } else { &issued.token };
    request["status"] = json!({
        "token": token,
        "expirationTimestamp": format!("{:.0}", issued.expires_at),
    });
    Ok(reply::created(StatusCode::CREATED, request))
}

fn token_wanted(spec: &Value) -> Result<TokenWanted, ApiError> {
    let seconds = match &spec["expirationSeconds"] {
        Value::Null => USUAL,
        value => value.as_i64().ok_or_else(|| {
            ApiError::bad_request(format!("spec.expirationSeconds: {value} is no integer"))
        })?,
    };
    let why = if seconds < SHORTEST {
        Some("may not specify a duration less than 10 minutes")
    } else if seconds > LONGEST {
        Some("may not specify a duration larger than 2^32 seconds")
    } else {
        None
    };
    if let Some(why) = why {
        let error = FieldError::invalid("spec.expirationSeconds", seconds, why);
        return Err(ApiError::invalid_options(
            "TokenRequest.authentication.k8s.io",
            "",
            &[error],
        ));
    }
    let audiences = spec["audiences"].as_array().map_or_else(Vec::new, |list| {
        let texts = list.iter().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    });
    let text = |field: &str| {
        spec["boundObjectRef"][field]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let bound = spec["boundObjectRef"].is_object().then(|| BoundObject {
        kind: text("kind"),
        name: text("name"),
        uid: Some(text("uid"))
            .filter(|uid| !uid.is_empty())
            .map(Uid::new),
    });
    Ok(TokenWanted {
        audiences,
        seconds,
        bound,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(spec: &Value, expected: Result<(i64, &[&str], Option<&str>), &str>) {
        let found = match token_wanted(spec) {
            Ok(wanted) => {
                let bound = wanted.bound.map(|bound| bound.kind);
                Ok((wanted.seconds, wanted.audiences, bound))
            }
            Err(error) => Err(error.message),
        };
        let expected = match expected {
            Ok((seconds, audiences, bound)) => {
                let audiences = audiences.iter().map(|&text| text.to_owned()).collect();
                Ok((seconds, audiences, bound.map(str::to_owned)))
            }
            Err(text) => Err(text.to_owned()),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn wanted_tokens() {
        check(&json!({}), Ok((3600, &[], None)));
        check(&Value::Null, Ok((3600, &[], None)));
        check(
            &json!({"audiences": ["a"], "expirationSeconds": 600, "boundObjectRef": {"kind": "Pod", "name": "p"}}),
            Ok((600, &["a"], Some("Pod"))),
        );
        check(
            &json!({"expirationSeconds": 599}),
            Err(
                "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 599: \
                 may not specify a duration less than 10 minutes",
            ),
        );
        check(
            &json!({"expirationSeconds": LONGEST + 1}),
            Err(
                "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 4294967297: \
                 may not specify a duration larger than 2^32 seconds",
            ),
        );
    }
}
