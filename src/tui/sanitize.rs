//! The one place where text written by containers becomes text that may be drawn.
//!
//! Dropped: C0 controls, DEL, C1 controls, U+2028 and U+2029, and every escape sequence. Bidi controls are
//! made visible (CVE-2021-42574). Tabs become spaces. Log lines keep SGR sequences, parsed into styles;
//! nothing of the sequence itself survives.

use std::borrow::Cow;

use ratatui::style::{Color, Modifier, Style};
use unicode_width::UnicodeWidthChar;

/// A log line longer than this is cut; the cut is named in the text.
pub(super) const MAX_LINE_BYTES: usize = 16 * 1024;
/// Combining marks on one character beyond this are dropped: a cell of kilobytes slows the terminal down.
const MAX_COMBINING: u8 = 8;
const TAB: usize = 8;

/// A line that is safe to draw. `styles` holds the style from each byte offset on; before the first the
/// style is the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SafeLine {
    pub(super) text: Box<str>,
    pub(super) styles: Box<[(usize, Style)]>,
}

/// For names, reasons and messages: one line, no styles. A line break becomes a space.
pub(super) fn plain(text: &str) -> String {
    if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return text.to_owned();
    }
    let mut cleaner = Cleaner::default();
    for character in text.chars() {
        cleaner.push(if character == '\n' { ' ' } else { character });
    }
    cleaner.text
}

/// The last door before the screen: text as it is, or [`plain`] where something was forgotten. Names of objects, for
/// one, have to stay as they are for the API.
pub(super) fn drawable(text: &str) -> Cow<'_, str> {
    let is_unsafe = |character: char| {
        character.is_control()
            || matches!(character, '\u{2028}' | '\u{2029}' | '\u{61c}' | '\u{200e}' | '\u{200f}'
                | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if text.contains(is_unsafe) {
        plain(text).into()
    } else {
        text.into()
    }
}

/// For text of several lines (describe, messages): every line made [`plain`].
pub(super) fn lines(text: &str) -> Vec<String> {
    text.lines().map(plain).collect()
}

/// For one line of container output, without its line break.
pub(super) fn output_line(bytes: &[u8]) -> SafeLine {
    output_line_within(bytes, MAX_LINE_BYTES, 0)
}

/// The same with another limit; `left_out` bytes of the line are missing already.
pub(super) fn output_line_within(bytes: &[u8], limit: usize, left_out: usize) -> SafeLine {
    let kept = &bytes[..bytes.len().min(limit)];
    let cut = bytes.len() - kept.len() + left_out;
    if cut == 0 && kept.iter().all(|byte| (0x20..0x7f).contains(byte)) {
        return SafeLine {
            text: String::from_utf8_lossy(kept).into(),
            styles: Box::default(),
        };
    }
    let mut cleaner = Cleaner {
        keep_styles: true,
        ..Cleaner::default()
    };
    for character in String::from_utf8_lossy(kept).chars() {
        cleaner.push(character);
    }
    if cut > 0 {
        cleaner.text.push_str(&format!("… [{cut} more bytes]"));
    }
    SafeLine {
        text: cleaner.text.into(),
        styles: cleaner.styles.into(),
    }
}

#[derive(Default)]
enum State {
    #[default]
    Ground,
    /// After ESC.
    Escape,
    /// After ESC and an intermediate byte (character set designations and the like).
    EscapeIntermediate,
    /// After ESC `[`; parameters are collected for SGR.
    Csi,
    /// Inside OSC, DCS, APC, PM or SOS: swallowed up to ST, BEL or the end of the line.
    String,
    StringEscape,
}

#[derive(Default)]
struct Cleaner {
    state: State,
    keep_styles: bool,
    text: String,
    columns: usize,
    combining: u8,
    parameters: String,
    style: Style,
    styles: Vec<(usize, Style)>,
}

impl Cleaner {
    fn push(&mut self, character: char) {
        match self.state {
            State::Ground => self.push_ground(character),
            State::Escape => {
                self.state = match character {
                    '[' => {
                        self.parameters.clear();
                        State::Csi
                    }
                    ']' | 'P' | '_' | '^' | 'X' => State::String,
                    ' '..='/' => State::EscapeIntermediate,
                    '\x1b' => State::Escape,
                    _ => State::Ground,
                }
            }
            State::EscapeIntermediate => {
                if !(' '..='/').contains(&character) {
                    self.state = State::Ground;
                }
            }
            State::Csi => match character {
                '0'..='9' | ';' | ':' | '<'..='?' | ' '..='/' => {
                    if self.parameters.len() < 64 {
                        self.parameters.push(character);
                    }
                }
                '\x1b' => self.state = State::Escape,
                _ => {
                    if character == 'm' && self.keep_styles {
                        self.select_graphic_rendition();
                    }
                    self.state = State::Ground;
                }
            },
            State::String => match character {
                '\x07' | '\u{9c}' => self.state = State::Ground,
                '\x1b' => self.state = State::StringEscape,
                _ => {}
            },
            State::StringEscape => {
                self.state = if character == '\\' {
                    State::Ground
                } else {
                    State::String
                }
            }
        }
    }

    fn push_ground(&mut self, character: char) {
        match character {
            '\x1b' => self.state = State::Escape,
            '\t' => {
                let width = TAB - self.columns % TAB;
                self.text.extend(std::iter::repeat_n(' ', width));
                self.columns += width;
            }
            '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {}
            '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => {
                let shown = format!("<{:04X}>", u32::from(character));
                self.columns += shown.len();
                self.text.push_str(&shown);
            }
            _ => {
                let width = character.width().unwrap_or(0);
                self.combining = if width == 0 {
                    self.combining.saturating_add(1)
                } else {
                    0
                };
                if self.combining <= MAX_COMBINING {
                    self.text.push(character);
                    self.columns += width;
                }
            }
        }
    }

    /// ECMA-48 8.3.117, with the colour forms of ITU-T T.416. Conceal and blink are ignored: a container
    /// must not hide its own output.
    fn select_graphic_rendition(&mut self) {
        if self.parameters.contains(['<', '=', '>', '?']) {
            return;
        }
        let codes: Vec<u16> = self
            .parameters
            .split([';', ':'])
            .map(|code| code.parse().unwrap_or(0))
            .collect();
        let mut codes = codes.into_iter();
        while let Some(code) = codes.next() {
            let style = self.style;
            self.style = match code {
                0 => Style::new(),
                1 => style.add_modifier(Modifier::BOLD),
                2 => style.add_modifier(Modifier::DIM),
                3 => style.add_modifier(Modifier::ITALIC),
                4 => style.add_modifier(Modifier::UNDERLINED),
                7 => style.add_modifier(Modifier::REVERSED),
                9 => style.add_modifier(Modifier::CROSSED_OUT),
                22 => style.remove_modifier(Modifier::BOLD | Modifier::DIM),
                23 => style.remove_modifier(Modifier::ITALIC),
                24 => style.remove_modifier(Modifier::UNDERLINED),
                27 => style.remove_modifier(Modifier::REVERSED),
                29 => style.remove_modifier(Modifier::CROSSED_OUT),
                30..=37 => style.fg(indexed(code - 30)),
                38 => extended(&mut codes).map_or(style, |color| style.fg(color)),
                39 => Style { fg: None, ..style },
                40..=47 => style.bg(indexed(code - 40)),
                48 => extended(&mut codes).map_or(style, |color| style.bg(color)),
                49 => Style { bg: None, ..style },
                90..=97 => style.fg(indexed(code - 90 + 8)),
                100..=107 => style.bg(indexed(code - 100 + 8)),
                _ => style,
            };
        }
        self.styles.push((self.text.len(), self.style));
    }
}

fn indexed(index: u16) -> Color {
    u8::try_from(index).map_or(Color::Reset, Color::Indexed)
}

fn extended(codes: &mut impl Iterator<Item = u16>) -> Option<Color> {
    match codes.next()? {
        5 => codes.next().map(indexed),
        2 => {
            let mut part = || codes.next().and_then(|part| u8::try_from(part).ok());
            Some(Color::Rgb(part()?, part()?, part()?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(input: &str, expected: &str) {
        assert_eq!(&*output_line(input.as_bytes()).text, expected, "as output");
    }

    #[test]
    fn only_text_survives() {
        check("plain text", "plain text");
        check("a\x07b\x08c\x7fd", "abcd");
        check("100%\r", "100%");
        check("a\tb", "a       b");
        check("\x1b[2J\x1b[1;1Hhome", "home");
        check("\x1b]0;title\x07after", "after");
        check("\x1b]52;c;aGk=\x1b\\after", "after");
        check("\x1bP1$r0m\x1b\\after", "after");
        check("\x1b_app\x1b\\\x1b^pm\x1b\\\x1bXsos\x1b\\after", "after");
        check("\x1b(0qqq", "qqq");
        check("never closed \x1b]0;swallowed", "never closed ");
        check("c1 \u{9b}31m\u{85}x", "c1 31mx");
        check("a\u{2028}b\u{2029}c", "abc");
        check("\u{202e}txt.exe\u{2066}", "<202E>txt.exe<2066>");
        check("grüße 世界 👩‍👩‍👧", "grüße 世界 👩‍👩‍👧");
    }

    #[test]
    fn invalid_utf8_is_shown_as_replacement() {
        assert_eq!(&*output_line(b"a\xff\xfeb").text, "a\u{fffd}\u{fffd}b");
    }

    #[test]
    fn colours_become_styles() {
        let line =
            output_line(b"\x1b[1;31mbad\x1b[0m ok \x1b[38;5;208mo\x1b[38;2;1;2;3mr\x1b[39md");
        assert_eq!(&*line.text, "bad ok ord");
        let bold_red = Style::new()
            .add_modifier(Modifier::BOLD)
            .fg(Color::Indexed(1));
        assert_eq!(
            *line.styles,
            [
                (0, bold_red),
                (3, Style::new()),
                (7, Style::new().fg(Color::Indexed(208))),
                (8, Style::new().fg(Color::Rgb(1, 2, 3))),
                (9, Style::new()),
            ]
        );
    }

    #[test]
    fn text_cannot_be_hidden() {
        let line = output_line(b"\x1b[8msecret\x1b[5m");
        assert!(line.styles.iter().all(|(_, style)| *style == Style::new()));
    }

    #[test]
    fn long_lines_and_towers_of_marks_are_cut() {
        let long = "x".repeat(MAX_LINE_BYTES + 5);
        assert!(
            output_line(long.as_bytes())
                .text
                .ends_with("x… [5 more bytes]")
        );
        let tower = format!("a{}b", "\u{301}".repeat(500));
        assert_eq!(output_line(tower.as_bytes()).text.chars().count(), 10);
    }

    #[test]
    fn what_was_forgotten_is_made_safe_when_it_is_drawn() {
        assert!(matches!(
            drawable("gr\u{fc}\u{df}e \u{4e16}"),
            Cow::Borrowed(_)
        ));
        assert_eq!(drawable("a\u{2028}b\u{9b}c\x1b[31md"), "abcd");
        assert_eq!(drawable("\u{202e}x"), "<202E>x");
    }

    #[test]
    fn plain_keeps_one_line() {
        assert_eq!(plain("two\nlines\x1b[31m red"), "two lines red");
        assert_eq!(lines("a\n\x1b[2Jb"), ["a", "b"]);
    }

    proptest! {
        #[test]
        fn nothing_unsafe_survives(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let line = output_line(&bytes);
            let unsafe_character = |character: char| character.is_control()
                || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}');
            prop_assert!(!line.text.chars().any(unsafe_character), "{:?}", line.text);
            for (offset, _) in &line.styles {
                prop_assert!(line.text.is_char_boundary(*offset));
            }
            let text = String::from_utf8_lossy(&bytes);
            prop_assert!(!plain(&text).chars().any(unsafe_character));
        }
    }
}
