//! The order of the list: what every row is sorted by, worked out once for each, and where a row belongs.
//!
//! A row that changes is looked up, taken out and put in again where it belongs; all of them are sorted only when
//! something else changes that they are sorted by.

use std::cmp::Ordering;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use super::columns::{ColumnId, Sort};
use super::data::{Change, Metrics, PodFacts, Row};
use crate::printer::cells;

/// Rows in the order by one column, as a person wants it at first: names forward, numbers largest first, ages
/// youngest first. Equal rows stand in the order of their names.
#[derive(Clone, Debug)]
pub(super) struct Order {
    sort: Sort,
    rows: Vec<Arc<Row>>,
    /// One for each row.
    keys: Vec<Key>,
}

/// What a row is sorted by; the smaller comes first.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    number: u128,
    /// Between equal numbers; only where the row itself does not hold it.
    text: Option<Box<str>>,
}

impl Order {
    pub(super) fn empty(sort: Sort) -> Self {
        Self {
            sort,
            rows: Vec::new(),
            keys: Vec::new(),
        }
    }

    /// Of rows that come by namespace and name.
    pub(super) fn of(rows: Vec<&Arc<Row>>, sort: Sort, metrics: &Metrics) -> Self {
        let mut keyed: Vec<(Key, &Arc<Row>)> = rows
            .into_iter()
            .map(|row| (Key::of(row, sort.column, metrics), row))
            .collect();
        // Rows come by namespace and name, and that is how equal ones stand when there is one namespace only: then
        // nothing more needs to be compared.
        let is_by_name =
            matches!(&*keyed, [(_, first), .., (_, last)] if first.namespace() == last.namespace());
        if is_by_name {
            keyed.sort_by(|(left, left_row), (right, right_row)| {
                compare_values(sort.column, (left, left_row), (right, right_row))
            });
            if sort.is_reversed {
                keyed.reverse();
            }
        } else {
            keyed.sort_by(|(left, left_row), (right, right_row)| {
                compare(sort, (left, left_row), (right, right_row))
            });
        }
        let (keys, rows) = keyed
            .into_iter()
            .map(|(key, row)| (key, Arc::clone(row)))
            .unzip();
        Self { sort, rows, keys }
    }

    pub(super) fn rows(&self) -> &[Arc<Row>] {
        &self.rows
    }

    pub(super) fn sort(&self) -> Sort {
        self.sort
    }

    /// Where this version of a row is.
    pub(super) fn find(&self, row: &Row, metrics: &Metrics) -> Option<usize> {
        let key = Key::of(row, self.sort.column, metrics);
        let index = self.search(&key, row).ok()?;
        (self.rows[index].key == row.key).then_some(index)
    }

    /// Puts a row where it belongs now. False when it is not where it was left: then what rows are sorted by has
    /// changed for others as well.
    pub(super) fn change(&mut self, change: &Change, metrics: &Metrics) -> bool {
        let place = match &change.before {
            Some(before) => match self.find(before, metrics) {
                Some(index) => Some(index),
                None => return false,
            },
            None => None,
        };
        let Some(row) = &change.after else {
            if let Some(index) = place {
                self.rows.remove(index);
                self.keys.remove(index);
            }
            return true;
        };
        let key = Key::of(row, self.sort.column, metrics);
        if let Some(index) = place {
            // Mostly it stays where it is.
            if self.fits(index, &key, row) {
                self.rows[index] = Arc::clone(row);
                self.keys[index] = key;
                return true;
            }
            self.rows.remove(index);
            self.keys.remove(index);
        }
        let index = self.search(&key, row).unwrap_or_else(|index| index);
        self.rows.insert(index, Arc::clone(row));
        self.keys.insert(index, key);
        true
    }

    /// It may stand in the place of the row there.
    fn fits(&self, index: usize, key: &Key, row: &Row) -> bool {
        let is_behind = |before: usize| self.compare_at(before, key, row) == Ordering::Less;
        let is_before = |after: usize| self.compare_at(after, key, row) == Ordering::Greater;
        index.checked_sub(1).is_none_or(is_behind)
            && (index + 1 == self.rows.len() || is_before(index + 1))
    }

    fn search(&self, key: &Key, row: &Row) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.rows.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.compare_at(middle, key, row) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Ok(middle),
            }
        }
        Err(low)
    }

    fn compare_at(&self, index: usize, key: &Key, row: &Row) -> Ordering {
        compare(
            self.sort,
            (&self.keys[index], &self.rows[index]),
            (key, row),
        )
    }
}

fn compare(sort: Sort, left: (&Key, &Row), right: (&Key, &Row)) -> Ordering {
    let order = compare_values(sort.column, left, right)
        .then_with(|| left.1.key.name.cmp(&right.1.key.name))
        .then_with(|| left.1.key.namespace.cmp(&right.1.key.namespace));
    if sort.is_reversed {
        order.reverse()
    } else {
        order
    }
}

/// By what the column says alone.
fn compare_values(column: ColumnId, left: (&Key, &Row), right: (&Key, &Row)) -> Ordering {
    let text = |(key, row)| text_of(key, row, column);
    let numbers = left.0.number.cmp(&right.0.number);
    numbers.then_with(|| text(left).cmp(&text(right)))
}

fn text_of<'a>(key: &'a Key, row: &'a Row, column: ColumnId) -> Option<&'a str> {
    let facts = || row.pod.as_ref();
    match column {
        ColumnId::Status => facts().map(|facts| &*facts.summary.status),
        ColumnId::Namespace => row.key.namespace.as_deref(),
        ColumnId::Node => facts().and_then(|facts| facts.node.as_deref()),
        ColumnId::Printed(_) => key.text.as_deref(),
        ColumnId::Name
        | ColumnId::Ready
        | ColumnId::Restarts
        | ColumnId::Last
        | ColumnId::Cpu
        | ColumnId::CpuPercent
        | ColumnId::Memory
        | ColumnId::MemoryPercent
        | ColumnId::Age
        | ColumnId::CpuRequestPercent
        | ColumnId::MemoryRequestPercent
        | ColumnId::CpuGraph
        | ColumnId::MemoryGraph
        | ColumnId::Ip
        | ColumnId::Why => None,
    }
}

impl Key {
    fn of(row: &Row, column: ColumnId, metrics: &Metrics) -> Self {
        if let ColumnId::Printed(index) = column {
            let cells = cells(&row.object.to_object(), true, Timestamp::UNIX_EPOCH);
            let text = cells.into_iter().nth(index).unwrap_or_default();
            // Numbers by value, other texts by their letters.
            let number = text.parse::<u64>().ok();
            return Self {
                number: smallest_first(number),
                text: Some(text.into()),
            };
        }
        Self {
            number: number_of(row, column, metrics),
            text: None,
        }
    }
}

fn number_of(row: &Row, column: ColumnId, metrics: &Metrics) -> u128 {
    let facts = row.pod.as_ref();
    let usage = || metrics.of(row.namespace(), &row.key.name);
    let cpu = || usage().map_or(0, |usage| usage.cpu_millicores);
    let memory = || usage().map_or(0, |usage| usage.memory_bytes);
    match column {
        ColumnId::Status => row.health as u128,
        ColumnId::Restarts => {
            let restarts = facts.map(|facts| facts.summary.restarts);
            largest_first(restarts.and_then(|count| u64::try_from(count).ok()))
        }
        ColumnId::Cpu => largest_first(Some(cpu())),
        ColumnId::Memory => largest_first(Some(memory())),
        ColumnId::CpuPercent => largest_first(share(cpu(), row, |facts| facts.cpu_limit)),
        ColumnId::MemoryPercent => largest_first(share(memory(), row, |facts| facts.memory_limit)),
        ColumnId::CpuRequestPercent => largest_first(share(cpu(), row, |facts| facts.cpu_request)),
        ColumnId::MemoryRequestPercent => {
            largest_first(share(memory(), row, |facts| facts.memory_request))
        }
        ColumnId::Age => youngest_first(row.since()),
        ColumnId::Last => youngest_first(facts.and_then(|facts| facts.summary.last_restart)),
        ColumnId::Ready => {
            let share =
                |facts: &PodFacts| (facts.summary.ready * 1000).checked_div(facts.summary.total);
            smallest_first(
                facts
                    .and_then(share)
                    .and_then(|share| u64::try_from(share).ok()),
            )
        }
        ColumnId::Ip => {
            let ip = facts.and_then(|facts| facts.ip.as_deref());
            // As a number: 10.0.0.9 comes before 10.0.0.10.
            ip.and_then(|ip| ip.parse().ok()).map_or(0, |ip| match ip {
                IpAddr::V4(ip) => u128::from(ip.to_bits()) + 1,
                IpAddr::V6(ip) => ip.to_bits(),
            })
        }
        ColumnId::Name
        | ColumnId::Namespace
        | ColumnId::Node
        | ColumnId::CpuGraph
        | ColumnId::MemoryGraph
        | ColumnId::Why
        | ColumnId::Printed(_) => 0,
    }
}

/// Nothing comes before everything.
fn smallest_first(number: Option<u64>) -> u128 {
    number.map_or(0, |number| u128::from(number) + 1)
}

/// Nothing comes last.
fn largest_first(number: Option<u64>) -> u128 {
    u128::MAX - smallest_first(number)
}

/// Times may lie before 1970.
fn youngest_first(at: Option<Timestamp>) -> u128 {
    const SIGN: u128 = 1 << 127;
    at.map_or(u128::MAX, |at| !(at.as_nanosecond().cast_unsigned() ^ SIGN))
}

/// Thousandths of the limit; rows without one come last.
fn share(used: u64, row: &Row, limit: fn(&PodFacts) -> Option<i64>) -> Option<u64> {
    let limit = u64::try_from(limit(row.pod.as_ref()?)?).ok()?;
    used.saturating_mul(1000).checked_div(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: Copy>(key: fn(Option<T>) -> u128, in_order: &[Option<T>]) {
        let keys: Vec<u128> = in_order.iter().map(|value| key(*value)).collect();
        assert!(keys.is_sorted_by(|left, right| left < right), "{keys:?}");
    }

    #[test]
    fn numbers_keep_the_order_of_what_they_stand_for() {
        check(smallest_first, &[None, Some(0), Some(1), Some(u64::MAX)]);
        check(largest_first, &[Some(u64::MAX), Some(1), Some(0), None]);
        let times = [
            "2026-01-02T00:00:01Z",
            "2026-01-02T00:00:00Z",
            "1970-01-01T00:00:00Z",
            "1969-01-01T00:00:00Z",
        ];
        let times = times.map(|time| Some(time.parse::<Timestamp>().unwrap()));
        check(youngest_first, &[&times[..], &[None]].concat());
    }
}
