//! No size and no order of messages panics, and what is on the screen is always safe text.

use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use proptest::prelude::*;

use crate::client::WatchEvent;
use crate::model::Kind;
use crate::tui::msg::{LogNews, Msg, Reply, WatchNews};
use crate::tui::testing::{Screen, changes, crashing, parse_keys, running};

const KEYS: &str = "jkgGldnDowtf/NnzZ0wSRCMA123[]:?q hello!&.,pvcTJ@ <tab><shift-tab><enter><esc><up><down><left>\
    <right><pgup><pgdn><home><end><backspace><del><ctrl-u><ctrl-d><ctrl-c><ctrl-w><ctrl-l>y";

#[derive(Clone, Debug)]
enum Step {
    Key(usize),
    Resize(u16, u16),
    Mouse(u8, u16, u16),
    Tick(i64),
    Add(u8),
    Remove(u8),
    Expire,
    Lines(Vec<Vec<u8>>),
    LogEnd,
    Problems,
    Paste(String),
}

fn step() -> impl Strategy<Value = Step> {
    let keys = parse_keys(KEYS).len();
    prop_oneof![
        8 => (0..keys).prop_map(Step::Key),
        2 => (1u16..300, 1u16..100).prop_map(|(columns, rows)| Step::Resize(columns, rows)),
        1 => (1u16..20, 1u16..10).prop_map(|(columns, rows)| Step::Resize(columns, rows)),
        1 => (0u8..3, 0u16..300, 0u16..100).prop_map(|(kind, x, y)| Step::Mouse(kind, x, y)),
        1 => (0i64..4000).prop_map(Step::Tick),
        1 => (0u8..30).prop_map(Step::Add),
        1 => (0u8..30).prop_map(Step::Remove),
        1 => Just(Step::Expire),
        2 => proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..50).prop_map(Step::Lines),
        1 => Just(Step::LogEnd),
        1 => Just(Step::Problems),
        1 => any::<String>().prop_map(Step::Paste),
    ]
}

fn apply(screen: &mut Screen, step: Step) {
    let watch = |screen: &Screen, news| Msg::Watch {
        kind: Kind::Pod,
        generation: screen.model.collections.get(Kind::Pod).unwrap().generation,
        news,
    };
    let object = |number: u8| {
        let name = format!("pod-{number}");
        if number.is_multiple_of(3) {
            crashing(&name)
        } else {
            running(&name)
        }
    };
    let generation = screen.model.inspector.logs.generation;
    let msg = match step {
        Step::Key(index) => Msg::Key(parse_keys(KEYS)[index]),
        Step::Resize(columns, rows) => Msg::Resize { columns, rows },
        Step::Mouse(kind, column, row) => Msg::Mouse(MouseEvent {
            kind: match kind {
                0 => MouseEventKind::Down(MouseButton::Left),
                1 => MouseEventKind::ScrollUp,
                _ => MouseEventKind::ScrollDown,
            },
            column,
            row,
            modifiers: KeyModifiers::NONE,
        }),
        Step::Tick(seconds) => {
            screen.tick(seconds);
            return;
        }
        Step::Add(number) => watch(screen, changes(vec![WatchEvent::Added(object(number))])),
        Step::Remove(number) => watch(screen, changes(vec![WatchEvent::Deleted(object(number))])),
        Step::Expire => watch(screen, WatchNews::Lost("broken".to_owned())),
        Step::Lines(lines) => {
            let text: Vec<String> = lines
                .iter()
                .map(|line| String::from_utf8_lossy(line).into_owned())
                .collect();
            let text: Vec<&str> = text.iter().map(String::as_str).collect();
            screen.log(0, &text);
            return;
        }
        Step::LogEnd => Msg::Logs {
            generation,
            source: 1,
            news: LogNews::Ended(Some("gone".to_owned())),
        },
        Step::Problems => Msg::Reply(Reply::Created {
            path: "x".to_owned(),
            created: Vec::new(),
            warnings: Vec::new(),
            problems: vec!["a:1:1: b".repeat(40)],
        }),
        Step::Paste(text) => Msg::Paste(text),
    };
    screen.send(msg);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics(steps in proptest::collection::vec(step(), 1..60)) {
        let mut screen = Screen::populated(80, 24);
        for step in steps {
            apply(&mut screen, step);
            let text = screen.text();
            prop_assert!(!text.contains(|sign: char| sign.is_control() && sign != '\n'), "{:?}", text);
        }
    }
}

#[test]
fn every_size_draws() {
    let mut screen = Screen::populated(80, 24);
    let lines = ["wide 世界 text 👩‍👩‍👧 and more", "\x1b[31mred\x1b[0m plain"];
    screen.log(0, &lines);
    for overlay in ["", "?", ":", "D", "q", "n", "2", "3", "1<tab>/a"] {
        screen.keys(overlay);
        for columns in [1, 2, 3, 5, 8, 13, 21, 34, 55, 79, 80, 119, 120, 200, 300] {
            for rows in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 24, 50, 100] {
                screen.send(Msg::Resize { columns, rows });
                screen.text();
            }
        }
        screen.keys("<esc>");
    }
}
