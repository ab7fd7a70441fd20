use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::field::{Errors, by_rule};
use crate::model::quantity::ParsedQuantity;
use crate::model::{FieldError, names, pod};

/// Resources without a prefix that exist somewhere in the API, in quotas for example.
const STANDARD: [&str; 22] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
    "services.loadbalancers",
    "count/pods",
    "bindings",
];

fn is_huge_page(name: &str) -> bool {
    name.starts_with("hugepages-")
}

fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

fn is_extended(name: &str) -> bool {
    !is_native(name)
        && !name.starts_with("requests.")
        && names::qualified_name(&format!("requests.{name}")).is_empty()
}

/// Requests of other resources must equal their limits.
fn may_overcommit(name: &str) -> bool {
    is_native(name) && !is_huge_page(name)
}

pub(super) type Quantities = BTreeMap<String, Quantity>;

pub(super) fn container(errors: &mut Errors, path: &str, container: &Container) {
    if let Some(resources) = &container.resources {
        requirements(errors, path, resources);
        claims(errors, path, resources);
    }
}

fn requirements(errors: &mut Errors, path: &str, resources: &ResourceRequirements) {
    let empty = Quantities::new();
    let limits = resources.limits.as_ref().unwrap_or(&empty);
    let requests = resources.requests.as_ref().unwrap_or(&empty);
    for (name, quantity) in limits {
        one(errors, &format!("{path}.limits[{name}]"), name, quantity);
    }
    for (name, quantity) in requests {
        one(errors, &format!("{path}.requests[{name}]"), name, quantity);
        request_within_limit(errors, path, name, quantity, limits.get(name));
    }
    let names = || limits.keys().chain(requests.keys());
    let computes = names().any(|name| matches!(name.as_str(), "cpu" | "memory"));
    if !computes && names().any(|name| is_huge_page(name)) {
        errors.push(FieldError::forbidden(
            path,
            "HugePages require cpu or memory",
        ));
    }
}

fn one(errors: &mut Errors, path: &str, name: &str, quantity: &Quantity) {
    resource_name(errors, path, name);
    let amount = ParsedQuantity::of(quantity);
    let mut invalid = |detail: &str| {
        errors.push(FieldError::invalid_string(path, &quantity.0, detail));
    };
    if amount.is_negative() {
        invalid("must be greater than or equal to 0");
    } else if amount.is_fractional() && (is_extended(name) || is_huge_page(name)) {
        invalid("must be an integer");
    }
    if is_huge_page(name) && !is_divisible(name, amount) {
        let value = &quantity.0;
        let detail = format!("{value} is not positive integer multiple of {name}");
        errors.push(FieldError::invalid_string(path, value, detail));
    }
}

fn is_divisible(name: &str, amount: ParsedQuantity) -> bool {
    let page = ParsedQuantity::huge_page(name).and_then(|page| i64::try_from(page).ok());
    page.is_some_and(|page| amount.value() % page == 0)
}

fn resource_name(errors: &mut Errors, path: &str, name: &str) {
    let before = errors.len();
    by_rule(errors, path, name, names::qualified_name);
    if errors.len() > before {
        return;
    }
    let mut invalid = |detail: &str| errors.push(FieldError::invalid_string(path, name, detail));
    if name.contains('/') {
        if !is_native(name) && !is_extended(name) {
            invalid("doesn't follow extended resource name standard");
        }
        return;
    }
    if !STANDARD.contains(&name) && !is_huge_page(name) {
        invalid("must be a standard resource type or fully qualified");
    }
    if !matches!(name, "cpu" | "memory" | "ephemeral-storage") && !is_huge_page(name) {
        invalid("must be a standard resource for containers");
    }
}

fn request_within_limit(
    errors: &mut Errors,
    path: &str,
    name: &str,
    request: &Quantity,
    limit: Option<&Quantity>,
) {
    let Some(limit) = limit else {
        if !may_overcommit(name) {
            errors.push(FieldError::required(
                format!("{path}.limits"),
                "Limit must be set for non overcommitable resources",
            ));
        }
        return;
    };
    let (amount, bound) = (ParsedQuantity::of(request), ParsedQuantity::of(limit));
    let detail = if amount != bound && !may_overcommit(name) {
        format!("must be equal to {name} limit of {}", limit.0)
    } else if amount > bound {
        format!("must be less than or equal to {name} limit of {}", limit.0)
    } else {
        return;
    };
    errors.push(FieldError::invalid_string(
        format!("{path}.requests"),
        &request.0,
        detail,
    ));
}

fn claims(errors: &mut Errors, path: &str, resources: &ResourceRequirements) {
    for (index, claim) in resources.claims.iter().flatten().enumerate() {
        let path = format!("{path}.claims[{index}].name");
        super::field::required(errors, path, &claim.name);
    }
}

/// `spec.resources`: cpu, memory and huge pages of the pod as a whole.
pub(super) fn pod_level(errors: &mut Errors, spec: &PodSpec) {
    let Some(resources) = &spec.resources else {
        return;
    };
    let path = "spec.resources";
    if resources.claims.is_some() {
        let detail = "claims cannot be set for Resources at pod-level";
        errors.push(FieldError::forbidden(format!("{path}.claims"), detail));
    }
    requirements(errors, path, resources);
    let supported = |name: &str| matches!(name, "cpu" | "memory") || is_huge_page(name);
    let mut containers = spec.clone();
    containers.resources = None;
    containers.overhead = None;
    let requested = pod::pod_requests(&containers);
    for (part, map) in [
        ("limits", &resources.limits),
        ("requests", &resources.requests),
    ] {
        for (name, quantity) in map.iter().flatten() {
            let path = format!("{path}.{part}[{name}]");
            if !supported(name) {
                let names = ["cpu", "hugepages-*", "memory"];
                errors.push(FieldError::not_supported(path, name, &names));
                continue;
            }
            let Some(sum) = requested.get(name).filter(|_| part == "requests") else {
                continue;
            };
            if ParsedQuantity::of(quantity) < *sum {
                let detail = format!(
                    "must be greater than or equal to aggregate container requests of {sum}"
                );
                errors.push(FieldError::invalid_string(path, &quantity.0, detail));
            }
        }
    }
    limits_within_pod(errors, spec, resources.limits.as_ref());
}

/// A container may not be allowed more than its pod.
fn limits_within_pod(errors: &mut Errors, spec: &PodSpec, bounds: Option<&Quantities>) {
    for (index, container) in spec.containers.iter().enumerate() {
        let resources = container.resources.as_ref();
        let limits = resources.and_then(|resources| resources.limits.as_ref());
        for (name, limit) in limits.into_iter().flatten() {
            let Some(bound) = bounds.and_then(|bounds| bounds.get(name)) else {
                continue;
            };
            if ParsedQuantity::of(limit) > ParsedQuantity::of(bound) {
                // The order of the path is the API's own.
                let path = format!("spec.resources.containers[{index}][{name}].limits");
                let detail = format!("must be less than or equal to pod limits of {}", bound.0);
                errors.push(FieldError::invalid_string(path, &limit.0, detail));
            }
        }
    }
}

/// Checked as limits are.
pub(super) fn overhead(errors: &mut Errors, spec: &PodSpec) {
    if let Some(overhead) = &spec.overhead {
        let resources = ResourceRequirements {
            limits: Some(overhead.clone()),
            ..ResourceRequirements::default()
        };
        requirements(errors, "spec.overhead", &resources);
    }
}

pub(super) fn resize_policy(
    errors: &mut Errors,
    path: &str,
    container: &Container,
    pod_restart_policy: &str,
) {
    let mut seen = Vec::new();
    for (index, policy) in container.resize_policy.iter().flatten().enumerate() {
        let name = policy.resource_name.as_str();
        if seen.contains(&name) {
            errors.push(FieldError::duplicate(format!("{path}[{index}]"), name));
        }
        seen.push(name);
        // The API reports the rest at the list, without the index.
        super::field::one_of(errors, path, name, &["cpu", "memory"]);
        let restart = policy.restart_policy.as_str();
        let supported = ["NotRequired", "RestartContainer"];
        super::field::one_of(errors, path, restart, &supported);
        if restart != "NotRequired" && pod_restart_policy == "Never" {
            errors.push(FieldError::invalid_string(
                path,
                restart,
                "must be 'NotRequired' when `restartPolicy` is 'Never'",
            ));
        }
    }
}
