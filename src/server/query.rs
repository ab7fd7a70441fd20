//! Query strings. Keys may repeat (`command=sh&command=-c`), which rules out a struct per endpoint.

use std::str::FromStr;

use crate::model::ApiError;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Result<Self, ApiError> {
        text.split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                Ok((decode(key)?, decode(value)?))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(super) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(found, _)| found == key)
            .map(|(_, value)| value.as_str())
    }

    /// The first value; an empty one counts as absent.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(found, _)| found == key)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// As the API server reads booleans: present means true unless it says `false` or `0`
    /// (apimachinery `pkg/runtime/conversion.go`).
    pub(super) fn flag(&self, key: &str) -> bool {
        let value = self.0.iter().find(|(found, _)| found == key);
        value.is_some_and(|(_, value)| !value.eq_ignore_ascii_case("false") && value != "0")
    }

    pub(super) fn number<T: FromStr>(&self, key: &str) -> Result<Option<T>, ApiError> {
        self.text(key)
            .map(|text| {
                text.parse().map_err(|_| {
                    ApiError::bad_request(format!("invalid value {text:?} of parameter {key}"))
                })
            })
            .transpose()
    }
}

/// `application/x-www-form-urlencoded`: `+` is a space, `%XX` a byte of UTF-8.
fn decode(text: &str) -> Result<String, ApiError> {
    let bad = || ApiError::bad_request(format!("invalid escape in the query: {text:?}"));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = rest.next().and_then(hex).ok_or_else(bad)?;
                let low = rest.next().and_then(hex).ok_or_else(bad)?;
                high << 4 | low
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_repeated_and_escaped_values() {
        let query = Query::parse("command=sh&command=-c&command=echo+a%26b&tty=true&x").unwrap();
        let command: Vec<_> = query.all("command").collect();
        assert_eq!(command, ["sh", "-c", "echo a&b"]);
        assert!(query.flag("tty"));
        assert!(query.flag("x"));
        assert!(!query.flag("stdin"));
        assert_eq!(query.text("x"), None);
    }

    #[test]
    fn flags_read_as_the_api_server_does() {
        for (text, expected) in [
            ("f=false", false),
            ("f=0", false),
            ("f=1", true),
            ("f=", true),
        ] {
            assert_eq!(Query::parse(text).unwrap().flag("f"), expected, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_text() {
        for text in ["a=%", "a=%4", "a=%zz", "a=%ff"] {
            assert!(Query::parse(text).is_err(), "{text}");
        }
        let query = Query::parse("n=x").unwrap();
        assert!(query.number::<u64>("n").is_err());
    }
}
