use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, PodDNSConfig, PodSpec};

use super::field::{Errors, by_rule, containers_with_paths, one_of, text};
use super::{
    annotations, claims, container, env, os, resources, scheduling, security, tolerations, volume,
    windows,
};
use crate::model::priority::PREEMPTION_POLICIES;
use crate::model::{FieldError, names};

/// All errors of a new pod, which has its defaults, in the order in which the API server finds them.
pub(super) fn validate(pod: &Pod) -> Errors {
    let mut errors = checked(pod);
    if let Some(spec) = &pod.spec {
        of_new_pods_only(&mut errors, pod, spec);
    }
    errors
}

/// All errors but those that only a new pod can have.
fn checked(pod: &Pod) -> Errors {
    let mut errors = Errors::new();
    match &pod.spec {
        Some(spec) => {
            annotations::validate(&mut errors, pod, spec);
            self::spec(&mut errors, pod, spec);
            container::of_pods_only(&mut errors, spec);
        }
        None => errors.push(FieldError::required("spec.containers", "")),
    }
    errors
}

/// What is wrong with a changed pod and was not before. What was let in once, by other rules, can still be
/// changed in other respects.
pub(super) fn introduced(old: &Pod, new: &Pod) -> Errors {
    let known = checked(old);
    let mut errors = checked(new);
    errors.retain(|error| !known.contains(error));
    errors
}

fn of_new_pods_only(errors: &mut Errors, pod: &Pod, spec: &PodSpec) {
    let given = |count: Option<usize>| count.is_some_and(|count| count > 0);
    if given(spec.ephemeral_containers.as_ref().map(Vec::len)) {
        let detail = "cannot be set on create";
        errors.push(FieldError::forbidden("spec.ephemeralContainers", detail));
    }
    let gated = given(spec.scheduling_gates.as_ref().map(Vec::len));
    if gated && !text(&spec.node_name).is_empty() {
        let detail = "cannot be set until all schedulingGates have been cleared";
        errors.push(FieldError::forbidden("spec.nodeName", detail));
    }
    annotations::match_fields(errors, pod, spec);
}

fn spec(errors: &mut Errors, pod: &Pod, spec: &PodSpec) {
    let labels = pod.metadata.labels.as_ref();
    let labels = labels.unwrap_or(const { &BTreeMap::new() });
    let volumes = volume::volumes(errors, spec, text(&pod.metadata.name));
    claims::of_pod(errors, pod, spec);
    container::containers(errors, spec, &volumes);
    resources::pod_level(errors, spec);
    container::host_network_ports(errors, spec);
    let restart = text(&spec.restart_policy);
    one_of(
        errors,
        "spec.restartPolicy",
        restart,
        &["Always", "OnFailure", "Never"],
    );
    let dns = text(&spec.dns_policy);
    let supported = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    one_of(errors, "spec.dnsPolicy", dns, &supported);
    node_selector(errors, spec);
    security::pod(errors, spec);
    if let Some(affinity) = &spec.affinity {
        scheduling::affinity(errors, "spec.affinity", affinity, labels);
    }
    dns_config(errors, dns, spec.dns_config.as_ref());
    scheduling::gates(errors, spec);
    let constraints = spec
        .topology_spread_constraints
        .as_deref()
        .unwrap_or_default();
    let path = "spec.topologySpreadConstraints";
    scheduling::topology_spread(errors, path, constraints, labels);
    windows::host_process(errors, spec);
    host_users(errors, spec);
    hostname_override(errors, spec);
    names_of(errors, spec);
    let tolerations = spec.tolerations.as_deref().unwrap_or_default();
    tolerations::of(errors, "spec.tolerations", tolerations);
    host_aliases(errors, spec);
    priority(errors, spec);
    resources::overhead(errors, spec);
    os::check(errors, spec);
    env::files(errors, spec);
}

fn node_selector(errors: &mut Errors, spec: &PodSpec) {
    let path = "spec.nodeSelector";
    for (key, value) in spec.node_selector.iter().flatten() {
        by_rule(errors, path, key, names::qualified_name);
        by_rule(errors, &format!("{path}[{key}]"), value, names::label_value);
    }
}

const OWN_USERS: &str = "when `hostUsers` is false";

fn host_users(errors: &mut Errors, spec: &PodSpec) {
    if spec.host_users != Some(false) {
        return;
    }
    // The spelling of the fields is the API's.
    for (shared, field) in [
        (spec.host_network, "hostNetwork"),
        (spec.host_pid, "HostPID"),
        (spec.host_ipc, "HostIPC"),
    ] {
        if shared == Some(true) {
            let path = format!("spec.{field}");
            errors.push(FieldError::forbidden(path, OWN_USERS));
        }
    }
    for (path, container) in containers_with_paths(spec) {
        if container.volume_devices.iter().flatten().next().is_some() {
            let path = format!("{path}.volumeDevices");
            errors.push(FieldError::forbidden(path, OWN_USERS));
        }
    }
}

/// Bytes, what the kernel takes (`__NEW_UTS_LEN`).
const HOSTNAME_MAX: usize = 64;

fn hostname_override(errors: &mut Errors, spec: &PodSpec) {
    let Some(name) = &spec.hostname_override else {
        return;
    };
    let path = "spec.hostnameOverride";
    for (is_set, field) in [
        (spec.set_hostname_as_fqdn, "setHostnameAsFQDN"),
        (spec.host_network, "hostNetwork"),
    ] {
        if is_set == Some(true) {
            let detail = format!("may not be specified when {field} is true");
            errors.push(FieldError::forbidden(path, detail));
        }
    }
    if name.len() > HOSTNAME_MAX {
        errors.push(FieldError::too_long(path, HOSTNAME_MAX));
    }
    by_rule(errors, path, name, names::dns_subdomain);
}

fn names_of(errors: &mut Errors, spec: &PodSpec) {
    let mut named = |path: &str, value: &Option<String>, rule: fn(&str) -> Vec<String>| {
        if !text(value).is_empty() {
            by_rule(errors, path, text(value), rule);
        }
    };
    named(
        "spec.serviceAccountName",
        &spec.service_account_name,
        names::dns_subdomain,
    );
    named("spec.nodeName", &spec.node_name, names::dns_subdomain);
    let seconds = spec.active_deadline_seconds;
    deadline(errors, "spec.activeDeadlineSeconds", seconds);
    let mut named = |path: &str, value: &Option<String>| {
        if !text(value).is_empty() {
            by_rule(errors, path, text(value), names::dns_label);
        }
    };
    named("spec.hostname", &spec.hostname);
    named("spec.subdomain", &spec.subdomain);
}

pub(super) fn deadline(errors: &mut Errors, path: &str, seconds: Option<i64>) {
    if let Some(seconds) = seconds.filter(|seconds| !(1..=i64::from(i32::MAX)).contains(seconds)) {
        let detail = "must be between 1 and 2147483647, inclusive";
        errors.push(FieldError::invalid(path, seconds, detail));
    }
}

/// The resolver takes no more (`MAXNS` of resolv.conf(5)); the other bounds are the API's.
const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCH_BYTES_MAX: usize = 2048;

fn dns_config(errors: &mut Errors, policy: &str, config: Option<&PodDNSConfig>) {
    let path = "spec.dnsConfig";
    let Some(config) = config else {
        if policy == "None" {
            let detail = "must provide `dnsConfig` when `dnsPolicy` is None";
            errors.push(FieldError::required(path, detail));
        }
        return;
    };
    let nameservers = config.nameservers.as_deref().unwrap_or_default();
    let list_path = format!("{path}.nameservers");
    if policy == "None" && nameservers.is_empty() {
        let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        errors.push(FieldError::required(list_path, detail));
        return;
    }
    let json = |list: &[String]| serde_json::to_string(list).unwrap_or_default();
    if nameservers.len() > NAMESERVERS_MAX {
        let detail = format!("must not have more than {NAMESERVERS_MAX} nameservers");
        errors.push(FieldError::invalid(
            list_path.clone(),
            json(nameservers),
            detail,
        ));
    }
    for (index, server) in nameservers.iter().enumerate() {
        by_rule(
            errors,
            &format!("{list_path}[{index}]"),
            server,
            names::ip_address,
        );
    }
    let searches = config.searches.as_deref().unwrap_or_default();
    let list_path = format!("{path}.searches");
    if searches.len() > SEARCHES_MAX {
        let detail = format!("must not have more than {SEARCHES_MAX} search paths");
        errors.push(FieldError::invalid(
            list_path.clone(),
            json(searches),
            detail,
        ));
    }
    if searches.join(" ").len() > SEARCH_BYTES_MAX {
        let detail = format!(
            "must not have more than {SEARCH_BYTES_MAX} characters (including spaces) in the search list"
        );
        errors.push(FieldError::invalid(
            list_path.clone(),
            json(searches),
            detail,
        ));
    }
    for (index, search) in searches
        .iter()
        .enumerate()
        .filter(|(_, search)| *search != ".")
    {
        let path = format!("{list_path}[{index}]");
        let name = search.strip_suffix('.').unwrap_or(search);
        by_rule(errors, &path, name, names::search_domain);
    }
    for (index, option) in config.options.iter().flatten().enumerate() {
        if text(&option.name).is_empty() {
            let path = format!("{path}.options[{index}]");
            errors.push(FieldError::required(path, "must not be empty"));
        }
    }
}

fn host_aliases(errors: &mut Errors, spec: &PodSpec) {
    for (index, alias) in spec.host_aliases.iter().flatten().enumerate() {
        let path = format!("spec.hostAliases[{index}]");
        by_rule(errors, &format!("{path}.ip"), &alias.ip, names::ip_address);
        for (index, hostname) in alias.hostnames.iter().flatten().enumerate() {
            let path = format!("{path}.hostnames[{index}]");
            by_rule(errors, &path, hostname, names::dns_subdomain);
        }
    }
}

fn priority(errors: &mut Errors, spec: &PodSpec) {
    if !text(&spec.priority_class_name).is_empty() {
        let name = text(&spec.priority_class_name);
        by_rule(errors, "spec.priorityClassName", name, names::dns_subdomain);
    }
    if let Some(name) = &spec.runtime_class_name {
        by_rule(errors, "spec.runtimeClassName", name, names::dns_subdomain);
    }
    let policy = text(&spec.preemption_policy);
    one_of(
        errors,
        "spec.preemptionPolicy",
        policy,
        &PREEMPTION_POLICIES,
    );
}
