//! When the next frame may be drawn: at most 60 per second, and what the user does is painted at once.
//!
//! A flood of output alone would take every frame there is, and a key would wait for the next one, up to a whole
//! frame. So what comes by itself is drawn a little less often than it might be, and a key may have its frame ahead
//! of time; what it took is missing from the frames behind it.

use std::time::Duration;

use tokio::time::Instant;

/// 55 frames per second on average, so that no second has more than 60 with those that were ahead of time.
const FRAME: Duration = Duration::from_millis(18);
/// Between two frames of what comes by itself.
const BY_ITSELF: Duration = Duration::from_millis(20);
/// The same while somebody types or holds a key down, so that there is time left for what the keys paint.
const WHILE_TYPING: Duration = Duration::from_millis(40);
/// So long after a key somebody is typing.
const TYPING: Duration = Duration::from_millis(250);
/// Between a frame and one that the user asks for.
const ASKED: Duration = Duration::from_millis(4);
/// So far ahead of the average frames may be.
const AHEAD: Duration = Duration::from_millis(48);

#[derive(Debug)]
pub(super) struct Pace {
    last: Instant,
    /// What the frames so far have taken of the time behind `last`.
    owed: Duration,
    /// Frames that the user waits for.
    asked: u8,
    /// When the last key came.
    typed: Option<Instant>,
}

impl Pace {
    /// The first frame is due at once.
    pub(super) fn from(now: Instant) -> Self {
        Self {
            last: now,
            owed: Duration::ZERO,
            asked: 1,
            typed: None,
        }
    }

    /// The user did something that has to be shown at once; what a program in a terminal answers, as well.
    pub(super) fn ask(&mut self, now: Instant, is_answered: bool) {
        self.asked = 1 + u8::from(is_answered);
        self.typed = Some(now);
    }

    pub(super) fn drawn(&mut self, now: Instant) {
        let passed = now.duration_since(self.last);
        self.owed = self.owed.saturating_sub(passed) + FRAME;
        self.last = now;
        self.asked = self.asked.saturating_sub(1);
    }

    pub(super) fn due(&self) -> Instant {
        let after = if self.owed.is_zero() {
            Duration::ZERO
        } else if self.asked > 0 {
            ASKED.max(self.owed.saturating_sub(AHEAD))
        } else if self.typed.is_some_and(|typed| self.last < typed + TYPING) {
            WHILE_TYPING.max(self.owed)
        } else {
            BY_ITSELF.max(self.owed)
        };
        self.last + after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames in a second of a flood with a key so often, and the longest that a key waited.
    fn second(key_every: u64, is_answered: bool) -> (u32, Duration) {
        let begin = Instant::now();
        let mut pace = Pace::from(begin);
        let (mut frames, mut longest, mut pressed) = (0, Duration::ZERO, None);
        for millisecond in 0..1000 {
            let now = begin + Duration::from_millis(millisecond);
            if millisecond.is_multiple_of(key_every) {
                pace.ask(now, is_answered);
                pressed = pressed.or(Some(now));
            }
            if now >= pace.due() {
                pace.drawn(now);
                frames += 1;
                longest = longest.max(pressed.take().map_or(Duration::ZERO, |at| now - at));
            }
        }
        (frames, longest)
    }

    #[track_caller]
    fn check(key_every: u64, answered: bool, frames: std::ops::RangeInclusive<u32>, waits: u64) {
        let (drawn, longest) = second(key_every, answered);
        assert!(frames.contains(&drawn), "{drawn} frames");
        assert!(longest <= Duration::from_millis(waits), "{longest:?}");
    }

    #[test]
    fn a_flood_leaves_room_for_keys() {
        check(1000, false, 40..=46, 0);
        // Somebody who types, and a key that is held down; in a terminal its program answers.
        check(97, false, 25..=40, 4);
        check(33, false, 29..=31, 4);
        check(33, true, 50..=60, 16);
        // Nobody types like this; the limit holds.
        check(3, true, 55..=60, 20);
    }

    #[test]
    fn after_a_rest_everything_is_drawn_at_once() {
        let begin = Instant::now();
        let mut pace = Pace::from(begin);
        assert_eq!(pace.due(), begin);
        pace.drawn(begin);
        assert_eq!(pace.due(), begin + BY_ITSELF);
        let later = begin + Duration::from_secs(1);
        assert!(pace.due() < later);
        pace.drawn(later);
        pace.ask(later, false);
        assert_eq!(pace.due(), later + ASKED);
    }
}
