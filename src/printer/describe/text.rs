use std::fmt;
use std::fmt::Write as _;

use crate::printer::align::align;

/// Lines being collected; cells are separated by tabs and aligned at the end, as kubectl's
/// `PrefixWriter` over a tabwriter does.
#[derive(Default)]
pub(super) struct Text(String);

impl Text {
    /// One line at an indentation of `level` times two blanks.
    pub(super) fn line(&mut self, level: usize, line: fmt::Arguments<'_>) {
        for _ in 0..level {
            self.0.push_str("  ");
        }
        self.0
            .write_fmt(line)
            .expect("writing to a String cannot fail");
        self.0.push('\n');
    }

    /// `Key:<tab>value` at the left margin.
    pub(super) fn pair(&mut self, key: &str, value: impl fmt::Display) {
        self.line(0, format_args!("{key}:\t{value}"));
    }

    pub(super) fn finish(self) -> String {
        align(&self.0, 0, 2)
    }
}

/// Text of an object without control characters; line breaks stay, tabs become blanks because a tab
/// would be a cell border.
pub(super) fn clean(text: &str) -> String {
    let lines: Vec<String> = text
        .split('\n')
        .map(|line| crate::printer::visible(line.trim_end_matches('\r')))
        .collect();
    lines.join("\n")
}
