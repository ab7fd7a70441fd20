//! Keys, pastes, focus and the mouse as bytes for the program, in the words of xterm
//! (<https://invisible-island.net/xterm/ctlseqs/ctlseqs.html>).

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

use super::emulator::{Modes, MouseEncoding, MouseMode};

/// `None` for keys that no terminal has bytes for.
pub(super) fn key(event: KeyEvent, modes: Modes) -> Option<Vec<u8>> {
    let modifiers = event.modifiers;
    let alt = modifiers.contains(KeyModifiers::ALT);
    let bytes = match event.code {
        KeyCode::Char(character) => character_bytes(character, modifiers)?,
        KeyCode::Enter => vec![b'\r'],
        KeyCode::Tab => vec![b'\t'],
        KeyCode::BackTab => return Some(b"\x1b[Z".to_vec()),
        KeyCode::Esc => vec![0x1b],
        KeyCode::Backspace if modifiers.contains(KeyModifiers::CONTROL) => vec![0x08],
        KeyCode::Backspace => vec![0x7f],
        KeyCode::Null => vec![0],
        other => return special(other, modifiers, modes),
    };
    if alt {
        return Some([&[0x1b], bytes.as_slice()].concat());
    }
    Some(bytes)
}

fn character_bytes(character: char, modifiers: KeyModifiers) -> Option<Vec<u8>> {
    if !modifiers.contains(KeyModifiers::CONTROL) {
        return Some(character.to_string().into_bytes());
    }
    let byte = match character.to_ascii_lowercase() {
        letter @ 'a'..='z' => u8::try_from(letter).ok()? - b'a' + 1,
        ' ' | '2' | '@' => 0,
        '3' | '[' => 0x1b,
        '4' | '\\' => 0x1c,
        '5' | ']' => 0x1d,
        '6' | '^' => 0x1e,
        '7' | '_' | '/' => 0x1f,
        '8' | '?' => 0x7f,
        other => return Some(other.to_string().into_bytes()),
    };
    Some(vec![byte])
}

/// Keys that are sequences; `CSI 1 ; m X` and `CSI n ; m ~` carry modifiers.
fn special(code: KeyCode, modifiers: KeyModifiers, modes: Modes) -> Option<Vec<u8>> {
    let parameter = 1
        + u8::from(modifiers.contains(KeyModifiers::SHIFT))
        + 2 * u8::from(modifiers.contains(KeyModifiers::ALT))
        + 4 * u8::from(modifiers.contains(KeyModifiers::CONTROL));
    let letter = |letter: char, application: bool| match (parameter, application) {
        (1, true) => format!("\x1bO{letter}"),
        (1, false) => format!("\x1b[{letter}"),
        (parameter, _) => format!("\x1b[1;{parameter}{letter}"),
    };
    let tilde = |number: u8| match parameter {
        1 => format!("\x1b[{number}~"),
        parameter => format!("\x1b[{number};{parameter}~"),
    };
    let text = match code {
        KeyCode::Up => letter('A', modes.application_cursor),
        KeyCode::Down => letter('B', modes.application_cursor),
        KeyCode::Right => letter('C', modes.application_cursor),
        KeyCode::Left => letter('D', modes.application_cursor),
        KeyCode::Home => letter('H', modes.application_cursor),
        KeyCode::End => letter('F', modes.application_cursor),
        // The 5 of the keypad.
        KeyCode::KeypadBegin => letter('E', modes.application_keypad),
        KeyCode::Insert => tilde(2),
        KeyCode::Delete => tilde(3),
        KeyCode::PageUp => tilde(5),
        KeyCode::PageDown => tilde(6),
        KeyCode::F(1) => letter('P', true),
        KeyCode::F(2) => letter('Q', true),
        KeyCode::F(3) => letter('R', true),
        KeyCode::F(4) => letter('S', true),
        KeyCode::F(number @ 5..=20) => {
            const NUMBERS: [u8; 16] = [
                15, 17, 18, 19, 20, 21, 23, 24, 25, 26, 28, 29, 31, 32, 33, 34,
            ];
            tilde(NUMBERS[usize::from(number - 5)])
        }
        _ => return None,
    };
    Some(text.into_bytes())
}

/// With bracketed paste the program can tell a paste from typing; the text must not end the bracket itself.
/// Without it a line end is what the Enter key sends.
pub(super) fn paste(text: &str, modes: Modes) -> Vec<u8> {
    if modes.bracketed_paste {
        let text: String = text
            .chars()
            .filter(|c| !matches!(c, '\u{1b}' | '\u{9b}'))
            .collect();
        return format!("\x1b[200~{text}\x1b[201~").into_bytes();
    }
    text.replace("\r\n", "\r").replace('\n', "\r").into_bytes()
}

pub(super) fn focus(is_focused: bool, modes: Modes) -> Option<Vec<u8>> {
    let bytes: &[u8] = if is_focused { b"\x1b[I" } else { b"\x1b[O" };
    modes.focus_events.then(|| bytes.to_vec())
}

/// The wheel as arrow keys, for full-screen programs that know no mouse (mode 1007).
pub(super) fn wheel_as_arrows(kind: MouseEventKind, modes: Modes) -> Option<Vec<u8>> {
    if !(modes.alternate_screen && modes.alternate_scroll) {
        return None;
    }
    let code = match kind {
        MouseEventKind::ScrollUp => KeyCode::Up,
        MouseEventKind::ScrollDown => KeyCode::Down,
        _ => return None,
    };
    let arrow = special(code, KeyModifiers::NONE, modes)?;
    Some(arrow.repeat(3))
}

/// `event` counts columns and rows from the top left of the grid. `None` when the program has not asked for
/// this kind of event.
pub(super) fn mouse(event: MouseEvent, modes: Modes) -> Option<Vec<u8>> {
    let number = |button| match button {
        MouseButton::Left => 0_u8,
        MouseButton::Middle => 1,
        MouseButton::Right => 2,
    };
    let (code, is_release) = match event.kind {
        MouseEventKind::Down(button) => (number(button), false),
        MouseEventKind::Up(button) => (number(button), true),
        MouseEventKind::Drag(button) => (32 + number(button), false),
        MouseEventKind::Moved => (35, false),
        MouseEventKind::ScrollUp => (64, false),
        MouseEventKind::ScrollDown => (65, false),
        MouseEventKind::ScrollLeft => (66, false),
        MouseEventKind::ScrollRight => (67, false),
    };
    let is_wanted = match (modes.mouse, event.kind) {
        (MouseMode::Off, _) => false,
        (MouseMode::Motion, _) => true,
        (MouseMode::Drags, MouseEventKind::Moved) => false,
        (MouseMode::Buttons, MouseEventKind::Moved | MouseEventKind::Drag(_)) => false,
        (MouseMode::Drags | MouseMode::Buttons, _) => true,
    };
    if !is_wanted {
        return None;
    }
    let modifiers = 4 * u8::from(event.modifiers.contains(KeyModifiers::SHIFT))
        + 8 * u8::from(event.modifiers.contains(KeyModifiers::ALT))
        + 16 * u8::from(event.modifiers.contains(KeyModifiers::CONTROL));
    let (column, row) = (u32::from(event.column) + 1, u32::from(event.row) + 1);
    if modes.mouse_encoding == MouseEncoding::Sgr {
        let end = if is_release { 'm' } else { 'M' };
        return Some(format!("\x1b[<{};{column};{row}{end}", code + modifiers).into_bytes());
    }
    // Without SGR a release does not say of which button.
    let code = if is_release { 3 } else { code } + modifiers;
    let mut bytes = b"\x1b[M".to_vec();
    for value in [u32::from(code), column, row] {
        match modes.mouse_encoding {
            MouseEncoding::Utf8 => {
                let character = char::from_u32(value + 32).filter(|_| value < 2016)?;
                bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            MouseEncoding::Bytes | MouseEncoding::Sgr => {
                bytes.push(u8::try_from(value + 32).ok()?);
            }
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: KeyCode, modifiers: KeyModifiers, modes: Modes, expected: &str) {
        let bytes = key(KeyEvent::new(code, modifiers), modes).unwrap();
        assert_eq!(
            bytes.escape_ascii().to_string(),
            expected.as_bytes().escape_ascii().to_string()
        );
    }

    #[test]
    fn keys() {
        const NONE: KeyModifiers = KeyModifiers::NONE;
        const CONTROL: KeyModifiers = KeyModifiers::CONTROL;
        let plain = Modes::default();
        let application = Modes {
            application_cursor: true,
            application_keypad: true,
            ..plain
        };
        check(KeyCode::Enter, NONE, plain, "\r");
        check(KeyCode::Backspace, NONE, plain, "\x7f");
        check(KeyCode::Esc, NONE, plain, "\x1b");
        check(KeyCode::Char('\u{e4}'), NONE, plain, "\u{e4}");
        check(KeyCode::Char('c'), CONTROL, plain, "\x03");
        check(KeyCode::Char('5'), CONTROL, plain, "\x1d");
        check(KeyCode::Char(']'), CONTROL, plain, "\x1d");
        check(KeyCode::Char(' '), CONTROL, plain, "\0");
        check(KeyCode::Char('x'), KeyModifiers::ALT, plain, "\x1bx");
        check(
            KeyCode::Char('x'),
            KeyModifiers::ALT | CONTROL,
            plain,
            "\x1b\x18",
        );
        check(KeyCode::Up, NONE, plain, "\x1b[A");
        check(KeyCode::Up, NONE, application, "\x1bOA");
        check(KeyCode::Up, CONTROL, application, "\x1b[1;5A");
        check(KeyCode::Home, NONE, application, "\x1bOH");
        check(KeyCode::KeypadBegin, NONE, application, "\x1bOE");
        check(KeyCode::Delete, KeyModifiers::SHIFT, plain, "\x1b[3;2~");
        check(KeyCode::F(1), NONE, plain, "\x1bOP");
        check(KeyCode::F(12), NONE, plain, "\x1b[24~");
        check(KeyCode::BackTab, KeyModifiers::SHIFT, plain, "\x1b[Z");
    }

    #[test]
    fn a_paste_stays_in_its_bracket() {
        let bracketed = Modes {
            bracketed_paste: true,
            ..Modes::default()
        };
        assert_eq!(
            paste("a\x1b[201~b\nc", bracketed),
            b"\x1b[200~a[201~b\nc\x1b[201~"
        );
        assert_eq!(paste("a\r\nb\nc", Modes::default()), b"a\rb\rc");
    }

    #[track_caller]
    fn check_mouse(
        kind: MouseEventKind,
        mode: MouseMode,
        encoding: MouseEncoding,
        expected: Option<&[u8]>,
    ) {
        let event = MouseEvent {
            kind,
            column: 299,
            row: 4,
            modifiers: KeyModifiers::NONE,
        };
        let modes = Modes {
            mouse: mode,
            mouse_encoding: encoding,
            ..Modes::default()
        };
        assert_eq!(mouse(event, modes).as_deref(), expected);
    }

    #[test]
    fn the_mouse_speaks_only_when_asked() {
        let down = MouseEventKind::Down(MouseButton::Left);
        let up = MouseEventKind::Up(MouseButton::Right);
        let drag = MouseEventKind::Drag(MouseButton::Left);
        let sgr = MouseEncoding::Sgr;
        check_mouse(down, MouseMode::Off, sgr, None);
        check_mouse(down, MouseMode::Buttons, sgr, Some(b"\x1b[<0;300;5M"));
        check_mouse(up, MouseMode::Buttons, sgr, Some(b"\x1b[<2;300;5m"));
        check_mouse(drag, MouseMode::Buttons, sgr, None);
        check_mouse(drag, MouseMode::Drags, sgr, Some(b"\x1b[<32;300;5M"));
        check_mouse(MouseEventKind::Moved, MouseMode::Drags, sgr, None);
        check_mouse(
            MouseEventKind::Moved,
            MouseMode::Motion,
            sgr,
            Some(b"\x1b[<35;300;5M"),
        );
        check_mouse(
            MouseEventKind::ScrollUp,
            MouseMode::Buttons,
            sgr,
            Some(b"\x1b[<64;300;5M"),
        );
        // A column that the encoding cannot say.
        check_mouse(down, MouseMode::Buttons, MouseEncoding::Bytes, None);
        let utf8 = "\x1b[M \u{14c}%".as_bytes();
        check_mouse(down, MouseMode::Buttons, MouseEncoding::Utf8, Some(utf8));
    }
}
