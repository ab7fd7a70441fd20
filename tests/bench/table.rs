//! The table, printed as the README shows it.

use std::time::Duration;

const HEAD: &str = "| | podtui min / p50 / p90 | floor p50 | podman p50 |\n|---|---|---|---|";

const SCREEN_HEAD: &str = "| the screen | podtui | peer | ratio |\n|---|---|---|---|";

pub struct Table {
    rows: Vec<String>,
    screen: Vec<String>,
}

impl Table {
    pub fn new() -> Self {
        Self {
            rows: Vec::new(),
            screen: Vec::new(),
        }
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

    /// As [`Self::plain`], with what the floor program needs for the same.
    pub fn beside_floor(&mut self, what: &str, text: &str, floor: &str) {
        self.push(what, text, floor, "");
    }

    /// Something of both that is no time.
    pub fn beside_podman(&mut self, what: &str, own: &str, podman: &str) {
        self.push(what, own, "", podman);
    }

    /// Times of the screen beside those of one peer; the ratio is that of the medians.
    pub fn screen(&mut self, what: &str, own: &[Duration], peer: &[Duration], name: &str) {
        let words = |times: &[Duration]| {
            let [min, p50, p90] = spread(times).map(milliseconds);
            format!(
                "{min} / {p50} / {p90} ms min / p50 / p90 (n = {})",
                times.len()
            )
        };
        self.beside(what, &words, 50, own, peer, name);
    }

    /// Times from a key to what it paints; the ratio is that of the 99th percentiles.
    pub fn keys(&mut self, what: &str, own: &[Duration], peer: &[Duration], name: &str) {
        let words = |times: &[Duration]| {
            let [p50, p99, worst] = [50, 99, 100].map(|share| milliseconds(at(times, share)));
            format!(
                "{p50} / {p99} / {worst} ms p50 / p99 / max (n = {})",
                times.len()
            )
        };
        self.beside(what, &words, 99, own, peer, name);
    }

    fn beside(
        &mut self,
        what: &str,
        words: &dyn Fn(&[Duration]) -> String,
        compared: usize,
        own: &[Duration],
        peer: &[Duration],
        name: &str,
    ) {
        let (mut beside, mut ratio) = (String::new(), String::new());
        if !peer.is_empty() {
            beside = format!("{name}: {}", words(peer));
            let share = |times| at(times, compared).as_secs_f64();
            ratio = format!("{:.2}", share(own) / share(peer));
        }
        self.push_screen(format!("| {what} | {} | {beside} | {ratio} |", words(own)));
    }

    pub fn words(&mut self, what: &str, text: &str) {
        self.push_screen(format!("| {what} | {text} | | |"));
    }

    fn push_screen(&mut self, row: String) {
        eprintln!("{row}");
        self.screen.push(row);
    }

    fn push(&mut self, what: &str, own: &str, floor: &str, podman: &str) {
        let row = format!("| {what} | {own} | {floor} | {podman} |");
        eprintln!("{row}");
        self.rows.push(row);
    }

    pub fn print(&self) {
        for (head, rows) in [(HEAD, &self.rows), (SCREEN_HEAD, &self.screen)] {
            if !rows.is_empty() {
                println!("\n{head}\n{}", rows.join("\n"));
            }
        }
    }
}

/// Minimum, median and 90th percentile.
pub fn spread(times: &[Duration]) -> [Duration; 3] {
    [0, 50, 90].map(|percent| at(times, percent))
}

fn at(times: &[Duration], percent: usize) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

pub fn milliseconds(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1e3;
    if milliseconds < 100.0 {
        format!("{milliseconds:.1}")
    } else {
        format!("{milliseconds:.0}")
    }
}
