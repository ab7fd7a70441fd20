//! Values as YAML in the form kubectl prints: keys sorted, two blanks of indentation, lists flush with their key.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::scalar;

/// Text that this room's loader and kubectl read back as the same value.
pub(crate) fn to_yaml(value: &Value) -> String {
    write(value, Order::Sorted)
}

/// The same with the keys in the order they were put in.
pub(super) fn to_yaml_in_order(value: &Value) -> String {
    write(value, Order::AsIs)
}

/// Columns after which a line is broken at the next blank.
const WIDTH: usize = 80;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Sorted,
    AsIs,
}

fn write(value: &Value, order: Order) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => write_map(&mut out, map, 0, order),
        Value::Array(items) if !items.is_empty() => write_list(&mut out, items, 0, order),
        other => {
            write_inline(&mut out, other, 0);
            out.push('\n');
        }
    }
    out
}

/// A scalar in one line, as it may stand behind a key.
pub(super) fn inline(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::String(text) if text.contains('\n') => write_double(&mut out, text),
        // Between braces and brackets a comma would end a plain scalar.
        Value::String(text) if style(text) == Style::Plain && text.contains([',', ']', '}']) => {
            write_single(&mut out, text);
        }
        other => write_inline(&mut out, other, 0),
    }
    out
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// The first key is written where the cursor is when `out` does not end a line.
fn write_map(out: &mut String, map: &Map<String, Value>, indent: usize, order: Order) {
    let mut keys: Vec<&String> = map.keys().collect();
    if order == Order::Sorted {
        keys.sort();
    }
    for (index, key) in keys.into_iter().enumerate() {
        if index > 0 || out.is_empty() || out.ends_with('\n') {
            pad(out, indent);
        }
        write_key(out, key);
        out.push(':');
        match &map[key.as_str()] {
            Value::Object(inner) if !inner.is_empty() => {
                out.push('\n');
                write_map(out, inner, indent + 2, order);
            }
            Value::Array(items) if !items.is_empty() => {
                out.push('\n');
                write_list(out, items, indent, order);
            }
            other => {
                out.push(' ');
                write_folded(out, other, indent + 2);
                out.push('\n');
            }
        }
    }
}

fn write_list(out: &mut String, items: &[Value], indent: usize, order: Order) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 || out.is_empty() || out.ends_with('\n') {
            pad(out, indent);
        }
        out.push_str("- ");
        match item {
            Value::Object(map) if !map.is_empty() => write_map(out, map, indent + 2, order),
            Value::Array(items) if !items.is_empty() => write_list(out, items, indent + 2, order),
            other => {
                write_folded(out, other, indent + 2);
                out.push('\n');
            }
        }
    }
}

/// Keys are never written over several lines.
fn write_key(out: &mut String, key: &str) {
    match style(key) {
        Style::Literal | Style::Double => write_double(out, key),
        Style::Plain => out.push_str(key),
        Style::Single => write_single(out, key),
    }
}

/// A scalar behind a key or a dash. Long text goes on in further lines, broken where libyaml's emitter (and with it
/// kubectl) breaks it: at the first single blank behind column 80.
fn write_folded(out: &mut String, value: &Value, indent: usize) {
    let line = out.rfind('\n').map_or(0, |newline| newline + 1);
    let mut column = out[line..].chars().count();
    let start = out.len();
    write_inline(out, value, indent);
    let Value::String(text) = value else { return };
    let style = style(text);
    if style == Style::Literal {
        return;
    }
    let written = out.split_off(start);
    // Quotation marks are no part of the text: a blank beside them stays where it is.
    let inner = match style {
        Style::Single | Style::Double => 1..written.len() - 1,
        Style::Plain | Style::Literal => 0..written.len(),
    };
    let mut after_blank = false;
    let mut skipped = false;
    for (at, symbol) in written.char_indices() {
        let next_is_blank = written[at + symbol.len_utf8()..].starts_with(' ');
        let is_end = at == inner.start || at + 1 == inner.end;
        let breaks = symbol == ' '
            && !after_blank
            && !skipped
            && column > WIDTH
            && match style {
                Style::Plain => !next_is_blank,
                Style::Single => !is_end && !next_is_blank,
                Style::Double => !is_end,
                Style::Literal => false,
            };
        skipped = symbol == '\\' && !skipped && style == Style::Double;
        after_blank = symbol == ' ';
        if !breaks {
            out.push(symbol);
            column += 1;
            continue;
        }
        out.push('\n');
        pad(out, indent);
        column = indent;
        if next_is_blank {
            // It would be taken for part of the indentation.
            out.push('\\');
            column += 1;
        }
    }
}

fn write_inline(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(text) => match style(text) {
            Style::Plain => out.push_str(text),
            Style::Single => write_single(out, text),
            Style::Double => write_double(out, text),
            Style::Literal => write_literal(out, text, indent),
        },
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

fn style(text: &str) -> Style {
    let printable = |symbol: char| {
        matches!(symbol, ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
            && !matches!(symbol, '\u{2028}' | '\u{2029}')
    };
    if text.contains('\n') {
        let lines_fit = text
            .split('\n')
            .all(|line| !line.ends_with(' ') && line.chars().all(printable));
        return if lines_fit {
            Style::Literal
        } else {
            Style::Double
        };
    }
    if !text.chars().all(printable) || reads_as_other_type(text) {
        Style::Double
    } else if plain_is_safe(text) {
        Style::Plain
    } else {
        Style::Single
    }
}

/// Plain text that some YAML 1.1 reader takes for null, a boolean, a number, a time or a merge.
fn reads_as_other_type(text: &str) -> bool {
    let numeric_start =
        text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first));
    !matches!(scalar::resolve_plain(text), Ok(Value::String(_)))
        || matches!(text, "=" | "<<")
        || (numeric_start && looks_like_time(text))
}

/// Sexagesimal numbers (`1:30`) and dates (`2001-01-01`, also with a time behind).
fn looks_like_time(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let signs = text
        .bytes()
        .filter(|byte| b":-+.TtZz _".contains(byte))
        .count();
    digits + signs == text.len() && text.contains([':', '-'])
}

fn plain_is_safe(text: &str) -> bool {
    let mut symbols = text.chars();
    let Some(first) = symbols.next() else {
        return false;
    };
    let second = symbols.next();
    if "#,[]{}&*!|>'\"%@`".contains(first) {
        return false;
    }
    if "-?:".contains(first) && second.is_none_or(|second| second == ' ') {
        return false;
    }
    !(text.starts_with(' ')
        || text.ends_with(' ')
        || text.ends_with(':')
        || text.contains(": ")
        || text.contains(" #")
        || text.starts_with("---")
        || text.starts_with("..."))
}

fn write_single(out: &mut String, text: &str) {
    out.push('\'');
    out.push_str(&text.replace('\'', "''"));
    out.push('\'');
}

fn write_double(out: &mut String, text: &str) {
    out.push('"');
    for symbol in text.chars() {
        match symbol {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\0' => out.push_str("\\0"),
            ' '..='~' => out.push(symbol),
            _ => write_escape(out, symbol),
        }
    }
    out.push('"');
}

fn write_escape(out: &mut String, symbol: char) {
    let code = u32::from(symbol);
    let written = match code {
        0..=0xff => write!(out, "\\x{code:02X}"),
        0x100..=0xd7ff | 0xe000..=0xfefe | 0xff00..=0xfffd if !matches!(code, 0x2028 | 0x2029) => {
            out.push(symbol);
            Ok(())
        }
        0x100..=0xffff => write!(out, "\\u{code:04X}"),
        _ => write!(out, "\\U{code:08X}"),
    };
    written.expect("writing to a string does not fail");
}

fn write_literal(out: &mut String, text: &str, indent: usize) {
    let body = text.trim_end_matches('\n');
    let breaks = text.len() - body.len();
    out.push('|');
    if text.starts_with([' ', '\n']) {
        // Nothing else tells a reader where the indentation ends.
        out.push('2');
    }
    out.push_str(match breaks {
        0 => "-",
        1 if !body.is_empty() => "",
        _ => "+",
    });
    for line in body.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            pad(out, indent);
            out.push_str(line);
        }
    }
    // The caller ends the last line.
    for _ in 1..breaks {
        out.push('\n');
    }
}
