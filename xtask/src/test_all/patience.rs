//! How long anything may take: limits that no healthy run comes near, raised for a slow or busy machine.

use std::time::Duration;

/// By what every limit is multiplied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience(pub(crate) f64);

impl Patience {
    pub(crate) fn with(self, limit: Duration) -> Duration {
        limit.mul_f64(self.0)
    }
}

/// What is said of something that a limit ended.
pub(crate) fn ended(limit: Duration, which: &str) -> String {
    format!("ended after {}, {which}; --patience 2 doubles it", humantime::format_duration(limit))
}
