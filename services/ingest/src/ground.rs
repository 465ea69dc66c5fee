//! What the stages of ingest stand on beside their task: institutions, S3, and the object that an item is an ingest of. An executable
//! hands its context to [`run`], with a stage made of this.

use anyhow::Result;
use buckets::S3;
use model::bucket::{PreservationBucket, PreservationBuckets};
use model::{IngestObject, Provider, WorkItem, note};
use storage::{Bucket, Budget, Storage};
use worker::{Clients, Context, ItemPlan, ItemStage, Stop, Task};

use crate::institutions::Institutions;
use crate::versions::Versions;

/// Clones share their connections and their memory.
#[derive(Debug, Clone)]
pub struct Ground {
    pub clients: Clients,
    pub institutions: Institutions,
    /// With receiving buckets; preservation buckets too where the service's settings have them.
    pub storage: Storage,
    /// What is on its way, all of it together.
    pub budget: Budget,
}

/// The life of a service of ingest. `s3` picks the settings of S3, `stage` makes the stage.
pub async fn run<S, T: ItemStage>(
    context: Context<ItemPlan, S>,
    s3: impl FnOnce(&S) -> &S3,
    stage: impl FnOnce(&Ground, &S) -> Result<T>,
) -> Result<()> {
    let clients = context.plan.clients()?;
    let budget = buckets::budget();
    let storage = s3(&context.settings).storage(&budget).await?;
    let institutions = Institutions::new(clients.registry.clone());
    let ground = Ground { clients: clients.clone(), institutions, storage, budget };
    let stage = stage(&ground, &context.settings)?;
    let topic = context.plan.rules.topic();
    let versions = Versions::new(topic, &clients, ground.institutions.clone(), Some(ground.storage.clone()));
    let ended = context.run_admitting(clients, versions, stage).await;
    ground.storage.close().await;
    ended
}

impl Ground {
    /// The bucket that an item's tar is in.
    pub fn receiving(&self, item: &WorkItem) -> Result<Bucket, Stop> {
        self.storage.bucket(&Provider::Aws, &item.bucket).map_err(|error| failed(&item.name, &error))
    }

    /// Where an object's copies belong: at least one bucket (01 §6.4).
    pub fn preservation<'b>(
        &self,
        buckets: &'b PreservationBuckets,
        object: &IngestObject,
    ) -> Result<Vec<&'b PreservationBucket>, Stop> {
        let option = &object.storage_option;
        match buckets.of(option) {
            none if none.is_empty() => {
                Err(Stop::fatal(object.identifier(), format!("No preservation bucket keeps storage option '{option}'")))
            }
            some => Ok(some),
        }
    }

    /// What Redis knows of the item's object.
    pub async fn object(&self, task: &Task) -> Result<IngestObject, Stop> {
        object(task, &self.institutions, Some(&self.receiving(&task.item)?)).await
    }
}

/// What Redis knows of the item's object. Without it nothing can be done (02 §1.4): looked up by the clean name of the bag, so that
/// multipart bags are found. `receiving`: where to look for the tar if it is not there.
pub(crate) async fn object(
    task: &Task,
    institutions: &Institutions,
    receiving: Option<&Bucket>,
) -> Result<IngestObject, Stop> {
    let item = &task.item;
    let identifier = institutions.object(item).await.map_err(|error| Stop::of(&error))?;
    if let Some(object) = task.store.object(item.id, &identifier).await? {
        return Ok(object);
    }
    let tar = match receiving {
        Some(receiving) if matches!(receiving.find(&item.name).await, Ok(None)) => note::Tar::Gone,
        // Where that cannot be seen, nothing is said about it.
        _ => note::Tar::InReceiving,
    };
    let cause = format!("IngestObjectGet ({}, {identifier}): redis: nil", item.id);
    Err(Stop::failed(identifier, note::not_in_redis(item.id, &cause, tar)))
}

/// What an error of S3 means for a stage: one that may pass counts as no attempt.
pub fn failed(identifier: &str, error: &storage::Error) -> Stop {
    let text = failing::chain(error).to_string();
    if error.is_transient() { Stop::System(text) } else { Stop::failed(identifier, text) }
}
