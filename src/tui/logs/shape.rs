use std::borrow::Cow;

use ratatui::style::Style;
use serde_json::{Map, Value};

use super::{LogEntry, Origin};
use crate::tui::sanitize::{SafeLine, output_line, plain};

/// How lines that are JSON objects or logfmt are shown. Other lines are shown as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tui) enum Shape {
    #[default]
    Raw,
    /// Level and message.
    Message,
    /// Level, message and every other field.
    Fields,
}

impl Shape {
    pub(in crate::tui) const fn next(self) -> Self {
        match self {
            Self::Raw => Self::Message,
            Self::Message => Self::Fields,
            Self::Fields => Self::Raw,
        }
    }

    pub(in crate::tui) const fn word(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Message => "message",
            Self::Fields => "fields",
        }
    }
}

/// The styles of the parts of a structured line.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::tui) struct ShapeStyles {
    pub(in crate::tui) error: Style,
    pub(in crate::tui) warning: Style,
    pub(in crate::tui) info: Style,
    pub(in crate::tui) dim: Style,
}

const LEVELS: &[&str] = &["level", "lvl", "severity", "loglevel", "log.level"];
const MESSAGES: &[&str] = &["msg", "message", "event", "text"];
/// Not repeated among the fields: podtui shows its own time.
const TIMES: &[&str] = &["time", "ts", "timestamp", "@timestamp", "t"];

/// The line as it is to be drawn.
pub(in crate::tui) fn shown(
    entry: &LogEntry,
    shape: Shape,
    styles: ShapeStyles,
) -> Cow<'_, SafeLine> {
    if shape == Shape::Raw || entry.origin == Origin::Marker {
        return Cow::Borrowed(&entry.line);
    }
    match fields_of(&entry.line.text) {
        Some(fields) => Cow::Owned(Composer::compose(&fields, shape, styles)),
        None => Cow::Borrowed(&entry.line),
    }
}

/// Names and values, in the order of the line.
type Fields = Vec<(String, String)>;

fn fields_of(text: &str) -> Option<Fields> {
    let text = text.trim();
    if text.starts_with('{') && text.ends_with('}') {
        let object: Map<String, Value> = serde_json::from_str(text).ok()?;
        let field = |(name, value): (String, Value)| {
            let value = match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
            (name, value)
        };
        return Some(object.into_iter().map(field).collect());
    }
    logfmt(text)
}

/// `name=value name="a \"quoted\" value"`: the whole line, at least two pairs.
fn logfmt(text: &str) -> Option<Fields> {
    let mut fields = Fields::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, tail) = rest.split_once('=')?;
        let is_name = |sign: char| sign.is_alphanumeric() || "_-./@".contains(sign);
        if name.is_empty() || !name.chars().all(is_name) {
            return None;
        }
        let (value, tail) = match tail.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let (value, tail) = tail.split_once(' ').unwrap_or((tail, ""));
                (value.to_owned(), tail)
            }
        };
        fields.push((name.to_owned(), value));
        rest = tail.trim_start();
    }
    (fields.len() >= 2).then_some(fields)
}

/// The value up to its closing quote, and what is behind.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut signs = quoted.char_indices();
    while let Some((offset, sign)) = signs.next() {
        match sign {
            '"' => return Some((value, &quoted[offset + 1..])),
            '\\' => match signs.next()?.1 {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

/// `ERROR`, `WARN`, …; numbers are those of pino and bunyan.
fn level_word(level: &str) -> String {
    let word = match level {
        "10" => "TRACE",
        "20" => "DEBUG",
        "30" => "INFO",
        "40" => "WARN",
        "50" => "ERROR",
        "60" => "FATAL",
        other => return plain(other).to_uppercase(),
    };
    word.to_owned()
}

fn level_style(word: &str, styles: ShapeStyles) -> Style {
    match word {
        "ERROR" | "ERR" | "FATAL" | "PANIC" | "CRITICAL" | "CRIT" | "ALERT" | "EMERG" | "E" => {
            styles.error
        }
        "WARN" | "WARNING" | "W" => styles.warning,
        "DEBUG" | "TRACE" | "D" | "T" => styles.dim,
        _ => styles.info,
    }
}

/// Builds a line. Decoded values are what the container wants them to be (`\u001b` in JSON is an escape), so
/// each is made safe once more.
#[derive(Default)]
struct Composer {
    text: String,
    styles: Vec<(usize, Style)>,
}

impl Composer {
    fn compose(fields: &Fields, shape: Shape, styles: ShapeStyles) -> SafeLine {
        let first = |names: &[&str]| {
            let is_one = |(name, _): &&(String, String)| {
                names.iter().any(|known| name.eq_ignore_ascii_case(known))
            };
            fields.iter().find(is_one)
        };
        let (level, message) = (first(LEVELS), first(MESSAGES));
        let mut composer = Self::default();
        if let Some((_, level)) = level {
            let word = level_word(level);
            composer.push(&format!("{word:<5} "), level_style(&word, styles));
        }
        if let Some((_, message)) = message {
            composer.push_output(message);
        }
        // Without a message the fields are all there is to show.
        if shape == Shape::Fields || message.is_none() {
            for field in fields {
                let (name, value) = field;
                let is_shown = |part: Option<&(String, String)>| {
                    part.is_some_and(|part| std::ptr::eq(part, field))
                };
                let is_time = TIMES.iter().any(|known| name.eq_ignore_ascii_case(known));
                if is_shown(level) || is_shown(message) || is_time {
                    continue;
                }
                let gap = if composer.text.is_empty() || composer.text.ends_with(' ') {
                    ""
                } else {
                    " "
                };
                composer.push(&format!("{gap}{}=", plain(name)), styles.dim);
                composer.push(&plain(value), Style::new());
            }
        }
        SafeLine {
            text: composer.text.into(),
            styles: composer.styles.into(),
        }
    }

    fn push(&mut self, text: &str, style: Style) {
        self.styles.push((self.text.len(), style));
        self.text.push_str(text);
    }

    /// With the colours the text brings; its line breaks stay visible.
    fn push_output(&mut self, text: &str) {
        let line = output_line(text.trim_end().replace('\n', "\\n").as_bytes());
        let offset = self.text.len();
        self.styles.push((offset, Style::new()));
        let moved = line.styles.iter().map(|(at, style)| (offset + at, *style));
        self.styles.extend(moved);
        self.text.push_str(&line.text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, message: &str, fields: &str) {
        let entry = LogEntry {
            at: None,
            source: 0,
            origin: Origin::Output,
            line: output_line(line.as_bytes()),
        };
        let text = |shape| {
            let shown = shown(&entry, shape, ShapeStyles::default());
            assert!(!shown.text.contains(char::is_control), "{:?}", shown.text);
            for (offset, _) in &shown.styles {
                assert!(shown.text.is_char_boundary(*offset));
            }
            shown.text.trim_end().to_owned()
        };
        assert_eq!(text(Shape::Raw), *entry.line.text);
        assert_eq!(text(Shape::Message), message);
        assert_eq!(text(Shape::Fields), fields);
    }

    #[test]
    fn structured_lines_in_each_shape() {
        check(
            r#"{"time":"now","level":"error","msg":"no luck","code":7,"ctx":{"a":1}}"#,
            "ERROR no luck",
            r#"ERROR no luck code=7 ctx={"a":1}"#,
        );
        check(r#"{"level":30,"message":"ok"}"#, "INFO  ok", "INFO  ok");
        check(
            r#"ts=1 level=warn msg="a \"b\" c" took=3ms"#,
            r#"WARN  a "b" c"#,
            r#"WARN  a "b" c took=3ms"#,
        );
        check(r#"{"a":1,"b":"x"}"#, "a=1 b=x", "a=1 b=x");
        check("a=b", "a=b", "a=b");
        check("x = 1 and y=2", "x = 1 and y=2", "x = 1 and y=2");
        check(r#"{"broken":"#, r#"{"broken":"#, r#"{"broken":"#);
        check("[1,2]", "[1,2]", "[1,2]");
    }

    #[test]
    fn decoded_text_is_made_safe_again() {
        check(
            r#"{"msg":"a\u001b[2Jb\u0007\nc","k\u001b]0;x\u0007":"\u202ev","level":"\u001b[31mx"}"#,
            "X     ab\\nc",
            "X     ab\\nc k=<202E>v",
        );
    }
}
