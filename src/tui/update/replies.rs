use super::palette;
use crate::model::Object;
use crate::tui::editor;
use crate::tui::effect::Effect;
use crate::tui::model::Model;
use crate::tui::msg::Reply;
use crate::tui::overlay::{Completion, Overlay, Prompt, PromptKind, TextBox};
use crate::tui::sanitize::{lines, plain};

pub(super) fn on_reply(model: &mut Model, reply: Reply) -> Vec<Effect> {
    match reply {
        Reply::Deleted(key, Ok(())) => model.say(format!("{key} deleted")),
        Reply::Deleted(key, Err(problem)) => model.complain(format!("deleting {key}: {problem}")),
        Reply::Restarted(what, Ok(())) => model.say(format!("{what}: restarting")),
        Reply::Restarted(what, Err(problem)) => {
            model.complain(format!("restarting {what}: {problem}"));
        }
        Reply::Created {
            path,
            created,
            warnings,
            problems,
        } => on_created(model, &path, created, &warnings, &problems),
        Reply::Paths { typed, found } => on_paths(model, &typed, found),
        Reply::Editor(reply) => return editor::on_reply(model, reply),
        Reply::Excerpt { container, lines } => on_excerpt(model, &container, lines),
        Reply::Images(Ok(done)) => model.say(done),
        Reply::Images(Err(problem)) => model.complain(problem),
        Reply::Saved(path, Ok(())) => model.say(format!("saved {path}")),
        Reply::LogSaved(path, Ok(1)) => model.say(format!("saved 1 line to {path}")),
        Reply::LogSaved(path, Ok(lines)) => model.say(format!("saved {lines} lines to {path}")),
        Reply::LogSaved(path, Err(problem)) => {
            model.complain(format!("{path} is not saved: {problem}"));
        }
        Reply::Saved(path, Err(problem)) => model.complain(format!("saving {path}: {problem}")),
    }
    Vec::new()
}

/// At its end: that is where the cause of an end is.
fn on_excerpt(model: &mut Model, container: &str, lines: Result<Vec<String>, String>) {
    let lines = match lines {
        Ok(lines) if lines.iter().all(String::is_empty) => {
            vec!["it has written nothing".to_owned()]
        }
        Ok(lines) => lines,
        Err(problem) => return model.complain(format!("log of {container}: {problem}")),
    };
    let room = usize::from(model.screen.height.saturating_sub(4)).max(1);
    model.overlays.push(Overlay::Text(TextBox {
        title: format!("{container}: last lines before it ended"),
        top: lines.len().saturating_sub(room),
        lines,
    }));
}

fn create_prompt(model: &mut Model) -> Option<(usize, &mut Prompt)> {
    model
        .overlays
        .iter_mut()
        .enumerate()
        .find_map(|(index, overlay)| match overlay {
            Overlay::Prompt(prompt) if prompt.kind == PromptKind::CreatePath => {
                Some((index, prompt))
            }
            _ => None,
        })
}

/// After a success the prompt goes; after a refusal it stays under the problems, with its text.
fn on_created(
    model: &mut Model,
    path: &str,
    objects: Vec<Object>,
    warnings: &[String],
    problems: &[String],
) {
    let created: Vec<String> = objects.iter().map(|one| one.key().to_string()).collect();
    for warning in warnings {
        model.note(&format!("warning: {}", plain(warning)));
    }
    for object in objects {
        let key = object.key();
        model
            .editing
            .history
            .push(editor::Applied { key, before: None });
        model.collections.wrote(object);
        model.pending.is_list_stale = true;
    }
    let warned = match warnings.len() {
        0 => String::new(),
        1 => "; 1 warning, see :messages".to_owned(),
        many => format!("; {many} warnings, see :messages"),
    };
    match created.as_slice() {
        [] => {}
        [one] => model.say(format!("created {one}{warned}")),
        many => {
            model.note(&format!("created {}", many.join(", ")));
            model.say(format!("created {} objects{warned}", many.len()));
        }
    }
    let prompt = create_prompt(model);
    if problems.is_empty() {
        if let Some(index) = prompt
            .filter(|(_, prompt)| prompt.is_waiting)
            .map(|(index, _)| index)
        {
            model.overlays.remove(index);
        }
        return;
    }
    if let Some((_, prompt)) = prompt {
        prompt.is_waiting = false;
    }
    let mut text: Vec<String> = problems.iter().flat_map(|problem| lines(problem)).collect();
    if !created.is_empty() {
        text.push(format!("created nevertheless: {}", created.join(", ")));
    }
    model.overlays.push(Overlay::Text(TextBox {
        title: format!("{path}: {}", count(problems.len())),
        lines: text,
        top: 0,
    }));
}

fn count(problems: usize) -> String {
    match problems {
        1 => "1 problem".to_owned(),
        many => format!("{many} problems"),
    }
}

/// Paths arrive late; they count only while the line still says what was asked for.
fn on_paths(model: &mut Model, typed: &str, found: Vec<String>) {
    let Some(Overlay::Prompt(prompt)) = model.overlays.last_mut() else {
        return;
    };
    let text = prompt.line.text();
    let prefix = match prompt.kind {
        PromptKind::CreatePath | PromptKind::EditPath if text == typed => String::new(),
        PromptKind::Palette if palette::path_argument(text) == Some(typed) => {
            text[..text.len() - typed.len()].to_owned()
        }
        _ => return,
    };
    prompt.chosen = None;
    prompt.completions = found
        .into_iter()
        .map(|path| Completion {
            text: format!("{prefix}{path}"),
            note: String::new(),
        })
        .collect();
}
