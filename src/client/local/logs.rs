use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::Local;
use super::session::choose;
use crate::client::LogOptions;
use crate::logs::reader::{LogQuery, read};
use crate::model::{ApiError, Kind, ObjectKey, Resource, pod as pods};
use crate::store::{Gone, Store};

/// The log of one instance of a container: the newest that has one, or with `previous` the one before.
pub(super) async fn logs(
    local: &Local,
    namespace: &str,
    name: &str,
    options: LogOptions,
) -> Result<BoxStream<'static, Result<Bytes, ApiError>>, ApiError> {
    let pod = local.pod(namespace, name)?;
    let container = choose(&pod, options.container.as_deref())?.name.clone();
    let status = pods::container_status(&pod, &container);
    let attempt = attempt(&pod, &container, status, options.previous)?;
    let directory = local
        .engine
        .log_directory(namespace, name, &pod.uid(), &container);
    let path = log_file(&directory, attempt);
    let runs = status.is_some_and(|status| is_running(status) && status.restart_count == attempt);
    let ended: Option<BoxFuture<'static, ()>> = (options.follow && runs).then(|| {
        let instance = Instance {
            pod: Arc::clone(&pod),
            container,
            attempt,
        };
        Box::pin(instance.ended(local.store.clone())) as _
    });
    let query = LogQuery {
        timestamps: options.timestamps,
        tail_lines: options.tail_lines,
        since: options.since,
        until: options.until,
        limit_bytes: options.limit_bytes,
    };
    let failed = move |error: std::io::Error| {
        ApiError::internal(format!("read {}: {error}", path.display()))
    };
    let path = log_file(&directory, attempt);
    let text = read(&path, query, ended).await.map_err(&failed)?;
    Ok(text.map(move |part| part.map_err(&failed)).boxed())
}

fn log_file(directory: &Path, attempt: i32) -> PathBuf {
    directory.join(format!("{attempt}.log"))
}

/// Which restart's log is meant, or why there is none (kubelet, `validateContainerLogStatus`).
fn attempt(
    pod: &Pod,
    container: &str,
    status: Option<&ContainerStatus>,
    previous: bool,
) -> Result<i32, ApiError> {
    let pod_name = pod.metadata.name.as_deref().unwrap_or_default();
    let state = status.and_then(|status| status.state.as_ref());
    let last = status.and_then(|status| status.last_state.as_ref());
    let count = status.map_or(0, |status| status.restart_count);
    let has_last = last.is_some_and(|last| last.terminated.is_some());
    let is_waiting =
        state.is_none_or(|state| state.running.is_none() && state.terminated.is_none());
    if previous {
        return match (has_last, is_waiting) {
            (true, false) => Ok(count.max(1) - 1),
            // In back-off the last instance is the newest one as well.
            (true, true) => Ok(count),
            (false, _) => Err(ApiError::bad_request(format!(
                "previous terminated container \"{container}\" in pod \"{pod_name}\" not found"
            ))),
        };
    }
    // A container in back-off shows what it said last. The count grows when the next instance is made.
    if !is_waiting || has_last {
        return Ok(count);
    }
    let waiting = state.and_then(|state| state.waiting.as_ref());
    let waiting = waiting.and_then(|waiting| waiting.reason.as_deref());
    let why = match waiting.unwrap_or_default() {
        "" => "ContainerCreating",
        "ErrImagePull" => "image can't be pulled",
        "ImagePullBackOff" => "trying and failing to pull image",
        other => other,
    };
    Err(ApiError::bad_request(format!(
        "container \"{container}\" in pod \"{pod_name}\" is waiting to start: {why}"
    )))
}

fn is_running(status: &ContainerStatus) -> bool {
    let state = status.state.as_ref();
    state.is_some_and(|state| state.running.is_some())
}

/// One run of a container.
struct Instance {
    pod: Arc<Pod>,
    container: String,
    attempt: i32,
}

impl Instance {
    /// Ready when this run is over, or nobody can tell any more.
    async fn ended(self, store: Store) {
        let key = self.pod.key();
        loop {
            let version = store.resource_version();
            if !self.still_runs(&store, &key) {
                return;
            }
            let Ok(mut watcher) = store.watch(Kind::Pod, version) else {
                continue;
            };
            loop {
                match watcher.next_change().await {
                    Ok(change) if change.object.key() != key => {}
                    Ok(_) if self.still_runs(&store, &key) => {}
                    Ok(_) => return,
                    Err(Gone) => break,
                }
            }
        }
    }

    fn still_runs(&self, store: &Store, key: &ObjectKey) -> bool {
        let namespace = key.namespace.as_deref().unwrap_or_default();
        let Some(pod) = store.get::<Pod>(namespace, &key.name) else {
            return false;
        };
        pod.uid() == self.pod.uid()
            && pods::container_status(&pod, &self.container)
                .is_some_and(|status| is_running(status) && status.restart_count == self.attempt)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(status: Value, previous: bool, expected: Result<i32, &str>) {
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "web"}})).unwrap();
        let mut full =
            json!({"name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0});
        for (key, value) in status.as_object().unwrap() {
            full[key] = value.clone();
        }
        let status: ContainerStatus = serde_json::from_value(full).unwrap();
        let found = attempt(&pod, "c", Some(&status), previous).map_err(|error| error.message);
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    #[test]
    fn the_instance_follows_the_state() {
        let running = json!({"running": {}});
        let terminated = json!({"terminated": {"exitCode": 1}});
        let waiting = |reason: &str| json!({"waiting": {"reason": reason}});
        let none = "previous terminated container \"c\" in pod \"web\" not found";
        let creating = "container \"c\" in pod \"web\" is waiting to start: ContainerCreating";
        let pulling = "container \"c\" in pod \"web\" is waiting to start: image can't be pulled";

        check(json!({"state": running}), false, Ok(0));
        check(json!({"state": running}), true, Err(none));
        let second = json!({"state": running, "lastState": terminated, "restartCount": 2});
        check(second.clone(), false, Ok(2));
        check(second, true, Ok(1));
        let crashed = json!({"state": waiting("CrashLoopBackOff"), "lastState": terminated, "restartCount": 2});
        check(crashed.clone(), false, Ok(2));
        check(crashed, true, Ok(2));
        check(json!({"state": terminated}), false, Ok(0));
        check(json!({}), false, Err(creating));
        check(
            json!({"state": waiting("ContainerCreating")}),
            false,
            Err(creating),
        );
        check(
            json!({"state": waiting("ErrImagePull")}),
            false,
            Err(pulling),
        );
    }
}
