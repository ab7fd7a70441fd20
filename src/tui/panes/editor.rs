use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::canvas::Canvas;
use super::spec::yaml_style;
use crate::manifest::Severity;
use crate::tui::editor::{Editor, Highlighter, Item, Popup, Review, Sign, Stage, Subject};
use crate::tui::model::Model;

/// Draws the editor in the place of the inspector; returns where the cursor is.
pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>, area: Rect) -> Option<(u16, u16)> {
    let editor = model.editing.editor.as_ref()?;
    if area.height == 0 {
        return None;
    }
    let text_area = model.editor_text();
    {
        let mut all = canvas.part(area);
        draw_title(model, &mut all, editor);
        if area.height >= 3 {
            draw_message(model, &mut all, editor);
        }
    }
    match &editor.stage {
        Stage::Text => {
            let numbers = Rect {
                x: area.x,
                width: text_area.x - area.x,
                ..text_area
            };
            draw_numbers(model, &mut canvas.part(numbers), editor);
            let cursor = draw_lines(model, &mut canvas.part(text_area), editor);
            if let (Some(popup), Some((x, y))) = (&editor.popup, cursor) {
                draw_popup(model, canvas, area, popup, x, y);
            }
            cursor
        }
        Stage::Review(review) => {
            draw_review(model, &mut canvas.part(text_area), review);
            None
        }
        Stage::Sent(words) => {
            let mut part = canvas.part(text_area);
            part.put(1, 0, words, model.look.theme.styles.wait);
            let text = "esc goes on with other things meanwhile; a refusal brings the text back";
            part.put(1, 1, text, model.look.theme.styles.dim);
            None
        }
        Stage::Outside(_) => {
            let mut part = canvas.part(text_area);
            let words = "the text is in $EDITOR; what it leaves comes back here for review";
            part.put(1, 0, words, model.look.theme.styles.wait);
            None
        }
    }
}

fn draw_title(model: &Model, canvas: &mut Canvas<'_>, editor: &Editor) {
    let styles = &model.look.theme.styles;
    canvas.rule(0, model.look.glyphs.rule_focused, styles.title_focused);
    let what = match (&editor.subject, editor.is_undo) {
        (Subject::New, _) => "new".to_owned(),
        (Subject::Existing { key, .. }, false) => format!("edit {key}"),
        (Subject::Existing { key, .. }, true) => format!("undo on {key}"),
    };
    let at = canvas.put(2, 0, &format!(" {what} "), styles.title_focused);
    let state = match &editor.stage {
        Stage::Text => text_state(editor),
        Stage::Review(review) => review.summary.clone(),
        Stage::Sent(_) => "sent".to_owned(),
        Stage::Outside(_) => "in $EDITOR".to_owned(),
    };
    let room = canvas.width().saturating_sub(at + 4);
    let state = super::canvas::cut(&state, room, model.look.glyphs.ellipsis);
    if !state.is_empty() {
        canvas.put_right(
            canvas.width().saturating_sub(1),
            0,
            &format!(" {state} "),
            styles.title_focused,
        );
    }
}

fn text_state(editor: &Editor) -> String {
    let mut parts = Vec::new();
    if editor.is_modified() {
        parts.push("changed".to_owned());
    }
    for (severity, word) in [(Severity::Error, "error"), (Severity::Warning, "warning")] {
        match editor.count(severity) {
            0 => {}
            1 => parts.push(format!("1 {word}")),
            many => parts.push(format!("{many} {word}s")),
        }
    }
    let (row, column) = editor.buffer.cursor();
    parts.push(format!("{}:{}", row + 1, column + 1));
    parts.join("  ")
}

/// The problem of the current line, else what the field at the cursor is.
fn draw_message(model: &Model, canvas: &mut Canvas<'_>, editor: &Editor) {
    if editor.stage != Stage::Text {
        return;
    }
    let styles = &model.look.theme.styles;
    let line = editor.buffer.cursor().0 + 1;
    let (text, style) = match editor.problem_at(line) {
        Some(problem) if problem.severity == Severity::Error => {
            (problem.message.clone(), styles.bad)
        }
        Some(problem) => (problem.message.clone(), styles.warning),
        None => (editor.help().unwrap_or_default(), styles.dim),
    };
    let row = canvas.height() - 1;
    canvas.put_cut(
        1,
        row,
        canvas.width(),
        &text,
        style,
        model.look.glyphs.ellipsis,
    );
}

fn draw_numbers(model: &Model, canvas: &mut Canvas<'_>, editor: &Editor) {
    let styles = &model.look.theme.styles;
    let last = editor.buffer.lines().len();
    for row in 0..canvas.height() {
        let line = editor.top + row + 1;
        if line > last {
            break;
        }
        let (mark, style) = match editor.problem_at(line).map(|problem| problem.severity) {
            Some(Severity::Error) => ("E", styles.bad),
            Some(Severity::Warning) => ("!", styles.warning),
            None => (" ", styles.dim),
        };
        canvas.put(0, row, mark, style);
        let style = if mark == " " { styles.dim } else { style };
        let end = canvas.width().saturating_sub(1);
        canvas.put_right(end, row, &line.to_string(), style);
    }
}

/// Characters that would do something to the terminal or the line are shown as one that does nothing.
fn shown(symbol: char) -> char {
    let is_bidi = matches!(symbol, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}');
    if symbol.is_control() || is_bidi || symbol.width().unwrap_or(0) == 0 {
        '\u{b7}'
    } else {
        symbol
    }
}

fn draw_lines(model: &Model, canvas: &mut Canvas<'_>, editor: &Editor) -> Option<(u16, u16)> {
    let styles = &model.look.theme.styles;
    let mut highlighter = Highlighter::default();
    let selection = editor.buffer.selection();
    for (index, line) in editor.buffer.lines().iter().enumerate() {
        let parts = highlighter.line(line);
        let Some(row) = index.checked_sub(editor.top) else {
            continue;
        };
        if row >= canvas.height() {
            break;
        }
        // Columns from the left end of the text; those left of the view are skipped.
        let (mut column, mut position) = (0, 0);
        for (token, text) in parts {
            for symbol in text.chars() {
                let symbol = shown(symbol);
                let is_selected = selection
                    .is_some_and(|(from, to)| from <= (index, position) && (index, position) < to);
                let mut style = yaml_style(styles, token);
                if is_selected {
                    style = style.add_modifier(Modifier::REVERSED);
                }
                let width = symbol.width().unwrap_or(1);
                if column >= editor.left {
                    canvas.put(
                        column - editor.left,
                        row,
                        symbol.encode_utf8(&mut [0; 4]),
                        style,
                    );
                }
                column += width;
                position += 1;
            }
        }
        underline_problem(model, canvas, editor, index, row);
    }
    let (row, _) = editor.buffer.cursor();
    let column: usize = editor
        .buffer
        .around()
        .0
        .chars()
        .map(|symbol| shown(symbol).width().unwrap_or(1))
        .sum();
    let (row, column) = (
        row.checked_sub(editor.top)?,
        column.checked_sub(editor.left)?,
    );
    let x = canvas.area.x + u16::try_from(column).ok()?;
    let y = canvas.area.y + u16::try_from(row).ok()?;
    (x < canvas.area.right() && y < canvas.area.bottom()).then_some((x, y))
}

/// From the place of the problem to the end of the line.
fn underline_problem(
    model: &Model,
    canvas: &mut Canvas<'_>,
    editor: &Editor,
    index: usize,
    row: usize,
) {
    let Some(problem) = editor
        .problem_at(index + 1)
        .filter(|problem| problem.severity == Severity::Error)
    else {
        return;
    };
    let line = &editor.buffer.lines()[index];
    let from = problem.column.saturating_sub(1);
    let style = model
        .look
        .theme
        .styles
        .bad
        .add_modifier(Modifier::UNDERLINED);
    let mut column = 0;
    for (position, symbol) in line.chars().map(shown).enumerate() {
        if position >= from && column >= editor.left && symbol != '#' {
            canvas.put(
                column - editor.left,
                row,
                symbol.encode_utf8(&mut [0; 4]),
                style,
            );
        }
        column += symbol.width().unwrap_or(1);
    }
}

fn draw_popup(model: &Model, canvas: &mut Canvas<'_>, area: Rect, popup: &Popup, x: u16, y: u16) {
    let styles = &model.look.theme.styles;
    let label = popup
        .candidates
        .iter()
        .map(|one| one.label.width())
        .max()
        .unwrap_or(0)
        .min(40);
    let note = popup
        .candidates
        .iter()
        .map(|one| one.note.width())
        .max()
        .unwrap_or(0);
    let width = u16::try_from(label + note + 5)
        .unwrap_or(u16::MAX)
        .min(area.width);
    let rows = u16::try_from(popup.rows()).unwrap_or(1);
    let typed = u16::try_from(popup.typed).unwrap_or(0);
    let left = x
        .saturating_sub(typed + 1)
        .min(area.right().saturating_sub(width))
        .max(area.x);
    // Below the cursor where there is room, else above it.
    let below = area.bottom().saturating_sub(y + 1);
    let place = if below >= rows {
        Rect::new(left, y + 1, width, rows)
    } else {
        let rows = rows.min(y.saturating_sub(canvas.area.y));
        Rect::new(left, y - rows, width, rows)
    };
    let mut inside = canvas.part(place);
    inside.fill(styles.overlay.add_modifier(Modifier::REVERSED));
    let chosen = popup.chosen.unwrap_or(0);
    let height = inside.height();
    let top = (chosen + 1).saturating_sub(height.max(1));
    for (row, (index, one)) in popup
        .candidates
        .iter()
        .enumerate()
        .skip(top)
        .take(height)
        .enumerate()
    {
        let reversed = Style::new().add_modifier(Modifier::REVERSED);
        let style = if popup.chosen == Some(index) {
            styles.selected.remove_modifier(Modifier::REVERSED)
        } else {
            reversed
        };
        let glyph = if index == chosen {
            model.look.glyphs.cursor
        } else {
            ' '
        };
        let ellipsis = model.look.glyphs.ellipsis;
        inside.style_row(row, style);
        inside.put(0, row, glyph.encode_utf8(&mut [0; 4]), style);
        inside.put_cut(1, row, 1 + label, &one.label, style, ellipsis);
        inside.put_cut(label + 3, row, inside.width(), &one.note, style, ellipsis);
    }
}

fn draw_review(model: &Model, canvas: &mut Canvas<'_>, review: &Review) {
    let width = canvas.width();
    if review.items.is_empty() {
        canvas.put(1, 0, "the text is the same", model.look.theme.styles.dim);
    }
    for (row, item) in review
        .items
        .iter()
        .skip(review.top)
        .take(canvas.height())
        .enumerate()
    {
        draw_item(model, canvas, row, item, width);
    }
}

/// The line, and at its right end what the change does. A line that is too long for both is cut.
fn draw_item(model: &Model, canvas: &mut Canvas<'_>, row: usize, item: &Item, width: usize) {
    let styles = &model.look.theme.styles;
    let ellipsis = model.look.glyphs.ellipsis;
    let (sign, style) = match item.sign {
        Sign::Same => (' ', styles.dim),
        Sign::Removed => ('-', styles.bad),
        Sign::Added => ('+', styles.ok),
        Sign::Gap => {
            canvas.put(1, row, "...", styles.dim);
            return;
        }
    };
    canvas.put(1, row, sign.encode_utf8(&mut [0; 4]), style);
    let effect = item.effect.width();
    let end = if effect == 0 {
        width
    } else {
        width.saturating_sub(effect + 3)
    };
    let text: String = item.text.chars().map(shown).collect();
    canvas.put_cut(3, row, end, &text, style, ellipsis);
    if effect > 0 {
        let style = if item.is_refused {
            styles.bad
        } else {
            styles.warning
        };
        canvas.put_right(width.saturating_sub(1), row, &item.effect, style);
    }
}
