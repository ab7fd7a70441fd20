use std::time::Duration;

/// A capped doubling sequence: `initial, 2·initial, 4·initial … cap, cap …`.
///
/// The sequence is data: who waits, from which instant and when it is forgotten is decided by its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BackoffSequence {
    initial: Duration,
    cap: Duration,
}

impl BackoffSequence {
    pub(crate) const fn new(initial: Duration, cap: Duration) -> Self {
        Self { initial, cap }
    }

    /// The delay of the step with this index, counted from 0.
    pub(crate) fn delay(self, step: u32) -> Duration {
        let factor = 1u32.checked_shl(step).unwrap_or(u32::MAX);
        self.initial
            .checked_mul(factor)
            .map_or(self.cap, |delay| delay.min(self.cap))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_until_the_cap() {
        let sequence = BackoffSequence::new(Duration::from_secs(10), Duration::from_secs(300));
        let seconds: Vec<u64> = (0..7).map(|step| sequence.delay(step).as_secs()).collect();
        assert_eq!(seconds, [10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(sequence.delay(u32::MAX), Duration::from_secs(300));
    }
}
