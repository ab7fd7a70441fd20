//! Short-lived things above the regions. They form a stack; `esc` takes the top one away.

use super::actions::Copied;
use super::inspector::Tab;
use super::keymap::{Binding, Cmd, Place};
use super::line_edit::LineEdit;
use crate::model::ObjectKey;

#[derive(Clone, Debug)]
pub(super) enum Overlay {
    Prompt(Prompt),
    Picker(Picker),
    Confirm(Confirm),
    Text(TextBox),
    /// The pods in trouble; drawn from the model, so it is always of now.
    Attention(Attention),
}

/// The place in the queue: a pod, so that it stays when others come and go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Attention {
    pub(super) selected: Option<ObjectKey>,
}

/// A line of input at the bottom.
#[derive(Clone, Debug)]
pub(super) struct Prompt {
    pub(super) kind: PromptKind,
    pub(super) line: LineEdit,
    pub(super) completions: Vec<Completion>,
    /// The completion that stands in the line, when one was chosen.
    pub(super) chosen: Option<usize>,
    /// What `esc` brings back.
    pub(super) before: String,
    /// The request was sent; the prompt stays until the answer is good.
    pub(super) is_waiting: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PromptKind {
    Palette,
    Filter,
    Search,
    /// In Spec or Describe.
    TextSearch,
    /// Which lines of the logs are shown.
    LogFilter,
    /// Where in the logs to go to.
    LogTime,
    /// In the shown terminal.
    TerminalSearch,
    CreatePath,
    /// A manifest to open in the editor.
    EditPath,
    /// A `docker run` line to convert.
    RunLine,
    /// A name for the view.
    SaveView,
    /// The name of an image.
    PullImage,
}

impl PromptKind {
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Palette => ":",
            Self::Filter | Self::Search | Self::TextSearch | Self::TerminalSearch => "/",
            Self::LogFilter => "&",
            Self::LogTime => "go to time: ",
            Self::CreatePath => "create from file: ",
            Self::EditPath => "edit a copy of file: ",
            Self::RunLine => "docker run line: ",
            Self::SaveView => "name of this view: ",
            Self::PullImage => "pull image: ",
        }
    }

    /// Whether it completes, what submitting does with it, and what cancelling does.
    pub(super) const fn words(self) -> (bool, &'static str, &'static str) {
        match self {
            Self::Palette => (true, "do it", "cancel"),
            Self::Filter => (false, "keep it", "as before"),
            Self::Search | Self::TextSearch | Self::TerminalSearch => (false, "find", "cancel"),
            Self::LogFilter => (false, "only these", "cancel"),
            Self::LogTime => (false, "go there", "cancel"),
            Self::CreatePath => (true, "create", "cancel"),
            Self::EditPath => (true, "open", "cancel"),
            Self::RunLine => (false, "convert", "cancel"),
            Self::SaveView => (true, "save", "cancel"),
            Self::PullImage => (false, "pull", "cancel"),
        }
    }
}

impl Prompt {
    pub(super) fn new(kind: PromptKind, text: impl Into<String>) -> Self {
        let before: String = text.into();
        Self {
            kind,
            line: LineEdit::new(before.clone()),
            completions: Vec::new(),
            chosen: None,
            before,
            is_waiting: false,
        }
    }

    /// Puts the next or previous completion into the line.
    pub(super) fn cycle(&mut self, forward: bool) {
        let count = self.completions.len();
        if count == 0 {
            return;
        }
        let next = match (self.chosen, forward) {
            (None, true) => 0,
            (None, false) => count - 1,
            (Some(index), true) => (index + 1) % count,
            (Some(index), false) => (index + count - 1) % count,
        };
        self.chosen = Some(next);
        self.line = LineEdit::new(self.completions[next].text.clone());
    }
}

/// The whole line after choosing it, and a word about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Completion {
    pub(super) text: String,
    pub(super) note: String,
}

/// A searchable list whose items do something.
#[derive(Clone, Debug)]
pub(super) struct Picker {
    pub(super) title: String,
    pub(super) line: LineEdit,
    pub(super) items: Vec<PickItem>,
    /// Index among the items that match.
    pub(super) selected: usize,
    pub(super) feed: Feed,
    /// Titles of the columns: above the keys and above the texts of the items.
    pub(super) heading: Option<(&'static str, &'static str)>,
}

/// Where the items of a picker come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Feed {
    /// They are what they were.
    #[default]
    Fixed,
    /// The images of the machine; they change while the picker is open.
    Images,
    /// What can be done with the image of this ID.
    Image(String),
    /// The layers of the image with this ID.
    Layers(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PickItem {
    pub(super) key: String,
    pub(super) text: String,
    pub(super) action: PickAction,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PickAction {
    Run(Cmd),
    /// Show one container's log, or all merged.
    Container(Option<usize>),
    /// Show the logs from there.
    LogRange(super::logs::Range),
    /// A terminal in one of the containers that are offered.
    Terminal(usize),
    New(NewFrom),
    /// One of the containers of the selected pod.
    Restart(usize),
    Copy(Copied),
    Image(usize),
    /// With the image of the picker, or with all.
    Images(ImageChoice),
    Pull,
    Layer(usize),
    /// Show or hide it.
    Column(super::columns::ColumnId),
}

/// What the list of images offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ImageChoice {
    Layers,
    PullAgain,
    Remove,
    PullNew,
    Prune,
}

/// What a new object begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NewFrom {
    Template,
    File,
    CopyOfFile,
    RunLine,
}

impl Picker {
    pub(super) fn new(title: impl Into<String>, items: Vec<PickItem>) -> Self {
        Self {
            title: title.into(),
            line: LineEdit::default(),
            items,
            selected: 0,
            feed: Feed::Fixed,
            heading: None,
        }
    }

    /// The keys of this very place stand first: they are the ones that one does not know yet.
    pub(super) fn help<'a>(place: Place, bindings: impl Iterator<Item = &'a Binding>) -> Self {
        let (here, anywhere): (Vec<_>, Vec<_>) =
            bindings.partition(|binding| binding.place == place);
        let item = |binding: &Binding| PickItem {
            key: binding.keys_text(),
            text: binding.help.to_owned(),
            action: PickAction::Run(binding.cmd),
        };
        let all = here.into_iter().chain(anywhere);
        Self::new("keys that work here", all.map(item).collect())
    }

    /// Says so in front of what is refused.
    pub(super) fn refuse(&mut self, is_refused: fn(Cmd) -> bool, why: &str) {
        for item in &mut self.items {
            if matches!(item.action, PickAction::Run(cmd) if is_refused(cmd)) {
                item.text.insert_str(0, why);
            }
        }
    }

    pub(super) fn matching(&self) -> Vec<&PickItem> {
        let wanted = self.line.text().to_lowercase();
        let matches = |item: &&PickItem| {
            item.key.to_lowercase().contains(&wanted) || item.text.to_lowercase().contains(&wanted)
        };
        self.items.iter().filter(matches).collect()
    }

    pub(super) fn step(&mut self, lines: isize) {
        let last = self.matching().len().saturating_sub(1);
        self.selected = self.selected.saturating_add_signed(lines).min(last);
    }
}

/// A question with answers; the first answer is the harmless one and is chosen at first.
#[derive(Clone, Debug)]
pub(super) struct Confirm {
    pub(super) title: String,
    pub(super) text: Vec<String>,
    pub(super) answers: Vec<Answer>,
    pub(super) chosen: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) key: char,
    pub(super) text: String,
    pub(super) action: AnswerAction,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AnswerAction {
    Nothing,
    /// With this grace period, or each object's own.
    Delete(Vec<ObjectKey>, Option<i64>),
    /// Leave, and carry out the deletions that wait, or drop them.
    Leave {
        deletes: bool,
    },
    Restart(super::update::Restart),
    Image(super::effect::ImageWork),
    Exit(super::effect::ExitChoice),
    Editor(super::editor::EditorAnswer),
}

impl Confirm {
    pub(super) fn step(&mut self, forward: bool) {
        let count = self.answers.len();
        let step = if forward { 1 } else { count - 1 };
        self.chosen = (self.chosen + step) % count;
    }
}

/// Text to read.
#[derive(Clone, Debug)]
pub(super) struct TextBox {
    pub(super) title: String,
    pub(super) lines: Vec<String>,
    pub(super) top: usize,
}

/// Which region has the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Focus {
    List,
    Inspector,
    Terminal,
}

/// How the mode word reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Normal,
    Input,
    /// Every key but one goes to a program.
    Term,
}

impl Mode {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Normal => "NORMAL",
            Self::Input => "INPUT",
            Self::Term => "TERM",
        }
    }
}

/// A tab as the title of the inspector shows it.
pub(super) fn tab_label(tab: Tab, is_short: bool) -> String {
    let title = if is_short {
        tab.short_title()
    } else {
        tab.title()
    };
    format!("{} {title}", tab.number())
}
