//! What somebody new to the screen stumbled over.

use serde_json::json;

use crate::model::{Kind, Object};
use crate::tui::effect::Effect;
use crate::tui::logs::Target;
use crate::tui::msg::{Msg, TtyNews};
use crate::tui::personal::PersonalFiles;
use crate::tui::testing::{Screen, config_map, crashing, event, incident, running, settings};
use crate::tui::views::{SessionChange, SessionFile, SessionRead};

/// A running pod of this generation whose deletion was asked for.
fn terminating(name: &str, generation: u64) -> Object {
    let mut value = running(name).to_value();
    value["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:00:30Z");
    value["metadata"]["deletionGracePeriodSeconds"] = json!(30);
    value["metadata"]["generation"] = json!(generation);
    Object::from_value(Kind::Pod, value).unwrap()
}

fn deletions(screen: &Screen) -> Vec<Option<i64>> {
    let grace = |effect: &Effect| match effect {
        Effect::Delete { options, .. } => Some(options.grace_period_seconds),
        _ => None,
    };
    screen.effects.iter().filter_map(grace).collect()
}

#[track_caller]
fn check_contains(screen: &mut Screen, wanted: &[&str], unwanted: &[&str]) {
    let text = screen.text();
    for one in wanted {
        assert!(text.contains(one), "{one:?} is missing in\n{text}");
    }
    for one in unwanted {
        assert!(!text.contains(one), "{one:?} is in\n{text}");
    }
}

#[test]
fn a_deletion_is_no_change_of_the_spec() {
    let mut screen = Screen::populated(80, 24);
    let mut pod = running("web-0").to_value();
    pod["metadata"]["generation"] = json!(1);
    let first = Object::from_value(Kind::Pod, pod.clone()).unwrap();
    screen.list(Kind::Pod, vec![first]);
    screen.list(Kind::Pod, vec![terminating("web-0", 2)]);
    check_contains(&mut screen, &["Terminating"], &["!SPEC"]);
    // A change of a pod that stays is told.
    pod["metadata"]["generation"] = json!(2);
    let mut screen = Screen::populated(80, 24);
    screen.list(Kind::Pod, vec![terminating("other", 1), running("web-0")]);
    screen.keys("G");
    let mut before = pod.clone();
    before["metadata"]["generation"] = json!(1);
    for value in [before, pod] {
        screen.list(
            Kind::Pod,
            vec![Object::from_value(Kind::Pod, value).unwrap()],
        );
    }
    check_contains(
        &mut screen,
        &["!SPEC  the spec was changed (generation 1 -> 2)"],
        &[],
    );
}

#[test]
fn what_terminates_can_only_be_killed_and_that_at_once() {
    let mut screen = Screen::populated(80, 24);
    screen.list(Kind::Pod, vec![terminating("web-0", 2)]);
    screen.keys("D");
    check_contains(
        &mut screen,
        &["terminates already", "Kill (k)"],
        &["taken back", "Delete (y)"],
    );
    screen.effects.clear();
    screen.keys("y");
    assert_eq!(deletions(&screen), []);
    screen.keys("k");
    assert_eq!(deletions(&screen), [Some(0)]);
    check_contains(&mut screen, &[], &["deleting"]);
    // Of several, those that do not terminate yet have their time to be taken back.
    screen.list(Kind::Pod, vec![running("api"), terminating("web-0", 2)]);
    screen.effects.clear();
    screen.keys("g<space><space>Dk");
    assert_eq!(deletions(&screen), [Some(0)]);
    check_contains(&mut screen, &["deleting pod api in 5 s"], &[]);
}

#[test]
fn marks_come_back_with_what_was_to_be_deleted() {
    let mut screen = Screen::populated(80, 24);
    screen.keys("<space><space>Dy");
    assert_eq!(screen.model.list.marks(), 0);
    screen.keys("u");
    assert_eq!(screen.model.list.marks(), 2);
    screen.keys("<esc>");
    // What was not marked is not marked afterwards.
    screen.keys("Dyu");
    assert_eq!(screen.model.list.marks(), 0);
}

#[test]
fn the_countdown_never_says_zero() {
    let mut screen = Screen::populated(80, 24);
    screen.keys("Dy");
    for _ in 0..5 {
        screen.tick(1);
        check_contains(&mut screen, &["deleting in "], &["in 0 s"]);
    }
    screen.tick(1);
    assert_eq!(deletions(&screen).len(), 1);
}

#[test]
fn describe_and_spec_can_be_searched() {
    for (tab, text) in [("d", "localhost/toolbox"), ("y", "localhost/toolbox")] {
        let mut screen = Screen::populated(80, 24);
        screen.keys("G").keys(tab).keys("<tab>/toolbox");
        let matched = screen.model.look.theme.styles.matched;
        check_contains(
            &mut screen,
            &["/toolbox 2 lines", "enter find  esc cancel"],
            &[],
        );
        screen.keys("<enter>");
        check_contains(&mut screen, &["/toolbox 1 of 2", text], &[]);
        let buffer = screen.buffer();
        let lit = buffer.content.iter().filter(|cell| {
            cell.bg == matched.bg.unwrap_or(cell.bg) && cell.modifier.contains(matched.add_modifier)
        });
        assert!(lit.count() >= "toolbox".len(), "the match is lit");
        screen.keys("n");
        check_contains(&mut screen, &["/toolbox 2 of 2", text], &[]);
        screen.keys("n");
        check_contains(&mut screen, &["no next match of \"toolbox\""], &[]);
        screen.keys("N");
        check_contains(&mut screen, &["/toolbox 1 of 2"], &[]);
        // One level back: the search, then the focus.
        screen.keys("<esc>");
        check_contains(&mut screen, &[], &["/toolbox 1 of"]);
    }
    let mut screen = Screen::populated(80, 24);
    screen.keys("5<tab>/");
    check_contains(&mut screen, &["no search in Metrics"], &[]);
}

#[test]
fn events_of_several_containers_name_theirs() {
    let mut screen = Screen::populated(120, 30);
    let mut started = event("worker-1", "Started", "Normal", "Container started", 1).to_value();
    started["involvedObject"]["fieldPath"] = json!("spec.containers{sidecar}");
    let of_one = |name: &str| {
        let mut value = event(name, "Started", "Normal", "Container started", 1).to_value();
        value["involvedObject"]["fieldPath"] = json!("spec.containers{main}");
        Object::from_value(Kind::Event, value).unwrap()
    };
    let started = Object::from_value(Kind::Event, started).unwrap();
    screen.list(Kind::Event, vec![started, of_one("web-0")]);
    screen.keys("G2z");
    screen.keys("z<tab>z");
    check_contains(&mut screen, &["sidecar: Container started"], &[]);
    let mut screen = Screen::populated(80, 24);
    screen.list(Kind::Event, vec![of_one("web-0")]);
    screen.keys("j2");
    check_contains(
        &mut screen,
        &["Container started"],
        &["main: Container started"],
    );
}

#[test]
fn a_kill_that_ended_the_container_is_told_once() {
    let story = |seconds: i64| {
        let mut end = incident("main", 3, 137);
        end.reason = "OOMKilled".to_owned();
        end.oom_kills = 1;
        end.memory_peak = 20 << 20;
        let mut kill = end.clone();
        kill.kind = crate::base::IncidentKind::OutOfMemory;
        kill.exit_code = None;
        kill.at = end.at - jiff::SignedDuration::from_secs(seconds);
        let mut screen = Screen::populated(200, 50);
        screen.keys("G2");
        let row = screen.model.list.selected().unwrap();
        let target = Target {
            key: row.key.clone(),
            uid: row.object.uid(),
        };
        screen.send(Msg::Story(target, Ok(vec![kill, end])));
        screen
    };
    check_contains(&mut story(0), &["#4 OOMKilled, exit 137"], &["runs on"]);
    check_contains(
        &mut story(60),
        &["#4 OOMKilled, exit 137", "OOM kill, runs on"],
        &[],
    );
}

#[test]
fn wide_shows_whole_addresses_at_80_columns() {
    let mut screen = Screen::populated(80, 24);
    let mut pod = running("web-0").to_value();
    pod["status"]["podIP"] = json!("10.203.101.117");
    screen.list(Kind::Pod, vec![Object::from_value(Kind::Pod, pod).unwrap()]);
    screen.keys("w");
    check_contains(&mut screen, &["10.203.101.117", "AGE"], &["MEM 5m"]);
}

#[test]
fn the_arrow_points_the_way_the_column_goes() {
    for (keys, title) in [
        ("", "NAME↑"),
        ("N", "NAME↓"),
        ("R", "RST↓"),
        ("RR", "RST↑"),
        ("C", "CPU↓"),
        ("M", "MEM↓"),
        ("A", "AGE↑"),
    ] {
        let mut screen = Screen::populated(80, 24);
        screen.keys(keys);
        check_contains(&mut screen, &[title], &[]);
    }
    let mut screen = Screen::populated(80, 24);
    screen.keys("o");
    check_contains(&mut screen, &["cpu-percent", "memory-percent"], &["%l"]);
}

#[test]
fn one_unit_for_memory_and_one_restart() {
    let mut screen = Screen::populated(200, 50);
    let mut pod = crashing("worker-1").to_value();
    pod["status"]["containerStatuses"][0]["restartCount"] = json!(1);
    pod["spec"]["containers"][1]["resources"] = json!({"limits": {"memory": "64Mi"}});
    screen.list(Kind::Pod, vec![Object::from_value(Kind::Pod, pod).unwrap()]);
    screen.keys("5");
    check_contains(
        &mut screen,
        &["limit 576Mi", "1 restart;"],
        &["576M ", "1 restarts"],
    );
}

#[test]
fn usage_in_the_header_is_of_the_pods_below() {
    let mut screen = Screen::populated(80, 24);
    check_contains(&mut screen, &["mem 730Mi"], &[]);
    screen.list(Kind::Pod, Vec::new());
    check_contains(&mut screen, &["pods 0"], &["mem 7"]);
    let mut screen = Screen::populated(80, 24);
    screen.keys("0");
    let elsewhere = vec![running("web-0")];
    screen.list(Kind::Pod, elsewhere);
    check_contains(&mut screen, &["ns:<all>"], &["mem 7"]);
    screen.metrics(&[("web-0", 4, 9 << 20)]);
    check_contains(&mut screen, &["mem 9.0Mi"], &[]);
    // An answer that was under way when the namespace was chosen.
    screen.keys(":ns kube-system<enter>");
    screen.metrics(&[("web-0", 4, 9 << 20)]);
    assert_eq!(screen.model.metrics.total(), None);
}

#[test]
fn a_filter_takes_the_first_match_or_what_was_selected() {
    let pods = || ["api", "db", "web-0", "web-1"].map(running).to_vec();
    for (keys, expected) in [("j/web", "web-0"), ("G/web", "web-1"), ("jj/w", "web-0")] {
        let mut screen = Screen::populated(80, 24);
        screen.list(Kind::Pod, pods());
        screen.keys(keys);
        let selected = screen.model.list.selected().unwrap();
        assert_eq!(selected.key.name, expected, "{keys}");
    }
    // What goes by itself leaves the selection in its place.
    let mut screen = Screen::populated(80, 24);
    screen.list(Kind::Pod, pods());
    screen.keys("jj");
    screen.list(Kind::Pod, ["api", "db", "web-1"].map(running).to_vec());
    assert_eq!(screen.model.list.selected().unwrap().key.name, "web-1");
}

#[test]
fn what_narrows_the_list_cuts_no_column_title() {
    for keys in [
        "<space>",
        "/web<enter>",
        "/a-long-filter-that-hides-much<enter>",
    ] {
        let mut screen = Screen::populated(80, 24);
        screen.keys(keys);
        let text = screen.text();
        let heading = text.lines().nth(1).unwrap().to_owned();
        let titles = [
            "MEM%R", "CPU%R", "NAME↑", "READY", "STATUS", "RST", "LAST", "CPU", "%L", "MEM", "AGE",
            "5m",
        ];
        let told = heading.find(['/', '1']).unwrap();
        for word in heading[..told].split_whitespace() {
            assert!(titles.contains(&word), "{word} in {heading}");
        }
    }
}

#[test]
fn a_prompt_says_what_its_keys_do() {
    for (keys, wanted) in [
        ("/", "enter keep it  esc as before"),
        ("<enter>&", "enter only these"),
        ("<enter>/", "enter find"),
        (":create ", "tab complete"),
        ("nfile<enter>", "enter create  esc cancel"),
        ("<ctrl-s>", "enter save"),
    ] {
        let mut screen = Screen::populated(80, 24);
        screen.keys(keys);
        check_contains(&mut screen, &[wanted], &[]);
    }
}

#[test]
fn the_palette_uses_half_of_the_screen_and_counts_the_rest() {
    for (rows, least) in [(24, 11), (50, 24)] {
        let mut screen = Screen::populated(80, rows);
        screen.keys(":");
        let all = match screen.model.overlays.last() {
            Some(crate::tui::overlay::Overlay::Prompt(prompt)) => prompt.completions.len(),
            other => panic!("{other:?}"),
        };
        let text = format!("… {} more", all - least);
        check_contains(&mut screen, &[&text], &[]);
        // The last one is reached, and then none is left.
        screen.keys("<shift-tab>");
        check_contains(&mut screen, &["zoom the focused region"], &[" more\n"]);
    }
    let mut screen = Screen::populated(80, 24);
    screen.keys(":theme ");
    check_contains(&mut screen, &["theme default"], &[" more\n"]);
}

#[test]
fn help_ends_where_it_ends_and_says_when_nothing_matches() {
    let mut screen = Screen::populated(80, 24);
    screen.keys("?");
    check_contains(&mut screen, &["▶ enter "], &["first tab", "sixth tab"]);
    screen.keys("<end>");
    check_contains(&mut screen, &["suspend podtui"], &["▶ enter "]);
    screen.keys("<home>");
    check_contains(&mut screen, &["▶ enter "], &[]);
    screen.keys("nosuchthing");
    check_contains(&mut screen, &["no match"], &[]);
    // The keys of the tab come first.
    let mut screen = Screen::populated(80, 24);
    screen.keys("<enter>?");
    check_contains(&mut screen, &["▶ /  ", "search in the logs"], &[]);
    let mut screen = Screen::populated(80, 24);
    screen.keys("?the tab");
    check_contains(&mut screen, &["the tab Logs", "the tab Metrics"], &[]);
}

#[test]
fn the_mouse_is_left_to_the_terminal_for_a_session() {
    let mut screen = Screen::populated(80, 24);
    screen.keys(":mouse<enter>");
    check_contains(&mut screen, &["say mouse on, or mouse off"], &[]);
    screen.keys(" off<enter>");
    assert!(screen.effects.contains(&Effect::Mouse(false)));
    // Whoever takes the terminal again leaves the mouse where it is.
    screen.effects.clear();
    screen.send(Msg::Resumed);
    assert_eq!(screen.effects[..2], [Effect::Reenter, Effect::Mouse(false)]);
    screen.effects.clear();
    screen.keys("<ctrl-z>");
    assert_eq!(screen.effects[..2], [Effect::Suspend, Effect::Mouse(false)]);
    screen.effects.clear();
    screen.keys(":mouse on<enter>");
    assert!(screen.effects.contains(&Effect::Mouse(true)));
    screen.effects.clear();
    screen.keys("<ctrl-z>");
    assert!(!screen.effects.contains(&Effect::Mouse(false)));
}

#[test]
fn copies_are_sent_not_made() {
    let mut screen = Screen::populated(80, 24);
    screen.keys("c<enter>");
    let words = "name (7 characters) sent to the clipboard of the terminal";
    check_contains(&mut screen, &[words], &["copied"]);
}

#[test]
fn the_shell_that_was_shown_last_comes_back() {
    let mut screen = Screen::populated(80, 24);
    let mut open = |keys: &str| {
        screen.keys(keys);
        let found = screen.effects.iter().rev().find_map(|effect| match effect {
            Effect::OpenTerminal(request) => Some(request.id),
            _ => None,
        });
        let id = found.expect("a shell is opened");
        let news = TtyNews::Started("sh".to_owned());
        screen.send(Msg::Tty { id, news });
        id
    };
    let first = open("s");
    let second = open("<ctrl-]><tab>s");
    assert_ne!(first, second);
    let third = open("<ctrl-]><tab>js");
    assert_ne!(second, third);
    let shown = |screen: &Screen| screen.model.terms.active().unwrap().id;
    // Another pod's shell is in sight; of the two of this pod the second was seen last.
    screen.keys("<ctrl-]><tab>ks");
    assert_eq!(shown(&screen), second);
    screen.keys("<ctrl-]>ds");
    assert_eq!(shown(&screen), second);
    screen.keys("<ctrl-]>p<ctrl-]>ds");
    assert_eq!(shown(&screen), first);
}

#[test]
fn other_kinds_have_their_name_and_their_hints() {
    let mut screen = Screen::populated(120, 30);
    screen.keys(":cm<enter>");
    let maps = ["a", "b", "c"].map(config_map).to_vec();
    screen.list(Kind::ConfigMap, maps);
    let hints = ["l logs", "s shell", "a attach", "r restart", "  pods 3"];
    check_contains(
        &mut screen,
        &["configmaps 3", "e edit", "D delete", "bad pods 1"],
        &hints,
    );
    screen.keys("?shell in");
    check_contains(&mut screen, &["no match"], &[]);
}

#[test]
fn what_is_special_to_a_tab_is_hinted_first() {
    let mut screen = Screen::populated(80, 24);
    screen.list(Kind::Pod, vec![running("web-0")]);
    screen.keys("<enter>");
    let hints = ["/ search", "f follow", "p previous", "o container"];
    check_contains(&mut screen, &hints, &["l logs", "! attention"]);
    let mut screen = Screen::populated(80, 24);
    check_contains(&mut screen, &["NORMAL  ! attention"], &[]);
    screen.keys("<enter>");
    check_contains(&mut screen, &["NORMAL  ! attention  / search"], &[]);
}

#[test]
fn the_reason_has_what_is_free_and_bad_pods_are_told_on_a_small_screen() {
    let mut screen = Screen::populated(200, 50);
    let text = screen.text();
    let row = text.lines().find(|line| line.contains("worker-1")).unwrap();
    assert!(row.contains("main: OOMKilled, exit 137"), "{row}");
    let mut screen = Screen::populated(40, 12);
    check_contains(&mut screen, &["bad 1"], &[]);
    let mut screen = Screen::populated(20, 8);
    check_contains(&mut screen, &["bad 1"], &[]);
}

fn last_change(screen: &Screen) -> SessionChange {
    let change = screen.effects.iter().rev().find_map(|effect| match effect {
        Effect::KeepSession(change) => Some((**change).clone()),
        _ => None,
    });
    change.expect("the view is kept")
}

fn with_config(screen: &mut Screen, config: &str) {
    screen.send(Msg::Personal(Box::new(PersonalFiles {
        config: Ok(Some(config.to_owned())),
        ..PersonalFiles::default()
    })));
}

#[test]
fn a_chosen_theme_is_there_at_the_next_start() {
    let mut screen = Screen::populated(80, 24);
    screen.keys(":theme dune<enter>");
    let mut file = SessionFile::default();
    last_change(&screen).carry_into(&mut file);
    assert_eq!(file.theme.as_deref(), Some("dune"));
    let start = |config: &str| {
        let mut screen = Screen::with(settings(), 80, 24);
        with_config(&mut screen, config);
        screen.send(Msg::Session(Box::new(SessionRead::Kept(Box::new(
            file.clone(),
        )))));
        screen
    };
    let mut screen = start("");
    assert_eq!(screen.model.look.theme.name, "dune");
    // Another setting changes nothing of it, and a screen that chose none keeps what others chose.
    with_config(&mut screen, "[screen]\nbell = true\n");
    assert_eq!(screen.model.look.theme.name, "dune");
    screen.keys("w");
    last_change(&screen).carry_into(&mut file.clone());
    assert_eq!(last_change(&screen).theme, None);
    // What the file names wins, and that is told.
    let mut screen = start("[screen]\ntheme = \"harbor\"\n");
    assert_eq!(screen.model.look.theme.name, "harbor");
    screen.keys(":theme paper<enter>");
    check_contains(
        &mut screen,
        &["paper for now: config.toml names the theme"],
        &[],
    );
    screen.keys("w");
    assert_eq!(last_change(&screen).theme, None);
    with_config(&mut screen, "[screen]\nbell = true\ntheme = \"harbor\"\n");
    assert_eq!(screen.model.look.theme.name, "paper");
    // A theme that is gone is told and costs nothing else.
    file.theme = Some("gone".to_owned());
    let mut screen = Screen::with(settings(), 80, 24);
    screen.send(Msg::Session(Box::new(SessionRead::Kept(Box::new(file)))));
    check_contains(&mut screen, &["there is no theme \"gone\""], &[]);
}
