//! The `:` palette: what can be typed there, how it is completed and what it does.

use super::{commands, images, logs, overlays, views};
use crate::model::Kind;
use crate::tui::actions::changes_something;
use crate::tui::columns::ColumnId;
use crate::tui::effect::Effect;
use crate::tui::inspector::Tab;
use crate::tui::keymap::Cmd;
use crate::tui::model::Model;
use crate::tui::notices::Level;
use crate::tui::overlay::{Completion, Overlay, Prompt, PromptKind, TextBox};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Kind(Kind),
    Namespace,
    Theme,
    Create,
    Screenshot,
    SaveLogs,
    Record,
    Sort,
    Messages,
    View,
    RemoveView,
    Images,
    Mouse,
    Run(Cmd),
    Quit,
    /// Breaks the screen on purpose, to see how it ends; it is not offered.
    Panic,
}

/// Typed by who tests that a crash leaves terminal and pods alone.
const PANIC: &str = "debug-panic";

impl Verb {
    const fn changes_something(self) -> bool {
        match self {
            Self::Run(cmd) => changes_something(cmd),
            Self::Create => true,
            _ => false,
        }
    }
}

/// Name, what the argument is (empty for none), what it does.
const VERBS: &[(&str, Verb, &str, &str)] = &[
    (
        "attention",
        Verb::Run(Cmd::Attention),
        "",
        "pods in trouble, newest first",
    ),
    (
        "create",
        Verb::Create,
        "FILE",
        "create objects from a file or directory",
    ),
    (
        "delete",
        Verb::Run(Cmd::Delete),
        "",
        "delete the selected object (asks first)",
    ),
    (
        "describe",
        Verb::Run(Cmd::Show(Tab::Describe)),
        "",
        "describe the selected object",
    ),
    (
        "columns",
        Verb::Run(Cmd::Columns),
        "",
        "choose the columns of the list",
    ),
    (
        "copy",
        Verb::Run(Cmd::Copy),
        "",
        "copy name, row, command line or YAML",
    ),
    ("edit", Verb::Run(Cmd::Edit), "", "edit the selected object"),
    ("filter", Verb::Run(Cmd::Filter), "", "filter the list"),
    ("help", Verb::Run(Cmd::Help), "", "all keys"),
    (
        "history",
        Verb::Run(Cmd::Show(Tab::Events)),
        "",
        "events of the selected object",
    ),
    (
        "images",
        Verb::Images,
        "",
        "images: size, layers, who uses them, pulls",
    ),
    (
        "logs",
        Verb::Run(Cmd::Show(Tab::Logs)),
        "",
        "logs of the selected pod",
    ),
    (
        "menu",
        Verb::Run(Cmd::Menu),
        "",
        "all actions on the selected object",
    ),
    (
        "messages",
        Verb::Messages,
        "",
        "every message of this session",
    ),
    (
        "metrics",
        Verb::Run(Cmd::Show(Tab::Metrics)),
        "",
        "charts of the selected pod",
    ),
    (
        "mouse",
        Verb::Mouse,
        "on|off",
        "off: the terminal selects as usual, until podtui ends",
    ),
    (
        "new",
        Verb::Run(Cmd::Create),
        "",
        "new objects: template, file, or a docker run line",
    ),
    ("ns", Verb::Namespace, "NAME|all", "switch the namespace"),
    (
        "procs",
        Verb::Run(Cmd::Show(Tab::Procs)),
        "",
        "processes of the selected pod",
    ),
    ("quit", Verb::Quit, "", "leave podtui"),
    (
        "record",
        Verb::Record,
        "FILE",
        "save the last messages of the program, for a bug report",
    ),
    (
        "redraw",
        Verb::Run(Cmd::Redraw),
        "",
        "draw the whole screen again",
    ),
    (
        "restart",
        Verb::Run(Cmd::Restart),
        "",
        "restart the containers of the selected pod",
    ),
    (
        "reveal",
        Verb::Run(Cmd::Reveal),
        "",
        "show the values of the selected secret, or hide them",
    ),
    (
        "save",
        Verb::SaveLogs,
        "FILE",
        "save the logs that are shown, from the first line on",
    ),
    (
        "screenshot",
        Verb::Screenshot,
        "FILE.svg|FILE.txt",
        "save what is on the screen",
    ),
    ("sort", Verb::Sort, "COLUMN", "sort the list"),
    ("theme", Verb::Theme, "NAME", "change the colours"),
    (
        "undo",
        Verb::Run(Cmd::Undo),
        "",
        "take back the last applied change",
    ),
    (
        "shell",
        Verb::Run(Cmd::Shell),
        "",
        "a shell in a container of the selected pod",
    ),
    ("view", Verb::View, "NAME", "open a view that has a name"),
    (
        "view-remove",
        Verb::RemoveView,
        "NAME",
        "forget a view that has a name",
    ),
    (
        "view-save",
        Verb::Run(Cmd::SaveView),
        "",
        "name the view that is shown",
    ),
    ("wide", Verb::Run(Cmd::Wide), "", "more columns"),
    (
        "yaml",
        Verb::Run(Cmd::Show(Tab::Spec)),
        "",
        "the selected object as YAML",
    ),
    ("zoom", Verb::Run(Cmd::Zoom), "", "zoom the focused region"),
];

const SORT_COLUMNS: &[(&str, ColumnId)] = &[
    ("age", ColumnId::Age),
    ("cpu", ColumnId::Cpu),
    ("memory", ColumnId::Memory),
    ("name", ColumnId::Name),
    ("restarts", ColumnId::Restarts),
    ("status", ColumnId::Status),
];

pub(super) fn open(model: &mut Model, text: &str) {
    model
        .overlays
        .push(Overlay::Prompt(Prompt::new(PromptKind::Palette, text)));
    refresh(model);
}

/// Completes anew after every edit.
pub(super) fn refresh(model: &mut Model) -> Vec<Effect> {
    let Some(Overlay::Prompt(prompt)) = model.overlays.last() else {
        return Vec::new();
    };
    let text = prompt.line.text().to_owned();
    let completions = complete(model, &text);
    let path = path_argument(&text).map(|path| Effect::ListPaths(path.to_owned()));
    if let Some(Overlay::Prompt(prompt)) = model.overlays.last_mut() {
        prompt.completions = completions;
    }
    path.into_iter().collect()
}

/// A theme shows itself while its name stands in the line.
pub(super) fn preview(model: &mut Model) {
    let typed = match model.overlays.last() {
        Some(Overlay::Prompt(prompt)) if prompt.kind == PromptKind::Palette => prompt.line.text(),
        _ => "",
    };
    let theme = match typed.trim().split_once(' ') {
        Some((verb, name)) if verb_of(verb) == Ok(Verb::Theme) => name.trim().to_owned(),
        _ => String::new(),
    };
    model.look.try_theme(&theme);
}

/// The path that is being typed, for verbs that take one.
pub(super) fn path_argument(text: &str) -> Option<&str> {
    let (verb, argument) = text.trim_start().split_once(' ')?;
    let takes_path = matches!(
        verb_of(verb),
        Ok(Verb::Create | Verb::Screenshot | Verb::SaveLogs | Verb::Record)
    );
    takes_path.then(|| argument.trim_start())
}

fn complete(model: &Model, text: &str) -> Vec<Completion> {
    let text = text.trim_start();
    let Some((verb, argument)) = text.split_once(' ') else {
        return complete_verb(text, model.session.is_readonly);
    };
    let argument = argument.trim_start();
    if let Ok(Verb::View | Verb::RemoveView) = verb_of(verb) {
        let mut named = views::completions(model);
        named.retain(|one| one.text.starts_with(argument));
        for one in &mut named {
            one.text.insert_str(0, &format!("{verb} "));
        }
        return named;
    }
    let choices: Vec<(String, &str)> = match verb_of(verb) {
        Ok(Verb::Namespace) => {
            let names = model
                .collections
                .rows(Kind::Namespace)
                .map(|row| (row.key.name.clone(), ""));
            std::iter::once(("all".to_owned(), "every namespace"))
                .chain(names)
                .collect()
        }
        Ok(Verb::Theme) => {
            let names = model.look.theme_names().into_iter();
            names.map(|name| (name.to_owned(), "")).collect()
        }
        Ok(Verb::Mouse) => vec![
            ("on".to_owned(), "clicks, wheel and drags are podtui's"),
            ("off".to_owned(), "they are the terminal's"),
        ],
        Ok(Verb::Sort) => SORT_COLUMNS
            .iter()
            .map(|(name, _)| ((*name).to_owned(), ""))
            .collect(),
        _ => Vec::new(),
    };
    choices
        .into_iter()
        .filter(|(choice, _)| choice.starts_with(argument))
        .map(|(choice, note)| Completion {
            text: format!("{verb} {choice}"),
            note: note.to_owned(),
        })
        .collect()
}

fn complete_verb(typed: &str, is_readonly: bool) -> Vec<Completion> {
    let verbs = VERBS.iter().map(|(name, verb, argument, help)| {
        if is_readonly && verb.changes_something() {
            return ((*name).to_owned(), "not with --readonly".to_owned());
        }
        let space = if argument.is_empty() { "" } else { " " };
        let note = if argument.is_empty() {
            (*help).to_owned()
        } else {
            format!("{argument}  {help}")
        };
        (format!("{name}{space}"), note)
    });
    let kinds = Kind::ALL.into_iter().map(|kind| {
        let short = kind.short_names().join(" ");
        (
            kind.plural().to_owned(),
            format!("list {}  {short}", kind.plural())
                .trim_end()
                .to_owned(),
        )
    });
    let is_short = |text: &str| {
        Kind::from_user(typed).is_some_and(|kind| kind.plural() == text && !typed.is_empty())
    };
    let mut found: Vec<Completion> = verbs
        .chain(kinds)
        .filter(|(text, _)| text.starts_with(typed) || is_short(text))
        .map(|(text, note)| Completion { text, note })
        .collect();
    found.sort_by(|left, right| left.text.cmp(&right.text));
    found
}

/// A verb by its name or any beginning that fits only one; kinds also by their short names.
fn verb_of(word: &str) -> Result<Verb, String> {
    if word == PANIC {
        return Ok(Verb::Panic);
    }
    if let Some((_, verb, _, _)) = VERBS.iter().find(|(name, _, _, _)| *name == word) {
        return Ok(*verb);
    }
    if let Some(kind) = Kind::from_user(word) {
        return Ok(Verb::Kind(kind));
    }
    let verbs = VERBS.iter().map(|(name, verb, _, _)| (*name, *verb));
    let kinds = Kind::ALL
        .into_iter()
        .map(|kind| (kind.plural(), Verb::Kind(kind)));
    let fitting: Vec<(&str, Verb)> = verbs
        .chain(kinds)
        .filter(|(name, _)| name.starts_with(word))
        .collect();
    match fitting.as_slice() {
        [(_, verb)] => Ok(*verb),
        [] => Err(format!(
            "there is no command {word:?}; ? shows the keys, tab completes"
        )),
        many => {
            let names: Vec<&str> = many.iter().map(|(name, _)| *name).collect();
            Err(format!("{word:?} could be {}", names.join(", ")))
        }
    }
}

pub(super) fn submit(model: &mut Model) -> Vec<Effect> {
    let Some(Overlay::Prompt(prompt)) = model.overlays.last() else {
        return Vec::new();
    };
    let text = prompt.line.text().trim().to_owned();
    if text.is_empty() {
        model.overlays.pop();
        return Vec::new();
    }
    let (word, argument) = text.split_once(' ').unwrap_or((&text, ""));
    match verb_of(word).and_then(|verb| run(model, verb, argument.trim())) {
        Ok(effects) => effects,
        Err(problem) => {
            // The line stays, so that a typing mistake costs one key.
            model.complain(problem);
            Vec::new()
        }
    }
}

fn run(model: &mut Model, verb: Verb, argument: &str) -> Result<Vec<Effect>, String> {
    let file = |what: &str| {
        if argument.is_empty() {
            Err(format!("say which file: {what} FILE"))
        } else {
            Ok(argument.to_owned())
        }
    };
    if model.session.is_readonly && verb.changes_something() {
        return Err("podtui runs with --readonly: nothing can be changed".to_owned());
    }
    match verb {
        Verb::Kind(kind) => {
            model.list.show_kind(kind);
            model.pending.is_list_stale = true;
        }
        Verb::Namespace => match argument {
            // As in k9s: which ones there are.
            "" => {
                model.list.show_kind(Kind::Namespace);
                model.pending.is_list_stale = true;
            }
            "all" => model.list.namespace = None,
            name => {
                model.list.namespace = Some(name.to_owned());
                name.clone_into(&mut model.list.home_namespace);
            }
        },
        Verb::View => views::open_named(model, argument)?,
        Verb::RemoveView => views::remove_named(model, argument)?,
        Verb::Theme => views::choose_theme(model, argument)?,
        Verb::Mouse => return switch_mouse(model, argument),
        Verb::Sort => {
            let known = SORT_COLUMNS.iter().find(|(name, _)| *name == argument);
            let (_, column) = known.ok_or_else(|| {
                let names: Vec<&str> = SORT_COLUMNS.iter().map(|(name, _)| *name).collect();
                format!("sort by one of {}", names.join(", "))
            })?;
            model.list.sort_by(*column);
            model.pending.is_list_stale = true;
        }
        Verb::Create => {
            model.overlays.pop();
            model
                .overlays
                .push(Overlay::Prompt(Prompt::new(PromptKind::CreatePath, "")));
            if argument.is_empty() {
                return Ok(vec![Effect::ListPaths(String::new())]);
            }
            overlays::set_prompt_text(model, argument);
            return Ok(vec![create_effect(model, argument.to_owned())]);
        }
        Verb::Screenshot => {
            let path = file("screenshot")?;
            if !path.ends_with(".svg") && !path.ends_with(".txt") {
                return Err(
                    "a screenshot is written to a file that ends with .svg or .txt".to_owned(),
                );
            }
            model.overlays.pop();
            return Ok(vec![Effect::Screenshot(path)]);
        }
        Verb::SaveLogs => {
            let path = file("save")?;
            let effects = logs::save(model, &path)?;
            model.overlays.pop();
            return Ok(effects);
        }
        Verb::Record => {
            let path = file("record")?;
            model.overlays.pop();
            return Ok(vec![Effect::SaveRecord(path)]);
        }
        Verb::Images => {
            model.overlays.pop();
            images::open(model);
            return Ok(Vec::new());
        }
        Verb::Messages => {
            model.overlays.pop();
            show_messages(model);
            return Ok(Vec::new());
        }
        Verb::Quit => {
            model.overlays.pop();
            return Ok(commands::leave(model));
        }
        Verb::Panic => return Ok(vec![Effect::Panic]),
        Verb::Run(cmd) => {
            model.overlays.pop();
            return Ok(commands::run(model, cmd));
        }
    }
    model.overlays.pop();
    Ok(Vec::new())
}

/// For this session.
fn switch_mouse(model: &mut Model, argument: &str) -> Result<Vec<Effect>, String> {
    let is_on = match argument {
        "on" => true,
        "off" => false,
        _ => return Err("say mouse on, or mouse off".to_owned()),
    };
    model.overlays.pop();
    model.pending.is_mouse_off = !is_on;
    // What a program in a terminal wants of the mouse is asked for again.
    model.terms.outer_was_reset();
    model.say(if is_on {
        "the mouse is podtui's again"
    } else {
        "the mouse is the terminal's, until podtui ends or :mouse on"
    });
    Ok(vec![Effect::Mouse(is_on)])
}

pub(super) fn create_effect(model: &Model, path: String) -> Effect {
    let list = &model.list;
    Effect::Create {
        path: path.trim().to_owned(),
        namespace: list
            .namespace
            .clone()
            .unwrap_or_else(|| list.home_namespace.clone()),
    }
}

fn show_messages(model: &mut Model) {
    let zone = &model.session.zone;
    let line = |notice: &crate::tui::notices::Notice| {
        let time = notice
            .at
            .to_zoned(zone.clone())
            .strftime("%H:%M:%S")
            .to_string();
        let mark = match notice.level {
            Level::Quiet | Level::Info => ' ',
            Level::Error => '!',
        };
        format!("{time} {mark} {}", notice.text)
    };
    let mut lines: Vec<String> = model.notices.all().map(line).collect();
    if lines.is_empty() {
        lines.push("nothing yet".to_owned());
    }
    model.overlays.push(Overlay::Text(TextBox {
        title: "messages".to_owned(),
        top: 0,
        lines,
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_by_beginning() {
        assert_eq!(verb_of("desc"), Ok(Verb::Run(Cmd::Show(Tab::Describe))));
        assert_eq!(verb_of("cm"), Ok(Verb::Kind(Kind::ConfigMap)));
        assert_eq!(verb_of("ev"), Ok(Verb::Kind(Kind::Event)));
        assert_eq!(verb_of("no"), Ok(Verb::Kind(Kind::Node)));
        assert_eq!(verb_of("q"), Ok(Verb::Quit));
        assert!(verb_of("de").unwrap_err().contains("delete, describe"));
        assert!(verb_of("xyz").unwrap_err().contains("no command"));
    }

    #[test]
    fn paths_are_completed_only_where_a_path_goes() {
        assert_eq!(path_argument("create ./a"), Some("./a"));
        assert_eq!(path_argument("screenshot  x.svg"), Some("x.svg"));
        assert_eq!(path_argument("create"), None);
        assert_eq!(path_argument("ns a"), None);
    }
}
