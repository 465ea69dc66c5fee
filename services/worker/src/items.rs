//! The loop over WorkItems: a message is an id, and around the stage's work stand claim, attempts and final state. The messages
//! themselves are `queue`'s.
//!
//! An item goes through one state after the other, and this file is their order (01 §4.2 as rulings A amend it):
//!
//! | State | What happens | If it does not work out |
//! |---|---|---|
//! | look | the item is read from the Registry | its message waits |
//! | admit | [`Rules`](rules::Rules) ask whether the item itself says that it is for us, and waits | its message is finished or waits |
//! | claim | a claim in Redis, renewed for as long as this process lives | its message waits for who has it |
//! | open | read again; [`Admission`] asks the rest; the object is locked, the attempt counted, the item marked started | nothing has changed, or it is settled |
//! | run | the stage, while claim, lock, item and shutdown are watched (`run.rs`) | it is cancelled |
//! | settle | the outcome is written until it stands, claim and lock are let go, what follows is published (`settle.rs`) | the claim is left to die |
//!
//! A worker that is killed leaves a claim that dies, and a message that nsqd delivers again; `apt_queue` looks after the rest.

pub(crate) mod admission;
mod error;
mod lock;
mod outcome;
pub(crate) mod rules;
mod run;
mod settle;
pub(crate) mod task;
pub(crate) mod worker;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Error, Result};
use failing::chain;
use model::{Status, Time, Topic, WorkItem, WorkResult};
use nsq::Name;
use redis_store::{ClaimTaken, Claimant, Held, Store, Trouble};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use self::admission::{Admission, Admit, AsItSays};
use self::error::{Aside, may_pass};
use self::outcome::Outcome;
use self::task::{Announcement, ItemStage, Task};
use self::worker::{Clients, ItemPlan};
use crate::process::health::Heartbeat;
use crate::process::host;
use crate::process::program::Context;
use crate::queue::messages::{Answer, Delivery, Handler, Messages};

/// When an item is looked at again for which Registry or Redis were out of order.
const SYSTEM_PAUSE: Duration = Duration::from_secs(30);
/// The same where nothing will change by itself, and nobody can be told but by the log.
const RARELY: Duration = Duration::from_hours(1);
/// When a message is looked at again whose item, or whose object, another worker has.
const OTHER_WORKER: Duration = Duration::from_mins(5);
/// Processes that may die over an item, one after the other, before a person must look at it.
const MOST_DEATHS: u32 = 10;
/// How long a Go worker may say that it works on an item before that is no reason to keep a message for it (rulings A.3).
pub(crate) const GO_CLAIM: time::Duration = time::Duration::DAY;
/// How often it is asked whether Redis answers.
const LOOK_AT_REDIS: Duration = Duration::from_secs(10);
/// A message that comes earlier than this before its time is not the one that was published for that time.
const EARLY: Duration = Duration::from_secs(2);

impl<S> Context<ItemPlan, S> {
    /// The life of a program over WorkItems: works until the process is asked to stop and every item in work is finished or put
    /// away. The stage asks nothing before it takes an item up.
    pub async fn run(self, stage: impl ItemStage) -> Result<()> {
        let clients = self.plan.clients()?;
        self.run_admitting(clients, AsItSays, stage).await
    }

    /// The same, with questions of its own.
    pub async fn run_admitting(self, clients: Clients, admission: impl Admission, stage: impl ItemStage) -> Result<()> {
        let Self { service, plan, shutdown, heartbeat, .. } = self;
        let messages = Messages {
            plan: plan.queue.clone(),
            publisher: clients.publisher.clone(),
            heartbeat,
            shutdown,
            service,
            memory: memory_of(&stage),
        };
        let (node, pid) = (host::name(), i64::from(std::process::id()));
        let (store, heartbeat) = (clients.store.clone(), messages.heartbeat.clone());
        let items = Items(Arc::new(ItemLoop { stage, admission, plan, clients, node, pid }));
        tokio::select! {
            ended = messages.run(items) => ended,
            () = tell_of_redis(store, heartbeat) => Ok(()),
        }
    }
}

/// Without Redis claims are lost and all work stops: `--health` says so after a while.
async fn tell_of_redis(store: Store, heartbeat: Heartbeat) {
    let mut tick = interval(LOOK_AT_REDIS);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let since = store.failing_for().and_then(|lasted| Instant::now().checked_sub(lasted));
        heartbeat.troubled("Redis", since);
    }
}

fn memory_of<S: ItemStage>(_: &S) -> u64 {
    S::MEMORY
}

/// Takes the messages of a topic for ids of WorkItems.
struct Items<S, A>(Arc<ItemLoop<S, A>>);

/// What the items of one service have in common.
struct ItemLoop<S, A> {
    stage: S,
    admission: A,
    plan: ItemPlan,
    clients: Clients,
    node: String,
    pid: i64,
}

/// An item in work, with what is known of it.
struct Case {
    /// As the Registry has it, as far as is known.
    item: WorkItem,
    /// What the Registry may have instead: it was sent, and no answer came.
    marked: Option<WorkItem>,
    record: Record,
    /// Nobody else works on the item.
    claim: Held,
    /// No other item works on its object.
    lock: Option<Held>,
}

/// What Redis keeps of the attempts at an item.
#[derive(Debug, Clone)]
struct Record {
    result: WorkResult,
    trouble: Trouble,
}

impl<S: ItemStage, A: Admission> Handler for Items<S, A> {
    async fn handle(&self, delivery: Delivery) -> Answer {
        let body = delivery.body.trim_ascii();
        let id = std::str::from_utf8(body).ok().and_then(|text| text.parse().ok()).filter(|id: &i64| *id > 0);
        let Some(id) = id else {
            tracing::error!("dropping a message that is no WorkItem's id: `{}`", delivery.shown());
            return Answer::Finish;
        };
        self.0.attend(id, &delivery).await
    }
}

impl<S: ItemStage, A: Admission> ItemLoop<S, A> {
    async fn attend(self: &Arc<Self>, id: i64, delivery: &Delivery) -> Answer {
        let found = unless_stopped(delivery, self.find(id)).await;
        let opened = match found {
            Ok((item, claim, took_over)) => self.open(item, claim, took_over, delivery).await,
            Err(aside) => Err(aside),
        };
        let case = match opened {
            Ok(case) => case,
            Err(Aside::Answer(answer)) => return answer,
            Err(Aside::Error(error)) => return postponed(id, &error),
        };
        let task = Task::new(
            case.item.clone(),
            case.record.result.attempt,
            self.clients.registry.clone(),
            self.clients.store.clone(),
        );
        tracing::info!(work_item_id = id, attempt = task.attempt, "working on WorkItem {id} ({})", case.item.name);
        let announcement = Arc::clone(&task.announcement);
        let outcome = self.watch(task, &case, &delivery.cancelled).await;
        self.settle(case, outcome, announcement.get(), delivery).await
    }

    /// From the message to an item that is ours alone, and whether a claim of somebody dead was on it.
    async fn find(&self, id: i64) -> Result<(WorkItem, Held, bool), Aside> {
        let topic = self.topic();
        let Some(item) = self.look(id).await? else {
            tracing::error!(
                work_item_id = id,
                "dropping the message for WorkItem {id}, which the Registry does not have"
            );
            return Err(Aside::Answer(Answer::Finish));
        };
        self.answer(&item, self.plan.rules.admit(&item)).await?;
        let before = self.clients.store.claimant(id, topic).await.context("its claim in Redis could not be read")?;
        self.is_free(&item, before.as_ref()).await?;
        let taken = self.clients.store.take_claim(id, topic, &self.node, self.plan.claim_ttl).await;
        match taken.context("it could not be claimed in Redis")? {
            ClaimTaken::Ours(claim) => Ok((item, claim, before.is_some())),
            ClaimTaken::Theirs(claimant) => {
                let host = claimant.host;
                tracing::info!(work_item_id = id, host, "WorkItem {id} is in work elsewhere; its message waits");
                Err(Aside::Answer(Answer::Later(self.plan.claim_ttl)))
            }
        }
    }

    async fn look(&self, id: i64) -> Result<Option<WorkItem>> {
        match self.clients.registry.work_item(id).await {
            Ok(item) => Ok(Some(item)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error).context("the Registry did not show it"),
        }
    }

    /// Turns the message of an item aside that somebody works on, or that is to be woken by another message.
    async fn is_free(&self, item: &WorkItem, claimant: Option<&Claimant>) -> Result<(), Aside> {
        let (id, node) = (item.id, &item.node);
        if !item.is_claimed() {
            if item.status == Status::Started {
                let due = self.clients.store.wakes_in(id, self.topic()).await;
                let due = due.context("when it is to be woken could not be read")?;
                if due > EARLY {
                    tracing::info!(
                        work_item_id = id,
                        "WorkItem {id} is woken by another message in {} s",
                        due.as_secs()
                    );
                    return Err(Aside::Answer(Answer::Finish));
                }
            }
            return Ok(());
        }
        let answer = match claimant {
            Some(claimant) if claimant.is_dead() => return Ok(()),
            Some(_) => Answer::Later(self.plan.claim_ttl),
            // A Go worker's. It knows no heartbeat, and may work for a day (rulings A.3).
            None if Time::now().inner() - item.stage_started_at.inner() < GO_CLAIM => Answer::Later(OTHER_WORKER),
            None => {
                tracing::warn!(
                    work_item_id = id,
                    node,
                    "WorkItem {id} has been in work elsewhere for more than a day; an administrator can requeue it"
                );
                return Err(Aside::Answer(Answer::Finish));
            }
        };
        tracing::info!(work_item_id = id, node, "WorkItem {id} is in work elsewhere; its message waits");
        Err(Aside::Answer(answer))
    }

    /// What the message of an item that is not taken up gets.
    async fn answer(&self, item: &WorkItem, admit: Admit) -> Result<(), Aside> {
        let id = item.id;
        let answer = match admit {
            Admit::Yes => return Ok(()),
            Admit::No(reason) => {
                tracing::info!(work_item_id = id, "{reason}");
                if self.plan.rules.next().is_none() && item.status == Status::Success {
                    // Its worker may have been killed between saving the item and deleting what Redis knew of it.
                    self.clients.store.delete_item(id).await.context("its data in Redis could not be deleted")?;
                }
                Answer::Finish
            }
            Admit::Later(delay, reason) => {
                tracing::info!(work_item_id = id, "{reason}");
                Answer::Later(delay)
            }
            Admit::Close(closed, reason) => {
                self.clients.registry.save_work_item(&closed).await.context("it could not be saved as over")?;
                tracing::info!(work_item_id = id, "{reason}");
                Answer::Finish
            }
            Admit::PublishTo(topic) => {
                tracing::info!(work_item_id = id, %topic, "WorkItem {id} is published to its topic again");
                self.publish(id, topic).await?;
                Answer::Finish
            }
        };
        Err(Aside::Answer(answer))
    }

    /// Looks again, now that nobody else may, counts the attempt and marks the item started.
    async fn open(&self, item: WorkItem, claim: Held, took_over: bool, delivery: &Delivery) -> Result<Case, Aside> {
        let id = item.id;
        let (item, lock) = match unless_stopped(delivery, self.admit_claimed(id)).await {
            Ok(admitted) => admitted,
            Err(Aside::Error(error)) if !may_pass(&error) => {
                // Nobody will be able to take it up before a person has looked at it.
                let record = self.record(id).await.unwrap_or_else(|_| self.no_record());
                let case = Case { item, marked: None, record, claim, lock: None };
                let outcome = Outcome::Refused(format!("It cannot be worked on: {error:#}."));
                return Err(Aside::Answer(self.settle(case, outcome, None, delivery).await));
            }
            Err(aside) => {
                step_back(claim, &item).await;
                return Err(aside);
            }
        };
        let record = match self.record(id).await {
            Ok(record) => record,
            Err(error) => {
                self.unlock(lock, &item).await;
                step_back(claim, &item).await;
                return Err(Aside::Error(error));
            }
        };
        let mut case = Case { item, marked: None, record, claim, lock };
        match self.count(&mut case, took_over, &delivery.cancelled).await {
            Ok(()) => Ok(case),
            Err(outcome) => Err(Aside::Answer(self.settle(case, outcome, None, delivery).await)),
        }
    }

    /// Whoever had the claim before may have finished meanwhile.
    async fn admit_claimed(&self, id: i64) -> Result<(WorkItem, Option<Held>), Aside> {
        let Some(item) = self.look(id).await? else { return Err(Aside::Answer(Answer::Finish)) };
        self.answer(&item, self.plan.rules.admit(&item)).await?;
        self.answer(&item, self.admission.admit(&item).await?).await?;
        let lock = self.lock(&item).await?;
        Ok((item, lock))
    }

    async fn record(&self, id: i64) -> Result<Record> {
        let (store, topic) = (&self.clients.store, self.topic());
        let result = store.work_result(id, topic).await.context("its attempts could not be read")?;
        let trouble = store.trouble(id, topic).await.context("its troubles could not be read")?;
        Ok(Record {
            trouble,
            ..result.map_or_else(|| self.no_record(), |result| Record { result, ..self.no_record() })
        })
    }

    fn no_record(&self) -> Record {
        Record { result: WorkResult::new(self.topic().as_str()), trouble: Trouble::default() }
    }

    /// Counts the attempt and marks the item started. What goes wrong here is an outcome like any other: from here on the item may
    /// be marked as ours.
    async fn count(&self, case: &mut Case, took_over: bool, stop: &CancellationToken) -> Result<(), Outcome> {
        let id = case.item.id;
        let Record { result, trouble } = &mut case.record;
        if took_over && result.started_at.is_set() && !result.finished_at.is_set() {
            // Its worker died over it, which is no answer to whether the work can be done.
            result.attempt = (result.attempt - 1).max(0);
            trouble.deaths += 1;
        }
        if trouble.deaths > MOST_DEATHS {
            return Err(Outcome::TooDeadly(trouble.deaths));
        }
        let now = Time::now();
        result.start(&self.node, self.pid, now);
        let mut marked = case.item.clone();
        marked.mark_started(&self.node, self.pid, self.topic(), now);
        let saved = async {
            self.save_record(id, &case.record, None).await?;
            case.marked = Some(marked.clone());
            self.clients.registry.save_work_item(&marked).await.context("it could not be marked as started")
        };
        match stop.run_until_cancelled(saved).await {
            Some(Ok(_)) => {
                (case.item, case.marked) = (marked, None);
                Ok(())
            }
            Some(Err(error)) if may_pass(&error) => Err(Outcome::NotBegun(format!("{error:#}"))),
            Some(Err(error)) => Err(Outcome::Refused(format!("It cannot be worked on: {error:#}."))),
            None => Err(Outcome::PutAway),
        }
    }

    /// `wakes`: when the message is due for which the item waits.
    async fn save_record(&self, id: i64, record: &Record, wakes: Option<Duration>) -> Result<()> {
        let (store, topic) = (&self.clients.store, self.topic());
        store.save_work_result(id, &record.result).await.context("its attempts could not be saved")?;
        store.save_trouble(id, topic, record.trouble).await.context("its troubles could not be saved")?;
        store.save_wake(id, topic, wakes).await.context("when it is woken could not be saved")
    }

    async fn publish(&self, id: i64, topic: Topic) -> Result<()> {
        let name: Name = topic.as_str().parse().context("the next topic's name")?;
        let published = self.clients.publisher.publish(&name, id.to_string()).await;
        published.context("it could not be published to its next topic")
    }

    async fn announce(&self, announcement: &Announcement) -> Result<()> {
        let name: Name = announcement.topic.parse().context("the announcement's topic")?;
        let published = self.clients.publisher.publish(&name, announcement.body.clone()).await;
        published.context("its end could not be announced")
    }

    fn topic(&self) -> Topic {
        self.plan.rules.topic()
    }
}

/// Gives the message back if the process is asked to stop first: a server that is slow to answer must not hold that up.
async fn unless_stopped<T>(delivery: &Delivery, what: impl Future<Output = Result<T, Aside>>) -> Result<T, Aside> {
    let done = delivery.cancelled.run_until_cancelled(what).await;
    done.unwrap_or(Err(Aside::Answer(Answer::Later(Duration::ZERO))))
}

/// When an item comes again that the loop itself could not take up, and to whom that is told.
fn postponed(id: i64, error: &Error) -> Answer {
    if may_pass(error) {
        tracing::warn!(work_item_id = id, "WorkItem {id} waits, because {error:#}");
        Answer::Later(SYSTEM_PAUSE)
    } else {
        tracing::error!(work_item_id = id, "WorkItem {id} waits for somebody to mend this: {error:#}");
        Answer::Later(RARELY)
    }
}

/// Nothing was marked, so nothing but the claim needs to be undone. An item that a dead worker marked keeps one that dies: without any
/// it would look like a Go worker's.
async fn step_back(claim: Held, item: &WorkItem) {
    if item.is_claimed() {
        claim.leave();
    } else {
        release(claim).await;
    }
}

/// A claim that cannot be released dies by itself.
async fn release(held: Held) {
    if let Err(error) = held.release().await {
        tracing::warn!("a claim or lock could not be released and ends by itself: {}", chain(&error));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_comes_back_soon() {
        let passes = redis_store::Error::Contended { key: "7".into(), doing: "claim".into() };
        assert_eq!(postponed(7, &Error::new(passes)), Answer::Later(SYSTEM_PAUSE));
        let stays = redis_store::Error::Corrupt { key: "7".into(), field: "claim".into(), reason: "cut".into() };
        assert_eq!(postponed(7, &Error::new(stays)), Answer::Later(RARELY));
    }
}
