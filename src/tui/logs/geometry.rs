use unicode_width::UnicodeWidthChar;

/// Byte offsets at which the rows of a wrapped line start; the first is 0. A character that needs more
/// columns than a row has stands alone.
pub(in crate::tui) fn row_starts(text: &str, width: usize) -> Vec<usize> {
    let width = width.max(1);
    if text.is_ascii() {
        return (0..text.len().max(1)).step_by(width).collect();
    }
    let mut starts = vec![0];
    let mut used = 0;
    for (offset, character) in text.char_indices() {
        let columns = character.width().unwrap_or(0);
        if used + columns > width && used > 0 {
            starts.push(offset);
            used = 0;
        }
        used += columns;
    }
    starts
}

/// A text in rows of at most `width` columns, broken behind spaces where there is one; a word that is longer is broken
/// anywhere. There is one row at least.
pub(in crate::tui) fn wrapped(text: &str, width: usize) -> Vec<&str> {
    let mut rows = Vec::new();
    let mut rest = text;
    while let Some(&hard) = row_starts(rest, width).get(1) {
        let is_between = rest[hard..].starts_with(' ');
        // Spaces at the beginning belong to the first word.
        let first_word = rest.len() - rest.trim_start().len();
        let soft = rest[..hard].rfind(' ').filter(|at| *at > first_word);
        let end = match soft {
            Some(at) if !is_between => at,
            _ => hard,
        };
        rows.push(rest[..end].trim_end());
        rest = rest[end..].trim_start();
    }
    if !rest.is_empty() || rows.is_empty() {
        rows.push(rest);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, width: usize, expected: &[&str]) {
        assert_eq!(wrapped(text, width), expected);
    }

    #[test]
    fn texts_break_at_spaces() {
        check("", 5, &[""]);
        check("one two", 7, &["one two"]);
        check("one two", 6, &["one", "two"]);
        check("one two", 3, &["one", "two"]);
        check("abcdefgh ij", 4, &["abcd", "efgh", "ij"]);
        check("世界 世界", 5, &["世界", "世界"]);
        check("a b", 0, &["a", "b"]);
        check("  abcdef gh", 6, &["  abcd", "ef gh"]);
        check("   ", 2, &[""]);
    }

    #[test]
    fn rows_of_a_line() {
        assert_eq!(row_starts("", 4), [0]);
        assert_eq!(row_starts("abcd", 4), [0]);
        assert_eq!(row_starts("abcdefghi", 4), [0, 4, 8]);
        assert_eq!(row_starts("世界世", 4), [0, 6]);
        assert_eq!(row_starts("a世界", 4), [0, 4]);
        assert_eq!(row_starts("世界", 1), [0, 3]);
        assert_eq!(row_starts("abc", 0), [0, 1, 2]);
    }
}
