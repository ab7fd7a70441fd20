use unicode_width::UnicodeWidthStr;

use super::canvas::Canvas;
use super::{describe, events, logs, metrics, processes, spec};
use crate::tui::data::Liveness;
use crate::tui::inspector::Tab;
use crate::tui::logs::{Position, SourceState, wrapped};
use crate::tui::model::Model;
use crate::tui::overlay::{Focus, tab_label};

/// Column at which the tabs start; the name of the object is in front of them.
const MAX_NAME: usize = 30;
/// Columns of `paused (f follows)` and `999k/s`.
const LOG_STATE: usize = 28;
/// Beside the short titles of all tabs.
const SHORT_NAME: usize = 14;

fn name_of(model: &Model) -> String {
    let most = match model.areas().inspector.width {
        0..100 => SHORT_NAME,
        _ => MAX_NAME,
    };
    let name = model
        .list
        .selected()
        .map_or("-", |row| row.key.name.as_str());
    super::canvas::cut(name, most, model.look.glyphs.ellipsis)
}

/// Columns and texts of the tabs in the title row.
fn tabs(model: &Model) -> Vec<(usize, Tab, String)> {
    let room = usize::from(model.areas().inspector.width);
    let state = match model.tab() {
        // Room for all it may become: titles that change with every line of the log are not to be read.
        Tab::Logs => LOG_STATE,
        Tab::Events | Tab::Spec | Tab::Procs | Tab::Metrics | Tab::Describe => {
            state_parts(model).iter().map(|part| part.width() + 2).sum()
        }
    };
    let whole = tabs_with(model, false);
    if end_of(&whole) + state + 3 <= room {
        return whole;
    }
    tabs_with(model, true)
}

fn end_of(tabs: &[(usize, Tab, String)]) -> usize {
    tabs.last().map_or(0, |(at, _, label)| at + label.width())
}

/// Short titles stand closer, too.
fn tabs_with(model: &Model, is_short: bool) -> Vec<(usize, Tab, String)> {
    let mut at = 3 + name_of(model).width() + 3;
    let mut tabs = Vec::new();
    for tab in Tab::of(model.list.kind) {
        let label = tab_label(tab, is_short);
        // The shown tab is told by brackets, not by colour alone.
        let label = match (tab == model.tab(), is_short) {
            (true, _) => format!("[{label}]"),
            (false, true) => format!("{label} "),
            (false, false) => format!(" {label} "),
        };
        let width = label.width();
        tabs.push((at, tab, label));
        at += width;
    }
    tabs
}

/// The tab whose label is at this column of the screen.
pub(in crate::tui) fn tab_at(model: &Model, x: u16) -> Option<Tab> {
    let column = usize::from(x.checked_sub(model.areas().inspector.x)?);
    let hit = |(at, _, label): &(usize, Tab, String)| (*at..*at + label.width()).contains(&column);
    tabs(model).into_iter().find(hit).map(|(_, tab, _)| tab)
}

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>) {
    if canvas.height() == 0 {
        return;
    }
    draw_title(model, canvas);
    let styles = &model.look.theme.styles;
    let facts = model.list.selected().and_then(|row| row.pod.as_ref());
    let rows = usize::from(model.why_rows());
    if let Some(why) = facts.and_then(|facts| facts.why.as_ref()) {
        let words = why.words(model.now);
        let width = canvas.width();
        let mut rest = words.as_str();
        for row in 1..=rows {
            if row == rows {
                let ellipsis = model.look.glyphs.ellipsis;
                canvas.put_cut(1, row, width, rest, styles.bad, ellipsis);
            } else {
                let line = wrapped(rest, width.saturating_sub(1))[0];
                canvas.put(1, row, line, styles.bad);
                rest = rest[line.len()..].trim_start();
            }
        }
    }
    let content = model.inspector_content();
    let mut content = canvas.part(content);
    match model.tab() {
        _ if model.list.selected().is_none() => {}
        Tab::Logs => logs::draw(model, &mut content),
        Tab::Events => events::draw(model, &mut content),
        Tab::Spec => spec::draw(model, &mut content),
        Tab::Procs => processes::draw(model, &mut content),
        Tab::Metrics => metrics::draw(model, &mut content),
        Tab::Describe => describe::draw(model, &mut content),
    }
}

fn draw_title(model: &Model, canvas: &mut Canvas<'_>) {
    let glyphs = model.look.glyphs;
    let styles = &model.look.theme.styles;
    let is_focused = model.focus == Focus::Inspector;
    let (rule, style) = if is_focused {
        (glyphs.rule_focused, styles.title_focused)
    } else {
        (glyphs.rule, styles.title)
    };
    canvas.rule(0, rule, style);
    let at = canvas.put(2, 0, &format!(" {} ", name_of(model)), style);
    let mut end = at;
    for (at, tab, label) in tabs(model) {
        let style = if tab == model.tab() {
            styles.tab
        } else {
            style
        };
        end = canvas.put(at, 0, &label, style);
    }
    // Parts that have no room are left out whole, the least important (the first) at first.
    let mut parts = state_parts(model);
    let room = canvas.width().saturating_sub(end + 2);
    while parts.iter().map(|part| part.width() + 2).sum::<usize>() > room && !parts.is_empty() {
        parts.remove(0);
    }
    if !parts.is_empty() {
        let state = format!(" {} ", parts.join("  "));
        canvas.put_right(canvas.width() - 1, 0, &state, style);
    }
}

/// What the tab is doing, at the right end of the title; more important parts stand behind.
fn state_parts(model: &Model) -> Vec<String> {
    let broken = model
        .collections
        .get(model.list.kind)
        .map(|collection| &collection.liveness);
    if let Some(Liveness::Broken(_)) = broken {
        return vec!["reconnecting".to_owned()];
    }
    let inspector = &model.inspector;
    match model.tab() {
        Tab::Procs if inspector.processes.is_read => {
            return processes::state(&inspector.processes, inspector.procs_order);
        }
        Tab::Metrics => return vec![inspector.span.words().to_owned()],
        Tab::Spec => {
            return inspector
                .search
                .words(&inspector.spec)
                .into_iter()
                .collect();
        }
        Tab::Describe => {
            let words = inspector.search.words(&inspector.describe);
            return words.into_iter().collect();
        }
        Tab::Logs | Tab::Events | Tab::Procs => {}
    }
    let logs = &model.inspector.logs;
    if model.tab() != Tab::Logs || logs.target.is_none() {
        return Vec::new();
    }
    let mut parts = Vec::new();
    if logs.per_second > 0 {
        parts.push(format!("{}/s", short(logs.per_second)));
    }
    let failed = logs.sources.iter().find_map(|source| match &source.state {
        SourceState::Failed(problem) => Some(format!("{}: {problem}", source.name)),
        SourceState::Idle | SourceState::Open | SourceState::Ended => None,
    });
    parts.extend(failed);
    let is_open = logs
        .sources
        .iter()
        .any(|source| source.state == SourceState::Open);
    let position = match logs.position {
        Position::Follow if is_open => "follow",
        Position::Follow => "end",
        Position::At(_) if logs.is_live() => "paused (f follows)",
        Position::At(_) => "history (f follows)",
    };
    parts.push(logs.reading().unwrap_or(position).to_owned());
    if logs.is_skipping {
        // The lines between are in the files: scrolling back shows them.
        parts.push("newest only".to_owned());
    }
    parts
}

/// `312`, `24k`, `1.2M`.
pub(super) fn short(count: u64) -> String {
    match count {
        0..10_000 => count.to_string(),
        10_000..1_000_000 => format!("{}k", count / 1000),
        _ => format!("{}.{}M", count / 1_000_000, count / 100_000 % 10),
    }
}
