//! What nobody may write into the status of a pod, whether it is taken over or not (`ValidatePodStatusUpdate`).

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodSpec, PodStatus};

use crate::admission::field::{Errors, by_rule, text};
use crate::model::pod::{init_containers, is_sidecar, qos_class};
use crate::model::restarts::matching_rule;
use crate::model::{FieldError, names};

/// `was` is what `old` says, `wanted` what was sent.
pub(super) fn changes(errors: &mut Errors, old: &Pod, was: &PodStatus, wanted: &PodStatus) {
    let no_spec = PodSpec::default();
    let spec = old.spec.as_ref().unwrap_or(&no_spec);
    let nominated = text(&wanted.nominated_node_name);
    if !nominated.is_empty() && wanted.nominated_node_name != was.nominated_node_name {
        let path = "status.nominatedNodeName";
        by_rule(errors, path, nominated, names::dns_subdomain);
    }
    same_class(errors, spec, was, wanted);
    transitions(errors, spec, was, wanted);
    claims(errors, spec, wanted);
    addresses(errors, was, wanted);
}

/// Left out it stays what it was.
fn same_class(errors: &mut Errors, spec: &PodSpec, was: &PodStatus, wanted: &PodStatus) {
    let is = was.qos_class.as_deref();
    let is = is.unwrap_or_else(|| qos_class(spec).as_str());
    let class = text(&wanted.qos_class);
    if !class.is_empty() && class != is {
        let detail = "field is immutable";
        errors.push(FieldError::invalid_string("status.qosClass", class, detail));
    }
}

/// What has ended goes on only where its policy says so.
fn transitions(errors: &mut Errors, spec: &PodSpec, was: &PodStatus, wanted: &PodStatus) {
    let find = |list: &[Container], name: &str| list.iter().find(|one| one.name == name).cloned();
    let init = init_containers(spec);
    let app_restarts = |name: &str, code: i32| {
        find(&spec.containers, name).map_or_else(
            || pod_restarts(spec, code),
            |container| restarts(spec, &container, code),
        )
    };
    let init_restarts = |name: &str, code: i32| {
        find(init, name).map_or_else(
            || pod_restarts(spec, code),
            |container| is_sidecar(&container) || restarts(spec, &container, code),
        )
    };
    let all = begins_anew(spec);
    only_restarted(
        errors,
        "containerStatuses",
        [&was.container_statuses, &wanted.container_statuses],
        |name, code| all || app_restarts(name, code),
    );
    only_restarted(
        errors,
        "initContainerStatuses",
        [
            &was.init_container_statuses,
            &wanted.init_container_statuses,
        ],
        |name, code| all || init_restarts(name, code),
    );
    only_restarted(
        errors,
        "ephemeralContainerStatuses",
        [
            &was.ephemeral_container_statuses,
            &wanted.ephemeral_container_statuses,
        ],
        |_, _| false,
    );
}

/// A rule may end every container and let it begin anew, whatever its own policy is.
fn begins_anew(spec: &PodSpec) -> bool {
    let all = init_containers(spec).iter().chain(&spec.containers);
    let mut rules = all.flat_map(|container| container.restart_policy_rules.iter().flatten());
    rules.any(|rule| rule.action == "RestartAllContainers")
}

fn restarts(spec: &PodSpec, container: &Container, exit_code: i32) -> bool {
    if matching_rule(container, exit_code).is_some() {
        return true;
    }
    match container.restart_policy.as_deref() {
        Some(policy) => policy_restarts(policy, exit_code),
        None => pod_restarts(spec, exit_code),
    }
}

fn pod_restarts(spec: &PodSpec, exit_code: i32) -> bool {
    policy_restarts(
        spec.restart_policy.as_deref().unwrap_or("Always"),
        exit_code,
    )
}

fn policy_restarts(policy: &str, exit_code: i32) -> bool {
    match policy {
        "Never" => false,
        "OnFailure" => exit_code != 0,
        _ => true,
    }
}

fn only_restarted(
    errors: &mut Errors,
    list: &str,
    [was, wanted]: [&Option<Vec<ContainerStatus>>; 2],
    restarts: impl Fn(&str, i32) -> bool,
) {
    let exit_code = |status: &ContainerStatus| {
        let state = status.state.as_ref()?;
        state.terminated.as_ref().map(|end| end.exit_code)
    };
    for (index, before) in was.iter().flatten().enumerate() {
        let Some(code) = exit_code(before) else {
            continue;
        };
        let mut after = wanted.iter().flatten();
        let goes_on = after.any(|after| after.name == before.name && exit_code(after).is_none());
        if goes_on && !restarts(&before.name, code) {
            let path = format!("status.{list}[{index}].state");
            let detail = "may not be transitioned to non-terminated state";
            errors.push(FieldError::forbidden(path, detail));
        }
    }
}

fn claims(errors: &mut Errors, spec: &PodSpec, wanted: &PodStatus) {
    let mut seen = BTreeSet::new();
    for (index, claim) in wanted.resource_claim_statuses.iter().flatten().enumerate() {
        let path = format!("status.resourceClaimStatuses[{index}].name");
        let mut known = spec.resource_claims.iter().flatten();
        if !known.any(|known| known.name == claim.name) {
            let detail = "must match the name of an entry in `spec.resourceClaims`";
            errors.push(FieldError::invalid_string(&path, &claim.name, detail));
        }
        if !seen.insert(&claim.name) {
            errors.push(FieldError::duplicate(&path, &claim.name));
        }
        if let Some(name) = &claim.resource_claim_name {
            by_rule(errors, &path, name, names::dns_subdomain);
        }
    }
}

fn addresses(errors: &mut Errors, was: &PodStatus, wanted: &PodStatus) {
    let pod = |status: &PodStatus| -> Vec<String> {
        let list = status.pod_ips.iter().flatten();
        list.map(|one| one.ip.clone()).collect()
    };
    let host = |status: &PodStatus| -> Vec<String> {
        let list = status.host_ips.iter().flatten();
        list.map(|one| one.ip.clone()).collect()
    };
    one_of_each_family(errors, "status.podIPs", &pod(was), &pod(wanted));
    let hosts = host(wanted);
    if let Some(first) = hosts
        .first()
        .filter(|first| **first != text(&wanted.host_ip))
    {
        let detail = "must be equal to `hostIP`";
        errors.push(FieldError::invalid_string(
            "status.hostIPs[0].ip",
            first,
            detail,
        ));
    }
    one_of_each_family(errors, "status.hostIPs", &host(was), &hosts);
}

/// Addresses that were there may stay, whatever they are.
fn one_of_each_family(errors: &mut Errors, path: &str, was: &[String], wanted: &[String]) {
    for (index, address) in wanted.iter().enumerate() {
        if !was.contains(address) {
            by_rule(
                errors,
                &format!("{path}[{index}]"),
                address,
                names::ip_address,
            );
        }
    }
    let is_v6 = |address: &String| address.parse().map(|ip: std::net::IpAddr| ip.is_ipv6());
    let families: BTreeSet<bool> = wanted.iter().flat_map(is_v6).collect();
    if wanted.len() > 1 && (families.len() != 2 || wanted.len() > 2) {
        let list: Vec<_> = wanted
            .iter()
            .map(|ip| serde_json::json!({"ip": ip}))
            .collect();
        let detail = "may specify no more than one IP for each IP family";
        errors.push(FieldError::invalid(path, serde_json::json!(list), detail));
    }
}
