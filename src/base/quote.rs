/// As Go's `strconv.Quote` writes a string, and with it `%q` of kubectl, the kubelet and the API server.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", escape(text, true))
}

/// The same without quotation marks around it and in it: for text that stands in a sentence as it is, where what
/// acts on a terminal must not.
pub(crate) fn escaped(text: &str) -> String {
    escape(text, false)
}

fn escape(text: &str, marks: bool) -> String {
    let mut result = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' if !marks => result.push('"'),
            '"' | '\\' => result.extend(['\\', character]),
            '\u{7}' => result.push_str("\\a"),
            '\u{8}' => result.push_str("\\b"),
            '\u{c}' => result.push_str("\\f"),
            '\n' => result.push_str("\\n"),
            '\r' => result.push_str("\\r"),
            '\t' => result.push_str("\\t"),
            '\u{b}' => result.push_str("\\v"),
            other if (other as u32) < 0x20 || other == '\u{7f}' => {
                result.push_str(&format!("\\x{:02x}", other as u32));
            }
            other if is_printable(other) => result.push(other),
            other if (other as u32) < 0x10000 => {
                result.push_str(&format!("\\u{:04x}", other as u32));
            }
            other => result.push_str(&format!("\\U{:08x}", other as u32)),
        }
    }
    result
}

/// Rust's own tables; a letter in front, because a mark is printable when it stands on something.
fn is_printable(character: char) -> bool {
    if character == ' ' || character == '\'' {
        return true;
    }
    let mut text = String::from("a");
    text.push(character);
    !text.escape_debug().to_string().contains('\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_quotes() {
        let check = |text: &str, expected: &str| assert_eq!(quoted(text), expected);
        check("a b", "\"a b\"");
        check("\u{1b}[31m", "\"\\x1b[31m\"");
        check("\0\t\"\\'", "\"\\x00\\t\\\"\\\\'\"");
        check("\u{9b}\u{200b}", "\"\\u009b\\u200b\"");
        check("ä日", "\"ä日\"");
        assert_eq!(escaped("say \"\u{1b}\""), "say \"\\x1b\"");
    }
}
