//! How long a program may take to end, and to show that it lives.

use std::time::Duration;

/// How long a program may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From the first signal to the end of the process.
    pub drain: Duration,
    /// From the main loop's last sign of life until the process counts as unhealthy.
    pub stale_after: Duration,
    /// From the first failure of a client that is [`Heartbeat::troubled`] until the process counts as unhealthy.
    pub troubled_after: Duration,
}

impl Limits {
    /// What services run with. ECS kills a task 120 s after SIGTERM.
    pub const STANDARD: Self = Self {
        drain: Duration::from_secs(110),
        stale_after: Duration::from_secs(90),
        troubled_after: Duration::from_mins(5),
    };
}
