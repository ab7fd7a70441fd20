use std::sync::Arc;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::routing::{any, get, post};
use http::Method;
use http::request::Parts;
use tokio_util::sync::CancellationToken;

use super::pages::Pages;
use super::query::Query;
use super::reply::{Failure, no_such_method, no_such_resource};
use super::{actions, discovery, forward, logs, objects, openapi, own, reviews, session};
use crate::client::Client;
use crate::model::{ApiError, Kind, ObjectKey};

/// What every handler may use.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) client: Arc<dyn Client>,
    /// Ends watches, follows and sessions.
    pub(super) shutdown: CancellationToken,
    pub(super) pages: Arc<Pages>,
}

pub(super) fn router(client: Arc<dyn Client>, shutdown: CancellationToken) -> Router {
    Router::new()
        .merge(discovery::routes())
        .merge(openapi::routes())
        .merge(own::routes())
        .merge(reviews::routes())
        .merge(objects_below("/api/v1"))
        .merge(objects_below(PRESETS))
        .merge(objects_below(SCHEDULING))
        .route(
            "/api/v1/namespaces/{namespace}/pods/{name}/{part}",
            any(objects::pod_part),
        )
        .route(
            "/api/v1/namespaces/{namespace}/pods/{name}/log",
            get(logs::log),
        )
        .route(
            "/api/v1/namespaces/{namespace}/pods/{name}/exec",
            get(session::exec).post(session::exec),
        )
        .route(
            "/api/v1/namespaces/{namespace}/pods/{name}/attach",
            get(session::attach).post(session::attach),
        )
        .route(
            "/api/v1/namespaces/{namespace}/pods/{name}/portforward",
            get(forward::port_forward).post(forward::port_forward),
        )
        .route(
            "/api/v1/namespaces/{namespace}/pods/{name}/eviction",
            post(actions::evict),
        )
        .route(
            "/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token",
            post(actions::create_token),
        )
        .fallback(async || no_such_resource())
        .method_not_allowed_fallback(async || no_such_method())
        .with_state(Shared {
            client,
            shutdown,
            pages: Arc::default(),
        })
}

/// Where the kinds of `settings.k8s.io` are.
pub(super) const PRESETS: &str = "/apis/settings.k8s.io/v1alpha1";
/// Where the kinds of `scheduling.k8s.io` are.
pub(super) const SCHEDULING: &str = "/apis/scheduling.k8s.io/v1";

/// The objects of one group and version.
fn objects_below(root: &str) -> Router<Shared> {
    let below = |path: &str| format!("{root}{path}");
    Router::new()
        // Cluster-scoped objects, and namespaced ones of all namespaces.
        .route(&below("/{plural}"), any(objects::collection))
        .route(&below("/{plural}/{name}"), any(objects::item))
        .route(&below("/{plural}/{name}/status"), any(objects::status))
        // `namespaces/x/status` has the shape of a collection, too; `namespaced_collection` tells them apart.
        .route(
            &below("/namespaces/{namespace}/{plural}"),
            any(objects::namespaced_collection),
        )
        .route(
            &below("/namespaces/{namespace}/{plural}/{name}"),
            any(objects::namespaced_item),
        )
        .route(
            &below("/namespaces/{namespace}/{plural}/{name}/status"),
            get(objects::namespaced_status),
        )
}

/// Group and version of a path, as `apiVersion` writes them: `v1`, `settings.k8s.io/v1alpha1`.
pub(super) struct ApiVersion(String);

impl<S: Sync> FromRequestParts<S> for ApiVersion {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Failure> {
        let mut words = parts.uri.path().trim_start_matches('/').splitn(4, '/');
        let mut next = || words.next().unwrap_or_default();
        match next() {
            "api" => Ok(Self(next().to_owned())),
            "apis" => Ok(Self(format!("{}/{}", next(), next()))),
            _ => Err(no_such_resource()),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Failure> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default())?)
    }
}

/// The kind behind a plural of a path.
pub(super) fn kind(version: &ApiVersion, plural: &str) -> Result<Kind, Failure> {
    Kind::from_plural(&version.0, plural).ok_or_else(no_such_resource)
}

pub(super) fn key(kind: Kind, namespace: &str, name: &str) -> Result<ObjectKey, Failure> {
    check_segment("resource name", name)?;
    if kind.is_namespaced() {
        check_segment("namespace", namespace)?;
    }
    Ok(ObjectKey::new(kind, namespace, name))
}

/// `IsValidPathSegmentName` of apimachinery: what can never be a name must not reach anything that could
/// take it for a path.
pub(super) fn check_segment(what: &str, text: &str) -> Result<(), Failure> {
    let problem = if text == "." || text == ".." {
        format!("may not be '{text}'")
    } else if let Some(bad) = text.chars().find(|c| matches!(c, '/' | '%')) {
        format!("may not contain '{bad}'")
    } else {
        return Ok(());
    };
    Err(ApiError::bad_request(format!("invalid {what} {text:?}: [{problem}]")).into())
}

/// Methods other than these were refused by the router; this is for paths that take `any`.
pub(super) fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}
