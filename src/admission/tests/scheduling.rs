//! Where a pod may run: Kubernetes' own tables of affinity, spreading, tolerations, gates, DNS and host names,
//! derived from the rules.

use super::*;

const TERM: &str = "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0]";

/// Labelled with `v`, next to others by one term.
fn beside(term: Value) -> Value {
    let mut one = json!({"topologyKey": "zone"});
    json_patch::merge(&mut one, &term);
    let required = json!({ "requiredDuringSchedulingIgnoredDuringExecution": [one] });
    let mut value = pod(json!({"affinity": {"podAffinity": required}}));
    value["metadata"]["labels"] = json!({"v": "1"});
    value
}

#[test]
fn keys_of_labels() {
    let both = "Invalid value: \"v\": exists in both matchLabelKeys and labelSelector";
    let rows: &[Row<'_>] = &[
        (
            "{labelSelector: {matchLabels: {a: b}}, matchLabelKeys: [v]}",
            &[],
        ),
        (
            "{matchLabelKeys: [v]}",
            &[".matchLabelKeys: Forbidden: must not be specified when labelSelector is not set"],
        ),
        (
            "{labelSelector: {}, matchLabelKeys: [/x]}",
            &[".matchLabelKeys[0]: Invalid value: \"/x\": prefix part must be non-empty"],
        ),
        // The API writes the requirement for the pod's own label into the selector, where it would be the second.
        (
            "{labelSelector: {matchExpressions: [{key: v, operator: In, values: ['1']}]}, matchLabelKeys: [v]}",
            &[&format!("[0]: {both}")],
        ),
        (
            "{labelSelector: {matchLabels: {v: '1'}}, matchLabelKeys: [v]}",
            &[&format!("[0]: {both}")],
        ),
        // Without such a label nothing is written.
        (
            "{labelSelector: {matchExpressions: [{key: w, operator: Exists}]}, matchLabelKeys: [w]}",
            &[],
        ),
    ];
    check_rows(beside, TERM, rows);
    check_rows(spread, "spec.topologySpreadConstraints[0]", rows);
    check_rows(
        beside,
        TERM,
        &[
            (
                "{labelSelector: {matchExpressions: [{key: v, operator: NotIn, values: ['1']}]}, mismatchLabelKeys: [v]}",
                &[],
            ),
            (
                "{mismatchLabelKeys: [v]}",
                &[
                    ".mismatchLabelKeys: Forbidden: must not be specified when labelSelector is not set",
                ],
            ),
            (
                "{labelSelector: {}, matchLabelKeys: [k], mismatchLabelKeys: [k]}",
                &[
                    ".matchLabelKeys[0]: Invalid value: \"k\": exists in both matchLabelKeys and mismatchLabelKeys",
                ],
            ),
            (
                "{labelSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}",
                &[
                    ".labelSelector.matchExpressions[0].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                ],
            ),
            (
                "{namespaceSelector: {matchExpressions: [{key: a, operator: In}]}}",
                &[
                    ".namespaceSelector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
                ],
            ),
            (
                "{namespaces: [A_B]}",
                &[&format!(".namespace: Invalid value: \"A_B\": {LABEL}")],
            ),
        ],
    );
}

fn spread(constraint: Value) -> Value {
    let mut one =
        json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"});
    json_patch::merge(&mut one, &constraint);
    let mut value = pod(json!({ "topologySpreadConstraints": [one] }));
    value["metadata"]["labels"] = json!({"v": "1"});
    value
}

#[test]
fn spreading() {
    let actions = "supported values: \"DoNotSchedule\", \"ScheduleAnyway\"";
    check_rows(
        spread,
        "spec.topologySpreadConstraints[0].",
        &[
            (
                "{minDomains: 3, nodeAffinityPolicy: Honor, nodeTaintsPolicy: Ignore}",
                &[],
            ),
            (
                "{maxSkew: 0}",
                &["maxSkew: Invalid value: 0: must be greater than zero"],
            ),
            (
                "{maxSkew: -1}",
                &["maxSkew: Invalid value: -1: must be greater than zero"],
            ),
            (
                "{topologyKey: ''}",
                &["topologyKey: Required value: can not be empty"],
            ),
            (
                "{whenUnsatisfiable: ''}",
                &[&format!(
                    "whenUnsatisfiable: Unsupported value: \"\": {actions}"
                )],
            ),
            (
                "{whenUnsatisfiable: Maybe}",
                &[&format!(
                    "whenUnsatisfiable: Unsupported value: \"Maybe\": {actions}"
                )],
            ),
            (
                "{whenUnsatisfiable: ScheduleAnyway, minDomains: 1}",
                &[
                    "minDomains: Invalid value: 1: can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway",
                ],
            ),
            (
                "{minDomains: -1}",
                &["minDomains: Invalid value: -1: must be greater than zero"],
            ),
            (
                "{nodeAffinityPolicy: ''}",
                &[
                    "nodeAffinityPolicy: Unsupported value: \"\": supported values: \"Honor\", \"Ignore\"",
                ],
            ),
            (
                "{labelSelector: {matchLabels: {a: -b}}}",
                &[&format!(
                    "labelSelector.matchLabels[a]: Invalid value: \"-b\": {LABEL_VALUE}"
                )],
            ),
        ],
    );
}

fn tolerates(tolerations: Value) -> Value {
    pod(json!({ "tolerations": tolerations }))
}

#[test]
fn comparisons_are_switched_off() {
    let known = "supported values: \"Equal\", \"Exists\", \"Lt\", \"Gt\"";
    check_rows(
        tolerates,
        "spec.tolerations[0].",
        &[
            (
                "[{key: a, operator: Lt, value: '950', effect: NoSchedule}]",
                &[&format!("operator: Unsupported value: \"Lt\": {known}")],
            ),
            (
                "[{key: a, operator: Gt, value: '950'}]",
                &[&format!("operator: Unsupported value: \"Gt\": {known}")],
            ),
            (
                "[{key: a, operator: In}]",
                &["operator: Unsupported value: \"In\": supported values: \"Equal\", \"Exists\""],
            ),
            (
                "[{key: 'a^=@', operator: Exists}]",
                &[&format!("key: Invalid value: \"a^=@\": {NAME_PART}")],
            ),
            (
                "[{key: a, operator: Exists, effect: NoExecute, tolerationSeconds: -2}]",
                &[],
            ),
        ],
    );
}

fn searches(searches: Value) -> Value {
    pod(json!({"dnsConfig": {"searches": searches}}))
}

#[test]
fn search_domains() {
    let domain = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end \
                  with an alphanumeric character (e.g. 'example.com', regex used for validation is \
                  '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')";
    let bad = |shown: &str| format!("[0]: Invalid value: \"{shown}\": {domain}");
    check_rows(
        searches,
        "spec.dnsConfig.searches",
        &[
            (
                "[_sip._tcp.abc_d.example.com, abc_d.example.com, ., example.com, custom.]",
                &[],
            ),
            ("['..']", &[&bad(".")]),
            // The dot at the end is no part of the name.
            ("['_.']", &[&bad("_")]),
            ("['-.']", &[&bad("-")]),
            ("['__.']", &[&bad("__")]),
            ("['.__']", &[&bad(".__")]),
            ("['____']", &[&bad("____")]),
            ("['☃.example.com']", &[&bad("☃.example.com")]),
            ("['custom?']", &[&bad("custom?")]),
        ],
    );
    let long = |first: usize| {
        let mut all = vec!["a".repeat(63); 31];
        all.insert(0, format!("{}.{}", "b".repeat(first - 33), "c".repeat(32)));
        json!(all)
    };
    check(searches(long(64)), &[]);
    let errors = create(searches(long(65))).unwrap_err();
    assert!(errors[0].to_string().ends_with(
        "must not have more than 2048 characters (including spaces) in the search list"
    ));
}

fn named(spec: Value) -> Value {
    pod(spec)
}

#[test]
fn names_of_hosts() {
    let host = |text: &str| format!("hostnameOverride: {text}");
    let long = format!(
        "{{hostnameOverride: {}.{}}}",
        "a".repeat(33),
        "b".repeat(31)
    );
    let sub = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an \
               alphanumeric character (e.g. 'example.com', regex used for validation is \
               '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
    check_rows(
        named,
        "spec.",
        &[
            ("{hostnameOverride: a.b.c}", &[]),
            (
                "{hostnameOverride: a.b.c, setHostnameAsFQDN: false, hostname: x, subdomain: sub}",
                &[],
            ),
            (&long, &[&host("Too long: may not be more than 64 bytes")]),
            (
                "{hostnameOverride: A_b}",
                &[&host(&format!("Invalid value: \"A_b\": {sub}"))],
            ),
            (
                "{hostnameOverride: ''}",
                &[&host(&format!("Invalid value: \"\": {sub}"))],
            ),
            (
                "{hostnameOverride: a, setHostnameAsFQDN: true}",
                &[&host(
                    "Forbidden: may not be specified when setHostnameAsFQDN is true",
                )],
            ),
            (
                "{hostnameOverride: a, hostNetwork: true}",
                &[&host(
                    "Forbidden: may not be specified when hostNetwork is true",
                )],
            ),
            (
                "{subdomain: a.b}",
                &["subdomain: Invalid value: \"a.b\": must not contain dots"],
            ),
            (
                "{hostAliases: [{ip: 12.34.56.78, hostnames: [host1.foo, host2.bar]}], hostNetwork: true}",
                &[],
            ),
            (
                "{hostAliases: [{ip: 001.002.003.004}]}",
                &[
                    "hostAliases[0].ip: Invalid value: \"001.002.003.004\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
                ],
            ),
            (
                "{readinessGates: [{conditionType: example.com/a}, {conditionType: example.com/b}]}",
                &[],
            ),
        ],
    );
}

#[test]
fn tolerations() {
    let toleration = |fields: Value| pod(json!({ "tolerations": [fields] }));
    good([
        json!({"key": "foo", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}),
        json!({"key": "foo", "operator": "Equal", "value": "bar", "effect": "NoSchedule"}),
        json!({"key": "foo", "value": "bar"}),
        json!({"operator": "Exists"}),
        json!({"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}),
        json!({"key": "foo", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": -2}),
        json!({"key": "foo", "operator": "Exists", "effect": "PreferNoSchedule"}),
        json!({"key": "foo", "operator": "Equal", "value": "", "effect": "NoExecute", "tolerationSeconds": 0}),
    ]
    .map(toleration));
    let refuse = |fields: Value, path: &str, expected: &str| {
        bad(
            toleration(fields),
            &format!("spec.tolerations[0].{path}"),
            expected,
        )
    };
    refuse(
        json!({"key": "nospecchars^=@", "operator": "Equal", "value": "bar"}),
        "key",
        &format!("Invalid value: \"nospecchars^=@\": {NAME_PART}"),
    );
    refuse(
        json!({"key": "foo", "operator": "In", "value": "bar"}),
        "operator",
        "Unsupported value: \"In\": supported values: \"Equal\", \"Exists\"",
    );
    refuse(
        json!({"key": "foo", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 60}),
        "effect",
        "Invalid value: \"NoSchedule\": effect must be 'NoExecute' when `tolerationSeconds` is set",
    );
    refuse(
        json!({"key": "foo", "operator": "Exists", "effect": "Never"}),
        "effect",
        "Unsupported value: \"Never\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\"",
    );
}
