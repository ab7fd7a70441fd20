//! What is typed after `/` on the list: which rows stay.
//!
//! * `text` — the row contains it, `!text` — it does not
//! * `-l key=value,…` — a label selector, as kubectl's
//! * `~text` — its characters in this order (fuzzy)
//! * `/regex/` — a regular expression
//!
//! The row is what it says: name, namespace, status, and for events reason, object and message. Letter case
//! matters only in label selectors and in regular expressions with capitals.

use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

use super::data::Row;
use crate::model::selector::LabelSelector;

#[derive(Debug)]
pub(super) enum Filter {
    All,
    Contains {
        text: String,
        wanted: bool,
    },
    Labels(LabelSelector),
    Fuzzy(Box<(Pattern, Matcher)>),
    Regex(regex_lite::Regex),
    /// What is wrong with the text; nothing is hidden meanwhile.
    Wrong(String),
}

impl Filter {
    pub(super) fn parse(text: &str) -> Self {
        if let Some(selector) = text.strip_prefix("-l") {
            return match selector.trim() {
                "" => Self::All,
                selector => LabelSelector::parse(selector)
                    .map_or_else(|error| Self::Wrong(error.to_string()), Self::Labels),
            };
        }
        if let Some(typed) = text.strip_prefix('~') {
            let pattern = Pattern::parse(typed, CaseMatching::Ignore, Normalization::Smart);
            return Self::Fuzzy(Box::new((pattern, Matcher::new(Config::DEFAULT))));
        }
        if let Some(expression) = text.strip_prefix('/') {
            let expression = expression.strip_suffix('/').unwrap_or(expression);
            let has_capital = expression.contains(char::is_uppercase);
            return regex_lite::RegexBuilder::new(expression)
                .case_insensitive(!has_capital)
                .build()
                .map_or_else(|error| Self::Wrong(error.to_string()), Self::Regex);
        }
        let (text, wanted) = match text.strip_prefix('!') {
            Some(rest) => (rest, false),
            None => (text, true),
        };
        if text.is_empty() {
            return Self::All;
        }
        Self::Contains {
            text: text.to_lowercase(),
            wanted,
        }
    }

    pub(super) fn problem(&self) -> Option<&str> {
        match self {
            Self::Wrong(problem) => Some(problem),
            _ => None,
        }
    }

    pub(super) fn matches(&mut self, row: &Row) -> bool {
        match self {
            Self::All | Self::Wrong(_) => true,
            Self::Contains { text, wanted } => {
                let found = texts(row).any(|said| contains(said, text));
                found == *wanted
            }
            Self::Labels(selector) => selector.matches(row.labels()),
            Self::Regex(regex) => texts(row).any(|said| regex.is_match(said)),
            Self::Fuzzy(fuzzy) => {
                let (pattern, matcher) = fuzzy.as_mut();
                let mut buffer = Vec::new();
                texts(row).any(|said| {
                    let said = Utf32Str::new(said, &mut buffer);
                    pattern.score(said, matcher).is_some()
                })
            }
        }
    }
}

/// `wanted` is in lower case. Nothing is allocated for the texts that most are made of.
fn contains(said: &str, wanted: &str) -> bool {
    if !said.is_ascii() || !wanted.is_ascii() {
        return said.to_lowercase().contains(wanted);
    }
    let (said, wanted) = (said.as_bytes(), wanted.as_bytes());
    said.windows(wanted.len())
        .any(|part| part.eq_ignore_ascii_case(wanted))
}

fn texts(row: &Row) -> impl Iterator<Item = &str> {
    let status = row.pod.as_ref().map(|facts| facts.summary.status.as_str());
    let event = row.event().map_or([None; 3], |event| {
        [
            event.reason.as_deref(),
            event.message.as_deref(),
            event.involved_object.name.as_deref(),
        ]
    });
    [Some(row.key.name.as_str()), Some(row.namespace()), status]
        .into_iter()
        .chain(event)
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;
    use crate::tui::testing::Screen;

    #[track_caller]
    fn check(filter: &str, expected: &[&str]) {
        let screen = Screen::populated(80, 24);
        let mut parsed = Filter::parse(filter);
        let mut found: Vec<&str> = screen
            .model
            .collections
            .rows(Kind::Pod)
            .filter(|row| parsed.matches(row))
            .map(|row| row.key.name.as_str())
            .collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{filter}");
    }

    #[test]
    fn every_kind_of_filter() {
        check("", &["api-7d9", "web-0", "worker-1"]);
        check("WORK", &["worker-1"]);
        check("!work", &["api-7d9", "web-0"]);
        check("!", &["api-7d9", "web-0", "worker-1"]);
        check("~wk1", &["worker-1"]);
        check("/^(api|web)-/", &["api-7d9", "web-0"]);
        check("/^API", &[]);
        check("/^api", &["api-7d9"]);
        check("-l nothing=here", &[]);
        check("-l", &["api-7d9", "web-0", "worker-1"]);
    }

    #[test]
    fn a_wrong_filter_hides_nothing_and_says_what_is_wrong() {
        for wrong in ["/(", "-l a in", "-l =="] {
            let filter = Filter::parse(wrong);
            assert!(filter.problem().is_some(), "{wrong}");
        }
        check("/(", &["api-7d9", "web-0", "worker-1"]);
    }
}
