use unicode_width::UnicodeWidthStr;

use super::canvas::Canvas;
use super::list::health_style;
use crate::model::Object;
use crate::printer::{event_time, human_duration};
use crate::tui::data::{Chapter, Row};
use crate::tui::model::Model;
use crate::tui::sanitize::plain;

/// Rows of the story that stand above the events, with its heading, while both are shown.
const STORY_ROWS: usize = 6;
/// Columns of a container's name in the story.
const MAX_NAME: usize = 14;

/// Restarts, kills and failed probes on top, the events below; or the story alone.
pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>) {
    let Some(row) = model.list.selected() else {
        return;
    };
    let chapters = chapters(model, row);
    let used = draw_story(model, canvas, &chapters);
    if !model.inspector.story_only {
        draw_events(model, canvas, row, used);
    }
}

fn chapters(model: &Model, row: &Row) -> Vec<Chapter> {
    if row.pod.is_none() {
        return Vec::new();
    }
    let events = model.collections.events_about(&row.object);
    let events = events.iter().map(|event| &***event);
    model.inspector.story.chapters(events)
}

/// Rows of this tab, for scrolling.
pub(in crate::tui) fn rows(model: &Model) -> usize {
    let Some(row) = model.list.selected() else {
        return 0;
    };
    let chapters = chapters(model, row).len();
    if model.inspector.story_only {
        return chapters + 1;
    }
    // One row of the area holds the column titles.
    let events = model.collections.events_about(&row.object).len() + 1;
    events + above(chapters, usize::from(model.inspector_content().height))
}

/// Rows that the story takes above the events.
fn above(chapters: usize, height: usize) -> usize {
    if chapters == 0 {
        return 0;
    }
    (chapters + 1).min(STORY_ROWS).min((height / 2).max(2))
}

/// Returns the rows that it has taken.
fn draw_story(model: &Model, canvas: &mut Canvas<'_>, chapters: &[Chapter]) -> usize {
    let styles = &model.look.theme.styles;
    let ellipsis = model.look.glyphs.ellipsis;
    let inspector = &model.inspector;
    if let Some(problem) = inspector
        .story
        .problem
        .as_ref()
        .filter(|_| inspector.story_only)
    {
        canvas.put_cut(1, 0, canvas.width(), problem, styles.bad, ellipsis);
        return 1;
    }
    if chapters.is_empty() {
        if inspector.story_only {
            let text = "no restarts, no kills for lack of memory, no failed probes";
            canvas.put(1, 0, text, styles.dim);
        }
        return 0;
    }
    let height = canvas.height();
    let (room, top) = if inspector.story_only {
        (height, inspector.events_top)
    } else {
        (above(chapters.len(), height), 0)
    };
    canvas.put(1, 0, "WHEN", styles.heading);
    canvas.put(11, 0, "RESTARTS, KILLS AND FAILED PROBES", styles.heading);
    let shown = room.saturating_sub(1);
    let hidden = chapters.len().saturating_sub(shown);
    if hidden > 0 && !inspector.story_only {
        let text = format!("{hidden} more: t");
        canvas.put_right(canvas.width(), 0, &text, styles.dim);
    }
    let many = chapters
        .iter()
        .any(|chapter| chapter.container != chapters[0].container);
    // Names stand below each other; with one container they say nothing.
    let names = chapters.iter().map(|chapter| chapter.container.width());
    let name_width = names
        .max()
        .filter(|_| many)
        .map(|width| width.min(MAX_NAME));
    for (index, chapter) in chapters.iter().skip(top).take(shown).enumerate() {
        draw_chapter(model, canvas, index + 1, chapter, name_width);
    }
    room
}

fn draw_chapter(
    model: &Model,
    canvas: &mut Canvas<'_>,
    line: usize,
    chapter: &Chapter,
    name_width: Option<usize>,
) {
    let styles = &model.look.theme.styles;
    let ellipsis = model.look.glyphs.ellipsis;
    let width = canvas.width();
    let zoned = chapter.at.to_zoned(model.session.zone.clone());
    let today = model.now.to_zoned(model.session.zone.clone()).date();
    let format = if zoned.date() == today {
        "%H:%M:%S"
    } else {
        "%d %b %H:%M"
    };
    let when = zoned.strftime(format).to_string();
    let mut at = canvas.put(1, line, &when, styles.dim).max(10) + 1;
    if let Some(name_width) = name_width {
        let end = at + name_width;
        canvas.put_cut(at, line, end, &chapter.container, styles.dim, ellipsis);
        at = end + 1;
    }
    let style = if chapter.is_bad {
        styles.bad
    } else {
        styles.done
    };
    at = canvas.put_cut(at, line, width, &chapter.what, style, ellipsis) + 2;
    canvas.put_cut(at, line, width, &chapter.details, styles.text, ellipsis);
}

fn draw_events(model: &Model, canvas: &mut Canvas<'_>, row: &Row, used: usize) {
    let styles = &model.look.theme.styles;
    let ellipsis = model.look.glyphs.ellipsis;
    let mut events = model.collections.events_about(&row.object);
    // The newest stands on top: that is what one looks for.
    events.reverse();
    if events.is_empty() {
        canvas.put(1, used, "no events (they are kept for an hour)", styles.dim);
        return;
    }
    let is_narrow = canvas.width() < 60;
    for (at, title) in [(1, "LAST"), (8, "COUNT"), (15, "REASON")] {
        canvas.put(at, used, title, styles.heading);
    }
    let message_at = if is_narrow { 30 } else { 44 };
    if !is_narrow {
        canvas.put(35, used, "FIRST", styles.heading);
    }
    canvas.put(message_at, used, "MESSAGE", styles.heading);
    let top = model.inspector.events_top;
    let width = canvas.width();
    for (index, event_row) in events
        .iter()
        .skip(top)
        .enumerate()
        .take(canvas.height().saturating_sub(used + 1))
    {
        let Object::Event(event) = &*event_row.object else {
            continue;
        };
        let line = used + index + 1;
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
