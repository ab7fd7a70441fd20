//! The list: which objects in which order, which one is selected, what part is in view.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::columns::{Column, ColumnId, Sort, columns_of};
use super::data::{Change, Collections, Health, Metrics, Row};
use super::filter::Filter;
use super::order::Order;
use super::views::ColumnChoice;
use crate::model::{Kind, ObjectKey};

/// Of more changes at once it is cheaper to sort all rows again.
const MOST_CHANGES: usize = 256;

#[derive(Clone, Debug)]
pub(super) struct List {
    pub(super) kind: Kind,
    /// `None` = all namespaces.
    pub(super) namespace: Option<String>,
    /// Where `0` goes back to.
    pub(super) home_namespace: String,
    /// As typed; [`Filter`] says what it means.
    pub(super) filter: String,
    /// Why the filter cannot be understood; it hides nothing then.
    pub(super) filter_problem: Option<String>,
    /// Only rows that are bad or that wait.
    pub(super) faults_only: bool,
    pub(super) sort: Sort,
    pub(super) wide: bool,
    /// Columns that somebody wants otherwise than they come.
    pub(super) choices: BTreeMap<Kind, ColumnChoice>,
    /// First row in view.
    pub(super) top: usize,
    pub(super) widths: Widths,
    order: Order,
    /// What the order was made with: the filter, and whether only faults are shown.
    narrowed_by: (String, bool),
    /// Objects that actions on several apply to; those that are gone or of another kind drop out.
    marks: BTreeSet<ObjectKey>,
    selected: Option<ObjectKey>,
    index: usize,
}

/// Natural widths of the columns whose content differs much, over all rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Widths {
    pub(super) name: usize,
    pub(super) namespace: usize,
    pub(super) status: usize,
}

impl Widths {
    fn over(rows: &[Arc<Row>]) -> Self {
        let of = |row: &Arc<Row>| {
            let [name, namespace, status] = row.widths;
            Self {
                name,
                namespace,
                status,
            }
        };
        rows.iter().map(of).fold(Self::default(), Self::max)
    }

    fn max(self, other: Self) -> Self {
        Self {
            name: self.name.max(other.name),
            namespace: self.namespace.max(other.namespace),
            status: self.status.max(other.status),
        }
    }

    /// One of them may be less when such a row becomes such another.
    fn shrink_by(self, before: Self, after: Self) -> bool {
        let is_lost = |whole: usize, before: usize, after: usize| before == whole && after < whole;
        is_lost(self.name, before.name, after.name)
            || is_lost(self.namespace, before.namespace, after.namespace)
            || is_lost(self.status, before.status, after.status)
    }
}

impl List {
    pub(super) fn new(namespace: Option<String>) -> Self {
        Self {
            kind: Kind::Pod,
            home_namespace: namespace.clone().unwrap_or_else(|| "default".to_owned()),
            namespace,
            filter: String::new(),
            filter_problem: None,
            faults_only: false,
            marks: BTreeSet::new(),
            sort: default_sort(Kind::Pod),
            wide: false,
            choices: BTreeMap::new(),
            top: 0,
            widths: Widths::default(),
            order: Order::empty(default_sort(Kind::Pod)),
            narrowed_by: (String::new(), false),
            selected: None,
            index: 0,
        }
    }

    pub(super) fn rows(&self) -> &[Arc<Row>] {
        self.order.rows()
    }

    pub(super) fn index(&self) -> usize {
        self.index
    }

    pub(super) fn selected(&self) -> Option<&Arc<Row>> {
        self.rows().get(self.index)
    }

    pub(super) fn show_kind(&mut self, kind: Kind) {
        if self.kind != kind {
            self.kind = kind;
            self.sort = default_sort(kind);
            self.filter.clear();
            self.faults_only = false;
            self.marks.clear();
            self.selected = None;
            self.index = 0;
            self.top = 0;
        }
    }

    /// Those that belong to this list, in their order; how many of them fit is another matter.
    pub(super) fn columns(&self) -> Vec<Column> {
        let everywhere = self.namespace.is_none();
        let usual = columns_of(self.kind, everywhere, self.wide);
        let Some(choice) = self.choices.get(&self.kind) else {
            return usual;
        };
        let is_wanted = |column: &Column| {
            let name = column.id.name_in(self.kind);
            let is_usual = usual.iter().any(|one| one.id == column.id);
            column.is_fixed()
                || choice.shown.contains(name)
                || (is_usual && !choice.hidden.contains(name))
        };
        let all = columns_of(self.kind, everywhere, true).into_iter();
        all.filter(is_wanted).collect()
    }

    pub(super) fn sort_by(&mut self, column: ColumnId) {
        self.sort = Sort {
            column,
            is_reversed: self.sort.column == column && !self.sort.is_reversed,
        };
    }

    pub(super) fn select(&mut self, index: usize) {
        self.index = index.min(self.rows().len().saturating_sub(1));
        self.selected = self.rows().get(self.index).map(|row| row.key.clone());
    }

    /// Selects this object as soon as it is in the list.
    pub(super) fn follow(&mut self, key: ObjectKey) {
        self.selected = Some(key);
    }

    /// Filters and sorts anew. The selection stays on its object; when that is gone, on its place.
    pub(super) fn refresh(&mut self, collections: &Collections, metrics: &Metrics) {
        let mut filter = Filter::parse(&self.filter);
        self.filter_problem = filter.problem().map(str::to_owned);
        let faults_only = self.faults_only;
        let is_wanted = |row: &&Arc<Row>| (!faults_only || is_fault(row)) && filter.matches(row);
        let wanted: Vec<&Arc<Row>> = collections.rows(self.kind).filter(is_wanted).collect();
        self.order = Order::of(wanted, self.sort, metrics);
        if !self.marks.is_empty() {
            let rows = collections.rows(self.kind);
            let marked = rows.filter(|row| self.marks.contains(&row.key));
            self.marks = marked.map(|row| row.key.clone()).collect();
        }
        self.find_selection(collections, metrics);
        self.widths = Widths::over(self.rows());
    }

    /// Takes in what became of some rows, without a look at all the others. False when that cannot be done.
    pub(super) fn follow_changes(
        &mut self,
        changes: &[Change],
        collections: &Collections,
        metrics: &Metrics,
    ) -> bool {
        let is_gone = |change: &Change| change.after.is_none();
        if self.order.sort() != self.sort
            || changes.len() > MOST_CHANGES
            || (!self.marks.is_empty() && changes.iter().any(is_gone))
        {
            return false;
        }
        let mut filter = Filter::parse(&self.filter);
        let faults_only = self.faults_only;
        let mut wanted = |row: &Option<Arc<Row>>| {
            let row = row.as_ref()?;
            ((!faults_only || is_fault(row)) && filter.matches(row)).then(|| Arc::clone(row))
        };
        let mut shrinks = false;
        for change in changes {
            let change = Change {
                before: wanted(&change.before),
                after: wanted(&change.after),
            };
            if !self.order.change(&change, metrics) {
                return false;
            }
            let [before, after] =
                [&change.before, &change.after].map(|row| Widths::over(row.as_slice()));
            shrinks |= self.widths.shrink_by(before, after);
            self.widths = self.widths.max(after);
        }
        if shrinks {
            self.widths = Widths::over(self.rows());
        }
        self.find_selection(collections, metrics);
        true
    }

    /// The selection stays on its object; when that is gone, on its place.
    fn find_selection(&mut self, collections: &Collections, metrics: &Metrics) {
        let place = self.selected.as_ref().and_then(|key| {
            // It is mostly where it was.
            let same = self
                .rows()
                .get(self.index)
                .is_some_and(|row| row.key == *key);
            let found = || {
                let row = collections.get(self.kind)?.get(key)?;
                // Usage may have gone on since the rows were sorted by it.
                let is_it = |row: &Arc<Row>| row.key == *key;
                let searched = || self.rows().iter().position(is_it);
                self.order.find(row, metrics).or_else(searched)
            };
            same.then_some(self.index).or_else(found)
        });
        let narrowed_by = (self.filter.clone(), self.faults_only);
        let is_other = std::mem::replace(&mut self.narrowed_by, narrowed_by) != self.narrowed_by;
        // A list that is loading again is empty for a moment; the wish for a selection outlives that.
        match place {
            Some(index) => self.index = index,
            None if self.rows().is_empty() => self.index = 0,
            // What was selected is filtered out: the first that is left is the best match.
            None if is_other => self.select(0),
            None => self.select(self.index),
        }
    }

    pub(super) fn is_marked(&self, row: &Row) -> bool {
        self.marks.contains(&row.key)
    }

    /// Marks the selected row or takes its mark away, and goes on to the next.
    pub(super) fn toggle_mark(&mut self) {
        let Some(row) = self.selected() else { return };
        let key = row.key.clone();
        if !self.marks.remove(&key) {
            self.marks.insert(key);
        }
        self.select(self.index + 1);
    }

    /// Marks every row from the nearest marked one above (else below) to the selected one.
    pub(super) fn mark_range(&mut self) {
        let marked = |index: &usize| {
            self.rows()
                .get(*index)
                .is_some_and(|row| self.is_marked(row))
        };
        let above = (0..self.index).rev().find(marked);
        let other = above.or_else(|| (self.index..self.rows().len()).find(marked));
        let from = other.unwrap_or(self.index);
        let range = from.min(self.index)..=from.max(self.index);
        let keys: Vec<ObjectKey> = self
            .rows()
            .get(range)
            .unwrap_or_default()
            .iter()
            .map(|row| row.key.clone())
            .collect();
        self.marks.extend(keys);
    }

    pub(super) fn clear_marks(&mut self) -> bool {
        !std::mem::take(&mut self.marks).is_empty()
    }

    /// Those of another kind than the list shows now are left out.
    pub(super) fn mark_again(&mut self, keys: Vec<ObjectKey>) {
        let kind = self.kind;
        self.marks
            .extend(keys.into_iter().filter(|key| key.kind == kind));
    }

    pub(super) fn marks(&self) -> usize {
        self.marks.len()
    }

    /// The rows an action is about: the marked ones, also those a filter hides now, else the selected one.
    pub(super) fn targets(&self, collections: &Collections) -> Vec<Arc<Row>> {
        if self.marks.is_empty() {
            return self.selected().cloned().into_iter().collect();
        }
        let rows = collections.rows(self.kind);
        rows.filter(|row| self.is_marked(row)).cloned().collect()
    }

    /// False when the list does not show it.
    pub(super) fn select_key(&mut self, key: &ObjectKey) -> bool {
        let place = self.rows().iter().position(|row| row.key == *key);
        place.map(|index| self.select(index)).is_some()
    }

    /// It is selected as soon as the list shows it.
    pub(super) fn wish(&mut self, key: &ObjectKey) {
        self.selected = Some(key.clone());
    }

    /// Moves the view so that the selection is in it and no line is wasted.
    pub(super) fn scroll_into_view(&mut self, height: usize) {
        let height = height.max(1);
        let last_top = self.rows().len().saturating_sub(height);
        let lowest = self.index.saturating_sub(height - 1);
        self.top = self.top.clamp(lowest, self.index.max(lowest)).min(last_top);
    }
}

fn default_sort(kind: Kind) -> Sort {
    let column = match kind {
        Kind::Event => ColumnId::Age,
        _ => ColumnId::Name,
    };
    Sort {
        column,
        is_reversed: false,
    }
}

fn is_fault(row: &Row) -> bool {
    matches!(row.health, Health::Bad | Health::Wait)
}
