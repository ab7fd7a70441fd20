//! The columns of the list: which there are for a kind, what stands in a cell, which of them order the list.

use jiff::Timestamp;

use super::data::{Health, Metrics, PodFacts, Row, Usage};
use super::sanitize::plain;
use crate::model::Kind;
use crate::printer::{cells, headers, human_duration};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ColumnId {
    Namespace,
    Name,
    Ready,
    Status,
    Restarts,
    /// Since the last restart.
    Last,
    Cpu,
    CpuPercent,
    Memory,
    MemoryPercent,
    Age,
    CpuRequestPercent,
    MemoryRequestPercent,
    CpuGraph,
    MemoryGraph,
    Ip,
    Node,
    /// The fault in words.
    Why,
    /// The n-th column as `printer` prints the kind in its wide form.
    Printed(usize),
}

impl ColumnId {
    /// How commands and `keys.toml` call it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::Name => "name",
            Self::Ready => "ready",
            Self::Status => "status",
            Self::Restarts => "restarts",
            Self::Last => "last",
            Self::Cpu => "cpu",
            Self::CpuPercent => "cpu-percent",
            Self::Memory => "memory",
            Self::MemoryPercent => "memory-percent",
            Self::Age => "age",
            Self::CpuRequestPercent => "cpu-request-percent",
            Self::MemoryRequestPercent => "memory-request-percent",
            Self::CpuGraph => "cpu-graph",
            Self::MemoryGraph => "memory-graph",
            Self::Ip => "ip",
            Self::Node => "node",
            Self::Why => "why",
            Self::Printed(_) => "printed",
        }
    }

    const NAMED: [Self; 18] = [
        Self::Namespace,
        Self::Name,
        Self::Ready,
        Self::Status,
        Self::Restarts,
        Self::Last,
        Self::Cpu,
        Self::CpuPercent,
        Self::Memory,
        Self::MemoryPercent,
        Self::Age,
        Self::CpuRequestPercent,
        Self::MemoryRequestPercent,
        Self::CpuGraph,
        Self::MemoryGraph,
        Self::Ip,
        Self::Node,
        Self::Why,
    ];

    /// How files and pickers call it; that of a printed column is its title.
    pub(super) fn name_in(self, kind: Kind) -> &'static str {
        match self {
            Self::Printed(index) => headers(kind, true).get(index).copied().unwrap_or("printed"),
            named => named.name(),
        }
    }

    pub(super) fn from_name(kind: Kind, name: &str) -> Option<Self> {
        let named = Self::NAMED.into_iter().find(|id| id.name() == name);
        named.or_else(|| {
            let titles = headers(kind, true);
            let index = titles.into_iter().position(|title| title == name)?;
            Some(Self::Printed(index))
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) id: ColumnId,
    pub(super) title: &'static str,
    pub(super) align_right: bool,
    pub(super) min: u16,
    /// It may grow to this when there is room and content for it.
    pub(super) max: u16,
    /// Lower stays longer when the screen gets narrow.
    pub(super) priority: u8,
}

#[rustfmt::skip]
const POD_COLUMNS: &[Column] = &[
    column(ColumnId::Name,          "NAME",   false, 8, 60, 0),
    column(ColumnId::Ready,         "READY",  false, 5, 7, 2),
    column(ColumnId::Status,        "STATUS", false, 7, 26, 1),
    column(ColumnId::Restarts,      "RST",    true,  3, 6, 3),
    column(ColumnId::Last,          "LAST",   true,  5, 6, 7),
    column(ColumnId::Cpu,           "CPU",    true,  5, 6, 6),
    column(ColumnId::CpuPercent,    "%L",     true,  3, 4, 9),
    column(ColumnId::Memory,        "MEM",    true,  5, 6, 5),
    column(ColumnId::MemoryPercent, "%L",     true,  3, 4, 8),
    column(ColumnId::Age,           "AGE",    true,  5, 6, 4),
];
const MEMORY_GRAPH: Column = column(ColumnId::MemoryGraph, "MEM 5m", false, 6, 10, 10);
const CPU_GRAPH: Column = column(ColumnId::CpuGraph, "CPU 5m", false, 6, 10, 12);
const CPU_REQUEST: Column = column(ColumnId::CpuRequestPercent, "CPU%R", true, 5, 5, 14);
const MEMORY_REQUEST: Column = column(ColumnId::MemoryRequestPercent, "MEM%R", true, 5, 5, 13);
const WHY: Column = column(ColumnId::Why, "WHY", false, 14, u16::MAX, 11);

const fn column(
    id: ColumnId,
    title: &'static str,
    align_right: bool,
    min: u16,
    max: u16,
    priority: u8,
) -> Column {
    Column {
        id,
        title,
        align_right,
        min,
        max,
        priority,
    }
}

impl ColumnId {
    /// The order that a column gives at first is from its largest value down.
    pub(super) const fn is_largest_first(self) -> bool {
        matches!(
            self,
            Self::Restarts
                | Self::Cpu
                | Self::Memory
                | Self::CpuPercent
                | Self::MemoryPercent
                | Self::CpuRequestPercent
                | Self::MemoryRequestPercent
        )
    }
}

impl Column {
    /// It tells the rows apart, so it cannot be hidden.
    pub(super) const fn is_fixed(&self) -> bool {
        matches!(
            self.id,
            ColumnId::Name | ColumnId::Namespace | ColumnId::Printed(0)
        )
    }
}

/// Columns [`super::order`] knows an order for.
pub(super) const fn is_sortable(id: ColumnId) -> bool {
    !matches!(
        id,
        ColumnId::CpuGraph | ColumnId::MemoryGraph | ColumnId::Why
    )
}

pub(super) fn columns_of(kind: Kind, all_namespaces: bool, wide: bool) -> Vec<Column> {
    let namespace = column(ColumnId::Namespace, "NAMESPACE", false, 6, 20, 2);
    let mut columns: Vec<Column> = Vec::new();
    if all_namespaces && kind.is_namespaced() {
        columns.push(namespace);
    }
    if kind == Kind::Pod {
        columns.extend_from_slice(POD_COLUMNS);
        if wide {
            columns.push(column(ColumnId::Ip, "IP", false, 7, 39, 5));
            columns.push(column(ColumnId::Node, "NODE", false, 6, 20, 9));
        }
        columns.extend([MEMORY_REQUEST, CPU_REQUEST, MEMORY_GRAPH, CPU_GRAPH, WHY]);
        return columns;
    }
    let usual = headers(kind, wide);
    let titles = headers(kind, true).into_iter().enumerate();
    let wanted = titles.filter(|(_, title)| usual.contains(title));
    columns.extend(wanted.map(|(index, title)| {
        let priority = u8::try_from(index).unwrap_or(u8::MAX);
        column(ColumnId::Printed(index), title, false, 4, 40, priority)
    }));
    if let Some(last) = columns.last_mut() {
        last.max = u16::MAX;
    }
    columns
}

/// What cells are made of beside their row.
pub(super) struct CellSource<'a> {
    pub(super) now: Timestamp,
    pub(super) metrics: &'a Metrics,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) text: String,
    /// `None` is drawn dim.
    pub(super) health: Option<Health>,
}

impl Cell {
    fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            health: Some(Health::Neutral),
        }
    }

    fn dim(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            health: None,
        }
    }
}

/// One cell per column; the memory graph is left empty, it is drawn from [`Usage::memory_steps`].
pub(super) fn row_cells(row: &Row, columns: &[Column], source: &CellSource<'_>) -> Vec<Cell> {
    let printed = match &row.pod {
        Some(_) => Vec::new(),
        None => cells(&row.object.to_object(), true, source.now),
    };
    let usage = row
        .pod
        .as_ref()
        .and_then(|_| source.metrics.of(row.namespace(), &row.key.name));
    let cell = |column: &Column| match (column.id, &row.pod) {
        (ColumnId::Namespace, _) => Cell::dim(plain(row.namespace())),
        (ColumnId::Printed(index), _) => {
            let text = printed
                .get(index)
                .map(|text| plain(text))
                .unwrap_or_default();
            Cell {
                text,
                health: Some(row.health),
            }
        }
        (id, Some(facts)) => pod_cell(id, row, facts, usage, source.now),
        (_, None) => Cell::dim(""),
    };
    columns.iter().map(cell).collect()
}

fn pod_cell(
    id: ColumnId,
    row: &Row,
    facts: &PodFacts,
    usage: Option<&Usage>,
    now: Timestamp,
) -> Cell {
    let usage = usage.filter(|_| facts.is_active);
    let since = |at: Option<Timestamp>| {
        at.map_or_else(
            || Cell::dim("-"),
            |at| Cell::dim(human_duration(now.duration_since(at))),
        )
    };
    match id {
        ColumnId::Name => Cell::new(plain(&row.key.name)),
        ColumnId::Ready => {
            let summary = &facts.summary;
            let health = (summary.ready < summary.total && facts.is_active).then_some(Health::Wait);
            Cell {
                text: summary.ready_text(),
                health: health.or(Some(Health::Neutral)),
            }
        }
        ColumnId::Status => Cell {
            text: facts.summary.status.clone(),
            health: Some(facts.health),
        },
        ColumnId::Restarts => match facts.summary.restarts {
            0 => Cell::dim("0"),
            count => Cell::new(count.to_string()),
        },
        ColumnId::Last => since(facts.summary.last_restart),
        ColumnId::Cpu => usage.map_or_else(
            || Cell::dim("-"),
            |usage| Cell::new(millicores(usage.cpu_millicores)),
        ),
        ColumnId::CpuPercent => percent(usage.map(|usage| usage.cpu_millicores), facts.cpu_limit),
        ColumnId::Memory => usage.map_or_else(
            || Cell::dim("-"),
            |usage| Cell::new(bytes(usage.memory_bytes)),
        ),
        ColumnId::MemoryPercent => {
            percent(usage.map(|usage| usage.memory_bytes), facts.memory_limit)
        }
        ColumnId::CpuRequestPercent => {
            request_percent(usage.map(|usage| usage.cpu_millicores), facts.cpu_request)
        }
        ColumnId::MemoryRequestPercent => {
            request_percent(usage.map(|usage| usage.memory_bytes), facts.memory_request)
        }
        ColumnId::Age => since(row.since()),
        ColumnId::Ip => Cell::dim(facts.ip.as_deref().unwrap_or("-")),
        ColumnId::Node => Cell::dim(facts.node.as_deref().unwrap_or("-")),
        ColumnId::Why => Cell {
            text: facts
                .why
                .as_ref()
                .map(|why| why.words(now))
                .unwrap_or_default(),
            health: Some(facts.health),
        },
        ColumnId::Namespace | ColumnId::CpuGraph | ColumnId::MemoryGraph | ColumnId::Printed(_) => {
            Cell::dim("")
        }
    }
}

fn percent(used: Option<u64>, limit: Option<i64>) -> Cell {
    let limit = limit
        .and_then(|limit| u64::try_from(limit).ok())
        .filter(|limit| *limit > 0);
    let Some((used, limit)) = used.zip(limit) else {
        return Cell::dim("-");
    };
    let percent = used.saturating_mul(100) / limit;
    let health = match percent {
        95.. => Health::Bad,
        80.. => Health::Wait,
        _ => Health::Neutral,
    };
    Cell {
        text: percent.to_string(),
        health: Some(health),
    }
}

/// More than was requested is allowed; only a limit is a danger.
fn request_percent(used: Option<u64>, request: Option<i64>) -> Cell {
    Cell {
        health: Some(Health::Neutral),
        ..percent(used, request)
    }
}

/// `80m`, `12.5` (cores) above ten cores.
pub(super) fn millicores(millicores: u64) -> String {
    if millicores < 10_000 {
        format!("{millicores}m")
    } else {
        format!("{}.{}", millicores / 1000, millicores % 1000 / 100)
    }
}

/// `900Ki`, `2.1Gi`: powers of 1024, three digits at most.
pub(super) fn bytes(bytes: u64) -> String {
    let mut unit = 0;
    let mut tenths = bytes.saturating_mul(10);
    while tenths >= 10_000 && unit < 5 {
        tenths /= 1024;
        unit += 1;
    }
    let suffix = ["", "Ki", "Mi", "Gi", "Ti", "Pi"][unit];
    if tenths < 100 && unit > 0 {
        format!("{}.{}{suffix}", tenths / 10, tenths % 10)
    } else {
        format!("{}{suffix}", tenths / 10)
    }
}

/// Which column orders the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sort {
    pub(super) column: ColumnId,
    pub(super) is_reversed: bool,
}

/// The order by this column changes with usage.
pub(super) const fn depends_on_usage(column: ColumnId) -> bool {
    matches!(
        column,
        ColumnId::Cpu
            | ColumnId::Memory
            | ColumnId::CpuPercent
            | ColumnId::MemoryPercent
            | ColumnId::CpuRequestPercent
            | ColumnId::MemoryRequestPercent
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_short() {
        for (value, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "0.9Ki"),
            (64 << 20, "64Mi"),
            (511 << 20, "511Mi"),
            (2_254_857_831, "2.1Gi"),
            (u64::MAX, "1638Pi"),
        ] {
            assert_eq!(bytes(value), text);
        }
        assert_eq!(millicores(80), "80m");
        assert_eq!(millicores(12_540), "12.5");
    }

    #[test]
    fn columns_are_known_by_their_names() {
        for kind in Kind::ALL {
            for column in columns_of(kind, true, true) {
                let name = column.id.name_in(kind);
                assert_eq!(ColumnId::from_name(kind, name), Some(column.id), "{name}");
            }
            let wide = columns_of(kind, true, true);
            let narrow = columns_of(kind, true, false);
            assert!(
                narrow
                    .iter()
                    .all(|one| wide.iter().any(|other| other.id == one.id))
            );
        }
    }

    #[test]
    fn every_kind_has_columns() {
        for kind in Kind::ALL {
            assert!(!columns_of(kind, true, true).is_empty());
        }
    }
}
