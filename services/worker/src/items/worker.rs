//! The kind of program that takes WorkItems from a topic. Its declaration says the topic once; channel, rules and the clients of
//! every such program follow from it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use nsq::Publisher;
use redis_store::Store;

use crate::items::rules::Rules;
use crate::process::command_line::{Arguments, Flag, Operand};
use crate::process::identity::Identity;
use crate::process::program::{Kind, Plan};
use crate::process::settings::{Reader, Redis, Registry, Reported, Section as _, names};
use crate::queue::worker::{QueuePlan, QueueWorker};

/// A program that works on WorkItems.
#[derive(Debug)]
#[must_use]
pub struct ItemWorker {
    rules: Rules,
    queue: QueueWorker,
}

/// What such a program was told to do.
#[derive(Debug)]
pub struct ItemPlan {
    pub rules: Rules,
    pub queue: QueuePlan,
    /// How long a claim on an item lives without its worker.
    pub claim_ttl: Duration,
    /// For how long an item is tried again that only the system fails.
    pub system_patience: Duration,
    registry: Registry,
    redis: Redis,
}

/// What every program over WorkItems speaks to. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Clients {
    pub registry: registry::Client,
    pub store: Store,
    pub publisher: Publisher,
}

impl ItemWorker {
    /// With a delay of a minute after a failure that may pass.
    pub const fn new(rules: Rules) -> Self {
        Self { rules, queue: QueueWorker::new(rules.topic()) }
    }

    pub const fn requeue_delay(self, delay: Duration) -> Self {
        Self { queue: self.queue.requeue_delay(delay), ..self }
    }

    /// Fewer attempts than these are raised to them, whoever asked.
    pub const fn least_attempts(self, attempts: u32) -> Self {
        Self { queue: self.queue.least_attempts(attempts), ..self }
    }
}

impl ItemPlan {
    /// None of them opens a connection before it is used.
    pub fn clients(&self) -> Result<Clients> {
        Ok(Clients {
            registry: self.registry.client()?,
            store: self.redis.store()?,
            publisher: self.queue.nsq.publisher.publisher().context("the clients of this program")?,
        })
    }
}

impl Kind for ItemWorker {
    type Plan = ItemPlan;

    const FLAGS: &'static [Flag] = QueueWorker::FLAGS;

    fn operand(&self) -> Option<Operand> {
        None
    }

    fn describe(&self) -> String {
        self.queue.describe()
    }

    fn plan(&self, name: &str, arguments: &Arguments, reader: &mut Reader<'_>) -> Result<ItemPlan, Reported> {
        let queue = self.queue.plan(name, arguments, reader);
        let claim_ttl = reader.setting(names::CLAIM_TTL).check(long_enough).or(Duration::from_mins(2));
        let system_patience = reader.setting(names::SYSTEM_RETRY_LIMIT).or(Duration::from_hours(24));
        let registry = Registry::read(reader);
        let redis = Redis::read(reader);
        Ok(ItemPlan {
            rules: self.rules,
            queue: queue?,
            claim_ttl: claim_ttl?,
            system_patience: system_patience?,
            registry: registry?,
            redis: redis?,
        })
    }
}

impl Plan for ItemPlan {
    fn announce(&self, identity: &Identity) {
        self.queue.announce(identity);
    }
}

fn long_enough(ttl: Duration) -> Result<Duration, String> {
    if ttl >= Duration::from_secs(1) {
        return Ok(ttl);
    }
    Err("is shorter than a second; set it to a duration such as `2m`".to_owned())
}
