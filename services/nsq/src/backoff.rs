//! How long to wait before the next try: twice as long each time, up to a limit, and never the same for two who wait.

use std::time::Duration;

/// Between half and the whole of `first × 2^tries`, at most `longest`.
pub(crate) fn delay(first: Duration, tries: u32, longest: Duration) -> Duration {
    let whole = first.saturating_mul(2_u32.saturating_pow(tries)).min(longest);
    whole.mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// The interval, give or take three tenths.
pub(crate) fn around(interval: Duration) -> Duration {
    interval.mul_f64(0.7 + 0.6 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_limit_and_are_spread() {
        let (first, longest) = (Duration::from_millis(250), Duration::from_secs(30));
        for (tries, whole) in [(0, 250), (1, 500), (4, 4_000), (7, 30_000), (31, 30_000), (u32::MAX, 30_000)] {
            let whole = Duration::from_millis(whole);
            for _ in 0..50 {
                let delay = delay(first, tries, longest);
                assert!(delay >= whole / 2 && delay <= whole, "{tries}: {delay:?}");
            }
        }
        assert!(around(longest) >= longest.mul_f64(0.7) && around(longest) <= longest.mul_f64(1.3));
    }
}
