use std::cmp::Reverse;

use super::canvas::Canvas;
use crate::tui::columns::{bytes, millicores};
use crate::tui::data::{ProcessRow, Processes};
use crate::tui::inspector::ProcessOrder;
use crate::tui::model::Model;
use crate::tui::theme::Glyphs;

/// Right ends of the columns of numbers, behind the name of the container.
struct Columns {
    container: usize,
    pid: usize,
    inner: Option<usize>,
    state: usize,
    cpu: usize,
    memory: usize,
    descriptors: Option<usize>,
    user: Option<usize>,
    command: usize,
}

impl Columns {
    /// Where there is little room the words of the command are worth more than numbers.
    fn of(width: usize, rows: &[ProcessRow]) -> Self {
        let names = rows.iter().map(|row| row.container.len()).max();
        let container = names
            .unwrap_or(0)
            .clamp(5, if width < 90 { 10 } else { 20 });
        let mut at = 1 + container;
        let mut next = |width: usize| {
            at += 1 + width;
            at
        };
        let pid = next(7);
        let inner = (width >= 60).then(|| next(6));
        let state = next(1);
        let cpu = next(6);
        let memory = next(6);
        let descriptors = (width >= 66).then(|| next(5));
        let user = (width >= 90).then(|| next(6));
        Self {
            container,
            pid,
            inner,
            state,
            cpu,
            memory,
            descriptors,
            user,
            command: at + 1,
        }
    }
}

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>) {
    let styles = &model.look.theme.styles;
    let ellipsis = model.look.glyphs.ellipsis;
    let width = canvas.width();
    let processes = &model.inspector.processes;
    if let Some(problem) = &processes.problem {
        canvas.put_cut(1, 0, width, problem, styles.bad, ellipsis);
        return;
    }
    if !processes.is_read {
        canvas.put(1, 0, "reading processes ...", styles.dim);
        return;
    }
    if processes.rows.is_empty() {
        canvas.put(1, 0, "nothing of this pod runs", styles.dim);
        return;
    }
    let order = model.inspector.procs_order;
    let columns = Columns::of(width, &processes.rows);
    draw_heading(model, canvas, &columns);
    let rows = ordered(&processes.rows, order).into_iter();
    let rows = rows.skip(model.inspector.procs_top);
    let height = canvas.height().saturating_sub(1);
    for (index, row) in rows.take(height).enumerate() {
        draw_row(model, canvas, &columns, index + 1, row);
    }
}

fn draw_heading(model: &Model, canvas: &mut Canvas<'_>, columns: &Columns) {
    let style = model.look.theme.styles.heading;
    canvas.put(1, 0, "CONTAINER", style);
    canvas.put_right(columns.pid, 0, "PID", style);
    canvas.put_right(columns.state, 0, "S", style);
    canvas.put_right(columns.cpu, 0, "CPU", style);
    canvas.put_right(columns.memory, 0, "MEM", style);
    for (end, title) in [
        (columns.inner, "IN POD"),
        (columns.descriptors, "FDS"),
        (columns.user, "USER"),
    ] {
        if let Some(end) = end {
            canvas.put_right(end, 0, title, style);
        }
    }
    canvas.put(columns.command, 0, "COMMAND", style);
}

fn draw_row(
    model: &Model,
    canvas: &mut Canvas<'_>,
    columns: &Columns,
    line: usize,
    row: &ProcessRow,
) {
    let styles = &model.look.theme.styles;
    let glyphs = model.look.glyphs;
    let name = if row.container.is_empty() {
        "-"
    } else {
        &row.container
    };
    let end = 1 + columns.container;
    canvas.put_cut(1, line, end, name, styles.dim, glyphs.ellipsis);
    canvas.put_right(columns.pid, line, &row.pid.to_string(), styles.text);
    let state_style = match row.state {
        'R' => styles.ok,
        'Z' | 'X' => styles.bad,
        'D' | 'T' | 't' => styles.wait,
        _ => styles.dim,
    };
    // One letter of the kernel; a control character is none of those.
    let state = if row.state.is_ascii_alphabetic() {
        row.state
    } else {
        '?'
    };
    canvas.put_right(columns.state, line, &state.to_string(), state_style);
    let cpu = row
        .cpu_millicores
        .map_or_else(|| "-".to_owned(), millicores);
    canvas.put_right(columns.cpu, line, &cpu, styles.text);
    canvas.put_right(columns.memory, line, &bytes(row.memory_bytes), styles.text);
    let descriptors = row
        .descriptors
        .map_or_else(|| "-".to_owned(), |count| count.to_string());
    for (end, text) in [
        (columns.inner, row.inner_pid.to_string()),
        (columns.descriptors, descriptors),
        (columns.user, row.user.to_string()),
    ] {
        if let Some(end) = end {
            canvas.put_right(end, line, &text, styles.dim);
        }
    }
    // Without its parent above it a branch leads nowhere.
    let branches = match model.inspector.procs_order {
        ProcessOrder::Tree => branches(row, &glyphs),
        ProcessOrder::Cpu | ProcessOrder::Memory | ProcessOrder::Pid => String::new(),
    };
    let at = canvas.put(columns.command, line, &branches, styles.dim);
    let threads = match row.threads {
        0 | 1 => String::new(),
        threads => format!("  {threads} threads"),
    };
    let width = canvas.width();
    let command = format!("{}{threads}", row.command);
    canvas.put_cut(at, line, width, &command, styles.text, glyphs.ellipsis);
}

fn branches(row: &ProcessRow, glyphs: &Glyphs) -> String {
    let [goes_on, none, child, last] = glyphs.tree;
    let mut text = String::new();
    let depth = row.branches.len();
    for (level, follows) in row.branches.iter().enumerate() {
        text.push_str(match (level + 1 == depth, follows) {
            (true, true) => child,
            (true, false) => last,
            (false, true) => goes_on,
            (false, false) => none,
        });
    }
    if depth > 0 {
        text.push(' ');
    }
    text
}

fn ordered(rows: &[ProcessRow], order: ProcessOrder) -> Vec<&ProcessRow> {
    let mut rows: Vec<&ProcessRow> = rows.iter().collect();
    // Equal ones keep the order of the tree, so that idle processes do not dance.
    match order {
        ProcessOrder::Tree => {}
        ProcessOrder::Cpu => rows.sort_by_key(|row| Reverse(row.cpu_millicores)),
        ProcessOrder::Memory => rows.sort_by_key(|row| Reverse(row.memory_bytes)),
        ProcessOrder::Pid => rows.sort_by_key(|row| row.pid),
    }
    rows
}

/// For the title of the tab.
pub(super) fn state(processes: &Processes, order: ProcessOrder) -> Vec<String> {
    let shown = processes.rows.len() as u64;
    let mut parts = vec![match processes.total {
        1 => "1 process".to_owned(),
        total => format!("{total} processes"),
    }];
    if processes.total > shown {
        parts.push(format!("{} not shown", processes.total - shown));
    }
    parts.extend(order.words().map(str::to_owned));
    parts
}
