//! The server's clock: real time plus what tests moved it by. Signatures are checked against real time, not this.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What the server takes for now, wherever time shows: modification times, restored copies and their expiry.
///
/// It only moves forwards, for all clones at once, and is not kept with the data.
#[derive(Clone, Debug, Default)]
pub struct Clock(Arc<AtomicU64>);

impl Clock {
    /// Moves on, to the second.
    pub fn advance(&self, by: Duration) {
        // Saturates far beyond any date that can be written.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |ahead| {
            Some(ahead.saturating_add(by.as_secs()).min(MOST_AHEAD.as_secs()))
        });
    }

    /// How far ahead of real time it is.
    pub fn ahead(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Relaxed))
    }

    /// Milliseconds since 1970: the precision that S3 shows in lists.
    pub(crate) fn now(&self) -> i64 {
        let now = SystemTime::now() + self.ahead();
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

/// A thousand years: what comes out still has a year of four digits.
const MOST_AHEAD: Duration = Duration::from_hours(1000 * 365 * 24);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_moves_for_all_clones_and_stays_within_dates() {
        let clock = Clock::default();
        let before = clock.now();
        clock.clone().advance(Duration::from_hours(1));
        assert!(clock.now() >= before + 3_600_000);
        clock.advance(Duration::MAX);
        clock.advance(Duration::MAX);
        assert_eq!(clock.ahead(), MOST_AHEAD);
    }
}
