//! Views: kept, named, opened, and the columns of the list chosen.

use crate::model::Kind;
use crate::tui::columns::columns_of;
use crate::tui::effect::Effect;
use crate::tui::keymap::{Cmd, Place};
use crate::tui::model::Model;
use crate::tui::overlay::{Completion, Overlay, PickAction, PickItem, Picker, Prompt, PromptKind};
use crate::tui::views::{SessionChange, SessionRead, View};

/// The file arrived. It is taken over unless somebody has begun to use the screen.
pub(super) fn on_read(model: &mut Model, read: SessionRead) {
    let file = match read {
        SessionRead::None => return,
        SessionRead::Kept(file) => *file,
        SessionRead::Damaged { aside, why } => {
            return model.complain(format!(
                "the kept views cannot be read ({why}); they are put aside as {aside}"
            ));
        }
        SessionRead::Later(version) => {
            return model.complain(format!(
                "the kept views are of a later podtui (version {version}); this screen keeps none"
            ));
        }
        SessionRead::Unreadable(problem) => {
            return model.complain(format!("the kept views cannot be read: {problem}"));
        }
    };
    for (kind, choice) in file.columns {
        if let Some(kind) = Kind::from_user(&kind) {
            model.list.choices.insert(kind, choice);
        }
    }
    if let Some(theme) = file.theme
        && let Err(problem) = model.look.restore(&theme)
    {
        model.complain(format!("the theme of the last time: {problem}"));
    }
    model.views.named = file.views;
    model.views.previous = file.previous;
    let is_untouched = model.views.initial.is_of(model);
    if let Some(last) = file.last.filter(|_| is_untouched) {
        let last = if model.views.is_namespace_given {
            last.with_namespace(model.list.namespace.clone())
        } else {
            last
        };
        last.apply(model);
        if last.hides_something() {
            let back = model.keymap.key_text(Place::List, Cmd::Back);
            let words = last.words();
            model.say(format!("as last time: {words} ({back} shows all)"));
        }
    }
    model.views.current = View::of(model);
}

/// Follows what the list shows; a change of kind or namespace makes the earlier one the last view.
pub(super) fn settle(model: &mut Model, effects: &mut Vec<Effect>) {
    // What is still being typed is no view yet.
    let is_typing = matches!(model.overlays.last(), Some(Overlay::Prompt(_)));
    if is_typing || (model.views.current.is_of(model) && !model.views.is_stale) {
        return;
    }
    let now = View::of(model);
    let has_moved = !model.views.current.is_at(model);
    let before = std::mem::replace(&mut model.views.current, now);
    if has_moved {
        model.views.previous = Some(before);
    }
    model.views.is_stale = false;
    let choices = &model.list.choices;
    let columns = model.views.own_columns.iter().map(|kind| {
        let choice = choices.get(kind).cloned().unwrap_or_default();
        (kind.plural().to_owned(), choice)
    });
    effects.push(Effect::KeepSession(Box::new(SessionChange {
        last: model.views.current.clone(),
        previous: model.views.previous.clone(),
        views: model.views.own.clone(),
        columns: columns.collect(),
        theme: model
            .look
            .chosen
            .clone()
            .filter(|_| model.views.is_theme_own),
    })));
}

/// A theme chosen on the screen comes back with the next start, unless `config.toml` names one.
pub(super) fn choose_theme(model: &mut Model, name: &str) -> Result<(), String> {
    if model.look.choose(name)? {
        model.views.is_theme_own = true;
        model.views.is_stale = true;
    } else {
        model.say(format!(
            "{name} for now: config.toml names the theme of the next start"
        ));
    }
    Ok(())
}

fn open(model: &mut Model, view: &View) {
    let before = View::of(model);
    view.apply(model);
    model.views.previous = Some(before);
    model.views.current = View::of(model);
    model.views.is_stale = true;
}

/// There and back again.
pub(super) fn open_last(model: &mut Model) {
    let Some(view) = model.views.previous.clone() else {
        model.say("there is no view before this one");
        return;
    };
    open(model, &view);
}

pub(super) fn open_named(model: &mut Model, name: &str) -> Result<(), String> {
    let view = find(model, name)?;
    open(model, &view);
    Ok(())
}

fn find(model: &Model, name: &str) -> Result<View, String> {
    let named = &model.views.named;
    let names: Vec<&str> = named.keys().map(String::as_str).collect();
    named.get(name).cloned().ok_or_else(|| {
        if names.is_empty() {
            let key = model.keymap.key_text(Place::List, Cmd::SaveView);
            format!("there is no named view yet: {key} in the list names the present one")
        } else {
            format!("say which view: {}", names.join(", "))
        }
    })
}

pub(super) fn remove_named(model: &mut Model, name: &str) -> Result<(), String> {
    find(model, name)?;
    model.views.named.remove(name);
    model.views.own.insert(name.to_owned(), None);
    model.views.is_stale = true;
    model.say(format!("view {name} removed"));
    Ok(())
}

pub(super) fn ask_name(model: &mut Model) {
    let mut prompt = Prompt::new(PromptKind::SaveView, "");
    prompt.completions = completions(model);
    model.overlays.push(Overlay::Prompt(prompt));
}

/// The named views.
pub(super) fn completions(model: &Model) -> Vec<Completion> {
    let named = model.views.named.iter();
    named
        .map(|(name, view)| Completion {
            text: name.clone(),
            note: view.words(),
        })
        .collect()
}

pub(super) fn save(model: &mut Model, name: &str) {
    let view = View::of(model);
    let words = view.words();
    let before = model.views.named.insert(name.to_owned(), view.clone());
    model.views.own.insert(name.to_owned(), Some(view));
    model.views.is_stale = true;
    let done = if before.is_some() {
        "replaced"
    } else {
        "saved"
    };
    model.say(format!(
        "view {name} {done}: {words}; :view {name} opens it"
    ));
}

/// Chooses the columns of this kind; the picker stays open.
pub(super) fn pick_columns(model: &mut Model) {
    let items = column_items(model);
    let picker = Picker::new("columns (enter shows or hides)", items);
    model.overlays.push(Overlay::Picker(picker));
}

fn column_items(model: &Model) -> Vec<PickItem> {
    let list = &model.list;
    let shown = list.columns();
    let all = columns_of(list.kind, list.namespace.is_none(), true);
    let item = |column: &crate::tui::columns::Column| {
        let is_shown = shown.iter().any(|one| one.id == column.id);
        PickItem {
            key: if is_shown { "[x]" } else { "[ ]" }.to_owned(),
            text: column.id.name_in(list.kind).to_owned(),
            action: PickAction::Column(column.id),
        }
    };
    // What tells the rows apart stays.
    let optional = all.iter().filter(|column| !column.is_fixed());
    optional.map(item).collect()
}

pub(super) fn toggle_column(model: &mut Model, id: crate::tui::columns::ColumnId) {
    let list = &mut model.list;
    let kind = list.kind;
    let name = id.name_in(kind).to_owned();
    let is_shown = list.columns().iter().any(|column| column.id == id);
    let choice = list.choices.entry(kind).or_default();
    if is_shown {
        choice.shown.remove(&name);
        choice.hidden.insert(name);
    } else {
        choice.hidden.remove(&name);
        choice.shown.insert(name);
    }
    model.views.own_columns.insert(kind);
    model.views.is_stale = true;
    let items = column_items(model);
    if let Some(Overlay::Picker(picker)) = model.overlays.last_mut() {
        picker.items = items;
    }
}
