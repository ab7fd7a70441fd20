use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use http::{HeaderMap, Method, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::connection::{
    ConnectError, Connector, Revive, broken, json_request, read_json, request,
};
use super::forward;
use super::list;
use super::metrics::{node_metrics, pod_metrics};
use super::session;
use super::url::Url;
use super::watch;
use crate::base::{Incident, Login, SessionStream, Uid};
use crate::client::{
    Client, DeleteOptions, DiskUsageRow, EngineInfo, ExecOptions, FieldValidation, ImagePull,
    ImageSource, ImageSummary, IssuedToken, ListOptions, ListPart, LogOptions, NodeMetrics,
    ObjectList, Patch, PodMetrics, PodProcesses, PortStream, PruneReport, SessionVerb, TokenWanted,
    WatchEvent, WriteOptions, Written,
};
use crate::model::decode::kind_of;
use crate::model::{ApiError, Kind, Object, ObjectKey, ResourceVersion};

const METRICS: &str = "/apis/metrics.k8s.io/v1beta1";
const IMAGES: &str = "/apis/images.podtui.dev/v1alpha1/images";
const ARCHIVE: &str = "/apis/images.podtui.dev/v1alpha1/archive";
const LOGINS: &str = "/apis/images.podtui.dev/v1alpha1/logins";
const PRUNE: &str = "/apis/images.podtui.dev/v1alpha1/prune";
const PULLS: &str = "/apis/images.podtui.dev/v1alpha1/pulls";
const ENGINE: &str = "/apis/engine.podtui.dev/v1alpha1";

/// A front end of the engine behind a unix socket. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct Remote {
    connector: Connector,
}

impl Remote {
    /// Makes sure that somebody listens.
    pub(crate) async fn connect(socket: &Path) -> Result<Self, ConnectError> {
        let connector = Connector::new(socket);
        connector.connect().await?;
        Ok(Self { connector })
    }

    /// With this, requests outlive an engine that dies under them, as far as that is right.
    pub(crate) fn revived_by(self, revive: Revive) -> Self {
        Self {
            connector: self.connector.revived_by(revive),
        }
    }

    async fn write(
        &self,
        method: Method,
        url: Url,
        content_type: &'static str,
        kind: Kind,
        body: &Value,
        options: &WriteOptions,
    ) -> Result<Written, ApiError> {
        let validation = match options.field_validation {
            FieldValidation::Strict => "Strict",
            FieldValidation::Warn => "Warn",
            FieldValidation::Ignore => "Ignore",
        };
        let url = url
            .query("fieldValidation", validation)
            .query_text("fieldManager", &options.field_manager)
            .query_text("dryRun", if options.dry_run { "All" } else { "" });
        let request = request(method, url, content_type, Bytes::from(body.to_string()));
        let response = self.connector.send(request).await?;
        let warnings = warnings(response.headers());
        let is_new = response.status() == StatusCode::CREATED;
        let object = object(kind, read_json(response).await?)?;
        Ok(Written {
            object,
            warnings,
            is_new,
        })
    }
}

#[async_trait]
impl Client for Remote {
    async fn create(&self, manifest: Value, options: WriteOptions) -> Result<Written, ApiError> {
        let key = key_of(&manifest)?;
        let url = Url::collection(key.kind, key.namespace.as_deref());
        let json = "application/json";
        self.write(Method::POST, url, json, key.kind, &manifest, &options)
            .await
    }

    async fn replace(&self, manifest: Value, options: WriteOptions) -> Result<Written, ApiError> {
        let key = key_of(&manifest)?;
        let mut url = Url::object(&key);
        if let Some(part) = options.subresource {
            url = url.segment(part.as_str());
        }
        let json = "application/json";
        self.write(Method::PUT, url, json, key.kind, &manifest, &options)
            .await
    }

    async fn patch(
        &self,
        key: &ObjectKey,
        patch: Patch,
        options: WriteOptions,
    ) -> Result<Written, ApiError> {
        let mut url = Url::object(key);
        if let Some(part) = options.subresource {
            url = url.segment(part.as_str());
        }
        let (content_type, body) = match patch {
            Patch::Apply { manifest, force } => {
                url = url.query_flag("force", force);
                ("application/apply-patch+yaml", manifest)
            }
            Patch::Json(body) => ("application/json-patch+json", body),
            Patch::Merge(body) => ("application/merge-patch+json", body),
            Patch::Strategic(body) => ("application/strategic-merge-patch+json", body),
        };
        self.write(Method::PATCH, url, content_type, key.kind, &body, &options)
            .await
    }

    async fn delete(&self, key: &ObjectKey, options: DeleteOptions) -> Result<Object, ApiError> {
        let body = delete_body(&options);
        let request = json_request(Method::DELETE, Url::object(key), &body);
        let response = self.connector.send(request).await?;
        object(key.kind, read_json(response).await?)
    }

    async fn get(&self, key: &ObjectKey) -> Result<Object, ApiError> {
        let value = self.connector.get_json(Url::object(key)).await?;
        object(key.kind, value)
    }

    async fn list(&self, kind: Kind, options: ListOptions) -> Result<ObjectList, ApiError> {
        let mut parts = self.list_in_parts(kind, options).await?;
        let mut items = Vec::new();
        while let Some(part) = parts.try_next().await? {
            match part {
                ListPart::Objects(objects) => items.extend(objects),
                ListPart::Version(resource_version) => {
                    return Ok(ObjectList {
                        items,
                        resource_version,
                    });
                }
            }
        }
        Err(broken("a list without an end"))
    }

    async fn list_in_parts(
        &self,
        kind: Kind,
        options: ListOptions,
    ) -> Result<BoxStream<'static, Result<ListPart, ApiError>>, ApiError> {
        let response = self.connector.get(list_url(kind, &options)).await?;
        Ok(list::parts(kind, response.into_body()))
    }

    async fn watch(
        &self,
        kind: Kind,
        options: ListOptions,
        from: ResourceVersion,
    ) -> Result<BoxStream<'static, Result<WatchEvent, ApiError>>, ApiError> {
        let url = list_url(kind, &options)
            .query("watch", "true")
            .query("allowWatchBookmarks", "true")
            .query("resourceVersion", &from.to_string());
        let response = self.connector.get(url).await?;
        Ok(watch::events(kind, response.into_body()))
    }

    async fn logs(
        &self,
        namespace: &str,
        pod: &str,
        options: LogOptions,
    ) -> Result<BoxStream<'static, Result<Bytes, ApiError>>, ApiError> {
        let number = |value: Option<u64>| value.map(|n| n.to_string()).unwrap_or_default();
        let time = |at: Option<jiff::Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
        let url = Url::object(&ObjectKey::pod(namespace, pod))
            .segment("log")
            .query_text(
                "container",
                options.container.as_deref().unwrap_or_default(),
            )
            .query_flag("follow", options.follow)
            .query_flag("previous", options.previous)
            .query_flag("timestamps", options.timestamps)
            .query_text("tailLines", &number(options.tail_lines))
            .query_text("limitBytes", &number(options.limit_bytes))
            .query_text("sinceTime", &time(options.since))
            .query_text("untilTime", &time(options.until));
        let response = self.connector.get(url).await?;
        Ok(watch::bytes(response.into_body()))
    }

    async fn exec(
        &self,
        namespace: &str,
        pod: &str,
        options: ExecOptions,
    ) -> Result<SessionStream, ApiError> {
        session::open(&self.connector, SessionVerb::Exec, namespace, pod, options).await
    }

    async fn attach(
        &self,
        namespace: &str,
        pod: &str,
        options: ExecOptions,
    ) -> Result<SessionStream, ApiError> {
        session::open(
            &self.connector,
            SessionVerb::Attach,
            namespace,
            pod,
            options,
        )
        .await
    }

    async fn evict(&self, pod: &ObjectKey, options: DeleteOptions) -> Result<(), ApiError> {
        let body = json!({
            "kind": "Eviction",
            "apiVersion": "policy/v1",
            "metadata": {"name": pod.name, "namespace": pod.namespace},
            "deleteOptions": delete_body(&options),
        });
        let url = Url::object(pod).segment("eviction");
        let request = json_request(Method::POST, url, &body);
        self.connector.send(request).await.map(drop)
    }

    async fn create_token(
        &self,
        namespace: &str,
        account: &str,
        wanted: TokenWanted,
    ) -> Result<IssuedToken, ApiError> {
        let mut spec = json!({"audiences": wanted.audiences, "expirationSeconds": wanted.seconds});
        if let Some(bound) = &wanted.bound {
            spec["boundObjectRef"] = json!({
                "kind": bound.kind,
                "apiVersion": "v1",
                "name": bound.name,
                "uid": bound.uid.as_ref().map(Uid::as_str),
            });
        }
        let body = json!({
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "spec": spec,
        });
        let key = ObjectKey::new(Kind::ServiceAccount, namespace, account);
        let request = json_request(Method::POST, Url::object(&key).segment("token"), &body);
        let mut answer = read_json(self.connector.send(request).await?).await?;
        Ok(IssuedToken {
            token: field(&mut answer, "/status/token")?,
            audiences: field(&mut answer, "/spec/audiences")?,
            at: field(&mut answer, "/metadata/creationTimestamp")?,
            expires_at: field(&mut answer, "/status/expirationTimestamp")?,
        })
    }

    async fn port_forward(
        &self,
        namespace: &str,
        pod: &str,
        port: u16,
    ) -> Result<Box<dyn PortStream>, ApiError> {
        forward::open(&self.connector, namespace, pod, port).await
    }

    async fn node_metrics(&self) -> Result<NodeMetrics, ApiError> {
        let url = Url::new(METRICS).segment("nodes");
        let mut list = self.connector.get_json(url).await?;
        let node = items(&mut list).into_iter().next();
        let node = node.ok_or_else(|| broken("it tells the metrics of no node"))?;
        node_metrics(&node.to_string())
    }

    async fn pod_metrics(&self, namespace: Option<&str>) -> Result<Vec<PodMetrics>, ApiError> {
        let mut url = Url::new(METRICS);
        if let Some(namespace) = namespace {
            url = url.segment("namespaces").segment(namespace);
        }
        let response = self.connector.get(url.segment("pods")).await?;
        let mut readings = Vec::new();
        let take = |text: &[u8]| pod_metrics(text).map(|reading| readings.push(reading));
        list::each_item(response.into_body(), take).await?;
        Ok(readings)
    }

    async fn pod_processes(&self, namespace: &str, pod: &str) -> Result<PodProcesses, ApiError> {
        let url = engine_pod(namespace, pod).segment("processes");
        field(&mut self.connector.get_json(url).await?, "/status")
    }

    async fn pod_incidents(&self, namespace: &str, pod: &str) -> Result<Vec<Incident>, ApiError> {
        let url = engine_pod(namespace, pod).segment("incidents");
        field(&mut self.connector.get_json(url).await?, "/items")
    }

    async fn images(&self) -> Result<Vec<ImageSummary>, ApiError> {
        let mut list = self.connector.get_json(Url::new(IMAGES)).await?;
        let images = items(&mut list);
        images
            .into_iter()
            .map(|mut image| field(&mut image, "/status"))
            .collect()
    }

    async fn add_image(&self, source: ImageSource) -> Result<Vec<String>, ApiError> {
        // The engine has another working directory.
        let source = match source {
            ImageSource::Import { path, name } => ImageSource::Import {
                path: absolute(&path)?,
                name,
            },
            ImageSource::Load { path } => ImageSource::Load {
                path: absolute(&path)?,
            },
            elsewhere @ (ImageSource::DockerDaemon { .. }
            | ImageSource::Pull { .. }
            | ImageSource::Tag { .. }) => elsewhere,
        };
        let body = json!({
            "kind": "Image",
            "apiVersion": "images.podtui.dev/v1alpha1",
            "spec": {"source": source},
        });
        let request = json_request(Method::POST, Url::new(IMAGES), &body);
        let mut answer = read_json(self.connector.send(request).await?).await?;
        field(&mut answer, "/status/names")
    }

    async fn save_images(
        &self,
        names: &[String],
    ) -> Result<BoxStream<'static, Result<Bytes, ApiError>>, ApiError> {
        let mut url = Url::new(ARCHIVE);
        for name in names {
            url = url.query_text("name", name);
        }
        let response = self.connector.get(url).await?;
        Ok(watch::bytes(response.into_body()))
    }

    async fn image_pulls(&self) -> Result<Vec<ImagePull>, ApiError> {
        let mut list = self.connector.get_json(Url::new(PULLS)).await?;
        let pulls = items(&mut list).into_iter();
        pulls.map(|mut pull| field(&mut pull, "/status")).collect()
    }

    async fn prune_images(&self, all: bool) -> Result<PruneReport, ApiError> {
        let request = json_request(Method::POST, Url::new(PRUNE), &json!({"all": all}));
        let mut answer = read_json(self.connector.send(request).await?).await?;
        field(&mut answer, "/status")
    }

    async fn disk_usage(&self) -> Result<Vec<DiskUsageRow>, ApiError> {
        let url = Url::new(ENGINE).segment("disk");
        field(&mut self.connector.get_json(url).await?, "/items")
    }

    async fn remove_image(&self, name: &str, force: bool) -> Result<Vec<String>, ApiError> {
        let url = Url::new(IMAGES).segment(name).query_flag("force", force);
        let request = request(Method::DELETE, url, "", Bytes::new());
        let mut answer = read_json(self.connector.send(request).await?).await?;
        field(&mut answer, "/removed")
    }

    async fn untag_image(&self, name: &str) -> Result<Vec<String>, ApiError> {
        let url = Url::new(IMAGES).segment(name).query_flag("untag", true);
        let request = request(Method::DELETE, url, "", Bytes::new());
        let mut answer = read_json(self.connector.send(request).await?).await?;
        field(&mut answer, "/removed")
    }

    async fn check_login(&self, registry: &str, login: &Login) -> Result<(), ApiError> {
        let body = json!({"registry": registry, "login": login});
        let request = json_request(Method::POST, Url::new(LOGINS), &body);
        read_json(self.connector.send(request).await?).await?;
        Ok(())
    }

    async fn engine_info(&self) -> Result<EngineInfo, ApiError> {
        let url = Url::new(ENGINE).segment("status");
        field(&mut self.connector.get_json(url).await?, "/status")
    }

    async fn stop_engine(&self, stop_pods: bool) -> Result<(), ApiError> {
        let url = Url::new(ENGINE).segment("stop");
        let request = json_request(Method::POST, url, &json!({"stopPods": stop_pods}));
        self.connector.send(request).await.map(|_| ())
    }
}

fn delete_body(options: &DeleteOptions) -> Value {
    let mut body = json!({"kind": "DeleteOptions", "apiVersion": "v1"});
    if let Some(seconds) = options.grace_period_seconds {
        body["gracePeriodSeconds"] = json!(seconds);
    }
    if let Some(uid) = &options.preconditions.uid {
        body["preconditions"]["uid"] = json!(uid.as_str());
    }
    if let Some(version) = options.preconditions.resource_version {
        body["preconditions"]["resourceVersion"] = json!(version.to_string());
    }
    if options.dry_run {
        body["dryRun"] = json!(["All"]);
    }
    body
}

fn engine_pod(namespace: &str, pod: &str) -> Url {
    let url = Url::new(ENGINE).segment("namespaces").segment(namespace);
    url.segment("pods").segment(pod)
}

fn list_url(kind: Kind, options: &ListOptions) -> Url {
    Url::collection(kind, options.namespace.as_deref())
        .query_text("labelSelector", &options.label_selector)
        .query_text("fieldSelector", &options.field_selector)
}

/// Where a manifest belongs; an object without a namespace belongs into `default`.
fn key_of(manifest: &Value) -> Result<ObjectKey, ApiError> {
    let kind = kind_of(manifest).map_err(|error| ApiError::bad_request(error.to_string()))?;
    let text = |pointer: &str| {
        manifest
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let namespace = match text("/metadata/namespace") {
        "" => "default",
        namespace => namespace,
    };
    Ok(ObjectKey::new(kind, namespace, text("/metadata/name")))
}

fn object(kind: Kind, value: Value) -> Result<Object, ApiError> {
    Object::from_value(kind, value).map_err(|error| broken(&error.to_string()))
}

fn items(list: &mut Value) -> Vec<Value> {
    match list.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

fn field<T: DeserializeOwned>(document: &mut Value, pointer: &str) -> Result<T, ApiError> {
    let value = document
        .pointer_mut(pointer)
        .map(Value::take)
        .unwrap_or_default();
    serde_json::from_value(value).map_err(|error| broken(&format!("{pointer}: {error}")))
}

fn absolute(path: &Path) -> Result<PathBuf, ApiError> {
    std::path::absolute(path)
        .map_err(|error| ApiError::bad_request(format!("{}: {error}", path.display())))
}

/// The texts of `Warning: 299 - "…"`.
fn warnings(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(header::WARNING)
        .iter()
        .filter_map(|value| std::str::from_utf8(value.as_bytes()).ok())
        .filter_map(|value| value.split_once('"'))
        .map(|(_, rest)| unquote(rest))
        .collect()
}

/// Up to the closing quote, without the backslashes.
fn unquote(text: &str) -> String {
    let mut out = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => out.extend(characters.next()),
            other => out.push(other),
        }
    }
    out
}
