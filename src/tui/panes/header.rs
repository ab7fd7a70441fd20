use super::canvas::Canvas;
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

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>) {
    let styles = &model.look.theme.styles;
    let clock = clock_text(model);
    let end = canvas.width().saturating_sub(clock.len() + 1);
    let mut column = canvas.put(0, 0, "podtui", styles.header);
    let namespace = model.list.namespace.as_deref().unwrap_or("<all>");
    column = canvas.put(column + 1, 0, &model.session.context, styles.text);
    column = canvas.put(column + 1, 0, &format!("ns:{namespace}"), styles.text);
    if model.session.is_readonly {
        column = canvas.put(column + 1, 0, "read-only", styles.wait);
    }
    let [all, ok, wait, bad] = model.pod_counts();
    let mut parts = vec![(format!("  pods {all}"), styles.text)];
    for (count, word, style) in [
        (ok, "ok", styles.ok),
        (wait, "wait", styles.wait),
        (bad, "bad", styles.bad),
    ] {
        let style = if count == 0 { styles.dim } else { style };
        parts.push((format!(" {word} {count}"), style));
    }
    if let Some((cpu, memory)) = model.metrics.total() {
        let capacity = u64::try_from(model.session.cpus).unwrap_or(1).max(1) * 10;
        parts.push((format!("  cpu {}%", cpu / capacity), styles.text));
        parts.push((format!(" mem {}", bytes(memory)), styles.text));
    }
    match model.session.connection {
        Connection::Starting => parts.push(("  starting the engine".to_owned(), styles.wait)),
        Connection::Failed(_) => parts.push(("  no engine".to_owned(), styles.bad)),
        Connection::Up { .. } => {}
    }
    for (text, style) in parts {
        // A part that does not fit is left out whole; a number cut in two would lie.
        if column + text.len() <= end {
            column = canvas.put(column, 0, &text, style);
        }
    }
    if column < end {
        canvas.put_right(canvas.width(), 0, &clock, styles.dim);
    }
}
