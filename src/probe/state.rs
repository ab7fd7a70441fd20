//! When a probe is due and what its outcomes add up to. Pure.

use std::time::Duration;

use super::probes::{Failing, Verdict};

/// Outcomes in a row that it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Thresholds {
    pub(super) success: u32,
    pub(super) failure: u32,
}

/// The current run of equal outcomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Run {
    succeeds: bool,
    length: u32,
}

impl Run {
    /// Failures in a row up to now, as far as they count.
    pub(super) fn failing(&self, thresholds: Thresholds) -> Option<Failing> {
        (!self.succeeds && self.length > 0).then_some(Failing {
            failures: self.length.min(thresholds.failure),
            threshold: thresholds.failure,
        })
    }

    /// Takes one outcome; the verdict that it completes, if it completes one. Attempts that could not be
    /// made are no outcome.
    pub(super) fn add(&mut self, success: bool, thresholds: Thresholds) -> Option<Verdict> {
        if self.length == 0 || self.succeeds != success {
            *self = Self {
                succeeds: success,
                length: 0,
            };
        }
        self.length = self.length.saturating_add(1);
        let (needed, verdict) = if success {
            (thresholds.success, Verdict::Success)
        } else {
            (thresholds.failure, Verdict::Failure)
        };
        (self.length >= needed).then_some(verdict)
    }
}

/// How long to wait before the first attempt: until the container is old enough, or, for one that an
/// earlier engine left, some part of a period (`share`, 0…1), so that not all probes come at once.
pub(super) fn first_after(
    age: Duration,
    initial_delay: Duration,
    period: Duration,
    share: Option<f64>,
) -> Duration {
    let young = initial_delay.saturating_sub(age);
    let spread = share.map_or(Duration::ZERO, |share| {
        period.mul_f64(share.clamp(0.0, 1.0))
    });
    young.max(spread)
}

/// Attempts are due every `period` from the first on. One that takes longer than the period is followed at
/// once by one other, then the grid holds again, as with Go's `time.Ticker`.
/// Takes what has passed since the attempt that was last due and returns when, counted from there, the next
/// one is due and where on the grid it stands.
pub(super) fn next_after(passed: Duration, period: Duration) -> (Duration, Duration) {
    if passed < period {
        return (period, period);
    }
    let whole = passed.as_nanos() / period.as_nanos().max(1);
    let grid = period.saturating_mul(u32::try_from(whole).unwrap_or(u32::MAX));
    (passed, grid)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `outcomes`: `+`, `-`; expected: the cached verdict after each.
    #[track_caller]
    fn check(success: u32, failure: u32, outcomes: &str, expected: &str) {
        let mut run = Run::default();
        let mut cached = Verdict::Unknown;
        let mut seen = String::new();
        for outcome in outcomes.chars() {
            if let Some(verdict) = run.add(outcome == '+', Thresholds { success, failure }) {
                cached = verdict;
            }
            seen.push(match cached {
                Verdict::Unknown => '?',
                Verdict::Success => '+',
                Verdict::Failure => '-',
            });
        }
        assert_eq!(seen, expected, "{success}/{failure} {outcomes}");
    }

    #[test]
    fn thresholds() {
        check(1, 1, "+-+-", "+-+-");
        check(1, 3, "+---+--+", "+++-++++");
        check(1, 3, "--+---", "??+++-");
        check(2, 1, "+-++", "?--+");
        check(3, 2, "+++--+++", "??++---+");
        check(1, 3, "---+---", "??-+++-");
        check(5, 5, "++++-++++", "?????????");
        // Twice through both directions (the kubelet's tests of its thresholds).
        check(1, 3, "+++-----+++-----", "+++++---+++++---");
        check(3, 1, "-+++++-+++++", "---+++---+++");
    }

    #[test]
    fn the_first_attempt_waits_for_the_initial_delay() {
        let s = Duration::from_secs;
        assert_eq!(first_after(s(0), s(0), s(10), None), s(0));
        assert_eq!(first_after(s(0), s(5), s(10), None), s(5));
        assert_eq!(first_after(s(3), s(5), s(10), None), s(2));
        assert_eq!(first_after(s(9), s(5), s(10), None), s(0));
        assert_eq!(first_after(s(9), s(5), s(10), Some(0.5)), s(5));
        assert_eq!(first_after(s(0), s(8), s(10), Some(0.5)), s(8));
        assert_eq!(first_after(s(0), s(0), s(10), Some(7.0)), s(10));
    }

    #[test]
    fn attempts_stay_on_the_grid() {
        let s = Duration::from_secs;
        assert_eq!(next_after(s(0), s(10)), (s(10), s(10)));
        assert_eq!(next_after(s(9), s(10)), (s(10), s(10)));
        assert_eq!(next_after(s(10), s(10)), (s(10), s(10)));
        assert_eq!(next_after(s(13), s(10)), (s(13), s(10)));
        assert_eq!(next_after(s(35), s(10)), (s(35), s(30)));
    }
}
