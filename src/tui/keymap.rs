//! Which key does what, as a table. Hints and help are made from the live table, so they cannot lie.
//! `keys.toml` changes the table ([`Keymap::from_file`]).

mod cmds;
mod file;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

pub(super) use cmds::{EditorCmd, InputCmd, ReplayCmd};

use super::columns::ColumnId;
use super::inspector::{ProcessOrder, Tab};
use super::term::Motion;

/// Everything a person can ask of the screen outside a line of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cmd {
    Up,
    Down,
    Left,
    Right,
    Top,
    Bottom,
    HalfPageUp,
    HalfPageDown,
    PageUp,
    PageDown,
    Open,
    Back,
    Quit,
    NextFocus,
    PreviousFocus,
    Show(Tab),
    TabNumber(u8),
    NextTab,
    PreviousTab,
    Palette,
    Filter,
    Help,
    Create,
    Edit,
    EditExternally,
    Undo,
    Delete,
    Restart,
    Menu,
    Copy,
    Reveal,
    SaveView,
    LastView,
    Columns,
    /// The list gets less of the screen.
    Shrink,
    Grow,
    AllNamespaces,
    Sort(ColumnId),
    Wide,
    Zoom,
    Follow,
    Wrap,
    Timestamps,
    Container,
    NextMatch,
    FaultsOnly,
    Attention,
    Span,
    Processes(ProcessOrder),
    Story,
    Excerpt,
    Mark,
    MarkRange,
    SortPicker,
    PreviousMatch,
    Redraw,
    Suspend,
    Shell,
    Attach,
    Log(LogCmd),
    Terminal(TermCmd),
    Replay(ReplayCmd),
    Editor(EditorCmd),
    Input(InputCmd),
}

/// What the log pane can do beside moving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogCmd {
    Filter,
    Mute,
    Solo,
    NextContainer,
    PreviousContainer,
    Shape,
    /// The instance before.
    Previous,
    GoTo,
    GoToTime,
    Select,
    Copy,
    Save,
}

impl LogCmd {
    const fn name(self) -> &'static str {
        match self {
            Self::Filter => "log-filter",
            Self::Mute => "log-mute",
            Self::Solo => "log-solo",
            Self::NextContainer => "log-next-container",
            Self::PreviousContainer => "log-previous-container",
            Self::Shape => "log-fields",
            Self::Previous => "log-previous-instance",
            Self::GoTo => "log-go-to",
            Self::GoToTime => "log-time",
            Self::Select => "log-select",
            Self::Copy => "log-copy",
            Self::Save => "log-save",
        }
    }
}

/// What can be asked of a terminal; everything else goes to its program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TermCmd {
    /// The next key is podtui's.
    Chord,
    Detach,
    Close,
    Restart,
    /// Back to the list; the terminal stays in sight.
    Leave,
    Next,
    Previous,
    /// Send the key of the chord itself.
    Literal,
    Scroll,
    AllowClipboard,
    RefuseClipboard,
    Walk(Motion),
    Select,
    SelectLines,
    Copy,
}

impl TermCmd {
    const fn name(self) -> &'static str {
        match self {
            Self::Chord => "terminal-chord",
            Self::Detach => "terminal-detach",
            Self::Close => "terminal-close",
            Self::Restart => "terminal-restart",
            Self::Leave => "terminal-leave",
            Self::Next => "terminal-next",
            Self::Previous => "terminal-previous",
            Self::Literal => "terminal-literal",
            Self::Scroll => "terminal-scroll",
            Self::AllowClipboard => "terminal-allow-clipboard",
            Self::RefuseClipboard => "terminal-refuse-clipboard",
            Self::Walk(Motion::Left) => "terminal-left",
            Self::Walk(Motion::Right) => "terminal-right",
            Self::Walk(Motion::Word) => "terminal-word",
            Self::Walk(Motion::WordBack) => "terminal-word-back",
            Self::Walk(Motion::LineStart) => "terminal-line-start",
            Self::Walk(Motion::LineEnd) => "terminal-line-end",
            Self::Walk(Motion::Lines(_)) => "terminal-lines",
            Self::Select => "terminal-select",
            Self::SelectLines => "terminal-select-lines",
            Self::Copy => "terminal-copy",
        }
    }
}

impl Cmd {
    /// How `keys.toml` and the help call it.
    pub(super) fn name(self) -> String {
        let fixed = match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Left => "left",
            Self::Right => "right",
            Self::Top => "top",
            Self::Bottom => "bottom",
            Self::HalfPageUp => "half-page-up",
            Self::HalfPageDown => "half-page-down",
            Self::PageUp => "page-up",
            Self::PageDown => "page-down",
            Self::Open => "open",
            Self::Back => "back",
            Self::Quit => "quit",
            Self::NextFocus => "next-focus",
            Self::PreviousFocus => "previous-focus",
            Self::Show(tab) => return tab.title().to_lowercase(),
            Self::TabNumber(number) => return format!("tab-{number}"),
            Self::NextTab => "next-tab",
            Self::PreviousTab => "previous-tab",
            Self::Palette => "palette",
            Self::Filter => "filter",
            Self::Help => "help",
            Self::Create => "create",
            Self::Edit => "edit",
            Self::EditExternally => "edit-externally",
            Self::Undo => "undo",
            Self::Delete => "delete",
            Self::Restart => "restart",
            Self::Menu => "menu",
            Self::Copy => "copy",
            Self::Reveal => "reveal",
            Self::SaveView => "save-view",
            Self::LastView => "last-view",
            Self::Columns => "columns",
            Self::Shrink => "shrink",
            Self::Grow => "grow",
            Self::AllNamespaces => "all-namespaces",
            Self::Sort(column) => return format!("sort-{}", column.name()),
            Self::Wide => "wide",
            Self::Zoom => "zoom",
            Self::Follow => "follow",
            Self::Wrap => "wrap",
            Self::Timestamps => "timestamps",
            Self::Container => "container",
            Self::NextMatch => "next-match",
            Self::FaultsOnly => "faults-only",
            // The name it had when it only went to the next one; files of users know it.
            Self::Attention => "next-problem",
            Self::Span => "span",
            Self::Processes(ProcessOrder::Tree) => "processes-tree",
            Self::Processes(ProcessOrder::Cpu) => "processes-by-cpu",
            Self::Processes(ProcessOrder::Memory) => "processes-by-memory",
            Self::Processes(ProcessOrder::Pid) => "processes-by-pid",
            Self::Story => "story",
            Self::Excerpt => "log-excerpt",
            Self::Mark => "mark",
            Self::MarkRange => "mark-range",
            Self::SortPicker => "sort",
            Self::PreviousMatch => "previous-match",
            Self::Redraw => "redraw",
            Self::Suspend => "suspend",
            Self::Shell => "shell",
            Self::Attach => "attach",
            Self::Log(cmd) => cmd.name(),
            Self::Terminal(cmd) => cmd.name(),
            Self::Replay(cmd) => cmd.name(),
            Self::Editor(cmd) => cmd.name(),
            Self::Input(cmd) => cmd.name(),
        };
        fixed.to_owned()
    }
}

/// Where a binding holds. A more special place wins over `Anywhere`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Anywhere,
    List,
    Logs,
    Events,
    Metrics,
    /// The tabs Spec and Describe.
    Text,
    /// The processes of a pod.
    Procs,
    /// A terminal whose program gets the keys.
    Terminal,
    /// Behind the chord key of a terminal.
    Chord,
    /// A terminal that is scrolled through.
    Scroll,
    /// A terminal whose program has ended.
    Ended,
    /// A recording that is played (`--replay`).
    Replay,
    /// The text of the editor.
    Editor,
    /// The difference that is about to be applied.
    Review,
    /// Lines of input, lists to choose from, questions.
    Input,
}

impl Place {
    /// Bindings for anywhere hold here too.
    const fn inherits(self) -> bool {
        !matches!(
            self,
            Self::Terminal | Self::Chord | Self::Ended | Self::Replay | Self::Editor | Self::Input
        )
    }

    /// Characters are typed here, so they cannot be commands.
    const fn takes_text(self) -> bool {
        matches!(self, Self::Editor | Self::Input)
    }
}

impl Place {
    const ALL: [Self; 15] = [
        Self::Anywhere,
        Self::List,
        Self::Logs,
        Self::Events,
        Self::Metrics,
        Self::Text,
        Self::Procs,
        Self::Terminal,
        Self::Chord,
        Self::Scroll,
        Self::Ended,
        Self::Replay,
        Self::Editor,
        Self::Review,
        Self::Input,
    ];

    /// Its table in `keys.toml`.
    const fn name(self) -> &'static str {
        match self {
            Self::Anywhere => "anywhere",
            Self::List => "list",
            Self::Logs => "logs",
            Self::Events => "events",
            Self::Metrics => "metrics",
            Self::Text => "text",
            Self::Procs => "procs",
            Self::Terminal => "terminal",
            Self::Chord => "chord",
            Self::Scroll => "scroll",
            Self::Ended => "ended",
            Self::Replay => "replay",
            Self::Editor => "editor",
            Self::Review => "review",
            Self::Input => "input",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    code: KeyCode,
    modifiers: KeyModifiers,
}

impl Key {
    /// Shift is part of the character for characters, and BackTab for the tab key.
    fn new(code: KeyCode, modifiers: KeyModifiers) -> Self {
        let mut modifiers =
            modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT);
        if matches!(code, KeyCode::Char(_) | KeyCode::BackTab) {
            modifiers -= KeyModifiers::SHIFT;
        }
        // What terminals send for ctrl-\ and so on is read as ctrl-4 and so on.
        let code = match code {
            KeyCode::Char(digit @ '4'..='7') if modifiers == KeyModifiers::CONTROL => {
                const NAMES: [char; 4] = ['\\', ']', '^', '_'];
                KeyCode::Char(NAMES[usize::from(digit as u8 - b'4')])
            }
            code => code,
        };
        Self { code, modifiers }
    }

    pub(super) fn of(event: KeyEvent) -> Self {
        Self::new(event.code, event.modifiers)
    }

    /// Typed where text is taken.
    fn is_text(self) -> bool {
        let chord = KeyModifiers::CONTROL | KeyModifiers::ALT;
        matches!(self.code, KeyCode::Char(_)) && !self.modifiers.intersects(chord)
    }

    /// `ctrl-u`, `shift-tab`, `enter`, `j`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut modifiers = KeyModifiers::NONE;
        let mut rest = text;
        while let Some((head, tail)) = rest.split_once('-').filter(|(_, tail)| !tail.is_empty()) {
            modifiers |= match head {
                "ctrl" => KeyModifiers::CONTROL,
                "alt" => KeyModifiers::ALT,
                "shift" => KeyModifiers::SHIFT,
                _ => return None,
            };
            rest = tail;
        }
        let code = match rest {
            "tab" if modifiers.contains(KeyModifiers::SHIFT) => KeyCode::BackTab,
            named => NAMED
                .iter()
                .find(|(_, name)| *name == named)
                .map(|(code, _)| *code)
                .or_else(|| {
                    let mut characters = named.chars();
                    characters
                        .next()
                        .filter(|_| characters.next().is_none())
                        .map(KeyCode::Char)
                })?,
        };
        Some(Self::new(code, modifiers))
    }

    #[cfg(test)]
    pub(super) fn event(self) -> KeyEvent {
        KeyEvent::new(self.code, self.modifiers)
    }
}

const NAMED: [(KeyCode, &str); 17] = [
    (KeyCode::Enter, "enter"),
    (KeyCode::Esc, "esc"),
    (KeyCode::Tab, "tab"),
    (KeyCode::BackTab, "shift-tab"),
    (KeyCode::Backspace, "backspace"),
    (KeyCode::Delete, "del"),
    (KeyCode::Up, "up"),
    (KeyCode::Down, "down"),
    (KeyCode::Left, "left"),
    (KeyCode::Right, "right"),
    (KeyCode::Home, "home"),
    (KeyCode::End, "end"),
    (KeyCode::PageUp, "pgup"),
    (KeyCode::PageDown, "pgdn"),
    (KeyCode::F(1), "f1"),
    (KeyCode::F(5), "f5"),
    (KeyCode::Char(' '), "space"),
];

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.modifiers.contains(KeyModifiers::CONTROL) {
            f.write_str("ctrl-")?;
        }
        if self.modifiers.contains(KeyModifiers::ALT) {
            f.write_str("alt-")?;
        }
        match (NAMED.iter().find(|(code, _)| *code == self.code), self.code) {
            (Some((_, name)), _) => f.write_str(name),
            (None, KeyCode::Char(character)) => write!(f, "{character}"),
            (None, other) => write!(f, "{other:?}"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binding {
    pub(super) cmd: Cmd,
    pub(super) place: Place,
    pub(super) keys: Vec<Key>,
    /// Short word for the hint row; `None` keeps it out of there.
    pub(super) hint: Option<&'static str>,
    pub(super) help: &'static str,
}

impl Binding {
    /// All keys, as help shows them.
    pub(super) fn keys_text(&self) -> String {
        let keys: Vec<String> = self.keys.iter().map(Key::to_string).collect();
        keys.join(" ")
    }
}

type Row = (Cmd, Place, &'static str, Option<&'static str>, &'static str);

/// Keys of one row are separated by spaces. The order is the order of the hints.
#[rustfmt::skip]
const TABLE: &[Row] = &[
    (Cmd::Open, Place::List, "enter", Some("open"), "open the selected object in the inspector"),
    (Cmd::Show(Tab::Logs), Place::Anywhere, "l", Some("logs"), "logs of the selected pod"),
    (Cmd::Shell, Place::Anywhere, "s", Some("shell"), "a shell in a container of the selected pod"),
    (Cmd::Edit, Place::Anywhere, "e", Some("edit"), "edit the selected object"),
    (Cmd::Delete, Place::Anywhere, "D", Some("delete"), "delete the selected object (asks; 5 s to take it back)"),
    (Cmd::Menu, Place::Anywhere, "m", Some("menu"), "all actions on the selected object, with their command lines"),
    (Cmd::Attach, Place::Anywhere, "a", Some("attach"), "attach to the main process of a container"),
    (Cmd::Restart, Place::Anywhere, "r", Some("restart"), "restart the containers of the selected pod (asks first)"),
    (Cmd::Create, Place::List, "n", Some("new"), "new objects: template, file, or a docker run line"),
    (Cmd::Filter, Place::List, "/", Some("filter"), "filter: text, !without, -l label=x, ~fuzzy, /regex/"),
    (Cmd::Show(Tab::Describe), Place::Anywhere, "d", Some("desc"), "describe the selected object"),
    (Cmd::Show(Tab::Spec), Place::Anywhere, "y", None, "the selected object as YAML"),
    (Cmd::EditExternally, Place::Anywhere, "E", None, "edit the selected object in $EDITOR"),
    (Cmd::Undo, Place::Anywhere, "u", None, "take back a deletion that waits, else the last applied change"),
    (Cmd::Copy, Place::Anywhere, "c", None, "copy name, row, command line or YAML to the clipboard"),
    (Cmd::Reveal, Place::Anywhere, "x", None, "show the values of the selected secret, or hide them"),
    (Cmd::Filter, Place::Logs, "/", Some("search"), "search in the logs"),
    (Cmd::Follow, Place::Logs, "f", Some("follow"), "follow new lines, or stop following"),
    (Cmd::Log(LogCmd::Previous), Place::Logs, "p", Some("previous"), "the instance before the last restart, or the newest"),
    (Cmd::Container, Place::Logs, "o", Some("container"), "choose one container, or all merged"),
    (Cmd::Log(LogCmd::Filter), Place::Logs, "&", Some("only"), "only lines with: text, !without, /regex/"),
    (Cmd::Log(LogCmd::NextContainer), Place::Logs, ".", None, "next container, for mute and solo"),
    (Cmd::Log(LogCmd::PreviousContainer), Place::Logs, ",", None, "container before, for mute and solo"),
    (Cmd::Log(LogCmd::Mute), Place::Logs, "space", None, "mute the container that is chosen with , and ., or hear it again"),
    (Cmd::Log(LogCmd::Solo), Place::Logs, "S", None, "only the chosen container, or all again"),
    (Cmd::Wrap, Place::Logs, "w", Some("wrap"), "wrap long lines, or cut them"),
    (Cmd::Timestamps, Place::Logs, "t", Some("time"), "timestamps: short, full, off"),
    (Cmd::NextMatch, Place::Logs, "n", None, "next match, also in the files"),
    (Cmd::PreviousMatch, Place::Logs, "N", None, "previous match, also in the files"),
    (Cmd::Log(LogCmd::GoTo), Place::Logs, "T", None, "go to a time, to the first line, or show only the last lines"),
    (Cmd::Log(LogCmd::GoToTime), Place::Logs, "@", None, "go to a time that is typed: 5m, 12:04, 2026-01-02 12:04"),
    (Cmd::Log(LogCmd::Shape), Place::Logs, "J", None, "JSON and logfmt lines: raw, message, fields"),
    (Cmd::Log(LogCmd::Select), Place::Logs, "v", None, "mark lines (also with the mouse), or stop"),
    (Cmd::Log(LogCmd::Copy), Place::Logs, "c", None, "copy the marked lines; without any: name, row, YAML ..."),
    (Cmd::Log(LogCmd::Save), Place::Logs, "W", None, "save the log to a file, from the first line on"),
    (Cmd::Story, Place::Events, "t", Some("story"), "only restarts, kills and failed probes, or all events"),
    (Cmd::Excerpt, Place::Events, "p", Some("last log"), "the last lines before the container ended"),
    (Cmd::Filter, Place::Text, "/", Some("search"), "search in Describe and Spec: text, /regex/"),
    (Cmd::NextMatch, Place::Text, "n", Some("next"), "next line with a match"),
    (Cmd::PreviousMatch, Place::Text, "N", None, "line with a match before"),
    (Cmd::Filter, Place::Anywhere, "/", None, "search, where there is something to search in"),
    (Cmd::Span, Place::Metrics, "t", Some("span"), "look back five minutes, or an hour"),
    (Cmd::Processes(ProcessOrder::Cpu), Place::Procs, "C", Some("by cpu"), "processes that use most CPU first"),
    (Cmd::Processes(ProcessOrder::Memory), Place::Procs, "M", Some("by memory"), "processes that use most memory first"),
    (Cmd::Processes(ProcessOrder::Pid), Place::Procs, "P", Some("by pid"), "processes by their numbers"),
    (Cmd::Processes(ProcessOrder::Tree), Place::Procs, "t", Some("tree"), "children below their parents"),
    (Cmd::Attention, Place::Anywhere, "!", Some("attention"), "pods in trouble, newest first; again: the next one"),
    (Cmd::FaultsOnly, Place::List, "f", Some("faults"), "only objects in trouble, or all"),
    (Cmd::Mark, Place::List, "space", Some("mark"), "mark the object, for actions on several"),
    (Cmd::MarkRange, Place::List, "v", None, "mark everything from the last mark to here"),
    (Cmd::SortPicker, Place::List, "o", None, "sort by any column"),
    (Cmd::NextFocus, Place::Anywhere, "tab", Some("focus"), "move the focus between list and inspector"),
    (Cmd::PreviousFocus, Place::Anywhere, "shift-tab", None, "move the focus back"),
    (Cmd::Palette, Place::Anywhere, ":", Some("command"), "command palette: verbs, kinds, namespaces, themes"),
    (Cmd::Help, Place::Anywhere, "? f1", Some("help"), "all keys, searchable"),
    (Cmd::Quit, Place::Anywhere, "q ctrl-c", Some("quit"), "leave podtui; deeper than the root: go back"),
    (Cmd::Back, Place::Anywhere, "esc", None, "back, one level; never leaves podtui"),
    (Cmd::Up, Place::Anywhere, "up k", None, "up"),
    (Cmd::Down, Place::Anywhere, "down j", None, "down"),
    (Cmd::Left, Place::Anywhere, "left", None, "scroll left (logs that are not wrapped)"),
    (Cmd::Right, Place::Anywhere, "right", None, "scroll right (logs that are not wrapped)"),
    (Cmd::Top, Place::Anywhere, "g home", None, "first"),
    (Cmd::Bottom, Place::Anywhere, "G end", None, "last; in logs: follow"),
    (Cmd::HalfPageUp, Place::Anywhere, "ctrl-u", None, "half a page up"),
    (Cmd::HalfPageDown, Place::Anywhere, "ctrl-d", None, "half a page down"),
    (Cmd::PageUp, Place::Anywhere, "pgup ctrl-b", None, "page up"),
    (Cmd::PageDown, Place::Anywhere, "pgdn ctrl-f", None, "page down"),
    (Cmd::NextTab, Place::Anywhere, "]", None, "next tab of the inspector"),
    (Cmd::PreviousTab, Place::Anywhere, "[", None, "previous tab of the inspector"),
    (Cmd::TabNumber(1), Place::Anywhere, "1", None, "the tab Logs"),
    (Cmd::TabNumber(2), Place::Anywhere, "2", None, "the tab Events: what happened, and why it restarted"),
    (Cmd::TabNumber(3), Place::Anywhere, "3", None, "the tab Spec: the object as YAML"),
    (Cmd::TabNumber(4), Place::Anywhere, "4", None, "the tab Procs: processes of the selected pod"),
    (Cmd::TabNumber(5), Place::Anywhere, "5", None, "the tab Metrics: charts of CPU, memory, network and processes"),
    (Cmd::TabNumber(6), Place::Anywhere, "6", None, "the tab Describe"),
    (Cmd::Zoom, Place::Anywhere, "z", None, "zoom the focused region, or back"),
    (Cmd::AllNamespaces, Place::Anywhere, "0", None, "all namespaces, or back to one"),
    (Cmd::Wide, Place::List, "w", None, "more columns"),
    (Cmd::Columns, Place::List, "O", None, "choose the columns; the choice is kept"),
    (Cmd::SaveView, Place::List, "ctrl-s", None, "name this view; :view NAME opens it again"),
    (Cmd::LastView, Place::Anywhere, "-", None, "the view before this one, and back"),
    (Cmd::Shrink, Place::Anywhere, "<", None, "less room for the list (or drag the divider)"),
    (Cmd::Grow, Place::Anywhere, ">", None, "more room for the list (or drag the divider)"),
    (Cmd::Sort(ColumnId::Name), Place::List, "N", None, "sort by name (again: reverse)"),
    (Cmd::Sort(ColumnId::Status), Place::List, "S", None, "sort by status"),
    (Cmd::Sort(ColumnId::Restarts), Place::List, "R", None, "sort by restarts"),
    (Cmd::Sort(ColumnId::Cpu), Place::List, "C", None, "sort by CPU"),
    (Cmd::Sort(ColumnId::Memory), Place::List, "M", None, "sort by memory"),
    (Cmd::Sort(ColumnId::Age), Place::List, "A", None, "sort by age"),
    (Cmd::Redraw, Place::Anywhere, "ctrl-l f5", None, "draw the whole screen again"),
    (Cmd::Suspend, Place::Anywhere, "ctrl-z", None, "suspend podtui (fg brings it back)"),
    (Cmd::Terminal(TermCmd::Chord), Place::Terminal, "ctrl-]", Some("then:"), "the next key is podtui's, all others are the program's"),
    (Cmd::Terminal(TermCmd::Chord), Place::Ended, "ctrl-]", None, "the next key as behind every terminal"),
    (Cmd::Terminal(TermCmd::Detach), Place::Chord, "d", Some("detach"), "detach: the program goes on, the region closes"),
    (Cmd::Zoom, Place::Chord, "z", Some("zoom"), "zoom the terminal, or back"),
    (Cmd::Terminal(TermCmd::Scroll), Place::Chord, "[", Some("scroll"), "scroll back, search, select and copy"),
    (Cmd::Terminal(TermCmd::Literal), Place::Chord, "] ctrl-]", Some("literal"), "send ctrl-] to the program"),
    (Cmd::Terminal(TermCmd::Leave), Place::Chord, "tab", Some("list"), "back to the list; the terminal stays in sight"),
    (Cmd::Terminal(TermCmd::Next), Place::Chord, "n", Some("next"), "next terminal"),
    (Cmd::Terminal(TermCmd::Previous), Place::Chord, "p", Some("previous"), "previous terminal"),
    (Cmd::Terminal(TermCmd::Close), Place::Chord, "c x", Some("close"), "close: a shell is hung up, an attached container goes on"),
    (Cmd::Terminal(TermCmd::AllowClipboard), Place::Chord, "y", None, "let the program write the clipboard"),
    (Cmd::Terminal(TermCmd::RefuseClipboard), Place::Chord, "N", None, "never let the program write the clipboard"),
    (Cmd::Palette, Place::Chord, ":", None, "command palette"),
    (Cmd::Help, Place::Chord, "? f1", None, "all keys of terminals, searchable"),
    (Cmd::Terminal(TermCmd::Close), Place::Ended, "enter", Some("close"), "close the terminal"),
    (Cmd::Terminal(TermCmd::Restart), Place::Ended, "r", Some("again"), "start it again"),
    (Cmd::Terminal(TermCmd::Scroll), Place::Ended, "[", Some("scroll"), "scroll back, search, select and copy"),
    (Cmd::Terminal(TermCmd::Leave), Place::Ended, "esc tab q", Some("list"), "back to the list"),
    (Cmd::Filter, Place::Scroll, "/", Some("search"), "search in what the terminal has kept"),
    (Cmd::NextMatch, Place::Scroll, "n", Some("next"), "next match, towards the present"),
    (Cmd::PreviousMatch, Place::Scroll, "N", None, "match before"),
    (Cmd::Terminal(TermCmd::Select), Place::Scroll, "v space", Some("select"), "start to select at the cursor, or stop"),
    (Cmd::Terminal(TermCmd::SelectLines), Place::Scroll, "V", None, "select whole lines"),
    (Cmd::Terminal(TermCmd::Copy), Place::Scroll, "y c", Some("copy"), "copy the selection to the clipboard"),
    (Cmd::Terminal(TermCmd::Walk(Motion::Left)), Place::Scroll, "left h", None, "left"),
    (Cmd::Terminal(TermCmd::Walk(Motion::Right)), Place::Scroll, "right l", None, "right"),
    (Cmd::Terminal(TermCmd::Walk(Motion::Word)), Place::Scroll, "w", None, "next word"),
    (Cmd::Terminal(TermCmd::Walk(Motion::WordBack)), Place::Scroll, "b", None, "word before"),
    (Cmd::Terminal(TermCmd::Walk(Motion::LineStart)), Place::Scroll, "0", None, "start of the line"),
    (Cmd::Terminal(TermCmd::Walk(Motion::LineEnd)), Place::Scroll, "$", None, "end of the line"),
    (Cmd::Back, Place::Scroll, "esc q i enter", Some("back"), "back to the program"),
    (Cmd::Editor(EditorCmd::Review), Place::Editor, "ctrl-s", Some("review and apply"), "review the difference, then apply"),
    (Cmd::Editor(EditorCmd::Leave), Place::Editor, "esc", Some("leave"), "back; asks before anything is lost"),
    (Cmd::Editor(EditorCmd::Help), Place::Editor, "f1", Some("help"), "this help"),
    (Cmd::Editor(EditorCmd::Complete), Place::Editor, "ctrl-space", Some("complete"), "complete here"),
    (Cmd::Editor(EditorCmd::NextProblem), Place::Editor, "ctrl-n", Some("next problem"), "next problem"),
    (Cmd::Editor(EditorCmd::PreviousProblem), Place::Editor, "ctrl-p", None, "problem before"),
    (Cmd::Editor(EditorCmd::External), Place::Editor, "ctrl-o", Some("$EDITOR"), "go on in $EDITOR"),
    (Cmd::Editor(EditorCmd::Undo), Place::Editor, "ctrl-z", Some("undo"), "undo"),
    (Cmd::Editor(EditorCmd::Redo), Place::Editor, "ctrl-y", None, "redo"),
    (Cmd::Editor(EditorCmd::Indent), Place::Editor, "tab", None, "take a completion, or indent"),
    (Cmd::Editor(EditorCmd::Outdent), Place::Editor, "shift-tab", None, "a step of indentation back"),
    (Cmd::Editor(EditorCmd::Copy), Place::Editor, "ctrl-c", None, "copy the selection; without one: leave"),
    (Cmd::Editor(EditorCmd::Cut), Place::Editor, "ctrl-x", None, "cut the selection; without one: the line"),
    (Cmd::Editor(EditorCmd::Paste), Place::Editor, "ctrl-v", None, "paste what was copied or cut here"),
    (Cmd::Editor(EditorCmd::DeleteToEnd), Place::Editor, "ctrl-k", None, "delete to the end of the line"),
    (Cmd::Editor(EditorCmd::DeleteToStart), Place::Editor, "ctrl-u", None, "delete to the begin of the line"),
    (Cmd::Editor(EditorCmd::DeleteWord), Place::Editor, "ctrl-w", None, "delete the word before"),
    (Cmd::Editor(EditorCmd::LineStart), Place::Editor, "ctrl-a", None, "begin of the line (home, too)"),
    (Cmd::Editor(EditorCmd::LineEnd), Place::Editor, "ctrl-e", None, "end of the line (end, too)"),
    (Cmd::Redraw, Place::Editor, "ctrl-l f5", None, "draw the whole screen again"),
    (Cmd::Editor(EditorCmd::Accept), Place::Review, "enter", Some("apply"), "apply; what cannot be changed is recreated (asks)"),
    (Cmd::Back, Place::Review, "esc q ctrl-c", Some("back to the text"), "back to the text"),
    (Cmd::PageDown, Place::Review, "space pgdn ctrl-f", None, "page down"),
    (Cmd::Input(InputCmd::Submit), Place::Input, "enter", Some("go"), "do it, choose it, answer"),
    (Cmd::Input(InputCmd::Next), Place::Input, "tab down", Some("next"), "next completion, item or answer"),
    (Cmd::Input(InputCmd::Previous), Place::Input, "shift-tab up", None, "completion, item or answer before"),
    (Cmd::Input(InputCmd::Cancel), Place::Input, "esc ctrl-c", Some("cancel"), "leave it, one level"),
    (Cmd::Input(InputCmd::PageUp), Place::Input, "pgup", None, "page up"),
    (Cmd::Input(InputCmd::PageDown), Place::Input, "pgdn", None, "page down"),
    (Cmd::Input(InputCmd::LineStart), Place::Input, "ctrl-a home", None, "begin of the line"),
    (Cmd::Input(InputCmd::LineEnd), Place::Input, "ctrl-e end", None, "end of the line"),
    (Cmd::Input(InputCmd::DeleteToStart), Place::Input, "ctrl-u", None, "delete to the begin of the line"),
    (Cmd::Input(InputCmd::DeleteToEnd), Place::Input, "ctrl-k", None, "delete to the end of the line"),
    (Cmd::Input(InputCmd::DeleteWord), Place::Input, "ctrl-w alt-backspace", None, "delete the word before"),
    (Cmd::Replay(ReplayCmd::Pause), Place::Replay, "space", Some("pause"), "stop, or go on; at the end: again"),
    (Cmd::Replay(ReplayCmd::Quit), Place::Replay, "q esc ctrl-c", Some("quit"), "leave the recording"),
    (Cmd::Replay(ReplayCmd::NextKey), Place::Replay, "n", Some("next key"), "to what the next key of the recording did"),
    (Cmd::Replay(ReplayCmd::Skip(5)), Place::Replay, "right", Some("5 s on"), "five seconds on"),
    (Cmd::Replay(ReplayCmd::Skip(-5)), Place::Replay, "left", Some("back"), "five seconds back"),
    (Cmd::Replay(ReplayCmd::Faster), Place::Replay, "+ =", Some("faster"), "twice as fast, up to 32 times"),
    (Cmd::Replay(ReplayCmd::Slower), Place::Replay, "- _", Some("slower"), "half as fast, down to an eighth"),
    (Cmd::Replay(ReplayCmd::Messages), Place::Replay, "m", Some("messages"), "what podtui was told, in short, or not"),
    (Cmd::Replay(ReplayCmd::Step), Place::Replay, ".", None, "stop, and show the next frame"),
    (Cmd::Replay(ReplayCmd::Skip(60)), Place::Replay, "up", None, "a minute on"),
    (Cmd::Replay(ReplayCmd::Skip(-60)), Place::Replay, "down", None, "a minute back"),
    (Cmd::Replay(ReplayCmd::Start), Place::Replay, "g home", None, "to the begin"),
    (Cmd::Replay(ReplayCmd::End), Place::Replay, "G end", None, "to the end"),
    (Cmd::Replay(ReplayCmd::Pan(-8, 0)), Place::Replay, "h", None, "to the left of a screen that is larger than this one"),
    (Cmd::Replay(ReplayCmd::Pan(8, 0)), Place::Replay, "l", None, "to its right"),
    (Cmd::Replay(ReplayCmd::Pan(0, -4)), Place::Replay, "k", None, "up in it"),
    (Cmd::Replay(ReplayCmd::Pan(0, 4)), Place::Replay, "j", None, "down in it"),
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Keymap {
    bindings: Vec<Binding>,
}

impl Default for Keymap {
    fn default() -> Self {
        let bindings = TABLE.iter().map(|&(cmd, place, keys, hint, help)| Binding {
            cmd,
            place,
            keys: keys
                .split(' ')
                .map(|key| Key::parse(key).expect("a test parses every key of the table"))
                .collect(),
            hint,
            help,
        });
        Self {
            bindings: bindings.collect(),
        }
    }
}

impl Keymap {
    /// What `key` does in `place`; a binding of that place hides one for anywhere.
    pub(super) fn command(&self, place: Place, key: Key) -> Option<Cmd> {
        let bound = |wanted| {
            self.bindings
                .iter()
                .find(|binding| binding.place == wanted && binding.keys.contains(&key))
        };
        bound(place)
            .or_else(|| bound(Place::Anywhere).filter(|_| place.inherits()))
            .map(|binding| binding.cmd)
    }

    /// The first key that does this there, for texts that name it.
    pub(super) fn key_of(&self, place: Place, cmd: Cmd) -> Option<Key> {
        let mut live = self.live(place).filter(|binding| binding.cmd == cmd);
        live.find_map(|binding| binding.keys.first().copied())
    }

    /// That key as a text; a question mark where there is none.
    pub(super) fn key_text(&self, place: Place, cmd: Cmd) -> String {
        self.key_of(place, cmd)
            .map_or_else(|| "?".to_owned(), |key| key.to_string())
    }

    /// `d detach`: first keys and hints of one place alone.
    pub(super) fn hints_of(&self, place: Place) -> Vec<String> {
        let hint = |binding: &Binding| Some(format!("{} {}", binding.keys.first()?, binding.hint?));
        let here = self
            .bindings
            .iter()
            .filter(|binding| binding.place == place);
        here.filter_map(hint).collect()
    }

    /// The bindings that work in `place`, in the order of the table.
    pub(super) fn live(&self, place: Place) -> impl Iterator<Item = &Binding> {
        self.bindings.iter().filter(move |binding| {
            binding
                .keys
                .iter()
                .any(|&key| self.command(place, key) == Some(binding.cmd))
                && (binding.place == place
                    || (binding.place == Place::Anywhere && place.inherits()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_table_parses_and_means_one_thing() {
        let mut seen: Vec<(Place, Key)> = Vec::new();
        for (_, place, keys, _, _) in TABLE {
            for text in keys.split(' ') {
                let key = Key::parse(text).unwrap_or_else(|| panic!("{text}"));
                assert_eq!(key.to_string(), text);
                assert!(!seen.contains(&(*place, key)), "{text} is bound twice");
                seen.push((*place, key));
            }
        }
    }

    #[test]
    fn the_special_place_wins() {
        let keymap = Keymap::default();
        let key = Key::parse("n").unwrap();
        assert_eq!(keymap.command(Place::List, key), Some(Cmd::Create));
        assert_eq!(keymap.command(Place::Logs, key), Some(Cmd::NextMatch));
        assert_eq!(keymap.command(Place::Anywhere, key), None);
    }

    #[test]
    fn no_ctrl_chord_destroys_anything() {
        let keymap = Keymap::default();
        for letter in 'a'..='z' {
            let key = Key::parse(&format!("ctrl-{letter}")).unwrap();
            for place in [
                Place::List,
                Place::Logs,
                Place::Events,
                Place::Metrics,
                Place::Text,
                Place::Anywhere,
                Place::Terminal,
                Place::Chord,
                Place::Scroll,
                Place::Ended,
            ] {
                assert_ne!(keymap.command(place, key), Some(Cmd::Delete));
            }
        }
    }

    #[test]
    fn a_program_gets_every_key_but_the_chord() {
        let keymap = Keymap::default();
        let keys = TABLE.iter().flat_map(|row| row.2.split(' '));
        for text in keys.filter(|text| *text != "ctrl-]") {
            let key = Key::parse(text).unwrap();
            assert_eq!(keymap.command(Place::Terminal, key), None, "{text}");
        }
        let chord = KeyEvent::new(KeyCode::Char('5'), KeyModifiers::CONTROL);
        assert_eq!(
            keymap.command(Place::Terminal, Key::of(chord)),
            Some(Cmd::Terminal(TermCmd::Chord))
        );
    }

    #[test]
    fn shifted_characters_match_however_the_terminal_reports_them() {
        let event = KeyEvent::new(KeyCode::Char('D'), KeyModifiers::SHIFT);
        assert_eq!(Some(Key::of(event)), Key::parse("D"));
    }
}
