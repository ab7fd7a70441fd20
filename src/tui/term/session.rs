//! One terminal: what it is connected to, its emulator, and what its program may do outside of it.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseEvent};
use jiff::{SignedDuration, Timestamp};
use ratatui::style::Style;

use super::emulator::{Emulator, Motion, MouseMode, Report};
use super::input;
use super::osc::host_of;
use crate::base::{SessionEnd, TerminalSize};
use crate::tui::effect::Effect;
use crate::tui::logs::Target;
use crate::tui::sanitize::plain;

/// Titles change and notifications come at most this often.
const QUIET: SignedDuration = SignedDuration::from_secs(5);
const TITLE_EVERY: SignedDuration = SignedDuration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::tui) struct SessionId(pub(super) u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Purpose {
    /// A shell of its own in the container.
    Shell,
    /// The container's main process.
    Attach { tty: bool, stdin: bool },
    /// `$EDITOR`, on this machine.
    Editor,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) enum State {
    Opening,
    /// With what runs in it: `bash`, or the container.
    Running(String),
    Ended(SessionEnd),
}

/// Whether the program may write the user's clipboard: asked once, remembered for the session.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Clipboard {
    Ask,
    Waiting(String),
    Allowed,
    Refused,
}

#[derive(Debug)]
pub(in crate::tui) struct Session {
    pub(in crate::tui) id: SessionId,
    pub(in crate::tui) target: Target,
    /// Or `$EDITOR`.
    pub(in crate::tui) container: String,
    pub(in crate::tui) purpose: Purpose,
    pub(in crate::tui) state: State,
    pub(super) emulator: Box<dyn Emulator>,
    title: String,
    /// Came too soon after the one before.
    next_title: Option<String>,
    titled_at: Option<Timestamp>,
    notified_at: Option<Timestamp>,
    clipboard: Clipboard,
    /// The last key was the first half of ctrl-p ctrl-q.
    had_ctrl_p: bool,
    /// A synchronised update began so often; a timer of an earlier one is stale.
    holds: u64,
    /// The button that is down was told to the program.
    pressed_inside: bool,
    searched: String,
}

/// What a key or a report of the program means outside of the session.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::tui) enum Outcome {
    Effect(Box<Effect>),
    Detach,
    Say(String),
}

impl Session {
    pub(super) fn new(
        id: SessionId,
        target: Target,
        container: String,
        purpose: Purpose,
        emulator: Box<dyn Emulator>,
    ) -> Self {
        Self {
            id,
            target,
            container,
            purpose,
            state: State::Opening,
            emulator,
            title: String::new(),
            next_title: None,
            titled_at: None,
            notified_at: None,
            clipboard: Clipboard::Ask,
            had_ctrl_p: false,
            holds: 0,
            pressed_inside: false,
            searched: String::new(),
        }
    }

    pub(in crate::tui) fn is_alive(&self) -> bool {
        !matches!(self.state, State::Ended(_))
    }

    pub(in crate::tui) fn has_terminal(&self) -> bool {
        !matches!(self.purpose, Purpose::Attach { tty: false, .. })
    }

    pub(in crate::tui) fn takes_input(&self) -> bool {
        !matches!(self.purpose, Purpose::Attach { stdin: false, .. })
    }

    /// The title the program has set, safe to draw.
    pub(in crate::tui) fn title(&self) -> &str {
        &self.title
    }

    pub(in crate::tui) fn is_browsing(&self) -> bool {
        self.emulator.is_browsing()
    }

    pub(in crate::tui) fn scrolled(&self) -> (usize, usize) {
        self.emulator.scrolled()
    }

    /// Characters that wait for a yes before they go to the clipboard.
    pub(in crate::tui) fn waiting_clipboard(&self) -> Option<usize> {
        match &self.clipboard {
            Clipboard::Waiting(text) => Some(text.chars().count()),
            Clipboard::Ask | Clipboard::Allowed | Clipboard::Refused => None,
        }
    }

    pub(in crate::tui) fn answer_clipboard(&mut self, is_allowed: bool) -> Vec<Outcome> {
        let answer = if is_allowed {
            Clipboard::Allowed
        } else {
            Clipboard::Refused
        };
        let before = std::mem::replace(&mut self.clipboard, answer);
        match before {
            Clipboard::Waiting(text) if is_allowed => {
                vec![Outcome::Effect(Box::new(Effect::Copy(text)))]
            }
            Clipboard::Ask | Clipboard::Waiting(_) | Clipboard::Allowed | Clipboard::Refused => {
                Vec::new()
            }
        }
    }

    pub(super) fn send(&self, bytes: Vec<u8>) -> Outcome {
        Outcome::Effect(Box::new(Effect::SendTty { id: self.id, bytes }))
    }

    /// A key that was not meant for podtui.
    pub(in crate::tui) fn key(&mut self, event: KeyEvent) -> Vec<Outcome> {
        let is_ctrl = |letter| {
            event.code == KeyCode::Char(letter) && event.modifiers == KeyModifiers::CONTROL
        };
        // ctrl-p has been sent already, as always: only the ctrl-q behind it is special.
        let is_second = std::mem::replace(&mut self.had_ctrl_p, is_ctrl('p')) && is_ctrl('q');
        // It is what one knows of containers; in an editor both keys are for editing.
        if is_second && self.purpose != Purpose::Editor {
            return vec![Outcome::Detach];
        }
        // Where nothing can be typed, what ends every other program leaves.
        let leaves = event.code == KeyCode::Esc || is_ctrl('c');
        if leaves && self.is_alive() && !self.takes_input() {
            return vec![Outcome::Detach];
        }
        let Some(bytes) = input::key(event, self.emulator.modes()) else {
            return Vec::new();
        };
        self.typed(bytes)
    }

    pub(in crate::tui) fn paste(&mut self, text: &str) -> Vec<Outcome> {
        let bytes = input::paste(text, self.emulator.modes());
        self.typed(bytes)
    }

    fn typed(&mut self, mut bytes: Vec<u8>) -> Vec<Outcome> {
        self.show_present();
        if !self.takes_input() {
            let text = format!(
                "{} reads no input (stdin: false); esc leaves",
                self.container
            );
            return vec![Outcome::Say(text)];
        }
        if !self.has_terminal() {
            // Nobody else does what a line discipline would: end lines with LF, echo. What the echo seems
            // to ask for is ignored.
            for byte in &mut bytes {
                if *byte == b'\r' {
                    *byte = b'\n';
                }
            }
            self.emulator.feed(&bytes);
        }
        vec![self.send(bytes)]
    }

    /// Leaves what was scrolled back to.
    fn show_present(&mut self) {
        if self.emulator.scrolled().0 > 0 {
            self.emulator.scroll(isize::MIN);
        }
        self.emulator.clear_selection();
    }

    pub(in crate::tui) fn output(&mut self, bytes: &[u8], now: Timestamp) -> Vec<Outcome> {
        let was_held = self.emulator.is_held();
        let reports = self.emulator.feed(bytes);
        let mut outcomes = self.obey(reports, now);
        if !was_held && self.emulator.is_held() {
            self.holds += 1;
            outcomes.push(Outcome::Effect(Box::new(Effect::ReleaseTtySoon {
                id: self.id,
                hold: self.holds,
            })));
        }
        outcomes
    }

    pub(in crate::tui) fn release(&mut self, hold: u64, now: Timestamp) -> Vec<Outcome> {
        if hold != self.holds {
            return Vec::new();
        }
        let reports = self.emulator.release();
        self.obey(reports, now)
    }

    fn obey(&mut self, reports: Vec<Report>, now: Timestamp) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for report in reports {
            match report {
                // Without a terminal there is nobody who asked; the answer would be taken for data.
                Report::Answer(bytes) if self.has_terminal() && self.takes_input() => {
                    outcomes.push(self.send(bytes));
                }
                Report::Answer(_) | Report::Bell => {}
                Report::Title(title) => self.next_title = Some(title),
                Report::Notification(text) => {
                    if is_due(self.notified_at, QUIET, now) {
                        self.notified_at = Some(now);
                        let text = format!("{}: {text}", self.container);
                        outcomes.push(Outcome::Say(text));
                    }
                }
                Report::Clipboard(text) => match self.clipboard {
                    Clipboard::Allowed => {
                        outcomes.push(Outcome::Effect(Box::new(Effect::Copy(text))))
                    }
                    Clipboard::Ask | Clipboard::Waiting(_) => {
                        self.clipboard = Clipboard::Waiting(text);
                    }
                    Clipboard::Refused => {}
                },
            }
        }
        self.settle_title(now);
        outcomes
    }

    /// Takes over a title that waits, if it is time to. True when the title is another now.
    pub(super) fn settle_title(&mut self, now: Timestamp) -> bool {
        if self.next_title.is_none() || !is_due(self.titled_at, TITLE_EVERY, now) {
            return false;
        }
        self.titled_at = Some(now);
        self.title = self.next_title.take().unwrap_or_default();
        true
    }

    /// Its program follows the mouse even when no button is down.
    pub(super) fn wants_motion(&self) -> bool {
        !self.is_browsing() && self.emulator.modes().mouse == MouseMode::Motion
    }

    /// `None`: the event is not the program's. `Some(None)`: it is, but there is nothing to tell.
    pub(in crate::tui) fn mouse(&mut self, event: MouseEvent) -> Option<Option<Outcome>> {
        use crossterm::event::MouseEventKind::{Down, Drag, Moved, Up};
        let modes = self.emulator.modes();
        let is_running = self.is_alive() && !self.is_browsing();
        if is_running && modes.mouse != MouseMode::Off {
            let is_wanted = match event.kind {
                Down(_) => {
                    self.pressed_inside = true;
                    true
                }
                Drag(_) => self.pressed_inside,
                Up(_) => std::mem::take(&mut self.pressed_inside),
                Moved => true,
                _ => true,
            };
            let bytes = input::mouse(event, modes).filter(|_| is_wanted);
            return Some(bytes.map(|bytes| self.send(bytes)));
        }
        let arrows = input::wheel_as_arrows(event.kind, modes).filter(|_| is_running)?;
        Some(Some(self.send(arrows)))
    }

    pub(in crate::tui) fn literal(&mut self, bytes: Vec<u8>) -> Vec<Outcome> {
        self.typed(bytes)
    }

    pub(in crate::tui) fn scroll(&mut self, lines: isize) {
        self.emulator.scroll(lines);
    }

    pub(in crate::tui) fn browse(&mut self, is_on: bool) {
        self.emulator.browse(is_on);
    }

    pub(in crate::tui) fn walk(&mut self, motion: Motion) {
        self.emulator.walk(motion);
    }

    pub(in crate::tui) fn toggle_selection(&mut self, lines: bool) {
        self.emulator.toggle_selection(lines);
    }

    pub(in crate::tui) fn select_from(&mut self, (column, row): (u16, u16)) {
        self.emulator.select_from(column, row);
    }

    pub(in crate::tui) fn select_to(&mut self, (column, row): (u16, u16)) {
        self.emulator.select_to(column, row);
    }

    pub(in crate::tui) fn selected_text(&self) -> Option<String> {
        self.emulator.selected_text()
    }

    /// What was selected with the mouse; a click alone selects nothing.
    pub(in crate::tui) fn take_selection(&mut self) -> Option<String> {
        let text = self.emulator.selected_text();
        if !self.is_browsing() {
            self.emulator.clear_selection();
        }
        text
    }

    /// The real host behind a link, and the whole address.
    pub(in crate::tui) fn clicked_link(
        &self,
        (column, row): (u16, u16),
    ) -> Option<(String, String)> {
        let url = self.emulator.link_at(column, row)?;
        Some((host_of(&url)?.to_owned(), url))
    }

    /// With `None` the last text is searched again. The problem is for the user.
    pub(in crate::tui) fn search(
        &mut self,
        text: Option<&str>,
        forward: bool,
    ) -> Result<(), String> {
        if let Some(text) = text {
            text.clone_into(&mut self.searched);
        }
        if self.searched.is_empty() {
            return Err("nothing to search for: / starts a search".to_owned());
        }
        if self.emulator.search(&self.searched, forward) {
            Ok(())
        } else {
            Err(format!("{:?} is not to be found", self.searched))
        }
    }

    pub(in crate::tui) fn cells(&self, draw: &mut dyn FnMut(u16, u16, &str, Style)) {
        self.emulator.cells(draw);
    }

    pub(super) fn resize(&mut self, size: TerminalSize) -> Option<Outcome> {
        if self.emulator.size() == size {
            return None;
        }
        self.emulator.resize(size);
        self.is_alive()
            .then_some(Outcome::Effect(Box::new(Effect::ResizeTty {
                id: self.id,
                size,
            })))
    }

    pub(super) fn focus(&self, is_focused: bool) -> Option<Outcome> {
        let bytes = input::focus(is_focused, self.emulator.modes()).filter(|_| self.is_alive())?;
        Some(self.send(bytes))
    }

    /// How it ended, for the border.
    pub(in crate::tui) fn end_text(&self) -> Option<String> {
        let State::Ended(end) = &self.state else {
            return None;
        };
        Some(match end {
            SessionEnd::Exited(code) => format!("exited {code}"),
            SessionEnd::Closed => "the container ended".to_owned(),
            SessionEnd::Failed(problem) => plain(problem),
        })
    }
}

fn is_due(last: Option<Timestamp>, every: SignedDuration, now: Timestamp) -> bool {
    last.is_none_or(|last| now.duration_since(last) >= every)
}
