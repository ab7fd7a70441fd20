//! Commands of the screen: the list, the inspector, logs, terminals.

use super::{EditorCmd, InputCmd, ReplayCmd};
use crate::tui::columns::ColumnId;
use crate::tui::inspector::{ProcessOrder, Tab};
use crate::tui::term::Motion;

/// Everything a person can ask of the screen outside a line of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Cmd {
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
pub(in crate::tui) enum LogCmd {
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
pub(in crate::tui) enum TermCmd {
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
    pub(in crate::tui) fn name(self) -> String {
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
