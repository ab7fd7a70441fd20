use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use super::canvas::Canvas;
use crate::model::Kind;
use crate::tui::columns::bytes;
use crate::tui::model::{Connection, Model};

/// `12:04`, in the time zone of the user.
pub(in crate::tui) fn clock_text(model: &Model) -> String {
    model
        .now
        .to_zoned(model.session.zone.clone())
        .strftime("%H:%M")
        .to_string()
}

/// A word of the header; of a lower rank it stays longer when there is little room.
struct Part {
    text: String,
    style: Style,
    rank: u8,
}

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>) {
    let styles = &model.look.theme.styles;
    let clock = clock_text(model);
    let end = canvas.width().saturating_sub(clock.len() + 1);
    let mut column = 0;
    for part in fitting(parts(model), end) {
        column = canvas.put(column, 0, &part.text, part.style);
    }
    if column < end {
        canvas.put_right(canvas.width(), 0, &clock, styles.dim);
    }
}

/// Those that have room, in their order. A part that does not fit is left out whole: a number cut in two would lie.
fn fitting(parts: Vec<Part>, mut room: usize) -> Vec<Part> {
    let mut by_rank: Vec<usize> = (0..parts.len()).collect();
    by_rank.sort_by_key(|&index| parts[index].rank);
    let mut fits = vec![false; parts.len()];
    for (place, index) in by_rank.into_iter().enumerate() {
        let width = parts[index].text.width();
        // The first of all is drawn cut rather than not at all.
        fits[index] = width <= room || place == 0;
        if fits[index] {
            room = room.saturating_sub(width);
        }
    }
    let parts = parts.into_iter().zip(fits);
    parts
        .filter_map(|(part, fits)| fits.then_some(part))
        .collect()
}

fn parts(model: &Model) -> Vec<Part> {
    let styles = &model.look.theme.styles;
    let mut parts = Vec::new();
    let mut part = |text: String, style, rank| parts.push(Part { text, style, rank });
    let namespace = model.list.namespace.as_deref().unwrap_or("<all>");
    part("podtui".to_owned(), styles.header, 0);
    part(format!(" {}", model.session.context), styles.text, 4);
    part(format!(" ns:{namespace}"), styles.text, 2);
    if model.session.is_readonly {
        part(" read-only".to_owned(), styles.wait, 2);
    }
    let [all, ok, wait, bad] = model.pod_counts();
    let kind = model.list.kind;
    if kind == Kind::Pod {
        part(format!("  pods {all}"), styles.text, 3);
        for (count, word, style) in [
            (ok, "ok", styles.ok),
            (wait, "wait", styles.wait),
            (bad, "bad", styles.bad),
        ] {
            let (style, rank) = match (count, word) {
                (0, _) => (styles.dim, 6),
                (_, "bad") => (style, 1),
                _ => (style, 5),
            };
            part(format!(" {word} {count}"), style, rank);
        }
    } else {
        let objects = model.collections.rows(kind).count();
        part(format!("  {} {objects}", kind.plural()), styles.heading, 2);
        if bad > 0 {
            part(format!("  bad pods {bad}"), styles.bad, 1);
        }
    }
    // What is still known of pods that have gone is not told.
    let usage = model.metrics.total();
    if let Some((cpu, memory)) = usage.filter(|_| kind == Kind::Pod && all > 0) {
        let capacity = u64::try_from(model.session.cpus).unwrap_or(1).max(1) * 10;
        part(format!("  cpu {}%", cpu / capacity), styles.text, 7);
        part(format!(" mem {}", bytes(memory)), styles.text, 7);
    }
    match model.session.connection {
        Connection::Starting => part("  starting the engine".to_owned(), styles.wait, 1),
        Connection::Failed(_) => part("  no engine".to_owned(), styles.bad, 1),
        Connection::Up { .. } => {}
    }
    match model.session.machine_notes {
        0 => {}
        1 => part("  1 note :messages".to_owned(), styles.dim, 8),
        count => part(format!("  {count} notes :messages"), styles.dim, 8),
    }
    parts
}
