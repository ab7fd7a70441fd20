use std::hash::{Hash, Hasher};
use std::sync::Arc;

use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use super::canvas::Canvas;
use crate::tui::columns::{Cell, CellSource, Column, ColumnId, row_cells};
use crate::tui::data::{Health, Liveness, Row};
use crate::tui::keymap::{Cmd, Place};
use crate::tui::model::{Connection, Model};
use crate::tui::overlay::Focus;
use crate::tui::theme::Styles;

/// Columns of words that further columns must leave, and what graphs must leave if the words are that long; on a
/// wide screen both leave up to half of it.
const WHY_WORTH: usize = 30;
const MOST_WHY: usize = 60;
/// Columns of this priority and better ones stand before the words; those between are graphs.
const BEFORE_WHY: u8 = 9;
const LEAST_BEFORE_WHY: u8 = 12;

pub(super) fn health_style(styles: &Styles, health: Option<Health>) -> Style {
    match health {
        Some(Health::Bad) => styles.bad,
        Some(Health::Wait) => styles.wait,
        Some(Health::Ok) => styles.ok,
        Some(Health::Done) => styles.done,
        Some(Health::Neutral) => styles.text,
        None => styles.dim,
    }
}

/// The part of the list that is in view.
struct Table<'a> {
    columns: Vec<Column>,
    rows: Vec<&'a Arc<Row>>,
    cells: Vec<Vec<Cell>>,
    /// `None` for columns that do not fit.
    widths: Vec<Option<usize>>,
    heading_rows: usize,
}

impl<'a> Table<'a> {
    fn of(model: &'a Model, width: usize, height: usize) -> Self {
        let list = &model.list;
        // One row alone shows the selection rather than a heading.
        let heading_rows = usize::from(height >= 2);
        let rows: Vec<&Arc<Row>> = if heading_rows == 0 {
            list.selected().into_iter().take(height).collect()
        } else {
            let rows = list.rows().iter().skip(list.top);
            rows.take(height - heading_rows).collect()
        };
        let source = CellSource {
            now: model.now,
            metrics: &model.metrics,
        };
        let columns = list.columns();
        let cells: Vec<Vec<Cell>> = rows
            .iter()
            .map(|row| row_cells(row, &columns, &source))
            .collect();
        let widths = fit(model, &columns, &cells, width);
        Self {
            columns,
            rows,
            cells,
            widths,
            heading_rows,
        }
    }
}

/// Every text of the list that is in view, for telling whether time alone changed one.
pub(in crate::tui) fn hash_visible(model: &Model, hasher: &mut impl Hasher) {
    let area = model.areas().list;
    let table = Table::of(model, area.width.into(), area.height.into());
    for cells in &table.cells {
        for (cell, _) in cells
            .iter()
            .zip(&table.widths)
            .filter(|(_, width)| width.is_some())
        {
            cell.text.hash(hasher);
        }
    }
}

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>) {
    let list = &model.list;
    let table = Table::of(model, canvas.width(), canvas.height());
    if table.heading_rows == 1 {
        draw_heading(model, canvas, &table);
    }
    if table.rows.is_empty() {
        draw_empty(model, canvas, table.heading_rows);
    }
    for (index, row) in table.rows.iter().enumerate() {
        let line = index + table.heading_rows;
        draw_row(model, canvas, line, row, &table, index);
        if let Some(seconds) = model.deletions.seconds_of(&row.key, model.now) {
            let styles = &model.look.theme.styles;
            let text = if canvas.width() < 40 {
                format!(" {seconds}s")
            } else {
                format!(" deleting in {seconds} s ")
            };
            canvas.put_right(canvas.width(), line, &text, styles.wait);
        }
        let is_selected = list
            .selected()
            .is_some_and(|selected| selected.key == row.key);
        if list.is_marked(row) {
            let styles = &model.look.theme.styles;
            let mark = model.look.glyphs.mark;
            canvas.put(0, line, mark.encode_utf8(&mut [0; 4]), styles.marker);
            canvas.style_row(line, styles.prompt);
        }
        if is_selected {
            let styles = &model.look.theme.styles;
            let is_focused = model.focus == Focus::List && model.overlays.is_empty();
            let style = if is_focused {
                styles.selected
            } else {
                styles.selected_unfocused
            };
            if !list.is_marked(row) {
                let cursor = model.look.glyphs.cursor;
                canvas.put(0, line, cursor.encode_utf8(&mut [0; 4]), style);
            }
            canvas.style_row(line, style);
        }
    }
}

/// Widths of the columns that fit, `None` for those that do not. Every column has one free column after it
/// and the selection mark stands in front of all.
fn fit(model: &Model, columns: &[Column], cells: &[Vec<Cell>], width: usize) -> Vec<Option<usize>> {
    let natural = |index: usize| {
        let column = &columns[index];
        let known = model.list.widths;
        let content = match column.id {
            ColumnId::Name => known.name,
            ColumnId::Namespace => known.namespace,
            ColumnId::Status => known.status,
            _ => cells
                .iter()
                .map(|row| row[index].text.width())
                .max()
                .unwrap_or(0),
        };
        // The arrow of the sorted column is part of its title.
        let title = column.title.len() + usize::from(is_sorted_by(model, column));
        content
            .max(title)
            .clamp(column.min.into(), column.max.into())
    };
    let is_why = |index: usize| columns[index].id == ColumnId::Why;
    let why = (0..columns.len()).find(|&index| is_why(index));
    let is_said = |index: &usize| cells.iter().any(|row| !row[*index].text.is_empty());
    // What is wrong, in words, is worth more than shares of requests.
    let most = MOST_WHY.max(width / 2);
    let wanted = why.filter(is_said).map_or(0, |why| natural(why).min(most));
    // Where there is room for long reasons, the rest stands back as far as they need it.
    let kept = match most {
        MOST_WHY => why.filter(is_said).map_or(0, |_| WHY_WORTH),
        _ => wanted,
    };
    let mut order: Vec<usize> = (0..columns.len()).filter(|&index| !is_why(index)).collect();
    order.sort_by_key(|&index| columns[index].priority);
    let mut widths = vec![None; columns.len()];
    let mut free = width.saturating_sub(1);
    for &index in &order {
        let min = match columns[index].id {
            // What identifies a row and what is wrong with it are worth more than further columns.
            ColumnId::Name => natural(index).min(24),
            ColumnId::Status => natural(index).min(17),
            // Cut, they all look alike.
            ColumnId::Ip => natural(index),
            _ if is_sorted_by(model, &columns[index]) => {
                usize::from(columns[index].min).max(columns[index].title.len() + 1)
            }
            _ => usize::from(columns[index].min),
        };
        let priority = columns[index].priority;
        let kept = if priority > LEAST_BEFORE_WHY {
            kept
        } else if priority > BEFORE_WHY
            && why.is_some_and(|why| free > usize::from(columns[why].min))
        {
            // A graph makes room for the words if they can be shown at all.
            wanted
        } else {
            0
        };
        if free > min + kept {
            widths[index] = Some(min);
            free -= min + 1;
        } else if index == order[0] {
            widths[index] = Some(free);
            free = 0;
        } else {
            break;
        }
    }
    for index in order {
        if let Some(width) = &mut widths[index] {
            let more = natural(index).saturating_sub(*width).min(free);
            *width += more;
            free -= more;
        }
    }
    // The words take what the others leave, and nothing when they say nothing.
    if let Some(index) = why
        .filter(is_said)
        .filter(|&index| free > usize::from(columns[index].min))
    {
        widths[index] = Some(natural(index).min(free - 1));
    }
    widths
}

fn draw_heading(model: &Model, canvas: &mut Canvas<'_>, table: &Table<'_>) {
    let styles = &model.look.theme.styles;
    let sort = model.list.sort;
    let badge = narrowed(model);
    let width = canvas.width();
    let badge_at = badge.as_ref().map_or(width, |text| {
        width.saturating_sub(text.width()).max(width.min(6))
    });
    let mut at = 1;
    for (column, width) in table.columns.iter().zip(&table.widths) {
        let Some(width) = *width else { continue };
        let mut title = column.title.to_owned();
        if is_sorted_by(model, column) && width > title.len() {
            let glyphs = model.look.glyphs;
            title.push(if sort.is_reversed == sort.column.is_largest_first() {
                glyphs.ascending
            } else {
                glyphs.descending
            });
        }
        let title_end = if column.align_right {
            at + width
        } else {
            at + title.width().min(width)
        };
        // A title that would be cut in two by what is told behind is left out whole.
        if at > 1 && title_end > badge_at {
            break;
        }
        if column.align_right {
            canvas.put_right(at + width, 0, &title, styles.heading);
        } else {
            canvas.put_cut(
                at,
                0,
                at + width,
                &title,
                styles.heading,
                model.look.glyphs.ellipsis,
            );
        }
        at += width + 1;
    }
    // A list that hides objects or has marks must say so, if need be in the place of the last headings.
    if let Some(text) = badge {
        let ellipsis = model.look.glyphs.ellipsis;
        canvas.put_cut(badge_at, 0, width, &text, styles.prompt, ellipsis);
    }
}

/// Kinds that the printer prints have their names and ages in columns of their own.
fn is_sorted_by(model: &Model, column: &Column) -> bool {
    let sorted = model.list.sort.column;
    column.id == sorted
        || (column.title == "AGE" && sorted == ColumnId::Age)
        || (column.title == "NAME" && sorted == ColumnId::Name)
}

fn narrowed(model: &Model) -> Option<String> {
    let list = &model.list;
    let mut words: Vec<String> = Vec::new();
    if list.marks() > 0 {
        words.push(format!("{} marked", list.marks()));
    }
    if list.faults_only {
        words.push(format!("faults only ({})", list.rows().len()));
    }
    match (&list.filter_problem, list.filter.as_str()) {
        (Some(problem), _) => words.push(format!("filter: {problem}")),
        (None, "") => {}
        (None, filter) => words.push(format!("/{filter} ({})", list.rows().len())),
    }
    (!words.is_empty()).then(|| format!(" {}", words.join("  ")))
}

fn draw_row(
    model: &Model,
    canvas: &mut Canvas<'_>,
    line: usize,
    row: &Row,
    table: &Table<'_>,
    index: usize,
) {
    let styles = &model.look.theme.styles;
    let ellipsis = model.look.glyphs.ellipsis;
    let mut at = 1;
    let cells = table.columns.iter().zip(&table.cells[index]);
    for ((column, cell), width) in cells.zip(&table.widths) {
        let Some(width) = *width else { continue };
        let style = health_style(styles, cell.health);
        if column.id == ColumnId::MemoryGraph {
            let graph = graph(model, row, width, Graph::Memory);
            canvas.put(at, line, &graph, styles.dim);
        } else if column.id == ColumnId::CpuGraph {
            let graph = graph(model, row, width, Graph::Cpu);
            canvas.put(at, line, &graph, styles.dim);
        } else if column.align_right && cell.text.width() <= width {
            canvas.put_right(at + width, line, &cell.text, style);
        } else {
            canvas.put_cut(at, line, at + width, &cell.text, style, ellipsis);
        }
        at += width + 1;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Graph {
    Cpu,
    Memory,
}

/// The last minutes against the limit, or against their own peak where there is none.
fn graph(model: &Model, row: &Row, width: usize, of: Graph) -> String {
    let Some((usage, facts)) = model
        .metrics
        .of(row.namespace(), &row.key.name)
        .zip(row.pod.as_ref())
    else {
        return String::new();
    };
    let (steps, limit) = match of {
        Graph::Cpu => (usage.cpu_steps(width), facts.cpu_limit),
        Graph::Memory => (usage.memory_steps(width), facts.memory_limit),
    };
    let peak = steps.iter().flatten().copied().max().unwrap_or(0);
    let limit = limit
        .and_then(|limit| u64::try_from(limit).ok())
        .unwrap_or(0);
    let full = peak.max(limit).max(1);
    let glyphs = model.look.glyphs.spark;
    let last = glyphs.len() as u64 - 1;
    let glyph = |step: Option<u64>| match step {
        None => ' ',
        Some(reading) => {
            let level = (reading.saturating_mul(last) + full / 2) / full;
            glyphs[usize::try_from(level.min(last)).unwrap_or(0)]
        }
    };
    steps.into_iter().map(glyph).collect()
}

fn draw_empty(model: &Model, canvas: &mut Canvas<'_>, line: usize) {
    let list = &model.list;
    let styles = &model.look.theme.styles;
    let liveness = model
        .collections
        .get(list.kind)
        .map(|collection| &collection.liveness);
    let plural = list.kind.plural();
    let text = match (&model.session.connection, liveness) {
        (Connection::Starting, _) => "starting the engine ...".to_owned(),
        (_, Some(Liveness::Broken(problem))) => format!("{plural} cannot be read: {problem}"),
        (_, None | Some(Liveness::Loading)) => format!("reading {plural} ..."),
        (_, Some(Liveness::Live)) if !list.filter.is_empty() => {
            let back = model.keymap.key_text(Place::List, Cmd::Back);
            format!(
                "no {plural} match /{}   ({back} clears the filter)",
                list.filter
            )
        }
        (_, Some(Liveness::Live)) if list.faults_only => {
            let back = model.keymap.key_text(Place::List, Cmd::Back);
            format!("no {plural} are in trouble   ({back} shows all)")
        }
        (_, Some(Liveness::Live)) => {
            let key = |cmd| model.keymap.key_of(Place::List, cmd);
            let create = key(Cmd::Create)
                .filter(|_| !model.session.is_readonly)
                .map(|key| format!("{key} makes a new one"));
            match &list.namespace {
                Some(namespace) if list.kind.is_namespaced() => {
                    let all =
                        key(Cmd::AllNamespaces).map(|key| format!("{key} shows all namespaces"));
                    let hints: Vec<String> = create.into_iter().chain(all).collect();
                    let hints = hints.join(", ");
                    format!("no {plural} in namespace {namespace}   ({hints})")
                }
                _ => format!("no {plural}   ({})", create.unwrap_or_default()),
            }
        }
    };
    canvas.put_cut(
        1,
        line,
        canvas.width(),
        &text,
        styles.dim,
        model.look.glyphs.ellipsis,
    );
}
