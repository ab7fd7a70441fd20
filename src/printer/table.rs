use std::borrow::Cow;

use unicode_width::UnicodeWidthStr as _;

/// Blanks between columns, and the least width of a column with them, as kubectl has it.
const PADDING: usize = 3;
const MINIMUM_WIDTH: usize = 6;

/// Rows under upper-case headers, three blanks apart, no column narrower than six.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    headers: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<T: Into<String>>(headers: impl IntoIterator<Item = T>) -> Self {
        let headers = headers.into_iter().map(Into::into).collect();
        Self {
            headers,
            rows: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The whole table; every line ends with a newline.
    pub(crate) fn render(&self, with_headers: bool) -> String {
        self.render_under(with_headers, &mut Vec::new())
    }

    /// Like [`render`](Self::render), with columns at least as wide as `widths`, which is updated: rows that
    /// come later stay under the ones before.
    pub(crate) fn render_under(&self, with_headers: bool, widths: &mut Vec<usize>) -> String {
        let headers: Vec<String> = self
            .headers
            .iter()
            .map(|name| name.to_uppercase())
            .collect();
        let header_row = with_headers.then_some(&headers);
        let rows: Vec<Vec<String>> = header_row
            .into_iter()
            .chain(&self.rows)
            .map(|cells| cells.iter().map(|cell| visible(cell)).collect())
            .collect();
        for cells in &rows {
            widths.resize(widths.len().max(cells.len()), MINIMUM_WIDTH);
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = (*width).max(cell.width() + PADDING);
            }
        }
        let mut text = String::new();
        for cells in &rows {
            for (column, cell) in cells.iter().enumerate() {
                text.push_str(cell);
                if column + 1 < cells.len() {
                    text.extend(std::iter::repeat_n(' ', widths[column] - cell.width()));
                }
            }
            text.push('\n');
        }
        text
    }
}

/// One line of text that cannot act on a terminal: cut at the first line break (`...` shows it), other
/// control characters in caret notation, tabs as a blank.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' | '\u{c}' => {
                shown.push_str("...");
                break;
            }
            '\t' => shown.push(' '),
            '\0'..='\u{1f}' => {
                shown.push('^');
                // Caret notation: NUL is ^@, ESC is ^[.
                shown.push(char::from(
                    u8::try_from(u32::from(character)).unwrap_or(0) + b'@',
                ));
            }
            '\u{7f}' => shown.push_str("^?"),
            '\u{80}'..='\u{9f}' => shown.extend(character.escape_unicode()),
            _ if is_deceptive(character) => shown.extend(character.escape_unicode()),
            _ => shown.push(character),
        }
    }
    shown
}

/// Text of any format for a terminal: line breaks and tabs stay, what could act on the terminal or deceive
/// its reader becomes `\uXXXX`. JSON has such characters only inside of strings, so it keeps its meaning.
pub(crate) fn inert(text: &str) -> Cow<'_, str> {
    let acts = |character: char| {
        is_deceptive(character) || (character.is_control() && !matches!(character, '\n' | '\t'))
    };
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if acts(character) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// Directional marks, overrides and isolates can make a line read differently from what it says
/// (CVE-2021-42574); characters without width make two different names look alike.
fn is_deceptive(character: char) -> bool {
    is_bidi_control(character)
        || matches!(
            character,
            '\u{180e}' | '\u{200b}'..='\u{200d}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        )
}

/// A directional mark, override or isolate.
pub(crate) fn is_bidi_control(character: char) -> bool {
    matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inert_text_keeps_its_meaning_in_json() {
        assert_eq!(inert("a\tb\nä"), "a\tb\nä");
        assert_eq!(
            inert("\u{1b}[2J\r\u{9b}\u{7f}\u{202e}\u{200b}"),
            "\\u001b[2J\\u000d\\u009b\\u007f\\u202e\\u200b"
        );
        let json = serde_json::json!({"a": "x\u{9b}\u{202e}\u{7f}"});
        let shown = inert(&json.to_string()).into_owned();
        assert!(shown.is_ascii());
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
            json
        );
    }

    #[test]
    fn columns_are_three_blanks_apart_and_headers_upper_case() {
        let mut table = Table::new(["Name", "Ready", "Status"]);
        table.push(vec!["web".into(), "1/1".into(), "Running".into()]);
        table.push(vec!["a-long-name".into(), "0/2".into(), "Pending".into()]);
        let expected = "NAME          READY   STATUS\nweb           1/1     Running\na-long-name   0/2     Pending\n";
        assert_eq!(table.render(true), expected);
        assert_eq!(
            table.render(false),
            "web           1/1   Running\na-long-name   0/2   Pending\n"
        );
    }

    #[test]
    fn later_rows_stay_under_earlier_ones() {
        let mut widths = Vec::new();
        let mut table = Table::new(["Name", "Ready"]);
        table.push(vec!["a-long-name".into(), "1/1".into()]);
        assert_eq!(
            table.render_under(true, &mut widths),
            "NAME          READY\na-long-name   1/1\n"
        );
        let mut later = Table::new(["Name", "Ready"]);
        later.push(vec!["a".into(), "0/1".into()]);
        assert_eq!(
            later.render_under(false, &mut widths),
            "a             0/1\n"
        );
    }

    #[test]
    fn a_cell_cannot_reach_the_terminal() {
        assert_eq!(visible("a\x1b[31mb\tc"), "a^[[31mb c");
        assert_eq!(visible("one\ntwo"), "one...");
        assert_eq!(visible("\u{9b}2J"), "\\u{9b}2J");
        assert_eq!(visible("x\u{7f}\0"), "x^?^@");
    }
}
