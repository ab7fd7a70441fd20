//! Views that come back, have names, are left and returned to; columns; dividers; the list of images.

use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use serde_json::json;

use crate::client::ImageSummary;
use crate::model::Kind;
use crate::tui::TuiSettings;
use crate::tui::effect::{Effect, ImageWork};
use crate::tui::images::Images;
use crate::tui::inspector::Tab;
use crate::tui::msg::Msg;
use crate::tui::testing::{Screen, config_map, settings};
use crate::tui::views::{SessionChange, SessionFile, SessionRead};

/// What would be in the file after these keys.
fn kept(keys: &str) -> SessionFile {
    let mut screen = Screen::populated(80, 24);
    screen.keys(keys);
    let mut file = SessionFile::default();
    last_change(&screen).carry_into(&mut file);
    file
}

fn last_change(screen: &Screen) -> SessionChange {
    let change = screen.effects.iter().rev().find_map(|effect| match effect {
        Effect::KeepSession(change) => Some((**change).clone()),
        _ => None,
    });
    change.expect("the view is kept")
}

fn start_with(settings: TuiSettings, file: SessionFile) -> Screen {
    let mut screen = Screen::with(settings, 80, 24);
    screen.send(Msg::Session(Box::new(SessionRead::Kept(Box::new(file)))));
    screen
}

#[test]
fn the_view_of_the_last_time_comes_back() {
    let file = kept("0wS/work<enter>d>>");
    let text = serde_json::to_string(&file).unwrap();
    let file: SessionFile = serde_json::from_str(&text).unwrap();
    let mut screen = start_with(settings(), file.clone());
    let list = &screen.model.list;
    assert_eq!(
        (list.namespace.as_deref(), list.filter.as_str()),
        (None, "work")
    );
    assert!(list.wide && list.sort.column == crate::tui::columns::ColumnId::Status);
    assert_eq!(screen.model.tab(), Tab::Describe);
    assert!(screen.model.shares.rows.is_some());
    assert!(
        screen
            .text()
            .contains("as last time: pods everywhere, filter work")
    );
    let watched = screen.effects.iter().rev().find_map(|effect| match effect {
        Effect::Watch {
            kind: Kind::Pod,
            namespace,
            ..
        } => Some(namespace.clone()),
        _ => None,
    });
    assert_eq!(watched, Some(None), "all namespaces are watched");
    // A namespace of the command line wins.
    let given = TuiSettings {
        namespace: Some("web".to_owned()),
        namespace_is_given: true,
        ..settings()
    };
    let screen = start_with(given, file);
    assert_eq!(screen.model.list.namespace.as_deref(), Some("web"));
    assert_eq!(screen.model.list.filter, "work");
}

#[test]
fn a_file_that_comes_late_does_not_take_the_screen_from_anybody() {
    let file = kept(":cm<enter>");
    let mut screen = Screen::populated(80, 24);
    screen.keys(":nodes<enter>");
    screen.send(Msg::Session(Box::new(SessionRead::Kept(Box::new(file)))));
    assert_eq!(screen.model.list.kind, Kind::Node);
}

#[test]
fn what_is_wrong_with_the_file_is_told() {
    let mut screen = Screen::new(80, 24);
    screen.send(Msg::Session(Box::new(SessionRead::Damaged {
        aside: "/s/screen.damaged1.json".to_owned(),
        why: "x".to_owned(),
    })));
    assert!(screen.text().contains("the kept views cannot be read (x)"));
    // The first words of the engine do not hide it.
    let mut info = crate::tui::testing::engine_info();
    info.notes = vec!["no user namespaces".to_owned()];
    screen.send(Msg::Connected(Box::new(info)));
    assert!(screen.text().contains("the kept views cannot be read (x)"));
    screen.send(Msg::Session(Box::new(SessionRead::Later(2))));
    assert!(screen.text().contains("a later podtui (version 2)"));
}

#[test]
fn a_view_gets_a_name_and_is_opened_by_it() {
    let mut screen = Screen::populated(80, 24);
    screen.keys("/work<enter><ctrl-s>trouble<enter>");
    assert!(
        screen
            .text()
            .contains("view trouble saved: pods in default, filter work")
    );
    screen.keys("<esc>:cm<enter>:view trouble<enter>");
    assert_eq!(screen.model.list.kind, Kind::Pod);
    assert_eq!(screen.model.list.filter, "work");
    let change = last_change(&screen);
    assert!(change.views["trouble"].is_some());
    screen.keys(":view nope<enter>");
    assert!(screen.text().contains("say which view: trouble"));
    screen.keys("<esc>:view-remove trouble<enter>");
    assert_eq!(last_change(&screen).views["trouble"], None);
    screen.keys("<ctrl-s>two words<enter>");
    assert!(screen.text().contains("one word"));
}

#[test]
fn there_and_back_again() {
    let mut screen = Screen::populated(80, 24);
    screen.keys("-");
    assert!(screen.text().contains("no view before this one"));
    screen.keys("/web<enter>:cm<enter>-");
    assert_eq!(
        (screen.model.list.kind, screen.model.list.filter.as_str()),
        (Kind::Pod, "web")
    );
    screen.keys("-");
    assert_eq!(
        (screen.model.list.kind, screen.model.list.filter.as_str()),
        (Kind::ConfigMap, "")
    );
    screen.keys("-");
    assert_eq!(screen.model.list.kind, Kind::Pod);
}

#[test]
fn columns_are_chosen_and_kept() {
    let mut screen = Screen::populated(80, 24);
    screen.keys("Ostatus<enter><esc>Oip<enter><esc>");
    let text = screen.text();
    let heading = text.lines().nth(1).unwrap();
    assert!(
        !heading.contains("STATUS") && heading.contains("IP"),
        "{heading}"
    );
    let mut file = SessionFile::default();
    last_change(&screen).carry_into(&mut file);
    let mut later = start_with(settings(), file);
    later.populate();
    let text = later.text();
    assert_eq!(text.lines().nth(1).unwrap(), heading);
    // Other kinds have their own.
    later.keys(":cm<enter>ODATA<enter><esc>");
    later.list(Kind::ConfigMap, vec![config_map("a")]);
    let text = later.text();
    assert!(!text.lines().nth(1).unwrap().contains("DATA"), "{text}");
    // A second time brings it back.
    later.keys("ODATA<enter><esc>");
    assert!(later.text().lines().nth(1).unwrap().contains("DATA"));
}

fn mouse(screen: &mut Screen, kind: MouseEventKind, at: (u16, u16)) {
    screen.send(Msg::Mouse(MouseEvent {
        kind,
        column: at.0,
        row: at.1,
        modifiers: KeyModifiers::NONE,
    }));
}

#[track_caller]
fn check_drag(size: (u16, u16), to: (u16, u16)) {
    let mut screen = Screen::populated(size.0, size.1);
    let areas = screen.model.areas();
    let from = if areas.divider.is_empty() {
        (3, areas.inspector.y)
    } else {
        (areas.divider.x, 5)
    };
    mouse(&mut screen, MouseEventKind::Down(MouseButton::Left), from);
    mouse(&mut screen, MouseEventKind::Drag(MouseButton::Left), to);
    mouse(&mut screen, MouseEventKind::Up(MouseButton::Left), to);
    let moved = screen.model.areas();
    let edge = if areas.divider.is_empty() {
        (to.0, moved.inspector.y)
    } else {
        (moved.divider.x, to.1)
    };
    assert_eq!(edge, to, "{size:?}");
    // Without the button nothing moves.
    mouse(&mut screen, MouseEventKind::Drag(MouseButton::Left), from);
    assert_eq!(screen.model.areas(), moved);
}

#[test]
fn dividers_follow_the_mouse() {
    check_drag((80, 24), (3, 15));
    check_drag((80, 24), (3, 5));
    check_drag((200, 50), (150, 9));
    check_drag((200, 50), (40, 9));
}

#[test]
fn dividers_follow_the_keys() {
    let mut screen = Screen::populated(200, 50);
    let before = screen.model.areas().list.width;
    screen.keys("<");
    assert!(screen.model.areas().list.width < before);
    screen.keys(">>");
    assert!(screen.model.areas().list.width > before);
}

#[test]
fn images_are_asked_for_only_while_they_are_looked_at() {
    let mut screen = Screen::populated(100, 24);
    screen.keys(":images<enter>");
    assert_eq!(screen.effects.last(), Some(&Effect::PollImages(true)));
    assert!(screen.text().contains("images: reading"));
    let image = ImageSummary {
        names: vec!["docker.io/library/web:1".to_owned()],
        id: "sha256:1".to_owned(),
        created: None,
        size: 5 << 20,
        layers: vec!["sha256:a".to_owned()],
        used_by: vec!["default/web-0".to_owned()],
        config: json!({}),
        repo_digests: Vec::new(),
        layer_sizes: vec![5 << 20],
        history: json!([{"created_by": "RUN make everything"}]),
    };
    screen.send(Msg::Images(Box::new(Images {
        all: vec![image],
        is_known: true,
        ..Images::default()
    })));
    let text = screen.text();
    assert!(
        text.contains("web:1    5.24MB       1  default/web-0"),
        "{text}"
    );
    assert!(text.contains("IMAGE      SIZE  LAYERS  USED BY"), "{text}");
    screen.keys("<enter>");
    assert!(screen.text().contains("used by: default/web-0"));
    screen.keys("<enter>");
    let text = screen.text();
    assert!(text.contains("5.24MB  RUN make everything"), "{text}");
    screen.keys("<enter>");
    assert!(
        screen.text().contains("digest  sha256:a"),
        "{}",
        screen.text()
    );
    screen.keys("<esc><esc><down><down><enter>");
    assert!(screen.text().contains("It is used by default/web-0"));
    screen.keys("y");
    let remove = ImageWork::Remove("docker.io/library/web:1".to_owned());
    assert!(screen.effects.contains(&Effect::Image(remove)));
    assert!(screen.text().contains("images: 1, 5.24MB unpacked"));
    screen.keys("pull<enter>docker.io/library/x:2<enter>");
    let pull = ImageWork::Pull("docker.io/library/x:2".to_owned());
    assert!(screen.effects.contains(&Effect::Image(pull)));
    screen.keys("<ctrl-u>prune<enter>");
    assert!(screen.text().contains("0 with a name that no pod uses"));
    screen.keys("a");
    let prune = ImageWork::Prune { all: true };
    assert!(screen.effects.contains(&Effect::Image(prune)));
    screen.keys("<esc>");
    assert_eq!(screen.effects.last(), Some(&Effect::PollImages(false)));
}
