use std::collections::{HashMap, VecDeque};

use jiff::Timestamp;

use crate::client::{NetworkBytes, PodMetrics};

/// Readings kept per pod: five minutes at one reading in two seconds.
const RECENT: usize = 150;
/// And an hour in steps of [`STEP`], each the largest of its readings.
const OLDER: usize = 180;
const STEP: i64 = 20_000;
/// Milliseconds between two readings.
const BETWEEN: i64 = 2_000;
/// So many pods are kept in full detail. Of more, one step stands for several, so that what is kept of all of them
/// stays bounded.
const DETAILED: usize = 500;
/// Then five minutes are still ten steps, as many as the list has room for.
const COARSEST: usize = 15;

/// How many steps become one.
fn coarseness(pods: usize) -> usize {
    pods.div_ceil(DETAILED).clamp(1, COARSEST)
}

/// How far back is looked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tui) enum Span {
    #[default]
    Minutes,
    Hour,
}

impl Span {
    pub(in crate::tui) const fn words(self) -> &'static str {
        match self {
            Self::Minutes => "5 minutes",
            Self::Hour => "1 hour",
        }
    }

    const fn seconds(self) -> i64 {
        match self {
            Self::Minutes => 300,
            Self::Hour => 3600,
        }
    }

    pub(in crate::tui) const fn other(self) -> Self {
        match self {
            Self::Minutes => Self::Hour,
            Self::Hour => Self::Minutes,
        }
    }
}

/// A number that may be missing; smaller than any that is there. What is beyond four thousand million counts as that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Count(u32);

impl Count {
    fn of(number: Option<u64>) -> Self {
        let number = number.map_or(0, |number| number.saturating_add(1));
        Self(u32::try_from(number).unwrap_or(u32::MAX))
    }

    fn get(self) -> Option<u64> {
        self.0.checked_sub(1).map(u64::from)
    }
}

/// One reading of a whole pod. There are hundreds of them for each pod, so it is small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) struct Sample {
    /// Milliseconds since 1970.
    at: i64,
    memory_bytes: u64,
    cpu_millicores: Count,
    processes: Count,
    /// Bytes per second since the reading before.
    received: Count,
    sent: Count,
}

impl Sample {
    /// The larger of each.
    fn max(self, other: Self) -> Self {
        Self {
            at: self.at,
            cpu_millicores: self.cpu_millicores.max(other.cpu_millicores),
            memory_bytes: self.memory_bytes.max(other.memory_bytes),
            processes: self.processes.max(other.processes),
            received: self.received.max(other.received),
            sent: self.sent.max(other.sent),
        }
    }

    pub(in crate::tui) fn cpu_millicores(&self) -> Option<u64> {
        self.cpu_millicores.get()
    }

    pub(in crate::tui) fn memory_bytes(&self) -> Option<u64> {
        Some(self.memory_bytes)
    }

    pub(in crate::tui) fn processes(&self) -> Option<u64> {
        self.processes.get()
    }

    /// Bytes per second.
    pub(in crate::tui) fn received(&self) -> Option<u64> {
        self.received.get()
    }

    /// Bytes per second.
    pub(in crate::tui) fn sent(&self) -> Option<u64> {
        self.sent.get()
    }
}

/// The newest usage of one pod and what it was before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::tui) struct Usage {
    pub(in crate::tui) cpu_millicores: u64,
    pub(in crate::tui) memory_bytes: u64,
    read_at: Option<Timestamp>,
    network: Option<NetworkBytes>,
    newest: Option<Sample>,
    recent: VecDeque<Sample>,
    older: VecDeque<Sample>,
    /// The last round of readings that had one of this pod.
    round: u64,
}

impl Usage {
    pub(in crate::tui) fn newest(&self) -> Option<&Sample> {
        self.newest.as_ref()
    }

    /// One value per step over a span that ends with the newest reading, oldest first; a step is the largest
    /// reading in it, `None` where there is none.
    pub(in crate::tui) fn steps(
        &self,
        span: Span,
        width: usize,
        pick: impl Fn(&Sample) -> Option<u64>,
    ) -> Vec<Option<u64>> {
        let mut steps = vec![None; width];
        let (Some(newest), Ok(columns)) = (self.newest(), i64::try_from(width)) else {
            return steps;
        };
        let whole = span.seconds() * 1000;
        let samples = match span {
            Span::Minutes => &self.recent,
            Span::Hour => &self.older,
        };
        // A step begins with its first reading; the newest one is in it only as far as it is the largest.
        for sample in samples.iter().chain([newest]) {
            let age = newest.at - sample.at;
            if age < 0 || age >= whole {
                continue;
            }
            let from_end = usize::try_from(age * columns / whole).unwrap_or(width);
            let Some(step) = width
                .checked_sub(from_end + 1)
                .and_then(|index| steps.get_mut(index))
            else {
                continue;
            };
            *step = (*step).max(pick(sample));
        }
        steps
    }

    /// Memory over the last minutes.
    pub(in crate::tui) fn memory_steps(&self, width: usize) -> Vec<Option<u64>> {
        self.steps(Span::Minutes, width, Sample::memory_bytes)
    }

    /// Millicores over the last minutes.
    pub(in crate::tui) fn cpu_steps(&self, width: usize) -> Vec<Option<u64>> {
        self.steps(Span::Minutes, width, Sample::cpu_millicores)
    }

    fn add(&mut self, reading: &PodMetrics, coarseness: usize) {
        let nanocores: u64 = reading.containers.iter().map(|one| one.cpu_nanocores).sum();
        self.cpu_millicores = nanocores.div_ceil(1_000_000);
        self.memory_bytes = reading.containers.iter().map(|one| one.memory_bytes).sum();
        let passed = self
            .read_at
            .map(|before| reading.at.duration_since(before).as_millis())
            .and_then(|passed| u64::try_from(passed).ok())
            .filter(|passed| *passed > 0);
        let rate = |pick: fn(&NetworkBytes) -> u64| {
            let now = pick(reading.network.as_ref()?);
            // A new sandbox counts from zero.
            let moved = now.checked_sub(pick(self.network.as_ref()?))?;
            moved.saturating_mul(1000).checked_div(passed?)
        };
        let sample = Sample {
            at: reading.at.as_millisecond(),
            cpu_millicores: Count::of(Some(self.cpu_millicores)),
            memory_bytes: self.memory_bytes,
            processes: Count::of(reading.processes),
            received: Count::of(rate(|bytes| bytes.received)),
            sent: Count::of(rate(|bytes| bytes.sent)),
        };
        self.network = reading.network;
        self.read_at = Some(reading.at);
        self.newest = Some(sample);
        let times = i64::try_from(coarseness).unwrap_or(1);
        // A reading may come a little early.
        let step = BETWEEN * times - BETWEEN / 2;
        add_to(&mut self.recent, step, RECENT / coarseness, sample);
        add_to(&mut self.older, STEP * times, OLDER / coarseness, sample);
    }
}

/// Adds to the step that has begun, or begins one. `most` steps are kept; when there are more, they became coarser
/// since the last time.
fn add_to(samples: &mut VecDeque<Sample>, step: i64, most: usize, sample: Sample) {
    if samples.len() > most {
        for fine in std::mem::take(samples) {
            add_to(samples, step, most, fine);
        }
    }
    match samples.back_mut() {
        Some(last) if sample.at - last.at < step => *last = last.max(sample),
        _ => {
            if samples.len() == most {
                samples.pop_front();
            }
            samples.push_back(sample);
        }
    }
}

/// Usage by namespace and pod name.
#[derive(Clone, Debug, Default)]
pub(in crate::tui) struct Metrics {
    namespaces: HashMap<String, HashMap<String, Usage>>,
    total: Option<(u64, u64)>,
    round: u64,
    /// Readings of this round have come, and more will.
    is_open: bool,
    /// Pods of the last round.
    pods: usize,
}

impl Metrics {
    /// Takes a reading of all pods in view, or what is left of it; pods that are not in it are forgotten.
    pub(in crate::tui) fn update(&mut self, readings: Vec<PodMetrics>) {
        self.add(readings);
        self.is_open = false;
        let round = self.round;
        self.namespaces.retain(|_, pods| {
            pods.retain(|_, usage| usage.round == round);
            !pods.is_empty()
        });
        let sum = |(cpu, memory), usage: &Usage| {
            (cpu + usage.cpu_millicores, memory + usage.memory_bytes)
        };
        let pods = self.namespaces.values().flat_map(HashMap::values);
        let total = pods.fold((0, 0), sum);
        self.total = (!self.namespaces.is_empty()).then_some(total);
        self.pods = self.namespaces.values().map(HashMap::len).sum();
    }

    /// Takes a part of a reading.
    pub(in crate::tui) fn add(&mut self, readings: Vec<PodMetrics>) {
        if !self.is_open {
            self.round += 1;
            self.is_open = true;
        }
        let round = self.round;
        let coarseness = coarseness(self.pods);
        for reading in readings {
            if !self.namespaces.contains_key(&reading.namespace) {
                let name = reading.namespace.clone();
                self.namespaces.insert(name, HashMap::new());
            }
            let Some(pods) = self.namespaces.get_mut(&reading.namespace) else {
                continue;
            };
            let usage = match pods.get_mut(&reading.name) {
                Some(usage) => usage,
                None => pods.entry(reading.name.clone()).or_default(),
            };
            usage.round = round;
            if usage.read_at != Some(reading.at) {
                usage.add(&reading, coarseness);
            }
        }
    }

    /// From now on the pods of one namespace are in view, or all.
    pub(in crate::tui) fn narrow(&mut self, namespace: Option<&str>) {
        let is_in_view = |name: &String| namespace.is_none_or(|namespace| namespace == name);
        self.namespaces.retain(|name, _| is_in_view(name));
        self.total = None;
    }

    pub(in crate::tui) fn of(&self, namespace: &str, name: &str) -> Option<&Usage> {
        self.namespaces.get(namespace)?.get(name)
    }

    /// Millicores and bytes of all pods in view, `None` before the first reading.
    pub(in crate::tui) fn total(&self) -> Option<(u64, u64)> {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::client::ContainerMetrics;
    use crate::tui::testing::now;

    fn reading(second: i64, memory_bytes: u64, received: u64) -> PodMetrics {
        PodMetrics {
            namespace: "n".to_owned(),
            name: "p".to_owned(),
            at: now() + SignedDuration::from_secs(second),
            containers: vec![ContainerMetrics {
                name: "main".to_owned(),
                cpu_nanocores: 0,
                memory_bytes,
            }],
            processes: Some(1),
            network: Some(NetworkBytes { received, sent: 0 }),
        }
    }

    #[test]
    fn readings_stand_where_their_time_is() {
        let mut metrics = Metrics::default();
        // Nothing was read between 10 s and 290 s.
        for (second, memory) in [(0, 7), (10, 9), (290, 3), (299, 5)] {
            metrics.update(vec![reading(second, memory, 0)]);
        }
        let usage = metrics.of("n", "p").unwrap();
        let steps = usage.memory_steps(10);
        assert_eq!(steps[0], Some(9));
        assert_eq!(steps[1..9], [None; 8]);
        assert_eq!(steps[9], Some(5));
        assert_eq!(usage.memory_steps(0), Vec::<Option<u64>>::new());
        assert_eq!(usage.steps(Span::Hour, 2, Sample::memory_bytes)[1], Some(9));
    }

    #[test]
    fn history_is_bounded_and_network_is_a_rate() {
        let mut metrics = Metrics::default();
        for second in 0..6000 {
            metrics.update(vec![reading(
                second,
                1,
                u64::try_from(second).unwrap() * 50,
            )]);
        }
        let usage = metrics.of("n", "p").unwrap();
        assert_eq!((usage.recent.len(), usage.older.len()), (RECENT, OLDER));
        assert_eq!(usage.newest().unwrap().received(), Some(50));
        // A new sandbox starts over.
        metrics.update(vec![reading(6001, 1, 3)]);
        let usage = metrics.of("n", "p").unwrap();
        assert_eq!(usage.newest().unwrap().received(), None);
        // What is not in view any more counts no more, and nothing does before it is read again.
        assert_eq!(metrics.total(), Some((0, 1)));
        metrics.narrow(Some("n"));
        assert_eq!(metrics.total(), None);
        assert!(metrics.of("n", "p").is_some(), "its history stays");
        let mut elsewhere = metrics.clone();
        elsewhere.narrow(Some("other"));
        assert!(elsewhere.of("n", "p").is_none());
        // The same reading again is none.
        metrics.update(vec![reading(6001, 1, 3)]);
        assert_eq!(metrics.of("n", "p").unwrap().recent.len(), RECENT);
    }

    #[test]
    fn many_pods_are_kept_in_larger_steps() {
        let pods = |second: i64, count: usize| {
            let of = |index: usize| PodMetrics {
                name: format!("p{index}"),
                ..reading(second, if second == 100 { 9 } else { 1 }, 0)
            };
            (0..count).map(of).collect::<Vec<_>>()
        };
        let mut metrics = Metrics::default();
        for second in (0..200).step_by(2) {
            metrics.update(pods(second, 1));
        }
        assert_eq!(metrics.of("n", "p0").unwrap().recent.len(), 100);
        // What was kept in small steps becomes larger ones, and nothing of it is lost.
        for second in (200..300).step_by(2) {
            metrics.update(pods(second, DETAILED * 3));
        }
        let usage = metrics.of("n", "p0").unwrap();
        assert_eq!(usage.recent.len(), RECENT / 3);
        assert_eq!(usage.memory_steps(10)[3], Some(9));
        assert!(usage.memory_steps(10).iter().all(Option::is_some));
        assert_eq!(coarseness(1_000_000), COARSEST);
    }

    #[test]
    fn a_reading_in_parts_is_one_reading() {
        let of = |name: &str| PodMetrics {
            name: name.to_owned(),
            ..reading(0, 2, 0)
        };
        let mut metrics = Metrics::default();
        metrics.add(vec![of("a")]);
        assert_eq!(metrics.total(), None);
        metrics.update(vec![of("b")]);
        assert_eq!(metrics.total(), Some((0, 4)));
        metrics.update(vec![of("b")]);
        assert!(metrics.of("n", "a").is_none());
        assert_eq!(metrics.total(), Some((0, 2)));
    }

    #[test]
    fn small_numbers_are_exact_and_large_ones_stay_large() {
        for number in [None, Some(0), Some(1), Some(4_000_000_000)] {
            assert_eq!(Count::of(number).get(), number);
        }
        assert!(Count::of(None) < Count::of(Some(0)));
        assert_eq!(
            Count::of(Some(u64::MAX)).get(),
            Some(u64::from(u32::MAX - 1))
        );
    }
}
