use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Position;

use super::{commands, overlays, terminal};
use crate::tui::editor;
use crate::tui::effect::Effect;
use crate::tui::inspector::Tab;
use crate::tui::model::Model;
use crate::tui::overlay::Focus;
use crate::tui::panes::tab_at;

const WHEEL_LINES: isize = 3;

pub(super) fn on_mouse(model: &mut Model, event: MouseEvent) -> Vec<Effect> {
    if drag(model, event) {
        return Vec::new();
    }
    if let Some(effects) = terminal::on_mouse(model, event) {
        return effects;
    }
    let position = Position::new(event.column, event.row);
    if model.overlays.is_empty() && model.editing.editor.is_some() {
        editor::on_mouse(model, event);
        return Vec::new();
    }
    match event.kind {
        MouseEventKind::ScrollUp => wheel(model, position, -WHEEL_LINES),
        MouseEventKind::ScrollDown => wheel(model, position, WHEEL_LINES),
        MouseEventKind::Down(MouseButton::Left) if model.overlays.is_empty() => {
            click(model, position)
        }
        MouseEventKind::Drag(MouseButton::Left) if model.overlays.is_empty() => {
            mark_lines(model, position);
        }
        // Motion and other buttons change nothing that could be seen.
        _ => {}
    }
    Vec::new()
}

/// Moves the divider that the mouse holds; true when the event was only about that. A click on a title does what it
/// does besides, so pressing takes nothing away.
fn drag(model: &mut Model, event: MouseEvent) -> bool {
    let position = Position::new(event.column, event.row);
    let areas = model.areas();
    match event.kind {
        MouseEventKind::Down(MouseButton::Left) => {
            let is_free = model.overlays.is_empty();
            model.pending.dragged = areas.divider_at(position).filter(|_| is_free);
            false
        }
        MouseEventKind::Drag(MouseButton::Left) => {
            let Some(divider) = model.pending.dragged else {
                return false;
            };
            if let Some(share) = areas.share_at(divider, position) {
                *model.shares.of(divider) = Some(share);
            }
            true
        }
        MouseEventKind::Up(MouseButton::Left) => model.pending.dragged.take().is_some(),
        _ => false,
    }
}

fn wheel(model: &mut Model, position: Position, lines: isize) {
    if overlays::scroll(model, lines) {
        return;
    }
    match model.areas().focus_at(position) {
        Some(Focus::List) => {
            let index = model.list.index().saturating_add_signed(lines);
            model.list.select(index);
        }
        Some(Focus::Inspector) => commands::scroll_inspector(model, lines),
        Some(Focus::Terminal) | None => {}
    }
}

/// The number of the log line at this place.
fn log_line_at(model: &Model, position: Position) -> Option<u64> {
    let area = model.log_lines();
    let is_log = model.tab() == Tab::Logs && area.contains(position);
    let row = usize::from(position.y.checked_sub(area.y)?);
    let logs = &model.inspector.logs;
    is_log.then(|| logs.line_at(row, area.width.into(), area.height.into()))?
}

/// Marks lines of the logs.
fn mark_lines(model: &mut Model, position: Position) {
    if model.focus != Focus::Inspector {
        return;
    }
    if let Some(number) = log_line_at(model, position) {
        let area = model.log_lines();
        let logs = &mut model.inspector.logs;
        let pressed = logs.pressed.unwrap_or(number);
        logs.hold(area.width.into(), area.height.into());
        logs.select(pressed, false);
        logs.select(number, true);
    }
}

fn click(model: &mut Model, position: Position) {
    let areas = model.areas();
    let Some(focus) = areas.focus_at(position) else {
        return;
    };
    model.focus = focus;
    model.inspector.logs.pressed = log_line_at(model, position);
    model.inspector.logs.selection = None;
    match focus {
        Focus::List if position.y > areas.list.y => {
            let row = model.list.top + usize::from(position.y - areas.list.y - 1);
            if row < model.list.rows().len() {
                model.list.select(row);
            }
        }
        Focus::Inspector if position.y == areas.inspector.y => {
            if let Some(tab) = tab_at(model, position.x) {
                commands::show(model, tab);
            }
        }
        Focus::List | Focus::Inspector | Focus::Terminal => {}
    }
}
