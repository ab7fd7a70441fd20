//! All terminals of the screen, of which one is shown.

use jiff::Timestamp;

use super::emulator::{Cursor, CursorShape};
use super::session::{Outcome, Purpose, Session, SessionId, State};
use super::vt::Vt;
use crate::base::TerminalSize;
use crate::tui::effect::{Effect, OpenTerminal};
use crate::tui::logs::Target;

/// Each may keep 10,000 lines.
pub(in crate::tui) const MAX_SESSIONS: usize = 16;

#[derive(Debug, Default)]
pub(in crate::tui) struct Terminals {
    sessions: Vec<Session>,
    active: usize,
    /// As they were shown, the last one at the end.
    shown: Vec<SessionId>,
    /// Detached from: the sessions go on without a region.
    is_hidden: bool,
    /// The leader was pressed; the next key is podtui's.
    pub(in crate::tui) is_chord: bool,
    last_id: u64,
    /// Containers that a picker offers, with the pod they belong to.
    pub(in crate::tui) offered: Option<(Target, Vec<(String, Purpose)>)>,
    /// The session that was last told it has the focus.
    focused: Option<SessionId>,
    shape: CursorShape,
    /// The outer terminal was asked for every motion of the mouse.
    hears_motion: bool,
}

impl Terminals {
    pub(in crate::tui) fn is_shown(&self) -> bool {
        !self.is_hidden && !self.sessions.is_empty()
    }

    pub(in crate::tui) fn hide(&mut self) {
        self.is_hidden = true;
        self.is_chord = false;
    }

    pub(in crate::tui) fn active(&self) -> Option<&Session> {
        self.sessions.get(self.active)
    }

    pub(in crate::tui) fn active_mut(&mut self) -> Option<&mut Session> {
        self.sessions.get_mut(self.active)
    }

    /// Place of the active session among all, from 1, and their number.
    pub(in crate::tui) fn count(&self) -> (usize, usize) {
        (self.active + 1, self.sessions.len())
    }

    pub(in crate::tui) fn is_full(&self) -> bool {
        self.sessions.len() >= MAX_SESSIONS
    }

    pub(in crate::tui) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.iter_mut().find(|session| session.id == id)
    }

    /// The session is on the screen.
    pub(in crate::tui) fn is_visible(&self, id: SessionId) -> bool {
        self.is_shown() && self.active().is_some_and(|session| session.id == id)
    }

    pub(in crate::tui) fn step(&mut self, forward: bool) {
        let count = self.sessions.len();
        if count > 0 {
            let step = if forward { 1 } else { count - 1 };
            self.active = (self.active + step) % count;
        }
    }

    /// A living session of this kind that could be shown instead of a new one: an attached container is
    /// attached once; of the shells out of sight the one comes back that was shown last.
    pub(in crate::tui) fn reuse(
        &mut self,
        target: &Target,
        container: &str,
        purpose: Purpose,
    ) -> bool {
        let is_attach = matches!(purpose, Purpose::Attach { .. });
        let fits = |session: &Session| {
            session.is_alive()
                && session.target == *target
                && session.container == container
                && session.purpose == purpose
                && (is_attach || !self.is_visible(session.id))
        };
        let fitting = (0..self.sessions.len()).filter(|&index| fits(&self.sessions[index]));
        let found = fitting.max_by_key(|&index| {
            let id = self.sessions[index].id;
            self.shown.iter().position(|shown| *shown == id)
        });
        if let Some(index) = found {
            self.active = index;
            self.is_hidden = false;
        }
        found.is_some()
    }

    /// Adds a session and shows it. `size` is passed to the program before it starts.
    pub(in crate::tui) fn open(
        &mut self,
        target: Target,
        container: String,
        purpose: Purpose,
        size: TerminalSize,
    ) -> Effect {
        opening(self.add(target, container, purpose, size), size)
    }

    /// The same for `$EDITOR`; the editor starts it.
    pub(in crate::tui) fn open_editor(&mut self, target: Target, size: TerminalSize) -> SessionId {
        let name = "$EDITOR".to_owned();
        self.add(target, name, Purpose::Editor, size).id
    }

    fn add(
        &mut self,
        target: Target,
        container: String,
        purpose: Purpose,
        size: TerminalSize,
    ) -> &Session {
        let id = self.next_id();
        let newline = matches!(purpose, Purpose::Attach { tty: false, .. });
        let emulator = Box::new(Vt::new(size, newline));
        let session = Session::new(id, target, container, purpose, emulator);
        self.sessions.push(session);
        self.active = self.sessions.len() - 1;
        self.is_hidden = false;
        &self.sessions[self.active]
    }

    /// False when there is no such session.
    pub(in crate::tui) fn show(&mut self, id: SessionId) -> bool {
        let found = self.sessions.iter().position(|session| session.id == id);
        if let Some(index) = found {
            self.active = index;
            self.is_hidden = false;
        }
        found.is_some()
    }

    fn next_id(&mut self) -> SessionId {
        self.last_id += 1;
        SessionId(self.last_id)
    }

    /// Runs the active session's command again, in a new emulator.
    pub(in crate::tui) fn restart(&mut self) -> Vec<Effect> {
        let id = self.next_id();
        let Some(session) = self.active_mut() else {
            return Vec::new();
        };
        let size = session.emulator.size();
        let newline = !session.has_terminal();
        let emulator = Box::new(Vt::new(size, newline));
        let old = session.id;
        let (target, container) = (session.target.clone(), session.container.clone());
        *session = Session::new(id, target, container, session.purpose, emulator);
        vec![Effect::CloseTerminal(old), opening(session, size)]
    }

    /// Ends this session, shown or not.
    pub(in crate::tui) fn close_id(&mut self, id: SessionId) -> Vec<Effect> {
        let found = self.sessions.iter().position(|session| session.id == id);
        let Some(index) = found else {
            return Vec::new();
        };
        let shown = std::mem::replace(&mut self.active, index);
        let effects = self.close();
        if shown != index {
            self.active = shown - usize::from(shown > index);
        }
        effects
    }

    /// Ends the active session and shows the one before.
    pub(in crate::tui) fn close(&mut self) -> Vec<Effect> {
        if self.active >= self.sessions.len() {
            return Vec::new();
        }
        let session = self.sessions.remove(self.active);
        self.active = self.active.saturating_sub(1);
        self.is_chord = false;
        vec![Effect::CloseTerminal(session.id)]
    }

    /// Once per second. True when something visible changed.
    pub(in crate::tui) fn tick(&mut self, now: Timestamp) -> bool {
        let mut is_changed = false;
        let shown = self.is_shown();
        for (index, session) in self.sessions.iter_mut().enumerate() {
            let changed = session.settle_title(now);
            is_changed |= changed && shown && index == self.active;
        }
        is_changed
    }

    /// The cursor of the program in the shown session.
    pub(in crate::tui) fn cursor(&self) -> Option<Cursor> {
        let session = self.active().filter(|_| self.is_shown())?;
        let is_waiting = matches!(session.state, State::Opening);
        let is_visible = session.is_browsing() || (session.is_alive() && !is_waiting);
        session.emulator.cursor().filter(|_| is_visible)
    }

    fn note_shown(&mut self) {
        let Some(id) = self.active().map(|session| session.id) else {
            return self.shown.clear();
        };
        if self.is_shown() && self.shown.last() != Some(&id) {
            let sessions = &self.sessions;
            let lives = |shown: &SessionId| sessions.iter().any(|session| session.id == *shown);
            self.shown.retain(|shown| *shown != id && lives(shown));
            self.shown.push(id);
        }
    }

    /// The modes of the outer terminal are those of a fresh screen again.
    pub(in crate::tui) fn outer_was_reset(&mut self) {
        self.shape = CursorShape::Default;
        self.hears_motion = false;
    }

    /// What follows from the state of the screen: the size of the shown session, which session knows that it
    /// has the focus, the shape of the cursor.
    pub(in crate::tui) fn settle(
        &mut self,
        size: Option<TerminalSize>,
        has_focus: bool,
    ) -> Vec<Effect> {
        self.note_shown();
        let mut outcomes = Vec::new();
        if let (Some(size), true) = (size, self.is_shown()) {
            outcomes.extend(self.active_mut().and_then(|session| session.resize(size)));
        }
        let focused = self
            .active()
            .filter(|session| has_focus && self.is_shown() && session.is_alive())
            .map(|session| session.id);
        if focused != self.focused {
            let before = std::mem::replace(&mut self.focused, focused);
            for (id, is_focused) in [(before, false), (focused, true)] {
                let session = id.and_then(|id| self.get_mut(id));
                outcomes.extend(session.and_then(|session| session.focus(is_focused)));
            }
        }
        let shape = self
            .cursor()
            .filter(|_| has_focus)
            .map_or(CursorShape::Default, |cursor| cursor.shape);
        let mut effects: Vec<Effect> = outcomes
            .into_iter()
            .filter_map(|outcome| match outcome {
                Outcome::Effect(effect) => Some(*effect),
                Outcome::Detach | Outcome::Say(_) => None,
            })
            .collect();
        if std::mem::replace(&mut self.shape, shape) != shape {
            effects.push(Effect::CursorShape(shape));
        }
        let motion = focused.is_some() && self.active().is_some_and(Session::wants_motion);
        if std::mem::replace(&mut self.hears_motion, motion) != motion {
            effects.push(Effect::MouseMotion(motion));
        }
        effects
    }
}

fn opening(session: &Session, size: TerminalSize) -> Effect {
    Effect::OpenTerminal(Box::new(OpenTerminal {
        id: session.id,
        target: session.target.clone(),
        container: session.container.clone(),
        purpose: session.purpose,
        size,
    }))
}
