//! Commands of places with keys of their own: the editor, lines of input, a replay.

/// What the editor can do beside taking text; arrows, enter, backspace and characters are always those.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum EditorCmd {
    Review,
    Leave,
    Help,
    Complete,
    NextProblem,
    PreviousProblem,
    External,
    Undo,
    Redo,
    /// Takes a completion, too.
    Indent,
    Outdent,
    /// Leaves where nothing is selected.
    Copy,
    Cut,
    Paste,
    DeleteToEnd,
    DeleteToStart,
    DeleteWord,
    LineStart,
    LineEnd,
    /// Of a review: apply.
    Accept,
}

impl EditorCmd {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Review => "editor-review",
            Self::Leave => "editor-leave",
            Self::Help => "editor-help",
            Self::Complete => "editor-complete",
            Self::NextProblem => "editor-next-problem",
            Self::PreviousProblem => "editor-previous-problem",
            Self::External => "editor-external",
            Self::Undo => "editor-undo",
            Self::Redo => "editor-redo",
            Self::Indent => "editor-indent",
            Self::Outdent => "editor-outdent",
            Self::Copy => "editor-copy",
            Self::Cut => "editor-cut",
            Self::Paste => "editor-paste",
            Self::DeleteToEnd => "editor-delete-to-end",
            Self::DeleteToStart => "editor-delete-to-start",
            Self::DeleteWord => "editor-delete-word",
            Self::LineStart => "editor-line-start",
            Self::LineEnd => "editor-line-end",
            Self::Accept => "editor-accept",
        }
    }
}

/// What lines of input, lists to choose from and questions can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum InputCmd {
    Submit,
    Cancel,
    Next,
    Previous,
    PageUp,
    PageDown,
    LineStart,
    LineEnd,
    DeleteToStart,
    DeleteToEnd,
    DeleteWord,
}

impl InputCmd {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Submit => "input-submit",
            Self::Cancel => "input-cancel",
            Self::Next => "input-next",
            Self::Previous => "input-previous",
            Self::PageUp => "input-page-up",
            Self::PageDown => "input-page-down",
            Self::LineStart => "input-line-start",
            Self::LineEnd => "input-line-end",
            Self::DeleteToStart => "input-delete-to-start",
            Self::DeleteToEnd => "input-delete-to-end",
            Self::DeleteWord => "input-delete-word",
        }
    }
}

/// What can be done while a recording plays; the screen itself knows none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum ReplayCmd {
    Pause,
    Faster,
    Slower,
    /// Seconds; negative goes back.
    Skip(i8),
    /// To what the next key did.
    NextKey,
    /// One frame.
    Step,
    Start,
    End,
    Messages,
    /// Columns and rows of a recorded screen that is larger than this one.
    Pan(i16, i16),
    Quit,
}

impl ReplayCmd {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Pause => "replay-pause",
            Self::Faster => "replay-faster",
            Self::Slower => "replay-slower",
            Self::Skip(..=-60) => "replay-minute-back",
            Self::Skip(..0) => "replay-back",
            Self::Skip(..60) => "replay-forward",
            Self::Skip(_) => "replay-minute-forward",
            Self::NextKey => "replay-next-key",
            Self::Step => "replay-step",
            Self::Start => "replay-start",
            Self::End => "replay-end",
            Self::Messages => "replay-messages",
            Self::Pan(..0, _) => "replay-pan-left",
            Self::Pan(1.., _) => "replay-pan-right",
            Self::Pan(0, ..0) => "replay-pan-up",
            Self::Pan(0, _) => "replay-pan-down",
            Self::Quit => "replay-quit",
        }
    }
}
