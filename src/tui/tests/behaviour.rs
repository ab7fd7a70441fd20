//! What keys, messages and time do to the model and which effects they have.

use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use serde_json::json;

use crate::client::WatchEvent;
use crate::config::OnExit;
use crate::model::{Kind, Object, ObjectKey};
use crate::tui::effect::{Effect, ExitChoice, MetricsScope};
use crate::tui::logs::Position;
use crate::tui::msg::{LogNews, Msg, Reply};
use crate::tui::overlay::{Focus, Overlay};
use crate::tui::testing::{
    Screen, changes, crashing, listed, now, parse_keys, pod_json, running, settings,
};

fn selected(screen: &Screen) -> &str {
    &screen.model.list.selected().unwrap().key.name
}

fn change(screen: &mut Screen, event: WatchEvent) {
    let generation = screen.model.collections.get(Kind::Pod).unwrap().generation;
    screen.send(Msg::Watch {
        kind: Kind::Pod,
        generation,
        news: changes(vec![event]),
    });
}

#[test]
fn the_first_message_opens_the_watches() {
    let screen = Screen::new(80, 24);
    let watched: Vec<(Kind, Option<String>)> = screen
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Watch {
                kind, namespace, ..
            } => Some((*kind, namespace.clone())),
            _ => None,
        })
        .collect();
    let default = Some("default".to_owned());
    assert_eq!(
        watched,
        [
            (Kind::Pod, default.clone()),
            (Kind::Event, default),
            (Kind::Namespace, None)
        ]
    );
}

#[test]
fn moving_and_the_selection_stays_on_its_object() {
    let mut screen = Screen::populated(80, 24);
    assert_eq!(selected(&screen), "api-7d9");
    screen.keys("jj");
    assert_eq!(selected(&screen), "worker-1");
    screen.keys("j<down>");
    assert_eq!(selected(&screen), "worker-1");
    screen.keys("gj");
    assert_eq!(selected(&screen), "web-0");
    change(&mut screen, WatchEvent::Added(running("aaa")));
    assert_eq!(selected(&screen), "web-0");
    change(&mut screen, WatchEvent::Deleted(running("web-0")));
    assert_eq!(selected(&screen), "worker-1");
}

#[test]
fn escape_pops_one_level_and_never_leaves() {
    let mut screen = Screen::populated(80, 24);
    screen.keys(":cm<enter>/x<enter><tab>z:abc");
    let depth = |screen: &Screen| {
        let model = &screen.model;
        (
            model.overlays.len(),
            model.is_zoomed,
            model.focus == Focus::Inspector,
            !model.list.filter.is_empty(),
            model.list.kind != Kind::Pod,
        )
    };
    assert_eq!(depth(&screen), (1, true, true, true, true));
    for expected in [
        (0, true, true, true, true),
        (0, false, true, true, true),
        (0, false, false, true, true),
        (0, false, false, false, true),
        (0, false, false, false, false),
        (0, false, false, false, false),
    ] {
        screen.keys("<esc>");
        assert_eq!(depth(&screen), expected);
    }
    assert!(
        !screen
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Exit(_)))
    );
}

#[track_caller]
fn check_quit(on_exit: OnExit, keys: &str, expected: Option<ExitChoice>) {
    let mut screen = Screen::with(
        crate::tui::TuiSettings {
            on_exit,
            ..settings()
        },
        80,
        24,
    );
    screen.populate();
    screen.keys(keys);
    let exit = screen.effects.iter().find_map(|effect| match effect {
        Effect::Exit(choice) => Some(*choice),
        _ => None,
    });
    assert_eq!(exit, expected);
}

#[test]
fn leaving_asks_once() {
    check_quit(OnExit::Ask, "q", None);
    check_quit(OnExit::Ask, "q<enter>", Some(ExitChoice::Keep));
    check_quit(OnExit::Ask, "qs", Some(ExitChoice::Stop));
    check_quit(OnExit::Ask, "qc", None);
    check_quit(OnExit::Ask, "<tab>q", None);
    check_quit(OnExit::Ask, "<tab>qq<enter>", Some(ExitChoice::Keep));
    check_quit(OnExit::Keep, ":q<enter>", Some(ExitChoice::Keep));
    check_quit(OnExit::Stop, "q", Some(ExitChoice::Stop));
}

#[test]
fn leaving_does_not_ask_when_nothing_runs() {
    let mut screen = Screen::populated(80, 24);
    screen.list(Kind::Pod, Vec::new());
    screen.keys("q");
    assert_eq!(screen.effects.last(), Some(&Effect::Exit(ExitChoice::Keep)));
}

fn is_deleted(screen: &Screen) -> bool {
    let deletes = |effect: &Effect| matches!(effect, Effect::Delete { .. });
    screen.effects.iter().any(deletes)
}

#[track_caller]
fn check_delete(keys: &str, grace: Option<Option<i64>>) {
    let mut screen = Screen::populated(80, 24);
    screen.keys(keys);
    assert!(!is_deleted(&screen), "it can be taken back");
    screen.tick(6);
    let deleted = screen.effects.iter().find_map(|effect| match effect {
        Effect::Delete { key, options } => {
            assert_eq!(*key, ObjectKey::pod("default", "web-0"));
            Some(options.grace_period_seconds)
        }
        _ => None,
    });
    assert_eq!(deleted, grace);
    assert!(screen.model.overlays.is_empty());
}

#[test]
fn delete_needs_a_clear_yes() {
    check_delete("jD<enter>", None);
    check_delete("jD<esc>", None);
    check_delete("jDy", Some(None));
    check_delete("jD<right><enter>", Some(None));
    check_delete("jDk", Some(Some(0)));
}

#[test]
fn filters() {
    let mut screen = Screen::populated(80, 24);
    let names = |screen: &Screen| -> Vec<String> {
        screen
            .model
            .list
            .rows()
            .iter()
            .map(|row| row.key.name.clone())
            .collect()
    };
    screen.keys("/crash");
    assert_eq!(names(&screen), ["worker-1"]);
    screen.keys("<ctrl-u>!w<enter>");
    assert_eq!(names(&screen), ["api-7d9"]);
    screen.keys("/<ctrl-u>web<esc>");
    assert_eq!(
        names(&screen),
        ["api-7d9"],
        "escape brings the former filter back"
    );
}

#[test]
fn sorting() {
    let mut screen = Screen::populated(80, 24);
    let first = |screen: &Screen| screen.model.list.rows()[0].key.name.clone();
    screen.keys("M");
    assert_eq!(first(&screen), "worker-1");
    screen.keys("M");
    assert_eq!(first(&screen), "web-0");
    screen.keys("C");
    assert_eq!(first(&screen), "api-7d9");
    screen.keys(":sort restarts<enter>");
    assert_eq!(first(&screen), "worker-1");
}

#[test]
fn all_namespaces_and_back() {
    let mut screen = Screen::populated(80, 24);
    screen.keys("0");
    let watched_all = |effect: &Effect| {
        matches!(
            effect,
            Effect::Watch {
                kind: Kind::Pod,
                namespace: None,
                ..
            }
        )
    };
    assert!(screen.effects.iter().any(watched_all));
    screen.effects.clear();
    screen.keys("0");
    let watched_one = |effect: &Effect| matches!(effect, Effect::Watch { kind: Kind::Pod, namespace: Some(name), .. } if name == "default");
    assert!(screen.effects.iter().any(watched_one));
}

#[test]
fn messages_of_a_replaced_watch_do_not_count() {
    let mut screen = Screen::populated(80, 24);
    let old = screen.model.collections.get(Kind::Pod).unwrap().generation;
    screen.keys("0");
    screen.send(Msg::Watch {
        kind: Kind::Pod,
        generation: old,
        news: listed(vec![running("ghost")]),
    });
    assert!(screen.model.list.rows().is_empty());
}

#[test]
fn create_keeps_the_path_until_it_worked() {
    let mut screen = Screen::populated(80, 24);
    screen.keys("nfile<enter>pod.yaml<enter>");
    let expected = Effect::Create {
        path: "pod.yaml".to_owned(),
        namespace: "default".to_owned(),
    };
    assert_eq!(screen.effects.last(), Some(&expected));
    let reply = |problems: &[&str]| {
        Msg::Reply(Reply::Created {
            path: "pod.yaml".to_owned(),
            created: if problems.is_empty() {
                vec![running("new-1")]
            } else {
                Vec::new()
            },
            warnings: Vec::new(),
            problems: problems.iter().map(|text| (*text).to_owned()).collect(),
        })
    };
    screen.send(reply(&["pod.yaml:3:1: bad"]));
    screen.keys("<esc>");
    let Some(Overlay::Prompt(prompt)) = screen.model.overlays.last() else {
        panic!("the prompt is gone");
    };
    assert_eq!(prompt.line.text(), "pod.yaml");
    screen.keys("<enter>").send(reply(&[]));
    assert!(screen.model.overlays.is_empty());
}

#[test]
fn paths_complete_with_tab() {
    let mut screen = Screen::populated(80, 24);
    screen.keys(":create po");
    assert_eq!(
        screen.effects.last(),
        Some(&Effect::ListPaths("po".to_owned()))
    );
    screen.send(Msg::Reply(Reply::Paths {
        typed: "po".to_owned(),
        found: vec!["pods/".to_owned()],
    }));
    screen.effects.clear();
    screen.keys("<tab>");
    let Some(Overlay::Prompt(prompt)) = screen.model.overlays.last() else {
        panic!("the prompt is gone");
    };
    assert_eq!(prompt.line.text(), "create pods/");
    assert_eq!(
        screen.effects,
        [Effect::ListPaths("pods/".to_owned())],
        "the directory is listed next"
    );
}

#[test]
fn time_alone_draws_only_what_reads_differently() {
    let mut screen = Screen::populated(80, 24);
    screen.list(Kind::Pod, vec![running("api-7d9"), running("web-0")]);
    screen.tick(1);
    // One hour old pods read `60m` for a minute; a clock without seconds moves once in a minute.
    for second in 0..30 {
        assert!(
            !screen.tick(1),
            "second {second} changed nothing that is visible"
        );
    }
    assert!(screen.tick(60));
    let text = screen.text();
    assert!(text.contains("03:01"), "{text}");
}

#[test]
fn a_countdown_draws_every_second() {
    let mut screen = Screen::populated(80, 24);
    screen.keys("G");
    screen.tick(1);
    assert!(screen.text().contains("restart in 27s"));
    assert!(screen.tick(1));
    assert!(screen.text().contains("restart in 26s"));
}

#[test]
fn usage_is_polled_only_while_pods_are_shown() {
    let mut screen = Screen::new(80, 24);
    screen.populate();
    assert_eq!(
        screen.model.pending.metrics,
        Some(MetricsScope(Some("default".to_owned())))
    );
    screen.keys(":cm<enter>");
    assert_eq!(
        screen
            .effects
            .iter()
            .rfind(|effect| matches!(effect, Effect::PollMetrics(_))),
        Some(&Effect::PollMetrics(None))
    );
}

fn opened(screen: &Screen) -> Vec<(String, bool)> {
    let opened = screen.effects.iter().filter_map(|effect| match effect {
        Effect::OpenLogs { opening, .. } => {
            Some((opening.container.clone(), opening.after.is_some()))
        }
        _ => None,
    });
    opened.collect()
}

#[test]
fn log_streams_follow_the_selection_and_the_containers() {
    let mut screen = Screen::populated(80, 24);
    screen.keys("G");
    assert_eq!(
        opened(&screen),
        [("main".to_owned(), false), ("sidecar".to_owned(), false)]
    );
    screen.log(0, &["last words"]);
    let generation = screen.model.inspector.logs.generation;
    let ended = Msg::Logs {
        generation,
        source: 0,
        news: LogNews::Ended(None),
    };
    screen.effects.clear();
    screen.send(ended);
    assert!(
        opened(&screen).is_empty(),
        "a dead container is not asked again and again"
    );
    // The container starts again.
    let Object::Pod(pod) = crashing("worker-1") else {
        unreachable!()
    };
    let mut pod = (*pod).clone();
    let statuses = pod
        .status
        .as_mut()
        .unwrap()
        .container_statuses
        .as_mut()
        .unwrap();
    statuses[0].restart_count = 8;
    statuses[0].state =
        serde_json::from_value(json!({"running": {"startedAt": "2026-01-02T03:00:28Z"}})).unwrap();
    change(
        &mut screen,
        WatchEvent::Modified(Object::Pod(std::sync::Arc::new(pod))),
    );
    assert_eq!(
        opened(&screen),
        [("main".to_owned(), true)],
        "from the last line on"
    );
    let text = screen.text();
    assert!(text.contains("!START main restart 8"), "{text}");
    assert!(
        text.contains("!OOM   main killed: out of memory, limit 512Mi, exit 137"),
        "{text}"
    );
}

#[test]
fn a_stream_that_breaks_while_the_container_runs_is_opened_again() {
    let mut screen = Screen::populated(80, 24);
    let generation = screen.model.inspector.logs.generation;
    screen.send(Msg::Logs {
        generation,
        source: 0,
        news: LogNews::Ended(Some("connection reset".to_owned())),
    });
    let retries = screen
        .effects
        .iter()
        .filter(|effect| matches!(effect, Effect::OpenLogs { opening, .. } if opening.is_retry));
    assert_eq!(retries.count(), 1);
}

#[test]
fn scrolling_the_logs_pauses_and_the_end_follows_again() {
    let mut screen = Screen::populated(80, 24);
    let lines: Vec<String> = (0..100).map(|number| format!("line {number:03}")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    screen.log(0, &lines);
    assert!(screen.text().contains("line 099"));
    screen.keys("<tab>kk");
    assert_ne!(screen.model.inspector.logs.position, Position::Follow);
    assert!(!screen.text().contains("line 098"));
    screen.log(0, &["something new"]);
    assert!(!screen.text().contains("something new"));
    screen.keys("g");
    assert!(screen.text().contains("!START main"));
    screen.keys("<ctrl-d>");
    assert!(!screen.text().contains("!START main"));
    screen.keys("G");
    assert_eq!(screen.model.inspector.logs.position, Position::Follow);
    assert!(screen.text().contains("something new"));
    screen.keys("f");
    assert_ne!(screen.model.inspector.logs.position, Position::Follow);
    screen.keys("f");
    assert_eq!(screen.model.inspector.logs.position, Position::Follow);
}

#[test]
fn searching_the_logs() {
    let mut screen = Screen::populated(80, 24);
    let lines: Vec<String> = (0..100)
        .map(|number| {
            if number % 30 == 5 {
                format!("Error {number}")
            } else {
                format!("line {number}")
            }
        })
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    screen.log(0, &lines);
    screen.keys("<tab>/error<enter>");
    assert!(screen.text().contains("Error 95"));
    screen.keys("N");
    assert!(screen.text().contains("Error 65"));
    screen.keys("N");
    assert!(screen.text().contains("Error 35"));
    screen.keys("n");
    assert!(screen.text().contains("Error 65"));
}

#[test]
fn the_mouse_selects_rows_and_tabs_and_scrolls() {
    let mut screen = Screen::populated(80, 24);
    let at = |kind, column, row| {
        Msg::Mouse(MouseEvent {
            kind,
            column,
            row,
            modifiers: KeyModifiers::NONE,
        })
    };
    screen.send(at(MouseEventKind::Down(MouseButton::Left), 5, 4));
    assert_eq!(selected(&screen), "worker-1");
    let text = screen.text();
    let title = text
        .lines()
        .position(|line| line.contains("[1 Logs]"))
        .unwrap();
    let column = text
        .lines()
        .nth(title)
        .unwrap()
        .chars()
        .position(|sign| sign == '2')
        .unwrap();
    let (column, row) = (
        u16::try_from(column).unwrap(),
        u16::try_from(title).unwrap(),
    );
    screen.send(at(MouseEventKind::Down(MouseButton::Left), column, row));
    assert!(screen.text().contains("[2 Events]"));
    assert_eq!(screen.model.focus, Focus::Inspector);
    screen.send(at(MouseEventKind::ScrollUp, 5, 4));
    assert_eq!(selected(&screen), "api-7d9");
}

#[test]
fn text_of_containers_and_objects_cannot_reach_the_terminal() {
    let mut screen = Screen::populated(80, 24);
    let status = json!({"phase": "Failed", "reason": "\u{1b}[2Jbad", "message": "\u{1b}]0;title\u{7}\u{202e}oops"});
    let evil = serde_json::from_value(pod_json("evil", status)).unwrap();
    screen.list(Kind::Pod, vec![Object::Pod(std::sync::Arc::new(evil))]);
    for keys in ["1", "2", "3"] {
        let text = screen.keys(keys).text();
        let is_hostile = |sign: char| (sign.is_control() && sign != '\n') || sign == '\u{202e}';
        assert!(!text.contains(is_hostile), "{text:?}");
    }
}

#[test]
fn no_color_draws_no_colour() {
    let mut screen = Screen::with(
        crate::tui::TuiSettings {
            no_color: true,
            ..settings()
        },
        80,
        24,
    );
    screen.populate();
    screen.keys("G:theme default<enter>");
    screen.log(0, &["\u{1b}[31mred\u{1b}[0m"]);
    let buffer = screen.buffer();
    let is_plain = |cell: &ratatui::buffer::Cell| {
        cell.fg == ratatui::style::Color::Reset && cell.bg == ratatui::style::Color::Reset
    };
    assert!(buffer.content.iter().all(is_plain));
}

#[test]
fn a_mistake_in_the_palette_keeps_the_line() {
    let mut screen = Screen::populated(80, 24);
    screen.keys(":theme nope<enter>");
    assert!(screen.text().contains("there is no theme \"nope\""));
    screen.keys("<ctrl-w>mono<enter>");
    assert!(screen.model.overlays.is_empty());
    assert_eq!(screen.model.look.theme.name, "mono");
}

#[test]
fn a_theme_shows_itself_while_it_is_chosen() {
    let mut screen = Screen::populated(80, 24);
    screen.keys(":theme ");
    assert_eq!(screen.model.look.theme.name, "default");
    screen.keys("<tab>");
    assert_eq!(screen.model.look.theme.name, "default");
    screen.keys("<tab>");
    assert_eq!(screen.model.look.theme.name, "dune");
    screen.keys("<esc>");
    assert_eq!(screen.model.look.theme.name, "default");
    screen.keys(":theme paper<enter>");
    assert_eq!(screen.model.look.theme.name, "paper");
}

#[test]
fn personal_files_change_keys_and_colours_while_the_screen_runs() {
    use crate::tui::msg::Msg;
    use crate::tui::personal::PersonalFiles;
    let mut screen = Screen::populated(120, 30);
    let send = |screen: &mut Screen, config: &str, keys: &str| {
        screen.send(Msg::Personal(Box::new(PersonalFiles {
            config: Ok(Some(config.to_owned())),
            keys: Ok(Some(keys.to_owned())),
            themes: Vec::new(),
        })));
    };
    send(
        &mut screen,
        "[screen]\ntheme = \"harbor\"\n",
        "[anywhere]\nmenu = \"+\"\n",
    );
    assert_eq!(screen.model.look.theme.name, "harbor");
    assert!(
        screen.keys("").text().contains("+ menu"),
        "{}",
        screen.text()
    );
    // The theme chosen on the screen survives a change of the keys, a mistake changes nothing.
    screen.keys(":theme paper<enter>");
    send(
        &mut screen,
        "[screen]\ntheme = \"harbor\"\n",
        "[list]\nnope = \"+\"\n",
    );
    assert!(
        screen
            .text()
            .contains("keys.toml:2:1: there is no command \"nope\"")
    );
    assert_eq!(screen.model.look.theme.name, "paper");
    send(&mut screen, "[screen]\ntheme = \"nope\"\n", "");
    assert!(
        screen
            .text()
            .contains("config.toml: [screen] theme: there is no theme")
    );
    assert_eq!(screen.model.look.theme.name, "paper");
}

#[test]
fn marked_objects_are_deleted_together() {
    let mut screen = Screen::populated(80, 24);
    screen.keys("g  ");
    assert!(screen.text().contains("2 marked"), "{}", screen.text());
    let text = screen.keys("D").text();
    assert!(text.contains("Delete these 2 pods?"), "{text}");
    assert!(text.contains("api-7d9, web-0"), "{text}");
    screen.effects.clear();
    screen.keys("y").tick(6);
    let deleted: Vec<&str> = screen
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Delete { key, options } => {
                assert_eq!(options.grace_period_seconds, None);
                Some(key.name.as_str())
            }
            _ => None,
        })
        .collect();
    assert_eq!(deleted, ["api-7d9", "web-0"]);
    assert!(!screen.text().contains("marked"));
}

#[test]
fn a_range_of_marks_and_esc() {
    let mut screen = Screen::populated(80, 24);
    screen.keys("g Gv");
    assert_eq!(screen.model.list.marks(), 3);
    screen.keys("<esc>");
    assert_eq!(screen.model.list.marks(), 0);
}

#[test]
fn faults_only_and_the_next_problem() {
    let mut screen = Screen::populated(80, 24);
    screen.keys("g!");
    assert_eq!(screen.model.list.selected().unwrap().key.name, "worker-1");
    screen.keys("<esc>");
    let text = screen.keys("f").text();
    assert!(text.contains("faults only (1)"), "{text}");
    assert!(!text.contains("api-7d9"), "{text}");
    let text = screen.keys("<esc>").text();
    assert!(text.contains("api-7d9"), "{text}");
}

#[test]
fn a_filter_that_cannot_be_understood_says_so() {
    let mut screen = Screen::populated(80, 24);
    let text = screen.keys("/-l a in<enter>").text();
    assert!(text.contains("filter: "), "{text}");
    assert!(text.contains("api-7d9"), "{text}");
}

#[test]
fn sorting_by_any_column() {
    let mut screen = Screen::populated(80, 24);
    screen.keys("omem<enter>");
    let names: Vec<&str> = screen
        .model
        .list
        .rows()
        .iter()
        .map(|row| row.key.name.as_str())
        .collect();
    assert_eq!(names, ["worker-1", "api-7d9", "web-0"]);
}

#[test]
fn keys_as_text() {
    assert_eq!(parse_keys("j<enter><<ctrl-u>").len(), 4);
    assert_eq!(now().to_string(), "2026-01-02T03:00:00Z");
}

#[test]
fn a_filter_is_always_in_sight() {
    for width in [80, 40, 20] {
        let mut screen = Screen::populated(width, 24);
        screen.keys("/worker<enter>");
        let text = screen.text();
        assert!(text.contains("/worker (1)"), "{text}");
    }
}

#[test]
fn notes_about_the_machine_leave_the_way_to_help_in_sight() {
    let mut screen = Screen::new(80, 24);
    let mut info = crate::tui::testing::engine_info();
    info.notes = vec!["oom_score_adj refused".to_owned(), "no nft".to_owned()];
    screen.send(Msg::Connected(Box::new(info)));
    let text = screen.text();
    let first = text.lines().next().unwrap_or_default();
    assert!(first.contains("2 notes :messages"), "{text}");
    let last = text.lines().last().unwrap_or_default();
    assert!(last.contains("enter open"), "{text}");
    assert!(last.ends_with("? help  q quit"), "{text}");
    screen.keys(":messages<enter>");
    let text = screen.text();
    assert!(text.contains("oom_score_adj refused"), "{text}");
}

#[test]
fn what_was_logged_before_the_pane_opened_is_no_rate() {
    let mut screen = Screen::populated(80, 24);
    screen.log(0, &["old"; 50]);
    screen.tick(1);
    assert_eq!(screen.model.inspector.logs.per_second, 0);
}

#[test]
fn the_end_of_a_container_stands_behind_its_last_line() {
    let mut screen = Screen::populated(80, 24);
    screen.keys("G");
    // The container of this pod ended at 03:00:00, said in whole seconds.
    let Object::Pod(pod) = crashing("worker-1") else {
        unreachable!()
    };
    let ended = pod
        .status
        .as_ref()
        .unwrap()
        .container_statuses
        .as_ref()
        .unwrap()[0]
        .last_state
        .as_ref()
        .and_then(|state| state.terminated.as_ref()?.finished_at.clone())
        .unwrap()
        .0;
    let generation = screen.model.inspector.logs.generation;
    let line = crate::tui::logs::LogEntry {
        at: Some(ended + jiff::SignedDuration::from_millis(300)),
        source: 0,
        origin: crate::tui::logs::Origin::Output,
        line: crate::tui::sanitize::output_line(b"last words"),
    };
    screen.send(Msg::Logs {
        generation,
        source: 0,
        news: LogNews::Lines(vec![line]),
    });
    let text = screen.text();
    let at = |what: &str| {
        text.find(what)
            .unwrap_or_else(|| panic!("{what} in {text}"))
    };
    assert!(at("last words") < at("!OOM"), "{text}");
}
