use k8s_openapi::api::core::v1::{
    Affinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodAffinityTerm, PodSpec,
    Toleration, TopologySpreadConstraint,
};

use super::field::{Errors, by_rule, one_of, text};
use super::preset::label_selector;
use crate::model::{FieldError, names};

pub(super) fn affinity(errors: &mut Errors, path: &str, affinity: &Affinity) {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
    if let Some(node) = &affinity.node_affinity {
        let path = format!("{path}.nodeAffinity");
        if let Some(selector) = &node.required_during_scheduling_ignored_during_execution {
            node_selector(errors, &format!("{path}.{REQUIRED}"), selector);
        }
        let preferred = node
            .preferred_during_scheduling_ignored_during_execution
            .iter()
            .flatten();
        for (index, term) in preferred.enumerate() {
            let path = format!("{path}.{PREFERRED}[{index}]");
            weight(errors, &path, term.weight);
            node_term(
                errors,
                &format!("{path}.preference"),
                &term.preference,
                false,
            );
        }
    }
    let pod = affinity.pod_affinity.as_ref().map(|pod| {
        let required = &pod.required_during_scheduling_ignored_during_execution;
        let preferred = &pod.preferred_during_scheduling_ignored_during_execution;
        ("podAffinity", required, preferred)
    });
    let anti = affinity.pod_anti_affinity.as_ref().map(|pod| {
        let required = &pod.required_during_scheduling_ignored_during_execution;
        let preferred = &pod.preferred_during_scheduling_ignored_during_execution;
        ("podAntiAffinity", required, preferred)
    });
    for (name, required, preferred) in pod.into_iter().chain(anti) {
        let path = format!("{path}.{name}");
        for (index, term) in required.iter().flatten().enumerate() {
            pod_term(errors, &format!("{path}.{REQUIRED}[{index}]"), term);
        }
        for (index, term) in preferred.iter().flatten().enumerate() {
            let path = format!("{path}.{PREFERRED}[{index}]");
            weight(errors, &path, term.weight);
            pod_term(
                errors,
                &format!("{path}.podAffinityTerm"),
                &term.pod_affinity_term,
            );
        }
    }
}

pub(super) fn node_selector(errors: &mut Errors, path: &str, selector: &NodeSelector) {
    let path = format!("{path}.nodeSelectorTerms");
    if selector.node_selector_terms.is_empty() {
        let detail = "must have at least one node selector term";
        errors.push(FieldError::required(path.clone(), detail));
    }
    for (index, term) in selector.node_selector_terms.iter().enumerate() {
        node_term(errors, &format!("{path}[{index}]"), term, true);
    }
}

fn weight(errors: &mut Errors, path: &str, weight: i32) {
    if !(1..=100).contains(&weight) {
        let path = format!("{path}.weight");
        errors.push(FieldError::invalid(
            path,
            weight,
            "must be in the range 1-100",
        ));
    }
}

fn pod_term(errors: &mut Errors, path: &str, term: &PodAffinityTerm) {
    for (field, selector) in [
        ("labelSelector", &term.label_selector),
        ("namespaceSelector", &term.namespace_selector),
    ] {
        if let Some(selector) = selector {
            label_selector(errors, &format!("{path}.{field}"), selector);
        }
    }
    for namespace in term.namespaces.iter().flatten() {
        by_rule(
            errors,
            &format!("{path}.namespace"),
            namespace,
            names::dns_label,
        );
    }
    let path = format!("{path}.topologyKey");
    if term.topology_key.is_empty() {
        errors.push(FieldError::required(path.clone(), "can not be empty"));
    }
    by_rule(errors, &path, &term.topology_key, names::qualified_name);
}

/// Values that are none of a label are told of required terms only.
fn node_term(errors: &mut Errors, path: &str, term: &NodeSelectorTerm, is_required: bool) {
    for (index, requirement) in term.match_expressions.iter().flatten().enumerate() {
        let path = format!("{path}.matchExpressions[{index}]");
        node_requirement(errors, &path, requirement);
        let values = requirement.values.iter().flatten().filter(|_| is_required);
        for (index, value) in values.enumerate() {
            by_rule(
                errors,
                &format!("{path}.values[{index}]"),
                value,
                names::label_value,
            );
        }
    }
    for (index, requirement) in term.match_fields.iter().flatten().enumerate() {
        field_requirement(errors, &format!("{path}.matchFields[{index}]"), requirement);
    }
}

/// The only field is the name of the node.
fn field_requirement(errors: &mut Errors, path: &str, requirement: &NodeSelectorRequirement) {
    let values = requirement.values.as_deref().unwrap_or_default();
    match requirement.operator.as_str() {
        "In" | "NotIn" if values.len() == 1 => {}
        "In" | "NotIn" => errors.push(FieldError::required(
            format!("{path}.values"),
            "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
        )),
        other => errors.push(FieldError::invalid_string(
            format!("{path}.operator"),
            other,
            "not a valid selector operator",
        )),
    }
    if requirement.key != "metadata.name" {
        let path = format!("{path}.key");
        let detail = "not a valid field selector key";
        errors.push(FieldError::invalid_string(path, &requirement.key, detail));
        return;
    }
    for (index, value) in values.iter().enumerate() {
        by_rule(
            errors,
            &format!("{path}.values[{index}]"),
            value,
            names::dns_subdomain,
        );
    }
}

fn node_requirement(errors: &mut Errors, path: &str, requirement: &NodeSelectorRequirement) {
    let count = requirement.values.as_ref().map_or(0, Vec::len);
    let values = format!("{path}.values");
    match requirement.operator.as_str() {
        "In" | "NotIn" if count == 0 => errors.push(FieldError::required(
            values,
            "must be specified when `operator` is 'In' or 'NotIn'",
        )),
        "Exists" | "DoesNotExist" if count > 0 => errors.push(FieldError::forbidden(
            values,
            "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        )),
        "Gt" | "Lt" if count != 1 => errors.push(FieldError::required(
            values,
            "must be specified single value when `operator` is 'Lt' or 'Gt'",
        )),
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
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
}

pub(super) fn topology_spread(errors: &mut Errors, path: &str, list: &[TopologySpreadConstraint]) {
    for (index, constraint) in list.iter().enumerate() {
        let path = format!("{path}[{index}]");
        if constraint.max_skew <= 0 {
            let path = format!("{path}.maxSkew");
            let detail = "must be greater than zero";
            errors.push(FieldError::invalid(path, constraint.max_skew, detail));
        }
        if constraint.topology_key.is_empty() {
            let path = format!("{path}.topologyKey");
            errors.push(FieldError::required(path, "can not be empty"));
        }
        let when = constraint.when_unsatisfiable.as_str();
        let supported = ["DoNotSchedule", "ScheduleAnyway"];
        one_of(
            errors,
            &format!("{path}.whenUnsatisfiable"),
            when,
            &supported,
        );
        let same = |other: &TopologySpreadConstraint| {
            other.topology_key == constraint.topology_key && other.when_unsatisfiable == when
        };
        if list[index + 1..].iter().any(same) {
            errors.push(FieldError::duplicate(
                format!("{path}.{{topologyKey, whenUnsatisfiable}}"),
                &format!("{{{}, {when}}}", constraint.topology_key),
            ));
        }
        if let Some(count) = constraint.min_domains {
            let path = format!("{path}.minDomains");
            if count <= 0 {
                let detail = "must be greater than zero";
                errors.push(FieldError::invalid(path.clone(), count, detail));
            }
            if when != "DoNotSchedule" {
                let detail = format!(
                    "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {when}"
                );
                errors.push(FieldError::invalid(path, count, detail));
            }
        }
        for (field, policy) in [
            ("nodeAffinityPolicy", &constraint.node_affinity_policy),
            ("nodeTaintsPolicy", &constraint.node_taints_policy),
        ] {
            if let Some(policy) = policy {
                let path = format!("{path}.{field}");
                one_of(errors, &path, policy, &["Honor", "Ignore"]);
            }
        }
        if let Some(selector) = &constraint.label_selector {
            label_selector(errors, &format!("{path}.labelSelector"), selector);
        }
    }
}

pub(super) fn tolerations(errors: &mut Errors, path: &str, list: &[Toleration]) {
    for (index, toleration) in list.iter().enumerate() {
        one_toleration(errors, &format!("{path}[{index}]"), toleration);
    }
}

fn one_toleration(errors: &mut Errors, path: &str, toleration: &Toleration) {
    let (key, value) = (text(&toleration.key), text(&toleration.value));
    let (operator, effect) = (text(&toleration.operator), text(&toleration.effect));
    if !key.is_empty() {
        by_rule(errors, &format!("{path}.key"), key, names::qualified_name);
    }
    let operator_path = format!("{path}.operator");
    if key.is_empty() && operator != "Exists" {
        errors.push(FieldError::invalid_string(
            operator_path.clone(),
            operator,
            "operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
        ));
    }
    if toleration.toleration_seconds.is_some() && effect != "NoExecute" {
        errors.push(FieldError::invalid_string(
            format!("{path}.effect"),
            effect,
            "effect must be 'NoExecute' when `tolerationSeconds` is set",
        ));
    }
    match operator {
        "" | "Equal" => {
            let problems = names::label_value(value);
            if !problems.is_empty() {
                errors.push(FieldError::invalid_string(
                    operator_path,
                    value,
                    problems.join(";"),
                ));
            }
        }
        "Exists" if value.is_empty() => {}
        "Exists" => {
            let detail = "value must be empty when `operator` is 'Exists'";
            errors.push(FieldError::invalid_string(operator_path, value, detail));
        }
        other => errors.push(FieldError::not_supported(
            operator_path,
            other,
            &["Equal", "Exists"],
        )),
    }
    if !effect.is_empty() {
        let supported = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
        one_of(errors, &format!("{path}.effect"), effect, &supported);
    }
}

pub(super) fn gates(errors: &mut Errors, spec: &PodSpec) {
    for (index, gate) in spec.readiness_gates.iter().flatten().enumerate() {
        let path = format!("spec.readinessGates[{index}].conditionType");
        by_rule(errors, &path, &gate.condition_type, names::qualified_name);
    }
    let mut seen = Vec::new();
    for (index, gate) in spec.scheduling_gates.iter().flatten().enumerate() {
        let path = format!("spec.schedulingGates[{index}]");
        by_rule(errors, &path, &gate.name, names::qualified_name);
        if seen.contains(&&gate.name) {
            errors.push(FieldError::duplicate(path, &gate.name));
        }
        seen.push(&gate.name);
    }
}
