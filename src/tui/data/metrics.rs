use std::collections::{HashMap, VecDeque};

use jiff::{SignedDuration, Timestamp};

use crate::client::{NetworkBytes, PodMetrics};

/// Readings kept per pod: five minutes at one reading in two seconds.
const RECENT: usize = 150;
/// And an hour in steps of [`STEP`], each the largest of its readings.
const OLDER: usize = 180;
const STEP: SignedDuration = SignedDuration::from_secs(20);

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

/// One reading of a whole pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) struct Sample {
    at: Timestamp,
    pub(in crate::tui) cpu_millicores: u64,
    pub(in crate::tui) memory_bytes: u64,
    pub(in crate::tui) processes: Option<u64>,
    /// Bytes per second since the reading before.
    pub(in crate::tui) received: Option<u64>,
    pub(in crate::tui) sent: Option<u64>,
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
}

/// The newest usage of one pod and what it was before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::tui) struct Usage {
    pub(in crate::tui) cpu_millicores: u64,
    pub(in crate::tui) memory_bytes: u64,
    read_at: Option<Timestamp>,
    network: Option<NetworkBytes>,
    recent: VecDeque<Sample>,
    older: VecDeque<Sample>,
}

impl Usage {
    pub(in crate::tui) fn newest(&self) -> Option<&Sample> {
        self.recent.back()
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
        let (Some(newest), Ok(columns)) = (self.newest(), i128::try_from(width)) else {
            return steps;
        };
        let whole = SignedDuration::from_secs(span.seconds()).as_nanos();
        let samples = match span {
            Span::Minutes => &self.recent,
            Span::Hour => &self.older,
        };
        // Steps of the hour begin with their first reading; the newest one is not among them at first.
        for sample in samples.iter().chain([newest]) {
            let age = newest.at.duration_since(sample.at).as_nanos();
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
        self.steps(Span::Minutes, width, |sample| Some(sample.memory_bytes))
    }

    /// Millicores over the last minutes.
    pub(in crate::tui) fn cpu_steps(&self, width: usize) -> Vec<Option<u64>> {
        self.steps(Span::Minutes, width, |sample| Some(sample.cpu_millicores))
    }

    fn add(&mut self, reading: &PodMetrics) {
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
            at: reading.at,
            cpu_millicores: self.cpu_millicores,
            memory_bytes: self.memory_bytes,
            processes: reading.processes,
            received: rate(|bytes| bytes.received),
            sent: rate(|bytes| bytes.sent),
        };
        self.network = reading.network;
        self.read_at = Some(reading.at);
        push(&mut self.recent, RECENT, sample);
        match self.older.back_mut() {
            Some(step) if sample.at.duration_since(step.at) < STEP => *step = step.max(sample),
            _ => push(&mut self.older, OLDER, sample),
        }
    }
}

fn push(samples: &mut VecDeque<Sample>, most: usize, sample: Sample) {
    if samples.len() == most {
        samples.pop_front();
    }
    samples.push_back(sample);
}

/// Usage by namespace and pod name.
#[derive(Clone, Debug, Default)]
pub(in crate::tui) struct Metrics {
    namespaces: HashMap<String, HashMap<String, Usage>>,
}

impl Metrics {
    /// Takes a reading of all pods in view; pods that are not in it are forgotten.
    pub(in crate::tui) fn update(&mut self, readings: Vec<PodMetrics>) {
        let mut before = std::mem::take(&mut self.namespaces);
        for reading in readings {
            let known = before
                .get_mut(&reading.namespace)
                .and_then(|pods| pods.remove(&reading.name));
            let mut usage = known.unwrap_or_default();
            if usage.read_at != Some(reading.at) {
                usage.add(&reading);
            }
            let pods = self.namespaces.entry(reading.namespace).or_default();
            pods.insert(reading.name, usage);
        }
    }

    pub(in crate::tui) fn of(&self, namespace: &str, name: &str) -> Option<&Usage> {
        self.namespaces.get(namespace)?.get(name)
    }

    /// Millicores and bytes of all pods in view, `None` before the first reading.
    pub(in crate::tui) fn total(&self) -> Option<(u64, u64)> {
        let sum = |(cpu, memory), usage: &Usage| {
            (cpu + usage.cpu_millicores, memory + usage.memory_bytes)
        };
        let pods = self.namespaces.values().flat_map(HashMap::values);
        (!self.namespaces.is_empty()).then(|| pods.fold((0, 0), sum))
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(
            usage.steps(Span::Hour, 2, |one| Some(one.memory_bytes))[1],
            Some(9)
        );
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
        assert_eq!(usage.newest().unwrap().received, Some(50));
        // A new sandbox starts over.
        metrics.update(vec![reading(6001, 1, 3)]);
        let usage = metrics.of("n", "p").unwrap();
        assert_eq!(usage.newest().unwrap().received, None);
        // The same reading again is none.
        metrics.update(vec![reading(6001, 1, 3)]);
        assert_eq!(metrics.of("n", "p").unwrap().recent.len(), RECENT);
    }
}
