//! Commands of the log pane.

use super::{commands, palette};
use crate::tui::effect::Effect;
use crate::tui::keymap::{Cmd, LogCmd};
use crate::tui::logs::{Pattern, Range, parse_range};
use crate::tui::model::Model;
use crate::tui::overlay::{Overlay, PickAction, PickItem, Picker, Prompt, PromptKind};

/// Choices of how far back to go, in minutes.
const AGES: &[(i64, &str)] = &[
    (1, "1 minute ago"),
    (5, "5 minutes ago"),
    (15, "15 minutes ago"),
    (60, "1 hour ago"),
    (24 * 60, "1 day ago"),
];
const TAILS: &[usize] = &[10, 100, 1000];

pub(super) fn run(model: &mut Model, cmd: LogCmd) -> Vec<Effect> {
    let area = model.log_lines();
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let logs = &mut model.inspector.logs;
    match cmd {
        LogCmd::Filter => {
            let text = logs.filter.as_ref().map_or("", Pattern::text).to_owned();
            let prompt = Prompt::new(PromptKind::LogFilter, text);
            model.overlays.push(Overlay::Prompt(prompt));
        }
        LogCmd::Mute => logs.toggle_mute(),
        LogCmd::Solo => logs.toggle_solo(),
        LogCmd::NextContainer => logs.step_container(true),
        LogCmd::PreviousContainer => logs.step_container(false),
        LogCmd::Shape => logs.shape = logs.shape.next(),
        LogCmd::Previous => logs.toggle_previous(),
        LogCmd::GoTo => pick_range(model),
        LogCmd::GoToTime => {
            let prompt = Prompt::new(PromptKind::LogTime, "");
            model.overlays.push(Overlay::Prompt(prompt));
        }
        LogCmd::Select => logs.toggle_selection(width, height),
        LogCmd::Copy => return copy(model),
        LogCmd::Save => palette::open(model, "save "),
    }
    Vec::new()
}

fn copy(model: &mut Model) -> Vec<Effect> {
    let logs = &mut model.inspector.logs;
    if logs.selection.is_none() {
        return commands::run(model, Cmd::Copy);
    }
    let lines = logs.selected_lines();
    match logs.selected_text() {
        Err(problem) => {
            model.say(problem);
            Vec::new()
        }
        Ok(text) => {
            logs.selection = None;
            let lines = match lines {
                1 => "1 line".to_owned(),
                many => format!("{many} lines"),
            };
            model.say(format!("{lines} sent to the clipboard of the terminal"));
            vec![Effect::Copy(text)]
        }
    }
}

fn pick_range(model: &mut Model) {
    let now = model.now;
    let item = |key: &str, text: String, action| PickItem {
        key: key.to_owned(),
        text,
        action,
    };
    let mut items = vec![
        item(
            "",
            "the first line there is".to_owned(),
            PickAction::LogRange(Range::Start),
        ),
        item(
            "",
            "a time ...".to_owned(),
            PickAction::Run(Cmd::Log(LogCmd::GoToTime)),
        ),
    ];
    for &(minutes, text) in AGES {
        if let Ok(at) = now.checked_sub(jiff::SignedDuration::from_mins(minutes)) {
            let action = PickAction::LogRange(Range::Since(at));
            items.push(item("since", text.to_owned(), action));
        }
    }
    for &lines in TAILS {
        let action = PickAction::LogRange(Range::Tail(lines));
        items.push(item(
            "tail",
            format!("the last {lines} lines, then new ones"),
            action,
        ));
    }
    model
        .overlays
        .push(Overlay::Picker(Picker::new("logs from", items)));
}

pub(super) fn go_to(model: &mut Model, range: Range) {
    let logs = &mut model.inspector.logs;
    match range {
        Range::Start => logs.go_to_start(),
        Range::Since(at) => logs.go_to_time(at),
        Range::Tail(lines) => logs.tail(lines),
    }
}

/// The text of the time prompt; false leaves it open.
pub(super) fn go_to_typed(model: &mut Model, text: &str) -> bool {
    match parse_range(text, model.now, &model.session.zone) {
        Ok(range) => {
            go_to(model, range);
            true
        }
        Err(problem) => {
            model.complain(problem);
            false
        }
    }
}

/// The text of the filter prompt; false leaves it open.
pub(super) fn filter_typed(model: &mut Model, text: &str) -> bool {
    match Pattern::filter(text) {
        Ok(filter) => {
            model.inspector.logs.set_filter(filter);
            true
        }
        Err(problem) => {
            model.complain(problem);
            false
        }
    }
}

pub(super) fn save(model: &mut Model, path: &str) -> Result<Vec<Effect>, String> {
    let read = model.inspector.logs.whole();
    let read = read.ok_or("no logs are shown: select a pod")?;
    if read.sources.is_empty() {
        return Err("there is nothing to save: no container in view has started yet".to_owned());
    }
    model.say(format!("saving to {path} ..."));
    Ok(vec![Effect::SaveLogs {
        path: path.to_owned(),
        read: Box::new(read),
    }])
}

/// One level of what narrows the view; false when nothing does.
pub(super) fn back(model: &mut Model) -> bool {
    let logs = &mut model.inspector.logs;
    if logs.selection.take().is_some() || logs.stop_search() {
    } else if !logs.search.is_empty() {
        logs.set_search("");
    } else if logs.filter.is_some() {
        logs.set_filter(None);
    } else if logs.is_previous {
        logs.toggle_previous();
    } else {
        return false;
    }
    true
}
