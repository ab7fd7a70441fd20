//! What is in the volumes whose files are made of other objects: configMap, secret, downwardAPI, projected
//! (kubernetes-semantics §8.4). Pure: objects in, files out.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMap, DownwardAPIVolumeFile, KeyToPath, Pod, PodSpec, Secret, Volume, VolumeProjection,
};
use sha2::{Digest, Sha256};

use super::VolumeError;
use super::error::SetUpError;
use super::objects::Sources;
use crate::model::downward::{metadata_field, resource_field};
use crate::model::pod::all_containers;
use crate::wire::{VolumeContent, VolumeFile};

/// Bytes of all files of one volume: what fits a message to the shim.
const CONTENT_MAX: usize = 10 << 20;
/// 0644.
const MODE: i32 = 420;

/// Whether the files of this volume come from the engine.
pub(super) const fn is_written(volume: &Volume) -> bool {
    volume.config_map.is_some()
        || volume.secret.is_some()
        || volume.downward_api.is_some()
        || volume.projected.is_some()
}

/// The contents of all such volumes of the pod as they should be now, each by itself: one that cannot be
/// made does not concern the others.
pub(crate) fn contents(
    pod: &Pod,
    sources: &Sources<'_>,
) -> Vec<(String, Result<VolumeContent, VolumeError>)> {
    let volumes = pod
        .spec
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten());
    volumes
        .filter(|volume| is_written(volume))
        .map(|volume| {
            let content = content(pod, volume, sources).map_err(|reason| VolumeError::SetUp {
                volume: volume.name.clone(),
                reason,
            });
            (volume.name.clone(), content)
        })
        .collect()
}

pub(super) fn content(
    pod: &Pod,
    volume: &Volume,
    sources: &Sources<'_>,
) -> Result<VolumeContent, SetUpError> {
    let mut payload = Payload {
        pod,
        sources,
        files: BTreeMap::new(),
    };
    if let Some(source) = &volume.config_map {
        let wanted = Wanted::new(&source.items, source.default_mode, source.optional);
        payload.config_map(&source.name, &wanted)?;
    } else if let Some(source) = &volume.secret {
        let name = source.secret_name.as_deref().unwrap_or_default();
        let wanted = Wanted::new(&source.items, source.default_mode, source.optional);
        payload.secret(name, &wanted)?;
    } else if let Some(source) = &volume.downward_api {
        payload.downward(source.items.iter().flatten(), source.default_mode)?;
    } else if let Some(source) = &volume.projected {
        payload.projected(source.sources.iter().flatten(), source.default_mode)?;
    }
    let files: Vec<VolumeFile> = payload.files.into_values().collect();
    let size: usize = files.iter().map(|file| file.data.len()).sum();
    if size > CONTENT_MAX {
        return Err(SetUpError::TooLarge { size });
    }
    let fs_group = fs_group(pod);
    Ok(VolumeContent {
        key: volume.name.clone(),
        version: version(&files, fs_group),
        fs_group,
        files,
    })
}

pub(super) fn fs_group(pod: &Pod) -> Option<u32> {
    let context = pod.spec.as_ref()?.security_context.as_ref()?;
    u32::try_from(context.fs_group?).ok()
}

/// The user that all containers of the pod run as, where the pod says so.
fn only_user(pod: &Pod) -> Option<u32> {
    let spec = pod.spec.as_ref()?;
    let shared = spec.security_context.as_ref();
    let shared = shared.and_then(|context| context.run_as_user);
    let mut users = all_containers(spec).map(|container| {
        let own = container.security_context.as_ref();
        own.and_then(|context| context.run_as_user).or(shared)
    });
    let first = users.next()??;
    let is_same = users.all(|user| user == Some(first));
    u32::try_from(first).ok().filter(|_| is_same)
}

fn version(files: &[VolumeFile], fs_group: Option<u32>) -> String {
    let mut digest = Sha256::new();
    digest.update(format!("{fs_group:?}"));
    for file in files {
        let head = format!(
            "{}\0{:o}\0{:?}\0{}\0",
            file.path,
            file.mode,
            file.owner,
            file.data.len()
        );
        digest.update(head);
        digest.update(&file.data);
    }
    let digest = digest.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What of an object is wanted, and where.
struct Wanted<'a> {
    items: &'a [KeyToPath],
    mode: i32,
    optional: bool,
}

impl<'a> Wanted<'a> {
    fn new(items: &'a Option<Vec<KeyToPath>>, mode: Option<i32>, optional: Option<bool>) -> Self {
        Self {
            items: items.as_deref().unwrap_or_default(),
            mode: mode.unwrap_or(MODE),
            optional: optional == Some(true),
        }
    }
}

struct Payload<'a> {
    pod: &'a Pod,
    sources: &'a Sources<'a>,
    files: BTreeMap<String, VolumeFile>,
}

impl Payload<'_> {
    fn namespace(&self) -> &str {
        self.pod.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// Of two files with one path the later one counts.
    fn add(&mut self, path: &str, mode: i32, data: Vec<u8>) {
        let file = VolumeFile {
            path: path.to_owned(),
            mode: u32::try_from(mode).unwrap_or(0) & 0o777,
            owner: None,
            data,
        };
        self.files.insert(path.to_owned(), file);
    }

    fn config_map(&mut self, name: &str, wanted: &Wanted<'_>) -> Result<(), SetUpError> {
        match self.sources.objects.config_map(self.namespace(), name) {
            Some(map) => self.keys(&config_data(&map), wanted, SetUpError::NoConfigKey),
            None if wanted.optional => Ok(()),
            None => Err(SetUpError::NoConfigMap(name.to_owned())),
        }
    }

    fn secret(&mut self, name: &str, wanted: &Wanted<'_>) -> Result<(), SetUpError> {
        match self.sources.objects.secret(self.namespace(), name) {
            Some(secret) => self.keys(&secret_data(&secret), wanted, SetUpError::NoSecretKey),
            None if wanted.optional => Ok(()),
            None => Err(SetUpError::NoSecret(name.to_owned())),
        }
    }

    fn keys(
        &mut self,
        data: &BTreeMap<&str, &[u8]>,
        wanted: &Wanted<'_>,
        missing: fn(String) -> SetUpError,
    ) -> Result<(), SetUpError> {
        if wanted.items.is_empty() {
            for (key, value) in data {
                self.add(key, wanted.mode, value.to_vec());
            }
        }
        for item in wanted.items {
            match data.get(item.key.as_str()) {
                Some(value) => {
                    self.add(&item.path, item.mode.unwrap_or(wanted.mode), value.to_vec());
                }
                None if wanted.optional => {}
                None => return Err(missing(item.key.clone())),
            }
        }
        Ok(())
    }

    fn downward<'b>(
        &mut self,
        items: impl Iterator<Item = &'b DownwardAPIVolumeFile>,
        mode: Option<i32>,
    ) -> Result<(), SetUpError> {
        let empty = PodSpec::default();
        let spec = self.pod.spec.as_ref().unwrap_or(&empty);
        for item in items {
            let value = if let Some(field) = &item.field_ref {
                metadata_field(self.pod, &field.field_path)
                    .ok_or_else(|| format!("unsupported fieldPath: {}", field.field_path))
            } else if let Some(resource) = &item.resource_field_ref {
                resource_field(spec, None, resource, self.sources.allocatable)
            } else {
                Ok(String::new())
            };
            let value = value.map_err(SetUpError::DownwardApi)?;
            let mode = item.mode.or(mode).unwrap_or(MODE);
            self.add(&item.path, mode, value.into_bytes());
        }
        Ok(())
    }

    /// All sources are tried, so that all that is missing is told at once.
    fn projected<'b>(
        &mut self,
        sources: impl Iterator<Item = &'b VolumeProjection>,
        mode: Option<i32>,
    ) -> Result<(), SetUpError> {
        let mut failures = Vec::new();
        for source in sources {
            if let Err(error) = self.projection(source, mode) {
                failures.push(error);
            }
        }
        // In the order of the sources, each text once (apimachinery `Aggregate`).
        let mut texts: Vec<String> = Vec::new();
        for text in failures.iter().map(ToString::to_string) {
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        match texts.len() {
            0 => Ok(()),
            1 => Err(failures.remove(0)),
            _ => Err(SetUpError::Several(texts.join(", "))),
        }
    }

    fn projection(
        &mut self,
        source: &VolumeProjection,
        mode: Option<i32>,
    ) -> Result<(), SetUpError> {
        if let Some(secret) = &source.secret {
            let wanted = Wanted::new(&secret.items, mode, secret.optional);
            return self.secret(&secret.name, &wanted);
        }
        if let Some(map) = &source.config_map {
            let wanted = Wanted::new(&map.items, mode, map.optional);
            return self.config_map(&map.name, &wanted);
        }
        if let Some(downward) = &source.downward_api {
            return self.downward(downward.items.iter().flatten(), mode);
        }
        if let Some(token) = &source.service_account_token {
            let audience = token.audience.as_deref().unwrap_or_default();
            let seconds = token.expiration_seconds.unwrap_or(3600);
            let value = self.sources.objects.token(self.pod, audience, seconds);
            let value = value.map_err(SetUpError::Token)?;
            let owner = only_user(self.pod);
            let is_private = owner.is_some() || fs_group(self.pod).is_some();
            let mode = if is_private {
                0o600
            } else {
                mode.unwrap_or(MODE)
            };
            self.add(&token.path, mode, value.into_bytes());
            if let Some(file) = self.files.get_mut(&token.path) {
                file.owner = owner;
            }
            return Ok(());
        }
        let other = if source.cluster_trust_bundle.is_some() {
            "clusterTrustBundle"
        } else {
            "podCertificate"
        };
        Err(SetUpError::UnsupportedType(format!(
            "projected.sources.{other}"
        )))
    }
}

fn config_data(map: &ConfigMap) -> BTreeMap<&str, &[u8]> {
    let texts = map.data.iter().flatten();
    let bytes = map.binary_data.iter().flatten();
    texts
        .map(|(key, text)| (key.as_str(), text.as_bytes()))
        .chain(bytes.map(|(key, bytes)| (key.as_str(), bytes.0.as_slice())))
        .collect()
}

fn secret_data(secret: &Secret) -> BTreeMap<&str, &[u8]> {
    let data = secret.data.iter().flatten();
    data.map(|(key, bytes)| (key.as_str(), bytes.0.as_slice()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::super::objects::{Claimed, Objects};
    use super::*;
    use crate::model::downward::Allocatable;

    struct Fixed;

    impl Objects for Fixed {
        fn claimed(&self, _pod: &Pod, _volume: &Volume) -> Result<Claimed, String> {
            Err("there are no claims".to_owned())
        }

        fn config_map(&self, namespace: &str, name: &str) -> Option<Arc<ConfigMap>> {
            (namespace == "ns" && name == "c").then(|| {
                let map = json!({"data": {"a": "1", "b.conf": "2"}, "binaryData": {"raw": "//4="}});
                Arc::new(serde_json::from_value(map).unwrap())
            })
        }

        fn secret(&self, namespace: &str, name: &str) -> Option<Arc<Secret>> {
            (namespace == "ns" && name == "s").then(|| {
                let secret = json!({"data": {"user": "YWRtaW4=", ".hidden": "eA=="}});
                Arc::new(serde_json::from_value(secret).unwrap())
            })
        }

        fn token(&self, pod: &Pod, audience: &str, seconds: i64) -> Result<String, String> {
            let name = pod.metadata.name.as_deref().unwrap();
            Ok(format!("{name}-{audience}-{seconds}"))
        }
    }

    /// Each file as `path mode content`, or the text of the error.
    #[track_caller]
    fn check(volume: Value, expected: Result<&[&str], &str>) {
        let mut volume = volume;
        volume["name"] = json!("v");
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "ns", "labels": {"b": "2", "a": "1"}},
            "spec": {"containers": [{"name": "c"}], "volumes": [volume]},
        }))
        .unwrap();
        let sources = Sources {
            objects: &Fixed,
            allocatable: Allocatable {
                cpu_milli: 2000,
                memory: 1 << 30,
                ephemeral_storage: 1,
            },
        };
        let (name, found) = contents(&pod, &sources).pop().unwrap();
        assert_eq!(name, "v");
        match (found, expected) {
            (Ok(found), Ok(expected)) => {
                let found: Vec<String> = found
                    .files
                    .iter()
                    .map(|file| {
                        let data = String::from_utf8_lossy(&file.data);
                        format!("{} {:o} {data}", file.path, file.mode)
                    })
                    .collect();
                assert_eq!(found, expected);
            }
            (Err(error), Err(expected)) => assert_eq!(
                error.to_string(),
                format!("MountVolume.SetUp failed for volume \"v\" : {expected}")
            ),
            (found, expected) => panic!("{found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn keys_become_files() {
        check(
            json!({"configMap": {"name": "c"}}),
            Ok(&["a 644 1", "b.conf 644 2", "raw 644 \u{fffd}\u{fffd}"]),
        );
        check(
            json!({"secret": {"secretName": "s", "defaultMode": 256}}),
            Ok(&[".hidden 400 x", "user 400 admin"]),
        );
        check(
            json!({"secret": {"secretName": "s", "defaultMode": 256, "items": [
                {"key": "user", "path": "my-group/my-user", "mode": 511}, {"key": ".hidden", "path": "h"}]}}),
            Ok(&["h 400 x", "my-group/my-user 777 admin"]),
        );
    }

    #[test]
    fn what_is_missing_is_told_unless_optional() {
        check(
            json!({"configMap": {"name": "x"}}),
            Err("configmap \"x\" not found"),
        );
        check(
            json!({"secret": {"secretName": "x"}}),
            Err("secret \"x\" not found"),
        );
        check(
            json!({"configMap": {"name": "x", "optional": true}}),
            Ok(&[]),
        );
        let items = json!([{"key": "k", "path": "p"}, {"key": "a", "path": "q"}]);
        check(
            json!({"configMap": {"name": "c", "items": items}}),
            Err("configmap references non-existent config key: k"),
        );
        check(
            json!({"configMap": {"name": "c", "items": items, "optional": true}}),
            Ok(&["q 644 1"]),
        );
        check(
            json!({"secret": {"secretName": "s", "items": items}}),
            Err("references non-existent secret key: k"),
        );
    }

    #[test]
    fn the_downward_api() {
        check(
            json!({"downwardAPI": {"defaultMode": 384, "items": [
                {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
                {"path": "cpu", "mode": 292, "resourceFieldRef": {"containerName": "c", "resource": "limits.cpu"}},
            ]}}),
            Ok(&["cpu 444 2", "labels 600 a=\"1\"\nb=\"2\""]),
        );
        check(
            json!({"downwardAPI": {"items": [
                {"path": "cpu", "resourceFieldRef": {"containerName": "x", "resource": "limits.cpu"}}]}}),
            Err("container x not found"),
        );
    }

    #[test]
    fn projected_sources_are_merged() {
        check(
            json!({"projected": {"defaultMode": 416, "sources": [
                {"secret": {"name": "s", "items": [{"key": "user", "path": "u", "mode": 256}]}},
                {"configMap": {"name": "c", "items": [{"key": "a", "path": "d/a"}]}},
                {"downwardAPI": {"items": [{"path": "ns", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
                {"configMap": {"name": "none", "optional": true}},
            ]}}),
            Ok(&["d/a 640 1", "ns 640 ns", "u 400 admin"]),
        );
        check(
            json!({"projected": {"sources": [{"secret": {"name": "x"}}, {"configMap": {"name": "y"}}, {"secret": {"name": "x"}}]}}),
            Err("[secret \"x\" not found, configmap \"y\" not found]"),
        );
    }

    #[test]
    fn tokens_are_files_of_their_user() {
        let volume = json!({"projected": {"sources": [
            {"serviceAccountToken": {"path": "t", "audience": "vault", "expirationSeconds": 600}}]}});
        check(volume.clone(), Ok(&["t 644 p-vault-600"]));
        let mut volume = volume;
        volume["name"] = json!("v");
        let spec = json!({"securityContext": {"runAsUser": 7}, "containers": [{"name": "c"}], "volumes": [volume]});
        let mut pod: Pod =
            serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).unwrap();
        let sources = Sources {
            objects: &Fixed,
            allocatable: Allocatable::default(),
        };
        let file = |pod: &Pod| {
            let (_, content) = contents(pod, &sources).pop().unwrap();
            let file = content.unwrap().files.remove(0);
            (file.mode, file.owner)
        };
        assert_eq!(file(&pod), (0o600, Some(7)));
        let other =
            serde_json::from_value(json!({"name": "d", "securityContext": {"runAsUser": 8}}));
        pod.spec.as_mut().unwrap().containers.push(other.unwrap());
        assert_eq!(file(&pod), (0o644, None));
    }

    #[test]
    fn a_version_names_a_content() {
        let file = |data: &str, mode| VolumeFile {
            path: "p".to_owned(),
            mode,
            owner: None,
            data: data.into(),
        };
        let one = version(&[file("a", 0o644)], None);
        assert_eq!(one, version(&[file("a", 0o644)], None));
        assert_ne!(one, version(&[file("b", 0o644)], None));
        assert_ne!(one, version(&[file("a", 0o600)], None));
        assert_ne!(one, version(&[file("a", 0o644)], Some(5)));
        assert_ne!(one, version(&[], None));
    }
}
