use std::fmt::Write as _;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::load::LoadResult;
use super::{check, load, to_yaml};

#[track_caller]
fn values(result: &LoadResult) -> Vec<Value> {
    assert_eq!(result.diagnostics, [], "no complaints are expected");
    let documents = result.documents.iter();
    documents.map(|document| document.value.clone()).collect()
}

#[track_caller]
fn check_values(text: &str, expected: &[Value]) {
    assert_eq!(values(&load(text, "t.yaml")), expected, "{text}");
}

#[track_caller]
fn check_value(text: &str, expected: Value) {
    check_values(text, &[expected]);
}

/// Every complaint as `line:column: message`.
#[track_caller]
fn check_errors(text: &str, expected: &[&str]) {
    let result = load(text, "t.yaml");
    let found: Vec<String> = result
        .diagnostics
        .iter()
        .map(|found| format!("{}:{}: {}", found.line, found.column, found.message))
        .collect();
    assert_eq!(found, expected, "{text}");
}

#[test]
fn the_items_of_a_list_are_a_list() {
    check_errors(
        "apiVersion: v1\nkind: List\nitems: foo\n",
        &["3:1: items: a string; the items of a List must be a list of objects"],
    );
    check_errors(
        "apiVersion: v1\nkind: List\nitems: {a: 1}\n",
        &["3:1: items: a map; the items of a List must be a list of objects"],
    );
    check_errors(
        "apiVersion: v1\nkind: List\n",
        &["1:1: items: not set; the items of a List must be a list of objects"],
    );
}

#[test]
fn values_of_yaml_and_json() {
    check_value(
        "a: 0644\nb: yes\nc: '1'\nd: !!str 1\ne:\nf: 1:30\n",
        json!({"a": 420, "b": true, "c": "1", "d": "1", "e": null, "f": "1:30"}),
    );
    check_value(
        "1: a\ntrue: b\n'q': d\n0x10: e",
        json!({"1": "a", "true": "b", "q": "d", "16": "e"}),
    );
    check_value(
        "\u{feff}a: b\r\nc: |\r\n  x\r\n  y\r\n",
        json!({"a": "b", "c": "x\ny\n"}),
    );
    check_value(
        r#"{"a": [1, 2.5, true, null, "x\ty\/\u00e9"], "b": {"c": {}}}"#,
        json!({"a": [1, 2.5, true, null, "x\ty/é"], "b": {"c": {}}}),
    );
    check_value(
        "---\n{\n  a: \"b\",\n  list: [{\n    x: 1,\n  }, {\n    x: 2,\n  }],\n}\n",
        json!({"a": "b", "list": [{"x": 1}, {"x": 2}]}),
    );
    check_value(
        "a: >\n  one\n  two\n\n  three\n",
        json!({"a": "one two\nthree\n"}),
    );
    check_value("a: |+\n  x\n\n", json!({"a": "x\n\n"}));
    check_value(r#"a: "it\'s""#, json!({"a": "it's"}));
    check_value("a: \"\\ud83d\\ude00\"", json!({"a": "😀"}));
}

#[test]
fn anchors_aliases_and_merges() {
    check_value(
        "a: &x {k: 1}\nb: *x\n",
        json!({"a": {"k": 1}, "b": {"k": 1}}),
    );
    check_value(
        "base: &b {x: 1, k: 2}\nm:\n  <<: *b\n  k: 3\n",
        json!({"base": {"x": 1, "k": 2}, "m": {"k": 3, "x": 1}}),
    );
    check_value(
        "m:\n  <<: [{x: 1}, {x: 2, z: 3}]\n",
        json!({"m": {"x": 1, "z": 3}}),
    );
    check_errors(
        "m:\n  <<: 1\n",
        &["2:3: map merge requires map or sequence of maps as the value"],
    );
    check_errors(
        "a: *nobody\n",
        &["1:4: invalid YAML: while parsing node, found unknown anchor"],
    );
    check_errors(
        "a: &x [*x]\n",
        &["1:8: invalid YAML: an alias stands inside the node that it refers to"],
    );
}

#[test]
fn several_documents_and_lists() {
    check_values(
        "a: 1\n---\n---\n# nothing\n---\nb: 2\n...\n",
        &[json!({"a": 1}), json!({"b": 2})],
    );
    check_values(
        "apiVersion: v1\nkind: List\nitems:\n- kind: Pod\n- kind: List\n  items:\n  - kind: Secret\n",
        &[json!({"kind": "Pod"}), json!({"kind": "Secret"})],
    );
    check_values(
        "apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: a}\n",
        &[json!({"metadata": {"name": "a"}, "kind": "Pod", "apiVersion": "v1"})],
    );
}

#[test]
fn one_bad_document_hides_no_other() {
    let result = load(
        "a: 1\n---\nb: [1\n---\nc: 3\n---\nd: 1\nd: 2\n---\ne: 5\n",
        "t.yaml",
    );
    let good: Vec<Value> = result
        .documents
        .iter()
        .map(|document| document.value.clone())
        .collect();
    assert_eq!(good, [json!({"a": 1}), json!({"c": 3}), json!({"e": 5})]);
    let lines: Vec<usize> = result.diagnostics.iter().map(|found| found.line).collect();
    assert_eq!(lines, [3, 8]);
}

#[test]
fn errors_have_a_place() {
    check_errors(
        "a: 1\nb: 2\na: 3\n",
        &["3:1: key \"a\" already set in map (line 1)"],
    );
    check_errors(
        "{\"a\": 1, \"a\": 2}",
        &["1:10: key \"a\" already set in map (line 1)"],
    );
    check_errors(
        "yes: 1\ntrue: 2",
        &["2:1: key \"true\" already set in map (line 1)"],
    );
    check_errors(
        "a: .nan",
        &["1:4: the number .nan cannot be expressed; quote it if it is text"],
    );
    check_errors("~: 1", &["1:1: a key must not be null"]);
    check_errors("? [a]\n: 1", &["1:3: a list or map cannot be a key"]);
    check_errors("a: !go 1", &["1:8: the tag !go is not known"]);
    check_errors(
        "a:\n  b: 1\n\tc: 2\n",
        &["3:1: found a tab character in the indentation; YAML is indented with blanks"],
    );
    check_errors("", &["1:1: there is no object in this file"]);
    check_errors(
        "# only a comment\n---\n",
        &["1:1: there is no object in this file"],
    );
}

#[test]
fn depth_is_bounded() {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let result = load(&deep, "t.yaml");
    assert!(result.documents.is_empty());
    assert_eq!(
        result.diagnostics[0].message,
        "lists and maps are nested more than 100 levels deep"
    );
    let deeper = "[".repeat(100_000);
    assert_eq!(load(&deeper, "t.yaml").documents.len(), 0);
    let blocks: String = (0..2000).fold(String::new(), |mut text, level| {
        writeln!(text, "{}a:", " ".repeat(level)).unwrap();
        text
    });
    assert_eq!(load(&blocks, "t.yaml").documents.len(), 0);
}

/// Time on a processor of this thread (proc_pid_schedstat): the machine may be busy with other tests.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds = text.split(' ').next().unwrap().parse().unwrap();
    Duration::from_nanos(nanoseconds)
}

#[track_caller]
fn check_refused_fast(text: &str, message: &str) {
    let start = cpu_time();
    let result = load(text, "bomb.yaml");
    let elapsed = cpu_time().checked_sub(start).unwrap();
    assert!(result.documents.is_empty());
    let found = &result.diagnostics[0];
    assert!(found.line > 0);
    assert_eq!(found.message, message);
    assert!(elapsed < Duration::from_secs(1), "took {elapsed:?}");
}

#[test]
fn alias_bombs_are_refused_at_once() {
    let message = "anchors and aliases expand to more than 100000 values or 8 MiB of text";
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = level - 1;
        let aliases = format!("*a{before},").repeat(9);
        writeln!(laughs, "a{level}: &a{level} [{aliases}]").unwrap();
    }
    check_refused_fast(&laughs, message);
    let mut long = "a: &a x\nlist:\n".to_owned();
    long.push_str(&"- *a\n".repeat(2 << 20));
    assert!(long.len() > 10_000_000);
    check_refused_fast(&long, message);
    let mut wide = format!("a: &a {}\nlist:\n", "x".repeat(1 << 20));
    wide.push_str(&"- *a\n".repeat(100));
    check_refused_fast(&wide, message);
    let nested = format!(
        "a: {}{}{}\n",
        (0..90).fold(String::new(), |text, level| format!("{text}&a{level} [")),
        "x,".repeat(60_000),
        "]".repeat(90)
    );
    check_refused_fast(&nested, message);
    check_refused_fast(&"x".repeat(17 << 20), "the file is larger than 16 MiB");
}

#[test]
fn the_number_of_values_is_bounded() {
    let result = load(&"- x\n".repeat(251_000), "t.yaml");
    assert!(result.documents.is_empty());
    assert_eq!(
        result.diagnostics[0].to_string(),
        "t.yaml:250000:3: the file holds more than 250000 values"
    );
}

#[test]
fn positions_of_fields() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  labels: {a.b/c: x, \"d[0]\": y}\nspec:\n  containers:\n  - name: a\n    image: x\n  - {name: b,\n     resources: {limits: {cpu: 1}}}\n";
    let result = load(text, "t.yaml");
    let document = &result.documents[0];
    let position = |path: &str| document.position(path).unwrap();
    assert_eq!(position(""), (1, 1));
    assert_eq!(position("kind"), (2, 1));
    assert_eq!(position("metadata.name"), (3, 1));
    assert_eq!(position("metadata.labels[a.b/c]"), (4, 12));
    assert_eq!(position("metadata.labels.a.b/c"), (4, 12));
    assert_eq!(position("metadata.labels[d[0]]"), (4, 22));
    assert_eq!(position("spec.containers[0]"), (7, 5));
    assert_eq!(position("spec.containers[0].image"), (8, 5));
    assert_eq!(position("spec.containers[1].name"), (9, 6));
    assert_eq!(
        position("spec.containers[1].resources.limits[cpu]"),
        (10, 27)
    );
    assert_eq!(position("spec.containers[1].image"), (9, 5));
    assert_eq!(position("spec.containers.image"), (6, 3));
    let list = load("kind: List\nitems:\n- kind: Pod\n  spec: 1\n", "t.yaml");
    assert_eq!(list.documents[0].position("spec"), Some((4, 3)));
}

#[test]
fn checks_report_places() {
    let text = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: a\n    imgae: x\n  hostnetwork: true\n";
    let result = load(text, "t.yaml");
    let found: Vec<String> = check(&result.documents[0])
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        found,
        [
            "t.yaml:6:5: unknown field \"spec.containers[0].imgae\"",
            "t.yaml:7:3: unknown field \"spec.hostnetwork\"",
        ]
    );
    let result = load(
        "kind: Pod\napiVersion: v1\nspec:\n  containers:\n  - {name: a, command: ls}\n",
        "t.yaml",
    );
    assert_eq!(
        check(&result.documents[0])[0].to_string(),
        "t.yaml:5:15: Pod in version \"v1\" cannot be handled as a Pod: json: cannot unmarshal string into Go struct field \
         Container.spec.containers.command of type []string"
    );
}

#[test]
fn written_like_kubectl() {
    let value = json!({
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": "web", "labels": {}, "annotations": {"a": "true", "b": "1", "c": "x: y", "d": "", "e": "1:30", "f": "*"}},
        "spec": {
            "containers": [{"name": "a", "args": ["-c", "echo 1\necho 2\n"], "env": []}, {"name": "b", "n": 5, "t": "a\tb"}],
            "lines": "a\nb", "more": "a\n\n\n", "nothing": null, "on": true, "matrix": [[1, 2], [3]],
        },
    });
    let expected = "apiVersion: v1
kind: Pod
metadata:
  annotations:
    a: \"true\"
    b: \"1\"
    c: 'x: y'
    d: \"\"
    e: \"1:30\"
    f: '*'
  labels: {}
  name: web
spec:
  containers:
  - args:
    - -c
    - |
      echo 1
      echo 2
    env: []
    name: a
  - \"n\": 5
    name: b
    t: \"a\\tb\"
  lines: |-
    a
    b
  matrix:
  - - 1
    - 2
  - - 3
  more: |+
    a


  nothing: null
  \"on\": true
";
    assert_eq!(to_yaml(&value), expected);
    check_value(expected, value);
}

/// What kubectl v1.36.4 prints for the data of a config map.
#[test]
fn long_text_is_folded_as_kubectl_does() {
    let words = format!("{}end", "word ".repeat(20));
    let check = |text: &str, expected: &str| {
        let written = to_yaml(&json!({"data": {"k": text}}));
        assert_eq!(written, format!("data:\n  k: {expected}\n"));
    };
    let first = "word ".repeat(15);
    let (first, rest) = (first.trim_end(), "word ".repeat(4));
    check(&words, &format!("{first} word\n    {rest}end"));
    check(
        &format!("- {words}"),
        &format!("'- {first}\n    word {rest}end'"),
    );
    check(
        &format!("\t{words}"),
        &format!("\"\\t{first}\n    word {rest}end\""),
    );
    check(
        &format!("it's: {words}"),
        &format!("'it''s: {}\n    word word {rest}end'", &first[5..]),
    );
    let long = "x".repeat(100);
    check(&long, &long);
    check(&format!("{long} "), &format!("'{long} '"));
    check(
        &format!("{long}  a   b c"),
        &format!("{long}  a   b\n    c"),
    );
    check(&format!("\t{long}  a"), &format!("\"\\t{long}\n    \\ a\""));
    check("x\u{1f600}", "\"x\\U0001F600\"");
    check("\n  lead", "|2-\n\n      lead");
    check("  x\n y\n", "|2\n      x\n     y");
    check("\n", "|2+\n");
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,8}",
        "[ -~\n\t]{0,12}",
        "[-+.:0-9eEx_ yntTf~]{0,6}",
        "[\u{0}-\u{2fff}\n]{0,6}",
        Just("null".to_owned()),
        Just("<<".to_owned()),
        Just("---".to_owned()),
        Just(" lead\ntrail \n".to_owned()),
        "[a-c' \"\\\\:#\t]{70,200}",
        "[\n ]{1,3}[a-c\n ]{0,6}",
        Just("\u{85}\u{2028}\u{feff}\u{7f}".to_owned()),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(|number: f64| json!((number * 8.0).round() / 8.0 + 0.0625)),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((text(), inner), 0..5)
                .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_written_is_read_back(value in value()) {
        let wrapped = json!({ "value": value });
        let text = to_yaml(&wrapped);
        let result = load(&text, "t.yaml");
        prop_assert_eq!(&result.diagnostics, &[], "{}", text);
        prop_assert_eq!(&result.documents[0].value, &wrapped, "{}", text);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[-a-c0-2 :\n\t#&*!|>'\"%@`{}\\[\\],?<~.\\\\]{0,60}") {
        let result = load(&text, "t.yaml");
        prop_assert!(!result.documents.is_empty() || !result.diagnostics.is_empty());
        for document in &result.documents {
            let _ = check(document);
        }
    }
}

#[test]
fn documents_keep_their_text() {
    let text = "# one\na: 1 # x\n--- # gap\nb: |\n  --- no\n...\n--- {c: 3}\n---\nkind: List\nitems: [{d: 4}]\n";
    let result = load(text, "t.yaml");
    let texts: Vec<Option<&str>> = result.documents.iter().map(super::Document::text).collect();
    assert_eq!(
        texts,
        [
            Some("# one\na: 1 # x\n"),
            Some("b: |\n  --- no\n"),
            Some(" {c: 3}\n"),
            None
        ]
    );
}

#[track_caller]
fn check_splice(text: &str, path: &str, value: Value, expected: Option<&str>) {
    let result = load(text, "t.yaml");
    let spliced = result
        .documents
        .last()
        .unwrap()
        .spliced(&[(path.to_owned(), value)]);
    assert_eq!(spliced.as_deref(), expected, "{text}");
}

#[test]
fn values_are_spliced_and_everything_else_stays() {
    check_splice(
        "a:   old  # why\nb: 2\n",
        "a",
        json!("new"),
        Some("a:   new  # why\nb: 2\n"),
    );
    check_splice(
        "é: 1\na: 'old' # x\n",
        "a",
        json!("yes"),
        Some("é: 1\na: \"yes\" # x\n"),
    );
    check_splice(
        "{a: old, b: 2}\n",
        "a",
        json!("x, y"),
        Some("{a: 'x, y', b: 2}\n"),
    );
    check_splice(
        "z: 0\n---\na:\n- n: \"q\"\n  i: x\n",
        "a[0].i",
        json!(5),
        Some("a:\n- n: \"q\"\n  i: 5\n"),
    );
    check_splice(
        "a: one\n  two\n",
        "a",
        json!("x\ny"),
        Some("a: \"x\\ny\"\n"),
    );
    check_splice("a: |\n  block\n", "a", json!("x"), None);
    check_splice("a: 1\n", "a", json!({"b": 1}), None);
    check_splice("a: 1\n", "b", json!(1), None);
    check_splice("a: &x 1\nb: *x\n", "b", json!(1), None);
}
