//! The inspector: what is shown about the selected object.

use super::data::{Processes, Span, Story};
use super::logs::LogPane;
use super::text_search::TextSearch;
use crate::base::Uid;
use crate::model::{Kind, ObjectKey};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tab {
    Logs,
    Events,
    Spec,
    Procs,
    Metrics,
    Describe,
}

impl Tab {
    const ALL: [Self; 6] = [
        Self::Logs,
        Self::Events,
        Self::Spec,
        Self::Procs,
        Self::Metrics,
        Self::Describe,
    ];

    /// The tabs that mean something for objects of this kind.
    pub(super) fn of(kind: Kind) -> Vec<Self> {
        let means_something = |tab: &Self| match tab {
            Self::Logs | Self::Procs | Self::Metrics => kind == Kind::Pod,
            Self::Events => kind != Kind::Event,
            Self::Spec | Self::Describe => true,
        };
        Self::ALL.into_iter().filter(means_something).collect()
    }

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Logs => "Logs",
            Self::Events => "Events",
            Self::Spec => "Spec",
            Self::Procs => "Procs",
            Self::Metrics => "Metrics",
            Self::Describe => "Describe",
        }
    }

    /// Where there is not room for all titles.
    pub(super) const fn short_title(self) -> &'static str {
        match self {
            Self::Logs | Self::Spec => self.title(),
            Self::Events => "Evts",
            Self::Procs => "Proc",
            Self::Metrics => "Metr",
            Self::Describe => "Desc",
        }
    }

    /// The key that shows it; the same for every kind.
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::Logs => 1,
            Self::Events => 2,
            Self::Spec => 3,
            Self::Procs => 4,
            Self::Metrics => 5,
            Self::Describe => 6,
        }
    }
}

/// In which order processes are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ProcessOrder {
    /// Children below their parents.
    #[default]
    Tree,
    Cpu,
    Memory,
    Pid,
}

impl ProcessOrder {
    pub(super) const fn words(self) -> Option<&'static str> {
        match self {
            Self::Tree => None,
            Self::Cpu => Some("by cpu"),
            Self::Memory => Some("by memory"),
            Self::Pid => Some("by pid"),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Inspector {
    /// As last chosen; kinds that lack it show another.
    chosen: Tab,
    pub(super) logs: LogPane,
    /// The text of the Describe tab, safe to draw.
    pub(super) describe: Vec<String>,
    /// The object as YAML, safe to draw.
    pub(super) spec: Vec<String>,
    /// The secret whose values are shown.
    pub(super) revealed: Option<(ObjectKey, Uid)>,
    /// First line in view of Events, Spec, Describe and Procs.
    pub(super) events_top: usize,
    pub(super) spec_top: usize,
    pub(super) describe_top: usize,
    /// In Spec and Describe.
    pub(super) search: TextSearch,
    pub(super) processes: Processes,
    pub(super) procs_top: usize,
    pub(super) procs_order: ProcessOrder,
    /// What the Metrics tab looks back at.
    pub(super) span: Span,
    pub(super) story: Story,
    /// Nothing but the story in the Events tab.
    pub(super) story_only: bool,
}

impl Inspector {
    pub(super) fn new(logs: LogPane) -> Self {
        Self {
            chosen: Tab::Logs,
            logs,
            describe: Vec::new(),
            spec: Vec::new(),
            revealed: None,
            events_top: 0,
            spec_top: 0,
            describe_top: 0,
            search: TextSearch::default(),
            processes: Processes::default(),
            procs_top: 0,
            procs_order: ProcessOrder::default(),
            span: Span::default(),
            story: Story::default(),
            story_only: false,
        }
    }

    pub(super) fn tab(&self, kind: Kind) -> Tab {
        let tabs = Tab::of(kind);
        if tabs.contains(&self.chosen) {
            self.chosen
        } else {
            Tab::Describe
        }
    }

    /// The lines of a tab that is searched here, its first line in view, and the search.
    pub(super) fn searched(
        &mut self,
        tab: Tab,
    ) -> Option<(&[String], &mut usize, &mut TextSearch)> {
        match tab {
            Tab::Spec => Some((&self.spec, &mut self.spec_top, &mut self.search)),
            Tab::Describe => Some((&self.describe, &mut self.describe_top, &mut self.search)),
            Tab::Logs | Tab::Events | Tab::Procs | Tab::Metrics => None,
        }
    }

    /// False when objects of this kind have no such tab.
    pub(super) fn show(&mut self, kind: Kind, tab: Tab) -> bool {
        let exists = Tab::of(kind).contains(&tab);
        if exists {
            self.chosen = tab;
        }
        exists
    }

    pub(super) fn step(&mut self, kind: Kind, forward: bool) {
        let tabs = Tab::of(kind);
        let current = self.tab(kind);
        let place = tabs.iter().position(|tab| *tab == current).unwrap_or(0);
        let step = if forward { 1 } else { tabs.len() - 1 };
        self.chosen = tabs[(place + step) % tabs.len()];
    }
}
