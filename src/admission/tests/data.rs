//! Situations of `TestValidateSecret`, `TestValidateDockerConfigSecret`, `TestValidateBasicAuthSecret`,
//! `TestValidateSSHAuthSecret`, `TestValidateSecretUpdate`, `TestValidateConfigMap`, `TestValidateConfigMapUpdate`
//! and of the tables for labels and annotations.

use super::*;

/// Base64 of this.
fn encoded(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn secret(fields: Value) -> Value {
    let mut value = data("Secret", json!({"data": {"data-1": encoded("bar")}}));
    json_patch::merge(&mut value, &fields);
    value
}

fn config_map(fields: Value) -> Value {
    data("ConfigMap", fields)
}

const KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or \
     'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

#[test]
fn names_of_data() {
    for kind in ["Secret", "ConfigMap"] {
        let with = |metadata: Value| data(kind, json!({ "metadata": metadata }));
        good([with(json!({"name": "validname.x-1"}))]);
        bad(
            with(json!({"name": ""})),
            "metadata.name",
            "Required value: name or generateName is required",
        );
        assert!(
            create(with(
                json!({"name": "NoUppercaseOrSpecialCharsLike=Equals"})
            ))
            .is_err()
        );
        bad(
            with(json!({"namespace": "NoUppercaseOrSpecialCharsLike=Equals"})),
            "metadata.namespace",
            &format!("Invalid value: \"NoUppercaseOrSpecialCharsLike=Equals\": {LABEL}"),
        );
    }
}

#[test]
fn keys_of_data() {
    let values = [
        ("Secret", "data", encoded("x")),
        ("ConfigMap", "data", "x".to_owned()),
        ("ConfigMap", "binaryData", encoded("x")),
    ];
    for (kind, field, value) in values {
        let with = |key: &str| data(kind, json!({ field: {(key): value} }));
        let longest = "a".repeat(253);
        good(["a", ".dot", ".secret-key", "A_b-c.d", "a..b", &longest].map(with));
        let long = "a".repeat(254);
        for (key, expected) in [
            ("a*b", KEY.to_owned()),
            ("a b", KEY.to_owned()),
            ("a/b", KEY.to_owned()),
            ("", KEY.to_owned()),
            (".", "must not be '.'".to_owned()),
            ("..", "must not be '..'".to_owned()),
            ("..x", "must not start with '..'".to_owned()),
            (&long, "must be no more than 253 bytes".to_owned()),
        ] {
            bad(
                with(key),
                &format!("{field}[{key}]"),
                &format!("Invalid value: \"{key}\": {expected}"),
            );
        }
    }
}

#[test]
fn sizes_of_data() {
    let most = 1024 * 1024;
    let half = "x".repeat(most / 2);
    let long = "Too long: may not be more than 1048576 bytes";
    good([
        config_map(json!({"data": {"a": half, "b": half}})),
        config_map(json!({"data": {"a": half}, "binaryData": {"b": encoded(&half)}})),
        secret(json!({"data": {"data-1": null, "a": encoded(&half), "b": encoded(&half)}})),
        // Keys are not counted.
        config_map(json!({"data": {("k".repeat(200)): "x".repeat(most)}})),
    ]);
    let more = format!("{half}x");
    bad(
        config_map(json!({"data": {"a": half, "b": more}})),
        "data",
        long,
    );
    bad(
        config_map(json!({"data": {"a": half}, "binaryData": {"b": encoded(&more)}})),
        "data",
        long,
    );
    bad(
        secret(json!({"data": {"a": encoded(&half), "b": encoded(&half)}})),
        "data",
        long,
    );
}

#[test]
fn kinds_of_secrets() {
    let of = |kind: &str, entries: &[(&str, &str)]| {
        let entries: serde_json::Map<String, Value> = entries
            .iter()
            .map(|(key, text)| ((*key).to_owned(), json!(encoded(text))))
            .collect();
        data("Secret", json!({"type": kind, "data": entries}))
    };
    let config = r#"{"https://index.docker.io/v1/": {"auth": "Y"}}"#;
    for (kind, key) in [
        ("kubernetes.io/dockercfg", ".dockercfg"),
        ("kubernetes.io/dockerconfigjson", ".dockerconfigjson"),
    ] {
        good([
            of(kind, &[(key, config)]),
            of(kind, &[(key, "{}")]),
            of(kind, &[(key, "null")]),
            of(kind, &[(key, config), ("more", "x")]),
        ]);
        bad(of(kind, &[]), &format!("data[{key}]"), "Required value");
        for (text, found) in [
            ("[]", "array"),
            ("\"a\"", "string"),
            ("1", "number"),
            ("true", "bool"),
        ] {
            bad(
                of(kind, &[(key, text)]),
                &format!("data[{key}]"),
                &format!(
                    "Invalid value: \"<secret contents redacted>\": json: cannot unmarshal {found} into Go value of type \
                     map[string]interface {{}}"
                ),
            );
        }
        for text in ["", "bad", "{", "{\"a\": }"] {
            let errors = create(of(kind, &[(key, text)])).unwrap_err();
            let told = errors[0].to_string();
            let start = format!("data[{key}]: Invalid value: \"<secret contents redacted>\": ");
            assert!(errors.len() == 1 && told.starts_with(&start), "{told}");
        }
    }
    let basic = "kubernetes.io/basic-auth";
    good([
        of(basic, &[("username", "username"), ("password", "password")]),
        of(basic, &[("username", "username")]),
        of(basic, &[("password", "")]),
    ]);
    good([
        of("kubernetes.io/ssh-auth", &[("ssh-privatekey", "key")]),
        of("kubernetes.io/ssh-auth", &[("ssh-privatekey", "")]),
        of("kubernetes.io/tls", &[("tls.crt", ""), ("tls.key", "")]),
        of("bootstrap.kubernetes.io/token", &[]),
        of("example.com/any", &[]),
    ]);
    bad(
        of("kubernetes.io/tls", &[("tls.crt", "x")]),
        "data[tls.key]",
        "Required value",
    );
    let account = "kubernetes.io/service-account.name";
    let token = |annotations: Value| {
        secret(
            json!({"type": "kubernetes.io/service-account-token", "metadata": {"annotations": annotations}}),
        )
    };
    good([token(json!({(account): "foo"}))]);
    for annotations in [json!({(account): ""}), json!({"other": "x"}), Value::Null] {
        bad(
            token(annotations),
            &format!("metadata.annotations[{account}]"),
            "Required value",
        );
    }
}

/// What becomes of `change` to a good object of the kind.
#[track_caller]
fn update_data(old: Value, change: Value, expected: &[&str]) {
    let old = created(old);
    let mut new = old.clone();
    json_patch::merge(&mut new, &change);
    let errors = admit_update(&object(old), object(new), &context())
        .err()
        .unwrap_or_default();
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors, expected, "{change}");
}

#[test]
fn changes_of_data() {
    let fixed =
        |field: &str| format!("{field}: Forbidden: field is immutable when `immutable` is set");
    let text = encoded("changed");
    let kinds: [(&str, Value, &[&str]); 2] = [
        ("Secret", json!(text), &["data"]),
        ("ConfigMap", json!("changed"), &["data"]),
    ];
    for (kind, value, fields) in kinds {
        let plain = |immutable: Option<bool>| {
            data(kind, json!({"immutable": immutable, "data": {"a": value}}))
        };
        let other = if kind == "Secret" {
            json!(encoded("other"))
        } else {
            json!("other")
        };
        for field in fields {
            for immutable in [None, Some(false)] {
                update_data(plain(immutable), json!({ *field: {"a": other} }), &[]);
                update_data(plain(immutable), json!({ *field: {"b": other} }), &[]);
                update_data(plain(immutable), json!({ *field: null }), &[]);
                update_data(plain(immutable), json!({"immutable": true}), &[]);
                update_data(
                    plain(immutable),
                    json!({"immutable": true, *field: {"a": other}}),
                    &[],
                );
            }
            for change in [
                json!({ *field: {"a": other} }),
                json!({ *field: {"b": other} }),
                json!({ *field: null }),
            ] {
                update_data(plain(Some(true)), change, &[&fixed(field)]);
            }
        }
        update_data(plain(Some(true)), json!({}), &[]);
        update_data(
            plain(Some(true)),
            json!({"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}}),
            &[],
        );
        for immutable in [json!(false), Value::Null] {
            update_data(
                plain(Some(true)),
                json!({ "immutable": immutable }),
                &[&fixed("immutable")],
            );
            update_data(
                plain(Some(true)),
                json!({"immutable": immutable, "data": {"b": other}}),
                &[&fixed("immutable"), &fixed("data")],
            );
        }
        update_data(
            plain(None),
            json!({"data": {"a*b": other}}),
            &[&format!("data[a*b]: Invalid value: \"a*b\": {KEY}")],
        );
    }
    let binary = config_map(json!({"immutable": true, "binaryData": {"a": encoded("x")}}));
    update_data(
        binary,
        json!({"binaryData": {"a": text}}),
        &[&fixed("binaryData")],
    );
    update_data(
        secret(json!({"type": "kubernetes.io/ssh-auth", "data": {"ssh-privatekey": encoded("k")}})),
        json!({"type": "Opaque"}),
        &["type: Invalid value: \"Opaque\": field is immutable"],
    );
}

#[test]
fn labels_and_annotations() {
    let with = |field: &str, key: &str, value: &str| {
        config_map(json!({"metadata": {field: {(key): value}}}))
    };
    let longest = "a".repeat(63);
    let prefixed = format!("{}/{longest}", vec!["a".repeat(60); 4].join("."));
    for key in [
        "simple",
        "now-with-dashes",
        "1-starts-with-num",
        "1234",
        "simple/simple",
        "now-with-dashes/simple",
        "now.with.dots/simple",
        "1-num.2-num/3-num",
        "1.2.3.4/5678",
        "1.2.3.4",
        "UpperCase123",
        "a_b",
        "simple/a.b_C",
        &longest,
        &prefixed,
    ] {
        good([with("labels", key, "bar"), with("annotations", key, "bar")]);
    }
    // Only annotations may have a prefix in large letters, and any text.
    good([
        with("annotations", "UPPERCASE.example.com/simple", "bar"),
        with("annotations", "a", "any text, 'quoted' & \u{e4}\n"),
        with("annotations", "a", &"b".repeat(262_143)),
        with("labels", "a", ""),
        with("labels", "a", &longest),
        with("labels", "a", "a.b_C-1"),
    ]);
    assert!(create(with("labels", "UPPERCASE.example.com/simple", "bar")).is_err());
    let long = "a".repeat(64);
    for (key, expected) in [
        ("nospecialchars^=@", NAME_PART.to_owned()),
        ("cantendwithadash-", NAME_PART.to_owned()),
        ("-cantstartwithadash", NAME_PART.to_owned()),
        (
            "only/one/slash",
            crate::model::names::qualified_name("only/one/slash")[0].clone(),
        ),
        (&long, "name part must be no more than 63 bytes".to_owned()),
    ] {
        for field in ["labels", "annotations"] {
            bad(
                with(field, key, "bar"),
                &format!("metadata.{field}"),
                &format!("Invalid value: \"{key}\": {expected}"),
            );
        }
    }
    for (value, expected) in [
        (long.as_str(), "must be no more than 63 bytes".to_owned()),
        ("white space notallowed", LABEL_VALUE.to_owned()),
        ("bad value^", LABEL_VALUE.to_owned()),
        ("-a", LABEL_VALUE.to_owned()),
        ("a.", LABEL_VALUE.to_owned()),
    ] {
        bad(
            with("labels", "a", value),
            "metadata.labels[a]",
            &format!("Invalid value: \"{value}\": {expected}"),
        );
    }
    bad(
        with("annotations", "a", &"b".repeat(262_144)),
        "metadata.annotations",
        "Too long: may not be more than 262144 bytes",
    );
    let half = "b".repeat(131_072);
    bad(
        config_map(json!({"metadata": {"annotations": {"a": half, "c": half}}})),
        "metadata.annotations",
        "Too long: may not be more than 262144 bytes",
    );
}
