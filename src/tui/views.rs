//! Views: what the list shows and how. The last one comes back with the next start, named ones with `:view NAME`.
//!
//! They live in one file of the state directory, `screen.json`, of version 2. Version 1 had no theme; a podtui that knows
//! only that one leaves a file of version 2 alone. A file of a later version is left alone and not written; a damaged one is put aside. `tasks::session` reads and writes it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::columns::{ColumnId, Sort};
use super::inspector::Tab;
use super::layout::Shares;
use super::model::Model;
use crate::model::Kind;

pub(super) const VERSION: u32 = 2;

/// Everything that makes one list different from another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct View {
    /// `pods`
    kind: String,
    /// `None` = all namespaces.
    namespace: Option<String>,
    filter: String,
    faults_only: bool,
    /// Name of a column.
    sort: String,
    reversed: bool,
    wide: bool,
    /// Title of a tab.
    tab: String,
    split: Shares,
}

impl View {
    pub(super) fn of(model: &Model) -> Self {
        let list = &model.list;
        Self {
            kind: list.kind.plural().to_owned(),
            namespace: list.namespace.clone(),
            filter: list.filter.clone(),
            faults_only: list.faults_only,
            sort: list.sort.column.name_in(list.kind).to_owned(),
            reversed: list.sort.is_reversed,
            wide: list.wide,
            tab: model.tab().title().to_lowercase(),
            split: model.shares,
        }
    }

    /// As `of(model) == self`, but without making anything: it is asked after every message.
    pub(super) fn is_of(&self, model: &Model) -> bool {
        let list = &model.list;
        self.is_at(model)
            && self.filter == list.filter
            && self.faults_only == list.faults_only
            && self.sort == list.sort.column.name_in(list.kind)
            && self.reversed == list.sort.is_reversed
            && self.wide == list.wide
            && self.tab.eq_ignore_ascii_case(model.tab().title())
            && self.split == model.shares
    }

    /// The same kind in the same namespace.
    pub(super) fn is_at(&self, model: &Model) -> bool {
        self.kind == model.list.kind.plural() && self.namespace == model.list.namespace
    }

    /// What is not there any more (a kind, a column) is left as it is.
    pub(super) fn apply(&self, model: &mut Model) {
        if let Some(kind) = Kind::from_user(&self.kind) {
            model.list.show_kind(kind);
        }
        let list = &mut model.list;
        if let Some(namespace) = &self.namespace {
            list.home_namespace.clone_from(namespace);
        }
        list.namespace.clone_from(&self.namespace);
        list.filter.clone_from(&self.filter);
        list.faults_only = self.faults_only;
        list.wide = self.wide;
        if let Some(column) = ColumnId::from_name(list.kind, &self.sort) {
            list.sort = Sort {
                column,
                is_reversed: self.reversed,
            };
        }
        let kind = list.kind;
        let tabs = Tab::of(kind);
        let tab = tabs
            .into_iter()
            .find(|tab| tab.title().eq_ignore_ascii_case(&self.tab));
        if let Some(tab) = tab {
            model.inspector.show(kind, tab);
        }
        model.shares = self.split;
        model.pending.is_list_stale = true;
    }

    /// `pods in web, /crash`, for completions and messages.
    pub(super) fn words(&self) -> String {
        let place = match &self.namespace {
            Some(namespace) => format!("in {namespace}"),
            None => "everywhere".to_owned(),
        };
        let mut words = format!("{} {place}", self.kind);
        if !self.filter.is_empty() {
            words.push_str(&format!(", filter {}", self.filter));
        }
        if self.faults_only {
            words.push_str(", faults only");
        }
        words
    }

    /// Objects are hidden that one may look for.
    pub(super) fn hides_something(&self) -> bool {
        !self.filter.is_empty() || self.faults_only
    }

    pub(super) fn with_namespace(mut self, namespace: Option<String>) -> Self {
        self.namespace = namespace;
        self
    }
}

/// Columns that somebody wants otherwise than they come, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ColumnChoice {
    pub(super) hidden: BTreeSet<String>,
    /// Also when the list is not wide.
    pub(super) shown: BTreeSet<String>,
}

/// The file as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct SessionFile {
    pub(super) version: u32,
    pub(super) last: Option<View>,
    pub(super) previous: Option<View>,
    pub(super) views: BTreeMap<String, View>,
    /// By the plural of the kind.
    pub(super) columns: BTreeMap<String, ColumnChoice>,
    /// Chosen on the screen; `config.toml` wins.
    pub(super) theme: Option<String>,
}

/// What this screen wants to be in the file. Another screen may have written meanwhile: only what is named here is
/// changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SessionChange {
    pub(super) last: View,
    pub(super) previous: Option<View>,
    /// `None`: removed.
    pub(super) views: BTreeMap<String, Option<View>>,
    pub(super) columns: BTreeMap<String, ColumnChoice>,
    /// `None`: none was chosen on this screen.
    pub(super) theme: Option<String>,
}

impl SessionChange {
    pub(super) fn carry_into(&self, file: &mut SessionFile) {
        file.version = VERSION;
        file.last = Some(self.last.clone());
        file.previous.clone_from(&self.previous);
        if self.theme.is_some() {
            file.theme.clone_from(&self.theme);
        }
        for (name, view) in &self.views {
            match view {
                Some(view) => file.views.insert(name.clone(), view.clone()),
                None => file.views.remove(name),
            };
        }
        file.columns.extend(
            self.columns
                .iter()
                .map(|(kind, one)| (kind.clone(), one.clone())),
        );
    }
}

/// What was found in the place of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SessionRead {
    None,
    Kept(Box<SessionFile>),
    /// Put aside under this name.
    Damaged {
        aside: String,
        why: String,
    },
    /// Of a later podtui.
    Later(u32),
    Unreadable(String),
}

/// The views of this session.
#[derive(Clone, Debug, Default)]
pub(super) struct Views {
    /// All that have a name.
    pub(super) named: BTreeMap<String, View>,
    /// As the list was at the start.
    pub(super) initial: View,
    /// As the list was when it was looked at last.
    pub(super) current: View,
    /// Where `-` goes to.
    pub(super) previous: Option<View>,
    /// Named or removed in this session.
    pub(super) own: BTreeMap<String, Option<View>>,
    /// Kinds whose columns were chosen in this session.
    pub(super) own_columns: BTreeSet<Kind>,
    /// The theme was chosen in this session, to be kept.
    pub(super) is_theme_own: bool,
    /// Something of this has to be written.
    pub(super) is_stale: bool,
    /// A namespace of the command line wins over the remembered one.
    pub(super) is_namespace_given: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(kind: &str, filter: &str) -> View {
        View {
            kind: kind.to_owned(),
            filter: filter.to_owned(),
            ..View::default()
        }
    }

    #[test]
    fn a_change_leaves_alone_what_other_screens_wrote() {
        let mut file = SessionFile {
            version: VERSION,
            last: Some(view("pods", "a")),
            views: BTreeMap::from([
                ("theirs".to_owned(), view("nodes", "")),
                ("gone".to_owned(), view("nodes", "")),
            ]),
            ..SessionFile::default()
        };
        let change = SessionChange {
            last: view("pods", "b"),
            views: BTreeMap::from([
                ("mine".to_owned(), Some(view("events", ""))),
                ("gone".to_owned(), None),
            ]),
            ..SessionChange::default()
        };
        change.carry_into(&mut file);
        assert_eq!(file.last, Some(view("pods", "b")));
        assert_eq!(
            file.views.keys().map(String::as_str).collect::<Vec<_>>(),
            ["mine", "theirs"]
        );
        let text = serde_json::to_string(&file).unwrap();
        assert_eq!(serde_json::from_str::<SessionFile>(&text).unwrap(), file);
    }
}
