//! Which objects a pod is made of beside itself, and the tasks that wake its worker when one of them
//! changes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Container, Node, Pod, Secret, ServiceAccount, Volume};

use super::machine::Machine;
use super::tokens::Bearer;
use crate::base::Uid;
use crate::model::pod::every_container;
use crate::model::storage::claims_of;
use crate::model::{Kind, ObjectKey, Resource, ResourceVersion};
use crate::store::WatchEvent;
use crate::volume::{Claimed, Objects};

/// The kinds whose changes reach running pods, and the one that lets waiting ones in.
pub(super) const KINDS: [Kind; 6] = [
    Kind::ConfigMap,
    Kind::Secret,
    Kind::ServiceAccount,
    Kind::Node,
    Kind::PersistentVolume,
    Kind::PersistentVolumeClaim,
];
const AGAIN: Duration = Duration::from_millis(100);

impl Objects for Machine {
    fn config_map(&self, namespace: &str, name: &str) -> Option<Arc<ConfigMap>> {
        self.store.get(namespace, name)
    }

    fn secret(&self, namespace: &str, name: &str) -> Option<Arc<Secret>> {
        self.store.get(namespace, name)
    }

    fn claimed(&self, pod: &Pod, volume: &Volume) -> Result<Claimed, String> {
        Self::claimed(self, pod, volume)
    }

    fn token(&self, pod: &Pod, audience: &str, seconds: i64) -> Result<String, String> {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let name = account_of(pod);
        let account = self
            .store
            .get::<ServiceAccount>(namespace, name)
            .ok_or_else(|| format!("serviceaccounts \"{name}\" not found"))?;
        let node = self.store.get::<Node>("", &self.node.name);
        let bearer = Bearer {
            pod,
            account: name,
            account_uid: &account.uid(),
            node: &self.node.name,
            node_uid: &node.map_or_else(|| Uid::new(""), |node| node.uid()),
        };
        self.tokens
            .token(&bearer, audience, seconds, self.clock.now())
    }
}

fn account_of(pod: &Pod) -> &str {
    let name = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.service_account_name.as_deref());
    name.filter(|name| !name.is_empty()).unwrap_or("default")
}

/// Every object that the variables and volumes of the pod name, whether or not it exists.
pub(super) fn references(pod: &Pod) -> BTreeSet<ObjectKey> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let mut found = Found {
        namespace,
        account: account_of(pod),
        keys: BTreeSet::new(),
    };
    if let Some(spec) = &pod.spec {
        every_container(spec).for_each(|container| found.container(&container));
        spec.volumes
            .iter()
            .flatten()
            .for_each(|volume| found.volume(volume));
        for (_, claim) in claims_of(pod) {
            found.add(Kind::PersistentVolumeClaim, &claim);
        }
    }
    found.keys
}

struct Found<'a> {
    namespace: &'a str,
    account: &'a str,
    keys: BTreeSet<ObjectKey>,
}

impl Found<'_> {
    fn add(&mut self, kind: Kind, name: &str) {
        self.keys.insert(ObjectKey::new(kind, self.namespace, name));
    }

    fn container(&mut self, container: &Container) {
        for source in container.env_from.iter().flatten() {
            if let Some(map) = &source.config_map_ref {
                self.add(Kind::ConfigMap, &map.name);
            }
            if let Some(secret) = &source.secret_ref {
                self.add(Kind::Secret, &secret.name);
            }
        }
        let sources = container.env.iter().flatten();
        for source in sources.filter_map(|variable| variable.value_from.as_ref()) {
            if let Some(map) = &source.config_map_key_ref {
                self.add(Kind::ConfigMap, &map.name);
            }
            if let Some(secret) = &source.secret_key_ref {
                self.add(Kind::Secret, &secret.name);
            }
        }
    }

    fn volume(&mut self, volume: &Volume) {
        if let Some(map) = &volume.config_map {
            self.add(Kind::ConfigMap, &map.name);
        }
        if let Some(secret) = &volume.secret {
            self.add(
                Kind::Secret,
                secret.secret_name.as_deref().unwrap_or_default(),
            );
        }
        let projected = volume.projected.as_ref();
        for source in projected
            .into_iter()
            .flat_map(|source| source.sources.iter().flatten())
        {
            if let Some(map) = &source.config_map {
                self.add(Kind::ConfigMap, &map.name);
            }
            if source.service_account_token.is_some() {
                self.add(Kind::ServiceAccount, self.account);
            }
            if let Some(secret) = &source.secret {
                self.add(Kind::Secret, &secret.name);
            }
        }
    }
}

/// Wakes the workers of pods that refer to objects of this kind, as these change. Ends with the engine,
/// which aborts it.
pub(super) async fn follow(machine: Arc<Machine>, kind: Kind, from: ResourceVersion) {
    let mut version = from;
    loop {
        if let Ok(mut watcher) = machine.store.watch(kind, version) {
            while let Ok(event) = watcher.next().await {
                let (WatchEvent::Added(object)
                | WatchEvent::Modified(object)
                | WatchEvent::Deleted(object)) = event;
                machine.board.object_changed(&object.key());
            }
        }
        // Some changes were missed: everybody looks again.
        version = machine.store.resource_version();
        machine.board.objects_changed(kind);
        // Only a store that is closing says so again at once.
        tokio::time::sleep(AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_source_is_found() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"namespace": "ns", "name": "pod"},
            "spec": {
                "initContainers": [{"name": "i", "envFrom": [{"configMapRef": {"name": "a"}}, {"secretRef": {"name": "b"}}]}],
                "containers": [{"name": "c", "env": [
                    {"name": "X", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
                    {"name": "Y", "valueFrom": {"secretKeyRef": {"name": "d", "key": "k", "optional": true}}},
                ]}],
                "volumes": [
                    {"name": "v", "configMap": {"name": "e"}}, {"name": "w", "secret": {"secretName": "f"}},
                    {"name": "q", "persistentVolumeClaim": {"claimName": "i"}}, {"name": "r", "ephemeral": {}},
                    {"name": "p", "projected": {"sources": [{"configMap": {"name": "g"}}, {"secret": {"name": "h"}}, {"serviceAccountToken": {"path": "t"}}]}},
                ],
            },
        }))
        .unwrap();
        let names: Vec<String> = references(&pod)
            .into_iter()
            .map(|key| format!("{}/{}", key.kind.plural(), key.name))
            .collect();
        assert_eq!(
            names,
            [
                "configmaps/a",
                "configmaps/c",
                "configmaps/e",
                "configmaps/g",
                "secrets/b",
                "secrets/d",
                "secrets/f",
                "secrets/h",
                "serviceaccounts/default",
                "persistentvolumeclaims/i",
                "persistentvolumeclaims/pod-r"
            ]
        );
    }
}
