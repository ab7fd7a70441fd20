use std::collections::{BTreeSet, HashSet};

use k8s_openapi::api::core::v1::{Node, NodeStatus};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::field::{Errors, by_rule, one_of, text};
use super::resources::{Quantities, quantity_value};
use crate::model::quantity::canonical;
use crate::model::{FieldError, names};

/// `old` with the extended resources that `new` advertises in its capacity; what can be used of one is all there is,
/// as the kubelet has it. Everything else of the status is the engine's; the user is told that it is not taken over.
pub(super) fn status(old: &Node, new: &Node) -> (Node, Errors, Vec<String>) {
    let was = old.status.clone().unwrap_or_default();
    let wanted = new.status.clone().unwrap_or_default();
    let mut errors = Errors::new();
    let advertised = extended(wanted.capacity.as_ref());
    for (name, amount) in &advertised {
        let path = format!("status.capacity[{name}]");
        quantity_value(&mut errors, &path, name, amount);
    }
    let usable = extended(was.allocatable.as_ref());
    let mut warnings: Vec<String> = extended(wanted.allocatable.as_ref())
        .iter()
        .filter(|(name, amount)| {
            ![advertised.get(*name), usable.get(*name)].contains(&Some(*amount))
        })
        .map(|(name, _)| format!("status.allocatable[{name}]: follows `capacity`; set it there"))
        .collect();
    let own = changed(&was, &wanted).into_iter();
    warnings.extend(own.map(|field| {
        format!("status.{field}: written by the engine; the change is not taken over")
    }));
    let mut node = old.clone();
    let status = node.status.get_or_insert_default();
    for amounts in [&mut status.capacity, &mut status.allocatable] {
        let amounts = amounts.get_or_insert_default();
        amounts.retain(|name, _| !names::is_extended_resource(name));
        amounts.extend(advertised.clone());
    }
    (node, errors, warnings)
}

fn extended(amounts: Option<&Quantities>) -> Quantities {
    let amounts = amounts.into_iter().flatten();
    amounts
        .filter(|(name, _)| names::is_extended_resource(name))
        .map(|(name, amount)| {
            let text = canonical(&amount.0).unwrap_or_else(|_| amount.0.clone());
            (name.clone(), Quantity(text))
        })
        .collect()
}

/// The fields that were sent, but for extended resources, and are not as they were.
fn changed(was: &NodeStatus, wanted: &NodeStatus) -> BTreeSet<String> {
    let own = |status: &NodeStatus| {
        let mut status = status.clone();
        for amounts in [&mut status.capacity, &mut status.allocatable] {
            let list = amounts.get_or_insert_default();
            list.retain(|name, _| !names::is_extended_resource(name));
        }
        serde_json::to_value(status).unwrap_or_default()
    };
    let (was, wanted) = (own(was), own(wanted));
    let fields = |value: &serde_json::Value| -> BTreeSet<String> {
        let fields = value.as_object().into_iter().flatten();
        fields.map(|(name, _)| name.clone()).collect()
    };
    let sent = fields(&wanted).into_iter();
    sent.filter(|name| was.get(name) != wanted.get(name))
        .collect()
}

/// The taints; everything else of the one node is the engine's.
pub(super) fn validate(node: &Node) -> Errors {
    let mut errors = Errors::new();
    let mut seen = HashSet::new();
    let spec = node.spec.as_ref();
    let taints = spec.and_then(|spec| spec.taints.as_ref());
    for (index, taint) in taints.into_iter().flatten().enumerate() {
        let path = format!("spec.taints[{index}]");
        by_rule(
            &mut errors,
            &format!("{path}.key"),
            &taint.key,
            names::qualified_name,
        );
        let problems = names::label_value(text(&taint.value));
        if !problems.is_empty() {
            errors.push(FieldError::invalid_string(
                format!("{path}.value"),
                text(&taint.value),
                problems.join(";"),
            ));
        }
        let effect_path = format!("{path}.effect");
        if taint.effect.is_empty() {
            errors.push(FieldError::required(effect_path, ""));
        } else {
            let supported = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
            one_of(&mut errors, &effect_path, &taint.effect, &supported);
        }
        if !seen.insert((&taint.key, &taint.effect)) {
            errors.push(FieldError::invalid_string(
                path,
                &format!("{}:{}", taint.key, taint.effect),
                "taints must be unique by key and effect pair",
            ));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(taints: serde_json::Value, expected: &[&str]) {
        let node = json!({"metadata": {"name": "vm"}, "spec": {"taints": taints}});
        let node: Node = serde_json::from_value(node).unwrap();
        let found: Vec<String> = validate(&node).iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}");
        }
    }

    /// What a merge patch of the status makes of the resources, and what is told.
    #[track_caller]
    fn check_status(change: serde_json::Value, expected: serde_json::Value, told: &[&str]) {
        let amounts = |dongles: u8| json!({"cpu": "2", "example.com/dongle": dongles.to_string()});
        let old = json!({
            "metadata": {"name": "vm", "labels": {"a": "b"}},
            "status": {"capacity": amounts(1), "allocatable": amounts(1), "phase": "Running"},
        });
        let mut new = old.clone();
        json_patch::merge(&mut new, &change);
        let node = |value| serde_json::from_value::<Node>(value).unwrap();
        let (written, errors, warnings) = status(&node(old.clone()), &node(new));
        let errors = errors.iter().map(ToString::to_string);
        let found: Vec<String> = errors.chain(warnings).collect();
        assert_eq!(found, told, "{change}");
        if told.is_empty() {
            let mut wanted = old;
            wanted["status"]["capacity"] = expected.clone();
            wanted["status"]["allocatable"] = expected;
            assert_eq!(written, node(wanted), "{change}");
        }
    }

    #[test]
    fn a_node_advertises_extended_resources_and_nothing_else() {
        let capacity = |amounts: serde_json::Value| json!({"status": {"capacity": amounts}});
        check_status(
            capacity(json!({"example.com/dongle": "4", "a.b/c": "1000m"})),
            json!({"cpu": "2", "example.com/dongle": "4", "a.b/c": "1"}),
            &[],
        );
        check_status(
            capacity(json!({"example.com/dongle": null})),
            json!({"cpu": "2"}),
            &[],
        );
        check_status(
            json!({"metadata": {"labels": {"a": "other"}}, "spec": {"unschedulable": true}}),
            json!({"cpu": "2", "example.com/dongle": "1"}),
            &[],
        );
        check_status(
            capacity(json!({"example.com/dongle": "-1", "example.com/x": "1500m"})),
            json!({}),
            &[
                "status.capacity[example.com/dongle]: Invalid value: \"-1\": must be greater than or equal to 0",
                "status.capacity[example.com/x]: Invalid value: \"1500m\": must be an integer",
            ],
        );
        let told = |field: &str| {
            format!("status.{field}: written by the engine; the change is not taken over")
        };
        check_status(
            capacity(json!({"cpu": "9"})),
            json!({}),
            &[&told("capacity")],
        );
        check_status(
            json!({"status": {"phase": "Odd", "allocatable": {"example.com/dongle": "3"}}}),
            json!({}),
            &[
                "status.allocatable[example.com/dongle]: follows `capacity`; set it there",
                &told("phase"),
            ],
        );
    }

    #[test]
    fn taints() {
        check(
            json!([{"key": "a.b/c", "value": "x", "effect": "NoExecute"}, {"key": "a.b/c", "effect": "NoSchedule"}]),
            &[],
        );
        check(
            json!([{"key": "k", "effect": "Bogus"}]),
            &["spec.taints[0].effect: Unsupported value: \"Bogus\": supported values: "],
        );
        check(
            json!([{"key": "k b!", "value": "x y", "effect": ""}]),
            &[
                "spec.taints[0].key: Invalid value: \"k b!\"",
                "spec.taints[0].value: Invalid value: \"x y\"",
                "spec.taints[0].effect: Required value",
            ],
        );
        let one = json!({"key": "k", "value": "1", "effect": "NoSchedule"});
        check(
            json!([one, {"key": "k", "value": "2", "effect": "NoSchedule"}]),
            &[
                "spec.taints[1]: Invalid value: \"k:NoSchedule\": taints must be unique by key and effect pair",
            ],
        );
    }
}
