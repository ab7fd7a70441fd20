//! What gated pods may still ask of their node, derived from the rules behind
//! `TestValidatePodUpdate`.

use super::updates::{OTHER, check_changes};
use super::*;

/// A gated pod with these terms.
fn wants(terms: &str) -> String {
    format!(
        "{{schedulingGates: [{{name: g}}], affinity: {}}}",
        node(terms)
    )
}

fn node(terms: &str) -> String {
    format!(
        "{{nodeAffinity: {{requiredDuringSchedulingIgnoredDuringExecution: {{nodeSelectorTerms: {terms}}}}}}}"
    )
}

#[test]
fn gated_pods_may_want_more_of_their_node() {
    let at = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
    let rule = |value: &str| format!("{{key: a, operator: In, values: [{value}]}}");
    let by_name = "matchFields: [{key: metadata.name, operator: In, values: [node]}]";
    let first = format!("[{{matchExpressions: [{}]}}]", rule("x"));
    let added = format!(
        "[{{matchExpressions: [{}, {}], {by_name}}}]",
        rule("x"),
        rule("z")
    );
    let changed = format!("[{{matchExpressions: [{}]}}]", rule("z"));
    let both = format!("[{{matchExpressions: [{}], {by_name}}}]", rule("x"));
    let fields_only = format!("[{{{by_name}}}]");
    let more_terms = format!("[{{matchExpressions: [{}]}}, {{{by_name}}}]", rule("x"));
    let terms = |value: &str| {
        format!(
            "{at}: Invalid value: {value}: no additions/deletions to non-empty NodeSelectorTerms list are allowed"
        )
    };
    let only = |value: &str| {
        format!(
            "{at}[0]: Invalid value: {value}: only additions are allowed (no mutations or deletions)"
        )
    };
    let json_rule =
        |value: &str| format!("{{\"key\":\"a\",\"operator\":\"In\",\"values\":[\"{value}\"]}}");
    let json_name =
        "\"matchFields\":[{\"key\":\"metadata.name\",\"operator\":\"In\",\"values\":[\"node\"]}]";
    let json_terms = |value: &str| format!("{{\"matchExpressions\":[{}]}}", json_rule(value));
    let to = |terms: &str| format!("{{affinity: {}}}", node(terms));
    let preferred = |key: &str| {
        format!(
            "{{affinity: {{nodeAffinity: {{preferredDuringSchedulingIgnoredDuringExecution: [{{weight: 1, preference: {{matchExpressions: \
             [{{key: {key}, operator: Exists}}]}}}}]}}}}}}"
        )
    };
    let gated = "{schedulingGates: [{name: g}]}";
    let soft = format!(
        "{{schedulingGates: [{{name: g}}], {}",
        preferred("k").strip_prefix('{').unwrap()
    );
    let beside = |kind: &str| {
        format!(
            "{{affinity: {{{kind}: {{requiredDuringSchedulingIgnoredDuringExecution: [{{topologyKey: t, labelSelector: {{}}}}]}}}}}}"
        )
    };
    check_changes(&[
        (&wants(&first), &to(&added), &[]),
        (
            &wants(&first),
            &format!("{{schedulingGates: null, affinity: {}}}", node(&added)),
            &[],
        ),
        (&wants(&first), &to(&changed), &[&only(&json_terms("z"))]),
        (
            &wants(&first),
            &to(&fields_only),
            &[&only(&format!("{{{json_name}}}"))],
        ),
        (
            &wants(&both),
            &to(&first).replace("{matchExpressions", "{matchFields: null, matchExpressions"),
            &[&only(&json_terms("x"))],
        ),
        (
            &wants(&first),
            &to(&more_terms),
            &[&terms(&format!("[{},{{{json_name}}}]", json_terms("x")))],
        ),
        (
            &wants(&first),
            "{affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: null}}}",
            &[&terms("[]")],
        ),
        (
            &wants(&first),
            "{affinity: {nodeAffinity: null}}",
            &[&terms("[]")],
        ),
        // A term without requirements selects nothing, with one it would select something.
        (&wants("[{}]"), &to(&first), &[&only(&json_terms("x"))]),
        (gated, &to(&first), &[]),
        (gated, &preferred("k"), &[]),
        (&soft, &preferred("l"), &[]),
        (&soft, "{affinity: null}", &[]),
        (gated, &beside("podAffinity"), &[OTHER]),
        (gated, &beside("podAntiAffinity"), &[OTHER]),
        ("{}", &to(&first), &[OTHER]),
        (
            &wants(&first),
            &to(
                "[{matchExpressions: [{key: a, operator: In, values: [x]}, {key: a, operator: In, values: ['-1']}]}]",
            ),
            &[&format!(
                "{at}[0].matchExpressions[1].values[0]: Invalid value: \"-1\": {LABEL_VALUE}"
            )],
        ),
    ]);
}
