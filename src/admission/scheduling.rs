use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodAffinityTerm, PodSpec,
    TopologySpreadConstraint, WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::field::{Errors, by_rule, supported};
use super::preset::label_selector;
use crate::model::{FieldError, names};

/// Labels of the pod itself.
pub(super) type Labels = BTreeMap<String, String>;

pub(super) fn affinity(errors: &mut Errors, path: &str, affinity: &Affinity, labels: &Labels) {
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
    for (name, required, preferred) in pod_terms(affinity) {
        let path = format!("{path}.{name}");
        for (index, term) in required.iter().flatten().enumerate() {
            let path = format!("{path}.{REQUIRED}[{index}]");
            pod_term(errors, &path, term, labels);
        }
        for (index, term) in preferred.iter().flatten().enumerate() {
            let path = format!("{path}.{PREFERRED}[{index}]");
            weight(errors, &path, term.weight);
            let path = format!("{path}.podAffinityTerm");
            pod_term(errors, &path, &term.pod_affinity_term, labels);
        }
    }
}

type Required = Option<Vec<PodAffinityTerm>>;
type Preferred = Option<Vec<WeightedPodAffinityTerm>>;

/// `podAffinity` and `podAntiAffinity`, those that are given: name, required and preferred terms.
pub(super) fn pod_terms(
    affinity: &Affinity,
) -> impl Iterator<Item = (&'static str, &Required, &Preferred)> {
    let near = affinity.pod_affinity.as_ref().map(|pod| {
        let required = &pod.required_during_scheduling_ignored_during_execution;
        let preferred = &pod.preferred_during_scheduling_ignored_during_execution;
        ("podAffinity", required, preferred)
    });
    let apart = affinity.pod_anti_affinity.as_ref().map(|pod| {
        let required = &pod.required_during_scheduling_ignored_during_execution;
        let preferred = &pod.preferred_during_scheduling_ignored_during_execution;
        ("podAntiAffinity", required, preferred)
    });
    near.into_iter().chain(apart)
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

fn pod_term(errors: &mut Errors, path: &str, term: &PodAffinityTerm, labels: &Labels) {
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
    let keys = LabelKeys {
        with: term.match_label_keys.as_deref().unwrap_or_default(),
        without: term.mismatch_label_keys.as_deref().unwrap_or_default(),
        selector: term.label_selector.as_ref(),
        labels,
    };
    keys.check(errors, path);
    let path = format!("{path}.topologyKey");
    if term.topology_key.is_empty() {
        errors.push(FieldError::required(path.clone(), "can not be empty"));
    }
    by_rule(errors, &path, &term.topology_key, names::qualified_name);
}

/// Keys of labels whose value in the pod itself is looked for, or avoided. The API writes them into the selector of
/// a new pod as requirements; here the placement reads them where they are.
struct LabelKeys<'a> {
    with: &'a [String],
    without: &'a [String],
    selector: Option<&'a LabelSelector>,
    labels: &'a Labels,
}

impl LabelKeys<'_> {
    /// They go with a selector; a key of the one kind is neither in the selector nor of the other kind.
    fn check(&self, errors: &mut Errors, path: &str) {
        for (field, keys) in [
            ("matchLabelKeys", self.with),
            ("mismatchLabelKeys", self.without),
        ] {
            let path = format!("{path}.{field}");
            if !keys.is_empty() && self.selector.is_none() {
                let detail = "must not be specified when labelSelector is not set";
                errors.push(FieldError::forbidden(path, detail));
                continue;
            }
            for (index, key) in keys.iter().enumerate() {
                by_rule(
                    errors,
                    &format!("{path}[{index}]"),
                    key,
                    names::qualified_name,
                );
            }
        }
        for (index, key) in self.with.iter().enumerate() {
            // The path is the API's own.
            let path = format!("{path}[{index}]");
            let detail = "exists in both matchLabelKeys and labelSelector";
            let error = FieldError::invalid_string(path, key, detail);
            errors.extend(std::iter::repeat_n(error, self.repetitions(key)));
        }
        for (index, key) in self.with.iter().enumerate() {
            if self.without.contains(key) {
                let path = format!("{path}.matchLabelKeys[{index}]");
                let detail = "exists in both matchLabelKeys and mismatchLabelKeys";
                errors.push(FieldError::invalid_string(path, key, detail));
            }
        }
    }

    /// How often the selector would name the key again, with the requirement that the API adds.
    fn repetitions(&self, key: &String) -> usize {
        let Some(selector) = self.selector else {
            return 0;
        };
        let requirements = selector.match_expressions.iter().flatten();
        let given = requirements.filter(|other| other.key == *key).count();
        let added = usize::from(self.labels.contains_key(key));
        let labels = selector.match_labels.as_ref();
        let known = labels.is_some_and(|labels| labels.contains_key(key));
        (given + added).saturating_sub(usize::from(!known))
    }
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

pub(super) fn topology_spread(
    errors: &mut Errors,
    path: &str,
    list: &[TopologySpreadConstraint],
    labels: &Labels,
) {
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
        let actions = ["DoNotSchedule", "ScheduleAnyway"];
        supported(errors, &format!("{path}.whenUnsatisfiable"), when, &actions);
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
                supported(errors, &path, policy, &["Honor", "Ignore"]);
            }
        }
        let selector = constraint.label_selector.as_ref();
        let keys = LabelKeys {
            with: constraint.match_label_keys.as_deref().unwrap_or_default(),
            without: &[],
            selector,
            labels,
        };
        keys.check(errors, &path);
        if let Some(selector) = selector {
            label_selector(errors, &format!("{path}.labelSelector"), selector);
        }
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
