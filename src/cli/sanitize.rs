use crate::printer::is_bidi_control;

/// Lets text, line breaks, tabs and colours of a log through to a terminal and drops everything else: a
/// container must not be able to move the cursor, set the title or make the terminal answer. What comes out is
/// UTF-8, and what the screen shows of the same bytes: controls vanish, those that turn the reading direction
/// become visible (CVE-2021-42574), bytes that are no text become U+FFFD.
///
/// Bytes are decoded before they are judged. Dropping single bytes could bring others together that mean
/// something to the terminal only side by side. The state lives across chunks, because a character or an escape
/// sequence may be cut anywhere.
#[derive(Debug, Default)]
pub(super) struct Sanitizer {
    state: State,
    /// The beginning of a character that the next chunk has to complete; at most three bytes.
    pending: Vec<u8>,
    /// Those of the CSI sequence under way.
    parameters: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// After ESC and intermediate characters; one final character ends it.
    Intermediate,
    /// After ESC `[`.
    Csi,
    /// OSC, DCS, SOS, PM, APC: up to BEL or ST.
    String,
    /// In one of these after ESC.
    StringEscape,
}

/// Longer parameter lists are no colours.
const MAX_PARAMETERS: usize = 64;

impl Sanitizer {
    pub(super) fn clean(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = String::with_capacity(bytes.len());
        if self.pending.is_empty() {
            self.decode(bytes, &mut out);
        } else {
            let mut joined = std::mem::take(&mut self.pending);
            joined.extend_from_slice(bytes);
            self.decode(&joined, &mut out);
        }
        out.into_bytes()
    }

    /// What is due when nothing more comes: a character that was never completed.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        let mut out = String::new();
        if !std::mem::take(&mut self.pending).is_empty() {
            self.text("\u{fffd}", &mut out);
        }
        out.into_bytes()
    }

    fn decode(&mut self, bytes: &[u8], out: &mut String) {
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            self.text(chunk.valid(), out);
            let rest = chunk.invalid();
            if rest.is_empty() {
                continue;
            }
            let may_go_on =
                std::str::from_utf8(rest).is_err_and(|error| error.error_len().is_none());
            if may_go_on && chunks.peek().is_none() {
                self.pending.extend_from_slice(rest);
            } else {
                self.text("\u{fffd}", out);
            }
        }
    }

    fn text(&mut self, mut text: &str, out: &mut String) {
        while let Some(first) = text.chars().next() {
            if self.state == State::Text {
                let plain = plain_length(text);
                if plain > 0 {
                    out.push_str(&text[..plain]);
                    text = &text[plain..];
                    continue;
                }
            }
            self.state = self.step(first, out);
            text = &text[first.len_utf8()..];
        }
    }

    fn step(&mut self, character: char, out: &mut String) -> State {
        // A line break ends whatever was begun; the rest of the log would vanish otherwise.
        if character == '\n' {
            out.push('\n');
            return State::Text;
        }
        match self.state {
            State::Text => ground(character, out),
            State::Escape => match character {
                '[' => {
                    self.parameters.clear();
                    State::Csi
                }
                ']' | 'P' | 'X' | '^' | '_' => State::String,
                ' '..='/' => State::Intermediate,
                '\x1b' => State::Escape,
                _ => State::Text,
            },
            State::Intermediate => match character {
                ' '..='/' => State::Intermediate,
                '\x1b' => State::Escape,
                _ => State::Text,
            },
            State::Csi => match character {
                ' '..='?' => {
                    // One too many stands for all that follow: the sequence is no colour any more.
                    if self.parameters.len() <= MAX_PARAMETERS {
                        self.parameters.push(character);
                    }
                    State::Csi
                }
                '\x1b' => State::Escape,
                'm' if is_colour(&self.parameters) => {
                    out.push_str("\x1b[");
                    out.push_str(&self.parameters);
                    out.push('m');
                    State::Text
                }
                _ => State::Text,
            },
            State::StringEscape if character == '\\' => State::Text,
            State::String | State::StringEscape => match character {
                '\x07' | '\u{9c}' => State::Text,
                '\x1b' => State::StringEscape,
                _ => State::String,
            },
        }
    }
}

/// Length of the beginning that passes as it is and is quick to find.
fn plain_length(text: &str) -> usize {
    text.bytes()
        .position(|byte| !matches!(byte, b' '..=b'~' | b'\n' | b'\t'))
        .unwrap_or(text.len())
}

fn is_colour(parameters: &str) -> bool {
    parameters.len() <= MAX_PARAMETERS
        && parameters
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b';' | b':'))
}

fn ground(character: char, out: &mut String) -> State {
    match character {
        '\x1b' => return State::Escape,
        '\n' | '\t' => out.push(character),
        // A carriage return would let what follows stand in for what came before it.
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {}
        _ if is_bidi_control(character) => {
            out.push_str(&format!("<{:04X}>", u32::from(character)));
        }
        _ => out.push(character),
    }
    State::Text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(input: &[u8]) -> String {
        let mut sanitizer = Sanitizer::default();
        let mut bytes = sanitizer.clean(input);
        bytes.extend(sanitizer.finish());
        String::from_utf8(bytes).unwrap()
    }

    #[track_caller]
    fn check(input: impl AsRef<[u8]>, expected: &str) {
        assert_eq!(whole(input.as_ref()), expected);
    }

    #[test]
    fn only_text_and_colours_pass() {
        check("plain ü ©\n\ttab\r\n", "plain ü ©\n\ttab\n");
        check(
            "\x1b[1;31mred\x1b[38:2::1:2:3m\x1b[0m",
            "\x1b[1;31mred\x1b[38:2::1:2:3m\x1b[0m",
        );
        check("\x1b[2J\x1b[Hclear", "clear");
        check("\x1b]0;title\x07x\x1b]52;c;AAAA\x1b\\y", "xy");
        check("\x1b]0;title\u{9c}x", "x");
        check("\x1b[?25lhidden\x1b(B\x1bcreset", "hiddenreset");
        check("\x1b[?1m\x1b[>4;1mno colour", "no colour");
        check(format!("\x1b[{}mlong", "1;".repeat(MAX_PARAMETERS)), "long");
        check("bell\x07back\x08", "bellback");
        check("\u{9b}31mC1\u{85}", "31mC1");
        check("\x1b]0;never ended\nnext", "\nnext");
        check("\x1b[31\nnext", "\nnext");
        check("grüße 世界 👩‍👩‍👧", "grüße 世界 👩‍👩‍👧");
    }

    #[test]
    fn dropped_bytes_do_not_bring_controls_together() {
        check(
            b"\xc2\x07\x9d52;PWN\xc2\x07\x9c\n\xc2\x1b[2J\x9b2J\n",
            "\u{fffd}\u{fffd}52;PWN\u{fffd}\u{fffd}\n\u{fffd}\u{fffd}2J\n",
        );
        check(b"\xc2\xc2\x9b2J", "\u{fffd}2J");
        check(b"\x9b2J\x9d0;x\x9c", "\u{fffd}2J\u{fffd}0;x\u{fffd}");
        check(b"\xe2\x80\x1b[m\xae", "\u{fffd}\x1b[m\u{fffd}");
        check(b"cut \xe2\x80", "cut \u{fffd}");
    }

    #[test]
    fn nothing_turns_a_line_round_or_covers_it() {
        check("a\u{2028}b\u{2029}c", "abc");
        check(
            "\u{202e}txt.exe\u{2066}\u{200f}",
            "<202E>txt.exe<2066><200F>",
        );
        check("secret\rpublic\r\n", "secretpublic\n");
    }

    /// Bytes of which most mean something to a terminal or to UTF-8.
    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            any::<u8>().prop_map(|byte| vec![byte]),
            proptest::sample::select(vec![
                &b"\xc2"[..],
                b"\xe2\x80",
                b"\xae",
                b"\x9b",
                b"\x9d",
                b"\x1b",
                b"\x1b[",
                b"\x1b]",
                b"31;1",
                b"m",
                b"\\",
                b"\x07",
                b"\r",
                b"\n",
                "\u{202e}\u{9b}ü".as_bytes(),
            ])
            .prop_map(<[u8]>::to_vec),
        ];
        proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
    }

    /// The text without its colours.
    fn without_colours(text: &str) -> String {
        let mut rest = text;
        let mut out = String::new();
        while let Some((before, after)) = rest.split_once("\x1b[") {
            let (parameters, after) = after.split_once('m').expect("a colour ends");
            assert!(is_colour(parameters), "{parameters:?}");
            out.push_str(before);
            rest = after;
        }
        out + rest
    }

    proptest! {
        #[test]
        fn where_the_bytes_are_cut_changes_nothing(bytes in hostile(), size in 1usize..9) {
            let mut sanitizer = Sanitizer::default();
            let mut cut: Vec<u8> = bytes.chunks(size).flat_map(|chunk| sanitizer.clean(chunk)).collect();
            cut.extend(sanitizer.finish());
            prop_assert_eq!(String::from_utf8(cut).unwrap(), whole(&bytes));
        }

        #[test]
        fn nothing_acts_on_the_terminal(bytes in hostile()) {
            let text = without_colours(&whole(&bytes));
            let acts = |character: char| (character.is_control() && !matches!(character, '\n' | '\t'))
                || matches!(character, '\u{2028}' | '\u{2029}') || is_bidi_control(character);
            prop_assert!(!text.contains(acts), "{:?}", text);
        }
    }
}
