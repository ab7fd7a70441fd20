//! The downward API: values of a pod that its own containers may read, as variables or as files
//! (kubernetes-semantics §7.2).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, ResourceFieldSelector};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::pod::find_container;
use super::quantity::ParsedQuantity;
use crate::base::quoted;

/// What the node offers a container that sets no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Allocatable {
    /// Thousandths of a CPU.
    pub(crate) cpu_milli: i64,
    /// Bytes.
    pub(crate) memory: i64,
    /// Bytes.
    pub(crate) ephemeral_storage: i64,
}

/// A `metadata.…` path. A label or annotation that does not exist is empty; a whole map is written as
/// sorted lines `key="value"`. `None`: not a path of metadata.
pub(crate) fn metadata_field(pod: &Pod, path: &str) -> Option<String> {
    let meta = &pod.metadata;
    if let Some((map, key)) = subscript(path) {
        let map = match map {
            "metadata.labels" => &meta.labels,
            "metadata.annotations" => &meta.annotations,
            _ => return None,
        };
        let value = map.as_ref().and_then(|map| map.get(key));
        return Some(value.cloned().unwrap_or_default());
    }
    match path {
        "metadata.name" => meta.name.clone().or_else(|| Some(String::new())),
        "metadata.namespace" => meta.namespace.clone().or_else(|| Some(String::new())),
        "metadata.uid" => meta.uid.clone().or_else(|| Some(String::new())),
        "metadata.labels" => Some(lines(meta.labels.as_ref())),
        "metadata.annotations" => Some(lines(meta.annotations.as_ref())),
        _ => None,
    }
}

/// `metadata.labels['key']` → map and key.
fn subscript(path: &str) -> Option<(&str, &str)> {
    path.strip_suffix("']")?.split_once("['")
}

fn lines(map: Option<&BTreeMap<String, String>>) -> String {
    let lines: Vec<String> = map
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", quoted(value)))
        .collect();
    lines.join("\n")
}

/// `limits.cpu` and its like, as a whole number of divisors, rounded up. `own`: the container that asks,
/// where the selector names none. `Err` says which container or resource does not exist.
pub(crate) fn resource_field(
    spec: &PodSpec,
    own: Option<&Container>,
    selector: &ResourceFieldSelector,
    allocatable: Allocatable,
) -> Result<String, String> {
    let named = selector.container_name.as_deref().unwrap_or_default();
    let container = if named.is_empty() {
        own.ok_or("no container is named")?
    } else {
        find_container(spec, named).ok_or_else(|| format!("container {named} not found"))?
    };
    let divisor = selector
        .divisor
        .as_ref()
        .map(ParsedQuantity::of)
        .filter(|divisor| !divisor.is_zero());
    let (kind, resource) = selector.resource.split_once('.').unwrap_or_default();
    let amount = match kind {
        "limits" => limit(spec, container, resource, allocatable),
        "requests" => request(container, resource),
        _ => {
            return Err(format!(
                "unsupported container resource : {}",
                selector.resource
            ));
        }
    };
    let (amount, divisor) = if resource == "cpu" {
        (
            i128::from(amount.milli_value()),
            divisor.map_or(1000, ParsedQuantity::milli_value),
        )
    } else {
        (
            i128::from(amount.value()),
            divisor.map_or(1, ParsedQuantity::value),
        )
    };
    let divisor = i128::from(divisor.max(1));
    Ok(((amount + divisor - 1) / divisor).to_string())
}

fn given(map: Option<&BTreeMap<String, Quantity>>, resource: &str) -> Option<ParsedQuantity> {
    map?.get(resource)
        .map(ParsedQuantity::of)
        .filter(|amount| !amount.is_zero())
}

/// The container's, else the pod's, else all there is.
fn limit(
    spec: &PodSpec,
    container: &Container,
    resource: &str,
    allocatable: Allocatable,
) -> ParsedQuantity {
    let own = container.resources.as_ref();
    let shared = spec.resources.as_ref();
    let bytes = |value: i64| Some(ParsedQuantity::of(&Quantity(value.to_string())));
    given(own.and_then(|own| own.limits.as_ref()), resource)
        .or_else(|| given(shared.and_then(|all| all.limits.as_ref()), resource))
        .or_else(|| match resource {
            "cpu" => Some(ParsedQuantity::of(&Quantity(format!(
                "{}m",
                allocatable.cpu_milli
            )))),
            "memory" => bytes(allocatable.memory),
            "ephemeral-storage" => bytes(allocatable.ephemeral_storage),
            _ => None,
        })
        .unwrap_or(ParsedQuantity::ZERO)
}

fn request(container: &Container, resource: &str) -> ParsedQuantity {
    let own = container.resources.as_ref();
    given(own.and_then(|own| own.requests.as_ref()), resource).unwrap_or(ParsedQuantity::ZERO)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check_field(path: &str, expected: Option<&str>) {
        let pod: Pod = serde_json::from_value(json!({"metadata": {
            "name": "p", "namespace": "n", "uid": "u",
            "labels": {"zone": "us", "b": "1"},
            "annotations": {"example.com/a": "say \"hi\"\n\t\u{1}é\u{200b}\u{7f}"},
        }}))
        .unwrap();
        assert_eq!(metadata_field(&pod, path).as_deref(), expected, "{path}");
    }

    #[test]
    fn fields_of_metadata() {
        check_field("metadata.name", Some("p"));
        check_field("metadata.namespace", Some("n"));
        check_field("metadata.uid", Some("u"));
        check_field("metadata.labels['zone']", Some("us"));
        check_field("metadata.labels['none']", Some(""));
        check_field("metadata.labels", Some("b=\"1\"\nzone=\"us\""));
        check_field(
            "metadata.annotations",
            Some("example.com/a=\"say \\\"hi\\\"\\n\\t\\x01é\\u200b\\x7f\""),
        );
        check_field("spec.nodeName", None);
    }

    #[track_caller]
    fn check_resource(selector: Value, expected: Result<&str, &str>) {
        let spec: PodSpec = serde_json::from_value(json!({
            "containers": [
                {"name": "a", "resources": {"limits": {"cpu": "250m", "memory": "100Mi"}, "requests": {"cpu": "100m"}}},
                {"name": "b"},
            ],
            "resources": {"limits": {"memory": "1Gi"}},
        }))
        .unwrap();
        let allocatable = Allocatable {
            cpu_milli: 2000,
            memory: 4 << 30,
            ephemeral_storage: 10_000,
        };
        let selector = serde_json::from_value(selector).unwrap();
        let found = resource_field(&spec, spec.containers.first(), &selector, allocatable);
        assert_eq!(
            found.as_deref().map_err(String::as_str),
            expected,
            "{selector:?}"
        );
    }

    #[test]
    fn resources_are_rounded_up() {
        check_resource(json!({"resource": "limits.cpu"}), Ok("1"));
        check_resource(
            json!({"resource": "limits.cpu", "divisor": "1m"}),
            Ok("250"),
        );
        check_resource(json!({"resource": "limits.cpu", "divisor": "0"}), Ok("1"));
        check_resource(json!({"resource": "limits.memory"}), Ok("104857600"));
        check_resource(
            json!({"resource": "limits.memory", "divisor": "1Mi"}),
            Ok("100"),
        );
        check_resource(
            json!({"resource": "limits.memory", "divisor": "1Gi"}),
            Ok("1"),
        );
        check_resource(json!({"resource": "requests.memory"}), Ok("0"));
        check_resource(
            json!({"resource": "requests.cpu", "divisor": "1m"}),
            Ok("100"),
        );
        let of_b = |resource: &str, divisor: &str| json!({"containerName": "b", "resource": resource, "divisor": divisor});
        check_resource(of_b("limits.cpu", "1m"), Ok("2000"));
        check_resource(of_b("limits.memory", "1Mi"), Ok("1024"));
        check_resource(of_b("limits.ephemeral-storage", "1k"), Ok("10"));
        check_resource(of_b("limits.hugepages-2Mi", "1"), Ok("0"));
        check_resource(
            json!({"containerName": "x", "resource": "limits.cpu"}),
            Err("container x not found"),
        );
    }
}
