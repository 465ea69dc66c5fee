//! The simulator's own time: nothing else in the crate asks the machine what time it is.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

/// A point in simulated time, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(pub(crate) u64);

impl Time {
    /// What AWS's JSON protocols write: seconds since the epoch, with a fraction.
    pub(crate) fn epoch(self) -> Value {
        // Through text, because a cast from u64 may lose precision and this cannot.
        let seconds = format!("{}.{:03}", self.0 / 1000, self.0 % 1000);
        seconds.parse::<f64>().map_or(Value::Null, Value::from)
    }

    pub(crate) fn system(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.0)
    }

    pub(crate) fn since(self, earlier: Time) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// As AWS's XML protocols write it.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_rfc3339_millis(self.system()))
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, duration: Duration) -> Time {
        Time(self.0.saturating_add(millis(duration)))
    }
}

impl Sub<Duration> for Time {
    type Output = Time;

    fn sub(self, duration: Duration) -> Time {
        Time(self.0.saturating_sub(millis(duration)))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// How simulated time passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// So many simulated seconds for each real one.
    Scaled(f64),
    /// Only when [`crate::Simulator::advance`] or the control endpoint says so.
    Manual,
    /// So much for each call of AWS, and no time in between: a run's events then depend on its calls alone.
    PerCall(Duration),
}

#[derive(Debug)]
pub(crate) struct Clock {
    pace: Pace,
    /// Simulated time at `anchor`.
    base: Time,
    anchor: Instant,
}

impl Clock {
    /// A clock that begins at the machine's time, so that a client's idea of the date agrees with the simulator's.
    pub(crate) fn start(pace: Pace) -> Self {
        let real = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { pace, base: Time(millis(real)), anchor: Instant::now() }
    }

    pub(crate) fn now(&self) -> Time {
        match self.pace {
            Pace::Scaled(speed) => self.base + self.anchor.elapsed().mul_f64(speed),
            Pace::Manual | Pace::PerCall(_) => self.base,
        }
    }

    pub(crate) fn pace(&self) -> Pace {
        self.pace
    }

    pub(crate) fn set_pace(&mut self, pace: Pace) {
        self.advance(Duration::ZERO);
        self.pace = pace;
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.base = self.now() + by;
        self.anchor = Instant::now();
    }

    /// A call of AWS has come in.
    pub(crate) fn called(&mut self) {
        if let Pace::PerCall(step) = self.pace {
            self.base = self.base + step;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_both_protocols_want_them() {
        let time = Time(1_764_000_000_250);
        assert_eq!(time.epoch(), serde_json::json!(1_764_000_000.25));
        assert_eq!(time.to_string(), "2025-11-24T16:00:00.250Z");
    }

    #[test]
    fn a_manual_clock_stands_until_it_is_advanced() {
        let mut clock = Clock::start(Pace::Manual);
        let start = clock.now();
        assert_eq!(clock.now(), start);
        clock.advance(Duration::from_secs(90));
        assert_eq!(clock.now().since(start), Duration::from_secs(90));
    }

    #[test]
    fn a_clock_per_call_moves_with_the_calls_only() {
        let mut clock = Clock::start(Pace::PerCall(Duration::from_secs(3)));
        let start = clock.now();
        clock.called();
        clock.called();
        assert_eq!(clock.now().since(start), Duration::from_secs(6));
    }
}
