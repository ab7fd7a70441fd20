use ratatui::layout::Position;

use super::{attention, delete, logs, menu, palette, restart, secrets, terminal, views};
use crate::config::OnExit;
use crate::model::Kind;
use crate::tui::actions::{changes_something, is_for};
use crate::tui::columns::{columns_of, is_sortable};
use crate::tui::data::Row;
use crate::tui::editor;
use crate::tui::effect::{Effect, ExitChoice};
use crate::tui::inspector::Tab;
use crate::tui::keymap::{Cmd, Place};
use crate::tui::layout::Divider;
use crate::tui::logs::Timestamps;
use crate::tui::model::{Connection, Model};
use crate::tui::overlay::{
    Answer, AnswerAction, Confirm, Focus, NewFrom, Overlay, PickAction, PickItem, Picker, Prompt,
    PromptKind,
};
use crate::tui::term::{Motion, Session};

pub(super) fn run(model: &mut Model, cmd: Cmd) -> Vec<Effect> {
    if model.session.is_readonly && changes_something(cmd) {
        model.complain(format!("{}: podtui runs with --readonly", cmd.name()));
        return Vec::new();
    }
    match cmd {
        Cmd::Up => move_by(model, -1),
        Cmd::Down => move_by(model, 1),
        Cmd::HalfPageUp => move_by(model, -(page(model) / 2).max(1)),
        Cmd::HalfPageDown => move_by(model, (page(model) / 2).max(1)),
        Cmd::PageUp => move_by(model, -page(model)),
        Cmd::PageDown => move_by(model, page(model)),
        Cmd::Top => move_by(model, isize::MIN / 2),
        Cmd::Bottom => move_by(model, isize::MAX / 2),
        Cmd::Left => model.inspector.logs.left = model.inspector.logs.left.saturating_sub(8),
        Cmd::Right => model.inspector.logs.left += 8,
        Cmd::Open => switch_focus(model),
        Cmd::NextFocus => step_focus(model, true),
        Cmd::PreviousFocus => step_focus(model, false),
        Cmd::Back => back(model),
        Cmd::Quit => return quit(model),
        Cmd::Show(tab) => show(model, tab),
        Cmd::TabNumber(number) => {
            let tabs = Tab::of(model.list.kind);
            if let Some(&tab) = tabs.iter().find(|tab| tab.number() == number) {
                show(model, tab);
            }
        }
        Cmd::NextTab => model.inspector.step(model.list.kind, true),
        Cmd::PreviousTab => model.inspector.step(model.list.kind, false),
        Cmd::Palette => palette::open(model, ""),
        Cmd::Filter => open_filter(model),
        Cmd::Help => {
            let (place, kind) = (model.place(), model.list.kind);
            let live = model.keymap.live(place);
            let mut help = Picker::help(place, live.filter(|one| is_for(one.cmd, kind)));
            if model.session.is_readonly {
                help.refuse(changes_something, "not with --readonly: ");
            }
            model.overlays.push(Overlay::Picker(help));
        }
        Cmd::Create => {
            let picker = Picker::new("new", new_items());
            model.overlays.push(Overlay::Picker(picker));
        }
        Cmd::Edit => return editor::edit_selected(model, false),
        Cmd::EditExternally => return editor::edit_selected(model, true),
        Cmd::Undo if delete::take_back(model) => {}
        Cmd::Undo => return editor::undo(model),
        Cmd::Delete => delete::ask(model),
        Cmd::Restart => restart::ask(model),
        Cmd::Menu => menu::open(model),
        Cmd::Copy => menu::open_copy(model),
        Cmd::Reveal => secrets::toggle(model),
        Cmd::SaveView => views::ask_name(model),
        Cmd::LastView => views::open_last(model),
        Cmd::Columns => views::pick_columns(model),
        Cmd::Shrink => move_divider(model, -50),
        Cmd::Grow => move_divider(model, 50),
        Cmd::AllNamespaces => {
            let list = &mut model.list;
            list.namespace = match list.namespace.take() {
                Some(namespace) => {
                    list.home_namespace = namespace;
                    None
                }
                None => Some(list.home_namespace.clone()),
            };
        }
        Cmd::Sort(column) => {
            model.list.sort_by(column);
            model.pending.is_list_stale = true;
        }
        Cmd::Wide => model.list.wide ^= true,
        Cmd::Zoom => model.is_zoomed ^= true,
        Cmd::Follow => {
            let area = model.log_lines();
            let logs = &mut model.inspector.logs;
            logs.toggle_follow(area.width.into(), area.height.into());
        }
        Cmd::Wrap => {
            model.inspector.logs.wrap ^= true;
            model.inspector.logs.left = 0;
        }
        Cmd::Timestamps => {
            let logs = &mut model.inspector.logs;
            logs.timestamps = match logs.timestamps {
                Timestamps::Short => Timestamps::Full,
                Timestamps::Full => Timestamps::Off,
                Timestamps::Off => Timestamps::Short,
            };
        }
        Cmd::Container => choose_container(model),
        Cmd::FaultsOnly => {
            model.list.faults_only ^= true;
            model.pending.is_list_stale = true;
        }
        Cmd::Attention => attention::open(model),
        Cmd::Span => model.inspector.span = model.inspector.span.other(),
        Cmd::Processes(order) => {
            model.inspector.procs_order = order;
            model.inspector.procs_top = 0;
        }
        Cmd::Story => {
            model.inspector.story_only ^= true;
            model.inspector.events_top = 0;
        }
        Cmd::Excerpt => return attention::excerpt(model),
        Cmd::Mark => model.list.toggle_mark(),
        Cmd::MarkRange => model.list.mark_range(),
        Cmd::SortPicker => pick_sort(model),
        Cmd::NextMatch => find(model, true),
        Cmd::PreviousMatch => find(model, false),
        Cmd::Redraw => return vec![Effect::Redraw],
        Cmd::Suspend => return suspend(model),
        Cmd::Shell => return terminal::ask(model, terminal::Ask::Shell),
        Cmd::Attach => return terminal::ask(model, terminal::Ask::Attach),
        Cmd::Log(cmd) => return logs::run(model, cmd),
        Cmd::Terminal(cmd) => return terminal::run(model, cmd),
        // Places with keys of their own have these: a replay, the editor, overlays.
        Cmd::Replay(_) | Cmd::Editor(_) | Cmd::Input(_) => {}
    }
    Vec::new()
}

pub(super) fn suspend(model: &mut Model) -> Vec<Effect> {
    model.terms.outer_was_reset();
    let mut effects = vec![Effect::Suspend];
    // Taking the terminal again takes the mouse as well.
    effects.extend(model.pending.is_mouse_off.then_some(Effect::Mouse(false)));
    effects
}

/// Gives the list more or less of the screen, by thousandths.
fn move_divider(model: &mut Model, by: i16) {
    let areas = model.areas();
    let (divider, edge) = if areas.divider.is_empty() {
        (Divider::Rows, Position::new(0, areas.list.bottom()))
    } else {
        (Divider::Columns, areas.divider.as_position())
    };
    if areas.list.is_empty() || areas.inspector.is_empty() {
        return model.say("only one region is shown; there is nothing to divide");
    }
    if let Some(share) = areas.share_at(divider, edge) {
        let share = share.saturating_add_signed(by).clamp(50, 950);
        *model.shares.of(divider) = Some(share);
    }
}

/// Rows of the focused region.
fn page(model: &Model) -> isize {
    let rows = match model.focus {
        Focus::List => model.areas().list.height.saturating_sub(1),
        Focus::Inspector => model.inspector_content().height,
        Focus::Terminal => terminal::content(model.areas().terminal).height,
    };
    isize::try_from(rows.max(1)).unwrap_or(1)
}

pub(super) fn move_by(model: &mut Model, lines: isize) {
    match model.focus {
        Focus::List => {
            let index = model.list.index().saturating_add_signed(lines);
            model.list.select(index);
        }
        Focus::Inspector => scroll_inspector(model, lines),
        Focus::Terminal => terminal::walk(model, Motion::Lines(lines)),
    }
}

pub(super) fn scroll_inspector(model: &mut Model, lines: isize) {
    let is_log = model.tab() == Tab::Logs;
    let area = if is_log {
        model.log_lines()
    } else {
        model.inspector_content()
    };
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let event_rows = match model.tab() {
        Tab::Events => crate::tui::panes::event_rows(model),
        Tab::Logs | Tab::Spec | Tab::Procs | Tab::Metrics | Tab::Describe => 0,
    };
    let inspector = &mut model.inspector;
    let scroll = |top: usize, all: usize| {
        top.saturating_add_signed(lines)
            .min(all.saturating_sub(height))
    };
    match inspector.tab(model.list.kind) {
        Tab::Logs => match lines {
            0 => {}
            lines if inspector.logs.selection.is_some() => {
                inspector.logs.move_selection(lines, width, height);
            }
            lines if lines < -1_000_000 => inspector.logs.go_to_start(),
            lines if lines > 1_000_000 => inspector.logs.follow(),
            lines => inspector.logs.scroll(lines, width, height),
        },
        Tab::Events => inspector.events_top = scroll(inspector.events_top, event_rows),
        Tab::Procs => {
            let all = inspector.processes.rows.len() + 1;
            inspector.procs_top = scroll(inspector.procs_top, all);
        }
        Tab::Metrics => {}
        Tab::Spec => inspector.spec_top = scroll(inspector.spec_top, inspector.spec.len()),
        Tab::Describe => {
            inspector.describe_top = scroll(inspector.describe_top, inspector.describe.len())
        }
    }
}

/// Through the regions: list, inspector, terminal.
fn step_focus(model: &mut Model, forward: bool) {
    let has_terminal = model.terms.is_shown();
    match (model.focus, forward) {
        (Focus::Inspector, true) | (Focus::List, false) if has_terminal => terminal::focus(model),
        _ => switch_focus(model),
    }
}

fn switch_focus(model: &mut Model) {
    let has_inspector = model.is_zoomed || model.areas().inspector.height > 0;
    model.focus = match model.focus {
        Focus::List => {
            // Too small for both: the inspector takes the whole body.
            model.is_zoomed |= !has_inspector;
            Focus::Inspector
        }
        Focus::Inspector | Focus::Terminal => Focus::List,
    };
}

pub(super) fn show(model: &mut Model, tab: Tab) {
    if !model.inspector.show(model.list.kind, tab) {
        let text = format!("{} have no {}", model.list.kind.plural(), tab.title());
        model.complain(text);
        return;
    }
    if model.focus == Focus::List && model.areas().inspector.height == 0 {
        switch_focus(model);
    }
}

/// True when the focused tab had something to leave: a search, a selection.
fn ends_of_tab(model: &mut Model) -> bool {
    match model.tab() {
        Tab::Logs => model.focus == Focus::Inspector && logs::back(model),
        Tab::Spec | Tab::Describe => model.place() == Place::Text && model.inspector.search.stop(),
        Tab::Events | Tab::Procs | Tab::Metrics => false,
    }
}

/// Pops exactly one level; at the root nothing happens.
fn back(model: &mut Model) {
    if model.terms.active().is_some_and(Session::is_browsing) && model.focus == Focus::Terminal {
        terminal::browse(model, false);
    } else if model.is_zoomed {
        model.is_zoomed = false;
        if model.areas().inspector.height == 0 {
            model.focus = Focus::List;
        }
    } else if ends_of_tab(model) {
        // The tab itself stays.
    } else if model.focus != Focus::List {
        model.focus = Focus::List;
    } else if model.list.clear_marks() {
    } else if !model.list.filter.is_empty() || model.list.faults_only {
        model.list.filter.clear();
        model.list.faults_only = false;
        model.pending.is_list_stale = true;
    } else if model.list.kind != Kind::Pod {
        model.list.show_kind(Kind::Pod);
        model.pending.is_list_stale = true;
    }
}

fn quit(model: &mut Model) -> Vec<Effect> {
    if model.is_zoomed || model.focus != Focus::List {
        back(model);
        return Vec::new();
    }
    leave(model)
}

/// Leaves podtui, from wherever; asks first when that decides about running pods.
pub(super) fn leave(model: &mut Model) -> Vec<Effect> {
    // Between the deletion and the creation of what is recreated there is only this screen.
    if let Some(words) = model.editing.in_the_air() {
        let text = format!("{words}: leave when that is told to be done");
        model.complain(text);
        return Vec::new();
    }
    if delete::ask_before_leaving(model) {
        return Vec::new();
    }
    // To stop pods would be a change.
    if model.session.is_readonly {
        return vec![Effect::Exit(ExitChoice::Keep)];
    }
    let owns_engine = model.session.connection == Connection::Up { owns_engine: true };
    let is_active =
        |row: &std::sync::Arc<Row>| row.pod.as_ref().is_some_and(|facts| facts.is_active);
    let running = model
        .collections
        .rows(Kind::Pod)
        .filter(|row| is_active(row))
        .count();
    match model.session.on_exit {
        OnExit::Stop => return vec![Effect::Exit(ExitChoice::Stop)],
        OnExit::Ask if owns_engine && running > 0 => {}
        OnExit::Ask | OnExit::Keep => return vec![Effect::Exit(ExitChoice::Keep)],
    }
    let answer = |key, text: &str, action| Answer {
        key,
        text: text.to_owned(),
        action,
    };
    model.overlays.push(Overlay::Confirm(Confirm {
        title: "leave podtui".to_owned(),
        text: vec![
            match running {
                1 => "1 pod is still active.".to_owned(),
                many => format!("{many} pods are still active."),
            },
            "Keep running: the engine moves to the background, the next podtui finds it."
                .to_owned(),
            "Stop: containers end now; the pods start again with the next podtui.".to_owned(),
        ],
        answers: vec![
            answer('k', "Keep running", AnswerAction::Exit(ExitChoice::Keep)),
            answer('s', "Stop them", AnswerAction::Exit(ExitChoice::Stop)),
            answer('c', "Cancel", AnswerAction::Nothing),
        ],
        chosen: 0,
    }));
    Vec::new()
}

fn open_filter(model: &mut Model) {
    let prompt = match model.focus {
        Focus::List => Prompt::new(PromptKind::Filter, model.list.filter.clone()),
        Focus::Inspector => match model.tab() {
            Tab::Logs => Prompt {
                before: model.inspector.logs.search.clone(),
                ..Prompt::new(PromptKind::Search, "")
            },
            Tab::Spec | Tab::Describe => {
                let before = model.inspector.search.text().to_owned();
                Prompt {
                    before,
                    ..Prompt::new(PromptKind::TextSearch, "")
                }
            }
            tab @ (Tab::Events | Tab::Procs | Tab::Metrics) => {
                let title = tab.title();
                return model.say(format!(
                    "no search in {title}: Logs, Spec and Describe have one"
                ));
            }
        },
        Focus::Terminal => Prompt::new(PromptKind::TerminalSearch, ""),
    };
    model.overlays.push(Overlay::Prompt(prompt));
}

fn pick_sort(model: &mut Model) {
    let list = &model.list;
    let columns = columns_of(list.kind, list.namespace.is_none(), true);
    let sortable = columns.iter().filter(|column| is_sortable(column.id));
    let items: Vec<PickItem> = sortable
        .enumerate()
        .map(|(index, column)| PickItem {
            key: (index + 1).to_string(),
            text: column.id.name_in(list.kind).to_lowercase(),
            action: PickAction::Run(Cmd::Sort(column.id)),
        })
        .collect();
    let current = items
        .iter()
        .position(|item| item.action == PickAction::Run(Cmd::Sort(list.sort.column)));
    let mut picker = Picker::new("sort by (again: reverse)", items);
    picker.selected = current.unwrap_or(0);
    model.overlays.push(Overlay::Picker(picker));
}

fn new_items() -> Vec<PickItem> {
    let item = |key: &str, text: &str, from| PickItem {
        key: key.to_owned(),
        text: text.to_owned(),
        action: PickAction::New(from),
    };
    vec![
        item(
            "template",
            "a small pod to start from, in the editor",
            NewFrom::Template,
        ),
        item(
            "file",
            "create the objects of a file or directory as they are",
            NewFrom::File,
        ),
        item("copy", "open a file in the editor", NewFrom::CopyOfFile),
        item(
            "run",
            "paste a docker run or podman run line",
            NewFrom::RunLine,
        ),
    ]
}

/// Begins something new.
pub(super) fn create_from(model: &mut Model, from: NewFrom) -> Vec<Effect> {
    let kind = match from {
        NewFrom::Template => {
            editor::new_from_template(model);
            return Vec::new();
        }
        NewFrom::File => PromptKind::CreatePath,
        NewFrom::CopyOfFile => PromptKind::EditPath,
        NewFrom::RunLine => PromptKind::RunLine,
    };
    model.overlays.push(Overlay::Prompt(Prompt::new(kind, "")));
    match from {
        NewFrom::File | NewFrom::CopyOfFile => vec![Effect::ListPaths(String::new())],
        NewFrom::Template | NewFrom::RunLine => Vec::new(),
    }
}

fn choose_container(model: &mut Model) {
    let sources = &model.inspector.logs.sources;
    let item = |key: String, text: String, choice| PickItem {
        key,
        text,
        action: PickAction::Container(choice),
    };
    let mut items = vec![item(
        "*".to_owned(),
        "all containers, merged".to_owned(),
        None,
    )];
    items.extend(
        sources
            .iter()
            .enumerate()
            .map(|(index, source)| item((index + 1).to_string(), source.name.clone(), Some(index))),
    );
    let mut picker = Picker::new("logs of", items);
    picker.selected = model.inspector.logs.choice.map_or(0, |choice| choice + 1);
    model.overlays.push(Overlay::Picker(picker));
}

/// A search that has just been typed: in what was said before, and only if there is nothing, in what follows.
pub(super) fn find_first(model: &mut Model) {
    let area = model.log_lines();
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let logs = &mut model.inspector.logs;
    if !logs.find(false, width, height) && !logs.find(true, width, height) {
        let text = format!("no match of {:?}", logs.search);
        model.say(text);
    }
}

pub(super) fn find(model: &mut Model, forward: bool) {
    if model.focus == Focus::Terminal {
        terminal::find(model, None, forward);
        return;
    }
    if model.place() == Place::Text {
        return find_in_text(model, Some(forward));
    }
    let area = model.log_lines();
    let logs = &mut model.inspector.logs;
    if logs.search.is_empty() {
        model.say("nothing to search for: / starts a search");
    } else if !logs.find(forward, area.width.into(), area.height.into()) {
        let text = format!(
            "no {} match of {:?}",
            if forward { "next" } else { "earlier" },
            logs.search
        );
        model.say(text);
    }
}

/// Goes to the next match in Spec or Describe, or to the one before; `None`: what was typed is new.
pub(super) fn find_in_text(model: &mut Model, forward: Option<bool>) {
    let height = usize::from(model.inspector_content().height);
    let tab = model.tab();
    let Some((lines, top, search)) = model.inspector.searched(tab) else {
        return;
    };
    if search.text().is_empty() {
        return model.say("nothing to search for: / starts a search");
    }
    let view = *top..*top + height;
    let found = match forward {
        None => search.first(lines, *top),
        Some(forward) => search.step(lines, view.clone(), forward),
    };
    match found {
        Some(line) if view.contains(&line) => {}
        // With some of what is before it.
        Some(line) => {
            let last_top = lines.len().saturating_sub(height);
            *top = line.saturating_sub(height / 3).min(last_top);
        }
        None => {
            let which = match forward {
                None => "",
                Some(true) => "next ",
                Some(false) => "earlier ",
            };
            let text = format!("no {which}match of {:?}", search.text());
            model.say(text);
        }
    }
}
