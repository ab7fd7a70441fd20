//! Terminals in the screen: opened, typed into, left, and fed with what a hostile program writes.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use insta::assert_snapshot;
use proptest::prelude::*;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};

use crate::base::{SessionEnd, TerminalSize};
use crate::tui::TuiSettings;
use crate::tui::effect::{Effect, OpenTerminal};
use crate::tui::msg::{Msg, TtyChunk, TtyNews};
use crate::tui::overlay::{Focus, Mode};
use crate::tui::panes::view;
use crate::tui::term::{CursorShape, Purpose, SessionId};
use crate::tui::terminal::FrameBackend;
use crate::tui::testing::{Screen, running, settings};

fn opened(screen: &mut Screen) -> OpenTerminal {
    let effects = std::mem::take(&mut screen.effects);
    let opened = effects.into_iter().find_map(|effect| match effect {
        Effect::OpenTerminal(request) => Some(*request),
        _ => None,
    });
    opened.expect("a terminal is opened")
}

fn news(screen: &mut Screen, id: SessionId, news: TtyNews) {
    screen.send(Msg::Tty { id, news });
}

fn output(screen: &mut Screen, id: SessionId, bytes: &[u8]) {
    let chunk = TtyChunk::new(bytes.to_vec().into(), None);
    news(screen, id, TtyNews::Output(chunk));
}

/// A screen with a shell in `api-7d9`.
fn shell_in(mut screen: Screen) -> (Screen, SessionId) {
    screen.keys("s");
    let request = opened(&mut screen);
    assert_eq!(request.purpose, Purpose::Shell);
    news(&mut screen, request.id, TtyNews::Started("bash".to_owned()));
    screen.effects.clear();
    (screen, request.id)
}

fn shell(columns: u16, rows: u16) -> (Screen, SessionId) {
    shell_in(Screen::populated(columns, rows))
}

/// What was written to the program.
fn sent(screen: &mut Screen) -> String {
    let effects = std::mem::take(&mut screen.effects);
    let bytes = effects.into_iter().filter_map(|effect| match effect {
        Effect::SendTty { bytes, .. } => Some(bytes),
        _ => None,
    });
    bytes
        .flatten()
        .collect::<Vec<u8>>()
        .escape_ascii()
        .to_string()
}

#[test]
fn the_program_starts_with_the_size_of_its_region() {
    for (columns, rows, expected) in [(80, 24, (80, 12)), (200, 50, (200, 28)), (20, 5, (20, 2))] {
        let mut screen = Screen::populated(columns, rows);
        screen.keys("s");
        let request = opened(&mut screen);
        let (columns, rows) = expected;
        assert_eq!(request.size, TerminalSize { columns, rows });
        assert_eq!(request.container, "main");
        // Nothing to correct afterwards.
        assert!(
            !screen
                .effects
                .iter()
                .any(|effect| matches!(effect, Effect::ResizeTty { .. }))
        );
    }
}

#[test]
fn list_logs_and_shell_80x24() {
    let (mut screen, id) = shell(80, 24);
    screen.log(0, &["listening on :8080", "GET /healthz 200"]);
    output(
        &mut screen,
        id,
        b"# \x1b[1;32mls\x1b[0m\r\nbin  etc  \xe4\xb8\x96\xe7\x95\x8c\r\n# ",
    );
    assert_snapshot!(screen.text());
}

#[test]
fn list_logs_and_shell_200x50() {
    let (mut screen, id) = shell(200, 50);
    screen.log(0, &["listening on :8080", "GET /healthz 200"]);
    output(&mut screen, id, b"# ls\r\nbin  etc\r\n# ");
    screen.keys("<ctrl-]><tab>js");
    let second = opened(&mut screen);
    news(&mut screen, second.id, TtyNews::Started("sh".to_owned()));
    output(&mut screen, second.id, b"\x1b]2;second\x07$ ");
    assert_snapshot!(screen.text());
}

#[test]
fn every_key_but_the_chord_is_the_programs() {
    let (mut screen, _) = shell(80, 24);
    assert_eq!(screen.model.mode(), Mode::Term);
    screen.keys("q:?/l<esc><tab><ctrl-c><ctrl-z><up><ctrl-p>x");
    assert_eq!(sent(&mut screen), "q:?/l\\x1b\\t\\x03\\x1a\\x1b[A\\x10x");
    assert!(screen.model.overlays.is_empty());
    screen.keys("<ctrl-]>]<ctrl-]><ctrl-]>");
    assert_eq!(sent(&mut screen), "\\x1d\\x1d");
    screen.keys("<ctrl-]>z");
    assert!(screen.model.is_zoomed);
    assert_eq!(sent(&mut screen), "");
    // A key without a meaning behind the chord is not passed on.
    screen.keys("<ctrl-]>w");
    assert_eq!(sent(&mut screen), "");
    assert_eq!(screen.model.mode(), Mode::Term);
}

#[test]
fn a_shell_goes_on_out_of_sight() {
    let (mut screen, id) = shell(80, 24);
    output(&mut screen, id, b"before");
    // ctrl-p is forwarded at once; only the ctrl-q behind it is taken.
    screen.keys("<ctrl-p>");
    assert_eq!(sent(&mut screen), "\\x10");
    screen.keys("<ctrl-q>");
    assert_eq!(screen.model.focus, Focus::List);
    assert!(!screen.model.terms.is_shown());
    assert_eq!(screen.effects, [], "nothing is sent, nothing is closed");
    screen.model.pending.is_dirty = false;
    output(&mut screen, id, b" after");
    assert!(
        !screen.model.pending.is_dirty,
        "out of sight: nothing to draw"
    );
    screen.keys("s");
    assert!(
        screen
            .effects
            .iter()
            .all(|effect| !matches!(effect, Effect::OpenTerminal(_)))
    );
    assert!(screen.text().contains("before after"));
    // In sight and asked for again: another one.
    screen.keys("<ctrl-]><tab>s");
    let second = opened(&mut screen);
    assert_ne!(second.id, id);
    assert_eq!(screen.model.terms.count(), (2, 2));
    screen.keys("<ctrl-]>p");
    assert!(screen.text().contains("before after"));
    screen.keys("<ctrl-]>c");
    assert!(screen.effects.contains(&Effect::CloseTerminal(id)));
    assert_eq!(screen.model.terms.count(), (1, 1));
}

#[test]
fn without_a_running_container_there_is_a_reason() {
    let mut screen = Screen::populated(120, 30);
    let crash = crate::tui::testing::pod_json(
        "broken",
        serde_json::json!({"phase": "Running", "containerStatuses": [{"name": "main", "ready": false,
            "restartCount": 1, "image": "", "imageID": "", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}),
    );
    let object = crate::model::Object::from_value(crate::model::Kind::Pod, crash).unwrap();
    screen.list(crate::model::Kind::Pod, vec![object]);
    screen.keys("s");
    assert_eq!(
        screen
            .effects
            .iter()
            .find(|effect| matches!(effect, Effect::OpenTerminal(_))),
        None
    );
    let text = screen.text();
    assert!(
        text.contains("no container of broken is running (main: CrashLoopBackOff"),
        "{text}"
    );
    screen.keys(":cm<enter>s");
    assert!(screen.text().contains("needs a pod"));
}

#[test]
fn what_cannot_start_leaves_a_reason_and_no_region() {
    let mut screen = Screen::populated(120, 30);
    screen.keys("s");
    let id = opened(&mut screen).id;
    let problem = "no shell: neither bash nor sh could be started".to_owned();
    news(&mut screen, id, TtyNews::Ended(SessionEnd::Failed(problem)));
    assert!(!screen.model.terms.is_shown());
    assert_eq!(screen.model.focus, Focus::List);
    assert!(
        screen
            .text()
            .contains("main: no shell: neither bash nor sh")
    );
}

#[test]
fn an_ended_session_shows_its_exit_code() {
    let (mut screen, id) = shell(80, 24);
    output(&mut screen, id, b"# exit 3");
    news(&mut screen, id, TtyNews::Ended(SessionEnd::Exited(3)));
    let text = screen.text();
    assert!(text.contains("ended api-7d9/main exited 3"), "{text}");
    assert!(
        text.contains("enter close") && text.contains("r again"),
        "{text}"
    );
    screen.keys("x");
    assert_eq!(sent(&mut screen), "");
    screen.keys("r");
    let again = opened(&mut screen);
    assert_eq!(
        (again.purpose, again.container.as_str()),
        (Purpose::Shell, "main")
    );
    // Late news of the first have no effect on the second.
    output(&mut screen, id, b"ghost");
    assert!(!screen.text().contains("ghost"));
    news(&mut screen, again.id, TtyNews::Ended(SessionEnd::Exited(0)));
    screen.keys("<enter>");
    assert!(!screen.model.terms.is_shown());
    assert_eq!(screen.model.focus, Focus::List);
}

/// `api-7d9` with these fields of its container.
fn attached(fields: serde_json::Value) -> (Screen, OpenTerminal) {
    let mut screen = Screen::populated(80, 24);
    let mut object = running("api-7d9").to_value();
    let container = object["spec"]["containers"][0].as_object_mut().unwrap();
    container.extend(fields.as_object().unwrap().clone());
    let object = crate::model::Object::from_value(crate::model::Kind::Pod, object).unwrap();
    screen.list(crate::model::Kind::Pod, vec![object]);
    screen.keys("a");
    let request = opened(&mut screen);
    news(&mut screen, request.id, TtyNews::Started("main".to_owned()));
    (screen, request)
}

#[test]
fn attaching_knows_what_the_container_has() {
    let (mut screen, request) = attached(serde_json::json!({"tty": true, "stdin": true}));
    assert_eq!(
        request.purpose,
        Purpose::Attach {
            tty: true,
            stdin: true
        }
    );
    assert!(screen.text().contains("ctrl-c: main"));
    screen.keys("a<enter>");
    assert_eq!(sent(&mut screen), "a\\r");
    // Attached once: the same terminal comes back.
    screen.keys("<ctrl-]><tab>a");
    assert_eq!(screen.model.terms.count(), (1, 1));
    screen.keys("<ctrl-]>d");
    assert!(screen.effects.contains(&Effect::CloseTerminal(request.id)));
    assert!(screen.text().contains("detached from main, which goes on"));

    let (mut screen, request) = attached(serde_json::json!({}));
    assert_eq!(
        request.purpose,
        Purpose::Attach {
            tty: false,
            stdin: false
        }
    );
    output(&mut screen, request.id, b"one\ntwo\n");
    let text = screen.text();
    assert!(
        text.contains("\none") && text.contains("\ntwo"),
        "a line feed starts a line: {text}"
    );
    assert!(text.contains("ctrl-c: nowhere"), "{text}");
    screen.keys("a");
    assert_eq!(sent(&mut screen), "");
    assert!(screen.text().contains("reads no input"));

    let (mut screen, _) = attached(serde_json::json!({"stdin": true}));
    screen.keys("a<enter>");
    assert_eq!(sent(&mut screen), "a\\n", "no terminal turns CR into LF");
    assert!(screen.text().contains("\na"), "echo");
}

#[test]
fn questions_are_answered_to_the_program() {
    let (mut screen, id) = shell(80, 24);
    output(
        &mut screen,
        id,
        b"\x1b[6n\x1b[5n\x1b[c\x1b[18t\x1b]11;?\x07\x1b]52;c;?\x07\x1b[14t\x1b[21t\x1bP$qm\x1b\\",
    );
    let answers = sent(&mut screen);
    assert_eq!(
        answers,
        "\\x1b[1;1R\\x1b[0n\\x1b[?6c\\x1b[8;12;80t\\x1b]11;rgb:0000/0000/0000\\x1b\\\\"
    );
    // A flood of questions is not a flood of answers.
    output(&mut screen, id, &b"\x1b[6n".repeat(4000));
    let answers: usize = screen
        .effects
        .iter()
        .map(|effect| match effect {
            Effect::SendTty { bytes, .. } => bytes.len(),
            _ => 0,
        })
        .sum();
    assert!(answers <= 4096, "{answers}");
}

#[test]
fn the_clipboard_is_written_after_a_yes() {
    let (mut screen, id) = shell(120, 30);
    output(&mut screen, id, b"\x1b]52;c;aGVsbG8=\x07");
    assert!(screen.effects.is_empty());
    assert!(screen.text().contains("wants to copy 5 characters"));
    // Typing goes on; no key of it can be taken for an answer.
    screen.keys("y");
    assert_eq!(sent(&mut screen), "y");
    screen.keys("<ctrl-]>y");
    assert!(screen.effects.contains(&Effect::Copy("hello".to_owned())));
    screen.effects.clear();
    output(&mut screen, id, b"\x1b]52;c;YWdhaW4=\x07");
    assert_eq!(
        screen.effects,
        [Effect::Copy("again".to_owned())],
        "asked once"
    );
    screen.keys("<ctrl-]>N");
    screen.effects.clear();
    output(&mut screen, id, b"\x1b]52;c;YWdhaW4=\x07");
    assert_eq!(screen.effects, []);
    assert!(!screen.text().contains("wants to copy"));
}

#[test]
fn titles_and_notifications_are_rare() {
    let (mut screen, id) = shell(120, 30);
    output(&mut screen, id, b"\x1b]2;one\x07\x1b]9;first\x07");
    let text = screen.text();
    assert!(
        text.contains("bash - one") && text.contains("main: first"),
        "{text}"
    );
    for number in 0..50 {
        output(
            &mut screen,
            id,
            format!("\x1b]2;t{number}\x07\x1b]9;n{number}\x07").as_bytes(),
        );
    }
    let text = screen.text();
    assert!(
        text.contains("bash - one") && text.contains("main: first"),
        "{text}"
    );
    assert!(screen.tick(1), "the last title shows");
    assert!(screen.text().contains("bash - t49"));
    screen.tick(5);
    output(&mut screen, id, b"\x1b]9;later\x07");
    assert!(screen.text().contains("main: later"));
}

#[test]
fn a_link_shows_its_host_when_clicked() {
    let (mut screen, id) = shell(120, 30);
    output(&mut screen, id, b"\x1b]8;;https://good.example@evil.example/x\x07https://good.example\x1b]8;;\x07 \x1b]8;;file:///etc\x07no\x1b]8;;\x07");
    let top = screen.model.areas().terminal.y + 1;
    let mut click = |column| {
        for kind in [
            MouseEventKind::Down(MouseButton::Left),
            MouseEventKind::Up(MouseButton::Left),
        ] {
            let modifiers = KeyModifiers::NONE;
            screen.send(Msg::Mouse(MouseEvent {
                kind,
                column,
                row: top,
                modifiers,
            }));
        }
        screen.text()
    };
    assert!(!click(21).contains("link to"));
    let text = click(3);
    assert!(
        text.contains("link to evil.example: https://good.example@evil.example/x"),
        "{text}"
    );
}

#[test]
fn scrollback_search_and_copy() {
    let (mut screen, id) = shell(80, 24);
    for number in 0..20_000 {
        output(
            &mut screen,
            id,
            format!("line {number} of many\r\n").as_bytes(),
        );
    }
    let (_, kept) = screen.model.terms.active().unwrap().scrolled();
    assert_eq!(kept, 10_000);
    screen.keys("<ctrl-]>[/line 15000<enter>");
    let text = screen.text();
    assert!(
        text.contains("line 15000 of many") && text.contains("SCROLL"),
        "{text}"
    );
    screen.keys("y");
    assert!(
        screen
            .effects
            .contains(&Effect::Copy("line 15000".to_owned())),
        "{:?}",
        screen.effects
    );
    let text = screen.text();
    assert!(
        text.contains("line 19999") && text.contains("10 characters sent to"),
        "{text}"
    );
    screen.keys("<ctrl-]>[/nowhere<enter>");
    assert!(screen.text().contains("\"nowhere\" is not to be found"));
    screen.keys("g");
    assert!(screen.text().contains("line 99"), "{}", screen.text());
    screen.keys("<esc>");
    assert_eq!(screen.model.mode(), Mode::Term);
}

#[test]
fn a_drag_of_the_mouse_copies_unless_the_program_wants_it() {
    let (mut screen, id) = shell(80, 24);
    output(&mut screen, id, b"hello world");
    let row = screen.model.areas().terminal.y + 1;
    let drag = |screen: &mut Screen| {
        for (kind, column) in [
            (MouseEventKind::Down(MouseButton::Left), 0),
            (MouseEventKind::Drag(MouseButton::Left), 4),
            (MouseEventKind::Up(MouseButton::Left), 4),
        ] {
            let modifiers = KeyModifiers::NONE;
            screen.send(Msg::Mouse(MouseEvent {
                kind,
                column,
                row,
                modifiers,
            }));
        }
    };
    drag(&mut screen);
    assert_eq!(screen.effects, [Effect::Copy("hello".to_owned())]);
    screen.effects.clear();
    output(&mut screen, id, b"\x1b[?1002h\x1b[?1006h");
    drag(&mut screen);
    assert_eq!(
        sent(&mut screen),
        "\\x1b[<0;1;1M\\x1b[<32;5;1M\\x1b[<0;5;1m"
    );
}

#[test]
fn modes_of_the_program_reach_what_is_sent() {
    let (mut screen, id) = shell(80, 24);
    output(&mut screen, id, b"\x1b[?1h\x1b[?2004h\x1b[?1004h\x1b[5 q");
    assert!(
        screen
            .effects
            .contains(&Effect::CursorShape(CursorShape::Bar))
    );
    screen.effects.clear();
    screen.keys("<up>");
    assert_eq!(sent(&mut screen), "\\x1bOA");
    screen.send(Msg::Paste("a\nb".to_owned()));
    assert_eq!(sent(&mut screen), "\\x1b[200~a\\nb\\x1b[201~");
    screen.send(Msg::Focus(false));
    assert_eq!(sent(&mut screen), "\\x1b[O");
    screen.send(Msg::Focus(true)).keys("<ctrl-]><tab>");
    assert_eq!(sent(&mut screen), "\\x1b[I\\x1b[O");
}

#[test]
fn every_motion_is_heard_while_a_program_wants_it() {
    let (mut screen, id) = shell(80, 24);
    let outer = |screen: &mut Screen| -> Vec<bool> {
        let effects = std::mem::take(&mut screen.effects);
        let motion = effects.into_iter().filter_map(|effect| match effect {
            Effect::MouseMotion(is_on) => Some(is_on),
            _ => None,
        });
        motion.collect()
    };
    output(&mut screen, id, b"\x1b[?1003h\x1b[?1006h");
    assert_eq!(outer(&mut screen), [true]);
    screen.text();
    let moved = |column, row| {
        Msg::Mouse(MouseEvent {
            kind: MouseEventKind::Moved,
            column,
            row,
            modifiers: KeyModifiers::NONE,
        })
    };
    screen.send(moved(4, 15));
    assert_eq!(sent(&mut screen), "\\x1b[<35;5;5M");
    // Outside of the region it is nobody's, and it never draws a frame by itself.
    screen.send(moved(4, 2));
    assert_eq!(sent(&mut screen), "");
    // Somebody else had the terminal meanwhile.
    screen.send(Msg::Resumed);
    assert_eq!(outer(&mut screen), [true]);
    screen.keys("<ctrl-]>[");
    assert_eq!(outer(&mut screen), [false]);
    screen.keys("<esc>");
    assert_eq!(outer(&mut screen), [true]);
    screen.keys("<ctrl-]><tab>");
    assert_eq!(outer(&mut screen), [false]);
}

#[test]
fn a_synchronised_update_ends_by_itself() {
    let (mut screen, id) = shell(80, 24);
    output(&mut screen, id, b"\x1b[?2026hhidden");
    assert!(!screen.text().contains("hidden"));
    let Some(Effect::ReleaseTtySoon { hold, .. }) = screen.effects.first().cloned() else {
        panic!("{:?}", screen.effects);
    };
    news(&mut screen, id, TtyNews::Release(hold));
    assert!(screen.text().contains("hidden"));
    output(&mut screen, id, b"\x1b[?2026hwhole\x1b[?2026l");
    assert!(screen.text().contains("whole"));
}

#[test]
fn colours_and_no_colour() {
    use ratatui::style::{Color, Modifier};
    let bytes = b"\x1b[31ma\x1b[38;5;208mb\x1b[38;2;1;2;3mc\x1b[0;1;7;48;5;17md";
    let cells = |settings: TuiSettings| {
        let mut screen = Screen::with(settings, 80, 24);
        screen.populate();
        let (mut screen, id) = shell_in(screen);
        output(&mut screen, id, bytes);
        let row = screen.model.areas().terminal.y + 1;
        let buffer = screen.buffer();
        let cell = |x: u16| buffer[(x, row)].clone();
        [cell(0), cell(1), cell(2), cell(3)]
    };
    let colored = cells(settings());
    let colors = colored.each_ref().map(|cell| cell.fg);
    assert_eq!(
        colors[..3],
        [Color::Indexed(1), Color::Indexed(208), Color::Rgb(1, 2, 3)]
    );
    assert_eq!(colored[3].bg, Color::Indexed(17));
    let plain = cells(TuiSettings {
        no_color: true,
        ..settings()
    });
    assert!(
        plain
            .iter()
            .all(|cell| (cell.fg, cell.bg) == (Color::Reset, Color::Reset))
    );
    assert_eq!(plain[3].modifier, Modifier::BOLD | Modifier::REVERSED);
}

/// What reaches the terminal of the user.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The bytes of a frame with this output in a pane.
fn drawn(pieces: &[&[u8]]) -> (Vec<u8>, Vec<Effect>) {
    let (mut screen, id) = shell(100, 30);
    let captured = Captured::default();
    let options = TerminalOptions {
        viewport: Viewport::Fixed(Rect::new(0, 0, 100, 30)),
    };
    let backend = FrameBackend::new(captured.clone());
    let mut terminal = Terminal::with_options(backend, options).unwrap();
    for (number, piece) in pieces.iter().enumerate() {
        output(&mut screen, id, piece);
        // A frame now and then, as under load; always the last.
        if number % 64 != 0 && number + 1 != pieces.len() {
            continue;
        }
        terminal.draw(|frame| view(&screen.model, frame)).unwrap();
    }
    let bytes = captured.0.lock().unwrap().clone();
    (bytes, screen.effects)
}

/// Everything must be text or one of the few sequences that a frame is made of.
fn foreign_sequence(bytes: &[u8]) -> Option<String> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return Some(error.to_string()),
    };
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        let is_unsafe = character.is_control()
            || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if character == '\x1b' {
            let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
            let (sequence, tail) = rest.split_at(end + 1);
            let parameters = &sequence[1..end];
            let is_ours = sequence.starts_with('[')
                && match sequence.as_bytes()[end] {
                    b'H' | b'm' => parameters
                        .bytes()
                        .all(|byte| byte.is_ascii_digit() || matches!(byte, b';' | b':')),
                    b'h' | b'l' => matches!(parameters, "?2026" | "?25"),
                    _ => false,
                };
            if !is_ours {
                return Some(sequence.escape_debug().to_string());
            }
            rest = tail;
        } else if is_unsafe {
            return Some(character.escape_unicode().to_string());
        }
    }
    None
}

fn check_hostile(pieces: &[&[u8]]) {
    let (bytes, effects) = drawn(pieces);
    assert!(!bytes.is_empty());
    if let Some(foreign) = foreign_sequence(&bytes) {
        panic!("{foreign} reached the terminal");
    }
    for effect in effects {
        let is_known = matches!(
            effect,
            Effect::SendTty { .. }
                | Effect::ReleaseTtySoon { .. }
                | Effect::CursorShape(_)
                | Effect::MouseMotion(_)
        );
        assert!(is_known, "{effect:?}");
    }
}

#[test]
fn the_corpus_of_hostile_output_stays_inside() {
    let directory = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/terminal/hostile"
    );
    let mut count = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        check_hostile(&[&bytes]);
        let bytewise: Vec<&[u8]> = bytes.chunks(7).collect();
        check_hostile(&bytewise);
        count += 1;
    }
    assert!(count >= 10, "{count} files");
}

/// Pieces that mean something to some terminal, so that random sequences of them go far.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    const WORDS: &[&str] = &[
        "\x1b",
        "\x1b[",
        "\x1b]",
        "\x1bP",
        "\x1b_",
        "\x1b^",
        "\x1bX",
        "\x1b\\",
        "\x07",
        "\x18",
        "\u{9b}",
        "\u{9d}",
        "\u{85}",
        "52;c;aGk=",
        "0;",
        "8;;https://a.example/",
        "9;",
        "2004h",
        "?1049h",
        "?1049l",
        "?2026h",
        "?2026l",
        "31m",
        "38;2;1;2;3m",
        "2J",
        "3J",
        "H",
        "99;99H",
        "5;10r",
        "65535b",
        "65535L",
        "65535@",
        "?6h",
        "\r\n",
        "\t",
        "\x0e",
        "\x0f",
        "\x1b(0",
        "\x1b(B",
        "\x1bc",
        "\x1b7",
        "\x1b8",
        "\x1bM",
        "\x1bD",
        "\x1b#8",
        "\u{4e16}\u{754c}",
        "\u{1f469}\u{200d}\u{1f469}",
        "\u{2764}\u{fe0f}",
        "e\u{301}\u{301}",
        "\u{202e}",
        "\u{2028}",
        "\u{e0001}",
        "\u{ad}",
        "\u{feff}",
        "4h",
        "4l",
        "?7l",
        "20h",
        "6n",
        "c",
        "?25l",
        "5 q",
    ];
    prop_oneof![
        4 => (0..WORDS.len()).prop_map(|index| WORDS[index].as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..12),
        1 => any::<char>().prop_map(|character| character.to_string().into_bytes()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn nothing_foreign_reaches_the_terminal(fragments in proptest::collection::vec(fragment(), 0..150)) {
        let (bytes, _) = drawn(&[&fragments.concat()]);
        prop_assert_eq!(foreign_sequence(&bytes), None);
    }

    #[test]
    fn no_size_panics(steps in proptest::collection::vec((1u16..=300, 1u16..=100, fragment()), 1..25)) {
        let (mut screen, id) = shell(80, 24);
        for (columns, rows, bytes) in steps {
            output(&mut screen, id, &bytes);
            output(&mut screen, id, "\u{4e16}\u{754c}\u{1f44d} wide ".repeat(20).as_bytes());
            screen.send(Msg::Resize { columns, rows });
            screen.buffer();
        }
    }
}

#[test]
fn a_thousand_sizes_do_not_panic() {
    let (mut screen, id) = shell(80, 24);
    // xorshift, so that a failure is found again.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        u16::try_from(state % below).unwrap()
    };
    for step in 0..1000_u32 {
        let text =
            "\u{4e16}\u{754c} \u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467} e\u{301} \u{1f44d} text ";
        output(
            &mut screen,
            id,
            text.repeat(usize::from(random(12))).as_bytes(),
        );
        let place = format!("\x1b[{};{}H", random(120), random(320));
        output(&mut screen, id, place.as_bytes());
        match step % 50 {
            10 => output(&mut screen, id, b"\x1b[?1049h"),
            20 => output(&mut screen, id, b"\x1b[?1049l"),
            30 => drop(screen.keys("<ctrl-]>[kkkvh")),
            40 => drop(screen.keys("<esc><ctrl-]>z")),
            _ => {}
        }
        let (columns, rows) = (1 + random(300), 1 + random(100));
        screen.send(Msg::Resize { columns, rows });
        if step % 4 == 0 {
            screen.buffer();
        }
    }
}
