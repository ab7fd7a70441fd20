use ratatui::Frame;
use ratatui::layout::{Position, Rect};

use super::canvas::Canvas;
use super::{editor, header, hints, inspector, list, overlays, terminal};
use crate::tui::model::{Connection, Model};
use crate::tui::overlay::Focus;

/// Draws one frame.
pub(in crate::tui) fn view(model: &Model, frame: &mut Frame<'_>) {
    let screen = frame.area();
    let areas = model.areas_of(screen);
    let buffer = frame.buffer_mut();
    buffer.set_style(screen, model.look.theme.styles.text);
    let mut canvas = Canvas::new(buffer, screen);
    let mut cursor = None;
    header::draw(model, &mut canvas.part(areas.header));
    if let Connection::Failed(problem) = &model.session.connection {
        let body = Rect {
            y: areas.header.bottom(),
            height: areas.hints.y.saturating_sub(areas.header.bottom()),
            ..screen
        };
        draw_failure(model, &mut canvas.part(body), problem);
    } else {
        list::draw(model, &mut canvas.part(areas.list));
        draw_divider(model, &mut canvas.part(areas.divider));
        if model.editing.editor.is_some() {
            cursor = editor::draw(model, &mut canvas, areas.inspector);
        } else {
            inspector::draw(model, &mut canvas.part(areas.inspector));
        }
        terminal::draw(model, &mut canvas.part(areas.terminal));
    }
    hints::draw(model, &mut canvas.part(areas.hints));
    if !model.overlays.is_empty() {
        cursor = overlays::draw(model, &mut canvas, areas.hints);
    } else if model.focus == Focus::Terminal {
        cursor = None;
    }
    if let Some((x, y)) = cursor.or_else(|| terminal::cursor(model)) {
        frame.set_cursor_position(Position::new(x, y));
    }
}

fn draw_divider(model: &Model, canvas: &mut Canvas<'_>) {
    let glyphs = model.look.glyphs;
    let styles = &model.look.theme.styles;
    let (glyph, style) = match model.focus {
        Focus::List | Focus::Terminal => (glyphs.bar, styles.title),
        Focus::Inspector => (glyphs.bar_focused, styles.title_focused),
    };
    for row in 0..canvas.height() {
        canvas.put(0, row, glyph.encode_utf8(&mut [0; 4]), style);
    }
}

fn draw_failure(model: &Model, canvas: &mut Canvas<'_>, problem: &str) {
    let styles = &model.look.theme.styles;
    canvas.put(1, 1, "the engine could not be started:", styles.bad);
    let width = canvas.width().saturating_sub(2).max(1);
    let starts = crate::tui::logs::row_starts(problem, width);
    for (row, start) in starts.iter().enumerate() {
        let end = starts.get(row + 1).copied().unwrap_or(problem.len());
        canvas.put(1, row + 2, &problem[*start..end], styles.text);
    }
    canvas.put(
        1,
        starts.len() + 3,
        "`podtui doctor` checks this machine; q leaves.",
        styles.dim,
    );
}
