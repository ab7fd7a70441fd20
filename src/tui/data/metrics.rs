use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;

use crate::client::PodMetrics;

/// Readings kept per pod: five minutes at one reading in two seconds.
const HISTORY: usize = 150;

/// The newest usage of one pod and the memory of the last minutes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::tui) struct Usage {
    pub(in crate::tui) cpu_millicores: u64,
    pub(in crate::tui) memory_bytes: u64,
    read_at: Option<Timestamp>,
    memory_history: VecDeque<u64>,
}

impl Usage {
    /// Memory over the last minutes in `width` steps, oldest first; a step is the largest reading in it.
    pub(in crate::tui) fn memory_steps(&self, width: usize) -> Vec<Option<u64>> {
        let mut steps = vec![None; width];
        if width == 0 {
            return steps;
        }
        let offset = HISTORY - self.memory_history.len();
        for (index, &reading) in self.memory_history.iter().enumerate() {
            let step = &mut steps[(offset + index) * width / HISTORY];
            *step = Some(step.map_or(reading, |known: u64| known.max(reading)));
        }
        steps
    }
}

/// Usage by namespace and pod name.
#[derive(Clone, Debug, Default)]
pub(in crate::tui) struct Metrics {
    pods: BTreeMap<(String, String), Usage>,
}

impl Metrics {
    /// Takes a reading of all pods in view; pods that are not in it are forgotten.
    pub(in crate::tui) fn update(&mut self, readings: Vec<PodMetrics>) {
        let mut pods = BTreeMap::new();
        for reading in readings {
            let key = (reading.namespace, reading.name);
            let mut usage = self.pods.remove(&key).unwrap_or_default();
            if usage.read_at != Some(reading.at) {
                let nanocores: u64 = reading.containers.iter().map(|one| one.cpu_nanocores).sum();
                usage.cpu_millicores = nanocores.div_ceil(1_000_000);
                usage.memory_bytes = reading.containers.iter().map(|one| one.memory_bytes).sum();
                usage.read_at = Some(reading.at);
                if usage.memory_history.len() == HISTORY {
                    usage.memory_history.pop_front();
                }
                usage.memory_history.push_back(usage.memory_bytes);
            }
            pods.insert(key, usage);
        }
        self.pods = pods;
    }

    pub(in crate::tui) fn of(&self, namespace: &str, name: &str) -> Option<&Usage> {
        self.pods.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// Millicores and bytes of all pods in view, `None` before the first reading.
    pub(in crate::tui) fn total(&self) -> Option<(u64, u64)> {
        let sum = |(cpu, memory), usage: &Usage| {
            (cpu + usage.cpu_millicores, memory + usage.memory_bytes)
        };
        (!self.pods.is_empty()).then(|| self.pods.values().fold((0, 0), sum))
    }
}
