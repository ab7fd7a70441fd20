use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr;

use super::attention;
use super::canvas::Canvas;
use crate::tui::keymap::{Cmd, InputCmd, Place};
use crate::tui::model::Model;
use crate::tui::overlay::{Confirm, Overlay, Picker, Prompt, TextBox};

/// Draws the stack from below; returns where the cursor is, when there is a line of input.
pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>, hints: Rect) -> Option<(u16, u16)> {
    let mut cursor = None;
    for (index, overlay) in model.overlays.iter().enumerate() {
        let is_top = index + 1 == model.overlays.len();
        cursor = match overlay {
            // The row of a prompt below belongs to the hints of what is above it.
            Overlay::Prompt(_) if !is_top => None,
            Overlay::Prompt(prompt) => draw_prompt(model, canvas, hints, prompt),
            Overlay::Picker(picker) => draw_picker(model, canvas, picker),
            Overlay::Confirm(confirm) => {
                draw_confirm(model, canvas, confirm);
                None
            }
            Overlay::Text(text) => {
                draw_text(model, canvas, text);
                None
            }
            Overlay::Attention(attention) => {
                attention::draw(model, canvas, attention);
                None
            }
        };
    }
    cursor
}

fn draw_prompt(
    model: &Model,
    canvas: &mut Canvas<'_>,
    hints: Rect,
    prompt: &Prompt,
) -> Option<(u16, u16)> {
    let styles = &model.look.theme.styles;
    let screen = canvas.area;
    // Without a hint row the last row of the screen has to do.
    let bottom = Rect {
        y: screen.bottom().saturating_sub(1),
        height: 1.min(screen.height),
        ..screen
    };
    let row = if hints.height > 0 { hints } else { bottom };
    draw_completions(model, canvas, row, prompt);
    let mut line = canvas.part(row);
    let word = format!(" {} ", model.mode().word());
    line.fill(styles.prompt);
    let mut column = line.put(0, 0, &word, styles.mode) + 1;
    // An error of this very prompt must be seen while it is open.
    column = line.put(column, 0, prompt.kind.label(), styles.key);
    let room = line.width().saturating_sub(column + 1).max(1);
    let skip = prompt.line.cursor_column().saturating_sub(room);
    let start = super::canvas::skip_columns(prompt.line.text(), skip);
    let end = line.put(column, 0, &prompt.line.text()[start..], styles.prompt);
    let note = match model.notices.current(model.now) {
        _ if prompt.is_waiting => Some(("working ...".to_owned(), styles.wait)),
        Some(notice) => Some((notice.text.clone(), styles.bad)),
        None => None,
    };
    let keys = prompt_keys(model, prompt);
    if let Some((text, style)) = note {
        line.put_cut(
            end + 2,
            0,
            line.width(),
            &text,
            style,
            model.look.glyphs.ellipsis,
        );
    } else if end + 3 + keys.width() < line.width() {
        line.put_right(line.width() - 1, 0, &keys, styles.dim);
    }
    let x = column + prompt.line.cursor_column() - skip;
    let x = row.x + u16::try_from(x).unwrap_or(u16::MAX);
    (x < row.right() && row.height > 0).then_some((x, row.y))
}

/// `tab complete  enter do it  esc cancel`.
fn prompt_keys(model: &Model, prompt: &Prompt) -> String {
    let key = |cmd| model.keymap.key_text(Place::Input, Cmd::Input(cmd));
    let (completes, submit, cancel) = prompt.kind.words();
    let complete = if completes {
        format!("{} complete  ", key(InputCmd::Next))
    } else {
        String::new()
    };
    let (enter, esc) = (key(InputCmd::Submit), key(InputCmd::Cancel));
    format!("{complete}{enter} {submit}  {esc} {cancel}")
}

fn draw_completions(model: &Model, canvas: &mut Canvas<'_>, row: Rect, prompt: &Prompt) {
    let styles = &model.look.theme.styles;
    let all = &prompt.completions;
    // Up to half of the screen.
    let height = all
        .len()
        .min((canvas.height() / 2).max(1))
        .min(usize::from(row.y.saturating_sub(canvas.area.y)));
    if height == 0 {
        return;
    }
    let chosen = prompt.chosen.unwrap_or(0);
    let (top, rows) = completions_in_view(all.len(), chosen, height);
    let text_width = all
        .iter()
        .map(|one| one.text.width())
        .max()
        .unwrap_or(0)
        .min(60);
    let note_width = all.iter().map(|one| one.note.width()).max().unwrap_or(0);
    let width = u16::try_from(text_width + note_width + 5)
        .unwrap_or(u16::MAX)
        .min(row.width);
    let height_cells = u16::try_from(height).unwrap_or(0);
    let mut area = canvas.part(Rect::new(row.x, row.y - height_cells, width, height_cells));
    area.fill(styles.overlay);
    for (line, (index, one)) in all.iter().enumerate().skip(top).take(rows).enumerate() {
        let is_chosen = prompt.chosen == Some(index);
        let style = if is_chosen {
            styles.selected
        } else {
            styles.overlay
        };
        let mark = if is_chosen {
            model.look.glyphs.cursor
        } else {
            ' '
        };
        area.put(0, line, mark.encode_utf8(&mut [0; 4]), style);
        let ellipsis = model.look.glyphs.ellipsis;
        area.put_cut(1, line, 1 + text_width, &one.text, style, ellipsis);
        area.put_cut(
            text_width + 3,
            line,
            usize::from(width),
            &one.note,
            styles.dim,
            ellipsis,
        );
    }
    let more = all.len() - top - rows;
    if more > 0 {
        let text = format!("{} {more} more", model.look.glyphs.ellipsis);
        area.put(1, rows, &text, styles.dim);
    }
}

/// The first completion in view and how many are; the last row tells of those below, if there are any.
fn completions_in_view(count: usize, chosen: usize, height: usize) -> (usize, usize) {
    let last_top = count - height;
    if height == 1 {
        return (chosen, height);
    }
    // Nothing is below.
    if last_top == 0 || chosen + 1 == count {
        return (last_top, height);
    }
    let rows = height - 1;
    ((chosen + 1).saturating_sub(rows), rows)
}

/// A window in the middle with a title in its frame; returns the canvas of its inside.
pub(super) fn window<'a>(
    model: &Model,
    canvas: &'a mut Canvas<'_>,
    title: &str,
    width: usize,
    height: usize,
) -> Canvas<'a> {
    let styles = &model.look.theme.styles;
    let glyphs = model.look.glyphs;
    let screen = canvas.area;
    let width = u16::try_from(width + 4)
        .unwrap_or(u16::MAX)
        .min(screen.width);
    // The bottom row keeps saying what the keys do.
    let room = screen.height - u16::from(screen.height > 8);
    let height = u16::try_from(height + 2).unwrap_or(u16::MAX).min(room);
    let area = Rect {
        x: screen.x + (screen.width - width) / 2,
        y: screen.y + (room - height) / 3,
        width,
        height,
    };
    let mut frame = canvas.part(area);
    frame.fill(styles.overlay);
    let last = frame.height().saturating_sub(1);
    frame.rule(0, glyphs.rule_focused, styles.overlay_title);
    frame.rule(last, glyphs.rule_focused, styles.overlay_title);
    let bar = glyphs.bar_focused.to_string();
    for row in 1..last {
        frame.put(0, row, &bar, styles.overlay_title);
        let right = frame.width().saturating_sub(1);
        frame.put(right, row, &bar, styles.overlay_title);
    }
    let end = frame.width().saturating_sub(1);
    frame.put_cut(
        2,
        0,
        end,
        &format!(" {title} "),
        styles.overlay_title,
        glyphs.ellipsis,
    );
    let inside = Rect {
        x: area.x + 2.min(area.width),
        y: area.y + 1.min(area.height),
        width: area.width.saturating_sub(4),
        height: area.height.saturating_sub(2),
    };
    Canvas::part(canvas, inside)
}

fn draw_picker(model: &Model, canvas: &mut Canvas<'_>, picker: &Picker) -> Option<(u16, u16)> {
    let styles = &model.look.theme.styles;
    let items = picker.matching();
    let key_width = picker
        .items
        .iter()
        .map(|item| item.key.width())
        .max()
        .unwrap_or(0);
    let text_width = picker
        .items
        .iter()
        .map(|item| item.text.width())
        .max()
        .unwrap_or(0);
    let width = key_width + text_width + 4;
    let mut inside = window(
        model,
        canvas,
        &picker.title,
        width.max(30),
        picker.items.len() + 1 + usize::from(picker.heading.is_some()),
    );
    let at = inside.put(0, 0, "search: ", styles.key);
    inside.put(at, 0, picker.line.text(), styles.prompt);
    let mut head = 1;
    if let Some((key, text)) = picker.heading.filter(|_| inside.height() > 3) {
        inside.put(2, head, key, styles.heading);
        inside.put(key_width + 4, head, text, styles.heading);
        head += 1;
    }
    if items.is_empty() && !picker.line.text().is_empty() {
        inside.put(2, head, "no match", styles.dim);
    }
    let height = inside.height().saturating_sub(head);
    let top = (picker.selected + 1).saturating_sub(height.max(1));
    for (row, (index, item)) in items.iter().enumerate().skip(top).take(height).enumerate() {
        let is_selected = index == picker.selected;
        let line = row + head;
        let mark = if is_selected {
            model.look.glyphs.cursor
        } else {
            ' '
        };
        inside.put(0, line, mark.encode_utf8(&mut [0; 4]), styles.key);
        inside.put(2, line, &item.key, styles.key);
        let ellipsis = model.look.glyphs.ellipsis;
        inside.put_cut(
            key_width + 4,
            line,
            inside.width(),
            &item.text,
            styles.text,
            ellipsis,
        );
        if is_selected {
            inside.style_row(line, styles.selected);
        }
    }
    let x = inside.area.x + u16::try_from(at + picker.line.cursor_column()).unwrap_or(u16::MAX);
    (x < inside.area.right() && inside.area.height > 0).then_some((x, inside.area.y))
}

fn draw_confirm(model: &Model, canvas: &mut Canvas<'_>, confirm: &Confirm) {
    let styles = &model.look.theme.styles;
    let width = canvas.width().saturating_sub(4).clamp(1, 70);
    let lines: Vec<String> = confirm
        .text
        .iter()
        .flat_map(|text| wrap_words(text, width))
        .collect();
    let buttons: Vec<String> = confirm
        .answers
        .iter()
        .map(|answer| format!(" {} ({}) ", answer.text, answer.key))
        .collect();
    let buttons_width: usize = buttons.iter().map(|text| text.width() + 4).sum();
    let widest = lines
        .iter()
        .map(|line| line.width())
        .max()
        .unwrap_or(0)
        .max(buttons_width);
    let mut inside = window(model, canvas, &confirm.title, widest, lines.len() + 2);
    for (row, line) in lines.iter().enumerate() {
        inside.put(0, row, line, styles.text);
    }
    // The answers stay in sight even where the question does not fit.
    let row = (lines.len() + 1).min(inside.height().saturating_sub(1));
    let mut column = 0;
    // Where they do not fit beside each other, those before the chosen one make room.
    let room = inside.width();
    let width_to = |from: usize| -> usize {
        let shown = buttons.iter().take(confirm.chosen + 1).skip(from);
        shown.map(|text| text.width() + 4).sum()
    };
    let first = (0..confirm.chosen).find(|&from| width_to(from) <= room + 2);
    let first = first.unwrap_or(confirm.chosen);
    for (index, text) in buttons.iter().enumerate().skip(first) {
        let is_chosen = index == confirm.chosen;
        let (open, close) = if is_chosen { ('[', ']') } else { (' ', ' ') };
        let style = if is_chosen {
            styles.selected
        } else {
            styles.text
        };
        column = inside.put(column, row, &format!("{open}{text}{close}"), style) + 2;
    }
}

fn draw_text(model: &Model, canvas: &mut Canvas<'_>, text: &TextBox) {
    let styles = &model.look.theme.styles;
    let width = canvas.width().saturating_sub(4).clamp(1, 110);
    let lines: Vec<String> = text
        .lines
        .iter()
        .flat_map(|line| wrap_words(line, width))
        .collect();
    let widest = lines.iter().map(|line| line.width()).max().unwrap_or(0);
    let height = lines.len().min(canvas.height().saturating_sub(4)).max(1);
    let mut inside = window(
        model,
        canvas,
        &text.title,
        widest.max(text.title.width() + 4),
        height,
    );
    for (row, line) in lines
        .iter()
        .skip(text.top)
        .take(inside.height())
        .enumerate()
    {
        inside.put(0, row, line, styles.text);
    }
}

/// Breaks at spaces; a word longer than a row is broken anywhere.
fn wrap_words(text: &str, width: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    for word in text.split(' ') {
        let row = rows.last_mut().expect("starts with one row");
        if row.is_empty() || row.width() + 1 + word.width() <= width {
            if !row.is_empty() {
                row.push(' ');
            }
            row.push_str(word);
        } else {
            rows.push(word.to_owned());
        }
        let long = rows.last().filter(|row| row.width() > width).cloned();
        if let Some(long) = long {
            rows.pop();
            let starts = crate::tui::logs::row_starts(&long, width);
            for (index, start) in starts.iter().enumerate() {
                let end = starts.get(index + 1).copied().unwrap_or(long.len());
                rows.push(long[*start..end].to_owned());
            }
        }
    }
    rows
}
