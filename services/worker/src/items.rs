//! The loop over WorkItems: a message is an id, and around the stage's work stand claim, attempts and final state. The messages
//! themselves are `messages.rs`'s; which items are taken up, `rules.rs`'s; what an outcome changes, `items/outcome.rs`'s.
//!
//! For each message (01 §4.2 as rulings A amend it):
//!
//! 1. Read the item. Skip it if it is over, elsewhere, or somebody else's.
//! 2. Claim it in Redis, for as long as this process renews the claim, and read it again.
//! 3. Count the attempt in Redis, mark the item started in the Registry, run the stage.
//! 4. Meanwhile look at the item now and then: an administrator may have requeued or cancelled it, and then the work is
//!    cancelled and nothing more is written.
//! 5. Read it once more, write the outcome, publish to the next topic, let go of the claim, answer the message.
//!
//! A worker that is killed leaves a claim that dies, and a message that nsqd delivers again; `apt_queue` looks after the rest.

mod ingest;
mod lock;
mod outcome;
pub(crate) mod rules;
pub(crate) mod task;
#[cfg(test)]
mod tests;
mod watch;
#[cfg(test)]
pub(crate) mod world;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use model::{Status, Time, WorkItem, WorkResult};
use nsq::{Name, Publisher};
use redis_store::{ClaimTaken, Claimant, Held, Store, Trouble};
use storage::Storage;

use crate::items::ingest::Institutions;
use crate::items::rules::{GO_CLAIM, OTHER_WORKER, Rules, Skip};
use crate::items::task::{ItemStage, Task};
use crate::process::health::Heartbeat;
use crate::process::host;
use crate::queue::messages::{Delivery, Handler, Messages, Verdict};
use crate::queue::worker::QueuePlan;
use tokio_util::sync::CancellationToken;

/// When an item is looked at again for which Registry or Redis were out of order.
const SYSTEM_PAUSE: Duration = Duration::from_secs(30);
/// Processes that may die over an item, one after the other, before a person must look at it.
const MOST_DEATHS: u32 = 10;

/// What a service over WorkItems stands on. [`run`](Self::run) is its life.
#[derive(Debug)]
pub struct Items {
    pub plan: QueuePlan,
    pub rules: Rules,
    pub registry: registry::Client,
    pub store: Store,
    /// Where the tars of ingests are, for the stages before they are stored; without it nobody looks whether they changed.
    pub receiving: Option<Storage>,
    pub publisher: Publisher,
    pub heartbeat: Heartbeat,
    pub shutdown: CancellationToken,
    /// The executable's name.
    pub service: &'static str,
}

impl Items {
    /// Works until the process is asked to stop and every item in work is finished or released.
    pub async fn run<S: ItemStage>(self, stage: S) -> Result<()> {
        let Self { plan, rules, registry, store, receiving, publisher, heartbeat, shutdown, service } = self;
        let next = rules.next().map(|topic| topic.as_str().parse()).transpose().context("the next topic's name")?;
        let desk = Desk {
            stage,
            rules,
            next,
            registry,
            store,
            receiving,
            publisher: publisher.clone(),
            node: host::name(),
            pid: i64::from(std::process::id()),
            max_attempts: i64::from(plan.numbers.max_attempts),
            requeue_delay: plan.requeue_delay,
            claim_ttl: plan.claim_ttl,
            system_patience: plan.system_patience,
            institutions: Institutions::default(),
        };
        Messages { plan, publisher, heartbeat, shutdown, service, memory: S::MEMORY }
            .run(Attendant(Arc::new(desk)))
            .await
    }
}

/// Takes the messages to the desk.
struct Attendant<S>(Arc<Desk<S>>);

/// Where the items of one service are worked on.
struct Desk<S> {
    stage: S,
    rules: Rules,
    next: Option<Name>,
    registry: registry::Client,
    store: Store,
    receiving: Option<Storage>,
    publisher: Publisher,
    node: String,
    pid: i64,
    max_attempts: i64,
    requeue_delay: Duration,
    claim_ttl: Duration,
    system_patience: Duration,
    institutions: Institutions,
}

/// An item in work, with what is known of it.
struct Case {
    item: WorkItem,
    result: WorkResult,
    /// The system has been failing it since then.
    failing_since: Time,
    /// Nobody else works on the item.
    claim: Held,
    /// No other item works on its object.
    lock: Option<Held>,
}

impl<S: ItemStage> Handler for Attendant<S> {
    async fn handle(&self, delivery: Delivery) -> Verdict {
        let body = delivery.body.trim_ascii();
        let id = std::str::from_utf8(body).ok().and_then(|text| text.parse().ok()).filter(|id: &i64| *id > 0);
        let Some(id) = id else {
            tracing::error!("dropping a message that is no WorkItem's id: `{}`", body.escape_ascii());
            return Verdict::Finish;
        };
        self.0.attend(id, &delivery.cancelled).await.unwrap_or_else(|error| {
            tracing::warn!(work_item_id = id, "WorkItem {id} waits, because {error:#}");
            Verdict::Later(SYSTEM_PAUSE)
        })
    }
}

impl<S: ItemStage> Desk<S> {
    async fn attend(self: &Arc<Self>, id: i64, shutdown: &CancellationToken) -> Result<Verdict> {
        let topic = self.rules.topic();
        let Some(item) = self.look(id).await? else {
            tracing::error!(
                work_item_id = id,
                "dropping the message for WorkItem {id}, which the Registry does not have"
            );
            return Ok(Verdict::Finish);
        };
        if let Some(verdict) = self.answer(&item, self.rules.skip(&item)).await? {
            return Ok(verdict);
        }
        let before = self.store.claimant(id, topic).await.context("its claim in Redis could not be read")?;
        if item.is_claimed()
            && let Some(verdict) = self.elsewhere(&item, before.as_ref())
        {
            return Ok(verdict);
        }
        let taken = self.store.take_claim(id, topic, &self.node, self.claim_ttl).await;
        match taken.context("it could not be claimed in Redis")? {
            ClaimTaken::Ours(claim) => self.with_claim(id, claim, before.is_some(), shutdown).await,
            ClaimTaken::Theirs(claimant) => {
                let host = claimant.host;
                tracing::info!(work_item_id = id, host, "WorkItem {id} is in work elsewhere; its message waits");
                Ok(Verdict::Later(self.claim_ttl))
            }
        }
    }

    /// What becomes of the message of an item that somebody says to work on, unless that worker of ours is dead.
    fn elsewhere(&self, item: &WorkItem, claimant: Option<&Claimant>) -> Option<Verdict> {
        let (id, node) = (item.id, &item.node);
        match claimant {
            Some(claimant) if claimant.is_dead() => None,
            Some(_) => {
                tracing::info!(work_item_id = id, node, "WorkItem {id} is in work elsewhere; its message waits");
                Some(Verdict::Later(self.claim_ttl))
            }
            // A Go worker's. It knows no heartbeat, and may work for a day (rulings A.3).
            None if Time::now().inner() - item.stage_started_at.inner() < GO_CLAIM => {
                tracing::info!(work_item_id = id, node, "WorkItem {id} is in work elsewhere; its message waits");
                Some(Verdict::Later(OTHER_WORKER))
            }
            None => {
                tracing::warn!(
                    work_item_id = id,
                    node,
                    "WorkItem {id} has been in work elsewhere for more than a day; an administrator can requeue it"
                );
                Some(Verdict::Finish)
            }
        }
    }

    async fn with_claim(
        self: &Arc<Self>,
        id: i64,
        claim: Held,
        took_over: bool,
        shutdown: &CancellationToken,
    ) -> Result<Verdict> {
        let case = match self.open(id, claim, took_over).await {
            Ok(case) => case,
            Err(verdict) => return verdict,
        };
        let task = Task {
            item: case.item.clone(),
            attempt: case.result.attempt,
            registry: self.registry.clone(),
            store: self.store.clone(),
            cancelled: CancellationToken::new(),
        };
        tracing::info!(work_item_id = id, attempt = task.attempt, "working on WorkItem {id} ({})", case.item.name);
        let ended = self.watch(task, &case.claim, case.lock.as_ref(), shutdown).await;
        self.close(case, ended).await
    }

    async fn look(&self, id: i64) -> Result<Option<WorkItem>> {
        match self.registry.work_item(id).await {
            Ok(item) => Ok(Some(item)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error).context("the Registry did not show it"),
        }
    }

    /// Whether the item is not taken up after all, by everything that can be known of it.
    async fn skip(&self, item: &WorkItem) -> Result<Option<Verdict>> {
        let skip = match self.rules.skip(item) {
            None if self.rules.is_ingest() => self.skip_ingest(item).await?,
            skip => skip,
        };
        self.answer(item, skip).await
    }

    /// What the message of an item that is not taken up gets.
    async fn answer(&self, item: &WorkItem, skip: Option<Skip>) -> Result<Option<Verdict>> {
        Ok(match skip {
            None => None,
            Some(Skip::Done(reason)) => {
                tracing::info!(work_item_id = item.id, "{reason}");
                if self.rules.next().is_none() && item.status == Status::Success {
                    // Its worker may have been killed between saving the item and deleting what Redis knew of it.
                    self.store.delete_item(item.id).await.context("its data in Redis could not be deleted")?;
                }
                Some(Verdict::Finish)
            }
            Some(Skip::Later(delay, reason)) => {
                tracing::info!(work_item_id = item.id, "{reason}");
                Some(Verdict::Later(delay))
            }
            Some(Skip::PublishTo(topic)) => {
                tracing::info!(work_item_id = item.id, %topic, "WorkItem {} is published to its topic again", item.id);
                let name: Name = topic.as_str().parse().context("the next topic's name")?;
                let published = self.publisher.publish(&name, item.id.to_string()).await;
                published.context("it could not be published to its next topic")?;
                Some(Verdict::Finish)
            }
        })
    }

    /// Looks again, now that nobody else may, counts the attempt and marks the item started. `Err`: it is not to be worked on.
    async fn open(&self, id: i64, claim: Held, took_over: bool) -> Result<Case, Result<Verdict>> {
        let looked = async {
            // Whoever had the claim before may have finished meanwhile.
            let Some(item) = self.look(id).await? else { return Ok(Err(Verdict::Finish)) };
            if let Some(verdict) = self.skip(&item).await? {
                return Ok(Err(verdict));
            }
            match self.lock(&item).await? {
                Ok(lock) => Ok(Ok((item, lock))),
                Err(verdict) => anyhow::Ok(Err(verdict)),
            }
        };
        let (mut item, lock) = match looked.await {
            Ok(Ok(found)) => found,
            // It is not marked as ours, so nothing but the claim needs to be undone.
            Ok(Err(verdict)) => {
                release(claim).await;
                return Err(Ok(verdict));
            }
            Err(error) => {
                release(claim).await;
                return Err(Err(error));
            }
        };
        let counted = async {
            let topic = self.rules.topic();
            let result = self.store.work_result(id, topic).await.context("its attempts could not be read")?;
            let mut result = result.unwrap_or_else(|| WorkResult::new(topic.as_str()));
            let mut trouble = self.store.trouble(id, topic).await.context("its troubles could not be read")?;
            if took_over {
                // Its worker died, which is no answer to whether the work can be done.
                if result.started_at.is_set() && !result.finished_at.is_set() {
                    result.attempt = (result.attempt - 1).max(0);
                }
                trouble.deaths += 1;
                self.store.save_trouble(id, topic, trouble).await.context("its troubles could not be saved")?;
            }
            if trouble.deaths > MOST_DEATHS {
                return Ok(Err((result, trouble)));
            }
            let now = Time::now();
            result.start(&self.node, self.pid, now);
            self.store.save_work_result(id, &result).await.context("its attempts could not be saved")?;
            item.mark_started(&self.node, self.pid, topic, now);
            self.registry.save_work_item(&item).await.context("it could not be marked as started")?;
            anyhow::Ok(Ok((result, trouble)))
        };
        match counted.await {
            Ok(Ok((result, Trouble { failing_since, .. }))) => Ok(Case { item, result, failing_since, claim, lock }),
            Ok(Err((result, trouble))) => {
                let case = Case { item, result, failing_since: Time::UNSET, claim, lock };
                Err(self.too_deadly(case, trouble.deaths).await)
            }
            // The item may be marked ours: the claim is left to die, and is then taken over.
            Err(error) => {
                claim.leave();
                if let Some(lock) = lock {
                    lock.leave();
                }
                Err(Err(error))
            }
        }
    }
}

/// A claim that cannot be released dies by itself.
async fn release(held: Held) {
    if let Err(error) = held.release().await {
        tracing::warn!("a claim or lock could not be released and ends by itself: {error}");
    }
}
