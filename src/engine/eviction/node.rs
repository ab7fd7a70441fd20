use std::cmp::Reverse;
use std::time::Duration;

use jiff::Timestamp;

use crate::base::Uid;
use crate::model::quantity::ParsedQuantity;

/// Pods of this priority and above are never chosen.
const CRITICAL: i32 = 2_000_000_000;
/// A condition of the node stays this long after the shortage (`evictionPressureTransitionPeriod`).
const TRANSITION: Duration = Duration::from_secs(300);

/// Least that must be free of something (kubelet `evictionHard`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Threshold {
    /// Bytes, or inodes.
    Amount(u64),
    /// Of all there is; 0 = never.
    Percent(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Thresholds {
    pub(crate) memory: Threshold,
    pub(crate) nodefs: Threshold,
    pub(crate) inodes: Threshold,
}

impl Thresholds {
    #[cfg(test)]
    pub(crate) const NEVER: Self = Self {
        memory: Threshold::Percent(0),
        nodefs: Threshold::Percent(0),
        inodes: Threshold::Percent(0),
    };
}

/// What there is of something, and what is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) available: u64,
    pub(super) capacity: u64,
}

/// The signals, in the order in which they are handled: memory before the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Memory,
    Nodefs,
    Inodes,
}

impl Signal {
    /// The resource that a shortage is told of.
    pub(super) const fn resource(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Nodefs => "ephemeral-storage",
            Self::Inodes => "inodes",
        }
    }
}

/// A threshold that is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shortage {
    pub(super) signal: Signal,
    /// Bytes or inodes.
    threshold: u64,
    available: u64,
}

/// Thresholds that are met now. What could not be read is no shortage.
pub(super) fn shortages(
    thresholds: Thresholds,
    memory: Option<Reading>,
    nodefs: Option<Reading>,
    inodes: Option<Reading>,
) -> Vec<Shortage> {
    let signals = [
        (Signal::Memory, thresholds.memory, memory),
        (Signal::Nodefs, thresholds.nodefs, nodefs),
        (Signal::Inodes, thresholds.inodes, inodes),
    ];
    signals
        .into_iter()
        .filter_map(|(signal, threshold, reading)| {
            let Reading {
                available,
                capacity,
            } = reading?;
            let threshold = match threshold {
                Threshold::Amount(amount) => amount,
                Threshold::Percent(part) => capacity / 100 * u64::from(part),
            };
            (available < threshold).then_some(Shortage {
                signal,
                threshold,
                available,
            })
        })
        .collect()
}

/// From `/proc/meminfo`: all memory less the working set, which is what is used less inactive files.
pub(super) fn memory(meminfo: &str) -> Option<Reading> {
    let bytes = |key: &str| -> Option<u64> {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(key))?;
        let number: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        number.checked_mul(1024)
    };
    Some(Reading {
        available: bytes("MemFree:")?.saturating_add(bytes("Inactive(file):")?),
        capacity: bytes("MemTotal:")?,
    })
}

/// Since when the node is under which pressure, and when it was met last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct Pressures {
    memory: Option<Timestamp>,
    disk: Option<Timestamp>,
}

impl Pressures {
    pub(super) fn after(self, shortages: &[Shortage], now: Timestamp) -> Self {
        let of = |met: bool, last: Option<Timestamp>| {
            if met {
                return Some(now);
            }
            last.filter(|last| {
                Duration::try_from(now.duration_since(*last)).is_ok_and(|age| age < TRANSITION)
            })
        };
        let is_met = |memory: bool| {
            shortages
                .iter()
                .any(|shortage| (shortage.signal == Signal::Memory) == memory)
        };
        Self {
            memory: of(is_met(true), self.memory),
            disk: of(is_met(false), self.disk),
        }
    }

    #[cfg(test)]
    pub(in crate::engine) fn fixed(memory: bool, disk: bool) -> Self {
        let at = |met: bool| met.then_some(Timestamp::UNIX_EPOCH);
        Self {
            memory: at(memory),
            disk: at(disk),
        }
    }

    pub(in crate::engine) const fn memory(self) -> bool {
        self.memory.is_some()
    }

    pub(in crate::engine) const fn disk(self) -> bool {
        self.disk.is_some()
    }
}

/// What one container takes, and what it asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ContainerShare {
    pub(super) name: String,
    pub(super) used: u64,
    pub(super) request: u64,
}

/// A pod that could go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) pod: Uid,
    pub(super) priority: i32,
    /// Of the whole pod; `None`: nobody knows.
    pub(super) used: Option<u64>,
    pub(super) request: u64,
    pub(super) containers: Vec<ContainerShare>,
}

/// Who goes first: whoever cannot be measured, uses more than it asked for, is of lower priority, and then
/// whoever exceeds its request by most. Critical pods stay.
pub(super) fn first_to_go(candidates: &[Candidate]) -> Option<&Candidate> {
    candidates
        .iter()
        .filter(|pod| pod.priority < CRITICAL)
        .min_by_key(|pod| {
            let used = pod.used.unwrap_or(0);
            let excess = i128::from(used) - i128::from(pod.request);
            (
                pod.used.is_some(),
                excess <= 0,
                pod.priority,
                Reverse(excess),
            )
        })
}

/// Text for the status and the event of the one that goes.
pub(super) fn message(shortage: &Shortage, pod: &Candidate) -> String {
    let resource = shortage.signal.resource();
    let amount = |number: u64| match shortage.signal {
        Signal::Memory | Signal::Nodefs => ParsedQuantity::of_bytes(number).to_string(),
        Signal::Inodes => number.to_string(),
    };
    let mut text = format!(
        "The node was low on resource: {resource}. Threshold quantity: {}, available: {}. ",
        amount(shortage.threshold),
        amount(shortage.available)
    );
    for share in pod
        .containers
        .iter()
        .filter(|share| share.used > share.request)
    {
        text.push_str(&format!(
            "Container {} was using {}, request is {}, has larger consumption of {resource}. ",
            share.name,
            amount(share.used),
            amount(share.request)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn reading(available: u64, capacity: u64) -> Option<Reading> {
        Some(Reading {
            available,
            capacity,
        })
    }

    #[test]
    fn thresholds_in_amounts_and_parts() {
        let thresholds = Thresholds {
            memory: Threshold::Amount(100),
            nodefs: Threshold::Percent(10),
            inodes: Threshold::Percent(0),
        };
        let met = |memory, nodefs, inodes| -> Vec<Signal> {
            let found = shortages(thresholds, memory, nodefs, inodes);
            found.iter().map(|shortage| shortage.signal).collect()
        };
        assert_eq!(met(reading(100, 1000), reading(100, 1000), None), []);
        assert_eq!(met(reading(99, 1000), None, None), [Signal::Memory]);
        assert_eq!(
            met(reading(0, 1000), reading(99, 1000), reading(0, 1000)),
            [Signal::Memory, Signal::Nodefs]
        );
    }

    #[test]
    fn memory_is_free_or_inactive_file_pages() {
        let text = "MemTotal: 1000 kB\nMemFree: 100 kB\nInactive: 300 kB\nInactive(file): 50 kB\n";
        assert_eq!(memory(text), reading(150 * 1024, 1000 * 1024));
        assert_eq!(memory("MemTotal: 1000 kB\n"), None);
    }

    #[test]
    fn a_pressure_outlives_the_shortage_by_five_minutes() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let short = shortages(
            Thresholds {
                memory: Threshold::Amount(1),
                ..Thresholds::NEVER
            },
            reading(0, 1),
            None,
            None,
        );
        let met = Pressures::default().after(&short, at(0));
        assert!(met.memory() && !met.disk());
        let later = met.after(&[], at(299));
        assert!(later.memory());
        assert!(!later.after(&[], at(300)).memory());
    }

    fn candidate(name: &str, priority: i32, used: Option<u64>, request: u64) -> Candidate {
        Candidate {
            pod: Uid::new(name.to_owned()),
            priority,
            used,
            request,
            containers: Vec::new(),
        }
    }

    #[track_caller]
    fn check(candidates: &[Candidate], expected: &str) {
        let found = first_to_go(candidates).map(|pod| pod.pod.to_string());
        assert_eq!(found.unwrap_or_default(), expected);
    }

    #[test]
    fn the_order_of_the_kubelet() {
        let modest = candidate("modest", 0, Some(10), 20);
        let greedy = candidate("greedy", 0, Some(30), 20);
        let greedier = candidate("greedier", 0, Some(40), 20);
        let important = candidate("important", 5, Some(90), 20);
        let critical = candidate("critical", CRITICAL, Some(99), 0);
        check(&[modest.clone(), greedy.clone()], "greedy");
        check(&[greedy.clone(), greedier.clone()], "greedier");
        check(&[important.clone(), greedy], "greedy");
        check(&[important, modest.clone()], "important");
        check(&[candidate("unknown", 9, None, 0), greedier], "unknown");
        check(&[critical.clone(), modest], "modest");
        check(&[critical], "");
    }

    #[test]
    fn the_text_names_who_used_more_than_it_asked_for() {
        let shortage = Shortage {
            signal: Signal::Memory,
            threshold: 100 * MIB,
            available: 51201 << 10,
        };
        let mut pod = candidate("p", 0, Some(0), 0);
        let share = |name: &str, used, request| ContainerShare {
            name: name.to_owned(),
            used,
            request,
        };
        pod.containers = vec![share("c", 900 * MIB, 100 * MIB), share("d", MIB, 100 * MIB)];
        assert_eq!(
            message(&shortage, &pod),
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: 51201Ki. Container c was \
             using 900Mi, request is 100Mi, has larger consumption of memory. "
        );
    }
}
