//! How fast AWS is asked: one pace for all calls of the process, slower when AWS says that it is too fast.

use std::time::Duration;

/// All waits, derived from the one interval that the user can set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// Between two looks at the stack.
    pub(crate) poll: Duration,
}

impl Timing {
    /// Between two looks at ECS.
    pub(crate) fn ecs(self) -> Duration {
        self.poll * 5 / 2
    }

    /// The longest that a call is held back.
    pub(crate) fn slowest(self) -> Duration {
        self.poll * 15 / 2
    }

    /// The gap between two calls while nobody complains: ten a second at the default.
    fn gap(self) -> Duration {
        self.poll / 40
    }

    /// How long contact may be lost before it counts as lost: three minutes at the default.
    pub(crate) fn patience(self) -> Duration {
        self.poll * 45
    }

    /// How long the first answer may take: half a minute at the default.
    pub(crate) fn first_contact(self) -> Duration {
        self.poll * 8
    }

    /// How long a change set may take to be made: five minutes at the default.
    pub(crate) fn change_set(self) -> Duration {
        self.poll * 75
    }

    /// When a running update is called long: ten minutes at the default.
    pub(crate) fn long(self) -> Duration {
        self.poll * 150
    }
}

/// The pace, kept by whoever makes the calls.
#[derive(Debug)]
pub(crate) struct Pace {
    timing: Timing,
    gap: Duration,
    slow: bool,
}

impl Pace {
    pub(crate) fn new(timing: Timing) -> Self {
        Self { timing, gap: timing.gap(), slow: false }
    }

    /// How long the next call is held back after the last one.
    pub(crate) fn gap(&self) -> Duration {
        self.gap
    }

    /// AWS refused a call because there are too many. True the first time in a row, so that it is told once.
    pub(crate) fn throttled(&mut self) -> bool {
        self.gap = (self.gap * 2).clamp(self.timing.poll / 8, self.timing.slowest());
        !std::mem::replace(&mut self.slow, true)
    }

    /// A call went through: a little faster, down to the usual gap.
    pub(crate) fn went_through(&mut self) {
        self.gap = (self.gap * 4 / 5).max(self.timing.gap());
        self.slow &= self.gap > self.timing.gap();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_slows_down_within_limits_and_recovers() {
        let timing = Timing { poll: Duration::from_secs(4) };
        let mut pace = Pace::new(timing);
        assert_eq!(pace.gap(), Duration::from_millis(100));
        assert!(pace.throttled(), "the first one is told");
        assert_eq!(pace.gap(), Duration::from_millis(500));
        for _ in 0..20 {
            assert!(!pace.throttled(), "and no other");
        }
        assert_eq!(pace.gap(), Duration::from_secs(30));
        for _ in 0..30 {
            pace.went_through();
        }
        assert_eq!(pace.gap(), Duration::from_millis(100));
        assert!(pace.throttled());
    }
}
