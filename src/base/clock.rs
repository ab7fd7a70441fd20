use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

/// Where "now" comes from. Components receive a `Clock`, so a test can hand them one it controls.
#[derive(Clone)]
pub(crate) struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The wall clock of the machine (`CLOCK_REALTIME`).
    pub(crate) fn system() -> Self {
        Self(Arc::new(Timestamp::now))
    }

    /// A clock that starts at `start` and advances with tokio's clock, so it stands still while a test
    /// has paused time and jumps when the test advances it.
    #[cfg(test)]
    pub(crate) fn tokio_from(start: Timestamp) -> Self {
        let origin = tokio::time::Instant::now();
        Self(Arc::new(move || {
            let passed = tokio::time::Instant::now() - origin;
            start.checked_add(passed).unwrap_or(Timestamp::MAX)
        }))
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
