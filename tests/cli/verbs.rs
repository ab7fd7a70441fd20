//! Verbs, output formats, exit codes.

use crate::support::Podtui;

#[test]
fn an_empty_list_says_so_and_exits_0() {
    let podtui = Podtui::start();
    let output = podtui.output(&["get", "pods"]);
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "No resources found in default namespace.\n"
    );
}

#[test]
fn what_is_not_there_is_named() {
    let podtui = Podtui::start();
    assert_eq!(
        podtui.refused(&["get", "pod", "x"]),
        "Error from server (NotFound): pods \"x\" not found\n"
    );
    assert_eq!(
        podtui.refused(&["logs", "x"]),
        "Error from server (NotFound): pods \"x\" not found\n"
    );
    assert!(
        podtui
            .refused(&["get", "podd"])
            .contains("the server doesn't have a resource type \"podd\"")
    );
}

#[test]
fn config_maps_and_secrets_live_their_life() {
    let podtui = Podtui::start();
    let apply = |text: &str| {
        let output = podtui.apply_output(text);
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: '1', b: '2'}\n";
    assert_eq!(apply(map), (true, "configmap/c created\n".into()));
    assert_eq!(apply(map), (true, "configmap/c unchanged\n".into()));
    assert_eq!(
        apply(&map.replace(", b: '2'", "")),
        (true, "configmap/c configured\n".into())
    );
    assert_eq!(
        podtui.ok(&["get", "cm", "c", "-o", "jsonpath={.data}"]),
        r#"{"a":"1"}"#
    );
    assert_eq!(
        apply("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {k: v}\n"),
        (true, "secret/s created\n".into())
    );
    assert_eq!(
        podtui.ok(&["get", "secret/s", "-o", "jsonpath={.data.k}"]),
        "dg=="
    );
    assert_eq!(
        podtui.ok(&["get", "cm,secret", "-o", "name"]),
        "configmap/c\nconfigmap/kube-root-ca.crt\nsecret/s\n"
    );
    assert_eq!(
        podtui.ok(&["delete", "cm", "c"]),
        "configmap \"c\" deleted from default namespace\n"
    );
    assert_eq!(podtui.ok(&["delete", "cm", "c", "--ignore-not-found"]), "");
    podtui.serve_again();
    assert_eq!(
        podtui.ok(&["get", "secret", "s", "-o", "name"]),
        "secret/s\n"
    );
}

/// A command that finds no engine starts one, says so once, and the engine stays for the next command.
#[test]
fn an_engine_is_started_when_none_runs() {
    let podtui = Podtui::idle();
    let output = podtui.output(&["get", "pods"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("Started an engine"), "{said}");
    let again = podtui.output(&["get", "pods"]);
    assert!(!String::from_utf8_lossy(&again.stderr).contains("Started an engine"));
    podtui.ok(&["engine", "stop"]);
    podtui.wait("the socket to go", || {
        (!podtui.run().join("api.sock").exists()).then_some(())
    });
}
