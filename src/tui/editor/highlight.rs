//! What the parts of a line of YAML are, for colours. It reads line by line and is content with text that is no
//! YAML: while one types it mostly is not.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Token {
    Plain,
    Key,
    Punctuation,
    String,
    Number,
    /// `true`, `null` and their like.
    Constant,
    Comment,
    /// Anchors, aliases, tags and document markers.
    Mark,
}

/// Carries what a line needs to know of the lines above it.
#[derive(Clone, Debug, Default)]
pub(in crate::tui) struct Highlighter {
    /// The indentation of the line that opened a block scalar.
    block: Option<usize>,
}

type Parts<'a> = Vec<(Token, &'a str)>;

impl Highlighter {
    /// The parts of a line; together they are the line.
    pub(in crate::tui) fn line<'a>(&mut self, line: &'a str) -> Parts<'a> {
        let content = line.trim_start_matches(' ');
        let indent = line.len() - content.len();
        if let Some(opened) = self.block {
            if content.is_empty() || indent > opened {
                return vec![(Token::String, line)];
            }
            self.block = None;
        }
        let mut parts = Vec::new();
        push(&mut parts, Token::Plain, &line[..indent]);
        if content.starts_with("---") || content.starts_with("...") {
            push(&mut parts, Token::Mark, content);
            return parts;
        }
        let rest = self.items_and_key(&mut parts, content);
        if opens_block(rest) {
            self.block = Some(indent);
        }
        values(&mut parts, rest);
        parts
    }

    /// `- `, `- - `, `key:`; returns what stands behind.
    fn items_and_key<'a>(&self, parts: &mut Parts<'a>, content: &'a str) -> &'a str {
        let mut rest = content;
        while rest == "-" || rest.starts_with("- ") {
            let width = rest.len() - rest[1..].trim_start_matches(' ').len();
            push(parts, Token::Punctuation, &rest[..width]);
            rest = &rest[width..];
        }
        if let Some(end) = key_end(rest) {
            push(parts, Token::Key, &rest[..end]);
            push(parts, Token::Punctuation, &rest[end..=end]);
            rest = &rest[end + 1..];
        }
        rest
    }
}

fn push<'a>(parts: &mut Parts<'a>, token: Token, text: &'a str) {
    if !text.is_empty() {
        parts.push((token, text));
    }
}

/// Where the colon of a key is.
pub(super) fn key_end(text: &str) -> Option<usize> {
    if text.starts_with(['#', '{', '[', '&', '*', '!', '|', '>']) {
        return None;
    }
    if let Some(quote) = text
        .chars()
        .next()
        .filter(|first| matches!(first, '"' | '\''))
    {
        let end = text[1..].find(quote)? + 2;
        return text[end..].starts_with(':').then_some(end);
    }
    text.match_indices(':')
        .map(|(at, _)| at)
        .find(|at| text[at + 1..].is_empty() || text[at + 1..].starts_with([' ', '\t']))
        .filter(|at| !text[..*at].contains(" #"))
}

fn opens_block(rest: &str) -> bool {
    let text = rest.split(" #").next().unwrap_or_default().trim();
    let mut symbols = text.chars();
    matches!(symbols.next(), Some('|' | '>'))
        && symbols.all(|symbol| matches!(symbol, '+' | '-' | '0'..='9'))
}

/// Scalars, flow collections and comments behind a key.
fn values<'a>(parts: &mut Parts<'a>, text: &'a str) {
    let mut rest = text;
    let mut is_free = true;
    while let Some(first) = rest.chars().next() {
        let (token, width) = match first {
            '#' if is_free => (Token::Comment, rest.len()),
            ' ' | '\t' => {
                let width = rest.len() - rest.trim_start_matches([' ', '\t']).len();
                push(parts, Token::Plain, &rest[..width]);
                rest = &rest[width..];
                is_free = true;
                continue;
            }
            '"' | '\'' => (Token::String, quoted_width(rest, first)),
            '{' | '}' | '[' | ']' | ',' => (Token::Punctuation, 1),
            '&' | '*' | '!' if is_free => (Token::Mark, word_width(rest)),
            '|' | '>' if is_free => (Token::Punctuation, word_width(rest)),
            _ => scalar(rest),
        };
        push(parts, token, &rest[..width]);
        if token == Token::Key {
            push(parts, Token::Punctuation, &rest[width..=width]);
            rest = &rest[width + 1..];
        } else {
            rest = &rest[width..];
        }
        is_free = matches!(first, '{' | '[' | ',');
    }
}

fn word_width(text: &str) -> usize {
    text.find([' ', ',', ']', '}']).unwrap_or(text.len()).max(1)
}

fn quoted_width(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, symbol) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if symbol == '\\' && quote == '"' {
            escaped = true;
        } else if symbol == quote {
            return at + 1;
        }
    }
    text.len()
}

/// A plain scalar up to what ends it, or a key of a flow map.
fn scalar(text: &str) -> (Token, usize) {
    let end = text
        .char_indices()
        .find(|&(at, symbol)| {
            matches!(symbol, ',' | ']' | '}' | '{' | '[')
                || (symbol == ' ' && text[at..].trim_start().starts_with('#'))
        })
        .map_or(text.len(), |(at, _)| at);
    if let Some(colon) = text[..end]
        .find(": ")
        .or_else(|| text[..end].strip_suffix(':').map(str::len))
    {
        return (Token::Key, colon);
    }
    let word = text[..end].trim_end();
    let token = match word {
        "true" | "false" | "null" | "~" | "yes" | "no" | "on" | "off" | "True" | "False"
        | "Null" => Token::Constant,
        word if word.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first))
            && word.contains(|symbol: char| symbol.is_ascii_digit())
            && word
                .chars()
                .all(|symbol| symbol.is_ascii_alphanumeric() || "+-._".contains(symbol)) =>
        {
            Token::Number
        }
        _ => Token::Plain,
    };
    (token, word.len().max(1).min(end.max(1)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(Token, &str)]) {
        let mut highlighter = Highlighter::default();
        let blank = |(_, part): &(Token, &str)| !part.trim().is_empty();
        let found: Vec<(Token, &str)> = text
            .lines()
            .flat_map(|line| highlighter.line(line))
            .filter(blank)
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn parts_of_lines() {
        use Token::{Comment, Constant, Key, Mark, Number, Plain, Punctuation, String};
        check(
            "- name: web # x",
            &[
                (Punctuation, "- "),
                (Key, "name"),
                (Punctuation, ":"),
                (Plain, "web"),
                (Comment, "# x"),
            ],
        );
        check(
            "a: [1, true, \"x: y\"]",
            &[
                (Key, "a"),
                (Punctuation, ":"),
                (Punctuation, "["),
                (Number, "1"),
                (Punctuation, ","),
                (Constant, "true"),
                (Punctuation, ","),
                (String, "\"x: y\""),
                (Punctuation, "]"),
            ],
        );
        check(
            "l: {cpu: 10m}",
            &[
                (Key, "l"),
                (Punctuation, ":"),
                (Punctuation, "{"),
                (Key, "cpu"),
                (Punctuation, ":"),
                (Number, "10m"),
                (Punctuation, "}"),
            ],
        );
        check(
            "a: |\n  b: c\n\n  # d\ne: nginx:1.2",
            &[
                (Key, "a"),
                (Punctuation, ":"),
                (Punctuation, "|"),
                (String, "  b: c"),
                (String, "  # d"),
                (Key, "e"),
                (Punctuation, ":"),
                (Plain, "nginx:1.2"),
            ],
        );
        check("# a\n---", &[(Comment, "# a"), (Mark, "---")]);
        check(
            "a: &x !!str 1",
            &[
                (Key, "a"),
                (Punctuation, ":"),
                (Mark, "&x"),
                (Mark, "!!str"),
                (Number, "1"),
            ],
        );
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_panics(text in "[-a:#\"'{}\\[\\],&*!|> é\t1]{0,24}(\n[-a: #|é]{0,9}){0,3}") {
            let mut highlighter = Highlighter::default();
            for line in text.lines() {
                let parts: String = highlighter.line(line).into_iter().map(|(_, part)| part).collect();
                prop_assert_eq!(parts, line);
            }
        }
    }
}
