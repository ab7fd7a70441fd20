//! Snapshots: every one was read before it was accepted.

use insta::assert_snapshot;

use crate::tui::msg::{Msg, Reply};
use crate::tui::testing::{Screen, settings};

const LOG: &[&str] = &[
    "2026/01/02 listening on :8080",
    "\x1b[32mGET\x1b[0m /healthz 200",
    "a line that is longer than the screen is wide, so that it has to be wrapped into a second row of text",
    "cannot allocate 64 MiB",
];

#[test]
fn before_the_engine_answers() {
    assert_snapshot!(Screen::new(80, 24).text());
}

#[test]
fn the_engine_cannot_start() {
    let mut screen = Screen::new(80, 24);
    screen.send(Msg::ConnectFailed(
        "another podtui owns /var/lib/podtui (pid 17), and its socket does not answer".to_owned(),
    ));
    assert_snapshot!(screen.text());
}

#[test]
fn list_and_logs_80x24() {
    let mut screen = Screen::populated(80, 24);
    screen.log(0, LOG);
    assert_snapshot!(screen.text());
}

#[test]
fn merged_logs_of_a_crashing_pod_80x24() {
    let mut screen = Screen::populated(80, 24);
    screen.keys("G<enter>");
    screen.log(0, LOG);
    screen.log(1, &["sidecar is fine"]);
    assert_snapshot!(screen.text());
}

#[test]
fn list_and_logs_200x50() {
    let mut screen = Screen::populated(200, 50);
    screen.keys("G<enter>");
    screen.log(0, LOG);
    screen.log(1, &["sidecar is fine"]);
    assert_snapshot!(screen.text());
}

#[test]
fn list_and_logs_120x30() {
    let mut screen = Screen::populated(120, 30);
    screen.log(0, LOG);
    assert_snapshot!(screen.text());
}

#[test]
fn ascii_only() {
    let mut screen = Screen::with(
        crate::tui::TuiSettings {
            ascii: true,
            ..settings()
        },
        80,
        24,
    );
    screen.populate();
    screen.log(0, LOG);
    let text = screen.text();
    assert!(text.is_ascii(), "{text}");
    assert_snapshot!(text);
}

#[test]
fn narrow_40x12() {
    assert_snapshot!(Screen::populated(40, 12).text());
}

#[test]
fn tiny_sizes() {
    let mut all = String::new();
    for (columns, rows) in [(1, 1), (10, 1), (12, 2), (20, 3), (20, 5), (30, 9)] {
        let text = Screen::populated(columns, rows).text();
        all.push_str(&format!("{columns}x{rows}\n{text}\n"));
    }
    assert_snapshot!(all);
}

#[test]
fn events_tab() {
    let mut screen = Screen::populated(80, 24);
    screen.keys("G2");
    assert_snapshot!(screen.text());
}

#[test]
fn describe_tab_zoomed() {
    let mut screen = Screen::populated(80, 40);
    screen.keys("Gd<tab>z");
    assert_snapshot!(screen.text());
}

#[test]
fn help() {
    let mut screen = Screen::populated(80, 24);
    screen.keys("?sort");
    assert_snapshot!(screen.text());
}

#[test]
fn palette() {
    let mut screen = Screen::populated(80, 24);
    screen.keys(":");
    assert_snapshot!(screen.text());
    screen.keys("ns ");
    assert_snapshot!(screen.text());
}

#[test]
fn delete_question() {
    let mut screen = Screen::populated(80, 24);
    screen.keys("D");
    assert_snapshot!(screen.text());
}

#[test]
fn leaving_question() {
    let mut screen = Screen::populated(80, 24);
    screen.keys("q");
    assert_snapshot!(screen.text());
}

#[test]
fn problems_of_a_manifest() {
    let mut screen = Screen::populated(80, 24);
    screen.keys("nfile<enter>./pod.yaml<enter>");
    screen.send(Msg::Reply(Reply::Created {
        path: "./pod.yaml".to_owned(),
        created: Vec::new(),
        warnings: Vec::new(),
        problems: vec![
            "./pod.yaml:7:5: unknown field \"spec.containers[0].imag\"".to_owned(),
            "./pod.yaml:9:9: spec.containers[0].image: Required value".to_owned(),
        ],
    }));
    assert_snapshot!(screen.text());
    screen.keys("<esc>");
    assert_snapshot!(screen.text());
}

#[test]
fn other_kinds_and_all_namespaces() {
    let mut screen = Screen::populated(80, 24);
    screen.keys(":cm<enter>");
    screen.list(
        crate::model::Kind::ConfigMap,
        vec![crate::tui::testing::config_map("settings")],
    );
    assert_snapshot!(screen.text());
    screen.keys("<esc>0");
    let pods = vec![crate::tui::testing::running("web-0")];
    screen.list(crate::model::Kind::Pod, pods);
    assert_snapshot!(screen.text());
}

#[test]
fn filter_that_matches_nothing() {
    let mut screen = Screen::populated(80, 24);
    screen.keys("/zzz");
    assert_snapshot!(screen.text());
}

#[test]
fn container_menu() {
    let mut screen = Screen::populated(80, 24);
    screen.keys("G<enter>o");
    assert_snapshot!(screen.text());
}
