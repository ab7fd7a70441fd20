//! The difference of two texts, line by line.

/// Texts with more pairs of differing lines than this are shown as one block out and one block in.
const PAIRS_MAX: usize = 4_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Sign {
    Same,
    Removed,
    Added,
    /// Lines that are equal in both were left out here.
    Gap,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) struct DiffLine {
    pub(in crate::tui) sign: Sign,
    pub(in crate::tui) text: String,
    /// From 1, in the text that the line is of: the new one, for removed lines the old one. 0 for a gap.
    pub(in crate::tui) line: usize,
}

/// All differing lines, each with `context` equal lines around it.
pub(in crate::tui) fn diff(old: &str, new: &str, context: usize) -> Vec<DiffLine> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let all = all_lines(&old, &new);
    let is_near = |index: usize| {
        let from = index.saturating_sub(context);
        let to = (index + context + 1).min(all.len());
        all[from..to].iter().any(|line| line.sign != Sign::Same)
    };
    let mut shown: Vec<DiffLine> = Vec::new();
    for (index, line) in all.iter().enumerate() {
        if is_near(index) {
            shown.push(line.clone());
        } else if shown.last().is_some_and(|last| last.sign != Sign::Gap) {
            shown.push(DiffLine {
                sign: Sign::Gap,
                text: String::new(),
                line: 0,
            });
        }
    }
    if shown.last().is_some_and(|last| last.sign == Sign::Gap) {
        shown.pop();
    }
    shown
}

fn all_lines(old: &[&str], new: &[&str]) -> Vec<DiffLine> {
    let head = old
        .iter()
        .zip(new)
        .take_while(|(old, new)| old == new)
        .count();
    let tail = old[head..]
        .iter()
        .rev()
        .zip(new[head..].iter().rev())
        .take_while(|(old, new)| old == new)
        .count();
    let (old_middle, new_middle) = (&old[head..old.len() - tail], &new[head..new.len() - tail]);
    let line = |sign, text: &str, line| DiffLine {
        sign,
        text: text.to_owned(),
        line,
    };
    let mut lines: Vec<DiffLine> = Vec::new();
    lines.extend(
        new[..head]
            .iter()
            .enumerate()
            .map(|(at, text)| line(Sign::Same, text, at + 1)),
    );
    let (mut at_old, mut at_new) = (0, 0);
    for (old_next, new_next) in common(old_middle, new_middle) {
        push_block(
            &mut lines,
            head,
            old_middle,
            new_middle,
            (at_old, old_next),
            (at_new, new_next),
        );
        if let Some(text) = new_middle.get(new_next) {
            lines.push(line(Sign::Same, text, head + new_next + 1));
        }
        (at_old, at_new) = (old_next + 1, new_next + 1);
    }
    let start = new.len() - tail;
    lines.extend(
        new[start..]
            .iter()
            .enumerate()
            .map(|(at, text)| line(Sign::Same, text, start + at + 1)),
    );
    lines
}

fn push_block(
    lines: &mut Vec<DiffLine>,
    head: usize,
    old: &[&str],
    new: &[&str],
    old_range: (usize, usize),
    new_range: (usize, usize),
) {
    for (sign, texts, (from, to)) in [
        (Sign::Removed, old, old_range),
        (Sign::Added, new, new_range),
    ] {
        for (at, text) in texts.iter().enumerate().take(to).skip(from) {
            lines.push(DiffLine {
                sign,
                text: (*text).to_owned(),
                line: head + at + 1,
            });
        }
    }
}

/// The positions of a longest common subsequence, and the ends of both at last.
fn common(old: &[&str], new: &[&str]) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    let width = new.len() + 1;
    if old.len() * new.len() <= PAIRS_MAX {
        // lengths[i][j]: the longest of old[i..] and new[j..].
        let mut lengths = vec![0_u32; (old.len() + 1) * width];
        for i in (0..old.len()).rev() {
            for j in (0..new.len()).rev() {
                lengths[i * width + j] = if old[i] == new[j] {
                    lengths[(i + 1) * width + j + 1] + 1
                } else {
                    lengths[(i + 1) * width + j].max(lengths[i * width + j + 1])
                };
            }
        }
        let (mut i, mut j) = (0, 0);
        while i < old.len() && j < new.len() {
            if old[i] == new[j] {
                pairs.push((i, j));
                (i, j) = (i + 1, j + 1);
            } else if lengths[(i + 1) * width + j] >= lengths[i * width + j + 1] {
                i += 1;
            } else {
                j += 1;
            }
        }
    }
    pairs.push((old.len(), new.len()));
    pairs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(old: &str, new: &str, expected: &[&str]) {
        let found: Vec<String> = diff(old, new, 1)
            .iter()
            .map(|line| match line.sign {
                Sign::Same => format!("{} {}", line.line, line.text),
                Sign::Removed => format!("{}-{}", line.line, line.text),
                Sign::Added => format!("{}+{}", line.line, line.text),
                Sign::Gap => "...".to_owned(),
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn lines_out_and_in_with_what_is_around_them() {
        check(
            "a\nb\nc\nd\n",
            "a\nb\nx\nd\n",
            &["2 b", "3-c", "3+x", "4 d"],
        );
        check("a\n", "a\n", &[]);
        check("", "a\n", &["1+a"]);
        check("a\nb\n", "", &["1-a", "2-b"]);
        check(
            "a\nb\nc\nd\ne\nf\ng\n",
            "x\nb\nc\nd\ne\nf\ny\nz\n",
            &["1-a", "1+x", "2 b", "...", "6 f", "7-g", "7+y", "8+z"],
        );
        check("a\nb\na\n", "b\na\nb\n", &["1-a", "1 b", "2 a", "3+b"]);
    }

    proptest! {
        #[test]
        fn both_texts_can_be_put_together_again(old in "([abc]\n){0,8}", new in "([abc]\n){0,8}") {
            let lines = diff(&old, &new, 100);
            let only = |wanted: Sign| -> String {
                let kept = lines.iter().filter(|line| line.sign == Sign::Same || line.sign == wanted);
                kept.map(|line| format!("{}\n", line.text)).collect()
            };
            if old != new {
                prop_assert_eq!(only(Sign::Removed), old);
                prop_assert_eq!(only(Sign::Added), new);
            }
        }
    }
}
