//! What the outcome of a stage means: for the item in the Registry, for its attempts in Redis, for the next topic, and for the
//! message (01 §4.5, rulings A.4, A.5, A.9, A.10).

use std::time::Duration;

use anyhow::{Context as _, Result};
use model::{List, ProcessingError, Status, Time, note};
use redis_store::{ClaimTaken, Trouble};

use super::watch::Ended;
use super::{Case, Desk};
use crate::items::task::{Done, ItemStage, Stop};
use crate::queue::messages::Verdict;

/// What is to be written.
enum Change {
    PutAway,
    Done(Done),
    Wait { note: String, delay: Duration },
    Failed(Vec<ProcessingError>),
    System(String),
}

/// Bounds of the pause after a failure of the system, which grows with the time that it has lasted.
const SHORTEST_PAUSE: Duration = Duration::from_secs(15);
const LONGEST_PAUSE: Duration = Duration::from_mins(15);

impl<S: ItemStage> Desk<S> {
    /// Writes the outcome and lets go of claim and lock. If it cannot be written, they are left to end by themselves, so that
    /// the item is taken over and not taken for a Go worker's.
    pub(super) async fn close(&self, mut case: Case, ended: Ended) -> Result<Verdict> {
        let id = case.item.id;
        let change = match ended {
            Ended::TakenAway(reason) => {
                tracing::info!(work_item_id = id, "the work on WorkItem {id} was cancelled: {reason}");
                self.let_go(case).await;
                return Ok(Verdict::Finish);
            }
            Ended::Lost(loss) => {
                tracing::warn!(work_item_id = id, "the claim or lock of WorkItem {id} was lost, so it waits: {loss}");
                // Where no claim is left, and no other worker's either, the item would look like a Go worker's.
                let taken = self.store.take_claim(id, self.rules.topic(), &self.node, self.claim_ttl).await;
                let Ok(ClaimTaken::Ours(claim)) = taken else {
                    case.leave();
                    return Ok(Verdict::Later(self.claim_ttl));
                };
                case.claim = claim;
                Change::PutAway
            }
            Ended::PutAway => Change::PutAway,
            Ended::Returned(Ok(done)) => Change::Done(done),
            Ended::Returned(Err(Stop::Cancelled)) => Change::System("The work was cancelled by itself.".to_owned()),
            Ended::Returned(Err(Stop::System(message))) => Change::System(message),
            Ended::Returned(Err(Stop::Waiting { note, delay })) => Change::Wait { note, delay },
            Ended::Returned(Err(Stop::Failed(errors))) => Change::Failed(errors),
        };
        let is_done = matches!(change, Change::Done(_));
        let verdict = match self.write(&mut case, change).await {
            Ok(Some(verdict)) => verdict,
            Ok(None) => {
                self.let_go(case).await;
                return Ok(Verdict::Finish);
            }
            Err(error) => {
                case.leave();
                return Err(error);
            }
        };
        if is_done && self.next.is_none() {
            // It is done for good, and nothing may be written to its hash any more: the heartbeat ends first (A.10).
            let Case { item, claim, lock, .. } = case;
            claim.leave();
            self.unlock(lock, &item).await;
            self.store.delete_item(id).await.context("it is done, but its data in Redis could not be deleted")?;
        } else {
            self.let_go(case).await;
        }
        if is_done && let Some(next) = &self.next {
            // If this fails, the message comes back, finds the item at the next stage, and is published then (A.7).
            let published = self.publisher.publish(next, id.to_string()).await;
            published.context("it could not be published to its next topic")?;
        }
        Ok(verdict)
    }

    async fn let_go(&self, case: Case) {
        let Case { item, claim, lock, .. } = case;
        self.unlock(lock, &item).await;
        super::release(claim).await;
    }

    /// Reads the item once more, changes it and its attempts, and saves both. `None`: it is not ours any more, and nothing was
    /// written (A.4).
    async fn write(&self, case: &mut Case, change: Change) -> Result<Option<Verdict>> {
        let id = case.item.id;
        let current = self.look(id).await?;
        let reason = match &current {
            Some(current) => self.no_longer_ours(&case.item, current),
            None => Some("the Registry does not have it any more".to_owned()),
        };
        if let Some(reason) = reason {
            tracing::info!(work_item_id = id, "nothing is written for WorkItem {id}: {reason}");
            return Ok(None);
        }
        // A process that was stopped for a while may not have noticed yet.
        case.claim.check().context("the claim on it was lost")?;
        if let Some(current) = current {
            case.item = current;
        }
        let verdict = match change {
            Change::PutAway => self.put_away(case),
            Change::Done(done) => self.done(case, &done),
            Change::Wait { note, delay } => Self::wait(case, note, delay),
            Change::Failed(errors) => self.fail(case, errors),
            Change::System(message) => self.system(case, message),
        };
        case.item.release();
        case.result.finish(Time::now());
        let topic = self.rules.topic();
        self.store.save_work_result(id, &case.result).await.context("its attempts could not be saved")?;
        let trouble = Trouble { failing_since: case.failing_since, deaths: 0 };
        self.store.save_trouble(id, topic, trouble).await.context("its troubles could not be saved")?;
        self.registry.save_work_item(&case.item).await.context("it could not be saved")?;
        Ok(Some(verdict))
    }

    fn done(&self, case: &mut Case, done: &Done) -> Verdict {
        self.rules.complete(&mut case.item, done);
        case.result.errors = List::new();
        case.failing_since = Time::UNSET;
        tracing::info!(work_item_id = case.item.id, "WorkItem {}: {}", case.item.id, case.item.note);
        Verdict::Finish
    }

    /// Too many processes died over the item, one after the other: it is not tried again before somebody has looked at it.
    pub(super) async fn too_deadly(&self, mut case: Case, deaths: u32) -> Result<Verdict> {
        let id = case.item.id;
        let reason = format!("{deaths} workers in a row died while they worked on this item.");
        tracing::error!(work_item_id = id, deaths, "WorkItem {id} is given up: {reason}");
        let written = async {
            self.rules.give_up(&mut case.item, &reason, case.result.attempt);
            case.result.attempt = 0;
            self.store.save_work_result(id, &case.result).await.context("its attempts could not be saved")?;
            let topic = self.rules.topic();
            self.store.save_trouble(id, topic, Trouble::default()).await.context("its troubles could not be saved")?;
            self.registry.save_work_item(&case.item).await.context("it could not be saved")
        };
        match written.await {
            Ok(_) => {
                self.let_go(case).await;
                Ok(Verdict::Finish)
            }
            Err(error) => {
                case.leave();
                Err(error)
            }
        }
    }

    /// Nothing is said about the work: another process takes it up.
    fn put_away(&self, case: &mut Case) -> Verdict {
        case.result.attempt = (case.result.attempt - 1).max(0);
        let Case { item, .. } = case;
        item.status = Status::Pending;
        if !item.note.contains(&self.node) {
            item.note.push_str(&note::killed(&self.node));
        }
        tracing::info!(work_item_id = item.id, "Released WorkItem {}", item.id);
        Verdict::Later(Duration::ZERO)
    }

    fn wait(case: &mut Case, note: String, delay: Duration) -> Verdict {
        case.result.attempt = (case.result.attempt - 1).max(0);
        case.result.errors = List::new();
        case.failing_since = Time::UNSET;
        tracing::info!(
            work_item_id = case.item.id,
            delay_seconds = delay.as_secs(),
            "WorkItem {} waits: {note}",
            case.item.id
        );
        case.item.note = note;
        Verdict::Later(delay)
    }

    fn fail(&self, case: &mut Case, errors: Vec<ProcessingError>) -> Verdict {
        case.failing_since = Time::UNSET;
        case.result.errors = List::new();
        for error in errors {
            case.result.add_error(ProcessingError { work_item_id: case.item.id, ..error });
        }
        let id = case.item.id;
        if case.result.has_fatal_errors() {
            let messages = case.result.fatal_messages();
            tracing::error!(work_item_id = id, "WorkItem {id} failed for good: {messages}");
            self.rules.fail(&mut case.item, messages);
            case.result.attempt = 0;
            return Verdict::Finish;
        }
        let messages = case.result.other_messages();
        if case.result.attempt >= self.max_attempts {
            tracing::error!(work_item_id = id, attempts = case.result.attempt, "WorkItem {id} is given up: {messages}");
            self.rules.give_up(&mut case.item, &messages, case.result.attempt);
            // An administrator's requeue starts with a fresh set.
            case.result.attempt = 0;
            return Verdict::Finish;
        }
        tracing::warn!(
            work_item_id = id,
            attempt = case.result.attempt,
            "WorkItem {id} failed and is tried again: {messages}"
        );
        case.item.note = messages;
        Verdict::Again(self.requeue_delay)
    }

    /// The system failed, not the item. The attempt is given back, until patience is at its end.
    fn system(&self, case: &mut Case, message: String) -> Verdict {
        let now = Time::now();
        if !case.failing_since.is_set() {
            case.failing_since = now;
        }
        let lasted = Duration::try_from(now.inner() - case.failing_since.inner()).unwrap_or_default();
        if lasted >= self.system_patience {
            case.result.attempt = self.max_attempts.max(case.result.attempt);
            return self.fail(case, vec![ProcessingError { message, ..ProcessingError::default() }]);
        }
        case.result.attempt = (case.result.attempt - 1).max(0);
        let id = case.item.id;
        tracing::warn!(work_item_id = id, "the system failed WorkItem {id}, which is tried again: {message}");
        case.item.note = message;
        Verdict::Later((lasted / 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE))
    }
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
