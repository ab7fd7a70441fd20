use std::time::Instant;

/// How many pulls pods may begin (kubelet `registryPullQPS` and `registryBurst`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PullRate {
    /// Per second in the long run; 0: as many as they like.
    pub(crate) per_second: u32,
    /// At once after a rest.
    pub(crate) burst: u32,
}

impl Default for PullRate {
    fn default() -> Self {
        Self {
            per_second: 5,
            burst: 10,
        }
    }
}

/// The tokens of a [`PullRate`] that are left.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: PullRate,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    pub(super) fn new(rate: PullRate, now: Instant) -> Self {
        Self {
            rate,
            tokens: f64::from(rate.burst),
            at: now,
        }
    }

    pub(super) fn try_take(&mut self, now: Instant) -> bool {
        if self.rate.per_second == 0 {
            return true;
        }
        let grown = now.duration_since(self.at).as_secs_f64() * f64::from(self.rate.per_second);
        self.tokens = (self.tokens + grown).min(f64::from(self.rate.burst));
        self.at = now;
        let is_there = self.tokens >= 1.0;
        if is_there {
            self.tokens -= 1.0;
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn tokens_come_back_with_time_up_to_the_burst() {
        let now = Instant::now();
        let mut bucket = Bucket::new(PullRate::default(), now);
        let taken = |bucket: &mut Bucket, now| (0..20).filter(|_| bucket.try_take(now)).count();
        assert_eq!(taken(&mut bucket, now), 10);
        assert_eq!(taken(&mut bucket, now + Duration::from_millis(100)), 0);
        assert_eq!(taken(&mut bucket, now + Duration::from_secs(1)), 5);
        assert_eq!(taken(&mut bucket, now + Duration::from_secs(60)), 10);
        let unlimited = PullRate {
            per_second: 0,
            burst: 0,
        };
        assert_eq!(taken(&mut Bucket::new(unlimited, now), now), 20);
    }
}
