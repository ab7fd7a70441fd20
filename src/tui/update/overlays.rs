use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{attention, commands, delete, images, logs, menu, palette, restart, terminal, views};
use crate::tui::editor;
use crate::tui::effect::Effect;
use crate::tui::keymap::{Cmd, InputCmd, Key, Place};
use crate::tui::line_edit::LineEdit;
use crate::tui::model::Model;
use crate::tui::overlay::{AnswerAction, Overlay, PickAction, PromptKind};

pub(super) fn on_key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let effects = dispatch_key(model, key);
    palette::preview(model);
    effects
}

fn dispatch_key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let cmd = match model.keymap.command(Place::Input, Key::of(key)) {
        Some(Cmd::Input(cmd)) => Some(cmd),
        // Whatever keys.toml says, one gets out.
        _ if key.code == KeyCode::Esc => Some(InputCmd::Cancel),
        _ => None,
    };
    if cmd == Some(InputCmd::Cancel) {
        pop(model);
        return Vec::new();
    }
    match model.overlays.last() {
        Some(Overlay::Prompt(_)) => on_prompt_key(model, key, cmd),
        Some(Overlay::Picker(_)) => on_picker_key(model, key, cmd),
        Some(Overlay::Confirm(_)) => on_confirm_key(model, key, cmd),
        Some(Overlay::Text(_)) => {
            on_text_key(model, key, cmd);
            Vec::new()
        }
        Some(Overlay::Attention(_)) => on_attention_key(model, key),
        None => Vec::new(),
    }
}

pub(super) fn on_paste(model: &mut Model, text: &str) -> Vec<Effect> {
    match model.overlays.last_mut() {
        Some(Overlay::Prompt(prompt)) => {
            // A command of several lines is one line with backslashes at their ends.
            prompt.line.insert(
                &text
                    .replace("\\\r\n", " ")
                    .replace("\\\n", " ")
                    .replace("\\\r", " "),
            );
            prompt_changed(model)
        }
        Some(Overlay::Picker(picker)) => {
            picker.line.insert(text);
            picker.selected = 0;
            Vec::new()
        }
        Some(Overlay::Confirm(_) | Overlay::Text(_) | Overlay::Attention(_)) | None => Vec::new(),
    }
}

/// The wheel; false when no overlay took it.
pub(super) fn scroll(model: &mut Model, lines: isize) -> bool {
    match model.overlays.last_mut() {
        Some(Overlay::Picker(picker)) => picker.step(lines),
        Some(Overlay::Text(text)) => {
            text.top = text
                .top
                .saturating_add_signed(lines)
                .min(text.lines.len().saturating_sub(1));
        }
        Some(Overlay::Attention(_)) => attention::step(model, lines > 0),
        Some(Overlay::Prompt(_) | Overlay::Confirm(_)) => {}
        None => return false,
    }
    true
}

fn pop(model: &mut Model) {
    let Some(Overlay::Prompt(prompt)) = model.overlays.pop() else {
        return;
    };
    match prompt.kind {
        PromptKind::Filter => {
            model.list.filter = prompt.before;
            model.pending.is_list_stale = true;
        }
        PromptKind::Search => model.inspector.logs.set_search(&prompt.before),
        PromptKind::TextSearch => model.inspector.search.set(&prompt.before),
        PromptKind::Palette
        | PromptKind::LogFilter
        | PromptKind::LogTime
        | PromptKind::CreatePath
        | PromptKind::EditPath
        | PromptKind::RunLine
        | PromptKind::SaveView
        | PromptKind::PullImage
        | PromptKind::TerminalSearch => {}
    }
}

fn on_prompt_key(model: &mut Model, key: KeyEvent, cmd: Option<InputCmd>) -> Vec<Effect> {
    let Some(Overlay::Prompt(prompt)) = model.overlays.last_mut() else {
        return Vec::new();
    };
    match cmd {
        Some(InputCmd::Submit) => submit(model),
        Some(cmd @ (InputCmd::Next | InputCmd::Previous)) => {
            let is_only = prompt.completions.len() == 1;
            prompt.cycle(cmd == InputCmd::Next);
            // The only completion is as good as typed: go on from there.
            if is_only {
                prompt_changed(model)
            } else {
                Vec::new()
            }
        }
        Some(cmd) if prompt.line.run(cmd) => prompt_changed(model),
        None if prompt.line.key(key) => prompt_changed(model),
        Some(_) | None => Vec::new(),
    }
}

/// Follows every edit: live filter, live search, completions.
fn prompt_changed(model: &mut Model) -> Vec<Effect> {
    let Some(Overlay::Prompt(prompt)) = model.overlays.last_mut() else {
        return Vec::new();
    };
    prompt.chosen = None;
    let text = prompt.line.text().to_owned();
    match prompt.kind {
        PromptKind::Filter => {
            model.list.filter = text;
            model.pending.is_list_stale = true;
            Vec::new()
        }
        PromptKind::Search => {
            model.inspector.logs.set_search(&text);
            Vec::new()
        }
        PromptKind::TextSearch => {
            model.inspector.search.set(&text);
            Vec::new()
        }
        PromptKind::TerminalSearch
        | PromptKind::RunLine
        | PromptKind::LogFilter
        | PromptKind::LogTime
        | PromptKind::PullImage
        | PromptKind::SaveView => Vec::new(),
        PromptKind::CreatePath | PromptKind::EditPath => {
            prompt.is_waiting = false;
            vec![Effect::ListPaths(text)]
        }
        PromptKind::Palette => palette::refresh(model),
    }
}

fn submit(model: &mut Model) -> Vec<Effect> {
    let Some(Overlay::Prompt(prompt)) = model.overlays.last_mut() else {
        return Vec::new();
    };
    let text = prompt.line.text().to_owned();
    match prompt.kind {
        PromptKind::Filter => {
            model.overlays.pop();
            Vec::new()
        }
        PromptKind::Search => {
            let before = std::mem::take(&mut prompt.before);
            model.overlays.pop();
            // As in vi and less: an empty one repeats the last.
            if text.is_empty() {
                model.inspector.logs.set_search(&before);
            }
            if !model.inspector.logs.search.is_empty() {
                commands::find_first(model);
            }
            Vec::new()
        }
        PromptKind::TextSearch => {
            let before = std::mem::take(&mut prompt.before);
            model.overlays.pop();
            if text.is_empty() {
                model.inspector.search.set(&before);
            }
            if !model.inspector.search.text().is_empty() {
                commands::find_in_text(model, None);
            }
            Vec::new()
        }
        PromptKind::LogFilter => {
            if logs::filter_typed(model, &text) {
                model.overlays.pop();
            }
            Vec::new()
        }
        PromptKind::LogTime => {
            if logs::go_to_typed(model, &text) {
                model.overlays.pop();
            }
            Vec::new()
        }
        PromptKind::TerminalSearch => {
            model.overlays.pop();
            terminal::find(model, Some(&text), false);
            Vec::new()
        }
        PromptKind::CreatePath => {
            if text.trim().is_empty() {
                model.complain("type the path of a YAML or JSON file, or of a directory");
                return Vec::new();
            }
            prompt.is_waiting = true;
            vec![palette::create_effect(model, text)]
        }
        PromptKind::EditPath => {
            if text.trim().is_empty() {
                model.complain("type the path of a YAML or JSON file");
                return Vec::new();
            }
            model.overlays.pop();
            let path = text.trim().to_owned();
            vec![Effect::Editor(editor::EditorEffect::ReadFile(path))]
        }
        PromptKind::RunLine => {
            match editor::new_from_run_line(model, &text) {
                // The line stays: a mistake in it costs a key, not the line.
                Err(problem) => model.complain(problem),
                Ok(()) => {
                    model.overlays.pop();
                }
            }
            Vec::new()
        }
        PromptKind::SaveView => {
            let name = text.trim().to_owned();
            if name.is_empty() || name.contains(char::is_whitespace) {
                model.complain("a view is named with one word");
                return Vec::new();
            }
            model.overlays.pop();
            views::save(model, &name);
            Vec::new()
        }
        PromptKind::PullImage => {
            let name = text.trim().to_owned();
            if name.is_empty() || name.contains(char::is_whitespace) {
                model.complain("type the name of one image, such as docker.io/library/alpine:3");
                return Vec::new();
            }
            model.overlays.pop();
            images::pull(model, name)
        }
        PromptKind::Palette => palette::submit(model),
    }
}

fn on_picker_key(model: &mut Model, key: KeyEvent, cmd: Option<InputCmd>) -> Vec<Effect> {
    let page = isize::try_from(model.screen.height / 2).unwrap_or(1);
    let Some(Overlay::Picker(picker)) = model.overlays.last_mut() else {
        return Vec::new();
    };
    match cmd {
        Some(InputCmd::Submit) => {
            let action = picker
                .matching()
                .get(picker.selected)
                .map(|item| item.action);
            if let Some(PickAction::Images(choice)) = action {
                return images::choose(model, choice);
            }
            if stays_open(model, action) {
                return Vec::new();
            }
            model.overlays.pop();
            return match action {
                Some(PickAction::Run(cmd)) => commands::run(model, cmd),
                Some(PickAction::New(from)) => commands::create_from(model, from),
                Some(PickAction::Container(choice)) => {
                    model.inspector.logs.choose(choice);
                    Vec::new()
                }
                Some(PickAction::LogRange(range)) => {
                    logs::go_to(model, range);
                    Vec::new()
                }
                Some(PickAction::Terminal(index)) => terminal::picked(model, index),
                Some(PickAction::Restart(index)) => restart::picked(model, index),
                Some(PickAction::Copy(what)) => menu::copy(model, what),
                Some(
                    PickAction::Column(_)
                    | PickAction::Image(_)
                    | PickAction::Images(_)
                    | PickAction::Pull
                    | PickAction::Layer(_),
                )
                | None => Vec::new(),
            };
        }
        Some(InputCmd::Previous) => picker.step(-1),
        Some(InputCmd::Next) => picker.step(1),
        Some(InputCmd::PageUp) => picker.step(-page),
        Some(InputCmd::PageDown) => picker.step(page),
        Some(InputCmd::LineStart) => picker.step(isize::MIN / 2),
        Some(InputCmd::LineEnd) => picker.step(isize::MAX / 2),
        Some(cmd) => {
            let before = picker.line.text().to_owned();
            picker.line.run(cmd);
            // The cursor in the line moves without another choice.
            if picker.line.text() != before {
                picker.selected = 0;
            }
        }
        None => {
            let before = picker.line.text().to_owned();
            picker.line.key(key);
            if picker.line.text() != before {
                picker.selected = 0;
            }
        }
    }
    Vec::new()
}

/// Some choices lead further in, or can be followed by another; true for those.
fn stays_open(model: &mut Model, action: Option<PickAction>) -> bool {
    match action {
        Some(PickAction::Column(id)) => views::toggle_column(model, id),
        Some(PickAction::Image(index)) => images::open_one(model, index),
        Some(PickAction::Layer(index)) => images::show_layer(model, index),
        Some(PickAction::Pull) => {}
        _ => return false,
    }
    true
}

fn on_confirm_key(model: &mut Model, key: KeyEvent, cmd: Option<InputCmd>) -> Vec<Effect> {
    let Some(Overlay::Confirm(confirm)) = model.overlays.last_mut() else {
        return Vec::new();
    };
    let chosen = match (cmd, key.code) {
        (Some(InputCmd::Previous), _) | (None, KeyCode::Left) => {
            confirm.step(false);
            return Vec::new();
        }
        (Some(InputCmd::Next), _) | (None, KeyCode::Right) => {
            confirm.step(true);
            return Vec::new();
        }
        (Some(InputCmd::Submit), _) => confirm.answers.get(confirm.chosen),
        (None, KeyCode::Char(letter)) if !key.modifiers.contains(KeyModifiers::CONTROL) => {
            confirm.answers.iter().find(|answer| answer.key == letter)
        }
        _ => None,
    };
    let Some(answer) = chosen.cloned() else {
        return Vec::new();
    };
    model.overlays.pop();
    match answer.action {
        AnswerAction::Nothing => Vec::new(),
        AnswerAction::Delete(keys, grace) => delete::confirmed(model, keys, grace),
        AnswerAction::Leave { deletes } => delete::leave(model, deletes),
        AnswerAction::Restart(what) => restart::confirmed(model, what),
        AnswerAction::Image(work) => {
            images::said(model, &work);
            vec![Effect::Image(work)]
        }
        AnswerAction::Exit(choice) => vec![Effect::Exit(choice)],
        AnswerAction::Editor(answer) => editor::answer(model, answer),
    }
}

fn on_attention_key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let cmd = model.keymap.command(Place::List, Key::of(key));
    match cmd {
        Some(Cmd::Attention | Cmd::Down) => attention::step(model, true),
        Some(Cmd::Up) => attention::step(model, false),
        Some(Cmd::Open | Cmd::Show(_) | Cmd::TabNumber(_)) => {
            let Some(Overlay::Attention(attention)) = model.overlays.pop() else {
                return Vec::new();
            };
            if let Some(selected) = attention.selected {
                attention::attend(model, &selected);
            }
            // Another key than enter goes on to what it shows.
            if let Some(cmd) = cmd.filter(|cmd| *cmd != Cmd::Open) {
                return commands::run(model, cmd);
            }
        }
        Some(Cmd::Quit) => pop(model),
        _ => {}
    }
    Vec::new()
}

fn on_text_key(model: &mut Model, key: KeyEvent, cmd: Option<InputCmd>) {
    let page = isize::try_from(model.screen.height / 2).unwrap_or(1);
    let lines = match model.keymap.command(Place::Anywhere, Key::of(key)) {
        Some(Cmd::Up) => -1,
        Some(Cmd::Down) => 1,
        Some(Cmd::HalfPageUp | Cmd::PageUp) => -page,
        Some(Cmd::HalfPageDown | Cmd::PageDown) => page,
        Some(Cmd::Top) => isize::MIN / 2,
        Some(Cmd::Bottom) => isize::MAX / 2,
        Some(Cmd::Quit) => {
            pop(model);
            return;
        }
        _ if cmd == Some(InputCmd::Submit) => {
            pop(model);
            return;
        }
        _ => return,
    };
    scroll(model, lines);
}

/// Sets the text of the prompt on top, for commands that open another prompt.
pub(super) fn set_prompt_text(model: &mut Model, text: &str) {
    if let Some(Overlay::Prompt(prompt)) = model.overlays.last_mut() {
        prompt.line = LineEdit::new(text);
    }
}
