use std::cmp::Reverse;
use std::time::Duration;

use jiff::Timestamp;

use crate::base::Uid;
use crate::model::priority::CRITICAL;
use crate::model::quantity::ParsedQuantity;

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

/// Thresholds that may be met for a while before a pod has to go (kubelet `evictionSoft`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SoftThresholds {
    pub(crate) memory: Option<(Threshold, Duration)>,
    pub(crate) nodefs: Option<(Threshold, Duration)>,
    pub(crate) inodes: Option<(Threshold, Duration)>,
    /// Most that a pod has to end.
    pub(crate) max_pod_grace: Duration,
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
pub(in crate::engine) enum Signal {
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
pub(in crate::engine) struct Shortage {
    pub(super) signal: Signal,
    /// How long a soft one must have been met; `None`: a hard one.
    pub(super) grace: Option<Duration>,
    /// Bytes or inodes.
    threshold: u64,
    available: u64,
}

impl Shortage {
    /// Whether it is about the same threshold.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (self.signal, self.grace) == (other.signal, other.grace)
    }
}

/// Soft thresholds that are met, since when.
#[derive(Debug, Default)]
pub(super) struct Observed {
    since: Vec<(Shortage, Timestamp)>,
}

impl Observed {
    /// The shortages that somebody has to go for now: hard ones, and soft ones whose grace is over.
    pub(super) fn due(&mut self, met: &[Shortage], now: Timestamp) -> Vec<Shortage> {
        let before = std::mem::take(&mut self.since);
        for shortage in met.iter().filter(|shortage| shortage.grace.is_some()) {
            let mut known = before.iter().filter(|(other, _)| other.is_same(shortage));
            let since = known.next().map_or(now, |(_, since)| *since);
            self.since.push((*shortage, since));
        }
        let is_due = |shortage: &Shortage| {
            let mut since = self.since.iter().filter(|(soft, _)| soft.is_same(shortage));
            let since = since.next().map_or(now, |(_, since)| *since);
            let age = Duration::try_from(now.duration_since(since)).unwrap_or_default();
            shortage.grace.is_none_or(|grace| age >= grace)
        };
        met.iter()
            .filter(|shortage| is_due(shortage))
            .copied()
            .collect()
    }
}

/// Thresholds that are met now, in the order of the signals and the hard one first. What could not be read is no
/// shortage.
pub(super) fn shortages(
    hard: Thresholds,
    soft: SoftThresholds,
    memory: Option<Reading>,
    nodefs: Option<Reading>,
    inodes: Option<Reading>,
) -> Vec<Shortage> {
    let signals = [
        (Signal::Memory, hard.memory, soft.memory, memory),
        (Signal::Nodefs, hard.nodefs, soft.nodefs, nodefs),
        (Signal::Inodes, hard.inodes, soft.inodes, inodes),
    ];
    let mut met = Vec::new();
    for (signal, hard, soft, reading) in signals {
        let Some(reading) = reading else { continue };
        let soft = soft.map(|(threshold, grace)| (threshold, Some(grace)));
        for (threshold, grace) in [(hard, None)].into_iter().chain(soft) {
            let threshold = match threshold {
                Threshold::Amount(amount) => amount,
                Threshold::Percent(part) => reading.capacity / 100 * u64::from(part),
            };
            if reading.available < threshold {
                met.push(Shortage {
                    signal,
                    grace,
                    threshold,
                    available: reading.available,
                });
            }
        }
    }
    met
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
    pub(in crate::engine) fn after(self, shortages: &[Shortage], now: Timestamp) -> Self {
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
    /// Between the stop signal and the kill, as the pod wants it.
    pub(super) grace: Duration,
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

/// A hard shortage cannot wait.
const AT_ONCE: Duration = Duration::from_secs(1);

/// How long the one that goes has to end; `most` for a soft shortage.
pub(super) fn grace(shortage: &Shortage, pod: &Candidate, most: Duration) -> Duration {
    match shortage.grace {
        None => AT_ONCE,
        Some(_) => pod.grace.min(most).max(AT_ONCE),
    }
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
    // Nobody can ask for inodes, so nobody is named for them.
    let is_asked_for = shortage.signal != Signal::Inodes;
    for share in pod
        .containers
        .iter()
        .filter(|share| is_asked_for && share.used > share.request)
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
            let none = SoftThresholds::default();
            let found = shortages(thresholds, none, memory, nodefs, inodes);
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
    fn soft_thresholds_are_met_for_a_while_first() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let hard = Thresholds {
            memory: Threshold::Amount(10),
            ..Thresholds::NEVER
        };
        let soft = SoftThresholds {
            memory: Some((Threshold::Amount(50), Duration::from_secs(30))),
            nodefs: Some((Threshold::Percent(20), Duration::from_secs(60))),
            ..SoftThresholds::default()
        };
        let mut observed = Observed::default();
        // Memory and disk that are left of a hundred; what is met, and what is due: `!` for a hard one.
        let mut check = |second, memory, disk, met: &str, due: &str| {
            let found = shortages(hard, soft, reading(memory, 100), reading(disk, 100), None);
            let told = |list: &[Shortage]| {
                let texts = list.iter().map(|one| {
                    let hard = if one.grace.is_none() { "!" } else { "" };
                    format!("{}{hard}", one.signal.resource())
                });
                texts.collect::<Vec<_>>().join(" ")
            };
            assert_eq!(told(&found), met, "at {second}");
            assert_eq!(told(&observed.due(&found, at(second))), due, "at {second}");
        };
        check(0, 50, 20, "", "");
        check(10, 49, 20, "memory", "");
        check(39, 20, 20, "memory", "");
        check(40, 20, 19, "memory ephemeral-storage", "memory");
        check(
            50,
            9,
            19,
            "memory! memory ephemeral-storage",
            "memory! memory",
        );
        // It was better for a moment: the time begins anew.
        check(60, 50, 19, "ephemeral-storage", "");
        check(70, 49, 19, "memory ephemeral-storage", "");
        check(
            100,
            49,
            19,
            "memory ephemeral-storage",
            "memory ephemeral-storage",
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
            SoftThresholds::default(),
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
            grace: Duration::from_secs(20),
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
    fn a_soft_shortage_leaves_time() {
        let pod = candidate("p", 0, None, 0);
        let seconds = |soft: Option<u64>, most| {
            let shortage = Shortage {
                signal: Signal::Memory,
                grace: soft.map(Duration::from_secs),
                threshold: 1,
                available: 0,
            };
            grace(&shortage, &pod, Duration::from_secs(most)).as_secs()
        };
        assert_eq!(seconds(None, 90), 1);
        assert_eq!(seconds(Some(5), 90), 20);
        assert_eq!(seconds(Some(5), 7), 7);
        assert_eq!(seconds(Some(5), 0), 1);
    }

    #[test]
    fn the_text_names_who_used_more_than_it_asked_for() {
        let shortage = Shortage {
            signal: Signal::Memory,
            grace: None,
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
        let inodes = Shortage {
            signal: Signal::Inodes,
            ..shortage
        };
        pod.containers = vec![share("c", 900, 0)];
        assert!(!message(&inodes, &pod).contains("Container"));
    }
}
