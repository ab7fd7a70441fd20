//! PodPresets: their own rules, and what they give to a pod when it is created (kubernetes-semantics §12.3).

use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    Container, EnvVar, Pod, PodSpec, SecurityContext, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::field::{Errors, by_rule};
use super::{defaults, env, volume};
use crate::model::{FieldError, PodPreset, names, selector};

const EXCLUDE: &str = "podpreset.admission.kubernetes.io/exclude";
const APPLIED: &str = "podpreset.admission.kubernetes.io/podpreset-";
const MIRROR: &str = "kubernetes.io/config.mirror";

pub(super) fn validate(preset: &PodPreset) -> Errors {
    let mut errors = Errors::new();
    let spec = preset.spec.clone().unwrap_or_default();
    if let Some(selector) = &spec.selector {
        label_selector(&mut errors, "spec.selector", selector);
    }
    let nothing = spec.env.is_none()
        && spec.env_from.is_none()
        && spec.volume_mounts.is_none()
        && spec.volumes.is_none();
    if nothing {
        // The path names all four, as the API does.
        let path = "spec.volumes.env.envFrom.volumeMounts";
        errors.push(FieldError::required(path, "must specify at least one"));
    }
    let pod = PodSpec {
        volumes: spec.volumes,
        ..PodSpec::default()
    };
    let volumes = volume::volumes(&mut errors, &pod, "");
    let container = Container {
        env: spec.env,
        env_from: spec.env_from,
        volume_mounts: spec.volume_mounts,
        // Which containers get the mounts is seen when a pod is created; its own rules judge it then.
        security_context: Some(SecurityContext {
            privileged: Some(true),
            ..SecurityContext::default()
        }),
        ..Container::default()
    };
    env::env(&mut errors, "spec.env", &container);
    env::env_from(&mut errors, "spec.envFrom", &container);
    volume::mounts(&mut errors, "spec.volumeMounts", &container, &volumes);
    errors
}

pub(super) fn label_selector(errors: &mut Errors, path: &str, selector: &LabelSelector) {
    let labels = format!("{path}.matchLabels");
    for (key, value) in selector.match_labels.iter().flatten() {
        by_rule(errors, &labels, key, names::qualified_name);
        by_rule(
            errors,
            &format!("{labels}[{key}]"),
            value,
            names::label_value,
        );
    }
    let requirements = selector.match_expressions.iter().flatten();
    for (index, requirement) in requirements.enumerate() {
        let path = format!("{path}.matchExpressions[{index}]");
        let values = requirement.values.as_deref().unwrap_or_default();
        match requirement.operator.as_str() {
            "In" | "NotIn" if values.is_empty() => errors.push(FieldError::required(
                format!("{path}.values"),
                "must be specified when `operator` is 'In' or 'NotIn'",
            )),
            "Exists" | "DoesNotExist" if !values.is_empty() => errors.push(FieldError::forbidden(
                format!("{path}.values"),
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            )),
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => errors.push(FieldError::invalid_string(
                format!("{path}.operator"),
                other,
                "not a valid selector operator",
            )),
        }
        by_rule(
            errors,
            &format!("{path}.key"),
            &requirement.key,
            names::qualified_name,
        );
        for (index, value) in values.iter().enumerate() {
            let path = format!("{path}.values[{index}]");
            by_rule(errors, &path, value, names::label_value);
        }
    }
}

/// Gives a new pod what all the presets that select it bring. One conflict, and it gets nothing of any; the
/// conflicts are returned for its user to hear of.
pub(crate) fn use_presets(pod: &mut Pod, presets: &[Arc<PodPreset>]) -> Vec<String> {
    let annotation = |key: &str| pod.metadata.annotations.as_ref()?.get(key);
    if annotation(MIRROR).is_some() || annotation(EXCLUDE).is_some_and(|value| value == "true") {
        return Vec::new();
    }
    let labels = pod.metadata.labels.as_ref();
    let presets: Vec<&PodPreset> = presets
        .iter()
        .map(|preset| &**preset)
        .filter(|preset| selects(preset, labels))
        .collect();
    if presets.is_empty() {
        return Vec::new();
    }
    // Presets are stored with their defaults, so the pod is compared with its own.
    let mut changed = pod.clone();
    defaults::default_pod(&mut changed);
    let mut conflicts = Vec::new();
    if let Some(spec) = &mut changed.spec {
        merge(spec, &presets, &mut conflicts);
    }
    if conflicts.is_empty() {
        let annotations = changed.metadata.annotations.get_or_insert_default();
        for preset in presets {
            let text = |field: &Option<String>| field.clone().unwrap_or_default();
            annotations.insert(
                format!("{APPLIED}{}", text(&preset.metadata.name)),
                text(&preset.metadata.resource_version),
            );
        }
        *pod = changed;
    }
    conflicts
}

fn selects(
    preset: &PodPreset,
    labels: Option<&std::collections::BTreeMap<String, String>>,
) -> bool {
    let selector = preset.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    let Some(selector) = selector else {
        return true;
    };
    let equal = selector.match_labels.iter().flatten();
    let equal = equal.map(|(key, value)| (key.as_str(), "In", std::slice::from_ref(value)));
    let expressions = selector.match_expressions.iter().flatten().map(|one| {
        let values = one.values.as_deref().unwrap_or_default();
        (one.key.as_str(), one.operator.as_str(), values)
    });
    selector::LabelSelector::of(equal.chain(expressions))
        .is_some_and(|selector| selector.matches(labels))
}

fn merge(spec: &mut PodSpec, presets: &[&PodPreset], conflicts: &mut Vec<String>) {
    for preset in presets {
        let name = preset.metadata.name.as_deref().unwrap_or_default();
        let mut conflict = |what: String| {
            conflicts.push(format!("podpreset {name} is not applied: its {what}"));
        };
        let Some(gives) = &preset.spec else { continue };
        for volume in gives.volumes.iter().flatten() {
            if let Err(what) = add_volume(spec.volumes.get_or_insert_default(), volume) {
                conflict(what);
            }
        }
        let init = spec.init_containers.iter_mut().flatten();
        for container in init.chain(&mut spec.containers) {
            let place = format!("container {}", container.name);
            for variable in gives.env.iter().flatten() {
                if let Err(what) = add_variable(container.env.get_or_insert_default(), variable) {
                    conflict(format!("{what} of {place}"));
                }
            }
            if let Some(sources) = &gives.env_from {
                let known = container.env_from.get_or_insert_default();
                known.extend(sources.iter().cloned());
            }
            for mount in gives.volume_mounts.iter().flatten() {
                if let Err(what) = add_mount(container.volume_mounts.get_or_insert_default(), mount)
                {
                    conflict(format!("{what} of {place}"));
                }
            }
        }
    }
}

fn add_volume(known: &mut Vec<Volume>, volume: &Volume) -> Result<(), String> {
    match known.iter().find(|known| known.name == volume.name) {
        None => known.push(volume.clone()),
        Some(same) if same == volume => {}
        Some(_) => {
            return Err(format!(
                "volume {} differs from the one of the pod",
                volume.name
            ));
        }
    }
    Ok(())
}

fn add_variable(known: &mut Vec<EnvVar>, variable: &EnvVar) -> Result<(), String> {
    match known.iter().rfind(|known| known.name == variable.name) {
        None => known.push(variable.clone()),
        Some(same) if same == variable => {}
        Some(_) => return Err(format!("variable {} differs from the one", variable.name)),
    }
    Ok(())
}

/// Neither the volume nor the place may be mounted in another way.
fn add_mount(known: &mut Vec<VolumeMount>, mount: &VolumeMount) -> Result<(), String> {
    let (name, place) = (&mount.name, &mount.mount_path);
    if known
        .iter()
        .any(|known| known.name == *name && known != mount)
    {
        return Err(format!("mount of {name} differs from the one"));
    }
    if known
        .iter()
        .any(|known| known.mount_path == *place && known != mount)
    {
        return Err(format!("mount at {place} differs from the one"));
    }
    if !known.contains(mount) {
        known.push(mount.clone());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn preset(name: &str, mut spec: Value) -> Arc<PodPreset> {
        if spec["selector"].is_null() {
            spec["selector"] = json!({"matchLabels": {"role": "web"}});
        }
        let metadata = json!({"name": name, "resourceVersion": "7"});
        let value = json!({"metadata": metadata, "spec": spec});
        Arc::new(serde_json::from_value(value).unwrap())
    }

    fn pod(spec: Value) -> Pod {
        let metadata = json!({"name": "p", "labels": {"role": "web"}});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
    }

    fn one_container(fields: Value) -> Value {
        let mut container = json!({"name": "a", "image": "x"});
        json_patch::merge(&mut container, &fields);
        json!({ "containers": [container] })
    }

    /// Conflicts; without any the pod was changed, with some it was not.
    #[track_caller]
    fn check(spec: Value, presets: &[Arc<PodPreset>], expected: &[&str]) {
        let mut changed = pod(spec);
        let before = changed.clone();
        assert_eq!(use_presets(&mut changed, presets), expected);
        assert_eq!(changed == before, !expected.is_empty());
    }

    #[test]
    fn everything_is_appended_to_every_container() {
        let spec = json!({
            "containers": [{"name": "a", "image": "x", "env": [{"name": "OWN", "value": "1"}]}],
            "initContainers": [{"name": "i", "image": "x"}],
        });
        let mut changed = pod(spec);
        let gives = json!({
            "env": [{"name": "DB_PORT", "value": "6379"}],
            "envFrom": [{"configMapRef": {"name": "etcd"}}],
            "volumes": [{"name": "cache", "emptyDir": {}}],
            "volumeMounts": [{"name": "cache", "mountPath": "/cache"}],
        });
        assert_eq!(use_presets(&mut changed, &[preset("db", gives)]), [""; 0]);
        let value = serde_json::to_value(&changed).unwrap();
        let spec = &value["spec"];
        assert_eq!(spec["volumes"], json!([{"name": "cache", "emptyDir": {}}]));
        let given = json!({"name": "DB_PORT", "value": "6379"});
        for (container, env) in [
            (
                &spec["containers"][0],
                json!([{"name": "OWN", "value": "1"}, given]),
            ),
            (&spec["initContainers"][0], json!([given])),
        ] {
            assert_eq!(container["env"], env);
            assert_eq!(
                container["envFrom"],
                json!([{"configMapRef": {"name": "etcd"}}])
            );
            let mount = json!([{"name": "cache", "mountPath": "/cache"}]);
            assert_eq!(container["volumeMounts"], mount);
        }
        assert_eq!(
            value["metadata"]["annotations"],
            json!({"podpreset.admission.kubernetes.io/podpreset-db": "7"})
        );
    }

    #[test]
    fn the_same_definition_is_no_conflict() {
        let gives = json!({
            "env": [{"name": "A", "value": "1"}],
            "volumes": [{"name": "v", "configMap": {"name": "c", "defaultMode": 420}}],
            "volumeMounts": [{"name": "v", "mountPath": "/v"}],
        });
        let mut own = one_container(json!({
            "env": [{"name": "A", "value": "1"}], "volumeMounts": [{"name": "v", "mountPath": "/v"}],
        }));
        own["volumes"] = json!([{"name": "v", "configMap": {"name": "c"}}]);
        let mut changed = pod(own);
        let presets = [preset("one", gives.clone()), preset("two", gives)];
        assert_eq!(use_presets(&mut changed, &presets), [""; 0]);
        let container = &changed.spec.as_ref().unwrap().containers[0];
        assert_eq!(container.env.as_ref().unwrap().len(), 1);
        assert_eq!(container.volume_mounts.as_ref().unwrap().len(), 1);
        assert_eq!(changed.metadata.annotations.unwrap().len(), 2);
    }

    #[test]
    fn one_conflict_and_nothing_is_applied() {
        let variable = preset(
            "db",
            json!({"env": [{"name": "A", "value": "2"}, {"name": "B", "value": "1"}]}),
        );
        check(
            one_container(json!({"env": [{"name": "A", "value": "1"}]})),
            &[
                preset("fine", json!({"env": [{"name": "C", "value": "1"}]})),
                variable,
            ],
            &["podpreset db is not applied: its variable A differs from the one of container a"],
        );
        let volume = preset(
            "db",
            json!({"volumes": [{"name": "v", "hostPath": {"path": "/x", "type": ""}}]}),
        );
        let mut own = one_container(json!({}));
        own["volumes"] = json!([{"name": "v", "emptyDir": {}}]);
        check(
            own,
            &[volume],
            &["podpreset db is not applied: its volume v differs from the one of the pod"],
        );
        let mounts = |list: Value| one_container(json!({ "volumeMounts": list }));
        let mount = preset(
            "db",
            json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}),
        );
        check(
            mounts(json!([{"name": "v", "mountPath": "/w"}])),
            &[Arc::clone(&mount)],
            &["podpreset db is not applied: its mount of v differs from the one of container a"],
        );
        check(
            mounts(json!([{"name": "w", "mountPath": "/v"}])),
            &[mount],
            &["podpreset db is not applied: its mount at /v differs from the one of container a"],
        );
        // Two presets may contradict each other as well.
        let two =
            |name: &str, value: &str| preset(name, json!({"env": [{"name": "A", "value": value}]}));
        check(
            one_container(json!({})),
            &[two("x", "1"), two("y", "2")],
            &["podpreset y is not applied: its variable A differs from the one of container a"],
        );
    }

    #[test]
    fn who_is_selected() {
        let applies = |selector: Value, annotations: Value| {
            let preset = preset(
                "p",
                json!({"selector": selector, "env": [{"name": "A", "value": "1"}]}),
            );
            let mut changed = pod(one_container(json!({})));
            changed.metadata.annotations = serde_json::from_value(annotations).unwrap();
            assert_eq!(use_presets(&mut changed, &[preset]), [""; 0]);
            changed.spec.unwrap().containers[0].env.is_some()
        };
        assert!(applies(json!({}), json!({})));
        assert!(applies(json!({"matchLabels": {"role": "web"}}), json!({})));
        assert!(!applies(json!({"matchLabels": {"role": "db"}}), json!({})));
        let expression = |operator: &str| json!({"matchExpressions": [{"key": "role", "operator": operator, "values": ["web"]}]});
        assert!(applies(expression("In"), json!({})));
        assert!(!applies(expression("NotIn"), json!({})));
        assert!(!applies(json!({}), json!({(EXCLUDE): "true"})));
        assert!(applies(json!({}), json!({(EXCLUDE): "false"})));
        assert!(!applies(json!({}), json!({(MIRROR): "x"})));
    }
}
