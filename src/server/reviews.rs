//! What clients ask about themselves. The socket is open to its owner and to root alone, and whoever came through
//! it may do everything; so the answers are those of a cluster's administrator.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::body;
use super::reply::{Answer, Failure, created};
use super::router::Shared;
use crate::model::ApiError;

pub(super) const AUTHORIZATION_GROUP: &str = "authorization.k8s.io";
pub(super) const AUTHENTICATION_GROUP: &str = "authentication.k8s.io";

/// Plural and kind of the reviews of both groups.
pub(super) const ACCESS: (&str, &str) = ("selfsubjectaccessreviews", "SelfSubjectAccessReview");
pub(super) const RULES: (&str, &str) = ("selfsubjectrulesreviews", "SelfSubjectRulesReview");
pub(super) const SUBJECT: (&str, &str) = ("selfsubjectreviews", "SelfSubjectReview");

const REASON: &str = "whoever may open podtui's socket may do everything";

pub(super) fn routes() -> Router<Shared> {
    let path = |group: &str, (plural, _): (&str, &str)| format!("/apis/{group}/v1/{plural}");
    Router::new()
        .route(&path(AUTHORIZATION_GROUP, ACCESS), post(access))
        .route(&path(AUTHORIZATION_GROUP, RULES), post(rules))
        .route(&path(AUTHENTICATION_GROUP, SUBJECT), post(subject))
}

async fn access(State(_): State<Shared>, headers: HeaderMap, body: Body) -> Answer {
    let review = read(&headers, body, AUTHORIZATION_GROUP, ACCESS.1).await?;
    let spec = &review["spec"];
    let (resource, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    if resource.is_object() == path.is_object() {
        let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        let text = format!(
            "{}.{AUTHORIZATION_GROUP} \"\" is invalid: spec: Invalid value: {spec}: {why}",
            ACCESS.1
        );
        return Err(ApiError::new(crate::model::Reason::Invalid, text).into());
    }
    Ok(answer(review, json!({"allowed": true, "reason": REASON})))
}

async fn rules(State(_): State<Shared>, headers: HeaderMap, body: Body) -> Answer {
    let review = read(&headers, body, AUTHORIZATION_GROUP, RULES.1).await?;
    let every = ["*"];
    Ok(answer(
        review,
        json!({
            "resourceRules": [{"verbs": every, "apiGroups": every, "resources": every}],
            "nonResourceRules": [{"verbs": every, "nonResourceURLs": every}],
            "incomplete": false,
        }),
    ))
}

async fn subject(State(_): State<Shared>, headers: HeaderMap, body: Body) -> Answer {
    let review = read(&headers, body, AUTHENTICATION_GROUP, SUBJECT.1).await?;
    let user = json!({
        "username": "system:admin",
        "groups": ["system:masters", "system:authenticated"],
    });
    Ok(answer(review, json!({"userInfo": user})))
}

async fn read(headers: &HeaderMap, body: Body, group: &str, kind: &str) -> Result<Value, Failure> {
    let mut review = body::read_object(headers, body).await?;
    body::expect(&mut review, &format!("{group}/v1"), kind)?;
    Ok(review)
}

fn answer(mut review: Value, status: Value) -> Response {
    review["metadata"] = json!({});
    review["status"] = status;
    created(StatusCode::CREATED, review)
}
