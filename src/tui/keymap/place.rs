/// Where a binding holds. A more special place wins over `Anywhere`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Place {
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
    pub(super) const fn inherits(self) -> bool {
        !matches!(
            self,
            Self::Terminal | Self::Chord | Self::Ended | Self::Replay | Self::Editor | Self::Input
        )
    }

    /// Characters are typed here, so they cannot be commands.
    pub(super) const fn takes_text(self) -> bool {
        matches!(self, Self::Editor | Self::Input)
    }

    pub(super) const ALL: [Self; 15] = [
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
    pub(super) const fn name(self) -> &'static str {
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
