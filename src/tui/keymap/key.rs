use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) struct Key {
    code: KeyCode,
    modifiers: KeyModifiers,
}

impl Key {
    /// Shift is part of the character for characters, and BackTab for the tab key.
    fn new(code: KeyCode, modifiers: KeyModifiers) -> Self {
        let mut modifiers =
            modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT);
        if matches!(code, KeyCode::Char(_) | KeyCode::BackTab) {
            modifiers -= KeyModifiers::SHIFT;
        }
        // What terminals send for ctrl-\ and so on is read as ctrl-4 and so on.
        let code = match code {
            KeyCode::Char(digit @ '4'..='7') if modifiers == KeyModifiers::CONTROL => {
                const NAMES: [char; 4] = ['\\', ']', '^', '_'];
                KeyCode::Char(NAMES[usize::from(digit as u8 - b'4')])
            }
            code => code,
        };
        Self { code, modifiers }
    }

    pub(in crate::tui) fn of(event: KeyEvent) -> Self {
        Self::new(event.code, event.modifiers)
    }

    /// Typed where text is taken.
    pub(super) fn is_text(self) -> bool {
        let chord = KeyModifiers::CONTROL | KeyModifiers::ALT;
        matches!(self.code, KeyCode::Char(_)) && !self.modifiers.intersects(chord)
    }

    /// `ctrl-u`, `shift-tab`, `enter`, `j`.
    pub(in crate::tui) fn parse(text: &str) -> Option<Self> {
        let mut modifiers = KeyModifiers::NONE;
        let mut rest = text;
        while let Some((head, tail)) = rest.split_once('-').filter(|(_, tail)| !tail.is_empty()) {
            modifiers |= match head {
                "ctrl" => KeyModifiers::CONTROL,
                "alt" => KeyModifiers::ALT,
                "shift" => KeyModifiers::SHIFT,
                _ => return None,
            };
            rest = tail;
        }
        let code = match rest {
            "tab" if modifiers.contains(KeyModifiers::SHIFT) => KeyCode::BackTab,
            named => NAMED
                .iter()
                .find(|(_, name)| *name == named)
                .map(|(code, _)| *code)
                .or_else(|| function_key(named))
                .or_else(|| {
                    let mut characters = named.chars();
                    characters
                        .next()
                        .filter(|_| characters.next().is_none())
                        .map(KeyCode::Char)
                })?,
        };
        Some(Self::new(code, modifiers))
    }

    #[cfg(test)]
    pub(in crate::tui) fn event(self) -> KeyEvent {
        KeyEvent::new(self.code, self.modifiers)
    }
}

const NAMED: [(KeyCode, &str); 16] = [
    (KeyCode::Enter, "enter"),
    (KeyCode::Esc, "esc"),
    (KeyCode::Tab, "tab"),
    (KeyCode::BackTab, "shift-tab"),
    (KeyCode::Backspace, "backspace"),
    (KeyCode::Delete, "del"),
    (KeyCode::Up, "up"),
    (KeyCode::Down, "down"),
    (KeyCode::Left, "left"),
    (KeyCode::Right, "right"),
    (KeyCode::Home, "home"),
    (KeyCode::End, "end"),
    (KeyCode::PageUp, "pgup"),
    (KeyCode::PageDown, "pgdn"),
    (KeyCode::Insert, "ins"),
    (KeyCode::Char(' '), "space"),
];

/// `f1` to `f12`.
fn function_key(name: &str) -> Option<KeyCode> {
    let number: u8 = name.strip_prefix('f')?.parse().ok()?;
    let is_plain = (1..=12).contains(&number) && !name.starts_with("f0");
    is_plain.then_some(KeyCode::F(number))
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.modifiers.contains(KeyModifiers::CONTROL) {
            f.write_str("ctrl-")?;
        }
        if self.modifiers.contains(KeyModifiers::ALT) {
            f.write_str("alt-")?;
        }
        if self.modifiers.contains(KeyModifiers::SHIFT) {
            f.write_str("shift-")?;
        }
        match (NAMED.iter().find(|(code, _)| *code == self.code), self.code) {
            (Some((_, name)), _) => f.write_str(name),
            (None, KeyCode::Char(character)) => write!(f, "{character}"),
            (None, KeyCode::F(number)) => write!(f, "f{number}"),
            (None, other) => write!(f, "{other:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_as_they_are_read() {
        for text in [
            "f1",
            "f12",
            "shift-up",
            "ctrl-alt-shift-f5",
            "ins",
            "ctrl-x",
            "alt-enter",
            "f",
            "-",
            "ctrl--",
        ] {
            let key = Key::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(key.to_string(), text);
        }
        for text in ["f0", "f01", "f13", "fx", "hyper-a", ""] {
            assert_eq!(Key::parse(text), None, "{text}");
        }
    }
}
