//! The one place where the state of the screen changes: `update(model, message) → effects`. Pure: no clock,
//! no files, no tasks.

mod attention;
mod commands;
mod delete;
mod images;
mod logs;
mod menu;
mod mouse;
mod overlays;
mod palette;
mod replies;
mod restart;
mod secrets;
mod sync;
mod terminal;
mod views;

use crossterm::event::MouseEventKind;

use super::columns::depends_on_usage;
use super::data::{Change, Liveness};
use super::effect::{Effect, ExitChoice};
use super::keymap::Key;
use super::model::{Connection, Model};
use super::msg::{LogNews, Msg, WatchNews};
use super::overlay::Focus;
use super::personal;
use crate::client::PodMetrics;
use crate::config::OnExit;
use crate::model::Kind;

pub(super) fn update(model: &mut Model, msg: Msg) -> Vec<Effect> {
    let mut effects = match msg {
        Msg::Tick(now) => {
            sync::tick(model, now);
            model.deletions.due(now)
        }
        // Only output of the terminal that is shown changes the screen.
        Msg::Tty { id, news } => terminal::on_news(model, id, news),
        // Motion is for programs in terminals alone; nothing of podtui follows it.
        Msg::Mouse(event) if event.kind == MouseEventKind::Moved => {
            terminal::on_mouse(model, event).unwrap_or_default()
        }
        // It is shown when all of it is there.
        Msg::MetricsPart(readings) => {
            model.metrics.add(readings);
            Vec::new()
        }
        // Nor do processes that do what they did before.
        Msg::Processes(target, reading) => {
            model.pending.is_dirty |= model.inspector.processes.update(&target, reading);
            Vec::new()
        }
        other => {
            model.pending.is_dirty = true;
            handle(model, other)
        }
    };
    effects.extend(sync::settle(model));
    if model.session.is_readonly {
        // Commands are refused before they come to this; what slips through ends here.
        effects.retain(|effect| !effect.changes_something());
    }
    effects
}

fn handle(model: &mut Model, msg: Msg) -> Vec<Effect> {
    match msg {
        Msg::Key(key) => return on_key(model, key),
        Msg::Mouse(event) => return mouse::on_mouse(model, event),
        Msg::Paste(text) => return on_paste(model, &text),
        Msg::Focus(is_focused) => model.pending.is_unfocused = !is_focused,
        Msg::Tty { id, news } => return terminal::on_news(model, id, news),
        Msg::Resize { columns, rows } => {
            model.screen = ratatui::layout::Rect::new(0, 0, columns, rows);
        }
        Msg::Terminate => {
            let choice = match model.session.on_exit {
                OnExit::Stop if !model.session.is_readonly => ExitChoice::Stop,
                OnExit::Stop | OnExit::Ask | OnExit::Keep => ExitChoice::Keep,
            };
            // Nobody can be asked: what was confirmed is carried out.
            let mut effects = model.deletions.all_now();
            effects.push(Effect::Exit(choice));
            return effects;
        }
        Msg::Suspend => return commands::suspend(model),
        Msg::Resumed => {
            model.terms.outer_was_reset();
            let mut effects = vec![Effect::Reenter];
            // Taking the terminal takes the mouse as well.
            effects.extend(model.pending.is_mouse_off.then_some(Effect::Mouse(false)));
            return effects;
        }
        Msg::Tick(now) => {
            sync::tick(model, now);
            return model.deletions.due(now);
        }
        Msg::Connected(info) => {
            // What this machine lacks is worth one line at the start, not the words of the kernel.
            for note in &info.notes {
                model.note(note);
            }
            // That there are some stands in the header: the row of hints is what a newcomer looks at now.
            model.session.machine_notes = info.notes.len();
            model.session.pids_limit = info.pod_pids_limit;
            model.session.connection = Connection::Up {
                owns_engine: info.pid == std::process::id(),
            };
        }
        Msg::ConnectFailed(problem) => {
            model.session.connection = Connection::Failed(super::sanitize::plain(&problem));
        }
        Msg::Watch {
            kind,
            generation,
            news,
        } => return on_watch(model, kind, generation, news),
        Msg::Logs {
            generation,
            source,
            news,
        } => {
            let logs = &mut model.inspector.logs;
            if generation == logs.generation {
                match news {
                    LogNews::Lines(lines) => logs.add(lines),
                    LogNews::Hidden { lines, newest } => logs.add_hidden(source, lines, newest),
                    LogNews::Skipped(from) => logs.skipped(from),
                    LogNews::Ended(problem) => logs.ended(source, problem),
                }
            }
        }
        Msg::LogPage { id, page } => {
            if let Some(word) = model.inspector.logs.take_page(id, *page) {
                model.say(word);
            }
        }
        Msg::MetricsPart(readings) => {
            let readings = in_view(model, readings);
            model.metrics.add(readings);
        }
        Msg::Metrics(Ok(readings)) => {
            let readings = in_view(model, readings);
            model.metrics.update(readings);
            model.pending.is_list_stale |= depends_on_usage(model.list.sort.column);
        }
        Msg::Processes(target, reading) => {
            model.inspector.processes.update(&target, reading);
        }
        Msg::Story(target, told) => {
            model.inspector.story.update(&target, told);
            model.inspector.logs.events_are_known = false;
        }
        // Usage is then shown as `-`; a cause worth telling shows in the watches as well.
        Msg::Metrics(Err(_)) => model.metrics.update(Vec::new()),
        Msg::PersonalUnwatched(problem) => model.complain(format!(
            "changes of config.toml, keys.toml and themes are not followed: {problem}"
        )),
        Msg::Images(news) => images::on_news(model, *news),
        Msg::Session(read) => views::on_read(model, *read),
        Msg::Personal(files) => {
            let before = std::mem::replace(&mut model.personal, *files);
            let now = model.personal.clone();
            personal::apply(model, &now, &before);
        }
        Msg::Reply(reply) => return replies::on_reply(model, reply),
    }
    Vec::new()
}

/// Without those that were asked for before the namespace was chosen.
fn in_view(model: &Model, mut readings: Vec<PodMetrics>) -> Vec<PodMetrics> {
    let namespace = model.list.namespace.as_deref();
    readings.retain(|one| namespace.is_none_or(|namespace| one.namespace == namespace));
    readings
}

fn on_key(model: &mut Model, key: crossterm::event::KeyEvent) -> Vec<Effect> {
    if !model.overlays.is_empty() {
        return overlays::on_key(model, key);
    }
    if model.focus == Focus::Terminal {
        return terminal::on_key(model, key);
    }
    if model.editing.editor.is_some() {
        return super::editor::on_key(model, key);
    }
    match model.keymap.command(model.place(), Key::of(key)) {
        Some(cmd) => commands::run(model, cmd),
        None => Vec::new(),
    }
}

/// A paste goes where keys go.
fn on_paste(model: &mut Model, text: &str) -> Vec<Effect> {
    if !model.overlays.is_empty() {
        return overlays::on_paste(model, text);
    }
    if model.focus == Focus::Terminal {
        return terminal::on_paste(model, text);
    }
    super::editor::on_paste(model, text);
    Vec::new()
}

fn on_watch(model: &mut Model, kind: Kind, generation: u64, news: WatchNews) -> Vec<Effect> {
    let Some(collection) = model.collections.of_watch(kind, generation) else {
        return Vec::new();
    };
    let mut changes = Vec::new();
    let is_listed = kind == model.list.kind;
    match news {
        WatchNews::Listed(rows) => {
            collection.reset(rows);
            model.pending.is_list_stale |= is_listed;
        }
        WatchNews::More(rows) => {
            collection.extend(rows);
            model.pending.is_list_stale |= is_listed;
        }
        WatchNews::Changes(events) => {
            changes.extend(events.into_iter().map(|event| collection.apply(event)));
        }
        WatchNews::Lost(problem) => {
            collection.liveness = Liveness::Broken(super::sanitize::plain(&problem));
        }
    }
    if kind == Kind::Event {
        model.inspector.logs.events_are_known = false;
    }
    model.pending.is_describe_stale = true;
    let fallen: Vec<_> = changes.iter().filter_map(Change::fallen).cloned().collect();
    if is_listed {
        model.pending.list_changes = changes;
    }
    let troubled = fallen.iter().filter_map(|row| sync::trouble(model, row));
    troubled.collect()
}

pub(in crate::tui) use restart::Restart;
