//! Calls for attention outside of the screen: the bell of the terminal, and a notification of the desktop (OSC 9),
//! when a pod gets into trouble. Both are off unless `[screen]` in `config.toml` asks for them, and rare: one in
//! ten seconds at most, and one pod only once in five minutes however often it restarts.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::sanitize::plain;
use crate::model::ObjectKey;

const EVERY: SignedDuration = SignedDuration::from_secs(10);
const SAME_POD: SignedDuration = SignedDuration::from_secs(300);
/// Characters of a notification.
const LONGEST: usize = 160;
/// Pods remembered; the oldest is forgotten first.
const REMEMBERED: usize = 1000;

#[derive(Clone, Debug, Default)]
pub(super) struct Alerts {
    pub(super) bell: bool,
    pub(super) notify: bool,
    last_at: Option<Timestamp>,
    told: BTreeMap<ObjectKey, Timestamp>,
    /// Pods that got into trouble and were not called out because others were just before.
    unsaid: usize,
}

/// What the terminal is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Alert {
    pub(super) bell: bool,
    /// For the desktop, safe to send.
    pub(super) text: Option<String>,
}

impl Alerts {
    /// A pod got into trouble for this reason.
    pub(super) fn trouble(&mut self, now: Timestamp, pod: &ObjectKey, why: &str) -> Option<Alert> {
        if !self.bell && !self.notify {
            return None;
        }
        let is_recent = |at: Option<Timestamp>, within: SignedDuration| {
            at.is_some_and(|at| now.duration_since(at) < within)
        };
        if is_recent(self.told.get(pod).copied(), SAME_POD) {
            return None;
        }
        if is_recent(self.last_at, EVERY) {
            self.unsaid += 1;
            return None;
        }
        self.last_at = Some(now);
        if self.told.len() >= REMEMBERED {
            let oldest = self.told.iter().min_by_key(|(_, at)| **at);
            if let Some(oldest) = oldest.map(|(pod, _)| pod.clone()) {
                self.told.remove(&oldest);
            }
        }
        self.told.insert(pod.clone(), now);
        let others = match std::mem::take(&mut self.unsaid) {
            0 => String::new(),
            count => format!(" (and {count} more)"),
        };
        let text = plain(&format!("podtui: {}: {why}", pod.name));
        let text: String = text.chars().take(LONGEST).collect();
        Some(Alert {
            bell: self.bell,
            text: self.notify.then(|| format!("{text}{others}")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::testing::now;

    #[test]
    fn off_until_asked_for_and_rare() {
        let mut alerts = Alerts::default();
        let at = |seconds| now() + SignedDuration::from_secs(seconds);
        let pod = |name: &str| ObjectKey::pod("default", name);
        assert_eq!(alerts.trouble(at(0), &pod("a"), "x"), None);
        alerts.notify = true;
        let first = alerts.trouble(at(0), &pod("a"), "bad\u{1b}]52;c;AA\u{7} thing");
        let text = first.unwrap().text.unwrap();
        assert!(text.starts_with("podtui: a: bad"));
        assert!(!text.contains(['\u{1b}', '\u{7}']), "{text:?}");
        assert_eq!(alerts.trouble(at(3), &pod("b"), "x"), None);
        assert_eq!(alerts.trouble(at(30), &pod("a"), "x"), None);
        alerts.bell = true;
        alerts.notify = false;
        let alert = alerts.trouble(at(31), &pod("b"), "x").unwrap();
        assert_eq!((alert.bell, alert.text), (true, None));
        alerts.notify = true;
        let again = alerts.trouble(at(301), &pod("a"), &"long ".repeat(100));
        assert!(again.unwrap().text.unwrap().chars().count() <= LONGEST + 20);
    }
}
