use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use super::errors::engine_error;
use super::watch::Selection;
use super::{delete, logs, namespaces, session, tokens, watch, write};
use crate::base::{Clock, Incident, Login, SessionStream};
use crate::client::{
    Client, ContainerMetrics, DeleteOptions, DiskUsageRow, EngineInfo, ExecOptions, ImagePull,
    ImagePullLayer, ImageSource, ImageSummary, IssuedToken, ListOptions, LogOptions, NetworkBytes,
    NodeMetrics, ObjectList, Patch, PodMetrics, PodProcess, PodProcesses, PortStream, PruneReport,
    SessionVerb, TokenWanted, WatchEvent, WriteOptions, Written,
};
use crate::engine::{DiskUsage, EngineApi, ImageView, PodProcessView, PodUsage, PullView};
use crate::model::{ApiError, Kind, Object, ObjectKey, Resource, ResourceVersion};
use crate::store::{SpecWriter, Store};

/// Everything a front end asks for, answered in this process. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct Local {
    pub(super) store: Store,
    pub(super) spec: SpecWriter,
    pub(super) engine: Arc<dyn EngineApi>,
    pub(super) clock: Clock,
}

impl Local {
    /// Also takes up deletions of namespaces that an earlier process did not finish, so it must be called
    /// within a tokio runtime.
    pub(crate) fn new(
        store: Store,
        spec: SpecWriter,
        engine: Arc<dyn EngineApi>,
        clock: Clock,
    ) -> Self {
        let local = Self {
            store,
            spec,
            engine,
            clock,
        };
        namespaces::resume(&local);
        local
    }

    pub(super) fn object(&self, key: &ObjectKey) -> Result<Object, ApiError> {
        self.store
            .get_object(key)
            .ok_or_else(|| ApiError::not_found(key.kind, &key.name))
    }

    pub(super) fn pod(&self, namespace: &str, name: &str) -> Result<Arc<Pod>, ApiError> {
        self.store
            .get::<Pod>(namespace, name)
            .ok_or_else(|| ApiError::not_found(Kind::Pod, name))
    }
}

#[async_trait]
impl Client for Local {
    async fn create(&self, manifest: Value, options: WriteOptions) -> Result<Written, ApiError> {
        write::create(self, manifest, &options).await
    }

    async fn replace(&self, manifest: Value, options: WriteOptions) -> Result<Written, ApiError> {
        write::replace(self, manifest, &options).await
    }

    async fn patch(
        &self,
        key: &ObjectKey,
        patch: Patch,
        options: WriteOptions,
    ) -> Result<Written, ApiError> {
        write::patch(self, key, &patch, &options).await
    }

    async fn delete(&self, key: &ObjectKey, options: DeleteOptions) -> Result<Object, ApiError> {
        delete::delete(self, key, &options).await
    }

    async fn get(&self, key: &ObjectKey) -> Result<Object, ApiError> {
        self.object(key)
    }

    async fn list(&self, kind: Kind, options: ListOptions) -> Result<ObjectList, ApiError> {
        let selection = Selection::parse(kind, &options)?;
        let (mut items, resource_version) = self.store.list_objects(kind, selection.namespace());
        items.retain(|object| selection.matches(object));
        Ok(ObjectList {
            items,
            resource_version,
        })
    }

    async fn watch(
        &self,
        kind: Kind,
        options: ListOptions,
        from: ResourceVersion,
    ) -> Result<BoxStream<'static, Result<WatchEvent, ApiError>>, ApiError> {
        watch::watch(&self.store, kind, &options, from)
    }

    async fn logs(
        &self,
        namespace: &str,
        pod: &str,
        options: LogOptions,
    ) -> Result<BoxStream<'static, Result<Bytes, ApiError>>, ApiError> {
        logs::logs(self, namespace, pod, options).await
    }

    async fn exec(
        &self,
        namespace: &str,
        pod: &str,
        options: ExecOptions,
    ) -> Result<SessionStream, ApiError> {
        session::exec(self, namespace, pod, options).await
    }

    async fn attach(
        &self,
        namespace: &str,
        pod: &str,
        options: ExecOptions,
    ) -> Result<SessionStream, ApiError> {
        session::attach(self, namespace, pod, options).await
    }

    fn check_session(
        &self,
        verb: SessionVerb,
        namespace: &str,
        pod: &str,
        options: &ExecOptions,
    ) -> Result<(), ApiError> {
        session::check(self, verb, namespace, pod, options).map(drop)
    }

    async fn evict(&self, pod: &ObjectKey, options: DeleteOptions) -> Result<(), ApiError> {
        delete::evict(self, pod, &options).await
    }

    async fn create_token(
        &self,
        namespace: &str,
        account: &str,
        wanted: TokenWanted,
    ) -> Result<IssuedToken, ApiError> {
        tokens::create(self, namespace, account, wanted)
    }

    async fn port_forward(
        &self,
        namespace: &str,
        pod: &str,
        port: u16,
    ) -> Result<Box<dyn PortStream>, ApiError> {
        session::port_forward(self, namespace, pod, port).await
    }

    async fn node_metrics(&self) -> Result<NodeMetrics, ApiError> {
        let usage = self.engine.node_usage().await.map_err(engine_error)?;
        Ok(NodeMetrics {
            name: usage.name,
            at: usage.at,
            cpu_nanocores: usage.cpu_nanocores,
            memory_bytes: usage.memory_bytes,
        })
    }

    async fn pod_metrics(&self, namespace: Option<&str>) -> Result<Vec<PodMetrics>, ApiError> {
        let usage = self.engine.usage().await;
        let mut metrics: Vec<PodMetrics> = usage
            .into_iter()
            .filter(|usage| namespace.is_none_or(|namespace| usage.namespace == namespace))
            .map(pod_metrics)
            .collect();
        metrics.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        Ok(metrics)
    }

    async fn pod_processes(&self, namespace: &str, pod: &str) -> Result<PodProcesses, ApiError> {
        let uid = self.pod(namespace, pod)?.uid();
        let found = self.engine.processes(&uid).await.map_err(engine_error)?;
        let process = |one: PodProcessView| PodProcess {
            container: one.container,
            process: one.process,
        };
        Ok(PodProcesses {
            at: found.at,
            total: found.total,
            processes: found.processes.into_iter().map(process).collect(),
        })
    }

    async fn pod_incidents(&self, namespace: &str, pod: &str) -> Result<Vec<Incident>, ApiError> {
        let uid = self.pod(namespace, pod)?.uid();
        Ok(self.engine.incidents(&uid))
    }

    async fn images(&self) -> Result<Vec<ImageSummary>, ApiError> {
        let images = self.engine.images().await.map_err(engine_error)?;
        Ok(images.into_iter().map(image_summary).collect())
    }

    async fn add_image(&self, source: ImageSource) -> Result<Vec<String>, ApiError> {
        let names = match source {
            ImageSource::Import { path, name } => self.engine.import_image(&path, &name).await,
            ImageSource::Load { path } => self.engine.load_images(&path).await,
            ImageSource::DockerDaemon { socket, name } => {
                self.engine.load_from_daemon(&socket, &name).await
            }
            ImageSource::Pull { name, login } => {
                self.engine.pull_image(&name, login.as_ref()).await
            }
            ImageSource::Tag { image, name } => self.engine.tag_image(&image, &name).await,
        };
        names.map_err(engine_error)
    }

    async fn save_images(
        &self,
        names: &[String],
    ) -> Result<BoxStream<'static, Result<Bytes, ApiError>>, ApiError> {
        let archive = self.engine.save_images(names).await;
        let archive = archive.map_err(engine_error)?;
        Ok(archive.map(|part| part.map_err(engine_error)).boxed())
    }

    async fn image_pulls(&self) -> Result<Vec<ImagePull>, ApiError> {
        Ok(self.engine.pulls().into_iter().map(image_pull).collect())
    }

    async fn prune_images(&self, all: bool) -> Result<PruneReport, ApiError> {
        let pruned = self.engine.prune_images(all).await.map_err(engine_error)?;
        Ok(PruneReport {
            images: pruned.images,
            freed: pruned.freed,
        })
    }

    async fn disk_usage(&self) -> Result<Vec<DiskUsageRow>, ApiError> {
        let rows = self.engine.disk_usage().await.map_err(engine_error)?;
        let row = |row: DiskUsage| DiskUsageRow {
            kind: row.kind.to_owned(),
            total: row.total,
            active: row.active,
            size: row.size,
            reclaimable: row.reclaimable,
        };
        Ok(rows.into_iter().map(row).collect())
    }

    async fn remove_image(&self, name: &str, force: bool) -> Result<Vec<String>, ApiError> {
        self.engine
            .remove_image(name, force)
            .await
            .map_err(engine_error)
    }

    async fn untag_image(&self, name: &str) -> Result<Vec<String>, ApiError> {
        let names = self.engine.untag_image(name).await;
        names.map_err(engine_error)
    }

    async fn check_login(&self, registry: &str, login: &Login) -> Result<(), ApiError> {
        let checked = self.engine.check_login(registry, login).await;
        checked.map_err(engine_error)
    }

    async fn engine_info(&self) -> Result<EngineInfo, ApiError> {
        let status = self.engine.status();
        let (pods, _) = self.store.list::<Pod>(None);
        Ok(EngineInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started_at: status.started_at,
            state_dir: status.state_dir,
            run_dir: status.run_dir,
            cgroup: status.cgroup,
            pods: pods.len(),
            notes: status.notes,
            pod_pids_limit: status.pod_pids_limit,
        })
    }

    async fn stop_engine(&self, stop_pods: bool) -> Result<(), ApiError> {
        self.engine.shut_down(stop_pods).await;
        Ok(())
    }
}

fn pod_metrics(usage: PodUsage) -> PodMetrics {
    let processes = usage.containers.iter().map(|one| one.processes).sum();
    let network = usage.network;
    let containers = usage
        .containers
        .into_iter()
        .map(|container| ContainerMetrics {
            name: container.name,
            cpu_nanocores: container.cpu_nanocores,
            memory_bytes: container.memory_bytes,
        })
        .collect();
    PodMetrics {
        namespace: usage.namespace,
        name: usage.name,
        at: usage.at,
        containers,
        processes: Some(processes),
        network: network.map(|(received, sent)| NetworkBytes { received, sent }),
    }
}

fn image_pull(pull: PullView) -> ImagePull {
    let layers = pull.layers.into_iter().map(|layer| ImagePullLayer {
        digest: layer.digest,
        size: layer.size,
        fetched: layer.fetched,
        done: layer.done,
    });
    ImagePull {
        image: pull.image,
        started_at: pull.started_at,
        phase: pull.phase.to_owned(),
        layers: layers.collect(),
    }
}

fn image_summary(image: ImageView) -> ImageSummary {
    ImageSummary {
        names: image.names,
        id: image.id,
        created: image.created,
        size: image.size,
        layers: image.layers,
        used_by: image.used_by,
        config: image.config,
        repo_digests: image.repo_digests,
        layer_sizes: image.layer_sizes,
        history: image.history,
    }
}
