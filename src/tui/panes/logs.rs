use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use super::canvas::{Canvas, cut, skip_columns};
use super::inspector::short;
use crate::tui::keymap::Place;
use crate::tui::logs::{
    LogEntry, LogPane, Origin, Pattern, Shape, ShapeStyles, SourceState, Timestamps, row_starts,
    shown,
};
use crate::tui::model::Model;
use crate::tui::sanitize::SafeLine;

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>) {
    if model.shows_log_state() {
        draw_state(model, canvas);
    }
    draw_lines(model, &mut canvas.part(model.log_lines()));
}

/// What is shown of the logs: the containers, and everything that hides or changes lines.
fn draw_state(model: &Model, canvas: &mut Canvas<'_>) {
    let logs = &model.inspector.logs;
    let theme = &model.look.theme;
    let styles = &theme.styles;
    let ellipsis = model.look.glyphs.ellipsis;
    let mut column = 1;
    let end = canvas.width();
    for (text, style) in state_words(model) {
        column = canvas.put_cut(column, 0, end, &text, style, ellipsis) + 2;
    }
    if logs.sources.len() < 2 {
        return;
    }
    for (index, source) in logs.sources.iter().enumerate() {
        let cursor = if index == logs.current && model.place() == Place::Logs {
            model.look.glyphs.cursor
        } else {
            ' '
        };
        // A container that is not heard is told by its brackets, not by colour alone.
        let (text, style) = if logs.is_visible_source(index) {
            (format!("{cursor}{}", source.name), theme.container(index))
        } else {
            (format!("{cursor}({})", source.name), styles.dim)
        };
        column = canvas.put_cut(column, 0, end, &text, style, ellipsis) + 1;
    }
}

fn state_words(model: &Model) -> Vec<(String, Style)> {
    let logs = &model.inspector.logs;
    let styles = &model.look.theme.styles;
    let mut words = Vec::new();
    let marked = logs.selected_lines();
    if marked > 0 {
        words.push((format!("{marked} marked (c copies)"), styles.key));
    }
    if let Some(filter) = &logs.filter {
        let hidden = short(logs.hidden);
        words.push((
            format!("&{} ({hidden} hidden)", filter.text()),
            styles.warning,
        ));
    }
    if logs.is_previous {
        words.push(("previous instance (p: newest)".to_owned(), styles.warning));
    }
    if logs.shape != Shape::Raw {
        words.push((format!("JSON: {}", logs.shape.word()), styles.dim));
    }
    if Pattern::search(&logs.search).is_some() {
        words.push((format!("/{}", logs.search), styles.dim));
    }
    words
}

fn shape_styles(model: &Model) -> ShapeStyles {
    let styles = &model.look.theme.styles;
    ShapeStyles {
        error: styles.bad,
        warning: styles.warning,
        info: styles.ok,
        dim: styles.dim,
    }
}

fn draw_lines(model: &Model, canvas: &mut Canvas<'_>) {
    let logs = &model.inspector.logs;
    let (width, height) = (canvas.width(), canvas.height());
    if width == 0 || height == 0 {
        return;
    }
    let (first, mut skip) = logs.window(width, height);
    let prefix = logs.prefix_width(width);
    let mut row = 0;
    for (number, entry) in logs.lines_from(first) {
        if row >= height {
            return;
        }
        let line = shown(entry, logs.shape, shape_styles(model));
        let text = &line.text;
        let starts = if logs.wrap {
            row_starts(text, width - prefix)
        } else {
            vec![skip_columns(text, logs.left)]
        };
        for (index, &start) in starts.iter().enumerate() {
            if skip > 0 {
                skip -= 1;
                continue;
            }
            if row >= height {
                return;
            }
            if index == 0 && prefix > 0 {
                draw_prefix(model, canvas, row, entry);
            }
            let end = starts.get(index + 1).copied().unwrap_or(text.len());
            draw_text(
                model,
                canvas,
                (prefix, row),
                entry.origin,
                &line,
                start..end,
            );
            if logs.selection.is_some_and(|marked| marked.contains(number)) {
                canvas.style_row(row, model.look.theme.styles.selected);
            }
            row += 1;
        }
    }
    if row == 0 {
        let words = empty_words(logs);
        canvas.put_cut(
            1,
            0,
            width,
            &words,
            model.look.theme.styles.dim,
            model.look.glyphs.ellipsis,
        );
    }
}

fn empty_words(logs: &LogPane) -> String {
    let is_idle = |state: &SourceState| *state == SourceState::Idle;
    if logs.reading().is_some() {
        "reading ...".to_owned()
    } else if logs.filter.is_some() {
        "no line passes the filter (esc takes it away)".to_owned()
    } else if logs.sources.iter().all(|source| is_idle(&source.state)) {
        "no container has started yet".to_owned()
    } else {
        "no output yet".to_owned()
    }
}

fn draw_prefix(model: &Model, canvas: &mut Canvas<'_>, row: usize, entry: &LogEntry) {
    let logs = &model.inspector.logs;
    let theme = &model.look.theme;
    let format = match logs.timestamps {
        Timestamps::Off => None,
        Timestamps::Short => Some(("%H:%M:%S", 8)),
        Timestamps::Full => Some(("%Y-%m-%dT%H:%M:%S.%3f", 24)),
    };
    let mut column = 0;
    if let Some((format, width)) = format {
        if let Some(at) = entry.at {
            let text = at
                .to_zoned(model.session.zone.clone())
                .strftime(format)
                .to_string();
            canvas.put_cut(0, row, width, &text, theme.styles.dim, ' ');
        }
        column = width + 1;
    }
    let width = logs.name_width();
    if let Some(source) = logs.sources.get(entry.source).filter(|_| width > 0) {
        let name = cut(&source.name, width, model.look.glyphs.ellipsis);
        canvas.put(column, row, &name, theme.container(entry.source));
    }
}

/// One row of a line: its own colours, the search on top.
fn draw_text(
    model: &Model,
    canvas: &mut Canvas<'_>,
    (column, row): (usize, usize),
    origin: Origin,
    line: &SafeLine,
    part: std::ops::Range<usize>,
) {
    let styles = &model.look.theme.styles;
    let base = match origin {
        Origin::Output => styles.text,
        Origin::Marker => styles.marker,
    };
    let matches = model.inspector.logs.matches(&line.text);
    if line.styles.is_empty() && matches.is_empty() {
        canvas.put(column, row, &line.text[part], base);
        return;
    }
    let mut cuts: Vec<usize> = vec![part.start, part.end];
    let inside = |offset: &usize| (part.start..part.end).contains(offset);
    cuts.extend(line.styles.iter().map(|(offset, _)| *offset).filter(inside));
    cuts.extend(
        matches
            .iter()
            .flat_map(|found| [found.start, found.end])
            .filter(inside),
    );
    cuts.sort_unstable();
    cuts.dedup();
    let mut at = column;
    for pair in cuts.windows(2) {
        let (start, end) = (pair[0], pair[1]);
        let mut style: Style = base;
        // Colours of the container are colours of its choice; without colours only attributes stay.
        if let Some((_, own)) = line
            .styles
            .iter()
            .rev()
            .find(|(offset, _)| *offset <= start)
        {
            let own = if model.look.no_color {
                Style {
                    fg: None,
                    bg: None,
                    ..*own
                }
            } else {
                *own
            };
            style = style.patch(own);
        }
        if matches.iter().any(|found| found.contains(&start)) {
            style = style.patch(styles.matched);
        }
        let text = &line.text[start..end];
        canvas.put(at, row, text, style);
        at += text.width();
    }
}
