//! What the restorers stand on beside their task: S3, the threads that compute digests, and what is to be restored to where. An
//! executable hands its context to [`run`], with a stage made of this.

use std::num::NonZeroUsize;
use std::thread;

use anyhow::{Context as _, Result};
use buckets::Preservation;
use digests::Lanes;
use failing::chain;
use model::bucket::PreservationBuckets;
use model::{
    GenericFile, IntellectualObject, Provider, RestorationObject, RestorationSource, State, WorkItem, identifier,
};
use registry::Query;
use storage::{Attributes, Bucket, Budget, Storage};
use worker::{Context, ItemPlan, ItemStage, Stop, Task};

/// Clones share their connections, their threads and their memory.
#[derive(Debug, Clone)]
pub struct Ground {
    pub storage: Storage,
    pub buckets: PreservationBuckets,
    /// What is on its way, all of it together.
    pub budget: Budget,
    pub lanes: Lanes,
}

/// Bytes that wait for the threads that compute digests, of all items together.
const HASHED: usize = 16 << 20;

/// The life of a restorer. `preservation` picks the settings of S3, `stage` makes the stage.
pub async fn run<S, T: ItemStage>(
    context: Context<ItemPlan, S>,
    preservation: impl FnOnce(&S) -> &Preservation,
    stage: impl FnOnce(Ground, &S) -> T,
) -> Result<()> {
    let budget = buckets::budget();
    let preservation = preservation(&context.settings);
    let storage = preservation.s3.storage(&budget).await?;
    let ground = Ground::new(storage.clone(), preservation.buckets.clone(), budget)?;
    let stage = stage(ground, &context.settings);
    let ended = context.run(stage).await;
    storage.close().await;
    ended
}

impl Ground {
    /// Starts a thread for each core; once per process.
    pub fn new(storage: Storage, buckets: PreservationBuckets, budget: Budget) -> Result<Self> {
        let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let lanes = Lanes::new(cores, HASHED).context("starting the threads that compute digests")?;
        Ok(Self { storage, buckets, budget, lanes })
    }

    /// The bucket that depositors fetch a restoration from.
    pub(crate) fn target(&self, restoration: &RestorationObject) -> Result<Bucket, Stop> {
        let bucket = self.storage.bucket(&Provider::Aws, &restoration.restoration_target);
        bucket.map_err(|error| failed(&restoration.identifier, &error))
    }
}

/// What an item asks for (03 §1.7), and the object that it is about. Something that is deleted is not restored.
pub(crate) async fn asked(task: &Task) -> Result<(RestorationObject, IntellectualObject), Stop> {
    let WorkItem { object_identifier, generic_file_identifier, .. } = &task.item;
    let object = task.registry.object(object_identifier).await?;
    if object.state == State::Deleted {
        return Err(Stop::fatal(object_identifier, format!("{object_identifier} is deleted and cannot be restored")));
    }
    let institution = task.registry.institution(identifier::institution(object_identifier)).await?;
    if institution.restore_bucket.is_empty() {
        let message = format!("Registry has no restoration bucket for {}", institution.identifier);
        return Err(Stop::fatal(object_identifier, message));
    }
    let kind = task.item.restoration_type();
    let (identifier, id) = match kind {
        model::RestorationType::File => (generic_file_identifier, task.item.generic_file_id),
        _ => (object_identifier, object.id),
    };
    let restoration = RestorationObject {
        identifier: identifier.clone(),
        item_id: id,
        bagit_profile_identifier: object.bagit_profile_identifier.clone(),
        object_size: object.size,
        restoration_source: RestorationSource::S3,
        restoration_target: institution.restore_bucket,
        restoration_type: kind,
        ..RestorationObject::default()
    };
    Ok((restoration, object))
}

/// The files of an object that are to be restored, in the order of the bag.
pub(crate) fn active_files(object: &IntellectualObject) -> Query {
    Query::new().filter("intellectual_object_id", object.id).filter("state", State::Active).sort("identifier")
}

/// The file of an item that is about one.
pub(crate) async fn asked_file(task: &Task) -> Result<GenericFile, Stop> {
    let identifier = &task.item.generic_file_identifier;
    let file = task.registry.file(identifier).await?;
    if file.state == State::Deleted {
        return Err(Stop::fatal(identifier, format!("{identifier} is deleted and cannot be restored")));
    }
    Ok(file)
}

/// What goes with every restoration (03 §2.3).
pub(crate) fn attributes() -> Attributes {
    Attributes { content_type: Some("application/octet-stream".to_owned()), ..Attributes::default() }
}

/// What an error of S3 means for a stage: one that may pass counts as no attempt.
pub(crate) fn failed(identifier: &str, error: &storage::Error) -> Stop {
    let text = chain(error).to_string();
    if error.is_transient() { Stop::System(text) } else { Stop::failed(identifier, text) }
}
