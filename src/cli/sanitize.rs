/// Lets text, line breaks, tabs and colours of a log through to a terminal and drops everything else: a
/// container must not be able to move the cursor, set the title or make the terminal answer.
///
/// The state lives across chunks, because an escape sequence may be cut anywhere. Bytes that are no UTF-8
/// pass, as a terminal shows them as replacement characters.
#[derive(Debug, Default)]
pub(super) struct Sanitizer {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// After ESC and intermediate bytes; one final byte ends it.
    Intermediate,
    /// After ESC `[`; the parameters so far.
    Csi(Vec<u8>),
    /// OSC, DCS, SOS, PM, APC: up to BEL or ST.
    String { escape: bool },
    /// After 0xC2, the first byte of a C1 control in UTF-8 (or of a harmless character).
    C2,
}

/// Longer parameter lists are no colours.
const MAX_PARAMETERS: usize = 64;

impl Sanitizer {
    pub(super) fn clean(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            self.state = self.step(byte, &mut out);
        }
        out
    }

    fn step(&mut self, byte: u8, out: &mut Vec<u8>) -> State {
        match std::mem::take(&mut self.state) {
            State::Text => text(byte, out),
            State::Escape => match byte {
                b'[' => State::Csi(Vec::new()),
                b']' | b'P' | b'X' | b'^' | b'_' => State::String { escape: false },
                0x20..=0x2f => State::Intermediate,
                0x1b => State::Escape,
                b'\n' => text(byte, out),
                _ => State::Text,
            },
            State::Intermediate => match byte {
                0x20..=0x2f => State::Intermediate,
                b'\n' => text(byte, out),
                _ => State::Text,
            },
            State::Csi(mut parameters) => match byte {
                b'm' if parameters
                    .iter()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b';' | b':')) =>
                {
                    out.extend_from_slice(b"\x1b[");
                    out.extend_from_slice(&parameters);
                    out.push(b'm');
                    State::Text
                }
                0x20..=0x3f => {
                    if parameters.len() < MAX_PARAMETERS {
                        parameters.push(byte);
                    } else {
                        // Not a digit any more, so the sequence is dropped at its end.
                        parameters[0] = b'?';
                    }
                    State::Csi(parameters)
                }
                0x1b => State::Escape,
                b'\n' => text(byte, out),
                _ => State::Text,
            },
            State::String { escape: true } if byte == b'\\' => State::Text,
            State::String { .. } => match byte {
                0x07 => State::Text,
                // A line break ends a forgotten string; the log would vanish otherwise.
                b'\n' => text(byte, out),
                _ => State::String {
                    escape: byte == 0x1b,
                },
            },
            State::C2 => match byte {
                0x80..=0x9f => State::Text,
                _ => {
                    out.push(0xc2);
                    text(byte, out)
                }
            },
        }
    }
}

fn text(byte: u8, out: &mut Vec<u8>) -> State {
    match byte {
        0x1b => return State::Escape,
        0xc2 => return State::C2,
        b'\n' | b'\t' | b'\r' => out.push(byte),
        0..=0x1f | 0x7f => {}
        _ => out.push(byte),
    }
    State::Text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(input: &str, expected: &str) {
        let whole = Sanitizer::default().clean(input.as_bytes());
        assert_eq!(String::from_utf8(whole).unwrap(), expected);
        let mut cut = Sanitizer::default();
        let bytes: Vec<u8> = input.bytes().flat_map(|byte| cut.clean(&[byte])).collect();
        assert_eq!(String::from_utf8(bytes).unwrap(), expected, "byte by byte");
    }

    #[test]
    fn only_text_and_colours_pass() {
        check("plain ü ©\n\ttab\r\n", "plain ü ©\n\ttab\r\n");
        check("\x1b[1;31mred\x1b[0m", "\x1b[1;31mred\x1b[0m");
        check("\x1b[2J\x1b[Hclear", "clear");
        check("\x1b]0;title\x07x\x1b]52;c;AAAA\x1b\\y", "xy");
        check("\x1b[?25lhidden\x1b(B\x1bcreset", "hiddenreset");
        check("bell\x07back\x08", "bellback");
        check("\u{9b}31mC1\u{85}", "31mC1");
        check("\x1b]0;never ended\nnext", "\nnext");
    }
}
