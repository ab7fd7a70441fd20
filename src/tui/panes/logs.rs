use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use super::canvas::{Canvas, cut, skip_columns};
use crate::tui::logs::{LogEntry, LogPane, Origin, SourceState, Timestamps, row_starts};
use crate::tui::model::Model;

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>) {
    let logs = &model.inspector.logs;
    let (width, height) = (canvas.width(), canvas.height());
    if width == 0 || height == 0 {
        return;
    }
    let (first, mut skip) = logs.window(width, height);
    let prefix = logs.prefix_width(width);
    let mut row = 0;
    for (_, entry) in logs.lines_from(first) {
        if row >= height {
            return;
        }
        let text = &entry.line.text;
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
            draw_text(model, canvas, prefix, row, entry, start..end);
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
    if logs.sources.iter().all(|source| is_idle(&source.state)) {
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
    column: usize,
    row: usize,
    entry: &LogEntry,
    part: std::ops::Range<usize>,
) {
    let styles = &model.look.theme.styles;
    let line = &entry.line;
    let base = match entry.origin {
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
