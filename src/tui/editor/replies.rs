use super::diagnose::located;
use super::keys::{close, count};
use super::opening::{external, open_new};
use super::outside::without_head;
use super::state::{Answer, Applied, Editor, OutsideEnd, Reply, Stage, Subject};
use crate::manifest::Document;
use crate::model::{ApiError, Reason};
use crate::tui::effect::Effect;
use crate::tui::model::Model;
use crate::tui::overlay::{Answer as Choice, AnswerAction, Confirm, Focus, Overlay};
use crate::tui::sanitize::plain;
use crate::tui::term::SessionId;

pub(in crate::tui) fn on_reply(model: &mut Model, reply: Reply) -> Vec<Effect> {
    match reply {
        Reply::Checked { generation, report } => {
            if let Some(editor) = &mut model.editing.editor
                && editor.findings.generation == generation
            {
                editor.findings.report = report;
            }
        }
        Reply::Applied {
            written,
            objects,
            warnings,
            refused,
        } => {
            for object in objects {
                model.collections.wrote(object);
            }
            model.pending.is_list_stale = true;
            return match model.editing.sent.take() {
                Some(sent) => on_sent(model, sent, &written, &warnings, refused),
                None => on_applied(model, &written, &warnings, refused),
            };
        }
        Reply::External(id, end) => return on_external(model, id, end),
        Reply::Recovered(found) => offer(model, found),
        Reply::FileRead(path, Ok(text)) => {
            open_new(model, &text, true);
            model.say(format!(
                "{path} is opened as new objects; the file itself is not written"
            ));
        }
        Reply::FileRead(_, Err(problem)) => model.complain(plain(&problem)),
    }
    Vec::new()
}

/// The answer to what was put aside. One goes on with what one is doing, unless the text is needed again.
fn on_sent(
    model: &mut Model,
    sent: Box<Editor>,
    written: &[String],
    warnings: &[String],
    refused: Option<(ApiError, Option<Box<Document>>)>,
) -> Vec<Effect> {
    let is_refused = refused.is_some();
    let here = (model.focus, model.is_zoomed);
    let other = model.editing.editor.replace(sent);
    let effects = on_applied(model, written, warnings, refused);
    match (other, is_refused) {
        (None, false) => (model.focus, model.is_zoomed) = here,
        (Some(mut other), false) => {
            // Its draft went with that of the one that is done.
            other.text_changed();
            model.editing.editor = Some(other);
            (model.focus, model.is_zoomed) = here;
        }
        (None, true) => {
            if let Some(editor) = model.editing.editor.take() {
                super::opening::install(model, *editor);
            }
        }
        (Some(other), true) => {
            let refused = model.editing.editor.replace(other);
            model.editing.refused.extend(refused.map(|editor| *editor));
            (model.focus, model.is_zoomed) = here;
        }
    }
    effects
}

fn on_applied(
    model: &mut Model,
    written: &[String],
    warnings: &[String],
    refused: Option<(ApiError, Option<Box<Document>>)>,
) -> Vec<Effect> {
    for warning in warnings {
        model.note(&format!("warning: {}", plain(warning)));
    }
    if let Some((error, document)) = refused {
        return on_refused(model, written, &error, document.as_deref());
    }
    let mut text = written.join(", ");
    if !warnings.is_empty() {
        text.push_str(&format!(" ({} warnings: see :messages)", warnings.len()));
    }
    if let Some(editor) = &model.editing.editor {
        let keys: Vec<_> = editor
            .findings
            .report
            .accepted
            .iter()
            .map(|one| one.key.clone())
            .collect();
        let before = editor.subject.key().map(|_| editor.base.clone());
        let changed = editor.subject.key().cloned();
        if let (true, Some(key)) = (editor.is_undo, &changed) {
            model.editing.forget_last(key);
        } else if editor.subject == Subject::New || editor.is_modified() {
            for key in keys {
                model.editing.history.push(Applied {
                    key,
                    before: before.clone(),
                });
            }
            text.push_str("; u takes it back");
        }
        // What was recreated was gone for a moment; it is still what one looks at.
        if let Some(key) = changed {
            model.list.follow(key);
            model.pending.is_list_stale = true;
        }
        close(model);
    }
    model.say(text);
    Vec::new()
}

/// Back to the text, the causes at their lines.
fn on_refused(
    model: &mut Model,
    written: &[String],
    error: &ApiError,
    document: Option<&Document>,
) -> Vec<Effect> {
    let already = match written {
        [] => String::new(),
        written => format!(" ({} all the same)", written.join(", ")),
    };
    let Some(editor) = &mut model.editing.editor else {
        model.complain(format!("refused: {}{already}", plain(&error.message)));
        return Vec::new();
    };
    editor.back_to_text();
    editor.findings.refusal = located(error, document);
    editor.go_to_first_error();
    let line = editor.buffer.cursor().0 + 1;
    let number = editor.findings.refusal.len();
    if error.reason == Reason::NotFound && editor.subject.key().is_some() {
        editor.subject = Subject::New;
    }
    let is_external = editor.is_external;
    model.complain(format!(
        "refused, {} at line {line}{already}",
        count(number)
    ));
    if is_external {
        external(model)
    } else {
        Vec::new()
    }
}

/// What `$EDITOR` left behind goes through the same checks; what is wrong goes back there, as kubectl does, unless
/// nothing was changed since: then it stays here, with its problems.
fn on_external(model: &mut Model, id: SessionId, end: OutsideEnd) -> Vec<Effect> {
    let effects = model.terms.close_id(id);
    if model.focus == Focus::Terminal {
        model.focus = Focus::Inspector;
        model.is_zoomed = model.areas().inspector.height == 0;
    }
    [effects, take_back(model, id, end)].concat()
}

fn take_back(model: &mut Model, id: SessionId, end: OutsideEnd) -> Vec<Effect> {
    let is_awaited = |editor: &Editor| editor.stage == Stage::Outside(id);
    let Some(editor) = model
        .editing
        .editor
        .as_deref_mut()
        .filter(|one| is_awaited(one))
    else {
        return Vec::new();
    };
    editor.is_external = false;
    editor.back_to_text();
    let text = match end {
        OutsideEnd::Left(text) => without_head(&text),
        OutsideEnd::HungUp { text, strays } => {
            let text = without_head(&text);
            if text != editor.buffer.text() && !text.trim().is_empty() {
                editor.buffer.replace(&text);
                editor.text_changed();
            }
            model.say(match strays {
                None => "$EDITOR was closed; what it had saved is here".to_owned(),
                Some(place) => {
                    format!("what $EDITOR had saved is here, the rest may be in {place}")
                }
            });
            return Vec::new();
        }
        OutsideEnd::Failed(problem) => {
            model.complain(plain(&problem));
            return Vec::new();
        }
    };
    let is_same = text == editor.buffer.text();
    if !is_same && !text.trim().is_empty() {
        editor.buffer.replace(&text);
        editor.text_changed();
    }
    if text.trim().is_empty() || (is_same && !editor.is_modified()) {
        close(model);
        model.say("edit cancelled, no changes made");
        return Vec::new();
    }
    super::keys::start_review(model);
    let Some(editor) = &mut model.editing.editor else {
        return Vec::new();
    };
    match editor.stage {
        Stage::Review(_) => editor.is_external = true,
        Stage::Text if !is_same && editor.errors() > 0 => return external(model),
        Stage::Text | Stage::Sent(_) | Stage::Outside(_) => {}
    }
    Vec::new()
}

/// Texts of screens that ended without asking.
fn offer(model: &mut Model, found: Vec<super::draft::Recovered>) {
    let Some(newest) = found.first() else {
        return;
    };
    if model.session.is_readonly {
        model.say("an unfinished edit is kept for a screen without --readonly");
        return;
    }
    let what = newest
        .draft
        .key()
        .map_or_else(|| "a new object".to_owned(), |key| key.to_string());
    let at = newest.draft.saved_at.to_zoned(model.session.zone.clone());
    let mut text = vec![format!(
        "An earlier screen ended while {what} was edited; its text of {} is kept.",
        at.strftime("%Y-%m-%d %H:%M:%S")
    )];
    if newest.has_strays {
        text.push(format!(
            "$EDITOR had it, and left more beside it: {}",
            newest.path.with_extension("kept").display()
        ));
    }
    if found.len() > 1 {
        text.push(format!("{} older ones are kept as well.", found.len() - 1));
    }
    // `pop` takes the newest.
    model.editing.recovered = found.into_iter().rev().collect();
    let choice = |key, text: &str, action| Choice {
        key,
        text: text.to_owned(),
        action,
    };
    model.overlays.push(Overlay::Confirm(Confirm {
        title: "unfinished edit".to_owned(),
        text,
        answers: vec![
            choice('l', "Later", AnswerAction::Nothing),
            choice('o', "Open", AnswerAction::Editor(Answer::OpenRecovered)),
            choice('d', "Discard", AnswerAction::Editor(Answer::DropRecovered)),
        ],
        chosen: 0,
    }));
}
