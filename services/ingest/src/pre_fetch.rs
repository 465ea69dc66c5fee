//! Pre-fetch: reads a bag's tar once, and tells Redis of every file in it what later stages need (02 §3). Which files a tar may
//! hold says `tarball`, what a manifest or tag file means `bagit`; whether the bag is valid is for the validator.
//!
//! Every run begins from nothing: what an earlier one has left is deleted, and nothing stays half-way, since the object's record
//! comes last. The tar is asked for by the `ETag` that the item has, so every run reads the same bytes.

mod ends;
mod manifests;
mod pass;
mod records;

use std::num::NonZeroUsize;
use std::thread;

use anyhow::{Context as _, Result};
use buckets::Staging;
use digests::Lanes;
use model::{IngestObject, Provider, StorageOption};
use pronom::Engine;
use storage::Bucket;
use worker::{Done, ItemStage, Stop, Task};

use crate::formats::Formats;
use crate::ground::{Ground, failed};

/// Bytes that wait for the threads that compute digests, of all items together.
const HASHED: usize = 16 << 20;
/// How many files have their records changed at a time.
const PAGE: usize = 500;

/// The stage.
#[derive(Debug)]
pub struct PreFetch {
    ground: Ground,
    staging: Bucket,
    lanes: Lanes,
    formats: Formats,
    engine: &'static Engine,
}

impl PreFetch {
    /// Starts a thread for each core, and reads the signatures of formats, once per process.
    pub fn new(ground: &Ground, staging: &Staging) -> Result<Self> {
        let staging = ground.storage.bucket(&Provider::Aws, &staging.bucket).context("the staging bucket")?;
        let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let lanes = Lanes::new(cores, HASHED).context("starting the threads that compute digests")?;
        Ok(Self { ground: ground.clone(), staging, lanes, formats: Formats::new(), engine: Engine::builtin() })
    }
}

impl ItemStage for PreFetch {
    /// Of a million files, the fingerprints alone take half of it.
    const MEMORY: u64 = 64 << 20;

    async fn run(&self, task: &Task) -> Result<Done, Stop> {
        task.until_cancelled(self.gather(task)).await?
    }
}

impl PreFetch {
    async fn gather(&self, task: &Task) -> Result<Done, Stop> {
        let item = &task.item;
        let institution = self.ground.institutions.identifier(item.institution_id).await;
        let institution = institution.map_err(|error| Stop::of(&error))?;
        let mut object =
            IngestObject::new(&item.bucket, &item.name, &item.etag, &institution, item.institution_id, item.size);
        IngestObject::SERIALIZATION.clone_into(&mut object.serialization);
        task.store.delete_files(item.id).await?;
        let mut found = pass::read(self, task, &mut object).await?;
        for manifest in &found.manifests {
            manifests::declare(&self.staging, task, &object.identifier(), manifest).await?;
        }
        settle(task, &mut object, &mut found.tags);
        if object.storage_option != StorageOption::Standard {
            give_option(task, &object.storage_option).await?;
        }
        task.store.save_object(item.id, &object).await?;
        tracing::info!(work_item_id = item.id, "WorkItem {}: count {}", item.id, object.file_count);
        Ok(Done::default())
    }

    /// Where a file of the bag's root is staged (02 §1.7). Nothing but such a file has a name without a slash.
    fn key(task: &Task, name: &str) -> String {
        format!("{}/{name}", task.item.id)
    }
}

/// What the tags say of the whole bag (02 §4.7 and 4.8).
fn settle(task: &Task, object: &mut IngestObject, tags: &mut Vec<bagit::Tag>) {
    let (_, option) = bagit::aptrust::settle(tags);
    if let bagit::aptrust::StorageOption::Ignored(option) = &option {
        tracing::warn!(
            work_item_id = task.item.id,
            "the bag asks for the storage option {option:?}, which does not exist; it is stored as Standard"
        );
    }
    object.storage_option = option.as_str().into();
    object.tags = tags.iter().map(|tag| model::Tag::new(&tag.file, &tag.label, &tag.value)).collect();
}

/// Has every file stored where its bag is.
async fn give_option(task: &Task, option: &StorageOption) -> Result<(), Stop> {
    let mut pages = task.store.files(task.item.id, PAGE);
    while let Some(page) = pages.next().await? {
        if let Some(corrupt) = page.corrupt.into_iter().next() {
            return Err(corrupt.into());
        }
        let mut files = page.files;
        files.retain(|file| file.storage_option != *option);
        for file in &mut files {
            file.storage_option = option.clone();
        }
        task.store.save_files(task.item.id, &files).await?;
    }
    Ok(())
}
