use super::draft::{Draft, Recovered};
use super::outside::with_head;
use super::source;
use super::state::{Applied, Editor, Effect as EditorEffect, OutsideEdit, Stage, Subject};
use crate::base::Uid;
use crate::manifest::pod_of_run_line;
use crate::model::{Kind, Object, ObjectKey};
use crate::tui::effect::Effect;
use crate::tui::logs::Target;
use crate::tui::model::Model;
use crate::tui::overlay::{Answer, AnswerAction, Confirm, Focus, Overlay};
use crate::tui::term::SessionId;

const TEMPLATE: &str = include_str!("../../../assets/template-pod.yaml");

/// Opens the selected object. `in_external` goes straight to `$EDITOR`.
pub(in crate::tui) fn edit_selected(model: &mut Model, in_external: bool) -> Vec<Effect> {
    let Some(row) = model.list.selected() else {
        model.complain("nothing is selected; n makes something new");
        return Vec::new();
    };
    let object = row.object.to_object();
    if object.kind() == Kind::Event {
        model.complain("events are written by the engine; there is nothing to edit");
        return Vec::new();
    }
    if object.meta().deletion_timestamp.is_some() {
        model.complain(format!("{} is being deleted", object.key()));
        return Vec::new();
    }
    open_object(model, &object);
    if !in_external {
        return Vec::new();
    }
    external(model)
}

/// Hands the text over to `$EDITOR`, in a terminal of its own.
pub(super) fn external(model: &mut Model) -> Vec<Effect> {
    let size = model.next_terminal_size(true);
    let Some(editor) = &mut model.editing.editor else {
        return Vec::new();
    };
    let text = with_head(&editor.buffer.text(), editor.problems());
    let draft = Draft::of(editor, &editor.buffer.text(), model.now);
    let target = match &editor.subject {
        Subject::Existing { key, uid } => Target {
            key: key.clone(),
            uid: uid.clone(),
        },
        Subject::New => Target {
            key: ObjectKey::new(Kind::Pod, &editor.namespace, "new"),
            uid: Uid::new(String::new()),
        },
    };
    let id = model.terms.open_editor(target.clone(), size);
    editor.stage = Stage::Outside(id);
    editor.popup = None;
    model.focus = Focus::Terminal;
    model.is_zoomed = false;
    let edit = OutsideEdit {
        id,
        size,
        file_name: format!("{}.yaml", target.key.name),
        text,
        draft,
    };
    vec![Effect::Editor(EditorEffect::External(Box::new(edit)))]
}

/// Shows the terminal of `$EDITOR` again.
pub(super) fn back_outside(model: &mut Model, id: SessionId) {
    if model.terms.show(id) {
        model.focus = Focus::Terminal;
        model.is_zoomed = false;
    }
}

fn open_object(model: &mut Model, object: &Object) {
    let opened = source::open(object, model.now);
    let subject = Subject::Existing {
        key: object.key(),
        uid: object.uid(),
    };
    let namespace = match object.namespace() {
        "" => home(model),
        namespace => namespace.to_owned(),
    };
    let editor = Editor::new(subject, namespace, opened.text, Some(object.clone()));
    install(model, editor);
    if let Some(note) = opened.note {
        model.say(note);
    }
}

fn home(model: &Model) -> String {
    let list = &model.list;
    list.namespace
        .clone()
        .unwrap_or_else(|| list.home_namespace.clone())
}

/// The editor takes the place of the inspector.
pub(super) fn install(model: &mut Model, mut editor: Editor) {
    editor.before = (model.focus, model.is_zoomed);
    model.editing.editor = Some(Box::new(editor));
    model.focus = Focus::Inspector;
    // Too small for both: the editor takes the whole body.
    model.is_zoomed |= model.areas().inspector.height == 0;
}

/// A new object from this text; `is_modified` asks before it is thrown away.
pub(super) fn open_new(model: &mut Model, text: &str, is_modified: bool) {
    let namespace = home(model);
    let mut editor = Editor::new(Subject::New, namespace, String::new(), None);
    editor.buffer = super::buffer::Buffer::new(text);
    if !is_modified {
        editor.base = editor.buffer.text();
    } else {
        editor.text_changed();
    }
    install(model, editor);
}

pub(in crate::tui) fn new_from_template(model: &mut Model) {
    open_new(model, TEMPLATE, false);
}

/// The pod that a `docker run` line describes, in the editor. The error says what is wrong with the line.
pub(in crate::tui) fn new_from_run_line(model: &mut Model, line: &str) -> Result<(), String> {
    let text = pod_of_run_line(line)?;
    let notes = text.lines().filter(|line| line.starts_with("# * ")).count();
    open_new(model, &text, true);
    if notes > 0 {
        let what = if notes == 1 {
            "1 thing differs"
        } else {
            &format!("{notes} things differ")
        };
        model.say(format!("{what} from the line; see the comments at the top"));
    }
    Ok(())
}

/// Takes the last applied change back, through the same review as every change.
pub(in crate::tui) fn undo(model: &mut Model) -> Vec<Effect> {
    let Some(Applied { key, before }) = model.editing.history.last().cloned() else {
        model.say("nothing was applied from this screen yet");
        return Vec::new();
    };
    let rows = model
        .collections
        .get(key.kind)
        .map(|collection| collection.rows());
    let found = rows.and_then(|mut rows| rows.find(|row| row.key == key).cloned());
    let Some(row) = found else {
        model.complain(format!(
            "{key} is not in view: undo works where the object is listed"
        ));
        return Vec::new();
    };
    let Some(before) = before else {
        let answer = |letter, text: &str, action| Answer {
            key: letter,
            text: text.to_owned(),
            action,
        };
        model.overlays.push(Overlay::Confirm(Confirm {
            title: "undo".to_owned(),
            text: vec![format!("{key} was created here. Undo means to delete it.")],
            answers: vec![
                answer('n', "No", AnswerAction::Nothing),
                answer('y', "Delete", AnswerAction::Delete(vec![key], None)),
            ],
            chosen: 0,
        }));
        return Vec::new();
    };
    open_object(model, &row.object.to_object());
    if let Some(editor) = &mut model.editing.editor {
        editor.buffer.replace(&before);
        editor.is_undo = true;
        editor.text_changed();
    }
    super::keys::start_review(model);
    Vec::new()
}

/// Deletes the selected object and creates it anew as it is. It goes through the editor, so that a refusal finds the
/// text there.
pub(in crate::tui) fn recreate_selected(model: &mut Model) -> Vec<Effect> {
    let Some(row) = model.list.selected().cloned() else {
        return Vec::new();
    };
    open_object(model, &row.object.to_object());
    super::keys::recreate_unchanged(model)
}

/// Opens what an earlier screen left behind.
pub(in crate::tui) fn resume(model: &mut Model, recovered: &Recovered) {
    let draft = &recovered.draft;
    let key = draft.key();
    let row = key.as_ref().and_then(|key| {
        let collection = model.collections.get(key.kind)?;
        collection.rows().find(|row| row.key == *key).cloned()
    });
    match row {
        Some(row) => {
            open_object(model, &row.object.to_object());
            if let Some(editor) = &mut model.editing.editor {
                editor.buffer.replace(&draft.text);
                editor.text_changed();
            }
        }
        None => {
            open_new(model, &draft.text, true);
            if let Some(key) = key {
                model.say(format!("{key} is not in view; applying would create it"));
            }
        }
    }
    if let Some(editor) = &mut model.editing.editor
        && editor.subject == Subject::New
    {
        editor.namespace.clone_from(&draft.namespace);
    }
}
