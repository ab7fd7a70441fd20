use unicode_width::UnicodeWidthStr;

use super::canvas::Canvas;
use super::list::health_style;
use crate::printer::{event_count, event_time, first_seen, human_duration};
use crate::tui::data::{Chapter, Row, container_of};
use crate::tui::logs::wrapped;
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
    let events = model.collections.events_about(row);
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
    let area = model.inspector_content();
    let columns = Columns::of(usize::from(area.width), row);
    let events = model.collections.events_about(row);
    let rows: usize = events.iter().map(|event| columns.rows_of(event)).sum();
    // One row of the area holds the column titles.
    rows + 1 + above(chapters, usize::from(area.height))
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
    let mut events = model.collections.events_about(row);
    // The newest stands on top: that is what one looks for.
    events.reverse();
    if events.is_empty() {
        canvas.put(1, used, "no events (they are kept for an hour)", styles.dim);
        return;
    }
    let columns = Columns::of(canvas.width(), row);
    columns.draw_titles(model, canvas, used);
    // Rows of the first events may be above the view.
    let mut skipped = model.inspector.events_top;
    let mut line = used + 1;
    for event_row in events {
        let rows = columns.rows_of(event_row);
        if skipped >= rows {
            skipped -= rows;
            continue;
        }
        if line >= canvas.height() {
            break;
        }
        columns.draw(model, canvas, event_row, line, skipped);
        line += rows - skipped;
        skipped = 0;
    }
}

/// Where the columns of events are. Messages say why something is as it is, so none is cut: they take as many rows as
/// they need, below the others where there is no room beside them.
struct Columns {
    width: usize,
    first_at: Option<usize>,
    message_at: usize,
    is_below: bool,
    /// Messages begin with the container; where there is one alone its name says nothing.
    names_containers: bool,
}

impl Columns {
    fn of(width: usize, about: &Row) -> Self {
        let (first_at, message_at, is_below) = match width {
            0..60 => (None, 4, true),
            60..100 => (None, 30, false),
            _ => (Some(35), 44, false),
        };
        Self {
            width,
            first_at,
            message_at,
            is_below,
            names_containers: about
                .pod
                .as_ref()
                .is_some_and(|facts| facts.containers.len() > 1),
        }
    }

    fn message_rows<'m>(&self, message: &'m str) -> Vec<&'m str> {
        wrapped(message, self.width.saturating_sub(self.message_at).max(8))
    }

    fn message_of(&self, row: &Row) -> String {
        let Some(event) = row.event() else {
            return String::new();
        };
        let message = plain(event.message.as_deref().unwrap_or_default());
        match container_of(event).filter(|_| self.names_containers) {
            Some(container) => format!("{}: {message}", plain(container)),
            None => message,
        }
    }

    fn rows_of(&self, row: &Row) -> usize {
        let message = self.message_of(row);
        self.message_rows(&message).len() + usize::from(self.is_below)
    }

    fn draw_titles(&self, model: &Model, canvas: &mut Canvas<'_>, row: usize) {
        let style = model.look.theme.styles.heading;
        for (at, title) in [(1, "LAST"), (8, "COUNT"), (15, "REASON")] {
            canvas.put(at, row, title, style);
        }
        if let Some(at) = self.first_at {
            canvas.put(at, row, "FIRST", style);
        }
        let at = if self.is_below { 30 } else { self.message_at };
        canvas.put(at, row, "MESSAGE", style);
    }

    /// From this row of it on.
    fn draw(
        &self,
        model: &Model,
        canvas: &mut Canvas<'_>,
        event_row: &Row,
        line: usize,
        skipped: usize,
    ) {
        let Some(event) = event_row.event() else {
            return;
        };
        let styles = &model.look.theme.styles;
        let message = self.message_of(event_row);
        let mut rows = self.message_rows(&message);
        if self.is_below {
            rows.insert(0, "");
        }
        let height = canvas.height();
        for (index, row) in rows.iter().skip(skipped).enumerate() {
            if line + index < height {
                canvas.put(self.message_at, line + index, row, styles.text);
            }
        }
        if skipped > 0 {
            return;
        }
        let since = |at: Option<jiff::Timestamp>| {
            at.map_or_else(
                || "-".to_owned(),
                |at| human_duration(model.now.duration_since(at)),
            )
        };
        let first = first_seen(event);
        let count = event_count(event);
        let style = health_style(styles, Some(event_row.health));
        canvas.put(1, line, &since(event_time(event)), styles.dim);
        canvas.put(8, line, &format!("x{count}"), styles.dim);
        let reason = plain(event.reason.as_deref().unwrap_or("-"));
        let reason_end = match self.first_at {
            Some(at) => at - 1,
            None if self.is_below => self.width,
            None => self.message_at - 1,
        };
        let ellipsis = model.look.glyphs.ellipsis;
        canvas.put_cut(15, line, reason_end, &reason, style, ellipsis);
        if let Some(at) = self.first_at {
            canvas.put(at, line, &since(first), styles.dim);
        }
    }
}
