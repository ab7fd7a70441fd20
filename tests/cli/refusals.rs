//! Broken manifests: refused with the place and the reason, quickly, and nothing is created.

use std::time::{Duration, Instant};

use crate::support::Podtui;

const GOOD: &str = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: broken\nspec:\n  containers:\n  - name: a\n    image: localhost/toolbox\n";

#[track_caller]
fn check(podtui: &Podtui, manifest: &str, wanted: &[&str]) {
    let path = podtui.path().join("broken.yaml");
    std::fs::write(&path, manifest).expect("the manifest can be written");
    let begin = Instant::now();
    let text = podtui.refused(&["apply", "-f", path.to_str().expect("UTF-8 path")]);
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "took {:?}",
        begin.elapsed()
    );
    for part in wanted {
        assert!(text.contains(part), "`{part}` is missing in:\n{text}");
    }
    let pods = podtui.ok(&["get", "pods", "-o", "name"]);
    assert_eq!(pods, "", "something was created");
}

#[test]
fn ten_broken_manifests() {
    let podtui = Podtui::start();
    check(
        &podtui,
        &GOOD.replace("    image: l", "   image: l"),
        &["broken.yaml:8:"],
    );
    check(
        &podtui,
        &GOOD.replace("image:", "imgae:"),
        &[
            "unknown field \"spec.containers[0].imgae\"",
            "broken.yaml:8",
        ],
    );
    check(
        &podtui,
        &GOOD.replace("  containers:", "  hostNetwork: maybe\n  containers:"),
        &["broken.yaml:6", "hostNetwork", "string", "bool"],
    );
    check(
        &podtui,
        &GOOD
            .replace("name: a", "name: A_b")
            .replace("name: broken", "name: Broken!"),
        &[
            "metadata.name: Invalid value",
            "spec.containers[0].name: Invalid value",
            "broken.yaml:4",
            "broken.yaml:7",
        ],
    );
    check(
        &podtui,
        &format!("{GOOD}  - name: a\n    image: localhost/toolbox\n"),
        &[
            "spec.containers[1].name: Duplicate value: \"a\"",
            "broken.yaml:9",
        ],
    );
    check(
        &podtui,
        &format!("{GOOD}    resources: {{limits: {{memory: 12KB}}}}\n"),
        &[
            "quantities must match the regular expression",
            "broken.yaml:9",
        ],
    );
    check(
        &podtui,
        &GOOD.replace("    image: localhost/toolbox\n", ""),
        &["spec.containers[0].image: Required value"],
    );
    check(
        &podtui,
        &GOOD.replace("    image", "\timage"),
        &["broken.yaml:8:", "tab"],
    );
    check(&podtui, "", &["broken.yaml", "no objects"]);
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    let mut level = 0;
    while bomb.len() < 10_000_000 {
        level += 1;
        let item = format!("*a{}", level - 1);
        bomb.push_str(&format!(
            "a{level}: &a{level} [{}]\n",
            vec![item; 10].join(", ")
        ));
    }
    check(&podtui, &bomb, &["broken.yaml", "alias"]);
}

#[test]
fn one_bad_document_stops_the_good_ones() {
    let podtui = Podtui::start();
    let two = format!(
        "{GOOD}---\n{}",
        GOOD.replace("name: broken", "name: second")
            .replace("image:", "imgae:")
    );
    check(&podtui, &two, &["imgae"]);
}
