use axum::body::Body;
use axum::extract::{Path, State};
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

use super::body;
use super::options::{self, delete_options, write_options};
use super::pages;
use super::query::Query;
use super::reply::{self, Answer, Failure, no_such_method, no_such_resource};
use super::router::{ApiVersion, Shared, check_segment, is_read, key, kind};
use super::table::Form;
use super::upgrade::Upgrade;
use super::watch;
use crate::client::{DeleteOptions, ListOptions, Patch};
use crate::model::{ApiError, Kind, Object, ObjectKey, Reason, Subresource};

/// `/api/v1/pods`, `/api/v1/nodes`.
pub(super) async fn collection(
    State(shared): State<Shared>,
    version: ApiVersion,
    Path(plural): Path<String>,
    query: Query,
    method: Method,
    upgrade: Upgrade,
    body: Body,
) -> Answer {
    let kind = kind(&version, &plural)?;
    if !is_read(&method) && kind.is_namespaced() {
        return Err(no_such_method());
    }
    if is_watch(&method, &query) {
        return watch::start(&shared, kind, list_options(None, &query), &query, upgrade).await;
    }
    on_collection(&shared, kind, None, &query, &method, &upgrade.headers, body).await
}

/// `/api/v1/namespaces/default/pods`, and `/api/v1/namespaces/default/status`, which has the same shape.
pub(super) async fn namespaced_collection(
    State(shared): State<Shared>,
    version: ApiVersion,
    Path((namespace, plural)): Path<(String, String)>,
    query: Query,
    method: Method,
    upgrade: Upgrade,
    body: Body,
) -> Answer {
    if plural == "status" {
        if !is_read(&method) {
            return Err(no_such_method());
        }
        let form = Form::wanted(&upgrade.headers, &query)?;
        return read(&shared, &key(Kind::Namespace, "", &namespace)?, form).await;
    }
    let kind = namespaced(&version, &plural)?;
    check_segment("namespace", &namespace)?;
    let namespace = Some(namespace.as_str());
    if is_watch(&method, &query) {
        let options = list_options(namespace, &query);
        return watch::start(&shared, kind, options, &query, upgrade).await;
    }
    on_collection(
        &shared,
        kind,
        namespace,
        &query,
        &method,
        &upgrade.headers,
        body,
    )
    .await
}

/// `/api/v1/nodes/one`.
pub(super) async fn item(
    State(shared): State<Shared>,
    version: ApiVersion,
    Path((plural, name)): Path<(String, String)>,
    query: Query,
    method: Method,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let key = key(cluster_scoped(&version, &plural)?, "", &name)?;
    on_item(&shared, &key, &query, &method, &headers, body).await
}

/// `/api/v1/namespaces/default/pods/web`.
pub(super) async fn namespaced_item(
    State(shared): State<Shared>,
    version: ApiVersion,
    Path((namespace, plural, name)): Path<(String, String, String)>,
    query: Query,
    method: Method,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let key = key(namespaced(&version, &plural)?, &namespace, &name)?;
    on_item(&shared, &key, &query, &method, &headers, body).await
}

pub(super) async fn status(
    State(shared): State<Shared>,
    version: ApiVersion,
    Path((plural, name)): Path<(String, String)>,
    query: Query,
    method: Method,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let part = Subresource::Status;
    let key = key(with_status(&version, &plural)?, "", &name)?;
    match method {
        Method::PUT | Method::PATCH if part.is_of(key.kind) => {
            write(&shared, &key, Some(part), &query, &method, &headers, body).await
        }
        Method::GET | Method::HEAD => read(&shared, &key, Form::wanted(&headers, &query)?).await,
        _ => Err(no_such_method()),
    }
}

pub(super) async fn namespaced_status(
    State(shared): State<Shared>,
    version: ApiVersion,
    Path((namespace, plural, name)): Path<(String, String, String)>,
    query: Query,
    headers: HeaderMap,
) -> Answer {
    let key = key(with_status(&version, &plural)?, &namespace, &name)?;
    read(&shared, &key, Form::wanted(&headers, &query)?).await
}

/// `/api/v1/namespaces/default/pods/web/status`, `/ephemeralcontainers` and `/resize`.
pub(super) async fn pod_part(
    State(shared): State<Shared>,
    Path((namespace, name, part)): Path<(String, String, String)>,
    query: Query,
    method: Method,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let part = Subresource::parse(&part).ok_or_else(no_such_resource)?;
    let key = key(Kind::Pod, &namespace, &name)?;
    match method {
        Method::PUT | Method::PATCH => {
            write(&shared, &key, Some(part), &query, &method, &headers, body).await
        }
        Method::GET | Method::HEAD => read(&shared, &key, Form::wanted(&headers, &query)?).await,
        _ => Err(no_such_method()),
    }
}

fn namespaced(version: &ApiVersion, plural: &str) -> Result<Kind, Failure> {
    kind(version, plural).and_then(|kind| {
        kind.is_namespaced()
            .then_some(kind)
            .ok_or_else(no_such_resource)
    })
}

fn cluster_scoped(version: &ApiVersion, plural: &str) -> Result<Kind, Failure> {
    kind(version, plural).and_then(|kind| {
        (!kind.is_namespaced())
            .then_some(kind)
            .ok_or_else(no_such_resource)
    })
}

fn with_status(version: &ApiVersion, plural: &str) -> Result<Kind, Failure> {
    match kind(version, plural)? {
        kind @ (Kind::Pod
        | Kind::Node
        | Kind::Namespace
        | Kind::PersistentVolume
        | Kind::PersistentVolumeClaim) => Ok(kind),
        Kind::ConfigMap
        | Kind::Secret
        | Kind::ServiceAccount
        | Kind::PodPreset
        | Kind::Event
        | Kind::PriorityClass => Err(no_such_resource()),
    }
}

fn is_watch(method: &Method, query: &Query) -> bool {
    *method == Method::GET && query.flag("watch")
}

fn list_options(namespace: Option<&str>, query: &Query) -> ListOptions {
    ListOptions {
        namespace: namespace.map(str::to_owned),
        label_selector: query.text("labelSelector").unwrap_or_default().to_owned(),
        field_selector: query.text("fieldSelector").unwrap_or_default().to_owned(),
    }
}

async fn on_collection(
    shared: &Shared,
    kind: Kind,
    namespace: Option<&str>,
    query: &Query,
    method: &Method,
    headers: &HeaderMap,
    body: Body,
) -> Answer {
    let options = list_options(namespace, query);
    match *method {
        Method::GET | Method::HEAD => {
            let form = Form::wanted(headers, query)?;
            let page = pages::list(shared, kind, options, query).await?;
            Ok(form.list(kind, &page.items, &page.meta))
        }
        Method::POST => {
            let manifest = body::read_object(headers, body).await?;
            let manifest = addressed(manifest, kind, namespace, None)?;
            let written = shared
                .client
                .create(manifest, write_options(query)?)
                .await?;
            Ok(reply::written(StatusCode::CREATED, &written))
        }
        Method::DELETE => {
            let delete = delete_options(query, headers, body).await?;
            delete_collection(shared, kind, options, delete).await
        }
        _ => Err(no_such_method()),
    }
}

async fn on_item(
    shared: &Shared,
    key: &ObjectKey,
    query: &Query,
    method: &Method,
    headers: &HeaderMap,
    body: Body,
) -> Answer {
    match *method {
        Method::GET | Method::HEAD => read(shared, key, Form::wanted(headers, query)?).await,
        Method::PUT | Method::PATCH => write(shared, key, None, query, method, headers, body).await,
        Method::DELETE => {
            let options = delete_options(query, headers, body).await?;
            let object = shared.client.delete(key, options).await?;
            Ok(reply::object(StatusCode::OK, &object))
        }
        _ => Err(no_such_method()),
    }
}

/// A replacement (`PUT`) or a patch, of the object or of one part of it.
async fn write(
    shared: &Shared,
    key: &ObjectKey,
    part: Option<Subresource>,
    query: &Query,
    method: &Method,
    headers: &HeaderMap,
    body: Body,
) -> Answer {
    let mut options = write_options(query)?;
    options.subresource = part;
    options::name_manager(&mut options, headers);
    let written = if *method == Method::PUT {
        let manifest = body::read_object(headers, body).await?;
        let namespace = key.namespace.as_deref();
        let manifest = addressed(manifest, key.kind, namespace, Some(&key.name))?;
        shared.client.replace(manifest, options).await?
    } else {
        let patch = match read_patch(headers, body).await? {
            ReadPatch::Change(patch) => {
                options::check_change(query)?;
                patch
            }
            ReadPatch::Apply(manifest) => {
                options::check_apply(query)?;
                let namespace = key.namespace.as_deref();
                let manifest = addressed(manifest, key.kind, namespace, Some(&key.name))?;
                let force = query.flag("force");
                Patch::Apply { manifest, force }
            }
        };
        shared.client.patch(key, patch, options).await?
    };
    let code = if written.is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok(reply::written(code, &written))
}

async fn read(shared: &Shared, key: &ObjectKey, form: Form) -> Answer {
    let object = shared.client.get(key).await?;
    Ok(form.one(&object))
}

async fn delete_collection(
    shared: &Shared,
    kind: Kind,
    list: ListOptions,
    options: DeleteOptions,
) -> Answer {
    let list = shared.client.list(kind, list).await?;
    let mut deleted: Vec<Object> = Vec::with_capacity(list.items.len());
    for object in &list.items {
        match shared.client.delete(&object.key(), options.clone()).await {
            Ok(object) => deleted.push(object),
            // Somebody else was faster.
            Err(error) if error.reason == Reason::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    let meta = reply::ListMeta::of(list.resource_version);
    Ok(reply::list(kind, &deleted, &meta))
}

const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";
const STRATEGIC_PATCH: &str = "application/strategic-merge-patch+json";
const APPLY_PATCH: &str = "application/apply-patch+yaml";

/// A patch as it came, before an apply is held against its path.
enum ReadPatch {
    Change(Patch),
    Apply(Value),
}

async fn read_patch(headers: &HeaderMap, body: Body) -> Result<ReadPatch, Failure> {
    let patch = match body::content_type(headers) {
        JSON_PATCH => Patch::Json,
        MERGE_PATCH => Patch::Merge,
        STRATEGIC_PATCH => Patch::Strategic,
        APPLY_PATCH => {
            return Ok(ReadPatch::Apply(body::parse_yaml(
                &body::read(body).await?,
            )?));
        }
        other => {
            let supported = [JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH];
            return Err(body::unsupported(other, &supported).into());
        }
    };
    let patch = patch(body::parse(&body::read(body).await?)?);
    Ok(ReadPatch::Change(patch))
}

/// Fills in what the path says and refuses what contradicts it.
fn addressed(
    mut manifest: Value,
    kind: Kind,
    namespace: Option<&str>,
    name: Option<&str>,
) -> Result<Value, ApiError> {
    body::expect(&mut manifest, kind.api_version(), kind.as_str())?;
    let Some(fields) = manifest.as_object_mut() else {
        return Ok(manifest);
    };
    let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
    let Some(metadata) = metadata.as_object_mut() else {
        // Decoding reports the wrong type with its place.
        return Ok(manifest);
    };
    let text = |field: &Value| field.as_str().unwrap_or_default().to_owned();
    if let Some(namespace) = namespace {
        let found = metadata.get("namespace").map(text).unwrap_or_default();
        if !found.is_empty() && found != namespace {
            return Err(ApiError::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        metadata.insert("namespace".to_owned(), json!(namespace));
    }
    if let Some(name) = name {
        let found = metadata.get("name").map(text).unwrap_or_default();
        if !found.is_empty() && found != name {
            return Err(ApiError::bad_request(format!(
                "the name of the object ({found}) does not match the name on the URL ({name})"
            )));
        }
        metadata.insert("name".to_owned(), json!(name));
    }
    Ok(manifest)
}
