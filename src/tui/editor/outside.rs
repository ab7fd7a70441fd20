//! The text as `$EDITOR` gets it: a head that explains, and what is wrong. The head is taken off again, so that the
//! comments of the text itself stay.

use super::diagnose::Problem;
use crate::manifest::Severity;

const INTRODUCTION: &str = "# Please edit the object below. Everything up to the line of dashes is dropped; an empty text cancels the edit.\n\
    # If something is wrong, this file is opened again with what it is.\n";
const END: &str = "# --- the text begins below ---------------------------------------------------";

pub(super) fn with_head<'p>(text: &str, problems: impl Iterator<Item = &'p Problem>) -> String {
    let mut head = INTRODUCTION.to_owned();
    let mut problems = problems
        .filter(|problem| problem.severity == Severity::Error)
        .peekable();
    if problems.peek().is_some() {
        head.push_str("#\n# The text could not be used (lines are counted below the dashes):\n");
    }
    for problem in problems {
        head.push_str(&format!(
            "# * line {}: {}\n",
            problem.line.max(1),
            problem.message
        ));
    }
    format!("{head}{END}\n{text}")
}

pub(super) fn without_head(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    match text.split_once(&format!("{END}\n")) {
        Some((_, own)) => own.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_comes_and_goes() {
        let problem = |severity, message: &str| Problem {
            line: 3,
            column: 1,
            severity,
            message: message.to_owned(),
        };
        let problems = [
            problem(Severity::Error, "wrong"),
            problem(Severity::Warning, "odd"),
        ];
        let text = "# mine\na: 1\n";
        let outside = with_head(text, problems.iter());
        assert!(outside.contains("# * line 3: wrong\n") && !outside.contains("odd"));
        assert_eq!(without_head(&outside), text);
        assert_eq!(without_head(text), text);
        assert_eq!(without_head(&with_head("", [].iter())), "");
    }
}
