//! What a scalar means: the YAML 1.1 rules that kubectl reads with, minus dates and sexagesimal numbers.

use base64::Engine as _;
use serde_json::{Number, Value};

use super::yaml::NodeTag;

/// A plain, untagged scalar. The error is for numbers that JSON has no form for.
pub(super) fn resolve_plain(text: &str) -> Result<Value, String> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Ok(Value::Bool(true));
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Ok(Value::Bool(false));
        }
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF"
        | ".nan" | ".NaN" | ".NAN" => {
            return Err(format!(
                "the number {text} cannot be expressed; quote it if it is text"
            ));
        }
        _ => {}
    }
    if text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first))
        && let Some(number) = number(text)
    {
        return Ok(Value::Number(number));
    }
    Ok(Value::String(text.to_owned()))
}

/// A scalar with its tag taken into account.
pub(super) fn resolve(text: &str, plain: bool, tag: &NodeTag) -> Result<Value, String> {
    let core = match tag {
        NodeTag::None if plain => return resolve_plain(text),
        NodeTag::None | NodeTag::NonSpecific => return Ok(Value::String(text.to_owned())),
        NodeTag::Core(core) => core.as_str(),
        NodeTag::Other(tag) => return Err(format!("the tag {tag} is not known")),
    };
    let value = match core {
        "str" | "timestamp" => return Ok(Value::String(text.to_owned())),
        "binary" => return binary(text),
        _ => resolve_plain(text)?,
    };
    let fits = match core {
        "null" => value.is_null(),
        "bool" => value.is_boolean(),
        "int" => value.is_i64() || value.is_u64(),
        "float" => value.is_number(),
        _ => return Err(format!("the tag !!{core} does not fit a single value")),
    };
    if fits {
        Ok(value)
    } else {
        Err(format!("cannot decode {text:?} as !!{core}"))
    }
}

fn binary(text: &str) -> Result<Value, String> {
    let packed: String = text.split_ascii_whitespace().collect();
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(packed)
        .map_err(|error| format!("!!binary value contains invalid base64 data: {error}"))?;
    String::from_utf8(bytes)
        .map(Value::String)
        .map_err(|_| "the !!binary value is not text".to_owned())
}

fn number(text: &str) -> Option<Number> {
    let text: String = text.chars().filter(|&symbol| symbol != '_').collect();
    integer(&text).or_else(|| float(&text))
}

fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (base, digits) = if let Some(digits) = lower.strip_prefix("0x") {
        (16, digits)
    } else if let Some(digits) = lower.strip_prefix("0b") {
        (2, digits)
    } else if let Some(digits) = lower.strip_prefix("0o") {
        (8, digits)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..])
    } else {
        (10, lower.as_str())
    };
    if !digits.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, base).ok()?;
    if negative {
        let number = -i128::from(magnitude);
        i64::try_from(number).ok().map(Number::from)
    } else {
        Some(Number::from(magnitude))
    }
}

/// `[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?`
fn is_float(text: &str) -> bool {
    let digits = |text: &str| -> usize {
        let end = text.find(|symbol: char| !symbol.is_ascii_digit());
        end.unwrap_or(text.len())
    };
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let whole = digits(text);
    let mut rest = &text[whole..];
    if let Some(after) = rest.strip_prefix('.') {
        let fraction = digits(after);
        if whole == 0 && fraction == 0 {
            return false;
        }
        rest = &after[fraction..];
    } else if whole == 0 {
        return false;
    }
    match rest.strip_prefix(['e', 'E']) {
        None => rest.is_empty(),
        Some(exponent) => {
            let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
            !exponent.is_empty() && digits(exponent) == exponent.len()
        }
    }
}

fn float(text: &str) -> Option<Number> {
    if !is_float(text) {
        return None;
    }
    let number: f64 = text.parse().ok()?;
    // JSON of a whole number has no fraction, as Go writes it: `08` and `8.0` are 8.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() < EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        return Some(Number::from(number as i64));
    }
    Number::from_f64(number)
}

/// The text of a map key. Keys of other types become text as JSON writes them.
pub(super) fn key(text: &str, plain: bool, tag: &NodeTag) -> Result<String, String> {
    match resolve(text, plain, tag)? {
        Value::String(text) => Ok(text),
        Value::Null => Err("a key must not be null".to_owned()),
        other => Ok(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Value) {
        assert_eq!(resolve_plain(text).unwrap(), expected, "{text:?}");
    }

    #[test]
    fn plain_scalars() {
        for text in ["", "~", "null", "NULL"] {
            check(text, Value::Null);
        }
        for text in ["y", "Yes", "TRUE", "on"] {
            check(text, json!(true));
        }
        for text in ["N", "no", "False", "OFF"] {
            check(text, json!(false));
        }
        check("0400", json!(256));
        check("0o17", json!(15));
        check("0x1F", json!(31));
        check("-0b11", json!(-3));
        check("1_000", json!(1000));
        check("+12", json!(12));
        check("0", json!(0));
        check("-9223372036854775808", json!(i64::MIN));
        check("18446744073709551615", json!(u64::MAX));
        check("08", json!(8));
        check("1.0", json!(1));
        check(".5", json!(0.5));
        check("5.", json!(5));
        check("-1.5e3", json!(-1500));
        check("1e-2", json!(0.01));
        for text in [
            "1:30",
            "12:30:45",
            "=",
            "2001-01-01",
            "yEs",
            "1f2d1e2e67df",
            "-",
            "+",
            ".",
            "--1",
            "0x",
            "1.2.3",
            "1e",
            "0b2",
            "_1",
            "0xg",
            "tRue",
            "nope",
            "1Gi",
            "<<",
        ] {
            check(text, json!(text));
        }
        assert!(resolve_plain(".inf").is_err());
        assert!(resolve_plain("-.INF").is_err());
    }

    #[test]
    fn tags_and_keys() {
        let core = |name: &str| NodeTag::Core(name.to_owned());
        assert_eq!(resolve("1", true, &core("str")), Ok(json!("1")));
        assert_eq!(resolve("1", false, &core("int")), Ok(json!(1)));
        assert_eq!(resolve("YQ==", true, &core("binary")), Ok(json!("a")));
        assert!(resolve("x", true, &core("int")).is_err());
        assert!(resolve("x", true, &NodeTag::Other("!x".to_owned())).is_err());
        assert_eq!(key("yes", true, &NodeTag::None), Ok("true".to_owned()));
        assert_eq!(key("yes", false, &NodeTag::None), Ok("yes".to_owned()));
        assert_eq!(key("1", true, &NodeTag::None), Ok("1".to_owned()));
        assert!(key("~", true, &NodeTag::None).is_err());
    }
}
