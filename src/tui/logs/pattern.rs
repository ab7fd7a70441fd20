use std::ops::Range;

use crate::tui::expression::expression as compiled;

/// What a search or a filter looks for in a line: `text`, `/regex/`, and for filters `!text` (lines without
/// it). Without capitals the case of letters does not matter.
#[derive(Clone, Debug)]
pub(in crate::tui) struct Pattern {
    /// As it was typed.
    text: String,
    wanted: Wanted,
    is_inverse: bool,
}

#[derive(Clone, Debug)]
enum Wanted {
    /// In lower case if the case does not matter.
    Text {
        text: String,
        any_case: bool,
    },
    Regex(regex::Regex),
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, self.is_inverse) == (&other.text, other.is_inverse)
    }
}

impl Pattern {
    /// For `/`: `None` when nothing is typed. A wrong expression is looked for as text.
    pub(in crate::tui) fn search(text: &str) -> Option<Self> {
        Self::parse(text).unwrap_or_else(|_| Some(Self::plain(text)))
    }

    /// For `&`.
    pub(in crate::tui) fn filter(typed: &str) -> Result<Option<Self>, String> {
        let Some(text) = typed.strip_prefix('!') else {
            return Self::parse(typed);
        };
        let pattern = Self::parse(text)?;
        Ok(pattern.map(|pattern| Self {
            text: typed.to_owned(),
            is_inverse: true,
            ..pattern
        }))
    }

    fn parse(text: &str) -> Result<Option<Self>, String> {
        if text.is_empty() {
            return Ok(None);
        }
        let expression = text
            .strip_prefix('/')
            .and_then(|rest| rest.strip_suffix('/'))
            .filter(|expression| !expression.is_empty());
        let Some(expression) = expression else {
            return Ok(Some(Self::plain(text)));
        };
        let regex = compiled(expression).map_err(|problem| format!("{text}: {problem}"))?;
        Ok(Some(Self {
            text: text.to_owned(),
            wanted: Wanted::Regex(regex),
            is_inverse: false,
        }))
    }

    fn plain(text: &str) -> Self {
        let any_case = !text.contains(char::is_uppercase);
        let wanted = Wanted::Text {
            text: text.to_owned(),
            any_case,
        };
        Self {
            text: text.to_owned(),
            wanted,
            is_inverse: false,
        }
    }

    pub(in crate::tui) fn text(&self) -> &str {
        &self.text
    }

    pub(in crate::tui) fn is_match(&self, line: &str) -> bool {
        let is_found = match &self.wanted {
            Wanted::Text { text, any_case } if *any_case => find_any_case(line, text, 0).is_some(),
            Wanted::Text { text, .. } => line.contains(text.as_str()),
            Wanted::Regex(regex) => regex.is_match(line),
        };
        is_found != self.is_inverse
    }

    /// Where it is in a line.
    pub(in crate::tui) fn ranges(&self, line: &str) -> Vec<Range<usize>> {
        match &self.wanted {
            Wanted::Text { text, any_case } if *any_case => {
                let mut ranges = Vec::new();
                let mut from = 0;
                while let Some(start) = find_any_case(line, text, from) {
                    from = start + text.len();
                    ranges.push(start..from);
                }
                ranges
            }
            Wanted::Text { text, .. } => line
                .match_indices(text.as_str())
                .map(|(start, found)| start..start + found.len())
                .collect(),
            Wanted::Regex(regex) => regex
                .find_iter(line)
                .map(|found| found.range())
                .filter(|range| !range.is_empty())
                .collect(),
        }
    }
}

/// ASCII letters match in either case; others must be as they are. Both texts are UTF-8, so a match begins and
/// ends between characters.
fn find_any_case(line: &str, text: &str, from: usize) -> Option<usize> {
    let (line, text) = (line.as_bytes(), text.as_bytes());
    let first = *text.first()?;
    let (lower, upper) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
    memchr::memchr2_iter(lower, upper, line.get(from..)?)
        .map(|offset| from + offset)
        .find(|&start| {
            line.get(start..start + text.len())
                .is_some_and(|part| part.eq_ignore_ascii_case(text))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, line: &str, expected: &[&str]) {
        let pattern = Pattern::search(pattern).unwrap();
        let ranges = pattern.ranges(line);
        let found: Vec<&str> = ranges.iter().map(|range| &line[range.clone()]).collect();
        assert_eq!(found, expected);
        assert_eq!(pattern.is_match(line), !expected.is_empty());
    }

    #[test]
    fn search_texts_and_expressions() {
        check("err", "Error err ERR", &["Err", "err", "ERR"]);
        check("Err", "Error err ERR", &["Err"]);
        check("aa", "aaaa", &["aa", "aa"]);
        check("ü", "grün Ü", &["ü"]);
        check("/e.r/", "Error eXr", &["Err", "eXr"]);
        check("/[/", "a /[/ b", &["/[/"]);
        check("/", "a/b", &["/"]);
        check("!a", "x!a", &["!a"]);
        check("missing", "nothing", &[]);
    }

    #[test]
    fn filters_can_be_inverse_and_are_checked() {
        let filter = |text: &str| Pattern::filter(text).unwrap().unwrap();
        assert!(filter("!debug").is_match("all fine"));
        assert!(!filter("!debug").is_match("DEBUG x"));
        assert!(filter("!/^a/").is_match("ba"));
        assert_eq!(Pattern::filter("").unwrap(), None);
        assert_eq!(Pattern::filter("!").unwrap(), None);
        assert!(Pattern::filter("/[/").is_err());
    }
}
