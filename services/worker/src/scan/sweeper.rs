//! What brings stranded WorkItems back: one pass finds items that wait although no message will wake them, and publishes their
//! ids (rulings A.3, A.8). A message too many does no harm: whoever gets it finds the item claimed, or elsewhere.

use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, Error, Result, bail};
use futures_util::TryStreamExt as _;
use model::{Action, Stage, Status, Time, Topic, WorkItem, topic};
use nsq::{Lookup, Name, Publisher};
use redis_store::{LeaseName, LeaseTaken, Owner, Store};
use registry::Query;

use crate::items::GO_CLAIM;
use crate::process::host;
use crate::scan::passes::{Part, Pass, Scan};

/// How long an item may wait without a message before that is taken for lost.
const LOST: time::Duration = time::Duration::HOUR;
/// The same where its topic is never idle: its message may only be far behind.
const LONG_LOST: time::Duration = time::Duration::DAY;
/// How long the Registry may take to queue what it has made, and a worker to publish what it has saved.
const UNQUEUED: time::Duration = time::Duration::minutes(10);
/// An item is published again at most this often, and this often if its topic is never idle.
const PAUSE: Duration = Duration::from_hours(1);
const LONG_PAUSE: Duration = Duration::from_hours(24);
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

/// A pass, and what it has come to so far. What cannot be helped holds up nothing else.
struct Sweeping<'p> {
    pass: &'p Pass,
    published: u32,
    failed: u32,
}

impl Scan for Sweeper {
    async fn pass(&self, _: &Part, pass: &Pass) -> Result<()> {
        let mut sweeping = Sweeping { pass, published: 0, failed: 0 };
        match self.mode {
            Sweep::Unqueued => {
                let swept = self.unqueued(&mut sweeping, |_| true).await;
                sweeping.note("the requests that are not queued", swept);
            }
            Sweep::Stranded => {
                let swept = self.unqueued(&mut sweeping, |item| is_older(item.created_at, UNQUEUED)).await;
                sweeping.note("the requests that are not queued", swept);
                let swept = self.dead_claims(&mut sweeping).await;
                sweeping.note("the items of dead workers", swept);
                for (topic, query) in waiting_for_topics() {
                    let swept = self.without_message(&mut sweeping, topic, query).await;
                    sweeping.note(topic.as_str(), swept);
                }
                let reported = self.report_old_claims(&mut sweeping).await;
                sweeping.note("the items in work", reported);
            }
        }
        let Sweeping { published, failed, .. } = sweeping;
        tracing::info!(items = published, "published {published} items again");
        if failed > 0 {
            bail!("{failed} times something could not be looked at or helped; the lines above say what and why");
        }
        Ok(())
    }
}

impl Sweeping<'_> {
    fn is_cancelled(&self) -> bool {
        self.pass.cancelled.is_cancelled()
    }

    /// One thing is done, or could not be.
    fn note(&mut self, what: &str, result: Result<()>) {
        self.pass.progress();
        if let Err(error) = result {
            self.failed += 1;
            tracing::error!("the sweep goes on without {what}: {error:#}");
        }
    }

    fn note_item(&mut self, item: i64, result: Result<bool>) {
        match result {
            Ok(true) => self.published += 1,
            Ok(false) => {}
            Err(error) => return self.note(&format!("WorkItem {item}"), Err(error)),
        }
        self.pass.progress();
    }
}

impl Sweeper {
    /// Requests that were never queued, of those that are wanted.
    async fn unqueued(&self, sweeping: &mut Sweeping<'_>, wanted: impl Fn(&WorkItem) -> bool) -> Result<()> {
        let query = waiting([Status::Pending]).filter("queued_at__is_null", true).any_of("action", &REQUESTS);
        // First all ids, since what is queued falls out of the list, and the pages behind it shift.
        let mut ids = Vec::new();
        let mut items = pin!(self.registry.all::<WorkItem>(query));
        while let Some(item) = items.try_next().await.context("listing them")? {
            if wanted(&item) {
                ids.push(item.id);
            }
            sweeping.pass.progress();
        }
        for id in ids {
            if sweeping.is_cancelled() {
                break;
            }
            let queued = self.queue(id).await;
            sweeping.note_item(id, queued);
        }
        Ok(())
    }

    /// Queues a request, unless somebody else has done so meanwhile.
    async fn queue(&self, id: i64) -> Result<bool> {
        let Some(mut item) = self.look(id).await? else { return Ok(false) };
        let Ok(topic) = item.topic() else { return Ok(false) };
        if item.queued_at.is_set() || item.is_claimed() || !item.retry || item.status != Status::Pending {
            return Ok(false);
        }
        // Saved first: a worker takes it up as soon as it is published, and this save would undo what that one wrote.
        let now = Time::now();
        item.date_processed = now;
        item.queued_at = now;
        self.save(&item).await?;
        if let Err(error) = self.publish(id, topic, "was never queued").await {
            item.queued_at = Time::UNSET;
            self.save(&item).await?;
            return Err(error);
        }
        Ok(true)
    }

    /// Unfinished items whose worker is dead.
    async fn dead_claims(&self, sweeping: &mut Sweeping<'_>) -> Result<()> {
        let mut claims = self.store.claims();
        while let Some(batch) = claims.next().await.context("looking for claims in Redis")? {
            sweeping.pass.progress();
            for claimed in batch.into_iter().filter(|claimed| claimed.claimant.is_dead()) {
                if sweeping.is_cancelled() {
                    return Ok(());
                }
                let reason = format!("was left behind by {}", claimed.claimant.host);
                let published = self.rescue(claimed.item, claimed.topic, &reason).await;
                sweeping.note_item(claimed.item, published);
            }
        }
        Ok(())
    }

    async fn rescue(&self, id: i64, topic: Topic, reason: &str) -> Result<bool> {
        match self.look(id).await? {
            Some(item) if item.retry && !item.is_completed() => {
                self.publish_once(id, topic, reason, LeaseName::Swept(id), PAUSE).await
            }
            _ => Ok(false),
        }
    }

    /// Items that wait for a worker or for their next attempt, though nothing is in their topic that could wake one. Where the
    /// topic is never idle nobody can know, and an item that has waited for a day is published all the same.
    async fn without_message(&self, sweeping: &mut Sweeping<'_>, topic: Topic, query: Query) -> Result<()> {
        let name: Name = topic.as_str().parse().context("the topic's name")?;
        let is_idle = self.lookup.topic_load(&name).await.context("asking how much is in the topic")?.is_idle();
        let mut items = pin!(self.registry.all::<WorkItem>(query));
        while let Some(item) = items.try_next().await.context("listing the items that wait")? {
            if sweeping.is_cancelled() {
                return Ok(());
            }
            let settled = if !is_idle {
                is_older(item.updated_at, LONG_LOST)
            } else if item.status == Status::Pending {
                // Its worker may be between saving it and publishing it.
                item.queued_at.is_set() && is_older(item.queued_at, LOST) && is_older(item.updated_at, UNQUEUED)
            } else {
                is_older(item.updated_at, UNQUEUED)
            };
            let published = if settled { self.wake(&item, topic, is_idle).await } else { Ok(false) };
            sweeping.note_item(item.id, published);
        }
        Ok(())
    }

    async fn wake(&self, item: &WorkItem, topic: Topic, is_idle: bool) -> Result<bool> {
        let id = item.id;
        // Before its time it would be taken for a message too many.
        let due = self.store.wakes_in(id, topic).await.context("when it is to be woken could not be read")?;
        if item.status == Status::Started && !due.is_zero() {
            return Ok(false);
        }
        let (name, pause) =
            if is_idle { (LeaseName::Swept(id), PAUSE) } else { (LeaseName::SweptDaily(id), LONG_PAUSE) };
        self.publish_once(id, topic, "waits without a message", name, pause).await
    }

    /// Go workers have no heartbeat: only a person can tell whether one is dead (rulings A.3).
    async fn report_old_claims(&self, sweeping: &mut Sweeping<'_>) -> Result<()> {
        let query = Query::new()
            .filter("status", Status::Started)
            .filter("retry", true)
            .filter("node__not_null", true)
            .per_page(PER_PAGE);
        let mut items = pin!(self.registry.all::<WorkItem>(query));
        while let Some(item) = items.try_next().await.context("listing the items in work")? {
            sweeping.pass.progress();
            let Ok(topic) = item.topic() else { continue };
            if !is_older(item.stage_started_at, GO_CLAIM) {
                continue;
            }
            match self.store.claimant(item.id, topic).await {
                Ok(None) => tracing::warn!(
                    work_item_id = item.id,
                    node = item.node,
                    stage = %item.stage,
                    since = %item.stage_started_at,
                    "WorkItem {} has been in work for more than a day; if {} is gone, an administrator can requeue it",
                    item.id,
                    item.node
                ),
                Ok(Some(_)) => {}
                Err(error) => sweeping.note_item(item.id, Err(Error::new(error).context("looking for a claim"))),
            }
        }
        Ok(())
    }

    async fn look(&self, id: i64) -> Result<Option<WorkItem>> {
        match self.registry.work_item(id).await {
            Ok(item) => Ok(Some(item)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error).context("the Registry did not show it"),
        }
    }

    async fn save(&self, item: &WorkItem) -> Result<()> {
        self.registry.save_work_item(item).await.context("it could not be saved as queued").map(drop)
    }

    /// Publishes, if no sweep has within this time. Only what was published counts.
    async fn publish_once(
        &self,
        id: i64,
        topic: Topic,
        reason: &str,
        name: LeaseName<'_>,
        pause: Duration,
    ) -> Result<bool> {
        let taken = self.store.take_lease(name, Owner::holder(), &host::name(), pause).await;
        let LeaseTaken::Ours(lease) = taken.context("noting that it is published again")? else { return Ok(false) };
        if let Err(error) = self.publish(id, topic, reason).await {
            lease.release().await.context("taking back the note that it was published")?;
            return Err(error);
        }
        lease.leave();
        Ok(true)
    }

    async fn publish(&self, id: i64, topic: Topic, reason: &str) -> Result<()> {
        let name: Name = topic.as_str().parse().context("the topic's name")?;
        let published = self.publisher.publish(&name, id.to_string()).await;
        published.with_context(|| format!("publishing it to {topic}"))?;
        tracing::info!(work_item_id = id, %topic, "WorkItem {id} {reason} and is published to {topic}");
        Ok(())
    }
}

/// For each topic the items that nobody has in work and that should be in it.
fn waiting_for_topics() -> impl Iterator<Item = (Topic, Query)> {
    let both = || waiting([Status::Pending, Status::Started]);
    let ingest = topic::INGEST
        .iter()
        .map(move |(stage, topic)| (*topic, both().filter("action", Action::Ingest).filter("stage", stage)));
    let requests = REQUESTS.iter().filter_map(move |action| {
        let topic = Topic::of(action, &Stage::Requested).ok()?;
        Some((topic, both().filter("action", action)))
    });
    ingest.chain(requests)
}

/// Items that nobody has in work, in an order that nothing changes.
fn waiting(statuses: impl IntoIterator<Item = Status>) -> Query {
    Query::new()
        .any_of("status", statuses)
        .filter("retry", true)
        .filter("node__is_null", true)
        .sort("id")
        .page(1)
        .per_page(PER_PAGE)
}

fn is_older(time: Time, age: time::Duration) -> bool {
    Time::now().inner() - time.inner() > age
}
