//! The table, printed as the README shows it.

use std::time::Duration;

const HEAD: &str = "| | podtui min / p50 / p90 | floor p50 | podman p50 |\n|---|---|---|---|";

pub struct Table {
    rows: Vec<String>,
}

impl Table {
    pub fn new() -> Self {
        Self { rows: Vec::new() }
    }

    /// Times beside those of the peers that were measured in the same run.
    pub fn row(
        &mut self,
        what: &str,
        times: &[Duration],
        floor: Option<&[Duration]>,
        podman: Option<&[Duration]>,
    ) {
        let [min, p50, p90] = spread(times).map(milliseconds);
        let peer = |times: Option<&[Duration]>| {
            times
                .filter(|times| !times.is_empty())
                .map_or_else(String::new, |times| {
                    format!("{} ms", milliseconds(spread(times)[1]))
                })
        };
        let own = format!("{min} / {p50} / {p90} ms (n = {})", times.len());
        self.push(what, &own, &peer(floor), &peer(podman));
    }

    /// Bytes per second; the best run is the shortest.
    pub fn throughput(
        &mut self,
        what: &str,
        bytes: usize,
        times: &[Duration],
        floor: Option<&[Duration]>,
        podman: Option<&[Duration]>,
    ) {
        let rate = |time: Duration| format!("{:.0}", bytes as f64 / 1e6 / time.as_secs_f64());
        let [best, p50, p90] = spread(times).map(rate);
        let peer = |times: Option<&[Duration]>| {
            times.map_or_else(String::new, |times| {
                format!("{} MB/s", rate(spread(times)[1]))
            })
        };
        let own = format!("{best} / {p50} / {p90} MB/s (n = {})", times.len());
        self.push(what, &own, &peer(floor), &peer(podman));
    }

    pub fn plain(&mut self, what: &str, text: &str) {
        self.push(what, text, "", "");
    }

    fn push(&mut self, what: &str, own: &str, floor: &str, podman: &str) {
        let row = format!("| {what} | {own} | {floor} | {podman} |");
        eprintln!("{row}");
        self.rows.push(row);
    }

    pub fn print(&self) {
        println!("\n{HEAD}\n{}", self.rows.join("\n"));
    }
}

/// Minimum, median and 90th percentile.
fn spread(times: &[Duration]) -> [Duration; 3] {
    let mut sorted = times.to_vec();
    sorted.sort();
    let at = |share: usize| sorted[(sorted.len() * share / 100).min(sorted.len() - 1)];
    [sorted[0], at(50), at(90)]
}

fn milliseconds(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1e3;
    if milliseconds < 100.0 {
        format!("{milliseconds:.1}")
    } else {
        format!("{milliseconds:.0}")
    }
}
