//! The printed table.

use std::time::Duration;

pub struct Table {
    lines: Vec<String>,
}

impl Table {
    pub fn new() -> Self {
        let head = format!("{:<42} {:>9} {:>9} {:>9}   peer", "", "min", "p50", "p90");
        Self { lines: vec![head] }
    }

    /// Times with the ratio of medians to a peer measured in the same run.
    pub fn row(
        &mut self,
        what: &str,
        times: &[Duration],
        peer: &str,
        peer_times: Option<&[Duration]>,
    ) {
        let [min, p50, p90] = spread(times);
        let beside =
            peer_times
                .filter(|times| !times.is_empty())
                .map_or_else(String::new, |times| {
                    let [_, peer_p50, peer_p90] = spread(times);
                    let ratio = p50.as_secs_f64() / peer_p50.as_secs_f64();
                    format!(
                        "{peer} p50 {} p90 {} → x{ratio:.3}",
                        milliseconds(peer_p50),
                        milliseconds(peer_p90)
                    )
                });
        self.push(format!(
            "{what:<42} {:>9} {:>9} {:>9}   {beside}",
            milliseconds(min),
            milliseconds(p50),
            milliseconds(p90)
        ));
    }

    /// Bytes per second; the best run is the shortest.
    pub fn throughput(
        &mut self,
        what: &str,
        bytes: usize,
        times: &[Duration],
        floor: Option<&[Duration]>,
    ) {
        let rate = |time: Duration| bytes as f64 / 1e6 / time.as_secs_f64();
        let [min, p50, p90] = spread(times);
        let beside = floor.map_or_else(String::new, |times| {
            let [_, floor, _] = spread(times);
            format!(
                "pipe to file p50 {:.0} MB/s → x{:.2}",
                rate(floor),
                rate(p50) / rate(floor)
            )
        });
        self.push(format!(
            "{what:<42} {:>9} {:>9} {:>9}   {beside}",
            format!("{:.0}MB/s", rate(min)),
            format!("{:.0}MB/s", rate(p50)),
            format!("{:.0}MB/s", rate(p90))
        ));
    }

    pub fn plain(&mut self, what: &str, text: &str) {
        self.push(format!("{what:<42} {text}"));
    }

    fn push(&mut self, line: String) {
        eprintln!("{line}");
        self.lines.push(line);
    }

    pub fn print(&self) {
        println!("\n{}", self.lines.join("\n"));
    }
}

fn spread(times: &[Duration]) -> [Duration; 3] {
    let mut sorted = times.to_vec();
    sorted.sort();
    let at = |share: usize| sorted[(sorted.len() * share / 100).min(sorted.len() - 1)];
    [sorted[0], at(50), at(90)]
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2}ms", time.as_secs_f64() * 1e3)
}
