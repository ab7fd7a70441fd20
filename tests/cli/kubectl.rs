//! Verbs that a user of kubectl reaches for.

use std::fs;

use crate::support::Podtui;

#[track_caller]
fn exits(podtui: &Podtui, arguments: &[&str], code: i32) -> String {
    let output = podtui.output(arguments);
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    text
}

fn node(podtui: &Podtui) -> String {
    let name = podtui.ok(&["get", "nodes", "-o", "name"]);
    name.trim().trim_start_matches("node/").to_owned()
}

#[test]
fn nodes_are_cordoned_and_tainted() {
    let podtui = Podtui::start();
    let node = node(&podtui);
    let said = |done: &str| format!("node/{node} {done}\n");
    assert_eq!(
        podtui.ok(&["cordon", &node, "--dry-run=client"]),
        said("cordoned (dry run)")
    );
    assert_eq!(podtui.ok(&["cordon", &node]), said("cordoned"));
    assert_eq!(podtui.ok(&["cordon", &node]), said("already cordoned"));
    assert!(
        podtui
            .ok(&["get", "nodes"])
            .contains("Ready,SchedulingDisabled")
    );
    assert_eq!(podtui.ok(&["uncordon", &node]), said("uncordoned"));
    assert_eq!(podtui.ok(&["uncordon", &node]), said("already uncordoned"));

    let taint = ["taint", "nodes", &node, "a=b:NoSchedule"];
    assert_eq!(podtui.ok(&taint), said("tainted"));
    let refused = podtui.refused(&["taint", "nodes", &node, "a=c:NoSchedule"]);
    assert_eq!(
        refused,
        format!(
            "error: node {node} already has a taint(s) with same effect(s) and --overwrite is false\n"
        )
    );
    assert_eq!(
        podtui.ok(&["taint", "nodes", &node, "a=c:NoSchedule", "--overwrite"]),
        said("modified")
    );
    let taints = [
        "get",
        "node",
        &node,
        "-o",
        "jsonpath={.spec.taints[?(@.key==\"a\")].value}",
    ];
    assert_eq!(podtui.ok(&taints), "c");
    assert_eq!(
        podtui.ok(&["taint", "nodes", &node, "a-"]),
        said("untainted")
    );
    assert_eq!(
        podtui.refused(&["taint", "nodes", &node, "a-"]),
        "error: taint \"a\" not found\n"
    );
    assert!(podtui.refused(&["cordon", "nobody"]).contains("(NotFound)"));
}

#[test]
fn labels_are_listed() {
    let podtui = Podtui::start();
    podtui.ok(&["create", "configmap", "a"]);
    podtui.ok(&["create", "configmap", "b"]);
    podtui.ok(&["label", "cm", "a", "tier=web", "app=x"]);
    assert_eq!(
        podtui.ok(&["label", "cm", "a", "--list"]),
        "app=x\ntier=web\n"
    );
    assert_eq!(
        podtui.ok(&["label", "cm", "a", "app-", "new=1", "--list"]),
        "new=1\ntier=web\n"
    );
    assert_eq!(
        podtui.ok(&["label", "cm", "a", "--list"]),
        "app=x\ntier=web\n"
    );
    let several = exits(&podtui, &["label", "cm", "a", "b", "--list"], 0);
    assert!(
        several.contains("Listing labels for ConfigMap./a:\n"),
        "{several}"
    );
    assert!(several.contains(" app=x\n tier=web\n"), "{several}");
    podtui.ok(&["annotate", "cm", "a", "note=yes"]);
    assert_eq!(podtui.ok(&["annotate", "cm", "a", "--list"]), "note=yes\n");
    let refused = podtui.refused(&["label", "cm", "a"]);
    assert_eq!(refused, "error: at least one label update is required\n");
}

#[test]
fn service_accounts_are_created() {
    let podtui = Podtui::start();
    let yaml = podtui.ok(&["create", "sa", "robot", "--dry-run=client", "-o", "yaml"]);
    assert!(
        yaml.contains("kind: ServiceAccount\n") && yaml.contains("name: robot\n"),
        "{yaml}"
    );
    assert_eq!(
        podtui.ok(&["create", "serviceaccount", "robot"]),
        "serviceaccount/robot created\n"
    );
    assert!(podtui.ok(&["get", "sa"]).contains("robot"));
}

#[test]
fn differences_are_shown_before_they_are_made() {
    let podtui = Podtui::start();
    let path = podtui.path().join("m.yaml");
    let file = path.to_str().unwrap();
    let write = |text: &str| fs::write(&path, text).unwrap();
    write("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: one}\n");
    let diff = ["diff", "-f", file];
    let new = exits(&podtui, &diff, 1);
    assert!(
        new.contains("+  a: one\n") && new.contains("v1.ConfigMap.default.c"),
        "{new}"
    );
    assert!(podtui.refused(&["get", "cm", "c"]).contains("NotFound"));
    podtui.ok(&["apply", "-f", file]);
    assert_eq!(exits(&podtui, &diff, 0), "");
    write("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: two}\n");
    let changed = exits(&podtui, &diff, 1);
    assert!(changed.contains("-  a: one\n+  a: two\n"), "{changed}");
    write("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {k: hunter2}\n");
    let secret = exits(&podtui, &diff, 1);
    assert!(
        !secret.contains("hunter2") && !secret.contains("aHVudGVyMg"),
        "{secret}"
    );
    write("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: C!}\n");
    assert!(exits(&podtui, &diff, 2).contains("metadata.name"));
    let mut command = podtui.command(&diff);
    write("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: two}\n");
    let output = command
        .env("KUBECTL_EXTERNAL_DIFF", "/no/such/program")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("KUBECTL_EXTERNAL_DIFF"));
}

#[test]
fn logins_are_kept_for_engines() {
    let podtui = Podtui::idle();
    let file = podtui.path().join("auth.json");
    let run = |arguments: &[&str]| {
        let output = podtui
            .command(arguments)
            .env("REGISTRY_AUTH_FILE", &file)
            .output()
            .unwrap();
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        (output.status.success(), text)
    };
    let (done, text) = run(&["login", "-u", "me", "r.example"]);
    assert!(!done && text.contains("--password-stdin"), "{text}");
    fs::write(
        &file,
        r#"{"auths": {"r.example": {"auth": "eDp5"}, "b": {}}}"#,
    )
    .unwrap();
    assert_eq!(
        run(&["logout", "r.example"]),
        (true, "Removed login credentials for r.example\n".to_owned())
    );
    let left = fs::read_to_string(&file).unwrap();
    assert!(
        !left.contains("r.example") && left.contains("\"b\""),
        "{left}"
    );
    let (done, text) = run(&["logout", "r.example"]);
    assert!(
        !done && text.contains("not logged in to r.example"),
        "{text}"
    );
}
