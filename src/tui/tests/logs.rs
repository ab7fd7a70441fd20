//! The log pane: what is read from the files and when, what narrows the view, and what leaves it.

use jiff::{SignedDuration, Timestamp};

use crate::model::Kind;
use crate::tui::effect::Effect;
use crate::tui::logs::{LogEntry, LogPage, LogRead, Origin, Position, Seek};
use crate::tui::msg::{LogNews, Msg, Reply};
use crate::tui::sanitize::output_line;
use crate::tui::testing::{Screen, crashing, now, running};

fn at(second: i64) -> Timestamp {
    now() + SignedDuration::from_secs(second)
}

fn line(second: i64, source: usize, text: &str) -> LogEntry {
    LogEntry {
        at: Some(at(second)),
        source,
        origin: Origin::Output,
        line: output_line(text.as_bytes()),
    }
}

/// Lines `line N` of one second each.
fn lines(seconds: std::ops::Range<i64>) -> Vec<LogEntry> {
    seconds
        .map(|second| line(second, 0, &format!("line {second}")))
        .collect()
}

#[track_caller]
fn asked(screen: &mut Screen) -> LogRead {
    let asked = screen.effects.iter().rev().find_map(|effect| match effect {
        Effect::ReadLogs(read) => Some((**read).clone()),
        _ => None,
    });
    screen.effects.clear();
    asked.expect("something is read")
}

fn answer(screen: &mut Screen, read: &LogRead, page: LogPage) {
    screen.send(Msg::LogPage {
        id: read.id,
        page: Box::new(page),
    });
}

/// The newest lines, with older ones in the files.
fn opened() -> Screen {
    let mut screen = Screen::populated(80, 24);
    screen.answers_reads = false;
    screen.keys("<tab>");
    screen.model.inspector.logs.reload();
    screen.tick(0);
    let read = asked(&mut screen);
    assert_eq!((&read.seek, read.from), (&Seek::End, None));
    let page = LogPage {
        entries: lines(0..100),
        older: Some(at(-1)),
        newest: vec![(0, at(99))],
        ..LogPage::default()
    };
    answer(&mut screen, &read, page);
    screen
}

fn streams(screen: &Screen) -> Vec<(String, Option<Timestamp>)> {
    let opened = screen.effects.iter().filter_map(|effect| match effect {
        Effect::OpenLogs { opening, .. } => Some((opening.container.clone(), opening.after)),
        _ => None,
    });
    opened.collect()
}

#[test]
fn streams_begin_behind_what_was_read() {
    let screen = opened();
    assert_eq!(streams(&screen), [("main".to_owned(), Some(at(99)))]);
}

#[test]
fn scrolling_up_reads_back_to_the_first_line() {
    let mut screen = opened();
    screen.keys("g");
    let read = asked(&mut screen);
    assert_eq!(read.seek, Seek::Start);
    let page = LogPage {
        entries: lines(-5000..-1000),
        newer: Some(at(-1000)),
        ..LogPage::default()
    };
    answer(&mut screen, &read, page);
    assert!(screen.text().contains("line -5000"), "{}", screen.text());
    assert!(screen.text().contains("history"), "{}", screen.text());
    assert_eq!(streams(&screen), [], "nothing is followed in the past");
    // Down to the end of what was read: the next part comes.
    screen.effects.clear();
    for _ in 0..400 {
        screen.keys("<pgdn>");
    }
    let read = asked(&mut screen);
    assert_eq!(
        (read.seek.clone(), read.from),
        (Seek::Forward, Some(at(-1000)))
    );
    let page = LogPage {
        entries: lines(-1000..150),
        newest: vec![(0, at(149))],
        ..LogPage::default()
    };
    answer(&mut screen, &read, page);
    assert_eq!(streams(&screen), [("main".to_owned(), Some(at(149)))]);
    screen.keys("G");
    assert!(screen.text().contains("line 149"));
    assert_eq!(screen.model.inspector.logs.position, Position::Follow);
}

#[test]
fn pages_in_front_move_nothing_in_view() {
    let mut screen = opened();
    for _ in 0..12 {
        screen.keys("<pgup>");
    }
    let read = asked(&mut screen);
    assert_eq!((read.seek.clone(), read.from), (Seek::Back, Some(at(-1))));
    let before = screen.text();
    let page = LogPage {
        entries: lines(-4000..0),
        older: Some(at(-4001)),
        ..LogPage::default()
    };
    answer(&mut screen, &read, page);
    let first = |text: &str| {
        text.lines()
            .find(|line| line.contains("line "))
            .unwrap()
            .to_owned()
    };
    assert_eq!(first(&before), first(&screen.text()));
    screen.keys("k");
    assert!(screen.text().contains("line -1"), "{}", screen.text());
}

#[test]
fn a_flood_does_not_push_out_what_is_read() {
    let mut screen = opened();
    screen.keys("kk");
    let text = screen.text();
    screen.effects.clear();
    let generation = screen.model.inspector.logs.generation;
    for chunk in 0..10 {
        let news = LogNews::Lines(lines(100 + chunk * 4000..100 + (chunk + 1) * 4000));
        screen.send(Msg::Logs {
            generation,
            source: 0,
            news,
        });
    }
    let shown = |text: &str| -> Vec<String> {
        text.lines()
            .filter(|line| line.contains("line "))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(shown(&text), shown(&screen.text()));
    assert!(
        screen.effects.contains(&Effect::CloseLogs),
        "the stream is closed"
    );
    screen.keys("f");
    assert_eq!(asked(&mut screen).seek, Seek::End);
}

#[test]
fn a_stream_that_is_too_fast_leaves_lines_to_the_files() {
    let mut screen = opened();
    let generation = screen.model.inspector.logs.generation;
    let news = |news| Msg::Logs {
        generation,
        source: 0,
        news,
    };
    screen.send(news(LogNews::Skipped(at(500))));
    screen.send(news(LogNews::Lines(lines(500..600))));
    assert!(screen.text().contains("line 599"));
    screen.effects.clear();
    for _ in 0..20 {
        screen.keys("<pgup>");
    }
    let read = asked(&mut screen);
    assert_eq!(read.seek, Seek::Back);
    assert_eq!(
        read.from,
        at(500).checked_sub(SignedDuration::from_nanos(1)).ok()
    );
}

#[test]
fn a_search_goes_on_in_the_files() {
    let mut screen = opened();
    screen.keys("/needle<enter>");
    let read = asked(&mut screen);
    assert!(
        matches!(read.seek, Seek::Find { forward: false, .. }),
        "{read:?}"
    );
    assert_eq!(read.from, Some(at(-1)));
    assert!(screen.text().contains("searching"));
    let mut entries = lines(-300..-200);
    entries[50] = line(-250, 0, "the needle");
    let page = LogPage {
        entries,
        older: Some(at(-301)),
        newer: Some(at(-200)),
        found: Some((at(-250), 0)),
        ..LogPage::default()
    };
    answer(&mut screen, &read, page);
    assert!(screen.text().contains("the needle"), "{}", screen.text());
    screen.keys("N");
    let read = asked(&mut screen);
    answer(&mut screen, &read, LogPage::default());
    let text = screen.text();
    assert!(
        text.contains("no earlier match of \"needle\" up to the first line"),
        "{text}"
    );
}

#[test]
fn a_filter_hides_lines_and_counts_them() {
    let mut screen = opened();
    screen.keys("&/[/<enter>");
    assert!(
        !screen.model.overlays.is_empty(),
        "a wrong expression can be mended"
    );
    screen.keys("<esc>");
    screen.effects.clear();
    screen.keys("&line 1<enter>");
    let text = screen.text();
    assert!(text.contains("&line 1 (89 hidden)"), "{text}");
    assert!(
        text.contains("line 19") && !text.contains("line 20"),
        "{text}"
    );
    // The streams go on, and let through what passes.
    assert_eq!(streams(&screen), [("main".to_owned(), Some(at(99)))]);
    let generation = screen.model.inspector.logs.generation;
    screen.send(Msg::Logs {
        generation,
        source: 0,
        news: LogNews::Hidden {
            lines: 1000,
            newest: Some(at(200)),
        },
    });
    assert!(screen.text().contains("(1089 hidden)"));
    // Without it the lines are there again, and those that were hidden are read.
    screen.effects.clear();
    screen.keys("<esc>");
    assert!(screen.text().contains("line 99"));
    assert_eq!(streams(&screen), [("main".to_owned(), Some(at(99)))]);
}

#[test]
fn containers_are_muted_and_heard_alone() {
    let mut screen = Screen::populated(80, 24);
    screen.keys("G<tab>");
    screen.log(0, &["of main"]);
    screen.log(1, &["of sidecar"]);
    screen.keys(".<space>");
    let text = screen.text();
    assert!(
        text.contains("of main") && !text.contains("of sidecar"),
        "{text}"
    );
    assert!(text.contains("(sidecar)"), "{text}");
    screen.keys("<space>");
    assert!(screen.text().contains("of sidecar"));
    screen.keys("S");
    let text = screen.text();
    assert!(
        text.contains("of sidecar") && !text.contains("of main"),
        "{text}"
    );
    screen.keys("S,<space>");
    let text = screen.text();
    assert!(
        text.contains("(main)") && text.contains("of sidecar"),
        "{text}"
    );
}

#[test]
fn marked_lines_are_copied_as_they_are_shown() {
    let mut screen = Screen::populated(80, 24);
    screen.keys("<tab>");
    screen.log(
        0,
        &["one", r#"{"level":"info","msg":"two"}"#, "three\x1b[31m!"],
    );
    screen.keys("Jvkk");
    assert!(screen.text().contains("3 marked"), "{}", screen.text());
    screen.keys("c");
    let copied = screen.effects.iter().find_map(|effect| match effect {
        Effect::Copy(text) => Some(text.clone()),
        _ => None,
    });
    assert_eq!(copied.as_deref(), Some("one\nINFO  two\nthree!"));
}

#[test]
fn times_are_gone_to() {
    let mut screen = opened();
    screen.keys("@nonsense<enter>");
    assert!(screen.text().contains("is no time"), "{}", screen.text());
    screen.keys("<esc>@5m<enter>");
    let read = asked(&mut screen);
    assert_eq!(read.seek, Seek::Around(at(-300)));
    let page = LogPage {
        entries: lines(-400..-200),
        older: Some(at(-401)),
        newer: Some(at(-200)),
        ..LogPage::default()
    };
    answer(&mut screen, &read, page);
    let text = screen.text();
    let first = text.lines().find(|line| line.contains("line -")).unwrap();
    assert!(first.contains("line -300"), "{text}");
    screen.keys("Tlast 10 <enter>");
    let read = asked(&mut screen);
    assert_eq!((read.seek, read.lines), (Seek::End, 10));
}

#[test]
fn the_previous_instance_or_why_not() {
    let mut screen = opened();
    screen.keys("p");
    let read = asked(&mut screen);
    assert!(read.previous);
    let problem = "previous terminated container \"main\" in pod \"api-7d9\" not found";
    let page = LogPage {
        problems: vec![problem.to_owned()],
        ..LogPage::default()
    };
    answer(&mut screen, &read, page);
    assert!(
        screen.text().contains("previous terminated container"),
        "{}",
        screen.text()
    );
    let read = asked(&mut screen);
    assert!(!read.previous, "the newest is shown again");
}

#[test]
fn logs_are_saved_to_a_file_that_is_named() {
    let mut screen = opened();
    screen.keys("W<enter>");
    assert!(
        screen.text().contains("say which file"),
        "{}",
        screen.text()
    );
    screen.keys("/tmp/x.log<enter>");
    let saved = screen.effects.iter().any(|effect| {
        matches!(effect, Effect::SaveLogs { path, read } if path == "/tmp/x.log" && read.sources.len() == 1)
    });
    assert!(saved);
    screen.send(Msg::Reply(Reply::LogSaved("/tmp/x.log".to_owned(), Ok(12))));
    assert!(screen.text().contains("saved 12 lines to /tmp/x.log"));
}

#[test]
fn events_tell_of_earlier_changes_of_the_spec() {
    let mut screen = Screen::populated(80, 24);
    let text = "Container main definition changed, will be restarted";
    let event = crate::tui::testing::event("api-7d9", "Killing", "Normal", text, 1);
    screen.list(Kind::Event, vec![event]);
    let shown = screen.text();
    assert!(
        shown.contains("02:59:48 !SPEC  Container main definition changed"),
        "{shown}"
    );
}

#[test]
fn a_kill_for_lack_of_memory_is_told_with_what_its_story_knows() {
    let mut screen = Screen::populated(240, 50);
    screen.keys("G");
    let text = screen.text();
    assert!(
        text.contains("!OOM   main killed: out of memory, limit 512Mi, exit 137"),
        "{text}"
    );
    let asked = screen.effects.iter().rev().find_map(|effect| match effect {
        Effect::ReadStory(target) => Some(target.clone()),
        _ => None,
    });
    let target = asked.expect("the story is asked for while the log is shown");
    let mut killed = crate::tui::testing::incident("main", 6, 137);
    killed.at = now() - SignedDuration::from_secs(12) + SignedDuration::from_millis(345);
    killed.signal = Some(9);
    killed.reason = "OOMKilled".to_owned();
    (killed.oom_kills, killed.memory_peak, killed.memory_limit) = (1, 511 << 20, Some(512 << 20));
    let mut child = killed.clone();
    child.kind = crate::base::IncidentKind::OutOfMemory;
    child.at = now() - SignedDuration::from_secs(8);
    child.exit_code = None;
    child.victim = Some(crate::base::Victim {
        pid: crate::base::Pid::new(4714),
        name: "python3".to_owned(),
        is_main: false,
    });
    let story = vec![killed, child];
    for _ in 0..2 {
        screen.send(Msg::Story(target.clone(), Ok(story.clone())));
    }
    let text = screen.text();
    assert_eq!(text.matches("!OOM").count(), 2, "{text}");
    assert!(
        text.contains(
            "!OOM   main: memory peak 511Mi of 512Mi, killed: main process, exit 137 (#7)"
        ),
        "{text}"
    );
    assert!(
        text.contains(
            "!OOM   main: memory peak 511Mi of 512Mi, killed: child python3, pid 4714; it runs on"
        ),
        "{text}"
    );
}

#[test]
fn a_resize_in_place_is_marked() {
    let mut screen = Screen::populated(240, 50);
    let with_limit = |generation: i64, memory: &str| {
        let mut value = running("api-7d9").to_value();
        value["metadata"]["generation"] = generation.into();
        let limits = serde_json::json!({"limits": {"memory": memory, "cpu": "200m"}});
        value["spec"]["containers"][0]["resources"] = limits;
        crate::model::Object::from_value(Kind::Pod, value).unwrap()
    };
    screen.list(Kind::Pod, vec![with_limit(1, "64Mi")]);
    screen.list(Kind::Pod, vec![with_limit(2, "128Mi")]);
    let done = crate::tui::testing::event(
        "api-7d9",
        "ResizeCompleted",
        "Normal",
        "Pod resize completed: {}",
        1,
    );
    screen.list(Kind::Event, vec![done]);
    let text = screen.text();
    assert!(
        text.contains("!SPEC  memory limit of main: 64Mi -> 128Mi (generation 1 -> 2)"),
        "{text}"
    );
    assert!(text.contains("!SPEC  Pod resize completed"), "{text}");
}

#[test]
fn a_change_of_the_spec_is_marked() {
    let mut screen = Screen::populated(80, 24);
    let with_image = |generation: i64, image: &str| {
        let mut value = running("api-7d9").to_value();
        value["metadata"]["generation"] = generation.into();
        value["spec"]["containers"][0]["image"] = image.into();
        crate::model::Object::from_value(Kind::Pod, value).unwrap()
    };
    screen.list(Kind::Pod, vec![with_image(1, "a:1")]);
    screen.list(Kind::Pod, vec![with_image(2, "a:2"), crashing("worker-1")]);
    let text = screen.text();
    assert!(
        text.contains("!SPEC  image of main: a:1 -> a:2 (generation 1 -> 2)"),
        "{text}"
    );
}
