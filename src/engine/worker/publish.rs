use std::sync::Arc;

use k8s_openapi::api::core::v1::PodStatus;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::base::{Uid, chain};
use crate::model::ObjectKey;
use crate::store::{StatusWriter, StoreError};

/// Writes the newest status of one pod, from a task of its own.
pub(super) struct Publisher {
    latest: watch::Sender<(u64, Option<PodStatus>)>,
    /// Number of the newest status that is in the store.
    written: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

impl Publisher {
    /// `bind`: the node to put into `spec.nodeName` first.
    pub(super) fn start(
        writer: Arc<StatusWriter>,
        key: ObjectKey,
        uid: Uid,
        bind: Option<String>,
    ) -> Self {
        let (latest, mut changes) = watch::channel((0, None::<PodStatus>));
        let (done, written) = watch::channel(0);
        let task = tokio::spawn(async move {
            if let Some(node) = bind {
                report(writer.bind(&key, &uid, &node).await.err());
            }
            // After the sender is gone the last value is still delivered.
            while changes.changed().await.is_ok() {
                let (number, status) = changes.borrow_and_update().clone();
                if let Some(status) = status {
                    report(writer.pod_status(&key, &uid, status).await.err());
                }
                done.send_replace(number);
            }
        });
        Self {
            latest,
            written,
            task,
        }
    }

    pub(super) fn publish(&self, status: &PodStatus) {
        self.latest.send_if_modified(|latest| {
            let changed = latest.1.as_ref() != Some(status);
            if changed {
                *latest = (latest.0 + 1, Some(status.clone()));
            }
            changed
        });
    }

    /// Returns when everything published so far is in the store, or cannot be written.
    pub(super) async fn flush(&self) {
        let wanted = self.latest.borrow().0;
        let mut written = self.written.clone();
        // An error means that the writer is gone: there is nothing to wait for.
        let _ = written.wait_for(|number| *number >= wanted).await;
    }

    /// Returns after everything published so far has been written.
    pub(super) async fn finish(self) {
        drop(self.latest);
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "the status writer of a pod ended badly");
        }
    }
}

fn report(error: Option<StoreError>) {
    match error {
        // The pod was removed meanwhile; its status does not matter any more.
        None | Some(StoreError::NotFound(_) | StoreError::OtherUid { .. }) => {}
        Some(error) => tracing::warn!(error = chain(&error), "a pod status could not be written"),
    }
}
