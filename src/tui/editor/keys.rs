use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Position;

use super::buffer::Edit;
use super::diagnose::diagnose;
use super::opening::external;
use super::state::{Answer, ApplyRequest, Effect as EditorEffect, Stage, Subject, surroundings};
use crate::manifest::Severity;
use crate::tui::effect::Effect;
use crate::tui::keymap::{Cmd, EditorCmd, Key, Place};
use crate::tui::model::Model;
use crate::tui::overlay::{Answer as Choice, AnswerAction, Confirm, Overlay, TextBox};
use crate::tui::term::SessionId;

const WHEEL_LINES: isize = 3;

/// What needs no binding.
const FIXED: &[(&str, &str)] = &[
    ("shift-arrows", "select"),
    (
        "ctrl-home ctrl-end",
        "first and last line; ctrl-arrows by words",
    ),
];

pub(in crate::tui) fn on_key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    match model.editing.editor.as_ref().map(|editor| &editor.stage) {
        Some(Stage::Text) => on_text_key(model, key),
        Some(Stage::Review(_)) => on_review_key(model, key),
        Some(Stage::Sent(_)) => {
            if key.code == KeyCode::Esc {
                put_aside(model);
            } else {
                model.say("the engine has not answered yet; esc goes on with other things");
            }
            Vec::new()
        }
        Some(&Stage::Outside(id)) => on_outside_key(model, key, id),
        None => Vec::new(),
    }
}

pub(in crate::tui) fn on_paste(model: &mut Model, text: &str) {
    if let Some(editor) = &mut model.editing.editor
        && editor.stage == Stage::Text
    {
        editor.buffer.insert(text);
        editor.popup = None;
        editor.text_changed();
    }
}

/// The wheel scrolls by moving the cursor; a click puts it where it points.
pub(in crate::tui) fn on_mouse(model: &mut Model, event: MouseEvent) {
    let area = model.editor_text();
    let Some(editor) = &mut model.editing.editor else {
        return;
    };
    let lines = match event.kind {
        MouseEventKind::ScrollUp => -WHEEL_LINES,
        MouseEventKind::ScrollDown => WHEEL_LINES,
        MouseEventKind::Down(MouseButton::Left) => {
            let position = Position::new(event.column, event.row);
            if editor.stage == Stage::Text && area.contains(position) {
                let line = editor.top + usize::from(event.row - area.y) + 1;
                let column = editor.left + usize::from(event.column - area.x) + 1;
                let last = editor.buffer.lines().len();
                editor.buffer.go_to(line.min(last), column);
                editor.popup = None;
            }
            return;
        }
        _ => return,
    };
    if let Stage::Review(review) = &mut editor.stage {
        review.scroll(lines);
    } else if editor.stage == Stage::Text {
        let (row, column) = editor.buffer.cursor();
        let last = editor.buffer.lines().len().saturating_sub(1);
        let row = row.saturating_add_signed(lines).min(last);
        editor.buffer.go_to(row + 1, column + 1);
    }
}

/// The text is away: all one can do is to go where it is, or to end that.
fn on_outside_key(model: &mut Model, key: KeyEvent, id: SessionId) -> Vec<Effect> {
    match model.keymap.command(Place::Review, Key::of(key)) {
        Some(Cmd::Editor(EditorCmd::Accept)) => super::opening::back_outside(model, id),
        Some(Cmd::Back) => ask_close_outside(model),
        _ => {
            let accept = Cmd::Editor(EditorCmd::Accept);
            let go = model.keymap.key_text(Place::Review, accept);
            let close = model.keymap.key_text(Place::Review, Cmd::Back);
            model.say(format!(
                "the text is in $EDITOR: {go} goes there, {close} closes it"
            ));
        }
    }
    Vec::new()
}

/// What `$EDITOR` has saved comes back; the rest is up to the editor, as always when its terminal goes.
pub(in crate::tui) fn ask_close_outside(model: &mut Model) {
    model.overlays.push(Overlay::Confirm(Confirm {
        title: "close $EDITOR".to_owned(),
        text: vec![
            "It is hung up. What it has saved comes back to the editor of podtui; what it has not is lost, unless it \
             keeps such things itself (vim: a swap file)."
                .to_owned(),
        ],
        answers: vec![
            Choice {
                key: 'k',
                text: "Keep editing".to_owned(),
                action: AnswerAction::Nothing,
            },
            choice('c', "Close", Answer::CloseOutside),
        ],
        chosen: 0,
    }));
}

fn on_text_key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let cmd = match model.keymap.command(Place::Editor, Key::of(key)) {
        Some(Cmd::Editor(cmd)) => Some(cmd),
        Some(Cmd::Redraw) => return vec![Effect::Redraw],
        // Whatever keys.toml says, one gets out.
        _ if key.code == KeyCode::Esc => Some(EditorCmd::Leave),
        _ => None,
    };
    if on_popup_key(model, key, cmd) {
        return Vec::new();
    }
    match cmd {
        Some(cmd) => run(model, cmd),
        None => {
            type_key(model, key);
            Vec::new()
        }
    }
}

/// What a list of completions takes; the rest is for the text.
fn on_popup_key(model: &mut Model, key: KeyEvent, cmd: Option<EditorCmd>) -> bool {
    let Some(editor) = &mut model.editing.editor else {
        return false;
    };
    let Some(popup) = &mut editor.popup else {
        return false;
    };
    match (cmd, key.code) {
        (Some(EditorCmd::Leave), _) => editor.popup = None,
        (Some(EditorCmd::Indent), _) => accept(model),
        (None, KeyCode::Down | KeyCode::Up) => popup.step(key.code == KeyCode::Down),
        // Without a choice Enter is a new line, as one means it while typing.
        (None, KeyCode::Enter) if popup.chosen.is_some() => accept(model),
        _ => return false,
    }
    true
}

fn run(model: &mut Model, cmd: EditorCmd) -> Vec<Effect> {
    let Some(around) = surroundings(model) else {
        return Vec::new();
    };
    let paste = model
        .keymap
        .key_text(Place::Editor, Cmd::Editor(EditorCmd::Paste));
    let Some(editor) = &mut model.editing.editor else {
        return Vec::new();
    };
    match cmd {
        EditorCmd::Leave => ask_leave(model),
        EditorCmd::Copy => {
            if editor.buffer.copy() {
                model.say(format!("copied; {paste} pastes"));
            } else {
                ask_leave(model);
            }
        }
        EditorCmd::Review => start_review(model),
        EditorCmd::External => return external(model),
        EditorCmd::Complete => {
            editor.refresh_popup(&around, true);
            if editor.popup.is_none() {
                model.say("nothing to complete here");
            }
        }
        EditorCmd::NextProblem | EditorCmd::PreviousProblem => {
            if !editor.go_to_problem(cmd == EditorCmd::NextProblem) {
                model.say("no problems");
            }
        }
        EditorCmd::Help => help(model),
        EditorCmd::Undo
        | EditorCmd::Redo
        | EditorCmd::Indent
        | EditorCmd::Outdent
        | EditorCmd::Cut
        | EditorCmd::Paste
        | EditorCmd::DeleteToEnd
        | EditorCmd::DeleteToStart
        | EditorCmd::DeleteWord
        | EditorCmd::LineStart
        | EditorCmd::LineEnd => {
            if editor.buffer.run(cmd) == Edit::Changed {
                editor.text_changed();
            }
            editor.popup = None;
        }
        // There is nothing to accept while one writes.
        EditorCmd::Accept => {}
    }
    Vec::new()
}

fn type_key(model: &mut Model, key: KeyEvent) {
    let page = usize::from(model.editor_text().height.saturating_sub(1)).max(1);
    let Some(around) = surroundings(model) else {
        return;
    };
    let Some(editor) = &mut model.editing.editor else {
        return;
    };
    if matches!(key.code, KeyCode::PageUp | KeyCode::PageDown) {
        let (row, column) = editor.buffer.cursor();
        let last = editor.buffer.lines().len() - 1;
        let row = match key.code {
            KeyCode::PageUp => row.saturating_sub(page),
            _ => (row + page).min(last),
        };
        editor.buffer.go_to(row + 1, column + 1);
        return;
    }
    match editor.buffer.key(key) {
        Edit::Changed => {
            editor.text_changed();
            let control = key.modifiers.contains(KeyModifiers::CONTROL);
            let types = matches!(key.code, KeyCode::Char(_) | KeyCode::Backspace) && !control;
            if types {
                editor.refresh_popup(&around, false);
            } else {
                editor.popup = None;
            }
        }
        Edit::Moved => editor.popup = None,
        Edit::NotMine => {}
    }
}

/// Puts the chosen completion, or the first one, in the place of what is typed.
fn accept(model: &mut Model) {
    let Some(around) = surroundings(model) else {
        return;
    };
    let Some(editor) = &mut model.editing.editor else {
        return;
    };
    let Some(popup) = editor.popup.take() else {
        return;
    };
    let Some(candidate) = popup.candidates.get(popup.chosen.unwrap_or(0)) else {
        return;
    };
    editor.buffer.delete_before(popup.typed);
    editor.buffer.insert(&candidate.insert);
    editor.text_changed();
    // Behind a key its values are what one wants to see next.
    if candidate.insert.ends_with(": ") {
        editor.refresh_popup(&around, true);
    }
}

/// Shows the difference with its effects, unless something is wrong with the text.
pub(super) fn start_review(model: &mut Model) {
    let Some(around) = surroundings(model) else {
        return;
    };
    let Some(editor) = &mut model.editing.editor else {
        return;
    };
    editor.popup = None;
    let text = editor.buffer.text();
    editor.findings.report = diagnose(&text, &around);
    let errors = editor.findings.report.errors();
    if errors > 0 {
        editor.stage = Stage::Text;
        editor.findings.refusal.clear();
        editor.go_to_first_error();
        let line = editor.buffer.cursor().0 + 1;
        model.complain(format!("{}; the first is at line {line}", count(errors)));
        return;
    }
    if editor.subject.key().is_some() && !editor.is_modified() {
        model.say("nothing was changed");
        return;
    }
    editor.stage = Stage::Review(editor.review());
    model.notices.hush();
}

/// Sends the text as it was opened, to take the place of the object.
pub(super) fn recreate_unchanged(model: &mut Model) -> Vec<Effect> {
    let Some(around) = surroundings(model) else {
        return Vec::new();
    };
    let Some(editor) = &mut model.editing.editor else {
        return Vec::new();
    };
    editor.findings.report = diagnose(&editor.buffer.text(), &around);
    let errors = editor.findings.report.errors();
    if errors > 0 {
        editor.go_to_first_error();
        model.complain(format!("{}: the pod is left as it is", count(errors)));
        return Vec::new();
    }
    apply(model, true)
}

pub(super) fn count(errors: usize) -> String {
    match errors {
        1 => "1 error".to_owned(),
        many => format!("{many} errors"),
    }
}

fn on_review_key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let page = isize::try_from(model.editor_text().height)
        .unwrap_or(1)
        .max(1);
    let cmd = model.keymap.command(Place::Review, Key::of(key));
    let Some(editor) = &mut model.editing.editor else {
        return Vec::new();
    };
    let Stage::Review(review) = &mut editor.stage else {
        return Vec::new();
    };
    match cmd {
        Some(Cmd::Editor(EditorCmd::Accept)) if review.needs_recreate => ask_recreate(model),
        Some(Cmd::Editor(EditorCmd::Accept)) => return apply(model, false),
        Some(Cmd::Back | Cmd::Quit) => editor.stage = Stage::Text,
        Some(Cmd::Up) => review.scroll(-1),
        Some(Cmd::Down) => review.scroll(1),
        Some(Cmd::PageUp | Cmd::HalfPageUp) => review.scroll(-page),
        Some(Cmd::PageDown | Cmd::HalfPageDown) => review.scroll(page),
        Some(Cmd::Top) => review.scroll(isize::MIN / 2),
        Some(Cmd::Bottom) => review.scroll(isize::MAX / 2),
        // Whatever keys.toml says, one gets out.
        _ if key.code == KeyCode::Esc => editor.stage = Stage::Text,
        _ => {}
    }
    Vec::new()
}

impl super::state::Review {
    fn scroll(&mut self, lines: isize) {
        let last = self.items.len().saturating_sub(1);
        self.top = self.top.saturating_add_signed(lines).min(last);
    }
}

/// The answer is told when it comes; a refusal brings the text back.
fn put_aside(model: &mut Model) {
    let Some(editor) = model.editing.editor.take() else {
        return;
    };
    (model.focus, model.is_zoomed) = editor.before;
    if let Stage::Sent(words) = &editor.stage {
        model.say(words.clone());
    }
    model.editing.sent = Some(editor);
}

fn apply(model: &mut Model, recreate: bool) -> Vec<Effect> {
    if let Some(words) = model.editing.in_the_air() {
        let text = format!("{words}: wait for its end, then apply this");
        model.complain(text);
        return Vec::new();
    }
    let Some(editor) = &mut model.editing.editor else {
        return Vec::new();
    };
    let objects = editor.findings.report.accepted.iter();
    let objects: Vec<_> = objects
        .map(|one| (one.key.clone(), one.manifest.clone(), one.document.clone()))
        .collect();
    let names: Vec<String> = objects.iter().map(|(key, _, _)| key.to_string()).collect();
    let names = names.join(", ");
    let words = match (&editor.subject, recreate) {
        (_, true) => format!("{names} is stopped, deleted and created anew"),
        (Subject::New, false) => format!("creating {names}"),
        (Subject::Existing { .. }, false) => format!("applying {names}"),
    };
    let request = ApplyRequest {
        subject: editor.subject.clone(),
        base: editor.base_value.clone(),
        objects,
        recreate,
    };
    editor.stage = Stage::Sent(words);
    vec![Effect::Editor(EditorEffect::Apply(Box::new(request)))]
}

fn choice(key: char, text: &str, answer: Answer) -> Choice {
    Choice {
        key,
        text: text.to_owned(),
        action: AnswerAction::Editor(answer),
    }
}

fn ask_recreate(model: &mut Model) {
    let Some(editor) = &model.editing.editor else {
        return;
    };
    let Some(key) = editor.subject.key() else {
        return;
    };
    let mut text = vec![format!(
        "{key} cannot be changed like this while it exists."
    )];
    if let Some(crate::model::Object::Pod(pod)) = &editor.live {
        let grace = crate::model::pod::grace_period_seconds(pod);
        text.push(format!(
            "Recreate: its containers are asked to stop (killed after {grace} s), it is deleted with its files and logs, \
             and created anew from this text."
        ));
    } else {
        text.push("Recreate: it is deleted and created anew from this text.".to_owned());
    }
    model.overlays.push(Overlay::Confirm(Confirm {
        title: "recreate".to_owned(),
        text,
        answers: vec![
            Choice {
                key: 'n',
                text: "No".to_owned(),
                action: AnswerAction::Nothing,
            },
            choice('y', "Recreate", Answer::Recreate),
        ],
        chosen: 0,
    }));
}

/// Closes the editor, or asks when that would lose something.
fn ask_leave(model: &mut Model) {
    let Some(editor) = &model.editing.editor else {
        return;
    };
    if !editor.is_modified() {
        close(model);
        return;
    }
    model.overlays.push(Overlay::Confirm(Confirm {
        title: "leave the editor".to_owned(),
        text: vec!["The text was changed and is not applied.".to_owned()],
        answers: vec![
            Choice {
                key: 'k',
                text: "Keep editing".to_owned(),
                action: AnswerAction::Nothing,
            },
            choice('r', "Review", Answer::Review),
            choice('d', "Discard", Answer::Discard),
        ],
        chosen: 0,
    }));
}

/// The draft goes with the next round of `settle`.
pub(super) fn close(model: &mut Model) {
    if let Some(editor) = model.editing.editor.take() {
        (model.focus, model.is_zoomed) = editor.before;
    }
    model.editing.is_draft_stale = true;
    if let Some(refused) = model.editing.refused.pop() {
        super::opening::install(model, refused);
    }
}

pub(in crate::tui) fn answer(model: &mut Model, answer: Answer) -> Vec<Effect> {
    match answer {
        Answer::Discard => close(model),
        Answer::Review => start_review(model),
        Answer::Recreate => return apply(model, true),
        Answer::OpenRecovered => {
            if let Some(recovered) = model.editing.recovered.pop() {
                super::opening::resume(model, &recovered);
                return vec![Effect::Editor(EditorEffect::DropRecovered {
                    recovered: vec![recovered],
                    is_discarded: false,
                })];
            }
        }
        Answer::DropRecovered => {
            return vec![Effect::Editor(EditorEffect::DropRecovered {
                recovered: std::mem::take(&mut model.editing.recovered),
                is_discarded: true,
            })];
        }
        Answer::CloseOutside => {
            let editor = model.editing.editor.as_ref();
            if let Some(Stage::Outside(id)) = editor.map(|editor| &editor.stage) {
                return model.terms.close_id(*id);
            }
        }
    }
    Vec::new()
}

fn help(model: &mut Model) {
    let row = |keys: &str, what: &str| format!("{keys:<22} {what}");
    let live = model.keymap.live(Place::Editor);
    let mut lines: Vec<String> = live
        .map(|binding| row(&binding.keys_text(), binding.help))
        .collect();
    lines.extend(FIXED.iter().map(|(keys, what)| row(keys, what)));
    if let Some(editor) = &model.editing.editor {
        let problems = editor.problems();
        let mark = |severity| {
            if severity == Severity::Error {
                "error"
            } else {
                "warning"
            }
        };
        let found: Vec<String> = problems
            .map(|problem| {
                format!(
                    "line {}: {}: {}",
                    problem.line,
                    mark(problem.severity),
                    problem.message
                )
            })
            .collect();
        if !found.is_empty() {
            lines.push(String::new());
            lines.extend(found);
        }
    }
    model.overlays.push(Overlay::Text(TextBox {
        title: "the editor".to_owned(),
        lines,
        top: 0,
    }));
}
