//! What a pod gets from its service account when it is created (kubernetes-semantics §8.5): the name, the pull
//! secrets, and a volume with a token, the certificate of the API and the namespace.

use k8s_openapi::api::core::v1::{
    ConfigMapProjection, Container, DownwardAPIProjection, DownwardAPIVolumeFile, KeyToPath,
    ObjectFieldSelector, Pod, PodSpec, ProjectedVolumeSource, ServiceAccount,
    ServiceAccountTokenProjection, Volume, VolumeMount, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME_PREFIX: &str = "kube-api-access-";
const DEFAULT: &str = "default";
/// Seconds; the API gives such a token a year and tells clients to renew it after this time.
const EXPIRATION: i64 = 3607;
/// 0644.
const MODE: i32 = 420;

/// The service account that every namespace has.
pub(crate) fn default_service_account(namespace: &str) -> ServiceAccount {
    ServiceAccount {
        metadata: ObjectMeta {
            name: Some(DEFAULT.to_owned()),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        ..ServiceAccount::default()
    }
}

/// Name of the service account that the pod asks for.
pub(crate) fn wanted_account(pod: &Pod) -> &str {
    let spec = pod.spec.as_ref();
    let names = [
        spec.and_then(|spec| spec.service_account_name.as_deref()),
        spec.and_then(|spec| spec.service_account.as_deref()),
    ];
    names
        .into_iter()
        .flatten()
        .find(|name| !name.is_empty())
        .unwrap_or(DEFAULT)
}

/// `suffix` makes the name of the volume unique, five characters.
pub(crate) fn use_service_account(pod: &mut Pod, account: &ServiceAccount, suffix: &str) {
    let Some(spec) = &mut pod.spec else { return };
    if spec.image_pull_secrets.as_ref().is_none_or(Vec::is_empty)
        && account.image_pull_secrets.is_some()
    {
        spec.image_pull_secrets
            .clone_from(&account.image_pull_secrets);
    }
    let wanted = spec
        .automount_service_account_token
        .or(account.automount_service_account_token)
        .unwrap_or(true);
    if wanted {
        mount_token(spec, suffix);
    }
}

fn mount_token(spec: &mut PodSpec, suffix: &str) {
    let existing = spec
        .volumes
        .iter()
        .flatten()
        .map(|volume| volume.name.clone())
        .find(|name| name.starts_with(VOLUME_PREFIX));
    let is_new = existing.is_none();
    let name = existing.unwrap_or_else(|| format!("{VOLUME_PREFIX}{suffix}"));
    let lacks = |container: &Container| {
        let mut mounts = container.volume_mounts.iter().flatten();
        !mounts.any(|mount| mount.mount_path == MOUNT_PATH)
    };
    let mut used = false;
    let init = spec.init_containers.iter_mut().flatten();
    for container in init.chain(&mut spec.containers) {
        if lacks(container) {
            used = true;
            container
                .volume_mounts
                .get_or_insert_default()
                .push(VolumeMount {
                    name: name.clone(),
                    mount_path: MOUNT_PATH.to_owned(),
                    read_only: Some(true),
                    ..VolumeMount::default()
                });
        }
    }
    if used && is_new {
        spec.volumes
            .get_or_insert_default()
            .push(token_volume(name));
    }
}

fn token_volume(name: String) -> Volume {
    let token = VolumeProjection {
        service_account_token: Some(ServiceAccountTokenProjection {
            expiration_seconds: Some(EXPIRATION),
            path: "token".to_owned(),
            audience: None,
        }),
        ..VolumeProjection::default()
    };
    let certificate = VolumeProjection {
        config_map: Some(ConfigMapProjection {
            name: "kube-root-ca.crt".to_owned(),
            items: Some(vec![KeyToPath {
                key: "ca.crt".to_owned(),
                path: "ca.crt".to_owned(),
                mode: None,
            }]),
            optional: None,
        }),
        ..VolumeProjection::default()
    };
    let namespace = VolumeProjection {
        downward_api: Some(DownwardAPIProjection {
            items: Some(vec![DownwardAPIVolumeFile {
                path: "namespace".to_owned(),
                field_ref: Some(ObjectFieldSelector {
                    api_version: Some("v1".to_owned()),
                    field_path: "metadata.namespace".to_owned(),
                }),
                ..DownwardAPIVolumeFile::default()
            }]),
        }),
        ..VolumeProjection::default()
    };
    Volume {
        name,
        projected: Some(ProjectedVolumeSource {
            default_mode: Some(MODE),
            sources: Some(vec![token, certificate, namespace]),
        }),
        ..Volume::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The names of the volumes, and per container the volume mounted at the path of the token.
    #[track_caller]
    fn check(spec: Value, account: Value, volumes: &[&str], mounts: &[Option<&str>]) {
        let mut pod: Pod = serde_json::from_value(json!({ "spec": spec })).unwrap();
        let account = serde_json::from_value(account).unwrap();
        use_service_account(&mut pod, &account, "abcde");
        let spec = pod.spec.unwrap();
        let names: Vec<&str> = spec
            .volumes
            .iter()
            .flatten()
            .map(|one| one.name.as_str())
            .collect();
        assert_eq!(names, volumes);
        let containers = spec
            .init_containers
            .iter()
            .flatten()
            .chain(&spec.containers);
        let found: Vec<Option<&str>> = containers
            .map(|container| {
                let mut mounts = container.volume_mounts.iter().flatten();
                let mount = mounts.find(|mount| mount.mount_path == MOUNT_PATH)?;
                Some(mount.name.as_str())
            })
            .collect();
        assert_eq!(found, mounts);
    }

    #[test]
    fn every_container_gets_the_token() {
        let token = Some("kube-api-access-abcde");
        let two = json!({"containers": [{"name": "a"}], "initContainers": [{"name": "i"}]});
        check(
            two.clone(),
            json!({}),
            &["kube-api-access-abcde"],
            &[token, token],
        );
        let no = json!({"automountServiceAccountToken": false});
        check(two.clone(), no.clone(), &[], &[None, None]);
        let mut asks = two;
        asks["automountServiceAccountToken"] = json!(true);
        check(
            asks.clone(),
            no,
            &["kube-api-access-abcde"],
            &[token, token],
        );
        asks["automountServiceAccountToken"] = json!(false);
        check(asks, json!({}), &[], &[None, None]);
    }

    #[test]
    fn what_is_mounted_already_stays() {
        let own = json!({"containers": [{"name": "a", "volumeMounts": [{"name": "v", "mountPath": MOUNT_PATH}]}],
            "volumes": [{"name": "v", "emptyDir": {}}]});
        check(own, json!({}), &["v"], &[Some("v")]);
        let copied =
            json!({"containers": [{"name": "a"}], "volumes": [{"name": "kube-api-access-xxxxx"}]});
        check(
            copied,
            json!({}),
            &["kube-api-access-xxxxx"],
            &[Some("kube-api-access-xxxxx")],
        );
    }

    #[test]
    fn pull_secrets_are_taken_over() {
        let account: ServiceAccount =
            serde_json::from_value(json!({"imagePullSecrets": [{"name": "s"}]})).unwrap();
        let mut pod: Pod = serde_json::from_value(json!({"spec": {"containers": []}})).unwrap();
        use_service_account(&mut pod, &account, "x");
        assert_eq!(pod.spec.unwrap().image_pull_secrets.unwrap()[0].name, "s");
        let own = json!({"spec": {"containers": [], "imagePullSecrets": [{"name": "own"}]}});
        let mut pod: Pod = serde_json::from_value(own).unwrap();
        use_service_account(&mut pod, &account, "x");
        assert_eq!(pod.spec.unwrap().image_pull_secrets.unwrap()[0].name, "own");
    }

    #[test]
    fn the_account_asked_for() {
        let name = |spec: Value| {
            let pod: Pod = serde_json::from_value(json!({ "spec": spec })).unwrap();
            wanted_account(&pod).to_owned()
        };
        assert_eq!(name(json!({"containers": []})), "default");
        assert_eq!(
            name(json!({"containers": [], "serviceAccount": "old"})),
            "old"
        );
        let both = json!({"containers": [], "serviceAccount": "old", "serviceAccountName": "new"});
        assert_eq!(name(both), "new");
    }
}
