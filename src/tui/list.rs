//! The list: which objects in which order, which one is selected, what part is in view.

use std::sync::Arc;

use unicode_width::UnicodeWidthStr;

use super::columns::{ColumnId, Sort, compare};
use super::data::{Collections, Metrics, Row};
use crate::model::{Kind, ObjectKey};

#[derive(Clone, Debug)]
pub(super) struct List {
    pub(super) kind: Kind,
    /// `None` = all namespaces.
    pub(super) namespace: Option<String>,
    /// Where `0` goes back to.
    pub(super) home_namespace: String,
    /// As typed: a substring of the row, or with `!` in front of what must not be in it.
    pub(super) filter: String,
    pub(super) sort: Sort,
    pub(super) wide: bool,
    /// First row in view.
    pub(super) top: usize,
    pub(super) widths: Widths,
    order: Vec<Arc<Row>>,
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

impl List {
    pub(super) fn new(namespace: Option<String>) -> Self {
        Self {
            kind: Kind::Pod,
            home_namespace: namespace.clone().unwrap_or_else(|| "default".to_owned()),
            namespace,
            filter: String::new(),
            sort: default_sort(Kind::Pod),
            wide: false,
            top: 0,
            widths: Widths::default(),
            order: Vec::new(),
            selected: None,
            index: 0,
        }
    }

    pub(super) fn rows(&self) -> &[Arc<Row>] {
        &self.order
    }

    pub(super) fn index(&self) -> usize {
        self.index
    }

    pub(super) fn selected(&self) -> Option<&Arc<Row>> {
        self.order.get(self.index)
    }

    pub(super) fn show_kind(&mut self, kind: Kind) {
        if self.kind != kind {
            self.kind = kind;
            self.sort = default_sort(kind);
            self.filter.clear();
            self.selected = None;
            self.index = 0;
            self.top = 0;
        }
    }

    pub(super) fn sort_by(&mut self, column: ColumnId) {
        self.sort = Sort {
            column,
            is_reversed: self.sort.column == column && !self.sort.is_reversed,
        };
    }

    pub(super) fn select(&mut self, index: usize) {
        self.index = index.min(self.order.len().saturating_sub(1));
        self.selected = self.order.get(self.index).map(|row| row.key.clone());
    }

    /// Filters and sorts anew. The selection stays on its object; when that is gone, on its place.
    pub(super) fn refresh(&mut self, collections: &Collections, metrics: &Metrics) {
        let rows = collections.rows(self.kind);
        self.order = rows
            .filter(|row| matches(row, &self.filter))
            .cloned()
            .collect();
        self.order
            .sort_by(|left, right| compare(left, right, self.sort, metrics));
        let place = self
            .selected
            .as_ref()
            .and_then(|key| self.order.iter().position(|row| row.key == *key));
        // A list that is loading again is empty for a moment; the wish for a selection outlives that.
        match place {
            Some(index) => self.index = index,
            None if self.order.is_empty() => self.index = 0,
            None => self.select(self.index),
        }
        self.widths = Widths::default();
        for row in &self.order {
            let widths = &mut self.widths;
            widths.name = widths.name.max(row.key.name.width());
            widths.namespace = widths.namespace.max(row.namespace().width());
            let status = row
                .pod
                .as_ref()
                .map_or(0, |facts| facts.summary.status.width());
            widths.status = widths.status.max(status);
        }
    }

    /// Moves the view so that the selection is in it and no line is wasted.
    pub(super) fn scroll_into_view(&mut self, height: usize) {
        let height = height.max(1);
        let last_top = self.order.len().saturating_sub(height);
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

/// The filter looks at what the row says: name, namespace, status, and for events reason, object and message.
fn matches(row: &Row, filter: &str) -> bool {
    let (wanted, filter) = match filter.strip_prefix('!') {
        Some(rest) => (false, rest),
        None => (true, filter),
    };
    if filter.is_empty() {
        return true;
    }
    let filter = filter.to_lowercase();
    let contains = |text: &str| text.to_lowercase().contains(&filter);
    let found = contains(&row.key.name)
        || contains(row.namespace())
        || row
            .pod
            .as_ref()
            .is_some_and(|facts| contains(&facts.summary.status))
        || match &row.object {
            crate::model::Object::Event(event) => {
                let texts = [&event.reason, &event.message, &event.involved_object.name];
                texts.into_iter().flatten().any(|text| contains(text))
            }
            _ => false,
        };
    found == wanted
}
