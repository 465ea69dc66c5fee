//! The lock on an object: ingest from the reingest check to recording, restoration and deletion exclude each other (rulings A.12).
//! Its owner is the item, so that it goes from stage to stage with it. Which object it is, the service's `Admission` says.

use std::time::Duration;

use anyhow::{Context as _, Result};
use model::WorkItem;
use redis_store::{Held, LeaseName, LeaseTaken, Owner};

use super::error::Aside;
use super::{ItemLoop, OTHER_WORKER, release};
use crate::items::admission::Admission;
use crate::items::task::ItemStage;
use crate::queue::messages::Answer;

/// Longer than an item waits between two stages, on a normal day.
const LIFETIME: Duration = Duration::from_hours(24);

impl<S: ItemStage, A: Admission> ItemLoop<S, A> {
    /// Takes the lock, where there is one to take. If another item has it, this one waits.
    pub(super) async fn lock(&self, item: &WorkItem) -> Result<Option<Held>, Aside> {
        let Some(identifier) = self.admission.object(item).await? else { return Ok(None) };
        let name = LeaseName::Object(&identifier);
        let store = &self.clients.store;
        let taken = async || store.take_lease(name, Owner::Item(item.id), &self.node, LIFETIME).await;
        let mut taking = taken().await.context("its object could not be locked in Redis")?;
        if let LeaseTaken::Theirs { owner: Owner::Item(other), .. } = &taking
            && self.is_over(*other).await?
        {
            // It was cancelled, or its worker was killed after its last save.
            let released = store.release_lease(name, Owner::Item(*other)).await;
            released.context("the lock of another item could not be released")?;
            taking = taken().await.context("its object could not be locked in Redis")?;
        }
        match taking {
            LeaseTaken::Ours(lock) => Ok(Some(lock)),
            LeaseTaken::Theirs { owner, .. } => {
                tracing::info!(work_item_id = item.id, "WorkItem {} waits: {owner:?} works on {identifier}", item.id);
                Err(Aside::Answer(Answer::Later(OTHER_WORKER)))
            }
        }
    }

    async fn is_over(&self, item: i64) -> Result<bool> {
        Ok(self.look(item).await?.is_none_or(|item| item.is_completed() || !item.retry))
    }

    /// Gives the lock back where the item needs it no more; where it only waits for the next stage or attempt of its ingest,
    /// it is kept.
    pub(super) async fn unlock(&self, lock: Option<Held>, item: &WorkItem) {
        let Some(lock) = lock else { return };
        if self.plan.rules.keeps_lock() && item.retry && !item.is_completed() {
            lock.leave();
        } else {
            release(lock).await;
        }
    }
}
