//! Fields of a pod that are valid Kubernetes and that the engine does not carry out yet.
//!
//! Nothing is ignored silently: `apply` warns with this list and the engine writes it into events. A row leaves
//! this file in the same change that implements its field.

use k8s_openapi::api::core::v1::{
    Container, Pod, PodSecurityContext, PodSpec, SecurityContext, Volume,
};

use super::pod::as_container;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Support {
    /// The pod runs as if the field were absent.
    Ignored,
    /// The pod must not run without it and is held (ContainerCreating).
    Blocks,
}

/// One field that is set and not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unsupported {
    pub(crate) path: String,
    /// What happens instead, in words for the user.
    pub(crate) why: String,
    pub(crate) support: Support,
}

/// `spec.hostUsers: not supported yet: …`.
impl std::fmt::Display for Unsupported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: not supported yet: {}", self.path, self.why)
    }
}

/// All such fields of a pod, in the order of the API.
pub(crate) fn unsupported(pod: &Pod) -> Vec<Unsupported> {
    let mut list = List::default();
    if let Some(spec) = &pod.spec {
        list.pod(spec);
    }
    list.found
}

#[derive(Default)]
struct List {
    found: Vec<Unsupported>,
}

/// An empty list or map asks for nothing.
trait Given {
    fn given(&self) -> bool;
}

impl<T> Given for Option<Vec<T>> {
    fn given(&self) -> bool {
        self.as_ref().is_some_and(|list| !list.is_empty())
    }
}

impl<V> Given for Option<std::collections::BTreeMap<String, V>> {
    fn given(&self) -> bool {
        self.as_ref().is_some_and(|map| !map.is_empty())
    }
}

impl Given for Option<String> {
    fn given(&self) -> bool {
        self.as_ref().is_some_and(|text| !text.is_empty())
    }
}

impl List {
    fn ignored(&mut self, is_set: bool, path: impl Into<String>, why: &str) {
        self.add(is_set, path.into(), why, Support::Ignored);
    }

    fn blocks(&mut self, is_set: bool, path: impl Into<String>, why: &str) {
        self.add(is_set, path.into(), why, Support::Blocks);
    }

    fn add(&mut self, is_set: bool, path: String, why: &str, support: Support) {
        if is_set {
            self.found.push(Unsupported {
                path,
                why: why.to_owned(),
                support,
            });
        }
    }

    fn pod(&mut self, spec: &PodSpec) {
        for (index, volume) in spec.volumes.iter().flatten().enumerate() {
            self.volume(&format!("spec.volumes[{index}]"), volume);
        }
        for (index, container) in spec.init_containers.iter().flatten().enumerate() {
            let path = format!("spec.initContainers[{index}]");
            if spec.host_network != Some(true) {
                self.host_ports(&path, container);
            }
            self.container(&path, container);
        }
        for (index, container) in spec.containers.iter().enumerate() {
            let path = format!("spec.containers[{index}]");
            if spec.host_network != Some(true) {
                self.host_ports(&path, container);
            }
            self.container(&path, container);
        }
        for (index, container) in spec.ephemeral_containers.iter().flatten().enumerate() {
            let path = format!("spec.ephemeralContainers[{index}]");
            self.container(&path, &as_container(container));
        }
        self.security(spec.security_context.as_ref());
        self.naming(spec);
        self.scheduling(spec);
        self.resources(spec);
    }

    fn naming(&mut self, spec: &PodSpec) {
        self.ignored(
            spec.subdomain.given(),
            "spec.subdomain",
            "there is no DNS record for it",
        );
    }

    fn scheduling(&mut self, spec: &PodSpec) {
        self.ignored(
            spec.scheduling_group.is_some(),
            "spec.schedulingGroup",
            "there is one node and the pod is placed on it regardless of the others there",
        );
    }

    fn resources(&mut self, spec: &PodSpec) {
        self.blocks(
            spec.resource_claims.given(),
            "spec.resourceClaims",
            "devices cannot be claimed, so the pod is held",
        );
    }

    fn volume(&mut self, path: &str, volume: &Volume) {
        let held = "this type of volume cannot be prepared, so the pod is held (FailedMount)";
        let mut block = |is_set: bool, field: &str| {
            self.add(is_set, format!("{path}.{field}"), held, Support::Blocks);
        };
        let projected = volume.projected.iter().flat_map(|source| &source.sources);
        for (index, source) in projected.flatten().enumerate() {
            let field = |name: &str| format!("projected.sources[{index}].{name}");
            block(
                source.cluster_trust_bundle.is_some(),
                &field("clusterTrustBundle"),
            );
            block(source.pod_certificate.is_some(), &field("podCertificate"));
        }
        block(volume.csi.is_some(), "csi");
        block(volume.nfs.is_some(), "nfs");
        block(volume.iscsi.is_some(), "iscsi");
        block(volume.fc.is_some(), "fc");
        block(volume.git_repo.is_some(), "gitRepo");
        block(
            volume.aws_elastic_block_store.is_some(),
            "awsElasticBlockStore",
        );
        block(volume.azure_disk.is_some(), "azureDisk");
        block(volume.azure_file.is_some(), "azureFile");
        block(volume.cephfs.is_some(), "cephfs");
        block(volume.cinder.is_some(), "cinder");
        block(volume.flex_volume.is_some(), "flexVolume");
        block(volume.flocker.is_some(), "flocker");
        block(volume.gce_persistent_disk.is_some(), "gcePersistentDisk");
        block(volume.glusterfs.is_some(), "glusterfs");
        block(
            volume.photon_persistent_disk.is_some(),
            "photonPersistentDisk",
        );
        block(volume.portworx_volume.is_some(), "portworxVolume");
        block(volume.quobyte.is_some(), "quobyte");
        block(volume.rbd.is_some(), "rbd");
        block(volume.scale_io.is_some(), "scaleIO");
        block(volume.storageos.is_some(), "storageos");
        block(volume.vsphere_volume.is_some(), "vsphereVolume");
    }

    /// With the host's network a port is one of the host anyway.
    fn host_ports(&mut self, path: &str, container: &Container) {
        for (index, port) in container.ports.iter().flatten().enumerate() {
            self.ignored(
                port.host_port.unwrap_or(0) != 0,
                format!("{path}.ports[{index}].hostPort"),
                "the port is not published on the host; use the pod's address",
            );
        }
    }

    fn container(&mut self, path: &str, container: &Container) {
        self.container_resources(path, container);
        if let Some(context) = &container.security_context {
            self.container_security(&format!("{path}.securityContext"), context);
        }
    }

    fn container_resources(&mut self, path: &str, container: &Container) {
        let Some(resources) = &container.resources else {
            return;
        };
        self.blocks(
            resources.claims.given(),
            format!("{path}.resources.claims"),
            "devices cannot be claimed, so the pod is held",
        );
    }

    fn container_security(&mut self, path: &str, context: &SecurityContext) {
        self.ignored(
            context.se_linux_options.is_some(),
            format!("{path}.seLinuxOptions"),
            "no SELinux label is applied",
        );
    }

    fn security(&mut self, context: Option<&PodSecurityContext>) {
        let Some(context) = context else { return };
        let path = "spec.securityContext";
        self.ignored(
            context.se_linux_options.is_some(),
            format!("{path}.seLinuxOptions"),
            "no SELinux label is applied",
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(spec: Value, expected: &[(&str, Support)]) {
        let pod: Pod = serde_json::from_value(json!({ "spec": spec })).unwrap();
        let found = unsupported(&pod);
        let found: Vec<(&str, Support)> = found
            .iter()
            .map(|found| (found.path.as_str(), found.support))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_the_engine_does_is_not_listed() {
        check(
            json!({
                "containers": [{
                    "name": "c", "image": "x", "command": ["a"], "args": ["b"], "workingDir": "/", "stdin": true, "tty": true,
                    "env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {}}], "envFrom": [{}],
                    "ports": [{"containerPort": 80, "hostPort": 80}],
                    "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
                    "livenessProbe": {}, "readinessProbe": {}, "startupProbe": {},
                    "volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": true, "mountPropagation": "HostToContainer", "subPath": "x"}],
                    "securityContext": {"runAsUser": 1, "seccompProfile": {"type": "RuntimeDefault"}},
                }],
                "volumes": [{"name": "v", "hostPath": {"path": "/x"}}, {"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}],
                "initContainers": [{"name": "i", "image": "x"}, {"name": "s", "image": "x", "restartPolicy": "Always"}],
                "securityContext": {"fsGroup": 5}, "hostNetwork": true, "shareProcessNamespace": true, "hostAliases": [], "nodeSelector": {},
                "serviceAccountName": "robot", "automountServiceAccountToken": true, "schedulerName": "default-scheduler",
                "priorityClassName": "high", "priority": 5,
            }),
            &[],
        );
    }

    #[test]
    fn what_it_does_not_do_is() {
        check(
            json!({
                "containers": [{
                    "name": "c",
                    "ports": [{"containerPort": 80, "hostPort": 80}],
                    "resources": {"limits": {"example.com/foo": "1"}, "requests": {"example.com/foo": "1", "ephemeral-storage": "1Gi"}},
                }],
                "volumes": [{"name": "v", "nfs": {"server": "s", "path": "/"}}],
                "subdomain": "web",
            }),
            &[
                ("spec.volumes[0].nfs", Support::Blocks),
                ("spec.containers[0].ports[0].hostPort", Support::Ignored),
                ("spec.subdomain", Support::Ignored),
            ],
        );
    }
}
