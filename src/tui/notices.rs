//! Short messages to the user: the newest stands in the bottom row for a while, all stay readable.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use super::sanitize::plain;

const KEPT: usize = 200;
const SHOWN_FOR: SignedDuration = SignedDuration::from_secs(6);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// Only among the messages, not in the bottom row.
    Quiet,
    Info,
    Error,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) at: Timestamp,
    pub(super) level: Level,
    pub(super) text: String,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Notices {
    kept: VecDeque<Notice>,
    /// The newest one is not shown any more.
    is_hushed: bool,
}

impl Notices {
    pub(super) fn push(&mut self, at: Timestamp, level: Level, text: &str) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        let text = plain(text);
        self.is_hushed &= level == Level::Quiet;
        self.kept.push_back(Notice { at, level, text });
    }

    pub(super) fn current(&self, now: Timestamp) -> Option<&Notice> {
        let newest = self
            .kept
            .iter()
            .rev()
            .find(|notice| notice.level != Level::Quiet)?;
        (now.duration_since(newest.at) < SHOWN_FOR && !self.is_hushed).then_some(newest)
    }

    /// What is shown has had its time: the keys that work now matter more.
    pub(super) fn hush(&mut self) {
        self.is_hushed = true;
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Notice> {
        self.kept.iter()
    }
}
