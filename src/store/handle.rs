use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ConfigMap, Event, Node, PersistentVolumeClaim, Pod, PodCondition, PodStatus,
};
use tokio::sync::{mpsc, oneshot};

use super::StoreError;
use super::task::{Reply, Request, Write};
use crate::admission::{Admitted, Context, admit_create, default_service_account};
use crate::base::Uid;
use crate::model::{Object, ObjectKey, Resource, ResourceVersion};

/// Writes what users want. A write that returned `Ok` survives a crash of podtui and of the machine.
#[derive(Clone)]
pub(crate) struct SpecWriter(pub(super) WriterHandle);

impl SpecWriter {
    /// Assigns uid, creationTimestamp, generation, resourceVersion and, for `generateName`, the name.
    /// Status comes as admitted.
    pub(crate) async fn create(&self, object: Admitted<Object>) -> Result<Object, StoreError> {
        self.0.durable(Write::Create(object.into_inner())).await
    }

    /// Replaces all but the status. A `resourceVersion` in the object is a precondition, and so is a `uid`.
    /// Without a difference nothing is written and the version stays.
    pub(crate) async fn update(&self, object: Admitted<Object>) -> Result<Object, StoreError> {
        self.0.durable(Write::Update(object.into_inner())).await
    }

    /// Replaces the status and nothing else, with the same preconditions.
    pub(crate) async fn update_status(
        &self,
        object: Admitted<Object>,
    ) -> Result<Object, StoreError> {
        self.0.durable(Write::Status(object.into_inner())).await
    }

    /// Returns the last state.
    pub(crate) async fn remove(
        &self,
        key: &ObjectKey,
        uid: Option<&Uid>,
        version: Option<ResourceVersion>,
    ) -> Result<Object, StoreError> {
        let write = Write::Remove {
            key: key.clone(),
            uid: uid.cloned(),
            version,
        };
        self.0.durable(write).await
    }
}

/// Writes what the engine observes. Its writes survive a crash of podtui at once, and a crash of the machine
/// after the kernel has written them back; the engine observes again what is lost by that.
pub(crate) struct StatusWriter(pub(super) WriterHandle);

impl StatusWriter {
    /// Replaces the status of a pod, provided the name still belongs to this uid. Without a difference
    /// nothing is written.
    pub(crate) async fn pod_status(
        &self,
        key: &ObjectKey,
        uid: &Uid,
        status: PodStatus,
    ) -> Result<Arc<Pod>, StoreError> {
        let write = Write::PodStatus {
            key: key.clone(),
            uid: uid.clone(),
            status: Box::new(status),
        };
        self.0.quick(write).await.map(into_pod)
    }

    /// Sets `spec.nodeName` if it is empty: the write of the scheduler.
    pub(crate) async fn bind(
        &self,
        key: &ObjectKey,
        uid: &Uid,
        node_name: &str,
    ) -> Result<Arc<Pod>, StoreError> {
        let write = Write::Bind {
            key: key.clone(),
            uid: uid.clone(),
            node_name: node_name.to_owned(),
        };
        self.0.quick(write).await.map(into_pod)
    }

    /// Deletes a pod for a reason that is not its owner's, gracefully, and says so in its conditions, in one write.
    /// `grace_seconds`: `None` takes the pod's own. A pod that is
    /// being deleted stays as it is; one that is gone already, or whose name has a new owner, is fine.
    pub(crate) async fn disrupt_pod(
        &self,
        key: &ObjectKey,
        uid: &Uid,
        condition: PodCondition,
        grace_seconds: Option<i64>,
    ) -> Result<(), StoreError> {
        let write = Write::DisruptPod {
            key: key.clone(),
            uid: uid.clone(),
            condition: Box::new(condition),
            grace_seconds,
        };
        match self.0.quick(write).await {
            Ok(_) | Err(StoreError::NotFound(_) | StoreError::OtherUid { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes a pod whose containers are gone. A pod with finalizers stays with grace period 0 until the
    /// last of them is taken away. A pod that is gone already, or whose name has a new owner, is fine.
    pub(crate) async fn remove_pod(&self, key: &ObjectKey, uid: &Uid) -> Result<(), StoreError> {
        let write = Write::RemovePod {
            key: key.clone(),
            uid: uid.clone(),
        };
        match self.0.quick(write).await {
            Ok(_) | Err(StoreError::NotFound(_) | StoreError::OtherUid { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Creates the event or replaces the one of this name.
    pub(crate) async fn put_event(&self, event: Event) -> Result<Object, StoreError> {
        self.0
            .quick(Write::Put(Arc::new(event).into_object()))
            .await
    }

    /// Removes the events last seen before this instant. Returns how many.
    pub(crate) async fn prune_events(&self, before: Timestamp) -> Result<usize, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Request::PruneEvents { before, reply }).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Creates the config map or replaces the one of this name.
    pub(crate) async fn put_config_map(&self, map: ConfigMap) -> Result<Object, StoreError> {
        self.0.quick(Write::Put(Arc::new(map).into_object())).await
    }

    /// The service account that every namespace has.
    pub(crate) async fn create_account(&self, namespace: &str) -> Result<Object, StoreError> {
        let account = default_service_account(namespace);
        let write = Write::Create(Arc::new(account).into_object());
        self.0.quick(write).await
    }

    /// Replaces spec, status and metadata at once, provided the object still has the version it names. One
    /// that is deleted and has lost its last finalizer is removed.
    pub(crate) async fn replace(&self, object: Object) -> Result<Object, StoreError> {
        self.0.quick(Write::Whole(object)).await
    }

    /// A claim that the engine makes for a pod; it goes through admission as one of a user does.
    pub(crate) async fn create_claim(
        &self,
        claim: PersistentVolumeClaim,
        now: Timestamp,
    ) -> Result<Object, StoreError> {
        let claim = Arc::new(claim).into_object();
        let key = claim.key();
        let (claim, _) = admit_create(claim, &Context { now })
            .map_err(|errors| StoreError::Refused { key, errors })?;
        self.0.quick(Write::Create(claim.into_inner())).await
    }

    /// Creates the node or replaces the one of this name.
    pub(crate) async fn put_node(&self, node: Node) -> Result<Object, StoreError> {
        self.0.quick(Write::Put(Arc::new(node).into_object())).await
    }
}

fn into_pod(object: Object) -> Arc<Pod> {
    Pod::from_object(&object)
        .cloned()
        .expect("the write was keyed by kind Pod")
}

/// The way to the writer task. The channel is bounded: writers wait for their turn.
#[derive(Clone)]
pub(super) struct WriterHandle {
    requests: mpsc::Sender<Request>,
}

impl WriterHandle {
    pub(super) fn new(requests: mpsc::Sender<Request>) -> Self {
        Self { requests }
    }

    async fn send(&self, request: Request) -> Result<(), StoreError> {
        self.requests
            .send(request)
            .await
            .map_err(|_| StoreError::Closed)
    }

    async fn durable(&self, write: Write) -> Result<Object, StoreError> {
        self.write(write, true).await
    }

    async fn quick(&self, write: Write) -> Result<Object, StoreError> {
        self.write(write, false).await
    }

    async fn write(&self, write: Write, durable: bool) -> Result<Object, StoreError> {
        let (reply, answer): (Reply, _) = oneshot::channel();
        self.send(Request::Write {
            write,
            durable,
            reply,
        })
        .await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}
