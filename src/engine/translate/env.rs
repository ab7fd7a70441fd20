//! The variables of a container (kubernetes-semantics §7.1): `envFrom`, then `env` in order, values looked
//! up now and frozen in the instance.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{
    Container, EnvFromSource, EnvVarSource, FileKeySelector, Pod, PodSpec,
};

use super::command::expand;
use super::container::TranslateError;
use super::env_file;
use crate::image::ImageConfig;
use crate::model::downward::{Allocatable, metadata_field, resource_field};
use crate::volume::{Objects, Prepared};

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a container's own definition gives its environment, in the order of definition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct Variables {
    names: Vec<String>,
    values: BTreeMap<String, String>,
}

impl Variables {
    fn set(&mut self, name: String, value: String) {
        if self.values.insert(name.clone(), value).is_none() {
            self.names.push(name);
        }
    }

    /// By name, for `$(NAME)`.
    pub(super) const fn values(&self) -> &BTreeMap<String, String> {
        &self.values
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.names
            .iter()
            .filter_map(|name| Some((name.as_str(), self.values.get(name)?.as_str())))
    }
}

/// What the values of variables are looked up in.
pub(in crate::engine) struct EnvInputs<'a> {
    pub(in crate::engine) pod: &'a Pod,
    pub(in crate::engine) container: &'a Container,
    pub(in crate::engine) objects: &'a dyn Objects,
    pub(in crate::engine) allocatable: Allocatable,
    pub(in crate::engine) pod_addresses: &'a [IpAddr],
    /// The node that the pod is bound to, which its spec may not say yet.
    pub(in crate::engine) node_name: &'a str,
    pub(in crate::engine) host_addresses: &'a [String],
    /// For `fileKeyRef`.
    pub(in crate::engine) volumes: &'a Prepared,
}

/// Looks all variables up. A missing object or key that is not optional is a `Config` error in the
/// kubelet's words. Reads files of volumes where `fileKeyRef` asks for it.
pub(in crate::engine) fn variables(inputs: &EnvInputs<'_>) -> Result<Variables, TranslateError> {
    let mut found = Variables::default();
    for source in inputs.container.env_from.iter().flatten() {
        inputs
            .all_keys(source, &mut found)
            .map_err(TranslateError::Config)?;
    }
    for variable in inputs.container.env.iter().flatten() {
        let value = match &variable.value_from {
            // Only literals are expanded; what is looked up is taken as it is.
            None => Some(expand(
                variable.value.as_deref().unwrap_or_default(),
                found.values(),
            )),
            Some(source) => inputs.one(source).map_err(TranslateError::Config)?,
        };
        if let Some(value) = value {
            found.set(variable.name.clone(), value);
        }
    }
    Ok(found)
}

impl EnvInputs<'_> {
    fn namespace(&self) -> &str {
        self.pod.metadata.namespace.as_deref().unwrap_or_default()
    }

    fn all_keys(&self, source: &EnvFromSource, found: &mut Variables) -> Result<(), String> {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let mut set = |key: &str, value: String| found.set(format!("{prefix}{key}"), value);
        if let Some(wanted) = &source.config_map_ref {
            match self.objects.config_map(self.namespace(), &wanted.name) {
                Some(map) => {
                    for (key, value) in map.data.iter().flatten() {
                        set(key, value.clone());
                    }
                }
                None if wanted.optional == Some(true) => {}
                None => return Err(no_config_map(&wanted.name)),
            }
        }
        if let Some(wanted) = &source.secret_ref {
            match self.objects.secret(self.namespace(), &wanted.name) {
                Some(secret) => {
                    for (key, value) in secret.data.iter().flatten() {
                        set(key, self.secret_text(&wanted.name, key, &value.0)?);
                    }
                }
                None if wanted.optional == Some(true) => {}
                None => return Err(no_secret(&wanted.name)),
            }
        }
        Ok(())
    }

    /// An environment of a container is text, as it is in the CRI.
    fn secret_text(&self, secret: &str, key: &str, value: &[u8]) -> Result<String, String> {
        String::from_utf8(value.to_vec()).map_err(|_| {
            format!(
                "key {key} in Secret {}/{secret} is not valid UTF-8: mount it as a volume instead",
                self.namespace()
            )
        })
    }

    /// `None`: optional and missing.
    fn one(&self, source: &EnvVarSource) -> Result<Option<String>, String> {
        if let Some(field) = &source.field_ref {
            return self.field(&field.field_path).map(Some);
        }
        if let Some(resource) = &source.resource_field_ref {
            let empty = PodSpec::default();
            let spec = self.pod.spec.as_ref().unwrap_or(&empty);
            return resource_field(spec, Some(self.container), resource, self.allocatable)
                .map(Some);
        }
        if let Some(wanted) = &source.config_map_key_ref {
            let map = self.objects.config_map(self.namespace(), &wanted.name);
            let is_missing = map.is_none();
            let value = map.and_then(|map| map.data.as_ref()?.get(&wanted.key).cloned());
            return match value {
                None if wanted.optional == Some(true) => Ok(None),
                None if is_missing => Err(no_config_map(&wanted.name)),
                None => Err(self.no_key(&wanted.key, "ConfigMap", &wanted.name)),
                value => Ok(value),
            };
        }
        if let Some(wanted) = &source.secret_key_ref {
            let secret = self.objects.secret(self.namespace(), &wanted.name);
            let is_missing = secret.is_none();
            let value = secret.and_then(|secret| secret.data.as_ref()?.get(&wanted.key).cloned());
            return match value {
                None if wanted.optional == Some(true) => Ok(None),
                None if is_missing => Err(no_secret(&wanted.name)),
                None => Err(self.no_key(&wanted.key, "Secret", &wanted.name)),
                Some(value) => self
                    .secret_text(&wanted.name, &wanted.key, &value.0)
                    .map(Some),
            };
        }
        match &source.file_key_ref {
            Some(wanted) => self.file(wanted),
            None => Ok(None),
        }
    }

    fn no_key(&self, key: &str, kind: &str, name: &str) -> String {
        format!(
            "couldn't find key {key} in {kind} {}/{name}",
            self.namespace()
        )
    }

    fn field(&self, path: &str) -> Result<String, String> {
        let spec = self.pod.spec.as_ref();
        let pod_addresses = || self.pod_addresses.iter().map(IpAddr::to_string);
        Ok(match path {
            "spec.nodeName" => self.node_name.to_owned(),
            "spec.serviceAccountName" => spec
                .and_then(|spec| spec.service_account_name.clone())
                .unwrap_or_default(),
            "status.hostIP" => self.host_addresses.first().cloned().unwrap_or_default(),
            "status.hostIPs" => self.host_addresses.join(","),
            "status.podIP" => pod_addresses().next().unwrap_or_default(),
            "status.podIPs" => pod_addresses().collect::<Vec<_>>().join(","),
            other => metadata_field(self.pod, other)
                .ok_or_else(|| format!("unsupported fieldPath: {other}"))?,
        })
    }

    fn file(&self, wanted: &FileKeySelector) -> Result<Option<String>, String> {
        let optional = wanted.optional == Some(true);
        let read = self
            .volumes
            .read_file(&wanted.volume_name, &wanted.path)
            .map_err(|error| crate::base::chain(&error))?;
        let Some(text) = read else {
            return if optional {
                Ok(None)
            } else {
                Err(format!("environment file \"{}\" not found", wanted.path))
            };
        };
        let value = env_file::value(&text, &wanted.key)
            .map_err(|error| format!("couldn't parse env file \"{}\": {error}", wanted.path))?;
        match value {
            None if !optional => Err(format!(
                "environment variable key \"{}\" not found in file \"{}\"",
                wanted.key, wanted.path
            )),
            value => Ok(value),
        }
    }
}

fn no_config_map(name: &str) -> String {
    format!("configmap \"{name}\" not found")
}

fn no_secret(name: &str) -> String {
    format!("secret \"{name}\" not found")
}

/// The whole environment in the order of a CRI runtime: PATH, TERM, HOSTNAME, the image's, the container's;
/// a later definition replaces an earlier one in place.
pub(super) fn environment(
    container: &Container,
    image: &ImageConfig,
    hostname: &str,
    declared: &Variables,
) -> Vec<String> {
    let mut list: Vec<(String, String)> = Vec::new();
    let mut set = |name: &str, value: &str| match list.iter_mut().find(|(known, _)| known == name) {
        Some((_, old)) => value.clone_into(old),
        None => list.push((name.to_owned(), value.to_owned())),
    };
    set("PATH", DEFAULT_PATH);
    if container.tty == Some(true) {
        set("TERM", "xterm");
    }
    set("HOSTNAME", hostname);
    for (name, value) in image.env.iter().filter_map(|entry| entry.split_once('=')) {
        set(name, value);
    }
    for (name, value) in declared.iter() {
        set(name, value);
    }
    list.into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k8s_openapi::api::core::v1::{ConfigMap, Secret, Volume};
    use serde_json::{Value, json};

    use super::*;
    use crate::volume::Claimed;

    struct Fixed;

    impl Objects for Fixed {
        fn claimed(&self, _pod: &Pod, _volume: &Volume) -> Result<Claimed, String> {
            Err("there are no claims".to_owned())
        }

        fn config_map(&self, namespace: &str, name: &str) -> Option<Arc<ConfigMap>> {
            let data = match (namespace, name) {
                ("ns", "c") => json!({"a": "1", "b": "$(A)", "dotted.key": "x"}),
                ("ns", "d") => json!({"a": "2"}),
                _ => return None,
            };
            Some(Arc::new(
                serde_json::from_value(json!({"data": data})).unwrap(),
            ))
        }

        fn token(&self, _pod: &Pod, _audience: &str, _seconds: i64) -> Result<String, String> {
            Err("no variable is made of tokens".to_owned())
        }

        fn secret(&self, namespace: &str, name: &str) -> Option<Arc<Secret>> {
            // "pw" and two bytes that are not text.
            let data = match (namespace, name) {
                ("ns", "s") => json!({"k": "cHc=", "raw": "//4="}),
                ("ns", "t") => json!({"a": "cHc="}),
                _ => return None,
            };
            Some(Arc::new(
                serde_json::from_value(json!({"data": data})).unwrap(),
            ))
        }
    }

    fn found(container: Value, volumes: &Prepared) -> Result<Vec<String>, TranslateError> {
        let mut container = container;
        container["name"] = json!("c");
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "ns", "uid": "u", "labels": {"zone": "us"}},
            "spec": {"serviceAccountName": "robot", "containers": [container]},
        }))
        .unwrap();
        let container = &pod.spec.as_ref().unwrap().containers[0];
        let found = variables(&EnvInputs {
            pod: &pod,
            container,
            objects: &Fixed,
            allocatable: Allocatable {
                cpu_milli: 2000,
                memory: 1 << 30,
                ephemeral_storage: 1,
            },
            pod_addresses: &["10.0.0.2".parse().unwrap(), "fd00::2".parse().unwrap()],
            node_name: "node",
            host_addresses: &["192.0.2.1".to_owned()],
            volumes,
        })?;
        Ok(found
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect())
    }

    #[track_caller]
    fn check(container: Value, expected: Result<&[&str], &str>) {
        let found = found(container, &Prepared::default()).map_err(|error| {
            assert_eq!(error.reason(), "CreateContainerConfigError");
            error.to_string()
        });
        match (&found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(found), Err(expected)) => assert_eq!(found, expected),
            _ => panic!("{found:?} instead of {expected:?}"),
        }
    }

    fn from(name: &str, source: Value) -> Value {
        json!({"env": [{"name": name, "valueFrom": source}]})
    }

    #[test]
    fn literals_see_what_comes_before() {
        check(
            json!({"envFrom": [{"configMapRef": {"name": "c"}, "prefix": "P_"}], "env": [
                {"name": "A", "value": "2"}, {"name": "B", "value": "x$(A)$(P_a)"}, {"name": "A", "value": "3"},
                {"name": "C", "value": "$(LATER)"}, {"name": "LATER", "value": "l"},
                {"name": "RAW", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "b"}}},
            ]}),
            Ok(&[
                "P_a=1",
                "P_b=$(A)",
                "P_dotted.key=x",
                "A=3",
                "B=x21",
                "C=$(LATER)",
                "LATER=l",
                "RAW=$(A)",
            ]),
        );
        check(
            json!({"envFrom": [{"configMapRef": {"name": "c"}}, {"configMapRef": {"name": "d"}}]}),
            Ok(&["a=2", "b=$(A)", "dotted.key=x"]),
        );
    }

    /// Situations of the kubelet's `TestMakeEnvironmentVariables`, but for services, which there are none of.
    #[test]
    fn variables_of_variables() {
        check(
            json!({"env": [
                {"name": "TEST_LITERAL", "value": "test-test-test"},
                {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "OUT_OF_ORDER_TEST", "value": "$(OUT_OF_ORDER_TARGET)"},
                {"name": "OUT_OF_ORDER_TARGET", "value": "FOO"}, {"name": "EMPTY_VAR"},
                {"name": "EMPTY_TEST", "value": "foo-$(EMPTY_VAR)"},
                {"name": "POD_NAME_TEST2", "value": "test2-$(POD_NAME)"},
                {"name": "POD_NAME_TEST3", "value": "$(POD_NAME_TEST2)-3"},
                {"name": "LITERAL_TEST", "value": "literal-$(TEST_LITERAL)"},
                {"name": "TEST_UNDEFINED", "value": "$(UNDEFINED_VAR)"}, {"name": "ESCAPED", "value": "$$(POD_NAME)"},
            ]}),
            Ok(&[
                "TEST_LITERAL=test-test-test",
                "POD_NAME=p",
                "OUT_OF_ORDER_TEST=$(OUT_OF_ORDER_TARGET)",
                "OUT_OF_ORDER_TARGET=FOO",
                "EMPTY_VAR=",
                "EMPTY_TEST=foo-",
                "POD_NAME_TEST2=test2-p",
                "POD_NAME_TEST3=test2-p-3",
                "LITERAL_TEST=literal-test-test-test",
                "TEST_UNDEFINED=$(UNDEFINED_VAR)",
                "ESCAPED=$(POD_NAME)",
            ]),
        );
        // All keys, under any prefix; what the container says itself wins, in the place of the first.
        for (kind, name, k) in [("configMapRef", "c", "1"), ("secretRef", "t", "pw")] {
            let (plain, prefixed, digit) =
                (format!("a={k}"), format!("p_a={k}"), format!("1_a={k}"));
            let expanded = format!("EXPANSION_TEST={k}-{k}");
            let mut wanted = vec![plain.as_str()];
            if name == "c" {
                wanted.extend(["b=ENV_VAR", "dotted.key=x"]);
            }
            wanted.push(&prefixed);
            if name == "c" {
                wanted.extend(["p_b=$(A)", "p_dotted.key=x"]);
            }
            wanted.push(&digit);
            if name == "c" {
                wanted.extend(["1_b=$(A)", "1_dotted.key=x"]);
            }
            wanted.push(&expanded);
            if name != "c" {
                wanted.push("b=ENV_VAR");
            }
            let from = |prefix: &str| json!({"prefix": prefix, kind: {"name": name}});
            check(
                json!({"envFrom": [from(""), from("p_"), from("1_")], "env": [
                    {"name": "EXPANSION_TEST", "value": "$(a)-$(p_a)"}, {"name": "b", "value": "ENV_VAR"}]}),
                Ok(&wanted),
            );
        }
        check(
            json!({"env": [{"name": "IPS", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIPs"}}},
                {"name": "NS", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}]}),
            Ok(&["IPS=192.0.2.1", "NS=ns"]),
        );
    }

    #[test]
    fn missing_objects_and_keys() {
        check(
            from(
                "X",
                json!({"configMapKeyRef": {"name": "none", "key": "k"}}),
            ),
            Err("configmap \"none\" not found"),
        );
        check(
            from("X", json!({"secretKeyRef": {"name": "none", "key": "k"}})),
            Err("secret \"none\" not found"),
        );
        check(
            from("X", json!({"configMapKeyRef": {"name": "c", "key": "k"}})),
            Err("couldn't find key k in ConfigMap ns/c"),
        );
        check(
            from("X", json!({"secretKeyRef": {"name": "s", "key": "x"}})),
            Err("couldn't find key x in Secret ns/s"),
        );
        check(
            json!({"envFrom": [{"configMapRef": {"name": "none"}}]}),
            Err("configmap \"none\" not found"),
        );
        check(
            json!({"envFrom": [{"secretRef": {"name": "none"}}]}),
            Err("secret \"none\" not found"),
        );
        for optional in [
            json!({"configMapKeyRef": {"name": "none", "key": "k", "optional": true}}),
            json!({"configMapKeyRef": {"name": "c", "key": "k", "optional": true}}),
            json!({"secretKeyRef": {"name": "s", "key": "x", "optional": true}}),
        ] {
            check(from("X", optional), Ok(&[]));
        }
        check(
            json!({"envFrom": [{"configMapRef": {"name": "none", "optional": true}}, {"secretRef": {"name": "none", "optional": true}}]}),
            Ok(&[]),
        );
    }

    #[test]
    fn secrets_must_be_text() {
        check(
            from("X", json!({"secretKeyRef": {"name": "s", "key": "k"}})),
            Ok(&["X=pw"]),
        );
        check(
            from("X", json!({"secretKeyRef": {"name": "s", "key": "raw"}})),
            Err("key raw in Secret ns/s is not valid UTF-8: mount it as a volume instead"),
        );
    }

    #[test]
    fn fields_and_resources() {
        for (path, expected) in [
            ("metadata.name", "X=p"),
            ("metadata.labels['zone']", "X=us"),
            ("metadata.annotations['none']", "X="),
            ("spec.nodeName", "X=node"),
            ("spec.serviceAccountName", "X=robot"),
            ("status.hostIP", "X=192.0.2.1"),
            ("status.podIP", "X=10.0.0.2"),
            ("status.podIPs", "X=10.0.0.2,fd00::2"),
        ] {
            check(
                from("X", json!({"fieldRef": {"fieldPath": path}})),
                Ok(&[expected]),
            );
        }
        check(
            from(
                "X",
                json!({"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}),
            ),
            Ok(&["X=1024"]),
        );
    }

    #[test]
    fn files_of_an_empty_dir() {
        let dir = tempfile::tempdir().unwrap();
        let pod: Pod = serde_json::from_value(json!({"spec": {"containers": [],
            "volumes": [{"name": "v", "emptyDir": {}}]}}))
        .unwrap();
        let sources = crate::volume::Sources {
            objects: &Fixed,
            allocatable: Allocatable::default(),
        };
        let ceiling = crate::volume::MemoryCeiling(None);
        let volumes = crate::volume::prepare(&pod, dir.path(), ceiling, &sources).unwrap();
        let file = dir.path().join("volumes/kubernetes.io~empty-dir/v/app.env");
        let source = |path: &str, key: &str, optional: bool| {
            from(
                "X",
                json!({"fileKeyRef": {"volumeName": "v", "path": path, "key": key, "optional": optional}}),
            )
        };
        let error = found(source("app.env", "K", false), &volumes).unwrap_err();
        assert_eq!(error.to_string(), "environment file \"app.env\" not found");
        assert!(
            found(source("app.env", "K", true), &volumes)
                .unwrap()
                .is_empty()
        );
        std::fs::write(&file, "# note\nK='a\nb'\n").unwrap();
        assert_eq!(
            found(source("app.env", "K", false), &volumes).unwrap(),
            ["X=a\nb"]
        );
        let error = found(source("app.env", "Z", false), &volumes).unwrap_err();
        assert_eq!(
            error.to_string(),
            "environment variable key \"Z\" not found in file \"app.env\""
        );
        std::fs::write(&file, "K=\"a\"\n").unwrap();
        assert!(found(source("app.env", "K", true), &volumes).is_err());
        std::os::unix::fs::symlink("/etc/passwd", file.with_file_name("link")).unwrap();
        let error = found(source("link", "root", false), &volumes).unwrap_err();
        assert!(error.to_string().contains("leads out of"), "{error}");
    }

    #[track_caller]
    fn check_environment(env: &[(&str, &str)], image: &[&str], tty: bool, expected: &[&str]) {
        let container = Container {
            tty: Some(tty),
            ..Container::default()
        };
        let mut declared = Variables::default();
        for (name, value) in env {
            declared.set((*name).to_owned(), (*value).to_owned());
        }
        let image = ImageConfig {
            env: image.iter().map(|&entry| entry.to_owned()).collect(),
            ..ImageConfig::default()
        };
        let mut expected: Vec<String> = expected.iter().map(|&text| text.to_owned()).collect();
        if !expected.iter().any(|entry| entry.starts_with("PATH=")) {
            expected.insert(0, format!("PATH={DEFAULT_PATH}"));
        }
        assert_eq!(environment(&container, &image, "h", &declared), expected);
    }

    #[test]
    fn order_and_overrides() {
        check_environment(&[], &[], false, &["HOSTNAME=h"]);
        check_environment(&[], &[], true, &["TERM=xterm", "HOSTNAME=h"]);
        check_environment(
            &[],
            &["PATH=/bin", "A=1"],
            false,
            &["PATH=/bin", "HOSTNAME=h", "A=1"],
        );
        check_environment(
            &[("B", "x2"), ("A", "3")],
            &["A=1"],
            false,
            &["HOSTNAME=h", "A=3", "B=x2"],
        );
    }
}
