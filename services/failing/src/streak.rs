//! For how long nothing has worked. Whether that is too long, whoever asks decides.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Failures in a row.
#[derive(Debug, Default)]
pub struct Streak(Mutex<Option<Span>>);

#[derive(Debug, Clone, Copy)]
struct Span {
    first: Instant,
    last: Instant,
}

impl Streak {
    /// Something worked: the streak is over.
    pub fn succeeded(&self) {
        *self.span() = None;
    }

    /// Something failed.
    pub fn failed(&self) {
        self.failed_at(Instant::now());
    }

    /// From the first failure since anything worked to the latest; `None` where the last try succeeded, or there was none.
    /// It does not grow while nothing is tried: who is idle does not know.
    pub fn length(&self) -> Option<Duration> {
        self.span().map(|span| span.last - span.first)
    }

    fn failed_at(&self, now: Instant) {
        let mut span = self.span();
        let first = span.map_or(now, |span| span.first);
        *span = Some(Span { first, last: now });
    }

    fn span(&self) -> MutexGuard<'_, Option<Span>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_streak_lasts_from_its_first_failure_to_its_latest() {
        let (streak, start) = (Streak::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(streak.length(), None);
        streak.failed_at(at(0));
        assert_eq!(streak.length(), Some(Duration::ZERO), "one failure is no time");
        streak.failed_at(at(30));
        streak.failed_at(at(200));
        assert_eq!(streak.length(), Some(Duration::from_secs(200)));
        streak.succeeded();
        assert_eq!(streak.length(), None);
        streak.failed_at(at(500));
        streak.failed_at(at(501));
        assert_eq!(streak.length(), Some(Duration::from_secs(1)));
    }
}
