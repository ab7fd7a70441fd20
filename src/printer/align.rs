use unicode_width::UnicodeWidthStr;

/// Aligns tab-terminated cells as Go's `text/tabwriter` does (elastic tab stops, padding with blanks).
///
/// A cell belongs to a column when a tab follows it; the rest of a line belongs to none. A column is a run
/// of consecutive lines that have it, so a line without tabs ends all of them. `minimum` is the least
/// width of a column, `padding` included.
pub(super) fn align(text: &str, minimum: usize, padding: usize) -> String {
    let lines: Vec<Vec<&str>> = text
        .split_inclusive('\n')
        .map(|line| {
            line.strip_suffix('\n')
                .unwrap_or(line)
                .split('\t')
                .collect()
        })
        .collect();
    let mut writer = Writer {
        lines: &lines,
        minimum,
        padding,
        widths: Vec::new(),
        out: String::with_capacity(text.len() * 2),
    };
    writer.format(0, lines.len());
    writer.out
}

struct Writer<'a> {
    lines: &'a [Vec<&'a str>],
    minimum: usize,
    padding: usize,
    /// Of the columns that enclose the lines being written.
    widths: Vec<usize>,
    out: String,
}

impl Writer<'_> {
    fn format(&mut self, from: usize, to: usize) {
        let column = self.widths.len();
        let has_column = |line: &Vec<&str>| column + 1 < line.len();
        let (mut written, mut line) = (from, from);
        while line < to {
            if !has_column(&self.lines[line]) {
                line += 1;
                continue;
            }
            self.write(written, line);
            let start = line;
            while line < to && has_column(&self.lines[line]) {
                line += 1;
            }
            let width = self.lines[start..line]
                .iter()
                .map(|cells| cells[column].width() + self.padding)
                .fold(self.minimum, usize::max);
            self.widths.push(width);
            self.format(start, line);
            self.widths.pop();
            written = line;
        }
        self.write(written, to);
    }

    fn write(&mut self, from: usize, to: usize) {
        for cells in &self.lines[from..to] {
            for (column, cell) in cells.iter().enumerate() {
                self.out.push_str(cell);
                if let Some(&width) = self.widths.get(column) {
                    let blanks = width.saturating_sub(cell.width());
                    self.out.extend(std::iter::repeat_n(' ', blanks));
                }
            }
            self.out.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, minimum: usize, padding: usize, expected: &str) {
        assert_eq!(align(text, minimum, padding), expected);
    }

    #[test]
    fn a_column_is_as_wide_as_its_widest_cell() {
        check(
            "a\tb\tc\nlonger\tx\ty\n",
            6,
            3,
            "a        b     c\nlonger   x     y\n",
        );
    }

    #[test]
    fn a_line_without_tabs_ends_a_column() {
        check(
            "Name:\tx\nIPs:\n  A long one:\ty\n",
            0,
            2,
            "Name:  x\nIPs:\n  A long one:  y\n",
        );
    }

    #[test]
    fn an_empty_first_cell_keeps_the_column() {
        check(
            "Labels:\ta=b\n\tc=d\n",
            0,
            2,
            "Labels:  a=b\n         c=d\n",
        );
    }

    #[test]
    fn wide_characters_count_two_columns() {
        check("日本\tx\nab\ty\n", 0, 2, "日本  x\nab    y\n");
    }
}
