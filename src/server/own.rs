//! Groups beside the core group: metrics as Kubernetes has them, and podtui's own for images and the engine.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::body;
use super::query::Query;
use super::reply::Answer;
use super::router::{Shared, check_segment};
use crate::base::Login;
use crate::client::{
    ImageSource, NodeMetrics, PROCESSES_ANNOTATION, PodMetrics, RECEIVED_ANNOTATION,
    SENT_ANNOTATION,
};
use crate::model::{ApiError, Reason};

pub(super) const METRICS_GROUP: &str = "metrics.k8s.io";
pub(super) const IMAGE_GROUP: &str = "images.podtui.dev";
pub(super) const ENGINE_GROUP: &str = "engine.podtui.dev";
pub(super) const OWN_VERSION: &str = "v1alpha1";

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/apis/metrics.k8s.io/v1beta1/pods", get(all_metrics))
        .route(
            "/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods",
            get(namespace_metrics),
        )
        .route(
            "/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods/{name}",
            get(one_metrics),
        )
        .route("/apis/metrics.k8s.io/v1beta1/nodes", get(node_metrics))
        .route("/apis/metrics.k8s.io/v1beta1/nodes/{name}", get(one_node))
        .route(
            "/apis/images.podtui.dev/v1alpha1/images",
            get(images).post(add_image),
        )
        .route("/apis/images.podtui.dev/v1alpha1/pulls", get(pulls))
        .route("/apis/images.podtui.dev/v1alpha1/logins", post(check_login))
        .route("/apis/images.podtui.dev/v1alpha1/archive", get(archive))
        .route("/apis/images.podtui.dev/v1alpha1/prune", post(prune))
        .route("/apis/engine.podtui.dev/v1alpha1/disk", get(disk))
        .route(
            "/apis/engine.podtui.dev/v1alpha1/namespaces/{namespace}/pods/{name}/processes",
            get(processes),
        )
        .route(
            "/apis/engine.podtui.dev/v1alpha1/namespaces/{namespace}/pods/{name}/incidents",
            get(incidents),
        )
        // Image names contain slashes.
        .route(
            "/apis/images.podtui.dev/v1alpha1/images/{*name}",
            delete(remove_image),
        )
        .route("/apis/engine.podtui.dev/v1alpha1/status", get(engine))
        .route("/apis/engine.podtui.dev/v1alpha1/stop", post(stop))
}

async fn all_metrics(State(shared): State<Shared>) -> Answer {
    metrics_list(&shared, None).await
}

async fn namespace_metrics(State(shared): State<Shared>, Path(namespace): Path<String>) -> Answer {
    check_segment("namespace", &namespace)?;
    metrics_list(&shared, Some(&namespace)).await
}

async fn metrics_list(shared: &Shared, namespace: Option<&str>) -> Answer {
    let metrics = shared.client.pod_metrics(namespace).await?;
    let items: Vec<Value> = metrics.iter().map(metrics_value).collect();
    Ok(Json(json!({
        "kind": "PodMetricsList",
        "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": {},
        "items": items,
    }))
    .into_response())
}

async fn one_metrics(
    State(shared): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
) -> Answer {
    let metrics = shared.client.pod_metrics(Some(&namespace)).await?;
    let found = metrics.iter().find(|metrics| metrics.name == name);
    let Some(found) = found else {
        let message = format!("podmetrics.metrics.k8s.io \"{namespace}/{name}\" not found");
        return Err(ApiError::new(Reason::NotFound, message).into());
    };
    Ok(Json(metrics_value(found)).into_response())
}

fn metrics_value(metrics: &PodMetrics) -> Value {
    let containers: Vec<Value> = metrics
        .containers
        .iter()
        .map(|container| {
            json!({
                "name": container.name,
                "usage": {
                    "cpu": format!("{}n", container.cpu_nanocores),
                    "memory": container.memory_bytes.to_string(),
                },
            })
        })
        .collect();
    let counted = [
        (PROCESSES_ANNOTATION, metrics.processes),
        (
            RECEIVED_ANNOTATION,
            metrics.network.map(|bytes| bytes.received),
        ),
        (SENT_ANNOTATION, metrics.network.map(|bytes| bytes.sent)),
    ];
    let annotations: serde_json::Map<String, Value> = counted
        .into_iter()
        .filter_map(|(name, count)| Some((name.to_owned(), count?.to_string().into())))
        .collect();
    json!({
        "kind": "PodMetrics",
        "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": {
            "name": metrics.name,
            "namespace": metrics.namespace,
            "annotations": annotations,
            "creationTimestamp": metrics.at.to_string(),
        },
        "timestamp": metrics.at.to_string(),
        // Readings are averages since the reading before, which is at least this long ago.
        "window": "1s",
        "containers": containers,
    })
}

async fn node_metrics(State(shared): State<Shared>) -> Answer {
    let metrics = shared.client.node_metrics().await?;
    Ok(Json(json!({
        "kind": "NodeMetricsList",
        "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": {},
        "items": [node_value(&metrics)],
    }))
    .into_response())
}

async fn one_node(State(shared): State<Shared>, Path(name): Path<String>) -> Answer {
    let metrics = shared.client.node_metrics().await?;
    if metrics.name != name {
        let message = format!("nodemetrics.metrics.k8s.io \"{name}\" not found");
        return Err(ApiError::new(Reason::NotFound, message).into());
    }
    Ok(Json(node_value(&metrics)).into_response())
}

fn node_value(metrics: &NodeMetrics) -> Value {
    json!({
        "kind": "NodeMetrics",
        "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": {"name": metrics.name, "creationTimestamp": metrics.at.to_string()},
        "timestamp": metrics.at.to_string(),
        "window": "1s",
        "usage": {
            "cpu": format!("{}n", metrics.cpu_nanocores),
            "memory": metrics.memory_bytes.to_string(),
        },
    })
}

/// Takes `{"all": bool}`.
async fn prune(State(shared): State<Shared>, headers: HeaderMap, body: Body) -> Answer {
    let mut options = body::read_object(&headers, body).await?;
    let report = shared
        .client
        .prune_images(field(&mut options, "/all")?)
        .await?;
    Ok(Json(json!({
        "kind": "ImagePrune",
        "apiVersion": "images.podtui.dev/v1alpha1",
        "status": report,
    }))
    .into_response())
}

async fn disk(State(shared): State<Shared>) -> Answer {
    let rows = shared.client.disk_usage().await?;
    Ok(Json(json!({
        "kind": "DiskUsage",
        "apiVersion": "engine.podtui.dev/v1alpha1",
        "items": rows,
    }))
    .into_response())
}

async fn pulls(State(shared): State<Shared>) -> Answer {
    let pulls = shared.client.image_pulls().await?;
    let items: Vec<Value> = pulls
        .iter()
        .map(|pull| {
            json!({
                "kind": "ImagePull",
                "apiVersion": "images.podtui.dev/v1alpha1",
                "metadata": {"creationTimestamp": pull.started_at.to_string()},
                "status": pull,
            })
        })
        .collect();
    Ok(Json(json!({
        "kind": "ImagePullList",
        "apiVersion": "images.podtui.dev/v1alpha1",
        "metadata": {},
        "items": items,
    }))
    .into_response())
}

async fn images(State(shared): State<Shared>) -> Answer {
    let images = shared.client.images().await?;
    let items: Vec<Value> = images
        .iter()
        .map(|image| {
            json!({
                "kind": "Image",
                "apiVersion": "images.podtui.dev/v1alpha1",
                "metadata": {"name": image.id},
                "status": image,
            })
        })
        .collect();
    Ok(Json(json!({
        "kind": "ImageList",
        "apiVersion": "images.podtui.dev/v1alpha1",
        "metadata": {},
        "items": items,
    }))
    .into_response())
}

/// The images of the `name` parameters as one tar archive.
async fn archive(State(shared): State<Shared>, query: Query) -> Answer {
    let names: Vec<String> = query.all("name").map(str::to_owned).collect();
    if names.is_empty() {
        return Err(ApiError::bad_request("name: at least one image is required").into());
    }
    let archive = shared.client.save_images(&names).await?;
    let headers = [(header::CONTENT_TYPE, "application/x-tar")];
    Ok((headers, Body::from_stream(archive)).into_response())
}

/// Takes an `Image` whose `spec.source` says where it comes from, and answers with its names.
async fn add_image(State(shared): State<Shared>, headers: HeaderMap, body: Body) -> Answer {
    let mut manifest = body::read_object(&headers, body).await?;
    let source: ImageSource = field(&mut manifest, "/spec/source")?;
    if let ImageSource::Import { path, .. } | ImageSource::Load { path } = &source
        && path.is_relative()
    {
        // The directory it is relative to is the client's, which is not known here.
        let message = format!("spec.source: the path {} must be absolute", path.display());
        return Err(ApiError::bad_request(message).into());
    }
    let names = shared.client.add_image(source).await?;
    let answer = Json(json!({
        "kind": "Image",
        "apiVersion": "images.podtui.dev/v1alpha1",
        "metadata": {},
        "status": {"names": names},
    }));
    Ok((StatusCode::CREATED, answer).into_response())
}

/// Takes `{"registry": "HOST", "login": {"username": "…", "password": "…"}}`.
async fn check_login(State(shared): State<Shared>, headers: HeaderMap, body: Body) -> Answer {
    let mut wanted = body::read_object(&headers, body).await?;
    let registry: String = field(&mut wanted, "/registry")?;
    let login: Login = field(&mut wanted, "/login")?;
    shared.client.check_login(&registry, &login).await?;
    let answer = json!({
        "kind": "Login",
        "apiVersion": "images.podtui.dev/v1alpha1",
        "metadata": {"name": registry},
    });
    Ok(Json(answer).into_response())
}

async fn remove_image(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    query: Query,
) -> Answer {
    let removed = match query.flag("untag") {
        true => shared.client.untag_image(&name).await?,
        false => {
            let force = query.flag("force");
            shared.client.remove_image(&name, force).await?
        }
    };
    Ok(Json(json!({
        "kind": "ImageRemoval",
        "apiVersion": "images.podtui.dev/v1alpha1",
        "removed": removed,
    }))
    .into_response())
}

async fn processes(
    State(shared): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
) -> Answer {
    check_segment("namespace", &namespace)?;
    check_segment("name", &name)?;
    let processes = shared.client.pod_processes(&namespace, &name).await?;
    Ok(Json(json!({
        "kind": "PodProcesses",
        "apiVersion": "engine.podtui.dev/v1alpha1",
        "metadata": {"name": name, "namespace": namespace},
        "status": processes,
    }))
    .into_response())
}

async fn incidents(
    State(shared): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
) -> Answer {
    check_segment("namespace", &namespace)?;
    check_segment("name", &name)?;
    let incidents = shared.client.pod_incidents(&namespace, &name).await?;
    Ok(Json(json!({
        "kind": "PodIncidents",
        "apiVersion": "engine.podtui.dev/v1alpha1",
        "metadata": {"name": name, "namespace": namespace},
        "items": incidents,
    }))
    .into_response())
}

async fn engine(State(shared): State<Shared>) -> Answer {
    let info = shared.client.engine_info().await?;
    Ok(Json(json!({
        "kind": "EngineStatus",
        "apiVersion": "engine.podtui.dev/v1alpha1",
        "metadata": {},
        "status": info,
    }))
    .into_response())
}

/// Takes `{"stopPods": bool}`.
async fn stop(State(shared): State<Shared>, headers: HeaderMap, body: Body) -> Answer {
    let mut options = body::read_object(&headers, body).await?;
    let stop_pods = field(&mut options, "/stopPods")?;
    shared.client.stop_engine(stop_pods).await?;
    Ok(
        Json(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}))
            .into_response(),
    )
}

fn field<T: DeserializeOwned>(document: &mut Value, pointer: &str) -> Result<T, ApiError> {
    let value = document
        .pointer_mut(pointer)
        .map_or(Value::Null, Value::take);
    let place = pointer.trim_start_matches('/').replace('/', ".");
    serde_json::from_value(value)
        .map_err(|error| ApiError::bad_request(format!("{place}: {error}")))
}
