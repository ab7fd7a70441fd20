//! One line of input with the usual editing keys.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use unicode_width::UnicodeWidthStr;

use super::keymap::InputCmd;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LineEdit {
    text: String,
    /// Byte offset, always on a character boundary.
    cursor: usize,
}

impl LineEdit {
    pub(super) fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            cursor: text.len(),
            text,
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Columns in front of the cursor.
    pub(super) fn cursor_column(&self) -> usize {
        self.text[..self.cursor].width()
    }

    /// Pasted line breaks and control characters are dropped.
    pub(super) fn insert(&mut self, text: &str) {
        let text: String = text
            .chars()
            .filter(|character| !character.is_control())
            .collect();
        self.text.insert_str(self.cursor, &text);
        self.cursor += text.len();
    }

    /// True when the command was one of editing.
    pub(super) fn run(&mut self, cmd: InputCmd) -> bool {
        match cmd {
            InputCmd::LineStart => self.cursor = 0,
            InputCmd::LineEnd => self.cursor = self.text.len(),
            InputCmd::DeleteToStart => {
                self.text.drain(..self.cursor);
                self.cursor = 0;
            }
            InputCmd::DeleteToEnd => self.text.truncate(self.cursor),
            InputCmd::DeleteWord => self.delete_to(self.word_start()),
            InputCmd::Submit
            | InputCmd::Cancel
            | InputCmd::Next
            | InputCmd::Previous
            | InputCmd::PageUp
            | InputCmd::PageDown => return false,
        }
        true
    }

    /// True when the key was one of editing that is no command: characters, arrows, backspace.
    pub(super) fn key(&mut self, key: KeyEvent) -> bool {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        match key.code {
            KeyCode::Char('h') if control => self.delete_to(self.left()),
            KeyCode::Char(character) if !control && !alt => {
                self.insert(character.encode_utf8(&mut [0; 4]));
            }
            KeyCode::Backspace => self.delete_to(self.left()),
            KeyCode::Delete => {
                let right = self.right();
                self.text.drain(self.cursor..right);
            }
            KeyCode::Left => self.cursor = self.left(),
            KeyCode::Right => self.cursor = self.right(),
            _ => return false,
        }
        true
    }

    fn delete_to(&mut self, start: usize) {
        self.text.drain(start..self.cursor);
        self.cursor = start;
    }

    fn left(&self) -> usize {
        self.text[..self.cursor]
            .char_indices()
            .next_back()
            .map_or(0, |(offset, _)| offset)
    }

    fn right(&self) -> usize {
        let width = self.text[self.cursor..]
            .chars()
            .next()
            .map_or(0, char::len_utf8);
        self.cursor + width
    }

    fn word_start(&self) -> usize {
        let head = self.text[..self.cursor].trim_end_matches([' ', '/']);
        head.rfind([' ', '/']).map_or(0, |offset| offset + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::keymap::{Cmd, Key, Keymap, Place};
    use crate::tui::testing::parse_keys;

    #[track_caller]
    fn check(start: &str, keys: &str, text: &str, column: usize) {
        let mut line = LineEdit::new(start);
        let keymap = Keymap::default();
        for key in parse_keys(keys) {
            match keymap.command(Place::Input, Key::of(key)) {
                Some(Cmd::Input(cmd)) => line.run(cmd),
                _ => line.key(key),
            };
        }
        assert_eq!((line.text(), line.cursor_column()), (text, column));
    }

    #[test]
    fn editing() {
        check("", "abc", "abc", 3);
        check("abc", "<left><left>x", "axbc", 2);
        check("äöü", "<backspace>", "äö", 2);
        check("世界", "<left><del>", "世", 2);
        check("pods/one two", "<ctrl-w>", "pods/one ", 9);
        check("pods/one", "<ctrl-w>", "pods/", 5);
        check("abc def", "<left><ctrl-u>", "f", 0);
        check("abc", "<home><ctrl-k>", "", 0);
        check("", "<backspace><del><left><right><ctrl-w>", "", 0);
    }
}
