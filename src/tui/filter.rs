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
use regex::Regex;

use super::data::Row;
use super::expression::expression;
use crate::model::selector::LabelSelector;

/// A filter and what it says of texts that many rows share.
#[derive(Debug)]
pub(super) struct Filter {
    test: Test,
    /// The last namespace and the last status, and whether they match.
    shared: [Option<(String, bool)>; 2],
}

#[derive(Debug)]
enum Test {
    All,
    /// In lower case.
    Contains(String),
    Lacks(String),
    Labels(LabelSelector),
    Fuzzy(Box<(Pattern, Matcher, Vec<char>)>),
    Regex(Regex),
    /// What is wrong with the text; nothing is hidden meanwhile.
    Wrong(String),
}

impl Filter {
    pub(super) fn parse(text: &str) -> Self {
        Self {
            test: Test::parse(text),
            shared: [None, None],
        }
    }

    pub(super) fn problem(&self) -> Option<&str> {
        match &self.test {
            Test::Wrong(problem) => Some(problem),
            Test::All
            | Test::Contains(_)
            | Test::Lacks(_)
            | Test::Labels(_)
            | Test::Fuzzy(_)
            | Test::Regex(_) => None,
        }
    }

    pub(super) fn matches(&mut self, row: &Row) -> bool {
        match &self.test {
            Test::All | Test::Wrong(_) => true,
            Test::Labels(selector) => selector.holds(|key| row.labels().get(key)),
            Test::Lacks(_) => !self.is_said(row),
            Test::Contains(_) | Test::Fuzzy(_) | Test::Regex(_) => self.is_said(row),
        }
    }

    /// One of the texts of the row passes the test.
    fn is_said(&mut self, row: &Row) -> bool {
        let status = row.pod.as_ref().map(|facts| &*facts.summary.status);
        let shared = [Some(row.namespace()), status];
        let texts = shared.into_iter().zip(&mut self.shared);
        let mut by_shared = texts.filter_map(|(text, known)| Some((text?, known)));
        self.test.is_passed_by(&row.key.name)
            || by_shared.any(|(text, known)| match known {
                Some((last, verdict)) if last == text => *verdict,
                _ => {
                    let verdict = self.test.is_passed_by(text);
                    *known = Some((text.to_owned(), verdict));
                    verdict
                }
            })
            || row.event().is_some_and(|event| {
                let about = event.involved_object.name.as_deref();
                let texts = [event.reason.as_deref(), event.message.as_deref(), about];
                let mut texts = texts.into_iter().flatten();
                texts.any(|text| self.test.is_passed_by(text))
            })
    }
}

impl Test {
    fn parse(text: &str) -> Self {
        if let Some(selector) = text.strip_prefix("-l") {
            return match selector.trim() {
                "" => Self::All,
                selector => LabelSelector::parse(selector)
                    .map_or_else(|error| Self::Wrong(error.to_string()), Self::Labels),
            };
        }
        if let Some(typed) = text.strip_prefix('~') {
            let pattern = Pattern::parse(typed, CaseMatching::Ignore, Normalization::Smart);
            let matcher = Matcher::new(Config::DEFAULT);
            return Self::Fuzzy(Box::new((pattern, matcher, Vec::new())));
        }
        if let Some(typed) = text.strip_prefix('/') {
            let typed = typed.strip_suffix('/').unwrap_or(typed);
            return expression(typed).map_or_else(Self::Wrong, Self::Regex);
        }
        match text.strip_prefix('!') {
            _ if text.is_empty() || text == "!" => Self::All,
            Some(rest) => Self::Lacks(rest.to_lowercase()),
            None => Self::Contains(text.to_lowercase()),
        }
    }

    fn is_passed_by(&mut self, said: &str) -> bool {
        match self {
            Self::All | Self::Wrong(_) => true,
            // Labels are no text.
            Self::Labels(_) => false,
            Self::Contains(wanted) | Self::Lacks(wanted) => contains(said, wanted),
            Self::Regex(regex) => regex.is_match(said),
            Self::Fuzzy(fuzzy) => {
                let (pattern, matcher, buffer) = fuzzy.as_mut();
                let said = Utf32Str::new(said, buffer);
                pattern.score(said, matcher).is_some()
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
    let Some(first) = wanted.first() else {
        return true;
    };
    // Most places fall out by their first letter.
    let mut places = said.windows(wanted.len());
    places.any(|part| part[0].eq_ignore_ascii_case(first) && part.eq_ignore_ascii_case(wanted))
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
