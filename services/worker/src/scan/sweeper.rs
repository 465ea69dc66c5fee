//! What brings stranded WorkItems back: one pass finds items that wait although no message will wake them, and publishes their
//! ids (rulings A.3, A.8). A message too many does no harm: whoever gets it finds the item claimed, or elsewhere.

#[cfg(test)]
mod tests;

use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::TryStreamExt as _;
use model::{Action, Status, Time, Topic, WorkItem, topic};
use nsq::{Lookup, Name, Publisher};
use redis_store::{LeaseName, LeaseTaken, Owner, Store};
use registry::Query;

use crate::items::rules::GO_CLAIM;
use crate::process::host;
use crate::scan::passes::Scan;
use tokio_util::sync::CancellationToken;

/// How long an item may wait without a message before that is taken for lost.
const LOST: time::Duration = time::Duration::HOUR;
/// How long the Registry may take to queue what it has made.
const UNQUEUED: time::Duration = time::Duration::minutes(10);
/// An item is published again at most this often.
const PAUSE: Duration = Duration::from_hours(1);
const PER_PAGE: u16 = 100;
/// What people ask for; an ingest is queued by the bucket reader.
const REQUESTS: [Action; 4] = [Action::Delete, Action::GlacierRestore, Action::RestoreFile, Action::RestoreObject];

/// Publishes again what was left behind.
#[derive(Debug)]
pub struct Sweeper {
    pub registry: registry::Client,
    pub store: Store,
    pub publisher: Publisher,
    pub lookup: Lookup,
    pub mode: Sweep,
}

/// What is swept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sweep {
    /// Items without a message, once that is certain.
    Stranded,
    /// Every request that is not queued yet, at once: what upstream's end-to-end test relies on (01 §4.12).
    Unqueued,
}

impl Scan for Sweeper {
    async fn pass(&self, cancelled: &CancellationToken) -> Result<()> {
        let published = match self.mode {
            Sweep::Unqueued => self.unqueued(cancelled, |_| true).await?,
            Sweep::Stranded => {
                let unqueued = self.unqueued(cancelled, |item| is_older(item.created_at, UNQUEUED)).await?;
                let dead = self.dead_claims(cancelled).await?;
                let waiting = self.without_message(cancelled).await?;
                self.report_old_claims().await?;
                unqueued + dead + waiting
            }
        };
        tracing::info!(items = published, "published {published} items again");
        Ok(())
    }
}

impl Sweeper {
    /// Requests that were never queued, of those that are wanted.
    async fn unqueued(&self, cancelled: &CancellationToken, wanted: impl Fn(&WorkItem) -> bool) -> Result<u32> {
        let query = waiting().filter("queued_at__is_null", true).any_of("action", &REQUESTS);
        let mut published = 0;
        let mut items = pin!(self.registry.all::<WorkItem>(query));
        while let Some(mut item) = items.try_next().await.context("listing the requests that are not queued")? {
            if cancelled.is_cancelled() {
                break;
            }
            let Ok(topic) = item.topic() else { continue };
            if !wanted(&item) {
                continue;
            }
            // Saved first: a worker takes it up as soon as it is published, and this save would undo what that one wrote.
            let now = Time::now();
            item.date_processed = now;
            item.queued_at = now;
            self.save(&item).await?;
            if let Err(error) = self.publish(&item, topic, "was never queued").await {
                item.queued_at = Time::UNSET;
                self.save(&item).await?;
                return Err(error);
            }
            published += 1;
        }
        Ok(published)
    }

    /// Unfinished items whose worker is dead.
    async fn dead_claims(&self, cancelled: &CancellationToken) -> Result<u32> {
        let mut published = 0;
        let mut claims = self.store.claims();
        while let Some(batch) = claims.next().await.context("looking for the claims of dead workers")? {
            for claimed in batch.into_iter().filter(|claimed| claimed.claimant.is_dead()) {
                if cancelled.is_cancelled() {
                    return Ok(published);
                }
                let item = match self.registry.work_item(claimed.item).await {
                    Ok(item) => item,
                    Err(error) if error.is_not_found() => continue,
                    Err(error) => return Err(error).context("looking at the item of a dead worker"),
                };
                if item.retry && !item.is_completed() && self.is_due(item.id).await? {
                    let reason = format!("was left behind by {}", claimed.claimant.host);
                    self.publish(&item, claimed.topic, &reason).await?;
                    published += 1;
                }
            }
        }
        Ok(published)
    }

    /// Items that wait for a worker, though nothing is in their topic that could wake one.
    async fn without_message(&self, cancelled: &CancellationToken) -> Result<u32> {
        let ingest = topic::INGEST
            .iter()
            .map(|(stage, topic)| (*topic, waiting().filter("action", Action::Ingest).filter("stage", stage)));
        let requests = REQUESTS.iter().filter_map(|action| {
            let topic = Topic::of(action, &model::Stage::Requested).ok()?;
            Some((topic, waiting().filter("action", action)))
        });
        let mut published = 0;
        for (topic, query) in ingest.chain(requests) {
            let name: Name = topic.as_str().parse().context("the topic's name")?;
            if !self.lookup.topic_load(&name).await.context("asking how much is in a topic")?.is_idle() {
                continue;
            }
            let mut items = pin!(self.registry.all::<WorkItem>(query));
            while let Some(item) = items.try_next().await.context("listing the items that wait")? {
                if cancelled.is_cancelled() {
                    return Ok(published);
                }
                // Its worker may be between saving it and publishing it.
                let settled = is_older(item.queued_at, LOST) && is_older(item.updated_at, UNQUEUED);
                if item.queued_at.is_set() && settled && self.is_due(item.id).await? {
                    self.publish(&item, topic, "waits without a message").await?;
                    published += 1;
                }
            }
        }
        Ok(published)
    }

    /// Go workers have no heartbeat: only a person can tell whether one is dead (rulings A.3).
    async fn report_old_claims(&self) -> Result<()> {
        let query = Query::new()
            .filter("status", Status::Started)
            .filter("retry", true)
            .filter("node__not_null", true)
            .per_page(PER_PAGE);
        let mut items = pin!(self.registry.all::<WorkItem>(query));
        while let Some(item) = items.try_next().await.context("listing the items in work")? {
            if !is_older(item.stage_started_at, GO_CLAIM) {
                continue;
            }
            let Ok(topic) = item.topic() else { continue };
            let claimant = self.store.claimant(item.id, topic).await.context("looking for a claim")?;
            if claimant.is_none() {
                tracing::warn!(
                    work_item_id = item.id,
                    node = item.node,
                    stage = %item.stage,
                    since = %item.stage_started_at,
                    "WorkItem {} has been in work for more than a day; if {} is gone, an administrator can requeue it",
                    item.id,
                    item.node
                );
            }
        }
        Ok(())
    }

    /// Whether the item was not published by a sweep within the last hour; if so, it counts as published now.
    async fn is_due(&self, item: i64) -> Result<bool> {
        let taken = self.store.take_lease(LeaseName::Swept(item), Owner::holder(), &host::name(), PAUSE).await;
        Ok(match taken.context("noting that an item is published again")? {
            LeaseTaken::Ours(lease) => {
                lease.leave();
                true
            }
            LeaseTaken::Theirs { .. } => false,
        })
    }

    async fn save(&self, item: &WorkItem) -> Result<()> {
        let saved = self.registry.save_work_item(item).await;
        saved.with_context(|| format!("saving WorkItem {} as queued", item.id)).map(drop)
    }

    async fn publish(&self, item: &WorkItem, topic: Topic, reason: &str) -> Result<()> {
        let name: Name = topic.as_str().parse().context("the topic's name")?;
        let published = self.publisher.publish(&name, item.id.to_string()).await;
        published.with_context(|| format!("publishing WorkItem {} to {topic}", item.id))?;
        tracing::info!(work_item_id = item.id, %topic, "WorkItem {} {reason} and is published to {topic}", item.id);
        Ok(())
    }
}

/// Items that nobody has in work.
fn waiting() -> Query {
    Query::new()
        .filter("status", Status::Pending)
        .filter("retry", true)
        .filter("node__is_null", true)
        .page(1)
        .per_page(PER_PAGE)
}

fn is_older(time: Time, age: time::Duration) -> bool {
    Time::now().inner() - time.inner() > age
}
