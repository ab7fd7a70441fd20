//! The whole state of the screen. Only [`super::update`] changes it, only `view` draws it.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ratatui::layout::Rect;

use super::alerts::Alerts;
use super::data::{Change, Collections, Health, Metrics};
use super::deletions::Deletions;
use super::editor::{Editing, Stage};
use super::images::Images;
use super::inspector::{Inspector, Tab};
use super::keymap::{Key, Keymap, Place};
use super::layout::{Areas, Divider, MANY_ROWS, Shares, Split, areas};
use super::list::List;
use super::logs::{LogPane, wrapped};
use super::look::Look;
use super::msg::Msg;
use super::notices::{Level, Notices};
use super::overlay::{Focus, Mode, Overlay};
use super::personal::PersonalFiles;
use super::term::Terminals;
use super::views::{View, Views};
use crate::base::{TerminalSize, Uid};
use crate::config::OnExit;
use crate::model::{Kind, ObjectKey};

#[derive(Debug)]
pub(super) struct Model {
    pub(super) session: Session,
    pub(super) screen: Rect,
    pub(super) now: Timestamp,
    pub(super) collections: Collections,
    pub(super) metrics: Metrics,
    pub(super) list: List,
    pub(super) inspector: Inspector,
    pub(super) terms: Terminals,
    pub(super) editing: Editing,
    pub(super) deletions: Deletions,
    pub(super) focus: Focus,
    pub(super) is_zoomed: bool,
    pub(super) shares: Shares,
    pub(super) views: Views,
    pub(super) images: Images,
    pub(super) overlays: Vec<Overlay>,
    pub(super) notices: Notices,
    pub(super) alerts: Alerts,
    pub(super) look: Look,
    pub(super) keymap: Keymap,
    /// The files that look and keys come from.
    pub(super) personal: PersonalFiles,
    pub(super) pending: Pending,
}

/// What does not change while the screen runs, and the connection.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) context: String,
    pub(super) zone: TimeZone,
    pub(super) cpus: usize,
    pub(super) on_exit: OnExit,
    /// Nothing may be changed from this screen.
    pub(super) is_readonly: bool,
    pub(super) connection: Connection,
    /// What the engine has said of this machine at the start, in `:messages`.
    pub(super) machine_notes: usize,
    /// Processes and threads a pod may have; `None` = no limit, or not told.
    pub(super) pids_limit: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    Starting,
    /// `owns_engine`: the engine is inside this process, so leaving decides about its pods.
    Up {
        owns_engine: bool,
    },
    Failed(String),
}

/// What the loop around the model still has to do.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    /// Something visible may have changed since the last frame.
    pub(super) is_dirty: bool,
    /// Rows changed: the list must be filtered and sorted again.
    /// Where the keys went when something was said last.
    pub(super) noticed_at: Option<(Mode, Place, usize)>,
    pub(super) is_list_stale: bool,
    /// What became of single rows of the list; nothing more needs to be looked at when that is all.
    pub(super) list_changes: Vec<Change>,
    /// The usage poll that runs, see `update::sync`.
    pub(super) metrics: Option<super::effect::MetricsScope>,
    /// The object the inspector shows.
    pub(super) inspected: Option<(ObjectKey, Uid)>,
    pub(super) is_describe_stale: bool,
    /// The tab the text of the inspector was made for.
    pub(super) shown_tab: Option<(Tab, u16)>,
    /// The pod whose processes are read now, see `update::sync`.
    pub(super) processes: Option<super::logs::Target>,
    /// What the story of the shown pod was last read for.
    pub(super) story: Option<(super::logs::Target, u64)>,
    /// Images are asked for, see `update::images`.
    pub(super) is_images_polled: bool,
    /// The divider that the mouse holds.
    pub(super) dragged: Option<Divider>,
    /// The terminal of the user has lost the focus.
    pub(super) is_unfocused: bool,
    /// The mouse was left to the terminal of the user.
    pub(super) is_mouse_off: bool,
    /// Fingerprint of the visible texts that change with time, at the last tick.
    pub(super) time_texts: u64,
}

impl Model {
    pub(super) fn new(
        session: Session,
        look: Look,
        namespace: Option<String>,
        now: Timestamp,
    ) -> Self {
        let mut model = Self {
            session,
            screen: Rect::new(0, 0, 80, 24),
            now,
            collections: Collections::default(),
            metrics: Metrics::default(),
            list: List::new(namespace),
            inspector: Inspector::new(LogPane::default()),
            terms: Terminals::default(),
            editing: Editing::default(),
            deletions: Deletions::default(),
            focus: Focus::List,
            is_zoomed: false,
            shares: Shares::default(),
            views: Views::default(),
            images: Images::default(),
            overlays: Vec::new(),
            notices: Notices::default(),
            alerts: Alerts::default(),
            look,
            keymap: Keymap::default(),
            personal: PersonalFiles::default(),
            pending: Pending {
                is_dirty: true,
                ..Pending::default()
            },
        };
        model.views.initial = View::of(&model);
        model.views.current = model.views.initial.clone();
        model
    }

    pub(super) fn areas(&self) -> Areas {
        self.areas_of(self.screen)
    }

    pub(super) fn areas_of(&self, screen: Rect) -> Areas {
        // A terminal that has not the keys leaves an open editor its rows where they are few.
        let is_edited = self.editing.editor.is_some() && self.focus != Focus::Terminal;
        let split = Split {
            focus: self.focus,
            is_zoomed: self.is_zoomed,
            has_terminal: self.terms.is_shown() && (!is_edited || screen.height >= MANY_ROWS),
            covers_inspector: self.is_edited_outside(),
            shares: self.shares,
        };
        areas(screen, self.list_rows(), split)
    }

    /// The editor leaves the list the rows around the selection.
    fn list_rows(&self) -> usize {
        match self.editing.editor {
            Some(_) => 2,
            None => self.list.rows().len(),
        }
    }

    /// `$EDITOR` takes the place of the editor while it has the keys.
    fn is_edited_outside(&self) -> bool {
        let editor = self.editing.editor.as_ref();
        editor.is_some_and(|editor| matches!(editor.stage, Stage::Outside(_)))
    }

    /// What the region of terminals will be once a new one is shown there and has the focus.
    pub(super) fn next_terminal_size(&self, is_editor: bool) -> TerminalSize {
        let split = Split {
            focus: Focus::Terminal,
            is_zoomed: self.is_zoomed && self.focus == Focus::Terminal && !is_editor,
            has_terminal: true,
            covers_inspector: is_editor || self.is_edited_outside(),
            shares: self.shares,
        };
        let region = areas(self.screen, self.list_rows(), split).terminal;
        // Below the title.
        match (region.width, region.height.saturating_sub(1)) {
            (0, _) | (_, 0) => TerminalSize {
                columns: 80,
                rows: 24,
            },
            (columns, rows) => TerminalSize { columns, rows },
        }
    }

    /// Where the lines of the edited text are: below the title, beside the line numbers, above the row that says
    /// what is wrong.
    pub(super) fn editor_text(&self) -> Rect {
        let Some(editor) = &self.editing.editor else {
            return Rect::default();
        };
        let area = self.areas().inspector;
        let title = area.height.min(1);
        let message = u16::from(area.height >= 3);
        let gutter = match editor.stage {
            Stage::Text => editor.gutter().min(area.width),
            Stage::Review(_) | Stage::Sent(_) | Stage::Outside(_) => 0,
        };
        Rect {
            x: area.x + gutter,
            y: area.y + title,
            width: area.width - gutter,
            height: area.height - title - message,
        }
    }

    pub(super) fn tab(&self) -> Tab {
        self.inspector.tab(self.list.kind)
    }

    /// The logs are on the screen, or would be with more room.
    pub(super) fn place(&self) -> Place {
        match (self.focus, self.tab()) {
            (Focus::List, _) => Place::List,
            (Focus::Inspector, Tab::Logs) => Place::Logs,
            (Focus::Inspector, Tab::Events) => Place::Events,
            (Focus::Inspector, Tab::Metrics) => Place::Metrics,
            (Focus::Inspector, Tab::Spec | Tab::Describe) => Place::Text,
            (Focus::Inspector, Tab::Procs) => Place::Procs,
            (Focus::Terminal, _) => self.terminal_place(),
        }
    }

    fn terminal_place(&self) -> Place {
        match self.terms.active() {
            None => Place::Anywhere,
            Some(_) if self.terms.is_chord => Place::Chord,
            Some(session) if session.is_browsing() => Place::Scroll,
            Some(session) if !session.is_alive() => Place::Ended,
            Some(_) => Place::Terminal,
        }
    }

    /// A key that goes to the program of a terminal: what it is, is nobody's business but the program's.
    pub(super) fn types_into_program(&self, msg: &Msg) -> bool {
        let Msg::Key(key) = msg else {
            return false;
        };
        let is_open = self.overlays.is_empty() && self.place() == Place::Terminal;
        is_open
            && self
                .keymap
                .command(Place::Terminal, Key::of(*key))
                .is_none()
    }

    pub(super) fn mode(&self) -> Mode {
        match self.overlays.last() {
            Some(Overlay::Prompt(_) | Overlay::Picker(_)) => Mode::Input,
            None if matches!(self.place(), Place::Terminal | Place::Chord) => Mode::Term,
            None if self.edits_text() => Mode::Input,
            _ => Mode::Normal,
        }
    }

    fn edits_text(&self) -> bool {
        let editor = self.editing.editor.as_ref();
        editor.is_some_and(|editor| editor.stage == Stage::Text)
    }

    /// The inspector's content: below its title and, for a faulty pod, the row that says why.
    pub(super) fn inspector_content(&self) -> Rect {
        let area = self.areas().inspector;
        let head = area.height.min(1 + self.why_rows());
        Rect {
            y: area.y + head,
            height: area.height - head,
            ..area
        }
    }

    /// Where the lines of the logs are: below the row that says what is shown of them.
    pub(super) fn log_lines(&self) -> Rect {
        let area = self.inspector_content();
        let head = u16::from(self.shows_log_state());
        Rect {
            y: area.y + head,
            height: area.height - head,
            ..area
        }
    }

    pub(super) fn shows_log_state(&self) -> bool {
        self.inspector_content().height >= 4 && self.inspector.logs.has_state()
    }

    /// Rows below the title that say why the pod is as it is. Two where there is room for them: a reason that is cut is
    /// none.
    pub(super) fn why_rows(&self) -> u16 {
        let area = self.areas().inspector;
        let facts = self.list.selected().and_then(|row| row.pod.as_ref());
        let most = match area.height {
            0..4 => 0,
            4..10 => 1,
            _ => 2,
        };
        facts.and_then(|facts| facts.why.as_ref()).map_or(0, |why| {
            let width = usize::from(area.width).saturating_sub(1);
            let rows = wrapped(&why.words(self.now), width).len();
            u16::try_from(rows).unwrap_or(u16::MAX).min(most)
        })
    }

    /// Pods in view: all, ok (finished ones too), waiting, bad.
    pub(super) fn pod_counts(&self) -> [usize; 4] {
        let Some(pods) = self.collections.get(Kind::Pod) else {
            return [0; 4];
        };
        let good = [Health::Ok, Health::Done, Health::Neutral];
        let ok = good.map(|health| pods.count(health)).iter().sum();
        let (wait, bad) = (pods.count(Health::Wait), pods.count(Health::Bad));
        [pods.rows().len(), ok, wait, bad]
    }

    /// The values of this secret are shown.
    pub(super) fn is_revealed(&self, row: &super::data::Row) -> bool {
        let shown = self.inspector.revealed.as_ref();
        shown.is_some_and(|(key, uid)| *key == row.key && *uid == row.object.uid())
    }

    /// Keeps a message without showing it.
    pub(super) fn note(&mut self, text: &str) {
        self.notices.push(self.now, Level::Quiet, text);
    }

    pub(super) fn say(&mut self, text: impl AsRef<str>) {
        self.notices.push(self.now, Level::Info, text.as_ref());
    }

    pub(super) fn complain(&mut self, text: impl AsRef<str>) {
        self.notices.push(self.now, Level::Error, text.as_ref());
    }
}
