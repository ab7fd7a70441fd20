//! The text under the cursor: lines, undo and selection are those of `ratatui-textarea`; keys are ours.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tui_textarea::{CursorMove, TextArea};

use crate::tui::keymap::EditorCmd;

/// One step of indentation.
const INDENT: usize = 2;
const UNDO_STEPS: usize = 1000;

#[derive(Clone, Debug)]
pub(in crate::tui) struct Buffer {
    area: TextArea<'static>,
}

/// What a key did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Edit {
    Changed,
    Moved,
    NotMine,
}

impl Buffer {
    pub(in crate::tui) fn new(text: &str) -> Self {
        let mut area = TextArea::new(split(text));
        area.set_max_histories(UNDO_STEPS);
        area.set_tab_length(u8::try_from(INDENT).unwrap_or(2));
        Self { area }
    }

    pub(in crate::tui) fn text(&self) -> String {
        self.area.lines().join("\n")
    }

    pub(in crate::tui) fn lines(&self) -> &[String] {
        self.area.lines()
    }

    /// Line and character, from 0.
    pub(in crate::tui) fn cursor(&self) -> (usize, usize) {
        let cursor = self.area.cursor();
        (cursor.0, cursor.1)
    }

    /// The current line in front of and behind the cursor.
    pub(in crate::tui) fn around(&self) -> (&str, &str) {
        let (line, column) = self.cursor();
        let text = self.area.lines().get(line).map_or("", String::as_str);
        let at = text
            .char_indices()
            .nth(column)
            .map_or(text.len(), |(at, _)| at);
        text.split_at(at)
    }

    /// From and to, as lines and characters; the end is exclusive.
    pub(in crate::tui) fn selection(&self) -> Option<((usize, usize), (usize, usize))> {
        self.area.selection_range()
    }

    /// Line and column from 1, as diagnostics count.
    pub(in crate::tui) fn go_to(&mut self, line: usize, column: usize) {
        let short = |number: usize| u16::try_from(number.saturating_sub(1)).unwrap_or(u16::MAX);
        self.area.cancel_selection();
        self.area
            .move_cursor(CursorMove::Jump(short(line), short(column)));
    }

    /// Pasted or completed text. One step to undo.
    pub(in crate::tui) fn insert(&mut self, text: &str) {
        self.area
            .insert_str(text.replace("\r\n", "\n").replace('\r', "\n"));
    }

    /// Removes `count` characters in front of the cursor.
    pub(in crate::tui) fn delete_before(&mut self, count: usize) {
        for _ in 0..count {
            self.area.move_cursor(CursorMove::Back);
        }
        self.area.delete_str(count);
    }

    /// Exchanges the whole text. To undo it takes two steps: the new text goes, the old one comes.
    pub(in crate::tui) fn replace(&mut self, text: &str) {
        self.area.select_all();
        self.area.insert_str(text);
        self.area.move_cursor(CursorMove::Top);
    }

    /// The commands that are about the text alone.
    pub(in crate::tui) fn run(&mut self, cmd: EditorCmd) -> Edit {
        let is_changed = match cmd {
            EditorCmd::Undo => self.area.undo(),
            EditorCmd::Redo => self.area.redo(),
            EditorCmd::DeleteToEnd => self.area.delete_line_by_end(),
            EditorCmd::DeleteToStart => self.area.delete_line_by_head(),
            EditorCmd::DeleteWord => self.area.delete_word(),
            EditorCmd::Cut => self.cut(),
            EditorCmd::Paste => self.area.paste(),
            EditorCmd::Indent => {
                let column = self.cursor().1;
                self.area.insert_str(" ".repeat(INDENT - column % INDENT))
            }
            EditorCmd::Outdent => self.outdent(),
            EditorCmd::LineStart | EditorCmd::LineEnd => {
                self.area.cancel_selection();
                let is_start = cmd == EditorCmd::LineStart;
                let to = if is_start {
                    CursorMove::Head
                } else {
                    CursorMove::End
                };
                self.area.move_cursor(to);
                false
            }
            EditorCmd::Review
            | EditorCmd::Leave
            | EditorCmd::Help
            | EditorCmd::Complete
            | EditorCmd::NextProblem
            | EditorCmd::PreviousProblem
            | EditorCmd::External
            | EditorCmd::Copy
            | EditorCmd::Accept => return Edit::NotMine,
        };
        if is_changed {
            Edit::Changed
        } else {
            Edit::Moved
        }
    }

    /// Characters, arrows, enter and backspace.
    pub(in crate::tui) fn key(&mut self, key: KeyEvent) -> Edit {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        if let Some(movement) = movement(key.code, control) {
            if !key.modifiers.contains(KeyModifiers::SHIFT) {
                self.area.cancel_selection();
            } else if !self.area.is_selecting() {
                self.area.start_selection();
            }
            self.area.move_cursor(movement);
            return Edit::Moved;
        }
        let is_changed = match key.code {
            KeyCode::Char('h') if control => self.area.delete_char(),
            KeyCode::Char(_) if control || alt => return Edit::NotMine,
            KeyCode::Char(letter) => {
                self.area.insert_char(letter);
                true
            }
            KeyCode::Enter => {
                self.new_line();
                true
            }
            KeyCode::Backspace if control || alt => self.area.delete_word(),
            KeyCode::Backspace => self.backspace(),
            KeyCode::Delete => self.area.delete_next_char(),
            _ => return Edit::NotMine,
        };
        if is_changed {
            Edit::Changed
        } else {
            Edit::Moved
        }
    }

    /// Copies the selection; false when nothing is selected.
    pub(in crate::tui) fn copy(&mut self) -> bool {
        let is_selecting = self.area.is_selecting();
        if is_selecting {
            self.area.copy();
        }
        is_selecting
    }

    /// The selection, or the whole line.
    fn cut(&mut self) -> bool {
        if !self.area.is_selecting() {
            self.area.move_cursor(CursorMove::Head);
            self.area.start_selection();
            let before = self.cursor();
            self.area.move_cursor(CursorMove::Down);
            if self.cursor() == before || self.cursor().0 == before.0 {
                self.area.move_cursor(CursorMove::End);
            }
        }
        self.area.cut()
    }

    /// A new line begins where the fields of the current one begin, behind `key:` one step deeper.
    fn new_line(&mut self) {
        let indent = next_indent(self.around().0);
        self.area.insert_str(format!("\n{}", " ".repeat(indent)));
    }

    /// In the indentation a whole step goes.
    fn backspace(&mut self) -> bool {
        let before = self.around().0;
        let is_indent = !before.is_empty() && before.chars().all(|symbol| symbol == ' ');
        if !is_indent || self.area.is_selecting() {
            return self.area.delete_char();
        }
        let count = (before.len() - 1) % INDENT + 1;
        self.delete_before(count);
        true
    }

    fn outdent(&mut self) -> bool {
        let (line, column) = self.cursor();
        let text = &self.area.lines()[line];
        let count = text
            .chars()
            .take(INDENT)
            .take_while(|symbol| *symbol == ' ')
            .count();
        if count == 0 {
            return false;
        }
        self.area.move_cursor(CursorMove::Head);
        self.area.delete_str(count);
        self.go_to(line + 1, column.saturating_sub(count) + 1);
        true
    }
}

fn split(text: &str) -> Vec<String> {
    text.split('\n')
        .map(|line| line.strip_suffix('\r').unwrap_or(line).to_owned())
        .collect()
}

fn movement(code: KeyCode, control: bool) -> Option<CursorMove> {
    Some(match code {
        KeyCode::Left if control => CursorMove::WordBack,
        KeyCode::Right if control => CursorMove::WordForward,
        KeyCode::Home if control => CursorMove::Top,
        KeyCode::End if control => CursorMove::Bottom,
        KeyCode::Left => CursorMove::Back,
        KeyCode::Right => CursorMove::Forward,
        KeyCode::Up => CursorMove::Up,
        KeyCode::Down => CursorMove::Down,
        KeyCode::Home => CursorMove::Head,
        KeyCode::End => CursorMove::End,
        _ => return None,
    })
}

/// Columns in front of the content of a line: indentation and the dashes of list items.
pub(super) fn content_column(line: &str) -> usize {
    let mut rest = line;
    loop {
        let trimmed = rest.trim_start_matches(' ');
        match trimmed.strip_prefix("- ") {
            Some(inner) => rest = inner,
            None => return line.len() - trimmed.len(),
        }
    }
}

fn next_indent(before: &str) -> usize {
    let content = content_column(before);
    let text = before.split(" #").next().unwrap_or_default().trim_end();
    let opens =
        text.ends_with(':') || text.ends_with('|') || text.ends_with('>') || text.ends_with("|-");
    // Inside the indentation nothing deepens it.
    let content = content.min(before.len());
    if opens { content + INDENT } else { content }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::keymap::{Cmd, Key, Keymap, Place};
    use crate::tui::testing::parse_keys;

    #[track_caller]
    fn check(start: &str, keys: &str, text: &str) {
        let mut buffer = Buffer::new(start);
        press(&mut buffer, keys);
        assert_eq!(buffer.text(), text);
    }

    fn press(buffer: &mut Buffer, keys: &str) {
        let keymap = Keymap::default();
        for key in parse_keys(keys) {
            match keymap.command(Place::Editor, Key::of(key)) {
                Some(Cmd::Editor(cmd)) => buffer.run(cmd),
                _ => buffer.key(key),
            };
        }
    }

    #[test]
    fn text_comes_out_as_it_went_in() {
        for text in ["", "a", "a\n", "\n\n", "a\nb\n"] {
            assert_eq!(Buffer::new(text).text(), text);
        }
        assert_eq!(Buffer::new("a\r\nb\r\n").text(), "a\nb\n");
    }

    #[test]
    fn keys_know_yaml() {
        check("", "a: 1<enter>b: 2", "a: 1\nb: 2");
        check("", "spec:<enter>x: 1<enter>y: 2", "spec:\n  x: 1\n  y: 2");
        check("", "- name: a<enter>image: b", "- name: a\n  image: b");
        check("", "- env:<enter>- name: A", "- env:\n    - name: A");
        check("", "a: |<enter>text", "a: |\n  text");
        check(
            "    x",
            "<home><right><right><right><right><backspace>",
            "  x",
        );
        check("   x", "<home><right><right><right><backspace>", "  x");
        check("x", "<tab>", "  x");
        check("    x", "<shift-tab>", "  x");
        check("ab", "<end><backspace><ctrl-z>", "ab");
        check("ab", "<end><backspace><ctrl-z><ctrl-y>", "a");
        check("a\nb\nc", "<down><ctrl-x>", "a\nc");
        check("a b", "<end><ctrl-w>", "a ");
    }

    #[test]
    fn an_exchanged_text_can_be_had_back() {
        let mut buffer = Buffer::new("a\nb\n");
        buffer.replace("x\n");
        assert_eq!(buffer.text(), "x\n");
        press(&mut buffer, "<ctrl-z><ctrl-z>");
        assert_eq!(buffer.text(), "a\nb\n");
    }
}
