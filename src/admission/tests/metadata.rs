//! Names, labels and annotations of every object.

use super::*;

#[test]
fn names_are_generated() {
    let mut value = pod(json!({}));
    value["metadata"] = json!({"generateName": "job-", "namespace": "default"});
    let first = created(value.clone())["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    let second = created(value)["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(first.starts_with("job-") && first.len() == 9, "{first}");
    assert_ne!(first, second);
}

#[test]
fn metadata_errors() {
    let with = |metadata: Value| {
        let mut value = pod(json!({}));
        value["metadata"] = metadata;
        value
    };
    check(
        with(json!({"namespace": "default"})),
        &["metadata.name: Required value: name or generateName is required"],
    );
    check(
        with(json!({"name": "A", "namespace": "b.c"})),
        &[
            "metadata.name: Invalid value: \"A\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
             and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            "metadata.namespace: Invalid value: \"b.c\": must not contain dots",
        ],
    );
    check(
        with(
            json!({"name": "a", "namespace": "default", "labels": {"ok": "a b"}, "annotations": {"big": "x".repeat(262_144)}}),
        ),
        &[
            "metadata.labels[ok]: Invalid value: \"a b\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
             '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation \
             is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            "metadata.annotations: Too long: may not be more than 262144 bytes",
        ],
    );
    check(
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x", "namespace": "y"}}),
        &["metadata.namespace: Forbidden: not allowed on this type"],
    );
}
