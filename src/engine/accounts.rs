//! What every namespace has: the service account `default`, and the config map with the certificate of the
//! authority. Both come back when somebody deletes them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::machine::Machine;
use crate::base::chain;
use crate::model::Kind;
use crate::store::StoreError;

const CERTIFICATE_MAP: &str = "kube-root-ca.crt";
const DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal \
                           endpoints such as the internal service IP or kubernetes.default.svc. No other usage is \
                           guaranteed across distributions of Kubernetes clusters.";
const AGAIN: Duration = Duration::from_millis(100);

/// Keeps both in every namespace. Ends with the engine, which aborts it.
pub(super) async fn keep(machine: Arc<Machine>) {
    loop {
        let from = machine.store.resource_version();
        ensure_all(&machine).await;
        let watch = |kind| machine.store.watch(kind, from);
        if let (Ok(mut namespaces), Ok(mut accounts), Ok(mut maps)) = (
            watch(Kind::Namespace),
            watch(Kind::ServiceAccount),
            watch(Kind::ConfigMap),
        ) {
            loop {
                // All arms are cancel-safe: a change is taken only when it is returned.
                let changed = tokio::select! {
                    change = namespaces.next_change() => change,
                    change = accounts.next_change() => change,
                    change = maps.next_change() => change,
                };
                let Ok(change) = changed else { break };
                let object = &change.object;
                let namespace = match object.kind() {
                    Kind::Namespace => object.name(),
                    Kind::ServiceAccount if change.deleted => object.namespace(),
                    Kind::ConfigMap if object.name() == CERTIFICATE_MAP => object.namespace(),
                    _ => continue,
                };
                ensure(&machine, namespace).await;
            }
        }
        // Some changes were missed, or the store is closing.
        tokio::time::sleep(AGAIN).await;
    }
}

pub(super) async fn ensure_all(machine: &Machine) {
    let (namespaces, _) = machine.store.list::<Namespace>(None);
    for namespace in namespaces {
        ensure(
            machine,
            namespace.metadata.name.as_deref().unwrap_or_default(),
        )
        .await;
    }
}

async fn ensure(machine: &Machine, name: &str) {
    let Some(namespace) = machine.store.get::<Namespace>("", name) else {
        return;
    };
    // What is on its way out is left alone, or it would never be empty.
    if namespace.metadata.deletion_timestamp.is_some() {
        return;
    }
    if machine
        .store
        .get::<ServiceAccount>(name, "default")
        .is_none()
    {
        told(name, machine.status.create_account(name).await.map(|_| ()));
    }
    let data = BTreeMap::from([("ca.crt".to_owned(), machine.tokens.certificate().to_owned())]);
    let known = machine.store.get::<ConfigMap>(name, CERTIFICATE_MAP);
    if known.is_some_and(|map| map.data.as_ref() == Some(&data)) {
        return;
    }
    let annotation = (
        "kubernetes.io/description".to_owned(),
        DESCRIPTION.to_owned(),
    );
    let map = ConfigMap {
        metadata: ObjectMeta {
            name: Some(CERTIFICATE_MAP.to_owned()),
            namespace: Some(name.to_owned()),
            annotations: Some(BTreeMap::from([annotation])),
            ..ObjectMeta::default()
        },
        data: Some(data),
        ..ConfigMap::default()
    };
    let put = machine.status.put_config_map(map).await;
    told(name, put.map(|_| ()));
}

fn told(namespace: &str, result: Result<(), StoreError>) {
    match result {
        Ok(()) | Err(StoreError::AlreadyExists(_) | StoreError::Closed) => {}
        Err(error) => tracing::warn!(
            namespace,
            error = chain(&error),
            "what every namespace has could not be written"
        ),
    }
}
