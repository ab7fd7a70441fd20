//! Which taints a pod bears.

use k8s_openapi::api::core::v1::Toleration;

use super::field::{Errors, by_rule, one_of, text};
use crate::model::{FieldError, names};

pub(super) fn of(errors: &mut Errors, path: &str, list: &[Toleration]) {
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
        // Comparisons of numbers are known and switched off.
        "Gt" | "Lt" => {
            let supported = ["Equal", "Exists", "Lt", "Gt"];
            errors.push(FieldError::not_supported(
                operator_path,
                operator,
                &supported,
            ));
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
