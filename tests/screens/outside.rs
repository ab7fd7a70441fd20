//! `$EDITOR` in a terminal pane, with the real engine and a real terminal around it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::support::{self, Podtui};
use super::terminals::{child_of, signal};
use super::{Terminal, row_of};

/// An editor whose commands are those of sed; it tells where it runs.
const EDITOR: &str = r#"#!/bin/sh
echo $$ > "$(dirname "$0")/editor.pid"
echo "editing $(basename "$1") in $(stty size) with $TERM${TMUX:+ in tmux}"
trap 'echo interrupted' INT
while true; do
  read -r line || continue
  case $line in
  done) exit 0 ;;
  fail) exit 3 ;;
  size) stty size ;;
  *) sed -i "$line" "$1" && echo "saved $line" ;;
  esac
done
"#;

const APP: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: app}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: localhost/toolbox:latest
    command: [sleep, '1000000']
";

fn type_line(terminal: &Terminal<'_>, text: &str) {
    terminal.type_text(text);
    terminal.press(&["Enter"]);
}

fn label(podtui: &Podtui) -> String {
    podtui.ok(&["get", "pod", "app", "-o", "jsonpath={.metadata.labels.a}"])
}

#[test]
fn the_users_editor_runs_beside_the_list() {
    require_root!();
    let podtui = Podtui::start();
    let editor = podtui.path().join("editor");
    fs::write(&editor, EDITOR).unwrap();
    fs::set_permissions(&editor, fs::Permissions::from_mode(0o755)).unwrap();
    podtui.apply(APP);
    podtui.wait_running("app");
    let edits = podtui.state().join("edits");
    let Some(terminal) = Terminal::open(&podtui, 80, 24) else {
        return;
    };
    terminal.wait("the pod", |text| row_of(text, "app").is_some());
    terminal.press(&["E"]);
    let text = terminal.wait("the editor", |text| {
        text.contains("editing app.yaml in 17 80")
    });
    assert!(text.contains("TERM app/$EDITOR editor"), "{text}");
    assert!(
        text.contains("ctrl-c: editor") && row_of(&text, "app").is_some(),
        "{text}"
    );
    assert!(!text.contains("in tmux"), "{text}");
    // ctrl-c is the editor's, and it learns of another size.
    terminal.press(&["C-c"]);
    terminal.wait("the interrupt", |text| text.contains("^Cinterrupted"));
    terminal.resize(100, 40);
    std::thread::sleep(super::RESIZED);
    type_line(&terminal, "size");
    terminal.wait("the new size", |text| text.contains("\n33 100"));
    // A mistake comes back with what it is, the rest goes to the review.
    type_line(&terminal, "s/command:/comand:/");
    terminal.wait("it to be saved", |text| text.contains("saved s/command"));
    type_line(&terminal, "done");
    terminal.wait("the editor again", |text| {
        text.matches("editing app.yaml").count() == 1 && !text.contains("saved")
    });
    let file = fs::read_dir(&edits)
        .unwrap()
        .map(|entry| entry.unwrap().path().join("app.yaml"))
        .find(|path| path.exists())
        .expect("the file that is edited");
    let head = fs::read_to_string(&file).unwrap();
    assert!(head.contains("unknown field"), "{head}");
    type_line(
        &terminal,
        "s/comand:/command:/; s/{name: app}/{name: app, labels: {a: b}}/",
    );
    terminal.wait("it to be saved", |text| text.contains("saved s/comand"));
    type_line(&terminal, "done");
    terminal.wait("the review", |text| text.contains("enter apply"));
    assert_eq!(label(&podtui), "");
    terminal.press(&["Enter"]);
    podtui.wait("the label", || (label(&podtui) == "b").then_some(()));
    terminal.wait("the list to have the keys", |text| {
        text.contains("takes it back")
    });
    // An editor that fails loses nothing, and undo works as after every edit.
    terminal.press(&["u"]);
    terminal.wait("the review", |text| text.contains("enter apply"));
    terminal.press(&["Enter"]);
    podtui.wait("the label to be gone", || {
        label(&podtui).is_empty().then_some(())
    });
    // The screen dies while the editor is open: what was saved is offered, and nothing is left running.
    terminal.wait("the list to have the keys", |text| {
        text.contains("pod/app configured")
    });
    terminal.press(&["E"]);
    terminal.wait("the editor", |text| {
        text.contains("editing app.yaml in 33 100")
    });
    type_line(&terminal, "s/{name: app}/{name: app, labels: {a: c}}/");
    terminal.wait("it to be saved", |text| text.contains("saved s/{name"));
    let editor_pid = fs::read_to_string(podtui.path().join("editor.pid")).unwrap();
    let editor_pid: u32 = editor_pid.trim().parse().unwrap();
    assert!(support::is_alive(editor_pid));
    signal(child_of(&terminal), "-KILL");
    podtui.wait("the editor to be gone", || {
        (!support::is_alive(editor_pid)).then_some(())
    });
    drop(terminal);
    let Some(terminal) = Terminal::open(&podtui, 80, 24) else {
        return;
    };
    terminal.wait("the offer", |text| text.contains("unfinished edit"));
    terminal.press(&["o"]);
    terminal.wait("the text", |text| text.contains("labels: {a: c}"));
    terminal.press(&["C-s"]);
    terminal.wait("the review", |text| text.contains("enter apply"));
    terminal.press(&["Enter"]);
    podtui.wait("the label", || (label(&podtui) == "c").then_some(()));
    terminal.wait("the list to have the keys", |text| {
        text.contains("pod/app configured")
    });
    terminal.press(&["q"]);
    terminal.wait("the end", |text| text.contains("left with 0"));
    assert_eq!(fs::read_dir(&edits).unwrap().count(), 0);
    podtui.delete_all();
}
