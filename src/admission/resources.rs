use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::claims;
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

/// Requests of other resources must equal their limits.
fn may_overcommit(name: &str) -> bool {
    names::is_native_resource(name) && !is_huge_page(name)
}

pub(super) type Quantities = BTreeMap<String, Quantity>;

/// How a resource may be called, with the path of the error.
type NameRule = fn(&mut Errors, &str, &str);

/// `claims` are those of the pod.
pub(super) fn container(
    errors: &mut Errors,
    path: &str,
    container: &Container,
    claims: &claims::Names<'_>,
) {
    if let Some(resources) = &container.resources {
        requirements(errors, path, resources, name_for_container);
        let used = resources.claims.as_deref().unwrap_or_default();
        claims::references(errors, &format!("{path}.claims"), used, claims);
    }
}

fn requirements(
    errors: &mut Errors,
    path: &str,
    resources: &ResourceRequirements,
    name_rule: NameRule,
) {
    let empty = Quantities::new();
    let limits = resources.limits.as_ref().unwrap_or(&empty);
    let requests = resources.requests.as_ref().unwrap_or(&empty);
    for (name, quantity) in limits {
        let path = format!("{path}.limits[{name}]");
        name_rule(errors, &path, name);
        quantity_value(errors, &path, name, quantity);
        whole_pages(errors, &path, name, quantity);
    }
    for (name, quantity) in requests {
        let one_path = format!("{path}.requests[{name}]");
        name_rule(errors, &one_path, name);
        quantity_value(errors, &one_path, name, quantity);
        request_within_limit(errors, path, name, quantity, limits.get(name));
        whole_pages(errors, &one_path, name, quantity);
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

pub(super) fn quantity_value(errors: &mut Errors, path: &str, name: &str, quantity: &Quantity) {
    let amount = ParsedQuantity::of(quantity);
    let mut invalid = |detail: &str| {
        errors.push(FieldError::invalid_string(path, &quantity.0, detail));
    };
    if amount.is_negative() {
        invalid("must be greater than or equal to 0");
    }
    if amount.is_fractional() && (names::is_extended_resource(name) || is_huge_page(name)) {
        invalid("must be an integer");
    }
}

fn whole_pages(errors: &mut Errors, path: &str, name: &str, quantity: &Quantity) {
    if is_huge_page(name) && !is_divisible(name, ParsedQuantity::of(quantity)) {
        let value = &quantity.0;
        let detail = format!("{value} is not positive integer multiple of {name}");
        errors.push(FieldError::invalid_string(path, value, detail));
    }
}

fn is_divisible(name: &str, amount: ParsedQuantity) -> bool {
    let page = ParsedQuantity::huge_page(name).and_then(|page| i64::try_from(page).ok());
    page.is_some_and(|page| amount.value() % page == 0)
}

/// A name that the API knows somewhere, or one with a prefix.
fn resource_name(errors: &mut Errors, path: &str, name: &str) {
    let before = errors.len();
    by_rule(errors, path, name, names::qualified_name);
    let is_known = name.contains('/') || STANDARD.contains(&name) || is_huge_page(name);
    if errors.len() == before && !is_known {
        let detail = "must be a standard resource type or fully qualified";
        errors.push(FieldError::invalid_string(path, name, detail));
    }
}

fn name_for_container(errors: &mut Errors, path: &str, name: &str) {
    resource_name(errors, path, name);
    let mut invalid = |detail: &str| errors.push(FieldError::invalid_string(path, name, detail));
    if name.contains('/') {
        if !names::is_native_resource(name) && !names::is_extended_resource(name) {
            invalid("doesn't follow extended resource name standard");
        }
    } else if !matches!(name, "cpu" | "memory" | "ephemeral-storage") && !is_huge_page(name) {
        invalid("must be a standard resource for containers");
    }
}

fn name_for_pod(errors: &mut Errors, path: &str, name: &str) {
    let before = errors.len();
    resource_name(errors, path, name);
    if errors.len() == before && !matches!(name, "cpu" | "memory") && !is_huge_page(name) {
        let supported = ["cpu", "hugepages-", "memory"];
        errors.push(FieldError::not_supported(path, name, &supported));
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

/// `spec.resources`: cpu, memory and huge pages of the pod as a whole.
pub(super) fn pod_level(errors: &mut Errors, spec: &PodSpec) {
    let Some(resources) = &spec.resources else {
        return;
    };
    let path = "spec.resources";
    if spec.os.as_ref().is_some_and(|os| os.name == "windows") {
        errors.push(FieldError::forbidden(
            path,
            "may not be set for a windows pod",
        ));
        return;
    }
    let claims_path = format!("{path}.claims");
    if resources.claims.is_some() {
        let detail = "claims may not be set for Resources at pod-level";
        errors.push(FieldError::forbidden(claims_path.clone(), detail));
    }
    requirements(errors, path, resources, name_for_pod);
    let used = resources.claims.as_deref().unwrap_or_default();
    claims::references(errors, &claims_path, used, &claims::names(spec));
    let mut containers = spec.clone();
    containers.resources = None;
    containers.overhead = None;
    let least = |name: &str, part: Option<&Quantities>, sum: ParsedQuantity| {
        let quantity = part?.get(name)?;
        (ParsedQuantity::of(quantity) < sum).then(|| quantity.0.clone())
    };
    for (name, sum) in pod::pod_requests(&containers) {
        if let Some(value) = least(&name, resources.requests.as_ref(), sum) {
            let path = format!("{path}.requests[{name}]");
            let detail =
                format!("must be greater than or equal to aggregate container requests of {sum}");
            errors.push(FieldError::invalid_string(path, &value, detail));
        }
    }
    let limits = pod::pod_limits(&containers).into_iter();
    for (name, sum) in limits.filter(|(name, _)| is_huge_page(name)) {
        if let Some(value) = least(&name, resources.limits.as_ref(), sum) {
            let path = format!("{path}.limits[{name}]");
            let detail =
                format!("must be greater than or equal to aggregate container limits of {sum}");
            errors.push(FieldError::invalid_string(path, &value, detail));
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
        requirements(errors, "spec.overhead", &resources, name_for_container);
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
                "must be 'NotRequired' when pod `restartPolicy` is 'Never'",
            ));
        }
    }
}
