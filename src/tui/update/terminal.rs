//! Terminals: opened on the selected pod, typed into, scrolled, closed.

use crossterm::event::{KeyEvent, MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use crate::base::{SessionEnd, TerminalSize};
use crate::model::{Object, pod as pods};
use crate::tui::effect::Effect;
use crate::tui::keymap::{Cmd, Key, Place, TermCmd};
use crate::tui::logs::Target;
use crate::tui::model::Model;
use crate::tui::msg::TtyNews;
use crate::tui::overlay::{Focus, Overlay, PickAction, PickItem, Picker};
use crate::tui::term::{MAX_SESSIONS, Motion, Outcome, Purpose, SessionId, State};

/// Which command asked for a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Shell,
    Attach,
}

pub(super) fn ask(model: &mut Model, ask: Ask) -> Vec<Effect> {
    let verb = match ask {
        Ask::Shell => "a shell",
        Ask::Attach => "attach",
    };
    let Some((target, containers)) = running_containers(model, ask) else {
        model.complain(format!("{verb} needs a pod: select one in the list"));
        return Vec::new();
    };
    if containers.is_empty() {
        let text = not_running(model, verb);
        model.complain(text);
        return Vec::new();
    }
    // The container whose log is shown alone is the one that is meant.
    let logs = &model.inspector.logs;
    let shown = logs
        .choice
        .filter(|_| logs.target.as_ref() == Some(&target))
        .and_then(|choice| logs.sources.get(choice))
        .map(|source| source.name.clone());
    let meant = containers
        .iter()
        .position(|(name, _)| Some(name) == shown.as_ref());
    let title = format!("{verb}: containers of {}", target.key.name);
    let items = containers
        .iter()
        .enumerate()
        .map(|(index, (name, _))| PickItem {
            key: (index + 1).to_string(),
            text: name.clone(),
            action: PickAction::Terminal(index),
        });
    let picker = Picker::new(title, items.collect());
    let only = (containers.len() == 1).then_some(0);
    model.terms.offered = Some((target, containers));
    match meant.or(only) {
        Some(index) => picked(model, index),
        None => {
            model.overlays.push(Overlay::Picker(picker));
            Vec::new()
        }
    }
}

/// The running containers of the selected pod; `None` when that is no pod.
fn running_containers(model: &Model, ask: Ask) -> Option<(Target, Vec<(String, Purpose)>)> {
    let row = model.list.selected()?;
    let facts = row.pod.as_ref()?;
    let Object::Pod(pod) = row.object.to_object() else {
        return None;
    };
    let purpose = |name: &str| {
        let spec = pod.spec.as_ref()?;
        let container = pods::find_container(spec, name)?;
        Some(match ask {
            Ask::Shell => Purpose::Shell,
            Ask::Attach => Purpose::Attach {
                tty: container.tty == Some(true),
                stdin: container.stdin == Some(true),
            },
        })
    };
    let containers = facts
        .containers
        .iter()
        .filter(|container| container.is_running)
        .filter_map(|container| Some((container.name.clone(), purpose(&container.name)?)));
    let target = Target {
        key: row.key.clone(),
        uid: row.object.uid(),
    };
    Some((target, containers.collect()))
}

fn not_running(model: &Model, verb: &str) -> String {
    let row = model.list.selected();
    let name = row.map_or("-", |row| row.key.name.as_str());
    let facts = row.and_then(|row| row.pod.as_ref());
    let why = facts.and_then(|facts| facts.why.as_ref());
    let reason = match (why, facts) {
        (Some(why), _) => why.words(model.now),
        (None, Some(facts)) => facts.summary.status.clone(),
        (None, None) => String::new(),
    };
    format!("{verb}: no container of {name} is running ({reason})")
}

pub(super) fn picked(model: &mut Model, index: usize) -> Vec<Effect> {
    let Some((target, containers)) = model.terms.offered.take() else {
        return Vec::new();
    };
    let Some((container, purpose)) = containers.into_iter().nth(index) else {
        return Vec::new();
    };
    if model.terms.reuse(&target, &container, purpose) {
        focus(model);
        return Vec::new();
    }
    if model.terms.is_full() {
        let chord = model
            .keymap
            .key_text(Place::Terminal, Cmd::Terminal(TermCmd::Chord));
        let close = model
            .keymap
            .key_text(Place::Chord, Cmd::Terminal(TermCmd::Close));
        model.complain(format!(
            "{MAX_SESSIONS} terminals are open: close one first ({chord} {close})"
        ));
        return Vec::new();
    }
    let size = model.next_terminal_size(false);
    let effect = model.terms.open(target, container, purpose, size);
    focus(model);
    vec![effect]
}

/// Below the title.
pub(super) fn content(region: Rect) -> Rect {
    let title = region.height.min(1);
    Rect {
        y: region.y + title,
        height: region.height - title,
        ..region
    }
}

pub(super) fn size_of(area: Rect) -> Option<TerminalSize> {
    (area.width > 0 && area.height > 0).then_some(TerminalSize {
        columns: area.width,
        rows: area.height,
    })
}

pub(super) fn focus(model: &mut Model) {
    if model.focus != Focus::Terminal {
        model.is_zoomed = false;
    }
    model.focus = Focus::Terminal;
}

/// The list gets the keys, or the editor that is open.
pub(super) fn leave(model: &mut Model) {
    model.terms.is_chord = false;
    model.is_zoomed = false;
    model.focus = match model.editing.editor {
        Some(_) => Focus::Inspector,
        None => Focus::List,
    };
}

pub(super) fn on_key(model: &mut Model, event: KeyEvent) -> Vec<Effect> {
    let place = model.place();
    let cmd = model.keymap.command(place, Key::of(event));
    if place == Place::Chord {
        // One key, known or not.
        model.terms.is_chord = false;
    }
    match cmd {
        Some(cmd) => super::commands::run(model, cmd),
        None if place == Place::Terminal => {
            let outcomes = model.terms.active_mut().map(|session| session.key(event));
            carry_out(model, outcomes.unwrap_or_default())
        }
        None => Vec::new(),
    }
}

pub(super) fn on_paste(model: &mut Model, text: &str) -> Vec<Effect> {
    if model.place() != Place::Terminal {
        return Vec::new();
    }
    let outcomes = model.terms.active_mut().map(|session| session.paste(text));
    carry_out(model, outcomes.unwrap_or_default())
}

fn carry_out(model: &mut Model, outcomes: Vec<Outcome>) -> Vec<Effect> {
    let mut effects = Vec::new();
    for outcome in outcomes {
        match outcome {
            Outcome::Effect(effect) => effects.push(*effect),
            Outcome::Detach => effects.extend(run(model, TermCmd::Detach)),
            Outcome::Say(text) => model.say(text),
        }
    }
    effects
}

pub(super) fn run(model: &mut Model, cmd: TermCmd) -> Vec<Effect> {
    match cmd {
        TermCmd::Chord => model.terms.is_chord = true,
        TermCmd::Detach => return detach(model),
        TermCmd::Close => return close(model),
        TermCmd::Restart => return model.terms.restart(),
        TermCmd::Leave => leave(model),
        TermCmd::Next => model.terms.step(true),
        TermCmd::Previous => model.terms.step(false),
        TermCmd::Literal => {
            let session = model.terms.active_mut();
            let outcomes = session.map(|session| session.literal(vec![0x1d]));
            return carry_out(model, outcomes.unwrap_or_default());
        }
        TermCmd::AllowClipboard | TermCmd::RefuseClipboard => {
            let is_allowed = cmd == TermCmd::AllowClipboard;
            let session = model.terms.active_mut();
            let outcomes = session.map(|session| session.answer_clipboard(is_allowed));
            return carry_out(model, outcomes.unwrap_or_default());
        }
        TermCmd::Scroll => browse(model, true),
        TermCmd::Walk(motion) => walk(model, motion),
        TermCmd::Select | TermCmd::SelectLines => {
            if let Some(session) = model.terms.active_mut() {
                session.toggle_selection(cmd == TermCmd::SelectLines);
            }
        }
        TermCmd::Copy => {
            let Some(text) = model
                .terms
                .active()
                .and_then(|session| session.selected_text())
            else {
                model.say("nothing is selected: v starts to select");
                return Vec::new();
            };
            browse(model, false);
            return copy(model, text);
        }
    }
    Vec::new()
}

fn copy(model: &mut Model, text: String) -> Vec<Effect> {
    let characters = match text.chars().count() {
        1 => "1 character".to_owned(),
        many => format!("{many} characters"),
    };
    model.say(format!(
        "{characters} sent to the clipboard of the terminal"
    ));
    vec![Effect::Copy(text)]
}

pub(super) fn browse(model: &mut Model, is_on: bool) {
    if let Some(session) = model.terms.active_mut() {
        session.browse(is_on);
    }
}

pub(super) fn walk(model: &mut Model, motion: Motion) {
    if let Some(session) = model.terms.active_mut() {
        session.walk(motion);
    }
}

/// An attached container is let go; a shell goes on out of sight, `s` brings it back.
fn detach(model: &mut Model) -> Vec<Effect> {
    let Some(session) = model.terms.active() else {
        return Vec::new();
    };
    let name = session.container.clone();
    if !session.is_alive() {
        return close(model);
    }
    match session.purpose {
        Purpose::Attach { .. } => {
            model.say(format!("detached from {name}, which goes on"));
            return close(model);
        }
        Purpose::Shell => {
            let key = model.keymap.key_text(Place::List, Cmd::Shell);
            model.say(format!("the shell in {name} goes on: {key} shows it again"));
        }
        Purpose::Editor => model.say(format!("{name} goes on: enter shows it again")),
    }
    model.terms.hide();
    leave(model);
    Vec::new()
}

fn close(model: &mut Model) -> Vec<Effect> {
    if model
        .terms
        .active()
        .is_some_and(|session| session.purpose == Purpose::Editor)
    {
        crate::tui::editor::ask_close_outside(model);
        return Vec::new();
    }
    let effects = model.terms.close();
    if !model.terms.is_shown() {
        leave(model);
    }
    effects
}

pub(super) fn find(model: &mut Model, text: Option<&str>, forward: bool) {
    let Some(session) = model.terms.active_mut() else {
        return;
    };
    match session.search(text, forward) {
        Ok(()) => {}
        Err(problem) => model.say(problem),
    }
}

pub(super) fn on_news(model: &mut Model, id: SessionId, news: TtyNews) -> Vec<Effect> {
    let now = model.now;
    let is_visible = model.terms.is_visible(id);
    let Some(session) = model.terms.get_mut(id) else {
        return Vec::new();
    };
    let outcomes = match news {
        TtyNews::Started(program) => {
            session.state = State::Running(program);
            Vec::new()
        }
        TtyNews::Output(chunk) => session.output(&chunk.bytes, now),
        TtyNews::Release(hold) => session.release(hold, now),
        TtyNews::InputFull => {
            let name = session.container.clone();
            model.complain(format!("{name} does not read its input: keys were lost"));
            Vec::new()
        }
        TtyNews::Ended(end) => {
            ended(model, id, end);
            Vec::new()
        }
    };
    model.pending.is_dirty |= is_visible;
    carry_out(model, outcomes)
}

/// What could not start leaves no empty region behind: its reason is a message.
fn ended(model: &mut Model, id: SessionId, end: SessionEnd) {
    let is_visible = model.terms.is_visible(id);
    let Some(session) = model.terms.get_mut(id) else {
        return;
    };
    let never_started = session.state == State::Opening;
    let name = session.container.clone();
    session.state = State::Ended(end.clone());
    model.pending.is_dirty = true;
    match end {
        SessionEnd::Failed(problem) if never_started => {
            model.complain(format!("{name}: {problem}"));
            if is_visible {
                close(model);
            }
        }
        SessionEnd::Failed(problem) => model.complain(format!("terminal of {name}: {problem}")),
        SessionEnd::Exited(code) if !is_visible => {
            model.say(format!("the shell in {name} exited with {code}"));
        }
        SessionEnd::Exited(_) | SessionEnd::Closed => {}
    }
}

/// `None` when the event is not for a terminal.
pub(super) fn on_mouse(model: &mut Model, event: MouseEvent) -> Option<Vec<Effect>> {
    if !model.overlays.is_empty() {
        return None;
    }
    let area = content(model.areas().terminal);
    let is_inside = area.contains(Position::new(event.column, event.row));
    let is_captured = matches!(event.kind, MouseEventKind::Drag(_) | MouseEventKind::Up(_))
        && model.focus == Focus::Terminal;
    if area.is_empty() || !(is_inside || is_captured) {
        return None;
    }
    if let MouseEventKind::Down(_) = event.kind {
        focus(model);
    }
    let inside = MouseEvent {
        column: event.column.clamp(area.x, area.right() - 1) - area.x,
        row: event.row.clamp(area.y, area.bottom() - 1) - area.y,
        ..event
    };
    let session = model.terms.active_mut()?;
    if let Some(outcome) = session.mouse(inside) {
        return Some(carry_out(model, outcome.into_iter().collect()));
    }
    let at = (inside.column, inside.row);
    match event.kind {
        MouseEventKind::ScrollUp => session.scroll(3),
        MouseEventKind::ScrollDown => session.scroll(-3),
        MouseEventKind::Down(MouseButton::Left) => session.select_from(at),
        MouseEventKind::Drag(MouseButton::Left) => session.select_to(at),
        MouseEventKind::Up(MouseButton::Left) => {
            let clicked = session.clicked_link(at);
            let selected = session.take_selection();
            match (selected, clicked) {
                (Some(text), _) => return Some(copy(model, text)),
                (None, Some((host, url))) => model.say(format!("link to {host}: {url}")),
                (None, None) => {}
            }
        }
        _ => {}
    }
    Some(Vec::new())
}
