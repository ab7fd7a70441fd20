use unicode_width::UnicodeWidthStr;

use super::canvas::Canvas;
use crate::tui::model::Model;

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>) {
    let inspector = &model.inspector;
    let styles = &model.look.theme.styles;
    let lines = inspector.describe.iter().skip(inspector.describe_top);
    for (row, line) in lines.take(canvas.height()).enumerate() {
        canvas.put_cut(
            1,
            row,
            canvas.width(),
            line,
            styles.text,
            model.look.glyphs.ellipsis,
        );
        mark_matches(model, canvas, row, 1, (inspector.describe_top + row, line));
    }
}

/// What is looked for in a line of a text that begins at column `at`; the line that was gone to has a mark.
pub(super) fn mark_matches(
    model: &Model,
    canvas: &mut Canvas<'_>,
    row: usize,
    at: usize,
    (number, line): (usize, &str),
) {
    let search = &model.inspector.search;
    let styles = &model.look.theme.styles;
    for found in search.ranges(line) {
        let from = at + line[..found.start].width();
        let to = from + line[found].width();
        canvas.style_columns(row, from, to, styles.matched);
    }
    if search.at() == Some(number) {
        let cursor = model.look.glyphs.cursor;
        canvas.put(0, row, cursor.encode_utf8(&mut [0; 4]), styles.key);
    }
}
