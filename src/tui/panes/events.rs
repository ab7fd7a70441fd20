use super::canvas::Canvas;
use super::list::health_style;
use crate::model::Object;
use crate::printer::{event_time, human_duration};
use crate::tui::model::Model;
use crate::tui::sanitize::plain;

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>) {
    let Some(row) = model.list.selected() else {
        return;
    };
    let styles = &model.look.theme.styles;
    let ellipsis = model.look.glyphs.ellipsis;
    let mut events = model.collections.events_about(&row.object);
    // The newest stands on top: that is what one looks for.
    events.reverse();
    if events.is_empty() {
        canvas.put(1, 0, "no events (they are kept for an hour)", styles.dim);
        return;
    }
    let is_narrow = canvas.width() < 60;
    for (at, title) in [(1, "LAST"), (8, "COUNT"), (15, "REASON")] {
        canvas.put(at, 0, title, styles.heading);
    }
    let message_at = if is_narrow { 30 } else { 44 };
    if !is_narrow {
        canvas.put(35, 0, "FIRST", styles.heading);
    }
    canvas.put(message_at, 0, "MESSAGE", styles.heading);
    let top = model.inspector.events_top;
    let width = canvas.width();
    for (index, event_row) in events
        .iter()
        .skip(top)
        .enumerate()
        .take(canvas.height().saturating_sub(1))
    {
        let Object::Event(event) = &event_row.object else {
            continue;
        };
        let line = index + 1;
        let since = |at: Option<jiff::Timestamp>| {
            at.map_or_else(
                || "-".to_owned(),
                |at| human_duration(model.now.duration_since(at)),
            )
        };
        let first = event.first_timestamp.as_ref().map(|time| time.0);
        let count = event
            .series
            .as_ref()
            .and_then(|series| series.count)
            .or(event.count)
            .unwrap_or(1);
        let style = health_style(styles, Some(event_row.health));
        canvas.put(1, line, &since(event_time(event)), styles.dim);
        canvas.put(8, line, &format!("x{count}"), styles.dim);
        let reason = plain(event.reason.as_deref().unwrap_or("-"));
        let reason_end = if is_narrow { 29 } else { 34 };
        canvas.put_cut(15, line, reason_end, &reason, style, ellipsis);
        if !is_narrow {
            canvas.put(35, line, &since(first), styles.dim);
        }
        let message = plain(event.message.as_deref().unwrap_or_default());
        canvas.put_cut(message_at, line, width, &message, styles.text, ellipsis);
    }
}
