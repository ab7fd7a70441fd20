//! One line of input with the usual editing keys.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use unicode_width::UnicodeWidthStr;

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

    /// True when the key was one of editing.
    pub(super) fn key(&mut self, key: KeyEvent) -> bool {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        match key.code {
            KeyCode::Char('a') if control => self.cursor = 0,
            KeyCode::Char('e') if control => self.cursor = self.text.len(),
            KeyCode::Char('u') if control => {
                self.text.drain(..self.cursor);
                self.cursor = 0;
            }
            KeyCode::Char('k') if control => self.text.truncate(self.cursor),
            KeyCode::Char('w') if control => self.delete_to(self.word_start()),
            KeyCode::Char('h') if control => self.delete_to(self.left()),
            KeyCode::Char(character) if !control && !alt => {
                self.insert(character.encode_utf8(&mut [0; 4]));
            }
            KeyCode::Backspace if alt => self.delete_to(self.word_start()),
            KeyCode::Backspace => self.delete_to(self.left()),
            KeyCode::Delete => {
                let right = self.right();
                self.text.drain(self.cursor..right);
            }
            KeyCode::Left => self.cursor = self.left(),
            KeyCode::Right => self.cursor = self.right(),
            KeyCode::Home => self.cursor = 0,
            KeyCode::End => self.cursor = self.text.len(),
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
    use crate::tui::testing::parse_keys;

    #[track_caller]
    fn check(start: &str, keys: &str, text: &str, column: usize) {
        let mut line = LineEdit::new(start);
        for key in parse_keys(keys) {
            line.key(key);
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
