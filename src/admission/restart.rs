use k8s_openapi::api::core::v1::{Container, ContainerRestartRule};

use super::field::{Errors, supported};
use crate::model::FieldError;

const MAX_RULES: usize = 20;
const MAX_VALUES: usize = 255;

/// A restart policy of the container's own, and the rules that go before it.
pub(super) fn policy_and_rules(errors: &mut Errors, path: &str, container: &Container) {
    let rules = container
        .restart_policy_rules
        .as_deref()
        .unwrap_or_default();
    let own = format!("{path}.restartPolicy");
    match container.restart_policy.as_deref() {
        None if !rules.is_empty() => {
            let detail = "must specify restartPolicy when restart rules are used";
            errors.push(FieldError::required(own, detail));
        }
        None => {}
        Some(policy) => supported(errors, &own, policy, &["Always", "Never", "OnFailure"]),
    }
    let path = format!("{path}.restartPolicyRules");
    if rules.len() > MAX_RULES {
        errors.push(FieldError::too_many(&path, rules.len(), MAX_RULES));
    }
    for (index, rule) in rules.iter().enumerate() {
        one_rule(errors, &format!("{path}[{index}]"), rule);
    }
}

fn one_rule(errors: &mut Errors, path: &str, rule: &ContainerRestartRule) {
    let actions = ["Restart", "RestartAllContainers"];
    supported(errors, &format!("{path}.action"), &rule.action, &actions);
    let path = format!("{path}.exitCodes");
    let Some(codes) = &rule.exit_codes else {
        errors.push(FieldError::required(path, "must be specified"));
        return;
    };
    let operator = format!("{path}.operator");
    supported(errors, &operator, &codes.operator, &["In", "NotIn"]);
    let count = codes.values.as_ref().map_or(0, Vec::len);
    if count > MAX_VALUES {
        let values = format!("{path}.values");
        errors.push(FieldError::too_many(values, count, MAX_VALUES));
    }
}
