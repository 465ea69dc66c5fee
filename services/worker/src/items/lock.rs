//! The lock on an object: ingest from the reingest check to recording, restoration and deletion exclude each other (rulings A.12).
//! Its owner is the item, so that it goes from stage to stage with it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use model::{Topic, WorkItem, identifier};
use redis_store::{Held, LeaseName, LeaseTaken, Owner};

use super::Desk;
use crate::items::rules::OTHER_WORKER;
use crate::items::task::ItemStage;
use crate::queue::messages::Verdict;

/// Longer than an item waits between two stages, on a normal day.
const LIFETIME: Duration = Duration::from_hours(24);

impl<S: ItemStage> Desk<S> {
    /// Takes the lock, where the service needs one. `Err`: another item has it, and this one waits.
    pub(super) async fn lock(&self, item: &WorkItem) -> Result<Result<Option<Held>, Verdict>> {
        let Some(identifier) = self.locked_object(item).await? else { return Ok(Ok(None)) };
        let name = LeaseName::Object(&identifier);
        let taken = async || self.store.take_lease(name, Owner::Item(item.id), &self.node, LIFETIME).await;
        let mut taking = taken().await.context("its object could not be locked in Redis")?;
        if let LeaseTaken::Theirs { owner: Owner::Item(other), .. } = &taking
            && self.is_over(*other).await?
        {
            // It was cancelled, or its worker was killed after its last save.
            let released = self.store.release_lease(name, Owner::Item(*other)).await;
            released.context("the lock of another item could not be released")?;
            taking = taken().await.context("its object could not be locked in Redis")?;
        }
        Ok(match taking {
            LeaseTaken::Ours(lock) => Ok(Some(lock)),
            LeaseTaken::Theirs { owner, .. } => {
                tracing::info!(work_item_id = item.id, "WorkItem {} waits: {owner:?} works on {identifier}", item.id);
                Err(Verdict::Later(OTHER_WORKER))
            }
        })
    }

    async fn is_over(&self, item: i64) -> Result<bool> {
        Ok(self.look(item).await?.is_none_or(|item| item.is_completed() || !item.retry))
    }

    async fn locked_object(&self, item: &WorkItem) -> Result<Option<String>> {
        match self.rules.topic() {
            Topic::IngestPrefetch | Topic::IngestBagValidation | Topic::IngestCleanup | Topic::FixityCheck => Ok(None),
            Topic::DeleteItem | Topic::RestoreFile | Topic::RestoreGlacier | Topic::RestoreObject => {
                Ok(Some(item.object_identifier.clone()).filter(|identifier| !identifier.is_empty()))
            }
            _ => {
                let institution = self.institutions.identifier(&self.registry, item.institution_id).await?;
                Ok(Some(identifier::of_object(&institution, &item.name)))
            }
        }
    }

    /// Gives the lock back where the item needs it no more; where it only waits for the next stage or attempt of its ingest,
    /// it is kept.
    pub(super) async fn unlock(&self, lock: Option<Held>, item: &WorkItem) {
        let Some(lock) = lock else { return };
        let stays = self.rules.is_ingest() && self.rules.topic() != Topic::IngestRecord;
        if stays && item.retry && !item.is_completed() {
            lock.leave();
        } else {
            super::release(lock).await;
        }
    }
}
