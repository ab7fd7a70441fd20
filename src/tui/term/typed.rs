//! Keys and mouse as a recording keeps them, there and back: the bytes a terminal sends for them.

use std::collections::HashMap;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseEvent};

use super::emulator::{Modes, MouseEncoding, MouseMode};
use super::input;
use crate::tui::keymap::Key;

/// `None` for keys that no terminal has bytes for.
pub(in crate::tui) fn key_text(event: KeyEvent) -> Option<String> {
    String::from_utf8(input::key(event, Modes::default())?).ok()
}

pub(in crate::tui) fn mouse_text(event: MouseEvent) -> Option<String> {
    let modes = Modes {
        mouse: MouseMode::Motion,
        mouse_encoding: MouseEncoding::Sgr,
        ..Modes::default()
    };
    String::from_utf8(input::mouse(event, modes)?).ok()
}

/// Names of what was typed, as the help calls keys.
pub(in crate::tui) struct KeyNames(HashMap<String, String>);

impl Default for KeyNames {
    fn default() -> Self {
        let mut names = HashMap::new();
        let plain = [
            KeyCode::Enter,
            KeyCode::Esc,
            KeyCode::Tab,
            KeyCode::BackTab,
            KeyCode::Backspace,
            KeyCode::Delete,
            KeyCode::Insert,
            KeyCode::Up,
            KeyCode::Down,
            KeyCode::Left,
            KeyCode::Right,
            KeyCode::Home,
            KeyCode::End,
            KeyCode::PageUp,
            KeyCode::PageDown,
            KeyCode::Char(' '),
        ];
        let functions = (1..=20).map(KeyCode::F);
        let letters = ('a'..='z').chain("\\]^_".chars()).map(KeyCode::Char);
        let all: Vec<KeyCode> = plain.into_iter().chain(functions).chain(letters).collect();
        // The first name of a sequence stays: enter is not ctrl-m.
        for bits in 0..8 {
            let modifiers = KeyModifiers::from_bits_truncate(bits);
            for &code in &all {
                let event = KeyEvent::new(code, modifiers);
                if let Some(text) = key_text(event) {
                    let name = Key::of(event).to_string();
                    names.entry(text).or_insert(name);
                }
            }
        }
        Self(names)
    }
}

impl KeyNames {
    /// Whatever stands in `typed`, what comes out can be drawn.
    pub(in crate::tui) fn of(&self, typed: &str) -> Vec<String> {
        let mut names = Vec::new();
        let mut rest = typed;
        while !rest.is_empty() {
            let (one, tail) = rest.split_at(length(rest));
            names.push(self.name(one));
            rest = tail;
        }
        names
    }

    fn name(&self, one: &str) -> String {
        if let Some(name) = self.0.get(one) {
            return name.clone();
        }
        match one.strip_prefix("\x1b[<") {
            Some(mouse) => mouse_name(mouse),
            None => crate::tui::sanitize::plain(one),
        }
    }
}

/// Bytes of the first key: a sequence, `ESC` and a character, or a character.
fn length(text: &str) -> usize {
    let mut characters = text.char_indices();
    let width = |character: Option<(usize, char)>| {
        character.map_or(text.len(), |(at, character)| at + character.len_utf8())
    };
    let first = characters.next();
    if first.is_none_or(|(_, character)| character != '\x1b') {
        return width(first);
    }
    match characters.next() {
        Some((_, '[')) => width(characters.find(|(_, c)| matches!(c, '@'..='~'))),
        Some((_, 'O')) => width(characters.next()),
        second => width(second),
    }
}

/// `0;10;5M`: button, column and row.
fn mouse_name(sequence: &str) -> String {
    let mut numbers = sequence.trim_end_matches(['M', 'm']).split(';');
    let mut number = || numbers.next().and_then(|number| number.parse::<u16>().ok());
    let (Some(code), Some(column), Some(row)) = (number(), number(), number()) else {
        return "mouse".to_owned();
    };
    let what = match code & !0b1_1100 {
        0..=2 if sequence.ends_with('m') => "release",
        0 => "click",
        1 => "middle-click",
        2 => "right-click",
        32..=34 => "drag",
        64 => "wheel-up",
        65 => "wheel-down",
        _ => "mouse",
    };
    format!("{what}@{column},{row}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::testing::parse_keys;

    #[test]
    fn every_key_has_its_name_again() {
        let names = KeyNames::default();
        let keys =
            "jD<enter><esc><tab><shift-tab><up><ctrl-u><ctrl-]><f5><space><pgdn>\u{e4}<alt-x><del>";
        let typed = parse_keys(keys).into_iter().filter_map(key_text);
        let named: Vec<String> = typed.flat_map(|typed| names.of(&typed)).collect();
        assert_eq!(
            named.join(" "),
            "j D enter esc tab shift-tab up ctrl-u ctrl-] f5 space pgdn \u{e4} alt-x del"
        );
    }

    #[test]
    fn the_mouse_and_what_nobody_types() {
        let names = KeyNames::default();
        assert_eq!(
            names.of("\x1b[<0;10;5M\x1b[<0;10;5m"),
            ["click@10,5", "release@10,5"]
        );
        assert_eq!(names.of("\x1b[<65;1;2M"), ["wheel-down@1,2"]);
        for hostile in [
            "\x1b[31",
            "\x1b]52;c;eA==\x07",
            "\u{9b}31m\u{202e}",
            "\x1bO",
            "\x1b[<;M",
        ] {
            for name in names.of(hostile) {
                assert!(!name.chars().any(char::is_control), "{hostile:?}: {name:?}");
            }
        }
    }
}
