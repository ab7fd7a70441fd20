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
        "error: error from server (NotFound): pods \"x\" not found in namespace \"default\"\n"
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

/// Nothing is announced that does not come.
#[test]
fn an_engine_that_cannot_start_is_not_announced() {
    let podtui = Podtui::idle();
    std::fs::create_dir_all(podtui.state()).unwrap();
    std::fs::write(podtui.state().join("objects"), "in the way").unwrap();
    let said = podtui.refused(&["get", "pods"]);
    assert!(!said.contains("Started an engine"), "{said}");
    assert!(said.contains("the engine did not start"), "{said}");
}

/// The run directory goes while the engine runs: it makes its socket again, and stays the same engine.
#[test]
fn an_engine_outlives_its_run_directory() {
    let podtui = Podtui::start();
    podtui.ok(&["create", "configmap", "kept"]);
    let gone = podtui.path().join("run.gone");
    let came_back = || {
        podtui.wait("the engine to answer again", || {
            let status = podtui.output(&["engine", "status"]);
            status.status.success().then_some(status.stdout)
        })
    };
    std::fs::rename(podtui.run(), &gone).unwrap();
    let status = podtui.refused(&["engine", "status"]);
    assert!(
        status.contains(&format!("`kill {}` ends it", podtui.engine_pid())),
        "{status}"
    );
    let status = String::from_utf8(came_back()).unwrap();
    assert!(
        status.contains(&podtui.engine_pid().to_string()),
        "{status}"
    );
    std::fs::remove_dir_all(podtui.run()).unwrap();
    came_back();
    assert_eq!(
        podtui.ok(&["get", "configmap", "kept", "-o", "name"]),
        "configmap/kept\n"
    );
}

/// Asking for versions starts nothing.
#[test]
fn version_without_an_engine() {
    let podtui = Podtui::idle();
    let text = podtui.ok(&["version"]);
    assert!(
        text.ends_with("Engine Version: no engine is running\n"),
        "{text}"
    );
    assert!(!podtui.state().join("lock").exists());
}

/// `sed` as the editor: it changes the file in place, once well, once not.
#[test]
fn edit_goes_through_the_editor_of_the_user() {
    let podtui = Podtui::start();
    podtui.apply_output("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: '1'}\n");
    let edit = |editor: &str| {
        let output = podtui
            .command(&["edit", "cm", "c"])
            .env("KUBE_EDITOR", editor)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let cancelled = (
        Some(0),
        String::new(),
        "Edit cancelled, no changes made.\n".to_owned(),
    );
    assert_eq!(edit("true"), cancelled);
    assert_eq!(
        edit("sed -i 's/a: \"1\"/a: \"2\"/'"),
        (Some(0), "configmap/c edited\n".to_owned(), String::new())
    );
    assert_eq!(
        podtui.ok(&["get", "cm", "c", "-o", "jsonpath={.data.a}"]),
        "2"
    );
    // The second round changes nothing any more: the edit ends and the text is kept.
    let (code, out, err) = edit("sed -i 's/^data:/dota:/'");
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("error: configmaps \"c\" is invalid"), "{err}");
    assert!(
        err.ends_with("error: Edit cancelled, no valid changes were saved.\n"),
        "{err}"
    );
    let kept = err
        .split('"')
        .find(|part| part.contains("/podtui-edit-"))
        .expect("the place is named");
    let text = std::fs::read_to_string(kept).unwrap();
    std::fs::remove_file(kept).unwrap();
    assert!(
        text.contains("# configmaps \"c\" was not valid:\n# * ") && text.contains("\ndota:\n"),
        "{text}"
    );
    assert_eq!(
        edit("sh -c '> \"$0\"'").2,
        "Edit cancelled, saved file was empty.\n"
    );
    assert!(
        edit("false")
            .2
            .contains("there was a problem with the editor \"false\"")
    );
}
