//! How long to wait before the next try: twice as long each time, up to a limit, and never the same for two who wait.

use std::time::Duration;

/// Pauses that grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The whole of the first pause.
    pub first: Duration,
    /// No pause is longer.
    pub longest: Duration,
}

impl Backoff {
    /// The pause after so many failures in a row, from 1: between half and the whole of `first × 2^(failures − 1)`.
    pub fn after(self, failures: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        let whole = self.first.saturating_mul(doubled).min(self.longest);
        whole.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

/// The interval, give or take three tenths: for what is done again and again without failing, by many who must not do it
/// all at once.
pub fn around(interval: Duration) -> Duration {
    interval.mul_f64(0.7 + 0.6 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_limit_and_are_spread() {
        let backoff = Backoff { first: Duration::from_millis(250), longest: Duration::from_secs(30) };
        let cases = [(0, 250), (1, 250), (2, 500), (5, 4_000), (8, 30_000), (32, 30_000), (u32::MAX, 30_000)];
        for (failures, whole) in cases {
            let whole = Duration::from_millis(whole);
            let pauses: Vec<Duration> = (0..50).map(|_| backoff.after(failures)).collect();
            assert!(pauses.iter().all(|pause| *pause >= whole / 2 && *pause <= whole), "{failures}: {pauses:?}");
            assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{failures}: {pauses:?}");
        }
    }

    #[test]
    fn an_interval_is_spread_both_ways() {
        let interval = Duration::from_secs(30);
        let spread: Vec<Duration> = (0..200).map(|_| around(interval)).collect();
        assert!(spread.iter().all(|one| *one >= interval.mul_f64(0.7) && *one <= interval.mul_f64(1.3)));
        assert!(spread.iter().any(|one| *one < interval) && spread.iter().any(|one| *one > interval));
    }
}
