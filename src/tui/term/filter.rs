//! The door of the emulator: what a program writes is cut into whole control sequences, and strings (OSC,
//! DCS, APC, PM, SOS) never pass it. The emulator would collect an OSC of any length.
//!
//! States and transitions are those of <https://vt100.net/emu/dec_ansi_parser> for UTF-8 input, where C1
//! bytes are no controls. What is cut off in one call goes on in the next.

/// A control sequence with more parameter bytes than this is ignored whole.
const MAX_SEQUENCE: usize = 256;
/// An OSC string that is longer is ignored; 96 KiB of base64 are 72 KiB of clipboard.
const MAX_OSC: usize = 96 << 10;
/// A string that has not ended after so many bytes is taken for one that never will: text shows again.
const MAX_SWALLOWED: usize = 1 << 20;

const ESC: u8 = 0x1b;
const CAN: u8 = 0x18;
const SUB: u8 = 0x1a;
const BEL: u8 = 0x07;
const DEL: u8 = 0x7f;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Text, C0 controls and whole ESC and CSI sequences.
    Output(&'a [u8]),
    /// The content of a whole OSC string.
    Osc(&'a [u8]),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    Escape,
    /// Behind `ESC` and a byte of 20..2F.
    Intermediate,
    Csi,
    CsiIgnore,
    String(Kind),
    /// `ESC` in a string: its end, if a backslash follows.
    StringEscape(Kind),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Osc,
    /// DCS, APC, PM, SOS: nothing in them is of use here.
    Other,
}

#[derive(Debug, Default)]
pub(super) struct Filter {
    state: State,
    /// The sequence or the OSC string so far.
    held: Vec<u8>,
    /// Bytes of the string so far.
    swallowed: usize,
}

impl Filter {
    /// `columns` bounds how often a sequence may repeat a character (REP).
    pub(super) fn split(&mut self, bytes: &[u8], columns: usize, mut take: impl FnMut(Piece<'_>)) {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.state == State::Ground {
                let text = memchr::memchr(ESC, rest).unwrap_or(rest.len());
                if text > 0 {
                    take(Piece::Output(&rest[..text]));
                }
                rest = &rest[text..];
                if !rest.is_empty() {
                    self.state = State::Escape;
                    rest = &rest[1..];
                }
                continue;
            }
            let byte = rest[0];
            rest = &rest[1..];
            if !self.step(byte, columns, &mut take) {
                // The byte belongs to what comes behind the broken sequence.
                self.state = State::Ground;
                take(Piece::Output(&[byte]));
            }
        }
    }

    /// False when the byte cannot be part of the sequence.
    fn step(&mut self, byte: u8, columns: usize, take: &mut impl FnMut(Piece<'_>)) -> bool {
        match self.state {
            State::Ground => return false,
            State::String(kind) => self.string(kind, byte, take),
            State::StringEscape(kind) => {
                if byte == b'\\' {
                    self.end_string(kind, take);
                } else {
                    self.state = State::Escape;
                    return self.step(byte, columns, take);
                }
            }
            _ if byte == ESC => self.state = State::Escape,
            _ if byte == CAN || byte == SUB => self.state = State::Ground,
            // Controls inside of a sequence are executed at once.
            _ if byte < 0x20 => take(Piece::Output(&[byte])),
            _ if byte == DEL => {}
            _ if byte > DEL => return false,
            State::Escape => self.escape(byte, take),
            State::Intermediate if byte < 0x30 => self.hold(byte),
            State::Csi if byte < 0x40 => self.hold(byte),
            State::CsiIgnore if byte < 0x40 => {}
            State::CsiIgnore => self.state = State::Ground,
            State::Intermediate => {
                self.state = State::Ground;
                let sequence = [&[ESC], self.held.as_slice(), &[byte]].concat();
                take(Piece::Output(&sequence));
            }
            State::Csi => {
                self.state = State::Ground;
                if byte == b'b' {
                    self.clamp_repetition(columns);
                }
                let sequence = [b"\x1b[", self.held.as_slice(), &[byte]].concat();
                take(Piece::Output(&sequence));
            }
        }
        true
    }

    fn escape(&mut self, byte: u8, take: &mut impl FnMut(Piece<'_>)) {
        self.held.clear();
        self.swallowed = 0;
        self.state = match byte {
            b'[' => State::Csi,
            b']' => State::String(Kind::Osc),
            b'P' | b'X' | b'^' | b'_' => State::String(Kind::Other),
            0x20..=0x2f => {
                self.held.push(byte);
                State::Intermediate
            }
            _ => {
                take(Piece::Output(&[ESC, byte]));
                State::Ground
            }
        };
    }

    fn hold(&mut self, byte: u8) {
        if self.held.len() < MAX_SEQUENCE {
            self.held.push(byte);
        } else {
            self.state = State::CsiIgnore;
        }
    }

    fn string(&mut self, kind: Kind, byte: u8, take: &mut impl FnMut(Piece<'_>)) {
        self.swallowed += 1;
        match byte {
            ESC => self.state = State::StringEscape(kind),
            CAN | SUB => self.state = State::Ground,
            BEL if kind == Kind::Osc => self.end_string(kind, take),
            _ if self.swallowed > MAX_SWALLOWED => self.state = State::Ground,
            0..0x20 | DEL => {}
            _ if kind == Kind::Osc && self.held.len() <= MAX_OSC => self.held.push(byte),
            _ => {}
        }
    }

    fn end_string(&mut self, kind: Kind, take: &mut impl FnMut(Piece<'_>)) {
        self.state = State::Ground;
        if kind == Kind::Osc && self.held.len() <= MAX_OSC {
            take(Piece::Osc(&self.held));
        }
        self.held = Vec::new();
    }

    /// `CSI 65535 b` is seven bytes that cost as much as 64 KiB of text.
    fn clamp_repetition(&mut self, columns: usize) {
        let count = std::str::from_utf8(&self.held)
            .ok()
            .and_then(|text| text.split([';', ':']).next())
            .filter(|count| !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit()));
        if let Some(count) = count {
            let count = count.parse::<usize>().map_or(columns, |n| n.min(columns));
            self.held = count.to_string().into_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(filter: &mut Filter, bytes: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>) {
        let (mut output, mut strings) = (Vec::new(), Vec::new());
        filter.split(bytes, 80, |piece| match piece {
            Piece::Output(bytes) => output.extend_from_slice(bytes),
            Piece::Osc(bytes) => strings.push(bytes.to_vec()),
        });
        (output, strings)
    }

    #[track_caller]
    fn check(input: &[u8], output: &[u8], strings: &[&[u8]]) {
        let whole = split(&mut Filter::default(), input);
        assert_eq!(
            whole.0.escape_ascii().to_string(),
            output.escape_ascii().to_string()
        );
        assert_eq!(whole.1, strings);
        let mut filter = Filter::default();
        let mut bytewise = (Vec::new(), Vec::new());
        for byte in input {
            let (output, strings) = split(&mut filter, &[*byte]);
            bytewise.0.extend(output);
            bytewise.1.extend(strings);
        }
        assert_eq!(bytewise, whole, "one byte at a time");
    }

    #[test]
    fn strings_are_taken_out() {
        check(b"a\x1b]0;title\x07b", b"ab", &[b"0;title"]);
        check(b"a\x1b]52;c;aGk=\x1b\\b", b"ab", &[b"52;c;aGk="]);
        check(
            b"\x1bP1$r0m\x1b\\\x1b_x\x1b\\\x1b^x\x1b\\\x1bXx\x1b\\b",
            b"b",
            &[],
        );
        check(b"\x1bPbell\x07still\x1b\\b", b"b", &[]);
        check(b"\x1b]0;ti\x1b[31mred", b"\x1b[31mred", &[]);
        check(b"\x1b]0;cut\x18text", b"text", &[]);
        check(
            "\x1b]0;gr\u{fc}\u{df}\x07\u{fc}".as_bytes(),
            "\u{fc}".as_bytes(),
            &["0;gr\u{fc}\u{df}".as_bytes()],
        );
        // Executed inside of the escape, which stays one.
        check(b"\x1b\n]0;x\x07", b"\n", &[b"0;x"]);
        // A designation, not an OSC.
        check(b"\x1b(]x", b"\x1b(]x", &[]);
        check(b"\x1b\x1b]0;x\x07", b"", &[b"0;x"]);
    }

    #[test]
    fn sequences_pass_whole() {
        check(
            b"a\x1b[1;2H\x1b7\x1b(0q\x1b[?25l",
            b"a\x1b[1;2H\x1b7\x1b(0q\x1b[?25l",
            &[],
        );
        check(b"\x1b[1\n2H", b"\n\x1b[12H", &[]);
        check(b"\x1b[3\x18x", b"x", &[]);
        check(b"\x1b[3\x1b[4m", b"\x1b[4m", &[]);
        check("\x1b[3\u{e9}".as_bytes(), "\u{e9}".as_bytes(), &[]);
    }

    #[test]
    fn what_has_no_measure_gets_one() {
        let long = [b"\x1b[".as_slice(), &[b'1'; 5000], b"mtext"].concat();
        check(&long, b"text", &[]);
        check(b"x\x1b[65535b\x1b[5b\x1b[b", b"x\x1b[80b\x1b[5b\x1b[b", &[]);
        let mut filter = Filter::default();
        let osc = [
            b"\x1b]0;".as_slice(),
            &vec![b'x'; MAX_OSC + 1],
            b"\x07after",
        ]
        .concat();
        assert_eq!(split(&mut filter, &osc), (b"after".to_vec(), Vec::new()));
        split(&mut filter, b"\x1bPnever closed");
        split(&mut filter, &vec![b'x'; MAX_SWALLOWED]);
        assert_eq!(split(&mut filter, b"text").0, b"text");
        assert!(filter.held.capacity() <= 2 * MAX_OSC);
    }

    proptest! {
        #[test]
        fn no_string_ever_passes(bytes in proptest::collection::vec(prop_oneof![
            Just(0x1b_u8), Just(b']'), Just(b'P'), Just(b'_'), Just(b'\\'), Just(7), Just(b'['), Just(b'('), any::<u8>(),
        ], 0..200)) {
            let (output, _) = split(&mut Filter::default(), &bytes);
            for pair in output.windows(2) {
                prop_assert!(!(pair[0] == 0x1b && matches!(pair[1], b']' | b'P' | b'X' | b'^' | b'_')), "{output:?}");
            }
        }
    }
}
