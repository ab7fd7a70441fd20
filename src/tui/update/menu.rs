//! The menu of all actions, and what can be copied of an object.

use std::sync::Arc;

use crate::manifest::to_yaml;
use crate::tui::actions::{ACTIONS, Copied, Subject, address_of, changes_something, command_line};
use crate::tui::columns::{CellSource, row_cells};
use crate::tui::data::Row;
use crate::tui::editor::without_server_parts;
use crate::tui::effect::Effect;
use crate::tui::inspector::Tab;
use crate::tui::keymap::Cmd;
use crate::tui::model::Model;
use crate::tui::overlay::{Overlay, PickAction, PickItem, Picker};

/// Every action on what is selected, with its key and the command line that does the same.
pub(super) fn open(model: &mut Model) {
    let rows = model.list.targets(&model.collections);
    let is_marked = model.list.marks() > 0;
    let place = model.place();
    let mut items = Vec::new();
    for action in ACTIONS {
        let line = match rows.as_slice() {
            [] => (action.cmd == Cmd::Create || action.cmd == Cmd::Help).then(String::new),
            rows => (action.line)(&Subject { rows }),
        };
        let Some(line) = line else { continue };
        let key = model.keymap.key_of(place, action.cmd);
        let refused = model.session.is_readonly && changes_something(action.cmd);
        let line = if refused {
            "not with --readonly"
        } else {
            line.as_str()
        };
        items.push(PickItem {
            key: key.map_or_else(String::new, |key| key.to_string()),
            text: format!("{:<17} {line}", action.what).trim_end().to_owned(),
            action: PickAction::Run(action.cmd),
        });
    }
    let title = match rows.as_slice() {
        [] => "nothing is selected".to_owned(),
        [row] => format!("{} {}", row.key.kind.singular(), row.key.name),
        many if is_marked => format!("{} marked {}", many.len(), many[0].key.kind.plural()),
        many => format!("{} {}", many.len(), many[0].key.kind.plural()),
    };
    model
        .overlays
        .push(Overlay::Picker(Picker::new(title, items)));
}

pub(super) fn open_copy(model: &mut Model) {
    let rows = model.list.targets(&model.collections);
    if rows.is_empty() {
        model.complain("nothing is selected");
        return;
    }
    let items: Vec<PickItem> = Copied::ALL
        .into_iter()
        .filter_map(|what| {
            let text = copied_text(model, what, &rows)?;
            let lines = text.lines().count();
            let shown = match (what, lines) {
                (Copied::Yaml, _) => format!("{lines} lines"),
                (_, 0 | 1) => text,
                (_, many) => format!(
                    "{many} lines: {} ...",
                    text.lines().next().unwrap_or_default()
                ),
            };
            Some(PickItem {
                key: what.word().to_owned(),
                text: shown,
                action: PickAction::Copy(what),
            })
        })
        .collect();
    model
        .overlays
        .push(Overlay::Picker(Picker::new("copy to the clipboard", items)));
}

/// The terminal of the user takes it over OSC 52.
pub(super) fn copy(model: &mut Model, what: Copied) -> Vec<Effect> {
    let rows = model.list.targets(&model.collections);
    let Some(text) = copied_text(model, what, &rows) else {
        return Vec::new();
    };
    let characters = match text.chars().count() {
        1 => "1 character".to_owned(),
        many => format!("{many} characters"),
    };
    model.say(format!(
        "{} ({characters}) sent to the clipboard of the terminal",
        what.word(),
    ));
    vec![Effect::Copy(text)]
}

/// One line per object; `None` where the object has no such thing.
fn copied_text(model: &Model, what: Copied, rows: &[Arc<Row>]) -> Option<String> {
    let lines = |line: &dyn Fn(&Arc<Row>) -> Option<String>| {
        let lines: Vec<String> = rows.iter().filter_map(line).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    };
    let command = |cmd| lines(&|row| command_line(cmd, std::slice::from_ref(row)));
    match what {
        Copied::Name => lines(&|row| Some(row.key.name.clone())),
        Copied::Row => lines(&|row| Some(row_text(model, row))),
        Copied::Address => lines(&|row| address_of(row).map(str::to_owned)),
        Copied::GetCommand => command(Cmd::Show(Tab::Describe)),
        Copied::LogsCommand => command(Cmd::Show(Tab::Logs)),
        Copied::ShellCommand => command(Cmd::Shell),
        Copied::Yaml => {
            let texts: Vec<String> = rows.iter().map(|row| yaml_of(model, row)).collect();
            Some(texts.join("---\n"))
        }
    }
}

fn row_text(model: &Model, row: &Row) -> String {
    let list = &model.list;
    let columns = list.columns();
    let source = CellSource {
        now: model.now,
        metrics: &model.metrics,
    };
    let cells = row_cells(row, &columns, &source);
    let texts: Vec<&str> = cells
        .iter()
        .map(|cell| cell.text.as_str())
        .filter(|text| !text.is_empty())
        .collect();
    texts.join("  ")
}

/// As a manifest. The values of secrets only when they are shown.
fn yaml_of(model: &Model, row: &Row) -> String {
    let object = row.object.to_object();
    let mut value = without_server_parts(object.to_value());
    if !model.is_revealed(row) {
        super::secrets::hide(&mut value, &object, "");
    }
    to_yaml(&value)
}
