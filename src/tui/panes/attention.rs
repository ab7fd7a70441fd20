use unicode_width::UnicodeWidthStr;

use super::canvas::Canvas;
use super::list::health_style;
use super::overlays::window;
use crate::printer::human_duration;
use crate::tui::attention::{queue, since};
use crate::tui::model::Model;
use crate::tui::overlay::Attention;
use crate::tui::sanitize::plain;

/// The pods in trouble: since when, which, and why in words.
pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>, attention: &Attention) {
    let styles = &model.look.theme.styles;
    let rows = queue(&model.collections);
    let title = match rows.len() {
        0 => "nothing is in trouble".to_owned(),
        1 => "1 pod in trouble".to_owned(),
        count => format!("{count} pods in trouble, newest first"),
    };
    let name_of = |row: &crate::tui::data::Row| match &model.list.namespace {
        Some(_) => plain(&row.key.name),
        None => plain(&format!("{}/{}", row.namespace(), row.key.name)),
    };
    let name_width = rows.iter().map(|row| name_of(row).width()).max();
    let name_width = name_width.unwrap_or(0).min(canvas.width() / 3);
    let width = canvas.width().saturating_sub(4).clamp(1, 140);
    let mut inside = window(model, canvas, &title, width, rows.len().max(1));
    if rows.is_empty() {
        inside.put(0, 0, "every pod in view is well", styles.dim);
        return;
    }
    let selected = attention.selected.as_ref();
    let place = rows.iter().position(|row| Some(&row.key) == selected);
    let height = inside.height();
    let top = (place.unwrap_or(0) + 1).saturating_sub(height.max(1));
    let ellipsis = model.look.glyphs.ellipsis;
    for (line, row) in rows.iter().skip(top).take(height).enumerate() {
        let age = since(row).map_or_else(
            || "-".to_owned(),
            |at| human_duration(model.now.duration_since(at)),
        );
        inside.put_right(5, line, &age, styles.dim);
        let style = health_style(styles, Some(row.health));
        inside.put_cut(6, line, 6 + name_width, &name_of(row), style, ellipsis);
        let facts = row.pod.as_ref();
        let words = facts.map_or_else(String::new, |facts| match &facts.why {
            Some(why) => why.words(model.now),
            None => facts.summary.status.clone(),
        });
        let end = inside.width();
        inside.put_cut(7 + name_width, line, end, &words, styles.text, ellipsis);
        if Some(&row.key) == selected {
            inside.style_row(line, styles.selected);
            let cursor = model.look.glyphs.cursor;
            inside.put(0, line, cursor.encode_utf8(&mut [0; 4]), styles.selected);
        }
    }
}
