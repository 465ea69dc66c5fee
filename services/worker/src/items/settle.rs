//! The outcome of an item is written, however long Registry or Redis take to come back: hours of work depend on it. Claim and
//! message are held until it stands, until the process must end, or until somebody else has the item.

use std::time::Duration;

use anyhow::{Context as _, Error, Result};
use failing::Backoff;
use model::WorkItem;
use redis_store::ClaimTaken;
use tokio::time::sleep;

use super::error::may_pass;
use super::outcome::{Follows, Level, Outcome, Settled, Terms};
use super::run::taken_away;
use super::task::Announcement;
use super::{Case, ItemLoop, RARELY, SYSTEM_PAUSE, release};
use crate::items::admission::Admission;
use crate::items::task::ItemStage;
use crate::queue::messages::{Answer, Delivery};

/// Between two tries to write.
const PAUSE: Backoff = Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(30) };
/// For how long it is still tried once the process is asked to stop.
const LAST_TRIES: Duration = Duration::from_secs(30);

/// What came of a try to write.
enum Written {
    Stands(Box<Settled>),
    /// The item is not ours any more, and nothing was written (rulings A.4).
    TakenAway(String),
    /// Another worker has the claim.
    Elsewhere,
}

impl<S: ItemStage, A: Admission> ItemLoop<S, A> {
    pub(super) async fn settle(
        &self,
        mut case: Case,
        mut outcome: Outcome,
        announcement: Option<&Announcement>,
        delivery: &Delivery,
    ) -> Answer {
        let id = case.item.id;
        let mut sent = None;
        let mut tries = 0;
        let mut last_tries = std::pin::pin!(async {
            delivery.cancelled.cancelled().await;
            sleep(LAST_TRIES).await;
        });
        loop {
            let written = tokio::select! {
                written = self.write(&mut case, &outcome, &mut sent) => written,
                () = &mut last_tries => return self.leave(case),
            };
            let error = match written {
                Ok(Written::Stands(settled)) => return self.conclude(case, *settled, announcement, delivery).await,
                Ok(Written::TakenAway(reason)) => {
                    tracing::info!(work_item_id = id, "nothing is written for WorkItem {id}: {reason}");
                    self.let_go(case).await;
                    return Answer::Finish;
                }
                Ok(Written::Elsewhere) => {
                    case.leave();
                    return Answer::Later(self.plan.claim_ttl);
                }
                Err(error) => error,
            };
            if !may_pass(&error) {
                if matches!(outcome, Outcome::Refused(_)) {
                    tracing::error!(work_item_id = id, "the end of WorkItem {id} cannot be saved: {error:#}");
                    case.leave();
                    return Answer::Later(RARELY);
                }
                // Perhaps it can at least be said that it cannot be said.
                outcome = Outcome::Refused(format!("The outcome cannot be saved: {error:#}."));
                continue;
            }
            tries = u32::saturating_add(tries, 1);
            tracing::warn!(work_item_id = id, tries, "the outcome of WorkItem {id} cannot be saved yet: {error:#}");
            tokio::select! {
                () = sleep(PAUSE.after(tries)) => {}
                () = &mut last_tries => {
                    tracing::error!(work_item_id = id, "the outcome of WorkItem {id} is lost, and it will be worked on again");
                    case.leave();
                    return Answer::Later(self.plan.claim_ttl);
                }
            }
        }
    }

    /// The process must end: whoever takes over works on the item again.
    fn leave(&self, case: Case) -> Answer {
        let id = case.item.id;
        tracing::error!(
            work_item_id = id,
            "the outcome of WorkItem {id} could not be saved; it will be worked on again"
        );
        case.leave();
        Answer::Later(self.plan.claim_ttl)
    }

    /// Reads the item once more, changes it and its attempts, and saves both: first what Redis has, so that a worker who takes
    /// over sees that this one did not die over the stage.
    async fn write(&self, case: &mut Case, outcome: &Outcome, sent: &mut Option<Settled>) -> Result<Written> {
        if let Outcome::TakenAway(reason) = outcome {
            return Ok(Written::TakenAway(reason.clone()));
        }
        if case.claim.check().is_err() {
            let id = case.item.id;
            // Whoever took over keeps the claim, dead or alive: it must not be taken here only to be released.
            if let Some(reason) = taken_away(case, self.look(id).await?.as_ref()) {
                return Ok(Written::TakenAway(reason));
            }
            let taken = self.clients.store.take_claim(id, self.topic(), &self.node, self.plan.claim_ttl).await;
            // Where no claim is left, and no other worker's either, the item would look like a Go worker's.
            match taken.context("it could not be claimed again in Redis")? {
                ClaimTaken::Ours(claim) => case.claim = claim,
                ClaimTaken::Theirs(_) => return Ok(Written::Elsewhere),
            }
        }
        let current = self.look(case.item.id).await?;
        if let Some(settled) =
            sent.take_if(|sent| current.as_ref().is_some_and(|current| is_saved(&sent.item, current)))
        {
            // The answer to the try before was lost.
            return Ok(Written::Stands(Box::new(settled)));
        }
        if let Some(reason) = taken_away(case, current.as_ref()) {
            return Ok(Written::TakenAway(reason));
        }
        let item = current.unwrap_or_else(|| case.item.clone());
        let settled = outcome.apply(self.terms(), item, case.record.clone());
        self.save_record(settled.item.id, &settled.record, settled.follows.wakes()).await?;
        // A process that was stopped for a while may not have noticed yet.
        case.claim.check().context("the claim on it was lost")?;
        let settled = sent.insert(settled);
        self.clients.registry.save_work_item(&settled.item).await.context("it could not be saved")?;
        sent.take().map(|settled| Written::Stands(Box::new(settled))).context("a defect: nothing was sent")
    }

    /// What follows once it stands.
    async fn conclude(
        &self,
        case: Case,
        settled: Settled,
        announcement: Option<&Announcement>,
        delivery: &Delivery,
    ) -> Answer {
        let Settled { item, follows, text, level, .. } = settled;
        let id = item.id;
        match level {
            Level::Info => tracing::info!(work_item_id = id, "WorkItem {id}: {text}"),
            Level::Warning => tracing::warn!(work_item_id = id, "WorkItem {id} {text}"),
            Level::Error => tracing::error!(work_item_id = id, "WorkItem {id} {text}"),
        }
        let followed = match follows {
            Follows::CleanEnd => {
                // Nothing may be written to its hash any more: the heartbeat ends first (A.10).
                let Case { claim, lock, .. } = case;
                claim.leave();
                self.unlock(lock, &item).await;
                let deleted = self.clients.store.delete_item(id).await;
                deleted.map(drop).context("it is done, but its data in Redis could not be deleted")
            }
            Follows::Stage(topic) => {
                self.let_go(Case { item, ..case }).await;
                self.publish(id, topic).await
            }
            Follows::End | Follows::Attempt(_) | Follows::Wait(_) | Follows::Process => {
                self.let_go(Case { item, ..case }).await;
                Ok(())
            }
        };
        if let Err(error) = followed {
            return self.unfollowed(id, follows, &error);
        }
        if let (Follows::End | Follows::CleanEnd, Some(announcement)) = (follows, announcement)
            && let Err(error) = self.announce(announcement).await
        {
            tracing::error!(work_item_id = id, "WorkItem {id} has ended, but {error:#}");
        }
        match follows {
            Follows::End | Follows::CleanEnd | Follows::Stage(_) => Answer::Finish,
            Follows::Attempt(delay) if delivery.may_be_repeated() => Answer::Again(delay),
            Follows::Attempt(delay) | Follows::Wait(delay) => Answer::Later(delay),
            Follows::Process => Answer::Later(Duration::ZERO),
        }
    }

    /// The message comes back and finds the item over, or at the next stage, and what is left is done then (A.7, A.10). An item
    /// that went back to an earlier stage is found by the sweep.
    fn unfollowed(&self, id: i64, follows: Follows, error: &Error) -> Answer {
        tracing::warn!(work_item_id = id, "WorkItem {id} waits, because {error:#}");
        match follows {
            Follows::Stage(topic) if self.plan.rules.next() != Some(topic) => Answer::Finish,
            _ => Answer::Later(SYSTEM_PAUSE),
        }
    }

    async fn let_go(&self, case: Case) {
        let Case { item, claim, lock, .. } = case;
        self.unlock(lock, &item).await;
        release(claim).await;
    }

    fn terms(&self) -> Terms<'_> {
        Terms {
            rules: &self.plan.rules,
            node: &self.node,
            max_attempts: i64::from(self.plan.queue.numbers.max_attempts),
            requeue_delay: self.plan.queue.requeue_delay,
            system_patience: self.plan.system_patience,
        }
    }
}

/// Whether the Registry has what was sent.
fn is_saved(sent: &WorkItem, current: &WorkItem) -> bool {
    let told = |item: &WorkItem| (item.node.clone(), item.pid, item.retry, item.needs_admin_review, item.note.clone());
    sent.stage == current.stage && sent.status == current.status && told(sent) == told(current)
}

impl Case {
    /// Whoever comes next finds claim and lock dead, and takes over.
    fn leave(self) {
        self.claim.leave();
        if let Some(lock) = self.lock {
            lock.leave();
        }
    }
}
