//! Regular expressions that somebody types.

use regex::{Regex, RegexBuilder};

/// Letter case matters only when there is a capital in it. The error is one line.
pub(super) fn expression(typed: &str) -> Result<Regex, String> {
    RegexBuilder::new(typed)
        .case_insensitive(!typed.contains(char::is_uppercase))
        .build()
        .map_err(|error| last_line(&error.to_string()))
}

/// The lines above it show the expression again, with a mark below the place.
fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        assert_eq!(expression("(").unwrap_err(), "unclosed group");
        assert_eq!(expression("a{2,1}").unwrap_err().lines().count(), 1);
        let problem = expression("((a{1000}){1000}){1000}").unwrap_err();
        assert!(problem.contains("size limit"), "{problem}");
    }

    #[test]
    fn a_capital_makes_case_matter() {
        assert!(expression("web").unwrap().is_match("WEB-1"));
        assert!(!expression("Web").unwrap().is_match("WEB-1"));
    }
}
