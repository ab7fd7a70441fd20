use ratatui::style::Style;

use super::canvas::Canvas;
use super::describe::mark_matches;
use crate::tui::editor::{Highlighter, Token};
use crate::tui::model::Model;
use crate::tui::theme::Styles;

/// The object as YAML, with line numbers.
pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>) {
    let inspector = &model.inspector;
    let styles = &model.look.theme.styles;
    let width = inspector.spec.len().max(10).ilog10() as usize + 1;
    let mut highlighter = Highlighter::default();
    for (index, line) in inspector.spec.iter().enumerate() {
        let parts = highlighter.line(line);
        let Some(row) = index.checked_sub(inspector.spec_top) else {
            continue;
        };
        if row >= canvas.height() {
            break;
        }
        canvas.put_right(width + 1, row, &(index + 1).to_string(), styles.dim);
        let mut column = width + 2;
        for (token, text) in parts {
            let ellipsis = model.look.glyphs.ellipsis;
            column = canvas.put_cut(
                column,
                row,
                canvas.width(),
                text,
                yaml_style(styles, token),
                ellipsis,
            );
        }
        mark_matches(model, canvas, row, width + 2, (index, line));
    }
}

pub(super) const fn yaml_style(styles: &Styles, token: Token) -> Style {
    match token {
        Token::Plain => styles.text,
        Token::Key => styles.key,
        Token::Punctuation | Token::Comment => styles.dim,
        Token::String => styles.ok,
        Token::Number | Token::Constant => styles.wait,
        Token::Mark => styles.marker,
    }
}
