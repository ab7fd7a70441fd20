use ratatui::layout::Rect;

use super::canvas::Canvas;
use super::chart::{Chart, ChartStyles, SCALE};
use crate::tui::columns::{bytes, millicores};
use crate::tui::data::{PodFacts, Sample, Usage};
use crate::tui::model::Model;

/// Below this a chart is a title and nothing to see.
const LOWEST: u16 = 4;
const NARROWEST: u16 = 34;

/// What is drawn, in the order of importance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Cpu,
    Memory,
    Network,
    Processes,
}

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>) {
    let styles = &model.look.theme.styles;
    let Some(row) = model.list.selected() else {
        return;
    };
    let usage = model.metrics.of(row.namespace(), &row.key.name);
    let (Some(usage), Some(facts)) = (usage, row.pod.as_ref()) else {
        canvas.put(1, 0, "no usage yet: nothing of this pod runs", styles.dim);
        return;
    };
    let all = [What::Cpu, What::Memory, What::Network, What::Processes];
    for (what, area) in all.into_iter().zip(places(canvas.area)) {
        draw_one(model, &mut canvas.part(area), what, usage, facts);
    }
}

/// As many as fit: two by two, else below each other.
fn places(area: Rect) -> Vec<Rect> {
    let columns = if area.width >= 2 * NARROWEST { 2 } else { 1 };
    let rows = (area.height / LOWEST).clamp(1, 4 / columns);
    let (width, height) = (area.width / columns, area.height / rows);
    let mut places = Vec::new();
    for row in 0..rows {
        for column in 0..columns {
            places.push(Rect {
                x: area.x + column * width,
                y: area.y + row * height,
                // The last column is free, so that two charts do not touch.
                width: width.saturating_sub(u16::from(columns > 1)),
                height,
            });
        }
    }
    places
}

fn draw_one(model: &Model, canvas: &mut Canvas<'_>, what: What, usage: &Usage, facts: &PodFacts) {
    let styles = &model.look.theme.styles;
    let chart_styles = ChartStyles {
        title: styles.heading,
        columns: styles.ok,
        limit: styles.bad,
        request: styles.wait,
        scale: styles.dim,
    };
    let room = canvas.width();
    let width = room.saturating_sub(SCALE);
    let steps = |pick: fn(&Sample) -> Option<u64>| usage.steps(model.inspector.span, width, pick);
    let positive = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
    let glyphs = &model.look.glyphs;
    match what {
        What::Cpu => {
            let steps = steps(Sample::cpu_millicores);
            let (limit, request) = (positive(facts.cpu_limit), positive(facts.cpu_request));
            Chart {
                title: &title(
                    "CPU",
                    usage.cpu_millicores,
                    limit,
                    request,
                    (millicores, room),
                ),
                steps: &steps,
                limit,
                request,
                format: millicores,
            }
            .draw(canvas, glyphs, &chart_styles);
        }
        What::Memory => {
            let steps = steps(Sample::memory_bytes);
            let (limit, request) = (positive(facts.memory_limit), positive(facts.memory_request));
            Chart {
                title: &title("MEMORY", usage.memory_bytes, limit, request, (bytes, room)),
                steps: &steps,
                limit,
                request,
                format: bytes,
            }
            .draw(canvas, glyphs, &chart_styles);
        }
        What::Network => draw_network(model, canvas, usage, &chart_styles),
        What::Processes => {
            let count = usage.newest().and_then(Sample::processes);
            let limit = model.session.pids_limit;
            let text = match (count, limit) {
                (None, _) => "TASKS not told".to_owned(),
                (Some(count), None) => format!("TASKS {count}  processes and threads"),
                (Some(count), Some(_)) => {
                    let told = [("limit", limit)];
                    let format = |count: u64| count.to_string();
                    format!(
                        "{}  processes and threads",
                        title_in("TASKS", count, &told, format)
                    )
                }
            };
            Chart {
                title: &text,
                steps: &steps(Sample::processes),
                limit,
                request: None,
                format: |count| count.to_string(),
            }
            .draw(canvas, glyphs, &chart_styles);
        }
    }
}

/// `CPU 80m  limit 200m 40%  request 100m 80%`, in shorter words where there is little room.
fn title(
    name: &str,
    used: u64,
    limit: Option<u64>,
    request: Option<u64>,
    (format, width): (fn(u64) -> String, usize),
) -> String {
    let whole = title_in(
        name,
        used,
        &[("limit", limit), ("request", request)],
        format,
    );
    if whole.len() < width {
        return whole;
    }
    let short = title_in(name, used, &[("lim", limit), ("req", request)], format);
    if short.len() < width {
        return short;
    }
    short.replace("MEMORY", "MEM").replace("  ", " ")
}

fn title_in(
    name: &str,
    used: u64,
    lines: &[(&str, Option<u64>)],
    format: fn(u64) -> String,
) -> String {
    let mut text = format!("{name} {}", format(used));
    for &(word, most) in lines {
        let most = most.filter(|most| *most > 0);
        match most.and_then(|most| Some((most, used.saturating_mul(100).checked_div(most)?))) {
            Some((most, percent)) => {
                let most = format(most);
                text.push_str(&format!("  {word} {most} {percent}%"));
            }
            None => text.push_str(&format!("  no {word}")),
        }
    }
    text
}

/// What comes in above what goes out, each on its own scale; where there is little room both together.
fn draw_network(model: &Model, canvas: &mut Canvas<'_>, usage: &Usage, styles: &ChartStyles) {
    let rate = |value: Option<u64>| {
        value.map_or_else(|| "-".to_owned(), |value| format!("{}/s", bytes(value)))
    };
    let newest = usage.newest();
    let (received, sent) = (
        rate(newest.and_then(Sample::received)),
        rate(newest.and_then(Sample::sent)),
    );
    let width = canvas.width().saturating_sub(SCALE);
    let steps = |pick: fn(&Sample) -> Option<u64>| usage.steps(model.inspector.span, width, pick);
    let glyphs = &model.look.glyphs;
    let chart = |title: &str, steps: &[Option<u64>], canvas: &mut Canvas<'_>| {
        Chart {
            title,
            steps,
            limit: None,
            request: None,
            format: bytes,
        }
        .draw(canvas, glyphs, styles);
    };
    let area = canvas.area;
    if area.height >= 6 {
        let upper = Rect {
            height: area.height / 2,
            ..area
        };
        let lower = Rect {
            y: area.y + upper.height,
            height: area.height - upper.height,
            ..area
        };
        let received = format!("NETWORK in {received}");
        chart(&received, &steps(Sample::received), &mut canvas.part(upper));
        let sent = format!("NETWORK out {sent}");
        chart(&sent, &steps(Sample::sent), &mut canvas.part(lower));
        return;
    }
    let both = steps(|sample| Some(sample.received()?.saturating_add(sample.sent()?)));
    chart(&format!("NETWORK in {received}  out {sent}"), &both, canvas);
}
