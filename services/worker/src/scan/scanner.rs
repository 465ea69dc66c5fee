//! The kind of program that looks for work by itself, in a loop or once. What it looks at is its stage's.

use std::time::Duration;

use redis_store::Store;

use crate::process::command_line::{Arguments, Flag, Operand, Takes};
use crate::process::identity::Identity;
use crate::process::program::{Kind, Plan};
use crate::process::settings::{Reader, Redis, Reported, Section as _};

/// A program that runs over and over, or once.
#[derive(Debug)]
#[must_use]
pub struct Scanner {
    interval: &'static str,
    operand: Option<Operand>,
}

/// What a scanner was told to do.
#[derive(Debug)]
pub struct ScanPlan {
    pub schedule: Schedule,
    /// The one thing to look at, instead of everything.
    pub operand: Option<String>,
    redis: Redis,
}

/// When a scanner runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    Once,
    /// For ever, with this pause from the end of a run to the start of the next.
    Every(Duration),
}

const RUN_ONCE: Flag =
    Flag { name: "run-once", takes: Takes::Nothing, help: "run once and exit; no interval is needed" };

impl Scanner {
    /// `interval` is the name of the setting with the pause between runs.
    pub const fn every(interval: &'static str) -> Self {
        Self { interval, operand: None }
    }

    /// Takes an argument that names the one thing to look at; with it, the program runs once.
    pub const fn or_only(self, operand: Operand) -> Self {
        Self { operand: Some(operand), ..self }
    }
}

impl Kind for Scanner {
    type Plan = ScanPlan;

    const FLAGS: &'static [Flag] = &[RUN_ONCE];

    fn operand(&self) -> Option<Operand> {
        self.operand
    }

    fn describe(&self) -> String {
        format!("Runs for ever, with the pause {} between runs, or once.", self.interval)
    }

    fn plan(&self, _: &str, arguments: &Arguments, reader: &mut Reader<'_>) -> Result<ScanPlan, Reported> {
        let operand = arguments.operand().map(str::to_owned);
        let redis = Redis::read(reader);
        let schedule = if arguments.has(RUN_ONCE) || operand.is_some() {
            Schedule::Once
        } else {
            Schedule::Every(reader.setting(self.interval).check(at_least_a_second).required()?)
        };
        Ok(ScanPlan { schedule, operand, redis: redis? })
    }
}

impl ScanPlan {
    /// Where leases are, and what is known of items in work.
    pub fn store(&self) -> anyhow::Result<Store> {
        self.redis.store()
    }
}

impl Plan for ScanPlan {
    fn announce(&self, identity: &Identity) {
        let Identity { name, version, sha256 } = identity;
        let interval_seconds = match self.schedule {
            Schedule::Once => None,
            Schedule::Every(interval) => Some(interval.as_secs_f64()),
        };
        let operand = self.operand.as_deref();
        tracing::info!(service = name, version, sha256, interval_seconds, operand, "{name} {version} starts");
    }
}

fn at_least_a_second(interval: Duration) -> Result<Duration, String> {
    if interval >= Duration::from_secs(1) {
        return Ok(interval);
    }
    Err("is shorter than a second; set it to a duration such as `60s` or `30m`".to_owned())
}
