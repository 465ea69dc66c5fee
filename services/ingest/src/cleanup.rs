//! `ingest_cleanup`: what an ingest leaves behind goes, in an order in which nothing is lost: staging, then the tar, and last of all, by
//! the loop over items, what Redis knows (02 §12). It touches nothing before the object is known to be recorded.

use model::topic::e2e;
use model::{IngestObject, ProcessingError, Provider, note};
use storage::{Bucket, Deletions, Depth};
use tokio::task::JoinSet;
use worker::settings::EndToEnd;
use worker::{Done, ItemStage, Stop, Task};

use crate::Ground;
use crate::ground::failed;

/// Requests under way at a time, each for the objects of a page, 1,000 at most.
const DELETIONS: usize = 4;
/// After so many objects that could not be deleted, the rest is left for the next attempt.
const ERRORS: usize = 10;

/// Completes ingests.
#[derive(Debug)]
pub struct Cleanup {
    ground: Ground,
    staging: Bucket,
    end_to_end: EndToEnd,
}

impl Cleanup {
    pub fn new(ground: &Ground, staging: &buckets::Staging, end_to_end: EndToEnd) -> anyhow::Result<Self> {
        let staging = ground.storage.bucket(&Provider::Aws, &staging.bucket)?;
        Ok(Self { ground: ground.clone(), staging, end_to_end })
    }
}

impl ItemStage for Cleanup {
    async fn run(&self, task: &Task) -> Result<Done, Stop> {
        let object = self.ground.object(task).await?;
        if self.end_to_end == EndToEnd::On {
            let topic = if object.is_reingest { e2e::REINGEST } else { e2e::INGEST };
            task.announce_end(topic, task.item.id.to_string());
        }
        if object.id == 0 {
            let identifier = object.identifier();
            let message = format!(
                "{identifier} has no id in Registry, so it is not known to be recorded and nothing was deleted. \
                 Requeue the item to Record."
            );
            return Err(Stop::fatal(identifier, message));
        }
        self.empty_staging(task).await?;
        if object.should_delete_from_receiving {
            task.until_cancelled(self.delete_tar(task, &object)).await??;
        } else {
            let id = task.item.id;
            tracing::info!(work_item_id = id, "WorkItem {id}: {} stays in {}", object.s3_key, object.s3_bucket);
        }
        Ok(Done {
            outcome: Some(note::INGEST_COMPLETE.to_owned()),
            intellectual_object_id: Some(object.id),
            ..Done::default()
        })
    }
}

/// Deletions of pages of staging, under way.
#[derive(Default)]
struct Emptying {
    running: JoinSet<Deletions>,
    errors: Vec<storage::Error>,
}

impl Cleanup {
    /// Deletes everything under the item's folder. With the slash, item 12 does not touch what belongs to item 120.
    async fn empty_staging(&self, task: &Task) -> Result<(), Stop> {
        let id = task.item.id;
        let folder = format!("{id}/");
        let mut list = self.staging.list(&folder, Depth::All);
        let mut emptying = Emptying::default();
        let mut count = 0;
        while emptying.errors.len() < ERRORS {
            let page = task.until_cancelled(list.page()).await?.map_err(|error| failed(&folder, &error))?;
            let Some(page) = page else { break };
            let keys: Vec<String> = page.entries.into_iter().map(|entry| entry.key).collect();
            count += keys.len();
            let staging = self.staging.clone();
            emptying.running.spawn(async move { staging.delete_many(&keys).await });
            while emptying.running.len() >= DELETIONS {
                task.until_cancelled(emptying.one_ends()).await?;
            }
        }
        while !emptying.running.is_empty() {
            task.until_cancelled(emptying.one_ends()).await?;
        }
        if emptying.errors.is_empty() {
            tracing::info!(work_item_id = id, "WorkItem {id}: {count} objects were deleted from staging");
            return Ok(());
        }
        Err(undeleted(&folder, &emptying.errors))
    }

    /// Deletes the tar if it is still the one that was ingested: a newer upload has an ingest of its own before it.
    async fn delete_tar(&self, task: &Task, object: &IngestObject) -> Result<(), Stop> {
        let IngestObject { s3_bucket: bucket, s3_key: key, etag, .. } = object;
        let identifier = object.identifier();
        if !["staging", "receiving"].iter().any(|word| bucket.contains(word)) {
            let refusal = format!("Can't delete {key} from receiving because bucket {bucket} doesn't look safe");
            return Err(Stop::failed(identifier, refusal));
        }
        let failed = |error| failed(&identifier, &error);
        let receiving = self.ground.storage.bucket(&Provider::Aws, bucket).map_err(failed)?;
        let Some(tar) = receiving.find(key).await.map_err(failed)? else { return Ok(()) };
        let id = task.item.id;
        if tar.etag.as_str() != etag {
            tracing::warn!(work_item_id = id, "WorkItem {id}: {bucket}/{key} stays, because it is a newer upload");
            return Ok(());
        }
        receiving.delete(key).await.map(drop).map_err(failed)
    }
}

impl Emptying {
    async fn one_ends(&mut self) {
        // A deletion that was cut short is found by the next run.
        let Some(Ok(Deletions { failed, rest })) = self.running.join_next().await else { return };
        self.errors.extend(failed);
        self.errors.extend(rest.map(|rest| rest.error));
    }
}

/// One that may pass makes it the system's failure.
fn undeleted(folder: &str, errors: &[storage::Error]) -> Stop {
    let mut all: Vec<ProcessingError> = Vec::new();
    for error in errors.iter().take(ERRORS) {
        match failed(folder, error) {
            Stop::Failed(errors) => all.extend(errors),
            other => return other,
        }
    }
    Stop::Failed(all)
}
