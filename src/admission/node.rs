use std::collections::HashSet;

use k8s_openapi::api::core::v1::Node;

use super::field::{Errors, by_rule, one_of, text};
use crate::model::{FieldError, names};

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
