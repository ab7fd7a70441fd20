//! What a namespace means for the objects in it, and its end: deleting one deletes all of its contents first.

use k8s_openapi::api::core::v1::{Namespace, Pod};
use tracing::{debug, warn};

use super::{Local, delete};
use crate::client::DeleteOptions;
use crate::model::{ApiError, Kind, Object, ObjectKey, Resource};
use crate::store::Gone;

/// These cannot be deleted, as in Kubernetes.
const PERMANENT: [&str; 3] = ["default", "kube-system", "kube-public"];

/// An object can only be created in a namespace that exists and stays.
pub(super) fn check_accepts(local: &Local, object: &Object) -> Result<(), ApiError> {
    if !object.kind().is_namespaced() {
        return Ok(());
    }
    let name = object.namespace();
    let Some(namespace) = local.store.get::<Namespace>("", name) else {
        return Err(ApiError::not_found(Kind::Namespace, name));
    };
    if namespace.metadata.deletion_timestamp.is_none() {
        return Ok(());
    }
    let why =
        format!("unable to create new content in namespace {name} because it is being terminated");
    Err(ApiError::forbidden(object.kind(), object.name(), &why))
}

pub(super) fn check_deletable(name: &str) -> Result<(), ApiError> {
    if PERMANENT.contains(&name) {
        let why = "this namespace may not be deleted";
        return Err(ApiError::forbidden(Kind::Namespace, name, why));
    }
    Ok(())
}

/// Takes up what an earlier process began.
pub(super) fn resume(local: &Local) {
    let (namespaces, _) = local.store.list::<Namespace>(None);
    for namespace in namespaces {
        if namespace.metadata.deletion_timestamp.is_some() {
            finish(local, &namespace.into_object());
        }
    }
}

/// Empties a namespace that is marked for deletion, in the background, and removes it then.
pub(super) fn finish(local: &Local, namespace: &Object) {
    let local = local.clone();
    let namespace = namespace.clone();
    tokio::spawn(async move { empty_and_remove(&local, &namespace).await });
}

async fn empty_and_remove(local: &Local, namespace: &Object) {
    let name = namespace.name();
    loop {
        let left = delete_contents(local, name).await;
        if left == 0 {
            break;
        }
        debug!(
            namespace = name,
            left, "waiting for the contents of a deleted namespace"
        );
        wait_for_pods(local, name).await;
    }
    let uid = namespace.uid();
    if let Err(error) = local.spec.remove(&namespace.key(), Some(&uid), None).await {
        warn!(
            namespace = name,
            error = crate::base::chain(&error),
            "cannot remove a namespace"
        );
    }
}

/// Returns how many objects remain, which are pods that still terminate, or objects with finalizers.
async fn delete_contents(local: &Local, namespace: &str) -> usize {
    let mut left = 0;
    for kind in Kind::ALL.into_iter().filter(|kind| kind.is_namespaced()) {
        let (objects, _) = local.store.list_objects(kind, Some(namespace));
        for object in objects {
            let key: ObjectKey = object.key();
            if let Err(error) = delete::delete(local, &key, &DeleteOptions::default()).await {
                debug!(%key, %error, "deleting the contents of a namespace");
            }
            left += usize::from(local.store.get_object(&key).is_some());
        }
    }
    left
}

/// Until one pod fewer is there. Other kinds remain only for finalizers, whose owners are not woken by us.
async fn wait_for_pods(local: &Local, namespace: &str) {
    let (pods, version) = local.store.list::<Pod>(Some(namespace));
    if pods.is_empty() {
        // An object with a finalizer: look again from time to time.
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        return;
    }
    let Ok(mut watcher) = local.store.watch(Kind::Pod, version) else {
        return;
    };
    loop {
        match watcher.next_change().await {
            Ok(change) if change.deleted && change.object.namespace() == namespace => return,
            Ok(_) => {}
            Err(Gone) => return,
        }
    }
}
