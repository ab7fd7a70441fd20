//! Actions on the selected object: deletions that can be taken back, restarts, the menu, the clipboard, and what
//! `--readonly` refuses.

use serde_json::json;

use crate::model::restarts::RESTARTED_AT;
use crate::model::{Kind, Object, ObjectKey};
use crate::tui::TuiSettings;
use crate::tui::effect::{Effect, ExitChoice};
use crate::tui::msg::Msg;
use crate::tui::overlay::Overlay;
use crate::tui::testing::{Screen, pod_json, settings};

fn deleted(screen: &Screen) -> Vec<String> {
    let name = |effect: &Effect| match effect {
        Effect::Delete { key, options } => {
            let uid = options.preconditions.uid.as_ref();
            let name = key.name.clone();
            assert_eq!(uid.map(|uid| uid.to_string()), Some(format!("uid-{name}")));
            Some(name)
        }
        _ => None,
    };
    screen.effects.iter().filter_map(name).collect()
}

fn exit(screen: &Screen) -> Option<ExitChoice> {
    screen.effects.iter().find_map(|effect| match effect {
        Effect::Exit(choice) => Some(*choice),
        _ => None,
    })
}

#[test]
fn a_deletion_counts_down_and_can_be_taken_back() {
    let mut screen = Screen::populated(80, 24);
    screen.keys("jDy");
    let text = screen.text();
    assert!(
        text.contains("deleting pod web-0 in 5 s  u takes it back"),
        "{text}"
    );
    let row = text.lines().find(|line| line.starts_with('▶')).unwrap();
    assert!(row.ends_with("deleting in 5 s"), "{row}");
    assert!(screen.tick(2), "the countdown is drawn");
    assert!(screen.text().contains("deleting pod web-0 in 4 s"));
    screen.keys("u");
    assert!(!screen.text().contains("deleting"));
    screen.tick(10);
    assert!(deleted(&screen).is_empty());
    // The last decision is taken back first.
    screen.keys("Dy");
    screen.tick(2);
    screen.keys("kDy");
    assert!(
        screen
            .text()
            .contains("deleting pod api-7d9 in 5 s (+1 more)")
    );
    screen.keys("u");
    screen.tick(4);
    assert_eq!(deleted(&screen), ["web-0"]);
}

#[track_caller]
fn check_leave(keys: &str, expected: &[&str], left: Option<ExitChoice>) {
    let mut screen = Screen::populated(80, 24);
    screen.keys("jDy");
    screen.keys(keys);
    assert_eq!(deleted(&screen), expected, "{keys}");
    assert_eq!(exit(&screen), left, "{keys}");
}

#[test]
fn leaving_decides_about_what_still_waits() {
    check_leave("q<enter>", &[], None);
    check_leave("q<esc>", &[], None);
    // The question about running pods comes afterwards.
    check_leave("qdk", &["web-0"], Some(ExitChoice::Keep));
    check_leave("qtk", &[], Some(ExitChoice::Keep));
    check_leave(":q<enter>dc", &["web-0"], None);
    let mut screen = Screen::populated(80, 24);
    screen.keys("jDy").send(Msg::Terminate);
    assert_eq!(deleted(&screen), ["web-0"], "nobody can be asked");
    assert_eq!(screen.effects.last(), Some(&Effect::Exit(ExitChoice::Keep)));
}

fn restarts(screen: &Screen) -> Vec<(String, String)> {
    let found = screen.effects.iter().filter_map(|effect| match effect {
        Effect::Restart { key, patch, .. } => {
            let value = &patch["metadata"]["annotations"][RESTARTED_AT];
            Some((key.name.clone(), value.as_str().unwrap().to_owned()))
        }
        _ => None,
    });
    found.collect()
}

#[track_caller]
fn check_restart(keys: &str, expected: &[(&str, &str)]) {
    let mut screen = Screen::populated(80, 24);
    screen.keys(keys);
    let found = restarts(&screen);
    let found: Vec<(&str, &str)> = found
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    assert_eq!(found, expected, "{keys}");
}

#[test]
fn restarts_say_what_they_do_and_ask() {
    let at = "2026-01-02T03:00:00Z";
    check_restart("r", &[]);
    check_restart("r<enter>", &[]);
    check_restart("ry", &[("api-7d9", at)]);
    check_restart("<space><space>ry", &[("api-7d9", at), ("web-0", at)]);
    check_restart(
        "Groside<enter>",
        &[("worker-1", "{\"sidecar\":\"2026-01-02T03:00:00Z\"}")],
    );
    let mut screen = Screen::populated(80, 24);
    screen.keys("Gr");
    let text = screen.text();
    assert!(
        text.contains("In place: main, sidecar get their stop signal"),
        "{text}"
    );
}

#[test]
fn what_cannot_restart_in_place_can_be_recreated() {
    let mut value = pod_json("once", json!({"phase": "Running"}));
    value["spec"]["restartPolicy"] = json!("Never");
    let mut screen = Screen::populated(80, 24);
    screen.list(
        Kind::Pod,
        vec![Object::from_value(Kind::Pod, value).unwrap()],
    );
    screen.keys("ry");
    assert!(restarts(&screen).is_empty());
    assert!(
        screen
            .text()
            .contains("keeps containers that end from starting again")
    );
    screen.keys("r");
    let recreates = |effect: &Effect| match effect {
        Effect::Editor(crate::tui::editor::EditorEffect::Apply(request)) => request.recreate,
        _ => false,
    };
    assert!(screen.effects.iter().any(recreates));
    let mut screen = Screen::populated(80, 24);
    screen.keys(":ns default<enter>:namespaces<enter>r");
    assert!(screen.text().contains("restart is for pods"));
}

#[test]
fn the_menu_names_keys_and_command_lines_and_executes() {
    let mut screen = Screen::populated(120, 30);
    screen.keys("jm");
    let text = screen.text();
    for line in [
        "l      logs              podtui logs web-0 -n default --all-containers -f",
        "s      shell             podtui exec -it web-0 -n default -- sh",
        "D      delete            podtui delete pod web-0 -n default",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    screen.keys("delete<enter>");
    assert!(matches!(
        screen.model.overlays.last(),
        Some(Overlay::Confirm(_))
    ));
}

#[track_caller]
fn check_copy(keys: &str, expected: &str) {
    let mut screen = Screen::populated(80, 24);
    screen.keys(keys);
    let copied = screen.effects.iter().find_map(|effect| match effect {
        Effect::Copy(text) => Some(text.as_str()),
        _ => None,
    });
    assert_eq!(copied, Some(expected), "{keys}");
}

#[test]
fn what_can_be_copied() {
    check_copy("c<enter>", "api-7d9");
    check_copy(
        "c<down><enter>",
        "api-7d9  1/1  Running  0  -  120m  60  210Mi  41  60m  -  -",
    );
    check_copy("caddress<enter>", "10.88.0.7");
    check_copy("cshell<enter>", "podtui exec -it api-7d9 -n default -- sh");
    check_copy("<space><space>c<enter>", "api-7d9\nweb-0");
}

#[test]
fn readonly_changes_nothing_whatever_is_typed() {
    let readonly = TuiSettings {
        readonly: true,
        ..settings()
    };
    let keys = [
        "D",
        "Dy",
        "r",
        "ry",
        "rr",
        "e",
        "E",
        "s",
        "a",
        "n",
        "u",
        "mdelete<enter>",
        "mshell<enter>",
        ":delete<enter>",
        ":create x.yaml<enter>",
        ":edit<enter>",
        ":restart<enter>",
        "?shell<enter>",
        "<tab>Dy",
        "<tab>s",
    ];
    for keys in keys {
        let mut screen = Screen::with(readonly.clone(), 80, 24);
        screen.populate();
        screen.keys(keys);
        screen.tick(10);
        let changes = screen
            .effects
            .iter()
            .filter(|effect| effect.changes_something());
        assert_eq!(changes.count(), 0, "{keys}");
        assert!(screen.model.editing.editor.is_none(), "{keys}");
    }
}

#[test]
fn readonly_says_so() {
    let readonly = TuiSettings {
        readonly: true,
        ..settings()
    };
    let mut screen = Screen::with(readonly, 80, 24);
    screen.populate();
    let text = screen.text();
    assert!(text.contains("read-only"), "{text}");
    let hints = text.lines().last().unwrap();
    assert!(
        !hints.contains("delete") && !hints.contains("shell"),
        "{hints}"
    );
    screen.keys("D");
    assert!(
        screen
            .text()
            .contains("delete: podtui runs with --readonly")
    );
    screen.keys("?");
    assert!(
        screen.text().contains("not with --readonly: delete"),
        "help"
    );
    screen.keys("<esc>:del");
    assert!(
        screen.text().contains("delete  not with --readonly"),
        "palette"
    );
    screen.keys("<esc>q");
    assert_eq!(
        exit(&screen),
        Some(ExitChoice::Keep),
        "pods are not stopped"
    );
}

#[test]
fn the_key_of_an_object_that_came_back_protects_it() {
    let mut screen = Screen::populated(80, 24);
    screen.keys("jDy");
    screen.tick(6);
    let key = ObjectKey::pod("default", "web-0");
    assert!(screen.effects.iter().any(|effect| matches!(
        effect,
        Effect::Delete { key: deleted, options }
            if *deleted == key && options.preconditions.uid.is_some()
    )));
}
