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
    /// The newest one was said since the last [`Notices::turn`].
    is_fresh: bool,
}

impl Notices {
    pub(super) fn push(&mut self, at: Timestamp, level: Level, text: &str) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        let text = plain(text);
        self.is_hushed &= level == Level::Quiet;
        self.is_fresh |= level != Level::Quiet;
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

    /// After every message. What was said before one went elsewhere, into a terminal or an editor for example, must
    /// not stand in the place of the keys there.
    pub(super) fn turn(&mut self, is_elsewhere: bool) {
        if is_elsewhere && !self.is_fresh {
            self.hush();
        }
        self.is_fresh = false;
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Notice> {
        self.kept.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_end_where_they_were_said() {
        let now = Timestamp::UNIX_EPOCH;
        let mut notices = Notices::default();
        notices.push(now, Level::Info, "here");
        notices.turn(false);
        assert!(notices.current(now).is_some());
        notices.turn(true);
        assert!(notices.current(now).is_none());
        // What is said on the way belongs to where it leads.
        notices.push(now, Level::Error, "there");
        notices.turn(true);
        assert!(notices.current(now).is_some());
    }
}
