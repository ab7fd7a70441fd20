use k8s_openapi::api::core::v1::{
    Container, EnvFromSource, EnvVar, EnvVarSource, ObjectFieldSelector, PodSpec,
    ResourceFieldSelector,
};

use super::field::{Errors, by_rule, containers_with_paths, required, required_by_rule, text};
use crate::model::quantity::ParsedQuantity;
use crate::model::{FieldError, names};

/// Downward API paths as environment variables.
const ENV_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// Downward API paths as files of a volume.
pub(super) const VOLUME_FIELDS: [&str; 5] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
];
/// Field labels of pods; only these can be converted, whatever is supported afterwards.
const CONVERTIBLE: [&str; 4] = [
    "spec.restartPolicy",
    "spec.schedulerName",
    "status.phase",
    "spec.host",
];
const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

pub(super) fn env(errors: &mut Errors, path: &str, container: &Container) {
    for (index, variable) in container.env.iter().flatten().enumerate() {
        let path = format!("{path}[{index}]");
        required_by_rule(
            errors,
            &format!("{path}.name"),
            &variable.name,
            names::env_name,
        );
        value_from(errors, &format!("{path}.valueFrom"), variable);
    }
}

fn value_from(errors: &mut Errors, path: &str, variable: &EnvVar) {
    let Some(source) = &variable.value_from else {
        return;
    };
    let sources = sources(errors, path, source);
    let mut invalid = |detail: &str| errors.push(FieldError::invalid_string(path, "", detail));
    if sources == 0 {
        invalid(
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        );
    }
    if !text(&variable.value).is_empty() {
        if sources > 0 {
            invalid("may not be specified when `value` is not empty");
        }
    } else if sources > 1 {
        invalid("may not have more than one field specified at a time");
    }
}

fn sources(errors: &mut Errors, path: &str, source: &EnvVarSource) -> usize {
    let mut count = 0;
    if let Some(field) = &source.field_ref {
        count += 1;
        field_ref(errors, &format!("{path}.fieldRef"), field, &ENV_FIELDS);
    }
    if let Some(resource) = &source.resource_field_ref {
        count += 1;
        resource_ref(errors, &format!("{path}.resourceFieldRef"), resource, false);
    }
    if let Some(config) = &source.config_map_key_ref {
        count += 1;
        key_ref(
            errors,
            &format!("{path}.configMapKeyRef"),
            &config.name,
            &config.key,
        );
    }
    if let Some(secret) = &source.secret_key_ref {
        count += 1;
        key_ref(
            errors,
            &format!("{path}.secretKeyRef"),
            &secret.name,
            &secret.key,
        );
    }
    if let Some(file) = &source.file_key_ref {
        count += 1;
        let path = format!("{path}.fileKeyRef");
        required_by_rule(errors, &format!("{path}.key"), &file.key, names::env_name);
        required(errors, format!("{path}.volumeName"), &file.volume_name);
        super::field::volume_file(errors, &format!("{path}.path"), &file.path);
    }
    count
}

/// The volumes of files that variables are read from are made for the pod.
pub(super) fn files(errors: &mut Errors, spec: &PodSpec) {
    let volumes = || spec.volumes.iter().flatten();
    for (path, container) in containers_with_paths(spec) {
        for (index, variable) in container.env.iter().flatten().enumerate() {
            let source = variable.value_from.as_ref();
            let Some(file) = source.and_then(|source| source.file_key_ref.as_ref()) else {
                continue;
            };
            let path = format!("{path}.env[{index}].valueFrom.fileKeyRef.volumeName");
            let name = &file.volume_name;
            // The last one counts where several have the name.
            match volumes().rfind(|volume| volume.name == *name) {
                None => errors.push(FieldError::not_found(path, name)),
                Some(volume) if volume.empty_dir.is_none() => {
                    let detail = "referenced volume must be of type emptyDir";
                    errors.push(FieldError::invalid_string(path, name, detail));
                }
                Some(_) => {}
            }
        }
    }
}

fn key_ref(errors: &mut Errors, path: &str, name: &str, key: &str) {
    // An empty name is no name; it is not told apart.
    by_rule(errors, &format!("{path}.name"), name, names::dns_subdomain);
    required_by_rule(errors, &format!("{path}.key"), key, names::config_key);
}

pub(super) fn env_from(errors: &mut Errors, path: &str, container: &Container) {
    for (index, source) in container.env_from.iter().flatten().enumerate() {
        one_env_from(errors, path, &format!("{path}[{index}]"), source);
    }
}

/// As if something followed: a dash at the end is fine.
fn name_prefix(name: &str) -> Vec<String> {
    match name.strip_suffix('-') {
        Some(start) if !start.is_empty() => names::dns_subdomain(&format!("{start}a")),
        _ => names::dns_subdomain(name),
    }
}

fn one_env_from(errors: &mut Errors, list: &str, path: &str, source: &EnvFromSource) {
    let prefix = text(&source.prefix);
    if !prefix.is_empty() {
        by_rule(errors, &format!("{path}.prefix"), prefix, names::env_name);
    }
    let mut count = 0;
    if let Some(config) = &source.config_map_ref {
        count += 1;
        let path = format!("{path}.configMapRef.name");
        required_by_rule(errors, &path, &config.name, name_prefix);
    }
    if let Some(secret) = &source.secret_ref {
        count += 1;
        let path = format!("{path}.secretRef.name");
        required_by_rule(errors, &path, &secret.name, name_prefix);
    }
    // The API reports these two at the list, without the index.
    let mut invalid = |detail: &str| errors.push(FieldError::invalid_string(list, "", detail));
    match count {
        0 => invalid("must specify one of: `configMapRef` or `secretRef`"),
        1 => {}
        _ => invalid("may not have more than one field specified at a time"),
    }
}

pub(super) fn field_ref(
    errors: &mut Errors,
    path: &str,
    field: &ObjectFieldSelector,
    supported: &[&str],
) {
    let version = text(&field.api_version);
    if version.is_empty() {
        errors.push(FieldError::required(format!("{path}.apiVersion"), ""));
        return;
    }
    let field_path = field.field_path.as_str();
    let whole = path;
    let path = format!("{path}.fieldPath");
    if field_path.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let mut unconvertible = |problem: String| {
        let detail = format!("error converting fieldPath: {problem}");
        errors.push(FieldError::invalid_string(path.clone(), field_path, detail));
    };
    if version != "v1" {
        unconvertible(format!("unsupported pod version: {version}"));
        return;
    }
    if let Some((map, key)) = subscript(field_path) {
        match map {
            // These two are reported at the reference as a whole.
            "metadata.labels" => by_rule(errors, whole, key, names::qualified_name),
            "metadata.annotations" => {
                by_rule(errors, whole, &key.to_lowercase(), names::qualified_name);
            }
            _ => unconvertible(format!(
                "field label does not support subscript: {field_path}"
            )),
        }
        return;
    }
    let convertible = ENV_FIELDS.contains(&field_path)
        || VOLUME_FIELDS.contains(&field_path)
        || CONVERTIBLE.contains(&field_path);
    if !convertible {
        unconvertible(format!("field label not supported: {field_path}"));
    } else if !supported.contains(&field_path) {
        errors.push(FieldError::not_supported(path, field_path, supported));
    }
}

/// `metadata.labels['key']` → map and key.
fn subscript(path: &str) -> Option<(&str, &str)> {
    path.strip_suffix("']")?.split_once("['")
}

pub(super) fn resource_ref(
    errors: &mut Errors,
    path: &str,
    field: &ResourceFieldSelector,
    in_volume: bool,
) {
    let resource = field.resource.as_str();
    let huge =
        resource.starts_with("limits.hugepages-") || resource.starts_with("requests.hugepages-");
    if in_volume && text(&field.container_name).is_empty() {
        errors.push(FieldError::required(format!("{path}.containerName"), ""));
    } else if resource.is_empty() {
        errors.push(FieldError::required(format!("{path}.resource"), ""));
    } else if !huge && !RESOURCES.contains(&resource) {
        let path = format!("{path}.resource");
        errors.push(FieldError::not_supported(path, resource, &RESOURCES));
    }
    if !huge && !RESOURCES.contains(&resource) {
        return;
    }
    let Some(divisor) = &field.divisor else {
        return;
    };
    if ParsedQuantity::of(divisor).is_zero() {
        return;
    }
    let sizes = "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei";
    let (values, what) = match resource.split_once('.').map(|(_, name)| name) {
        Some("cpu") => ("1m, 1", "cpu"),
        Some("memory") => (sizes, "memory"),
        Some("ephemeral-storage") => (sizes, "local ephemeral storage"),
        _ => (sizes, "hugepages"),
    };
    if !values.split(", ").any(|value| value == divisor.0) {
        let values = values.replace("1m, 1", "1m and 1");
        let values = if what == "cpu" {
            values
        } else {
            sizes.to_owned()
        };
        let detail =
            format!("only divisor's values {values} are supported with the {what} resource");
        errors.push(FieldError::invalid_string(
            format!("{path}.divisor"),
            // The API names the resource here, not the divisor.
            resource,
            detail,
        ));
    }
}
