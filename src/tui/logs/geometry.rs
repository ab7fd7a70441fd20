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

#[cfg(test)]
mod tests {
    use super::*;

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
